/* SPDX-License-Identifier: MPL-2.0
 *
 * A topic that takes each message id once, and a client that sends its messages over and over, in
 * batches that overlap in every way, several of them on their way at once. It judges the answers itself:
 *
 *   - each message has one offset, whatever answer or READ tells of it, over all crashes;
 *   - what was confirmed as synced, or as a duplicate, is there and stays there;
 *   - READ from its id finds a message that is there.
 *
 * A part of it comes by sequence, under a name that others are fenced by, and again until it is confirmed:
 * also when nothing of it is new, the producer is told that it was taken.
 *
 * In most histories the window is longer than these, and than all jumps of the clock. In the others it is short: then
 * a message may be there several times, but none twice within a window, by the times that the log tells; and
 * what is confirmed as a duplicate repeats one that is no older.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "common/assert.h"
#include "tests/sim/sim.h"

#define PARTS     2u
#define BLOCK     24u  /* messages with numbers in a row; batches are parts of one */
#define BLOCKS    100u /* all even ones go to partition 0 */
#define OFFSETS   (4 * BLOCK * BLOCKS)
#define OUT_MAX   4u
#define BATCH_MAX 9u
#define PRODUCER  8u

struct repeat_fact {
    bool is_sent, is_sure;
    bool must_exist; /* it was confirmed, wherever it is */
    bool is_found;   /* in the last look */
    uint64_t offset; /* with is_sure */
};

/* What is published by sequence, one at a time. */
struct repeat_batch {
    uint32_t block, first, count; /* count 0 = there is none */
    bool is_packed, is_out;
};

struct repeat {
    uint64_t epoch; /* 0 = the name is not open */
    bool opening;
    struct repeat_batch batches[PARTS];
    uint64_t sequences[PARTS]; /* confirmed */
    bool is_made;              /* the topic */
    uint32_t block_count;
    uint32_t firsts[BLOCKS]; /* number of the first message of each block */
    struct repeat_fact facts[BLOCKS][BLOCK];
    uint64_t window_ms;
    uint32_t at[PARTS][OFFSETS]; /* message + 1 that is surely there, 0 = not known */
    int64_t ms[PARTS][OFFSETS];  /* its time, as it was read */
    uint64_t read_to[PARTS];
};

void repeat_init(struct client *self)
{
    self->repeat = calloc(1, sizeof *self->repeat);
    zsp_assert(self->repeat);
    self->repeat->window_ms = prng_chance(&self->sim->prng, 400)
                                  ? prng_between(&self->sim->prng, 50, 1500)
                                  : ZSP_DEDUP_WINDOW_MS_MAX;
}

static bool is_short(const struct repeat *self)
{
    return self->window_ms < ZSP_DEDUP_WINDOW_MS_MAX;
}

void repeat_fini(struct client *self)
{
    free(self->repeat);
    self->repeat = NULL;
}

/* NULL = it is none of ours. */
static struct repeat_fact *fact_of(struct repeat *repeat, uint32_t message)
{
    for (uint32_t b = 0; b < repeat->block_count; b++) {
        if (message >= repeat->firsts[b] && message - repeat->firsts[b] < BLOCK) {
            return &repeat->facts[b][message - repeat->firsts[b]];
        }
    }
    return NULL;
}

/* --- Asking ------------------------------------------------------------------------------ */

static uint32_t choose_block(struct client *self)
{
    struct repeat *repeat = self->repeat;
    struct sim *sim = self->sim;
    const bool is_new =
        repeat->block_count == 0 || (repeat->block_count < BLOCKS && prng_chance(&sim->prng, 60));
    if (is_new) {
        repeat->firsts[repeat->block_count++] =
            model_new_messages(&sim->model, BLOCK, self->index, 0, 0);
        return repeat->block_count - 1;
    }
    /* Mostly the last ones, now and then one from long ago. */
    const uint32_t range =
        repeat->block_count < 3 || prng_chance(&sim->prng, 200) ? repeat->block_count : 3;
    return repeat->block_count - 1 - (uint32_t)prng_below(&sim->prng, range);
}

