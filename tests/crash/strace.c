/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/crash/strace.h"

#include <stdio.h>
#include <sys/wait.h>

#include "tests/common/testing.h"

bool strace_works(void)
{
    static const char command[] = "strace -f -o /dev/null -e inject=sync:error=EIO "
                                  "setpriv --pdeathsig KILL true >/dev/null 2>&1";
    const int status = system(command); /* NOLINT(cert-env33-c): a fixed command, in a test */
    if (status >= 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return true;
    }
    print_message("SKIPPED: strace is missing or may not trace\n");
    return false;
}

bool strace_start(struct broker_process *broker, const char *calls, const char *action, unsigned n)
{
    char trace[160];
    char inject[200];
    (void)snprintf(trace, sizeof trace, "trace=%s", calls);
    (void)snprintf(inject, sizeof inject, "inject=%s:%s:when=%u", calls, action, n);
    /* LeakSanitizer, where built in, cannot work beside another tracer. */
    const char *const wrapper[] = {"strace",
                                   "-f",
                                   "-q",
                                   "-o",
                                   "/dev/null",
                                   "-e",
                                   trace,
                                   "-e",
                                   inject,
                                   "env",
                                   "ASAN_OPTIONS=detect_leaks=0",
                                   "setpriv",
                                   "--pdeathsig",
                                   "KILL",
                                   NULL};
    return broker_process_try_start(broker, wrapper, NULL);
}
