/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/crash_fs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/assert.h"
#include "common/hash.h"
#include "tests/support/crash_fs_priv.h"

#define ROOM_WITHOUT_LIMIT (UINT64_C(1) << 50)

void crash_bytes_resize(struct crash_bytes *self, uint64_t size)
{
    if (size > self->capacity) {
        uint64_t capacity = self->capacity > 0 ? self->capacity : CRASH_PAGE;
        while (capacity < size) {
            capacity *= 2;
        }
        uint8_t *data = realloc(self->data, capacity);
        zsp_assert(data);
        memset(data + self->capacity, 0, capacity - self->capacity);
        self->data = data;
        self->capacity = capacity;
    }
    if (size < self->size) {
        memset(self->data + size, 0, self->size - size);
    }
    self->size = size;
}

void crash_bytes_write(struct crash_bytes *self, uint64_t pos, const uint8_t *data, uint64_t len)
{
    if (pos + len > self->size) {
        crash_bytes_resize(self, pos + len);
    }
    memcpy(self->data + pos, data, len);
}

/* Count a call; the code of a frozen file system, else 0. */
static int enter(struct crash_fs *self, struct zsp_err *err)
{
    if (self->calls >= self->freeze_at) {
        return zsp_err_set_errno(err, ZSP_EIO, EIO, "frozen");
    }
    self->calls++;
    return 0;
}

static struct crash_file *file_of(struct crash_fs *self, int file)
{
    zsp_assert(file >= 0);
    zsp_assert(file < CRASH_FILES);
    zsp_assert(self->files[file].is_open);
    return &self->files[file];
}

static struct crash_inode *inode_of(struct crash_fs *self, int file)
{
    return self->inodes[file_of(self, file)->inode];
}

static int not_found(const char *verb, const char *path, struct zsp_err *err)
{
    return zsp_err_set_errno(err, ZSP_ENOT_FOUND, ENOENT, "%s %s", verb, path);
}

static struct crash_name name_make(const struct crash_inode *directory, const char *name,
                                   const struct crash_inode *inode)
{
    struct crash_name made = {.directory = directory->number, .inode = inode->number};
    memcpy(made.name, name, strlen(name) + 1);
    return made;
}

static int take_file(struct crash_fs *self, struct crash_inode *inode, bool writable)
{
    int file = 0;
    while (self->files[file].is_open) {
        file++;
        zsp_assert(file < CRASH_FILES);
    }
    self->files[file] =
        (struct crash_file){.is_open = true, .writable = writable, .inode = inode->number};
    inode->open_count++;
    return file;
}

static int crash_open(void *base, const char *path, enum fs_open_mode mode, struct zsp_err *err)
{
    struct crash_fs *self = base;
    int rc = enter(self, err);
    if (rc < 0) {
        return rc;
    }
    const char *name = NULL;
    struct crash_inode *parent = crash_path_parent(self, path, &name);
    struct crash_inode *inode = crash_path_find(self, path);
    if (!parent || (!inode && mode != FS_CREATE)) {
        return not_found("open", path, err);
    }
    if (inode && mode == FS_CREATE) {
        return zsp_err_set_errno(err, ZSP_EEXISTS, EEXIST, "open %s", path);
    }
    if (inode && inode->is_directory) {
        return zsp_err_set_errno(err, ZSP_EIO, EISDIR, "open %s", path);
    }
    if (!inode) {
        inode = crash_inode_new(self, false);
        const struct crash_name made = name_make(parent, name, inode);
        crash_name_change(self, NULL, &made);
    }
    return take_file(self, inode, mode != FS_READ);
}

static int crash_close(void *base, int file, struct zsp_err *err)
{
    struct crash_fs *self = base;
    const int rc = enter(self, err);
    struct crash_file *open_file = file_of(self, file);
    struct crash_inode *inode = self->inodes[open_file->inode];
    if (open_file->holds_lock) {
        inode->locked = false;
    }
    inode->open_count--;
    open_file->is_open = false;
    return rc;
}

