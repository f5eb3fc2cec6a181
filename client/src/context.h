/* SPDX-License-Identifier: MPL-2.0
 *
 * The libzmq context of a link: one of its own, or one that the host lends, over
 * which it reaches a broker in the same process (inproc). What is lent may be
 * terminated by its owner at any time, and is gone once the last socket in it is
 * closed; so a socket that does nothing, the keeper, stays open as long as the
 * context is used, and tells when it ends. Owned by the link's thread.
 */
#ifndef ZSP_CLIENT_CONTEXT_H
#define ZSP_CLIENT_CONTEXT_H

#include <zmq.h>

struct zsp_context {
    void *zmq;    /* NULL = closed */
    void *keeper; /* NULL = it is our own */
};

/* `lent` NULL = make one. Errors: ZSP_EIO, with errno telling why */
int zsp_context_open(struct zsp_context *self, void *lent);

/* Close it; all other sockets in it must be closed if it is our own. Again is
 * harmless. */
void zsp_context_close(struct zsp_context *self);

/* What to poll beside other sockets: zmq_poll() then fails with ETERM when a lent
 * context is terminated. Returns the number of items, 0 or 1. */
int zsp_context_poll_item(const struct zsp_context *self, zmq_pollitem_t *item);

#endif
