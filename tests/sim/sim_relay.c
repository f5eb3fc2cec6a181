/* SPDX-License-Identifier: MPL-2.0
 *
 * Consume, process, produce: one client pulls from `source` and commits, for every message, one in
 * `left`, one in `right`, and its ack. It does one thing at a time and judges the answers itself:
 *
 *   - no message is in `left` or `right` twice, and none that no commit ever brought;
 *   - what a read of one of them has shown, every later read of the other shows as well;
 *   - what was confirmed is there, at the offset that was told, and is never delivered again;
 *   - what was refused without `maybe` is not there, unless a later commit brought it;
 *   - in the end each message of `source` is in both, or is delivered once more: never both.
 *
 * In some histories the topics look at ids, and a commit brings messages once more that earlier ones brought:
 * they stay where they are. Now and then a commit has a lease as well that is over: nothing of it may come through.
 *
 * A commit whose answer is lost is sent again as it is, or the name is opened anew, which tells
 * whether it came through.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/assert.h"
#include "tests/sim/sim.h"

#define RELAY_MAX      700 /* messages; a read gets all of them */
#define BATCH_MAX      6
#define PULL_MAX       5
#define AGAIN_MAX      3 /* messages of a commit that were committed before */
#define RELAY_PRODUCER 9 /* a name that no other client has */

enum relay_step { RELAY_CREATE, RELAY_GROUP, RELAY_OPEN, RELAY_WORK, RELAY_COMMIT, RELAY_LOOK };

/* What is known of a message. */
struct relay_fact {
    uint32_t number;
    bool tried;     /* some commit with it has been sent */
    bool confirmed; /* one was answered OK */
    uint64_t at;    /* its offset in `left`, UINT64_MAX = not told */
    bool shown[2];  /* in left, in right */
    bool delivered; /* in the end */
};

struct relay {
    enum relay_step step;
    uint32_t creating; /* topics that are there */
    struct relay_fact facts[RELAY_MAX];
    size_t count;
    uint64_t epoch, next_seq;
    /* The commit under way. */
    struct sim_srun runs[PULL_MAX + 1]; /* and one that is over */
    size_t run_count;
    bool has_old;        /* the last of them is */
    struct sim_srun old; /* committed, count 0 = none */
    uint32_t numbers[PULL_MAX + AGAIN_MAX];
    size_t number_count;
    bool in_doubt; /* it was sent, and its answer is not known */
    uint32_t looks;
    bool looks_at_ids; /* topics do, surely, when they are made */
    bool ending;       /* the history does: answers are looked at by relay_final() */
};

void relay_init(struct client *self)
{
    self->relay = calloc(1, sizeof *self->relay);
    zsp_assert(self->relay);
    self->relay->next_seq = 1;
    self->relay->looks_at_ids = prng_chance(&self->sim->prng, 500);
}

void relay_fini(struct client *self)
{
    free(self->relay);
    self->relay = NULL;
}

/* NULL: no message of ours. Their numbers rise. */
static struct relay_fact *fact_of(struct relay *relay, uint32_t number)
{
    for (size_t i = 0; i < relay->count; i++) {
        if (relay->facts[i].number == number) {
            return &relay->facts[i];
        }
    }
    return NULL;
}

/* --- Asking ------------------------------------------------------------------------------ */

static struct sim_request *ask_read(struct client *self, uint32_t topic, uint32_t partition)
{
    struct sim_request *request = client_request(self, SIM_READ);
    request->topic = topic;
    request->partition = (int32_t)partition;
    request->from_earliest = true;
    request->max_messages = 100000;
    request->max_bytes = 10000000;
    return request;
}

static struct sim_request *ask_publish(struct client *self)
{
    struct relay *relay = self->relay;
    struct prng *prng = &self->sim->prng;
    struct sim_request *request = client_request(self, SIM_PUBLISH);
    request->topic = SIM_SOURCE;
    request->is_synced = true;
    request->message_count = (uint32_t)prng_between(prng, 1, BATCH_MAX);
    request->first_message =
        model_new_messages(&self->sim->model, request->message_count, self->index, 0, -1);
    for (uint32_t i = 0; i < request->message_count; i++) {
        relay->facts[relay->count++] =
            (struct relay_fact){.number = request->first_message + i, .at = UINT64_MAX};
    }
    return request;
}

