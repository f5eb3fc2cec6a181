/* SPDX-License-Identifier: MPL-2.0
 *
 * What comes and goes: one client alone has the topic `tide`, which keeps messages until they are consumed, or so
 * many bytes, and two groups on it. It publishes, pulls, acks and moves the groups back, one thing at a time,
 * and judges the answers itself:
 *
 *   - what is kept until it is consumed is there until each group may have done it; a group that was
 *     moved back has not, whatever it had done before;
 *   - nothing of it is lost to a group, and in the end each group has had all but what it was moved past;
 *   - what is kept by bytes may be lost: as many messages as surely were not done when they went, at least,
 *     and at most as many as may not have been;
 *   - in the end, when all is done, it does go.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "common/assert.h"
#include "tests/sim/sim.h"

#define TIDE_MAX    900u /* messages */
#define BATCH_MAX   8u
#define BATCH_BYTES (BATCH_MAX * 3200u)
#define PULL_MAX    24u
#define DRAIN_MAX   2000
#define EBB_EVENTS  500 /* in the end, between two looks at what is still there; */
#define EBB_LOOKS   200

enum tide_step { TIDE_CREATE, TIDE_GROUPS, TIDE_WORK };

/* An offset in a group. */
enum tide_flag {
    TIDE_MAYBE_DONE = 1,
    TIDE_DONE = 2,    /* surely, as long as it is not moved back */
    TIDE_HAD = 4,     /* it was handed out */
    TIDE_SKIPPED = 8, /* perhaps */
    TIDE_BACK = 16    /* it may have been undone by a move */
};

struct tide_group {
    uint8_t flags[TIDE_MAX];
    uint32_t doubt_life; /* in this life of the broker a move to anywhere below may still come */
    uint64_t doubt_to;
};

struct tide {
    enum tide_step step;
    uint32_t made;                 /* groups */
    bool consumes;                 /* until_consumed, and no other limit */
    bool is_done[SIM_TIDES_COUNT]; /* the last pull got nothing */
    uint32_t sent;
    uint64_t start, end; /* at least; `end` = offsets that were seen */
    uint64_t bytes;      /* that were kept when it was asked for last */
    struct tide_group groups[SIM_TIDES_COUNT];
    bool ending;
};

void tide_init(struct client *self)
{
    self->tide = calloc(1, sizeof *self->tide);
    zsp_assert(self->tide);
    self->tide->consumes = prng_chance(&self->sim->prng, 650);
}

void tide_fini(struct client *self)
{
    free(self->tide);
    self->tide = NULL;
}

static bool fail(struct client *self, uint32_t group, uint64_t offset, const char *what)
{
    return model_fail(&self->sim->model, "group %s: tide/0/%" PRIu64 " (flags %u) %s",
                      sim_group_name(SIM_TIDES + group), offset,
                      self->tide->groups[group].flags[offset], what);
}

/* --- Asking ------------------------------------------------------------------------------ */

static struct sim_request *ask(struct client *self, enum sim_verb verb, uint32_t group)
{
    struct sim_request *request = client_request(self, verb);
    request->topic = SIM_TIDE;
    request->group = SIM_TIDES + group;
    return request;
}

static struct sim_request *ask_topic(struct client *self)
{
    struct sim_request *request = ask(self, SIM_TOPIC_CREATE, 0);
    if (self->tide->consumes) {
        request->until_consumed = true;
    } else {
        request->retention_bytes = prng_between(&self->sim->prng, 3000, 30000);
        request->drops_oldest = prng_chance(&self->sim->prng, 300);
    }
    return request;
}

static struct sim_request *ask_publish(struct client *self)
{
    struct tide *tide = self->tide;
    struct sim_request *request = ask(self, SIM_PUBLISH, 0);
    request->partition = 0;
    request->is_synced = true;
    request->message_count = (uint32_t)prng_between(&self->sim->prng, 1, BATCH_MAX);
    request->first_message =
        model_new_messages(&self->sim->model, request->message_count, self->index, 0, -1);
    tide->sent += request->message_count;
    return request;
}

static struct sim_request *ask_pull(struct client *self, uint32_t group, uint64_t wait_ms)
{
    struct sim_request *request = ask(self, SIM_PULL, group);
    request->max_messages = prng_between(&self->sim->prng, 1, PULL_MAX);
    request->max_bytes = 100000;
    request->wait_ms = wait_ms;
    return request;
}

