/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool group: list, show, create, change, remove and move groups.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/columns.h"
#include "client/cli/json.h"
#include "client/cli/listing.h"
#include "client/cli/settings.h"
#include "client/cli/verb/group_run.h"
#include "client/cli/verb/why_text.h"
#include "client/cli/verbs.h"

/* Messages of a group in all its partitions. */
struct group_sum {
    uint64_t lag, ready, leased, waiting, dead, lost, expired, compacted;
};

static uint64_t lag_of(const zspool_group_part_t *part)
{
    return part->end_offset > part->committed ? part->end_offset - part->committed : 0;
}

static struct group_sum sum_of_part(const zspool_group_part_t *part)
{
    return (struct group_sum){lag_of(part), part->ready, part->leased,  part->waiting,
                              part->dead,   part->lost,  part->expired, part->compacted};
}

static struct group_sum sum_of(const zspool_group_info_t *info)
{
    struct group_sum sum = {0};
    for (size_t i = 0; i < info->part_count; i++) {
        sum.lag += lag_of(&info->parts[i]);
        sum.ready += info->parts[i].ready;
        sum.leased += info->parts[i].leased;
        sum.waiting += info->parts[i].waiting;
        sum.dead += info->parts[i].dead;
        sum.lost += info->parts[i].lost;
        sum.expired += info->parts[i].expired;
        sum.compacted += info->parts[i].compacted;
    }
    return sum;
}

/* --- ls ------------------------------------------------------------------------------ */

static void json_sum(struct json *json, const struct group_sum *sum)
{
    json_uint(json, "lag", sum->lag);
    json_uint(json, "ready", sum->ready);
    json_uint(json, "leased", sum->leased);
    json_uint(json, "waiting", sum->waiting);
    json_uint(json, "dead", sum->dead);
    json_uint(json, "lost", sum->lost);
    json_uint(json, "expired", sum->expired);
    json_uint(json, "compacted", sum->compacted);
}

static void row_sum(struct columns *columns, const struct group_sum *sum)
{
    columns_count(columns, sum->lag);
    columns_count(columns, sum->ready);
    columns_count(columns, sum->leased);
    columns_count(columns, sum->waiting);
    columns_alarm(columns, sum->dead);
    columns_alarm(columns, sum->lost);
    columns_count(columns, sum->expired);
    columns_count(columns, sum->compacted);
}

static int list_one(zspool_client_t *client, const char *group, struct columns *columns,
                    zspool_error_t *err)
{
    zspool_group_info_t *info;
    const int rc = zspool_group_info(client, group, cli_timeout(), &info, err);
    if (rc != 0) {
        return rc;
    }
    const struct group_sum sum = sum_of(info);
    if (cli_common.json) {
        struct json json = json_begin();
        json_text(&json, "group", info->group);
        json_text(&json, "mode", info->mode);
        json_uint(&json, "members", info->member_count);
        json_sum(&json, &sum);
        json_end(&json);
    } else {
        columns_text(columns, info->group);
        columns_text(columns, info->mode);
        columns_count(columns, info->member_count);
        row_sum(columns, &sum);
    }
    zspool_free(info);
    return 0;
}

static const struct listing group_listing = {
    .kind = "group",
    .headings = "<GROUP <MODE MEMBERS LAG READY LEASED WAITING DEAD LOST EXPIRED COMPACTED",
    .names_fn = zspool_group_list,
    .one_fn = list_one,
};

/* --- info ---------------------------------------------------------------------------- */

/* Partitions of which the age of the oldest unfinished message is asked for. */
#define AGES_MAX 100u

/* How old the first unfinished message is, ms; -1 = there is none, or it is not known. Each costs a
 * request: *left of them may be made. */
static int64_t age_of(const struct group_run *self, const char *group,
                      const zspool_group_part_t *part, unsigned *left)
{
    zspool_trace_t *trace;
    if (lag_of(part) == 0 || *left == 0) {
        return -1;
    }
    (*left)--;
    if (zspool_group_trace(self->client, group, part->topic, part->partition, part->committed,
                           cli_timeout(), &trace, NULL) != 0) {
        return -1;
    }
    const int64_t age_ms = trace->is_found ? why_now_ms() - trace->timestamp_ms : -1;
    zspool_free(trace);
    return age_ms;
}

