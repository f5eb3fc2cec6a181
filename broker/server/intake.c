/* SPDX-License-Identifier: MPL-2.0
 *
 * From the socket to the engine. A message is a routing id, perhaps an envelope,
 * a header, and bodies. It goes through these checks in order, and the first
 * that fails is answered:
 *
 *   1. the header can be read              else ERR, id nil if even that is unknown
 *   2. number and size of the frames
 *   3. the session allows the request id
 *   4. credit                              taken here, given back with the reply
 *
 * HELLO and PING are answered on the spot, everything else is the engine's; a BYE ends the
 * session as well.
 */
#include <inttypes.h>

#include "broker/server/now.h"
#include "broker/server/server_priv.h"

#define TURN_MESSAGES_MAX \
    1024u                              /* taken before the engine gets its turn; a batch of many
                                           * counts as a message */
#define TURN_BYTES_MAX (64u * ZSP_MIB) /* likewise */
#define TURN_WORK_MAX  (16u * ZSP_MIB) /* likewise, see engine_work_bytes() */

/* One message being taken. */
struct arrival {
    struct server *server;
    struct connection *connection;
    struct inbound *message;
    struct envelope envelope; /* moves into the call when accepted */
    size_t header_index;      /* among the frames; kept = there is no header */
    struct wire_request request;
};

static struct deliver_to reply_to(const struct arrival *self)
{
    return (struct deliver_to){.connection = self->connection, .envelope = &self->envelope};
}

static void refuse(const struct arrival *self, const struct zsp_err *error)
{
    self->server->figures.over_credit += error->code == ZSP_EOVER_CREDIT ? 1u : 0u;
    zsp_diag(self->server->options.diag, ZSP_DEBUG, "connection %" PRIu64 ": %s: %s",
             self->connection->number, zsp_err_wire_name(error->code), error->msg);
    deliver_error(self->server, reply_to(self), self->request.has_id, self->request.id, error);
}

/* --- The checks ----------------------------------------------------------------------- */

static int read_header(struct arrival *self, struct zsp_err *err)
{
    const struct inbound *const message = self->message;
    if (self->header_index >= message->kept) {
        return zsp_err_set_about(err, ZSP_EBAD_REQUEST, "header",
                                 "an envelope without a header behind it");
    }
    return wire_request_decode(self->server->decoder, message->slices[self->header_index],
                               &self->request, err);
}

static int check_frames(const struct arrival *self, struct zsp_err *err)
{
    const struct inbound *const message = self->message;
    if (message->frame_count > ZSP_MESSAGE_FRAMES_MAX) {
        zsp_err_set(err, ZSP_ETOO_LARGE, "%" PRIu64 " frames, at most %u are read",
                    message->frame_count, ZSP_MESSAGE_FRAMES_MAX);
        zsp_err_detail_range(err, "frames", 1, ZSP_MESSAGE_FRAMES_MAX, message->frame_count);
        return ZSP_ETOO_LARGE;
    }
    for (size_t i = self->header_index + 1; i < message->kept; i++) {
        const size_t len = message->slices[i].len;
        const size_t body = i - self->header_index;
        if (len == 0) {
            return zsp_err_set_about(err, ZSP_EBAD_REQUEST, "body", "body frame %zu is empty",
                                     body);
        }
        if (len > ZSP_FRAME_MAX) {
            zsp_err_set(err, ZSP_ETOO_LARGE, "body frame %zu has %zu bytes, at most %u", body, len,
                        ZSP_FRAME_MAX);
            zsp_err_detail_range(err, "body", 1, ZSP_FRAME_MAX, len);
            return ZSP_ETOO_LARGE;
        }
    }
    return ZSP_OK;
}

/* --- The server's own verbs ------------------------------------------------------------- */

static int check_no_bodies(const struct arrival *self, struct zsp_err *err)
{
    const size_t bodies = self->message->kept - self->header_index - 1;
    if (bodies > 0) {
        zsp_err_set(err, ZSP_EBAD_REQUEST, "%.*s takes no body, %zu frames came",
                    (int)self->request.verb.len, (const char *)self->request.verb.data, bodies);
        zsp_err_detail_range(err, "body", 0, 0, bodies);
        return ZSP_EBAD_REQUEST;
    }
    return ZSP_OK;
}

