/* SPDX-License-Identifier: MPL-2.0
 *
 * Pulls that wait, and who is served when. Pulls are served at the
 * end of a turn, first come first served; when several wait, each gets at most
 * its share of what is ready, so that one does not take what ten came for.
 */
#include "broker/engine/pull/pull.h"

#include <stdlib.h>
#include <string.h>

#include "broker/engine/group/group_hooks.h"
#include "broker/engine/group/group_rules.h"
#include "broker/engine/group/mark_watch.h"
#include "broker/engine/ledger/agenda.h"
#include "broker/engine/ledger/levels.h"
#include "broker/engine/order/fair.h"
#include "broker/engine/order/hold.h"
#include "broker/engine/order/lanes.h"
#include "broker/engine/pull/pull_arrays.h"
#include "broker/engine/pull/pull_take.h"
#include "broker/engine/replay/side_replay.h"
#include "common/assert.h"
#include "common/container.h"

/* Times in a row that a pull may come back with nothing, and nothing done, before it is told so. */
#define TRIES_MAX 8u
/* Pulls whose memory is kept for later ones. */
#define PULLS_KEPT 256u

/* --- The object ------------------------------------------------------------------------------ */

void *pull_grow(void *items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity) {
        return items;
    }
    const size_t wanted = *capacity > 0 ? *capacity * 2 : 16;
    void *grown = realloc(items, wanted * size);
    if (grown) {
        *capacity = wanted;
    }
    return grown;
}

struct pull *pull_new(struct groups *groups)
{
    struct pull *self = TAILQ_FIRST(&groups->free_pulls);
    if (!self) {
        return calloc(1, sizeof *self);
    }
    TAILQ_REMOVE(&groups->free_pulls, self, link);
    groups->free_pull_count--;
    memset(self, 0, sizeof *self);
    return self;
}

static void free_memory(struct pull *self)
{
    zsp_buf_put(&self->outcomes.told.not_applied);
    pull_arrays_free(self);
    free(self->cuts);
    free(self->names);
    pull_topics_drop(self);
    free(self);
}

void pull_give(struct groups *groups, struct pull *self)
{
    pull_arrays_give(groups, self);
    if (groups->free_pull_count >= PULLS_KEPT) {
        free_memory(self);
        return;
    }
    free(self->names);
    self->names = NULL;
    pull_topics_drop(self);
    groups->free_pull_count++;
    TAILQ_INSERT_HEAD(&groups->free_pulls, self, link);
}

/* It goes. A lease that nobody was told of is for the same request sent again, or ends. */
static void leave_lease(struct engine *engine, const struct pull *self)
{
    struct lease *lease = NULL;
    if (self->group && self->state == PULL_GRANTING && self->lease != 0) {
        lease = lease_find(&engine->groups->leases, self->lease);
    } else if (self->group && self->is_resent) {
        lease = pull_lease_lives(engine, self);
    }
    const bool is_untold = lease && !lease->is_told && !lease->is_granting;
    if (!is_untold && !self->abandoned) {
        return;
    }
    const struct pull *again = self->group ? pull_sent_again(engine, self) : NULL;
    if (again) {
        group_wake(engine->groups, again->group);
    } else if (is_untold) {
        group_lease_end(engine->groups, lease, LEASE_UNDELIVERED);
    }
}

void pull_free(struct engine *engine, struct pull *self)
{
    parked_remove(engine, &self->parked);
    leave_lease(engine, self);
    settle_leave(&self->outcomes);
    pull_leave_group(engine->groups, self);
    pull_give(engine->groups, self);
}

/* As at the end: nobody is answered. */
static void forget(struct groups *self, struct pull *pull)
{
    pull_leave_group(self, pull);
    free_memory(pull);
}

