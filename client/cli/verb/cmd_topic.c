/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool topic: list, show, create, change and remove topics.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/columns.h"
#include "client/cli/json.h"
#include "client/cli/listing.h"
#include "client/cli/settings.h"
#include "client/cli/terminal.h"
#include "client/cli/verb/topic_run.h"
#include "client/cli/verbs.h"

/* What a topic holds in all. */
struct topic_sum {
    uint64_t messages, bytes;
};

static struct topic_sum sum_of(const zspool_topic_info_t *info)
{
    struct topic_sum sum = {0};
    for (size_t i = 0; i < info->partition_count; i++) {
        sum.messages += info->partitions[i].end_offset - info->partitions[i].start_offset;
        sum.bytes += info->partitions[i].bytes;
    }
    return sum;
}

/* --- ls ------------------------------------------------------------------------------ */

static int list_one(zspool_client_t *client, const char *topic, struct columns *columns,
                    zspool_error_t *err)
{
    zspool_topic_info_t *info;
    const int rc = zspool_topic_info(client, topic, cli_timeout(), &info, err);
    if (rc != 0) {
        return rc;
    }
    const struct topic_sum sum = sum_of(info);
    if (cli_common.json) {
        struct json json = json_begin();
        json_text(&json, "topic", info->topic);
        json_uint(&json, "partitions", info->partition_count);
        json_uint(&json, "messages", sum.messages);
        json_uint(&json, "bytes", sum.bytes);
        json_end(&json);
    } else {
        columns_text(columns, info->topic);
        columns_count(columns, info->partition_count);
        columns_count(columns, sum.messages);
        columns_bytes(columns, sum.bytes);
    }
    zspool_free(info);
    return 0;
}

static const struct listing topic_listing = {
    .kind = "topic",
    .headings = "<TOPIC PARTITIONS MESSAGES BYTES",
    .names_fn = zspool_topic_list,
    .one_fn = list_one,
};

/* --- info ---------------------------------------------------------------------------- */

static void print_islands_json(struct json *json, const zspool_topic_info_t *info)
{
    if (info->island_count == 0) {
        return;
    }
    json_open_array(json, "islands");
    for (size_t i = 0; i < info->island_count; i++) {
        json_open_item(json);
        json_uint(json, "partition", info->islands[i].partition);
        json_uint(json, "first", info->islands[i].first_offset);
        json_uint(json, "bytes", info->islands[i].bytes);
        json_close_object(json);
    }
    json_close_array(json);
}

static void print_json(const zspool_topic_info_t *info)
{
    const struct topic_sum sum = sum_of(info);
    struct json json = json_begin();
    json_text(&json, "topic", info->topic);
    json_uint(&json, "id", info->id);
    json_uint(&json, "messages", sum.messages);
    json_uint(&json, "bytes", sum.bytes);
    cli_json_settings(&json, info->settings, info->setting_count);
    json_open_array(&json, "partitions");
    for (size_t i = 0; i < info->partition_count; i++) {
        const zspool_partition_info_t *partition = &info->partitions[i];
        json_open_item(&json);
        json_uint(&json, "partition", partition->partition);
        json_uint(&json, "start", partition->start_offset);
        json_uint(&json, "end", partition->end_offset);
        json_uint(&json, "messages", partition->end_offset - partition->start_offset);
        json_uint(&json, "bytes", partition->bytes);
        json_close_object(&json);
    }
    json_close_array(&json);
    if (info->compaction_count > 0) {
        json_open_array(&json, "compaction");
    }
    for (size_t i = 0; i < info->compaction_count; i++) {
        const zspool_compaction_info_t *compaction = &info->compactions[i];
        json_open_item(&json);
        json_uint(&json, "partition", compaction->partition);
        json_uint(&json, "dirty_percent", compaction->dirty_percent);
        json_uint(&json, "runs", compaction->runs);
        json_uint(&json, "messages", compaction->messages);
        json_uint(&json, "bytes", compaction->bytes);
        if (compaction->last_ms > 0) {
            json_time(&json, "last", compaction->last_ms);
        }
        json_close_object(&json);
    }
    if (info->compaction_count > 0) {
        json_close_array(&json);
    }
    print_islands_json(&json, info);
    json_end(&json);
}

static bool print_islands(const zspool_topic_info_t *info)
{
    struct columns columns;
    if (info->island_count == 0) {
        return true;
    }
    printf("\ndead messages that groups keep below the start:\n");
    columns_init(&columns, "PARTITION FIRST BYTES");
    for (size_t i = 0; i < info->island_count; i++) {
        columns_count(&columns, info->islands[i].partition);
        columns_count(&columns, info->islands[i].first_offset);
        columns_bytes(&columns, info->islands[i].bytes);
    }
    const bool printed = columns_print(&columns);
    columns_fini(&columns);
    return printed;
}

