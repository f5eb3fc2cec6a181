/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool bench: which measurements, on which topic.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/bench.h"
#include "client/cli/verbs.h"

#define PAYLOADS_MAX  8u
#define IN_FLIGHT_MAX 128u
#define BATCH_MAX     (8u << 20)
#define RATE_MAX      10000000u

struct run {
    const struct cli_verb *verb;
    struct bench bench;   /* topic and payload: of what is measured now */
    const char *topic;    /* asked for; NULL = one of our own */
    char own_topic[64];   /* the name of that */
    const char *payloads; /* as given */
    uint64_t payload[PAYLOADS_MAX];
    size_t payload_count;
    bool written, keep;
    bool consumes;   /* the topic asked for is to be there, with something in it */
    char broker[64]; /* its version */
    bool reported;   /* a result was printed */
};

/* One measurement on a topic that is there: an exit code. */
typedef int measure_fn(struct run *self);

static int report(struct run *self, int code, const struct bench_result *result)
{
    if (code != CLI_OK || cli_stopped()) {
        return code; /* half a measurement is none */
    }
    bench_report(result, self->broker, !self->reported);
    self->reported = true;
    return cli_flush() ? CLI_OK : CLI_ERROR;
}

/* --- Topics --------------------------------------------------------------------------------- */

static int make_topic(const struct run *self, zspool_error_t *err)
{
    zspool_topic_spec_t spec;
    if (self->topic && self->consumes) {
        zspool_topic_info_t *info = NULL;
        const int rc =
            zspool_topic_info(self->bench.client, self->topic, cli_timeout(), &info, err);
        zspool_free(info);
        return rc;
    }
    zspool_topic_spec_init(&spec, self->bench.topic);
    const int rc = zspool_topic_create(self->bench.client, &spec, cli_timeout(), err);
    return self->topic && rc == ZSPOOL_EEXISTS ? 0 : rc;
}

/* Call `fn` with a topic: the one asked for, or one made for it and deleted afterwards. */
static int with_topic(struct run *self, measure_fn *fn)
{
    zspool_error_t err = {0};
    bench_unique_name(self->own_topic, sizeof self->own_topic);
    self->bench.topic = self->topic ? self->topic : self->own_topic;
    if (make_topic(self, &err) != 0) {
        return cli_fail(&err);
    }
    int code = fn(self);
    zspool_interrupt_clear(self->bench.client);
    if (self->topic) {
        return code;
    }
    if (self->keep) {
        cli_note("topic %s is kept", self->own_topic);
    } else if (zspool_topic_delete(self->bench.client, self->own_topic, false, cli_timeout(),
                                   &err) != 0) {
        const int failed = cli_fail(&err);
        code = code == CLI_OK ? failed : code;
    }
    return code;
}

static int for_each_payload(struct run *self, measure_fn *fn)
{
    int code = CLI_OK;
    for (size_t i = 0; i < self->payload_count && code == CLI_OK && !cli_stopped(); i++) {
        self->bench.payload_bytes = self->payload[i];
        code = with_topic(self, fn);
    }
    return code;
}

/* --- Measurements ------------------------------------------------------------------------------ */

static int measure_pub(struct run *self)
{
    struct bench_result result;
    const int code = bench_pub(&self->bench, self->bench.in_flight == 1, &result);
    return report(self, code, &result);
}

static int measure_pull(struct run *self)
{
    struct bench_result result;
    const int filled = self->topic ? CLI_OK : bench_fill(&self->bench);
    return filled == CLI_OK ? report(self, bench_pull(&self->bench, &result), &result) : filled;
}

static int measure_read(struct run *self)
{
    struct bench_result result;
    const int filled = self->topic ? CLI_OK : bench_fill(&self->bench);
    return filled == CLI_OK ? report(self, bench_read(&self->bench, &result), &result) : filled;
}

static int measure_e2e(struct run *self)
{
    struct bench_result result;
    return report(self, bench_e2e(&self->bench, &result), &result);
}

static int measure_level(struct run *self, zspool_level_t level, bool one)
{
    struct bench_result result;
    self->bench.level = level;
    return report(self, bench_pub(&self->bench, one, &result), &result);
}

