/* SPDX-License-Identifier: MPL-2.0
 *
 * Decoding of answers, as strict as the protocol document.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/assert.h"
#include "common/record.h"
#include "tests/sim/sim_many.h"
#include "tests/sim/sim_message.h"
#include "tests/sim/sim_model.h"
#include "tests/sim/sim_request.h"
#include "tests/support/plain_body.h"

static bool complain(struct sim_complaint *complaint, const char *format, ...) ZSP_PRINTF(2, 3);

static bool complain(struct sim_complaint *complaint, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): the line above starts it */
    (void)vsnprintf(complaint->text, sizeof complaint->text, format, args);
    va_end(args);
    return false;
}

static void *alloc(size_t count, size_t size)
{
    void *memory = calloc(count + 1, size);
    zsp_assert(memory);
    return memory;
}

static bool get_uint(const msgpack_object *object, uint64_t *ret)
{
    return wire_get_uint(object, "value", UINT64_MAX, ret, NULL) == 0;
}

static bool map_uint(const msgpack_object *map, const char *key, uint64_t *ret)
{
    const msgpack_object *value = wire_map_find(map, key);
    return value && get_uint(value, ret);
}

static const msgpack_object_array *map_array(const msgpack_object *map, const char *key)
{
    const msgpack_object *value = wire_map_find(map, key);
    return value && value->type == MSGPACK_OBJECT_ARRAY ? &value->via.array : NULL;
}

static bool topic_number(struct zsp_slice name, uint32_t *ret)
{
    for (uint32_t t = 0; t < SIM_TOPICS_ALL; t++) {
        if (zsp_slice_equal_str(name, sim_topic_name(t))) {
            *ret = t;
            return true;
        }
    }
    return false;
}

static bool get_topic(const msgpack_object *object, uint32_t *ret)
{
    struct zsp_slice name;
    return wire_get_str(object, "topic", &name, NULL) == 0 && topic_number(name, ret);
}

static bool get_u32(const msgpack_object *object, uint32_t *ret)
{
    uint64_t value = 0;
    if (!get_uint(object, &value) || value > UINT32_MAX) {
        return false;
    }
    *ret = (uint32_t)value;
    return true;
}

static bool decode_at_rows(struct sim_reply *reply, const msgpack_object_array *at,
                           struct sim_complaint *complaint)
{
    reply->at = alloc(at->size, sizeof *reply->at);
    for (uint32_t i = 0; i < at->size; i++) {
        struct sim_at *entry = &reply->at[reply->at_count++];
        const msgpack_object *item = &at->ptr[i];
        if (item->type != MSGPACK_OBJECT_ARRAY || item->via.array.size != 5 ||
            !get_u32(&item->via.array.ptr[0], &entry->index) ||
            !get_u32(&item->via.array.ptr[1], &entry->count) ||
            !get_u32(&item->via.array.ptr[2], &entry->partition) ||
            item->via.array.ptr[4].type != MSGPACK_OBJECT_BOOLEAN) {
            return complain(complaint, "at entry %u is malformed", i);
        }
        entry->duplicate = item->via.array.ptr[4].via.boolean;
        entry->has_first = item->via.array.ptr[3].type != MSGPACK_OBJECT_NIL;
        if (entry->has_first && !get_uint(&item->via.array.ptr[3], &entry->first)) {
            return complain(complaint, "at entry %u has no first offset", i);
        }
    }
    return true;
}

/* What is told of a publish, alone or of a row. */
static bool decode_confirm(struct sim_request *self, const msgpack_object *map,
                           const msgpack_object_array *at, struct sim_complaint *complaint)
{
    struct sim_reply *reply = &self->reply;
    uint64_t timestamp = 0;
    struct zsp_slice level = {0};
    const msgpack_object *told = wire_map_find(map, "level");
    if (!at || !map_uint(map, "timestamp_ms", &timestamp) || !told ||
        wire_get_str(told, "level", &level, NULL) != 0) {
        return complain(complaint, "PUBLISH reply without at, timestamp_ms or level");
    }
    reply->timestamp_ms = (int64_t)timestamp;
    reply->is_synced = zsp_slice_equal_str(level, "synced");
    return decode_at_rows(reply, at, complaint);
}

