/* SPDX-License-Identifier: MPL-2.0 */
#include "client/src/result.h"
#include "client/src/why_result.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/limits.h"
#include "common/wire.h"

#define FIGURES_MAX 4096u /* of one reply, flattened */
#define NAMES_MAX   1000000u

struct zsp_slice zsp_reply_text(const msgpack_object *map, const char *key)
{
    struct zsp_slice text = {NULL, 0};
    const msgpack_object *value = wire_map_find(map, key);
    if (value && wire_get_str(value, key, &text, NULL) != 0) {
        text = (struct zsp_slice){NULL, 0};
    }
    return text;
}

uint64_t zsp_reply_uint(const msgpack_object *map, const char *key, uint64_t fallback)
{
    uint64_t number = fallback;
    const msgpack_object *value = wire_map_find(map, key);
    if (value && wire_get_uint(value, key, UINT64_MAX, &number, NULL) != 0) {
        number = fallback;
    }
    return number;
}

bool zsp_reply_bool(const msgpack_object *map, const char *key)
{
    const msgpack_object *value = wire_map_find(map, key);
    return value && value->type == MSGPACK_OBJECT_BOOLEAN && value->via.boolean;
}

const msgpack_object_array *zsp_reply_array(const msgpack_object *map, const char *key)
{
    const msgpack_object *value = wire_map_find(map, key);
    return value && value->type == MSGPACK_OBJECT_ARRAY ? &value->via.array : NULL;
}

static int no_memory(struct zsp_err *err)
{
    return zsp_err_set(err, ZSP_ENOMEM, "no memory for a reply");
}

static int unreadable(struct zsp_err *err, const char *what)
{
    return zsp_err_set(err, ZSP_EBAD_REQUEST, "the reply's %s cannot be read", what);
}

/* Numbers of a row [.., u, u, ..] from index `first`; false when it has fewer. */
bool zsp_reply_numbers(const msgpack_object *row, uint32_t first, uint64_t *ret, uint32_t count)
{
    if (row->type != MSGPACK_OBJECT_ARRAY || row->via.array.size < first ||
        row->via.array.size - first < count) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (wire_get_uint(&row->via.array.ptr[first + i], "number", UINT64_MAX, &ret[i], NULL) !=
            0) {
            return false;
        }
    }
    return true;
}

static bool row_text(const msgpack_object *row, struct zsp_slice *ret)
{
    return row->type == MSGPACK_OBJECT_ARRAY && row->via.array.size > 0 &&
           wire_get_str(&row->via.array.ptr[0], "name", ret, NULL) == 0;
}

/* --- Figures -------------------------------------------------------------------- */

static bool set_figure(struct zsp_arena *arena, const msgpack_object *value,
                       zspool_figure_t *figure)
{
    switch ((int)value->type) {
    case MSGPACK_OBJECT_BOOLEAN:
        figure->value = value->via.boolean ? 1 : 0;
        return true;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        figure->value = value->via.u64 > INT64_MAX ? INT64_MAX : (int64_t)value->via.u64;
        return true;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        figure->value = value->via.i64;
        return true;
    case MSGPACK_OBJECT_NIL:
        figure->is_unset = true;
        return true;
    case MSGPACK_OBJECT_STR:
        figure->is_text = true;
        figure->text = zsp_arena_text(
            arena, (struct zsp_slice){(const uint8_t *)value->via.str.ptr, value->via.str.size});
        return true;
    default:
        return false; /* of no kind that a figure can be: left out, as replies may grow */
    }
}

struct figure_list {
    struct zsp_arena *arena;
    zspool_figure_t *items;
    size_t count, capacity;
};

