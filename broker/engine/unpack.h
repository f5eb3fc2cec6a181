/* SPDX-License-Identifier: MPL-2.0
 *
 * Compressed batches, unpacked: to check one that is published, and to serve its records
 * to clients that do not take it as it is. The last few that were served are kept, so
 * that a batch which is read slice by slice is not unpacked again for each.
 */
#ifndef ZSP_ENGINE_UNPACK_H
#define ZSP_ENGINE_UNPACK_H

#include "broker/store/store.h"
#include "common/codec.h"
#include "common/limits.h"

struct partition;

#define UNPACK_KEPT       8u                   /* batches kept */
#define UNPACK_KEPT_BYTES (2u * ZSP_FRAME_MAX) /* of them; beyond it the oldest go */

/* A batch that was unpacked. */
struct unpacked {
    uint64_t topic_id, first_offset;
    uint32_t partition;
    uint64_t used;       /* of unpack.uses, when it was last wanted */
    struct zsp_buf *raw; /* holds a reference; NULL = free */
};

/* Zero-initialise. */
struct unpack {
    struct zsp_unpacker *unpacker; /* made when it is needed first */
    uint8_t *scratch;              /* of received batches */
    size_t scratch_bytes;
    struct unpacked kept[UNPACK_KEPT];
    uint64_t uses;
    uint64_t done_bytes; /* unpacked so far, all together: what it cost */
    /* Likewise of stored records that were looked at one by one; what else a turn does counts as
     * so many. */
    uint64_t walked_bytes;
};

void unpack_fini(struct unpack *self);

/* The records of a received frame; lent until the next call.
 * Errors: ZSP_EBAD_RECORD  see zsp_unpack(); ZSP_ENOMEM */
int unpack_received(struct unpack *self, struct zsp_slice packed, uint32_t raw_bytes,
                    struct zsp_slice *ret, struct zsp_err *err);

/* The records of a compressed batch of the partition; *ret holds a reference.
 * Errors: ZSP_ECORRUPT  an unknown codec, or the stored frame does not unpack; names the place
 *         ZSP_ENOMEM */
int unpack_stored(struct unpack *self, const struct partition *partition,
                  const struct store_batch *batch, struct zsp_buf **ret, struct zsp_err *err);

#endif