static int publish_both_levels(struct run *self)
{
    int code = measure_level(self, ZSPOOL_SYNCED, true);
    code = code == CLI_OK ? measure_level(self, ZSPOOL_WRITTEN, true) : code;
    return code == CLI_OK ? measure_level(self, ZSPOOL_WRITTEN, false) : code;
}

/* Publish, and consume what that left behind. */
static int publish_and_consume(struct run *self)
{
    struct bench_result result;
    int code = measure_level(self, ZSPOOL_SYNCED, false);
    code = code == CLI_OK ? report(self, bench_pull(&self->bench, &result), &result) : code;
    return code == CLI_OK ? report(self, bench_read(&self->bench, &result), &result) : code;
}

static int measure_all(struct run *self)
{
    int code = CLI_OK;
    for (size_t i = 0; i < self->payload_count && code == CLI_OK && !cli_stopped(); i++) {
        self->bench.payload_bytes = self->payload[i];
        code = with_topic(self, publish_both_levels);
        code = code == CLI_OK ? with_topic(self, publish_and_consume) : code;
    }
    self->bench.payload_bytes = self->payload[0];
    self->bench.level = ZSPOOL_SYNCED;
    return code == CLI_OK && !cli_stopped() ? with_topic(self, measure_e2e) : code;
}

static int measure(struct run *self, const char *what)
{
    if (strcmp(what, "pub") == 0) {
        return for_each_payload(self, measure_pub);
    }
    if (strcmp(what, "pull") == 0) {
        return for_each_payload(self, measure_pull);
    }
    if (strcmp(what, "read") == 0) {
        return for_each_payload(self, measure_read);
    }
    if (strcmp(what, "e2e") == 0) {
        return for_each_payload(self, measure_e2e);
    }
    if (strcmp(what, "all") == 0) {
        return measure_all(self);
    }
    return cli_usage(self->verb, "there is no \"bench %s\"", what);
}

/* --- The run ------------------------------------------------------------------------------------- */

/* "100,1KiB,16KiB" */
static bool read_payloads(struct run *self)
{
    char text[160];
    char *rest = text;
    if (strlen(self->payloads) >= sizeof text) {
        return false;
    }
    memcpy(text, self->payloads, strlen(self->payloads) + 1);
    while (rest) {
        char *comma = strchr(rest, ',');
        uint64_t bytes;
        if (comma) {
            *comma = '\0';
        }
        if (self->payload_count == PAYLOADS_MAX || !cli_read_bytes(rest, &bytes) ||
            bytes > BENCH_PAYLOAD_MAX) {
            return false;
        }
        self->payload[self->payload_count++] = bytes;
        rest = comma ? comma + 1 : NULL;
    }
    return true;
}

static bool sends_stamps(const char *what)
{
    return strcmp(what, "e2e") == 0 || strcmp(what, "all") == 0;
}

/* 0, or the exit code of wrong usage. */
static int check(struct run *self, const char *what)
{
    const struct bench *bench = &self->bench;
    self->payloads = self->payloads             ? self->payloads
                     : strcmp(what, "all") == 0 ? "100,1KiB,16KiB"
                                                : "100";
    if (!read_payloads(self)) {
        return cli_usage(self->verb, "--payload: \"%s\" is not 1 to %u sizes of up to %llu bytes",
                         self->payloads, PAYLOADS_MAX, (unsigned long long)BENCH_PAYLOAD_MAX);
    }
    for (size_t i = 0; i < self->payload_count && sends_stamps(what); i++) {
        if (self->payload[i] < BENCH_STAMP_BYTES) {
            return cli_usage(self->verb, "--payload: %s carries the time: at least %u bytes", what,
                             BENCH_STAMP_BYTES);
        }
    }
    if (bench->in_flight > IN_FLIGHT_MAX || bench->producers > BENCH_PRODUCERS_MAX) {
        return cli_usage(self->verb, "--in-flight is at most %u, --producers at most %u",
                         IN_FLIGHT_MAX, BENCH_PRODUCERS_MAX);
    }
    if (bench->batch_bytes == 0 || bench->batch_bytes > BATCH_MAX) {
        return cli_usage(self->verb, "--batch is 1 byte to 8MiB");
    }
    if (bench->rate > RATE_MAX || bench->seconds > 86400) {
        return cli_usage(self->verb, "--rate is at most %u, --seconds at most 86400", RATE_MAX);
    }
    if (strcmp(what, "all") == 0 && self->topic) {
        return cli_usage(self->verb,
                         "bench all makes topics of its own: --topic is for the others");
    }
    return 0;
}

