/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool bench: which measurements, on which topic.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/bench/bench.h"
#include "client/cli/verbs.h"

#define PAYLOADS_MAX      8u
#define IN_FLIGHT         16u /* when nothing is told */
#define IN_FLIGHT_MAX     128u
#define MESSAGES_MAX      1000000u /* in flight */
#define BATCH_MAX         (8u << 20)
#define RATE_MAX          10000000u
#define TOPICS_MAX        10000u
#define TOPICS_A_PRODUCER 4096u /* as zspool_send() takes */
#define MEMBERS_MAX       64u
#define GROUPS_MAX        100u
#define TOPIC_NAME_BYTES  80u

struct run {
    const struct cli_verb *verb;
    struct bench bench;   /* topic and payload: of what is measured now */
    const char *topic;    /* asked for; NULL = of our own, as many as asked for */
    uint64_t topic_count; /* 0 = not told: one */
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

/* The topic that was asked for. */
static int find_topic(const struct run *self, zspool_error_t *err)
{
    if (self->consumes) {
        zspool_topic_info_t *info = NULL;
        const int rc =
            zspool_topic_info(self->bench.client, self->topic, cli_timeout(), &info, err);
        zspool_free(info);
        return rc;
    }
    zspool_topic_spec_t spec;
    zspool_topic_spec_init(&spec, self->topic);
    const int rc = zspool_topic_create(self->bench.client, &spec, cli_timeout(), err);
    return rc == ZSPOOL_EEXISTS ? 0 : rc;
}

static int with_topic_asked_for(struct run *self, measure_fn *fn)
{
    zspool_error_t err = {0};
    self->bench.topic = self->topic;
    self->bench.topics = &self->topic;
    self->bench.topic_count = 1;
    if (find_topic(self, &err) != 0) {
        return cli_fail(&err);
    }
    const int code = fn(self);
    zspool_interrupt_clear(self->bench.client);
    return code;
}

/* Topics of our own, each for one measurement. */
struct own_topics {
    char (*names)[TOPIC_NAME_BYTES];
    const char **list; /* the same */
    uint64_t count, made;
};

static bool own_topics_init(struct own_topics *self, uint64_t count)
{
    char base[TOPIC_NAME_BYTES - 8];
    *self = (struct own_topics){.names = calloc(count, sizeof *self->names),
                                .list = calloc(count, sizeof *self->list),
                                .count = count};
    bench_unique_name(base, sizeof base);
    for (uint64_t i = 0; self->names && self->list && i < count; i++) {
        (void)snprintf(self->names[i], sizeof self->names[i], "%s.%u", base, (unsigned)i);
        self->list[i] = self->names[i];
    }
    return self->names && self->list;
}

static void own_topics_fini(struct own_topics *self)
{
    free(self->list);
    free(self->names);
}

static int make_topics(struct own_topics *self, zspool_client_t *client)
{
    zspool_error_t err = {0};
    while (self->made < self->count && !cli_stopped()) {
        zspool_topic_spec_t spec;
        zspool_topic_spec_init(&spec, self->names[self->made]);
        self->made++; /* an interrupt leaves open whether it is: it counts */
        if (zspool_topic_create(client, &spec, cli_timeout(), &err) != 0) {
            return cli_fail(&err);
        }
    }
    return CLI_OK;
}

static int delete_topics(const struct own_topics *self, zspool_client_t *client)
{
    for (uint64_t i = 0; i < self->made; i++) {
        zspool_error_t err = {0};
        const int rc = zspool_topic_delete(client, self->names[i], false, cli_timeout(), &err);
        if (rc != 0 && rc != ZSPOOL_ENOT_FOUND) {
            return cli_fail(&err);
        }
    }
    return CLI_OK;
}

static int with_own_topics(struct run *self, measure_fn *fn)
{
    struct own_topics own;
    if (!own_topics_init(&own, self->topic_count > 0 ? self->topic_count : 1)) {
        own_topics_fini(&own);
        cli_say("no memory for %llu topics", (unsigned long long)self->topic_count);
        return CLI_ERROR;
    }
    self->bench.topic = own.list[0];
    self->bench.topics = own.list;
    self->bench.topic_count = own.count;
    int code = make_topics(&own, self->bench.client);
    code = code == CLI_OK && !cli_stopped() ? fn(self) : code;
    zspool_interrupt_clear(self->bench.client);
    for (uint64_t i = 0; self->keep && i < own.made; i++) {
        cli_note("topic %s is kept", own.names[i]);
    }
    const int deleted = self->keep ? CLI_OK : delete_topics(&own, self->bench.client);
    own_topics_fini(&own);
    return code == CLI_OK ? deleted : code;
}

/* Call `fn` with a topic: the one asked for, or some made for it and deleted afterwards. */
static int with_topic(struct run *self, measure_fn *fn)
{
    return self->topic ? with_topic_asked_for(self, fn) : with_own_topics(self, fn);
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

static bool is_one(const struct bench *bench)
{
    return bench->in_flight_messages > 0 ? bench->in_flight_messages == 1 : bench->in_flight == 1;
}

static int measure_pub(struct run *self)
{
    struct bench_result result;
    const int code = bench_pub(&self->bench, is_one(&self->bench), &result);
    return report(self, code, &result);
}

static int measure_fill(struct run *self)
{
    struct bench_result result;
    return report(self, bench_fill(&self->bench, &result), &result);
}

static int measure_pull(struct run *self)
{
    struct bench_result result;
    const int filled = self->topic ? CLI_OK : bench_fill(&self->bench, &result);
    return filled == CLI_OK ? report(self, bench_pull(&self->bench, &result), &result) : filled;
}

static int measure_read(struct run *self)
{
    struct bench_result result;
    const int filled = self->topic ? CLI_OK : bench_fill(&self->bench, &result);
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
    static const struct {
        const char *name;
        measure_fn *fn;
    } measures[] = {{"pub", measure_pub},
                    {"fill", measure_fill},
                    {"pull", measure_pull},
                    {"read", measure_read},
                    {"e2e", measure_e2e}};
    for (size_t i = 0; i < sizeof measures / sizeof *measures; i++) {
        if (strcmp(what, measures[i].name) == 0) {
            return for_each_payload(self, measures[i].fn);
        }
    }
    return measure_all(self);
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

/* Numbers that are out of range: 0, or the exit code of wrong usage. */
static int check_numbers(const struct run *self)
{
    const struct bench *bench = &self->bench;
    const struct {
        const char *name;
        uint64_t value, max;
    } limits[] = {{"in-flight", bench->in_flight, IN_FLIGHT_MAX},
                  {"in-flight-messages", bench->in_flight_messages, MESSAGES_MAX},
                  {"producers", bench->producers, BENCH_WORKERS_MAX},
                  {"topics", self->topic_count, TOPICS_MAX},
                  {"members", bench->members, MEMBERS_MAX},
                  {"groups", bench->groups, GROUPS_MAX},
                  {"rate", bench->rate, RATE_MAX},
                  {"seconds", (bench->ms + 999) / 1000, 86400}};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        if (limits[i].value > limits[i].max) {
            return cli_usage(self->verb, "--%s is at most %llu", limits[i].name,
                             (unsigned long long)limits[i].max);
        }
    }
    if (bench->members * bench->groups > BENCH_WORKERS_MAX) {
        return cli_usage(self->verb, "members of all groups are at most %u", BENCH_WORKERS_MAX);
    }
    if (bench->batch_bytes == 0 || bench->batch_bytes > BATCH_MAX) {
        return cli_usage(self->verb, "--batch is 1 byte to 8MiB");
    }
    return 0;
}

/* Options that do not go together: 0, or the exit code of wrong usage. */
static int check_together(const struct run *self, const char *what)
{
    const struct bench *bench = &self->bench;
    if (bench->in_flight_messages > 0 && bench->in_flight > 0) {
        return cli_usage(self->verb, "--in-flight counts batches, --in-flight-messages messages: "
                                     "one of them");
    }
    if (self->topic && self->topic_count > 0) {
        return cli_usage(self->verb, "--topics are made for the measurement: not with --topic");
    }
    if (self->topic_count > TOPICS_A_PRODUCER * bench->producers) {
        return cli_usage(self->verb, "a producer writes to at most %u topics: more --producers",
                         TOPICS_A_PRODUCER);
    }
    if (strcmp(what, "all") == 0 && self->topic) {
        return cli_usage(self->verb,
                         "bench all makes topics of its own: --topic is for the others");
    }
    if (strcmp(what, "fill") == 0 && (!self->topic || bench->fill_bytes == 0)) {
        return cli_usage(self->verb, "fill wants --topic and --bytes");
    }
    if (strcmp(what, "fill") != 0 && self->topic && bench->fill_bytes > 0) {
        return cli_usage(self->verb, "--bytes are of a backlog to make: not with --topic");
    }
    return 0;
}

static int check_actions(const struct run *self, const char *what)
{
    static const char *const actions[] = {"pub", "pull", "read", "e2e", "fill", "all"};
    const struct cli_action_flag flags[] = {
        {"in-flight-messages", self->bench.in_flight_messages > 0, "pub"},
        {"topics", self->topic_count > 0, "pub"},
        {"members", self->bench.members > 0, "pull"},
        {"groups", self->bench.groups > 0, "pull"},
        {"start", self->bench.start.kind != ZSPOOL_POSITION_NONE, "pull"},
        {"bytes", self->bench.fill_bytes > 0, "fill pull read"},
    };
    const int rc = cli_check_action(self->verb, what, actions, sizeof actions / sizeof *actions);
    return rc != 0 ? rc : cli_check_flags(self->verb, what, flags, sizeof flags / sizeof *flags);
}

static int check_payloads(struct run *self, const char *what)
{
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
    return 0;
}

/* 0, or the exit code of wrong usage. */
static int check(struct run *self, const char *what)
{
    int rc = check_actions(self, what);
    rc = rc == 0 ? check_payloads(self, what) : rc;
    rc = rc == 0 ? check_numbers(self) : rc;
    return rc == 0 ? check_together(self, what) : rc;
}

/* What was not told. */
static void complete(struct bench *bench)
{
    if (bench->in_flight_messages > 0) {
        bench->in_flight = IN_FLIGHT_MAX; /* batches do not count */
    } else if (bench->in_flight == 0) {
        bench->in_flight = IN_FLIGHT;
    }
    bench->members = bench->members > 0 ? bench->members : 1;
    bench->groups = bench->groups > 0 ? bench->groups : 1;
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
    struct run self = {
        .verb = verb,
        .bench = {.ms = 5000, .producers = 1, .batch_bytes = 256 * 1024, .rate = 10000}};
    const struct cli_option table[] = {
        {0, "payload", CLI_TEXT, "BYTES,...", "of a message (100; all: 100,1KiB,16KiB)",
         &self.payloads},
        {0, "seconds", CLI_SECONDS, "S", "how long each measurement takes, also 0.25 (5)",
         &self.bench.ms},
        {0, "in-flight", CLI_COUNT, "N", "batches unconfirmed, per producer (16)",
         &self.bench.in_flight},
        {0, "in-flight-messages", CLI_COUNT, "N", "pub: instead, messages unconfirmed",
         &self.bench.in_flight_messages},
        {0, "producers", CLI_COUNT, "N", "each with a thread and a connection (1)",
         &self.bench.producers},
        {0, "topics", CLI_COUNT, "N", "pub: to so many in turn, as much in flight in all (1)",
         &self.topic_count},
        {0, "members", CLI_COUNT, "N", "pull: of a group, each with thread and connection (1)",
         &self.bench.members},
        {0, "groups", CLI_COUNT, "N", "pull: each gets everything (1)", &self.bench.groups},
        {0, "start", CLI_POSITION, "POSITION", "pull: where the groups begin (earliest)",
         &self.bench.start},
        {0, "bytes", CLI_BYTES, "BYTES", "fill, pull, read: of the backlog to make",
         &self.bench.fill_bytes},
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
    complete(&self.bench);
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
    .synopsis = "pub|pull|read|e2e|fill|all [OPTION]...",
    .summary = "measure throughput and latency of a broker on this machine",
    .details = "pub   publish (W1); with --in-flight 1 each when the last is confirmed (W2)\n"
               "pull  take a backlog through a group and ack all of it (W3)\n"
               "read  read a backlog (W5)\n"
               "e2e   publish at a fixed rate, pull and ack (W4): latency counts from when\n"
               "      a message was to be sent; at a low --rate each finds an idle topic\n"
               "fill  publish --bytes of payload to --topic: a backlog to read later\n"
               "all   publish at both levels in both ways, pull, read; e2e of the first size\n"
               "What was confirmed, received or durably acked counts, but for a warm-up. MiB/s\n"
               "are of payload, latencies in us, CPU in percent of one core (broker, client).\n"
               "Topics are made for each size and deleted in the end. A line of --json, as in\n"
               "other comparisons: system, version, workload, payload_bytes, count, msgs_per_s,\n"
               "mib_per_s, p50_us, p99_us, p999_us, durability, notes, elapsed_s,\n"
               "server_cpu_pct, client_cpu_pct; null is what does not apply.\n",
    .example = "  zspool bench all\n"
               "  zspool bench pub --payload 1KiB --producers 4 --topics 100 --json\n",
    .args_min = 1,
    .args_max = 1,
    .run_fn = run,
};