static void decode_error(struct sim_request *self, const msgpack_object *map)
{
    struct zsp_err err = {0};
    self->reply.is_error = true;
    self->reply.code = wire_error_decode(map, &err);
    self->reply.maybe = err.maybe;
    (void)snprintf(self->reply.text, sizeof self->reply.text, "%s: %.100s",
                   zsp_err_wire_name(self->reply.code), err.msg);
}

/* One of many batches; what a PART told of it stands. */
static bool decode_many(struct sim_request *self, const msgpack_object *map, bool is_part,
                        struct sim_complaint *complaint)
{
    struct many_row row;
    if (!many_read(self, map, &row)) {
        return complain(complaint, "rows of a PUBLISH that make no sense");
    }
    if (!is_part && !many_is_told(self)) {
        return complain(complaint, "a PUBLISH is over, and not all batches were told of");
    }
    if (row.error) {
        decode_error(self, row.error);
    }
    return !row.at ||
           decode_confirm(self, map,
                          row.at->type == MSGPACK_OBJECT_ARRAY ? &row.at->via.array : NULL,
                          complaint);
}

static bool decode_publish(struct sim_request *self, const msgpack_object *map,
                           struct sim_complaint *complaint)
{
    return many_has(self) ? decode_many(self, map, false, complaint)
                          : decode_confirm(self, map, map_array(map, "at"), complaint);
}

/* Rows of an array of arrays: an optional topic, a partition, `count` numbers. */
static bool decode_parts(struct sim_request *self, const msgpack_object *map, const char *key,
                         bool has_topic, size_t count, struct sim_complaint *complaint)
{
    const msgpack_object_array *rows = map_array(map, key);
    if (!rows) {
        return complain(complaint, "no array %s", key);
    }
    struct sim_reply *reply = &self->reply;
    reply->parts = alloc(rows->size, sizeof *reply->parts);
    for (uint32_t i = 0; i < rows->size; i++) {
        struct sim_part *part = &reply->parts[reply->part_count++];
        const msgpack_object *row = &rows->ptr[i];
        const size_t lead = has_topic ? 2 : 1;
        if (row->type != MSGPACK_OBJECT_ARRAY || row->via.array.size < lead + count) {
            return complain(complaint, "%s row %u is too short", key, i);
        }
        part->topic = self->topic;
        if (has_topic && !get_topic(&row->via.array.ptr[0], &part->topic)) {
            return complain(complaint, "%s row %u names no topic of ours", key, i);
        }
        if (!get_u32(&row->via.array.ptr[lead - 1], &part->partition) ||
            part->partition >= model_partition_count(part->topic)) {
            return complain(complaint, "%s row %u names no partition of the topic", key, i);
        }
        for (size_t v = 0; v < count; v++) {
            if (!get_uint(&row->via.array.ptr[lead + v], &part->values[v])) {
                return complain(complaint, "%s row %u value %zu is no number", key, i, v);
            }
        }
    }
    return true;
}

/* Room for `more` items behind `count`. */
static void *room_for(void *items, size_t count, size_t more, size_t size)
{
    void *grown = realloc(items, (count + more + 1) * size);
    zsp_assert(grown);
    return grown;
}

