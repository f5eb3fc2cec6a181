/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/retention.h"

#include <stdlib.h>

#include "broker/engine/state.h"
#include "common/limits.h"

/* When a topic is full: soon, and not for each publish that comes. */
#define HURRY_MS 50
/* A partition's share of max_topic_bytes is kept in about so many segments, so that the oldest of
 * it can go. */
#define SEGMENTS_OF_SHARE 4u

/* What all groups had done when a record was put, behind which that is durable. */
struct consumed {
    struct engine_op op; /* first: its address is the tag */
    uint64_t topic_id;
    struct consumed *next, *prev; /* of all that are under way */
    uint32_t count;
    uint64_t offsets[]; /* of the partitions; 0 = nothing */
};

static bool has_limit(const struct topic *topic)
{
    const struct topic_settings *const settings = &topic->settings;
    return settings->retention_time_ms > 0 || settings->retention_bytes > 0 ||
           settings->until_consumed != 0 || settings->max_topic_bytes > 0;
}

static uint64_t share_of(const struct topic *topic, uint64_t bytes)
{
    const uint64_t share = bytes / topic->partition_count;
    return share > 0 ? share : 1;
}

/* When the last segment has grown so large it is sealed, 0 = as large as any. */
static uint64_t seal_bytes(const struct topic *topic)
{
    const uint64_t bytes = topic->settings.max_topic_bytes;
    return bytes > 0 ? share_of(topic, bytes) / SEGMENTS_OF_SHARE + 1 : 0;
}

static void ask_store(struct engine *engine, const struct topic *topic, uint32_t partition,
                      const struct store_retain *what)
{
    struct zsp_err error = {0};
    if (engine->store->ops->retain(engine->store, topic->partitions[partition].part, what,
                                   &error)) {
        zsp_diag(engine->diag, ZSP_WARNING, "%s: partition %u: retention: %s", topic->object,
                 partition, error.msg);
    }
}

/* Ages run on wall time: a topic's messages carry it. */
static void retain_by_limits(struct engine *engine, const struct topic *topic)
{
    const struct topic_settings *const settings = &topic->settings;
    const uint64_t age_ms = settings->retention_time_ms;
    struct store_retain limits = {0};
    if (age_ms > 0 && engine->now.wall_ms > (int64_t)age_ms) {
        limits.before_ms = engine->now.wall_ms - (int64_t)age_ms;
    }
    if (settings->retention_bytes > 0) {
        limits.max_bytes = share_of(topic, settings->retention_bytes);
    }
    if (settings->max_topic_bytes > 0 && settings->when_full == WHEN_FULL_DROP_OLDEST) {
        /* Less a segment: whole ones go, and there shall be room for more. */
        const uint64_t share = share_of(topic, settings->max_topic_bytes);
        const uint64_t most = share - share / SEGMENTS_OF_SHARE;
        limits.max_bytes =
            limits.max_bytes > 0 && limits.max_bytes < most ? limits.max_bytes : most;
        limits.seal_bytes = seal_bytes(topic);
    }
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        ask_store(engine, topic, i, &limits);
    }
}

/* --- until_consumed ------------------------------------------------------------------------ */

static void destroy_round(struct engine *engine, struct consumed *self)
{
    *(self->prev ? &self->prev->next : &engine->consumed_first) = self->next;
    if (self->next) {
        self->next->prev = self->prev;
    }
    free(self);
}

void retention_fini(struct engine *engine)
{
    while (engine->consumed_first) {
        destroy_round(engine, engine->consumed_first);
    }
}

/* Up to where all groups have done it; 0 when there is none. */
static uint64_t consumed_to(const struct partition *partition)
{
    uint64_t offset = partition->ledger_first ? UINT64_MAX : 0;
    for (const struct ledger *ledger = partition->ledger_first; ledger; ledger = ledger->next) {
        const uint64_t committed = ledger_committed(ledger);
        offset = committed < offset ? committed : offset;
    }
    return offset;
}

static void is_durable(struct engine *engine, struct engine_op *op,
                       const struct store_completion *completion)
{
    struct consumed *self = (struct consumed *)op;
    struct topic *topic = topic_by_id(engine, self->topic_id);
    if (topic) {
        topic->is_consuming = false;
    }
    const bool may = topic && topic->state == TOPIC_LIVE && topic->settings.until_consumed != 0 &&
                     completion->error.code == 0;
    for (uint32_t i = 0; may && i < self->count; i++) {
        const struct store_retain what = {
            .before_offset = self->offsets[i],
            .seal_bytes = seal_bytes(topic),
        };
        if (self->offsets[i] > topic->partitions[i].start_offset) {
            ask_store(engine, topic, i, &what);
        }
    }
    destroy_round(engine, self);
}

/* Note what is consumed, and put a record behind it. Trouble is no harm: the next time does it. */
static void begin_round(struct engine *engine, struct topic *topic)
{
    struct consumed *self =
        calloc(1, sizeof *self + topic->partition_count * sizeof self->offsets[0]);
    bool any = false;
    if (!self) {
        return;
    }
    self->op.done_fn = is_durable;
    self->topic_id = topic->id;
    self->count = topic->partition_count;
    for (uint32_t i = 0; i < self->count; i++) {
        self->offsets[i] = consumed_to(&topic->partitions[i]);
        any = any || self->offsets[i] > topic->partitions[i].start_offset;
    }
    self->next = engine->consumed_first;
    if (self->next) {
        self->next->prev = self;
    }
    engine->consumed_first = self;
    topic->is_consuming = any && state_put_time(engine, &self->op) == 0;
    if (!topic->is_consuming) {
        destroy_round(engine, self);
    }
}

/* --- The timer -------------------------------------------------------------------------------- */

static void retain_topic(struct engine *engine, struct topic *topic)
{
    retain_by_limits(engine, topic);
    if (topic->settings.until_consumed != 0 && !topic->is_consuming) {
        begin_round(engine, topic);
    }
}

static void retain(struct engine *engine, struct timer *timer)
{
    (void)timer;
    for (size_t i = 0; i < engine->catalog.topics.count; i++) {
        struct topic *const topic = engine->catalog.topics.slots[i].value;
        if (topic->state == TOPIC_LIVE && has_limit(topic)) {
            retain_topic(engine, topic);
            retention_arm(engine, topic);
        }
    }
}

void retention_arm(struct engine *engine, const struct topic *topic)
{
    if (!has_limit(topic) || timer_is_armed(&engine->retention)) {
        return;
    }
    const int64_t period_ms = ZSP_RETENTION_MS;
    engine->retention.fire_fn = retain;
    engine_arm(engine, TIMER_WAIT, &engine->retention,
               (engine->clock.broker_ms / period_ms + 1) * period_ms);
}

void retention_hurry(struct engine *engine)
{
    const int64_t due_ms = engine->clock.broker_ms + HURRY_MS;
    if (!timer_is_armed(&engine->retention) || engine->retention.due_ms > due_ms) {
        engine_arm(engine, TIMER_WAIT, &engine->retention, due_ms);
    }
}
