/* SPDX-License-Identifier: MPL-2.0
 *
 * Dead letters: what is told of them, and how they come back or go.
 */
#include <inttypes.h>

#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"

static const char *list(struct engine_fixture *f, const char *args)
{
    return fixture_value(fixture_ok(f, "DEAD.LIST", args, NULL), "items");
}

static const char *list_all(struct engine_fixture *f)
{
    return list(f, "{'group': 'g'}");
}

/* Topic t gets `count` messages, and group g rejects them one after the other. */
static void kill_each(struct engine_fixture *f, unsigned count, const char *reason)
{
    steps_publish(f, "t", count);
    for (unsigned i = 0; i < count; i++) {
        const struct answer *const pulled = steps_pull(f, 1);
        struct wire_run run = {0};
        const msgpack_object *const runs = wire_map_find(pulled->map, "runs");
        assert_int_equal(wire_run_decode(&runs->via.array.ptr[0], &run, NULL), 0);
        steps_settle(f, run.first, 1, pulled->lease,
                     fixture_format("'reject', {'reason': '%s'}", reason));
    }
}

static void a_list_tells_what_is_known(void **state)
{
    struct engine_fixture *f = *state;
    steps_mixed(f);
    assert_string_equal(list_all(f), "[[\"t\", 0, 1, 1, 1700000000000, 1, 1, [\"bad\"]]]");
    const struct answer *const answer = fixture_ok(f, "DEAD.LIST", "{'group': 'g'}", NULL);
    assert_int_equal(fixture_number(answer, "dead"), 1);
    assert_string_equal(fixture_value(answer, "more"), "false");
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(list_all(f), "[[\"t\", 0, 1, 1, 1700000000000, 1, 1, [\"bad\"]]]");
}

/* Goal: that they died under different leases makes no difference to who lists them. */
static void alike_neighbours_are_one_run(void **state)
{
    struct engine_fixture *f = *state;
    kill_each(f, 5, "bad");
    assert_string_equal(list_all(f), "[[\"t\", 0, 0, 5, 1700000000000, 1, 1, [\"bad\"]]]");
    fixture_leap(f, 2000);
    kill_each(f, 1, "bad");
    kill_each(f, 1, "worse");
    assert_string_equal(list_all(f), "[[\"t\", 0, 0, 5, 1700000000000, 1, 1, [\"bad\"]], "
                                     "[\"t\", 0, 5, 1, 1700000002000, 1, 1, [\"bad\"]], "
                                     "[\"t\", 0, 6, 1, 1700000002000, 1, 1, [\"worse\"]]]");
}

static void what_expires_may_be_dead(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "GROUP.CREATE",
               "{'group': 'g', 'topics': ['t'], 'settings': {'expired': 'dead'}}", NULL);
    fixture_ok(f, "PUBLISH", "{'topic': 't', 'expires_at_ms': 1700000000500}", "[[b'a']]");
    fixture_leap(f, 3000);
    assert_int_equal(steps_count(steps_pull(f, 1)), 0);
    assert_string_equal(list_all(f), "[[\"t\", 0, 0, 1, 1700000003000, 0, 0, [\"expired\"]]]");
}

static void the_last_three_reasons_are_told(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish(f, "t", 1);
    for (int i = 1; i <= 5; i++) {
        const uint64_t lease = steps_pull(f, 1)->lease;
        steps_settle(f, 0, 1, lease,
                     fixture_format("'retry', {'delay_ms': 0, 'reason': 'r%d'}", i));
    }
    assert_string_equal(list_all(f),
                        "[[\"t\", 0, 0, 1, 1700000000000, 5, 5, [\"r5\", \"r4\", \"r3\"]]]");
}

