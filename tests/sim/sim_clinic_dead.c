/* SPDX-License-Identifier: MPL-2.0
 *
 * What the keeper does, and what it is told: lists, redrives, drops, figures.
 */
#include <inttypes.h>
#include <string.h>

#include "common/limits.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_clinic.h"

/* --- Redrives and drops ------------------------------------------------------------------------ */

bool clinic_is_meant(const struct sim_request *request, uint32_t partition, uint64_t offset)
{
    const struct sim_srun *run = request->sruns;
    return request->srun_count == 0 || (run->partition == partition && offset >= run->first &&
                                        offset - run->first < run->count);
}

static void redrive_enters(struct clinic *self, const struct sim_request *request,
                           uint32_t partition, uint64_t offset)
{
    struct chart_slot *slot = &self->chart.slots[partition][offset];
    chart_may(&self->chart, slot, CHART_ALIVE);
    slot->left_out = false; /* it may expire once more */
    slot->left_out_max += slot->message == 0;
    slot->due_ms = 0;
    if (!request->keeps_counts) {
        slot->failures_min = slot->failures_durable = slot->deliveries_min = 0;
    }
    chart_doubt(&self->chart, partition, offset);
}

/* One with a rate is unanswered, so to say, until it is over. */
static void rated_begins(struct clinic *self, struct sim_request *request)
{
    struct chart *chart = &self->chart;
    self->rated = request;
    self->rated_is_on = false;
    self->rated_seen = 0;
    for (uint32_t p = 0; p < CHART_PARTS; p++) {
        for (uint64_t o = 0; o < chart->counts[p]; o++) {
            struct chart_slot *slot = &chart->slots[p][o];
            if ((slot->may & CHART_DEAD) != 0) {
                slot->then = slot->may;
                slot->last = request;
                slot->open++;
                slot->touched_step = chart->model->step;
                slot->is_rated = true;
                redrive_enters(self, request, p, o);
            }
        }
    }
}

/* When another one may be under way this one is refused, or that is over. */
static void rated_enters(struct clinic *self, struct sim_request *request)
{
    struct chart *chart = &self->chart;
    if (!self->rated) {
        rated_begins(self, request);
        return;
    }
    for (uint32_t p = 0; p < CHART_PARTS; p++) {
        for (uint64_t o = 0; o < chart->counts[p]; o++) {
            if ((chart->slots[p][o].may & CHART_DEAD) != 0) {
                chart->slots[p][o].touched_step = chart->model->step;
                redrive_enters(self, request, p, o);
            }
        }
    }
}

/* What the request may do to one dead message. */
static void dead_enters(struct clinic *self, struct sim_request *request, uint32_t p, uint64_t o)
{
    struct chart_slot *slot = &self->chart.slots[p][o];
    if ((slot->may & CHART_DEAD) == 0 || request->dry_run) {
        return;
    }
    if (request->verb == SIM_DEAD_REDRIVE) {
        redrive_enters(self, request, p, o);
    } else {
        chart_may(&self->chart, slot, CHART_DONE);
    }
}

static void change_enters(struct clinic *self, struct sim_request *request)
{
    struct chart *chart = &self->chart;
    for (uint32_t p = 0; p < CHART_PARTS; p++) {
        for (uint64_t o = 0; o < chart->counts[p]; o++) {
            const struct chart_slot *slot = &chart->slots[p][o];
            if (!clinic_is_meant(request, p, o) ||
                (request->srun_count == 0 && (slot->may & CHART_DEAD) == 0)) {
                continue;
            }
            clinic_touch(self, request, p, o);
            dead_enters(self, request, p, o);
        }
    }
}

void clinic_rated_seen(struct clinic *self, struct chart_slot *slot)
{
    const struct model *model = self->chart.model;
    if (!slot->is_rated) {
        return;
    }
    const struct sim_request *rated = self->rated;
    const bool was_dead = slot->then == CHART_DEAD && slot->last == rated;
    slot->is_rated = false;
    slot->open -= slot->open > 0 ? 1 : 0;
    self->rated_seen += was_dead;
    const uint64_t allowed = (uint64_t)(model->uptime_ms - rated->entered_ms) * rated->rate / 1000;
    if (self->rated_seen > allowed) {
        (void)model_fail(self->chart.model,
                         "clinic: %" PRIu64 " messages of a redrive came in %" PRId64
                         " ms, at a rate of %" PRIu64,
                         self->rated_seen, model->uptime_ms - rated->entered_ms, rated->rate);
    }
}

