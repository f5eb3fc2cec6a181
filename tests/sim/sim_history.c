/* SPDX-License-Identifier: MPL-2.0
 *
 * One history: chaos for as many events as were asked for; then calm, until
 * nothing is unanswered; perhaps a last crash; then everything is read once more
 * and every group is drained, and the checker says whether all was kept.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/assert.h"
#include "common/limits.h"
#include "tests/sim/sim.h"

#define CALM_EVENTS_MAX 200000 /* to become quiet; much more than it ever takes */
#define ASK_EVENTS_MAX  100000 /* to get one answer in calm */
/* Longer than any message lives. */
#define ALONE_MS        30000
#define DRAIN_PULLS_MAX 2000
#define TRACES          12 /* of each group, in the end */
#define LOOK_INSIDE     64 /* steps between two looks */
#define WALL_START_MS   INT64_C(1700000000000)
#define BOOT_MS         INT64_C(1000000)

void sim_trace(const struct sim *self, const char *format, ...)
{
    if (!self->options.verbose) {
        return;
    }
    (void)fprintf(stderr, "%8" PRIu64 " %9" PRId64 "  ", self->step, self->now_ms - BOOT_MS);
    va_list args;
    va_start(args, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): the line above starts it */
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
}

struct instant sim_instant(const struct sim *self)
{
    return (struct instant){
        .mono_ms = self->now_ms - self->world.mono_base_ms,
        .wall_ms = WALL_START_MS + self->now_ms + self->world.wall_offset_ms,
    };
}

/* --- Events ---------------------------------------------------------------------------------- */

static void handle(struct sim *self, const struct event *event)
{
    struct sim_request *request = event->ptr;
    model_wall(&self->model, sim_instant(self).wall_ms);
    switch (event->kind) {
    case EVENT_WAKE:
        client_wake(event->ptr);
        break;
    case EVENT_ARRIVE:
        world_arrive(self, request);
        break;
    case EVENT_REPLY:
        client_answer(request->client, request);
        break;
    case EVENT_LOST:
        client_lost(request->client, request);
        break;
    case EVENT_JOB_RUN:
        world_job_run(self, event->ptr);
        break;
    case EVENT_JOB_DONE:
        world_job_done(self, event->ptr);
        break;
    case EVENT_PUMP:
        if (event->time_ms == self->world.pump_at_ms) { /* else an earlier one took its place */
            world_pump(self);
        }
        break;
    case EVENT_FAULT:
        fault_strike(self);
        break;
    case EVENT_RESTART:
        world_start(self);
        break;
    }
}

void sim_loop(struct sim *self, uint64_t steps, bool (*stop_fn)(const struct sim *self))
{
    struct event event;
    for (uint64_t i = 0; i < steps && !self->model.failed; i++) {
        if (stop_fn && stop_fn(self)) {
            return;
        }
        if (!events_take(&self->events, &event)) {
            return;
        }
        if (event.life != 0 && (event.life != self->world.life || !self->world.up)) {
            continue; /* of a broker that is dead */
        }
        if (event.time_ms > self->now_ms) {
            self->model.uptime_ms += self->world.up ? event.time_ms - self->now_ms : 0;
            self->now_ms = event.time_ms;
        }
        self->model.step = ++self->step;
        handle(self, &event);
        if (self->step % LOOK_INSIDE == 0) {
            inside_look(self);
        }
    }
}

/* --- The end ------------------------------------------------------------------------------------ */

static bool is_quiet(const struct sim *self)
{
    return self->world.up && self->requests_open == 0 && !engine_busy(self->world.engine);
}

static void become_quiet(struct sim *self)
{
    sim_loop(self, CALM_EVENTS_MAX, is_quiet);
    if (!self->model.failed && !is_quiet(self)) {
        (void)model_fail(&self->model, "it does not come to rest: %zu requests are unanswered%s",
                         self->requests_open,
                         self->world.up && engine_busy(self->world.engine) ? ", the engine is busy"
                                                                           : "");
    }
}

static bool is_answered(const struct sim *self)
{
    return self->requests_open == 0;
}

