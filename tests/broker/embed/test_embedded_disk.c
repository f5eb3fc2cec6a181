/* SPDX-License-Identifier: MPL-2.0
 *
 * An embedded broker on a disk that fails, or that takes its time: what the host
 * is told, and that it lives.
 */
#include "tests/common/testing.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include "tests/broker/embed/hosted.h"
#include "tests/support/fault_fs.h"

#define LARGE (512u * 1024u) /* a write that is left to the executor */

/* --- A failing disk -------------------------------------------------------------------------- */

/* A broker over files that begin to fail when fail() is called. */
static void start_over_faults(struct hosted *hosted, struct fs **posix)
{
    struct zsp_err err = {0};
    assert_int_equal(mkdir(hosted->data, 0700), 0);
    *posix = fs_posix_new(hosted->data, &err);
    assert_non_null(*posix);
    hosted->fs = fault_fs_new(*posix);
    hosted_start(hosted);
}

static void end_faults(struct hosted *hosted, struct fs **posix)
{
    zspool_broker_destroy(&hosted->broker);
    fault_fs_destroy(&hosted->fs);
    fs_posix_destroy(posix);
}

static void fail_syncs(struct hosted *hosted)
{
    const struct fault fault = {.kind = FAULT_ERROR,
                                .call = FS_CALL_SYNC,
                                .repeat = UINT64_MAX,
                                .code = ZSP_EIO,
                                .sys_errno = 5};
    fault_fs_set(hosted->fs, &fault);
}

/* Fail-stop: told to the host in every way that there is, and to the client; the host lives, and
 * a new broker over the same directory is the recovery. */
static void a_failed_disk_is_told_to_the_host(void **state)
{
    struct hosted *const hosted = *state;
    struct fs *posix = NULL;
    zspool_error_t error = {0};
    start_over_faults(hosted, &posix);
    zspool_client_t *client = hosted_client(hosted, 0);
    assert_int_equal(hosted_publish(client, "t", "before"), 0);
    fail_syncs(hosted);
    zspool_producer_t *producer = zspool_producer_new(client, NULL, NULL);
    const zspool_out_t out = zspool_out("t", "while", 5);
    assert_int_equal(zspool_send(producer, &out, NULL, NULL), 0);
    struct pollfd ended = {.fd = zspool_broker_fd(hosted->broker), .events = POLLIN};
    assert_int_equal(poll(&ended, 1, HOSTED_WAIT_MS), 1);
    assert_int_equal(zspool_broker_state(hosted->broker), ZSPOOL_BROKER_FAILED);
    assert_int_equal(zspool_broker_wait(hosted->broker, -1, &error), ZSPOOL_ESTORAGE_FAILED);
    assert_int_equal(error.code, ZSPOOL_ESTORAGE_FAILED);
    assert_true(error.message[0] != '\0');
    assert_int_equal(zspool_broker_stop(hosted->broker, -1, NULL), ZSPOOL_ESTORAGE_FAILED);
    assert_int_equal(zspool_flush(producer, 100, NULL) == 0, false);
    zspool_producer_destroy(&producer);
    zspool_destroy(&client);
    end_faults(hosted, &posix);
    assert_int_equal(hosted_failures(hosted, &error), 1);
    assert_int_equal(error.code, ZSPOOL_ESTORAGE_FAILED);
    hosted_start(hosted);
    client = hosted_client(hosted, 0);
    hosted_take(client, "t", "g", "before");
    zspool_destroy(&client);
}

/* A host that restarts its broker from failed_fn: the old one goes, a new one takes over. */
struct restarter {
    struct hosted *hosted;
    zspool_broker_options_t options; /* without faults */
    zspool_broker_t *next;
    int wake[2];
};

static void restart(void *arg, const zspool_error_t *error)
{
    struct restarter *const self = arg;
    assert_int_equal(error->code, ZSPOOL_ESTORAGE_FAILED);
    assert_int_equal(zspool_broker_wait(self->hosted->broker, -1, NULL), ZSPOOL_ESTORAGE_FAILED);
    self->next = zspool_broker_new(&self->options, NULL);
    zspool_broker_destroy(&self->hosted->broker);
    assert_int_equal(write(self->wake[1], "x", 1), 1);
}

static void a_host_may_start_the_next_one_when_told_of_the_failure(void **state)
{
    struct hosted *const hosted = *state;
    struct fs *posix = NULL;
    struct restarter restarter = {.hosted = hosted, .options = hosted->options};
    assert_int_equal(pipe(restarter.wake), 0);
    void *const context = zmq_ctx_new();
    hosted->options.zmq_context = context;
    restarter.options.zmq_context = context;
    hosted->options.failed_fn = restart;
    hosted->options.failed_arg = &restarter;
    start_over_faults(hosted, &posix);
    zspool_client_t *client = hosted_client(hosted, 0);
    fail_syncs(hosted);
    (void)hosted_publish(client, "lost", "x"); /* whatever is told of it */
    char byte = 0;
    assert_int_equal(read(restarter.wake[0], &byte, 1), 1);
    assert_null(hosted->broker);
    assert_non_null(restarter.next);
    assert_int_equal(hosted_publish(client, "t", "at the next one"), 0);
    hosted_take(client, "t", "g", "at the next one");
    zspool_destroy(&client);
    hosted->broker = restarter.next;
    end_faults(hosted, &posix);
    assert_int_equal(zmq_ctx_term(context), 0);
    assert_int_equal(close(restarter.wake[0]) + close(restarter.wake[1]), 0);
}