static struct sim_request *ask_pull(struct client *self)
{
    struct sim_request *request = client_request(self, SIM_PULL);
    request->group = SIM_RELAY;
    request->max_messages = prng_between(&self->sim->prng, 1, PULL_MAX);
    request->max_bytes = 100000;
    return request;
}

static struct sim_request *ask_commit(struct client *self)
{
    struct relay *relay = self->relay;
    struct sim_request *request = client_request(self, SIM_COMMIT);
    request->group = SIM_RELAY;
    request->producer = RELAY_PRODUCER;
    request->epoch = relay->epoch;
    request->sequence = relay->next_seq;
    request->number_count = relay->number_count;
    request->numbers = calloc(relay->number_count, sizeof *request->numbers);
    request->srun_count = relay->run_count;
    request->sruns = calloc(relay->run_count, sizeof *request->sruns);
    zsp_assert(request->numbers && request->sruns);
    memcpy(request->numbers, relay->numbers, relay->number_count * sizeof *request->numbers);
    memcpy(request->sruns, relay->runs, relay->run_count * sizeof *request->sruns);
    for (size_t i = 0; i < relay->number_count && !relay->has_old; i++) {
        fact_of(relay, relay->numbers[i])->tried = true;
    }
    return request;
}

static struct sim_request *next_request(struct client *self)
{
    struct relay *relay = self->relay;
    struct prng *prng = &self->sim->prng;
    struct sim_request *request = NULL;
    switch (relay->step) {
    case RELAY_CREATE:
        request = client_request(self, SIM_TOPIC_CREATE);
        request->topic = SIM_SOURCE + relay->creating;
        request->dedup_window_ms = relay->looks_at_ids ? ZSP_DEDUP_WINDOW_MS_MAX : 0;
        return request;
    case RELAY_GROUP:
        request = client_request(self, SIM_GROUP_CREATE);
        request->group = SIM_RELAY;
        return request;
    case RELAY_OPEN:
        request = client_request(self, SIM_OPEN);
        request->producer = RELAY_PRODUCER;
        return request;
    case RELAY_WORK:
        return relay->count + BATCH_MAX <= RELAY_MAX && prng_chance(prng, 350) ? ask_publish(self)
                                                                               : ask_pull(self);
    case RELAY_COMMIT:
        return ask_commit(self);
    case RELAY_LOOK:
        return ask_read(self, relay->looks % 2 == 0 ? SIM_LEFT : SIM_RIGHT, 0);
    }
    return NULL;
}

void relay_wake(struct client *self)
{
    if (!self->relay->ending) {
        /* As busy in slow histories as in fast ones. */
        events_add(&self->sim->events,
                   self->sim->now_ms + (int64_t)prng_below(&self->sim->prng, 15), EVENT_WAKE, 0,
                   self);
    }
    if (self->out == 0 && !self->relay->ending) {
        client_send(self, next_request(self));
    }
}

/* --- Judging ------------------------------------------------------------------------------- */

static void go_on(struct client *self)
{
    struct relay *relay = self->relay;
    relay->number_count = relay->run_count = 0;
    relay->has_old = false;
    relay->in_doubt = false;
    relay->step = prng_chance(&self->sim->prng, 400) ? RELAY_LOOK : RELAY_WORK;
    relay->looks = (uint32_t)prng_below(&self->sim->prng, 2); /* which comes first */
}

/* A message is in `left` at an offset, UINT64_MAX = not told. */
static bool place(struct client *self, struct relay_fact *fact, uint64_t offset)
{
    if (offset != UINT64_MAX && fact->at != UINT64_MAX && fact->at != offset) {
        return model_fail(&self->sim->model,
                          "relay: message %u is at %" PRIu64 ", and was confirmed at %" PRIu64,
                          fact->number, fact->at, offset);
    }
    fact->at = offset != UINT64_MAX ? offset : fact->at;
    return true;
}

