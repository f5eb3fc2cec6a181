/* SPDX-License-Identifier: MPL-2.0
 *
 * Outcomes on their way to the broker: runs of offsets, gathered and joined
 * where neighbours fit, encoded as the arguments of SETTLE. Locked by its
 * owner.
 */
#ifndef ZSP_CLIENT_OUTCOMES_H
#define ZSP_CLIENT_OUTCOMES_H

#include <zspool.h>

#include "common/bytes.h"
#include "common/err.h"
#include "common/wire.h"

struct zsp_outcome_run {
    const char *topic; /* lives as long as the list */
    uint32_t partition;
    uint64_t first, count;
    uint64_t lease;
    enum wire_outcome outcome;
    bool is_unseen; /* the host has not seen it: nor is it told when its lease was lost */
    bool has_delay;
    uint64_t delay_ms; /* retry: delay; extend: ms */
    char *reason;      /* owned; NULL = none */
    size_t reason_len;
};

struct zsp_outcomes {
    struct zsp_outcome_run *items;
    size_t count, capacity;
};

void zsp_outcomes_fini(struct zsp_outcomes *self);
void zsp_outcomes_reset(struct zsp_outcomes *self);
/* Add a run (its reason is copied); joined to the last one if it continues it.
 * Errors: ZSP_ENOMEM */
int zsp_outcomes_add(struct zsp_outcomes *self, const struct zsp_outcome_run *run);
/* Sort by place and join what touches, except runs with a reason. */
void zsp_outcomes_join(struct zsp_outcomes *self);
/* Has it, under another lease, a message of the run? */
bool zsp_outcomes_meet(const struct zsp_outcomes *self, const struct zsp_outcome_run *run);
/* Of the first `count` runs of a joined list, how many come before one that has a message in common
 * with an earlier one. The broker's rows name messages and no lease, so that a request
 * must have each message once. */
size_t zsp_outcomes_apart(const struct zsp_outcomes *self, size_t count);
/* Move the first `count` runs to the end of `to`. Errors: ZSP_ENOMEM (nothing moved) */
int zsp_outcomes_move(struct zsp_outcomes *self, size_t count, struct zsp_outcomes *to);
/* How many runs from the first fit a request of `header_max` bytes and `run_max` runs;
 * at least one if there is one. */
size_t zsp_outcomes_fit(const struct zsp_outcomes *self, uint64_t header_max, uint64_t run_max);
/* The arguments of SETTLE for all runs. */
void zsp_outcomes_write(const struct zsp_outcomes *self, const char *group, struct zsp_writer *out);

/* All runs as an array. */
void zsp_outcomes_write_runs(const struct zsp_outcomes *self, struct zsp_writer *out);

/* One row of a reply's not_applied. False when it cannot be read. */
struct zsp_not_applied {
    struct zsp_slice topic;
    uint32_t partition;
    uint64_t first, count;
    zspool_settled_t settled;
};
bool zsp_not_applied_read(const msgpack_object *row, struct zsp_not_applied *ret);

#endif
