/* SPDX-License-Identifier: MPL-2.0
 *
 * Groups of mode `ordered`: when another member takes a partition over.
 */
#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"

#define FIRST  5 /* sessions */
#define SECOND 6

/* Topic t with one partition and so many messages, and an ordered group g. */
static void begin(struct engine_fixture *f, unsigned messages, const char *settings)
{
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 't'}", NULL);
    fixture_ok(f, "GROUP.CREATE",
               fixture_format("{'group': 'g', 'topics': ['t'], 'mode': 'ordered', 'settings': %s}",
                              settings),
               NULL);
    steps_publish(f, "t", messages);
}

static const struct answer *pull_as(struct engine_fixture *f, uint64_t session, unsigned max)
{
    f->session = session;
    return steps_pull(f, max);
}

static uint64_t wait_as(struct engine_fixture *f, uint64_t session)
{
    f->session = session;
    const uint64_t ticket = steps_wait(f, 9, 60000);
    fixture_pump(f);
    assert_null(fixture_answer(f, ticket));
    return ticket;
}

static void assert_got(struct engine_fixture *f, uint64_t ticket, const char *payloads)
{
    const struct answer *const answer = fixture_answer(f, ticket);
    assert_non_null(answer);
    assert_string_equal(fixture_payloads(answer), payloads);
}

/* --- Who goes --------------------------------------------------------------------------------- */

static void a_bye_makes_room_at_once(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, 3, "{}");
    pull_as(f, FIRST, 2);
    const uint64_t ticket = wait_as(f, SECOND);
    f->session = FIRST;
    fixture_ok(f, "BYE", "{}", NULL);
    assert_got(f, ticket, "m0 m1 m2");
}

/* Goal: what is out when its session ends stays out until its lease ends; then anybody may go on. */
static void the_end_of_a_session_ends_its_hold(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, 3, "{}");
    const uint64_t lease = pull_as(f, FIRST, 1)->lease;
    engine_session_end(f->engine, f->now, FIRST, ENGINE_SESSION_OVER);
    assert_int_equal(steps_count(pull_as(f, SECOND, 9)), 0);
    steps_settle(f, 0, 1, lease, "'ack'");
    assert_string_equal(fixture_payloads(pull_as(f, SECOND, 9)), "m1 m2");
}

static void a_silent_session_is_taken_over(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, 1, "{}");
    pull_as(f, FIRST, 1);
    engine_session_end(f->engine, f->now, FIRST, ENGINE_SESSION_SILENT);
    assert_string_equal(fixture_payloads(pull_as(f, SECOND, 9)), "m0");
}

static void who_comes_no_more_is_taken_over_after_a_lease_time(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, 2, "{'lease_ms': 15000}");
    steps_settle(f, 0, 1, pull_as(f, FIRST, 1)->lease, "'ack'");
    const uint64_t ticket = wait_as(f, SECOND);
    fixture_advance(f, 14999);
    assert_null(fixture_answer(f, ticket));
    fixture_advance(f, 1);
    assert_got(f, ticket, "m1");
}

/* --- Who lets time pass ------------------------------------------------------------------------ */

/* Goal: who falls silent with something out has no more time than who has nothing. */
static void a_silent_member_leaves_with_the_last_that_is_out(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, 2, "{'lease_ms': 1000}");
    const uint64_t lease = pull_as(f, FIRST, 1)->lease;
    steps_settle(f, 0, 1, lease, "'extend', {'ms': 5000}");
    fixture_advance(f, 1500);
    assert_string_equal(fixture_payloads(pull_as(f, SECOND, 9)), "");
    steps_settle(f, 0, 1, lease, "'ack'");
    assert_string_equal(fixture_payloads(pull_as(f, SECOND, 9)), "m1");
}

