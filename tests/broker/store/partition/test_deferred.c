/* SPDX-License-Identifier: MPL-2.0
 *
 * Writes to segments that are put off while many partitions are written to: who has them
 * written, and that nothing depends on it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "broker/store/log_store.h"
#include "broker/store/partition/deferred.h"
#include "tests/broker/store/log_case.h"
#include "tests/support/crash_fs.h"

#define TEXT_BYTES 3000u

/* Two partitions are many, and nothing is read from tail buffers. */
static int set_up(void **state)
{
    const int rc = log_case_set_up(state);
    struct log_case *c = *state;
    log_case_close(c);
    c->options.sync_files_max = 1;
    c->options.tail_bytes = 1;
    c->options.segment_bytes = 1u << 20;
    c->options.journal_bytes_min = 1u << 20; /* so much may be put off */
    assert_int_equal(log_case_open(c), 0);
    return rc;
}

static void append_to_both(struct log_case *c, const char *text)
{
    assert_int_equal(log_case_append(c, 0, text), 0);
    assert_int_equal(log_case_append(c, 1, text), 0);
    log_case_run(c);
}

static void append_long_to_both(struct log_case *c, int count)
{
    char text[TEXT_BYTES + 1];
    memset(text, 'x', TEXT_BYTES);
    text[TEXT_BYTES] = '\0';
    for (int i = 0; i < count; i++) {
        append_to_both(c, text);
    }
}

static void assert_holds(struct log_case *c, uint32_t partition, uint64_t offset, const char *text)
{
    assert_int_equal(log_case_read(c, partition, offset), 0);
    log_case_assert_body(c, 0, text);
}

static bool file_is_empty(struct log_case *c)
{
    return log_case_file_size(c, CASE_SEGMENT) == 0;
}

static void what_is_confirmed_need_not_be_in_its_segment(void **state)
{
    struct log_case *c = *state;
    append_to_both(c, "zero");
    append_to_both(c, "one");
    assert_int_equal(c->synced[0], 2);
    assert_int_equal(c->append_offset, 1);
    assert_true(file_is_empty(c));
    log_case_kill(c);
    crash_fs_power_loss(c->fs, 1);
    assert_int_equal(log_case_open(c), 0);
    assert_holds(c, 0, 0, "zero");
    assert_holds(c, 1, 1, "one");
}

static void a_reader_has_it_written(void **state)
{
    struct log_case *c = *state;
    append_to_both(c, "zero");
    append_to_both(c, "one");
    assert_holds(c, 0, 1, "one");
    assert_false(file_is_empty(c));
    append_to_both(c, "two");
    assert_holds(c, 0, 2, "two");
    assert_holds(c, 0, 0, "zero");
}

static void a_lot_of_one_partition_is_written(void **state)
{
    struct log_case *c = *state;
    append_long_to_both(c, DEFERRED_PART_BYTES / TEXT_BYTES / 2);
    assert_true(file_is_empty(c));
    append_long_to_both(c, DEFERRED_PART_BYTES / TEXT_BYTES / 2 + 2);
    assert_false(file_is_empty(c));
}

static void a_batch_that_goes_to_its_segment_comes_after_it(void **state)
{
    struct log_case *c = *state;
    append_to_both(c, "zero");
    c->store->ops->index_ids(c->store, c->parts[0], true); /* its batches are not put off */
    assert_int_equal(log_case_append(c, 0, "one"), 0);
    log_case_run(c);
    assert_int_equal(c->synced[0], 2);
    log_case_kill(c);
    crash_fs_power_loss(c->fs, 2);
    assert_int_equal(log_case_open(c), 0);
    assert_holds(c, 0, 0, "zero");
    assert_holds(c, 0, 1, "one");
}

static void a_search_for_ids_has_it_written(void **state)
{
    struct log_case *c = *state;
    append_to_both(c, "zero");
    c->store->ops->index_ids(c->store, c->parts[0], true);
    const uint64_t print = 5;
    const struct store_find_ids find = {.part = c->parts[0], .prints = &print, .count = 1};
    assert_int_equal(c->store->ops->find_ids(c->store, &find, NULL), 0);
    log_case_run(c);
    assert_int_equal(c->ids_code, 0);
    assert_false(file_is_empty(c));
}

static void a_question_about_priorities_has_it_written(void **state)
{
    struct log_case *c = *state;
    c->priority = 9;
    append_to_both(c, "zero");
    const struct store_read_terms read = {.part = c->parts[0], .to_offset = 1};
    assert_int_equal(c->store->ops->read_terms(c->store, &read, NULL), 0);
    log_case_run(c);
    assert_int_equal(c->terms.terms_count, 1);
}

