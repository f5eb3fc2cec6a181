/* SPDX-License-Identifier: MPL-2.0
 *
 * What a host sees of the broker in it: nothing. Signals, environment, exit,
 * output, descriptors, threads, umask and random numbers are as they were, while
 * it runs and afterwards.
 */
#include "tests/common/testing.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/broker/embed/hosted.h"
#include "tests/support/proc.h"

extern char **environ;

#define SIGNALS_MAX 64
#define RANDOMS     8
#define FILES_MAX   1024

/* A broker that listens everywhere. */
static int setup(void **state)
{
    static char ipc[700];
    static const char *endpoints[] = {"tcp://127.0.0.1:*", ipc, "inproc://here"};
    (void)hosted_set_up(state);
    struct hosted *const hosted = *state;
    (void)snprintf(ipc, sizeof ipc, "ipc://%s/socket", hosted->dir.path);
    hosted->options.endpoints = endpoints;
    hosted->options.endpoint_count = 3;
    return 0;
}

/* Something of everything. */
static void use(struct hosted *hosted)
{
    for (size_t i = 0; i < 3; i++) {
        zspool_client_t *client = hosted_client(hosted, i);
        assert_int_equal(hosted_publish(client, "t", "x"), 0);
        hosted_take(client, "t", "g", "x");
        zspool_destroy(&client);
    }
}

/* --- Signals --------------------------------------------------------------------------------- */

struct dispositions {
    struct sigaction actions[SIGNALS_MAX + 1];
    sigset_t mask;
};

static void take_dispositions(struct dispositions *self)
{
    memset(self, 0, sizeof *self);
    for (int i = 1; i <= SIGNALS_MAX; i++) {
        (void)sigaction(i, NULL, &self->actions[i]); /* some numbers are libc's own */
    }
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &self->mask), 0);
}

static void expect_dispositions(const struct dispositions *before)
{
    struct dispositions now;
    take_dispositions(&now);
    for (int i = 1; i <= SIGNALS_MAX; i++) {
        assert_ptr_equal(now.actions[i].sa_handler, before->actions[i].sa_handler);
        assert_int_equal(now.actions[i].sa_flags, before->actions[i].sa_flags);
        assert_int_equal(sigismember(&now.mask, i), sigismember(&before->mask, i));
    }
}

static void signals_are_as_they_were(void **state)
{
    struct hosted *const hosted = *state;
    struct dispositions before;
    take_dispositions(&before);
    hosted_start(hosted);
    expect_dispositions(&before);
    use(hosted);
    zspool_broker_destroy(&hosted->broker);
    expect_dispositions(&before);
}

static pthread_t main_thread;
static volatile sig_atomic_t at_main;
static volatile sig_atomic_t elsewhere;

static void count_signal(int number)
{
    (void)number;
    if (pthread_equal(pthread_self(), main_thread)) {
        at_main++;
    } else {
        elsewhere++;
    }
}

/* With the host's only thread in a blocked state, the kernel would choose one of ours, if any of
 * them let it. */
static void signals_reach_the_hosts_threads_only(void **state)
{
    struct hosted *const hosted = *state;
    struct sigaction action = {.sa_handler = count_signal};
    struct sigaction before;
    sigset_t one;
    main_thread = pthread_self();
    at_main = 0;
    elsewhere = 0;
    hosted_start(hosted);
    assert_int_equal(sigaction(SIGTERM, &action, &before), 0);
    (void)sigemptyset(&one);
    (void)sigaddset(&one, SIGTERM);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(pthread_sigmask(SIG_BLOCK, &one, NULL), 0);
        assert_int_equal(kill(getpid(), SIGTERM), 0);
        use(hosted);
        assert_int_equal(pthread_sigmask(SIG_UNBLOCK, &one, NULL), 0);
        assert_int_equal(at_main, i + 1);
    }
    assert_int_equal(elsewhere, 0);
    assert_int_equal(sigaction(SIGTERM, &before, NULL), 0);
    assert_int_equal(zspool_broker_state(hosted->broker), ZSPOOL_BROKER_SERVING);
}

static int connect_to(const char *endpoint)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)strtoul(strrchr(endpoint, ':') + 1, NULL, 10)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    const int file = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(file >= 0);
    assert_int_equal(connect(file, (const struct sockaddr *)&address, sizeof address), 0);
    return file;
}

