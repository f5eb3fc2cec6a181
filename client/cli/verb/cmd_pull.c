/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool pull: lease, print, then settle.
 *
 * A message is settled only when all that was printed of it has left this process: messages are
 * held in short bursts, as long as more are at hand. When the reader of the
 * output goes, or on Ctrl-C, what was not printed is handed back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/printer.h"
#include "client/cli/terminal.h"
#include "client/cli/verb/nothing.h"
#include "client/cli/verbs.h"

#define NO_OUTCOME (-1)

struct pull {
    const char *group, *mode, *outcome_name, *format;
    uint64_t count;
    int64_t wait_ms; /* -1 = for ever */
    bool end;
    zspool_position_t start;

    int outcome; /* zspool_outcome_t or NO_OUTCOME */
    zspool_client_t *client;
    zspool_consumer_t *consumer;
    struct printer *printer;
    struct progress progress;
    const zspool_message_t *burst[PRINTER_BURST]; /* put, not flushed */
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

/* Print, then settle what has left; the rest is handed back. False = printing has ended. */
static bool settle_burst(struct pull *self)
{
    const size_t left = printer_flush(self->printer);
    const bool all_left = left == self->burst_count;
    for (size_t i = 0; i < self->burst_count; i++) {
        const int outcome = i < left ? self->outcome : ZSPOOL_RELEASE;
        if (outcome != NO_OUTCOME) {
            (void)zspool_settle(self->consumer, self->burst[i], (zspool_outcome_t)outcome, NULL,
                                NULL); /* in hand, and no argument: cannot be wrong */
        }
    }
    self->printed += left;
    self->burst_count = 0;
    progress_show(&self->progress, self->printed, self->printed);
    return all_left;
}

static int nothing_more(const struct pull *self)
{
    const bool any = self->printed + self->burst_count > 0;
    return any || zspool_consumer_finished(self->consumer) ? CLI_OK : CLI_TIMEOUT;
}

/* Wait for the next message; what is in the burst was printed. As zspool_next(), also
 * ZSPOOL_ETIMEOUT when the reader of the output goes meanwhile. */
static int wait_for_next(struct pull *self, const zspool_message_t **ret, zspool_error_t *err)
{
    int64_t left_ms = self->wait_ms;
    bool is_told = false;
    for (;;) {
        const bool is_last = left_ms >= 0 && left_ms <= CLI_LOOK_MS;
        const int rc = zspool_next(self->consumer, ret, is_last ? (int)left_ms : CLI_LOOK_MS, err);
        if (rc != ZSPOOL_ETIMEOUT || is_last || cli_reader_gone()) {
            return rc;
        }
        cli_note_absence(self->client, &is_told);
        left_ms -= left_ms > 0 ? CLI_LOOK_MS : 0;
    }
}

/* The exit code; what is in the burst is still to be settled. */
static int pull_all(struct pull *self, zspool_error_t *err)
{
    while (!cli_stopped()) {
        const zspool_message_t *message;
        int rc = zspool_next(self->consumer, &message, 0, err);
        if (rc == ZSPOOL_ETIMEOUT) { /* nothing at hand: the moment to print, and then to wait */
            if (!settle_burst(self)) {
                return CLI_ERROR;
            }
            rc = wait_for_next(self, &message, err);
        }
        if (rc == ZSPOOL_END || rc == ZSPOOL_ETIMEOUT) {
            return nothing_more(self);
        }
        if (rc == ZSPOOL_EINTERRUPTED) {
            break;
        }
        if (rc != 0) {
            return cli_fail(err);
        }
        printer_put(self->printer, message);
        self->burst[self->burst_count++] = message;
        if (printer_is_full(self->printer) && !settle_burst(self)) {
            return CLI_ERROR;
        }
    }
    return CLI_OK;
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
    options.auto_extend = true; /* the reader of the output may be slow */
    self->consumer = zspool_consumer_new(self->client, &options, &err);
    if (!self->consumer) {
        return cli_fail(&err);
    }
    char what[64];
    (void)snprintf(what, sizeof what, "pull for %s", self->group);
    self->progress = progress_begin(what, self->count, true);
    int code = pull_all(self, &err);
    zspool_interrupt_clear(self->client); /* what was printed is still to be settled */
    if (!settle_burst(self)) {
        code = CLI_ERROR;
    }
    progress_end(&self->progress);
    if (zspool_settle_flush(self->consumer, cli_timeout(), &err) != 0) {
        const int failed = cli_fail(&err);
        code = code == CLI_OK ? failed : code;
    }
    if (code == CLI_TIMEOUT) {
        code = nothing_for_group(self->client, self->group, options.topics, options.topic_count);
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
        {0, "mode", CLI_TEXT, "MODE", "of a new group: shared, ordered or keyed (shared)",
         &self.mode},
        {0, "format", CLI_TEXT, "FORMAT", "print messages by this, see zspool help read",
         &self.format},
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
        return cli_usage(verb,
                         "there is no outcome \"%s\": want ack, retry, release, reject or none",
                         self.outcome_name);
    }
    int code = CLI_USAGE;
    self.printer = printer_new(verb, self.format, &code);
    if (!self.printer) {
        return code;
    }
    self.client = cli_client("zspool-pull");
    if (self.client) {
        code = consume(&self, args.items, args.count);
    }
    cli_client_destroy(&self.client);
    printer_destroy(&self.printer);
    return code;
}

const struct cli_verb cli_pull = {
    .name = "pull",
    .synopsis = "-g GROUP [OPTION]... TOPIC...",
    .summary = "take messages as a member of a group, print them, settle them",
    .details = "TOPIC may be a pattern like 'orders.*': all that match, also later ones.\n"
               "Each payload is printed with a newline, and acknowledged when it is out.\n"
               "Without -n, --wait or -e it goes on until Ctrl-C: what was printed by then is\n"
               "settled, the rest handed back; the same when nobody reads the output any more.\n"
               "A second Ctrl-C ends at once; leases then end by themselves. --outcome none\n"
               "leaves messages leased, for `zspool settle`. POSITION and FORMAT are those of\n"
               "`zspool read`. Exit code 3 when there was nothing, 4 when none of the topics\n"
               "exists; why is told on standard error.\n",
    .example = "  zspool pull orders -g billing -n 10 --wait 5s\n"
               "  zspool pull 'orders.*' -g billing\n"
               "  zspool pull orders returns -g audit -e --json >> audit.jsonl\n"
               "  zspool pull orders -g billing --outcome none --format '%t/%p/%o@%l\\n'\n",
    .args_min = 1,
    .args_max = 1024,
    .run_fn = run,
};