static void a_question_about_priorities_of_a_dropped_topic_is_answered(void **state)
{
    struct log_case *c = *state;
    append_to_both(c, "zero");
    const struct store_topic topic = {CASE_TOPIC, zsp_slice_str("orders"), CASE_PARTS};
    const struct store_read_terms read = {.part = c->parts[0], .to_offset = 1};
    assert_int_equal(c->store->ops->read_terms(c->store, &read, NULL), 0);
    assert_int_equal(c->store->ops->topic_drop(c->store, &topic, c->parts, 9, NULL), 0);
    log_case_settle(c);
    assert_true(c->dropped);
}

static void the_next_segment_waits_for_it(void **state)
{
    struct log_case *c = *state;
    log_case_close(c);
    c->options.segment_bytes = 4 * TEXT_BYTES;
    assert_int_equal(log_case_open(c), 0);
    append_long_to_both(c, 20);
    log_case_settle(c);
    assert_true(log_case_info(c, 0).segment_count > 4);
    log_case_kill(c);
    crash_fs_power_loss(c->fs, 3);
    assert_int_equal(log_case_open(c), 0);
    assert_int_equal(log_case_read(c, 0, 19), 0);
    assert_int_equal(log_case_read(c, 1, 0), 0);
}

static void an_atomic_append_comes_after_it(void **state)
{
    struct log_case *c = *state;
    append_to_both(c, "zero");
    struct zsp_buf *frame = zsp_buf_copy(zsp_slice_str("one"));
    assert_non_null(frame);
    const struct store_batch batch = {
        .frame = frame, .body = {frame->data, frame->len}, .record_count = 1};
    const struct store_append append = {c->parts[0], &batch};
    struct store_atomic *atomic = NULL;
    const struct store_ops *ops = c->store->ops;
    assert_int_equal(ops->atomic_begin(c->store, &append, 1, 7, &atomic, NULL), 0);
    zsp_buf_put(&frame);
    log_case_run(c);
    assert_int_equal(ops->atomic_put(c->store, atomic, NULL, 0, NULL), 0);
    log_case_run(c);
    append_to_both(c, "two");
    log_case_kill(c);
    crash_fs_power_loss(c->fs, 4);
    assert_int_equal(log_case_open(c), 0);
    assert_holds(c, 0, 0, "zero");
    assert_holds(c, 0, 1, "one");
    assert_holds(c, 0, 2, "two");
}

static void without_room_it_is_written_later(void **state)
{
    struct log_case *c = *state;
    append_long_to_both(c, 4);
    log_case_settle(c);
    crash_fs_set_limit(c->fs, crash_fs_used(c->fs));
    const struct store_read read = {.part = c->parts[0], .to_offset = 4, .max_bytes = 1 << 20};
    assert_int_equal(c->store->ops->read(c->store, &read, NULL), 0);
    for (int i = 0; i < 5; i++) {
        c->now.mono_ms += 200;
        log_case_run(c);
    }
    assert_false(c->failed);
    assert_int_equal(c->read.batch_count, 0);
    crash_fs_set_limit(c->fs, UINT64_MAX);
    log_case_settle(c);
    assert_int_equal(c->read.batch_count, 4);
}

/* Whatever is under way when the store ends or fails, everybody is told once. */
static void a_store_that_fails_meanwhile_tells_everybody(void **state)
{
    struct log_case *c = *state;
    for (unsigned n = 0; n < 3; n++) {
        const size_t before = c->appended;
        crash_fs_fail_sync(c->fs, n, 5);
        append_to_both(c, "zero");
        (void)log_case_append(c, 0, "one"); /* perhaps it has failed already */
        (void)log_case_append(c, 1, "one");
        log_case_run(c);
        log_case_settle(c);
        c->now.mono_ms += 2000;
        log_case_run(c);
        assert_true(c->failed);
        assert_true(c->appended - before >= 2);
        log_case_kill(c);
        crash_fs_power_loss(c->fs, n);
        assert_int_equal(log_case_open(c), 0);
        c->failed = false;
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, log_case_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_confirmed_need_not_be_in_its_segment),
        TEST(a_reader_has_it_written),
        TEST(a_lot_of_one_partition_is_written),
        TEST(a_batch_that_goes_to_its_segment_comes_after_it),
        TEST(a_search_for_ids_has_it_written),
        TEST(a_question_about_priorities_has_it_written),
        TEST(a_question_about_priorities_of_a_dropped_topic_is_answered),
        TEST(the_next_segment_waits_for_it),
        TEST(an_atomic_append_comes_after_it),
        TEST(without_room_it_is_written_later),
        TEST(a_store_that_fails_meanwhile_tells_everybody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
