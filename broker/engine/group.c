/* SPDX-License-Identifier: MPL-2.0
 *
 * The life of groups: their ledgers and the sums over them, what topics and
 * clients do to them, and the turn in which parked pulls are served.
 */
#include "broker/engine/group.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/engine/agenda.h"
#include "broker/engine/container.h"
#include "broker/engine/dead.h"
#include "broker/engine/expired.h"
#include "broker/engine/fair.h"
#include "broker/engine/group_hooks.h"
#include "broker/engine/group_rules.h"
#include "broker/engine/hold.h"
#include "broker/engine/lanes.h"
#include "broker/engine/ledger_codec.h"
#include "broker/engine/ledger_compare.h"
#include "broker/engine/letters.h"
#include "broker/engine/levels.h"
#include "broker/engine/mark_watch.h"
#include "broker/engine/pattern.h"
#include "broker/engine/recall.h"
#include "broker/engine/redrive.h"
#include "broker/engine/savepoint.h"
#include "broker/engine/settle.h"
#include "broker/engine/side_replay.h"
#include "broker/engine/state.h"
#include "common/assert.h"
#include "common/diag.h"

/* Retries of one ledger that become ready in one turn; the rest a millisecond later. */
#define WAKE_RUNS_MAX 1024u

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
    settle_init(self);
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
    while (group->lease_first) {
        struct lease *lease = group->lease_first;
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
    group_state_fini(self);
    step_fini(&self->step);
    fair_fini(self);
    lease_table_fini(&self->leases);
    session_notes_fini(&self->notes);
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
    if (name_index_find(&catalog->groups, plan->name)) {
        return zsp_err_set(err, ZSP_EEXISTS, "group %.*s exists already", (int)plan->name.len,
                           (const char *)plan->name.data);
    }
    const uint32_t most = engine->options.groups_max;
    if (most != 0 && catalog->groups.count >= most) {
        return zsp_err_set(err, ZSP_ELIMIT_REACHED, "there are %" PRIu32 " groups already", most);
    }
    struct group *group =
        group_make(engine, catalog_take_id(catalog, CATALOG_GROUP_ID), plan->name);
    if (!group) {
        return zsp_err_set(err, ZSP_ENOMEM, "group: out of memory");
    }
    group->start_kind = plan->start.kind;
    group->start_value = plan->start.value;
    group->mode = plan->mode;
    struct group_rules rules = {0};
    const int rc = group_rules_make(group, &plan->settings, &rules, err);
    if (rc < 0) {
        group_destroy(engine, group);
        return rc;
    }
    group_rules_swap(group, &rules);
    *ret = group;
    return 0;
}

static struct zsp_slice id_key(const uint64_t *id)
{
    return (struct zsp_slice){(const uint8_t *)id, sizeof *id};
}

struct group *group_make(struct engine *engine, uint64_t id, struct zsp_slice name)
{
    struct groups *self = engine->groups;
    zsp_assert(name.len <= ZSP_NAME_MAX);
    static const char kind[] = "group ";
    struct group *group = calloc(1, offsetof(struct group, object) + sizeof kind + name.len);
    if (!group) {
        return NULL;
    }
    group->id = id;
    memcpy(group->object, kind, sizeof kind - 1);
    memcpy(group->object + sizeof kind - 1, name.data, name.len);
    group->name = (struct zsp_slice){(const uint8_t *)group->object + sizeof kind - 1, name.len};
    if (name_index_add(&engine->catalog.groups, group->name, group) < 0) {
        free(group);
        return NULL;
    }
    if (zsp_table_add(&self->by_id, id_key(&group->id), group) < 0) {
        (void)name_index_remove(&engine->catalog.groups, group->name);
        free(group);
        return NULL;
    }
    return group;
}

