/* SPDX-License-Identifier: MPL-2.0
 *
 * The nodes of maps of runs, as runmap.c and run_slab.c share them.
 */
#ifndef ZSP_ENGINE_RUN_NODE_H
#define ZSP_ENGINE_RUN_NODE_H

#include "broker/engine/base/runmap.h"

#define RUN_CHUNK_SHIFT 10u
#define RUN_CHUNK_NODES (1u << RUN_CHUNK_SHIFT)
#define RUN_NO_NODE     0u

/* Of a map that is not empty. */
struct run_head {
    uint64_t count[RUN_STATES]; /* messages by state */
    uint32_t root;
};

/* A run of a tree, or the head of a map. */
struct run_node {
    union {
        struct run_head head;
        struct {
            uint64_t first;
            uint32_t count;
            uint32_t
                rank; /* drawn; a parent's is not below its children's. Of litter: the next one */
            uint32_t left, right;
            struct run run;
            int64_t below_due_ms; /* the least due_ms of WAITING runs below, or INT64_MAX */
            uint32_t below;       /* classes of runs in the subtree */
        };
    };
};

static inline struct run_node *run_node_at(const struct run_slab *slab, uint32_t node)
{
    return &slab->nodes[node >> RUN_CHUNK_SHIFT][node & (RUN_CHUNK_NODES - 1)];
}

/* Take a node, which was reserved, and give one back. */
uint32_t run_node_take(struct run_slab *slab);
void run_node_give(struct run_slab *slab, uint32_t node);
/* The tree is litter from now on. */
void run_node_discard(struct run_slab *slab, uint32_t tree);
/* Give back litter, at most so many nodes. */
void run_node_sweep(struct run_slab *slab, uint32_t nodes_max);

#endif
