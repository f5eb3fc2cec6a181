/* SPDX-License-Identifier: MPL-2.0
 *
 * Moves of the group: seeks, savepoints, and what takes the last one back. What a savepoint holds of a message
 * is a set of states, too: those that were possible between its request and the answer.
 */
#include <string.h>

#include "tests/sim/sim.h"
#include "tests/sim/sim_clinic.h"

bool clinic_is_restore(const struct sim_request *request)
{
    return request->verb == SIM_SAVEPOINT_RESTORE || request->verb == SIM_SAVEPOINT_UNDO;
}

static bool is_move(const struct sim_request *request)
{
    return (request->verb == SIM_SEEK || clinic_is_restore(request)) && !request->dry_run;
}

/* Does it move this partition, perhaps? */
static bool is_meant(const struct sim_request *request, uint32_t partition)
{
    return request->verb != SIM_SEEK || (uint32_t)request->partition == partition;
}

static uint32_t greater(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* --- The request --------------------------------------------------------------------------------- */

/* From now on what the counts are is what the savepoint may hold, however they begin anew. */
static void save_enters(struct clinic *self)
{
    self->saves_out++;
    for (uint32_t p = 0; p < CHART_PARTS && self->saves_out == 1; p++) {
        for (uint64_t o = 0; o < self->chart.counts[p]; o++) {
            struct chart_slot *slot = &self->chart.slots[p][o];
            slot->most_failures = slot->failures_max;
            slot->most_deliveries = slot->deliveries_max;
        }
    }
}

/* What is dead again may be met by a redrive with a rate that began before. */
static void meet_rated(const struct clinic *self, struct chart_slot *slot)
{
    if (self->rated && !slot->is_rated) {
        slot->is_rated = true;
        slot->open++;
    }
}

static void slot_enters(struct clinic *self, const struct sim_request *request,
                        struct chart_slot *slot)
{
    slot->then = slot->may;
    slot->touched_step = self->chart.model->step;
    slot->holds = false;
    slot->left_out = false;
    slot->left_out_max += slot->message == 0;
    slot->due_ms = 0;
    slot->failures_min = slot->deliveries_min = slot->failures_durable = 0;
    chart_may(&self->chart, slot,
              CHART_ALIVE | CHART_DONE | (clinic_is_restore(request) ? (unsigned)CHART_DEAD : 0u));
    if (clinic_is_restore(request)) {
        slot->deaths++; /* it may be dead once more, and owe what it owed */
        meet_rated(self, slot);
    }
}

void clinic_move_enters(struct clinic *self, const struct sim_request *request)
{
    struct chart *chart = &self->chart;
    if (request->verb == SIM_SAVEPOINT_SAVE) {
        save_enters(self);
    }
    if (!is_move(request)) {
        return;
    }
    chart->returns++;
    self->moves++;
    self->moves_out++;
    self->moved_count = chart->model->message_count;
    self->upset_step = chart->model->step;
    for (uint32_t p = 0; p < CHART_PARTS; p++) {
        for (uint64_t o = 0; o < chart->counts[p] && is_meant(request, p); o++) {
            slot_enters(self, request, &chart->slots[p][o]);
        }
    }
}

/* --- Seeks ---------------------------------------------------------------------------------------- */

static bool is_alone(const struct clinic *self, const struct sim_request *request,
                     const struct chart_slot *slot)
{
    return slot->touched_step == request->entered_step && self->moves_out == 0 && slot->open == 0 &&
           !slot->is_rated;
}

static void seek_slot(struct clinic *self, const struct sim_request *request, uint64_t offset,
                      uint64_t to)
{
    struct chart *chart = &self->chart;
    struct chart_slot *slot = &chart->slots[request->partition][offset];
    const unsigned dead = slot->then & CHART_DEAD;
    if (!is_alone(self, request, slot)) {
        chart_may(chart, slot, CHART_ANY);
    } else if (slot->then == CHART_DEAD && (offset < to || !request->with_dead)) {
        chart_is(chart, slot, CHART_DEAD);
    } else if (offset < to) {
        chart_is(chart, slot, CHART_DONE | dead);
    } else {
        chart_is(chart, slot, CHART_ALIVE | (request->with_dead ? 0u : dead));
        chart_reset_counts(slot, dead == 0);
    }
    slot->due_ms = 0;
    slot->touched_step = chart->model->step;
}

static void seek_answered(struct clinic *self, const struct sim_request *request)
{
    const struct sim_reply *reply = &request->reply;
    for (size_t i = 0; i < reply->part_count; i++) {
        for (uint64_t o = 0; o < self->chart.counts[request->partition]; o++) {
            seek_slot(self, request, o, reply->parts[i].values[1]);
        }
    }
}

/* --- Savepoints ----------------------------------------------------------------------------------- */

/* `pulled` = a pull was under way: what was granted then, and called back before anybody was told,
 * is out in the savepoint, and that delivery is counted. */
static struct clinic_saved save_slot(const struct chart_slot *slot, uint64_t step, bool pulled)
{
    struct clinic_saved ret = {.failures_max = greater(slot->failures_max, slot->most_failures),
                               .deliveries_max =
                                   greater(slot->deliveries_max, slot->most_deliveries)};
    for (unsigned i = 0; i < 4; i++) {
        ret.may = (uint8_t)(ret.may | (chart_was(slot, 1u << i, step) ? 1u << i : 0u));
    }
    if (slot->open == 0 && slot->touched_step < step) {
        ret.failures_min = slot->failures_min;
        ret.deliveries_min = slot->deliveries_min;
        ret.deliveries_max += pulled && (ret.may & CHART_ALIVE) != 0;
    } else {
        ret.failures_max++; /* by what is under way */
        ret.deliveries_max++;
    }
    return ret;
}

static void saved(struct clinic *self, const struct sim_request *request)
{
    if (request->reply.is_error) {
        return;
    }
    const bool pulled = self->pulls_out > 0 || self->pull_step >= request->entered_step ||
                        self->unseen_until_ms >= request->entered_ms;
    self->saved_exists = true;
    self->saved_pulled = pulled;
    self->saved_known = !clinic_in_move(self, request);
    for (uint32_t p = 0; p < CHART_PARTS; p++) {
        self->saved_counts[p] = self->chart.counts[p];
        for (uint64_t o = 0; o < self->chart.counts[p]; o++) {
            self->saved[p][o] = save_slot(&self->chart.slots[p][o], request->entered_step, pulled);
        }
    }
}

static void restore_slot(struct clinic *self, const struct sim_request *request, uint32_t partition,
                         uint64_t offset)
{
    struct chart *chart = &self->chart;
    struct chart_slot *slot = &chart->slots[partition][offset];
    const struct clinic_saved *saved = &self->saved[partition][offset];
    const bool is_known = request->verb == SIM_SAVEPOINT_RESTORE && self->saved_known &&
                          !self->rated && is_alone(self, request, slot);
    const bool was_later = offset >= self->saved_counts[partition];
    if (!is_known || (was_later && !slot->was_new)) {
        chart_forget(chart, slot);
        meet_rated(self, slot);
    } else if (was_later) {
        chart_is(chart, slot, CHART_ALIVE);
        slot->deliveries_max += self->saved_pulled; /* it may have been there, and be out in it */
    } else {
        const bool was_unfinished = (saved->may & (CHART_ALIVE | CHART_OUT)) != 0;
        chart_is(chart, slot,
                 (saved->may & (CHART_DONE | CHART_DEAD)) |
                     (was_unfinished ? (unsigned)CHART_ALIVE : 0u));
        slot->failures_min = saved->failures_min;
        slot->deliveries_min = saved->deliveries_min;
        slot->failures_max = greater(slot->failures_max, saved->failures_max);
        slot->deliveries_max = greater(slot->deliveries_max, saved->deliveries_max);
    }
    slot->failures_durable = slot->failures_min;
    slot->is_limited = true; /* it may wait, or go alone, as it did then */
    slot->touched_step = chart->model->step;
}

static void restored(struct clinic *self, const struct sim_request *request)
{
    const struct sim_reply *reply = &request->reply;
    for (size_t i = 0; i < reply->part_count; i++) {
        const uint32_t partition = reply->parts[i].partition;
        for (uint64_t o = 0; o < self->chart.counts[partition]; o++) {
            restore_slot(self, request, partition, o);
        }
    }
}

/* --- Dispatch ------------------------------------------------------------------------------------- */

bool clinic_move_answered(struct clinic *self, const struct sim_request *request)
{
    const bool is_error = request->reply.is_error;
    if (request->verb == SIM_SAVEPOINT_RESTORE && is_error && self->saved_exists &&
        request->reply.code == ZSP_ENOT_FOUND) {
        (void)model_fail(self->chart.model, "clinic: the savepoint is gone");
    }
    if (request->verb == SIM_SAVEPOINT_SAVE) {
        self->saves_out--;
        saved(self, request);
        return true;
    }
    if (!is_move(request)) {
        return request->verb == SIM_SEEK || clinic_is_restore(request);
    }
    self->moves++;
    self->moves_out--;
    if (is_error) {
        return true;
    }
    if (self->chart.durable_step < request->entered_step) {
        self->chart.durable_step = request->entered_step;
    }
    if (request->verb == SIM_SEEK) {
        seek_answered(self, request);
    } else {
        restored(self, request);
    }
    return true;
}

void clinic_move_cut(struct clinic *self, const struct sim_request *request)
{
    if (request->verb == SIM_SAVEPOINT_SAVE) {
        self->saves_out--;
        self->saved_known = false;
    }
    if (!is_move(request)) {
        return;
    }
    self->moves++;
    self->moves_out--;
    for (uint32_t p = 0; p < CHART_PARTS; p++) {
        for (uint64_t o = 0; o < self->chart.counts[p] && is_meant(request, p); o++) {
            struct chart_slot *slot = &self->chart.slots[p][o];
            if (clinic_is_restore(request)) {
                chart_forget(&self->chart, slot);
                meet_rated(self, slot);
            } else {
                chart_may(&self->chart, slot, CHART_ANY);
            }
        }
    }
}