static int crash_read(void *base, int file, void *data, size_t len, uint64_t pos, size_t *ret_len,
                      struct zsp_err *err)
{
    struct crash_fs *self = base;
    int rc = enter(self, err);
    if (rc < 0) {
        return rc;
    }
    const struct crash_bytes *bytes = &inode_of(self, file)->cache;
    size_t got = 0;
    if (pos < bytes->size) {
        got = len < bytes->size - pos ? len : (size_t)(bytes->size - pos);
        memcpy(data, bytes->data + pos, got);
    }
    *ret_len = got;
    return 0;
}

static int crash_read_now(void *base, int file, void *data, size_t len, uint64_t pos,
                          size_t *ret_len, struct zsp_err *err)
{
    struct crash_fs *self = base;
    if (self->cold_per_mille > 0 && prng_chance(&self->cold, self->cold_per_mille)) {
        return zsp_err_set(err, ZSP_EAGAIN, "read at pos %" PRIu64 " would block", pos);
    }
    return crash_read(base, file, data, len, pos, ret_len, err);
}

static uint64_t pages(uint64_t bytes)
{
    return (bytes + CRASH_PAGE - 1) / CRASH_PAGE * CRASH_PAGE;
}

/* How far a file may grow that is `size` bytes long. */
static uint64_t growth_left(const struct crash_fs *self, uint64_t size)
{
    if (self->limit == UINT64_MAX) {
        return UINT64_MAX - size;
    }
    const uint64_t used = crash_fs_used(&self->base);
    return pages(size) - size + (used < self->limit ? self->limit - used : 0);
}

static struct crash_change *add_change(struct crash_inode *inode)
{
    inode->changes = crash_grow(inode->changes, &inode->change_capacity, inode->change_count + 1,
                                sizeof *inode->changes);
    struct crash_change *change = &inode->changes[inode->change_count++];
    memset(change, 0, sizeof *change);
    return change;
}

static int crash_write(void *base, int file, const struct iovec *iov, int iov_count, uint64_t pos,
                       size_t *ret_len, struct zsp_err *err)
{
    struct crash_fs *self = base;
    *ret_len = 0;
    int rc = enter(self, err);
    if (rc < 0) {
        return rc;
    }
    if (!file_of(self, file)->writable) {
        return zsp_err_set_errno(err, ZSP_EIO, EBADF, "write");
    }
    size_t len = 0;
    for (int i = 0; i < iov_count; i++) {
        len += iov[i].iov_len;
    }
    struct crash_inode *inode = inode_of(self, file);
    const uint64_t size = inode->cache.size;
    const uint64_t room_end = size + growth_left(self, size);
    if (pos + len > room_end) {
        if (pos >= room_end) {
            return zsp_err_set_errno(err, ZSP_ENO_SPACE, ENOSPC, "write %zu bytes at pos %" PRIu64,
                                     len, pos);
        }
        len = (size_t)(room_end - pos);
    }
    uint8_t *data = malloc(len + 1);
    zsp_assert(data);
    size_t copied = 0;
    for (int i = 0; i < iov_count && copied < len; i++) {
        const size_t part = iov[i].iov_len < len - copied ? iov[i].iov_len : len - copied;
        memcpy(data + copied, iov[i].iov_base, part);
        copied += part;
    }
    crash_bytes_write(&inode->cache, pos, data, len);
    struct crash_change *change = add_change(inode);
    change->pos = pos;
    change->len = len;
    change->data = data;
    change->size_then = inode->cache.size;
    *ret_len = len;
    return 0;
}

