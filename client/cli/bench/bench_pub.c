/* SPDX-License-Identifier: MPL-2.0
 *
 * W1 and W2, and making a backlog: producers with a thread and a connection each.
 *
 *   warm up, all confirmed -> the start -> send until the time is over or all is sent
 *   -> wait for every confirm
 *
 * A latency is that of a confirm: from when the library took the message to when its
 * report was there. When pipelined, some messages are sampled.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/bench/bench.h"

#define WARM_NS           500000000           /* at most, before anything is measured */
#define BYTES_MAX         ((uint64_t)3 << 30) /* of payload, in one measurement */
#define FILL_BYTES_MAX    ((uint64_t)1 << 30) /* of a backlog whose size nobody told */
#define LOOK_EVERY        64u                 /* messages between two looks at the clock */
#define SAMPLES_IN_FLIGHT 256u  /* about; the clock costs as much as a small message */
#define SAMPLES_OPEN_MAX  1024u /* sampled and unconfirmed: small records make it more */
#define ENCODED_EXTRA     64u   /* of a record, beyond its payload */
#define REPORTS           64

struct plan {
    bool one;           /* W2 */
    bool warm;          /* up, before */
    uint64_t bytes_max; /* of payload, of all producers */
    int64_t ns;         /* how long */
};

/* A message whose latency is measured. */
struct sample {
    uint64_t ticket;
    int64_t sent_ns;
};

struct bench_producer {
    struct bench_worker worker;
    zspool_producer_t *producer;
    uint8_t *payload;
    uint64_t topic;  /* the next one's index */
    uint64_t open;   /* messages unconfirmed; not kept in W2 */
    uint64_t step;   /* every so many tickets one is sampled */
    int failed_code; /* 0, or what became of a message: in the worker's err */
    struct sample samples[SAMPLES_OPEN_MAX];
};

static struct bench_producer *producer_of(struct bench_worker *worker)
{
    return (struct bench_producer *)(void *)worker; /* its first member */
}

/* --- Confirms ---------------------------------------------------------------------------- */

static void note_report(struct bench_producer *self, const zspool_report_t *report, int64_t now_ns)
{
    self->open -= report->count;
    if (report->status != 0) {
        self->failed_code = report->status;
        self->worker.err.code = report->status;
        (void)snprintf(self->worker.err.message, sizeof self->worker.err.message,
                       "a message was not kept: %s", zspool_strerror(report->status));
        return;
    }
    self->worker.count += report->count;
    const uint64_t end = report->first_ticket + report->count;
    for (uint64_t ticket = (report->first_ticket + self->step - 1) / self->step * self->step;
         ticket < end; ticket += self->step) {
        const struct sample *sample = &self->samples[ticket / self->step % SAMPLES_OPEN_MAX];
        if (sample->ticket == ticket) {
            histogram_add(&self->worker.latency, (uint64_t)(now_ns - sample->sent_ns));
        }
    }
}

static void take_reports(struct bench_producer *self)
{
    zspool_report_t reports[REPORTS];
    int count;
    do {
        count = zspool_reports(self->producer, reports, REPORTS);
        const int64_t now_ns = bench_now_ns();
        for (int i = 0; i < count; i++) {
            note_report(self, &reports[i], now_ns);
        }
    } while (count == REPORTS);
}

/* Wait until at most `most` messages are unconfirmed. */
static int wait_confirms(struct bench_producer *self, uint64_t most)
{
    while (self->open > most && self->failed_code == 0) {
        const int count = zspool_dispatch(self->worker.client, cli_timeout());
        if (count <= 0) {
            self->worker.err.code = count == 0 ? ZSPOOL_ETIMEOUT : count;
            (void)snprintf(self->worker.err.message, sizeof self->worker.err.message,
                           "waiting for a confirm: %s", zspool_strerror(self->worker.err.code));
            return self->worker.err.code;
        }
        take_reports(self);
    }
    return self->failed_code;
}

/* --- Sending ------------------------------------------------------------------------------ */

/* The next topic of this producer: its share of them in turn, or the one that it shares. */
static const char *next_topic(struct bench_producer *self)
{
    const struct bench *bench = self->worker.bench;
    const char *topic = bench->topics[self->topic];
    self->topic += bench->producers;
    if (self->topic >= bench->topic_count) {
        self->topic = self->worker.index % bench->topic_count;
    }
    return topic;
}

