/* SPDX-License-Identifier: MPL-2.0
 *
 * SETTLE: outcomes, their repetition, and when they are confirmed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "broker/engine/base/reasons.h"
#include "common/limits.h"
#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"

static const char *not_applied(const struct answer *answer)
{
    return fixture_value(answer, "not_applied");
}

/* `count` messages are out under the lease that comes back. */
static uint64_t lease_out(struct engine_fixture *f, unsigned count)
{
    steps_publish(f, "t", count);
    return steps_pull(f, count)->lease;
}

static void an_ack_is_done_for_good(void **state)
{
    struct engine_fixture *f = *state;
    const uint64_t lease = lease_out(f, 3);
    const struct answer *answer = steps_settle(f, 0, 3, lease, "'ack'");
    assert_int_equal(fixture_number(answer, "applied"), 3);
    assert_string_equal(not_applied(answer), "[]");
    assert_string_equal(steps_part(f, "t", 0), "3 3 0 0 0 0");
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(steps_part(f, "t", 0), "3 3 0 0 0 0");
}

/* Goal: nobody keeps the broker busy with runs that lie over each other. */
static void runs_reach_over_a_bounded_number_of_stretches(void **state)
{
    struct engine_fixture *f = *state;
    enum { STRETCHES = 3600, RUNS = ZSP_SETTLE_LOOKS_MAX / STRETCHES };
    char args[40 * (RUNS + 2)] = "{'group': 'g', 'runs': [";
    steps_publish(f, "t", STRETCHES);
    for (unsigned i = 0; i < STRETCHES; i++) {
        steps_pull(f, 1);
    }
    for (unsigned i = 0; i <= RUNS; i++) {
        const size_t len = strlen(args);
        (void)snprintf(args + len, sizeof args - len, "['t', 0, 0, %d, 5, 'ack']%s", STRETCHES,
                       i < RUNS ? ", " : "]}");
    }
    const struct answer *answer = fixture_error(f, ZSP_ETOO_LARGE, "SETTLE", args, NULL);
    assert_non_null(strstr(answer->error.msg, "settle fewer runs"));
    const uint64_t before = engine_work_bytes(f->engine);
    answer = steps_settle(f, 0, STRETCHES, 5, "'ack'");
    assert_true(engine_work_bytes(f->engine) - before >= 512 * STRETCHES); /* a turn counts them */
    assert_string_equal(not_applied(answer), "[[\"t\", 0, 0, 3600, \"lost\"]]");
}

/* Goal: "done" is as durable as the commit that did it. */
static void an_ack_that_a_commit_did_is_told_when_that_is_synced(void **state)
{
    struct engine_fixture *f = *state;
    const uint64_t lease = lease_out(f, 1);
    const char *settle =
        fixture_format("{'group': 'g', 'runs': [['t', 0, 0, 1, %" PRIu64 ", 'ack']]}", lease);
    fixture_ok(f, "PRODUCER.OPEN", "{'producer': 'p'}", NULL);
    mem_store_hold(f->mem, MEM_SYNCS);
    fixture_send(f, "COMMIT",
                 fixture_format("{'producer': 'p', 'epoch': 1, 'seq': 1, 'settle': %s}", settle),
                 NULL);
    fixture_pump(f);
    const uint64_t ticket = fixture_send(f, "SETTLE", settle, NULL);
    fixture_pump(f);
    assert_null(fixture_answer(f, ticket));
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_string_equal(not_applied(fixture_answer(f, ticket)), "[[\"t\", 0, 0, 1, \"done\"]]");
}

static void an_ack_waits_for_its_sync(void **state)
{
    struct engine_fixture *f = *state;
    const uint64_t lease = lease_out(f, 1);
    mem_store_hold(f->mem, MEM_SYNCS);
    const char *args =
        fixture_format("{'group': 'g', 'runs': [['t', 0, 0, 1, %" PRIu64 ", 'ack']]}", lease);
    const uint64_t first = fixture_send(f, "SETTLE", args, NULL);
    fixture_pump(f);
    const uint64_t again = fixture_send(f, "SETTLE", args, NULL);
    fixture_pump(f);
    assert_null(fixture_answer(f, first));
    assert_null(fixture_answer(f, again)); /* "done" would be a promise, too */
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_int_equal(fixture_number(fixture_answer(f, first), "applied"), 1);
    assert_string_equal(not_applied(fixture_answer(f, again)), "[[\"t\", 0, 0, 1, \"done\"]]");
}

