/* SPDX-License-Identifier: MPL-2.0
 *
 * What a repair makes of damage: the check is clean afterwards, the partition serves
 * what is left and takes messages again, and no offset gets another message. It may
 * be interrupted anywhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "broker/store/check/repair.h"
#include "broker/store/file/batch.h"
#include "broker/store/file/layout.h"
#include "tests/broker/store/log_case.h"
#include "tests/support/crash_fs.h"

#define INDEX "topics/7-orders/0/00000000000000000000.idx"

/* The first finding with a remedy. */
struct fault {
    bool any;
    char path[256];
    struct check_remedy remedy;
    struct check_summary summary;
};

static void keep(void *arg, const struct check_finding *finding)
{
    struct fault *fault = arg;
    if (!fault->any && finding->remedy.kind != CHECK_NO_REMEDY) {
        fault->any = true;
        fault->remedy = finding->remedy;
        (void)snprintf(fault->path, sizeof fault->path, "%s", finding->path);
    }
}

static struct fault check(struct fs *fs)
{
    struct fault fault = {0};
    const struct check_options options = {.fs = fs, .finding_fn = keep, .arg = &fault};
    struct zsp_err err = {0};
    if (check_store(&options, &fault.summary, &err) != 0) {
        fail_msg("check: %s", err.msg);
    }
    return fault;
}

/* One remedy after the other until there is none; 0, or why it stopped. */
static int repair_all(struct fs *fs, struct zsp_err *err)
{
    uint8_t uuid[STORE_UUID_BYTES];
    int rc = layout_read_format(fs, uuid, err);
    for (int round = 0; round < 20 && rc == 0; round++) {
        const struct fault fault = check(fs);
        if (!fault.any) {
            return 0;
        }
        rc = fault.remedy.kind == CHECK_FILL
                 ? repair_fill(fs, uuid, fault.path, &fault.remedy, "why\n", err)
                 : repair_index(fs, uuid, fault.path, &fault.remedy, err);
    }
    return rc;
}

static void repair(struct log_case *c, uint64_t given_up)
{
    struct zsp_err err = {0};
    if (repair_all(c->fs, &err) != 0) {
        fail_msg("repair: %s", err.msg);
    }
    const struct fault fault = check(c->fs);
    assert_int_equal(fault.summary.damages, 0);
    assert_int_equal(fault.summary.given_up, given_up);
}

/* After a start: everything can be read, offset `absent` is in no batch, the end is `end`. */
static void assert_serves(struct log_case *c, uint64_t absent, uint64_t end)
{
    log_case_reopen(c);
    assert_int_equal(c->warnings, 0);
    const struct store_part_info info = log_case_info(c, 0);
    assert_false(info.refuses_appends);
    assert_int_equal(info.end_offset, end);
    for (uint64_t from = 0; from < end; from = c->read.covered.end_offset) {
        assert_int_equal(log_case_read(c, 0, from), 0);
        assert_true(c->read.covered.end_offset > from);
        for (uint32_t i = 0; i < c->read.batch_count; i++) {
            assert_int_not_equal(c->read.batches[i].first_offset, absent);
            assert_int_not_equal(c->read.batches[i].codec, BATCH_CODEC_LOST);
        }
    }
    assert_int_equal(log_case_append(c, 0, "goes on"), 0);
    log_case_settle(c);
    assert_int_equal(c->append_code, 0);
    assert_int_equal(c->append_offset, end);
    log_case_close(c);
    assert_int_equal(check(c->fs).summary.damages, 0);
}

static void two_segments(struct log_case *c)
{
    log_case_fill(c, 0, "some weight in this body of a batch, so that it takes few of them ", 40);
    log_case_settle(c);
    log_case_close(c);
}

static void a_hole_inside_of_a_partition_is_given_up(void **state)
{
    struct log_case *c = *state;
    log_case_fill(c, 0, "x", 5);
    log_case_close(c);
    const uint64_t pos = log_case_batch_pos(c, CASE_SEGMENT, 2);
    log_case_file_spoil(c, CASE_SEGMENT, pos + 30, pos + 40);
    repair(c, 1);
    assert_int_equal(log_case_dir_count(c, "quarantine"), 2); /* the bytes, and why */
    assert_serves(c, 2, 5);
}

static void a_hole_over_several_batches_is_given_up(void **state)
{
    struct log_case *c = *state;
    log_case_fill(c, 0, "x", 6);
    log_case_close(c);
    log_case_file_spoil(c, CASE_SEGMENT, log_case_batch_pos(c, CASE_SEGMENT, 1) + 8,
                        log_case_batch_pos(c, CASE_SEGMENT, 4));
    repair(c, 3);
    assert_serves(c, 1, 6);
}

/* Without a repair this partition would take no messages: its next offset was unknown. */
static void a_hole_at_the_end_is_given_up(void **state)
{
    struct log_case *c = *state;
    log_case_fill(c, 0, "x", 5);
    log_case_close(c);
    log_case_file_truncate(c, CASE_SEGMENT, log_case_batch_pos(c, CASE_SEGMENT, 3) + 9);
    repair(c, 2);
    assert_serves(c, 3, 5);
}

