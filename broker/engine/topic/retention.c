/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/topic/retention.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "broker/engine/dead/dead_keep.h"
#include "broker/engine/group/group_hooks.h"
#include "broker/engine/publish/producer_image.h"
#include "broker/engine/replay/side_replay.h"
#include "broker/engine/state.h"
#include "broker/engine/topic/compaction.h"
#include "common/limits.h"

/* When a topic is full: soon, and not for each publish that comes. */
#define HURRY_MS 50
/* Partitions that one turn of a round looks at, and those of a topic more; the rest a millisecond later. */
#define ROUND_PARTITIONS 512u
/* A partition's share of max_topic_bytes is kept in about so many segments, so that the oldest of
 * it can go. */
#define SEGMENTS_OF_SHARE     4u
#define SEGMENTS_OF_SHARE_MAX 64u

/* What all groups had done when a record was put, behind which that is durable. */
struct consumed {
    struct engine_op op; /* first: its address is the tag */
    uint64_t topic_id;
    LIST_ENTRY(consumed) link; /* of all that are under way */
    uint32_t count;
    uint64_t offsets[]; /* of the partitions; 0 = nothing */
};

static void retention_arm(struct engine *engine, const struct topic *topic);
static void retain(struct engine *engine, struct timer *timer);

static bool has_limit(const struct topic *topic)
{
    const struct topic_settings *const settings = topic_settings_of(topic);
    return topic->island_count > 0 || settings->retention_time_ms > 0 ||
           settings->retention_bytes > 0 || settings->until_consumed != 0 ||
           settings->max_topic_bytes > 0 || compaction_is_on(topic);
}

static uint64_t share_of(const struct topic *topic, uint64_t bytes)
{
    const uint64_t share = bytes / topic->partition_count;
    return share > 0 ? share : 1;
}

/* May messages go that are over `max_topic_bytes`, because there is less that is to be kept? */
static bool gives_way(const struct topic_settings *settings)
{
    return settings->max_topic_bytes > 0 &&
           (settings->when_full == WHEN_FULL_DROP_OLDEST ||
            (settings->retention_bytes > 0 &&
             settings->retention_bytes < settings->max_topic_bytes));
}

/* How large the segments of a partition grow, 0 = as any. Whole ones go: there must be room for another
 * one when all is kept that is to be kept. */
static uint64_t segment_bytes(const struct topic *topic)
{
    const struct topic_settings *const settings = topic_settings_of(topic);
    if (settings->max_topic_bytes == 0) {
        return 0;
    }
    const uint64_t share = share_of(topic, settings->max_topic_bytes);
    const uint64_t largest = share / SEGMENTS_OF_SHARE + 1;
    const uint64_t least = share / SEGMENTS_OF_SHARE_MAX + 1;
    uint64_t bytes = largest;
    if (settings->when_full == WHEN_FULL_REJECT && gives_way(settings)) {
        bytes = (share - share_of(topic, settings->retention_bytes)) / 2;
    }
    bytes = bytes < largest ? bytes : largest;
    return bytes > least ? bytes : least;
}

/* What of a partition is kept, and what is not, by `retention_bytes` and `max_topic_bytes`. */
static void limit_bytes(const struct topic *topic, struct store_retain *limits)
{
    const struct topic_settings *const settings = topic_settings_of(topic);
    const uint64_t segment = segment_bytes(topic);
    limits->segment_bytes = segment > 0 ? segment : UINT64_MAX;
    limits->seal_bytes = segment;
    limits->max_bytes =
        settings->retention_bytes > 0 ? share_of(topic, settings->retention_bytes) : 0;
    if (!gives_way(settings)) {
        return;
    }
    const uint64_t share = share_of(topic, settings->max_topic_bytes);
    const uint64_t most = share > segment ? share - segment : 1;
    if (settings->when_full == WHEN_FULL_REJECT) {
        limits->most_bytes = most;
        return;
    }
    limits->most_bytes = share;
    limits->max_bytes =
        limits->max_bytes > 0 && limits->max_bytes < most ? limits->max_bytes : most;
}

