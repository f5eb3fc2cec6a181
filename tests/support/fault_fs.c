/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/fault_fs.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/assert.h"

#define IOV_KEPT 1024 /* what one kernel call takes */

struct fault_fs {
    struct fs base;
    struct fs *below;
    pthread_mutex_t mutex; /* guards what follows */
    struct fault fault;
    bool armed;
    uint64_t hits;
    uint64_t calls[FS_CALL_ANY + 1];
};

const char *fs_call_name(enum fs_call call)
{
    static const char *const names[FS_CALL_ANY + 1] = {
        "open",   "close",  "read",  "read_now", "write", "sync", "sync_dir",   "truncate", "size",
        "rename", "unlink", "rmdir", "mkdir",    "list",  "lock", "free_bytes", "forget",   "any"};
    return names[call];
}

static void lock_of(struct fault_fs *self)
{
    const int rc = pthread_mutex_lock(&self->mutex);
    zsp_assert(rc == 0);
}

static void unlock_of(struct fault_fs *self)
{
    const int rc = pthread_mutex_unlock(&self->mutex);
    zsp_assert(rc == 0);
}

/* Count a call. True when the fault hits it; *ret is then a copy of the fault. */
static bool hit(struct fault_fs *self, enum fs_call call, struct fault *ret)
{
    lock_of(self);
    self->calls[call]++;
    self->calls[FS_CALL_ANY]++;
    const bool of_kind =
        self->fault.kind == FAULT_ERROR || call == FS_CALL_WRITE ||
        (self->fault.kind == FAULT_SHORT && (call == FS_CALL_READ || call == FS_CALL_READ_NOW));
    bool is_hit =
        self->armed && of_kind && (self->fault.call == FS_CALL_ANY || self->fault.call == call);
    if (is_hit && self->fault.countdown > 0) {
        self->fault.countdown--;
        is_hit = false;
    }
    if (is_hit) {
        self->hits++;
        if (self->fault.repeat != UINT64_MAX && --self->fault.repeat == 0) {
            self->armed = false;
        }
        *ret = self->fault;
    }
    unlock_of(self);
    return is_hit;
}

static int fail(enum fs_call call, const struct fault *fault, struct zsp_err *err)
{
    return zsp_err_set_errno(err, fault->code, fault->sys_errno, "%s: injected",
                             fs_call_name(call));
}

/* The code when the fault hits a call that has no partial form, else 0. */
static int fails(struct fault_fs *self, enum fs_call call, struct zsp_err *err)
{
    struct fault fault;
    return hit(self, call, &fault) ? fail(call, &fault, err) : 0;
}

static int fault_open(void *self, const char *path, enum fs_open_mode mode, struct zsp_err *err)
{
    struct fault_fs *fs = self;
    const int rc = fails(fs, FS_CALL_OPEN, err);
    return rc < 0 ? rc : fs->below->ops->open(fs->below->self, path, mode, err);
}

static int fault_close(void *self, int file, struct zsp_err *err)
{
    struct fault_fs *fs = self;
    const int rc = fails(fs, FS_CALL_CLOSE, err);
    /* The file is closed in any case, as fs.h says. */
    const int below = fs->below->ops->close(fs->below->self, file, rc < 0 ? NULL : err);
    return rc < 0 ? rc : below;
}

static int fault_read(void *self, int file, void *data, size_t len, uint64_t pos, size_t *ret_len,
                      struct zsp_err *err)
{
    struct fault_fs *fs = self;
    struct fault fault;
    if (hit(fs, FS_CALL_READ, &fault)) {
        if (fault.kind == FAULT_ERROR) {
            return fail(FS_CALL_READ, &fault, err);
        }
        len = fault.bytes < len ? fault.bytes : len;
    }
    return fs->below->ops->read(fs->below->self, file, data, len, pos, ret_len, err);
}

