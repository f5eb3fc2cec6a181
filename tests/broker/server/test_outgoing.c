/* SPDX-License-Identifier: MPL-2.0
 *
 * Frames and replies over a real ROUTER and DEALER, inproc.
 */
#include "tests/common/testing.h"

#include "broker/server/inbound.h"
#include "broker/server/outgoing.h"

struct pair {
    void *context;
    void *router;
    void *dealer;
    struct inbound message; /* what the router last received */
};

static void set(void *socket, int option, int value)
{
    assert_int_equal(zmq_setsockopt(socket, option, &value, sizeof value), 0);
}

static int setup(void **state)
{
    struct pair *const self = calloc(1, sizeof *self);
    assert_non_null(self);
    self->context = zmq_ctx_new();
    self->router = zmq_socket(self->context, ZMQ_ROUTER);
    self->dealer = zmq_socket(self->context, ZMQ_DEALER);
    set(self->router, ZMQ_ROUTER_MANDATORY, 1);
    set(self->router, ZMQ_SNDHWM, 2);
    set(self->router, ZMQ_LINGER, 0);
    set(self->dealer, ZMQ_RCVHWM, 2);
    set(self->dealer, ZMQ_LINGER, 0);
    assert_int_equal(zmq_bind(self->router, "inproc://pair"), 0);
    assert_int_equal(zmq_connect(self->dealer, "inproc://pair"), 0);
    assert_int_equal(zmq_send(self->dealer, "hi", 2, 0), 2);
    assert_int_equal(inbound_receive(&self->message, self->router, NULL), ZSP_OK);
    *state = self;
    return 0;
}

static int teardown(void **state)
{
    struct pair *const self = *state;
    inbound_clear(&self->message);
    (void)zmq_close(self->router);
    (void)zmq_close(self->dealer);
    (void)zmq_ctx_term(self->context);
    free(self);
    return 0;
}

static struct zsp_slice peer(const struct pair *self)
{
    return (struct zsp_slice){self->message.routing_id, self->message.routing_id_len};
}

/* Receive one frame at the dealer and compare. */
static bool next_is(const struct pair *self, const void *bytes, size_t len)
{
    static uint8_t got[1u << 20];
    const int count = zmq_recv(self->dealer, got, sizeof got, ZMQ_DONTWAIT);
    return count >= 0 && (size_t)count == len && memcmp(got, bytes, len) == 0;
}

static struct zsp_buf *filled(size_t len, int byte)
{
    struct zsp_buf *const buf = zsp_buf_new(len);
    assert_non_null(buf);
    memset(zsp_buf_bytes(buf), byte, len);
    return buf;
}

static void a_message_is_received_with_all_its_frames(void **state)
{
    struct pair *const self = *state;
    inbound_clear(&self->message);
    assert_int_equal(zmq_send(self->dealer, "", 0, ZMQ_SNDMORE), 0);
    assert_int_equal(zmq_send(self->dealer, "head", 4, ZMQ_SNDMORE), 4);
    assert_int_equal(zmq_send(self->dealer, "body", 4, 0), 4);
    assert_int_equal(inbound_receive(&self->message, self->router, NULL), ZSP_OK);
    assert_int_equal(self->message.frame_count, 3);
    assert_int_equal(self->message.bytes, 8);
    assert_int_equal(self->message.slices[0].len, 0);
    expect_slice(self->message.slices[2], "body");
    inbound_clear(&self->message);
    assert_int_equal(inbound_receive(&self->message, self->router, NULL), ZSP_EAGAIN);
}

/* Frames beyond the limit are counted, not kept. */
static void ten_thousand_frames_cost_no_more_than_64(void **state)
{
    struct pair *const self = *state;
    inbound_clear(&self->message);
    for (int i = 0; i < 10000; i++) {
        assert_int_equal(zmq_send(self->dealer, "x", 1, i < 9999 ? ZMQ_SNDMORE : 0), 1);
    }
    assert_int_equal(inbound_receive(&self->message, self->router, NULL), ZSP_OK);
    assert_int_equal(self->message.frame_count, 10000);
    assert_int_equal(self->message.bytes, 10000);
    assert_int_equal(self->message.kept, ZSP_MESSAGE_FRAMES_MAX);
}

