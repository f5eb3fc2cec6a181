/* SPDX-License-Identifier: MPL-2.0
 *
 * Commits over many files go through the journal: what they cost, what a start makes of what
 * they leave behind, and when the files themselves are synced.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/check/check.h"
#include "broker/store/journal/redo.h"
#include "tests/broker/store/log_case.h"
#include "tests/support/crash_fs.h"

#define CASE_SEGMENT_1 "topics/7-orders/1/00000000000000000000.log"

/* The case, whose two partitions are more files than one cycle may sync. */
static int set_up(void **state)
{
    const int rc = log_case_set_up(state);
    struct log_case *c = *state;
    log_case_close(c);
    c->options.sync_files_max = 1;
    assert_int_equal(log_case_open(c), 0);
    return rc;
}

/* Batches whose ids are looked for are written to their segments at once. */
static void put_nothing_off(struct log_case *c)
{
    for (size_t i = 0; i < CASE_PARTS; i++) {
        c->store->ops->index_ids(c->store, c->parts[i], true);
    }
}

static struct store_stats stats(const struct log_case *c)
{
    struct store_stats ret;
    c->store->ops->stats(c->store, &ret);
    return ret;
}

/* A batch into each partition, confirmed by one cycle. */
static void append_to_both(struct log_case *c, const char *first, const char *second)
{
    assert_int_equal(log_case_append(c, 0, first), 0);
    assert_int_equal(log_case_append(c, 1, second), 0);
    log_case_run(c);
}

/* Nothing but the log files is lost, and they are lost whole. */
static void lose_segments(struct log_case *c)
{
    log_case_kill(c);
    crash_fs_process_crash(c->fs);
    log_case_file_truncate(c, CASE_SEGMENT, 0);
    log_case_file_truncate(c, CASE_SEGMENT_1, 0);
}

static void assert_holds(struct log_case *c, uint32_t partition, uint64_t offset, const char *text)
{
    assert_int_equal(log_case_read(c, partition, offset), 0);
    log_case_assert_body(c, 0, text);
}

static void note_finding(void *arg, const struct check_finding *finding)
{
    *(size_t *)arg += finding->severity == CHECK_DAMAGE ? 1u : 0u;
}

static size_t damages(struct log_case *c)
{
    size_t count = 0;
    struct check_summary summary;
    const struct check_options options = {.fs = c->fs, .finding_fn = note_finding, .arg = &count};
    assert_int_equal(check_store(&options, &summary, NULL), 0);
    return count;
}

static void run_one(struct log_case *c, struct job *job)
{
    job_run(job, c->fs);
    log_store_job_done(c->log, job);
}

/* Run what is wanted at this time up to the first job of this kind, which is held. */
static struct job *run_up_to(struct log_case *c, enum job_kind kind)
{
    c->store->ops->flush(c->store, c->now);
    for (;;) {
        struct job *job = log_store_next_job(c->log);
        assert_non_null(job);
        if (job->kind == kind) {
            return job;
        }
        run_one(c, job);
    }
}

/* --- What a commit costs -------------------------------------------------------------------- */

static void a_commit_over_many_files_syncs_the_journal_alone(void **state)
{
    struct log_case *c = *state;
    const struct store_stats before = stats(c);
    append_to_both(c, "zero", "one");
    assert_int_equal(c->synced[0], 1);
    assert_int_equal(c->synced[1], 1);
    assert_int_equal(stats(c).commit_cycles, before.commit_cycles + 1);
    assert_int_equal(stats(c).synced_files, before.synced_files + 1);
}

static void a_commit_over_few_files_syncs_them(void **state)
{
    struct log_case *c = *state;
    log_case_settle(c);
    const uint64_t before = stats(c).journal_bytes;
    assert_int_equal(log_case_append(c, 0, "a text that would be in the journal"), 0);
    log_case_run(c);
    assert_int_equal(c->synced[0], 1);
    assert_in_range(stats(c).journal_bytes - before, 1, 200); /* a mark */
}

static void a_file_with_much_to_sync_is_synced_itself(void **state)
{
    struct log_case *c = *state;
    const size_t len = 300 * 1024;
    char *text = malloc(len + 1);
    assert_non_null(text);
    memset(text, 'x', len);
    text[len] = '\0';
    const uint64_t before = stats(c).journal_bytes;
    append_to_both(c, text, "small");
    free(text);
    assert_int_equal(c->synced[0], 1);
    assert_int_equal(c->synced[1], 1);
    assert_in_range(stats(c).journal_bytes - before, 1, 1024);
}

