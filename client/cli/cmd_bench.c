/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool bench: throughput of publishing and of pulling with acks, through the
 * library as any program uses it. What is counted is what was confirmed, over the whole time from
 * the first send to the last confirm.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/cli/json.h"
#include "client/cli/verbs.h"

#define PRODUCERS_MAX 64u
#define PAYLOAD_MAX   ((uint64_t)ZSPOOL_MESSAGE_BYTES_MAX - 64u)

struct bench {
    const struct cli_verb *verb;
    const char *topic;
    uint64_t payload, seconds, in_flight, producers, batch;
    bool written;
};

/* One producer on a thread and a connection of its own. */
struct bench_producer {
    const struct bench *bench;
    pthread_t thread;
    zspool_client_t *client;
    zspool_producer_t *producer;
    uint64_t sent;
    bool failed;
    zspool_error_t err;
};

static double now_s(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail */
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void print_result(const struct bench *self, const char *name, uint64_t messages,
                         uint64_t bytes, double seconds)
{
    const double rate = seconds > 0 ? (double)messages / seconds : 0;
    const double mib = seconds > 0 ? (double)bytes / seconds / (1024 * 1024) : 0;
    if (!cli_common.json) {
        printf("%s: %llu messages in %.2f s: %.0f messages/s, %.1f MiB/s\n", name,
               (unsigned long long)messages, seconds, rate, mib);
        return;
    }
    struct json json = json_begin();
    json_text(&json, "bench", name);
    json_text(&json, "topic", self->topic);
    if (strcmp(name, "pub") == 0) {
        json_text(&json, "level", self->written ? "written" : "synced");
        json_uint(&json, "payload_bytes", self->payload);
        json_uint(&json, "producers", self->producers);
        json_uint(&json, "in_flight", self->in_flight);
        json_uint(&json, "batch_bytes", self->batch);
    }
    json_uint(&json, "messages", messages);
    json_uint(&json, "payload_bytes_in_all", bytes);
    json_real(&json, "seconds", seconds, 3);
    json_real(&json, "messages_per_s", rate, 0);
    json_real(&json, "mib_per_s", mib, 2);
    json_end(&json);
}

/* --- pub --------------------------------------------------------------------------- */

/* Bytes that do not compress, the same in every run. */
static void fill(uint8_t *bytes, size_t len)
{
    uint64_t state = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < len; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes[i] = (uint8_t)state;
    }
}

static void send_for(struct bench_producer *self, const uint8_t *payload, double end_s)
{
    const struct bench *bench = self->bench;
    const zspool_out_t out = zspool_out(bench->topic, payload, (size_t)bench->payload);
    /* The clock is looked at now and then: it would cost as much as a small message. */
    for (uint64_t i = 0; i % 256 != 0 || (now_s() < end_s && !cli_stopped()); i++) {
        int rc;
        while ((rc = zspool_send(self->producer, &out, NULL, &self->err)) == ZSPOOL_EAGAIN) {
            rc = zspool_room(self->producer, (size_t)bench->payload, cli_timeout(), &self->err);
            if (rc != 0) {
                break;
            }
        }
        if (rc != 0) {
            self->failed = rc != ZSPOOL_EINTERRUPTED;
            return;
        }
        self->sent++;
    }
}

static void *produce(void *arg)
{
    struct bench_producer *self = arg;
    uint8_t *payload = malloc((size_t)self->bench->payload + 1);
    if (!payload) {
        self->failed = true;
        self->err.code = ZSPOOL_ENOMEM;
        (void)snprintf(self->err.message, sizeof self->err.message, "no memory");
        return NULL;
    }
    fill(payload, (size_t)self->bench->payload);
    send_for(self, payload, now_s() + (double)self->bench->seconds);
    if (!self->failed && zspool_flush(self->producer, cli_timeout(), &self->err) != 0) {
        self->failed = true;
    }
    free(payload);
    return NULL;
}