static void a_list_is_read_page_by_page(void **state)
{
    struct engine_fixture *f = *state;
    for (int i = 0; i < 4; i++) {
        kill_each(f, 2, i % 2 == 0 ? "even" : "odd");
    }
    const struct answer *const first =
        fixture_ok(f, "DEAD.LIST", "{'group': 'g', 'limit': 3}", NULL);
    assert_string_equal(fixture_value(first, "next"), "[\"t\", 0, 6]");
    assert_string_equal(list(f, "{'group': 'g', 'from': ['t', 0, 6]}"),
                        "[[\"t\", 0, 6, 2, 1700000000000, 1, 1, [\"odd\"]]]");
    assert_string_equal(list(f, "{'group': 'g', 'from': ['t', 0, 5], 'limit': 1}"),
                        "[[\"t\", 0, 5, 1, 1700000000000, 1, 1, [\"even\"]]]");
    assert_string_equal(list(f, "{'group': 'g', 'from': ['a', 0, 7], 'limit': 1}"),
                        "[[\"t\", 0, 0, 2, 1700000000000, 1, 1, [\"even\"]]]");
    assert_string_equal(list(f, "{'group': 'g', 'from': ['u', 0, 0]}"), "[]");
    assert_string_equal(list(f, "{'group': 'g', 'from': ['t', 9, 0]}"), "[]");
}

