/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/server/outgoing.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/assert.h"
#include "common/limits.h"

#define JOIN_MAX ZSP_MIB /* parts copied together make no larger frame */
/* A buffer of which the reply sends less than one part in so many is not lent but
 * copied from: it would keep more memory than is counted. */
#define SPARSE_FACTOR 2u

/* The parts of the body from `first` on that lie in one buffer. */
struct stretch {
    size_t end;
    bool is_sparse; /* they are little of it */
};

static struct stretch stretch_at(const struct outgoing_body *body, size_t first)
{
    const struct zsp_buf *const buf = body->parts[first].buf;
    size_t end = first;
    size_t bytes = 0;
    while (end < body->part_count && body->parts[end].buf == buf) {
        bytes += body->parts[end].len;
        end++;
    }
    return (struct stretch){.end = end, .is_sparse = bytes < buf->len / SPARSE_FACTOR};
}

/* The next frame of a body. */
struct piece {
    size_t count, bytes; /* parts, and all of theirs */
    bool is_copied;
};

/* Where a walk over a body is. */
struct walk {
    const struct outgoing_body *body;
    size_t index;
    struct stretch stretch; /* of the part at `index` */
};

static bool is_copied(const struct walk *self)
{
    return self->stretch.is_sparse || self->body->parts[self->index].len <= FRAME_COPY_MAX;
}

static void walk_on(struct walk *self)
{
    self->index++;
    if (self->index < self->body->part_count && self->index >= self->stretch.end) {
        self->stretch = stretch_at(self->body, self->index);
    }
}

/* Parts that are copied go into one frame; one that is lent stands alone. False = the end. */
static bool walk_next(struct walk *self, struct piece *ret)
{
    const struct outgoing_body *const body = self->body;
    if (self->index == body->part_count) {
        return false;
    }
    if (self->index == 0) {
        self->stretch = stretch_at(body, 0);
    }
    *ret = (struct piece){
        .count = 1, .bytes = body->parts[self->index].len, .is_copied = is_copied(self)};
    const bool joins = ret->is_copied && !body->parts[self->index].is_whole;
    walk_on(self);
    while (joins && self->index < body->part_count && is_copied(self)) {
        const size_t len = body->parts[self->index].len;
        if (body->parts[self->index].is_whole || ret->bytes > JOIN_MAX ||
            len > JOIN_MAX - ret->bytes) {
            break;
        }
        ret->bytes += len;
        ret->count++;
        walk_on(self);
    }
    return true;
}

/* One frame of `count` parts, copied. */
static int init_joined(zmq_msg_t *frame, const struct engine_part *parts, size_t count,
                       size_t bytes, struct outflow *flow)
{
    struct zsp_buf *joined = zsp_buf_new(bytes);
    if (!joined) {
        return ZSP_ENOMEM;
    }
    uint8_t *pos = zsp_buf_bytes(joined);
    for (size_t i = 0; i < count; i++) {
        memcpy(pos, parts[i].buf->data + parts[i].pos, parts[i].len);
        pos += parts[i].len;
    }
    const int rc = frame_lend(frame, joined, 0, bytes, flow);
    zsp_buf_put(&joined);
    return rc;
}

static int add_body(struct outgoing *self, const struct outgoing_body *body, struct outflow *flow)
{
    struct walk walk = {.body = body};
    struct piece piece;
    while (walk_next(&walk, &piece)) {
        const struct engine_part *const part = &body->parts[walk.index - piece.count];
        zmq_msg_t *const frame = &self->frames[self->frame_count];
        int rc = ZSP_OK;
        if (!piece.is_copied) {
            rc = frame_lend(frame, part->buf, part->pos, part->len, flow);
        } else if (piece.count == 1) {
            rc =
                frame_copy(frame, (struct zsp_slice){part->buf->data + part->pos, part->len}, flow);
        } else {
            rc = init_joined(frame, part, piece.count, piece.bytes, flow);
        }
        if (rc < 0) {
            return rc;
        }
        self->frame_count++;
    }
    return ZSP_OK;
}

static int add_envelope(struct outgoing *self, const struct envelope *envelope)
{
    for (size_t i = 0; i < envelope->count; i++) {
        const struct zsp_slice bytes = envelope_frame(envelope, i);
        zmq_msg_t *const frame = &self->frames[self->frame_count];
        if (zmq_msg_init_size(frame, bytes.len) != 0) {
            return ZSP_ENOMEM;
        }
        if (bytes.len > 0) {
            memcpy(zmq_msg_data(frame), bytes.data, bytes.len);
        }
        self->frame_count++;
    }
    return ZSP_OK;
}

static size_t count_body_frames(const struct outgoing_body *body)
{
    struct walk walk = {.body = body};
    struct piece piece;
    size_t frames = 0;
    while (walk_next(&walk, &piece)) {
        frames++;
    }
    return frames;
}

struct outgoing *outgoing_new(const struct envelope *envelope, struct zsp_buf *header,
                              struct outgoing_body body, struct outflow *flow)
{
    const size_t frame_count = envelope->count + 1u + count_body_frames(&body);
    struct outgoing *self = malloc(sizeof *self + frame_count * sizeof self->frames[0]);
    if (!self) {
        return NULL;
    }
    *self = (struct outgoing){0};
    int rc = add_envelope(self, envelope);
    if (rc == ZSP_OK) {
        rc = frame_lend(&self->frames[self->frame_count], header, 0, header->len, flow);
        self->frame_count += rc == ZSP_OK ? 1u : 0u;
    }
    if (rc == ZSP_OK) {
        rc = add_body(self, &body, flow);
    }
    if (rc < 0) {
        outgoing_destroy(&self);
        return NULL;
    }
    zsp_assert(self->frame_count == frame_count);
    return self;
}

void outgoing_destroy(struct outgoing **self_p)
{
    struct outgoing *const self = *self_p;
    if (!self) {
        return;
    }
    for (size_t i = 0; i < self->frame_count; i++) {
        const int rc = zmq_msg_close(&self->frames[i]);
        zsp_assert(rc == 0);
    }
    free(self);
    *self_p = NULL;
}

enum outgoing_result outgoing_send(struct outgoing *self, void *socket, struct zsp_slice routing_id)
{
    int rc = 0;
    do {
        rc = zmq_send(socket, routing_id.data, routing_id.len, ZMQ_DONTWAIT | ZMQ_SNDMORE);
    } while (rc < 0 && errno == EINTR);
    if (rc < 0) {
        return errno == EAGAIN ? OUTGOING_FULL : OUTGOING_GONE;
    }
    for (size_t i = 0; i < self->frame_count; i++) {
        const int more = i + 1 < self->frame_count ? ZMQ_SNDMORE : 0;
        do {
            rc = zmq_msg_send(&self->frames[i], socket, ZMQ_DONTWAIT | more);
        } while (rc < 0 && errno == EINTR);
        if (rc < 0) {
            /* Only a context that is ending gets here: the peer is gone with it. */
            return OUTGOING_GONE;
        }
    }
    return OUTGOING_SENT;
}
