/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/server/inbound.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "broker/server/frame.h"
#include "common/assert.h"

static int receive_frame(zmq_msg_t *frame, void *socket, struct zsp_err *err)
{
    int rc = zmq_msg_init(frame);
    zsp_assert(rc == 0);
    do {
        rc = zmq_msg_recv(frame, socket, ZMQ_DONTWAIT);
    } while (rc < 0 && errno == EINTR);
    if (rc >= 0) {
        return ZSP_OK;
    }
    const int failure = errno;
    rc = zmq_msg_close(frame);
    zsp_assert(rc == 0);
    if (failure == EAGAIN) {
        return ZSP_EAGAIN;
    }
    return zsp_err_set(err, ZSP_EIO, "receive from the ROUTER socket: %s", zmq_strerror(failure));
}

/* The next frame of a message that has begun; they come all or not at all. */
static int receive_next(struct inbound *self, void *socket, bool *ret_more, struct zsp_err *err)
{
    zmq_msg_t dropped;
    const bool keep = self->kept < ZSP_MESSAGE_FRAMES_MAX;
    zmq_msg_t *const frame = keep ? &self->frames[self->kept] : &dropped;
    const int rc = receive_frame(frame, socket, err);
    if (rc < 0) {
        return rc;
    }
    *ret_more = zmq_msg_more(frame) != 0;
    const size_t len = zmq_msg_size(frame);
    self->frame_count++;
    self->bytes += len;
    if (keep) {
        self->slices[self->kept] = (struct zsp_slice){zmq_msg_data(frame), len};
        self->kept++;
    } else {
        const int closed = zmq_msg_close(frame);
        zsp_assert(closed == 0);
    }
    return ZSP_OK;
}

int inbound_receive(struct inbound *self, void *socket, struct zsp_err *err)
{
    zmq_msg_t id;
    int rc = receive_frame(&id, socket, err);
    if (rc < 0) {
        return rc;
    }
    self->kept = 0;
    self->frame_count = 0;
    self->bytes = 0;
    self->routing_id_len = zmq_msg_size(&id);
    zsp_assert(self->routing_id_len <= ROUTING_ID_MAX);
    memcpy(self->routing_id, zmq_msg_data(&id), self->routing_id_len);
    bool more = zmq_msg_more(&id) != 0;
    const int closed = zmq_msg_close(&id);
    zsp_assert(closed == 0);
    while (more) {
        rc = receive_next(self, socket, &more, err);
        if (rc < 0) {
            inbound_clear(self);
            return rc;
        }
    }
    return ZSP_OK;
}

int inbound_fd(const struct inbound *self)
{
    return self->kept > 0 ? zmq_msg_get(&self->frames[0], ZMQ_SRCFD) : -1;
}

bool inbound_is_behind(int fd)
{
    /* Not a recv() with MSG_PEEK: that takes a pending error from its owner. */
    int bytes = 0;
    return fd >= 0 && ioctl(fd, FIONREAD, &bytes) == 0 && bytes > 0;
}

void inbound_clear(struct inbound *self)
{
    for (size_t i = 0; i < self->kept; i++) {
        const int rc = zmq_msg_close(&self->frames[i]);
        zsp_assert(rc == 0);
    }
    self->kept = 0;
}

struct zsp_buf *inbound_take_frame(struct inbound *self, size_t index)
{
    zsp_assert(index < self->kept);
    return frame_take(&self->frames[index]);
}
