/* SPDX-License-Identifier: MPL-2.0
 *
 * Positions and runs: decoding and encoding of each side by side.
 */
#include <inttypes.h>
#include <string.h>

#include "common/assert.h"
#include "common/codec.h"
#include "common/limits.h"
#include "common/name.h"
#include "common/wire.h"

#define DEFAULT_DELIVERIES 1u

/* --- Positions -------------------------------------------------------------------- */

struct position_row {
    const char *name;
    enum wire_position_kind kind;
};

static const struct position_row plain_positions[] = {
    {"earliest", WIRE_POSITION_EARLIEST},
    {"latest", WIRE_POSITION_LATEST},
};

static const struct position_row value_positions[] = {
    {"offset", WIRE_POSITION_OFFSET},
    {"last", WIRE_POSITION_LAST},
    {"time", WIRE_POSITION_TIME},
    {"ago", WIRE_POSITION_AGO},
};

static int report_position(const char *what, int code, struct zsp_err *err)
{
    static const char *const wanted =
        "earliest, latest, [offset|last|time|ago, number], [id, text]";
    (void)zsp_err_set(err, code, "%s must be one of %s", what, wanted);
    zsp_err_detail(err, what, wanted, NULL);
    return code;
}

static int get_plain_position(const msgpack_object *object, const char *what,
                              struct wire_position *ret, struct zsp_err *err)
{
    struct zsp_slice name;
    const int rc = wire_get_str(object, what, &name, err);
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < sizeof plain_positions / sizeof plain_positions[0]; i++) {
        if (zsp_slice_equal_str(name, plain_positions[i].name)) {
            *ret = (struct wire_position){.kind = plain_positions[i].kind};
            return 0;
        }
    }
    return report_position(what, ZSP_EBAD_VALUE, err);
}

int wire_get_position(const msgpack_object *object, const char *what, struct wire_position *ret,
                      struct zsp_err *err)
{
    if (object->type == MSGPACK_OBJECT_STR) {
        return get_plain_position(object, what, ret, err);
    }
    if (object->type != MSGPACK_OBJECT_ARRAY || object->via.array.size != 2) {
        return report_position(what, ZSP_EBAD_TYPE, err);
    }
    struct zsp_slice name;
    struct wire_position position = {.kind = WIRE_POSITION_NONE};
    int rc = wire_get_str(&object->via.array.ptr[0], what, &name, err);
    if (rc != 0) {
        return rc;
    }
    const msgpack_object *value = &object->via.array.ptr[1];
    for (size_t i = 0; i < sizeof value_positions / sizeof value_positions[0]; i++) {
        if (zsp_slice_equal_str(name, value_positions[i].name)) {
            position.kind = value_positions[i].kind;
            rc = wire_get_uint(value, what, UINT64_MAX, &position.value, err);
        }
    }
    if (zsp_slice_equal_str(name, "id")) {
        position.kind = WIRE_POSITION_ID;
        rc = wire_get_str(value, what, &position.id, err);
    }
    if (position.kind == WIRE_POSITION_NONE) {
        return report_position(what, ZSP_EBAD_VALUE, err);
    }
    if (rc == 0) {
        *ret = position;
    }
    return rc;
}

void wire_write_position(struct zsp_writer *out, const struct wire_position *position)
{
    zsp_assert(position->kind != WIRE_POSITION_NONE);
    for (size_t i = 0; i < sizeof plain_positions / sizeof plain_positions[0]; i++) {
        if (plain_positions[i].kind == position->kind) {
            wire_write_text(out, plain_positions[i].name);
            return;
        }
    }
    wire_write_array(out, 2);
    if (position->kind == WIRE_POSITION_ID) {
        wire_write_text_str(out, "id", position->id);
        return;
    }
    for (size_t i = 0; i < sizeof value_positions / sizeof value_positions[0]; i++) {
        if (value_positions[i].kind == position->kind) {
            wire_write_text_uint(out, value_positions[i].name, position->value);
        }
    }
}

/* --- What both kinds of runs begin with ----------------------------------------- */

struct run_front {
    struct zsp_slice topic;
    uint32_t partition;
    uint64_t first;
    uint64_t count;
    uint64_t lease; /* 0 = nil */
};

static int check_array(const msgpack_object *object, uint32_t least, uint32_t most,
                       struct zsp_err *err)
{
    if (object->type != MSGPACK_OBJECT_ARRAY) {
        return zsp_err_set_about(err, ZSP_EBAD_TYPE, "run", "a run must be an array");
    }
    if (object->via.array.size < least || object->via.array.size > most) {
        zsp_err_set(err, ZSP_EBAD_VALUE, "a run must have %u to %u elements, not %u",
                    (unsigned)least, (unsigned)most, (unsigned)object->via.array.size);
        zsp_err_detail_range(err, "run", least, most, object->via.array.size);
        return ZSP_EBAD_VALUE;
    }
    return 0;
}

