/* SPDX-License-Identifier: MPL-2.0
 *
 * The main job over raw sockets: publish, keep, pull, settle, read; every way to
 * connect; sessions; what survives kill -9.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

#include "common/limits.h"
#include "tests/integration/scene.h"

/* The only run of the last reply: [topic, partition, first, count, lease, ...]. */
static const msgpack_object *only_run(const struct raw_client *client)
{
    const msgpack_object *const runs = raw_value(client, "runs");
    assert_int_equal(runs->type, MSGPACK_OBJECT_ARRAY);
    assert_int_equal(runs->via.array.size, 1);
    return runs->via.array.ptr[0].via.array.ptr;
}

static void assert_body(struct raw_client *client, const char *const *payloads)
{
    const struct zsp_slice body = raw_body(client);
    struct zsp_writer wanted = {0};
    for (; *payloads; payloads++) {
        raw_record(&wanted, zsp_slice_str(*payloads));
    }
    assert_true(zsp_slice_equal(body, zsp_writer_slice(&wanted)));
    zsp_writer_fini(&wanted);
}

/* Ack the first `count` messages of topic t that `lease` covers. */
static void ack(struct raw_client *client, uint64_t first, uint64_t count, uint64_t lease)
{
    raw_call(client, "SETTLE",
             "{'group': 'g', 'runs': [['t', 0, %" PRIu64 ", %" PRIu64 ", %" PRIu64 ", 'ack']]}",
             first, count, lease);
    assert_int_equal(raw_uint(client, "applied"), count);
}

static void a_message_is_published_pulled_and_settled(void **state)
{
    struct scene *const self = *state;
    struct raw_client *const client = &self->client;
    assert_int_equal(raw_publish(client, "t", "hello"), 0);
    assert_int_equal(raw_publish(client, "t", "world"), 1);
    raw_call(client, "PULL", "{'group': 'g', 'topics': ['t'], 'wait_ms': 5000, 'max_messages': 1}");
    assert_body(client, (const char *[]){"hello", NULL});
    const uint64_t lease = only_run(client)[4].via.u64;
    assert_in_range(lease, 1, (UINT64_C(1) << 53) - 1);
    ack(client, 0, 1, lease);
    raw_call(client, "PULL", "{'group': 'g', 'topics': ['t'], 'wait_ms': 5000}");
    assert_int_equal(only_run(client)[2].via.u64, 1);
    assert_body(client, (const char *[]){"world", NULL});
}

static void reading_leaves_groups_alone(void **state)
{
    struct scene *const self = *state;
    raw_publish(&self->client, "t", "a");
    raw_publish(&self->client, "t", "b");
    for (int i = 0; i < 2; i++) {
        raw_call(&self->client, "READ", "{'topic': 't', 'from': 'earliest'}");
        assert_body(&self->client, (const char *[]){"a", "b", NULL});
        assert_int_equal(raw_uint(&self->client, "next"), 2);
        assert_int_equal(raw_uint(&self->client, "end"), 2);
    }
    raw_call(&self->client, "PULL", "{'group': 'g', 'topics': ['t'], 'wait_ms': 5000}");
    assert_body(&self->client, (const char *[]){"a", "b", NULL});
}

static void a_parked_pull_is_answered_by_the_next_publish(void **state)
{
    struct scene *const self = *state;
    struct raw_client publisher;
    raw_client_init(&publisher, self->broker.endpoint, ZMQ_DEALER);
    raw_publish(&publisher, "t", "first");
    raw_call(&self->client, "PULL", "{'group': 'g', 'topics': ['t'], 'wait_ms': 5000}");
    raw_request(&self->client, 0, "PULL", "{'group': 'g', 'topics': ['t'], 'wait_ms': 20000}");
    raw_call(&publisher, "PING", "{}");
    raw_publish(&publisher, "t", "second");
    raw_receive(&self->client);
    assert_true(raw_is_ok(&self->client));
    assert_body(&self->client, (const char *[]){"second", NULL});
    raw_client_fini(&publisher);
}

