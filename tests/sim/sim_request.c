/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/sim/sim_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/assert.h"
#include "common/limits.h"
#include "tests/sim/sim_many.h"
#include "tests/sim/sim_message.h"
#include "tests/sim/sim_model.h"
#include "tests/support/plain_body.h"

const char *sim_topic_name(uint32_t topic)
{
    static const char *const names[] = {"orders", "bills",  "events", "scratch", "source",
                                        "left",   "right",  "sick",   "grave",   "again",
                                        "prices", "clinic", "morgue", "tide"};
    zsp_assert(topic < SIM_TOPICS_ALL);
    return names[topic];
}

const char *sim_group_name(uint32_t group)
{
    static const char *const names[] = {
        "audit",  "billing", "search",  "ledger", "accounts", "scratch", "relay", "ward",
        "buyers", "brokers", "traders", "side",   "clinic",   "ebb",     "flood", "shelf"};
    zsp_assert(group <= SIM_SHELF);
    return names[group];
}

const char *sim_verb_name(enum sim_verb verb)
{
    static const char *const names[] = {"PUBLISH",
                                        "PRODUCER.OPEN",
                                        "PULL",
                                        "SETTLE",
                                        "READ",
                                        "SEEK",
                                        "TOPIC.CREATE",
                                        "TOPIC.SET",
                                        "TOPIC.INFO",
                                        "GROUP.CREATE",
                                        "GROUP.INFO",
                                        "GROUP.TRACE",
                                        "GROUP.REPLAY",
                                        "TOPIC.DELETE",
                                        "TOPIC.PURGE",
                                        "GROUP.DELETE",
                                        "GROUP.SET",
                                        "GROUP.PAUSE",
                                        "GROUP.RESUME",
                                        "SAVEPOINT.SAVE",
                                        "SAVEPOINT.RESTORE",
                                        "SAVEPOINT.UNDO",
                                        "COMMIT",
                                        "STATS",
                                        "BYE",
                                        "CANCEL",
                                        "DEAD.LIST",
                                        "DEAD.REDRIVE",
                                        "DEAD.DROP"};
    return names[verb];
}

void request_destroy(struct sim_request **self_p)
{
    struct sim_request *self = *self_p;
    zsp_buf_put(&self->header);
    zsp_buf_put(&self->body);
    zsp_buf_put(&self->second_body);
    free(self->numbers);
    free(self->touched);
    free(self->sruns);
    if (self->saved) {
        saved_free(self->saved);
        free(self->saved);
    }
    free(self->reply.runs);
    free(self->reply.messages);
    free(self->reply.at);
    free(self->reply.not_applied);
    free(self->reply.parts);
    free(self);
    *self_p = NULL;
}

/* --- Encoding ------------------------------------------------------------------------- */

uint32_t order_count(const struct sim_order *order)
{
    return (order->priority != ZSP_PRIORITY ? 1u : 0u) + (order->not_before_ms != 0 ? 1u : 0u) +
           (order->expires_at_ms != 0 ? 1u : 0u);
}

void write_order(struct zsp_writer *out, const struct sim_order *order)
{
    if (order->priority != ZSP_PRIORITY) {
        wire_write_text_uint(out, "priority", order->priority);
    }
    if (order->not_before_ms != 0) {
        wire_write_text_uint(out, "not_before_ms", (uint64_t)order->not_before_ms);
    }
    if (order->expires_at_ms != 0) {
        wire_write_text_uint(out, "expires_at_ms", (uint64_t)order->expires_at_ms);
    }
}

static void write_publish(struct zsp_writer *out, const struct sim_request *self, size_t raw_bytes)
{
    char producer[16];
    (void)snprintf(producer, sizeof producer, "producer-%u", self->producer);
    wire_write_map(out, 3u + (self->partition >= 0 ? 1u : 0u) + (self->producer > 0 ? 3u : 0u) +
                            (self->is_packed ? 2u : 0u) + order_count(&self->order));
    write_order(out, &self->order);
    wire_write_text(out, "topic");
    wire_write_text(out, sim_topic_name(self->topic));
    wire_write_text(out, "level");
    wire_write_text(out, self->is_synced ? "synced" : "written");
    wire_write_text_uint(out, "count", self->message_count);
    if (self->partition >= 0) {
        wire_write_text_uint(out, "partition", (uint64_t)self->partition);
    }
    if (self->producer > 0) {
        wire_write_text(out, "producer");
        wire_write_text(out, producer);
        wire_write_text_uint(out, "epoch", self->epoch);
        wire_write_text_uint(out, "seq", self->sequence);
    }
    if (self->is_packed) {
        wire_write_text(out, "codec");
        wire_write_text(out, "zstd");
        wire_write_text_uint(out, "raw_size", raw_bytes);
    }
}

