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

#include <stdbool.h>
#include <zmq.h>

struct zsp_context {
    void *zmq;    /* NULL = closed */
    void *keeper; /* NULL = it is our own */
    int fd;       /* of the keeper */
};

/* `lent` NULL = make one. Errors: ZSP_EIO, with errno telling why */
int zsp_context_open(struct zsp_context *self, void *lent);

/* Close it; all other sockets in it must be closed if it is our own. Again is
 * harmless. */
void zsp_context_close(struct zsp_context *self);

/* The descriptor to poll, < 0 = none: when it is readable the context may have ended. */
int zsp_context_fd(const struct zsp_context *self);
/* Was the lent context terminated? */
bool zsp_context_ended(const struct zsp_context *self);

#endif
