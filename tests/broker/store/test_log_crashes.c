/* SPDX-License-Identifier: MPL-2.0
 *
 * The power goes, or the process dies, at every call on the file system, several
 * times in a row; unsynced pages are lost, reordered and torn. What was confirmed
 * is there afterwards, and nothing that was not put in; and a check of the files
 * (check.h) finds no damage in whatever a crash left.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "broker/store/check/check.h"
#include "tests/broker/store/log_run.h"
#include "tests/support/crash_fs.h"
#include "tests/support/stride.h"

#define ROUNDS 60

/* The workload does all that a store does: else the loops below prove little. */
static void the_workload_rolls_trims_and_carries_forward(void **state)
{
    (void)state;
    struct fs *fs = crash_fs_new();
    struct log_run *run = malloc(sizeof *run);
    assert_non_null(run);
    log_run_init(run, fs, 1);
    assert_int_equal(log_run_open(run), 0);
    log_run_work(run, ROUNDS);
    log_run_settle(run);
    struct store_stats stats;
    run->store->ops->stats(run->store, &stats);
    assert_true(stats.cold_reads > 5);
    assert_true(stats.tail_reads > 3);
    assert_true(stats.journal_bytes > 16384); /* more than is kept: it was carried */
    assert_true(stats.journal_file_count < 6);
    assert_true(run->parts[0].start > 0);
    struct store_part_info info;
    run->store->ops->part_info(run->store, run->parts[1].part, &info);
    assert_true(info.segment_count > 3);
    assert_true(run->atomics_done > 10);
    log_run_check(run);
    log_run_kill(run);
    crash_fs_destroy(&fs);
    free(run);
}

enum crashes {
    POWER,
    PROCESS,
    BY_TURNS /* the process dies, the power goes after the restart: what a start has
              * shown must not live in the page cache alone */
};

static void fail_on_damage(void *arg, const struct check_finding *finding)
{
    if (finding->severity == CHECK_DAMAGE) {
        fail_msg("case %u: %s at pos %u: %s", *(const unsigned *)arg, finding->path,
                 (unsigned)finding->pos, finding->text);
    }
}

/* What a crash leaves is never damage. */
static void assert_clean(struct fs *fs, unsigned n)
{
    const struct check_options options = {.fs = fs, .finding_fn = fail_on_damage, .arg = &n};
    struct check_summary summary;
    struct zsp_err err = {0};
    const int rc = check_store(&options, &summary, &err);
    if (rc != 0 && rc != ZSP_ENOT_FOUND) { /* not found: the crash came before there was one */
        fail_msg("case %u: %s", n, err.msg);
    }
}

/* Crash at the n-th call, then again inside the recovery, then look. True if the first crash
 * came before the workload's end. */
static bool crash_at(uint64_t n, enum crashes crashes, bool shuffle)
{
    struct fs *fs = crash_fs_new();
    struct log_run *run = malloc(sizeof *run);
    assert_non_null(run);
    log_run_init(run, fs, n + 1);
    run->shuffle = shuffle;
    bool crashed = false;
    uint64_t at = n;
    for (uint64_t life = 0; life < 3; life++, at = (n * 7 + life * 13) % 97) {
        crash_fs_freeze_at(fs, at);
        const bool open = log_run_open(run) == 0;
        if (open) {
            log_run_work(run, shuffle ? 3 * ROUNDS : ROUNDS);
            log_run_kill(run);
        }
        crashed = crashed || (life == 0 && crash_fs_frozen(fs));
        if (crashes == POWER || (crashes == BY_TURNS && life % 2 == 1)) {
            crash_fs_power_loss(fs, n * 3 + life);
        } else {
            crash_fs_process_crash(fs);
        }
        assert_clean(fs, (unsigned)n);
    }
    const int rc = log_run_open(run);
    if (rc != 0) {
        fail_msg("case %u: open: %d %s", (unsigned)n, rc, run->why);
    }
    log_run_check(run);
    log_run_must_work(run);
    log_run_kill(run);
    assert_clean(fs, (unsigned)n);
    crash_fs_destroy(&fs);
    free(run);
    return crashed;
}

static void loop(enum crashes crashes, bool shuffle)
{
    uint64_t n = ((uint64_t)crashes + (shuffle ? 1 : 0)) % STRIDE;
    while (crash_at(n, crashes, shuffle)) {
        n += STRIDE;
    }
    assert_true(n > 100);
}

static void a_power_cut_at_any_call_loses_nothing_confirmed(void **state)
{
    (void)state;
    loop(POWER, false);
}

static void a_power_cut_with_jobs_in_any_order_loses_nothing_confirmed(void **state)
{
    (void)state;
    loop(POWER, true);
}

static void a_dying_process_at_any_call_loses_nothing_confirmed(void **state)
{
    (void)state;
    loop(PROCESS, true);
}

static void a_power_cut_after_a_crash_of_the_process_loses_nothing_shown(void **state)
{
    (void)state;
    loop(BY_TURNS, false);
}

/* The n-th sync fails as in a kernel: its pages count as clean from then on, whether they are on
 * the disk or not. The store stops; the next start sees the cache and must not trust it. */
static bool fail_sync(uint64_t n)
{
    struct fs *fs = crash_fs_new();
    struct log_run *run = malloc(sizeof *run);
    assert_non_null(run);
    log_run_init(run, fs, n + 1);
    crash_fs_fail_sync(fs, n, n);
    bool failed = log_run_open(run) != 0;
    if (!failed) {
        log_run_work(run, ROUNDS);
        failed = run->failed;
        log_run_kill(run);
    }
    crash_fs_fail_sync(fs, UINT64_MAX, 0);
    crash_fs_process_crash(fs);
    assert_int_equal(log_run_open(run), 0); /* what it shows now is a promise */
    log_run_kill(run);
    crash_fs_power_loss(fs, n);
    assert_clean(fs, (unsigned)n);
    const int rc = log_run_open(run);
    if (rc != 0) {
        fail_msg("case %u: open: %d %s", (unsigned)n, rc, run->why);
    }
    log_run_check(run);
    log_run_must_work(run);
    log_run_kill(run);
    crash_fs_destroy(&fs);
    free(run);
    return failed;
}

static void what_a_start_shows_after_a_failed_sync_is_on_the_disk(void **state)
{
    (void)state;
    uint64_t n = 0;
    while (fail_sync(n)) {
        n++;
    }
    assert_true(n > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_workload_rolls_trims_and_carries_forward),
        cmocka_unit_test(a_power_cut_at_any_call_loses_nothing_confirmed),
        cmocka_unit_test(a_power_cut_with_jobs_in_any_order_loses_nothing_confirmed),
        cmocka_unit_test(a_dying_process_at_any_call_loses_nothing_confirmed),
        cmocka_unit_test(a_power_cut_after_a_crash_of_the_process_loses_nothing_shown),
        cmocka_unit_test(what_a_start_shows_after_a_failed_sync_is_on_the_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
