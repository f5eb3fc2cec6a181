/* SPDX-License-Identifier: MPL-2.0
 *
 * Very many DEALER connections in one thread: ZMTP 3.1 by hand over plain
 * sockets, because a libzmq socket for each of them would take three descriptors
 * and more memory than the broker that is measured. Requests have a header and no
 * body; replies are handed over as their first frame.
 */
#ifndef ZSP_TESTS_SWARM_H
#define ZSP_TESTS_SWARM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"

struct swarm;

/* What happens to a connection; both may call swarm_send(). */
struct swarm_hooks {
    void *arg;
    /* The handshake is over. */
    void (*ready_fn)(void *arg, struct swarm *swarm, size_t index);
    /* The header frame of a message; lent for the call. */
    void (*reply_fn)(void *arg, struct swarm *swarm, size_t index, struct zsp_slice header);
};

/* `count` connections to 127.0.0.1, not yet opened. Ends the test when it cannot be. */
struct swarm *swarm_new(const char *endpoint, size_t count, const struct swarm_hooks *hooks);
/* Closes all sockets at once, as a machine that is switched off is seen later. */
void swarm_destroy(struct swarm **self_p);

/* From now on the kernel throws away what comes for them and acknowledges nothing, as if the machines
 * had vanished. */
void swarm_deafen(struct swarm *self);

/* Send a message of one frame. */
void swarm_send(struct swarm *self, size_t index, struct zsp_slice header);

/* Open connections, some hundreds at a time, and take what comes, until `done_fn` says so. Ends the
 * test after `deadline_ms`. */
void swarm_run(struct swarm *self, bool (*done_fn)(void *arg), int64_t deadline_ms);

#endif
