/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/state.h"

#include <string.h>

#include "broker/engine/commit/commit_log.h"
#include "broker/engine/group/group_hooks.h"
#include "broker/engine/ledger/step.h"
#include "broker/engine/publish/producer.h"
#include "broker/engine/publish/producer_image.h"
#include "broker/engine/topic/topic.h"
#include "common/assert.h"
#include "common/limits.h"

/* How long an image that found no room waits. */
#define RETRY_MS 1000

struct state_key state_key_object(char kind, uint64_t id)
{
    struct state_key key = {.len = 9};
    key.bytes[0] = (uint8_t)kind;
    zsp_put_u64(key.bytes + 1, id);
    return key;
}

struct state_key state_key_partition(char kind, uint64_t topic_id, uint32_t partition)
{
    struct state_key key = state_key_object(kind, topic_id);
    zsp_put_u32(key.bytes + 9, partition);
    key.len = 13;
    return key;
}

struct state_key state_key_producer(char kind, uint64_t topic_id, uint32_t partition,
                                    uint64_t producer_id)
{
    struct state_key key = state_key_partition(kind, topic_id, partition);
    zsp_put_u64(key.bytes + 13, producer_id);
    key.len = 21;
    return key;
}

struct zsp_slice state_key_slice(const struct state_key *key)
{
    return (struct zsp_slice){key->bytes, key->len};
}

int state_put(struct engine *engine, const struct store_entry *entries, size_t count,
              enum store_level level, struct engine_op *op, struct zsp_err *err)
{
    const uint64_t tag = op ? engine_op_tag(op) : 0;
    return engine->store->ops->state_put(engine->store, entries, count, level, tag, err);
}

/* --- replay -------------------------------------------------------------------- */

static int replay_time(struct zsp_slice value, struct zsp_err *err)
{
    /* The store itself knows the highest broker time; the entry exists to carry it. */
    if (value.len != 8) {
        return zsp_err_set(err, ZSP_ECORRUPT, "broker time: %zu bytes, wanted 8", value.len);
    }
    return 0;
}

int state_entry(struct engine *engine, const struct store_entry *entry, struct zsp_err *err)
{
    if (entry->key.len == 0) {
        return zsp_err_set(err, ZSP_ECORRUPT, "an entry without a key");
    }
    const char kind = (char)entry->key.data[0];
    if (kind >= 'a' && kind <= 'z') {
        return group_entry(engine, entry, err);
    }
    switch (kind) {
    case 'C':
        return catalog_counters_replay(&engine->catalog, entry->value, err);
    case 'B':
        return replay_time(entry->value, err);
    case 'T':
        return topic_entry(engine, entry, err);
    case 'P':
        return producer_entry(engine, entry, err);
    case 'K':
        return commit_log_replay(engine, entry, err);
    case 'Q':
    case 'R':
        return producer_image_keep(engine, entry, err);
    default:
        return zsp_err_set(err, ZSP_ECORRUPT, "an entry of unknown kind 0x%02x",
                           entry->key.data[0]);
    }
}

/* --- images on demand ------------------------------------------------------------- */

static uint64_t key_id(struct zsp_slice key)
{
    struct zsp_reader in = zsp_reader_init(key);
    (void)zsp_read_u8(&in);
    return zsp_read_u64(&in);
}

/* Broker time; `value` has room for 8 bytes. */
static struct store_entry time_entry(const struct engine *engine, uint8_t *value)
{
    static const uint8_t key[] = "B";
    zsp_put_u64(value, (uint64_t)engine->clock.broker_ms);
    return (struct store_entry){.key = {key, 1}, .kind = STORE_IMAGE, .value = {value, 8}};
}

static int put_time(struct engine *engine, enum store_level level, struct engine_op *op,
                    struct zsp_err *err)
{
    uint8_t value[8];
    const struct store_entry entry = time_entry(engine, value);
    return state_put(engine, &entry, 1, level, op, err);
}

int state_step_time(const struct engine *engine, struct step *step)
{
    uint8_t value[8];
    const struct store_entry entry = time_entry(engine, value);
    return step_entry(step, &entry);
}

int state_put_time(struct engine *engine, struct engine_op *op)
{
    struct zsp_err error = {0};
    return put_time(engine, STORE_SYNCED_LEVEL, op, &error);
}

static int put_image(struct engine *engine, struct zsp_slice key, struct zsp_err *err)
{
    const char kind = (char)key.data[0];
    if (kind >= 'a' && kind <= 'z') {
        return group_image(engine, key, err);
    }
    switch (kind) {
    case 'C': {
        const struct store_entry entry = catalog_counters_entry(&engine->catalog);
        return state_put(engine, &entry, 1, STORE_WRITTEN, NULL, err);
    }
    case 'B':
        return put_time(engine, STORE_WRITTEN, NULL, err);
    case 'T':
        return topic_image(engine, key_id(key), err);
    case 'P':
        return producer_image(engine, key_id(key), err);
    case 'K':
        return commit_log_image(engine, key, err);
    default:
        return producer_image_put(engine, key, err);
    }
}

static void owe_image(struct engine *engine, struct zsp_slice key)
{
    zsp_write_short(&engine->images_owed, key);
    if (engine->images_owed.failed) {
        struct zsp_err error;
        zsp_err_set(&error, ZSP_ENOMEM, "out of memory for the keys of images");
        engine_fail(engine, &error);
        return;
    }
    if (!timer_is_armed(&engine->image_retry)) {
        engine_arm(engine, TIMER_WAIT, &engine->image_retry, engine->clock.broker_ms + RETRY_MS);
    }
}

void state_image_wanted(struct engine *engine, struct zsp_slice key)
{
    zsp_assert(key.len > 0);
    struct zsp_err error = {0};
    if (put_image(engine, key, &error)) {
        owe_image(engine, key);
    }
}

void state_put_gone(struct engine *engine, struct zsp_slice key)
{
    struct zsp_err error = {0};
    const struct store_entry entry = {.key = key, .kind = STORE_GONE};
    if (state_put(engine, &entry, 1, STORE_WRITTEN, NULL, &error)) {
        owe_image(engine, key);
    }
}

static void pay_images(struct engine *engine, struct timer *timer)
{
    (void)timer;
    struct zsp_writer owed = engine->images_owed;
    engine->images_owed = (struct zsp_writer){0};
    struct zsp_reader in = zsp_reader_init(zsp_writer_slice(&owed));
    while (zsp_reader_left(&in) > 0) {
        state_image_wanted(engine, zsp_read_short(&in));
    }
    zsp_writer_fini(&owed);
}

/* While something durable is timed, broker time must not be lost by a crash. */
static void record_time(struct engine *engine, struct timer *timer)
{
    if (engine->timers[TIMER_DURABLE].count == 0 && engine->timers[TIMER_LEASE].count == 0) {
        return;
    }
    struct zsp_err error = {0};
    if (put_time(engine, STORE_WRITTEN, NULL, &error)) {
        zsp_diag(engine->diag, ZSP_WARNING, "broker time was not recorded: %s", error.msg);
    }
    engine_arm(engine, TIMER_WAIT, timer, engine->clock.broker_ms + (int64_t)ZSP_TIME_RECORD_MS);
}

void state_init(struct engine *engine)
{
    engine->image_retry.fire_fn = pay_images;
    engine->time_record.fire_fn = record_time;
}
