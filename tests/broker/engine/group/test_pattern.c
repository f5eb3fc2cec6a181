/* SPDX-License-Identifier: MPL-2.0
 *
 * Patterns: a group that takes all topics that match, those of today and those of tomorrow.
 */
#include "broker/engine/group/group.h"
#include "broker/engine/group/pattern.h"
#include "common/limits.h"
#include "common/wire.h"
#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"

#define PULL_T      "{'group': 'g', 'topics': ['t*'], 'wait_ms': 1000}"
#define PULL_ORDERS "{'group': 'g', 'topics': ['orders.*'], 'wait_ms': 1000}"

static void publish(struct engine_fixture *f, const char *topic, const char *payload)
{
    fixture_ok(f, "PUBLISH", fixture_format("{'topic': '%s'}", topic),
               fixture_format("[[b'%s']]", payload));
}

static void a_pattern_takes_topics_that_are_there(void **state)
{
    struct engine_fixture *f = *state;
    publish(f, "orders.eu", "eu");
    publish(f, "orders.us", "us");
    publish(f, "bills.eu", "no");
    assert_string_equal(fixture_payloads(fixture_ok(f, "PULL", PULL_ORDERS, NULL)), "eu us");
}

static void a_waiting_pull_gets_what_comes_to_a_new_topic(void **state)
{
    struct engine_fixture *f = *state;
    const uint64_t ticket = fixture_send(f, "PULL", PULL_ORDERS, NULL);
    publish(f, "bills.eu", "no");
    fixture_pump(f);
    assert_null(fixture_answer(f, ticket));
    publish(f, "orders.eu", "eu");
    assert_string_equal(fixture_payloads(fixture_answer(f, ticket)), "eu");
}

/* A pull that names some of what the group has waits for these, whatever comes to the others. */
static void a_waiting_pull_of_one_pattern_gets_nothing_of_another(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['orders.*', 'bills.*', 'single']}",
               NULL);
    const uint64_t ticket = fixture_send(f, "PULL", PULL_ORDERS, NULL);
    publish(f, "bills.eu", "no");
    publish(f, "single", "no");
    fixture_pump(f);
    assert_null(fixture_answer(f, ticket));
    publish(f, "orders.eu", "eu");
    assert_string_equal(fixture_payloads(fixture_answer(f, ticket)), "eu");
    assert_string_equal(fixture_payloads(fixture_ok(f, "PULL", "{'group': 'g'}", NULL)), "no no");
}

/* A pull that named all that the group had is not one for what comes into it later. */
static void a_waiting_pull_gets_nothing_of_a_name_that_comes_later(void **state)
{
    struct engine_fixture *f = *state;
    const uint64_t ticket = fixture_send(f, "PULL", PULL_ORDERS, NULL);
    fixture_pump(f);
    publish(f, "single", "one");
    assert_string_equal(
        fixture_payloads(fixture_ok(f, "PULL", "{'group': 'g', 'topics': ['single']}", NULL)),
        "one");
    publish(f, "single", "two");
    fixture_pump(f);
    assert_null(fixture_answer(f, ticket));
    publish(f, "orders.eu", "eu");
    assert_string_equal(fixture_payloads(fixture_answer(f, ticket)), "eu");
}

static void topics_of_the_beginning_start_where_the_group_does_and_later_ones_at_zero(void **state)
{
    struct engine_fixture *f = *state;
    publish(f, "orders.eu", "old");
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['orders.*'], 'start': 'latest'}",
               NULL);
    publish(f, "orders.us", "new");
    for (int i = 0; i < 2; i++) {
        assert_string_equal(
            fixture_value(fixture_ok(f, "GROUP.INFO", "{'group': 'g'}", NULL), "parts"),
            "[[\"orders.eu\", 0, 1, 1, 0, 0, 0, 0, 0, 0, 0], "
            "[\"orders.us\", 0, 0, 1, 1, 0, 0, 0, 0, 0, 0]]");
        fixture_restart(f, MEM_KEEP_SYNCED);
    }
    assert_string_equal(fixture_payloads(fixture_ok(f, "PULL", PULL_ORDERS, NULL)), "new");
}

