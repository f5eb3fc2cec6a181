/* SPDX-License-Identifier: MPL-2.0
 *
 * zspoold as a process: options, configuration, exit codes, signals, sockets.
 */
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "tests/common/testing.h"
#include "tests/support/broker_process.h"
#include "tests/support/raw_client.h"

static int setup(void **state)
{
    struct broker_process *const broker = calloc(1, sizeof *broker);
    assert_non_null(broker);
    broker_process_init(broker);
    *state = broker;
    return 0;
}

static int teardown(void **state)
{
    struct broker_process *const broker = *state;
    broker_process_fini(broker);
    free(broker);
    return 0;
}

static const char *path_in(const struct broker_process *broker, const char *name)
{
    static char path[700];
    return test_dir_path(&broker->dir, name, path, (int)sizeof path);
}

static void write_file(const char *path, const char *text)
{
    FILE *const file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* What the last run printed on stdout; the caller frees it. */
static char *stdout_of(const struct broker_process *broker)
{
    FILE *const file = fopen(path_in(broker, "stdout"), "r");
    assert_non_null(file);
    char *const text = calloc(1, 65536);
    assert_non_null(text);
    text[fread(text, 1, 65535, file)] = '\0';
    (void)fclose(file);
    return text;
}

static void assert_wrote(struct broker_process *broker, const char *text)
{
    if (!broker_process_wrote(broker, text)) {
        char *const errors = broker_process_errors(broker);
        fail_msg("\"%s\" is not in:\n%s", text, errors);
    }
}

/* --- Options and configuration -------------------------------------------------------------- */

static void help_fits_eighty_columns(void **state)
{
    struct broker_process *const broker = *state;
    assert_int_equal(broker_process_run(broker, (const char *[]){"--help", NULL}), 0);
    char *const text = stdout_of(broker);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        assert_true(strlen(line) < 80);
    }
    free(text);
}

static void the_version_is_told(void **state)
{
    struct broker_process *const broker = *state;
    assert_int_equal(broker_process_run(broker, (const char *[]){"--version", NULL}), 0);
    char *const text = stdout_of(broker);
    assert_int_equal(strncmp(text, "zspoold ", 8), 0);
    free(text);
}

static void wrong_options_are_usage_errors(void **state)
{
    struct broker_process *const broker = *state;
    static const char *const cases[][3] = {{"--frobnicate", NULL, NULL},
                                           {"word", NULL, NULL},
                                           {"--data", NULL, NULL},
                                           {"--show", NULL, NULL},
                                           {"--http", "127.0.0.1:1", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(broker_process_run(broker, cases[i]), 2);
        assert_wrote(broker, "zspoold");
    }
}

static void a_bad_configuration_is_told_with_file_and_line(void **state)
{
    struct broker_process *const broker = *state;
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"data\n    directry = /x\n", "bad.cfg:2: unknown key 'directry'"},
        {"data\n    segment_size = 64\n", "bad.cfg:2: data.segment_size: '64' has no unit"},
        {"data\n   create = yes\n", "bad.cfg:2: indented by 3 spaces"},
        {"network\n    listen = tcp://*:1\n", "security.allow_plain = yes"},
    };
    char path[700];
    (void)snprintf(path, sizeof path, "%s", path_in(broker, "bad.cfg"));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_file(path, cases[i].text);
        assert_int_equal(broker_process_run(broker, (const char *[]){"-c", path, NULL}), 2);
        assert_wrote(broker, cases[i].message);
    }
    assert_int_equal(broker_process_run(broker, (const char *[]){"-c", "/nonexistent", NULL}), 2);
}

static void check_config_shows_values_and_origins_and_starts_nothing(void **state)
{
    struct broker_process *const broker = *state;
    char path[700];
    (void)snprintf(path, sizeof path, "%s", path_in(broker, "good.cfg"));
    write_file(path, "topics\n    partitions = 3\n");
    const char *const arguments[] = {"-c",     path, "--data", broker->data, "--check-config",
                                     "--show", NULL};
    assert_int_equal(broker_process_run(broker, arguments), 0);
    char *const text = stdout_of(broker);
    assert_non_null(strstr(text, "partitions = \"3\" # "));
    assert_non_null(strstr(text, "good.cfg:2"));
    assert_non_null(strstr(text, "# option --data"));
    assert_non_null(strstr(text, "# default"));
    free(text);
    assert_int_not_equal(access(broker->data, F_OK), 0);
}

