/* SPDX-License-Identifier: MPL-2.0
 *
 * Messages that are not taken in their turn: priorities, delays and times to live.
 */
#include <inttypes.h>

#include "broker/engine/ledger/agenda.h"
#include "broker/engine/topic/topic.h"
#include "common/limits.h"
#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"

/* Publish one message with further arguments, like "'priority': 9". */
static void publish_with(struct engine_fixture *f, const char *payload, const char *more)
{
    fixture_ok(f, "PUBLISH", fixture_format("{'topic': 't', 'partition': 0, %s}", more),
               fixture_format("[[b'%s']]", payload));
}

static void publish_at(struct engine_fixture *f, const char *payload, unsigned priority)
{
    publish_with(f, payload, fixture_format("'priority': %u", priority));
}

static void publish_later(struct engine_fixture *f, const char *payload, int64_t delay_ms)
{
    publish_with(f, payload,
                 fixture_format("'not_before_ms': %" PRId64, f->now.wall_ms + delay_ms));
}

static void assert_pulled(struct engine_fixture *f, unsigned max, const char *payloads)
{
    assert_string_equal(fixture_payloads(steps_pull(f, max)), payloads);
}

static void move_wall(struct engine_fixture *f, int64_t ms)
{
    f->now.wall_ms += ms;
    fixture_pump(f);
}

/* --- Priorities -------------------------------------------------------------------------------- */

static void the_most_urgent_comes_first(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a b");
    publish_at(f, "low", 0);
    publish_at(f, "high", 7);
    publish_at(f, "highest", 9);
    steps_publish_each(f, "t", "c");
    publish_at(f, "also-high", 7);
    assert_pulled(f, 10, "highest high also-high a b c low");
}

static void a_late_one_overtakes_what_waits(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish(f, "t", 1000);
    assert_pulled(f, 1, "m0");
    publish_at(f, "urgent", 9);
    assert_pulled(f, 2, "urgent m1");
    assert_pulled(f, 1, "m2");
}

/* Goal: a run tells its priority, and READ stays in the order of offsets. */
static void priorities_are_told(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a");
    publish_at(f, "urgent", 9);
    const struct answer *pulled = steps_pull(f, 1);
    assert_non_null(strstr(fixture_value(pulled, "runs"), "\"priority\": 9"));
    const struct answer *read = fixture_ok(f, "READ", "{'topic': 't', 'from': 'earliest'}", NULL);
    assert_string_equal(fixture_payloads(read), "a urgent");
    assert_non_null(strstr(fixture_value(read, "runs"), "\"priority\": 9"));
}

static void a_retry_keeps_its_priority(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a b");
    publish_at(f, "urgent", 9);
    const uint64_t lease = steps_pull(f, 1)->lease;
    steps_settle(f, 2, 1, lease, "'retry', {'delay_ms': 0}");
    assert_pulled(f, 2, "urgent a");
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_pulled(f, 5, "b");
}

static void a_released_one_of_low_priority_waits_for_the_others(void **state)
{
    struct engine_fixture *f = *state;
    publish_at(f, "low", 1);
    const uint64_t lease = steps_pull(f, 1)->lease;
    steps_publish_each(f, "t", "a");
    steps_settle(f, 0, 1, lease, "'release'");
    assert_pulled(f, 5, "a low");
}

static void priorities_hold_over_a_restart(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a b");
    publish_at(f, "urgent", 9);
    publish_at(f, "low", 0);
    const uint64_t lease = steps_pull(f, 1)->lease;
    steps_settle(f, 2, 1, lease, "'ack'");
    publish_at(f, "urgent-too", 8);
    fixture_restart(f, MEM_KEEP_SYNCED);
    publish_at(f, "urgent-still", 8);
    assert_pulled(f, 10, "urgent-too urgent-still a b low");
}

static void a_seek_back_begins_with_the_most_urgent(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a");
    publish_at(f, "urgent", 9);
    assert_pulled(f, 10, "urgent a");
    fixture_ok(f, "SEEK", "{'group': 'g', 'topic': 't', 'to': 'earliest'}", NULL);
    assert_pulled(f, 10, "urgent a");
}