static struct sim_request *ask_seek(struct client *self, uint32_t group)
{
    struct tide *tide = self->tide;
    struct sim_request *request = ask(self, SIM_SEEK, group);
    const uint64_t to = prng_between(&self->sim->prng, tide->start, tide->end);
    request->partition = 0;
    request->position = (struct wire_position){.kind = WIRE_POSITION_OFFSET, .value = to};
    for (uint64_t o = 0; o < TIDE_MAX; o++) {
        uint8_t *flags = &tide->groups[group].flags[o];
        *flags |= o < to ? TIDE_MAYBE_DONE | TIDE_SKIPPED : TIDE_BACK;
        *flags &= (uint8_t)~TIDE_DONE;
    }
    return request;
}

static struct sim_request *next_request(struct client *self)
{
    struct tide *tide = self->tide;
    struct prng *prng = &self->sim->prng;
    const uint32_t group = (uint32_t)prng_below(prng, SIM_TIDES_COUNT);
    switch (tide->step) {
    case TIDE_CREATE:
        return ask_topic(self);
    case TIDE_GROUPS:
        return ask(self, SIM_GROUP_CREATE, tide->made);
    case TIDE_WORK:
        break;
    }
    /* Where limits take what is not done, there is much of it. */
    if (tide->sent + BATCH_MAX <= TIDE_MAX && prng_chance(prng, tide->consumes ? 350 : 750)) {
        return ask_publish(self);
    }
    if (prng_chance(prng, 150)) {
        return ask(self, prng_chance(prng, 500) ? SIM_TOPIC_INFO : SIM_GROUP_INFO, group);
    }
    /* Mostly when it has done all, which is about to go. */
    return tide->consumes && prng_chance(prng, tide->is_done[group] ? 250 : 10)
               ? ask_seek(self, group)
               : ask_pull(self, group, 0);
}

void tide_wake(struct client *self)
{
    if (!self->tide->ending) {
        events_add(&self->sim->events,
                   self->sim->now_ms + (int64_t)prng_below(&self->sim->prng, 25), EVENT_WAKE, 0,
                   self);
    }
    if (self->out == 0 && !self->tide->ending) {
        client_send(self, next_request(self));
    }
}

/* --- Judging ------------------------------------------------------------------------------- */

/* The log begins at `start` now: what lies below has gone, and may do so. */
static bool judge_start(struct client *self, uint64_t start)
{
    struct tide *tide = self->tide;
    for (; tide->start < start && tide->start < TIDE_MAX; tide->start++) {
        for (uint32_t g = 0; g < SIM_TIDES_COUNT && tide->consumes; g++) {
            if ((tide->groups[g].flags[tide->start] & TIDE_MAYBE_DONE) == 0) {
                return fail(self, g, tide->start, "has gone, and was not done");
            }
        }
    }
    tide->end = tide->end > start ? tide->end : start;
    return true;
}

/* How many messages below the start a group may have lost. */
static bool judge_lost(struct client *self, uint32_t group, uint64_t lost)
{
    const struct tide *tide = self->tide;
    const uint8_t *flags = tide->groups[group].flags;
    uint64_t most = 0;
    for (uint64_t o = 0; o < TIDE_MAX && !tide->consumes; o++) {
        most += (flags[o] & TIDE_DONE) == 0;
    }
    return lost <= most || model_fail(&self->sim->model,
                                      "group %s: tide/0: %" PRIu64 " messages are told to be lost, "
                                      "%" PRIu64 " can be",
                                      sim_group_name(SIM_TIDES + group), lost, most);
}

static bool judge_pull(struct client *self, const struct sim_request *request)
{
    struct tide *tide = self->tide;
    const uint32_t group = request->group - SIM_TIDES;
    for (size_t i = 0; i < request->reply.run_count; i++) {
        const struct sim_run *run = &request->reply.runs[i];
        for (uint64_t o = run->first; o < run->first + run->count; o++) {
            zsp_assert(o < TIDE_MAX);
            uint8_t *flags = &tide->groups[group].flags[o];
            if ((*flags & TIDE_DONE) != 0) {
                return fail(self, group, o, "was delivered after its ack");
            }
            *flags |= TIDE_HAD;
            tide->end = tide->end > o + 1 ? tide->end : o + 1;
        }
    }
    return true;
}

