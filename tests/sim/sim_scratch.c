/* SPDX-License-Identifier: MPL-2.0
 *
 * A topic and a group that come and go. One client owns them, does one thing
 * at a time and judges the answers itself:
 *
 *   delete the topic -> create it -> publish -> (purge some) -> read it all -> pull some, ack most ->
 *   (publish more ...) -> (delete the group) -> and again
 *
 * In some of its lives the topic keeps little: retention takes messages that the
 * group has not seen, or holds; crashes come in between.
 *
 * A topic that was created again is another topic: its offsets begin at 0, none
 * of the old messages is in it, and the group begins at its first message.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/assert.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_message.h"

#define SCRATCH_PARTS   2u
#define SCRATCH_MAX     4000 /* messages of one life of the topic, a partition */
#define BATCH_MAX       9
#define BATCHES_MAX     12
#define PULLS           4
#define ROUNDS_MAX      3
#define TRIM_ROUNDS_MAX 30 /* long enough that retention comes by */

#define RETENTION_BYTES 3000

enum scratch_step {
    STEP_DELETE,
    STEP_CREATE,
    STEP_CREATE_GROUP,
    STEP_PUBLISH,
    STEP_PURGE,
    STEP_READ,
    STEP_PULL,
    STEP_SETTLE,
    STEP_DELETE_GROUP
};

struct scratch {
    enum scratch_step step;
    uint32_t left;   /* of this step: batches, partitions, pulls */
    uint32_t rounds; /* of publish, read and pull that are still to come */
    bool trims;      /* the topic has, or may have, a limit */
    bool consumes;   /* it keeps what the group has not done, and nothing takes that */
    bool compacts;   /* perhaps: of each key the newest message stays */
    bool seen[SCRATCH_PARTS][SCRATCH_MAX];  /* by the group */
    bool acked[SCRATCH_PARTS][SCRATCH_MAX]; /* perhaps */
    uint32_t messages[SCRATCH_PARTS][SCRATCH_MAX];
    uint64_t counts[SCRATCH_PARTS];
    uint64_t purged[SCRATCH_PARTS]; /* nothing below is there any more */
    const struct sim_request *pulled;
    uint64_t crashes_then; /* when it asked for them: a power cut may forget the hand-out */
    bool fell_silent;      /* since then: the leases are over */
};

void scratch_init(struct client *self)
{
    self->scratch = calloc(1, sizeof *self->scratch);
    zsp_assert(self->scratch);
}

void scratch_fini(struct client *self)
{
    free(self->scratch);
    self->scratch = NULL;
}

static void go_to(struct scratch *scratch, enum scratch_step step, uint32_t left)
{
    scratch->step = step;
    scratch->left = left;
}

/* Whatever is not certain any more is thrown away: a new life begins. */
static void start_over(struct scratch *scratch)
{
    memset(scratch->counts, 0, sizeof scratch->counts);
    memset(scratch->purged, 0, sizeof scratch->purged);
    memset(scratch->acked, 0, sizeof scratch->acked);
    memset(scratch->seen, 0, sizeof scratch->seen);
    scratch->pulled = NULL;
    go_to(scratch, STEP_DELETE, 0);
}

/* --- Asking ------------------------------------------------------------------------------ */

static void publish(struct client *self, struct sim_request *request)
{
    struct sim *sim = self->sim;
    request->partition = (int32_t)prng_below(&sim->prng, SCRATCH_PARTS);
    request->is_synced = true;
    request->message_count = (uint32_t)prng_between(&sim->prng, 1, BATCH_MAX);
    request->first_message =
        model_new_messages(&sim->model, request->message_count, self->index, 0, request->partition);
    if (self->scratch->compacts) { /* one with a key, alone: its neighbours have none */
        request->message_count = 1;
        request->first_message =
            model_new_messages(&sim->model, 2, self->index, 0, request->partition);
        request->first_message |= 1u;
    }
}

static void settle(const struct scratch *scratch, struct sim_request *request)
{
    const struct sim_reply *pulled = &scratch->pulled->reply;
    request->srun_count = pulled->run_count;
    request->sruns = calloc(pulled->run_count, sizeof *request->sruns);
    zsp_assert(request->sruns);
    for (size_t i = 0; i < pulled->run_count; i++) {
        request->sruns[i] = (struct sim_srun){.topic = SIM_SCRATCH,
                                              .partition = pulled->runs[i].partition,
                                              .first = pulled->runs[i].first,
                                              .count = pulled->runs[i].count,
                                              .lease = pulled->runs[i].lease,
                                              .outcome = WIRE_ACK};
    }
}