static int fault_read_now(void *self, int file, void *data, size_t len, uint64_t pos,
                          size_t *ret_len, struct zsp_err *err)
{
    struct fault_fs *fs = self;
    struct fault fault;
    if (hit(fs, FS_CALL_READ_NOW, &fault)) {
        if (fault.kind == FAULT_ERROR) {
            return fail(FS_CALL_READ_NOW, &fault, err);
        }
        len = fault.bytes < len ? fault.bytes : len;
    }
    return fs->below->ops->read_now(fs->below->self, file, data, len, pos, ret_len, err);
}

/* Write the first `bytes` bytes of the vector. */
static int write_part(struct fs *below, int file, const struct iovec *iov, int iov_count,
                      uint64_t pos, size_t bytes, size_t *ret_len, struct zsp_err *err)
{
    struct iovec *part = calloc(IOV_KEPT, sizeof *part);
    zsp_assert(part);
    int count = 0;
    for (int i = 0; i < iov_count && count < IOV_KEPT && bytes > 0; i++) {
        part[count] = iov[i];
        part[count].iov_len = iov[i].iov_len < bytes ? iov[i].iov_len : bytes;
        bytes -= part[count].iov_len;
        count++;
    }
    int rc = 0;
    *ret_len = 0;
    if (count > 0) {
        rc = below->ops->write(below->self, file, part, count, pos, ret_len, err);
    }
    free(part);
    return rc;
}

static int fault_write(void *self, int file, const struct iovec *iov, int iov_count, uint64_t pos,
                       size_t *ret_len, struct zsp_err *err)
{
    struct fault_fs *fs = self;
    struct fault fault;
    if (!hit(fs, FS_CALL_WRITE, &fault)) {
        return fs->below->ops->write(fs->below->self, file, iov, iov_count, pos, ret_len, err);
    }
    *ret_len = 0;
    if (fault.kind == FAULT_ERROR) {
        return fail(FS_CALL_WRITE, &fault, err);
    }
    const int rc = write_part(fs->below, file, iov, iov_count, pos, fault.bytes, ret_len, err);
    if (rc < 0 || fault.kind == FAULT_SHORT) {
        return rc;
    }
    return fail(FS_CALL_WRITE, &fault, err);
}

static int fault_sync(void *self, int file, struct zsp_err *err)
{
    struct fault_fs *fs = self;
    const int rc = fails(fs, FS_CALL_SYNC, err);
    return rc < 0 ? rc : fs->below->ops->sync(fs->below->self, file, err);
}

static int fault_sync_dir(void *self, const char *path, struct zsp_err *err)
{
    struct fault_fs *fs = self;
    const int rc = fails(fs, FS_CALL_SYNC_DIR, err);
    return rc < 0 ? rc : fs->below->ops->sync_dir(fs->below->self, path, err);
}

static int fault_truncate(void *self, int file, uint64_t bytes, struct zsp_err *err)
{
    struct fault_fs *fs = self;
    const int rc = fails(fs, FS_CALL_TRUNCATE, err);
    return rc < 0 ? rc : fs->below->ops->truncate(fs->below->self, file, bytes, err);
}

static int fault_size(void *self, int file, uint64_t *ret_bytes, struct zsp_err *err)
{
    struct fault_fs *fs = self;
    const int rc = fails(fs, FS_CALL_SIZE, err);
    return rc < 0 ? rc : fs->below->ops->size(fs->below->self, file, ret_bytes, err);
}

static int fault_rename(void *self, const char *from, const char *to, struct zsp_err *err)
{
    struct fault_fs *fs = self;
    const int rc = fails(fs, FS_CALL_RENAME, err);
    return rc < 0 ? rc : fs->below->ops->rename(fs->below->self, from, to, err);
}

static int fault_unlink(void *self, const char *path, struct zsp_err *err)
{
    struct fault_fs *fs = self;
    const int rc = fails(fs, FS_CALL_UNLINK, err);
    return rc < 0 ? rc : fs->below->ops->unlink(fs->below->self, path, err);
}

static int fault_rmdir(void *self, const char *path, struct zsp_err *err)
{
    struct fault_fs *fs = self;
    const int rc = fails(fs, FS_CALL_RMDIR, err);
    return rc < 0 ? rc : fs->below->ops->rmdir(fs->below->self, path, err);
}

