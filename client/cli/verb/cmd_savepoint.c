/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool savepoint: keep what a group has done, and bring it back.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/columns.h"
#include "client/cli/json.h"
#include "client/cli/verbs.h"

struct savepoint_run {
    const struct cli_verb *verb;
    bool replace, dry_run, yes;
    zspool_client_t *client;
    const char *group, *name; /* name NULL: undo */
};

/* --- ls ---------------------------------------------------------------------------------- */

static void json_list(const char *group, const zspool_savepoint_list_t *list)
{
    char time[32];
    for (size_t i = 0; i < list->count; i++) {
        struct json json = json_begin();
        cli_write_time(list->items[i].created_ms, time);
        json_text(&json, "group", group);
        json_text(&json, "savepoint", list->items[i].name);
        json_text(&json, "created", time);
        json_uint(&json, "bytes", list->items[i].bytes);
        json_end(&json);
    }
}

static int print_list(const zspool_savepoint_list_t *list)
{
    char time[32];
    struct columns columns;
    columns_init(&columns, "<SAVEPOINT <CREATED BYTES");
    for (size_t i = 0; i < list->count; i++) {
        cli_write_time(list->items[i].created_ms, time);
        columns_text(&columns, list->items[i].name);
        columns_text(&columns, time);
        columns_bytes(&columns, list->items[i].bytes);
    }
    const bool printed = list->count == 0 || columns_print(&columns);
    columns_fini(&columns);
    if (list->undo_ms != 0) {
        cli_write_time(list->undo_ms, time);
        cli_note("the move of %s can be undone", time);
    }
    return printed ? CLI_OK : CLI_ERROR;
}

static int list(const struct savepoint_run *self)
{
    zspool_error_t err = {0};
    zspool_savepoint_list_t *list;
    int code = CLI_OK;
    if (zspool_savepoint_list(self->client, self->group, cli_timeout(), &list, &err) != 0) {
        return cli_fail(&err);
    }
    if (cli_common.json) {
        json_list(self->group, list);
    } else {
        code = print_list(list);
    }
    zspool_free(list);
    return code;
}

/* --- save, rm ---------------------------------------------------------------------------------- */

static int save(const struct savepoint_run *self)
{
    zspool_error_t err = {0};
    const int rc = zspool_savepoint_save(self->client, self->group, self->name, self->replace,
                                         cli_timeout(), &err);
    return rc == 0 ? CLI_OK : cli_fail(&err);
}

static int drop(const struct savepoint_run *self)
{
    zspool_error_t err = {0};
    int rc =
        zspool_savepoint_drop(self->client, self->group, self->name, true, cli_timeout(), &err);
    if (rc != 0) {
        return cli_fail(&err);
    }
    if (self->dry_run) {
        printf("would forget savepoint %s of group %s\n", self->name, self->group);
        return cli_flush() ? CLI_OK : CLI_ERROR;
    }
    const int code =
        cli_confirm(self->yes, "Forget savepoint %s of group %s?", self->name, self->group);
    if (code != CLI_OK) {
        return code;
    }
    rc = zspool_savepoint_drop(self->client, self->group, self->name, false, cli_timeout(), &err);
    return rc == 0 ? CLI_OK : cli_fail(&err);
}

/* --- restore, undo ------------------------------------------------------------------------------- */

static void json_part(const zspool_restore_part_t *part)
{
    struct json json = json_begin();
    json_text(&json, "topic", part->topic);
    json_uint(&json, "partition", part->partition);
    json_uint(&json, "from", part->from);
    json_uint(&json, "to", part->to);
    json_uint(&json, "redelivered", part->redelivered);
    json_uint(&json, "skipped", part->skipped);
    json_uint(&json, "gone", part->gone);
    json_end(&json);
}

static int print_table(const zspool_restore_result_t *result)
{
    struct columns columns;
    columns_init(&columns, "<TOPIC PARTITION FROM TO REDELIVERED SKIPPED GONE");
    for (size_t i = 0; i < result->count; i++) {
        const zspool_restore_part_t *part = &result->parts[i];
        columns_text(&columns, part->topic);
        columns_count(&columns, part->partition);
        columns_count(&columns, part->from);
        columns_count(&columns, part->to);
        columns_count(&columns, part->redelivered);
        columns_count(&columns, part->skipped);
        columns_alarm(&columns, part->gone);
    }
    const bool printed = columns_print(&columns);
    columns_fini(&columns);
    return printed ? CLI_OK : CLI_ERROR;
}

