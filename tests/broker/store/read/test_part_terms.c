/* SPDX-License-Identifier: MPL-2.0
 *
 * Priorities and times of a partition in the segmented log: when files of them are made, and made
 * again. What they tell is in conformance_terms.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "tests/broker/store/log_case.h"

#define PRI    "topics/7-orders/0/00000000000000000000.pri"
#define SECOND "topics/7-orders/0/00000000000000000001.pri"
#define COUNT  60u

/* Each third message has a priority of its own. */
static unsigned priority_of(uint64_t offset)
{
    return offset % 3 == 0 ? (unsigned)(offset % 10) : 4;
}

static void append_at(struct log_case *c, unsigned priority, int64_t not_before_ms)
{
    struct zsp_buf *frame = zsp_buf_copy(zsp_slice_str("some weight in this body of a batch"));
    const struct store_batch batch = {.frame = frame,
                                      .body = {frame->data, frame->len},
                                      .record_count = 1,
                                      .timestamp_ms = 1000,
                                      .not_before_ms = not_before_ms,
                                      .priority = (uint8_t)priority};
    assert_int_equal(c->store->ops->append(c->store, c->parts[0], &batch, 1, NULL), 0);
    zsp_buf_put(&frame);
    log_case_settle(c);
}

static void two_sealed(struct log_case *c)
{
    for (uint64_t i = 0; i < COUNT; i++) {
        append_at(c, priority_of(i), 0);
    }
    assert_true(log_case_info(c, 0).segment_count >= 3);
}

/* Ask for all of it; how many questions that took. */
static unsigned assert_told(struct log_case *c)
{
    unsigned questions = 0;
    for (uint64_t next = 0; next < COUNT; questions++) {
        const struct store_read_terms read = {
            .part = c->parts[0], .from_offset = next, .to_offset = COUNT, .tag = 9};
        assert_int_equal(c->store->ops->read_terms(c->store, &read, NULL), 0);
        log_case_settle(c);
        assert_int_equal(c->terms.error.code, 0);
        uint32_t at = 0;
        for (; next < c->terms.covered.end_offset; next++) {
            while (at < c->terms.terms_count && c->terms.terms[at].end_offset <= next) {
                at++;
            }
            const bool is_told =
                at < c->terms.terms_count && c->terms.terms[at].first_offset <= next;
            assert_int_equal(is_told ? c->terms.terms[at].priority : 4, priority_of(next));
        }
    }
    return questions;
}

static void a_sealed_segment_has_a_file_of_them(void **state)
{
    struct log_case *c = *state;
    two_sealed(c);
    assert_true(log_case_file_size(c, PRI) < UINT64_MAX);
    assert_true(log_case_file_size(c, SECOND) < UINT64_MAX);
    assert_int_equal(assert_told(c), log_case_info(c, 0).segment_count);
}

static void a_partition_without_any_has_no_files(void **state)
{
    struct log_case *c = *state;
    log_case_fill(c, 0, "some weight in this body of a batch, so that it takes few of them ", 60);
    assert_true(log_case_info(c, 0).segment_count >= 3);
    assert_true(log_case_file_size(c, PRI) == UINT64_MAX);
    log_case_reopen(c);
    assert_true(log_case_file_size(c, PRI) == UINT64_MAX);
}

static void a_delay_alone_makes_a_file(void **state)
{
    struct log_case *c = *state;
    for (int i = 0; i < 40; i++) {
        append_at(c, 4, i == 3 ? 1234 : 0);
    }
    assert_int_equal(log_case_file_size(c, PRI), 72 + 20 + 8);
}

static void neighbours_that_are_alike_are_one(void **state)
{
    struct log_case *c = *state;
    for (int i = 0; i < 40; i++) {
        append_at(c, 9, 0);
    }
    assert_int_equal(log_case_file_size(c, PRI), 72 + 20 + 8);
}