/* A map, those nested in it joined by dots; one level deep is what replies have. */
static void add_figures(struct figure_list *list, const char *prefix, const msgpack_object *map)
{
    for (uint32_t i = 0; i < map->via.map.size; i++) {
        const msgpack_object_kv *pair = &map->via.map.ptr[i];
        if (pair->key.type != MSGPACK_OBJECT_STR || list->count == list->capacity) {
            continue;
        }
        char name[256];
        const int len = snprintf(name, sizeof name, "%s%s%.*s", prefix, *prefix ? "." : "",
                                 (int)(pair->key.via.str.size & 0xffu), pair->key.via.str.ptr);
        if (len < 0 || (size_t)len >= sizeof name) {
            continue;
        }
        if (pair->val.type == MSGPACK_OBJECT_MAP && *prefix == '\0') {
            add_figures(list, name, &pair->val);
            continue;
        }
        zspool_figure_t figure = {0};
        if (set_figure(list->arena, &pair->val, &figure)) {
            figure.name = zsp_arena_text(list->arena, zsp_slice_str(name));
            list->items[list->count++] = figure;
        }
    }
}

static size_t count_figures(const msgpack_object *map)
{
    size_t count = map->via.map.size;
    for (uint32_t i = 0; i < map->via.map.size; i++) {
        const msgpack_object *value = &map->via.map.ptr[i].val;
        count += value->type == MSGPACK_OBJECT_MAP ? value->via.map.size : 0;
    }
    return count < FIGURES_MAX ? count : FIGURES_MAX;
}

static const zspool_figure_t *read_figures(struct zsp_arena *arena, const msgpack_object *map,
                                           size_t *ret_count)
{
    *ret_count = 0;
    if (!map || map->type != MSGPACK_OBJECT_MAP) {
        return NULL;
    }
    struct figure_list list = {.arena = arena, .capacity = count_figures(map)};
    list.items = zsp_arena_alloc(arena, list.capacity, sizeof *list.items);
    if (!list.items) {
        return NULL;
    }
    add_figures(&list, "", map);
    *ret_count = list.count;
    return list.items;
}

/* Make the result's arena; NULL when out of memory. */
static void *begin(struct zsp_result *result, size_t bytes)
{
    result->arena = zsp_arena_new(bytes);
    return result->arena ? zsp_arena_result(result->arena) : NULL;
}

static int end(const struct zsp_result *result, struct zsp_err *err)
{
    return zsp_arena_failed(result->arena) ? no_memory(err) : 0;
}

int zsp_read_stats(const struct zsp_answer *answer, void *arg, struct zsp_err *err)
{
    struct zsp_result *result = arg;
    zspool_figures_t *stats = begin(result, sizeof *stats);
    if (!stats) {
        return no_memory(err);
    }
    stats->items = read_figures(result->arena, answer->map, &stats->count);
    return end(result, err);
}

/* --- Topics ------------------------------------------------------------------------ */

/* Rows that are absent are of a topic that is not compacted. */
static int read_compactions(struct zsp_arena *arena, const msgpack_object *map,
                            zspool_topic_info_t *info, struct zsp_err *err)
{
    const msgpack_object_array *rows = zsp_reply_array(map, "compaction");
    if (!rows) {
        return 0;
    }
    zspool_compaction_info_t *items =
        rows->size <= ZSP_PARTITIONS_MAX ? zsp_arena_alloc(arena, rows->size, sizeof *items) : NULL;
    for (uint32_t i = 0; items && i < rows->size; i++) {
        uint64_t numbers[6];
        if (!zsp_reply_numbers(&rows->ptr[i], 0, numbers, 6)) {
            return unreadable(err, "compaction");
        }
        items[i] = (zspool_compaction_info_t){.partition = (uint32_t)numbers[0],
                                              .dirty_percent = (uint32_t)numbers[1],
                                              .runs = numbers[2],
                                              .messages = numbers[3],
                                              .bytes = numbers[4],
                                              .last_ms = (int64_t)numbers[5]};
        info->compaction_count++;
    }
    info->compactions = items;
    return 0;
}

