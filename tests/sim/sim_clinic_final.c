/* SPDX-License-Identifier: MPL-2.0
 *
 * The last look at the group: all that is alive comes, unless a dead message keeps it back; then the
 * dead come back at a rate, and everything is done.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/assert.h"
#include "common/limits.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_clinic.h"

#define PULLS_MAX 4000

static struct sim_request *ask_of(struct client *keeper, enum sim_verb verb)
{
    struct sim_request *request = client_request(keeper, verb);
    request->group = SIM_CLINIC_GROUP;
    request->topic = SIM_CLINIC;
    return request;
}

static void ack_all(struct sim *sim, struct client *keeper, const struct sim_reply *pulled)
{
    struct sim_request *request = ask_of(keeper, SIM_SETTLE);
    request->srun_count = pulled->run_count;
    request->sruns = calloc(pulled->run_count, sizeof *request->sruns);
    zsp_assert(request->sruns);
    for (size_t i = 0; i < pulled->run_count; i++) {
        const struct sim_run *run = &pulled->runs[i];
        request->sruns[i] = (struct sim_srun){.topic = run->topic,
                                              .partition = run->partition,
                                              .first = run->first,
                                              .count = run->count,
                                              .lease = run->lease,
                                              .outcome = WIRE_ACK};
    }
    (void)sim_ask(sim, keeper, request);
}

/* The reason of the last pull, which does not wait; NULL = something failed. */
static const char *drain(struct sim *sim, struct client *keeper)
{
    bool waited = false;
    for (int i = 0; i < PULLS_MAX && !sim->model.failed; i++) {
        struct sim_request *request = ask_of(keeper, SIM_PULL);
        request->max_messages = 200;
        request->max_bytes = 1000000;
        request->wait_ms = waited ? 0 : 60000; /* longer than a lease, and a retry */
        const struct sim_reply *reply = sim_ask(sim, keeper, request);
        if (!reply || (reply->run_count == 0 && waited)) {
            return reply ? reply->reason : NULL;
        }
        waited = reply->run_count == 0;
        if (reply->run_count > 0) {
            ack_all(sim, keeper, reply);
        }
    }
    (void)model_fail(&sim->model, "clinic: it cannot be drained");
    return NULL;
}

/* May a dead message, or one that nobody knows, keep it back? */
static bool may_be_held(const struct clinic *self, uint32_t partition, uint64_t offset)
{
    const struct chart_slot *slots = self->chart.slots[partition];
    for (uint64_t o = 0; o < offset; o++) {
        if ((slots[o].may & CHART_DEAD) != 0 &&
            chart_binds(&self->chart, &slots[o], &slots[offset], true)) {
            return true;
        }
    }
    return false;
}

static void check_all_came(struct clinic *self, const char *reason)
{
    for (uint32_t p = 0; p < CHART_PARTS; p++) {
        uint64_t first = UINT64_MAX; /* that may be unfinished */
        for (uint64_t o = 0; o < self->chart.counts[p]; o++) {
            const struct chart_slot *slot = &self->chart.slots[p][o];
            const bool is_left = (slot->may & (CHART_DEAD | CHART_DONE)) == 0;
            const bool may_be_left = (slot->may & (CHART_ALIVE | CHART_OUT)) != 0;
            first = may_be_left && first == UINT64_MAX ? o : first;
            if (!is_left || (self->settings.holds_dead && may_be_held(self, p, o))) {
                continue;
            }
            if (self->settings.look_ahead == 0 || o - first < self->settings.look_ahead) {
                (void)clinic_fail(self, p, o, "never came");
            } else if (strcmp(reason, "look_ahead") != 0) {
                (void)clinic_fail(self, p, o, "lies beyond the look-ahead, which nobody was told");
            }
            return;
        }
    }
}

static const struct sim_reply *look(struct sim *sim, struct client *keeper, enum sim_verb verb)
{
    return sim->model.failed ? NULL : sim_ask(sim, keeper, ask_of(keeper, verb));
}

