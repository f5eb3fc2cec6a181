/* SPDX-License-Identifier: MPL-2.0
 *
 * Groups of mode `keyed`: messages of one key are at one member, in order, and keep nobody else back.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "broker/engine/topic/expiry.h"
#include "common/record.h"
#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"

#define FIRST  5 /* sessions */
#define SECOND 6

#define LARGE  (3u << 20) /* more than a scan reads at once */

static void begin(struct engine_fixture *f, const char *settings)
{
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 't'}", NULL);
    fixture_ok(f, "GROUP.CREATE",
               fixture_format("{'group': 'g', 'topics': ['t'], 'mode': 'keyed', 'settings': %s}",
                              settings),
               NULL);
}

/* A batch of messages like "a1": of key a, but "-1" has none. */
static void publish(struct engine_fixture *f, const char *words, const char *more)
{
    char body[2048] = "[";
    while (*words != '\0') {
        const int len = (int)strcspn(words, " ");
        const size_t at = strlen(body);
        char key[8] = "null";
        if (words[0] != '-') {
            (void)snprintf(key, sizeof key, "b'%c'", words[0]);
        }
        (void)snprintf(body + at, sizeof body - at, "%s[b'%.*s', %s]", at > 1 ? ", " : "", len,
                       words, key);
        words += len + (words[len] == ' ' ? 1 : 0);
    }
    const size_t end = strlen(body);
    (void)snprintf(body + end, sizeof body - end, "]");
    fixture_ok(f, "PUBLISH", fixture_format("{'topic': 't'%s}", more), body);
}

static const struct answer *pull_as(struct engine_fixture *f, uint64_t session, unsigned max)
{
    f->session = session;
    return steps_pull(f, max);
}

static void assert_pulled(struct engine_fixture *f, unsigned max, const char *payloads)
{
    assert_string_equal(fixture_payloads(steps_pull(f, max)), payloads);
}

static const char *not_applied(const struct answer *answer)
{
    return fixture_value(answer, "not_applied");
}

static const char *reason(const struct answer *answer)
{
    return fixture_text(answer, "reason");
}

/* --- One key, one member ------------------------------------------------------------------------ */

static void a_key_is_at_one_member(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "{}");
    publish(f, "a1 b1 a2 -1 a3 b2 -2", "");
    assert_string_equal(fixture_payloads(pull_as(f, FIRST, 1)), "a1");
    assert_string_equal(fixture_payloads(pull_as(f, SECOND, 3)), "b1 -1 -2");
    const struct answer *answer = pull_as(f, FIRST, 9);
    assert_string_equal(fixture_payloads(answer), "");
    assert_string_equal(reason(answer), "all_leased");
    assert_string_equal(steps_part(f, "t", 0), "0 7 0 4 3 0");
}

static void several_of_a_key_go_together(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "{}");
    publish(f, "a1 b1 a2 c1 a3", "");
    const uint64_t lease = pull_as(f, FIRST, 9)->lease;
    assert_string_equal(steps_part(f, "t", 0), "0 5 0 5 0 0");
    publish(f, "b2 a4", "");
    assert_pulled(f, 9, "");
    steps_settle(f, 0, 5, lease, "'ack'");
    assert_pulled(f, 9, "b2 a4");
}

static void the_next_of_a_key_comes_when_all_before_it_are_settled(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "{}");
    publish(f, "a1 a2 a3", "");
    const uint64_t lease = steps_pull(f, 2)->lease;
    steps_settle(f, 0, 1, lease, "'ack'");
    assert_pulled(f, 9, "");
    steps_settle(f, 1, 1, lease, "'ack'");
    assert_pulled(f, 9, "a3");
    assert_string_equal(steps_part(f, "t", 0), "2 3 0 1 0 0");
}

static void an_empty_key_is_a_key(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "{}");
    fixture_ok(f, "PUBLISH", "{'topic': 't'}", "[[b'1', b''], [b'2', null], [b'3', b''], [b'4']]");
    assert_pulled(f, 1, "1");
    assert_pulled(f, 9, "2 4");
}

static void members_that_wait_share_keys(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "{}");
    const uint64_t one = steps_wait(f, 100, 5000);
    const uint64_t other = steps_wait(f, 100, 5000);
    fixture_pump(f);
    publish(f, "a1 b1 a2 b2 a3 b3", "");
    assert_string_equal(fixture_payloads(fixture_answer(f, one)), "a1 a2 a3");
    assert_string_equal(fixture_payloads(fixture_answer(f, other)), "b1 b2 b3");
}

