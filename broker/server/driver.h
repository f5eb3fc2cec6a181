/* SPDX-License-Identifier: MPL-2.0
 *
 * Drives the engine and the log store below it, without sockets, clock or
 * threads: takes the store's jobs, has the host run them, hands the results
 * back. zspoold, an embedded broker and the simulator drive their broker with
 * it; they differ in the host.
 *
 *     engine_request() ... per event
 *     do { more = driver_pump(); take the engine's effects; more |= driver_start() } while (more)
 */
#ifndef ZSP_SERVER_DRIVER_H
#define ZSP_SERVER_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/engine/engine.h"
#include "broker/store/file/job.h"
#include "broker/store/log_store.h"

/* Who runs jobs. */
struct driver_host {
    void *arg;
    /* Run the job and return true, or keep it and return false: collect_fn gives
     * it back when it has run. */
    bool (*run_fn)(void *arg, struct job *job);
    /* A kept job that has run since; NULL = none now. */
    struct job *(*collect_fn)(void *arg);
};

struct driver {
    struct engine *engine;       /* lent */
    struct log_store *log_store; /* lent */
    struct driver_host host;
    struct job *syncs;      /* jobs of the last step that wait for the next, in order */
    struct job **syncs_end; /* where the next one goes */
    size_t jobs_out;        /* kept by the host */
    uint64_t read_bytes;    /* read at once by the host, ever */
};

void driver_init(struct driver *self, struct engine *engine, struct log_store *log_store,
                 struct driver_host host);

/* Bytes that one step reads at once; the other jobs wait for the next step. */
#define DRIVER_STEP_BYTES (16u << 20)

/* The first half of a step: hand finished jobs back, pump the engine. What it has to say then is
 * sent before the second half, which may block. True = jobs came back. */
bool driver_pump(struct driver *self, struct instant now);
/* The second half: start the syncs that the step before left, or, if none of them has run, the
 * store's new jobs. Their own syncs wait for the next step, so that what the writes before them
 * allow is sent first. True = a job has run, or a sync waits: call again soon. */
bool driver_start(struct driver *self);

/* Work that will end without a further event from outside: a sync that waits or
 * jobs at the host. */
bool driver_busy(const struct driver *self);

/* Give every job back to the store without asking the engine again: those that
 * the host finished as they are, those that wait as failed. For the end of a
 * broker, after the host has stopped running jobs. A zeroed driver is fine. */
void driver_stop(struct driver *self);

/* When driver_pump() wants to be called at the latest; monotonic, INT64_MAX =
 * only after an event. */
int64_t driver_deadline_ms(const struct driver *self);

#endif
