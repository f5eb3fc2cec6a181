/* SPDX-License-Identifier: MPL-2.0
 *
 * What the engine's files share among themselves: the engine's state and the
 * way a store completion finds who waits for it. Included by broker/engine/
 * only.
 */
#ifndef ZSP_ENGINE_ENGINE_PRIV_H
#define ZSP_ENGINE_ENGINE_PRIV_H

#include <sys/queue.h>

#include "broker/engine/base/clock.h"
#include "broker/engine/base/pool.h"
#include "broker/engine/base/runmap.h"
#include "broker/engine/base/timers.h"
#include "broker/engine/catalog.h"
#include "broker/engine/effects.h"
#include "broker/engine/engine.h"
#include "broker/engine/expiry_set.h"
#include "broker/engine/parked.h"
#include "broker/engine/reply.h"
#include "broker/engine/route.h"
#include "broker/engine/set_aside.h"
#include "broker/engine/unanswered.h"
#include "broker/engine/unpack.h"

/* Something that waits for one completion of the store; the first member of
 * whatever waits. Its address is the tag of the call. */
struct engine_op {
    /* Called once. Takes nothing: the engine releases the completion afterwards.
     * After a fail-stop it is never called: whatever waits must be reachable
     * (a pool, a list) for engine_destroy(). */
    void (*done_fn)(struct engine *engine, struct engine_op *self,
                    const struct store_completion *completion);
};

static inline uint64_t engine_op_tag(const struct engine_op *op)
{
    return (uint64_t)(uintptr_t)op;
}

/* Which heap a timer belongs to. */
enum timer_kind {
    TIMER_WAIT,    /* long polls, housekeeping: nothing durable hangs on it */
    TIMER_DURABLE, /* retry times: broker time is journaled while one is armed */
    TIMER_LEASE,   /* as DURABLE; held back during a grace (clock.h) */
    TIMER_KINDS
};

/* The OK reply that is being built. */
struct reply_draft {
    bool open;
    struct reply_to to;
    struct zsp_writer header; /* memory reused from reply to reply */
    uint64_t lease;
    bool more;         /* a PART */
    size_t part_first; /* of its body, in the queue of effects */
    bool out_of_memory;
};

struct dedup;  /* see dedup.h */
struct groups; /* the group side's state, see group.h */

/* A look at all topics with a limit, some in each turn. */
struct retention_round {
    struct zsp_buf *begin; /* the next round begins behind this name; NULL = with the first topic */
    struct zsp_buf *first; /* this one began behind it */
    struct zsp_buf *last;  /* the name of the last one looked at; NULL = it begins */
    bool is_behind;        /* it has met the last topic, and goes on with the first one */
    bool runs;             /* it is under way */
    bool again;            /* somebody hurries: another one soon */
    bool any;              /* it has met a topic with a limit */
};

struct engine {
    struct engine_options options;
    struct store *store;
    const struct zsp_diag *diag;
    struct instant now; /* of the event being handled */
    bool started;
    bool draining;
    bool failed;  /* fail-stop: nothing is confirmed any more, completions are dropped */
    bool refuses; /* the store has too little room for appends */
    bool swept;   /* after the fail-stop everything was answered */
    bool again;   /* events came since engine_pump(), or it left work behind: call it at once */

    struct clock clock;
    struct timers timers[TIMER_KINDS];
    struct timer time_record; /* writes broker time now and then */
    struct timer retention;   /* of all topics, see retention.h */
    struct retention_round retention_round;

    struct pending_set pending;
    struct set_aside set_aside; /* reads that a pump works off, see arrivals.h */
    struct effect_queue effects;
    struct reply_draft draft;
    struct parked_set parked;

    struct run_slab agenda_slab; /* of all agendas */
    struct expiry_set expiries;  /* of partitions where something expires, see expiry.h */
    int64_t wall_apart_ms;       /* of wall time from broker time; changes when the clock jumps */

    struct catalog catalog;
    struct zsp_table producer_log_keys; /* struct producer_log by its key */
    struct groups *groups;
    struct kept_entries *kept;                 /* only during start, see producer_image.h */
    LIST_HEAD(, publish) publish_list;         /* all at work, see publish.h */
    LIST_HEAD(, publish_many) many_list;       /* likewise, see publish_many.h */
    struct publish_many *many_due;             /* those with rows to be told */
    LIST_HEAD(, transaction) transaction_list; /* likewise, see transaction.h */
    LIST_HEAD(, commit_call) commit_call_list; /* likewise, see commit_call.h */
    struct zsp_table commit_logs;              /* struct commit_log by the producer's id */
    size_t sync_wait_count;                    /* of them, those confirmed when synced */
    struct route route;                        /* of the batch being cut */
    struct unpack unpack;                      /* compressed batches */
    uint64_t work_before;                      /* of engine_work_bytes(), when the pump began */
    LIST_HEAD(, reader) reader_list;           /* all READs at work or parked, see replay.h */
    struct dedup *dedup_first, *dedup_last;    /* partitions where there may be something to do */
    LIST_HEAD(, id_place) id_place_list;       /* all that are looked for, see id_place.h */
    LIST_HEAD(, consumed) consumed_list;       /* all that are under way, retention.h */
    LIST_HEAD(, purge) purge_list;             /* all that are under way, topic_purge.h */
    struct reader *room_first, *room_last;     /* those that wait for room, see reply_room() */
    bool pulls_want_room;                      /* PULLs wait for it */
    bool room_freed;                           /* since the pump began */
    uint64_t commit_answer_bytes;              /* that commit_logs remember */
    uint64_t commit_run_bytes;                 /* of the outcomes of all calls */
    struct pool publishes, publish_parts, readers, topic_jobs, topic_calls, producer_opens,
        producer_logs;
    struct timer image_retry;      /* see state.h */
    struct zsp_writer images_owed; /* keys, each as zsp_write_short */
    struct zsp_writer scratch;     /* for one value at a time, within one function */

    struct engine_stats stats; /* the counting fields; the others are filled on demand */
};

/* The storage failed, or memory for an answer ran out. From now on nothing is confirmed; at the
 * end of the current event everything unanswered gets `storage_failed` (with maybe where
 * something may have reached the disk), then the host is told once to stop. */
void engine_fail(struct engine *self, const struct zsp_err *error);

/* Has this pump worked as much as it may? What is left waits for the next one. */
bool engine_is_tired(const struct engine *self);

/* Arm a timer for a broker time; see enum timer_kind. */
void engine_arm(struct engine *self, enum timer_kind kind, struct timer *timer, int64_t due_ms);

static inline void engine_cancel(struct engine *self, enum timer_kind kind, struct timer *timer)
{
    timers_cancel(&self->timers[kind], timer);
}

#endif
