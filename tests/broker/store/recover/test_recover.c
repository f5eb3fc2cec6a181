/* SPDX-License-Identifier: MPL-2.0
 *
 * Every state of a partition's files that docs/LOG_FORMAT.md names, one test each:
 * put the files into the state, start, look.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/file/layout.h"
#include "tests/broker/store/log_case.h"
#include "tests/support/crash_fs.h"

#define TAIL_BYTES   2000u
#define NEXT_SEGMENT "topics/7-orders/0/00000000000000000001.log"

/* What the journal held before the last appends: its unsynced end is lost. */
struct journal_copy {
    uint8_t bytes[65536];
    size_t len;
};

static void journal_keep(struct log_case *c, struct journal_copy *copy)
{
    copy->len = log_case_file_read(c, CASE_JOURNAL, copy->bytes, sizeof copy->bytes);
}

static void journal_put_back(struct log_case *c, const struct journal_copy *copy)
{
    const uint64_t bytes = log_case_file_size(c, CASE_JOURNAL);
    log_case_file_write(c, CASE_JOURNAL, 0, copy->bytes, copy->len);
    if (bytes > copy->len) {
        log_case_file_zero(c, CASE_JOURNAL, copy->len, bytes);
    }
}

/* Two batches proven by the journal, then two whose mark the journal does not know. */
static void two_proven_two_not(struct log_case *c)
{
    static struct journal_copy copy;
    log_case_fill(c, 0, "proven ", 2);
    log_case_settle(c);
    journal_keep(c, &copy);
    /* Both in one commit cycle, so that neither proves the other. */
    assert_int_equal(log_case_append(c, 0, "third"), 0);
    assert_int_equal(log_case_append(c, 0, "fourth"), 0);
    log_case_run(c);
    log_case_kill(c);
    journal_put_back(c, &copy);
}

static void assert_served_to(struct log_case *c, uint64_t end)
{
    const struct store_part_info info = log_case_info(c, 0);
    assert_false(info.refuses_appends);
    assert_int_equal(info.synced_offset, end);
    assert_int_equal(info.end_offset, end);
    assert_int_equal(log_case_append(c, 0, "goes on"), 0);
    log_case_settle(c);
    assert_int_equal(c->append_code, 0);
    assert_int_equal(c->append_offset, end);
    assert_int_equal(log_case_read(c, 0, end), 0);
    log_case_assert_body(c, 0, "goes on");
}

/* --- Ends ------------------------------------------------------------------------------- */

static void zeros_behind_the_last_batch_are_its_plain_end(void **state)
{
    struct log_case *c = *state;
    log_case_fill(c, 0, "x", 3);
    log_case_reopen(c);
    assert_true(log_case_file_size(c, CASE_SEGMENT) > log_case_batch_pos(c, CASE_SEGMENT, 3));
    assert_int_equal(c->warnings, 0);
    assert_served_to(c, 3);
}

static void whole_batches_that_no_mark_proves_are_kept(void **state)
{
    struct log_case *c = *state;
    two_proven_two_not(c);
    log_case_reopen(c);
    assert_int_equal(c->warnings, 0);
    assert_served_to(c, 4);
}

static void a_torn_header_is_cut(void **state)
{
    struct log_case *c = *state;
    two_proven_two_not(c);
    const uint64_t pos = log_case_batch_pos(c, CASE_SEGMENT, 3);
    log_case_file_spoil(c, CASE_SEGMENT, pos + 40, pos + 60);
    log_case_reopen(c);
    assert_int_equal(c->warnings, 1);
    assert_int_equal(log_case_dir_count(c, "cut"), 2); /* the bytes, and why */
    assert_served_to(c, 3);
}

static void a_torn_body_is_cut(void **state)
{
    struct log_case *c = *state;
    two_proven_two_not(c);
    const uint64_t pos = log_case_batch_pos(c, CASE_SEGMENT, 3);
    log_case_file_zero(c, CASE_SEGMENT, pos + 112, pos + 116);
    log_case_reopen(c);
    assert_int_equal(log_case_dir_count(c, "cut"), 2);
    assert_served_to(c, 3);
}

static void a_lost_batch_before_a_whole_one_cuts_both(void **state)
{
    struct log_case *c = *state;
    two_proven_two_not(c);
    const uint64_t pos = log_case_batch_pos(c, CASE_SEGMENT, 2);
    log_case_file_zero(c, CASE_SEGMENT, pos, log_case_batch_pos(c, CASE_SEGMENT, 3));
    log_case_reopen(c);
    assert_int_equal(log_case_dir_count(c, "cut"), 2);
    assert_served_to(c, 2);
}