/* --- What comes back ---------------------------------------------------------------------------- */

static void a_retry_parks_only_its_key(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "{}");
    publish(f, "a1 b1 a2 b2 -1", "");
    const uint64_t lease = steps_pull(f, 2)->lease;
    steps_settle(f, 0, 1, lease, "'retry', {'delay_ms': 1000}");
    steps_settle(f, 1, 1, lease, "'ack'");
    assert_pulled(f, 9, "b2 -1");
    assert_string_equal(reason(steps_pull(f, 9)), "all_leased");
    fixture_advance(f, 1000);
    assert_pulled(f, 9, "a1 a2");
}

static void a_retry_takes_back_what_is_out_behind_it(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "{}");
    publish(f, "a1 b1 a2 b2 a3", "");
    const uint64_t lease = steps_pull(f, 9)->lease;
    steps_settle(f, 2, 1, lease, "'retry', {'delay_ms': 1000}");
    assert_string_equal(not_applied(steps_settle(f, 4, 1, lease, "'ack'")),
                        "[[\"t\", 0, 4, 1, \"lost\"]]");
    assert_int_equal(fixture_number(steps_settle(f, 0, 2, lease, "'ack'"), "applied"), 2);
    assert_int_equal(fixture_number(steps_settle(f, 3, 1, lease, "'ack'"), "applied"), 1);
    fixture_advance(f, 1000);
    assert_pulled(f, 9, "a2 a3");
}

static void an_ack_in_the_same_request_comes_too_late(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "{}");
    publish(f, "a1 b1 a2 b2", "");
    const uint64_t lease = steps_pull(f, 9)->lease;
    const char *runs = fixture_format("{'group': 'g', 'runs': [['t', 0, 0, 1, %" PRIu64
                                      ", 'retry', {'delay_ms': 0}], "
                                      "['t', 0, 1, 3, %" PRIu64 ", 'ack']]}",
                                      lease, lease);
    assert_string_equal(not_applied(fixture_ok(f, "SETTLE", runs, NULL)),
                        "[[\"t\", 0, 2, 1, \"lost\"]]");
    fixture_advance(f, 1);
    assert_pulled(f, 9, "a1 a2");
}

static void what_is_released_out_of_order_is_put_in_order(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "{}");
    publish(f, "a1 a2 a3 a4", "");
    const uint64_t lease = steps_pull(f, 4)->lease;
    steps_settle(f, 3, 1, lease, "'release'");
    steps_settle(f, 1, 1, lease, "'release'");
    assert_pulled(f, 9, "");
    steps_settle(f, 0, 1, lease, "'release'");
    assert_pulled(f, 9, "a1 a2 a3 a4");
}

static void what_a_lost_lease_had_comes_in_order(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "{'lease_ms': 20000}");
    publish(f, "a1 b1 a2 b2 a3 -1", "");
    steps_pull(f, 9);
    fixture_advance(f, 20000);
    assert_pulled(f, 9, "a1 b1"); /* in leases half as large */
    fixture_advance(f, 20000);
    assert_pulled(f, 9, "a1");
}

/* --- Dead messages ------------------------------------------------------------------------------ */

static void a_dead_message_is_skipped(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "{}");
    publish(f, "a1 a2 b1", "");
    const uint64_t lease = steps_pull(f, 1)->lease;
    steps_settle(f, 0, 1, lease, "'reject'");
    assert_pulled(f, 9, "a2 b1");
}

static void a_dead_message_holds_its_key(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "{'on_dead': 'hold'}");
    publish(f, "a1 a2 b1", "");
    const uint64_t lease = steps_pull(f, 1)->lease;
    steps_settle(f, 0, 1, lease, "'reject'");
    publish(f, "b2", "");
    steps_settle(f, 2, 2, steps_pull(f, 9)->lease, "'ack'");
    const struct answer *answer = steps_pull(f, 9);
    assert_string_equal(fixture_payloads(answer), "");
    assert_string_equal(reason(answer), "held");
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(reason(steps_pull(f, 9)), "held");
    fixture_ok(f, "GROUP.SET", "{'group': 'g', 'settings': {'on_dead': 'skip'}}", NULL);
    assert_pulled(f, 9, "a2");
}

