/* SPDX-License-Identifier: MPL-2.0
 *
 * The client itself: connecting, endpoint lists, time-outs, interrupts, calls
 * over a connection that breaks; against a broker that does what a test tells it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <zspool.h>

#include "common/err.h"
#include "tests/support/fake_broker.h"

#define WAIT_MS 20000 /* for what takes milliseconds */
/* Nobody listens there. */
#define NOBODY "tcp://127.0.0.1:1"

struct script {
    unsigned calls;
    unsigned drop_at;   /* the call that is answered by cutting the connection; 0 = none */
    unsigned silent_at; /* the call that is not answered; 0 = none */
    int code;           /* refuse with it; 0 = answer */
    const char *map;
    struct zsp_slice body;
};

static void handler(struct fake_broker *broker, const struct fake_request *request, void *arg)
{
    struct script *script = arg;
    script->calls++;
    if (script->calls == script->drop_at) {
        fake_drop(broker);
    } else if (script->code != 0 && script->calls == 1) {
        fake_refuse(broker, request, script->code, false, "topic t");
    } else if (script->calls != script->silent_at) {
        fake_reply_body(broker, request, script->map ? script->map : "{}", script->body, 0);
    }
}

struct fixture {
    struct script script;
    struct fake_broker *broker;
    zspool_client_t *client;
};

static void set_up(struct fixture *self)
{
    zspool_options_t options;
    zspool_options_init(&options);
    options.reconnect_ms = 5;
    options.connect_ms = 5000;
    options.answer_ms = self->script.silent_at ? 100 : 0;
    self->broker = fake_broker_start(handler, &self->script);
    self->client = zspool_new(fake_broker_endpoint(self->broker), &options, NULL);
    assert_non_null(self->client);
}

static void tear_down(struct fixture *self)
{
    zspool_destroy(&self->client);
    fake_broker_stop(&self->broker);
}

/* --- Connecting ------------------------------------------------------------------------ */

static void connecting_tells_what_the_broker_is(void **state)
{
    (void)state;
    struct fixture f = {0};
    zspool_info_t info;
    uint64_t round_trip_us = 0;
    set_up(&f);
    zspool_info_init(&info);
    assert_int_equal(zspool_connect(f.client, WAIT_MS, &info, NULL), 0);
    assert_string_equal(info.broker, "fake 1");
    assert_string_equal(info.features, "shared seek");
    assert_string_equal(info.endpoint, fake_broker_endpoint(f.broker));
    assert_int_equal(info.protocol, 1);
    assert_int_equal(info.max_requests, 256);
    assert_int_equal(info.max_record, ZSPOOL_MESSAGE_BYTES_MAX);
    assert_memory_equal(info.instance, "instance00000000", 16);
    assert_int_equal(zspool_ping(f.client, WAIT_MS, &round_trip_us, NULL), 0);
    tear_down(&f);
}

static void without_a_broker_a_call_ends_in_time_and_says_why(void **state)
{
    (void)state;
    zspool_error_t err = {0};
    zspool_client_t *client = zspool_new(NOBODY, NULL, NULL);
    assert_non_null(client);
    assert_int_equal(zspool_ping(client, 100, NULL, &err), ZSPOOL_ETIMEOUT);
    assert_false(err.maybe);
    assert_non_null(strstr(err.message, NOBODY));
    assert_int_equal(zspool_connect(client, 0, NULL, NULL), ZSPOOL_ETIMEOUT);
    zspool_destroy(&client);
    assert_null(client);
    zspool_destroy(&client);
}

static void the_next_endpoint_of_a_list_is_tried(void **state)
{
    (void)state;
    struct fixture f = {0};
    char endpoints[128];
    zspool_info_t info;
    set_up(&f);
    (void)snprintf(endpoints, sizeof endpoints, NOBODY ",%s", fake_broker_endpoint(f.broker));
    zspool_client_t *client = zspool_new(endpoints, NULL, NULL);
    zspool_info_init(&info);
    assert_int_equal(zspool_connect(client, WAIT_MS, &info, NULL), 0);
    assert_string_equal(info.endpoint, fake_broker_endpoint(f.broker));
    zspool_destroy(&client);
    tear_down(&f);
}