/* Ack most of it, one by one; what is left comes again. */
static struct sim_request *settle_pulled(struct client *self, const struct sim_request *pull,
                                         unsigned acked_per_mille)
{
    struct tide *tide = self->tide;
    const uint32_t group = pull->group - SIM_TIDES;
    struct sim_request *request = ask(self, SIM_SETTLE, group);
    request->sruns = calloc(pull->reply.message_count, sizeof *request->sruns);
    zsp_assert(request->sruns);
    for (size_t i = 0; i < pull->reply.run_count; i++) {
        const struct sim_run *run = &pull->reply.runs[i];
        for (uint64_t o = run->first; o < run->first + run->count; o++) {
            const bool acks = prng_chance(&self->sim->prng, acked_per_mille);
            request->sruns[request->srun_count++] =
                (struct sim_srun){.topic = SIM_TIDE,
                                  .partition = 0,
                                  .first = o,
                                  .count = 1,
                                  .lease = run->lease,
                                  .outcome = acks ? WIRE_ACK : WIRE_RELEASE};
            tide->groups[group].flags[o] |= acks ? TIDE_MAYBE_DONE : 0;
        }
    }
    return request;
}

static bool is_told(const struct sim_reply *reply, const struct sim_srun *srun)
{
    for (size_t i = 0; i < reply->not_applied_count; i++) {
        const struct sim_not_applied *entry = &reply->not_applied[i];
        if (srun->first >= entry->first && srun->first - entry->first < entry->count) {
            return true;
        }
    }
    return false;
}

static void settled(struct client *self, const struct sim_request *request)
{
    struct tide_group *group = &self->tide->groups[request->group - SIM_TIDES];
    for (size_t i = 0; i < request->srun_count; i++) {
        const struct sim_srun *srun = &request->sruns[i];
        const bool may_be_moved =
            group->doubt_life == self->sim->world.life && srun->first < TIDE_MAX;
        if (srun->outcome == WIRE_ACK && !is_told(&request->reply, srun) && !may_be_moved) {
            group->flags[srun->first] |= TIDE_DONE;
        }
    }
}

/* From there on it has done nothing: what has gone had to go before. */
static void moved(struct client *self, const struct sim_request *request)
{
    struct tide_group *group = &self->tide->groups[request->group - SIM_TIDES];
    uint64_t from = request->position.value;
    if (group->doubt_life == self->sim->world.life && group->doubt_to > from) {
        from = group->doubt_to; /* an earlier one may come behind it */
    }
    for (uint64_t o = from; o < TIDE_MAX; o++) {
        group->flags[o] &= (uint8_t) ~(TIDE_MAYBE_DONE | TIDE_SKIPPED);
    }
}

static void move_is_lost(struct client *self, const struct sim_request *request)
{
    struct tide_group *group = &self->tide->groups[request->group - SIM_TIDES];
    const uint64_t to = request->position.value;
    const bool is_same = group->doubt_life == self->sim->world.life;
    group->doubt_to = is_same && group->doubt_to > to ? group->doubt_to : to;
    group->doubt_life = self->sim->world.life;
}

static void look_at_info(struct client *self, const struct sim_request *request)
{
    const struct sim_reply *reply = &request->reply;
    for (size_t i = 0; i < reply->part_count; i++) {
        if (request->verb == SIM_TOPIC_INFO) {
            self->tide->bytes = reply->parts[i].values[2];
            (void)judge_start(self, reply->parts[i].values[0]);
        } else {
            (void)judge_lost(self, request->group - SIM_TIDES, reply->parts[i].values[6]);
        }
    }
}

static void answered(struct client *self, const struct sim_request *request)
{
    struct tide *tide = self->tide;
    if (request->verb == SIM_TOPIC_CREATE) {
        tide->step = TIDE_GROUPS;
    } else if (request->verb == SIM_GROUP_CREATE) {
        tide->made++;
        tide->step = tide->made == SIM_TIDES_COUNT ? TIDE_WORK : TIDE_GROUPS;
    } else if (request->verb == SIM_PULL) {
        tide->is_done[request->group - SIM_TIDES] = request->reply.message_count == 0;
        if (judge_pull(self, request) && request->reply.message_count > 0) {
            client_send(self, settle_pulled(self, request, tide->consumes ? 970 : 850));
        }
    } else if (request->verb == SIM_SETTLE) {
        settled(self, request);
    } else if (request->verb == SIM_SEEK) {
        moved(self, request);
    } else {
        look_at_info(self, request);
    }
}

