/* SPDX-License-Identifier: MPL-2.0
 *
 * Pulls and outcomes, as they come and are answered.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/assert.h"
#include "common/limits.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_clinic.h"

#define WRITE_MS 1000 /* what was put so long ago is written, on a slow disk too */

bool clinic_fail(struct clinic *self, uint32_t partition, uint64_t offset, const char *what)
{
    const struct chart_slot *slot = &self->chart.slots[partition][offset];
    return model_fail(self->chart.model,
                      "clinic (%s): %u/%" PRIu64 " (may be%s%s%s%s, lease %" PRIu64
                      ", failures %u to %u, deliveries %u to %u) %s",
                      self->settings.mode, partition, offset,
                      slot->may & CHART_ALIVE ? " alive" : "", slot->may & CHART_OUT ? " out" : "",
                      slot->may & CHART_DEAD ? " dead" : "", slot->may & CHART_DONE ? " done" : "",
                      slot->lease, slot->failures_min, slot->failures_max, slot->deliveries_min,
                      slot->deliveries_max, what);
}

/* --- Who touches what -------------------------------------------------------------------------- */

void clinic_touch(struct clinic *self, struct sim_request *request, uint32_t partition,
                  uint64_t offset)
{
    struct chart_slot *slot = chart_slot(&self->chart, partition, offset);
    if (request->touched_count % 64 == 0) {
        request->touched =
            realloc(request->touched, (request->touched_count + 64) * sizeof *request->touched);
        zsp_assert(request->touched);
    }
    request->touched[request->touched_count++] =
        (struct sim_place){.partition = partition, .offset = offset};
    slot->open++;
    slot->last = request;
    slot->then = slot->may;
    slot->touched_step = self->chart.model->step;
}

void clinic_untouch(struct clinic *self, struct sim_request *request)
{
    for (size_t i = 0; i < request->touched_count; i++) {
        struct chart_slot *slot =
            chart_slot(&self->chart, request->touched[i].partition, request->touched[i].offset);
        slot->open -= slot->open > 0 ? 1 : 0; /* none, after a crash */
    }
    request->touched_count = 0;
}

bool clinic_is_alone(const struct chart_slot *slot, const struct sim_request *request)
{
    return slot->last == request && slot->open == 0 && slot->touched_step == request->entered_step;
}

bool clinic_in_move(const struct clinic *self, const struct sim_request *request)
{
    return self->moves_out > 0 || self->moves != request->seeks_then;
}

/* --- Outcomes come ----------------------------------------------------------------------------- */

static void may_die(struct clinic *self, struct chart_slot *slot, uint64_t lease)
{
    chart_may(&self->chart, slot, CHART_DEAD);
    slot->deaths += slot->dead_lease != lease ? 1 : 0;
    slot->dead_lease = lease;
}

/* When a lease is lost of which something was begun, only that is to blame. */
static void forget_granted(struct chart *chart, uint64_t lease)
{
    for (uint32_t p = 0; p < CHART_PARTS; p++) {
        for (uint64_t o = 0; o < chart->counts[p]; o++) {
            struct chart_slot *slot = &chart->slots[p][o];
            slot->granted = slot->lease == lease ? 0 : slot->granted;
            slot->lost_of = slot->lease == lease ? 0 : slot->lost_of;
        }
    }
}

static void outcome_enters(struct clinic *self, struct sim_request *request,
                           const struct sim_srun *srun, uint64_t offset)
{
    struct chart *chart = &self->chart;
    struct chart_slot *slot = chart_slot(chart, srun->partition, offset);
    const bool is_out = slot->may == CHART_OUT;
    const bool may_hold =
        (slot->may & CHART_OUT) != 0 && (slot->lease == srun->lease || slot->lease == 0 ||
                                         chart->rules.order == CHART_BY_PARTITION);
    clinic_touch(self, request, srun->partition, offset);
    slot->sure = is_out && slot->lease == srun->lease;
    if (!may_hold) {
        return;
    }
    switch (srun->outcome) {
    case WIRE_ACK:
        chart_may(chart, slot, CHART_DONE);
        return;
    case WIRE_REJECT:
        slot->failures_max++;
        may_die(self, slot, srun->lease);
        break;
    case WIRE_RETRY:
        chart_may_fail(chart, slot);
        chart_may(chart, slot, CHART_ALIVE);
        break;
    case WIRE_RELEASE:
        chart_may(chart, slot, CHART_ALIVE);
        break;
    case WIRE_STARTED:
        forget_granted(chart, srun->lease);
        return;
    case WIRE_EXTEND:
        return;
    }
    chart_doubt(chart, srun->partition, offset);
}

