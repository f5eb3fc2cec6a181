/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool dead redrive and drop: first how many there are, then, if that is wanted, it is done,
 * request by request.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/json.h"
#include "client/cli/terminal.h"
#include "client/cli/verb/dead_run.h"

static bool is_redrive(const struct dead_run *self)
{
    return strcmp(self->action, "redrive") == 0;
}

/* One request after the other until all that is meant was met. */
static int pass(struct dead_run *self, bool dry_run, uint64_t whole, uint64_t *ret_messages)
{
    zspool_error_t err = {0};
    zspool_dead_choice_t choice = self->choice;
    zspool_dead_result_t *result = NULL;
    zspool_dead_result_t *before = NULL; /* holds choice.from */
    struct progress progress = progress_begin(self->action, whole, true);
    int code = CLI_OK;
    *ret_messages = 0;
    choice.dry_run = dry_run;
    do {
        const int rc =
            is_redrive(self)
                ? zspool_dead_redrive(self->client, &choice, cli_timeout(), &result, &err)
                : zspool_dead_drop(self->client, &choice, cli_timeout(), &result, &err);
        zspool_free(before);
        before = NULL;
        if (rc != 0) {
            progress_end(&progress);
            return cli_fail(&err);
        }
        *ret_messages += result->messages;
        progress_show(&progress, *ret_messages, *ret_messages);
        choice.from = result->next;
        before = result;
    } while (choice.from && !cli_stopped());
    progress_end(&progress);
    if (choice.from) {
        cli_say("stopped: those that are left stay dead");
        code = CLI_ERROR;
    }
    zspool_free(before);
    return code;
}

static int tell(const struct dead_run *self, uint64_t messages)
{
    if (cli_common.json) {
        struct json json = json_begin();
        json_text(&json, "group", self->choice.group);
        json_text(&json, "action", self->action);
        json_uint(&json, "messages", messages);
        json_bool(&json, "dry_run", self->dry_run);
        json_end(&json);
        return CLI_OK;
    }
    cli_note("%" PRIu64 " message(s) %s%s", messages, self->dry_run ? "would be " : "",
             is_redrive(self) ? "redriven" : "dropped");
    return CLI_OK;
}

static int stop(const struct dead_run *self)
{
    zspool_error_t err = {0};
    zspool_dead_result_t *result = NULL;
    if (zspool_dead_stop(self->client, self->choice.group, cli_timeout(), &result, &err) != 0) {
        return cli_fail(&err);
    }
    const int code = tell(self, result->messages);
    zspool_free(result);
    return code;
}

/* The broker goes on by itself. */
static int begin(const struct dead_run *self, uint64_t messages)
{
    zspool_error_t err = {0};
    zspool_dead_result_t *result = NULL;
    if (zspool_dead_redrive(self->client, &self->choice, cli_timeout(), &result, &err) != 0) {
        return cli_fail(&err);
    }
    zspool_free(result);
    cli_note("%" PRIu64 " message(s) are being redriven, %" PRIu64 " a second", messages,
             self->rate);
    return CLI_OK;
}

int dead_change(struct dead_run *self)
{
    uint64_t messages = 0;
    if (self->stop) {
        return stop(self);
    }
    int code = pass(self, true, 0, &messages);
    if (code == CLI_OK && !self->dry_run && messages > 0) {
        code = cli_confirm(self->yes, "Group %s: %s %" PRIu64 " dead message(s)?",
                           self->choice.group, self->action, messages);
        if (code != CLI_OK || self->rate > 0) {
            return code == CLI_OK ? begin(self, messages) : code;
        }
        code = pass(self, false, messages, &messages);
    }
    if (code == CLI_OK || messages > 0) {
        (void)tell(self, messages);
    }
    return code;
}
