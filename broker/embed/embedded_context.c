/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/embed/embedded_context.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <zmq.h>

#include "common/assert.h"

/* --- Beginning ------------------------------------------------------------------------------ */

/* libzmq makes a context's threads with its first socket. */
static int start_threads(void *context)
{
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all); /* cannot fail */
    if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0) {
        return -1;
    }
    void *const socket = zmq_socket(context, ZMQ_PAIR);
    const int rc = socket ? zmq_close(socket) : -1;
    const int failure = errno;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL); /* was the mask a moment ago */
    errno = failure;
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
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool ended;     /* locked */
    bool abandoned; /* locked: nobody waits any more */
};

static void ending_free(struct ending *self)
{
    (void)pthread_cond_destroy(&self->changed); /* nobody uses either */
    (void)pthread_mutex_destroy(&self->mutex);
    free(self);
}

static void ending_lock(struct ending *self)
{
    const int rc = pthread_mutex_lock(&self->mutex);
    zsp_assert(rc == 0);
}

static void ending_unlock(struct ending *self)
{
    const int rc = pthread_mutex_unlock(&self->mutex);
    zsp_assert(rc == 0);
}

static void *terminate(void *arg)
{
    struct ending *const self = arg;
    while (zmq_ctx_term(self->context) != 0 && errno == EINTR) {
    }
    ending_lock(self);
    self->ended = true;
    const bool alone = self->abandoned;
    (void)pthread_cond_signal(&self->changed); /* a live condition */
    ending_unlock(self);
    if (alone) {
        ending_free(self);
    }
    return NULL;
}

static struct ending *ending_new(void *context)
{
    pthread_condattr_t attributes;
    struct ending *const self = calloc(1, sizeof *self);
    if (!self || pthread_condattr_init(&attributes) != 0) {
        free(self);
        return NULL;
    }
    self->context = context;
    int rc = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    if (rc == 0) {
        rc = pthread_cond_init(&self->changed, &attributes);
    }
    (void)pthread_condattr_destroy(&attributes);
    if (rc == 0 && pthread_mutex_init(&self->mutex, NULL) != 0) {
        (void)pthread_cond_destroy(&self->changed);
        rc = -1;
    }
    if (rc != 0) {
        free(self);
        return NULL;
    }
    return self;
}

static bool start_detached(struct ending *self)
{
    sigset_t all;
    sigset_t before;
    pthread_t thread;
    (void)sigfillset(&all); /* cannot fail */
    if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0) {
        return false;
    }
    const int rc = pthread_create(&thread, NULL, terminate, self);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL); /* was the mask a moment ago */
    if (rc == 0) {
        (void)pthread_detach(thread); /* of a thread that nobody joins */
    }
    return rc == 0;
}

static struct timespec deadline_after(int64_t ms)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* always there on Linux */
    const int64_t ns = now.tv_nsec + (ms % 1000) * 1000000;
    return (struct timespec){.tv_sec = now.tv_sec + (time_t)(ms / 1000 + ns / 1000000000),
                             .tv_nsec = (long)(ns % 1000000000)};
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
    const struct timespec deadline = deadline_after(wait_ms);
    ending_lock(self);
    int rc = 0;
    while (!self->ended && rc == 0) {
        rc = pthread_cond_timedwait(&self->changed, &self->mutex, &deadline);
    }
    const bool ended = self->ended;
    self->abandoned = !ended;
    ending_unlock(self);
    if (ended) {
        ending_free(self);
    }
    return ended;
}
