/* SPDX-License-Identifier: MPL-2.0
 *
 * zspoold under strace, which kills it or fails its calls at the n-th of a kind.
 */
#ifndef ZSP_TESTS_STRACE_H
#define ZSP_TESTS_STRACE_H

#include <stdbool.h>

#include "tests/support/broker_process.h"

/* Is strace there, and may it trace? Says so when not; the test then skips. */
bool strace_works(void);

/* Start the broker under `-e inject=CALLS:ACTION:when=N`. True = it is ready,
 * false = it has ended before. Both die with strace. */
bool strace_start(struct broker_process *broker, const char *calls, const char *action, unsigned n);

#endif
