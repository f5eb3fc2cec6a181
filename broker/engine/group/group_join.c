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
 * it: those that are there when it is asked for begin at the group's start.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "broker/engine/group/group.h"
#include "broker/engine/group/pattern.h"
#include "broker/engine/publish/dedup.h"
#include "broker/engine/replay/side_replay.h"
#include "broker/engine/topic/id_place.h"
#include "broker/engine/topic/position.h"
#include "common/assert.h"
#include "common/name.h"

/* One partition's place, asked of the store. */
struct join_find {
    struct engine_op op; /* first: its address is the tag */
    struct join *join;
    uint64_t topic_id;
    uint32_t partition_index;
    bool ask_time, ask_id;
    uint64_t offset;
};

struct join {
    struct engine_op op; /* first: of the record */
    struct group *group; /* NULL = gone meanwhile */
    bool has_to;
    struct reply_to to;
    struct zsp_slice *names; /* into name_bytes */
    uint8_t *name_bytes;
    size_t name_count;
    struct join_find *finds;
    size_t find_count;
    size_t next_find; /* behind the last that was looked for: they are looked for in order */
    size_t open_finds;
    struct zsp_err error; /* of a find */
    LIST_ENTRY(join) link;
};

static void destroy_join(struct join *join)
{
    LIST_REMOVE(join, link);
    free(join->names);
    free(join->name_bytes);
    free(join->finds);
    free(join);
}

