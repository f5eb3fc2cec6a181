/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool stat as a process, against a broker that turns it away in the middle.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <zspool.h>

#include "common/err.h"
#include "tests/common/testing.h"
#include "tests/support/fake_broker.h"

#define WAIT_MS     30000 /* for what takes milliseconds */
#define EXIT_DENIED 5

struct fixture {
    struct fake_broker *broker;
    atomic_uint stats; /* requests that were answered */
};

/* STATS is answered; GROUP.DELETE makes that nobody is let in any more. */
static void answer(struct fake_broker *broker, const struct fake_request *request, void *arg)
{
    struct fixture *f = arg;
    if (fake_is(request, "STATS")) {
        fake_reply(broker, request, "{'published_messages': 1}");
        atomic_fetch_add(&f->stats, 1);
    } else {
        fake_refuse_hello(broker, ZSP_EDENIED);
        fake_drop(broker);
    }
}

/* Once the first sample was sent, and had the time of many round trips to arrive. */
static void turn_away(struct fixture *f)
{
    zspool_client_t *client = zspool_new(fake_broker_endpoint(f->broker), NULL, NULL);
    assert_non_null(client);
    for (int64_t tries = 0; atomic_load(&f->stats) == 0; tries++) {
        assert_true(tries < WAIT_MS);
        (void)poll(NULL, 0, 1);
    }
    for (int i = 0; i < 100; i++) {
        assert_int_equal(zspool_ping(client, WAIT_MS, NULL, NULL), 0);
    }
    assert_int_not_equal(zspool_group_delete(client, "g", false, WAIT_MS, NULL), 0);
    zspool_destroy(&client);
}

/* zspool stat with an interval of an hour; its stderr is the pipe's. */
static pid_t start_stat(const struct fixture *f, int err_fd)
{
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)dup2(err_fd, STDERR_FILENO);
        (void)execl(ZSPOOL_PATH, ZSPOOL_PATH, "-s", fake_broker_endpoint(f->broker), "stat",
                    "--every", "1h", (char *)NULL);
        _exit(127);
    }
    (void)close(err_fd);
    return pid;
}

/* All that comes until the writer ends. False: it did not in time. */
static bool read_all(int fd, char *to, size_t size)
{
    size_t len = 0;
    struct pollfd item = {.fd = fd, .events = POLLIN};
    while (poll(&item, 1, WAIT_MS) > 0 && len + 1 < size) {
        const ssize_t got = read(fd, to + len, size - 1 - len);
        if (got <= 0) {
            to[len] = '\0';
            return got == 0;
        }
        len += (size_t)got;
    }
    return false;
}

/* Goal: an hour's wait ends when the broker refuses for good, and the reason is told. */
static void a_broker_that_refuses_for_good_ends_the_wait(void **state)
{
    (void)state;
    struct fixture f = {0};
    char text[1024] = "";
    int ends[2];
    int status = 0;
    f.broker = fake_broker_start(answer, &f);
    assert_int_equal(pipe(ends), 0);
    assert_true(fcntl(ends[0], F_SETFD, FD_CLOEXEC) >= 0);
    const pid_t pid = start_stat(&f, ends[1]);
    turn_away(&f);
    const bool ended = read_all(ends[0], text, sizeof text);
    if (!ended) {
        (void)kill(pid, SIGKILL);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    (void)close(ends[0]);
    fake_broker_stop(&f.broker);
    assert_true(ended);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), EXIT_DENIED);
    assert_non_null(strstr(text, "refused by the test"));
    assert_int_equal(atomic_load(&f.stats), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broker_that_refuses_for_good_ends_the_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
