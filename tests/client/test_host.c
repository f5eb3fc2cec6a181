/* SPDX-License-Identifier: MPL-2.0
 *
 * What a host process sees of the library: its signals, environment, exit
 * functions, descriptors, threads, output, locale and random numbers are after a
 * client's whole life what they were before, also when the broker is killed in
 * the middle of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>
#include <zspool.h>

#include "tests/support/proc.h"
#include "tests/support/served.h"

#define WAIT_MS     30000 /* for what takes milliseconds */
#define SIGNALS_MAX 65

extern char **environ;

/* --- A life ------------------------------------------------------------------------------ */

static void publish(zspool_producer_t *producer, int count)
{
    for (int i = 0; i < count; i++) {
        const zspool_out_t out = zspool_out("t", "x", 1);
        assert_int_equal(zspool_send(producer, &out, NULL, NULL), 0);
    }
}

static void take_and_ack(zspool_consumer_t *consumer, int count)
{
    for (int i = 0; i < count; i++) {
        const zspool_message_t *message;
        assert_int_equal(zspool_next(consumer, &message, WAIT_MS, NULL), 0);
        assert_int_equal(zspool_settle(consumer, message, ZSPOOL_ACK, NULL, NULL), 0);
    }
    assert_int_equal(zspool_settle_flush(consumer, WAIT_MS, NULL), 0);
}

/* Everything once: with the broker killed while publishes are on their way to it, so that
 * somebody writes to a connection that is gone. */
static void live(struct broker_process *broker, bool kill)
{
    zspool_client_t *client = zspool_new(broker->endpoint, NULL, NULL);
    assert_non_null(client);
    assert_true(zspool_fd(client) >= 0);
    zspool_producer_t *producer = zspool_producer_new(client, NULL, NULL);
    zspool_consumer_t *consumer = served_consumer(client, "g");
    publish(producer, 1000);
    if (kill) {
        broker_process_kill(broker);
        publish(producer, 1000);
        broker_process_start(broker, NULL);
    }
    assert_int_equal(zspool_flush(producer, WAIT_MS, NULL), 0);
    take_and_ack(consumer, kill ? 2000 : 1000);
    zspool_consumer_destroy(&consumer);
    zspool_producer_destroy(&producer);
    zspool_destroy(&client);
    assert_null(client);
}

static int set_up(void **state)
{
    static struct broker_process broker;
    broker_process_init(&broker);
    broker_process_start(&broker, NULL);
    *state = &broker;
    return 0;
}

static int tear_down(void **state)
{
    broker_process_fini(*state);
    return 0;
}

/* --- Signals ------------------------------------------------------------------------------- */

static void note_actions(struct sigaction *actions)
{
    for (int i = 1; i < SIGNALS_MAX; i++) {
        if (sigaction(i, NULL, &actions[i]) != 0) {
            memset(&actions[i], 0, sizeof actions[i]); /* libc keeps it for itself */
        }
    }
}

static void signal_actions_and_masks_stay(void **state)
{
    struct sigaction before[SIGNALS_MAX];
    struct sigaction after[SIGNALS_MAX];
    sigset_t mask_before;
    sigset_t mask_after;
    assert_int_equal(signal(SIGPIPE, SIG_DFL) == SIG_ERR, 0); /* it would end us */
    note_actions(before);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &mask_before), 0);
    live(*state, true);
    note_actions(after);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &mask_after), 0);
    for (int i = 1; i < SIGNALS_MAX; i++) {
        assert_ptr_equal(before[i].sa_handler, after[i].sa_handler);
        assert_int_equal(before[i].sa_flags, after[i].sa_flags);
        assert_int_equal(sigismember(&mask_before, i), sigismember(&mask_after, i));
    }
}

static bool takes_signals(const char *thread)
{
    const uint64_t wanted = (UINT64_C(1) << (SIGINT - 1)) | (UINT64_C(1) << (SIGTERM - 1)) |
                            (UINT64_C(1) << (SIGHUP - 1)) | (UINT64_C(1) << (SIGALRM - 1)) |
                            (UINT64_C(1) << (SIGCHLD - 1)) | (UINT64_C(1) << (SIGUSR1 - 1));
    return (proc_thread_status(thread, "SigBlk:", 16) & wanted) != wanted;
}

