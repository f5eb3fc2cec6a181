/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool dead: the messages that a group has given up.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/columns.h"
#include "client/cli/json.h"
#include "client/cli/verb/dead_run.h"
#include "client/cli/verbs.h"

#define PAGE_ROWS 1000u /* of one request, and of one table */

/* --- ls ------------------------------------------------------------------------------------- */

static void json_item(const char *group, const zspool_dead_item_t *item)
{
    struct json json = json_begin();
    json_text(&json, "group", group);
    json_text(&json, "topic", item->run.topic);
    json_uint(&json, "partition", item->run.partition);
    json_uint(&json, "offset", item->run.first_offset);
    json_uint(&json, "count", item->run.count);
    json_dead(&json, item->died_ms, item->reasons, item->reason_count);
    json_uint(&json, "deliveries", item->deliveries);
    json_uint(&json, "failures", item->failures);
    json_end(&json);
}

static void add_row(struct columns *columns, const zspool_dead_item_t *item)
{
    char address[DEAD_ADDRESS_SIZE];
    char time[32] = "-";
    if (item->died_ms > 0 && item->died_ms <= CLI_TIME_MAX_MS) {
        cli_write_time(item->died_ms, time);
    }
    columns_text(columns, dead_write_address(&item->run, address));
    columns_count(columns, item->run.count);
    columns_text(columns, time);
    columns_count(columns, item->deliveries);
    columns_count(columns, item->failures);
    columns_text(columns, item->reason_count > 0 ? item->reasons[0] : "-");
}

static bool print_page(const struct dead_run *self, const zspool_dead_list_t *list)
{
    struct columns columns;
    columns_init(&columns, "<ADDRESS COUNT <SINCE DELIVERIES FAILURES <REASON");
    for (size_t i = 0; i < list->count; i++) {
        if (cli_common.json) {
            json_item(self->choice.group, &list->items[i]);
        } else {
            add_row(&columns, &list->items[i]);
        }
    }
    const bool printed = cli_common.json || list->count == 0 || columns_print(&columns);
    columns_fini(&columns);
    return printed && cli_flush();
}

static int list(struct dead_run *self)
{
    zspool_error_t err = {0};
    zspool_dead_choice_t choice = self->choice;
    zspool_dead_list_t *page = NULL;
    zspool_dead_list_t *before = NULL; /* holds choice.from */
    uint64_t rows = 0;
    bool goes_on = true;
    while (goes_on && !cli_stopped()) {
        const uint64_t left = self->count > 0 ? self->count - rows : PAGE_ROWS;
        const int rc =
            zspool_dead_list(self->client, &choice, (uint32_t)(left < PAGE_ROWS ? left : PAGE_ROWS),
                             cli_timeout(), &page, &err);
        zspool_free(before);
        before = NULL;
        if (rc != 0) {
            return cli_fail(&err);
        }
        rows += page->count;
        goes_on = print_page(self, page) && page->next && (self->count == 0 || rows < self->count);
        choice.from = page->next;
        before = page;
    }
    zspool_free(before);
    return CLI_OK;
}

/* --- show ----------------------------------------------------------------------------------- */

static void print_message(const zspool_dead_message_t *dead)
{
    const zspool_message_t *const message = &dead->message;
    char time[32] = "-";
    if (dead->died_ms > 0 && dead->died_ms <= CLI_TIME_MAX_MS) {
        cli_write_time(dead->died_ms, time);
    }
    printf("%s/%u/%" PRIu64 "  dead since %s, %u %s, %u %s\n", message->topic, message->partition,
           message->offset, time, message->deliveries,
           message->deliveries == 1 ? "delivery" : "deliveries", message->failures,
           message->failures == 1 ? "failure" : "failures");
    for (size_t i = 0; i < dead->reason_count; i++) {
        printf("  reason: %s\n", dead->reasons[i]);
    }
    if (message->key.data) {
        printf("  key: %.*s\n", (int)message->key.len, (const char *)message->key.data);
    }
    (void)fwrite(message->payload.data, 1, message->payload.len, stdout);
    putchar('\n');
}

static void json_dead_message(const zspool_dead_message_t *dead)
{
    struct json json = json_message_begin(stdout, &dead->message);
    json_uint(&json, "deliveries", dead->message.deliveries);
    json_uint(&json, "failures", dead->message.failures);
    json_dead(&json, dead->died_ms, dead->reasons, dead->reason_count);
    json_end(&json);
}

