/* SPDX-License-Identifier: MPL-2.0
 *
 * Sessions come, move and go:
 *
 *   HELLO              a new session takes the place of the connection's; with `resume` a known
 *                      one moves here, wherever it was
 *   connection gone    its session is detached: requests are abandoned, leases stay
 *   silence            a connection without a request for the session timeout is forgotten with its
 *                      session, a detached session too; one that asked for heartbeats and was silent
 *                      for three of them and a second loses its leases as well
 *   BYE                the engine hands the leases back, here the session ends
 *
 * Silence is measured in awake time, which stands still while the broker is late for its turns (a
 * slow sync, a machine that swaps): nobody is to blame for what it did not hear then. After a stall
 * nobody is silent before the socket was drained and a grace has passed, besides.
 *
 * The thread of libzmq that reads may be late as well, by seconds where many connections share a
 * busy machine, and we do not see by how much. But the kernel tells what it has not read: such a
 * session is excused. What the thread is just carrying from there to us is neither here nor there;
 * so that is looked at twice (session_judge).
 */
#include <inttypes.h>

#include "broker/server/now.h"
#include "broker/server/server_priv.h"
#include "common/container.h"

#define LOOKS_MAX 1024 /* connections looked at for an idle session */

static int64_t awake_ms(const struct server *self)
{
    return self->now.mono_ms - self->asleep_ms;
}

/* Move the timer to when something is due, at the earliest: a BEAT, or the end of patience. */
static void arm(struct server *self, struct session *session)
{
    int64_t due_ms = session_judge_ms(session, (int64_t)self->options.config->session_timeout_ms);
    due_ms += due_ms == INT64_MAX ? 0 : self->asleep_ms;
    due_ms = due_ms < self->grace_until_ms ? self->grace_until_ms : due_ms;
    if (session->connection && session->terms.heartbeat_ms > 0) {
        const int64_t beat_ms = session->connection->sent_ms + session->terms.heartbeat_ms;
        due_ms = beat_ms < due_ms ? beat_ms : due_ms;
    }
    if (due_ms == INT64_MAX) {
        timers_cancel(&self->sessions.timers, &session->timer);
    } else {
        timers_arm(&self->sessions.timers, &session->timer, due_ms);
    }
}

/* The engine was told, or knows. */
static void forget(struct server *self, struct session *session)
{
    if (session->connection) {
        session->connection->session = NULL;
    }
    session_end(&self->sessions, session);
}

static void end(struct server *self, struct session *session, enum engine_session_end why)
{
    if (session->connection) {
        deliver_drop_calls(self, session->connection);
    }
    engine_session_end(self->options.engine, self->now, session->number, why);
    forget(self, session);
}

void attach_bye(struct server *self, struct connection *connection)
{
    if (connection->session) {
        forget(self, connection->session);
    }
}

void attach_detach(struct server *self, struct connection *connection, bool is_waiting)
{
    struct session *const session = connection->session;
    if (!session) {
        return;
    }
    connection->session = NULL;
    session_detach(&self->sessions, session);
    if (is_waiting && session->terms.heartbeat_ms == 0) {
        session->heard_ms = awake_ms(self); /* who waits for an answer is not silent */
    }
    arm(self, session);
}

/* --- HELLO --------------------------------------------------------------------------------- */

/* Make room for one more session. */
static bool make_room(struct server *self)
{
    if (self->sessions.detached_first) {
        end(self, self->sessions.detached_first, ENGINE_SESSION_OVER);
        return true;
    }
    /* Its connection may be gone long since, which ZeroMQ does not tell. */
    struct connection *connection = self->connections.oldest;
    for (unsigned i = 0; connection && i < LOOKS_MAX; i++) {
        if (connection->session && !connection->calls) {
            end(self, connection->session, ENGINE_SESSION_OVER);
            return true;
        }
        connection = connection->newer;
    }
    return false;
}

/* Take a session to this connection, away from where it was. */
static void move(struct server *self, struct session *session, struct connection *connection)
{
    if (session->connection) {
        struct connection *const from = session->connection;
        deliver_drop_calls(self, from);
        attach_detach(self, from, false);
    }
    if (connection->session) {
        end(self, connection->session, ENGINE_SESSION_OVER);
    }
    session_attach(&self->sessions, session, connection);
    self->figures.sessions_resumed++;
}

/* NULL: ZSP_ELIMIT_REACHED, ZSP_EIO */
static struct session *begin(struct server *self, struct connection *connection,
                             uint64_t request_id, struct zsp_err *err)
{
    uint8_t id[SESSION_ID_BYTES];
    if (now_random_bytes(id, sizeof id, err) < 0) {
        return NULL;
    }
    if (connection->session) {
        end(self, connection->session, ENGINE_SESSION_OVER);
    }
    if (self->sessions.count >= self->options.config->sessions && !make_room(self)) {
        (void)zsp_err_set_about(err, ZSP_ELIMIT_REACHED, "sessions",
                                "%zu sessions are open and at work", self->sessions.count);
        return NULL;
    }
    struct session *session = session_new(&self->sessions, id, connection, request_id);
    if (!session) {
        (void)zsp_err_set_about(err, ZSP_ELIMIT_REACHED, "broker", "the broker is out of memory");
    }
    return session;
}

