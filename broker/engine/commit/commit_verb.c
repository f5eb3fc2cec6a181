/* SPDX-License-Identifier: MPL-2.0
 *
 * The verb COMMIT: everything that is refused before anything happens.
 */
#include <stdio.h>
#include <string.h>

#include "broker/engine/commit/commit_call.h"
#include "broker/engine/publish/producer.h"
#include "broker/engine/publish/publish_check.h"
#include "broker/engine/pull/settle.h"
#include "broker/engine/verb.h"

struct commit_args {
    struct zsp_slice producer, level;
    struct wire_uint epoch, seq;
    const msgpack_object *publish, *settle;
};

#define PLACE(field) offsetof(struct commit_args, field)
static const struct wire_arg commit_table[] = {
    {"producer", WIRE_NAME, PLACE(producer), true, 0, 0},
    {"epoch", WIRE_UINT, PLACE(epoch), true, 1, UINT32_MAX},
    {"seq", WIRE_UINT, PLACE(seq), true, 1, INT64_MAX},
    {"publish", WIRE_ARRAY, PLACE(publish), false, 1, ZSP_COMMIT_PUBLISHES_MAX},
    {"settle", WIRE_MAP, PLACE(settle), false, 0, 0},
    {"level", WIRE_STR, PLACE(level), false, 0, 0},
};
#undef PLACE

/* What a PUBLISH may say, less what the commit says for all of them. */
#define PLACE(field) offsetof(struct body_args, field)
static const struct wire_arg part_table[] = {BODY_ARGS(PLACE)};
#undef PLACE

static void copy_name(char out[ZSP_NAME_MAX + 1], struct zsp_slice name)
{
    memcpy(out, name.data, name.len); /* a legal one */
    out[name.len] = '\0';
}

static int check_args(const struct engine *engine, const struct commit_args *args,
                      const struct request *request, struct zsp_err *err)
{
    const size_t count = args->publish ? args->publish->via.array.size : 0;
    if ((engine->store->ops->capabilities & STORE_ATOMIC) == 0) {
        return zsp_err_set_about(err, ZSP_EUNSUPPORTED, "commit",
                                 "this broker's storage has no atomic commits");
    }
    if (args->level.data && !zsp_slice_equal_str(args->level, "synced")) {
        zsp_err_set(err, ZSP_EBAD_VALUE, "a commit is always \"synced\"");
        zsp_err_detail(err, "level", "synced", NULL);
        return ZSP_EBAD_VALUE;
    }
    if (!args->publish && !args->settle) {
        return zsp_err_set_about(err, ZSP_EBAD_VALUE, "commit",
                                 "a commit needs \"publish\" or \"settle\"");
    }
    if (request->body_count != count) {
        return zsp_err_set_about(err, ZSP_EBAD_REQUEST, "commit",
                                 "a body frame for each publish: %zu publishes, %zu bodies", count,
                                 request->body_count);
    }
    return 0;
}

/* Both what is sent and what is unpacked of it are bounded; a bound is looked at before that. */
static int add_bytes(uint64_t *bytes, uint64_t more, const char *what, struct zsp_err *err)
{
    *bytes += more; /* each is bounded by 32 bits */
    if (*bytes <= ZSP_COMMIT_BYTES_MAX) {
        return 0;
    }
    char got[24];
    char wanted[24];
    (void)snprintf(got, sizeof got, "%llu", (unsigned long long)*bytes);
    (void)snprintf(wanted, sizeof wanted, "%u", ZSP_COMMIT_BYTES_MAX);
    zsp_err_set(err, ZSP_ETOO_LARGE, "bodies of %s bytes%s in one commit, the limit is %s", got,
                what, wanted);
    zsp_err_detail(err, "commit", wanted, got);
    return ZSP_ETOO_LARGE;
}

static int check_bytes(const struct request *request, struct zsp_err *err)
{
    uint64_t bytes = 0;
    int rc = 0;
    for (size_t i = 0; i < request->body_count && rc == 0; i++) {
        rc = add_bytes(&bytes, request->bodies[i]->len, "", err);
    }
    return rc;
}

/* `bytes`: unpacked, of it and those before it. */
static int fill_publish(struct engine *engine, const msgpack_object *object, struct zsp_buf *frame,
                        uint64_t *bytes, struct transaction_publish *ret, struct zsp_err *err)
{
    if (object->type != MSGPACK_OBJECT_MAP) {
        return zsp_err_set_about(err, ZSP_EBAD_TYPE, "publish", "not a map");
    }
    struct body_args args = {0};
    int rc = wire_args(object, part_table, sizeof part_table / sizeof part_table[0], &args, err);
    if (rc == 0) {
        const uint64_t unpacked = args.raw_size.set ? args.raw_size.value : frame->len;
        rc = add_bytes(bytes, unpacked, ", unpacked,", err);
    }
    if (rc == 0) {
        rc = publish_records_read(engine, &args, frame, &ret->records, err);
    }
    if (rc != 0) {
        return rc;
    }
    copy_name(ret->topic, args.topic);
    return 0;
}

static int fill(struct engine *engine, const struct commit_args *args,
                const struct request *request, struct commit_call *ret, struct zsp_err *err)
{
    uint64_t bytes = 0;
    int rc = 0;
    for (uint32_t i = 0; args->publish && i < args->publish->via.array.size && rc == 0; i++) {
        rc = fill_publish(engine, &args->publish->via.array.ptr[i], request->bodies[i], &bytes,
                          &ret->transaction.publishes[i], err);
        if (rc != 0) {
            zsp_err_wrap(err, "publish %u", i);
        }
    }
    if (rc == 0 && args->settle) {
        struct settle_args settle = {0};
        rc = settle_args_read(args->settle, &settle, err);
        if (rc == 0) {
            copy_name(ret->group, settle.group);
            rc = commit_call_take_runs(engine, ret, settle.runs, err);
        }
        if (rc != 0) {
            zsp_err_wrap(err, "settle");
        }
    }
    ret->to = request->to;
    ret->epoch = args->epoch.value;
    ret->sequence = args->seq.value;
    return rc;
}

int verb_commit(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    struct commit_args args = {0};
    struct producer *producer = NULL;
    int rc = wire_args(request->args, commit_table, sizeof commit_table / sizeof commit_table[0],
                       &args, err);
    if (rc == 0) {
        rc = check_args(engine, &args, request, err);
    }
    if (rc == 0) {
        rc = check_bytes(request, err);
    }
    if (rc == 0) {
        rc = producer_check(engine, args.producer, args.epoch.value, &producer, err);
    }
    if (rc == 0) {
        rc = commit_call_check(engine, producer, args.seq.value, &request->to, err);
    }
    if (rc == 0) {
        rc = commit_log_check_room(engine, err);
    }
    if (rc != 0) {
        return rc < 0 ? rc : 0;
    }
    struct commit_call *const call =
        commit_call_new(engine, args.publish ? args.publish->via.array.size : 0);
    if (!call) {
        return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    rc = fill(engine, &args, request, call, err);
    if (rc == 0) {
        rc = commit_call_start(engine, producer, call, err);
    }
    if (rc != 0) {
        commit_call_free(engine, call);
    }
    return rc;
}
