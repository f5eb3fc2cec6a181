/* SPDX-License-Identifier: MPL-2.0
 *
 * The state of one group for one partition: which messages are done, out,
 * waiting or dead.
 *
 *      0 ...... committed ....... journaled ....... high .......... mark
 *      all done   runs; a gap = done      runs, no gap   runs;        not synced, not visible
 *      or dead                                           a gap = fresh
 *
 * What is always true:
 *  (1) Messages may be handed out in any order, so that a run of any state may lie at or above
 *      `high`; but none begins there: `high` moves over what has a run.
 *  (2) journaled <= high. Below `journaled` a message without a run is done; from there on it is
 *      fresh, and one that is done has a run, DONE, which goes when `journaled` passes it.
 *      Between `journaled` and `high` every message has a run.
 *  (3) Durably an untouched run (never handed out: RESERVED or READY) from `journaled` on is fresh,
 *      so a message that only a pull reads is fresh again after a crash.
 *  (4) A block has a durable object exactly when it is in `blocks`.
 * All durable changes go through step.h; what changes here directly (reserving, retries that
 * come due, the mark) is memory only and found again after a restart.
 */
#ifndef ZSP_ENGINE_LEDGER_H
#define ZSP_ENGINE_LEDGER_H

#include "broker/engine/base/block_set.h"
#include "broker/engine/base/runmap.h"
#include "broker/engine/base/timers.h"
#include "common/bytes.h"
#include "common/err.h"

struct binding;
struct fair;
struct group;
struct lanes;
struct ledger_order;
struct levels;
struct partition;

/* Room for any key of durable state of the group side. */
#define GROUP_KEY_ROOM       32u
#define LEDGER_KEY_LEN       20u              /* group u64, topic u64, partition u32 */
#define LEDGER_STEP_SLOT_MAX ((1u << 30) - 1) /* what its field holds; a step is smaller */

/* In which list of mark_watch.h a ledger is. */
enum mark_watch { WATCH_NONE, WATCH_LISTENING, WATCH_STALE };

struct ledger_list {
    struct ledger *first, *last;
};

/* What goes into the sums of binding and group. */
struct ledger_figures {
    uint64_t ready, leased, reserved, waiting; /* messages */
    bool is_blocked;
    bool is_unknown; /* the agenda does not know yet what of it is ready, */
    bool is_late;    /* or will not for long */
    bool has_levels;
    bool is_stalled; /* a scan for keys may not go on, and nothing is ready */
};

static inline bool ledger_has_work(const struct ledger_figures *self)
{
    return self->ready > 0 || self->leased > 0 || self->reserved > 0 || self->waiting > 0 ||
           self->is_blocked || self->is_unknown || self->is_late;
}

/* What others were told of a ledger, see group_ledger_changed(). Most ledgers are idle: nothing
 * of them is ready, out or waiting, and they have none. */
struct ledger_told {
    struct ledger *ledger;
    struct ledger_figures figures;             /* as added to the sums */
    bool in_ring;                              /* of the binding, while something is ready */
    struct ledger_told *ring_next, *ring_prev; /* */
    struct timer due;                          /* of the first retry */
};

/* What few ledgers have. */
struct ledger_rare {
    uint64_t blocked;   /* the first damaged offset: not passed; UINT64_MAX = none */
    uint64_t lost;      /* messages that went from the log before they were done; */
    uint64_t lost_to;   /* counted up to this offset */
    uint64_t expired;   /* messages left out because their time to live was over */
    uint64_t compacted; /* messages that it came to and that were not in the log any more */
    uint64_t apart;     /* stretches that expired among others that did not: about so many runs */
};
extern const struct ledger_rare ledger_common;

/* How its messages are taken, if not by offset and by whoever asks. */
struct ledger_ways {
    struct fair *fair;          /* see fair.h; NULL = fresh messages are taken by offset */
    struct levels *levels;      /* see levels.h; NULL = all messages are taken in their turn */
    struct ledger_order *order; /* of ordered groups, see hold.h; NULL = there is nothing of it */
    struct lanes *lanes;        /* of keyed groups, see lanes.h; NULL = it is idle */
};

