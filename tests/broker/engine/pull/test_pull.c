/* SPDX-License-Identifier: MPL-2.0
 *
 * PULL: who gets what, when, and why not.
 */
#include <stdio.h>

#include "broker/engine/pull/pull.h"
#include "common/limits.h"
#include "common/wire.h"
#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"

static void a_first_pull_makes_its_group(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a b c");
    const struct answer *answer = steps_pull(f, 10);
    assert_string_equal(fixture_payloads(answer), "a b c");
    assert_int_equal(fixture_number(answer, "lease_ms"), 30000);
    assert_string_equal(fixture_text(answer, "reason"), "end");
    assert_string_equal(steps_part(f, "t", 0), "0 3 0 3 0 0");
}

/* Goal: nothing is answered that rests on a group which a power cut could forget. */
static void the_group_is_durable_before_the_pull_is_answered(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a");
    mem_store_hold(f->mem, MEM_SYNCS);
    const uint64_t ticket = steps_wait(f, 1, 0);
    fixture_pump(f);
    assert_null(fixture_answer(f, ticket));
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_int_equal(steps_count(fixture_answer(f, ticket)), 1);
}

/* Goal: a wait that is over tells nothing of a group, or of a topic in it, before that is durable: the
 * client would go by a start that a power cut forgets. */
static void what_a_pull_makes_is_durable_before_its_wait_ends(void **state)
{
    static const char *const wait = "{'group': 'g', 'topics': ['%s'], 'start': 'latest', "
                                    "'wait_ms': 1000}";
    struct engine_fixture *f = *state;
    for (int i = 0; i < 2; i++) { /* makes the group; brings a topic into it */
        const char *topic = i == 0 ? "t" : "u";
        steps_publish_each(f, topic, "old");
        mem_store_hold(f->mem, MEM_SYNCS);
        const uint64_t ticket = fixture_send(f, "PULL", fixture_format(wait, topic), NULL);
        fixture_pump(f);
        fixture_advance(f, 1500);
        assert_null(fixture_answer(f, ticket));
        mem_store_hold(f->mem, 0);
        fixture_pump(f);
        assert_string_equal(fixture_text(fixture_answer(f, ticket), "reason"), "timeout");
    }
    fixture_restart(f, MEM_KEEP_SYNCED);
    steps_publish_each(f, "t", "new");
    steps_publish_each(f, "u", "newer");
    assert_string_equal(fixture_payloads(fixture_ok(f, "PULL", "{'group': 'g'}", NULL)),
                        "new newer");
}

static void so_it_is_before_a_drained_broker_answers(void **state)
{
    struct engine_fixture *f = *state;
    mem_store_hold(f->mem, MEM_SYNCS);
    const uint64_t ticket = steps_wait(f, 1, 60000);
    fixture_pump(f);
    engine_drain(f->engine, f->now);
    fixture_pump(f);
    assert_null(fixture_answer(f, ticket));
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_string_equal(fixture_text(fixture_answer(f, ticket), "reason"), "shutting_down");
}

static void without_permission_a_missing_group_is_not_found(void **state)
{
    struct engine_fixture *f = *state;
    f->options.auto_create_groups = false;
    fixture_restart(f, MEM_KEEP_SYNCED);
    fixture_error(f, ZSP_ENOT_FOUND, "PULL", "{'group': 'g', 'topics': ['t']}", NULL);
}

static void a_missing_group_without_topics_is_not_found(void **state)
{
    fixture_error(*state, ZSP_ENOT_FOUND, "PULL", "{'group': 'g'}", NULL);
}

static void there_is_a_limit_to_groups(void **state)
{
    struct engine_fixture *f = *state;
    f->options.groups_max = 1;
    fixture_restart(f, MEM_KEEP_SYNCED);
    fixture_ok(f, "PULL", "{'group': 'g', 'topics': ['t']}", NULL);
    fixture_error(f, ZSP_ELIMIT_REACHED, "PULL", "{'group': 'h', 'topics': ['t']}", NULL);
}

