/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool stat: what the broker is doing, a line an interval, as vmstat tells of
 * a machine: rates of what it counts, and what is there at the end of the interval.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "client/cli/json.h"
#include "client/cli/terminal.h"
#include "client/cli/verbs.h"

#define HEADING_EVERY 20u /* lines, on a terminal */

/* The figures of STATS that count since the start of the broker; the others are as they are now. */
static const char *const counters[] = {
    "published_messages",   "published_bytes",  "duplicate_messages", "delivered_messages",
    "redelivered_messages", "settled_messages", "dead_messages",      "appended_batches",
    "appended_bytes",       "commit_cycles",    "synced_files",       "read_requests",
    "tail_reads",           "cold_reads",       "journal_records",    "journal_bytes",
    "over_credit",          "dropped_refusals", "sessions_resumed",   "sessions_silent",
    "stored_bytes",         "beats_sent",       "bundles_sent",       "cpu_us",
    "shared_reads",         "expired_messages",
};
#define COUNTER_COUNT (sizeof counters / sizeof counters[0])

struct sample {
    int64_t at_ms; /* monotonic */
    zspool_figures_t *figures;
};

struct stat_run {
    int64_t every_ms; /* 0 = not given */
    uint64_t count;   /* 0 = not given */
    zspool_client_t *client;
};