/* The commit under way is in the log. NULL = nobody was told where. */
static void confirm(struct client *self, const struct sim_reply *reply)
{
    struct relay *relay = self->relay;
    uint32_t row = 0;
    if (relay->has_old) {
        (void)model_fail(&self->sim->model,
                         "relay: a commit came through with a lease that is over");
        return;
    }
    relay->old = relay->runs[0];
    for (uint32_t i = 0; i < relay->number_count; i++) {
        struct relay_fact *fact = fact_of(relay, relay->numbers[i]);
        uint64_t offset = UINT64_MAX;
        if (reply && reply->at_count > 0) {
            row += i >= reply->at[row].index + reply->at[row].count ? 1 : 0;
            offset = reply->at[row].first + (i - reply->at[row].index);
        }
        fact->confirmed = true;
        if (!place(self, fact, offset)) {
            return;
        }
    }
    relay->next_seq++;
}

static void committed(struct client *self, const struct sim_request *request)
{
    struct relay *relay = self->relay;
    const struct sim_reply *reply = &request->reply;
    if (!reply->is_error) {
        confirm(self, reply);
        go_on(self);
        return;
    }
    if (reply->maybe) {
        relay->in_doubt = true;
        return;
    }
    switch (reply->code) {
    case ZSP_ENO_SPACE:
    case ZSP_ESHUTTING_DOWN:
    case ZSP_ESTORAGE_FAILED: /* before it was decided; an earlier attempt may be in doubt still */
        return;
    case ZSP_ENOT_LEASED:
        go_on(self);
        return;
    case ZSP_EFENCED_PRODUCER:
        relay->step = RELAY_OPEN;
        return;
    default:
        (void)model_fail(&self->sim->model, "relay: COMMIT was answered: %s", reply->text);
    }
}

/* Now and then a commit brings some of what is there already, before or behind what is new. */
static void repeat_some(struct client *self)
{
    struct relay *relay = self->relay;
    struct prng *prng = &self->sim->prng;
    for (int tries = 0; tries < AGAIN_MAX && relay->looks_at_ids && prng_chance(prng, 300);
         tries++) {
        const struct relay_fact *fact = &relay->facts[prng_below(prng, relay->count)];
        bool is_in = !fact->confirmed;
        for (size_t i = 0; i < relay->number_count; i++) {
            is_in = is_in || relay->numbers[i] == fact->number;
        }
        if (!is_in) {
            const size_t at = prng_below(prng, relay->number_count + 1);
            memmove(relay->numbers + at + 1, relay->numbers + at,
                    (relay->number_count - at) * sizeof relay->numbers[0]);
            relay->numbers[at] = fact->number;
            relay->number_count++;
        }
    }
}

static void add_old(struct client *self)
{
    struct relay *relay = self->relay;
    relay->has_old = relay->old.count > 0 && prng_chance(&self->sim->prng, 50);
    if (relay->has_old) {
        relay->runs[relay->run_count++] = relay->old;
    }
}

static void pulled(struct client *self, const struct sim_request *request)
{
    struct relay *relay = self->relay;
    const struct sim_reply *reply = &request->reply;
    relay->run_count = relay->number_count = 0;
    for (size_t i = 0; i < reply->run_count; i++) {
        const struct sim_run *run = &reply->runs[i];
        relay->runs[relay->run_count++] = (struct sim_srun){.topic = SIM_SOURCE,
                                                            .partition = run->partition,
                                                            .first = run->first,
                                                            .count = run->count,
                                                            .lease = run->lease,
                                                            .outcome = WIRE_ACK};
        for (uint64_t m = 0; m < run->count; m++) {
            const uint32_t number = reply->messages[run->first_message + m];
            const struct relay_fact *fact = fact_of(relay, number);
            if (!fact || fact->confirmed) {
                (void)model_fail(&self->sim->model, "relay: message %u, %s, was delivered", number,
                                 fact ? "which is committed" : "which is none of ours");
                return;
            }
            relay->numbers[relay->number_count++] = number;
        }
    }
    /* Now and then it does nothing with them, and they come again. */
    if (relay->number_count > 0 && prng_chance(&self->sim->prng, 900)) {
        repeat_some(self);
        add_old(self);
        relay->step = RELAY_COMMIT;
    }
}