static void a_frame_taken_outlives_the_message(void **state)
{
    struct pair *const self = *state;
    inbound_clear(&self->message);
    static uint8_t large[FRAME_COPY_MAX + 1];
    memset(large, 'l', sizeof large);
    assert_int_equal(zmq_send(self->dealer, "small", 5, ZMQ_SNDMORE), 5);
    assert_int_equal(zmq_send(self->dealer, large, sizeof large, 0), (int)sizeof large);
    assert_int_equal(inbound_receive(&self->message, self->router, NULL), ZSP_OK);
    struct zsp_buf *small = inbound_take_frame(&self->message, 0);
    struct zsp_buf *big = inbound_take_frame(&self->message, 1);
    inbound_clear(&self->message);
    assert_memory_equal(small->data, "small", 5);
    assert_int_equal(big->len, sizeof large);
    assert_memory_equal(big->data, large, sizeof large);
    zsp_buf_put(&small);
    zsp_buf_put(&big);
}

static void a_reply_is_envelope_header_and_joined_small_parts(void **state)
{
    struct pair *const self = *state;
    struct zsp_slice frames[2] = {zsp_slice_str("proxy"), {(const uint8_t *)"", 0}};
    struct envelope envelope;
    assert_int_equal(envelope_copy(&envelope, frames, 2, NULL), ZSP_OK);
    struct zsp_buf *header = zsp_buf_copy(zsp_slice_str("head"));
    struct zsp_buf *text = zsp_buf_copy(zsp_slice_str("0123456789"));
    struct zsp_buf *large = filled(FRAME_COPY_MAX + 6, 'L');
    const struct engine_part parts[] = {{text, 0, 3, false},
                                        {text, 5, 2, false},
                                        {large, 5, FRAME_COPY_MAX + 1, false},
                                        {large, 0, FRAME_COPY_MAX + 1, false},
                                        {text, 9, 1, false}};
    struct outflow *flow = outflow_new(NULL);
    struct outgoing *outgoing =
        outgoing_new(&envelope, header, (struct outgoing_body){parts, 5}, flow);
    assert_non_null(outgoing);
    assert_int_equal(outflow_bytes(flow), 2 * (FRAME_COPY_MAX + 1));
    assert_int_equal(outgoing_send(outgoing, self->router, peer(self)), OUTGOING_SENT);
    outgoing_destroy(&outgoing);
    assert_true(next_is(self, "proxy", 5));
    assert_true(next_is(self, "", 0));
    assert_true(next_is(self, "head", 4));
    assert_true(next_is(self, "01256", 5));
    assert_true(next_is(self, large->data, FRAME_COPY_MAX + 1));
    assert_true(next_is(self, large->data, FRAME_COPY_MAX + 1));
    assert_true(next_is(self, "9", 1));
    zsp_buf_put(&header);
    zsp_buf_put(&text);
    zsp_buf_put(&large);
    envelope_fini(&envelope);
    outflow_destroy(&flow);
}

/* Bytes that go out hold no more memory than twice what is counted. */
static void a_small_part_of_a_large_buffer_is_copied(void **state)
{
    struct pair *const self = *state;
    const struct envelope none = {0};
    struct zsp_buf *header = zsp_buf_copy(zsp_slice_str("head"));
    struct zsp_buf *large = filled(10 * FRAME_COPY_MAX, 'L');
    const struct engine_part parts[] = {{large, 7, FRAME_COPY_MAX + 1, false},
                                        {large, 4 * FRAME_COPY_MAX, FRAME_COPY_MAX + 1, false}};
    struct outflow *flow = outflow_new(NULL);
    struct outgoing *outgoing = outgoing_new(&none, header, (struct outgoing_body){parts, 2}, flow);
    assert_non_null(outgoing);
    assert_int_equal(atomic_load(&large->refs), 1);
    assert_int_equal(outflow_bytes(flow), 2 * (FRAME_COPY_MAX + 1));
    assert_int_equal(outgoing_send(outgoing, self->router, peer(self)), OUTGOING_SENT);
    outgoing_destroy(&outgoing);
    assert_true(next_is(self, "head", 4));
    assert_true(next_is(self, large->data, 2 * (FRAME_COPY_MAX + 1)));
    zsp_buf_put(&header);
    zsp_buf_put(&large);
    outflow_destroy(&flow);
}

