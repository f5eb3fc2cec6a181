/* SPDX-License-Identifier: MPL-2.0
 *
 * Redis Streams through hiredis; one stream, entries of one field. W1 pipelined XADD over
 * -c connections of one thread, W2 one XADD at a time, W3 XREADGROUP and one XACK a batch,
 * W4 end to end at a fixed rate, W5 XRANGE. W3 and W5 read what W1 left.
 */
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/peers/peer.h"

#define STREAM       "bench"
#define PORT         6379
#define E2E_COUNT    1000
#define E2E_BLOCK_MS 5000

/* XADD bench * d PAYLOAD, formatted once. */
struct command {
    char *bytes;
    size_t len;
    char *payload; /* where it lies in `bytes` */
};

static redisContext *dial(const struct options *options)
{
    redisContext *context = redisConnect(options->host, options->port != 0 ? options->port : PORT);
    if (!context || context->err != 0) {
        die("redis: connect: %s", context ? context->errstr : "no memory");
    }
    return context;
}

static void flush(redisContext *context)
{
    int done = 0;
    while (!done) {
        if (redisBufferWrite(context, &done) != REDIS_OK) {
            die("redis: write: %s", context->errstr);
        }
    }
}

static redisReply *reply(redisContext *context)
{
    void *taken = NULL;
    if (redisGetReply(context, &taken) != REDIS_OK) {
        die("redis: read: %s", context->errstr);
    }
    redisReply *self = taken;
    if (self->type == REDIS_REPLY_ERROR) {
        die("redis: %s", self->str);
    }
    return self;
}

static void drop_replies(redisContext *context, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        freeReplyObject(reply(context));
    }
}

static struct command command_new(size_t payload_bytes)
{
    struct command self;
    char *payload = payload_new(payload_bytes);
    const char *words[] = {"XADD", STREAM, "*", "d", payload};
    const size_t lens[] = {4, strlen(STREAM), 1, 1, payload_bytes};
    const int len = (int)redisFormatCommandArgv(&self.bytes, 5, words, lens);
    if (len < 0) {
        die("redis: no command");
    }
    self.len = (size_t)len;
    self.payload = self.bytes + self.len - 2 - payload_bytes; /* before the last CR LF */
    free(payload);
    return self;
}

static void command_send(redisContext *context, const struct command *command)
{
    if (redisAppendFormattedCommand(context, command->bytes, command->len) != REDIS_OK) {
        die("redis: %s", context->errstr);
    }
}

/* --- W1, W2 ---------------------------------------------------------------------------------- */

struct pipe {
    redisContext *context;
    uint64_t sent, confirmed;
    uint64_t wanted; /* confirms to take in this round */
};

/* Two batches in flight on each connection, one being answered while the next is written.
 * Several connections let the server put more under one fsync: it reads at most 16 KiB of
 * each in a turn. With one message in flight, a batch is one and is waited for. */
static uint64_t publish_rounds(const struct options *options, struct pipe *pipes,
                               const struct command *command, uint64_t stop_ns)
{
    const uint64_t batch = options->in_flight > 1 ? options->in_flight / 2 : 1;
    uint64_t sent = 0, confirmed = 0;
    bool more = true;
    while (more || confirmed < sent) {
        for (unsigned i = 0; i < options->producers && more; i++) {
            struct pipe *pipe = &pipes[i];
            pipe->wanted = pipe->sent;
            for (uint64_t n = 0; n < batch && sent < options->count; n++, sent++) {
                command_send(pipe->context, command);
                pipe->sent++;
            }
            flush(pipe->context);
        }
        more = more && sent < options->count && now_ns() < stop_ns;
        for (unsigned i = 0; i < options->producers; i++) {
            struct pipe *pipe = &pipes[i];
            const bool all = !more || options->in_flight == 1;
            const uint64_t due = (all ? pipe->sent : pipe->wanted) - pipe->confirmed;
            drop_replies(pipe->context, due);
            pipe->confirmed += due;
            confirmed += due;
        }
    }
    return confirmed;
}

static void publish(const struct options *options)
{
    struct pipe pipes[PEER_PRODUCERS_MAX] = {0};
    struct command command = command_new(options->payload_bytes);
    struct result result = {.workload = "W1"};
    for (unsigned i = 0; i < options->producers; i++) {
        pipes[i].context = dial(options);
    }
    const struct meter meter = meter_begin(options);
    result.count =
        publish_rounds(options, pipes, &command, after_ns(meter.start_ns, options->seconds));
    result.spent = meter_end(&meter);
    report(options, &result, "pipelined XADD, %u connection(s) with %u in flight each",
           options->producers, options->in_flight);
    for (unsigned i = 0; i < options->producers; i++) {
        redisFree(pipes[i].context);
    }
    free(command.bytes);
}

