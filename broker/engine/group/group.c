/* SPDX-License-Identifier: MPL-2.0
 *
 * The life of groups: what topics and clients do to them, and the turn in which parked pulls are
 * served. Their ledgers: group_ledger.c.
 */
#include "broker/engine/group/group.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/engine/dead/dead.h"
#include "broker/engine/dead/letters.h"
#include "broker/engine/dead/redrive.h"
#include "broker/engine/group/group_hooks.h"
#include "broker/engine/group/group_rules.h"
#include "broker/engine/group/pattern.h"
#include "broker/engine/order/fair.h"
#include "broker/engine/order/recall.h"
#include "broker/engine/pull/expired.h"
#include "broker/engine/pull/ready_set.h"
#include "broker/engine/pull/settle.h"
#include "broker/engine/replay/savepoint.h"
#include "broker/engine/replay/side_replay.h"
#include "common/assert.h"
#include "common/diag.h"

/* --- Life of the group side --------------------------------------------------------------- */

static void ledger_changed(void *arg, struct ledger *ledger)
{
    group_ledger_changed(arg, ledger);
}

static void lease_over(void *arg, struct lease *lease)
{
    group_lease_over(arg, lease);
}

int group_init(struct engine *engine, struct zsp_err *err)
{
    struct groups *self = calloc(1, sizeof *self);
    if (!self) {
        return zsp_err_set(err, ZSP_ENOMEM, "groups: out of memory");
    }
    const struct engine_options *options = &engine->options;
    const struct step_hooks hooks = {self, ledger_changed, lease_over};
    self->engine = engine;
    run_slab_init(&self->slab, &self->reasons);
    lease_table_init(&self->leases, options->random_fn, options->random_arg);
    session_notes_init(&self->notes, options->random_fn(options->random_arg));
    session_names_init(&self->names, options->random_fn(options->random_arg));
    step_init(&self->step, &self->leases, &hooks);
    zsp_table_init(&self->ledgers, options->random_fn(options->random_arg));
    zsp_table_init(&self->members, options->random_fn(options->random_arg));
    zsp_table_init(&self->by_id, options->random_fn(options->random_arg));
    zsp_table_init(&self->followers, options->random_fn(options->random_arg));
    zsp_table_init(&self->savepoints, options->random_fn(options->random_arg));
    zsp_table_init(&self->redrive_groups, options->random_fn(options->random_arg));
    zsp_table_init(&self->letter_groups, options->random_fn(options->random_arg));
    settle_init(self);
    TAILQ_INIT(&self->free_pulls);
    TAILQ_INIT(&self->lost_pulls);
    pool_init(&self->calls, sizeof(struct group_call));
    pool_init(&self->fair_lanes, sizeof(struct fair_lane));
    pool_init(&self->fair_entries, sizeof(struct fair_entry));
    bye_init(self);
    recall_init(self);
    self->lost_reason = zsp_buf_copy(zsp_slice_str("lease lost"));
    engine->groups = self;
    if (!self->lost_reason || expired_init(self) < 0) {
        group_fini(engine);
        return zsp_err_set(err, ZSP_ENOMEM, "groups: out of memory");
    }
    return 0;
}

static void forget_leases(struct groups *self, struct group *group)
{
    while (group_first_lease(group)) {
        struct lease *lease = group_first_lease(group);
        lease->outstanding = 0;
        group_lease_over(self, lease);
    }
}

