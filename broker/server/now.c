/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/server/now.h"

#include <errno.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>

#include "common/assert.h"

static struct timespec read_clock(clockid_t clock_id)
{
    struct timespec time = {0};
    const int rc = clock_gettime(clock_id, &time);
    zsp_assert(rc == 0);
    return time;
}

static int64_t to_ms(struct timespec time)
{
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

struct instant now_instant(void)
{
    return (struct instant){.mono_ms = to_ms(read_clock(CLOCK_MONOTONIC)),
                            .wall_ms = to_ms(read_clock(CLOCK_REALTIME))};
}

int64_t now_us(void)
{
    const struct timespec time = read_clock(CLOCK_MONOTONIC);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

uint64_t now_cpu_us(void)
{
    struct rusage usage = {0};
    (void)getrusage(RUSAGE_SELF, &usage); /* with good arguments: cannot fail */
    const int64_t seconds = (int64_t)usage.ru_utime.tv_sec + (int64_t)usage.ru_stime.tv_sec;
    return (uint64_t)(seconds * 1000000 + (int64_t)usage.ru_utime.tv_usec +
                      (int64_t)usage.ru_stime.tv_usec);
}

int now_random_bytes(void *data, size_t len, struct zsp_err *err)
{
    unsigned char *pos = data;
    while (len > 0) {
        const ssize_t got = getrandom(pos, len, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return zsp_err_set_errno(err, ZSP_EIO, errno, "getrandom");
        }
        pos += got;
        len -= (size_t)got;
    }
    return ZSP_OK;
}

uint64_t now_random(void *arg)
{
    uint64_t bits = 0;
    (void)arg;
    /* Once the pool is up, which broker_open() waits for, this cannot fail. */
    const int rc = now_random_bytes(&bits, sizeof bits, NULL);
    zsp_assert(rc == ZSP_OK);
    return bits;
}
