/* SPDX-License-Identifier: MPL-2.0
 *
 * Dead letters: one client alone has the topic `sick` and a group whose dead letters go to `grave`. It
 * rejects, acks, redrives and drops, one thing at a time, and judges the answers itself:
 *
 *   - what was surely rejected is listed as dead until it is redriven or dropped, and is not delivered;
 *   - what was surely redriven is delivered again; what was acked or dropped never is, nor is listed;
 *   - no message is in `grave` more often than it can have died, and none that cannot have;
 *   - in the end each message that is dead is in `grave`, too.
 *
 * In some histories the topic keeps little, and the group its dead messages: then what was never dead may
 * be lost, and all of the above holds for the others. Or the group keeps so many bytes of these: then they may go when
 * they are more than that, all of a partition together, and do not come back while the broker lives.
 *
 * What became of a request whose answer is lost is not known; a list tells it until the broker dies.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "common/assert.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_message.h"

#define WARD_MAX        500 /* messages; a list and a read get all of them */
#define BATCH_MAX       8
#define PULL_MAX        12

#define RETENTION_BYTES 3000
#define OVERHEAD_MAX    200 /* of a batch of one */

enum ward_step { WARD_CREATE, WARD_GROUP, WARD_WORK };

enum ward_state {
    WARD_UNKNOWN,
    WARD_ALIVE, /* to be delivered */
    WARD_DEAD,
    WARD_OVER /* acked or dropped */
};

/* What is known of a message. */
struct ward_fact {
    uint32_t number;
    bool placed; /* its address is known */
    uint32_t partition;
    uint64_t offset;
    enum ward_state state; /* durably */
    uint32_t deaths;       /* at most */
    uint32_t copies;       /* in the last look */
    bool listed;
    bool redriven;      /* surely, and surely not over since */
    uint32_t gone_life; /* it was dead, and gone, in this life of the broker; 0 = it was not */
};

struct ward {
    enum ward_step step;
    uint32_t creating; /* topics that are there */
    struct ward_fact facts[WARD_MAX];
    size_t count;
    bool ending;
    bool trims;
    uint64_t dead_bytes; /* of a partition, that the group keeps at least; 0 = all */
};

void ward_init(struct client *self)
{
    self->ward = calloc(1, sizeof *self->ward);
    zsp_assert(self->ward);
    if (prng_chance(&self->sim->prng, 400)) {
        self->ward->dead_bytes = prng_between(&self->sim->prng, 1500, 12000);
    }
}

void ward_fini(struct client *self)
{
    free(self->ward);
    self->ward = NULL;
}

static struct ward_fact *fact_of(struct ward *ward, uint32_t number)
{
    for (size_t i = 0; i < ward->count; i++) {
        if (ward->facts[i].number == number) {
            return &ward->facts[i];
        }
    }
    return NULL;
}

static struct ward_fact *fact_at(struct ward *ward, uint32_t partition, uint64_t offset)
{
    for (size_t i = 0; i < ward->count; i++) {
        struct ward_fact *fact = &ward->facts[i];
        if (fact->placed && fact->partition == partition && fact->offset == offset) {
            return fact;
        }
    }
    return NULL;
}

static bool fail(struct client *self, const struct ward_fact *fact, const char *what)
{
    static const char *const states[] = {"unknown", "alive", "dead", "over"};
    return model_fail(&self->sim->model,
                      "ward: message %u at %u/%" PRIu64 " (%s, at most %u deaths) %s", fact->number,
                      fact->partition, fact->offset, states[fact->state], fact->deaths, what);
}

/* --- Asking ------------------------------------------------------------------------------ */

static struct sim_request *ask_publish(struct client *self)
{
    struct ward *ward = self->ward;
    struct sim_request *request = client_request(self, SIM_PUBLISH);
    request->topic = SIM_SICK;
    request->is_synced = true;
    request->message_count = (uint32_t)prng_between(&self->sim->prng, 1, BATCH_MAX);
    request->first_message =
        model_new_messages(&self->sim->model, request->message_count, self->index, 0, -1);
    for (uint32_t i = 0; i < request->message_count; i++) {
        ward->facts[ward->count++] = (struct ward_fact){.number = request->first_message + i};
    }
    return request;
}

static struct sim_request *ask_pull(struct client *self, uint64_t wait_ms)
{
    struct sim_request *request = client_request(self, SIM_PULL);
    request->group = SIM_WARD;
    request->max_messages = prng_between(&self->sim->prng, 1, PULL_MAX);
    request->max_bytes = 100000;
    request->wait_ms = wait_ms;
    return request;
}

static struct sim_request *ask_list(struct client *self)
{
    struct sim_request *request = client_request(self, SIM_DEAD_LIST);
    request->group = SIM_WARD;
    return request;
}

