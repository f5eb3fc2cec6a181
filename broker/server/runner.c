/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/server/runner.h"

#include "broker/server/now.h"

/* One slow sync of 128 is the p99. */
#define SLOW_ALLOWED 1u

void runner_init(struct runner *self, struct fs *fs, struct executor *executor)
{
    *self = (struct runner){.fs = fs, .executor = executor};
}

void runner_note_sync(struct runner *self, int64_t took_us)
{
    bool *const slot = &self->sync_was_slow[self->sync_index];
    self->sync_index = (self->sync_index + 1) % RUNNER_SYNC_WINDOW;
    self->slow_count -= *slot ? 1u : 0u;
    *slot = took_us > RUNNER_SYNC_SLOW_US;
    self->slow_count += *slot ? 1u : 0u;
}

bool runner_sync_is_quick(const struct runner *self)
{
    return self->slow_count <= SLOW_ALLOWED;
}

/* A sync at the executor is measured from hand to hand, its wait for a thread included: more
 * than it took, when much is going on; but then it had better stay there. */
static bool run_sync(struct runner *self, struct job *job)
{
    if (!job->awaited || executor_job_count(self->executor) > 0 || !runner_sync_is_quick(self)) {
        return false;
    }
    if (self->ready_fn && self->ready_fn(self->ready_arg)) { /* last: it costs system calls */
        return false;
    }
    const int64_t start_us = now_us();
    job_run(job, self->fs);
    runner_note_sync(self, now_us() - start_us);
    return true;
}

static bool run_inline(struct runner *self, struct job *job)
{
    switch (job->kind) {
    case JOB_WRITE:
        if (job->len >= RUNNER_INLINE_BYTES) {
            return false;
        }
        job_run(job, self->fs);
        return true;
    case JOB_SYNC:
        return run_sync(self, job);
    case JOB_READ:
    case JOB_GATHER:
        return job_try(job, self->fs);
    case JOB_TASK:
        return false;
    }
    return false;
}

static bool run(void *arg, struct job *job)
{
    struct runner *const self = arg;
    if (run_inline(self, job)) {
        return true;
    }
    job->since_us = now_us();
    executor_submit(self->executor, job);
    return false;
}

static struct job *collect(void *arg)
{
    struct runner *const self = arg;
    struct job *const job = executor_take(self->executor);
    if (job && job->kind == JOB_SYNC) {
        runner_note_sync(self, now_us() - job->since_us);
    }
    return job;
}

struct driver_host runner_host(struct runner *self)
{
    return (struct driver_host){.arg = self, .run_fn = run, .collect_fn = collect};
}
