/* SPDX-License-Identifier: MPL-2.0
 *
 * TOPIC.CREATE, SET, INFO, LIST and DELETE.
 */
#include "broker/engine/topic/topic_verbs.h"

#include <stdio.h>
#include <string.h>

#include "broker/engine/dead/dead_keep.h"
#include "broker/engine/engine_priv.h"
#include "broker/engine/group/group_hooks.h"
#include "broker/engine/list.h"
#include "broker/engine/topic/compaction.h"
#include "broker/engine/topic/topic.h"
#include "broker/engine/topic/topic_grow.h"
#include "broker/engine/topic/topic_settings.h"
#include "broker/engine/verb.h"
#include "common/assert.h"

/* A verb that waits for durable state. */
struct topic_call {
    union {
        struct topic_waiter waiter; /* CREATE, DELETE; SET of partitions */
        struct engine_op op;        /* SET of settings */
    } as;
    struct reply_to to;
    uint64_t topic_id;
    bool existed;          /* CREATE: somebody else's creation was under way */
    bool awaits_end;       /* CREATE, DELETE: a deletion is under way; DELETE, SET: a growth */
    struct zsp_slice name; /* CREATE: = name_bytes */
    uint8_t name_bytes[ZSP_NAME_MAX];
    uint32_t partition_count;       /* CREATE, SET */
    bool force;                     /* SET */
    struct topic_settings settings; /* CREATE */
    uint64_t messages, bytes;       /* DELETE: what goes */
};

void topic_verbs_init(struct engine *engine)
{
    pool_init(&engine->topic_calls, sizeof(struct topic_call));
}

