/* SPDX-License-Identifier: MPL-2.0
 *
 * Bytes on their way out: of frames that libzmq was handed, or that wait to be
 * handed to it, and that are not freed yet. One count for each connection, and one
 * over all of them. libzmq's I/O thread gives bytes back, so the counts are atomic
 * and live until the last frame is gone, however late.
 */
#ifndef ZSP_SERVER_OUTFLOW_H
#define ZSP_SERVER_OUTFLOW_H

#include <stdint.h>

struct outflow;

/* A count at zero with one reference; what it counts is counted in `all`, too, which
 * it keeps alive (NULL = in nothing else). NULL when out of memory. */
struct outflow *outflow_new(struct outflow *all);
/* Drop the owner's reference; frames keep their own. */
void outflow_destroy(struct outflow **self_p);

/* Count the bytes of one more frame. The owner's thread. */
void outflow_add(struct outflow *self, uint64_t bytes);
/* The frame is gone. Any thread; touches atomics only. */
void outflow_remove(struct outflow *self, uint64_t bytes);

/* Bytes counted and not yet gone. */
uint64_t outflow_bytes(const struct outflow *self);

#endif
