/* SPDX-License-Identifier: MPL-2.0
 *
 * Side replays: a range once more, beside a group that does not move.
 */
#include <stdio.h>
#include <string.h>

#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"

/* Group g has topic t of six messages, a to f, and has done all of them. */
static void all_done(struct engine_fixture *f)
{
    steps_publish_each(f, "t", "a b c d e f");
    steps_settle(f, 0, 6, steps_pull(f, 10)->lease, "'ack'");
}

static const struct answer *replay(struct engine_fixture *f, const char *args)
{
    return fixture_ok(f, "GROUP.REPLAY", fixture_format("{'group': 'g', 'name': 'r', %s}", args),
                      NULL);
}

static uint64_t start_of(struct engine_fixture *f)
{
    return fixture_number(fixture_ok(f, "READ", "{'topic': 't', 'from': 'latest'}", NULL), "start");
}

/* All that the replay hands out now; it is named r. */
static const struct answer *pull(struct engine_fixture *f, unsigned max)
{
    return fixture_ok(f, "PULL", fixture_format("{'group': 'r', 'max_messages': %u}", max), NULL);
}

static const struct answer *settle(struct engine_fixture *f, uint64_t first, uint64_t count,
                                   uint64_t lease, const char *outcome)
{
    return fixture_ok(f, "SETTLE",
                      fixture_format("{'group': 'r', 'runs': [['t', 0, %llu, %llu, %llu, %s]]}",
                                     (unsigned long long)first, (unsigned long long)count,
                                     (unsigned long long)lease, outcome),
                      NULL);
}

static const char *told(struct engine_fixture *f)
{
    return fixture_value(fixture_ok(f, "GROUP.INFO", "{'group': 'r'}", NULL), "replay");
}

static void a_range_comes_once_more_and_the_group_does_not_move(void **state)
{
    struct engine_fixture *f = *state;
    all_done(f);
    const struct answer *made = replay(f, "'from': ['offset', 1], 'to': ['offset', 4]");
    assert_string_equal(fixture_text(made, "group"), "r");
    assert_int_equal(fixture_number(made, "messages"), 3);
    assert_string_equal(fixture_value(made, "partitions"), "[[0, 1, 4, 0]]");
    steps_publish_each(f, "t", "g");
    const struct answer *answer = pull(f, 10);
    assert_string_equal(fixture_payloads(answer), "b c d");
    assert_string_equal(fixture_text(answer, "reason"), "end");
    assert_string_equal(steps_part(f, "t", 0), "6 7 1 0 0 0");
    settle(f, 1, 3, answer->lease, "'ack'");
    answer = pull(f, 10);
    assert_int_equal(steps_count(answer), 0);
    assert_string_equal(fixture_text(answer, "reason"), "finished");
    assert_string_equal(told(f),
                        "{\"of\": \"g\", \"finished\": true, \"expires_in_ms\": 86400000}");
    assert_string_equal(fixture_payloads(steps_pull(f, 10)), "g");
}

static void whoever_waits_is_told_the_end_once_it_is_durable(void **state)
{
    struct engine_fixture *f = *state;
    all_done(f);
    replay(f, "'from': ['last', 1]");
    const uint64_t lease = pull(f, 10)->lease;
    const uint64_t waiting = fixture_send(f, "PULL", "{'group': 'r', 'wait_ms': 30000}", NULL);
    fixture_pump(f);
    assert_null(fixture_answer(f, waiting));
    settle(f, 5, 1, lease, "'ack'");
    assert_string_equal(fixture_text(fixture_answer(f, waiting), "reason"), "finished");
}

/* Goal: no power cut takes back an end that somebody was told, also when nobody acked the last ones. */
static void the_end_is_not_told_before_it_is_durable(void **state)
{
    struct engine_fixture *f = *state;
    all_done(f);
    replay(f, "'from': 'earliest', 'settings': {'filter': 'key exists'}");
    mem_store_hold(f->mem, MEM_SYNCS);
    const uint64_t ticket = fixture_send(f, "PULL", "{'group': 'r'}", NULL);
    fixture_pump(f);
    assert_null(fixture_answer(f, ticket));
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_string_equal(fixture_text(fixture_answer(f, ticket), "reason"), "finished");
}

