/* SPDX-License-Identifier: MPL-2.0
 *
 * Where jobs run, with a real executor over a real directory.
 */
#include "tests/common/testing.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/uio.h>
#include <time.h>

#include "broker/server/runner.h"
#include "tests/support/test_dir.h"

struct place {
    struct test_dir dir;
    struct fs *fs;
    struct executor *executor;
    struct runner runner;
    struct driver_host host;
    int file;
    bool busy; /* what ready_fn answers */
    bool nobody_waits;
};

static bool is_busy(void *arg)
{
    const struct place *const self = arg;
    return self->busy;
}

static int setup(void **state)
{
    struct place *const self = calloc(1, sizeof *self);
    assert_non_null(self);
    test_dir_init(&self->dir);
    self->fs = fs_posix_new(self->dir.path, NULL);
    self->executor = executor_new(self->fs, 1, NULL);
    runner_init(&self->runner, self->fs, self->executor);
    self->runner.ready_fn = is_busy;
    self->runner.ready_arg = self;
    self->host = runner_host(&self->runner);
    self->file = self->fs->ops->open(self->fs->self, "f", FS_CREATE, NULL);
    assert_true(self->file >= 0);
    *state = self;
    return 0;
}

static int teardown(void **state)
{
    struct place *const self = *state;
    executor_destroy(&self->executor);
    (void)self->fs->ops->close(self->fs->self, self->file, NULL);
    fs_posix_destroy(&self->fs);
    test_dir_fini(&self->dir);
    free(self);
    return 0;
}

/* Wait for the executor to give the job back. */
static void expect_back(struct place *self, const struct job *job)
{
    struct pollfd item = {.fd = executor_fd(self->executor), .events = POLLIN};
    assert_int_equal(poll(&item, 1, 20000), 1);
    assert_ptr_equal(self->host.collect_fn(self->host.arg), job);
    assert_null(self->host.collect_fn(self->host.arg));
}

static bool run_write(struct place *self, size_t len, struct job *job)
{
    static uint8_t bytes[RUNNER_INLINE_BYTES];
    static struct iovec iov;
    iov = (struct iovec){.iov_base = bytes, .iov_len = len};
    *job = (struct job){
        .kind = JOB_WRITE, .file = self->file, .len = len, .iov = &iov, .iov_count = 1};
    return self->host.run_fn(self->host.arg, job);
}

static void small_writes_run_inline_and_large_ones_elsewhere(void **state)
{
    struct place *const self = *state;
    struct job job;
    assert_true(run_write(self, RUNNER_INLINE_BYTES - 1, &job));
    assert_int_equal(job.error.code, 0);
    assert_int_equal(job.done, RUNNER_INLINE_BYTES - 1);
    assert_false(run_write(self, RUNNER_INLINE_BYTES, &job));
    expect_back(self, &job);
    assert_int_equal(job.done, RUNNER_INLINE_BYTES);
}

static bool run_sync(struct place *self, struct job *job)
{
    *job = (struct job){
        .kind = JOB_SYNC, .files = &self->file, .file_count = 1, .awaited = !self->nobody_waits};
    return self->host.run_fn(self->host.arg, job);
}

static void a_sync_that_nobody_waits_for_leaves(void **state)
{
    struct place *const self = *state;
    struct job job;
    self->nobody_waits = true;
    assert_false(run_sync(self, &job));
    expect_back(self, &job);
    assert_int_equal(job.error.code, 0);
}

static void a_sync_leaves_when_requests_wait(void **state)
{
    struct place *const self = *state;
    struct job job;
    assert_true(run_sync(self, &job));
    self->busy = true;
    assert_false(run_sync(self, &job));
    expect_back(self, &job);
    assert_int_equal(job.error.code, 0);
}

static void a_sync_leaves_after_slow_ones_and_returns(void **state)
{
    struct place *const self = *state;
    struct job job;
    runner_note_sync(&self->runner, RUNNER_SYNC_SLOW_US + 1);
    assert_true(runner_sync_is_quick(&self->runner));
    runner_note_sync(&self->runner, RUNNER_SYNC_SLOW_US + 1);
    assert_false(runner_sync_is_quick(&self->runner));
    assert_false(run_sync(self, &job));
    expect_back(self, &job);
    for (unsigned i = 0; i < RUNNER_SYNC_WINDOW; i++) {
        runner_note_sync(&self->runner, 10);
    }
    assert_true(runner_sync_is_quick(&self->runner));
}

static void mark_done(struct job *job, struct fs *fs)
{
    (void)fs;
    job->done = 1;
}

static void last_longer_than_a_quick_sync(struct job *job, struct fs *fs)
{
    const struct timespec time = {.tv_nsec = 3 * RUNNER_SYNC_SLOW_US * 1000};
    (void)job;
    (void)fs;
    (void)nanosleep(&time, NULL);
}

/* Goal: a slow disk is not found quick because its syncs went to the executor. */
static void a_slow_sync_elsewhere_counts_as_slow(void **state)
{
    struct place *const self = *state;
    self->busy = true;
    for (unsigned i = 0; i < RUNNER_SYNC_WINDOW; i++) {
        struct job slow = {.kind = JOB_TASK, .task_fn = last_longer_than_a_quick_sync};
        struct job sync;
        assert_false(self->host.run_fn(self->host.arg, &slow));
        assert_false(run_sync(self, &sync)); /* behind it: there is one thread */
        while (executor_job_count(self->executor) > 0) {
            struct pollfd item = {.fd = executor_fd(self->executor), .events = POLLIN};
            assert_int_equal(poll(&item, 1, 20000), 1);
            assert_non_null(self->host.collect_fn(self->host.arg));
        }
    }
    assert_false(runner_sync_is_quick(&self->runner));
    self->busy = false;
    struct job sync;
    assert_false(run_sync(self, &sync));
    expect_back(self, &sync);
}

static void tasks_never_run_inline(void **state)
{
    struct place *const self = *state;
    struct job job = {.kind = JOB_TASK, .task_fn = mark_done};
    assert_false(self->host.run_fn(self->host.arg, &job));
    expect_back(self, &job);
    assert_int_equal(job.done, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(small_writes_run_inline_and_large_ones_elsewhere, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_sync_leaves_when_requests_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(a_sync_that_nobody_waits_for_leaves, setup, teardown),
        cmocka_unit_test_setup_teardown(a_sync_leaves_after_slow_ones_and_returns, setup, teardown),
        cmocka_unit_test_setup_teardown(a_slow_sync_elsewhere_counts_as_slow, setup, teardown),
        cmocka_unit_test_setup_teardown(tasks_never_run_inline, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