void pull_fini(struct groups *self)
{
    const struct name_index *groups = &self->engine->catalog.groups;
    for (size_t i = 0; i < groups->count; i++) {
        struct group *const group = groups->slots[i].value;
        while (group_first_parked(group)) {
            forget(self, group_first_parked(group));
        }
        while (group_first_working(group)) {
            forget(self, group_first_working(group));
        }
    }
    while (!TAILQ_EMPTY(&self->lost_pulls)) {
        forget(self, TAILQ_FIRST(&self->lost_pulls));
    }
    while (!TAILQ_EMPTY(&self->free_pulls)) {
        struct pull *pull = TAILQ_FIRST(&self->free_pulls);
        TAILQ_REMOVE(&self->free_pulls, pull, link);
        free_memory(pull);
    }
    pull_arrays_fini(self);
}

/* --- The answer ------------------------------------------------------------------------------- */

void pull_tell_error(struct engine *engine, const struct pull *self, const struct zsp_err *error)
{
    struct zsp_err told = *error;
    told.maybe = told.maybe || self->has_outcomes;
    reply_error(engine, &self->parked.to, &told);
}

void pull_fail(struct engine *engine, struct pull *self, const struct zsp_err *error)
{
    pull_tell_error(engine, self, error);
    pull_free(engine, self);
}

/* The runs and the body between two cuts; the runs' key and value. */
static void write_runs(struct engine *engine, struct zsp_writer *out, const struct pull *self,
                       struct pull_cut from, struct pull_cut to)
{
    wire_write_text(out, "runs");
    wire_write_array(out, to.wire_count - from.wire_count);
    if (to.wire_len > from.wire_len) {
        zsp_write_bytes(
            out, (struct zsp_slice){self->wire.data + from.wire_len, to.wire_len - from.wire_len});
    }
    for (size_t i = from.part_count; i < to.part_count; i++) {
        reply_body(engine, &self->parts[i]);
    }
}

/* The PARTs; returns where the last reply begins. */
static struct pull_cut answer_parts(struct engine *engine, const struct pull *self)
{
    struct pull_cut from = {0};
    for (size_t i = 0; i < self->cut_count; i++) {
        struct zsp_writer *out = reply_begin_part(engine, &self->parked.to);
        wire_write_map(out, 1);
        write_runs(engine, out, self, from, self->cuts[i]);
        reply_end(engine);
        from = self->cuts[i];
    }
    return from;
}

/* `reason` NULL = none. */
static void write_answer(struct engine *engine, const struct pull *self, const char *reason,
                         bool has_runs)
{
    const struct pull_cut end = {.wire_count = has_runs ? self->wire_count : 0,
                                 .wire_len = has_runs ? self->wire.len : 0,
                                 .part_count = has_runs ? self->part_count : 0};
    const struct pull_cut from = has_runs ? answer_parts(engine, self) : end;
    struct lease *lease =
        has_runs && self->messages > 0 ? lease_find(&engine->groups->leases, self->lease) : NULL;
    const int64_t left_ms = lease ? lease->deadline_ms - engine->clock.broker_ms : 0;
    if (lease) {
        lease->is_told = true;
    }
    struct zsp_writer *out = reply_begin(engine, &self->parked.to);
    const bool tells_mode = self->group && self->group->mode != GROUP_SHARED;
    const struct ledger *stalled =
        reason && strcmp(reason, "look_ahead") == 0 ? pull_stalled(self) : NULL;
    wire_write_map(out, 2u + (reason ? 1u : 0u) + (self->has_outcomes ? 1u : 0u) +
                            (tells_mode ? 1u : 0u) + (stalled ? 1u : 0u));
    write_runs(engine, out, self, from, end);
    wire_write_text_uint(out, "lease_ms", left_ms > 0 ? (uint64_t)left_ms : 0);
    if (reason) {
        wire_write_text(out, "reason");
        wire_write_text(out, reason);
    }
    if (tells_mode) {
        wire_write_text(out, "mode");
        wire_write_text(out, group_mode_name(self->group->mode));
    }
    if (stalled) {
        wire_write_text(out, "stalled");
        lanes_write_stalled(out, stalled);
    }
    if (self->has_outcomes) {
        wire_write_text(out, "settled");
        settle_write_told(out, &self->outcomes.told);
    }
}

