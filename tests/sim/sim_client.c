/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/sim/sim_client.h"

#include <stdlib.h>

#include "common/assert.h"
#include "tests/sim/sim.h"

#define BATCH_MAX 8

struct sim_request *client_request(struct client *self, enum sim_verb verb)
{
    struct sim_request *request = calloc(1, sizeof *request);
    zsp_assert(request);
    request->client = self;
    request->client_life = self->life;
    request->verb = verb;
    request->partition = -1;
    return request;
}

void client_send(struct client *self, struct sim_request *request)
{
    struct sim *sim = self->sim;
    if (sim->request_count == sim->request_capacity) {
        sim->request_capacity = sim->request_capacity > 0 ? 2 * sim->request_capacity : 256;
        sim->requests =
            realloc(sim->requests, sim->request_capacity * sizeof(struct sim_request *));
        zsp_assert(sim->requests);
    }
    sim->requests[sim->request_count++] = request;
    request->ticket = sim->request_count;
    request->sent_step = sim->step;
    if (self->wants_session && self->session == 0) {
        self->session = ++sim->world.session;
        self->next_id = 1;
    }
    request->session = self->session;
    if (request->repeats) {
        request->id = request->repeats->id;
    } else {
        request->id = self->session != 0 ? ++self->next_id : 0;
    }
    request_encode(request);
    self->out++;
    sim->requests_open++;
    int64_t arrival = sim->now_ms + (int64_t)prng_below(&sim->prng, 4);
    arrival = arrival < self->last_arrival_ms ? self->last_arrival_ms : arrival;
    self->last_arrival_ms = arrival;
    events_add(&sim->events, arrival, EVENT_ARRIVE, 0, request);
}

void client_reconnect(struct client *self)
{
    self->session = 0;
    self->last_arrival_ms = 0;
}

void client_wake_in(struct client *self, int64_t delay_ms)
{
    struct sim *sim = self->sim;
    events_add(&sim->events, sim->now_ms + sim->weather.tempo * delay_ms, EVENT_WAKE, 0, self);
}

/* An anonymous producer sends and never repeats. */
void producer_wake(struct client *self)
{
    struct sim *sim = self->sim;
    struct prng *prng = &sim->prng;
    client_wake_in(self, (int64_t)prng_below(prng, 60));
    const uint32_t topic = (uint32_t)prng_below(prng, SIM_TOPICS);
    /* Only the first topic has as many partitions as an automatic one. */
    if (self->out >= 4 || (topic != 0 && !sim->model.topic_exists[topic])) {
        return;
    }
    struct sim_request *request = client_request(self, SIM_PUBLISH);
    request->topic = topic;
    request->partition = prng_chance(prng, 500)
                             ? -1
                             : (int32_t)prng_below(prng, model_sure_partitions(&sim->model, topic));
    request->is_synced = prng_chance(prng, 750);
    request->is_packed = prng_chance(prng, 300);
    request->message_count = (uint32_t)prng_between(prng, 1, BATCH_MAX);
    request->first_message = model_new_messages(&sim->model, request->message_count, self->index,
                                                topic, request->partition);
    urgent_choose(sim, request->first_message, request->message_count);
    urgent_fill(sim, request);
    client_send(self, request);
}

/* --- Readers and administrators ---------------------------------------------------------- */

void reader_wake(struct client *self)
{
    struct sim *sim = self->sim;
    struct prng *prng = &sim->prng;
    client_wake_in(self, (int64_t)prng_below(prng, 100));
    const uint32_t topic = (uint32_t)prng_below(prng, SIM_TOPICS);
    if (self->out >= 2 || !sim->model.topic_exists[topic]) {
        return;
    }
    const uint32_t partition =
        (uint32_t)prng_below(prng, model_sure_partitions(&sim->model, topic));
    struct sim_request *request = client_request(self, SIM_READ);
    request->topic = topic;
    request->partition = (int32_t)partition;
    request->from = self->read_from[topic][partition];
    if (prng_chance(prng, 200)) {
        request->from = prng_below(prng, sim->model.logs[topic][partition].mark + 1);
    }
    request->max_messages = prng_between(prng, 1, 200);
    request->max_bytes = prng_between(prng, 1, 20000);
    request->accepts_zstd = prng_chance(prng, 500);
    request->wants_parts = prng_chance(prng, 500);
    if (prng_chance(prng, 300)) {
        request->wait_ms = prng_below(prng, 5000);
        request->parts_known = (uint32_t)prng_between(prng, 1, SIM_PARTS_MAX);
    }
    client_send(self, request);
}

