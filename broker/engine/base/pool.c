/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/base/pool.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/assert.h"

#define SLAB_ITEMS 64u

/* The items follow, each at a multiple of the size of max_align_t. */
struct pool_slab {
    struct pool_slab *next;
    max_align_t items[];
};

void pool_init(struct pool *self, size_t item_bytes)
{
    const size_t unit = sizeof(max_align_t);
    memset(self, 0, sizeof *self);
    self->item_bytes = (item_bytes + unit - 1) / unit * unit;
}

void pool_fini(struct pool *self)
{
    while (self->slabs) {
        struct pool_slab *const slab = self->slabs;
        self->slabs = slab->next;
        free(slab);
    }
    self->free_first = NULL;
    self->used = 0;
}

static bool grow(struct pool *self)
{
    struct pool_slab *const slab = malloc(sizeof *slab + SLAB_ITEMS * self->item_bytes);
    if (!slab) {
        return false;
    }
    slab->next = self->slabs;
    self->slabs = slab;
    char *const items = (char *)slab->items;
    for (size_t i = SLAB_ITEMS; i-- > 0;) {
        void *const item = items + i * self->item_bytes;
        memcpy(item, &self->free_first, sizeof(void *));
        self->free_first = item;
    }
    return true;
}

void *pool_get(struct pool *self)
{
    if (!self->free_first && !grow(self)) {
        return NULL;
    }
    void *const item = self->free_first;
    memcpy(&self->free_first, item, sizeof(void *));
    memset(item, 0, self->item_bytes);
    self->used++;
    return item;
}

void pool_put(struct pool *self, void *item)
{
    zsp_assert(self->used > 0);
    self->used--;
    memcpy(item, &self->free_first, sizeof(void *));
    self->free_first = item;
}
