/* SPDX-License-Identifier: MPL-2.0
 *
 * What a pull is told when it got less than it asked for.
 */
#include <string.h>

#include "broker/engine/ledger/ledger_ordered.h"
#include "broker/engine/ledger/levels.h"
#include "broker/engine/order/hold.h"
#include "broker/engine/order/lanes.h"
#include "broker/engine/pull/pull.h"
#include "broker/engine/replay/side_replay.h"

/* What holds the messages of its topics back. */
struct pull_view {
    bool any_topic, any_blocked, any_stalled;
    uint64_t leased, waiting, ready;
};

static void look(const struct pull *self, struct pull_view *ret)
{
    const struct group *group = self->group;
    *ret = (struct pull_view){
        .any_topic = group->attached > 0,
        .any_blocked = group_work_of(group)->blocked > 0,
        .any_stalled = group_work_of(group)->stalled > 0,
        .ready = group_work_of(group)->ready,
        .leased = group_out(group),
        .waiting = group_work_of(group)->waiting_messages,
    };
    if (self->all_topics) {
        return;
    }
    *ret = (struct pull_view){0};
    for (size_t i = 0; i < pull_binding_count(self); i++) {
        const struct binding *binding = pull_binding_at(self, i);
        ret->any_topic = ret->any_topic || binding->topic;
        ret->any_blocked = ret->any_blocked || binding_work_of(binding)->blocked > 0;
        ret->any_stalled = ret->any_stalled || binding_work_of(binding)->stalled > 0;
        ret->ready += binding_work_of(binding)->ready;
        ret->leased += binding_work_of(binding)->leased;
        ret->waiting += binding_work_of(binding)->waiting_messages;
    }
}

/* Does a dead message keep something back? */
static bool any_held(const struct pull *self)
{
    if (self->group->mode == GROUP_SHARED || !group_holds_dead(self->group)) {
        return false;
    }
    bool is_held = false;
    for (size_t i = 0; i < pull_binding_count(self); i++) {
        const struct binding *binding = pull_binding_at(self, i);
        for (uint32_t k = 0; binding->topic && k < binding->topic->partition_count; k++) {
            const struct ledger *ledger = binding->ledgers[k];
            if (self->group->mode == GROUP_ORDERED && ordered_is_held(ledger)) {
                return true;
            }
            if (self->group->mode == GROUP_KEYED && ledger_waiting(ledger) > 0 &&
                !lanes_all_held(ledger)) {
                return false;
            }
            is_held = is_held || ledger_waiting(ledger) > 0;
        }
    }
    return is_held && self->group->mode == GROUP_KEYED;
}

const struct ledger *pull_stalled(const struct pull *self)
{
    for (size_t i = 0; self->group && i < pull_binding_count(self); i++) {
        const struct binding *binding = pull_binding_at(self, i);
        for (uint32_t k = 0;
             binding_work_of(binding)->stalled > 0 && k < binding->topic->partition_count; k++) {
            const struct ledger *ledger = binding->ledgers[k];
            if (ledger->told && ledger->told->figures.is_stalled) {
                return ledger;
            }
        }
    }
    return NULL;
}

/* Is not known of a partition what of it is ready? */
static bool any_late(const struct pull *self)
{
    if (group_work_of(self->group)->late == 0) {
        return false;
    }
    for (size_t i = 0; i < pull_binding_count(self); i++) {
        const struct binding *binding = pull_binding_at(self, i);
        for (uint32_t k = 0; binding->topic && k < binding->topic->partition_count; k++) {
            if (levels_are_late(binding->ledgers[k])) {
                return true;
            }
        }
    }
    return false;
}

/* Is there more whose keys are not known yet? Then nobody knows what of it is ready. */
static bool any_unread(const struct pull *self)
{
    const struct group *const group = self->group;
    if (group->lanes_reading == 0 && !group->lanes_wanted) {
        return false;
    }
    for (size_t i = 0; i < pull_binding_count(self); i++) {
        const struct binding *binding = pull_binding_at(self, i);
        for (uint32_t k = 0; binding->topic && k < binding->topic->partition_count; k++) {
            const struct lanes *const lanes = ledger_lanes(binding->ledgers[k]);
            if (lanes && lanes->place != LANES_NOWHERE) {
                return true;
            }
        }
    }
    return false;
}

/* Could it get some of what is ready? */
static bool may_get(const struct engine *engine, const struct pull *self)
{
    return self->group->mode != GROUP_ORDERED || hold_may_take(engine->groups, self);
}

const char *pull_reason(const struct engine *engine, const struct pull *self)
{
    if (self->messages >= self->max_messages) {
        return NULL;
    }
    if (self->messages > 0 && self->is_cut) {
        return "limit";
    }
    if (self->messages == 0 && self->ending && strcmp(self->ending, "timeout") != 0) {
        return self->ending;
    }
    if (!self->group || !(self->all_topics || self->topics)) {
        return self->ending ? self->ending : "end";
    }
    if (side_replay_is_finished(self->group)) {
        return "finished";
    }
    if (self->group->paused) {
        return "paused";
    }
    struct pull_view view;
    look(self, &view);
    if (!view.any_topic) {
        return "no_topic";
    }
    if (view.any_blocked && self->messages == 0) {
        return "corrupt";
    }
    if (view.ready > 0) {
        return may_get(engine, self) ? "limit" : "all_leased";
    }
    if (view.any_blocked) {
        return "corrupt";
    }
    if (any_late(self)) {
        return "loading";
    }
    if (self->messages > 0 && any_unread(self)) {
        return "limit";
    }
    if (self->messages == 0 && self->ending) {
        return self->ending;
    }
    if (view.any_stalled) {
        return "look_ahead";
    }
    if (view.leased > self->messages) {
        return "all_leased";
    }
    if (self->group->mode == GROUP_KEYED && any_held(self)) {
        return "held"; /* what waits behind it is no retry */
    }
    if (view.waiting > 0) {
        return "all_waiting";
    }
    return any_held(self) ? "held" : "end";
}