/* A signal to the process must find one of the host's threads. */
static void no_thread_of_ours_takes_a_signal(void **state)
{
    struct broker_process *broker = *state;
    const unsigned threads = proc_count(PROC_THREADS, NULL);
    const unsigned takers = proc_count(PROC_THREADS, takes_signals);
    zspool_client_t *client = zspool_new(broker->endpoint, NULL, NULL);
    assert_int_equal(zspool_connect(client, WAIT_MS, NULL, NULL), 0);
    assert_int_equal(proc_count(PROC_THREADS, takes_signals), takers);
    assert_int_equal(proc_count(PROC_THREADS, NULL), threads + 3); /* as zspool.h tells */
    zspool_destroy(&client);
    /* A thread that was joined may still be shown for a moment. */
    for (int i = 0; i < WAIT_MS && proc_count(PROC_THREADS, NULL) != threads; i++) {
        (void)poll(NULL, 0, 1);
    }
    assert_int_equal(proc_count(PROC_THREADS, NULL), threads);
}

/* --- Descriptors ------------------------------------------------------------------------------ */

static bool survives_exec(const char *name)
{
    const int flags = fcntl((int)strtol(name, NULL, 10), F_GETFD);
    return flags >= 0 && (flags & FD_CLOEXEC) == 0;
}

static void no_descriptor_is_left_or_survives_exec(void **state)
{
    struct broker_process *broker = *state;
    live(broker, false); /* what libraries open once is open now */
    const unsigned before = proc_count(PROC_FILES, NULL);
    const unsigned surviving = proc_count(PROC_FILES, survives_exec);
    for (int i = 0; i < 200; i++) {
        zspool_client_t *client =
            zspool_new(i % 3 == 0 ? "tcp://127.0.0.1:1" : broker->endpoint, NULL, NULL);
        assert_non_null(client);
        assert_true(zspool_fd(client) >= 0);
        if (i % 3 == 1) {
            assert_int_equal(zspool_connect(client, WAIT_MS, NULL, NULL), 0);
        }
        if (i % 50 == 1) {
            assert_int_equal(proc_count(PROC_FILES, survives_exec), surviving);
        }
        zspool_destroy(&client);
    }
    assert_int_equal(proc_count(PROC_FILES, NULL), before);
}

/* How a client fares when only `spare` descriptors are left; back at the usual number it connects.
 * `context` is lent to it, if not NULL. False: there was none to be had. */
static bool live_with(const struct broker_process *broker, int spare, void *context)
{
    zspool_options_t options;
    zspool_options_init(&options);
    options.zmq_context = context;
    struct rlimit usual;
    struct rlimit few;
    zspool_error_t err = {0};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
    few = usual;
    const int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
    (void)close(next);
    few.rlim_cur = (rlim_t)next + (rlim_t)spare;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    zspool_client_t *client = zspool_new(broker->endpoint, &options, &err);
    const int code = client ? zspool_connect(client, 100, NULL, NULL) : ZSPOOL_EIO;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
    if (!client) {
        assert_int_equal(err.code, ZSPOOL_EIO);
        assert_int_equal(err.sys_errno, EMFILE);
        return false;
    }
    assert_true(code == 0 || code == ZSPOOL_ETIMEOUT);
    assert_int_equal(zspool_connect(client, WAIT_MS, NULL, NULL), 0);
    assert_true(zspool_fd(client) >= 0);
    zspool_destroy(&client);
    return true;
}

/* libzmq would end the process. */
static void a_host_without_descriptors_lives_on(void **state)
{
    int made = 0;
    for (int spare = 0; spare < 16; spare++) {
        made += live_with(*state, spare, NULL) ? 1 : 0;
    }
    assert_in_range(made, 1, 15);
}

/* A context that the host lends may not have started yet. */
static void a_host_that_lends_a_context_lives_on_without_descriptors(void **state)
{
    int made = 0;
    for (int spare = 0; spare < 16; spare++) {
        void *context = zmq_ctx_new();
        assert_non_null(context);
        made += live_with(*state, spare, context) ? 1 : 0;
        assert_int_equal(zmq_ctx_term(context), 0);
    }
    assert_in_range(made, 1, 15);
}

/* --- Everything else of a process ------------------------------------------------------------- */

