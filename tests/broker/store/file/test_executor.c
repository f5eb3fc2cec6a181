/* SPDX-License-Identifier: MPL-2.0
 *
 * The executor's threads: everything submitted comes back once, the descriptor
 * tells it, stop finishes what was given.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "broker/store/file/executor.h"

#define JOB_COUNT   500
#define DEADLINE_MS 20000 /* a wait that long is a failure */

static struct fs NO_FS; /* the tasks of these tests touch no file */

/* A task that counts its runs. */
static void count_task(struct job *self, struct fs *fs)
{
    (void)fs;
    (*(int *)self->owner)++;
}

static struct job *wait_and_take(struct executor *executor)
{
    struct pollfd poll_fd = {.fd = executor_fd(executor), .events = POLLIN};
    assert_int_equal(poll(&poll_fd, 1, DEADLINE_MS), 1);
    struct job *job = executor_take(executor);
    assert_non_null(job);
    return job;
}

static bool is_readable(const struct executor *executor)
{
    struct pollfd poll_fd = {.fd = executor_fd(executor), .events = POLLIN};
    return poll(&poll_fd, 1, 0) == 1;
}

static void every_job_comes_back_once(void **state)
{
    (void)state;
    static struct job jobs[JOB_COUNT];
    static int runs[JOB_COUNT];
    struct executor *executor = executor_new(&NO_FS, 4, NULL);
    assert_non_null(executor);
    for (int i = 0; i < JOB_COUNT; i++) {
        jobs[i] = (struct job){.kind = JOB_TASK, .task_fn = count_task, .owner = &runs[i]};
        executor_submit(executor, &jobs[i]);
    }
    for (int i = 0; i < JOB_COUNT; i++) {
        (void)wait_and_take(executor);
    }
    assert_int_equal(executor_job_count(executor), 0);
    assert_null(executor_take(executor));
    assert_false(is_readable(executor));
    for (int i = 0; i < JOB_COUNT; i++) {
        assert_int_equal(runs[i], 1);
    }
    executor_destroy(&executor);
    assert_null(executor);
}

/* Goal: the descriptor is level-triggered: readable until the last is taken. */
static void the_descriptor_is_readable_until_the_last_is_taken(void **state)
{
    (void)state;
    int runs = 0;
    struct job jobs[2];
    struct executor *executor = executor_new(&NO_FS, 1, NULL);
    assert_false(is_readable(executor));
    for (int i = 0; i < 2; i++) {
        jobs[i] = (struct job){.kind = JOB_TASK, .task_fn = count_task, .owner = &runs};
        executor_submit(executor, &jobs[i]);
    }
    executor_stop(executor);
    assert_true(is_readable(executor));
    assert_ptr_equal(executor_take(executor), &jobs[0]);
    assert_true(is_readable(executor));
    assert_ptr_equal(executor_take(executor), &jobs[1]);
    assert_false(is_readable(executor));
    executor_destroy(&executor);
}

static void stop_finishes_what_was_submitted(void **state)
{
    (void)state;
    static struct job jobs[JOB_COUNT];
    int runs = 0;
    struct executor *executor = executor_new(&NO_FS, 1, NULL);
    for (int i = 0; i < JOB_COUNT; i++) {
        jobs[i] = (struct job){.kind = JOB_TASK, .task_fn = count_task, .owner = &runs};
        executor_submit(executor, &jobs[i]);
    }
    executor_stop(executor);
    executor_stop(executor);
    assert_int_equal(runs, JOB_COUNT);
    assert_int_equal(executor_job_count(executor), JOB_COUNT);
    for (int i = 0; i < JOB_COUNT; i++) {
        assert_ptr_equal(executor_take(executor), &jobs[i]);
    }
    executor_destroy(&executor);
}

/* Two tasks that each wait for the other: they pass only side by side. */
static void meet_task(struct job *self, struct fs *fs)
{
    (void)fs;
    (void)pthread_barrier_wait(self->owner);
}

static void two_threads_run_two_jobs_at_the_same_time(void **state)
{
    (void)state;
    pthread_barrier_t barrier;
    assert_int_equal(pthread_barrier_init(&barrier, NULL, 2), 0);
    struct job jobs[2];
    struct executor *executor = executor_new(&NO_FS, 2, NULL);
    for (int i = 0; i < 2; i++) {
        jobs[i] = (struct job){.kind = JOB_TASK, .task_fn = meet_task, .owner = &barrier};
        executor_submit(executor, &jobs[i]);
    }
    (void)wait_and_take(executor);
    (void)wait_and_take(executor);
    executor_destroy(&executor);
    assert_int_equal(pthread_barrier_destroy(&barrier), 0);
}

static void a_thread_count_out_of_range_is_refused(void **state)
{
    (void)state;
    struct zsp_err err = {0};
    assert_null(executor_new(&NO_FS, 0, &err));
    assert_int_equal(err.code, ZSP_EINVAL);
    assert_null(executor_new(&NO_FS, EXECUTOR_THREADS_MAX + 1, &err));
    assert_int_equal(err.code, ZSP_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_job_comes_back_once),
        cmocka_unit_test(the_descriptor_is_readable_until_the_last_is_taken),
        cmocka_unit_test(stop_finishes_what_was_submitted),
        cmocka_unit_test(two_threads_run_two_jobs_at_the_same_time),
        cmocka_unit_test(a_thread_count_out_of_range_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