/* Goal: what was forgotten, since no group needed it, is read again. */
static void a_new_group_finds_what_was_forgotten(void **state)
{
    struct engine_fixture *f = *state;
    for (int i = 0; i < 600; i++) {
        publish_at(f, "urgent", i % 2 == 0 ? 9 : 8);
        const uint64_t lease = steps_pull(f, 1)->lease;
        steps_settle(f, (uint64_t)i, 1, lease, "'ack'");
    }
    const struct answer *answer =
        fixture_ok(f, "PULL", "{'group': 'new', 'topics': ['t'], 'max_messages': 300}", NULL);
    const char *runs = fixture_value(answer, "runs");
    assert_null(strstr(runs, "\"priority\": 8"));
    assert_int_equal(steps_count(answer), 300);
}

static void the_most_urgent_comes_first_over_all_partitions(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 't', 'partitions': 4}", NULL);
    for (unsigned i = 0; i < 40; i++) {
        fixture_ok(f, "PUBLISH",
                   fixture_format("{'topic': 't', 'partition': %u, 'priority': %u}", i % 4, i % 10),
                   "[[b'x']]");
    }
    uint64_t last = 9;
    for (unsigned i = 0; i < 10; i++) {
        const struct answer *answer = steps_pull(f, 4);
        assert_int_equal(steps_count(answer), 4);
        const char *at = strstr(fixture_value(answer, "runs"), "\"priority\": ");
        const uint64_t priority = at ? (uint64_t)(at[12] - '0') : 4;
        assert_int_equal(priority, last - (i == 0 ? 0 : 1));
        last = priority;
    }
}

static void what_is_put_back_is_taken_again(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a b c");
    publish_at(f, "urgent1", 9);
    publish_at(f, "urgent2", 9);
    const struct answer *answer =
        fixture_ok(f, "PULL", "{'group': 'g', 'topics': ['t'], 'max_bytes': 1}", NULL);
    assert_string_equal(fixture_payloads(answer), "urgent1");
    assert_pulled(f, 10, "urgent2 a b c");
    assert_string_equal(steps_part(f, "t", 0), "0 5 0 5 0 0");
}

/* --- What is not known yet ------------------------------------------------------------------------- */

/* A message of priority 9 in each of two partitions, and a start that knows of none. */
static void two_to_be_read_again(struct engine_fixture *f)
{
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 't', 'partitions': 2}", NULL);
    for (unsigned i = 0; i < 2; i++) {
        fixture_ok(f, "PUBLISH",
                   fixture_format("{'topic': 't', 'partition': %u, 'priority': 9}", i),
                   fixture_format("[[b'p%u']]", i));
    }
    assert_int_equal(steps_count(steps_pull(f, 1)), 1); /* makes the group */
    fixture_restart(f, MEM_KEEP_SYNCED);
}

/* Goal: a partition that cannot be read keeps nobody from the others, and joins when it can. */
static void what_cannot_be_read_holds_no_other_partition(void **state)
{
    struct engine_fixture *f = *state;
    two_to_be_read_again(f);
    mem_store_fail_reads(f->mem, 1, 1, ZSP_EIO);
    fixture_ok(f, "SEEK", "{'group': 'g', 'topic': 't', 'to': 'earliest'}", NULL);
    assert_pulled(f, 9, "p0");
    assert_string_equal(fixture_text(steps_pull(f, 9), "reason"), "loading");
    const uint64_t ticket = steps_wait(f, 9, 60000);
    fixture_advance(f, 10000);
    assert_null(fixture_answer(f, ticket));
    mem_store_fail_reads(f->mem, 1, 1, 0);
    fixture_advance(f, 16000);
    assert_string_equal(fixture_payloads(fixture_answer(f, ticket)), "p1");
}

