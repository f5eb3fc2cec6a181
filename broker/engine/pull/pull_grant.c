/* SPDX-License-Identifier: MPL-2.0
 *
 * The grant: what a pull has read goes out under a new lease, in one durable
 * step; the reply leaves when the record is written. A power cut may forget it
 * (its sync follows within ZSP_JOURNAL_SYNC_MS), a crash of the broker not.
 */
#include "broker/engine/group/group_rules.h"
#include "broker/engine/order/recall.h"
#include "broker/engine/pull/expired.h"
#include "broker/engine/pull/pull.h"
#include "broker/engine/pull/pull_take.h"
#include "common/assert.h"

/* A part of the stretch is not handed out: absent from the log, left out by the filter, or expired. */
static int leave_out(struct groups *groups, const struct pull_run *stretch,
                     const struct run_span *span)
{
    struct ledger *const ledger = stretch->ledger;
    if (stretch->why == ABSENT_EXPIRED) {
        return expired_leave_out(groups, ledger, span);
    }
    const struct run none = {.state = RUN_NONE};
    int rc = step_set(&groups->step, ledger, span->first, span->end, &none);
    if (rc == 0 && stretch->why == ABSENT_GONE) {
        rc = step_count_compacted(&groups->step, ledger, span->end - span->first);
    }
    return rc;
}

/* The messages of a stretch that the pull still holds become `leased`, or done. */
static int hand_out(struct groups *groups, const struct pull_run *stretch, struct lease *lease)
{
    struct ledger *ledger = stretch->ledger;
    struct run_span span;
    uint64_t from = stretch->first;
    while (ledger && from < stretch->end &&
           runmap_next(&ledger->runs, from, RUN_CLASS_RESERVED, &span) &&
           span.first < stretch->end) {
        const uint64_t first = span.first > from ? span.first : from;
        from = span.end < stretch->end ? span.end : stretch->end;
        struct run run = span.run;
        if (!lease) {
            const struct run_span part = {.first = first, .end = from, .run = run};
            int rc = leave_out(groups, stretch, &part);
            if (rc < 0) {
                return rc;
            }
            continue;
        }
        run.state = RUN_LEASED;
        run.lease = lease->number;
        run.deliveries += run.deliveries < UINT32_MAX ? 1 : 0;
        groups->engine->stats.redelivered_messages += span.run.deliveries > 0 ? from - first : 0;
        int rc = lease_reserve(lease, 1);
        if (rc == 0) {
            rc = step_set(&groups->step, ledger, first, from, &run);
        }
        if (rc < 0) {
            return rc;
        }
        lease_cover(lease, ledger, first, from);
    }
    return 0;
}

static struct lease *new_lease(struct groups *groups, struct pull *self)
{
    struct lease *lease = lease_add(&groups->leases, self->lease, self->group->id,
                                    self->parked.to.session, self->parked.to.id);
    if (!lease) {
        return NULL;
    }
    const struct member *member =
        members_find(&self->group->members, &groups->members, self->parked.to.session);
    lease->group = self->group;
    lease->granted = (uint32_t)self->messages;
    lease->uses_started = member && member->uses_started;
    lease->granted_ms = groups->engine->clock.broker_ms;
    lease->deadline_ms = lease->granted_ms + (int64_t)group_settings_of(self->group)->lease_ms;
    return lease;
}

/* All of it in the open step. */
static int build(struct groups *groups, struct pull *self, struct lease *lease)
{
    int rc = 0;
    for (size_t i = 0; i < self->absent_count && rc == 0; i++) {
        rc = hand_out(groups, &self->absent[i], NULL);
    }
    for (size_t i = 0; i < self->run_count && rc == 0; i++) {
        rc = hand_out(groups, &self->runs[i], lease);
    }
    return rc == 0 && lease && lease->outstanding > 0 ? step_lease(&groups->step, lease) : rc;
}

/* What was gathered is reserved by nobody any more. */
static void untake_gathered(struct engine *engine, struct pull *self)
{
    pull_take_undone(self);
    for (size_t i = self->run_count; i > 0; i--) {
        const struct pull_run *run = &self->runs[i - 1];
        if (run->ledger && ledger_untake(run->ledger, run->first, run->end) < 0) {
            group_out_of_memory(engine->groups);
            return;
        }
    }
    for (size_t i = self->absent_count; i > 0; i--) {
        const struct pull_run *run = &self->absent[i - 1];
        if (run->ledger && ledger_untake(run->ledger, run->first, run->end) < 0) {
            group_out_of_memory(engine->groups);
            return;
        }
    }
    for (size_t i = 0; i < self->run_count; i++) {
        if (self->runs[i].ledger) {
            group_ledger_changed(engine->groups, self->runs[i].ledger);
        }
    }
    for (size_t i = 0; i < self->absent_count; i++) {
        if (self->absent[i].ledger) {
            group_ledger_changed(engine->groups, self->absent[i].ledger);
        }
    }
}

/* Does the lease own a stretch, all of it? */
static bool owns(const struct lease *lease, const struct pull_run *stretch)
{
    struct run_span span = {.end = stretch->first};
    while (span.end < stretch->end) {
        const uint64_t from = span.end;
        if (!runmap_next(&stretch->ledger->runs, from, RUN_CLASS_LEASED, &span) ||
            span.first > from || span.run.lease != lease->number) {
            return false;
        }
    }
    return true;
}

