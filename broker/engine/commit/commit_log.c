/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/commit/commit_log.h"

#include <stdlib.h>
#include <string.h>

#include "broker/engine/publish/producer.h"
#include "broker/engine/state.h"
#include "common/assert.h"

#define FORM_VERSION 1u

static struct zsp_slice id_key(const uint64_t *id)
{
    return (struct zsp_slice){(const uint8_t *)id, sizeof *id};
}

static struct zsp_slice slice_of(const struct zsp_buf *buf)
{
    return (struct zsp_slice){buf->data, buf->len};
}

struct commit_log *commit_log_find(const struct engine *engine, uint64_t producer_id)
{
    return zsp_table_find(&engine->commit_logs, id_key(&producer_id));
}

struct commit_log *commit_log_open(struct engine *engine, uint64_t producer_id)
{
    struct commit_log *self = commit_log_find(engine, producer_id);
    if (self) {
        return self;
    }
    self = calloc(1, sizeof *self);
    if (!self) {
        return NULL;
    }
    self->producer_id = producer_id;
    if (zsp_table_add(&engine->commit_logs, id_key(&self->producer_id), self)) {
        free(self);
        return NULL;
    }
    return self;
}

static void drop_oldest(struct engine *engine, struct commit_log *self)
{
    engine->commit_answer_bytes -= self->answers[0].rows->len;
    zsp_buf_put(&self->answers[0].rows);
    self->answer_count--;
    memmove(self->answers, self->answers + 1, self->answer_count * sizeof self->answers[0]);
}

static void destroy(struct engine *engine, struct commit_log *self)
{
    while (self->answer_count > 0) {
        drop_oldest(engine, self);
    }
    free(self);
}

int commit_log_check_room(const struct engine *engine, struct zsp_err *err)
{
    if (engine->commit_answer_bytes < ZSP_COMMIT_ANSWERS_BYTES) {
        return 0;
    }
    return zsp_err_set_about(
        err, ZSP_ELIMIT_REACHED, "commit",
        "the answers that are remembered of all producers' commits have %u bytes",
        ZSP_COMMIT_ANSWERS_BYTES);
}

uint64_t commit_log_last(const struct engine *engine, uint64_t producer_id)
{
    const struct commit_log *const self = commit_log_find(engine, producer_id);
    return self ? self->done_last : 0;
}

const struct commit_answer *commit_log_answer(const struct commit_log *self, uint64_t sequence)
{
    for (uint32_t i = 0; i < self->answer_count; i++) {
        if (self->answers[i].sequence == sequence) {
            return &self->answers[i];
        }
    }
    return NULL;
}

/* --- durable form ---------------------------------------------------------------------- */

static void write_answer(struct zsp_writer *out, const struct commit_answer *answer)
{
    zsp_write_u64(out, answer->sequence);
    zsp_write_u64(out, (uint64_t)answer->timestamp_ms);
    zsp_write_u64(out, answer->applied);
    zsp_write_short(out, slice_of(answer->rows));
}

static void write_image(struct zsp_writer *out, const struct commit_log *self)
{
    zsp_write_u8(out, FORM_VERSION);
    for (uint32_t i = 0; i < self->answer_count; i++) {
        write_answer(out, &self->answers[i]);
    }
}

int commit_log_entry(const struct commit_log *self, const struct commit_answer *answer,
                     struct zsp_writer *value, struct store_entry *ret)
{
    zsp_writer_reset(value);
    zsp_write_u8(value, FORM_VERSION);
    for (uint32_t i = 0; i < self->answer_count && !self->has_image; i++) {
        write_answer(value, &self->answers[i]);
    }
    write_answer(value, answer);
    ret->kind = self->has_image ? STORE_DELTA : STORE_IMAGE;
    ret->value = zsp_writer_slice(value);
    return value->failed ? ZSP_ENOMEM : 0;
}

/* What nobody was told yet stays. */
static bool is_too_much(const struct engine *engine, const struct commit_log *self)
{
    return self->answer_count == ZSP_COMMIT_WINDOW ||
           (self->answer_count > 0 && self->answers[0].sequence <= self->done_last &&
            engine->commit_answer_bytes > ZSP_COMMIT_FEW_BYTES);
}

void commit_log_put(struct engine *engine, struct commit_log *self,
                    const struct commit_answer *answer)
{
    engine->commit_answer_bytes += answer->rows->len;
    while (is_too_much(engine, self)) {
        drop_oldest(engine, self);
    }
    self->answers[self->answer_count++] = *answer;
    self->put_last = answer->sequence;
    self->has_image = true;
}