/* What PULL and READ may ask for beside the messages; so many pairs. */
static uint32_t wish_count(const struct sim_request *self)
{
    return (self->accepts_zstd ? 1u : 0u) + (self->wants_parts ? 1u : 0u);
}

static void write_wishes(struct zsp_writer *out, const struct sim_request *self)
{
    if (self->wants_parts) {
        wire_write_text_bool(out, "parts", true);
    }
    if (self->accepts_zstd) {
        wire_write_text(out, "accept");
        wire_write_array(out, 2);
        wire_write_text(out, "some-day");
        wire_write_text(out, "zstd");
    }
}

/* The topics of a group: by their names, or by patterns that match no others; one request does it
 * so, the next one so. */
static void write_topics(struct zsp_writer *out, const struct sim_request *self)
{
    static const char *const patterns[] = {"ord*",   "b?lls",  "*nts", "scr*",  "sourc?",
                                           "l*",     "r*",     "si*",  "gr?ve", "ag*",
                                           "pr?ces", "cl?nic", "m*",   "t?de"};
    wire_write_text(out, "topics");
    uint32_t count = 0;
    for (uint32_t t = 0; t < SIM_TOPICS_ALL; t++) {
        count += model_takes_topic(self, t);
    }
    wire_write_array(out, count);
    for (uint32_t t = 0; t < SIM_TOPICS_ALL; t++) {
        if (model_takes_topic(self, t)) {
            wire_write_text(out, self->ticket % 2 == 0 ? patterns[t] : sim_topic_name(t));
        }
    }
}

static void write_group(struct zsp_writer *out, const struct sim_request *self)
{
    wire_write_text(out, "group");
    wire_write_text(out, sim_group_name(self->group));
}

static void write_sruns(struct zsp_writer *out, const char *key, const struct sim_request *self)
{
    wire_write_text(out, key);
    wire_write_array(out, (uint32_t)self->srun_count);
    for (size_t i = 0; i < self->srun_count; i++) {
        const struct sim_srun *srun = &self->sruns[i];
        const struct wire_srun encoded = {
            .topic = zsp_slice_str(sim_topic_name(srun->topic)),
            .partition = srun->partition,
            .first = srun->first,
            .count = srun->count,
            .lease = srun->lease,
            .outcome = srun->outcome,
            .has_delay = srun->has_delay,
            .delay_ms = srun->delay_ms,
            .reason =
                srun->outcome == WIRE_REJECT ? zsp_slice_str("not for us") : (struct zsp_slice){0},
        };
        wire_write_srun(out, &encoded);
    }
}

/* The mode of a group, NULL = the default. */
static const char *mode_of(uint32_t group)
{
    return group == SIM_ORDERED || group == SIM_BUYERS + 1 ? "ordered"
           : group == SIM_KEYED || group == SIM_BUYERS + 2 ? "keyed"
                                                           : NULL;
}

static void write_mode(struct zsp_writer *out, uint32_t group)
{
    if (mode_of(group)) {
        wire_write_text(out, "mode");
        wire_write_text(out, mode_of(group));
    }
}

static void write_pull(struct zsp_writer *out, const struct sim_request *self)
{
    const bool names_topics = self->group != SIM_SIDE;
    wire_write_map(out, 4u + (names_topics ? 1u : 0u) + (mode_of(self->group) ? 1u : 0u) +
                            (self->srun_count > 0 ? 1u : 0u) + wish_count(self));
    write_group(out, self);
    if (names_topics) {
        write_topics(out, self);
    }
    write_mode(out, self->group);
    wire_write_text_uint(out, "max_messages", self->max_messages);
    wire_write_text_uint(out, "max_bytes", self->max_bytes);
    wire_write_text_uint(out, "wait_ms", self->wait_ms);
    if (self->srun_count > 0) {
        write_sruns(out, "settle", self);
    }
    write_wishes(out, self);
}