static int fault_mkdir(void *self, const char *path, struct zsp_err *err)
{
    struct fault_fs *fs = self;
    const int rc = fails(fs, FS_CALL_MKDIR, err);
    return rc < 0 ? rc : fs->below->ops->mkdir(fs->below->self, path, err);
}

static int fault_list(void *self, const char *path,
                      int (*entry_fn)(void *arg, const struct fs_entry *entry), void *arg,
                      struct zsp_err *err)
{
    struct fault_fs *fs = self;
    const int rc = fails(fs, FS_CALL_LIST, err);
    return rc < 0 ? rc : fs->below->ops->list(fs->below->self, path, entry_fn, arg, err);
}

static int fault_lock(void *self, int file, struct zsp_err *err)
{
    struct fault_fs *fs = self;
    const int rc = fails(fs, FS_CALL_LOCK, err);
    return rc < 0 ? rc : fs->below->ops->lock(fs->below->self, file, err);
}

static int fault_free_bytes(void *self, uint64_t *ret_bytes, struct zsp_err *err)
{
    struct fault_fs *fs = self;
    const int rc = fails(fs, FS_CALL_FREE_BYTES, err);
    return rc < 0 ? rc : fs->below->ops->free_bytes(fs->below->self, ret_bytes, err);
}

static int fault_forget(void *self, int file, struct zsp_err *err)
{
    struct fault_fs *fs = self;
    const int rc = fails(fs, FS_CALL_FORGET, err);
    return rc < 0 ? rc : fs->below->ops->forget(fs->below->self, file, err);
}

static const struct fs_ops fault_ops = {
    .open = fault_open,
    .close = fault_close,
    .read = fault_read,
    .read_now = fault_read_now,
    .write = fault_write,
    .sync = fault_sync,
    .sync_dir = fault_sync_dir,
    .truncate = fault_truncate,
    .size = fault_size,
    .rename = fault_rename,
    .unlink = fault_unlink,
    .rmdir = fault_rmdir,
    .mkdir = fault_mkdir,
    .list = fault_list,
    .lock = fault_lock,
    .free_bytes = fault_free_bytes,
    .forget = fault_forget,
};

struct fs *fault_fs_new(struct fs *below)
{
    struct fault_fs *self = calloc(1, sizeof *self);
    zsp_assert(self);
    const int rc = pthread_mutex_init(&self->mutex, NULL);
    zsp_assert(rc == 0);
    self->below = below;
    self->base.ops = &fault_ops;
    self->base.self = self;
    return &self->base;
}

void fault_fs_destroy(struct fs **self_p)
{
    if (!*self_p) {
        return;
    }
    struct fault_fs *self = (*self_p)->self;
    (void)pthread_mutex_destroy(&self->mutex); /* nobody holds it any more */
    free(self);
    *self_p = NULL;
}

void fault_fs_set(struct fs *self, const struct fault *fault)
{
    struct fault_fs *fs = self->self;
    zsp_assert(fault->repeat > 0);
    lock_of(fs);
    fs->fault = *fault;
    fs->armed = true;
    fs->hits = 0;
    unlock_of(fs);
}

void fault_fs_fail_sync(struct fs *self)
{
    const struct fault fault = {
        .kind = FAULT_ERROR, .call = FS_CALL_SYNC, .repeat = 1, .code = ZSP_EIO, .sys_errno = EIO};
    fault_fs_set(self, &fault);
}

void fault_fs_clear(struct fs *self)
{
    struct fault_fs *fs = self->self;
    lock_of(fs);
    fs->armed = false;
    unlock_of(fs);
}

uint64_t fault_fs_hits(struct fs *self)
{
    struct fault_fs *fs = self->self;
    lock_of(fs);
    const uint64_t hits = fs->hits;
    unlock_of(fs);
    return hits;
}

uint64_t fault_fs_calls(struct fs *self, enum fs_call call)
{
    struct fault_fs *fs = self->self;
    lock_of(fs);
    const uint64_t calls = fs->calls[call];
    unlock_of(fs);
    return calls;
}
