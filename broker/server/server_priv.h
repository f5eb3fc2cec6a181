/* SPDX-License-Identifier: MPL-2.0
 *
 * What the server's files share: its state, and the two halves of its work.
 * Included by server.c, intake.c, attach.c, deliver.c and bundle.c only.
 */
#ifndef ZSP_SERVER_SERVER_PRIV_H
#define ZSP_SERVER_SERVER_PRIV_H

#include <zmq.h>

#include "broker/server/call.h"
#include "broker/server/connection.h"
#include "broker/server/hello.h"
#include "broker/server/inbound.h"
#include "broker/server/server.h"

/* What happened, for STATS. */
struct server_figures {
    uint64_t over_credit, sessions_resumed, sessions_silent, beats_sent, bundles_sent;
};

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
    void *socket;  /* the ROUTER */
    int socket_fd; /* readable when there may be news of it */
    char endpoints[CONFIG_ENDPOINTS_MAX][ENDPOINT_MAX];
    size_t endpoint_count;
    enum server_state state;
    int64_t drain_until_ms; /* monotonic */
    struct instant now;     /* of this turn */
    uint8_t instance[INSTANCE_BYTES];
    int64_t waited_ms;      /* how long the loop meant to wait before this turn */
    int64_t asleep_ms;      /* for how long it was late for its turns, all in all */
    int64_t grace_until_ms; /* nobody is found silent before; monotonic */
    bool has_more_messages; /* the socket was not drained in this turn */
    bool has_messages;      /* the next turn looks at the socket */

    struct connection_table connections;
    struct session_table sessions;
    struct server_figures figures;
    size_t crowd;               /* most connections since memory was given back last, */
    size_t run_bytes;           /* and most of engine_run_bytes() */
    struct connection *bundles; /* those with a bundle that has not left, see bundle.c */
    struct call_table calls;
    struct credit_pool pool;
    struct reply_pool replies;
    uint64_t turn_bytes;   /* of replies, in this turn */
    uint64_t turn_batches; /* of requests with many, taken in this turn */
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
/* The peer is gone: its requests are abandoned, its session is detached. */
void deliver_gone(struct server *self, struct connection *connection);
/* Abandon what the connection's session has unanswered; those with id 0 stay. */
void deliver_drop_calls(struct server *self, struct connection *connection);
/* When deliver_retry() has something to do; monotonic. */
int64_t deliver_deadline_ms(const struct server *self);

/* --- bundle.c: replies that travel together ------------------------------------------- */

/* Put the reply behind others of its connection, if it may travel with them. False = send it by
 * itself. */
bool bundle_add(struct server *self, struct call *call, const struct engine_effect *effect);
/* Send the connection's bundle, if there is one. False = the connection is gone. */
bool bundle_flush(struct server *self, struct connection *connection);
void bundle_flush_all(struct server *self);
/* The connection's bundle is void; its calls are not. */
void bundle_drop(struct connection *connection);

/* --- attach.c: sessions --------------------------------------------------------------- */

/* HELLO on a connection without unanswered requests: begin a session, or resume one. 1 = resumed.
 * Errors: ZSP_ELIMIT_REACHED, ZSP_EIO (no random bits) */
int attach_hello(struct server *self, struct connection *connection, const struct hello_args *args,
                 uint64_t request_id, struct zsp_err *err);
/* The engine has taken a BYE of this connection's session. */
void attach_bye(struct server *self, struct connection *connection);
/* The connection goes, its requests are abandoned; `is_waiting` = there were some. */
void attach_detach(struct server *self, struct connection *connection, bool is_waiting);
/* A message came from it. */
void attach_heard(struct server *self, struct connection *connection);
/* End who was silent for too long, send BEATs. */
void attach_expire(struct server *self);
/* When attach_expire() has something to do; monotonic. */
int64_t attach_deadline_ms(const struct server *self);

#endif
