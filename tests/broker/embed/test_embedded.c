/* SPDX-License-Identifier: MPL-2.0
 *
 * An embedded broker's life: options, starting and what may be in the way,
 * endpoints, waiting, stopping, several in one process, callbacks.
 */
#include "tests/common/testing.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include "tests/broker/embed/hosted.h"

static const char *const tcp[] = {"tcp://127.0.0.1:*"};

/* --- Starting -------------------------------------------------------------------------------- */

static void it_serves_where_nothing_was_said(void **state)
{
    struct hosted *const hosted = *state;
    hosted_start(hosted);
    assert_string_equal(zspool_broker_endpoint(hosted->broker, 0), ZSPOOL_BROKER_DEFAULT_ENDPOINT);
    assert_null(zspool_broker_endpoint(hosted->broker, 1));
    assert_int_equal(zspool_broker_state(hosted->broker), ZSPOOL_BROKER_SERVING);
    zspool_client_t *client = hosted_client(hosted, 0);
    assert_int_equal(hosted_publish(client, "t", "one"), 0);
    hosted_take(client, "t", "g", "one");
    zspool_destroy(&client);
}

/* Endpoints of all kinds lead to the same broker; real ports are told. */
static void every_endpoint_leads_to_it(void **state)
{
    struct hosted *const hosted = *state;
    char ipc[700] = "ipc://";
    (void)test_dir_path(&hosted->dir, "socket", ipc + 6, sizeof ipc - 6);
    const char *const endpoints[] = {"tcp://127.0.0.1:*", ipc, "inproc://here"};
    hosted->options.endpoints = endpoints;
    hosted->options.endpoint_count = 3;
    hosted->settings[2] = "network/ipc_mode = 0660";
    hosted->options.setting_count = 3;
    hosted_start(hosted);
    struct stat status;
    assert_int_equal(stat(ipc + 6, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0660);
    assert_null(strchr(zspool_broker_endpoint(hosted->broker, 0), '*'));
    assert_string_equal(zspool_broker_endpoint(hosted->broker, 1), ipc);
    assert_string_equal(zspool_broker_endpoint(hosted->broker, 2), "inproc://here");
    for (size_t i = 0; i < 3; i++) {
        zspool_client_t *client = hosted_client(hosted, i);
        assert_int_equal(hosted_publish(client, "t", "x"), 0);
        zspool_destroy(&client);
    }
    zspool_broker_destroy(&hosted->broker);
    assert_int_equal(stat(ipc + 6, &status), -1);
}

/* A file, settings and options: each weighs more than the one before. */
static void file_settings_and_options_add_up(void **state)
{
    struct hosted *const hosted = *state;
    char path[700];
    (void)test_dir_path(&hosted->dir, "zspoold.cfg", path, sizeof path);
    FILE *const file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs("network\n    listen = inproc://of-the-file\n    session_timeout = 7s\n"
                      "topics\n    auto_create = no\ndata\n    directory = /nowhere\n",
                      file) >= 0);
    assert_int_equal(fclose(file), 0);
    hosted->options.config_file = path;
    hosted->settings[2] = "topics/auto_create = yes";
    hosted->options.setting_count = 3;
    hosted_start(hosted);
    assert_string_equal(zspool_broker_endpoint(hosted->broker, 0), "inproc://of-the-file");
    zspool_client_t *client = hosted_client(hosted, 0);
    zspool_info_t info;
    zspool_info_init(&info);
    assert_int_equal(zspool_connect(client, HOSTED_WAIT_MS, &info, NULL), 0);
    assert_int_equal(info.session_timeout_ms, 7000);
    assert_int_equal(hosted_publish(client, "made-by-the-publish", "x"), 0);
    zspool_destroy(&client);
}

