/* SPDX-License-Identifier: MPL-2.0
 *
 * Clients of a real zspoold that leave in every way, and what becomes of their
 * messages. The leases last an hour, so whatever is handed out again was given back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zspool.h>

#include "tests/support/served.h"

#define WAIT_MS      30000 /* for what takes milliseconds */
#define HEARTBEAT_MS 400   /* of those that fall silent; an overloaded machine keeps this */

static zspool_client_t *client_at(const char *endpoint, int64_t heartbeat_ms)
{
    zspool_options_t options;
    zspool_options_init(&options);
    options.session_heartbeat_ms = heartbeat_ms;
    options.connect_ms = 500;
    options.reconnect_ms_max = 100;
    zspool_client_t *const client = zspool_new(endpoint, &options, NULL);
    assert_non_null(client);
    return client;
}

static void set_up(struct served *self)
{
    served_start(self);
    served_topic(self->client, "t", 0);
    served_group(self->client, "g", 3600000);
}

/* The next message of a new member. Its `deliveries` and `failures` are told. */
static void expect_message(struct served *self, uint32_t deliveries, uint32_t failures)
{
    const zspool_message_t *message = NULL;
    zspool_consumer_t *consumer = served_consumer(self->client, "g");
    assert_int_equal(zspool_next(consumer, &message, WAIT_MS, NULL), 0);
    assert_int_equal(message->deliveries, deliveries);
    assert_int_equal(message->failures, failures);
    assert_int_equal(zspool_settle(consumer, message, ZSPOOL_ACK, NULL, NULL), 0);
    assert_int_equal(zspool_settle_flush(consumer, WAIT_MS, NULL), 0);
    zspool_consumer_destroy(&consumer);
}

static void who_leaves_hands_back_what_was_not_taken(void **state)
{
    (void)state;
    struct served f;
    set_up(&f);
    zspool_client_t *leaving = client_at(f.broker.endpoint, 0);
    zspool_consumer_t *consumer = served_consumer(leaving, "g");
    const zspool_message_t *message = NULL;
    served_publish(f.client, 2);
    assert_int_equal(zspool_next(consumer, &message, WAIT_MS, NULL), 0);
    assert_int_equal(zspool_settle(consumer, message, ZSPOOL_ACK, NULL, NULL), 0);
    zspool_consumer_destroy(&consumer);
    zspool_destroy(&leaving);
    expect_message(&f, 2, 0);
    assert_int_equal(served_figure(f.client, "session_count"), 1);
    served_end(&f);
}

/* This program as a worker: takes a message and is killed. */
static int be_killed(const char *endpoint)
{
    const zspool_message_t *message = NULL;
    zspool_client_t *client = client_at(endpoint, HEARTBEAT_MS);
    zspool_consumer_t *consumer = served_consumer(client, "g");
    if (zspool_next(consumer, &message, WAIT_MS, NULL) == 0) {
        (void)raise(SIGKILL);
    }
    return 1;
}

/* This program as another worker: takes a message, tells so, and goes on until it has one more. */
static int be_stopped(const char *endpoint)
{
    const zspool_message_t *message = NULL;
    zspool_client_t *client = client_at(endpoint, HEARTBEAT_MS);
    zspool_consumer_t *consumer = served_consumer(client, "g");
    if (zspool_next(consumer, &message, WAIT_MS, NULL) != 0 || write(STDOUT_FILENO, "1", 1) != 1 ||
        zspool_next(consumer, &message, WAIT_MS, NULL) != 0) {
        return 1;
    }
    const bool is_new = message->offset == 1 && message->deliveries == 1;
    if (zspool_settle(consumer, message, ZSPOOL_ACK, NULL, NULL) != 0 ||
        zspool_settle_flush(consumer, WAIT_MS, NULL) != 0) {
        return 2;
    }
    zspool_consumer_destroy(&consumer);
    zspool_destroy(&client);
    return is_new ? 0 : 3;
}