static struct sim_request *ask_grave(struct client *self)
{
    struct sim_request *request = client_request(self, SIM_READ);
    request->topic = SIM_GRAVE;
    request->partition = 0;
    request->from_earliest = true;
    request->max_messages = 100000;
    request->max_bytes = 10000000;
    return request;
}

static void add_run(struct sim_request *request, const struct ward_fact *fact, uint64_t lease,
                    enum wire_outcome outcome)
{
    request->sruns[request->srun_count++] = (struct sim_srun){.topic = SIM_SICK,
                                                              .partition = fact->partition,
                                                              .first = fact->offset,
                                                              .count = 1,
                                                              .lease = lease,
                                                              .outcome = outcome};
}

/* One of those that seem to be dead is redriven or dropped, or all of them. NULL = none is. */
static struct sim_request *ask_change(struct client *self)
{
    struct ward *ward = self->ward;
    struct prng *prng = &self->sim->prng;
    struct sim_request *request =
        client_request(self, prng_chance(prng, 700) ? SIM_DEAD_REDRIVE : SIM_DEAD_DROP);
    request->group = SIM_WARD;
    request->dry_run = prng_chance(prng, 100);
    if (prng_chance(prng, 200)) {
        for (size_t i = 0; i < ward->count && !request->dry_run; i++) {
            ward->facts[i].state =
                ward->facts[i].state == WARD_DEAD ? WARD_UNKNOWN : ward->facts[i].state;
        }
        return request;
    }
    const size_t first = (size_t)prng_below(prng, ward->count + 1);
    for (size_t i = 0; i < ward->count; i++) {
        struct ward_fact *fact = &ward->facts[(first + i) % ward->count];
        if (fact->placed && fact->state == WARD_DEAD) {
            request->sruns = calloc(1, sizeof *request->sruns);
            zsp_assert(request->sruns);
            add_run(request, fact, 0, WIRE_ACK);
            fact->state = request->dry_run ? fact->state : WARD_UNKNOWN;
            return request;
        }
    }
    request_destroy(&request);
    return NULL;
}

static struct sim_request *next_request(struct client *self)
{
    struct ward *ward = self->ward;
    struct prng *prng = &self->sim->prng;
    struct sim_request *request = NULL;
    switch (ward->step) {
    case WARD_CREATE:
        request = client_request(self, SIM_TOPIC_CREATE);
        request->topic = SIM_SICK + ward->creating;
        if (request->topic == SIM_SICK && prng_chance(prng, 600)) {
            request->retention_bytes = RETENTION_BYTES;
            ward->trims = true; /* also if it is not heard of again */
        }
        return request;
    case WARD_GROUP:
        request = client_request(self, SIM_GROUP_CREATE);
        request->group = SIM_WARD;
        request->dead_bytes = ward->dead_bytes;
        return request;
    case WARD_WORK:
        break;
    }
    if (ward->count + BATCH_MAX <= WARD_MAX && prng_chance(prng, 250)) {
        return ask_publish(self);
    }
    if (prng_chance(prng, 250)) {
        request = ask_change(self);
    } else if (prng_chance(prng, 250)) {
        request = prng_chance(prng, 500) ? ask_list(self) : ask_grave(self);
    }
    return request ? request : ask_pull(self, 0);
}

void ward_wake(struct client *self)
{
    if (!self->ward->ending) {
        events_add(&self->sim->events,
                   self->sim->now_ms + (int64_t)prng_below(&self->sim->prng, 40), EVENT_WAKE, 0,
                   self);
    }
    if (self->out == 0 && !self->ward->ending) {
        client_send(self, next_request(self));
    }
}

/* --- Judging ------------------------------------------------------------------------------- */

static bool is_told(const struct sim_reply *reply, const struct sim_srun *srun)
{
    for (size_t i = 0; i < reply->not_applied_count; i++) {
        const struct sim_not_applied *entry = &reply->not_applied[i];
        if (entry->partition == srun->partition && srun->first >= entry->first &&
            srun->first - entry->first < entry->count) {
            return true;
        }
    }
    return false;
}

/* One outcome for each message that was pulled. */
static void settle_pulled(struct client *self, const struct sim_reply *reply, bool ack_all)
{
    struct ward *ward = self->ward;
    struct prng *prng = &self->sim->prng;
    struct sim_request *request = client_request(self, SIM_SETTLE);
    request->group = SIM_WARD;
    request->sruns = calloc(reply->message_count, sizeof *request->sruns);
    zsp_assert(request->sruns);
    for (size_t i = 0; i < reply->run_count; i++) {
        const struct sim_run *run = &reply->runs[i];
        for (uint64_t m = 0; m < run->count; m++) {
            struct ward_fact *fact = fact_of(ward, reply->messages[run->first_message + m]);
            const enum wire_outcome outcome = ack_all || prng_chance(prng, 300) ? WIRE_ACK
                                              : prng_chance(prng, 850)          ? WIRE_REJECT
                                                                                : WIRE_RELEASE;
            add_run(request, fact, run->lease, outcome);
            fact->deaths += outcome == WIRE_REJECT ? 1 : 0;
            fact->state = WARD_UNKNOWN;
        }
    }
    if (ack_all) {
        (void)sim_ask(self->sim, self, request);
    } else {
        client_send(self, request);
    }
}

