/* SPDX-License-Identifier: MPL-2.0
 *
 * What the journal holds and segments owe has a bound while the store runs, and so has what a start
 * needs for it, wherever the power is cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/file/layout.h"
#include "broker/store/journal/carry.h"
#include "broker/store/journal/journal_scan.h"
#include "broker/store/journal/redo.h"
#include "broker/store/journal/redo_debt.h"
#include "tests/broker/store/log_case.h"
#include "tests/support/crash_fs.h"

#define ENTRIES_MAX 40u
#define BYTES_MAX   (16u * 1024)

/* Two partitions are many, and the journal itself is never too large. */
static int set_up(void **state)
{
    const int rc = log_case_set_up(state);
    struct log_case *c = *state;
    log_case_close(c);
    c->options.sync_files_max = 1;
    c->options.segment_bytes = 1u << 20;
    c->options.journal_bytes_min = 64u << 20;
    c->options.redo_entries_max = ENTRIES_MAX;
    c->options.redo_bytes_max = BYTES_MAX;
    assert_int_equal(log_case_open(c), 0);
    return rc;
}

/* What a start that has room for `max` entries would find unpaid. It fails when there were more at any
 * place of the journal. */
static struct redo_amount owed(struct log_case *c, size_t max)
{
    uint8_t uuid[STORE_UUID_BYTES];
    struct zsp_err err = {0};
    struct carry carry;
    struct redo_log redo = {.max = max};
    assert_int_equal(layout_read_format(c->fs, uuid, NULL), 0);
    carry_init(&carry, 1);
    struct journal_scan scan = {.fs = c->fs, .uuid = uuid, .carry = &carry, .redo = &redo};
    const int rc = journal_scan(&scan, &err);
    if (rc != 0) {
        fail_msg("%s", err.msg);
    }
    assert_int_equal(journal_scan_redo(&scan, NULL), 0);
    struct redo_amount amount = {.entries = redo.count};
    for (size_t i = 0; i < redo.count; i++) {
        amount.bytes += redo.items[i].len;
    }
    redo_log_fini(&redo);
    journal_scan_fini(&scan);
    carry_fini(&carry);
    return amount;
}

static void assert_bounded(struct log_case *c)
{
    const struct redo_amount amount = owed(c, ENTRIES_MAX);
    assert_in_range(amount.entries, 0, ENTRIES_MAX);
    assert_in_range(amount.bytes, 0, BYTES_MAX);
}

static void append_to_both(struct log_case *c, const char *text)
{
    assert_int_equal(log_case_append(c, 0, text), 0);
    assert_int_equal(log_case_append(c, 1, text), 0);
}

static void append_both(struct log_case *c, const char *text, int count)
{
    for (int i = 0; i < count; i++) {
        append_to_both(c, text);
        log_case_run(c);
    }
}

static void run_one(struct log_case *c, struct job *job)
{
    job_run(job, c->fs);
    log_store_job_done(c->log, job);
}

/* Append to both until a checkpoint is out, which is held. */
static struct job *append_up_to_checkpoint(struct log_case *c, const char *text)
{
    for (;;) {
        append_to_both(c, text);
        c->store->ops->flush(c->store, c->now);
        struct job *job;
        while ((job = log_store_next_job(c->log)) && job->kind != JOB_TASK) {
            run_one(c, job);
        }
        log_case_hear(c);
        if (job) {
            return job;
        }
    }
}

static struct store_atomic *begin_atomic(struct log_case *c, const char *text)
{
    struct zsp_buf *frame = zsp_buf_copy(zsp_slice_str(text));
    assert_non_null(frame);
    const struct store_batch batch = {
        .frame = frame, .body = {frame->data, frame->len}, .record_count = 1};
    const struct store_append append = {c->parts[0], &batch};
    struct store_atomic *atomic = NULL;
    assert_int_equal(c->store->ops->atomic_begin(c->store, &append, 1, 7, &atomic, NULL), 0);
    zsp_buf_put(&frame);
    log_case_run(c);
    return atomic;
}

static char *text_of(size_t len)
{
    char *text = malloc(len + 1);
    assert_non_null(text);
    memset(text, 'x', len);
    text[len] = '\0';
    return text;
}

/* --- The store ---------------------------------------------------------------------------- */

