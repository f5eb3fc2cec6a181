/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool group: list, show, create, change, remove and move groups.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/json.h"
#include "client/cli/settings.h"
#include "client/cli/verbs.h"

struct group_run {
    const struct cli_verb *verb;
    struct cli_list topics;
    const char *mode;
    zspool_position_t start, to;
    struct cli_setting lease, max_leased, max_failures, backoff, backoff_max;
    int32_t partition;
    bool dead, dry_run, yes;
    zspool_client_t *client;
};

static void json_part(struct json *json, const zspool_group_part_t *part)
{
    json_open_item(json);
    json_text(json, "topic", part->topic);
    json_uint(json, "partition", part->partition);
    json_uint(json, "committed", part->committed);
    json_uint(json, "end", part->end_offset);
    json_uint(json, "ready", part->ready);
    json_uint(json, "leased", part->leased);
    json_uint(json, "waiting", part->waiting);
    json_uint(json, "dead", part->dead);
    json_close_object(json);
}

static void print_json(const zspool_group_info_t *info)
{
    struct json json = json_begin();
    json_text(&json, "group", info->group);
    json_text(&json, "mode", info->mode);
    json_uint(&json, "members", info->member_count);
    cli_json_settings(&json, info->settings, info->setting_count);
    json_open_array(&json, "parts");
    for (size_t i = 0; i < info->part_count; i++) {
        json_part(&json, &info->parts[i]);
    }
    json_close_array(&json);
    json_end(&json);
}

static void print_plain(const zspool_group_info_t *info)
{
    printf("group %s, mode %s, %llu members\n", info->group, info->mode,
           (unsigned long long)info->member_count);
    cli_print_settings(info->settings, info->setting_count);
    printf("%-20s %4s %12s %12s %9s %8s %8s %6s\n", "topic", "part", "committed", "end", "ready",
           "leased", "waiting", "dead");
    for (size_t i = 0; i < info->part_count; i++) {
        const zspool_group_part_t *part = &info->parts[i];
        printf("%-20s %4u %12llu %12llu %9llu %8llu %8llu %6llu\n", part->topic, part->partition,
               (unsigned long long)part->committed, (unsigned long long)part->end_offset,
               (unsigned long long)part->ready, (unsigned long long)part->leased,
               (unsigned long long)part->waiting, (unsigned long long)part->dead);
    }
}

static int group_ls(struct group_run *self, const char *match)
{
    zspool_error_t err = {0};
    zspool_names_t *names;
    if (zspool_group_list(self->client, match, cli_timeout(), &names, &err) != 0) {
        return cli_fail(&err);
    }
    cli_print_names("group", names);
    zspool_free(names);
    return CLI_OK;
}

