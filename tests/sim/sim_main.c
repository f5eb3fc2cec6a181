/* SPDX-License-Identifier: MPL-2.0
 *
 * sim [--seed N] [--steps M] [--histories K] [--clinic] [--twice] [--reach] [--verbose]
 *
 * --clinic is another play (sim_clinic.h). Runs K histories with the seeds N, N+1, ... Exit code 0: all promises were
 * kept. 1: one was broken; the line says how to see it again. --twice runs each
 * history two times and compares the hashes of all that the broker did. --reach tells
 * which combinations of what can happen to a message were never met (sim_reach.h).
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/sim/sim.h"

struct arguments {
    struct sim_options options;
    uint64_t histories;
    bool twice, reach;
};

/* Longer than any history takes, under a sanitizer on a busy machine too. */
#define HISTORY_S 900

/* What to say when an assertion of the broker ends the process, or a history does not end; composed
 * before each one, so that the handler only writes it. */
static char last_words[160];

static void on_death(int number)
{
    (void)!write(STDOUT_FILENO, last_words, strlen(last_words));
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

static void speak_at_death(void)
{
    static const int deaths[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM};
    for (size_t i = 0; i < sizeof deaths / sizeof deaths[0]; i++) {
        (void)signal(deaths[i], on_death);
    }
}

static void compose_last_words(const struct sim_options *options)
{
    (void)snprintf(
        last_words, sizeof last_words,
        "seed %" PRIu64 ": aborted\nreplay with: sim --seed %" PRIu64 " --steps %" PRIu32 "%s\n",
        options->seed, options->seed, options->steps, options->is_clinic ? " --clinic" : "");
}

static int usage(void)
{
    (void)fprintf(stderr, "usage: sim [--seed N] [--steps M] [--histories K] [--clinic] [--twice] "
                          "[--reach] [--verbose]\n");
    return 2;
}

static bool parse_number(const char *text, uint64_t *ret)
{
    char *end = NULL;
    *ret = strtoull(text, &end, 10);
    return end != text && *end == '\0';
}

static bool parse(int argc, char **argv, struct arguments *args)
{
    for (int i = 1; i < argc; i++) {
        uint64_t number = 0;
        if (strcmp(argv[i], "--verbose") == 0) {
            args->options.verbose = true;
            continue;
        }
        if (strcmp(argv[i], "--clinic") == 0) {
            args->options.is_clinic = true;
            continue;
        }
        if (strcmp(argv[i], "--twice") == 0) {
            args->twice = true;
            continue;
        }
        if (strcmp(argv[i], "--reach") == 0) {
            args->reach = true;
            continue;
        }
        if (i + 1 == argc || !parse_number(argv[i + 1], &number)) {
            return false;
        }
        if (strcmp(argv[i], "--seed") == 0) {
            args->options.seed = number;
        } else if (strcmp(argv[i], "--steps") == 0) {
            args->options.steps = (uint32_t)number;
        } else if (strcmp(argv[i], "--histories") == 0) {
            args->histories = number;
        } else {
            return false;
        }
        i++;
    }
    return true;
}

static void say_failure(const struct sim_options *options, const char *what)
{
    (void)printf(
        "seed %" PRIu64 ": %s\nreplay with: sim --seed %" PRIu64 " --steps %" PRIu32 "%s\n",
        options->seed, what, options->seed, options->steps, options->is_clinic ? " --clinic" : "");
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    struct arguments args = {.options = {.seed = 1, .steps = 3000}, .histories = 1};
    if (!parse(argc, argv, &args)) {
        return usage();
    }
    speak_at_death();
    struct sim_result total = {0};
    uint64_t failures = 0;
    for (uint64_t i = 0; i < args.histories; i++, args.options.seed++) {
        compose_last_words(&args.options);
        (void)alarm(HISTORY_S);
        const struct sim_result result = sim_run(&args.options);
        if (result.failed) {
            failures++;
            say_failure(&args.options, result.failure);
        } else if (args.twice && sim_run(&args.options).hash != result.hash) {
            failures++;
            say_failure(&args.options, "the same seed gave another history");
        }
        if (args.histories == 1) {
            (void)printf("hash %016" PRIx64 " after %" PRIu64 " steps\n", result.hash,
                         result.steps);
        }
        total.published += result.published;
        total.confirmed += result.confirmed;
        total.delivered += result.delivered;
        total.acked += result.acked;
        total.swept += result.swept;
        total.crashes += result.crashes;
        total.power_losses += result.power_losses;
        reach_add(&total.reach, &result.reach);
    }
    (void)printf("%" PRIu64 " histories, %" PRIu64 " failed: %" PRIu64 " messages, %" PRIu64
                 " confirms, %" PRIu64 " deliveries, %" PRIu64 " acks, %" PRIu64
                 " looks at what expired alone, %" PRIu64 " crashes (%" PRIu64 " power losses)\n",
                 args.histories, failures, total.published, total.confirmed, total.delivered,
                 total.acked, total.swept, total.crashes, total.power_losses);
    if (args.reach) {
        reach_tell(&total.reach);
    }
    return failures > 0 ? 1 : 0;
}