void reader_answer(struct client *self, const struct sim_request *request)
{
    if (!request->reply.is_error && request->verb == SIM_READ) {
        self->read_from[request->topic][request->partition] = request->reply.next;
    }
}

static struct wire_position some_position(struct sim *sim, uint32_t topic, uint32_t partition)
{
    struct prng *prng = &sim->prng;
    const uint64_t mark = sim->model.logs[topic][partition].mark;
    switch (prng_below(prng, 6)) {
    case 0:
        return (struct wire_position){.kind = WIRE_POSITION_EARLIEST};
    case 1:
        return (struct wire_position){.kind = WIRE_POSITION_LATEST};
    case 2:
        return (struct wire_position){.kind = WIRE_POSITION_LAST, .value = prng_below(prng, 50)};
    case 3:
        return (struct wire_position){.kind = WIRE_POSITION_AGO, .value = prng_below(prng, 100000)};
    case 4:
        return (struct wire_position){.kind = WIRE_POSITION_TIME,
                                      .value = (uint64_t)sim_instant(sim).wall_ms -
                                               prng_below(prng, 100000)};
    default:
        return (struct wire_position){.kind = WIRE_POSITION_OFFSET,
                                      .value = prng_below(prng, mark + 1)};
    }
}

static void admin_seek(struct client *self)
{
    struct sim *sim = self->sim;
    struct sim_request *request = client_request(self, SIM_SEEK);
    request->group = (uint32_t)prng_below(&sim->prng, SIM_GROUPS);
    do {
        request->topic = (uint32_t)prng_below(&sim->prng, SIM_TOPICS);
    } while (!model_group_has_topic(request->group, request->topic));
    const uint32_t partition =
        (uint32_t)prng_below(&sim->prng, model_sure_partitions(&sim->model, request->topic));
    request->partition = prng_chance(&sim->prng, 500) ? (int32_t)partition : -1;
    request->position = some_position(sim, request->topic, partition);
    request->dry_run = prng_chance(&sim->prng, 400);
    client_send(self, request);
}

/* Save what a group has done, or bring something back. */
static void admin_savepoint(struct client *self)
{
    static const enum sim_verb verbs[] = {SIM_SAVEPOINT_SAVE, SIM_SAVEPOINT_SAVE,
                                          SIM_SAVEPOINT_RESTORE, SIM_SAVEPOINT_UNDO};
    struct prng *prng = &self->sim->prng;
    struct sim_request *request = client_request(self, verbs[prng_below(prng, 4)]);
    request->group = (uint32_t)prng_below(prng, SIM_GROUPS);
    request->dry_run = request->verb != SIM_SAVEPOINT_SAVE && prng_chance(prng, 300);
    client_send(self, request);
}

/* Pause a group, or let one go on: pauses are short. */
static void admin_pause(struct client *self)
{
    struct sim *sim = self->sim;
    const uint32_t group = (uint32_t)prng_below(&sim->prng, SIM_GROUPS);
    const bool resume = sim->model.groups[group].maybe_paused && prng_chance(&sim->prng, 900);
    if (!resume && !prng_chance(&sim->prng, 250)) {
        return;
    }
    struct sim_request *request = client_request(self, resume ? SIM_GROUP_RESUME : SIM_GROUP_PAUSE);
    request->group = group;
    client_send(self, request);
}