static void a_group_tells_its_patterns_after_a_restart_too(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['?x', 'orders.*', 'plain']}", NULL);
    for (int i = 0; i < 2; i++) {
        assert_string_equal(
            fixture_value(fixture_ok(f, "GROUP.INFO", "{'group': 'g'}", NULL), "patterns"),
            "[\"?x\", \"orders.*\"]");
        fixture_restart(f, MEM_KEEP_SYNCED);
    }
}

static void a_topic_that_goes_leaves_and_comes_back_from_its_beginning(void **state)
{
    struct engine_fixture *f = *state;
    publish(f, "orders.eu", "one");
    fixture_ok(f, "PULL", PULL_ORDERS, NULL);
    const uint64_t ticket = fixture_send(f, "PULL", PULL_ORDERS, NULL);
    fixture_ok(f, "TOPIC.DELETE", "{'topic': 'orders.eu'}", NULL);
    assert_string_equal(fixture_value(fixture_ok(f, "GROUP.INFO", "{'group': 'g'}", NULL), "parts"),
                        "[]");
    assert_null(fixture_answer(f, ticket));
    publish(f, "orders.eu", "two");
    assert_string_equal(fixture_payloads(fixture_answer(f, ticket)), "two");
}

/* The same, for a pull that has its topics by a pattern among others, or by name. */
static void pulls_of_some_names_outlive_their_topics(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['orders.*', 'bills.*']}", NULL);
    publish(f, "orders.eu", "one");
    fixture_ok(f, "PULL", PULL_ORDERS, NULL);
    const uint64_t by_pattern = fixture_send(f, "PULL", PULL_ORDERS, NULL);
    const uint64_t by_name =
        fixture_send(f, "PULL", "{'group': 'g', 'topics': ['orders.eu'], 'wait_ms': 1000}", NULL);
    fixture_ok(f, "TOPIC.DELETE", "{'topic': 'orders.eu'}", NULL);
    publish(f, "orders.eu", "two");
    assert_string_equal(fixture_payloads(fixture_answer(f, by_pattern)), "two");
    publish(f, "orders.eu", "three");
    assert_string_equal(fixture_payloads(fixture_answer(f, by_name)), "three");
}

static void a_topic_that_is_named_and_matched_is_one(void **state)
{
    struct engine_fixture *f = *state;
    publish(f, "orders.eu", "eu");
    const char *args = "{'group': 'g', 'topics': ['orders.eu', 'orders.*', '*.eu', '*.eu']}";
    assert_string_equal(fixture_payloads(fixture_ok(f, "PULL", args, NULL)), "eu");
    fixture_restart(f, MEM_KEEP_SYNCED);
    publish(f, "orders.us", "us");
    assert_string_equal(fixture_payloads(fixture_ok(f, "PULL", args, NULL)), "us");
}

static void a_creation_that_is_refused_leaves_nothing(void **state)
{
    struct engine_fixture *f = *state;
    publish(f, "orders.eu", "eu");
    mem_store_fail_next_state(f->mem, ZSP_ENO_SPACE);
    fixture_error(f, ZSP_ENO_SPACE, "PULL", PULL_ORDERS, NULL);
    assert_string_equal(fixture_payloads(fixture_ok(f, "PULL", PULL_ORDERS, NULL)), "eu");
}

static void a_pattern_is_a_name_with_wildcards(void **state)
{
    struct engine_fixture *f = *state;
    fixture_error(f, ZSP_EBAD_NAME, "PULL", "{'group': 'g', 'topics': ['orders/*']}", NULL);
    fixture_error(f, ZSP_EBAD_NAME, "GROUP.CREATE", "{'group': 'g', 'topics': ['']}", NULL);
    const struct answer *answer = fixture_error(f, ZSP_EBAD_NAME, "GROUP.CREATE",
                                                "{'group': 'g', 'topics': ['[ab]*']}", NULL);
    assert_string_equal(answer->error.msg, "topics pattern \"[ab]*\": character 0 is not allowed");
    fixture_error(f, ZSP_EBAD_NAME, "PUBLISH", "{'topic': 'orders.*'}", "[[b'x']]");
    fixture_error(f, ZSP_EBAD_NAME, "READ", "{'topic': 'orders.*'}", NULL);
}