struct ledger {
    uint8_t key[LEDGER_KEY_LEN]; /* names it; in the table of all ledgers */
    uint32_t step_slot : 30;     /* 1 + index in the open step, 0 = not in it */
    enum mark_watch watch : 2;   /* */

    struct runmap runs;
    uint64_t high;      /* from here on a message without a run is fresh; no run begins here */
    uint64_t journaled; /* `high` as it is durable */
    uint64_t water;     /* the end of all that was ever handed out */
    uint64_t mark;      /* the partition's synced mark, or an older one, see mark_watch.h */
    uint64_t above;     /* messages with a run at or above `high` */
    struct block_set blocks;
    struct ledger_rare *rare; /* NULL = as ledger_common */

    /* group.c's */
    struct group *group;                    /* NULL = nobody asked for it yet (start only) */
    struct binding *binding;                /* */
    struct partition *partition;            /* NULL while its topic is not there */
    struct ledger *next, *prev;             /* of the partition, or the loose ones */
    struct ledger *watch_next, *watch_prev; /* of a list of mark_watch.h */
    struct ledger_told *told;               /* NULL = nothing was told: all of it is 0 */
    struct ledger_ways *ways;               /* NULL = by offset, whoever asks */
};

/* The key of a ledger, as in the table of all and in names of its durable objects. */
void ledger_write_key(uint8_t key[LEDGER_KEY_LEN], uint64_t group_id, uint64_t topic_id,
                      uint32_t partition_index);
void ledger_init(struct ledger *self, uint64_t group_id, uint64_t topic_id,
                 uint32_t partition_index, struct run_slab *slab);
void ledger_fini(struct ledger *self);

static inline const struct ledger_rare *ledger_rare_of(const struct ledger *self)
{
    return self->rare ? self->rare : &ledger_common;
}

/* To change it. NULL = out of memory. */
struct ledger_rare *ledger_rare_open(struct ledger *self);
void ledger_rare_forget(struct ledger *self);

static inline struct fair *ledger_fair(const struct ledger *self)
{
    return self->ways ? self->ways->fair : NULL;
}

static inline struct levels *ledger_levels(const struct ledger *self)
{
    return self->ways ? self->ways->levels : NULL;
}

static inline struct ledger_order *ledger_order(const struct ledger *self)
{
    return self->ways ? self->ways->order : NULL;
}

static inline struct lanes *ledger_lanes(const struct ledger *self)
{
    return self->ways ? self->ways->lanes : NULL;
}

/* To set one of them. NULL = out of memory. */
struct ledger_ways *ledger_ways_open(struct ledger *self);
/* Forget them if none is set. */
void ledger_ways_close(struct ledger *self);

/* Whose it is. */
uint64_t ledger_group_id(const struct ledger *self);
uint64_t ledger_topic_id(const struct ledger *self);
uint32_t ledger_partition_index(const struct ledger *self);

/* Every offset below is done or dead; the same but for what is below `from`. */
uint64_t ledger_committed(const struct ledger *self);
uint64_t ledger_committed_from(const struct ledger *self, uint64_t from);
/* Messages that could be handed out now, and figures by state, all O(1). Those that wait do so for
 * a retry, for their time, or for another message of their key. */
uint64_t ledger_ready(const struct ledger *self);
uint64_t ledger_leased(const struct ledger *self);
uint64_t ledger_waiting(const struct ledger *self);
uint64_t ledger_dead(const struct ledger *self);
/* Does what comes next lie in a damaged range? */
bool ledger_is_blocked(const struct ledger *self);

/* For which reason it was taken: see pull_take.h. */
enum take_kind { TAKE_PLAIN, TAKE_BETWEEN, TAKE_TURN };

