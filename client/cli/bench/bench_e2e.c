/* SPDX-License-Identifier: MPL-2.0
 *
 * W4: end to end at a fixed rate. A thread sends message i at start + i / rate, or as
 * soon after as it can; each carries that intended time, and its latency counts from
 * there. So a stall is seen by every message that it held up, not by one alone
 * (no coordinated omission). At a low rate each message meets an idle topic with a
 * pull parked on it.
 *
 * The consumer is on a connection of its own, as another process would be; it
 * receives in the calling thread and acks. The first second warms up, or as much
 * as is measured.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/cli/bench/bench.h"

#define WARM_MS 1000u

struct sender {
    const struct bench *bench;
    pthread_t thread;
    zspool_client_t *client;
    zspool_producer_t *producer;
    uint8_t *payload;
    int64_t start_ns;     /* of message 0 */
    uint64_t warm, total; /* messages; the first are not measured */
    int code;             /* 0, or what failed: in err */
    zspool_error_t err;
};

/* --- Sending --------------------------------------------------------------------------------- */

static int64_t due_ns(const struct sender *self, uint64_t index)
{
    const uint64_t rate = self->bench->rate;
    return self->start_ns + (int64_t)(index / rate * 1000000000u) +
           (int64_t)(index % rate * 1000000000u / rate);
}

static void sleep_until(int64_t at_ns)
{
    const struct timespec at = {.tv_sec = (time_t)(at_ns / 1000000000),
                                .tv_nsec = (long)(at_ns % 1000000000)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR) {
    }
}

static int send_stamped(struct sender *self, int64_t stamp_ns)
{
    memcpy(self->payload, &stamp_ns, sizeof stamp_ns); /* the same process takes it out again */
    const zspool_out_t out =
        zspool_out(self->bench->topic, self->payload, (size_t)self->bench->payload_bytes);
    int rc;
    while ((rc = zspool_send(self->producer, &out, NULL, &self->err)) == ZSPOOL_EAGAIN) {
        rc = zspool_room(self->producer, out.payload.len, cli_timeout(), &self->err);
        if (rc != 0) {
            return rc;
        }
    }
    return rc;
}

static void *send_all(void *arg)
{
    struct sender *self = arg;
    for (uint64_t i = 0; i < self->total && self->code == 0 && !cli_stopped(); i++) {
        const int64_t at_ns = due_ns(self, i);
        if (bench_now_ns() < at_ns) {
            sleep_until(at_ns);
        }
        self->code = send_stamped(self, at_ns);
    }
    if (self->code == 0) {
        self->code = zspool_flush(self->producer, cli_timeout(), &self->err);
    }
    return NULL;
}

static int open_sender(struct sender *self)
{
    const struct bench *bench = self->bench;
    zspool_producer_options_t options;
    zspool_producer_options_init(&options);
    options.level = bench->level;
    options.max_in_flight = (uint32_t)bench->in_flight;
    options.batch_bytes = (size_t)bench->batch_bytes;
    self->payload = malloc((size_t)bench->payload_bytes);
    if (!self->payload) {
        cli_say("no memory for a payload of %zu bytes", (size_t)bench->payload_bytes);
        return CLI_ERROR;
    }
    self->client = zspool_new(cli_common.server, NULL, &self->err);
    if (self->client && zspool_connect(self->client, cli_timeout(), NULL, &self->err) == 0) {
        self->producer = zspool_producer_new(self->client, &options, &self->err);
    }
    if (!self->producer) {
        return cli_fail(&self->err);
    }
    bench_fill_payload(self->payload, (size_t)bench->payload_bytes);
    return CLI_OK;
}

static void close_sender(struct sender *self)
{
    zspool_producer_destroy(&self->producer);
    zspool_destroy(&self->client);
    free(self->payload);
}

/* --- Receiving -------------------------------------------------------------------------------- */

struct receiver {
    zspool_consumer_t *consumer;
    int64_t measure_ns; /* messages of before are warm-up */
    uint64_t received;  /* first deliveries */
};