/* No more of it comes; `surely`: none can be under way. */
static void rated_slot_over(struct clinic *self, struct chart_slot *slot, bool surely)
{
    if (!slot->is_rated) {
        return;
    }
    slot->is_rated = false;
    slot->open -= slot->open > 0 ? 1 : 0;
    const bool is_alone = clinic_is_alone(slot, self->rated);
    slot->touched_step = self->chart.model->step; /* what is under way is not alone with it */
    if (surely && is_alone && slot->then == CHART_DEAD) {
        chart_is(&self->chart, slot, CHART_ALIVE);
        slot->only_told = true;
        if (!self->rated->keeps_counts) {
            chart_reset_counts(slot, true);
        }
    }
}

void clinic_rated_over(struct clinic *self, bool surely)
{
    struct chart *chart = &self->chart;
    for (uint32_t p = 0; self->rated && p < CHART_PARTS; p++) {
        for (uint64_t o = 0; o < chart->counts[p]; o++) {
            rated_slot_over(self, &chart->slots[p][o], surely);
        }
    }
    self->rated = NULL;
}

static void rated_answered(struct clinic *self, struct sim_request *request)
{
    const struct sim_reply *reply = &request->reply;
    if (self->rated != request && !reply->is_error) {
        clinic_rated_over(self, false);
        rated_begins(self, request);
    }
    if (self->rated != request) {
        return;
    }
    if (reply->is_error) {
        clinic_rated_over(self, false);
        return;
    }
    self->rated_is_on = true;
    self->rated_step = self->chart.model->step;
}

/* Messages whose publish got no answer, and that nobody has met: they may have expired, and so died. */
static uint64_t count_unheard(const struct clinic *self)
{
    uint64_t heard = 0;
    for (uint32_t p = 0; p < CHART_PARTS; p++) {
        for (uint64_t o = 0; o < self->chart.counts[p]; o++) {
            heard += self->chart.slots[p][o].message != 0;
        }
    }
    return self->published - heard;
}

/* How many of those that are meant were dead, surely and perhaps. */
static void count_meant(const struct clinic *self, const struct sim_request *request,
                        uint64_t *ret_least, uint64_t *ret_most)
{
    *ret_least = 0;
    *ret_most = self->chart.rules.expired_dies ? count_unheard(self) : 0;
    for (size_t i = 0; i < request->touched_count; i++) {
        const struct sim_place *place = &request->touched[i];
        const struct chart_slot *slot = &self->chart.slots[place->partition][place->offset];
        const bool is_alone =
            slot->last == request && slot->open == 1 && slot->touched_step == request->entered_step;
        *ret_least += is_alone && slot->then == CHART_DEAD;
        *ret_most += !is_alone || (slot->then & CHART_DEAD) != 0;
    }
}

static void now_changed(struct clinic *self, const struct sim_request *request,
                        struct chart_slot *slot)
{
    struct chart *chart = &self->chart;
    const bool is_redrive = request->verb == SIM_DEAD_REDRIVE;
    /* What is not surely dead may be so later, of a lease that nobody knows. */
    const unsigned others = request->srun_count > 0 || slot->then == CHART_DEAD ? 0 : slot->then;
    chart_is(chart, slot, others | (is_redrive ? CHART_ALIVE : CHART_DONE));
    slot->touched_step = chart->model->step;
    slot->holds = false;
    if (is_redrive && !request->keeps_counts) {
        chart_reset_counts(slot, others == 0);
    }
}