/* The first client is made with the signal handlers, and has them interrupt it. */
static bool open_producer(struct bench_producer *self, bool first)
{
    const struct bench *bench = self->bench;
    zspool_producer_options_t options;
    zspool_producer_options_init(&options);
    options.level = bench->written ? ZSPOOL_WRITTEN : ZSPOOL_SYNCED;
    options.max_in_flight = (uint32_t)bench->in_flight;
    options.batch_bytes = (size_t)bench->batch;
    options.max_bytes = (size_t)((bench->batch + bench->payload + 64) * (bench->in_flight + 4));
    self->client =
        first ? cli_client("zspool-bench") : zspool_new(cli_common.server, NULL, &self->err);
    if (self->client && zspool_connect(self->client, cli_timeout(), NULL, &self->err) == 0) {
        self->producer = zspool_producer_new(self->client, &options, &self->err);
    }
    self->failed = !self->producer;
    return self->producer != NULL;
}

static int bench_pub(const struct bench *bench)
{
    struct bench_producer *producers = calloc(bench->producers, sizeof *producers);
    if (!producers) {
        cli_say("no memory");
        return CLI_ERROR;
    }
    size_t opened = 0;
    bool ok = true;
    for (size_t i = 0; i < bench->producers && ok; i++) {
        producers[i].bench = bench;
        ok = open_producer(&producers[i], i == 0);
        opened++;
    }
    const double start_s = now_s();
    size_t started = 0;
    while (ok && started < opened) {
        ok = pthread_create(&producers[started].thread, NULL, produce, &producers[started]) == 0;
        started += ok ? 1 : 0;
    }
    uint64_t messages = 0;
    for (size_t i = 0; i < started; i++) {
        (void)pthread_join(producers[i].thread, NULL); /* ours, joinable */
        messages += producers[i].sent;
    }
    const double seconds = now_s() - start_s;
    int code = ok ? CLI_OK : CLI_ERROR;
    for (size_t i = 0; i < opened; i++) {
        if (producers[i].failed) {
            code = cli_fail(&producers[i].err);
        }
        zspool_producer_destroy(&producers[i].producer);
    }
    for (size_t i = opened; i-- > 0;) {
        cli_client_destroy(&producers[i].client);
    }
    free(producers);
    if (code == CLI_OK) {
        print_result(bench, "pub", messages, messages * bench->payload, seconds);
    }
    return code;
}

/* --- pull ---------------------------------------------------------------------------- */

struct pulled {
    uint64_t messages, bytes;
};

static int pull_for(zspool_consumer_t *consumer, double end_s, struct pulled *ret,
                    zspool_error_t *err)
{
    const zspool_message_t *message;
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && (i % 256 != 0 || now_s() < end_s); i++) {
        rc = zspool_next(consumer, &message, cli_timeout(), err);
        if (rc == 0) {
            ret->messages++;
            ret->bytes += message->payload.len;
            rc = zspool_settle(consumer, message, ZSPOOL_ACK, NULL, err);
        }
    }
    if (rc != 0 && rc != ZSPOOL_END && rc != ZSPOOL_EINTERRUPTED) {
        return rc;
    }
    return zspool_settle_flush(consumer, cli_timeout(), err);
}

