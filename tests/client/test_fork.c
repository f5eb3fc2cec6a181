/* SPDX-License-Identifier: MPL-2.0
 *
 * "A forked child may only exec": that it can do so from a host with live
 * clients, at any moment, without a trace; and what it gets when it does more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zspool.h>

#include "client/src/base/fork_mark.h"
#include "tests/support/obliging_broker.h"

#define WAIT_MS 30000 /* for what takes milliseconds */

struct fixture {
    struct obliging_broker obliging;
    struct fake_broker *broker;
    zspool_client_t *client;
    zspool_producer_t *producer;
    zspool_consumer_t *consumer;
    zspool_reader_t *reader;
    zspool_commit_t *commit;
};

static void set_up(struct fixture *self)
{
    static const char *const topics[] = {"t"};
    zspool_consumer_options_t in;
    zspool_reader_options_t replay;
    memset(self, 0, sizeof *self);
    self->obliging.stock = 2;
    self->broker = fake_broker_start(obliging_handler, &self->obliging);
    self->client = zspool_new(fake_broker_endpoint(self->broker), NULL, NULL);
    self->producer = zspool_producer_new(self->client, NULL, NULL);
    zspool_consumer_options_init(&in);
    in.group = "g";
    in.topics = topics;
    in.topic_count = 1;
    self->consumer = zspool_consumer_new(self->client, &in, NULL);
    zspool_reader_options_init(&replay);
    replay.topic = "t";
    self->reader = zspool_reader_new(self->client, &replay, NULL);
    assert_non_null(self->reader);
    self->commit = zspool_commit_new(self->client, self->consumer, NULL, NULL);
    assert_non_null(self->commit);
}

static void tear_down(struct fixture *self)
{
    zspool_commit_destroy(&self->commit);
    zspool_reader_destroy(&self->reader);
    zspool_consumer_destroy(&self->consumer);
    zspool_producer_destroy(&self->producer);
    zspool_destroy(&self->client);
    assert_null(self->client);
    fake_broker_stop(&self->broker);
}

static void await_child(pid_t child)
{
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* End a child: what it leaves in memory is nobody's business. */
static void end_child(int code)
{
    if (code == 0) {
        (void)execl("/bin/true", "true", (char *)NULL);
    }
    _exit(code == 0 ? 127 : code);
}

/* --- Exec ------------------------------------------------------------------------------------ */

/* How many descriptors a program gets that a child becomes. */
static int descriptors_after_exec(void)
{
    int ends[2];
    char told[16] = "";
    assert_int_equal(pipe(ends), 0);
    (void)fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)close(ends[1]);
        (void)execl("/bin/sh", "sh", "-c", "ls /proc/self/fd | wc -l", (char *)NULL);
        _exit(127);
    }
    (void)close(ends[1]);
    assert_true(read(ends[0], told, sizeof told - 1) > 0);
    (void)close(ends[0]);
    await_child(child);
    return (int)strtol(told, NULL, 10);
}

static void a_child_that_execs_inherits_nothing_and_disturbs_nobody(void **state)
{
    (void)state;
    struct fixture f;
    const zspool_message_t *message;
    const int before = descriptors_after_exec();
    set_up(&f);
    assert_true(zspool_fd(f.client) >= 0);
    assert_int_equal(zspool_next(f.consumer, &message, WAIT_MS, NULL), 0);
    assert_int_equal(descriptors_after_exec(), before);
    assert_int_equal(zspool_settle(f.consumer, message, ZSPOOL_ACK, NULL, NULL), 0);
    assert_int_equal(zspool_settle_flush(f.consumer, WAIT_MS, NULL), 0);
    assert_int_equal(atomic_load(&f.obliging.connections), 1); /* the same as at first */
    tear_down(&f);
}

static void *send_many(void *arg)
{
    struct fixture *f = arg;
    for (int i = 0; i < 20000; i++) {
        const zspool_out_t out = zspool_out("t", "x", 1);
        if (zspool_send(f->producer, &out, NULL, NULL) != 0) {
            return f;
        }
    }
    return NULL;
}

/* At whatever moment, also while the library's lock is held by another thread. */
static void a_busy_host_may_fork_and_exec(void **state)
{
    (void)state;
    struct fixture f;
    pthread_t thread;
    void *failed;
    set_up(&f);
    assert_int_equal(pthread_create(&thread, NULL, send_many, &f), 0);
    for (int i = 0; i < 20; i++) {
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            end_child(0);
        }
        await_child(child);
    }
    assert_int_equal(pthread_join(thread, &failed), 0);
    assert_null(failed);
    assert_int_equal(zspool_flush(f.producer, WAIT_MS, NULL), 0);
    assert_int_equal(atomic_load(&f.obliging.connections), 1);
    tear_down(&f);
    assert_int_equal(f.obliging.published, 20000);
}