static void bad_arguments_are_refused(void **state)
{
    struct engine_fixture *f = *state;
    const struct {
        int code;
        const char *args;
    } cases[] = {
        {ZSP_EBAD_VALUE, "{'topics': ['t']}"},
        {ZSP_EBAD_NAME, "{'group': '../g', 'topics': ['t']}"},
        {ZSP_EBAD_VALUE, "{'group': 'g', 'topics': ['t'], 'max_messages': 0}"},
        {ZSP_EBAD_VALUE, "{'group': 'g', 'topics': ['t'], 'max_bytes': 99999999999}"},
        {ZSP_EBAD_VALUE, "{'group': 'g', 'topics': ['t'], 'wait_ms': 60001}"},
        {ZSP_EBAD_VALUE, "{'group': 'g', 'topics': ['t'], 'mode': 'random'}"},
        {ZSP_ENOT_FOUND, "{'group': 'g', 'topics': ['t'], 'start': ['id', 'x']}"},
        {ZSP_EBAD_VALUE, "{'group': 'g', 'topics': ['t'], 'settle': []}"},
        {ZSP_EBAD_TYPE, "{'group': 'g', 'topics': ['t'], 'accept': 'zstd'}"},
        {ZSP_EBAD_TYPE, "{'group': 'g', 'topics': ['t'], 'accept': [5]}"},
        {ZSP_EBAD_TYPE, "{'group': 'g', 'topics': ['t'], 'parts': 1}"},
        {ZSP_EUNKNOWN_ARGUMENT, "{'group': 'g', 'topics': ['t'], 'colour': 1}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture_error(f, cases[i].code, "PULL", cases[i].args, NULL);
    }
    assert_string_equal(fixture_value(fixture_ok(f, "GROUP.LIST", "{}", NULL), "items"), "[]");
}

static void another_start_is_a_mismatch(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "PULL", "{'group': 'g', 'topics': ['t'], 'start': ['last', 5]}", NULL);
    fixture_error(f, ZSP_EMODE_MISMATCH, "PULL",
                  "{'group': 'g', 'topics': ['t'], 'start': 'latest'}", NULL);
    fixture_error(f, ZSP_EMODE_MISMATCH, "PULL",
                  "{'group': 'g', 'topics': ['t'], 'start': ['last', 6]}", NULL);
    fixture_ok(f, "PULL", "{'group': 'g', 'start': ['last', 5], 'mode': 'shared'}", NULL);
    fixture_ok(f, "PULL", "{'group': 'g'}", NULL);
}

static void limits_are_exact(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish(f, "t", 10);
    const struct answer *answer = steps_pull(f, 4);
    assert_string_equal(fixture_payloads(answer), "m0 m1 m2 m3");
    assert_string_equal(fixture_text(answer, "reason"), "");
    /* A record here is an array head, a binary head of two bytes, and the payload. */
    answer = fixture_ok(f, "PULL", "{'group': 'g', 'max_bytes': 14}", NULL);
    assert_string_equal(fixture_payloads(answer), "m4 m5");
    assert_string_equal(fixture_text(answer, "reason"), "limit");
    assert_string_equal(steps_part(f, "t", 0), "0 10 4 6 0 0");
}

static void the_first_message_always_fits(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "longer-than-a-byte b");
    const struct answer *answer =
        fixture_ok(f, "PULL", "{'group': 'g', 'topics': ['t'], 'max_bytes': 1}", NULL);
    assert_string_equal(fixture_payloads(answer), "longer-than-a-byte");
}

static void a_run_never_spans_two_batches(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a b");
    steps_publish(f, "t", 2);
    const msgpack_object *runs = wire_map_find(steps_pull(f, 10)->map, "runs");
    assert_int_equal(runs->via.array.size, 3);
}

