/* SPDX-License-Identifier: MPL-2.0 */
#include <string.h>

#include "client/cli/verb/nothing.h"
#include "client/cli/verb/why_text.h"

/* How many topics are there that this name or pattern stands for? One is enough. */
static int find_topic(zspool_client_t *client, const char *topic, bool *ret_is_there,
                      zspool_error_t *err)
{
    zspool_names_t *names;
    const int rc = zspool_topic_list(client, topic, cli_timeout(), &names, err);
    if (rc == 0) {
        *ret_is_there = names->count > 0;
        zspool_free(names);
    }
    return rc;
}

/* Tell which topics are not there. Returns how many are, or an error. */
static int count_topics(zspool_client_t *client, const char *group, const char *const *topics,
                        size_t topic_count, zspool_error_t *err)
{
    int count = 0;
    for (size_t i = 0; i < topic_count; i++) {
        bool is_there = false;
        const int rc = find_topic(client, topics[i], &is_there, err);
        if (rc != 0) {
            return rc;
        }
        count += is_there;
        if (!is_there && strpbrk(topics[i], "*?")) {
            cli_say("group %s: nothing to take: no topic matches %s", group, topics[i]);
        } else if (!is_there) {
            cli_say("group %s: nothing to take: there is no topic %s", group, topics[i]);
        }
    }
    return count;
}

/* Is it about one of these topics? A pattern may stand for any. */
static bool is_about(const zspool_why_t *why, const char *const *topics, size_t topic_count)
{
    for (size_t i = 0; i < topic_count; i++) {
        if (!why->topic || strpbrk(topics[i], "*?") || strcmp(why->topic, topics[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* What keeps these topics back; NULL = nothing that would be known. A partition that has a reason of
 * its own may be of another topic. */
static const zspool_why_t *choose(const zspool_group_info_t *info, const char *const *topics,
                                  size_t topic_count)
{
    if (info->why && is_about(info->why, topics, topic_count)) {
        return info->why;
    }
    for (size_t i = 0; i < info->why_count; i++) {
        if (is_about(&info->whys[i], topics, topic_count)) {
            return &info->whys[i];
        }
    }
    return NULL;
}

static void tell_why(const zspool_group_info_t *info, const char *const *topics, size_t topic_count)
{
    char text[WHY_TEXT_SIZE];
    const zspool_why_t *why = choose(info, topics, topic_count);
    /* What was ready by now came after the run had ended. */
    if (!why || strcmp(why->reason, "nobody_pulls") == 0 || strcmp(why->reason, "moving") == 0) {
        cli_note("group %s: nothing was ready", info->group);
        return;
    }
    (void)why_text(why, why_now_ms(), text);
    if (strcmp(why->reason, "caught_up") == 0) {
        cli_note("group %s: %s", info->group, text);
    } else if (why->topic && info->part_count > 1) {
        cli_note("group %s: nothing to take: %s partition %u: %s", info->group, why->topic,
                 why->partition, text);
    } else {
        cli_note("group %s: nothing to take: %s", info->group, text);
    }
}

int nothing_for_group(zspool_client_t *client, const char *group, const char *const *topics,
                      size_t topic_count)
{
    zspool_error_t err = {0};
    zspool_group_info_t *info;
    if (zspool_connect(client, 0, NULL, &err) != 0) {
        (void)cli_fail(&err); /* silence would look like an empty topic */
        return CLI_TIMEOUT;
    }
    const int found = count_topics(client, group, topics, topic_count, &err);
    if (found == 0) {
        return CLI_NOT_FOUND;
    }
    if (found < 0 || zspool_group_info(client, group, cli_timeout(), &info, &err) != 0) {
        (void)cli_fail(&err);
        return CLI_TIMEOUT;
    }
    tell_why(info, topics, topic_count);
    zspool_free(info);
    return CLI_TIMEOUT;
}
