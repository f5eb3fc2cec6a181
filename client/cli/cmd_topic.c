/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool topic: list, show, create, change and remove topics.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/json.h"
#include "client/cli/settings.h"
#include "client/cli/verbs.h"

struct topic_run {
    const struct cli_verb *verb;
    uint64_t partitions;
    struct cli_setting retention_time, retention_bytes;
    bool dry_run, yes;
    zspool_client_t *client;
};

static uint64_t messages(const zspool_topic_info_t *info)
{
    uint64_t count = 0;
    for (size_t i = 0; i < info->partition_count; i++) {
        count += info->partitions[i].end_offset - info->partitions[i].start_offset;
    }
    return count;
}

static void print_json(const zspool_topic_info_t *info)
{
    struct json json = json_begin();
    json_text(&json, "topic", info->topic);
    json_uint(&json, "id", info->id);
    json_uint(&json, "messages", messages(info));
    cli_json_settings(&json, info->settings, info->setting_count);
    json_open_array(&json, "partitions");
    for (size_t i = 0; i < info->partition_count; i++) {
        const zspool_partition_info_t *partition = &info->partitions[i];
        json_open_item(&json);
        json_uint(&json, "partition", partition->partition);
        json_uint(&json, "start", partition->start_offset);
        json_uint(&json, "end", partition->end_offset);
        json_uint(&json, "bytes", partition->bytes);
        json_close_object(&json);
    }
    json_close_array(&json);
    json_end(&json);
}

static void print_plain(const zspool_topic_info_t *info)
{
    printf("topic %s, %llu messages\n", info->topic, (unsigned long long)messages(info));
    cli_print_settings(info->settings, info->setting_count);
    printf("%9s %12s %12s %14s\n", "partition", "start", "end", "bytes");
    for (size_t i = 0; i < info->partition_count; i++) {
        const zspool_partition_info_t *partition = &info->partitions[i];
        printf("%9u %12llu %12llu %14llu\n", partition->partition,
               (unsigned long long)partition->start_offset,
               (unsigned long long)partition->end_offset, (unsigned long long)partition->bytes);
    }
}

static int topic_ls(struct topic_run *self, const char *match)
{
    zspool_error_t err = {0};
    zspool_names_t *names;
    if (zspool_topic_list(self->client, match, cli_timeout(), &names, &err) != 0) {
        return cli_fail(&err);
    }
    cli_print_names("topic", names);
    zspool_free(names);
    return CLI_OK;
}

static int topic_info(struct topic_run *self, const char *topic)
{
    zspool_error_t err = {0};
    zspool_topic_info_t *info;
    if (zspool_topic_info(self->client, topic, cli_timeout(), &info, &err) != 0) {
        return cli_fail(&err);
    }
    if (cli_common.json) {
        print_json(info);
    } else {
        print_plain(info);
    }
    zspool_free(info);
    return CLI_OK;
}

static int topic_change(struct topic_run *self, const char *topic, bool create)
{
    const struct cli_named_setting named[] = {
        {"retention_time_ms", &self->retention_time},
        {"retention_bytes", &self->retention_bytes},
    };
    zspool_figure_t settings[2];
    zspool_error_t err = {0};
    zspool_topic_spec_t spec;
    zspool_topic_spec_init(&spec, topic);
    spec.partitions = (uint32_t)self->partitions;
    spec.settings = settings;
    spec.setting_count = cli_collect_settings(named, 2, settings);
    if (!create && (spec.setting_count == 0 && spec.partitions == 0)) {
        return cli_usage(self->verb, "nothing to set");
    }
    const int rc = create ? zspool_topic_create(self->client, &spec, cli_timeout(), &err)
                          : zspool_topic_set(self->client, &spec, cli_timeout(), &err);
    return rc == 0 ? CLI_OK : cli_fail(&err);
}

static int topic_rm(struct topic_run *self, const char *topic)
{
    zspool_error_t err = {0};
    zspool_topic_info_t *info;
    if (zspool_topic_info(self->client, topic, cli_timeout(), &info, &err) != 0) {
        return cli_fail(&err);
    }
    const unsigned long long count = messages(info);
    zspool_free(info);
    const int asked = cli_confirm(self->yes || self->dry_run, "Delete topic %s with %llu messages?",
                                  topic, count);
    if (asked != CLI_OK) {
        return asked;
    }
    if (zspool_topic_delete(self->client, topic, self->dry_run, cli_timeout(), &err) != 0) {
        return cli_fail(&err);
    }
    if (self->dry_run) {
        cli_say("would delete topic %s with %llu messages", topic, count);
    }
    return CLI_OK;
}

static int run_action(struct topic_run *self, const char *action, const char *topic)
{
    if (strcmp(action, "ls") == 0) {
        return topic_ls(self, topic);
    }
    if (!topic) {
        return cli_usage(self->verb, "%s wants a TOPIC", action);
    }
    if (strcmp(action, "info") == 0) {
        return topic_info(self, topic);
    }
    if (strcmp(action, "create") == 0 || strcmp(action, "set") == 0) {
        return topic_change(self, topic, action[0] == 'c');
    }
    if (strcmp(action, "rm") == 0) {
        return topic_rm(self, topic);
    }
    return cli_usage(self->verb, "there is no \"topic %s\"", action);
}

static int run(const struct cli_verb *verb, int argc, char **argv)
{
    struct topic_run self = {.verb = verb};
    const struct cli_option table[] = {
        {0, "partitions", CLI_COUNT, "NUMBER", "create: 1 to 1024 (the broker's default)",
         &self.partitions},
        {0, "retention-time", CLI_SETTING_DURATION, "TIME", "drop older messages, or `default`",
         &self.retention_time},
        {0, "retention-bytes", CLI_SETTING_BYTES, "BYTES", "keep about so much, or `default`",
         &self.retention_bytes},
        {0, "dry-run", CLI_FLAG, NULL, "rm: only tell what would be deleted", &self.dry_run},
        {0, "yes", CLI_FLAG, NULL, "rm: do not ask", &self.yes},
        {0, NULL, CLI_FLAG, NULL, NULL, NULL},
    };
    struct cli_args args;
    const int rc = cli_parse(verb, table, argc, argv, &args);
    if (rc != 0) {
        return cli_parsed_exit(rc);
    }
    self.client = cli_client("zspool-topic");
    const int code = self.client ? run_action(&self, args.items[0], args.items[1]) : CLI_USAGE;
    cli_client_destroy(&self.client);
    return code;
}

const struct cli_verb cli_topic = {
    .name = "topic",
    .synopsis = "ls [GLOB] | info|create|set|rm TOPIC",
    .summary = "list, show, create, change and remove topics",
    .details = NULL,
    .example = "  zspool topic create orders --partitions 8 --retention-time 30d\n",
    .args_min = 1,
    .args_max = 2,
    .run_fn = run,
};