static void wrong_options_are_named(void **state)
{
    struct hosted *const hosted = *state;
    static const char *const twice[] = {"inproc://a", "inproc://a"};
    static const char *const unknown[] = {"data/segment_sise = 1MiB"};
    static const char *const public[] = {"tcp://*:*"};
    const zspool_broker_options_t good = hosted->options;
    zspool_error_t error = {0};
    assert_null(zspool_broker_new(NULL, &error));
    assert_int_equal(error.code, ZSPOOL_EINVAL);
    assert_null(zspool_broker_new(NULL, NULL));
    hosted->options.size = 0;
    hosted_refuse(hosted, ZSPOOL_EINVAL, "_init");
    hosted->options = good;
    hosted->options.directory = NULL;
    hosted_refuse(hosted, ZSPOOL_EBAD_CONFIG, "no data directory");
    hosted->options = good;
    hosted->options.settings = unknown;
    hosted->options.setting_count = 1;
    hosted_refuse(hosted, ZSPOOL_EBAD_CONFIG, "setting 1: unknown key 'segment_sise'");
    hosted->options.settings = NULL;
    hosted_refuse(hosted, ZSPOOL_EINVAL, "1 settings");
    hosted->options = good;
    hosted->options.config_file = "/nowhere/at/all.cfg";
    hosted_refuse(hosted, ZSPOOL_EBAD_CONFIG, "/nowhere/at/all.cfg");
    hosted->options = good;
    hosted->options.endpoints = twice;
    hosted->options.endpoint_count = 2;
    hosted_refuse(hosted, ZSPOOL_EBAD_CONFIG, "given twice");
    hosted->options.endpoints = public;
    hosted->options.endpoint_count = 1;
    hosted_refuse(hosted, ZSPOOL_EBAD_CONFIG, "allow_plain");
}

/* Options of a newer header are taken as long as what is new in them is not used. */
static void options_may_be_larger_than_ours(void **state)
{
    struct hosted *const hosted = *state;
    struct {
        zspool_broker_options_t options;
        int newer;
    } larger = {.options = hosted->options};
    larger.options.size = sizeof larger;
    larger.newer = 1;
    zspool_error_t error = {0};
    assert_null(zspool_broker_new(&larger.options, &error));
    assert_int_equal(error.code, ZSPOOL_EINVAL);
    larger.newer = 0;
    hosted->broker = zspool_broker_new(&larger.options, &error);
    assert_non_null(hosted->broker);
}

static void a_directory_in_use_is_locked_in_one_process_as_well(void **state)
{
    struct hosted *const hosted = *state;
    hosted_start(hosted);
    zspool_error_t error = {0};
    assert_null(zspool_broker_new(&hosted->options, &error));
    assert_int_equal(error.code, ZSPOOL_ELOCKED);
    assert_non_null(strstr(error.message, hosted->data));
    zspool_client_t *client = hosted_client(hosted, 0);
    assert_int_equal(hosted_publish(client, "t", "the first one goes on"), 0);
    zspool_destroy(&client);
}

static void a_missing_or_foreign_directory_is_refused(void **state)
{
    struct hosted *const hosted = *state;
    hosted->settings[2] = "data/create = no";
    hosted->options.setting_count = 3;
    hosted_refuse(hosted, ZSPOOL_ENOT_FOUND, hosted->data);
    assert_int_equal(mkdir(hosted->data, 0700), 0);
    hosted_refuse(hosted, ZSPOOL_ENOT_FOUND, hosted->data);
}

static void a_used_port_is_refused(void **state)
{
    struct hosted *const hosted = *state;
    hosted->options.endpoints = tcp;
    hosted->options.endpoint_count = 1;
    hosted_start(hosted);
    const char *const used[] = {zspool_broker_endpoint(hosted->broker, 0)};
    struct hosted other;
    hosted_init(&other);
    other.options.endpoints = used;
    other.options.endpoint_count = 1;
    hosted_refuse(&other, ZSPOOL_EIO, used[0]);
    hosted_fini(&other);
}

static void flip_a_byte_of_the_journal(const struct hosted *hosted)
{
    char path[800];
    uint8_t byte = 0;
    (void)snprintf(path, sizeof path, "%s/journal/%020u.jnl", hosted->data, 0u);
    int file = open(path, O_RDWR);
    if (file < 0) {
        (void)snprintf(path, sizeof path, "%s/journal/%020u.jnl", hosted->data, 1u);
        file = open(path, O_RDWR);
    }
    assert_true(file >= 0);
    assert_int_equal(pread(file, &byte, 1, 100), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(file, &byte, 1, 100), 1);
    assert_int_equal(close(file), 0);
}

