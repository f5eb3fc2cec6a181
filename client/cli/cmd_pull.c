/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool pull: lease, print, flush, then settle.
 *
 * A message is settled only when what was printed of it has left this process: messages are held
 * until the output is flushed, in short bursts as long as more are at hand.
 * When the reader of the output goes, what was not flushed is handed back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/json.h"
#include "client/cli/verbs.h"

#define BURST      64u /* messages between two flushes */
#define NO_OUTCOME (-1)

struct pull {
    const char *group, *mode, *outcome_name;
    uint64_t count;
    int64_t wait_ms; /* -1 = for ever */
    bool end;
    zspool_position_t start;

    int outcome; /* zspool_outcome_t or NO_OUTCOME */
    zspool_client_t *client;
    zspool_consumer_t *consumer;
    const zspool_message_t *burst[BURST]; /* printed, not flushed */
    size_t burst_count;
    uint64_t printed;
};

static bool read_outcome(const char *name, int *ret)
{
    static const struct {
        const char *name;
        int outcome;
    } outcomes[] = {{"ack", ZSPOOL_ACK},
                    {"retry", ZSPOOL_RETRY},
                    {"release", ZSPOOL_RELEASE},
                    {"reject", ZSPOOL_REJECT},
                    {"none", NO_OUTCOME}};
    for (size_t i = 0; i < sizeof outcomes / sizeof outcomes[0]; i++) {
        if (strcmp(outcomes[i].name, name) == 0) {
            *ret = outcomes[i].outcome;
            return true;
        }
    }
    return false;
}

static void print(const zspool_message_t *message)
{
    if (cli_common.json) {
        json_message(message);
        return;
    }
    (void)fwrite(message->payload.data, 1, message->payload.len, stdout); /* cli_flush() tells */
    putchar('\n');
}

/* Flush, then settle what was printed; handed back when nobody reads it. */
static bool settle_burst(struct pull *self)
{
    const bool flushed = cli_flush();
    for (size_t i = 0; i < self->burst_count; i++) {
        const int outcome = flushed ? self->outcome : ZSPOOL_RELEASE;
        if (outcome != NO_OUTCOME) {
            (void)zspool_settle(self->consumer, self->burst[i], (zspool_outcome_t)outcome, NULL,
                                NULL); /* in hand, and no argument: cannot be wrong */
        }
    }
    self->printed += flushed ? self->burst_count : 0;
    self->burst_count = 0;
    return flushed;
}

static int wait_ms(const struct pull *self)
{
    return self->wait_ms > INT32_MAX ? INT32_MAX : (int)self->wait_ms;
}

/* 0 = end of the run, or an exit code. */
static int pull_all(struct pull *self, zspool_error_t *err)
{
    for (;;) {
        const zspool_message_t *message;
        int rc = zspool_next(self->consumer, &message, 0, err);
        if (rc != 0) { /* nothing at hand: the moment to flush, and then to wait */
            if (!settle_burst(self)) {
                return CLI_ERROR;
            }
            if (rc == ZSPOOL_ETIMEOUT) {
                rc = zspool_next(self->consumer, &message, wait_ms(self), err);
            }
        }
        if (rc == ZSPOOL_END || rc == ZSPOOL_ETIMEOUT) {
            return self->printed > 0 ? CLI_OK : CLI_TIMEOUT;
        }
        if (rc == ZSPOOL_EINTERRUPTED) {
            return CLI_OK;
        }
        if (rc != 0) {
            return cli_fail(err);
        }
        print(message);
        self->burst[self->burst_count++] = message;
        if ((self->burst_count == BURST || cli_stopped()) && !settle_burst(self)) {
            return CLI_ERROR;
        }
    }
}

static int consume(struct pull *self, char **topics, int topic_count)
{
    zspool_error_t err = {0};
    zspool_consumer_options_t options;
    zspool_consumer_options_init(&options);
    options.group = self->group;
    options.topics = (const char *const *)topics;
    options.topic_count = (size_t)topic_count;
    options.mode = self->mode;
    options.start = self->start;
    options.message_limit = self->count;
    options.end_when_empty = self->end;
    self->consumer = zspool_consumer_new(self->client, &options, &err);
    if (!self->consumer) {
        return cli_fail(&err);
    }
    int code = pull_all(self, &err);
    zspool_interrupt_clear(self->client); /* what was printed is still to be settled */
    (void)settle_burst(self);
    if (zspool_settle_flush(self->consumer, cli_timeout(), &err) != 0) {
        const int failed = cli_fail(&err);
        code = code == CLI_OK ? failed : code;
    }
    if (code == CLI_TIMEOUT && zspool_connect(self->client, 0, NULL, &err) != 0) {
        (void)cli_fail(&err); /* silence would look like an empty topic */
    }
    zspool_consumer_destroy(&self->consumer);
    return code;
}

static int run(const struct cli_verb *verb, int argc, char **argv)
{
    struct pull self = {.wait_ms = -1, .outcome_name = "ack"};
    const struct cli_option table[] = {
        {'g', "group", CLI_TEXT, "GROUP", "the group to pull for (required)", &self.group},
        {'n', "count", CLI_COUNT, "COUNT", "end after COUNT messages", &self.count},
        {0, "wait", CLI_DURATION, "TIME", "end when nothing came for so long", &self.wait_ms},
        {'e', "end", CLI_FLAG, NULL, "end when nothing is ready", &self.end},
        {0, "outcome", CLI_TEXT, "OUTCOME", "ack (default), retry, release, reject or none",
         &self.outcome_name},
        {0, "start", CLI_POSITION, "POSITION", "where a new group begins (earliest)", &self.start},
        {0, "mode", CLI_TEXT, "MODE", "mode of a new group (shared)", &self.mode},
        {0, NULL, CLI_FLAG, NULL, NULL, NULL},
    };
    struct cli_args args;
    const int rc = cli_parse(verb, table, argc, argv, &args);
    if (rc != 0) {
        return cli_parsed_exit(rc);
    }
    if (!self.group) {
        return cli_usage(verb, "-g GROUP is missing");
    }
    if (!read_outcome(self.outcome_name, &self.outcome)) {
        return cli_usage(verb, "there is no outcome \"%s\"", self.outcome_name);
    }
    self.client = cli_client("zspool-pull");
    if (!self.client) {
        return CLI_USAGE;
    }
    const int code = consume(&self, args.items, args.count);
    cli_client_destroy(&self.client);
    return code;
}

const struct cli_verb cli_pull = {
    .name = "pull",
    .synopsis = "-g GROUP [OPTION]... TOPIC...",
    .summary = "take messages as a member of a group, print them, settle them",
    .details = "Each payload is printed with a newline, and acknowledged when it is out.\n"
               "Without -n, --wait or -e it goes on until Ctrl-C. What was not printed is\n"
               "handed back. --outcome none leaves messages leased, for `zspool settle`.\n"
               "Exit code 3 when there was nothing.\n",
    .example = "  zspool pull orders -g billing -n 10 --wait 5s\n",
    .args_min = 1,
    .args_max = 1024,
    .run_fn = run,
};