/* --- What a start makes of it ---------------------------------------------------------------- */

static void what_the_segments_lost_is_written_again(void **state)
{
    struct log_case *c = *state;
    append_to_both(c, "zero", "one");
    append_to_both(c, "two", "three");
    lose_segments(c);
    assert_int_equal(log_case_open(c), 0);
    assert_holds(c, 0, 0, "zero");
    assert_holds(c, 0, 1, "two");
    assert_holds(c, 1, 1, "three");
    assert_int_equal(log_case_info(c, 0).refuses_appends, false);
}

static void the_check_sees_the_journal_over_the_segments(void **state)
{
    struct log_case *c = *state;
    append_to_both(c, "zero", "one");
    lose_segments(c);
    assert_int_equal(damages(c), 0);
}

static void what_is_behind_it_in_the_segment_is_kept(void **state)
{
    struct log_case *c = *state;
    append_to_both(c, "zero", "one");
    assert_int_equal(log_case_append(c, 0, "two"), 0); /* alone: the file is synced */
    log_case_run(c);
    log_case_kill(c);
    crash_fs_power_loss(c->fs, 3);
    assert_int_equal(log_case_open(c), 0);
    assert_holds(c, 0, 0, "zero");
    assert_holds(c, 0, 1, "two");
    assert_holds(c, 1, 0, "one");
}

static void a_power_cut_keeps_what_was_confirmed(void **state)
{
    struct log_case *c = *state;
    uint64_t count = 0;
    for (uint64_t seed = 1; seed <= 200; seed++, count++) {
        char text[32];
        (void)snprintf(text, sizeof text, "text %d", (int)count);
        append_to_both(c, text, text);
        assert_int_equal(c->synced[0], count + 1);
        log_case_kill(c);
        crash_fs_power_loss(c->fs, seed);
        assert_int_equal(damages(c), 0);
        assert_int_equal(log_case_open(c), 0);
        assert_holds(c, 0, count, text);
        assert_holds(c, 1, count, text);
    }
}

static void a_second_start_has_nothing_to_do_again(void **state)
{
    struct log_case *c = *state;
    append_to_both(c, "zero", "one");
    log_case_kill(c);
    assert_int_equal(log_case_open(c), 0);
    log_case_kill(c);
    log_case_file_spoil(c, CASE_SEGMENT, 8, 16); /* would be mended by a redo */
    assert_int_equal(damages(c), 1);
}

/* The start has synced all that the journal holds: the next one will not look at it. */
static void a_start_that_nobody_asks_for_the_topic_loses_none_of_it(void **state)
{
    struct log_case *c = *state;
    append_to_both(c, "zero", "one");
    lose_segments(c);
    c->topic_known = false;
    assert_int_equal(log_case_open(c), 0);
    assert_int_equal(c->warnings, 3); /* the directory, two partitions in the journal */
    log_case_kill(c);
    crash_fs_power_loss(c->fs, 7);
    assert_int_equal(damages(c), 0);
    c->topic_known = true;
    assert_int_equal(log_case_open(c), 0);
    assert_holds(c, 0, 0, "zero");
    assert_holds(c, 1, 0, "one");
}

static void what_nobody_asks_for_and_has_no_files_is_passed_over(void **state)
{
    struct log_case *c = *state;
    append_to_both(c, "zero", "one");
    log_case_kill(c);
    crash_fs_process_crash(c->fs);
    log_case_file_remove(c, CASE_SEGMENT);
    c->topic_known = false;
    assert_int_equal(log_case_open(c), 0);
}

static void flip_in_journal(struct log_case *c, const char *text)
{
    static char bytes[65536];
    const size_t len = log_case_file_read(c, CASE_JOURNAL, (uint8_t *)bytes, sizeof bytes);
    uint64_t pos = 0;
    while (pos + strlen(text) < len && memcmp(bytes + pos, text, strlen(text)) != 0) {
        pos++;
    }
    assert_true(crash_fs_flip(c->fs, CASE_JOURNAL, pos, 1));
}

