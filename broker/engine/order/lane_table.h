/* SPDX-License-Identifier: MPL-2.0
 *
 * What a ledger of a `keyed` group knows of keys: a *lane* for each key of which a message is
 * unfinished, and for each such message which lane it is in. Keys are compared byte by byte.
 *
 * The messages of a lane are a chain, by offset. Those that are finished are left in it until its
 * head passes them, so a message is taken off in O(1), in whatever order they finish. A dead
 * message that holds its lane is in no chain, but in a list of its own (lane_holds.h).
 *
 * Memory only, and only for what is known: chunks of LANE_CHUNK offsets that have any message.
 */
#ifndef ZSP_ENGINE_LANE_TABLE_H
#define ZSP_ENGINE_LANE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/engine/order/lane_holds.h"
#include "common/bytes.h"
#include "common/compiler.h"
#include "common/table.h"

#define LANE_CHUNK      128u       /* offsets of a chunk */
#define LANE_REACH      (1u << 29) /* two neighbours of a chain are less than this apart */
#define LANE_NONE       UINT64_MAX /* no offset */
#define LANE_FREE       0u         /* the lane of messages without a key, which is none */
#define LANE_INLINE_KEY 16u        /* shorter keys lie in the lane itself */
#define LANE_HEATS      33u        /* lanes in which 0, 1, 2-3, 4-7 ... messages wait for others */

/* How a message stands to its lane. */
enum lane_state {
    LANE_UNKNOWN, /* no entry */
    LANE_WAITS,   /* unfinished, not out */
    LANE_OUT,     /* reserved or leased */
    LANE_OVER,    /* finished; still in the chain */
    LANE_HOLDS    /* dead, and keeps back what lies behind it; in no chain */
};

struct lane_entry {
    uint32_t lane;
    uint32_t ahead : 29; /* to the next of the chain, 0 = it is the last */
    uint32_t state : 3;  /* enum lane_state */
};

struct lane {
    union {
        uint8_t bytes[LANE_INLINE_KEY];
        uint8_t *copy;
    } key;
    uint32_t key_len;
    uint32_t hash;
    uint32_t next_same;         /* of its bucket, or free */
    uint32_t waits, out, holds; /* messages by state */
    uint64_t head, tail;        /* of the chain; LANE_NONE = it is empty */
    uint64_t ready;             /* the message that may be handed out, LANE_NONE = none does */
    uint64_t back;              /* the first that came back before something that is out; or none */
    struct lane_holds *held;    /* the dead that hold what lies behind them */
    bool is_dirty;              /* to be looked at */
    bool recalls;               /* something out must come back */
    bool keeps_back;            /* a pull has reserved something that must */
    uint8_t heat;               /* in which list of lanes with as many that wait; 0 = in none */
    uint32_t heat_next, heat_prev;
};

struct lane_chunk {
    uint64_t number;
    uint32_t used; /* entries */
    struct lane_entry entries[LANE_CHUNK];
};

/* Numbers of lanes, linked through heat_next: the one that is in it longest comes first. */
struct heat_list {
    uint32_t first, last;
};

struct lane_table {
    struct lane **blocks; /* of lanes; number 0 is none */
    uint32_t block_count, used, free_first;
    uint32_t count;    /* lanes */
    uint32_t *buckets; /* a power of two of them, or none */
    uint32_t bucket_count;
    uint64_t seed;
    size_t key_bytes; /* of keys that do not lie in their lanes */
    struct zsp_table chunks;
    struct lane_chunk *last;            /* looked at */
    uint64_t held_waits;                /* messages that wait in lanes that are held */
    struct heat_list heats[LANE_HEATS]; /* lanes by the binary digits of lane_waiting() */
};

void lane_table_init(struct lane_table *self, uint64_t seed);
void lane_table_fini(struct lane_table *self);
/* Is nothing known? */
bool lane_table_is_empty(const struct lane_table *self);
/* What all that is in it takes, about; room that is left over of what was there before is not counted. */
size_t lane_table_bytes(const struct lane_table *self);
/* Give room back when there is no lane. */
void lane_table_trim(struct lane_table *self);

/* The lane of a key, made when there is none. Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int lane_table_open(struct lane_table *self, struct zsp_slice key,
                                   uint32_t *ret_lane);
/* A lane that exists; stays where it is. */
struct lane *lane_at(const struct lane_table *self, uint32_t lane);
struct zsp_slice lane_key(const struct lane *self);
/* As much of it as answers tell. */
struct zsp_slice lane_key_told(const struct lane *self);
/* Forget it; no entry names it. */
void lane_table_close(struct lane_table *self, uint32_t number);
/* The first lane behind number `lane`; 0 = there is none. */
uint32_t lane_table_next(const struct lane_table *self, uint32_t lane);

/* NULL = nothing is known of it. Lent until the next change of an entry. */
struct lane_entry *lane_entry(struct lane_table *self, uint64_t offset);
/* The first offset from `from` on, below `end`, of which something may be known. */
uint64_t lane_entry_skip(struct lane_table *self, uint64_t from, uint64_t end);
/* A message becomes known. In a lane it goes into the chain, at its place, unless it HOLDS.
 * Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int lane_entry_add(struct lane_table *self, uint64_t offset, uint32_t lane,
                                  enum lane_state state);
/* Count another state; into HOLDS and out of it the message leaves or enters the chain.
 * Errors: ZSP_ENOMEM (only into HOLDS; nothing has changed) */
ZSP_MUST_CHECK int lane_entry_set(struct lane_table *self, uint64_t offset, enum lane_state state);
/* Does a dead message keep back the first of the chain? */
bool lane_is_held(const struct lane *self);
/* Drop what is over from the chain's front. */
void lane_advance(struct lane_table *self, uint32_t number);
/* Messages of the lane that wait for others of it. */
uint32_t lane_waiting(const struct lane *self);
/* The next of the chain that is not over; LANE_NONE = there is none. */
uint64_t lane_after(struct lane_table *self, uint64_t offset);

#endif
