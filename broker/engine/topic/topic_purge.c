/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/topic/topic_purge.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "broker/engine/group/group.h"
#include "broker/engine/group/group_hooks.h"
#include "broker/engine/ledger/ledger_compare.h"
#include "broker/engine/replay/side_replay.h"
#include "broker/engine/topic/places.h"
#include "broker/engine/topic/position.h"
#include "broker/engine/topic/retention.h"
#include "broker/engine/topic/topic.h"
#include "broker/engine/verb.h"
#include "common/assert.h"
#include "common/container.h"

/* Bytes of a header that a group's row may take beside its name, and those of all partitions. */
#define ROW_BYTES        16u
#define PARTITIONS_BYTES (64u * ZSP_KIB)

struct purge {
    struct engine_op op; /* first: of the record */
    struct reply_to to;
    uint64_t topic_id;
    bool dry_run;
    struct places places;
    uint64_t *before; /* purged offsets as they were, while the record is put */
    LIST_ENTRY(purge) link;
};

static void destroy(struct purge *self)
{
    LIST_REMOVE(self, link);
    places_fini(&self->places);
    free(self->before);
    free(self);
}

void purge_fini(struct engine *engine)
{
    while (!LIST_EMPTY(&engine->purge_list)) {
        destroy(LIST_FIRST(&engine->purge_list));
    }
}

static void fail(struct engine *engine, struct purge *self, const struct zsp_err *error)
{
    reply_error(engine, &self->to, error);
    destroy(self);
}

/* --- The answer ---------------------------------------------------------------------------------- */

/* What a group would lose, or loses, with these messages. */
static uint64_t lost_by(const struct group *group, const struct topic *topic,
                        const struct places *places)
{
    const struct binding *binding = name_index_find(&group->bindings, topic->name);
    uint64_t lost = 0;
    for (size_t i = 0; binding && binding->topic == topic && i < places->count; i++) {
        const struct place *place = &places->items[i];
        const struct ledger *ledger = binding->ledgers[place->partition_index];
        const uint64_t first =
            ledger->partition->island_offset; /* what is redriven there goes, too */
        const uint64_t wanted_end = side_replay_end(ledger);
        const uint64_t end = place->offset < wanted_end ? place->offset : wanted_end;
        lost += first < end ? ledger_count_unfinished(ledger, first, end) : 0;
    }
    return lost;
}

/* The groups that lose something, as many as a header has room for; returns how many. */
static uint32_t write_groups(struct zsp_writer *out, const struct engine *engine,
                             const struct topic *topic, const struct places *places)
{
    const struct name_index *groups = &engine->catalog.groups;
    uint32_t count = 0;
    for (size_t i = 0; i < groups->count; i++) {
        const struct group *group = groups->slots[i].value;
        const uint64_t lost = lost_by(group, topic, places);
        if (lost == 0 ||
            out->len + group->name_len + ROW_BYTES + PARTITIONS_BYTES > ZSP_HEADER_MAX) {
            continue;
        }
        wire_write_array(out, 2);
        wire_write_str(out, group_name(group));
        wire_write_uint(out, lost);
        count++;
    }
    return count;
}

static void answer(struct engine *engine, const struct purge *self, const struct topic *topic)
{
    struct zsp_writer groups = {0};
    const uint32_t group_count = write_groups(&groups, engine, topic, &self->places);
    uint64_t messages = 0;
    struct zsp_writer *out = reply_begin(engine, &self->to);
    wire_write_map(out, 3);
    wire_write_text(out, "partitions");
    wire_write_array(out, (uint32_t)self->places.count);
    for (size_t i = 0; i < self->places.count; i++) {
        const struct place *place = &self->places.items[i];
        const uint64_t start = topic->partitions[place->partition_index]->start_offset;
        wire_write_array(out, 3);
        wire_write_uint(out, place->partition_index);
        wire_write_uint(out, start);
        wire_write_uint(out, place->offset);
        messages += place->offset - start;
    }
    wire_write_text_uint(out, "messages", messages);
    wire_write_text(out, "groups");
    wire_write_array(out, group_count);
    zsp_write_bytes(out, zsp_writer_slice(&groups));
    out->failed = out->failed || groups.failed;
    reply_end(engine);
    zsp_writer_fini(&groups);
}

/* --- The purge ------------------------------------------------------------------------------------- */

/* Places as they are possible now: the start may have moved. */
static void clamp(const struct purge *self, const struct topic *topic)
{
    for (size_t i = 0; i < self->places.count; i++) {
        struct place *place = &self->places.items[i];
        place->offset = position_clamp(topic->partitions[place->partition_index], place->offset);
    }
}

static void move_start(struct engine *engine, struct partition *partition, uint64_t to)
{
    const struct store_retain what = {.before_offset = to, .seal_bytes = 1};
    retention_moved(engine, partition, to, to);
    retention_ask(engine, partition, &what);
}