/* The records of the body, which belong to the runs from `first_run` on in order. */
static bool decode_messages(struct sim_request *self, struct zsp_slice body, size_t first_run,
                            struct sim_complaint *complaint)
{
    struct sim_reply *reply = &self->reply;
    uint64_t wanted = reply->message_count;
    for (size_t i = first_run; i < reply->run_count; i++) {
        reply->runs[i].first_message = (size_t)wanted;
        wanted += reply->runs[i].count;
        if (wanted > SIM_MESSAGES_MAX) {
            return complain(complaint, "runs of more messages than there are");
        }
    }
    reply->messages = room_for(reply->messages, 0, (size_t)wanted, sizeof *reply->messages);
    reply->body_bytes += body.len;
    struct zsp_slice record;
    while (zsp_record_next(&body, &record) == 0) {
        if (reply->message_count == 0) {
            reply->first_record_bytes = record.len;
        }
        if (reply->message_count == wanted) {
            return complain(complaint, "more records than the runs say");
        }
        if (!message_read(record, &reply->messages[reply->message_count])) {
            return complain(complaint, "record %zu of the body is no message that was ever sent",
                            reply->message_count);
        }
        reply->message_count++;
    }
    if (body.len > 0 || reply->message_count != wanted) {
        return complain(complaint, "%zu records, the runs say %llu", reply->message_count,
                        (unsigned long long)wanted);
    }
    return true;
}

/* The records of a body that may be compressed, for who asked for it. */
static bool decode_body(struct sim_request *self, const msgpack_object *runs,
                        const struct engine_effect *effect, struct sim_complaint *complaint)
{
    struct zsp_writer plain = {0};
    struct plain_complaint why;
    struct sim_reply *reply = &self->reply;
    size_t sent_bytes = 0;
    size_t packed_runs = 0;
    for (size_t i = 0; i < effect->part_count; i++) {
        sent_bytes += effect->parts[i].len;
    }
    bool good = plain_body(runs, effect->parts, effect->part_count, &plain, &packed_runs, &why);
    if (!good) {
        (void)complain(complaint, "%s", why.text);
    } else if (packed_runs > 0 && !self->accepts_zstd) {
        good = complain(complaint, "a compressed run for a client that does not accept it");
    } else if (sent_bytes > plain.len) {
        good = complain(complaint, "%zu bytes were sent for %zu bytes of records", sent_bytes,
                        plain.len);
    } else {
        good = decode_messages(self, zsp_writer_slice(&plain),
                               reply->run_count - runs->via.array.size, complaint);
    }
    zsp_writer_fini(&plain);
    return good;
}

static bool decode_runs(struct sim_request *self, const msgpack_object *map,
                        const struct engine_effect *effect, struct sim_complaint *complaint)
{
    struct sim_reply *reply = &self->reply;
    const msgpack_object_array *runs = map_array(map, "runs");
    if (!runs) {
        return complain(complaint, "no runs");
    }
    reply->runs = room_for(reply->runs, reply->run_count, runs->size, sizeof *reply->runs);
    for (uint32_t i = 0; i < runs->size; i++) {
        struct wire_run decoded;
        struct zsp_err err = {0};
        if (wire_run_decode(&runs->ptr[i], &decoded, &err) != 0) {
            return complain(complaint, "run %u: %s", i, err.msg);
        }
        struct sim_run *run = &reply->runs[reply->run_count++];
        *run = (struct sim_run){.partition = decoded.partition,
                                .first = decoded.first,
                                .count = decoded.count,
                                .lease = decoded.lease,
                                .timestamp_ms = decoded.timestamp_ms,
                                .deliveries = decoded.deliveries,
                                .failures = decoded.failures,
                                .priority = decoded.priority};
        if (!topic_number(decoded.topic, &run->topic) ||
            run->partition >= model_partition_count(run->topic)) {
            return complain(complaint, "run %u is of no topic and partition of ours", i);
        }
    }
    const msgpack_object *reason = wire_map_find(map, "reason");
    struct zsp_slice text = {0};
    if (reason && wire_get_str(reason, "reason", &text, NULL) == 0) {
        (void)snprintf(reply->reason, sizeof reply->reason, "%.*s", (int)text.len,
                       (const char *)text.data);
    }
    return decode_body(self, wire_map_find(map, "runs"), effect, complaint);
}