void pull_rest(struct pull *self)
{
    if (self->state == PULL_PARKED && !self->is_resent) {
        pull_unpark(self);
    }
    self->is_ready = self->state != PULL_PARKED;
}

void pull_answer(struct engine *engine, struct pull *self)
{
    if (self->outcomes.settle) {
        pull_rest(self);
        return;
    }
    write_answer(engine, self, pull_reason(engine, self), true);
    if (self->messages > 0) {
        reply_lease(engine, self->lease);
        self->lease = 0;
    }
    reply_end(engine);
    pull_free(engine, self);
}

void pull_answer_empty(struct engine *engine, const struct pull *self, const char *reason)
{
    write_answer(engine, self, reason, false);
    reply_end(engine);
}

void pull_again(struct engine *engine, struct pull *self)
{
    struct group *group = self->group;
    pull_arrays_give(engine->groups, self);
    (void)reply_room(engine, &self->parked.to, 0);
    pull_park_again(self);
    if ((self->ending && !self->is_resent) || ++self->tries >= TRIES_MAX) {
        pull_answer(engine, self);
        return;
    }
    group_wake(engine->groups, group);
}

/* --- Serving ------------------------------------------------------------------------------------ */

/* What its names mean has changed: it has no topics until it has looked again. */
static void forget_topics(struct pull *self)
{
    if (self->state == PULL_PARKED) {
        pull_count_waiting(self, UINT32_MAX); /* unsigned: minus one */
    }
    self->all_topics = false;
    pull_topics_drop(self);
}

/* Are all of its topics joined? Asks for those that are not. */
static bool bind_topics(struct engine *engine, struct pull *self)
{
    struct group *group = self->group;
    if (self->names && pull_topics_are_stale(self)) {
        forget_topics(self);
    }
    if (self->all_topics || self->topics || group->state != GROUP_LIVE) {
        return group->state == GROUP_LIVE;
    }
    bool all_known = false;
    struct zsp_err error = {0};
    int rc = pull_topics_bind(engine->groups, self, &all_known);
    if (rc > 0) {
        self->join = NULL;
        pull_count_waiting(self, 1);
        return true;
    }
    if (rc < 0) {
        (void)zsp_err_set(&error, rc, "pull: out of memory");
    } else if (!all_known && !self->join) {
        rc = group_join(engine, group, self->names, self->name_count, NULL, &self->join, &error);
        if (rc == 0) {
            reply_may_apply(engine, &self->parked.to);
        }
    }
    if (rc < 0) {
        pull_fail(engine, self, &error);
    }
    return false;
}

/* Messages that it could get, and how many pulls wait for them. */
static void share_of(const struct pull *self, uint64_t *ret_ready, uint64_t *ret_waiting)
{
    if (self->all_topics) {
        *ret_ready = group_work_of(self->group)->ready;
        *ret_waiting = group_work_of(self->group)->parked_count;
        return;
    }
    *ret_ready = 0;
    *ret_waiting = 1;
    for (size_t i = 0; i < self->topics->count; i++) {
        const struct binding *binding = self->topics->bindings[i];
        const uint64_t waiting =
            (uint64_t)binding->waiting + group_work_of(self->group)->waiting_all;
        *ret_ready += binding_work_of(binding)->ready;
        if (binding_work_of(binding)->ready > 0 && waiting > *ret_waiting) {
            *ret_waiting = waiting;
        }
    }
}

