/* SPDX-License-Identifier: MPL-2.0
 *
 * GROUP.PAUSE and GROUP.RESUME: nothing is handed out, all else goes on.
 */
#include <inttypes.h>

#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"

static void call(struct engine_fixture *f, const char *verb)
{
    fixture_ok(f, verb, "{'group': 'g'}", NULL);
}

static const char *paused(struct engine_fixture *f)
{
    return fixture_value(fixture_ok(f, "GROUP.INFO", "{'group': 'g'}", NULL), "paused");
}

static void a_paused_group_is_handed_nothing(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a b c");
    const uint64_t lease = steps_pull(f, 1)->lease;
    assert_string_equal(paused(f), "false");
    call(f, "GROUP.PAUSE");
    call(f, "GROUP.PAUSE");
    assert_string_equal(paused(f), "true");
    const struct answer *empty = steps_pull(f, 10);
    assert_int_equal(steps_count(empty), 0);
    assert_string_equal(fixture_text(empty, "reason"), "paused");
    assert_int_equal(fixture_number(steps_settle(f, 0, 1, lease, "'ack'"), "applied"), 1);
    assert_string_equal(steps_part(f, "t", 0), "1 3 2 0 0 0");
    call(f, "GROUP.RESUME");
    call(f, "GROUP.RESUME");
    assert_string_equal(fixture_payloads(steps_pull(f, 10)), "b c");
}

static void a_pull_that_waits_goes_on_when_the_group_does(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a");
    steps_pull(f, 1);
    call(f, "GROUP.PAUSE");
    const uint64_t short_one = steps_wait(f, 1, 100);
    const uint64_t long_one = steps_wait(f, 1, 1000);
    steps_publish_each(f, "t", "b");
    fixture_advance(f, 200);
    assert_string_equal(fixture_text(fixture_answer(f, short_one), "reason"), "paused");
    assert_null(fixture_answer(f, long_one));
    call(f, "GROUP.RESUME");
    assert_string_equal(fixture_payloads(fixture_answer(f, long_one)), "b");
}

/* Goal: what was reserved when the pause came is handed back, not out. */
static void a_pull_that_reads_gives_back_what_it_has(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a b");
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['t']}", NULL);
    mem_store_hold(f->mem, MEM_READS);
    const uint64_t ticket = steps_wait(f, 10, 0);
    fixture_pump(f);
    assert_null(fixture_answer(f, ticket));
    call(f, "GROUP.PAUSE");
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_string_equal(fixture_text(fixture_answer(f, ticket), "reason"), "paused");
    assert_string_equal(steps_part(f, "t", 0), "0 2 2 0 0 0");
    call(f, "GROUP.RESUME");
    const struct answer *pulled = steps_pull(f, 10);
    assert_string_equal(fixture_payloads(pulled), "a b");
    assert_string_equal(fixture_value(pulled, "runs"),
                        fixture_format("[[\"t\", 0, 0, 1, %" PRIu64 ", 1700000000000], "
                                       "[\"t\", 0, 1, 1, %" PRIu64 ", 1700000000000]]",
                                       pulled->lease, pulled->lease));
}

/* Goal: a request that is sent again gets what it got, though the group is paused by now. */
static void a_lease_is_told_again(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a");
    f->session = 7;
    const uint64_t lease = steps_pull(f, 1)->lease;
    call(f, "GROUP.PAUSE");
    f->resent_id = f->next_ticket - 2;
    assert_int_equal(steps_pull(f, 1)->lease, lease);
}

static void a_pause_is_durable_before_it_is_answered(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a");
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['t']}", NULL);
    mem_store_hold(f->mem, MEM_SYNCS);
    const uint64_t ticket = fixture_send(f, "GROUP.PAUSE", "{'group': 'g'}", NULL);
    fixture_pump(f);
    assert_null(fixture_answer(f, ticket));
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_non_null(fixture_answer(f, ticket));
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(paused(f), "true");
    assert_int_equal(steps_count(steps_pull(f, 1)), 0);
    call(f, "GROUP.RESUME");
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(paused(f), "false");
}

static void a_refused_pause_changes_nothing(void **state)
{
    struct engine_fixture *f = *state;
    fixture_error(f, ZSP_ENOT_FOUND, "GROUP.PAUSE", "{'group': 'g'}", NULL);
    fixture_error(f, ZSP_ENOT_FOUND, "GROUP.RESUME", "{'group': 'g'}", NULL);
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['t']}", NULL);
    mem_store_fail_next_state(f->mem, ZSP_ENO_SPACE);
    fixture_error(f, ZSP_ENO_SPACE, "GROUP.PAUSE", "{'group': 'g'}", NULL);
    assert_string_equal(paused(f), "false");
    fixture_error(f, ZSP_EUNKNOWN_ARGUMENT, "GROUP.PAUSE", "{'group': 'g', 'x': 1}", NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_paused_group_is_handed_nothing),
        TEST(a_pull_that_waits_goes_on_when_the_group_does),
        TEST(a_pull_that_reads_gives_back_what_it_has),
        TEST(a_lease_is_told_again),
        TEST(a_pause_is_durable_before_it_is_answered),
        TEST(a_refused_pause_changes_nothing),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
