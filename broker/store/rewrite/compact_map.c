/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/rewrite/compact_map.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/hash.h"

#define CAPACITY_FIRST 1024u

void compact_map_init(struct compact_map *self, size_t count_max, const uint64_t seeds[2])
{
    memset(self, 0, sizeof *self);
    self->count_max = count_max;
    self->seeds[0] = seeds[0];
    self->seeds[1] = seeds[1];
}

static void sums_of(const struct compact_map *self, struct zsp_slice key, uint64_t sums[2])
{
    sums[0] = zsp_hash_seeded(key, self->seeds[0]);
    sums[1] = zsp_hash_seeded(key, self->seeds[1]);
}

/* The slot of that key, or the free one where it would be. */
static struct compact_slot *find(const struct compact_map *self, const uint64_t sums[2])
{
    size_t at = (size_t)sums[0] & (self->capacity - 1);
    struct compact_slot *slot = &self->slots[at];
    while (slot->next_offset != 0 && (slot->sums[0] != sums[0] || slot->sums[1] != sums[1])) {
        at = (at + 1) & (self->capacity - 1);
        slot = &self->slots[at];
    }
    return slot;
}

static int grow(struct compact_map *self)
{
    const struct compact_map old = *self;
    const size_t capacity = old.capacity > 0 ? old.capacity * 2 : CAPACITY_FIRST;
    struct compact_slot *const slots = calloc(capacity, sizeof *slots);
    if (!slots) {
        return ZSP_ENOMEM;
    }
    self->slots = slots;
    self->capacity = capacity;
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.slots[i].next_offset != 0) {
            *find(self, old.slots[i].sums) = old.slots[i];
        }
    }
    free(old.slots);
    return 0;
}

int compact_map_put(struct compact_map *self, struct zsp_slice key, uint64_t offset)
{
    if (self->count >= self->capacity / 4 * 3 && grow(self) < 0) {
        return ZSP_ENOMEM;
    }
    uint64_t sums[2];
    sums_of(self, key, sums);
    struct compact_slot *const slot = find(self, sums);
    if (slot->next_offset == 0) {
        if (self->count == self->count_max) {
            return 1;
        }
        self->count++;
        slot->sums[0] = sums[0];
        slot->sums[1] = sums[1];
    }
    slot->next_offset = offset + 1;
    return 0;
}

bool compact_map_has_newer(const struct compact_map *self, struct zsp_slice key, uint64_t offset)
{
    if (self->count == 0) {
        return false;
    }
    uint64_t sums[2];
    sums_of(self, key, sums);
    return find(self, sums)->next_offset > offset + 1;
}

void compact_map_fini(struct compact_map *self)
{
    free(self->slots);
    memset(self, 0, sizeof *self);
}