/* Reserve for a pull what its limits, its share and the group's limit allow. */
static int reserve(struct groups *groups, struct pull *self)
{
    struct group *group = self->group;
    uint64_t ready = 0;
    uint64_t waiting = 1;
    share_of(self, &ready, &waiting);
    const uint64_t out = group_out(group);
    const uint64_t most = group_settings_of(group)->max_leased;
    const uint64_t room = most > out ? most - out : 0;
    /* Members of ordered groups share partitions, not messages. */
    const uint64_t share =
        group->mode == GROUP_ORDERED ? UINT64_MAX : (ready + waiting - 1) / waiting;
    uint64_t wanted =
        self->max_messages < PULL_MESSAGES_MAX ? self->max_messages : PULL_MESSAGES_MAX;
    wanted = wanted < share ? wanted : share;
    wanted = wanted < room ? wanted : room;
    if (pull_arrays_take(groups, self) < 0) {
        return ZSP_ENOMEM;
    }
    self->most = wanted;
    const uint64_t reach = wanted << self->reach < room ? wanted << self->reach : room;
    self->take = (struct take){
        .messages = group_filter_of(group) && wanted > 0 ? group_filter_reach(group, wanted)
                    : reach < PULL_MESSAGES_MAX          ? reach
                                                         : PULL_MESSAGES_MAX,
        .pieces = self->take.pieces,
        .piece_max = self->piece_capacity,
    };
    if (group->mode == GROUP_ORDERED) {
        return hold_reserve(groups, self);
    }
    if (group_fair_of(group) && !group_filter_of(group)) {
        const uint64_t fits = group_fair_fits(group_fair_of(group)) << self->reach;
        self->take.messages = fits < self->take.messages ? fits : self->take.messages;
    }
    const size_t first = pull_takes_turns(self) ? group->next_binding++ : 0;
    int rc = pull_take(groups, self, first);
    if (rc == 0 && group->mode == GROUP_KEYED) {
        wanted = self->max_messages < room ? self->max_messages : room;
        wanted = wanted < PULL_MESSAGES_MAX ? wanted : PULL_MESSAGES_MAX;
        self->most = wanted;
        rc = wanted > self->take.taken ? lanes_follow(self, wanted - self->take.taken) : 0;
    }
    if (group_fair_of(group) && group_settings_of(group)->priority != PRIORITY_WEIGHTED) {
        fair_sort(&self->take);
    }
    self->is_cut = self->take.taken < self->max_messages && ready > self->take.taken;
    return rc;
}

/* Ask for room for the reply. False = it stays parked until there is, or it was refused. */
static bool get_room(struct engine *engine, struct pull *self)
{
    switch (reply_room(engine, &self->parked.to, self->max_bytes)) {
    case ENGINE_ROOM:
        return true;
    case ENGINE_ROOM_LATER:
        self->group->wants_room = true;
        engine->pulls_want_room = true;
        return false;
    case ENGINE_NO_ROOM:
        reply_no_room(engine, &self->parked.to, self->has_outcomes);
        pull_free(engine, self);
        return false;
    }
    return false;
}

void pull_room_again(struct engine *engine)
{
    const struct name_index *const groups = &engine->catalog.groups;
    if (!engine->pulls_want_room) {
        return;
    }
    engine->pulls_want_room = false;
    for (size_t i = 0; i < groups->count; i++) {
        struct group *const group = groups->slots[i].value;
        if (group->wants_room) {
            group->wants_room = false;
            group_wake(engine->groups, group);
        }
    }
}

struct lease *pull_lease_lives(const struct engine *engine, const struct pull *self)
{
    if (self->parked.to.session == 0) {
        return NULL;
    }
    struct lease *const lease = lease_find_request(&engine->groups->leases, self->group->id,
                                                   self->parked.to.session, self->parked.to.id);
    return lease && lease->ending == LEASE_LIVES ? lease : NULL;
}

struct pull *pull_sent_again(const struct engine *engine, const struct pull *self)
{
    struct parked *const parked = parked_find(engine, self->parked.to.session, self->parked.to.id);
    if (!parked || parked->end_fn != self->parked.end_fn) {
        return NULL;
    }
    struct pull *const again = CONTAINER_OF(parked, struct pull, parked);
    return again != self && again->group == self->group ? again : NULL;
}

static void resend(struct engine *engine, struct pull *self)
{
    if (get_room(engine, self)) {
        pull_unpark(self);
        pull_begin_again(engine, self, pull_lease_lives(engine, self));
    }
}

