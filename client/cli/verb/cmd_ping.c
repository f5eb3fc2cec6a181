/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool ping: is the broker there?
 */
#include <stdio.h>

#include "client/cli/json.h"
#include "client/cli/verbs.h"

static int ping(zspool_client_t *client)
{
    zspool_error_t err = {0};
    zspool_info_t info;
    uint64_t round_trip_us = 0;
    zspool_info_init(&info);
    int rc = zspool_connect(client, cli_timeout(), &info, &err);
    if (rc == 0) {
        rc = zspool_ping(client, cli_timeout(), &round_trip_us, &err);
    }
    if (rc != 0) {
        return cli_fail(&err);
    }
    if (cli_common.json) {
        struct json json = json_begin();
        json_text(&json, "endpoint", info.endpoint);
        json_text(&json, "broker", info.broker);
        json_uint(&json, "round_trip_us", round_trip_us);
        json_end(&json);
    } else {
        printf("%s: %s, %.3f ms\n", info.endpoint, info.broker, (double)round_trip_us / 1000);
    }
    return CLI_OK;
}

static int run(const struct cli_verb *verb, int argc, char **argv)
{
    struct cli_args args;
    const int rc = cli_parse(verb, NULL, argc, argv, &args);
    if (rc != 0) {
        return cli_parsed_exit(rc);
    }
    zspool_client_t *client = cli_client("zspool-ping");
    const int code = client ? ping(client) : CLI_USAGE;
    cli_client_destroy(&client);
    return code;
}

const struct cli_verb cli_ping = {
    .name = "ping",
    .synopsis = "[OPTION]...",
    .summary = "ask the broker for a sign of life",
    .details = "Exit code 0 when it answered in time, 3 when it did not.\n",
    .example = "  zspool ping --timeout 2s\n",
    .args_min = 0,
    .args_max = 0,
    .run_fn = run,
};