struct group *group_by_id(const struct groups *self, uint64_t id)
{
    return zsp_table_find(&self->by_id, id_key(&id));
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
    zsp_assert(group->parked_count == 0);
    forget_leases(self, group);
    group_join_forget(self, group);
    for (size_t i = group->bindings.count; i > 0; i--) {
        binding_destroy(self, group->bindings.slots[i - 1].value);
    }
    pattern_destroy_all(self, group);
    group_rules_drop(group);
    side_replay_drop(engine, group);
    if (group->dirty) {
        unwake(self, group);
    }
    savepoint_forget_all(self, group);
    name_index_fini(&group->bindings);
    members_fini(&group->members, &self->members);
    (void)name_index_remove(&engine->catalog.groups, group->name);
    (void)zsp_table_remove(&self->by_id, id_key(&group->id));
    free(group);
}

/* --- Ledgers ---------------------------------------------------------------------------------- */

struct ledger *group_ledger_open(struct groups *self, uint64_t group_id, uint64_t topic_id,
                                 uint32_t partition_index)
{
    struct ledger *made = calloc(1, sizeof *made);
    if (!made) {
        return NULL;
    }
    ledger_init(made, group_id, topic_id, partition_index, &self->slab);
    const struct zsp_slice key = {made->key, LEDGER_KEY_LEN};
    struct ledger *known = zsp_table_find(&self->ledgers, key);
    if (known || zsp_table_add(&self->ledgers, key, made) < 0) {
        free(made);
        return known;
    }
    made->prev = self->loose_last;
    *(self->loose_last ? &self->loose_last->next : &self->loose_first) = made;
    self->loose_last = made;
    return made;
}

/* Out of the list that it is in. */
static void unlink_ledger(struct groups *self, struct ledger *ledger)
{
    struct partition *const partition = ledger->partition;
    struct ledger **const first = partition ? &partition->ledger_first : &self->loose_first;
    struct ledger **const last = partition ? &partition->ledger_last : &self->loose_last;
    *(ledger->prev ? &ledger->prev->next : first) = ledger->next;
    *(ledger->next ? &ledger->next->prev : last) = ledger->prev;
    ledger->next = ledger->prev = NULL;
}

void group_ledger_place(struct groups *self, struct ledger *ledger, struct partition *partition)
{
    unlink_ledger(self, ledger);
    ledger->partition = partition;
    ledger->prev = partition->ledger_last;
    *(partition->ledger_last ? &partition->ledger_last->next : &partition->ledger_first) = ledger;
    partition->ledger_last = ledger;
}

static void ring_add(struct ledger_told **ring, struct ledger_told *told)
{
    struct ledger_told *next = *ring ? *ring : told;
    struct ledger_told *last = *ring ? next->ring_prev : told;
    told->ring_next = next;
    told->ring_prev = last;
    last->ring_next = told;
    next->ring_prev = told;
    *ring = next;
    told->in_ring = true;
}

static void ring_remove(struct ledger_told **ring, struct ledger_told *told)
{
    told->ring_prev->ring_next = told->ring_next;
    told->ring_next->ring_prev = told->ring_prev;
    if (*ring == told) {
        *ring = told->ring_next != told ? told->ring_next : NULL;
    }
    told->ring_next = told->ring_prev = NULL;
    told->in_ring = false;
}

static uint32_t is_claimed(const struct binding *binding)
{
    return binding->ready > 0 && binding->waiting > 0 ? 1u : 0u;
}

void binding_wait(struct binding *binding, uint32_t change)
{
    binding->group->claimed -= is_claimed(binding);
    binding->waiting += change;
    binding->group->claimed += is_claimed(binding);
}

/* Messages that somebody could get now. */
static uint64_t ready_of(const struct ledger *ledger)
{
    switch (ledger->group->mode) {
    case GROUP_SHARED:
        break;
    case GROUP_ORDERED:
        return hold_ready(ledger);
    case GROUP_KEYED:
        return lanes_ready(ledger);
    case GROUP_MODES:
        break;
    }
    return ledger_ready(ledger);
}

