/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/group/why.h"

#include "broker/engine/ledger/agenda.h"
#include "broker/engine/ledger/ledger_ordered.h"
#include "broker/engine/ledger/levels.h"
#include "broker/engine/order/hold.h"
#include "broker/engine/order/lanes.h"
#include "common/assert.h"

int64_t why_wall_ms(const struct engine *engine, int64_t broker_ms)
{
    return engine->now.wall_ms + (broker_ms - engine->clock.broker_ms);
}

/* --- Of a partition --------------------------------------------------------------------------- */

static void tell_offset(struct why *self, uint64_t offset)
{
    self->has_offset = true;
    self->offset = offset;
}

/* Who has the first message that is out, since when and until when. */
static void tell_lease(const struct engine *engine, const struct ledger *ledger, struct why *ret)
{
    struct run_span out;
    if (!runmap_next(&ledger->runs, 0, RUN_CLASS_LEASED, &out)) {
        return;
    }
    tell_offset(ret, out.first);
    const struct lease *lease = lease_find(&engine->groups->leases, out.run.lease);
    if (lease) {
        ret->has_member = true;
        ret->session = lease->session;
        ret->since_ms = why_wall_ms(engine, lease->granted_ms);
        ret->at_ms = why_wall_ms(engine, lease->deadline_ms);
    }
}

/* What comes next holds back what lies behind it. */
static bool look_ahead(const struct engine *engine, const struct ledger *ledger, struct why *ret)
{
    struct run_span next;
    struct run_span delayed;
    if (ordered_next(ledger, group_holds_dead(ledger->group), &next)) {
        tell_offset(ret, next.first);
        if (next.run.state == RUN_DEAD) {
            ret->reason = WHY_DEAD_AHEAD;
            return ledger_ready(ledger) > 0;
        }
        ret->reason = WHY_RETRY_AHEAD;
        ret->at_ms = why_wall_ms(engine, next.run.due_ms);
        return next.run.state == RUN_WAITING;
    }
    if (!levels_next_delayed(ledger, ledger->high, &delayed) || delayed.first > ledger->high ||
        ledger->high >= ledger->mark) {
        return false;
    }
    tell_offset(ret, ledger->high);
    ret->reason = WHY_DELAY_AHEAD;
    ret->at_ms = delayed.run.due_ms;
    return true;
}

static bool why_ordered(const struct engine *engine, const struct ledger *ledger, struct why *ret)
{
    const struct ledger_order *const order = ledger_order(ledger);
    struct why ahead = *ret;
    if (look_ahead(engine, ledger, &ahead)) {
        *ret = ahead;
        return true;
    }
    if (ledger_ready(ledger) == 0) {
        return false;
    }
    if (order && order->holder) {
        ret->reason = WHY_HELD;
        ret->has_member = true;
        ret->session = order->holder->session;
        ret->since_ms = why_wall_ms(engine, order->since_ms);
        return true;
    }
    if (ledger_leased(ledger) > 0) { /* of who has left, or has no session */
        ret->reason = WHY_HELD;
        tell_lease(engine, ledger, ret);
        return true;
    }
    return false;
}

/* Nothing is ready, and messages wait for others of their key: the one that keeps back most. */
static bool why_keyed(const struct ledger *ledger, struct why *ret)
{
    uint64_t offset = 0;
    const char *state = NULL;
    if (lanes_ready(ledger) > 0 || runmap_count(&ledger->runs, RUN_PARKED) == 0) {
        return false;
    }
    const uint32_t lane = lanes_hottest(ledger, &offset, &state);
    if (lane == 0) {
        return false;
    }
    ret->reason = WHY_KEY;
    tell_offset(ret, offset);
    ret->key = lane_key_told(lane_at(&ledger->ways->lanes->table, lane));
    return true;
}

/* What the mode of its group says; false = nothing. */
static bool why_mode(const struct engine *engine, const struct ledger *ledger, struct why *ret)
{
    switch (ledger->group->mode) {
    case GROUP_ORDERED:
        return why_ordered(engine, ledger, ret);
    case GROUP_KEYED:
        return why_keyed(ledger, ret);
    case GROUP_SHARED:
    case GROUP_MODES:
        break;
    }
    return false;
}

/* All that is left waits for a time: the first one. */
static void tell_time(const struct engine *engine, const struct ledger *ledger, struct why *ret)
{
    struct run_span delayed;
    const int64_t due_ms = ledger_due_ms(ledger);
    ret->reason = WHY_RETRY;
    if (due_ms != INT64_MAX) {
        ret->at_ms = why_wall_ms(engine, due_ms);
    }
    if (levels_delayed(ledger, ledger->mark) > 0 &&
        runmap_due(&ledger->ways->levels->agenda->map, &delayed) &&
        (ret->at_ms == 0 || delayed.run.due_ms < ret->at_ms)) {
        ret->reason = WHY_DELAY;
        ret->at_ms = delayed.run.due_ms;
    }
}

struct why why_ledger(const struct engine *engine, const struct ledger *ledger)
{
    struct why ret = {.reason = WHY_CAUGHT_UP, .ledger = ledger};
    if (!levels_are_known(ledger)) {
        ret.reason = WHY_LOADING;
    } else if (ledger_is_blocked(ledger) && ledger_ready(ledger) == 0) {
        ret.reason = WHY_CORRUPT;
        tell_offset(&ret, ledger_rare_of(ledger)->blocked);
    } else if (why_mode(engine, ledger, &ret)) {
        return ret;
    } else if (ledger_ready(ledger) > 0) {
        ret.reason = WHY_MOVING;
    } else if (ledger_leased(ledger) > 0) {
        ret.reason = WHY_LEASED;
        tell_lease(engine, ledger, &ret);
    } else if (ledger_waiting(ledger) > 0) {
        tell_time(engine, ledger, &ret);
    }
    return ret;
}