/* While keys are read that may let it have more: as many messages and bytes are read for it as it, and
 * each who waits like it, could be given, whosever keys these are. */
static bool waits_for_more(struct pull *self, uint64_t ready, uint64_t waiting)
{
    const struct group_work *work = group_work_of(self->group);
    if (self->group->lanes_reading == 0 || self->is_hurried ||
        ready / waiting >= self->max_messages) {
        return false;
    }
    if (!self->fills) {
        self->fills = true;
        self->scanned_messages = work->scanned_messages;
        self->scanned_bytes = work->scanned_bytes;
    }
    const uint64_t messages = work->scanned_messages - self->scanned_messages;
    const uint64_t bytes = work->scanned_bytes - self->scanned_bytes;
    return messages / waiting < self->max_messages && bytes / waiting < self->max_bytes &&
           bytes < LANES_FILL_MAX;
}

bool pull_hurry(struct pull *self)
{
    uint64_t ready = 0;
    uint64_t waiting = 0;
    if (self->fills && !self->group->paused) {
        share_of(self, &ready, &waiting);
    }
    self->is_hurried = ready > 0;
    return self->is_hurried;
}

/* One parked pull that is bound: begin it, answer it, or leave it. */
static void serve_bound(struct engine *engine, struct pull *self)
{
    uint64_t ready = 0;
    uint64_t waiting = 0;
    if (self->group->paused) {
        if (!self->waits) {
            pull_answer(engine, self);
        }
        return;
    }
    share_of(self, &ready, &waiting);
    if (self->group->mode == GROUP_ORDERED) {
        hold_balance(engine->groups, self);
        ready = hold_may_take(engine->groups, self) ? ready : 0;
    }
    if (self->group->lanes_reading > 0 &&
        (ready == 0 || group_work_of(self->group)->with_levels > 0)) {
        return; /* until the keys of what comes next are known, and of what is more urgent */
    }
    if (waits_for_more(self, ready, waiting)) {
        return;
    }
    if (ready > 0 && !get_room(engine, self)) {
        return;
    }
    if (reserve(engine->groups, self) < 0) {
        group_out_of_memory(engine->groups);
        return;
    }
    if (self->take.taken > 0) {
        pull_unpark(self);
        pull_begin(engine, self);
        return;
    }
    pull_arrays_give(engine->groups, self);
    if (ready > 0) {
        (void)reply_room(engine, &self->parked.to, 0);
    }
    if (!self->waits) {
        pull_answer(engine, self);
    }
}

/* Could one of those that wait get something? Else none of them looks through its topics, of which
 * each may have named a thousand. */
static bool may_give(const struct group *group)
{
    return group_work_of(group)->ready > 0 && !group->paused &&
           group_out(group) < group_settings_of(group)->max_leased &&
           (group_work_of(group)->waiting_all > 0 || group_work_of(group)->claimed > 0);
}

static void serve_one(struct engine *engine, struct pull *self)
{
    if (self->ending && !self->is_resent && self->outcomes.settle) {
        return; /* its wait is over: it is here for its outcomes only */
    }
    if (!bind_topics(engine, self)) {
        return;
    }
    struct lease *const lease = self->is_resent ? pull_lease_lives(engine, self) : NULL;
    if (lease) {
        lease->is_awaited = lease->is_granting;
        if (!lease->is_granting) {
            resend(engine, self);
        }
        return;
    }
    self->is_resent = false; /* the lease ended meanwhile: a pull like any other */
    if (self->ending) {
        pull_answer(engine, self);
        return;
    }
    if (side_replay_is_ending(self->group)) {
        return;
    }
    if (side_replay_is_finished(self->group)) {
        pull_answer(engine, self);
        return;
    }
    if (group_work_of(self->group)->unknown > 0) {
        return; /* until the agendas are read */
    }
    if (!self->waits || may_give(self->group)) {
        serve_bound(engine, self);
    }
}

