/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool work: a command per message, its payload on the command's standard input.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/signal_pipe.h"
#include "client/cli/verb/nothing.h"
#include "client/cli/verbs.h"
#include "client/cli/worker/work.h"

#define GRACE_MS           5000
#define PATIENCE_MS        60000

#define RETRY_DELAY_MS_MAX ((int64_t)365 * 24 * 3600 * 1000) /* what <zspool.h> allows */

extern char **environ; /* POSIX declares it in no header */

static zspool_consumer_t *new_consumer(const struct work *self, zspool_error_t *err)
{
    const char *const topics[] = {self->topic};
    zspool_consumer_options_t options;
    zspool_consumer_options_init(&options);
    options.group = self->group;
    options.topics = topics;
    options.topic_count = 1;
    options.mode = self->mode;
    options.start = self->start;
    options.message_limit = self->count;
    options.end_when_empty = self->end;
    options.auto_extend = true;
    /* As many as run, not one more: what would wait here leased could run elsewhere. */
    options.held_limit = (uint32_t)self->jobs;
    return zspool_consumer_new(self->client, &options, err);
}

/* Keep what was settled, and tell what could not be. */
static void finish(struct work *self)
{
    const char *const topics[] = {self->topic};
    zspool_error_t err = {0};
    zspool_lost_t lost[1];
    const int rc = zspool_settle_flush(self->consumer, cli_timeout(), &err);
    if (rc == ZSPOOL_ENOT_LEASED) {
        cli_say("%s", err.message); /* those messages come again: nothing is wrong with this run */
    } else if (rc != 0) {
        const int code = cli_fail(&err);
        self->code = self->code == CLI_OK ? code : self->code;
    }
    while (zspool_lost(self->consumer, lost, 1) > 0) {
        cli_say("%s/%u/%llu: its lease was lost before its outcome was kept", lost->topic,
                lost->partition, (unsigned long long)lost->first_offset);
    }
    if (self->started == 0 && self->code == CLI_OK && self->stop_signals == 0 &&
        !zspool_consumer_finished(self->consumer)) {
        self->code = nothing_for_group(self->client, self->group, topics, 1);
    }
}

/* Begin to commit, and see that the name of the topic is one, before a command runs. */
static bool can_publish(struct work *self, zspool_error_t *err)
{
    const zspool_out_t nothing = zspool_out(self->to, "", 0);
    self->commit = zspool_commit_new(self->client, self->consumer, NULL, err);
    if (!self->commit || zspool_commit_send(self->commit, &nothing, err) != 0) {
        return false;
    }
    zspool_commit_clear(self->commit);
    return true;
}

static int work(struct work *self)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGCHLD};
    zspool_error_t err = {0};
    self->consumer = new_consumer(self, &err);
    if (!self->consumer) {
        return cli_fail(&err);
    }
    if (self->to && !can_publish(self, &err)) {
        const int code = cli_fail(&err);
        zspool_commit_destroy(&self->commit);
        zspool_consumer_destroy(&self->consumer);
        return code;
    }
    self->env = work_env_new(environ, cli_common.server, self->group);
    self->slots = calloc(self->jobs, sizeof *self->slots);
    self->signal_fd = signal_pipe_open(signals, sizeof signals / sizeof signals[0]);
    if (!self->env || !self->slots || self->signal_fd < 0) {
        cli_say("no memory or no descriptors for %llu commands", (unsigned long long)self->jobs);
        self->code = CLI_ERROR;
    } else {
        self->code = work_loop(self);
        finish(self);
    }
    if (self->signal_fd >= 0) {
        signal_pipe_close(self->signal_fd);
    }
    free(self->slots);
    work_env_destroy(&self->env);
    zspool_commit_destroy(&self->commit);
    zspool_consumer_destroy(&self->consumer);
    return self->code;
}

/* 0, or the exit code of wrong usage. */
static int check(const struct cli_verb *verb, const struct work *self)
{
    if (!self->group) {
        return cli_usage(verb, "-g GROUP is missing");
    }
    if (self->jobs > WORK_JOBS_MAX) {
        return cli_usage(verb, "-j is at most %u", WORK_JOBS_MAX);
    }
    if (self->retry_delay_ms > RETRY_DELAY_MS_MAX) {
        return cli_usage(verb, "--retry-delay is at most 365d");
    }
    if (self->patience_ms >= 0 && !self->to) {
        return cli_usage(verb, "--patience is for --to");
    }
    return 0;
}