static int print_result(const zspool_restore_result_t *result)
{
    int code = CLI_OK;
    for (size_t i = 0; i < result->missing_count; i++) {
        cli_note("topic %s of that time is gone", result->missing[i]);
    }
    if (!cli_common.json) {
        return print_table(result);
    }
    for (size_t i = 0; i < result->count; i++) {
        json_part(&result->parts[i]);
    }
    return code;
}

static int go(const struct savepoint_run *self, bool dry_run, zspool_restore_result_t **ret)
{
    zspool_error_t err = {0};
    const int rc = self->name ? zspool_savepoint_restore(self->client, self->group, self->name,
                                                         dry_run, cli_timeout(), ret, &err)
                              : zspool_savepoint_undo(self->client, self->group, dry_run,
                                                      cli_timeout(), ret, &err);
    return rc == 0 ? CLI_OK : cli_fail(&err);
}

/* First what would happen; then, if that is wanted, it does. */
static int restore(const struct savepoint_run *self)
{
    zspool_restore_result_t *result;
    int code = go(self, true, &result);
    if (code != CLI_OK) {
        return code;
    }
    if (self->dry_run) {
        code = print_result(result);
        zspool_free(result);
        return code;
    }
    code = cli_confirm(self->yes,
                       "Group %s: %" PRIu64 " messages come again, %" PRIu64
                       " are skipped, %" PRIu64 " are gone; go on?",
                       self->group, result->redelivered, result->skipped, result->gone);
    zspool_free(result);
    if (code == CLI_OK) {
        code = go(self, false, &result);
    } else {
        return code;
    }
    if (code == CLI_OK) {
        code = print_result(result);
        zspool_free(result);
    }
    return code;
}

/* --- The run ---------------------------------------------------------------------------------------- */

static int run_action(struct savepoint_run *self, const struct cli_args *args)
{
    static const char *const actions[] = {"save", "ls", "restore", "undo", "rm"};
    const struct cli_action_flag flags[] = {
        {"replace", self->replace, "save"},
        {"dry-run", self->dry_run, "restore undo rm"},
        {"yes", self->yes, "restore undo rm"},
    };
    const char *action = args->items[0];
    if (cli_check_action(self->verb, action, actions, sizeof actions / sizeof *actions) != 0 ||
        cli_check_flags(self->verb, action, flags, sizeof flags / sizeof flags[0]) != 0) {
        return CLI_USAGE;
    }
    const bool named = strcmp(action, "ls") != 0 && strcmp(action, "undo") != 0;
    if (args->count != (named ? 3 : 2)) {
        return cli_usage(self->verb, "%s wants GROUP%s", action, named ? " NAME" : "");
    }
    self->group = args->items[1];
    self->name = named ? args->items[2] : NULL;
    if (strcmp(action, "ls") == 0) {
        return list(self);
    }
    if (strcmp(action, "save") == 0) {
        return save(self);
    }
    return strcmp(action, "rm") == 0 ? drop(self) : restore(self);
}

static int run(const struct cli_verb *verb, int argc, char **argv)
{
    struct savepoint_run self = {.verb = verb};
    const struct cli_option table[] = {
        {0, "replace", CLI_FLAG, NULL, "save: in place of one that is there", &self.replace},
        {0, "dry-run", CLI_FLAG, NULL, "restore, undo, rm: only tell what would happen",
         &self.dry_run},
        {0, "yes", CLI_FLAG, NULL, "restore, undo, rm: do not ask", &self.yes},
        {0, NULL, CLI_FLAG, NULL, NULL, NULL},
    };
    struct cli_args args;
    const int rc = cli_parse(verb, table, argc, argv, &args);
    if (rc != 0) {
        return cli_parsed_exit(rc);
    }
    self.client = cli_client("zspool-savepoint");
    const int code = self.client ? run_action(&self, &args) : CLI_USAGE;
    cli_client_destroy(&self.client);
    return code;
}

const struct cli_verb cli_savepoint = {
    .name = "savepoint",
    .synopsis = "save|restore|rm GROUP NAME | ls|undo GROUP",
    .summary = "keep what a group has done, and bring it back",
    .details = "restore brings a group back to what it had done when the savepoint was saved;\n"
               "undo to before its last seek, restore or undo. Leases out are lost. Both ask on\n"
               "a terminal, and want --yes without one. A savepoint pins no messages: GONE are\n"
               "those that were still to be done then, and that retention has taken since.\n",
    .example = "  zspool savepoint save billing before-the-fix\n"
               "  zspool savepoint restore billing before-the-fix --dry-run\n"
               "  zspool savepoint undo billing --yes\n",
    .args_min = 1,
    .args_max = -1,
    .run_fn = run,
};