static void changed(struct clinic *self, struct sim_request *request)
{
    const struct sim_reply *reply = &request->reply;
    const bool is_moved = clinic_in_move(self, request);
    uint64_t least = 0;
    uint64_t most = 0;
    count_meant(self, request, &least, &most);
    if (!is_moved && reply->is_error && reply->code == ZSP_ENOT_FOUND &&
        least == request->touched_count) {
        (void)model_fail(self->chart.model, "clinic: %s of dead messages: %s",
                         sim_verb_name(request->verb), reply->text);
    }
    if (!is_moved && !reply->is_error && (reply->applied < least || reply->applied > most)) {
        (void)model_fail(self->chart.model,
                         "clinic: %s of %" PRIu64 " messages, dead were %" PRIu64 " to %" PRIu64,
                         sim_verb_name(request->verb), reply->applied, least, most);
    }
    const size_t count = request->touched_count;
    clinic_untouch(self, request);
    if (reply->is_error || request->dry_run) {
        return;
    }
    if (reply->applied > 0 && self->chart.durable_step < request->entered_step) {
        self->chart.durable_step = request->entered_step;
    }
    for (size_t i = 0; i < count && !is_moved; i++) {
        struct chart_slot *slot =
            chart_slot(&self->chart, request->touched[i].partition, request->touched[i].offset);
        if (clinic_is_alone(slot, request)) {
            now_changed(self, request, slot);
        }
    }
}

/* --- Lists and figures --------------------------------------------------------------------------- */

static void judge_list(struct clinic *self, const struct sim_request *request)
{
    struct chart *chart = &self->chart;
    const struct sim_reply *reply = &request->reply;
    for (uint32_t p = 0; p < CHART_PARTS; p++) {
        for (uint64_t o = 0; o < chart->counts[p]; o++) {
            chart->slots[p][o].is_listed = false;
        }
    }
    for (size_t i = 0; i < reply->run_count; i++) {
        const struct sim_run *run = &reply->runs[i];
        for (uint64_t o = run->first; o < run->first + run->count; o++) {
            struct chart_slot *slot = chart_slot(chart, run->partition, o);
            slot->is_listed = true;
            if (!chart_was(slot, CHART_DEAD, request->entered_step)) {
                (void)clinic_fail(self, run->partition, o, "is listed as dead");
            } else if (chart_stays(slot, CHART_DEAD, request->entered_step) &&
                       (run->failures < slot->failures_min || run->failures > slot->failures_max)) {
                (void)clinic_fail(self, run->partition, o, "is listed with other failures");
            }
        }
    }
    for (uint32_t p = 0; p < CHART_PARTS; p++) {
        for (uint64_t o = 0; o < chart->counts[p]; o++) {
            if (chart_stays(&chart->slots[p][o], CHART_DEAD, request->entered_step) &&
                !chart->slots[p][o].is_listed) {
                (void)clinic_fail(self, p, o, "is not listed as dead");
                return;
            }
        }
    }
}

struct bounds {
    uint64_t dead_least, dead_most, committed_least, committed_most, expired_most;
};

static struct bounds bounds_of(const struct clinic *self, uint32_t partition, uint64_t step)
{
    const struct chart *chart = &self->chart;
    const uint64_t count = chart->counts[partition];
    struct bounds ret = {.committed_least = UINT64_MAX, .committed_most = UINT64_MAX};
    for (uint64_t o = 0; o < count; o++) {
        const struct chart_slot *slot = &chart->slots[partition][o];
        ret.dead_least += chart_stays(slot, CHART_DEAD, step);
        ret.dead_most += chart_was(slot, CHART_DEAD, step);
        ret.expired_most += slot->left_out_max;
        if (ret.committed_least == UINT64_MAX &&
            !chart_stays(slot, CHART_DEAD | CHART_DONE, step)) {
            ret.committed_least = o;
        }
        if (ret.committed_most == UINT64_MAX && !chart_was(slot, CHART_DEAD | CHART_DONE, step)) {
            ret.committed_most = o;
        }
    }
    ret.committed_least = ret.committed_least == UINT64_MAX ? count : ret.committed_least;
    return ret;
}