static bool print_compactions(const zspool_topic_info_t *info)
{
    struct columns columns;
    if (info->compaction_count == 0) {
        return true;
    }
    printf("\ncompacted by key, since the start of the broker:\n");
    columns_init(&columns, "PARTITION DIRTY% RUNS REMOVED FREED LAST");
    for (size_t i = 0; i < info->compaction_count; i++) {
        const zspool_compaction_info_t *compaction = &info->compactions[i];
        char last[32] = "never";
        if (compaction->last_ms > 0) {
            cli_write_time(compaction->last_ms, last);
        }
        columns_count(&columns, compaction->partition);
        columns_count(&columns, compaction->dirty_percent);
        columns_count(&columns, compaction->runs);
        columns_count(&columns, compaction->messages);
        columns_bytes(&columns, compaction->bytes);
        columns_text(&columns, last);
    }
    const bool printed = columns_print(&columns);
    columns_fini(&columns);
    return printed;
}

static int print_plain(const zspool_topic_info_t *info)
{
    char bytes[TERMINAL_FIGURE_SIZE];
    struct columns columns;
    const struct topic_sum sum = sum_of(info);
    printf("topic %s, %" PRIu64 " messages, %s%s\n", info->topic, sum.messages,
           terminal_bytes(sum.bytes, bytes), terminal_is_out() ? "" : " bytes");
    cli_print_settings(info->settings, info->setting_count);
    columns_init(&columns, "PARTITION START END MESSAGES BYTES");
    for (size_t i = 0; i < info->partition_count; i++) {
        const zspool_partition_info_t *partition = &info->partitions[i];
        columns_count(&columns, partition->partition);
        columns_count(&columns, partition->start_offset);
        columns_count(&columns, partition->end_offset);
        columns_count(&columns, partition->end_offset - partition->start_offset);
        columns_bytes(&columns, partition->bytes);
    }
    const bool printed = columns_print(&columns);
    columns_fini(&columns);
    return printed && print_compactions(info) && print_islands(info) ? CLI_OK : CLI_ERROR;
}