/* Goal: what lies before it goes on, in this life and the next one. */
static void a_dead_message_holds_only_what_lies_behind_it(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "{'on_dead': 'hold'}");
    publish(f, "a1 a2 a3", "");
    uint64_t lease = steps_pull(f, 9)->lease;
    steps_settle(f, 1, 1, lease, "'reject'");
    steps_settle(f, 0, 1, lease, "'release'");
    const struct answer *answer = steps_pull(f, 9);
    assert_string_equal(fixture_payloads(answer), "a1");
    steps_settle(f, 0, 1, answer->lease, "'release'");
    fixture_restart(f, MEM_KEEP_SYNCED);
    answer = steps_pull(f, 9);
    assert_string_equal(fixture_payloads(answer), "a1");
    steps_settle(f, 0, 1, answer->lease, "'ack'");
    assert_string_equal(reason(steps_pull(f, 9)), "held");
    fixture_ok(f, "DEAD.DROP", "{'group': 'g', 'all': true}", NULL);
    assert_pulled(f, 9, "a3");
}

/* Goal: also when it dies before the broker has read its key anew. */
static void a_message_that_dies_right_after_a_start_holds_its_key(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "{'on_dead': 'hold'}");
    publish(f, "a1 a2", "");
    const uint64_t lease = steps_pull(f, 1)->lease;
    fixture_restart(f, MEM_KEEP_WRITTEN);
    steps_settle(f, 0, 1, lease, "'reject'");
    assert_string_equal(reason(steps_pull(f, 9)), "held");
    fixture_ok(f, "DEAD.REDRIVE", "{'group': 'g', 'all': true}", NULL);
    assert_pulled(f, 9, "a1 a2");
}

static void a_redrive_lifts_a_hold(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "{'on_dead': 'hold'}");
    publish(f, "a1 a2 a3 b1", "");
    const uint64_t lease = steps_pull(f, 9)->lease;
    steps_settle(f, 0, 1, lease, "'ack'");
    steps_settle(f, 3, 1, lease, "'ack'");
    steps_settle(f, 1, 1, lease, "'reject'");
    assert_string_equal(reason(steps_pull(f, 9)), "held");
    fixture_ok(f, "DEAD.REDRIVE", "{'group': 'g', 'all': true}", NULL);
    assert_pulled(f, 9, "a2 a3");
}

static void a_drop_lifts_a_hold(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "{'on_dead': 'hold'}");
    publish(f, "a1 a2 b1", "");
    steps_settle(f, 0, 1, steps_pull(f, 1)->lease, "'reject'");
    fixture_restart(f, MEM_KEEP_SYNCED);
    steps_settle(f, 2, 1, steps_pull(f, 9)->lease, "'ack'");
    assert_string_equal(reason(steps_pull(f, 9)), "held");
    fixture_ok(f, "DEAD.DROP", "{'group': 'g', 'all': true}", NULL);
    assert_pulled(f, 9, "a2");
}

/* Goal: nobody waits for the key of a message that is not there any more. */
static void what_goes_before_its_key_is_read_holds_nothing(void **state)
{
    struct engine_fixture *f = *state;
    mem_store_segment_batches(f->mem, 1);
    begin(f, "{'on_dead': 'hold'}");
    publish(f, "a1", "");
    publish(f, "a2 b1", "");
    steps_settle(f, 0, 1, steps_pull(f, 1)->lease, "'reject'");
    fixture_restart(f, MEM_KEEP_SYNCED);
    publish(f, "b2", ""); /* nobody pulls: nothing is read yet */
    fixture_ok(f, "DEAD.DROP", "{'group': 'g', 'all': true}", NULL);
    fixture_ok(f, "TOPIC.PURGE", "{'topic': 't', 'before': ['offset', 1]}", NULL);
    assert_pulled(f, 9, "a2 b1 b2");
}

/* Goal: it comes before what is not finished of its key, also when that is out. */
static void a_redriven_message_comes_first_of_its_key(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "{}");
    publish(f, "a1 a2 -1 a3", "");
    steps_settle(f, 0, 1, steps_pull(f, 1)->lease, "'reject'");
    const uint64_t lease = steps_pull(f, 1)->lease; /* a2 */
    fixture_ok(f, "DEAD.REDRIVE", "{'group': 'g', 'all': true}", NULL);
    assert_pulled(f, 9, "a1 a2 -1 a3");
    assert_string_equal(not_applied(steps_settle(f, 1, 1, lease, "'ack'")),
                        "[[\"t\", 0, 1, 1, \"lost\"]]");
}

