/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool topic purge: first what would go, then, if that is wanted, it does.
 */
#include <inttypes.h>
#include <stdio.h>

#include "client/cli/json.h"
#include "client/cli/verb/topic_run.h"

static void print_result(const struct topic_run *self, const char *topic,
                         const zspool_purge_result_t *result)
{
    if (cli_common.json) {
        struct json json = json_begin();
        json_text(&json, "topic", topic);
        json_uint(&json, "messages", result->messages);
        json_bool(&json, "purged", !self->dry_run);
        json_open_array(&json, "groups");
        for (size_t i = 0; i < result->group_count; i++) {
            json_open_item(&json);
            json_text(&json, "group", result->groups[i].group);
            json_uint(&json, "lost", result->groups[i].lost);
            json_close_object(&json);
        }
        json_close_array(&json);
        json_end(&json);
        return;
    }
    if (self->dry_run) {
        printf("would drop %" PRIu64 " messages of topic %s\n", result->messages, topic);
    }
    for (size_t i = 0; i < result->group_count; i++) {
        cli_note("group %s %s %" PRIu64 " messages that it has not done", result->groups[i].group,
                 self->dry_run ? "would lose" : "loses", result->groups[i].lost);
    }
}

int topic_run_purge(const struct topic_run *self, const char *topic)
{
    zspool_error_t err = {0};
    zspool_purge_spec_t spec;
    zspool_purge_result_t *result;
    zspool_purge_spec_init(&spec, topic);
    spec.partition = self->partition;
    spec.before = self->before;
    spec.dry_run = true;
    if (self->before.kind == ZSPOOL_POSITION_NONE) {
        return cli_usage(self->verb, "purge wants --before POSITION: latest for all there is");
    }
    if (zspool_topic_purge(self->client, &spec, cli_timeout(), &result, &err) != 0) {
        return cli_fail(&err);
    }
    uint64_t lost = 0;
    for (size_t i = 0; i < result->group_count; i++) {
        lost += result->groups[i].lost;
    }
    const uint64_t messages = result->messages;
    if (self->dry_run) {
        print_result(self, topic, result);
    }
    zspool_free(result);
    const int code =
        cli_confirm(self->yes || self->dry_run,
                    "Drop %" PRIu64 " messages of topic %s, of which groups lose %" PRIu64
                    " that are not done?",
                    messages, topic, lost);
    if (code != CLI_OK || self->dry_run) {
        return code;
    }
    spec.dry_run = false;
    if (zspool_topic_purge(self->client, &spec, cli_timeout(), &result, &err) != 0) {
        return cli_fail(&err);
    }
    print_result(self, topic, result);
    zspool_free(result);
    return CLI_OK;
}
