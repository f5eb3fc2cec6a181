/* SPDX-License-Identifier: MPL-2.0
 *
 * Few files may be open: everything works all the same, no more are ever open,
 * and none is closed whose bytes are not synced.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/file/batch.h"
#include "tests/broker/store/log_case.h"
#include "tests/support/crash_fs.h"
#include "tests/support/fault_fs.h"

#define WIDE       20  /* partitions of the second topic */
#define FILES_SEEN 512 /* more than any test opens at once */

/* A file system over the one of the case: which log files are open, and which have unsynced
 * bytes. One at a time, as its functions get the self of the one below. */
struct watch {
    struct fs *below;
    struct fs fs;
    struct fs_ops ops;
    bool is_log[FILES_SEEN], is_dirty[FILES_SEEN];
    size_t open, most_open, opens;
    size_t closed_dirty; /* must stay 0 */
    const char *lost;    /* files whose path begins like this cannot be opened; NULL = none */
    size_t refused;
};
static struct watch watch;

static int watch_open(void *self, const char *path, enum fs_open_mode mode, struct zsp_err *err)
{
    if (watch.lost && strncmp(path, watch.lost, strlen(watch.lost)) == 0) {
        watch.refused++;
        return zsp_err_set(err, ZSP_EIO, "%s: no", path);
    }
    const int file = watch.below->ops->open(self, path, mode, err);
    const size_t len = strlen(path);
    if (file >= 0) {
        assert_true(file < FILES_SEEN);
        watch.is_dirty[file] = false;
        watch.is_log[file] = len > 4 && strcmp(path + len - 4, ".log") == 0;
        watch.open += watch.is_log[file] ? 1 : 0;
        watch.opens += watch.is_log[file] ? 1 : 0;
        watch.most_open = watch.open > watch.most_open ? watch.open : watch.most_open;
    }
    return file;
}

static int watch_close(void *self, int file, struct zsp_err *err)
{
    watch.open -= watch.is_log[file] ? 1 : 0;
    watch.closed_dirty += watch.is_log[file] && watch.is_dirty[file] ? 1 : 0;
    return watch.below->ops->close(self, file, err);
}

static int watch_write(void *self, int file, const struct iovec *iov, int iov_count, uint64_t pos,
                       size_t *ret_len, struct zsp_err *err)
{
    watch.is_dirty[file] = true;
    return watch.below->ops->write(self, file, iov, iov_count, pos, ret_len, err);
}

static int watch_sync(void *self, int file, struct zsp_err *err)
{
    const int rc = watch.below->ops->sync(self, file, err);
    watch.is_dirty[file] = watch.is_dirty[file] && rc < 0;
    return rc;
}

/* A second topic, of WIDE partitions: the case's partition 0 may be any of them. */
static struct store_part *wide[WIDE];

static void look_at(struct log_case *c, int index)
{
    c->parts[0] = wide[index];
}

/* Open the case's store anew over the watch, with so many files, and make the second topic. */
static void begin(struct log_case *c, struct fs *below, uint32_t files_max)
{
    log_case_close(c);
    memset(&watch, 0, sizeof watch);
    watch.below = below;
    watch.ops = *below->ops;
    watch.ops.open = watch_open;
    watch.ops.close = watch_close;
    watch.ops.write = watch_write;
    watch.ops.sync = watch_sync;
    watch.fs = (struct fs){&watch.ops, below->self};
    c->options.fs = &watch.fs;
    c->options.open_files_max = files_max;
    log_case_reopen(c);
    static void *owners[WIDE];
    for (int i = 0; i < WIDE; i++) {
        owners[i] = &c->parts[0];
    }
    const struct store_topic topic = {9, zsp_slice_str("wide"), WIDE};
    assert_int_equal(c->store->ops->topic_create(c->store, &topic, 0, owners, wide, 1, NULL), 0);
    log_case_settle(c);
    watch.most_open = watch.open;
    watch.opens = 0;
    c->appended = 0;
}

/* Drive the store, but keep syncs back. Returns the sync that is out, NULL = none. */
static struct job *run_without_sync(struct log_case *c)
{
    struct job *sync = NULL;
    struct job *job = NULL;
    c->store->ops->flush(c->store, c->now);
    while ((job = log_store_next_job(c->log))) {
        if (job->kind == JOB_SYNC) {
            sync = job;
            continue;
        }
        job_run(job, c->options.fs);
        log_store_job_done(c->log, job);
    }
    return sync;
}