static void retries_and_deaths_are_its_own(void **state)
{
    struct engine_fixture *f = *state;
    all_done(f);
    replay(f, "'from': 'earliest', 'to': ['offset', 2], 'settings': {'max_failures': 2}");
    for (int i = 0; i < 2; i++) {
        const struct answer *answer = pull(f, 1);
        assert_string_equal(fixture_payloads(answer), "a");
        settle(f, 0, 1, answer->lease, "'retry', {'delay_ms': 0}");
    }
    settle(f, 1, 1, pull(f, 10)->lease, "'ack'");
    assert_string_equal(fixture_text(pull(f, 10), "reason"), "finished");
    assert_string_equal(steps_part(f, "t", 0), "6 6 0 0 0 0");
    fixture_ok(f, "DEAD.REDRIVE", "{'group': 'r', 'all': true}", NULL);
    const struct answer *again = pull(f, 10);
    assert_string_equal(fixture_payloads(again), "a");
    settle(f, 0, 1, again->lease, "'ack'");
    assert_string_equal(fixture_text(pull(f, 10), "reason"), "finished");
}

static void a_restart_goes_on_in_the_middle(void **state)
{
    struct engine_fixture *f = *state;
    all_done(f);
    replay(f, "'from': ['offset', 1], 'to': ['offset', 4]");
    settle(f, 1, 1, pull(f, 1)->lease, "'ack'");
    fixture_restart(f, MEM_KEEP_SYNCED);
    const struct answer *answer = pull(f, 10);
    assert_string_equal(fixture_payloads(answer), "c d");
    settle(f, 2, 2, answer->lease, "'ack'");
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(fixture_text(pull(f, 10), "reason"), "finished");
}

static void it_goes_when_nobody_pulls(void **state)
{
    struct engine_fixture *f = *state;
    all_done(f);
    replay(f, "'from': 'earliest', 'expires_ms': 5000");
    for (int i = 0; i < 3; i++) {
        fixture_advance(f, 4000);
        settle(f, (uint64_t)i, 1, pull(f, 1)->lease, "'ack'");
    }
    fixture_advance(f, 5001);
    fixture_error(f, ZSP_ENOT_FOUND, "GROUP.INFO", "{'group': 'r'}", NULL);
    fixture_restart(f, MEM_KEEP_SYNCED);
    fixture_error(f, ZSP_ENOT_FOUND, "PULL", "{'group': 'r'}", NULL);
}

static void it_stays_while_something_of_it_is_out(void **state)
{
    struct engine_fixture *f = *state;
    all_done(f);
    replay(f, "'from': 'earliest', 'expires_ms': 5000, 'settings': {'lease_ms': 60000}");
    const uint64_t lease = pull(f, 10)->lease;
    fixture_advance(f, 9000);
    settle(f, 0, 6, lease, "'ack'");
    assert_string_equal(fixture_text(pull(f, 10), "reason"), "finished");
}

static void all_positions_are_understood(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_over_time(f);
    steps_settle(f, 0, 2, steps_pull(f, 2)->lease, "'ack'");
    fixture_ok(f, "SAVEPOINT.SAVE", "{'group': 'g', 'name': 's'}", NULL);
    const struct {
        const char *range, *expected;
    } cases[] = {
        {"'from': 'earliest'", "[[0, 0, 4, 0]]"},
        {"'from': 'latest'", "[]"},
        {"'from': ['last', 3], 'to': ['last', 1]", "[[0, 1, 3, 0]]"},
        {"'from': ['time', 1700000001000]", "[[0, 2, 4, 0]]"},
        {"'from': 'earliest', 'to': ['ago', 1000]", "[[0, 0, 2, 0]]"},
        {"'from_savepoint': 's'", "[[0, 2, 4, 0]]"},
        {"'from': 'earliest', 'to_savepoint': 's'", "[[0, 0, 2, 0]]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *args = fixture_format("'dry_run': true, %s", cases[i].range);
        assert_string_equal(fixture_value(replay(f, args), "partitions"), cases[i].expected);
    }
    fixture_error(f, ZSP_ENOT_FOUND, "GROUP.INFO", "{'group': 'r'}", NULL);
}

static void ids_choose_a_partition(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "TOPIC.CREATE",
               "{'topic': 't', 'partitions': 2, 'settings': {'dedup_window_ms': 60000}}", NULL);
    fixture_ok(f, "PUBLISH", "{'topic': 't', 'partition': 0}", "[[b'x', null, null, 'x']]");
    fixture_ok(f, "PUBLISH", "{'topic': 't', 'partition': 1}",
               "[[b'y', null, null, 'y'], [b'z', null, null, 'z'], [b'w', null, null, 'w']]");
    steps_pull(f, 10);
    assert_string_equal(
        fixture_value(replay(f, "'dry_run': true, 'from': ['id', 'z']"), "partitions"),
        "[[1, 1, 3, 0]]");
    replay(f, "'from': ['id', 'y'], 'to': ['id', 'w']");
    assert_string_equal(fixture_payloads(pull(f, 10)), "y z");
    const char *const wrong[] = {"'from': ['id', 'x'], 'to': ['id', 'w']",
                                 "'from': ['id', 'w'], 'to': ['id', 'y']"};
    for (size_t i = 0; i < 2; i++) {
        fixture_error(f, ZSP_EBAD_VALUE, "GROUP.REPLAY",
                      fixture_format("{'group': 'g', %s}", wrong[i]), NULL);
    }
    fixture_error(f, ZSP_ENOT_FOUND, "GROUP.REPLAY", "{'group': 'g', 'from': ['id', 'q']}", NULL);
}

