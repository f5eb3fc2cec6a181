/* SPDX-License-Identifier: MPL-2.0
 *
 * The verb PUBLISH: everything that is refused before anything happens, then
 * either straight on, or behind the creation of the topic.
 */
#include <string.h>

#include "broker/engine/commit_call.h"
#include "broker/engine/engine_priv.h"
#include "broker/engine/producer.h"
#include "broker/engine/publish.h"
#include "broker/engine/publish_check.h"
#include "broker/engine/publish_priv.h"
#include "broker/engine/verb.h"
#include "common/limits.h"

struct publish_args {
    struct zsp_slice topic, level, producer, codec;
    struct wire_uint partition, partitions, count, epoch, seq, raw_size;
    struct wire_uint priority, not_before_ms, expires_at_ms;
};

#define PLACE(field) offsetof(struct publish_args, field)
static const struct wire_arg publish_table[] = {
    {"topic", WIRE_NAME, PLACE(topic), true, 0, 0},
    {"partition", WIRE_UINT, PLACE(partition), false, 0, ZSP_PARTITIONS_MAX - 1},
    {"partitions", WIRE_UINT, PLACE(partitions), false, 1, ZSP_PARTITIONS_MAX},
    {"count", WIRE_UINT, PLACE(count), false, 1, UINT32_MAX},
    {"level", WIRE_STR, PLACE(level), false, 0, 0},
    {"producer", WIRE_NAME, PLACE(producer), false, 0, 0},
    {"epoch", WIRE_UINT, PLACE(epoch), false, 1, UINT32_MAX},
    {"seq", WIRE_UINT, PLACE(seq), false, 1, INT64_MAX},
    {"codec", WIRE_STR, PLACE(codec), false, 0, 0},
    {"raw_size", WIRE_UINT, PLACE(raw_size), false, 1, UINT32_MAX},
    {"priority", WIRE_UINT, PLACE(priority), false, 0, ZSP_PRIORITY_MAX},
    {"not_before_ms", WIRE_UINT, PLACE(not_before_ms), false, 0, INT64_MAX},
    {"expires_at_ms", WIRE_UINT, PLACE(expires_at_ms), false, 1, INT64_MAX},
};
#undef PLACE

static int bad_level(struct zsp_err *err)
{
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
    const char *const missing = !args->producer.data   ? "producer"
                                : !args->epoch.set     ? "epoch"
                                : !args->seq.set       ? "seq"
                                : !args->partition.set ? "partition"
                                : !args->count.set     ? "count"
                                                       : NULL;
    if (!missing) {
        return 0;
    }
    zsp_err_set(err, ZSP_EBAD_VALUE, "a sequenced publish needs the argument %s", missing);
    zsp_err_detail(err, missing, NULL, NULL);
    return ZSP_EBAD_VALUE;
}

/* Fill a publish from its arguments. Errors: all definite. */
static int fill(struct engine *engine, const struct publish_args *args,
                const struct request *request, struct publish *ret, struct zsp_err *err)
{
    if (args->level.data && !zsp_slice_equal_str(args->level, "synced") &&
        !zsp_slice_equal_str(args->level, "written")) {
        return bad_level(err);
    }
    int rc = check_sequenced(args, err);
    if (rc != 0) {
        return rc;
    }
    const struct publish_body body = {.frame = request->bodies[0],
                                      .codec = args->codec,
                                      .raw_size = args->raw_size,
                                      .count = args->count};
    rc = publish_check_body(engine, &body, &ret->record_count, err);
    if (rc != 0) {
        return rc;
    }
    struct producer *producer = NULL;
    if (args->producer.data) {
        rc = producer_check(engine, args->producer, args->epoch.value, &producer, err);
        if (rc != 0) {
            return rc;
        }
    }
    const bool is_written = args->level.data && zsp_slice_equal_str(args->level, "written");
    ret->to = request->to;
    ret->frame = zsp_buf_get(request->bodies[0]);
    ret->codec = args->codec.data ? ZSP_CODEC_ZSTD : ZSP_CODEC_NONE;
    ret->raw_bytes = (uint32_t)args->raw_size.value;
    ret->level = is_written ? STORE_WRITTEN : STORE_SYNCED_LEVEL;
    engine->sync_wait_count += is_written ? 0u : 1u;
    ret->place = (struct publish_place){
        .is_given = args->partition.set,
        .index = args->partition.value,
        .partitions = args->partitions.value,
    };
    ret->producer_id = producer ? producer->id : 0;
    ret->epoch = args->epoch.value;
    ret->sequence = args->seq.value;
    ret->timestamp_ms = engine->now.wall_ms;
    ret->priority = args->priority.set ? (uint8_t)args->priority.value : ZSP_PRIORITY;
    ret->not_before_ms = (int64_t)args->not_before_ms.value;
    ret->expires_at_ms = (int64_t)args->expires_at_ms.value;
    return 0;
}

/* The topic is LIVE, or going: append now, or wait for what must come first. */
static int go(struct engine *engine, struct publish *self, struct topic *topic, struct zsp_err *err)
{
    if (topic_must_mark_agenda(topic, publish_is_urgent(self))) {
        return topic_mark_agenda(engine, topic, &self->waiter, err);
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
    reply_error(engine, &self->to, &refusal);
    publish_free(engine, self);
}

/* A publish to a topic that is not there: it waits for its creation. */
static int create_and_wait(struct engine *engine, struct publish *self, struct zsp_slice name,
                           struct zsp_err *err)
{
    if (!engine->options.auto_create_topics) {
        struct topic *none = NULL;
        return topic_require(engine, name, &none, err);
    }
    const uint32_t partition_count = engine->options.default_partitions;
    const int rc = publish_check_place(&self->place, partition_count, "a new topic", err);
    if (rc != 0) {
        return rc;
    }
    const struct topic_settings settings = {0};
    return topic_create(engine, name, partition_count, &settings, &self->waiter, err);
}

/* Append to the topic, when it is there, or wait for it. */
static int find_and_go(struct engine *engine, struct publish *self, struct zsp_slice name,
                       struct zsp_err *err)
{
    struct topic *const topic = topic_by_name(engine, name);
    struct topic *none = NULL;
    if (!topic) {
        return create_and_wait(engine, self, name, err);
    }
    switch (topic->state) {
    case TOPIC_CREATING:
        topic_wait(topic, &self->waiter);
        return 0;
    case TOPIC_LIVE:
        return go(engine, self, topic, err);
    case TOPIC_DELETING:
        break;
    }
    return topic_require(engine, name, &none, err);
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
        reply_error(engine, &self->to, &refusal);
        publish_free(engine, self);
    }
    free(name);
}

int verb_publish(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    struct publish_args args = {0};
    int rc = wire_args(request->args, publish_table, sizeof publish_table / sizeof publish_table[0],
                       &args, err);
    if (rc != 0) {
        return rc;
    }
    struct publish *const self = publish_new(engine);
    if (!self) {
        return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    self->waiter.ready_fn = topic_is_ready;
    rc = fill(engine, &args, request, self, err);
    if (rc == 0) {
        struct commit_call *const before =
            engine->commit_call_first ? commit_call_before(engine, &request->to, args.topic) : NULL;
        rc = before ? wait_behind(before, self, args.topic, err)
                    : find_and_go(engine, self, args.topic, err);
    }
    if (rc != 0) {
        publish_free(engine, self);
    }
    return rc;
}