static void a_refused_hello_is_told_at_once(void **state)
{
    (void)state;
    struct fixture f = {0};
    set_up(&f);
    fake_refuse_hello(f.broker, ZSP_EVERSION_MISMATCH);
    zspool_client_t *client = zspool_new(fake_broker_endpoint(f.broker), NULL, NULL);
    assert_int_equal(zspool_connect(client, WAIT_MS, NULL, NULL), ZSPOOL_EVERSION_MISMATCH);
    assert_int_equal(zspool_ping(client, WAIT_MS, NULL, NULL), ZSPOOL_EVERSION_MISMATCH);
    fake_refuse_hello(f.broker, 0); /* and it goes on trying */
    int rc = ZSPOOL_EVERSION_MISMATCH;
    for (int i = 0; i < 1000 && rc == ZSPOOL_EVERSION_MISMATCH; i++) {
        (void)poll(NULL, 0, 5);
        rc = zspool_connect(client, WAIT_MS, NULL, NULL);
    }
    assert_int_equal(rc, 0);
    zspool_destroy(&client);
    tear_down(&f);
}

static void wrong_endpoints_and_options_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "foo",
                                        "tcp://",
                                        "udp://h:1",
                                        "tcp://a:1,,",
                                        "tcp://h",
                                        "tcp://*:1",
                                        "tcp://h:0",
                                        "tcp://h:65536",
                                        "tcp://h:1x",
                                        "tcp://:1",
                                        "ipc://",
                                        "tcp://h:1, tcp://h:2"};
    zspool_error_t err = {0};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_null(zspool_new(wrong[i], NULL, &err));
        assert_int_equal(err.code, ZSPOOL_EINVAL);
    }
    assert_null(zspool_new(NULL, NULL, NULL));
    zspool_options_t options;
    zspool_options_init(&options);
    options.connect_ms = -1;
    assert_null(zspool_new(NOBODY, &options, &err));
    zspool_options_init(&options);
    options.name = "not a name";
    assert_null(zspool_new(NOBODY, &options, &err));
    assert_int_equal(err.code, ZSPOOL_EBAD_NAME);
    assert_int_equal(zspool_connect(NULL, 0, NULL, NULL), ZSPOOL_EINVAL);
}

static void a_struct_of_another_version_is_understood_or_refused(void **state)
{
    (void)state;
    struct {
        zspool_options_t options;
        uint64_t later; /* a field of a newer library */
    } newer;
    memset(&newer, 0, sizeof newer);
    newer.options.size = sizeof newer;
    zspool_client_t *client = zspool_new(NOBODY, &newer.options, NULL);
    assert_non_null(client);
    zspool_destroy(&client);
    newer.later = 1;
    assert_null(zspool_new(NOBODY, &newer.options, NULL));
    newer.options.size = offsetof(zspool_options_t, connect_ms); /* an older one */
    client = zspool_new(NOBODY, &newer.options, NULL);
    assert_non_null(client);
    zspool_destroy(&client);
}

/* --- Calls -------------------------------------------------------------------------------- */

static void a_question_is_asked_again_over_a_new_connection(void **state)
{
    (void)state;
    struct fixture f = {.script = {.drop_at = 1,
                                   .map = "{'topic': 't', 'id': 7, 'settings': {'a': 1}, "
                                          "'partitions': [[0, 1, 5, 400]]}"}};
    zspool_topic_info_t *info;
    set_up(&f);
    assert_int_equal(zspool_topic_info(f.client, "t", WAIT_MS, &info, NULL), 0);
    assert_int_equal(info->id, 7);
    assert_int_equal(info->partitions[0].end_offset, 5);
    assert_string_equal(info->settings[0].name, "a");
    zspool_free(info);
    tear_down(&f);
}

