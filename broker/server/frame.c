/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/server/frame.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/assert.h"

/* --- What is lent --------------------------------------------------------------- */

struct outflow {
    /* Relaxed: a figure to compare with a limit, it orders nothing. */
    atomic_uint_least64_t bytes;
    /* Release on every drop, acquire by the last: as in buf.c. */
    atomic_uint refs;
};

struct outflow *outflow_new(void)
{
    struct outflow *const self = calloc(1, sizeof *self);
    if (self) {
        atomic_init(&self->bytes, 0);
        atomic_init(&self->refs, 1);
    }
    return self;
}

static void outflow_put(struct outflow *self)
{
    if (atomic_fetch_sub_explicit(&self->refs, 1, memory_order_acq_rel) == 1) {
        free(self);
    }
}

void outflow_destroy(struct outflow **self_p)
{
    if (*self_p) {
        outflow_put(*self_p);
        *self_p = NULL;
    }
}

uint64_t outflow_bytes(const struct outflow *self)
{
    return atomic_load_explicit(&self->bytes, memory_order_relaxed);
}

/* --- In ------------------------------------------------------------------------- */

/* A received frame kept as it came. */
struct frame_buf {
    struct zsp_buf base;
    zmq_msg_t message;
};

static void frame_buf_free(struct zsp_buf *base)
{
    struct frame_buf *const self = (struct frame_buf *)base;
    const int rc = zmq_msg_close(&self->message);
    zsp_assert(rc == 0);
    free(self);
}

struct zsp_buf *frame_take(zmq_msg_t *message)
{
    const size_t len = zmq_msg_size(message);
    if (len <= FRAME_COPY_MAX) {
        return zsp_buf_copy((struct zsp_slice){zmq_msg_data(message), len});
    }
    struct frame_buf *const self = malloc(sizeof *self);
    if (!self) {
        return NULL;
    }
    int rc = zmq_msg_init(&self->message);
    zsp_assert(rc == 0);
    rc = zmq_msg_move(&self->message, message);
    zsp_assert(rc == 0);
    zsp_buf_init(&self->base, zmq_msg_data(&self->message), len, frame_buf_free);
    return &self->base;
}

/* --- Out ------------------------------------------------------------------------ */

/* What a lent frame holds on to. */
struct loan {
    struct zsp_buf *buf;
    struct outflow *flow;
    size_t len;
};

/* On libzmq's I/O thread, perhaps after the socket was closed: atomics only. */
static void loan_end(void *data, void *hint)
{
    struct loan *const self = hint;
    (void)data; /* a place inside the buffer */
    (void)atomic_fetch_sub_explicit(&self->flow->bytes, self->len, memory_order_relaxed);
    outflow_put(self->flow);
    zsp_buf_put(&self->buf);
    free(self);
}

static int copy_out(zmq_msg_t *message, const uint8_t *data, size_t len)
{
    if (zmq_msg_init_size(message, len) != 0) {
        return ZSP_ENOMEM;
    }
    if (len > 0) {
        memcpy(zmq_msg_data(message), data, len);
    }
    return ZSP_OK;
}

int frame_lend(zmq_msg_t *message, struct zsp_buf *buf, size_t pos, size_t len,
               struct outflow *flow)
{
    zsp_assert(pos <= buf->len);
    zsp_assert(len <= buf->len - pos);
    if (len <= FRAME_COPY_MAX) {
        return copy_out(message, buf->data + pos, len);
    }
    struct loan *const loan = malloc(sizeof *loan);
    if (!loan) {
        return ZSP_ENOMEM;
    }
    *loan = (struct loan){.buf = zsp_buf_get(buf), .flow = flow, .len = len};
    (void)atomic_fetch_add_explicit(&flow->refs, 1, memory_order_relaxed);
    (void)atomic_fetch_add_explicit(&flow->bytes, len, memory_order_relaxed);
    /* libzmq takes void * but only reads what it sends. */
    void *const data = (void *)(uintptr_t)(buf->data + pos);
    if (zmq_msg_init_data(message, data, len, loan_end, loan) != 0) {
        loan_end(data, loan);
        return ZSP_ENOMEM;
    }
    return ZSP_OK;
}
