/* SPDX-License-Identifier: MPL-2.0 */
#include <unistd.h>

#include "client/src/link/link_priv.h"

#define OWN_REQUESTS      3u  /* kept free for PING, CANCEL and BYE */
#define RETRY_MS          100 /* after a lack of memory */
#define HEADER_BYTES_USED 64u /* of credit, for [1, verb, id] before the arguments */

void zsp_link_add(struct zsp_link *self, struct zsp_port *port)
{
    port->wake_ms = INT64_MAX;
    LIST_INSERT_HEAD(&self->ports, port, link);
    zsp_link_kick(self, port);
}

void zsp_link_remove(struct zsp_link *self, struct zsp_port *port)
{
    LIST_REMOVE(port, link);
    if (port->kicked) {
        port->kicked = false;
        self->kicked_count--;
    }
}

void zsp_link_wake(struct zsp_link *self)
{
    if (self->asleep) {
        self->asleep = false;
        const uint64_t one = 1;
        /* Fails only when the counter is full: then the thread is awake anyway. */
        (void)!write(self->wake_fd, &one, sizeof one);
    }
}

void zsp_link_kick(struct zsp_link *self, struct zsp_port *port)
{
    if (!port->kicked) {
        port->kicked = true;
        self->kicked_count++;
    }
    zsp_link_wake(self);
}

static bool pump_due(const struct zsp_port *port, int64_t now_ms)
{
    return port->kicked || port->wake_ms <= now_ms;
}

/* A pump may remove its own port, never another one. */
void zsp_link_pump(struct zsp_link *self, int64_t now_ms)
{
    struct zsp_port *next;
    for (struct zsp_port *port = LIST_FIRST(&self->ports); port; port = next) {
        next = LIST_NEXT(port, link);
        if (!pump_due(port, now_ms)) {
            continue;
        }
        if (port->kicked) {
            port->kicked = false;
            self->kicked_count--;
        }
        port->starved = false;
        port->pump_fn(port, now_ms);
    }
}

bool zsp_link_work(struct zsp_link *self)
{
    struct zsp_port *port = LIST_FIRST(&self->ports);
    while (port && !port->work_fn) {
        port = LIST_NEXT(port, link);
    }
    if (!port) {
        return false;
    }
    void (*const work_fn)(struct zsp_port *) = port->work_fn;
    port->work_fn = NULL;
    self->working = port;
    zsp_link_unlock(self);
    work_fn(port);
    zsp_link_lock(self);
    self->working = NULL;
    zsp_link_notify(self);
    zsp_link_kick(self, port);
    return true;
}

void zsp_link_end_work(struct zsp_link *self, struct zsp_port *port)
{
    port->work_fn = NULL;
    while (self->working == port) {
        (void)zsp_link_wait_always(self, INT64_MAX);
    }
    port->work_fn = NULL; /* it may have been pumped meanwhile */
}

void zsp_link_feed(struct zsp_link *self)
{
    struct zsp_port *port;
    LIST_FOREACH (port, &self->ports, link) {
        if (port->starved) {
            zsp_link_kick(self, port);
        }
    }
}

bool zsp_link_up(const struct zsp_link *self)
{
    return self->state == UP && !self->send_failed;
}

bool zsp_link_room(struct zsp_link *self, struct zsp_port *port, size_t bytes)
{
    const uint64_t used = self->pending_bytes;
    const uint64_t max = self->hello.max_request_bytes;
    const bool fits = used == 0 || (used <= max && bytes <= max - used);
    const uint64_t own = self->hello.max_requests > 2 * OWN_REQUESTS ? OWN_REQUESTS : 0;
    const bool room =
        zsp_link_up(self) && fits && self->pending.count < self->hello.max_requests - own;
    port->starved = port->starved || !room;
    return room;
}

static size_t request_bytes(const struct zsp_request *request)
{
    size_t bytes = HEADER_BYTES_USED + request->args.len + request->extra_bytes +
                   (request->body ? request->body->len : 0);
    for (size_t i = 0; i < request->more_count; i++) {
        bytes += request->more[i]->len;
    }
    return bytes;
}

void zsp_link_try_later(struct zsp_port *port, int64_t now_ms)
{
    if (port->wake_ms > now_ms + RETRY_MS) {
        port->wake_ms = now_ms + RETRY_MS;
    }
}

int zsp_link_send_as(struct zsp_link *self, struct zsp_request *request, uint64_t id,
                     int64_t now_ms)
{
    const size_t bytes = request_bytes(request);
    if (self->pending.count >= ZSP_REQUESTS_MAX || self->pending_bytes > SIZE_MAX - bytes) {
        return ZSP_EAGAIN;
    }
    zsp_writer_reset(&self->header);
    wire_write_request(&self->header, zsp_slice_str(request->verb), id);
    zsp_write_bytes(&self->header, request->args);
    if (self->header.failed) {
        return ZSP_EAGAIN;
    }
    if (zsp_dealer_send(&self->dealer, zsp_writer_slice(&self->header), request->body,
                        request->more, request->more_count) != 0) {
        self->send_failed = true;
        return ZSP_EAGAIN;
    }
    request->id = id;
    self->last_id = id > self->last_id ? id : self->last_id;
    request->deadline_ms = now_ms + self->options.answer_ms + request->wait_ms;
    request->bytes = bytes;
    zsp_pending_add(&self->pending, request);
    self->pending_bytes += bytes;
    self->last_sent_ms = now_ms;
    return 0;
}

int zsp_link_send(struct zsp_link *self, struct zsp_port *port, struct zsp_request *request,
                  int64_t now_ms)
{
    if (port && !zsp_link_room(self, port, request_bytes(request))) {
        return ZSP_EAGAIN;
    }
    const int rc = zsp_link_send_as(self, request, self->last_id + 1, now_ms);
    if (rc != 0 && port) {
        zsp_link_try_later(port, now_ms);
    }
    return rc;
}

int zsp_link_send_args(struct zsp_link *self, struct zsp_port *port, struct zsp_request *request,
                       const struct zsp_writer *args, int64_t now_ms)
{
    if (args->failed) {
        zsp_link_try_later(port, now_ms);
        return ZSP_EAGAIN;
    }
    request->args = zsp_writer_slice(args);
    return zsp_link_send(self, port, request, now_ms);
}

void zsp_link_forget(struct zsp_link *self, struct zsp_request *request)
{
    if (zsp_link_forget_put_by(self, request)) {
        return;
    }
    if (zsp_pending_take(&self->pending, request->id) == request) {
        self->pending_bytes -= request->bytes;
        if (request->wait_ms > 0) {
            zsp_link_cancel_id(self, request->id); /* it would wait for nobody */
        }
        zsp_link_feed(self);
    }
}

void zsp_link_kick_all(struct zsp_link *self)
{
    struct zsp_port *port;
    LIST_FOREACH (port, &self->ports, link) {
        zsp_link_kick(self, port);
    }
}