static struct topic_call *call_new(struct engine *engine, const struct request *request,
                                   struct zsp_err *err)
{
    struct topic_call *const call = pool_get(&engine->topic_calls);
    if (call) {
        call->to = request->to;
    } else {
        zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    return call;
}

struct topic_args {
    struct zsp_slice topic;
    struct wire_uint partitions, dry_run, force;
    const msgpack_object *settings;
};
#define PLACE(field) offsetof(struct topic_args, field)
#define COUNT(table) (sizeof(table) / sizeof(table)[0])

/* --- TOPIC.CREATE --------------------------------------------------------------------- */

static const struct wire_arg create_table[] = {
    {"topic", WIRE_NAME, PLACE(topic), true, 0, 0},
    {"partitions", WIRE_UINT, PLACE(partitions), false, 1, ZSP_PARTITIONS_MAX},
    {"settings", WIRE_MAP, PLACE(settings), false, 0, 0},
};

static void exists(const struct topic *topic, struct zsp_err *err)
{
    zsp_err_set(err, ZSP_EEXISTS, "%s: it exists already", topic->object);
    zsp_err_detail(err, topic->object, NULL, NULL);
}

static int create_topic(struct engine *engine, struct topic_call *call, struct zsp_err *err);

/* The deletion that stood in the way is decided. */
static void go_on_creating(struct engine *engine, struct topic_call *call)
{
    struct zsp_err error = {0};
    call->awaits_end = false;
    if (create_topic(engine, call, &error) != 0) {
        reply_error(engine, &call->to, &error);
        pool_put(&engine->topic_calls, call);
    }
}

static void is_created(struct engine *engine, struct topic_waiter *waiter, struct topic *topic,
                       const struct zsp_err *error)
{
    struct topic_call *const call = (struct topic_call *)waiter;
    if (call->awaits_end) {
        go_on_creating(engine, call);
        return;
    }
    if (error) {
        reply_error(engine, &call->to, error);
    } else if (call->existed) {
        struct zsp_err refusal;
        exists(topic, &refusal);
        reply_error(engine, &call->to, &refusal);
    } else {
        struct zsp_writer *const out = reply_begin(engine, &call->to);
        wire_write_map(out, 1);
        wire_write_text_uint(out, "id", topic->id);
        reply_end(engine);
    }
    pool_put(&engine->topic_calls, call);
}

/* Whether a topic exists is known when its creation, or deletion, is durable: it is waited for. */
static int create_topic(struct engine *engine, struct topic_call *call, struct zsp_err *err)
{
    struct topic *const there = topic_by_name(engine, call->name);
    if (there && there->state != TOPIC_LIVE) {
        call->existed = there->state == TOPIC_CREATING;
        call->awaits_end = there->state == TOPIC_DELETING;
        topic_wait(there, &call->as.waiter);
        return 0;
    }
    const int rc = topic_create(engine, call->name, call->partition_count, &call->settings,
                                &call->as.waiter, err);
    if (rc == 0) {
        reply_may_apply(engine, &call->to);
    }
    return rc;
}

int verb_topic_create(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    struct topic_args args = {0};
    struct topic_settings settings = {0};
    int rc = wire_args(request->args, create_table, COUNT(create_table), &args, err);
    if (rc == 0 && args.settings) {
        rc = topic_settings_apply(args.settings, &settings, err);
    }
    if (rc != 0) {
        return rc;
    }
    struct topic_call *const call = call_new(engine, request, err);
    if (!call) {
        return ZSP_ENOMEM;
    }
    call->as.waiter.ready_fn = is_created;
    memcpy(call->name_bytes, args.topic.data, args.topic.len);
    call->name = (struct zsp_slice){call->name_bytes, args.topic.len};
    call->settings = settings;
    call->partition_count =
        args.partitions.set ? (uint32_t)args.partitions.value : engine->options.default_partitions;
    rc = create_topic(engine, call, err);
    if (rc != 0) {
        pool_put(&engine->topic_calls, call);
    }
    return rc;
}

/* --- TOPIC.SET -------------------------------------------------------------------------- */

static const struct wire_arg set_table[] = {
    {"topic", WIRE_NAME, PLACE(topic), true, 0, 0},
    {"settings", WIRE_MAP, PLACE(settings), false, 0, 0},
    {"partitions", WIRE_UINT, PLACE(partitions), false, 1, ZSP_PARTITIONS_MAX},
    {"force", WIRE_BOOL, PLACE(force), false, 0, 0},
    {"dry_run", WIRE_BOOL, PLACE(dry_run), false, 0, 0},
};

static void answer_set(struct engine *engine, const struct reply_to *to,
                       const struct topic_settings *settings, uint32_t partition_count)
{
    struct zsp_writer *const out = reply_begin(engine, to);
    wire_write_map(out, 2);
    wire_write_text(out, "settings");
    topic_settings_write(out, settings);
    wire_write_text_uint(out, "partitions", partition_count);
    reply_end(engine);
}

static void is_set(struct engine *engine, struct engine_op *op,
                   const struct store_completion *completion)
{
    struct topic_call *const call = (struct topic_call *)op;
    const struct topic *const topic = topic_by_id(engine, call->topic_id);
    if (completion->error.code != 0) {
        reply_error(engine, &call->to, &completion->error);
    } else if (topic) {
        answer_set(engine, &call->to, topic_settings_of(topic), topic->partition_count);
    } else {
        reply_ok(engine, &call->to);
    }
    pool_put(&engine->topic_calls, call);
}

static int set_settings(struct engine *engine, const struct request *request,
                        const struct topic_args *args, struct topic *topic, struct zsp_err *err)
{
    struct topic_settings settings = *topic_settings_of(topic);
    int rc = topic_settings_apply(args->settings, &settings, err);
    if (rc != 0) {
        return rc;
    }
    if (args->dry_run.value) {
        answer_set(engine, &request->to, &settings, topic->partition_count);
        return 0;
    }
    struct topic_call *const call = call_new(engine, request, err);
    if (!call) {
        return ZSP_ENOMEM;
    }
    call->topic_id = topic->id;
    call->as.op.done_fn = is_set;
    rc = topic_set(engine, topic, &settings, &call->as.op, err);
    if (rc != 0) {
        pool_put(&engine->topic_calls, call);
    } else {
        reply_may_apply(engine, &request->to);
    }
    return rc;
}

/* May the topic have so many? */
static int check_growth(const struct engine *engine, const struct topic *topic, uint32_t count,
                        bool force, struct zsp_err *err)
{
    char wanted[24];
    char got[24];
    (void)snprintf(wanted, sizeof wanted, "at least %u", topic->partition_count);
    (void)snprintf(got, sizeof got, "%u", count);
    if (count < topic->partition_count) {
        zsp_err_set(err, ZSP_EBAD_VALUE,
                    "%s: it has %u partitions, and never gets fewer: %u are asked for",
                    topic->object, topic->partition_count, count);
        zsp_err_detail(err, topic->object, wanted, got);
        return ZSP_EBAD_VALUE;
    }
    const char *const group = group_that_orders(engine, topic);
    if (count > topic->partition_count && group && !force) {
        zsp_err_set(err, ZSP_EWOULD_REORDER,
                    "%s: %s keeps an order, and keys would go to other partitions: drain it first, "
                    "or force it",
                    topic->object, group);
        zsp_err_detail(err, topic->object, NULL, NULL);
        return ZSP_EWOULD_REORDER;
    }
    return 0;
}

static int grow(struct engine *engine, struct topic_call *call, struct topic *topic,
                struct zsp_err *err);

/* The growth that was under way is over: now this one. */
static void go_on_growing(struct engine *engine, struct topic_call *call, struct topic *topic)
{
    struct zsp_err error = {0};
    call->awaits_end = false;
    if (grow(engine, call, topic, &error) != 0) {
        reply_error(engine, &call->to, &error);
        pool_put(&engine->topic_calls, call);
    }
}

static void is_grown(struct engine *engine, struct topic_waiter *waiter, struct topic *topic,
                     const struct zsp_err *error)
{
    struct topic_call *const call = (struct topic_call *)waiter;
    if (call->awaits_end && !error) {
        go_on_growing(engine, call, topic);
        return;
    }
    if (error) {
        reply_error(engine, &call->to, error);
    } else {
        answer_set(engine, &call->to, topic_settings_of(topic), topic->partition_count);
    }
    pool_put(&engine->topic_calls, call);
}

/* Takes over the call, unless it fails. */
static int grow(struct engine *engine, struct topic_call *call, struct topic *topic,
                struct zsp_err *err)
{
    if (topic->growth) {
        call->awaits_end = true;
        topic_grow_wait(topic, &call->as.waiter);
        return 0;
    }
    int rc = check_growth(engine, topic, call->partition_count, call->force, err);
    if (rc == 0 && call->partition_count == topic->partition_count) {
        is_grown(engine, &call->as.waiter, topic, NULL);
        return 0;
    }
    if (rc == 0) {
        rc = topic_grow(engine, topic, call->partition_count, &call->as.waiter, err);
    }
    if (rc == 0) {
        reply_may_apply(engine, &call->to);
    }
    return rc;
}

static int set_partitions(struct engine *engine, const struct request *request,
                          const struct topic_args *args, struct topic *topic, struct zsp_err *err)
{
    const uint32_t count = (uint32_t)args->partitions.value;
    const bool force = args->force.value != 0;
    if (args->settings) {
        return zsp_err_set_about(
            err, ZSP_EBAD_VALUE, "partitions",
            "settings or partitions, one at a time: each is durable by itself");
    }
    int rc = check_growth(engine, topic, count, force, err);
    if (rc != 0) {
        return rc;
    }
    if (args->dry_run.value) {
        answer_set(engine, &request->to, topic_settings_of(topic), count);
        return 0;
    }
    struct topic_call *const call = call_new(engine, request, err);
    if (!call) {
        return ZSP_ENOMEM;
    }
    call->as.waiter.ready_fn = is_grown;
    call->partition_count = count;
    call->force = force;
    rc = grow(engine, call, topic, err);
    if (rc != 0) {
        pool_put(&engine->topic_calls, call);
    }
    return rc;
}

int verb_topic_set(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    struct topic_args args = {0};
    struct topic *topic = NULL;
    int rc = wire_args(request->args, set_table, COUNT(set_table), &args, err);
    if (rc == 0 && !args.settings && !args.partitions.set) {
        rc = zsp_err_set_about(err, ZSP_EBAD_VALUE, "settings",
                               "what is to be set: settings, or partitions");
    }
    if (rc == 0 && args.force.value && !args.partitions.set) {
        rc = zsp_err_set_about(err, ZSP_EBAD_VALUE, "force", "only partitions can be forced");
    }
    if (rc == 0) {
        rc = topic_require(engine, args.topic, &topic, err);
    }
    if (rc != 0) {
        return rc;
    }
    return args.partitions.set ? set_partitions(engine, request, &args, topic, err)
                               : set_settings(engine, request, &args, topic, err);
}

/* --- TOPIC.INFO, TOPIC.LIST ---------------------------------------------------------------- */

static const struct wire_arg info_table[] = {
    {"topic", WIRE_NAME, PLACE(topic), true, 0, 0},
};

int verb_topic_info(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    struct topic_args args = {0};
    struct topic *topic = NULL;
    int rc = wire_args(request->args, info_table, COUNT(info_table), &args, err);
    if (rc == 0) {
        rc = topic_require(engine, args.topic, &topic, err);
    }
    if (rc != 0) {
        return rc;
    }
    struct zsp_writer *const out = reply_begin(engine, &request->to);
    wire_write_map(out,
                   5u + (compaction_is_on(topic) ? 1u : 0u) + (topic->island_count > 0 ? 1u : 0u));
    wire_write_text_str(out, "topic", topic->name);
    wire_write_text_uint(out, "id", topic->id);
    wire_write_text(out, "created_ms");
    wire_write_int(out, topic->created_ms);
    wire_write_text(out, "settings");
    topic_settings_write(out, topic_settings_of(topic));
    wire_write_text(out, "partitions");
    wire_write_array(out, topic->partition_count);
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        const struct partition *const partition = topic->partitions[i];
        struct store_part_info info;
        engine->store->ops->part_info(engine->store, partition->part, &info);
        wire_write_array(out, 4);
        wire_write_uint(out, i);
        wire_write_uint(out, partition->start_offset);
        wire_write_uint(out, partition->synced_offset);
        wire_write_uint(out, info.bytes);
    }
    if (compaction_is_on(topic)) {
        wire_write_text(out, "compaction");
        compaction_write_info(out, engine, topic);
    }
    if (topic->island_count > 0) {
        wire_write_text(out, "islands");
        dead_keep_write_info(out, engine, topic);
    }
    reply_end(engine);
    return 0;
}