static void no_more_files_are_open_than_may_be(void **state)
{
    struct log_case *c = *state;
    for (uint32_t files_max = 2; files_max <= 5; files_max++) {
        begin(c, c->fs, files_max);
        for (int round = 0; round < 30; round++) {
            for (int i = 0; i < WIDE; i++) {
                look_at(c, i);
                assert_int_equal(log_case_append(c, 0, "for each at once, and over segments, too"),
                                 0);
            }
            log_case_run(c);
        }
        log_case_settle(c);
        assert_int_equal(c->append_code, 0);
        assert_int_equal(c->appended, 30 * WIDE);
        for (int i = 0; i < WIDE; i++) {
            look_at(c, i);
            assert_int_equal(log_case_info(c, 0).synced_offset, 30);
            assert_int_equal(log_case_read(c, 0, 0), 0);
        }
        assert_true(watch.most_open <= files_max);
        assert_int_equal(watch.closed_dirty, 0);
        log_case_close(c);
        crash_fs_destroy(&c->fs);
        c->fs = crash_fs_new();
        c->options.fs = c->fs;
        c->topic_known = false;
        log_case_reopen(c);
    }
}

/* Two files hold unsynced bytes and two may be open: the third partition waits for the sync. */
static void a_file_with_unsynced_bytes_stays_open(void **state)
{
    struct log_case *c = *state;
    begin(c, c->fs, 2);
    for (int i = 0; i < 3; i++) {
        look_at(c, i);
        assert_int_equal(log_case_append(c, 0, "unsynced"), 0);
    }
    struct job *sync = run_without_sync(c);
    assert_non_null(sync);
    assert_int_equal(watch.open, 2);
    assert_int_equal(watch.closed_dirty, 0);
    assert_int_equal(log_case_info(c, 0).end_offset, 0); /* the third one */
    job_run(sync, c->options.fs);
    log_store_job_done(c->log, sync);
    log_case_settle(c);
    assert_int_equal(log_case_info(c, 0).synced_offset, 1);
    assert_int_equal(watch.closed_dirty, 0);
    assert_true(watch.most_open <= 2);
}

/* A read from the disk waits as long as all files that may be open hold unsynced bytes. */
static void a_read_waits_for_room_and_is_answered(void **state)
{
    struct log_case *c = *state;
    c->options.tail_bytes = 1; /* nothing is kept in memory */
    begin(c, c->fs, 2);
    look_at(c, 7);
    log_case_fill(c, 0, "to be read ", 3);
    for (int i = 0; i < 2; i++) {
        look_at(c, i);
        assert_int_equal(log_case_append(c, 0, "unsynced"), 0);
    }
    struct job *sync = run_without_sync(c);
    assert_non_null(sync);
    look_at(c, 7);
    const struct store_read read = {
        .part = wide[7], .from_offset = 1, .to_offset = 2, .max_bytes = 100, .tag = 8};
    store_completion_release(&c->read);
    assert_int_equal(c->store->ops->read(c->store, &read, NULL), 0);
    assert_null(run_without_sync(c));
    assert_int_equal(c->read.tag, 0);
    job_run(sync, c->options.fs);
    log_store_job_done(c->log, sync);
    log_case_settle(c);
    assert_int_equal(c->read.tag, 8);
    assert_int_equal(c->read.error.code, 0);
    log_case_assert_body(c, 0, "to be read 1");
    assert_true(watch.most_open <= 2);
}

/* Publishes to more partitions than files may be open leave no place over, and yet a read gets one. */
static void a_read_is_not_starved_by_publishes(void **state)
{
    struct log_case *c = *state;
    c->options.tail_bytes = 1;
    begin(c, c->fs, 2);
    look_at(c, 7);
    log_case_fill(c, 0, "to be read ", 3);
    const struct store_read read = {
        .part = wide[7], .from_offset = 1, .to_offset = 2, .max_bytes = 100, .tag = 8};
    store_completion_release(&c->read);
    int turns = 0;
    for (; c->read.tag != 8 && turns < 300; turns++) {
        for (int i = 0; i < 6; i++) { /* all of them always have something to write */
            look_at(c, i);
            assert_int_equal(log_case_append(c, 0, "one more"), 0);
        }
        if (turns == 20) {
            assert_int_equal(c->store->ops->read(c->store, &read, NULL), 0);
        }
        c->store->ops->flush(c->store, c->now);
        struct job *job = log_store_next_job(c->log);
        if (job) {
            job_run(job, c->options.fs);
            log_store_job_done(c->log, job);
        }
        log_case_hear(c);
    }
    assert_in_range(turns, 21, 100);
    assert_int_equal(c->read.error.code, 0);
    log_case_assert_body(c, 0, "to be read 1");
    assert_true(c->appended > 3);
    log_case_settle(c);
    assert_true(watch.most_open <= 2);
}