void group_fini(struct engine *engine)
{
    struct groups *self = engine->groups;
    if (!self) {
        return;
    }
    pull_fini(self);
    recall_fini(self);
    settle_fini(self);
    group_joins_fini(self);
    seek_fini(self);
    restore_fini(self);
    dead_fini(self);
    dead_reads_fini(self);
    traces_fini(self);
    session_names_fini(&self->names);
    redrive_fini(self);
    letters_fini(self);
    side_replays_fini(self);
    pool_fini(&self->calls);
    while (engine->catalog.groups.count > 0) {
        group_destroy(engine, engine->catalog.groups.slots[0].value);
    }
    while (self->loose_first) {
        group_ledger_drop(self, self->loose_first);
    }
    letters_fini(self); /* a partition that is let go looks once more at what it owes */
    group_state_fini(self);
    step_fini(&self->step);
    fair_fini(self);
    lease_table_fini(&self->leases);
    session_notes_fini(&self->notes);
    zsp_table_fini(&self->redrive_groups);
    zsp_table_fini(&self->letter_groups);
    pool_fini(&self->bye_pool);
    run_slab_fini(&self->slab);
    expired_fini(self);
    reasons_fini(&self->reasons);
    zsp_table_fini(&self->ledgers);
    zsp_table_fini(&self->members);
    zsp_table_fini(&self->by_id);
    zsp_assert(self->followers.count == 0); /* they went with their bindings */
    zsp_assert(self->patterns.count == 0);
    name_index_fini(&self->patterns);
    zsp_table_fini(&self->followers);
    savepoint_fini(self);
    zsp_buf_put(&self->lost_reason);
    zsp_writer_fini(&self->not_applied);
    free(self);
    engine->groups = NULL;
}

void group_out_of_memory(struct groups *self)
{
    struct zsp_err error;
    (void)zsp_err_set(&error, ZSP_ENOMEM, "group state: out of memory");
    engine_fail(self->engine, &error);
}

/* --- Groups ---------------------------------------------------------------------------------- */

int group_new(struct engine *engine, const struct group_plan *plan, struct group **ret,
              struct zsp_err *err)
{
    struct catalog *catalog = &engine->catalog;
    const struct group *const there = name_index_find(&catalog->groups, plan->name);
    if (there) {
        return zsp_err_set_about(err, ZSP_EEXISTS, there->object, "%s exists already",
                                 there->object);
    }
    const uint32_t most = engine->options.groups_max;
    if (most != 0 && catalog->groups.count >= most) {
        return zsp_err_set_about(err, ZSP_ELIMIT_REACHED, "groups",
                                 "there are %" PRIu32 " groups already", most);
    }
    struct group *group =
        group_make(engine, catalog_take_id(catalog, CATALOG_GROUP_ID), plan->name);
    if (!group) {
        return zsp_err_set(err, ZSP_ENOMEM, "group: out of memory");
    }
    group->start_kind = plan->start.kind;
    group->start_value = plan->start.value;
    group->mode = plan->mode;
    if (plan->start.kind == WIRE_POSITION_ID) {
        group->start_id = zsp_buf_copy(plan->start.id);
        if (!group->start_id) {
            group_destroy(engine, group);
            return zsp_err_set(err, ZSP_ENOMEM, "group: out of memory");
        }
    }
    struct group_rules *rules = NULL;
    const int rc = group_rules_make(group, &plan->settings, &rules, err);
    if (rc < 0) {
        group_destroy(engine, group);
        return rc;
    }
    group_rules_swap(group, &rules);
    *ret = group;
    return 0;
}

struct group *group_make(struct engine *engine, uint64_t id, struct zsp_slice name)
{
    struct groups *self = engine->groups;
    zsp_assert(name.len <= ZSP_NAME_MAX);
    static const char kind[] = GROUP_OBJECT;
    struct group *group = calloc(1, offsetof(struct group, object) + sizeof kind + name.len);
    if (!group) {
        return NULL;
    }
    group->id = id;
    members_init(&group->members);
    memcpy(group->object, kind, sizeof kind - 1);
    memcpy(group->object + sizeof kind - 1, name.data, name.len);
    group->name_len = (uint8_t)name.len;
    if (name_index_add(&engine->catalog.groups, group_name(group), group) < 0) {
        free(group);
        return NULL;
    }
    if (zsp_table_add(&self->by_id, group_id_key(&group->id), group) < 0) {
        (void)name_index_remove(&engine->catalog.groups, group_name(group));
        free(group);
        return NULL;
    }
    return group;
}

struct group *group_by_id(const struct groups *self, uint64_t id)
{
    return zsp_table_find(&self->by_id, group_id_key(&id));
}

static void unwake(struct groups *self, struct group *group)
{
    struct group *before = NULL;
    for (struct group *at = self->dirty_first; at != group; at = at->dirty_next) {
        zsp_assert(at);
        before = at;
    }
    *(before ? &before->dirty_next : &self->dirty_first) = group->dirty_next;
    if (self->dirty_last == group) {
        self->dirty_last = before;
    }
}

