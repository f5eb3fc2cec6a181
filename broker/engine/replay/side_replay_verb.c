/* SPDX-License-Identifier: MPL-2.0
 *
 * GROUP.REPLAY: both ends of the range are found, of which those by time or by id are asked of the
 * store; then the group is made as others are, by group_join().
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "broker/engine/replay/savepoint.h"
#include "broker/engine/replay/side_replay.h"
#include "broker/engine/topic/places.h"
#include "broker/engine/topic/position.h"
#include "broker/engine/verb.h"
#include "common/assert.h"
#include "common/container.h"
#include "common/name.h"

#define EXPIRES_MS_MIN 1000u

struct side_args {
    struct zsp_slice group, name, topic, from_savepoint, to_savepoint;
    struct wire_position from, to;
    struct wire_uint partition, expires_ms, dry_run;
    const msgpack_object *settings;
};

struct side_call {
    struct reply_to to;
    uint64_t group_id, topic_id; /* of the group that it is made after */
    uint64_t expires_ms;
    bool dry_run;
    size_t name_len;
    char name[ZSP_NAME_MAX]; /* none: it gets one */
    struct group_settings settings;
    struct places from, until;
    bool to_latest; /* which is looked at last: nothing that was found lies behind it */
    uint64_t *lost; /* of the places of `from` at first: gone from where it was to begin */
    uint32_t first; /* partition of the first of them */
    struct zsp_err error;
    LIST_ENTRY(side_call) link;
};

static void destroy_call(struct side_call *self)
{
    LIST_REMOVE(self, link);
    places_fini(&self->from);
    places_fini(&self->until);
    setting_texts_drop(&self->settings.texts);
    free(self->lost);
    free(self);
}

void side_calls_fini(struct groups *groups)
{
    while (!LIST_EMPTY(&groups->side_calls)) {
        destroy_call(LIST_FIRST(&groups->side_calls));
    }
}

/* --- The range ---------------------------------------------------------------------------------- */

static const struct place *place_in(const struct places *places, uint32_t partition)
{
    for (size_t i = 0; i < places->count; i++) {
        if (places->items[i].partition_index == partition) {
            return &places->items[i];
        }
    }
    return NULL;
}

/* One partition of the range. Errors: ZSP_EBAD_VALUE */
static int add_part(const struct side_call *self, const struct partition *partition, uint64_t from,
                    uint64_t until, struct side_replay *made, struct zsp_err *err)
{
    struct side_part *const part = &made->parts[partition->index];
    part->first = position_clamp(partition, from);
    part->end = self->to_latest ? partition->synced_offset : position_clamp(partition, until);
    part->lost = self->lost[partition->index - self->first];
    if (part->first <= part->end) {
        return 0;
    }
    char wanted[64];
    char got[32];
    (void)snprintf(wanted, sizeof wanted, "at most %" PRIu64 ", where it ends", part->end);
    (void)snprintf(got, sizeof got, "%" PRIu64, part->first);
    (void)zsp_err_set(err, ZSP_EBAD_VALUE,
                      "%s: partition %" PRIu32 ": the range begins at %" PRIu64
                      ", behind its end %" PRIu64,
                      partition->topic->object, partition->index, part->first, part->end);
    zsp_err_detail(err, "from", wanted, got);
    return ZSP_EBAD_VALUE;
}

/* The partitions that both ends name. */
static int make_range(const struct side_call *self, const struct group *of, struct topic *topic,
                      struct side_replay **ret, struct zsp_err *err)
{
    struct side_replay *made = side_replay_new(group_name(of), topic->id, topic->partition_count);
    bool any = false;
    int rc = made ? 0 : zsp_err_set(err, ZSP_ENOMEM, "replay: out of memory");
    for (size_t i = 0; i < self->from.count && rc == 0; i++) {
        const struct place *const from = &self->from.items[i];
        const struct place *const until = place_in(&self->until, from->partition_index);
        if (until) {
            any = true;
            rc = add_part(self, topic->partitions[from->partition_index], from->offset,
                          until->offset, made, err);
        }
    }
    if (rc == 0 && !any) {
        rc = zsp_err_set(err, ZSP_EBAD_VALUE, "%s: the range begins and ends in two partitions",
                         topic->object);
        zsp_err_detail(err, "to", "a position in the partition of `from`", NULL);
    }
    if (rc < 0) {
        side_replay_destroy(&made);
        return rc;
    }
    zsp_assert(made);
    made->expires_ms = self->expires_ms;
    *ret = made;
    return 0;
}