static bool decode_not_applied(struct sim_request *self, const msgpack_object *map,
                               struct sim_complaint *complaint)
{
    struct sim_reply *reply = &self->reply;
    const msgpack_object_array *rows = map_array(map, "not_applied");
    if (!rows || !map_uint(map, "applied", &reply->applied)) {
        return complain(complaint, "outcomes without applied or not_applied");
    }
    reply->not_applied = alloc(rows->size, sizeof *reply->not_applied);
    for (uint32_t i = 0; i < rows->size; i++) {
        struct sim_not_applied *entry = &reply->not_applied[reply->not_applied_count++];
        const msgpack_object *row = &rows->ptr[i];
        struct zsp_slice why = {0};
        if (row->type != MSGPACK_OBJECT_ARRAY || row->via.array.size != 5 ||
            !get_topic(&row->via.array.ptr[0], &entry->topic) ||
            !get_u32(&row->via.array.ptr[1], &entry->partition) ||
            !get_uint(&row->via.array.ptr[2], &entry->first) ||
            !get_uint(&row->via.array.ptr[3], &entry->count) ||
            wire_get_str(&row->via.array.ptr[4], "why", &why, NULL) != 0) {
            return complain(complaint, "not_applied entry %u is malformed", i);
        }
        (void)snprintf(entry->why, sizeof entry->why, "%.*s", (int)why.len, (const char *)why.data);
    }
    return true;
}

/* What a PULL's reply says of the outcomes that it brought. */
static bool decode_settled(struct sim_request *self, const msgpack_object *map,
                           struct sim_complaint *complaint)
{
    const msgpack_object *settled = wire_map_find(map, "settled");
    if (self->srun_count == 0) {
        return !settled || complain(complaint, "PULL reply tells of outcomes that nobody sent");
    }
    return settled && settled->type == MSGPACK_OBJECT_MAP
               ? decode_not_applied(self, settled, complaint)
               : complain(complaint, "PULL reply without settled");
}

static bool decode_cancelled(struct sim_request *self, const msgpack_object *map,
                             struct sim_complaint *complaint)
{
    const msgpack_object *cancelled = wire_map_find(map, "cancelled");
    if (!cancelled || cancelled->type != MSGPACK_OBJECT_BOOLEAN) {
        return complain(complaint, "CANCEL reply without cancelled");
    }
    self->reply.cancelled = cancelled->via.boolean;
    return true;
}

/* The first offset in the first topic, UINT64_MAX when that is not remembered any more. */
/* Rows of a publish: each of its records is told of once. */
static bool covers(const struct sim_at *rows, size_t count, size_t messages)
{
    size_t told = 0;
    for (size_t i = 0; i < count && rows[i].index == told && rows[i].has_first; i++) {
        told += rows[i].count;
    }
    return told == messages;
}

static bool decode_commit(struct sim_request *self, const msgpack_object *map,
                          struct sim_complaint *complaint)
{
    struct sim_reply *reply = &self->reply;
    const msgpack_object *at = wire_map_find(map, "at");
    uint64_t applied = 0;
    uint64_t asked = 0;
    if (at && at->type == MSGPACK_OBJECT_NIL) {
        return true;
    }
    const msgpack_object_array *topics = map_array(map, "at");
    if (!topics || topics->size != 2) {
        return complain(complaint, "COMMIT reply without the rows of two topics");
    }
    for (uint32_t i = 2; i > 0; i--) { /* those of the first one stay */
        free(reply->at);
        reply->at = NULL;
        reply->at_count = 0;
        if (topics->ptr[i - 1].type != MSGPACK_OBJECT_ARRAY ||
            !decode_at_rows(reply, &topics->ptr[i - 1].via.array, complaint) ||
            !covers(reply->at, reply->at_count, self->number_count)) {
            return complain(complaint, "COMMIT reply: rows that do not cover a publish");
        }
    }
    for (size_t i = 0; i < self->srun_count; i++) {
        asked += self->sruns[i].count;
    }
    return (map_uint(map, "applied", &applied) && applied == asked) ||
           complain(complaint, "COMMIT reply: wrong counts");
}