static void a_damaged_journal_is_refused_and_not_touched(void **state)
{
    struct hosted *const hosted = *state;
    hosted_start(hosted);
    zspool_client_t *client = hosted_client(hosted, 0);
    assert_int_equal(hosted_publish(client, "t", "kept"), 0);
    zspool_destroy(&client);
    zspool_broker_destroy(&hosted->broker);
    flip_a_byte_of_the_journal(hosted);
    hosted_refuse(hosted, ZSPOOL_ECORRUPT, "journal");
    flip_a_byte_of_the_journal(hosted);
    hosted_start(hosted);
    client = hosted_client(hosted, 0);
    hosted_take(client, "t", "g", "kept");
    zspool_destroy(&client);
}

/* Whoever tries an older broker by mistake can go back to the newer one. */
static void a_newer_format_is_refused_and_not_touched(void **state)
{
    struct hosted *const hosted = *state;
    char path[700];
    char text[200] = "";
    char after[200] = "";
    hosted_start(hosted);
    zspool_broker_destroy(&hosted->broker);
    (void)snprintf(path, sizeof path, "%s/FORMAT", hosted->data);
    const int file = open(path, O_RDWR);
    assert_true(file >= 0);
    const ssize_t len = pread(file, text, sizeof text - 1, 0);
    char *version = strstr(text, "version ");
    assert_non_null(version);
    version += strlen("version ");
    const char ours = *version;
    *version = '9';
    assert_int_equal(pwrite(file, text, (size_t)len, 0), len);
    hosted_refuse(hosted, ZSPOOL_EFORMAT, "version 9");
    assert_int_equal(pread(file, after, sizeof after - 1, 0), len);
    assert_string_equal(after, text);
    *version = ours;
    assert_int_equal(pwrite(file, text, (size_t)len, 0), len);
    assert_int_equal(close(file), 0);
    hosted_start(hosted);
}

/* Names in one context are there once; in contexts of their own, as often as one likes. */
static void a_used_name_is_refused(void **state)
{
    struct hosted *const hosted = *state;
    hosted_start(hosted);
    struct hosted other;
    hosted_init(&other);
    other.options.zmq_context = zspool_broker_context(hosted->broker);
    hosted_refuse(&other, ZSPOOL_EIO, ZSPOOL_BROKER_DEFAULT_ENDPOINT);
    hosted_fini(&other);
}

/* --- The end --------------------------------------------------------------------------------- */

/* Nothing was asked of it: each way to end is clean, and told by each way to look. */
static void it_stops_when_told(void **state)
{
    struct hosted *const hosted = *state;
    hosted_start(hosted);
    struct pollfd ended = {.fd = zspool_broker_fd(hosted->broker), .events = POLLIN};
    zspool_error_t error = {0};
    assert_int_equal(poll(&ended, 1, 0), 0);
    assert_int_equal(zspool_broker_wait(hosted->broker, 20, &error), ZSPOOL_ETIMEOUT);
    assert_int_equal(error.code, ZSPOOL_ETIMEOUT);
    assert_int_equal(zspool_broker_stop(hosted->broker, -1, NULL), 0);
    assert_int_equal(zspool_broker_state(hosted->broker), ZSPOOL_BROKER_STOPPED);
    assert_int_equal(poll(&ended, 1, 0), 1);
    assert_int_equal(zspool_broker_wait(hosted->broker, 0, NULL), 0);
    assert_int_equal(zspool_broker_stop(hosted->broker, 0, NULL), 0);
    assert_int_equal(hosted_failures(hosted, NULL), 0);
    zspool_broker_destroy(&hosted->broker);
    assert_null(hosted->broker);
    zspool_broker_destroy(&hosted->broker);
}

