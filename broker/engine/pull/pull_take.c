/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/pull/pull_take.h"

#include <limits.h>

#include "broker/engine/group/group_rules.h"
#include "broker/engine/order/fair.h"
#include "broker/engine/pull/ready_set.h"

/* Instead of a priority. */
#define ANY_PRIORITY UINT_MAX
/* Messages by priority for each one of a turn. */
#define BETWEEN ((int32_t)TURN_EVERY - 1)
/* More is not remembered. */
#define OWED_MAX (1 << 24)

/* `priority` ANY_PRIORITY: all of them, as they come in each ledger. */
static int take_binding(struct groups *groups, struct binding *binding, struct take *take,
                        unsigned priority)
{
    /* Each ledger once: the ring turns, those left empty leave it. */
    const struct ledger_told *const last =
        binding_ring(binding) ? binding_ring(binding)->ring_prev : NULL;
    bool more = binding->joined && last;
    while (more && take->messages > 0 && take->piece_count < take->piece_max && !take->alone) {
        struct ledger *ledger = binding_ring(binding)->ledger;
        more = binding_ring(binding) != last;
        binding->work->ring = binding->work->ring->ring_next;
        if (priority != ANY_PRIORITY && (ledger_priorities(ledger) >> priority & 1u) == 0) {
            continue;
        }
        int rc = priority == ANY_PRIORITY ? ledger_take(ledger, take)
                                          : ledger_take_priority(ledger, take, priority);
        group_ledger_changed(groups, ledger);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

/* From all topics of the pull, beginning with one of them. */
static int take_topics(struct groups *groups, struct pull *self, size_t first, unsigned priority)
{
    struct binding_walk walk;
    struct binding *binding = NULL;
    int rc = 0;
    binding_walk_begin(&walk, groups, self, first);
    while (rc == 0 && self->take.messages > 0 && !self->take.alone &&
           (binding = binding_walk_next(&walk))) {
        rc = take_binding(groups, binding, &self->take, priority);
    }
    return rc;
}

/* The most urgent first, over all topics and partitions. */
static int take_by_priority(struct groups *groups, struct pull *self, size_t first)
{
    int rc = 0;
    for (unsigned left = ZSP_PRIORITY_MAX + 1; left > 0 && rc == 0; left--) {
        rc = take_topics(groups, self, first, left - 1);
    }
    return rc;
}

/* --- Turns -------------------------------------------------------------------------------------- */

/* Priorities at which the pull gets something, a bit each. */
static unsigned priorities_of(struct groups *groups, const struct pull *self)
{
    struct binding_walk walk;
    const struct binding *binding = NULL;
    unsigned ret = 0;
    binding_walk_begin(&walk, groups, self, 0);
    while ((binding = binding_walk_next(&walk))) {
        const struct ledger_told *const first = binding_ring(binding);
        const struct ledger_told *told = first;
        for (bool more = first != NULL; more; more = told != first) {
            ret |= ledger_ready(told->ledger) > 0 ? ledger_priorities_ready(told->ledger) : 0;
            told = told->ring_next;
        }
    }
    return ret;
}

static unsigned highest(unsigned priorities)
{
    unsigned ret = ZSP_PRIORITY_MAX;
    while (ret > 0 && (priorities >> ret & 1u) == 0) {
        ret--;
    }
    return ret;
}

/* Take up to `count` more, of all priorities or of one. */
static int take_some(struct groups *groups, struct pull *self, size_t first, uint64_t count,
                     unsigned priority)
{
    struct take *take = &self->take;
    const uint64_t rest = take->messages - count;
    take->messages = count;
    int rc = priority == ANY_PRIORITY ? take_by_priority(groups, self, first)
                                      : take_topics(groups, self, first, priority);
    take->messages += rest;
    return rc;
}

/* Count a change of what is owed to the less urgent. */
static void owe(struct group *group, int64_t messages)
{
    const int64_t owed = group->owed + messages;
    group->owed = (int32_t)(owed > OWED_MAX ? OWED_MAX : owed < -OWED_MAX ? -OWED_MAX : owed);
}

/* Up to `count` messages of the priority of `lower` whose turn it is. */
static int take_turn(struct groups *groups, struct pull *self, size_t first, uint64_t count,
                     unsigned lower)
{
    struct group *group = self->group;
    const uint64_t before = self->take.taken;
    int rc = 0;
    self->take.kind = TAKE_TURN;
    while (lower != 0 && rc == 0 && self->take.taken == before) {
        const unsigned below = lower & ((1u << group->turn) - 1u);
        const unsigned priority = highest(below != 0 ? below : lower);
        lower &= ~(1u << priority);
        rc = take_some(groups, self, first, count, priority);
        group->turn = self->take.taken > before ? (uint8_t)priority : group->turn;
    }
    owe(group, -(int64_t)((self->take.taken - before) * BETWEEN));
    return rc;
}

/* Those whose turn it is and those by priority, until something is taken. `turn` = messages of one.
 * *has_turns becomes false when nothing of the less urgent can come along. */
static int take_next(struct groups *groups, struct pull *self, size_t first, uint64_t turn,
                     bool *has_turns)
{
    struct group *group = self->group;
    struct take *take = &self->take;
    const uint64_t before = take->taken;
    const unsigned ready = priorities_of(groups, self);
    const unsigned lower = ready & ~(1u << highest(ready));
    *has_turns = *has_turns && lower != 0;
    /* None wait: nothing is owed. Later they may all be reserved by this pull, and come back. */
    group->owed = (lower == 0 && before == 0) || group->owed < 0 ? 0 : group->owed;
    if (*has_turns && group->owed >= BETWEEN) {
        const uint64_t due = (uint64_t)group->owed / BETWEEN;
        const uint64_t count = due < turn ? due : turn;
        int rc =
            take_turn(groups, self, first, count < take->messages ? count : take->messages, lower);
        if (rc < 0 || take->taken > before) {
            return rc;
        }
        *has_turns = false;
        group->owed = BETWEEN; /* the next pull begins with it */
        if (before > 0) {
            return 0; /* now: what is to be alone in its reply does not come behind others */
        }
    }
    const uint64_t count = *has_turns ? turn * BETWEEN - (uint64_t)group->owed : take->messages;
    take->kind = *has_turns ? TAKE_BETWEEN : TAKE_PLAIN;
    int rc = take_some(groups, self, first, count < take->messages ? count : take->messages,
                       ANY_PRIORITY);
    owe(group, *has_turns ? (int64_t)(take->taken - before) : 0);
    return rc;
}

/* So much at a time that turns, of the same number of messages each, are few. */
static int take_weighted(struct groups *groups, struct pull *self, size_t first)
{
    struct take *take = &self->take;
    const uint64_t turn = self->most / (TURN_EVERY * TURNS_MAX) + 1;
    const uint64_t limit = take->taken + turn * TURN_EVERY * TURNS_MAX;
    bool has_turns = true;
    uint64_t before = UINT64_MAX;
    int rc = 0;
    while (rc == 0 && take->messages > 0 && take->piece_count < take->piece_max && !take->alone &&
           take->taken != before && (take->taken < limit || !has_turns)) {
        before = take->taken;
        rc = take_next(groups, self, first, turn, &has_turns);
    }
    return rc;
}

void pull_take_back(struct group *group, const struct piece *piece)
{
    const int64_t count = (int64_t)(piece->end - piece->first);
    if (!group || piece->kind == TAKE_PLAIN || count == 0) {
        return;
    }
    owe(group, piece->kind == TAKE_TURN ? count * BETWEEN : -count);
    if (piece->kind == TAKE_TURN && group->turn < ZSP_PRIORITY_MAX) {
        group->turn++; /* the same again */
    }
}

void pull_take_undone(const struct pull *self)
{
    for (size_t i = self->take.piece_count; i > 0; i--) {
        pull_take_back(self->group, &self->take.pieces[i - 1]);
    }
}

/* The turn is due again, but goes to the next priority: one of which all has expired does not keep the
 * others from theirs. */
void pull_take_left_out(struct pull *self)
{
    struct group *group = self->group;
    for (size_t i = 0; i < self->take.piece_count; i++) {
        struct piece *piece = &self->take.pieces[i];
        const int64_t count = (int64_t)piece->left_out;
        if (count == 0) {
            continue;
        }
        if (piece->kind != TAKE_PLAIN) {
            owe(group, piece->kind == TAKE_TURN ? count * BETWEEN : -count);
        }
        if (piece->ledger && piece->tenant != 0) {
            fair_turn_back(piece->ledger, piece->tenant, piece->priority, piece->left_out);
        }
        piece->first += piece->left_out; /* no part of what may still be put back */
        piece->left_out = 0;
    }
}

int pull_take_again(struct groups *groups, struct pull *self)
{
    const struct group *group = self->group;
    const uint64_t out = group_out(group);
    const uint64_t most = group_settings_of(group)->max_leased;
    const uint64_t room = most > out ? most - out : 0;
    const uint64_t wanted = self->most > self->messages ? self->most - self->messages : 0;
    const uint64_t reach =
        group_filter_of(group) && wanted > 0 ? group_filter_reach(group, wanted) : wanted;
    self->lost_turn = self->any_lost = false;
    pull_take_left_out(self);
    self->take.piece_fixed = self->take.piece_count; /* they were read */
    self->take.messages = reach < room ? reach : room;
    return pull_take(groups, self, group->next_binding);
}

int pull_take(struct groups *groups, struct pull *self, size_t first)
{
    const struct group *group = self->group;
    if (group_work_of(group)->with_levels == 0) {
        return take_topics(groups, self, first, ANY_PRIORITY);
    }
    return group_settings_of(group)->priority == PRIORITY_WEIGHTED
               ? take_weighted(groups, self, first)
               : take_by_priority(groups, self, first);
}
