/* SPDX-License-Identifier: MPL-2.0
 *
 * A member of a group: pulls, works, settles in every way, at times too late,
 * twice, or never.
 */
#include <stdlib.h>
#include <string.h>

#include "common/assert.h"
#include "tests/sim/sim.h"

#define SRUNS_MAX 40
#define EXTEND_MS 35000 /* longer than any lease, so that none gets shorter */
#define RETRY_MAX 3000

static enum wire_outcome some_outcome(const struct client *self)
{
    struct prng *prng = &self->sim->prng;
    const uint64_t choice = prng_below(prng, 100);
    if (self->kind == CLIENT_MEMBER && choice < 15) {
        return WIRE_REJECT;
    }
    if (choice < 60) {
        return WIRE_ACK;
    }
    if (choice < 74) {
        return WIRE_RETRY;
    }
    if (choice < 84) {
        return WIRE_RELEASE;
    }
    if (choice < 88) {
        return WIRE_REJECT;
    }
    return choice < 94 ? WIRE_EXTEND : WIRE_STARTED;
}

/* Settle the first part of a held run; what remains is still held. */
static struct sim_srun settle_some(struct client *self, size_t index)
{
    struct prng *prng = &self->sim->prng;
    struct held_run *held = &self->held[index];
    struct sim_srun srun = {.topic = held->topic,
                            .partition = held->partition,
                            .first = held->first,
                            .count = prng_chance(prng, 600) ? held->count
                                                            : prng_between(prng, 1, held->count),
                            .lease = held->lease,
                            .outcome = some_outcome(self)};
    if (srun.outcome == WIRE_EXTEND) {
        srun.has_delay = true;
        srun.delay_ms = EXTEND_MS;
    } else if (srun.outcome == WIRE_RETRY && prng_chance(prng, 600)) {
        srun.has_delay = true;
        srun.delay_ms = prng_below(prng, RETRY_MAX);
    }
    if (srun.outcome != WIRE_EXTEND && srun.outcome != WIRE_STARTED) {
        held->first += srun.count;
        held->count -= srun.count;
    }
    return srun;
}

static void drop_empty(struct client *self)
{
    size_t left = 0;
    for (size_t i = 0; i < self->held_count; i++) {
        if (self->held[i].count > 0) {
            self->held[left++] = self->held[i];
        }
    }
    self->held_count = left;
}

/* Does the request name some of these offsets already? Then its answer could not be told apart. */
static bool overlaps(const struct sim_request *request, const struct held_run *held)
{
    for (size_t i = 0; i < request->srun_count; i++) {
        const struct sim_srun *srun = &request->sruns[i];
        if (srun->topic == held->topic && srun->partition == held->partition &&
            srun->first < held->first + held->count && held->first < srun->first + srun->count) {
            return true;
        }
    }
    return false;
}

/* Ordered groups: now and then an ack reaches down over what it holds of the partition under earlier
 * leases, and over what lies between. */
static void reach_down(struct client *self, const struct sim_request *request, size_t index,
                       struct sim_srun *srun)
{
    struct held_run below = self->held[index];
    const bool is_ordered = self->group == SIM_ORDERED || clinic_is_ordered(self->sim);
    if (!is_ordered || srun->outcome != WIRE_ACK || !prng_chance(&self->sim->prng, 300)) {
        return;
    }
    below.first = srun->first;
    for (size_t i = 0; i < self->held_count; i++) {
        const struct held_run *held = &self->held[i];
        if (held->topic == srun->topic && held->partition == srun->partition && held->count > 0 &&
            held->first < below.first) {
            below.first = held->first;
        }
    }
    below.count = srun->first - below.first;
    if (below.count == 0 || overlaps(request, &below)) {
        return;
    }
    for (size_t i = 0; i < self->held_count; i++) {
        struct held_run *held = &self->held[i];
        if (held->topic == srun->topic && held->partition == srun->partition &&
            held->first < srun->first) {
            held->count = 0;
        }
    }
    srun->first = below.first;
    srun->count += below.count;
}

/* Outcomes for some of what it holds. */
static void add_outcomes(struct client *self, struct sim_request *request)
{
    request->sruns = calloc(SRUNS_MAX, sizeof *request->sruns);
    zsp_assert(request->sruns);
    for (size_t i = 0; i < self->held_count && request->srun_count < SRUNS_MAX; i++) {
        if (self->held[i].count > 0 && prng_chance(&self->sim->prng, 700) &&
            !overlaps(request, &self->held[i])) {
            struct sim_srun srun = settle_some(self, i);
            reach_down(self, request, i, &srun);
            request->sruns[request->srun_count++] = srun;
        }
    }
    drop_empty(self);
}

static void copy_outcomes(struct sim_request *request, const struct sim_request *before)
{
    if (before->srun_count > 0) {
        request->srun_count = before->srun_count;
        request->sruns = calloc(before->srun_count, sizeof *request->sruns);
        zsp_assert(request->sruns);
        memcpy(request->sruns, before->sruns, before->srun_count * sizeof *request->sruns);
    }
}

/* One of the topics that the group has: its members need not take the same. 0 = all. */
static uint32_t some_topic(struct client *self)
{
    struct prng *prng = &self->sim->prng;
    if (self->group != SIM_ORDERED || !self->sim->model.groups[self->group].exists ||
        !prng_chance(prng, 300)) {
        return 0;
    }
    uint32_t topic = (uint32_t)prng_below(prng, SIM_TOPICS);
    while (!model_group_has_topic(self->group, topic)) {
        topic = (topic + 1) % SIM_TOPICS;
    }
    return 1 + topic;
}