/* Print what was read; the run that is asked for begins behind it afterwards. */
static void print_messages(const zspool_dead_messages_t *messages, zspool_dead_run_t *run)
{
    for (size_t i = 0; i < messages->count; i++) {
        const zspool_dead_message_t *const dead = &messages->items[i];
        if (cli_common.json) {
            json_dead_message(dead);
        } else {
            print_message(dead);
        }
        run->count -= dead->message.offset + 1 - run->first_offset;
        run->first_offset = dead->message.offset + 1;
    }
}

static int show_run(const struct dead_run *self, zspool_dead_run_t run)
{
    zspool_error_t err = {0};
    zspool_dead_choice_t choice = self->choice;
    bool goes_on = true;
    choice.runs = &run;
    choice.run_count = 1;
    while (goes_on && !cli_stopped()) {
        zspool_dead_messages_t *messages = NULL;
        if (zspool_dead_read(self->client, &choice, cli_timeout(), &messages, &err) != 0) {
            return cli_fail(&err);
        }
        print_messages(messages, &run);
        goes_on = messages->more && messages->count > 0 && run.count > 0 && cli_flush();
        zspool_free(messages);
    }
    return CLI_OK;
}

static int show(const struct dead_run *self)
{
    int code = CLI_OK;
    for (size_t i = 0; i < self->choice.run_count && code == CLI_OK; i++) {
        code = show_run(self, self->choice.runs[i]);
    }
    return code;
}

/* --- The run ---------------------------------------------------------------------------------- */

static int read_addresses(const struct dead_run *self, const struct cli_args *args,
                          zspool_dead_run_t *runs)
{
    for (int i = 2; i < args->count; i++) {
        if (!dead_read_address(args->items[i], &runs[i - 2])) {
            return cli_usage(self->verb,
                             "\"%s\" is no address: want TOPIC/PARTITION/OFFSET or "
                             "TOPIC/PARTITION/FIRST..LAST",
                             args->items[i]);
        }
    }
    return CLI_OK;
}

/* Is what was chosen a choice for the action? */
static int check_choice(const struct dead_run *self)
{
    const zspool_dead_choice_t *const choice = &self->choice;
    const bool has_filter =
        choice->topic || choice->reason || choice->older_than_ms > 0 || choice->newer_than_ms > 0;
    const bool has_runs = choice->run_count > 0;
    if (strcmp(self->action, "ls") == 0) {
        return has_runs ? cli_usage(self->verb, "ls wants GROUP and no address") : CLI_OK;
    }
    if (strcmp(self->action, "show") == 0) {
        return has_runs && !has_filter ? CLI_OK
                                       : cli_usage(self->verb, "show wants GROUP ADDRESS...");
    }
    if (self->stop) {
        return !has_runs && !has_filter && !choice->all && self->rate == 0 && !self->dry_run
                   ? CLI_OK
                   : cli_usage(self->verb, "--stop stands alone");
    }
    if (self->rate > 0 && (has_runs || self->rate > UINT32_MAX)) {
        return cli_usage(self->verb, "--rate is not for addresses");
    }
    if (has_runs && (has_filter || choice->all)) {
        return cli_usage(self->verb, "%s: addresses, or something to choose by, not both",
                         self->action);
    }
    if (choice->all && has_filter) {
        return cli_usage(self->verb, "%s: --all is for every one: nothing else chooses",
                         self->action);
    }
    if (!has_runs && !has_filter && !choice->all) {
        return cli_usage(self->verb,
                         "%s: name addresses, or choose with --topic, --reason, --older-than or "
                         "--newer-than; --all for every one",
                         self->action);
    }
    return CLI_OK;
}

