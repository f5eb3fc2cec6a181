/* SPDX-License-Identifier: MPL-2.0 */
#include "client/src/why_result.h"

#include <string.h>

#include <inttypes.h>
#include <stdio.h>

#include "common/limits.h"
#include "common/wire.h"

/* Room for "member " and a number. */
#define MEMBER_LEN 32

static int64_t read_time(const msgpack_object *map, const char *key)
{
    const uint64_t ms = zsp_reply_uint(map, key, 0);
    return ms <= INT64_MAX ? (int64_t)ms : INT64_MAX;
}

static bool has(const msgpack_object *map, const char *key)
{
    return wire_map_find(map, key) != NULL;
}

/* What a member is called: by its name, or by its number. */
static const char *member_name(struct zsp_arena *arena, uint64_t member, struct zsp_slice name)
{
    char text[MEMBER_LEN];
    if (name.data) {
        return zsp_arena_text(arena, name);
    }
    if (member == 0) {
        return zsp_arena_text(arena, zsp_slice_str("a client without a session"));
    }
    (void)snprintf(text, sizeof text, "member %" PRIu64, member);
    return zsp_arena_text(arena, zsp_slice_str(text));
}

/* The same by the list of the reply. */
static const char *find_member(struct zsp_arena *arena, const msgpack_object *reply,
                               uint64_t member)
{
    const msgpack_object_array *rows = zsp_reply_array(reply, "member_list");
    for (uint32_t i = 0; rows && i < rows->size; i++) {
        const msgpack_object *row = &rows->ptr[i];
        if (row->type == MSGPACK_OBJECT_MAP && zsp_reply_uint(row, "member", 0) == member) {
            return member_name(arena, member, zsp_reply_text(row, "name"));
        }
    }
    return member_name(arena, member, (struct zsp_slice){0});
}

static void read_one(struct zsp_arena *arena, const msgpack_object *reply,
                     const msgpack_object *map, zspool_why_t *ret)
{
    const struct zsp_slice topic = zsp_reply_text(map, "topic");
    *ret = (zspool_why_t){
        .reason = zsp_arena_text(arena, zsp_reply_text(map, "reason")),
        .topic = topic.data ? zsp_arena_text(arena, topic) : NULL,
        .partition = (uint32_t)zsp_reply_uint(map, "partition", 0),
        .has_offset = has(map, "offset"),
        .offset = zsp_reply_uint(map, "offset", 0),
        .since_ms = read_time(map, "since_ms"),
        .at_ms = read_time(map, "at_ms"),
        .limit = zsp_reply_uint(map, "limit", 0),
    };
    if (has(map, "member")) {
        ret->member = find_member(arena, reply, zsp_reply_uint(map, "member", 0));
    }
    if (has(map, "holder")) {
        ret->holder = find_member(arena, reply, zsp_reply_uint(map, "holder", 0));
    }
}

static void read_members(struct zsp_arena *arena, const msgpack_object *reply,
                         zspool_group_info_t *info)
{
    const msgpack_object_array *rows = zsp_reply_array(reply, "member_list");
    zspool_member_t *members =
        rows ? zsp_arena_alloc(arena, rows->size + 1u, sizeof *members) : NULL;
    for (uint32_t i = 0; members && i < rows->size; i++) {
        const msgpack_object *row = &rows->ptr[i];
        if (row->type != MSGPACK_OBJECT_MAP) {
            continue;
        }
        members[info->listed_count++] = (zspool_member_t){
            .name =
                member_name(arena, zsp_reply_uint(row, "member", 0), zsp_reply_text(row, "name")),
            .leased = zsp_reply_uint(row, "leased", 0),
            .partitions = zsp_reply_uint(row, "partitions", 0),
            .waits = zsp_reply_bool(row, "waits"),
            .silent_ms = zsp_reply_uint(row, "silent_ms", 0),
        };
    }
    info->members = members;
}

/* A row of `keys`; false = it is none. */
static bool read_key(struct zsp_arena *arena, const msgpack_object *row, zspool_hot_key_t *ret)
{
    const msgpack_object *item = row->type == MSGPACK_OBJECT_ARRAY ? row->via.array.ptr : NULL;
    if (!item || row->via.array.size < 6 || item[0].type != MSGPACK_OBJECT_STR ||
        item[2].type != MSGPACK_OBJECT_BIN || item[5].type != MSGPACK_OBJECT_STR ||
        item[1].type != MSGPACK_OBJECT_POSITIVE_INTEGER ||
        item[3].type != MSGPACK_OBJECT_POSITIVE_INTEGER ||
        item[4].type != MSGPACK_OBJECT_POSITIVE_INTEGER) {
        return false;
    }
    const struct zsp_slice topic = {(const uint8_t *)item[0].via.str.ptr, item[0].via.str.size};
    const struct zsp_slice state = {(const uint8_t *)item[5].via.str.ptr, item[5].via.str.size};
    char *key = zsp_arena_alloc(arena, item[2].via.bin.size + 1u, 1);
    if (!key) {
        return false;
    }
    if (item[2].via.bin.size > 0) {
        memcpy(key, item[2].via.bin.ptr, item[2].via.bin.size);
    }
    *ret = (zspool_hot_key_t){
        .topic = zsp_arena_text(arena, topic),
        .partition = (uint32_t)item[1].via.u64,
        .key = {key, item[2].via.bin.size},
        .waiting = item[3].via.u64,
        .offset = item[4].via.u64,
        .state = zsp_arena_text(arena, state),
    };
    return true;
}

