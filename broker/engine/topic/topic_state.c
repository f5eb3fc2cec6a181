/* SPDX-License-Identifier: MPL-2.0
 *
 * The durable side of a topic: its entry, and opening its logs at start.
 */
#include <stdio.h>

#include "broker/engine/ledger/agenda.h"
#include "broker/engine/publish/dedup.h"
#include "broker/engine/publish/producer_image.h"
#include "broker/engine/state.h"
#include "broker/engine/topic/expiry.h"
#include "broker/engine/topic/retention.h"
#include "broker/engine/topic/topic.h"
#include "broker/engine/topic/topic_grow.h"
#include "broker/engine/topic/topic_priv.h"
#include "broker/engine/topic/topic_settings.h"
#include "common/name.h"

/* Image of a topic: version u8 = 4, partitions u32, created_ms u64, flags u8 (enum topic_mark: 1 = it has
 * had messages with a priority or a time of their own, 2 = with a time to live, 4 = without 2 it had none of
 * these; older ones do not have it), the settings (topic_settings_encode), name
 * (u16 length, bytes), a count u32 of partitions that were purged, and of each: partition u32, offset
 * u64. Version 3 ended with the name, version 2 had no flags; version 1 had retention_time_ms u64 and
 * retention_bytes u64 in place of the settings as well. */
#define IMAGE_VERSION 4u
#define PURGED_BYTES  12u /* of one partition */

#define MARKS         (TOPIC_MARK_AGENDA | TOPIC_MARK_EXPIRY | TOPIC_MARK_TOLD)

static void write_image(struct zsp_writer *out, const struct topic *self,
                        const struct topic_settings *settings)
{
    zsp_write_u8(out, IMAGE_VERSION);
    zsp_write_u32(out, topic_partitions_put(self));
    zsp_write_u64(out, (uint64_t)self->created_ms);
    zsp_write_u8(out, self->marks | self->marking);
    topic_settings_encode(out, settings);
    zsp_write_short(out, self->name);
    uint32_t purged = 0;
    for (uint32_t i = 0; i < self->partition_count; i++) {
        purged += self->partitions[i]->purged_offset > 0 ? 1 : 0;
    }
    zsp_write_u32(out, purged);
    for (uint32_t i = 0; i < self->partition_count; i++) {
        if (self->partitions[i]->purged_offset > 0) {
            zsp_write_u32(out, i);
            zsp_write_u64(out, self->partitions[i]->purged_offset);
        }
    }
}

int topic_put_image(struct engine *engine, const struct topic *self,
                    const struct topic_settings *settings, enum store_level level,
                    struct engine_op *op, struct zsp_err *err)
{
    struct zsp_writer value = {0};
    write_image(&value, self, settings);
    int rc = ZSP_ENOMEM;
    if (value.failed) {
        zsp_err_set(err, rc, "%s: out of memory", self->object);
    } else {
        const struct state_key key = state_key_object('T', self->id);
        const struct store_entry entry = {
            .key = state_key_slice(&key),
            .kind = STORE_IMAGE,
            .value = zsp_writer_slice(&value),
        };
        rc = state_put(engine, &entry, 1, level, op, err);
    }
    zsp_writer_fini(&value);
    return rc;
}

int topic_image(struct engine *engine, uint64_t id, struct zsp_err *err)
{
    const struct topic *const topic = topic_by_id(engine, id);
    if (topic && topic->state == TOPIC_LIVE) {
        return topic_put_image(engine, topic, topic_settings_of(topic), STORE_WRITTEN, NULL, err);
    }
    const struct state_key key = state_key_object('T', id);
    const struct store_entry entry = {.key = state_key_slice(&key), .kind = STORE_GONE};
    return state_put(engine, &entry, 1, STORE_WRITTEN, NULL, err);
}

/* What an image says, checked. */
struct topic_image {
    uint32_t partition_count;
    int64_t created_ms;
    uint8_t marks;
    struct topic_settings settings;
    struct zsp_slice name;
    uint32_t purged_count;
    struct zsp_slice purged; /* so many pairs */
};

static int read_image(struct zsp_slice value, struct topic_image *ret, struct zsp_err *err)
{
    struct zsp_reader in = zsp_reader_init(value);
    const uint8_t version = zsp_read_u8(&in);
    ret->partition_count = zsp_read_u32(&in);
    ret->created_ms = (int64_t)zsp_read_u64(&in);
    ret->marks = version >= 3 ? zsp_read_u8(&in) & MARKS : 0;
    int rc = 0;
    if (version == 1) {
        ret->settings.retention_time_ms = zsp_read_u64(&in);
        ret->settings.retention_bytes = zsp_read_u64(&in);
    } else {
        rc = topic_settings_decode(&in, &ret->settings);
    }
    ret->name = zsp_read_short(&in);
    ret->purged_count = version > 3 ? zsp_read_u32(&in) : 0;
    ret->purged = zsp_read_bytes(&in, zsp_reader_left(&in));
    if (in.failed || rc < 0 || version == 0 || version > IMAGE_VERSION ||
        ret->purged.len != (uint64_t)ret->purged_count * PURGED_BYTES) {
        return zsp_err_set(err, ZSP_ECORRUPT, "an image of %zu bytes, version %u", value.len,
                           version);
    }
    if (ret->partition_count == 0 || ret->partition_count > ZSP_PARTITIONS_MAX) {
        return zsp_err_set(err, ZSP_ECORRUPT, "%u partitions", ret->partition_count);
    }
    if (!zsp_name_valid(ret->name)) {
        return zsp_err_set(err, ZSP_ECORRUPT, "an illegal name");
    }
    return 0;
}

