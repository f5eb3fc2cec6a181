/* SPDX-License-Identifier: MPL-2.0 */
#include "client/src/context.h"

#include <errno.h>
#include <stddef.h>

#include "common/err.h"

int zsp_context_open(struct zsp_context *self, void *lent)
{
    self->keeper = NULL;
    self->zmq = lent ? lent : zmq_ctx_new();
    if (!self->zmq) {
        return ZSP_EIO;
    }
    if (lent) {
        self->keeper = zmq_socket(lent, ZMQ_PAIR);
        if (!self->keeper) {
            self->zmq = NULL;
            return ZSP_EIO;
        }
    }
    return ZSP_OK;
}

void zsp_context_close(struct zsp_context *self)
{
    if (self->keeper) {
        (void)zmq_close(self->keeper); /* a socket of ours that nobody else uses */
    } else if (self->zmq) {
        while (zmq_ctx_term(self->zmq) != 0 && errno == EINTR) {
        }
    }
    self->keeper = NULL;
    self->zmq = NULL;
}

int zsp_context_poll_item(const struct zsp_context *self, zmq_pollitem_t *item)
{
    if (!self->keeper) {
        return 0;
    }
    *item = (zmq_pollitem_t){.socket = self->keeper, .events = ZMQ_POLLIN};
    return 1;
}
