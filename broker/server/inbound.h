/* SPDX-License-Identifier: MPL-2.0
 *
 * One multipart message as it came from the ROUTER socket: the routing id, then
 * the peer's frames. Only the first ZSP_MESSAGE_FRAMES_MAX are kept, the rest is
 * counted and dropped frame by frame, so that a message of 10,000 frames costs
 * no more than one of 64.
 */
#ifndef ZSP_SERVER_INBOUND_H
#define ZSP_SERVER_INBOUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zmq.h>

#include "common/buf.h"
#include "common/bytes.h"
#include "common/err.h"
#include "common/limits.h"

#define ROUTING_ID_MAX 255u /* a ZMTP limit */

struct inbound {
    uint8_t routing_id[ROUTING_ID_MAX];
    size_t routing_id_len;
    zmq_msg_t frames[ZSP_MESSAGE_FRAMES_MAX];        /* without the routing id */
    struct zsp_slice slices[ZSP_MESSAGE_FRAMES_MAX]; /* their bytes */
    size_t kept;                                     /* frames here */
    uint64_t frame_count;                            /* frames that came, kept or not */
    uint64_t bytes;                                  /* of all frames that came */
};

/* Receive one message without waiting; the message is empty before and must be
 * cleared after use.
 *
 * Errors: ZSP_EAGAIN  none is there
 *         ZSP_EIO     the socket fails (the context is ending)
 */
int inbound_receive(struct inbound *self, void *socket, struct zsp_err *err);

/* The descriptor that the message came over, -1 = none (inproc). It is libzmq's, which may close it
 * at any time, and then it may become another's: good for inbound_is_behind() alone. */
int inbound_fd(const struct inbound *self);
/* Has the kernel bytes for it that libzmq's thread has not read yet? */
bool inbound_is_behind(int fd);

/* Close all frames. */
void inbound_clear(struct inbound *self);

/* Frame `index` < kept as a shared buffer (see frame_take); the slice of it is
 * gone afterwards. NULL when out of memory. */
struct zsp_buf *inbound_take_frame(struct inbound *self, size_t index);

#endif
