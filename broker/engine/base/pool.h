/* SPDX-License-Identifier: MPL-2.0
 *
 * A pool of equal objects, taken and given back once per request, so that the
 * hot path does not reach the allocator. Memory is kept until the pool ends.
 */
#ifndef ZSP_ENGINE_POOL_H
#define ZSP_ENGINE_POOL_H

#include <stddef.h>

struct pool_slab;

struct pool {
    size_t item_bytes;       /* set by pool_init */
    void *free_first;        /* linked through the items */
    struct pool_slab *slabs; /* all memory */
    size_t used;             /* items out */
};

void pool_init(struct pool *self, size_t item_bytes);
/* Frees all items, also those that are out. */
void pool_fini(struct pool *self);
/* A zeroed item; NULL when out of memory. */
void *pool_get(struct pool *self);
void pool_put(struct pool *self, void *item);

#endif
