/* SPDX-License-Identifier: MPL-2.0
 *
 * A full disk, a failing one, and the bounds that the store keeps by itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/store/file/layout.h"
#include "tests/broker/store/log_case.h"
#include "tests/support/crash_fs.h"
#include "tests/support/fault_fs.h"

static char large[3000];

static void append_large(struct log_case *c)
{
    memset(large, 'x', sizeof large - 1);
    assert_int_equal(log_case_append(c, 0, large), 0);
    log_case_run(c);
}

static void a_full_disk_fails_appends_and_room_brings_them_back(void **state)
{
    struct log_case *c = *state;
    crash_fs_set_limit(c->fs, crash_fs_used(c->fs) + 2 * 4096);
    for (int i = 0; i < 20 && c->append_code == 0; i++) {
        append_large(c);
    }
    assert_int_equal(c->append_code, ZSP_ENO_SPACE);
    assert_false(c->failed);
    const uint64_t end = log_case_info(c, 0).end_offset;
    crash_fs_set_limit(c->fs, UINT64_MAX);
    c->now.mono_ms += 2000;
    log_case_run(c);
    append_large(c);
    assert_int_equal(c->append_code, 0);
    assert_int_equal(c->append_offset, end);
    log_case_reopen(c);
    assert_int_equal(log_case_info(c, 0).end_offset, end + 1);
}

/* Goal: what there is no room for takes none. */
static void a_file_that_does_not_fit_leaves_nothing(void **state)
{
    struct log_case *c = *state;
    static const uint8_t two_pages[2 * 4096];
    const struct zsp_slice bytes = {two_pages, sizeof two_pages};
    const uint64_t used = crash_fs_used(c->fs);
    bool sync_failed = true;
    crash_fs_set_limit(c->fs, used + 4096);
    assert_int_equal(layout_write_file(c->fs, "", "new", bytes, &sync_failed, NULL), ZSP_ENO_SPACE);
    assert_false(sync_failed);
    assert_int_equal(log_case_file_size(c, "new.tmp"), UINT64_MAX);
    assert_int_equal(crash_fs_used(c->fs), used);
}

/* Goal: what is written beside a segment does not outlive it. */
static void what_is_derived_of_a_segment_that_is_gone_does_not_stay(void **state)
{
    struct log_case *c = *state;
    const struct zsp_slice bytes = zsp_slice_str("derived");
    bool sync_failed = true;
    assert_int_equal(
        layout_write_derived(c->fs, "", "new.idx", "new.log", bytes, &sync_failed, NULL), 0);
    assert_int_equal(log_case_file_size(c, "new.idx"), UINT64_MAX);
    log_case_file_make(c, "new.log");
    assert_int_equal(
        layout_write_derived(c->fs, "", "new.idx", "new.log", bytes, &sync_failed, NULL), 0);
    assert_int_equal(log_case_file_size(c, "new.idx"), bytes.len);
}

static void the_journal_goes_on_from_its_reserve_on_a_full_disk(void **state)
{
    struct log_case *c = *state;
    c->options.fill_bytes = 16384;
    log_case_reopen(c);
    log_case_put(c, "a", STORE_IMAGE, "first");
    log_case_settle(c);
    crash_fs_set_limit(c->fs, crash_fs_used(c->fs));
    for (int i = 0; i < 20; i++) {
        log_case_put(c, "a", STORE_IMAGE, "no room is needed for this");
    }
    assert_false(c->failed);
    log_case_settle(c);
}

