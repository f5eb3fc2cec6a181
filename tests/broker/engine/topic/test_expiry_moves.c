/* SPDX-License-Identifier: MPL-2.0
 *
 * What expires while groups move, come and go, and with them topics, segments and the clock.
 */
#include <inttypes.h>

#include "broker/engine/group/group.h"
#include "broker/engine/topic/expiry.h"
#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"

#define TTL_MS 1500
/* Rounded up to a full second, and a pass. */
#define SWEPT_MS (TTL_MS + EXPIRY_GRAIN_MS)

static void publish(struct engine_fixture *f, int64_t ttl_ms, const char *body)
{
    fixture_ok(f, "PUBLISH",
               fixture_format("{'topic': 't', 'partition': 0, 'expires_at_ms': %" PRId64 "}",
                              f->now.wall_ms + ttl_ms),
               body);
}

/* Two groups, three messages that expire after TTL_MS among others; `other` is never pulled for, so that
 * all of it stays known. */
static void begin(struct engine_fixture *f, const char *mode, const char *settings)
{
    fixture_ok(f, "GROUP.CREATE",
               fixture_format("{'group': 'g', 'topics': ['t'], 'mode': '%s', 'settings': %s}", mode,
                              settings),
               NULL);
    fixture_ok(f, "GROUP.CREATE", "{'group': 'other', 'topics': ['t']}", NULL);
    steps_publish_each(f, "t", "a b");
    publish(f, TTL_MS, "[[b'x', b'k'], [b'y', b'k'], [b'z', b'l']]");
    steps_publish_each(f, "t", "c");
}

static uint64_t expired_of(struct engine_fixture *f, const char *group)
{
    const struct answer *answer =
        fixture_ok(f, "GROUP.INFO", fixture_format("{'group': '%s'}", group), NULL);
    const msgpack_object *parts = wire_map_find(answer->map, "parts");
    return parts->via.array.ptr[0].via.array.ptr[9].via.u64;
}

static void a_group_that_comes_later_beside_another_has_them_counted(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "shared", "{}");
    fixture_advance(f, SWEPT_MS + 3000);
    fixture_ok(f, "GROUP.CREATE", "{'group': 'late', 'topics': ['t']}", NULL);
    fixture_advance(f, 2 * EXPIRY_PASS_MS);
    assert_int_equal(expired_of(f, "late"), 3);
    assert_int_equal(expired_of(f, "g"), 3);
}

static void a_group_that_takes_the_topic_up_later_has_them_counted(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "shared", "{}");
    fixture_ok(f, "GROUP.CREATE", "{'group': 'late', 'topics': ['u']}", NULL);
    fixture_advance(f, SWEPT_MS + 3000);
    fixture_ok(f, "PULL", "{'group': 'late', 'topics': ['t'], 'max_messages': 1}", NULL);
    fixture_advance(f, 2 * EXPIRY_PASS_MS);
    assert_int_equal(f->engine->stats.expired_messages, 9);
}

static void a_savepoint_brings_them_back_to_be_counted_again(void **state)
{
    struct engine_fixture *f = *state;
    static const char *const modes[] = {"shared", "ordered", "keyed"};
    for (size_t i = 0; i < 3; i++) {
        const uint64_t before = f->engine->stats.expired_messages;
        begin(f, modes[i], "{}");
        fixture_ok(f, "SAVEPOINT.SAVE", "{'group': 'g', 'name': 's'}", NULL);
        steps_settle(f, 0, 6, steps_pull(f, 9)->lease, "'ack'");
        fixture_advance(f, SWEPT_MS + 3000);
        assert_int_equal(f->engine->stats.expired_messages - before, 3);
        fixture_ok(f, "SAVEPOINT.RESTORE", "{'group': 'g', 'name': 's'}", NULL);
        fixture_advance(f, 2 * EXPIRY_PASS_MS);
        assert_int_equal(f->engine->stats.expired_messages - before, 6);
        assert_string_equal(steps_part(f, "t", 0), "0 6 3 0 0 0");
        fixture_ok(f, "SAVEPOINT.UNDO", "{'group': 'g'}", NULL);
        assert_string_equal(steps_part(f, "t", 0), "6 6 0 0 0 0");
        fixture_ok(f, "GROUP.DELETE", "{'group': 'g'}", NULL);
        fixture_ok(f, "GROUP.DELETE", "{'group': 'other'}", NULL);
        fixture_ok(f, "TOPIC.DELETE", "{'topic': 't'}", NULL);
    }
}

