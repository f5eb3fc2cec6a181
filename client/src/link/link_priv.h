/* SPDX-License-Identifier: MPL-2.0
 *
 * The inside of the link, shared by its files:
 *   link.c          the thread: its turns, its life
 *   link_state.c    the connection comes and goes
 *   link_session.c  the session: resumed, kept alive, ended; requests taken back
 *   link_ports.c    ports, credit, requests out
 *   link_replies.c  replies in
 *   link_wait.c     callers that wait
 */
#ifndef ZSP_CLIENT_LINK_PRIV_H
#define ZSP_CLIENT_LINK_PRIV_H

#include <stdatomic.h>
#include <zmq.h>

#include "client/src/base/backoff.h"
#include "client/src/base/context.h"
#include "client/src/link/dealer.h"
#include "client/src/link/link.h"
#include "client/src/link/pending.h"
#include "common/thread.h"
#include "common/wire.h"

enum link_state { PAUSED, CONNECTING, GREETING, UP };

struct zsp_link {
    /* Set once. */
    char *endpoints[ZSP_ENDPOINTS_MAX];
    size_t endpoint_count;
    char *name;
    struct zsp_link_options options; /* its strings are not used */
    struct zsp_context context;
    int wake_fd; /* eventfd: the thread has something to do */
    pthread_t thread;
    atomic_bool interrupted; /* set in signal handlers; relaxed: the eventfd orders it */

    struct zsp_monitor monitor;

    /* Locked. */
    bool stopping;
    bool notifies; /* who waits is woken when the lock is given up */
    bool asleep;   /* the thread is in poll(), or on its way there, and nobody woke it */
    enum link_state state;
    int64_t state_until_ms; /* PAUSED: next attempt; CONNECTING, GREETING: given up */
    size_t endpoint_index;
    uint32_t attempts_failed; /* since the last session */
    uint32_t short_sessions;  /* in a row that ended soon */
    int64_t up_since_ms;
    bool refusals[ZSP_ENDPOINTS_MAX]; /* the last attempt there: refused for good */
    LIST_HEAD(, zsp_port) ports;      /* all */
    size_t kicked_count;
    const struct zsp_port *working; /* its work_fn runs */
    struct zsp_pending pending;
    size_t pending_bytes;
    uint64_t last_id;
    int64_t last_sent_ms;
    struct zsp_hello hello;
    bool has_session;   /* the broker may still know hello.session */
    bool keeps_leases;  /* somebody else may settle what is in hand */
    bool plain_hello;   /* the broker is one that knows no more */
    bool beats;         /* heartbeats are on */
    int64_t heard_ms;   /* the last message of the broker */
    int64_t suspect_ms; /* silent: then the connection is given up; INT64_MAX = it is not */
    struct zsp_request *put_by_first;   /* to be sent again, in order of their ids */
    uint64_t cancels[ZSP_REQUESTS_MAX]; /* ids of requests to be taken back */
    size_t cancel_count;
    int64_t clock_ahead_ms;
    struct zsp_err trouble;

    /* The thread's own. */
    struct zsp_dealer dealer;
    uint64_t dealer_serial;
    bool send_failed;
    struct zsp_request greeting; /* HELLO, later PING */
    struct zsp_request cancel, bye;
    struct zsp_writer cancel_args, bye_args;
    bool cancel_out;
    bool has_left;        /* stopping: BYE was sent, or there is none to be sent */
    int64_t bye_until_ms; /* its answer is waited for; 0 = it came */
    bool greeting_pending;
    struct zsp_writer greeting_args;
    struct zsp_writer header;
    struct wire_decoder *decoder;
    zmq_msg_t *frames; /* body frames of the reply being taken */
    size_t frame_count, frame_capacity;
    struct zsp_backoff backoff;
};

/* --- link_state.c, locked --- */

/* Move on what is due: attempts, time-outs, PING. */
void zsp_link_step(struct zsp_link *self, int64_t now_ms);
/* any -> PAUSED: everything pending is answered with ZSP_ECLOSED. */
void zsp_link_fall(struct zsp_link *self, int64_t now_ms, int code, const char *why);
/* any -> PAUSED, for ever: the context that was lent to us is terminated. */
void zsp_link_end(struct zsp_link *self, int64_t now_ms);
/* CONNECTING -> GREETING */
void zsp_link_greet(struct zsp_link *self, int64_t now_ms);
/* Answer everything pending with ZSP_ECLOSED. */
void zsp_link_close_pending(struct zsp_link *self, int64_t now_ms);
/* When zsp_link_step() wants to be called at the latest, ports left aside. */
int64_t zsp_link_state_due_ms(const struct zsp_link *self);

/* --- link_session.c, locked --- */

/* Keep a request of a lost connection for the next one; false = it has to be answered. */
bool zsp_link_put_by(struct zsp_link *self, struct zsp_request *request);
/* Take it out; false = it was not put by. */
bool zsp_link_forget_put_by(struct zsp_link *self, const struct zsp_request *request);
/* Answer all that was put by with ZSP_ECLOSED. */
void zsp_link_close_put_by(struct zsp_link *self, int64_t now_ms);
/* Send what was put by again. */
void zsp_link_repeat(struct zsp_link *self, int64_t now_ms);
/* Answer what was put by and taken back meanwhile. */
void zsp_link_drop_cancelled(struct zsp_link *self, int64_t now_ms);
/* HELLO's arguments into greeting_args. */
void zsp_link_write_hello(struct zsp_link *self);
/* HELLO was answered, self->hello is read. */
void zsp_link_session_up(struct zsp_link *self, int64_t now_ms);
/* When the next PING is due, if nothing else is sent. */
int64_t zsp_link_ping_due_ms(const struct zsp_link *self);
/* Something came from the broker. */
void zsp_link_heard(struct zsp_link *self, int64_t now_ms);
/* Has it missed its heartbeats? */
bool zsp_link_is_silent(struct zsp_link *self, int64_t now_ms);
int64_t zsp_link_silence_due_ms(const struct zsp_link *self);
/* Have the request of this id taken back. */
void zsp_link_cancel_id(struct zsp_link *self, uint64_t id);
void zsp_link_send_cancels(struct zsp_link *self, int64_t now_ms);
/* The client is being destroyed: say BYE, once. True while its answer is worth waiting for. */
bool zsp_link_is_leaving(struct zsp_link *self, int64_t now_ms);

/* --- link_ports.c, locked --- */

/* Send a request under this id, whatever the state. Errors: ZSP_EAGAIN */
int zsp_link_send_as(struct zsp_link *self, struct zsp_request *request, uint64_t id,
                     int64_t now_ms);

void zsp_link_pump(struct zsp_link *self, int64_t now_ms);
/* Do the work of one port, if any has some: gives the lock up meanwhile. False = none has. */
bool zsp_link_work(struct zsp_link *self);
void zsp_link_kick_all(struct zsp_link *self);
/* Credit came back: those that wanted some are pumped. */
void zsp_link_feed(struct zsp_link *self);
/* Write to the eventfd if the thread may be asleep. */
void zsp_link_wake(struct zsp_link *self);

/* --- link_replies.c, not locked --- */

/* Take one reply and hand it over. False: there was none, or the connection went. */
bool zsp_link_take_reply(struct zsp_link *self, int64_t now_ms);

#endif