/* Goal: a worker whose process stands still loses what it has in hand; when it goes on, it is a member
 * like any other. */
static void a_stopped_worker_goes_on_with_a_new_session(void **state)
{
    (void)state;
    struct served f;
    int fds[2];
    char word = 0;
    int status = 0;
    set_up(&f);
    served_publish(f.client, 1);
    assert_int_equal(pipe(fds), 0);
    char self[512] = "";
    assert_true(readlink("/proc/self/exe", self, sizeof self - 1) > 0); /* valgrind is in the way */
    const pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(fds[1], STDOUT_FILENO);
        (void)execl(self, "stopped", f.broker.endpoint, (char *)NULL);
        _exit(1);
    }
    assert_int_equal(read(fds[0], &word, 1), 1);
    assert_int_equal(kill(pid, SIGSTOP), 0);
    expect_message(&f, 2, 1);
    assert_int_equal(kill(pid, SIGCONT), 0);
    served_publish(f.client, 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    (void)close(fds[0]);
    (void)close(fds[1]);
    served_end(&f);
}

/* Goal: a worker that is killed with a message in hand loses it within three heartbeats. */
static void a_killed_worker_loses_what_it_had_in_hand(void **state)
{
    (void)state;
    struct served f;
    set_up(&f);
    served_publish(f.client, 1);
    char self[512] = "";
    assert_true(readlink("/proc/self/exe", self, sizeof self - 1) > 0); /* valgrind is in the way */
    const pid_t pid = fork();
    if (pid == 0) {
        (void)execl(self, "worker", f.broker.endpoint, (char *)NULL);
        _exit(1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    expect_message(&f, 2, 1);
    assert_int_equal(served_figure(f.client, "sessions_silent"), 1);
    served_end(&f);
}

/* Goal: a broker that stands still for a while loses no session and doubles no message. Method: both
 * sides keep silent for longer than they promised; the client gives the connection up, comes back, and
 * sends its waiting PULL again. */
static void a_broker_that_stood_still_finds_its_sessions_again(void **state)
{
    (void)state;
    struct served f;
    set_up(&f);
    zspool_client_t *worker = client_at(f.broker.endpoint, HEARTBEAT_MS);
    zspool_consumer_t *consumer = served_consumer(worker, "g");
    const zspool_message_t *message = NULL;
    while (served_figure(f.client, "parked_count") == 0) {
    }
    broker_process_signal(&f.broker, SIGSTOP);
    int rc = 0;
    for (int ms = 0; rc == 0; ms++) {
        assert_true(ms < WAIT_MS);
        (void)poll(NULL, 0, 1);
        rc = zspool_connect(worker, 0, NULL, NULL); /* till it has noticed */
    }
    broker_process_signal(&f.broker, SIGCONT);
    assert_int_equal(zspool_connect(worker, WAIT_MS, NULL, NULL), 0);
    served_publish(f.client, 1);
    assert_int_equal(zspool_next(consumer, &message, WAIT_MS, NULL), 0);
    assert_int_equal(message->deliveries, 1);
    assert_int_equal(zspool_settle(consumer, message, ZSPOOL_ACK, NULL, NULL), 0);
    assert_int_equal(zspool_settle_flush(consumer, WAIT_MS, NULL), 0);
    assert_true(served_figure(f.client, "sessions_resumed") >= 1);
    assert_int_equal(served_figure(f.client, "lease_count"), 0);
    zspool_consumer_destroy(&consumer);
    zspool_destroy(&worker);
    served_end(&f);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[0], "worker") == 0) {
        return be_killed(argv[1]);
    }
    if (argc == 2 && strcmp(argv[0], "stopped") == 0) {
        return be_stopped(argv[1]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_leaves_hands_back_what_was_not_taken),
        cmocka_unit_test(a_killed_worker_loses_what_it_had_in_hand),
        cmocka_unit_test(a_stopped_worker_goes_on_with_a_new_session),
        cmocka_unit_test(a_broker_that_stood_still_finds_its_sessions_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