const struct sim_reply *sim_ask(struct sim *self, struct client *judge, struct sim_request *request)
{
    client_send(judge, request);
    sim_loop(self, ASK_EVENTS_MAX, is_answered);
    if (!self->model.failed && request->state != REQUEST_ANSWERED) {
        (void)model_fail(&self->model, "%s is not answered in calm", sim_verb_name(request->verb));
    }
    if (!self->model.failed && request->reply.is_error) {
        (void)model_fail(&self->model, "%s in calm: %s", sim_verb_name(request->verb),
                         request->reply.text);
    }
    return self->model.failed ? NULL : &request->reply;
}

static void read_all(struct sim *self, struct client *judge, uint32_t topic, uint32_t partition)
{
    uint64_t from = 0;
    for (;;) {
        struct sim_request *request = client_request(judge, SIM_READ);
        request->topic = topic;
        request->partition = (int32_t)partition;
        request->from = from;
        request->max_messages = 1000;
        request->max_bytes = ZSP_MIB;
        const struct sim_reply *reply = sim_ask(self, judge, request);
        if (!reply || reply->next >= reply->end) {
            return;
        }
        from = reply->next;
    }
}

static void settle_all(struct sim *self, struct client *judge, const struct sim_request *pulled)
{
    struct sim_request *request = client_request(judge, SIM_SETTLE);
    request->group = pulled->group;
    request->srun_count = pulled->reply.run_count;
    request->sruns = calloc(request->srun_count, sizeof *request->sruns);
    zsp_assert(request->sruns);
    for (size_t i = 0; i < request->srun_count; i++) {
        const struct sim_run *run = &pulled->reply.runs[i];
        request->sruns[i] = (struct sim_srun){.topic = run->topic,
                                              .partition = run->partition,
                                              .first = run->first,
                                              .count = run->count,
                                              .lease = run->lease,
                                              .outcome = WIRE_ACK};
    }
    (void)sim_ask(self, judge, request);
}

/* Is nothing left to be handed out? Then everything is committed. */
static bool is_drained(struct sim *self, struct client *judge, uint32_t group)
{
    struct sim_request *request = client_request(judge, SIM_GROUP_INFO);
    request->group = group;
    const struct sim_reply *reply = sim_ask(self, judge, request);
    for (size_t i = 0; reply && i < reply->part_count; i++) {
        const uint64_t *values = reply->parts[i].values;
        if (values[2] + values[3] + values[4] > 0) {
            return false;
        }
        if (values[0] != values[1]) {
            return model_fail(&self->model,
                              "group %s: %s/%u: nothing is left, but committed is %" PRIu64
                              " of %" PRIu64,
                              sim_group_name(group), sim_topic_name(reply->parts[i].topic),
                              reply->parts[i].partition, values[0], values[1]);
        }
    }
    return reply != NULL;
}

static void drain(struct sim *self, struct client *judge, uint32_t group)
{
    for (int i = 0; i < DRAIN_PULLS_MAX && !self->model.failed; i++) {
        struct sim_request *request = client_request(judge, SIM_PULL);
        request->group = group;
        request->max_messages = 500;
        request->max_bytes = ZSP_MIB;
        request->wait_ms = i % 3 == 2 ? ZSP_WAIT_MS_MAX : 0;
        const struct sim_reply *reply = sim_ask(self, judge, request);
        if (reply && reply->run_count > 0) {
            settle_all(self, judge, request);
        } else if (reply && is_drained(self, judge, group)) {
            return;
        }
    }
    (void)model_fail(&self->model, "group %s cannot be drained", sim_group_name(group));
}

/* Whoever paused a group does so no more. */
static void resume(struct sim *self, struct client *judge, uint32_t group)
{
    struct sim_request *request = client_request(judge, SIM_GROUP_RESUME);
    request->group = group;
    (void)sim_ask(self, judge, request);
}

/* How do some of the messages stand, when all is done? */
static void trace_some(struct sim *self, struct client *judge, uint32_t group)
{
    const struct model *model = &self->model;
    for (uint32_t i = 0; i < TRACES && !model->failed; i++) {
        const uint32_t topic = (uint32_t)prng_below(&self->prng, SIM_TOPICS);
        const uint32_t partition =
            (uint32_t)prng_below(&self->prng, model_sure_partitions(model, topic));
        const uint64_t mark = model->logs[topic][partition].mark;
        if (!model->topic_exists[topic] || !model_group_has_topic(group, topic) || mark == 0) {
            continue;
        }
        struct sim_request *request = client_request(judge, SIM_GROUP_TRACE);
        request->group = group;
        request->topic = topic;
        request->partition = (int32_t)partition;
        request->from = prng_below(&self->prng, mark);
        if (sim_ask(self, judge, request)) {
            model_final_trace(&self->model, request);
        }
    }
}

