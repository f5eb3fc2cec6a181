/* SPDX-License-Identifier: MPL-2.0
 *
 * Topics come into a group. The happy path:
 *   - each topic that exists: where does the group's start lie in each partition? A time is
 *     asked of the store, everything else is known at once
 *   - bindings and ledgers are made, the ledgers stand at their starts
 *   - one record: the group's image with the new names, the heads of those ledgers
 *   - when it is synced the bindings are joined: pulls are served from them
 * A topic that is not there, or is created or re-created later, begins at the
 * earliest offset: no head says otherwise. Topics that come or go while the store
 * is asked are looked at again before anything is made. A pattern brings the topics that match
 * it: those that are there when it is asked for begin at the group's start; they are found in turns
 * (join_find.c), before the rest.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "broker/engine/group/join_priv.h"
#include "broker/engine/group/pattern.h"
#include "broker/engine/publish/dedup.h"
#include "broker/engine/replay/side_replay.h"
#include "broker/engine/topic/id_place.h"
#include "broker/engine/topic/position.h"
#include "common/assert.h"
#include "common/name.h"

static void destroy_join(struct engine *engine, struct join *join)
{
    LIST_REMOVE(join, link);
    join_find_fini(engine, join);
    free(join->made);
    free(join->names);
    free(join->name_bytes);
    free(join->finds);
    free(join);
}

void group_joins_fini(struct groups *self)
{
    while (!LIST_EMPTY(&self->joins)) {
        destroy_join(self->engine, LIST_FIRST(&self->joins));
    }
}

void group_join_forget(struct groups *self, const struct group *group)
{
    struct join *join = NULL;
    LIST_FOREACH (join, &self->joins, link) {
        if (join->group == group) {
            join->group = NULL;
        }
    }
}

/* --- The outcome ------------------------------------------------------------------------------ */

static int was_deleted(struct zsp_err *err)
{
    return catalog_went_meanwhile(err, "group", "the group");
}

static void release(struct engine *engine, struct join *join);

static void join_failed(struct engine *engine, struct join *join, const struct zsp_err *error)
{
    struct group *group = join->group;
    join_find_undo(engine, join);
    if (join->has_to) {
        reply_error(engine, &join->to, error);
    }
    if (group && group->state == GROUP_CREATING) {
        group_created(engine, group, error);
        pull_end_all(engine, group, error);
        group_destroy(engine, group);
    } else if (group) {
        pull_join_failed(engine, group, join, error);
        group_wake(engine->groups, group); /* others may have waited for the same names */
    }
    release(engine, join);
    destroy_join(engine, join);
}

static void join_done(struct engine *engine, struct engine_op *op,
                      const struct store_completion *completion)
{
    struct join *join = (struct join *)op;
    struct group *group = join->group;
    if (completion->error.code != 0 || !group) {
        struct zsp_err error = completion->error;
        if (error.code == 0) {
            (void)was_deleted(&error);
        }
        join_failed(engine, join, &error);
        return;
    }
    group->state = GROUP_LIVE;
    group_created(engine, group, NULL);
    for (size_t i = 0; i < join->name_count; i++) {
        struct binding *binding = name_index_find(&group->bindings, join->names[i]);
        struct pattern *pattern = pattern_find(group, join->names[i]);
        if (pattern) {
            pattern_joined(pattern);
        } else if (binding) { /* else a pattern had found it, and its topic went */
            binding->joined = true;
        }
    }
    if (join->has_to && group->side) {
        side_replay_answer(engine, group->side, &join->to, group_name(group));
    } else if (join->has_to) {
        reply_ok(engine, &join->to);
    }
    group_wake(engine->groups, group);
    destroy_join(engine, join);
}

/* --- The record ------------------------------------------------------------------------------- */

/* The places of a topic's partitions, in their order; NULL = it was not there. Partitions that came
 * meanwhile have none. */
static const struct join_find *finds_of(struct join *join, uint64_t topic_id, size_t *ret_count)
{
    for (size_t i = 0; i < join->find_count; i++) {
        const size_t at = (join->next_find + i) % join->find_count;
        if (join->finds[at].topic_id == topic_id) {
            join->next_find = at + 1;
            while (join->next_find < join->find_count &&
                   join->finds[join->next_find].topic_id == topic_id) {
                join->next_find++;
            }
            *ret_count = join->next_find - at;
            return &join->finds[at];
        }
    }
    *ret_count = 0;
    return NULL;
}

