/* SPDX-License-Identifier: MPL-2.0
 *
 * A topic that is compacted all the time, its producer, a reader, and a group of each mode. One client
 * plays all of them at once, with the answers of each in order, and judges them itself:
 *
 *   - the newest message of each key is there, a tombstone until its time is over; offsets are dense,
 *     and each has one message for ever;
 *   - what a read did not find never comes back, nor does anything older of its key: not by a crash, not
 *     when the tombstone that deleted it has gone;
 *   - each group gets what is there, in its order, and what it has acked not again until it is moved back;
 *     at the end it has done all, and has seen the newest message of each key;
 *   - the producer is told where it stopped, whatever of its messages went.
 *
 * In some histories the topic has limits as well, and rejected messages are spared by them for a while.
 */
#include "tests/sim/sim_market.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/assert.h"
#include "tests/sim/sim.h"

#define PRODUCER   9u
#define BATCH_MAX  6u /* fewer than a compaction has room for keys */
#define PULL_MAX   20u
#define CHUNK_MAX  60u
#define DRAIN_MAX  400
#define JUMP_MS    4000 /* the clock is put forward by that much at the end */
#define SERIAL_MAX (1u << 24)

void market_init(struct client *self)
{
    self->market = calloc(1, sizeof *self->market);
    zsp_assert(self->market);
}

void market_fini(struct client *self)
{
    free(self->market);
    self->market = NULL;
}

/* --- The topic and its groups ---------------------------------------------------------------------- */

static void add_setting(struct sim_request *request, const char *name, const char *text,
                        uint64_t number)
{
    zsp_assert(request->setting_count < SIM_SETTINGS_MAX);
    request->settings[request->setting_count++] = (struct sim_setting){name, text, number};
}

static struct sim_request *ask_topic(struct client *self)
{
    static const uint64_t retentions_ms[] = {1, 3000, 20000, 0};
    struct market *market = self->market;
    struct prng *prng = &self->sim->prng;
    struct sim_request *request = client_request(self, SIM_TOPIC_CREATE);
    request->topic = SIM_PRICES;
    add_setting(request, "cleanup", "compact", 0);
    add_setting(request, "compact_ratio", NULL, prng_between(prng, 1, 60));
    market->tombstone_ms = retentions_ms[prng_below(prng, 4)];
    if (market->tombstone_ms != 0) {
        add_setting(request, "tombstone_retention_ms", NULL, market->tombstone_ms);
    }
    if (prng_chance(prng, 300)) {
        add_setting(request, "retention_bytes", NULL, prng_between(prng, 4000, 40000));
        market->has_limit = true;
    }
    if (prng_chance(prng, 300)) { /* ids are all different: it changes nothing but the files */
        add_setting(request, "dedup_window_ms", NULL, prng_between(prng, 1000, 100000));
    }
    return request;
}

static struct sim_request *ask_group(struct client *self)
{
    struct market *market = self->market;
    struct sim_request *request = client_request(self, SIM_GROUP_CREATE);
    request->group = SIM_BUYERS + market->made++;
    request->spares_dead = market->has_limit && prng_chance(&self->sim->prng, 500);
    return request;
}

/* --- Publishing ------------------------------------------------------------------------------------ */

static void draw_batch(struct client *self, struct market_log *log)
{
    struct market *market = self->market;
    struct prng *prng = &self->sim->prng;
    log->batch_count = (uint32_t)prng_between(prng, 1, BATCH_MAX);
    for (uint32_t i = 0; i < log->batch_count; i++) {
        /* Some keys are rare: their messages are old when the next one comes. */
        const uint32_t range = prng_chance(prng, 500) ? 3 : PRICE_KEYS;
        const uint32_t key = (uint32_t)prng_below(prng, range);
        zsp_assert(market->serial < SERIAL_MAX);
        log->batch[i] = price_number(market->serial++, key, prng_chance(prng, 200));
    }
    log->batch_wall_ms = self->sim->model.wall_ms;
    log->batch_sequence = log->sequence + 1;
    log->batch_packed = prng_chance(prng, 300);
}

static struct sim_request *ask_publish(struct client *self, uint32_t partition)
{
    struct market *market = self->market;
    struct market_log *log = &market->logs[partition];
    if (log->batch_count == 0) {
        draw_batch(self, log);
    }
    struct sim_request *request = client_request(self, SIM_PUBLISH);
    request->topic = SIM_PRICES;
    request->partition = (int32_t)partition;
    request->is_synced = true;
    request->is_packed = log->batch_packed;
    request->producer = PRODUCER;
    request->epoch = market->epoch;
    request->sequence = log->batch_sequence;
    request->message_count = log->batch_count;
    request->number_count = log->batch_count;
    request->numbers = calloc(log->batch_count, sizeof *request->numbers);
    zsp_assert(request->numbers);
    memcpy(request->numbers, log->batch, log->batch_count * sizeof *request->numbers);
    log->publishing = true;
    return request;
}