static void write_settle(struct zsp_writer *out, const struct sim_request *self)
{
    wire_write_map(out, 2);
    write_group(out, self);
    write_sruns(out, "runs", self);
}

static void write_commit(struct zsp_writer *out, const struct sim_request *self)
{
    static const uint32_t topics[] = {SIM_LEFT, SIM_RIGHT};
    char producer[16];
    (void)snprintf(producer, sizeof producer, "producer-%u", self->producer);
    wire_write_map(out, 5);
    wire_write_text(out, "producer");
    wire_write_text(out, producer);
    wire_write_text_uint(out, "epoch", self->epoch);
    wire_write_text_uint(out, "seq", self->sequence);
    wire_write_text(out, "publish");
    wire_write_array(out, 2);
    for (size_t i = 0; i < 2; i++) {
        wire_write_map(out, 1);
        wire_write_text(out, "topic");
        wire_write_text(out, sim_topic_name(topics[i]));
    }
    wire_write_text(out, "settle");
    write_settle(out, self);
}

static void write_read(struct zsp_writer *out, const struct sim_request *self)
{
    wire_write_map(out, 6u + wish_count(self) + (self->parts_known > 0 ? 1u : 0u));
    wire_write_text(out, "topic");
    wire_write_text(out, sim_topic_name(self->topic));
    wire_write_text_uint(out, "partition", (uint64_t)self->partition);
    wire_write_text(out, "from");
    char id[24];
    (void)message_id(self->id_message, id);
    const struct wire_position from = {.kind = self->is_by_id        ? WIRE_POSITION_ID
                                               : self->from_earliest ? WIRE_POSITION_EARLIEST
                                                                     : WIRE_POSITION_OFFSET,
                                       .value = self->from,
                                       .id = zsp_slice_str(id)};
    wire_write_position(out, &from);
    wire_write_text_uint(out, "max_messages", self->max_messages);
    wire_write_text_uint(out, "max_bytes", self->max_bytes);
    wire_write_text_uint(out, "wait_ms", self->wait_ms);
    if (self->parts_known > 0) {
        wire_write_text_uint(out, "partitions", self->parts_known);
    }
    write_wishes(out, self);
}

static void write_seek(struct zsp_writer *out, const struct sim_request *self)
{
    wire_write_map(out, self->partition >= 0 ? 5 : 4);
    write_group(out, self);
    wire_write_text(out, "topic");
    wire_write_text(out, sim_topic_name(self->topic));
    wire_write_text(out, "to");
    wire_write_position(out, &self->position);
    wire_write_text_bool(out, "dry_run", self->dry_run);
    if (self->partition >= 0) {
        wire_write_text_uint(out, "partition", (uint64_t)self->partition);
    }
}

static void write_replay(struct zsp_writer *out, const struct sim_request *self)
{
    wire_write_map(out, self->partition >= 0 ? 7 : 6);
    write_group(out, self);
    wire_write_text(out, "name");
    wire_write_text(out, sim_group_name(SIM_SIDE));
    wire_write_text(out, "topic");
    wire_write_text(out, sim_topic_name(self->topic));
    wire_write_text(out, "from");
    wire_write_position(out, &self->position);
    wire_write_text(out, "to");
    wire_write_position(out, &self->until);
    wire_write_text(out, "settings");
    wire_write_map(out, 2);
    wire_write_text_uint(out, "max_failures", 0);
    wire_write_text_uint(out, "lease_ms", SIM_LEASE_MS / 4);
    if (self->partition >= 0) {
        wire_write_text_uint(out, "partition", (uint64_t)self->partition);
    }
}

