/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/order/hold.h"

#include <stdlib.h>

#include "broker/engine/ledger/ledger_ordered.h"
#include "broker/engine/pull/pull.h"
#include "broker/engine/pull/ready_set.h"
#include "common/assert.h"
#include "common/container.h"

/* --- The object ------------------------------------------------------------------------------- */

struct ledger_order *ledger_order_open(struct ledger *ledger)
{
    struct ledger_ways *const ways = ledger_ways_open(ledger);
    if (ways && !ways->order) {
        ways->order = calloc(1, sizeof *ways->order);
        if (ways->order) {
            ways->order->ledger = ledger;
        }
    }
    if (!ways || !ways->order) {
        ledger_ways_close(ledger);
        return NULL;
    }
    return ways->order;
}

void ledger_order_close(struct ledger *ledger)
{
    struct ledger_order *const order = ledger_order(ledger);
    if (order && !order->holder && !order->recalls) {
        free(order);
        ledger->ways->order = NULL;
        ledger_ways_close(ledger);
    }
}

static void link_last(struct member_holds *holds, struct ledger_order *order)
{
    order->next = NULL;
    order->prev = holds->last;
    *(holds->last ? &holds->last->next : &holds->first) = order;
    holds->last = order;
}

static void unlink_held(struct member_holds *holds, struct ledger_order *order)
{
    *(order->prev ? &order->prev->next : &holds->first) = order->next;
    *(order->next ? &order->next->prev : &holds->last) = order->prev;
    order->next = order->prev = NULL;
}

/* --- Holding ---------------------------------------------------------------------------------- */

static uint64_t out_of(const struct ledger *ledger)
{
    return runmap_count(&ledger->runs, RUN_LEASED) + runmap_count(&ledger->runs, RUN_RESERVED);
}

uint64_t hold_ready(const struct ledger *ledger)
{
    const bool is_free = hold_is_free(ledger);
    if (is_free ? out_of(ledger) > 0 : ledger->ways->order->leaves) {
        return 0;
    }
    return ordered_ready(ledger, group_holds_dead(ledger->group));
}

void hold_drop(struct groups *self, struct ledger *ledger)
{
    struct ledger_order *const order = ledger_order(ledger);
    if (!order || !order->holder) {
        return;
    }
    struct member *const member = order->holder;
    unlink_held(member->holds, order);
    order->holder = NULL;
    order->leaves = false;
    order->lapsed = false;
    if (!member->holds->first) {
        engine_cancel(self->engine, TIMER_WAIT, &member->holds->lapse);
        free(member->holds);
        member->holds = NULL;
    }
    ledger_order_close(ledger);
    group_ledger_changed(self, ledger);
}

/* Was the member not heard of for the time of a lease? */
static bool is_silent(const struct groups *self, const struct member *member)
{
    const struct group *const group = member->holds->first->ledger->group;
    return member->seen_ms + (int64_t)group_settings_of(group)->lease_ms <=
           self->engine->clock.broker_ms;
}

void hold_look(struct groups *self, struct ledger *ledger)
{
    const struct ledger_order *const order = ledger_order(ledger);
    if (order && (order->leaves || (order->lapsed && is_silent(self, order->holder))) &&
        out_of(ledger) == 0) {
        hold_drop(self, ledger);
    }
}

void hold_member_left(struct groups *self, struct member *member)
{
    while (member->holds) {
        hold_drop(self, member->holds->first->ledger);
    }
}

/* --- Members ------------------------------------------------------------------------------------ */

/* Does the ledger have anything to be done? */
static bool is_busy(const struct ledger *ledger)
{
    return ledger->told && ledger_has_work(&ledger->told->figures);
}

/* Partitions with work that it holds and keeps. */
static uint32_t count_held(const struct member *member)
{
    uint32_t count = 0;
    for (const struct ledger_order *order = member ? hold_first(member) : NULL; order;
         order = order->next) {
        count += is_busy(order->ledger) && !order->leaves ? 1 : 0;
    }
    return count;
}

