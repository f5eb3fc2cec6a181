/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/server/outgoing.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/assert.h"
#include "common/limits.h"

#define JOIN_MAX ZSP_MIB /* small parts copied together make no larger frame */

/* How many parts from `first` on go into one frame, and their bytes. A large part
 * stands alone. */
static size_t join_length(const struct outgoing_body *body, size_t first, size_t *ret_bytes)
{
    size_t count = 1;
    size_t bytes = body->parts[first].len;
    while (bytes <= JOIN_MAX && first + count < body->part_count) {
        const size_t len = body->parts[first + count].len;
        if (body->parts[first].len > FRAME_COPY_MAX || len > FRAME_COPY_MAX ||
            len > JOIN_MAX - bytes) {
            break;
        }
        bytes += len;
        count++;
    }
    *ret_bytes = bytes;
    return count;
}

/* One frame of `count` small parts. */
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
    size_t index = 0;
    while (index < body->part_count) {
        const struct engine_part *const part = &body->parts[index];
        zmq_msg_t *const frame = &self->frames[self->frame_count];
        size_t bytes = 0;
        const size_t count = join_length(body, index, &bytes);
        const int rc = count == 1 ? frame_lend(frame, part->buf, part->pos, part->len, flow)
                                  : init_joined(frame, part, count, bytes, flow);
        if (rc < 0) {
            return rc;
        }
        self->frame_count++;
        index += count;
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
    size_t frames = 0;
    size_t bytes = 0;
    for (size_t index = 0; index < body->part_count; frames++) {
        index += join_length(body, index, &bytes);
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
