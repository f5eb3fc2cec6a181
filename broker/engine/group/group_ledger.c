/* SPDX-License-Identifier: MPL-2.0
 *
 * The ledgers of groups: where they are linked, what of them was told to the sums of binding and
 * group, to the ring of what is ready and to the timer of retries, and what they lose when the log
 * loses it.
 */
#include "broker/engine/group/group.h"

#include <inttypes.h>
#include <stdlib.h>

#include "broker/engine/dead/letters.h"
#include "broker/engine/group/mark_watch.h"
#include "broker/engine/ledger/agenda.h"
#include "broker/engine/ledger/ledger_codec.h"
#include "broker/engine/ledger/ledger_compare.h"
#include "broker/engine/ledger/levels.h"
#include "broker/engine/order/fair.h"
#include "broker/engine/order/hold.h"
#include "broker/engine/order/lanes.h"
#include "broker/engine/order/recall.h"
#include "broker/engine/pull/ready_set.h"
#include "broker/engine/replay/side_replay.h"
#include "broker/engine/state.h"
#include "broker/engine/topic/expiry.h"
#include "common/assert.h"
#include "common/container.h"
#include "common/diag.h"

/* Retries of one ledger that become ready in one turn; the rest a millisecond later. */
#define WAKE_RUNS_MAX 1024u

struct ledger *group_ledger_open(struct groups *self, uint64_t group_id, uint64_t topic_id,
                                 uint32_t partition_index)
{
    struct ledger *const known = group_ledger_find(self, group_id, topic_id, partition_index);
    if (known) {
        return known;
    }
    struct ledger *made = calloc(1, sizeof *made);
    if (!made) {
        return NULL;
    }
    ledger_init(made, group_id, topic_id, partition_index, &self->slab);
    if (zsp_table_add(&self->ledgers, (struct zsp_slice){made->key, LEDGER_KEY_LEN}, made) < 0) {
        free(made);
        return NULL;
    }
    made->prev = self->loose_last;
    *(self->loose_last ? &self->loose_last->next : &self->loose_first) = made;
    self->loose_last = made;
    return made;
}

struct ledger *group_ledger_find(const struct groups *self, uint64_t group_id, uint64_t topic_id,
                                 uint32_t partition_index)
{
    uint8_t key[LEDGER_KEY_LEN];
    ledger_write_key(key, group_id, topic_id, partition_index);
    return zsp_table_find(&self->ledgers, (struct zsp_slice){key, sizeof key});
}

/* Out of the list that it is in. */
static void unlink_ledger(struct groups *self, struct ledger *ledger)
{
    struct partition *const partition = ledger->partition;
    if (partition && partition->expiry_slot != 0) {
        expiry_ledger_goes(self->engine, ledger);
    }
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
    return binding_work_of(binding)->ready > 0 && binding->waiting > 0 ? 1u : 0u;
}

void binding_wait(struct binding *binding, uint32_t change)
{
    struct group_work *const sums = binding->group->work; /* a pull is there */
    sums->claimed -= is_claimed(binding);
    binding->waiting += change;
    sums->claimed += is_claimed(binding);
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
        .has_levels = ledger_levels(ledger) != NULL,
        .is_stalled =
            ledger_lanes(ledger) && ledger->ways->lanes->is_stalled && lanes_ready(ledger) == 0,
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
    struct binding *const binding = told->ledger->binding;
    struct binding_work *const part = binding->work;
    struct group_work *const all = told->ledger->group->work;
    const struct ledger_figures *const was = &told->figures;
    all->claimed -= is_claimed(binding);
    part->ready += now->ready - was->ready;
    all->claimed += is_claimed(binding);
    part->leased += now->leased - was->leased + now->reserved - was->reserved;
    part->waiting_messages += now->waiting - was->waiting;
    part->blocked = (uint16_t)(part->blocked + now->is_blocked - was->is_blocked);
    part->stalled = (uint16_t)(part->stalled + now->is_stalled - was->is_stalled);
    all->waiting_messages += now->waiting - was->waiting;
    all->blocked += (now->is_blocked ? 1u : 0u) - (was->is_blocked ? 1u : 0u);
    all->stalled += (now->is_stalled ? 1u : 0u) - (was->is_stalled ? 1u : 0u);
    all->unknown += (now->is_unknown ? 1u : 0u) - (was->is_unknown ? 1u : 0u);
    part->busy = (uint16_t)(part->busy + ledger_has_work(now) - ledger_has_work(was));
    all->busy_ledgers += (ledger_has_work(now) ? 1u : 0u) - (ledger_has_work(was) ? 1u : 0u);
    all->late += (now->is_late ? 1u : 0u) - (was->is_late ? 1u : 0u);
    all->with_levels += (now->has_levels ? 1u : 0u) - (was->has_levels ? 1u : 0u);
    all->ready += now->ready - was->ready;
    all->leased += now->leased - was->leased;
    all->reserved += now->reserved - was->reserved;
    told->figures = *now;
}

