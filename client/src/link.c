/* SPDX-License-Identifier: MPL-2.0
 *
 * One turn of the thread, as long as it runs:
 *   - locked: move the state on (attempt, time-outs), pump the ports that want it
 *   - unlocked: sleep in zmq_poll on the socket, its monitor and the eventfd
 *   - take what the monitor says, then replies: decoded unlocked, handed over locked
 */
#include "client/src/link.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

#include "client/src/dealer.h"
#include "client/src/pending.h"
#include "common/assert.h"
#include "common/wire.h"

#define REPLIES_PER_TURN  64u /* then timers and ports get their turn */
#define REPLY_FRAMES_MAX  (ZSP_RUNS_MAX + 1u)
#define HEADER_BYTES_USED 64u /* room kept for [1, verb, id] before the arguments */

enum link_state { PAUSED, CONNECTING, GREETING, UP };

struct zsp_link {
    /* Set once. */
    char *endpoints[ZSP_ENDPOINTS_MAX];
    size_t endpoint_count;
    char *name;
    struct zsp_link_options options; /* its strings are not used */
    void *context;
    int wake_fd; /* eventfd: the thread has something to do */
    pthread_t thread;
    atomic_bool interrupted; /* set in signal handlers; relaxed: the eventfd orders it */

    pthread_mutex_t mutex;
    pthread_cond_t changed;

    /* Locked. */
    bool stopping;
    bool asleep; /* the thread is in zmq_poll, or on its way there, and nobody woke it */
    enum link_state state;
    int64_t state_until_ms; /* PAUSED: next attempt; CONNECTING, GREETING: given up */
    size_t endpoint_index;
    uint32_t attempts_failed; /* since the last session */
    struct zsp_port *ports;   /* all, in a list */
    size_t kicked_count;
    struct zsp_pending pending;
    size_t pending_bytes;
    uint64_t last_id;
    int64_t last_sent_ms;
    struct zsp_hello hello;
    int64_t clock_ahead_ms;
    struct zsp_err trouble;
    bool refused;

    /* The thread's own. */
    struct zsp_dealer dealer;
    uint64_t dealer_serial;
    bool send_failed;
    struct zsp_request greeting; /* HELLO, later PING */
    bool greeting_pending;
    struct zsp_writer greeting_args;
    struct zsp_writer header;
    struct wire_decoder *decoder;
    zmq_msg_t *frames; /* body frames of the reply being taken */
    size_t frame_count, frame_capacity;
    uint64_t jitter; /* xorshift */
};

static void greeted(struct zsp_request *request, const struct zsp_answer *answer);

/* --- State -------------------------------------------------------------------------- */

static struct zsp_link *link_of_greeting(struct zsp_request *request)
{
    return (struct zsp_link *)(void *)((char *)request - offsetof(struct zsp_link, greeting));
}

static void kick_all(struct zsp_link *self)
{
    for (struct zsp_port *port = self->ports; port; port = port->next) {
        zsp_link_kick(self, port);
    }
}

/* A pause with jitter, so that a thousand clients do not come back as one. */
static int64_t next_pause_ms(struct zsp_link *self)
{
    const size_t rounds = self->attempts_failed / self->endpoint_count;
    int64_t pause_ms = self->options.reconnect_ms;
    for (size_t i = 0; i < rounds && pause_ms < self->options.reconnect_ms_max; i++) {
        pause_ms *= 2;
    }
    if (pause_ms > self->options.reconnect_ms_max) {
        pause_ms = self->options.reconnect_ms_max;
    }
    self->jitter ^= self->jitter << 13;
    self->jitter ^= self->jitter >> 7;
    self->jitter ^= self->jitter << 17;
    return pause_ms / 2 + (int64_t)(self->jitter % (uint64_t)(pause_ms / 2 + 1));
}

static void answer_all_closed(struct zsp_link *self, int64_t now_ms)
{
    struct zsp_err err = self->trouble;
    err.code = ZSP_ECLOSED;
    err.maybe = true;
    const struct zsp_answer answer = {.code = ZSP_ECLOSED, .err = &err, .now_ms = now_ms};
    struct zsp_request *request;
    while ((request = zsp_pending_take_oldest(&self->pending))) {
        request->done_fn(request, &answer);
    }
    self->pending_bytes = 0;
}

