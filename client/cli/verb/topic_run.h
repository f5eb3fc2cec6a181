/* SPDX-License-Identifier: MPL-2.0
 *
 * One run of `zspool topic`: its options, for the files that carry out actions.
 */
#ifndef ZSP_CLI_TOPIC_RUN_H
#define ZSP_CLI_TOPIC_RUN_H

#include "client/cli/cli.h"

struct topic_run {
    const struct cli_verb *verb;
    uint64_t partitions;
    struct cli_setting retention_time, retention_bytes, until_consumed, max_bytes, when_full;
    struct cli_setting cleanup, tombstone_retention, compaction_lag, compact_ratio;
    struct cli_setting dedup_window;
    zspool_position_t before;
    int32_t partition;
    bool is_long, all, dry_run, yes;
    bool force; /* set: though a group keeps an order */
    zspool_client_t *client;
};

/* Drop messages. Returns the exit code. */
int topic_run_purge(const struct topic_run *self, const char *topic);

#endif