static void a_run_tells_deliveries_and_failures(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish(f, "t", 3);
    const uint64_t lease = steps_pull(f, 10)->lease;
    steps_settle(f, 1, 1, lease, "'retry', {'delay_ms': 0}");
    const struct answer *answer = steps_pull(f, 10);
    assert_string_equal(fixture_payloads(answer), "m1");
    const msgpack_object *runs = wire_map_find(answer->map, "runs");
    struct wire_run run = {0};
    assert_int_equal(wire_run_decode(&runs->via.array.ptr[0], &run, NULL), 0);
    assert_int_equal(run.deliveries, 2);
    assert_int_equal(run.failures, 1);
}

static void consumers_see_only_what_is_synced(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 't'}", NULL);
    steps_pull(f, 1);
    mem_store_hold(f->mem, MEM_SYNCS);
    steps_publish_each(f, "t", "a");
    const uint64_t ticket = steps_wait(f, 1, 60000);
    fixture_pump(f);
    assert_null(fixture_answer(f, ticket));
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_string_equal(fixture_payloads(fixture_answer(f, ticket)), "a");
}

/* Goal: kill -9 forgets no hand-out. Method: the reply waits for its record to be written, not
 * for its sync. */
static void a_grant_is_written_before_it_is_told(void **state)
{
    struct engine_fixture *f = *state;
    steps_pull(f, 1);
    steps_publish_each(f, "t", "a");
    mem_store_hold(f->mem, MEM_WRITES | MEM_SYNCS);
    const uint64_t ticket = steps_wait(f, 1, 60000);
    fixture_pump(f);
    assert_null(fixture_answer(f, ticket));
    mem_store_write_all(f->mem);
    fixture_pump(f);
    assert_non_null(fixture_answer(f, ticket));
}

static void a_full_journal_grants_nothing(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a b");
    steps_pull(f, 1);
    mem_store_fail_next_state(f->mem, ZSP_ENO_SPACE);
    fixture_error(f, ZSP_ENO_SPACE, "PULL", "{'group': 'g'}", NULL);
    assert_string_equal(steps_part(f, "t", 0), "0 2 1 1 0 0");
    assert_string_equal(fixture_payloads(steps_pull(f, 5)), "b");
}

static void a_full_journal_makes_no_group(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a");
    mem_store_fail_next_state(f->mem, ZSP_ENO_SPACE);
    fixture_error(f, ZSP_ENO_SPACE, "PULL", "{'group': 'g', 'topics': ['t']}", NULL);
    fixture_error(f, ZSP_ENOT_FOUND, "GROUP.INFO", "{'group': 'g'}", NULL);
    assert_string_equal(fixture_payloads(steps_pull(f, 1)), "a");
}

static void a_waiting_pull_gets_what_comes(void **state)
{
    struct engine_fixture *f = *state;
    const uint64_t ticket = steps_wait(f, 10, 60000);
    fixture_pump(f);
    assert_null(fixture_answer(f, ticket));
    steps_publish_each(f, "t", "a");
    assert_string_equal(fixture_payloads(fixture_answer(f, ticket)), "a");
}

static void empty_answers_say_why(void **state)
{
    struct engine_fixture *f = *state;
    assert_string_equal(fixture_text(steps_pull(f, 1), "reason"), "no_topic");
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 't'}", NULL);
    assert_string_equal(fixture_text(steps_pull(f, 1), "reason"), "end");
    steps_publish_each(f, "t", "a");
    const uint64_t lease = steps_pull(f, 1)->lease;
    assert_string_equal(fixture_text(steps_pull(f, 1), "reason"), "all_leased");
    steps_settle(f, 0, 1, lease, "'retry', {'delay_ms': 50000}");
    assert_string_equal(fixture_text(steps_pull(f, 1), "reason"), "all_waiting");
}

static void a_wait_that_ends_says_so(void **state)
{
    struct engine_fixture *f = *state;
    const uint64_t missing = steps_wait(f, 1, 1000);
    fixture_pump(f);
    fixture_advance(f, 1000);
    assert_string_equal(fixture_text(fixture_answer(f, missing), "reason"), "no_topic");
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 't'}", NULL);
    const uint64_t empty = steps_wait(f, 1, 1000);
    fixture_advance(f, 999);
    assert_null(fixture_answer(f, empty));
    fixture_advance(f, 1);
    assert_string_equal(fixture_text(fixture_answer(f, empty), "reason"), "timeout");
}

