/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/topic/compaction.h"

#include "broker/engine/publish/producer_image.h"
#include "broker/engine/topic/retention.h"
#include "common/limits.h"
#include "common/wire.h"

bool compaction_is_on(const struct topic *topic)
{
    return topic_settings_of(topic)->cleanup == CLEANUP_COMPACT;
}

static uint64_t or_default(uint64_t value, uint64_t otherwise)
{
    return value > 0 ? value : otherwise;
}

/* How much of the partition was not compacted yet, in percent. */
static uint64_t dirty_percent(const struct store_part_info *info)
{
    const uint64_t dirty = info->bytes - info->compacted_bytes;
    return info->bytes > 0 ? (uint64_t)((double)dirty * 100 / (double)info->bytes) : 0;
}

static bool is_due(const struct store_part_info *info, const struct store_compact *what)
{
    const bool is_dirty = info->bytes > info->compacted_bytes;
    return (is_dirty && dirty_percent(info) >= what->dirty_percent) ||
           (info->tombstone_ms != 0 && info->tombstone_ms <= what->tombstones_before_ms);
}

static void ask(struct engine *engine, struct partition *partition)
{
    const struct topic_settings *const settings = topic_settings_of(partition->topic);
    const int64_t now_ms = engine->now.wall_ms;
    /* Ids that are still looked for are found in the log. */
    const uint64_t lag_ms = settings->min_compaction_lag_ms > settings->dedup_window_ms
                                ? settings->min_compaction_lag_ms
                                : settings->dedup_window_ms;
    struct store_part_info info;
    struct zsp_err error = {0};
    struct store_compact what = {
        .now_ms = now_ms,
        .tombstones_before_ms = now_ms - (int64_t)or_default(settings->tombstone_retention_ms,
                                                             ZSP_TOMBSTONE_RETENTION_MS),
        .before_ms = lag_ms > 0 ? now_ms - (int64_t)lag_ms : 0,
        .idle_before_ms = now_ms - ZSP_COMPACTION_IDLE_MS,
        .seal_bytes = engine->options.seal_bytes,
        .dirty_percent = (uint32_t)or_default(settings->compact_ratio, ZSP_COMPACT_RATIO),
    };
    engine->store->ops->part_info(engine->store, partition->part, &info);
    if (info.is_compacting || !is_due(&info, &what)) {
        return;
    }
    producer_image_now(engine, partition);
    what.before_offset = partition->image_offset;
    const int rc = engine->store->ops->compact(engine->store, partition->part, &what, &error);
    engine->store->ops->part_info(engine->store, partition->part, &info);
    if (info.is_compacting) {
        retention_had_turn(engine, partition);
    }
    if (rc == 1) {
        retention_hurry(engine);
    }
    if (rc < 0) {
        zsp_diag(engine->diag, ZSP_WARNING, "%s: partition %u: %s", partition->topic->object,
                 partition->index, error.msg);
    }
}

void compaction_round(struct engine *engine, struct topic *topic)
{
    if (!compaction_is_on(topic) || !engine->store->ops->compact) {
        return;
    }
    const uint32_t first = topic->next_retained;
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        ask(engine, retention_nth(topic, first, i));
    }
}

void compaction_ended(struct engine *engine, struct partition *partition)
{
    (void)partition;
    retention_hurry(engine); /* others may have waited for it */
}

void compaction_write_info(struct zsp_writer *out, const struct engine *engine,
                           const struct topic *topic)
{
    wire_write_array(out, topic->partition_count);
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        struct store_part_info info;
        engine->store->ops->part_info(engine->store, topic->partitions[i]->part, &info);
        wire_write_array(out, 6);
        wire_write_uint(out, i);
        wire_write_uint(out, dirty_percent(&info));
        wire_write_uint(out, info.compacted.runs);
        wire_write_uint(out, info.compacted.messages);
        wire_write_uint(out, info.compacted.bytes);
        wire_write_int(out, info.compacted.last_ms);
    }
}