/* Messages that are kept until consumed are not kept for a group that a slip of the pen makes. */
static void a_pull_makes_no_group_over_a_topic_that_keeps_until_consumed(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'orders.eu', 'settings': {'until_consumed': 'yes'}}",
               NULL);
    fixture_error(f, ZSP_ENOT_FOUND, "PULL", PULL_ORDERS, NULL);
}

/* How many messages the group's pulls get, of 1 to 7 messages each, until there are none. */
static unsigned pull_all(struct engine_fixture *f, const char *group)
{
    unsigned count = 0;
    for (unsigned max = 1;; max = max % 7 + 1) {
        const struct answer *answer = fixture_ok(
            f, "PULL", fixture_format("{'group': '%s', 'max_messages': %u}", group, max), NULL);
        const unsigned got = (unsigned)steps_count(answer);
        count += got;
        if (got == 0) {
            return count;
        }
    }
}

/* Goal: whichever of many topics have something, each message comes once, and topics have turns. */
static void pulls_of_many_topics_get_what_is_there(void **state)
{
    struct engine_fixture *f = *state;
    static const char *const modes[] = {"shared", "ordered"};
    f->session = 5;
    for (unsigned m = 0; m < 2; m++) {
        fixture_ok(f, "GROUP.CREATE",
                   fixture_format("{'group': '%s', 'topics': ['many.*'], 'mode': '%s'}", modes[m],
                                  modes[m]),
                   NULL);
    }
    for (unsigned round = 0; round < 6; round++) {
        const unsigned step = round + 1;
        for (unsigned i = 0; i < 60; i += step) {
            publish(f, fixture_format("many.%u", i), i % 2 == 0 ? "a" : "b");
            publish(f, fixture_format("many.%u", i), "c");
        }
        for (unsigned m = 0; m < 2; m++) {
            assert_int_equal(pull_all(f, modes[m]), 2 * ((60 + step - 1) / step));
        }
    }
    fixture_ok(f, "TOPIC.DELETE", "{'topic': 'many.59'}", NULL);
    publish(f, "many.58", "last");
    assert_string_equal(fixture_payloads(fixture_ok(f, "PULL", "{'group': 'shared'}", NULL)),
                        "last");
}

static void ordered_groups_have_patterns(void **state)
{
    struct engine_fixture *f = *state;
    f->session = 7;
    const uint64_t ticket = fixture_send(
        f, "PULL", "{'group': 'g', 'topics': ['orders.*'], 'wait_ms': 1000, 'mode': 'ordered'}",
        NULL);
    publish(f, "orders.eu", "eu");
    assert_string_equal(fixture_payloads(fixture_answer(f, ticket)), "eu");
}

/* --- in turns ------------------------------------------------------------------------------- */

/* Topics t0 to t6 with a message each, and an engine that looks at two partitions in a turn. */
static void begin_in_turns(struct engine_fixture *f)
{
    f->options.join_partitions = 2;
    fixture_restart(f, MEM_KEEP_SYNCED);
    for (int i = 0; i < 7; i++) {
        publish(f, fixture_format("t%d", i), "old");
    }
}

/* Names and patterns that group g was asked for. */
static size_t count_names(const struct engine_fixture *f)
{
    return pattern_name_count(name_index_find(&f->engine->catalog.groups, zsp_slice_str("g")));
}

static uint64_t create_late(struct engine_fixture *f, const char *topics)
{
    return fixture_send(f, "GROUP.CREATE",
                        fixture_format("{'group': 'g', 'topics': %s, 'start': 'latest'}", topics),
                        NULL);
}