/* --- Outcomes are answered --------------------------------------------------------------------- */

static const char *not_applied(const struct sim_reply *reply, const struct sim_srun *srun,
                               uint64_t offset)
{
    for (size_t i = 0; i < reply->not_applied_count; i++) {
        const struct sim_not_applied *entry = &reply->not_applied[i];
        if (entry->partition == srun->partition && offset >= entry->first &&
            offset - entry->first < entry->count) {
            return entry->why;
        }
    }
    return NULL;
}

/* Has one before it surely come back since it was handed out? Then nobody may finish it. */
static bool is_recalled(struct clinic *self, const struct sim_request *request, uint32_t partition,
                        uint64_t offset)
{
    const struct chart_slot *slots = self->chart.slots[partition];
    if (slots[offset].asked_step < self->upset_step) {
        return false;
    }
    for (uint64_t o = 0; o < offset; o++) {
        /* By another request, or by an earlier run of this one. */
        const bool is_back = clinic_is_alone(&slots[o], request) ||
                             (slots[o].touched_step > slots[offset].grant_step &&
                              chart_stays(&slots[o], CHART_ALIVE, request->entered_step));
        if (slots[o].came_back && slots[o].may == CHART_ALIVE && is_back &&
            chart_binds(&self->chart, &slots[o], &slots[offset], false)) {
            return true;
        }
    }
    return false;
}

static void now_retried(struct clinic *self, const struct sim_request *request,
                        const struct sim_srun *srun, struct chart_slot *slot)
{
    const uint32_t max = self->settings.max_failures;
    const bool may_live = max == 0 || slot->failures_min + 1 < max;
    const bool may_be_dead = max > 0 && slot->failures_max >= max;
    slot->failures_min++;
    chart_is(&self->chart, slot, (may_live ? CHART_ALIVE : 0u) | (may_be_dead ? CHART_DEAD : 0u));
    slot->holds = !may_live && self->settings.holds_dead && !self->sets_hold &&
                  self->set_hold_step < request->entered_step;
    slot->came_back = may_live && !may_be_dead;
    slot->is_limited = slot->is_limited && may_be_dead;
    if (may_live) {
        int64_t least_ms = (int64_t)srun->delay_ms;
        int64_t most_ms = least_ms;
        if (!srun->has_delay) {
            clinic_backoff_ms(self, slot, &least_ms, &most_ms);
        }
        slot->due_ms = request->entered_ms + least_ms;
        slot->late_ms = self->chart.model->uptime_ms + most_ms;
    }
}

/* Nothing else touched it. */
static void now_settled(struct clinic *self, const struct sim_request *request,
                        const struct sim_srun *srun, struct chart_slot *slot)
{
    struct chart *chart = &self->chart;
    switch (srun->outcome) {
    case WIRE_ACK:
        chart_is(chart, slot, CHART_DONE);
        if (self->saves_out == 0) {                     /* else it may be out in what is saved */
            memset(slot->until, 0, sizeof slot->until); /* the lease held it all the time */
        }
        break;
    case WIRE_REJECT:
        slot->failures_min++;
        chart_is(chart, slot, CHART_DEAD);
        slot->holds = self->settings.holds_dead && !self->sets_hold &&
                      self->set_hold_step < request->entered_step;
        break;
    case WIRE_RETRY:
        now_retried(self, request, srun, slot);
        break;
    case WIRE_RELEASE:
        chart_is(chart, slot, CHART_ALIVE);
        slot->came_back = true;
        break;
    case WIRE_EXTEND:
        if (slot->lease == srun->lease && chart->rules.order == CHART_NO_ORDER && !slot->lapsed) {
            slot->lease_end_ms = request->entered_ms + (int64_t)srun->delay_ms;
        }
        return;
    case WIRE_STARTED:
        return;
    }
    slot->failures_durable = slot->failures_min;
}

