/* SPDX-License-Identifier: MPL-2.0
 *
 * One run of `zspool group`: its options, for the files that carry out actions.
 */
#ifndef ZSP_CLI_GROUP_RUN_H
#define ZSP_CLI_GROUP_RUN_H

#include "client/cli/cli.h"

struct group_run {
    const struct cli_verb *verb;
    struct cli_list topics;
    const char *mode;
    zspool_position_t start;
    const char *from, *to, *as; /* places as text: positions, or savepoint:NAME */
    int64_t expires_ms;         /* 0 = not given */
    struct cli_setting lease, max_leased, max_failures, backoff, backoff_max, on_dead, expired,
        priority, filter, look_ahead, fair_by;
    struct cli_setting backoff_word, backoff_steps, backoff_factor, backoff_jitter;
    struct cli_setting dead_letter_topic, dead_retention, dead_retention_bytes;
    char backoff_text[128]; /* of backoff_steps, in ms */
    int32_t partition;
    bool is_long, all, dead, dry_run, yes;
    zspool_client_t *client;
};

/* Move a group: in the topics named, or in all it has. Returns the exit code. */
int group_run_seek(const struct group_run *self, const char *group);
/* Make a group for a range, beside a group. Returns the exit code. */
int group_run_replay(struct group_run *self, const char *group);

#define GROUP_SETTINGS_MAX 24u
/* The settings that were given, into `to`, which has room for GROUP_SETTINGS_MAX. 0, or CLI_USAGE, told. */
int group_run_settings(struct group_run *self, zspool_figure_t *to, size_t *ret_count);

#endif
