/* SPDX-License-Identifier: MPL-2.0
 *
 * What the server's files share: its state, and the two halves of its work.
 * Included by server.c, intake.c and deliver.c only.
 */
#ifndef ZSP_SERVER_SERVER_PRIV_H
#define ZSP_SERVER_SERVER_PRIV_H

#include <zmq.h>

#include "broker/server/call.h"
#include "broker/server/connection.h"
#include "broker/server/hello.h"
#include "broker/server/inbound.h"
#include "broker/server/server.h"

enum server_state {
    SERVER_SERVING,
    SERVER_DRAINING, /* until quiet, or drain_until_ms */
    SERVER_STOPPING  /* ends with this turn */
};

/*      SERVING ---server_drain---> DRAINING ---quiet, or time---> STOPPING
 *         |                                                              ^
 *         +---------------------the storage failed-----------------------+
 */
struct server {
    struct server_options options;
    void *socket; /* the ROUTER */
    char endpoints[CONFIG_ENDPOINTS_MAX][ENDPOINT_MAX];
    size_t endpoint_count;
    enum server_state state;
    int64_t drain_until_ms; /* monotonic */
    struct instant now;     /* of this turn */
    uint8_t instance[INSTANCE_BYTES];
    uint64_t last_session;

    struct connection_table connections;
    struct call_table calls;
    struct credit_pool pool;
    struct reply_pool replies;
    uint64_t turn_bytes; /* of replies, in this turn */
    struct wire_decoder *decoder;
    struct inbound message;   /* the one being taken */
    struct zsp_writer writer; /* for headers that the server writes itself */

    int64_t retry_ms;       /* when stuck connections are tried again */
    uint64_t dropped_count; /* refusals that could not even be told */
    uint64_t dropped_told;  /* of which people have been told */
    int64_t tell_ms;        /* when they may be told next */
    struct zsp_err failure; /* of the storage; code 0 = none */
};

/* --- intake.c: requests ----------------------------------------------------------- */

/* Take what waits at the socket, bounded. *ret_more = there may be more.
 * Errors: ZSP_EIO */
int intake(struct server *self, bool *ret_more, struct zsp_err *err);

/* --- deliver.c: replies and the end of connections ----------------------------------- */

/* Where a reply goes. */
struct deliver_to {
    struct connection *connection;
    struct call *call;               /* NULL = a request that was never accepted */
    const struct envelope *envelope; /* lent */
};

/* Send a header that the server wrote, or queue it. */
void deliver_header(struct server *self, struct deliver_to to, struct zsp_slice header);
/* Send an ERR reply. */
void deliver_error(struct server *self, struct deliver_to to, bool has_id, uint64_t id,
                   const struct zsp_err *error);
/* Send every effect that the engine has. */
void deliver_effects(struct server *self);
/* Try again what peers did not take, when it is time. */
void deliver_retry(struct server *self);

/* Give a call's credit back and forget it. */
void deliver_call_done(struct server *self, struct call *call);
/* The peer is gone: its requests are abandoned, its session ends. */
void deliver_gone(struct server *self, struct connection *connection);
/* End the session that was silent longest and waits for nothing, to make room for a new one: its
 * connection may be gone long since, which ZeroMQ does not tell. False = all are at work. */
bool deliver_end_idle_session(struct server *self);
/* Forget connections that were silent for the session timeout. */
void deliver_expire(struct server *self);
/* When deliver_retry() or deliver_expire() has something to do; monotonic. */
int64_t deliver_deadline_ms(const struct server *self);

#endif
