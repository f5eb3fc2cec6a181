/* SPDX-License-Identifier: MPL-2.0 */
#include "client/src/client_call.h"

#include <stdlib.h>

#include "common/container.h"
#include "common/limits.h"

enum call_state { WAITING, SENT, DONE };

struct call {
    struct zsp_port port;
    struct zsp_request request;
    struct zspool_client *client;
    struct zsp_writer args;
    bool repeatable;
    unsigned sent; /* how often */
    enum call_state state;
    int code; /* DONE */
    struct zsp_err err;
    zsp_call_read_fn *read_fn;
    void *arg;
};

static void call_free(struct call *self)
{
    zsp_writer_fini(&self->args);
    if (self->request.body) {
        zsp_buf_put(&self->request.body);
    }
    free(self);
}

static void finish(struct call *self, int code)
{
    self->state = DONE;
    self->code = code;
    zsp_link_notify(self->client->link);
}

static void call_done(struct zsp_request *request, const struct zsp_answer *answer)
{
    struct call *self = CONTAINER_OF(request, struct call, request);
    if (answer->code == ZSP_ECLOSED && self->repeatable) {
        self->state = WAITING;
        zsp_link_kick(self->client->link, &self->port);
        return;
    }
    int code = answer->code;
    if (code != 0) {
        self->err = *answer->err;
    } else if (self->read_fn) {
        code = self->read_fn(answer, self->arg, &self->err);
    }
    finish(self, code);
}

static void call_pump(struct zsp_port *port, int64_t now_ms)
{
    struct call *self = CONTAINER_OF(port, struct call, port);
    port->wake_ms = INT64_MAX;
    if (self->state != WAITING || !zsp_link_up(self->client->link)) {
        return;
    }
    const struct zsp_hello *hello = zsp_link_hello(self->client->link);
    if (self->args.len > hello->max_header - 64 ||
        (self->request.body && self->request.body->len > hello->max_frame)) {
        zsp_err_set(&self->err, ZSP_ETOO_LARGE, "the request is larger than the broker takes");
        self->err.maybe = self->sent > 0; /* another broker took it before */
        finish(self, ZSP_ETOO_LARGE);
        return;
    }
    if (zsp_link_send(self->client->link, port, &self->request, now_ms) == 0) {
        self->state = SENT;
        self->sent++;
    }
}

static struct call *call_new(struct zspool_client *client, const struct zsp_call_spec *spec)
{
    struct call *self = calloc(1, sizeof *self);
    if (!self) {
        return NULL;
    }
    self->args = *spec->args;
    *spec->args = (struct zsp_writer){0};
    self->client = client;
    self->repeatable = spec->repeatable;
    self->read_fn = spec->read_fn;
    self->arg = spec->arg;
    self->port.pump_fn = call_pump;
    self->request.verb = spec->verb;
    self->request.args = zsp_writer_slice(&self->args);
    self->request.repeats = spec->in_session;
    self->request.wait_ms = spec->wait_ms;
    self->request.done_fn = call_done;
    if (spec->body.data) {
        self->request.body = zsp_buf_copy(spec->body);
    } else if (spec->body_count > 0) {
        self->request.body = zsp_buf_get(spec->bodies[0]);
        self->request.more = spec->bodies + 1;
        self->request.more_count = spec->body_count - 1;
    }
    if (self->args.failed || (spec->body.data && !self->request.body)) {
        call_free(self);
        return NULL;
    }
    return self;
}

int zsp_call(struct zspool_client *client, const struct zsp_call_spec *spec, int timeout_ms,
             struct zsp_err *err)
{
    const int64_t deadline_ms = zsp_deadline_ms(timeout_ms);
    struct call *self = call_new(client, spec);
    if (!self) {
        return zsp_err_set(err, ZSP_ENOMEM, "no memory for a request");
    }
    struct zsp_err waited = {0};
    int rc = 0;
    zsp_link_lock(client->link);
    zsp_link_add(client->link, &self->port);
    while (self->state != DONE && rc == 0) {
        rc = zsp_link_wait(client->link, deadline_ms, &waited);
    }
    if (self->state == DONE) {
        rc = self->code;
        waited = self->err;
    } else {
        waited.maybe = self->sent > 0;
    }
    if (self->state == SENT) {
        zsp_link_forget(client->link, &self->request);
    }
    zsp_link_remove(client->link, &self->port);
    zsp_link_unlock(client->link);
    if (spec->ret_sent) {
        *spec->ret_sent = self->sent;
    }
    call_free(self);
    if (rc != 0 && err) {
        *err = waited;
    }
    return rc;
}
