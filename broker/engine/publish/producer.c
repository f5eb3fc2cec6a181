/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/publish/producer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/engine/commit/commit_log.h"
#include "broker/engine/publish/producer_log.h"
#include "broker/engine/state.h"
#include "common/assert.h"
#include "common/container.h"
#include "common/name.h"

/* Image of a producer: version u8 = 1, epoch u32, flags u8 (1 = ephemeral), last_used u64
 * (broker time), name (u16 length, bytes). */
#define IMAGE_VERSION  1u
#define FLAG_EPHEMERAL 1u

/* An OPEN that waits: first for its epoch, then for what older epochs have in flight. */
struct producer_open {
    struct engine_op op;
    struct producer *producer;
    struct producer_open *next;
    struct reply_to to;
    uint32_t epoch;
    bool ephemeral;
    bool is_durable;
};

void producer_init(struct engine *engine)
{
    pool_init(&engine->producer_opens, sizeof(struct producer_open));
    pool_init(&engine->producer_logs, sizeof(struct producer_log));
}

/* --- finding -------------------------------------------------------------------- */

static struct zsp_slice id_key(const uint64_t *id)
{
    return (struct zsp_slice){(const uint8_t *)id, sizeof *id};
}

struct producer *producer_find(const struct engine *engine, struct zsp_slice name)
{
    return name_index_find(&engine->catalog.producers, name);
}

struct producer *producer_by_id(const struct engine *engine, uint64_t id)
{
    return zsp_table_find(&engine->catalog.producer_ids, id_key(&id));
}

int producer_check(const struct engine *engine, struct zsp_slice name, uint64_t epoch,
                   struct producer **ret, struct zsp_err *err)
{
    struct producer *const self = producer_find(engine, name);
    if (!self || self->epoch == 0) {
        char object[ZSP_NAME_MAX + 12];
        (void)snprintf(object, sizeof object, "producer %.*s", (int)name.len,
                       (const char *)name.data);
        zsp_err_set(err, ZSP_ENOT_FOUND, "%s: unknown, or expired: open it", object);
        zsp_err_detail(err, object, NULL, NULL);
        return ZSP_ENOT_FOUND;
    }
    if (epoch == self->epoch) {
        *ret = self;
        return 0;
    }
    const int code = epoch < self->epoch ? ZSP_EFENCED_PRODUCER : ZSP_EBAD_VALUE;
    char wanted[16];
    char got[32];
    (void)snprintf(wanted, sizeof wanted, "%" PRIu32, self->epoch);
    (void)snprintf(got, sizeof got, "%" PRIu64, epoch);
    zsp_err_set(err, code, "%s: epoch %s is in force, not %s", self->object, wanted, got);
    zsp_err_detail(err, self->object, wanted, got);
    return code;
}

/* --- making and freeing ------------------------------------------------------------ */

static void expire(struct engine *engine, struct timer *timer);

static struct producer *producer_new(uint64_t id, struct zsp_slice name)
{
    zsp_assert(name.len <= ZSP_NAME_MAX);
    struct producer *const self = calloc(1, sizeof *self);
    if (!self) {
        return NULL;
    }
    self->id = id;
    memcpy(self->name_bytes, name.data, name.len);
    self->name = (struct zsp_slice){(const uint8_t *)self->name_bytes, name.len};
    (void)snprintf(self->object, sizeof self->object, "producer %s", self->name_bytes);
    self->expiry.fire_fn = expire;
    return self;
}

/* Errors: ZSP_ENOMEM */
static int enlist(struct engine *engine, struct producer *self)
{
    if (name_index_add(&engine->catalog.producers, self->name, self)) {
        return ZSP_ENOMEM;
    }
    if (zsp_table_add(&engine->catalog.producer_ids, id_key(&self->id), self)) {
        (void)name_index_remove(&engine->catalog.producers, self->name);
        return ZSP_ENOMEM;
    }
    return 0;
}

/* Forget it and its sequences, in memory. */
static void remove_producer(struct engine *engine, struct producer *self)
{
    zsp_assert(!self->open_first);
    while (self->log_first) {
        producer_log_close(engine, self->log_first);
    }
    engine_cancel(engine, TIMER_WAIT, &self->expiry);
    (void)name_index_remove(&engine->catalog.producers, self->name);
    (void)zsp_table_remove(&engine->catalog.producer_ids, id_key(&self->id));
    free(self);
}