static void a_list_is_chosen_by_topic_reason_and_age(void **state)
{
    struct engine_fixture *f = *state;
    kill_each(f, 1, "timeout: db");
    fixture_leap(f, 5000);
    kill_each(f, 1, "no such user");
    const struct {
        const char *choice;
        size_t count;
    } cases[] = {
        {"'reason': 'timeout*'", 1},  {"'reason': '*'", 2},
        {"'reason': '*user'", 1},     {"'reason': 'none'", 0},
        {"'topic': 't'", 2},          {"'topic': 't', 'partition': 0", 2},
        {"'older_than_ms': 5000", 1}, {"'older_than_ms': 5001", 0},
        {"'newer_than_ms': 4999", 1}, {"'newer_than_ms': 5000, 'older_than_ms': 1", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct answer *const answer =
            fixture_ok(f, "DEAD.LIST", fixture_format("{'group': 'g', %s}", cases[i].choice), NULL);
        const msgpack_object *const items = wire_map_find(answer->map, "items");
        assert_int_equal(items->via.array.size, cases[i].count);
    }
}

static void a_redriven_message_is_as_good_as_new(void **state)
{
    struct engine_fixture *f = *state;
    steps_mixed(f);
    const struct answer *const answer =
        fixture_ok(f, "DEAD.REDRIVE", "{'group': 'g', 'runs': [['t', 0, 1, 1]]}", NULL);
    assert_int_equal(fixture_number(answer, "messages"), 1);
    assert_string_equal(steps_part(f, "t", 0), "1 6 3 1 1 0");
    assert_string_equal(list_all(f), "[]");
    const struct answer *const pulled = steps_pull(f, 1);
    assert_string_equal(fixture_payloads(pulled), "b");
    struct wire_run run = {0};
    assert_int_equal(
        wire_run_decode(&wire_map_find(pulled->map, "runs")->via.array.ptr[0], &run, NULL), 0);
    assert_int_equal(run.deliveries, 1);
    assert_int_equal(run.failures, 0);
}

static void counts_may_be_kept(void **state)
{
    struct engine_fixture *f = *state;
    steps_mixed(f);
    fixture_ok(f, "DEAD.REDRIVE", "{'group': 'g', 'all': true, 'keep_counts': true}", NULL);
    const uint64_t lease = steps_pull(f, 1)->lease;
    steps_settle(f, 1, 1, lease, "'reject', {'reason': 'again'}");
    assert_string_equal(list_all(f),
                        "[[\"t\", 0, 1, 1, 1700000000000, 2, 2, [\"again\", \"bad\"]]]");
}

static void a_dropped_message_is_done(void **state)
{
    struct engine_fixture *f = *state;
    steps_mixed(f);
    fixture_ok(f, "DEAD.DROP", "{'group': 'g', 'topic': 't'}", NULL);
    assert_string_equal(steps_part(f, "t", 0), "2 6 2 1 1 0");
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(steps_part(f, "t", 0), "2 6 2 1 1 0");
    assert_string_equal(list_all(f), "[]");
}

static void a_change_waits_for_its_sync_and_stays(void **state)
{
    struct engine_fixture *f = *state;
    steps_mixed(f);
    mem_store_hold(f->mem, MEM_SYNCS);
    const uint64_t ticket = fixture_send(f, "DEAD.REDRIVE", "{'group': 'g', 'all': true}", NULL);
    fixture_pump(f);
    assert_null(fixture_answer(f, ticket));
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_int_equal(fixture_number(fixture_answer(f, ticket), "messages"), 1);
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(steps_part(f, "t", 0), "1 6 3 1 1 0");
}

static void a_refused_change_changes_nothing(void **state)
{
    struct engine_fixture *f = *state;
    steps_mixed(f);
    mem_store_fail_next_state(f->mem, ZSP_ENO_SPACE);
    fixture_error(f, ZSP_ENO_SPACE, "DEAD.DROP", "{'group': 'g', 'all': true}", NULL);
    assert_string_equal(steps_part(f, "t", 0), "2 6 2 1 1 1");
}

static void a_dry_run_only_counts(void **state)
{
    struct engine_fixture *f = *state;
    kill_each(f, 5, "bad");
    const size_t records = mem_store_record_count(f->mem);
    const char *const verbs[] = {"DEAD.REDRIVE", "DEAD.DROP"};
    for (size_t i = 0; i < 2; i++) {
        const struct answer *const answer = fixture_ok(
            f, verbs[i], "{'group': 'g', 'runs': [['t', 0, 1, 3]], 'dry_run': true}", NULL);
        assert_int_equal(fixture_number(answer, "messages"), 3);
    }
    assert_int_equal(mem_store_record_count(f->mem), records);
    assert_string_equal(steps_part(f, "t", 0), "5 5 0 0 0 5");
}

static void what_is_not_dead_is_named(void **state)
{
    struct engine_fixture *f = *state;
    kill_each(f, 3, "bad");
    steps_publish(f, "t", 3);
    fixture_ok(f, "DEAD.DROP", "{'group': 'g', 'runs': [['t', 0, 1, 1]]}", NULL);
    const struct answer *const gap = fixture_error(
        f, ZSP_ENOT_FOUND, "DEAD.REDRIVE", "{'group': 'g', 'runs': [['t', 0, 0, 3]]}", NULL);
    assert_non_null(strstr(gap->error.msg, "t/0/1: not dead in group g"));
    const struct answer *const end = fixture_error(
        f, ZSP_ENOT_FOUND, "DEAD.DROP", "{'group': 'g', 'runs': [['t', 0, 2, 3]]}", NULL);
    assert_non_null(strstr(end->error.msg, "t/0/3..4: not dead"));
    assert_string_equal(steps_part(f, "t", 0), "3 6 3 0 0 2"); /* neither did anything */
}

static void bad_requests_are_refused(void **state)
{
    struct engine_fixture *f = *state;
    steps_mixed(f);
    const struct {
        int code;
        const char *verb, *args;
    } cases[] = {
        {ZSP_ENOT_FOUND, "DEAD.LIST", "{'group': 'h'}"},
        {ZSP_EBAD_VALUE, "DEAD.LIST", "{'group': 'g', 'partition': 1}"},
        {ZSP_EBAD_VALUE, "DEAD.LIST", "{'group': 'g', 'from': ['t', 0]}"},
        {ZSP_EBAD_TYPE, "DEAD.LIST", "{'group': 'g', 'from': ['t', 0, 'x']}"},
        {ZSP_EBAD_VALUE, "DEAD.LIST", "{'group': 'g', 'limit': 0}"},
        {ZSP_EUNKNOWN_ARGUMENT, "DEAD.LIST", "{'group': 'g', 'all': true}"},
        {ZSP_ENOT_FOUND, "DEAD.LIST", "{'group': 'g', 'topic': 'u'}"},
        {ZSP_ENOT_FOUND, "DEAD.LIST", "{'group': 'g', 'topic': 't', 'partition': 1}"},
        {ZSP_EBAD_VALUE, "DEAD.REDRIVE", "{'group': 'g'}"},
        {ZSP_ENOT_FOUND, "DEAD.REDRIVE", "{'group': 'g', 'topic': 'u'}"},
        {ZSP_ENOT_FOUND, "DEAD.REDRIVE", "{'group': 'g', 'topic': 'u', 'rate': 1}"},
        {ZSP_ENOT_FOUND, "DEAD.DROP", "{'group': 'g', 'topic': 'u'}"},
        {ZSP_EBAD_VALUE, "DEAD.DROP", "{'group': 'g', 'from': ['t', 0, 0]}"},
        {ZSP_EBAD_VALUE, "DEAD.DROP", "{'group': 'g', 'all': false}"},
        {ZSP_EBAD_VALUE, "DEAD.DROP", "{'group': 'g', 'all': true, 'runs': [['t', 0, 1, 1]]}"},
        {ZSP_EBAD_VALUE, "DEAD.DROP", "{'group': 'g', 'runs': [['t', 0, 1, 0]]}"},
        {ZSP_EBAD_VALUE, "DEAD.DROP",
         "{'group': 'g', 'runs': [['t', 0, 1, 18446744073709551615]]}"},
        {ZSP_EBAD_TYPE, "DEAD.DROP", "{'group': 'g', 'runs': [['t', 0, 1]]}"},
        {ZSP_ENOT_FOUND, "DEAD.DROP", "{'group': 'g', 'runs': [['u', 0, 1, 1]]}"},
        {ZSP_ENOT_FOUND, "DEAD.DROP", "{'group': 'g', 'runs': [['t', 1, 1, 1]]}"},
        {ZSP_EBAD_NAME, "DEAD.DROP", "{'group': 'g', 'runs': [['', 1, 1, 1]]}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture_error(f, cases[i].code, cases[i].verb, cases[i].args, NULL);
    }
    assert_string_equal(steps_part(f, "t", 0), "2 6 2 1 1 1");
}

/* Goal: more than one step takes is done by several requests, and every message once. */
static void many_take_several_requests(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish(f, "t", 5000);
    const uint64_t lease = steps_pull(f, 5000)->lease;
    for (unsigned i = 0; i < 2500; i++) { /* every other one, so that each is a run */
        steps_settle(f, 2 * i, 1, lease, "'reject', {'reason': 'bad'}");
    }
    steps_settle(f, 0, 5000, lease, "'ack'");
    const struct answer *answer =
        fixture_ok(f, "DEAD.REDRIVE", "{'group': 'g', 'reason': 'b*'}", NULL);
    assert_int_equal(fixture_number(answer, "messages"), 2000);
    assert_string_equal(fixture_value(answer, "next"), "[\"t\", 0, 3999]");
    answer = fixture_ok(f, "DEAD.REDRIVE", "{'group': 'g', 'reason': 'b*', 'from': ['t', 0, 3999]}",
                        NULL);
    assert_int_equal(fixture_number(answer, "messages"), 500);
    assert_string_equal(fixture_value(answer, "more"), "false");
    assert_string_equal(steps_part(f, "t", 0), "0 5000 2500 0 0 0");
}

/* Goal: dead messages behind the position of a seek come back, or are passed when it is their turn. */
static void those_behind_a_seek_can_be_changed(void **state)
{
    struct engine_fixture *f = *state;
    kill_each(f, 4, "bad");
    fixture_ok(f, "SEEK", "{'group': 'g', 'to': 'earliest'}", NULL);
    assert_string_equal(steps_part(f, "t", 0), "4 4 0 0 0 4");
    steps_publish(f, "t", 2);
    fixture_ok(f, "SEEK", "{'group': 'g', 'to': 'earliest'}", NULL);
    fixture_ok(f, "DEAD.DROP", "{'group': 'g', 'runs': [['t', 0, 1, 1]]}", NULL);
    fixture_ok(f, "DEAD.REDRIVE", "{'group': 'g', 'runs': [['t', 0, 3, 1]]}", NULL);
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(steps_part(f, "t", 0), "3 6 3 0 0 2");
    assert_int_equal(steps_count(steps_pull(f, 10)), 3);
}

static void dead_messages_are_read(void **state)
{
    struct engine_fixture *f = *state;
    kill_each(f, 2, "bad");
    kill_each(f, 1, "worse");
    const struct answer *answer = fixture_ok(
        f, "DEAD.READ", "{'group': 'g', 'runs': [['t', 0, 2, 1], ['t', 0, 0, 2]]}", NULL);
    assert_string_equal(fixture_payloads(answer), "m0 m0 m1");
    assert_string_equal(fixture_value(answer, "dead"), "[[1700000000000, [\"worse\"]], "
                                                       "[1700000000000, [\"bad\"]], "
                                                       "[1700000000000, [\"bad\"]]]");
    assert_string_equal(fixture_value(answer, "more"), "false");
    answer = fixture_ok(f, "DEAD.READ",
                        "{'group': 'g', 'runs': [['t', 0, 0, 3]], 'max_messages': 2}", NULL);
    assert_string_equal(fixture_payloads(answer), "m0 m1");
    assert_string_equal(fixture_value(answer, "more"), "true");
    answer = fixture_ok(f, "DEAD.READ", "{'group': 'g', 'runs': [['t', 0, 1, 2]], 'max_bytes': 1}",
                        NULL);
    assert_string_equal(fixture_payloads(answer), "m1");
    assert_string_equal(steps_part(f, "t", 0), "3 3 0 0 0 3");
}

static void what_is_not_dead_is_not_read(void **state)
{
    struct engine_fixture *f = *state;
    steps_mixed(f);
    fixture_error(f, ZSP_ENOT_FOUND, "DEAD.READ", "{'group': 'g', 'runs': [['t', 0, 1, 2]]}", NULL);
    fixture_error(f, ZSP_EBAD_VALUE, "DEAD.READ", "{'group': 'g', 'runs': []}", NULL);
    fixture_error(f, ZSP_EBAD_VALUE, "DEAD.READ", "{'group': 'g'}", NULL);
}

/* Goal: what goes away while its messages are read is answered, and leaves nothing behind. */
static void a_topic_goes_while_its_dead_are_read(void **state)
{
    struct engine_fixture *f = *state;
    kill_each(f, 1, "bad");
    mem_store_hold(f->mem, MEM_READS);
    const uint64_t ticket =
        fixture_send(f, "DEAD.READ", "{'group': 'g', 'runs': [['t', 0, 0, 1]]}", NULL);
    fixture_send(f, "DEAD.READ", "{'group': 'g', 'runs': [['t', 0, 0, 1]]}", NULL);
    fixture_pump(f);
    assert_null(fixture_answer(f, ticket));
    fixture_ok(f, "TOPIC.DELETE", "{'topic': 't'}", NULL);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, ticket)->code, ZSP_ENOT_FOUND);
}

