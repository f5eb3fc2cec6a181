/* SPDX-License-Identifier: MPL-2.0 */
#include "client/src/base/context.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/err.h"
#include "common/thread.h"

#define START_DESCRIPTORS 8 /* libzmq 4.3 takes five for its threads and a first socket */

/* Could so many descriptors be had now? If not, errno tells why. */
static bool have_descriptors(void)
{
    int probes[START_DESCRIPTORS];
    int count = 0;
    while (count < START_DESCRIPTORS && (probes[count] = eventfd(0, EFD_CLOEXEC)) >= 0) {
        count++;
    }
    const int why = errno;
    for (int i = 0; i < count; i++) {
        (void)close(probes[i]); /* an eventfd holds nothing that could be lost */
    }
    errno = why;
    return count == START_DESCRIPTORS;
}

/* A context starts its threads with its first socket, and ends the process when it cannot have a
 * descriptor for one of them. So it is started here, where it can still be refused; a lent one may
 * be new as well. */
static void *first_socket(void *zmq)
{
    sigset_t before;
    if (!have_descriptors()) {
        return NULL;
    }
    zsp_signals_block(&before);
    void *first = zmq_socket(zmq, ZMQ_PAIR);
    zsp_signals_restore(&before);
    return first;
}

int zsp_context_open(struct zsp_context *self, void *lent)
{
    self->keeper = NULL;
    self->zmq = lent ? lent : zmq_ctx_new();
    if (!self->zmq) {
        return ZSP_EIO;
    }
    void *first = first_socket(self->zmq);
    if (!lent) { /* closed by zsp_context_close() if that fails */
        return first && zmq_close(first) == 0 ? ZSP_OK : ZSP_EIO;
    }
    size_t len = sizeof self->fd;
    if (!first || zmq_getsockopt(first, ZMQ_FD, &self->fd, &len) != 0) {
        const int failure = errno;
        if (first) {
            (void)zmq_close(first);
        }
        self->zmq = NULL;
        errno = failure;
        return ZSP_EIO;
    }
    self->keeper = first;
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

int zsp_context_fd(const struct zsp_context *self)
{
    return self->keeper ? self->fd : -1;
}

bool zsp_context_ended(const struct zsp_context *self)
{
    int events = 0;
    size_t len = sizeof events;
    return self->keeper && zmq_getsockopt(self->keeper, ZMQ_EVENTS, &events, &len) != 0 &&
           errno == ETERM;
}
