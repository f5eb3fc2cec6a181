/* SPDX-License-Identifier: MPL-2.0
 *
 * The server over real sockets with an engine that the test directs: envelopes,
 * sessions, credit, slow and vanishing peers, the end.
 */
#include "tests/common/testing.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

#include "broker/server/now.h"
#include "broker/server/server.h"
#include "broker/server/session.h"
#include "common/limits.h"
#include "tests/broker/server/fake_engine.h"
#include "tests/support/raw_client.h"

struct stage {
    struct config config;
    struct fake_engine engine;
    struct driver driver;
    void *context;
    struct server *server;
    pthread_t thread;
    int stop_fd;
    int result; /* of server_run() */
    bool joined;
    struct raw_client client;
};

static bool never_run(void *arg, struct job *job)
{
    (void)arg;
    (void)job;
    return true;
}

static struct job *nothing(void *arg)
{
    (void)arg;
    return NULL;
}

static void stop(void *arg, struct server *server)
{
    const struct stage *const self = arg;
    uint64_t count = 0;
    if (read(self->stop_fd, &count, sizeof count) == (ssize_t)sizeof count) {
        server_drain(server, SERVER_DRAIN_MS);
    }
}

static void *serve(void *arg)
{
    struct stage *const self = arg;
    struct zsp_err err = {0};
    self->result = server_run(self->server, &err);
    return NULL;
}

/* `settings` = ZPL text over the defaults. */
static struct stage *stage_new(const char *settings)
{
    struct stage *const self = calloc(1, sizeof *self);
    struct zsp_err err = {0};
    assert_non_null(self);
    config_init(&self->config);
    assert_int_equal(config_read_text(&self->config, "test", zsp_slice_str(settings), NULL), 0);
    assert_int_equal(config_set(&self->config, "network", "listen", "tcp://127.0.0.1:*", "t", NULL),
                     0);
    self->stop_fd = eventfd(0, 0);
    const struct driver_host host = {.run_fn = never_run, .collect_fn = nothing};
    driver_init(&self->driver, fake_engine_base(&self->engine), NULL, host);
    self->context = zmq_ctx_new();
    const struct server_options options = {.context = self->context,
                                           .config = &self->config,
                                           .engine = fake_engine_base(&self->engine),
                                           .driver = &self->driver,
                                           .jobs_fd = eventfd(0, 0),
                                           .host_fd = self->stop_fd,
                                           .host_fn = stop,
                                           .host_arg = self};
    self->server = server_new(&options, &err);
    if (!self->server) {
        fail_msg("%s", err.msg);
    }
    assert_int_equal(pthread_create(&self->thread, NULL, serve, self), 0);
    raw_client_init(&self->client, server_endpoint(self->server, 0), ZMQ_DEALER);
    return self;
}

static void stage_stop(struct stage *self)
{
    const uint64_t one = 1;
    assert_int_equal(write(self->stop_fd, &one, sizeof one), sizeof one);
}

static int stage_join(struct stage *self)
{
    if (!self->joined) {
        assert_int_equal(pthread_join(self->thread, NULL), 0);
        self->joined = true;
    }
    return self->result;
}

static void stage_destroy(struct stage *self)
{
    if (!self->joined) {
        stage_stop(self);
        (void)stage_join(self);
    }
    raw_client_fini(&self->client);
    server_destroy(&self->server);
    assert_int_equal(zmq_ctx_term(self->context), 0);
    fake_engine_fini(&self->engine);
    (void)close(self->stop_fd);
    free(self);
}

static int setup(void **state)
{
    *state = stage_new("");
    return 0;
}

static int teardown(void **state)
{
    stage_destroy(*state);
    return 0;
}

static void hello(struct raw_client *client, uint64_t id)
{
    raw_request(client, id, "HELLO", "{'versions': [1], 'client': 'test'}");
    raw_receive(client);
    assert_true(raw_is_ok(client));
}

/* --- Envelopes and frames ------------------------------------------------------------------- */

static void a_dealer_without_envelope_is_served(void **state)
{
    struct stage *const self = *state;
    raw_request_body(&self->client, 0, "ECHO", "{}", zsp_slice_str("body"));
    raw_receive(&self->client);
    assert_int_equal(self->client.header_index, 0);
    assert_int_equal(self->client.frame_count, 2);
    expect_slice(self->client.frames[1], "body");
}

