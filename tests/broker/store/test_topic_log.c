/* SPDX-License-Identifier: MPL-2.0
 *
 * Topics that come and go, what is in their way, and reads over segments that
 * come and go under them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/store/check/check.h"
#include "broker/store/segment/open_files.h"
#include "tests/broker/store/log_case.h"
#include "tests/support/crash_fs.h"
#include "tests/support/fault_fs.h"

#define END_TAG 77u /* of topic_end */
#define WEIGHT  "some weight in this body of a batch, so that a segment takes few of them "

/* A second topic of one partition with the number 9; its handle goes to parts[1]. */
static void create_other(struct log_case *c, const char *name)
{
    const struct store_topic topic = {9, zsp_slice_str(name), 1};
    void *owner = &c->parts[1];
    struct store_part *part;
    c->topic_known = false;
    assert_int_equal(c->store->ops->topic_create(c->store, &topic, 0, &owner, &part, 1, NULL), 0);
    c->parts[1] = part;
}

static void a_directory_in_the_way_of_a_new_topic_is_set_aside(void **state)
{
    struct log_case *c = *state;
    log_case_close(c);
    assert_true(c->fs->ops->mkdir(c->fs->self, "topics/9-old", NULL) >= 0);
    log_case_file_make(c, "topics/9-old/data");
    log_case_reopen(c);
    create_other(c, "new");
    log_case_settle(c);
    assert_true(c->topic_known);
    assert_int_equal(log_case_dir_count(c, "quarantine"), 1);
    assert_int_equal(log_case_file_size(c, "topics/9-new/0/00000000000000000000.log"), 0);
    assert_int_equal(log_case_dir_count(c, "topics/9-old"), 0);
}

static void a_creation_without_room_fails_and_its_appends_with_it(void **state)
{
    struct log_case *c = *state;
    struct fs *faulty = fault_fs_new(c->fs);
    struct fs *below = c->fs;
    log_case_close(c);
    c->fs = faulty;
    c->options.fs = faulty;
    log_case_reopen(c);
    const struct fault fault = {.kind = FAULT_ERROR,
                                .call = FS_CALL_MKDIR,
                                .repeat = 1,
                                .code = ZSP_ENO_SPACE,
                                .sys_errno = ENOSPC};
    fault_fs_set(faulty, &fault);
    create_other(c, "full");
    c->appended = 0;
    assert_int_equal(log_case_append(c, 1, "queued behind the creation"), 0);
    log_case_settle(c);
    assert_false(c->topic_known);
    assert_false(c->failed);
    assert_int_equal(c->appended, 1);
    assert_int_not_equal(c->append_code, 0);
    create_other(c, "full"); /* now there is room */
    assert_int_equal(log_case_append(c, 1, "queued behind the creation"), 0);
    log_case_settle(c);
    assert_true(c->topic_known);
    assert_int_equal(c->append_code, 0);
    log_case_kill(c);
    c->fs = below;
    fault_fs_destroy(&faulty);
}

static void a_removed_topic_leaves_nothing(void **state)
{
    struct log_case *c = *state;
    log_case_fill(c, 0, WEIGHT, 60);
    log_case_settle(c);
    const struct store_topic topic = {CASE_TOPIC, zsp_slice_str("orders"), CASE_PARTS};
    assert_int_equal(log_case_append(c, 0, "in the queue"), 0);
    assert_int_equal(c->store->ops->topic_drop(c->store, &topic, c->parts, 9, NULL), 0);
    log_case_settle(c);
    assert_true(c->dropped);
    assert_int_equal(c->append_code, ZSP_ENOT_FOUND);
    assert_int_equal(log_case_dir_count(c, "topics"), 0);
    assert_int_equal(log_case_dir_count(c, "trash"), 0);
    c->topic_known = false;
    log_case_reopen(c);
    assert_int_equal(c->warnings, 0);
}

static void fail_at_damage(void *arg, const struct check_finding *finding)
{
    (void)arg;
    if (finding->severity == CHECK_DAMAGE) {
        fail_msg("fsck: %s: %s", finding->path, finding->text);
    }
}

/* What fsck says: no damage. With nothing to note, too, if nothing is left to be done. */
static void assert_clean(struct log_case *c, bool is_done)
{
    struct check_summary summary = {0};
    const struct check_options options = {.fs = c->fs, .finding_fn = fail_at_damage};
    assert_int_equal(check_store(&options, &summary, NULL), 0);
    assert_int_equal(summary.damages, 0);
    if (is_done) {
        assert_int_equal(summary.notes + summary.set_aside, 0);
    }
}

