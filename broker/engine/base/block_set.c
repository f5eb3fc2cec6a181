/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/base/block_set.h"

#include <stdlib.h>
#include <string.h>

#include "common/assert.h"
#include "common/err.h"

void block_set_fini(struct block_set *self)
{
    free(self->array);
    self->array = NULL;
}

/* Index of the first block that is not below `block`. */
static size_t place_of(const struct block_set *self, uint64_t block)
{
    size_t low = 0;
    size_t high = block_set_count(self);
    if (high > 0 && block_set_at(self, high - 1) < block) {
        return high;
    }
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (block_set_at(self, middle) < block) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool is_at(const struct block_set *self, size_t at, uint64_t block)
{
    return at < block_set_count(self) && block_set_at(self, at) == block;
}

bool block_set_has(const struct block_set *self, uint64_t block)
{
    return is_at(self, place_of(self, block), block);
}

int block_set_reserve(struct block_set *self, uint32_t count)
{
    const uint32_t had = block_set_count(self);
    const uint32_t room = self->array ? self->array->capacity : 0;
    if (count <= room - had) {
        return 0;
    }
    uint32_t capacity = room > 0 ? room * 2 : 1;
    capacity = capacity > had + count ? capacity : had + count;
    struct block_array *const array =
        realloc(self->array, sizeof *array + capacity * sizeof array->blocks[0]);
    if (!array) {
        return ZSP_ENOMEM;
    }
    array->count = had;
    array->capacity = capacity;
    self->array = array;
    return 0;
}

void block_set_trim(struct block_set *self)
{
    if (block_set_count(self) == 0) {
        block_set_fini(self);
    }
}

void block_set_add(struct block_set *self, uint64_t block)
{
    const size_t at = place_of(self, block);
    if (is_at(self, at, block)) {
        return;
    }
    struct block_array *const array = self->array;
    zsp_assert(array);
    zsp_assert(array->count < array->capacity);
    memmove(&array->blocks[at + 1], &array->blocks[at],
            (array->count - at) * sizeof array->blocks[0]);
    array->blocks[at] = block;
    array->count++;
}

void block_set_remove(struct block_set *self, uint64_t block)
{
    const size_t at = place_of(self, block);
    if (is_at(self, at, block)) {
        struct block_array *const array = self->array;
        array->count--;
        memmove(&array->blocks[at], &array->blocks[at + 1],
                (array->count - at) * sizeof array->blocks[0]);
    }
}