static void a_req_socket_can_do_everything(void **state)
{
    struct stage *const self = *state;
    struct raw_client req;
    raw_client_init(&req, server_endpoint(self->server, 0), ZMQ_REQ);
    raw_call(&req, "ECHO", "{}");
    raw_call(&req, "PING", "{}");
    raw_client_fini(&req);
}

static void the_envelope_comes_back_unchanged(void **state)
{
    struct stage *const self = *state;
    struct zsp_writer header = {0};
    wire_write_request(&header, zsp_slice_str("ECHO"), 0);
    wire_write_map(&header, 0);
    const struct zsp_slice frames[] = {zsp_slice_str("correlation"),
                                       zsp_slice_str("proxy"),
                                       {(const uint8_t *)"", 0},
                                       zsp_writer_slice(&header)};
    raw_send(&self->client, frames, 4);
    raw_receive(&self->client);
    assert_int_equal(self->client.header_index, 3);
    expect_slice(self->client.frames[0], "correlation");
    expect_slice(self->client.frames[1], "proxy");
    zsp_writer_fini(&header);
}

static void a_lone_empty_frame_is_no_request(void **state)
{
    struct stage *const self = *state;
    const struct zsp_slice probe = {(const uint8_t *)"", 0};
    raw_send(&self->client, &probe, 1);
    raw_call(&self->client, "PING", "{}");
    assert_int_equal(self->engine.requests, 0);
}

static void what_cannot_be_read_is_answered_with_id_nil(void **state)
{
    struct stage *const self = *state;
    const struct zsp_slice junk[] = {zsp_slice_str("\xc1junk"), zsp_slice_str("x")};
    raw_send(&self->client, junk, 2);
    raw_receive(&self->client);
    raw_expect_error(&self->client, "bad_request");
    assert_false(self->client.reply.has_id);
    const struct zsp_slice headless[] = {zsp_slice_str("a"), {(const uint8_t *)"", 0}};
    raw_send(&self->client, headless, 2);
    raw_receive(&self->client);
    raw_expect_error(&self->client, "bad_request");
    assert_int_equal(self->client.header_index, 2);
}

static void empty_and_too_large_bodies_are_refused(void **state)
{
    struct stage *const self = *state;
    struct zsp_writer header = {0};
    wire_write_request(&header, zsp_slice_str("ECHO"), 0);
    wire_write_map(&header, 0);
    /* Behind an envelope, else the empty frame would end one. */
    const struct zsp_slice nothing_inside = {(const uint8_t *)"", 0};
    struct zsp_slice frames[] = {nothing_inside, zsp_writer_slice(&header), nothing_inside};
    raw_send(&self->client, frames, 3);
    raw_receive(&self->client);
    raw_expect_error(&self->client, "bad_request");
    uint8_t *const large = calloc(1, ZSP_FRAME_MAX + 1);
    frames[2] = (struct zsp_slice){large, ZSP_FRAME_MAX + 1};
    raw_send(&self->client, frames, 3);
    raw_receive(&self->client);
    raw_expect_error(&self->client, "too_large");
    frames[2].len = ZSP_FRAME_MAX;
    raw_send(&self->client, frames, 3);
    raw_receive(&self->client);
    assert_true(raw_is_ok(&self->client));
    free(large);
    zsp_writer_fini(&header);
}

/* --- Sessions ----------------------------------------------------------------------------------- */

static void ids_above_zero_need_a_hello_and_increase(void **state)
{
    struct stage *const self = *state;
    struct raw_client *const client = &self->client;
    raw_request(client, 1, "ECHO", "{}");
    raw_receive(client);
    raw_expect_error(client, "hello_required");
    assert_int_equal(client->reply.id, 1);
    hello(client, 2);
    raw_request(client, 3, "ECHO", "{}");
    raw_receive(client);
    assert_true(raw_is_ok(client));
    assert_int_equal(self->engine.last_session, 1);
    raw_request(client, 3, "ECHO", "{}");
    raw_receive(client);
    raw_expect_error(client, "bad_request");
}