/* Rows that are absent: nothing is left below the start. */
static int read_islands(struct zsp_arena *arena, const msgpack_object *map,
                        zspool_topic_info_t *info, struct zsp_err *err)
{
    const msgpack_object_array *rows = zsp_reply_array(map, "islands");
    if (!rows) {
        return 0;
    }
    zspool_island_info_t *items =
        rows->size <= ZSP_PARTITIONS_MAX ? zsp_arena_alloc(arena, rows->size, sizeof *items) : NULL;
    for (uint32_t i = 0; items && i < rows->size; i++) {
        uint64_t numbers[3];
        if (!zsp_reply_numbers(&rows->ptr[i], 0, numbers, 3)) {
            return unreadable(err, "islands");
        }
        items[i] = (zspool_island_info_t){
            .partition = (uint32_t)numbers[0], .first_offset = numbers[1], .bytes = numbers[2]};
        info->island_count++;
    }
    info->islands = items;
    return 0;
}

int zsp_read_topic_info(const struct zsp_answer *answer, void *arg, struct zsp_err *err)
{
    struct zsp_result *result = arg;
    zspool_topic_info_t *info = begin(result, sizeof *info);
    if (!info) {
        return no_memory(err);
    }
    struct zsp_arena *arena = result->arena;
    info->topic = zsp_arena_text(arena, zsp_reply_text(answer->map, "topic"));
    info->id = zsp_reply_uint(answer->map, "id", 0);
    info->settings =
        read_figures(arena, wire_map_find(answer->map, "settings"), &info->setting_count);
    const msgpack_object_array *rows = zsp_reply_array(answer->map, "partitions");
    if (!rows || rows->size > ZSP_PARTITIONS_MAX) {
        return unreadable(err, "partitions");
    }
    zspool_partition_info_t *items = zsp_arena_alloc(arena, rows->size, sizeof *items);
    for (uint32_t i = 0; items && i < rows->size; i++) {
        uint64_t numbers[4];
        if (!zsp_reply_numbers(&rows->ptr[i], 0, numbers, 4)) {
            return unreadable(err, "partitions");
        }
        items[i] = (zspool_partition_info_t){.partition = (uint32_t)numbers[0],
                                             .start_offset = numbers[1],
                                             .end_offset = numbers[2],
                                             .bytes = numbers[3]};
        info->partition_count++;
    }
    info->partitions = items;
    int rc = read_compactions(arena, answer->map, info, err);
    rc = rc == 0 ? read_islands(arena, answer->map, info, err) : rc;
    return rc != 0 ? rc : end(result, err);
}

/* --- Groups ------------------------------------------------------------------------- */

static zspool_position_t read_position(struct zsp_arena *arena, const msgpack_object *map,
                                       const char *key)
{
    zspool_position_t position = {.kind = ZSPOOL_POSITION_NONE};
    struct wire_position told;
    const msgpack_object *value = wire_map_find(map, key);
    if (!value || wire_get_position(value, key, &told, NULL) != 0) {
        return position;
    }
    switch (told.kind) {
    case WIRE_POSITION_EARLIEST:
        position.kind = ZSPOOL_POSITION_EARLIEST;
        break;
    case WIRE_POSITION_LATEST:
        position.kind = ZSPOOL_POSITION_LATEST;
        break;
    case WIRE_POSITION_OFFSET:
        position.kind = ZSPOOL_POSITION_OFFSET;
        break;
    case WIRE_POSITION_LAST:
        position.kind = ZSPOOL_POSITION_LAST;
        break;
    case WIRE_POSITION_TIME:
        position.kind = ZSPOOL_POSITION_TIME;
        break;
    case WIRE_POSITION_AGO:
        position.kind = ZSPOOL_POSITION_AGO;
        break;
    case WIRE_POSITION_ID:
        position.kind = ZSPOOL_POSITION_ID;
        position.id = zsp_arena_text(arena, told.id);
        break;
    case WIRE_POSITION_NONE:
        break;
    }
    position.value = told.value;
    return position;
}