static bool outcome_taken(struct clinic *self, const struct sim_request *request,
                          const struct sim_srun *srun, uint64_t offset)
{
    struct chart_slot *slot = chart_slot(&self->chart, srun->partition, offset);
    const bool reaches = self->chart.rules.order == CHART_BY_PARTITION;
    if (slot->last == request && (slot->then & CHART_OUT) == 0) {
        return clinic_fail(self, srun->partition, offset, "was not out, and an outcome was taken");
    }
    if (slot->last == request && slot->then == CHART_OUT && slot->lease != 0 &&
        slot->lease != srun->lease && !reaches && slot->grant_step < request->entered_step) {
        return clinic_fail(self, srun->partition, offset,
                           "is under another lease than was settled");
    }
    if (!clinic_is_alone(slot, request)) {
        return true;
    }
    if (srun->outcome == WIRE_ACK && slot->lease == srun->lease &&
        is_recalled(self, request, srun->partition, offset)) {
        return clinic_fail(self, srun->partition, offset,
                           "was acked, and one before it had come back");
    }
    now_settled(self, request, srun, slot);
    return true;
}

static bool outcome_refused(struct clinic *self, const struct sim_request *request,
                            const struct sim_srun *srun, uint64_t offset, const char *why)
{
    struct chart_slot *slot = chart_slot(&self->chart, srun->partition, offset);
    const bool is_done = strcmp(why, "done") == 0;
    if (!clinic_is_alone(slot, request)) {
        return true;
    }
    if (is_done && srun->outcome == WIRE_ACK && (slot->then & CHART_DONE) == 0) {
        return clinic_fail(self, srun->partition, offset, "was acked as done, and cannot be that");
    }
    if (is_done && srun->outcome == WIRE_ACK) {
        chart_is(&self->chart, slot, CHART_DONE);
        slot->touched_step = self->chart.model->step;
        return true;
    }
    if (!is_done && slot->sure && !slot->lapsed) {
        return clinic_fail(self, srun->partition, offset,
                           "stands under a live lease, and that was told to be lost");
    }
    return true;
}

static void settle_enter(struct clinic *self, struct sim_request *request)
{
    for (size_t i = 0; i < request->srun_count; i++) {
        const struct sim_srun *srun = &request->sruns[i];
        for (uint64_t o = srun->first; o < srun->first + srun->count; o++) {
            outcome_enters(self, request, srun, o);
        }
    }
}

static void settle_answer(struct clinic *self, struct sim_request *request)
{
    const struct sim_reply *reply = &request->reply;
    const bool is_moved = clinic_in_move(self, request);
    uint64_t asked = 0;
    uint64_t told = reply->applied;
    clinic_untouch(self, request);
    for (size_t i = 0; i < reply->not_applied_count; i++) {
        told += reply->not_applied[i].count;
    }
    for (size_t i = 0; i < request->srun_count && !reply->is_error; i++) {
        const struct sim_srun *srun = &request->sruns[i];
        asked += srun->count;
        for (uint64_t o = srun->first; o < srun->first + srun->count; o++) {
            const char *why = not_applied(reply, srun, o);
            if (!why && srun->outcome != WIRE_EXTEND && srun->outcome != WIRE_STARTED &&
                self->chart.durable_step < request->entered_step) {
                self->chart.durable_step = request->entered_step;
            }
            if (!is_moved && !(why ? outcome_refused(self, request, srun, o, why)
                                   : outcome_taken(self, request, srun, o))) {
                return;
            }
        }
    }
    if (told != asked && !reply->is_error) {
        (void)model_fail(self->chart.model, "clinic: %" PRIu64 " messages were settled of %" PRIu64,
                         told, asked);
    }
}