static void a_drained_broker_answers_those_who_wait(void **state)
{
    struct engine_fixture *f = *state;
    const uint64_t ticket = steps_wait(f, 1, 60000);
    fixture_pump(f);
    engine_drain(f->engine, f->now);
    fixture_pump(f);
    assert_string_equal(fixture_text(fixture_answer(f, ticket), "reason"), "shutting_down");
}

static void who_came_first_is_served_first(void **state)
{
    struct engine_fixture *f = *state;
    const uint64_t first = steps_wait(f, 10, 60000);
    const uint64_t second = steps_wait(f, 10, 60000);
    fixture_pump(f);
    steps_publish_each(f, "t", "a b");
    assert_string_equal(fixture_payloads(fixture_answer(f, first)), "a");
    assert_string_equal(fixture_payloads(fixture_answer(f, second)), "b");
}

static void those_who_wait_share(void **state)
{
    struct engine_fixture *f = *state;
    uint64_t tickets[4];
    for (int i = 0; i < 4; i++) {
        tickets[i] = steps_wait(f, 100, 60000);
    }
    fixture_pump(f);
    steps_publish(f, "t", 10);
    const uint64_t expected[] = {3, 3, 2, 2};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(steps_count(fixture_answer(f, tickets[i])), expected[i]);
    }
}

static void the_group_has_a_limit_of_messages_out(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['t'], 'settings': {'max_leased': 3}}",
               NULL);
    steps_publish(f, "t", 5);
    const struct answer *answer = steps_pull(f, 10);
    assert_int_equal(steps_count(answer), 3);
    assert_string_equal(fixture_text(answer, "reason"), "limit");
    assert_string_equal(fixture_text(steps_pull(f, 10), "reason"), "limit");
    const uint64_t ticket = steps_wait(f, 10, 60000);
    fixture_pump(f);
    assert_null(fixture_answer(f, ticket));
    steps_settle(f, 0, 1, answer->lease, "'ack'");
    assert_int_equal(steps_count(fixture_answer(f, ticket)), 1);
}

static void topics_join_under_the_start_of_the_group(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "old");
    steps_publish_each(f, "u", "older");
    fixture_ok(f, "PULL", "{'group': 'g', 'topics': ['t'], 'start': 'latest'}", NULL);
    fixture_ok(f, "PULL", "{'group': 'g', 'topics': ['u']}", NULL);
    steps_publish_each(f, "t", "new");
    steps_publish_each(f, "u", "newer");
    steps_publish_each(f, "later", "x"); /* comes later: from its beginning */
    assert_string_equal(fixture_payloads(fixture_ok(f, "PULL", "{'group': 'g'}", NULL)),
                        "new newer");
    assert_string_equal(steps_part(f, "u", 0), "1 2 0 1 0 0");
}

static void a_topic_that_comes_later_begins_at_its_beginning(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "PULL", "{'group': 'g', 'topics': ['t'], 'start': 'latest'}", NULL);
    steps_publish_each(f, "t", "a b");
    assert_int_equal(steps_count(steps_pull(f, 10)), 2);
}

static void the_start_survives_a_power_cut(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a b c");
    fixture_ok(f, "PULL", "{'group': 'g', 'topics': ['t'], 'start': 'latest'}", NULL);
    fixture_restart(f, MEM_KEEP_SYNCED);
    steps_publish_each(f, "t", "d");
    assert_string_equal(fixture_payloads(steps_pull(f, 10)), "d");
}

