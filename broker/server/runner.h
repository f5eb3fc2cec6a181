/* SPDX-License-Identifier: MPL-2.0
 *
 * Where a job runs: inline on the owner's thread when that surely is quicker
 * than two thread hops (40-50 us), else on the executor.
 *
 *   WRITE  inline below RUNNER_INLINE_BYTES: a larger one can stall in writeback
 *   READ   inline when its bytes are in memory
 *   SYNC   inline when somebody waits for it, nothing else is ready and syncs were quick lately
 *   TASK   never inline
 *
 * The host of a driver (driver.h). One thread.
 */
#ifndef ZSP_SERVER_RUNNER_H
#define ZSP_SERVER_RUNNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/server/driver.h"
#include "broker/store/file/executor.h"

#define RUNNER_INLINE_BYTES (256u * 1024u) /* a longer write leaves the thread */
#define RUNNER_SYNC_WINDOW  128u           /* syncs looked back upon */
#define RUNNER_SYNC_SLOW_US 1000           /* what counts as slow */

struct runner {
    struct fs *fs;             /* lent */
    struct executor *executor; /* lent */
    /* Does anything else wait for the thread? NULL = never. */
    bool (*ready_fn)(void *arg);
    void *ready_arg;
    bool sync_was_slow[RUNNER_SYNC_WINDOW]; /* a ring */
    uint32_t sync_index;
    uint32_t slow_count; /* in the ring */
};

void runner_init(struct runner *self, struct fs *fs, struct executor *executor);

/* The functions of a driver_host whose arg is the runner. */
struct driver_host runner_host(struct runner *self);

/* Note how long a sync took; called by the runner, and by tests. */
void runner_note_sync(struct runner *self, int64_t took_us);
/* Are at least 99 of 100 recent syncs quick? */
bool runner_sync_is_quick(const struct runner *self);

#endif
