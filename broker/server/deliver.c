/* SPDX-License-Identifier: MPL-2.0
 *
 * From the engine to the socket. A reply is built once and handed to libzmq
 * without waiting:
 *
 *   sent             its call is done, credit goes back
 *   the peer is full it waits in the connection's queue and is tried again every
 *                    RETRY_MS, whole; its call holds its credit meanwhile
 *   the peer is gone so is the connection: open requests are abandoned, leases that
 *                    were on their way end early, its session is detached
 *
 * What a connection does not take is bounded: the queue by its credit (a reply
 * that belongs to no accepted request is dropped when the queue is not empty),
 * the bytes by the room that was reserved before anything was read (reply_room.h). A body
 * larger than that, as a first message may be, is replaced by over_credit when it does
 * not fit.
 */
#include <inttypes.h>

#include "broker/server/server_priv.h"

#define RETRY_MS        10    /* libzmq does not tell when a single peer takes messages again */
#define RETRY_MAX       256   /* connections tried at a time */
#define TELL_DROPPED_MS 10000 /* a line about dropped refusals comes no more often */

/* --- The end of calls and connections --------------------------------------------------- */

void deliver_call_done(struct server *self, struct call *call)
{
    struct connection *const connection = call->connection;
    reply_room_release(&connection->room, &self->replies, &call->room);
    credit_give(&connection->credit, &self->pool, call->share);
    connection_remove_call(connection, call);
    call_table_remove(&self->calls, call);
}

/* All calls that one message answers. */
static void calls_done(struct server *self, struct call *first)
{
    struct call *next = NULL;
    for (struct call *call = first; call; call = next) {
        next = call->bundle_next;
        deliver_call_done(self, call);
    }
}

/* What a message answered for good. */
static void outgoing_done(struct server *self, const struct outgoing *outgoing)
{
    if (!outgoing->more) {
        calls_done(self, outgoing->call);
    }
}

/* A reply that will not arrive: its lease ends early. */
static void undelivered(struct server *self, struct outgoing *outgoing)
{
    const uint64_t lease = outgoing->lease;
    outgoing_done(self, outgoing);
    outgoing_destroy(&outgoing);
    if (lease != 0) {
        engine_undelivered(self->options.engine, self->now, lease);
    }
}

static void abandon(struct server *self, struct call *call)
{
    engine_abandon(self->options.engine, self->now, call->ticket);
    deliver_call_done(self, call);
}

void deliver_drop_calls(struct server *self, struct connection *connection)
{
    bundle_drop(connection); /* of calls with ids */
    /* The queue turns once: what stays is put behind it again. */
    for (size_t left = connection->queue_count; left > 0; left--) {
        struct outgoing *const queued = connection_unqueue(connection);
        if (queued->call->id > 0) {
            undelivered(self, queued);
        } else {
            connection_queue(&self->connections, connection, queued);
        }
    }
    if (!connection->queue) {
        connection_unstick(&self->connections, connection);
    }
    struct call *next = NULL;
    for (struct call *call = connection->calls; call; call = next) {
        next = call->next;
        if (call->id > 0) {
            abandon(self, call);
        }
    }
}

void deliver_gone(struct server *self, struct connection *connection)
{
    const bool is_waiting = connection->calls != NULL;
    struct outgoing *queued = NULL;
    while ((queued = connection_unqueue(connection))) {
        undelivered(self, queued);
    }
    bundle_drop(connection);
    while (connection->calls) {
        abandon(self, connection->calls);
    }
    attach_detach(self, connection, is_waiting);
    zsp_diag(self->options.diag, ZSP_DEBUG, "connection %" PRIu64 ": gone", connection->number);
    connection_table_remove(&self->connections, connection);
}

/* --- Sending ------------------------------------------------------------------------------ */

/* Hand a reply over, taking it; the connection may be gone afterwards. */
static void deliver(struct server *self, struct connection *connection, struct outgoing *outgoing)
{
    if (connection->bundled && !bundle_flush(self, connection)) {
        outgoing->call = NULL; /* gone with the connection */
        undelivered(self, outgoing);
        return;
    }
    enum outgoing_result result = OUTGOING_FULL;
    if (!connection->queue) {
        result = outgoing_send(outgoing, self->socket, connection->routing_id);
    }
    switch (result) {
    case OUTGOING_SENT:
        outgoing_done(self, outgoing);
        outgoing_destroy(&outgoing);
        connection->sent_ms = self->now.mono_ms;
        connection_table_touch(&self->connections, connection, self->now.mono_ms);
        return;
    case OUTGOING_FULL:
        if (outgoing->call) {
            connection_queue(&self->connections, connection, outgoing);
        } else {
            self->dropped_count++;
            outgoing_destroy(&outgoing);
        }
        return;
    case OUTGOING_GONE:
        undelivered(self, outgoing);
        deliver_gone(self, connection);
        return;
    }
}

/* Send what has waited, until the peer is full again. */
static void send_queue(struct server *self, struct connection *connection)
{
    while (connection->queue) {
        struct outgoing *outgoing = connection->queue;
        switch (outgoing_send(outgoing, self->socket, connection->routing_id)) {
        case OUTGOING_SENT:
            outgoing = connection_unqueue(connection);
            connection->sent_ms = self->now.mono_ms;
            outgoing_done(self, outgoing);
            outgoing_destroy(&outgoing);
            break;
        case OUTGOING_FULL:
            connection_stick(&self->connections, connection);
            return;
        case OUTGOING_GONE:
            deliver_gone(self, connection);
            return;
        }
    }
    connection_unstick(&self->connections, connection);
}

