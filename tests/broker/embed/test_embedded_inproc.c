/* SPDX-License-Identifier: MPL-2.0
 *
 * Clients in the broker's own process: what they need, who may come and go first,
 * and that nothing is different but the way the bytes take.
 */
#include "tests/common/testing.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <zmq.h>

#include "common/limits.h"
#include "tests/broker/embed/hosted.h"
#include "tests/support/literal.h"

#define PUBLISHERS 8
#define EACH       50
#define IDLE_MS    500

static zspool_client_t *client_in(void *context, const char *endpoints, zspool_error_t *error)
{
    zspool_options_t options;
    zspool_options_init(&options);
    options.zmq_context = context;
    options.connect_ms = 20;
    return zspool_new(endpoints, &options, error);
}

static void a_client_needs_the_context(void **state)
{
    (void)state;
    static const char *const lists[] = {"inproc://a,tcp://127.0.0.1:1", "inproc://a,inproc://b"};
    zspool_error_t error = {0};
    assert_null(zspool_new("inproc://a", NULL, &error));
    assert_int_equal(error.code, ZSPOOL_EINVAL);
    assert_non_null(strstr(error.message, "zmq_context"));
    void *const context = zmq_ctx_new();
    for (size_t i = 0; i < 2; i++) {
        assert_null(client_in(context, lists[i], &error));
        assert_int_equal(error.code, ZSPOOL_EINVAL);
        assert_non_null(strstr(error.message, "stands alone"));
    }
    assert_null(client_in(context, "inproc://", &error));
    assert_int_equal(zmq_ctx_term(context), 0);
    /* What is no context is told from one. */
    char nothing[4096] = {0};
    assert_null(client_in(nothing, "inproc://a", &error));
    assert_int_equal(error.code, ZSPOOL_EIO);
}

/* The client waits, says for what, and is served as soon as the broker is there. */
static void a_client_may_be_there_before_its_broker(void **state)
{
    struct hosted *const hosted = *state;
    zspool_error_t error = {0};
    hosted->options.zmq_context = zmq_ctx_new();
    zspool_client_t *client =
        client_in(hosted->options.zmq_context, ZSPOOL_BROKER_DEFAULT_ENDPOINT, &error);
    assert_non_null(client);
    assert_int_equal(zspool_connect(client, 200, NULL, &error), ZSPOOL_ETIMEOUT);
    assert_non_null(strstr(error.message, ZSPOOL_BROKER_DEFAULT_ENDPOINT));
    assert_non_null(strstr(error.message, "does a broker"));
    /* One that never met a broker goes without a trace. */
    zspool_client_t *other =
        client_in(hosted->options.zmq_context, ZSPOOL_BROKER_DEFAULT_ENDPOINT, &error);
    assert_int_equal(zspool_connect(other, 30, NULL, NULL), ZSPOOL_ETIMEOUT);
    zspool_destroy(&other);
    hosted_start(hosted);
    assert_int_equal(hosted_publish(client, "t", "x"), 0);
    hosted_take(client, "t", "g", "x");
    zspool_destroy(&client);
    zspool_broker_destroy(&hosted->broker);
    assert_int_equal(zmq_ctx_term(hosted->options.zmq_context), 0);
}

/* The wrong order: the broker ends its context under clients that are in the middle of
 * something. They are told, and are destroyed as usual. */
static void a_broker_may_go_before_its_clients(void **state)
{
    struct hosted *const hosted = *state;
    zspool_error_t error = {0};
    hosted_start(hosted);
    zspool_client_t *idle = hosted_client(hosted, 0);
    zspool_client_t *client = hosted_client(hosted, 0);
    assert_int_equal(hosted_publish(client, "t", "x"), 0);
    zspool_consumer_t *consumer = hosted_consumer(client, "t", "g");
    const zspool_message_t *message = NULL;
    assert_int_equal(zspool_next(consumer, &message, HOSTED_WAIT_MS, NULL), 0);
    zspool_broker_destroy(&hosted->broker);
    assert_int_equal(zspool_settle(consumer, message, ZSPOOL_ACK, NULL, NULL), 0);
    assert_int_equal(zspool_settle_flush(consumer, -1, &error), ZSPOOL_ECLOSED);
    assert_non_null(strstr(error.message, "context was terminated"));
    assert_int_equal(zspool_connect(idle, -1, NULL, NULL), ZSPOOL_ECLOSED);
    zspool_consumer_destroy(&consumer);
    zspool_destroy(&client);
    zspool_destroy(&idle);
    assert_false(hosted_said(hosted, "has not closed all its sockets"));
}

/* A socket that the host forgot: it is told, and the broker does not wait for ever. */
static void a_forgotten_socket_does_not_hold_the_broker(void **state)
{
    struct hosted *const hosted = *state;
    hosted_start(hosted);
    void *const socket = zmq_socket(zspool_broker_context(hosted->broker), ZMQ_DEALER);
    assert_int_equal(zmq_connect(socket, zspool_broker_endpoint(hosted->broker, 0)), 0);
    zspool_broker_destroy(&hosted->broker);
    assert_true(hosted_said(hosted, "has not closed all its sockets"));
    char byte = 0;
    assert_int_equal(zmq_recv(socket, &byte, 1, 0), -1);
    assert_int_equal(errno, ETERM);
    assert_int_equal(zmq_close(socket), 0);
}

