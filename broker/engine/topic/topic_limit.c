/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/topic/topic_limit.h"

#include <inttypes.h>
#include <stdio.h>

#include "broker/engine/commit/transaction.h"
#include "broker/engine/publish/publish.h"
#include "broker/engine/topic/retention.h"

/* What a batch takes on disk beside its records. */
#define BATCH_BYTES 128u

/* Bytes in the store, and on their way there. */
static uint64_t measure(const struct engine *engine, const struct topic *topic)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        const struct partition *partition = topic->partitions[i];
        struct store_part_info info;
        engine->store->ops->part_info(engine->store, partition->part, &info);
        bytes += info.bytes;
        const struct publish_part *part = partition->appending.first;
        for (; part; part = part->queue_next) {
            bytes += part->is_echo ? 0 : part->stored + BATCH_BYTES;
        }
    }
    return bytes + transaction_bytes_open(engine, topic, BATCH_BYTES);
}

static bool has_room(const struct topic_special *topic, uint64_t bytes)
{
    const uint64_t limit = topic->settings.max_topic_bytes;
    const uint64_t held = topic->bytes_seen + topic->bytes_since;
    return held <= limit && bytes <= limit - held;
}

int topic_limit_admit(struct engine *engine, struct topic *topic, size_t bytes, struct zsp_err *err)
{
    const uint64_t taken = bytes + BATCH_BYTES;
    const uint64_t limit = topic_settings_of(topic)->max_topic_bytes;
    if (limit == 0) {
        return 0;
    }
    struct topic_special *const special = topic->special;
    if ((special->bytes_ms == 0 || !has_room(special, taken)) &&
        special->bytes_ms != engine->now.mono_ms) {
        special->bytes_seen = measure(engine, topic);
        special->bytes_since = 0;
        special->bytes_ms = engine->now.mono_ms;
    }
    if (has_room(special, taken)) {
        special->bytes_since += taken;
        return 0;
    }
    retention_hurry(engine);
    if (special->settings.when_full == WHEN_FULL_DROP_OLDEST) {
        special->bytes_since += taken;
        return 0;
    }
    if (taken > limit) {
        return zsp_err_set(err, ZSP_ETOO_LARGE,
                           "%s: a batch of %zu bytes will never fit, it may hold %" PRIu64,
                           topic->object, bytes, limit);
    }
    char wanted[48];
    (void)snprintf(wanted, sizeof wanted, "at most %" PRIu64 " bytes", limit);
    (void)zsp_err_set(err, ZSP_ETOPIC_FULL, "%s: it holds all it may hold, %" PRIu64 " bytes",
                      topic->object, limit);
    zsp_err_detail(err, topic->object, wanted, NULL);
    return ZSP_ETOPIC_FULL;
}
