/* SPDX-License-Identifier: MPL-2.0
 *
 * One piece of I/O of the log store: a job and what to do when it is back. The
 * first member of whatever waits for it.
 */
#ifndef ZSP_STORE_IO_H
#define ZSP_STORE_IO_H

#include "broker/store/file/job.h"

struct log_store;

struct io {
    struct job job; /* first: a job handed back is its io */
    /* Called once on the store's thread; may free the io. A failed store calls it
     * too: then it only gives resources back. */
    void (*done_fn)(struct log_store *store, struct io *self);
};

/* It is a task: run_fn on some thread, where job->owner is `owner`, then done_fn. */
static inline void io_task(struct io *self, void (*run_fn)(struct job *job, struct fs *fs),
                           void (*done_fn)(struct log_store *store, struct io *self), void *owner)
{
    self->job = (struct job){.kind = JOB_TASK, .task_fn = run_fn, .owner = owner};
    self->done_fn = done_fn;
}

#endif