/* any -> PAUSED */
static void fall(struct zsp_link *self, int64_t now_ms, int code, const char *why)
{
    zsp_dealer_close(&self->dealer);
    self->send_failed = false;
    const bool was_up = self->state == UP;
    self->state = PAUSED;
    zsp_err_set(&self->trouble, code, "%s: %s", zsp_link_endpoint(self), why);
    if (!was_up) {
        self->attempts_failed++;
    }
    self->endpoint_index = (self->endpoint_index + (was_up ? 0 : 1)) % self->endpoint_count;
    self->state_until_ms = now_ms + next_pause_ms(self);
    answer_all_closed(self, now_ms);
    kick_all(self);
    zsp_link_notify(self);
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
    const int rc = zsp_dealer_open(&self->dealer, self->context, endpoint, &options, &err);
    if (rc != 0) {
        fall(self, now_ms, ZSP_EIO, "cannot connect");
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
static void greet(struct zsp_link *self, int64_t now_ms)
{
    zsp_writer_reset(&self->greeting_args);
    zsp_hello_write(&self->greeting_args, self->name);
    self->state = GREETING;
    self->state_until_ms = now_ms + self->options.connect_ms;
    if (self->greeting_args.failed || send_greeting(self, "HELLO", now_ms) != 0) {
        fall(self, now_ms, ZSP_EIO, "cannot send");
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
    if (rc != 0) {
        err = *answer->err;
    } else {
        rc = zsp_hello_read(answer->map, &self->hello, &err);
    }
    if (rc != 0) {
        const bool refused = !zsp_err_retriable(rc);
        zsp_err_wrap(&err, "%s", zsp_link_endpoint(self));
        fall(self, answer->now_ms, rc, "refused");
        self->trouble = err;
        self->refused = refused;
        zsp_link_notify(self);
        return;
    }
    self->clock_ahead_ms = (int64_t)self->hello.now_ms - zsp_wall_ms();
    self->state = UP;
    self->attempts_failed = 0;
    self->refused = false;
    memset(&self->trouble, 0, sizeof self->trouble);
    kick_all(self);
    zsp_link_notify(self);
}

/* A broker forgets a session that asks nothing. */
static int64_t ping_due_ms(const struct zsp_link *self)
{
    const uint64_t timeout_ms =
        self->hello.session_timeout_ms < 3000 ? 3000 : self->hello.session_timeout_ms;
    return self->last_sent_ms + (int64_t)(timeout_ms > INT32_MAX ? INT32_MAX : timeout_ms) / 3;
}

static void ping_if_idle(struct zsp_link *self, int64_t now_ms)
{
    if (self->greeting_pending || now_ms < ping_due_ms(self)) {
        return;
    }
    zsp_writer_reset(&self->greeting_args);
    wire_write_map(&self->greeting_args, 0);
    if (self->greeting_args.failed || send_greeting(self, "PING", now_ms) != 0) {
        self->last_sent_ms = now_ms; /* no credit: then it is not idle */
    }
}

static void step_state(struct zsp_link *self, int64_t now_ms)
{
    switch (self->state) {
    case PAUSED:
        if (now_ms >= self->state_until_ms) {
            attempt(self, now_ms);
        }
        break;
    case CONNECTING:
        if (now_ms >= self->state_until_ms) {
            fall(self, now_ms, ZSP_ETIMEOUT, "cannot connect in time");
        }
        break;
    case GREETING:
        if (now_ms >= self->state_until_ms) {
            fall(self, now_ms, ZSP_ETIMEOUT, "no answer to HELLO");
        }
        break;
    case UP:
        if (self->send_failed) {
            fall(self, now_ms, ZSP_ECLOSED, "connection lost");
        } else if (now_ms >= zsp_pending_deadline_ms(&self->pending)) {
            fall(self, now_ms, ZSP_ETIMEOUT, "a request got no answer");
        } else {
            ping_if_idle(self, now_ms);
        }
        break;
    }
}

/* --- Ports --------------------------------------------------------------------------- */

void zsp_link_add(struct zsp_link *self, struct zsp_port *port)
{
    port->prev = NULL;
    port->next = self->ports;
    if (self->ports) {
        self->ports->prev = port;
    }
    self->ports = port;
    zsp_link_kick(self, port);
}

void zsp_link_remove(struct zsp_link *self, struct zsp_port *port)
{
    if (port->prev) {
        port->prev->next = port->next;
    } else {
        self->ports = port->next;
    }
    if (port->next) {
        port->next->prev = port->prev;
    }
    if (port->kicked) {
        port->kicked = false;
        self->kicked_count--;
    }
    port->next = NULL;
    port->prev = NULL;
}

static void wake(struct zsp_link *self)
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
    wake(self);
}

static bool pump_due(const struct zsp_port *port, int64_t now_ms)
{
    return port->kicked || port->wake_ms <= now_ms;
}

/* A pump may remove its own port, never another one. */
static void pump_ports(struct zsp_link *self, int64_t now_ms)
{
    struct zsp_port *next;
    for (struct zsp_port *port = self->ports; port; port = next) {
        next = port->next;
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

static void feed_starved(struct zsp_link *self)
{
    for (struct zsp_port *port = self->ports; port; port = port->next) {
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
    const bool room = zsp_link_up(self) && fits && self->pending.count < self->hello.max_requests;
    port->starved = port->starved || !room;
    return room;
}

static size_t request_bytes(const struct zsp_request *request)
{
    return HEADER_BYTES_USED + request->args.len + (request->body ? request->body->len : 0);
}

int zsp_link_send(struct zsp_link *self, struct zsp_port *port, struct zsp_request *request,
                  int64_t now_ms)
{
    const size_t bytes = request_bytes(request);
    if (port && !zsp_link_room(self, port, bytes)) {
        return ZSP_EAGAIN;
    }
    if (self->pending.count >= ZSP_REQUESTS_MAX || self->pending_bytes > SIZE_MAX - bytes) {
        return ZSP_EAGAIN;
    }
    zsp_writer_reset(&self->header);
    wire_write_request(&self->header, zsp_slice_str(request->verb), self->last_id + 1);
    zsp_write_bytes(&self->header, request->args);
    if (self->header.failed) {
        return ZSP_EAGAIN;
    }
    if (zsp_dealer_send(&self->dealer, zsp_writer_slice(&self->header), request->body) != 0) {
        self->send_failed = true;
        return ZSP_EAGAIN;
    }
    request->id = ++self->last_id;
    request->deadline_ms = now_ms + self->options.answer_ms + request->wait_ms;
    request->bytes = bytes;
    zsp_pending_add(&self->pending, request);
    self->pending_bytes += bytes;
    self->last_sent_ms = now_ms;
    return 0;
}

void zsp_link_forget(struct zsp_link *self, struct zsp_request *request)
{
    if (zsp_pending_take(&self->pending, request->id) == request) {
        self->pending_bytes -= request->bytes;
        feed_starved(self);
    }
}

/* --- Replies -------------------------------------------------------------------------- */

static void close_frames(struct zsp_link *self)
{
    for (size_t i = 0; i < self->frame_count; i++) {
        (void)zmq_msg_close(&self->frames[i]);
    }
    self->frame_count = 0;
}

static bool more_frames(struct zsp_link *self)
{
    if (self->frame_count < self->frame_capacity) {
        return true;
    }
    if (self->frame_count >= REPLY_FRAMES_MAX) {
        return false;
    }
    const size_t capacity = self->frame_capacity == 0 ? 16 : self->frame_capacity * 2;
    zmq_msg_t *frames = realloc(self->frames, capacity * sizeof *frames);
    if (!frames) {
        return false;
    }
    self->frames = frames;
    self->frame_capacity = capacity;
    return true;
}

/* Take one whole message: 0, 1 = there is none, or ZSP_ENOMEM (also: too many
 * frames), after which the connection is of no use. */
static int receive(struct zsp_link *self, zmq_msg_t *ret_header)
{
    if (zmq_msg_recv(ret_header, self->dealer.socket, ZMQ_DONTWAIT) < 0) {
        return 1;
    }
    int more = zmq_msg_more(ret_header);
    while (more) {
        if (!more_frames(self)) {
            return ZSP_ENOMEM;
        }
        zmq_msg_t *frame = &self->frames[self->frame_count];
        (void)zmq_msg_init(frame); /* cannot fail */
        self->frame_count++;
        if (zmq_msg_recv(frame, self->dealer.socket, ZMQ_DONTWAIT) < 0) {
            return ZSP_ENOMEM; /* messages are atomic: this does not happen */
        }
        more = zmq_msg_more(frame);
    }
    return 0;
}

static void hand_over(struct zsp_link *self, const struct wire_reply *reply, int64_t now_ms)
{
    struct zsp_request *request = zsp_pending_take(&self->pending, reply->id);
    if (!request) {
        return; /* nobody waits for it */
    }
    self->pending_bytes -= request->bytes;
    struct zsp_err err = {0};
    struct zsp_answer answer = {.now_ms = now_ms};
    if (reply->status == WIRE_ERR) {
        answer.code = wire_error_decode(reply->map, &err);
        answer.err = &err;
    } else {
        answer.map = reply->map;
        answer.frames = self->frames;
        answer.frame_count = self->frame_count;
    }
    const bool session_gone =
        answer.code == ZSP_EHELLO_REQUIRED || answer.code == ZSP_ESESSION_EXPIRED;
    if (session_gone) {
        answer.code = ZSP_ECLOSED;
        err.code = ZSP_ECLOSED;
    }
    request->done_fn(request, &answer);
    if (session_gone && self->state == UP) {
        fall(self, now_ms, ZSP_ECLOSED, "the broker forgot the session");
    }
    feed_starved(self);
}

/* One reply; false when the connection has to go, or there was none. */
static bool take_reply(struct zsp_link *self, int64_t now_ms)
{
    zmq_msg_t header;
    (void)zmq_msg_init(&header); /* cannot fail */
    const int rc = receive(self, &header);
    if (rc == 1) {
        (void)zmq_msg_close(&header);
        return false;
    }
    struct wire_reply reply;
    struct zsp_err err = {0};
    const struct zsp_slice bytes = {zmq_msg_data(&header), zmq_msg_size(&header)};
    int decoded = rc;
    if (rc == 0) {
        decoded = wire_reply_decode(self->decoder, bytes, &reply, &err);
    }
    zsp_link_lock(self);
    if (decoded != 0 || reply.status == WIRE_PART || (reply.status != WIRE_BEAT && !reply.has_id)) {
        fall(self, now_ms, ZSP_EBAD_REQUEST, "a reply that cannot be read");
    } else if (reply.status != WIRE_BEAT) {
        hand_over(self, &reply, now_ms);
    }
    const bool goes_on = self->dealer.socket != NULL;
    zsp_link_unlock(self);
    close_frames(self);
    (void)zmq_msg_close(&header);
    return goes_on;
}

/* --- The thread ------------------------------------------------------------------------ */

static int64_t next_deadline_ms(const struct zsp_link *self)
{
    int64_t deadline_ms =
        self->state == UP ? zsp_pending_deadline_ms(&self->pending) : self->state_until_ms;
    if (self->state == UP && !self->greeting_pending && ping_due_ms(self) < deadline_ms) {
        deadline_ms = ping_due_ms(self);
    }
    for (const struct zsp_port *port = self->ports; port; port = port->next) {
        if (port->wake_ms < deadline_ms) {
            deadline_ms = port->wake_ms;
        }
    }
    return deadline_ms;
}

/* Everything that is due; returns for how long to sleep. */
static long step_locked(struct zsp_link *self, int64_t now_ms)
{
    step_state(self, now_ms);
    pump_ports(self, now_ms);
    if (self->kicked_count > 0 || self->send_failed) {
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

static void take_events(struct zsp_link *self, bool writable)
{
    const int64_t now_ms = zsp_now_ms();
    for (unsigned i = 0; i < REPLIES_PER_TURN && take_reply(self, now_ms); i++) {
    }
    const char *why = "connection lost";
    /* Replies that arrived before the connection went were taken above, or are
     * lost; whoever asked asks again. */
    const bool lost = self->dealer.socket && zsp_dealer_lost(&self->dealer, &why);
    zsp_link_lock(self);
    if (lost) {
        fall(self, now_ms, ZSP_ECLOSED, why);
    } else if (self->state == CONNECTING && writable) {
        greet(self, now_ms);
    }
    zsp_link_unlock(self);
}

static void *run(void *arg)
{
    struct zsp_link *self = arg;
    for (;;) {
        zsp_link_lock(self);
        if (self->stopping) {
            break;
        }
        const long sleep_ms = step_locked(self, zsp_now_ms());
        const bool connecting = self->state == CONNECTING;
        zsp_link_unlock(self);

        zmq_pollitem_t items[3] = {{.fd = self->wake_fd, .events = ZMQ_POLLIN}};
        int item_count = 1;
        if (self->dealer.socket) {
            items[1].socket = self->dealer.socket;
            items[1].events = (short)(ZMQ_POLLIN | (connecting ? ZMQ_POLLOUT : 0));
            items[2].socket = self->dealer.monitor;
            items[2].events = ZMQ_POLLIN;
            item_count = 3;
        }
        const int ready = zmq_poll(items, item_count, sleep_ms);
        zsp_link_lock(self);
        self->asleep = false;
        zsp_link_unlock(self);
        if (ready > 0 && items[0].revents != 0) {
            drain_wake_fd(self);
        }
        if (ready > 0 && item_count == 3 && (items[1].revents != 0 || items[2].revents != 0)) {
            take_events(self, (items[1].revents & ZMQ_POLLOUT) != 0);
        }
    }
    zsp_dealer_close(&self->dealer);
    self->state = PAUSED;
    zsp_err_set(&self->trouble, ZSP_ECLOSED, "the client was destroyed");
    answer_all_closed(self, zsp_now_ms());
    pump_ports(self, zsp_now_ms()); /* what only waited for an answer frees itself */
    zsp_link_unlock(self);
    return NULL;
}

/* --- Waiting --------------------------------------------------------------------------- */

void zsp_link_lock(struct zsp_link *self)
{
    const int rc = pthread_mutex_lock(&self->mutex);
    zsp_assert(rc == 0);
}

void zsp_link_unlock(struct zsp_link *self)
{
    const int rc = pthread_mutex_unlock(&self->mutex);
    zsp_assert(rc == 0);
}

void zsp_link_notify(struct zsp_link *self)
{
    (void)pthread_cond_broadcast(&self->changed); /* never fails on a live condition */
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
    if (deadline_ms == INT64_MAX) {
        (void)pthread_cond_wait(&self->changed, &self->mutex);
        return 0;
    }
    if (zsp_now_ms() >= deadline_ms) {
        return ZSP_ETIMEOUT;
    }
    const struct timespec deadline = {.tv_sec = (time_t)(deadline_ms / 1000),
                                      .tv_nsec = (long)(deadline_ms % 1000) * 1000000L};
    (void)pthread_cond_timedwait(&self->changed, &self->mutex, &deadline);
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

/* --- What is known ------------------------------------------------------------------------ */

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

const struct zsp_err *zsp_link_trouble(const struct zsp_link *self)
{
    return &self->trouble;
}

bool zsp_link_refused(const struct zsp_link *self)
{
    return self->refused && self->state != UP;
}

/* --- Life ----------------------------------------------------------------------------------- */

static int split_endpoints(struct zsp_link *self, const char *list, struct zsp_err *err)
{
    while (*list) {
        const size_t len = strcspn(list, ",");
        if (self->endpoint_count >= ZSP_ENDPOINTS_MAX) {
            return zsp_err_set(err, ZSP_EINVAL, "more than %u endpoints", ZSP_ENDPOINTS_MAX);
        }
        char *endpoint = strndup(list, len);
        if (!endpoint) {
            return zsp_err_set(err, ZSP_ENOMEM, "no memory for an endpoint");
        }
        self->endpoints[self->endpoint_count++] = endpoint;
        if (!zsp_endpoint_valid(endpoint)) {
            return zsp_err_set(err, ZSP_EINVAL,
                               "\"%.100s\" is no endpoint: want tcp://HOST:PORT "
                               "or ipc://PATH",
                               endpoint);
        }
        list += len + (list[len] == ',' ? 1 : 0);
    }
    if (self->endpoint_count == 0) {
        return zsp_err_set(err, ZSP_EINVAL, "no endpoint given");
    }
    return 0;
}

static int init_waiting(struct zsp_link *self)
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
    return 0;
}

/* All signals stay with the host's threads; libzmq's inherit this one's mask. */
static int start_thread(struct zsp_link *self)
{
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all); /* cannot fail */
    if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0) {
        return ZSP_EIO;
    }
    const int rc = pthread_create(&self->thread, NULL, run, self);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL); /* was the mask a moment ago */
    return rc == 0 ? 0 : ZSP_EIO;
}

static void release(struct zsp_link *self)
{
    if (self->context) {
        (void)zmq_ctx_term(self->context); /* its sockets are closed, linger is 0 */
    }
    if (self->wake_fd >= 0) {
        (void)close(self->wake_fd); /* an eventfd holds nothing that could be lost */
    }
    for (size_t i = 0; i < self->endpoint_count; i++) {
        free(self->endpoints[i]);
    }
    wire_decoder_destroy(&self->decoder);
    zsp_writer_fini(&self->greeting_args);
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
    self->context = zmq_ctx_new();
    self->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!self->context || self->wake_fd < 0 ||
        zsp_random(&self->jitter, sizeof self->jitter) != 0) {
        zsp_err_set_errno(err, ZSP_EIO, errno, "cannot make a client");
        goto fail;
    }
    self->jitter |= 1;
    self->endpoint_index = 0;
    if (init_waiting(self) != 0) {
        goto fail;
    }
    if (start_thread(self) != 0) {
        (void)pthread_mutex_destroy(&self->mutex);
        (void)pthread_cond_destroy(&self->changed);
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
    wake(self);
    zsp_link_unlock(self);
    const int rc = pthread_join(self->thread, NULL);
    zsp_assert(rc == 0);
    zsp_assert(!self->ports);
    (void)pthread_mutex_destroy(&self->mutex);
    (void)pthread_cond_destroy(&self->changed);
    release(self);
}
