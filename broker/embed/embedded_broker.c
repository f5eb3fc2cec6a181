/* SPDX-License-Identifier: MPL-2.0
 *
 * The life of an embedded broker. Everything is opened on the host's thread, in
 * embedded_new(), so that what goes wrong is told there. Then one thread owns the
 * broker:
 *
 *   serve     broker_run() until it is told to stop, or the storage fails
 *             broker_destroy(): files and endpoints are closed
 *             the result is published, who waits is woken, failed_fn is called
 *
 * Host and thread meet in what is marked "locked" and in two eventfds: `stop_fd`
 * wakes the server's loop, `ended_fd` is for hosts that poll.
 */
#include "broker/embed/embedded_broker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "broker/embed/embedded_config.h"
#include "broker/embed/embedded_context.h"
#include "broker/server/broker.h"
#include "broker/server/now.h"
#include "common/assert.h"
#include "common/thread.h"

#define CONTEXT_END_MS 3000 /* for sockets that the host left open */

struct zspool_broker {
    /* Set once. */
    zspool_broker_options_t options; /* what it points to is not used later, but the callbacks */
    struct config config;
    struct zsp_diag diag;
    void *context;
    bool own_context;
    char endpoints[CONFIG_ENDPOINTS_MAX][ENDPOINT_MAX];
    size_t endpoint_count;
    int stop_fd;
    int ended_fd;
    pthread_t thread;
    bool has_thread;

    /* The thread's, from its start. */
    struct broker *broker;
    bool orphan; /* destroyed in a callback: nobody else knows it any more */

    struct zsp_monitor monitor;
    /* Locked. */
    zspool_broker_state_t state;
    int64_t stop_until_ms; /* monotonic */
    struct zsp_err result; /* once it has ended; code 0 = all is well */
};

_Static_assert(sizeof(zspool_error_t) == sizeof(struct zsp_err), "the same fields");
_Static_assert(offsetof(zspool_error_t, got) == offsetof(struct zsp_err, got), "the same fields");
_Static_assert((int)ZSPOOL_BROKER_DEBUG == (int)ZSP_DEBUG, "the same levels");
_Static_assert((int)ZSPOOL_BROKER_ERROR == (int)ZSP_ERROR, "the same levels");
_Static_assert((int)ZSPOOL_ELOCKED == (int)ZSP_ELOCKED, "the same codes");
_Static_assert(ZSPOOL_BROKER_STOP_MS == SERVER_DRAIN_MS, "the header tells it");

const char *zspool_broker_version(void)
{
    return ZSP_VERSION_TEXT;
}

static void export_error(const struct zsp_err *from, zspool_error_t *to)
{
    if (to) {
        to->code = from->code;
        to->sys_errno = from->sys_errno;
        to->maybe = from->maybe;
        memcpy(to->message, from->msg, sizeof to->message);
        memcpy(to->object, from->object, sizeof to->object);
        memcpy(to->wanted, from->wanted, sizeof to->wanted);
        memcpy(to->got, from->got, sizeof to->got);
    }
}

static int no_broker(zspool_error_t *err)
{
    struct zsp_err report = {0};
    (void)zsp_err_set(&report, ZSP_EINVAL, "no broker given");
    export_error(&report, err);
    return ZSP_EINVAL;
}

static void lock(zspool_broker_t *self)
{
    zsp_monitor_lock(&self->monitor);
}

static void unlock(zspool_broker_t *self)
{
    zsp_monitor_unlock(&self->monitor);
}

static bool ended(const zspool_broker_t *self)
{
    return self->state == ZSPOOL_BROKER_STOPPED || self->state == ZSPOOL_BROKER_FAILED;
}

/* Does the broker's own thread call, out of a callback? */
static bool on_own_thread(const zspool_broker_t *self)
{
    return self->has_thread && pthread_equal(pthread_self(), self->thread);
}

/* An eventfd of ours has room for any number of ones. */
static void raise_event(int event_fd)
{
    const uint64_t one = 1;
    (void)!write(event_fd, &one, sizeof one);
}

/* --- The thread ------------------------------------------------------------------------------ */

static void tell(void *arg, enum zsp_level level, const char *line)
{
    const zspool_broker_t *const self = arg;
    if (!self->orphan) {
        self->options.diag_fn(self->options.diag_arg, (zspool_broker_level_t)level, line);
    }
}

