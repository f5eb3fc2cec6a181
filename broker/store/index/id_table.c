/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/index/id_table.h"

#include <stdlib.h>
#include <string.h>

#include "common/assert.h"
#include "common/err.h"
#include "common/hash.h"

#define CAPACITY_MIN 16u

uint64_t id_fingerprint(struct zsp_slice id)
{
    const uint64_t print = zsp_hash(id);
    return print != 0 ? print : 1;
}

/* Where a search for `print` begins. */
static uint32_t home_of(const struct id_table *self, uint64_t print)
{
    return (uint32_t)print & (self->capacity - 1);
}

static uint32_t next_of(const struct id_table *self, uint32_t slot)
{
    return (slot + 1) & (self->capacity - 1);
}

static void put(struct id_table *self, uint64_t print, uint32_t value)
{
    uint32_t slot = home_of(self, print);
    while (self->prints[slot] != 0) {
        slot = next_of(self, slot);
    }
    self->prints[slot] = print;
    self->values[slot] = value;
}

static int grow(struct id_table *self)
{
    struct id_table larger = {.count = self->count,
                              .capacity = self->capacity ? self->capacity * 2 : CAPACITY_MIN};
    zsp_assert(larger.capacity > self->capacity); /* a segment has far fewer records */
    larger.prints = calloc(larger.capacity, sizeof *larger.prints);
    larger.values = calloc(larger.capacity, sizeof *larger.values);
    if (!larger.prints || !larger.values) {
        id_table_fini(&larger);
        return ZSP_ENOMEM;
    }
    for (uint32_t i = 0; i < self->capacity; i++) {
        if (self->prints[i] != 0) {
            put(&larger, self->prints[i], self->values[i]);
        }
    }
    id_table_fini(self);
    *self = larger;
    return 0;
}

int id_table_add(struct id_table *self, uint64_t print, uint32_t value)
{
    zsp_assert(print != 0);
    if (self->count >= self->capacity / 4 * 3) {
        const int rc = grow(self);
        if (rc != 0) {
            return rc;
        }
    }
    uint32_t slot = home_of(self, print);
    uint32_t lowest = slot;
    uint32_t same = 0;
    for (; self->prints[slot] != 0; slot = next_of(self, slot)) {
        if (self->prints[slot] == print) {
            if (self->values[slot] == value) {
                return 0;
            }
            lowest = same == 0 || self->values[slot] < self->values[lowest] ? slot : lowest;
            same++;
        }
    }
    if (same < ID_SAME_MAX) {
        self->prints[slot] = print;
        self->values[slot] = value;
        self->count++;
    } else if (value > self->values[lowest]) {
        self->values[lowest] = value;
    }
    return 0;
}

size_t id_table_find(const struct id_table *self, uint64_t print, uint32_t out[ID_SAME_MAX])
{
    size_t count = 0;
    if (self->capacity == 0) {
        return 0;
    }
    for (uint32_t slot = home_of(self, print); self->prints[slot] != 0;
         slot = next_of(self, slot)) {
        if (self->prints[slot] != print) {
            continue;
        }
        size_t at = count++;
        for (; at > 0 && out[at - 1] < self->values[slot]; at--) {
            out[at] = out[at - 1];
        }
        out[at] = self->values[slot];
    }
    return count;
}

bool id_table_has(const struct id_table *self, uint64_t print)
{
    uint32_t values[ID_SAME_MAX];
    return id_table_find(self, print, values) > 0;
}

/* Empty the slot; what stands behind it because it was taken moves up. */
static void empty(struct id_table *self, uint32_t slot)
{
    const uint32_t mask = self->capacity - 1;
    uint32_t hole = slot;
    for (uint32_t at = next_of(self, slot); self->prints[at] != 0; at = next_of(self, at)) {
        const uint32_t home = home_of(self, self->prints[at]);
        if (((at - home) & mask) >= ((at - hole) & mask)) { /* its home is not behind the hole */
            self->prints[hole] = self->prints[at];
            self->values[hole] = self->values[at];
            hole = at;
        }
    }
    self->prints[hole] = 0;
    self->count--;
}

void id_table_remove(struct id_table *self, uint64_t print, uint32_t value)
{
    if (self->capacity == 0) {
        return;
    }
    for (uint32_t slot = home_of(self, print); self->prints[slot] != 0;
         slot = next_of(self, slot)) {
        if (self->prints[slot] == print && self->values[slot] == value) {
            empty(self, slot);
            return;
        }
    }
}

size_t id_table_bytes(const struct id_table *self)
{
    return self->capacity * (sizeof *self->prints + sizeof *self->values);
}

void id_table_fini(struct id_table *self)
{
    free(self->prints);
    free(self->values);
    memset(self, 0, sizeof *self);
}
