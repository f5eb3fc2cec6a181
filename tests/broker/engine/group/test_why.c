/* SPDX-License-Identifier: MPL-2.0
 *
 * Why a group does not move (GROUP.INFO), and how one message stands in it (GROUP.TRACE).
 */
#include <inttypes.h>

#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"

static const char *why(struct engine_fixture *f)
{
    return fixture_value(fixture_ok(f, "GROUP.INFO", "{'group': 'g'}", NULL), "why");
}

static void assert_why(struct engine_fixture *f, const char *wanted)
{
    const char *told = why(f);
    if (!strstr(told, wanted)) {
        fail_msg("%s, want %s", told, wanted);
    }
}

static void make(struct engine_fixture *f, const char *more)
{
    fixture_ok(f, "GROUP.CREATE", fixture_format("{'group': 'g', 'topics': ['t']%s}", more), NULL);
}

/* --- A group ---------------------------------------------------------------------------------- */

static void nobody_pulls(void **state)
{
    struct engine_fixture *f = *state;
    make(f, "");
    assert_string_equal(why(f), "{\"reason\": \"no_topic\"}");
    steps_publish(f, "t", 2);
    assert_string_equal(why(f), "{\"reason\": \"nobody_pulls\"}");
    f->session = 5;
    fixture_advance(f, 1000);
    const uint64_t lease = steps_pull(f, 1)->lease;
    assert_string_equal(why(f), "{\"reason\": \"moving\"}");
    steps_settle(f, 0, 1, lease, "'ack'");
    const int64_t then_ms = f->now.wall_ms;
    fixture_ok(f, "BYE", "{}", NULL);
    assert_string_equal(
        why(f),
        fixture_format("{\"reason\": \"nobody_pulls\", \"since_ms\": %" PRId64 "}", then_ms));
}

static void it_is_paused(void **state)
{
    struct engine_fixture *f = *state;
    make(f, "");
    steps_publish(f, "t", 1);
    fixture_advance(f, 1000);
    fixture_ok(f, "GROUP.PAUSE", "{'group': 'g'}", NULL);
    assert_string_equal(
        why(f),
        fixture_format("{\"reason\": \"paused\", \"since_ms\": %" PRId64 "}", f->now.wall_ms));
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(why(f), "{\"reason\": \"paused\"}");
}

static void as_much_is_out_as_may_be(void **state)
{
    struct engine_fixture *f = *state;
    make(f, ", 'settings': {'max_leased': 2}");
    steps_publish(f, "t", 3);
    f->session = 5;
    const int64_t then_ms = f->now.wall_ms;
    steps_pull(f, 9);
    fixture_advance(f, 1000);
    assert_string_equal(
        why(f), fixture_format("{\"reason\": \"max_leased\", \"member\": 5, \"since_ms\": %" PRId64
                               ", \"at_ms\": %" PRId64 ", \"limit\": 2}",
                               then_ms, then_ms + 30000));
}

static void all_is_out_or_waits_or_is_done(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish(f, "t", 1);
    f->session = 5;
    const int64_t then_ms = f->now.wall_ms;
    const uint64_t lease = steps_pull(f, 9)->lease;
    assert_string_equal(
        why(f), fixture_format(
                    "{\"reason\": \"leased\", \"topic\": \"t\", \"partition\": 0, \"offset\": 0, "
                    "\"member\": 5, \"since_ms\": %" PRId64 ", \"at_ms\": %" PRId64 "}",
                    then_ms, then_ms + 30000));
    steps_settle(f, 0, 1, lease, "'retry', {'delay_ms': 5000}");
    assert_string_equal(why(f), fixture_format("{\"reason\": \"retry\", \"topic\": \"t\", "
                                               "\"partition\": 0, \"at_ms\": %" PRId64 "}",
                                               then_ms + 5000));
    fixture_advance(f, 5000);
    steps_settle(f, 0, 1, steps_pull(f, 1)->lease, "'ack'");
    assert_string_equal(why(f), "{\"reason\": \"caught_up\", \"topic\": \"t\", \"partition\": 0}");
}

