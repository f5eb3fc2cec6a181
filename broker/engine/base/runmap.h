/* SPDX-License-Identifier: MPL-2.0
 *
 * An ordered map from offsets to what is known of each message, kept as runs:
 * stretches of offsets with equal attributes are one node, whatever their
 * length, and neighbours that become equal become one. An offset without a
 * node has nothing to be remembered (it is done, or was never handed out; the
 * ledger knows which). Any number of holes costs nothing.
 *
 * A treap: a search tree by offset and a heap by a drawn number, so that it
 * stays shallow for any order of operations. Each subtree knows which classes
 * of runs and which earliest retry time it holds, so that "the next ready run
 * from here" and "the first retry due" are O(log n) among any number of others.
 *
 * Nodes come from a slab that all maps of one engine share: memory grows by
 * chunks, never by copying, and is reused.
 */
#ifndef ZSP_ENGINE_RUNMAP_H
#define ZSP_ENGINE_RUNMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/engine/base/reasons.h"
#include "common/compiler.h"
#include "common/limits.h"

enum run_state {
    RUN_NONE,     /* no node */
    RUN_READY,    /* may be handed out now */
    RUN_RESERVED, /* a pull is reading it; memory only, durably it is READY */
    RUN_WAITING,  /* until due_ms */
    RUN_LEASED,   /* out under `lease` */
    RUN_DEAD,     /* failed too often, or rejected */
    RUN_DONE,     /* finished, where a message without a run would be fresh */
    RUN_PARKED,   /* READY but for another one of its key; memory only, durably it is READY */
    RUN_STATES
};

/* Outcomes that an unfinished entry remembers. */
enum run_outcome { RUN_NO_OUTCOME, RUN_RETRIED, RUN_RELEASED, RUN_REJECTED };

/* What is known of each message of a run. */
struct run {
    uint64_t lease;            /* LEASED: the lease; else 0 */
    uint64_t last_lease;       /* of last_outcome, 0 = none */
    int64_t due_ms;            /* WAITING: broker time; DEAD: since when, wall, 0 = ?; else 0 */
    uint32_t deliveries;       /* times handed out */
    uint32_t failures;         /* */
    uint32_t reasons;          /* a set of struct reasons; each node holds a reference */
    uint8_t state;             /* enum run_state */
    int8_t urgency;            /* priority - ZSP_PRIORITY: 0 = as usual */
    uint8_t limit;             /* 0 = none; else out only in leases of at most 2^(limit-1) messages;
                            DEAD: 1 = it keeps back what its group's order puts behind it */
    unsigned last_outcome : 3; /* enum run_outcome */
    unsigned redriven : 1; /* unfinished: retention lets it be until it is done, see dead_keep.h */
    unsigned started : 4;  /* LEASED: the application took it in hand; memory only. DEAD: it owes
                            a copy, see letters.h */
};

_Static_assert(sizeof(struct run) == 40, "the nodes of a map are most of what waiting takes");

/* A stretch of offsets and what is known of them. */
struct run_span {
    uint64_t first, end;
    struct run run;
};

/* Classes to search for, one bit each; READY ones have a bit for each priority. */
#define RUN_CLASS_READY_AT(priority)   (1u << (priority))         /* without a limit */
#define RUN_CLASS_LIMITED_AT(priority) (1u << (10u + (priority))) /* with one */
enum run_class {
    RUN_CLASS_READY = 0x3ff,
    RUN_CLASS_LIMITED = 0x3ff << 10,
    RUN_CLASS_RESERVED = 1 << 20,
    RUN_CLASS_WAITING = 1 << 21,
    RUN_CLASS_LEASED = 1 << 22,
    RUN_CLASS_DEAD = 1 << 23,
    RUN_CLASS_DONE = 1 << 24,
    RUN_CLASS_HOLDING = 1 << 25, /* of the DEAD ones, those with a limit */
    RUN_CLASS_PARKED = 1 << 26,
    RUN_CLASS_OWING = 1 << 27,    /* of the DEAD ones, those that owe a copy */
    RUN_CLASS_REDRIVEN = 1 << 28, /* of any state */
    RUN_CLASS_UNFINISHED = ((1 << 23) - 1) | RUN_CLASS_PARKED,
    RUN_CLASS_ANY = ((1 << 25) - 1) | RUN_CLASS_PARKED
};

/* The priority of a run's messages. */
static inline unsigned run_priority(const struct run *run)
{
    return (unsigned)((int)ZSP_PRIORITY + run->urgency);
}

struct run_node;