static void last_look(struct sim *self)
{
    struct client *judge = &self->clients[self->client_count - 1];
    model_final_begin(&self->model);
    for (uint32_t t = 0; t < SIM_TOPICS; t++) {
        if (!self->model.topic_exists[t]) {
            continue;
        }
        struct sim_request *request = client_request(judge, SIM_TOPIC_INFO);
        request->topic = t;
        (void)sim_ask(self, judge, request); /* how many partitions it has */
        for (uint32_t p = 0; p < model_sure_partitions(&self->model, t); p++) {
            read_all(self, judge, t, p);
        }
    }
    if (!self->model.failed) {
        model_final_logs(&self->model);
    }
    for (uint32_t g = 0; g < SIM_GROUPS && !self->model.failed; g++) {
        if (self->model.groups[g].exists) {
            resume(self, judge, g);
            drain(self, judge, g);
        }
    }
    for (uint32_t g = 0; g < SIM_GROUPS && !self->model.failed; g++) {
        if (self->model.groups[g].exists) {
            model_final_group(&self->model, g);
            trace_some(self, judge, g);
        }
    }
    if (!self->model.failed) {
        clinic_final(self);
    }
    for (size_t i = 0; i < self->client_count && !self->model.failed; i++) {
        if (self->clients[i].kind == CLIENT_RELAY) {
            relay_final(&self->clients[i]);
        } else if (self->clients[i].kind == CLIENT_WARD) {
            ward_final(&self->clients[i]);
        } else if (self->clients[i].kind == CLIENT_MARKET) {
            market_final(&self->clients[i]);
        } else if (self->clients[i].kind == CLIENT_SIDE) {
            side_final(&self->clients[i]);
        } else if (self->clients[i].kind == CLIENT_TIDE) {
            tide_final(&self->clients[i]);
        }
        if (self->clients[i].kind == CLIENT_REPEAT) {
            repeat_final(&self->clients[i]);
        }
    }
    inside_final(self);
    files_final(self);
    for (size_t i = 0; i < self->client_count && !self->model.failed; i++) {
        if (self->clients[i].kind == CLIENT_SHELF) { /* long after the others */
            shelf_final(&self->clients[i]);
        }
    }
}

static void end(struct sim *self)
{
    fault_end_all(self);
    for (size_t i = 0; i < self->client_count; i++) {
        self->clients[i].stopped = true;
    }
    sim_trace(self, "CALM");
    become_quiet(self);
    if (!self->model.failed && prng_chance(&self->prng, 700)) {
        world_crash(self, prng_chance(&self->prng, 700));
        become_quiet(self);
    }
    if (!self->model.failed) {
        sim_trace(self, "THE LAST LOOK");
        last_look(self);
    }
}

/* --- The beginning --------------------------------------------------------------------------------- */

static void add_client(struct sim *self, enum client_kind kind, uint32_t number)
{
    zsp_assert(self->client_count < SIM_CLIENTS_MAX);
    struct client *client = &self->clients[self->client_count];
    *client = (struct client){.sim = self, .index = (uint32_t)self->client_count, .kind = kind};
    client->wants_session = prng_chance(&self->prng, 600);
    if (kind == CLIENT_SEQUENCED) {
        client->producer = number + 1;
        self->model.producer_of[client->index] = client->producer;
        client->topic = number % SIM_TOPICS;
    } else if (kind == CLIENT_CONSUMER) {
        client->group = number % SIM_GROUPS;
        client->slow_per_mille = (unsigned)prng_below(&self->prng, 250);
    }
    if (kind == CLIENT_MEMBER) {
        client->group = number;
        client->slow_per_mille = (unsigned)prng_below(&self->prng, 250);
    }
    if (kind == CLIENT_REPEAT) {
        repeat_init(client);
    } else if (kind == CLIENT_SCRATCH) {
        scratch_init(client);
    } else if (kind == CLIENT_RELAY) {
        relay_init(client);
    } else if (kind == CLIENT_WARD) {
        ward_init(client);
    } else if (kind == CLIENT_MARKET) {
        market_init(client);
    } else if (kind == CLIENT_SIDE) {
        side_init(client);
    } else if (kind == CLIENT_TIDE) {
        tide_init(client);
    }
    self->client_count++;
    client_wake_in(client, (int64_t)prng_below(&self->prng, 50));
}