static void a_cut_tail_is_zero_afterwards(void **state)
{
    struct log_case *c = *state;
    two_proven_two_not(c);
    const uint64_t pos = log_case_batch_pos(c, CASE_SEGMENT, 3);
    log_case_file_spoil(c, CASE_SEGMENT, pos, pos + 4);
    log_case_reopen(c);
    uint8_t bytes[2048];
    const size_t len = log_case_file_read(c, CASE_SEGMENT, bytes, sizeof bytes);
    for (size_t i = (size_t)pos; i < len; i++) {
        assert_int_equal(bytes[i], 0);
    }
    log_case_reopen(c);
    assert_int_equal(c->warnings, 0);
}

/* False: the start came to its end before that call. */
static bool cut_the_power_of_a_start_that_cuts(uint64_t call, uint64_t seed)
{
    void *state = NULL;
    assert_int_equal(log_case_set_up(&state), 0);
    struct log_case *c = state;
    two_proven_two_not(c);
    const uint64_t pos = log_case_batch_pos(c, CASE_SEGMENT, 3);
    log_case_file_spoil(c, CASE_SEGMENT, pos, pos + TAIL_BYTES);
    crash_fs_freeze_at(c->fs, call);
    const bool cut = log_case_open(c) != 0;
    if (!cut) {
        log_case_kill(c);
    }
    crash_fs_power_loss(c->fs, seed);
    assert_int_equal(log_case_open(c), 0);
    char path[128];
    (void)snprintf(path, sizeof path, "cut/topic-7-0-segment-0-%u-start-2", (unsigned)pos);
    assert_int_equal(log_case_file_size(c, path), TAIL_BYTES);
    uint8_t bytes[TAIL_BYTES];
    (void)log_case_file_read(c, path, bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        assert_int_equal(bytes[i], 0xa5);
    }
    assert_int_equal(log_case_tear_down(&state), 0);
    return cut;
}

/* The second start finds a tail that the first one has zeroed in part: its copy is another one. */
static void a_power_cut_leaves_a_whole_copy_of_a_torn_tail(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 8; seed++) {
        uint64_t calls = 0;
        while (cut_the_power_of_a_start_that_cuts(calls, seed)) {
            calls++;
        }
        assert_true(calls > 20);
    }
}

/* A batch copied to another place, even into the place of its successor, is none. */
static void a_batch_in_a_foreign_place_is_not_valid(void **state)
{
    struct log_case *c = *state;
    two_proven_two_not(c);
    uint8_t bytes[2048];
    (void)log_case_file_read(c, CASE_SEGMENT, bytes, sizeof bytes);
    const uint64_t third = log_case_batch_pos(c, CASE_SEGMENT, 2);
    const uint64_t end = log_case_batch_pos(c, CASE_SEGMENT, 4);
    log_case_file_write(c, CASE_SEGMENT, end, bytes + third, (size_t)(end - third));
    log_case_reopen(c);
    assert_int_equal(log_case_dir_count(c, "cut"), 2);
    assert_served_to(c, 4);
}

/* Bytes of an older start behind the end: valid but stale. */
static void a_stale_batch_of_an_older_epoch_does_not_rise_again(void **state)
{
    struct log_case *c = *state;
    static struct journal_copy copy;
    log_case_settle(c);
    journal_keep(c, &copy);
    log_case_fill(c, 0, "same length ", 2);
    log_case_settle(c);
    uint8_t old[2048];
    (void)log_case_file_read(c, CASE_SEGMENT, old, sizeof old);
    const uint64_t second = log_case_batch_pos(c, CASE_SEGMENT, 1);
    const uint64_t end = log_case_batch_pos(c, CASE_SEGMENT, 2);
    log_case_kill(c);
    /* As if neither had become durable: the next start begins at 0 again. */
    journal_put_back(c, &copy);
    log_case_file_zero(c, CASE_SEGMENT, 0, end);
    log_case_reopen(c);
    log_case_fill(c, 0, "same length ", 1);
    log_case_settle(c);
    log_case_kill(c);
    log_case_file_write(c, CASE_SEGMENT, second, old + second, (size_t)(end - second));
    log_case_reopen(c);
    assert_served_to(c, 1);
}

