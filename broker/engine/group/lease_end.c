/* SPDX-License-Identifier: MPL-2.0
 *
 * Leases that end before everything under them is settled: by time, because
 * their reply never left, or given back by their session. The messages still
 * out are judged run by run, a bounded number in one step, and the lease is gone
 * with the last one. Of leases that end at one time, as when a session with thousands goes, some are
 * judged in each millisecond: the others end as well, nobody may settle under them, but their messages
 * stay out so much longer. When the journal has no room the messages stay out and the
 * rest is tried again later: nothing is handed out anew that is not durable.
 */
#include "broker/engine/group/group.h"

#include <stddef.h>

#include "broker/engine/dead/dead.h"
#include "broker/engine/order/hold.h"
#include "common/assert.h"
#include "common/container.h"
#include "common/diag.h"

#define RUNS_PER_STEP    2000u /* with three long reasons each they stay within one record */
#define AGAIN_MS         1     /* the next part */
#define AGAIN_REFUSED_MS 1000  /* the journal had no room */

#define LEASE_WORK       4u /* what a lease takes beside its runs, in runs: its record */

static void continue_end(struct groups *self, struct lease *lease);

/* --- How many in a millisecond ---------------------------------------------------------------------- */

/* Where there is an order all end at once: what comes back first would recall what was handed out behind it, and
 * that lease would neither have lost it nor given it back. */
static bool may_judge(struct groups *self, const struct lease *lease)
{
    const int64_t now_ms = self->engine->clock.broker_ms;
    if (self->ends_now.at_ms != now_ms) {
        self->ends_now = (struct lease_ends){.at_ms = now_ms};
    }
    return lease->group->mode != GROUP_SHARED ||
           self->ends_now.work < self->engine->options.lease_end_work;
}

/* In the first millisecond that has room. */
static void judge_later(struct groups *self, struct lease *lease)
{
    struct lease_ends *const later = &self->ends_later;
    const int64_t next_ms = self->engine->clock.broker_ms + AGAIN_MS;
    if (later->at_ms < next_ms) {
        *later = (struct lease_ends){.at_ms = next_ms};
    } else if (later->work >= self->engine->options.lease_end_work) {
        *later = (struct lease_ends){.at_ms = later->at_ms + 1};
    }
    later->work += LEASE_WORK + lease->span_count;
    engine_arm(self->engine, TIMER_DURABLE, &lease->timer, later->at_ms);
}

static void judge_in_turn(struct groups *self, struct lease *lease)
{
    if (may_judge(self, lease)) {
        continue_end(self, lease);
    } else {
        judge_later(self, lease);
    }
}

/* A grace holds back what ends by time, not what is ending already. */
static enum timer_kind timer_of(const struct lease *lease)
{
    return lease->ending == LEASE_LIVES ? TIMER_LEASE : TIMER_DURABLE;
}

static void lease_fired(struct engine *engine, struct timer *timer)
{
    struct lease *lease = CONTAINER_OF(timer, struct lease, timer);
    if (lease->ending == LEASE_LIVES) {
        group_lease_end(engine->groups, lease, LEASE_EXPIRED);
    } else {
        judge_in_turn(engine->groups, lease);
    }
}

void group_lease_live(struct groups *self, struct group *group, struct lease *lease)
{
    struct group_work *const work = group_work_use(group);
    zsp_assert(work); /* it was there */
    lease->group = group;
    lease->next = NULL;
    lease->prev = work->lease_last;
    *(work->lease_last ? &work->lease_last->next : &work->lease_first) = lease;
    work->lease_last = lease;
    lease->timer.fire_fn = lease_fired;
    if (lease->session != 0) {
        struct session_note *note = session_note_open(&self->notes, lease->session);
        if (!note) {
            group_out_of_memory(self);
            return;
        }
        session_note_add_lease(note, lease);
    }
    engine_arm(self->engine, TIMER_LEASE, &lease->timer, lease->deadline_ms);
}

void group_lease_rearm(struct groups *self, struct lease *lease)
{
    if (lease->ending == LEASE_LIVES) {
        engine_arm(self->engine, TIMER_LEASE, &lease->timer, lease->deadline_ms);
    }
}

void group_lease_over(struct groups *self, struct lease *lease)
{
    struct group_work *const work = lease->group->work;
    zsp_assert(lease->outstanding == 0);
    engine_cancel(self->engine, timer_of(lease), &lease->timer);
    session_note_remove_lease(lease);
    if (lease->bye) {
        bye_lease_over(self->engine, lease->bye);
    }
    *(lease->prev ? &lease->prev->next : &work->lease_first) = lease->next;
    *(lease->next ? &lease->next->prev : &work->lease_last) = lease->prev;
    group_work_leave(lease->group);
    lease_remove(&self->leases, lease);
}

struct mark_walk {
    uint64_t number;
    bool found;
};

static int find_started(void *arg, const struct run_span *span)
{
    struct mark_walk *walk = arg;
    walk->found =
        span->run.state == RUN_LEASED && span->run.lease == walk->number && span->run.started != 0;
    return walk->found ? 1 : 0;
}

static bool any_started(const struct lease *lease)
{
    struct mark_walk walk = {.number = lease->number};
    for (size_t i = 0; i < lease->span_count && !walk.found; i++) {
        const struct lease_span *span = &lease->spans[i];
        if (span->ledger) {
            (void)runmap_visit(&span->ledger->runs, span->first, span->end, find_started, &walk);
        }
    }
    return walk.found;
}