static int get_name(const msgpack_object *object, struct zsp_slice *ret, struct zsp_err *err)
{
    const int rc = wire_get_str(object, "topic of a run", ret, err);
    return rc == 0 ? zsp_name_check("topic", *ret, err) : rc;
}

/* Elements 0 to 4 of an array that has them. */
static int get_front(const msgpack_object *items, struct run_front *ret, struct zsp_err *err)
{
    uint64_t partition = 0;
    int rc = get_name(&items[0], &ret->topic, err);
    if (rc == 0) {
        rc =
            wire_get_uint(&items[1], "partition of a run", ZSP_PARTITIONS_MAX - 1, &partition, err);
    }
    if (rc == 0) {
        rc = wire_get_uint(&items[2], "first of a run", UINT64_MAX, &ret->first, err);
    }
    if (rc == 0) {
        rc = wire_get_uint(&items[3], "count of a run", UINT64_MAX, &ret->count, err);
    }
    if (rc == 0 && ret->count == 0) {
        rc = zsp_err_set_about(err, ZSP_EBAD_VALUE, "count", "count of a run must be at least 1");
    }
    /* The end of a run, one past its last offset, is a number too. */
    if (rc == 0 && ret->count > UINT64_MAX - ret->first) {
        rc = zsp_err_set_about(err, ZSP_EBAD_VALUE, "count",
                               "a run of %" PRIu64 " from offset %" PRIu64
                               " ends beyond the last offset",
                               ret->count, ret->first);
    }
    if (rc == 0 && items[4].type != MSGPACK_OBJECT_NIL) {
        rc = wire_get_uint(&items[4], "lease of a run", UINT64_MAX, &ret->lease, err);
    }
    ret->partition = (uint32_t)partition;
    return rc;
}

/* --- Runs ------------------------------------------------------------------------- */

/* A run that is compressed. */
static int get_codec(const msgpack_object *map, struct wire_run *run, struct zsp_err *err)
{
    const msgpack_object *value = wire_map_find(map, "codec");
    struct zsp_slice codec;
    uint64_t raw_bytes = 0;
    uint64_t skip = 0;
    if (!value) {
        return 0;
    }
    int rc = wire_get_str(value, "codec", &codec, err);
    if (rc == 0 && !zsp_slice_equal_str(codec, ZSP_CODEC_ZSTD_NAME)) {
        rc = zsp_err_set_about(err, ZSP_EUNSUPPORTED, "codec", "codec of a run must be zstd");
    }
    value = wire_map_find(map, "raw_size");
    if (rc == 0 && value) {
        rc = wire_get_uint(value, "raw_size", ZSP_FRAME_MAX, &raw_bytes, err);
    }
    if (rc == 0 && raw_bytes == 0) {
        rc = zsp_err_set_about(err, ZSP_EBAD_VALUE, "raw_size",
                               "a compressed run must tell its raw_size");
    }
    value = wire_map_find(map, "skip");
    if (rc == 0 && value) {
        rc = wire_get_uint(value, "skip", UINT32_MAX, &skip, err);
    }
    if (rc == 0) {
        run->raw_bytes = (uint32_t)raw_bytes;
        run->skip = (uint32_t)skip;
    }
    return rc;
}

/* The extras that are known; all others are ignored, for a reply may grow. */
static int get_extras(const msgpack_object *map, struct wire_run *run, struct zsp_err *err)
{
    uint64_t deliveries = run->deliveries, failures = run->failures, priority = run->priority;
    uint64_t expires_at_ms = 0, not_before_ms = 0;
    const msgpack_object *value = wire_map_find(map, "deliveries");
    int rc = value ? wire_get_uint(value, "deliveries", UINT32_MAX, &deliveries, err) : 0;
    value = wire_map_find(map, "failures");
    if (rc == 0 && value) {
        rc = wire_get_uint(value, "failures", UINT32_MAX, &failures, err);
    }
    value = wire_map_find(map, "priority");
    if (rc == 0 && value) {
        rc = wire_get_uint(value, "priority", ZSP_PRIORITY_MAX, &priority, err);
    }
    value = wire_map_find(map, "expires_at_ms");
    if (rc == 0 && value) {
        rc = wire_get_uint(value, "expires_at_ms", INT64_MAX, &expires_at_ms, err);
    }
    value = wire_map_find(map, "not_before_ms");
    if (rc == 0 && value) {
        rc = wire_get_uint(value, "not_before_ms", INT64_MAX, &not_before_ms, err);
    }
    if (rc == 0) {
        run->expires_at_ms = (int64_t)expires_at_ms;
        run->not_before_ms = (int64_t)not_before_ms;
        run->deliveries = (uint32_t)deliveries;
        run->failures = (uint32_t)failures;
        run->priority = (uint8_t)priority;
        rc = get_codec(map, run, err);
    }
    return rc;
}