static void all_waits_for_its_time(void **state)
{
    struct engine_fixture *f = *state;
    make(f, "");
    fixture_ok(
        f, "PUBLISH",
        fixture_format("{'topic': 't', 'not_before_ms': %" PRId64 "}", f->now.wall_ms + 9000),
        "[[b'x']]");
    const int64_t at_ms = f->now.wall_ms + 9000;
    assert_string_equal(why(f), fixture_format("{\"reason\": \"delay\", \"topic\": \"t\", "
                                               "\"partition\": 0, \"at_ms\": %" PRId64 "}",
                                               at_ms));
}

static void what_comes_next_is_damaged(void **state)
{
    struct engine_fixture *f = *state;
    make(f, "");
    steps_publish_each(f, "t", "a b c");
    mem_store_damage(f->mem, 1, 0, (struct store_range){1, 2});
    assert_int_equal(steps_count(steps_pull(f, 9)), 1);
    (void)steps_pull(f, 9);
    assert_string_equal(
        why(f), "{\"reason\": \"corrupt\", \"topic\": \"t\", \"partition\": 0, \"offset\": 1}");
}

static void it_is_not_known_yet(void **state)
{
    struct engine_fixture *f = *state;
    make(f, "");
    fixture_ok(f, "PUBLISH", "{'topic': 't', 'priority': 9}", "[[b'x']]");
    fixture_restart(f, MEM_KEEP_SYNCED);
    mem_store_fail_reads(f->mem, 1, 0, ZSP_EIO);
    (void)steps_pull(f, 1);
    assert_why(f, "\"loading\"");
}

/* --- Partitions of an ordered one --------------------------------------------------------------- */

/* The reason of t/0 in its row. */
static void assert_part(struct engine_fixture *f, const char *wanted)
{
    const char *parts = fixture_value(fixture_ok(f, "GROUP.INFO", "{'group': 'g'}", NULL), "whys");
    if (!strstr(parts, wanted)) {
        fail_msg("%s, want %s", parts, wanted);
    }
}

static void a_member_has_the_partition(void **state)
{
    struct engine_fixture *f = *state;
    make(f, ", 'mode': 'ordered'");
    steps_publish(f, "t", 3);
    f->session = 5;
    const int64_t then_ms = f->now.wall_ms;
    const uint64_t lease = steps_pull(f, 1)->lease;
    fixture_advance(f, 100);
    assert_part(
        f,
        fixture_format(
            "{\"reason\": \"partition_held\", \"topic\": \"t\", \"partition\": 0, \"member\": 5, "
            "\"since_ms\": %" PRId64 ", \"holder\": 5}]",
            then_ms));
    steps_settle(f, 0, 1, lease, "'retry', {'delay_ms': 5000}");
    assert_part(f, fixture_format("{\"reason\": \"retry_ahead\", \"topic\": \"t\", \"partition\": "
                                  "0, \"offset\": 0, \"at_ms\": %" PRId64 ", \"holder\": 5}]",
                                  f->now.wall_ms + 5000));
    assert_why(f, "\"retry_ahead\", \"topic\": \"t\", \"partition\": 0, \"offset\": 0");
}

static void a_dead_message_lies_ahead(void **state)
{
    struct engine_fixture *f = *state;
    make(f, ", 'mode': 'ordered', 'settings': {'on_dead': 'hold'}");
    steps_publish(f, "t", 3);
    steps_settle(f, 0, 1, steps_pull(f, 1)->lease, "'reject', {'reason': 'bad'}");
    assert_why(f, "\"dead_ahead\", \"topic\": \"t\", \"partition\": 0, \"offset\": 0");
}

static void a_delay_lies_ahead(void **state)
{
    struct engine_fixture *f = *state;
    make(f, ", 'mode': 'ordered'");
    fixture_ok(
        f, "PUBLISH",
        fixture_format("{'topic': 't', 'not_before_ms': %" PRId64 "}", f->now.wall_ms + 9000),
        "[[b'x']]");
    steps_publish(f, "t", 1);
    assert_why(f, "\"delay_ahead\", \"topic\": \"t\", \"partition\": 0, \"offset\": 0");
}

/* --- Members ---------------------------------------------------------------------------------------- */

