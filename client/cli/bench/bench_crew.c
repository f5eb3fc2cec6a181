/* SPDX-License-Identifier: MPL-2.0
 *
 * Workers in threads, which start together:
 *
 *   connect, open -> all wait at a gate -> work -> end
 *
 * The clock runs from the opening of the gate to the end of the last one. When one
 * cannot open, the gate opens for nobody's work.
 */
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "client/cli/bench/bench.h"

#define DESCRIPTORS          64u /* of the rest of the process */
#define DESCRIPTORS_A_WORKER 12u /* libzmq's, its sockets', the library's */

/* Where workers wait for each other, and for the clock. */
struct bench_gate {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint64_t ready; /* workers that are here, or will not come */
    bool failed;    /* one will not */
    bool open;
    bool cancelled; /* it opened without work */
};

/* --- The gate --------------------------------------------------------------------------- */

/* Say that this one is ready; true = work, false = end. */
static bool gate_pass(struct bench_gate *self, bool failed)
{
    (void)pthread_mutex_lock(&self->mutex); /* these fail for no good mutex */
    self->ready++;
    self->failed |= failed;
    (void)pthread_cond_broadcast(&self->changed);
    while (!self->open && !failed) {
        (void)pthread_cond_wait(&self->changed, &self->mutex);
    }
    const bool cancelled = self->cancelled;
    (void)pthread_mutex_unlock(&self->mutex);
    return !cancelled && !failed;
}

static void gate_wait_ready(struct bench_gate *self, uint64_t count)
{
    (void)pthread_mutex_lock(&self->mutex);
    while (self->ready < count) {
        (void)pthread_cond_wait(&self->changed, &self->mutex);
    }
    (void)pthread_mutex_unlock(&self->mutex);
}

static void gate_open(struct bench_gate *self, bool cancelled)
{
    (void)pthread_mutex_lock(&self->mutex);
    self->open = true;
    self->cancelled = cancelled || self->failed;
    (void)pthread_cond_broadcast(&self->changed);
    (void)pthread_mutex_unlock(&self->mutex);
}

/* --- Workers ------------------------------------------------------------------------------ */

static int connect_and_open(struct bench_worker *self)
{
    self->client = zspool_new(cli_common.server, NULL, &self->err);
    if (!self->client) {
        return self->err.code;
    }
    const int rc = zspool_connect(self->client, cli_timeout(), NULL, &self->err);
    return rc == 0 ? self->job->open_fn(self) : rc;
}

static void *work(void *arg)
{
    struct bench_worker *self = arg;
    self->code = connect_and_open(self);
    if (gate_pass(self->gate, self->code != 0)) {
        self->code = self->job->work_fn(self);
    }
    return NULL;
}

/* --- The crew ------------------------------------------------------------------------------- */

struct crew {
    char *workers; /* of job->size bytes each */
    uint64_t count;
    const struct bench_job *job;
};

static struct bench_worker *worker_at(const struct crew *self, uint64_t index)
{
    return (struct bench_worker *)(void *)(self->workers + index * self->job->size);
}

static int run_threads(const struct crew *self, const struct bench *bench, struct bench_result *ret)
{
    struct bench_gate gate = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                              .changed = PTHREAD_COND_INITIALIZER};
    uint64_t started = 0;
    for (; started < self->count; started++) {
        struct bench_worker *worker = worker_at(self, started);
        worker->bench = bench;
        worker->job = self->job;
        worker->index = started;
        worker->gate = &gate;
        if (!bench_thread(&worker->thread, work, worker)) {
            break;
        }
    }
    gate_wait_ready(&gate, started);
    const struct bench_meter meter = bench_meter_begin(bench->client);
    gate_open(&gate, started < self->count);
    for (uint64_t i = 0; i < started; i++) {
        (void)pthread_join(worker_at(self, i)->thread, NULL); /* ours, joinable */
    }
    bench_meter_end(&meter, ret);
    if (started < self->count) {
        cli_say("no more threads: %llu of %llu started", (unsigned long long)started,
                (unsigned long long)self->count);
        return CLI_ERROR;
    }
    return CLI_OK;
}

/* Many connections want more descriptors than the usual limit of 1,024; where there are too few,
 * libzmq ends the process. */
static bool have_descriptors(uint64_t workers)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return true; /* we shall see */
    }
    const rlim_t wanted = DESCRIPTORS + workers * DESCRIPTORS_A_WORKER;
    if (limit.rlim_cur < wanted) {
        limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* up to the hard limit: cannot fail */
    }
    return limit.rlim_cur >= wanted;
}

int bench_crew(const struct bench *bench, uint64_t count, const struct bench_job *job,
               struct bench_result *ret)
{
    if (!have_descriptors(count)) {
        cli_say("%llu connections are too many for the limit of open files (ulimit -n)",
                (unsigned long long)count);
        return CLI_ERROR;
    }
    const struct crew crew = {calloc(count, job->size), count, job};
    if (!crew.workers) {
        cli_say("no memory for %llu threads", (unsigned long long)count);
        return CLI_ERROR;
    }
    int code = run_threads(&crew, bench, ret);
    for (uint64_t i = 0; i < count; i++) {
        struct bench_worker *worker = worker_at(&crew, i);
        if (code == CLI_OK && worker->code != 0) {
            code = cli_fail(&worker->err);
        }
        ret->count += worker->count;
        ret->bytes += worker->bytes;
        histogram_merge(&ret->latency, &worker->latency);
        job->close_fn(worker);
        zspool_destroy(&worker->client);
    }
    free(crew.workers);
    return code;
}