static int run(const struct cli_verb *verb, int argc, char **argv)
{
    struct work self = {
        .wait_ms = -1, .jobs = 1, .grace_ms = GRACE_MS, .retry_delay_ms = -1, .patience_ms = -1};
    const struct cli_option table[] = {
        {'g', "group", CLI_TEXT, "GROUP", "the group to work for (required)", &self.group},
        {'j', "jobs", CLI_COUNT, "N", "commands at a time (1); up to 256", &self.jobs},
        {'n', "count", CLI_COUNT, "COUNT", "end after COUNT messages", &self.count},
        {0, "wait", CLI_DURATION, "TIME", "end when nothing came for so long", &self.wait_ms},
        {'e', "end", CLI_FLAG, NULL, "end when nothing is ready", &self.end},
        {0, "timeout", CLI_SPAN, "TIME", "end a command after so long: a retry (no limit)",
         &self.limit_ms},
        {0, "grace", CLI_DURATION, "TIME", "between SIGTERM and SIGKILL (5s)", &self.grace_ms},
        {0, "retry-delay", CLI_DURATION, "TIME", "before a retry (the group's backoff)",
         &self.retry_delay_ms},
        {0, "start", CLI_POSITION, "POSITION", "where a new group begins (earliest)", &self.start},
        {0, "mode", CLI_TEXT, "MODE", "of a new group: shared, ordered or keyed (shared)",
         &self.mode},
        {0, "to", CLI_TEXT, "TOPIC", "publish what a command prints, with its ack as one",
         &self.to},
        {0, "patience", CLI_DURATION, "TIME",
         "end when what is printed is refused for so long (1m)", &self.patience_ms},
        {0, NULL, CLI_FLAG, NULL, NULL, NULL},
    };
    struct cli_args args;
    const int rc = cli_parse(verb, table, argc, argv, &args);
    if (rc != 0) {
        return cli_parsed_exit(rc);
    }
    const int wrong = check(verb, &self);
    if (wrong != 0) {
        return wrong;
    }
    self.patience_ms = self.patience_ms < 0 ? PATIENCE_MS : self.patience_ms;
    self.topic = args.items[0];
    self.command = args.items + 1;
    self.client = cli_client("zspool-work");
    if (!self.client) {
        return CLI_USAGE;
    }
    const int code = work(&self);
    cli_client_destroy(&self.client);
    return code;
}

const struct cli_verb cli_work = {
    .name = "work",
    .synopsis = "TOPIC -g GROUP [OPTION]... -- COMMAND [ARGUMENT]...",
    .summary = "run a command for each message, with its payload on standard input",
    .details = "Exit 0 of the command acks the message, 65 rejects it (dead at once), any\n"
               "other end is a retry after the group's backoff; the reason is kept, with the\n"
               "last line on standard error. No shell. What cannot be run at all ends the run.\n"
               "Its environment has ZSPOOL_TOPIC, _PARTITION, _OFFSET, _TIMESTAMP,\n"
               "_PRIORITY, _DELIVERIES, _FAILURES, _GROUP, _SERVER; _KEY, _TYPE, _ID if there\n"
               "are; ZSPOOL_HEADER_name for names of letters, digits and _. What no variable\n"
               "can hold (NUL, more than 32 KiB) is left out and named in ZSPOOL_OMITTED.\n"
               "Only as many messages are leased as commands run; their leases are extended.\n"
               "If one is lost all the same, its command is ended.\n"
               "Ctrl-C (SIGTERM, SIGHUP) reaches `work` alone: it takes no more and lets\n"
               "what runs finish. A second one ends the commands and hands their messages\n"
               "back uncounted, a third one kills them.\n"
               "With --to what a command prints is one message of that topic, with the key of\n"
               "its own, published and acked in one commit: all of it once, or the message\n"
               "comes again. A command that prints nothing has its message acked.\n"
               "--json tells of each finished message; commands then print to standard\n"
               "error. The exit code is 0 whatever the outcomes; 3 without a message, 4 without\n"
               "the topic, and why is told.\n",
    .example = "  zspool work mails -g send -j 4 --timeout 1m -- ./send-mail --quiet\n"
               "  zspool work in -g up -- sh -c 'tr a-z A-Z | zspool pub out -D \"\"'\n"
               "  zspool work in -g up --to out -- tr a-z A-Z\n",
    .args_min = 2,
    .args_max = -1,
    .run_fn = run,
};
