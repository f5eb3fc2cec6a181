/* SPDX-License-Identifier: MPL-2.0 */
#include "client/src/dead_result.h"

#include <string.h>

#include "client/src/parcel.h"
#include "common/limits.h"
#include "common/wire.h"

static int no_memory(struct zsp_err *err)
{
    return zsp_err_set(err, ZSP_ENOMEM, "no memory for a reply");
}

static int unreadable(struct zsp_err *err, const char *what)
{
    return zsp_err_set(err, ZSP_EBAD_REQUEST, "the reply's %s cannot be read", what);
}

static void *begin(struct zsp_result *result, size_t bytes)
{
    result->arena = zsp_arena_new(bytes);
    return result->arena ? zsp_arena_result(result->arena) : NULL;
}

static int end(const struct zsp_result *result, struct zsp_err *err)
{
    return zsp_arena_failed(result->arena) ? no_memory(err) : 0;
}

/* Numbers of an array from index `first` on. */
static bool read_numbers(const msgpack_object_array *row, uint32_t first, uint64_t *ret,
                         uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (wire_get_uint(&row->ptr[first + i], "number", UINT64_MAX, &ret[i], NULL) != 0) {
            return false;
        }
    }
    return true;
}

/* The reasons of a message, newest first; false when they cannot be read. */
static bool read_reasons(struct zsp_arena *arena, const msgpack_object *object,
                         const char *const **ret, size_t *ret_count)
{
    if (object->type != MSGPACK_OBJECT_ARRAY) {
        return false;
    }
    const msgpack_object_array *texts = &object->via.array;
    const char **items = zsp_arena_alloc(arena, texts->size + 1u, sizeof *items);
    for (uint32_t i = 0; items && i < texts->size; i++) {
        struct zsp_slice text;
        if (wire_get_str(&texts->ptr[i], "reason", &text, NULL) != 0) {
            return false;
        }
        items[i] = zsp_arena_text(arena, text);
    }
    *ret = items;
    *ret_count = items ? texts->size : 0;
    return true;
}

/* `next` of a reply with `more`. NULL = there is none. */
static const zspool_place_t *read_next(struct zsp_arena *arena, const msgpack_object *map)
{
    const msgpack_object_array *told = zsp_reply_array(map, "next");
    uint64_t numbers[2];
    struct zsp_slice topic;
    if (!told || told->size != 3 || wire_get_str(&told->ptr[0], "topic", &topic, NULL) != 0 ||
        !read_numbers(told, 1, numbers, 2) || numbers[0] >= ZSP_PARTITIONS_MAX) {
        return NULL;
    }
    zspool_place_t *place = zsp_arena_alloc(arena, 1, sizeof *place);
    if (place) {
        *place = (zspool_place_t){zsp_arena_text(arena, topic), (uint32_t)numbers[0], numbers[1]};
    }
    return place;
}

/* --- DEAD.LIST ----------------------------------------------------------------------------- */

static bool read_item(struct zsp_arena *arena, const msgpack_object *object,
                      zspool_dead_item_t *ret)
{
    enum { PARTITION, FIRST, COUNT, DIED, DELIVERIES, FAILURES, NUMBERS };
    uint64_t numbers[NUMBERS];
    struct zsp_slice topic;
    if (object->type != MSGPACK_OBJECT_ARRAY || object->via.array.size < NUMBERS + 2u) {
        return false;
    }
    const msgpack_object_array *row = &object->via.array;
    if (wire_get_str(&row->ptr[0], "topic", &topic, NULL) != 0 ||
        !read_numbers(row, 1, numbers, NUMBERS)) {
        return false;
    }
    ret->run = (zspool_dead_run_t){.topic = zsp_arena_text(arena, topic),
                                   .partition = (uint32_t)numbers[PARTITION],
                                   .first_offset = numbers[FIRST],
                                   .count = numbers[COUNT]};
    ret->died_ms = (int64_t)numbers[DIED];
    ret->deliveries = (uint32_t)numbers[DELIVERIES];
    ret->failures = (uint32_t)numbers[FAILURES];
    return read_reasons(arena, &row->ptr[NUMBERS + 1], &ret->reasons, &ret->reason_count);
}

