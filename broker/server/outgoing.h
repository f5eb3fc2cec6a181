/* SPDX-License-Identifier: MPL-2.0
 *
 * One reply on its way out: built once, sent as often as it takes. A ROUTER
 * socket answers EAGAIN or EHOSTUNREACH at the routing id or not at all; after
 * EAGAIN the whole message is sent again.
 */
#ifndef ZSP_SERVER_OUTGOING_H
#define ZSP_SERVER_OUTGOING_H

#include <stddef.h>
#include <stdint.h>
#include <zmq.h>

#include "broker/engine/engine.h"
#include "broker/server/envelope.h"
#include "broker/server/frame.h"

struct call;

struct outgoing {
    struct outgoing *next; /* in the connection's queue */
    bool more;             /* a PART: its call goes on */
    struct call *call;     /* what it answers, and those linked to it through bundle_next; NULL = a
                            * refusal, nothing is held */
    uint64_t lease;        /* to be told to the engine when it cannot be delivered; 0 = none */
    size_t frame_count;
    zmq_msg_t frames[];
};

/* What the body of a reply is made of; lent for the call. */
struct outgoing_body {
    const struct engine_part *parts;
    size_t part_count;
};

/* Build the frames: envelope, header, then the body. Small neighbours of the
 * body are copied together, large parts are lent unless they would pin much more; both
 * are counted in `flow`. NULL when out of memory. */
struct outgoing *outgoing_new(const struct envelope *envelope, struct zsp_buf *header,
                              struct outgoing_body body, struct outflow *flow);
void outgoing_destroy(struct outgoing **self_p);

enum outgoing_result {
    OUTGOING_SENT, /* libzmq has it all; destroy the rest */
    OUTGOING_FULL, /* the peer takes nothing now; unchanged, try again */
    OUTGOING_GONE  /* there is no such peer; unchanged */
};
enum outgoing_result outgoing_send(struct outgoing *self, void *socket,
                                   struct zsp_slice routing_id);

#endif
