/* SPDX-License-Identifier: MPL-2.0
 *
 * READ: positions, limits, long poll, damage, retention under way.
 */
#include "common/limits.h"
#include "tests/broker/engine/engine_fixture.h"
#include "tests/common/testing.h"

#define FROM_START "{'topic': 'orders', 'from': 'earliest'}"

/* Offsets 0..5: "a b" at second 0, "c d e" at second 1, "f" at second 2. */
static int set_up(void **state)
{
    (void)fixture_set_up(state);
    struct engine_fixture *const f = *state;
    fixture_ok(f, "PUBLISH", "{'topic': 'orders'}", "[[b'a'], [b'b']]");
    fixture_advance(f, 1000);
    fixture_ok(f, "PUBLISH", "{'topic': 'orders'}", "[[b'c'], [b'd'], [b'e']]");
    fixture_advance(f, 1000);
    fixture_ok(f, "PUBLISH", "{'topic': 'orders'}", "[[b'f']]");
    return 0;
}

/* Read with further arguments and compare payloads, next and reason. */
static void expect_read(struct engine_fixture *f, const char *args, const char *payloads,
                        uint64_t next, const char *reason)
{
    const struct answer *const a =
        fixture_ok(f, "READ", fixture_format("{'topic': 'orders', %s}", args), NULL);
    if (strcmp(fixture_payloads(a), payloads) != 0 || fixture_number(a, "next") != next ||
        strcmp(fixture_text(a, "reason"), reason) != 0) {
        fail_msg("READ %s: wanted \"%s\" next %d reason %s, got \"%s\" %s", args, payloads,
                 (int)next, reason, fixture_payloads(a), a->text);
    }
}

/* --- positions ------------------------------------------------------------------------ */

static void every_position_begins_where_it_says(void **state)
{
    struct engine_fixture *const f = *state;
    expect_read(f, "'from': 'earliest'", "a b c d e f", 6, "end");
    expect_read(f, "'from': 'latest'", "", 6, "end");
    expect_read(f, "'from': ['offset', 3]", "d e f", 6, "end");
    expect_read(f, "'from': ['offset', 6]", "", 6, "end");
    expect_read(f, "'from': ['last', 2]", "e f", 6, "end");
    expect_read(f, "'from': ['last', 0]", "", 6, "end");
    expect_read(f, "'from': ['last', 100]", "a b c d e f", 6, "end");
    expect_read(f, "'from': ['time', 1700000001000]", "c d e f", 6, "end");
    expect_read(f, "'from': ['time', 1700000001001]", "f", 6, "end");
    expect_read(f, "'from': ['time', 1]", "a b c d e f", 6, "end");
    expect_read(f, "'from': ['time', 1800000000000]", "", 6, "end");
    expect_read(f, "'from': ['ago', 1000]", "c d e f", 6, "end");
    expect_read(f, "'from': ['ago', 9000000000000000000]", "a b c d e f", 6, "end");
}

static void every_position_ends_where_it_says(void **state)
{
    struct engine_fixture *const f = *state;
    expect_read(f, "'from': 'earliest', 'to': ['offset', 4]", "a b c d", 4, "end");
    expect_read(f, "'from': 'earliest', 'to': ['offset', 0]", "", 0, "end");
    expect_read(f, "'from': ['offset', 3], 'to': ['offset', 2]", "", 3, "end");
    expect_read(f, "'from': 'earliest', 'to': ['time', 1700000002000]", "a b c d e", 5, "end");
    expect_read(f, "'from': ['ago', 1500], 'to': ['ago', 500]", "c d e", 5, "end");
    expect_read(f, "'from': 'earliest', 'to': 'latest'", "a b c d e f", 6, "end");
    expect_read(f, "'from': 'earliest', 'to': ['last', 1]", "a b c d e", 5, "end");
    expect_read(f, "'from': ['offset', 5], 'to': ['offset', 100]", "f", 6, "end");
}

static void an_explicit_offset_outside_is_an_error(void **state)
{
    struct engine_fixture *const f = *state;
    const struct answer *const a = fixture_error(
        f, ZSP_EOUT_OF_RANGE, "READ", "{'topic': 'orders', 'from': ['offset', 7]}", NULL);
    assert_string_equal(a->error.wanted, "0..6");
    assert_string_equal(a->error.got, "7");
    assert_string_equal(a->error.object, "topic orders");
}

