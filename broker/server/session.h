/* SPDX-License-Identifier: MPL-2.0
 *
 * Sessions: what HELLO begins. A session allows requests with ids above 0 on the
 * connection that it is attached to. When that connection is gone it is
 * detached, and waits for a while for a HELLO that resumes it on another one.
 * Bookkeeping only: time comes in, nothing goes out; what the server does when
 * sessions come, move and go is in attach.c.
 *
 *      session_new ---> ATTACHED <------session_attach-----.
 *                         |  '----------session_detach---> DETACHED
 *                         |                                   |
 *                         '-------------session_end-----------'---> gone
 *
 * A detached session is over when it was silent for the session timeout; one that asked for
 * heartbeats, attached or not, when it was silent for three of them and two looks, a second apart,
 * found nothing of it that was not read yet. Nobody scans for that: each of these has a timer,
 * which is moved when it fires and not with each request.
 */
#ifndef ZSP_SERVER_SESSION_H
#define ZSP_SERVER_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/engine/base/timers.h"
#include "common/bytes.h"
#include "common/err.h"
#include "common/table.h"

#define SESSION_ID_BYTES 16u
#define SESSION_SILENCES 3    /* heartbeats that a session may miss */
#define SESSION_DOUBT_MS 1000 /* between two looks at one that missed them */

struct connection;

/* What a HELLO may change of a session. */
struct session_terms {
    int64_t heartbeat_ms; /* a BEAT when nothing was sent for so long; 0 = not asked for */
    bool coalesce;        /* replies may travel together */
};

struct session {
    uint64_t number;               /* the engine's name for it, never used again */
    uint8_t id[SESSION_ID_BYTES];  /* the client's name for it, random */
    struct connection *connection; /* NULL = DETACHED */
    uint64_t last_request_id;      /* on this connection; 0 = none yet */
    struct session_terms terms;
    int64_t heard_ms;   /* awake time (attach.c): of the last request */
    int64_t looked_ms;  /* awake time: when it was judged last; above heard_ms = since then */
    bool is_doubted;    /* that look found no excuse */
    struct timer timer; /* armed while it may end by silence; its fire_fn is not used */
    struct session *earlier, *later; /* DETACHED: in that order */
};

struct session_table {
    struct zsp_table by_id;
    struct session *detached_first, *detached_last;
    size_t detached_count;
    size_t count; /* all */
    uint64_t last_number;
    struct timers timers;
};

void session_table_init(struct session_table *self, uint64_t seed);
/* Ends all; none may be attached. */
void session_table_fini(struct session_table *self);

/* A new session, attached; NULL when out of memory. `first_request_id` = the id of its HELLO, 0
 * allowed. */
struct session *session_new(struct session_table *self, const uint8_t id[SESSION_ID_BYTES],
                            struct connection *connection, uint64_t first_request_id);
/* The session of an id, attached or not; NULL when there is none. */
struct session *session_find(const struct session_table *self, struct zsp_slice id);

/* Put a DETACHED one on this connection; its request ids begin anew. */
void session_attach(struct session_table *self, struct session *session,
                    struct connection *connection);
void session_detach(struct session_table *self, struct session *session);
/* Forget it, in any state. */
void session_end(struct session_table *self, struct session *session);

/* When it is to be judged unless it is heard of, awake time; INT64_MAX = it does not end by itself. */
int64_t session_judge_ms(const struct session *self, int64_t timeout_ms);
/* It is time: is it silent? `may_be_hidden` = what it sent may lie where it was not seen yet; that
 * excuses it, but not for longer than `timeout_ms`. */
bool session_judge(struct session *self, int64_t timeout_ms, int64_t awake_ms, bool may_be_hidden);

/* May a request with this id come now? 0 always may, it belongs to no session.
 * A higher id is remembered. `self` NULL = there is no session.
 *
 * Errors: ZSP_EHELLO_REQUIRED  no session on this connection
 *         ZSP_EBAD_REQUEST     not above the last one
 */
int session_admit(struct session *self, uint64_t request_id, struct zsp_err *err);

#endif
