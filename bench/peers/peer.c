/* SPDX-License-Identifier: MPL-2.0 */
#include "bench/peers/peer.h"
#include "common/heap.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S       1000000000u
#define TIMER_SLACK_NS 1000ul /* W4 sends a message every 100 us */

void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    exit(EXIT_FAILURE);
}

void *allocate(size_t bytes)
{
    return grow(NULL, bytes);
}

void *grow(void *memory, size_t bytes)
{
    void *grown = realloc(memory, bytes == 0 ? 1 : bytes);
    if (!grown) {
        die("out of memory (%zu bytes)", bytes);
    }
    return grown;
}

bool is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* --- Options ------------------------------------------------------------------------------- */

static uint64_t read_number(const char *text, uint64_t max)
{
    char *end;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value > max) {
        die("%s is not a number of at most %" PRIu64, text, max);
    }
    return value;
}

static void read_option(struct options *self, int letter, const char *text)
{
    switch (letter) {
    case 'S':
        self->system = text;
        break;
    case 'V':
        self->version = text;
        break;
    case 'd':
        self->durability = text;
        break;
    case 'm':
        self->mode = text;
        break;
    case 'p':
        self->port = (uint16_t)read_number(text, UINT16_MAX);
        break;
    case 's':
        self->payload_bytes = (size_t)read_number(text, UINT32_MAX);
        break;
    case 'n':
        self->count = read_number(text, UINT64_MAX);
        break;
    case 't':
        self->seconds = strtod(text, NULL);
        break;
    case 'w':
        self->in_flight = (unsigned)read_number(text, INT32_MAX);
        break;
    case 'c':
        self->producers = (unsigned)read_number(text, PEER_PRODUCERS_MAX);
        break;
    case 'r':
        self->rate = (unsigned)read_number(text, NS_PER_S);
        break;
    case 'P':
        self->server_pid = (pid_t)read_number(text, INT32_MAX);
        break;
    default:
        exit(2);
    }
}

struct options options_read(int argc, char **argv)
{
    zsp_heap_prepare(); /* as zspool does */
    struct options self = {.system = "?",
                           .version = "?",
                           .durability = "none",
                           .mode = "",
                           .host = "127.0.0.1",
                           .payload_bytes = 100,
                           .count = 1000000,
                           .seconds = 4,
                           .in_flight = 1000,
                           .producers = 1,
                           .rate = 10000};
    int letter;
    if (argc < 2) {
        die("usage: %s WORKLOAD [-S system] [-V version] [-d durability] [-m mode] [-p port]\n"
            "       [-s payload_bytes] [-n count] [-t seconds] [-w in_flight] [-c producers]\n"
            "       [-r rate] [-P server_pid]",
            argv[0]);
    }
    self.workload = argv[1];
    optind = 2;
    while ((letter = getopt(argc, argv, "S:V:d:m:p:s:n:t:w:c:r:P:")) != -1) {
        read_option(&self, letter, optarg);
    }
    if (self.in_flight == 0 || self.producers == 0 || self.rate == 0) {
        die("-w, -c and -r are at least 1");
    }
    (void)prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS);
    return self;
}

/* --- Time ---------------------------------------------------------------------------------- */

uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

void sleep_until_ns(uint64_t time_ns)
{
    const struct timespec until = {.tv_sec = (time_t)(time_ns / NS_PER_S),
                                   .tv_nsec = (long)(time_ns % NS_PER_S)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
    }
}

void sleep_ms(unsigned ms)
{
    sleep_until_ns(now_ns() + (uint64_t)ms * 1000000u);
}

uint64_t after_ns(uint64_t start_ns, double seconds)
{
    return start_ns + (uint64_t)(seconds * NS_PER_S);
}

struct pace pace_begin(const struct options *options, uint64_t now_ns)
{
    return (struct pace){.start_ns = now_ns + 1000000,
                         .gap_ns = NS_PER_S / options->rate,
                         .total = (uint64_t)(options->seconds * options->rate)};
}

uint64_t pace_ns(const struct pace *self, uint64_t i)
{
    return self->start_ns + i * self->gap_ns;
}

uint64_t pace_await(const struct pace *self, uint64_t sent)
{
    sleep_until_ns(pace_ns(self, sent));
    const uint64_t due = (now_ns() - self->start_ns) / self->gap_ns + 1;
    return due < self->total ? due : self->total;
}

/* --- Payloads -------------------------------------------------------------------------------- */

char *payload_new(size_t bytes)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    char *payload = allocate(bytes + 1);
    uint64_t state = 0x9e3779b97f4a7c15u; /* xorshift64 */
    for (size_t i = 0; i < bytes; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        payload[i] = alphabet[state >> 58];
    }
    payload[bytes] = '\0';
    return payload;
}

void payload_stamp(char *payload, uint64_t time_ns)
{
    for (size_t i = STAMP_BYTES; i > 0; i--) {
        payload[i - 1] = (char)('0' + time_ns % 10);
        time_ns /= 10;
    }
}

uint64_t payload_time_ns(const char *payload)
{
    uint64_t time_ns = 0;
    for (size_t i = 0; i < STAMP_BYTES; i++) {
        time_ns = time_ns * 10 + (uint64_t)(payload[i] - '0');
    }
    return time_ns;
}

/* --- Latencies ------------------------------------------------------------------------------- */

void samples_add(struct samples *self, uint64_t ns)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity == 0 ? 65536 : self->capacity * 2;
        self->ns = grow(self->ns, self->capacity * sizeof *self->ns);
    }
    self->ns[self->count++] = ns;
}

void samples_merge(struct samples *self, const struct samples *other)
{
    for (size_t i = 0; i < other->count; i++) {
        samples_add(self, other->ns[i]);
    }
}

