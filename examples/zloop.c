/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool in a czmq zloop, beside its sockets and timers.
 *
 *     zloop FROM TO GROUP     copies topic FROM to topic TO
 */
#include <czmq.h>

#include "relay.h"

/* A handler of a zloop ends it with -1. */
static int on_ready(zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    struct relay *relay = arg;
    (void)loop;
    (void)item;
    if (!relay_take_reports(relay) || !relay_take_messages(relay)) {
        return -1;
    }
    return relay_done(relay) ? -1 : 0;
}

static int on_timer(zloop_t *loop, int timer_id, void *arg)
{
    const struct relay *relay = arg;
    (void)loop;
    (void)timer_id;
    fprintf(stderr, "%lu copied so far\n", relay->copied);
    return 0;
}

int main(int argc, char **argv)
{
    struct relay relay;
    if (argc != 4) {
        fprintf(stderr, "usage: zloop FROM TO GROUP\n");
        return 2;
    }
    zloop_t *loop = zloop_new();
    if (relay_start(&relay, argv[1], argv[2], argv[3])) {
        zmq_pollitem_t item = {.fd = zspool_fd(relay.client), .events = ZMQ_POLLIN};
        zloop_poller(loop, &item, on_ready, &relay);
        zloop_timer(loop, 1000, 0, on_timer, &relay);
        zloop_start(loop); /* until a handler ends it, or Ctrl-C, which czmq catches */
    }
    zloop_destroy(&loop);
    return relay_end(&relay);
}
