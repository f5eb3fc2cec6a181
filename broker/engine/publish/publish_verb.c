/* SPDX-License-Identifier: MPL-2.0
 *
 * The verb PUBLISH: everything that is refused before anything happens, then
 * either straight on, or behind the creation of the topic.
 */
#include <string.h>

#include "broker/engine/commit/commit_call.h"
#include "broker/engine/engine_priv.h"
#include "broker/engine/publish/producer.h"
#include "broker/engine/publish/publish.h"
#include "broker/engine/publish/publish_check.h"
#include "broker/engine/publish/publish_many.h"
#include "broker/engine/publish/publish_priv.h"
#include "broker/engine/verb.h"

#define PLACE(field)      offsetof(struct publish_args, field)
#define BODY_PLACE(field) offsetof(struct publish_args, body.field)
static const struct wire_arg publish_table[] = {
    BODY_ARGS(BODY_PLACE),
    {"level", WIRE_STR, PLACE(level), false, 0, 0},
    {"producer", WIRE_NAME, PLACE(producer), false, 0, 0},
    {"epoch", WIRE_UINT, PLACE(epoch), false, 1, UINT32_MAX},
    {"seq", WIRE_UINT, PLACE(seq), false, 1, INT64_MAX},
};
#undef BODY_PLACE
#undef PLACE

int publish_read_level(struct zsp_slice text, enum store_level *ret, struct zsp_err *err)
{
    *ret = text.data && zsp_slice_equal_str(text, "written") ? STORE_WRITTEN : STORE_SYNCED_LEVEL;
    if (!text.data || *ret == STORE_WRITTEN || zsp_slice_equal_str(text, "synced")) {
        return 0;
    }
    zsp_err_set(err, ZSP_EBAD_VALUE, "level is neither \"synced\" nor \"written\"");
    zsp_err_detail(err, "level", "synced | written", NULL);
    return ZSP_EBAD_VALUE;
}

/* The arguments of a sequenced publish come together. */
static int check_sequenced(const struct publish_args *args, struct zsp_err *err)
{
    if (!args->producer.data && !args->epoch.set && !args->seq.set) {
        return 0;
    }
    const char *const missing = !args->producer.data        ? "producer"
                                : !args->epoch.set          ? "epoch"
                                : !args->seq.set            ? "seq"
                                : !args->body.partition.set ? "partition"
                                : !args->body.count.set     ? "count"
                                                            : NULL;
    if (!missing) {
        return 0;
    }
    zsp_err_set(err, ZSP_EBAD_VALUE, "a sequenced publish needs the argument %s", missing);
    zsp_err_detail(err, missing, NULL, NULL);
    return ZSP_EBAD_VALUE;
}

/* Fill a publish from its arguments. Errors: all definite. */
static int fill(struct engine *engine, const struct publish_origin *origin,
                const struct publish_args *args, struct zsp_buf *frame, struct publish *ret,
                struct zsp_err *err)
{
    int rc = check_sequenced(args, err);
    if (rc == 0) {
        rc = publish_records_read(engine, &args->body, frame, &ret->records, err);
    }
    if (rc != 0) {
        return rc;
    }
    ret->to = origin->to;
    ret->many = origin->many;
    ret->row = origin->row;
    ret->level = origin->level;
    engine->sync_wait_count += ret->level == STORE_SYNCED_LEVEL ? 1u : 0u;
    ret->producer_id = origin->producer ? origin->producer->id : 0;
    ret->epoch = args->epoch.value;
    ret->sequence = args->seq.value;
    ret->timestamp_ms = engine->now.wall_ms;
    return 0;
}

/* The topic is LIVE, or going: append now, or wait for what must come first. */
static int go(struct engine *engine, struct publish *self, struct topic *topic, struct zsp_err *err)
{
    const unsigned marks = publish_records_marks(&self->records);
    if (topic_must_mark(topic, marks)) {
        return topic_mark(engine, topic, marks, &self->waiter, err);
    }
    return publish_begin(engine, self, topic, err);
}

/* The topic that the publish waited for is there, or will not be. */
static void topic_is_ready(struct engine *engine, struct topic_waiter *waiter, struct topic *topic,
                           const struct zsp_err *error)
{
    struct publish *const self = (struct publish *)waiter;
    struct zsp_err refusal = {0};
    if (error) {
        refusal = *error;
    } else if (go(engine, self, topic, &refusal) == 0) {
        return;
    }
    publish_refuse(engine, self, &refusal);
    publish_free(engine, self);
}

/* Append to the topic, when it is there, or wait for it. */
static int find_and_go(struct engine *engine, struct publish *self, struct zsp_slice name,
                       struct zsp_err *err)
{
    struct topic *const topic = topic_find(engine, name);
    return topic ? go(engine, self, topic, err)
                 : publish_await_topic(engine, name, &self->records.place, &self->waiter, err);
}

/* A COMMIT of the same session for the same topic came before it, and its place in the log is not
 * taken yet. */
static int wait_behind(struct commit_call *before, struct publish *self, struct zsp_slice name,
                       struct zsp_err *err)
{
    self->behind_topic = malloc(name.len + 1);
    if (!self->behind_topic) {
        return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    memcpy(self->behind_topic, name.data, name.len);
    self->behind_topic[name.len] = '\0';
    commit_call_follow(before, self);
    return 0;
}

void publish_go_on(struct engine *engine, struct publish *self)
{
    struct zsp_err refusal = {0};
    char *const name = self->behind_topic;
    self->behind_topic = NULL;
    self->behind_next = NULL;
    if (find_and_go(engine, self, zsp_slice_str(name), &refusal) != 0) {
        publish_refuse(engine, self, &refusal);
        publish_free(engine, self);
    }
    free(name);
}

int publish_take(struct engine *engine, const struct publish_origin *origin,
                 const struct publish_args *args, struct zsp_buf *frame, struct zsp_err *err)
{
    struct publish *const self = publish_new(engine);
    if (!self) {
        return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    self->waiter.ready_fn = topic_is_ready;
    int rc = fill(engine, origin, args, frame, self, err);
    if (rc == 0) {
        struct commit_call *const before =
            commit_call_before(engine, &origin->to, args->body.topic);
        rc = before ? wait_behind(before, self, args->body.topic, err)
                    : find_and_go(engine, self, args->body.topic, err);
    }
    if (rc != 0) {
        publish_free(engine, self);
    }
    return rc;
}

int verb_publish(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    if (wire_map_find(request->args, "batches")) {
        return publish_many_begin(engine, request, err);
    }
    struct publish_args args = {0};
    struct publish_origin origin = {.to = request->to};
    int rc = wire_args(request->args, publish_table, sizeof publish_table / sizeof publish_table[0],
                       &args, err);
    if (rc == 0) {
        rc = publish_read_level(args.level, &origin.level, err);
    }
    if (rc == 0) {
        rc = check_sequenced(&args, err);
    }
    if (rc == 0 && args.producer.data) {
        rc = producer_check(engine, args.producer, args.epoch.value, &origin.producer, err);
    }
    return rc != 0 ? rc : publish_take(engine, &origin, &args, request->bodies[0], err);
}
