/* SPDX-License-Identifier: MPL-2.0
 *
 * Room on the disk. Appends are refused while less than min_free_bytes is free, or
 * while the journal waits for room; STORE_SPACE tells when that changes. Reads and
 * what is in the journal's filled space go on.
 *
 * The file system is asked by a task, once a second while something is appended or
 * refused. In between the store counts by how much its own writes make files grow,
 * and asks early when half of what was left is spent; an append for which the
 * count leaves no room is refused before anything is written.
 */
#ifndef ZSP_STORE_SPACE_H
#define ZSP_STORE_SPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct log_store;

/* Zero-initialise. */
struct space {
    bool refuses;          /* what STORE_SPACE told last */
    bool low;              /* less than min_free_bytes at the last measure, or a write found none */
    bool measuring;        /* the task is out */
    bool in_doubt;         /* ask now: the count, or a write, says that there is no room */
    int64_t next_ms;       /* not before this */
    uint64_t appended;     /* stats.appended_bytes at the last measure */
    uint64_t spent;        /* bytes by which files were made to grow since the last measure began */
    uint64_t spent_before; /* of those, before the measure that is out began */
};

/* Measure once, at once (start-up). */
int space_start(struct log_store *store, struct zsp_err *err);
/* Is there room for one more batch of `bytes`, behind those that wait?
 * Errors: ZSP_ENO_SPACE */
int space_take(struct log_store *store, uint64_t bytes, struct zsp_err *err);
/* A write on its way makes a file grow by `bytes`. */
void space_spend(struct log_store *store, uint64_t bytes);
/* A write found no room. */
void space_exhausted(struct log_store *store);
/* Begin a measure if it is time for one. */
void space_step(struct log_store *store);
/* Tell STORE_SPACE if the answer changed. */
void space_check(struct log_store *store);
int64_t space_deadline_ms(const struct log_store *store);

#endif
