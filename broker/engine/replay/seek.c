/* SPDX-License-Identifier: MPL-2.0
 *
 * SEEK: a group goes to another position. In one durable step, for all
 * partitions asked for: unfinished state is forgotten and its leases are lost,
 * dead messages stay dead unless asked, messages are handed out from the new
 * position on. A position that is a time is asked of the store first.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "broker/engine/group/group.h"
#include "broker/engine/group/mark_watch.h"
#include "broker/engine/order/fair.h"
#include "broker/engine/replay/savepoint.h"
#include "broker/engine/replay/side_replay.h"
#include "broker/engine/topic/expiry.h"
#include "broker/engine/topic/places.h"
#include "broker/engine/topic/position.h"
#include "broker/engine/verb.h"
#include "common/container.h"

/* What the answer tells of a partition, beside its place. */
struct seek_row {
    uint64_t from, redelivered, skipped;
};

struct seek {
    struct engine_op op; /* first: of the record */
    struct reply_to to;
    uint64_t group_id, topic_id;
    bool dead, dry_run;
    bool has_undo; /* put with it */
    struct places places;
    struct seek_row *rows; /* of the places */
    LIST_ENTRY(seek) link;
};

static void destroy_seek(struct seek *seek)
{
    LIST_REMOVE(seek, link);
    places_fini(&seek->places);
    free(seek->rows);
    free(seek);
}

void seek_fini(struct groups *self)
{
    while (!LIST_EMPTY(&self->seeks)) {
        destroy_seek(LIST_FIRST(&self->seeks));
    }
}

static void fail(struct engine *engine, struct seek *seek, const struct zsp_err *error)
{
    reply_error(engine, &seek->to, error);
    destroy_seek(seek);
}

static void answer(struct engine *engine, struct seek *seek)
{
    struct zsp_writer *out = reply_begin(engine, &seek->to);
    wire_write_map(out, seek->dry_run ? 1 : 2);
    if (!seek->dry_run) {
        wire_write_text_bool(out, "undo", seek->has_undo);
    }
    wire_write_text(out, "partitions");
    wire_write_array(out, (uint32_t)seek->places.count);
    for (size_t i = 0; i < seek->places.count; i++) {
        const struct place *place = &seek->places.items[i];
        const struct seek_row *row = &seek->rows[i];
        wire_write_array(out, 5);
        wire_write_uint(out, place->partition_index);
        wire_write_uint(out, row->from);
        wire_write_uint(out, place->offset);
        wire_write_uint(out, row->redelivered);
        wire_write_uint(out, row->skipped);
    }
    reply_end(engine);
    destroy_seek(seek);
}

static void is_durable(struct engine *engine, struct engine_op *op,
                       const struct store_completion *completion)
{
    struct seek *seek = (struct seek *)op;
    if (completion->error.code != 0) {
        fail(engine, seek, &completion->error);
        return;
    }
    answer(engine, seek);
}

/* --- Figures ------------------------------------------------------------------------------------ */

/* Messages with runs on one side of the new position. */
struct side {
    uint64_t unfinished, dead, done, with_runs;
};

static struct side side_of(const struct run_counts *counts)
{
    struct side side = {.dead = counts->of[RUN_DEAD], .done = counts->of[RUN_DONE]};
    for (int state = RUN_NONE + 1; state < RUN_STATES; state++) {
        side.with_runs += counts->of[state];
    }
    side.unfinished = side.with_runs - side.dead - side.done;
    return side;
}

/* Of very many runs only the one side is looked at: what all of them are is known. */
static void count_sides(const struct ledger *ledger, uint64_t to, struct side *ret_below,
                        struct side *ret_above)
{
    const struct run_counts below =
        to > 0 ? runmap_count_in(&ledger->runs, 0, to) : (struct run_counts){0};
    struct run_counts above = {0};
    for (int state = RUN_NONE + 1; state < RUN_STATES; state++) {
        above.of[state] = runmap_count(&ledger->runs, (enum run_state)state) - below.of[state];
    }
    *ret_below = side_of(&below);
    *ret_above = side_of(&above);
}