static struct ledger_figures figures_of(const struct ledger *ledger)
{
    return (struct ledger_figures){
        .ready = ready_of(ledger),
        .leased = runmap_count(&ledger->runs, RUN_LEASED),
        .reserved = runmap_count(&ledger->runs, RUN_RESERVED),
        .waiting = ledger_waiting(ledger),
        .is_blocked = ledger_is_blocked(ledger),
        .is_unknown = levels_are_awaited(ledger) || !fair_is_known(ledger),
        .is_late = levels_are_late(ledger),
        .has_levels = ledger->levels != NULL,
        .is_stalled = ledger->lanes && ledger->lanes->is_stalled && lanes_ready(ledger) == 0,
    };
}

static bool is_idle(const struct ledger_figures *now)
{
    return !ledger_has_work(now) && !now->has_levels && !now->is_stalled;
}

/* Move the sums from what was told of the ledger to what is true now. Unsigned differences: also
 * right when a figure falls. */
static void tell_sums(struct ledger_told *told, const struct ledger_figures *now)
{
    struct group *group = told->ledger->group;
    struct binding *binding = told->ledger->binding;
    const struct ledger_figures *was = &told->figures;
    group->claimed -= is_claimed(binding);
    binding->ready += now->ready - was->ready;
    group->claimed += is_claimed(binding);
    binding->leased += now->leased - was->leased + now->reserved - was->reserved;
    binding->waiting_messages += now->waiting - was->waiting;
    binding->blocked =
        (uint16_t)(binding->blocked + (now->is_blocked ? 1 : 0) - (was->is_blocked ? 1 : 0));
    binding->stalled = (uint16_t)(binding->stalled + now->is_stalled - was->is_stalled);
    group->unknown += (now->is_unknown ? 1u : 0u) - (was->is_unknown ? 1u : 0u);
    group->busy_ledgers += (ledger_has_work(now) ? 1u : 0u) - (ledger_has_work(was) ? 1u : 0u);
    group->late += (now->is_late ? 1u : 0u) - (was->is_late ? 1u : 0u);
    group->with_levels += (now->has_levels ? 1u : 0u) - (was->has_levels ? 1u : 0u);
    group->ready += now->ready - was->ready;
    group->leased += now->leased - was->leased;
    group->reserved += now->reserved - was->reserved;
    told->figures = *now;
}

static void update_ring(struct ledger_told *told)
{
    struct ledger_told **const ring = &told->ledger->binding->ring;
    const bool belongs = told->figures.ready > 0 && hold_is_free(told->ledger);
    if (belongs && !told->in_ring) {
        ring_add(ring, told);
    } else if (!belongs && told->in_ring) {
        ring_remove(ring, told);
    }
}

static void update_timer(struct engine *engine, struct ledger_told *told)
{
    const int64_t due_ms = told->figures.waiting > 0 ? ledger_due_ms(told->ledger) : INT64_MAX;
    if (due_ms == INT64_MAX) {
        engine_cancel(engine, TIMER_DURABLE, &told->due);
    } else if (!timer_is_armed(&told->due) || told->due.due_ms != due_ms) {
        engine_arm(engine, TIMER_DURABLE, &told->due, due_ms);
    }
}

static void due_fired(struct engine *engine, struct timer *timer)
{
    struct ledger *ledger = CONTAINER_OF(timer, struct ledger_told, due)->ledger;
    bool all = true;
    if (ledger_wake(ledger, engine->clock.broker_ms, WAKE_RUNS_MAX, &all) < 0) {
        group_out_of_memory(engine->groups);
        return;
    }
    group_ledger_changed(engine->groups, ledger);
    if (!all) { /* those still wait, so the timer is still there */
        engine_arm(engine, TIMER_DURABLE, timer, engine->clock.broker_ms + 1);
    }
}