static void a_change_is_not_sent_twice(void **state)
{
    (void)state;
    struct fixture f = {.script = {.drop_at = 1}};
    zspool_error_t err = {0};
    zspool_topic_spec_t spec;
    set_up(&f);
    zspool_topic_spec_init(&spec, "t");
    assert_int_equal(zspool_topic_create(f.client, &spec, WAIT_MS, &err), ZSPOOL_ECLOSED);
    assert_true(err.maybe);
    zspool_destroy(&f.client);
    fake_broker_stop(&f.broker);
    assert_int_equal(f.script.calls, 1);
}

static void a_refusal_comes_back_with_its_details(void **state)
{
    (void)state;
    struct fixture f = {.script = {.code = ZSP_EEXISTS}};
    zspool_error_t err = {0};
    zspool_topic_spec_t spec;
    set_up(&f);
    zspool_topic_spec_init(&spec, "t");
    assert_int_equal(zspool_topic_create(f.client, &spec, WAIT_MS, &err), ZSPOOL_EEXISTS);
    assert_string_equal(err.object, "topic t");
    assert_false(err.maybe);
    assert_int_equal(zspool_topic_create(f.client, &spec, WAIT_MS, &err), 0);
    tear_down(&f);
}

static void an_unanswered_call_ends_in_time(void **state)
{
    (void)state;
    struct fixture f = {.script = {.silent_at = 1}};
    zspool_error_t err = {0};
    zspool_topic_spec_t spec;
    set_up(&f);
    zspool_topic_spec_init(&spec, "t");
    assert_int_equal(zspool_connect(f.client, WAIT_MS, NULL, NULL), 0);
    assert_int_equal(zspool_topic_create(f.client, &spec, 50, &err), ZSPOOL_ETIMEOUT);
    assert_true(err.maybe);
    assert_int_equal(zspool_topic_create(f.client, &spec, WAIT_MS, &err), 0);
    tear_down(&f);
}

/* The connection of a broker that does not answer is given up, and what may be repeated is. */
static void a_broker_that_does_not_answer_counts_as_gone(void **state)
{
    (void)state;
    struct fixture f = {.script = {.silent_at = 1, .map = "{'items': ['a', 'b'], 'more': false}"}};
    zspool_names_t *names;
    set_up(&f);
    assert_int_equal(zspool_topic_list(f.client, "*", WAIT_MS, &names, NULL), 0);
    assert_int_equal(names->count, 2);
    assert_string_equal(names->items[1], "b");
    zspool_free(names);
    tear_down(&f);
}

static void a_raw_request_returns_map_and_body(void **state)
{
    (void)state;
    struct fixture f = {.script = {.map = "{'a': 1}", .body = {(const uint8_t *)"bytes", 5}}};
    zspool_request_spec_t spec;
    zspool_reply_t *reply;
    set_up(&f);
    zspool_request_spec_init(&spec, "ANY.VERB");
    assert_int_equal(zspool_request(f.client, &spec, WAIT_MS, &reply, NULL), 0);
    assert_int_equal(reply->map.len, 4);
    assert_int_equal(reply->body.len, 5);
    assert_memory_equal(reply->body.data, "bytes", 5);
    zspool_free(reply);
    zspool_request_spec_init(&spec, "");
    assert_int_equal(zspool_request(f.client, &spec, 0, &reply, NULL), ZSPOOL_EINVAL);
    zspool_free(NULL);
    tear_down(&f);
}

/* --- Interrupts and descriptors ---------------------------------------------------------------- */

static zspool_client_t *interrupted;

static void on_alarm(int signal_number)
{
    (void)signal_number;
    zspool_interrupt(interrupted);
}

