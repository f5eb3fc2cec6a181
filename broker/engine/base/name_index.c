/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/base/name_index.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/assert.h"
#include "common/err.h"

static int compare(struct zsp_slice a, struct zsp_slice b)
{
    const size_t shorter = a.len < b.len ? a.len : b.len;
    const int order = shorter > 0 ? memcmp(a.data, b.data, shorter) : 0;
    if (order != 0) {
        return order;
    }
    return (a.len > b.len) - (a.len < b.len);
}

/* The first slot whose name is not less than `name`. */
static size_t lower_bound(const struct name_index *self, struct zsp_slice name)
{
    size_t low = 0;
    size_t high = self->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (compare(self->slots[middle].name, name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool is_at(const struct name_index *self, size_t slot, struct zsp_slice name)
{
    return slot < self->count && zsp_slice_equal(self->slots[slot].name, name);
}

void name_index_fini(struct name_index *self)
{
    free(self->slots);
    memset(self, 0, sizeof *self);
}

void *name_index_find(const struct name_index *self, struct zsp_slice name)
{
    const size_t slot = lower_bound(self, name);
    return is_at(self, slot, name) ? self->slots[slot].value : NULL;
}

size_t name_index_after(const struct name_index *self, struct zsp_slice name)
{
    if (name.len == 0) {
        return 0;
    }
    const size_t slot = lower_bound(self, name);
    return is_at(self, slot, name) ? slot + 1 : slot;
}

int name_index_add(struct name_index *self, struct zsp_slice name, void *value)
{
    if (self->count == self->capacity) {
        const uint32_t capacity = self->capacity > 0 ? self->capacity * 2 : 1;
        struct name_slot *const slots = realloc(self->slots, capacity * sizeof *slots);
        if (!slots) {
            return ZSP_ENOMEM;
        }
        self->slots = slots;
        self->capacity = capacity;
    }
    const size_t slot = lower_bound(self, name);
    zsp_assert(!is_at(self, slot, name));
    memmove(self->slots + slot + 1, self->slots + slot, (self->count - slot) * sizeof *self->slots);
    self->slots[slot] = (struct name_slot){.name = name, .value = value};
    self->count++;
    return 0;
}

void *name_index_remove(struct name_index *self, struct zsp_slice name)
{
    const size_t slot = lower_bound(self, name);
    if (!is_at(self, slot, name)) {
        return NULL;
    }
    void *const value = self->slots[slot].value;
    self->count--;
    memmove(self->slots + slot, self->slots + slot + 1, (self->count - slot) * sizeof *self->slots);
    return value;
}