/* The clients of the clinic alone. */
static void add_clinic(struct sim *self)
{
    clinic_init(self);
    add_client(self, CLIENT_KEEPER, 0);
    for (uint32_t i = 0; i < 4; i++) {
        add_client(self, CLIENT_MEMBER, SIM_CLINIC_GROUP);
    }
}

static void add_clients(struct sim *self)
{
    add_client(self, CLIENT_ADMIN, 0);
    add_client(self, CLIENT_PRODUCER, 0);
    add_client(self, CLIENT_PRODUCER, 1);
    for (uint32_t i = 0; i < SIM_PRODUCERS; i++) {
        add_client(self, CLIENT_SEQUENCED, i);
    }
    for (uint32_t i = 0; i < 4; i++) {
        add_client(self, CLIENT_CONSUMER, i % 3);
    }
    for (uint32_t i = 0; i < 3; i++) {
        add_client(self, CLIENT_CONSUMER, SIM_ORDERED);
    }
    for (uint32_t i = 0; i < 3; i++) {
        add_client(self, CLIENT_CONSUMER, SIM_KEYED);
    }
    add_client(self, CLIENT_READER, 0);
    add_client(self, CLIENT_REPEAT, 0);
    add_client(self, CLIENT_SCRATCH, 0);
    add_client(self, CLIENT_RELAY, 0);
    add_client(self, CLIENT_WARD, 0);
    if (self->options.seed % 2 == 0) {
        add_client(self, CLIENT_MARKET, 0);
    } else {
        add_client(self, CLIENT_TIDE, 0);
    }
    add_client(self, CLIENT_SIDE, 0);
    add_client(self, CLIENT_SHELF, 0);
}

static void begin(struct sim *self)
{
    self->now_ms = BOOT_MS;
    self->prng.state = self->options.seed;
    world_init(self);
    fault_choose_weather(self);
    if (self->options.is_clinic) {
        add_clinic(self);
    } else {
        add_clients(self);
    }
    add_client(self, CLIENT_READER, 1); /* the judge, in the end */
    events_add(&self->events, self->now_ms, EVENT_RESTART, 0, NULL);
    events_add(&self->events, self->now_ms + self->weather.calm_ms, EVENT_FAULT, 0, NULL);
}

static void fini(struct sim *self)
{
    world_fini(self);
    events_fini(&self->events);
    for (size_t i = 0; i < self->request_count; i++) {
        request_destroy(&self->requests[i]);
    }
    for (size_t i = 0; i < self->client_count; i++) {
        repeat_fini(&self->clients[i]);
        scratch_fini(&self->clients[i]);
        relay_fini(&self->clients[i]);
        ward_fini(&self->clients[i]);
        market_fini(&self->clients[i]);
        side_fini(&self->clients[i]);
        tide_fini(&self->clients[i]);
    }
    free(self->requests);
    clinic_fini(self);
    model_fini(&self->model);
    free(self);
}

struct sim_result sim_run(const struct sim_options *options)
{
    struct sim *self = calloc(1, sizeof *self);
    zsp_assert(self);
    self->options = *options;
    begin(self);
    sim_loop(self, options->steps, NULL);
    if (!self->model.failed) {
        end(self);
    }
    struct sim_result result = {
        .failed = self->model.failed,
        .hash = self->hash,
        .steps = self->step,
        .published = self->model.message_count,
        .confirmed = self->model.confirmed,
        .delivered = self->model.delivered,
        .acked = self->model.acked,
        .swept = self->model.swept,
        .crashes = self->world.crashes,
        .power_losses = self->world.power_losses,
        .reach = self->model.reach,
    };
    if (result.failed) {
        (void)snprintf(result.failure, sizeof result.failure, "step %" PRIu64 ": %s", self->step,
                       self->model.failure);
    }
    fini(self);
    return result;
}