static void a_seek_lifts_a_hold(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "{'on_dead': 'hold'}");
    publish(f, "a1 a2 b1", "");
    const uint64_t lease = steps_pull(f, 2)->lease;
    steps_settle(f, 0, 1, lease, "'reject'");
    assert_pulled(f, 9, "");
    fixture_ok(f, "SEEK", "{'group': 'g', 'topic': 't', 'to': ['offset', 1]}", NULL);
    assert_pulled(f, 9, "a2 b1");
}

/* --- Look-ahead ---------------------------------------------------------------------------------- */

static void the_scan_stops_at_look_ahead(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "{'look_ahead': 4}");
    publish(f, "a1 a2 a3 b1 c1 d1", "");
    const uint64_t lease = steps_pull(f, 1)->lease;
    assert_pulled(f, 9, "b1");
    const struct answer *answer = steps_pull(f, 9);
    assert_string_equal(fixture_payloads(answer), "");
    assert_string_equal(reason(answer), "look_ahead");
    assert_string_equal(fixture_value(answer, "stalled"), "[\"t\", 0, 0, b\"a\"]");
    steps_settle(f, 0, 1, lease, "'ack'");
    assert_pulled(f, 9, "a2 a3 c1");
    fixture_ok(f, "GROUP.SET", "{'group': 'g', 'settings': {'look_ahead': 100}}", NULL);
    assert_pulled(f, 9, "d1");
}

/* Goal: a dead message is known wherever it lies. When it comes back beyond what the scan has read, it
 * waits for those of its key before it that nobody has looked at. */
static void what_comes_back_beyond_the_look_ahead_waits_for_what_lies_before_it(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "{'look_ahead': 3, 'on_dead': 'hold', 'expired': 'dead', 'lease_ms': 60000}");
    publish(f, "a1 b1 c1 d1 e1", "");
    publish(f, "d2", fixture_format(", 'expires_at_ms': %" PRId64, f->now.wall_ms + 1000));
    const uint64_t first = steps_pull(f, 1)->lease;
    fixture_advance(f, 1000 + EXPIRY_PASS_MS);
    fixture_advance(f, EXPIRY_PASS_MS);
    assert_string_equal(steps_part(f, "t", 0), "0 6 4 1 0 1");
    const uint64_t lease = steps_pull(f, 1)->lease; /* now the key of d2 is known */
    f->now.wall_ms -= 30000;
    fixture_ok(f, "DEAD.REDRIVE", "{'group': 'g', 'all': true}", NULL);
    const struct answer *answer = steps_pull(f, 9);
    assert_string_equal(fixture_payloads(answer), "c1");
    steps_settle(f, 2, 1, answer->lease, "'ack'");
    steps_settle(f, 1, 1, lease, "'ack'");
    assert_pulled(f, 9, "");
    steps_settle(f, 0, 1, first, "'ack'");
    assert_pulled(f, 9, "d1 e1 d2");
}

/* Goal: what died far ahead, since its time was over, and came back lets nobody look further, not when
 * all keys are read anew either. */
static void what_comes_back_far_ahead_moves_no_bound(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "{'look_ahead': 3, 'expired': 'dead', 'lease_ms': 60000}");
    publish(f, "a1 b1 c1 d1 e1", "");
    publish(f, "f1", fixture_format(", 'expires_at_ms': %" PRId64, f->now.wall_ms + 1000));
    steps_pull(f, 1);
    fixture_advance(f, 1000 + EXPIRY_PASS_MS);
    fixture_advance(f, EXPIRY_PASS_MS);
    f->now.wall_ms -= 30000;
    fixture_ok(f, "DEAD.REDRIVE", "{'group': 'g', 'all': true}", NULL);
    fixture_ok(f, "GROUP.SET", "{'group': 'g', 'settings': {'on_dead': 'hold'}}", NULL);
    assert_pulled(f, 9, "b1 c1");
    assert_string_equal(reason(steps_pull(f, 9)), "look_ahead");
    fixture_ok(f, "SEEK", "{'group': 'g', 'topic': 't', 'to': ['offset', 2]}", NULL);
    const struct answer *answer = steps_pull(f, 9);
    assert_string_equal(fixture_payloads(answer), "c1 d1 e1");
    steps_settle(f, 2, 1, answer->lease, "'ack'");
    assert_pulled(f, 9, "f1");
}