/* libzmq's own limit does not hold here: the broker's does. */
static void frames_over_the_limit_are_refused(void **state)
{
    struct hosted *const hosted = *state;
    hosted_start(hosted);
    void *const socket = zmq_socket(zspool_broker_context(hosted->broker), ZMQ_DEALER);
    assert_int_equal(zmq_connect(socket, zspool_broker_endpoint(hosted->broker, 0)), 0);
    struct zsp_writer header = {0};
    literal_write(&header, "[1, 'PUBLISH', 0, {'topic': 't'}]");
    zmq_msg_t body;
    assert_int_equal(zmq_msg_init_size(&body, 3u * ZSP_FRAME_MAX), 0);
    memset(zmq_msg_data(&body), 0, zmq_msg_size(&body));
    assert_true(zmq_send(socket, header.data, header.len, ZMQ_SNDMORE) > 0);
    assert_true(zmq_msg_send(&body, socket, 0) > 0);
    zsp_writer_fini(&header);
    char reply[1024] = {0};
    const int len = zmq_recv(socket, reply, sizeof reply - 1, 0);
    assert_true(len > 0 && (size_t)len < sizeof reply);
    for (int i = 0; i < len; i++) {
        if (reply[i] == '\0') {
            reply[i] = ' ';
        }
    }
    assert_non_null(strstr(reply, "too_large"));
    assert_int_equal(zmq_close(socket), 0);
}

static void *publish_some(void *arg)
{
    const struct hosted *const hosted = arg;
    zspool_client_t *client = hosted_client(hosted, 0);
    zspool_producer_t *producer = zspool_producer_new(client, NULL, NULL);
    uintptr_t failures = 0;
    static char body[64 * 1024]; /* large enough to be lent, not copied */
    for (int i = 0; i < EACH; i++) {
        const zspool_out_t out = zspool_out("t", body, i % 2 == 0 ? sizeof body : 10);
        failures += zspool_send(producer, &out, NULL, NULL) == 0 ? 0 : 1;
    }
    failures += zspool_flush(producer, HOSTED_WAIT_MS, NULL) == 0 ? 0 : 1;
    zspool_producer_destroy(&producer);
    zspool_destroy(&client);
    return (void *)failures;
}

static void many_clients_at_once(void **state)
{
    struct hosted *const hosted = *state;
    pthread_t threads[PUBLISHERS];
    hosted_start(hosted);
    for (size_t i = 0; i < PUBLISHERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, publish_some, hosted), 0);
    }
    zspool_client_t *client = hosted_client(hosted, 0);
    zspool_consumer_t *consumer = hosted_consumer(client, "t", "g");
    const zspool_message_t *message = NULL;
    for (int i = 0; i < PUBLISHERS * EACH; i++) {
        assert_int_equal(zspool_next(consumer, &message, HOSTED_WAIT_MS, NULL), 0);
        assert_int_equal(zspool_settle(consumer, message, ZSPOOL_ACK, NULL, NULL), 0);
    }
    assert_int_equal(zspool_settle_flush(consumer, HOSTED_WAIT_MS, NULL), 0);
    assert_int_equal(zspool_next(consumer, &message, 0, NULL), ZSPOOL_ETIMEOUT);
    zspool_consumer_destroy(&consumer);
    zspool_destroy(&client);
    for (size_t i = 0; i < PUBLISHERS; i++) {
        void *failures = NULL;
        assert_int_equal(pthread_join(threads[i], &failures), 0);
        assert_null(failures);
    }
}

static int64_t cpu_ms(void)
{
    struct timespec time = {0};
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time), 0);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* Nobody turns in a loop while a pull waits, be it of a consumer that is destroyed already, nor
 * while a broker is waited for. */
static void waiting_takes_no_time_of_the_processor(void **state)
{
    struct hosted *const hosted = *state;
    hosted_start(hosted);
    zspool_client_t *client = hosted_client(hosted, 0);
    zspool_client_t *lonely =
        client_in(zspool_broker_context(hosted->broker), "inproc://nobody", NULL);
    assert_int_equal(hosted_publish(client, "t", "x"), 0);
    zspool_consumer_t *consumer = hosted_consumer(client, "t", "g");
    const zspool_message_t *message = NULL;
    assert_int_equal(zspool_next(consumer, &message, HOSTED_WAIT_MS, NULL), 0);
    assert_int_equal(zspool_settle(consumer, message, ZSPOOL_ACK, NULL, NULL), 0);
    assert_int_equal(zspool_settle_flush(consumer, HOSTED_WAIT_MS, NULL), 0);
    zspool_consumer_destroy(&consumer);
    const int64_t before_ms = cpu_ms();
    consumer = hosted_consumer(client, "t", "g");
    assert_int_equal(zspool_next(consumer, &message, IDLE_MS, NULL), ZSPOOL_ETIMEOUT);
    assert_true(cpu_ms() - before_ms < IDLE_MS / 4);
    zspool_consumer_destroy(&consumer);
    zspool_destroy(&lonely);
    zspool_destroy(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_needs_the_context),
        HOSTED_TEST(a_client_may_be_there_before_its_broker),
        HOSTED_TEST(a_broker_may_go_before_its_clients),
        HOSTED_TEST(a_forgotten_socket_does_not_hold_the_broker),
        HOSTED_TEST(frames_over_the_limit_are_refused),
        HOSTED_TEST(many_clients_at_once),
        HOSTED_TEST(waiting_takes_no_time_of_the_processor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