/* Has something that was read gone, or must come back, before it was told? */
static bool is_taken_back(const struct pull *self, const struct lease *lease)
{
    if (self->group->mode == GROUP_SHARED) {
        return false;
    }
    for (size_t i = 0; i < self->run_count; i++) {
        const struct pull_run *run = &self->runs[i];
        if (run->ledger &&
            ((lease && !owns(lease, run)) || recall_any_due(run->ledger, run->first, run->end))) {
            return true;
        }
    }
    return false;
}

static void end_granting(struct engine *engine, struct lease *lease)
{
    lease->is_granting = false;
    if (lease->is_awaited) {
        group_wake(engine->groups, lease->group);
    }
}

/* Not to be told any more: what is left of the lease ends, unless it was told before. */
static void begin_anew(struct engine *engine, struct pull *self, struct lease *lease)
{
    if (lease && !lease->is_told) {
        group_lease_end(engine->groups, lease, LEASE_UNDELIVERED);
    }
    pull_again(engine, self);
}

void pull_hand_over(struct engine *engine, struct pull *self)
{
    struct lease *lease = lease_find(&engine->groups->leases, self->lease);
    const bool is_over = self->abandoned || !self->outcomes.settle;
    if (lease && is_over) {
        end_granting(engine, lease);
    }
    if (self->abandoned) {
        pull_free(engine, self);
        return;
    }
    if (!self->group) {
        struct zsp_err gone;
        (void)catalog_went_meanwhile(&gone, "group", "the group");
        pull_fail(engine, self, &gone);
        return;
    }
    if (self->is_cancelled && is_over) {
        pull_answer_empty(engine, self, self->ending);
        self->abandoned = true;
        pull_hand_over(engine, self);
        return;
    }
    if (is_over && (!lease || lease->ending != LEASE_LIVES || is_taken_back(self, lease))) {
        begin_anew(engine, self, lease);
        return;
    }
    pull_answer(engine, self);
}

/* The record is written: the reply may leave. */
static void granted(struct engine *engine, struct engine_op *op,
                    const struct store_completion *completion)
{
    struct pull *self = (struct pull *)op;
    if (completion->error.code != 0 && !self->abandoned) {
        pull_fail(engine, self, &completion->error);
        return;
    }
    pull_hand_over(engine, self);
}

/* Nothing to hand out: remember what is absent, and try once more. */
static void grant_nothing(struct engine *engine, struct pull *self)
{
    struct groups *groups = engine->groups;
    struct zsp_err error = {0};
    const struct expired_stats expired = expired_stats(engine);
    step_begin(&groups->step);
    int rc = build(groups, self, NULL);
    if (rc < 0) {
        step_undo(&groups->step);
    } else {
        rc = step_put(&groups->step, engine, STORE_WRITTEN, NULL, &error);
    }
    if (rc < 0) {
        expired_stats_restore(engine, &expired);
        untake_gathered(engine, self);
        (void)(error.code == 0 ? zsp_err_set(&error, rc, "pull: %s", zsp_strerror(rc)) : 0);
        pull_fail(engine, self, &error);
        return;
    }
    if (group_filter_of(self->group)) {
        group_filter_counted(self);
    }
    if (self->absent_count > 0) { /* it came further; more may be absent, as of compacted topics */
        self->tries = 0;
        self->reach += self->reach < PULL_REACH_MAX ? 2 : 0;
    }
    pull_again(engine, self);
}

void pull_grant(struct engine *engine, struct pull *self)
{
    struct groups *groups = engine->groups;
    const uint64_t redelivered = engine->stats.redelivered_messages;
    const struct expired_stats expired = expired_stats(engine);
    if (self->group->paused || is_taken_back(self, NULL)) { /* while it was read */
        untake_gathered(engine, self);
        pull_again(engine, self);
        return;
    }
    if (self->run_count == 0) {
        grant_nothing(engine, self);
        return;
    }
    struct zsp_err error = {0};
    struct lease *lease = new_lease(groups, self);
    int rc = lease ? 0 : ZSP_ENOMEM;
    step_begin(&groups->step);
    if (rc == 0) {
        rc = build(groups, self, lease);
    }
    const bool is_void = rc == 0 && lease->outstanding == 0;
    if (rc < 0 || is_void) {
        step_undo(&groups->step);
    } else {
        self->op.done_fn = granted;
        rc = step_put(&groups->step, engine, STORE_WRITTEN, &self->op, &error);
    }
    if (rc == 0 && !is_void) {
        self->state = PULL_GRANTING;
        lease->is_granting = true;
        reply_may_apply(engine, &self->parked.to);
        group_lease_live(groups, self->group, lease);
        engine->stats.delivered_messages += self->messages;
        if (group_filter_of(self->group)) {
            group_filter_counted(self);
        }
        return;
    }
    engine->stats.redelivered_messages = redelivered;
    expired_stats_restore(engine, &expired);
    if (lease) {
        lease->outstanding = 0;
        lease_remove(&groups->leases, lease);
    }
    untake_gathered(engine, self);
    if (is_void) {
        pull_again(engine, self); /* a seek, or the topic's end, was faster */
        return;
    }
    (void)(error.code == 0 ? zsp_err_set(&error, rc, "pull: %s", zsp_strerror(rc)) : 0);
    pull_fail(engine, self, &error);
}