/* --- Damage ----------------------------------------------------------------------------- */

static void assert_damaged(struct log_case *c, uint64_t first, uint64_t end)
{
    const struct store_part_info info = log_case_info(c, 0);
    assert_true(info.refuses_appends);
    assert_int_equal(info.corrupt.first_offset, first);
    assert_int_equal(info.corrupt.end_offset, end);
    assert_int_equal(log_case_append(c, 0, "refused"), ZSP_ECORRUPT);
    assert_int_equal(log_case_read(c, 0, first), ZSP_ECORRUPT);
    assert_int_equal(c->read.covered.first_offset, first);
    assert_int_equal(c->read.covered.end_offset, end);
    assert_int_equal(log_case_dir_count(c, "cut"), 0);
    assert_int_equal(log_case_append(c, 1, "others go on"), 0);
}

static void damage_below_the_journals_mark_is_no_torn_tail(void **state)
{
    struct log_case *c = *state;
    log_case_fill(c, 0, "x", 3);
    log_case_close(c);
    log_case_file_truncate(c, CASE_SEGMENT, log_case_batch_pos(c, CASE_SEGMENT, 2) + 8);
    log_case_reopen(c);
    assert_damaged(c, 2, 3);
    assert_int_equal(log_case_read(c, 0, 0), 0);
    assert_int_equal(c->read.covered.end_offset, 2);
}

static void a_later_batch_proves_a_mark_above_the_damage(void **state)
{
    struct log_case *c = *state;
    static struct journal_copy copy;
    log_case_fill(c, 0, "proven ", 2);
    log_case_settle(c);
    journal_keep(c, &copy);
    log_case_fill(c, 0, "one commit each ", 3); /* the last says: synced to 4 */
    log_case_kill(c);
    journal_put_back(c, &copy);
    const uint64_t pos = log_case_batch_pos(c, CASE_SEGMENT, 3);
    log_case_file_spoil(c, CASE_SEGMENT, pos + 16, pos + 24);
    log_case_reopen(c);
    assert_damaged(c, 3, 4);
    assert_int_equal(log_case_read(c, 0, 4), 0);
    log_case_assert_body(c, 0, "one commit each 2");
}

static void zeros_below_a_proven_mark_are_damage(void **state)
{
    struct log_case *c = *state;
    static struct journal_copy copy;
    log_case_fill(c, 0, "proven ", 2);
    log_case_settle(c);
    journal_keep(c, &copy);
    log_case_fill(c, 0, "one commit each ", 3);
    log_case_kill(c);
    journal_put_back(c, &copy);
    log_case_file_zero(c, CASE_SEGMENT, log_case_batch_pos(c, CASE_SEGMENT, 2),
                       log_case_batch_pos(c, CASE_SEGMENT, 4));
    log_case_reopen(c);
    assert_damaged(c, 2, 4);
}

static void a_damaged_body_is_found_by_the_read(void **state)
{
    struct log_case *c = *state;
    log_case_fill(c, 0, "x", 4);
    log_case_close(c);
    const uint64_t pos = log_case_batch_pos(c, CASE_SEGMENT, 1);
    log_case_file_spoil(c, CASE_SEGMENT, pos + 112, pos + 113);
    log_case_reopen(c);
    assert_int_equal(log_case_read(c, 0, 0), 0);
    assert_int_equal(c->read.covered.end_offset, 1);
    assert_int_equal(log_case_read(c, 0, 1), ZSP_ECORRUPT);
    assert_int_equal(log_case_read(c, 0, 2), 0);
    assert_damaged(c, 1, 2);
}

static void a_damaged_header_spoils_up_to_the_next_good_one(void **state)
{
    struct log_case *c = *state;
    log_case_fill(c, 0, "x", 5);
    log_case_close(c);
    log_case_file_spoil(c, CASE_SEGMENT, log_case_batch_pos(c, CASE_SEGMENT, 1) + 8,
                        log_case_batch_pos(c, CASE_SEGMENT, 2) + 20);
    log_case_reopen(c);
    assert_int_equal(log_case_read(c, 0, 2), ZSP_ECORRUPT);
    assert_damaged(c, 1, 3);
    assert_int_equal(log_case_read(c, 0, 3), 0);
    log_case_assert_body(c, 0, "x3");
}

/* --- Segments ------------------------------------------------------------------------------ */

