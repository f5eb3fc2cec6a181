/* SPDX-License-Identifier: MPL-2.0
 *
 * One connection to one endpoint: a DEALER socket that libzmq may not
 * reconnect, and its monitor. When it goes, it goes for good and a new one is
 * made, so that nothing queued for an old peer can reach a new one, and so that a
 * lost connection is always noticed. Owned by the link's thread.
 */
#ifndef ZSP_CLIENT_DEALER_H
#define ZSP_CLIENT_DEALER_H

#include <stdbool.h>
#include <stdint.h>
#include <zmq.h>

#include "common/buf.h"
#include "common/bytes.h"
#include "common/err.h"

struct zsp_dealer {
    void *socket;  /* NULL = closed */
    void *monitor; /* PAIR that hears of the socket's life; NULL for inproc: libzmq tells nothing */
    int socket_fd; /* their ZMQ_FD */
    int monitor_fd;
    bool inproc;
};

struct zsp_dealer_options {
    int connect_ms;   /* TCP connect and handshake, each */
    int heartbeat_ms; /* ZMTP heartbeat; the peer is gone after three without an answer */
    uint64_t serial;  /* new with every connection in the context: names the monitor */
};

/* Begin to connect. zsp_dealer_writable() tells when it stands.
 * Errors: ZSP_EINVAL  the endpoint cannot be one
 *         ZSP_EIO     no descriptor, no memory */
int zsp_dealer_open(struct zsp_dealer *self, void *context, const char *endpoint,
                    const struct zsp_dealer_options *options, struct zsp_err *err);

/* Drop what is queued and close; fine on a closed one. */
void zsp_dealer_close(struct zsp_dealer *self);

/* Does the connection stand? */
bool zsp_dealer_writable(const struct zsp_dealer *self);

/* The descriptors to poll, < 0 = none. When that of the socket is readable replies may be there,
 * when that of the monitor is, the connection may be lost. */
int zsp_dealer_fd(const struct zsp_dealer *self);
int zsp_dealer_monitor_fd(const struct zsp_dealer *self);
/* Is there something of the kind already? The socket's descriptor is edge-triggered: to be asked
 * before every wait, after all else was done with the socket. */
bool zsp_dealer_due(const struct zsp_dealer *self, bool connecting);

/* Take what the monitor has; true when the connection, or the attempt, is over;
 * *ret_why then says in a static word how. */
bool zsp_dealer_lost(struct zsp_dealer *self, const char **ret_why);

/* Send one message: a header and, if not NULL, a body that is shared, not copied,
 * and more of them behind it.
 * Never waits. Errors: ZSP_EAGAIN  nothing was sent */
int zsp_dealer_send(struct zsp_dealer *self, struct zsp_slice header, struct zsp_buf *body,
                    struct zsp_buf *const *more, size_t more_count);

bool zsp_endpoint_inproc(const char *endpoint);

/* May an endpoint look like this: tcp://HOST:PORT, ipc://PATH or
 * inproc://NAME? Only the form is checked. */
bool zsp_endpoint_valid(const char *endpoint);

#endif
