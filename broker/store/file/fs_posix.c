/* SPDX-License-Identifier: MPL-2.0
 *
 * The real file system, through a descriptor of the data directory: the store
 * keeps working in that directory even when the path to it is renamed. A file
 * number is the descriptor itself. errno stays in this file.
 */
#define _GNU_SOURCE /* preadv2, pwritev, flock */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "broker/store/file/fs.h"
#include "common/assert.h"

#define LOCK_TEXT_MAX 32 /* room for a pid and a newline */

struct fs_posix {
    struct fs base;
    int directory;
    /* The file system does not know RWF_NOWAIT; set once, read by any thread,
     * orders nothing. */
    atomic_bool no_read_now;
};

static int code_of(int sys_errno)
{
    switch (sys_errno) {
    case ENOSPC:
    case EDQUOT:
        return ZSP_ENO_SPACE;
    case ENOENT:
        return ZSP_ENOT_FOUND;
    case EEXIST:
        return ZSP_EEXISTS;
    default:
        return ZSP_EIO;
    }
}

/* "" names the data directory itself. */
static const char *path_or_dot(const char *path)
{
    return path[0] == '\0' ? "." : path;
}

static int check_pos(uint64_t pos, size_t len, const char *verb, struct zsp_err *err)
{
    if (pos > (uint64_t)INT64_MAX || len > (uint64_t)INT64_MAX - pos) {
        return zsp_err_set_errno(err, ZSP_EIO, EFBIG, "%s %zu bytes at pos %" PRIu64, verb, len,
                                 pos);
    }
    return 0;
}

static int posix_open(void *self, const char *path, enum fs_open_mode mode, struct zsp_err *err)
{
    const struct fs_posix *fs = self;
    int flags = O_CLOEXEC;
    switch (mode) {
    case FS_READ:
        flags |= O_RDONLY;
        break;
    case FS_WRITE:
        flags |= O_RDWR;
        break;
    case FS_CREATE:
        flags |= O_RDWR | O_CREAT | O_EXCL;
        break;
    }
    int file = 0;
    do {
        file = openat(fs->directory, path, flags, 0640);
    } while (file < 0 && errno == EINTR);
    if (file < 0) {
        const int sys_errno = errno;
        return zsp_err_set_errno(err, code_of(sys_errno), sys_errno, "open %s", path);
    }
    return file;
}

static int posix_close(void *self, int file, struct zsp_err *err)
{
    (void)self;
    /* On Linux an interrupted close has closed the descriptor: never again. */
    if (close(file) < 0 && errno != EINTR) {
        return zsp_err_set_errno(err, ZSP_EIO, errno, "close");
    }
    return 0;
}

static int posix_read(void *self, int file, void *data, size_t len, uint64_t pos, size_t *ret_len,
                      struct zsp_err *err)
{
    (void)self;
    int rc = check_pos(pos, len, "read", err);
    if (rc < 0) {
        return rc;
    }
    ssize_t got = 0;
    do {
        got = pread(file, data, len, (off_t)pos);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        const int sys_errno = errno;
        return zsp_err_set_errno(err, code_of(sys_errno), sys_errno,
                                 "read %zu bytes at pos %" PRIu64, len, pos);
    }
    *ret_len = (size_t)got;
    return 0;
}

static int posix_read_now(void *self, int file, void *data, size_t len, uint64_t pos,
                          size_t *ret_len, struct zsp_err *err)
{
    struct fs_posix *fs = self;
    int rc = check_pos(pos, len, "read", err);
    if (rc < 0) {
        return rc;
    }
    if (atomic_load_explicit(&fs->no_read_now, memory_order_relaxed)) {
        return zsp_err_set(err, ZSP_EAGAIN, "read at pos %" PRIu64 " might block", pos);
    }
    struct iovec iov = {.iov_base = data, .iov_len = len};
    ssize_t got = 0;
    do {
        got = preadv2(file, &iov, 1, (off_t)pos, RWF_NOWAIT);
    } while (got < 0 && errno == EINTR);
    if (got > 0 || (got == 0 && len == 0)) {
        *ret_len = (size_t)got;
        return 0;
    }
    if (got == 0) { /* the end; or, with Linux 5.9 and 5.10, what EAGAIN should have told */
        return zsp_err_set(err, ZSP_EAGAIN, "read at pos %" PRIu64 ": nothing now", pos);
    }
    const int sys_errno = errno;
    if (sys_errno == EOPNOTSUPP || sys_errno == ENOSYS) {
        atomic_store_explicit(&fs->no_read_now, true, memory_order_relaxed);
    } else if (sys_errno != EAGAIN) {
        return zsp_err_set_errno(err, code_of(sys_errno), sys_errno,
                                 "read %zu bytes at pos %" PRIu64, len, pos);
    }
    return zsp_err_set(err, ZSP_EAGAIN, "read at pos %" PRIu64 " would block", pos);
}

