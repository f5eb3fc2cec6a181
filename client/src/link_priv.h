/* SPDX-License-Identifier: MPL-2.0
 *
 * The inside of the link, shared by its files:
 *   link.c          the thread: its turns, its life
 *   link_state.c    the connection comes and goes
 *   link_ports.c    ports, credit, requests out
 *   link_replies.c  replies in
 *   link_wait.c     callers that wait
 */
#ifndef ZSP_CLIENT_LINK_PRIV_H
#define ZSP_CLIENT_LINK_PRIV_H

#include <pthread.h>
#include <stdatomic.h>
#include <zmq.h>

#include "client/src/backoff.h"
#include "client/src/dealer.h"
#include "client/src/link.h"
#include "client/src/pending.h"
#include "common/wire.h"

enum link_state { PAUSED, CONNECTING, GREETING, UP };

struct zsp_link {
    /* Set once. */
    char *endpoints[ZSP_ENDPOINTS_MAX];
    size_t endpoint_count;
    char *name;
    struct zsp_link_options options; /* its strings are not used */
    void *context;
    int wake_fd; /* eventfd: the thread has something to do */
    pthread_t thread;
    atomic_bool interrupted; /* set in signal handlers; relaxed: the eventfd orders it */

    pthread_mutex_t mutex;
    pthread_cond_t changed;

    /* Locked. */
    bool stopping;
    bool asleep; /* the thread is in zmq_poll, or on its way there, and nobody woke it */
    enum link_state state;
    int64_t state_until_ms; /* PAUSED: next attempt; CONNECTING, GREETING: given up */
    size_t endpoint_index;
    uint32_t attempts_failed; /* since the last session */
    uint32_t short_sessions;  /* in a row that ended soon */
    int64_t up_since_ms;
    bool refusals[ZSP_ENDPOINTS_MAX]; /* the last attempt there: refused for good */
    struct zsp_port *ports;           /* all, in a list */
    size_t kicked_count;
    struct zsp_pending pending;
    size_t pending_bytes;
    uint64_t last_id;
    int64_t last_sent_ms;
    struct zsp_hello hello;
    int64_t clock_ahead_ms;
    struct zsp_err trouble;

    /* The thread's own. */
    struct zsp_dealer dealer;
    uint64_t dealer_serial;
    bool send_failed;
    struct zsp_request greeting; /* HELLO, later PING */
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
/* CONNECTING -> GREETING */
void zsp_link_greet(struct zsp_link *self, int64_t now_ms);
/* Answer everything pending with ZSP_ECLOSED. */
void zsp_link_close_pending(struct zsp_link *self, int64_t now_ms);
/* When zsp_link_step() wants to be called at the latest, ports left aside. */
int64_t zsp_link_state_due_ms(const struct zsp_link *self);

/* --- link_ports.c, locked --- */

void zsp_link_pump(struct zsp_link *self, int64_t now_ms);
void zsp_link_kick_all(struct zsp_link *self);
/* Credit came back: those that wanted some are pumped. */
void zsp_link_feed(struct zsp_link *self);
/* Write to the eventfd if the thread may be asleep. */
void zsp_link_wake(struct zsp_link *self);

/* --- link_replies.c, not locked --- */

/* Take one reply and hand it over. False: there was none, or the connection went. */
bool zsp_link_take_reply(struct zsp_link *self, int64_t now_ms);

#endif