/* --- And no more than that ------------------------------------------------------------------------ */

/* The number of the first call that is not refused; 0 = all are. */
static int use_everything(struct fixture *f, const zspool_message_t *held)
{
    const zspool_message_t *message;
    const zspool_out_t out = zspool_out("t", "x", 1);
    zspool_report_t report;
    zspool_lost_t lost;
    zspool_names_t *names;
    zspool_topic_spec_t spec;
    zspool_topic_spec_init(&spec, "t");
    zspool_settle_run_t run = {.topic = "t", .count = 1, .lease = 1};
    zspool_settle_arg_init(&run.arg);
    const int codes[] = {
        zspool_connect(f->client, -1, NULL, NULL),
        zspool_dispatch(f->client, -1),
        zspool_send(f->producer, &out, NULL, NULL),
        zspool_room(f->producer, 0, -1, NULL),
        zspool_wait(f->producer, 1, -1, NULL, NULL),
        zspool_flush(f->producer, -1, NULL),
        zspool_reports(f->producer, &report, 1),
        zspool_next(f->consumer, &message, -1, NULL),
        zspool_settle(f->consumer, held, ZSPOOL_ACK, NULL, NULL),
        zspool_settle_flush(f->consumer, -1, NULL),
        zspool_lost(f->consumer, &lost, 1),
        zspool_read(f->reader, &message, -1, NULL),
        zspool_ping(f->client, -1, NULL, NULL),
        zspool_topic_create(f->client, &spec, -1, NULL),
        zspool_topic_list(f->client, NULL, -1, &names, NULL),
        zspool_settle_at(f->client, "g", &run, 1, -1, NULL),
        zspool_commit_send(f->commit, &out, NULL),
        zspool_commit_settle(f->commit, held, ZSPOOL_ACK, NULL, NULL),
        zspool_commit_run(f->commit, -1, NULL, NULL),
    };
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (codes[i] != ZSPOOL_EINVAL) {
            return (int)i + 1;
        }
    }
    return 0;
}

static int destroy_everything(struct fixture *f)
{
    if (zspool_fd(f->client) != -1 || zspool_producer_new(f->client, NULL, NULL) ||
        zspool_commit_new(f->client, NULL, NULL, NULL)) {
        return 100;
    }
    zspool_interrupt(f->client);
    zspool_interrupt_clear(f->client);
    zspool_consumer_stop(f->consumer);
    (void)zspool_consumer_finished(f->consumer);
    zspool_consumer_want(f->consumer, false);
    zspool_reader_want(f->reader, false);
    zspool_commit_clear(f->commit);
    zspool_commit_destroy(&f->commit);
    zspool_reader_destroy(&f->reader);
    zspool_consumer_destroy(&f->consumer);
    zspool_producer_destroy(&f->producer);
    zspool_destroy(&f->client);
    return f->client || f->producer || f->consumer || f->reader || f->commit ? 101 : 0;
}

static void a_child_that_uses_what_it_inherited_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    const zspool_message_t *held;
    set_up(&f);
    assert_int_equal(zspool_next(f.consumer, &held, WAIT_MS, NULL), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)alarm(30); /* rather than to hang */
        const int wrong = use_everything(&f, held);
        end_child(wrong ? wrong : destroy_everything(&f));
    }
    await_child(child);
    assert_int_equal(zspool_settle(f.consumer, held, ZSPOOL_ACK, NULL, NULL), 0);
    assert_int_equal(zspool_settle_flush(f.consumer, WAIT_MS, NULL), 0);
    assert_int_equal(atomic_load(&f.obliging.connections), 1);
    tear_down(&f);
}

static void a_mark_knows_the_child_with_and_without_its_page(void **state)
{
    (void)state;
    struct zsp_fork_mark marks[2];
    for (int i = 0; i < 2; i++) {
        zsp_fork_mark_init(&marks[i]);
        if (i == 1) {
            zsp_fork_mark_fini(&marks[i]); /* as on a kernel that has no such pages */
        }
        assert_true(zsp_fork_mark_same(&marks[i]));
    }
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        end_child(zsp_fork_mark_same(&marks[0]) || zsp_fork_mark_same(&marks[1]) ? 1 : 0);
    }
    await_child(child);
    assert_true(zsp_fork_mark_same(&marks[0]));
    zsp_fork_mark_fini(&marks[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_that_execs_inherits_nothing_and_disturbs_nobody),
        cmocka_unit_test(a_busy_host_may_fork_and_exec),
        cmocka_unit_test(a_child_that_uses_what_it_inherited_is_refused),
        cmocka_unit_test(a_mark_knows_the_child_with_and_without_its_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