static bool is_leaving(const struct member *member)
{
    for (const struct ledger_order *order = hold_first(member); order; order = order->next) {
        if (order->leaves) {
            return true;
        }
    }
    return false;
}

static struct member *member_of(const struct groups *self, const struct pull *pull)
{
    const uint64_t session = pull->parked.to.session;
    return session != 0 ? members_find(&pull->group->members, &self->members, session) : NULL;
}

static void lapse_fired(struct engine *engine, struct timer *timer)
{
    struct member *member = CONTAINER_OF(timer, struct member_holds, lapse)->member;
    struct group *const group = member->holds->first->ledger->group;
    const int64_t now_ms = engine->clock.broker_ms;
    const int64_t lease_ms = (int64_t)group_settings_of(group)->lease_ms;
    bool pulls = false;
    for (const struct pull *pull = group_first_parked(group); pull && !pulls;
         pull = TAILQ_NEXT(pull, link)) {
        pulls = pull->parked.to.session == member->session;
    }
    int64_t next_ms = member->seen_ms + lease_ms;
    if (pulls || next_ms <= now_ms) {
        next_ms = now_ms + lease_ms;
    }
    engine_arm(engine, TIMER_WAIT, timer, next_ms);
    const bool is_over = !pulls && member->seen_ms + lease_ms <= now_ms;
    struct ledger_order *next = NULL;
    for (struct ledger_order *order = hold_first(member); order; order = next) {
        next = order->next;
        order->lapsed = is_over;
        if (is_over && out_of(order->ledger) == 0) {
            hold_drop(engine->groups, order->ledger); /* the last one disarms the timer */
        }
    }
}

static int hold_take(struct groups *self, struct ledger *ledger, struct member *member)
{
    struct ledger_order *order = ledger_order_open(ledger);
    if (!order) {
        return ZSP_ENOMEM;
    }
    zsp_assert(!order->holder);
    if (!member->holds) {
        member->holds = calloc(1, sizeof *member->holds);
        if (!member->holds) {
            ledger_order_close(ledger);
            return ZSP_ENOMEM;
        }
        member->holds->member = member;
        member->holds->lapse.fire_fn = lapse_fired;
    }
    order->holder = member;
    order->since_ms = self->engine->clock.broker_ms;
    link_last(member->holds, order);
    if (!timer_is_armed(&member->holds->lapse)) {
        engine_arm(self->engine, TIMER_WAIT, &member->holds->lapse,
                   member->seen_ms + (int64_t)group_settings_of(ledger->group)->lease_ms);
    }
    group_ledger_changed(self, ledger);
    return 0;
}

/* --- Whose turn it is ---------------------------------------------------------------------------- */

/* Mark the bindings that the pull takes from. Returns the mark; 0 = all of its group. */
static uint64_t mark_bindings(struct groups *self, const struct pull *pull)
{
    if (pull->all_topics) {
        return 0;
    }
    const uint64_t stamp = ++self->bind_stamp;
    for (size_t i = 0; i < pull->topics->count; i++) {
        pull->topics->bindings[i]->bind_stamp = stamp;
    }
    return stamp;
}

static bool is_wanted(const struct ledger *ledger, uint64_t stamp)
{
    return ledger->binding->joined && (stamp == 0 || ledger->binding->bind_stamp == stamp);
}

/* --- Shares -------------------------------------------------------------------------------------- */

/* How much more a pull may take. */
struct room {
    uint32_t share, held; /* partitions with work */
    uint64_t contest;     /* the mark of bindings that one waits for who has less than the share; */
    bool all_contested;   /* one that waits for all topics */
};

/* Partitions with work that it holds and keeps, of the bindings with that mark. */
static uint32_t count_held_of(const struct member *member, uint64_t stamp)
{
    uint32_t count = 0;
    for (const struct ledger_order *order = hold_first(member); order; order = order->next) {
        count += is_busy(order->ledger) && !order->leaves && is_wanted(order->ledger, stamp);
    }
    return count;
}