static void note_acks(struct scratch *scratch, const struct sim_request *request)
{
    for (size_t i = 0; i < request->srun_count; i++) {
        const struct sim_srun *srun = &request->sruns[i];
        for (uint64_t o = srun->first; o < srun->first + srun->count; o++) {
            scratch->acked[srun->partition][o] = true;
        }
    }
}

void scratch_wake(struct client *self)
{
    static const enum sim_verb verbs[] = {SIM_TOPIC_DELETE, SIM_TOPIC_CREATE, SIM_GROUP_CREATE,
                                          SIM_PUBLISH,      SIM_TOPIC_PURGE,  SIM_READ,
                                          SIM_PULL,         SIM_SETTLE,       SIM_GROUP_DELETE};
    struct scratch *scratch = self->scratch;
    /* As busy in slow histories as in fast ones: retention comes by only every ten seconds. */
    events_add(&self->sim->events, self->sim->now_ms + (int64_t)prng_below(&self->sim->prng, 250),
               EVENT_WAKE, 0, self);
    if (self->out > 0) {
        return;
    }
    struct sim_request *request = client_request(self, verbs[scratch->step]);
    request->topic = SIM_SCRATCH;
    request->group = SIM_SCRATCH_GROUP;
    request->max_messages = 1000;
    request->max_bytes = 1000000;
    if (scratch->step == STEP_PUBLISH) {
        publish(self, request);
    } else if (scratch->step == STEP_CREATE) {
        scratch->compacts = prng_chance(&self->sim->prng, 400);
        scratch->trims = !scratch->compacts && prng_chance(&self->sim->prng, 700);
        scratch->consumes = scratch->trims && prng_chance(&self->sim->prng, 400);
        request->compact_ratio = scratch->compacts ? prng_between(&self->sim->prng, 1, 100) : 0;
        request->retention_bytes = scratch->trims && !scratch->consumes ? RETENTION_BYTES : 0;
        request->until_consumed = scratch->consumes;
        request->drops_oldest = !scratch->consumes && prng_chance(&self->sim->prng, 500);
    } else if (scratch->step == STEP_PURGE) {
        const uint32_t partition = (uint32_t)prng_below(&self->sim->prng, SCRATCH_PARTS);
        request->partition = (int32_t)partition;
        request->from =
            prng_between(&self->sim->prng, scratch->purged[partition], scratch->counts[partition]);
        scratch->trims = true; /* also if it is not heard of again */
    } else if (scratch->step == STEP_READ) {
        request->partition = (int32_t)scratch->left - 1;
        request->from_earliest = true;
    } else if (scratch->step == STEP_PULL) {
        scratch->crashes_then = self->sim->world.crashes;
        scratch->fell_silent = false;
    } else if (scratch->step == STEP_SETTLE) {
        settle(scratch, request);
        note_acks(scratch, request);
    }
    client_send(self, request);
}

/* --- Judging ------------------------------------------------------------------------------ */

static bool is_passing(int code)
{
    return code == ZSP_ENO_SPACE || code == ZSP_ESTORAGE_FAILED || code == ZSP_ESHUTTING_DOWN;
}

/* Every message of a topic that is compacted is there, or a newer one with its key: from `start` on
 * the newest of each key is in `has`. */
static void check_newest(struct client *self, uint32_t partition, uint64_t start, const bool *has,
                         const char *what)
{
    const struct scratch *scratch = self->scratch;
    bool found[SIM_KEYS] = {false};
    for (uint64_t o = scratch->counts[partition]; o-- > start;) {
        const int key = message_key(scratch->messages[partition][o]);
        if (key < 0 || (!found[key] && !has[o])) {
            (void)model_fail(&self->sim->model,
                             "scratch/%u/%" PRIu64 " is the newest of its key, and %s", partition,
                             o, what);
            return;
        }
        found[key] = true;
    }
}

static void note_seen(const struct sim_reply *reply, uint32_t partition, bool *has)
{
    for (size_t i = 0; i < reply->run_count; i++) {
        const struct sim_run *run = &reply->runs[i];
        for (uint64_t o = run->first; run->partition == partition && o < run->first + run->count;
             o++) {
            has[o] = true;
        }
    }
}

