/* SPDX-License-Identifier: MPL-2.0
 *
 * The ids of one sealed segment, small enough to be kept in memory: does it hold a certain one?
 * "No" is certain, "yes" is wrong once in 8,000 times; then `.ids` tells (id_file.h).
 *
 * The fingerprints are sorted, and of each only 16 bits are kept. They lie in buckets of about 8,
 * by their upper bits; of each bucket its size is kept, of each 16 buckets where they begin: 17.25
 * bits for an id. A question costs two cache lines.
 */
#ifndef ZSP_STORE_ID_FILTER_H
#define ZSP_STORE_ID_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/store/index/id_table.h"

/* A record that has an id. */
struct id_entry {
    uint64_t print;
    uint32_t delta; /* its offset less the segment's base offset */
};

struct id_filter {
    uint16_t *rests;  /* the lowest bits of each fingerprint, in their order */
    uint8_t *sizes;   /* of each bucket */
    uint32_t *starts; /* of each 16 buckets: the first of its rests */
    uint32_t count;
    uint32_t bucket_count;
    bool is_blind; /* a bucket has too many for its size: all questions are answered yes */
};

/* Sort by fingerprint, then delta. Of those of one fingerprint the ID_SAME_MAX highest stay: *count
 * is less then. Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int id_entries_sort(struct id_entry *entries, uint32_t *count);

/* From sorted entries. Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int id_filter_init(struct id_filter *self, const struct id_entry *entries,
                                  uint32_t count);
bool id_filter_may_have(const struct id_filter *self, uint64_t print);
size_t id_filter_bytes(const struct id_filter *self);
void id_filter_fini(struct id_filter *self);

#endif
