/* SPDX-License-Identifier: MPL-2.0 */
#include <stdlib.h>

#include "client/src/link/link_priv.h"

#define REPLY_FRAMES_MAX (ZSP_RUNS_MAX + 1u)

static void close_frames(struct zsp_link *self)
{
    for (size_t i = 0; i < self->frame_count; i++) {
        (void)zmq_msg_close(&self->frames[i]);
    }
    self->frame_count = 0;
}

static bool more_frames(struct zsp_link *self)
{
    if (self->frame_count < self->frame_capacity) {
        return true;
    }
    if (self->frame_count >= REPLY_FRAMES_MAX) {
        return false;
    }
    const size_t capacity = self->frame_capacity == 0 ? 16 : self->frame_capacity * 2;
    zmq_msg_t *frames = realloc(self->frames, capacity * sizeof *frames);
    if (!frames) {
        return false;
    }
    self->frames = frames;
    self->frame_capacity = capacity;
    return true;
}

/* Take one whole message: 0, 1 = there is none, or ZSP_ENOMEM (also: too many
 * frames), after which the connection is of no use. */
static int receive(struct zsp_link *self, zmq_msg_t *ret_header)
{
    if (zmq_msg_recv(ret_header, self->dealer.socket, ZMQ_DONTWAIT) < 0) {
        return 1;
    }
    int more = zmq_msg_more(ret_header);
    while (more) {
        if (!more_frames(self)) {
            return ZSP_ENOMEM;
        }
        zmq_msg_t *frame = &self->frames[self->frame_count];
        (void)zmq_msg_init(frame); /* cannot fail */
        self->frame_count++;
        if (zmq_msg_recv(frame, self->dealer.socket, ZMQ_DONTWAIT) < 0) {
            return ZSP_ENOMEM; /* messages are atomic: this does not happen */
        }
        more = zmq_msg_more(frame);
    }
    return 0;
}

static void hand_over(struct zsp_link *self, const struct wire_reply *reply, int64_t now_ms)
{
    struct zsp_request *request = zsp_pending_take(&self->pending, reply->id);
    if (!request) {
        return; /* nobody waits for it */
    }
    self->pending_bytes -= request->bytes;
    struct zsp_err err = {0};
    struct zsp_answer answer = {.now_ms = now_ms};
    if (reply->status == WIRE_ERR) {
        answer.code = wire_error_decode(reply->map, &err);
        answer.err = &err;
    } else {
        answer.map = reply->map;
        answer.frames = self->frames;
        answer.frame_count = self->frame_count;
    }
    const bool session_gone =
        answer.code == ZSP_EHELLO_REQUIRED || answer.code == ZSP_ESESSION_EXPIRED;
    if (session_gone) {
        answer.code = ZSP_ECLOSED;
        err.code = ZSP_ECLOSED;
    }
    request->done_fn(request, &answer);
    if (session_gone && self->state == UP) {
        self->has_session = false;
        zsp_link_close_put_by(self, now_ms);
        zsp_link_fall(self, now_ms, ZSP_ECLOSED, "the broker forgot the session");
    }
    zsp_link_feed(self);
}

/* False: nobody wants parts of this answer. */
static bool hand_over_part(struct zsp_link *self, const struct wire_reply *reply, int64_t now_ms)
{
    struct zsp_request *request = zsp_pending_find(&self->pending, reply->id);
    if (!request) {
        return true; /* nobody waits for it */
    }
    if (!request->part_fn) {
        return false;
    }
    const struct zsp_answer answer = {.now_ms = now_ms,
                                      .map = reply->map,
                                      .frames = self->frames,
                                      .frame_count = self->frame_count};
    request->part_fn(request, &answer);
    return true;
}

/* One of the replies in a header frame. */
static void take_header(struct zsp_link *self, struct zsp_slice header, int64_t now_ms)
{
    struct wire_reply reply;
    struct zsp_err err = {0};
    const int rc = wire_reply_decode(self->decoder, header, &reply, &err);
    zsp_link_lock(self);
    zsp_link_heard(self, now_ms);
    if (rc != 0 || (reply.status != WIRE_BEAT && !reply.has_id) ||
        (reply.status == WIRE_PART && !hand_over_part(self, &reply, now_ms))) {
        zsp_link_fall(self, now_ms, ZSP_EBAD_REQUEST, "a reply that cannot be read");
    } else if (reply.status == WIRE_OK || reply.status == WIRE_ERR) {
        hand_over(self, &reply, now_ms);
    }
    zsp_link_unlock(self);
}

/* All replies of one message: one, or several without a body. */
static void take_headers(struct zsp_link *self, struct zsp_slice frame, int64_t now_ms)
{
    const uint64_t serial = self->dealer_serial; /* another one: the connection fell */
    struct zsp_slice header = frame;
    struct zsp_slice rest = frame;
    /* What cannot be taken apart is for take_header() to refuse, and so is a body of several. */
    while (self->dealer.socket && self->dealer_serial == serial) {
        if (self->frame_count > 0 || wire_value_next(&rest, &header, NULL) != 0) {
            header = rest;
            rest.len = 0;
        }
        take_header(self, header, now_ms);
        if (rest.len == 0) {
            return;
        }
    }
}

/* One message; false when the connection has to go, or there was none. */
bool zsp_link_take_reply(struct zsp_link *self, int64_t now_ms)
{
    zmq_msg_t header;
    (void)zmq_msg_init(&header); /* cannot fail */
    const int rc = receive(self, &header);
    if (rc == 1) {
        (void)zmq_msg_close(&header);
        return false;
    }
    if (rc == 0) {
        take_headers(self, (struct zsp_slice){zmq_msg_data(&header), zmq_msg_size(&header)},
                     now_ms);
    } else {
        zsp_link_lock(self);
        zsp_link_fall(self, now_ms, ZSP_EBAD_REQUEST, "a reply that cannot be taken");
        zsp_link_unlock(self);
    }
    close_frames(self);
    (void)zmq_msg_close(&header);
    return self->dealer.socket != NULL;
}