static int read_purged(struct topic *topic, const struct topic_image *image, struct zsp_err *err)
{
    struct zsp_reader in = zsp_reader_init(image->purged);
    for (uint32_t i = 0; i < image->purged_count; i++) {
        const uint32_t partition = zsp_read_u32(&in);
        const uint64_t offset = zsp_read_u64(&in);
        if (partition >= topic->partition_count) {
            return zsp_err_set(err, ZSP_ECORRUPT, "a purge of partition %u", partition);
        }
        topic->partitions[partition]->purged_offset = offset;
    }
    return 0;
}

static int replay_image(struct engine *engine, uint64_t id, const struct topic_image *image,
                        struct zsp_err *err)
{
    struct topic *topic = topic_by_id(engine, id);
    if (topic && image->partition_count < topic->partition_count) {
        return zsp_err_set(err, ZSP_ECORRUPT, "%u partitions, it had %u", image->partition_count,
                           topic->partition_count);
    }
    const uint32_t counted = topic ? topic_partitions_counted(topic) : 0;
    if (topic && topic_set_partitions(topic, image->partition_count) < 0) {
        return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    if (topic) {
        engine->catalog.partition_count += topic_partitions_counted(topic) - counted;
        if (topic_keep(topic, &image->settings) < 0) {
            return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
        }
        topic->marks = image->marks;
        return read_purged(topic, image, err);
    }
    topic = topic_new(id, image->name, image->partition_count, &image->settings);
    if (!topic) {
        return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    topic->created_ms = image->created_ms;
    topic->state = TOPIC_LIVE;
    topic->marks = image->marks;
    int rc = read_purged(topic, image, err);
    if (rc == 0 && topic_by_name(engine, image->name)) {
        rc = zsp_err_set(err, ZSP_ECORRUPT, "%s: a second topic of that name", topic->object);
    } else if (rc == 0 && topic_enlist(engine, topic)) {
        rc = zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    if (rc != 0) {
        topic_destroy(&topic);
    }
    return rc;
}

int topic_entry(struct engine *engine, const struct store_entry *entry, struct zsp_err *err)
{
    struct zsp_reader in = zsp_reader_init(entry->key);
    (void)zsp_read_u8(&in);
    const uint64_t id = zsp_read_u64(&in);
    if (in.failed) {
        return zsp_err_set(err, ZSP_ECORRUPT, "a topic's key of %zu bytes", entry->key.len);
    }
    struct topic *const topic = topic_by_id(engine, id);
    if (entry->kind == STORE_GONE) {
        if (topic) {
            topic_free(engine, topic);
        }
        return 0;
    }
    struct topic_image image = {0};
    int rc = read_image(entry->value, &image, err);
    if (rc == 0) {
        rc = replay_image(engine, id, &image, err);
    }
    if (rc != 0) {
        zsp_err_wrap(err, "topic id %llu", (unsigned long long)id);
    }
    return rc;
}

static int open_partition(struct engine *engine, struct partition *partition, struct zsp_err *err)
{
    struct topic *const topic = partition->topic;
    const struct store_topic wanted = topic_store_topic(topic);
    int rc = producer_image_restore(engine, partition, err);
    if (rc == 0) {
        rc = engine->store->ops->part_open(engine->store, &wanted, partition->index, partition,
                                           partition->image_offset, partition->image_place,
                                           &partition->part, err);
    }
    if (rc != 0) {
        zsp_err_wrap(err, "%s: partition %u", topic->object, partition->index);
        return rc;
    }
    topic->parts[partition->index] = partition->part;
    dedup_partition_set(engine, partition);
    struct store_part_info info;
    engine->store->ops->part_info(engine->store, partition->part, &info);
    partition_set_start(partition, info.start_offset, info.island_offset);
    partition_set_start(partition, partition->purged_offset, partition->purged_offset);
    partition->synced_offset = info.synced_offset;
    if (info.refuses_appends) {
        zsp_diag(engine->diag, ZSP_ERROR, "%s: partition %u is damaged and takes no publishes",
                 topic->object, partition->index);
    }
    if ((topic->marks & TOPIC_MARK_AGENDA) != 0) {
        rc = agenda_open(engine, partition, partition->synced_offset);
    }
    if (rc == 0 && topic_may_expire(topic)) {
        rc = expiry_open(engine, partition, partition->synced_offset);
    }
    return rc == 0 ? 0 : zsp_err_set(err, rc, "%s: out of memory", topic->object);
}

int topic_open_all(struct engine *engine, struct zsp_err *err)
{
    for (size_t i = 0; i < engine->catalog.topics.count; i++) {
        struct topic *const topic = engine->catalog.topics.slots[i].value;
        for (uint32_t j = 0; j < topic->partition_count; j++) {
            const int rc = open_partition(engine, topic->partitions[j], err);
            if (rc != 0) {
                return rc;
            }
        }
    }
    return 0;
}