static void a_chosen_routing_id_gets_no_session(void **state)
{
    struct stage *const self = *state;
    struct raw_client chosen;
    raw_client_init(&chosen, server_endpoint(self->server, 0), ZMQ_DEALER);
    assert_int_equal(zmq_disconnect(chosen.socket, server_endpoint(self->server, 0)), 0);
    assert_int_equal(zmq_setsockopt(chosen.socket, ZMQ_ROUTING_ID, "mine", 4), 0);
    assert_int_equal(zmq_connect(chosen.socket, server_endpoint(self->server, 0)), 0);
    raw_ask(&chosen, "HELLO", "{'versions': [1]}");
    raw_expect_error(&chosen, "bad_request");
    raw_call(&chosen, "ECHO", "{}");
    raw_client_fini(&chosen);
}

/* A HELLO that resumes a session. True = it was there. */
static bool resume(struct raw_client *client, const uint8_t *session)
{
    struct zsp_writer header = {0};
    wire_write_request(&header, zsp_slice_str("HELLO"), 0);
    wire_write_map(&header, 2);
    wire_write_text(&header, "versions");
    wire_write_array(&header, 1);
    wire_write_uint(&header, 1);
    wire_write_text(&header, "resume");
    wire_write_bin(&header, (struct zsp_slice){session, SESSION_ID_BYTES});
    const struct zsp_slice frame = zsp_writer_slice(&header);
    raw_send(client, &frame, 1);
    zsp_writer_fini(&header);
    raw_receive(client);
    assert_true(raw_is_ok(client));
    return raw_value(client, "resumed")->via.boolean;
}

/* HELLO, and what names the session. */
static void hello_id(struct raw_client *client, uint8_t ret_session[SESSION_ID_BYTES])
{
    hello(client, 1);
    memcpy(ret_session, raw_value(client, "session")->via.bin.ptr, SESSION_ID_BYTES);
}

static void a_session_moves_to_who_resumes_it(void **state)
{
    struct stage *const self = *state;
    struct raw_client *const first = &self->client;
    struct raw_client second;
    uint8_t session[SESSION_ID_BYTES];
    raw_client_init(&second, server_endpoint(self->server, 0), ZMQ_DEALER);
    hello_id(first, session);
    raw_request(first, 5, "PARK", "{}");
    raw_request(first, 0, "PARK", "{}"); /* sessionless: stays where it is */
    raw_request(first, 6, "PING", "{}");
    raw_receive(first);
    assert_true(resume(&second, session));
    assert_memory_equal(raw_value(&second, "session")->via.bin.ptr, session, SESSION_ID_BYTES);
    assert_int_equal(self->engine.abandoned, 1);
    raw_request(first, 7, "ECHO", "{}");
    raw_receive(first);
    raw_expect_error(first, "hello_required");
    raw_request(&second, 5, "ECHO", "{}"); /* ids begin anew */
    raw_receive(&second);
    assert_true(raw_is_ok(&second));
    assert_int_equal(self->engine.last_session, 1);
    raw_call(&second, "WAKE", "{}");
    raw_receive(first); /* the sessionless one */
    assert_true(raw_is_ok(first));
    assert_int_equal(self->engine.sessions_gone, 0);
    assert_true(resume(&second, session)); /* from itself */
    raw_client_fini(&second);
}

static void an_unknown_session_is_not_resumed(void **state)
{
    struct stage *const self = *state;
    uint8_t session[SESSION_ID_BYTES];
    hello_id(&self->client, session);
    session[3] ^= 1;
    assert_false(resume(&self->client, session));
    assert_int_equal(self->engine.sessions_gone, 1); /* the one that it had */
    assert_memory_not_equal(raw_value(&self->client, "session")->via.bin.ptr, session,
                            SESSION_ID_BYTES);
    raw_request(&self->client, 1, "ECHO", "{}");
    raw_receive(&self->client);
    assert_true(raw_is_ok(&self->client));
}

/* Goal: who loses its connection finds its session again. Method: the broker learns of the loss
 * when a reply finds nobody. */