static void a_redrive_of_what_is_over_is_dead_again(void **state)
{
    struct engine_fixture *f = *state;
    static const char *const modes[] = {"shared", "ordered", "keyed"};
    for (size_t i = 0; i < 6; i++) {
        begin(f, modes[i % 3],
              i <= 3 ? "{'expired': 'dead'}" : "{'expired': 'dead', 'on_dead': 'hold'}");
        fixture_advance(f, SWEPT_MS);
        const uint64_t dead =
            ledger_dead(topic_find(f->engine, zsp_slice_str("t"))->partitions[0]->ledger_first);
        assert_int_equal(dead, 3);
        fixture_ok(f, "DEAD.REDRIVE", "{'group': 'g', 'all': true}", NULL);
        fixture_restart(f, MEM_KEEP_SYNCED);
        fixture_advance(f, 4 * EXPIRY_PASS_MS);
        assert_int_equal(expired_of(f, "g"), 6);
        fixture_ok(f, "DEAD.DROP", "{'group': 'g', 'all': true}", NULL);
        fixture_ok(f, "GROUP.DELETE", "{'group': 'g'}", NULL);
        fixture_ok(f, "GROUP.DELETE", "{'group': 'other'}", NULL);
        fixture_ok(f, "TOPIC.DELETE", "{'topic': 't'}", NULL);
    }
}

/* Many stretches that expire, and the broker in the midst of taking them out. */
static void begin_many(struct engine_fixture *f)
{
    begin(f, "shared", "{}");
    for (int i = 0; i < 500; i++) {
        publish(f, TTL_MS, "[[b'x']]");
        steps_publish_each(f, "t", "a");
    }
    for (int ms = 0; ms < SWEPT_MS && f->engine->stats.expired_messages == 0; ms++) {
        fixture_advance(f, 1);
    }
    assert_in_range(f->engine->stats.expired_messages, 1, 400);
}

static void a_restart_amid_a_pass_counts_each_once(void **state)
{
    struct engine_fixture *f = *state;
    begin_many(f);
    fixture_restart(f, MEM_KEEP_SYNCED);
    fixture_advance(f, SWEPT_MS + 2000);
    assert_int_equal(expired_of(f, "g"), 503);
    assert_int_equal(expired_of(f, "other"), 503);
}

static void groups_and_topics_may_go_amid_a_pass(void **state)
{
    struct engine_fixture *f = *state;
    begin_many(f);
    fixture_ok(f, "GROUP.DELETE", "{'group': 'g'}", NULL);
    fixture_advance(f, SWEPT_MS);
    assert_int_equal(expired_of(f, "other"), 503);
    for (int i = 0; i < 300; i++) {
        publish(f, TTL_MS, "[[b'x']]");
        steps_publish_each(f, "t", "a");
    }
    const uint64_t before = f->engine->stats.expired_messages;
    while (f->engine->stats.expired_messages == before) {
        fixture_advance(f, 1);
    }
    fixture_ok(f, "TOPIC.DELETE", "{'topic': 't'}", NULL);
    fixture_advance(f, SWEPT_MS);
    assert_int_equal(f->engine->expiries.used, 0);
}

static void a_seek_amid_a_pass_counts_from_there(void **state)
{
    struct engine_fixture *f = *state;
    begin_many(f);
    fixture_ok(f, "SEEK", "{'group': 'g', 'to': ['offset', 806]}", NULL);
    fixture_advance(f, SWEPT_MS + 2000);
    assert_string_equal(steps_part(f, "t", 0), "807 1006 100 0 0 0");
    assert_int_equal(expired_of(f, "other"), 503);
}

static void a_clock_that_goes_back_amid_a_pass_counts_no_more(void **state)
{
    struct engine_fixture *f = *state;
    begin_many(f);
    f->now.wall_ms -= 60000;
    fixture_advance(f, 1);
    const uint64_t counted = f->engine->stats.expired_messages;
    fixture_advance(f, 50000);
    assert_int_equal(f->engine->stats.expired_messages, counted);
    fixture_advance(f, 20000);
    assert_int_equal(expired_of(f, "g"), 503);
    assert_int_equal(expired_of(f, "other"), 503);
}

static void a_small_step_back_of_the_clock_loses_none(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "shared", "{}");
    for (int i = 0; i < 30; i++) {
        fixture_advance(f, 100);
        f->now.wall_ms -= 40;
    }
    fixture_advance(f, SWEPT_MS);
    assert_int_equal(expired_of(f, "g"), 3);
    assert_int_equal(expired_of(f, "other"), 3);
}

static void an_outage_over_their_time_and_a_clock_that_was_set_back_meanwhile(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "shared", "{}");
    fixture_advance(f, 1000);
    f->now.wall_ms -= 10000;
    fixture_restart(f, MEM_KEEP_SYNCED);
    fixture_advance(f, 9000);
    assert_int_equal(expired_of(f, "g"), 0);
    fixture_advance(f, 4000);
    assert_int_equal(expired_of(f, "g"), 3);
}