static uint64_t topics_of_one(const struct bench *bench)
{
    return (bench->topic_count + bench->producers - 1) / bench->producers;
}

static int send_one(struct bench_producer *self)
{
    const uint64_t len = self->worker.bench->payload_bytes;
    const zspool_out_t out = zspool_out(next_topic(self), self->payload, (size_t)len);
    zspool_error_t *err = &self->worker.err;
    uint64_t ticket = 0;
    int rc;
    while ((rc = zspool_send(self->producer, &out, &ticket, err)) == ZSPOOL_EAGAIN) {
        take_reports(self);
        rc = zspool_room(self->producer, out.payload.len, cli_timeout(), err);
        if (rc != 0) {
            return rc;
        }
    }
    if (rc != 0) {
        return rc;
    }
    self->open++;
    if (ticket % self->step == 0) {
        self->samples[ticket / self->step % SAMPLES_OPEN_MAX] =
            (struct sample){ticket, bench_now_ns()};
    }
    return 0;
}

static int send_pipelined(struct bench_producer *self, int64_t end_ns, uint64_t least,
                          uint64_t most)
{
    const uint64_t in_flight = self->worker.bench->in_flight_messages;
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && self->failed_code == 0 && i < most; i++) {
        if (i % LOOK_EVERY == 0) {
            take_reports(self);
            if ((i >= least && bench_now_ns() >= end_ns) || cli_stopped()) {
                break;
            }
        }
        rc = in_flight > 0 ? wait_confirms(self, in_flight - 1) : 0;
        rc = rc == 0 ? send_one(self) : rc;
    }
    return rc == 0 ? wait_confirms(self, 0) : rc;
}

static int send_one_by_one(struct bench_producer *self, int64_t end_ns, uint64_t least)
{
    const uint64_t len = self->worker.bench->payload_bytes;
    zspool_error_t *err = &self->worker.err;
    int rc = 0;
    int64_t now_ns = bench_now_ns();
    for (uint64_t i = 0; rc == 0 && (i < least || now_ns < end_ns) && !cli_stopped(); i++) {
        const zspool_out_t out = zspool_out(next_topic(self), self->payload, (size_t)len);
        uint64_t ticket;
        rc = zspool_send(self->producer, &out, &ticket, err);
        if (rc == 0) {
            rc = zspool_wait(self->producer, ticket, cli_timeout(), NULL, err);
        }
        const int64_t sent_ns = now_ns;
        now_ns = bench_now_ns();
        if (rc == 0) {
            self->worker.count++;
            histogram_add(&self->worker.latency, (uint64_t)(now_ns - sent_ns));
        }
    }
    return rc;
}

/* At least `least` messages. */
static int send_for(struct bench_producer *self, int64_t ns, uint64_t least)
{
    const struct bench *bench = self->worker.bench;
    const struct plan *plan = self->worker.job->plan;
    const int64_t now_ns = bench_now_ns();
    const int64_t end_ns = ns < INT64_MAX - now_ns ? now_ns + ns : INT64_MAX;
    const uint64_t len = bench->payload_bytes > 0 ? bench->payload_bytes : 1;
    const uint64_t most = (plan->bytes_max / bench->producers + len - 1) / len;
    return plan->one ? send_one_by_one(self, end_ns, least)
                     : send_pipelined(self, end_ns, least, most);
}

/* --- A producer's life ---------------------------------------------------------------------- */

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
    return b == 0 ? a : common_divisor(b, a % b);
}

/* So many messages, about, may be unconfirmed. */
static uint64_t messages_in_flight(const struct bench *bench)
{
    const uint64_t a_batch = bench->batch_bytes / (bench->payload_bytes + 1);
    return bench->in_flight_messages > 0 ? bench->in_flight_messages
                                         : (a_batch > 0 ? a_batch : 1) * (bench->in_flight + 4);
}

/* The topics are written to in turn: a step without a common divisor samples them all. */
static uint64_t sample_step(const struct bench *bench)
{
    const uint64_t step = messages_in_flight(bench) / SAMPLES_IN_FLIGHT;
    uint64_t ret = step > 0 ? step : 1;
    while (common_divisor(ret, topics_of_one(bench)) != 1) {
        ret++;
    }
    return ret;
}