static const char *redrive_told(struct engine_fixture *f)
{
    return fixture_value(fixture_ok(f, "GROUP.INFO", "{'group': 'g'}", NULL), "redrive");
}

/* Goal: so many a second and no more, each once, also those that die again; then it is over. */
static void a_redrive_may_have_a_rate(void **state)
{
    struct engine_fixture *f = *state;
    for (int i = 0; i < 5; i++) {
        kill_each(f, 10, i % 2 == 0 ? "bad" : "worse");
    }
    fixture_ok(f, "DEAD.REDRIVE", "{'group': 'g', 'all': true, 'rate': 20}", NULL);
    assert_string_equal(redrive_told(f), "{\"rate\": 20, \"messages\": 0}");
    fixture_advance(f, 1000);
    assert_string_equal(redrive_told(f), "{\"rate\": 20, \"messages\": 20}");
    assert_string_equal(steps_part(f, "t", 0), "0 50 20 0 0 30");
    for (int i = 0; i < 20; i++) {
        steps_settle(f, (uint64_t)i, 1, steps_pull(f, 1)->lease, "'reject'");
    }
    fixture_advance(f, 500);
    assert_string_equal(steps_part(f, "t", 0), "20 50 10 0 0 40");
    fixture_advance(f, 2000);
    assert_string_equal(redrive_told(f), "");
    assert_string_equal(steps_part(f, "t", 0), "20 50 30 0 0 20");
}

