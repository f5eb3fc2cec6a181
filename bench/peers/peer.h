/* SPDX-License-Identifier: MPL-2.0
 *
 * What the drivers of peers share: options, clocks, payloads, latencies, CPU time, and
 * one JSON line a result, with the fields that `zspool bench --json` has as well.
 *
 * A driver is a small program that measures one workload against a server that runs:
 *
 *   DRIVER WORKLOAD [-p port] [-s payload_bytes] [-n count] [-t seconds] ...
 *
 * It ends at `count` messages or `seconds`, whichever comes first. Whatever goes wrong
 * ends it: die() tells it and exits with 1.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PEER_PRODUCERS_MAX 128u
#define STAMP_BYTES        20u /* of a payload of W4: when it was to be sent, in decimal */

void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
/* malloc() and realloc() that do not fail. */
void *allocate(size_t bytes);
void *grow(void *memory, size_t bytes);
bool is(const char *a, const char *b);

/* --- Options ------------------------------------------------------------------------------- */

struct options {
    const char *workload;   /* the first argument */
    const char *system;     /* -S: the name of the peer */
    const char *version;    /* -V */
    const char *durability; /* -d */
    const char *mode;       /* -m: a variant that the driver knows; "" = its default */
    const char *host;
    uint16_t port;        /* -p */
    size_t payload_bytes; /* -s */
    uint64_t count;       /* -n: most messages, of all producers together */
    double seconds;       /* -t: most seconds that are measured */
    unsigned in_flight;   /* -w: messages unconfirmed, of each producer; or of a batch */
    unsigned producers;   /* -c: each with a connection of its own */
    unsigned rate;        /* -r: messages a second (W4) */
    pid_t server_pid;     /* -P: whose CPU time counts; 0 = nobody's */
};

struct options options_read(int argc, char **argv);

/* --- Time ---------------------------------------------------------------------------------- */

uint64_t now_ns(void);
void sleep_until_ns(uint64_t time_ns);
void sleep_ms(unsigned ms);
/* The time `seconds` after `start_ns`. */
uint64_t after_ns(uint64_t start_ns, double seconds);

/* W4: message i is to be sent at pace_ns(i). */
struct pace {
    uint64_t start_ns, gap_ns, total;
};

struct pace pace_begin(const struct options *options, uint64_t now_ns);
uint64_t pace_ns(const struct pace *self, uint64_t i);
/* Sleep until message `sent` is due; how many messages are by now. */
uint64_t pace_await(const struct pace *self, uint64_t sent);

/* --- Payloads -------------------------------------------------------------------------------- */

/* Bytes that do not compress, of letters and digits so that text protocols carry them. */
char *payload_new(size_t bytes);
void payload_stamp(char *payload, uint64_t time_ns);
uint64_t payload_time_ns(const char *payload);

/* --- Latencies ------------------------------------------------------------------------------- */

struct samples {
    uint64_t *ns;
    size_t count, capacity;
};

void samples_add(struct samples *self, uint64_t ns);
void samples_merge(struct samples *self, const struct samples *other);
void samples_fini(struct samples *self);

/* --- Results ----------------------------------------------------------------------------------- */

/* Time and CPU time from meter_begin() on. */
struct meter {
    const struct options *options;
    uint64_t start_ns;
    double client_s, server_s; /* CPU time before */
};

/* What was used between begin and end; of one core, in percent. */
struct spent {
    double elapsed_s, client_pct, server_pct;
};

struct meter meter_begin(const struct options *options);
struct spent meter_end(const struct meter *self);

struct result {
    const char *workload;
    struct spent spent;
    uint64_t count;          /* messages confirmed, received, acked */
    struct samples *latency; /* NULL = none was measured; sorted by report() */
};

/* Print it. The rest tells how it was done. */
void report(const struct options *options, const struct result *result, const char *notes, ...)
    __attribute__((format(printf, 3, 4)));

/* --- Producers --------------------------------------------------------------------------------- */

/* One of several that publish at the same time, each in a thread. */
struct producer {
    const struct options *options;
    pthread_barrier_t *gate;
    uint64_t count_max;     /* its share of options->count */
    uint64_t stop_ns;       /* valid after the gate */
    uint64_t confirmed;     /* set by the function */
    struct samples latency; /* may be filled by it */
};

/* Connects, calls producer_wait(), publishes until count_max or stop_ns and the last confirm. */
typedef void producer_fn(struct producer *self);

void producer_wait(struct producer *self);
/* Run options->producers of them. The clock runs from the gate to the last confirm. */
struct result producers_run(const struct options *options, producer_fn *fn,
                            struct samples *ret_latency);

#endif