/* Goal: nor does what the scan had passed by, since it was dead, when there was nothing else so near. */
static void what_was_passed_by_dead_comes_back_in_its_turn(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "{'look_ahead': 3, 'expired': 'dead', 'lease_ms': 60000}");
    publish(f, "a1 b1 c1", "");
    publish(f, "d1 e1", fixture_format(", 'expires_at_ms': %" PRId64, f->now.wall_ms + 1000));
    publish(f, "f1", "");
    const uint64_t lease = steps_pull(f, 1)->lease;
    fixture_advance(f, 1000 + EXPIRY_PASS_MS);
    fixture_advance(f, EXPIRY_PASS_MS);
    assert_pulled(f, 9, "b1 c1");
    assert_string_equal(reason(steps_pull(f, 9)), "look_ahead");
    f->now.wall_ms -= 30000;
    fixture_ok(f, "DEAD.REDRIVE", "{'group': 'g', 'all': true}", NULL);
    assert_pulled(f, 9, "");
    steps_settle(f, 0, 1, lease, "'ack'");
    assert_pulled(f, 9, "d1");
}

/* --- Telling ------------------------------------------------------------------------------------ */

/* Goal: a pull whose time is over while it waits for more gets what is there. */
static void what_is_ready_comes_in_time(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "{}");
    publish(f, "a1 b1", "");
    assert_pulled(f, 1, "a1");
    publish(f, "c1", "");
    mem_store_hold(f->mem, MEM_READS);
    const uint64_t ticket = steps_wait(f, 9, 2000);
    fixture_advance(f, 1999);
    fixture_advance(f, 1);
    assert_null(fixture_answer(f, ticket));
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_string_equal(fixture_payloads(fixture_answer(f, ticket)), "b1");
}

/* So many messages of so many bytes, a key each; then a restart, so that a file has to be read for them,
 * by a job. */
static void large_ones(struct engine_fixture *f, uint8_t count, size_t bytes)
{
    static uint8_t payload[LARGE];
    for (uint8_t i = 0; i < count; i++) {
        const struct zsp_record record = {.payload = {payload, bytes}, .key = {&i, 1}};
        struct zsp_writer body = {0};
        zsp_record_write(&body, &record);
        fixture_send_bytes(f, "PUBLISH", "{'topic': 't'}", zsp_writer_slice(&body));
        fixture_pump(f);
        zsp_writer_fini(&body);
    }
    fixture_restart(f, MEM_KEEP_SYNCED);
}

/* Goal: who asks for much waits for so many reads, however often others take what is READY meanwhile. */
static void a_pull_does_not_wait_to_be_filled_for_ever(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "{}");
    large_ones(f, 40, 300000);
    mem_store_hold(f->mem, MEM_READS);
    const uint64_t large = steps_wait(f, 20, 60000);
    uint64_t small = 0;
    unsigned turns = 0;
    while (!fixture_answer(f, large) && turns < 30) {
        turns++;
        small = small == 0 || fixture_answer(f, small) ? steps_wait(f, 1, 60000) : small;
        fixture_pump(f);
        mem_store_release(f->mem, MEM_READS);
        fixture_pump(f);
    }
    assert_non_null(fixture_answer(f, large));
    assert_int_not_equal(steps_count(fixture_answer(f, large)), 0);
    assert_true(turns < 12);
}

/* Messages so large that the scan reads few of them at once: what it has not looked at is left. */
static void what_is_not_looked_at_yet_is_more(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "{}");
    large_ones(f, 5, LARGE);
    for (unsigned i = 0; i < 4; i++) {
        assert_string_equal(reason(steps_pull(f, 9)), "limit");
    }
    assert_string_equal(reason(steps_pull(f, 9)), "all_leased");
}

/* Goal: a pull gets all that fits, though it takes several reads to learn the keys of so much. */
static void a_pull_is_filled_however_large_its_messages_are(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "{}");
    large_ones(f, 24, 100000);
    assert_int_equal(steps_count(steps_pull(f, 30)), 10); /* of 1 MiB */
    assert_int_equal(steps_count(steps_pull(f, 7)), 7);
    const struct answer *answer = steps_pull(f, 30);
    assert_int_equal(steps_count(answer), 7);
    assert_string_equal(reason(answer), "all_leased");
}

