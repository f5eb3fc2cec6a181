/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/parked.h"

#include <stdlib.h>
#include <string.h>

#include "broker/engine/engine_priv.h"
#include "common/assert.h"
#include "common/container.h"

/* The parked requests of one session; exists while there is one. */
struct parked_session {
    uint64_t id;
    struct parked *first, *last;
};

static struct zsp_slice number_key(const uint64_t *number)
{
    return (struct zsp_slice){(const uint8_t *)number, sizeof *number};
}

void parked_set_init(struct parked_set *self, uint64_t seed)
{
    memset(self, 0, sizeof *self);
    zsp_table_init(&self->by_ticket, seed);
    zsp_table_init(&self->by_session, seed);
}

void parked_set_fini(struct parked_set *self)
{
    size_t cursor = 0;
    void *session = NULL;
    while ((session = zsp_table_next(&self->by_session, &cursor))) {
        free(session);
    }
    zsp_table_fini(&self->by_ticket);
    zsp_table_fini(&self->by_session);
    self->first = self->last = NULL;
    self->count = 0;
}

static void time_is_over(struct engine *engine, struct timer *timer)
{
    struct parked *const self = CONTAINER_OF(timer, struct parked, timer);
    self->end_fn(engine, self, PARKED_TIMEOUT);
}

/* The session's list, made when it is not there. NULL = out of memory. */
static struct parked_session *open_session(struct parked_set *self, uint64_t id)
{
    struct parked_session *session = zsp_table_find(&self->by_session, number_key(&id));
    if (session) {
        return session;
    }
    session = calloc(1, sizeof *session);
    if (!session) {
        return NULL;
    }
    session->id = id;
    if (zsp_table_add(&self->by_session, number_key(&session->id), session)) {
        free(session);
        return NULL;
    }
    return session;
}

static void close_session(struct parked_set *self, struct parked_session *session)
{
    if (session && !session->first) {
        (void)zsp_table_remove(&self->by_session, number_key(&session->id));
        free(session);
    }
}

static void link_parked(struct parked_set *self, struct parked *parked)
{
    parked->next = NULL;
    parked->prev = self->last;
    *(self->last ? &self->last->next : &self->first) = parked;
    self->last = parked;
    self->count++;
    struct parked_session *const session = parked->session;
    if (session) {
        parked->session_next = NULL;
        parked->session_prev = session->last;
        *(session->last ? &session->last->session_next : &session->first) = parked;
        session->last = parked;
    }
}

static void unlink_parked(struct parked_set *self, struct parked *parked)
{
    *(parked->prev ? &parked->prev->next : &self->first) = parked->next;
    *(parked->next ? &parked->next->prev : &self->last) = parked->prev;
    self->count--;
    struct parked_session *const session = parked->session;
    if (session) {
        *(parked->session_prev ? &parked->session_prev->session_next : &session->first) =
            parked->session_next;
        *(parked->session_next ? &parked->session_next->session_prev : &session->last) =
            parked->session_prev;
    }
}

int parked_add(struct engine *engine, struct parked *parked, const struct reply_to *to,
               uint64_t wait_ms)
{
    struct parked_set *const self = &engine->parked;
    zsp_assert(!parked->is_parked);
    zsp_assert(parked->end_fn);
    parked->to = *to;
    parked->session = NULL;
    if (to->session != 0) {
        parked->session = open_session(self, to->session);
        if (!parked->session) {
            return ZSP_ENOMEM;
        }
    }
    if (zsp_table_add(&self->by_ticket, number_key(&parked->to.ticket), parked)) {
        close_session(self, parked->session);
        return ZSP_ENOMEM;
    }
    link_parked(self, parked);
    parked->is_parked = true;
    parked->timer.fire_fn = time_is_over;
    if (wait_ms > 0) {
        engine_arm(engine, TIMER_WAIT, &parked->timer, engine->clock.broker_ms + (int64_t)wait_ms);
    }
    return 0;
}

void parked_remove(struct engine *engine, struct parked *parked)
{
    struct parked_set *const self = &engine->parked;
    if (!parked->is_parked) {
        return;
    }
    engine_cancel(engine, TIMER_WAIT, &parked->timer);
    (void)zsp_table_remove(&self->by_ticket, number_key(&parked->to.ticket));
    unlink_parked(self, parked);
    close_session(self, parked->session);
    parked->session = NULL;
    parked->is_parked = false;
}

struct parked *parked_find(const struct engine *engine, uint64_t session, uint64_t id)
{
    const struct parked_session *const of =
        zsp_table_find(&engine->parked.by_session, number_key(&session));
    struct parked *parked = of ? of->first : NULL;
    while (parked && parked->to.id != id) {
        parked = parked->session_next; /* bounded: what a session may have unanswered */
    }
    return parked;
}

void parked_cancel(struct engine *engine, struct parked *parked)
{
    parked_remove(engine, parked);
    parked->end_fn(engine, parked, PARKED_CANCELLED);
}

void parked_cancel_session(struct engine *engine, uint64_t session)
{
    const struct parked_session *of = NULL;
    while ((of = zsp_table_find(&engine->parked.by_session, number_key(&session)))) {
        parked_cancel(engine, of->first);
    }
}

/* The answer of an abandoned request is not wanted by anyone. */
static void abandon(struct engine *engine, struct parked *parked)
{
    const struct reply_to to = parked->to;
    parked_remove(engine, parked);
    pending_close(&engine->pending, &to);
    parked->end_fn(engine, parked, PARKED_ABANDONED);
}

void parked_abandon_ticket(struct engine *engine, uint64_t ticket)
{
    struct parked *const parked = zsp_table_find(&engine->parked.by_ticket, number_key(&ticket));
    if (parked) {
        abandon(engine, parked);
    }
}

void parked_abandon_session(struct engine *engine, uint64_t session)
{
    struct parked_session *of = NULL;
    while ((of = zsp_table_find(&engine->parked.by_session, number_key(&session)))) {
        abandon(engine, of->first);
    }
}

void parked_drain(struct engine *engine)
{
    struct parked *next = NULL;
    for (struct parked *parked = engine->parked.first; parked; parked = next) {
        next = parked->next;
        engine_cancel(engine, TIMER_WAIT, &parked->timer);
        parked->end_fn(engine, parked, PARKED_DRAIN);
    }
}

void parked_fail_all(struct engine *engine)
{
    while (engine->parked.first) {
        struct parked *const parked = engine->parked.first;
        parked_remove(engine, parked);
        parked->end_fn(engine, parked, PARKED_FAILED);
    }
}