static bool is_live(const void *object)
{
    const struct topic *const topic = object;
    return topic->state == TOPIC_LIVE;
}

int verb_topic_list(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    return list_answer(engine, request, &engine->catalog.topics, is_live, err);
}

/* --- TOPIC.DELETE ----------------------------------------------------------------------------- */

static const struct wire_arg delete_table[] = {
    {"topic", WIRE_NAME, PLACE(topic), true, 0, 0},
    {"dry_run", WIRE_BOOL, PLACE(dry_run), false, 0, 0},
};

/* What a deletion takes away. */
static void measure(const struct engine *engine, const struct topic *topic, uint64_t *ret_messages,
                    uint64_t *ret_bytes)
{
    *ret_messages = *ret_bytes = 0;
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        const struct partition *const partition = topic->partitions[i];
        struct store_part_info info;
        engine->store->ops->part_info(engine->store, partition->part, &info);
        *ret_messages += partition->synced_offset - partition->start_offset;
        *ret_bytes += info.bytes;
    }
}

static void answer_deletion(struct engine *engine, const struct reply_to *to, uint64_t messages,
                            uint64_t bytes)
{
    struct zsp_writer *const out = reply_begin(engine, to);
    wire_write_map(out, 2);
    wire_write_text_uint(out, "messages", messages);
    wire_write_text_uint(out, "bytes", bytes);
    reply_end(engine);
}

