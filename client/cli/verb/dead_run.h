/* SPDX-License-Identifier: MPL-2.0
 *
 * What the actions of `zspool dead` share.
 */
#ifndef ZSP_CLI_DEAD_RUN_H
#define ZSP_CLI_DEAD_RUN_H

#include "client/cli/cli.h"

struct dead_run {
    const struct cli_verb *verb;
    const char *action;
    const char *topic, *reason;
    int32_t partition;
    int64_t older_than_ms, newer_than_ms; /* 0 = any */
    uint64_t count;                       /* of rows; 0 = all */
    uint64_t rate;                        /* messages a second; 0 = at once */
    bool all, dry_run, keep_counts, stop, yes;
    zspool_client_t *client;
    zspool_dead_choice_t choice; /* what is meant */
};

/* TOPIC/PARTITION/OFFSET or TOPIC/PARTITION/FIRST..LAST; cuts the text apart when it is one. */
bool dead_read_address(char *text, zspool_dead_run_t *ret);
/* The same for people; `to` has at least DEAD_ADDRESS_SIZE bytes. Returns `to`. */
#define DEAD_ADDRESS_SIZE 280
const char *dead_write_address(const zspool_dead_run_t *run, char *to);

/* redrive and drop: count, ask, do. Returns the exit code. */
int dead_change(struct dead_run *self);

#endif