static struct sim_request *ask_open(struct client *self)
{
    struct sim_request *request = client_request(self, SIM_OPEN);
    request->producer = PRODUCER;
    self->market->opening = true;
    return request;
}

/* --- Reading --------------------------------------------------------------------------------------- */

static struct sim_request *ask_read(struct client *self, uint64_t most)
{
    struct market *market = self->market;
    struct sim_request *request = client_request(self, SIM_READ);
    request->topic = SIM_PRICES;
    request->partition = (int32_t)market->read_partition;
    request->from = market->read_next;
    request->from_earliest = market->read_next == 0;
    request->max_messages = most;
    request->max_bytes = 1000000;
    request->accepts_zstd = prng_chance(&self->sim->prng, 500);
    market->reading = true;
    return request;
}

static void read_other(struct market *market)
{
    market->read_next = 0;
    market->read_partition = (market->read_partition + 1) % MARKET_PARTS;
}

static void was_read(struct client *self, const struct sim_request *request)
{
    struct market *market = self->market;
    const struct sim_reply *reply = &request->reply;
    market_judge_read(self, request);
    market->read_next = reply->next;
    market->read_end = reply->end;
    if (reply->next >= reply->end || prng_chance(&self->sim->prng, 50)) {
        read_other(market);
    }
}

/* --- Groups ---------------------------------------------------------------------------------------- */

static struct sim_request *ask_pull(struct client *self, uint32_t index, uint64_t wait_ms)
{
    struct sim_request *request = client_request(self, SIM_PULL);
    request->group = SIM_BUYERS + index;
    request->max_messages = prng_between(&self->sim->prng, 1, PULL_MAX);
    request->max_bytes = 100000;
    request->wait_ms = wait_ms;
    request->accepts_zstd = prng_chance(&self->sim->prng, 500);
    return request;
}

static enum wire_outcome draw_outcome(struct client *self)
{
    const uint64_t draw = prng_below(&self->sim->prng, 100);
    return draw < 75 ? WIRE_ACK : draw < 83 ? WIRE_RETRY : draw < 92 ? WIRE_RELEASE : WIRE_REJECT;
}

static struct sim_request *ask_settle(struct client *self, const struct sim_request *pull,
                                      bool ack_all)
{
    const struct sim_reply *reply = &pull->reply;
    struct buyer *buyer = &self->market->buyers[pull->group - SIM_BUYERS];
    struct sim_request *request = client_request(self, SIM_SETTLE);
    request->group = pull->group;
    request->sruns = calloc(reply->message_count, sizeof *request->sruns);
    zsp_assert(request->sruns);
    for (size_t i = 0; i < reply->run_count; i++) {
        const struct sim_run *run = &reply->runs[i];
        for (uint64_t m = 0; m < run->count; m++) {
            struct sim_srun *srun = &request->sruns[request->srun_count++];
            *srun = (struct sim_srun){
                .topic = SIM_PRICES,
                .partition = run->partition,
                .first = run->first + m,
                .count = 1,
                .lease = run->lease,
                .outcome = ack_all ? WIRE_ACK : draw_outcome(self),
            };
            srun->has_delay = srun->outcome == WIRE_RETRY;
            srun->delay_ms = prng_below(&self->sim->prng, 200);
            bool *may_be_dead = &buyer->may_be_dead[srun->partition][srun->first];
            *may_be_dead = *may_be_dead || srun->outcome == WIRE_REJECT;
        }
    }
    return request;
}

static struct sim_request *ask_seek(struct client *self, uint32_t index)
{
    struct buyer *buyer = &self->market->buyers[index];
    struct sim_request *request = client_request(self, SIM_SEEK);
    request->group = SIM_BUYERS + index;
    request->topic = SIM_PRICES;
    request->position = (struct wire_position){.kind = WIRE_POSITION_EARLIEST};
    memset(buyer->acked, 0, sizeof buyer->acked);
    memset(buyer->got_to, 0, sizeof buyer->got_to);
    buyer->moving = true;
    buyer->was_moved = true;
    buyer->lost_order = true;
    return request;
}

static void moved(struct buyer *buyer)
{
    memset(buyer->got, 0, sizeof buyer->got);
    buyer->moving = false;
    buyer->lost_order = false;
}

/* --- What is done when ------------------------------------------------------------------------------- */