static void few_bytes_in_many_entries_are_bounded(void **state)
{
    struct log_case *c = *state;
    for (int i = 0; i < 150; i++) {
        append_both(c, "small", 1);
        assert_bounded(c);
    }
    assert_int_equal(c->synced[1], 150);
    assert_in_range(owed(c, ENTRIES_MAX).entries, 1, ENTRIES_MAX); /* it is in use */
}

static void many_bytes_in_few_entries_are_bounded(void **state)
{
    struct log_case *c = *state;
    char *text = text_of(1500);
    for (int i = 0; i < 60; i++) {
        append_both(c, text, 1);
        assert_bounded(c);
    }
    free(text);
    assert_int_equal(c->synced[0], 60);
    log_case_kill(c);
    crash_fs_power_loss(c->fs, 1);
    assert_int_equal(log_case_open(c), 0);
    assert_int_equal(c->synced[0], 60);
    assert_int_equal(log_case_read(c, 1, 59), 0);
}

/* While nothing is paid, batches wait for it in their segments. */
static void at_the_bound_batches_go_to_their_segments(void **state)
{
    struct log_case *c = *state;
    struct job *checkpoint = append_up_to_checkpoint(c, "small");
    const uint64_t before = log_case_file_size(c, CASE_SEGMENT);
    for (unsigned i = 0; i < ENTRIES_MAX; i++) {
        append_both(c, "small", 1);
        assert_bounded(c);
    }
    assert_true(log_case_file_size(c, CASE_SEGMENT) > before);
    const size_t appended = c->appended;
    assert_true(log_case_info(c, 0).end_offset > c->synced[0]);
    run_one(c, checkpoint);
    log_case_run(c);
    assert_bounded(c);
    assert_int_equal(log_case_info(c, 0).end_offset, c->synced[0]);
    assert_int_equal(c->synced[0] + c->synced[1], c->appended);
    assert_in_range(c->appended - appended, 0, 2 * ENTRIES_MAX);
}

static void an_atomic_append_waits_for_room(void **state)
{
    struct log_case *c = *state;
    char *text = text_of(BYTES_MAX / 2 + BYTES_MAX / 4);
    struct job *checkpoint = append_up_to_checkpoint(c, "some that are not much for themselves");
    struct store_atomic *atomic = begin_atomic(c, text);
    const size_t ready_before = c->atomics_ready;
    run_one(c, checkpoint);
    log_case_run(c);
    assert_int_equal(ready_before, 0);
    assert_int_equal(c->atomics_ready, 1);
    assert_int_equal(c->store->ops->atomic_put(c->store, atomic, NULL, 0, NULL), 0);
    log_case_run(c);
    assert_int_equal(c->atomics_done, 1);
    assert_bounded(c);
    free(text);
}

static void one_that_is_larger_than_the_bound_has_it_alone(void **state)
{
    struct log_case *c = *state;
    char *text = text_of(2 * BYTES_MAX);
    append_both(c, "small", 3);
    struct store_atomic *atomic = begin_atomic(c, text);
    assert_int_equal(c->atomics_ready, 1);
    assert_int_equal(owed(c, ENTRIES_MAX).entries, 0); /* all before it is paid */
    assert_int_equal(c->store->ops->atomic_put(c->store, atomic, NULL, 0, NULL), 0);
    log_case_run(c);
    assert_int_equal(c->atomics_done, 1);
    append_both(c, "small", 30);
    assert_bounded(c);
    free(text);
}

static void an_atomic_append_that_is_cancelled_gives_its_room_back(void **state)
{
    struct log_case *c = *state;
    char *text = text_of(BYTES_MAX / 4 * 3);
    for (int i = 0; i < 5; i++) {
        struct store_atomic *atomic = begin_atomic(c, text);
        assert_int_equal(c->atomics_ready, (size_t)i + 1);
        c->store->ops->atomic_cancel(c->store, atomic);
    }
    free(text);
}

static void half_of_it_is_paid_without_delay(void **state)
{
    struct log_case *c = *state;
    struct job *checkpoint = append_up_to_checkpoint(c, "small");
    assert_in_range(owed(c, ENTRIES_MAX).entries, ENTRIES_MAX / 2, ENTRIES_MAX / 2 + 2);
    run_one(c, checkpoint);
    log_case_run(c);
    assert_in_range(owed(c, ENTRIES_MAX).entries, 0, 2);
}

