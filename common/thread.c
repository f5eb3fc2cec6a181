/* SPDX-License-Identifier: MPL-2.0 */
#define _GNU_SOURCE /* pthread_setname_np */

#include "common/thread.h"

#include <errno.h>
#include <time.h>

#include "common/assert.h"
#include "common/err.h"

void zsp_signals_block(sigset_t *ret_before)
{
    sigset_t all;
    (void)sigfillset(&all); /* neither can fail, with valid arguments */
    (void)pthread_sigmask(SIG_SETMASK, &all, ret_before);
}

void zsp_signals_restore(const sigset_t *before)
{
    (void)pthread_sigmask(SIG_SETMASK, before, NULL); /* was the mask a moment ago */
}

int zsp_thread_start(pthread_t *ret_thread, const char *name, void *(*run_fn)(void *), void *arg)
{
    sigset_t before;
    zsp_signals_block(&before);
    const int rc = pthread_create(ret_thread, NULL, run_fn, arg);
    zsp_signals_restore(&before);
    if (rc == 0) {
        (void)pthread_setname_np(*ret_thread, name); /* no harm without */
    }
    return rc;
}

int zsp_monitor_init(struct zsp_monitor *self)
{
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0) {
        return ZSP_ENOMEM;
    }
    int rc = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    if (rc == 0) {
        rc = pthread_cond_init(&self->changed, &attributes);
    }
    (void)pthread_condattr_destroy(&attributes);
    if (rc != 0) {
        return ZSP_ENOMEM;
    }
    if (pthread_mutex_init(&self->mutex, NULL) != 0) {
        (void)pthread_cond_destroy(&self->changed);
        return ZSP_ENOMEM;
    }
    return ZSP_OK;
}

void zsp_monitor_fini(struct zsp_monitor *self)
{
    (void)pthread_cond_destroy(&self->changed); /* nobody waits, nobody holds it */
    (void)pthread_mutex_destroy(&self->mutex);
}

/* The rest fails only when misused. */

void zsp_monitor_lock(struct zsp_monitor *self)
{
    const int rc = pthread_mutex_lock(&self->mutex);
    zsp_assert(rc == 0);
}

void zsp_monitor_unlock(struct zsp_monitor *self)
{
    const int rc = pthread_mutex_unlock(&self->mutex);
    zsp_assert(rc == 0);
}

void zsp_monitor_wake(struct zsp_monitor *self)
{
    const int rc = pthread_cond_broadcast(&self->changed);
    zsp_assert(rc == 0);
}

void zsp_monitor_wake_one(struct zsp_monitor *self)
{
    const int rc = pthread_cond_signal(&self->changed);
    zsp_assert(rc == 0);
}

void zsp_monitor_wait(struct zsp_monitor *self, int64_t until_ms)
{
    const struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
                                   .tv_nsec = (long)(until_ms % 1000) * 1000000L};
    const int rc = until_ms == INT64_MAX
                       ? pthread_cond_wait(&self->changed, &self->mutex)
                       : pthread_cond_timedwait(&self->changed, &self->mutex, &until);
    zsp_assert(rc == 0 || rc == ETIMEDOUT);
}