/* Copies of what died: one for each death, unless it was brought back before. */
static void check_morgue(struct sim *sim, struct client *keeper)
{
    struct chart *chart = &sim->clinic->chart;
    if (sim->model.failed || !sim->clinic->settings.has_morgue) {
        return;
    }
    struct sim_request *request = client_request(keeper, SIM_READ);
    request->topic = SIM_MORGUE;
    request->partition = 0;
    request->from_earliest = true;
    request->max_messages = 100000;
    request->max_bytes = 10000000;
    const struct sim_reply *reply = sim_ask(sim, keeper, request);
    for (uint32_t p = 0; reply && p < CHART_PARTS; p++) {
        for (uint64_t o = 0; o < chart->counts[p] && reply->next == reply->end; o++) {
            struct chart_slot *slot = &chart->slots[p][o];
            slot->copies = 0;
            for (size_t i = 0; i < reply->message_count; i++) {
                slot->copies += slot->message == reply->messages[i] + 1;
            }
            if (slot->copies > slot->deaths) {
                (void)clinic_fail(sim->clinic, p, o, "has more copies than it can have died");
            } else if (slot->may == CHART_DEAD && slot->copies == 0) {
                (void)clinic_fail(sim->clinic, p, o, "is dead, and has no copy");
            }
        }
    }
}

/* All of the dead come back, so many a second. */
static void redrive_all(struct sim *sim, struct client *keeper)
{
    struct sim_request *request = ask_of(keeper, SIM_DEAD_REDRIVE);
    request->rate = prng_between(&sim->prng, 1, 200);
    request->write_args_fn = clinic_write_redrive;
    if (!sim_ask(sim, keeper, request)) {
        return;
    }
    for (int i = 0; i < 40 && sim->clinic->rated && !sim->model.failed; i++) {
        (void)drain(sim, keeper);
        (void)look(sim, keeper, SIM_GROUP_INFO);
    }
    if (sim->clinic->rated) {
        (void)model_fail(&sim->model, "clinic: a redrive does not end");
    }
}

/* What expired dies again, and so may what it kept back. */
static void drop_all(struct sim *sim, struct client *keeper)
{
    for (uint32_t i = 0; i < CHART_PARTS * CHART_MAX && !sim->model.failed; i++) {
        const struct sim_reply *dropped = look(sim, keeper, SIM_DEAD_DROP);
        if (!dropped || dropped->applied == 0) {
            return;
        }
        (void)drain(sim, keeper);
    }
}

static void check_all_done(struct sim *sim, struct client *keeper)
{
    const struct sim_reply *reply = look(sim, keeper, SIM_GROUP_INFO);
    for (size_t i = 0; reply && i < reply->part_count; i++) {
        const uint64_t *values = reply->parts[i].values;
        if (values[0] != values[1] || values[2] + values[3] + values[4] + values[5] > 0) {
            (void)model_fail(&sim->model,
                             "clinic (%s)/%u: committed %" PRIu64 " of %" PRIu64 ", %" PRIu64
                             " ready, %" PRIu64 " leased, %" PRIu64 " waiting, %" PRIu64
                             " dead in the end",
                             sim->clinic->settings.mode, reply->parts[i].partition, values[0],
                             values[1], values[2], values[3], values[4], values[5]);
        }
    }
}

void clinic_final(struct sim *sim)
{
    struct clinic *self = sim->clinic;
    struct client *keeper = &sim->clients[0];
    if (!self || !self->is_open) {
        return;
    }
    for (uint32_t p = 0; p < self->parts && !sim->model.failed; p++) {
        struct sim_request *request = ask_of(keeper, SIM_READ);
        request->partition = (int32_t)p;
        request->from_earliest = true;
        request->max_messages = 100000;
        request->max_bytes = 10000000;
        (void)sim_ask(sim, keeper, request);
    }
    const char *reason = drain(sim, keeper);
    if (reason) {
        chart_refresh(&self->chart);
        check_all_came(self, reason);
    }
    (void)look(sim, keeper, SIM_DEAD_LIST);
    (void)look(sim, keeper, SIM_GROUP_INFO);
    check_morgue(sim, keeper);
    if (!sim->model.failed && !self->rated) {
        redrive_all(sim, keeper);
    }
    drop_all(sim, keeper);
    check_all_done(sim, keeper);
}