/* --- The group ---------------------------------------------------------------------------------- */

/* NAME.replay-1, or the first number that nobody has. Errors: ZSP_EBAD_VALUE */
static int choose_name(const struct engine *engine, struct side_call *self, const struct group *of,
                       struct zsp_err *err)
{
    const uint64_t id = engine->catalog.next_id[CATALOG_GROUP_ID];
    const struct name_index *const groups = &engine->catalog.groups;
    for (uint32_t i = 0; self->name_len == 0 && i <= groups->count; i++) {
        char name[ZSP_NAME_MAX + 32];
        const int len = snprintf(name, sizeof name, "%.*s.replay-%" PRIu64, (int)of->name_len,
                                 (const char *)group_name(of).data, id + i);
        if (len > (int)ZSP_NAME_MAX) {
            (void)zsp_err_set(err, ZSP_EBAD_VALUE, "%s: its name is too long to make one of it",
                              of->object);
            zsp_err_detail(err, "name", "a name for the replay", NULL);
            return ZSP_EBAD_VALUE;
        }
        if (!name_index_find(groups, zsp_slice_str(name))) {
            self->name_len = (size_t)len;
            memcpy(self->name, name, self->name_len);
        }
    }
    return 0;
}

/* Make it. The answer comes with its record. `side` is taken. Errors: nothing has happened */
static int make_group(struct engine *engine, struct side_call *self, const struct group *of,
                      const struct topic *topic, struct side_replay **side, struct zsp_err *err)
{
    const struct group_plan plan = {
        .name = {(const uint8_t *)self->name, self->name_len},
        .mode = of->mode,
        .settings = self->settings,
    };
    struct group *group = NULL;
    int rc = group_new(engine, &plan, &group, err);
    if (rc == ZSP_EEXISTS) {
        zsp_err_detail(err, "name", "a name that no group has", NULL);
    }
    if (rc < 0) {
        return rc;
    }
    side_replay_join(engine, group, *side);
    *side = NULL;
    rc = group_join(engine, group, &topic->name, 1, &self->to, NULL, err);
    if (rc < 0) {
        group_destroy(engine, group);
    }
    return rc;
}

/* Both ends are known. Errors: nothing has happened */
static int go(struct engine *engine, struct side_call *self, struct zsp_err *err)
{
    const struct group *const of = group_by_id(engine->groups, self->group_id);
    struct topic *const topic = topic_by_id(engine, self->topic_id);
    struct side_replay *side = NULL;
    if (!of || !topic || topic->state != TOPIC_LIVE) {
        return catalog_went_meanwhile(err, "group", "the group or the topic");
    }
    int rc = make_range(self, of, topic, &side, err);
    if (rc == 0 && self->dry_run) {
        side_replay_answer(engine, side, &self->to, (struct zsp_slice){0});
    } else if (rc == 0) {
        rc = choose_name(engine, self, of, err);
        rc = rc == 0 ? make_group(engine, self, of, topic, &side, err) : rc;
    }
    side_replay_destroy(&side);
    return rc;
}

static void go_or_fail(struct engine *engine, struct side_call *self)
{
    struct zsp_err error = self->error;
    error = error.code == 0 ? self->from.error : error;
    error = error.code == 0 ? self->until.error : error;
    if (error.code != 0 || go(engine, self, &error) < 0) {
        reply_error(engine, &self->to, &error);
    }
    destroy_call(self);
}

static void found_from(struct engine *engine, struct places *places)
{
    struct side_call *const self = CONTAINER_OF(places, struct side_call, from);
    if (self->until.open == 0) {
        go_or_fail(engine, self);
    }
}

static void found_until(struct engine *engine, struct places *places)
{
    struct side_call *const self = CONTAINER_OF(places, struct side_call, until);
    if (self->from.open == 0) {
        go_or_fail(engine, self);
    }
}

/* --- The request -------------------------------------------------------------------------------- */