static void write_purge(struct zsp_writer *out, const struct sim_request *self)
{
    const struct wire_position before = {.kind = WIRE_POSITION_OFFSET, .value = self->from};
    wire_write_map(out, 3);
    wire_write_text(out, "topic");
    wire_write_text(out, sim_topic_name(self->topic));
    wire_write_text_uint(out, "partition", (uint64_t)self->partition);
    wire_write_text(out, "before");
    wire_write_position(out, &before);
}

static void write_savepoint(struct zsp_writer *out, const struct sim_request *self)
{
    const bool has_name = self->verb != SIM_SAVEPOINT_UNDO;
    wire_write_map(out, has_name ? 3 : 2);
    write_group(out, self);
    if (has_name) {
        wire_write_text(out, "name");
        wire_write_text(out, "s");
    }
    if (self->verb == SIM_SAVEPOINT_SAVE) {
        wire_write_text_bool(out, "replace", true);
    } else {
        wire_write_text_bool(out, "dry_run", self->dry_run);
    }
}

/* At the message with an id. */
static void write_group_start(struct zsp_writer *out, const struct sim_request *self)
{
    char id[24];
    (void)message_id(self->id_message, id);
    const struct wire_position start = {.kind = WIRE_POSITION_ID, .id = zsp_slice_str(id)};
    wire_write_map(out, 3);
    write_group(out, self);
    wire_write_text(out, "topics");
    wire_write_array(out, 1);
    wire_write_text(out, sim_topic_name(self->topic));
    wire_write_text(out, "start");
    wire_write_position(out, &start);
}

static void write_group_create(struct zsp_writer *out, const struct sim_request *self)
{
    if (self->group == SIM_SIDE) {
        write_group_start(out, self);
        return;
    }
    wire_write_map(out, mode_of(self->group) ? 5 : 4);
    write_group(out, self);
    write_topics(out, self);
    write_mode(out, self->group);
    wire_write_text(out, "start");
    wire_write_text(out, "earliest");
    wire_write_text(out, "settings");
    wire_write_map(out, (self->is_weighted ? 7u : 6u) + (self->group == SIM_WARD ? 2u : 0u) +
                            (self->spares_dead ? 1u : 0u) + (self->dead_bytes > 0 ? 1u : 0u) +
                            (self->has_filter ? 1u : 0u) + (self->look_ahead != 0 ? 1u : 0u) +
                            (self->fair_by ? 1u : 0u));
    if (self->spares_dead) {
        wire_write_text_uint(out, "dead_retention_ms", 5000);
    }
    if (self->dead_bytes > 0) {
        wire_write_text_uint(out, "dead_retention_bytes", self->dead_bytes);
    }
    if (self->group == SIM_WARD) {
        wire_write_text(out, "dead_letter_topic");
        wire_write_text(out, sim_topic_name(SIM_GRAVE));
        wire_write_text_uint(out, "dead_retention_ms", ZSP_DELAY_MS_MAX);
    }
    wire_write_text_uint(out, "backoff_jitter", self->group == SIM_ORDERED ? 50 : 0);
    if (self->fair_by) {
        wire_write_text(out, "fair_by");
        wire_write_text(out, self->fair_by);
    }
    if (self->has_filter) {
        wire_write_text(out, "filter");
        wire_write_text(out, MESSAGE_FILTER);
    }
    if (self->is_weighted) {
        wire_write_text(out, "priority");
        wire_write_text(out, "weighted");
    }
    wire_write_text(out, "expired");
    wire_write_text(out, self->group == 0 ? "dead" : "drop");
    if (self->look_ahead != 0) {
        wire_write_text_uint(out, "look_ahead", self->look_ahead);
    }
    wire_write_text_uint(out, "lease_ms", SIM_LEASE_MS);
    wire_write_text_uint(out, "max_failures",
                         self->group > SIM_SCRATCH_GROUP ? 0 : model_max_failures(self->group));
    wire_write_text_uint(out, "backoff_ms", SIM_BACKOFF_MS);
    wire_write_text_uint(out, "backoff_max_ms", 4 * SIM_BACKOFF_MS);
}

static void write_settings(struct zsp_writer *out, const struct sim_request *self)
{
    wire_write_map(out, (uint32_t)self->setting_count);
    for (size_t i = 0; i < self->setting_count; i++) {
        const struct sim_setting *setting = &self->settings[i];
        wire_write_text(out, setting->name);
        if (setting->text) {
            wire_write_text(out, setting->text);
        } else {
            wire_write_uint(out, setting->number);
        }
    }
}