/* --- Starting -------------------------------------------------------------------------------- */

static void the_ready_line_tells_the_real_port(void **state)
{
    struct broker_process *const broker = *state;
    broker_process_start(broker, NULL);
    assert_int_equal(strncmp(broker->endpoint, "tcp://127.0.0.1:", 16), 0);
    assert_in_range(strtoul(broker->endpoint + 16, NULL, 10), 1, 65535);
    struct raw_client client;
    raw_client_init(&client, broker->endpoint, ZMQ_DEALER);
    raw_call(&client, "PING", "{}");
    raw_client_fini(&client);
}

static void a_second_broker_is_told_who_has_the_directory(void **state)
{
    struct broker_process *const broker = *state;
    struct broker_process second;
    broker_process_start(broker, NULL);
    broker_process_init(&second);
    const char *const arguments[] = {"--data", broker->data, "--listen", "tcp://127.0.0.1:*", NULL};
    assert_int_equal(broker_process_run(&second, arguments), 5);
    char pid[32];
    (void)snprintf(pid, sizeof pid, "%d", (int)broker->pid);
    assert_wrote(&second, pid);
    broker_process_fini(&second);
}

static void a_used_port_is_an_error_that_names_it(void **state)
{
    struct broker_process *const broker = *state;
    struct broker_process second;
    broker_process_start(broker, NULL);
    broker_process_init(&second);
    const char *const arguments[] = {"--data", second.data, "--listen", broker->endpoint, NULL};
    assert_int_equal(broker_process_run(&second, arguments), 1);
    assert_wrote(&second, broker->endpoint);
    assert_wrote(&second, "Address already in use");
    broker_process_fini(&second);
}

static void without_create_a_missing_store_is_refused(void **state)
{
    struct broker_process *const broker = *state;
    char path[700];
    (void)snprintf(path, sizeof path, "%s", path_in(broker, "nocreate.cfg"));
    write_file(path, "data\n    create = no\n");
    const char *const arguments[] = {"-c", path, "--data", broker->data, NULL};
    assert_int_equal(broker_process_run(broker, arguments), 1);
    assert_wrote(broker, broker->data);
    assert_int_not_equal(access(broker->data, F_OK), 0);
}

/* Below data.min_free publishes are refused; reading, pulling and settling go on. */
static void without_free_space_only_publishes_are_refused(void **state)
{
    struct broker_process *const broker = *state;
    struct raw_client client;
    broker_process_start(broker, NULL);
    raw_client_init(&client, broker->endpoint, ZMQ_DEALER);
    raw_publish(&client, "t", "x");
    raw_client_fini(&client);
    assert_int_equal(broker_process_stop(broker), 0);
    assert_int_equal(setenv("ZSPOOL_DATA_MIN_FREE", "1000000TiB", 1), 0);
    broker_process_start(broker, NULL);
    assert_int_equal(unsetenv("ZSPOOL_DATA_MIN_FREE"), 0);
    raw_client_init(&client, broker->endpoint, ZMQ_DEALER);
    raw_request_body(&client, 0, "PUBLISH", "{'topic': 't'}", zsp_slice_str("\x91\xc4\x01x"));
    raw_receive(&client);
    raw_expect_error(&client, "no_space");
    raw_call(&client, "READ", "{'topic': 't', 'from': 'earliest'}");
    raw_call(&client, "PULL", "{'group': 'g', 'topics': ['t'], 'wait_ms': 5000}");
    const msgpack_object *const run = raw_value(&client, "runs")->via.array.ptr[0].via.array.ptr;
    raw_call(&client, "SETTLE", "{'group': 'g', 'runs': [['t', 0, 0, 1, %llu, 'ack']]}",
             (unsigned long long)run[4].via.u64);
    assert_int_equal(raw_uint(&client, "applied"), 1);
    raw_client_fini(&client);
}

