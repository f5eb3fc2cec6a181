/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool info: what the broker tells about itself.
 */
#include <stdio.h>
#include <string.h>

#include "client/cli/json.h"
#include "client/cli/terminal.h"
#include "client/cli/verbs.h"

static void print_json(const zspool_info_t *info, const zspool_figures_t *stats)
{
    struct json json = json_begin();
    json_text(&json, "endpoint", info->endpoint);
    json_text(&json, "broker", info->broker);
    json_uint(&json, "protocol", info->protocol);
    json_text(&json, "features", info->features);
    json_uint(&json, "session_timeout_ms", info->session_timeout_ms);
    json_open_object(&json, "limits");
    json_uint(&json, "max_requests", info->max_requests);
    json_uint(&json, "max_request_bytes", info->max_request_bytes);
    json_uint(&json, "max_header", info->max_header);
    json_uint(&json, "max_frame", info->max_frame);
    json_uint(&json, "max_record", info->max_record);
    json_uint(&json, "max_reply", info->max_reply);
    json_uint(&json, "max_runs", info->max_runs);
    json_uint(&json, "max_wait_ms", info->max_wait_ms);
    json_close_object(&json);
    json_open_object(&json, "stats");
    for (size_t i = 0; i < stats->count; i++) {
        json_figure(&json, &stats->items[i]);
    }
    json_close_object(&json);
    json_end(&json);
}

static void print_figure(const zspool_figure_t *figure)
{
    char text[TERMINAL_FIGURE_SIZE];
    const char *unit = strrchr(figure->name, '_');
    if (figure->is_unset) {
        return;
    }
    printf("%-24s ", figure->name);
    if (figure->is_text) {
        printf("%s\n", figure->text);
    } else if (unit && strcmp(unit, "_bytes") == 0 && figure->value >= 0) {
        printf("%s\n", terminal_bytes((uint64_t)figure->value, text));
    } else {
        printf("%lld\n", (long long)figure->value);
    }
}

static void print_plain(const zspool_info_t *info, const zspool_figures_t *stats)
{
    printf("%-24s %s\n%-24s %s\n%-24s %s\n", "endpoint", info->endpoint, "broker", info->broker,
           "features", info->features);
    for (size_t i = 0; i < stats->count; i++) {
        print_figure(&stats->items[i]);
    }
}

static int tell(zspool_client_t *client)
{
    zspool_error_t err = {0};
    zspool_info_t info;
    zspool_figures_t *stats = NULL;
    zspool_info_init(&info);
    int rc = zspool_connect(client, cli_timeout(), &info, &err);
    if (rc == 0) {
        rc = zspool_stats(client, cli_timeout(), &stats, &err);
    }
    if (rc != 0) {
        return cli_fail(&err);
    }
    if (cli_common.json) {
        print_json(&info, stats);
    } else {
        print_plain(&info, stats);
    }
    zspool_free(stats);
    return CLI_OK;
}

static int run(const struct cli_verb *verb, int argc, char **argv)
{
    struct cli_args args;
    const int rc = cli_parse(verb, NULL, argc, argv, &args);
    if (rc != 0) {
        return cli_parsed_exit(rc);
    }
    zspool_client_t *client = cli_client("zspool-info");
    const int code = client ? tell(client) : CLI_USAGE;
    cli_client_destroy(&client);
    return code;
}

const struct cli_verb cli_info = {
    .name = "info",
    .synopsis = "[OPTION]...",
    .summary = "tell what the broker is, its limits and its figures",
    .details = "The figures are those since its start, or as they are now: docs/PROTOCOL.md,\n"
               "STATS, says what each means. `zspool stat` tells how fast they change.\n",
    .example = "  zspool info --json\n",
    .args_min = 0,
    .args_max = 0,
    .run_fn = run,
};