void producer_free_all(struct engine *engine)
{
    for (size_t i = 0; i < engine->catalog.producers.count; i++) {
        free(engine->catalog.producers.slots[i].value);
    }
    engine->catalog.producers.count = 0;
}

/* --- life ----------------------------------------------------------------------------- */

static int64_t expires_ms(const struct producer *self)
{
    return self->last_used_ms +
           (self->ephemeral ? (int64_t)ZSP_EPHEMERAL_EXPIRE_MS : (int64_t)ZSP_PRODUCER_EXPIRE_MS);
}

/* Its name goes first: a producer must not come back without its sequences. Sequences without a
 * producer are left aside. */
static int put_gone(struct engine *engine, const struct producer *self, struct zsp_err *err)
{
    const struct state_key name = state_key_object('P', self->id);
    const struct store_entry entry = {.key = state_key_slice(&name), .kind = STORE_GONE};
    const int rc = state_put(engine, &entry, 1, STORE_WRITTEN, NULL, err);
    if (rc != 0) {
        return rc;
    }
    for (const struct producer_log *log = self->log_first; log; log = log->peer_next) {
        const struct state_key key =
            state_key_producer('Q', log->partition->topic->id, log->partition->index, self->id);
        state_put_gone(engine, state_key_slice(&key));
    }
    commit_log_gone(engine, self->id);
    return 0;
}

/* The timer is not moved at every use: it looks when it fires. */
static void expire(struct engine *engine, struct timer *timer)
{
    struct producer *const self = CONTAINER_OF(timer, struct producer, expiry);
    int64_t due_ms = expires_ms(self);
    const bool is_used = self->in_flight > 0 || self->open_first;
    if (!is_used && due_ms <= engine->clock.broker_ms) {
        struct zsp_err error = {0};
        if (put_gone(engine, self, &error) == 0) {
            remove_producer(engine, self);
            return;
        }
        zsp_diag(engine->diag, ZSP_WARNING, "%s: it is kept, although it expired: %s", self->object,
                 error.msg);
    }
    if (due_ms <= engine->clock.broker_ms) {
        due_ms = engine->clock.broker_ms + (int64_t)ZSP_EPHEMERAL_EXPIRE_MS;
    }
    engine_arm(engine, TIMER_WAIT, &self->expiry, due_ms);
}

void producer_touch(struct engine *engine, struct producer *self)
{
    self->last_used_ms = engine->clock.broker_ms;
}

void producer_start(struct engine *engine)
{
    for (size_t i = 0; i < engine->catalog.producers.count; i++) {
        struct producer *const self = engine->catalog.producers.slots[i].value;
        engine_arm(engine, TIMER_WAIT, &self->expiry, expires_ms(self));
    }
}

/* --- answers ------------------------------------------------------------------------------ */

/* What a row may take: name, partition, sequence and their heads. */
#define ROW_BYTES(log) ((log)->partition->topic->name.len + 24u)

static bool is_told(const struct producer_log *log, struct zsp_slice topic)
{
    return producer_log_synced_last(log) > 0 &&
           (!topic.data || zsp_slice_equal(topic, log->partition->topic->name));
}

void producer_reply(struct engine *engine, const struct producer *self, struct zsp_slice topic,
                    const struct reply_to *to)
{
    uint32_t rows = 0;
    size_t bytes = 1024;
    bool more = false;
    const struct producer_log *end = NULL;
    for (const struct producer_log *log = self->log_first; log && !more; log = log->peer_next) {
        if (is_told(log, topic)) {
            bytes += ROW_BYTES(log);
            more = bytes > ZSP_HEADER_MAX;
            end = more ? log : NULL;
            rows += more ? 0 : 1;
        }
    }
    struct zsp_writer *const out = reply_begin(engine, to);
    wire_write_map(out, 4);
    wire_write_text_uint(out, "epoch", self->epoch);
    wire_write_text_uint(out, "commit", commit_log_last(engine, self->id));
    wire_write_text(out, "last");
    wire_write_array(out, rows);
    for (const struct producer_log *log = self->log_first; log != end; log = log->peer_next) {
        if (is_told(log, topic)) {
            wire_write_array(out, 3);
            wire_write_str(out, log->partition->topic->name);
            wire_write_uint(out, log->partition->index);
            wire_write_uint(out, producer_log_synced_last(log));
        }
    }
    wire_write_text_bool(out, "more", more);
    reply_end(engine);
}

