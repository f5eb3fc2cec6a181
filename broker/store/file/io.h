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

#endif
