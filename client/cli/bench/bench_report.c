/* SPDX-License-Identifier: MPL-2.0 */
#include <stdio.h>
#include <string.h>

#include "client/cli/bench/bench.h"
#include "client/cli/json.h"
#include "client/cli/terminal.h"

static const char *level_name(const struct bench_result *result)
{
    return result->level == ZSPOOL_WRITTEN ? "written" : "synced";
}

static double us_at(const struct bench_result *result, unsigned permille)
{
    return (double)histogram_value_at(&result->latency, permille) / 1e3;
}

static void json_latency(struct json *json, const char *key, const struct bench_result *result,
                         unsigned permille)
{
    if (result->latency.count == 0) {
        json_null(json, key);
    } else {
        json_real(json, key, us_at(result, permille), 1);
    }
}

static void json_cpu(struct json *json, const char *key, double percent)
{
    if (percent < 0) {
        json_null(json, key);
    } else {
        json_real(json, key, percent, 1);
    }
}

static double rate_of(const struct bench_result *result)
{
    return result->elapsed_s > 0 ? (double)result->count / result->elapsed_s : 0;
}

static double mib_of(const struct bench_result *result)
{
    return result->elapsed_s > 0 ? (double)result->bytes / result->elapsed_s / (1024 * 1024) : 0;
}

static void report_json(const struct bench_result *result, const char *broker)
{
    const char *version = strchr(broker, ' ');
    struct json json = json_begin();
    json_text(&json, "system", "zspool");
    json_text(&json, "version", version ? version + 1 : broker);
    json_text(&json, "workload", result->workload);
    json_uint(&json, "payload_bytes", result->payload_bytes);
    json_uint(&json, "count", result->count);
    json_real(&json, "msgs_per_s", rate_of(result), 1);
    json_real(&json, "mib_per_s", mib_of(result), 1);
    json_latency(&json, "p50_us", result, 500);
    json_latency(&json, "p99_us", result, 990);
    json_latency(&json, "p999_us", result, 999);
    json_text(&json, "durability", level_name(result));
    json_text(&json, "notes", result->notes);
    json_real(&json, "elapsed_s", result->elapsed_s, 3);
    json_cpu(&json, "server_cpu_pct", result->server_cpu_pct);
    json_cpu(&json, "client_cpu_pct", result->client_cpu_pct);
    json_end(&json);
}

static void print_latency(const struct bench_result *result, unsigned permille)
{
    if (result->latency.count == 0) {
        printf(" %9s", "-");
    } else {
        printf(" %9.0f", us_at(result, permille));
    }
}

static void report_row(const struct bench_result *result, bool first)
{
    if (first) {
        printf("%s%-4s %8s %-8s %11s %9s %9s %9s %9s %6s %6s%s\n",
               terminal_style(stdout, TERMINAL_HEADING), "", "payload", "level", "messages/s",
               "MiB/s", "p50 us", "p99 us", "p99.9 us", "broker", "client",
               terminal_style(stdout, TERMINAL_PLAIN));
    }
    printf("%-4s %8llu %-8s %11.0f %9.1f", result->workload,
           (unsigned long long)result->payload_bytes, level_name(result), rate_of(result),
           mib_of(result));
    print_latency(result, 500);
    print_latency(result, 990);
    print_latency(result, 999);
    if (result->server_cpu_pct < 0) {
        printf(" %6s", "-");
    } else {
        printf(" %5.0f%%", result->server_cpu_pct);
    }
    printf(" %5.0f%%  %s\n", result->client_cpu_pct, result->notes);
}

void bench_report(const struct bench_result *result, const char *broker, bool first)
{
    if (cli_common.json) {
        report_json(result, broker);
    } else {
        report_row(result, first);
    }
}