static void a_newer_format_is_refused_untouched(void **state)
{
    struct broker_process *const broker = *state;
    broker_process_start(broker, NULL);
    assert_int_equal(broker_process_stop(broker), 0);
    char path[700];
    (void)snprintf(path, sizeof path, "%s/FORMAT", broker->data);
    write_file(path, "this is no format file of ours\n");
    const char *const arguments[] = {"--data", broker->data, "--listen", "tcp://127.0.0.1:*", NULL};
    assert_int_equal(broker_process_run(broker, arguments), 4);
    assert_wrote(broker, "FORMAT");
}

/* --- ipc ---------------------------------------------------------------------------------------- */

struct ipc {
    char path[300];
    char endpoint[320];
};

static struct ipc ipc_of(const struct broker_process *broker)
{
    struct ipc ipc;
    (void)snprintf(ipc.path, sizeof ipc.path, "%.280s/s.sock", broker->dir.path);
    (void)snprintf(ipc.endpoint, sizeof ipc.endpoint, "ipc://%s", ipc.path);
    return ipc;
}

static void two_endpoints_lead_to_one_broker(void **state)
{
    struct broker_process *const broker = *state;
    const struct ipc ipc = ipc_of(broker);
    broker_process_start(broker, (const char *[]){"--listen", ipc.endpoint, NULL});
    broker_process_wait_text(broker, ipc.endpoint);
    struct stat status;
    assert_int_equal(stat(ipc.path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    struct raw_client local;
    struct raw_client remote;
    raw_client_init(&local, ipc.endpoint, ZMQ_DEALER);
    raw_client_init(&remote, broker->endpoint, ZMQ_DEALER);
    raw_publish(&local, "t", "x");
    raw_call(&remote, "READ", "{'topic': 't', 'from': 'earliest'}");
    assert_int_equal(raw_uint(&remote, "end"), 1);
    raw_client_fini(&local);
    raw_client_fini(&remote);
}

static void a_stale_socket_file_is_replaced(void **state)
{
    struct broker_process *const broker = *state;
    const struct ipc ipc = ipc_of(broker);
    const char *const arguments[] = {"--listen", ipc.endpoint, NULL};
    broker_process_start(broker, arguments);
    broker_process_kill(broker);
    assert_int_equal(access(ipc.path, F_OK), 0);
    broker_process_start(broker, arguments);
    assert_int_equal(broker_process_stop(broker), 0);
}

static void a_live_socket_or_another_file_is_left_alone(void **state)
{
    struct broker_process *const broker = *state;
    struct broker_process second;
    const struct ipc ipc = ipc_of(broker);
    broker_process_start(broker, (const char *[]){"--listen", ipc.endpoint, NULL});
    broker_process_init(&second);
    const char *const live[] = {"--data", second.data, "--listen", ipc.endpoint, NULL};
    assert_int_equal(broker_process_run(&second, live), 1);
    assert_wrote(&second, "another process listens there");
    const struct ipc other = ipc_of(&second);
    write_file(other.path, "precious");
    const char *const precious[] = {"--data", second.data, "--listen", other.endpoint, NULL};
    assert_int_equal(broker_process_run(&second, precious), 1);
    assert_wrote(&second, "is no socket");
    assert_int_equal(access(other.path, F_OK), 0);
    broker_process_fini(&second);
}

/* --- Signals -------------------------------------------------------------------------------------- */

static void sigterm_answers_parked_pulls_and_exits_0(void **state)
{
    struct broker_process *const broker = *state;
    broker_process_start(broker, NULL);
    struct raw_client client;
    raw_client_init(&client, broker->endpoint, ZMQ_DEALER);
    raw_publish(&client, "t", "x");
    raw_call(&client, "PULL", "{'group': 'g', 'topics': ['t'], 'wait_ms': 5000}");
    raw_request(&client, 0, "PULL", "{'group': 'g', 'topics': ['t'], 'wait_ms': 60000}");
    raw_request(&client, 0, "PING", "{}");
    raw_receive(&client); /* the PULL before it has arrived */
    assert_int_equal(broker_process_stop(broker), 0);
    raw_receive(&client);
    raw_client_fini(&client);
}

/* Publishes in flight when the signal comes: each is answered, and what is said to
 * be confirmed or refused is what the next start finds. */
static void sigterm_under_load_answers_every_publish(void **state)
{
    struct broker_process *const broker = *state;
    struct raw_client client;
    uint64_t confirmed = 1;
    broker_process_start(broker, NULL);
    raw_client_init(&client, broker->endpoint, ZMQ_DEALER);
    raw_publish(&client, "t", "first");
    for (int i = 0; i < 200; i++) {
        raw_request_body(&client, 0, "PUBLISH", "{'topic': 't'}", zsp_slice_str("\x91\xc4\x01x"));
    }
    raw_receive(&client); /* they have begun to arrive */
    confirmed += raw_is_ok(&client) ? 1u : 0u;
    assert_int_equal(broker_process_stop(broker), 0);
    unsigned answers = 1;
    while (answers < 200 && raw_receive_within(&client, 500)) { /* till silence */
        if (raw_is_ok(&client)) {
            confirmed++;
        } else {
            raw_expect_error(&client, "shutting_down");
        }
        answers++;
    }
    raw_client_fini(&client);
    broker_process_start(broker, NULL);
    raw_client_init(&client, broker->endpoint, ZMQ_DEALER);
    raw_call(&client, "READ", "{'topic': 't', 'from': 'earliest'}");
    assert_int_equal(raw_uint(&client, "end"), confirmed);
    raw_client_fini(&client);
}

/* A peer with a hundred megabytes of replies on their way that it does not take. */
static void stuff(struct broker_process *broker, struct raw_client *slow)
{
    uint8_t *const payload = calloc(1, 1000000);
    struct zsp_writer record = {0};
    assert_non_null(payload);
    broker_process_start(broker, NULL);
    raw_client_init_slow(slow, broker->endpoint);
    raw_record(&record, (struct zsp_slice){payload, 1000000});
    raw_request_body(slow, 0, "PUBLISH", "{'topic': 't'}", zsp_writer_slice(&record));
    raw_receive(slow);
    for (int i = 0; i < 100; i++) {
        raw_request(slow, 0, "READ", "{'topic': 't', 'from': 'earliest'}");
    }
    raw_receive(slow); /* one, and no more */
    zsp_writer_fini(&record);
    free(payload);
}

static time_t seconds(void)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return now.tv_sec;
}

static void a_peer_that_never_reads_does_not_hold_up_the_end(void **state)
{
    struct broker_process *const broker = *state;
    struct raw_client slow;
    stuff(broker, &slow);
    const time_t begin = seconds();
    assert_int_equal(broker_process_stop(broker), 0);
    assert_in_range(seconds() - begin, 0, 5);
    raw_client_fini(&slow);
}

static void a_second_signal_ends_the_wait(void **state)
{
    struct broker_process *const broker = *state;
    struct raw_client slow;
    stuff(broker, &slow);
    const time_t begin = seconds();
    broker_process_signal(broker, SIGTERM);
    broker_process_wait_text(broker, "SIGTERM");
    broker_process_signal(broker, SIGINT);
    assert_in_range(broker_process_wait(broker), 0, 1); /* 1: something was still undecided */
    assert_in_range(seconds() - begin, 0, 3);
    raw_client_fini(&slow);
}

static void sigint_stops_like_sigterm(void **state)
{
    struct broker_process *const broker = *state;
    broker_process_start(broker, NULL);
    broker_process_signal(broker, SIGINT);
    assert_int_equal(broker_process_wait(broker), 0);
}

static void sighup_and_sigpipe_change_nothing(void **state)
{
    struct broker_process *const broker = *state;
    broker_process_start(broker, NULL);
    broker_process_signal(broker, SIGPIPE);
    broker_process_signal(broker, SIGHUP);
    broker_process_wait_text(broker, "SIGHUP");
    struct raw_client client;
    raw_client_init(&client, broker->endpoint, ZMQ_DEALER);
    raw_call(&client, "PING", "{}");
    raw_client_fini(&client);
    assert_int_equal(broker_process_stop(broker), 0);
}

static void the_data_of_a_drained_broker_is_there_again(void **state)
{
    struct broker_process *const broker = *state;
    for (uint64_t i = 0; i < 3; i++) {
        broker_process_start(broker, NULL);
        struct raw_client client;
        raw_client_init(&client, broker->endpoint, ZMQ_DEALER);
        assert_int_equal(raw_publish(&client, "t", "x"), i);
        raw_client_fini(&client);
        assert_int_equal(broker_process_stop(broker), 0);
    }
}

static void czmq_variables_have_no_effect(void **state)
{
    struct broker_process *const broker = *state;
    assert_int_equal(setenv("ZSYS_MAX_MSGSZ", "10", 1), 0);
    broker_process_start(broker, NULL);
    assert_int_equal(unsetenv("ZSYS_MAX_MSGSZ"), 0);
    assert_wrote(broker, "environment ZSYS_MAX_MSGSZ has no effect");
    struct raw_client client;
    raw_client_init(&client, broker->endpoint, ZMQ_DEALER);
    raw_publish(&client, "t", "a message of more than ten bytes");
    raw_client_fini(&client);
}

/* What the service manager's socket receives next. */
static void assert_told(int manager, const char *wanted)
{
    struct timeval wait = {.tv_sec = 10};
    char text[64] = "";
    assert_int_equal(setsockopt(manager, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait), 0);
    assert_true(recv(manager, text, sizeof text - 1, 0) > 0);
    assert_string_equal(text, wanted);
}

static void the_service_manager_hears_of_the_start_and_the_end(void **state)
{
    struct broker_process *const broker = *state;
    for (int is_abstract = 0; is_abstract < 2; is_abstract++) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        char *const name = address.sun_path;
        (void)snprintf(name, sizeof address.sun_path, "%.90s/notify", broker->dir.path);
        name[0] = is_abstract ? '@' : '/';
        assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
        const size_t address_len = offsetof(struct sockaddr_un, sun_path) + strlen(name);
        name[0] = is_abstract ? '\0' : '/';
        const int manager = socket(AF_UNIX, SOCK_DGRAM, 0);
        assert_true(manager >= 0);
        assert_int_equal(bind(manager, (struct sockaddr *)&address, (socklen_t)address_len), 0);
        broker_process_start(broker, NULL);
        assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
        assert_told(manager, "READY=1");
        assert_int_equal(broker_process_stop(broker), 0);
        assert_told(manager, "STOPPING=1");
        assert_int_equal(close(manager), 0);
    }
}