struct run_chunk;

/* Nodes in chunks, for all maps. A chunk without nodes in use is given back. */
struct run_slab {
    struct run_node **nodes;  /* of each chunk; NULL = there is no such chunk now */
    struct run_chunk *chunks; /* what else is known of it */
    uint32_t slot_count, slot_capacity;
    uint32_t chunk_count;
    uint32_t used; /* nodes; number 0 counts, which is never a node */
    uint32_t room_first,
        room_last;         /* chunks with nodes that are free, those without any in use last */
    uint32_t vacant_first; /* slots without a chunk */
    uint32_t draw;         /* state of the drawn numbers */
    uint32_t litter;       /* nodes of maps that have ended, to be given back in turns; 0 = none */
    uint64_t work;         /* nodes that were put together anew, visited or given back, ever */
    struct reasons *reasons; /* lent */
    int64_t died_max_ms;     /* of all DEAD runs that there ever were: the highest due_ms */
};

void run_slab_init(struct run_slab *self, struct reasons *reasons);
/* All maps are empty or forgotten. */
void run_slab_fini(struct run_slab *self);
/* Make sure that `count` nodes can be taken without memory. Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int run_slab_reserve(struct run_slab *self, uint32_t count);
/* Give back some nodes of maps that have ended, and chunks without any; true = there are more. What was
 * reserved is not, any more. */
bool run_slab_sweep(struct run_slab *self);
/* Bytes that its chunks take. */
size_t run_slab_bytes(const struct run_slab *self);
/* Give chunks back that have no nodes in use, but for a few nodes to spare. What was reserved is not, any more. */
void run_slab_trim(struct run_slab *self);

/* Most maps are empty, and take nothing but this. */
struct runmap {
    struct run_slab *slab; /* lent */
    uint32_t head;         /* a node of the slab that holds root and counts; 0 = empty */
};

void runmap_init(struct runmap *self, struct run_slab *slab);
/* It is empty. Its nodes are given back: some at once, more when the slab is swept. */
void runmap_fini(struct runmap *self);
/* Messages in that state; O(1). */
uint64_t runmap_count(const struct runmap *self, enum run_state state);

/* Messages of [first, end) by state. The cost is that of the runs inside, or outside when these are few. */
struct run_counts {
    uint64_t of[RUN_STATES];
};
struct run_counts runmap_count_in(const struct runmap *self, uint64_t first, uint64_t end);

/* Nodes that one set or clear may need on top of those it frees. */
#define RUNMAP_NODES 4u

/* Make [first, end), which is not empty, the run `run`, whatever was there; RUN_NONE = no
 * node. Takes references of its own on run->reasons.
 * Errors: ZSP_ENOMEM (nothing changed); never when RUNMAP_NODES are in reserve */
ZSP_MUST_CHECK int runmap_set(struct runmap *self, uint64_t first, uint64_t end,
                              const struct run *run);

/* The same for many stretches in a row, none empty and none before the end of the last: the cost is
 * that of the runs that come and go, not of finding the place of each.
 * Errors: ZSP_ENOMEM (some of them may be set) */
ZSP_MUST_CHECK int runmap_set_all(struct runmap *self, const struct run_span *spans, size_t count);

/* Make [first, end), which is not empty, without runs. As runmap_set(), but nodes are given back as by
 * runmap_fini(), and the cost is that of runmap_count_in(). */
ZSP_MUST_CHECK int runmap_drop(struct runmap *self, uint64_t first, uint64_t end);

/* The first run of one of `classes` that ends after `from`, whole; false = none. */
bool runmap_next(const struct runmap *self, uint64_t from, unsigned classes, struct run_span *ret);
/* The first stretch of [from, to) without runs; false = there is none. Runs that follow each other without
 * one are passed in one walk. */
bool runmap_next_gap(const struct runmap *self, uint64_t from, uint64_t to, uint64_t *ret_first,
                     uint64_t *ret_end);
/* The classes of all runs. */
unsigned runmap_classes(const struct runmap *self);
/* The WAITING run that is due first (the first of equals); false = none. */
bool runmap_due(const struct runmap *self, struct run_span *ret);

/* Call `fn` for all runs in [first, end), cut to it, in order. Nothing may be changed
 * meanwhile. A nonzero return ends the walk and is returned. */
int runmap_visit(const struct runmap *self, uint64_t first, uint64_t end,
                 int (*fn)(void *arg, const struct run_span *span), void *arg);

/* Are all attributes equal? */
bool run_equal(const struct run *a, const struct run *b);

#endif
