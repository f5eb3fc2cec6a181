/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool read: replay, without a group.
 */
#include <stdio.h>

#include "client/cli/json.h"
#include "client/cli/verbs.h"

struct read_run {
    zspool_position_t from, to;
    int32_t partition;
    uint64_t count;
    bool follow;
};

static int print_all(const struct read_run *self, zspool_reader_t *reader)
{
    zspool_error_t err = {0};
    uint64_t printed = 0;
    while (self->count == 0 || printed < self->count) {
        const zspool_message_t *message;
        int rc = zspool_read(reader, &message, 0, &err);
        if (rc == ZSPOOL_ETIMEOUT) { /* nothing at hand: the moment to flush */
            if (!cli_flush()) {
                return CLI_ERROR;
            }
            rc = zspool_read(reader, &message, self->follow ? -1 : cli_timeout(), &err);
        }
        if (rc == ZSPOOL_END || rc == ZSPOOL_EINTERRUPTED) {
            break;
        }
        if (rc != 0) {
            return cli_fail(&err);
        }
        if (cli_common.json) {
            json_message(message);
        } else {
            (void)fwrite(message->payload.data, 1, message->payload.len, stdout);
            putchar('\n');
        }
        if (ferror(stdout)) {
            return CLI_ERROR; /* nobody reads it any more */
        }
        printed++;
    }
    if (!cli_flush()) {
        return CLI_ERROR;
    }
    return printed > 0 || cli_stopped() ? CLI_OK : CLI_TIMEOUT;
}

static int run(const struct cli_verb *verb, int argc, char **argv)
{
    struct read_run self = {.partition = ZSPOOL_PARTITION_ALL};
    const struct cli_option table[] = {
        {0, "from", CLI_POSITION, "POSITION", "begin there (earliest)", &self.from},
        {0, "to", CLI_POSITION, "POSITION", "end before that (the end as it is now)", &self.to},
        {'p', "partition", CLI_PARTITION, "NUMBER", "only this partition (all, by time)",
         &self.partition},
        {'n', "count", CLI_COUNT, "COUNT", "end after COUNT messages", &self.count},
        {'f', "follow", CLI_FLAG, NULL, "go on with new messages, until Ctrl-C", &self.follow},
        {0, NULL, CLI_FLAG, NULL, NULL, NULL},
    };
    struct cli_args args;
    const int rc = cli_parse(verb, table, argc, argv, &args);
    if (rc != 0) {
        return cli_parsed_exit(rc);
    }
    if (self.follow && self.to.kind != ZSPOOL_POSITION_NONE) {
        return cli_usage(verb, "-f and --to exclude each other");
    }
    zspool_error_t err = {0};
    zspool_client_t *client = cli_client("zspool-read");
    if (!client) {
        return CLI_USAGE;
    }
    zspool_reader_options_t options;
    zspool_reader_options_init(&options);
    options.topic = args.items[0];
    options.partition = self.partition;
    options.from = self.from;
    options.to = self.to;
    options.follow = self.follow;
    zspool_reader_t *reader = zspool_reader_new(client, &options, &err);
    const int code = reader ? print_all(&self, reader) : cli_fail(&err);
    zspool_reader_destroy(&reader);
    cli_client_destroy(&client);
    return code;
}

const struct cli_verb cli_read = {
    .name = "read",
    .synopsis = "[OPTION]... TOPIC",
    .summary = "replay messages; groups are not touched",
    .details = "A POSITION is earliest, latest, an offset, -N (the last N of each partition),\n"
               "10m (ago), 2026-01-31T12:00:00Z or @UNIXTIME. An offset must be in the log;\n"
               "the others are moved to what is there. Exit code 3 when there was nothing.\n",
    .example = "  zspool read orders --from 10m --json\n",
    .args_min = 1,
    .args_max = 1,
    .run_fn = run,
};