/* Files that are used again and again stay open: the longest unused one is closed. */
static void the_longest_unused_file_is_closed(void **state)
{
    struct log_case *c = *state;
    begin(c, c->fs, 4);
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 3; i++) {
            look_at(c, i);
            log_case_fill(c, 0, "often ", 1);
        }
        look_at(c, 3 + round);
        log_case_fill(c, 0, "once ", 1);
    }
    log_case_settle(c);
    assert_int_equal(watch.opens, 3 + 10); /* those used often once, and each used once */
}

/* The process has no descriptor left: reads and publishes are told so, and go on later. */
static void without_a_descriptor_an_error_is_told_and_nothing_fails_for_good(void **state)
{
    struct log_case *c = *state;
    struct fs *faulty = fault_fs_new(c->fs);
    c->options.tail_bytes = 1;
    begin(c, faulty, 2);
    for (int i = 0; i < 4; i++) { /* so that the files of 0 and 1 are closed */
        look_at(c, i);
        log_case_fill(c, 0, "there ", 1);
    }
    log_case_settle(c);
    fault_fs_set(faulty, &(struct fault){.kind = FAULT_ERROR,
                                         .call = FS_CALL_OPEN,
                                         .repeat = UINT64_MAX,
                                         .code = ZSP_EIO,
                                         .sys_errno = EMFILE});
    look_at(c, 0);
    assert_int_equal(log_case_append(c, 0, "refused"), 0);
    log_case_run(c);
    assert_int_equal(c->append_code, ZSP_EIO);
    assert_false(c->append_maybe);
    assert_int_equal(log_case_read(c, 0, 0), ZSP_EIO);
    assert_non_null(strstr(c->read.error.msg, "/0/00000000000000000000.log"));
    assert_int_equal(c->read.error.sys_errno, EMFILE);
    assert_false(c->failed);
    assert_false(log_case_info(c, 0).refuses_appends);
    fault_fs_clear(faulty);
    assert_int_equal(log_case_read(c, 0, 0), 0);
    log_case_assert_body(c, 0, "there 0");
    log_case_fill(c, 0, "taken ", 1);
    assert_int_equal(c->append_code, 0);
    log_case_close(c);
    c->options.fs = c->fs;
    fault_fs_destroy(&faulty);
}

/* An atomic append of one batch to each of two wide partitions. */
static struct store_atomic *begin_atomic_in(struct log_case *c, int first, int second)
{
    struct zsp_buf *frame = zsp_buf_copy(zsp_slice_str("in a commit"));
    const struct store_batch batch = {.frame = frame,
                                      .body = {frame->data, frame->len},
                                      .record_count = 1,
                                      .timestamp_ms = 1000,
                                      .priority = 4};
    const struct store_append appends[] = {{wide[first], &batch}, {wide[second], &batch}};
    struct store_atomic *atomic = NULL;
    assert_int_equal(c->store->ops->atomic_begin(c->store, appends, 2, 9, &atomic, NULL), 0);
    zsp_buf_put(&frame);
    return atomic;
}

static struct store_atomic *begin_atomic(struct log_case *c)
{
    return begin_atomic_in(c, 0, 1);
}

static void put_atomic(struct log_case *c, struct store_atomic *atomic)
{
    assert_int_equal(c->store->ops->atomic_put(c->store, atomic, NULL, 0, NULL), 0);
}

/* Publish to others, so that the files of the first two are closed. */
static void use_others(struct log_case *c)
{
    for (int i = 2; i < 6; i++) {
        look_at(c, i);
        log_case_fill(c, 0, "other ", 1);
    }
    log_case_run(c);
}

static const struct fault no_descriptor = {.kind = FAULT_ERROR,
                                           .call = FS_CALL_OPEN,
                                           .repeat = UINT64_MAX,
                                           .code = ZSP_EIO,
                                           .sys_errno = EMFILE};

/* Goal: a commit to a partition whose file is closed and cannot be opened is refused, and no more. */
static void without_a_descriptor_a_commit_is_refused(void **state)
{
    struct log_case *c = *state;
    struct fs *faulty = fault_fs_new(c->fs);
    begin(c, faulty, 2);
    use_others(c);
    fault_fs_set(faulty, &no_descriptor);
    (void)begin_atomic(c);
    log_case_settle(c);
    assert_int_equal(c->atomic_code, ZSP_EIO);
    assert_int_equal(c->atomics_done, 0);
    assert_false(c->failed);
    fault_fs_clear(faulty);
    c->atomics_ready = 0;
    struct store_atomic *const again = begin_atomic(c);
    while (c->atomics_ready == 0) {
        log_case_run(c);
    }
    put_atomic(c, again);
    log_case_settle(c);
    assert_int_equal(c->atomics_done, 1);
    assert_int_equal(c->atomic_code, 0);
    assert_int_equal(watch.closed_dirty, 0);
    log_case_close(c);
    c->options.fs = c->fs;
    fault_fs_destroy(&faulty);
}