static void the_hottest_keys_are_told(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "{'on_dead': 'hold'}");
    publish(f, "a1 b1 c1 -1 a2 b2 b3 b4 a3 d1", "");
    const uint64_t lease = steps_pull(f, 2)->lease;
    steps_settle(f, 1, 1, lease, "'reject'");
    const uint64_t other = steps_pull(f, 9)->lease;
    const struct answer *answer = fixture_ok(f, "GROUP.INFO", "{'group': 'g'}", NULL);
    assert_string_equal(
        fixture_value(answer, "keys"),
        "[[\"t\", 0, b\"b\", 3, 1, \"dead\"], [\"t\", 0, b\"a\", 2, 0, \"leased\"]]");
    steps_settle(f, 0, 1, lease, "'retry', {'delay_ms': 5000}");
    assert_int_not_equal(other, 0);
    answer = fixture_ok(f, "GROUP.INFO", "{'group': 'g'}", NULL);
    assert_string_equal(
        fixture_value(answer, "keys"),
        "[[\"t\", 0, b\"b\", 3, 1, \"dead\"], [\"t\", 0, b\"a\", 2, 0, \"waiting\"]]");
    assert_non_null(strstr(fixture_value(answer, "whys"), "\"reason\": \"key\""));
}

/* --- Priorities and times ------------------------------------------------------------------------ */

static void the_most_urgent_key_comes_first(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "{}");
    publish(f, "a1 b1 c1", "");
    publish(f, "a2 d1", ", 'priority': 9");
    const uint64_t lease = steps_pull(f, 1)->lease;
    steps_settle(f, 4, 1, lease, "'ack'"); /* d1: before a2 comes a1 */
    assert_pulled(f, 1, "a1");
    assert_pulled(f, 9, "b1 c1");
}

static void a_delay_parks_only_its_key(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "{}");
    publish(f, "a1", "");
    publish(f, "a2 b1", fixture_format(", 'not_before_ms': %" PRId64, f->now.wall_ms + 5000));
    publish(f, "a3 b2 c1", "");
    const uint64_t lease = steps_pull(f, 9)->lease;
    assert_string_equal(steps_part(f, "t", 0), "0 6 0 2 4 0");
    steps_settle(f, 0, 1, lease, "'ack'");
    assert_pulled(f, 9, "");
    fixture_advance(f, 5000);
    assert_pulled(f, 9, "a2 b1 a3 b2");
}

/* What is delayed is forgotten, as nobody pulls, and has come due when it is read again. */
static void what_came_due_while_nobody_pulled_is_found(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "{}");
    publish(f, "d1", fixture_format(", 'not_before_ms': %" PRId64, f->now.wall_ms + 700000));
    publish(f, "a1 d2", "");
    const uint64_t lease = steps_pull(f, 9)->lease;
    assert_string_equal(steps_part(f, "t", 0), "0 3 0 1 2 0");
    steps_settle(f, 1, 1, lease, "'ack'");
    fixture_advance(f, 601000);
    for (unsigned i = 0; i < 300; i++) {
        publish(f, "-u", ", 'priority': 9");
    }
    fixture_advance(f, 100000);
    assert_int_equal(steps_count(steps_pull(f, 300)), 300);
    assert_pulled(f, 9, "d1 d2");
}

/* --- Starts ---------------------------------------------------------------------------------------- */

static void a_start_finds_the_keys_that_are_out(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "{'lease_ms': 60000}");
    publish(f, "a1 b1 a2 b2 c1 c2", "");
    const uint64_t lease = steps_pull(f, 1)->lease;
    const uint64_t other = steps_pull(f, 1)->lease;
    steps_settle(f, 1, 1, other, "'retry', {'delay_ms': 20000}");
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_pulled(f, 9, "c1 c2");
    assert_pulled(f, 9, "");
    steps_settle(f, 0, 1, lease, "'ack'");
    assert_pulled(f, 9, "a2");
    fixture_advance(f, 20000);
    assert_pulled(f, 9, "b1 b2");
}

static void what_comes_back_right_after_a_start_takes_back_only_what_lies_behind_it(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "{'lease_ms': 60000}");
    publish(f, "a1 a2 a3 a4", "");
    const uint64_t lease = steps_pull(f, 9)->lease;
    fixture_restart(f, MEM_KEEP_SYNCED);
    steps_settle(f, 2, 1, lease, "'release'"); /* before anybody has read the keys */
    assert_pulled(f, 9, "");
    assert_int_equal(fixture_number(steps_settle(f, 0, 2, lease, "'ack'"), "applied"), 2);
    assert_pulled(f, 9, "a3 a4");
}