static int connect_and_measure(struct run *self, const char *what)
{
    zspool_error_t err = {0};
    zspool_info_t info;
    zspool_info_init(&info);
    if (zspool_connect(self->bench.client, cli_timeout(), &info, &err) != 0) {
        return cli_fail(&err);
    }
    (void)snprintf(self->broker, sizeof self->broker, "%s", info.broker);
    self->consumes = strcmp(what, "pull") == 0 || strcmp(what, "read") == 0;
    const int code = measure(self, what);
    return code == CLI_OK && cli_stopped() ? CLI_ERROR : code;
}

static int run(const struct cli_verb *verb, int argc, char **argv)
{
    struct run self = {.verb = verb,
                       .bench = {.seconds = 5,
                                 .in_flight = 16,
                                 .producers = 1,
                                 .batch_bytes = 256 * 1024,
                                 .rate = 10000}};
    const struct cli_option table[] = {
        {0, "payload", CLI_TEXT, "BYTES[,...]", "of a message (100; all: 100,1KiB,16KiB)",
         &self.payloads},
        {0, "seconds", CLI_COUNT, "S", "how long each measurement takes (5)", &self.bench.seconds},
        {0, "in-flight", CLI_COUNT, "N", "batches unconfirmed, per producer (16)",
         &self.bench.in_flight},
        {0, "producers", CLI_COUNT, "N", "each with a thread and a connection (1)",
         &self.bench.producers},
        {0, "batch", CLI_BYTES, "BYTES", "size of a batch (256KiB)", &self.bench.batch_bytes},
        {0, "rate", CLI_COUNT, "N", "e2e: messages a second (10000)", &self.bench.rate},
        {0, "written", CLI_FLAG, NULL, "pub, e2e: confirm before the disk has it", &self.written},
        {0, "topic", CLI_TEXT, "TOPIC", "use this one; pull, read: what is in it", &self.topic},
        {0, "keep", CLI_FLAG, NULL, "do not delete the topics made", &self.keep},
        {0, NULL, CLI_FLAG, NULL, NULL, NULL},
    };
    struct cli_args args;
    const int rc = cli_parse(verb, table, argc, argv, &args);
    if (rc != 0) {
        return cli_parsed_exit(rc);
    }
    const int wrong = check(&self, args.items[0]);
    if (wrong != 0) {
        return wrong;
    }
    self.bench.level = self.written ? ZSPOOL_WRITTEN : ZSPOOL_SYNCED;
    self.bench.client = cli_client("zspool-bench");
    if (!self.bench.client) {
        return CLI_USAGE;
    }
    const int code = connect_and_measure(&self, args.items[0]);
    cli_client_destroy(&self.bench.client);
    return code;
}

const struct cli_verb cli_bench = {
    .name = "bench",
    .synopsis = "pub|pull|read|e2e|all [OPTION]...",
    .summary = "measure throughput and latency of a broker on this machine",
    .details = "pub   publish (W1); with --in-flight 1 each when the last is confirmed (W2)\n"
               "pull  take a backlog through a group and ack all of it (W3)\n"
               "read  read a backlog (W5)\n"
               "e2e   publish at a fixed rate, pull and ack (W4): latency counts from when\n"
               "      a message was to be sent; at a low --rate each finds an idle topic\n"
               "all   publish at both levels in both ways, pull, read; e2e of the first size\n"
               "Only what was confirmed, received or durably acked counts. MiB/s are of\n"
               "payload, latencies in us, CPU in percent of one core (broker, client). What\n"
               "was published to warm up is not counted. A topic is made for each size and\n"
               "deleted in the end. --json prints a line a result, as in other comparisons:\n"
               "system, version, workload, payload_bytes, count, msgs_per_s, mib_per_s,\n"
               "p50_us, p99_us, p999_us, durability, notes, elapsed_s, server_cpu_pct,\n"
               "client_cpu_pct; null is what does not apply.\n",
    .example = "  zspool bench all\n"
               "  zspool bench pub --payload 1KiB --producers 4 --written --json\n"
               "  zspool bench e2e --rate 100 --seconds 10\n",
    .args_min = 1,
    .args_max = 1,
    .run_fn = run,
};