static void a_group_may_start_at_a_time(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a");
    fixture_leap(f, 1000);
    steps_publish_each(f, "t", "b c");
    const char *args = "{'group': 'g', 'topics': ['t'], 'start': ['time', 1700000001000]}";
    assert_string_equal(fixture_payloads(fixture_ok(f, "PULL", args, NULL)), "b c");
    fixture_error(f, ZSP_EOUT_OF_RANGE, "PULL",
                  "{'group': 'h', 'topics': ['t'], 'start': ['offset', 9]}", NULL);
    fixture_error(f, ZSP_ENOT_FOUND, "GROUP.INFO", "{'group': 'h'}", NULL);
}

static void a_created_anew_topic_is_another_one(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a b");
    const uint64_t lease = steps_pull(f, 1)->lease;
    fixture_ok(f, "TOPIC.DELETE", "{'topic': 't'}", NULL);
    assert_string_equal(fixture_text(steps_pull(f, 1), "reason"), "no_topic");
    steps_publish_each(f, "t", "new");
    assert_string_equal(fixture_value(steps_settle(f, 0, 1, lease, "'ack'"), "not_applied"),
                        "[[\"t\", 0, 0, 1, \"unknown\"]]");
    assert_string_equal(fixture_payloads(steps_pull(f, 5)), "new");
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(steps_part(f, "t", 0), "0 1 0 1 0 0");
}

static void an_abandoned_wait_takes_nothing(void **state)
{
    struct engine_fixture *f = *state;
    const uint64_t ticket = steps_wait(f, 1, 60000);
    fixture_pump(f);
    engine_abandon(f->engine, f->now, ticket);
    steps_publish_each(f, "t", "a");
    assert_null(fixture_answer(f, ticket));
    assert_string_equal(steps_part(f, "t", 0), "0 1 1 0 0 0");
}

/* Goal: a client that goes while its pull reads leaves everything as it was. */
static void what_is_abandoned_while_it_reads_is_put_back(void **state)
{
    struct engine_fixture *f = *state;
    steps_pull(f, 1);
    steps_publish_each(f, "t", "a b");
    mem_store_hold(f->mem, MEM_READS);
    const uint64_t ticket = steps_wait(f, 5, 60000);
    fixture_pump(f);
    engine_abandon(f->engine, f->now, ticket);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_string_equal(steps_part(f, "t", 0), "0 2 2 0 0 0");
    const struct answer *answer = steps_pull(f, 5);
    assert_null(strstr(answer->text, "deliveries"));
}

static void what_is_abandoned_while_it_is_granted_is_not_counted(void **state)
{
    struct engine_fixture *f = *state;
    steps_pull(f, 1);
    steps_publish_each(f, "t", "a b");
    mem_store_hold(f->mem, MEM_WRITES);
    const uint64_t ticket = steps_wait(f, 5, 60000);
    fixture_pump(f);
    engine_abandon(f->engine, f->now, ticket);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    const struct answer *answer = steps_pull(f, 5);
    assert_int_equal(steps_count(answer), 2);
    assert_null(strstr(answer->text, "deliveries"));
}

static void a_reply_that_does_not_arrive_is_not_counted(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a");
    const uint64_t lease = steps_pull(f, 5)->lease;
    engine_undelivered(f->engine, f->now, lease);
    /* whoever waits for it is served now, not at the next timer */
    assert_true(engine_deadline_ms(f->engine) <= f->now.mono_ms);
    fixture_pump(f);
    const struct answer *answer = steps_pull(f, 5);
    assert_string_equal(fixture_payloads(answer), "a");
    assert_null(strstr(answer->text, "deliveries"));
    assert_string_equal(fixture_value(steps_settle(f, 0, 1, lease, "'ack'"), "not_applied"),
                        "[[\"t\", 0, 0, 1, \"lost\"]]");
}

static void damage_is_not_passed(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a b c d");
    steps_pull(f, 1);
    mem_store_damage(f->mem, 1, 0, (struct store_range){2, 3});
    const struct answer *answer = steps_pull(f, 10);
    assert_string_equal(fixture_payloads(answer), "b");
    assert_string_equal(fixture_text(steps_pull(f, 10), "reason"), "corrupt");
    assert_string_equal(steps_part(f, "t", 0), "0 4 0 2 0 0");
}

