/* SPDX-License-Identifier: MPL-2.0 */
#include "client/src/link/dealer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/assert.h"
#include "common/limits.h"

/* Below this a body is copied: cheaper than libzmq's bookkeeping for shared bytes. */
#define SHARE_BYTES_MIN 2048u

static int set_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value);
}

static int set_options(void *socket, const struct zsp_dealer_options *options)
{
    const int64_t message_max = 2 * (int64_t)ZSP_REPLY_MAX;
    int rc = 0;
    rc |= set_int(socket, ZMQ_IMMEDIATE, 1);
    rc |= set_int(socket, ZMQ_LINGER, 0);
    rc |= set_int(socket, ZMQ_RECONNECT_IVL, -1);
    rc |= set_int(socket, ZMQ_CONNECT_TIMEOUT, options->connect_ms);
    rc |= set_int(socket, ZMQ_HANDSHAKE_IVL, options->connect_ms);
    rc |= set_int(socket, ZMQ_HEARTBEAT_IVL, options->heartbeat_ms);
    rc |= set_int(socket, ZMQ_HEARTBEAT_TIMEOUT, options->heartbeat_ms * 3);
    /* Credit bounds what is queued; a high-water mark would only hide it. */
    rc |= set_int(socket, ZMQ_SNDHWM, 0);
    rc |= set_int(socket, ZMQ_RCVHWM, 0);
    rc |= set_int(socket, ZMQ_IPV6, 1);
    rc |= zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &message_max, sizeof message_max);
    return rc;
}

static int int_option(void *socket, int option, int fallback)
{
    int value = fallback;
    size_t len = sizeof value;
    return zmq_getsockopt(socket, option, &value, &len) == 0 ? value : fallback;
}

static int open_monitor(struct zsp_dealer *self, void *context, uint64_t serial)
{
    char name[64];
    (void)snprintf(name, sizeof name, "inproc://zspool-monitor-%" PRIu64, serial);
    const int events = ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED | ZMQ_EVENT_CONNECT_RETRIED |
                       ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                       ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
    if (zmq_socket_monitor(self->socket, name, events) != 0) {
        return -1;
    }
    self->monitor = zmq_socket(context, ZMQ_PAIR);
    if (!self->monitor || set_int(self->monitor, ZMQ_LINGER, 0) != 0) {
        return -1;
    }
    if (zmq_connect(self->monitor, name) != 0) {
        return -1;
    }
    (void)int_option(self->monitor, ZMQ_EVENTS,
                     0); /* its descriptor wakes from the first look on */
    return 0;
}

int zsp_dealer_open(struct zsp_dealer *self, void *context, const char *endpoint,
                    const struct zsp_dealer_options *options, struct zsp_err *err)
{
    memset(self, 0, sizeof *self);
    self->inproc = zsp_endpoint_inproc(endpoint);
    int code = ZSP_EIO;
    self->socket = zmq_socket(context, ZMQ_DEALER);
    if (!self->socket || set_options(self->socket, options) != 0 ||
        (!self->inproc && open_monitor(self, context, options->serial) != 0)) {
        goto fail;
    }
    self->socket_fd = int_option(self->socket, ZMQ_FD, -1);
    self->monitor_fd = self->monitor ? int_option(self->monitor, ZMQ_FD, -1) : -1;
    if (zmq_connect(self->socket, endpoint) == 0) {
        return 0;
    }
    code = errno == EINVAL || errno == EPROTONOSUPPORT ? ZSP_EINVAL : ZSP_EIO;
fail:
    zsp_err_set(err, code, "%s: %s", endpoint, zmq_strerror(errno));
    zsp_dealer_close(self);
    return code;
}

void zsp_dealer_close(struct zsp_dealer *self)
{
    if (self->socket) {
        /* Neither can fail on sockets of our own that no other thread uses. */
        (void)zmq_socket_monitor(self->socket, NULL, 0);
        (void)zmq_close(self->socket);
    }
    if (self->monitor) {
        (void)zmq_close(self->monitor);
    }
    self->socket = NULL;
    self->monitor = NULL;
}

static const char *event_word(uint16_t event)
{
    switch (event) {
    case ZMQ_EVENT_DISCONNECTED:
        return "connection lost";
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        return "no ZeroMQ handshake";
    default:
        return "cannot connect";
    }
}

/* One event = a frame (number, value) and a frame (endpoint). */
static bool next_event(void *monitor, uint16_t *ret_event)
{
    uint8_t frame[6];
    const int len = zmq_recv(monitor, frame, sizeof frame, ZMQ_DONTWAIT);
    if (len < 0) {
        return false;
    }
    char endpoint[1];
    if (zmq_recv(monitor, endpoint, sizeof endpoint, ZMQ_DONTWAIT) < 0) {
        return false;
    }
    memcpy(ret_event, frame, sizeof *ret_event); /* in native order, by libzmq's contract */
    return len >= (int)sizeof *ret_event;
}

/* Without a high-water mark a socket that cannot send has no peer. */
bool zsp_dealer_writable(const struct zsp_dealer *self)
{
    return (int_option(self->socket, ZMQ_EVENTS, 0) & ZMQ_POLLOUT) != 0;
}