/* Goal: what takes long to be read is waited for a while, for the sake of what is urgent. */
static void what_takes_long_to_be_read_is_not_waited_for(void **state)
{
    struct engine_fixture *f = *state;
    two_to_be_read_again(f);
    fixture_ok(f, "SEEK", "{'group': 'g', 'topic': 't', 'to': 'earliest'}", NULL);
    mem_store_hold(f->mem, MEM_READS);
    const uint64_t ticket = fixture_send(f, "PULL", "{'group': 'g', 'topics': ['t']}", NULL);
    fixture_pump(f);
    fixture_advance(f, 1999);
    assert_null(fixture_answer(f, ticket));
    fixture_advance(f, 1);
    assert_string_equal(fixture_text(fixture_answer(f, ticket), "reason"), "loading");
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_int_equal(steps_count(steps_pull(f, 9)), 2);
}

static uint64_t remembered(struct engine_fixture *f)
{
    const struct topic *topic = topic_find(f->engine, zsp_slice_str("t"));
    return runmap_count(&topic->partitions[0]->agenda->map, RUN_READY);
}

/* Goal: a group that nobody pulls for costs no memory for good, and loses nothing by it. */
static void what_an_abandoned_group_needs_is_forgotten(void **state)
{
    struct engine_fixture *f = *state;
    const char *pull = "{'group': 'old', 'topics': ['t'], 'max_messages': 299}";
    publish_at(f, "first", 9);
    assert_int_equal(steps_count(fixture_ok(f, "PULL", pull, NULL)), 1);
    steps_settle(f, 0, 1, steps_pull(f, 1)->lease, "'ack'");
    fixture_advance(f, 601000);
    for (unsigned i = 1; i < 600; i++) {
        publish_at(f, "urgent", i % 2 == 0 ? 9 : 8);
        steps_settle(f, i, 1, steps_pull(f, 1)->lease, "'ack'");
    }
    assert_in_range(remembered(f), 0, 256);
    const struct answer *answer = fixture_ok(f, "PULL", pull, NULL);
    assert_int_equal(steps_count(answer), 299);
    assert_null(strstr(fixture_value(answer, "runs"), "\"priority\": 8"));
    assert_int_equal(remembered(f), 599);
}

static void bad_values_are_refused(void **state)
{
    struct engine_fixture *f = *state;
    fixture_error(f, ZSP_EBAD_VALUE, "PUBLISH", "{'topic': 't', 'priority': 10}", "[[b'x']]");
    fixture_error(f, ZSP_EBAD_VALUE, "PUBLISH", "{'topic': 't', 'expires_at_ms': 0}", "[[b'x']]");
}

/* Goal: no urgent message is on the disk before it is durable that the topic has such ones, and
 * nothing overtakes it meanwhile. */
static void the_first_urgent_one_waits_until_the_topic_is_marked(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a");
    mem_store_hold(f->mem, MEM_SYNCS);
    const uint64_t urgent =
        fixture_send(f, "PUBLISH", "{'topic': 't', 'priority': 9, 'level': 'written'}", "[[b'u']]");
    const uint64_t plain =
        fixture_send(f, "PUBLISH", "{'topic': 't', 'level': 'written'}", "[[b'p']]");
    fixture_pump(f);
    assert_null(fixture_answer(f, urgent));
    assert_null(fixture_answer(f, plain));
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, urgent)->status, WIRE_OK);
    const struct answer *read = fixture_ok(f, "READ", "{'topic': 't', 'from': 'earliest'}", NULL);
    assert_string_equal(fixture_payloads(read), "a u p");
}

/* --- Delays ------------------------------------------------------------------------------------- */

static void a_delayed_message_comes_at_its_time(void **state)
{
    struct engine_fixture *f = *state;
    publish_later(f, "later", 5000);
    steps_publish_each(f, "t", "now");
    assert_pulled(f, 10, "now");
    assert_string_equal(steps_part(f, "t", 0), "0 2 0 1 1 0");
    const uint64_t ticket = steps_wait(f, 10, 60000);
    fixture_advance(f, 4999);
    assert_null(fixture_answer(f, ticket));
    fixture_advance(f, 1);
    assert_string_equal(fixture_payloads(fixture_answer(f, ticket)), "later");
}

