/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool group seek: first what would happen in each topic, then, if that is
 * wanted, it does. Each topic is a durable step of its own.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/columns.h"
#include "client/cli/json.h"
#include "client/cli/verb/group_run.h"

#define TOPICS_MAX 1024u /* of a group */

struct seek {
    const char *group;
    const char *topics[TOPICS_MAX];
    size_t topic_count;
    zspool_position_t to;
    uint64_t redelivered, skipped; /* by the last pass */
};

static void put_seek(const zspool_seek_part_t *part, const char *topic, struct columns *columns)
{
    if (cli_common.json) {
        struct json json = json_begin();
        json_text(&json, "topic", topic);
        json_uint(&json, "partition", part->partition);
        json_uint(&json, "from", part->from);
        json_uint(&json, "to", part->to);
        json_uint(&json, "redelivered", part->redelivered);
        json_uint(&json, "skipped", part->skipped);
        json_end(&json);
        return;
    }
    columns_text(columns, topic);
    columns_count(columns, part->partition);
    columns_count(columns, part->from);
    columns_count(columns, part->to);
    columns_count(columns, part->redelivered);
    columns_count(columns, part->skipped);
}

/* Seek in every topic; stops at the first that fails. */
static int seek_pass(const struct group_run *self, struct seek *seek, bool dry_run, bool print)
{
    zspool_error_t err = {0};
    struct columns columns;
    int code = CLI_OK;
    columns_init(&columns, "<TOPIC PARTITION FROM TO REDELIVERED SKIPPED");
    seek->redelivered = 0;
    seek->skipped = 0;
    for (size_t i = 0; i < seek->topic_count && code == CLI_OK; i++) {
        zspool_seek_result_t *result;
        zspool_seek_spec_t spec;
        zspool_seek_spec_init(&spec, seek->group, seek->topics[i]);
        spec.partition = self->partition;
        spec.to = seek->to;
        spec.dead = self->dead;
        spec.dry_run = dry_run;
        if (zspool_group_seek(self->client, &spec, cli_timeout(), &result, &err) != 0) {
            code = cli_fail(&err);
            break;
        }
        for (size_t p = 0; p < result->count; p++) {
            seek->redelivered += result->parts[p].redelivered;
            seek->skipped += result->parts[p].skipped;
            if (print) {
                put_seek(&result->parts[p], seek->topics[i], &columns);
            }
        }
        zspool_free(result);
    }
    if (print && !cli_common.json && columns.count > columns.width && !columns_print(&columns)) {
        code = CLI_ERROR;
    }
    columns_fini(&columns);
    return code;
}

/* First what would happen, in every topic; then, if that is wanted, it does. */
static int seek_all(const struct group_run *self, struct seek *seek)
{
    int code = seek_pass(self, seek, true, self->dry_run);
    if (code != CLI_OK || self->dry_run) {
        return code;
    }
    code = cli_confirm(self->yes,
                       "Move group %s in %s%s: %" PRIu64 " messages come again, %" PRIu64
                       " are skipped; go on?",
                       seek->group, seek->topics[0], seek->topic_count > 1 ? " and others" : "",
                       seek->redelivered, seek->skipped);
    return code == CLI_OK ? seek_pass(self, seek, false, true) : code;
}

/* The topics of the group's partitions, each once; their names live as long as `info`. */
static void seek_topics_of(const zspool_group_info_t *info, struct seek *seek)
{
    for (size_t i = 0; i < info->part_count && seek->topic_count < TOPICS_MAX; i++) {
        const char *topic = info->parts[i].topic;
        size_t known = 0;
        while (known < seek->topic_count && strcmp(seek->topics[known], topic) != 0) {
            known++;
        }
        if (known == seek->topic_count) {
            seek->topics[seek->topic_count++] = topic;
        }
    }
}

int group_run_seek(const struct group_run *self, const char *group)
{
    zspool_error_t err = {0};
    zspool_group_info_t *info;
    zspool_position_t to = {0};
    if (!self->to) {
        return cli_usage(self->verb, "seek wants --to POSITION");
    }
    if (!cli_read_position(self->to, &to)) {
        return cli_usage(self->verb, "--to wants %s, not \"%s\"", CLI_POSITIONS, self->to);
    }
    if (self->all == (self->topics.count > 0)) {
        return cli_usage(self->verb, "seek wants --topic TOPIC, or --all for all topics of GROUP");
    }
    if (self->topics.count > TOPICS_MAX) {
        return cli_usage(self->verb, "seek takes at most %u times --topic, not %zu", TOPICS_MAX,
                         self->topics.count);
    }
    struct seek *seek = calloc(1, sizeof *seek);
    if (!seek) {
        cli_say("no memory");
        return CLI_ERROR;
    }
    int code = CLI_OK;
    seek->group = group;
    seek->to = to;
    if (!self->all) {
        seek->topic_count = self->topics.count;
        memcpy(seek->topics, self->topics.items, seek->topic_count * sizeof *seek->topics);
        code = seek_all(self, seek);
    } else if (zspool_group_info(self->client, group, cli_timeout(), &info, &err) != 0) {
        code = cli_fail(&err);
    } else {
        seek_topics_of(info, seek);
        if (seek->topic_count > 0) {
            code = seek_all(self, seek);
        } else {
            cli_note("group %s has no topics", group);
        }
        zspool_free(info);
    }
    free(seek);
    return code;
}