/* Goal: those that were dead when it began, whatever the clock says of the others. */
static void a_redrive_leaves_what_dies_later(void **state)
{
    struct engine_fixture *f = *state;
    kill_each(f, 2, "bad");
    steps_publish(f, "t", 2);
    const uint64_t lease = steps_pull(f, 2)->lease;
    fixture_ok(f, "DEAD.REDRIVE", "{'group': 'g', 'all': true, 'rate': 10}", NULL);
    steps_settle(f, 2, 1, lease, "'reject'");
    f->now.wall_ms -= 60000;
    steps_settle(f, 3, 1, lease, "'reject'");
    fixture_advance(f, 2000);
    assert_string_equal(redrive_told(f), "");
    assert_string_equal(steps_part(f, "t", 0), "0 4 2 0 0 2");
}

static void a_redrive_finds_what_died_before_the_clock_was_set_back(void **state)
{
    struct engine_fixture *f = *state;
    kill_each(f, 2, "bad");
    f->now.wall_ms -= 60000;
    kill_each(f, 1, "bad");
    fixture_restart(f, MEM_KEEP_SYNCED);
    fixture_ok(f, "DEAD.REDRIVE", "{'group': 'g', 'all': true, 'rate': 10}", NULL);
    fixture_advance(f, 2000);
    assert_string_equal(steps_part(f, "t", 0), "0 3 3 0 0 0");
}