static void roll_to_second_segment(struct log_case *c)
{
    log_case_fill(c, 0, "some weight in this body of a batch, so that it takes few of them ", 40);
    log_case_settle(c);
    assert_true(log_case_info(c, 0).segment_count >= 2);
}

static void a_sealed_segment_ends_with_its_batches_and_has_an_index(void **state)
{
    struct log_case *c = *state;
    roll_to_second_segment(c);
    assert_int_equal(log_case_file_size(c, CASE_SEGMENT),
                     log_case_batch_pos(c, CASE_SEGMENT, 1000));
    assert_true(log_case_file_size(c, "topics/7-orders/0/00000000000000000000.idx") <= 4096);
}

static void a_missing_or_damaged_index_is_rebuilt(void **state)
{
    struct log_case *c = *state;
    const char *path = "topics/7-orders/0/00000000000000000000.idx";
    roll_to_second_segment(c);
    log_case_close(c);
    log_case_file_remove(c, path);
    log_case_reopen(c);
    assert_int_equal(log_case_read(c, 0, 3), 0);
    assert_true(log_case_file_size(c, path) <= 4096);
    log_case_close(c);
    log_case_file_spoil(c, path, 10, 20);
    log_case_reopen(c);
    assert_int_equal(log_case_read(c, 0, 3), 0);
    assert_int_equal(c->warnings, 0);
}

static void a_missing_sealed_segment_is_damage(void **state)
{
    struct log_case *c = *state;
    roll_to_second_segment(c);
    log_case_close(c);
    log_case_file_remove(c, CASE_SEGMENT);
    log_case_reopen(c);
    const uint64_t end = log_case_info(c, 0).corrupt.end_offset;
    assert_true(end > 10);
    assert_damaged(c, 0, end);
    assert_int_equal(log_case_read(c, 0, end), 0);
}

static void an_empty_sealed_segment_is_damage(void **state)
{
    struct log_case *c = *state;
    roll_to_second_segment(c);
    log_case_close(c);
    log_case_file_truncate(c, CASE_SEGMENT, 0);
    log_case_reopen(c);
    assert_damaged(c, 0, log_case_info(c, 0).corrupt.end_offset);
}

static void a_foreign_sealed_segment_is_damage(void **state)
{
    struct log_case *c = *state;
    roll_to_second_segment(c);
    log_case_close(c);
    static uint8_t bytes[4096];
    const size_t len = log_case_file_read(c, CASE_SEGMENT, bytes, sizeof bytes);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)(i * 7);
    }
    log_case_file_write(c, CASE_SEGMENT, 0, bytes, len);
    log_case_file_remove(c, "topics/7-orders/0/00000000000000000000.idx");
    log_case_reopen(c);
    assert_int_equal(log_case_read(c, 0, 5), ZSP_ECORRUPT);
    assert_true(log_case_info(c, 0).refuses_appends);
}

static void a_sealed_segment_longer_than_its_fact_is_fine(void **state)
{
    struct log_case *c = *state;
    roll_to_second_segment(c);
    log_case_close(c);
    const uint64_t end = log_case_file_size(c, CASE_SEGMENT);
    log_case_file_zero(c, CASE_SEGMENT, end, end + 500);
    log_case_reopen(c);
    assert_int_equal(c->warnings, 0);
    assert_int_equal(log_case_read(c, 0, 0), 0);
}

static void a_missing_active_segment_is_damage(void **state)
{
    struct log_case *c = *state;
    log_case_fill(c, 0, "x", 3);
    log_case_close(c);
    log_case_file_remove(c, CASE_SEGMENT);
    log_case_reopen(c);
    assert_damaged(c, 0, 3);
}

static void an_empty_segment_made_ahead_is_used(void **state)
{
    struct log_case *c = *state;
    log_case_fill(c, 0, "x", 3);
    log_case_close(c);
    log_case_file_make(c, NEXT_SEGMENT);
    log_case_reopen(c);
    assert_int_equal(c->warnings, 0);
    roll_to_second_segment(c);
}

static void a_next_segment_that_is_not_empty_stops_appends(void **state)
{
    struct log_case *c = *state;
    log_case_fill(c, 0, "x", 3);
    log_case_close(c);
    log_case_file_make(c, NEXT_SEGMENT);
    log_case_file_write(c, NEXT_SEGMENT, 0, "foreign", 7);
    log_case_reopen(c);
    assert_int_equal(log_case_append(c, 0, "refused"), ZSP_ECORRUPT);
    assert_int_equal(log_case_read(c, 0, 0), 0);
    assert_int_equal(log_case_file_size(c, NEXT_SEGMENT), 7);
}