static void repeated_outcomes_are_done(void **state)
{
    struct engine_fixture *f = *state;
    const char *const outcomes[] = {"'ack'", "'retry', {'delay_ms': 0}", "'release'",
                                    "'reject', {'reason': 'bad'}"};
    const uint64_t lease = lease_out(f, 4);
    for (uint64_t i = 0; i < 4; i++) {
        assert_int_equal(fixture_number(steps_settle(f, i, 1, lease, outcomes[i]), "applied"), 1);
    }
    for (int round = 0; round < 2; round++) {
        for (uint64_t i = 0; i < 4; i++) {
            const char *expected = fixture_format("[[\"t\", 0, %d, 1, \"done\"]]", (int)i);
            assert_string_equal(not_applied(steps_settle(f, i, 1, lease, outcomes[i])), expected);
        }
        fixture_restart(f, MEM_KEEP_SYNCED);
    }
}

/* Goal: the answer to a resent retry is the same when the message is out again by then. */
static void a_retry_is_remembered_while_the_next_one_works(void **state)
{
    struct engine_fixture *f = *state;
    const uint64_t lease = lease_out(f, 1);
    steps_settle(f, 0, 1, lease, "'retry', {'delay_ms': 0}");
    assert_int_equal(steps_count(steps_pull(f, 1)), 1);
    assert_string_equal(not_applied(steps_settle(f, 0, 1, lease, "'retry', {'delay_ms': 0}")),
                        "[[\"t\", 0, 0, 1, \"done\"]]");
    assert_string_equal(not_applied(steps_settle(f, 0, 1, lease, "'ack'")),
                        "[[\"t\", 0, 0, 1, \"lost\"]]");
}

static void another_lease_proves_nothing(void **state)
{
    struct engine_fixture *f = *state;
    const uint64_t lease = lease_out(f, 2);
    assert_string_equal(not_applied(steps_settle(f, 0, 2, lease + 1, "'ack'")),
                        "[[\"t\", 0, 0, 2, \"lost\"]]");
    assert_string_equal(steps_part(f, "t", 0), "0 2 0 2 0 0");
}

static void what_was_never_out_is_unknown(void **state)
{
    struct engine_fixture *f = *state;
    const uint64_t lease = lease_out(f, 2);
    steps_publish(f, "t", 2);
    assert_string_equal(not_applied(steps_settle(f, 1, 9, lease, "'ack'")),
                        "[[\"t\", 0, 2, 8, \"unknown\"]]");
    const struct answer *answer = fixture_ok(
        f, "SETTLE", "{'group': 'g', 'runs': [['t', 7, 0, 1, 9, 'ack'], ['u', 0, 0, 1, 9, 'ack']]}",
        NULL);
    assert_string_equal(not_applied(answer),
                        "[[\"t\", 7, 0, 1, \"unknown\"], [\"u\", 0, 0, 1, \"unknown\"]]");
}

static void every_run_is_answered(void **state)
{
    struct engine_fixture *f = *state;
    const uint64_t lease = lease_out(f, 10);
    steps_settle(f, 2, 2, lease, "'ack'");
    steps_settle(f, 5, 1, lease, "'release'");
    const struct answer *answer = steps_settle(f, 0, 12, lease, "'ack'");
    assert_int_equal(fixture_number(answer, "applied"), 7);
    assert_string_equal(not_applied(answer), "[[\"t\", 0, 2, 2, \"done\"], "
                                             "[\"t\", 0, 5, 1, \"lost\"], "
                                             "[\"t\", 0, 10, 2, \"unknown\"]]");
}

/* Goal: a run over block bounds is one outcome. Method: 70,000 messages in one batch. */
static void a_run_may_reach_over_blocks(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish(f, "t", 70000);
    const uint64_t lease = steps_pull(f, 60000)->lease;
    const uint64_t second = steps_pull(f, 10000)->lease;
    assert_int_equal(fixture_number(steps_settle(f, 60000, 10000, second, "'ack'"), "applied"),
                     10000);
    assert_string_equal(steps_part(f, "t", 0), "0 70000 0 60000 0 0");
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(steps_part(f, "t", 0), "0 70000 0 60000 0 0");
    steps_settle(f, 0, 60000, lease, "'ack'");
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(steps_part(f, "t", 0), "70000 70000 0 0 0 0");
}

static void outcomes_of_one_request_see_each_other(void **state)
{
    struct engine_fixture *f = *state;
    const uint64_t lease = lease_out(f, 1);
    const struct answer *answer = fixture_ok(
        f, "SETTLE",
        fixture_format("{'group': 'g', 'runs': [['t', 0, 0, 1, %" PRIu64 ", 'started'], "
                       "['t', 0, 0, 1, %" PRIu64 ", 'ack'], ['t', 0, 0, 1, %" PRIu64 ", 'ack']]}",
                       lease, lease, lease),
        NULL);
    assert_int_equal(fixture_number(answer, "applied"), 2);
    assert_string_equal(not_applied(answer), "[[\"t\", 0, 0, 1, \"done\"]]");
}