/* Goal: one that is durable waits until its file can be opened again, and then is done. */
static void without_a_descriptor_a_commit_that_was_put_waits(void **state)
{
    struct log_case *c = *state;
    struct fs *faulty = fault_fs_new(c->fs);
    begin(c, faulty, 2);
    struct store_atomic *const atomic = begin_atomic(c);
    while (c->atomics_ready == 0) {
        log_case_run(c);
    }
    use_others(c);
    fault_fs_set(faulty, &no_descriptor);
    put_atomic(c, atomic);
    for (int i = 0; i < 100; i++) {
        log_case_run(c);
        c->now.mono_ms += 10;
    }
    assert_in_range(fault_fs_hits(faulty), 2, 25); /* not all the time */
    assert_int_equal(c->atomics_done, 0);
    assert_false(c->failed);
    fault_fs_clear(faulty);
    log_case_settle(c);
    assert_int_equal(c->atomics_done, 1);
    assert_int_equal(c->atomic_code, 0);
    look_at(c, 1);
    assert_int_equal(log_case_read(c, 0, 0), 0);
    log_case_assert_body(c, 0, "in a commit");
    log_case_close(c);
    c->options.fs = c->fs;
    fault_fs_destroy(&faulty);
}

static void pass(struct log_case *c, int64_t ms)
{
    const int64_t end_ms = c->now.mono_ms + ms;
    while (c->now.mono_ms < end_ms) {
        c->now.mono_ms += 10;
        log_case_run(c);
    }
}

/* An atomic append to the first two partitions is ready; then one's file is closed and cannot be opened. */
static struct store_atomic *begin_one_that_will_wait(struct log_case *c)
{
    begin(c, c->fs, 3);
    struct store_atomic *const held = begin_atomic(c);
    while (c->atomics_ready == 0) {
        log_case_run(c);
    }
    use_others(c);
    watch.lost = "topics/9-wide/0/";
    return held;
}

static void hold_a_commit(struct log_case *c)
{
    put_atomic(c, begin_one_that_will_wait(c));
    log_case_run(c);
    assert_int_equal(c->atomics_done, 0);
}

/* Both of its segments begin with it. */
static void assert_held_is_there(struct log_case *c)
{
    for (int i = 0; i < 2; i++) {
        char path[64];
        uint8_t bytes[256] = {0};
        (void)snprintf(path, sizeof path, "topics/9-wide/%d/00000000000000000000.log", i);
        (void)log_case_file_read(c, path, bytes, sizeof bytes);
        assert_string_equal((const char *)bytes + BATCH_HEADER_BYTES, "in a commit");
    }
}

/* Goal: commits and publishes to other partitions go on meanwhile; those to its own wait for it. */
static void a_commit_that_waits_holds_up_no_other(void **state)
{
    struct log_case *c = *state;
    hold_a_commit(c);
    for (size_t i = 0; i < 3; i++) {
        struct store_atomic *const other = begin_atomic_in(c, 4, 5);
        log_case_run(c);
        assert_int_equal(c->atomics_ready, 2 + i);
        put_atomic(c, other);
        log_case_run(c);
        assert_int_equal(c->atomics_done, 1 + i);
    }
    look_at(c, 5);
    c->append_code = -1;
    log_case_fill(c, 0, "beside it ", 1);
    assert_int_equal(c->append_code, 0);
    struct store_atomic *const behind = begin_atomic_in(c, 1, 5);
    pass(c, 300);
    assert_int_equal(c->atomics_ready, 4);
    assert_in_range(watch.refused, 2, 6); /* not all the time */
    watch.lost = NULL;
    pass(c, 300);
    assert_int_equal(c->atomics_done, 4);
    assert_int_equal(c->atomics_ready, 5);
    put_atomic(c, behind);
    log_case_settle(c);
    assert_int_equal(c->atomics_done, 5);
    assert_int_equal(c->atomic_code, 0);
    assert_int_equal(watch.closed_dirty, 0);
    log_case_close(c);
    c->options.fs = c->fs;
}