/* --- opening ------------------------------------------------------------------------------ */

static void link_open(struct producer *self, struct producer_open *open)
{
    *(self->open_last ? &self->open_last->next : &self->open_first) = open;
    self->open_last = open;
}

static void unlink_open(struct producer *self, struct producer_open *open)
{
    struct producer_open *before = NULL;
    for (struct producer_open *at = self->open_first; at != open; at = at->next) {
        before = at;
    }
    *(before ? &before->next : &self->open_first) = open->next;
    if (self->open_last == open) {
        self->open_last = before;
    }
}

/* Answer the OPENs whose epoch is durable, once nothing is in flight. */
static void answer_opens(struct engine *engine, struct producer *self)
{
    while (self->in_flight == 0 && self->open_first && self->open_first->is_durable) {
        struct producer_open *const open = self->open_first;
        unlink_open(self, open);
        const uint32_t in_force = self->epoch;
        self->epoch = open->epoch;
        producer_reply(engine, self, (struct zsp_slice){0}, &open->to);
        self->epoch = in_force;
        pool_put(&engine->producer_opens, open);
    }
}

void producer_batch_begins(struct producer *self)
{
    self->in_flight++;
}

void producer_batch_ends(struct engine *engine, struct producer *self)
{
    zsp_assert(self->in_flight > 0);
    self->in_flight--;
    answer_opens(engine, self);
}

static void epoch_is_durable(struct engine *engine, struct engine_op *op,
                             const struct store_completion *completion)
{
    struct producer_open *const open = (struct producer_open *)op;
    struct producer *const self = open->producer;
    if (completion->error.code != 0) {
        unlink_open(self, open);
        reply_error(engine, &open->to, &completion->error);
        pool_put(&engine->producer_opens, open);
        if (self->epoch == 0 && !self->open_first) {
            remove_producer(engine, self);
        }
        return;
    }
    open->is_durable = true;
    self->epoch = open->epoch;
    self->ephemeral = open->ephemeral;
    producer_touch(engine, self);
    engine_arm(engine, TIMER_WAIT, &self->expiry, expires_ms(self));
    answer_opens(engine, self);
}

static int put_image(struct engine *engine, const struct producer *self, uint32_t epoch,
                     bool ephemeral, struct engine_op *op, struct zsp_err *err)
{
    struct zsp_writer value = {0};
    zsp_write_u8(&value, IMAGE_VERSION);
    zsp_write_u32(&value, epoch);
    zsp_write_u8(&value, ephemeral ? FLAG_EPHEMERAL : 0);
    zsp_write_u64(&value, (uint64_t)(op ? engine->clock.broker_ms : self->last_used_ms));
    zsp_write_short(&value, self->name);
    int rc = ZSP_ENOMEM;
    if (value.failed) {
        zsp_err_set(err, rc, "%s: out of memory", self->object);
    } else {
        const struct state_key key = state_key_object('P', self->id);
        const struct store_entry entries[] = {
            catalog_counters_entry(&engine->catalog),
            {
                .key = state_key_slice(&key),
                .kind = STORE_IMAGE,
                .value = zsp_writer_slice(&value),
            },
        };
        rc = state_put(engine, entries, 2, op ? STORE_SYNCED_LEVEL : STORE_WRITTEN, op, err);
    }
    zsp_writer_fini(&value);
    return rc;
}

/* Find the name or make it. NULL: ZSP_ELIMIT_REACHED, ZSP_ENOMEM. */
static struct producer *require(struct engine *engine, struct zsp_slice name, struct zsp_err *err)
{
    struct producer *self = producer_find(engine, name);
    if (self) {
        return self;
    }
    if (engine->catalog.producers.count >= ZSP_PRODUCERS_MAX) {
        zsp_err_set_about(err, ZSP_ELIMIT_REACHED, "producers",
                          "there are %u producers, no more are allowed until some expire",
                          ZSP_PRODUCERS_MAX);
        return NULL;
    }
    self = producer_new(catalog_take_id(&engine->catalog, CATALOG_PRODUCER_ID), name);
    if (!self || enlist(engine, self)) {
        free(self);
        zsp_err_set(err, ZSP_ENOMEM, "out of memory");
        return NULL;
    }
    return self;
}