/* --- A slow disk ------------------------------------------------------------------------------- */

/* The real files, but large writes wait for leave. The functions of the real ones
 * want their own `self`, so there is one such disk. */
static struct {
    struct fs base;
    struct fs_ops ops;
    const struct fs_ops *real;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool waiting, leave; /* locked */
} slow = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static int write_with_leave(void *self, int file, const struct iovec *iov, int iov_count,
                            uint64_t pos, size_t *ret_len, struct zsp_err *err)
{
    size_t len = 0;
    for (int i = 0; i < iov_count; i++) {
        len += iov[i].iov_len;
    }
    (void)pthread_mutex_lock(&slow.mutex);
    slow.waiting = slow.waiting || len >= LARGE;
    (void)pthread_cond_broadcast(&slow.changed);
    while (len >= LARGE && !slow.leave) {
        (void)pthread_cond_wait(&slow.changed, &slow.mutex);
    }
    (void)pthread_mutex_unlock(&slow.mutex);
    return slow.real->write(self, file, iov, iov_count, pos, ret_len, err);
}

static void start_over_a_slow_disk(struct hosted *hosted, struct fs **posix)
{
    assert_int_equal(mkdir(hosted->data, 0700), 0);
    *posix = fs_posix_new(hosted->data, NULL);
    assert_non_null(*posix);
    slow.real = (*posix)->ops;
    slow.ops = *slow.real;
    slow.ops.write = write_with_leave;
    slow.base = (struct fs){.ops = &slow.ops, .self = (*posix)->self};
    hosted->fs = &slow.base;
    hosted_start(hosted);
}

static void await_the_write(void)
{
    (void)pthread_mutex_lock(&slow.mutex);
    while (!slow.waiting) {
        (void)pthread_cond_wait(&slow.changed, &slow.mutex);
    }
    (void)pthread_mutex_unlock(&slow.mutex);
}

static void give_leave(void)
{
    (void)pthread_mutex_lock(&slow.mutex);
    slow.leave = true;
    (void)pthread_cond_broadcast(&slow.changed);
    (void)pthread_mutex_unlock(&slow.mutex);
}

static bool listens(const char *endpoint)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)strtoul(strrchr(endpoint, ':') + 1, NULL, 10)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    const int file = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(file >= 0);
    const int rc = connect(file, (const struct sockaddr *)&address, sizeof address);
    assert_int_equal(close(file), 0);
    return rc == 0;
}

static void *stop_at_once(void *arg)
{
    zspool_broker_t *const broker = arg;
    return (void *)(intptr_t)zspool_broker_stop(broker, 0, NULL);
}

/* Its time is over before a request is decided: that is told, once the disk has done what it had
 * begun. */
static void a_stop_that_cuts_something_off_says_so(void **state)
{
    struct hosted *const hosted = *state;
    struct fs *posix = NULL;
    static const char *const endpoints[] = {"inproc://x", "tcp://127.0.0.1:*"};
    static char body[2u * LARGE];
    zspool_error_t error = {0};
    pthread_t stopper;
    void *result = NULL;
    hosted->options.endpoints = endpoints;
    hosted->options.endpoint_count = 2;
    start_over_a_slow_disk(hosted, &posix);
    zspool_client_t *client = hosted_client(hosted, 0);
    zspool_producer_t *producer = zspool_producer_new(client, NULL, NULL);
    const zspool_out_t out = zspool_out("t", body, sizeof body);
    assert_int_equal(zspool_send(producer, &out, NULL, NULL), 0);
    await_the_write();
    assert_int_equal(pthread_create(&stopper, NULL, stop_at_once, hosted->broker), 0);
    while (listens(zspool_broker_endpoint(hosted->broker, 1))) {
        (void)sched_yield();
    }
    assert_int_equal(zspool_broker_wait(hosted->broker, 0, NULL), ZSPOOL_ETIMEOUT);
    assert_int_equal(zspool_broker_state(hosted->broker), ZSPOOL_BROKER_STOPPING);
    give_leave();
    assert_int_equal(pthread_join(stopper, &result), 0);
    assert_int_equal((intptr_t)result, ZSPOOL_EINTERRUPTED);
    assert_int_equal(zspool_broker_wait(hosted->broker, -1, &error), ZSPOOL_EINTERRUPTED);
    assert_non_null(strstr(error.message, "unanswered"));
    assert_int_equal(zspool_broker_state(hosted->broker), ZSPOOL_BROKER_STOPPED);
    assert_int_equal(hosted_failures(hosted, NULL), 0);
    zspool_producer_destroy(&producer);
    zspool_destroy(&client);
    zspool_broker_destroy(&hosted->broker);
    fs_posix_destroy(&posix);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOSTED_TEST(a_failed_disk_is_told_to_the_host),
        HOSTED_TEST(a_host_may_start_the_next_one_when_told_of_the_failure),
        HOSTED_TEST(a_stop_that_cuts_something_off_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