static void wrong_ranges_are_refused(void **state)
{
    struct engine_fixture *f = *state;
    all_done(f);
    replay(f, "'from': 'earliest'");
    const struct {
        int code;
        const char *args;
    } cases[] = {
        {ZSP_EOUT_OF_RANGE, "{'group': 'g', 'from': ['offset', 7]}"},
        {ZSP_EOUT_OF_RANGE, "{'group': 'g', 'from': 'earliest', 'to': ['offset', 7]}"},
        {ZSP_EBAD_VALUE, "{'group': 'g', 'from': ['offset', 3], 'to': ['offset', 2]}"},
        {ZSP_EBAD_VALUE, "{'group': 'g'}"},
        {ZSP_EBAD_VALUE, "{'group': 'g', 'from': 'earliest', 'from_savepoint': 's'}"},
        {ZSP_EBAD_VALUE, "{'group': 'g', 'from': 'earliest', 'to': 'latest', 'to_savepoint': 's'}"},
        {ZSP_ENOT_FOUND, "{'group': 'g', 'from_savepoint': 's'}"},
        {ZSP_ENOT_FOUND, "{'group': 'h', 'from': 'earliest'}"},
        {ZSP_ENOT_FOUND, "{'group': 'g', 'topic': 'u', 'from': 'earliest'}"},
        {ZSP_ENOT_FOUND, "{'group': 'g', 'partition': 1, 'from': 'earliest'}"},
        {ZSP_EEXISTS, "{'group': 'g', 'name': 'r', 'from': 'earliest'}"},
        {ZSP_EEXISTS, "{'group': 'g', 'name': 'g', 'from': 'earliest'}"},
        {ZSP_EUNSUPPORTED, "{'group': 'g', 'from': ['id', 'x']}"},
        {ZSP_EBAD_VALUE, "{'group': 'g', 'from': 'earliest', 'settings': {'filter': 'nonsense'}}"},
        {ZSP_EBAD_VALUE, "{'group': 'g', 'from': 'earliest', 'expires_ms': 999}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture_error(f, cases[i].code, "GROUP.REPLAY", cases[i].args, NULL);
    }
    fixture_error(f, ZSP_EBAD_VALUE, "SEEK", "{'group': 'r', 'to': 'latest'}", NULL);
    fixture_error(f, ZSP_EBAD_VALUE, "PULL", "{'group': 'r', 'topics': ['t', 'u']}", NULL);
    assert_int_equal(steps_count(pull(f, 10)), 6);
}

/* What is gone cannot be replayed: an offset says so, a savepoint clamps and tells how many. */
static void what_is_gone_is_told(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "PULL", "{'group': 'g', 'topics': ['t']}", NULL);
    fixture_ok(f, "SAVEPOINT.SAVE", "{'group': 'g', 'name': 's'}", NULL);
    all_done(f);
    fixture_ok(f, "TOPIC.PURGE", "{'topic': 't', 'before': ['offset', 4]}", NULL);
    const struct answer *refused = fixture_error(f, ZSP_EOUT_OF_RANGE, "GROUP.REPLAY",
                                                 "{'group': 'g', 'from': ['offset', 2]}", NULL);
    assert_non_null(strstr(refused->error.msg, "2..3"));
    const struct answer *made = replay(f, "'from_savepoint': 's'");
    assert_string_equal(fixture_value(made, "partitions"), "[[0, 4, 6, 4]]");
    assert_string_equal(fixture_payloads(pull(f, 10)), "e f");
}

