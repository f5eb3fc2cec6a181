/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/fake_broker.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

#include <cmocka.h>

#include "common/err.h"
#include "common/wire.h"
#include "tests/support/literal.h"

#define BIND_TRIES 2000

struct fake_broker {
    void *context;
    void *router;
    char endpoint[64];
    pthread_t thread;
    int stop_fd;
    fake_handler_fn *handler_fn;
    void *arg;
    struct wire_decoder *decoder;
    zmq_msg_t peer; /* of the request at hand */
    unsigned connections;
    unsigned instance;
    const char *_Atomic features;
    atomic_int hello_code;
    atomic_int sessions; /* 0 = none, 1 = they are lost, 2 = they are resumed */
    atomic_bool is_mute, has_resume;
    atomic_ullong heartbeat_ms;
    atomic_uint pings;
    bool drop;
};

static void listen_at(struct fake_broker *self, const char *endpoint)
{
    const int none = 0;
    self->router = zmq_socket(self->context, ZMQ_ROUTER);
    assert_non_null(self->router);
    assert_int_equal(zmq_setsockopt(self->router, ZMQ_LINGER, &none, sizeof none), 0);
    int rc = -1;
    /* The port is given back by another thread of libzmq, some time after zmq_close(). */
    for (int i = 0; i < BIND_TRIES && rc != 0; i++) {
        rc = zmq_bind(self->router, endpoint);
        if (rc != 0) {
            (void)zmq_poll(NULL, 0, 1);
        }
    }
    assert_int_equal(rc, 0);
    size_t size = sizeof self->endpoint;
    assert_int_equal(zmq_getsockopt(self->router, ZMQ_LAST_ENDPOINT, self->endpoint, &size), 0);
}

/* --- Replies ------------------------------------------------------------------------ */

static void send_peer(struct fake_broker *self)
{
    zmq_msg_t peer;
    assert_int_equal(zmq_msg_init(&peer), 0);
    assert_int_equal(zmq_msg_copy(&peer, &self->peer), 0);
    assert_true(zmq_msg_send(&peer, self->router, ZMQ_SNDMORE) >= 0);
}

static void send_bytes(struct fake_broker *self, struct zsp_slice bytes, bool more)
{
    assert_true(zmq_send(self->router, bytes.data, bytes.len, more ? ZMQ_SNDMORE : 0) >= 0);
}

static void reply_as(struct fake_broker *self, const struct fake_request *request,
                     enum wire_status status, const char *map, struct zsp_slice body,
                     size_t frame_bytes)
{
    struct zsp_writer out = {0};
    wire_write_reply(&out, status, true, request->id);
    literal_write(&out, map);
    send_peer(self);
    send_bytes(self, zsp_writer_slice(&out), body.len > 0);
    while (body.len > 0) {
        const size_t len = frame_bytes > 0 && frame_bytes < body.len ? frame_bytes : body.len;
        send_bytes(self, (struct zsp_slice){body.data, len}, len < body.len);
        body.data += len;
        body.len -= len;
    }
    zsp_writer_fini(&out);
}

void fake_reply_body(struct fake_broker *self, const struct fake_request *request, const char *map,
                     struct zsp_slice body, size_t frame_bytes)
{
    reply_as(self, request, WIRE_OK, map, body, frame_bytes);
}

void fake_reply_part_body(struct fake_broker *self, const struct fake_request *request,
                          const char *map, struct zsp_slice body)
{
    reply_as(self, request, WIRE_PART, map, body, 0);
}

void fake_reply(struct fake_broker *self, const struct fake_request *request, const char *map)
{
    fake_reply_body(self, request, map, (struct zsp_slice){NULL, 0}, 0);
}

void fake_reply_part(struct fake_broker *self, const struct fake_request *request, const char *map)
{
    fake_reply_part_body(self, request, map, (struct zsp_slice){NULL, 0});
}