static int crash_sync(void *base, int file, struct zsp_err *err)
{
    struct crash_fs *self = base;
    int rc = enter(self, err);
    if (rc < 0) {
        return rc;
    }
    struct crash_inode *inode = inode_of(self, file);
    if (self->fail_sync != UINT64_MAX && self->fail_sync-- == 0) {
        self->fail_sync = UINT64_MAX;
        crash_inode_lose_changes(inode, &self->fail_prng);
        inode->evicted = prng_chance(&self->fail_prng, 500);
        return zsp_err_set_errno(err, ZSP_EIO, EIO, "fdatasync");
    }
    for (size_t i = 0; i < inode->change_count; i++) {
        struct crash_change *change = &inode->changes[i];
        if (change->is_truncate) {
            crash_bytes_resize(&inode->durable, change->pos);
        } else {
            crash_bytes_write(&inode->durable, change->pos, change->data, change->len);
        }
        free(change->data);
    }
    inode->change_count = 0;
    /* They differ only when an earlier sync failed. */
    crash_bytes_resize(&inode->durable, inode->cache.size);
    return 0;
}

static int crash_sync_dir(void *base, const char *path, struct zsp_err *err)
{
    struct crash_fs *self = base;
    int rc = enter(self, err);
    if (rc < 0) {
        return rc;
    }
    const struct crash_inode *inode = crash_path_find(self, path);
    if (!inode || !inode->is_directory) {
        return not_found("open directory", path, err);
    }
    crash_names_sync(self, inode->number);
    crash_inodes_collect(self);
    return 0;
}

static int crash_truncate(void *base, int file, uint64_t bytes, struct zsp_err *err)
{
    struct crash_fs *self = base;
    int rc = enter(self, err);
    if (rc < 0) {
        return rc;
    }
    struct crash_inode *inode = inode_of(self, file);
    const uint64_t size = inode->cache.size;
    if (bytes > size && bytes - size > growth_left(self, size)) {
        return zsp_err_set_errno(err, ZSP_ENO_SPACE, ENOSPC, "truncate to %" PRIu64 " bytes",
                                 bytes);
    }
    crash_bytes_resize(&inode->cache, bytes);
    struct crash_change *change = add_change(inode);
    change->is_truncate = true;
    change->pos = bytes;
    change->size_then = bytes;
    return 0;
}

static int crash_size(void *base, int file, uint64_t *ret_bytes, struct zsp_err *err)
{
    struct crash_fs *self = base;
    int rc = enter(self, err);
    if (rc < 0) {
        return rc;
    }
    *ret_bytes = inode_of(self, file)->cache.size;
    return 0;
}

static int crash_rename(void *base, const char *from, const char *to, struct zsp_err *err)
{
    struct crash_fs *self = base;
    int rc = enter(self, err);
    if (rc < 0) {
        return rc;
    }
    const char *from_name = NULL;
    const char *to_name = NULL;
    const struct crash_inode *from_parent = crash_path_parent(self, from, &from_name);
    const struct crash_inode *to_parent = crash_path_parent(self, to, &to_name);
    const struct crash_inode *inode = crash_path_find(self, from);
    if (!inode || !from_parent || !to_parent) {
        return not_found("rename", from, err);
    }
    const struct crash_name removed = name_make(from_parent, from_name, inode);
    const struct crash_name added = name_make(to_parent, to_name, inode);
    crash_name_change(self, &removed, &added);
    return 0;
}

static bool is_empty(const struct crash_fs *self, const struct crash_inode *directory)
{
    for (size_t i = 0; i < self->now.count; i++) {
        if (self->now.items[i].directory == directory->number) {
            return false;
        }
    }
    return true;
}

static int remove_name(struct crash_fs *self, const char *path, bool directory, struct zsp_err *err)
{
    int rc = enter(self, err);
    if (rc < 0) {
        return rc;
    }
    const char *verb = directory ? "rmdir" : "unlink";
    const char *name = NULL;
    const struct crash_inode *parent = crash_path_parent(self, path, &name);
    const struct crash_inode *inode = crash_path_find(self, path);
    if (!parent || !inode) {
        return not_found(verb, path, err);
    }
    if (inode->is_directory != directory) {
        return zsp_err_set_errno(err, ZSP_EIO, directory ? ENOTDIR : EISDIR, "%s %s", verb, path);
    }
    if (directory && !is_empty(self, inode)) {
        return zsp_err_set_errno(err, ZSP_EIO, ENOTEMPTY, "rmdir %s", path);
    }
    const struct crash_name removed = name_make(parent, name, inode);
    crash_name_change(self, &removed, NULL);
    return 0;
}

