/* SPDX-License-Identifier: MPL-2.0
 *
 * The broker dies by kill -9 as it enters its n-th write, sync, rename ...,
 * while it starts or under load.
 */
#include "tests/common/testing.h"
#include "tests/crash/load.h"
#include "tests/crash/strace.h"

/* Run until the n-th call of this kind kills the broker. True = it did. */
static bool run_until_killed(struct broker_process *broker, struct load *load, const char *calls,
                             unsigned n)
{
    bool killed = !strace_start(broker, calls, "signal=KILL", n);
    if (!killed) {
        killed = !load_connect(load, broker) || !load_run(load, 1500);
        load_disconnect(load);
    }
    if (killed) {
        (void)broker_process_wait(broker);
    } else {
        broker_process_kill(broker);
    }
    return killed;
}

/* Kill at call first, first + step ... of a fresh broker and then of one with data. */
static void kill_at_each_call(const char *calls, unsigned first, unsigned last, unsigned step)
{
    if (!strace_works()) {
        skip();
    }
    unsigned kills = 0;
    for (unsigned n = first; n <= last; n += step) {
        struct broker_process broker;
        struct load load;
        broker_process_init(&broker);
        load_init(&load, n);
        kills += run_until_killed(&broker, &load, calls, n) ? 1u : 0u;
        kills += run_until_killed(&broker, &load, calls, n + 1) ? 1u : 0u;
        broker_process_start(&broker, NULL);
        load_verify(&load, &broker);
        load_fini(&load);
        assert_int_equal(broker_process_stop(&broker), 0);
        load_check_files(&broker);
        broker_process_fini(&broker);
    }
    print_message("%s: killed %u times\n", calls, kills);
    assert_true(kills > 0);
}

static void killed_at_a_write(void **state)
{
    (void)state;
    kill_at_each_call("pwritev,pwrite64,pwritev2", 1, 25, 3);
}

static void killed_at_a_sync(void **state)
{
    (void)state;
    kill_at_each_call("fdatasync,fsync", 1, 19, 2);
}

static void killed_while_names_change(void **state)
{
    (void)state;
    kill_at_each_call("mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,ftruncate,fallocate",
                      1, 7, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_at_a_write),
        cmocka_unit_test(killed_at_a_sync),
        cmocka_unit_test(killed_while_names_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
