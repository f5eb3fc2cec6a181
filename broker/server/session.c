/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/server/session.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/assert.h"

static struct zsp_slice key_of(const struct session *session)
{
    return (struct zsp_slice){session->id, SESSION_ID_BYTES};
}

void session_table_init(struct session_table *self, uint64_t seed)
{
    *self = (struct session_table){0};
    zsp_table_init(&self->by_id, seed);
}

void session_table_fini(struct session_table *self)
{
    while (self->detached_first) {
        session_end(self, self->detached_first);
    }
    zsp_assert(self->count == 0);
    zsp_table_fini(&self->by_id);
}

/* The heap wants one; the server takes timers off it and looks itself. */
static void fired(struct engine *engine, struct timer *timer)
{
    (void)engine;
    (void)timer;
    const bool called = true;
    zsp_assert(!called);
}

struct session *session_new(struct session_table *self, const uint8_t id[SESSION_ID_BYTES],
                            struct connection *connection, uint64_t first_request_id)
{
    zsp_assert(connection);
    struct session *session = calloc(1, sizeof *session);
    if (!session) {
        return NULL;
    }
    memcpy(session->id, id, SESSION_ID_BYTES);
    if (zsp_table_add(&self->by_id, key_of(session), session) < 0) {
        free(session);
        return NULL;
    }
    self->last_number++;
    self->count++;
    session->number = self->last_number;
    session->connection = connection;
    session->timer.fire_fn = fired;
    session->last_request_id = first_request_id;
    return session;
}

struct session *session_find(const struct session_table *self, struct zsp_slice id)
{
    return zsp_table_find(&self->by_id, id);
}

static void leave_detached(struct session_table *self, struct session *session)
{
    *(session->earlier ? &session->earlier->later : &self->detached_first) = session->later;
    *(session->later ? &session->later->earlier : &self->detached_last) = session->earlier;
    session->earlier = NULL;
    session->later = NULL;
    self->detached_count--;
}

void session_attach(struct session_table *self, struct session *session,
                    struct connection *connection)
{
    zsp_assert(!session->connection);
    leave_detached(self, session);
    session->connection = connection;
    session->last_request_id = 0;
}

void session_detach(struct session_table *self, struct session *session)
{
    zsp_assert(session->connection);
    session->connection = NULL;
    session->later = NULL;
    session->earlier = self->detached_last;
    *(self->detached_last ? &self->detached_last->later : &self->detached_first) = session;
    self->detached_last = session;
    self->detached_count++;
}

void session_end(struct session_table *self, struct session *session)
{
    if (!session->connection) {
        leave_detached(self, session);
    }
    timers_cancel(&self->timers, &session->timer);
    (void)zsp_table_remove(&self->by_id, key_of(session));
    self->count--;
    free(session);
}

int64_t session_judge_ms(const struct session *self, int64_t timeout_ms)
{
    if (self->looked_ms > self->heard_ms) {
        return self->looked_ms + SESSION_DOUBT_MS;
    }
    if (self->terms.heartbeat_ms > 0) {
        return self->heard_ms + SESSION_SILENCES * self->terms.heartbeat_ms;
    }
    return self->connection ? INT64_MAX : self->heard_ms + timeout_ms;
}

bool session_judge(struct session *self, int64_t timeout_ms, int64_t awake_ms, bool may_be_hidden)
{
    const int64_t patience_ms = SESSION_SILENCES * self->terms.heartbeat_ms + timeout_ms;
    const bool is_excused = may_be_hidden && awake_ms - self->heard_ms < patience_ms;
    const bool was_doubted = self->looked_ms > self->heard_ms && self->is_doubted;
    self->looked_ms = awake_ms;
    self->is_doubted = !is_excused;
    return was_doubted && !is_excused;
}

int session_admit(struct session *self, uint64_t request_id, struct zsp_err *err)
{
    if (request_id == 0) {
        return ZSP_OK;
    }
    if (!self) {
        return zsp_err_set_about(err, ZSP_EHELLO_REQUIRED, "request id",
                                 "request id %" PRIu64 " needs a HELLO on this connection",
                                 request_id);
    }
    if (request_id <= self->last_request_id) {
        zsp_err_set(err, ZSP_EBAD_REQUEST,
                    "request id %" PRIu64 " does not follow %" PRIu64
                    ": the ids of a session increase",
                    request_id, self->last_request_id);
        zsp_err_detail_range(err, "request id", self->last_request_id + 1, INT64_MAX, request_id);
        return ZSP_EBAD_REQUEST;
    }
    self->last_request_id = request_id;
    return ZSP_OK;
}