/* A topic gets more partitions, sooner or later all that it may have. */
static void admin_grow(struct client *self)
{
    struct sim *sim = self->sim;
    struct sim_request *request = client_request(self, SIM_TOPIC_GROW);
    request->topic = (uint32_t)prng_below(&sim->prng, SIM_TOPICS);
    const uint32_t sure = model_sure_partitions(&sim->model, request->topic);
    request->parts_wanted = (uint32_t)prng_between(&sim->prng, sure, SIM_PARTS_MAX);
    request->force = prng_chance(&sim->prng, 700);
    client_send(self, request);
}

/* How does some message stand? */
static void admin_trace(struct client *self)
{
    struct sim *sim = self->sim;
    const uint32_t group = (uint32_t)prng_below(&sim->prng, SIM_GROUPS);
    const uint32_t topic = (uint32_t)prng_below(&sim->prng, SIM_TOPICS);
    const uint32_t sure = model_sure_partitions(&sim->model, topic);
    const uint32_t partition = (uint32_t)prng_below(&sim->prng, sure);
    const uint64_t mark = sim->model.logs[topic][partition].mark;
    if (mark == 0 || !sim->model.groups[group].exists || !model_group_has_topic(group, topic)) {
        return;
    }
    struct sim_request *request = client_request(self, SIM_GROUP_TRACE);
    request->group = group;
    request->topic = topic;
    request->partition = (int32_t)partition;
    /* Mostly of the last ones, which change. */
    const uint64_t range = mark > 30 && prng_chance(&sim->prng, 700) ? 30 : mark;
    request->from = mark - 1 - prng_below(&sim->prng, range);
    client_send(self, request);
}

void admin_wake(struct client *self)
{
    struct sim *sim = self->sim;
    struct prng *prng = &sim->prng;
    /* As busy in slow histories as in fast ones: what it does is rare enough. */
    events_add(&sim->events, sim->now_ms + (int64_t)prng_below(prng, 200), EVENT_WAKE, 0, self);
    if (self->out >= 3) {
        return;
    }
    for (uint32_t t = 0; t < SIM_TOPICS; t++) {
        if (!sim->model.topic_exists[t]) {
            struct sim_request *request = client_request(self, SIM_TOPIC_CREATE);
            request->topic = t;
            /* All messages have ids of their own: what is published again by its sequence is known by
             * that, and a window changes nothing else. */
            request->dedup_window_ms = prng_chance(prng, 300) ? ZSP_DEDUP_WINDOW_MS_MAX : 0;
            client_send(self, request);
            return;
        }
    }
    for (uint32_t g = 0; g < SIM_GROUPS; g++) {
        if (model_is_made_by_hand(g) && !sim->model.groups[g].exists) {
            struct sim_request *request = client_request(self, SIM_GROUP_CREATE);
            request->group = g;
            request->has_filter = sim->model.filters;
            if (g == 0 && sim->model.shares_fairly) {
                request->fair_by = sim->model.fair_by_key ? "key" : "producer";
            }
            request->is_weighted = g == 0 && sim->weather.weighted;
            request->look_ahead =
                g == SIM_KEYED && prng_chance(prng, 500) ? 1 + prng_below(prng, 200) : 0;
            client_send(self, request);
            return;
        }
    }
    const uint64_t choice = prng_below(prng, 100);
    if (choice < 8 && sim->weather.seeks) {
        admin_seek(self);
    } else if (choice >= 8 && choice < 16 && sim->weather.savepoints) {
        admin_savepoint(self);
    } else if (choice >= 16 && choice < 26 && sim->weather.pauses) {
        admin_pause(self);
    } else if (choice >= 26 && choice < 29 && sim->weather.grows) {
        admin_grow(self);
    } else if (choice < 60) {
        struct sim_request *request = client_request(self, SIM_GROUP_INFO);
        request->group = (uint32_t)prng_below(prng, SIM_GROUPS);
        client_send(self, request);
    } else if (choice < 80) {
        struct sim_request *request = client_request(self, SIM_TOPIC_INFO);
        request->topic = (uint32_t)prng_below(prng, SIM_TOPICS);
        client_send(self, request);
    } else if (choice < 85) {
        client_send(self, client_request(self, SIM_STATS));
    } else {
        admin_trace(self);
    }
}