static int delete_topic(struct engine *engine, struct topic_call *call, struct topic *topic,
                        struct zsp_err *err);

/* Somebody else's deletion was refused, or a growth is over: try. */
static void go_on_deleting(struct engine *engine, struct topic_call *call, struct topic *topic)
{
    struct zsp_err error = {0};
    call->awaits_end = false;
    if (delete_topic(engine, call, topic, &error) != 0) {
        reply_error(engine, &call->to, &error);
        pool_put(&engine->topic_calls, call);
    }
}

static void is_deleted(struct engine *engine, struct topic_waiter *waiter, struct topic *topic,
                       const struct zsp_err *error)
{
    struct topic_call *const call = (struct topic_call *)waiter;
    if (call->awaits_end && !error) {
        go_on_deleting(engine, call, topic);
        return;
    }
    if (error) {
        reply_error(engine, &call->to, error);
    } else {
        answer_deletion(engine, &call->to, call->messages, call->bytes);
    }
    pool_put(&engine->topic_calls, call);
}

/* While another deletion is under way it is waited for: until it is durable, the topic may come
 * back. And so is a growth, whose logs would be left behind. */
static int delete_topic(struct engine *engine, struct topic_call *call, struct topic *topic,
                        struct zsp_err *err)
{
    if (topic->state == TOPIC_DELETING) {
        call->awaits_end = true;
        topic_wait(topic, &call->as.waiter);
        return 0;
    }
    if (topic->growth) {
        call->awaits_end = true;
        topic_grow_wait(topic, &call->as.waiter);
        return 0;
    }
    measure(engine, topic, &call->messages, &call->bytes);
    const int rc = topic_delete(engine, topic, &call->as.waiter, err);
    if (rc == 0) {
        reply_may_apply(engine, &call->to);
    }
    return rc;
}

int verb_topic_delete(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    struct topic_args args = {0};
    struct topic *topic = NULL;
    int rc = wire_args(request->args, delete_table, COUNT(delete_table), &args, err);
    if (rc != 0) {
        return rc;
    }
    topic = topic_by_name(engine, args.topic);
    if (!topic || topic->state != TOPIC_DELETING || args.dry_run.value) {
        rc = topic_require(engine, args.topic, &topic, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (args.dry_run.value) {
        uint64_t messages = 0;
        uint64_t bytes = 0;
        measure(engine, topic, &messages, &bytes);
        answer_deletion(engine, &request->to, messages, bytes);
        return 0;
    }
    struct topic_call *const call = call_new(engine, request, err);
    if (!call) {
        return ZSP_ENOMEM;
    }
    call->as.waiter.ready_fn = is_deleted;
    rc = delete_topic(engine, call, topic, err);
    if (rc != 0) {
        pool_put(&engine->topic_calls, call);
    }
    return rc;
}