void group_ledger_changed(struct groups *self, struct ledger *ledger)
{
    struct group *group = ledger->group;
    if (!group) {
        return;
    }
    if (group->mode == GROUP_ORDERED) {
        hold_look(self, ledger);
        recall_look(self, ledger);
    } else if (group->mode == GROUP_KEYED) {
        lanes_look(self, ledger);
    }
    if (group_settings_of(group)->texts.of[TEXT_DEAD_LETTER_TOPIC]) {
        letters_look(self, ledger);
    }
    if ((group->fair || ledger->fair) && fair_look(self, ledger) < 0) {
        group_out_of_memory(self);
        return;
    }
    if (group->side) {
        side_replay_look(self, ledger);
    }
    const struct ledger_figures now = figures_of(ledger);
    const uint32_t unknown = group->unknown;
    if (!ledger->told && !is_idle(&now)) {
        ledger->told = calloc(1, sizeof *ledger->told);
        if (!ledger->told) {
            group_out_of_memory(self);
            return;
        }
        ledger->told->ledger = ledger;
        ledger->told->due.fire_fn = due_fired;
    }
    if (ledger->told) {
        tell_sums(ledger->told, &now);
        update_ring(ledger->told);
        update_timer(self->engine, ledger->told);
    }
    if (ledger->told && is_idle(&now)) {
        free(ledger->told); /* it is in no ring, its timer is not armed */
        ledger->told = NULL;
    }
    if ((group->ready > 0 || group->unknown != unknown || group->lanes_wanted) &&
        group->parked_count > 0) {
        group_wake(self, group);
    }
}

/* The messages of a span are under no lease any more, without a step. */
static int leave_lease(void *arg, const struct run_span *span)
{
    struct groups *self = arg;
    struct lease *lease =
        span->run.state == RUN_LEASED ? lease_find(&self->leases, span->run.lease) : NULL;
    if (!lease) {
        return 0;
    }
    lease->outstanding -= span->end - span->first;
    if (lease->outstanding == 0) {
        uint8_t key[GROUP_KEY_ROOM];
        state_put_gone(self->engine, lease_key(lease->group_id, lease->number, key));
        group_lease_over(self, lease);
    }
    return 0;
}

void group_ledger_drop(struct groups *self, struct ledger *ledger)
{
    struct group *group = ledger->group;
    if (group) {
        lanes_drop(ledger);
        hold_drop(self, ledger);
        recall_forget(self, ledger); /* last: what changes may ask for a recall */
        pull_forget_ledger(group, ledger);
        (void)runmap_visit(&ledger->runs, 0, UINT64_MAX, leave_lease, self); /* never ends early */
        for (struct lease *lease = group->lease_first; lease; lease = lease->next) {
            lease_forget_ledger(lease, ledger);
        }
        ledger->mark = ledger->high = ledger->above = 0;
        levels_drop(ledger);
        runmap_fini(&ledger->runs);
        group_ledger_changed(self, ledger);
    }
    zsp_assert(!ledger->told); /* it has nothing any more */
    zsp_assert(!ledger->order);
    mark_watch_end(ledger);
    unlink_ledger(self, ledger);
    (void)zsp_table_remove(&self->ledgers, (struct zsp_slice){ledger->key, LEDGER_KEY_LEN});
    ledger_fini(ledger);
    free(ledger);
}

void group_ledger_put_gone(struct engine *engine, const struct ledger *ledger)
{
    uint8_t key[GROUP_KEY_ROOM];
    for (size_t i = 0; i < ledger->blocks.count; i++) {
        state_put_gone(engine, ledger_block_key(ledger, ledger->blocks.blocks[i], key));
    }
    state_put_gone(engine, ledger_head_key(ledger, key));
}