static bool told_state(struct log_case *c)
{
    struct store_completion done;
    bool told = false;
    while (c->store->ops->next_completion(c->store, &done)) {
        told = told || (done.kind == STORE_STATE && done.tag == END_TAG);
        store_completion_release(&done);
    }
    return told;
}

/* A removal as the engine does it, until the file system freezes, or to its end. */
static void remove_topic(struct log_case *c)
{
    const struct store_entry gone = {zsp_slice_str("T"), STORE_GONE, {NULL, 0}};
    const struct store_topic topic = {CASE_TOPIC, zsp_slice_str("orders"), CASE_PARTS};
    bool ended = false;
    assert_int_equal(c->store->ops->topic_end(c->store, CASE_TOPIC, &gone, END_TAG, NULL), 0);
    for (int i = 0; i < 1000 && c->store->ops->busy(c->store) && !crash_fs_frozen(c->fs); i++) {
        c->store->ops->flush(c->store, c->now);
        struct job *job = log_store_next_job(c->log);
        if (job) {
            job_run(job, c->fs);
            log_store_job_done(c->log, job);
        }
        if (told_state(c) && !ended) {
            ended = true;
            assert_int_equal(c->store->ops->topic_drop(c->store, &topic, c->parts, 9, NULL), 0);
        }
        c->now.mono_ms += job ? 0 : 10;
    }
}

/* Crash a fresh case at every call, by power and by process, until `crash_fn` says that the end came
 * before. */
static void crash_everywhere(bool (*crash_fn)(struct log_case *c, uint64_t n, bool power),
                             uint64_t calls_least)
{
    for (int power = 0; power < 2; power++) {
        uint64_t n = 0;
        bool crashed = true;
        for (; crashed; n++) {
            void *world = NULL;
            assert_int_equal(log_case_set_up(&world), 0);
            crashed = crash_fn(world, n, power == 1);
            assert_int_equal(log_case_tear_down(&world), 0);
        }
        assert_true(n > calls_least);
    }
}

static void crash(struct log_case *c, uint64_t n, bool power)
{
    if (c->store) {
        log_case_kill(c);
    }
    if (power) {
        crash_fs_power_loss(c->fs, n);
    } else {
        crash_fs_process_crash(c->fs);
    }
    assert_clean(c, false);
}

/* Crash at the n-th call on the file system; and again in the start that goes on with it. The topic
 * is there whole, or it goes without a further start. False: the removal came to its end before. */
static bool crash_in_removal(struct log_case *c, uint64_t n, bool power)
{
    log_case_fill(c, 0, WEIGHT, 60);
    log_case_put(c, "T", STORE_IMAGE, "1");
    log_case_settle(c);
    crash_fs_freeze_at(c->fs, n);
    remove_topic(c);
    const bool frozen = crash_fs_frozen(c->fs);
    for (int round = 0; round < 2; round++) {
        crash(c, n, power);
        if (round == 0) {
            crash_fs_freeze_at(c->fs, n % 40);
            c->topic_has_entry = true;
            if (log_case_open(c) == 0) {
                log_case_settle(c);
            }
        }
    }
    log_case_reopen(c);
    assert_int_equal(c->warnings, 0);
    log_case_settle(c);
    assert_int_equal(log_case_dir_count(c, "topics"), c->topic_known ? 1 : 0);
    assert_int_equal(log_case_dir_count(c, "trash"), 0);
    log_case_close(c);
    assert_clean(c, true);
    return frozen;
}

static void a_crash_at_any_call_of_a_removal_leaves_nothing_behind(void **state)
{
    (void)state;
    crash_everywhere(crash_in_removal, 20);
}

/* Partitions [first, end) of a topic, whose engine never comes to note it: until the file system
 * freezes, or to the end. */
static void begin_topic(struct log_case *c, uint64_t id, uint32_t first, uint32_t end)
{
    const struct store_topic topic = {id, zsp_slice_str("orders"), end};
    void *owners[4] = {&c->parts[0], &c->parts[0], &c->parts[0], &c->parts[0]};
    struct store_part *parts[4];
    const struct store_ops *const ops = c->store->ops;
    assert_int_equal(ops->topic_create(c->store, &topic, first, owners, parts, 1, NULL), 0);
    for (int i = 0; i < 1000 && ops->busy(c->store) && !crash_fs_frozen(c->fs); i++) {
        log_case_run(c);
        c->now.mono_ms += 10;
    }
}

/* Crash at the n-th call of a creation, of a topic or of more partitions of one that is known; and
 * again in the start behind it. False: it came to its end before. */