static void wrong_arguments_are_refused(void **state)
{
    struct engine_fixture *const f = *state;
    static const struct {
        const char *args;
        int code;
    } cases[] = {
        {"{'topic': 'orders'}", ZSP_EBAD_VALUE},
        {"{'from': 'earliest'}", ZSP_EBAD_VALUE},
        {"{'topic': 'none', 'from': 'earliest'}", ZSP_ENOT_FOUND},
        {"{'topic': 'orders', 'from': 'earliest', 'partition': 1}", ZSP_ENOT_FOUND},
        {"{'topic': 'orders', 'from': 'sometime'}", ZSP_EBAD_VALUE},
        {"{'topic': 'orders', 'from': ['id', 'x']}", ZSP_EUNSUPPORTED},
        {"{'topic': 'orders', 'from': 'earliest', 'to': ['id', 'x']}", ZSP_EUNSUPPORTED},
        {"{'topic': 'orders', 'from': 'earliest', 'accept': 'zstd'}", ZSP_EBAD_TYPE},
        {"{'topic': 'orders', 'from': 'earliest', 'parts': 1}", ZSP_EBAD_TYPE},
        {"{'topic': 'orders', 'from': 'earliest', 'max_messages': 0}", ZSP_EBAD_VALUE},
        {"{'topic': 'orders', 'from': 'earliest', 'max_bytes': 0}", ZSP_EBAD_VALUE},
        {"{'topic': 'orders', 'from': 'earliest', 'max_bytes': 16777217}", ZSP_EBAD_VALUE},
        {"{'topic': 'orders', 'from': 'earliest', 'wait_ms': 60001}", ZSP_EBAD_VALUE},
        {"{'topic': 'orders', 'from': 'earliest', 'group': 'g'}", ZSP_EUNKNOWN_ARGUMENT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture_error(f, cases[i].code, "READ", cases[i].args, NULL);
    }
}

/* --- limits -------------------------------------------------------------------------------- */

static void the_number_of_messages_is_exact(void **state)
{
    struct engine_fixture *const f = *state;
    expect_read(f, "'from': 'earliest', 'max_messages': 1", "a", 1, "limit");
    expect_read(f, "'from': 'earliest', 'max_messages': 2", "a b", 2, "limit");
    expect_read(f, "'from': 'earliest', 'max_messages': 4", "a b c d", 4, "limit");
    expect_read(f, "'from': ['offset', 1], 'max_messages': 3", "b c d", 4, "limit");
    expect_read(f, "'from': 'earliest', 'max_messages': 7", "a b c d e f", 6, "end");
}

/* A record of one byte takes eight bytes here: the array's head of five, the binary's of two. */
static void bytes_are_a_limit_too_but_the_first_message_always_fits(void **state)
{
    struct engine_fixture *const f = *state;
    expect_read(f, "'from': 'earliest', 'max_bytes': 1", "a", 1, "limit");
    expect_read(f, "'from': 'earliest', 'max_bytes': 15", "a", 1, "limit");
    expect_read(f, "'from': 'earliest', 'max_bytes': 16", "a b", 2, "limit");
    expect_read(f, "'from': 'earliest', 'max_bytes': 24", "a b c", 3, "limit");
    expect_read(f, "'from': ['offset', 3], 'max_bytes': 1", "d", 4, "limit");
}

/* Behind a batch of 80 bytes: the next one is not cut for the last 8 of 88 bytes, and is for the last 12
 * of 92. */
static void a_batch_is_not_cut_for_the_last_eighth_of_a_reply(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "PUBLISH", "{'topic': 'orders'}",
               "[[b'g'], [b'h'], [b'i'], [b'j'], [b'k'], [b'l'], [b'm'], [b'n'], [b'o'], [b'p']]");
    fixture_ok(f, "PUBLISH", "{'topic': 'orders'}", "[[b'q'], [b'r']]");
    expect_read(f, "'from': ['offset', 6], 'max_bytes': 88", "g h i j k l m n o p", 16, "limit");
    expect_read(f, "'from': ['offset', 6], 'max_bytes': 92", "g h i j k l m n o p q", 17, "limit");
    expect_read(f, "'from': ['offset', 16], 'max_bytes': 8", "q", 17, "limit");
}