static struct sim_request *ask_purge(struct client *self)
{
    struct market *market = self->market;
    struct prng *prng = &self->sim->prng;
    const uint32_t partition = (uint32_t)prng_below(prng, MARKET_PARTS);
    const struct market_log *log = &market->logs[partition];
    struct sim_request *request = client_request(self, SIM_TOPIC_PURGE);
    request->topic = SIM_PRICES;
    request->partition = (int32_t)partition;
    request->from = prng_between(prng, log->start, log->end);
    return request;
}

static void serve_buyers(struct client *self)
{
    struct prng *prng = &self->sim->prng;
    for (uint32_t i = 0; i < MARKET_BUYERS; i++) {
        struct buyer *buyer = &self->market->buyers[i];
        if (buyer->out || !prng_chance(prng, 300)) {
            continue;
        }
        buyer->out = true;
        client_send(self, prng_chance(prng, 10) || buyer->moving ? ask_seek(self, i)
                                                                 : ask_pull(self, i, 0));
    }
}

static void work(struct client *self)
{
    struct market *market = self->market;
    struct prng *prng = &self->sim->prng;
    if (market->epoch == 0 && !market->opening) {
        client_send(self, ask_open(self));
    }
    for (uint32_t p = 0; p < MARKET_PARTS && market->epoch != 0 && !market->opening; p++) {
        struct market_log *log = &market->logs[p];
        if (!log->publishing && log->end + BATCH_MAX < MARKET_MAX && prng_chance(prng, 400)) {
            client_send(self, ask_publish(self, p));
        }
    }
    if (!market->reading) {
        client_send(
            self,
            ask_read(self, prng_chance(prng, 500) ? MARKET_MAX : prng_between(prng, 1, CHUNK_MAX)));
    }
    if (prng_chance(prng, 3)) {
        client_send(self, ask_purge(self));
    }
    serve_buyers(self);
}

void market_wake(struct client *self)
{
    struct market *market = self->market;
    events_add(&self->sim->events, self->sim->now_ms + (int64_t)prng_below(&self->sim->prng, 100),
               EVENT_WAKE, 0, self);
    if (market->step == MARKET_WORK) {
        work(self);
    } else if (self->out == 0) {
        client_send(self, market->step == MARKET_TOPIC ? ask_topic(self) : ask_group(self));
    }
}

/* --- Answers --------------------------------------------------------------------------------------- */

/* The one who asked may ask again. */
static void is_free(struct client *self, const struct sim_request *request)
{
    struct market *market = self->market;
    if (request->verb == SIM_PUBLISH) {
        market->logs[request->partition].publishing = false;
    } else if (request->verb == SIM_OPEN) {
        market->opening = false;
    } else if (request->verb == SIM_READ) {
        market->reading = false;
    } else if (request->verb == SIM_PULL || request->verb == SIM_SETTLE ||
               request->verb == SIM_SEEK) {
        market->buyers[request->group - SIM_BUYERS].out = false;
    }
}

static bool is_passing(const struct sim_request *request)
{
    switch (request->reply.code) {
    case ZSP_ENO_SPACE:
    case ZSP_ESTORAGE_FAILED:
    case ZSP_ESHUTTING_DOWN:
        return true;
    case ZSP_EFENCED_PRODUCER: /* by an OPEN whose answer was lost */
        return request->verb == SIM_PUBLISH;
    case ZSP_EOUT_OF_RANGE: /* a purge or retention came before */
        return request->verb == SIM_READ || request->verb == SIM_TOPIC_PURGE;
    default:
        return false;
    }
}

static void refused(struct client *self, const struct sim_request *request)
{
    struct market *market = self->market;
    if (!is_passing(request)) {
        (void)model_fail(&self->sim->model, "prices: %s was answered: %s",
                         sim_verb_name(request->verb), request->reply.text);
    }
    if (request->verb == SIM_READ) {
        read_other(market);
    } else if (request->reply.code == ZSP_EFENCED_PRODUCER) {
        market->epoch = 0;
    }
}

/* A step of the beginning is made, now or before. */
static void made(struct market *market, const struct sim_request *request)
{
    if (request->verb == SIM_TOPIC_CREATE) {
        if (request->reply.is_error) { /* an earlier one made it, with other settings */
            market->tombstone_ms = 1;
            market->has_limit = true;
        }
        market->step = MARKET_GROUPS;
    } else if (market->made == MARKET_BUYERS) {
        market->step = MARKET_WORK;
    }
}