static void json_part(struct json *json, const zspool_group_part_t *part, int64_t age_ms)
{
    const struct group_sum sum = sum_of_part(part);
    json_open_item(json);
    json_text(json, "topic", part->topic);
    json_uint(json, "partition", part->partition);
    json_uint(json, "committed", part->committed);
    json_uint(json, "end", part->end_offset);
    if (age_ms >= 0) {
        json_uint(json, "age_ms", (uint64_t)age_ms);
    }
    json_sum(json, &sum);
    json_close_object(json);
}

#define START_ROOM 1056u /* an id has up to 1,024 bytes */

static void write_start(const zspool_group_info_t *info, char *to)
{
    if (info->start.kind == ZSPOOL_POSITION_ID) {
        (void)snprintf(to, START_ROOM, "id:%s", info->start.id ? info->start.id : "");
    } else {
        cli_write_position(&info->start, to);
    }
}

static void print_json(const struct group_run *self, const zspool_group_info_t *info)
{
    unsigned left = AGES_MAX;
    char start[START_ROOM];
    struct json json = json_begin();
    write_start(info, start);
    json_text(&json, "group", info->group);
    json_text(&json, "mode", info->mode);
    json_text(&json, "start", start);
    json_bool(&json, "paused", info->paused);
    if (info->replay_of) {
        json_open_object(&json, "replay");
        json_text(&json, "of", info->replay_of);
        json_bool(&json, "finished", info->replay_finished);
        json_uint(&json, "expires_in_ms", info->replay_expires_in_ms);
        json_close_object(&json);
    }
    if (info->redrive_rate > 0) {
        json_open_object(&json, "redrive");
        json_uint(&json, "rate", info->redrive_rate);
        json_uint(&json, "messages", info->redriven);
        json_close_object(&json);
    }
    if (info->owes_letters) {
        json_open_object(&json, "dead_letters");
        json_uint(&json, "copied", info->letters_copied);
        json_uint(&json, "failed", info->letters_failed);
        if (info->letters_error) {
            json_text(&json, "error", info->letters_error);
        }
        json_close_object(&json);
    }
    json_uint(&json, "members", info->member_count);
    cli_json_settings(&json, info->settings, info->setting_count);
    if (info->pattern_count > 0) {
        json_open_array(&json, "patterns");
        for (size_t i = 0; i < info->pattern_count; i++) {
            json_item_text(&json, info->patterns[i]);
        }
        json_close_array(&json);
    }
    json_open_array(&json, "parts");
    for (size_t i = 0; i < info->part_count; i++) {
        json_part(&json, &info->parts[i], age_of(self, info->group, &info->parts[i], &left));
    }
    json_close_array(&json);
    why_json(&json, info);
    json_end(&json);
}

static void print_patterns(const zspool_group_info_t *info)
{
    for (size_t i = 0; i < info->pattern_count; i++) {
        printf("%s%s%s", i == 0 ? "topics that match " : ", ", info->patterns[i],
               i + 1 == info->pattern_count ? "\n" : "");
    }
}

/* Who may take from the partition: a member, or how many. */
static const char *takers_of(const zspool_group_info_t *info, const zspool_group_part_t *part,
                             char *room)
{
    const zspool_why_t *why = why_of(info, part);
    if (why && why->holder) {
        return why->holder;
    }
    (void)snprintf(room, 32, "%" PRIu64, info->member_count);
    return strcmp(info->mode, "ordered") == 0 ? "-" : room;
}

