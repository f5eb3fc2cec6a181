/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/embed/embedded_context.h"

#include <errno.h>
#include <stdlib.h>
#include <zmq.h>

#include "broker/server/now.h"
#include "common/thread.h"

/* --- Beginning ------------------------------------------------------------------------------ */

/* libzmq makes a context's threads with its first socket. */
static int start_threads(void *context)
{
    sigset_t before;
    zsp_signals_block(&before);
    void *const socket = zmq_socket(context, ZMQ_PAIR);
    const int rc = socket ? zmq_close(socket) : -1;
    zsp_signals_restore(&before);
    return rc;
}

void *embedded_context_new(uint64_t io_threads, struct zsp_err *err)
{
    void *const context = zmq_ctx_new();
    if (!context || zmq_ctx_set(context, ZMQ_IO_THREADS, (int)io_threads) != 0 ||
        start_threads(context) != 0) {
        (void)zsp_err_set(err, ZSP_EIO, "make a ZeroMQ context: %s", zmq_strerror(errno));
        if (context) {
            (void)zmq_ctx_term(context); /* no socket is open in it */
        }
        return NULL;
    }
    return context;
}

/* --- The end --------------------------------------------------------------------------------- */

/* Between the thread that terminates and the one that waits for it, for a while; the
 * last of them frees it. */
struct ending {
    void *context;
    struct zsp_monitor monitor;
    bool ended;     /* locked */
    bool abandoned; /* locked: nobody waits any more */
};

static void ending_free(struct ending *self)
{
    zsp_monitor_fini(&self->monitor);
    free(self);
}

static void *terminate(void *arg)
{
    struct ending *const self = arg;
    while (zmq_ctx_term(self->context) != 0 && errno == EINTR) {
    }
    zsp_monitor_lock(&self->monitor);
    self->ended = true;
    const bool alone = self->abandoned;
    zsp_monitor_wake(&self->monitor);
    zsp_monitor_unlock(&self->monitor);
    if (alone) {
        ending_free(self);
    }
    return NULL;
}

static struct ending *ending_new(void *context)
{
    struct ending *const self = calloc(1, sizeof *self);
    if (!self || zsp_monitor_init(&self->monitor) < 0) {
        free(self);
        return NULL;
    }
    self->context = context;
    return self;
}

static bool start_detached(struct ending *self)
{
    pthread_t thread;
    const int rc = zsp_thread_start(&thread, "zspool-ending", terminate, self);
    if (rc == 0) {
        (void)pthread_detach(thread); /* of a thread that nobody joins */
    }
    return rc == 0;
}

bool embedded_context_end(void *context, int64_t wait_ms)
{
    (void)zmq_ctx_shutdown(context); /* fails only on what is no context */
    struct ending *const self = ending_new(context);
    if (!self || !start_detached(self)) {
        /* No memory or no thread: it stays as it is, without sockets of ours. */
        if (self) {
            ending_free(self);
        }
        return false;
    }
    const int64_t until_ms = now_instant().mono_ms + wait_ms;
    zsp_monitor_lock(&self->monitor);
    while (!self->ended && now_instant().mono_ms < until_ms) {
        zsp_monitor_wait(&self->monitor, until_ms);
    }
    const bool ended = self->ended;
    self->abandoned = !ended;
    zsp_monitor_unlock(&self->monitor);
    if (ended) {
        ending_free(self);
    }
    return ended;
}