/* --- Deliveries -------------------------------------------------------------------------------- */

static uint64_t first_entered(const struct sim_request *pull)
{
    while (pull->repeats) {
        pull = pull->repeats;
    }
    return pull->entered_step;
}

static bool judge_slot(struct clinic *self, const struct sim_request *pull,
                       const struct sim_run *run, uint64_t offset)
{
    const struct model *model = self->chart.model;
    const struct chart_slot *slot = chart_slot(&self->chart, run->partition, offset);
    const struct sim_order *order = chart_order_of(&self->chart, slot);
    const char *what = NULL;
    if (!chart_was(slot, CHART_ALIVE, first_entered(pull))) {
        what = "was handed out";
    } else if (slot->due_ms > model->uptime_ms) {
        what = "was handed out before its retry was due";
    } else if (order->not_before_ms > model->wall_max_ms) {
        what = "was handed out before its time";
    } else if (order->priority != run->priority) {
        what = "was handed out with another priority";
    } else if (!pull->repeats && order->expires_at_ms != 0 &&
               model->wall_step < pull->entered_step &&
               order->expires_at_ms <= pull->entered_wall_ms) {
        what = "was handed out, and had expired";
    } else if (run->failures < slot->failures_min || run->failures > slot->failures_max) {
        what = "was handed out with other failures";
    } else if (run->deliveries < slot->deliveries_min + 1 ||
               run->deliveries > slot->deliveries_max + 1) {
        what = "was handed out with other deliveries";
    } else if (slot->lost_of > 1 && slot->touched_step < slot->lost_step &&
               pull->reply.message_count > slot->lost_of / 2) {
        what = "was handed out in a lease that is larger than half of the one that was lost";
    } else if (self->settings.look_ahead > 0 && offset > self->far[run->partition]) {
        what = "was handed out, and lies beyond the look-ahead";
    }
    return !what || clinic_fail(self, run->partition, offset, what);
}

/* May the message before it be passed by? */
static bool lets_pass(const struct clinic *self, const struct chart_slot *slot,
                      const struct sim_request *pull, uint64_t lease, uint64_t since)
{
    const bool is_members = self->chart.rules.order == CHART_BY_PARTITION && pull->session != 0 &&
                            slot->session == pull->session;
    if ((slot->may & CHART_OUT) != 0 && (slot->lease == lease || slot->lease == 0 || is_members)) {
        return true;
    }
    return chart_was(slot, CHART_DONE, since) ||
           (chart_was(slot, CHART_DEAD, since) && !slot->holds);
}

static bool judge_order(struct clinic *self, const struct sim_request *pull,
                        const struct sim_run *run, uint64_t offset)
{
    const struct chart *chart = &self->chart;
    const struct chart_slot *slots = chart->slots[run->partition];
    uint64_t since = first_entered(pull);
    since = slots[offset].alive_step > since ? slots[offset].alive_step : since;
    if (chart->rules.order == CHART_NO_ORDER ||
        (chart->rules.order == CHART_BY_PARTITION &&
         chart->model->uptime_ms <= self->unseen_until_ms)) {
        return true;
    }
    for (uint64_t o = 0; o < offset; o++) {
        if (chart_binds(chart, &slots[o], &slots[offset], false) &&
            !lets_pass(self, &slots[o], pull, run->lease, since)) {
            char what[100];
            (void)snprintf(what, sizeof what, "does not let pass %" PRIu64 " under lease %" PRIu64,
                           offset, run->lease);
            return clinic_fail(self, run->partition, o, what);
        }
    }
    return true;
}