static int print_plain(const struct group_run *self, const zspool_group_info_t *info)
{
    unsigned left = AGES_MAX;
    char start[START_ROOM];
    struct columns columns;
    write_start(info, start);
    printf("group %s, mode %s, start %s, %" PRIu64 " members%s\n", info->group, info->mode, start,
           info->member_count, info->paused ? ", paused" : "");
    if (info->replay_of) {
        char span[32];
        printf("replay for group %s, %s; it goes in %s without a pull\n", info->replay_of,
               info->replay_finished ? "finished" : "not finished",
               why_span((int64_t)info->replay_expires_in_ms, span));
    }
    if (info->redrive_rate > 0) {
        printf("redriving %" PRIu64 " dead messages a second, %" PRIu64 " up to now\n",
               info->redrive_rate, info->redriven);
    }
    if (info->owes_letters) {
        printf("copying dead messages, %" PRIu64 " up to now%s%s\n", info->letters_copied,
               info->letters_error ? ", waiting: " : "",
               info->letters_error ? info->letters_error : "");
    }
    cli_print_settings(info->settings, info->setting_count);
    print_patterns(info);
    why_print(info);
    columns_init(
        &columns,
        "<TOPIC PARTITION COMMITTED END LAG READY LEASED WAITING DEAD LOST EXPIRED COMPACTED "
        "<AGE <MEMBERS");
    for (size_t i = 0; i < info->part_count; i++) {
        const zspool_group_part_t *part = &info->parts[i];
        const struct group_sum sum = sum_of_part(part);
        const int64_t age_ms = age_of(self, info->group, part, &left);
        char span[32];
        columns_text(&columns, part->topic);
        columns_count(&columns, part->partition);
        columns_count(&columns, part->committed);
        columns_count(&columns, part->end_offset);
        row_sum(&columns, &sum);
        columns_text(&columns, age_ms < 0 ? "-" : why_span(age_ms, span));
        columns_text(&columns, takers_of(info, part, span));
    }
    const bool printed = columns_print(&columns);
    columns_fini(&columns);
    return printed ? CLI_OK : CLI_ERROR;
}

static int group_info(struct group_run *self, const char *group)
{
    zspool_error_t err = {0};
    zspool_group_info_t *info;
    int code = CLI_OK;
    if (zspool_group_info(self->client, group, cli_timeout(), &info, &err) != 0) {
        return cli_fail(&err);
    }
    if (cli_common.json) {
        print_json(self, info);
    } else {
        code = print_plain(self, info);
    }
    zspool_free(info);
    return code;
}

/* --- create, set ------------------------------------------------------------------------ */

/* --backoff is two settings: one delay, which grows, or all of them one by one. False = it is no
 * such thing. */
static bool read_backoff(struct group_run *self)
{
    const struct cli_setting *word = &self->backoff_word;
    char text[64];
    const char *at = word->word;
    size_t len = 0;
    int64_t ms = 0;
    self->backoff = self->backoff_steps = (struct cli_setting){.given = word->given, .unset = true};
    if (!word->given || word->unset) {
        return true;
    }
    for (bool goes_on = true; goes_on; at += strcspn(at, ",") + 1) {
        const size_t count = strcspn(at, ",");
        goes_on = at[count] == ',';
        (void)snprintf(text, sizeof text, "%.*s", (int)(count < 60 ? count : 60), at);
        if (!cli_read_duration(text, &ms) || len + 16 > sizeof self->backoff_text) {
            return false;
        }
        len += (size_t)snprintf(self->backoff_text + len, sizeof self->backoff_text - len,
                                "%s%" PRId64, len > 0 ? "," : "", ms);
    }
    if (strchr(self->backoff_text, ',')) {
        self->backoff_steps = (struct cli_setting){.given = true, .word = self->backoff_text};
    } else {
        self->backoff = (struct cli_setting){.given = true, .value = (uint64_t)ms};
    }
    return true;
}

int group_run_settings(struct group_run *self, zspool_figure_t *to, size_t *ret_count)
{
    if (!read_backoff(self)) {
        return cli_usage(self->verb, "--backoff wants a TIME, or up to eight of them: 1s,10s,1m");
    }
    const struct cli_named_setting named[] = {
        {"lease_ms", &self->lease},
        {"max_leased", &self->max_leased},
        {"max_failures", &self->max_failures},
        {"backoff_ms", &self->backoff},
        {"backoff", &self->backoff_steps},
        {"backoff_max_ms", &self->backoff_max},
        {"backoff_factor", &self->backoff_factor},
        {"backoff_jitter", &self->backoff_jitter},
        {"dead_letter_topic", &self->dead_letter_topic},
        {"dead_retention_ms", &self->dead_retention},
        {"dead_retention_bytes", &self->dead_retention_bytes},
        {"on_dead", &self->on_dead},
        {"expired", &self->expired},
        {"priority", &self->priority},
        {"filter", &self->filter},
        {"look_ahead", &self->look_ahead},
        {"fair_by", &self->fair_by},
    };
    _Static_assert(sizeof named / sizeof named[0] <= GROUP_SETTINGS_MAX, "they fit");
    *ret_count = cli_collect_settings(named, sizeof named / sizeof named[0], to);
    return 0;
}