/* Stretches of dead messages: all of them. */
static bool decode_dead(struct sim_request *self, const msgpack_object *map,
                        struct sim_complaint *complaint)
{
    struct sim_reply *reply = &self->reply;
    const msgpack_object_array *rows = map_array(map, "items");
    const msgpack_object *more = wire_map_find(map, "more");
    uint64_t dead = 0, told = 0;
    if (!rows || !map_uint(map, "dead", &dead) || !more || more->type != MSGPACK_OBJECT_BOOLEAN ||
        more->via.boolean) {
        return complain(complaint, "DEAD.LIST reply without items or dead, or there are more");
    }
    reply->runs = alloc(rows->size, sizeof *reply->runs);
    for (uint32_t i = 0; i < rows->size; i++) {
        struct sim_run *run = &reply->runs[reply->run_count++];
        const msgpack_object *row = &rows->ptr[i];
        if (row->type != MSGPACK_OBJECT_ARRAY || row->via.array.size != 8 ||
            !get_topic(&row->via.array.ptr[0], &run->topic) ||
            !get_u32(&row->via.array.ptr[1], &run->partition) ||
            !get_uint(&row->via.array.ptr[2], &run->first) ||
            !get_uint(&row->via.array.ptr[3], &run->count) ||
            !get_u32(&row->via.array.ptr[6], &run->failures) ||
            (run->failures == 0 && self->group != SIM_CLINIC_GROUP)) { /* it expired */
            return complain(complaint, "DEAD.LIST item %u is malformed", i);
        }
        told += run->count;
    }
    return told == dead || complain(complaint, "DEAD.LIST: %llu of %llu messages are listed",
                                    (unsigned long long)told, (unsigned long long)dead);
}

/* GROUP.INFO: the redrive with a rate that is under way. */
static bool decode_redrive(struct sim_request *self, const msgpack_object *map,
                           struct sim_complaint *complaint)
{
    const msgpack_object *redrive = wire_map_find(map, "redrive");
    self->reply.redrives = redrive != NULL;
    return !redrive || map_uint(redrive, "messages", &self->reply.redriven) ||
           complain(complaint, "GROUP.INFO tells of a redrive without messages");
}

static bool decode_trace(struct sim_request *self, const msgpack_object *map,
                         struct sim_complaint *complaint)
{
    struct sim_reply *reply = &self->reply;
    const msgpack_object *status = wire_map_find(map, "status");
    const msgpack_object *deliveries = wire_map_find(map, "deliveries");
    const msgpack_object *failures = wire_map_find(map, "failures");
    struct zsp_slice text = {0};
    if (!status || wire_get_str(status, "status", &text, NULL) != 0 || !deliveries ||
        !get_u32(deliveries, &reply->deliveries) || !failures ||
        !get_u32(failures, &reply->failures)) {
        return complain(complaint, "GROUP.TRACE reply without status, deliveries or failures");
    }
    (void)snprintf(reply->status, sizeof reply->status, "%.*s", (int)text.len,
                   (const char *)text.data);
    return true;
}

