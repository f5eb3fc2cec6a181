/* SPDX-License-Identifier: MPL-2.0
 *
 * Requests that the client may give up on: long polls, parked or at work in the
 * store. Embedded in whatever waits (a reader, a pull). The registry finds them
 * by ticket and by session, in order of arrival, so that one mechanism serves
 * timeouts, disconnects, draining and the fail-stop. What cannot be undone
 * (publish, settle) is never parked: it is answered, and the host drops the
 * answer when nobody is left to hear it.
 */
#ifndef ZSP_ENGINE_PARKED_H
#define ZSP_ENGINE_PARKED_H

#include "broker/engine/base/timers.h"
#include "broker/engine/reply.h"
#include "common/table.h"

enum parked_end {
    PARKED_TIMEOUT,   /* wait_ms is over: answer what there is, reason `timeout` */
    PARKED_DRAIN,     /* the broker stops: answer empty, reason `shutting_down` */
    PARKED_CANCELLED, /* the client takes it back: answer empty, reason `cancelled`, at once */
    PARKED_ABANDONED, /* the client or its session is gone: no answer (it would be dropped) */
    PARKED_FAILED     /* the storage failed: all are answered by the engine */
};

struct parked {
    struct reply_to to; /* set by parked_add; to.ticket is the key */
    /* Ends the wait, and no other one; the timer is not armed any more. Something of it may still
     * be at work in the store. At PARKED_TIMEOUT and PARKED_DRAIN somebody waits for its answer
     * still, so it stays in the registry until that is given; at the others it is out already, and
     * the owner remembers that nobody waits. At PARKED_FAILED no completion will come any more. */
    void (*end_fn)(struct engine *engine, struct parked *self, enum parked_end why);

    /* the registry's */
    bool is_parked;
    struct timer timer;
    struct parked *next, *prev;                 /* all, in order of arrival */
    struct parked *session_next, *session_prev; /* of one session */
    struct parked_session *session;             /* NULL = sessionless */
};

/* Zero-initialise all but the tables' seeds (parked_set_init). */
struct parked_set {
    struct parked *first, *last;
    size_t count;
    struct zsp_table by_ticket;
    struct zsp_table by_session;
};

void parked_set_init(struct parked_set *self, uint64_t seed);
/* Forgets all; the owners free the parked requests. */
void parked_set_fini(struct parked_set *self);

/* Register. After `wait_ms` (0 = never by time) end_fn is called with PARKED_TIMEOUT.
 * `parked->end_fn` is set by the caller.
 * Errors: ZSP_ENOMEM (nothing changed) */
ZSP_MUST_CHECK int parked_add(struct engine *engine, struct parked *parked,
                              const struct reply_to *to, uint64_t wait_ms);
/* Take it out, without calling end_fn; nothing happens when it is not in. */
void parked_remove(struct engine *engine, struct parked *parked);

/* The request of a session that has this id; NULL when it is not there (any more). */
struct parked *parked_find(const struct engine *engine, uint64_t session, uint64_t id);
void parked_cancel(struct engine *engine, struct parked *parked);
/* All of the session, in order of arrival. */
void parked_cancel_session(struct engine *engine, uint64_t session);

/* End those of one ticket or session, or all, in order of arrival. */
void parked_abandon_ticket(struct engine *engine, uint64_t ticket);
void parked_abandon_session(struct engine *engine, uint64_t session);
void parked_drain(struct engine *engine);
void parked_fail_all(struct engine *engine);

#endif
