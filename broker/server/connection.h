/* SPDX-License-Identifier: MPL-2.0
 *
 * Connections: what the server keeps of each peer of the ROUTER socket. ZeroMQ
 * tells neither when a peer comes nor when it goes, so a connection is made by
 * its first request and forgotten when a send finds the peer gone, or after a
 * time without a request. People see its number; the routing id is told to
 * nobody.
 */
#ifndef ZSP_SERVER_CONNECTION_H
#define ZSP_SERVER_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/server/call.h"
#include "broker/server/credit.h"
#include "broker/server/frame.h"
#include "broker/server/outgoing.h"
#include "broker/server/reply_room.h"
#include "broker/server/session.h"
#include "common/bytes.h"
#include "common/table.h"

struct connection {
    uint64_t number;
    struct zsp_slice routing_id; /* its bytes follow the struct */
    struct session *session;     /* attached here; NULL = none */
    int fd;                      /* that its HELLO came over, see inbound_fd(); -1 = none */
    struct credit credit;
    struct reply_room room;
    struct call *calls;     /* unanswered, newest first */
    struct outgoing *queue; /* replies that the peer does not take yet, in order */
    struct outgoing **queue_end;
    size_t queue_count;
    struct zsp_writer bundle; /* replies that leave together, see bundle.c; */
    struct call *bundled;     /* what they answer, linked through bundle_next */
    struct call *bundled_last;
    struct connection *bundle_next;  /* connections with a bundle */
    struct connection **bundle_link; /* what points at this one; NULL = it has none */
    int64_t heard_ms;                /* monotonic: of the last request or reply */
    int64_t sent_ms;                 /* monotonic: of the last reply or BEAT */
    struct connection *older;        /* by heard_ms */
    struct connection *newer;
    struct connection *stuck_next;  /* connections whose queue is not empty */
    struct connection **stuck_link; /* what points at this one; NULL = not stuck */
};

struct connection_table {
    struct zsp_table by_id;
    const struct reply_pool *pool; /* lent */
    struct connection *oldest;
    struct connection *newest;
    struct connection *stuck;      /* those with a queue, the longest untried first */
    struct connection **stuck_end; /* where the next one goes */
    size_t stuck_count;
    uint64_t last_number;
    size_t count;
};

void connection_table_init(struct connection_table *self, uint64_t seed,
                           const struct reply_pool *pool);
/* Requests and queues must be gone. */
void connection_table_fini(struct connection_table *self);

/* The connection of a routing id, made if it is new; NULL when out of memory. */
struct connection *connection_table_get(struct connection_table *self, struct zsp_slice routing_id,
                                        int64_t now_ms);
/* Forget a connection that has neither requests nor a queue nor a session. */
void connection_table_remove(struct connection_table *self, struct connection *connection);

/* It was heard of just now. */
void connection_table_touch(struct connection_table *self, struct connection *connection,
                            int64_t now_ms);

void connection_add_call(struct connection *self, struct call *call);
void connection_remove_call(struct connection *self, struct call *call);

/* Queue a reply at the end (takes it), and list the connection as stuck. */
void connection_queue(struct connection_table *table, struct connection *self,
                      struct outgoing *outgoing);
/* Take the first queued reply; NULL = none. */
struct outgoing *connection_unqueue(struct connection *self);
/* Put the connection at the end of the list of stuck ones. */
void connection_stick(struct connection_table *table, struct connection *self);
/* Take it out of the list, if it is there. */
void connection_unstick(struct connection_table *table, struct connection *self);

#endif