/* Goal: an ordered group goes on behind what expired while it waited at the head of a partition. */
static void an_ordered_group_goes_on_behind_a_retry_that_expired(void **state)
{
    struct engine_fixture *f = *state;
    f->session = 7;
    begin(f, "ordered", "{}");
    const uint64_t lease = steps_pull(f, 3)->lease; /* a b x */
    steps_settle(f, 0, 2, lease, "'ack'");
    steps_settle(f, 2, 1, lease, "'retry', {'delay_ms': 60000}");
    const uint64_t ticket = steps_wait(f, 9, 10000);
    fixture_pump(f);
    assert_null(fixture_answer(f, ticket));
    fixture_advance(f, SWEPT_MS);
    assert_string_equal(fixture_payloads(fixture_answer(f, ticket)), "c");
}

static void a_keyed_group_goes_on_behind_a_retry_that_expired(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "keyed", "{}");
    fixture_ok(f, "PUBLISH", "{'topic': 't'}", "[[b'last', b'k']]");
    const uint64_t lease = steps_pull(f, 9)->lease;
    steps_settle(f, 0, 2, lease, "'ack'");
    steps_settle(f, 4, 2, lease, "'ack'");
    steps_settle(f, 2, 1, lease, "'retry', {'delay_ms': 60000}");
    const uint64_t ticket = steps_wait(f, 9, 10000);
    fixture_pump(f);
    assert_null(fixture_answer(f, ticket));
    fixture_advance(f, SWEPT_MS);
    assert_string_equal(fixture_payloads(fixture_answer(f, ticket)), "last");
}

/* As a version left it that did not tell whether a topic has times to live. */
static void forget_the_mark(struct engine_fixture *f)
{
    topic_find(f->engine, zsp_slice_str("t"))->marks = 0;
    fixture_ok(f, "TOPIC.SET", "{'topic': 't', 'settings': {'retention_time_ms': 999999999}}",
               NULL);
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_int_equal(topic_find(f->engine, zsp_slice_str("t"))->marks, 0);
}

static void what_an_older_version_kept_expires_as_well(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "shared", "{}");
    forget_the_mark(f);
    fixture_advance(f, SWEPT_MS + 3000);
    assert_int_equal(expired_of(f, "g"), 3);
    assert_int_equal(expired_of(f, "other"), 3);
    steps_settle(f, 0, 6, steps_pull(f, 9)->lease, "'ack'");
    fixture_ok(f, "GROUP.DELETE", "{'group': 'other'}", NULL);
    publish(f, 60000, "[[b'mark']]");
    fixture_ok(f, "GROUP.CREATE", "{'group': 'late', 'topics': ['t']}", NULL);
    fixture_advance(f, 3 * EXPIRY_PASS_MS);
    assert_int_equal(expired_of(f, "late"), 3);
}

/* Goal: a topic of an older version in which nothing expires costs nothing, once that is known; and what is
 * not known any more is looked up when somebody comes or goes back to it. */
static void an_older_topic_without_any_has_nothing_of_it(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "shared", "{}");
    steps_settle(f, 0, 6, steps_pull(f, 9)->lease, "'ack'");
    fixture_ok(f, "GROUP.DELETE", "{'group': 'other'}", NULL);
    steps_publish_each(f, "t", "d e");
    forget_the_mark(f);
    fixture_advance(f, 3000 + SWEPT_MS);
    assert_int_equal(f->engine->expiries.used, 0);
    fixture_ok(f, "SEEK", "{'group': 'g', 'to': 'earliest'}", NULL);
    fixture_advance(f, 3 * EXPIRY_PASS_MS);
    assert_int_equal(expired_of(f, "g"), 3);
    fixture_ok(f, "SEEK", "{'group': 'g', 'to': 'latest'}", NULL);
    fixture_advance(f, 3 * EXPIRY_PASS_MS);
    assert_int_equal(f->engine->expiries.used, 0);
    fixture_ok(f, "GROUP.CREATE", "{'group': 'late', 'topics': ['t']}", NULL);
    fixture_advance(f, 3 * EXPIRY_PASS_MS);
    assert_int_equal(expired_of(f, "late"), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
        TEST(a_group_that_comes_later_beside_another_has_them_counted),
        TEST(a_group_that_takes_the_topic_up_later_has_them_counted),
        TEST(a_savepoint_brings_them_back_to_be_counted_again),
        TEST(a_redrive_of_what_is_over_is_dead_again),
        TEST(a_restart_amid_a_pass_counts_each_once),
        TEST(groups_and_topics_may_go_amid_a_pass),
        TEST(a_seek_amid_a_pass_counts_from_there),
        TEST(a_clock_that_goes_back_amid_a_pass_counts_no_more),
        TEST(a_small_step_back_of_the_clock_loses_none),
        TEST(an_outage_over_their_time_and_a_clock_that_was_set_back_meanwhile),
        TEST(an_ordered_group_goes_on_behind_a_retry_that_expired),
        TEST(a_keyed_group_goes_on_behind_a_retry_that_expired),
        TEST(what_an_older_version_kept_expires_as_well),
        TEST(an_older_topic_without_any_has_nothing_of_it),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