/* What the group had done and will get again; what it had not done and will not get. */
static struct seek_row count(const struct seek *seek, uint64_t to, const struct ledger *ledger)
{
    struct side below;
    struct side above;
    count_sides(ledger, to, &below, &above);
    /* No run lies across `high`; those at or above it are counted. */
    const bool is_back = ledger->high > to;
    const uint64_t above_in_place = is_back ? above.with_runs - ledger->above : 0;
    const uint64_t below_out_of_place = is_back ? 0 : ledger->above - above.with_runs;
    const uint64_t handed_out = is_back ? ledger->high - to : 0;
    const uint64_t not_handed_out = is_back ? 0 : to - ledger->high;
    return (struct seek_row){
        .from = ledger_committed(ledger),
        .redelivered = handed_out - above_in_place + above.done + (seek->dead ? above.dead : 0),
        .skipped = below.unfinished + not_handed_out - below_out_of_place,
    };
}

/* --- The step ------------------------------------------------------------------------------------- */

/* The group and the binding, unless one of them went while the store was asked. */
static struct binding *binding_of(const struct engine *engine, const struct seek *seek)
{
    const struct group *group = group_by_id(engine->groups, seek->group_id);
    const struct topic *topic = topic_by_id(engine, seek->topic_id);
    struct binding *binding =
        group && topic ? name_index_find(&group->bindings, topic->name) : NULL;
    return binding && binding->topic == topic ? binding : NULL;
}

void group_ledger_moved(struct groups *self, struct ledger *ledger)
{
    if (ledger->rare) {
        ledger->rare->blocked = UINT64_MAX; /* damage is found again when it is met */
    }
    fair_restart(ledger);
    pull_forget_ledger(ledger->group, ledger);
    expiry_moved(self->engine, ledger);
    group_ledger_changed(self, ledger);
}

static int build(struct groups *self, const struct seek *seek, struct binding *binding,
                 const struct savepoint_change *undo)
{
    int rc = savepoint_step(self, undo);
    for (size_t i = 0; i < seek->places.count && rc == 0; i++) {
        const struct place *place = &seek->places.items[i];
        rc = step_reset(&self->step, binding->ledgers[place->partition_index], place->offset,
                        !seek->dead);
    }
    rc = rc == 0 ? step_lose_leases(&self->step, group_first_lease(binding->group)) : rc;
    return rc == 0 ? group_step_image(self, binding->group) : rc;
}

/* The step, with the undo as it was prepared. */
static int put_step(struct engine *engine, struct seek *seek, struct binding *binding,
                    struct savepoint_change *undo, struct zsp_err *err)
{
    struct groups *self = engine->groups;
    struct group *group = binding->group;
    group->epoch++;
    step_begin(&self->step);
    int rc = build(self, seek, binding, undo);
    if (rc < 0) {
        step_undo(&self->step);
        (void)zsp_err_set(err, rc, "%s: %s", group->object, zsp_strerror(rc));
    } else {
        seek->op.done_fn = is_durable;
        rc = step_put(&self->step, engine, STORE_SYNCED_LEVEL, &seek->op, err);
    }
    group->epoch -= rc < 0 ? 1 : 0;
    seek->has_undo = rc == 0 && undo->value;
    savepoint_end(self, undo, rc == 0);
    return rc;
}

/* The ledgers that it moves are those of one binding, side by side. */
static int put_seek(struct engine *engine, struct seek *seek, struct binding *binding,
                    struct zsp_err *err)
{
    struct groups *self = engine->groups;
    struct ledger *const *ledgers = &binding->ledgers[seek->places.items[0].partition_index];
    struct savepoint_change undo;
    int rc = savepoint_begin_undo(self, binding->group, ledgers, seek->places.count, &undo, err);
    if (rc == 0) {
        rc = put_step(engine, seek, binding, &undo, err);
    }
    if (rc == ZSP_ETOO_LARGE) {
        rc = savepoint_begin_no_undo(self, binding->group, &undo, err);
        rc = rc == 0 ? put_step(engine, seek, binding, &undo, err) : rc;
    }
    if (rc < 0) {
        return rc;
    }
    for (size_t i = 0; i < seek->places.count; i++) {
        group_ledger_moved(self, ledgers[i]);
    }
    reply_may_apply(engine, &seek->to);
    return 0;
}

