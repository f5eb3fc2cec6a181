/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/retention.h"

#include "common/limits.h"

static bool has_limit(const struct topic *topic)
{
    return topic->settings.retention_time_ms > 0 || topic->settings.retention_bytes > 0;
}

/* Ages run on wall time: a topic's messages carry it. */
static void retain_topic(struct engine *engine, const struct topic *topic)
{
    const struct topic_settings *const settings = &topic->settings;
    const uint64_t age_ms = settings->retention_time_ms;
    struct store_retain limits = {0};
    if (age_ms > 0 && engine->now.wall_ms > (int64_t)age_ms) {
        limits.before_ms = engine->now.wall_ms - (int64_t)age_ms;
    }
    if (settings->retention_bytes > 0) {
        const uint64_t share = settings->retention_bytes / topic->partition_count;
        limits.max_bytes = share > 0 ? share : 1;
    }
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        struct zsp_err error = {0};
        if (engine->store->ops->retain(engine->store, topic->partitions[i].part, &limits, &error)) {
            zsp_diag(engine->diag, ZSP_WARNING, "%s: partition %u: retention: %s", topic->object, i,
                     error.msg);
        }
    }
}

static void retain(struct engine *engine, struct timer *timer)
{
    (void)timer;
    for (size_t i = 0; i < engine->catalog.topics.count; i++) {
        const struct topic *const topic = engine->catalog.topics.slots[i].value;
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
