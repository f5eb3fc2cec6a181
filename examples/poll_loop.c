/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool in a plain poll() loop, beside the program's other descriptors: one is
 * readable while there is anything to take, whatever it is.
 *
 *     poll_loop FROM TO GROUP     copies topic FROM to topic TO
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "relay.h"

/* Signals as a descriptor like any other. The library leaves them to the program. */
static int open_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    return signalfd(-1, &signals, SFD_CLOEXEC);
}

static bool loop(struct relay *relay, int signals)
{
    struct pollfd fds[2] = {{.fd = zspool_fd(relay->client), .events = POLLIN},
                            {.fd = signals, .events = POLLIN}};
    while (!relay_done(relay)) {
        if (poll(fds, 2, -1) < 0 || fds[1].revents != 0) {
            return false;
        }
        /* Level-triggered: what is not taken now is told again. */
        if (fds[0].revents != 0 && (!relay_take_reports(relay) || !relay_take_messages(relay))) {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    struct relay relay;
    if (argc != 4) {
        fprintf(stderr, "usage: poll_loop FROM TO GROUP\n");
        return 2;
    }
    const int signals = open_signals();
    if (relay_start(&relay, argv[1], argv[2], argv[3])) {
        loop(&relay, signals);
    }
    close(signals);
    return relay_end(&relay);
}
