/* SPDX-License-Identifier: MPL-2.0 */
#include <string.h>

#include "broker/engine/dead/dead_verbs.h"
#include "common/name.h"

int dead_read_filter(const struct engine *engine, const struct dead_args *args,
                     struct group **ret_group, struct dead_filter *ret, struct zsp_err *err)
{
    const int64_t now_ms = engine->now.wall_ms;
    if (args->partition.set && !args->topic.data) {
        (void)zsp_err_set(err, ZSP_EBAD_VALUE, "partition: of which topic?");
        zsp_err_detail(err, "partition", "a topic with it", NULL);
        return ZSP_EBAD_VALUE;
    }
    *ret = (struct dead_filter){
        .topic = args->topic,
        .has_partition = args->partition.set,
        .partition = (uint32_t)args->partition.value,
        .reason = args->reason,
    };
    if (args->newer_than_ms.set) {
        const int64_t from_ms = now_ms - (int64_t)args->newer_than_ms.value;
        ret->died_from_ms = from_ms > 0 ? from_ms : 0;
    }
    if (args->older_than_ms.set) {
        const int64_t end_ms = now_ms - (int64_t)args->older_than_ms.value + 1;
        ret->died_end_ms = end_ms > 1 ? end_ms : 1;
    }
    const int rc = group_require(engine, args->group, ret_group, err);
    struct binding *binding = NULL;
    return rc == 0 && args->topic.data
               ? group_find_binding(*ret_group, args->topic, &args->partition, &binding, err)
               : rc;
}

/* The topic and the partition that an address or a run begins with. */
static int read_partition(const msgpack_object *items, const char *what,
                          struct zsp_slice *ret_topic, uint64_t *ret_partition, struct zsp_err *err)
{
    int rc = wire_get_str(&items[0], what, ret_topic, err);
    if (rc == 0) {
        rc = zsp_name_check("topic", *ret_topic, err);
    }
    return rc == 0 ? wire_get_uint(&items[1], what, ZSP_PARTITIONS_MAX - 1, ret_partition, err)
                   : rc;
}

int dead_read_place(const struct dead_args *args, struct dead_place *ret, struct zsp_err *err)
{
    const msgpack_object *const items = args->from->via.array.ptr;
    struct zsp_slice topic = {0};
    uint64_t partition = 0;
    *ret = (struct dead_place){0};
    int rc = read_partition(items, "from", &topic, &partition, err);
    if (rc == 0) {
        rc = wire_get_uint(&items[2], "from", UINT64_MAX, &ret->offset, err);
    }
    if (rc == 0) {
        memcpy(ret->topic, topic.data, topic.len);
        ret->partition = (uint32_t)partition;
    }
    return rc;
}

static int read_run(const struct group *group, const msgpack_object *object,
                    struct ledger **ret_ledger, struct run_span *ret, struct zsp_err *err)
{
    struct zsp_slice topic = {0};
    uint64_t partition = 0, count = 0;
    if (object->type != MSGPACK_OBJECT_ARRAY || object->via.array.size != 4) {
        return zsp_err_set_about(err, ZSP_EBAD_TYPE, "runs",
                                 "runs: each is [topic, partition, first, count]");
    }
    const msgpack_object *const items = object->via.array.ptr;
    int rc = read_partition(items, "runs", &topic, &partition, err);
    if (rc == 0) {
        rc = wire_get_uint(&items[2], "first", UINT64_MAX, &ret->first, err);
    }
    if (rc == 0) {
        rc = wire_get_uint(&items[3], "count", UINT64_MAX - ret->first, &count, err);
    }
    if (rc == 0 && count == 0) {
        rc = zsp_err_set_about(err, ZSP_EBAD_VALUE, "runs", "runs: a run of no messages");
    }
    if (rc < 0) {
        return rc;
    }
    ret->end = ret->first + count;
    const struct wire_uint index = {.set = true, .value = partition};
    struct binding *binding = NULL;
    rc = group_find_binding(group, topic, &index, &binding, err);
    if (rc == 0) {
        *ret_ledger = binding->ledgers[partition];
    }
    return rc;
}

int dead_read_runs(const struct group *group, const struct dead_args *args,
                   int (*fn)(void *arg, struct ledger *ledger, const struct run_span *span),
                   void *arg, struct zsp_err *err)
{
    int rc = 0;
    for (uint32_t i = 0; i < args->runs->via.array.size && rc == 0; i++) {
        struct ledger *ledger = NULL;
        struct run_span span = {0};
        rc = read_run(group, &args->runs->via.array.ptr[i], &ledger, &span, err);
        rc = rc == 0 ? dead_visit(ledger, span.first, span.end, fn, arg, err) : rc;
    }
    return rc;
}

void dead_write_next(struct zsp_writer *out, const struct dead_place *place)
{
    wire_write_text(out, "next");
    wire_write_array(out, 3);
    wire_write_text(out, place->topic);
    wire_write_uint(out, place->partition);
    wire_write_uint(out, place->offset);
}