/* In the server's loop. */
static void take_stop(void *arg, struct server *server)
{
    zspool_broker_t *const self = arg;
    uint64_t count = 0;
    (void)!read(self->stop_fd, &count, sizeof count); /* the loop saw that it is readable */
    lock(self);
    const int64_t until_ms = self->stop_until_ms;
    unlock(self);
    const int64_t left_ms = until_ms - now_instant().mono_ms;
    server_drain(server, left_ms > 0 ? left_ms : 0);
}

static void publish_result(zspool_broker_t *self, int rc, const struct zsp_err *err)
{
    lock(self);
    const bool stopping = self->state == ZSPOOL_BROKER_STOPPING;
    self->result = *err;
    self->result.code = rc;
    self->state = stopping && (rc == ZSP_OK || rc == ZSP_EINTERRUPTED) ? ZSPOOL_BROKER_STOPPED
                                                                       : ZSPOOL_BROKER_FAILED;
    raise_event(self->ended_fd); /* before anybody can know it otherwise */
    zsp_monitor_wake(&self->monitor);
    unlock(self);
}

static void release(zspool_broker_t *self);

static void *serve(void *arg)
{
    zspool_broker_t *const self = arg;
    lock(self); /* until start_thread() has written down which thread this is */
    unlock(self);
    struct zsp_err err = {0};
    const int rc = broker_run(self->broker, &err);
    broker_destroy(&self->broker);
    publish_result(self, rc, &err);
    /* Only this thread changes the state from here on. */
    if (self->state == ZSPOOL_BROKER_FAILED && self->options.failed_fn && !self->orphan) {
        zspool_error_t report;
        export_error(&self->result, &report);
        self->options.failed_fn(self->options.failed_arg, &report);
    }
    if (self->orphan) {
        (void)pthread_detach(self->thread); /* nobody joins it */
        release(self);
    }
    return NULL;
}

/* --- Beginning --------------------------------------------------------------------------------- */

/* Memory and monitor; no descriptors yet. */
static zspool_broker_t *allocate(struct zsp_err *err)
{
    zspool_broker_t *const self = calloc(1, sizeof *self);
    if (!self || zsp_monitor_init(&self->monitor) < 0) {
        (void)zsp_err_set(err, ZSP_ENOMEM, "make the broker: out of memory");
        free(self);
        return NULL;
    }
    self->stop_fd = -1;
    self->ended_fd = -1;
    return self;
}

static void release(zspool_broker_t *self)
{
    broker_destroy(&self->broker);
    if (self->context && self->own_context &&
        !embedded_context_end(self->context, CONTEXT_END_MS) && self->options.diag_fn) {
        zsp_diag(&self->diag, ZSP_WARNING,
                 "the host has not closed all its sockets in the broker's context");
    }
    if (self->stop_fd >= 0) {
        (void)close(self->stop_fd); /* eventfds hold nothing that could be lost */
    }
    if (self->ended_fd >= 0) {
        (void)close(self->ended_fd);
    }
    zsp_monitor_fini(&self->monitor);
    free(self);
}

static int open_descriptors(zspool_broker_t *self, struct zsp_err *err)
{
    self->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (self->stop_fd < 0 || self->ended_fd < 0) {
        return zsp_err_set_errno(err, ZSP_EIO, errno, "make an eventfd");
    }
    return ZSP_OK;
}

static int open_context(zspool_broker_t *self, struct zsp_err *err)
{
    self->context = self->options.zmq_context;
    if (!self->context) {
        self->own_context = true;
        self->context = embedded_context_new(self->config.io_threads, err);
    }
    return self->context ? ZSP_OK : ZSP_EIO;
}

static int open_broker(zspool_broker_t *self, struct fs *fs, struct zsp_err *err)
{
    const struct broker_options options = {
        .config = &self->config,
        .diag = self->options.diag_fn ? &self->diag : NULL,
        .context = self->context,
        .fs = fs,
        .host_fd = self->stop_fd,
        .host_fn = take_stop,
        .host_arg = self,
    };
    self->broker = broker_open(&options, err);
    if (!self->broker) {
        return ZSP_EIO;
    }
    const struct server *const server = broker_server(self->broker);
    self->endpoint_count = server_endpoint_count(server);
    for (size_t i = 0; i < self->endpoint_count; i++) {
        (void)snprintf(self->endpoints[i], ENDPOINT_MAX, "%s", server_endpoint(server, i));
    }
    return ZSP_OK;
}

static int start_thread(zspool_broker_t *self, struct zsp_err *err)
{
    lock(self);
    const int rc = zsp_thread_start(&self->thread, "zspool-broker", serve, self);
    self->has_thread = rc == 0;
    unlock(self);
    return rc == 0 ? ZSP_OK : zsp_err_set_errno(err, ZSP_EIO, rc, "start the broker's thread");
}