static int group_info(struct group_run *self, const char *group)
{
    zspool_error_t err = {0};
    zspool_group_info_t *info;
    if (zspool_group_info(self->client, group, cli_timeout(), &info, &err) != 0) {
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

static int group_change(struct group_run *self, const char *group, bool create)
{
    const struct cli_named_setting named[] = {
        {"lease_ms", &self->lease},
        {"max_leased", &self->max_leased},
        {"max_failures", &self->max_failures},
        {"backoff_ms", &self->backoff},
        {"backoff_max_ms", &self->backoff_max},
    };
    zspool_figure_t settings[5];
    zspool_error_t err = {0};
    zspool_group_spec_t spec;
    zspool_group_spec_init(&spec, group);
    spec.settings = settings;
    spec.setting_count = cli_collect_settings(named, 5, settings);
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

static int group_rm(struct group_run *self, const char *group)
{
    zspool_error_t err = {0};
    if (zspool_group_delete(self->client, group, true, cli_timeout(), &err) != 0) {
        return cli_fail(&err);
    }
    if (self->dry_run) {
        cli_say("would delete group %s", group);
        return CLI_OK;
    }
    const int asked = cli_confirm(self->yes, "Delete group %s and forget what it has done?", group);
    if (asked != CLI_OK) {
        return asked;
    }
    if (zspool_group_delete(self->client, group, false, cli_timeout(), &err) != 0) {
        return cli_fail(&err);
    }
    return CLI_OK;
}

static void print_seek(const zspool_seek_result_t *result, const char *topic)
{
    for (size_t i = 0; i < result->count; i++) {
        const zspool_seek_part_t *part = &result->parts[i];
        if (cli_common.json) {
            struct json json = json_begin();
            json_text(&json, "topic", topic);
            json_uint(&json, "partition", part->partition);
            json_uint(&json, "from", part->from);
            json_uint(&json, "to", part->to);
            json_uint(&json, "redelivered", part->redelivered);
            json_uint(&json, "skipped", part->skipped);
            json_end(&json);
        } else {
            printf("%s/%u: %llu -> %llu, %llu again, %llu skipped\n", topic, part->partition,
                   (unsigned long long)part->from, (unsigned long long)part->to,
                   (unsigned long long)part->redelivered, (unsigned long long)part->skipped);
        }
    }
}

static int seek(struct group_run *self, zspool_seek_spec_t *spec, bool print)
{
    zspool_error_t err = {0};
    zspool_seek_result_t *result;
    if (zspool_group_seek(self->client, spec, cli_timeout(), &result, &err) != 0) {
        return cli_fail(&err);
    }
    if (print) {
        print_seek(result, spec->topic);
    }
    zspool_free(result);
    return CLI_OK;
}

static int group_seek(struct group_run *self, const char *group)
{
    if (self->topics.count != 1 || self->to.kind == ZSPOOL_POSITION_NONE) {
        return cli_usage(self->verb, "seek wants --topic TOPIC and --to POSITION");
    }
    zspool_seek_spec_t spec;
    zspool_seek_spec_init(&spec, group, self->topics.items[0]);
    spec.partition = self->partition;
    spec.to = self->to;
    spec.dead = self->dead;
    spec.dry_run = true;
    const int code = seek(self, &spec, self->dry_run);
    if (code != CLI_OK || self->dry_run) {
        return code;
    }
    const int asked =
        cli_confirm(self->yes, "Move group %s in topic %s (see --dry-run)?", group, spec.topic);
    if (asked != CLI_OK) {
        return asked;
    }
    spec.dry_run = false;
    return seek(self, &spec, true);
}

static int run_action(struct group_run *self, const char *action, const char *group)
{
    if (strcmp(action, "ls") == 0) {
        return group_ls(self, group);
    }
    if (!group) {
        return cli_usage(self->verb, "%s wants a GROUP", action);
    }
    if (strcmp(action, "info") == 0) {
        return group_info(self, group);
    }
    if (strcmp(action, "create") == 0 || strcmp(action, "set") == 0) {
        return group_change(self, group, action[0] == 'c');
    }
    if (strcmp(action, "rm") == 0) {
        return group_rm(self, group);
    }
    if (strcmp(action, "seek") == 0) {
        return group_seek(self, group);
    }
    return cli_usage(self->verb, "there is no \"group %s\"", action);
}

static int run(const struct cli_verb *verb, int argc, char **argv)
{
    struct group_run self = {.verb = verb, .partition = ZSPOOL_PARTITION_ALL};
    const struct cli_option table[] = {
        {0, "topic", CLI_TEXTS, "TOPIC", "create: one of its topics; seek: the topic",
         &self.topics},
        {0, "mode", CLI_TEXT, "MODE", "create: shared", &self.mode},
        {0, "start", CLI_POSITION, "POSITION", "create: where it begins (earliest)", &self.start},
        {0, "lease", CLI_SETTING_DURATION, "TIME", "how long a lease lasts (30s)", &self.lease},
        {0, "max-leased", CLI_SETTING_COUNT, "NUMBER", "messages out at once (1000000)",
         &self.max_leased},
        {0, "max-failures", CLI_SETTING_COUNT, "NUMBER", "then a message is dead (5); 0: never",
         &self.max_failures},
        {0, "backoff", CLI_SETTING_DURATION, "TIME", "delay before the first retry (1s)",
         &self.backoff},
        {0, "backoff-max", CLI_SETTING_DURATION, "TIME", "the longest such delay (60s)",
         &self.backoff_max},
        {0, "to", CLI_POSITION, "POSITION", "seek: where to go", &self.to},
        {'p', "partition", CLI_PARTITION, "NUMBER", "seek: only this one", &self.partition},
        {0, "dead", CLI_FLAG, NULL, "seek: dead messages come again, too", &self.dead},
        {0, "dry-run", CLI_FLAG, NULL, "seek, rm: only tell what would happen", &self.dry_run},
        {0, "yes", CLI_FLAG, NULL, "seek, rm: do not ask", &self.yes},
        {0, NULL, CLI_FLAG, NULL, NULL, NULL},
    };
    struct cli_args args;
    const int rc = cli_parse(verb, table, argc, argv, &args);
    if (rc != 0) {
        return cli_parsed_exit(rc);
    }
    self.client = cli_client("zspool-group");
    const int code = self.client ? run_action(&self, args.items[0], args.items[1]) : CLI_USAGE;
    cli_client_destroy(&self.client);
    free(self.topics.items);
    return code;
}

const struct cli_verb cli_group = {
    .name = "group",
    .synopsis = "ls [GLOB] | info|create|set|rm|seek GROUP",
    .summary = "list, show, create, change, remove and move groups",
    .details = "seek moves the group in a topic: leases out are lost, counts begin anew.\n"
               "Positions are those of `zspool read`. A setting `default` is unset.\n",
    .example = "  zspool group seek billing --topic orders --to 10m --dry-run\n",
    .args_min = 1,
    .args_max = 2,
    .run_fn = run,
};
