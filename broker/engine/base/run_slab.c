/* SPDX-License-Identifier: MPL-2.0 */
#include <stdlib.h>

#include "broker/engine/base/run_node.h"
#include "common/assert.h"
#include "common/err.h"

#define CHUNK_NODES RUN_CHUNK_NODES
#define SPARE_NODES (CHUNK_NODES / 2) /* kept, so that no step needs a chunk and gives it back */
#define NO_CHUNK    UINT32_MAX
#define SWEEP_NODES 16384u /* given back in one turn: a millisecond or two */

struct run_chunk {
    uint32_t next, prev; /* of those with room; or next, of the vacant slots */
    uint32_t free_first; /* a node, linked through left; RUN_NO_NODE = only from `touched` on */
    uint16_t free_count;
    uint16_t touched; /* nodes from here on were never used */
};
_Static_assert(CHUNK_NODES <= UINT16_MAX, "nodes of a chunk");

void run_slab_init(struct run_slab *self, struct reasons *reasons)
{
    *self = (struct run_slab){.used = 1,
                              .room_first = NO_CHUNK,
                              .room_last = NO_CHUNK,
                              .vacant_first = NO_CHUNK,
                              .draw = 2463534242u,
                              .reasons = reasons};
}

void run_slab_fini(struct run_slab *self)
{
    for (uint32_t i = 0; i < self->slot_count; i++) {
        free(self->nodes[i]);
    }
    free(self->nodes);
    free(self->chunks);
    run_slab_init(self, NULL);
}

static void unlink_chunk(struct run_slab *self, uint32_t at)
{
    const struct run_chunk *const chunk = &self->chunks[at];
    *(chunk->prev != NO_CHUNK ? &self->chunks[chunk->prev].next : &self->room_first) = chunk->next;
    *(chunk->next != NO_CHUNK ? &self->chunks[chunk->next].prev : &self->room_last) = chunk->prev;
}

static void link_first(struct run_slab *self, uint32_t at)
{
    self->chunks[at].prev = NO_CHUNK;
    self->chunks[at].next = self->room_first;
    *(self->room_first != NO_CHUNK ? &self->chunks[self->room_first].prev : &self->room_last) = at;
    self->room_first = at;
}

static void link_last(struct run_slab *self, uint32_t at)
{
    self->chunks[at].next = NO_CHUNK;
    self->chunks[at].prev = self->room_last;
    *(self->room_last != NO_CHUNK ? &self->chunks[self->room_last].next : &self->room_first) = at;
    self->room_last = at;
}

/* Have a vacant slot. */
static int grow_slots(struct run_slab *self)
{
    if (self->vacant_first != NO_CHUNK) {
        return 0;
    }
    if (self->slot_count == self->slot_capacity) {
        const uint32_t capacity = self->slot_capacity > 0 ? self->slot_capacity * 2 : 4;
        struct run_node **nodes = realloc(self->nodes, capacity * sizeof(struct run_node *));
        self->nodes = nodes ? nodes : self->nodes;
        struct run_chunk *chunks = nodes ? realloc(self->chunks, capacity * sizeof *chunks) : NULL;
        if (!chunks) {
            return ZSP_ENOMEM;
        }
        self->chunks = chunks;
        self->slot_capacity = capacity;
    }
    self->nodes[self->slot_count] = NULL;
    self->chunks[self->slot_count].next = NO_CHUNK;
    self->vacant_first = self->slot_count++;
    return 0;
}

static int add_chunk(struct run_slab *self)
{
    if (self->slot_count >= UINT32_MAX >> RUN_CHUNK_SHIFT || grow_slots(self) < 0) {
        return ZSP_ENOMEM;
    }
    struct run_node *nodes = calloc(CHUNK_NODES, sizeof *nodes);
    if (!nodes) {
        return ZSP_ENOMEM;
    }
    const uint32_t at = self->vacant_first;
    const uint16_t none = at == 0 ? 1 : 0; /* number 0 is no node: the first chunk stays */
    self->vacant_first = self->chunks[at].next;
    self->nodes[at] = nodes;
    self->chunks[at] = (struct run_chunk){
        .free_first = RUN_NO_NODE, .free_count = (uint16_t)(CHUNK_NODES - none), .touched = none};
    self->chunk_count++;
    link_last(self, at);
    return 0;
}

int run_slab_reserve(struct run_slab *self, uint32_t count)
{
    while ((uint64_t)self->chunk_count * CHUNK_NODES < (uint64_t)self->used + count) {
        if (add_chunk(self) < 0) {
            return ZSP_ENOMEM;
        }
    }
    return 0;
}

size_t run_slab_bytes(const struct run_slab *self)
{
    return (size_t)self->chunk_count * CHUNK_NODES * sizeof(struct run_node);
}

static bool is_unused(const struct run_slab *self, uint32_t at)
{
    return at != NO_CHUNK && self->chunks[at].free_count == CHUNK_NODES;
}

void run_slab_trim(struct run_slab *self)
{
    while (is_unused(self, self->room_last) &&
           (self->chunk_count - 1) * (uint64_t)CHUNK_NODES >= self->used + SPARE_NODES) {
        const uint32_t at = self->room_last;
        unlink_chunk(self, at);
        free(self->nodes[at]);
        self->nodes[at] = NULL;
        self->chunks[at].next = self->vacant_first;
        self->vacant_first = at;
        self->chunk_count--;
    }
}

uint32_t run_node_take(struct run_slab *slab)
{
    const uint32_t at = slab->room_first;
    zsp_assert(at != NO_CHUNK); /* the caller reserved */
    struct run_chunk *const chunk = &slab->chunks[at];
    uint32_t node = chunk->free_first;
    if (node != RUN_NO_NODE) {
        chunk->free_first = run_node_at(slab, node)->left;
    } else {
        node = (at << RUN_CHUNK_SHIFT) + chunk->touched++;
    }
    slab->used++;
    if (--chunk->free_count == 0) {
        unlink_chunk(slab, at);
    }
    return node;
}

void run_node_give(struct run_slab *slab, uint32_t node)
{
    const uint32_t at = node >> RUN_CHUNK_SHIFT;
    struct run_chunk *const chunk = &slab->chunks[at];
    run_node_at(slab, node)->left = chunk->free_first;
    chunk->free_first = node;
    slab->used--;
    slab->work++;
    if (++chunk->free_count == 1) {
        link_first(slab, at);
    } else if (chunk->free_count == CHUNK_NODES) {
        unlink_chunk(slab, at);
        link_last(slab, at);
    }
}

void run_node_discard(struct run_slab *slab, uint32_t tree)
{
    if (tree != RUN_NO_NODE) {
        run_node_at(slab, tree)->rank = slab->litter;
        slab->litter = tree;
    }
}

void run_node_sweep(struct run_slab *slab, uint32_t nodes_max)
{
    for (; slab->litter != RUN_NO_NODE && nodes_max > 0; nodes_max--) {
        const uint32_t at = slab->litter;
        const struct run_node *node = run_node_at(slab, at);
        slab->litter = node->rank;
        run_node_discard(slab, node->right);
        run_node_discard(slab, node->left);
        reasons_drop(slab->reasons, node->run.reasons);
        run_node_give(slab, at);
    }
}

bool run_slab_sweep(struct run_slab *self)
{
    if (self->litter == RUN_NO_NODE) {
        return false;
    }
    run_node_sweep(self, SWEEP_NODES);
    run_slab_trim(self);
    return self->litter != RUN_NO_NODE;
}