static void publish(struct client *self)
{
    struct repeat *repeat = self->repeat;
    struct prng *prng = &self->sim->prng;
    struct sim_request *request = client_request(self, SIM_PUBLISH);
    const uint32_t block = choose_block(self);
    const uint32_t count = (uint32_t)prng_between(prng, 1, BATCH_MAX);
    const uint32_t first = (uint32_t)prng_below(prng, BLOCK - count + 1);
    request->topic = SIM_REPEAT;
    request->partition = (int32_t)(block % PARTS);
    request->is_synced = prng_chance(prng, 700);
    request->is_packed = prng_chance(prng, 300);
    request->first_message = repeat->firsts[block] + first;
    request->message_count = count;
    for (uint32_t i = 0; i < count; i++) {
        repeat->facts[block][first + i].is_sent = true;
    }
    client_send(self, request);
}

/* A batch for the partition, when one of its blocks is drawn. */
static bool draw_batch(struct client *self, uint32_t partition)
{
    struct repeat_batch *batch = &self->repeat->batches[partition];
    struct prng *prng = &self->sim->prng;
    const uint32_t block = choose_block(self);
    if (block % PARTS != partition) {
        return false;
    }
    batch->block = block;
    batch->count = (uint32_t)prng_between(prng, 1, BATCH_MAX);
    batch->first = (uint32_t)prng_below(prng, BLOCK - batch->count + 1);
    batch->is_packed = prng_chance(prng, 300);
    for (uint32_t i = 0; i < batch->count; i++) {
        self->repeat->facts[block][batch->first + i].is_sent = true;
    }
    return true;
}

static void publish_by_sequence(struct client *self)
{
    struct repeat *repeat = self->repeat;
    const uint32_t partition = (uint32_t)prng_below(&self->sim->prng, PARTS);
    struct repeat_batch *batch = &repeat->batches[partition];
    if (repeat->epoch == 0 && !repeat->opening) {
        struct sim_request *open = client_request(self, SIM_OPEN);
        open->producer = PRODUCER;
        repeat->opening = true;
        client_send(self, open);
    }
    if (repeat->epoch == 0 || repeat->opening || batch->is_out ||
        (batch->count == 0 && !draw_batch(self, partition))) {
        return;
    }
    struct sim_request *request = client_request(self, SIM_PUBLISH);
    request->topic = SIM_REPEAT;
    request->partition = (int32_t)partition;
    request->is_synced = true;
    request->is_packed = batch->is_packed;
    request->first_message = repeat->firsts[batch->block] + batch->first;
    request->message_count = batch->count;
    request->producer = PRODUCER;
    request->epoch = repeat->epoch;
    request->sequence = repeat->sequences[partition] + 1;
    batch->is_out = true;
    client_send(self, request);
}

static struct sim_request *ask_read(struct client *self, uint32_t partition, uint64_t from)
{
    struct sim_request *request = client_request(self, SIM_READ);
    request->topic = SIM_REPEAT;
    request->partition = (int32_t)partition;
    request->from = from;
    request->max_messages = 1000;
    request->max_bytes = 1000000;
    return request;
}

static void look(struct client *self)
{
    struct repeat *repeat = self->repeat;
    struct prng *prng = &self->sim->prng;
    if (repeat->block_count > 0 && prng_chance(prng, 500)) {
        const uint32_t block = (uint32_t)prng_below(prng, repeat->block_count);
        struct sim_request *request = ask_read(self, block % PARTS, 0);
        request->id_message = repeat->firsts[block] + (uint32_t)prng_below(prng, BLOCK);
        const struct repeat_fact *fact = fact_of(repeat, request->id_message);
        request->is_by_id = true;
        request->was_unsure = !fact->is_sure;
        request->max_messages = 1;
        client_send(self, request);
        return;
    }
    const uint32_t partition = (uint32_t)prng_below(prng, PARTS);
    client_send(self, ask_read(self, partition, repeat->read_to[partition]));
}