int wire_run_decode(const msgpack_object *object, struct wire_run *ret, struct zsp_err *err)
{
    int rc = check_array(object, 6, 7, err);
    if (rc != 0) {
        return rc;
    }
    const msgpack_object *items = object->via.array.ptr;
    struct run_front front = {0};
    uint64_t timestamp = 0;
    rc = get_front(items, &front, err);
    if (rc == 0) {
        rc = wire_get_uint(&items[5], "timestamp_ms of a run", INT64_MAX, &timestamp, err);
    }
    if (rc != 0) {
        return rc;
    }
    struct wire_run run = {.topic = front.topic,
                           .partition = front.partition,
                           .first = front.first,
                           .count = front.count,
                           .lease = front.lease,
                           .timestamp_ms = (int64_t)timestamp,
                           .deliveries = DEFAULT_DELIVERIES,
                           .priority = ZSP_PRIORITY};
    if (object->via.array.size == 7 && items[6].type != MSGPACK_OBJECT_NIL) {
        if (items[6].type != MSGPACK_OBJECT_MAP) {
            return zsp_err_set_about(err, ZSP_EBAD_TYPE, "run", "extras of a run must be a map");
        }
        rc = get_extras(&items[6], &run, err);
    }
    if (rc == 0) {
        *ret = run;
    }
    return rc;
}

static void write_front(struct zsp_writer *out, const struct run_front *front)
{
    wire_write_str(out, front->topic);
    wire_write_uint(out, front->partition);
    wire_write_uint(out, front->first);
    wire_write_uint(out, front->count);
    if (front->lease != 0) {
        wire_write_uint(out, front->lease);
    } else {
        wire_write_nil(out);
    }
}

void wire_write_run(struct zsp_writer *out, const struct wire_run *run)
{
    const uint32_t extras =
        (run->deliveries != DEFAULT_DELIVERIES ? 1u : 0u) + (run->failures != 0 ? 1u : 0u) +
        (run->priority != ZSP_PRIORITY ? 1u : 0u) + (run->expires_at_ms != 0 ? 1u : 0u) +
        (run->not_before_ms != 0 ? 1u : 0u) + (run->raw_bytes != 0 ? 2u : 0u) +
        (run->skip != 0 ? 1u : 0u);
    wire_write_array(out, extras > 0 ? 7 : 6);
    write_front(out, &(struct run_front){.topic = run->topic,
                                         .partition = run->partition,
                                         .first = run->first,
                                         .count = run->count,
                                         .lease = run->lease});
    wire_write_int(out, run->timestamp_ms);
    if (extras == 0) {
        return;
    }
    wire_write_map(out, extras);
    if (run->deliveries != DEFAULT_DELIVERIES) {
        wire_write_text_uint(out, "deliveries", run->deliveries);
    }
    if (run->failures != 0) {
        wire_write_text_uint(out, "failures", run->failures);
    }
    if (run->priority != ZSP_PRIORITY) {
        wire_write_text_uint(out, "priority", run->priority);
    }
    if (run->expires_at_ms != 0) {
        wire_write_text_uint(out, "expires_at_ms", (uint64_t)run->expires_at_ms);
    }
    if (run->not_before_ms != 0) {
        wire_write_text_uint(out, "not_before_ms", (uint64_t)run->not_before_ms);
    }
    if (run->raw_bytes != 0) {
        wire_write_text(out, "codec");
        wire_write_text(out, ZSP_CODEC_ZSTD_NAME);
        wire_write_text_uint(out, "raw_size", run->raw_bytes);
    }
    if (run->skip != 0) {
        wire_write_text_uint(out, "skip", run->skip);
    }
}

/* --- Settled runs ------------------------------------------------------------------- */

static const char *const outcome_names[] = {
    [WIRE_ACK] = "ack",       [WIRE_RETRY] = "retry",   [WIRE_RELEASE] = "release",
    [WIRE_REJECT] = "reject", [WIRE_EXTEND] = "extend", [WIRE_STARTED] = "started"};

const char *wire_outcome_name(enum wire_outcome outcome)
{
    return outcome_names[outcome];
}