/* What lies below `start` is forgotten, in memory; the blocks that held nothing else go. */
static void forget_below(struct groups *self, struct ledger *ledger, uint64_t start)
{
    const struct run none = {.state = RUN_NONE};
    lanes_drop(ledger); /* some of it was not finished, or dead */
    if (runmap_set(&ledger->runs, 0, start, &none) < 0) {
        group_out_of_memory(self);
        return;
    }
    if (ledger->blocked < start) {
        ledger->blocked = UINT64_MAX; /* the damage is gone with the rest */
    }
    if (ledger->high < start) {
        ledger->high = start;
    }
    if (ledger->journaled < start) {
        ledger->journaled = start;
        ledger->water = ledger->water > start ? ledger->water : start;
    }
    uint8_t key[GROUP_KEY_ROOM];
    while (ledger->blocks.count > 0 && ledger->blocks.blocks[0] < start / ZSP_STATE_BLOCK) {
        state_put_gone(self->engine, ledger_block_key(ledger, ledger->blocks.blocks[0], key));
        block_set_remove(&ledger->blocks, ledger->blocks.blocks[0]);
    }
    if (ledger_recount(ledger) < 0) {
        group_out_of_memory(self);
    }
}

static bool is_above(const struct ledger *ledger, uint64_t start)
{
    return start == 0 ||
           (start <= ledger->high && start <= ledger_committed(ledger) && ledger_dead(ledger) == 0);
}

/* Count what goes with the messages below `start` and was still to be done; true = any. A crash
 * before that is durable is no harm: the start counts again, from where it was counted to. */
static bool count_lost(struct ledger *ledger, uint64_t start)
{
    const uint64_t from = ledger->lost_to;
    const uint64_t lost = from < start ? ledger_count_unfinished(ledger, from, start) : 0;
    ledger->lost += lost;
    ledger->lost_to = lost > 0 ? start : from;
    return lost > 0;
}

static void put_head(struct groups *self, const struct ledger *ledger)
{
    uint8_t key[GROUP_KEY_ROOM];
    state_image_wanted(self->engine, ledger_head_key(ledger, key));
}

/* The block that `start` lies in keeps its old image: it may say of messages below `start` that
 * they are out under a lease which is gone by then. A start trims before it looks at leases. */
bool group_ledger_trim(struct groups *self, struct ledger *ledger, uint64_t start)
{
    const uint64_t committed = ledger_committed(ledger);
    if (is_above(ledger, start)) {
        return false;
    }
    agenda_tell(self, ledger); /* the mark is never below `high`, see mark_watch.h */
    const bool any_lost = count_lost(ledger, start);
    (void)runmap_visit(&ledger->runs, 0, start, leave_lease, self); /* never ends early */
    forget_below(self, ledger, start);
    group_ledger_changed(self, ledger);
    if (any_lost) {
        put_head(self, ledger);
    }
    return start > committed;
}

void group_ledger_trim_replayed(struct groups *self, struct ledger *ledger, uint64_t start)
{
    if (is_above(ledger, start)) {
        return;
    }
    const bool any_lost = count_lost(ledger, start);
    forget_below(self, ledger, start);
    if (any_lost) {
        put_head(self, ledger);
    }
}

void group_ledger_begin_at(struct groups *self, struct ledger *ledger, uint64_t start)
{
    if (!is_above(ledger, start)) {
        forget_below(self, ledger, start);
    }
}

/* --- Hooks of the core ------------------------------------------------------------------------- */

void group_partition_trimmed(struct engine *engine, struct partition *partition)
{
    for (struct ledger *ledger = partition->ledger_first; ledger; ledger = ledger->next) {
        if (group_ledger_trim(engine->groups, ledger, partition->start_offset)) {
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
    while ((note = session_note_find(&self->notes, session)) && note->member_first) {
        members_forget(note->member_first, &self->members);
    }
    return note;
}

void group_session_end(struct engine *engine, uint64_t session, enum engine_session_end why)
{
    const struct session_note *note = group_leave_all(engine->groups, session);
    session_names_forget(&engine->groups->names, session);
    struct lease *next = NULL;
    for (struct lease *lease = note ? note->lease_first : NULL;
         lease && why == ENGINE_SESSION_SILENT; lease = next) {
        next = lease->session_next; /* the note goes with the last one */
        if (!lease->is_granting) {  /* nobody was told of it: it ends when it is written */
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

void group_stats(const struct engine *engine, struct engine_stats *ret)
{
    ret->group_count = engine->catalog.groups.count;
    ret->lease_count = engine->groups->leases.count;
}