/* Is something before it that may be brought back at any time? Then it may be recalled. */
static bool may_be_recalled(const struct clinic *self, uint32_t partition, uint64_t offset,
                            uint64_t lease)
{
    const struct chart_slot *slots = self->chart.slots[partition];
    for (uint64_t o = 0; o < offset; o++) {
        const bool is_with_it = slots[o].may == CHART_OUT && slots[o].lease == lease;
        const bool may_come = (slots[o].may & CHART_ALIVE) != 0 || slots[o].open > 0;
        if (may_come && !is_with_it && chart_binds(&self->chart, &slots[o], &slots[offset], true)) {
            return true;
        }
    }
    return false;
}

static uint64_t first_asked(const struct sim_request *pull)
{
    uint64_t ret = pull->entered_step;
    for (const struct sim_request *first = pull->repeats; first; first = first->repeats) {
        ret = first->entered_step < ret ? first->entered_step : ret;
    }
    return ret;
}

static uint32_t greater(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static bool deliver(struct clinic *self, const struct sim_request *pull, const struct sim_run *run,
                    uint64_t offset)
{
    struct chart *chart = &self->chart;
    struct chart_slot *slot = chart_slot(chart, run->partition, offset);
    const bool is_moved = clinic_in_move(self, pull);
    if (slot->lease == run->lease && (slot->may & CHART_OUT) != 0) {
        return pull->repeats != NULL || slot->grant_step != chart->model->step ||
               clinic_fail(self, run->partition, offset, "is twice in one reply");
    }
    if (!is_moved &&
        (!judge_slot(self, pull, run, offset) || !judge_order(self, pull, run, offset))) {
        return false;
    }
    clinic_rated_seen(self, slot);
    self->holders[run->partition] = pull->client;
    const bool may_be_back = pull->session_is_over || pull->state == REQUEST_GONE ||
                             may_be_recalled(self, run->partition, offset, run->lease);
    chart_is(chart, slot, is_moved ? CHART_ANY : may_be_back ? CHART_OUT | CHART_ALIVE : CHART_OUT);
    slot->lease = run->lease;
    slot->session = pull->session_is_over ? 0 : pull->session;
    slot->grant_step = slot->touched_step = chart->model->step;
    slot->asked_step = first_asked(pull);
    slot->lease_end_ms = slot->lease_base_ms =
        chart->model->uptime_ms - SIM_TURN_MS + (int64_t)pull->reply.lease_ms;
    /* A restore that came after the grant has brought other counts back. */
    slot->failures_min = is_moved ? 0 : run->failures;
    slot->failures_max = is_moved ? greater(slot->failures_max, run->failures) : run->failures;
    if (slot->failures_durable > slot->failures_min) {
        slot->failures_durable = slot->failures_min;
    }
    slot->deliveries_min = is_moved ? 0 : run->deliveries;
    slot->deliveries_max =
        is_moved ? greater(slot->deliveries_max, run->deliveries) : run->deliveries;
    slot->granted = is_moved ? 0 : (uint32_t)pull->reply.message_count;
    slot->holds = false;
    chart->model->delivered++;
    model_reach(chart->model, (enum reach_mode)chart->rules.order, run, slot->message - 1,
                self->moved_count);
    return true;
}

/* --- Pulls ----------------------------------------------------------------------------------------- */

/* A pull may have been granted since the step, and nobody was told. */
static void grant_unseen(struct sim *sim, uint64_t step)
{
    struct clinic *self = sim->clinic;
    const int64_t end_ms = sim->model.uptime_ms + SIM_LEASE_MS + 1;
    chart_refresh(&self->chart); /* what has come back right now may be among it */
    self->gone_step = sim->model.step;
    self->unseen_until_ms = end_ms > self->unseen_until_ms ? end_ms : self->unseen_until_ms;
    for (uint32_t p = 0; p < CHART_PARTS; p++) {
        for (uint64_t o = 0; o < self->chart.counts[p]; o++) {
            struct chart_slot *slot = &self->chart.slots[p][o];
            if (chart_was(slot, CHART_ALIVE, step)) {
                slot->deliveries_max++;
                slot->is_limited = true;
                chart_may_fail(&self->chart, slot);
            }
        }
    }
}

static void lower_pulls_out(struct clinic *self)
{
    zsp_assert(self->pulls_out > 0);
    self->pulls_out--;
}

static void pull_answer(struct clinic *self, struct sim_request *pull)
{
    const struct sim_reply *reply = &pull->reply;
    struct sim *sim = pull->client->sim;
    if (pull->state != REQUEST_GONE) {
        lower_pulls_out(self);
    }
    self->pull_step = self->chart.model->step;
    self->pulled_ms[pull->client->index] = self->chart.model->uptime_ms;
    if (pull->max_bytes < SIM_PULL_BYTES && reply->message_count < pull->max_messages) {
        self->cut_ms[pull->client->index] = self->chart.model->uptime_ms;
    }
    if ((reply->is_error && reply->maybe) || strcmp(reply->reason, "cancelled") == 0) {
        grant_unseen(sim, first_entered(pull));
    }
    if (reply->is_error) {
        return;
    }
    if (reply->message_count > pull->max_messages ||
        (reply->message_count > 1 && reply->body_bytes > pull->max_bytes)) {
        (void)model_fail(self->chart.model, "clinic: a pull got more than it asked for");
    }
    if (reply->message_count == 0) {
        self->empty_step = self->chart.model->step;
        self->empty_ms = self->chart.model->uptime_ms;
    } else if (pull->entered_step > self->written_step) {
        self->written_step = pull->entered_step; /* its grant is, and what was put before */
    }
    for (size_t i = 0; i < reply->run_count; i++) {
        const struct sim_run *run = &reply->runs[i];
        for (uint64_t m = 0; m < run->count; m++) {
            if (run->topic != SIM_CLINIC || run->lease != reply->lease || run->lease == 0) {
                (void)model_fail(self->chart.model, "clinic: a run of another topic or lease");
                return;
            }
            if (!chart_learn(&self->chart, run->partition, run->first + m,
                             reply->messages[run->first_message + m]) ||
                !deliver(self, pull, run, run->first + m)) {
                return;
            }
        }
    }
    clinic_judge_choice(self, pull);
}

void clinic_pull_gone(struct sim *sim, const struct sim_request *pull)
{
    if (sim->clinic && pull->group == SIM_CLINIC_GROUP) {
        lower_pulls_out(sim->clinic); /* what may still be at work for it is granted unseen */
        grant_unseen(sim, first_entered(pull));
    }
}

void clinic_undelivered(struct sim *sim, const struct sim_request *pull)
{
    struct clinic *self = sim->clinic;
    for (size_t i = 0; self && pull->verb == SIM_PULL && i < pull->reply.run_count; i++) {
        const struct sim_run *run = &pull->reply.runs[i];
        for (uint64_t o = run->first; o < run->first + run->count; o++) {
            struct chart_slot *slot = chart_slot(&self->chart, run->partition, o);
            if (slot->lease == run->lease && (slot->may & CHART_OUT) != 0) {
                chart_may(&self->chart, slot, CHART_ALIVE);
                slot->touched_step = sim->model.step;
                slot->deliveries_min -= slot->deliveries_min > 0 ? 1 : 0;
                chart_doubt(&self->chart, run->partition, o);
            }
        }
    }
}

/* --- Dispatch ------------------------------------------------------------------------------------- */

/* Messages beyond this are surely not known to the broker. */
static void note_far(struct clinic *self)
{
    for (uint32_t p = 0; p < CHART_PARTS; p++) {
        uint64_t first = 0;
        while (first < self->chart.counts[p] &&
               (self->chart.slots[p][first].may & (CHART_DONE | CHART_DEAD)) != 0) {
            first++;
        }
        const uint64_t far = first + self->settings.look_ahead;
        self->far[p] = far > self->far[p] ? far : self->far[p];
    }
}

/* The leases of a session may be over. */
static void doubt_session(struct clinic *self, uint64_t session, bool fails)
{
    for (uint32_t p = 0; p < CHART_PARTS; p++) {
        for (uint64_t o = 0; o < self->chart.counts[p]; o++) {
            struct chart_slot *slot = &self->chart.slots[p][o];
            if (slot->session != session || (slot->may & CHART_OUT) == 0) {
                continue;
            }
            chart_may(&self->chart, slot, CHART_ALIVE);
            slot->touched_step = self->chart.model->step;
            if (fails) {
                slot->is_limited = true;
                chart_may_fail(&self->chart, slot);
            }
            chart_doubt(&self->chart, p, o);
        }
    }
}

void clinic_enter(struct sim *sim, struct sim_request *request)
{
    struct clinic *self = sim->clinic;
    if (!self) {
        return;
    }
    chart_refresh(&self->chart);
    note_far(self);
    clinic_note_near(self);
    if (request->verb == SIM_PULL) {
        request->was_alone = self->pulls_out == 0;
        self->pulled_ms[request->client->index] = sim->model.uptime_ms;
        self->pulls_out++;
        request->pulls_then = ++self->pulls;
    }
    if (request->verb == SIM_PULL || request->verb == SIM_SETTLE) {
        settle_enter(self, request);
    } else if (request->verb == SIM_BYE) {
        doubt_session(self, request->session, false);
    } else {
        clinic_dead_enter(self, request);
    }
    request->seeks_then = self->moves;
}

void clinic_answer(struct sim *sim, struct sim_request *request)
{
    struct clinic *self = sim->clinic;
    if (!self) {
        return;
    }
    if (request->reply.is_error && request->reply.maybe && request->verb != SIM_PULL) {
        clinic_cut(sim, request);
        return;
    }
    chart_refresh(&self->chart);
    note_far(self);
    clinic_note_near(self);
    if (request->verb == SIM_PULL) {
        if (request->srun_count > 0) {
            settle_answer(self, request);
        }
        pull_answer(self, request);
    } else if (request->verb == SIM_SETTLE) {
        settle_answer(self, request);
    } else {
        clinic_dead_answer(self, request);
    }
}

void clinic_silent(struct sim *sim, uint64_t session)
{
    if (sim->clinic) {
        chart_refresh(&sim->clinic->chart);
        doubt_session(sim->clinic, session, true);
    }
}

/* May a pull have been granted, and recalled before it was answered with nothing, and may only the grant
 * be written? */
static bool may_be_unwritten(const struct sim *sim)
{
    const struct clinic *self = sim->clinic;
    return self->chart.rules.order != CHART_NO_ORDER && self->empty_step > self->written_step &&
           self->empty_step > self->chart.durable_step &&
           sim->model.uptime_ms <= self->empty_ms + WRITE_MS;
}

void clinic_crash(struct sim *sim, bool power_loss)
{
    struct clinic *self = sim->clinic;
    if (self) {
        clinic_rated_over(self, false);
        self->upset_step = sim->model.step;
        if (power_loss && self->pull_step > self->chart.durable_step) {
            /* One that was granted, recalled and answered empty is granted again. */
            grant_unseen(sim, self->chart.durable_step);
        } else if (!power_loss && self->pulls > 0 &&
                   (clinic_awaits_room(sim) || may_be_unwritten(sim))) {
            /* One whose end had no room on the disk, or was not written yet, is out again, and
             * counts as told. */
            grant_unseen(sim, sim->model.step);
        }
        chart_crash(&self->chart, power_loss);
        self->pulls_out = 0;
    }
}

void clinic_grace(struct sim *sim, int64_t stall_ms)
{
    struct clinic *self = sim->clinic;
    const int64_t grace_ms = stall_ms + ZSP_STALL_GRACE_MS;
    if (self) {
        chart_grace(&self->chart, grace_ms);
        if (self->unseen_until_ms > sim->model.uptime_ms) {
            self->unseen_until_ms = sim->model.uptime_ms + grace_ms > self->unseen_until_ms
                                        ? sim->model.uptime_ms + grace_ms
                                        : self->unseen_until_ms;
        }
    }
}
