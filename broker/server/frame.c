/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/server/frame.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/assert.h"

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

/* What a frame that is on its way out holds on to. */
struct loan {
    struct zsp_buf *buf; /* NULL = the bytes follow the struct */
    struct outflow *flow;
    size_t len;
    /* Set last. It orders the fields for ThreadSanitizer, which does not see the pipes of libzmq. */
    atomic_bool lent;
};

/* On libzmq's I/O thread, perhaps after the socket was closed: atomics only. */
static void loan_end(void *data, void *hint)
{
    struct loan *const self = hint;
    (void)data; /* a place inside the buffer, or behind the loan */
    zsp_assert(atomic_load_explicit(&self->lent, memory_order_acquire));
    outflow_remove(self->flow, self->len);
    zsp_buf_put(&self->buf);
    free(self);
}

/* `data` belongs to the loan. */
static int init_loan(zmq_msg_t *message, struct loan *loan, const uint8_t *data)
{
    const size_t len = loan->len;
    outflow_add(loan->flow, len);
    atomic_store_explicit(&loan->lent, true, memory_order_release);
    /* libzmq takes void * but only reads what it sends. */
    void *const bytes = (void *)(uintptr_t)data;
    if (zmq_msg_init_data(message, bytes, len, loan_end, loan) != 0) {
        loan_end(bytes, loan);
        return ZSP_ENOMEM;
    }
    return ZSP_OK;
}

int frame_copy(zmq_msg_t *message, struct zsp_slice bytes, struct outflow *flow)
{
    if (bytes.len <= FRAME_UNCOUNTED_MAX) {
        if (zmq_msg_init_size(message, bytes.len) != 0) {
            return ZSP_ENOMEM;
        }
        if (bytes.len > 0) {
            memcpy(zmq_msg_data(message), bytes.data, bytes.len);
        }
        return ZSP_OK;
    }
    struct loan *const loan = malloc(sizeof *loan + bytes.len);
    if (!loan) {
        return ZSP_ENOMEM;
    }
    *loan = (struct loan){.flow = flow, .len = bytes.len};
    uint8_t *const copy = (uint8_t *)(loan + 1);
    memcpy(copy, bytes.data, bytes.len);
    return init_loan(message, loan, copy);
}

int frame_lend(zmq_msg_t *message, struct zsp_buf *buf, size_t pos, size_t len,
               struct outflow *flow)
{
    zsp_assert(pos <= buf->len);
    zsp_assert(len <= buf->len - pos);
    if (len <= FRAME_COPY_MAX) {
        return frame_copy(message, (struct zsp_slice){buf->data + pos, len}, flow);
    }
    struct loan *const loan = malloc(sizeof *loan);
    if (!loan) {
        return ZSP_ENOMEM;
    }
    *loan = (struct loan){.buf = zsp_buf_get(buf), .flow = flow, .len = len};
    return init_loan(message, loan, buf->data + pos);
}