/* A run stays inside one stored batch and tells its time. */
static void runs_tell_where_each_batch_lies(void **state)
{
    struct engine_fixture *const f = *state;
    const struct answer *const a =
        fixture_ok(f, "READ", "{'topic': 'orders', 'from': ['offset', 1]}", NULL);
    assert_string_equal(fixture_value(a, "runs"), "[[\"orders\", 0, 1, 1, nil, 1700000000000], "
                                                  "[\"orders\", 0, 2, 3, nil, 1700000001000], "
                                                  "[\"orders\", 0, 5, 1, nil, 1700000002000]]");
    assert_int_equal(fixture_number(a, "start"), 0);
    assert_int_equal(fixture_number(a, "end"), 6);
    assert_int_equal(a->part_count, 3);
}

/* --- waiting --------------------------------------------------------------------------------- */

static uint64_t poll(struct engine_fixture *f)
{
    const uint64_t ticket =
        fixture_send(f, "READ", "{'topic': 'orders', 'from': 'latest', 'wait_ms': 5000}", NULL);
    fixture_pump(f);
    assert_null(fixture_answer(f, ticket));
    return ticket;
}

static void a_waiting_reader_gets_what_comes(void **state)
{
    struct engine_fixture *const f = *state;
    const uint64_t first = poll(f);
    const uint64_t second = poll(f);
    fixture_ok(f, "PUBLISH", "{'topic': 'orders'}", "[[b'g']]");
    assert_string_equal(fixture_payloads(fixture_answer(f, first)), "g");
    assert_string_equal(fixture_payloads(fixture_answer(f, second)), "g");
    assert_int_equal(fixture_number(fixture_answer(f, first), "next"), 7);
}

static void a_waiting_reader_is_told_when_its_time_is_over(void **state)
{
    struct engine_fixture *const f = *state;
    const uint64_t ticket = poll(f);
    fixture_advance(f, 4999);
    assert_null(fixture_answer(f, ticket));
    fixture_advance(f, 1);
    assert_string_equal(fixture_text(fixture_answer(f, ticket), "reason"), "timeout");
    assert_string_equal(fixture_value(fixture_answer(f, ticket), "runs"), "[]");
}

/* The end that a reader named may lie ahead: it waits for it. */
static void a_reader_waits_for_an_end_ahead(void **state)
{
    struct engine_fixture *const f = *state;
    const uint64_t ticket = fixture_send(
        f, "READ",
        "{'topic': 'orders', 'from': ['offset', 6], 'to': ['offset', 7], 'wait_ms': 5000}", NULL);
    fixture_pump(f);
    assert_null(fixture_answer(f, ticket));
    fixture_ok(f, "PUBLISH", "{'topic': 'orders'}", "[[b'g'], [b'h']]");
    assert_string_equal(fixture_payloads(fixture_answer(f, ticket)), "g");
    assert_string_equal(fixture_text(fixture_answer(f, ticket), "reason"), "end");
}

static void a_drain_ends_all_waits(void **state)
{
    struct engine_fixture *const f = *state;
    const uint64_t ticket = poll(f);
    engine_drain(f->engine, f->now);
    fixture_pump(f);
    assert_string_equal(fixture_text(fixture_answer(f, ticket), "reason"), "shutting_down");
    assert_false(engine_busy(f->engine));
}

/* Whoever gave up gets nothing, and nothing waits for him. */
static void an_abandoned_reader_is_not_answered(void **state)
{
    struct engine_fixture *const f = *state;
    const uint64_t ticket = poll(f);
    engine_abandon(f->engine, f->now, ticket);
    engine_abandon(f->engine, f->now, ticket);
    assert_false(engine_busy(f->engine));
    fixture_ok(f, "PUBLISH", "{'topic': 'orders'}", "[[b'g']]");
    fixture_advance(f, 6000);
    assert_null(fixture_answer(f, ticket));
}

static void an_abandoned_reader_at_work_is_not_answered(void **state)
{
    struct engine_fixture *const f = *state;
    mem_store_hold(f->mem, MEM_READS);
    const uint64_t reading = fixture_send(f, "READ", FROM_START, NULL);
    const uint64_t locating =
        fixture_send(f, "READ", "{'topic': 'orders', 'from': ['ago', 1000]}", NULL);
    fixture_pump(f);
    engine_abandon(f->engine, f->now, reading);
    engine_abandon(f->engine, f->now, locating);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_null(fixture_answer(f, reading));
    assert_null(fixture_answer(f, locating));
    assert_false(engine_busy(f->engine));
}