int attach_hello(struct server *self, struct connection *connection, const struct hello_args *args,
                 uint64_t request_id, struct zsp_err *err)
{
    struct session *session =
        args->resume.data ? session_find(&self->sessions, args->resume) : NULL;
    const bool is_resumed = session != NULL;
    if (is_resumed) {
        move(self, session, connection);
    } else {
        session = begin(self, connection, request_id, err);
    }
    if (!session) {
        return err->code;
    }
    connection->session = session;
    session->terms = args->terms;
    engine_session_name(self->options.engine, session->number, args->name);
    session->heard_ms = awake_ms(self);
    arm(self, session);
    return is_resumed ? 1 : ZSP_OK;
}

/* --- Time ----------------------------------------------------------------------------------- */

void attach_heard(struct server *self, struct connection *connection)
{
    connection_table_touch(&self->connections, connection, self->now.mono_ms);
    if (connection->session) {
        connection->session->heard_ms = awake_ms(self);
    }
}

/* May silence be judged? */
static bool may_judge(const struct server *self)
{
    return !self->has_more_messages && self->now.mono_ms >= self->grace_until_ms;
}

/* May something of it have arrived that we have not seen? */
static bool may_be_hidden(const struct server *self, const struct session *session)
{
    return self->has_more_messages ||
           (session->connection && inbound_is_behind(session->connection->fd));
}

static void silent(struct server *self, struct session *session)
{
    const bool had_promised = session->terms.heartbeat_ms > 0;
    zsp_diag(self->options.diag, had_promised ? ZSP_INFO : ZSP_DEBUG,
             "session %" PRIu64 ": silent for %" PRId64 " ms, ended", session->number,
             awake_ms(self) - session->heard_ms);
    self->figures.sessions_silent += had_promised ? 1u : 0u;
    end(self, session, had_promised ? ENGINE_SESSION_SILENT : ENGINE_SESSION_OVER);
}

static void beat(struct server *self, struct session *session)
{
    struct connection *const connection = session->connection;
    static const struct envelope none = {0};
    connection->sent_ms = self->now.mono_ms; /* also when the peer takes nothing now */
    if (connection->queue) {
        return; /* it has enough to read */
    }
    self->figures.beats_sent++;
    zsp_writer_reset(&self->writer);
    hello_beat(&self->writer, self->now.wall_ms);
    deliver_header(self, (struct deliver_to){.connection = connection, .envelope = &none},
                   zsp_writer_slice(&self->writer)); /* it may find the connection gone */
}

/* A session's timer has fired. */
static void look(struct server *self, struct session *session)
{
    const int64_t now_ms = self->now.mono_ms;
    const int64_t timeout_ms = (int64_t)self->options.config->session_timeout_ms;
    if (now_ms >= self->grace_until_ms && awake_ms(self) >= session_judge_ms(session, timeout_ms) &&
        session_judge(session, timeout_ms, awake_ms(self), may_be_hidden(self, session))) {
        silent(self, session);
        return;
    }
    if (session->connection && session->terms.heartbeat_ms > 0 &&
        now_ms >= session->connection->sent_ms + session->terms.heartbeat_ms) {
        beat(self, session);
    }
    arm(self, session);
}

static void expire_sessions(struct server *self)
{
    struct timer *timer = NULL;
    while ((timer = timers_pop(&self->sessions.timers, self->now.mono_ms))) {
        look(self, CONTAINER_OF(timer, struct session, timer));
    }
}

/* The engine still owes it an answer, or it has a clock of its own: not silent. */
static bool is_excused(const struct connection *connection)
{
    return (connection->calls && !connection->queue) ||
           (connection->session && connection->session->terms.heartbeat_ms > 0);
}

static void expire_connections(struct server *self)
{
    const int64_t timeout_ms = (int64_t)self->options.config->session_timeout_ms;
    struct connection *connection = self->connections.oldest;
    while (connection && self->now.mono_ms - connection->heard_ms >= timeout_ms) {
        if (is_excused(connection)) {
            connection_table_touch(&self->connections, connection, self->now.mono_ms);
        } else {
            if (connection->session) {
                silent(self, connection->session);
            }
            deliver_gone(self, connection);
        }
        connection = self->connections.oldest;
    }
}

void attach_expire(struct server *self)
{
    expire_sessions(self);
    if (may_judge(self)) {
        expire_connections(self);
    }
}

int64_t attach_deadline_ms(const struct server *self)
{
    int64_t deadline_ms = timers_next_ms(&self->sessions.timers);
    if (self->connections.oldest) {
        int64_t silent_ms =
            self->connections.oldest->heard_ms + (int64_t)self->options.config->session_timeout_ms;
        silent_ms = silent_ms > self->grace_until_ms ? silent_ms : self->grace_until_ms;
        deadline_ms = silent_ms < deadline_ms ? silent_ms : deadline_ms;
    }
    return deadline_ms;
}