static int crash_unlink(void *base, const char *path, struct zsp_err *err)
{
    return remove_name(base, path, false, err);
}

static int crash_rmdir(void *base, const char *path, struct zsp_err *err)
{
    return remove_name(base, path, true, err);
}

static int crash_mkdir(void *base, const char *path, struct zsp_err *err)
{
    struct crash_fs *self = base;
    int rc = enter(self, err);
    if (rc < 0) {
        return rc;
    }
    const char *name = NULL;
    const struct crash_inode *parent = crash_path_parent(self, path, &name);
    if (!parent) {
        return not_found("mkdir", path, err);
    }
    const struct crash_inode *found = crash_path_find(self, path);
    if (found) {
        return found->is_directory ? 0
                                   : zsp_err_set_errno(err, ZSP_EEXISTS, EEXIST, "mkdir %s", path);
    }
    const struct crash_name made = name_make(parent, name, crash_inode_new(self, true));
    crash_name_change(self, NULL, &made);
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct crash_name *)a)->name, ((const struct crash_name *)b)->name);
}

/* A sorted copy of a directory's names; the caller frees it. */
static struct crash_name *sorted_names(const struct crash_fs *self,
                                       const struct crash_inode *directory, size_t *ret_count)
{
    struct crash_name *names = calloc(self->now.count + 1, sizeof *names);
    zsp_assert(names);
    size_t count = 0;
    for (size_t i = 0; i < self->now.count; i++) {
        if (self->now.items[i].directory == directory->number) {
            names[count++] = self->now.items[i];
        }
    }
    qsort(names, count, sizeof *names, compare_names);
    *ret_count = count;
    return names;
}

static int crash_list(void *base, const char *path,
                      int (*entry_fn)(void *arg, const struct fs_entry *entry), void *arg,
                      struct zsp_err *err)
{
    struct crash_fs *self = base;
    int rc = enter(self, err);
    if (rc < 0) {
        return rc;
    }
    const struct crash_inode *directory = crash_path_find(self, path);
    if (!directory || !directory->is_directory) {
        return not_found("open directory", path, err);
    }
    size_t count = 0;
    struct crash_name *names = sorted_names(self, directory, &count);
    for (size_t i = 0; i < count && rc == 0; i++) {
        const struct crash_name *name =
            crash_name_find(&self->now, names[i].directory, names[i].name);
        if (!name) {
            continue; /* removed by the callback */
        }
        const struct crash_inode *inode = self->inodes[name->inode];
        const struct fs_entry entry = {
            .name = names[i].name, .is_directory = inode->is_directory, .bytes = inode->cache.size};
        rc = entry_fn(arg, &entry);
    }
    free(names);
    return rc;
}

static int crash_lock(void *base, int file, struct zsp_err *err)
{
    struct crash_fs *self = base;
    int rc = enter(self, err);
    if (rc < 0) {
        return rc;
    }
    struct crash_inode *inode = inode_of(self, file);
    if (inode->locked && !file_of(self, file)->holds_lock) {
        return zsp_err_set(err, ZSP_ELOCKED, "locked by another process");
    }
    inode->locked = true;
    file_of(self, file)->holds_lock = true;
    return 0;
}

static int crash_free_bytes(void *base, uint64_t *ret_bytes, struct zsp_err *err)
{
    struct crash_fs *self = base;
    int rc = enter(self, err);
    if (rc < 0) {
        return rc;
    }
    const uint64_t used = crash_fs_used(&self->base);
    if (self->limit == UINT64_MAX) {
        *ret_bytes = ROOM_WITHOUT_LIMIT;
    } else {
        *ret_bytes = used < self->limit ? self->limit - used : 0;
    }
    return 0;
}

