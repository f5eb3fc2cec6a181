/* SPDX-License-Identifier: MPL-2.0
 *
 * What a pull should have got: it was alone, and something waited that it surely could have had, or
 * something more urgent than what it has.
 */
#include <stdio.h>
#include <string.h>

#include "common/limits.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_clinic.h"

#define LATE_MS 1000 /* what is due so long ago must be there */
#define ROOM_MS 3000 /* what waited for room on the disk is tried again each second */

/* Is nothing before it in its order unfinished, surely and since long? */
static bool is_first(const struct clinic *self, const struct sim_request *pull, uint32_t partition,
                     uint64_t offset)
{
    const struct chart_slot *slots = self->chart.slots[partition];
    for (uint64_t o = 0; o < offset; o++) {
        const bool is_over = chart_stays(&slots[o], CHART_DONE, pull->entered_step) ||
                             (!self->settings.holds_dead && !self->sets_hold &&
                              self->set_hold_step < pull->entered_step &&
                              chart_stays(&slots[o], CHART_DONE | CHART_DEAD, pull->entered_step));
        if (chart_binds(&self->chart, &slots[o], &slots[offset], true) && !is_over) {
            return false;
        }
    }
    return true;
}

/* Could the pull have had it, surely? */
static bool is_there(const struct clinic *self, const struct sim_request *pull, uint32_t partition,
                     uint64_t offset)
{
    const struct chart_slot *slot = &self->chart.slots[partition][offset];
    const struct sim_order *order = chart_order_of(&self->chart, slot);
    return slot->message > 0 && !slot->is_limited && !slot->is_rated &&
           chart_stays(slot, CHART_ALIVE, pull->entered_step) &&
           slot->late_ms + LATE_MS <= pull->entered_ms &&
           order->not_before_ms + LATE_MS <= pull->entered_wall_ms &&
           !model_may_be_expired(self->chart.model, slot->message - 1) &&
           is_first(self, pull, partition, offset);
}

/* May another member have partitions of which nobody saw that it got anything? A pull takes several, and
 * what has no room in its reply goes back; the partition stays for the time of a lease. */
static bool may_hold_more(const struct clinic *self, const struct sim_request *pull)
{
    for (unsigned i = 0; i < CLINIC_CLIENTS; i++) {
        if (i != pull->client->index && self->cut_ms[i] != 0 &&
            self->cut_ms[i] + SIM_LEASE_MS + LATE_MS > pull->entered_ms) {
            return true;
        }
    }
    return false;
}

/* In order by partition: would nobody be surprised if the member had it? Nothing of it is out, and
 * who had it last is this one, or was not heard of for the time of a lease. */
static bool is_free(const struct clinic *self, const struct sim_request *pull, uint32_t partition)
{
    const struct chart *chart = &self->chart;
    const struct client *holder = self->holders[partition];
    for (uint64_t o = 0; o < chart->counts[partition]; o++) {
        if ((chart->slots[partition][o].may & CHART_OUT) != 0) {
            return false;
        }
    }
    if (holder == pull->client) {
        return true;
    }
    return (!holder ||
            self->pulled_ms[holder->index] + SIM_LEASE_MS + LATE_MS <= pull->entered_ms) &&
           !may_hold_more(self, pull);
}

static bool any_limited(const struct clinic *self, const struct sim_reply *reply)
{
    for (size_t i = 0; i < reply->run_count; i++) {
        const struct sim_run *run = &reply->runs[i];
        for (uint64_t o = run->first; o < run->first + run->count; o++) {
            if (self->chart.slots[run->partition][o].is_limited) {
                return true;
            }
        }
    }
    return false;
}

static bool judge_choice(struct clinic *self, const struct sim_request *pull)
{
    static const char *const excuses[] = {"paused", "loading", "cancelled", "limit", "corrupt"};
    const struct sim_reply *reply = &pull->reply;
    unsigned least = ZSP_PRIORITY_MAX;
    if (any_limited(self, reply)) {
        return true; /* such go without others */
    }
    for (size_t i = 0; i < sizeof excuses / sizeof excuses[0] && reply->run_count == 0; i++) {
        if (strcmp(reply->reason, excuses[i]) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < reply->run_count; i++) {
        least = reply->runs[i].priority < least ? reply->runs[i].priority : least;
    }
    for (uint32_t p = 0; p < CHART_PARTS; p++) {
        if (self->chart.rules.order == CHART_BY_PARTITION && !is_free(self, pull, p)) {
            continue;
        }
        const uint64_t begin = self->near[0][p];
        const uint64_t then = self->near[2][p] < begin ? self->near[2][p] : begin;
        for (uint64_t o = begin; o < self->chart.counts[p]; o++) {
            const unsigned priority =
                chart_order_of(&self->chart, &self->chart.slots[p][o])->priority;
            const bool is_near =
                self->settings.look_ahead == 0 || o - then < self->settings.look_ahead;
            const bool is_wanted = reply->run_count == 0 || priority > least;
            if (is_near && is_wanted && is_there(self, pull, p, o)) {
                char what[80];
                (void)snprintf(what, sizeof what, "waits, and a pull got %zu of priority %u (%s)",
                               reply->message_count, least, reply->reason);
                return clinic_fail(self, p, o, what);
            }
        }
    }
    return true;
}

/* Is priority not what decides? */
static bool takes_other_order(const struct clinic *self)
{
    return self->settings.is_weighted || self->chart.rules.order == CHART_BY_PARTITION;
}

bool clinic_awaits_room(const struct sim *sim)
{
    return sim->world.disk_is_limited ||
           (sim->world.room_ms > 0 && sim->model.uptime_ms < sim->world.room_ms + ROOM_MS);
}

/* May a pull be judged by what it left behind? */
static bool is_calm(const struct clinic *self, const struct sim_request *pull)
{
    const struct model *model = self->chart.model;
    return pull->was_alone && self->pulls == pull->pulls_then && !pull->repeats &&
           pull->srun_count == 0 && !clinic_in_move(self, pull) &&
           (!takes_other_order(self) || pull->reply.run_count == 0) &&
           !(strcmp(pull->reply.reason, "timeout") == 0 &&
             model->uptime_ms < pull->entered_ms + LATE_MS) &&
           model->uptime_ms > self->unseen_until_ms && model->wall_step < pull->entered_step &&
           model->uptime_ms >= model->slow_ms && !clinic_awaits_room(pull->client->sim);
}

void clinic_judge_choice(struct clinic *self, const struct sim_request *pull)
{
    if (is_calm(self, pull)) {
        (void)judge_choice(self, pull);
    }
}

/* The broker has surely looked as far as the look-ahead beyond what was unfinished a while ago. */
void clinic_note_near(struct clinic *self)
{
    const int64_t now_ms = self->chart.model->uptime_ms;
    if (now_ms - self->near_ms > LATE_MS) {
        memcpy(self->near[2], self->near[1], sizeof self->near[2]);
        memcpy(self->near[1], self->near[0], sizeof self->near[1]);
        self->near_ms = now_ms;
    }
    for (uint32_t p = 0; p < CHART_PARTS; p++) {
        uint64_t first = 0;
        while (first < self->chart.counts[p] &&
               (self->chart.slots[p][first].may & (CHART_ALIVE | CHART_OUT)) == 0) {
            first++;
        }
        self->near[0][p] = first;
    }
}