static void the_session_of_a_vanished_peer_waits_for_it(void **state)
{
    struct stage *const self = *state;
    struct raw_client gone;
    uint8_t session[SESSION_ID_BYTES];
    raw_client_init(&gone, server_endpoint(self->server, 0), ZMQ_DEALER);
    hello_id(&gone, session);
    raw_request(&gone, 2, "PARK", "{}");
    raw_request(&gone, 3, "PARK", "{}");
    raw_request(&gone, 4, "PING", "{}"); /* the PARKs before it have arrived */
    raw_receive(&gone);
    raw_client_fini(&gone);
    /* The first of them may still leave into the closing connection. */
    raw_call(&self->client, "WAKE", "{}");
    raw_client_init(&gone, server_endpoint(self->server, 0), ZMQ_DEALER);
    assert_true(resume(&gone, session));
    raw_request(&gone, 2, "ECHO", "{}");
    raw_receive(&gone);
    assert_true(raw_is_ok(&gone));
    assert_int_equal(self->engine.sessions_gone, 0);
    raw_client_fini(&gone);
}

static void bye_ends_the_session_and_not_the_connection(void **state)
{
    struct stage *const self = *state;
    uint8_t session[SESSION_ID_BYTES];
    hello_id(&self->client, session);
    raw_request(&self->client, 2, "BYE", "{'really': true}");
    raw_receive(&self->client);
    raw_expect_error(&self->client, "unknown_argument");
    raw_request(&self->client, 3, "BYE", "{}");
    raw_receive(&self->client);
    assert_true(raw_is_ok(&self->client));
    assert_int_equal(self->engine.byes, 1);
    raw_request(&self->client, 4, "ECHO", "{}");
    raw_receive(&self->client);
    raw_expect_error(&self->client, "hello_required");
    assert_int_equal(self->engine.sessions_gone, 0); /* the engine had the BYE */
    assert_false(resume(&self->client, session));
}

/* --- Heartbeats ---------------------------------------------------------------------------------- */

static void hello_with_heartbeats(struct raw_client *client, unsigned ms)
{
    char args[100];
    (void)snprintf(args, sizeof args, "{'versions': [1], 'heartbeat_ms': %u}", ms);
    raw_request(client, 1, "HELLO", args);
    raw_receive(client);
    assert_true(raw_is_ok(client));
}

static void who_asked_gets_beats_and_is_ended_when_silent(void **state)
{
    struct stage *const self = *state;
    struct raw_client other;
    raw_client_init(&other, server_endpoint(self->server, 0), ZMQ_DEALER);
    hello(&other, 1);
    hello_with_heartbeats(&self->client, 100);
    raw_request(&self->client, 2, "PARK", "{}"); /* who waits is not excused */
    raw_receive(&self->client);
    assert_int_equal(self->client.reply.status, WIRE_BEAT);
    assert_false(self->client.reply.has_id);
    assert_true(raw_uint(&self->client, "now_ms") > 0);
    while (self->engine.sessions_silent == 0) {
        raw_call(&other, "PING", "{}");
    }
    assert_int_equal(self->engine.abandoned, 1);
    do { /* beats that were on their way */
        raw_request(&self->client, 3, "ECHO", "{}");
        raw_receive(&self->client);
    } while (self->client.reply.status == WIRE_BEAT);
    raw_expect_error(&self->client, "hello_required");
    assert_int_equal(self->engine.sessions_gone, 1); /* the other had promised nothing */
    raw_client_fini(&other);
}

static int64_t now_ms(void)
{
    return now_us() / 1000;
}

/* Goal: PINGs keep a session that asked for heartbeats. Method: beside one that falls silent; an
 * own pause that was too long for the promise proves nothing, then we try again. */
static void a_ping_is_a_sign_of_life(void **state)
{
    struct stage *const self = *state;
    struct raw_client silent;
    raw_client_init(&silent, server_endpoint(self->server, 0), ZMQ_DEALER);
    int64_t longest_ms = 0;
    do {
        hello_with_heartbeats(&self->client, 200);
        const unsigned silent_before = self->engine.sessions_silent;
        hello_with_heartbeats(&silent, 200);
        int64_t before_ms = now_ms();
        longest_ms = 0;
        while (self->engine.sessions_silent == silent_before) {
            raw_request(&self->client, 0, "PING", "{}");
            raw_receive(&self->client);
            const int64_t took_ms = now_ms() - before_ms;
            longest_ms = took_ms > longest_ms ? took_ms : longest_ms;
            before_ms += took_ms;
        }
    } while (longest_ms >= 400);
    do {
        raw_request(&self->client, 2, "ECHO", "{}");
        raw_receive(&self->client);
    } while (self->client.reply.status == WIRE_BEAT || self->client.reply.id != 2);
    assert_true(raw_is_ok(&self->client));
    raw_client_fini(&silent);
}

