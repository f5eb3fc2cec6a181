/* SPDX-License-Identifier: MPL-2.0 */
#include "client/src/base/host_clock.h"

#include <errno.h>
#include <limits.h>
#include <sys/random.h>
#include <time.h>

#include "common/err.h"

static int64_t read_ms(clockid_t clock)
{
    struct timespec now = {0};
    (void)clock_gettime(clock, &now); /* cannot fail for these clocks */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t zsp_now_ms(void)
{
    return read_ms(CLOCK_MONOTONIC);
}

int64_t zsp_wall_ms(void)
{
    return read_ms(CLOCK_REALTIME);
}

int64_t zsp_deadline_ms(int64_t timeout_ms)
{
    return timeout_ms < 0 ? INT64_MAX : zsp_now_ms() + timeout_ms;
}

int zsp_left_ms(int64_t deadline_ms)
{
    if (deadline_ms == INT64_MAX) {
        return -1;
    }
    const int64_t left_ms = deadline_ms - zsp_now_ms();
    if (left_ms < 0) {
        return 0;
    }
    return left_ms > INT_MAX ? INT_MAX : (int)left_ms;
}

int zsp_random(void *bytes, size_t len)
{
    char *to = bytes;
    while (len > 0) {
        const ssize_t got = getrandom(to, len, 0);
        if (got < 0 && errno != EINTR) {
            return ZSP_EIO;
        }
        if (got > 0) {
            to += got;
            len -= (size_t)got;
        }
    }
    return 0;
}