void group_joins_fini(struct groups *self)
{
    while (!LIST_EMPTY(&self->joins)) {
        destroy_join(LIST_FIRST(&self->joins));
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

static void join_failed(struct engine *engine, struct join *join, const struct zsp_err *error)
{
    struct group *group = join->group;
    if (join->has_to) {
        reply_error(engine, &join->to, error);
    }
    if (group && group->state == GROUP_CREATING) {
        group_created(engine, group, error);
        pull_end_all(engine, group, error);
        group_destroy(engine, group);
    } else if (group) {
        pull_join_failed(engine, group, join, error);
    }
    destroy_join(join);
}

static void join_done(struct engine *engine, struct engine_op *op,
                      const struct store_completion *completion)
{
    struct join *join = (struct join *)op;
    struct group *group = join->group;
    if (completion->error.code != 0 || !group) {
        struct zsp_err error = completion->error;
        if (error.code == 0) {
            (void)zsp_err_set_about(&error, ZSP_ENOT_FOUND, "group",
                                    "the group was deleted meanwhile");
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
    destroy_join(join);
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
    struct binding *binding = NULL;
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

/* A pattern, with all that it matches now. */
static int add_pattern(struct engine *engine, struct join *join, struct zsp_slice text)
{
    struct groups *self = engine->groups;
    const struct name_index *topics = &engine->catalog.topics;
    struct pattern *pattern = NULL;
    int rc = pattern_new(self, join->group, text, &pattern);
    for (size_t i = 0; rc >= 0 && i < topics->count; i++) {
        struct topic *topic = topics->slots[i].value;
        struct binding *binding = NULL;
        if (!pattern_matches(pattern, topic)) {
            continue;
        }
        rc = pattern_follow(self, pattern, topic, &binding);
        if (rc > 0) {
            rc = place_ledgers(self, join, binding);
        }
    }
    return rc < 0 ? rc : 0;
}

static bool has_name(const struct group *group, struct zsp_slice name)
{
    return name_index_find(&group->bindings, name) || pattern_find(group, name);
}

/* Names of the join that the group did not have: `made` tells which. Patterns come last: what is
 * named has a binding of its own. */
static int add_bindings(struct engine *engine, struct join *join, bool *made)
{
    const size_t count = join->name_count;
    for (size_t k = 0; k < 2 * count; k++) {
        const size_t i = k < count ? k : k - count;
        const bool is_pattern = zsp_name_is_pattern(join->names[i]);
        if (is_pattern != (k >= count) || has_name(join->group, join->names[i])) {
            continue; /* not its turn; or another join brought it, it is durable before ours is */
        }
        made[i] = true;
        int rc = is_pattern ? add_pattern(engine, join, join->names[i])
                            : add_binding(engine, join, join->names[i]);
        if (rc < 0) {
            return rc;
        }
    }
    pattern_names_changed(join->group);
    return 0;
}

static void drop_bindings(struct engine *engine, struct join *join, const bool *made)
{
    for (size_t i = 0; i < join->name_count; i++) {
        struct pattern *pattern = made[i] ? pattern_find(join->group, join->names[i]) : NULL;
        struct binding *binding =
            made[i] ? name_index_find(&join->group->bindings, join->names[i]) : NULL;
        if (pattern) {
            pattern_destroy(engine->groups, pattern);
        } else if (binding) {
            binding_destroy(engine->groups, binding);
        }
    }
    pattern_names_changed(join->group);
}

static int put_join(struct engine *engine, struct join *join, struct zsp_err *err)
{
    struct groups *self = engine->groups;
    const struct store_entry counters = catalog_counters_entry(&engine->catalog);
    bool *made = calloc(join->name_count + 1, sizeof *made);
    if (!made) {
        return zsp_err_set(err, ZSP_ENOMEM, "%s: out of memory", join->group->object);
    }
    step_begin(&self->step);
    int rc = add_bindings(engine, join, made);
    if (rc == 0 && join->group->state == GROUP_CREATING) {
        rc = step_entry(&self->step, &counters);
    }
    if (rc == 0) {
        rc = group_step_image(self, join->group);
    }
    if (rc < 0) {
        step_undo(&self->step);
        (void)zsp_err_set(err, rc, "%s: %s", join->group->object, zsp_strerror(rc));
    } else {
        join->op.done_fn = join_done;
        rc = step_put(&self->step, engine, STORE_SYNCED_LEVEL, &join->op, err);
    }
    if (rc < 0) {
        drop_bindings(engine, join, made);
    } else if (join->has_to) {
        reply_may_apply(engine, &join->to);
    }
    free(made);
    return rc;
}

/* --- The question ------------------------------------------------------------------------------ */

/* All places are known. A partition that does not have the message that the group starts at begins at its
 * earliest; a new group wants one that does. Errors: ZSP_ENOT_FOUND */
static int settle_ids(struct join *join, struct zsp_err *err)
{
    const struct group *const group = join->group;
    bool any = false;
    for (size_t i = 0; i < join->find_count; i++) {
        struct join_find *const find = &join->finds[i];
        const bool is_there = find->ask_id && find->offset != ID_NOT_FOUND;
        any = any || is_there;
        find->offset = find->ask_id && !is_there ? 0 : find->offset;
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
    if (--join->open_finds > 0) {
        return;
    }
    struct zsp_err failure = join->error;
    if (!join->group) {
        (void)zsp_err_set_about(&failure, ZSP_ENOT_FOUND, "group",
                                "the group was deleted meanwhile");
    }
    if (failure.code != 0 || go_on(engine, join, &failure) < 0) {
        join_failed(engine, join, &failure);
    }
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

/* Where it lies in each partition of a topic. */
static int resolve_topic(struct engine *engine, struct join *join, struct topic *topic,
                         struct zsp_err *err)
{
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        struct position_place place;
        int rc = resolve_partition(engine, join->group, topic->partitions[i], &place, err);
        if (rc < 0) {
            return rc;
        }
        join->finds[join->find_count++] = (struct join_find){
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

/* Does a pattern of the join bring this topic? */
static bool is_matched(const struct join *join, const struct topic *topic)
{
    if (topic->state != TOPIC_LIVE || name_index_find(&join->group->bindings, topic->name)) {
        return false;
    }
    for (size_t i = 0; i < join->name_count; i++) {
        if (zsp_name_is_pattern(join->names[i]) && zsp_name_match(join->names[i], topic->name)) {
            return true;
        }
    }
    return false;
}

static bool has_pattern(const struct join *join)
{
    for (size_t i = 0; i < join->name_count; i++) {
        if (zsp_name_is_pattern(join->names[i])) {
            return true;
        }
    }
    return false;
}

/* Do it for each topic that comes in. Returns 0, or what was returned for one. */
static int for_each_topic(struct engine *engine, struct join *join,
                          int (*fn)(struct engine *engine, struct join *join, struct topic *topic,
                                    struct zsp_err *err),
                          struct zsp_err *err)
{
    const struct name_index *topics = &engine->catalog.topics;
    int rc = 0;
    for (size_t i = 0; i < join->name_count && rc == 0; i++) {
        struct topic *topic = topic_find(engine, join->names[i]);
        rc = topic ? fn(engine, join, topic, err) : 0;
    }
    for (size_t i = 0; i < topics->count && rc == 0 && has_pattern(join); i++) {
        struct topic *topic = topics->slots[i].value;
        rc = is_matched(join, topic) ? fn(engine, join, topic, err) : 0;
    }
    return rc;
}

static int count_topic(struct engine *engine, struct join *join, struct topic *topic,
                       struct zsp_err *err)
{
    (void)engine;
    (void)err;
    join->find_count += topic->partition_count;
    return 0;
}

static int resolve(struct engine *engine, struct join *join, struct zsp_err *err)
{
    (void)for_each_topic(engine, join, count_topic, err);
    join->finds = calloc(join->find_count + 1, sizeof *join->finds);
    join->find_count = 0;
    if (!join->finds) {
        return zsp_err_set(err, ZSP_ENOMEM, "%s: out of memory", join->group->object);
    }
    return for_each_topic(engine, join, resolve_topic, err);
}

/* Ask for the places that are times or messages; from the first call on the join must stay. */
static void ask(struct engine *engine, struct join *join)
{
    for (size_t i = 0; i < join->find_count; i++) {
        struct join_find *find = &join->finds[i];
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
    if (!join->names || !join->name_bytes) {
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
    int rc = resolve(engine, join, err);
    if (rc == 0) {
        ask(engine, join);
    }
    if (rc == 0 && join->open_finds == 0) {
        rc = join->error.code;
        if (rc < 0 && err) {
            *err = join->error;
        }
        rc = rc == 0 ? go_on(engine, join, err) : rc;
    }
    if (rc < 0) {
        destroy_join(join);
        return rc;
    }
    if (ret_join) {
        *ret_join = join;
    }
    return 0;
}