/* A stretch that a pull has reserved. */
struct piece {
    struct ledger *ledger; /* NULL = void meanwhile (topic gone, seek) */
    uint64_t first, end;
    uint64_t tenant;   /* of fair sharing; 0 = none */
    uint32_t order;    /* of the take, see fair_sort() */
    uint32_t left_out; /* messages of it that nobody gets: expired, not wanted, or absent */
    uint8_t priority;
    enum take_kind kind;
};

/* What a pull takes from ledgers, one after the other. */
struct take {
    uint64_t messages;   /* still wanted */
    uint64_t taken;      /* so far */
    bool alone;          /* a lease of limited messages: nothing else comes with them */
    enum take_kind kind; /* of what is taken now, */
    uint64_t tenant;     /* and whose it is */
    struct piece *pieces;
    size_t piece_count, piece_max;
    size_t piece_fixed; /* those before it are not made longer */
};

/* Reserve for `take`, the most urgent first; of one priority retries that are due and what was
 * released, by offset, then fresh messages. When the first of them has a limit, and nothing was taken yet, then only messages
 * with a limit are taken, as many as the smallest allows, and the take is `alone`; limited ones
 * are left out otherwise.
 * Errors: ZSP_ENOMEM (what was taken so far stays reserved and is in `take`) */
ZSP_MUST_CHECK int ledger_take(struct ledger *self, struct take *take);
/* The same for messages of one priority. */
ZSP_MUST_CHECK int ledger_take_priority(struct ledger *self, struct take *take, unsigned priority);
/* Priorities at which something may be ready, a bit each. */
unsigned ledger_priorities(const struct ledger *self);
/* Those at which something is. What may come only alone in a reply is counted as well. */
unsigned ledger_priorities_ready(struct ledger *self);
/* The end of what may be handed out. */
uint64_t ledger_visible_end(const struct ledger *self);
/* For other orders: a stretch cut to what may be handed out and to `messages` (false = nothing is
 * left); and reserving one, which is READY as span->run tells or fresh, and within take->messages.
 * Errors: ZSP_ENOMEM (nothing changed) */
bool ledger_clip(const struct ledger *self, struct run_span *span, uint64_t messages);
ZSP_MUST_CHECK int ledger_reserve(struct ledger *self, struct take *take,
                                  const struct run_span *span);
/* The first stretch of fresh messages from `from` on that may be handed out; false = none. */
bool ledger_next_fresh(const struct ledger *self, uint64_t from, struct run_span *ret);
/* Reserve [first, end) for `take`: all of it is fresh, and within take->messages; there is room
 * for a piece. Errors: ZSP_ENOMEM (nothing changed) */
ZSP_MUST_CHECK int ledger_take_fresh(struct ledger *self, struct take *take, uint64_t first,
                                     uint64_t end);
/* The same for messages of another priority than 4. */
ZSP_MUST_CHECK int ledger_take_urgent(struct ledger *self, struct take *take,
                                      const struct run_span *span);
/* What is still RESERVED in [first, end) becomes as it was before; what is fresh again may make
 * `high` move back.
 * Errors: ZSP_ENOMEM (some of it stays reserved) */
ZSP_MUST_CHECK int ledger_untake(struct ledger *self, uint64_t first, uint64_t end);

/* WAITING runs due at `now_ms` (broker time) become READY, at most `runs_max` of them. False
 * when more are due. Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int ledger_wake(struct ledger *self, int64_t now_ms, size_t runs_max, bool *ret_all);
/* When the first WAITING run is due, INT64_MAX = there is none. */
int64_t ledger_due_ms(const struct ledger *self);

/* Was it never handed out, so that without its run it would be fresh? */
bool ledger_is_untouched(const struct run *run);
/* Move `high` over runs that begin there: (1). `above` is right before and after. */
void ledger_pass(struct ledger *self);

/* Make (1) and (2) true, and count `above`, after runs were replayed or forgotten without a step.
 * Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int ledger_recount(struct ledger *self);

#endif
