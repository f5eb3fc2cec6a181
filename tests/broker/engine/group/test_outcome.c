/* SPDX-License-Identifier: MPL-2.0
 *
 * The rules of outcomes, one test each.
 */
#include "broker/engine/group/outcome.h"

#include "tests/common/testing.h"

static const struct group_settings settings = {
    .lease_ms = 30000,
    .max_leased = 1000,
    .max_failures = 3,
    .backoff_ms = 1000,
    .backoff_factor = 2,
    .backoff_max_ms = 60000,
};

static struct run leased(uint32_t failures)
{
    return (struct run){
        .state = RUN_LEASED, .lease = 7, .deliveries = 1, .failures = failures, .limit = 4};
}

static void backoff_doubles_up_to_its_longest(void **state)
{
    (void)state;
    const uint64_t expected[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(outcome_backoff_ms(&settings, i + 1, 7), expected[i]);
    }
    assert_int_equal(outcome_backoff_ms(&settings, UINT32_MAX, 7), 60000);
    const struct group_settings none = {
        .backoff_ms = 0, .backoff_factor = 2, .backoff_max_ms = 60000};
    assert_int_equal(outcome_backoff_ms(&none, 9, 7), 0);
}

static void the_factor_is_the_groups(void **state)
{
    (void)state;
    struct group_settings fast = settings;
    fast.backoff_factor = 10;
    const uint64_t by_ten[] = {1000, 10000, 60000};
    struct group_settings even = settings;
    even.backoff_factor = 1;
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(outcome_backoff_ms(&fast, i + 1, 0), by_ten[i]);
        assert_int_equal(outcome_backoff_ms(&even, i + 1, 0), 1000);
    }
    assert_int_equal(outcome_backoff_ms(&even, UINT32_MAX, 0), 1000); /* at once */
}

static void delays_may_be_listed(void **state)
{
    (void)state;
    struct group_settings listed = settings;
    struct zsp_buf *const text = zsp_buf_copy(zsp_slice_str("5,70000,10"));
    assert_non_null(text);
    listed.texts.of[TEXT_BACKOFF] = text;
    const uint64_t expected[] = {5, 70000, 10, 10};
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(outcome_backoff_ms(&listed, i + 1, 7), expected[i]);
    }
    assert_int_equal(outcome_backoff_ms(&listed, UINT32_MAX, 7), 10);
    setting_texts_drop(&listed.texts);
}

/* Goal: never before its delay, and never later than the jitter allows. */
static void a_jitter_comes_on_top(void **state)
{
    (void)state;
    struct group_settings spread = settings;
    spread.backoff_jitter = 25;
    assert_int_equal(outcome_backoff_ms(&spread, 1, 0), 1000);
    assert_int_equal(outcome_backoff_ms(&spread, 1, 250), 1250);
    assert_int_equal(outcome_backoff_ms(&spread, 1, 251), 1000);
    for (uint64_t drawn = 0; drawn < 1000; drawn++) {
        const uint64_t delay_ms =
            outcome_backoff_ms(&spread, 9, drawn * UINT64_C(0x9e3779b97f4a7c15));
        assert_in_range(delay_ms, 60000, 75000);
    }
}

static void a_retry_waits_for_the_backoff_and_counts(void **state)
{
    (void)state;
    struct run run = leased(0);
    outcome_retry_later(&settings, 0, 500, &run);
    assert_int_equal(run.state, RUN_WAITING);
    assert_int_equal(run.due_ms, 1500);
    assert_int_equal(run.failures, 1);
    assert_int_equal(run.last_lease, 7);
    assert_int_equal(run.last_outcome, RUN_RETRIED);
    assert_int_equal(run.lease, 0);
    assert_int_equal(run.limit, 0);
}

static void a_retry_with_a_delay_takes_that_one(void **state)
{
    (void)state;
    struct run run = leased(0);
    outcome_retry(&settings, 42, 500, &run);
    assert_int_equal(run.due_ms, 542);
    run = leased(0);
    outcome_retry(&settings, 0, 500, &run);
    assert_int_equal(run.state, RUN_READY);
}

static void the_last_failure_is_death(void **state)
{
    (void)state;
    struct run run = leased(2);
    outcome_retry_later(&settings, 0, 500, &run);
    assert_int_equal(run.state, RUN_DEAD);
    assert_int_equal(run.failures, 3);
    assert_int_equal(run.due_ms, 0);
}

