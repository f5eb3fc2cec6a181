/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/publish/producer_image.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/engine/publish/producer_log.h"
#include "broker/engine/state.h"
#include "common/assert.h"

/* 'Q': version u8 = 1, last sequence u64, last_used u64 (broker time), batches u8, then of each
 * batch, oldest first: sequence u64, count u32, offset u64.
 * 'R': version u8 = 1, offset u64, place u64. */
#define IMAGE_VERSION 1u

/* A 'Q' or 'R' entry of the start; the later of two with one key counts. */
struct kept_entry {
    uint64_t order;
    bool is_gone;
    uint8_t key[24];
    size_t key_len;
    size_t value_pos, value_len; /* in `bytes` */
};

struct kept_entries {
    struct kept_entry *items;
    size_t count, capacity;
    struct zsp_writer bytes;
};

/* --- writing -------------------------------------------------------------------- */

static void write_log(struct zsp_writer *out, const struct producer_log *log)
{
    const uint64_t mark = log->partition->synced_offset;
    uint32_t end = 0;
    uint32_t count = 0;
    for (; end < log->window_count; end++) {
        const struct producer_batch *const batch = producer_log_batch(log, end);
        if (batch->end_offset > mark) {
            break;
        }
        count += batch->is_inexact ? 0 : 1;
    }
    zsp_write_u8(out, IMAGE_VERSION);
    zsp_write_u64(out, producer_log_synced_last(log));
    zsp_write_u64(out, (uint64_t)log->producer->last_used_ms);
    zsp_write_u8(out, (uint8_t)count);
    for (uint32_t i = 0; i < end; i++) {
        const struct producer_batch *const batch = producer_log_batch(log, i);
        if (batch->is_inexact) {
            continue; /* nobody is told where it is */
        }
        zsp_write_u64(out, batch->sequence);
        zsp_write_u32(out, batch->count);
        zsp_write_u64(out, batch->offset);
    }
}