/* May this connection begin a session now? */
static int check_hello(const struct arrival *self, struct zsp_err *err)
{
    struct server *const server = self->server;
    const struct connection *const connection = self->connection;
    if (connection->routing_id.data[0] != 0) {
        return zsp_err_set_about(err, ZSP_EBAD_REQUEST, "connection",
                                 "no session for a socket that sets its own routing id");
    }
    if (connection->calls) {
        return zsp_err_set_about(err, ZSP_EBAD_REQUEST, "HELLO",
                                 "HELLO while requests are unanswered");
    }
    if (server->state != SERVER_SERVING) {
        return zsp_err_set(err, ZSP_ESHUTTING_DOWN, "the broker is stopping");
    }
    return ZSP_OK;
}

static int answer_hello(const struct arrival *self, struct zsp_err *err)
{
    struct server *const server = self->server;
    struct hello_args args = {0};
    int rc = check_hello(self, err);
    if (rc == ZSP_OK) {
        rc = hello_read(self->request.args, &args, err);
    }
    if (rc == ZSP_OK) {
        rc = attach_hello(server, self->connection, &args, self->request.id, err);
    }
    if (rc < 0) {
        return rc;
    }
    self->connection->fd = inbound_fd(self->message);
    const struct session *const session = self->connection->session;
    const bool is_resumed = rc > 0;
    zsp_diag(server->options.diag, ZSP_DEBUG, "connection %" PRIu64 ": session %" PRIu64 "%s, %.*s",
             self->connection->number, session->number, is_resumed ? " resumed" : "",
             (int)args.client.len, args.client.data ? (const char *)args.client.data : "");
    zsp_writer_reset(&server->writer);
    hello_write(&server->writer, &(struct hello_reply){.id = self->request.id,
                                                       .instance = server->instance,
                                                       .session = session,
                                                       .is_resumed = is_resumed,
                                                       .knows_zstd = args.knows_zstd,
                                                       .config = server->options.config,
                                                       .now_ms = server->now.wall_ms});
    deliver_header(server, reply_to(self), zsp_writer_slice(&server->writer));
    return ZSP_OK;
}

static int answer_ping(const struct arrival *self, struct zsp_err *err)
{
    struct server *const server = self->server;
    zsp_writer_reset(&server->writer);
    const int rc =
        hello_ping(&server->writer, self->request.id, self->request.args, server->now.wall_ms, err);
    if (rc == ZSP_OK) {
        deliver_header(server, reply_to(self), zsp_writer_slice(&server->writer));
    }
    return rc;
}

/* --- To the engine ------------------------------------------------------------------------ */

/* The bodies as shared buffers. On an error none is left. */
static int take_bodies(struct arrival *self, struct zsp_buf **bodies, size_t *ret_count,
                       struct zsp_err *err)
{
    size_t count = 0;
    for (size_t i = self->header_index + 1; i < self->message->kept; i++) {
        bodies[count] = inbound_take_frame(self->message, i);
        if (!bodies[count]) {
            while (count > 0) {
                count--;
                zsp_buf_put(&bodies[count]);
            }
            return zsp_err_set_about(err, ZSP_ELIMIT_REACHED, "broker",
                                     "the broker is out of memory");
        }
        count++;
    }
    *ret_count = count;
    return ZSP_OK;
}

/* Take credit and remember whom to answer. NULL = refused, see `err`. */
static struct call *accept_call(struct arrival *self, struct zsp_err *err)
{
    struct server *const server = self->server;
    const uint32_t batches = engine_request_batches(self->request.verb, self->request.args);
    const struct credit_share share = {
        .bytes = self->message->bytes + (uint64_t)batches * ZSP_BATCH_BYTES,
        .has_bodies = self->message->kept > self->header_index + 1,
    };
    if (!reply_room_admits(&self->connection->room, &server->replies)) {
        (void)zsp_err_set_about(err, ZSP_EOVER_CREDIT, "connection",
                                "%" PRIu64 " bytes of replies are unread",
                                outflow_bytes(self->connection->room.outflow));
        return NULL;
    }
    if (credit_take(&self->connection->credit, &server->pool, share, err) < 0) {
        return NULL;
    }
    struct call *const call = call_table_add(&server->calls);
    if (!call) {
        credit_give(&self->connection->credit, &server->pool, share);
        (void)zsp_err_set_about(err, ZSP_ELIMIT_REACHED, "broker", "the broker is out of memory");
        return NULL;
    }
    call->envelope = self->envelope;
    self->envelope = (struct envelope){0};
    call->id = self->request.id;
    call->share = share;
    server->turn_batches += batches;
    connection_add_call(self->connection, call);
    return call;
}