int zsp_dealer_fd(const struct zsp_dealer *self)
{
    return self->socket ? self->socket_fd : -1;
}

int zsp_dealer_monitor_fd(const struct zsp_dealer *self)
{
    return self->monitor ? self->monitor_fd : -1;
}

bool zsp_dealer_due(const struct zsp_dealer *self, bool connecting)
{
    if (!self->socket) {
        return false;
    }
    const int events = int_option(self->socket, ZMQ_EVENTS, 0);
    if (self->inproc) {
        return connecting || (events & ZMQ_POLLIN) || !(events & ZMQ_POLLOUT);
    }
    return (events & (ZMQ_POLLIN | (connecting ? ZMQ_POLLOUT : 0))) != 0;
}

bool zsp_dealer_lost(struct zsp_dealer *self, const char **ret_why)
{
    if (self->inproc && !zsp_dealer_writable(self)) {
        *ret_why = event_word(ZMQ_EVENT_DISCONNECTED);
        return true;
    }
    bool lost = false;
    uint16_t event = 0;
    while (self->monitor && next_event(self->monitor, &event)) {
        if (!lost) {
            *ret_why = event_word(event);
        }
        lost = true;
    }
    return lost;
}

/* Called by a thread of libzmq. */
static void release_body(void *data, void *hint)
{
    (void)data;
    struct zsp_buf *body = hint;
    /* For ThreadSanitizer, which does not see the pipes of libzmq: after zsp_buf_get(). */
    zsp_assert(atomic_load_explicit(&body->refs, memory_order_acquire) > 0);
    zsp_buf_put(&body);
}

static void writable(void **ret, const void *data)
{
    memcpy(ret, &data, sizeof data);
}

static int body_message(zmq_msg_t *ret, struct zsp_buf *body)
{
    if (body->len < SHARE_BYTES_MIN) {
        if (zmq_msg_init_size(ret, body->len) != 0) {
            return ZSP_EAGAIN;
        }
        memcpy(zmq_msg_data(ret), body->data, body->len);
        return 0;
    }
    void *data; /* libzmq takes it without const, and only reads it */
    writable(&data, body->data);
    struct zsp_buf *reference = zsp_buf_get(body);
    if (zmq_msg_init_data(ret, data, body->len, release_body, reference) != 0) {
        zsp_buf_put(&reference);
        return ZSP_EAGAIN;
    }
    return 0;
}

static int more_flag(size_t left)
{
    return ZMQ_DONTWAIT | (left > 0 ? ZMQ_SNDMORE : 0);
}

/* Body frames behind the first. What fails is the whole message: the connection goes. */
static int send_more(struct zsp_dealer *self, struct zsp_buf *const *more, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        zmq_msg_t frame;
        if (body_message(&frame, more[i]) != 0) {
            return ZSP_EAGAIN;
        }
        if (zmq_msg_send(&frame, self->socket, more_flag(count - i - 1)) < 0) {
            (void)zmq_msg_close(&frame);
            return ZSP_EAGAIN;
        }
    }
    return 0;
}

int zsp_dealer_send(struct zsp_dealer *self, struct zsp_slice header, struct zsp_buf *body,
                    struct zsp_buf *const *more, size_t more_count)
{
    zmq_msg_t second;
    if (body && body_message(&second, body) != 0) {
        return ZSP_EAGAIN;
    }
    if (zmq_send(self->socket, header.data, header.len, ZMQ_DONTWAIT | (body ? ZMQ_SNDMORE : 0)) <
        0) {
        goto fail;
    }
    if (body && zmq_msg_send(&second, self->socket, more_flag(more_count)) < 0) {
        /* The peer went between the frames: the half message goes with it. */
        goto fail;
    }
    return send_more(self, more, more_count);
fail:
    if (body) {
        (void)zmq_msg_close(&second);
    }
    return ZSP_EAGAIN;
}

bool zsp_endpoint_inproc(const char *endpoint)
{
    return strncmp(endpoint, "inproc://", 9) == 0;
}

/* HOST:PORT; a host of "*" can be listened on, not connected to. */
static bool tcp_address_valid(const char *address)
{
    const char *colon = strrchr(address, ':');
    if (!colon || colon == address || (colon == address + 1 && address[0] == '*')) {
        return false;
    }
    unsigned port = 0;
    size_t digits = 0;
    for (const char *p = colon + 1; *p >= '0' && *p <= '9' && digits < 6; p++) {
        port = port * 10 + (unsigned)(*p - '0');
        digits++;
    }
    return colon[1 + digits] == '\0' && port > 0 && port <= 65535;
}

bool zsp_endpoint_valid(const char *endpoint)
{
    if (strlen(endpoint) > 255) {
        return false;
    }
    if (strncmp(endpoint, "tcp://", 6) == 0) {
        return tcp_address_valid(endpoint + 6);
    }
    if (zsp_endpoint_inproc(endpoint)) {
        return endpoint[9] != '\0';
    }
    return strncmp(endpoint, "ipc://", 6) == 0 && endpoint[6] != '\0';
}
