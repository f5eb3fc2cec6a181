/* SPDX-License-Identifier: MPL-2.0
 *
 * The link to the broker: one thread that owns the socket, and the one place
 * where that thread and callers meet (a mutex, an eventfd, a condition).
 *
 * Everything that speaks over it (a producer, a consumer, a reader, a call) is a
 * port. A port's state, and all other state of a client, is read and changed only with
 * the link locked. The link's thread calls pump_fn of a port that was kicked,
 * whose time has come, or after the connection came or went; pump_fn sends what it
 * may. So a caller never touches the socket, and what a port does on the
 * network happens on one thread.
 *
 *     PAUSED --pause over--> CONNECTING --socket writable--> GREETING --HELLO answered--> UP
 *        ^                        |                              |                        |
 *        +----------------------- + -------------fails-----------+--------lost------------+
 *   PAUSED     -> CONNECTING   attempt      the next endpoint of the list, a new socket
 *   CONNECTING -> GREETING     greet        HELLO is sent
 *   GREETING   -> UP           greeted      requests may be sent; every port is pumped
 *                                           (inproc: waits on, see link_state.c)
 *   any        -> PAUSED       fall         the socket is closed; pending requests are answered with
 *                                           ZSP_ECLOSED in the order they were sent, or put by
 *
 * The session outlives connections (link_session.c). Requests are not sent again by the link, unless
 * who asked says that they repeat: only it knows whether that is right. Credit (requests and bytes
 * unanswered) is kept here for all ports.
 */
#ifndef ZSP_CLIENT_LINK_H
#define ZSP_CLIENT_LINK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "client/src/base/client_request.h"
#include "client/src/base/host_clock.h"
#include "client/src/link/handshake.h"

#define ZSP_ENDPOINTS_MAX 16u

struct zsp_link;

struct zsp_port {
    /* Set by the owner. Called on the link's thread, locked. */
    void (*pump_fn)(struct zsp_port *self, int64_t now_ms);
    int64_t wake_ms; /* pump at the latest at this monotonic time; INT64_MAX = no need, as at first;
                      * change it in pump_fn, or kick after changing it */
    /* Set by pump_fn when there is work that takes long: it is called on the link's thread, NOT
     * locked, before the thread sleeps again; then the port is pumped. NULL = none. What it touches is
     * left alone meanwhile by everybody else, see zsp_link_end_work(). */
    void (*work_fn)(struct zsp_port *self);

    /* The link's. */
    bool kicked;
    bool starved; /* wanted credit that was not there */
    LIST_ENTRY(zsp_port) link;
};

struct zsp_link_options {
    const char *endpoints; /* separated by commas; copied */
    const char *name;      /* copied; NULL = none */
    void *zmq_context;     /* lent; NULL = one of its own */
    int64_t connect_ms, reconnect_ms, reconnect_ms_max, answer_ms, heartbeat_ms;
    int64_t session_heartbeat_ms; /* 0 = none */
};

/* Errors: ZSP_EINVAL (endpoints), ZSP_ENOMEM, ZSP_EIO */
struct zsp_link *zsp_link_new(const struct zsp_link_options *options, struct zsp_err *err);
/* All ports must be gone. Not locked. Pending requests are answered with
 * ZSP_ECLOSED on the thread before it ends. */
void zsp_link_destroy(struct zsp_link **self_p);

void zsp_link_lock(struct zsp_link *self);
void zsp_link_unlock(struct zsp_link *self);

/* --- Locked -------------------------------------------------------------------------- */

/* The port is pumped soon, and from now on. */
void zsp_link_add(struct zsp_link *self, struct zsp_port *port);
/* Requests of the port that are pending keep their done_fn. */
void zsp_link_remove(struct zsp_link *self, struct zsp_port *port);
/* Before the port's owner goes: wait for its work_fn to return, and take back what was not begun.
 * Not on the link's thread. */
void zsp_link_end_work(struct zsp_link *self, struct zsp_port *port);
/* Have the port pumped soon. */
void zsp_link_kick(struct zsp_link *self, struct zsp_port *port);

bool zsp_link_up(const struct zsp_link *self);
/* What the broker told; all zero before the first session. */
const struct zsp_hello *zsp_link_hello(const struct zsp_link *self);
/* The endpoint last tried. */
const char *zsp_link_endpoint(const struct zsp_link *self);
/* Our wall clock to the broker's: add it. */
int64_t zsp_link_clock_ahead_ms(const struct zsp_link *self);
/* The broker of every endpoint refuses us (version, denied ...): waiting is of no use. */
bool zsp_link_refused(const struct zsp_link *self);

/* May a request of so many bytes be sent now? If not, the port is pumped when
 * that may have changed. */
bool zsp_link_room(struct zsp_link *self, struct zsp_port *port, size_t bytes);
/* Send a request; only in pump_fn or done_fn. Its done_fn is called exactly once if this
 * returns 0. Errors: ZSP_EAGAIN  not up, or no credit; as zsp_link_room() */
int zsp_link_send(struct zsp_link *self, struct zsp_port *port, struct zsp_request *request,
                  int64_t now_ms);

/* The same with arguments that were just written into `args`, which stays unchanged until the request
 * is done. Without memory for them as ZSP_EAGAIN, and the port is pumped again in a while. */
int zsp_link_send_args(struct zsp_link *self, struct zsp_port *port, struct zsp_request *request,
                       const struct zsp_writer *args, int64_t now_ms);
/* Have the port pumped again in a while: what it wanted to send it could not encode, for want of
 * memory. Only in pump_fn, after it has set its wake_ms. */
void zsp_link_try_later(struct zsp_port *port, int64_t now_ms);

/* The owner of a request that was sent goes: done_fn is not called any more, the reply is
 * dropped when it comes. */
void zsp_link_forget(struct zsp_link *self, struct zsp_request *request);
/* Have a request that waits at the broker answered soon. */
void zsp_link_cancel(struct zsp_link *self, struct zsp_request *request);
/* Leases of this session may be settled by somebody else: they outlive the client. */
void zsp_link_keep_leases(struct zsp_link *self);

/* Wait for zsp_link_notify() by another thread, the lock being given up
 * meanwhile; may also return 0 early: test what you wait for again.
 * Errors: ZSP_ETIMEOUT (monotonic deadline; INT64_MAX = never), ZSP_EINTERRUPTED,
 *         or the code of the last broker, when all refuse us; described in `err` */
int zsp_link_wait(struct zsp_link *self, int64_t deadline_ms, struct zsp_err *err);
/* The same where an interrupt or a refusal must not keep from waiting: 0 or ZSP_ETIMEOUT. */
int zsp_link_wait_always(struct zsp_link *self, int64_t deadline_ms);
/* Wake all that wait. */
void zsp_link_notify(struct zsp_link *self);

/* --- Any thread, not locked --------------------------------------------------------------- */

/* Make waits fail, or let them wait again. Async-signal-safe. */
void zsp_link_interrupt(struct zsp_link *self, bool interrupted);

#endif