int zsp_read_dead_list(const struct zsp_answer *answer, void *arg, struct zsp_err *err)
{
    struct zsp_result *result = arg;
    zspool_dead_list_t *list = begin(result, sizeof *list);
    if (!list) {
        return no_memory(err);
    }
    const msgpack_object_array *rows = zsp_reply_array(answer->map, "items");
    if (!rows) {
        return unreadable(err, "items");
    }
    zspool_dead_item_t *items = zsp_arena_alloc(result->arena, rows->size, sizeof *items);
    for (uint32_t i = 0; items && i < rows->size; i++) {
        if (!read_item(result->arena, &rows->ptr[i], &items[i])) {
            return unreadable(err, "items");
        }
        list->count++;
    }
    list->items = items;
    list->dead = zsp_reply_uint(answer->map, "dead", 0);
    list->next = read_next(result->arena, answer->map);
    return end(result, err);
}

int zsp_read_dead_result(const struct zsp_answer *answer, void *arg, struct zsp_err *err)
{
    struct zsp_result *result = arg;
    zspool_dead_result_t *told = begin(result, sizeof *told);
    if (!told) {
        return no_memory(err);
    }
    told->messages = zsp_reply_uint(answer->map, "messages", 0);
    told->next = read_next(result->arena, answer->map);
    return end(result, err);
}

/* --- DEAD.READ ------------------------------------------------------------------------------ */

static zspool_bytes_t copy(struct zsp_arena *arena, zspool_bytes_t bytes)
{
    void *to = bytes.data ? zsp_arena_alloc(arena, bytes.len + 1, 1) : NULL;
    if (to && bytes.len > 0) {
        memcpy(to, bytes.data, bytes.len);
    }
    return (zspool_bytes_t){to, to ? bytes.len : 0};
}

/* A message of its own: the parcel goes. */
static void keep(struct zsp_arena *arena, zspool_message_t *message)
{
    message->topic = zsp_arena_text(arena, zsp_slice_str(message->topic));
    message->payload = copy(arena, message->payload);
    message->key = copy(arena, message->key);
    message->type = copy(arena, message->type);
    message->id = copy(arena, message->id);
    message->headers = copy(arena, message->headers);
}

/* What is known of the messages of one run. */
static bool read_dead(struct zsp_arena *arena, const msgpack_object *object,
                      zspool_dead_message_t *ret)
{
    uint64_t died_ms = 0;
    if (object->type != MSGPACK_OBJECT_ARRAY || object->via.array.size < 2 ||
        !read_numbers(&object->via.array, 0, &died_ms, 1)) {
        return false;
    }
    ret->died_ms = (int64_t)died_ms;
    return read_reasons(arena, &object->via.array.ptr[1], &ret->reasons, &ret->reason_count);
}

static int take_all(struct zsp_arena *arena, struct zsp_parcel *parcel,
                    const msgpack_object_array *dead, zspool_dead_messages_t *ret,
                    struct zsp_err *err)
{
    zspool_dead_message_t *items = zsp_arena_alloc(arena, parcel->left, sizeof *items);
    zspool_dead_message_t known = {0};
    size_t known_run = SIZE_MAX;
    while (items && parcel->left > 0) {
        zspool_dead_message_t *item = &items[ret->count];
        const struct zsp_parcel_run told = *zsp_parcel_run(parcel);
        const size_t run = (size_t)(zsp_parcel_run(parcel) - parcel->runs);
        if (run != known_run) {
            if (run >= dead->size || !read_dead(arena, &dead->ptr[run], &known)) {
                return unreadable(err, "dead");
            }
            known_run = run;
        }
        *item = known;
        const int rc = zsp_parcel_take(parcel, &item->message, err);
        if (rc < 0) {
            return rc;
        }
        item->message.deliveries = told.deliveries; /* a message without a lease is a reader's */
        item->message.failures = told.failures;
        keep(arena, &item->message);
        ret->count++;
    }
    ret->items = items;
    return 0;
}

int zsp_read_dead_messages(const struct zsp_answer *answer, void *arg, struct zsp_err *err)
{
    struct zsp_result *result = arg;
    struct zsp_parcel_owner owner = {0};
    struct zsp_parcel *parcel = NULL;
    zspool_dead_messages_t *messages = begin(result, sizeof *messages);
    if (!messages) {
        return no_memory(err);
    }
    const msgpack_object_array *dead = zsp_reply_array(answer->map, "dead");
    if (!dead) {
        return unreadable(err, "dead");
    }
    zsp_interned_init(&owner.topics, 0);
    int rc = zsp_parcel_new(answer, &owner, &parcel, err);
    if (rc == 0 && parcel) {
        rc = take_all(result->arena, parcel, dead, messages, err);
    }
    zsp_parcel_destroy(&parcel);
    zsp_parcel_owner_fini(&owner);
    messages->more = zsp_reply_bool(answer->map, "more");
    return rc == 0 ? end(result, err) : rc;
}