static int read_parts(struct zsp_arena *arena, const msgpack_object_array *rows,
                      zspool_group_info_t *info, struct zsp_err *err)
{
    zspool_group_part_t *parts = zsp_arena_alloc(arena, rows->size, sizeof *parts);
    for (uint32_t i = 0; parts && i < rows->size; i++) {
        uint64_t numbers[10] = {0};
        struct zsp_slice topic;
        if (!row_text(&rows->ptr[i], &topic) || !zsp_reply_numbers(&rows->ptr[i], 1, numbers, 7)) {
            return unreadable(err, "parts");
        }
        (void)zsp_reply_numbers(&rows->ptr[i], 8, numbers + 7, 1); /* older brokers do not tell */
        (void)zsp_reply_numbers(&rows->ptr[i], 9, numbers + 8, 1); /* */
        (void)zsp_reply_numbers(&rows->ptr[i], 10, numbers + 9, 1);
        const bool same = i > 0 && zsp_slice_equal_str(topic, parts[i - 1].topic);
        parts[i] = (zspool_group_part_t){
            .topic = same ? parts[i - 1].topic : zsp_arena_text(arena, topic),
            .partition = (uint32_t)numbers[0],
            .committed = numbers[1],
            .end_offset = numbers[2],
            .ready = numbers[3],
            .leased = numbers[4],
            .waiting = numbers[5],
            .dead = numbers[6],
            .lost = numbers[7],
            .expired = numbers[8],
            .compacted = numbers[9],
        };
        info->part_count++;
    }
    info->parts = parts;
    return 0;
}

/* A list of texts that may be missing. */
static const char *const *read_texts(struct zsp_arena *arena, const msgpack_object *map,
                                     const char *key, size_t *ret_count)
{
    const msgpack_object_array *told = zsp_reply_array(map, key);
    const char **texts = told ? zsp_arena_alloc(arena, told->size, sizeof *texts) : NULL;
    for (uint32_t i = 0; texts && i < told->size; i++) {
        const msgpack_object *text = &told->ptr[i];
        if (text->type == MSGPACK_OBJECT_STR) {
            texts[(*ret_count)++] = zsp_arena_text(
                arena, (struct zsp_slice){(const uint8_t *)text->via.str.ptr, text->via.str.size});
        }
    }
    return texts;
}

int zsp_read_group_info(const struct zsp_answer *answer, void *arg, struct zsp_err *err)
{
    struct zsp_result *result = arg;
    zspool_group_info_t *info = begin(result, sizeof *info);
    if (!info) {
        return no_memory(err);
    }
    struct zsp_arena *arena = result->arena;
    info->group = zsp_arena_text(arena, zsp_reply_text(answer->map, "group"));
    info->mode = zsp_arena_text(arena, zsp_reply_text(answer->map, "mode"));
    info->start = read_position(arena, answer->map, "start");
    info->paused = zsp_reply_bool(answer->map, "paused");
    const msgpack_object *redrive = wire_map_find(answer->map, "redrive");
    if (redrive && redrive->type == MSGPACK_OBJECT_MAP) {
        info->redrive_rate = zsp_reply_uint(redrive, "rate", 0);
        info->redriven = zsp_reply_uint(redrive, "messages", 0);
    }
    const msgpack_object *letters = wire_map_find(answer->map, "dead_letters");
    if (letters && letters->type == MSGPACK_OBJECT_MAP) {
        const struct zsp_slice error = zsp_reply_text(letters, "error");
        info->owes_letters = true;
        info->letters_copied = zsp_reply_uint(letters, "copied", 0);
        info->letters_failed = zsp_reply_uint(letters, "failed", 0);
        info->letters_error = error.data ? zsp_arena_text(result->arena, error) : NULL;
    }
    const msgpack_object *replay = wire_map_find(answer->map, "replay");
    if (replay && replay->type == MSGPACK_OBJECT_MAP) {
        info->replay_of = zsp_arena_text(arena, zsp_reply_text(replay, "of"));
        info->replay_finished = zsp_reply_bool(replay, "finished");
        info->replay_expires_in_ms = zsp_reply_uint(replay, "expires_in_ms", 0);
    }
    info->patterns = read_texts(arena, answer->map, "patterns", &info->pattern_count);
    const msgpack_object_array *members = zsp_reply_array(answer->map, "members");
    info->member_count = members ? members->size : zsp_reply_uint(answer->map, "members", 0);
    info->settings =
        read_figures(arena, wire_map_find(answer->map, "settings"), &info->setting_count);
    const msgpack_object_array *rows = zsp_reply_array(answer->map, "parts");
    if (!rows) {
        return unreadable(err, "parts");
    }
    zsp_read_why(arena, answer->map, info);
    const int rc = read_parts(arena, rows, info, err);
    return rc == 0 ? end(result, err) : rc;
}