static void without_a_limit_nothing_dies(void **state)
{
    (void)state;
    const struct group_settings endless = {.max_failures = 0};
    struct run run = leased(1000000);
    outcome_retry(&endless, 0, 0, &run);
    assert_int_equal(run.state, RUN_READY);
    assert_int_equal(run.failures, 1000001);
}

static void a_release_counts_nothing(void **state)
{
    (void)state;
    struct run run = leased(1);
    outcome_release(&run);
    assert_int_equal(run.state, RUN_READY);
    assert_int_equal(run.failures, 1);
    assert_int_equal(run.last_outcome, RUN_RELEASED);
    assert_int_equal(run.limit, 4);
}

static void a_reject_is_death_at_once(void **state)
{
    (void)state;
    struct run run = leased(0);
    outcome_reject(&settings, &run);
    assert_int_equal(run.state, RUN_DEAD);
    assert_int_equal(run.failures, 1);
    assert_int_equal(run.last_outcome, RUN_REJECTED);
}

static void a_lost_lease_blames_what_was_started(void **state)
{
    (void)state;
    const struct lost_lease lost = {.granted = 10, .any_started = true};
    struct run started = leased(0);
    started.started = 1;
    assert_true(outcome_lost(&settings, &lost, &started));
    assert_int_equal(started.failures, 1);
    assert_int_equal(started.state, RUN_READY);
    assert_int_equal(started.started, 0);
    struct run other = leased(0);
    assert_false(outcome_lost(&settings, &lost, &other));
    assert_int_equal(other.failures, 0);
    assert_int_equal(other.limit, 4);
}

static void a_lost_lease_of_one_blames_it(void **state)
{
    (void)state;
    const struct lost_lease lost = {.granted = 1};
    struct run run = leased(2);
    assert_true(outcome_lost(&settings, &lost, &run));
    assert_int_equal(run.state, RUN_DEAD);
}

static void who_sends_started_is_taken_at_his_word(void **state)
{
    (void)state;
    const struct lost_lease lost = {.granted = 1, .uses_started = true};
    struct run run = leased(2);
    assert_false(outcome_lost(&settings, &lost, &run));
    assert_int_equal(run.state, RUN_READY);
    assert_int_equal(run.failures, 2);
}

static void a_larger_lost_lease_halves_the_next(void **state)
{
    (void)state;
    const struct {
        uint32_t granted, most;
    } cases[] = {{2, 1}, {3, 1}, {4, 2}, {5, 2}, {8, 4}, {1000, 256}, {1024, 512}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct lost_lease lost = {.granted = cases[i].granted};
        struct run run = leased(0);
        assert_false(outcome_lost(&settings, &lost, &run));
        assert_int_equal(1u << (run.limit - 1), cases[i].most);
    }
}

static void an_undelivered_message_was_not_handed_out(void **state)
{
    (void)state;
    struct run run = leased(1);
    outcome_undelivered(&run);
    assert_int_equal(run.state, RUN_READY);
    assert_int_equal(run.deliveries, 0);
    assert_int_equal(run.failures, 1);
    assert_int_equal(run.last_lease, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backoff_doubles_up_to_its_longest),
        cmocka_unit_test(the_factor_is_the_groups),
        cmocka_unit_test(delays_may_be_listed),
        cmocka_unit_test(a_jitter_comes_on_top),
        cmocka_unit_test(a_retry_waits_for_the_backoff_and_counts),
        cmocka_unit_test(a_retry_with_a_delay_takes_that_one),
        cmocka_unit_test(the_last_failure_is_death),
        cmocka_unit_test(without_a_limit_nothing_dies),
        cmocka_unit_test(a_release_counts_nothing),
        cmocka_unit_test(a_reject_is_death_at_once),
        cmocka_unit_test(a_lost_lease_blames_what_was_started),
        cmocka_unit_test(a_lost_lease_of_one_blames_it),
        cmocka_unit_test(who_sends_started_is_taken_at_his_word),
        cmocka_unit_test(a_larger_lost_lease_halves_the_next),
        cmocka_unit_test(an_undelivered_message_was_not_handed_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