static void what_was_confirmed_and_acked_survives_kill_9(void **state)
{
    struct scene *const self = *state;
    for (int i = 0; i < 10; i++) {
        raw_publish(&self->client, "t", "x");
    }
    raw_call(&self->client, "PULL",
             "{'group': 'g', 'topics': ['t'], 'wait_ms': 5000, 'max_messages': 4}");
    /* Batches of one message come as one run or as several that follow each other. */
    raw_call(&self->client, "READ", "{'topic': 't', 'from': 'earliest'}");
    assert_int_equal(raw_uint(&self->client, "next"), 10);
    scene_restart(self);
    raw_call(&self->client, "READ", "{'topic': 't', 'from': 'earliest'}");
    assert_int_equal(raw_uint(&self->client, "next"), 10);
    assert_int_equal(raw_publish(&self->client, "t", "y"), 10);
}

static void a_lease_stays_good_over_kill_9(void **state)
{
    struct scene *const self = *state;
    raw_publish(&self->client, "t", "x");
    raw_call(&self->client, "PULL", "{'group': 'g', 'topics': ['t'], 'wait_ms': 5000}");
    const uint64_t lease = only_run(&self->client)[4].via.u64;
    scene_restart(self);
    ack(&self->client, 0, 1, lease);
    scene_restart(self);
    raw_call(&self->client, "PULL", "{'group': 'g', 'topics': ['t']}");
    assert_int_equal(raw_value(&self->client, "runs")->via.array.size, 0);
}

/* --- Ways to connect ---------------------------------------------------------------------- */

static void a_req_socket_does_the_whole_job(void **state)
{
    struct scene *const self = *state;
    struct raw_client req;
    raw_client_init(&req, self->broker.endpoint, ZMQ_REQ);
    raw_publish(&req, "t", "x");
    raw_call(&req, "PULL", "{'group': 'g', 'topics': ['t'], 'wait_ms': 5000}");
    ack(&req, 0, 1, only_run(&req)[4].via.u64);
    raw_client_fini(&req);
}

static void a_correlating_req_socket_gets_its_envelope_back(void **state)
{
    struct scene *const self = *state;
    struct raw_client req;
    const int on = 1;
    raw_client_init(&req, self->broker.endpoint, ZMQ_REQ);
    assert_int_equal(zmq_setsockopt(req.socket, ZMQ_REQ_CORRELATE, &on, sizeof on), 0);
    raw_publish(&req, "t", "x");
    raw_call(&req, "READ", "{'topic': 't', 'from': 'earliest'}");
    raw_client_fini(&req);
}

struct proxy {
    void *context;
    void *front;
    void *back;
    void *control;
};

static void *run_proxy(void *arg)
{
    struct proxy *const self = arg;
    (void)zmq_proxy_steerable(self->front, self->back, NULL, self->control);
    return NULL;
}