static void a_slow_rate_is_kept(void **state)
{
    struct engine_fixture *f = *state;
    kill_each(f, 5, "bad");
    fixture_ok(f, "DEAD.REDRIVE", "{'group': 'g', 'reason': 'bad', 'rate': 1}", NULL);
    fixture_advance(f, 3500);
    assert_string_equal(steps_part(f, "t", 0), "0 5 3 0 0 2");
    fixture_restart(f, MEM_KEEP_WRITTEN); /* ends it */
    fixture_advance(f, 5000);
    assert_string_equal(steps_part(f, "t", 0), "0 5 3 0 0 2");
    assert_string_equal(redrive_told(f), "");
}

/* Goal: what the journal refused for a while is not made up for at once: a second's worth at most. */
static void a_redrive_that_was_refused_keeps_its_rate(void **state)
{
    struct engine_fixture *f = *state;
    kill_each(f, 50, "bad");
    fixture_ok(f, "DEAD.REDRIVE", "{'group': 'g', 'all': true, 'rate': 10}", NULL);
    mem_store_fail_next_state(f->mem, ZSP_ENO_SPACE);
    fixture_advance(f, 100);
    for (int i = 0; i < 4; i++) {
        mem_store_fail_next_state(f->mem, ZSP_ENO_SPACE);
        fixture_advance(f, 1000);
    }
    assert_string_equal(redrive_told(f), "{\"rate\": 10, \"messages\": 0}");
    fixture_advance(f, 1000);
    assert_string_equal(redrive_told(f), "{\"rate\": 10, \"messages\": 10}");
}

static void a_redrive_is_stopped(void **state)
{
    struct engine_fixture *f = *state;
    kill_each(f, 10, "bad");
    fixture_error(f, ZSP_ENOT_FOUND, "DEAD.REDRIVE", "{'group': 'g', 'stop': true}", NULL);
    fixture_ok(f, "DEAD.REDRIVE", "{'group': 'g', 'all': true, 'rate': 5}", NULL);
    fixture_error(f, ZSP_EEXISTS, "DEAD.REDRIVE", "{'group': 'g', 'all': true, 'rate': 5}", NULL);
    fixture_advance(f, 1000);
    const struct answer *const answer =
        fixture_ok(f, "DEAD.REDRIVE", "{'group': 'g', 'stop': true}", NULL);
    assert_int_equal(fixture_number(answer, "messages"), 5);
    fixture_advance(f, 5000);
    assert_string_equal(steps_part(f, "t", 0), "0 10 5 0 0 5");
}

static void a_redrive_ends_with_its_group(void **state)
{
    struct engine_fixture *f = *state;
    kill_each(f, 10, "bad");
    fixture_error(f, ZSP_EBAD_VALUE, "DEAD.REDRIVE",
                  "{'group': 'g', 'runs': [['t', 0, 0, 1]], 'rate': 5}", NULL);
    fixture_error(f, ZSP_EBAD_VALUE, "DEAD.REDRIVE", "{'group': 'g', 'all': true, 'rate': 0}",
                  NULL);
    fixture_ok(f, "DEAD.REDRIVE", "{'group': 'g', 'all': true, 'rate': 5}", NULL);
    fixture_ok(f, "GROUP.DELETE", "{'group': 'g'}", NULL);
    fixture_advance(f, 1000);
    fixture_error(f, ZSP_ENOT_FOUND, "GROUP.INFO", "{'group': 'g'}", NULL);
}

/* Goal: in a group with an order, what a dead message holds back goes on when it is dropped. */
static void a_hold_is_lifted(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a b c");
    fixture_ok(f, "GROUP.CREATE",
               "{'group': 'g', 'topics': ['t'], 'mode': 'ordered', 'settings': {'on_dead': "
               "'hold'}}",
               NULL);
    const char *const fates[] = {"DEAD.DROP", "DEAD.REDRIVE"};
    const char *const next[] = {"b", "b c"};
    for (size_t i = 0; i < 2; i++) {
        steps_settle(f, i, 1, steps_pull(f, 1)->lease, "'reject'");
        assert_int_equal(steps_count(steps_pull(f, 1)), 0);
        fixture_ok(f, fates[i], "{'group': 'g', 'all': true}", NULL);
        if (i == 1) {
            assert_string_equal(fixture_payloads(steps_pull(f, 2)), next[i]);
        }
    }
}

