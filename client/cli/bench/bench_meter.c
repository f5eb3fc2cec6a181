/* SPDX-License-Identifier: MPL-2.0 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "client/cli/bench/bench.h"

int64_t bench_now_ns(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail */
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t client_cpu_us(void)
{
    struct rusage usage = {0};
    (void)getrusage(RUSAGE_SELF, &usage); /* with good arguments: cannot fail */
    return ((int64_t)usage.ru_utime.tv_sec + (int64_t)usage.ru_stime.tv_sec) * 1000000 +
           (int64_t)usage.ru_utime.tv_usec + (int64_t)usage.ru_stime.tv_usec;
}

static int64_t server_cpu_us(zspool_client_t *client)
{
    int64_t us = -1;
    zspool_figures_t *stats = NULL;
    if (zspool_stats(client, cli_timeout(), &stats, NULL) == 0) {
        for (size_t i = 0; i < stats->count; i++) {
            if (strcmp(stats->items[i].name, "cpu_us") == 0) {
                us = stats->items[i].value;
            }
        }
    }
    zspool_free(stats);
    return us;
}

struct bench_meter bench_meter_begin(zspool_client_t *client)
{
    struct bench_meter self = {.client = client, .server_us = server_cpu_us(client)};
    self.client_us = client_cpu_us();
    self.start_ns = bench_now_ns();
    return self;
}

void bench_meter_end(const struct bench_meter *self, struct bench_result *ret)
{
    const double elapsed_us = (double)(bench_now_ns() - self->start_ns) / 1e3;
    const double client_us = (double)(client_cpu_us() - self->client_us);
    const int64_t server_us = server_cpu_us(self->client);
    ret->elapsed_s = elapsed_us / 1e6;
    ret->client_cpu_pct = client_us / elapsed_us * 100;
    ret->server_cpu_pct = self->server_us < 0 || server_us < 0
                              ? -1
                              : (double)(server_us - self->server_us) / elapsed_us * 100;
}

bool bench_thread(pthread_t *ret, void *(*run_fn)(void *), void *arg)
{
    sigset_t all;
    sigset_t usual;
    (void)sigfillset(&all); /* cannot fail, as the masks are good ones */
    (void)pthread_sigmask(SIG_BLOCK, &all, &usual);
    const int rc = pthread_create(ret, NULL, run_fn, arg);
    (void)pthread_sigmask(SIG_SETMASK, &usual, NULL);
    return rc == 0;
}

void bench_fill_payload(uint8_t *bytes, size_t len)
{
    uint64_t state = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < len; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes[i] = (uint8_t)state;
    }
}

void bench_unique_name(char *to, size_t size)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
    (void)snprintf(to, size, "bench-%ld-%lld-%ld", (long)getpid(), (long long)now.tv_sec,
                   now.tv_nsec);
}

void bench_delete_group(zspool_client_t *client, const char *group)
{
    zspool_error_t err = {0};
    zspool_interrupt_clear(client);
    if (zspool_group_delete(client, group, false, cli_timeout(), &err) != 0) {
        cli_note("group %s is left behind: %s", group, err.message);
    }
}
