/* SPDX-License-Identifier: MPL-2.0 */
#include "common/thread.h"

#include <stdbool.h>
#include <time.h>

#include "tests/common/testing.h"

static const char *const NAME = "zsp-test";

static int64_t now_ms(void)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void *tell_mask(void *arg)
{
    (void)pthread_sigmask(SIG_BLOCK, NULL, arg);
    return NULL;
}

static void signals_are_blocked_in_the_thread_and_not_here(void **state)
{
    (void)state;
    pthread_t thread;
    sigset_t mask;
    sigset_t own;
    assert_int_equal(zsp_thread_start(&thread, NAME, tell_mask, &mask), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(sigismember(&mask, SIGTERM), 1);
    assert_int_equal(sigismember(&mask, SIGINT), 1);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &own), 0);
    assert_int_equal(sigismember(&own, SIGTERM), 0);
}

struct meeting {
    struct zsp_monitor monitor;
    bool came; /* locked */
};

static void *come(void *arg)
{
    struct meeting *const self = arg;
    zsp_monitor_lock(&self->monitor);
    self->came = true;
    zsp_monitor_wake(&self->monitor);
    zsp_monitor_unlock(&self->monitor);
    return NULL;
}

static void who_waits_is_woken(void **state)
{
    (void)state;
    struct meeting meeting = {.came = false};
    pthread_t thread;
    assert_int_equal(zsp_monitor_init(&meeting.monitor), 0);
    zsp_monitor_lock(&meeting.monitor);
    assert_int_equal(zsp_thread_start(&thread, NAME, come, &meeting), 0);
    while (!meeting.came) {
        zsp_monitor_wait(&meeting.monitor, INT64_MAX);
    }
    zsp_monitor_unlock(&meeting.monitor);
    assert_int_equal(pthread_join(thread, NULL), 0);
    zsp_monitor_fini(&meeting.monitor);
}

static void a_wait_ends_at_its_time(void **state)
{
    (void)state;
    struct zsp_monitor monitor;
    const int64_t until_ms = now_ms() + 20;
    assert_int_equal(zsp_monitor_init(&monitor), 0);
    zsp_monitor_lock(&monitor);
    while (now_ms() < until_ms) {
        zsp_monitor_wait(&monitor, until_ms);
    }
    zsp_monitor_unlock(&monitor);
    zsp_monitor_fini(&monitor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals_are_blocked_in_the_thread_and_not_here),
        cmocka_unit_test(who_waits_is_woken),
        cmocka_unit_test(a_wait_ends_at_its_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