void fake_reply_two(struct fake_broker *self, const struct fake_request *first,
                    const char *first_map, const struct fake_request *second,
                    const char *second_map)
{
    struct zsp_writer out = {0};
    wire_write_reply(&out, WIRE_OK, true, first->id);
    literal_write(&out, first_map);
    wire_write_reply(&out, WIRE_OK, true, second->id);
    literal_write(&out, second_map);
    send_peer(self);
    send_bytes(self, zsp_writer_slice(&out), false);
    zsp_writer_fini(&out);
}

void fake_refuse(struct fake_broker *self, const struct fake_request *request, int code, bool maybe,
                 const char *object)
{
    struct zsp_writer out = {0};
    struct zsp_err err = {0};
    zsp_err_set(&err, code, "refused by the test");
    zsp_err_detail(&err, object, NULL, NULL);
    err.maybe = maybe;
    wire_write_error(&out, true, request->id, &err);
    send_peer(self);
    send_bytes(self, zsp_writer_slice(&out), false);
    zsp_writer_fini(&out);
}

void fake_drop(struct fake_broker *self)
{
    self->drop = true;
}

void fake_new_instance(struct fake_broker *self)
{
    self->instance++;
}

void fake_refuse_hello(struct fake_broker *self, int code)
{
    atomic_store(&self->hello_code, code);
}

void fake_features(struct fake_broker *self, const char *list)
{
    atomic_store(&self->features, list);
}

void fake_sessions(struct fake_broker *self, bool resumes)
{
    atomic_store(&self->sessions, resumes ? 2 : 1);
    fake_features(self, "['shared', 'seek', 'resume', 'bye', 'cancel', 'heartbeat']");
}

void fake_mute(struct fake_broker *self)
{
    atomic_store(&self->is_mute, true);
}

struct fake_hello fake_last_hello(struct fake_broker *self)
{
    return (struct fake_hello){.has_resume = atomic_load(&self->has_resume),
                               .heartbeat_ms = atomic_load(&self->heartbeat_ms),
                               .pings = atomic_load(&self->pings)};
}

static void reply_hello(struct fake_broker *self, const struct fake_request *request)
{
    char map[600];
    const int sessions = atomic_load(&self->sessions);
    const bool has_resume = wire_map_find(request->args, "resume") != NULL;
    atomic_store(&self->has_resume, has_resume);
    atomic_store(&self->heartbeat_ms, fake_uint(request, "heartbeat_ms", 0));
    atomic_store(&self->pings, 0);
    int code = atomic_load(&self->hello_code);
    if (code == 0 && sessions == 0 && (has_resume || atomic_load(&self->heartbeat_ms) > 0)) {
        code = ZSP_EUNSUPPORTED;
    }
    if (code != 0) {
        fake_refuse(self, request, code, false, NULL);
        return;
    }
    self->connections++;
    (void)snprintf(map, sizeof map,
                   "{'version': 1, 'broker': 'fake 1', 'instance': b'instance%08u', "
                   "'session': b'0123456789abcdef', 'resumed': %s, "
                   "'session_timeout_ms': 60000, 'features': %s, "
                   "'now_ms': 1000000, 'limits': {'max_requests': 256}}",
                   self->instance, sessions == 2 && has_resume ? "true" : "false",
                   atomic_load(&self->features));
    fake_reply(self, request, map);
}

/* --- Requests ------------------------------------------------------------------------- */

bool fake_is(const struct fake_request *request, const char *verb)
{
    return zsp_slice_equal_str(request->verb, verb);
}

uint64_t fake_uint(const struct fake_request *request, const char *key, uint64_t fallback)
{
    const msgpack_object *value = wire_map_find(request->args, key);
    uint64_t number = fallback;
    if (value) {
        assert_int_equal(wire_get_uint(value, key, UINT64_MAX, &number, NULL), 0);
    }
    return number;
}

struct zsp_slice fake_text(const struct fake_request *request, const char *key)
{
    const msgpack_object *value = wire_map_find(request->args, key);
    struct zsp_slice text = zsp_slice_str("");
    if (value) {
        assert_int_equal(wire_get_str(value, key, &text, NULL), 0);
    }
    return text;
}