static void a_missing_sealed_segment_is_given_up(void **state)
{
    struct log_case *c = *state;
    two_segments(c);
    log_case_file_remove(c, CASE_SEGMENT);
    const uint64_t end = check(c->fs).remedy.offsets.end_offset;
    assert_true(end > 10);
    repair(c, end);
    assert_serves(c, 3, 40);
}

static void a_missing_active_segment_is_given_up(void **state)
{
    struct log_case *c = *state;
    log_case_fill(c, 0, "x", 3);
    log_case_close(c);
    log_case_file_remove(c, CASE_SEGMENT);
    repair(c, 3);
    assert_serves(c, 1, 3);
}

/* Its index leads into the hole: it is made anew. */
static void a_hole_in_a_sealed_segment_takes_its_index_along(void **state)
{
    struct log_case *c = *state;
    two_segments(c);
    const uint64_t pos = log_case_batch_pos(c, CASE_SEGMENT, 0);
    log_case_file_spoil(c, CASE_SEGMENT, pos + 30, pos + 40);
    repair(c, 1);
    assert_true(log_case_file_size(c, INDEX) <= 4096);
    assert_serves(c, 0, 40);
}

static void an_index_is_made_anew(void **state)
{
    struct log_case *c = *state;
    uint8_t before[4096];
    uint8_t after[4096];
    two_segments(c);
    const size_t len = log_case_file_read(c, INDEX, before, sizeof before);
    log_case_file_spoil(c, INDEX, 70, 90);
    repair(c, 0);
    assert_int_equal(log_case_file_read(c, INDEX, after, sizeof after), len);
    assert_memory_equal(before, after, len);
}

/* More than one batch must stand for it, because none may be that large. */
static void a_large_hole_is_filled_by_several_batches(void **state)
{
    struct log_case *c = *state;
    log_case_close(c);
    log_case_fill_large(c, 5);
    const uint64_t bytes = batch_bytes(LOG_CASE_LARGE);
    log_case_file_spoil(c, CASE_SEGMENT, bytes, 4 * bytes);
    repair(c, 3);
    assert_serves(c, 2, 5);
}

static void a_hole_that_cannot_be_filled_is_left_alone(void **state)
{
    struct log_case *c = *state;
    uint8_t uuid[STORE_UUID_BYTES] = {0};
    log_case_fill(c, 0, "x", 3);
    log_case_close(c);
    const uint64_t before = crash_fs_hash(c->fs);
    const struct check_remedy bad[] = {
        {.kind = CHECK_FILL, .offsets = {0, 1}, .pos = 0, .end_pos = 112},
        {.kind = CHECK_FILL, .offsets = {0, 0}, .pos = 0, .end_pos = 240},
        {.kind = CHECK_FILL, .offsets = {0, 1}, .pos = 4, .end_pos = 244},
        {.kind = CHECK_FILL, .offsets = {0, 1}, .pos = 0, .end_pos = 9u << 20},
        {.kind = CHECK_REBUILD_INDEX, .offsets = {0, 1}, .pos = 0, .end_pos = 240},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(repair_fill(c->fs, uuid, CASE_SEGMENT, &bad[i], "why\n", NULL),
                         ZSP_ECORRUPT);
    }
    assert_true(crash_fs_hash(c->fs) == before);
}

/* The power goes at the n-th call of a repair; true if it went before the end. */
static bool interrupted_at(struct log_case *c, uint64_t n)
{
    two_segments(c);
    const uint64_t pos = log_case_batch_pos(c, CASE_SEGMENT, 2);
    log_case_file_spoil(c, CASE_SEGMENT, pos + 30, pos + 40);
    struct fault fault = check(c->fs);
    uint8_t uuid[STORE_UUID_BYTES];
    assert_int_equal(layout_read_format(c->fs, uuid, NULL), 0);
    crash_fs_freeze_at(c->fs, n);
    const int rc = repair_fill(c->fs, uuid, fault.path, &fault.remedy, "why\n", NULL);
    crash_fs_power_loss(c->fs, n);
    repair(c, 1);
    assert_serves(c, 2, 40);
    return rc != 0;
}

static void a_repair_may_be_interrupted_anywhere(void **state)
{
    uint64_t n = 0;
    bool interrupted = true;
    while (interrupted) {
        interrupted = interrupted_at(*state, n);
        n++;
        assert_int_equal(log_case_tear_down(state), 0);
        assert_int_equal(log_case_set_up(state), 0);
    }
    assert_true(n > 10);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, log_case_set_up, log_case_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_hole_inside_of_a_partition_is_given_up),
        CASE(a_hole_over_several_batches_is_given_up),
        CASE(a_hole_at_the_end_is_given_up),
        CASE(a_missing_sealed_segment_is_given_up),
        CASE(a_missing_active_segment_is_given_up),
        CASE(a_hole_in_a_sealed_segment_takes_its_index_along),
        CASE(an_index_is_made_anew),
        CASE(a_large_hole_is_filled_by_several_batches),
        CASE(a_hole_that_cannot_be_filled_is_left_alone),
        CASE(a_repair_may_be_interrupted_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