static bool check_runs(struct client *self, const struct sim_reply *reply)
{
    const struct scratch *scratch = self->scratch;
    for (size_t i = 0; i < reply->run_count; i++) {
        const struct sim_run *run = &reply->runs[i];
        for (uint64_t m = 0; m < run->count; m++) {
            const uint64_t offset = run->first + m;
            const uint32_t message = reply->messages[run->first_message + m];
            if (run->topic != SIM_SCRATCH || offset >= scratch->counts[run->partition] ||
                offset < scratch->purged[run->partition] ||
                scratch->messages[run->partition][offset] != message) {
                return model_fail(&self->sim->model,
                                  "scratch/%u/%" PRIu64 ": message %u is not of this life of "
                                  "the topic, which has %" PRIu64,
                                  run->partition, offset, message, scratch->counts[run->partition]);
            }
        }
    }
    return true;
}

static void published(struct client *self, const struct sim_request *request)
{
    struct scratch *scratch = self->scratch;
    const struct sim_at *at = request->reply.at;
    uint64_t *count = &scratch->counts[request->partition];
    if (request->reply.at_count != 1 || !at->has_first || at->first != *count) {
        (void)model_fail(&self->sim->model,
                         "scratch/%d: a publish is at %" PRIu64 ", the topic has %" PRIu64,
                         request->partition, at->first, *count);
        return;
    }
    for (uint32_t i = 0; i < request->message_count; i++) {
        zsp_assert(*count < SCRATCH_MAX);
        scratch->messages[request->partition][(*count)++] = request->first_message + i;
    }
    if (--scratch->left == 0 && !scratch->consumes && prng_chance(&self->sim->prng, 300)) {
        go_to(scratch, STEP_PURGE, 0);
    } else if (scratch->left == 0) {
        go_to(scratch, STEP_READ, SCRATCH_PARTS);
    }
}

static void purged(struct client *self, const struct sim_request *request)
{
    struct scratch *scratch = self->scratch;
    const bool was_there = request->reply.part_count == 1 && !request->reply.is_error;
    const struct sim_part *part = request->reply.parts;
    if (was_there && part->values[1] != request->from && part->values[1] != part->values[0]) {
        (void)model_fail(&self->sim->model, "scratch/%d: a purge to %" PRIu64 " went to %" PRIu64,
                         request->partition, request->from, part->values[1]);
    }
    if (was_there) {
        scratch->purged[request->partition] = part->values[1];
    }
    go_to(scratch, STEP_READ, SCRATCH_PARTS);
}

static void was_read(struct client *self, const struct sim_request *request)
{
    struct scratch *scratch = self->scratch;
    const struct sim_reply *reply = &request->reply;
    const uint64_t count = scratch->counts[request->partition];
    const bool all = reply->message_count == count || scratch->compacts ||
                     (scratch->trims && reply->message_count + reply->start >= count);
    if (check_runs(self, reply) && (reply->end != count || reply->next != count || !all ||
                                    (reply->start > 0 && !scratch->trims))) {
        (void)model_fail(&self->sim->model,
                         "scratch/%d: a read got %zu messages, from %" PRIu64 " up to %" PRIu64
                         " of %" PRIu64 ", there are %" PRIu64,
                         request->partition, reply->message_count, reply->start, reply->next,
                         reply->end, count);
    }
    if (scratch->compacts && !self->sim->model.failed) {
        static bool has[SCRATCH_MAX];
        memset(has, 0, sizeof has);
        note_seen(reply, (uint32_t)request->partition, has);
        check_newest(self, (uint32_t)request->partition, reply->start, has, "was not read");
    }
    for (uint64_t o = 0; scratch->consumes && o < reply->start && o < count; o++) {
        if (!scratch->acked[request->partition][o]) {
            (void)model_fail(&self->sim->model,
                             "scratch/%d/%" PRIu64 " is gone, and the group has not done it",
                             request->partition, o);
            return;
        }
    }
    if (--scratch->left == 0) {
        go_to(scratch, STEP_PULL, PULLS);
    }
}