int producer_open(struct engine *engine, struct zsp_slice name, bool ephemeral,
                  const struct reply_to *to, struct zsp_err *err)
{
    struct producer *const self = require(engine, name, err);
    if (!self) {
        return err->code;
    }
    int rc = 0;
    struct producer_open *const open = pool_get(&engine->producer_opens);
    if (!open) {
        rc = zsp_err_set(err, ZSP_ENOMEM, "out of memory");
        goto fail;
    }
    if (self->epoch_taken == UINT32_MAX) {
        rc = zsp_err_set_about(err, ZSP_ELIMIT_REACHED, self->object, "%s: all epochs are used up",
                               self->object);
        goto fail;
    }
    *open = (struct producer_open){
        .op.done_fn = epoch_is_durable,
        .producer = self,
        .to = *to,
        .epoch = self->epoch_taken + 1,
        .ephemeral = ephemeral,
    };
    rc = put_image(engine, self, open->epoch, ephemeral, &open->op, err);
    if (rc != 0) {
        goto fail;
    }
    self->epoch_taken = open->epoch;
    link_open(self, open);
    reply_may_apply(engine, to);
    return 0;

fail:
    if (open) {
        pool_put(&engine->producer_opens, open);
    }
    if (self->epoch_taken == 0) {
        remove_producer(engine, self);
    }
    return rc;
}

/* --- durable state --------------------------------------------------------------------------- */

int producer_image(struct engine *engine, uint64_t id, struct zsp_err *err)
{
    const struct producer *const self = producer_by_id(engine, id);
    if (self) {
        return put_image(engine, self, self->epoch_taken, self->ephemeral, NULL, err);
    }
    const struct state_key key = state_key_object('P', id);
    const struct store_entry entry = {.key = state_key_slice(&key), .kind = STORE_GONE};
    return state_put(engine, &entry, 1, STORE_WRITTEN, NULL, err);
}

static int replay_image(struct engine *engine, uint64_t id, struct zsp_slice value,
                        struct zsp_err *err)
{
    struct zsp_reader in = zsp_reader_init(value);
    const uint8_t version = zsp_read_u8(&in);
    const uint32_t epoch = zsp_read_u32(&in);
    const uint8_t flags = zsp_read_u8(&in);
    const uint64_t last_used_ms = zsp_read_u64(&in);
    const struct zsp_slice name = zsp_read_short(&in);
    if (in.failed || version != IMAGE_VERSION || epoch == 0 || !zsp_name_valid(name)) {
        return zsp_err_set(err, ZSP_ECORRUPT, "an image of %zu bytes, version %u", value.len,
                           version);
    }
    struct producer *self = producer_by_id(engine, id);
    if (!self) {
        self = producer_find(engine, name) ? NULL : producer_new(id, name);
        if (!self) {
            return zsp_err_set(err, ZSP_ECORRUPT, "a second producer of that name");
        }
        if (enlist(engine, self)) {
            free(self);
            return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
        }
    }
    self->epoch = self->epoch_taken = epoch;
    self->ephemeral = (flags & FLAG_EPHEMERAL) != 0;
    self->last_used_ms = (int64_t)last_used_ms;
    return 0;
}

int producer_entry(struct engine *engine, const struct store_entry *entry, struct zsp_err *err)
{
    struct zsp_reader in = zsp_reader_init(entry->key);
    (void)zsp_read_u8(&in);
    const uint64_t id = zsp_read_u64(&in);
    if (in.failed) {
        return zsp_err_set(err, ZSP_ECORRUPT, "a producer's key of %zu bytes", entry->key.len);
    }
    if (entry->kind == STORE_GONE) {
        struct producer *const self = producer_by_id(engine, id);
        if (self) {
            remove_producer(engine, self);
        }
        return 0;
    }
    const int rc = replay_image(engine, id, entry->value, err);
    if (rc != 0) {
        zsp_err_wrap(err, "producer id %" PRIu64, id);
    }
    return rc;
}
