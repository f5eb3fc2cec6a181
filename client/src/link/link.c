/* SPDX-License-Identifier: MPL-2.0
 *
 * One turn of the thread, as long as it runs:
 *   - locked: move the state on (attempt, time-outs), pump the ports that want it; unlocked: do the
 *     work of one of them, if it has some that takes long
 *   - unlocked: sleep in poll on the socket, its monitor and the eventfd
 *   - take what the monitor says, then replies: decoded unlocked, handed over locked
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client/src/link/link_priv.h"
#include "common/assert.h"

#define REPLIES_PER_TURN 64u /* then timers and ports get their turn */

static int64_t next_deadline_ms(const struct zsp_link *self)
{
    int64_t deadline_ms = zsp_link_state_due_ms(self);
    const struct zsp_port *port;
    LIST_FOREACH (port, &self->ports, link) {
        if (port->wake_ms < deadline_ms) {
            deadline_ms = port->wake_ms;
        }
    }
    return deadline_ms;
}

/* Everything that is due; returns for how long to sleep. */
static long step_locked(struct zsp_link *self, int64_t now_ms)
{
    zsp_link_step(self, now_ms);
    zsp_link_pump(self, now_ms);
    if (zsp_link_work(self) || self->kicked_count > 0 || self->send_failed) {
        return 0;
    }
    const int64_t deadline_ms = next_deadline_ms(self);
    self->asleep = true;
    if (deadline_ms <= now_ms) {
        return 0;
    }
    return deadline_ms - now_ms > 60000 ? 60000 : (long)(deadline_ms - now_ms);
}

static void drain_wake_fd(struct zsp_link *self)
{
    uint64_t count;
    if (read(self->wake_fd, &count, sizeof count) > 0 &&
        atomic_load_explicit(&self->interrupted, memory_order_relaxed)) {
        zsp_link_lock(self);
        zsp_link_notify(self);
        zsp_link_unlock(self);
    }
}

static void take_events(struct zsp_link *self, bool has_word)
{
    const int64_t now_ms = zsp_now_ms();
    for (unsigned i = 0; i < REPLIES_PER_TURN && zsp_link_take_reply(self, now_ms); i++) {
    }
    const char *why = "connection lost";
    /* Replies that arrived before the connection went were taken above, or are
     * lost; whoever asked asks again. */
    const bool lost = self->dealer.socket && (has_word || self->dealer.inproc) &&
                      zsp_dealer_lost(&self->dealer, &why);
    zsp_link_lock(self);
    if (lost) {
        zsp_link_fall(self, now_ms, ZSP_ECLOSED, why);
    } else if (self->state == CONNECTING && zsp_dealer_writable(&self->dealer)) {
        zsp_link_greet(self, now_ms);
    }
    zsp_link_unlock(self);
}

/* What the thread woke up for. */
struct news {
    bool of_callers;    /* the eventfd */
    bool of_socket;     /* replies, or a connection that stands */
    bool of_connection; /* the monitor has a word */
    bool of_context;    /* it has ended */
};

/* Not zmq_poll(): it asks each socket twice, and polls twice, for each wake-up. */
static struct news wait_for_news(struct zsp_link *self, bool connecting, long sleep_ms)
{
    struct pollfd items[] = {
        {.fd = self->wake_fd, .events = POLLIN},
        {.fd = zsp_dealer_fd(&self->dealer), .events = POLLIN},
        {.fd = zsp_dealer_monitor_fd(&self->dealer), .events = POLLIN},
        {.fd = zsp_context_fd(&self->context), .events = POLLIN},
    };
    const bool due = zsp_dealer_due(&self->dealer, connecting);
    const int ready = poll(items, sizeof items / sizeof items[0], due ? 0 : (int)sleep_ms);
    if (ready <= 0) { /* time is over, or a signal came */
        return (struct news){.of_socket = due};
    }
    return (struct news){
        .of_callers = items[0].revents != 0,
        .of_socket = due || items[1].revents != 0,
        .of_connection = items[2].revents != 0,
        .of_context = items[3].revents != 0 && zsp_context_ended(&self->context),
    };
}

static void *run(void *arg)
{
    struct zsp_link *self = arg;
    for (;;) {
        zsp_link_lock(self);
        if (self->stopping && !zsp_link_is_leaving(self, zsp_now_ms())) {
            break;
        }
        const long sleep_ms = step_locked(self, zsp_now_ms());
        const bool connecting = self->state == CONNECTING;
        zsp_link_unlock(self);

        const struct news news = wait_for_news(self, connecting, sleep_ms);
        zsp_link_lock(self);
        self->asleep = false;
        if (news.of_context) {
            zsp_link_end(self, zsp_now_ms());
        }
        zsp_link_unlock(self);
        if (news.of_callers) {
            drain_wake_fd(self);
        }
        if ((news.of_socket || news.of_connection) && !news.of_context) {
            take_events(self, news.of_connection);
        }
    }
    zsp_dealer_close(&self->dealer);
    self->state = PAUSED;
    zsp_err_set(&self->trouble, ZSP_ECLOSED, "the client was destroyed");
    zsp_link_close_pending(self, zsp_now_ms());
    zsp_link_kick_all(self);
    zsp_link_pump(self, zsp_now_ms()); /* what only waited for the broker frees itself */
    zsp_link_unlock(self);
    return NULL;
}