static void a_purge_of_the_rest_finishes_it(void **state)
{
    struct engine_fixture *f = *state;
    all_done(f);
    replay(f, "'from': ['offset', 1], 'to': ['offset', 3]");
    const struct answer *purged =
        fixture_ok(f, "TOPIC.PURGE", "{'topic': 't', 'before': ['offset', 5]}", NULL);
    assert_string_equal(fixture_value(purged, "groups"),
                        "[[\"r\", 2]]"); /* not what is behind it */
    assert_string_equal(fixture_text(pull(f, 10), "reason"), "finished");
    const char *parts = fixture_value(fixture_ok(f, "GROUP.INFO", "{'group': 'r'}", NULL), "parts");
    assert_string_equal(parts, "[[\"t\", 0, 5, 5, 0, 0, 0, 0, 2, 0, 0]]");
}

static void the_end_of_its_topic_finishes_it(void **state)
{
    struct engine_fixture *f = *state;
    all_done(f);
    replay(f, "'from': 'earliest'");
    fixture_ok(f, "TOPIC.DELETE", "{'topic': 't'}", NULL);
    steps_publish_each(f, "t", "n");
    assert_string_equal(fixture_text(pull(f, 10), "reason"), "finished");
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(fixture_text(pull(f, 10), "reason"), "finished");
}

static void partitions_that_come_later_are_none_of_its(void **state)
{
    struct engine_fixture *f = *state;
    all_done(f);
    replay(f, "'from': ['offset', 5]");
    fixture_ok(f, "TOPIC.SET", "{'topic': 't', 'partitions': 3}", NULL);
    for (int i = 0; i < 3; i++) {
        fixture_ok(f, "PUBLISH", fixture_format("{'topic': 't', 'partition': %d}", i), "[[b'n']]");
    }
    const struct answer *answer = pull(f, 10);
    assert_string_equal(fixture_payloads(answer), "f");
    settle(f, 5, 1, answer->lease, "'ack'");
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(fixture_text(pull(f, 10), "reason"), "finished");
}

static void settings_and_filter_are_the_groups_but_for_what_is_named(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "GROUP.CREATE",
               "{'group': 'g', 'topics': ['t'], 'settings': {'lease_ms': 7000, 'filter': 'key = "
               "\"k\"'}}",
               NULL);
    fixture_ok(f, "PUBLISH", "{'topic': 't'}", "[[b'a', b'k'], [b'b', b'l'], [b'c', b'm']]");
    replay(f, "'from': 'earliest'");
    const struct answer *answer = pull(f, 10);
    assert_string_equal(fixture_payloads(answer), "a");
    assert_int_equal(fixture_number(answer, "lease_ms"), 7000);
    fixture_ok(f, "GROUP.REPLAY",
               "{'group': 'g', 'name': 'q', 'from': 'earliest', 'settings': {'filter': 'key = "
               "\"m\"'}}",
               NULL);
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(
        fixture_payloads(fixture_ok(f, "PULL", "{'group': 'q', 'topics': ['t']}", NULL)), "c");
    settle(f, 0, 1, answer->lease, "'ack'");
    assert_string_equal(fixture_text(pull(f, 10), "reason"), "finished");
}

static void a_name_is_made_when_none_is_given(void **state)
{
    struct engine_fixture *f = *state;
    all_done(f);
    char name[2][64];
    for (int i = 0; i < 2; i++) {
        const struct answer *made =
            fixture_ok(f, "GROUP.REPLAY", "{'group': 'g', 'from': 'earliest'}", NULL);
        (void)snprintf(name[i], sizeof name[i], "%s", fixture_text(made, "group"));
        assert_memory_equal(name[i], "g.replay-", 9);
    }
    assert_string_not_equal(name[0], name[1]);
    fixture_ok(f, "GROUP.DELETE", fixture_format("{'group': '%s'}", name[0]), NULL);
    fixture_error(f, ZSP_ENOT_FOUND, "PULL",
                  fixture_format("{'group': '%s', 'topics': ['t']}", name[0]), NULL);
}

static void order_holds_in_a_replay(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['t'], 'mode': 'keyed'}", NULL);
    fixture_ok(f, "PUBLISH", "{'topic': 't'}",
               "[[b'a1', b'a'], [b'a2', b'a'], [b'b1', b'b'], [b'a3', b'a']]");
    replay(f, "'from': 'earliest', 'to': ['offset', 3]");
    const struct answer *answer = pull(f, 1);
    assert_string_equal(fixture_payloads(answer), "a1");
    assert_string_equal(fixture_payloads(pull(f, 1)), "b1");
    settle(f, 0, 1, answer->lease, "'ack'");
    answer = pull(f, 10);
    assert_string_equal(fixture_payloads(answer), "a2");
}