static void judge_info(struct clinic *self, const struct sim_request *request)
{
    const struct sim_reply *reply = &request->reply;
    for (size_t i = 0; i < reply->part_count; i++) {
        const struct sim_part *part = &reply->parts[i];
        struct bounds want = bounds_of(self, part->partition, request->entered_step);
        if (part->values[1] > self->chart.counts[part->partition]) {
            (void)chart_slot(&self->chart, part->partition, part->values[1] - 1);
            want = bounds_of(self, part->partition, request->entered_step);
        }
        if (part->values[5] < want.dead_least || part->values[5] > want.dead_most ||
            part->values[0] < want.committed_least || part->values[0] > want.committed_most ||
            part->values[7] > want.expired_most) {
            (void)model_fail(self->chart.model,
                             "clinic (%s)/%u: committed %" PRIu64 ", dead %" PRIu64
                             ", expired %" PRIu64 "; want %" PRIu64 " to %" PRIu64 ", %" PRIu64
                             " to %" PRIu64 ", at most %" PRIu64,
                             self->settings.mode, part->partition, part->values[0], part->values[5],
                             part->values[7], want.committed_least, want.committed_most,
                             want.dead_least, want.dead_most, want.expired_most);
            return;
        }
    }
}

/* The redrive with a rate is over: it has met all that were dead when it began. */
static void note_rated(struct clinic *self, const struct sim_request *request)
{
    const struct sim_request *rated = self->rated;
    if (!rated || !self->rated_is_on || request->entered_step <= self->rated_step) {
        return;
    }
    if (!request->reply.redrives) {
        clinic_rated_over(self, !clinic_in_move(self, rated));
        return;
    }
    const int64_t passed_ms = self->chart.model->uptime_ms - rated->entered_ms;
    if (request->reply.redriven > (uint64_t)passed_ms * rated->rate / 1000) {
        (void)model_fail(self->chart.model,
                         "clinic: %" PRIu64 " messages redriven in %" PRId64 " ms at %" PRIu64,
                         request->reply.redriven, passed_ms, rated->rate);
    }
}

/* --- Dispatch --------------------------------------------------------------------------------------- */

static bool changes_dead(const struct sim_request *request)
{
    return request->verb == SIM_DEAD_REDRIVE || request->verb == SIM_DEAD_DROP;
}

static void set_hold_enters(struct clinic *self, const struct sim_request *request)
{
    self->held_before = self->sets_hold || self->settings.holds_dead;
    self->sets_hold = true;
    self->settings.holds_dead = self->settings.holds_dead || request->force;
    self->set_hold_step = self->chart.model->step;
    self->upset_step = self->set_hold_step;
    for (uint32_t p = 0; p < CHART_PARTS; p++) {
        for (uint64_t o = 0; o < self->chart.counts[p]; o++) {
            struct chart_slot *slot = &self->chart.slots[p][o];
            if (!request->force) {
                slot->holds = false;
            } else if ((slot->may & CHART_DEAD) != 0) {
                chart_doubt(&self->chart, p, o); /* it may hold once more */
            }
        }
    }
}

void clinic_dead_enter(struct clinic *self, struct sim_request *request)
{
    self->chart.returns += request->verb == SIM_DEAD_REDRIVE && self->chart.rules.expired_dies;
    if (changes_dead(request) && request->rate > 0) {
        rated_enters(self, request);
    } else if (changes_dead(request) && !request->stops) {
        change_enters(self, request);
    } else if (request->verb == SIM_GROUP_SET) {
        set_hold_enters(self, request);
    } else {
        clinic_move_enters(self, request);
    }
}

static void published(struct clinic *self, const struct sim_request *request)
{
    struct chart *chart = &self->chart;
    self->publishing = false;
    for (size_t i = 0; i < request->reply.at_count; i++) {
        const struct sim_at *at = &request->reply.at[i];
        for (uint64_t m = 0; m < at->count; m++) {
            if (!chart_learn(chart, at->partition, at->first + m,
                             request->first_message + at->index + (uint32_t)m)) {
                return;
            }
            struct chart_slot *slot = chart_slot(chart, at->partition, at->first + m);
            if (slot->touched_step == chart->model->step &&
                self->gone_step < request->entered_step) {
                /* Nobody can have met it yet. */
                chart_is(chart, slot, CHART_ALIVE);
                memset(slot->until, 0, sizeof slot->until);
                slot->old = CHART_ALIVE;
                slot->failures_max = slot->deliveries_max = slot->deaths = 0;
                slot->most_failures = slot->most_deliveries = 0;
                slot->left_out_max = 0;
                slot->was_new = true;
            }
        }
    }
}