static void without_a_broker_nothing_happens(void **state)
{
    (void)state;
    zspool_error_t error = {0};
    assert_int_equal(zspool_broker_wait(NULL, 0, &error), ZSPOOL_EINVAL);
    assert_int_equal(error.code, ZSPOOL_EINVAL);
    assert_int_equal(zspool_broker_stop(NULL, 0, NULL), ZSPOOL_EINVAL);
    assert_int_equal(zspool_broker_state(NULL), ZSPOOL_BROKER_STOPPED);
    assert_int_equal(zspool_broker_fd(NULL), -1);
    assert_null(zspool_broker_endpoint(NULL, 0));
    assert_null(zspool_broker_context(NULL));
    zspool_broker_destroy(NULL);
    assert_string_equal(zspool_broker_version(), zspool_version());
}

/* A pull that waits is answered, and nothing keeps the broker: it ends long before its time. */
static void a_parked_pull_does_not_hold_it_up(void **state)
{
    struct hosted *const hosted = *state;
    hosted_start(hosted);
    zspool_client_t *client = hosted_client(hosted, 0);
    assert_int_equal(hosted_publish(client, "t", "x"), 0);
    hosted_take(client, "t", "g", "x");
    zspool_consumer_t *consumer = hosted_consumer(client, "t", "g");
    const zspool_message_t *message = NULL;
    assert_int_equal(zspool_next(consumer, &message, 50, NULL), ZSPOOL_ETIMEOUT);
    assert_int_equal(zspool_broker_stop(hosted->broker, HOSTED_WAIT_MS, NULL), 0);
    zspool_consumer_destroy(&consumer);
    zspool_destroy(&client);
}

/* As often as one likes, over the same directory and the same addresses, at once. */
static void it_starts_again_and_again(void **state)
{
    struct hosted *const hosted = *state;
    char endpoint[256];
    char text[16];
    hosted->options.endpoints = tcp;
    hosted->options.endpoint_count = 1;
    hosted_start(hosted);
    (void)snprintf(endpoint, sizeof endpoint, "%s", zspool_broker_endpoint(hosted->broker, 0));
    char ipc[700] = "ipc://";
    (void)test_dir_path(&hosted->dir, "socket", ipc + 6, sizeof ipc - 6);
    const char *const all[] = {endpoint, ipc, "inproc://again"};
    hosted->options.endpoints = all;
    hosted->options.endpoint_count = 3;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(zspool_broker_stop(hosted->broker, HOSTED_WAIT_MS, NULL), 0);
        /* The old one is stopped, not destroyed: its addresses are free all the same. */
        zspool_broker_t *old = hosted->broker;
        hosted->broker = NULL;
        hosted_start(hosted);
        zspool_broker_destroy(&old);
        zspool_client_t *client = hosted_client(hosted, (size_t)i % 3);
        (void)snprintf(text, sizeof text, "%d", i);
        assert_int_equal(hosted_publish(client, "t", text), 0);
        hosted_take(client, "t", "g", text);
        zspool_destroy(&client);
    }
}

/* The context of the host outlives its brokers; the client goes from one to the next. */
static void a_host_may_give_its_own_context(void **state)
{
    struct hosted *const hosted = *state;
    void *const context = zmq_ctx_new();
    hosted->options.zmq_context = context;
    hosted_start(hosted);
    assert_ptr_equal(zspool_broker_context(hosted->broker), context);
    zspool_client_t *client = hosted_client(hosted, 0);
    assert_int_equal(hosted_publish(client, "t", "1"), 0);
    static const char *const groups[] = {"a", "b", "c", "d", "e"};
    for (size_t i = 0; i < 5; i++) {
        zspool_broker_destroy(&hosted->broker);
        hosted_start(hosted);
        hosted_take(client, "t", groups[i], "1");
        assert_int_equal(hosted_publish(client, "t", "2"), 0);
    }
    zspool_destroy(&client);
    zspool_broker_destroy(&hosted->broker);
    assert_int_equal(zmq_ctx_term(context), 0);
}

static void two_brokers_in_one_process_know_nothing_of_each_other(void **state)
{
    struct hosted *const hosted = *state;
    struct hosted other;
    hosted_init(&other);
    hosted_start(hosted);
    hosted_start(&other);
    zspool_client_t *client = hosted_client(hosted, 0);
    zspool_client_t *other_client = hosted_client(&other, 0);
    assert_int_equal(hosted_publish(client, "t", "of the first"), 0);
    assert_int_equal(hosted_publish(other_client, "t", "of the second"), 0);
    hosted_take(client, "t", "g", "of the first");
    zspool_destroy(&client);
    zspool_broker_destroy(&hosted->broker);
    hosted_take(other_client, "t", "g", "of the second");
    zspool_destroy(&other_client);
    hosted_fini(&other);
}