/* SIGPIPE is deadly here, as in any program that has not asked otherwise. */
static void peers_that_reset_their_connection_raise_no_signal(void **state)
{
    struct hosted *const hosted = *state;
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    hosted_start(hosted);
    for (int i = 0; i < 200; i++) {
        const int file = connect_to(zspool_broker_endpoint(hosted->broker, 0));
        static const char greeting[] = "\xff\0\0\0\0\0\0\0\1\x7f\3";
        if (i % 2 == 0) {
            assert_int_equal(write(file, greeting, sizeof greeting - 1), sizeof greeting - 1);
        }
        assert_int_equal(setsockopt(file, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
        assert_int_equal(close(file), 0);
    }
    use(hosted);
}

/* --- Environment, random numbers, umask, output ------------------------------------------------- */

static void the_environment_is_neither_read_nor_changed(void **state)
{
    struct hosted *const hosted = *state;
    static const char *const variables[] = {"ZSYS_MAX_MSGSZ", "ZSYS_SIGHANDLER",
                                            "ZSPOOL_DATA_CREATE", "ZSPOOL_NETWORK_LISTEN"};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(setenv(variables[i], i < 2 ? "10" : "no", 1), 0);
    }
    char *before[FILES_MAX] = {0};
    char **const place = environ;
    for (size_t i = 0; environ[i] && i < FILES_MAX; i++) {
        before[i] = environ[i];
    }
    hosted_start(hosted);
    use(hosted);
    zspool_broker_destroy(&hosted->broker);
    assert_ptr_equal(environ, place);
    for (size_t i = 0; environ[i] && i < FILES_MAX; i++) {
        assert_ptr_equal(environ[i], before[i]);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(unsetenv(variables[i]), 0);
    }
}

/* The host's sequence goes on where it was, and does not begin anew. */
static void random_numbers_are_the_hosts(void **state)
{
    struct hosted *const hosted = *state;
    int wanted[RANDOMS];
    srand(4711);
    for (size_t i = 0; i < RANDOMS; i++) {
        wanted[i] = rand(); // NOLINT(cert-msc30-c,cert-msc50-cpp): it is what is tested
    }
    srand(4711);
    for (size_t i = 0; i < RANDOMS; i++) {
        if (i == 2) {
            hosted_start(hosted);
        } else if (i == 4) {
            use(hosted);
        } else if (i == 6) {
            zspool_broker_destroy(&hosted->broker);
        }
        assert_int_equal(rand(), wanted[i]); // NOLINT(cert-msc30-c,cert-msc50-cpp): likewise
    }
}

static void the_umask_is_as_it_was(void **state)
{
    struct hosted *const hosted = *state;
    const mode_t before = umask(0037);
    hosted_start(hosted);
    assert_int_equal(umask(0037), 0037);
    zspool_broker_destroy(&hosted->broker);
    assert_int_equal(umask(before), 0037);
}

/* --- Descriptors and threads ---------------------------------------------------------------------- */

static void descriptors_are_not_inherited_and_not_left(void **state)
{
    struct hosted *const hosted = *state;
    bool had[FILES_MAX];
    for (int file = 0; file < FILES_MAX; file++) {
        had[file] = fcntl(file, F_GETFD) >= 0;
    }
    hosted_start(hosted);
    use(hosted);
    for (int file = 0; file < FILES_MAX; file++) {
        const int flags = fcntl(file, F_GETFD);
        if (!had[file] && flags >= 0 && !(flags & FD_CLOEXEC)) {
            fail_msg("descriptor %d would be inherited", file);
        }
    }
    zspool_broker_destroy(&hosted->broker);
    for (int file = 0; file < FILES_MAX; file++) {
        assert_int_equal(fcntl(file, F_GETFD) >= 0, had[file]);
    }
}

static void no_thread_is_left(void **state)
{
    struct hosted *const hosted = *state;
    const unsigned before = proc_count(PROC_THREADS, NULL);
    hosted_start(hosted);
    assert_true(proc_count(PROC_THREADS, NULL) > before);
    zspool_broker_destroy(&hosted->broker);
    /* A joined thread may still be on its way out of the kernel's list. */
    for (int i = 0; i < 10000 && proc_count(PROC_THREADS, NULL) > before; i++) {
        (void)sched_yield();
    }
    assert_int_equal(proc_count(PROC_THREADS, NULL), before);
}

/* --- A process of its own ---------------------------------------------------------------------------- */

static void say_goodbye(void)
{
    (void)!write(STDOUT_FILENO, "goodbye", 7);
}

/* In a child: what a program does that starts a broker and ends by exit(). */
static void run_program(struct hosted *hosted, int out, bool destroy)
{
    if (dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0 || atexit(say_goodbye) != 0) {
        _exit(1);
    }
    hosted->options.diag_fn = NULL;
    hosted->broker = zspool_broker_new(&hosted->options, NULL);
    if (!hosted->broker) {
        _exit(2);
    }
    zspool_client_t *client = hosted_client(hosted, 2);
    if (hosted_publish(client, "t", "x") != 0) {
        _exit(3);
    }
    if (destroy) {
        zspool_destroy(&client);
        zspool_broker_destroy(&hosted->broker);
    }
    exit(42);
}

/* It says nothing, it does nothing at exit: neither to the exit code nor to the time it takes, not
 * even when the broker is left running. */
static void a_program_ends_as_without_it(void **state)
{
    struct hosted *const hosted = *state;
    for (int i = 0; i < 2; i++) {
        int ends[2];
        int status = 0;
        char output[200] = {0};
        assert_int_equal(pipe(ends), 0);
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            run_program(hosted, ends[1], i == 0);
        }
        assert_int_equal(close(ends[1]), 0);
        size_t len = 0;
        ssize_t got = 0;
        while ((got = read(ends[0], output + len, sizeof output - 1 - len)) > 0) {
            len += (size_t)got;
        }
        assert_int_equal(close(ends[0]), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_string_equal(output, "goodbye");
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 42);
    }
    /* What the second one left behind is good. */
    hosted_start(hosted);
    use(hosted);
}

#define PROVE(test) cmocka_unit_test_setup_teardown(test, setup, hosted_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* The first forks: no other thread must be there yet. */
        PROVE(a_program_ends_as_without_it),
        PROVE(signals_are_as_they_were),
        PROVE(signals_reach_the_hosts_threads_only),
        PROVE(peers_that_reset_their_connection_raise_no_signal),
        PROVE(the_environment_is_neither_read_nor_changed),
        PROVE(random_numbers_are_the_hosts),
        PROVE(the_umask_is_as_it_was),
        PROVE(descriptors_are_not_inherited_and_not_left),
        PROVE(no_thread_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