static void all_partitions_take_their_turn(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 't', 'partitions': 3}", NULL);
    for (int i = 0; i < 3; i++) {
        fixture_ok(f, "PUBLISH", fixture_format("{'topic': 't', 'partition': %d}", i),
                   "[[b'x'], [b'y']]");
    }
    bool seen[3] = {false};
    for (int i = 0; i < 3; i++) {
        const msgpack_object *runs = wire_map_find(steps_pull(f, 1)->map, "runs");
        seen[runs->via.array.ptr[0].via.array.ptr[1].via.u64] = true;
    }
    assert_true(seen[0] && seen[1] && seen[2]);
    assert_int_equal(steps_count(steps_pull(f, 10)), 3);
}

/* The lease ends with its messages; what the journal still says of them does no harm. */
static void retention_takes_leased_messages_for_good(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a b c d");
    steps_pull(f, 3);
    fixture_advance(f, 5000);
    steps_publish_each(f, "t", "e f");
    fixture_ok(f, "TOPIC.SET", "{'topic': 't', 'settings': {'retention_time_ms': 1000}}", NULL);
    fixture_advance(f, ZSP_RETENTION_MS);
    fixture_pump(f);
    assert_int_equal(fixture_number(fixture_ok(f, "STATS", "{}", NULL), "lease_count"), 0);
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_int_equal(fixture_number(fixture_ok(f, "STATS", "{}", NULL), "lease_count"), 0);
    assert_string_equal(fixture_payloads(steps_pull(f, 10)), "e f");
    assert_string_equal(steps_part(f, "t", 0), "4 6 0 2 0 0");
}

static void retention_takes_what_was_not_consumed(void **state)
{
    struct engine_fixture *f = *state;
    mem_store_segment_batches(f->mem, 2);
    steps_publish_each(f, "t", "a b c d e f g");
    const uint64_t lease = steps_pull(f, 1)->lease;
    fixture_leap(f, 100000);
    fixture_ok(f, "TOPIC.SET", "{'topic': 't', 'settings': {'retention_time_ms': 1000}}", NULL);
    steps_publish_each(f, "t", "h i");
    fixture_advance(f, 3600000);
    const struct answer *answer = steps_pull(f, 10);
    assert_null(strstr(fixture_payloads(answer), "a"));
    assert_string_equal(fixture_value(steps_settle(f, 0, 1, lease, "'ack'"), "not_applied"),
                        "[[\"t\", 0, 0, 1, \"done\"]]");
    const char *before = steps_part(f, "t", 0);
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(steps_part(f, "t", 0), before);
}

static void a_pull_may_name_many_topics(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t1", "a");
    steps_publish_each(f, "t2", "b");
    const char *args = "{'group': 'g', 'topics': ['t2', 't1', 't2', 't3']}";
    assert_string_equal(fixture_payloads(fixture_ok(f, "PULL", args, NULL)), "b a");
}

/* Goal: pulls that named the same share their topics, and the first to go takes nothing along. */
static void pulls_that_named_the_same_topics_share_them(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 't'}", NULL);
    const uint64_t first = steps_wait(f, 1, 60000);
    const uint64_t second = steps_wait(f, 1, 60000);
    fixture_pump(f);
    const struct group *group = name_index_find(&f->engine->catalog.groups, zsp_slice_str("g"));
    assert_non_null(group);
    assert_int_equal(group_work_of(group)->parked_count, 2);
    const struct pull *const parked = group_first_parked(group);
    assert_ptr_equal(parked->topics, TAILQ_LAST(&group->work->parked, pull_list)->topics);
    assert_null(parked->names);
    engine_abandon(f->engine, f->now, first);
    steps_publish_each(f, "t", "a");
    assert_string_equal(fixture_payloads(fixture_answer(f, second)), "a");
}