static int posix_write(void *self, int file, const struct iovec *iov, int iov_count, uint64_t pos,
                       size_t *ret_len, struct zsp_err *err)
{
    (void)self;
    zsp_assert(iov_count > 0);
    *ret_len = 0;
    size_t len = 0;
    const int count = iov_count < IOV_MAX ? iov_count : IOV_MAX; /* the rest is a short write */
    for (int i = 0; i < count; i++) {
        len += iov[i].iov_len;
    }
    int rc = check_pos(pos, len, "write", err);
    if (rc < 0) {
        return rc;
    }
    ssize_t written = 0;
    do {
        written = pwritev(file, iov, count, (off_t)pos);
    } while (written < 0 && errno == EINTR);
    if (written < 0) {
        const int sys_errno = errno;
        return zsp_err_set_errno(err, code_of(sys_errno), sys_errno,
                                 "write %zu bytes at pos %" PRIu64, len, pos);
    }
    *ret_len = (size_t)written;
    return 0;
}

static int posix_sync(void *self, int file, struct zsp_err *err)
{
    (void)self;
    int rc = 0;
    /* Only an interrupted call is repeated, never one that failed: after a
     * failure the kernel counts the pages as clean. */
    do {
        rc = fdatasync(file);
    } while (rc < 0 && errno == EINTR);
    if (rc < 0) {
        const int sys_errno = errno;
        return zsp_err_set_errno(err, code_of(sys_errno), sys_errno, "fdatasync");
    }
    return 0;
}

