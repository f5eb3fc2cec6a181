/* SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <unistd.h>

#include "client/src/link/link_priv.h"

void zsp_link_lock(struct zsp_link *self)
{
    zsp_monitor_lock(&self->monitor);
}

/* Who is woken wants the lock at once: so that is given up before. */
void zsp_link_unlock(struct zsp_link *self)
{
    const bool notifies = self->notifies;
    self->notifies = false;
    zsp_monitor_unlock(&self->monitor);
    if (notifies) {
        zsp_monitor_wake(&self->monitor);
    }
}

void zsp_link_notify(struct zsp_link *self)
{
    self->notifies = true;
}

static int timed_out(const struct zsp_link *self, struct zsp_err *err)
{
    if (self->state != UP && self->trouble.code != 0) {
        return zsp_err_set(err, ZSP_ETIMEOUT, "no answer in time: %s", self->trouble.msg);
    }
    if (self->state != UP) {
        return zsp_err_set(err, ZSP_ETIMEOUT, "no answer in time: %s: not connected yet",
                           zsp_link_endpoint(self));
    }
    return zsp_err_set(err, ZSP_ETIMEOUT, "no answer in time");
}

int zsp_link_wait_always(struct zsp_link *self, int64_t deadline_ms)
{
    if (deadline_ms != INT64_MAX && zsp_now_ms() >= deadline_ms) {
        return ZSP_ETIMEOUT;
    }
    if (self->notifies) {
        self->notifies = false;
        zsp_monitor_wake(&self->monitor);
    }
    zsp_monitor_wait(&self->monitor, deadline_ms);
    return 0;
}

int zsp_link_wait(struct zsp_link *self, int64_t deadline_ms, struct zsp_err *err)
{
    if (atomic_load_explicit(&self->interrupted, memory_order_relaxed)) {
        return zsp_err_set(err, ZSP_EINTERRUPTED, "interrupted");
    }
    if (zsp_link_refused(self)) {
        if (err) {
            *err = self->trouble;
        }
        return self->trouble.code;
    }
    const int rc = zsp_link_wait_always(self, deadline_ms);
    return rc == 0 ? 0 : timed_out(self, err);
}

void zsp_link_interrupt(struct zsp_link *self, bool interrupted)
{
    const int saved_errno = errno;
    atomic_store_explicit(&self->interrupted, interrupted, memory_order_relaxed);
    const uint64_t one = 1;
    (void)!write(self->wake_fd, &one, sizeof one); /* full: the thread is awake anyway */
    errno = saved_errno;
}

const struct zsp_hello *zsp_link_hello(const struct zsp_link *self)
{
    return &self->hello;
}

const char *zsp_link_endpoint(const struct zsp_link *self)
{
    return self->endpoints[self->endpoint_index];
}

int64_t zsp_link_clock_ahead_ms(const struct zsp_link *self)
{
    return self->clock_ahead_ms;
}

bool zsp_link_refused(const struct zsp_link *self)
{
    bool refused = self->state != UP;
    for (size_t i = 0; i < self->endpoint_count; i++) {
        refused = refused && self->refusals[i];
    }
    return refused;
}