static void write_topic_settings(struct zsp_writer *out, const struct sim_request *self)
{
    const bool has_limit = self->retention_bytes > 0;
    wire_write_text(out, "settings");
    if (self->setting_count > 0) {
        write_settings(out, self);
    } else if (self->compact_ratio > 0) {
        wire_write_map(out, 2);
        wire_write_text(out, "cleanup");
        wire_write_text(out, "compact");
        wire_write_text_uint(out, "compact_ratio", self->compact_ratio);
    } else if (self->dedup_window_ms > 0) {
        wire_write_map(out, 1);
        wire_write_text_uint(out, "dedup_window_ms", self->dedup_window_ms);
    } else if (self->until_consumed) {
        wire_write_map(out, 1);
        wire_write_text(out, "until_consumed");
        wire_write_text(out, "yes");
    } else if (has_limit && self->drops_oldest) {
        wire_write_map(out, 2);
        wire_write_text_uint(out, "max_topic_bytes", self->retention_bytes);
        wire_write_text(out, "when_full");
        wire_write_text(out, "drop_oldest");
    } else {
        wire_write_map(out, has_limit ? 1 : 0);
        if (has_limit) {
            wire_write_text_uint(out, "retention_bytes", self->retention_bytes);
        }
    }
}

static void write_dead(struct zsp_writer *out, const struct sim_request *self)
{
    if (self->verb == SIM_DEAD_LIST) {
        wire_write_map(out, 2);
        write_group(out, self);
        wire_write_text_uint(out, "limit", 1000);
        return;
    }
    wire_write_map(out, 3);
    write_group(out, self);
    wire_write_text_bool(out, "dry_run", self->dry_run);
    if (self->srun_count == 0) {
        wire_write_text_bool(out, "all", true);
        return;
    }
    wire_write_text(out, "runs");
    wire_write_array(out, (uint32_t)self->srun_count);
    for (size_t i = 0; i < self->srun_count; i++) {
        wire_write_array(out, 4);
        wire_write_text(out, sim_topic_name(self->sruns[i].topic));
        wire_write_uint(out, self->sruns[i].partition);
        wire_write_uint(out, self->sruns[i].first);
        wire_write_uint(out, self->sruns[i].count);
    }
}

static void write_topic_create(struct zsp_writer *out, const struct sim_request *self)
{
    wire_write_map(out, 3);
    wire_write_text(out, "topic");
    wire_write_text(out, sim_topic_name(self->topic));
    wire_write_text_uint(out, "partitions", model_first_partitions(self->topic));
    write_topic_settings(out, self);
}

static void write_topic_grow(struct zsp_writer *out, const struct sim_request *self)
{
    wire_write_map(out, 3);
    wire_write_text(out, "topic");
    wire_write_text(out, sim_topic_name(self->topic));
    wire_write_text_uint(out, "partitions", self->parts_wanted);
    wire_write_text_bool(out, "force", self->force);
}

static void write_trace(struct zsp_writer *out, const struct sim_request *self)
{
    wire_write_map(out, 4);
    write_group(out, self);
    wire_write_text(out, "topic");
    wire_write_text(out, sim_topic_name(self->topic));
    wire_write_text_uint(out, "partition", (uint64_t)self->partition);
    wire_write_text_uint(out, "offset", self->from);
}

static void write_open(struct zsp_writer *out, const struct sim_request *self)
{
    char producer[16];
    (void)snprintf(producer, sizeof producer, "producer-%u", self->producer);
    wire_write_map(out, 1);
    wire_write_text(out, "producer");
    wire_write_text(out, producer);
}

static void write_topic_alone(struct zsp_writer *out, const struct sim_request *self)
{
    wire_write_map(out, 1);
    wire_write_text(out, "topic");
    wire_write_text(out, sim_topic_name(self->topic));
}

static void write_group_alone(struct zsp_writer *out, const struct sim_request *self)
{
    wire_write_map(out, 1);
    write_group(out, self);
}