static void members_are_listed_by_name(void **state)
{
    struct engine_fixture *f = *state;
    make(f, "");
    steps_publish(f, "t", 3);
    f->session = 5;
    engine_session_name(f->engine, 5, zsp_slice_str("worker-a"));
    steps_pull(f, 2);
    f->session = 6;
    steps_wait(f, 1, 1000);
    fixture_advance(f, 100);
    steps_wait(f, 1, 1000);
    fixture_pump(f);
    const struct answer *info = fixture_ok(f, "GROUP.INFO", "{'group': 'g'}", NULL);
    assert_string_equal(fixture_value(info, "member_list"),
                        "[{\"member\": 6, \"leased\": 1, \"partitions\": 0, \"waits\": true, "
                        "\"silent_ms\": 0}, {\"member\": 5, \"name\": \"worker-a\", \"leased\": 2, "
                        "\"partitions\": 0, \"waits\": false, \"silent_ms\": 100}]");
    engine_session_end(f->engine, f->now, 5, ENGINE_SESSION_OVER);
    info = fixture_ok(f, "GROUP.INFO", "{'group': 'g'}", NULL);
    assert_null(strstr(fixture_value(info, "member_list"), "worker-a"));
}

/* --- One message ---------------------------------------------------------------------------------- */

static const struct answer *trace(struct engine_fixture *f, unsigned offset)
{
    return fixture_ok(
        f, "GROUP.TRACE",
        fixture_format("{'group': 'g', 'topic': 't', 'partition': 0, 'offset': %u}", offset), NULL);
}

/* Goal: each status is told with all that is known. Method: the mixed state of group_steps.h. */
static void each_status_is_told(void **state)
{
    struct engine_fixture *f = *state;
    f->session = 5;
    engine_session_name(f->engine, 5, zsp_slice_str("worker-a"));
    const int64_t then_ms = f->now.wall_ms;
    (void)steps_mixed(f);
    assert_string_equal(fixture_text(trace(f, 0), "status"), "done");
    const struct answer *dead = trace(f, 1);
    assert_string_equal(fixture_text(dead, "status"), "dead");
    assert_string_equal(fixture_value(dead, "reasons"), "[\"bad\"]");
    const struct answer *waiting = trace(f, 2);
    assert_string_equal(fixture_text(waiting, "status"), "waiting");
    assert_int_equal(fixture_number(waiting, "failures"), 1);
    assert_int_equal(fixture_number(waiting, "at_ms"), then_ms + 1000);
    fixture_advance(f, 100);
    const struct answer *leased = trace(f, 3);
    assert_string_equal(fixture_text(leased, "status"), "leased");
    assert_int_equal(fixture_number(leased, "deliveries"), 1);
    assert_string_equal(
        fixture_value(leased, "holder"),
        fixture_format("{\"member\": 5, \"name\": \"worker-a\", \"since_ms\": %" PRId64
                       ", \"left_ms\": 29900}",
                       then_ms));
    const struct answer *ready = trace(f, 5);
    assert_string_equal(fixture_text(ready, "status"), "ready");
    assert_string_equal(
        fixture_value(ready, "message"),
        fixture_format("{\"timestamp_ms\": %" PRId64 ", \"priority\": 4}", then_ms));
}

static void where_a_message_comes_from_is_told(void **state)
{
    struct engine_fixture *f = *state;
    make(f, "");
    fixture_ok(f, "PRODUCER.OPEN", "{'producer': 'p'}", NULL);
    const int64_t then_ms = f->now.wall_ms;
    fixture_ok(
        f, "PUBLISH",
        fixture_format("{'topic': 't', 'partition': 0, 'count': 2, 'producer': 'p', 'epoch': 1, "
                       "'seq': 1, 'not_before_ms': %" PRId64 ", 'expires_at_ms': %" PRId64 "}",
                       then_ms + 1000, then_ms + 5000),
        "[[b'x'], [b'y']]");
    const struct answer *answer = trace(f, 1);
    assert_string_equal(fixture_text(answer, "status"), "waiting");
    assert_int_equal(fixture_number(answer, "at_ms"), then_ms + 1000);
    assert_string_equal(fixture_value(answer, "message"),
                        fixture_format("{\"timestamp_ms\": %" PRId64
                                       ", \"priority\": 4, \"producer\": \"p\", "
                                       "\"epoch\": 1, \"seq\": 2, \"not_before_ms\": %" PRId64
                                       ", \"expires_at_ms\": %" PRId64 ", \"expired\": false}",
                                       then_ms, then_ms + 1000, then_ms + 5000));
    fixture_advance(f, 5000);
    assert_non_null(strstr(fixture_value(trace(f, 1), "message"), "\"expired\": true"));
}

