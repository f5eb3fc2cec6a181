/* SPDX-License-Identifier: MPL-2.0
 *
 * The conformance suite over the segmented log as zspoold runs it: real files,
 * jobs on executor threads. Meant for the thread sanitizer as well. The power
 * is never cut here: what was written stays.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "broker/store/file/executor.h"
#include "broker/store/log_store.h"
#include "common/assert.h"
#include "tests/broker/store/conformance.h"
#include "tests/support/fault_fs.h"
#include "tests/support/test_dir.h"

#define THREADS 3
#define WAIT_MS 10000 /* a job that takes longer hangs */

struct subject {
    struct test_dir dir;
    struct fs *real;
    struct fs *fault;
    struct executor *executor;
    struct log_store *log;
    uint64_t random;
};

static uint64_t next_random(void *arg)
{
    uint64_t *state = arg;
    return *state += 0x9e3779b97f4a7c15u;
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
                                              .open_files_max = 2,
                                              .create = true};
    self->log = log_store_open(&options, NULL);
    zsp_assert(self->log);
    self->executor = executor_new(self->fault, THREADS, NULL);
    zsp_assert(self->executor);
}

static void close_store(struct subject *self)
{
    executor_stop(self->executor);
    struct job *job;
    while ((job = executor_take(self->executor))) {
        log_store_job_done(self->log, job);
    }
    executor_destroy(&self->executor);
    struct store *store = log_store_base(self->log);
    store->ops->destroy(store);
}

static void *create(void)
{
    struct subject *self = calloc(1, sizeof *self);
    zsp_assert(self);
    test_dir_init(&self->dir);
    self->real = fs_posix_new(self->dir.path, NULL);
    zsp_assert(self->real);
    self->fault = fault_fs_new(self->real);
    open_store(self);
    return self;
}

static void destroy(void *arg)
{
    struct subject *self = arg;
    fault_fs_clear(self->fault);
    close_store(self);
    fault_fs_destroy(&self->fault);
    fs_posix_destroy(&self->real);
    test_dir_fini(&self->dir);
    free(self);
}

static struct store *base(void *arg)
{
    const struct subject *self = arg;
    return log_store_base(self->log);
}

/* Hand all jobs over, wait until one has finished, take those that have. */
static void step(void *arg)
{
    struct subject *self = arg;
    struct job *job;
    while ((job = log_store_next_job(self->log))) {
        executor_submit(self->executor, job);
    }
    if (executor_job_count(self->executor) == 0) {
        return;
    }
    struct pollfd ready = {.fd = executor_fd(self->executor), .events = POLLIN};
    int count;
    do {
        count = poll(&ready, 1, WAIT_MS);
    } while (count < 0 && errno == EINTR);
    zsp_assert(count == 1);
    while ((job = executor_take(self->executor))) {
        log_store_job_done(self->log, job);
    }
}

static void restart(void *arg, enum conf_crash crash, uint64_t seed)
{
    struct subject *self = arg;
    (void)crash;
    (void)seed;
    fault_fs_clear(self->fault);
    close_store(self);
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
        .name = "log on threads",
        .create_fn = create,
        .destroy_fn = destroy,
        .store_fn = base,
        .step_fn = step,
        .restart_fn = restart,
        .fail_sync_fn = fail_sync,
        .wants_images = true,
    };
    /* It needs a disk that forgets; over one that does not its log outgrows the suite. */
    cmocka_set_skip_filter("a_power_cut_leaves_a_prefix_with_all_that_was_synced");
    return conformance_run(&subject);
}