/* Goal: the same for the messages of one key, while others go on. */
static void a_hold_of_a_key_is_lifted(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "GROUP.CREATE",
               "{'group': 'g', 'topics': ['t'], 'mode': 'keyed', 'settings': {'on_dead': 'hold'}}",
               NULL);
    fixture_ok(f, "PUBLISH", "{'topic': 't'}",
               "[[b'a1', b'a'], [b'a2', b'a'], [b'b1', b'b'], [b'a3', b'a']]");
    steps_settle(f, 0, 1, steps_pull(f, 1)->lease, "'reject'");
    const struct answer *const others = steps_pull(f, 10);
    assert_string_equal(fixture_payloads(others), "b1");
    steps_settle(f, 2, 1, others->lease, "'ack'");
    fixture_ok(f, "DEAD.DROP", "{'group': 'g', 'all': true}", NULL);
    const struct answer *const next = steps_pull(f, 1);
    assert_string_equal(fixture_payloads(next), "a2");
    steps_settle(f, 1, 1, next->lease, "'reject'");
    assert_int_equal(steps_count(steps_pull(f, 10)), 0);
    fixture_ok(f, "DEAD.REDRIVE", "{'group': 'g', 'runs': [['t', 0, 1, 1]]}", NULL);
    const struct answer *const again = steps_pull(f, 1);
    assert_string_equal(fixture_payloads(again), "a2");
    steps_settle(f, 1, 1, again->lease, "'ack'");
    assert_string_equal(fixture_payloads(steps_pull(f, 10)), "a3");
}

/* Goal: where dead messages are passed, one that comes back keeps back those of its key which are not
 * out, and no other. */
static void a_redriven_message_comes_before_others_of_its_key(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['t'], 'mode': 'keyed'}", NULL);
    fixture_ok(f, "PUBLISH", "{'topic': 't'}", "[[b'a1', b'a'], [b'a2', b'a'], [b'b1', b'b']]");
    steps_settle(f, 0, 1, steps_pull(f, 1)->lease, "'reject'");
    fixture_ok(f, "DEAD.REDRIVE", "{'group': 'g', 'all': true}", NULL);
    const struct answer *const first = steps_pull(f, 1);
    assert_string_equal(fixture_payloads(first), "a1");
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(fixture_payloads(steps_pull(f, 10)), "b1");
    steps_settle(f, 0, 1, first->lease, "'ack'");
    assert_string_equal(fixture_payloads(steps_pull(f, 10)), "a2");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_list_tells_what_is_known),
        TEST(alike_neighbours_are_one_run),
        TEST(what_expires_may_be_dead),
        TEST(the_last_three_reasons_are_told),
        TEST(a_list_is_read_page_by_page),
        TEST(a_list_is_chosen_by_topic_reason_and_age),
        TEST(a_redriven_message_is_as_good_as_new),
        TEST(counts_may_be_kept),
        TEST(a_dropped_message_is_done),
        TEST(a_change_waits_for_its_sync_and_stays),
        TEST(a_refused_change_changes_nothing),
        TEST(a_dry_run_only_counts),
        TEST(what_is_not_dead_is_named),
        TEST(bad_requests_are_refused),
        TEST(many_take_several_requests),
        TEST(those_behind_a_seek_can_be_changed),
        TEST(dead_messages_are_read),
        TEST(what_is_not_dead_is_not_read),
        TEST(a_topic_goes_while_its_dead_are_read),
        TEST(a_redrive_may_have_a_rate),
        TEST(a_redrive_leaves_what_dies_later),
        TEST(a_redrive_finds_what_died_before_the_clock_was_set_back),
        TEST(a_slow_rate_is_kept),
        TEST(a_redrive_that_was_refused_keeps_its_rate),
        TEST(a_redrive_is_stopped),
        TEST(a_redrive_ends_with_its_group),
        TEST(a_hold_is_lifted),
        TEST(a_hold_of_a_key_is_lifted),
        TEST(a_redriven_message_comes_before_others_of_its_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