/* Goal: what a pull hands out is not told to wait, and what it does not is. Method: a clock that is set
 * back when the time has come: that stays so; and one that is set back before it has. */
static void it_waits_as_long_as_a_pull_does(void **state)
{
    struct engine_fixture *f = *state;
    const int64_t then_ms = f->now.wall_ms;
    make(f, "");
    for (int i = 1; i <= 2; i++) {
        fixture_ok(f, "PUBLISH",
                   fixture_format("{'topic': 't', 'partition': 0, 'not_before_ms': %" PRId64 "}",
                                  then_ms + i * 1000),
                   "[[b'x']]");
    }
    fixture_ok(f, "PULL", "{'group': 'g', 'max_messages': 1}", NULL);
    fixture_advance(f, 1500);
    f->now.wall_ms -= 60000;
    fixture_pump(f);
    assert_string_equal(fixture_text(trace(f, 0), "status"), "ready");
    assert_string_equal(fixture_text(trace(f, 1), "status"), "waiting");
    assert_int_equal(fixture_number(trace(f, 1), "at_ms"), then_ms + 2000);
    assert_int_equal(steps_count(fixture_ok(f, "PULL", "{'group': 'g'}", NULL)), 1);
    assert_string_equal(fixture_text(trace(f, 0), "status"), "leased");
}

static void what_is_not_there_is_an_error(void **state)
{
    struct engine_fixture *f = *state;
    make(f, "");
    steps_publish(f, "t", 2);
    const struct {
        const char *args;
        int code;
    } cases[] = {
        {"{'group': 'none', 'topic': 't', 'offset': 0}", ZSP_ENOT_FOUND},
        {"{'group': 'g', 'topic': 'none', 'offset': 0}", ZSP_ENOT_FOUND},
        {"{'group': 'g', 'topic': 't', 'partition': 1, 'offset': 0}", ZSP_ENOT_FOUND},
        {"{'group': 'g', 'topic': 't', 'offset': 2}", ZSP_EOUT_OF_RANGE},
        {"{'group': 'g', 'topic': 't'}", ZSP_EBAD_VALUE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture_error(f, cases[i].code, "GROUP.TRACE", cases[i].args, NULL);
    }
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'other'}", NULL);
    fixture_error(f, ZSP_ENOT_FOUND, "GROUP.TRACE", "{'group': 'g', 'topic': 'other', 'offset': 0}",
                  NULL);
}

static void a_message_behind_another_one_of_its_key_is_ready(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['t'], 'mode': 'keyed'}", NULL);
    fixture_ok(f, "PUBLISH", "{'topic': 't'}", "[[b'a', b'k'], [b'b', b'k']]");
    assert_int_equal(steps_count(steps_pull(f, 1)), 1);
    assert_string_equal(fixture_text(trace(f, 0), "status"), "leased");
    assert_string_equal(fixture_text(trace(f, 1), "status"), "ready");
}

static void damage_and_a_topic_that_goes_are_told(void **state)
{
    struct engine_fixture *f = *state;
    make(f, "");
    steps_publish(f, "t", 2);
    mem_store_damage(f->mem, 1, 0, (struct store_range){1, 2});
    assert_string_equal(fixture_value(trace(f, 1), "corrupt"), "true");
    mem_store_hold(f->mem, MEM_READS);
    const uint64_t ticket =
        fixture_send(f, "GROUP.TRACE", "{'group': 'g', 'topic': 't', 'offset': 0}", NULL);
    fixture_ok(f, "GROUP.DELETE", "{'group': 'g'}", NULL);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, ticket)->code, ZSP_ENOT_FOUND);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(nobody_pulls),
        TEST(it_is_paused),
        TEST(as_much_is_out_as_may_be),
        TEST(all_is_out_or_waits_or_is_done),
        TEST(all_waits_for_its_time),
        TEST(what_comes_next_is_damaged),
        TEST(it_is_not_known_yet),
        TEST(a_member_has_the_partition),
        TEST(a_dead_message_lies_ahead),
        TEST(a_delay_lies_ahead),
        TEST(members_are_listed_by_name),
        TEST(each_status_is_told),
        TEST(where_a_message_comes_from_is_told),
        TEST(it_waits_as_long_as_a_pull_does),
        TEST(what_is_not_there_is_an_error),
        TEST(a_message_behind_another_one_of_its_key_is_ready),
        TEST(damage_and_a_topic_that_goes_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
