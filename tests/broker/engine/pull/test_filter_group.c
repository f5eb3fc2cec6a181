/* SPDX-License-Identifier: MPL-2.0
 *
 * Groups with a filter: who gets what, and what becomes of the rest.
 */
#include <stdio.h>
#include <string.h>

#include "common/limits.h"
#include "common/wire.h"
#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"

static void create(struct engine_fixture *f, const char *filter)
{
    fixture_ok(
        f, "GROUP.CREATE",
        fixture_format("{'group': 'g', 'topics': ['t'], 'settings': {'filter': '%s'}}", filter),
        NULL);
}

static void publish(struct engine_fixture *f, const char *letters)
{
    steps_publish_letters(f, letters, "");
}

static uint64_t filtered(struct engine_fixture *f)
{
    return fixture_number(fixture_ok(f, "GROUP.INFO", "{'group': 'g'}", NULL), "filtered");
}

static void a_group_gets_what_its_filter_wants_and_has_done_the_rest(void **state)
{
    struct engine_fixture *f = *state;
    create(f, "key = \"a\"");
    publish(f, "abbabc");
    const struct answer *answer = steps_pull(f, 10);
    assert_string_equal(fixture_payloads(answer), "a a");
    assert_string_equal(fixture_text(answer, "reason"), "end");
    assert_string_equal(steps_part(f, "t", 0), "0 6 0 2 0 0");
    assert_int_equal(filtered(f), 4);
    steps_settle(f, 0, 1, answer->lease, "'ack'");
    steps_settle(f, 3, 1, answer->lease, "'ack'");
    assert_string_equal(steps_part(f, "t", 0), "6 6 0 0 0 0");
}

static void what_was_left_out_stays_done_after_a_restart(void **state)
{
    struct engine_fixture *f = *state;
    create(f, "key = \"a\"");
    publish(f, "bbab");
    const uint64_t lease = steps_pull(f, 10)->lease;
    steps_settle(f, 2, 1, lease, "'ack'");
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(steps_part(f, "t", 0), "4 4 0 0 0 0");
    publish(f, "ba");
    assert_string_equal(fixture_payloads(steps_pull(f, 10)), "a");
}

static void a_waiting_pull_is_not_answered_for_what_nobody_wants(void **state)
{
    struct engine_fixture *f = *state;
    create(f, "key = \"a\"");
    const uint64_t ticket = steps_wait(f, 1, 1000);
    publish(f, "bbbb");
    assert_null(fixture_answer(f, ticket));
    assert_string_equal(steps_part(f, "t", 0), "4 4 0 0 0 0");
    publish(f, "ba");
    assert_string_equal(fixture_payloads(fixture_answer(f, ticket)), "a");
}

/* Goal: a pull for one message does not cost a record for each that it passes over. */
static void a_long_way_to_the_next_message_takes_few_steps(void **state)
{
    struct engine_fixture *f = *state;
    create(f, "key = \"a\"");
    char many[201];
    memset(many, 'b', 200);
    many[200] = '\0';
    for (int i = 0; i < 200; i++) {
        publish(f, many);
    }
    publish(f, "a");
    const uint64_t before = fixture_number(fixture_ok(f, "STATS", "{}", NULL), "journal_records");
    assert_string_equal(fixture_payloads(steps_pull(f, 1)), "a");
    const uint64_t after = fixture_number(fixture_ok(f, "STATS", "{}", NULL), "journal_records");
    assert_in_range(after - before, 1, 40);
    assert_int_equal(filtered(f), 40000);
}

/* What a pull looked at and left is anybody's. */
static void limits_are_exact_with_a_filter(void **state)
{
    struct engine_fixture *f = *state;
    create(f, "key in (\"a\", \"c\")");
    publish(f, "abababcbcbcaaaa");
    char all[64] = "";
    for (int i = 0; i < 10; i++) {
        const struct answer *answer = steps_pull(f, 2);
        assert_true(steps_count(answer) <= 2);
        const size_t len = strlen(all);
        (void)snprintf(all + len, sizeof all - len, "%s%s",
                       len > 0 && steps_count(answer) > 0 ? " " : "", fixture_payloads(answer));
    }
    assert_string_equal(all, "a a a c c c a a a a");
    assert_int_equal(filtered(f), 5);
}

static void the_limit_of_messages_out_holds_with_a_filter(void **state)
{
    struct engine_fixture *f = *state;
    create(f, "key = \"a\"");
    fixture_ok(f, "GROUP.SET", "{'group': 'g', 'settings': {'max_leased': 2}}", NULL);
    publish(f, "bbbbbbbbbbbbbbbb");
    publish(f, "aaaaaa");
    assert_string_equal(fixture_payloads(steps_pull(f, 100)), "a a");
    assert_string_equal(fixture_payloads(steps_pull(f, 100)), "");
}