/* A read of `left` (side 0) or `right` from its beginning. */
static void judge_look(struct client *self, const struct sim_request *request, unsigned side)
{
    struct relay *relay = self->relay;
    const struct sim_reply *reply = &request->reply;
    struct model *model = &self->sim->model;
    bool seen[RELAY_MAX] = {false};
    if (reply->next != reply->end) {
        (void)model_fail(model, "relay: a read of everything ended at %" PRIu64 " of %" PRIu64,
                         reply->next, reply->end);
        return;
    }
    for (size_t i = 0; i < reply->message_count; i++) {
        struct relay_fact *fact = fact_of(relay, reply->messages[i]);
        if (!fact || !fact->tried || seen[fact - relay->facts]) {
            (void)model_fail(model, "relay: message %u is in %s, %s", reply->messages[i],
                             sim_topic_name(request->topic),
                             !fact         ? "and none of ours"
                             : fact->tried ? "twice"
                                           : "but no commit brought it");
            return;
        }
        seen[fact - relay->facts] = true;
        if (side == 0 && fact->at != UINT64_MAX && fact->at != i) {
            (void)model_fail(model, "relay: message %u is at %zu, it was confirmed at %" PRIu64,
                             fact->number, i, fact->at);
            return;
        }
    }
    for (size_t i = 0; i < relay->count; i++) {
        struct relay_fact *fact = &relay->facts[i];
        const bool must = fact->confirmed || fact->shown[0] || fact->shown[1];
        if (must && !seen[i]) {
            (void)model_fail(model, "relay: message %u is not in %s: confirmed %d, shown %d %d",
                             fact->number, sim_topic_name(request->topic), fact->confirmed,
                             fact->shown[0], fact->shown[1]);
            return;
        }
        fact->shown[side] = fact->shown[side] || seen[i];
    }
}

static void looked(struct client *self, const struct sim_request *request)
{
    struct relay *relay = self->relay;
    judge_look(self, request, request->topic == SIM_LEFT ? 0 : 1);
    relay->looks++;
    if (relay->looks >= 3) {
        relay->step = RELAY_WORK;
    }
}

/* What was in doubt is so no more: nothing of an older epoch can come through now. */
static void opened(struct client *self, const struct sim_request *request)
{
    struct relay *relay = self->relay;
    const uint64_t last = request->reply.commit_last;
    if (last + 1 != relay->next_seq && !(relay->number_count > 0 && last == relay->next_seq)) {
        (void)model_fail(&self->sim->model, "relay: OPEN tells commit %" PRIu64 ", wanted %" PRIu64,
                         last, relay->next_seq - 1);
        return;
    }
    relay->epoch = request->reply.epoch;
    if (last == relay->next_seq) {
        confirm(self, NULL);
    }
    go_on(self);
}

static bool is_passing(int code)
{
    return code == ZSP_ENO_SPACE || code == ZSP_ESTORAGE_FAILED || code == ZSP_ESHUTTING_DOWN ||
           code == ZSP_EEXISTS;
}