static int run_action(struct dead_run *self, const struct cli_args *args, zspool_dead_run_t *runs)
{
    static const char *const actions[] = {"ls", "show", "redrive", "drop"};
    const struct cli_action_flag flags[] = {
        {"count", self->count > 0, "ls"},           {"all", self->all, "redrive drop"},
        {"dry-run", self->dry_run, "redrive drop"}, {"keep-counts", self->keep_counts, "redrive"},
        {"rate", self->rate > 0, "redrive"},        {"stop", self->stop, "redrive"},
        {"yes", self->yes, "redrive drop"},
    };
    self->action = args->items[0];
    if (cli_check_action(self->verb, self->action, actions, sizeof actions / sizeof *actions) !=
            0 ||
        cli_check_flags(self->verb, self->action, flags, sizeof flags / sizeof flags[0]) != 0) {
        return CLI_USAGE;
    }
    if (args->count < 2) {
        return cli_usage(self->verb, "%s wants GROUP", self->action);
    }
    if (self->partition != ZSPOOL_PARTITION_ALL && !self->topic) {
        return cli_usage(self->verb, "-p is of a topic: --topic is missing");
    }
    zspool_dead_choice_init(&self->choice, args->items[1]);
    self->choice.topic = self->topic;
    self->choice.partition = self->partition;
    self->choice.reason = self->reason;
    self->choice.older_than_ms = self->older_than_ms;
    self->choice.newer_than_ms = self->newer_than_ms;
    self->choice.all = self->all;
    self->choice.keep_counts = self->keep_counts;
    self->choice.rate = (uint32_t)self->rate;
    self->choice.runs = runs;
    self->choice.run_count = (size_t)args->count - 2;
    int code = read_addresses(self, args, runs);
    code = code == CLI_OK ? check_choice(self) : code;
    if (code != CLI_OK) {
        return code;
    }
    if (strcmp(self->action, "ls") == 0) {
        return list(self);
    }
    return strcmp(self->action, "show") == 0 ? show(self) : dead_change(self);
}

static int run(const struct cli_verb *verb, int argc, char **argv)
{
    struct dead_run self = {.verb = verb, .partition = ZSPOOL_PARTITION_ALL};
    const struct cli_option table[] = {
        {'t', "topic", CLI_TEXT, "TOPIC", "those of one topic", &self.topic},
        {'p', "partition", CLI_PARTITION, "N", "those of one partition of it", &self.partition},
        {0, "reason", CLI_TEXT, "GLOB", "those whose last reason matches", &self.reason},
        {0, "older-than", CLI_DURATION, "TIME", "dead for at least TIME", &self.older_than_ms},
        {0, "newer-than", CLI_DURATION, "TIME", "dead for at most TIME", &self.newer_than_ms},
        {'n', "count", CLI_COUNT, "COUNT", "ls: so many rows", &self.count},
        {0, "all", CLI_FLAG, NULL, "redrive, drop: every one", &self.all},
        {0, "keep-counts", CLI_FLAG, NULL, "redrive: with the failures they have",
         &self.keep_counts},
        {0, "rate", CLI_COUNT, "N", "redrive: N messages a second, by the broker itself",
         &self.rate},
        {0, "stop", CLI_FLAG, NULL, "redrive: end one that has a rate", &self.stop},
        {0, "dry-run", CLI_FLAG, NULL, "redrive, drop: only tell how many", &self.dry_run},
        {0, "yes", CLI_FLAG, NULL, "redrive, drop: do not ask", &self.yes},
        {0, NULL, CLI_FLAG, NULL, NULL, NULL},
    };
    struct cli_args args;
    const int rc = cli_parse(verb, table, argc, argv, &args);
    if (rc != 0) {
        return cli_parsed_exit(rc);
    }
    zspool_dead_run_t *runs = calloc((size_t)args.count + 1, sizeof *runs);
    if (!runs) {
        cli_say("no memory");
        return CLI_ERROR;
    }
    self.client = cli_client("zspool-dead");
    const int code = self.client ? run_action(&self, &args, runs) : CLI_USAGE;
    cli_client_destroy(&self.client);
    free(runs);
    return code;
}

const struct cli_verb cli_dead = {
    .name = "dead",
    .synopsis = "ls|show|redrive|drop GROUP [ADDRESS...] [OPTION]...",
    .summary = "the messages that a group has given up",
    .details = "A message is dead in its group once it failed too often or was rejected; it\n"
               "stays where it is. ls lists stretches of them that have all in common, show\n"
               "prints messages. redrive makes them ready again, as good as new unless\n"
               "--keep-counts; drop makes them done. Both ask on a terminal, and want --yes\n"
               "without one. With --rate the broker goes on by itself, until a restart at\n"
               "most; `zspool group info` shows how far it is. ADDRESS is\n"
               "TOPIC/PARTITION/OFFSET or TOPIC/PARTITION/FIRST..LAST, as ls tells it.\n",
    .example = "  zspool dead ls billing --reason 'timeout*'\n"
               "  zspool dead show billing orders/0/17\n"
               "  zspool dead redrive billing --reason 'timeout*' --dry-run\n"
               "  zspool dead drop billing orders/0/17..19 --yes\n",
    .args_min = 1,
    .args_max = 4098,
    .run_fn = run,
};
