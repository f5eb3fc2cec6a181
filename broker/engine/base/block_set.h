/* SPDX-License-Identifier: MPL-2.0
 *
 * Which blocks of ZSP_STATE_BLOCK offsets of one ledger have a durable object:
 * a sorted array, since blocks come and go at its end nearly always.
 */
#ifndef ZSP_ENGINE_BLOCK_SET_H
#define ZSP_ENGINE_BLOCK_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/compiler.h"

struct block_array {
    uint32_t count, capacity;
    uint64_t blocks[];
};

/* Zero-initialise. */
struct block_set {
    struct block_array *array; /* NULL = it is empty, nothing is reserved */
};

static inline uint32_t block_set_count(const struct block_set *self)
{
    return self->array ? self->array->count : 0;
}

/* The lowest is number 0. */
static inline uint64_t block_set_at(const struct block_set *self, size_t index)
{
    return self->array->blocks[index];
}

void block_set_fini(struct block_set *self);
bool block_set_has(const struct block_set *self, uint64_t block);
/* Room for `count` more. Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int block_set_reserve(struct block_set *self, uint32_t count);
/* Add (room is reserved) or remove; nothing happens when it is there, or not there. */
void block_set_add(struct block_set *self, uint64_t block);
void block_set_remove(struct block_set *self, uint64_t block);
/* Give the memory of an empty set back. What was reserved is not, any more. */
void block_set_trim(struct block_set *self);

#endif