/* Goal: a pull that asks once is answered though what it waited for is not read any more. */
static void a_seek_answers_who_waits_for_keys(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "{}");
    publish(f, "a1 b1", "");
    mem_store_hold(f->mem, MEM_READS);
    const uint64_t ticket = steps_wait(f, 9, 0);
    fixture_pump(f);
    assert_null(fixture_answer(f, ticket));
    fixture_ok(f, "SEEK", "{'group': 'g', 'topic': 't', 'to': 'latest'}", NULL);
    fixture_pump(f);
    assert_string_equal(reason(fixture_answer(f, ticket)), "end");
}

static void messages_without_a_wait_are_found_at_once(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "{}");
    assert_string_equal(reason(steps_pull(f, 9)), "end");
    publish(f, "a1", "");
    const uint64_t lease = steps_pull(f, 9)->lease;
    steps_settle(f, 0, 1, lease, "'ack'");
    assert_string_equal(reason(steps_pull(f, 9)), "end");
    assert_string_equal(steps_part(f, "t", 0), "1 1 0 0 0 0");
}

/* Goal: also while one before it is out, so that the lane remembers it. */
static void a_redrive_between_two_that_are_out_takes_back_the_later(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "{}");
    publish(f, "a1 a2 a3", "");
    const uint64_t lease = steps_pull(f, 9)->lease;
    steps_settle(f, 1, 1, lease, "'reject'");
    fixture_ok(f, "DEAD.REDRIVE", "{'group': 'g', 'all': true}", NULL);
    assert_string_equal(not_applied(steps_settle(f, 2, 1, lease, "'ack'")),
                        "[[\"t\", 0, 2, 1, \"lost\"]]");
    steps_settle(f, 0, 1, lease, "'ack'");
    assert_pulled(f, 9, "a2 a3");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        T(a_key_is_at_one_member),
        T(several_of_a_key_go_together),
        T(the_next_of_a_key_comes_when_all_before_it_are_settled),
        T(an_empty_key_is_a_key),
        T(members_that_wait_share_keys),
        T(a_retry_parks_only_its_key),
        T(a_retry_takes_back_what_is_out_behind_it),
        T(an_ack_in_the_same_request_comes_too_late),
        T(what_is_released_out_of_order_is_put_in_order),
        T(what_a_lost_lease_had_comes_in_order),
        T(a_dead_message_is_skipped),
        T(a_dead_message_holds_its_key),
        T(a_dead_message_holds_only_what_lies_behind_it),
        T(a_message_that_dies_right_after_a_start_holds_its_key),
        T(a_redrive_between_two_that_are_out_takes_back_the_later),
        T(a_redrive_lifts_a_hold),
        T(a_drop_lifts_a_hold),
        T(what_goes_before_its_key_is_read_holds_nothing),
        T(a_redriven_message_comes_first_of_its_key),
        T(a_seek_lifts_a_hold),
        T(the_scan_stops_at_look_ahead),
        T(what_comes_back_beyond_the_look_ahead_waits_for_what_lies_before_it),
        T(what_comes_back_far_ahead_moves_no_bound),
        T(what_was_passed_by_dead_comes_back_in_its_turn),
        T(what_is_ready_comes_in_time),
        cmocka_unit_test_setup_teardown(a_pull_is_filled_however_large_its_messages_are,
                                        fixture_set_up_log, fixture_tear_down),
        T(a_pull_does_not_wait_to_be_filled_for_ever),
        cmocka_unit_test_setup_teardown(what_is_not_looked_at_yet_is_more, fixture_set_up_log,
                                        fixture_tear_down),
        T(the_hottest_keys_are_told),
        T(the_most_urgent_key_comes_first),
        T(a_delay_parks_only_its_key),
        T(what_came_due_while_nobody_pulled_is_found),
        T(a_start_finds_the_keys_that_are_out),
        T(what_comes_back_right_after_a_start_takes_back_only_what_lies_behind_it),
        T(a_seek_answers_who_waits_for_keys),
        T(messages_without_a_wait_are_found_at_once),
    };
#undef T
    return cmocka_run_group_tests_name("engine.keyed", tests, NULL, NULL);
}