/* Put the new binding's ledgers where the group starts. */
static int place_ledgers(struct groups *self, struct join *join, struct binding *binding)
{
    size_t count;
    const struct join_find *finds = finds_of(join, binding->topic->id, &count);
    for (size_t i = 0; i < count && finds[i].partition_index == i;
         i++) { /* it may be there twice */
        struct ledger *ledger = binding->ledgers[i];
        if (finds[i].offset <= ledger->high) {
            continue;
        }
        int rc = step_move(&self->step, ledger, finds[i].offset);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

static int add_binding(struct engine *engine, struct join *join, struct zsp_slice name)
{
    struct groups *self = engine->groups;
    struct binding *binding = name_index_find(&join->group->bindings, name);
    if (binding) {
        pattern_set_found(binding, false);
        return place_ledgers(self, join, binding);
    }
    int rc = binding_new(self, join->group, name, &binding);
    if (rc < 0) {
        return rc;
    }
    struct topic *topic = topic_find(engine, name);
    if (topic) {
        rc = binding_attach(self, binding, topic);
    }
    return rc == 0 && topic ? place_ledgers(self, join, binding) : rc;
}

static bool has_name(const struct group *group, struct zsp_slice name)
{
    const struct binding *const binding = name_index_find(&group->bindings, name);
    return binding || pattern_find(group, name);
}

/* What the join makes of a name: nothing when the group has it already, or another join brought it; that is
 * durable before ours is. */
static enum join_made made_of(const struct join *join, size_t index)
{
    const struct binding *const binding =
        name_index_find(&join->group->bindings, join->names[index]);
    if (zsp_name_is_pattern(join->names[index])) {
        return join->made[index];
    }
    if (!binding) {
        return JOIN_MADE;
    }
    return binding->is_found && !binding->joined ? JOIN_NAMED : JOIN_NOTHING;
}

/* Names of the join that the group did not have. */
static int add_bindings(struct engine *engine, struct join *join)
{
    for (size_t i = 0; i < join->name_count; i++) {
        join->made[i] = (uint8_t)made_of(join, i);
        if (join->made[i] == JOIN_NOTHING || zsp_name_is_pattern(join->names[i])) {
            continue;
        }
        const int rc = add_binding(engine, join, join->names[i]);
        if (rc < 0) {
            return rc;
        }
    }
    pattern_names_changed(join->group);
    /* Others may have brought names since it was asked for. */
    return pattern_name_count(join->group) > ZSP_GROUP_TOPICS_MAX ? ZSP_ELIMIT_REACHED : 0;
}

/* The patterns themselves go with the join, see join_find_undo(). */
static void drop_bindings(struct engine *engine, struct join *join)
{
    for (size_t i = 0; i < join->name_count; i++) {
        struct binding *binding = name_index_find(&join->group->bindings, join->names[i]);
        if (!binding || zsp_name_is_pattern(join->names[i])) {
            continue;
        }
        if (join->made[i] == JOIN_NAMED) {
            pattern_set_found(binding, true);
        } else if (join->made[i] == JOIN_MADE) {
            binding_destroy(engine->groups, binding);
        }
        join->made[i] = JOIN_NOTHING;
    }
    pattern_names_changed(join->group);
}

/* Names and places, in the open step. */
static int build(struct engine *engine, struct join *join, const struct store_entry *counters)
{
    struct groups *self = engine->groups;
    int rc = add_bindings(engine, join);
    if (rc == 0) {
        rc = join_find_place(self, join);
    }
    if (rc == 0 && join->group->state == GROUP_CREATING) {
        rc = step_entry(&self->step, counters);
    }
    if (rc == 0) {
        join_find_tell(join);
        rc = group_step_image(self, join->group);
    }
    return rc;
}

static int put_join(struct engine *engine, struct join *join, struct zsp_err *err)
{
    struct groups *self = engine->groups;
    const struct store_entry counters = catalog_counters_entry(&engine->catalog);
    step_begin(&self->step);
    int rc = build(engine, join, &counters);
    if (rc < 0) {
        step_undo(&self->step);
        (void)zsp_err_set(err, rc, "%s: %s", join->group->object, zsp_strerror(rc));
    } else {
        join->op.done_fn = join_done;
        rc = step_put(&self->step, engine, STORE_SYNCED_LEVEL, &join->op, err);
    }
    if (rc < 0) {
        drop_bindings(engine, join);
        return rc;
    }
    if (join->has_to) {
        reply_may_apply(engine, &join->to);
    }
    join_find_fini(engine, join);
    release(engine, join);
    return 0;
}

/* --- The question ------------------------------------------------------------------------------ */

/* Returns whether any of them has the message. */
static bool settle_some(struct join_find *finds, size_t count)
{
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        const bool is_there = finds[i].ask_id && finds[i].offset != ID_NOT_FOUND;
        any = any || is_there;
        finds[i].offset = finds[i].ask_id && !is_there ? 0 : finds[i].offset;
    }
    return any;
}

/* All places are known. A partition that does not have the message that the group starts at begins at its
 * earliest; a new group wants one that does. Errors: ZSP_ENOT_FOUND */
static int settle_ids(struct join *join, struct zsp_err *err)
{
    const struct group *const group = join->group;
    bool any = settle_some(join->finds, join->find_count);
    for (struct join_places *at = join->found; at; at = at->next) {
        any = settle_some(at->items, at->count) || any;
    }
    if (any || !group->start_id || group->state == GROUP_LIVE) {
        return 0;
    }
    (void)zsp_err_set(err, ZSP_ENOT_FOUND, "%s: no message of its topics has the id %.*s",
                      group->object, (int)group->start_id->len,
                      (const char *)group->start_id->data);
    zsp_err_detail(err, "start", "the id of a message that is kept", NULL);
    return ZSP_ENOT_FOUND;
}

static int go_on(struct engine *engine, struct join *join, struct zsp_err *err)
{
    const int rc = settle_ids(join, err);
    return rc == 0 ? put_join(engine, join, err) : rc;
}

void join_turned(struct engine *engine, struct join *join, const struct zsp_err *error)
{
    struct zsp_err failure = join->error.code != 0 ? join->error : *error;
    join->error = failure;
    if (join->is_finding || join->open_finds > 0) {
        return;
    }
    if (!join->group) {
        (void)was_deleted(&failure);
    }
    if (failure.code != 0 || go_on(engine, join, &failure) < 0) {
        join_failed(engine, join, &failure);
    }
}

static void one_found(struct engine *engine, struct join_find *find, uint64_t offset,
                      const struct zsp_err *error)
{
    struct join *join = find->join;
    find->offset = offset;
    if (error && error->code == ZSP_ENOT_FOUND) {
        find->topic_id = 0; /* deleted meanwhile; ids begin with 1 */
    } else if (error && join->error.code == 0) {
        join->error = *error;
    }
    join->open_finds--;
    join_turned(engine, join, &join->error);
}

static void found(struct engine *engine, struct engine_op *op,
                  const struct store_completion *completion)
{
    const bool has_failed = completion->error.code != 0;
    one_found(engine, (struct join_find *)op, completion->offset,
              has_failed ? &completion->error : NULL);
}

static void found_id(struct engine *engine, void *arg, uint64_t offset, const struct zsp_err *error)
{
    one_found(engine, arg, offset, error);
}

/* Where the group's start lies in a partition. A topic that comes later need not know of ids. */
static int resolve_partition(struct engine *engine, const struct group *group,
                             const struct partition *partition, struct position_place *ret,
                             struct zsp_err *err)
{
    const struct wire_position start = group_position(group);
    int rc = 0;
    if (group->side) {
        *ret = (struct position_place){.offset = side_replay_first(group->side, partition->index)};
    } else if (group->start_id && group->state == GROUP_LIVE &&
               dedup_require(engine, partition->topic, NULL) != 0) {
        *ret = (struct position_place){.offset = 0};
    } else {
        rc = position_resolve(engine, partition, &start, ret, err);
    }
    return rc;
}

int join_resolve(struct engine *engine, struct join *join, const struct topic *topic,
                 struct join_find *ret, struct zsp_err *err)
{
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        struct position_place place;
        int rc = resolve_partition(engine, join->group, topic->partitions[i], &place, err);
        if (rc < 0) {
            return rc;
        }
        ret[i] = (struct join_find){
            .op.done_fn = found,
            .join = join,
            .topic_id = topic->id,
            .partition_index = i,
            .ask_time = place.ask_time,
            .ask_id = place.ask_id,
            .offset = place.ask_time ? (uint64_t)place.time_ms : place.offset,
        };
    }
    return 0;
}