/* Nobody gets what has expired meanwhile: the pull that meets it is told the end. */
static void what_has_expired_is_done(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(
        f, "PUBLISH",
        fixture_format("{'topic': 't', 'expires_at_ms': %lld}", (long long)f->now.wall_ms + 1000),
        "[[b'a'], [b'b']]");
    steps_settle(f, 0, 2, steps_pull(f, 10)->lease, "'ack'");
    fixture_advance(f, 2000);
    replay(f, "'from': 'earliest'");
    assert_string_equal(fixture_text(pull(f, 10), "reason"), "finished");
}

static void more_urgent_messages_come_first_and_none_from_behind_the_range(void **state)
{
    struct engine_fixture *f = *state;
    const int priorities[] = {4, 8, 2, 9};
    for (int i = 0; i < 4; i++) {
        fixture_ok(f, "PUBLISH", fixture_format("{'topic': 't', 'priority': %d}", priorities[i]),
                   fixture_format("[[b'p%d']]", priorities[i]));
    }
    steps_pull(f, 10);
    replay(f, "'from': 'earliest', 'to': ['offset', 3]");
    assert_string_equal(fixture_payloads(pull(f, 1)), "p8");
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(fixture_payloads(pull(f, 10)), "p4 p2");
    assert_string_equal(fixture_text(pull(f, 10), "reason"), "all_leased");
}

/* Goal: what is in the range is there, where it is: more partitions do no harm to its order. */
static void a_replay_in_order_keeps_no_topic_from_growing(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['t'], 'mode': 'ordered'}", NULL);
    steps_publish_each(f, "t", "a b c");
    replay(f, "'from': 'earliest'");
    fixture_error(f, ZSP_EWOULD_REORDER, "TOPIC.SET", "{'topic': 't', 'partitions': 2}", NULL);
    fixture_ok(f, "GROUP.DELETE", "{'group': 'g'}", NULL);
    fixture_ok(f, "TOPIC.SET", "{'topic': 't', 'partitions': 2}", NULL);
    assert_string_equal(fixture_payloads(pull(f, 10)), "a b c");
}

/* A topic that keeps what is not consumed: a replay keeps what it has to do, and no more. */
static void messages_stay_for_a_replay_until_it_has_them(void **state)
{
    struct engine_fixture *f = *state;
    mem_store_segment_batches(f->mem, 2);
    all_done(f);
    replay(f, "'from': ['offset', 2], 'to': ['offset', 4]");
    fixture_ok(f, "TOPIC.SET", "{'topic': 't', 'settings': {'until_consumed': 'yes'}}", NULL);
    fixture_advance(f, 10001);
    assert_int_equal(start_of(f), 2);
    settle(f, 2, 2, pull(f, 10)->lease, "'ack'");
    fixture_advance(f, 10001);
    assert_int_equal(start_of(f), 4); /* the last segment is open */
    fixture_ok(f, "GROUP.DELETE", "{'group': 'g'}", NULL);
    steps_publish_each(f, "t", "h i j k");
    fixture_advance(f, 10001);
    assert_int_equal(start_of(f), 4); /* a replay alone lets nothing go */
}

#define OVER_MEM(test) cmocka_unit_test_setup_teardown(test, fixture_set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OVER_MEM(a_range_comes_once_more_and_the_group_does_not_move),
        OVER_MEM(whoever_waits_is_told_the_end_once_it_is_durable),
        OVER_MEM(the_end_is_not_told_before_it_is_durable),
        OVER_MEM(retries_and_deaths_are_its_own),
        OVER_MEM(a_restart_goes_on_in_the_middle),
        OVER_MEM(it_goes_when_nobody_pulls),
        OVER_MEM(it_stays_while_something_of_it_is_out),
        OVER_MEM(all_positions_are_understood),
        OVER_MEM(ids_choose_a_partition),
        OVER_MEM(wrong_ranges_are_refused),
        OVER_MEM(what_is_gone_is_told),
        OVER_MEM(a_purge_of_the_rest_finishes_it),
        OVER_MEM(the_end_of_its_topic_finishes_it),
        OVER_MEM(partitions_that_come_later_are_none_of_its),
        OVER_MEM(settings_and_filter_are_the_groups_but_for_what_is_named),
        OVER_MEM(a_name_is_made_when_none_is_given),
        OVER_MEM(order_holds_in_a_replay),
        OVER_MEM(what_has_expired_is_done),
        OVER_MEM(more_urgent_messages_come_first_and_none_from_behind_the_range),
        OVER_MEM(a_replay_in_order_keeps_no_topic_from_growing),
        OVER_MEM(messages_stay_for_a_replay_until_it_has_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