static int group_change(struct group_run *self, const char *group, bool create)
{
    zspool_figure_t settings[GROUP_SETTINGS_MAX];
    zspool_error_t err = {0};
    zspool_group_spec_t spec;
    zspool_group_spec_init(&spec, group);
    if (group_run_settings(self, settings, &spec.setting_count) != 0) {
        return CLI_USAGE;
    }
    spec.settings = settings;
    spec.topics = self->topics.items;
    spec.topic_count = self->topics.count;
    spec.mode = self->mode;
    spec.start = self->start;
    if (!create && spec.setting_count == 0) {
        return cli_usage(self->verb, "nothing to set");
    }
    const int rc = create ? zspool_group_create(self->client, &spec, cli_timeout(), &err)
                          : zspool_group_set(self->client, &spec, cli_timeout(), &err);
    return rc == 0 ? CLI_OK : cli_fail(&err);
}

/* --- pause, resume -------------------------------------------------------------------------- */

static int group_pause(struct group_run *self, const char *group, bool pause)
{
    zspool_error_t err = {0};
    const int rc = pause ? zspool_group_pause(self->client, group, cli_timeout(), &err)
                         : zspool_group_resume(self->client, group, cli_timeout(), &err);
    return rc == 0 ? CLI_OK : cli_fail(&err);
}

/* --- rm ----------------------------------------------------------------------------------- */

static int group_rm_one(struct group_run *self, const char *group)
{
    zspool_error_t err = {0};
    if (zspool_group_delete(self->client, group, self->dry_run, cli_timeout(), &err) != 0) {
        return cli_fail(&err);
    }
    if (cli_common.json) {
        struct json json = json_begin();
        json_text(&json, "group", group);
        json_bool(&json, "deleted", !self->dry_run);
        json_end(&json);
    } else if (self->dry_run) {
        printf("would delete group %s\n", group);
    }
    return CLI_OK;
}

/* All of them, after one question; stops at the first that fails. */
static int group_rm_these(struct group_run *self, const char *const *groups, size_t count)
{
    zspool_error_t err = {0};
    int code = CLI_OK;
    for (size_t i = 0; i < count; i++) { /* none is deleted when one is misspelt */
        if (zspool_group_delete(self->client, groups[i], true, cli_timeout(), &err) != 0) {
            return cli_fail(&err);
        }
    }
    if (count == 1) {
        code = cli_confirm(self->yes || self->dry_run,
                           "Delete group %s and forget what it has done?", groups[0]);
    } else if (count > 1) {
        code = cli_confirm(self->yes || self->dry_run,
                           "Delete %zu groups, %s ... %s, and forget what they have done?", count,
                           groups[0], groups[count - 1]);
    }
    for (size_t i = 0; i < count && code == CLI_OK; i++) {
        code = group_rm_one(self, groups[i]);
    }
    return code;
}

static int group_rm(struct group_run *self, char **groups, int count)
{
    zspool_error_t err = {0};
    zspool_names_t *names;
    if (self->all == (count > 0)) {
        return cli_usage(self->verb, "rm wants GROUP..., or --all for every group");
    }
    if (!self->all) {
        return group_rm_these(self, (const char *const *)groups, (size_t)count);
    }
    if (zspool_group_list(self->client, NULL, cli_timeout(), &names, &err) != 0) {
        return cli_fail(&err);
    }
    const int code = group_rm_these(self, names->items, names->count);
    zspool_free(names);
    return code;
}

/* --- The run ---------------------------------------------------------------------------------- */