/* With a session all its waits end, and only its. */
static void a_session_takes_its_readers_along(void **state)
{
    struct engine_fixture *const f = *state;
    f->session = 7;
    const uint64_t first = poll(f);
    const uint64_t second = poll(f);
    f->session = 8;
    const uint64_t other = poll(f);
    engine_session_end(f->engine, f->now, 7, ENGINE_SESSION_OVER);
    f->session = 0;
    fixture_ok(f, "PUBLISH", "{'topic': 'orders'}", "[[b'g']]");
    assert_null(fixture_answer(f, first));
    assert_null(fixture_answer(f, second));
    assert_string_equal(fixture_payloads(fixture_answer(f, other)), "g");
}

/* The time may end while the store reads: what comes then is the answer. */
static void a_wait_that_ends_while_the_store_reads_is_answered_then(void **state)
{
    struct engine_fixture *const f = *state;
    const uint64_t ticket = poll(f);
    mem_store_hold(f->mem, MEM_READS);
    fixture_ok(f, "PUBLISH", "{'topic': 'orders'}", "[[b'g']]");
    fixture_advance(f, 6000);
    assert_null(fixture_answer(f, ticket));
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_string_equal(fixture_payloads(fixture_answer(f, ticket)), "g");
}

static void a_deleted_topic_ends_its_readers(void **state)
{
    struct engine_fixture *const f = *state;
    const uint64_t waiting = poll(f);
    mem_store_hold(f->mem, MEM_READS);
    const uint64_t reading = fixture_send(f, "READ", FROM_START, NULL);
    fixture_pump(f);
    fixture_ok(f, "TOPIC.DELETE", "{'topic': 'orders'}", NULL);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, waiting)->code, ZSP_ENOT_FOUND);
    assert_int_equal(fixture_answer(f, reading)->code, ZSP_ENOT_FOUND);
}

/* --- what is not there -------------------------------------------------------------------------- */

/* Damage is named with its range, and reading goes on behind it. */
static void damage_is_named_and_can_be_read_past(void **state)
{
    struct engine_fixture *const f = *state;
    mem_store_damage(f->mem, 1, 0, (struct store_range){2, 5});
    const struct answer *const a = fixture_ok(f, "READ", FROM_START, NULL);
    assert_string_equal(fixture_payloads(a), "a b");
    assert_string_equal(fixture_text(a, "reason"), "corrupt");
    assert_string_equal(fixture_value(a, "corrupt"), "[2, 5]");
    assert_int_equal(fixture_number(a, "next"), 5);
    expect_read(f, "'from': ['offset', 5]", "f", 6, "end");
    expect_read(f, "'from': ['offset', 3]", "", 5, "corrupt");
}

/* Offsets that retention took are out of range by number; names clamp. */
static void what_retention_took_is_out_of_range(void **state)
{
    struct engine_fixture *const f = *state;
    mem_store_segment_batches(f->mem, 1);
    fixture_ok(f, "TOPIC.SET", "{'topic': 'orders', 'settings': {'retention_time_ms': 9000}}",
               NULL);
    fixture_ok(f, "PUBLISH", "{'topic': 'orders'}", "[[b'g']]");
    fixture_advance(f, 10001);
    fixture_ok(f, "PUBLISH", "{'topic': 'orders'}", "[[b'h']]");
    const struct answer *const a = fixture_ok(f, "READ", FROM_START, NULL);
    assert_true(fixture_number(a, "start") > 0);
    fixture_error(f, ZSP_EOUT_OF_RANGE, "READ", "{'topic': 'orders', 'from': ['offset', 0]}", NULL);
    expect_read(f, "'from': ['last', 1]", "h", 8, "end");
}

