/* SPDX-License-Identifier: MPL-2.0 */
#include <string.h>

#include "client/src/link/link_priv.h"
#include "common/container.h"

static void greeted(struct zsp_request *request, const struct zsp_answer *answer);

static struct zsp_link *link_of_greeting(struct zsp_request *request)
{
    return CONTAINER_OF(request, struct zsp_link, greeting);
}

static int64_t next_pause_ms(struct zsp_link *self)
{
    uint64_t rounds = 0;
    if (self->attempts_failed > 0) {
        rounds += (self->attempts_failed - 1) / self->endpoint_count;
    }
    if (self->short_sessions > 0) {
        rounds += self->short_sessions - 1;
    }
    return zsp_backoff_ms(&self->backoff, rounds);
}

/* What this end of an attempt or a session means for the next attempt. A session that ends soon is
 * followed by longer and longer pauses, too: the broker may be one that falls over at every start. */
static void count_failure(struct zsp_link *self, int64_t now_ms)
{
    self->refusals[self->endpoint_index] = false;
    if (self->state != UP) {
        self->attempts_failed++;
        self->endpoint_index = (self->endpoint_index + 1) % self->endpoint_count;
    } else if (now_ms - self->up_since_ms >= self->options.reconnect_ms_max) {
        self->short_sessions = 0;
    } else {
        self->short_sessions++;
    }
}

void zsp_link_close_pending(struct zsp_link *self, int64_t now_ms)
{
    struct zsp_err err = self->trouble;
    err.code = ZSP_ECLOSED;
    err.maybe = true;
    const struct zsp_answer answer = {.code = ZSP_ECLOSED, .err = &err, .now_ms = now_ms};
    struct zsp_request *request;
    while ((request = zsp_pending_take_oldest(&self->pending))) {
        if (!zsp_link_put_by(self, request)) {
            request->done_fn(request, &answer);
        }
    }
    self->pending_bytes = 0;
    if (self->stopping) {
        zsp_link_close_put_by(self, now_ms);
    }
}

/* any -> PAUSED */
void zsp_link_fall(struct zsp_link *self, int64_t now_ms, int code, const char *why)
{
    zsp_dealer_close(&self->dealer);
    self->send_failed = false;
    zsp_err_set(&self->trouble, code, "%s: %s", zsp_link_endpoint(self), why);
    count_failure(self, now_ms);
    self->state = PAUSED;
    self->state_until_ms = now_ms + next_pause_ms(self);
    zsp_link_close_pending(self, now_ms);
    zsp_link_kick_all(self);
    zsp_link_notify(self);
}

void zsp_link_end(struct zsp_link *self, int64_t now_ms)
{
    zsp_link_fall(self, now_ms, ZSP_ECLOSED, "the ZeroMQ context was terminated");
    zsp_context_close(&self->context);
    self->state_until_ms = INT64_MAX;
    for (size_t i = 0; i < self->endpoint_count; i++) {
        self->refusals[i] = true;
    }
}

/* PAUSED -> CONNECTING */
static void attempt(struct zsp_link *self, int64_t now_ms)
{
    const struct zsp_dealer_options options = {
        .connect_ms = (int)self->options.connect_ms,
        .heartbeat_ms = (int)self->options.heartbeat_ms,
        .serial = ++self->dealer_serial,
    };
    struct zsp_err err = {0};
    const char *endpoint = zsp_link_endpoint(self);
    const int rc = zsp_dealer_open(&self->dealer, self->context.zmq, endpoint, &options, &err);
    if (rc != 0) {
        zsp_link_fall(self, now_ms, ZSP_EIO, "cannot connect");
        self->trouble = err;
        return;
    }
    self->state = CONNECTING;
    self->state_until_ms = now_ms + self->options.connect_ms;
}

static int send_greeting(struct zsp_link *self, const char *verb, int64_t now_ms)
{
    self->greeting.verb = verb;
    self->greeting.args = zsp_writer_slice(&self->greeting_args);
    self->greeting.done_fn = greeted;
    const int rc = zsp_link_send(self, NULL, &self->greeting, now_ms);
    self->greeting_pending = rc == 0;
    return rc;
}

/* CONNECTING -> GREETING */
void zsp_link_greet(struct zsp_link *self, int64_t now_ms)
{
    zsp_link_write_hello(self);
    self->state = GREETING;
    self->state_until_ms = now_ms + self->options.connect_ms;
    if (self->greeting_args.failed || send_greeting(self, "HELLO", now_ms) != 0) {
        zsp_link_fall(self, now_ms, ZSP_EIO, "cannot send");
    }
}

