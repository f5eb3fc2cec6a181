/* SPDX-License-Identifier: MPL-2.0
 *
 * What the engine's files share among themselves: the engine's state and the
 * way a store completion finds who waits for it. Included by broker/engine/
 * only.
 */
#ifndef ZSP_ENGINE_ENGINE_PRIV_H
#define ZSP_ENGINE_ENGINE_PRIV_H

#include "broker/engine/catalog.h"
#include "broker/engine/clock.h"
#include "broker/engine/engine.h"
#include "broker/engine/parked.h"
#include "broker/engine/pool.h"
#include "broker/engine/reply.h"
#include "broker/engine/timers.h"

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

/* An unanswered request, see reply.h. */
struct pending {
    uint64_t ticket, id;
    bool used;
    bool may_apply;      /* reply_may_apply() */
    uint32_t next, prev; /* slots in order of arrival; PENDING_NONE ends */
};
#define PENDING_NONE UINT32_MAX

struct pending_set {
    struct pending *slots;
    uint32_t capacity;
    uint32_t count;
    uint32_t first, last; /* in order of arrival */
    uint32_t free_first;  /* linked through next */
};

/* A queued effect; its parts are part_count of effects.parts from part_first on. */
struct effect_slot {
    enum engine_effect_kind kind;
    uint64_t ticket;
    uint64_t lease;
    struct zsp_buf *header;
    size_t part_first, part_count;
};

struct effect_queue {
    struct effect_slot *slots;
    size_t head, count, capacity; /* slots [head, count) are waiting */
    struct engine_part *parts;
    size_t part_count, part_capacity;
    bool fail_stop;       /* to be told after all replies */
    bool fail_stop_told;  /* */
    struct zsp_err error; /* why */
};

/* The OK reply that is being built. */
struct reply_draft {
    bool open;
    struct reply_to to;
    struct zsp_writer header; /* memory reused from reply to reply */
    uint64_t lease;
    size_t part_first;
};

struct groups; /* the group side's state, see group.h */

struct engine {
    struct engine_options options;
    struct store *store;
    const struct zsp_diag *diag;
    struct instant now; /* of the event being handled */
    bool started;
    bool draining;
    bool failed;  /* fail-stop: nothing is confirmed any more, completions are dropped */
    bool refuses; /* the store has too little room for appends */

    struct clock clock;
    struct timers timers[TIMER_KINDS];
    struct timer time_record; /* writes broker time now and then */

    struct pending_set pending;
    struct effect_queue effects;
    struct reply_draft draft;
    struct parked_set parked;

    struct catalog catalog;
    struct groups *groups;
    struct reader *reader_first; /* all READs at work or parked, see read.h */
    struct pool publishes, publish_parts, readers, topic_jobs, producer_opens, producer_logs;
    struct timer image_retry;      /* see state.h */
    struct zsp_writer images_owed; /* keys, each as zsp_write_short */

    struct engine_stats stats; /* the counting fields; the others are filled on demand */
};

/* The storage failed, or memory for an answer ran out: everything unanswered gets
 * `storage_failed` (with maybe where something may have reached the disk), then the host is
 * told once to stop. */
void engine_fail(struct engine *self, const struct zsp_err *error);

static inline void engine_arm(struct engine *self, enum timer_kind kind, struct timer *timer,
                              int64_t due_ms)
{
    timers_arm(&self->timers[kind], timer, due_ms);
}

static inline void engine_cancel(struct engine *self, enum timer_kind kind, struct timer *timer)
{
    timers_cancel(&self->timers[kind], timer);
}

#endif
