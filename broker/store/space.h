/* SPDX-License-Identifier: MPL-2.0
 *
 * Room on the disk. Appends are refused while less than min_free_bytes is free, or
 * while the journal waits for room; STORE_SPACE tells when that changes. Reads and
 * what is in the journal's filled space go on. Measured by a task once a second,
 * but only while something is appended or refused.
 */
#ifndef ZSP_STORE_SPACE_H
#define ZSP_STORE_SPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct log_store;

/* Zero-initialise. */
struct space {
    bool refuses;      /* what STORE_SPACE told last */
    bool low;          /* less than min_free_bytes at the last measure */
    bool measuring;    /* the task is out */
    int64_t next_ms;   /* not before this */
    uint64_t appended; /* stats.appended_bytes at the last measure */
};

/* Measure once, at once (start-up). */
int space_start(struct log_store *store, struct zsp_err *err);
/* Begin a measure if it is time for one. */
void space_step(struct log_store *store);
/* Tell STORE_SPACE if the answer changed. */
void space_check(struct log_store *store);
int64_t space_deadline_ms(const struct log_store *store);

#endif
