/* SPDX-License-Identifier: MPL-2.0
 *
 * The start of groups, behind the replay: brings groups, ledgers and leases together, and lets go of
 * what belongs to nothing.
 */
#include <inttypes.h>

#include "broker/engine/group/group.h"
#include "broker/engine/group/group_hooks.h"
#include "broker/engine/group/pattern.h"
#include "broker/engine/replay/savepoint.h"
#include "broker/engine/replay/side_replay.h"
#include "broker/engine/state.h"
#include "common/diag.h"

/* --- Ledgers ------------------------------------------------------------------------------------- */

/* Leased stretches on their way under their leases. */
struct cover_walk {
    struct groups *groups;
    struct ledger *ledger;
    struct lease *lease;     /* of the last one; NULL = there was none */
    struct run_span without; /* the last whose lease is not there */
};

/* Put a stretch under its lease again. */
static int cover(void *arg, const struct run_span *span)
{
    struct cover_walk *walk = arg;
    if (span->run.state != RUN_LEASED) {
        return 0;
    }
    if (walk->lease && walk->lease->number == span->run.lease) {
        lease_cover_on(walk->lease, span->first, span->end);
        return 0;
    }
    struct lease *const lease = lease_find(&walk->groups->leases, span->run.lease);
    if (lease && lease->group_id == ledger_group_id(walk->ledger)) {
        walk->lease = lease;
        const int rc = lease_reserve(lease, 1);
        if (rc == 0) {
            lease_cover(lease, walk->ledger, span->first, span->end);
        }
        return rc;
    }
    walk->without = *span;
    return 1; /* the map may be changed only afterwards */
}

/* One whose lease is not there is ready: that is what a lost lease means, and no reason to keep
 * the whole broker down. */
static int make_ready(struct groups *self, struct ledger *ledger, const struct run_span *span)
{
    zsp_diag(self->engine->diag, ZSP_WARNING,
             "group state: messages %" PRIu64 "..%" PRIu64
             " were out under no lease (group %" PRIu64 ", topic %" PRIu64 ", partition %" PRIu32
             "); they are handed out again",
             span->first, span->end - 1, ledger_group_id(ledger), ledger_topic_id(ledger),
             ledger_partition_index(ledger));
    struct run ready = span->run;
    ready.state = RUN_READY;
    ready.lease = 0;
    return runmap_set(&ledger->runs, span->first, span->end, &ready);
}

static int cover_all(struct groups *self, struct ledger *ledger)
{
    struct cover_walk walk = {.groups = self, .ledger = ledger};
    int rc;
    do {
        const uint64_t from = walk.without.end;
        rc = runmap_visit(&ledger->runs, from, UINT64_MAX, cover, &walk);
        if (rc > 0) {
            rc = make_ready(self, ledger, &walk.without);
            rc = rc == 0 ? 1 : rc;
        }
    } while (rc > 0);
    return rc;
}

static int start_ledger(struct groups *self, struct ledger *ledger, struct zsp_err *err)
{
    const struct topic *topic = topic_by_id(self->engine, ledger_topic_id(ledger));
    group_ledger_trim_replayed(self, ledger, topic->partitions[ledger_partition_index(ledger)]);
    block_set_trim(&ledger->blocks);
    int rc = ledger_recount(ledger);
    if (rc == 0 && runmap_count(&ledger->runs, RUN_LEASED) > 0) {
        rc = cover_all(self, ledger);
    }
    return rc < 0 ? zsp_err_set(err, rc, "group state: out of memory") : 0;
}

/* Those of nobody's partition that are of no use go for good. */
static void drop_loose(struct engine *engine,
                       bool (*is_useless)(const struct engine *engine, const struct ledger *ledger))
{
    struct groups *self = engine->groups;
    struct ledger *next = NULL;
    for (struct ledger *ledger = self->loose_first; ledger; ledger = next) {
        next = ledger->next;
        if (is_useless(engine, ledger)) {
            group_ledger_put_gone(engine, ledger);
            group_ledger_drop(self, ledger);
        }
    }
}

