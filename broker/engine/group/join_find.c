/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/group/join_priv.h"

#include <stdlib.h>

#include "broker/engine/group/pattern.h"
#include "common/container.h"
#include "common/name.h"

static void fired(struct engine *engine, struct timer *timer);

static struct pattern *pattern_of(const struct join *join, size_t index)
{
    return join->made[index] == JOIN_MADE && zsp_name_is_pattern(join->names[index])
               ? pattern_find(join->group, join->names[index])
               : NULL;
}

/* --- A topic ------------------------------------------------------------------------------------ */

/* Remember the places of a topic that was found. At the earliest offset a ledger stands anyway. */
static int remember(struct engine *engine, struct join *join, const struct topic *topic,
                    struct join_places *places, struct zsp_err *err)
{
    if (group_position(join->group).kind == WIRE_POSITION_EARLIEST) {
        return 0;
    }
    const int rc = join_resolve(engine, join, topic, places->items + places->count, err);
    places->count += rc == 0 ? topic->partition_count : 0;
    return rc;
}

/* Give the group a binding if a pattern matches. */
static int look_at(struct engine *engine, struct join *join, struct topic *topic,
                   struct join_places *places, struct zsp_err *err)
{
    int rc = 0;
    for (size_t i = 0; i < join->name_count && rc == 0; i++) {
        struct pattern *const pattern = pattern_of(join, i);
        struct binding *binding = NULL;
        if (!pattern || !pattern_matches(pattern, topic)) {
            continue;
        }
        rc = pattern_follow(engine->groups, pattern, topic, &binding);
        if (rc < 0) {
            return zsp_err_set(err, rc, "%s: out of memory", join->group->object);
        }
        if (rc > 0) {
            return remember(engine, join, topic, places, err);
        }
    }
    return 0;
}

/* --- A turn --------------------------------------------------------------------------------------- */

/* What looking at a topic takes, in partitions that get a ledger. */
static uint32_t work_of(const struct join *join, const struct topic *topic)
{
    return topic->partition_count + (uint32_t)(join->name_count / 16);
}

/* Look at the topics behind the last one, as many as a turn has time for. *ret_last NULL = these were all. */
static int look_at_some(struct engine *engine, struct join *join, struct join_places *places,
                        const struct topic **ret_last, struct zsp_err *err)
{
    const struct name_index *const topics = &engine->catalog.topics;
    uint32_t work = 0;
    int rc = 0;
    *ret_last = NULL;
    for (size_t i = name_index_after(topics, zsp_buf_slice(join->last));
         i < topics->count && rc == 0; i++) {
        struct topic *const topic = topics->slots[i].value;
        if (work >= engine->options.join_partitions) {
            return 0;
        }
        work += work_of(join, topic);
        *ret_last = topic;
        rc = look_at(engine, join, topic, places, err);
    }
    *ret_last = NULL;
    return rc;
}

/* The join goes on, and the places of this turn are asked for. */
static int keep(struct engine *engine, struct join *join, struct join_places **places_p,
                const struct topic *last, struct zsp_err *err)
{
    struct join_places *const places = *places_p;
    zsp_buf_put(&join->last);
    if (last) {
        join->last = zsp_buf_copy(last->name);
        if (!join->last) {
            return zsp_err_set(err, ZSP_ENOMEM, "%s: out of memory", join->group->object);
        }
        engine_arm(engine, TIMER_WAIT, &join->timer, engine->clock.broker_ms + 1);
    }
    join->is_finding = last != NULL;
    if (places->count > 0) {
        struct join_places *const less =
            realloc(places, sizeof *places + places->count * sizeof places->items[0]);
        *places_p = NULL;
        struct join_places *const kept = less ? less : places;
        kept->next = join->found;
        join->found = kept;
        join_ask(engine, join, kept->items, kept->count);
    }
    return 0;
}

static int find_some(struct engine *engine, struct join *join, struct zsp_err *err)
{
    const size_t room = engine->options.join_partitions + ZSP_PARTITIONS_MAX;
    struct join_places *places = calloc(1, sizeof *places + room * sizeof places->items[0]);
    const struct topic *last = NULL;
    if (!places) {
        return zsp_err_set(err, ZSP_ENOMEM, "%s: out of memory", join->group->object);
    }
    int rc = look_at_some(engine, join, places, &last, err);
    rc = rc == 0 ? keep(engine, join, &places, last, err) : rc;
    free(places);
    return rc;
}

static void fired(struct engine *engine, struct timer *timer)
{
    struct join *const join = CONTAINER_OF(timer, struct join, timer);
    struct zsp_err error = {0};
    if (!join->group || find_some(engine, join, &error) < 0) {
        join->is_finding = false; /* gone meanwhile, or failed */
    }
    join_turned(engine, join, &error);
}

/* --- Its life ------------------------------------------------------------------------------------- */

int join_find_begin(struct engine *engine, struct join *join, struct zsp_err *err)
{
    bool any = false;
    for (size_t i = 0; i < join->name_count; i++) {
        struct pattern *pattern = NULL;
        if (!zsp_name_is_pattern(join->names[i]) || pattern_find(join->group, join->names[i])) {
            continue;
        }
        if (pattern_new(engine->groups, join->group, join->names[i], &pattern) < 0) {
            return zsp_err_set(err, ZSP_ENOMEM, "%s: out of memory", join->group->object);
        }
        join->made[i] = JOIN_MADE;
        any = true;
    }
    if (!any) {
        return 0;
    }
    join->timer.fire_fn = fired;
    join->group->patterns->finding = join;
    return find_some(engine, join, err);
}

int join_find_place(struct groups *self, struct join *join)
{
    int rc = 0;
    for (const struct join_places *places = join->found; places; places = places->next) {
        for (size_t i = 0; i < places->count && rc == 0; i++) {
            const struct join_find *const find = &places->items[i];
            struct ledger *const ledger =
                find->offset > 0 ? group_ledger_find(self, join->group->id, find->topic_id,
                                                     find->partition_index)
                                 : NULL;
            if (ledger && ledger->group && find->offset > ledger->high) {
                rc = step_move(&self->step, ledger, find->offset);
            }
        }
    }
    return rc;
}

void join_find_tell(struct join *join)
{
    for (size_t i = 0; i < join->name_count; i++) {
        struct pattern *const pattern = pattern_of(join, i);
        if (pattern) {
            pattern->is_told = true;
        }
    }
}

void join_find_undo(struct engine *engine, struct join *join)
{
    for (size_t i = 0; i < join->name_count && join->group; i++) {
        struct pattern *const pattern = pattern_of(join, i);
        if (pattern) {
            pattern_destroy(engine->groups, pattern);
        }
    }
    join_find_fini(engine, join);
}

void join_find_fini(struct engine *engine, struct join *join)
{
    engine_cancel(engine, TIMER_WAIT, &join->timer);
    join->is_finding = false;
    zsp_buf_put(&join->last);
    while (join->found) {
        struct join_places *const places = join->found;
        join->found = places->next;
        free(places);
    }
    if (join->group && join->group->patterns && join->group->patterns->finding == join) {
        join->group->patterns->finding = NULL;
    }
}