/* An idle session makes room, for its connection may be gone; one at work does not. */
static void sessions_are_limited(void **state)
{
    (void)state;
    struct stage *const self = stage_new("limits\n    sessions = 1\n");
    struct raw_client other;
    raw_client_init(&other, server_endpoint(self->server, 0), ZMQ_DEALER);
    hello(&self->client, 1);
    hello(&self->client, 1); /* replaces its own */
    hello(&other, 1);
    assert_int_equal(self->engine.sessions_gone, 2); /* idle ones make room */
    raw_request(&self->client, 2, "ECHO", "{}");
    raw_receive(&self->client);
    raw_expect_error(&self->client, "hello_required");
    raw_request(&other, 2, "PARK", "{}");
    raw_request(&other, 3, "ECHO", "{}"); /* when it is answered the first has arrived */
    raw_receive(&other);
    assert_true(raw_is_ok(&other));
    raw_ask(&self->client, "HELLO", "{'versions': [1]}");
    raw_expect_error(&self->client, "limit_reached");
    raw_client_fini(&other);
    stage_destroy(self);
}

static void a_silent_session_ends_and_a_waiting_one_does_not(void **state)
{
    (void)state;
    struct stage *const self = stage_new("network\n    session_timeout = 1s\n");
    struct raw_client waiting;
    raw_client_init(&waiting, server_endpoint(self->server, 0), ZMQ_DEALER);
    hello(&waiting, 1);
    raw_request(&waiting, 2, "PARK", "{}");
    hello(&self->client, 1);
    struct raw_client other; /* without a session, to see the time go by */
    raw_client_init(&other, server_endpoint(self->server, 0), ZMQ_DEALER);
    while (self->engine.sessions_gone == 0) {
        raw_call(&other, "PING", "{}");
    }
    raw_request(&self->client, 2, "ECHO", "{}");
    raw_receive(&self->client);
    raw_expect_error(&self->client, "hello_required");
    raw_call(&other, "WAKE", "{}");
    raw_client_fini(&other);
    raw_receive(&waiting);
    assert_true(raw_is_ok(&waiting));
    assert_int_equal(self->engine.sessions_gone, 1);
    raw_client_fini(&waiting);
    stage_destroy(self);
}

/* --- Replies that travel together ------------------------------------------------------------------ */

static void coalesce(struct raw_client *client)
{
    raw_request(client, 1, "HELLO", "{'versions': [1], 'coalesce': true}");
    raw_receive(client);
    assert_true(raw_is_ok(client));
}

/* Goal: who asked gets what is ready at once in one frame, in order. */
static void replies_that_are_ready_travel_together(void **state)
{
    struct stage *const self = *state;
    struct raw_client *const client = &self->client;
    coalesce(client);
    for (uint64_t id = 2; id < 10; id++) {
        raw_request(client, id, "PARK", "{}");
    }
    raw_request(client, 10, "WAKE", "{}"); /* answers all that is parked, then itself */
    for (size_t i = 0; i < 9; i++) {
        raw_receive(client);
        assert_true(raw_is_ok(client));
        assert_int_equal(client->position, i);
        assert_int_equal(client->frame_count, 1);
    }
    assert_int_equal(client->rest.len, 0);
    raw_call(client, "PING", "{}"); /* credit and all came back */
}

static void bodies_envelopes_and_others_travel_alone(void **state)
{
    struct stage *const self = *state;
    struct raw_client *const client = &self->client;
    struct raw_client other;
    raw_client_init(&other, server_endpoint(self->server, 0), ZMQ_DEALER);
    hello(&other, 1);
    coalesce(client);
    raw_request(client, 2, "PARK", "{}");
    raw_request(client, 0, "PARK", "{}");
    raw_request(client, 3, "PARK", "{}");
    raw_request(&other, 2, "PARK", "{}");
    raw_request(&other, 3, "PARK", "{}");
    raw_request(&other, 4, "PING", "{}");
    raw_receive(&other);
    raw_request_body(client, 4, "ECHO", "{}", zsp_slice_str("body"));
    raw_receive(client);
    assert_int_equal(client->frame_count, 2);
    raw_request(client, 5, "WAKE", "{}");
    for (size_t i = 0; i < 4; i++) {
        raw_receive(client);
        assert_true(raw_is_ok(client));
    }
    for (size_t i = 0; i < 2; i++) {
        raw_receive(&other);
        assert_int_equal(other.position, 0);
        assert_int_equal(other.rest.len, 0);
    }
    raw_client_fini(&other);
}