static void a_pull_tells_that_messages_wait(void **state)
{
    struct engine_fixture *f = *state;
    publish_later(f, "later", 5000);
    assert_string_equal(fixture_text(steps_pull(f, 10), "reason"), "all_waiting");
}

static void delayed_ones_come_in_the_order_of_their_times(void **state)
{
    struct engine_fixture *f = *state;
    publish_later(f, "third", 3000);
    publish_later(f, "first", 1000);
    publish_later(f, "second", 2000);
    for (int i = 0; i < 3; i++) {
        static const char *const payloads[] = {"first", "second", "third"};
        assert_pulled(f, 10, "");
        fixture_advance(f, 1000);
        assert_pulled(f, 10, payloads[i]);
    }
}

static void a_delayed_message_keeps_its_priority(void **state)
{
    struct engine_fixture *f = *state;
    publish_with(f, "urgent",
                 fixture_format("'priority': 9, 'not_before_ms': %" PRId64, f->now.wall_ms + 1000));
    steps_publish_each(f, "t", "a b");
    assert_pulled(f, 1, "a");
    fixture_advance(f, 1000);
    assert_pulled(f, 10, "urgent b");
}

static void a_time_that_has_passed_delays_nothing(void **state)
{
    struct engine_fixture *f = *state;
    publish_later(f, "a", -1000);
    publish_later(f, "b", 0);
    assert_pulled(f, 10, "a b");
}

static void a_delay_holds_over_a_restart(void **state)
{
    struct engine_fixture *f = *state;
    publish_later(f, "later", 5000);
    publish_later(f, "soon", 1000);
    assert_pulled(f, 10, "");
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_pulled(f, 10, "");
    fixture_advance(f, 1000);
    assert_pulled(f, 10, "soon");
    fixture_restart(f, MEM_KEEP_SYNCED);
    f->now.wall_ms += 4000; /* while it was down */
    assert_pulled(f, 10, "later");
    assert_pulled(f, 10, "");
}

static void a_clock_that_is_set_forwards_brings_them_at_once(void **state)
{
    struct engine_fixture *f = *state;
    publish_later(f, "later", 3600000);
    const uint64_t ticket = steps_wait(f, 10, 60000);
    fixture_pump(f);
    move_wall(f, 3600000);
    assert_string_equal(fixture_payloads(fixture_answer(f, ticket)), "later");
}

static void a_clock_that_is_set_back_makes_nothing_early(void **state)
{
    struct engine_fixture *f = *state;
    publish_later(f, "later", 5000);
    const uint64_t ticket = steps_wait(f, 10, 60000);
    fixture_pump(f);
    move_wall(f, -10000);
    fixture_advance(f, 14999);
    assert_null(fixture_answer(f, ticket));
    fixture_advance(f, 1);
    assert_string_equal(fixture_payloads(fixture_answer(f, ticket)), "later");
}

/* Goal: a message that was delivered is not delayed, and not delivered, again. */
static void what_is_done_stays_done_when_the_clock_is_set_back(void **state)
{
    struct engine_fixture *f = *state;
    publish_later(f, "a", 1000);
    publish_later(f, "b", 2000);
    fixture_advance(f, 1000);
    const uint64_t lease = steps_pull(f, 10)->lease;
    steps_settle(f, 0, 1, lease, "'ack'");
    f->now.wall_ms -= 5000;
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_pulled(f, 10, "");
    assert_string_equal(steps_part(f, "t", 0), "1 2 0 0 1 0");
    fixture_advance(f, 6000);
    assert_pulled(f, 10, "b");
}

static void a_seek_back_does_not_shorten_a_delay(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a");
    publish_later(f, "later", 5000);
    assert_pulled(f, 10, "a");
    fixture_ok(f, "SEEK", "{'group': 'g', 'topic': 't', 'to': 'earliest'}", NULL);
    assert_pulled(f, 10, "a");
    assert_string_equal(steps_part(f, "t", 0), "0 2 0 1 1 0");
    fixture_advance(f, 5000);
    assert_pulled(f, 10, "later");
}