/* Nothing proves the last record: its mark goes with it. */
static void a_last_record_with_torn_data_is_cut(void **state)
{
    struct log_case *c = *state;
    append_to_both(c, "zero zero", "one one");
    lose_segments(c);
    flip_in_journal(c, "zero zero");
    assert_int_equal(damages(c), 0);
    assert_int_equal(log_case_open(c), 0);
    assert_int_equal(log_case_dir_count(c, "cut"), 2);
    assert_int_equal(log_case_info(c, 0).synced_offset, 0);
    assert_false(log_case_info(c, 0).refuses_appends);
}

/* What the segment has may be in the page cache alone. */
static void what_the_segment_has_of_damaged_data_becomes_durable(void **state)
{
    struct log_case *c = *state;
    put_nothing_off(c);
    append_to_both(c, "zero zero", "one one");
    log_case_put(c, "a", STORE_IMAGE, "1"); /* the proof */
    log_case_kill(c);
    crash_fs_process_crash(c->fs);
    flip_in_journal(c, "zero zero");
    assert_int_equal(log_case_open(c), 0);
    log_case_kill(c);
    for (uint64_t seed = 1; seed < 20; seed++) {
        crash_fs_power_loss(c->fs, seed);
    }
    assert_int_equal(damages(c), 0);
    assert_int_equal(log_case_open(c), 0);
    assert_holds(c, 0, 0, "zero zero");
    assert_holds(c, 1, 0, "one one");
}

/* The journal does not speak for what is paid: damage in the segment is the segment's. */
static void damaged_data_that_is_paid_is_asked_of_nobody(void **state)
{
    struct log_case *c = *state;
    append_to_both(c, "zero zero", "one one");
    log_case_settle(c);
    c->now.mono_ms += REDO_IDLE_MS;
    log_case_settle(c);
    log_case_kill(c);
    flip_in_journal(c, "zero zero");
    assert_int_equal(damages(c), 0);
    log_case_file_spoil(c, CASE_SEGMENT, 112, 113);
    assert_int_equal(damages(c), 1);
    assert_int_equal(log_case_open(c), 0);
    assert_int_equal(c->warnings, 1);
    assert_int_equal(log_case_read(c, 0, 0), ZSP_ECORRUPT);
    assert_holds(c, 1, 0, "one one");
}

/* --- When the journal holds a whole segment ---------------------------------------------------- */

static void remove_segments(struct log_case *c)
{
    log_case_kill(c);
    crash_fs_process_crash(c->fs);
    log_case_file_remove(c, CASE_SEGMENT);
    log_case_file_remove(c, CASE_SEGMENT_1);
}

static void a_missing_active_segment_is_made_anew_from_the_journal(void **state)
{
    struct log_case *c = *state;
    append_to_both(c, "zero", "one");
    append_to_both(c, "two", "three");
    remove_segments(c);
    assert_int_equal(damages(c), 0);
    assert_int_equal(log_case_open(c), 0);
    assert_int_equal(c->warnings, 2);
    log_case_kill(c);
    crash_fs_power_loss(c->fs, 4); /* it is durable, with its name */
    assert_int_equal(damages(c), 0);
    assert_int_equal(log_case_open(c), 0);
    assert_int_equal(c->warnings, 0);
    assert_holds(c, 0, 0, "zero");
    assert_holds(c, 0, 1, "two");
    assert_holds(c, 1, 1, "three");
    assert_int_equal(log_case_info(c, 0).refuses_appends, false);
}

/* The end of partition 0 was synced in its file, and is nowhere else. */
static void a_missing_segment_that_the_journal_holds_in_part_is_missing(void **state)
{
    struct log_case *c = *state;
    append_to_both(c, "zero", "one");
    put_nothing_off(c);
    assert_int_equal(log_case_append(c, 0, "two"), 0);
    log_case_run(c);
    remove_segments(c);
    assert_int_equal(damages(c), 1);
    assert_int_equal(log_case_open(c), 0);
    assert_int_equal(log_case_info(c, 0).refuses_appends, true);
    assert_int_equal(log_case_read(c, 0, 0), ZSP_ECORRUPT);
    assert_int_equal(log_case_file_size(c, CASE_SEGMENT), UINT64_MAX);
    assert_holds(c, 1, 0, "one");
}