void relay_answer(struct client *self, const struct sim_request *request)
{
    struct relay *relay = self->relay;
    const struct sim_reply *reply = &request->reply;
    if (relay->ending) {
        return;
    }
    if (request->verb == SIM_COMMIT) {
        committed(self, request);
        return;
    }
    if (reply->is_error && !is_passing(reply->code)) {
        (void)model_fail(&self->sim->model, "relay: %s was answered: %s",
                         sim_verb_name(request->verb), reply->text);
        return;
    }
    const bool is_there = !reply->is_error || reply->code == ZSP_EEXISTS;
    if (!is_there) {
        return; /* the same again, by and by */
    }
    if (request->verb == SIM_TOPIC_CREATE) {
        relay->creating++;
        relay->step = relay->creating == 3 ? RELAY_GROUP : RELAY_CREATE;
    } else if (request->verb == SIM_GROUP_CREATE) {
        relay->step = RELAY_OPEN;
    } else if (request->verb == SIM_OPEN) {
        opened(self, request);
    } else if (request->verb == SIM_PULL) {
        pulled(self, request);
    } else if (request->verb == SIM_READ) {
        looked(self, request);
    }
}

void relay_lost(struct client *self, const struct sim_request *request)
{
    struct relay *relay = self->relay;
    if (request->verb == SIM_COMMIT && !relay->ending) {
        relay->in_doubt = true;
        relay->step = prng_chance(&self->sim->prng, 300) ? RELAY_OPEN : RELAY_COMMIT;
    }
}

/* --- The end ---------------------------------------------------------------------------------- */

static void drain(struct client *self)
{
    struct relay *relay = self->relay;
    struct model *model = &self->sim->model;
    for (int i = 0; i < 4 * RELAY_MAX && !model->failed; i++) {
        struct sim_request *request = ask_pull(self);
        request->max_messages = 500;
        request->wait_ms = 40000; /* longer than a lease */
        const struct sim_reply *reply = sim_ask(self->sim, self, request);
        if (!reply || reply->run_count == 0) {
            return;
        }
        for (size_t m = 0; m < reply->message_count; m++) {
            struct relay_fact *fact = fact_of(relay, reply->messages[m]);
            if (!fact || fact->delivered || fact->shown[0]) {
                (void)model_fail(model, "relay: in the end message %u is delivered, %s",
                                 reply->messages[m],
                                 !fact             ? "and none of ours"
                                 : fact->delivered ? "twice"
                                                   : "and is committed as well");
                return;
            }
            fact->delivered = true;
        }
        struct sim_request *settle = client_request(self, SIM_SETTLE);
        settle->group = SIM_RELAY;
        settle->srun_count = reply->run_count;
        settle->sruns = calloc(reply->run_count, sizeof *settle->sruns);
        zsp_assert(settle->sruns);
        for (size_t r = 0; r < reply->run_count; r++) {
            const struct sim_run *run = &reply->runs[r];
            settle->sruns[r] = (struct sim_srun){.topic = run->topic,
                                                 .partition = run->partition,
                                                 .first = run->first,
                                                 .count = run->count,
                                                 .lease = run->lease,
                                                 .outcome = WIRE_ACK};
        }
        (void)sim_ask(self->sim, self, settle);
    }
}

void relay_final(struct client *self)
{
    struct relay *relay = self->relay;
    struct sim *sim = self->sim;
    relay->ending = true;
    if (relay->creating < 3 || relay->epoch == 0) {
        return; /* it never came so far */
    }
    /* Twice: what the second one shows the first one must show as well. */
    for (unsigned i = 0; i < 4 && !sim->model.failed; i++) {
        struct sim_request *request = ask_read(self, i % 2 == 0 ? SIM_LEFT : SIM_RIGHT, 0);
        if (sim_ask(sim, self, request)) {
            judge_look(self, request, i % 2);
        }
    }
    drain(self);
    for (uint32_t p = 0; p < model_partition_count(SIM_SOURCE) && !sim->model.failed; p++) {
        const struct sim_reply *reply = sim_ask(sim, self, ask_read(self, SIM_SOURCE, p));
        for (size_t m = 0; reply && m < reply->message_count; m++) {
            const struct relay_fact *fact = fact_of(relay, reply->messages[m]);
            if (fact && !fact->delivered && !fact->shown[0]) {
                (void)model_fail(&sim->model, "relay: message %u is nowhere", fact->number);
                return;
            }
        }
    }
}