static void a_journal_without_room_refuses_and_comes_back(void **state)
{
    struct log_case *c = *state;
    c->options.fill_bytes = 0;
    log_case_reopen(c);
    log_case_settle(c);
    crash_fs_set_limit(c->fs, 0);
    const struct store_entry entry = {
        zsp_slice_str("a"), STORE_IMAGE, {(const uint8_t *)large, sizeof large}};
    int rc = 0;
    int puts = 0;
    for (; puts < 10 && rc == 0; puts++) {
        rc = c->store->ops->state_put(c->store, &entry, 1, STORE_SYNCED_LEVEL, 3, NULL);
        log_case_run(c);
    }
    assert_int_equal(rc, ZSP_ENO_SPACE);
    assert_true(c->store->ops->busy(c->store));
    assert_int_equal(log_case_append(c, 0, "refused"), ZSP_ENO_SPACE);
    assert_true(c->store->ops->deadline_ms(c->store) < c->now.mono_ms + 1000);
    crash_fs_set_limit(c->fs, UINT64_MAX);
    c->now.mono_ms = c->store->ops->deadline_ms(c->store);
    log_case_settle(c);
    assert_int_equal(log_case_append(c, 0, "taken"), 0);
    log_case_put(c, "b", STORE_IMAGE, "2");
    log_case_reopen(c);
    assert_non_null(strstr(c->entries, "a="));
    assert_non_null(strstr(c->entries, "b=2"));
}

static void appends_stop_below_the_free_space_that_is_to_stay(void **state)
{
    struct log_case *c = *state;
    crash_fs_set_limit(c->fs, 1u << 20);
    c->options.min_free_bytes = 1u << 21;
    log_case_reopen(c);
    assert_int_equal(log_case_append(c, 0, "refused"), ZSP_ENO_SPACE);
    log_case_put(c, "a", STORE_IMAGE, "state goes on");
    crash_fs_set_limit(c->fs, 1u << 23);
    c->now.mono_ms += 5000;
    log_case_run(c);
    log_case_run(c);
    assert_int_equal(log_case_append(c, 0, "taken"), 0);
}

/* Between two measures the store's own writes count: what must stay free stays free. */
static void quick_appends_do_not_run_into_the_reserve(void **state)
{
    struct log_case *c = *state;
    const uint64_t least = 1u << 18;
    c->options.min_free_bytes = least;
    c->options.segment_bytes = 1u << 24;
    log_case_reopen(c);
    const uint64_t limit = crash_fs_used(c->fs) + (1u << 20);
    crash_fs_set_limit(c->fs, limit);
    c->now.mono_ms += 5000;
    append_large(c);
    log_case_run(c); /* the new limit is measured */
    int taken = 0;
    for (; taken < 1000 && c->append_code == 0; taken++) {
        memset(large, 'x', sizeof large - 1);
        if (log_case_append(c, 0, large) != 0) {
            break;
        }
        log_case_run(c);
    }
    assert_int_equal(c->append_code, 0); /* no write failed: the refusal was definite */
    assert_true(taken > 100 && taken < 1000);
    assert_true(limit - crash_fs_used(c->fs) >= least);
}

static void unsynced_bytes_stay_below_their_bound(void **state)
{
    struct log_case *c = *state;
    c->options.unsynced_bytes_max = 4000;
    c->options.fill_bytes = 0;
    c->options.segment_bytes = 1u << 20;
    log_case_reopen(c);
    memset(large, 'x', sizeof large - 1);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(log_case_append(c, 0, large), 0);
    }
    c->store->ops->flush(c->store, c->now);
    struct job *job = log_store_next_job(c->log); /* the write of the first */
    assert_int_equal(job->kind, JOB_WRITE);
    assert_int_equal(job->len, 3112); /* one batch, not five */
    struct store_stats stats;
    c->store->ops->stats(c->store, &stats);
    assert_true(stats.unsynced_bytes <= 4000);
    assert_true(stats.waiting_bytes > 4 * 3000);
    job_run(job, c->fs);
    log_store_job_done(c->log, job);
    log_case_settle(c);
    assert_int_equal(log_case_info(c, 0).synced_offset, 5);
}