/* Goal: one that was put behind it before that was known waits with it, and so do those behind that. */
static void those_behind_a_commit_that_waits_come_after_it(void **state)
{
    struct log_case *c = *state;
    put_atomic(c, begin_one_that_will_wait(c));
    struct job *sync = run_without_sync(c);
    struct store_atomic *const behind = begin_atomic_in(c, 1, 2);
    assert_null(run_without_sync(c));
    log_case_hear(c);
    assert_int_equal(c->atomics_ready, 2);
    put_atomic(c, behind);
    job_run(sync, c->options.fs);
    log_store_job_done(c->log, sync);
    log_case_run(c);
    struct store_atomic *const last = begin_atomic_in(c, 2, 3);
    struct store_atomic *const other = begin_atomic_in(c, 4, 5);
    log_case_run(c);
    assert_int_equal(c->atomics_ready, 3);
    assert_int_equal(c->atomics_done, 0);
    put_atomic(c, other);
    log_case_run(c);
    assert_int_equal(c->atomics_done, 1);
    watch.lost = NULL;
    pass(c, 300);
    assert_int_equal(c->atomics_done, 3);
    assert_int_equal(c->atomics_ready, 4);
    assert_int_equal(c->atomic_code, 0);
    c->store->ops->atomic_cancel(c->store, last);
    log_case_close(c);
    c->options.fs = c->fs;
}

/* Goal: however long it waits, there is room for others in the journal. */
static void a_commit_that_waits_for_long_holds_up_no_other(void **state)
{
    struct log_case *c = *state;
    c->options.redo_entries_max = 20;
    c->options.journal_file_bytes = 4096;
    c->options.journal_bytes_min = 16384;
    hold_a_commit(c);
    for (size_t i = 0; i < 100; i++) {
        struct store_atomic *const other = begin_atomic_in(c, 4, 5);
        pass(c, 10);
        assert_int_equal(c->atomics_ready, 2 + i);
        put_atomic(c, other);
        pass(c, 10);
        assert_int_equal(c->atomics_done, 1 + i);
    }
    struct store_stats stats;
    c->store->ops->stats(c->store, &stats);
    assert_in_range(stats.journal_file_count, 1, 8);
    log_case_kill(c);
    crash_fs_power_loss(c->fs, 5);
    c->options.fs = c->fs;
    assert_int_equal(log_case_open(c), 0);
    assert_held_is_there(c);
}

/* Goal: with its topic it is over, and is in nobody's way. */
static void a_commit_that_waits_for_a_dropped_topic_is_over(void **state)
{
    struct log_case *c = *state;
    hold_a_commit(c);
    struct store_part *const own = c->parts[1];
    const struct store_topic topic = {9, zsp_slice_str("wide"), WIDE};
    assert_int_equal(c->store->ops->topic_drop(c->store, &topic, wide, 9, NULL), 0);
    pass(c, 300);
    assert_int_equal(c->atomics_done, 1);
    wide[0] = own;
    wide[1] = own;
    (void)begin_atomic(c);
    pass(c, 300);
    assert_int_equal(c->atomics_ready, 2);
    log_case_kill(c);
    c->options.fs = c->fs;
    assert_int_equal(log_case_open(c), 0);
}

/* Goal: what was decided happens, also when the power is cut while it waits and others went on. */
static void a_commit_that_waits_is_there_after_a_power_cut(void **state)
{
    struct log_case *c = *state;
    hold_a_commit(c);
    struct store_atomic *const other = begin_atomic_in(c, 4, 5);
    log_case_run(c);
    put_atomic(c, other);
    log_case_run(c);
    assert_int_equal(c->atomics_done, 1);
    log_case_kill(c);
    crash_fs_power_loss(c->fs, 3);
    c->options.fs = c->fs;
    assert_int_equal(log_case_open(c), 0);
    assert_held_is_there(c);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, log_case_set_up, log_case_tear_down)
    const struct CMUnitTest tests[] = {
        CASE(no_more_files_are_open_than_may_be),
        CASE(a_file_with_unsynced_bytes_stays_open),
        CASE(a_read_waits_for_room_and_is_answered),
        CASE(a_read_is_not_starved_by_publishes),
        CASE(the_longest_unused_file_is_closed),
        CASE(without_a_descriptor_an_error_is_told_and_nothing_fails_for_good),
        CASE(without_a_descriptor_a_commit_is_refused),
        CASE(without_a_descriptor_a_commit_that_was_put_waits),
        CASE(a_commit_that_waits_holds_up_no_other),
        CASE(those_behind_a_commit_that_waits_come_after_it),
        CASE(a_commit_that_waits_for_long_holds_up_no_other),
        CASE(a_commit_that_waits_for_a_dropped_topic_is_over),
        CASE(a_commit_that_waits_is_there_after_a_power_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
