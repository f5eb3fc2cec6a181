/* SPDX-License-Identifier: MPL-2.0
 *
 * Broker time: it runs with the monotonic clock, stands still while the broker
 * is down, and a stall begins a grace.
 */
#include "broker/engine/base/clock.h"

#include "common/limits.h"
#include "tests/common/testing.h"

static struct instant at(int64_t mono_ms)
{
    return (struct instant){.mono_ms = mono_ms, .wall_ms = 0};
}

/* A start goes on at the time the store remembers, in a grace. */
static void a_start_resumes_in_a_grace(void **state)
{
    (void)state;
    struct clock clock;
    clock_start(&clock, at(500), 7000);
    assert_int_equal(clock.broker_ms, 7000);
    assert_int_equal(clock.grace_until_ms, 7000 + ZSP_STALL_GRACE_MS);
    clock_advance(&clock, at(750), true);
    assert_int_equal(clock.broker_ms, 7250);
}

/* A monotonic clock that seems to go back does not take broker time along. */
static void it_never_goes_back(void **state)
{
    (void)state;
    struct clock clock;
    clock_start(&clock, at(500), 7000);
    clock_advance(&clock, at(400), true);
    assert_int_equal(clock.broker_ms, 7000);
    clock_advance(&clock, at(501), true);
    assert_int_equal(clock.broker_ms, 7001);
}

/* A gap that nobody expected begins a grace; one that was planned does not. */
static void a_stall_begins_a_grace(void **state)
{
    (void)state;
    struct clock clock;
    clock_start(&clock, at(0), 0);
    clock_advance(&clock, at(20000), false);
    assert_int_equal(clock.grace_until_ms, ZSP_STALL_GRACE_MS);
    clock_advance(&clock, at(20000 + ZSP_STALL_MS), true);
    assert_int_equal(clock.grace_until_ms, ZSP_STALL_GRACE_MS);
    clock_advance(&clock, at(20001 + 2 * (int64_t)ZSP_STALL_MS), true);
    assert_int_equal(clock.grace_until_ms, clock.broker_ms + ZSP_STALL_GRACE_MS);
}

static void broker_time_translates_to_the_host_clock(void **state)
{
    (void)state;
    struct clock clock;
    clock_start(&clock, at(500), 7000);
    assert_int_equal(clock_to_mono_ms(&clock, 7100), 600);
    assert_int_equal(clock_to_mono_ms(&clock, INT64_MAX), INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_resumes_in_a_grace),
        cmocka_unit_test(it_never_goes_back),
        cmocka_unit_test(a_stall_begins_a_grace),
        cmocka_unit_test(broker_time_translates_to_the_host_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
