/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/clock_ahead.h"

#include <stdatomic.h>
#include <time.h>

static atomic_int ahead_s;

void clock_ahead(int seconds)
{
    atomic_fetch_add(&ahead_s, seconds);
}

void clock_true(void)
{
    atomic_store(&ahead_s, 0);
}

/* NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the names are the
 * linker's */
int __real_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
    const int rc = __real_clock_gettime(clock, ret);
    ret->tv_sec += atomic_load(&ahead_s);
    return rc;
}
/* NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming) */
