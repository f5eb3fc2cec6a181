/* SPDX-License-Identifier: MPL-2.0
 *
 * Frames between libzmq and the reference-counted buffers that all layers share:
 * a received frame becomes a zsp_buf without a copy, and bytes of a zsp_buf go
 * out without one.
 *
 * Small frames are copied in both directions. A small received frame points into
 * an 8 KiB block that libzmq shares among all frames of one read, so that keeping
 * 100 bytes could pin 8 KiB; and lending costs more than copying.
 */
#ifndef ZSP_SERVER_FRAME_H
#define ZSP_SERVER_FRAME_H

#include <stdint.h>
#include <zmq.h>

#include "broker/server/outflow.h"
#include "common/buf.h"
#include "common/err.h"

#define FRAME_COPY_MAX 8192u /* up to here a frame is copied: libzmq's read block */
/* A copy up to here is not counted: what 512 such messages take, all that libzmq holds
 * for a peer, is little. */
#define FRAME_UNCOUNTED_MAX 512u

/* The content of `message` as a buffer with one reference. The message is empty
 * afterwards; the caller still closes it. NULL when out of memory (unchanged). */
struct zsp_buf *frame_take(zmq_msg_t *message);

/* Initialise `message` with bytes [pos, pos + len) of `buf`: copied when small,
 * else lent with a reference of its own. Counted in `flow` until libzmq lets go, unless
 * tiny. Returns ZSP_OK or ZSP_ENOMEM (the message is then not initialised). */
int frame_lend(zmq_msg_t *message, struct zsp_buf *buf, size_t pos, size_t len,
               struct outflow *flow);
/* The same with a copy of `bytes`, whatever their size. */
int frame_copy(zmq_msg_t *message, struct zsp_slice bytes, struct outflow *flow);

#endif