int zsp_read_seek(const struct zsp_answer *answer, void *arg, struct zsp_err *err)
{
    struct zsp_result *result = arg;
    zspool_seek_result_t *seek = begin(result, sizeof *seek);
    if (!seek) {
        return no_memory(err);
    }
    const msgpack_object_array *rows = zsp_reply_array(answer->map, "partitions");
    if (!rows || rows->size > ZSP_PARTITIONS_MAX) {
        return unreadable(err, "partitions");
    }
    zspool_seek_part_t *parts = zsp_arena_alloc(result->arena, rows->size, sizeof *parts);
    for (uint32_t i = 0; parts && i < rows->size; i++) {
        uint64_t numbers[5];
        if (!zsp_reply_numbers(&rows->ptr[i], 0, numbers, 5)) {
            return unreadable(err, "partitions");
        }
        parts[i] = (zspool_seek_part_t){.partition = (uint32_t)numbers[0],
                                        .from = numbers[1],
                                        .to = numbers[2],
                                        .redelivered = numbers[3],
                                        .skipped = numbers[4]};
        seek->count++;
    }
    seek->parts = parts;
    seek->undo = zsp_reply_bool(answer->map, "undo");
    return end(result, err);
}

int zsp_read_purge(const struct zsp_answer *answer, void *arg, struct zsp_err *err)
{
    struct zsp_result *result = arg;
    zspool_purge_result_t *purge = begin(result, sizeof *purge);
    if (!purge) {
        return no_memory(err);
    }
    const msgpack_object_array *rows = zsp_reply_array(answer->map, "groups");
    if (!rows) {
        return unreadable(err, "groups");
    }
    zspool_purge_group_t *groups = zsp_arena_alloc(result->arena, rows->size, sizeof *groups);
    for (uint32_t i = 0; groups && i < rows->size; i++) {
        uint64_t lost = 0;
        struct zsp_slice name;
        if (!row_text(&rows->ptr[i], &name) || !zsp_reply_numbers(&rows->ptr[i], 1, &lost, 1)) {
            return unreadable(err, "groups");
        }
        groups[i] =
            (zspool_purge_group_t){.group = zsp_arena_text(result->arena, name), .lost = lost};
        purge->group_count++;
    }
    purge->groups = groups;
    purge->messages = zsp_reply_uint(answer->map, "messages", 0);
    return end(result, err);
}

int zsp_read_savepoints(const struct zsp_answer *answer, void *arg, struct zsp_err *err)
{
    struct zsp_result *result = arg;
    zspool_savepoint_list_t *list = begin(result, sizeof *list);
    if (!list) {
        return no_memory(err);
    }
    const msgpack_object_array *rows = zsp_reply_array(answer->map, "savepoints");
    if (!rows) {
        return unreadable(err, "savepoints");
    }
    zspool_savepoint_t *items = zsp_arena_alloc(result->arena, rows->size, sizeof *items);
    for (uint32_t i = 0; items && i < rows->size; i++) {
        uint64_t numbers[2];
        struct zsp_slice name;
        if (!row_text(&rows->ptr[i], &name) || !zsp_reply_numbers(&rows->ptr[i], 1, numbers, 2)) {
            return unreadable(err, "savepoints");
        }
        items[i] = (zspool_savepoint_t){.name = zsp_arena_text(result->arena, name),
                                        .created_ms = (int64_t)numbers[0],
                                        .bytes = numbers[1]};
        list->count++;
    }
    list->items = items;
    list->undo_ms = (int64_t)zsp_reply_uint(answer->map, "undo_ms", 0);
    return end(result, err);
}