static void handle(struct fake_broker *self, zmq_msg_t *header, zmq_msg_t *body, bool has_body)
{
    struct wire_request decoded;
    const struct zsp_slice frame = {zmq_msg_data(header), zmq_msg_size(header)};
    assert_int_equal(wire_request_decode(self->decoder, frame, &decoded, NULL), 0);
    struct fake_request request = {.verb = decoded.verb,
                                   .id = decoded.id,
                                   .args = decoded.args,
                                   .connection = self->connections};
    if (has_body) {
        request.body = (struct zsp_slice){zmq_msg_data(body), zmq_msg_size(body)};
    }
    if (atomic_load(&self->is_mute)) {
        return;
    }
    if (fake_is(&request, "HELLO")) {
        reply_hello(self, &request);
    } else if (fake_is(&request, "PING")) {
        atomic_fetch_add(&self->pings, 1);
        fake_reply(self, &request, "{'now_ms': 1000000}");
    } else {
        self->handler_fn(self, &request, self->arg);
    }
}

/* One message; false when there is none. */
static bool take(struct fake_broker *self)
{
    zmq_msg_t header;
    zmq_msg_t body;
    assert_int_equal(zmq_msg_init(&self->peer), 0);
    if (zmq_msg_recv(&self->peer, self->router, ZMQ_DONTWAIT) < 0) {
        (void)zmq_msg_close(&self->peer);
        return false;
    }
    assert_int_equal(zmq_msg_init(&header), 0);
    assert_int_equal(zmq_msg_init(&body), 0);
    assert_true(zmq_msg_recv(&header, self->router, 0) >= 0);
    const bool has_body = zmq_msg_more(&header) != 0;
    if (has_body) {
        assert_true(zmq_msg_recv(&body, self->router, 0) >= 0);
        assert_false(zmq_msg_more(&body));
    }
    handle(self, &header, &body, has_body);
    (void)zmq_msg_close(&self->peer);
    (void)zmq_msg_close(&header);
    (void)zmq_msg_close(&body);
    return true;
}

static void *run(void *arg)
{
    struct fake_broker *self = arg;
    for (;;) {
        zmq_pollitem_t items[] = {{.socket = self->router, .events = ZMQ_POLLIN},
                                  {.fd = self->stop_fd, .events = ZMQ_POLLIN}};
        assert_true(zmq_poll(items, 2, -1) > 0);
        if (items[1].revents != 0) {
            break;
        }
        while (!self->drop && take(self)) {
        }
        if (self->drop) {
            self->drop = false;
            assert_int_equal(zmq_close(self->router), 0);
            listen_at(self, self->endpoint);
        }
    }
    assert_int_equal(zmq_close(self->router), 0);
    return NULL;
}

/* --- Life ------------------------------------------------------------------------------ */

struct fake_broker *fake_broker_start(fake_handler_fn *handler_fn, void *arg)
{
    struct fake_broker *self = calloc(1, sizeof *self);
    assert_non_null(self);
    self->handler_fn = handler_fn;
    self->arg = arg;
    atomic_store(&self->features, "['shared', 'seek']");
    self->context = zmq_ctx_new();
    self->decoder = wire_decoder_new();
    self->stop_fd = eventfd(0, EFD_CLOEXEC);
    assert_non_null(self->decoder);
    assert_true(self->stop_fd >= 0);
    listen_at(self, "tcp://127.0.0.1:*");
    assert_int_equal(pthread_create(&self->thread, NULL, run, self), 0);
    return self;
}

void fake_broker_stop(struct fake_broker **self_p)
{
    struct fake_broker *self = *self_p;
    const uint64_t one = 1;
    *self_p = NULL;
    assert_int_equal(write(self->stop_fd, &one, sizeof one), sizeof one);
    assert_int_equal(pthread_join(self->thread, NULL), 0);
    (void)zmq_ctx_term(self->context);
    (void)close(self->stop_fd);
    wire_decoder_destroy(&self->decoder);
    free(self);
}

const char *fake_broker_endpoint(const struct fake_broker *self)
{
    return self->endpoint;
}