static void a_missing_segment_of_a_topic_that_nobody_asks_for_is_made_anew(void **state)
{
    struct log_case *c = *state;
    append_to_both(c, "zero", "one");
    remove_segments(c);
    c->topic_known = false;
    assert_int_equal(log_case_open(c), 0);
    log_case_kill(c);
    crash_fs_power_loss(c->fs, 7);
    assert_int_equal(damages(c), 0);
    c->topic_known = true;
    assert_int_equal(log_case_open(c), 0);
    assert_holds(c, 0, 0, "zero");
    assert_holds(c, 1, 0, "one");
}

/* False: the start came to its end before. */
static bool crash_while_it_is_made(uint64_t n, bool known)
{
    void *state = NULL;
    assert_int_equal(set_up(&state), 0);
    struct log_case *c = state;
    append_to_both(c, "zero", "one");
    append_to_both(c, "two", "three");
    remove_segments(c);
    c->topic_known = known;
    crash_fs_freeze_at(c->fs, n);
    const bool crashed = log_case_open(c) != 0;
    if (!crashed) {
        log_case_kill(c);
    }
    crash_fs_power_loss(c->fs, n);
    assert_int_equal(damages(c), 0);
    c->topic_known = true;
    assert_int_equal(log_case_open(c), 0);
    assert_holds(c, 0, 1, "two");
    assert_holds(c, 1, 1, "three");
    assert_int_equal(log_case_tear_down(&state), 0);
    return crashed;
}

static void a_crash_while_a_segment_is_made_anew_loses_nothing(void **state)
{
    (void)state;
    for (int known = 0; known < 2; known++) {
        uint64_t n = 0;
        while (crash_while_it_is_made(n, known == 1)) {
            n++;
        }
        assert_true(n > 30);
    }
}

/* --- When the files are synced ------------------------------------------------------------------ */

static void an_idle_store_pays_what_it_owes(void **state)
{
    struct log_case *c = *state;
    append_to_both(c, "zero", "one");
    log_case_settle(c);
    assert_in_range(c->store->ops->deadline_ms(c->store), c->now.mono_ms + 1,
                    c->now.mono_ms + REDO_IDLE_MS);
    c->now.mono_ms += REDO_IDLE_MS;
    log_case_settle(c);
    assert_true(c->store->ops->deadline_ms(c->store) > c->now.mono_ms + REDO_IDLE_MS);
    log_case_kill(c);
    crash_fs_power_loss(c->fs, 1);
    assert_int_equal(log_case_open(c), 0);
    assert_holds(c, 0, 0, "zero");
    assert_holds(c, 1, 0, "one");
}

static void a_file_that_cannot_be_synced_later_is_fail_stop(void **state)
{
    struct log_case *c = *state;
    append_to_both(c, "zero", "one");
    log_case_settle(c);
    c->now.mono_ms += REDO_IDLE_MS;
    crash_fs_fail_sync(c->fs, 0, 5);
    log_case_run(c);
    assert_true(c->failed);
    log_case_kill(c);
    crash_fs_power_loss(c->fs, 5);
    assert_int_equal(log_case_open(c), 0);
    assert_holds(c, 0, 0, "zero"); /* the journal has it still */
    assert_holds(c, 1, 0, "one");
}

static void a_journal_sync_that_fails_confirms_nothing(void **state)
{
    struct log_case *c = *state;
    log_case_settle(c);
    crash_fs_fail_sync(c->fs, 0, 2);
    assert_int_equal(log_case_append(c, 0, "zero"), 0);
    assert_int_equal(log_case_append(c, 1, "one"), 0);
    log_case_run(c);
    assert_true(c->failed);
    assert_int_equal(c->synced[0], 0);
    assert_int_equal(c->synced[1], 0);
}