/* Names, one after the other. NULL = they cannot be read. */
static const char **read_names(struct zsp_arena *arena, const msgpack_object_array *names)
{
    const char **items = zsp_arena_alloc(arena, names->size + 1u, sizeof *items);
    for (uint32_t i = 0; items && i < names->size; i++) {
        struct zsp_slice name;
        if (wire_get_str(&names->ptr[i], "name", &name, NULL) != 0) {
            return NULL;
        }
        items[i] = zsp_arena_text(arena, name);
    }
    return items;
}

static int read_restored(struct zsp_arena *arena, const msgpack_object_array *rows,
                         zspool_restore_result_t *restore, struct zsp_err *err)
{
    zspool_restore_part_t *parts = zsp_arena_alloc(arena, rows->size, sizeof *parts);
    for (uint32_t i = 0; parts && i < rows->size; i++) {
        uint64_t numbers[6];
        struct zsp_slice topic;
        if (!row_text(&rows->ptr[i], &topic) || !zsp_reply_numbers(&rows->ptr[i], 1, numbers, 6)) {
            return unreadable(err, "partitions");
        }
        parts[i] = (zspool_restore_part_t){.topic = zsp_arena_text(arena, topic),
                                           .partition = (uint32_t)numbers[0],
                                           .from = numbers[1],
                                           .to = numbers[2],
                                           .redelivered = numbers[3],
                                           .skipped = numbers[4],
                                           .gone = numbers[5]};
        restore->count++;
    }
    restore->parts = parts;
    return 0;
}

int zsp_read_restore(const struct zsp_answer *answer, void *arg, struct zsp_err *err)
{
    struct zsp_result *result = arg;
    zspool_restore_result_t *restore = begin(result, sizeof *restore);
    if (!restore) {
        return no_memory(err);
    }
    const msgpack_object_array *rows = zsp_reply_array(answer->map, "partitions");
    const msgpack_object_array *missing = zsp_reply_array(answer->map, "missing");
    if (!rows || !missing) {
        return unreadable(err, "partitions");
    }
    restore->missing = read_names(result->arena, missing);
    restore->missing_count = restore->missing ? missing->size : 0;
    restore->redelivered = zsp_reply_uint(answer->map, "redelivered", 0);
    restore->skipped = zsp_reply_uint(answer->map, "skipped", 0);
    restore->gone = zsp_reply_uint(answer->map, "gone", 0);
    restore->undo = zsp_reply_bool(answer->map, "undo");
    const int rc = read_restored(result->arena, rows, restore, err);
    return rc == 0 ? end(result, err) : rc;
}

/* --- Producers, lists, raw replies -------------------------------------------------- */

int zsp_read_producer_info(const struct zsp_answer *answer, void *arg, struct zsp_err *err)
{
    struct zsp_result *result = arg;
    zspool_producer_info_t *info = begin(result, sizeof *info);
    if (!info) {
        return no_memory(err);
    }
    info->producer = zsp_arena_text(result->arena, zsp_slice_str(result->name));
    info->epoch = (uint32_t)zsp_reply_uint(answer->map, "epoch", 0);
    const msgpack_object_array *rows = zsp_reply_array(answer->map, "last");
    if (!rows) {
        return unreadable(err, "last");
    }
    zspool_producer_last_t *last = zsp_arena_alloc(result->arena, rows->size, sizeof *last);
    for (uint32_t i = 0; last && i < rows->size; i++) {
        uint64_t numbers[2];
        struct zsp_slice topic;
        if (!row_text(&rows->ptr[i], &topic) || !zsp_reply_numbers(&rows->ptr[i], 1, numbers, 2)) {
            return unreadable(err, "last");
        }
        last[i] = (zspool_producer_last_t){.topic = zsp_arena_text(result->arena, topic),
                                           .partition = (uint32_t)numbers[0],
                                           .sequence = numbers[1]};
        info->count++;
    }
    info->last = last;
    return end(result, err);
}