/* Goal: who was silent for too long, and comes back while something is still out, keeps the partition. */
static void a_member_that_comes_back_in_time_keeps_its_partition(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, 3, "{'lease_ms': 1000}");
    steps_settle(f, 0, 1, pull_as(f, FIRST, 1)->lease, "'extend', {'ms': 5000}");
    fixture_advance(f, 1500);
    const uint64_t lease = pull_as(f, FIRST, 1)->lease;
    fixture_advance(f, 400);
    steps_settle(f, 0, 2, lease, "'ack'");
    assert_string_equal(fixture_payloads(pull_as(f, SECOND, 9)), "");
    assert_string_equal(fixture_payloads(pull_as(f, FIRST, 9)), "m2");
}

/* FIRST gets m0 and m1, and ten seconds later m2. Returns the later lease. */
static uint64_t two_leases(struct engine_fixture *f)
{
    begin(f, 3, "{'lease_ms': 20000}");
    pull_as(f, FIRST, 2);
    fixture_advance(f, 10000);
    return pull_as(f, FIRST, 1)->lease;
}

/* Goal: who lets a lease end by time loses the partition, though a later one of it would live. */
static void who_lets_a_lease_end_is_taken_over(void **state)
{
    struct engine_fixture *f = *state;
    const uint64_t later = two_leases(f);
    const uint64_t ticket = wait_as(f, SECOND);
    fixture_advance(f, 9999);
    assert_null(fixture_answer(f, ticket));
    fixture_advance(f, 1);
    assert_got(f, ticket, "m0"); /* half of what was lost goes alone */
    assert_string_equal(fixture_value(steps_settle(f, 2, 1, later, "'ack'"), "not_applied"),
                        "[[\"t\", 0, 2, 1, \"lost\"]]");
    assert_string_equal(fixture_payloads(pull_as(f, SECOND, 1)), "m1");
}

static void who_waits_longest_takes_over(void **state)
{
    struct engine_fixture *f = *state;
    two_leases(f);
    const uint64_t second = wait_as(f, SECOND);
    const uint64_t first = wait_as(f, FIRST);
    fixture_advance(f, 10000);
    assert_got(f, second, "m0");
    assert_null(fixture_answer(f, first));
}

/* Goal: that may be the same member again, but the next time another one waits longer. */
static void who_lets_leases_end_again_and_again_is_not_always_first(void **state)
{
    struct engine_fixture *f = *state;
    two_leases(f);
    const uint64_t first = wait_as(f, FIRST);
    const uint64_t second = wait_as(f, SECOND);
    fixture_advance(f, 10000);
    assert_got(f, first, "m0");
    assert_string_equal(fixture_payloads(pull_as(f, FIRST, 9)), "m1");
    assert_string_equal(fixture_payloads(pull_as(f, FIRST, 9)), "m2");
    (void)wait_as(f, FIRST);
    fixture_advance(f, 19999);
    assert_null(fixture_answer(f, second));
    fixture_advance(f, 1);
    assert_got(f, second, "m0");
}

/* Goal: what is out in front of a lease that ended is waited for; until then nobody gets anything. */
static void an_older_lease_that_lives_is_waited_for(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, 3, "{'lease_ms': 20000}");
    const uint64_t older = pull_as(f, FIRST, 2)->lease;
    steps_settle(f, 0, 2, older, "'extend', {'ms': 90000}");
    fixture_advance(f, 10000);
    pull_as(f, FIRST, 1);
    const uint64_t ticket = wait_as(f, SECOND);
    fixture_advance(f, 20000);
    assert_string_equal(fixture_payloads(pull_as(f, FIRST, 9)), "");
    assert_null(fixture_answer(f, ticket));
    steps_settle(f, 0, 2, older, "'ack'");
    assert_got(f, ticket, "m2");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_bye_makes_room_at_once),
        TEST(the_end_of_a_session_ends_its_hold),
        TEST(a_silent_session_is_taken_over),
        TEST(who_comes_no_more_is_taken_over_after_a_lease_time),
        TEST(a_silent_member_leaves_with_the_last_that_is_out),
        TEST(a_member_that_comes_back_in_time_keeps_its_partition),
        TEST(who_lets_a_lease_end_is_taken_over),
        TEST(who_waits_longest_takes_over),
        TEST(who_lets_leases_end_again_and_again_is_not_always_first),
        TEST(an_older_lease_that_lives_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