/* The disk fills up between the gather and the record: the commit waits for room, no more. */
static void a_commit_waits_for_room_in_the_journal(void **state)
{
    struct log_case *c = *state;
    put_nothing_off(c);
    log_case_settle(c);
    char text[3000];
    memset(text, 'w', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_int_equal(log_case_append(c, 0, text), 0);
    assert_int_equal(log_case_append(c, 1, text), 0);
    struct job *gather = run_up_to(c, JOB_GATHER);
    crash_fs_set_limit(c->fs, crash_fs_used(c->fs));
    run_one(c, gather);
    for (int i = 0; i < 50; i++) { /* longer than any deadline of an idle store */
        c->now.mono_ms += 100;
        log_case_run(c);
    }
    assert_int_equal(c->synced[0], 0);
    crash_fs_set_limit(c->fs, UINT64_MAX);
    log_case_settle(c);
    assert_false(c->failed);
    assert_int_equal(c->synced[0], 1);
    log_case_kill(c);
    crash_fs_power_loss(c->fs, 7);
    assert_int_equal(damages(c), 0);
    assert_int_equal(log_case_open(c), 0);
    assert_holds(c, 0, 0, text);
    assert_holds(c, 1, 0, text);
}

/* Rolls, retention and a full journal meet what is owed. */
static void the_journal_goes_on_while_files_are_full(void **state)
{
    struct log_case *c = *state;
    log_case_close(c);
    c->options.journal_file_bytes = 4096;
    c->options.journal_bytes_min = 8192;
    assert_int_equal(log_case_open(c), 0);
    char text[400];
    memset(text, 'y', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (int i = 0; i < 200; i++) {
        assert_int_equal(log_case_append(c, 0, text), 0);
        assert_int_equal(log_case_append(c, 1, text), 0);
        log_case_settle(c);
    }
    assert_int_equal(c->synced[1], 200);
    assert_in_range(stats(c).journal_file_count, 1, 12);
    assert_true(log_case_info(c, 0).segment_count > 10);
    log_case_kill(c);
    crash_fs_power_loss(c->fs, 11);
    assert_int_equal(damages(c), 0);
    assert_int_equal(log_case_open(c), 0);
    assert_holds(c, 0, 199, text);
    assert_holds(c, 1, 0, text);
}

static void a_dropped_topic_owes_nothing(void **state)
{
    struct log_case *c = *state;
    append_to_both(c, "zero", "one");
    const struct store_topic topic = {CASE_TOPIC, zsp_slice_str("orders"), CASE_PARTS};
    log_case_settle(c);
    assert_int_equal(c->store->ops->topic_drop(c->store, &topic, c->parts, 9, NULL), 0);
    assert_true(c->store->ops->deadline_ms(c->store) > c->now.mono_ms + REDO_IDLE_MS);
    c->now.mono_ms += REDO_IDLE_MS;
    log_case_settle(c);
    assert_true(c->dropped);
}

/* --- Nobody syncs a file twice at once ------------------------------------------------------- */

/* With one held, one sync succeeds while all that is wanted besides is done, the next one fails:
 * false = nobody made that next one. Then the held job and all behind it is run. */
static bool a_second_sync_is_made_beside(struct log_case *c, struct job *held)
{
    crash_fs_fail_sync(c->fs, 1, 3);
    log_case_run(c);
    const bool made = c->failed;
    run_one(c, held);
    log_case_run(c);
    return made;
}

static void what_is_sealed_is_synced_by_nobody_else(void **state)
{
    struct log_case *c = *state;
    char text[2200];
    memset(text, 'z', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    append_to_both(c, text, "one"); /* more than half full: the next file is made ahead */
    log_case_settle(c);
    assert_int_equal(log_case_append(c, 0, text), 0);
    struct job *seal = run_up_to(c, JOB_TASK);
    c->now.mono_ms += REDO_IDLE_MS;
    assert_false(a_second_sync_is_made_beside(c, seal)); /* one, for the other file */
    assert_true(c->failed);                              /* the seal was told */
}

static void what_a_commit_is_to_sync_is_synced_by_nobody_else(void **state)
{
    struct log_case *c = *state;
    log_case_close(c);
    c->options.segment_bytes = 1u << 20;
    assert_int_equal(log_case_open(c), 0);
    put_nothing_off(c);
    append_to_both(c, "zero", "one");
    log_case_settle(c);
    const size_t len = 300 * 1024;
    char *text = malloc(len + 1);
    assert_non_null(text);
    memset(text, 'x', len);
    text[len] = '\0';
    assert_int_equal(log_case_append(c, 0, text), 0); /* its file is to be synced */
    assert_int_equal(log_case_append(c, 1, "small"), 0);
    free(text);
    struct job *gather = run_up_to(c, JOB_GATHER);
    c->now.mono_ms += REDO_IDLE_MS;
    assert_false(a_second_sync_is_made_beside(c, gather)); /* one, for the other file */
    assert_true(c->failed);                                /* the commit was told */
    assert_int_equal(c->synced[0], 1);
}

static void who_has_to_wait_for_a_commit_asks_for_no_turn(void **state)
{
    struct log_case *c = *state;
    append_to_both(c, "zero", "one");
    log_case_settle(c);
    assert_int_equal(log_case_append(c, 1, "two"), 0); /* alone: paid */
    log_case_settle(c);
    c->now.mono_ms = c->store->ops->deadline_ms(c->store) - 1;
    assert_int_equal(log_case_append(c, 0, "three"), 0);
    struct job *sync = run_up_to(c, JOB_SYNC);
    c->now.mono_ms++;
    c->store->ops->flush(c->store, c->now);
    const int64_t deadline_ms = c->store->ops->deadline_ms(c->store);
    run_one(c, sync);
    log_case_run(c);
    assert_true(deadline_ms > c->now.mono_ms);
    assert_int_equal(c->synced[0], 2);
}

/* Goal: however large a journal is, a start keeps no more of it than any store of ours leaves unpaid. */
static void more_that_is_owed_than_can_be_is_damage(void **state)
{
    (void)state;
    struct redo_log log = {.max = 100};
    struct zsp_err err = {0};
    for (uint64_t record = 1; record <= 10000; record++) { /* all but the last 50 are paid */
        const struct redo_item item = {.topic_id = 1, .record = record, .file = 1, .len = 8};
        const uint64_t from = record > 50 ? record - 50 : 0;
        assert_int_equal(redo_log_note(&log, &item, from, 0, &err), 0);
        assert_in_range(log.capacity, 1, 100);
    }
    redo_log_fini(&log);
    log.max = 100;
    for (uint64_t record = 1; record <= 101; record++) {
        const struct redo_item item = {.topic_id = 1, .record = record, .file = 3, .len = 8};
        assert_int_equal(redo_log_note(&log, &item, 1, 0, &err), record <= 100 ? 0 : ZSP_ECORRUPT);
    }
    assert_non_null(strstr(err.msg, "record 101 of journal file 3"));
    assert_int_equal(log.count, 100);
    redo_log_fini(&log);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, log_case_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_commit_over_many_files_syncs_the_journal_alone),
        TEST(a_commit_over_few_files_syncs_them),
        TEST(a_file_with_much_to_sync_is_synced_itself),
        TEST(what_the_segments_lost_is_written_again),
        TEST(the_check_sees_the_journal_over_the_segments),
        TEST(what_is_behind_it_in_the_segment_is_kept),
        TEST(a_power_cut_keeps_what_was_confirmed),
        TEST(a_second_start_has_nothing_to_do_again),
        TEST(a_start_that_nobody_asks_for_the_topic_loses_none_of_it),
        TEST(what_nobody_asks_for_and_has_no_files_is_passed_over),
        TEST(a_last_record_with_torn_data_is_cut),
        TEST(what_the_segment_has_of_damaged_data_becomes_durable),
        TEST(damaged_data_that_is_paid_is_asked_of_nobody),
        TEST(a_missing_active_segment_is_made_anew_from_the_journal),
        TEST(a_missing_segment_that_the_journal_holds_in_part_is_missing),
        TEST(a_missing_segment_of_a_topic_that_nobody_asks_for_is_made_anew),
        cmocka_unit_test(a_crash_while_a_segment_is_made_anew_loses_nothing),
        cmocka_unit_test(more_that_is_owed_than_can_be_is_damage),
        TEST(an_idle_store_pays_what_it_owes),
        TEST(a_file_that_cannot_be_synced_later_is_fail_stop),
        TEST(a_journal_sync_that_fails_confirms_nothing),
        TEST(a_commit_waits_for_room_in_the_journal),
        TEST(the_journal_goes_on_while_files_are_full),
        TEST(a_dropped_topic_owes_nothing),
        TEST(what_is_sealed_is_synced_by_nobody_else),
        TEST(what_a_commit_is_to_sync_is_synced_by_nobody_else),
        TEST(who_has_to_wait_for_a_commit_asks_for_no_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
