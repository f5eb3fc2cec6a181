/* SPDX-License-Identifier: MPL-2.0
 *
 * The session of a link: it outlives connections.
 *
 * When a connection is lost, requests that repeat are put by; all others are answered with
 * ZSP_ECLOSED. The next HELLO asks to resume the session: if the broker has it, what was put by is
 * sent again under the same ids, so that a PULL gets the lease that its lost answer told of; if not,
 * it is answered with ZSP_ECLOSED, too.
 *
 * With heartbeats each side says something now and then; when the broker does not, the
 * connection counts as lost, but not before what may have arrived meanwhile was read.
 */
#include "client/src/link/link_priv.h"
#include "common/container.h"

#define SILENT_BEATS 2  /* heartbeats missed; one more passes before the connection is given up */
#define BYE_MS       80 /* a BYE's answer is waited for so long */

/* --- Requests that are put by ------------------------------------------------------------ */

bool zsp_link_put_by(struct zsp_link *self, struct zsp_request *request)
{
    if (!request->repeats || !self->has_session || self->stopping) {
        return false;
    }
    struct zsp_request **link = &self->put_by_first;
    while (*link && (*link)->id < request->id) {
        link = &(*link)->hash_next;
    }
    request->hash_next = *link;
    *link = request;
    return true;
}

static struct zsp_request *take_put_by(struct zsp_link *self)
{
    struct zsp_request *request = self->put_by_first;
    if (request) {
        self->put_by_first = request->hash_next;
    }
    return request;
}

bool zsp_link_forget_put_by(struct zsp_link *self, const struct zsp_request *request)
{
    struct zsp_request **link = &self->put_by_first;
    while (*link && *link != request) {
        link = &(*link)->hash_next;
    }
    if (!*link) {
        return false;
    }
    *link = request->hash_next;
    return true;
}

void zsp_link_close_put_by(struct zsp_link *self, int64_t now_ms)
{
    struct zsp_err err = self->trouble;
    zsp_err_set(&err, ZSP_ECLOSED, "the session is gone");
    err.maybe = true;
    const struct zsp_answer answer = {.code = ZSP_ECLOSED, .err = &err, .now_ms = now_ms};
    struct zsp_request *request;
    while ((request = take_put_by(self))) {
        request->done_fn(request, &answer);
    }
}

void zsp_link_repeat(struct zsp_link *self, int64_t now_ms)
{
    struct zsp_request *request;
    while ((request = take_put_by(self))) {
        if (zsp_link_send_as(self, request, request->id, now_ms) != 0) {
            (void)zsp_link_put_by(self, request); /* the connection is gone again */
            return;
        }
    }
}

/* --- HELLO -------------------------------------------------------------------------------- */

void zsp_link_write_hello(struct zsp_link *self)
{
    const struct zsp_hello_wish wish = {
        .name = self->name,
        .resume = self->has_session ? self->hello.session : NULL,
        .heartbeat_ms = (uint64_t)self->options.session_heartbeat_ms,
        .is_plain = self->plain_hello,
    };
    zsp_writer_reset(&self->greeting_args);
    zsp_hello_write(&self->greeting_args, &wish);
}

void zsp_link_session_up(struct zsp_link *self, int64_t now_ms)
{
    self->has_session = zsp_hello_has(&self->hello, "resume");
    self->beats = self->options.session_heartbeat_ms > 0 && !self->plain_hello &&
                  zsp_hello_has(&self->hello, "heartbeat");
    self->heard_ms = now_ms;
    self->suspect_ms = INT64_MAX;
    self->cancel_count = 0;
    if (self->hello.resumed) {
        zsp_link_repeat(self, now_ms);
    } else {
        zsp_link_close_put_by(self, now_ms);
    }
}

/* --- Heartbeats ---------------------------------------------------------------------------- */

int64_t zsp_link_ping_due_ms(const struct zsp_link *self)
{
    const uint64_t timeout_ms =
        self->hello.session_timeout_ms < 3000 ? 3000 : self->hello.session_timeout_ms;
    int64_t pause_ms = (int64_t)(timeout_ms > INT32_MAX ? INT32_MAX : timeout_ms) / 3;
    const int64_t heartbeat_ms = self->options.session_heartbeat_ms;
    if (self->beats && heartbeat_ms - heartbeat_ms / 4 < pause_ms) {
        pause_ms = heartbeat_ms - heartbeat_ms / 4;
    }
    return self->last_sent_ms + pause_ms;
}

void zsp_link_heard(struct zsp_link *self, int64_t now_ms)
{
    self->heard_ms = now_ms;
    self->suspect_ms = INT64_MAX;
}