static void a_changed_filter_applies_to_what_was_not_out_yet(void **state)
{
    struct engine_fixture *f = *state;
    create(f, "key = \"a\"");
    publish(f, "aab");
    const uint64_t lease = steps_pull(f, 1)->lease;
    fixture_ok(f, "GROUP.SET", "{'group': 'g', 'settings': {'filter': 'key = \"b\"'}}", NULL);
    steps_settle(f, 0, 1, lease, "'release'");
    assert_string_equal(fixture_payloads(steps_pull(f, 10)), "a b");
    fixture_ok(f, "GROUP.SET", "{'group': 'g', 'settings': {'filter': null}}", NULL);
    publish(f, "xyz");
    assert_string_equal(fixture_payloads(steps_pull(f, 10)), "x y z");
}

static void a_seek_back_meets_them_again(void **state)
{
    struct engine_fixture *f = *state;
    create(f, "key = \"a\"");
    publish(f, "aba");
    steps_pull(f, 10);
    fixture_ok(f, "GROUP.SET", "{'group': 'g', 'settings': {'filter': 'key != \"a\"'}}", NULL);
    fixture_ok(f, "SEEK", "{'group': 'g', 'topic': 't', 'to': 'earliest'}", NULL);
    assert_string_equal(fixture_payloads(steps_pull(f, 10)), "b");
}

static void the_filter_is_told_and_survives(void **state)
{
    struct engine_fixture *f = *state;
    create(f, "key = \"a\"");
    fixture_restart(f, MEM_KEEP_SYNCED);
    const struct answer *answer = fixture_ok(f, "GROUP.INFO", "{'group': 'g'}", NULL);
    assert_non_null(strstr(fixture_value(answer, "settings"), "\"filter\": \"key = \\\"a\\\"\""));
    publish(f, "ba");
    assert_string_equal(fixture_payloads(steps_pull(f, 10)), "a");
}

static void a_set_that_is_refused_changes_nothing(void **state)
{
    struct engine_fixture *f = *state;
    create(f, "key = \"a\"");
    mem_store_fail_next_state(f->mem, ZSP_ENO_SPACE);
    fixture_error(f, ZSP_ENO_SPACE, "GROUP.SET",
                  "{'group': 'g', 'settings': {'filter': 'key = \"b\"'}}", NULL);
    const struct answer *answer =
        fixture_error(f, ZSP_EBAD_VALUE, "GROUP.SET",
                      "{'group': 'g', 'settings': {'filter': 'key == \"b\"'}}", NULL);
    assert_string_equal(answer->error.msg,
                        "filter: position 5: wanted a text in double quotes, got =");
    fixture_error(f, ZSP_EBAD_TYPE, "GROUP.SET", "{'group': 'g', 'settings': {'filter': 5}}", NULL);
    fixture_error(f, ZSP_EBAD_VALUE, "GROUP.CREATE",
                  "{'group': 'h', 'topics': ['t'], 'settings': {'filter': ''}}", NULL);
    publish(f, "ba");
    assert_string_equal(fixture_payloads(steps_pull(f, 10)), "a");
}

static void ordered_groups_have_filters(void **state)
{
    struct engine_fixture *f = *state;
    f->session = 7;
    fixture_ok(f, "GROUP.CREATE",
               "{'group': 'g', 'topics': ['t'], 'mode': 'ordered', "
               "'settings': {'filter': 'key = \"a\"'}}",
               NULL);
    publish(f, "bababb");
    const struct answer *answer = steps_pull(f, 1);
    assert_string_equal(fixture_payloads(answer), "a");
    assert_string_equal(fixture_payloads(steps_pull(f, 10)), "a");
    steps_settle(f, 0, 2, answer->lease, "'ack'");
    assert_string_equal(steps_part(f, "t", 0), "3 6 0 1 0 0");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_group_gets_what_its_filter_wants_and_has_done_the_rest),
        TEST(what_was_left_out_stays_done_after_a_restart),
        TEST(a_waiting_pull_is_not_answered_for_what_nobody_wants),
        TEST(a_long_way_to_the_next_message_takes_few_steps),
        TEST(limits_are_exact_with_a_filter),
        TEST(the_limit_of_messages_out_holds_with_a_filter),
        TEST(a_changed_filter_applies_to_what_was_not_out_yet),
        TEST(a_seek_back_meets_them_again),
        TEST(the_filter_is_told_and_survives),
        TEST(a_set_that_is_refused_changes_nothing),
        TEST(ordered_groups_have_filters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