static void publish_one_by_one(struct producer *self)
{
    redisContext *context = dial(self->options);
    struct command command = command_new(self->options->payload_bytes);
    producer_wait(self);
    uint64_t sent_ns = now_ns();
    while (self->confirmed < self->count_max && sent_ns < self->stop_ns) {
        command_send(context, &command);
        drop_replies(context, 1);
        const uint64_t now = now_ns();
        samples_add(&self->latency, now - sent_ns);
        sent_ns = now;
        self->confirmed++;
    }
    redisFree(context);
    free(command.bytes);
}

static void publish_single(const struct options *options)
{
    struct samples latency = {0};
    struct result result = producers_run(options, publish_one_by_one, &latency);
    report(options, &result, "XADD, %u producer(s), one in flight each", options->producers);
    samples_fini(&latency);
}

/* --- W3, W5 ---------------------------------------------------------------------------------- */

static void group_create(redisContext *context)
{
    redisReply *made = redisCommand(context, "XGROUP CREATE " STREAM " g 0 MKSTREAM");
    if (!made || (made->type == REDIS_REPLY_ERROR && strncmp(made->str, "BUSYGROUP", 9) != 0)) {
        die("redis: XGROUP: %s", made ? made->str : context->errstr);
    }
    freeReplyObject(made);
}

/* Of XREADGROUP's [[stream, [[id, [field, value]], ...]]] the entries; NULL = there are none. */
static const redisReply *entries(const redisReply *read)
{
    if (read->type != REDIS_REPLY_ARRAY || read->elements == 0) {
        return NULL;
    }
    return read->element[0]->element[1];
}

/* One XACK of every id of a batch. */
static void append_ack(redisContext *context, const redisReply *batch)
{
    const size_t count = batch->elements + 3;
    const char **words = allocate(count * sizeof *words);
    size_t *lens = allocate(count * sizeof *lens);
    words[0] = "XACK";
    words[1] = STREAM;
    words[2] = "g";
    for (size_t i = 0; i < count; i++) {
        if (i >= 3) {
            words[i] = batch->element[i - 3]->element[0]->str;
        }
        lens[i] = strlen(words[i]);
    }
    if (redisAppendCommandArgv(context, (int)count, words, lens) != REDIS_OK) {
        die("redis: %s", context->errstr);
    }
    free((void *)words);
    free(lens);
}

/* The next XREADGROUP is queued before a batch is acknowledged, so that the server always
 * has one. Replies come in order: read, read, ack, read, ack, read ... ack, ack. */
static void consume(const struct options *options)
{
    redisContext *context = dial(options);
    struct result result = {.workload = "W3"};
    char read_batch[128];
    unsigned reads = 2, acks = 0; /* replies owed */
    group_create(context);
    (void)snprintf(read_batch, sizeof read_batch,
                   "XREADGROUP GROUP g c1 COUNT %u STREAMS " STREAM " >", options->in_flight);
    const struct meter meter = meter_begin(options);
    const uint64_t stop_ns = after_ns(meter.start_ns, options->seconds);
    (void)redisAppendCommand(context, read_batch);
    (void)redisAppendCommand(context, read_batch);
    flush(context);
    while (reads > 0) {
        redisReply *read = reply(context);
        const redisReply *batch = entries(read);
        reads--;
        if (batch) {
            result.count += batch->elements;
            append_ack(context, batch);
            acks++;
            if (result.count < options->count && now_ns() < stop_ns) {
                (void)redisAppendCommand(context, read_batch);
                reads++;
            }
            flush(context);
        }
        freeReplyObject(read);
        if (acks > 1) {
            drop_replies(context, 1);
            acks--;
        }
    }
    drop_replies(context, acks);
    result.spent = meter_end(&meter);
    report(options, &result, "XREADGROUP COUNT %u and one XACK a batch, 2 requests in flight",
           options->in_flight);
    redisFree(context);
}