/* Of a group or topic that ended in between: nobody will ask for it. */
static bool is_orphan(const struct engine *engine, const struct ledger *ledger)
{
    const struct topic *topic = topic_by_id(engine, ledger_topic_id(ledger));
    return !group_by_id(engine->groups, ledger_group_id(ledger)) || !topic ||
           ledger_partition_index(ledger) >= topic->partition_count;
}

/* Of a group that does not have the topic: a pattern was finding it when the broker ended, and a seek had come
 * before. */
static bool is_unbound(const struct engine *engine, const struct ledger *ledger)
{
    (void)engine;
    return runmap_count(&ledger->runs, RUN_LEASED) == 0;
}

/* --- Leases and groups --------------------------------------------------------------------------- */

/* Leases get their place in their group; those that nothing is under end. */
static void start_leases(struct engine *engine)
{
    struct groups *self = engine->groups;
    while (self->start_leases) {
        struct lease *lease = self->start_leases;
        struct group *group = group_by_id(self, lease->group_id);
        const bool lives = group && lease->outstanding > 0;
        if (lives && !group_work_use(group)) {
            group_out_of_memory(self);
            return;
        }
        self->start_leases = lease->next;
        lease->next = lease->prev = NULL;
        if (lives) {
            lease->granted_ms = lease->deadline_ms - (int64_t)group_settings_of(group)->lease_ms;
            group_lease_live(self, group, lease);
            group_work_leave(group);
            continue;
        }
        uint8_t key[GROUP_KEY_ROOM];
        state_put_gone(engine, lease_key(lease->group_id, lease->number, key));
        lease_remove(&self->leases, lease);
    }
}

static int start_group(struct engine *engine, struct group *group, struct zsp_err *err)
{
    for (size_t i = 0; i < group->bindings.count; i++) {
        struct binding *binding = group->bindings.slots[i].value;
        struct topic *topic = topic_find(engine, binding->followers->name);
        if (topic && binding_attach(engine->groups, binding, topic) < 0) {
            return zsp_err_set(err, ZSP_ENOMEM, "%s: out of memory", group->object);
        }
    }
    if (group->side) {
        side_replay_start(engine, group);
    }
    return 0;
}

/* Patterns find what there is; a topic without a ledger came after them. */
static int start_patterns(struct engine *engine, struct zsp_err *err)
{
    const struct name_index *topics = &engine->catalog.topics;
    for (size_t i = 0; engine->groups->patterns.count > 0 && i < topics->count; i++) {
        struct topic *topic = topics->slots[i].value;
        if (topic->state == TOPIC_LIVE && pattern_topic(engine, topic) < 0) {
            return zsp_err_set(err, ZSP_ENOMEM, "groups: out of memory");
        }
    }
    return 0;
}

int group_start(struct engine *engine, struct zsp_err *err)
{
    struct groups *self = engine->groups;
    drop_loose(engine, is_orphan);
    savepoint_start(self);
    for (struct ledger *ledger = self->loose_first; ledger; ledger = ledger->next) {
        int rc = start_ledger(self, ledger, err);
        if (rc < 0) {
            return rc;
        }
    }
    start_leases(engine);
    run_slab_trim(&self->slab); /* most of what was ever out is done by now */
    const struct name_index *groups = &engine->catalog.groups;
    for (size_t i = 0; i < groups->count; i++) {
        int rc = start_group(engine, groups->slots[i].value, err);
        if (rc < 0) {
            return rc;
        }
    }
    const int rc = start_patterns(engine, err);
    if (rc == 0) {
        drop_loose(engine, is_unbound);
    }
    return rc;
}

void group_state_fini(struct groups *self)
{
    while (self->start_leases) {
        struct lease *lease = self->start_leases;
        self->start_leases = lease->next;
        lease_remove(&self->leases, lease);
    }
}