static void retries_wait_longer_each_time(void **state)
{
    struct engine_fixture *f = *state;
    uint64_t lease = lease_out(f, 1);
    for (int64_t delay_ms = 1000; delay_ms <= 8000; delay_ms *= 2) {
        steps_settle(f, 0, 1, lease, "'retry'");
        fixture_advance(f, delay_ms - 1);
        assert_int_equal(steps_count(steps_pull(f, 1)), 0);
        fixture_advance(f, 1);
        lease = steps_pull(f, 1)->lease;
        assert_int_not_equal(lease, 0);
    }
    steps_settle(f, 0, 1, lease, "'retry'"); /* the fifth failure */
    assert_string_equal(steps_part(f, "t", 0), "1 1 0 0 0 1");
}

static void retry_times_survive_a_restart(void **state)
{
    struct engine_fixture *f = *state;
    steps_settle(f, 0, 1, lease_out(f, 1), "'retry', {'delay_ms': 20000}");
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(steps_part(f, "t", 0), "0 1 0 0 1 0");
    const uint64_t ticket = steps_wait(f, 1, 60000);
    fixture_advance(f, 19000);
    assert_null(fixture_answer(f, ticket));
    fixture_advance(f, 2000);
    assert_int_equal(steps_count(fixture_answer(f, ticket)), 1);
}

static void a_dead_message_stays_readable(void **state)
{
    struct engine_fixture *f = *state;
    steps_settle(f, 0, 1, lease_out(f, 2), "'reject', {'reason': 'no such customer'}");
    assert_string_equal(steps_part(f, "t", 0), "1 2 0 1 0 1");
    const struct answer *answer =
        fixture_ok(f, "READ", "{'topic': 't', 'from': ['offset', 0], 'to': ['offset', 1]}", NULL);
    assert_string_equal(fixture_payloads(answer), "m0");
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(steps_part(f, "t", 0), "1 2 0 1 0 1");
}

static void a_full_journal_settles_nothing(void **state)
{
    struct engine_fixture *f = *state;
    const uint64_t lease = lease_out(f, 4);
    const char *args = fixture_format(
        "{'group': 'g', 'runs': [['t', 0, 0, 1, %" PRIu64 ", 'ack'], ['t', 0, 1, 1, %" PRIu64
        ", 'retry', {'reason': 'x'}], ['t', 0, 2, 1, %" PRIu64 ", 'extend', {'ms': 99000}]]}",
        lease, lease, lease);
    mem_store_fail_next_state(f->mem, ZSP_ENO_SPACE);
    fixture_error(f, ZSP_ENO_SPACE, "SETTLE", args, NULL);
    assert_string_equal(steps_part(f, "t", 0), "0 4 0 4 0 0");
    assert_int_equal(fixture_number(fixture_ok(f, "SETTLE", args, NULL), "applied"), 3);
}

static void extending_and_starting_wait_for_nothing(void **state)
{
    struct engine_fixture *f = *state;
    const uint64_t lease = lease_out(f, 2);
    mem_store_hold(f->mem, MEM_SYNCS | MEM_WRITES);
    steps_settle(f, 0, 2, lease, "'started'");
    steps_settle(f, 0, 2, lease, "'extend', {'ms': 60000}");
}

static void an_extended_lease_lasts(void **state)
{
    struct engine_fixture *f = *state;
    const uint64_t lease = lease_out(f, 1);
    steps_settle(f, 0, 1, lease, "'extend', {'ms': 60000}");
    steps_settle(f, 0, 1, lease, "'extend', {'ms': 5000}"); /* never shortens */
    fixture_restart(f, MEM_KEEP_WRITTEN);
    fixture_advance(f, 59000);
    assert_string_equal(steps_part(f, "t", 0), "0 1 0 1 0 0");
    fixture_advance(f, 1000);
    assert_string_equal(steps_part(f, "t", 0), "0 1 1 0 0 0");
}

static void long_reasons_are_cut_between_characters(void **state)
{
    (void)state;
    char text[ZSP_REASON_MAX + 8];
    memset(text, 'a', sizeof text);
    text[ZSP_REASON_MAX - 1] = (char)0xc3; /* one character over the edge */
    text[ZSP_REASON_MAX] = (char)0xa9;
    const struct zsp_slice cut = reason_cut((struct zsp_slice){(const uint8_t *)text, 260});
    assert_int_equal(cut.len, ZSP_REASON_MAX - 1);
    assert_int_equal(reason_cut((struct zsp_slice){(const uint8_t *)text, 9}).len, 9);
}