static void replay(const struct options *options)
{
    redisContext *context = dial(options);
    struct result result = {.workload = "W5"};
    char from[64] = "-";
    bool end = false;
    const struct meter meter = meter_begin(options);
    const uint64_t stop_ns = after_ns(meter.start_ns, options->seconds);
    while (!end && result.count < options->count && now_ns() < stop_ns) {
        redisReply *range =
            redisCommand(context, "XRANGE " STREAM " %s + COUNT %u", from, options->in_flight);
        if (!range || range->type != REDIS_REPLY_ARRAY) {
            die("redis: XRANGE: %s", range ? range->str : context->errstr);
        }
        result.count += range->elements;
        end = range->elements < options->in_flight;
        if (!end) {
            (void)snprintf(from, sizeof from, "(%s",
                           range->element[range->elements - 1]->element[0]->str);
        }
        freeReplyObject(range);
    }
    result.spent = meter_end(&meter);
    report(options, &result, "XRANGE COUNT %u, one request in flight", options->in_flight);
    redisFree(context);
}

/* --- W4 ---------------------------------------------------------------------------------------- */

struct receiver {
    const struct options *options;
    uint64_t total;
    struct samples latency;
};

static void *receive(void *arg)
{
    struct receiver *self = arg;
    redisContext *context = dial(self->options);
    uint64_t acks = 0;
    while (self->latency.count < self->total) {
        (void)redisAppendCommand(context,
                                 "XREADGROUP GROUP g c1 COUNT %d BLOCK %d STREAMS " STREAM " >",
                                 E2E_COUNT, E2E_BLOCK_MS);
        flush(context);
        drop_replies(context, acks);
        redisReply *read = reply(context);
        const redisReply *batch = entries(read);
        if (!batch) {
            die("redis: W4: nothing for %d ms after %zu messages", E2E_BLOCK_MS,
                self->latency.count);
        }
        const uint64_t now = now_ns();
        for (size_t i = 0; i < batch->elements; i++) {
            const char *payload = batch->element[i]->element[1]->element[1]->str;
            samples_add(&self->latency, now - payload_time_ns(payload));
        }
        append_ack(context, batch); /* leaves with the next XREADGROUP */
        acks = 1;
        freeReplyObject(read);
    }
    flush(context);
    drop_replies(context, acks);
    redisFree(context);
    return NULL;
}

/* Take the confirms that are there. */
static uint64_t take_confirms(redisContext *context)
{
    uint64_t confirmed = 0;
    struct pollfd readable = {.fd = context->fd, .events = POLLIN};
    while (poll(&readable, 1, 0) == 1) {
        void *taken = NULL;
        if (redisBufferRead(context) != REDIS_OK) {
            die("redis: read: %s", context->errstr);
        }
        while (redisGetReplyFromReader(context, &taken) == REDIS_OK && taken) {
            freeReplyObject(taken);
            confirmed++;
        }
    }
    return confirmed;
}

static void end_to_end(const struct options *options)
{
    redisContext *context = dial(options);
    struct command command = command_new(options->payload_bytes);
    struct receiver receiver = {.options = options};
    struct result result = {.workload = "W4", .latency = &receiver.latency};
    uint64_t sent = 0, confirmed = 0;
    pthread_t thread;
    freeReplyObject(redisCommand(context, "DEL " STREAM));
    group_create(context);
    receiver.total = pace_begin(options, 0).total;
    if (pthread_create(&thread, NULL, receive, &receiver) != 0) {
        die("redis: no thread");
    }
    sleep_ms(200); /* for its first request */
    const struct meter meter = meter_begin(options);
    const struct pace pace = pace_begin(options, meter.start_ns);
    while (sent < pace.total) {
        for (const uint64_t due = pace_await(&pace, sent); sent < due; sent++) {
            payload_stamp(command.payload, pace_ns(&pace, sent));
            command_send(context, &command);
        }
        flush(context);
        confirmed += take_confirms(context);
    }
    drop_replies(context, pace.total - confirmed);
    (void)pthread_join(thread, NULL);
    result.count = pace.total;
    result.spent = meter_end(&meter);
    report(options, &result,
           "XADD at %u/s; XREADGROUP BLOCK, XACK with the next; from the intended time",
           options->rate);
    redisFree(context);
    free(command.bytes);
    samples_fini(&receiver.latency);
}

int main(int argc, char **argv)
{
    const struct options options = options_read(argc, argv);
    if (is(options.workload, "W1")) {
        publish(&options);
    } else if (is(options.workload, "W2")) {
        publish_single(&options);
    } else if (is(options.workload, "W3")) {
        consume(&options);
    } else if (is(options.workload, "W4")) {
        end_to_end(&options);
    } else if (is(options.workload, "W5")) {
        replay(&options);
    } else {
        die("redis: no workload %s", options.workload);
    }
    return 0;
}