void retention_had_turn(struct engine *engine, const struct partition *partition)
{
    struct topic *const topic = partition->topic;
    topic->next_retained = partition->index + 1;
    zsp_buf_put(&engine->retention_round.begin);
    engine->retention_round.begin = zsp_buf_copy(topic->name); /* NULL = the first is the first */
}

struct partition *retention_nth(const struct topic *topic, uint32_t first, uint32_t n)
{
    return topic->partitions[(first + n) % topic->partition_count];
}

void retention_ask(struct engine *engine, struct partition *partition,
                   const struct store_retain *limits)
{
    struct store *const store = engine->store;
    struct store_retain what = *limits;
    struct store_part_info info;
    store->ops->part_info(store, partition->part, &info);
    const uint64_t reach = store->ops->retain_reach(store, partition->part, &what);
    if (reach > info.start_offset && reach > partition->image_offset) {
        producer_image_now(engine, partition); /* batches that go tell of no sequence any more */
    }
    what.imaged_before = partition->image_offset;
    struct zsp_err error = {0};
    if (store->ops->retain(store, partition->part, &what, &error) < 0) {
        zsp_diag(engine->diag, ZSP_WARNING, "%s: partition %u: retention: %s",
                 partition->topic->object, partition->index, error.msg);
        return;
    }
    store->ops->part_info(store, partition->part, &info);
    if (what.keeps && info.is_island_busy) {
        retention_had_turn(engine, partition);
    }
    retention_moved(engine, partition, info.start_offset, info.island_offset);
}

void retention_trimmed(struct engine *engine, struct partition *partition)
{
    struct store_part_info info;
    engine->store->ops->part_info(engine->store, partition->part, &info);
    retention_moved(engine, partition, info.start_offset, info.island_offset);
    if (info.island_offset < info.start_offset) {
        retention_hurry(engine); /* others may have waited for it, or more of this one */
    }
}

void partition_set_start(struct partition *partition, uint64_t start, uint64_t island)
{
    const bool had = partition->island_offset < partition->start_offset;
    start = start > partition->start_offset ? start : partition->start_offset;
    island = island > partition->island_offset ? island : partition->island_offset;
    partition->start_offset = start;
    partition->island_offset = island < start ? island : start;
    const bool has = partition->island_offset < start;
    partition->topic->island_count += has && !had ? 1 : 0;
    partition->topic->island_count -= had && !has ? 1 : 0;
}

void retention_moved(struct engine *engine, struct partition *partition, uint64_t start,
                     uint64_t island)
{
    if (start <= partition->start_offset && island <= partition->island_offset) {
        return;
    }
    partition_set_start(partition, start, island);
    if (partition->topic->state == TOPIC_LIVE) {
        group_partition_trimmed(engine, partition);
    }
}

/* The same for all but what is kept for the dead messages of groups. */
static void retention_ask_kept(struct engine *engine, struct partition *partition,
                               const struct store_retain *what)
{
    if (dead_keep_is_on(partition)) {
        dead_keep_retain(engine, partition, what);
    } else {
        retention_ask(engine, partition, what);
    }
}

/* Ages run on wall time: a topic's messages carry it. */
static void retain_by_limits(struct engine *engine, struct topic *topic)
{
    const uint64_t age_ms = topic_settings_of(topic)->retention_time_ms;
    struct store_retain limits = {0};
    limit_bytes(topic, &limits);
    if (age_ms > 0 && engine->now.wall_ms > (int64_t)age_ms) {
        limits.before_ms = engine->now.wall_ms - (int64_t)age_ms;
    }
    const uint32_t first = topic->next_retained;
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        retention_ask_kept(engine, retention_nth(topic, first, i), &limits);
    }
}

