/* SPDX-License-Identifier: MPL-2.0
 *
 * Every call on the file system fails once, and from then on for a while: no
 * space, an I/O error, a short write. Whatever happens: nothing confirmed is
 * lost, and the store works again, at once when there was only no space, after a
 * restart otherwise.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "tests/broker/store/log_run.h"
#include "tests/support/crash_fs.h"
#include "tests/support/fault_fs.h"
#include "tests/support/stride.h"

#define ROUNDS 60

/* Run the workload with this fault. True if the fault was hit. */
static bool run_with_fault(const struct fault *fault, uint64_t seed, bool shuffle)
{
    struct fs *crash = crash_fs_new();
    struct fs *faulty = fault_fs_new(crash);
    struct log_run *run = malloc(sizeof *run);
    assert_non_null(run);
    log_run_init(run, faulty, seed);
    run->shuffle = shuffle;
    fault_fs_set(faulty, fault);
    bool open = log_run_open(run) == 0;
    if (open) {
        log_run_work(run, shuffle ? 3 * ROUNDS : ROUNDS);
    }
    const bool hit = fault_fs_hits(faulty) > 0;
    fault_fs_clear(faulty);
    if (open && !run->failed && fault->code == ZSP_ENO_SPACE) {
        log_run_must_work(run); /* there is room again: so there is service */
    }
    if (open) {
        log_run_kill(run);
        crash_fs_power_loss(crash, seed);
    }
    const int rc = log_run_open(run);
    if (rc != 0) {
        fail_msg("case %u: open: %d %s", (unsigned)seed, rc, run->why);
    }
    log_run_check(run);
    log_run_must_work(run);
    log_run_kill(run);
    fault_fs_destroy(&faulty);
    crash_fs_destroy(&crash);
    free(run);
    return hit;
}

static void loop(struct fault fault, bool shuffle)
{
    uint64_t n = (uint64_t)fault.kind % STRIDE;
    bool hit = true;
    for (; hit; n += STRIDE) {
        fault.countdown = n;
        fault.bytes = (size_t)(n * 37 % 400);
        hit = run_with_fault(&fault, n + 1, shuffle);
    }
    assert_true(n > 100);
}

static void one_call_without_space_loses_nothing_confirmed(void **state)
{
    (void)state;
    loop((struct fault){.kind = FAULT_ERROR,
                        .call = FS_CALL_ANY,
                        .repeat = 1,
                        .code = ZSP_ENO_SPACE,
                        .sys_errno = ENOSPC},
         false);
}

static void many_calls_without_space_lose_nothing_confirmed(void **state)
{
    (void)state;
    loop((struct fault){.kind = FAULT_PART,
                        .call = FS_CALL_WRITE,
                        .repeat = 25,
                        .code = ZSP_ENO_SPACE,
                        .sys_errno = ENOSPC},
         true);
}

static void one_io_error_loses_nothing_confirmed(void **state)
{
    (void)state;
    loop((struct fault){.kind = FAULT_ERROR,
                        .call = FS_CALL_ANY,
                        .repeat = 1,
                        .code = ZSP_EIO,
                        .sys_errno = EIO},
         true);
}

static void a_dead_disk_loses_nothing_confirmed(void **state)
{
    (void)state;
    loop((struct fault){.kind = FAULT_ERROR,
                        .call = FS_CALL_ANY,
                        .repeat = UINT64_MAX,
                        .code = ZSP_EIO,
                        .sys_errno = EIO},
         false);
}

static void a_short_write_loses_nothing(void **state)
{
    (void)state;
    loop((struct fault){.kind = FAULT_SHORT, .call = FS_CALL_WRITE, .repeat = 1}, true);
}

static void a_write_that_ends_early_keeps_the_whole_batches_of_its_prefix(void **state)
{
    (void)state;
    loop((struct fault){.kind = FAULT_PART,
                        .call = FS_CALL_WRITE,
                        .repeat = 1,
                        .code = ZSP_EIO,
                        .sys_errno = EIO},
         true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_call_without_space_loses_nothing_confirmed),
        cmocka_unit_test(many_calls_without_space_lose_nothing_confirmed),
        cmocka_unit_test(one_io_error_loses_nothing_confirmed),
        cmocka_unit_test(a_dead_disk_loses_nothing_confirmed),
        cmocka_unit_test(a_short_write_loses_nothing),
        cmocka_unit_test(a_write_that_ends_early_keeps_the_whole_batches_of_its_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