/* Goal: what is gone or bad is made anew, from the headers, and is the same as before. */
static void a_missing_file_is_made_anew(void **state)
{
    struct log_case *c = *state;
    uint8_t before[4096], after[4096];
    two_sealed(c);
    const size_t len = log_case_file_read(c, PRI, before, sizeof before);
    log_case_file_remove(c, PRI);
    (void)assert_told(c);
    assert_int_equal(log_case_file_read(c, PRI, after, sizeof after), len);
    assert_memory_equal(before, after, len);
    log_case_close(c);
    log_case_file_remove(c, SECOND);
    log_case_open(c);
    (void)assert_told(c);
    assert_true(log_case_file_size(c, SECOND) < UINT64_MAX);
    assert_int_equal(c->warnings, 0);
}

static void every_spoilt_byte_is_found(void **state)
{
    struct log_case *c = *state;
    two_sealed(c);
    const uint64_t bytes = log_case_file_size(c, PRI);
    assert_true(bytes > 72 && bytes < 4096);
    for (uint64_t pos = 0; pos < bytes; pos++) {
        log_case_file_spoil(c, PRI, pos, pos + 1);
        (void)assert_told(c);
    }
    log_case_file_truncate(c, PRI, 100);
    (void)assert_told(c);
    log_case_file_truncate(c, PRI, 10);
    (void)assert_told(c);
}

/* Goal: a segment that was not known from its beginning when it was sealed. */
static void a_start_in_between_loses_nothing(void **state)
{
    struct log_case *c = *state;
    for (uint64_t i = 0; i < COUNT; i++) {
        append_at(c, priority_of(i), 0);
        if (i % 7 == 0) {
            log_case_reopen(c);
        }
    }
    (void)assert_told(c);
    log_case_reopen(c);
    (void)assert_told(c);
}

/* Goal: of the segment that takes appends, too, all is told, a part at a time, also after a start, when
 * little is known of where its batches are. */
static void many_are_told_in_parts(void **state)
{
    struct log_case *c = *state;
    const uint64_t count = 3 * STORE_TERMS_MAX;
    log_case_close(c);
    c->options.segment_bytes = 64u << 20;
    log_case_open(c);
    for (uint64_t i = 0; i < count; i++) {
        append_at(c, 4, (int64_t)i + 1);
    }
    log_case_reopen(c);
    append_at(c, 4, 0);
    for (uint64_t next = 0; next < count; next = c->terms.covered.end_offset) {
        const struct store_read_terms read = {
            .part = c->parts[0], .from_offset = next, .to_offset = count, .tag = 9};
        assert_int_equal(c->store->ops->read_terms(c->store, &read, NULL), 0);
        log_case_settle(c);
        assert_int_equal(c->terms.error.code, 0);
        assert_in_range(c->terms.terms_count, 1, STORE_TERMS_MAX);
        assert_true(c->terms.terms[0].first_offset == next);
        assert_true(c->terms.terms[0].not_before_ms == (int64_t)next + 1);
        assert_true(c->terms.covered.end_offset > next);
    }
}

static void files_go_with_their_segments(void **state)
{
    struct log_case *c = *state;
    two_sealed(c);
    const struct store_retain retain = {.before_offset = COUNT - 1, .imaged_before = UINT64_MAX};
    assert_int_equal(c->store->ops->retain(c->store, c->parts[0], &retain, NULL), 0);
    log_case_settle(c);
    assert_true(log_case_file_size(c, PRI) == UINT64_MAX);
    log_case_reopen(c);
    assert_int_equal(c->warnings, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, log_case_set_up, log_case_tear_down)
        TEST(a_sealed_segment_has_a_file_of_them),
        TEST(a_partition_without_any_has_no_files),
        TEST(a_delay_alone_makes_a_file),
        TEST(neighbours_that_are_alike_are_one),
        TEST(a_missing_file_is_made_anew),
        TEST(every_spoilt_byte_is_found),
        TEST(a_start_in_between_loses_nothing),
        TEST(files_go_with_their_segments),
        TEST(many_are_told_in_parts),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