static void write_cancel(struct zsp_writer *out, const struct sim_request *self)
{
    wire_write_map(out, 1);
    wire_write_text_uint(out, "request", self->cancels->id);
}

static void write_args(struct zsp_writer *out, const struct sim_request *self, size_t raw_bytes)
{
    switch (self->verb) {
    case SIM_PUBLISH:
        (many_has(self) ? many_write : write_publish)(out, self, raw_bytes);
        break;
    case SIM_OPEN:
        write_open(out, self);
        break;
    case SIM_PULL:
        write_pull(out, self);
        break;
    case SIM_SETTLE:
        write_settle(out, self);
        break;
    case SIM_READ:
        write_read(out, self);
        break;
    case SIM_SEEK:
        write_seek(out, self);
        break;
    case SIM_TOPIC_CREATE:
        write_topic_create(out, self);
        break;
    case SIM_TOPIC_GROW:
        write_topic_grow(out, self);
        break;
    case SIM_TOPIC_INFO:
    case SIM_TOPIC_DELETE:
        write_topic_alone(out, self);
        break;
    case SIM_TOPIC_PURGE:
        write_purge(out, self);
        break;
    case SIM_GROUP_REPLAY:
        write_replay(out, self);
        break;
    case SIM_GROUP_CREATE:
        write_group_create(out, self);
        break;
    case SIM_GROUP_TRACE:
        write_trace(out, self);
        break;
    case SIM_GROUP_INFO:
    case SIM_GROUP_DELETE:
    case SIM_GROUP_SET:
    case SIM_GROUP_PAUSE:
    case SIM_GROUP_RESUME:
        write_group_alone(out, self);
        break;
    case SIM_SAVEPOINT_SAVE:
    case SIM_SAVEPOINT_RESTORE:
    case SIM_SAVEPOINT_UNDO:
        write_savepoint(out, self);
        break;
    case SIM_COMMIT:
        write_commit(out, self);
        break;
    case SIM_STATS:
    case SIM_BYE:
        wire_write_map(out, 0);
        break;
    case SIM_DEAD_LIST:
    case SIM_DEAD_REDRIVE:
    case SIM_DEAD_DROP:
        write_dead(out, self);
        break;
    case SIM_CANCEL:
        write_cancel(out, self);
        break;
    }
}

static struct zsp_buf *writer_to_buf(struct zsp_writer *out)
{
    zsp_assert(!out->failed);
    struct zsp_buf *buf = zsp_buf_copy(zsp_writer_slice(out));
    zsp_assert(buf);
    zsp_writer_fini(out);
    return buf;
}

static void encode_body(struct sim_request *self, size_t *ret_raw_bytes)
{
    struct zsp_writer out = {0};
    for (uint32_t i = 0; i < self->message_count; i++) {
        message_write(&out, self->number_count > 0 ? self->numbers[i] : self->first_message + i);
    }
    self->body = writer_to_buf(&out);
    *ret_raw_bytes = self->body->len;
    if (self->is_packed) {
        struct zsp_buf *packed = plain_pack((struct zsp_slice){self->body->data, self->body->len});
        zsp_buf_put(&self->body);
        self->body = packed;
    }
    if (many_has(self)) {
        many_encode_body(self);
    }
}

/* COMMIT: the same messages for both topics. */
static void encode_numbers(struct sim_request *self)
{
    struct zsp_writer out = {0};
    for (size_t i = 0; i < self->number_count; i++) {
        message_write(&out, self->numbers[i]);
    }
    self->body = writer_to_buf(&out);
    self->second_body = zsp_buf_get(self->body);
}

void request_encode(struct sim_request *self)
{
    struct zsp_writer out = {0};
    size_t raw_bytes = 0;
    if (self->verb == SIM_PUBLISH) {
        encode_body(self, &raw_bytes);
    } else if (self->verb == SIM_COMMIT) {
        encode_numbers(self);
    }
    wire_write_request(&out, zsp_slice_str(sim_verb_name(self->verb)), self->id);
    if (self->write_args_fn) {
        self->write_args_fn(&out, self);
    } else {
        write_args(&out, self, raw_bytes);
    }
    self->header = writer_to_buf(&out);
}