bool zsp_link_is_silent(struct zsp_link *self, int64_t now_ms)
{
    if (!self->beats) {
        return false;
    }
    if (self->suspect_ms == INT64_MAX &&
        now_ms >= self->heard_ms + SILENT_BEATS * self->options.session_heartbeat_ms) {
        /* It may be us who slept: from now on, with the socket looked at. */
        self->suspect_ms = now_ms + self->options.session_heartbeat_ms;
    }
    return now_ms >= self->suspect_ms;
}

int64_t zsp_link_silence_due_ms(const struct zsp_link *self)
{
    if (!self->beats) {
        return INT64_MAX;
    }
    const int64_t missed_ms = self->heard_ms + SILENT_BEATS * self->options.session_heartbeat_ms;
    return self->suspect_ms != INT64_MAX ? self->suspect_ms : missed_ms;
}

/* --- CANCEL -------------------------------------------------------------------------------- */

static struct zsp_link *link_of_cancel(struct zsp_request *request)
{
    return CONTAINER_OF(request, struct zsp_link, cancel);
}

static void cancelled(struct zsp_request *request, const struct zsp_answer *answer)
{
    (void)answer; /* what was cancelled has its own */
    link_of_cancel(request)->cancel_out = false;
}

void zsp_link_cancel_id(struct zsp_link *self, uint64_t id)
{
    if (self->state == UP && zsp_hello_has(&self->hello, "cancel") &&
        self->cancel_count < ZSP_REQUESTS_MAX) {
        self->cancels[self->cancel_count++] = id;
        zsp_link_wake(self);
    }
}

void zsp_link_cancel(struct zsp_link *self, struct zsp_request *request)
{
    request->repeats = false; /* if it is put by, it is answered instead of sent again */
    zsp_link_cancel_id(self, request->id);
    zsp_link_wake(self);
}

void zsp_link_send_cancels(struct zsp_link *self, int64_t now_ms)
{
    if (self->cancel_out || self->cancel_count == 0) {
        return;
    }
    zsp_writer_reset(&self->cancel_args);
    wire_write_map(&self->cancel_args, 1);
    wire_write_text_uint(&self->cancel_args, "request", self->cancels[self->cancel_count - 1]);
    self->cancel.verb = "CANCEL";
    self->cancel.args = zsp_writer_slice(&self->cancel_args);
    self->cancel.done_fn = cancelled;
    if (!self->cancel_args.failed && zsp_link_send(self, NULL, &self->cancel, now_ms) == 0) {
        self->cancel_out = true;
        self->cancel_count--;
    }
}

/* Put by, and not to be sent again: its owner has waited long enough. */
void zsp_link_drop_cancelled(struct zsp_link *self, int64_t now_ms)
{
    struct zsp_err err = {0};
    zsp_err_set(&err, ZSP_ECLOSED, "taken back");
    err.maybe = true;
    const struct zsp_answer answer = {.code = ZSP_ECLOSED, .err = &err, .now_ms = now_ms};
    struct zsp_request *next = NULL;
    for (struct zsp_request *request = self->put_by_first; request; request = next) {
        next = request->hash_next;
        if (!request->repeats) {
            (void)zsp_link_forget_put_by(self, request);
            request->done_fn(request, &answer);
        }
    }
}

/* --- BYE ------------------------------------------------------------------------------------ */

static void said_bye(struct zsp_request *request, const struct zsp_answer *answer)
{
    (void)answer; /* we go in any case */
    struct zsp_link *self = CONTAINER_OF(request, struct zsp_link, bye);
    self->bye_until_ms = 0;
}

bool zsp_link_is_leaving(struct zsp_link *self, int64_t now_ms)
{
    if (self->has_left) {
        return self->state == UP && now_ms < self->bye_until_ms;
    }
    self->has_left = true;
    if (self->state != UP || !zsp_hello_has(&self->hello, "bye")) {
        return false;
    }
    zsp_writer_reset(&self->bye_args);
    wire_write_map(&self->bye_args, 1);
    wire_write_text_bool(&self->bye_args, "keep", self->keeps_leases);
    self->bye.verb = "BYE";
    self->bye.args = zsp_writer_slice(&self->bye_args);
    self->bye.done_fn = said_bye;
    self->bye_until_ms = now_ms + BYE_MS;
    return !self->bye_args.failed && zsp_link_send(self, NULL, &self->bye, now_ms) == 0;
}

void zsp_link_keep_leases(struct zsp_link *self)
{
    self->keeps_leases = true;
}