/* Goal: no turn looks at all topics. Method: ledgers that there are after each turn. */
static void topics_are_found_some_in_each_turn(void **state)
{
    struct engine_fixture *f = *state;
    begin_in_turns(f);
    const uint64_t ticket = create_late(f, "['t*']");
    for (size_t found = 2; found < 7; found += 2) {
        fixture_pump(f);
        assert_int_equal(f->engine->groups->ledgers.count, found);
        assert_null(fixture_answer(f, ticket));
        fixture_advance(f, 1);
    }
    assert_int_equal(f->engine->groups->ledgers.count, 7);
    assert_int_equal(fixture_answer(f, ticket)->code, 0);
    publish(f, "t0", "new");
    publish(f, "t6", "new");
    for (int i = 0; i < 2; i++) {
        fixture_restart(f, MEM_KEEP_SYNCED);
        assert_string_equal(fixture_payloads(fixture_ok(f, "PULL", "{'group': 'g'}", NULL)),
                            i == 0 ? "new new" : "");
    }
}

/* Goal: topics that come and go meanwhile are met as if it were one turn. */
static void topics_come_and_go_while_others_are_found(void **state)
{
    struct engine_fixture *f = *state;
    begin_in_turns(f);
    const uint64_t ticket = create_late(f, "['t*', 't6', 'later']");
    fixture_pump(f);
    publish(f, "t1x", "a");
    publish(f, "t9", "b");
    publish(f, "later", "c");
    fixture_ok(f, "TOPIC.DELETE", "{'topic': 't0'}", NULL);
    fixture_ok(f, "TOPIC.DELETE", "{'topic': 't5'}", NULL);
    publish(f, "t5", "d");
    fixture_error(f, ZSP_ENOT_FOUND, "GROUP.INFO", "{'group': 'g'}", NULL);
    fixture_advance(f, 10);
    assert_int_equal(fixture_answer(f, ticket)->code, 0);
    assert_string_equal(fixture_payloads(fixture_ok(f, "PULL", "{'group': 'g'}", NULL)), "c a d b");
    assert_int_equal(count_names(f), 3);
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_int_equal(count_names(f), 3);
}

/* Goal: a crash before the end leaves nothing, not even what others put of the group meanwhile. */
static void a_crash_while_topics_are_found_leaves_nothing(void **state)
{
    struct engine_fixture *f = *state;
    begin_in_turns(f);
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['x'], 'start': 'latest'}", NULL);
    for (int i = 0; i < 2; i++) {
        fixture_send(f, "PULL", "{'group': 'g', 'topics': ['t*'], 'wait_ms': 1000}", NULL);
        fixture_pump(f);
        fixture_ok(f, "GROUP.SET", "{'group': 'g', 'settings': {'max_failures': 3}}", NULL);
        fixture_ok(f, "SEEK", "{'group': 'g', 'topic': 't0', 'to': ['offset', 1]}", NULL);
        fixture_restart(f, MEM_KEEP_WRITTEN);
        const struct answer *told = fixture_ok(f, "GROUP.INFO", "{'group': 'g'}", NULL);
        assert_string_equal(fixture_value(told, "patterns"), "");
        assert_string_equal(fixture_value(told, "parts"), "[]");
        assert_int_equal(f->engine->groups->ledgers.count, 0);
    }
}

/* Goal: who asks for the same meanwhile waits, and others of the group do not. */
static void others_join_behind_what_is_being_found(void **state)
{
    struct engine_fixture *f = *state;
    begin_in_turns(f);
    const uint64_t ticket = create_late(f, "['t*']");
    const uint64_t same =
        fixture_send(f, "PULL", "{'group': 'g', 'topics': ['t*'], 'wait_ms': 1000}", NULL);
    const uint64_t more =
        fixture_send(f, "PULL", "{'group': 'g', 'topics': ['x', 'y*'], 'wait_ms': 1000}", NULL);
    fixture_pump(f);
    publish(f, "t6", "new");
    assert_null(fixture_answer(f, same));
    fixture_advance(f, 10);
    assert_int_equal(fixture_answer(f, ticket)->code, 0);
    publish(f, "t3", "t");
    publish(f, "x", "x");
    assert_string_equal(fixture_payloads(fixture_answer(f, same)), "t");
    assert_string_equal(fixture_payloads(fixture_answer(f, more)), "x");
    fixture_restart(f, MEM_KEEP_SYNCED);
    const struct answer *told = fixture_ok(f, "GROUP.INFO", "{'group': 'g'}", NULL);
    assert_string_equal(fixture_value(told, "patterns"), "[\"t*\", \"y*\"]");
}