static void a_signal_handler_interrupts_a_wait(void **state)
{
    (void)state;
    struct sigaction before;
    const struct sigaction action = {.sa_handler = on_alarm};
    interrupted = zspool_new(NOBODY, NULL, NULL);
    assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
    const struct itimerspec soon = {.it_value = {.tv_nsec = 20000000}};
    timer_t timer;
    assert_int_equal(timer_create(CLOCK_MONOTONIC, NULL, &timer), 0);
    assert_int_equal(timer_settime(timer, 0, &soon, NULL), 0);
    assert_int_equal(zspool_ping(interrupted, -1, NULL, NULL), ZSPOOL_EINTERRUPTED);
    assert_int_equal(zspool_dispatch(interrupted, -1), ZSPOOL_EINTERRUPTED);
    zspool_interrupt_clear(interrupted);
    assert_int_equal(zspool_dispatch(interrupted, 10), 0);
    assert_int_equal(timer_delete(timer), 0);
    assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
    zspool_destroy(&interrupted);
}

static void the_host_keeps_its_signals(void **state)
{
    (void)state;
    sigset_t before;
    sigset_t after;
    struct sigaction pipe_action;
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &before), 0);
    zspool_client_t *client = zspool_new(NOBODY, NULL, NULL);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
    for (int i = 1; i < 32; i++) {
        assert_int_equal(sigismember(&before, i), sigismember(&after, i));
    }
    assert_int_equal(sigaction(SIGPIPE, NULL, &pipe_action), 0);
    assert_true(pipe_action.sa_handler == SIG_DFL);
    assert_int_equal(sigaction(SIGINT, NULL, &pipe_action), 0);
    assert_true(pipe_action.sa_handler == SIG_DFL);
    zspool_destroy(&client);
}

static void many_clients_come_and_go(void **state)
{
    (void)state;
    struct fixture f = {0};
    set_up(&f);
    for (int i = 0; i < 20; i++) {
        zspool_client_t *client = zspool_new(fake_broker_endpoint(f.broker), NULL, NULL);
        assert_non_null(client);
        if (i % 2 == 0) {
            assert_int_equal(zspool_connect(client, WAIT_MS, NULL, NULL), 0);
        }
        zspool_destroy(&client);
    }
    tear_down(&f);
}

static void errors_have_names_and_sentences(void **state)
{
    (void)state;
    assert_string_equal(zspool_error_name(ZSPOOL_ENOT_FOUND), "not_found");
    assert_string_equal(zspool_strerror(ZSPOOL_ENOT_FOUND), zsp_strerror(ZSP_ENOT_FOUND));
    assert_true(zspool_error_retriable(ZSPOOL_ENO_SPACE));
    assert_false(zspool_error_retriable(ZSPOOL_EDENIED));
    assert_string_equal(zspool_version(), "0.1.0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connecting_tells_what_the_broker_is),
        cmocka_unit_test(without_a_broker_a_call_ends_in_time_and_says_why),
        cmocka_unit_test(the_next_endpoint_of_a_list_is_tried),
        cmocka_unit_test(a_refused_hello_is_told_at_once),
        cmocka_unit_test(wrong_endpoints_and_options_are_refused),
        cmocka_unit_test(a_struct_of_another_version_is_understood_or_refused),
        cmocka_unit_test(a_question_is_asked_again_over_a_new_connection),
        cmocka_unit_test(a_change_is_not_sent_twice),
        cmocka_unit_test(a_refusal_comes_back_with_its_details),
        cmocka_unit_test(an_unanswered_call_ends_in_time),
        cmocka_unit_test(a_broker_that_does_not_answer_counts_as_gone),
        cmocka_unit_test(a_raw_request_returns_map_and_body),
        cmocka_unit_test(a_signal_handler_interrupts_a_wait),
        cmocka_unit_test(the_host_keeps_its_signals),
        cmocka_unit_test(many_clients_come_and_go),
        cmocka_unit_test(errors_have_names_and_sentences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