/* The pulls of a round are over. */
static void end_round(struct client *self)
{
    struct scratch *scratch = self->scratch;
    struct prng *prng = &self->sim->prng;
    if (scratch->rounds > 0) {
        scratch->rounds--;
        go_to(scratch, STEP_PUBLISH, (uint32_t)prng_between(prng, 1, BATCHES_MAX));
    } else {
        go_to(scratch, prng_chance(prng, 500) ? STEP_DELETE_GROUP : STEP_DELETE, 0);
    }
}

static void pulled(struct client *self, const struct sim_request *request)
{
    struct scratch *scratch = self->scratch;
    if (!check_runs(self, &request->reply)) {
        return;
    }
    for (uint32_t p = 0; scratch->compacts && p < SCRATCH_PARTS; p++) {
        note_seen(&request->reply, p, scratch->seen[p]);
        if (request->reply.run_count == 0 && strcmp(request->reply.reason, "end") == 0) {
            check_newest(self, p, scratch->purged[p], scratch->seen[p], "the group never got it");
        }
    }
    /* Now and then it holds what it got and comes for more. */
    if (request->reply.run_count > 0 && prng_chance(&self->sim->prng, 600)) {
        scratch->pulled = request;
        scratch->step = STEP_SETTLE;
    } else if (--scratch->left == 0) {
        end_round(self);
    }
}

static void settled(struct client *self, const struct sim_request *request)
{
    struct scratch *scratch = self->scratch;
    if (request->reply.not_applied_count > 0 && !scratch->trims && !scratch->fell_silent &&
        scratch->crashes_then == self->sim->world.crashes) {
        (void)model_fail(&self->sim->model, "scratch: an ack under a fresh lease was told \"%s\"",
                         request->reply.not_applied[0].why);
    }
    scratch->step = STEP_PULL;
    if (--scratch->left == 0) {
        end_round(self);
    }
}

/* Deleted and not there are the same; so are created and already there, since
 * nobody else creates it. */
static bool is_fine(const struct sim_request *request)
{
    const int code = request->reply.code;
    return !request->reply.is_error ||
           (code == ZSP_ENOT_FOUND &&
            (request->verb == SIM_TOPIC_DELETE || request->verb == SIM_GROUP_DELETE)) ||
           (code == ZSP_EEXISTS &&
            (request->verb == SIM_TOPIC_CREATE || request->verb == SIM_GROUP_CREATE)) ||
           (code == ZSP_EOUT_OF_RANGE && request->verb == SIM_TOPIC_PURGE); /* it went before */
}

void scratch_answer(struct client *self, const struct sim_request *request)
{
    struct scratch *scratch = self->scratch;
    if (!is_fine(request)) {
        if (!is_passing(request->reply.code)) {
            (void)model_fail(&self->sim->model, "scratch: %s was answered: %s",
                             sim_verb_name(request->verb), request->reply.text);
        }
        start_over(scratch);
        return;
    }
    switch (scratch->step) {
    case STEP_DELETE:
        start_over(scratch);
        go_to(scratch, STEP_CREATE, 0);
        break;
    case STEP_CREATE:
        scratch->trims = scratch->trims || request->reply.is_error; /* an earlier one made it */
        scratch->consumes = scratch->consumes && !request->reply.is_error;
        scratch->compacts = scratch->compacts || request->reply.is_error;
        scratch->rounds = (uint32_t)prng_below(
            &self->sim->prng, scratch->trims || scratch->compacts ? TRIM_ROUNDS_MAX : ROUNDS_MAX);
        go_to(scratch, STEP_CREATE_GROUP, 0);
        break;
    case STEP_CREATE_GROUP:
        go_to(scratch, STEP_PUBLISH, (uint32_t)prng_between(&self->sim->prng, 1, BATCHES_MAX));
        break;
    case STEP_PUBLISH:
        published(self, request);
        break;
    case STEP_PURGE:
        purged(self, request);
        break;
    case STEP_READ:
        was_read(self, request);
        break;
    case STEP_PULL:
        pulled(self, request);
        break;
    case STEP_SETTLE:
        settled(self, request);
        break;
    case STEP_DELETE_GROUP:
        start_over(scratch);
        break;
    }
}

void scratch_lost(struct client *self, const struct sim_request *request)
{
    (void)request;
    start_over(self->scratch);
}

void scratch_silent(struct client *self)
{
    self->scratch->fell_silent = true;
}