void market_answer(struct client *self, const struct sim_request *request)
{
    struct market *market = self->market;
    const struct sim_reply *reply = &request->reply;
    is_free(self, request);
    if (market->step != MARKET_WORK) {
        const bool is_made = !reply->is_error || reply->code == ZSP_EEXISTS;
        market->made -= !is_made && request->verb == SIM_GROUP_CREATE ? 1 : 0;
        if (is_made) {
            made(market, request);
        }
        return;
    }
    if (reply->is_error) {
        refused(self, request);
    } else if (request->verb == SIM_PUBLISH) {
        market_published(self, request);
    } else if (request->verb == SIM_OPEN) {
        market_opened(self, request);
    } else if (request->verb == SIM_READ) {
        was_read(self, request);
    } else if (request->verb == SIM_SEEK) {
        moved(&market->buyers[request->group - SIM_BUYERS]);
    } else if (request->verb == SIM_SETTLE) {
        market_settled(self, request);
    } else if (request->verb == SIM_PULL && market_judge_pull(self, request) &&
               reply->run_count > 0 && !self->sim->calm && prng_chance(&self->sim->prng, 900)) {
        market->buyers[request->group - SIM_BUYERS].out = true;
        client_send(self, ask_settle(self, request, false));
    }
}

void market_lost(struct client *self, const struct sim_request *request)
{
    struct market *market = self->market;
    is_free(self, request);
    if (market->step == MARKET_GROUPS && request->verb == SIM_GROUP_CREATE) {
        market->made--;
    }
    if (request->verb == SIM_PULL) { /* a session that has a message may get what comes next */
        market->buyers[request->group - SIM_BUYERS].lost_order = true;
    }
    if (request->verb == SIM_PUBLISH && prng_chance(&self->sim->prng, 500)) {
        market->epoch = 0; /* else it goes on as if nothing had been */
    }
}

/* --- The end ---------------------------------------------------------------------------------------- */

static bool publish_rest(struct client *self)
{
    struct market *market = self->market;
    struct sim *sim = self->sim;
    (void)sim_ask(sim, self, ask_open(self));
    for (uint32_t p = 0; p < MARKET_PARTS && !sim->model.failed; p++) {
        if (market->logs[p].batch_count > 0) {
            (void)sim_ask(sim, self, ask_publish(self, p));
        }
    }
    return !sim->model.failed;
}

static bool read_all(struct client *self, uint32_t partition)
{
    struct market *market = self->market;
    market->pass++;
    market->read_partition = partition;
    market->read_next = 0;
    market->read_end = 1;
    uint64_t next = 0;
    while (next < market->read_end) {
        market->read_partition = partition;
        market->read_next = next;
        const struct sim_reply *reply = sim_ask(self->sim, self, ask_read(self, MARKET_MAX));
        if (!reply || self->sim->model.failed) {
            return false;
        }
        next = reply->next;
    }
    return true;
}

static bool is_drained(struct client *self, uint32_t index)
{
    struct sim_request *request = client_request(self, SIM_GROUP_INFO);
    request->group = SIM_BUYERS + index;
    const struct sim_reply *reply = sim_ask(self->sim, self, request);
    for (size_t i = 0; reply && i < reply->part_count; i++) {
        const uint64_t *values = reply->parts[i].values;
        if (values[2] + values[3] + values[4] > 0 || values[0] != values[1]) {
            return false;
        }
    }
    return reply && market_judge_counts(self, index, reply);
}

static bool drain(struct client *self, uint32_t index)
{
    for (int i = 0; i < DRAIN_MAX && !self->sim->model.failed; i++) {
        struct sim_request *request = ask_pull(self, index, i % 3 == 2 ? 30000 : 0);
        request->max_messages = 1000;
        const struct sim_reply *reply = sim_ask(self->sim, self, request);
        if (reply && reply->run_count > 0) {
            (void)sim_ask(self->sim, self, ask_settle(self, request, true));
        } else if (reply && is_drained(self, index)) {
            return true;
        }
    }
    return model_fail(&self->sim->model, "group %s cannot be drained",
                      sim_group_name(SIM_BUYERS + index));
}

void market_final(struct client *self)
{
    struct market *market = self->market;
    if (market->step != MARKET_WORK || !publish_rest(self)) {
        return;
    }
    for (uint32_t p = 0; p < MARKET_PARTS; p++) {
        if (!read_all(self, p)) {
            return;
        }
    }
    for (uint32_t i = 0; i < MARKET_BUYERS; i++) {
        if (!drain(self, i)) {
            return;
        }
    }
    for (uint32_t p = 0; p < MARKET_PARTS; p++) {
        if (!read_all(self, p) || !market_judge_groups(self, p)) {
            return;
        }
    }
}