#define PLACE(field) offsetof(struct side_args, field)
static const struct wire_arg side_table[] = {
    {"group", WIRE_NAME, PLACE(group), true, 0, 0},
    {"name", WIRE_NAME, PLACE(name), false, 0, 0},
    {"topic", WIRE_NAME, PLACE(topic), false, 0, 0},
    {"partition", WIRE_UINT, PLACE(partition), false, 0, ZSP_PARTITIONS_MAX - 1},
    {"from", WIRE_POSITION, PLACE(from), false, 0, 0},
    {"to", WIRE_POSITION, PLACE(to), false, 0, 0},
    {"from_savepoint", WIRE_NAME, PLACE(from_savepoint), false, 0, 0},
    {"to_savepoint", WIRE_NAME, PLACE(to_savepoint), false, 0, 0},
    {"settings", WIRE_MAP, PLACE(settings), false, 0, 0},
    {"expires_ms", WIRE_UINT, PLACE(expires_ms), false, EXPIRES_MS_MIN, ZSP_REPLAY_EXPIRES_MS_MAX},
    {"dry_run", WIRE_BOOL, PLACE(dry_run), false, 0, 0},
};
#undef PLACE

static int check_args(const struct side_args *args, struct zsp_err *err)
{
    const bool has_from = args->from.kind != WIRE_POSITION_NONE;
    if (has_from == (args->from_savepoint.data != NULL)) {
        (void)zsp_err_set(err, ZSP_EBAD_VALUE, "a replay wants `from` or `from_savepoint`");
        zsp_err_detail(err, "from", "a position, or from_savepoint", NULL);
        return ZSP_EBAD_VALUE;
    }
    if (args->to.kind != WIRE_POSITION_NONE && args->to_savepoint.data) {
        (void)zsp_err_set(err, ZSP_EBAD_VALUE, "a replay wants one of `to` and `to_savepoint`");
        zsp_err_detail(err, "to", "a position, or to_savepoint", NULL);
        return ZSP_EBAD_VALUE;
    }
    return 0;
}

/* Up to where all was done in a partition when the savepoint was made; a partition that came later was
 * at its beginning. */
static int saved_place(struct engine *engine, const struct savepoint *savepoint,
                       const struct partition *partition, uint64_t *ret, struct zsp_err *err)
{
    struct zsp_reader in = savepoint_ledgers(savepoint);
    struct saved_ledger saved;
    *ret = 0;
    while (savepoint_next_ledger(&in, &saved)) {
        if (saved.topic_id == partition->topic->id && saved.partition == partition->index) {
            struct ledger made;
            uint64_t gone = 0;
            const int rc = savepoint_load(engine->groups, savepoint, &saved, 0, &made, &gone, err);
            *ret = rc == 0 ? ledger_committed(&made) : 0;
            ledger_fini(&made);
            return rc;
        }
    }
    return 0;
}