static bool has_room(const struct repeat *repeat)
{
    return repeat->read_to[0] < OFFSETS / 2 && repeat->read_to[1] < OFFSETS / 2;
}

void repeat_wake(struct client *self)
{
    struct repeat *repeat = self->repeat;
    client_wake_in(self, (int64_t)prng_below(&self->sim->prng, 80));
    if (!repeat->is_made && self->out == 0) {
        struct sim_request *request = client_request(self, SIM_TOPIC_CREATE);
        request->topic = SIM_REPEAT;
        request->dedup_window_ms = repeat->window_ms;
        client_send(self, request);
    } else if (repeat->is_made && self->out < OUT_MAX && prng_chance(&self->sim->prng, 800) &&
               has_room(repeat)) {
        if (prng_chance(&self->sim->prng, 300)) {
            publish_by_sequence(self);
        } else {
            publish(self);
        }
    } else if (repeat->is_made && self->out < OUT_MAX) {
        look(self);
    }
}

/* --- Judging ------------------------------------------------------------------------------ */

/* The message is surely there. */
static bool judge_place(struct client *self, uint32_t message, uint32_t partition, uint64_t offset)
{
    struct repeat *repeat = self->repeat;
    struct model *model = &self->sim->model;
    struct repeat_fact *fact = fact_of(repeat, message);
    if (!fact || !fact->is_sent || offset >= OFFSETS) {
        return model_fail(model, "again/%u/%" PRIu64 ": message %u was never sent", partition,
                          offset, message);
    }
    uint32_t *slot = &repeat->at[partition][offset];
    if (fact->is_sure && fact->offset != offset && !is_short(repeat)) {
        return model_fail(model, "again/%u: message %u is at %" PRIu64 " and at %" PRIu64,
                          partition, message, fact->offset, offset);
    }
    if (*slot != 0 && *slot != message + 1) {
        return model_fail(model, "again/%u/%" PRIu64 ": is message %u and message %u", partition,
                          offset, *slot - 1, message);
    }
    fact->is_sure = true;
    fact->offset = offset;
    *slot = message + 1;
    return true;
}

/* Only what is no older than the window is repeated. */
static bool judge_age(struct client *self, const struct sim_request *request, uint64_t offset)
{
    const struct model *model = &self->sim->model;
    const int64_t ms = self->repeat->ms[request->partition][offset];
    const int64_t age_ms = request->entered_wall_ms - ms;
    return ms == 0 || model->wall_step >= request->entered_step ||
           request->producer != 0 || /* by its sequence */
           age_ms <= (int64_t)self->repeat->window_ms ||
           model_fail(&self->sim->model,
                      "again/%d/%" PRIu64 ": it was %" PRId64
                      " ms old when a duplicate of it came, the window is %" PRIu64 " ms",
                      request->partition, offset, age_ms, self->repeat->window_ms);
}

static void published(struct client *self, const struct sim_request *request)
{
    const struct sim_reply *reply = &request->reply;
    const uint32_t partition = (uint32_t)request->partition;
    uint32_t index = 0;
    for (size_t i = 0; i < reply->at_count; i++) {
        const struct sim_at *at = &reply->at[i];
        if (at->index != index || at->count == 0 || at->count > request->message_count - index ||
            at->partition != partition || (!at->has_first && request->producer == 0)) {
            (void)model_fail(&self->sim->model, "again: the rows do not cover the body");
            return;
        }
        index += at->count;
        for (uint32_t k = 0; at->has_first && k < at->count && (reply->is_synced || at->duplicate);
             k++) {
            if (!judge_place(self, request->first_message + at->index + k, partition,
                             at->first + k) ||
                (at->duplicate && !judge_age(self, request, at->first + k))) {
                return;
            }
            if (!at->duplicate) {
                self->repeat->ms[partition][at->first + k] = reply->timestamp_ms;
            }
        }
    }
    if (index != request->message_count) {
        (void)model_fail(&self->sim->model, "again: %u of %u messages are confirmed", index,
                         request->message_count);
    }
}

