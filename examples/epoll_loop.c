/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool in an epoll loop, with a timer beside it.
 *
 *     epoll_loop FROM TO GROUP     copies topic FROM to topic TO
 */
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "relay.h"

static bool watch(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

static int open_timer(void)
{
    const struct itimerspec every_second = {.it_interval.tv_sec = 1, .it_value.tv_sec = 1};
    const int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    timerfd_settime(timer, 0, &every_second, NULL);
    return timer;
}

static void show_progress(const struct relay *relay, int timer)
{
    uint64_t ticks;
    if (read(timer, &ticks, sizeof ticks) > 0) {
        fprintf(stderr, "%lu copied so far\n", relay->copied);
    }
}

static bool loop(struct relay *relay, int epoll, int timer)
{
    const int zspool = zspool_fd(relay->client);
    if (!watch(epoll, zspool) || !watch(epoll, timer)) {
        return false;
    }
    while (!relay_done(relay)) {
        struct epoll_event event;
        if (epoll_wait(epoll, &event, 1, -1) != 1) {
            return false;
        }
        if (event.data.fd == timer) {
            show_progress(relay, timer);
        } else if (!relay_take_reports(relay) || !relay_take_messages(relay)) {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    struct relay relay;
    if (argc != 4) {
        fprintf(stderr, "usage: epoll_loop FROM TO GROUP\n");
        return 2;
    }
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    const int timer = open_timer();
    if (relay_start(&relay, argv[1], argv[2], argv[3])) {
        loop(&relay, epoll, timer);
    }
    close(timer);
    close(epoll);
    return relay_end(&relay);
}
