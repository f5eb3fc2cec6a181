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

#include "common/buf.h"
#include "common/err.h"

#define FRAME_COPY_MAX 8192u /* up to here a frame is copied: libzmq's read block */

/* The bytes that one connection has been lent: sent without a copy, or waiting
 * to be. libzmq's I/O thread gives them back, so the count is atomic and the
 * object lives until the last frame is gone. */
struct outflow;

/* One reference, nothing lent. NULL when out of memory. */
struct outflow *outflow_new(void);
/* Drop the owner's reference; lent frames keep their own. */
void outflow_destroy(struct outflow **self_p);
/* Bytes lent and not yet given back. */
uint64_t outflow_bytes(const struct outflow *self);

/* The content of `message` as a buffer with one reference. The message is empty
 * afterwards; the caller still closes it. NULL when out of memory (unchanged). */
struct zsp_buf *frame_take(zmq_msg_t *message);

/* Initialise `message` with bytes [pos, pos + len) of `buf`: copied when small,
 * else lent with a reference of its own and counted in `flow` until libzmq lets
 * go. Returns ZSP_OK or ZSP_ENOMEM (the message is then not initialised). */
int frame_lend(zmq_msg_t *message, struct zsp_buf *buf, size_t pos, size_t len,
               struct outflow *flow);

#endif