static int64_t clock_ms(clockid_t clock)
{
    struct timespec now = {0};
    (void)clock_gettime(clock, &now); /* cannot fail */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* 0 when the broker does not tell it. */
static uint64_t figure_of(const struct sample *sample, const char *name)
{
    for (size_t i = 0; i < sample->figures->count; i++) {
        const zspool_figure_t *figure = &sample->figures->items[i];
        if (!figure->is_text && !figure->is_unset && strcmp(figure->name, name) == 0) {
            return (uint64_t)figure->value;
        }
    }
    return 0;
}

/* By the second. A broker that was started anew counts from 0. */
static double rate_of(const struct sample *before, const struct sample *now, const char *name)
{
    const uint64_t first = figure_of(before, name);
    const uint64_t last = figure_of(now, name);
    const int64_t ms = now->at_ms > before->at_ms ? now->at_ms - before->at_ms : 1;
    return (double)(last >= first ? last - first : last) * 1000 / (double)ms;
}

static void print_json(const struct sample *before, const struct sample *now)
{
    struct json json = json_begin();
    json_time(&json, "timestamp", clock_ms(CLOCK_REALTIME));
    json_int(&json, "interval_ms", now->at_ms - before->at_ms);
    json_open_object(&json, "per_second");
    for (size_t i = 0; i < COUNTER_COUNT; i++) {
        json_real(&json, counters[i], rate_of(before, now, counters[i]), 1);
    }
    json_close_object(&json);
    json_open_object(&json, "figures");
    for (size_t i = 0; i < now->figures->count; i++) {
        json_figure(&json, &now->figures->items[i]);
    }
    json_close_object(&json);
    json_end(&json);
}

static void print_rate(const struct sample *before, const struct sample *now, const char *name,
                       int width)
{
    char text[TERMINAL_FIGURE_SIZE];
    const double rate = rate_of(before, now, name);
    if (terminal_is_out()) {
        printf(" %*s", width, terminal_human_count(rate, text));
    } else {
        printf(" %*.0f", width, rate);
    }
}

static void print_bytes(uint64_t bytes, int width)
{
    char text[TERMINAL_FIGURE_SIZE];
    printf(" %*s", width, terminal_bytes(bytes, text));
}

static void print_heading(void)
{
    printf("%s%-8s %6s %8s %6s %7s %6s %5s %6s %6s %6s %8s%s\n",
           terminal_style(stdout, TERMINAL_HEADING), "TIME", "PUB/S", "BYTES/S", "OUT/S", "SETTL/S",
           "AGAIN", "DEAD", "SYNC/S", "LEASES", "PARKED", "UNSYNCED",
           terminal_style(stdout, TERMINAL_PLAIN));
}

static void print_line(const struct sample *before, const struct sample *now)
{
    const time_t wall = (time_t)(clock_ms(CLOCK_REALTIME) / 1000);
    struct tm local = {0};
    char text[16] = "";
    if (localtime_r(&wall, &local)) {
        (void)strftime(text, sizeof text, "%H:%M:%S", &local);
    }
    printf("%-8s", text);
    print_rate(before, now, "published_messages", 6);
    print_bytes((uint64_t)rate_of(before, now, "published_bytes"), 8);
    print_rate(before, now, "delivered_messages", 6);
    print_rate(before, now, "settled_messages", 7);
    print_rate(before, now, "redelivered_messages", 6);
    print_rate(before, now, "dead_messages", 5);
    print_rate(before, now, "commit_cycles", 6);
    printf(" %6llu %6llu", (unsigned long long)figure_of(now, "lease_count"),
           (unsigned long long)figure_of(now, "parked_count"));
    print_bytes(figure_of(now, "unsynced_bytes"), 8);
    printf("\n");
}

static int take(struct stat_run *self, struct sample *ret, zspool_error_t *err)
{
    const int rc = zspool_stats(self->client, cli_timeout(), &ret->figures, err);
    ret->at_ms = clock_ms(CLOCK_MONOTONIC);
    return rc;
}

/* Until a moment on the monotonic clock, or something is wrong, which the next sample will tell.
 * False = interrupted. */
static bool wait_until(struct stat_run *self, int64_t at_ms)
{
    int64_t left_ms;
    while ((left_ms = at_ms - clock_ms(CLOCK_MONOTONIC)) > 0) {
        const int wait_ms = left_ms > 1000000 ? 1000000 : (int)left_ms;
        const int rc = zspool_dispatch(self->client, wait_ms);
        if (rc < 0) {
            return rc != ZSPOOL_EINTERRUPTED && !cli_stopped();
        }
    }
    return !cli_stopped();
}

static int watch(struct stat_run *self)
{
    zspool_error_t err = {0};
    struct sample before = {0};
    struct sample now = {0};
    const int64_t every_ms = self->every_ms > 0 ? self->every_ms : 1000;
    const uint64_t lines = self->count > 0 ? self->count : self->every_ms > 0 ? UINT64_MAX : 1;
    int rc = take(self, &before, &err);
    int64_t next_ms = before.at_ms + every_ms;
    for (uint64_t i = 0; rc == 0 && i < lines && wait_until(self, next_ms); i++) {
        rc = take(self, &now, &err);
        if (rc != 0) {
            break;
        }
        if (cli_common.json) {
            print_json(&before, &now);
        } else {
            if (i == 0 || (terminal_is_out() && i % HEADING_EVERY == 0)) {
                print_heading();
            }
            print_line(&before, &now);
        }
        if (!cli_flush()) {
            break;
        }
        zspool_free(before.figures);
        before = now;
        now.figures = NULL;
        next_ms = next_ms + every_ms > now.at_ms ? next_ms + every_ms : now.at_ms + every_ms;
    }
    zspool_free(before.figures);
    zspool_free(now.figures);
    return rc == 0 || rc == ZSPOOL_EINTERRUPTED ? CLI_OK : cli_fail(&err);
}

static int run(const struct cli_verb *verb, int argc, char **argv)
{
    struct stat_run self = {0};
    const struct cli_option table[] = {
        {0, "every", CLI_SPAN, "TIME", "a line every TIME, until Ctrl-C", &self.every_ms},
        {'n', "count", CLI_COUNT, "COUNT", "end after COUNT lines (1 without --every)",
         &self.count},
        {0, NULL, CLI_FLAG, NULL, NULL, NULL},
    };
    struct cli_args args;
    const int rc = cli_parse(verb, table, argc, argv, &args);
    if (rc != 0) {
        return cli_parsed_exit(rc);
    }
    self.client = cli_client("zspool-stat");
    const int code = self.client ? watch(&self) : CLI_USAGE;
    cli_client_destroy(&self.client);
    return code;
}

const struct cli_verb cli_stat = {
    .name = "stat",
    .synopsis = "[OPTION]...",
    .summary = "tell what the broker does, a line an interval",
    .details = "By the second: messages and bytes published, messages handed out, settled,\n"
               "handed out AGAIN, become DEAD, syncs. At the end of the interval: live leases,\n"
               "waiting pulls and reads, bytes written and not yet on the disk. --json gives\n"
               "all figures of the broker, those that count also by the second.\n",
    .example = "  zspool stat\n"
               "  zspool stat --every 5s\n"
               "  zspool stat --every 1s -n 60 --json > minute.jsonl\n",
    .args_min = 0,
    .args_max = 0,
    .run_fn = run,
};