static int topic_info(struct topic_run *self, const char *topic)
{
    zspool_error_t err = {0};
    zspool_topic_info_t *info;
    int code = CLI_OK;
    if (zspool_topic_info(self->client, topic, cli_timeout(), &info, &err) != 0) {
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

/* --- create, set ------------------------------------------------------------------------ */

static int topic_change(struct topic_run *self, const char *topic, bool create)
{
    const struct cli_named_setting named[] = {
        {"retention_time_ms", &self->retention_time},
        {"retention_bytes", &self->retention_bytes},
        {"until_consumed", &self->until_consumed},
        {"max_topic_bytes", &self->max_bytes},
        {"when_full", &self->when_full},
        {"dedup_window_ms", &self->dedup_window},
        {"cleanup", &self->cleanup},
        {"tombstone_retention_ms", &self->tombstone_retention},
        {"min_compaction_lag_ms", &self->compaction_lag},
        {"compact_ratio", &self->compact_ratio},
    };
    zspool_figure_t settings[sizeof named / sizeof named[0]];
    zspool_error_t err = {0};
    zspool_topic_spec_t spec;
    zspool_topic_spec_init(&spec, topic);
    if (self->partitions > CLI_PARTITIONS_MAX) {
        return cli_usage(self->verb, "--partitions is 1 to %u", CLI_PARTITIONS_MAX);
    }
    spec.partitions = (uint32_t)self->partitions;
    spec.settings = settings;
    spec.setting_count = cli_collect_settings(named, sizeof named / sizeof named[0], settings);
    if (!create && (spec.setting_count == 0 && spec.partitions == 0)) {
        return cli_usage(self->verb, "nothing to set");
    }
    if (self->force && spec.partitions == 0) {
        return cli_usage(self->verb, "--force goes with --partitions");
    }
    if (create) {
        const int rc = zspool_topic_create(self->client, &spec, cli_timeout(), &err);
        return rc == 0 ? CLI_OK : cli_fail(&err);
    }
    /* Two requests for both: what may be refused goes first. */
    int rc = 0;
    if (spec.partitions > 0) {
        zspool_topic_spec_t growth;
        zspool_topic_spec_init(&growth, topic);
        growth.partitions = spec.partitions;
        growth.force = self->force;
        spec.partitions = 0;
        rc = zspool_topic_set(self->client, &growth, cli_timeout(), &err);
    }
    if (rc == 0 && spec.setting_count > 0) {
        rc = zspool_topic_set(self->client, &spec, cli_timeout(), &err);
    }
    return rc == 0 ? CLI_OK : cli_fail(&err);
}

/* --- rm ----------------------------------------------------------------------------------- */

static int topic_rm_one(struct topic_run *self, const char *topic, uint64_t messages)
{
    zspool_error_t err = {0};
    if (zspool_topic_delete(self->client, topic, self->dry_run, cli_timeout(), &err) != 0) {
        return cli_fail(&err);
    }
    if (cli_common.json) {
        struct json json = json_begin();
        json_text(&json, "topic", topic);
        json_uint(&json, "messages", messages);
        json_bool(&json, "deleted", !self->dry_run);
        json_end(&json);
    } else if (self->dry_run) {
        printf("would delete topic %s with %" PRIu64 " messages\n", topic, messages);
    }
    return CLI_OK;
}

/* All of them, after one question; stops at the first that fails. */
static int topic_rm_these(struct topic_run *self, const char *const *topics, size_t count)
{
    uint64_t *messages = calloc(count > 0 ? count : 1, sizeof *messages);
    uint64_t whole = 0;
    int code = messages ? CLI_OK : CLI_ERROR;
    if (!messages) {
        cli_say("no memory for %zu topics", count);
    }
    for (size_t i = 0; i < count && code == CLI_OK; i++) {
        zspool_error_t err = {0};
        zspool_topic_info_t *info;
        if (zspool_topic_info(self->client, topics[i], cli_timeout(), &info, &err) != 0) {
            code = cli_fail(&err);
            break;
        }
        messages[i] = sum_of(info).messages;
        whole += messages[i];
        zspool_free(info);
    }
    if (code == CLI_OK && count == 1) {
        code = cli_confirm(self->yes || self->dry_run, "Delete topic %s with %" PRIu64 " messages?",
                           topics[0], whole);
    } else if (code == CLI_OK && count > 1) {
        code = cli_confirm(self->yes || self->dry_run,
                           "Delete %zu topics, %s ... %s, with %" PRIu64 " messages?", count,
                           topics[0], topics[count - 1], whole);
    }
    for (size_t i = 0; i < count && code == CLI_OK; i++) {
        code = topic_rm_one(self, topics[i], messages[i]);
    }
    free(messages);
    return code;
}

static int topic_rm(struct topic_run *self, char **topics, int count)
{
    zspool_error_t err = {0};
    zspool_names_t *names;
    if (self->all == (count > 0)) {
        return cli_usage(self->verb, "rm wants TOPIC..., or --all for every topic");
    }
    if (!self->all) {
        return topic_rm_these(self, (const char *const *)topics, (size_t)count);
    }
    if (zspool_topic_list(self->client, NULL, cli_timeout(), &names, &err) != 0) {
        return cli_fail(&err);
    }
    const int code = topic_rm_these(self, names->items, names->count);
    zspool_free(names);
    return code;
}

/* --- The run ---------------------------------------------------------------------------------- */

static int check_flags(const struct topic_run *self, const char *action)
{
    const struct cli_action_flag flags[] = {
        {"partitions", self->partitions > 0, "create set"},
        {"force", self->force, "set"},
        {"retention-time", self->retention_time.given, "create set"},
        {"retention-bytes", self->retention_bytes.given, "create set"},
        {"until-consumed", self->until_consumed.given, "create set"},
        {"max-bytes", self->max_bytes.given, "create set"},
        {"when-full", self->when_full.given, "create set"},
        {"dedup-window", self->dedup_window.given, "create set"},
        {"cleanup", self->cleanup.given, "create set"},
        {"tombstone-retention", self->tombstone_retention.given, "create set"},
        {"min-compaction-lag", self->compaction_lag.given, "create set"},
        {"compact-ratio", self->compact_ratio.given, "create set"},
        {"long", self->is_long, "ls"},
        {"all", self->all, "rm"},
        {"before", self->before.kind != ZSPOOL_POSITION_NONE, "purge"},
        {"partition", self->partition != ZSPOOL_PARTITION_ALL, "purge"},
        {"dry-run", self->dry_run, "purge rm"},
        {"yes", self->yes, "purge rm"},
    };
    return cli_check_flags(self->verb, action, flags, sizeof flags / sizeof flags[0]);
}

/* `args`: the action, and what follows it. */
static int run_action(struct topic_run *self, const struct cli_args *args)
{
    static const char *const actions[] = {"ls", "info", "create", "set", "purge", "rm"};
    const char *action = args->items[0];
    const char *topic = args->items[1];
    const int rc = cli_check_action(self->verb, action, actions, sizeof actions / sizeof *actions);
    if (rc != 0) {
        return rc;
    }
    if (check_flags(self, action) != 0) {
        return CLI_USAGE;
    }
    if (strcmp(action, "rm") == 0) {
        return topic_rm(self, args->items + 1, args->count - 1);
    }
    if (args->count > 2) {
        return cli_usage(self->verb, "%s takes one word: what is \"%s\"?", action, args->items[2]);
    }
    if (strcmp(action, "ls") == 0) {
        return listing_print(&topic_listing, self->client, topic, self->is_long);
    }
    if (!topic) {
        return cli_usage(self->verb, "%s wants a TOPIC", action);
    }
    if (strcmp(action, "info") == 0) {
        return topic_info(self, topic);
    }
    if (strcmp(action, "purge") == 0) {
        return topic_run_purge(self, topic);
    }
    return topic_change(self, topic, strcmp(action, "create") == 0);
}

static int run(const struct cli_verb *verb, int argc, char **argv)
{
    struct topic_run self = {.verb = verb, .partition = ZSPOOL_PARTITION_ALL};
    const struct cli_option table[] = {
        {'l', "long", CLI_FLAG, NULL, "ls: with partitions, messages and bytes", &self.is_long},
        {0, "partitions", CLI_COUNT, "NUMBER", "1 to 1024 (the broker's default); never fewer",
         &self.partitions},
        {0, "force", CLI_FLAG, NULL, "set: more partitions though a group keeps an order",
         &self.force},
        {0, "retention-time", CLI_SETTING_DURATION, "TIME",
         "create, set: drop what is older, or `default`", &self.retention_time},
        {0, "retention-bytes", CLI_SETTING_BYTES, "BYTES",
         "create, set: keep about so much, or `default`", &self.retention_bytes},
        {0, "until-consumed", CLI_SETTING_WORD, "WORD", "yes: drop what all groups have done (no)",
         &self.until_consumed},
        {0, "max-bytes", CLI_SETTING_BYTES, "BYTES", "all that it may hold, or `default`",
         &self.max_bytes},
        {0, "when-full", CLI_SETTING_WORD, "WORD", "then: reject or drop_oldest (reject)",
         &self.when_full},
        {0, "dedup-window", CLI_SETTING_DURATION, "TIME",
         "take each id once in so long a time, or `default`", &self.dedup_window},
        {0, "cleanup", CLI_SETTING_WORD, "WORD", "compact: of each key keep the newest (delete)",
         &self.cleanup},
        {0, "tombstone-retention", CLI_SETTING_DURATION, "TIME",
         "compacted: how long an empty payload stays (24h)", &self.tombstone_retention},
        {0, "min-compaction-lag", CLI_SETTING_DURATION, "TIME",
         "compacted: what is younger stays as it is", &self.compaction_lag},
        {0, "compact-ratio", CLI_SETTING_COUNT, "PERCENT",
         "compacted: when so much is new to it (50)", &self.compact_ratio},
        {0, "all", CLI_FLAG, NULL, "rm: every topic", &self.all},
        {0, "before", CLI_POSITION, "POSITION", "purge: what lies before it goes", &self.before},
        {'p', "partition", CLI_PARTITION, "NUMBER", "purge: only this one", &self.partition},
        {0, "dry-run", CLI_FLAG, NULL, "purge, rm: only tell what would go", &self.dry_run},
        {0, "yes", CLI_FLAG, NULL, "purge, rm: do not ask", &self.yes},
        {0, NULL, CLI_FLAG, NULL, NULL, NULL},
    };
    struct cli_args args;
    const int rc = cli_parse(verb, table, argc, argv, &args);
    if (rc != 0) {
        return cli_parsed_exit(rc);
    }
    self.client = cli_client("zspool-topic");
    const int code = self.client ? run_action(&self, &args) : CLI_USAGE;
    cli_client_destroy(&self.client);
    return code;
}

const struct cli_verb cli_topic = {
    .name = "topic",
    .synopsis = "ls [GLOB] | info|create|set|purge TOPIC | rm TOPIC...",
    .summary = "list, show, create, change and remove topics",
    .details = "Topics are also created by the first message, if the broker's configuration\n"
               "allows it. A topic that was removed and made again begins at offset 0; one that\n"
               "was purged goes on. rm and purge ask on a terminal, and want --yes without one.\n"
               "With more partitions keys go to others than before; what was published stays.\n",
    .example = "  zspool topic create orders --partitions 8 --retention-time 30d\n"
               "  zspool topic ls -l 'orders*'\n"
               "  zspool topic set orders --retention-bytes 20GiB --retention-time default\n"
               "  zspool topic set orders --partitions 16\n"
               "  zspool topic purge orders --before 30d --dry-run\n"
               "  zspool topic rm orders-old --dry-run\n",
    .args_min = 1,
    .args_max = -1,
    .run_fn = run,
};
