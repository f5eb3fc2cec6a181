/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/common/testing.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/assert.h"

static void a_true_condition_passes_and_is_evaluated_once(void **state)
{
    (void)state;
    int evaluated = 0;
    zsp_assert(++evaluated > 0);
    assert_int_equal(evaluated, 1);
}

/* The line an operator will look for, and an abort that leaves a core. */
static void a_false_condition_prints_its_place_and_aborts(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)signal(SIGABRT, SIG_DFL);
        (void)dup2(ends[1], STDERR_FILENO);
        zsp_assert_failed("count > 0", "file.c", 12);
    }
    (void)close(ends[1]);
    char text[200] = "";
    size_t len = 0;
    ssize_t got = 0;
    while ((got = read(ends[0], text + len, sizeof text - 1 - len)) > 0) {
        len += (size_t)got;
    }
    (void)close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_string_equal(text, "zspool: file.c:12: assertion failed: count > 0\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_true_condition_passes_and_is_evaluated_once),
        cmocka_unit_test(a_false_condition_prints_its_place_and_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
