/* SPDX-License-Identifier: MPL-2.0
 *
 * What becomes of a message that was out: pure rules from the run as it was to
 * the run as it will be.
 *
 *   retry     counts as failure; waits for its delay or the group's backoff; dead when it has
 *             failed often enough
 *   release   ready again, nothing counted
 *   reject    counts as failure, dead at once
 *   expired   it was to be handed out, and its time to live is over: done, or dead
 *   lost      the lease ended by time; see outcome_lost()
 *
 * Acknowledged messages have no run any more.
 */
#ifndef ZSP_ENGINE_OUTCOME_H
#define ZSP_ENGINE_OUTCOME_H

#include "broker/engine/base/runmap.h"
#include "broker/engine/group/group_settings.h"

/* The delay before the retry after `failures` failures (>= 1); `drawn` are random bits, looked at
 * only where there is a jitter. */
uint64_t outcome_backoff_ms(const struct group_settings *settings, uint32_t failures,
                            uint64_t drawn);

/* The application asked for a retry, `delay_ms` from now. */
void outcome_retry(const struct group_settings *settings, uint64_t delay_ms, int64_t now_ms,
                   struct run *run);
/* The same after the group's backoff. */
void outcome_retry_later(const struct group_settings *settings, uint64_t drawn, int64_t now_ms,
                         struct run *run);
void outcome_release(struct run *run);
void outcome_reject(const struct group_settings *settings, struct run *run);
/* A reserved message is not handed out: dead, or RUN_NONE. */
void outcome_expired(const struct group_settings *settings, struct run *run);

/* A lease that ended by time. */
struct lost_lease {
    uint32_t granted;  /* messages it was for */
    bool any_started;  /* one of its unsettled messages at least was marked */
    bool uses_started; /* its session sends `started`: silence says "not begun" */
};

/* Poison: blame for a lost lease falls on the messages marked as started. If none is, then on
 * the only message of a lease of one, unless its session sends `started`; a larger lease blames
 * nobody, and its messages next go out in leases at most half as large. True = it was counted
 * as a failure. */
bool outcome_lost(const struct group_settings *settings, const struct lost_lease *lease,
                  struct run *run);
/* The reply never reached the client: as if it had not been handed out. */
void outcome_undelivered(struct run *run);

#endif