static int open_directory(const struct fs_posix *fs, const char *path)
{
    int file = 0;
    do {
        file = openat(fs->directory, path_or_dot(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    } while (file < 0 && errno == EINTR);
    return file;
}

static int posix_sync_dir(void *self, const char *path, struct zsp_err *err)
{
    const int file = open_directory(self, path);
    if (file < 0) {
        const int sys_errno = errno;
        return zsp_err_set_errno(err, code_of(sys_errno), sys_errno, "open directory %s",
                                 path_or_dot(path));
    }
    int rc = 0;
    do {
        rc = fsync(file);
    } while (rc < 0 && errno == EINTR);
    const int sys_errno = errno;
    (void)close(file); /* read only: nothing of it can be lost */
    if (rc < 0) {
        return zsp_err_set_errno(err, code_of(sys_errno), sys_errno, "fsync of directory %s",
                                 path_or_dot(path));
    }
    return 0;
}

static int posix_truncate(void *self, int file, uint64_t bytes, struct zsp_err *err)
{
    (void)self;
    int rc = check_pos(bytes, 0, "truncate", err);
    if (rc < 0) {
        return rc;
    }
    do {
        rc = ftruncate(file, (off_t)bytes);
    } while (rc < 0 && errno == EINTR);
    if (rc < 0) {
        const int sys_errno = errno;
        return zsp_err_set_errno(err, code_of(sys_errno), sys_errno,
                                 "truncate to %" PRIu64 " bytes", bytes);
    }
    return 0;
}

static int posix_size(void *self, int file, uint64_t *ret_bytes, struct zsp_err *err)
{
    (void)self;
    struct stat status;
    if (fstat(file, &status) < 0) {
        return zsp_err_set_errno(err, ZSP_EIO, errno, "stat");
    }
    *ret_bytes = (uint64_t)status.st_size;
    return 0;
}

static int posix_rename(void *self, const char *from, const char *to, struct zsp_err *err)
{
    const struct fs_posix *fs = self;
    if (renameat(fs->directory, from, fs->directory, to) < 0) {
        const int sys_errno = errno;
        return zsp_err_set_errno(err, code_of(sys_errno), sys_errno, "rename %s to %s", from, to);
    }
    return 0;
}

static int posix_unlink(void *self, const char *path, struct zsp_err *err)
{
    const struct fs_posix *fs = self;
    if (unlinkat(fs->directory, path, 0) < 0) {
        const int sys_errno = errno;
        return zsp_err_set_errno(err, code_of(sys_errno), sys_errno, "unlink %s", path);
    }
    return 0;
}

static int posix_rmdir(void *self, const char *path, struct zsp_err *err)
{
    const struct fs_posix *fs = self;
    if (unlinkat(fs->directory, path, AT_REMOVEDIR) < 0) {
        const int sys_errno = errno;
        return zsp_err_set_errno(err, code_of(sys_errno), sys_errno, "rmdir %s", path);
    }
    return 0;
}

static int posix_mkdir(void *self, const char *path, struct zsp_err *err)
{
    const struct fs_posix *fs = self;
    if (mkdirat(fs->directory, path, 0750) == 0) {
        return 0;
    }
    const int sys_errno = errno;
    struct stat status;
    if (sys_errno == EEXIST && fstatat(fs->directory, path, &status, 0) == 0 &&
        S_ISDIR(status.st_mode)) {
        return 0;
    }
    return zsp_err_set_errno(err, code_of(sys_errno), sys_errno, "mkdir %s", path);
}

/* The names of one directory, read whole before the first is told, so that the
 * callback may change the directory. */
struct name_list {
    char **names;
    size_t count;
    size_t capacity;
};

static void name_list_fini(struct name_list *self)
{
    for (size_t i = 0; i < self->count; i++) {
        free(self->names[i]);
    }
    free(self->names);
}

static int name_list_add(struct name_list *self, const char *name)
{
    if (self->count == self->capacity) {
        const size_t capacity = self->capacity > 0 ? 2 * self->capacity : 16;
        char **names = realloc(self->names, capacity * sizeof *names);
        if (!names) {
            return ZSP_ENOMEM;
        }
        self->names = names;
        self->capacity = capacity;
    }
    char *copy = strdup(name);
    if (!copy) {
        return ZSP_ENOMEM;
    }
    self->names[self->count++] = copy;
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int name_list_read(struct name_list *self, DIR *stream, const char *path,
                          struct zsp_err *err)
{
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(stream);
        if (!entry && errno != 0) {
            return zsp_err_set_errno(err, ZSP_EIO, errno, "read directory %s", path_or_dot(path));
        }
        if (!entry) {
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        if (name_list_add(self, entry->d_name) < 0) {
            return zsp_err_set(err, ZSP_ENOMEM, "list directory %s", path_or_dot(path));
        }
    }
    if (self->count > 0) {
        qsort(self->names, self->count, sizeof *self->names, compare_names);
    }
    return 0;
}

/* Tell of each name that is still there. */
static int name_list_tell(const struct name_list *self, int directory,
                          int (*entry_fn)(void *arg, const struct fs_entry *entry), void *arg,
                          struct zsp_err *err)
{
    for (size_t i = 0; i < self->count; i++) {
        struct stat status;
        if (fstatat(directory, self->names[i], &status, AT_SYMLINK_NOFOLLOW) < 0) {
            if (errno == ENOENT) {
                continue;
            }
            return zsp_err_set_errno(err, ZSP_EIO, errno, "stat %s", self->names[i]);
        }
        const struct fs_entry entry = {
            .name = self->names[i],
            .is_directory = S_ISDIR(status.st_mode),
            .bytes = S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0,
        };
        const int rc = entry_fn(arg, &entry);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int posix_list(void *self, const char *path,
                      int (*entry_fn)(void *arg, const struct fs_entry *entry), void *arg,
                      struct zsp_err *err)
{
    const int directory = open_directory(self, path);
    DIR *stream = directory < 0 ? NULL : fdopendir(directory);
    if (!stream) {
        const int sys_errno = errno;
        if (directory >= 0) {
            (void)close(directory); /* read only: nothing of it can be lost */
        }
        return zsp_err_set_errno(err, code_of(sys_errno), sys_errno, "open directory %s",
                                 path_or_dot(path));
    }
    struct name_list names = {0};
    int rc = name_list_read(&names, stream, path, err);
    if (rc == 0) {
        rc = name_list_tell(&names, directory, entry_fn, arg, err);
    }
    name_list_fini(&names);
    (void)closedir(stream); /* read only: nothing of it can be lost */
    return rc;
}

/* The pid that the holder of the lock wrote into the file, 0 = not readable. */
static long lock_holder(int file)
{
    char text[LOCK_TEXT_MAX + 1];
    const ssize_t got = pread(file, text, LOCK_TEXT_MAX, 0);
    if (got <= 0) {
        return 0;
    }
    text[got] = '\0';
    char *end = NULL;
    const long pid = strtol(text, &end, 10);
    return end != text && *end == '\n' && pid > 0 ? pid : 0;
}

static int posix_lock(void *self, int file, struct zsp_err *err)
{
    (void)self;
    int rc = 0;
    do {
        rc = flock(file, LOCK_EX | LOCK_NB);
    } while (rc < 0 && errno == EINTR);
    if (rc < 0 && errno == EWOULDBLOCK) {
        const long pid = lock_holder(file);
        if (pid == 0) {
            return zsp_err_set(err, ZSP_ELOCKED, "locked by another process");
        }
        return zsp_err_set(err, ZSP_ELOCKED, "locked by process %ld", pid);
    }
    if (rc < 0) {
        return zsp_err_set_errno(err, ZSP_EIO, errno, "lock");
    }
    /* For people only: the lock is the kernel's, so a full disk is no reason to refuse it. */
    char text[LOCK_TEXT_MAX];
    const int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    zsp_assert(len > 0);
    if (ftruncate(file, 0) == 0) {
        (void)!pwrite(file, text, (size_t)len, 0);
    }
    return 0;
}

static int posix_free_bytes(void *self, uint64_t *ret_bytes, struct zsp_err *err)
{
    const struct fs_posix *fs = self;
    struct statvfs status;
    int rc = 0;
    do {
        rc = fstatvfs(fs->directory, &status);
    } while (rc < 0 && errno == EINTR);
    if (rc < 0) {
        return zsp_err_set_errno(err, ZSP_EIO, errno, "statvfs");
    }
    const uint64_t block = status.f_frsize;
    const uint64_t count = status.f_bavail;
    *ret_bytes = block > 0 && count > UINT64_MAX / block ? UINT64_MAX : count * block;
    return 0;
}

static int posix_forget(void *self, int file, struct zsp_err *err)
{
    (void)self;
    const int sys_errno = posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    if (sys_errno != 0) {
        return zsp_err_set_errno(err, ZSP_EIO, sys_errno, "fadvise");
    }
    return 0;
}

static const struct fs_ops posix_ops = {
    .open = posix_open,
    .close = posix_close,
    .read = posix_read,
    .read_now = posix_read_now,
    .write = posix_write,
    .sync = posix_sync,
    .sync_dir = posix_sync_dir,
    .truncate = posix_truncate,
    .size = posix_size,
    .rename = posix_rename,
    .unlink = posix_unlink,
    .rmdir = posix_rmdir,
    .mkdir = posix_mkdir,
    .list = posix_list,
    .lock = posix_lock,
    .free_bytes = posix_free_bytes,
    .forget = posix_forget,
};

struct fs *fs_posix_new(const char *directory, struct zsp_err *err)
{
    struct fs_posix *self = calloc(1, sizeof *self);
    if (!self) {
        (void)zsp_err_set(err, ZSP_ENOMEM, "data directory %s", directory);
        return NULL;
    }
    do {
        self->directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    } while (self->directory < 0 && errno == EINTR);
    if (self->directory < 0) {
        const int sys_errno = errno;
        (void)zsp_err_set_errno(err, code_of(sys_errno), sys_errno, "data directory %s", directory);
        free(self);
        return NULL;
    }
    atomic_init(&self->no_read_now, false);
    self->base.ops = &posix_ops;
    self->base.self = self;
    return &self->base;
}

void fs_posix_destroy(struct fs **self_p)
{
    if (!*self_p) {
        return;
    }
    struct fs_posix *self = (*self_p)->self;
    (void)close(self->directory); /* read only: nothing of it can be lost */
    free(self);
    *self_p = NULL;
}