/* By sequence: it is there, once, and the sequence goes on. */
static void confirmed(struct client *self, const struct sim_request *request)
{
    struct repeat *repeat = self->repeat;
    for (uint32_t i = 0; i < request->message_count; i++) {
        fact_of(repeat, request->first_message + i)->must_exist = true;
    }
    repeat->sequences[request->partition] += request->message_count;
    repeat->batches[request->partition].count = 0;
}

static void opened(struct client *self, const struct sim_request *request)
{
    struct repeat *repeat = self->repeat;
    uint64_t last[PARTS] = {0};
    for (size_t i = 0; i < request->reply.part_count; i++) {
        const struct sim_part *part = &request->reply.parts[i];
        if (part->topic == SIM_REPEAT && part->partition < PARTS) {
            last[part->partition] = part->values[0];
        }
    }
    for (uint32_t p = 0; p < PARTS; p++) {
        const uint64_t least = repeat->sequences[p];
        const uint64_t most = least + repeat->batches[p].count;
        if (last[p] != least && last[p] != most) {
            (void)model_fail(&self->sim->model,
                             "again/%u: the producer stopped at %" PRIu64 " or %" PRIu64
                             ", it is told %" PRIu64,
                             p, least, most, last[p]);
        }
    }
    repeat->epoch = request->reply.epoch;
}

static void judge_read(struct client *self, const struct sim_request *request)
{
    const struct sim_reply *reply = &request->reply;
    const uint32_t partition = (uint32_t)request->partition;
    for (size_t i = 0; i < reply->run_count; i++) {
        const struct sim_run *run = &reply->runs[i];
        for (uint64_t m = 0; m < run->count; m++) {
            const uint32_t message = reply->messages[run->first_message + m];
            if (!judge_place(self, message, partition, run->first + m)) {
                return;
            }
            fact_of(self->repeat, message)->is_found = true;
            self->repeat->ms[partition][run->first + m] = run->timestamp_ms;
        }
    }
    if (!request->is_by_id && reply->next > self->repeat->read_to[partition]) {
        self->repeat->read_to[partition] = reply->next;
    }
    if (request->is_by_id &&
        (reply->message_count != 1 || reply->messages[0] != request->id_message)) {
        (void)model_fail(&self->sim->model, "again: a READ of the id of message %u found %d",
                         request->id_message,
                         reply->message_count > 0 ? (int)reply->messages[0] : -1);
    }
}

static bool is_fine(struct client *self, const struct sim_request *request)
{
    switch (request->reply.code) {
    case ZSP_ENO_SPACE:
    case ZSP_ESTORAGE_FAILED:
    case ZSP_ESHUTTING_DOWN:
        return true;
    case ZSP_EEXISTS:
        return request->verb == SIM_TOPIC_CREATE;
    case ZSP_EFENCED_PRODUCER: /* by an OPEN whose answer was lost */
        return request->verb == SIM_PUBLISH && request->producer != 0;
    case ZSP_ENOT_FOUND: {
        const struct repeat_fact *fact =
            request->is_by_id ? fact_of(self->repeat, request->id_message) : NULL;
        return fact && request->was_unsure;
    }
    default:
        return false;
    }
}

/* The next one by sequence may go. */
static void is_free(struct client *self, const struct sim_request *request)
{
    if (request->verb == SIM_OPEN) {
        self->repeat->opening = false;
    } else if (request->verb == SIM_PUBLISH && request->producer != 0) {
        self->repeat->batches[request->partition].is_out = false;
    }
}