/* --- Of a group ---------------------------------------------------------------------------------- */

/* The partition whose reason is to be told first. */
static struct why first_reason(const struct engine *engine, const struct group *group)
{
    struct why ret = {.reason = WHY_NO_TOPIC};
    for (size_t i = 0; i < group->bindings.count; i++) {
        const struct binding *binding = group->bindings.slots[i].value;
        for (uint32_t k = 0; binding->topic && k < binding->topic->partition_count; k++) {
            const struct why one = why_ledger(engine, binding->ledgers[k]);
            const bool is_sooner =
                one.reason == ret.reason && one.at_ms != 0 && one.at_ms < ret.at_ms;
            if (ret.reason == WHY_NO_TOPIC || one.reason < ret.reason || is_sooner) {
                ret = one;
            }
        }
    }
    return ret;
}

static bool anybody_pulls(const struct group *group)
{
    return !TAILQ_EMPTY(&group->members.list) || group_is_awaited(group) ||
           group_first_working(group);
}

struct why why_group(const struct engine *engine, const struct group *group)
{
    struct why ret = first_reason(engine, group);
    const struct lease *const oldest = group_first_lease(group);
    if (ret.reason == WHY_NO_TOPIC) {
        return ret;
    }
    if (group->paused) {
        const int64_t since_ms = group->paused_ms;
        return (struct why){.reason = WHY_PAUSED,
                            .since_ms = since_ms > 0 ? why_wall_ms(engine, since_ms) : 0};
    }
    if ((ret.reason == WHY_MOVING || ret.reason == WHY_HELD) && !anybody_pulls(group)) {
        const int64_t since_ms = group->pulled_ms;
        return (struct why){.reason = WHY_NOBODY_PULLS,
                            .since_ms = since_ms > 0 ? why_wall_ms(engine, since_ms) : 0};
    }
    if (ret.reason != WHY_MOVING) {
        return ret;
    }
    ret = (struct why){.reason = WHY_MOVING};
    if (oldest && group_out(group) >= group_settings_of(group)->max_leased) {
        ret = (struct why){.reason = WHY_MAX_LEASED,
                           .limit = group_settings_of(group)->max_leased,
                           .has_member = true,
                           .session = oldest->session,
                           .since_ms = why_wall_ms(engine, oldest->granted_ms),
                           .at_ms = why_wall_ms(engine, oldest->deadline_ms)};
    }
    return ret;
}

/* --- Telling ------------------------------------------------------------------------------------- */

static const char *name_of(enum why_reason reason)
{
    static const char *const names[WHY_REASONS] = {
        [WHY_NO_TOPIC] = "no_topic",
        [WHY_PAUSED] = "paused",
        [WHY_NOBODY_PULLS] = "nobody_pulls",
        [WHY_MAX_LEASED] = "max_leased",
        [WHY_MOVING] = "moving",
        [WHY_CORRUPT] = "corrupt",
        [WHY_LOADING] = "loading",
        [WHY_DEAD_AHEAD] = "dead_ahead",
        [WHY_KEY] = "key",
        [WHY_RETRY_AHEAD] = "retry_ahead",
        [WHY_DELAY_AHEAD] = "delay_ahead",
        [WHY_HELD] = "partition_held",
        [WHY_LEASED] = "leased",
        [WHY_RETRY] = "retry",
        [WHY_DELAY] = "delay",
        [WHY_CAUGHT_UP] = "caught_up",
    };
    zsp_assert(reason < WHY_REASONS);
    return names[reason];
}

static void write_time(struct zsp_writer *out, const char *key, int64_t wall_ms)
{
    if (wall_ms != 0) {
        wire_write_text_uint(out, key, wall_ms > 0 ? (uint64_t)wall_ms : 0);
    }
}

void why_write(struct zsp_writer *out, const struct why *self, const struct ledger *holder_of)
{
    const bool has_place = self->ledger != NULL;
    const bool has_holder = holder_of && !hold_is_free(holder_of);
    const uint32_t count = 1u + (has_place ? 2u : 0u) + (self->has_offset ? 1u : 0u) +
                           (self->has_member ? 1u : 0u) + (self->since_ms != 0 ? 1u : 0u) +
                           (self->at_ms != 0 ? 1u : 0u) + (self->limit > 0 ? 1u : 0u) +
                           (self->key.data ? 1u : 0u) + (has_holder ? 1u : 0u);
    wire_write_map(out, count);
    wire_write_text(out, "reason");
    wire_write_text(out, name_of(self->reason));
    if (has_place) {
        wire_write_text_str(out, "topic", self->ledger->binding->followers->name);
        wire_write_text_uint(out, "partition", ledger_partition_index(self->ledger));
    }
    if (self->has_offset) {
        wire_write_text_uint(out, "offset", self->offset);
    }
    if (self->has_member) {
        wire_write_text_uint(out, "member", self->session);
    }
    write_time(out, "since_ms", self->since_ms);
    write_time(out, "at_ms", self->at_ms);
    if (self->limit > 0) {
        wire_write_text_uint(out, "limit", self->limit);
    }
    if (has_holder) {
        wire_write_text_uint(out, "holder", holder_of->ways->order->holder->session);
    }
    if (self->key.data) {
        wire_write_text(out, "key");
        wire_write_bin(out, self->key);
    }
}