/* --- until_consumed ------------------------------------------------------------------------ */

static void destroy_round(struct consumed *self)
{
    LIST_REMOVE(self, link);
    free(self);
}

void retention_fini(struct engine *engine)
{
    zsp_buf_put(&engine->retention_round.last);
    zsp_buf_put(&engine->retention_round.first);
    zsp_buf_put(&engine->retention_round.begin);
    while (!LIST_EMPTY(&engine->consumed_list)) {
        destroy_round(LIST_FIRST(&engine->consumed_list));
    }
}

/* Up to where all groups have done it; 0 when there is none. A replay keeps what it still has to do,
 * and lets nothing go by itself. */
static uint64_t consumed_to(const struct partition *partition)
{
    uint64_t offset = UINT64_MAX;
    bool any = false;
    for (const struct ledger *ledger = partition->ledger_first; ledger; ledger = ledger->next) {
        const uint64_t committed = side_replay_has_all(ledger)
                                       ? UINT64_MAX
                                       : ledger_committed_from(ledger, partition->start_offset);
        offset = committed < offset ? committed : offset;
        any = any || !ledger->group->side;
    }
    return any ? offset : 0;
}

static void is_durable(struct engine *engine, struct engine_op *op,
                       const struct store_completion *completion)
{
    struct consumed *self = (struct consumed *)op;
    struct topic *topic = topic_by_id(engine, self->topic_id);
    if (topic) {
        topic->is_consuming = false;
    }
    const bool may = topic && topic->state == TOPIC_LIVE &&
                     topic_settings_of(topic)->until_consumed != 0 && completion->error.code == 0;
    const uint32_t first = topic ? topic->next_retained : 0;
    for (uint32_t i = 0; may && i < topic->partition_count; i++) {
        struct partition *const partition = retention_nth(topic, first, i);
        const uint64_t noted = partition->index < self->count ? self->offsets[partition->index] : 0;
        const uint64_t now = noted > 0 ? consumed_to(partition) : 0; /* a seek may have gone back */
        const struct store_retain what = {
            .before_offset = now < noted ? now : noted,
            .seal_bytes = segment_bytes(topic),
            .seal_alone = true, /* another one may go back while that is done */
        };
        if (what.before_offset > partition->start_offset) {
            retention_ask_kept(engine, partition, &what);
        }
    }
    destroy_round(self);
}

/* Would the store drop anything of what is below the offset, or seal a segment to drop it later? */
static bool may_go(struct engine *engine, const struct partition *partition, uint64_t offset)
{
    struct store *const store = engine->store;
    const struct store_retain what = {.before_offset = offset};
    const uint64_t seal_bytes = segment_bytes(partition->topic);
    struct store_part_info info;
    if (offset <= partition->start_offset) {
        return false;
    }
    store->ops->part_info(store, partition->part, &info);
    return store->ops->retain_reach(store, partition->part, &what) > partition->start_offset ||
           (seal_bytes > 0 && info.active_bytes >= seal_bytes);
}

/* Up to where it is consumed, 0 = nothing of that can go. The store is asked first: most partitions have nothing
 * that could, whatever their groups have done. */
static uint64_t consumed_that_goes(struct engine *engine, const struct partition *partition)
{
    if (!may_go(engine, partition, UINT64_MAX)) {
        return 0;
    }
    const uint64_t offset = consumed_to(partition);
    return may_go(engine, partition, offset) ? offset : 0;
}

/* Note what is consumed, and put a record behind it when something of that can go. Trouble is no harm: the
 * next time does it. */
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
        self->offsets[i] = consumed_that_goes(engine, topic->partitions[i]);
        any = any || self->offsets[i] > 0;
    }
    LIST_INSERT_HEAD(&engine->consumed_list, self, link);
    topic->is_consuming = any && state_put_time(engine, &self->op) == 0;
    if (!topic->is_consuming) {
        destroy_round(self);
    }
}