static void update_ring(struct ledger_told *told)
{
    struct binding *const binding = told->ledger->binding;
    struct ledger_told **const ring = &binding->work->ring;
    const bool belongs = told->figures.ready > 0 && hold_is_free(told->ledger);
    if (belongs && !told->in_ring) {
        ring_add(ring, told);
        ready_set_changed(binding);
    } else if (!belongs && told->in_ring) {
        ring_remove(ring, told);
        ready_set_changed(binding);
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

/* What the ledger tells from now on. Errors: ZSP_ENOMEM */
static int begin_to_tell(struct ledger *ledger)
{
    struct ledger_told *const told = calloc(1, sizeof *told);
    if (!told) {
        return ZSP_ENOMEM;
    }
    if (!binding_work_use(ledger->binding)) {
        free(told);
        return ZSP_ENOMEM;
    }
    if (!group_work_use(ledger->group)) {
        binding_work_leave(ledger->binding);
        free(told);
        return ZSP_ENOMEM;
    }
    told->ledger = ledger;
    told->due.fire_fn = due_fired;
    ledger->told = told;
    return 0;
}

/* All that it told is 0 by now: it is in no ring, its timer is not armed. */
static void end_to_tell(struct ledger *ledger)
{
    free(ledger->told);
    ledger->told = NULL;
    binding_work_leave(ledger->binding);
    group_work_leave(ledger->group);
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
    if ((group_fair_of(group) || ledger_fair(ledger)) && fair_look(self, ledger) < 0) {
        group_out_of_memory(self);
        return;
    }
    if (group->side) {
        side_replay_look(self, ledger);
    }
    if (ledger->partition && ledger->partition->expiry_slot != 0) {
        expiry_look(self->engine, ledger);
    }
    const struct ledger_figures now = figures_of(ledger);
    const uint32_t unknown = group_work_of(group)->unknown;
    if (!ledger->told && !is_idle(&now) && begin_to_tell(ledger) < 0) {
        group_out_of_memory(self);
        return;
    }
    if (ledger->told) {
        tell_sums(ledger->told, &now);
        update_ring(ledger->told);
        update_timer(self->engine, ledger->told);
    }
    if (ledger->told && is_idle(&now)) {
        end_to_tell(ledger);
    }
    if (group_is_awaited(group) &&
        (group->work->ready > 0 || group->work->unknown != unknown || group->lanes_wanted)) {
        group_wake(self, group);
    }
}

void group_leave_leases(struct groups *self, const struct ledger *ledger, uint64_t first,
                        uint64_t end)
{
    struct lease *next = NULL;
    for (struct lease *lease = group_first_lease(ledger->group); lease; lease = next) {
        next = lease->next;
        const uint64_t lost = lease_out_in(lease, ledger, &ledger->runs, first, end);
        lease->outstanding -= lost;
        if (lost > 0 && lease->outstanding == 0) {
            uint8_t key[GROUP_KEY_ROOM];
            state_put_gone(self->engine, lease_key(lease->group_id, lease->number, key));
            group_lease_over(self, lease);
        }
    }
}

void group_ledger_drop(struct groups *self, struct ledger *ledger)
{
    struct group *group = ledger->group;
    if (group) {
        lanes_drop(ledger);
        hold_drop(self, ledger);
        recall_forget(self, ledger); /* last: what changes may ask for a recall */
        pull_forget_ledger(group, ledger);
        group_leave_leases(self, ledger, 0, UINT64_MAX);
        for (struct lease *lease = group_first_lease(group); lease; lease = lease->next) {
            lease_forget_ledger(lease, ledger);
        }
        ledger->mark = ledger->high = ledger->above = 0;
        levels_drop(ledger);
        runmap_fini(&ledger->runs);
        group_ledger_changed(self, ledger);
    }
    zsp_assert(!ledger->told); /* it has nothing any more */
    zsp_assert(!ledger_order(ledger));
    mark_watch_end(ledger);
    unlink_ledger(self, ledger);
    (void)zsp_table_remove(&self->ledgers, (struct zsp_slice){ledger->key, LEDGER_KEY_LEN});
    ledger_fini(ledger);
    free(ledger);
}

void group_ledger_put_gone(struct engine *engine, const struct ledger *ledger)
{
    uint8_t key[GROUP_KEY_ROOM];
    for (size_t i = 0; i < block_set_count(&ledger->blocks); i++) {
        state_put_gone(engine, ledger_block_key(ledger, block_set_at(&ledger->blocks, i), key));
    }
    state_put_gone(engine, ledger_head_key(ledger, key));
}

void group_ledger_block(struct groups *self, struct ledger *ledger, uint64_t first)
{
    struct ledger_rare *const rare = ledger_rare_open(ledger);
    if (!rare) {
        group_out_of_memory(self);
        return;
    }
    rare->blocked = first;
    zsp_diag(self->engine->diag, ZSP_ERROR,
             "%s stops before damage in topic %s partition %" PRIu32 " at offset %" PRIu64,
             ledger->group->object, ledger->binding->followers->name_bytes,
             ledger_partition_index(ledger), first);
}