static int crash_forget(void *base, int file, struct zsp_err *err)
{
    struct crash_fs *self = base;
    (void)file_of(self, file);
    return enter(self, err);
}

static const struct fs_ops crash_ops = {
    .open = crash_open,
    .close = crash_close,
    .read = crash_read,
    .read_now = crash_read_now,
    .write = crash_write,
    .sync = crash_sync,
    .sync_dir = crash_sync_dir,
    .truncate = crash_truncate,
    .size = crash_size,
    .rename = crash_rename,
    .unlink = crash_unlink,
    .rmdir = crash_rmdir,
    .mkdir = crash_mkdir,
    .list = crash_list,
    .lock = crash_lock,
    .free_bytes = crash_free_bytes,
    .forget = crash_forget,
};

struct fs *crash_fs_new(void)
{
    struct crash_fs *self = calloc(1, sizeof *self);
    zsp_assert(self);
    self->base.ops = &crash_ops;
    self->base.self = self;
    self->freeze_at = UINT64_MAX;
    self->limit = UINT64_MAX;
    self->fail_sync = UINT64_MAX;
    (void)crash_inode_new(self, true); /* the root, number 0 */
    return &self->base;
}

void crash_fs_destroy(struct fs **self_p)
{
    if (!*self_p) {
        return;
    }
    struct crash_fs *self = (*self_p)->self;
    for (size_t i = 0; i < self->inode_count; i++) {
        if (self->inodes[i]) {
            crash_inode_destroy(self->inodes[i]);
        }
    }
    free(self->inodes);
    free(self->now.items);
    free(self->durable.items);
    free(self->name_changes);
    free(self);
    *self_p = NULL;
}

void crash_fs_freeze_at(struct fs *self, uint64_t call_index)
{
    struct crash_fs *fs = self->self;
    fs->freeze_at = fs->calls + call_index;
}

bool crash_fs_frozen(const struct fs *self)
{
    const struct crash_fs *fs = self->self;
    return fs->calls >= fs->freeze_at;
}

uint64_t crash_fs_calls(const struct fs *self)
{
    return ((const struct crash_fs *)self->self)->calls;
}

void crash_fs_set_limit(struct fs *self, uint64_t bytes)
{
    ((struct crash_fs *)self->self)->limit = bytes;
}

uint64_t crash_fs_used(const struct fs *self)
{
    const struct crash_fs *fs = self->self;
    uint64_t used = 0;
    for (size_t i = 0; i < fs->now.count; i++) {
        used += pages(fs->inodes[fs->now.items[i].inode]->cache.size);
    }
    return used;
}

void crash_fs_fail_sync(struct fs *self, uint64_t sync_index, uint64_t seed)
{
    struct crash_fs *fs = self->self;
    fs->fail_sync = sync_index;
    fs->fail_prng.state = seed;
}

void crash_fs_set_cold(struct fs *self, unsigned per_mille, uint64_t seed)
{
    struct crash_fs *fs = self->self;
    fs->cold_per_mille = per_mille;
    fs->cold.state = seed;
}

static void flip(struct crash_bytes *bytes, uint64_t pos, unsigned bit)
{
    if (pos < bytes->size) {
        bytes->data[pos] = (uint8_t)(bytes->data[pos] ^ (1u << bit));
    }
}

bool crash_fs_flip(struct fs *self, const char *path, uint64_t pos, unsigned bit)
{
    zsp_assert(bit < 8);
    struct crash_inode *inode = crash_path_find(self->self, path);
    if (!inode || pos >= inode->cache.size) {
        return false;
    }
    flip(&inode->cache, pos, bit);
    flip(&inode->durable, pos, bit);
    return true;
}