/* A compressed run is one frame: what stands beside it keeps away, however small all are. */
static void a_whole_part_is_a_frame_of_its_own(void **state)
{
    struct pair *const self = *state;
    const struct envelope none = {0};
    struct zsp_buf *header = zsp_buf_copy(zsp_slice_str("head"));
    struct zsp_buf *text = zsp_buf_copy(zsp_slice_str("0123456789"));
    const struct engine_part parts[] = {{text, 0, 2, false}, {text, 2, 1, false},
                                        {text, 3, 2, true},  {text, 5, 1, true},
                                        {text, 6, 2, false}, {text, 8, 2, false}};
    struct outflow *flow = outflow_new(NULL);
    struct outgoing *outgoing = outgoing_new(&none, header, (struct outgoing_body){parts, 6}, flow);
    assert_non_null(outgoing);
    assert_int_equal(outgoing_send(outgoing, self->router, peer(self)), OUTGOING_SENT);
    outgoing_destroy(&outgoing);
    const char *const frames[] = {"head", "012", "34", "5", "6789"};
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        assert_true(next_is(self, frames[i], strlen(frames[i])));
    }
    zsp_buf_put(&header);
    zsp_buf_put(&text);
    outflow_destroy(&flow);
}

/* Many small replies count as well as few large ones. */
static void small_frames_are_counted_until_they_are_gone(void **state)
{
    (void)state;
    const struct envelope none = {0};
    struct zsp_buf *header = filled(FRAME_UNCOUNTED_MAX + 1, 'h');
    struct outflow *all = outflow_new(NULL);
    struct outflow *flow = outflow_new(all);
    struct outgoing *outgoing = outgoing_new(&none, header, (struct outgoing_body){0}, flow);
    assert_int_equal(outflow_bytes(flow), FRAME_UNCOUNTED_MAX + 1);
    assert_int_equal(outflow_bytes(all), FRAME_UNCOUNTED_MAX + 1);
    outflow_destroy(&flow);
    outgoing_destroy(&outgoing);
    assert_int_equal(outflow_bytes(all), 0);
    outflow_destroy(&all);
    zsp_buf_put(&header);
}

/* What a reader does not read is refused whole, and nothing is half sent. */
static void a_full_peer_refuses_the_whole_reply_and_takes_it_later(void **state)
{
    struct pair *const self = *state;
    const struct envelope none = {0};
    struct zsp_buf *header = zsp_buf_copy(zsp_slice_str("head"));
    struct outflow *flow = outflow_new(NULL);
    enum outgoing_result result = OUTGOING_SENT;
    struct outgoing *outgoing = NULL;
    size_t sent = 0;
    while (result == OUTGOING_SENT) {
        outgoing_destroy(&outgoing);
        outgoing = outgoing_new(&none, header, (struct outgoing_body){0}, flow);
        result = outgoing_send(outgoing, self->router, peer(self));
        sent += result == OUTGOING_SENT ? 1u : 0u;
    }
    assert_int_equal(result, OUTGOING_FULL);
    for (size_t i = 0; i < sent; i++) {
        assert_true(next_is(self, "head", 4));
    }
    /* A send looks for news of its peers only now and then, a poll always. */
    zmq_pollitem_t item = {.socket = self->router, .events = ZMQ_POLLIN};
    assert_int_equal(zmq_poll(&item, 1, 0), 0);
    assert_int_equal(outgoing_send(outgoing, self->router, peer(self)), OUTGOING_SENT);
    assert_true(next_is(self, "head", 4));
    outgoing_destroy(&outgoing);
    zsp_buf_put(&header);
    outflow_destroy(&flow);
}

static void an_unknown_peer_is_gone(void **state)
{
    struct pair *const self = *state;
    const struct envelope none = {0};
    struct zsp_buf *header = filled(FRAME_COPY_MAX + 1, 'h');
    struct outflow *flow = outflow_new(NULL);
    struct outgoing *outgoing = outgoing_new(&none, header, (struct outgoing_body){0}, flow);
    assert_int_equal(outgoing_send(outgoing, self->router, zsp_slice_str("nobody")), OUTGOING_GONE);
    assert_int_equal(outflow_bytes(flow), FRAME_COPY_MAX + 1);
    outgoing_destroy(&outgoing);
    assert_int_equal(outflow_bytes(flow), 0);
    zsp_buf_put(&header);
    outflow_destroy(&flow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_message_is_received_with_all_its_frames, setup, teardown),
        cmocka_unit_test_setup_teardown(ten_thousand_frames_cost_no_more_than_64, setup, teardown),
        cmocka_unit_test_setup_teardown(a_frame_taken_outlives_the_message, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reply_is_envelope_header_and_joined_small_parts, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_small_part_of_a_large_buffer_is_copied, setup, teardown),
        cmocka_unit_test_setup_teardown(a_whole_part_is_a_frame_of_its_own, setup, teardown),
        cmocka_unit_test(small_frames_are_counted_until_they_are_gone),
        cmocka_unit_test_setup_teardown(a_full_peer_refuses_the_whole_reply_and_takes_it_later,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(an_unknown_peer_is_gone, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