/* Does the pull take from a binding with the mark? One whose topics are not joined yet takes nothing. */
static bool is_rival(const struct pull *pull, uint64_t stamp)
{
    if (pull_is_bound(pull) && (stamp == 0 || pull->all_topics)) {
        return true;
    }
    for (uint32_t i = 0; pull->topics && i < pull->topics->count; i++) {
        if (pull->topics->bindings[i]->bind_stamp == stamp) {
            return true;
        }
    }
    return false;
}

/* Partitions with work in the pull's topics. */
static uint32_t busy_of(const struct pull *pull)
{
    uint32_t busy = 0;
    for (uint32_t i = 0; !pull->all_topics && i < pull->topics->count; i++) {
        busy += binding_work_of(pull->topics->bindings[i])->busy;
    }
    return pull->all_topics ? group_work_of(pull->group)->busy_ledgers : busy;
}

/* What belongs to the rivals or to nobody, by their number; who has no session counts for each pull.
 * `stamp`: the mark of the pull's bindings. */
static uint32_t share_of(struct groups *self, const struct pull *one, uint64_t stamp)
{
    const uint64_t round = ++self->bind_stamp;
    const struct pull_topics *last = NULL; /* pulls that wait one behind the other share them */
    bool last_is_rival = false;
    uint32_t rivals = 0;
    uint32_t pool = busy_of(one);
    for (const struct pull *pull = group_first_parked(one->group); pull;
         pull = TAILQ_NEXT(pull, link)) {
        struct member *const member = member_of(self, pull);
        if (member && member->stamp == round) {
            continue;
        }
        last_is_rival =
            pull->topics && pull->topics == last ? last_is_rival : is_rival(pull, stamp);
        last = pull->topics;
        if (last_is_rival && member) {
            member->stamp = round;
            pool += count_held(member) - count_held_of(member, stamp);
        }
        rivals += last_is_rival ? 1 : 0;
    }
    struct member *member;
    TAILQ_FOREACH (member, &one->group->members.list, link) {
        const uint32_t held = member->stamp != round ? count_held_of(member, stamp) : 0;
        if (held > 0) {
            pool += count_held(member) - held;
            rivals++;
        }
    }
    return rivals > 0 ? (pool + rivals - 1) / rivals : pool;
}

/* Mark what others wait for who have less than the share. */
static void mark_contested(struct groups *self, const struct pull *one, struct room *room)
{
    room->contest = ++self->bind_stamp;
    for (const struct pull *pull = group_first_parked(one->group); pull && !room->all_contested;
         pull = TAILQ_NEXT(pull, link)) {
        const bool is_other = pull != one && (pull->parked.to.session == 0 ||
                                              pull->parked.to.session != one->parked.to.session);
        if (!is_other || count_held(member_of(self, pull)) >= room->share) {
            continue;
        }
        room->all_contested = pull->all_topics;
        for (uint32_t i = 0; pull->topics && i < pull->topics->count; i++) {
            if (pull->topics->bindings[i]->work) {
                pull->topics->bindings[i]->work->contest = room->contest;
            }
        }
    }
}

static struct room room_of(struct groups *self, const struct pull *pull, uint64_t stamp)
{
    struct room room = {.share = share_of(self, pull, stamp),
                        .held = count_held(member_of(self, pull))};
    mark_contested(self, pull, &room);
    return room;
}

/* May one more free partition of the binding, which has one with something, be taken? */
static bool has_room(const struct room *self, const struct binding *binding)
{
    return self->held < self->share ||
           (!self->all_contested && binding_work_of(binding)->contest != self->contest);
}

/* Has a free partition something that the pull may take? `room` NULL: if it has room for it. */
static bool has_free(struct groups *self, const struct pull *pull, const struct room *room)
{
    struct binding_walk walk;
    const struct binding *binding = NULL;
    binding_walk_begin(&walk, self, pull, 0);
    while ((binding = binding_walk_next(&walk))) {
        if (binding->joined && binding_ring(binding) && (!room || has_room(room, binding))) {
            return true;
        }
    }
    return false;
}

/* --- Taking -------------------------------------------------------------------------------------- */