/* Have read what must be known before anything is handed out. */
static void learn(struct engine *engine, struct group *group)
{
    for (size_t i = 0; i < group->bindings.count && group_work_of(group)->unknown > 0; i++) {
        const struct binding *binding = group->bindings.slots[i].value;
        for (uint32_t k = 0; binding->topic && k < binding->topic->partition_count; k++) {
            if (!levels_are_known(binding->ledgers[k])) {
                agenda_want(engine, binding->topic->partitions[k]);
            }
        }
    }
}

void pull_serve(struct engine *engine, struct group *group)
{
    struct pull *next = NULL;
    mark_watch_refresh(engine->groups, group);
    if (group->side) {
        side_replay_serve(engine, group);
    }
    learn(engine, group);
    lanes_serve(engine, group);
    if (group_fair_of(group)) {
        fair_want(engine, group);
    }
    const size_t count =
        group_work_of(group)->parked_count; /* one that comes back waits for the next turn */
    struct pull *pull = group_first_parked(group);
    for (size_t i = 0; i < count && pull && !engine->failed; i++) {
        next = TAILQ_NEXT(pull, link);
        serve_one(engine, pull);
        pull = next;
    }
    lanes_serve(engine, group); /* less is ready now */
    if (group_fair_of(group)) {
        group_fair_served(group_fair_of(group));
    }
}

/* What the pull has reserved in this ledger (NULL = in any) is void. */
static void forget_ledger(struct pull *self, const struct ledger *ledger)
{
    self->is_stale = true;
    for (size_t i = 0; i < self->take.piece_count; i++) {
        struct piece *piece = &self->take.pieces[i];
        piece->ledger = ledger && piece->ledger != ledger ? piece->ledger : NULL;
    }
    for (size_t i = 0; i < self->run_count; i++) {
        struct pull_run *run = &self->runs[i];
        run->ledger = ledger && run->ledger != ledger ? run->ledger : NULL;
    }
    for (size_t i = 0; i < self->absent_count; i++) {
        struct pull_run *run = &self->absent[i];
        run->ledger = ledger && run->ledger != ledger ? run->ledger : NULL;
    }
}

void pull_forget_ledger(struct group *group, const struct ledger *ledger)
{
    for (struct pull *pull = group_first_working(group); pull; pull = TAILQ_NEXT(pull, link)) {
        forget_ledger(pull, ledger);
    }
}

void pull_end_all(struct engine *engine, struct group *group, const struct zsp_err *error)
{
    struct pull *next = NULL;
    for (struct pull *pull = group_first_parked(group); pull; pull = next) {
        next = TAILQ_NEXT(pull, link);
        pull_fail(engine, pull, error);
    }
    while (group_first_working(group)) {
        struct pull *pull = group_first_working(group);
        pull_lose_group(engine->groups, pull);
        forget_ledger(pull, NULL);
    }
}

void pull_join_failed(struct engine *engine, struct group *group, const struct join *join,
                      const struct zsp_err *error)
{
    struct pull *next = NULL;
    for (struct pull *pull = group_first_parked(group); pull; pull = next) {
        next = TAILQ_NEXT(pull, link);
        if (pull->join == join) {
            pull_fail(engine, pull, error);
        }
    }
}

void pull_forget_topics(struct group *group)
{
    for (struct pull *pull = group_first_parked(group); pull; pull = TAILQ_NEXT(pull, link)) {
        if (pull->names && pull->topics) {
            forget_topics(pull);
        }
    }
    for (struct pull *pull = group_first_working(group); pull; pull = TAILQ_NEXT(pull, link)) {
        if (pull->names && pull->topics) {
            forget_topics(pull);
        }
    }
}

uint64_t pull_count_sessionless(const struct group *group)
{
    uint64_t count = 0;
    for (const struct pull *pull = group_first_parked(group); pull; pull = TAILQ_NEXT(pull, link)) {
        count += pull->parked.to.session == 0 ? 1 : 0;
    }
    return count;
}
