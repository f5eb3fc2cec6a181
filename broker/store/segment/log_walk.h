/* SPDX-License-Identifier: MPL-2.0
 *
 * A walk over the batches of one segment that knows what was confirmed: where a
 * check fails below the proven mark there is damage, above it a torn tail. It only
 * reads; what is to be done about the one or the other is the caller's. The rules
 * are those of docs/LOG_FORMAT.md, section 5.
 */
#ifndef ZSP_STORE_LOG_WALK_H
#define ZSP_STORE_LOG_WALK_H

#include "broker/store/segment/scan.h"

struct log_walk {
    struct scan scan;
    uint64_t proven;       /* no check may fail below this offset; rises with each `synced to` */
    uint64_t search_bytes; /* how far behind a failed check a proof is looked for */
};

enum walk_found {
    WALK_BATCH, /* a valid batch; the walk stands behind it */
    WALK_END,   /* the plain end: zeros, or the end of the file */
    WALK_TORN,  /* a torn tail; the walk stands still at its beginning */
    WALK_DAMAGE /* confirmed bytes fail their check */
};

/* What the walk met that is no batch. */
struct walk_gap {
    uint64_t pos;          /* where the check failed */
    uint64_t end_pos;      /* TORN: after the last nonzero byte; DAMAGE: where a batch is again */
    uint64_t first_offset; /* DAMAGE: the offsets that are lost */
    uint64_t end_offset;
    bool resumed; /* DAMAGE: the walk stands at end_pos and can go on; else it stands still */
    struct zsp_err what; /* why the check failed; code 0 = zeros where a batch was due */
};

/* Look at the next batch; with `body` the body's sum is checked as well.
 * Returns an enum walk_found, or an error of the file system, ZSP_ENOMEM. */
int log_walk_next(struct log_walk *self, bool body, struct batch_header *ret,
                  struct walk_gap *ret_gap, struct zsp_err *err);

#endif