static bool judge_pull(struct client *self, const struct sim_reply *reply)
{
    struct ward *ward = self->ward;
    for (size_t i = 0; i < reply->run_count; i++) {
        const struct sim_run *run = &reply->runs[i];
        for (uint64_t m = 0; m < run->count; m++) {
            struct ward_fact *fact = fact_of(ward, reply->messages[run->first_message + m]);
            if (!fact) {
                return model_fail(&self->sim->model, "ward: a message that is none of ours");
            }
            fact->placed = true;
            fact->partition = run->partition;
            fact->offset = run->first + m;
            if (fact->state == WARD_DEAD || fact->state == WARD_OVER ||
                fact->gone_life == self->sim->world.life) {
                return fail(self, fact, "was delivered");
            }
        }
    }
    return true;
}

static void settled(struct client *self, const struct sim_request *request)
{
    for (size_t i = 0; i < request->srun_count; i++) {
        const struct sim_srun *srun = &request->sruns[i];
        struct ward_fact *fact = fact_at(self->ward, srun->partition, srun->first);
        if (is_told(&request->reply, srun)) {
            fact->deaths -= srun->outcome == WIRE_REJECT ? 1 : 0; /* one was sent once */
        } else {
            fact->redriven = fact->redriven && srun->outcome == WIRE_RELEASE;
            fact->state = srun->outcome == WIRE_ACK      ? WARD_OVER
                          : srun->outcome == WIRE_REJECT ? WARD_DEAD
                                                         : WARD_ALIVE;
        }
    }
}

/* Bytes on disk, at most. */
static uint64_t bytes_of(const struct ward_fact *fact)
{
    struct zsp_writer record = {0};
    message_write(&record, fact->number);
    const uint64_t bytes = record.len + OVERHEAD_MAX;
    zsp_writer_fini(&record);
    return bytes;
}

/* May it be among what was too much of its partition? */
static bool may_be_gone(const struct ward *self, const struct ward_fact *fact)
{
    uint64_t bytes = 0;
    for (size_t i = 0; self->dead_bytes > 0 && self->trims && i < self->count; i++) {
        const struct ward_fact *other = &self->facts[i];
        if (other->placed && other->partition == fact->partition && other->deaths > 0) {
            bytes += bytes_of(other);
        }
    }
    return bytes > self->dead_bytes;
}

/* Those that are listed are dead, and no others, as far as it is known. */
static bool judge_list(struct client *self, const struct sim_reply *reply)
{
    struct ward *ward = self->ward;
    for (size_t i = 0; i < ward->count; i++) {
        ward->facts[i].listed = false;
    }
    for (size_t i = 0; i < reply->run_count; i++) {
        const struct sim_run *run = &reply->runs[i];
        for (uint64_t o = run->first; o < run->first + run->count; o++) {
            struct ward_fact *fact = fact_at(ward, run->partition, o);
            if (!fact) {
                return model_fail(&self->sim->model, "ward: %u/%" PRIu64 " is listed, unseen",
                                  run->partition, o);
            }
            fact->listed = true;
            if (fact->deaths == 0 || fact->state == WARD_ALIVE || fact->state == WARD_OVER ||
                fact->gone_life == self->sim->world.life) {
                return fail(self, fact, "is listed as dead");
            }
        }
    }
    for (size_t i = 0; i < ward->count; i++) {
        struct ward_fact *fact = &ward->facts[i];
        if (fact->state == WARD_DEAD && !fact->listed && !may_be_gone(ward, fact)) {
            return fail(self, fact, "is not listed");
        }
        if (fact->state == WARD_DEAD && !fact->listed) {
            fact->state = WARD_UNKNOWN;
            fact->gone_life = self->sim->world.life;
        }
    }
    return true;
}

static bool judge_grave(struct client *self, const struct sim_reply *reply)
{
    struct ward *ward = self->ward;
    for (size_t i = 0; i < ward->count; i++) {
        ward->facts[i].copies = 0;
    }
    for (size_t i = 0; i < reply->message_count; i++) {
        struct ward_fact *fact = fact_of(ward, reply->messages[i]);
        if (!fact) {
            return model_fail(&self->sim->model, "ward: a copy of a message that is none of ours");
        }
        if (++fact->copies > fact->deaths) {
            return fail(self, fact, "has more copies than that");
        }
    }
    return true;
}

