/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool settle: outcomes for messages that another process leased.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/json.h"
#include "client/cli/verbs.h"

struct settle {
    bool ack, release, reject;
    int64_t retry_ms, extend_ms; /* -1 = not given */
    const char *reason;
};

/* topic/partition/offset@lease; cuts the text apart when it is one. */
static bool read_address(char *text, zspool_settle_run_t *ret)
{
    uint64_t partition;
    char *lease = strrchr(text, '@');
    char *slashes[2] = {NULL, NULL}; /* the last two before the lease */
    for (char *p = text; lease && p < lease; p++) {
        if (*p == '/') {
            slashes[0] = slashes[1];
            slashes[1] = p;
        }
    }
    if (!slashes[0] || slashes[0] == text) {
        return false;
    }
    char *const ends[] = {slashes[0], slashes[1], lease};
    static const char marks[] = "//@";
    for (size_t i = 0; i < 3; i++) {
        *ends[i] = '\0';
    }
    if (cli_read_number(ends[0] + 1, 1023, &partition) &&
        cli_read_number(ends[1] + 1, INT64_MAX, &ret->first_offset) &&
        cli_read_number(ends[2] + 1, INT64_MAX, &ret->lease) && ret->lease > 0) {
        ret->topic = text;
        ret->partition = (uint32_t)partition;
        ret->count = 1;
        return true;
    }
    for (size_t i = 0; i < 3; i++) { /* whole again, for the message */
        *ends[i] = marks[i];
    }
    return false;
}

static bool choose(const struct settle *self, zspool_settle_run_t *ret)
{
    const int chosen =
        self->ack + self->release + self->reject + (self->retry_ms >= 0) + (self->extend_ms >= 0);
    zspool_settle_arg_init(&ret->arg);
    ret->arg.reason = zspool_text(self->reason);
    if (self->release) {
        ret->outcome = ZSPOOL_RELEASE;
    } else if (self->reject) {
        ret->outcome = ZSPOOL_REJECT;
    } else if (self->retry_ms >= 0) {
        ret->outcome = ZSPOOL_RETRY;
        ret->arg.delay_ms = self->retry_ms;
    } else if (self->extend_ms >= 0) {
        ret->outcome = ZSPOOL_EXTEND;
        ret->arg.extend_ms = self->extend_ms;
    } else {
        ret->outcome = ZSPOOL_ACK;
    }
    return chosen == 1;
}

static const char *settled_name(zspool_settled_t settled)
{
    switch (settled) {
    case ZSPOOL_SETTLED:
        return "applied";
    case ZSPOOL_SETTLED_DONE:
        return "done";
    case ZSPOOL_SETTLED_LOST:
        return "lost";
    case ZSPOOL_SETTLED_UNKNOWN:
        break;
    }
    return "unknown";
}

static int tell(const zspool_settle_run_t *runs, size_t count)
{
    int code = CLI_OK;
    for (size_t i = 0; i < count; i++) {
        const zspool_settle_run_t *run = &runs[i];
        if (cli_common.json) {
            struct json json = json_begin();
            json_text(&json, "topic", run->topic);
            json_uint(&json, "partition", run->partition);
            json_uint(&json, "offset", run->first_offset);
            json_uint(&json, "lease", run->lease);
            json_text(&json, "settled", settled_name(run->ret_settled));
            json_end(&json);
        }
        if (run->ret_settled == ZSPOOL_SETTLED_LOST || run->ret_settled == ZSPOOL_SETTLED_UNKNOWN) {
            cli_say(
                "%s/%u/%llu: %s", run->topic, run->partition, (unsigned long long)run->first_offset,
                run->ret_settled == ZSPOOL_SETTLED_LOST ? "the lease is lost" : "never handed out");
            code = CLI_ERROR;
        }
    }
    return code;
}

static int settle_all(const char *group, zspool_settle_run_t *runs, size_t count)
{
    zspool_error_t err = {0};
    zspool_client_t *client = cli_client("zspool-settle");
    if (!client) {
        return CLI_USAGE;
    }
    const int rc = zspool_settle_at(client, group, runs, count, cli_timeout(), &err);
    const int code = rc == 0 ? tell(runs, count) : cli_fail(&err);
    cli_client_destroy(&client);
    return code;
}

static int run(const struct cli_verb *verb, int argc, char **argv)
{
    struct settle self = {.retry_ms = -1, .extend_ms = -1};
    const struct cli_option table[] = {
        {0, "ack", CLI_FLAG, NULL, "done", &self.ack},
        {0, "retry", CLI_DURATION, "TIME", "again after TIME; counts as a failure", &self.retry_ms},
        {0, "release", CLI_FLAG, NULL, "hand back; does not count", &self.release},
        {0, "reject", CLI_FLAG, NULL, "dead at once", &self.reject},
        {0, "extend", CLI_DURATION, "TIME", "keep the lease for TIME from now", &self.extend_ms},
        {0, "reason", CLI_TEXT, "TEXT", "why, for --retry and --reject", &self.reason},
        {0, NULL, CLI_FLAG, NULL, NULL, NULL},
    };
    struct cli_args args;
    const int rc = cli_parse(verb, table, argc, argv, &args);
    if (rc != 0) {
        return cli_parsed_exit(rc);
    }
    const size_t run_count = (size_t)args.count - 1;
    zspool_settle_run_t *runs = calloc(run_count, sizeof *runs);
    if (!runs) {
        cli_say("no memory");
        return CLI_ERROR;
    }
    int code = CLI_OK;
    for (size_t i = 0; i < run_count && code == CLI_OK; i++) {
        if (!choose(&self, &runs[i])) {
            code = cli_usage(verb, "want exactly one of --ack --retry --release --reject --extend");
        } else if (self.reason && !self.reject && self.retry_ms < 0) {
            code = cli_usage(verb, "--reason is for --retry and --reject");
        } else if (!read_address(args.items[i + 1], &runs[i])) {
            code = cli_usage(verb, "\"%s\" is no address: want TOPIC/PARTITION/OFFSET@LEASE",
                             args.items[i + 1]);
        }
    }
    if (code == CLI_OK) {
        code = settle_all(args.items[0], runs, run_count);
    }
    free(runs);
    return code;
}

const struct cli_verb cli_settle = {
    .name = "settle",
    .synopsis = "GROUP ADDRESS@LEASE... OUTCOME [OPTION]...",
    .summary = "settle messages by address and lease, from any process",
    .details = "ADDRESS is TOPIC/PARTITION/OFFSET; address and lease are what `zspool pull\n"
               "--outcome none` tells with --json, or with --format '%t/%p/%o@%l\\n'. Settling\n"
               "again is harmless. Exit code 1 when a lease was lost: others may have the\n"
               "message. --json tells of each: applied, done, lost or unknown.\n",
    .example = "  zspool settle billing orders/0/17@482910557712 --retry 30s --reason busy\n"
               "  zspool settle billing orders/0/18@482910557712 --extend 5m\n",
    .args_min = 2,
    .args_max = 4097,
    .run_fn = run,
};