/* Goal: bundles to a peer that does not read, and to one that is gone, leave nothing behind. */
static void a_bundle_waits_and_goes_like_any_reply(void **state)
{
    struct stage *const self = *state;
    struct raw_client slow;
    uint8_t session[SESSION_ID_BYTES];
    raw_client_init_slow(&slow, server_endpoint(self->server, 0));
    coalesce(&slow);
    memcpy(session, raw_value(&slow, "session")->via.bin.ptr, SESSION_ID_BYTES);
    for (uint64_t id = 2; id < 8000; id++) {
        raw_request(&slow, id, "ECHO", "{}");
    }
    raw_call(&self->client, "ECHO", "{}");
    assert_true(resume(&self->client, session));
    raw_request(&self->client, 2, "ECHO", "{}");
    raw_receive(&self->client);
    assert_true(raw_is_ok(&self->client));
    raw_client_fini(&slow);
    raw_call(&self->client, "ECHO", "{}");
}

/* --- Credit --------------------------------------------------------------------------------------- */

static void request_257_is_over_credit_and_the_others_are_answered(void **state)
{
    struct stage *const self = *state;
    for (int i = 0; i < 256; i++) {
        raw_request(&self->client, 0, "PARK", "{}");
    }
    raw_ask(&self->client, "ECHO", "{}");
    raw_expect_error(&self->client, "over_credit");
    assert_true(raw_value(&self->client, "retriable")->via.boolean);
    struct raw_client other;
    raw_client_init(&other, server_endpoint(self->server, 0), ZMQ_DEALER);
    raw_call(&other, "WAKE", "{}");
    raw_client_fini(&other);
    for (int i = 0; i < 256; i++) {
        raw_receive(&self->client);
        assert_true(raw_is_ok(&self->client));
    }
    raw_call(&self->client, "ECHO", "{}");
}

static void bytes_of_unanswered_requests_are_limited(void **state)
{
    struct stage *const self = *state;
    uint8_t *const bytes = calloc(1, ZSP_FRAME_MAX);
    const struct zsp_slice body = {bytes, ZSP_FRAME_MAX - 1024};
    for (int i = 0; i < 4; i++) {
        raw_request_body(&self->client, 0, "PARK", "{}", body);
    }
    raw_request_body(&self->client, 0, "PARK", "{}", body);
    raw_receive(&self->client);
    raw_expect_error(&self->client, "over_credit");
    free(bytes);
}

/* --- Peers that do not read, or go ------------------------------------------------------------------- */

/* What is not read stays within limits.reply_bytes and one reply; leases of
 * replies that were not sent come back. */
static void a_reader_that_never_reads_is_bounded(void **state)
{
    (void)state;
    struct stage *const self = stage_new("limits\n    reply_bytes = 16MiB\n");
    struct raw_client slow;
    raw_client_init_slow(&slow, server_endpoint(self->server, 0));
    for (int i = 0; i < 64; i++) {
        raw_request(&slow, 0, "BULK", "{'bytes': 4000000}");
    }
    while (self->engine.undelivered == 0) {
        raw_call(&self->client, "PING", "{}"); /* the broker serves others meanwhile */
    }
    unsigned answered = 0;
    unsigned refused = 0;
    while (answered + refused < 64) {
        raw_receive(&slow);
        answered += raw_is_ok(&slow) ? 1u : 0u;
        refused += raw_is_ok(&slow) ? 0u : 1u;
    }
    assert_int_equal(self->engine.undelivered, refused);
    assert_true(answered >= 4);
    raw_client_fini(&slow);
    stage_destroy(self);
}

/* More small replies than libzmq and the kernel hold for one peer: they wait in its
 * queue, whole, until it reads; requests beyond its credit are dropped. */