void group_destroy(struct engine *engine, struct group *group)
{
    struct groups *self = engine->groups;
    zsp_assert(!group_is_awaited(group));
    forget_leases(self, group);
    group_join_forget(self, group);
    for (size_t i = group->bindings.count; i > 0; i--) {
        binding_destroy(self, group->bindings.slots[i - 1].value);
    }
    pattern_destroy_all(self, group);
    group_rules_destroy(&group->rules);
    side_replay_drop(engine, group);
    zsp_buf_put(&group->start_id);
    if (group->dirty) {
        unwake(self, group);
    }
    savepoint_forget_all(self, group);
    name_index_fini(&group->bindings);
    ready_set_fini(group);
    members_fini(&group->members, &self->members);
    (void)name_index_remove(&engine->catalog.groups, group_name(group));
    (void)zsp_table_remove(&self->by_id, group_id_key(&group->id));
    zsp_assert(!group->work); /* neither pulls nor ledgers */
    free(group);
}

/* --- Hooks of the core ------------------------------------------------------------------------- */

void group_partition_trimmed(struct engine *engine, struct partition *partition)
{
    for (struct ledger *ledger = partition->ledger_first; ledger; ledger = ledger->next) {
        if (group_ledger_trim(engine->groups, ledger)) {
            zsp_diag(engine->diag, ZSP_WARNING,
                     "%s: retention of %s partition %" PRIu32 " took messages below offset %" PRIu64
                     " that were not done",
                     ledger->group->object, partition->topic->object, partition->index,
                     partition->start_offset);
        }
    }
}

struct session_note *group_leave_all(struct groups *self, uint64_t session)
{
    struct session_note *note = NULL;
    while ((note = session_note_find(&self->notes, session)) && !LIST_EMPTY(&note->members)) {
        members_forget(LIST_FIRST(&note->members), &self->members);
    }
    return note;
}

void group_session_end(struct engine *engine, uint64_t session, enum engine_session_end why)
{
    const struct session_note *note = group_leave_all(engine->groups, session);
    session_names_forget(&engine->groups->names, session);
    struct lease *next = NULL;
    for (struct lease *lease = note ? TAILQ_FIRST(&note->leases) : NULL;
         lease && why == ENGINE_SESSION_SILENT; lease = next) {
        next = TAILQ_NEXT(lease, session_link); /* the note goes with the last one */
        if (!lease->is_granting) { /* nobody was told of it: it ends when it is written */
            group_lease_end(engine->groups, lease, LEASE_EXPIRED);
        }
    }
}

void group_undelivered(struct engine *engine, uint64_t lease_number)
{
    struct lease *lease = lease_find(&engine->groups->leases, lease_number);
    if (lease) {
        group_lease_end(engine->groups, lease, LEASE_UNDELIVERED);
    }
}

void group_wake(struct groups *self, struct group *group)
{
    if (group->dirty) {
        return;
    }
    group->dirty = true;
    group->dirty_next = NULL;
    *(self->dirty_last ? &self->dirty_last->dirty_next : &self->dirty_first) = group;
    self->dirty_last = group;
}

void group_pump(struct engine *engine)
{
    struct groups *self = engine->groups;
    while (self->dirty_first && !engine->failed) {
        recall_run(self);
        struct group *group = self->dirty_first;
        /* It stays marked while it is served: what that changes needs no second look. */
        pull_serve(engine, group);
        zsp_assert(self->dirty_first == group);
        self->dirty_first = group->dirty_next;
        if (!self->dirty_first) {
            self->dirty_last = NULL;
        }
        group->dirty = false;
    }
}

bool group_sweep(struct engine *engine)
{
    return run_slab_sweep(&engine->groups->slab);
}

size_t group_run_bytes(const struct engine *engine)
{
    return run_slab_bytes(&engine->groups->slab);
}

void group_stats(const struct engine *engine, struct engine_stats *ret)
{
    ret->group_count = engine->catalog.groups.count;
    ret->lease_count = engine->groups->leases.count;
}