/* Nobody holds the partitions of the lease from now on: nothing of them is handed out before all that is
 * out of them is settled or back. */
static void end_holds(struct groups *self, const struct lease *lease)
{
    for (size_t i = 0; i < lease->span_count; i++) {
        struct ledger *ledger = lease->spans[i].ledger;
        if (ledger && !hold_is_free(ledger)) {
            hold_drop(self, ledger);
        }
    }
}

void group_lease_end(struct groups *self, struct lease *lease, enum lease_end why)
{
    if (lease->ending != LEASE_LIVES) {
        return;
    }
    if (why == LEASE_EXPIRED && !lease->is_told) {
        why = LEASE_UNDELIVERED; /* nobody let its time pass */
    }
    if (why == LEASE_EXPIRED) {
        end_holds(self, lease); /* who lets the time pass is silent: others may have them */
    }
    engine_cancel(self->engine, TIMER_LEASE, &lease->timer);
    lease->ending = why;
    lease_hide(&self->leases, lease);
    lease->any_started = why == LEASE_EXPIRED && any_started(lease);
    judge_in_turn(self, lease);
}

/* One run: what it becomes, in the open step. */
static int judge(struct groups *self, struct lease *lease, struct ledger *ledger,
                 const struct run_span *span)
{
    const struct group_settings *settings = group_settings_of(lease->group);
    struct run run = span->run;
    uint32_t made = 0;
    int rc = 0;
    if (lease->ending == LEASE_UNDELIVERED) {
        outcome_undelivered(&run);
    } else if (lease->ending == LEASE_RETURNED) {
        outcome_release(&run);
    } else {
        const struct lost_lease lost = {lease->granted, lease->any_started, lease->uses_started};
        if (outcome_lost(settings, &lost, &run)) {
            rc = reasons_push(&self->reasons, run.reasons, self->lost_reason, &made);
            run.reasons = made;
        }
        if (run.state == RUN_DEAD) {
            dead_note(self->engine, ledger, &run);
            self->engine->stats.dead_messages += span->end - span->first;
        }
    }
    if (rc == 0) {
        rc = step_set(&self->step, ledger, span->first, span->end, &run);
    }
    reasons_drop(&self->reasons, made);
    return rc;
}

/* Judge up to RUNS_PER_STEP runs from where the lease stands. False = there may be more. */
static int judge_some(struct groups *self, struct lease *lease, bool *ret_all)
{
    uint32_t left = RUNS_PER_STEP;
    for (; lease->end_span < lease->span_count; lease->end_span++, lease->end_from = 0) {
        const struct lease_span *part = &lease->spans[lease->end_span];
        uint64_t from = part->first > lease->end_from ? part->first : lease->end_from;
        struct run_span span;
        while (part->ledger && from < part->end &&
               runmap_next(&part->ledger->runs, from, RUN_CLASS_LEASED, &span) &&
               span.first < part->end) {
            if (left-- == 0) {
                *ret_all = false;
                return 0;
            }
            span.first = span.first > from ? span.first : from;
            span.end = span.end < part->end ? span.end : part->end;
            from = lease->end_from = span.end;
            if (span.run.lease != lease->number) {
                continue;
            }
            self->ends_now.work++;
            int rc = judge(self, lease, part->ledger, &span);
            if (rc < 0) {
                return rc;
            }
        }
    }
    *ret_all = true;
    return 0;
}

/* Put what a BYE hands back: it is answered when that is synced. */
static int put_returned(struct groups *self, const struct lease *lease, uint64_t outstanding_before,
                        struct zsp_err *err)
{
    struct bye *bye = lease->bye;
    const uint64_t released = outstanding_before - lease->outstanding;
    int rc =
        step_put(&self->step, self->engine, STORE_SYNCED_LEVEL, bye_record(bye, released), err);
    if (rc < 0) {
        bye_record_refused(self->engine, bye, released, err);
    }
    return rc;
}

static void continue_end(struct groups *self, struct lease *lease)
{
    struct engine *engine = self->engine;
    const size_t span_before = lease->end_span;
    const uint64_t from_before = lease->end_from;
    const uint64_t number = lease->number;
    const uint64_t dead_before = engine->stats.dead_messages;
    const uint64_t outstanding_before = lease->outstanding;
    bool all = true;
    struct zsp_err error = {0};
    self->ends_now.work += LEASE_WORK;
    step_begin(&self->step);
    int rc = judge_some(self, lease, &all);
    if (rc < 0) {
        step_undo(&self->step);
    } else if (lease->bye) {
        rc = put_returned(self, lease, outstanding_before, &error);
    } else {
        rc = step_put(&self->step, engine, STORE_WRITTEN, NULL, &error);
    }
    if (rc == 0 && !lease_find(&self->leases, number)) {
        return; /* that was the last of it */
    }
    end_holds(self, lease); /* the rest is still out: nobody takes what lies behind */
    if (rc < 0) {
        lease->end_span = span_before;
        lease->end_from = from_before;
        engine->stats.dead_messages = dead_before;
    }
    zsp_assert(rc < 0 || !all); /* nothing is out under a lease but in its spans */
    engine_arm(engine, TIMER_DURABLE, &lease->timer,
               engine->clock.broker_ms + (rc < 0 ? AGAIN_REFUSED_MS : AGAIN_MS));
}
