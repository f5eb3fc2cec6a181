/* SPDX-License-Identifier: MPL-2.0
 *
 * Keys and the offset of the newest message that has each, for a compaction: bounded memory, however
 * long the keys are. A key is told by two sums of 64 bits with secret seeds, which are drawn anew for
 * each compaction: that two keys have the same ones is as likely as a broken processor, and cannot be
 * brought about from outside.
 */
#ifndef ZSP_STORE_COMPACT_MAP_H
#define ZSP_STORE_COMPACT_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/compiler.h"

struct compact_slot {
    uint64_t sums[2];
    uint64_t next_offset; /* behind that of the newest message; 0 = the slot is free */
};

/* Zero-initialise, then compact_map_init(). */
struct compact_map {
    struct compact_slot *slots;
    size_t capacity; /* a power of two */
    size_t count;
    size_t count_max;
    uint64_t seeds[2];
};

/* It takes at most so many keys. */
void compact_map_init(struct compact_map *self, size_t count_max, const uint64_t seeds[2]);
/* A message with this key is at `offset`. Returns 0, 1 = it is full.
 * Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int compact_map_put(struct compact_map *self, struct zsp_slice key, uint64_t offset);
/* Is there a message with this key behind `offset`? */
bool compact_map_has_newer(const struct compact_map *self, struct zsp_slice key, uint64_t offset);
void compact_map_fini(struct compact_map *self);

#endif