/* A reader on its way when retention strikes: numbers are an error, names go on. */
static void retention_may_overtake_a_reader(void **state)
{
    struct engine_fixture *const f = *state;
    mem_store_segment_batches(f->mem, 1);
    fixture_ok(f, "TOPIC.SET", "{'topic': 'orders', 'settings': {'retention_time_ms': 9000}}",
               NULL);
    fixture_ok(f, "PUBLISH", "{'topic': 'orders'}", "[[b'g']]");
    fixture_advance(f, 9500);
    mem_store_hold(f->mem, MEM_READS);
    fixture_leap(f, 501); /* the retain is queued before the reads */
    const uint64_t by_name = fixture_send(f, "READ", FROM_START, NULL);
    const uint64_t by_number =
        fixture_send(f, "READ", "{'topic': 'orders', 'from': ['offset', 0]}", NULL);
    fixture_pump(f);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, by_name)->code, ZSP_OK);
    assert_true(strstr(fixture_payloads(fixture_answer(f, by_name)), "g") != NULL);
    assert_int_equal(fixture_answer(f, by_number)->code, ZSP_EOUT_OF_RANGE);
}

/* Retention strikes when a first batch was gathered, whether `from` is a name or a number: what went
 * is passed over, what is kept is read on. */
static void retention_between_two_batches_is_passed_over(void **state)
{
    struct engine_fixture *const f = *state;
    uint64_t tickets[2];
    mem_store_segment_batches(f->mem, 1);
    fixture_advance(f, 17500);
    fixture_ok(f, "TOPIC.SET", "{'topic': 'orders', 'settings': {'retention_time_ms': 9000}}",
               NULL);
    fixture_ok(f, "PUBLISH", "{'topic': 'orders'}", "[[b'g']]");
    mem_store_hold(f->mem, MEM_READS);
    /* The first read of the store brings "a b", which leaves room. */
    tickets[0] =
        fixture_send(f, "READ", "{'topic': 'orders', 'from': 'earliest', 'max_bytes': 24}", NULL);
    tickets[1] = fixture_send(f, "READ",
                              "{'topic': 'orders', 'from': ['offset', 0], 'max_bytes': 24}", NULL);
    fixture_leap(f, 501); /* the retain is queued behind the reads */
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    for (int i = 0; i < 2; i++) {
        const struct answer *const a = fixture_answer(f, tickets[i]);
        assert_int_equal(fixture_number(a, "start"), 6);
        assert_string_equal(fixture_payloads(a), "a b g");
        assert_int_equal(fixture_number(a, "next"), 7);
        assert_string_equal(fixture_text(a, "reason"), "end");
    }
}

/* Reading never makes or changes a group. */
static void reading_leaves_no_trace(void **state)
{
    struct engine_fixture *const f = *state;
    const size_t before = mem_store_record_count(f->mem);
    expect_read(f, "'from': 'earliest'", "a b c d e f", 6, "end");
    assert_int_equal(mem_store_record_count(f->mem), before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fixture_tear_down)

/* A reply that is full and reaches the mark says so: no further round trip is needed. */
static void the_last_message_ends_a_full_reply(void **state)
{
    struct engine_fixture *const f = *state;
    expect_read(f, "'from': 'earliest', 'max_messages': 6", "a b c d e f", 6, "end");
    expect_read(f, "'from': 'earliest', 'max_messages': 5", "a b c d e", 5, "limit");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_position_begins_where_it_says),
        TEST(every_position_ends_where_it_says),
        TEST(an_explicit_offset_outside_is_an_error),
        TEST(wrong_arguments_are_refused),
        TEST(the_number_of_messages_is_exact),
        TEST(bytes_are_a_limit_too_but_the_first_message_always_fits),
        TEST(a_batch_is_not_cut_for_the_last_eighth_of_a_reply),
        TEST(runs_tell_where_each_batch_lies),
        TEST(a_waiting_reader_gets_what_comes),
        TEST(a_waiting_reader_is_told_when_its_time_is_over),
        TEST(a_reader_waits_for_an_end_ahead),
        TEST(a_drain_ends_all_waits),
        TEST(an_abandoned_reader_is_not_answered),
        TEST(an_abandoned_reader_at_work_is_not_answered),
        TEST(a_session_takes_its_readers_along),
        TEST(a_wait_that_ends_while_the_store_reads_is_answered_then),
        TEST(a_deleted_topic_ends_its_readers),
        TEST(damage_is_named_and_can_be_read_past),
        TEST(what_retention_took_is_out_of_range),
        TEST(the_last_message_ends_a_full_reply),
        TEST(retention_may_overtake_a_reader),
        TEST(retention_between_two_batches_is_passed_over),
        TEST(reading_leaves_no_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