/* --- Dispatch ------------------------------------------------------------------------------- */

void client_wake(struct client *self)
{
    if (self->stopped) {
        return;
    }
    switch (self->kind) {
    case CLIENT_PRODUCER:
        producer_wake(self);
        break;
    case CLIENT_SEQUENCED:
        sequenced_wake(self);
        break;
    case CLIENT_CONSUMER:
    case CLIENT_MEMBER:
        consumer_wake(self);
        break;
    case CLIENT_READER:
        reader_wake(self);
        break;
    case CLIENT_ADMIN:
        admin_wake(self);
        break;
    case CLIENT_REPEAT:
        repeat_wake(self);
        break;
    case CLIENT_SCRATCH:
        scratch_wake(self);
        break;
    case CLIENT_RELAY:
        relay_wake(self);
        break;
    case CLIENT_WARD:
        ward_wake(self);
        break;
    case CLIENT_MARKET:
        market_wake(self);
        break;
    case CLIENT_SIDE:
        side_wake(self);
        break;
    case CLIENT_SHELF:
        shelf_wake(self);
        break;
    case CLIENT_TIDE:
        tide_wake(self);
        break;
    case CLIENT_KEEPER:
        keeper_wake(self);
        break;
    }
}

/* False: the client has forgotten that it ever asked. */
static bool settle_account(struct client *self, const struct sim_request *request)
{
    self->sim->requests_open--;
    if (request->client_life != self->life) {
        return false;
    }
    zsp_assert(self->out > 0);
    self->out--;
    return true;
}

void client_answer(struct client *self, struct sim_request *request)
{
    if (!settle_account(self, request)) {
        return;
    }
    switch (self->kind) {
    case CLIENT_SEQUENCED:
        sequenced_answer(self, request);
        break;
    case CLIENT_CONSUMER:
    case CLIENT_MEMBER:
        consumer_answer(self, request);
        break;
    case CLIENT_READER:
        reader_answer(self, request);
        break;
    case CLIENT_REPEAT:
        repeat_answer(self, request);
        break;
    case CLIENT_SCRATCH:
        scratch_answer(self, request);
        break;
    case CLIENT_RELAY:
        relay_answer(self, request);
        break;
    case CLIENT_WARD:
        ward_answer(self, request);
        break;
    case CLIENT_MARKET:
        market_answer(self, request);
        break;
    case CLIENT_SIDE:
        side_answer(self, request);
        break;
    case CLIENT_SHELF:
        shelf_answer(self, request);
        break;
    case CLIENT_TIDE:
        tide_answer(self, request);
        break;
    case CLIENT_KEEPER:
        keeper_answer(self, request);
        break;
    case CLIENT_PRODUCER:
    case CLIENT_ADMIN:
        break;
    }
}

void client_lost(struct client *self, struct sim_request *request)
{
    if (!settle_account(self, request)) {
        return;
    }
    switch (self->kind) {
    case CLIENT_SEQUENCED:
        sequenced_lost(self, request);
        break;
    case CLIENT_CONSUMER:
    case CLIENT_MEMBER:
        consumer_lost(self, request);
        break;
    case CLIENT_REPEAT:
        repeat_lost(self, request);
        break;
    case CLIENT_SCRATCH:
        scratch_lost(self, request);
        break;
    case CLIENT_RELAY:
        relay_lost(self, request);
        break;
    case CLIENT_WARD:
        ward_lost(self, request);
        break;
    case CLIENT_MARKET:
        market_lost(self, request);
        break;
    case CLIENT_SIDE:
        side_lost(self, request);
        break;
    case CLIENT_SHELF:
    case CLIENT_TIDE:
        tide_lost(self, request);
        break;
    case CLIENT_PRODUCER:
    case CLIENT_READER:
    case CLIENT_ADMIN:
    case CLIENT_KEEPER:
        break;
    }
}