void samples_fini(struct samples *self)
{
    free(self->ns);
    *self = (struct samples){0};
}

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Of sorted samples, by nearest rank, in us. */
static double us_at(const struct samples *self, unsigned permille)
{
    const size_t rank = self->count * permille / 1000;
    return (double)self->ns[rank < self->count ? rank : self->count - 1] / 1e3;
}

/* --- Results ----------------------------------------------------------------------------------- */

/* CPU time of a process, all its threads; 0 when it cannot be told. */
static double process_cpu_s(pid_t pid)
{
    char path[64], stat[1024];
    if (pid <= 0) {
        return 0;
    }
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    if (!file) {
        return 0;
    }
    const size_t len = fread(stat, 1, sizeof stat - 1, file);
    (void)fclose(file); /* it was read only */
    stat[len] = '\0';
    /* The name may hold anything; fields 14 and 15 are the ticks in user and system mode. */
    const char *field = strrchr(stat, ')');
    for (int i = 2; field && i < 14; i++) {
        field = strchr(field + 1, ' ');
    }
    if (!field) {
        return 0;
    }
    char *rest;
    const unsigned long long user = strtoull(field, &rest, 10);
    const unsigned long long system = strtoull(rest, NULL, 10);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static double own_cpu_s(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

struct meter meter_begin(const struct options *options)
{
    return (struct meter){.options = options,
                          .client_s = own_cpu_s(),
                          .server_s = process_cpu_s(options->server_pid),
                          .start_ns = now_ns()};
}

struct spent meter_end(const struct meter *self)
{
    const uint64_t ns = now_ns() - self->start_ns;
    const double elapsed_s = (double)(ns == 0 ? 1 : ns) / 1e9;
    const double server_s = process_cpu_s(self->options->server_pid) - self->server_s;
    return (struct spent){.elapsed_s = elapsed_s,
                          .client_pct = 100 * (own_cpu_s() - self->client_s) / elapsed_s,
                          .server_pct = 100 * server_s / elapsed_s};
}

static void print_latencies(const struct samples *latency)
{
    if (latency && latency->count > 0) {
        qsort(latency->ns, latency->count, sizeof *latency->ns, compare);
        printf("\"p50_us\":%.2f,\"p99_us\":%.2f,\"p999_us\":%.2f,", us_at(latency, 500),
               us_at(latency, 990), us_at(latency, 999));
    } else {
        printf("\"p50_us\":null,\"p99_us\":null,\"p999_us\":null,");
    }
}

void report(const struct options *options, const struct result *result, const char *notes, ...)
{
    const double rate = (double)result->count / result->spent.elapsed_s;
    printf("{\"system\":\"%s\",\"version\":\"%s\",\"workload\":\"%s\",\"payload_bytes\":%zu,"
           "\"count\":%" PRIu64 ",\"msgs_per_s\":%.1f,\"mib_per_s\":%.2f,",
           options->system, options->version, result->workload, options->payload_bytes,
           result->count, rate, rate * (double)options->payload_bytes / (1024 * 1024));
    print_latencies(result->latency);
    printf("\"durability\":\"%s\",\"notes\":\"", options->durability);
    va_list args;
    va_start(args, notes);
    (void)vprintf(notes, args);
    va_end(args);
    printf("\",\"elapsed_s\":%.3f,\"server_cpu_pct\":", result->spent.elapsed_s);
    if (options->server_pid > 0) {
        printf("%.0f", result->spent.server_pct);
    } else {
        printf("null");
    }
    printf(",\"client_cpu_pct\":%.0f}\n", result->spent.client_pct);
    if (fflush(stdout) != 0) {
        die("the result cannot be written");
    }
}

/* --- Producers --------------------------------------------------------------------------------- */

struct started {
    struct producer producer;
    producer_fn *fn;
    pthread_t thread;
};

static void *run_producer(void *arg)
{
    struct started *self = arg;
    self->fn(&self->producer);
    return NULL;
}

void producer_wait(struct producer *self)
{
    (void)pthread_barrier_wait(self->gate);
    /* The second wait makes stop_ns, set between the two, visible to all. */
    (void)pthread_barrier_wait(self->gate);
}

struct result producers_run(const struct options *options, producer_fn *fn,
                            struct samples *ret_latency)
{
    const unsigned count = options->producers;
    struct started *all = allocate(count * sizeof *all);
    struct result result = {.workload = options->workload, .latency = ret_latency};
    pthread_barrier_t gate;
    if (pthread_barrier_init(&gate, NULL, count + 1) != 0) {
        die("no barrier");
    }
    for (unsigned i = 0; i < count; i++) {
        all[i] = (struct started){
            .fn = fn,
            .producer = {.options = options, .gate = &gate, .count_max = options->count / count}};
        if (pthread_create(&all[i].thread, NULL, run_producer, &all[i]) != 0) {
            die("no thread for producer %u", i);
        }
    }
    (void)pthread_barrier_wait(&gate); /* all are connected */
    const struct meter meter = meter_begin(options);
    for (unsigned i = 0; i < count; i++) {
        all[i].producer.stop_ns = after_ns(meter.start_ns, options->seconds);
    }
    (void)pthread_barrier_wait(&gate);
    for (unsigned i = 0; i < count; i++) {
        (void)pthread_join(all[i].thread, NULL);
    }
    result.spent = meter_end(&meter);
    for (unsigned i = 0; i < count; i++) {
        result.count += all[i].producer.confirmed;
        samples_merge(ret_latency, &all[i].producer.latency);
        samples_fini(&all[i].producer.latency);
    }
    (void)pthread_barrier_destroy(&gate);
    free(all);
    return result;
}
