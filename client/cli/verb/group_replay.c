/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool group replay: a group is made for a range, beside a group that does not move.
 */
#include <inttypes.h>
#include <string.h>

#include "client/cli/columns.h"
#include "client/cli/json.h"
#include "client/cli/verb/group_run.h"

/* One end of the range: a position, or savepoint:NAME. False = neither. */
static bool read_place(const char *text, zspool_position_t *ret, const char **ret_savepoint)
{
    static const char prefix[] = "savepoint:";
    if (strncmp(text, prefix, sizeof prefix - 1) == 0) {
        *ret_savepoint = text + sizeof prefix - 1;
        return **ret_savepoint != '\0';
    }
    return cli_read_position(text, ret);
}

static int wrong_place(const struct group_run *self, const char *option, const char *text)
{
    return cli_usage(self->verb, "%s wants %s, or savepoint:NAME, not \"%s\"", option,
                     CLI_POSITIONS, text);
}

static void print_json(const zspool_replay_result_t *result)
{
    struct json json = json_begin();
    if (result->group) {
        json_text(&json, "group", result->group);
    }
    json_uint(&json, "messages", result->message_count);
    json_open_array(&json, "partitions");
    for (size_t i = 0; i < result->count; i++) {
        json_open_item(&json);
        json_uint(&json, "partition", result->parts[i].partition);
        json_uint(&json, "from", result->parts[i].from);
        json_uint(&json, "to", result->parts[i].to);
        json_uint(&json, "lost", result->parts[i].lost);
        json_close_object(&json);
    }
    json_close_array(&json);
    json_end(&json);
}

static int print_parts(const zspool_replay_result_t *result)
{
    struct columns columns;
    columns_init(&columns, "PARTITION FROM TO LOST");
    for (size_t i = 0; i < result->count; i++) {
        columns_count(&columns, result->parts[i].partition);
        columns_count(&columns, result->parts[i].from);
        columns_count(&columns, result->parts[i].to);
        columns_alarm(&columns, result->parts[i].lost);
    }
    const bool printed = result->count == 0 || columns_print(&columns);
    columns_fini(&columns);
    return printed ? CLI_OK : CLI_ERROR;
}

/* The name alone is for scripts; what it holds is for people. */
static int print(const struct group_run *self, const zspool_replay_result_t *result)
{
    uint64_t lost = 0;
    for (size_t i = 0; i < result->count; i++) {
        lost += result->parts[i].lost;
    }
    if (lost > 0) {
        cli_say("%" PRIu64 " messages of the range are gone", lost);
    }
    if (cli_common.json) {
        print_json(result);
        return CLI_OK;
    }
    if (self->dry_run) {
        return print_parts(result);
    }
    printf("%s\n", result->group ? result->group : "");
    cli_note("%" PRIu64 " messages; see zspool group info %s", result->message_count,
             result->group ? result->group : "");
    return CLI_OK;
}

int group_run_replay(struct group_run *self, const char *group)
{
    zspool_figure_t settings[GROUP_SETTINGS_MAX];
    zspool_replay_result_t *result;
    zspool_error_t err = {0};
    zspool_replay_spec_t spec;
    zspool_replay_spec_init(&spec, group);
    if (!self->from) {
        return cli_usage(self->verb, "replay wants --from POSITION");
    }
    if (!read_place(self->from, &spec.from, &spec.from_savepoint)) {
        return wrong_place(self, "--from", self->from);
    }
    if (self->to && !read_place(self->to, &spec.to, &spec.to_savepoint)) {
        return wrong_place(self, "--to", self->to);
    }
    if (self->topics.count > 1) {
        return cli_usage(self->verb, "replay takes one --topic");
    }
    if (group_run_settings(self, settings, &spec.setting_count) != 0) {
        return CLI_USAGE;
    }
    spec.settings = settings;
    spec.topic = self->topics.count > 0 ? self->topics.items[0] : NULL;
    spec.partition = self->partition;
    spec.name = self->as;
    spec.expires_ms = self->expires_ms;
    spec.dry_run = self->dry_run;
    if (zspool_group_replay(self->client, &spec, cli_timeout(), &result, &err) != 0) {
        return cli_fail(&err);
    }
    const int code = print(self, result);
    zspool_free(result);
    return code;
}