static int bench_pull(const struct bench *bench)
{
    zspool_error_t err = {0};
    char group[64];
    const struct timespec zero = {0};
    struct timespec now = zero;
    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
    (void)snprintf(group, sizeof group, "bench-%ld-%lld-%ld", (long)getpid(), (long long)now.tv_sec,
                   now.tv_nsec);
    zspool_client_t *client = cli_client("zspool-bench");
    if (!client) {
        return CLI_USAGE;
    }
    zspool_topic_info_t *info = NULL;
    int rc = zspool_topic_info(client, bench->topic, cli_timeout(), &info, &err);
    zspool_free(info);
    zspool_consumer_t *consumer = NULL;
    struct pulled pulled = {0};
    double seconds = 0;
    if (rc == 0) {
        zspool_consumer_options_t options;
        zspool_consumer_options_init(&options);
        options.group = group;
        options.topics = &bench->topic;
        options.topic_count = 1;
        options.prefetch_messages = 100000;
        options.prefetch_bytes = (size_t)bench->batch * 16 < ((size_t)16 << 20)
                                     ? (size_t)bench->batch * 16
                                     : (size_t)16 << 20;
        options.end_when_empty = true;
        const double start_s = now_s();
        consumer = zspool_consumer_new(client, &options, &err);
        rc = consumer ? pull_for(consumer, start_s + (double)bench->seconds, &pulled, &err)
                      : err.code;
        seconds = now_s() - start_s;
    }
    zspool_consumer_destroy(&consumer);
    if (seconds > 0) {
        (void)zspool_group_delete(client, group, false, cli_timeout(), NULL); /* a courtesy */
    }
    cli_client_destroy(&client);
    if (rc != 0) {
        return cli_fail(&err);
    }
    if (pulled.messages == 0) {
        cli_say("topic %s is empty: run zspool bench pub first", bench->topic);
        return CLI_TIMEOUT;
    }
    print_result(bench, "pull", pulled.messages, pulled.bytes, seconds);
    return CLI_OK;
}

/* --- The run ----------------------------------------------------------------------------- */

static int check(const struct bench *self)
{
    if (self->payload > PAYLOAD_MAX) {
        return cli_usage(self->verb, "--payload is at most %llu", (unsigned long long)PAYLOAD_MAX);
    }
    if (self->in_flight > 128 || self->producers > PRODUCERS_MAX) {
        return cli_usage(self->verb, "--in-flight is at most 128, --producers at most %u",
                         PRODUCERS_MAX);
    }
    if (self->batch == 0 || self->batch > (8u << 20)) {
        return cli_usage(self->verb, "--batch is 1 byte to 8MiB");
    }
    return 0;
}

static int run(const struct cli_verb *verb, int argc, char **argv)
{
    struct bench self = {.verb = verb,
                         .topic = "bench",
                         .payload = 100,
                         .seconds = 5,
                         .in_flight = 16,
                         .producers = 1,
                         .batch = 256 * 1024};
    const struct cli_option table[] = {
        {0, "topic", CLI_TEXT, "TOPIC", "the topic used (bench); it stays afterwards", &self.topic},
        {0, "payload", CLI_BYTES, "BYTES", "pub: of each message (100)", &self.payload},
        {0, "seconds", CLI_COUNT, "S", "how long (5)", &self.seconds},
        {0, "in-flight", CLI_COUNT, "N", "pub: batches unconfirmed, per producer (16)",
         &self.in_flight},
        {0, "producers", CLI_COUNT, "N", "pub: producers, each with a connection (1)",
         &self.producers},
        {0, "batch", CLI_BYTES, "BYTES", "size of a batch (256KiB)", &self.batch},
        {0, "written", CLI_FLAG, NULL, "pub: confirm before the disk has it", &self.written},
        {0, NULL, CLI_FLAG, NULL, NULL, NULL},
    };
    struct cli_args args;
    const int rc = cli_parse(verb, table, argc, argv, &args);
    if (rc != 0) {
        return cli_parsed_exit(rc);
    }
    const int wrong = check(&self);
    if (wrong != 0) {
        return wrong;
    }
    if (strcmp(args.items[0], "pub") == 0) {
        return bench_pub(&self);
    }
    if (strcmp(args.items[0], "pull") == 0) {
        return bench_pull(&self);
    }
    return cli_usage(verb, "there is no \"bench %s\"", args.items[0]);
}

const struct cli_verb cli_bench = {
    .name = "bench",
    .synopsis = "pub|pull [OPTION]...",
    .summary = "measure throughput of publishing, or of pulling with acks",
    .details = "Counts what was confirmed, from the first send to the last confirm. MiB/s are\n"
               "of payload. pull takes what is in the topic, with a group of its own, until\n"
               "it is empty or the time is over.\n",
    .example = "  zspool bench pub --payload 1KiB --seconds 10 --json\n",
    .args_min = 1,
    .args_max = 1,
    .run_fn = run,
};