/* In the topics that are named. */
static int resolve(struct engine *engine, struct join *join, struct zsp_err *err)
{
    size_t count = 0;
    for (size_t i = 0; i < join->name_count; i++) {
        const struct topic *const topic = topic_find(engine, join->names[i]);
        count += topic ? topic->partition_count : 0;
    }
    join->finds = calloc(count + 1, sizeof *join->finds);
    if (!join->finds) {
        return zsp_err_set(err, ZSP_ENOMEM, "%s: out of memory", join->group->object);
    }
    int rc = 0;
    for (size_t i = 0; i < join->name_count && rc == 0; i++) {
        const struct topic *const topic = topic_find(engine, join->names[i]);
        if (topic) {
            rc = join_resolve(engine, join, topic, join->finds + join->find_count, err);
            join->find_count += topic->partition_count;
        }
    }
    return rc;
}

void join_ask(struct engine *engine, struct join *join, struct join_find *finds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct join_find *find = &finds[i];
        struct zsp_err error = {0};
        if (!find->ask_time && !find->ask_id) {
            continue;
        }
        struct partition *const partition =
            topic_by_id(engine, find->topic_id)->partitions[find->partition_index];
        const int rc = find->ask_id
                           ? id_place_find(engine, partition, group_position(join->group).id,
                                           found_id, find, &error)
                           : engine->store->ops->find_time(engine->store, partition->part,
                                                           (int64_t)find->offset,
                                                           engine_op_tag(&find->op), &error);
        if (rc < 0) {
            join->error = error;
        } else {
            join->open_finds++;
        }
    }
}