static int check_flags(const struct group_run *self, const char *action)
{
    const struct cli_action_flag flags[] = {
        {"long", self->is_long, "ls"},
        {"topic", self->topics.count > 0, "create seek replay"},
        {"mode", self->mode != NULL, "create"},
        {"start", self->start.kind != ZSPOOL_POSITION_NONE, "create"},
        {"lease", self->lease.given, "create set replay"},
        {"max-leased", self->max_leased.given, "create set replay"},
        {"max-failures", self->max_failures.given, "create set replay"},
        {"backoff", self->backoff_word.given, "create set replay"},
        {"backoff-factor", self->backoff_factor.given, "create set replay"},
        {"backoff-jitter", self->backoff_jitter.given, "create set replay"},
        {"dead-letter-topic", self->dead_letter_topic.given, "create set replay"},
        {"dead-retention", self->dead_retention.given, "create set replay"},
        {"dead-retention-bytes", self->dead_retention_bytes.given, "create set replay"},
        {"backoff-max", self->backoff_max.given, "create set replay"},
        {"on-dead", self->on_dead.given, "create set replay"},
        {"expired", self->expired.given, "create set replay"},
        {"priority", self->priority.given, "create set replay"},
        {"filter", self->filter.given, "create set replay"},
        {"look-ahead", self->look_ahead.given, "create set replay"},
        {"fair-by", self->fair_by.given, "create set replay"},
        {"from", self->from != NULL, "replay"},
        {"to", self->to != NULL, "seek replay"},
        {"as", self->as != NULL, "replay"},
        {"expires", self->expires_ms != 0, "replay"},
        {"partition", self->partition != ZSPOOL_PARTITION_ALL, "seek replay"},
        {"dead", self->dead, "seek"},
        {"all", self->all, "seek rm"},
        {"dry-run", self->dry_run, "seek replay rm"},
        {"yes", self->yes, "seek rm"},
    };
    return cli_check_flags(self->verb, action, flags, sizeof flags / sizeof flags[0]);
}

/* `args`: the action, and what follows it. */
static int run_action(struct group_run *self, const struct cli_args *args)
{
    static const char *const actions[] = {"ls",   "info",   "create", "set",   "rm",
                                          "seek", "replay", "pause",  "resume"};
    const char *action = args->items[0];
    const char *group = args->items[1];
    const int rc = cli_check_action(self->verb, action, actions, sizeof actions / sizeof *actions);
    if (rc != 0) {
        return rc;
    }
    if (check_flags(self, action) != 0) {
        return CLI_USAGE;
    }
    if (strcmp(action, "rm") == 0) {
        return group_rm(self, args->items + 1, args->count - 1);
    }
    if (args->count > 2) {
        return cli_usage(self->verb, "%s takes one word: what is \"%s\"?", action, args->items[2]);
    }
    if (strcmp(action, "ls") == 0) {
        return listing_print(&group_listing, self->client, group, self->is_long);
    }
    if (!group) {
        return cli_usage(self->verb, "%s wants a GROUP", action);
    }
    if (strcmp(action, "info") == 0) {
        return group_info(self, group);
    }
    if (strcmp(action, "seek") == 0) {
        return group_run_seek(self, group);
    }
    if (strcmp(action, "replay") == 0) {
        return group_run_replay(self, group);
    }
    if (strcmp(action, "pause") == 0 || strcmp(action, "resume") == 0) {
        return group_pause(self, group, strcmp(action, "pause") == 0);
    }
    return group_change(self, group, strcmp(action, "create") == 0);
}

