/* SPDX-License-Identifier: MPL-2.0
 *
 * The ids of a partition in the segmented log: when files of ids are made, and made again. What
 * searches find is in conformance_ids.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/record.h"
#include "tests/broker/store/log_case.h"
#include "tests/support/crash_fs.h"

#define IDS    "topics/7-orders/0/00000000000000000000.ids"
#define SECOND "topics/7-orders/0/00000000000000000001.ids"
#define COUNT  25

static struct zsp_slice id_of(int number, char text[32])
{
    (void)snprintf(text, 32, "id-%d", number);
    return zsp_slice_str(text);
}

/* Batches of one record with the ids [first, end), written one after the other. */
static void append_ids(struct log_case *c, int first, int end)
{
    for (int i = first; i < end; i++) {
        char text[32];
        const struct zsp_record record = {.payload = zsp_slice_str("x"), .id = id_of(i, text)};
        struct zsp_writer body = {0};
        zsp_record_write(&body, &record);
        struct zsp_buf *frame = zsp_buf_copy(zsp_writer_slice(&body));
        const struct store_batch batch = {.frame = frame,
                                          .body = {frame->data, frame->len},
                                          .record_count = 1,
                                          .timestamp_ms = 1000 + i,
                                          .priority = 4};
        assert_int_equal(c->store->ops->append(c->store, c->parts[0], &batch, 1, NULL), 0);
        zsp_buf_put(&frame);
        zsp_writer_fini(&body);
        log_case_settle(c);
    }
}

/* 25 messages in segments of 10: two are sealed. */
static void two_sealed(struct log_case *c)
{
    log_case_close(c);
    c->options.segment_ids_max = 10;
    c->options.segment_bytes = 1u << 20;
    log_case_reopen(c);
    c->store->ops->index_ids(c->store, c->parts[0], true);
    append_ids(c, 0, COUNT);
    assert_int_equal(log_case_info(c, 0).segment_count, 3);
}

static void restart(struct log_case *c)
{
    log_case_open(c);
    c->store->ops->index_ids(c->store, c->parts[0], true);
}

/* Where id `i` is, UINT64_MAX = nowhere. */
static uint64_t find(struct log_case *c, int i, bool keep)
{
    char text[32];
    const uint64_t print = store_id_print(id_of(i, text));
    const struct store_find_ids wanted = {.part = c->parts[0],
                                          .prints = &print,
                                          .count = 1,
                                          .keep = keep,
                                          .since_ms = INT64_MIN,
                                          .tag = 2};
    c->ids_code = 1;
    assert_int_equal(c->store->ops->find_ids(c->store, &wanted, NULL), 0);
    log_case_settle(c);
    assert_int_equal(c->ids_code, 0);
    return c->ids_found;
}

/* Each id is found where it was put. */
static void assert_found(struct log_case *c, bool keep)
{
    for (int i = 0; i < COUNT + 1; i++) {
        assert_int_equal(find(c, i, keep), i < COUNT ? (uint64_t)i : UINT64_MAX);
    }
}

static void a_segment_is_sealed_when_it_has_so_many_ids(void **state)
{
    struct log_case *c = *state;
    two_sealed(c);
    assert_true(log_case_file_size(c, IDS) < UINT64_MAX);
    assert_true(log_case_file_size(c, SECOND) < UINT64_MAX);
    assert_found(c, true);
    assert_found(c, false);
}

static void a_partition_without_index_has_no_files_of_ids(void **state)
{
    struct log_case *c = *state;
    append_ids(c, 0, COUNT);
    log_case_fill(c, 0, "some weight in this body of a batch, so that it takes few of them ", 40);
    assert_true(log_case_info(c, 0).segment_count >= 2);
    assert_true(log_case_file_size(c, IDS) == UINT64_MAX);
}

static void a_missing_file_of_ids_is_made_anew(void **state)
{
    struct log_case *c = *state;
    two_sealed(c);
    log_case_file_remove(c, IDS); /* under a broker that knows what was in it */
    assert_found(c, true);
    assert_true(log_case_file_size(c, IDS) < UINT64_MAX);
    log_case_close(c);
    log_case_file_remove(c, SECOND);
    restart(c);
    assert_found(c, true);
    assert_true(log_case_file_size(c, SECOND) < UINT64_MAX);
    assert_int_equal(c->warnings, 0);
}

static void a_damaged_file_of_ids_is_made_anew(void **state)
{
    struct log_case *c = *state;
    two_sealed(c);
    log_case_file_spoil(c, IDS, 80, 90); /* a page */
    assert_found(c, true);
    log_case_close(c);
    log_case_file_spoil(c, SECOND, 10, 20); /* the header */
    restart(c);
    assert_found(c, false);
    log_case_close(c);
    restart(c);
    assert_found(c, true);
}

static void the_files_of_ids_go_with_their_segments(void **state)
{
    struct log_case *c = *state;
    two_sealed(c);
    const struct store_retain retain = {.before_offset = 15, .imaged_before = UINT64_MAX};
    assert_int_equal(c->store->ops->retain(c->store, c->parts[0], &retain, NULL), 0);
    log_case_settle(c);
    assert_true(log_case_file_size(c, IDS) == UINT64_MAX);
    assert_true(log_case_file_size(c, SECOND) < UINT64_MAX);
}

static void searches_go_on_when_there_is_no_room_for_files_of_ids(void **state)
{
    struct log_case *c = *state;
    two_sealed(c);
    log_case_close(c);
    log_case_file_remove(c, IDS);
    restart(c);
    crash_fs_set_limit(c->fs, crash_fs_used(c->fs));
    assert_int_equal(find(c, COUNT + 7, true), UINT64_MAX);
    crash_fs_set_limit(c->fs, UINT64_MAX);
    assert_found(c, true);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, log_case_set_up, log_case_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_segment_is_sealed_when_it_has_so_many_ids),
        CASE(a_partition_without_index_has_no_files_of_ids),
        CASE(a_missing_file_of_ids_is_made_anew),
        CASE(a_damaged_file_of_ids_is_made_anew),
        CASE(the_files_of_ids_go_with_their_segments),
        CASE(searches_go_on_when_there_is_no_room_for_files_of_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
