/* SPDX-License-Identifier: MPL-2.0
 *
 * The tail buffers: received frames of the newest batches, kept by reference so
 * that consumers who keep up are served without a copy and without the disk.
 * Bounded over all partitions; the oldest goes first.
 */
#ifndef ZSP_STORE_TAIL_H
#define ZSP_STORE_TAIL_H

#include "broker/store/store.h"

/* The batches of one partition, without a gap: a ring. Zero-initialise. */
struct tail_part {
    struct store_batch *items;
    uint32_t first;
    uint32_t count;
    uint32_t capacity; /* 0 or a power of two; bounded by the bytes of all */
};

/* All of them: who owns the n-th oldest batch. Zero-initialise but for bytes_max. */
struct tail {
    struct tail_part **order; /* ring; NULL = its partition is gone */
    size_t first;
    size_t count;
    size_t capacity;
    uint64_t bytes; /* bodies and what keeping them costs */
    uint64_t bytes_max;
};

/* Keep a batch that follows the last one kept; it holds its own reference from
 * here on. Without memory, or when it is larger than all room, the partition's
 * tail is dropped instead: nothing but speed is lost. */
void tail_add(struct tail *self, struct tail_part *part, const struct store_batch *batch);

/* Batches of [from, to) from the batch that holds `from` on, up to `max_bytes` of bodies (the
 * first in any case): how many, the first in *ret_index. 0 = `from` is not there. */
size_t tail_find(const struct tail_part *part, const struct store_range *range, uint32_t max_bytes,
                 size_t *ret_index);
const struct store_batch *tail_get(const struct tail_part *part, size_t index);

/* Forget the batches of a partition that end at or below an offset. */
void tail_drop_below(struct tail *self, struct tail_part *part, uint64_t offset);
/* Forget all of a partition. */
void tail_drop(struct tail *self, struct tail_part *part);
void tail_fini(struct tail *self);

#endif