static void read_keys(struct zsp_arena *arena, const msgpack_object *reply,
                      zspool_group_info_t *info)
{
    const msgpack_object_array *rows = zsp_reply_array(reply, "keys");
    zspool_hot_key_t *keys = rows ? zsp_arena_alloc(arena, rows->size + 1u, sizeof *keys) : NULL;
    for (uint32_t i = 0; keys && i < rows->size; i++) {
        info->key_count += read_key(arena, &rows->ptr[i], &keys[info->key_count]) ? 1 : 0;
    }
    info->keys = keys;
}

void zsp_read_why(struct zsp_arena *arena, const msgpack_object *map, zspool_group_info_t *info)
{
    const msgpack_object *told = wire_map_find(map, "why");
    const msgpack_object_array *rows = zsp_reply_array(map, "whys");
    if (!told || told->type != MSGPACK_OBJECT_MAP) {
        return;
    }
    zspool_why_t *why = zsp_arena_alloc(arena, 1u + (rows ? rows->size : 0u), sizeof *why);
    if (!why) {
        return;
    }
    read_one(arena, map, told, &why[0]);
    for (uint32_t i = 0; rows && i < rows->size; i++) {
        if (rows->ptr[i].type == MSGPACK_OBJECT_MAP) {
            read_one(arena, map, &rows->ptr[i], &why[1 + info->why_count++]);
        }
    }
    info->why = &why[0];
    info->whys = &why[1];
    read_members(arena, map, info);
    read_keys(arena, map, info);
}

/* --- GROUP.TRACE ------------------------------------------------------------------------------- */

static void read_message(struct zsp_arena *arena, const msgpack_object *map, zspool_trace_t *ret)
{
    const struct zsp_slice producer = zsp_reply_text(map, "producer");
    ret->is_found = true;
    ret->timestamp_ms = read_time(map, "timestamp_ms");
    ret->priority = (uint8_t)zsp_reply_uint(map, "priority", ZSP_PRIORITY);
    ret->producer = producer.data ? zsp_arena_text(arena, producer) : NULL;
    ret->epoch = (uint32_t)zsp_reply_uint(map, "epoch", 0);
    ret->sequence = zsp_reply_uint(map, "seq", 0);
    ret->not_before_ms = read_time(map, "not_before_ms");
    ret->expires_at_ms = read_time(map, "expires_at_ms");
    ret->is_expired = zsp_reply_bool(map, "expired");
}

static void read_reasons(struct zsp_arena *arena, const msgpack_object *map, zspool_trace_t *ret)
{
    const msgpack_object_array *rows = zsp_reply_array(map, "reasons");
    const char **reasons = rows ? zsp_arena_alloc(arena, rows->size + 1u, sizeof *reasons) : NULL;
    for (uint32_t i = 0; reasons && i < rows->size; i++) {
        struct zsp_slice text;
        if (wire_get_str(&rows->ptr[i], "reason", &text, NULL) == 0) {
            reasons[ret->reason_count++] = zsp_arena_text(arena, text);
        }
    }
    ret->reasons = reasons;
}

int zsp_read_trace(const struct zsp_answer *answer, void *arg, struct zsp_err *err)
{
    struct zsp_result *result = arg;
    const msgpack_object *map = answer->map;
    result->arena = zsp_arena_new(sizeof(zspool_trace_t));
    if (!result->arena) {
        return zsp_err_set(err, ZSP_ENOMEM, "no memory for a reply");
    }
    zspool_trace_t *trace = zsp_arena_result(result->arena);
    const msgpack_object *holder = wire_map_find(map, "holder");
    const msgpack_object *message = wire_map_find(map, "message");
    trace->status = zsp_arena_text(result->arena, zsp_reply_text(map, "status"));
    trace->deliveries = (uint32_t)zsp_reply_uint(map, "deliveries", 0);
    trace->failures = (uint32_t)zsp_reply_uint(map, "failures", 0);
    trace->at_ms = read_time(map, "at_ms");
    trace->is_corrupt = zsp_reply_bool(map, "corrupt");
    read_reasons(result->arena, map, trace);
    if (holder && holder->type == MSGPACK_OBJECT_MAP) {
        trace->holder = member_name(result->arena, zsp_reply_uint(holder, "member", 0),
                                    zsp_reply_text(holder, "name"));
        trace->held_since_ms = read_time(holder, "since_ms");
        trace->left_ms = zsp_reply_uint(holder, "left_ms", 0);
    }
    if (message && message->type == MSGPACK_OBJECT_MAP) {
        read_message(result->arena, message, trace);
    }
    return zsp_arena_failed(result->arena) ? zsp_err_set(err, ZSP_ENOMEM, "no memory for a reply")
                                           : 0;
}
