/* SPDX-License-Identifier: MPL-2.0
 *
 * A PUBLISH that brings many batches: each has its own fate, told in its row. A record [b'a'] has 8
 * bytes here.
 */
#include "common/limits.h"
#include "tests/broker/engine/engine_fixture.h"
#include "tests/common/testing.h"

static int set_up(void **state)
{
    const int rc = fixture_set_up(state);
    struct engine_fixture *const f = *state;
    f->session = 5;
    return rc;
}

static const char *payloads_of(struct engine_fixture *f, const char *topic)
{
    return fixture_payloads(
        fixture_ok(f, "READ", fixture_format("{'topic': '%s', 'from': 'earliest'}", topic), NULL));
}

static void create(struct engine_fixture *f, const char *topic)
{
    fixture_ok(f, "TOPIC.CREATE", fixture_format("{'topic': '%s'}", topic), NULL);
}

/* --- what is refused as a whole --------------------------------------------------------- */

/* What cannot be read is refused before anything happens. */
static void a_request_that_cannot_be_read_is_refused_whole(void **state)
{
    struct engine_fixture *const f = *state;
    static const struct {
        const char *args;
        int code;
    } cases[] = {
        {"{'batches': 7}", ZSP_EBAD_TYPE},
        {"{'batches': []}", ZSP_EBAD_VALUE},
        {"{'batches': [['a', 8], ['b', 8]], 'topic': 'a'}", ZSP_EUNKNOWN_ARGUMENT},
        {"{'batches': [['a', 8], ['b', 8]], 'seq': 1}", ZSP_EUNKNOWN_ARGUMENT},
        {"{'batches': [['a', 8], ['b', 8]], 'level': 'fast'}", ZSP_EBAD_VALUE},
        {"{'batches': [['a', 8], ['b', 8]], 'epoch': 1}", ZSP_EBAD_VALUE},
        {"{'batches': [['a', 8], ['b', 8]], 'producer': 'p', 'epoch': 1}", ZSP_ENOT_FOUND},
        {"{'batches': [['a', 8], 7]}", ZSP_EBAD_TYPE},
        {"{'batches': [['a', 8], ['b']]}", ZSP_EBAD_TYPE},
        {"{'batches': [['a', 8], [7, 8]]}", ZSP_EBAD_TYPE},
        {"{'batches': [['a', 8], ['../b', 8]]}", ZSP_EBAD_NAME},
        {"{'batches': [['a', 8], ['b', 'x']]}", ZSP_EBAD_TYPE},
        {"{'batches': [['a', 8], ['b', null]]}", ZSP_EBAD_VALUE},
        {"{'batches': [['a', 8], ['b', 0]]}", ZSP_EBAD_VALUE},
        {"{'batches': [['a', 8], ['b', 7]]}", ZSP_EBAD_VALUE},
        {"{'batches': [['a', 8], ['b', 9]]}", ZSP_EBAD_VALUE},
        {"{'batches': [['a', 8], ['b', 18446744073709551615]]}", ZSP_EBAD_VALUE},
        {"{'batches': [['a', 8], ['b', 8, 1024]]}", ZSP_EBAD_VALUE},
        {"{'batches': [['a', 8], ['b', 8, 0, 0]]}", ZSP_EBAD_VALUE},
        {"{'batches': [['a', 8], ['b', 8, 0, 1, 0]]}", ZSP_EBAD_VALUE},
        {"{'batches': [['a', 8], ['b', 8, 0, 1, null, 0]]}", ZSP_EBAD_VALUE},
        {"{'batches': [['a', 8], ['b', 8, 0, 1, null, null, 7]]}", ZSP_EBAD_TYPE},
        {"{'batches': [['a', 8], ['b', 8, 0, 1, null, null, {'topic': 'b'}]]}",
         ZSP_EUNKNOWN_ARGUMENT},
        {"{'batches': [['a', 8], ['b', 8, 0, 1, null, null, {}, 7]]}", ZSP_EBAD_TYPE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture_error(f, cases[i].code, "PUBLISH", cases[i].args, "[[b'a'], [b'b']]");
    }
    f->session = 0;
    fixture_error(f, ZSP_EBAD_REQUEST, "PUBLISH", "{'batches': [['a', 8], ['b', 8]]}",
                  "[[b'a'], [b'b']]");
    fixture_error(f, ZSP_ENOT_FOUND, "TOPIC.INFO", "{'topic': 'a'}", NULL);
}

/* --- rows --------------------------------------------------------------------------------- */

/* Each batch goes to its topic, in order, and is told where. */
static void every_batch_has_a_row(void **state)
{
    struct engine_fixture *const f = *state;
    create(f, "a");
    create(f, "b");
    const struct answer *const a =
        fixture_ok(f, "PUBLISH", "{'batches': [['a', 16, 0, 2], ['b', 8], ['a', 8, null, 1]]}",
                   "[[b'1'], [b'2'], [b'3'], [b'4']]");
    const char *const rows = fixture_value(a, "rows");
    assert_non_null(strstr(rows, "[0, [[0, 2, 0, 0, false]]]"));
    assert_non_null(strstr(rows, "[1, [[0, 1, 0, 0, false]]]"));
    assert_non_null(strstr(rows, "[2, [[0, 1, 0, 2, false]]]"));
    assert_string_equal(fixture_text(a, "level"), "synced");
    assert_int_equal(fixture_number(a, "timestamp_ms"), f->now.wall_ms);
    assert_int_equal(a->more_count, 0);
    assert_string_equal(payloads_of(f, "a"), "1 2 4");
    assert_string_equal(payloads_of(f, "b"), "3");
}

/* A batch that is refused has its own error; its neighbours are taken. */
static void a_refused_batch_leaves_its_neighbours_alone(void **state)
{
    struct engine_fixture *const f = *state;
    create(f, "a");
    const struct answer *const a = fixture_ok(
        f, "PUBLISH", "{'batches': [['a', 8], ['a', 8, 7], ['a', 8, 0, 2], ['a', 7], ['a', 8]]}",
        "[[b'1'], [b'2'], [b'3'], ['x'], [b'4']]");
    const char *const rows = fixture_value(a, "rows");
    assert_non_null(strstr(rows, "[0, [[0, 1, 0, 0, false]]]"));
    assert_non_null(strstr(rows, "[4, [[0, 1, 0, 1, false]]]"));
    assert_non_null(strstr(rows, "[1, nil, {\"code\": \"not_found\""));
    assert_non_null(strstr(rows, "[2, nil, {\"code\": \"count_mismatch\""));
    assert_non_null(strstr(rows, "[3, nil, {\"code\": \"bad_record\""));
    assert_null(strstr(rows, "maybe"));
    assert_string_equal(payloads_of(f, "a"), "1 4");
}

/* What a single PUBLISH may say of its records, a batch may say in its last element. */
static void a_batch_has_terms_of_its_own(void **state)
{
    struct engine_fixture *const f = *state;
    create(f, "a");
    fixture_ok(f, "PUBLISH",
               "{'batches': [['a', 8, 0, 1, null, null, {'priority': 1}],"
               " ['a', 8, 0, 1, null, 1, {'priority': 8}]]}",
               "[[b'1'], [b'2']]");
    const struct answer *const a =
        fixture_ok(f, "PULL", "{'group': 'g', 'topics': ['a'], 'max_messages': 1}", NULL);
    assert_string_equal(fixture_payloads(a), "2");
}

/* Level written: all rows before the sync. */
static void written_batches_are_confirmed_before_the_sync(void **state)
{
    struct engine_fixture *const f = *state;
    create(f, "a");
    create(f, "b");
    mem_store_hold(f->mem, MEM_SYNCS);
    const struct answer *const a = fixture_ok(
        f, "PUBLISH", "{'batches': [['a', 8], ['b', 8]], 'level': 'written'}", "[[b'1'], [b'2']]");
    assert_string_equal(fixture_text(a, "level"), "written");
    mem_store_sync_all(f->mem);
    fixture_pump(f);
}

/* --- sequences --------------------------------------------------------------------------- */

/* Sequences are those of each partition; a repetition is told, a gap refuses its batch alone. */
static void sequences_are_each_partitions_own(void **state)
{
    struct engine_fixture *const f = *state;
    create(f, "a");
    create(f, "b");
    fixture_ok(f, "PRODUCER.OPEN", "{'producer': 'p'}", NULL);
    const char *const args = "{'batches': [['a', 16, 0, 2, 1], ['b', 8, 0, 1, 1]],"
                             " 'producer': 'p', 'epoch': 1}";
    fixture_ok(f, "PUBLISH", args, "[[b'1'], [b'2'], [b'3']]");
    const struct answer *a = fixture_ok(f, "PUBLISH", args, "[[b'1'], [b'2'], [b'3']]");
    assert_string_equal(fixture_value(a, "rows"),
                        "[[0, [[0, 2, 0, 0, true]]], [1, [[0, 1, 0, 0, true]]]]");
    a = fixture_ok(f, "PUBLISH",
                   "{'batches': [['a', 8, 0, 1, 5], ['b', 8, 0, 1, 2], ['b', 8, 0, 1],"
                   " ['b', 8, null, 1, 3]], 'producer': 'p', 'epoch': 1}",
                   "[[b'9'], [b'4'], [b'5'], [b'6']]");
    const char *const rows = fixture_value(a, "rows");
    assert_non_null(strstr(rows, "[0, nil, {\"code\": \"sequence_gap\""));
    assert_non_null(strstr(rows, "[1, [[0, 1, 0, 1, false]]]"));
    assert_non_null(strstr(rows, "[2, nil, {\"code\": \"bad_value\""));
    assert_non_null(strstr(rows, "[3, nil, {\"code\": \"bad_value\""));
    assert_string_equal(payloads_of(f, "a"), "1 2");
    assert_string_equal(payloads_of(f, "b"), "3 4");
    fixture_ok(f, "PRODUCER.OPEN", "{'producer': 'p'}", NULL);
    fixture_error(f, ZSP_EFENCED_PRODUCER, "PUBLISH", args, "[[b'1'], [b'2'], [b'3']]");
}

/* --- parts --------------------------------------------------------------------------------- */

/* A batch whose topic is yet to be made does not hold up the others: their rows come before it. */
static void rows_do_not_wait_for_slower_ones(void **state)
{
    struct engine_fixture *const f = *state;
    create(f, "a");
    mem_store_hold(f->mem, MEM_TOPICS);
    const uint64_t ticket =
        fixture_send(f, "PUBLISH", "{'batches': [['b', 8], ['a', 8]]}", "[[b'1'], [b'2']]");
    fixture_pump(f);
    assert_null(fixture_answer(f, ticket));
    const char *const so_far = fixture_parts_so_far(f, ticket);
    assert_non_null(strstr(so_far, "\"rows\": [[1, [[0, 1, 0, 0, false]]]]"));
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    const struct answer *const a = fixture_answer(f, ticket);
    assert_int_equal(a->more_count, 1);
    assert_string_equal(fixture_value(a, "rows"), "[[0, [[0, 1, 0, 0, false]]]]");
}

/* Errors of a thousand batches take more than a header holds: they come in several. */
static void long_answers_come_in_parts(void **state)
{
    struct engine_fixture *const f = *state;
    create(f, "a");
    struct zsp_writer args = {0};
    struct zsp_writer body = {0};
    zsp_write_bytes(&args, zsp_slice_str("{'batches': ["));
    for (size_t i = 0; i < ZSP_BATCHES_MAX; i++) {
        zsp_write_bytes(&args, zsp_slice_str(i == 0 ? "['a', 2]" : ", ['a', 2]"));
        zsp_write_bytes(&body, zsp_slice_str("\x91\x07"));
    }
    zsp_write_bytes(&args, (struct zsp_slice){(const uint8_t *)"]}", 3});
    const uint64_t ticket =
        fixture_send_bytes(f, "PUBLISH", (const char *)args.data, zsp_writer_slice(&body));
    zsp_writer_fini(&args);
    zsp_writer_fini(&body);
    for (unsigned i = 0; !fixture_answer(f, ticket) && i < 10; i++) {
        fixture_pump(f);
    }
    assert_int_equal(fixture_answer(f, ticket)->code, ZSP_OK);
    assert_true(fixture_answer(f, ticket)->more_count > 0);
}

/* --- ends ---------------------------------------------------------------------------------- */

/* When the storage fails, whatever is not told yet gets one error with maybe. */
static void a_failed_sync_answers_what_is_left(void **state)
{
    struct engine_fixture *const f = *state;
    create(f, "a");
    create(f, "b");
    mem_store_fail_next_sync(f->mem);
    const uint64_t ticket =
        fixture_send(f, "PUBLISH", "{'batches': [['a', 8], ['b', 8]]}", "[[b'1'], [b'2']]");
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, ticket)->code, ZSP_ESTORAGE_FAILED);
    assert_true(fixture_answer(f, ticket)->error.maybe);
}

/* Batches at work when the engine ends are freed with it. */
static void the_engine_may_end_with_batches_at_work(void **state)
{
    struct engine_fixture *const f = *state;
    create(f, "a");
    mem_store_hold(f->mem, MEM_SYNCS | MEM_TOPICS);
    (void)fixture_send(f, "PUBLISH", "{'batches': [['a', 8], ['b', 8]]}", "[[b'1'], [b'2']]");
    fixture_pump(f);
    mem_store_hold(f->mem, 0);
    fixture_restart(f, MEM_KEEP_SYNCED);
    fixture_ok(f, "PUBLISH", "{'batches': [['a', 8]]}", "[[b'3']]");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_that_cannot_be_read_is_refused_whole),
        TEST(every_batch_has_a_row),
        TEST(a_refused_batch_leaves_its_neighbours_alone),
        TEST(a_batch_has_terms_of_its_own),
        TEST(written_batches_are_confirmed_before_the_sync),
        TEST(sequences_are_each_partitions_own),
        TEST(rows_do_not_wait_for_slower_ones),
        TEST(long_answers_come_in_parts),
        TEST(a_failed_sync_answers_what_is_left),
        TEST(the_engine_may_end_with_batches_at_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