static int run(const struct cli_verb *verb, int argc, char **argv)
{
    struct group_run self = {.verb = verb, .partition = ZSPOOL_PARTITION_ALL};
    const struct cli_option table[] = {
        {'l', "long", CLI_FLAG, NULL, "ls: with mode, members, lag ...", &self.is_long},
        {0, "topic", CLI_TEXTS, "TOPIC", "create, seek, replay: a topic; may be given again",
         &self.topics},
        {0, "mode", CLI_TEXT, "MODE", "create: shared, ordered or keyed (shared)", &self.mode},
        {0, "start", CLI_POSITION, "POSITION", "create: where it begins (earliest)", &self.start},
        {0, "lease", CLI_SETTING_DURATION, "TIME", "how long a lease lasts (30s)", &self.lease},
        {0, "max-leased", CLI_SETTING_COUNT, "NUMBER", "messages out at once (1000000)",
         &self.max_leased},
        {0, "max-failures", CLI_SETTING_COUNT, "NUMBER", "then a message is dead (5); 0: never",
         &self.max_failures},
        {0, "backoff", CLI_SETTING_WORD, "TIMES",
         "delay before the first retry (1s), or all: 1s,10s,1m", &self.backoff_word},
        {0, "backoff-max", CLI_SETTING_DURATION, "TIME", "the longest such delay (60s)",
         &self.backoff_max},
        {0, "backoff-factor", CLI_SETTING_COUNT, "N", "a delay is N times the last (2)",
         &self.backoff_factor},
        {0, "backoff-jitter", CLI_SETTING_COUNT, "N", "per cent of a delay, drawn, on top (0)",
         &self.backoff_jitter},
        {0, "dead-letter-topic", CLI_SETTING_WORD, "TOPIC",
         "copies of the dead go there, or `default`", &self.dead_letter_topic},
        {0, "dead-retention", CLI_SETTING_DURATION, "TIME",
         "the dead outlive retention for so long (0s)", &self.dead_retention},
        {0, "dead-retention-bytes", CLI_SETTING_BYTES, "BYTES", "but no more of a partition",
         &self.dead_retention_bytes},
        {0, "on-dead", CLI_SETTING_WORD, "WORD", "in order: skip or hold (skip)", &self.on_dead},
        {0, "expired", CLI_SETTING_WORD, "WORD", "after their ttl: drop or dead (drop)",
         &self.expired},
        {0, "priority", CLI_SETTING_WORD, "WORD", "strict, or weighted: all have turns (strict)",
         &self.priority},
        {0, "filter", CLI_SETTING_WORD, "FILTER", "take only what matches; the rest is done",
         &self.filter},
        {0, "look-ahead", CLI_SETTING_COUNT, "NUMBER", "keyed: messages to look ahead (1000000)",
         &self.look_ahead},
        {0, "fair-by", CLI_SETTING_WORD, "WHAT", "key, producer or header.NAME: they take turns",
         &self.fair_by},
        {0, "from", CLI_TEXT, "POSITION", "replay: where the range begins", &self.from},
        {0, "to", CLI_TEXT, "POSITION", "seek: where to go; replay: where it ends (latest)",
         &self.to},
        {0, "as", CLI_TEXT, "NAME", "replay: of the new group (GROUP.replay-N)", &self.as},
        {0, "expires", CLI_SPAN, "TIME", "replay: it goes after so long unused (1d)",
         &self.expires_ms},
        {'p', "partition", CLI_PARTITION, "NUMBER", "seek, replay: only this one", &self.partition},
        {0, "dead", CLI_FLAG, NULL, "seek: dead messages come again, too", &self.dead},
        {0, "all", CLI_FLAG, NULL, "seek: all its topics; rm: every group", &self.all},
        {0, "dry-run", CLI_FLAG, NULL, "seek, replay, rm: only tell what would be", &self.dry_run},
        {0, "yes", CLI_FLAG, NULL, "seek, rm: do not ask", &self.yes},
        {0, NULL, CLI_FLAG, NULL, NULL, NULL},
    };
    struct cli_args args;
    const int rc = cli_parse(verb, table, argc, argv, &args);
    if (rc != 0) {
        return cli_parsed_exit(rc);
    }
    self.client = cli_client("zspool-group");
    const int code = self.client ? run_action(&self, &args) : CLI_USAGE;
    cli_client_destroy(&self.client);
    free(self.topics.items);
    return code;
}

const struct cli_verb cli_group = {
    .name = "group",
    .synopsis = "ls [GLOB] | ACTION GROUP...",
    .summary = "list, show, create, change, remove and move groups",
    .details = "An ACTION is info, create, set, seek, replay, pause, resume or rm.\n"
               "replay makes a group that gets a range once more, with the settings of GROUP,\n"
               "which does not move; work and pull end when it is finished. Its ends may be\n"
               "savepoint:NAME, too.\n"
               "seek moves a group: leases out are lost, counts begin anew. seek and rm ask\n"
               "on a terminal, and want --yes without one. POSITION is that of `zspool\n"
               "read`; a setting `default` is unset. LAG counts from COMMITTED to END.\n"
               "FILTER compares type, key and header.NAME: = != ^= (begins) in exists,\n"
               "and or not ( ); values are in double quotes.\n",
    .example = "  zspool group create billing --topic orders --lease 2m --max-failures 3\n"
               "  zspool group create eu --topic orders --filter 'header.to in (\"eu\", \"uk\")'\n"
               "  zspool group ls -l\n"
               "  zspool group replay billing --from 10m --to 5m --as again\n"
               "  zspool group seek billing --topic orders --to 10m --dry-run\n",
    .args_min = 1,
    .args_max = -1,
    .run_fn = run,
};