/* All places are known. Errors: nothing has happened */
static int go(struct engine *engine, struct seek *seek, struct zsp_err *err)
{
    struct binding *binding = binding_of(engine, seek);
    if (!binding) {
        return catalog_went_meanwhile(err, "group", "the group or the topic");
    }
    mark_watch_refresh(engine->groups, binding->group);
    for (size_t i = 0; i < seek->places.count; i++) {
        struct place *place = &seek->places.items[i];
        const struct ledger *ledger = binding->ledgers[place->partition_index];
        place->offset = position_clamp(ledger->partition, place->offset);
        seek->rows[i] = count(seek, place->offset, ledger);
    }
    if (!seek->dry_run) {
        return put_seek(engine, seek, binding, err);
    }
    answer(engine, seek);
    return 0;
}

static void found(struct engine *engine, struct places *places)
{
    struct seek *seek = CONTAINER_OF(places, struct seek, places);
    struct zsp_err error = places->error;
    if (error.code != 0 || go(engine, seek, &error) < 0) {
        fail(engine, seek, &error);
    }
}

/* --- The request ------------------------------------------------------------------------------------ */

struct seek_args {
    struct zsp_slice group, topic;
    struct wire_uint partition, dead, dry_run;
    struct wire_position to;
};

#define PLACE(field) offsetof(struct seek_args, field)
static const struct wire_arg seek_table[] = {
    {"group", WIRE_NAME, PLACE(group), true, 0, 0},
    {"topic", WIRE_NAME, PLACE(topic), false, 0, 0},
    {"partition", WIRE_UINT, PLACE(partition), false, 0, ZSP_PARTITIONS_MAX - 1},
    {"to", WIRE_POSITION, PLACE(to), true, 0, 0},
    {"dead", WIRE_BOOL, PLACE(dead), false, 0, 0},
    {"dry_run", WIRE_BOOL, PLACE(dry_run), false, 0, 0},
};
#undef PLACE

/* Find the places, and go there if all are known. */
static int find_places(struct engine *engine, struct seek *seek, const struct binding *binding,
                       const struct seek_args *args, struct zsp_err *err)
{
    const uint32_t first = args->partition.set ? (uint32_t)args->partition.value : 0;
    const uint32_t end = args->partition.set ? first + 1 : binding->topic->partition_count;
    seek->rows = calloc(end - first, sizeof *seek->rows);
    if (!seek->rows) {
        return zsp_err_set(err, ZSP_ENOMEM, "seek: out of memory");
    }
    seek->places.found_fn = found;
    const int rc = places_find(engine, &seek->places, binding->topic, first, end, &args->to, err);
    return rc == 0 && seek->places.open == 0 ? go(engine, seek, err) : rc;
}

static int begin(struct engine *engine, const struct request *request, const struct seek_args *args,
                 const struct binding *binding, struct zsp_err *err)
{
    struct groups *self = engine->groups;
    struct seek *seek = calloc(1, sizeof *seek);
    if (!seek) {
        return zsp_err_set(err, ZSP_ENOMEM, "seek: out of memory");
    }
    seek->to = request->to;
    seek->group_id = binding->group->id;
    seek->topic_id = binding->topic->id;
    seek->dead = args->dead.value != 0;
    seek->dry_run = args->dry_run.value != 0;
    LIST_INSERT_HEAD(&self->seeks, seek, link);
    const int rc = find_places(engine, seek, binding, args, err);
    if (rc < 0) {
        destroy_seek(seek);
    }
    return rc;
}

int verb_seek(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    struct seek_args args = {0};
    struct group *group = NULL;
    struct binding *binding = NULL;
    int rc =
        wire_args(request->args, seek_table, sizeof seek_table / sizeof seek_table[0], &args, err);
    if (rc == 0) {
        rc = group_require(engine, args.group, &group, err);
    }
    if (rc == 0 && group->side) {
        rc = side_replay_refuse(group, "it does not move, make another one", err);
    }
    if (rc == 0) {
        rc = group_find_binding(group, args.topic, &args.partition, &binding, err);
    }
    return rc != 0 ? rc : begin(engine, request, &args, binding, err);
}
