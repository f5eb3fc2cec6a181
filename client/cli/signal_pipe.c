/* SPDX-License-Identifier: MPL-2.0 */
#include "client/cli/signal_pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>

#define SIGNALS_MAX 8u

/* A handler has no argument of ours: what it needs is set before it is installed. */
static volatile sig_atomic_t write_fd = -1;

static struct {
    int number;
    struct sigaction before;
} caught[SIGNALS_MAX];
static size_t caught_count;

static void on_signal(int number)
{
    const int saved = errno;
    const unsigned char byte = (unsigned char)number;
    /* Full only when 64 KiB of signals wait, and then one more tells nothing new. */
    const ssize_t written = write((int)write_fd, &byte, 1);
    (void)written;
    errno = saved;
}

static bool prepare(int fd)
{
    return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0;
}

int signal_pipe_open(const int *signals, size_t count)
{
    int fds[2];
    if (count > SIGNALS_MAX || write_fd >= 0) {
        return -EINVAL;
    }
    if (pipe(fds) != 0) {
        return -errno;
    }
    if (!prepare(fds[0]) || !prepare(fds[1])) {
        const int failed = -errno;
        (void)close(fds[0]); /* never used */
        (void)close(fds[1]);
        return failed;
    }
    write_fd = fds[1];
    struct sigaction action = {.sa_handler = on_signal};
    (void)sigfillset(&action.sa_mask); /* cannot fail */
    for (size_t i = 0; i < count; i++) {
        struct sigaction before = {.sa_handler = SIG_DFL};
        (void)sigaction(signals[i], NULL, &before); /* fails for no real signal */
        if (signals[i] == SIGHUP && before.sa_handler == SIG_IGN) {
            continue;
        }
        (void)sigaction(signals[i], &action, NULL);
        caught[caught_count].number = signals[i];
        caught[caught_count].before = before;
        caught_count++;
    }
    return fds[0];
}

int signal_pipe_next(int fd)
{
    unsigned char byte;
    ssize_t got;
    do {
        got = read(fd, &byte, 1);
    } while (got < 0 && errno == EINTR);
    return got == 1 ? byte : 0;
}

void signal_pipe_close(int fd)
{
    for (size_t i = caught_count; i-- > 0;) {
        (void)sigaction(caught[i].number, &caught[i].before, NULL); /* as it was */
    }
    caught_count = 0;
    (void)close((int)write_fd); /* a pipe of ours: nothing is lost */
    (void)close(fd);
    write_fd = -1;
}