static int find_savepoint(struct engine *engine, struct places *places, const struct group *group,
                          const struct topic *topic, struct zsp_slice name, struct zsp_err *err)
{
    const struct savepoint *const savepoint = savepoint_find(group, name);
    if (!savepoint) {
        (void)zsp_err_set(err, ZSP_ENOT_FOUND, "%s has no savepoint %.*s", group->object,
                          (int)name.len, (const char *)name.data);
        zsp_err_detail(err, group->object, NULL, NULL);
        return ZSP_ENOT_FOUND;
    }
    for (size_t i = 0; i < places->count; i++) {
        struct place *const place = &places->items[i];
        const int rc = saved_place(engine, savepoint, topic->partitions[place->partition_index],
                                   &place->offset, err);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

/* One end of the range, in partitions [self->first, end). */
static int find_places(struct engine *engine, struct side_call *self, struct places *places,
                       const struct binding *binding, uint32_t end,
                       const struct wire_position *position, struct zsp_slice savepoint)
{
    static const struct wire_position latest = {.kind = WIRE_POSITION_LATEST};
    struct topic *const topic = binding->topic;
    const bool has_position = position->kind != WIRE_POSITION_NONE;
    int rc = places_find(engine, places, topic, self->first, end, has_position ? position : &latest,
                         &self->error);
    if (rc == 0 && savepoint.data) {
        rc = find_savepoint(engine, places, binding->group, topic, savepoint, &self->error);
    }
    return rc;
}

/* What of the range is gone already. Only a savepoint may name it. */
static void count_lost(struct side_call *self, const struct topic *topic)
{
    for (size_t i = 0; i < self->from.count; i++) {
        const struct place *const from = &self->from.items[i];
        const struct place *const until = place_in(&self->until, from->partition_index);
        const uint64_t start = topic->partitions[from->partition_index]->start_offset;
        const uint64_t end = until && until->offset < start ? until->offset : start;
        self->lost[from->partition_index - self->first] =
            from->offset < end ? end - from->offset : 0;
    }
}

/* They are those of the group, but for what the request names. */
static int plan_settings(struct side_call *self, const struct group *group,
                         const struct side_args *args, struct zsp_err *err)
{
    self->settings = *group_settings_of(group);
    setting_texts_hold(&self->settings.texts);
    const int rc = args->settings ? group_settings_apply(args->settings, &self->settings, err) : 0;
    return rc == 0 ? group_settings_fit(&self->settings, group->mode, err) : rc;
}

/* A number that was named and is gone already. Errors: ZSP_EOUT_OF_RANGE */
static int check_is_kept(const struct topic *topic, uint32_t first, uint32_t end,
                         const struct wire_position *from, struct zsp_err *err)
{
    for (uint32_t i = first; from->kind == WIRE_POSITION_OFFSET && i < end; i++) {
        const uint64_t start = topic->partitions[i]->start_offset;
        char wanted[64];
        char got[32];
        if (from->value < start) {
            (void)snprintf(wanted, sizeof wanted, "at least %" PRIu64, start);
            (void)snprintf(got, sizeof got, "%" PRIu64, from->value);
            (void)zsp_err_set(err, ZSP_EOUT_OF_RANGE,
                              "%s: partition %" PRIu32 ": messages %" PRIu64 "..%" PRIu64
                              " of the range are gone, the first that is kept is %" PRIu64,
                              topic->object, i, from->value, start - 1, start);
            zsp_err_detail(err, topic->object, wanted, got);
            return ZSP_EOUT_OF_RANGE;
        }
    }
    return 0;
}

static void begin(struct engine *engine, struct side_call *self, const struct binding *binding,
                  const struct side_args *args)
{
    const uint32_t count = binding->topic->partition_count;
    const uint32_t end = args->partition.set ? self->first + 1 : count;
    int rc = check_is_kept(binding->topic, self->first, end, &args->from, &self->error);
    if (rc == 0) {
        rc =
            find_places(engine, self, &self->from, binding, end, &args->from, args->from_savepoint);
    }
    if (rc == 0) {
        rc = find_places(engine, self, &self->until, binding, end, &args->to, args->to_savepoint);
    }
    if (rc == 0 && args->from_savepoint.data) {
        count_lost(self, binding->topic);
    }
    if (self->from.open == 0 && self->until.open == 0) {
        go_or_fail(engine, self);
    }
}

static struct side_call *new_call(struct groups *groups, const struct request *request,
                                  const struct side_args *args)
{
    struct side_call *const self = calloc(1, sizeof *self);
    if (!self) {
        return NULL;
    }
    self->lost = calloc(ZSP_PARTITIONS_MAX, sizeof *self->lost);
    if (!self->lost) {
        free(self);
        return NULL;
    }
    self->to = request->to;
    self->dry_run = args->dry_run.value != 0;
    self->expires_ms = args->expires_ms.set ? args->expires_ms.value : ZSP_REPLAY_EXPIRES_MS;
    self->first = args->partition.set ? (uint32_t)args->partition.value : 0;
    self->to_latest = !args->to_savepoint.data && (args->to.kind == WIRE_POSITION_NONE ||
                                                   args->to.kind == WIRE_POSITION_LATEST);
    self->from.found_fn = found_from;
    self->until.found_fn = found_until;
    self->name_len = args->name.len;
    if (args->name.len > 0) {
        memcpy(self->name, args->name.data, args->name.len);
    }
    LIST_INSERT_HEAD(&groups->side_calls, self, link);
    return self;
}

int verb_group_replay(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    struct side_args args = {0};
    struct group *group = NULL;
    struct binding *binding = NULL;
    int rc =
        wire_args(request->args, side_table, sizeof side_table / sizeof side_table[0], &args, err);
    if (rc == 0) {
        rc = check_args(&args, err);
    }
    if (rc == 0) {
        rc = group_require(engine, args.group, &group, err);
    }
    if (rc == 0) {
        rc = group_find_binding(group, args.topic, &args.partition, &binding, err);
    }
    if (rc < 0) {
        return rc;
    }
    struct side_call *const self = new_call(engine->groups, request, &args);
    if (!self) {
        return zsp_err_set(err, ZSP_ENOMEM, "replay: out of memory");
    }
    zsp_assert(group && binding);
    self->group_id = group->id;
    self->topic_id = binding->topic->id;
    rc = plan_settings(self, group, &args, err);
    if (rc < 0) {
        destroy_call(self);
        return rc;
    }
    begin(engine, self, binding, &args);
    return 0;
}