static void pull(struct client *self)
{
    struct prng *prng = &self->sim->prng;
    struct sim_request *request = client_request(self, SIM_PULL);
    request->group = self->group;
    request->only = some_topic(self);
    request->max_messages = prng_chance(prng, 300) ? 1 : prng_between(prng, 1, 60);
    request->max_bytes = prng_chance(prng, 300) ? prng_between(prng, 1, 2000) : SIM_PULL_BYTES;
    request->wait_ms = prng_chance(prng, 400) ? 0 : prng_below(prng, 20000);
    request->accepts_zstd = prng_chance(prng, 500);
    request->wants_parts = prng_chance(prng, 300);
    if (prng_chance(prng, 400)) {
        add_outcomes(self, request);
    }
    self->pulling = true;
    self->pull = request;
    client_send(self, request);
}

/* The same PULL once more, under its id. */
static void pull_again(struct client *self, const struct sim_request *before)
{
    struct sim_request *request = client_request(self, SIM_PULL);
    request->group = before->group;
    request->only = before->only;
    request->max_messages = before->max_messages;
    request->max_bytes = before->max_bytes;
    request->wait_ms = before->wait_ms;
    request->repeats = before;
    copy_outcomes(request, before);
    self->pulling = true;
    self->pull = request;
    client_send(self, request);
}

/* It leaves in good order: everything goes back. */
static void say_bye(struct client *self)
{
    struct sim_request *request = client_request(self, SIM_BYE);
    request->released_max = self->pulling ? UINT64_MAX : 0; /* what it still gets is not known */
    client_send(self, request);
    self->held_count = 0;
    self->session = 0; /* the next request begins another one */
}

static void cancel(struct client *self)
{
    struct sim_request *request = client_request(self, SIM_CANCEL);
    request->cancels = self->pull;
    client_send(self, request);
}

static void settle(struct client *self)
{
    struct sim_request *request = client_request(self, SIM_SETTLE);
    request->group = self->group;
    add_outcomes(self, request);
    if (request->srun_count == 0) {
        request_destroy(&request);
        return;
    }
    client_send(self, request);
}

static void settle_again(struct client *self, const struct sim_request *before)
{
    struct sim_request *request = client_request(self, SIM_SETTLE);
    request->group = self->group;
    copy_outcomes(request, before);
    client_send(self, request);
}

void consumer_wake(struct client *self)
{
    struct sim *sim = self->sim;
    struct prng *prng = &sim->prng;
    const bool slow = prng_chance(prng, self->slow_per_mille);
    client_wake_in(self, (int64_t)prng_below(prng, slow ? 6000 : 100));
    if (self->kind == CLIENT_MEMBER
            ? !clinic_is_open(sim)
            : model_is_made_by_hand(self->group) && !sim->model.groups[self->group].exists) {
        return;
    }
    if (prng_chance(prng, 5)) {
        /* It dies with all it holds, and another one comes. */
        self->life++;
        self->out = 0;
        self->pulling = false;
        self->held_count = 0;
        world_disconnect(sim, self, prng_chance(prng, 500) ? FAREWELL_ENDS : FAREWELL_SILENT);
        return;
    }
    if (self->session != 0 && !sim->calm && prng_chance(prng, 25)) {
        world_disconnect(sim, self, FAREWELL_RESUMES);
        return;
    }
    if (self->session != 0 && prng_chance(prng, 15)) {
        say_bye(self);
        return;
    }
    if (self->pulling && self->pull->session != 0 && self->pull->session == self->session &&
        prng_chance(prng, 50)) {
        cancel(self);
    }
    if (!self->pulling && self->held_count < CLIENT_HELD_MAX / 2 && prng_chance(prng, 500)) {
        pull(self);
    }
    if (self->held_count > 0 && self->out < 4) {
        settle(self);
    }
    if (!self->pulling && self->held_count < CLIENT_HELD_MAX / 2) {
        pull(self);
    }
}

void consumer_answer(struct client *self, const struct sim_request *request)
{
    if (request->verb == SIM_BYE || request->verb == SIM_CANCEL) {
        return;
    }
    if (request->verb == SIM_SETTLE) {
        if (!self->sim->calm && prng_chance(&self->sim->prng, 60)) {
            settle_again(self, request);
        }
        return;
    }
    self->pulling = false;
    if (request->reply.is_error && request->srun_count > 0) {
        settle_again(self, request);
    }
    for (size_t i = 0; i < request->reply.run_count && self->held_count < CLIENT_HELD_MAX; i++) {
        const struct sim_run *run = &request->reply.runs[i];
        self->held[self->held_count++] = (struct held_run){.topic = run->topic,
                                                           .partition = run->partition,
                                                           .first = run->first,
                                                           .count = run->count,
                                                           .lease = run->lease};
    }
}

void consumer_lost(struct client *self, const struct sim_request *request)
{
    self->pulling = self->pulling && request->verb != SIM_PULL;
    if (request->verb == SIM_PULL && request->session != 0 && request->session == self->session &&
        prng_chance(&self->sim->prng, 900)) {
        pull_again(self, request);
        return;
    }
    if (request->srun_count > 0 && !self->sim->calm && prng_chance(&self->sim->prng, 700)) {
        settle_again(self, request);
    }
}