static bool crash_in_creation(struct log_case *c, uint64_t n, bool power, bool grow)
{
    crash_fs_freeze_at(c->fs, n);
    begin_topic(c, grow ? CASE_TOPIC : 9, grow ? CASE_PARTS : 0, CASE_PARTS + 2);
    const bool frozen = crash_fs_frozen(c->fs);
    crash(c, n, power);
    c->topic_known = true; /* the case's own */
    crash_fs_freeze_at(c->fs, n % 60);
    if (log_case_open(c) == 0) {
        log_case_settle(c);
    }
    crash(c, n + 1, power);
    log_case_reopen(c);
    log_case_settle(c);
    assert_int_equal(log_case_dir_count(c, "topics"), 1);
    assert_int_equal(log_case_dir_count(c, "trash"), 0);
    log_case_reopen(c);
    assert_int_equal(c->warnings, 0);
    if (grow) { /* and what is there is in nobody's way */
        begin_topic(c, CASE_TOPIC, CASE_PARTS, CASE_PARTS + 2);
        assert_true(c->topic_known && !c->failed);
    }
    assert_clean(c, !grow);
    return frozen;
}

static bool crash_in_creation_of_a_topic(struct log_case *c, uint64_t n, bool power)
{
    return crash_in_creation(c, n, power, false);
}

static bool crash_in_creation_of_partitions(struct log_case *c, uint64_t n, bool power)
{
    return crash_in_creation(c, n, power, true);
}

static void a_crash_at_any_call_of_a_creation_leaves_nothing_to_warn_of(void **state)
{
    (void)state;
    crash_everywhere(crash_in_creation_of_a_topic, 10);
    crash_everywhere(crash_in_creation_of_partitions, 10);
}

static void a_directory_that_holds_anything_is_not_taken_for_a_leftover(void **state)
{
    struct log_case *c = *state;
    begin_topic(c, 9, 0, 2);
    log_case_kill(c);
    const uint8_t byte = 0;
    log_case_file_write(c, "topics/9-orders/1/00000000000000000000.log", 0, &byte, 1);
    for (int i = 0; i < 2; i++) {
        log_case_reopen(c);
        assert_int_equal(c->warnings, 3); /* the directory, two partitions in the journal */
        log_case_settle(c);
        assert_int_equal(log_case_dir_count(c, "topics"), 2);
    }
}

/* The read has its file; the retention takes it away. */
static void a_segment_that_goes_while_it_is_read_is_read_to_the_end(void **state)
{
    struct log_case *c = *state;
    c->options.tail_bytes = 1;
    log_case_reopen(c);
    log_case_fill(c, 0, WEIGHT, 60);
    log_case_settle(c);
    const struct store_read read = {
        .part = c->parts[0], .to_offset = UINT64_MAX, .max_bytes = 1000, .tag = 8};
    assert_int_equal(c->store->ops->read(c->store, &read, NULL), 0);
    struct job *job = NULL;
    for (int i = 0; i < 10 && !(job && job->kind == JOB_READ); i++) {
        c->store->ops->flush(c->store, c->now);
        job = log_store_next_job(c->log);
        if (job && job->kind != JOB_READ) {
            job_run(job, c->fs);
            log_store_job_done(c->log, job);
        }
    }
    assert_int_equal(job->kind, JOB_READ);
    const struct store_retain retain = {.max_bytes = 1, .imaged_before = UINT64_MAX};
    assert_int_equal(c->store->ops->retain(c->store, c->parts[0], &retain, NULL), 0);
    for (int i = 0; i < 100 && c->trimmed == 0; i++) {
        log_case_run(c);
        c->now.mono_ms += 10;
    }
    assert_true(c->trimmed > 0);
    job_run(job, c->fs);
    log_store_job_done(c->log, job);
    log_case_run(c);
    assert_int_equal(c->read.error.code, 0);
    log_case_assert_body(c, 0, WEIGHT "0");
    assert_int_equal(log_case_read(c, 0, 0), ZSP_EOUT_OF_RANGE);
}

#define JOBS_MAX 16

static uint64_t find_time(struct log_case *c, int64_t time_ms)
{
    c->found = UINT64_MAX;
    assert_int_equal(c->store->ops->find_time(c->store, c->parts[0], time_ms, 4, NULL), 0);
    for (int i = 0; i < 100 && c->found == UINT64_MAX; i++) {
        log_case_run(c);
    }
    return c->found;
}