static int open_producer(struct bench_worker *worker)
{
    struct bench_producer *self = producer_of(worker);
    const struct bench *bench = worker->bench;
    const struct plan *plan = worker->job->plan;
    zspool_producer_options_t options;
    zspool_producer_options_init(&options);
    options.level = bench->level;
    options.reporting = plan->one ? ZSPOOL_REPORT_NONE : ZSPOOL_REPORT_ALL;
    options.max_in_flight = (uint32_t)bench->in_flight;
    options.batch_bytes = (size_t)bench->batch_bytes;
    /* Batches that are sent, and some that gather; or as many messages. */
    const uint64_t record_bytes = bench->payload_bytes + ENCODED_EXTRA;
    options.max_bytes = (size_t)((bench->batch_bytes + record_bytes) * (bench->in_flight + 4) +
                                 record_bytes * bench->in_flight_messages);
    self->step = sample_step(bench);
    self->topic = worker->index % bench->topic_count;
    self->payload = malloc((size_t)bench->payload_bytes + 1);
    if (!self->payload) {
        worker->err.code = ZSPOOL_ENOMEM;
        (void)snprintf(worker->err.message, sizeof worker->err.message, "no memory");
        return ZSPOOL_ENOMEM;
    }
    bench_fill_payload(self->payload, (size_t)bench->payload_bytes);
    self->producer = zspool_producer_new(worker->client, &options, &worker->err);
    if (!self->producer) {
        return worker->err.code;
    }
    const int64_t warm_ns = plan->ns < WARM_NS ? plan->ns : WARM_NS;
    const int rc = plan->warm ? send_for(self, warm_ns, topics_of_one(bench)) : 0;
    memset(&worker->latency, 0, sizeof worker->latency);
    worker->count = 0;
    return rc;
}

static int produce(struct bench_worker *worker)
{
    const struct plan *plan = worker->job->plan;
    const int rc = send_for(producer_of(worker), plan->ns, 0);
    worker->bytes = worker->count * worker->bench->payload_bytes;
    return rc;
}

static void close_producer(struct bench_worker *worker)
{
    zspool_producer_destroy(&producer_of(worker)->producer);
    free(producer_of(worker)->payload);
}

/* --- One measurement ------------------------------------------------------------------------ */

static int measure(const struct bench *self, const struct plan *plan, struct bench_result *ret)
{
    const struct bench_job job = {.size = sizeof(struct bench_producer),
                                  .open_fn = open_producer,
                                  .work_fn = produce,
                                  .close_fn = close_producer,
                                  .plan = plan};
    return bench_crew(self, self->producers, &job, ret);
}

/* "publish, 1 producer(s), 16 batches of 262144 bytes in flight, 1000 topics" */
static void write_notes(const struct bench *self, bool one, char *to, size_t size)
{
    char depth[64] = "one";
    char topics[32] = "";
    if (!one && self->in_flight_messages > 0) {
        (void)snprintf(depth, sizeof depth, "%llu messages",
                       (unsigned long long)self->in_flight_messages);
    } else if (!one) {
        (void)snprintf(depth, sizeof depth, "%llu batches of %llu bytes",
                       (unsigned long long)self->in_flight, (unsigned long long)self->batch_bytes);
    }
    if (self->topic_count > 1) {
        (void)snprintf(topics, sizeof topics, ", %llu topics",
                       (unsigned long long)self->topic_count);
    }
    (void)snprintf(to, size, "publish, %llu producer(s), %s in flight%s",
                   (unsigned long long)self->producers, depth, topics);
}

int bench_pub(const struct bench *self, bool one, struct bench_result *ret)
{
    const struct plan plan = {
        .one = one, .warm = true, .bytes_max = BYTES_MAX, .ns = (int64_t)self->ms * 1000000};
    *ret = (struct bench_result){
        .workload = one ? "W2" : "W1", .payload_bytes = self->payload_bytes, .level = self->level};
    write_notes(self, one, ret->notes, sizeof ret->notes);
    return measure(self, &plan, ret);
}

int bench_fill(const struct bench *self, struct bench_result *ret)
{
    const bool sized = self->fill_bytes > 0;
    const struct plan plan = {.bytes_max = sized ? self->fill_bytes : FILL_BYTES_MAX,
                              .ns = sized ? INT64_MAX : (int64_t)self->ms * 1000000};
    struct bench fast = *self;
    fast.level = ZSPOOL_SYNCED;
    *ret = (struct bench_result){
        .workload = "fill", .payload_bytes = self->payload_bytes, .level = ZSPOOL_SYNCED};
    write_notes(&fast, false, ret->notes, sizeof ret->notes);
    return measure(&fast, &plan, ret);
}