void commit_log_gone(struct engine *engine, uint64_t producer_id)
{
    struct commit_log *const self = commit_log_find(engine, producer_id);
    if (!self) {
        return;
    }
    zsp_assert(!self->call_first);
    const struct state_key key = state_key_object('K', producer_id);
    if (self->has_image) {
        state_put_gone(engine, state_key_slice(&key));
    }
    (void)zsp_table_remove(&engine->commit_logs, id_key(&producer_id));
    destroy(engine, self);
}

/* --- start-up ------------------------------------------------------------------------------ */

static int read_answers(struct engine *engine, struct commit_log *self, struct zsp_reader *in,
                        struct zsp_err *err)
{
    while (!in->failed && zsp_reader_left(in) > 0) {
        struct commit_answer answer = {.sequence = zsp_read_u64(in)};
        answer.timestamp_ms = (int64_t)zsp_read_u64(in);
        answer.applied = zsp_read_u64(in);
        const struct zsp_slice rows = zsp_read_short(in);
        if (in->failed || answer.sequence <= self->put_last) {
            return zsp_err_set(err, ZSP_ECORRUPT, "commits of producer id %llu: an answer",
                               (unsigned long long)self->producer_id);
        }
        answer.rows = zsp_buf_copy(rows);
        if (!answer.rows) {
            return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
        }
        commit_log_put(engine, self, &answer);
        self->done_last = self->put_last;
    }
    return 0;
}

int commit_log_replay(struct engine *engine, const struct store_entry *entry, struct zsp_err *err)
{
    struct zsp_reader key = zsp_reader_init(entry->key);
    (void)zsp_read_u8(&key);
    const uint64_t id = zsp_read_u64(&key);
    if (key.failed) {
        return zsp_err_set(err, ZSP_ECORRUPT, "commits: a key of %zu bytes", entry->key.len);
    }
    struct commit_log *self = commit_log_find(engine, id);
    if (self && entry->kind != STORE_DELTA) {
        (void)zsp_table_remove(&engine->commit_logs, id_key(&id));
        destroy(engine, self);
    }
    if (entry->kind == STORE_GONE) {
        return 0;
    }
    self = commit_log_open(engine, id);
    if (!self) {
        return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    struct zsp_reader in = zsp_reader_init(entry->value);
    const bool is_known = zsp_read_u8(&in) == FORM_VERSION;
    self->has_image = true;
    return is_known ? read_answers(engine, self, &in, err)
                    : zsp_err_set(err, ZSP_ECORRUPT, "commits: an unknown version");
}

/* The one with the lowest id of those that no producer is left for; NULL = none. */
static struct commit_log *find_orphan(const struct engine *engine)
{
    size_t cursor = 0;
    struct commit_log *lowest = NULL;
    struct commit_log *self = NULL;
    while ((self = zsp_table_next(&engine->commit_logs, &cursor))) {
        const bool is_lower = !lowest || self->producer_id < lowest->producer_id;
        if (is_lower && !producer_by_id(engine, self->producer_id)) {
            lowest = self;
        }
    }
    return lowest;
}

/* What a start knows of no batch of theirs must not make them expire early. */
static void touch_producers(struct engine *engine)
{
    size_t cursor = 0;
    const struct commit_log *self = NULL;
    while ((self = zsp_table_next(&engine->commit_logs, &cursor))) {
        producer_touch(engine, producer_by_id(engine, self->producer_id));
    }
}

void commit_log_start(struct engine *engine)
{
    /* A crash leaves one at most. */
    struct commit_log *orphan = NULL;
    while ((orphan = find_orphan(engine))) {
        commit_log_gone(engine, orphan->producer_id);
    }
    touch_producers(engine);
}

int commit_log_image(struct engine *engine, struct zsp_slice key, struct zsp_err *err)
{
    struct zsp_reader in = zsp_reader_init(key);
    (void)zsp_read_u8(&in);
    const struct commit_log *const self = commit_log_find(engine, zsp_read_u64(&in));
    struct zsp_writer *const value = &engine->scratch;
    zsp_writer_reset(value);
    if (self) {
        write_image(value, self);
    }
    if (value->failed) {
        return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    const struct store_entry entry = {
        .key = key, .kind = self ? STORE_IMAGE : STORE_GONE, .value = zsp_writer_slice(value)};
    return state_put(engine, &entry, 1, STORE_WRITTEN, NULL, err);
}

void commit_log_free_all(struct engine *engine)
{
    size_t cursor = 0;
    struct commit_log *self = NULL;
    while ((self = zsp_table_next(&engine->commit_logs, &cursor))) {
        destroy(engine, self);
    }
    zsp_table_fini(&engine->commit_logs);
}
