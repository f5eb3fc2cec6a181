/* SPDX-License-Identifier: MPL-2.0
 *
 * Sessions over real sockets with an engine that the test directs: what HELLO
 * begins, moves and is asked for, and how it ends.
 */
#include "tests/common/testing.h"

#include <stdio.h>
#include <unistd.h>
#include <zmq.h>

#include "broker/server/now.h"
#include "broker/server/session.h"
#include "common/limits.h"
#include "tests/broker/server/server_stage.h"

/* --- Sessions ----------------------------------------------------------------------------------- */

static void ids_above_zero_need_a_hello_and_increase(void **state)
{
    struct stage *const self = *state;
    struct raw_client *const client = &self->client;
    raw_request(client, 1, "ECHO", "{}");
    raw_receive(client);
    raw_expect_error(client, "hello_required");
    assert_int_equal(client->reply.id, 1);
    stage_hello(client, 2);
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

/* HELLO, and what names the session. */
static void hello_id(struct raw_client *client, uint8_t ret_session[SESSION_ID_BYTES])
{
    stage_hello(client, 1);
    raw_session(client, ret_session);
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
    assert_true(raw_resume(&second, session));
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
    assert_true(raw_resume(&second, session)); /* from itself */
    raw_client_fini(&second);
}

static void an_unknown_session_is_not_resumed(void **state)
{
    struct stage *const self = *state;
    uint8_t session[SESSION_ID_BYTES];
    hello_id(&self->client, session);
    session[3] ^= 1;
    assert_false(raw_resume(&self->client, session));
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
    assert_true(raw_resume(&gone, session));
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
    assert_false(raw_resume(&self->client, session));
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
    stage_hello(&other, 1);
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
    stage_hello(&self->client, 1);
    stage_hello(&self->client, 1); /* replaces its own */
    stage_hello(&other, 1);
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
    stage_hello(&waiting, 1);
    raw_request(&waiting, 2, "PARK", "{}");
    stage_hello(&self->client, 1);
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
    stage_hello(&other, 1);
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

/* The next reply is of this request and this kind, and lies there in its frame. */
static void expect_reply(struct raw_client *client, uint64_t id, enum wire_status status,
                         size_t position)
{
    raw_receive(client);
    assert_int_equal(client->reply.status, status);
    assert_int_equal(client->reply.id, id);
    assert_int_equal(client->position, position);
    assert_int_equal(client->frame_count, status == WIRE_PART ? 2 : 1);
}

/* Goal: a reply in parts keeps its place between others. What was ready before it leaves first, each PART
 * goes alone with its body, and its OK, which has none, travels with what comes behind. */
static void parts_travel_alone_and_in_order(void **state)
{
    struct stage *const self = *state;
    struct raw_client *const client = &self->client;
    coalesce(client);
    raw_request(client, 2, "PARK", "{}");
    raw_request(client, 3, "PARK", "{}");
    raw_request(client, 4, "PARTS", "{}");
    raw_request(client, 5, "PARTS", "{}");
    raw_request(client, 6, "PARK", "{}");
    raw_request(client, 7, "WAKE", "{}");
    expect_reply(client, 2, WIRE_OK, 0);
    expect_reply(client, 3, WIRE_OK, 1);
    for (uint64_t id = 4; id < 6; id++) {
        expect_reply(client, id, WIRE_PART, 0);
        assert_int_equal(raw_body(client).len, FAKE_PART_BYTES);
        expect_reply(client, id, WIRE_PART, 0);
        expect_reply(client, id, WIRE_OK, 0); /* the PART of the next one sends it off */
    }
    expect_reply(client, 6, WIRE_OK, 1);
    expect_reply(client, 7, WIRE_OK, 2);
    raw_call(client, "PING", "{}"); /* credit and all came back */
}

/* Goal: whoever resumes the session of a peer that reads nothing of its parts gets no rest of them, and
 * nothing that they had is kept. */
static void parts_of_a_peer_that_does_not_read_go_with_its_session(void **state)
{
    struct stage *const self = *state;
    struct raw_client slow;
    uint8_t session[SESSION_ID_BYTES];
    raw_client_init_slow(&slow, server_endpoint(self->server, 0));
    coalesce(&slow);
    raw_session(&slow, session);
    for (unsigned round = 0; round < 40; round++) {
        for (uint64_t i = 0; i < 50; i++) {
            raw_request(&slow, 2 + 51 * round + i, i % 3 == 0 ? "PARK" : "PARTS", "{}");
        }
        raw_request(&slow, 52 + 51 * round, "WAKE", "{}");
    }
    raw_call(&self->client, "ECHO", "{}");
    assert_true(raw_resume(&self->client, session));
    raw_request(&self->client, 2, "ECHO", "{}");
    expect_reply(&self->client, 2, WIRE_OK, 0);
    raw_client_fini(&slow);
    raw_call(&self->client, "ECHO", "{}");
}

/* Goal: bundles to a peer that does not read, and to one that is gone, leave nothing behind. */
static void a_bundle_waits_and_goes_like_any_reply(void **state)
{
    struct stage *const self = *state;
    struct raw_client slow;
    uint8_t session[SESSION_ID_BYTES];
    raw_client_init_slow(&slow, server_endpoint(self->server, 0));
    coalesce(&slow);
    raw_session(&slow, session);
    for (uint64_t id = 2; id < 8000; id++) {
        raw_request(&slow, id, "ECHO", "{}");
    }
    raw_call(&self->client, "ECHO", "{}");
    assert_true(raw_resume(&self->client, session));
    raw_request(&self->client, 2, "ECHO", "{}");
    raw_receive(&self->client);
    assert_true(raw_is_ok(&self->client));
    raw_client_fini(&slow);
    raw_call(&self->client, "ECHO", "{}");
}

#define PROVE(test) cmocka_unit_test_setup_teardown(test, stage_setup, stage_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
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
        PROVE(parts_travel_alone_and_in_order),
        PROVE(parts_of_a_peer_that_does_not_read_go_with_its_session),
        PROVE(a_bundle_waits_and_goes_like_any_reply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