/* GREETING -> UP; also the answer to the PING of an idle session. */
static void greeted(struct zsp_request *request, const struct zsp_answer *answer)
{
    struct zsp_link *self = link_of_greeting(request);
    self->greeting_pending = false;
    if (answer->code == ZSP_ECLOSED || self->state == UP) {
        return;
    }
    struct zsp_err err = {0};
    int rc = answer->code;
    if (!self->plain_hello && (rc == ZSP_EUNSUPPORTED || rc == ZSP_EUNKNOWN_ARGUMENT)) {
        self->plain_hello = true;
        zsp_link_greet(self, answer->now_ms);
        return;
    }
    if (rc != 0) {
        err = *answer->err;
    } else {
        rc = zsp_hello_read(answer->map, &self->hello, &err);
    }
    if (rc != 0) {
        const size_t index = self->endpoint_index;
        zsp_err_wrap(&err, "%s", zsp_link_endpoint(self));
        zsp_link_fall(self, answer->now_ms, rc, "refused");
        self->trouble = err;
        self->refusals[index] = !zsp_err_retriable(rc);
        return;
    }
    self->clock_ahead_ms = (int64_t)self->hello.now_ms - zsp_wall_ms();
    self->state = UP;
    self->up_since_ms = answer->now_ms;
    self->attempts_failed = 0;
    memset(self->refusals, 0, sizeof self->refusals);
    memset(&self->trouble, 0, sizeof self->trouble);
    zsp_link_session_up(self, answer->now_ms);
    zsp_link_kick_all(self);
    zsp_link_notify(self);
}

/* A broker forgets a session that asks nothing. */
static void ping_if_idle(struct zsp_link *self, int64_t now_ms)
{
    if (self->greeting_pending || now_ms < zsp_link_ping_due_ms(self)) {
        return;
    }
    zsp_writer_reset(&self->greeting_args);
    wire_write_map(&self->greeting_args, 0);
    if (self->greeting_args.failed || send_greeting(self, "PING", now_ms) != 0) {
        self->last_sent_ms = now_ms; /* no credit: then it is not idle */
    }
}

/* A name that nobody has bound yet takes our HELLO all the same, and whoever binds it will find
 * it. To begin anew would leave another socket behind each time: libzmq cannot close one that waits
 * for a bind. */
static void greeting_late(struct zsp_link *self, int64_t now_ms)
{
    static const char why[] = "no answer to HELLO";
    if (!self->dealer.inproc) {
        zsp_link_fall(self, now_ms, ZSP_ETIMEOUT, why);
        return;
    }
    zsp_err_set(&self->trouble, ZSP_ETIMEOUT, "%s: %s: does a broker of this context listen there?",
                zsp_link_endpoint(self), why);
    self->state_until_ms = now_ms + self->options.connect_ms;
}

void zsp_link_step(struct zsp_link *self, int64_t now_ms)
{
    zsp_link_drop_cancelled(self, now_ms);
    switch (self->state) {
    case PAUSED:
        if (now_ms >= self->state_until_ms) {
            attempt(self, now_ms);
        }
        break;
    case CONNECTING:
        if (now_ms >= self->state_until_ms) {
            zsp_link_fall(self, now_ms, ZSP_ETIMEOUT, "cannot connect in time");
        }
        break;
    case GREETING:
        if (now_ms >= self->state_until_ms) {
            greeting_late(self, now_ms);
        }
        break;
    case UP:
        if (self->send_failed) {
            zsp_link_fall(self, now_ms, ZSP_ECLOSED, "connection lost");
        } else if (now_ms >= zsp_pending_deadline_ms(&self->pending)) {
            zsp_link_fall(self, now_ms, ZSP_ETIMEOUT, "a request got no answer");
        } else if (zsp_link_is_silent(self, now_ms)) {
            zsp_link_fall(self, now_ms, ZSP_ECLOSED, "the broker is silent");
        } else {
            zsp_link_send_cancels(self, now_ms);
            ping_if_idle(self, now_ms);
        }
        break;
    }
}

int64_t zsp_link_state_due_ms(const struct zsp_link *self)
{
    if (self->state != UP) {
        return self->state_until_ms;
    }
    const int64_t pending_ms = zsp_pending_deadline_ms(&self->pending);
    const int64_t ping_ms = self->greeting_pending ? INT64_MAX : zsp_link_ping_due_ms(self);
    const int64_t silence_ms = zsp_link_silence_due_ms(self);
    int64_t due_ms = ping_ms < pending_ms ? ping_ms : pending_ms;
    due_ms = silence_ms < due_ms ? silence_ms : due_ms;
    if (self->stopping && self->bye_until_ms < due_ms) {
        due_ms = self->bye_until_ms;
    }
    return due_ms;
}
