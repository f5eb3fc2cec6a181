/* SPDX-License-Identifier: MPL-2.0
 *
 * The part of a stored batch that goes into a reply: its records inside a range
 * of offsets, as many as two limits allow.
 */
#ifndef ZSP_ENGINE_BATCH_SLICE_H
#define ZSP_ENGINE_BATCH_SLICE_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/store/store.h"

struct batch_limits {
    uint64_t max_messages; /* 0 = nothing fits */
    uint64_t max_bytes;    /* body bytes */
    bool first_fits;       /* the first record fits whatever its size (not its count) */
};

struct batch_slice {
    uint64_t first_offset;
    uint64_t count; /* 0 = the limits, or the range, leave nothing */
    size_t pos;     /* in the batch's frame */
    size_t len;
    size_t walked; /* bytes of records that were looked at one by one: what it cost */
    bool is_cut;   /* the limits left out records of the range */
};

/* Cut [range.first_offset, range.end_offset) out of a batch of checked records. The range
 * may reach over both ends of the batch. Whole batches cost nothing per record.
 *
 * Errors: ZSP_ECORRUPT  the body does not hold the records that its header tells
 */
int batch_slice(const struct store_batch *batch, struct store_range range,
                const struct batch_limits *limits, struct batch_slice *ret, struct zsp_err *err);

#endif
