/* SPDX-License-Identifier: MPL-2.0
 *
 * One piece of I/O that the log store wants done. The store makes jobs, the
 * host runs them with job_run(), inline or on an executor thread, and hands
 * them back to log_store_job_done(). Between the two calls the job and all it
 * points to belong to whoever runs it.
 */
#ifndef ZSP_STORE_JOB_H
#define ZSP_STORE_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/store/file/fs.h"
#include "common/err.h"

enum job_kind {
    JOB_WRITE,  /* bytes to one place of one file; ordered by the store, one at a time a file */
    JOB_SYNC,   /* fdatasync of several files, in order, ended by the first failure */
    JOB_READ,   /* bytes of one place of one file */
    JOB_GATHER, /* bytes of several places of several files */
    JOB_TASK    /* a rare, slow piece of work: make, seal, index, remove, measure space */
};

/* A place in a file, and where its bytes go. */
struct job_range {
    int file;
    uint64_t pos;
    size_t len;
    uint8_t *data;
};

struct job {
    enum job_kind kind;
    struct zsp_err error; /* filled by job_run; code 0 = it worked */
    struct job *next;     /* for whoever holds the job */
    int64_t since_us;     /* likewise: when it was handed over; job_run() knows no clock */
    void *owner;          /* the store's */

    /* WRITE, READ */
    int file;
    uint64_t pos;
    size_t len;        /* bytes wanted in all */
    size_t done;       /* bytes written or read; told also with an error */
    struct iovec *iov; /* WRITE: the bytes; changed while it runs */
    int iov_count;
    uint8_t *data; /* READ: where to */

    /* GATHER; `len` and `done` are of all ranges */
    const struct job_range *ranges;
    size_t range_count;

    /* SYNC */
    const int *files;
    size_t file_count;
    bool awaited; /* for the host: somebody's answer waits for it; told when it is handed out */

    /* TASK: run by the executor; may call any fs function; `owner` is its argument */
    void (*task_fn)(struct job *self, struct fs *fs);
};

/* Do the work, blocking. Short writes and reads are continued; a read that ends
 * early at the end of the file is not an error, see `done`. */
void job_run(struct job *self, struct fs *fs);

/* Do it only if it surely does not block (a READ or GATHER whose bytes are in memory).
 * False = nothing was done, run it elsewhere. */
bool job_try(struct job *self, struct fs *fs);

#endif