static void bad_requests_are_refused(void **state)
{
    struct engine_fixture *f = *state;
    const uint64_t lease = lease_out(f, 1);
    const struct {
        int code;
        const char *runs;
    } cases[] = {
        {ZSP_EBAD_VALUE, "[]"},
        {ZSP_EBAD_TYPE, "[7]"},
        {ZSP_EBAD_VALUE, "[['t', 0, 0, 1, 9, 'eat']]"},
        {ZSP_EBAD_VALUE, "[['t', 0, 1, 18446744073709551615, 9, 'ack']]"},
        {ZSP_EBAD_VALUE, "[['t', 0, 0, 1, 9, 'extend', {'ms': 86400001}]]"},
        {ZSP_EBAD_VALUE, "[['t', 0, 0, 1, 9, 'retry', {'delay_ms': 31536000001}]]"},
        {ZSP_EUNKNOWN_ARGUMENT, "[['t', 0, 0, 1, 9, 'retry', {'soon': 1}]]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *args = fixture_format("{'group': 'g', 'runs': %s}", cases[i].runs);
        fixture_error(f, cases[i].code, "SETTLE", args, NULL);
    }
    fixture_error(f, ZSP_ENOT_FOUND, "SETTLE", "{'group': 'x', 'runs': [['t', 0, 0, 1, 9, 'ack']]}",
                  NULL);
    /* What comes before the bad run of a request is not applied either. */
    fixture_error(f, ZSP_EBAD_VALUE, "SETTLE",
                  fixture_format("{'group': 'g', 'runs': [['t', 0, 0, 1, %" PRIu64
                                 ", 'ack'], ['t', 0, 0, 1, 9, 'eat']]}",
                                 lease),
                  NULL);
    assert_string_equal(steps_part(f, "t", 0), "0 1 0 1 0 0");
}

/* A request that releases the even ones of a thousand messages; ends in NUL. */
static void release_every_second(struct zsp_writer *out, unsigned first, uint64_t lease)
{
    zsp_write_bytes(out, zsp_slice_str("{'group': 'g', 'runs': ["));
    for (unsigned i = 0; i < 1000; i += 2) {
        zsp_write_bytes(out,
                        zsp_slice_str(fixture_format("%s['t', 0, %u, 1, %" PRIu64 ", 'release']",
                                                     i > 0 ? ", " : "", first + i, lease)));
    }
    zsp_write_bytes(out, zsp_slice_str("]}"));
    zsp_write_u8(out, 0);
}

/* Goal: an answer that would not fit a header is refused before anything happens. Method: of
 * 60,000 messages every second is another lease's. */
static void an_answer_that_would_not_fit_is_refused(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish(f, "t", 60000);
    const uint64_t lease = steps_pull(f, 60000)->lease;
    for (unsigned i = 0; i < 60000; i += 1000) {
        struct zsp_writer args = {0};
        release_every_second(&args, i, lease);
        fixture_ok(f, "SETTLE", (const char *)args.data, NULL);
        zsp_writer_fini(&args);
    }
    const char *all =
        fixture_format("{'group': 'g', 'runs': [['t', 0, 0, 60000, %" PRIu64 ", 'ack']]}", lease);
    fixture_error(f, ZSP_ETOO_LARGE, "SETTLE", all, NULL);
    assert_string_equal(steps_part(f, "t", 0), "0 60000 30000 30000 0 0");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(runs_reach_over_a_bounded_number_of_stretches),
        TEST(an_ack_is_done_for_good),
        TEST(an_ack_that_a_commit_did_is_told_when_that_is_synced),
        TEST(an_ack_waits_for_its_sync),
        TEST(repeated_outcomes_are_done),
        TEST(a_retry_is_remembered_while_the_next_one_works),
        TEST(another_lease_proves_nothing),
        TEST(what_was_never_out_is_unknown),
        TEST(every_run_is_answered),
        TEST(a_run_may_reach_over_blocks),
        TEST(outcomes_of_one_request_see_each_other),
        TEST(retries_wait_longer_each_time),
        TEST(retry_times_survive_a_restart),
        TEST(a_dead_message_stays_readable),
        TEST(a_full_journal_settles_nothing),
        TEST(extending_and_starting_wait_for_nothing),
        TEST(an_extended_lease_lasts),
        cmocka_unit_test(long_reasons_are_cut_between_characters),
        TEST(bad_requests_are_refused),
        TEST(an_answer_that_would_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