/* Half of it is owed; then each file is synced by a cycle of its own. The next one that owes makes it
 * known, and no checkpoint is needed. */
static void what_cycles_pay_is_told_to_the_journal(void **state)
{
    struct log_case *c = *state;
    append_both(c, "small", ENTRIES_MAX / CASE_PARTS / 2);
    assert_int_equal(owed(c, ENTRIES_MAX).entries, ENTRIES_MAX / 2);
    for (uint32_t p = 0; p < CASE_PARTS; p++) {
        c->store->ops->index_ids(c->store, c->parts[p], true); /* nothing is put off */
        assert_int_equal(log_case_append(c, p, "alone"), 0);
        log_case_run(c);
        c->store->ops->index_ids(c->store, c->parts[p], false);
    }
    append_to_both(c, "small");
    c->store->ops->flush(c->store, c->now);
    struct job *job;
    while ((job = log_store_next_job(c->log))) {
        assert_int_not_equal(job->kind, JOB_TASK);
        run_one(c, job);
    }
    assert_int_equal(owed(c, ENTRIES_MAX).entries, CASE_PARTS);
}

/* --- The counting ----------------------------------------------------------------------------- */

static void a_reservation_has_its_room(void **state)
{
    (void)state;
    struct redo_debt debt = {.max = {10, 1000}};
    assert_true(redo_debt_reserve(&debt, (struct redo_amount){9, 10}));
    assert_false(redo_debt_reserve(&debt, (struct redo_amount){2, 10}));
    assert_false(redo_debt_reserve(&debt, (struct redo_amount){1, 991}));
    assert_true(redo_debt_reserve(&debt, (struct redo_amount){1, 990}));
    redo_debt_release(&debt, (struct redo_amount){10, 1000});
    assert_true(redo_debt_reserve(&debt, (struct redo_amount){11, 2000})); /* alone */
    assert_false(redo_debt_reserve(&debt, (struct redo_amount){1, 1}));
}

static void half_of_it_is_due(void **state)
{
    (void)state;
    struct redo_debt debt = {.max = {100, 1000000}};
    for (uint64_t record = 1; record <= 50; record++) {
        redo_debt_add(&debt, record, 1);
    }
    assert_int_equal(redo_debt_due_below(&debt), 0);
    redo_debt_add(&debt, 51, 1);
    const uint64_t below = redo_debt_due_below(&debt);
    assert_in_range(below, 2, 10);
    redo_debt_paid(&debt, below);
    assert_int_equal(redo_debt_due_below(&debt), 0);
    assert_in_range(debt.recorded.entries, 40, 50);
}

/* Nothing is counted as paid that is not, and at most a span counts longer than it is owed. */
static void it_counts_what_is_there(void **state)
{
    (void)state;
    struct redo_debt debt = {.max = {1000, 1u << 20}};
    static uint64_t records[100000];
    uint64_t count = 0;
    uint64_t paid = 0; /* entries of records below this are */
    for (uint64_t record = 1; record < 40000; record++) {
        const uint64_t entries = record * 7 % 4;
        for (uint64_t i = 0; i < entries; i++) {
            redo_debt_add(&debt, record, 100);
            records[count++] = record;
        }
        if (record % 97 == 0 && record > 400) {
            const uint64_t from = record - 400 + record % 300;
            redo_debt_paid(&debt, from);
            while (paid < count && records[paid] < from) {
                paid++;
            }
            assert_in_range(debt.recorded.entries, count - paid, count - paid + 2 * 1000 / 32 + 4);
            assert_int_equal(debt.recorded.bytes, 100 * debt.recorded.entries);
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, log_case_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(few_bytes_in_many_entries_are_bounded),
        TEST(many_bytes_in_few_entries_are_bounded),
        TEST(at_the_bound_batches_go_to_their_segments),
        TEST(an_atomic_append_waits_for_room),
        TEST(one_that_is_larger_than_the_bound_has_it_alone),
        TEST(an_atomic_append_that_is_cancelled_gives_its_room_back),
        TEST(half_of_it_is_paid_without_delay),
        TEST(what_cycles_pay_is_told_to_the_journal),
        cmocka_unit_test(a_reservation_has_its_room),
        cmocka_unit_test(half_of_it_is_due),
        cmocka_unit_test(it_counts_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