static void take(struct receiver *self, const zspool_message_t *message, struct bench_result *ret)
{
    int64_t stamp_ns;
    if (message->payload.len < sizeof stamp_ns || message->deliveries > 1) {
        return; /* not one of ours, or one that was counted */
    }
    memcpy(&stamp_ns, message->payload.data, sizeof stamp_ns);
    self->received++;
    if (stamp_ns < self->measure_ns) {
        return;
    }
    histogram_add(&ret->latency, (uint64_t)(bench_now_ns() - stamp_ns));
    ret->count++;
    ret->bytes += message->payload.len;
}

static int receive(struct receiver *self, const struct sender *sender, struct bench_result *ret,
                   zspool_error_t *err)
{
    int rc = 0;
    while (rc == 0 && self->received < sender->total) {
        const zspool_message_t *message;
        rc = zspool_next(self->consumer, &message, cli_timeout(), err);
        if (rc == 0) {
            take(self, message, ret);
            rc = zspool_settle(self->consumer, message, ZSPOOL_ACK, NULL, err);
        }
    }
    if (rc == ZSPOOL_ETIMEOUT) {
        (void)snprintf(err->message, sizeof err->message, "only %llu of %llu messages arrived",
                       (unsigned long long)self->received, (unsigned long long)sender->total);
    }
    return rc == 0 ? zspool_settle_flush(self->consumer, cli_timeout(), err) : rc;
}

/* --- One measurement ---------------------------------------------------------------------------- */

static int run(struct sender *sender, struct receiver *receiver, struct bench_result *ret)
{
    zspool_error_t err = {0};
    /* CPU is told of the whole run, which is the same all the time; messages of the measured part. */
    const struct bench_meter meter = bench_meter_begin(sender->bench->client);
    sender->start_ns = bench_now_ns() + 1000000;
    receiver->measure_ns = due_ns(sender, sender->warm);
    if (!bench_thread(&sender->thread, send_all, sender)) {
        cli_say("no thread to send with");
        return CLI_ERROR;
    }
    const int rc = receive(receiver, sender, ret, &err);
    const int64_t end_ns = bench_now_ns();
    bench_meter_end(&meter, ret);
    ret->elapsed_s = (double)(end_ns - receiver->measure_ns) / 1e9;
    (void)pthread_join(sender->thread, NULL); /* ours, joinable */
    if (sender->code != 0) {
        return cli_fail(&sender->err);
    }
    return rc == 0 || rc == ZSPOOL_EINTERRUPTED ? CLI_OK : cli_fail(&err);
}

static uint64_t messages_in(const struct bench *self, uint64_t ms)
{
    return self->rate * ms / 1000;
}

static int with_group(const struct bench *self, const char *group, struct bench_result *ret)
{
    zspool_error_t err = {0};
    struct receiver receiver = {0};
    const uint64_t warm = messages_in(self, self->ms < WARM_MS ? self->ms : WARM_MS);
    struct sender sender = {
        .bench = self, .warm = warm, .total = warm + messages_in(self, self->ms)};
    zspool_consumer_options_t options;
    zspool_consumer_options_init(&options);
    options.group = group;
    options.topics = &self->topic;
    options.topic_count = 1;
    int code = open_sender(&sender);
    if (code == CLI_OK) {
        receiver.consumer = zspool_consumer_new(self->client, &options, &err);
        code = receiver.consumer ? run(&sender, &receiver, ret) : cli_fail(&err);
    }
    zspool_consumer_destroy(&receiver.consumer);
    close_sender(&sender);
    return code;
}

int bench_e2e(const struct bench *self, struct bench_result *ret)
{
    zspool_error_t err = {0};
    char group[64];
    zspool_group_spec_t spec;
    bench_unique_name(group, sizeof group);
    zspool_group_spec_init(&spec, group);
    spec.topics = &self->topic;
    spec.topic_count = 1;
    spec.start = (zspool_position_t){.kind = ZSPOOL_POSITION_LATEST};
    *ret = (struct bench_result){
        .workload = "W4", .payload_bytes = self->payload_bytes, .level = self->level};
    (void)snprintf(ret->notes, sizeof ret->notes,
                   "publish at %llu a second, pull and ack, from intended send time",
                   (unsigned long long)self->rate);
    if (zspool_group_create(self->client, &spec, cli_timeout(), &err) != 0) {
        return cli_fail(&err);
    }
    const int code = with_group(self, group, ret);
    bench_delete_group(self->client, group);
    return code;
}