/* --- The beginning ------------------------------------------------------------------------------ */

static struct join *new_join(struct group *group, const struct zsp_slice *topics, size_t count)
{
    struct join *join = calloc(1, sizeof *join);
    if (!join) {
        return NULL;
    }
    join->group = group;
    join->names = calloc(count + 1, sizeof *join->names);
    join->name_bytes = calloc(count + 1, ZSP_NAME_MAX);
    join->made = calloc(count + 1, sizeof *join->made);
    if (!join->names || !join->name_bytes || !join->made) {
        free(join->made);
        free(join->names);
        free(join->name_bytes);
        free(join);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        uint8_t *copy = join->name_bytes + i * ZSP_NAME_MAX;
        memcpy(copy, topics[i].data, topics[i].len);
        join->names[join->name_count++] = (struct zsp_slice){copy, topics[i].len};
    }
    return join;
}

/* How many of the names the group does not have. */
static size_t count_new(const struct group *group, const struct zsp_slice *topics, size_t count)
{
    size_t fresh = 0;
    for (size_t i = 0; i < count; i++) {
        fresh += has_name(group, topics[i]) ? 0 : 1;
    }
    return fresh;
}

/* Is one of them what the group's dead letters go to? Patterns are not asked: what they find is no
 * harm, see letters_are_owed(). */
static bool has_dead_letter_topic(const struct group *group, const struct zsp_slice *topics,
                                  size_t count)
{
    const struct zsp_slice topic =
        setting_text(&group_settings_of(group)->texts, TEXT_DEAD_LETTER_TOPIC);
    bool found = false;
    for (size_t i = 0; topic.data && i < count && !found; i++) {
        found = zsp_slice_equal(topics[i], topic);
    }
    return found;
}

/* On an error nothing was asked of the store. */
static int begin(struct engine *engine, struct join *join, struct zsp_err *err)
{
    struct group_patterns *const patterns = join->group->patterns;
    struct join *const other = patterns ? patterns->finding : NULL;
    if (other) {
        *(other->behind_last ? &other->behind_last->behind_next : &other->behind_first) = join;
        other->behind_last = join;
        return 0;
    }
    int rc = resolve(engine, join, err);
    if (rc == 0) {
        rc = join_find_begin(engine, join, err);
    }
    if (rc == 0) {
        join_ask(engine, join, join->finds, join->find_count);
    }
    if (rc == 0 && !join->is_finding && join->open_finds == 0) {
        rc = join->error.code;
        if (rc < 0 && err) {
            *err = join->error;
        }
        rc = rc == 0 ? go_on(engine, join, err) : rc;
    }
    return rc;
}

/* Those that are QUEUED behind it begin. */
static void release(struct engine *engine, struct join *join)
{
    struct join *at = join->behind_first;
    join->behind_first = join->behind_last = NULL;
    while (at) {
        struct join *const next = at->behind_next;
        struct zsp_err error = {0};
        at->behind_next = NULL;
        const int rc = at->group ? begin(engine, at, &error) : was_deleted(&error);
        if (rc < 0) {
            join_failed(engine, at, &error);
        }
        at = next;
    }
}

int group_join(struct engine *engine, struct group *group, const struct zsp_slice *topics,
               size_t topic_count, const struct reply_to *to, struct join **ret_join,
               struct zsp_err *err)
{
    struct groups *self = engine->groups;
    if (pattern_name_count(group) + count_new(group, topics, topic_count) > ZSP_GROUP_TOPICS_MAX) {
        return zsp_err_set_about(err, ZSP_ELIMIT_REACHED, group->object,
                                 "%s: more than %u topics and patterns", group->object,
                                 ZSP_GROUP_TOPICS_MAX);
    }
    if (group->side && group->state == GROUP_LIVE && count_new(group, topics, topic_count) > 0) {
        return side_replay_refuse(group, "it has the topic of its range and no other", err);
    }
    if (has_dead_letter_topic(group, topics, topic_count)) {
        return setting_texts_refuse_loop(group->object, &group_settings_of(group)->texts, err);
    }
    struct join *join = new_join(group, topics, topic_count);
    if (!join) {
        return zsp_err_set(err, ZSP_ENOMEM, "%s: out of memory", group->object);
    }
    if (to) {
        join->has_to = true;
        join->to = *to;
    }
    LIST_INSERT_HEAD(&self->joins, join, link);
    const int rc = begin(engine, join, err);
    if (rc < 0) {
        join_find_undo(engine, join);
        destroy_join(engine, join);
        return rc;
    }
    if (ret_join) {
        *ret_join = join;
    }
    return 0;
}
