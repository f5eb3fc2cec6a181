/* SPDX-License-Identifier: MPL-2.0
 *
 * W1 and W2. Producers run in a thread and on a connection of their own each:
 *
 *   warm up, all confirmed -> all wait at a gate -> send until the time is over
 *   -> wait for every confirm
 *
 * The clock runs from the opening of the gate to the last confirm of the last producer.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/bench.h"

#define WARM_NS          500000000           /* before anything is measured */
#define BYTES_MAX        ((uint64_t)3 << 30) /* of payload, in one measurement */
#define FILL_BYTES_MAX   ((uint64_t)1 << 30) /* of a backlog */
#define LOOK_EVERY       64u                 /* messages between two looks at the clock */
#define SAMPLES_A_BATCH  8u                  /* the clock costs as much as a small message */
#define SAMPLES_OPEN_MAX 4096u               /* sampled and unconfirmed; a power of two */
#define REPORTS          64

/* Where producers wait for each other, and for the clock. */
struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint64_t warm;  /* producers that are */
    bool open;      /* measure */
    bool cancelled; /* end */
};

/* A message whose latency is measured. */
struct sample {
    uint64_t ticket;
    int64_t sent_ns;
};

struct bench_producer {
    const struct bench *bench;
    struct gate *gate;
    bool one; /* W2 */
    uint64_t bytes_max;
    pthread_t thread;
    zspool_client_t *client;
    zspool_producer_t *producer;
    uint8_t *payload;

    uint64_t step; /* every so many tickets one is sampled */
    struct sample samples[SAMPLES_OPEN_MAX];
    struct histogram latency;
    uint64_t confirmed;
    int code; /* 0, or what failed: in err */
    zspool_error_t err;
};

/* --- The gate --------------------------------------------------------------------------- */

/* Say that this one is warm; true = measure, false = end. */
static bool gate_pass(struct gate *self)
{
    (void)pthread_mutex_lock(&self->mutex); /* these fail for no good mutex */
    self->warm++;
    (void)pthread_cond_broadcast(&self->changed);
    while (!self->open && !self->cancelled) {
        (void)pthread_cond_wait(&self->changed, &self->mutex);
    }
    const bool cancelled = self->cancelled;
    (void)pthread_mutex_unlock(&self->mutex);
    return !cancelled;
}

static void gate_wait_warm(struct gate *self, uint64_t count)
{
    (void)pthread_mutex_lock(&self->mutex);
    while (self->warm < count) {
        (void)pthread_cond_wait(&self->changed, &self->mutex);
    }
    (void)pthread_mutex_unlock(&self->mutex);
}

static void gate_open(struct gate *self, bool cancelled)
{
    (void)pthread_mutex_lock(&self->mutex);
    self->open = true;
    self->cancelled = cancelled;
    (void)pthread_cond_broadcast(&self->changed);
    (void)pthread_mutex_unlock(&self->mutex);
}

/* --- Confirms ---------------------------------------------------------------------------- */