static bool decode_ok(struct sim_request *self, const msgpack_object *map,
                      const struct engine_effect *effect, struct sim_complaint *complaint)
{
    struct sim_reply *reply = &self->reply;
    switch (self->verb) {
    case SIM_PUBLISH:
        return decode_publish(self, map, complaint);
    case SIM_OPEN:
        return ((map_uint(map, "epoch", &reply->epoch) &&
                 map_uint(map, "commit", &reply->commit_last)) ||
                complain(complaint, "PRODUCER.OPEN reply without epoch or commit")) &&
               decode_parts(self, map, "last", true, 1, complaint);
    case SIM_PULL:
        if (!decode_runs(self, map, effect, complaint)) {
            return false;
        }
        if (reply->run_count > 0 && !map_uint(map, "lease_ms", &reply->lease_ms)) {
            return complain(complaint, "PULL reply with runs and without lease_ms");
        }
        reply->lease = reply->run_count > 0 ? reply->runs[0].lease : 0;
        return decode_settled(self, map, complaint);
    case SIM_SETTLE:
        return decode_not_applied(self, map, complaint);
    case SIM_READ:
        return decode_runs(self, map, effect, complaint) &&
               ((map_uint(map, "next", &reply->next) && map_uint(map, "start", &reply->start) &&
                 map_uint(map, "end", &reply->end) &&
                 map_uint(map, "partitions", &reply->partitions)) ||
                complain(complaint, "READ reply without next, start, end or partitions"));
    case SIM_SEEK:
        return decode_parts(self, map, "partitions", false, 4, complaint);
    case SIM_SAVEPOINT_RESTORE:
    case SIM_SAVEPOINT_UNDO:
        return decode_parts(self, map, "partitions", true, 5, complaint);
    case SIM_TOPIC_PURGE:
        return decode_parts(self, map, "partitions", false, 2, complaint);
    case SIM_TOPIC_GROW:
        return map_uint(map, "partitions", &reply->end) ||
               complain(complaint, "TOPIC.SET reply without partitions");
    case SIM_GROUP_REPLAY:
    case SIM_TOPIC_INFO:
        return decode_parts(self, map, "partitions", false, 3, complaint);
    case SIM_GROUP_TRACE:
        return decode_trace(self, map, complaint);
    case SIM_GROUP_INFO:
        return decode_redrive(self, map, complaint) &&
               decode_parts(self, map, "parts", true, 9, complaint);
    case SIM_TOPIC_CREATE:
    case SIM_TOPIC_DELETE:
    case SIM_GROUP_CREATE:
    case SIM_GROUP_DELETE:
    case SIM_GROUP_SET:
    case SIM_GROUP_PAUSE:
    case SIM_GROUP_RESUME:
    case SIM_SAVEPOINT_SAVE:
    case SIM_STATS:
        return true;
    case SIM_BYE:
        return map_uint(map, "released", &reply->released) ||
               complain(complaint, "BYE reply without released");
    case SIM_COMMIT:
        return decode_commit(self, map, complaint);
    case SIM_DEAD_LIST:
        return decode_dead(self, map, complaint);
    case SIM_DEAD_REDRIVE:
    case SIM_DEAD_DROP:
        return map_uint(map, "messages", &reply->applied) ||
               complain(complaint, "%s reply without messages", sim_verb_name(self->verb));
    case SIM_CANCEL:
        return decode_cancelled(self, map, complaint);
    }
    return false;
}

bool request_decode(struct sim_request *self, const struct engine_effect *effect,
                    struct sim_complaint *complaint)
{
    const struct zsp_slice header = {effect->header->data, effect->header->len};
    struct wire_decoder *decoder = wire_decoder_new();
    zsp_assert(decoder);
    struct wire_reply decoded;
    struct zsp_err err = {0};
    bool good = false;
    if (wire_reply_decode(decoder, header, &decoded, &err) != 0) {
        (void)complain(complaint, "the reply header cannot be read: %s", err.msg);
    } else if (!decoded.has_id || decoded.id != self->id) {
        (void)complain(complaint, "the reply has another id");
    } else if (decoded.status == WIRE_ERR) {
        decode_error(self, decoded.map);
        good = true;
    } else if (effect->more != (decoded.status == WIRE_PART)) {
        (void)complain(complaint, "a reply of status %d, and %s follows", (int)decoded.status,
                       effect->more ? "another" : "none");
    } else if (decoded.status == WIRE_PART && many_has(self)) {
        good = decode_many(self, decoded.map, true, complaint);
    } else if (decoded.status == WIRE_PART && self->wants_parts) {
        good = decode_runs(self, decoded.map, effect, complaint);
    } else if (decoded.status == WIRE_OK) {
        good = decode_ok(self, decoded.map, effect, complaint);
    } else {
        (void)complain(complaint, "a reply of status %d", (int)decoded.status);
    }
    wire_decoder_destroy(&decoder);
    return good;
}