static int forward(struct arrival *self, struct zsp_err *err)
{
    struct server *const server = self->server;
    struct zsp_buf *bodies[ZSP_MESSAGE_FRAMES_MAX];
    size_t body_count = 0;
    const int rc = take_bodies(self, bodies, &body_count, err);
    if (rc < 0) {
        return rc;
    }
    const struct call *const call = accept_call(self, err);
    if (call) {
        const struct engine_request request = {
            .ticket = call->ticket,
            .session = call->id == 0 ? 0 : self->connection->session->number,
            .id = call->id,
            .verb = self->request.verb,
            .args = self->request.args,
            .bodies = bodies,
            .body_count = body_count,
        };
        engine_request(server->options.engine, server->now, &request);
    }
    for (size_t i = 0; i < body_count; i++) {
        zsp_buf_put(&bodies[i]);
    }
    return call ? ZSP_OK : err->code;
}

/* The engine answers; what it is about ends here. */
static int forward_bye(struct arrival *self, struct zsp_err *err)
{
    int rc = hello_bye(self->request.args, err);
    if (rc == ZSP_OK) {
        rc = forward(self, err);
    }
    /* A broker that stops refuses: then the session stays, too. */
    if (rc == ZSP_OK && self->request.id > 0 && self->server->state == SERVER_SERVING) {
        attach_bye(self->server, self->connection);
    }
    return rc;
}

static int dispatch(struct arrival *self, enum hello_verb verb, struct zsp_err *err)
{
    const int rc = verb == HELLO_NONE ? ZSP_OK : check_no_bodies(self, err);
    if (rc < 0) {
        return rc;
    }
    switch (verb) {
    case HELLO_HELLO:
        return answer_hello(self, err);
    case HELLO_PING:
        return answer_ping(self, err);
    case HELLO_BYE:
        return forward_bye(self, err);
    case HELLO_NONE:
        break;
    }
    return forward(self, err);
}

/* --- One message ---------------------------------------------------------------------------- */

static int take(struct arrival *self, struct zsp_err *err)
{
    int rc = read_header(self, err);
    if (rc == ZSP_OK) {
        rc = check_frames(self, err);
    }
    if (rc < 0) {
        return rc;
    }
    const enum hello_verb verb = hello_verb(self->request.verb);
    if (verb != HELLO_HELLO) {
        rc = session_admit(self->connection->session, self->request.id, err);
        if (rc < 0) {
            return rc;
        }
    }
    return dispatch(self, verb, err);
}

static void take_message(struct server *self, struct inbound *message)
{
    if (message->frame_count == 1 && message->slices[0].len == 0) {
        return; /* what PROBE_ROUTER sends when it connects */
    }
    const struct zsp_slice routing_id = {message->routing_id, message->routing_id_len};
    struct connection *const connection =
        connection_table_get(&self->connections, routing_id, self->now.mono_ms);
    if (!connection) {
        self->dropped_count++;
        return; /* out of memory: not even a reply can be kept */
    }
    attach_heard(self, connection);
    struct arrival arrival = {.server = self, .connection = connection, .message = message};
    struct zsp_err error = {0};
    const size_t envelope_frames = envelope_length(message->slices, message->kept);
    arrival.header_index = envelope_frames;
    int rc = envelope_copy(&arrival.envelope, message->slices, envelope_frames, &error);
    if (rc == ZSP_OK) {
        rc = take(&arrival, &error);
    }
    if (rc < 0) {
        refuse(&arrival, &error);
    }
    envelope_fini(&arrival.envelope);
}

int intake(struct server *self, bool *ret_more, struct zsp_err *err)
{
    const struct engine *const engine = self->options.engine;
    const uint64_t work_before = engine_work_bytes(engine);
    uint64_t bytes = 0;
    self->turn_batches = 0;
    for (uint64_t i = 0; i + self->turn_batches < TURN_MESSAGES_MAX && bytes < TURN_BYTES_MAX;
         i++) {
        const int rc = inbound_receive(&self->message, self->socket, err);
        if (rc == ZSP_EAGAIN) {
            *ret_more = false;
            return ZSP_OK;
        }
        if (rc < 0) {
            return rc;
        }
        bytes += self->message.bytes;
        take_message(self, &self->message);
        inbound_clear(&self->message);
        if (engine_work_bytes(engine) - work_before > TURN_WORK_MAX) {
            break;
        }
    }
    *ret_more = true;
    return ZSP_OK;
}
