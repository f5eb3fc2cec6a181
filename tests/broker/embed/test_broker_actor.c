/* SPDX-License-Identifier: MPL-2.0
 *
 * The zactor form, used as czmq's programs use actors: commands, replies, clients
 * that are plain zsocks, failures told through the pipe.
 */
#include <czmq.h>

#include "tests/broker/embed/hosted.h"
#include "tests/common/testing.h"

/* The next message is exactly these frames; `last` may be a part of the text. */
static void expect(zactor_t *actor, const char *word, const char *first, const char *last)
{
    zmsg_t *message = zmsg_recv(actor);
    assert_non_null(message);
    const char *const wanted[] = {word, first, last};
    for (size_t i = 0; i < 3 && wanted[i]; i++) {
        char *const frame = zmsg_popstr(message);
        assert_non_null(frame);
        if (i == 0 ? !streq(frame, wanted[i]) : !strstr(frame, wanted[i])) {
            fail_msg("frame %zu: wanted '%s', got '%s'", i, wanted[i], frame);
        }
        free(frame);
    }
    assert_int_equal(zmsg_size(message), 0);
    zmsg_destroy(&message);
}

static zactor_t *actor_of(struct hosted *hosted)
{
    zactor_t *const actor = zactor_new(zspool_broker_actor, &hosted->options);
    assert_non_null(actor);
    zsock_set_rcvtimeo(actor, HOSTED_WAIT_MS);
    return actor;
}

static void it_answers_commands(void **state)
{
    zactor_t *actor = actor_of(*state);
    assert_int_equal(zstr_send(actor, "ENDPOINT"), 0);
    expect(actor, "ENDPOINT", ZSPOOL_BROKER_DEFAULT_ENDPOINT, NULL);
    assert_int_equal(zstr_sendx(actor, "ENDPOINT", "0", NULL), 0);
    expect(actor, "ENDPOINT", ZSPOOL_BROKER_DEFAULT_ENDPOINT, NULL);
    assert_int_equal(zstr_sendx(actor, "ENDPOINT", "1", NULL), 0);
    expect(actor, "ENDPOINT", "", NULL);
    assert_int_equal(zstr_send(actor, "STATUS"), 0);
    expect(actor, "STATUS", "serving", "");
    assert_int_equal(zstr_send(actor, "VERBOSE"), 0);
    assert_int_equal(zstr_send(actor, "STATUS"), 0);
    expect(actor, "STATUS", "serving", "");
    zactor_destroy(&actor);
}

static void what_it_does_not_know_is_told(void **state)
{
    zactor_t *actor = actor_of(*state);
    static const char *const numbers[] = {"", "-1", "1x", "12345678901"};
    assert_int_equal(zstr_send(actor, "DANCE"), 0);
    expect(actor, "ERROR", "DANCE", NULL);
    assert_int_equal(zstr_send(actor, ""), 0);
    expect(actor, "ERROR", "unknown command ''", NULL);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        assert_int_equal(zstr_sendx(actor, "STOP", numbers[i], NULL), 0);
        expect(actor, "ERROR", "no number", NULL);
        assert_int_equal(zstr_sendx(actor, "ENDPOINT", numbers[i], NULL), 0);
        expect(actor, "ERROR", "no number", NULL);
    }
    assert_int_equal(zstr_send(actor, "STATUS"), 0);
    expect(actor, "STATUS", "serving", "");
    zactor_destroy(&actor);
}

static void it_stops_and_tells_how(void **state)
{
    zactor_t *actor = actor_of(*state);
    assert_int_equal(zstr_send(actor, "STOP"), 0);
    expect(actor, "STATUS", "stopped", "");
    assert_int_equal(zstr_sendx(actor, "STOP", "0", NULL), 0);
    expect(actor, "STATUS", "stopped", "");
    assert_int_equal(zstr_send(actor, "STATUS"), 0);
    expect(actor, "STATUS", "stopped", "");
    zactor_destroy(&actor);
}

/* A client made of czmq alone, in czmq's own context. */
static void a_zsock_reaches_it(void **state)
{
    zactor_t *actor = actor_of(*state);
    static const byte ping[] = "\x94\x01\xa4PING\x00\x80";
    zsock_t *client = zsock_new_req(ZSPOOL_BROKER_DEFAULT_ENDPOINT);
    assert_non_null(client);
    zsock_set_rcvtimeo(client, HOSTED_WAIT_MS);
    assert_int_equal(zsock_send(client, "b", ping, sizeof ping - 1), 0);
    zframe_t *reply = zframe_recv(client);
    assert_non_null(reply);
    assert_int_equal(memcmp(zframe_data(reply), "\x94\x01\xa2OK\x00", 6), 0);
    zframe_destroy(&reply);
    zsock_destroy(&client);
    zactor_destroy(&actor);
}