static void segments_that_the_journal_says_are_gone_are_removed(void **state)
{
    struct log_case *c = *state;
    roll_to_second_segment(c);
    const struct store_retain retain = {.max_bytes = 1, .imaged_before = UINT64_MAX};
    assert_int_equal(c->store->ops->retain(c->store, c->parts[0], &retain, NULL), 0);
    log_case_settle(c);
    assert_true(c->trimmed > 0);
    assert_int_equal(log_case_file_size(c, CASE_SEGMENT), UINT64_MAX);
    log_case_close(c);
    log_case_file_make(c, CASE_SEGMENT); /* as if the unlink had not become durable */
    log_case_reopen(c);
    assert_int_equal(log_case_file_size(c, CASE_SEGMENT), UINT64_MAX);
    assert_int_equal(log_case_info(c, 0).start_offset, c->trimmed);
    assert_int_equal(log_case_read(c, 0, 0), ZSP_EOUT_OF_RANGE);
}

/* Goal: what a crash left of a segment goes with it, also when its file is gone already. */
static void what_lies_beside_a_segment_that_is_gone_is_removed(void **state)
{
    static const char *const files[] = {".idx", ".ids", ".pri", ".idx.tmp", ".ids.tmp", ".pri.tmp"};
    struct log_case *c = *state;
    roll_to_second_segment(c);
    const struct store_retain retain = {.max_bytes = 1, .imaged_before = UINT64_MAX};
    assert_int_equal(c->store->ops->retain(c->store, c->parts[0], &retain, NULL), 0);
    log_case_settle(c);
    const size_t clean = log_case_dir_count(c, "topics/7-orders/0");
    log_case_close(c);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[LAYOUT_PATH_MAX];
        layout_segment_path(path, "topics/7-orders/0", 0, files[i]);
        log_case_file_make(c, path);
        layout_generation_path(path, "topics/7-orders/0", 0, 3, files[i]);
        log_case_file_make(c, path);
    }
    log_case_file_make(c, "topics/7-orders/0/notes.tmp");
    log_case_reopen(c);
    assert_int_equal(log_case_dir_count(c, "topics/7-orders/0"), clean + 1);
    assert_int_equal(c->warnings, 0);
}

/* --- Directories ------------------------------------------------------------------------------ */

static void unknown_files_are_reported_and_left_alone(void **state)
{
    struct log_case *c = *state;
    log_case_close(c);
    log_case_file_make(c, "topics/7-orders/0/notes.txt");
    log_case_file_make(c, "topics/readme");
    log_case_file_make(c, "journal/old.jnl");
    log_case_reopen(c);
    assert_int_equal(c->warnings, 3);
    assert_int_equal(log_case_file_size(c, "topics/7-orders/0/notes.txt"), 0);
    assert_int_equal(log_case_file_size(c, "topics/readme"), 0);
    assert_int_equal(log_case_file_size(c, "journal/old.jnl"), 0);
}

static void a_topic_that_nobody_asks_for_is_reported_and_left_alone(void **state)
{
    struct log_case *c = *state;
    log_case_fill(c, 0, "x", 3);
    log_case_close(c);
    c->topic_known = false;
    log_case_reopen(c);
    assert_int_equal(c->warnings, 3); /* the directory, two partitions in the journal */
    log_case_close(c);
    c->topic_known = true;
    log_case_reopen(c);
    assert_served_to(c, 3);
}

/* The topic's own state became durable, its directories did not. */
static void a_creation_that_did_not_end_is_finished(void **state)
{
    struct log_case *c = *state;
    struct store_part *part;
    log_case_close(c);
    assert_int_equal(log_case_open(c), 0);
    log_case_kill(c);
    c->log = log_store_open(&c->options, NULL);
    assert_non_null(c->log);
    c->store = log_store_base(c->log);
    const struct store_hooks hooks = {0};
    const struct store_topic topic = {8, zsp_slice_str("later"), 1};
    assert_int_equal(c->store->ops->start(c->store, &hooks, c->now, NULL), 0);
    assert_int_equal(
        c->store->ops->part_open(c->store, &topic, 0, &c->parts[0], UINT64_MAX, 0, &part, NULL), 0);
    assert_int_equal(c->store->ops->ready(c->store, NULL), 0);
    c->parts[0] = part;
    assert_int_equal(log_case_file_size(c, "topics/8-later/0/00000000000000000000.log"), 0);
    assert_served_to(c, 0);
}

