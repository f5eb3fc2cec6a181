/* SPDX-License-Identifier: MPL-2.0
 *
 * The measurements behind `zspool bench`, through the library as any program uses it.
 * Workloads have the names that comparisons of brokers use:
 *
 *   W1  publish pipelined: a message counts when it is confirmed
 *   W2  publish with one message in flight
 *   W3  pull a backlog through a group, and ack: counts when the acks are durable
 *   W4  end to end at a fixed rate: latency from the intended time of sending to receipt
 *   W5  read a backlog: no group, no acks
 *
 * Each function measures one workload on a topic that is there, and fills a result;
 * what goes wrong is told, and an exit code returned.
 */
#ifndef ZSP_CLI_BENCH_H
#define ZSP_CLI_BENCH_H

#include <pthread.h>

#include "client/cli/cli.h"
#include "client/cli/histogram.h"

#define BENCH_WORKERS_MAX 256u /* each has some threads and ten descriptors */
#define BENCH_PAYLOAD_MAX ((uint64_t)ZSPOOL_MESSAGE_BYTES_MAX - 64u)
#define BENCH_STAMP_BYTES 8u /* of a payload of W4: when it was to be sent */

/* What is measured. */
struct bench {
    zspool_client_t *client; /* for what surrounds a measurement, and interrupted by signals */
    const char *topic;
    const char *const *topics; /* W1, W2: more of them; `topic` is the first */
    uint64_t topic_count;
    uint64_t payload_bytes;
    uint64_t ms;                 /* how long it takes; W1, W2, W4 warm up before */
    uint64_t in_flight;          /* batches unconfirmed, of each producer */
    uint64_t in_flight_messages; /* messages unconfirmed; 0 = only batches count */
    uint64_t producers;
    uint64_t members, groups; /* W3: members of each group */
    zspool_position_t start;  /* W3: where the groups begin; NONE = earliest */
    uint64_t fill_bytes;      /* of payload, of a backlog; 0 = what `ms` allow, to 1 GiB */
    uint64_t batch_bytes;
    uint64_t rate; /* W4: messages a second */
    zspool_level_t level;
};

struct bench_result {
    const char *workload;
    uint64_t payload_bytes;
    zspool_level_t level;
    uint64_t count; /* messages confirmed, acked, received */
    uint64_t bytes; /* of their payloads */
    double elapsed_s;
    double server_cpu_pct, client_cpu_pct; /* of one core; < 0 = not known */
    char notes[160];
    struct histogram latency; /* ns; empty = none was measured */
};

/* W1, or W2 when `one` (then each producer has one message in flight). Topics are shared out among
 * producers, or producers among topics, whichever are more. */
int bench_pub(const struct bench *self, bool one, struct bench_result *ret);
/* Make a backlog: W1 without a warm-up, synced, until it has its size. */
int bench_fill(const struct bench *self, struct bench_result *ret);
/* W3 and W5: what is in the topic, until it is through or the time is over. Counts all deliveries. */
int bench_pull(const struct bench *self, struct bench_result *ret);
int bench_read(const struct bench *self, struct bench_result *ret);
/* W4. */
int bench_e2e(const struct bench *self, struct bench_result *ret);

/* --- bench_crew.c: many who do the same ----------------------------------------------- */

/* One of them, in a thread and on a connection of its own. */
struct bench_worker {
    const struct bench *bench;
    const struct bench_job *job;
    uint64_t index;
    zspool_client_t *client; /* connected */

    uint64_t count, bytes;    /* done since the start: messages and their payloads */
    struct histogram latency; /* of these; ns */
    zspool_error_t err;       /* why a function of the job failed */

    struct bench_gate *gate; /* these are the crew's */
    pthread_t thread;
    int code; /* 0, or what failed */
};

/* What they do. */
struct bench_job {
    size_t size; /* of a worker: a zeroed struct, with a struct bench_worker at its begin */
    int (*open_fn)(struct bench_worker *self);   /* before the start: get what it needs, warm up */
    int (*work_fn)(struct bench_worker *self);   /* from the start, which is the same for all */
    void (*close_fn)(struct bench_worker *self); /* also after an open_fn that failed */
    const void *plan;                            /* for these functions */
};

/* Have `count` workers do a job. The result's time and CPU are from the start, when all are open,
 * until the last has worked; its counts and latencies are added up. */
int bench_crew(const struct bench *bench, uint64_t count, const struct bench_job *job,
               struct bench_result *ret);

/* --- bench_meter.c: what all of them use ------------------------------------------- */

/* Time and CPU from begin to end, for a result. */
struct bench_meter {
    zspool_client_t *client;
    int64_t start_ns;
    int64_t client_us, server_us; /* CPU time before; server < 0 = the broker does not tell */
};

int64_t bench_now_ns(void);
struct bench_meter bench_meter_begin(zspool_client_t *client);
/* Fill elapsed_s and both CPU figures. */
void bench_meter_end(const struct bench_meter *self, struct bench_result *ret);

/* Start a thread that takes no signals: they are the main thread's. False = no more threads. */
bool bench_thread(pthread_t *ret, void *(*run_fn)(void *), void *arg);

/* Bytes that do not compress, the same in every run. */
void bench_fill_payload(uint8_t *bytes, size_t len);
/* A name that no other run has. */
void bench_unique_name(char *to, size_t size);
/* As well as it can, also after an interrupt. */
void bench_delete_group(zspool_client_t *client, const char *group);

/* --- bench_report.c ------------------------------------------------------------------ */

/* Print a result: a JSON line, or a row of a table, whose head comes with the first. `broker` is the
 * version that the broker told ("zspoold 0.1.0"). */
void bench_report(const struct bench_result *result, const char *broker, bool first);

#endif
