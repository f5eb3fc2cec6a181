/* SPDX-License-Identifier: MPL-2.0
 *
 * A file system (broker/store/file/fs.h) over another one that fails on demand: the
 * n-th call, of one kind or of any, once or from then on; or reads and writes
 * less than asked. It counts calls, so that a test can loop "fail the n-th"
 * until an operation gets through without a fault.
 *
 * A failing call does nothing below, except FAULT_PART. Thread-safe as fs.h asks.
 */
#ifndef ZSP_TESTS_FAULT_FS_H
#define ZSP_TESTS_FAULT_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/store/file/fs.h"

enum fs_call {
    FS_CALL_OPEN,
    FS_CALL_CLOSE,
    FS_CALL_READ,
    FS_CALL_READ_NOW,
    FS_CALL_WRITE,
    FS_CALL_SYNC,
    FS_CALL_SYNC_DIR,
    FS_CALL_TRUNCATE,
    FS_CALL_SIZE,
    FS_CALL_RENAME,
    FS_CALL_UNLINK,
    FS_CALL_RMDIR,
    FS_CALL_MKDIR,
    FS_CALL_LIST,
    FS_CALL_LOCK,
    FS_CALL_FREE_BYTES,
    FS_CALL_FORGET,
    FS_CALL_ANY /* every kind; also the number of kinds */
};

/* "open", "write", ...; "any". */
const char *fs_call_name(enum fs_call call);

enum fault_kind {
    FAULT_ERROR, /* the call fails */
    FAULT_SHORT, /* read, write: only `bytes` bytes, no error */
    FAULT_PART   /* write: `bytes` bytes are written, then the error is told */
};

struct fault {
    enum fault_kind kind;
    enum fs_call call;  /* which calls count; SHORT and PART hit reads and writes only */
    uint64_t countdown; /* calls that pass before the first hit */
    uint64_t repeat;    /* hits, UINT64_MAX = from then on */
    int code;           /* ZSP_EIO, ZSP_ENO_SPACE, ... */
    int sys_errno;
    size_t bytes;
};

/* Over `below`, which is lent until destroy. Never NULL. */
struct fs *fault_fs_new(struct fs *below);
void fault_fs_destroy(struct fs **self_p);

/* Set the one fault; counting starts now. */
void fault_fs_set(struct fs *self, const struct fault *fault);
/* The same for the next sync of a file, which tells ZSP_EIO. */
void fault_fs_fail_sync(struct fs *self);
/* No fault from now on. */
void fault_fs_clear(struct fs *self);
/* How often the fault was hit since it was set. */
uint64_t fault_fs_hits(struct fs *self);
/* Calls of this kind since fault_fs_new(), failed ones included. */
uint64_t fault_fs_calls(struct fs *self, enum fs_call call);

#endif