void purge_resume(struct engine *engine)
{
    for (size_t i = 0; i < engine->catalog.topics.count; i++) {
        struct topic *const topic = engine->catalog.topics.slots[i].value;
        for (uint32_t j = 0; j < topic->partition_count; j++) {
            struct partition *const partition = topic->partitions[j];
            struct store_part_info info;
            engine->store->ops->part_info(engine->store, partition->part, &info);
            if (info.island_offset < partition->purged_offset) {
                move_start(engine, partition, partition->purged_offset);
            }
        }
    }
}

static void is_durable(struct engine *engine, struct engine_op *op,
                       const struct store_completion *completion)
{
    struct purge *self = (struct purge *)op;
    struct topic *topic = topic_by_id(engine, self->topic_id);
    struct zsp_err error = completion->error;
    if (error.code == 0 && (!topic || topic->state != TOPIC_LIVE)) {
        (void)catalog_went_meanwhile(&error, "topic", "the topic");
    }
    if (error.code != 0) {
        fail(engine, self, &error);
        return;
    }
    zsp_assert(topic);
    clamp(self, topic);
    answer(engine, self, topic);
    for (size_t i = 0; i < self->places.count; i++) {
        const struct place *place = &self->places.items[i];
        move_start(engine, topic->partitions[place->partition_index], place->offset);
    }
    destroy(self);
}

/* Raise what the image will say. */
static int put(struct engine *engine, struct purge *self, struct topic *topic, struct zsp_err *err)
{
    self->before = calloc(self->places.count, sizeof *self->before);
    if (!self->before) {
        return zsp_err_set(err, ZSP_ENOMEM, "purge: out of memory");
    }
    for (size_t i = 0; i < self->places.count; i++) {
        const struct place *place = &self->places.items[i];
        uint64_t *purged = &topic->partitions[place->partition_index]->purged_offset;
        self->before[i] = *purged;
        *purged = *purged > place->offset ? *purged : place->offset;
    }
    self->op.done_fn = is_durable;
    const int rc = topic_put_purge(engine, topic, &self->op, err);
    for (size_t i = 0; i < self->places.count && rc < 0; i++) {
        topic->partitions[self->places.items[i].partition_index]->purged_offset = self->before[i];
    }
    return rc;
}

/* All places are known. */
static int go(struct engine *engine, struct purge *self, struct zsp_err *err)
{
    struct topic *topic = topic_by_id(engine, self->topic_id);
    if (!topic || topic->state != TOPIC_LIVE) {
        return catalog_went_meanwhile(err, "topic", "the topic");
    }
    clamp(self, topic);
    if (self->dry_run) {
        answer(engine, self, topic);
        destroy(self);
        return 0;
    }
    const int rc = put(engine, self, topic, err);
    if (rc == 0) {
        reply_may_apply(engine, &self->to);
    }
    return rc;
}

static void found(struct engine *engine, struct places *places)
{
    struct purge *self = CONTAINER_OF(places, struct purge, places);
    struct zsp_err error = places->error;
    if (error.code != 0 || go(engine, self, &error) < 0) {
        fail(engine, self, &error);
    }
}

/* --- The request ------------------------------------------------------------------------------------ */

struct purge_args {
    struct zsp_slice topic;
    struct wire_uint partition, dry_run;
    struct wire_position before;
};

#define PLACE(field) offsetof(struct purge_args, field)
static const struct wire_arg purge_table[] = {
    {"topic", WIRE_NAME, PLACE(topic), true, 0, 0},
    {"partition", WIRE_UINT, PLACE(partition), false, 0, ZSP_PARTITIONS_MAX - 1},
    {"before", WIRE_POSITION, PLACE(before), true, 0, 0},
    {"dry_run", WIRE_BOOL, PLACE(dry_run), false, 0, 0},
};
#undef PLACE

static int begin(struct engine *engine, const struct request *request,
                 const struct purge_args *args, struct topic *topic, struct zsp_err *err)
{
    const uint32_t first = args->partition.set ? (uint32_t)args->partition.value : 0;
    const uint32_t end = args->partition.set ? first + 1 : topic->partition_count;
    struct purge *self = calloc(1, sizeof *self);
    if (!self) {
        return zsp_err_set(err, ZSP_ENOMEM, "purge: out of memory");
    }
    self->to = request->to;
    self->topic_id = topic->id;
    self->dry_run = args->dry_run.value != 0;
    self->places.found_fn = found;
    LIST_INSERT_HEAD(&engine->purge_list, self, link);
    int rc = places_find(engine, &self->places, topic, first, end, &args->before, err);
    if (rc == 0 && self->places.open == 0) {
        rc = go(engine, self, err);
    }
    if (rc < 0) {
        destroy(self);
    }
    return rc;
}

int verb_topic_purge(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    struct purge_args args = {0};
    struct topic *topic = NULL;
    struct partition *partition = NULL;
    int rc = wire_args(request->args, purge_table, sizeof purge_table / sizeof purge_table[0],
                       &args, err);
    if (rc == 0) {
        rc = topic_require(engine, args.topic, &topic, err);
    }
    if (rc == 0 && args.partition.set) {
        rc = topic_partition(topic, args.partition.value, &partition, err);
    }
    return rc != 0 ? rc : begin(engine, request, &args, topic, err);
}