static void a_time_is_found_over_segments_and_after_a_restart(void **state)
{
    struct log_case *c = *state;
    for (int i = 0; i < 100; i++) {
        c->now.wall_ms = i == 50 ? 5 : 1000 + i * 10; /* once the clock jumps back */
        assert_int_equal(log_case_append(c, 0, WEIGHT), 0);
        log_case_run(c);
    }
    for (int life = 0; life < 2; life++) {
        assert_int_equal(find_time(c, 0), 0);
        assert_int_equal(find_time(c, 1000), 0);
        assert_int_equal(find_time(c, 1001), 1);
        assert_int_equal(find_time(c, 1495), 51);
        assert_int_equal(find_time(c, 1990), 99);
        assert_int_equal(find_time(c, 1991), 100);
        log_case_reopen(c);
    }
}

/* Run all reads, then the first one of the other jobs. False = there is none. */
static bool run_one(struct log_case *c, struct job **jobs, size_t *count)
{
    struct job *job = NULL;
    while ((job = log_store_next_job(c->log))) {
        if (job->kind == JOB_READ) {
            job_run(job, c->fs);
            log_store_job_done(c->log, job);
            c->store->ops->flush(c->store, c->now);
        } else {
            assert_true(*count < JOBS_MAX);
            jobs[(*count)++] = job;
        }
    }
    log_case_hear(c);
    assert_true(c->found <= log_case_info(c, 0).synced_offset);
    if (*count == 0) {
        return false;
    }
    job = jobs[0];
    memmove(jobs, jobs + 1, --*count * sizeof(struct job *));
    job_run(job, c->fs);
    log_store_job_done(c->log, job);
    c->store->ops->flush(c->store, c->now);
    return true;
}

/* Goal: what is not synced is not found by its time, whether its segment is new or not. Method: the second of
 * two batches is looked for before each job; reads overtake what is to be written. */
static void a_time_is_not_found_in_what_is_not_synced(void **state)
{
    struct log_case *c = *state;
    struct job *jobs[JOBS_MAX];
    size_t count = 0;
    for (unsigned i = 0; i < 60; i++) {
        for (int k = 0; k < 2; k++) {
            c->now.wall_ms += 10;
            assert_int_equal(log_case_append(c, 0, WEIGHT), 0);
        }
        c->store->ops->flush(c->store, c->now);
        do {
            const int64_t time_ms = c->now.wall_ms;
            c->found = 0;
            assert_int_equal(c->store->ops->find_time(c->store, c->parts[0], time_ms, 4, NULL), 0);
            c->store->ops->flush(c->store, c->now);
            log_case_hear(c);
            assert_true(c->found <= log_case_info(c, 0).synced_offset);
        } while (run_one(c, jobs, &count));
        log_case_settle(c);
        assert_int_equal(c->warnings, 0);
        assert_int_equal(c->found, 2 * i + 1);
    }
    assert_true(log_case_info(c, 0).segment_count > 2);
}

/* More partitions than files are kept open: all of them work. */
static void more_partitions_than_open_files_are_served(void **state)
{
    struct log_case *c = *state;
    enum { COUNT = OPEN_FILES_STANDARD + 50 };
    static struct store_part *parts[COUNT];
    static void *owners[COUNT];
    for (int i = 0; i < COUNT; i++) {
        owners[i] = &c->parts[0];
    }
    const struct store_topic topic = {9, zsp_slice_str("wide"), COUNT};
    assert_int_equal(c->store->ops->topic_create(c->store, &topic, 0, owners, parts, 1, NULL), 0);
    log_case_settle(c);
    c->appended = 0;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < COUNT; i++) {
            c->parts[0] = parts[i];
            assert_int_equal(log_case_append(c, 0, "one each"), 0);
            log_case_run(c);
            assert_int_equal(c->append_code, 0);
        }
    }
    assert_int_equal(c->appended, 2 * COUNT);
    c->parts[0] = parts[0];
    assert_int_equal(log_case_info(c, 0).synced_offset, 2);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, log_case_set_up, log_case_tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_directory_in_the_way_of_a_new_topic_is_set_aside),
        CASE(a_creation_without_room_fails_and_its_appends_with_it),
        CASE(a_removed_topic_leaves_nothing),
        CASE(a_crash_at_any_call_of_a_removal_leaves_nothing_behind),
        CASE(a_crash_at_any_call_of_a_creation_leaves_nothing_to_warn_of),
        CASE(a_directory_that_holds_anything_is_not_taken_for_a_leftover),
        CASE(a_segment_that_goes_while_it_is_read_is_read_to_the_end),
        CASE(a_time_is_found_over_segments_and_after_a_restart),
        CASE(a_time_is_not_found_in_what_is_not_synced),
        CASE(more_partitions_than_open_files_are_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
