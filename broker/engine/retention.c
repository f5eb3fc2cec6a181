/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/retention.h"

#include "broker/engine/container.h"
#include "common/limits.h"

/* All topics at the same instants: one wake-up for all of them. */
static void arm(struct engine *engine, struct topic *topic)
{
    const int64_t period_ms = ZSP_RETENTION_MS;
    engine_arm(engine, TIMER_WAIT, &topic->retention,
               (engine->clock.broker_ms / period_ms + 1) * period_ms);
}

/* Ages run on wall time: a topic's messages carry it. */
static void retain(struct engine *engine, struct timer *timer)
{
    struct topic *const topic = CONTAINER_OF(timer, struct topic, retention);
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
    arm(engine, topic);
}

void retention_arm(struct engine *engine, struct topic *topic)
{
    topic->retention.fire_fn = retain;
    if (topic->settings.retention_time_ms > 0 || topic->settings.retention_bytes > 0) {
        arm(engine, topic);
    } else {
        engine_cancel(engine, TIMER_WAIT, &topic->retention);
    }
}