/* And one of libzspool, lent the same context; again and again. */
static void a_client_of_the_library_reaches_it(void **state)
{
    struct hosted *const hosted = *state;
    zspool_options_t options;
    zspool_options_init(&options);
    options.zmq_context = zsys_init();
    zspool_client_t *client = zspool_new(ZSPOOL_BROKER_DEFAULT_ENDPOINT, &options, NULL);
    assert_non_null(client);
    static const char *const groups[] = {"a", "b", "c"};
    for (size_t i = 0; i < 3; i++) {
        zactor_t *actor = actor_of(hosted);
        assert_int_equal(hosted_publish(client, "t", "x"), 0);
        hosted_take(client, "t", groups[i], "x");
        zactor_destroy(&actor);
    }
    zspool_destroy(&client);
}

static void a_failed_start_is_the_first_message(void **state)
{
    struct hosted *const hosted = *state;
    hosted_start(hosted); /* has the lock */
    zactor_t *actor = actor_of(hosted);
    expect(actor, "FAILED", hosted->data, NULL);
    assert_int_equal(zstr_send(actor, "STATUS"), 0);
    expect(actor, "STATUS", "failed", hosted->data);
    assert_int_equal(zstr_send(actor, "ENDPOINT"), 0);
    expect(actor, "ENDPOINT", "", NULL);
    assert_int_equal(zstr_send(actor, "STOP"), 0);
    expect(actor, "STATUS", "failed", hosted->data);
    zactor_destroy(&actor);
    actor = zactor_new(zspool_broker_actor, NULL);
    zsock_set_rcvtimeo(actor, HOSTED_WAIT_MS);
    expect(actor, "FAILED", "no options", NULL);
    zactor_destroy(&actor);
}

/* A host that never reads: what does not fit into the pipe is dropped, commands are still
 * obeyed, as one sees when the directory is free again. */
static void a_host_need_not_read_its_replies(void **state)
{
    struct hosted *const hosted = *state;
    zactor_t *actor = actor_of(hosted);
    for (int i = 0; i < 3000; i++) {
        assert_int_equal(zstr_send(actor, "STATUS"), 0);
    }
    assert_int_equal(zstr_send(actor, "STOP"), 0);
    const int64_t until_ms = zclock_mono() + HOSTED_WAIT_MS;
    hosted->options.endpoints = (const char *const[]){"inproc://next"};
    hosted->options.endpoint_count = 1;
    while (!hosted->broker && zclock_mono() < until_ms) {
        hosted->broker = zspool_broker_new(&hosted->options, NULL);
    }
    assert_non_null(hosted->broker);
    zactor_destroy(&actor);
    assert_null(actor);
}

static void without_a_place_for_lines_czmqs_log_takes_them(void **state)
{
    struct hosted *const hosted = *state;
    char path[700];
    char text[4096] = {0};
    (void)test_dir_path(&hosted->dir, "czmq.log", path, sizeof path);
    FILE *const stream = fopen(path, "w+");
    assert_non_null(stream);
    zsys_set_logstream(stream);
    hosted->options.diag_fn = NULL;
    hosted->settings[2] = "diag/level = debug";
    hosted->options.setting_count = 3;
    hosted->options.config_file = "/nowhere.cfg";
    zactor_t *actor = actor_of(hosted);
    expect(actor, "FAILED", "/nowhere.cfg", NULL);
    zactor_destroy(&actor);
    hosted->options.config_file = NULL;
    hosted->options.endpoints = (const char *const[]){"tcp://127.0.0.1:*"};
    hosted->options.endpoint_count = 1;
    actor = actor_of(hosted);
    assert_int_equal(zstr_send(actor, "VERBOSE"), 0);
    assert_int_equal(zstr_send(actor, "ENDPOINT"), 0);
    char *word = NULL;
    char *endpoint = NULL;
    assert_int_equal(zstr_recvx(actor, &word, &endpoint, NULL), 2);
    zsock_t *client = zsock_new_req(endpoint);
    assert_int_equal(zstr_send(client, "this is no request"), 0);
    zframe_t *reply = zframe_recv(client);
    assert_non_null(reply);
    zframe_destroy(&reply);
    zsock_destroy(&client);
    zstr_free(&word);
    zstr_free(&endpoint);
    zactor_destroy(&actor);
    zsys_set_logstream(stdout);
    rewind(stream);
    assert_true(fread(text, 1, sizeof text - 1, stream) > 0);
    assert_int_equal(fclose(stream), 0);
    assert_non_null(strstr(text, "bad_request")); /* the refusal, a line of level debug */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOSTED_TEST(it_answers_commands),
        HOSTED_TEST(what_it_does_not_know_is_told),
        HOSTED_TEST(it_stops_and_tells_how),
        HOSTED_TEST(a_zsock_reaches_it),
        HOSTED_TEST(a_client_of_the_library_reaches_it),
        HOSTED_TEST(a_failed_start_is_the_first_message),
        HOSTED_TEST(a_host_need_not_read_its_replies),
        HOSTED_TEST(without_a_place_for_lines_czmqs_log_takes_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