/* --- Callbacks ------------------------------------------------------------------------------- */

/* What a host may do where a line is told, on the broker's own thread. */
struct impatient {
    struct hosted *hosted;
    int wait_result, stop_result;
    bool destroyed; /* nothing may be told any more */
    int wake[2];
};

static void take_line_and_leave(void *arg, zspool_broker_level_t level, const char *line)
{
    struct impatient *const self = arg;
    (void)line;
    if (level != ZSPOOL_BROKER_DEBUG) {
        return;
    }
    assert_false(self->destroyed);
    self->wait_result = zspool_broker_wait(self->hosted->broker, -1, NULL);
    self->stop_result = zspool_broker_stop(self->hosted->broker, -1, NULL);
    zspool_broker_destroy(&self->hosted->broker);
    self->destroyed = true;
    assert_int_equal(write(self->wake[1], "x", 1), 1);
}

/* Waiting for itself would take for ever: the rest happens behind the callback. */
static void a_broker_may_be_destroyed_by_its_own_thread(void **state)
{
    struct hosted *const hosted = *state;
    struct impatient impatient = {.hosted = hosted};
    assert_int_equal(pipe(impatient.wake), 0);
    const zspool_broker_options_t usual = hosted->options;
    hosted->settings[2] = "diag/level = debug";
    hosted->options.setting_count = 3;
    hosted->options.diag_fn = take_line_and_leave;
    hosted->options.diag_arg = &impatient;
    hosted_start(hosted);
    void *const socket = zmq_socket(zspool_broker_context(hosted->broker), ZMQ_DEALER);
    assert_int_equal(zmq_connect(socket, ZSPOOL_BROKER_DEFAULT_ENDPOINT), 0);
    assert_int_equal(zmq_send(socket, "no request", 10, 0), 10); /* refused: a line */
    char byte = 0;
    assert_int_equal(read(impatient.wake[0], &byte, 1), 1);
    assert_int_equal(zmq_close(socket), 0);
    assert_int_equal(impatient.wait_result, ZSPOOL_ETIMEOUT);
    assert_int_equal(impatient.stop_result, ZSPOOL_EAGAIN);
    assert_null(hosted->broker);
    hosted->options = usual;
    while (!hosted->broker) {
        hosted->broker = zspool_broker_new(&hosted->options, &hosted->error);
        assert_true(hosted->broker || hosted->error.code == ZSPOOL_ELOCKED);
    }
    assert_int_equal(close(impatient.wake[0]) + close(impatient.wake[1]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOSTED_TEST(it_serves_where_nothing_was_said),
        HOSTED_TEST(every_endpoint_leads_to_it),
        HOSTED_TEST(file_settings_and_options_add_up),
        HOSTED_TEST(wrong_options_are_named),
        HOSTED_TEST(options_may_be_larger_than_ours),
        HOSTED_TEST(a_directory_in_use_is_locked_in_one_process_as_well),
        HOSTED_TEST(a_missing_or_foreign_directory_is_refused),
        HOSTED_TEST(a_used_port_is_refused),
        HOSTED_TEST(a_used_name_is_refused),
        HOSTED_TEST(a_damaged_journal_is_refused_and_not_touched),
        HOSTED_TEST(a_newer_format_is_refused_and_not_touched),
        HOSTED_TEST(it_stops_when_told),
        HOSTED_TEST(without_a_broker_nothing_happens),
        HOSTED_TEST(a_parked_pull_does_not_hold_it_up),
        HOSTED_TEST(it_starts_again_and_again),
        HOSTED_TEST(a_host_may_give_its_own_context),
        HOSTED_TEST(two_brokers_in_one_process_know_nothing_of_each_other),
        HOSTED_TEST(a_broker_may_be_destroyed_by_its_own_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