/* Tell of refusals that were dropped, now and then. */
static void tell_dropped(struct server *self)
{
    if (self->dropped_count == self->dropped_told || self->now.mono_ms < self->tell_ms) {
        return;
    }
    zsp_diag(self->options.diag, ZSP_WARNING,
             "%" PRIu64 " refusals dropped: their peers do not read",
             self->dropped_count - self->dropped_told);
    self->dropped_told = self->dropped_count;
    self->tell_ms = self->now.mono_ms + TELL_DROPPED_MS;
}

void deliver_retry(struct server *self)
{
    tell_dropped(self);
    if (!self->connections.stuck || self->now.mono_ms < self->retry_ms) {
        return;
    }
    self->retry_ms = self->now.mono_ms + RETRY_MS;
    /* One that stays full goes to the end of the list, the others leave it. */
    const size_t stuck = self->connections.stuck_count;
    for (size_t i = 0; i < stuck && i < RETRY_MAX; i++) {
        send_queue(self, self->connections.stuck);
    }
}

int64_t deliver_deadline_ms(const struct server *self)
{
    return self->connections.stuck ? self->retry_ms : INT64_MAX;
}

/* --- What is sent --------------------------------------------------------------------------- */

void deliver_header(struct server *self, struct deliver_to to, struct zsp_slice header)
{
    struct zsp_buf *buf = zsp_buf_copy(header);
    struct outgoing *outgoing = NULL;
    if (buf) {
        outgoing =
            outgoing_new(to.envelope, buf, (struct outgoing_body){0}, to.connection->room.outflow);
        zsp_buf_put(&buf);
    }
    if (!outgoing) {
        self->dropped_count++;
        calls_done(self, to.call);
        return;
    }
    outgoing->call = to.call;
    deliver(self, to.connection, outgoing);
}

void deliver_error(struct server *self, struct deliver_to to, bool has_id, uint64_t id,
                   const struct zsp_err *error)
{
    zsp_writer_reset(&self->writer);
    wire_write_error(&self->writer, has_id, id, error);
    deliver_header(self, to, zsp_writer_slice(&self->writer));
}

/* Instead of a body that the peer would not read, or that found no memory. */
static void refuse_reply(struct server *self, struct call *call)
{
    struct zsp_err error = {0};
    self->figures.over_credit++;
    (void)zsp_err_set_about(&error, ZSP_EOVER_CREDIT, "connection",
                            "the connection does not read its replies: %" PRIu64 " bytes wait",
                            outflow_bytes(call->connection->room.outflow));
    const struct deliver_to to = {
        .connection = call->connection, .call = call, .envelope = &call->envelope};
    deliver_error(self, to, true, call->id, &error);
}

/* The frames of a reply; NULL when the connection leaves too much unread, or
 * without memory. */
static struct outgoing *build(struct server *self, struct call *call,
                              const struct engine_effect *effect)
{
    struct reply_room *const room = &call->connection->room;
    struct outflow *const flow = room->outflow;
    uint64_t bytes = 0;
    for (size_t i = 0; i < effect->part_count; i++) {
        bytes += effect->parts[i].len;
    }
    self->turn_bytes += bytes;
    const bool is_reserved = bytes <= call->room;
    if (effect->more && is_reserved) {
        reply_room_spend(room, &self->replies, &call->room, bytes);
    } else {
        reply_room_release(room, &self->replies, &call->room);
    }
    if (!is_reserved && !reply_room_fits(room, &self->replies, bytes)) {
        return NULL;
    }
    const struct outgoing_body body = {.parts = effect->parts, .part_count = effect->part_count};
    struct outgoing *const outgoing = outgoing_new(&call->envelope, effect->header, body, flow);
    if (outgoing) {
        outgoing->call = call;
        outgoing->lease = effect->lease;
        outgoing->more = effect->more;
    }
    return outgoing;
}

static void deliver_reply(struct server *self, struct engine_effect *effect)
{
    struct call *const call = call_table_find(&self->calls, effect->ticket);
    if (call && bundle_add(self, call, effect)) {
        engine_effect_release(effect);
        return;
    }
    struct outgoing *const outgoing = call ? build(self, call, effect) : NULL;
    const uint64_t lease = effect->lease;
    const uint64_t ticket = effect->ticket;
    const bool more = effect->more;
    /* Here, because the engine lends the parts until the next call on it. */
    engine_effect_release(effect);
    if (outgoing) {
        deliver(self, call->connection, outgoing);
        return;
    }
    if (lease != 0) {
        engine_undelivered(self->options.engine, self->now, lease);
    }
    if (call && more) {
        engine_abandon(self->options.engine, self->now, ticket); /* no part is left out */
    }
    if (call) {
        refuse_reply(self, call);
    }
}

void deliver_effects(struct server *self)
{
    struct engine_effect effect;
    while (engine_next_effect(self->options.engine, &effect)) {
        switch (effect.kind) {
        case EFFECT_REPLY:
            deliver_reply(self, &effect);
            break;
        case EFFECT_FAIL_STOP:
            self->failure = effect.error;
            self->state = SERVER_STOPPING;
            break;
        }
        engine_effect_release(&effect);
    }
    bundle_flush_all(self);
}
