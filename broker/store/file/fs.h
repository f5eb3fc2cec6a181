/* SPDX-License-Identifier: MPL-2.0
 *
 * The file calls of the store, all of them, behind one small table. fs_posix.c
 * is the real one; tests put others in its place: fail the n-th call, keep
 * unsynced pages apart and lose, reorder or tear them, fill the disk.
 *
 * Paths are relative to the data directory and use '/'. Calls may come from
 * several threads, on one file as well: reads, writes of other bytes than are read, and one sync;
 * never two syncs of one file, of which only one might hear of a failure.
 * Every call returns >= 0 or a negative code with `err` filled:
 *
 * Errors: ZSP_EIO        the call failed; err->sys_errno tells how
 *         ZSP_ENO_SPACE  ENOSPC or EDQUOT
 *         ZSP_ENOT_FOUND the path does not exist
 *         ZSP_EEXISTS    FS_CREATE and the path exists
 *         ZSP_ELOCKED    lock: another process holds it; the message names its pid if known
 *         ZSP_EAGAIN     read_now: the bytes are not in memory
 *
 * EINTR is retried inside; short reads and writes are told, not hidden.
 */
#ifndef ZSP_STORE_FS_H
#define ZSP_STORE_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "common/err.h"

enum fs_open_mode {
    FS_READ,  /* read only */
    FS_WRITE, /* read and write, must exist */
    FS_CREATE /* read and write, must not exist */
};

/* What fs_list tells of one entry. */
struct fs_entry {
    const char *name; /* valid for the call */
    bool is_directory;
    uint64_t bytes; /* of a regular file */
};

struct fs_ops {
    /* A file number >= 0. */
    int (*open)(void *self, const char *path, enum fs_open_mode mode, struct zsp_err *err);
    /* Closing tells errors, but the file is closed in any case. */
    int (*close)(void *self, int file, struct zsp_err *err);
    /* Up to `len` bytes at `pos`; *ret_len < len at the end of the file or on a short read. */
    int (*read)(void *self, int file, void *data, size_t len, uint64_t pos, size_t *ret_len,
                struct zsp_err *err);
    /* As read, only if it does not block; else ZSP_EAGAIN, and at the end of the file maybe too. */
    int (*read_now)(void *self, int file, void *data, size_t len, uint64_t pos, size_t *ret_len,
                    struct zsp_err *err);
    /* pwritev once. *ret_len = bytes written, also when an error follows a part. */
    int (*write)(void *self, int file, const struct iovec *iov, int iov_count, uint64_t pos,
                 size_t *ret_len, struct zsp_err *err);
    /* fdatasync: data, and as much metadata as is needed to read it back. */
    int (*sync)(void *self, int file, struct zsp_err *err);
    /* fsync of a directory: names made, moved or removed in it. "" = the data directory. */
    int (*sync_dir)(void *self, const char *path, struct zsp_err *err);
    int (*truncate)(void *self, int file, uint64_t bytes, struct zsp_err *err);
    int (*size)(void *self, int file, uint64_t *ret_bytes, struct zsp_err *err);
    int (*rename)(void *self, const char *from, const char *to, struct zsp_err *err);
    int (*unlink)(void *self, const char *path, struct zsp_err *err);
    int (*rmdir)(void *self, const char *path, struct zsp_err *err);
    /* One level; fine if it exists already. */
    int (*mkdir)(void *self, const char *path, struct zsp_err *err);
    /* Call `entry_fn` for each name but . and .., in byte order of the names;
     * a nonzero return ends the walk and is returned. */
    int (*list)(void *self, const char *path,
                int (*entry_fn)(void *arg, const struct fs_entry *entry), void *arg,
                struct zsp_err *err);
    /* An exclusive kernel lock on the file for as long as it stays open. */
    int (*lock)(void *self, int file, struct zsp_err *err);
    /* Bytes that an unprivileged user could still write. */
    int (*free_bytes)(void *self, uint64_t *ret_bytes, struct zsp_err *err);
    /* A hint: the file's cached pages may be dropped, later reads come from the device. */
    int (*forget)(void *self, int file, struct zsp_err *err);
};

struct fs {
    const struct fs_ops *ops;
    void *self;
};

/* The file system below `directory`, which must exist. The path is copied.
 * Returns NULL with `err` filled when it cannot be opened. */
struct fs *fs_posix_new(const char *directory, struct zsp_err *err);
void fs_posix_destroy(struct fs **self_p);

#endif
