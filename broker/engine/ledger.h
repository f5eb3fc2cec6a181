/* SPDX-License-Identifier: MPL-2.0
 *
 * The state of one group for one partition: which messages are done, out,
 * waiting or dead.
 *
 *      0 ........ committed ............. high ............ mark
 *      all done   runs; a gap = done      a gap = fresh     not synced, not visible
 *      or dead                            (never handed out)
 *
 * What is always true:
 *  (1) A run that is READY, RESERVED, WAITING or LEASED lies below `high`. A DEAD one may lie
 *      anywhere: committed passes it, and a seek back leaves it where it is.
 *  (2) journaled <= high. Durably everything from `journaled` on is fresh; between the two are
 *      only RESERVED and READY runs that were never handed out, and dead ones.
 *  (3) A block has a durable object exactly when it is in `blocks`.
 * All durable changes go through step.h; what changes here directly (reserving, retries that
 * come due, the mark) is memory only and found again after a restart.
 */
#ifndef ZSP_ENGINE_LEDGER_H
#define ZSP_ENGINE_LEDGER_H

#include "broker/engine/block_set.h"
#include "broker/engine/runmap.h"
#include "broker/engine/timers.h"
#include "common/bytes.h"
#include "common/err.h"

struct binding;
struct group;
struct partition;

/* Room for any key of durable state of the group side. */
#define GROUP_KEY_ROOM 32u
#define LEDGER_KEY_LEN 20u /* group u64, topic u64, partition u32 */

/* In which list of mark_watch.h a ledger is. */
enum mark_watch { WATCH_NONE, WATCH_LISTENING, WATCH_STALE };

struct ledger_list {
    struct ledger *first, *last;
};

/* What goes into the sums of binding and group. */
struct ledger_figures {
    uint64_t ready, leased, reserved, waiting; /* messages */
    bool is_blocked;
};

/* What others were told of a ledger, see group_ledger_changed(). Most ledgers are idle: nothing
 * of them is ready, out or waiting, and they have none. */
struct ledger_told {
    struct ledger *ledger;
    struct ledger_figures figures;             /* as added to the sums */
    bool in_ring;                              /* of the binding, while something is ready */
    struct ledger_told *ring_next, *ring_prev; /* */
    struct timer due;                          /* of the first retry */
};

struct ledger {
    uint8_t key[LEDGER_KEY_LEN]; /* names it; in the table of all ledgers */
    uint32_t step_slot;          /* 1 + index in the open step, 0 = not in it */

    struct runmap runs;
    uint64_t high;       /* from here on all is fresh, but dead runs; no dead one begins here */
    uint64_t journaled;  /* `high` as it is durable */
    uint64_t water;      /* the highest `high` ever: what was never handed out begins here */
    uint64_t mark;       /* the partition's synced mark, or an older one, see mark_watch.h */
    uint64_t blocked;    /* the first damaged offset: not passed; UINT64_MAX = none */
    uint64_t dead_above; /* DEAD messages at or above `high` */
    struct block_set blocks;

    /* group.c's */
    struct group *group;                    /* NULL = nobody asked for it yet (start only) */
    struct binding *binding;                /* */
    struct partition *partition;            /* NULL while its topic is not there */
    struct ledger *next, *prev;             /* of the partition, or the loose ones */
    struct ledger *watch_next, *watch_prev; /* of a list of mark_watch.h */
    enum mark_watch watch;
    struct ledger_told *told; /* NULL = nothing was told: all of it is 0 */
};

void ledger_init(struct ledger *self, uint64_t group_id, uint64_t topic_id,
                 uint32_t partition_index, struct run_slab *slab);
void ledger_fini(struct ledger *self);

/* Whose it is. */
uint64_t ledger_group_id(const struct ledger *self);
uint64_t ledger_topic_id(const struct ledger *self);
uint32_t ledger_partition_index(const struct ledger *self);

/* Every offset below is done or dead. */
uint64_t ledger_committed(const struct ledger *self);
/* Messages that could be handed out now, and figures by state, all O(1). */
uint64_t ledger_ready(const struct ledger *self);
uint64_t ledger_leased(const struct ledger *self);
uint64_t ledger_waiting(const struct ledger *self);
uint64_t ledger_dead(const struct ledger *self);
/* Does what comes next lie in a damaged range? */
bool ledger_is_blocked(const struct ledger *self);

/* A stretch that a pull has reserved. */
struct piece {
    struct ledger *ledger; /* NULL = void meanwhile (topic gone, seek) */
    uint64_t first, end;
};

/* What a pull takes from ledgers, one after the other. */
struct take {
    uint64_t messages; /* still wanted */
    uint64_t taken;    /* so far */
    bool alone;        /* a lease of limited messages: nothing else comes with them */
    struct piece *pieces;
    size_t piece_count, piece_max;
};

/* Reserve for `take`: retries that are due and what was released, by offset, then fresh
 * messages. When the first of them has a limit, and nothing was taken yet, then only messages
 * with a limit are taken, as many as the smallest allows, and the take is `alone`; limited ones
 * are left out otherwise.
 * Errors: ZSP_ENOMEM (what was taken so far stays reserved and is in `take`) */
ZSP_MUST_CHECK int ledger_take(struct ledger *self, struct take *take);
/* What is still RESERVED in [first, end) becomes as it was before.
 * Errors: ZSP_ENOMEM (some of it stays reserved) */
ZSP_MUST_CHECK int ledger_untake(struct ledger *self, uint64_t first, uint64_t end);

/* WAITING runs due at `now_ms` (broker time) become READY, at most `runs_max` of them. False
 * when more are due. Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int ledger_wake(struct ledger *self, int64_t now_ms, size_t runs_max, bool *ret_all);
/* When the first WAITING run is due, INT64_MAX = there is none. */
int64_t ledger_due_ms(const struct ledger *self);

/* Move `high` over dead runs that begin there, so that committed passes them, too. Nothing else
 * lies at or above it; dead_above is right. */
void ledger_pass_dead(struct ledger *self);

/* After a replay: is (1) true? Counts dead_above, passes the dead.
 * Errors: ZSP_ECORRUPT */
int ledger_check(struct ledger *self, struct zsp_err *err);

#endif