/* --- Life ----------------------------------------------------------------------------------- */

static int split_endpoints(struct zsp_link *self, const char *list, struct zsp_err *err)
{
    bool has_inproc = false;
    while (*list) {
        const size_t len = strcspn(list, ",");
        if (self->endpoint_count >= ZSP_ENDPOINTS_MAX) {
            return zsp_err_set_about(err, ZSP_EINVAL, "endpoints", "more than %u endpoints",
                                     ZSP_ENDPOINTS_MAX);
        }
        char *endpoint = strndup(list, len);
        if (!endpoint) {
            return zsp_err_set(err, ZSP_ENOMEM, "no memory for an endpoint");
        }
        self->endpoints[self->endpoint_count++] = endpoint;
        if (!zsp_endpoint_valid(endpoint)) {
            static const char wanted[] = "tcp://HOST:PORT, ipc://PATH or inproc://NAME";
            zsp_err_set(err, ZSP_EINVAL, "\"%.100s\" is no endpoint: want %s", endpoint, wanted);
            zsp_err_detail(err, "endpoints", wanted, endpoint);
            return ZSP_EINVAL;
        }
        has_inproc = has_inproc || zsp_endpoint_inproc(endpoint);
        list += len + (list[len] == ',' ? 1 : 0);
    }
    if (self->endpoint_count == 0) {
        return zsp_err_set_about(err, ZSP_EINVAL, "endpoints", "no endpoint given");
    }
    if (has_inproc && !self->options.zmq_context) {
        return zsp_err_set_about(err, ZSP_EINVAL, "zmq_context",
                                 "inproc needs the broker's context, see zmq_context");
    }
    if (has_inproc && self->endpoint_count > 1) {
        return zsp_err_set_about(err, ZSP_EINVAL, "endpoints",
                                 "an inproc endpoint stands alone, not in a list");
    }
    return 0;
}

static void release(struct zsp_link *self)
{
    zsp_context_close(&self->context); /* its sockets are closed, linger is 0 */
    if (self->wake_fd >= 0) {
        (void)close(self->wake_fd); /* an eventfd holds nothing that could be lost */
    }
    for (size_t i = 0; i < self->endpoint_count; i++) {
        free(self->endpoints[i]);
    }
    wire_decoder_destroy(&self->decoder);
    zsp_writer_fini(&self->greeting_args);
    zsp_writer_fini(&self->cancel_args);
    zsp_writer_fini(&self->bye_args);
    zsp_writer_fini(&self->header);
    free(self->frames);
    free(self->name);
    free(self);
}

struct zsp_link *zsp_link_new(const struct zsp_link_options *options, struct zsp_err *err)
{
    struct zsp_link *self = calloc(1, sizeof *self);
    if (!self) {
        zsp_err_set(err, ZSP_ENOMEM, "no memory for a client");
        return NULL;
    }
    self->wake_fd = -1;
    self->options = *options;
    zsp_pending_init(&self->pending);
    if (split_endpoints(self, options->endpoints, err) != 0) {
        goto fail;
    }
    zsp_err_set(err, ZSP_ENOMEM, "no memory for a client");
    self->decoder = wire_decoder_new();
    self->name = options->name ? strdup(options->name) : NULL;
    if (!self->decoder || (options->name && !self->name)) {
        goto fail;
    }
    self->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (self->wake_fd < 0 || zsp_context_open(&self->context, options->zmq_context) != 0 ||
        zsp_random(&self->dealer_serial, sizeof self->dealer_serial) != 0 ||
        zsp_random(&self->backoff.random, sizeof self->backoff.random) != 0) {
        zsp_err_set_errno(err, ZSP_EIO, errno, "cannot make a client");
        goto fail;
    }
    self->backoff.random |= 1;
    self->backoff.first_ms = options->reconnect_ms;
    self->backoff.max_ms = options->reconnect_ms_max;
    if (zsp_monitor_init(&self->monitor) != 0) {
        goto fail;
    }
    if (zsp_thread_start(&self->thread, "zspool", run, self) != 0) {
        zsp_monitor_fini(&self->monitor);
        zsp_err_set(err, ZSP_EIO, "cannot start a thread");
        goto fail;
    }
    return self;
fail:
    release(self);
    return NULL;
}

void zsp_link_destroy(struct zsp_link **self_p)
{
    struct zsp_link *self = *self_p;
    if (!self) {
        return;
    }
    *self_p = NULL;
    zsp_link_lock(self);
    self->stopping = true;
    self->asleep = true; /* whatever it was: write to the eventfd */
    zsp_link_wake(self);
    zsp_link_unlock(self);
    const int rc = pthread_join(self->thread, NULL);
    zsp_assert(rc == 0);
    zsp_assert(LIST_EMPTY(&self->ports));
    zsp_monitor_fini(&self->monitor);
    release(self);
}
