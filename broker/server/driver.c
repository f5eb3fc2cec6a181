/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/server/driver.h"

#include "common/assert.h"

void driver_init(struct driver *self, struct engine *engine, struct log_store *log_store,
                 struct driver_host host)
{
    *self = (struct driver){.engine = engine, .log_store = log_store, .host = host};
    self->syncs_end = &self->syncs;
}

/* Have the host run one job; true = it has run. */
static bool start(struct driver *self, struct job *job)
{
    if (!self->host.run_fn(self->host.arg, job)) {
        self->jobs_out++;
        return false;
    }
    self->read_bytes += job->kind == JOB_READ ? job->len : 0;
    log_store_job_done(self->log_store, job);
    return true;
}

static bool collect(struct driver *self)
{
    bool moved = false;
    struct job *job = NULL;
    while ((job = self->host.collect_fn(self->host.arg))) {
        zsp_assert(self->jobs_out > 0);
        self->jobs_out--;
        log_store_job_done(self->log_store, job);
        moved = true;
    }
    return moved;
}

static bool start_waiting_syncs(struct driver *self)
{
    struct job *job = self->syncs;
    self->syncs = NULL;
    self->syncs_end = &self->syncs;
    bool moved = false;
    while (job) {
        struct job *const next = job->next;
        job->next = NULL;
        job->awaited = engine_awaits_sync(self->engine) || log_store_awaits_sync(self->log_store);
        moved = start(self, job) || moved;
        job = next;
    }
    return moved;
}

static bool start_new_jobs(struct driver *self)
{
    const uint64_t read_before = self->read_bytes;
    bool moved = false;
    struct job *job = NULL;
    while (self->read_bytes - read_before < DRIVER_STEP_BYTES &&
           (job = log_store_next_job(self->log_store))) {
        if (job->kind == JOB_SYNC) {
            job->next = NULL;
            *self->syncs_end = job;
            self->syncs_end = &job->next;
        } else {
            moved = start(self, job) || moved;
        }
    }
    return moved;
}

bool driver_pump(struct driver *self, struct instant now)
{
    const bool moved = collect(self);
    engine_pump(self->engine, now);
    return moved;
}

bool driver_start(struct driver *self)
{
    if (start_waiting_syncs(self)) {
        return true; /* what it confirms is sent before anything else is done */
    }
    return start_new_jobs(self) || self->syncs;
}

bool driver_busy(const struct driver *self)
{
    return self->syncs || self->jobs_out > 0;
}

void driver_stop(struct driver *self)
{
    if (!self->log_store) {
        return;
    }
    (void)collect(self);
    while (self->syncs) {
        struct job *const job = self->syncs;
        self->syncs = job->next;
        job->next = NULL;
        (void)zsp_err_set(&job->error, ZSP_EINTERRUPTED, "the broker stopped before this sync");
        log_store_job_done(self->log_store, job);
    }
    self->syncs_end = &self->syncs;
}

int64_t driver_deadline_ms(const struct driver *self)
{
    return engine_deadline_ms(self->engine);
}
