/* SPDX-License-Identifier: MPL-2.0
 *
 * The conformance suite over the segmented log, on a file system that forgets.
 * Jobs run late and out of order, decided by a seed: each step runs one of those
 * handed out, so that writes, syncs, reads and tasks overtake each other. Small
 * segments and journal files make it roll, seal and carry forward all the time.
 */
#include <stdlib.h>
#include <string.h>

#include "broker/store/log_store.h"
#include "common/assert.h"
#include "tests/broker/store/conformance.h"
#include "tests/support/crash_fs.h"
#include "tests/support/fault_fs.h"

#define JOBS_MAX 64

struct subject {
    struct fs *crash;
    struct fs *fault;
    struct log_store *log;
    struct job *jobs[JOBS_MAX];
    size_t job_count;
    uint64_t random;
};

static uint64_t next_random(void *arg)
{
    uint64_t *state = arg; /* xorshift */
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void open_store(struct subject *self)
{
    const struct log_store_options options = {.fs = self->fault,
                                              .random_fn = next_random,
                                              .random_arg = &self->random,
                                              .segment_bytes = 4096,
                                              .journal_file_bytes = 8192,
                                              .journal_bytes_min = 16384,
                                              .fill_bytes = 4096,
                                              .create = true};
    struct zsp_err err = {0};
    self->log = log_store_open(&options, &err);
    zsp_assert(self->log);
}

static void *create(void)
{
    struct subject *self = calloc(1, sizeof *self);
    zsp_assert(self);
    self->crash = crash_fs_new();
    self->fault = fault_fs_new(self->crash);
    self->random = 88172645463325252u;
    open_store(self);
    return self;
}

static struct store *base(void *arg)
{
    const struct subject *self = arg;
    return log_store_base(self->log);
}

/* End the store as a dead process would: jobs that are out never ran. */
static void close_store(struct subject *self, bool run)
{
    for (size_t i = 0; i < self->job_count; i++) {
        if (run) {
            job_run(self->jobs[i], self->fault);
        } else {
            self->jobs[i]->error.code = ZSP_EIO;
            self->jobs[i]->done = 0;
        }
        log_store_job_done(self->log, self->jobs[i]);
    }
    self->job_count = 0;
    struct store *store = base(self);
    store->ops->destroy(store);
}

static void destroy(void *arg)
{
    struct subject *self = arg;
    fault_fs_clear(self->fault);
    close_store(self, true);
    fault_fs_destroy(&self->fault);
    crash_fs_destroy(&self->crash);
    free(self);
}

static void step(void *arg)
{
    struct subject *self = arg;
    while (self->job_count < JOBS_MAX) {
        struct job *job = log_store_next_job(self->log);
        if (!job) {
            break;
        }
        self->jobs[self->job_count++] = job;
    }
    if (self->job_count == 0) {
        return;
    }
    const size_t i = next_random(&self->random) % self->job_count;
    struct job *job = self->jobs[i];
    self->jobs[i] = self->jobs[--self->job_count];
    job_run(job, self->fault);
    log_store_job_done(self->log, job);
}

static void restart(void *arg, enum conf_crash crash, uint64_t seed)
{
    struct subject *self = arg;
    fault_fs_clear(self->fault);
    if (crash == CONF_CLEAN) {
        close_store(self, true);
    } else {
        crash_fs_freeze_at(self->crash, 0); /* the dying process changes nothing more */
        close_store(self, false);
    }
    if (crash == CONF_PROCESS) {
        crash_fs_process_crash(self->crash);
    } else if (crash == CONF_POWER) {
        crash_fs_power_loss(self->crash, seed);
    }
    open_store(self);
}

static void fail_sync(void *arg)
{
    const struct subject *self = arg;
    fault_fs_fail_sync(self->fault);
}

int main(void)
{
    const struct conf_subject subject = {
        .name = "log",
        .create_fn = create,
        .destroy_fn = destroy,
        .store_fn = base,
        .step_fn = step,
        .restart_fn = restart,
        .fail_sync_fn = fail_sync,
        .wants_images = true,
    };
    return conformance_run(&subject);
}