static void a_full_peer_waits_in_a_queue_and_the_others_go_on(void **state)
{
    struct stage *const self = *state;
    struct raw_client slow;
    raw_client_init_slow(&slow, server_endpoint(self->server, 0));
    uint8_t bytes[8000] = {0};
    const struct zsp_slice body = {bytes, sizeof bytes};
    for (int i = 0; i < 3000; i++) {
        raw_request_body(&slow, 0, "ECHO", "{}", body);
        if (i % 100 == 0) {
            raw_call(&self->client, "ECHO", "{}");
        }
    }
    unsigned answers = 0;
    while (raw_receive_within(&slow, 500)) { /* till silence: some were dropped */
        assert_true(raw_is_ok(&slow) ? slow.frames[1].len == sizeof bytes : true);
        answers++;
    }
    print_message("%u answers\n", answers);
    assert_in_range(answers, 700, 3000);
    raw_call(&slow, "ECHO", "{}");
    raw_client_fini(&slow);
}

static void requests_of_a_vanished_peer_are_abandoned(void **state)
{
    (void)state;
    struct stage *const self = stage_new("network\n    session_timeout = 1s\n");
    struct raw_client gone;
    raw_client_init(&gone, server_endpoint(self->server, 0), ZMQ_DEALER);
    hello(&gone, 1);
    raw_request(&gone, 2, "PARK", "{}");
    raw_request(&gone, 3, "PARK", "{}");
    raw_request(&gone, 4, "PING", "{}"); /* the PARKs before it have arrived */
    raw_receive(&gone);
    raw_client_fini(&gone);
    /* The broker learns of it when a reply finds nobody; then the session waits for its client, until
     * it was silent for too long. */
    while (self->engine.sessions_gone == 0) {
        raw_call(&self->client, "WAKE", "{}");
    }
    raw_call(&self->client, "PING", "{}");
    stage_destroy(self);
}

/* --- The end -------------------------------------------------------------------------------------------- */

static void a_drain_answers_what_is_parked_and_ends(void **state)
{
    struct stage *const self = *state;
    raw_request(&self->client, 0, "PARK", "{}");
    raw_call(&self->client, "PING", "{}");
    stage_stop(self);
    raw_receive(&self->client);
    assert_true(raw_is_ok(&self->client));
    assert_int_equal(stage_join(self), ZSP_OK);
}

static void a_failed_storage_is_answered_and_ends_the_server(void **state)
{
    struct stage *const self = *state;
    raw_request(&self->client, 0, "FAIL", "{}");
    raw_receive(&self->client);
    raw_expect_error(&self->client, "storage_failed");
    assert_int_equal(stage_join(self), ZSP_ESTORAGE_FAILED);
}

#define PROVE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROVE(a_dealer_without_envelope_is_served),
        PROVE(a_req_socket_can_do_everything),
        PROVE(the_envelope_comes_back_unchanged),
        PROVE(a_lone_empty_frame_is_no_request),
        PROVE(what_cannot_be_read_is_answered_with_id_nil),
        PROVE(empty_and_too_large_bodies_are_refused),
        PROVE(ids_above_zero_need_a_hello_and_increase),
        PROVE(a_chosen_routing_id_gets_no_session),
        PROVE(a_session_moves_to_who_resumes_it),
        PROVE(an_unknown_session_is_not_resumed),
        PROVE(the_session_of_a_vanished_peer_waits_for_it),
        PROVE(bye_ends_the_session_and_not_the_connection),
        PROVE(who_asked_gets_beats_and_is_ended_when_silent),
        PROVE(a_ping_is_a_sign_of_life),
        cmocka_unit_test(sessions_are_limited),
        cmocka_unit_test(a_silent_session_ends_and_a_waiting_one_does_not),
        PROVE(replies_that_are_ready_travel_together),
        PROVE(bodies_envelopes_and_others_travel_alone),
        PROVE(a_bundle_waits_and_goes_like_any_reply),
        PROVE(request_257_is_over_credit_and_the_others_are_answered),
        PROVE(bytes_of_unanswered_requests_are_limited),
        cmocka_unit_test(a_reader_that_never_reads_is_bounded),
        PROVE(a_full_peer_waits_in_a_queue_and_the_others_go_on),
        cmocka_unit_test(requests_of_a_vanished_peer_are_abandoned),
        PROVE(a_drain_answers_what_is_parked_and_ends),
        PROVE(a_failed_storage_is_answered_and_ends_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
