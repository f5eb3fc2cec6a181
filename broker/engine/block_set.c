/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/block_set.h"

#include <stdlib.h>
#include <string.h>

#include "common/assert.h"
#include "common/err.h"

void block_set_fini(struct block_set *self)
{
    free(self->blocks);
    *self = (struct block_set){0};
}

/* Index of the first block that is not below `block`. */
static size_t place_of(const struct block_set *self, uint64_t block)
{
    if (self->count > 0 && self->blocks[self->count - 1] < block) {
        return self->count;
    }
    size_t low = 0;
    size_t high = self->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (self->blocks[middle] < block) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool block_set_has(const struct block_set *self, uint64_t block)
{
    const size_t at = place_of(self, block);
    return at < self->count && self->blocks[at] == block;
}

int block_set_reserve(struct block_set *self, uint32_t count)
{
    if (count <= self->capacity - self->count) {
        return 0;
    }
    uint32_t capacity = self->capacity > 0 ? self->capacity * 2 : 1;
    capacity = capacity > self->count + count ? capacity : self->count + count;
    uint64_t *blocks = realloc(self->blocks, capacity * sizeof *blocks);
    if (!blocks) {
        return ZSP_ENOMEM;
    }
    self->blocks = blocks;
    self->capacity = capacity;
    return 0;
}

void block_set_trim(struct block_set *self)
{
    if (self->count == 0) {
        block_set_fini(self);
    }
}

void block_set_add(struct block_set *self, uint64_t block)
{
    const size_t at = place_of(self, block);
    if (at < self->count && self->blocks[at] == block) {
        return;
    }
    zsp_assert(self->count < self->capacity);
    memmove(&self->blocks[at + 1], &self->blocks[at], (self->count - at) * sizeof *self->blocks);
    self->blocks[at] = block;
    self->count++;
}

void block_set_remove(struct block_set *self, uint64_t block)
{
    const size_t at = place_of(self, block);
    if (at < self->count && self->blocks[at] == block) {
        self->count--;
        memmove(&self->blocks[at], &self->blocks[at + 1],
                (self->count - at) * sizeof *self->blocks);
    }
}
