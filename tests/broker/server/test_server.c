/* SPDX-License-Identifier: MPL-2.0
 *
 * The server over real sockets with an engine that the test directs: envelopes,
 * credit, slow and vanishing peers, the end. Sessions: test_server_session.c.
 */
#include "tests/common/testing.h"

#include <stdio.h>
#include <unistd.h>
#include <zmq.h>

#include "broker/server/now.h"
#include "broker/server/session.h"
#include "common/limits.h"
#include "tests/broker/server/server_stage.h"

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

/* --- Credit --------------------------------------------------------------------------------------- */

static void one_request_too_many_is_over_credit_and_the_others_are_answered(void **state)
{
    struct stage *const self = *state;
    for (unsigned i = 0; i < ZSP_REQUESTS_MAX; i++) {
        raw_request(&self->client, 0, "PARK", "{}");
    }
    raw_ask(&self->client, "ECHO", "{}");
    raw_expect_error(&self->client, "over_credit");
    assert_true(raw_value(&self->client, "retriable")->via.boolean);
    struct raw_client other;
    raw_client_init(&other, server_endpoint(self->server, 0), ZMQ_DEALER);
    raw_call(&other, "WAKE", "{}");
    raw_client_fini(&other);
    for (unsigned i = 0; i < ZSP_REQUESTS_MAX; i++) {
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

/* Goal: many small batches in a request take room of their own in the broker. */
static void batches_take_credit(void **state)
{
    struct stage *const self = *state;
    raw_ask(&self->client, "PARK", "{'batches': 70000}");
    raw_expect_error(&self->client, "too_large");
    raw_request(&self->client, 0, "PARK", "{'batches': 40000}");
    raw_ask(&self->client, "PARK", "{'batches': 40000}");
    raw_expect_error(&self->client, "over_credit");
    raw_ask(&self->client, "ECHO", "{}");
    assert_true(raw_is_ok(&self->client));
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
    stage_hello(&gone, 1);
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

#define PROVE(test) cmocka_unit_test_setup_teardown(test, stage_setup, stage_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROVE(a_dealer_without_envelope_is_served),
        PROVE(a_req_socket_can_do_everything),
        PROVE(the_envelope_comes_back_unchanged),
        PROVE(a_lone_empty_frame_is_no_request),
        PROVE(what_cannot_be_read_is_answered_with_id_nil),
        PROVE(empty_and_too_large_bodies_are_refused),
        PROVE(one_request_too_many_is_over_credit_and_the_others_are_answered),
        PROVE(bytes_of_unanswered_requests_are_limited),
        PROVE(batches_take_credit),
        cmocka_unit_test(a_reader_that_never_reads_is_bounded),
        PROVE(a_full_peer_waits_in_a_queue_and_the_others_go_on),
        cmocka_unit_test(requests_of_a_vanished_peer_are_abandoned),
        PROVE(a_drain_answers_what_is_parked_and_ends),
        PROVE(a_failed_storage_is_answered_and_ends_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
