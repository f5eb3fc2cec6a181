/* SPDX-License-Identifier: MPL-2.0
 *
 * The broker dies by kill -9 as it enters its n-th write, sync, rename ...,
 * while it starts or under load. strace does the killing; without it (or without
 * the right to trace) the tests are skipped and say so.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/common/testing.h"
#include "tests/crash/load.h"
#include "tests/support/broker_process.h"

static bool strace_works(void)
{
    static const char command[] = "strace -f -o /dev/null -e inject=sync:error=EIO "
                                  "setpriv --pdeathsig KILL true >/dev/null 2>&1";
    const int status = system(command); /* NOLINT(cert-env33-c): a fixed command, in a test */
    return status >= 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Run until the n-th call of this kind kills the broker. True = it did. */
static bool run_until_killed(struct broker_process *broker, struct load *load, const char *calls,
                             unsigned n)
{
    char trace[128];
    char inject[160];
    (void)snprintf(trace, sizeof trace, "trace=%s", calls);
    (void)snprintf(inject, sizeof inject, "inject=%s:signal=KILL:when=%u", calls, n);
    const char *const wrapper[] = {"strace",      "-f",   "-q", "-o",   "/dev/null",
                                   "-e",          trace,  "-e", inject, "setpriv",
                                   "--pdeathsig", "KILL", NULL}; /* dies with strace */
    bool killed = !broker_process_try_start(broker, wrapper, NULL);
    if (!killed) {
        killed = !load_connect(load, broker) || !load_run(load, 1500);
        load_disconnect(load);
    }
    if (killed) {
        (void)broker_process_wait(broker);
    } else {
        broker_process_kill(broker);
    }
    print_message("%s %u: %s\n", calls, n, killed ? "killed" : "not reached");
    return killed;
}

/* Kill at call 1, 2, 3 ... of a fresh broker and of one with data. */
static void kill_at_each_call(const char *calls, unsigned first, unsigned last, unsigned step)
{
    if (!strace_works()) {
        print_message("SKIPPED: strace is missing or may not trace\n");
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