/* A write that fails after a batch and a half keeps the batch and no more. */
static void a_write_that_ends_early_keeps_whole_batches(void **state)
{
    struct log_case *c = *state;
    struct fs *faulty = fault_fs_new(c->fs);
    log_case_close(c);
    struct fs *below = c->fs;
    c->fs = faulty;
    c->options.fs = faulty;
    log_case_reopen(c);
    c->appended = 0;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(log_case_append(c, 0, "equal"), 0);
    }
    const struct fault fault = {.kind = FAULT_PART,
                                .call = FS_CALL_WRITE,
                                .repeat = 1,
                                .code = ZSP_EIO,
                                .sys_errno = EIO,
                                .bytes = 120 + 60};
    fault_fs_set(faulty, &fault);
    log_case_run(c);
    assert_int_equal(c->appended, 3);
    assert_int_equal(c->append_code, ZSP_EIO);
    assert_true(c->append_maybe);
    assert_int_equal(log_case_info(c, 0).end_offset, 1);
    log_case_fill(c, 0, "after ", 1);
    assert_int_equal(c->append_offset, 1);
    log_case_reopen(c);
    assert_int_equal(log_case_info(c, 0).end_offset, 2);
    assert_int_equal(log_case_read(c, 0, 1), 0);
    log_case_assert_body(c, 0, "after 0");
    log_case_close(c);
    c->fs = below;
    fault_fs_destroy(&faulty);
}

/* The same, and the rolled back batches lie whole on the disk: they are stale. */
static void a_rolled_back_batch_does_not_rise_behind_its_successor(void **state)
{
    struct log_case *c = *state;
    log_case_fill(c, 0, "opens the file ", 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(log_case_append(c, 0, "equal"), 0);
    }
    c->store->ops->flush(c->store, c->now);
    struct job *job = log_store_next_job(c->log);
    assert_int_equal(job->kind, JOB_WRITE);
    job_run(job, c->fs);
    job->done = 120; /* told as failed after the first, though all of it was written */
    (void)zsp_err_set(&job->error, ZSP_EIO, "a lie");
    log_store_job_done(c->log, job);
    log_case_run(c);
    assert_int_equal(log_case_info(c, 0).end_offset, 2);
    log_case_fill(c, 0, "equa", 1); /* "equa0": the same length as what it replaces */
    log_case_settle(c);
    log_case_reopen(c);
    assert_int_equal(log_case_info(c, 0).end_offset, 3);
    assert_int_equal(log_case_read(c, 0, 2), 0);
    log_case_assert_body(c, 0, "equa0");
    assert_int_equal(log_case_dir_count(c, "cut"), 2);
}

static void a_failed_sync_ends_everything(void **state)
{
    struct log_case *c = *state;
    assert_int_equal(log_case_append(c, 0, "x"), 0);
    c->store->ops->flush(c->store, c->now);
    struct job *job;
    while ((job = log_store_next_job(c->log))) {
        if (job->kind == JOB_SYNC) {
            (void)zsp_err_set(&job->error, ZSP_EIO, "fdatasync");
        } else {
            job_run(job, c->fs);
        }
        log_store_job_done(c->log, job);
    }
    assert_int_equal(log_case_append(c, 0, "y"), ZSP_ESTORAGE_FAILED);
    log_case_settle(c);
    assert_true(c->failed);
    assert_int_equal(c->synced[0], 0);
    log_case_kill(c);
    assert_int_equal(log_case_open(c), 0);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, log_case_set_up, log_case_tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_full_disk_fails_appends_and_room_brings_them_back),
        CASE(a_file_that_does_not_fit_leaves_nothing),
        CASE(what_is_derived_of_a_segment_that_is_gone_does_not_stay),
        CASE(the_journal_goes_on_from_its_reserve_on_a_full_disk),
        CASE(a_journal_without_room_refuses_and_comes_back),
        CASE(appends_stop_below_the_free_space_that_is_to_stay),
        CASE(quick_appends_do_not_run_into_the_reserve),
        CASE(unsynced_bytes_stay_below_their_bound),
        CASE(a_write_that_ends_early_keeps_whole_batches),
        CASE(a_rolled_back_batch_does_not_rise_behind_its_successor),
        CASE(a_failed_sync_ends_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