void tide_answer(struct client *self, const struct sim_request *request)
{
    const struct sim_reply *reply = &request->reply;
    const bool is_there = !reply->is_error || reply->code == ZSP_EEXISTS;
    const bool is_passing = reply->code == ZSP_ENO_SPACE || reply->code == ZSP_ESTORAGE_FAILED ||
                            reply->code == ZSP_ESHUTTING_DOWN ||
                            (reply->code == ZSP_EOUT_OF_RANGE && request->verb == SIM_SEEK);
    if (self->tide->ending) {
        return;
    }
    if (reply->is_error && request->verb == SIM_SEEK && reply->maybe) {
        move_is_lost(self, request);
    }
    if (is_there) {
        answered(self, request);
    } else if (!is_passing) {
        (void)model_fail(&self->sim->model, "tide: %s was answered: %s",
                         sim_verb_name(request->verb), reply->text);
    }
}

void tide_lost(struct client *self, const struct sim_request *request)
{
    if (request->verb == SIM_SEEK) {
        move_is_lost(self, request);
    }
}

/* --- The end ---------------------------------------------------------------------------------- */

static void drain(struct client *self, uint32_t group)
{
    struct sim *sim = self->sim;
    for (int i = 0; i < DRAIN_MAX && !sim->model.failed; i++) {
        struct sim_request *pull = ask_pull(self, group, 40000); /* longer than a lease */
        pull->max_messages = 200;
        const struct sim_reply *reply = sim_ask(sim, self, pull);
        if (!reply || !judge_pull(self, pull) || reply->run_count == 0) {
            return;
        }
        struct sim_request *settle = settle_pulled(self, pull, 1000);
        if (sim_ask(sim, self, settle)) {
            settled(self, settle);
        }
    }
}

static void look(struct client *self, enum sim_verb verb, uint32_t group)
{
    struct sim_request *request = ask(self, verb, group);
    if (sim_ask(self->sim, self, request)) {
        look_at_info(self, request);
    }
}

/* Each message that is there, or was kept until it was done, has come. */
static void check_all_came(struct client *self, uint32_t group)
{
    const struct tide *tide = self->tide;
    for (uint64_t o = tide->consumes ? 0 : tide->start; o < tide->end; o++) {
        if ((tide->groups[group].flags[o] & (TIDE_HAD | TIDE_SKIPPED)) == 0) {
            (void)fail(self, group, o, "never came");
            return;
        }
    }
}

static void check_lost(struct client *self, uint32_t group)
{
    const struct tide *tide = self->tide;
    struct sim_request *request = ask(self, SIM_GROUP_INFO, group);
    const struct sim_reply *reply = sim_ask(self->sim, self, request);
    uint64_t least = 0;
    for (uint64_t o = 0; o < tide->start; o++) {
        least += (tide->groups[group].flags[o] & TIDE_MAYBE_DONE) == 0;
    }
    if (reply && judge_lost(self, group, reply->parts[0].values[6]) &&
        reply->parts[0].values[6] < least) {
        (void)model_fail(&self->sim->model,
                         "group %s: tide/0: %" PRIu64 " messages are lost, %" PRIu64 " are told",
                         sim_group_name(SIM_TIDES + group), least, reply->parts[0].values[6]);
    }
}

/* All is done: what is left is a part of a segment. */
static void check_ebb(struct client *self)
{
    struct sim *sim = self->sim;
    const struct tide *tide = self->tide;
    const uint64_t most = sim->weather.segment_bytes + BATCH_BYTES; /* that fits no segment */
    for (int i = 0; i < EBB_LOOKS && tide->bytes > most && !sim->model.failed; i++) {
        sim_loop(sim, EBB_EVENTS, NULL);
        look(self, SIM_TOPIC_INFO, 0);
    }
    if (tide->bytes > most && !sim->model.failed) {
        (void)model_fail(&sim->model,
                         "tide/0: all below %" PRIu64 " is consumed, and from %" PRIu64
                         " on %" PRIu64 " bytes are kept",
                         tide->end, tide->start, tide->bytes);
    }
}

void tide_final(struct client *self)
{
    struct tide *tide = self->tide;
    tide->ending = true;
    if (tide->step != TIDE_WORK) {
        return; /* it never came so far */
    }
    look(self, SIM_TOPIC_INFO, 0);
    for (uint32_t g = 0; g < SIM_TIDES_COUNT && !self->sim->model.failed; g++) {
        drain(self, g);
    }
    look(self, SIM_TOPIC_INFO, 0);
    for (uint32_t g = 0; g < SIM_TIDES_COUNT && !self->sim->model.failed; g++) {
        check_all_came(self, g);
        check_lost(self, g);
    }
    if (tide->consumes && !self->sim->model.failed) {
        check_ebb(self);
    }
}