void repeat_lost(struct client *self, const struct sim_request *request)
{
    is_free(self, request);
    if (request->producer != 0 && prng_chance(&self->sim->prng, 500)) {
        self->repeat->epoch = 0; /* else it goes on as if nothing had been */
    }
}

void repeat_answer(struct client *self, const struct sim_request *request)
{
    if (request->verb == SIM_TOPIC_CREATE) {
        self->repeat->is_made = !request->reply.is_error || request->reply.code == ZSP_EEXISTS;
    }
    is_free(self, request);
    if (request->reply.is_error) {
        if (request->reply.code == ZSP_EFENCED_PRODUCER) {
            self->repeat->epoch = 0;
        }
        if (!is_fine(self, request)) {
            (void)model_fail(&self->sim->model, "again: %s was answered: %s",
                             sim_verb_name(request->verb), request->reply.text);
        }
        return;
    }
    if (request->verb == SIM_PUBLISH) {
        published(self, request);
        if (request->producer != 0) {
            confirmed(self, request);
        }
    } else if (request->verb == SIM_OPEN) {
        opened(self, request);
    } else if (request->verb == SIM_READ) {
        judge_read(self, request);
    }
}

/* --- The end ------------------------------------------------------------------------------- */

/* No message is there twice within a window. */
static void judge_windows(struct client *self, uint32_t partition, uint64_t end)
{
    const struct repeat *repeat = self->repeat;
    const uint32_t *at = repeat->at[partition];
    const int64_t *ms = repeat->ms[partition];
    for (uint64_t o = 0; o < end; o++) {
        for (uint64_t later = o + 1; later < end && at[o] != 0; later++) {
            if (at[later] == at[o] && ms[later] - ms[o] <= (int64_t)repeat->window_ms) {
                (void)model_fail(&self->sim->model,
                                 "again/%u: message %u is at %" PRIu64 " and, %" PRId64
                                 " ms later, at %" PRIu64 ", the window is %" PRIu64 " ms",
                                 partition, at[o] - 1, o, ms[later] - ms[o], later,
                                 repeat->window_ms);
                return;
            }
        }
    }
}

/* What was confirmed, or seen, is in what was read now. */
static void judge_all(struct client *self)
{
    const struct repeat *repeat = self->repeat;
    for (uint32_t b = 0; b < repeat->block_count; b++) {
        for (uint32_t i = 0; i < BLOCK; i++) {
            const struct repeat_fact *fact = &repeat->facts[b][i];
            if ((fact->must_exist || fact->is_sure) && !fact->is_found) {
                (void)model_fail(&self->sim->model,
                                 "again/%u: message %u was confirmed, and is gone", b % PARTS,
                                 repeat->firsts[b] + i);
                return;
            }
        }
    }
}

void repeat_final(struct client *self)
{
    struct repeat *repeat = self->repeat;
    struct sim *sim = self->sim;
    for (uint32_t b = 0; b < repeat->block_count; b++) {
        for (uint32_t i = 0; i < BLOCK; i++) {
            repeat->facts[b][i].is_found = false;
        }
    }
    for (uint32_t p = 0; p < PARTS && repeat->is_made && !sim->model.failed; p++) {
        uint64_t next = 0;
        uint64_t end = 1;
        while (next < end && !sim->model.failed) {
            struct sim_request *request = ask_read(self, p, next);
            const struct sim_reply *reply = sim_ask(sim, self, request);
            if (!reply || reply->is_error) {
                return;
            }
            judge_read(self, request);
            next = reply->next;
            end = reply->end;
        }
        judge_windows(self, p, end);
        for (uint64_t o = 0; o < OFFSETS && !sim->model.failed; o++) {
            if (repeat->at[p][o] != 0 && o >= end) {
                (void)model_fail(&sim->model, "again/%u/%" PRIu64 ": message %u is gone", p, o,
                                 repeat->at[p][o] - 1);
            }
        }
    }
    if (!sim->model.failed && repeat->is_made) {
        judge_all(self);
    }
}