static void a_group_that_goes_while_topics_are_found_is_not_found(void **state)
{
    struct engine_fixture *f = *state;
    begin_in_turns(f);
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['x']}", NULL);
    const uint64_t first = fixture_send(f, "PULL", PULL_T, NULL);
    const uint64_t behind = fixture_send(f, "PULL", "{'group': 'g', 'topics': ['z']}", NULL);
    fixture_pump(f);
    fixture_ok(f, "GROUP.DELETE", "{'group': 'g'}", NULL);
    fixture_advance(f, 10);
    assert_int_equal(fixture_answer(f, first)->code, ZSP_ENOT_FOUND);
    assert_int_equal(fixture_answer(f, behind)->code, ZSP_ENOT_FOUND);
    assert_int_equal(f->engine->groups->ledgers.count, 0);
    assert_string_equal(
        fixture_payloads(fixture_ok(f, "PULL", "{'group': 'g', 'topics': ['t0']}", NULL)), "old");
}

/* Goal: what the journal refuses leaves nothing behind, and those behind it go on. */
static void what_is_refused_after_all_was_found_leaves_nothing(void **state)
{
    struct engine_fixture *f = *state;
    begin_in_turns(f);
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['x']}", NULL);
    const uint64_t first = fixture_send(f, "PULL", PULL_T, NULL);
    fixture_pump(f);
    const uint64_t behind = fixture_send(f, "PULL", "{'group': 'g', 'topics': ['t2']}", NULL);
    mem_store_fail_next_state(f->mem, ZSP_ENO_SPACE);
    fixture_advance(f, 10);
    assert_int_equal(fixture_answer(f, first)->code, ZSP_ENO_SPACE);
    assert_string_equal(fixture_payloads(fixture_answer(f, behind)), "old");
    const struct answer *told = fixture_ok(f, "GROUP.INFO", "{'group': 'g'}", NULL);
    assert_string_equal(fixture_value(told, "patterns"), "");
    assert_int_equal(count_names(f), 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_pattern_takes_topics_that_are_there),
        TEST(a_waiting_pull_gets_what_comes_to_a_new_topic),
        TEST(a_waiting_pull_of_one_pattern_gets_nothing_of_another),
        TEST(a_waiting_pull_gets_nothing_of_a_name_that_comes_later),
        TEST(topics_of_the_beginning_start_where_the_group_does_and_later_ones_at_zero),
        TEST(a_group_tells_its_patterns_after_a_restart_too),
        TEST(a_topic_that_goes_leaves_and_comes_back_from_its_beginning),
        TEST(pulls_of_some_names_outlive_their_topics),
        TEST(a_topic_that_is_named_and_matched_is_one),
        TEST(a_creation_that_is_refused_leaves_nothing),
        TEST(a_pattern_is_a_name_with_wildcards),
        TEST(a_pull_makes_no_group_over_a_topic_that_keeps_until_consumed),
        TEST(pulls_of_many_topics_get_what_is_there),
        TEST(ordered_groups_have_patterns),
        TEST(topics_are_found_some_in_each_turn),
        TEST(topics_come_and_go_while_others_are_found),
        TEST(a_crash_while_topics_are_found_leaves_nothing),
        TEST(others_join_behind_what_is_being_found),
        TEST(a_group_that_goes_while_topics_are_found_is_not_found),
        TEST(what_is_refused_after_all_was_found_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