#define PROVE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROVE(help_fits_eighty_columns),
        PROVE(the_version_is_told),
        PROVE(wrong_options_are_usage_errors),
        PROVE(a_bad_configuration_is_told_with_file_and_line),
        PROVE(check_config_shows_values_and_origins_and_starts_nothing),
        PROVE(the_ready_line_tells_the_real_port),
        PROVE(a_second_broker_is_told_who_has_the_directory),
        PROVE(a_used_port_is_an_error_that_names_it),
        PROVE(without_create_a_missing_store_is_refused),
        PROVE(without_free_space_only_publishes_are_refused),
        PROVE(a_newer_format_is_refused_untouched),
        PROVE(two_endpoints_lead_to_one_broker),
        PROVE(a_stale_socket_file_is_replaced),
        PROVE(a_live_socket_or_another_file_is_left_alone),
        PROVE(sigterm_answers_parked_pulls_and_exits_0),
        PROVE(sigterm_under_load_answers_every_publish),
        PROVE(a_peer_that_never_reads_does_not_hold_up_the_end),
        PROVE(a_second_signal_ends_the_wait),
        PROVE(sigint_stops_like_sigterm),
        PROVE(sighup_and_sigpipe_change_nothing),
        PROVE(the_data_of_a_drained_broker_is_there_again),
        PROVE(czmq_variables_have_no_effect),
        PROVE(the_service_manager_hears_of_the_start_and_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