static void note_report(struct bench_producer *self, const zspool_report_t *report, int64_t now_ns)
{
    if (report->status != 0) {
        self->code = report->status;
        self->err.code = report->status;
        (void)snprintf(self->err.message, sizeof self->err.message, "a message was not kept: %s",
                       zspool_strerror(report->status));
        return;
    }
    self->confirmed += report->count;
    const uint64_t end = report->first_ticket + report->count;
    for (uint64_t ticket = (report->first_ticket + self->step - 1) / self->step * self->step;
         ticket < end; ticket += self->step) {
        const struct sample *sample = &self->samples[ticket / self->step % SAMPLES_OPEN_MAX];
        if (sample->ticket == ticket) {
            histogram_add(&self->latency, (uint64_t)(now_ns - sample->sent_ns));
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

/* --- Sending ------------------------------------------------------------------------------ */

static int send_one(struct bench_producer *self, const zspool_out_t *out)
{
    uint64_t ticket = 0;
    int rc;
    while ((rc = zspool_send(self->producer, out, &ticket, &self->err)) == ZSPOOL_EAGAIN) {
        take_reports(self);
        rc = zspool_room(self->producer, out->payload.len, cli_timeout(), &self->err);
        if (rc != 0) {
            return rc;
        }
    }
    if (rc == 0 && ticket % self->step == 0) {
        self->samples[ticket / self->step % SAMPLES_OPEN_MAX] =
            (struct sample){ticket, bench_now_ns()};
    }
    return rc;
}

static int send_pipelined(struct bench_producer *self, int64_t end_ns)
{
    const struct bench *bench = self->bench;
    const zspool_out_t out = zspool_out(bench->topic, self->payload, bench->payload_bytes);
    const uint64_t most = self->bytes_max / (bench->payload_bytes + 1) + 1;
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && self->code == 0 && i < most; i++) {
        if (i % LOOK_EVERY == 0) {
            take_reports(self);
            if (bench_now_ns() >= end_ns || cli_stopped()) {
                break;
            }
        }
        rc = send_one(self, &out);
    }
    if (rc == 0) {
        rc = zspool_flush(self->producer, cli_timeout(), &self->err);
    }
    take_reports(self);
    return rc;
}

static int send_one_by_one(struct bench_producer *self, int64_t end_ns)
{
    const struct bench *bench = self->bench;
    const zspool_out_t out = zspool_out(bench->topic, self->payload, bench->payload_bytes);
    int rc = 0;
    int64_t now_ns = bench_now_ns();
    while (rc == 0 && now_ns < end_ns && !cli_stopped()) {
        uint64_t ticket;
        rc = zspool_send(self->producer, &out, &ticket, &self->err);
        if (rc == 0) {
            rc = zspool_wait(self->producer, ticket, cli_timeout(), NULL, &self->err);
        }
        const int64_t sent_ns = now_ns;
        now_ns = bench_now_ns();
        if (rc == 0) {
            self->confirmed++;
            histogram_add(&self->latency, (uint64_t)(now_ns - sent_ns));
        }
    }
    return rc;
}

static int send_for(struct bench_producer *self, int64_t ns)
{
    const int64_t end_ns = bench_now_ns() + ns;
    return self->one ? send_one_by_one(self, end_ns) : send_pipelined(self, end_ns);
}

static void *produce(void *arg)
{
    struct bench_producer *self = arg;
    int rc = send_for(self, WARM_NS);
    memset(&self->latency, 0, sizeof self->latency);
    self->confirmed = 0;
    if (gate_pass(self->gate) && rc == 0 && self->code == 0) {
        rc = send_for(self, (int64_t)self->bench->seconds * 1000000000);
    }
    self->code = self->code == 0 ? rc : self->code;
    return NULL;
}

/* --- One measurement ------------------------------------------------------------------------ */

static int open_producer(struct bench_producer *self)
{
    const struct bench *bench = self->bench;
    zspool_producer_options_t options;
    zspool_producer_options_init(&options);
    options.level = bench->level;
    options.reporting = self->one ? ZSPOOL_REPORT_NONE : ZSPOOL_REPORT_ALL;
    options.max_in_flight = (uint32_t)bench->in_flight;
    options.batch_bytes = (size_t)bench->batch_bytes;
    options.max_bytes =
        (size_t)((bench->batch_bytes + bench->payload_bytes + 64) * (bench->in_flight + 4));
    const uint64_t a_batch = bench->batch_bytes / (bench->payload_bytes + 1);
    self->step = a_batch / SAMPLES_A_BATCH > 0 ? a_batch / SAMPLES_A_BATCH : 1;
    self->payload = malloc((size_t)bench->payload_bytes + 1);
    if (!self->payload) {
        self->err.code = ZSPOOL_ENOMEM;
        (void)snprintf(self->err.message, sizeof self->err.message, "no memory");
        return ZSPOOL_ENOMEM;
    }
    bench_fill_payload(self->payload, (size_t)bench->payload_bytes);
    self->client = zspool_new(cli_common.server, NULL, &self->err);
    if (self->client && zspool_connect(self->client, cli_timeout(), NULL, &self->err) == 0) {
        self->producer = zspool_producer_new(self->client, &options, &self->err);
    }
    return self->producer ? 0 : self->err.code;
}

static void close_producer(struct bench_producer *self)
{
    zspool_producer_destroy(&self->producer);
    zspool_destroy(&self->client);
    free(self->payload);
}

static int run_threads(struct bench_producer *producers, uint64_t count, struct bench_result *ret)
{
    struct gate gate = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    uint64_t started = 0;
    for (; started < count; started++) {
        producers[started].gate = &gate;
        if (!bench_thread(&producers[started].thread, produce, &producers[started])) {
            break;
        }
    }
    gate_wait_warm(&gate, started);
    const struct bench_meter meter = bench_meter_begin(producers[0].bench->client);
    gate_open(&gate, started < count);
    for (uint64_t i = 0; i < started; i++) {
        (void)pthread_join(producers[i].thread, NULL); /* ours, joinable */
    }
    bench_meter_end(&meter, ret);
    if (started < count) {
        cli_say("no more threads: %llu of %llu producers started", (unsigned long long)started,
                (unsigned long long)count);
        return CLI_ERROR;
    }
    return CLI_OK;
}

static int measure(const struct bench *self, bool one, uint64_t bytes_max, struct bench_result *ret)
{
    const uint64_t count = self->producers;
    struct bench_producer *producers = calloc(count, sizeof *producers);
    if (!producers) {
        cli_say("no memory for %llu producers", (unsigned long long)count);
        return CLI_ERROR;
    }
    int code = CLI_OK;
    uint64_t opened = 0;
    while (opened < count && code == CLI_OK) {
        struct bench_producer *producer = &producers[opened++];
        producer->bench = self;
        producer->one = one;
        producer->bytes_max = bytes_max / count;
        code = open_producer(producer) == 0 ? CLI_OK : cli_fail(&producer->err);
    }
    code = code == CLI_OK ? run_threads(producers, count, ret) : code;
    for (uint64_t i = 0; i < opened; i++) {
        struct bench_producer *producer = &producers[i];
        if (code == CLI_OK && producer->code != 0) {
            code = cli_fail(&producer->err);
        }
        ret->count += producer->confirmed;
        ret->bytes += producer->confirmed * self->payload_bytes;
        histogram_merge(&ret->latency, &producer->latency);
        close_producer(producer);
    }
    free(producers);
    return code;
}

int bench_pub(const struct bench *self, bool one, struct bench_result *ret)
{
    *ret = (struct bench_result){
        .workload = one ? "W2" : "W1", .payload_bytes = self->payload_bytes, .level = self->level};
    if (one) {
        (void)snprintf(ret->notes, sizeof ret->notes, "publish, %llu producer(s), one in flight",
                       (unsigned long long)self->producers);
    } else {
        (void)snprintf(ret->notes, sizeof ret->notes,
                       "publish, %llu producer(s), %llu batches of %llu bytes in flight",
                       (unsigned long long)self->producers, (unsigned long long)self->in_flight,
                       (unsigned long long)self->batch_bytes);
    }
    return measure(self, one, BYTES_MAX, ret);
}

int bench_fill(const struct bench *self)
{
    struct bench_result unused = {0};
    struct bench fast = *self;
    fast.level = ZSPOOL_SYNCED;
    return measure(&fast, false, FILL_BYTES_MAX, &unused);
}
