/* SPDX-License-Identifier: MPL-2.0
 *
 * Linear probing. A removal moves later members of the probe run back instead
 * of leaving a marker, so that a table never fills with markers and a lookup
 * always ends at the first free slot. Grows at three quarters.
 */
#include "common/table.h"

#include <stdlib.h>

#include "common/assert.h"
#include "common/err.h"
#include "common/hash.h"

#define CAPACITY_MIN 4u
#define CAPACITY_MAX ((size_t)1 << 31) /* a slot's hash has 32 bits */

void zsp_table_init(struct zsp_table *self, uint64_t seed)
{
    *self = (struct zsp_table){.seed = seed};
}

void zsp_table_fini(struct zsp_table *self)
{
    free(self->slots);
    zsp_table_init(self, self->seed);
}

static struct zsp_slice key_of(const struct zsp_table_slot *slot)
{
    return (struct zsp_slice){(const uint8_t *)slot->value + slot->key_at, slot->key_len};
}

static uint32_t hash_of(const struct zsp_table *self, struct zsp_slice key)
{
    return (uint32_t)zsp_hash_seeded(key, self->seed);
}

/* The slot that holds the key, or the free one where it belongs. The table has
 * at least one free slot. */
static size_t slot_of(const struct zsp_table *self, struct zsp_slice key, uint32_t hash)
{
    const size_t mask = self->capacity - 1;
    size_t i = (size_t)hash & mask;
    while (self->slots[i].value &&
           (self->slots[i].hash != hash || !zsp_slice_equal(key_of(&self->slots[i]), key))) {
        i = (i + 1) & mask;
    }
    return i;
}

void *zsp_table_find(const struct zsp_table *self, struct zsp_slice key)
{
    if (self->count == 0) {
        return NULL;
    }
    return self->slots[slot_of(self, key, hash_of(self, key))].value;
}

static int grow(struct zsp_table *self)
{
    if (self->capacity >= CAPACITY_MAX) {
        return ZSP_ENOMEM;
    }
    struct zsp_table bigger = *self;
    bigger.capacity = self->capacity == 0 ? CAPACITY_MIN : self->capacity * 2;
    bigger.slots = calloc(bigger.capacity, sizeof *bigger.slots);
    if (!bigger.slots) {
        return ZSP_ENOMEM;
    }
    for (size_t i = 0; i < self->capacity; i++) {
        const struct zsp_table_slot *old = &self->slots[i];
        if (old->value) {
            bigger.slots[slot_of(&bigger, key_of(old), old->hash)] = *old;
        }
    }
    free(self->slots);
    *self = bigger;
    return 0;
}

int zsp_table_add(struct zsp_table *self, struct zsp_slice key, void *value)
{
    zsp_assert(value != NULL);
    const uintptr_t key_at = (uintptr_t)key.data - (uintptr_t)value;
    zsp_assert(key_at <= UINT16_MAX);
    zsp_assert(key.len <= UINT16_MAX);
    if (self->count >= self->capacity / 4 * 3) {
        const int rc = grow(self);
        if (rc != 0) {
            return rc;
        }
    }
    const uint32_t hash = hash_of(self, key);
    struct zsp_table_slot *slot = &self->slots[slot_of(self, key, hash)];
    zsp_assert(slot->value == NULL);
    *slot = (struct zsp_table_slot){value, (uint16_t)key_at, (uint16_t)key.len, hash};
    self->count++;
    return 0;
}

void *zsp_table_remove(struct zsp_table *self, struct zsp_slice key)
{
    if (self->count == 0) {
        return NULL;
    }
    const size_t mask = self->capacity - 1;
    size_t hole = slot_of(self, key, hash_of(self, key));
    void *value = self->slots[hole].value;
    if (!value) {
        return NULL;
    }
    for (size_t i = (hole + 1) & mask; self->slots[i].value; i = (i + 1) & mask) {
        /* A member may move back into the hole unless its home lies behind it. */
        const size_t home = (size_t)self->slots[i].hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            self->slots[hole] = self->slots[i];
            hole = i;
        }
    }
    self->slots[hole] = (struct zsp_table_slot){0};
    self->count--;
    if (self->count == 0) { /* many tables are idle, or had a peak */
        zsp_table_fini(self);
    }
    return value;
}

void *zsp_table_next(const struct zsp_table *self, size_t *cursor)
{
    while (*cursor < self->capacity) {
        void *value = self->slots[(*cursor)++].value;
        if (value) {
            return value;
        }
    }
    return NULL;
}