void retention_apply(struct engine *engine, struct topic *topic)
{
    const uint64_t segment = segment_bytes(topic);
    const struct store_retain what = {.segment_bytes = segment > 0 ? segment : UINT64_MAX};
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        retention_ask(engine, topic->partitions[i], &what);
    }
    retention_arm(engine, topic);
}

void retention_start(struct engine *engine)
{
    for (size_t i = 0; i < engine->catalog.topics.count; i++) {
        struct topic *const topic = engine->catalog.topics.slots[i].value;
        if (has_limit(topic)) {
            retention_apply(engine, topic);
        }
    }
}

/* --- The timer -------------------------------------------------------------------------------- */

static void retain_topic(struct engine *engine, struct topic *topic)
{
    retain_by_limits(engine, topic);
    compaction_round(engine, topic);
    if (topic_settings_of(topic)->until_consumed != 0 && !topic->is_consuming) {
        begin_round(engine, topic);
    }
}

/* Go on with the round as far as one turn goes; NULL = it is over, else the last topic of it. It goes from behind
 * the topic that it began with to the last one, and then from the first one to that. */
static const struct topic *retain_some(struct engine *engine, struct retention_round *round)
{
    const struct name_index *topics = &engine->catalog.topics;
    const size_t end = name_index_after(topics, zsp_buf_slice(round->first));
    size_t at = round->last ? name_index_after(topics, zsp_buf_slice(round->last)) : end;
    const struct topic *last = NULL;
    uint32_t work = 0;
    for (; work < ROUND_PARTITIONS; at++) {
        if (at >= topics->count && !round->is_behind) {
            round->is_behind = true;
            at = 0;
        }
        if (at >= topics->count || (round->is_behind && at >= end)) {
            return NULL;
        }
        struct topic *const topic = topics->slots[at].value;
        const bool has = topic->state == TOPIC_LIVE && has_limit(topic);
        work += has ? topic->partition_count : 1;
        round->any = round->any || has;
        last = topic;
        if (has) {
            retain_topic(engine, topic);
        }
    }
    return last;
}

static void arm_period(struct engine *engine)
{
    const int64_t period_ms = engine->options.retention_ms;
    engine->retention.fire_fn = retain;
    engine_arm(engine, TIMER_WAIT, &engine->retention,
               (engine->clock.broker_ms / period_ms + 1) * period_ms);
}

/* Without memory to remember where it is, the round begins anew in its time. */
static void retain(struct engine *engine, struct timer *timer)
{
    struct retention_round *round = &engine->retention_round;
    if (!round->runs) {
        round->runs = true;
        round->first = round->begin ? zsp_buf_get(round->begin) : NULL;
    }
    const struct topic *last = retain_some(engine, round);
    zsp_buf_put(&round->last);
    round->last = last ? zsp_buf_copy(last->name) : NULL;
    if (round->last) {
        engine_arm(engine, TIMER_WAIT, timer, engine->clock.broker_ms + 1);
        return;
    }
    const struct retention_round was = *round;
    zsp_buf_put(&round->first);
    *round = (struct retention_round){.begin = was.begin};
    if (was.again) {
        retention_hurry(engine);
    } else if (was.any || last) {
        arm_period(engine);
    }
}

static void retention_arm(struct engine *engine, const struct topic *topic)
{
    if (has_limit(topic) && !engine->retention_round.runs && !timer_is_armed(&engine->retention)) {
        arm_period(engine);
    }
}

void retention_hurry(struct engine *engine)
{
    if (engine->retention_round.runs) {
        engine->retention_round.again = true;
        return;
    }
    const int64_t due_ms = engine->clock.broker_ms + HURRY_MS;
    if (!timer_is_armed(&engine->retention) || engine->retention.due_ms > due_ms) {
        engine_arm(engine, TIMER_WAIT, &engine->retention, due_ms);
    }
}