zspool_broker_t *embedded_new(const zspool_broker_options_t *options, struct fs *fs,
                              struct zsp_err *err)
{
    zspool_broker_t *const self = allocate(err);
    if (!self) {
        return NULL;
    }
    int rc = embedded_options_read(&self->options, options, err);
    if (rc == ZSP_OK) {
        rc = embedded_config_read(&self->config, &self->options, err);
    }
    self->diag = (struct zsp_diag){.sink_fn = tell, .arg = self, .least = self->config.level};
    if (rc == ZSP_OK) {
        rc = open_descriptors(self, err);
    }
    if (rc == ZSP_OK) {
        rc = open_context(self, err);
    }
    if (rc == ZSP_OK) {
        rc = open_broker(self, fs, err);
    }
    if (rc == ZSP_OK) {
        rc = start_thread(self, err);
    }
    if (rc < 0) {
        release(self);
        return NULL;
    }
    return self;
}

zspool_broker_t *zspool_broker_new(const zspool_broker_options_t *options, zspool_error_t *err)
{
    struct zsp_err report = {0};
    zspool_broker_t *const self = embedded_new(options, NULL, &report);
    if (!self) {
        export_error(&report, err);
    }
    return self;
}

/* --- Looking at it --------------------------------------------------------------------------- */

const char *zspool_broker_endpoint(const zspool_broker_t *self, size_t index)
{
    return self && index < self->endpoint_count ? self->endpoints[index] : NULL;
}

void *zspool_broker_context(const zspool_broker_t *self)
{
    return self ? self->context : NULL;
}

zspool_broker_state_t zspool_broker_state(zspool_broker_t *self)
{
    if (!self) {
        return ZSPOOL_BROKER_STOPPED;
    }
    lock(self);
    const zspool_broker_state_t state = self->state;
    unlock(self);
    return state;
}

int zspool_broker_fd(const zspool_broker_t *self)
{
    return self ? self->ended_fd : -1;
}

/* --- The end --------------------------------------------------------------------------------- */

static int64_t deadline_ms(int timeout_ms)
{
    return timeout_ms < 0 ? INT64_MAX : now_instant().mono_ms + timeout_ms;
}

/* Locked: wait until it has ended, or the monotonic time. */
static void await_end(zspool_broker_t *self, int64_t until_ms)
{
    while (!ended(self) && now_instant().mono_ms < until_ms) {
        zsp_monitor_wait(&self->monitor, until_ms);
    }
}

int zspool_broker_wait(zspool_broker_t *self, int timeout_ms, zspool_error_t *err)
{
    if (!self) {
        return no_broker(err);
    }
    struct zsp_err report = {0};
    lock(self);
    await_end(self, on_own_thread(self) ? 0 : deadline_ms(timeout_ms));
    if (ended(self)) {
        report = self->result;
    } else {
        (void)zsp_err_set(&report, ZSP_ETIMEOUT, "the broker has not ended yet");
    }
    unlock(self);
    if (report.code < 0) {
        export_error(&report, err);
    }
    return report.code;
}

static void begin_stop(zspool_broker_t *self, int timeout_ms)
{
    const int64_t until_ms = deadline_ms(timeout_ms);
    lock(self);
    if (self->state == ZSPOOL_BROKER_SERVING) {
        self->state = ZSPOOL_BROKER_STOPPING;
        self->stop_until_ms = until_ms;
    } else if (until_ms < self->stop_until_ms) {
        self->stop_until_ms = until_ms;
    }
    unlock(self);
    raise_event(self->stop_fd);
}

int zspool_broker_stop(zspool_broker_t *self, int timeout_ms, zspool_error_t *err)
{
    if (!self) {
        return no_broker(err);
    }
    begin_stop(self, timeout_ms);
    const int rc = zspool_broker_wait(self, -1, err);
    if (rc != ZSP_ETIMEOUT) {
        return rc;
    }
    struct zsp_err report = {0};
    (void)zsp_err_set(&report, ZSP_EAGAIN, "stopping: its own thread cannot wait for the end");
    export_error(&report, err);
    return ZSP_EAGAIN;
}

void zspool_broker_destroy(zspool_broker_t **self_p)
{
    if (!self_p || !*self_p) {
        return;
    }
    zspool_broker_t *const self = *self_p;
    *self_p = NULL;
    begin_stop(self, ZSPOOL_BROKER_STOP_MS);
    if (on_own_thread(self)) {
        self->orphan = true;
        return;
    }
    const int rc = pthread_join(self->thread, NULL);
    zsp_assert(rc == 0);
    release(self);
}