static int get_outcome(const msgpack_object *object, enum wire_outcome *ret, struct zsp_err *err)
{
    struct zsp_slice name;
    const int rc = wire_get_str(object, "outcome of a run", &name, err);
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < sizeof outcome_names / sizeof outcome_names[0]; i++) {
        if (zsp_slice_equal_str(name, outcome_names[i])) {
            *ret = (enum wire_outcome)i;
            return 0;
        }
    }
    static const char *const wanted = "ack, retry, release, reject, extend or started";
    (void)zsp_err_set(err, ZSP_EBAD_VALUE, "outcome of a run must be %s", wanted);
    zsp_err_detail(err, "outcome", wanted, NULL);
    return ZSP_EBAD_VALUE;
}

struct outcome_args {
    struct wire_uint delay_ms;
    struct wire_uint ms;
    struct zsp_slice reason;
};

static const struct wire_arg retry_args[] = {
    {"delay_ms", WIRE_UINT, offsetof(struct outcome_args, delay_ms), false, 0, ZSP_DELAY_MS_MAX},
    {"reason", WIRE_STR, offsetof(struct outcome_args, reason), false, 0, 0},
};
static const struct wire_arg reject_args[] = {
    {"reason", WIRE_STR, offsetof(struct outcome_args, reason), false, 0, 0},
};
static const struct wire_arg extend_args[] = {
    {"ms", WIRE_UINT, offsetof(struct outcome_args, ms), true, 1, ZSP_LEASE_MS_MAX},
};

/* The argument table of an outcome and its size. */
static const struct wire_arg *outcome_table(enum wire_outcome outcome, size_t *ret_count)
{
    switch (outcome) {
    case WIRE_RETRY:
        *ret_count = sizeof retry_args / sizeof retry_args[0];
        return retry_args;
    case WIRE_REJECT:
        *ret_count = sizeof reject_args / sizeof reject_args[0];
        return reject_args;
    case WIRE_EXTEND:
        *ret_count = sizeof extend_args / sizeof extend_args[0];
        return extend_args;
    case WIRE_ACK:
    case WIRE_RELEASE:
    case WIRE_STARTED:
        break;
    }
    *ret_count = 0;
    return NULL;
}

static int get_outcome_args(const msgpack_object *object, struct wire_srun *run,
                            struct zsp_err *err)
{
    static const msgpack_object nothing = {.type = MSGPACK_OBJECT_MAP};
    size_t count = 0;
    const struct wire_arg *table = outcome_table(run->outcome, &count);
    const bool absent = !object || object->type == MSGPACK_OBJECT_NIL;
    struct outcome_args args = {0};
    const int rc = wire_args(absent ? &nothing : object, table, count, &args, err);
    if (rc != 0) {
        (void)zsp_err_wrap(err, "%s", wire_outcome_name(run->outcome));
        return rc;
    }
    run->has_delay = args.delay_ms.set || args.ms.set;
    run->delay_ms = args.ms.set ? args.ms.value : args.delay_ms.value;
    run->reason = args.reason;
    return 0;
}

int wire_srun_decode(const msgpack_object *object, struct wire_srun *ret, struct zsp_err *err)
{
    int rc = check_array(object, 6, 7, err);
    if (rc != 0) {
        return rc;
    }
    const msgpack_object *items = object->via.array.ptr;
    struct run_front front = {0};
    rc = get_front(items, &front, err);
    if (rc != 0) {
        return rc;
    }
    if (front.lease == 0) {
        (void)zsp_err_set(err, ZSP_EBAD_VALUE, "lease of a run must be given to settle it");
        zsp_err_detail(err, "lease", "a number > 0", NULL);
        return ZSP_EBAD_VALUE;
    }
    struct wire_srun run = {.topic = front.topic,
                            .partition = front.partition,
                            .first = front.first,
                            .count = front.count,
                            .lease = front.lease};
    rc = get_outcome(&items[5], &run.outcome, err);
    if (rc == 0) {
        rc = get_outcome_args(object->via.array.size == 7 ? &items[6] : NULL, &run, err);
    }
    if (rc == 0) {
        *ret = run;
    }
    return rc;
}

void wire_write_srun(struct zsp_writer *out, const struct wire_srun *run)
{
    const uint32_t pairs = (run->has_delay ? 1u : 0u) + (run->reason.data ? 1u : 0u);
    wire_write_array(out, pairs > 0 ? 7 : 6);
    write_front(out, &(struct run_front){.topic = run->topic,
                                         .partition = run->partition,
                                         .first = run->first,
                                         .count = run->count,
                                         .lease = run->lease});
    wire_write_text(out, wire_outcome_name(run->outcome));
    if (pairs == 0) {
        return;
    }
    wire_write_map(out, pairs);
    if (run->has_delay) {
        wire_write_text_uint(out, run->outcome == WIRE_EXTEND ? "ms" : "delay_ms", run->delay_ms);
    }
    if (run->reason.data) {
        wire_write_text_str(out, "reason", run->reason);
    }
}