bool hold_may_take(struct groups *self, const struct pull *pull)
{
    const uint64_t stamp = mark_bindings(self, pull);
    const struct member *member = member_of(self, pull);
    for (const struct ledger_order *order = member ? hold_first(member) : NULL; order;
         order = order->next) {
        if (is_wanted(order->ledger, stamp) && hold_ready(order->ledger) > 0) {
            return true;
        }
    }
    if (!has_free(self, pull, NULL)) {
        return false;
    }
    const struct room room = room_of(self, pull, stamp);
    return has_free(self, pull, &room);
}

void hold_balance(struct groups *self, struct pull *pull)
{
    const uint64_t stamp = mark_bindings(self, pull);
    const struct member *member = member_of(self, pull);
    const uint32_t held = count_held(member);
    struct ledger_order *found = NULL;
    uint32_t most = held + 1;
    struct member *other;
    TAILQ_FOREACH (other, &pull->group->members.list, link) {
        const uint32_t count = other != member && other->holds ? count_held(other) : 0;
        if (count <= most || is_leaving(other)) {
            continue;
        }
        struct ledger_order *best = NULL;
        for (struct ledger_order *order = hold_first(other); order; order = order->next) {
            if (is_wanted(order->ledger, stamp) && is_busy(order->ledger) &&
                (!best || out_of(order->ledger) < out_of(best->ledger))) {
                best = order;
            }
        }
        most = best ? count : most;
        found = best ? best : found;
    }
    if (found) {
        found->leaves = true;
        group_ledger_changed(self, found->ledger); /* free at once when nothing is out */
    }
}

/* From free partitions of one binding, as long as there is room for one more; those that gave something
 * are held. */
static int take_free(struct groups *self, struct pull *pull, struct binding *binding,
                     struct member *member, struct room *room)
{
    const bool holds_dead = group_holds_dead(pull->group);
    struct take *take = &pull->take;
    while (binding->joined && binding_ring(binding) && take->messages > 0 && !take->alone &&
           take->piece_count < take->piece_max && has_room(room, binding)) {
        struct ledger *ledger = binding_ring(binding)->ledger;
        const uint64_t taken = take->taken;
        binding->work->ring = binding->work->ring->ring_next;
        int rc = ordered_take(ledger, holds_dead, take);
        group_ledger_changed(self, ledger);
        if (rc == 0 && take->taken > taken && member) {
            rc = hold_take(self, ledger, member);
        }
        if (rc < 0 || take->taken == taken) {
            return rc; /* e.g. limited ones, which go alone */
        }
        room->held++;
    }
    return 0;
}

static int take_own(struct groups *self, struct pull *pull, struct member *member)
{
    const bool holds_dead = group_holds_dead(pull->group);
    const uint64_t stamp = mark_bindings(self, pull);
    struct take *take = &pull->take;
    struct ledger_order *const last = member->holds ? member->holds->last : NULL;
    struct ledger_order *order = hold_first(member);
    bool more = order != NULL;
    while (more && take->messages > 0 && take->piece_count < take->piece_max && !take->alone) {
        struct ledger_order *const next = order->next;
        more = order != last;
        const uint64_t taken = take->taken;
        if (is_wanted(order->ledger, stamp) && hold_ready(order->ledger) > 0) {
            int rc = ordered_take(order->ledger, holds_dead, take);
            group_ledger_changed(self, order->ledger);
            if (rc < 0) {
                return rc;
            }
        }
        if (take->taken > taken) { /* the next pull begins with another one */
            unlink_held(member->holds, order);
            link_last(member->holds, order);
        }
        order = next;
    }
    return 0;
}

int hold_reserve(struct groups *self, struct pull *pull)
{
    struct member *const member = member_of(self, pull);
    const size_t first = pull_takes_turns(pull) ? pull->group->next_binding++ : 0;
    struct room room = room_of(self, pull, mark_bindings(self, pull));
    struct binding_walk walk;
    struct binding *binding = NULL;
    int rc = 0;
    binding_walk_begin(&walk, self, pull, first);
    while (rc == 0 && (binding = binding_walk_next(&walk))) {
        rc = take_free(self, pull, binding, member, &room);
    }
    return rc == 0 && member ? take_own(self, pull, member) : rc;
}