static void nothing_is_printed(void **state)
{
    struct broker_process *broker = *state;
    char path[700];
    struct stat printed;
    (void)test_dir_path(&broker->dir, "printed", path, (int)sizeof path);
    const int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    const int out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    const int err = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    assert_true(file >= 0 && out >= 0 && err >= 0);
    (void)fflush(NULL);
    assert_true(dup2(file, STDOUT_FILENO) >= 0 && dup2(file, STDERR_FILENO) >= 0);
    live(broker, true);
    zspool_client_t *nowhere = zspool_new("tcp://127.0.0.1:1", NULL, NULL);
    (void)zspool_ping(nowhere, 50, NULL, NULL);
    zspool_destroy(&nowhere);
    (void)fflush(NULL);
    assert_true(dup2(out, STDOUT_FILENO) >= 0 && dup2(err, STDERR_FILENO) >= 0);
    (void)close(out);
    (void)close(err);
    assert_int_equal(fstat(file, &printed), 0);
    (void)close(file);
    assert_int_equal(printed.st_size, 0);
}

static size_t count_environment(void)
{
    size_t count = 0;
    while (environ[count]) {
        count++;
    }
    return count;
}

static void environment_locale_mask_and_directory_stay(void **state)
{
    char before[512];
    char after[512];
    char **const variables = environ;
    const size_t count = count_environment();
    char *const first = environ[0];
    (void)umask(027);
    assert_non_null(setlocale(LC_ALL, "C.UTF-8"));
    assert_non_null(getcwd(before, sizeof before));
    live(*state, true);
    assert_non_null(getcwd(after, sizeof after));
    assert_string_equal(before, after);
    assert_string_equal(setlocale(LC_ALL, NULL), "C.UTF-8");
    assert_int_equal(umask(022), 027);
    assert_ptr_equal(environ, variables);
    assert_ptr_equal(environ[0], first);
    assert_int_equal(count_environment(), count);
}

/* A host that seeds libc's generator gets the numbers that belong to its seed. */
static void the_generator_of_libc_is_left_alone(void **state)
{
    int wanted[16];
    srand(42);
    for (int i = 0; i < 16; i++) {
        wanted[i] = rand();
    }
    srand(42);
    for (int i = 0; i < 16; i++) {
        if (i == 8) {
            live(*state, true);
        }
        assert_int_equal(rand(), wanted[i]);
    }
}

static void say_a(void)
{
    (void)!write(STDOUT_FILENO, "a", 1);
}

static void say_b(void)
{
    (void)!write(STDOUT_FILENO, "b", 1);
}

/* What this program does when it is started as a host that exits with a client alive. */
static int exit_with_a_client(const char *endpoint)
{
    (void)atexit(say_a);
    zspool_client_t *client = zspool_new(endpoint, NULL, NULL);
    (void)zspool_connect(client, WAIT_MS, NULL, NULL);
    zspool_destroy(&client);
    client = zspool_new(endpoint, NULL, NULL);
    const int code = zspool_connect(client, WAIT_MS, NULL, NULL);
    (void)atexit(say_b);
    exit(code == 0 ? 5 : 6);
}

/* Its own exit functions run, in its own order, and it ends. */
static void exit_functions_of_the_host_run_in_its_order(void **state)
{
    const struct broker_process *broker = *state;
    int ends[2];
    int status = 0;
    char said[8] = "";
    char self[512] = "";
    assert_true(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    assert_int_equal(pipe(ends), 0);
    const pid_t host = fork();
    assert_true(host >= 0);
    if (host == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)close(ends[0]);
        (void)close(ends[1]);
        (void)execl(self, "host", "exit", broker->endpoint, (char *)NULL);
        _exit(127);
    }
    (void)close(ends[1]);
    assert_int_equal(waitpid(host, &status, 0), host);
    assert_int_equal(read(ends[0], said, sizeof said - 1), 2);
    (void)close(ends[0]);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 5);
    assert_string_equal(said, "ba");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "exit") == 0) {
        return exit_with_a_client(argv[2]);
    }
    const struct CMUnitTest tests[] = {
        TEST(signal_actions_and_masks_stay),
        TEST(no_thread_of_ours_takes_a_signal),
        TEST(no_descriptor_is_left_or_survives_exec),
        TEST(a_host_without_descriptors_lives_on),
        TEST(a_host_that_lends_a_context_lives_on_without_descriptors),
        TEST(nothing_is_printed),
        TEST(environment_locale_mask_and_directory_stay),
        TEST(the_generator_of_libc_is_left_alone),
        TEST(exit_functions_of_the_host_run_in_its_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
