/* SPDX-License-Identifier: MPL-2.0
 *
 * Broker time: the time on which leases, retries and every other wait run. It
 * advances with the monotonic clock while the broker runs, stands still while
 * it is down (a start resumes at the highest time the store has seen) and knows
 * nothing of wall time, so that an outage or a stepped clock fails nobody.
 *
 * A start, or a stall (two events more than ZSP_STALL_MS apart although the
 * engine asked to be called in between), begins a grace of ZSP_STALL_GRACE_MS in
 * which no lease ends: clients must get the chance to be heard first.
 */
#ifndef ZSP_ENGINE_CLOCK_H
#define ZSP_ENGINE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/store/store.h"

struct clock {
    int64_t broker_ms;      /* now, never goes back */
    int64_t last_mono_ms;   /* of the last event */
    int64_t grace_until_ms; /* broker time before which no lease ends */
};

/* Start at broker time `resume_ms`, in a grace. */
void clock_start(struct clock *self, struct instant now, int64_t resume_ms);
/* An event happened at `now`. `watched` = the engine had asked to be called at
 * least every ZSP_STALL_MS / 2, so that a longer gap is a stall. */
void clock_advance(struct clock *self, struct instant now, bool watched);
/* Broker time -> the monotonic time of the host; INT64_MAX stays. */
int64_t clock_to_mono_ms(const struct clock *self, int64_t broker_ms);

#endif