static void was_read(struct clinic *self, const struct sim_reply *reply)
{
    for (size_t i = 0; i < reply->run_count; i++) {
        const struct sim_run *run = &reply->runs[i];
        for (uint64_t m = 0; m < run->count && run->topic == SIM_CLINIC; m++) {
            if (!chart_learn(&self->chart, run->partition, run->first + m,
                             reply->messages[run->first_message + m])) {
                return;
            }
        }
    }
}

static bool is_expected(const struct sim_request *request)
{
    const int code = request->reply.code;
    return code == ZSP_ENO_SPACE || code == ZSP_ESTORAGE_FAILED || code == ZSP_ESHUTTING_DOWN ||
           (code == ZSP_EEXISTS && (request->verb == SIM_TOPIC_CREATE ||
                                    request->verb == SIM_GROUP_CREATE || request->rate > 0)) ||
           (code == ZSP_ENOT_FOUND && changes_dead(request)) ||
           (code == ZSP_ENOT_FOUND && clinic_is_restore(request)) ||
           (code == ZSP_EOUT_OF_RANGE && request->verb == SIM_SEEK);
}

static void change_answered(struct clinic *self, struct sim_request *request)
{
    if (request->rate > 0) {
        rated_answered(self, request);
    } else if (!request->stops) {
        changed(self, request);
    } else if (!request->reply.is_error) {
        clinic_rated_over(self, false);
    }
}

static void set_hold_answered(struct clinic *self, const struct sim_request *request)
{
    self->sets_hold = false;
    self->set_hold_step = self->upset_step = self->chart.model->step;
    self->settings.holds_dead = request->reply.is_error ? self->held_before : request->force;
}

/* What only tells. */
static void told(struct clinic *self, struct sim_request *request)
{
    const bool is_moved = clinic_in_move(self, request);
    if (request->verb == SIM_DEAD_LIST && !is_moved) {
        judge_list(self, request);
    } else if (request->verb == SIM_GROUP_INFO) {
        if (!is_moved) {
            judge_info(self, request);
        }
        note_rated(self, request);
    } else if (request->verb == SIM_READ) {
        was_read(self, &request->reply);
    } else if (request->verb == SIM_TOPIC_GROW) {
        self->parts = (uint32_t)request->reply.end;
    }
}

void clinic_dead_answer(struct clinic *self, struct sim_request *request)
{
    if (request->reply.is_error && !is_expected(request)) {
        (void)model_fail(self->chart.model, "clinic: %s was answered: %s",
                         sim_verb_name(request->verb), request->reply.text);
        return;
    }
    if (request->verb == SIM_PUBLISH) {
        published(self, request);
    } else if (changes_dead(request)) {
        change_answered(self, request);
    } else if (request->verb == SIM_GROUP_SET) {
        set_hold_answered(self, request);
    } else if (!clinic_move_answered(self, request) && !request->reply.is_error) {
        told(self, request);
    }
}

void clinic_cut(struct sim *sim, struct sim_request *request)
{
    struct clinic *self = sim->clinic;
    if (!self) {
        return;
    }
    clinic_untouch(self, request);
    if (request->verb == SIM_PULL) {
        clinic_pull_gone(sim, request);
    } else if (request->verb == SIM_PUBLISH) {
        self->publishing = false;
    } else if (request->verb == SIM_GROUP_SET) {
        self->settings.holds_dead = true; /* perhaps: nothing surely holds, nor lets pass */
        self->set_hold_step = UINT64_MAX;
        self->sets_hold = false;
    } else if (self->rated == request) {
        clinic_rated_over(self, false);
    } else {
        clinic_move_cut(self, request);
    }
}