static void a_proxy_stands_between(void **state)
{
    struct scene *const self = *state;
    struct proxy proxy = {.context = zmq_ctx_new()};
    proxy.front = zmq_socket(proxy.context, ZMQ_ROUTER);
    proxy.back = zmq_socket(proxy.context, ZMQ_DEALER);
    proxy.control = zmq_socket(proxy.context, ZMQ_PAIR);
    void *const steer = zmq_socket(proxy.context, ZMQ_PAIR);
    char endpoint[128];
    size_t len = sizeof endpoint;
    assert_int_equal(zmq_bind(proxy.front, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(zmq_getsockopt(proxy.front, ZMQ_LAST_ENDPOINT, endpoint, &len), 0);
    assert_int_equal(zmq_connect(proxy.back, self->broker.endpoint), 0);
    assert_int_equal(zmq_bind(proxy.control, "inproc://control"), 0);
    assert_int_equal(zmq_connect(steer, "inproc://control"), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run_proxy, &proxy), 0);

    struct raw_client first;
    struct raw_client second;
    raw_client_init(&first, endpoint, ZMQ_REQ);
    raw_client_init(&second, endpoint, ZMQ_REQ);
    raw_publish(&first, "t", "x");
    raw_publish(&second, "t", "y");
    raw_call(&first, "READ", "{'topic': 't', 'from': 'earliest'}");
    assert_body(&first, (const char *[]){"x", "y", NULL});
    raw_client_fini(&first);
    raw_client_fini(&second);

    assert_int_equal(zmq_send(steer, "TERMINATE", 9, 0), 9);
    assert_int_equal(pthread_join(thread, NULL), 0);
    (void)zmq_close(steer);
    (void)zmq_close(proxy.control);
    (void)zmq_close(proxy.front);
    (void)zmq_close(proxy.back);
    (void)zmq_ctx_term(proxy.context);
}

/* --- Sessions and credit ---------------------------------------------------------------------- */

static void a_session_is_gone_after_a_restart(void **state)
{
    struct scene *const self = *state;
    struct raw_client *const client = &self->client;
    raw_request(client, 1, "HELLO", "{'versions': [1]}");
    raw_receive(client);
    assert_true(raw_is_ok(client));
    raw_request(client, 2, "TOPIC.LIST", "{}");
    raw_receive(client);
    assert_true(raw_is_ok(client));
    broker_process_kill(&self->broker);
    broker_process_start(&self->broker, NULL);
    /* libzmq connects again by itself; the protocol notices. What was sent into
     * the old connection is lost, so ask until there is an answer. */
    uint64_t id = 3;
    do {
        raw_request(client, id, "TOPIC.LIST", "{}");
        id++;
    } while (!raw_receive_within(client, 1000));
    raw_expect_error(client, "hello_required");
}

static void request_257_of_a_connection_is_over_credit(void **state)
{
    struct scene *const self = *state;
    raw_publish(&self->client, "t", "x");
    raw_call(&self->client, "PULL", "{'group': 'g', 'topics': ['t'], 'wait_ms': 5000}");
    for (unsigned i = 0; i < ZSP_REQUESTS_MAX; i++) {
        raw_request(&self->client, 0, "PULL", "{'group': 'g', 'topics': ['t'], 'wait_ms': 60000}");
    }
    raw_ask(&self->client, "PULL", "{'group': 'g', 'topics': ['t'], 'wait_ms': 60000}");
    raw_expect_error(&self->client, "over_credit");
    scene_assert_well(self, 64u * ZSP_MIB);
}

/* 200 READs of a megabyte each from somebody who never reads a reply. */
static void a_reader_that_never_reads_costs_bounded_memory(void **state)
{
    struct scene *const self = *state;
    uint8_t *const payload = calloc(1, ZSP_MIB);
    struct zsp_writer record = {0};
    raw_record(&record, (struct zsp_slice){payload, ZSP_MIB - 64});
    for (int i = 0; i < 8; i++) {
        raw_request_body(&self->client, 0, "PUBLISH", "{'topic': 't'}", zsp_writer_slice(&record));
        raw_receive(&self->client);
        assert_true(raw_is_ok(&self->client));
    }
    struct raw_client slow;
    raw_client_init_slow(&slow, self->broker.endpoint);
    for (int i = 0; i < 200; i++) {
        raw_request(&slow, 0, "READ", "{'topic': 't', 'from': 'earliest', 'max_bytes': 8388608}");
    }
    raw_publish(&self->client, "t", "the others go on");
    scene_assert_well(self, 256u * ZSP_MIB);
    raw_client_fini(&slow);
    scene_assert_well(self, 256u * ZSP_MIB);
    zsp_writer_fini(&record);
    free(payload);
}

static void clients_that_come_and_go_leave_nothing(void **state)
{
    struct scene *const self = *state;
    for (int i = 0; i < 200; i++) {
        struct raw_client client;
        raw_client_init(&client, self->broker.endpoint, ZMQ_DEALER);
        raw_call(&client, "HELLO", "{'versions': [1]}");
        raw_request(&client, 0, "PULL", "{'group': 'g', 'topics': ['t'], 'wait_ms': 60000}");
        raw_client_fini(&client);
    }
    raw_publish(&self->client, "t", "for one of them, or nobody");
    scene_assert_well(self, 64u * ZSP_MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(a_message_is_published_pulled_and_settled),
        SCENE_TEST(reading_leaves_groups_alone),
        SCENE_TEST(a_parked_pull_is_answered_by_the_next_publish),
        SCENE_TEST(what_was_confirmed_and_acked_survives_kill_9),
        SCENE_TEST(a_lease_stays_good_over_kill_9),
        SCENE_TEST(a_req_socket_does_the_whole_job),
        SCENE_TEST(a_correlating_req_socket_gets_its_envelope_back),
        SCENE_TEST(a_proxy_stands_between),
        SCENE_TEST(a_session_is_gone_after_a_restart),
        SCENE_TEST(request_257_of_a_connection_is_over_credit),
        SCENE_TEST(a_reader_that_never_reads_costs_bounded_memory),
        SCENE_TEST(clients_that_come_and_go_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