/* How many bindings of group g have something that a parked pull named. */
static size_t claimed(const struct engine_fixture *f)
{
    const struct group *group = name_index_find(&f->engine->catalog.groups, zsp_slice_str("g"));
    assert_non_null(group);
    size_t count = 0;
    for (size_t i = 0; i < group->bindings.count; i++) {
        const struct binding *binding = group->bindings.slots[i].value;
        count += binding_work_of(binding)->ready > 0 && binding->waiting > 0 ? 1u : 0u;
    }
    assert_int_equal(group_work_of(group)->claimed, count);
    return count;
}

/* Goal: what nobody waits for costs nothing for each of those who wait, and what holds a pull back
 * is told from what it does not want. */
static void only_what_somebody_named_is_looked_for(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "GROUP.CREATE",
               "{'group': 'g', 'topics': ['t', 'u'], 'settings': {'max_leased': 1}}", NULL);
    steps_publish_each(f, "u", "unwanted");
    const char *args = "{'group': 'g', 'topics': ['t', 't'], 'max_messages': 1, 'wait_ms': 1000}";
    const uint64_t first = fixture_send(f, "PULL", args, NULL);
    const uint64_t second = fixture_send(f, "PULL", args, NULL);
    fixture_pump(f);
    assert_int_equal(claimed(f), 0); /* u is ready, t is waited for */
    steps_publish_each(f, "t", "a b");
    const struct answer *answer = fixture_answer(f, first);
    assert_string_equal(fixture_payloads(answer), "a");
    const uint64_t lease = answer->lease;
    assert_null(fixture_answer(f, second)); /* max_leased */
    assert_int_equal(claimed(f), 1);
    steps_settle(f, 0, 1, lease, "'ack'");
    assert_string_equal(fixture_payloads(fixture_answer(f, second)), "b");
    assert_int_equal(claimed(f), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_first_pull_makes_its_group),
        TEST(the_group_is_durable_before_the_pull_is_answered),
        TEST(what_a_pull_makes_is_durable_before_its_wait_ends),
        TEST(so_it_is_before_a_drained_broker_answers),
        TEST(without_permission_a_missing_group_is_not_found),
        TEST(a_missing_group_without_topics_is_not_found),
        TEST(there_is_a_limit_to_groups),
        TEST(bad_arguments_are_refused),
        TEST(another_start_is_a_mismatch),
        TEST(limits_are_exact),
        TEST(the_first_message_always_fits),
        TEST(a_run_never_spans_two_batches),
        TEST(a_run_tells_deliveries_and_failures),
        TEST(consumers_see_only_what_is_synced),
        TEST(a_grant_is_written_before_it_is_told),
        TEST(a_full_journal_grants_nothing),
        TEST(a_full_journal_makes_no_group),
        TEST(a_waiting_pull_gets_what_comes),
        TEST(empty_answers_say_why),
        TEST(a_wait_that_ends_says_so),
        TEST(a_drained_broker_answers_those_who_wait),
        TEST(who_came_first_is_served_first),
        TEST(those_who_wait_share),
        TEST(the_group_has_a_limit_of_messages_out),
        TEST(topics_join_under_the_start_of_the_group),
        TEST(a_topic_that_comes_later_begins_at_its_beginning),
        TEST(the_start_survives_a_power_cut),
        TEST(a_group_may_start_at_a_time),
        TEST(a_created_anew_topic_is_another_one),
        TEST(an_abandoned_wait_takes_nothing),
        TEST(what_is_abandoned_while_it_reads_is_put_back),
        TEST(what_is_abandoned_while_it_is_granted_is_not_counted),
        TEST(a_reply_that_does_not_arrive_is_not_counted),
        TEST(damage_is_not_passed),
        TEST(all_partitions_take_their_turn),
        TEST(retention_takes_leased_messages_for_good),
        TEST(retention_takes_what_was_not_consumed),
        TEST(a_pull_may_name_many_topics),
        TEST(pulls_that_named_the_same_topics_share_them),
        TEST(only_what_somebody_named_is_looked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