static void a_removal_that_did_not_end_goes_on(void **state)
{
    struct log_case *c = *state;
    log_case_fill(c, 0, "x", 3);
    log_case_settle(c);
    const struct store_topic topic = {CASE_TOPIC, zsp_slice_str("orders"), CASE_PARTS};
    assert_int_equal(c->store->ops->topic_drop(c->store, &topic, c->parts, 9, NULL), 0);
    /* Run until the journal knows, but not the task that moves the files. */
    for (int i = 0; i < 100 && log_case_dir_count(c, "trash") == 0 && !c->dropped; i++) {
        c->store->ops->flush(c->store, c->now);
        struct job *job = log_store_next_job(c->log);
        if (job) {
            const bool moves = job->kind == JOB_TASK;
            if (moves) {
                job->error.code = ZSP_EIO;
            } else {
                job_run(job, c->fs);
            }
            log_store_job_done(c->log, job);
            if (moves) {
                break;
            }
        }
    }
    log_case_kill(c);
    c->topic_known = false;
    log_case_reopen(c);
    log_case_settle(c);
    assert_int_equal(log_case_dir_count(c, "topics"), 0);
    assert_int_equal(log_case_dir_count(c, "trash"), 0);
    log_case_reopen(c);
    assert_int_equal(c->warnings, 0);
}

/* --- Replay --------------------------------------------------------------------------------- */

static void replay_tells_headers_from_the_wanted_offset_on_over_segments(void **state)
{
    struct log_case *c = *state;
    roll_to_second_segment(c);
    const uint64_t end = log_case_info(c, 0).end_offset;
    c->replay_from = 3;
    c->hint = c->store->ops->place(c->store, c->parts[0], 3);
    log_case_reopen(c);
    assert_int_equal(c->first_told, 3);
    assert_int_equal(c->told, end - 3);
    c->hint = 12345; /* a wrong hint costs only time */
    log_case_reopen(c);
    assert_int_equal(c->told, end - 3);
    c->replay_from = end - 1;
    c->hint = 0;
    log_case_reopen(c);
    assert_int_equal(c->told, 1);
    assert_served_to(c, end);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, log_case_set_up, log_case_tear_down)
    const struct CMUnitTest tests[] = {
        CASE(zeros_behind_the_last_batch_are_its_plain_end),
        CASE(whole_batches_that_no_mark_proves_are_kept),
        CASE(a_torn_header_is_cut),
        CASE(a_torn_body_is_cut),
        CASE(a_lost_batch_before_a_whole_one_cuts_both),
        CASE(a_cut_tail_is_zero_afterwards),
        cmocka_unit_test(a_power_cut_leaves_a_whole_copy_of_a_torn_tail),
        CASE(a_batch_in_a_foreign_place_is_not_valid),
        CASE(a_stale_batch_of_an_older_epoch_does_not_rise_again),
        CASE(damage_below_the_journals_mark_is_no_torn_tail),
        CASE(a_later_batch_proves_a_mark_above_the_damage),
        CASE(zeros_below_a_proven_mark_are_damage),
        CASE(a_damaged_body_is_found_by_the_read),
        CASE(a_damaged_header_spoils_up_to_the_next_good_one),
        CASE(a_sealed_segment_ends_with_its_batches_and_has_an_index),
        CASE(a_missing_or_damaged_index_is_rebuilt),
        CASE(a_missing_sealed_segment_is_damage),
        CASE(an_empty_sealed_segment_is_damage),
        CASE(a_foreign_sealed_segment_is_damage),
        CASE(a_sealed_segment_longer_than_its_fact_is_fine),
        CASE(a_missing_active_segment_is_damage),
        CASE(an_empty_segment_made_ahead_is_used),
        CASE(a_next_segment_that_is_not_empty_stops_appends),
        CASE(segments_that_the_journal_says_are_gone_are_removed),
        CASE(what_lies_beside_a_segment_that_is_gone_is_removed),
        CASE(unknown_files_are_reported_and_left_alone),
        CASE(a_topic_that_nobody_asks_for_is_reported_and_left_alone),
        CASE(a_creation_that_did_not_end_is_finished),
        CASE(a_removal_that_did_not_end_goes_on),
        CASE(replay_tells_headers_from_the_wanted_offset_on_over_segments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