static int put_value(struct engine *engine, const struct state_key *key,
                     const struct zsp_writer *value, struct engine_op *op, struct zsp_err *err)
{
    if (value->failed) {
        return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    const struct store_entry entry = {
        .key = state_key_slice(key),
        .kind = STORE_IMAGE,
        .value = zsp_writer_slice(value),
    };
    return state_put(engine, &entry, 1, op ? STORE_SYNCED_LEVEL : STORE_WRITTEN, op, err);
}

int producer_image_put_log(struct engine *engine, const struct producer_log *log,
                           struct engine_op *op, struct zsp_err *err)
{
    const struct state_key key = state_key_producer('Q', log->partition->topic->id,
                                                    log->partition->index, log->producer->id);
    zsp_writer_reset(&engine->scratch);
    write_log(&engine->scratch, log);
    return put_value(engine, &key, &engine->scratch, op, err);
}

static int put_offset(struct engine *engine, const struct partition *partition, struct zsp_err *err)
{
    const struct state_key key = state_key_partition('R', partition->topic->id, partition->index);
    zsp_writer_reset(&engine->scratch);
    zsp_write_u8(&engine->scratch, IMAGE_VERSION);
    zsp_write_u64(&engine->scratch, partition->image_offset);
    zsp_write_u64(&engine->scratch, partition->image_place);
    return put_value(engine, &key, &engine->scratch, NULL, err);
}

/* Image the logs that changed; what is not synced yet keeps its log dirty. */
static int put_dirty(struct engine *engine, struct partition *partition, struct zsp_err *err)
{
    struct producer_log **at = &partition->dirty_first;
    while (*at) {
        struct producer_log *const log = *at;
        const int rc = producer_image_put_log(engine, log, NULL, err);
        if (rc != 0) {
            return rc;
        }
        if (producer_log_synced_last(log) == log->written_last) {
            *at = log->dirty_next;
            log->dirty_next = NULL;
            log->is_dirty = false;
        } else {
            at = &log->dirty_next;
        }
    }
    return 0;
}

static void put_image(struct engine *engine, struct partition *partition)
{
    partition->image_bytes = 0;
    struct zsp_err error = {0};
    if (put_dirty(engine, partition, &error)) {
        /* The journal waits for room: the next start scans more, that is all. */
        return;
    }
    const uint64_t old_offset = partition->image_offset;
    const uint64_t old_place = partition->image_place;
    partition->image_offset = partition->synced_offset;
    partition->image_place =
        engine->store->ops->place(engine->store, partition->part, partition->image_offset);
    if (put_offset(engine, partition, &error)) {
        partition->image_offset = old_offset;
        partition->image_place = old_place;
    }
}

void producer_image_advanced(struct engine *engine, struct partition *partition)
{
    if (partition->image_bytes >= ZSP_PRODUCER_IMAGE_BYTES) {
        put_image(engine, partition);
    }
}

void producer_image_now(struct engine *engine, struct partition *partition)
{
    if (partition->image_offset < partition->synced_offset) {
        put_image(engine, partition);
    }
}

/* --- on demand ------------------------------------------------------------------------ */

/* The partition a key speaks of, NULL when it is not LIVE (any more). */
static struct partition *find_partition(const struct engine *engine, uint64_t topic_id,
                                        uint32_t index)
{
    struct topic *const topic = topic_by_id(engine, topic_id);
    if (!topic || topic->state != TOPIC_LIVE || index >= topic->partition_count) {
        return NULL;
    }
    return topic->partitions[index];
}

int producer_image_put(struct engine *engine, struct zsp_slice key, struct zsp_err *err)
{
    struct zsp_reader in = zsp_reader_init(key);
    const uint8_t kind = zsp_read_u8(&in);
    const uint64_t topic_id = zsp_read_u64(&in);
    const uint32_t index = zsp_read_u32(&in);
    const struct partition *const partition = find_partition(engine, topic_id, index);
    if (partition && kind == 'R') {
        return put_offset(engine, partition, err);
    }
    const struct producer *const producer =
        kind == 'Q' ? producer_by_id(engine, zsp_read_u64(&in)) : NULL;
    const struct producer_log *const log =
        partition && producer ? producer_log_find(engine, producer, partition) : NULL;
    if (log) {
        return producer_image_put_log(engine, log, NULL, err);
    }
    const struct store_entry entry = {.key = key, .kind = STORE_GONE};
    return state_put(engine, &entry, 1, STORE_WRITTEN, NULL, err);
}

/* --- start ------------------------------------------------------------------------------ */

int producer_image_keep(struct engine *engine, const struct store_entry *entry, struct zsp_err *err)
{
    struct kept_entry item = {.key_len = entry->key.len, .is_gone = entry->kind == STORE_GONE};
    if (entry->key.len > sizeof item.key) {
        return zsp_err_set(err, ZSP_ECORRUPT, "a sequence's key of %zu bytes", entry->key.len);
    }
    if (!engine->kept) {
        engine->kept = calloc(1, sizeof *engine->kept);
    }
    struct kept_entries *const self = engine->kept;
    if (self && self->count == self->capacity) {
        const size_t capacity = self->capacity > 0 ? self->capacity * 2 : 64;
        struct kept_entry *const items = realloc(self->items, capacity * sizeof *items);
        if (items) {
            self->items = items;
            self->capacity = capacity;
        }
    }
    if (!self || self->count == self->capacity) {
        return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    memcpy(item.key, entry->key.data, entry->key.len);
    item.order = self->count;
    item.value_pos = self->bytes.len;
    item.value_len = entry->value.len;
    zsp_write_bytes(&self->bytes, entry->value);
    self->items[self->count++] = item;
    return self->bytes.failed ? zsp_err_set(err, ZSP_ENOMEM, "out of memory") : 0;
}

static int compare_keys(const struct kept_entry *a, const struct kept_entry *b)
{
    const size_t shorter = a->key_len < b->key_len ? a->key_len : b->key_len;
    const int order = memcmp(a->key, b->key, shorter);
    return order != 0 ? order : (a->key_len > b->key_len) - (a->key_len < b->key_len);
}

static int compare_items(const void *a, const void *b)
{
    const struct kept_entry *const left = a;
    const struct kept_entry *const right = b;
    const int order = compare_keys(left, right);
    return order != 0 ? order : (left->order > right->order) - (left->order < right->order);
}

void producer_image_sort(struct engine *engine)
{
    if (engine->kept) {
        qsort(engine->kept->items, engine->kept->count, sizeof *engine->kept->items, compare_items);
    }
}

void producer_image_forget(struct engine *engine)
{
    if (engine->kept) {
        zsp_writer_fini(&engine->kept->bytes);
        free(engine->kept->items);
        free(engine->kept);
        engine->kept = NULL;
    }
}

/* The first item whose key is not less than `prefix`. */
static size_t find_prefix(const struct kept_entries *self, struct zsp_slice prefix)
{
    size_t low = 0;
    size_t high = self->count;
    struct kept_entry wanted = {.key_len = prefix.len};
    memcpy(wanted.key, prefix.data, prefix.len);
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (compare_keys(&self->items[middle], &wanted) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool has_prefix(const struct kept_entry *item, struct zsp_slice prefix)
{
    return item->key_len >= prefix.len && memcmp(item->key, prefix.data, prefix.len) == 0;
}

static struct zsp_slice value_of(const struct kept_entries *self, const struct kept_entry *item)
{
    return (struct zsp_slice){self->bytes.data + item->value_pos, item->value_len};
}

static int restore_offset(struct partition *partition, struct zsp_slice value, struct zsp_err *err)
{
    struct zsp_reader in = zsp_reader_init(value);
    const uint8_t version = zsp_read_u8(&in);
    partition->image_offset = zsp_read_u64(&in);
    partition->image_place = zsp_read_u64(&in);
    if (in.failed || version != IMAGE_VERSION) {
        return zsp_err_set(err, ZSP_ECORRUPT, "sequences: an offset image of %zu bytes, version %u",
                           value.len, version);
    }
    return 0;
}

static int restore_log(struct engine *engine, struct partition *partition, uint64_t producer_id,
                       struct zsp_slice value, struct zsp_err *err)
{
    struct producer *const producer = producer_by_id(engine, producer_id);
    if (!producer) {
        return 0; /* expired; the entry goes when the store asks for its image */
    }
    struct producer_log *const log = producer_log_open(engine, producer, partition);
    if (!log) {
        return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    struct zsp_reader in = zsp_reader_init(value);
    const uint8_t version = zsp_read_u8(&in);
    const uint64_t last = zsp_read_u64(&in);
    const int64_t last_used_ms = (int64_t)zsp_read_u64(&in);
    const uint32_t count = zsp_read_u8(&in);
    for (uint32_t i = 0; i < count && !in.failed; i++) {
        struct producer_batch batch = {.sequence = zsp_read_u64(&in)};
        batch.count = zsp_read_u32(&in);
        batch.offset = zsp_read_u64(&in);
        batch.end_offset = batch.offset + batch.count; /* all of it is synced */
        if (!in.failed && producer_log_written(log, &batch)) {
            return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
        }
    }
    if (in.failed || version != IMAGE_VERSION) {
        return zsp_err_set(err, ZSP_ECORRUPT,
                           "sequences of producer id %" PRIu64
                           ": an image of %zu bytes, version %u",
                           producer_id, value.len, version);
    }
    log->given_last = log->written_last = log->restored_last = last;
    if (log->is_dirty) {
        partition->dirty_first = log->dirty_next;
        log->dirty_next = NULL;
        log->is_dirty = false;
    }
    if (last_used_ms > producer->last_used_ms) {
        producer->last_used_ms = last_used_ms;
    }
    return 0;
}

/* Take the entries of one kind and partition: the last of each key. */
static int restore_kind(struct engine *engine, struct partition *partition, char kind,
                        struct zsp_err *err)
{
    const struct kept_entries *const kept = engine->kept;
    const struct state_key key = state_key_partition(kind, partition->topic->id, partition->index);
    const struct zsp_slice prefix = state_key_slice(&key);
    int rc = 0;
    for (size_t i = find_prefix(kept, prefix);
         rc == 0 && i < kept->count && has_prefix(&kept->items[i], prefix); i++) {
        const struct kept_entry *const item = &kept->items[i];
        const bool is_last = i + 1 == kept->count || compare_keys(item, &kept->items[i + 1]) != 0;
        if (!is_last || item->is_gone) {
            continue;
        }
        if (kind == 'R') {
            rc = restore_offset(partition, value_of(kept, item), err);
        } else if (item->key_len == prefix.len + 8) {
            rc = restore_log(engine, partition, zsp_get_u64(item->key + prefix.len),
                             value_of(kept, item), err);
        }
    }
    return rc;
}

int producer_image_restore(struct engine *engine, struct partition *partition, struct zsp_err *err)
{
    partition->image_offset = partition->image_place = 0;
    if (!engine->kept) {
        return 0;
    }
    const int rc = restore_kind(engine, partition, 'R', err);
    return rc != 0 ? rc : restore_kind(engine, partition, 'Q', err);
}
