/* SPDX-License-Identifier: MPL-2.0
 *
 * What was read from files lately, kept by reference: readers that stand at about the
 * same place, as the groups of one topic do, share one read and one check of its sums.
 * Bounded over all partitions; what nobody has asked for longest goes first.
 *
 * Batches below a partition's mark never change, so what is kept is never wrong; whether
 * an offset may still be read is for the caller to know.
 */
#ifndef ZSP_STORE_READ_CACHE_H
#define ZSP_STORE_READ_CACHE_H

#include "broker/store/store.h"

struct cached_read;

/* Those of one partition, by their first offsets. Zero-initialise. */
struct read_cache_part {
    struct cached_read **items;
    uint32_t count;
    uint32_t capacity;
};

/* All of them. Zero-initialise but for bytes_max. */
struct read_cache {
    struct cached_read *newest; /* asked for last */
    struct cached_read *oldest;
    uint64_t bytes; /* buffers and what keeping them costs */
    uint64_t bytes_max;
};

/* Keep batches that follow each other without a gap and share one buffer; it holds its
 * own references from here on. Without memory, or when they are larger than all room,
 * or there already, nothing happens. */
void read_cache_add(struct read_cache *self, struct read_cache_part *part,
                    const struct store_batch *batches, uint32_t count);

/* Batches of [from, to) from the batch that holds `from` on, up to `max_bytes` of bodies (the
 * first in any case): how many, the first in *ret_batches, lent until the next call. 0 = `from`
 * is not there. */
size_t read_cache_find(struct read_cache *self, const struct read_cache_part *part,
                       const struct store_range *range, uint32_t max_bytes,
                       const struct store_batch **ret_batches);

/* Forget all of a partition. */
void read_cache_drop(struct read_cache *self, struct read_cache_part *part);

#endif