/* --- Times to live ------------------------------------------------------------------------------- */

static void an_expired_message_is_left_out_and_counted(void **state)
{
    struct engine_fixture *f = *state;
    publish_with(f, "short", fixture_format("'expires_at_ms': %" PRId64, f->now.wall_ms + 1000));
    steps_publish_each(f, "t", "a");
    publish_with(f, "long", fixture_format("'expires_at_ms': %" PRId64, f->now.wall_ms + 9000));
    fixture_advance(f, 1000);
    const struct answer *answer = steps_pull(f, 10);
    assert_string_equal(fixture_payloads(answer), "a long");
    assert_non_null(strstr(fixture_value(answer, "runs"), "expires_at_ms"));
    assert_string_equal(steps_part(f, "t", 0), "1 3 0 2 0 0");
    assert_int_equal(fixture_number(fixture_ok(f, "STATS", "{}", NULL), "expired_messages"), 1);
}

static void a_message_that_is_out_does_not_expire(void **state)
{
    struct engine_fixture *f = *state;
    publish_with(f, "short", fixture_format("'expires_at_ms': %" PRId64, f->now.wall_ms + 1000));
    const uint64_t lease = steps_pull(f, 10)->lease;
    fixture_advance(f, 2000);
    assert_int_equal(
        fixture_number(steps_settle(f, 0, 1, lease, "'retry', {'delay_ms': 0}"), "applied"), 1);
    assert_pulled(f, 10, ""); /* it is when it is to be handed out again */
    assert_string_equal(steps_part(f, "t", 0), "1 1 0 0 0 0");
}

/* Goal: who ends when nothing is ready has seen all there is, whatever expired before it. */
static void a_pull_passes_any_number_of_expired_messages(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish(f, "t", 1);
    steps_settle(f, 0, 1, steps_pull(f, 1)->lease, "'ack'");
    for (unsigned i = 0; i < 30; i++) {
        publish_with(f, "short", fixture_format("'expires_at_ms': %" PRId64, f->now.wall_ms + 1));
    }
    steps_publish(f, "t", 1);
    fixture_advance(f, 10);
    assert_string_equal(fixture_payloads(steps_pull(f, 1)), "m0");
    assert_string_equal(fixture_text(steps_pull(f, 1), "reason"), "all_leased");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
        TEST(the_most_urgent_comes_first),
        TEST(a_late_one_overtakes_what_waits),
        TEST(priorities_are_told),
        TEST(a_retry_keeps_its_priority),
        TEST(a_released_one_of_low_priority_waits_for_the_others),
        TEST(priorities_hold_over_a_restart),
        TEST(a_seek_back_begins_with_the_most_urgent),
        TEST(a_new_group_finds_what_was_forgotten),
        TEST(the_most_urgent_comes_first_over_all_partitions),
        TEST(what_is_put_back_is_taken_again),
        TEST(what_cannot_be_read_holds_no_other_partition),
        TEST(what_takes_long_to_be_read_is_not_waited_for),
        TEST(what_an_abandoned_group_needs_is_forgotten),
        TEST(bad_values_are_refused),
        TEST(the_first_urgent_one_waits_until_the_topic_is_marked),
        TEST(a_delayed_message_comes_at_its_time),
        TEST(a_pull_tells_that_messages_wait),
        TEST(delayed_ones_come_in_the_order_of_their_times),
        TEST(a_delayed_message_keeps_its_priority),
        TEST(a_time_that_has_passed_delays_nothing),
        TEST(a_delay_holds_over_a_restart),
        TEST(a_clock_that_is_set_forwards_brings_them_at_once),
        TEST(a_clock_that_is_set_back_makes_nothing_early),
        TEST(what_is_done_stays_done_when_the_clock_is_set_back),
        TEST(a_seek_back_does_not_shorten_a_delay),
        TEST(an_expired_message_is_left_out_and_counted),
        TEST(a_message_that_is_out_does_not_expire),
        TEST(a_pull_passes_any_number_of_expired_messages),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