static int add_name(struct zsp_listing *list, struct zsp_slice name, struct zsp_err *err)
{
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity == 0 ? 64 : list->capacity * 2;
        char **items =
            capacity > NAMES_MAX * 2 ? NULL : realloc(list->items, capacity * sizeof *items);
        if (!items) {
            return no_memory(err);
        }
        list->items = items;
        list->capacity = capacity;
    }
    char *copy = strndup((const char *)name.data, name.len);
    if (!copy) {
        return no_memory(err);
    }
    list->items[list->count++] = copy;
    return 0;
}

int zsp_read_listing(const struct zsp_answer *answer, void *arg, struct zsp_err *err)
{
    struct zsp_listing *list = arg;
    const msgpack_object_array *items = zsp_reply_array(answer->map, "items");
    if (!items) {
        return unreadable(err, "items");
    }
    for (uint32_t i = 0; i < items->size; i++) {
        const msgpack_object *item = &items->ptr[i];
        struct zsp_slice name = {NULL, 0};
        if (item->type == MSGPACK_OBJECT_MAP) {
            name = zsp_reply_text(item, list->key);
        } else if (!row_text(item, &name)) {
            (void)wire_get_str(item, "name", &name, NULL); /* then it stays absent */
        }
        const int rc = name.data ? add_name(list, name, err) : unreadable(err, "items");
        if (rc != 0) {
            return rc;
        }
    }
    const msgpack_object *more = wire_map_find(answer->map, "more");
    list->more =
        items->size > 0 && more && more->type == MSGPACK_OBJECT_BOOLEAN && more->via.boolean;
    return 0;
}

void zsp_listing_fini(struct zsp_listing *self)
{
    for (size_t i = 0; i < self->count; i++) {
        free(self->items[i]);
    }
    free(self->items);
    *self = (struct zsp_listing){0};
}

static int copy_reply(struct zsp_arena *arena, const struct zsp_answer *answer,
                      const msgpack_sbuffer *map)
{
    zspool_reply_t *reply = zsp_arena_result(arena);
    size_t body_bytes = 0;
    for (size_t i = 0; i < answer->frame_count; i++) {
        body_bytes += zmq_msg_size(&answer->frames[i]);
    }
    char *room = zsp_arena_alloc(arena, map->size + body_bytes, 1);
    if (!room) {
        return ZSP_ENOMEM;
    }
    memcpy(room, map->data, map->size);
    reply->map = (zspool_bytes_t){room, map->size};
    room += map->size;
    if (answer->frame_count > 0) {
        reply->body = (zspool_bytes_t){room, body_bytes};
    }
    for (size_t i = 0; i < answer->frame_count; i++) {
        memcpy(room, zmq_msg_data(&answer->frames[i]), zmq_msg_size(&answer->frames[i]));
        room += zmq_msg_size(&answer->frames[i]);
    }
    return 0;
}

int zsp_read_reply(const struct zsp_answer *answer, void *arg, struct zsp_err *err)
{
    struct zsp_result *result = arg;
    msgpack_sbuffer map;
    msgpack_sbuffer_init(&map);
    msgpack_packer packer;
    msgpack_packer_init(&packer, &map, msgpack_sbuffer_write);
    int rc = ZSP_ENOMEM;
    if (begin(result, sizeof(zspool_reply_t)) && msgpack_pack_object(&packer, *answer->map) == 0) {
        rc = copy_reply(result->arena, answer, &map);
    }
    msgpack_sbuffer_destroy(&map);
    return rc == 0 ? 0 : no_memory(err);
}