/* The answer to a redrive or a drop. */
static void changed(struct client *self, const struct sim_request *request)
{
    struct ward *ward = self->ward;
    if (request->dry_run || request->srun_count == 0) {
        return; /* of all: they are unknown until they are listed */
    }
    struct ward_fact *fact = fact_at(ward, request->sruns[0].partition, request->sruns[0].first);
    if (request->reply.is_error && request->reply.code == ZSP_ENOT_FOUND &&
        !may_be_gone(ward, fact)) {
        (void)fail(self, fact, "is told not to be dead");
    } else if (request->reply.is_error && request->reply.code == ZSP_ENOT_FOUND) {
        fact->gone_life = self->sim->world.life;
    } else if (request->reply.is_error) {
        fact->state = request->reply.maybe ? WARD_UNKNOWN : WARD_DEAD;
    } else if (request->reply.applied != 1) {
        (void)fail(self, fact, "was not the only one that changed");
    } else {
        fact->redriven = request->verb == SIM_DEAD_REDRIVE;
        fact->state = fact->redriven ? WARD_ALIVE : WARD_OVER;
    }
}

static bool is_passing(int code)
{
    return code == ZSP_ENO_SPACE || code == ZSP_ESTORAGE_FAILED || code == ZSP_ESHUTTING_DOWN ||
           code == ZSP_EEXISTS;
}

static void answered(struct client *self, const struct sim_request *request)
{
    struct ward *ward = self->ward;
    const struct sim_reply *reply = &request->reply;
    if (request->verb == SIM_TOPIC_CREATE) {
        ward->creating++;
        ward->step = ward->creating == 2 ? WARD_GROUP : WARD_CREATE;
    } else if (request->verb == SIM_GROUP_CREATE) {
        ward->step = WARD_WORK;
    } else if (request->verb == SIM_PULL && judge_pull(self, reply) && reply->message_count > 0) {
        settle_pulled(self, reply, false);
    } else if (request->verb == SIM_SETTLE) {
        settled(self, request);
    } else if (request->verb == SIM_DEAD_LIST) {
        (void)judge_list(self, reply);
    } else if (request->verb == SIM_READ) {
        (void)judge_grave(self, reply);
    }
}

void ward_answer(struct client *self, const struct sim_request *request)
{
    const struct sim_reply *reply = &request->reply;
    if (self->ward->ending) {
        return;
    }
    if (request->verb == SIM_DEAD_REDRIVE || request->verb == SIM_DEAD_DROP) {
        changed(self, request);
    } else if (reply->is_error && !is_passing(reply->code)) {
        (void)model_fail(&self->sim->model, "ward: %s was answered: %s",
                         sim_verb_name(request->verb), reply->text);
    } else if (!reply->is_error || reply->code == ZSP_EEXISTS) {
        answered(self, request);
    }
}

void ward_lost(struct client *self, const struct sim_request *request)
{
    (void)self; /* what it was about is unknown since it was sent */
    (void)request;
}

/* --- The end ---------------------------------------------------------------------------------- */

static void drain(struct client *self)
{
    for (int i = 0; i < 4 * WARD_MAX && !self->sim->model.failed; i++) {
        const struct sim_reply *reply =
            sim_ask(self->sim, self, ask_pull(self, 60000)); /* longer than a lease, and a wait */
        if (!reply || !judge_pull(self, reply) || reply->message_count == 0) {
            return;
        }
        settle_pulled(self, reply, true);
    }
}

void ward_final(struct client *self)
{
    struct ward *ward = self->ward;
    struct sim *sim = self->sim;
    ward->ending = true;
    if (ward->step != WARD_WORK) {
        return; /* it never came so far */
    }
    for (size_t i = 0; i < ward->count; i++) {
        /* What was redriven surely must come; what is not known may. */
        ward->facts[i].copies = 0;
    }
    drain(self);
    for (size_t i = 0; i < ward->count && !sim->model.failed; i++) {
        const struct ward_fact *fact = &ward->facts[i];
        if (fact->state == WARD_ALIVE &&
            (!ward->trims || (fact->redriven && !may_be_gone(ward, fact)))) {
            (void)fail(self, &ward->facts[i], "was never delivered again");
        }
    }
    const struct sim_reply *list = sim->model.failed ? NULL : sim_ask(sim, self, ask_list(self));
    if (!list || !judge_list(self, list)) {
        return;
    }
    const struct sim_reply *grave = sim_ask(sim, self, ask_grave(self));
    if (!grave || !judge_grave(self, grave)) {
        return;
    }
    for (size_t i = 0; i < ward->count; i++) {
        if (ward->facts[i].listed && ward->facts[i].copies == 0) {
            (void)fail(self, &ward->facts[i], "is dead, and has no copy");
            return;
        }
    }
}
