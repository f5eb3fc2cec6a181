/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool producer: what the broker remembers of a producer's name.
 */
#include <stdio.h>
#include <string.h>

#include "client/cli/columns.h"
#include "client/cli/json.h"
#include "client/cli/verbs.h"

static void print_json(const zspool_producer_info_t *info)
{
    struct json json = json_begin();
    json_text(&json, "producer", info->producer);
    json_uint(&json, "epoch", info->epoch);
    json_open_array(&json, "last");
    for (size_t i = 0; i < info->count; i++) {
        json_open_item(&json);
        json_text(&json, "topic", info->last[i].topic);
        json_uint(&json, "partition", info->last[i].partition);
        json_uint(&json, "sequence", info->last[i].sequence);
        json_close_object(&json);
    }
    json_close_array(&json);
    json_end(&json);
}

static int print_plain(const zspool_producer_info_t *info)
{
    struct columns columns;
    printf("producer %s, epoch %u\n", info->producer, info->epoch);
    columns_init(&columns, "<TOPIC PARTITION SEQUENCE");
    for (size_t i = 0; i < info->count; i++) {
        columns_text(&columns, info->last[i].topic);
        columns_count(&columns, info->last[i].partition);
        columns_count(&columns, info->last[i].sequence);
    }
    const bool printed = columns_print(&columns);
    columns_fini(&columns);
    return printed ? CLI_OK : CLI_ERROR;
}

static int tell(zspool_client_t *client, const char *name)
{
    zspool_error_t err = {0};
    int code = CLI_OK;
    zspool_producer_info_t *info;
    if (zspool_producer_info(client, name, cli_timeout(), &info, &err) != 0) {
        return cli_fail(&err);
    }
    if (cli_common.json) {
        print_json(info);
    } else {
        code = print_plain(info);
    }
    zspool_free(info);
    return code;
}

static int run(const struct cli_verb *verb, int argc, char **argv)
{
    struct cli_args args;
    const int rc = cli_parse(verb, NULL, argc, argv, &args);
    if (rc != 0) {
        return cli_parsed_exit(rc);
    }
    if (strcmp(args.items[0], "info") != 0) {
        return cli_usage(verb, "there is no \"producer %s\"", args.items[0]);
    }
    if (args.count < 2) {
        return cli_usage(verb, "info wants a NAME");
    }
    zspool_client_t *client = cli_client("zspool-producer");
    const int code = client ? tell(client, args.items[1]) : CLI_USAGE;
    cli_client_destroy(&client);
    return code;
}

const struct cli_verb cli_producer = {
    .name = "producer",
    .synopsis = "info NAME",
    .summary = "tell where a producer's name stands: its epoch and sequences",
    .details = "A producer of the library with a name publishes every message once, also over\n"
               "restarts: SEQUENCE is that of the last message appended to each partition.\n"
               "Exit code 4 when the broker does not know the name, or not any more.\n",
    .example = "  zspool producer info importer-1\n",
    .args_min = 1,
    .args_max = 2,
    .run_fn = run,
};
