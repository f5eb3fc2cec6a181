/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool_fd() and zspool_dispatch(): readable while, and only while, there is
 * something to take, for poll and for epoll alike; who is called, and how often.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <zspool.h>

#include "tests/support/obliging_broker.h"

#define WAIT_MS 30000 /* for what takes milliseconds */

struct fixture {
    struct obliging_broker obliging;
    struct fake_broker *broker;
    zspool_client_t *client;
    int fd, epoll_fd;
};

static void set_up(struct fixture *self)
{
    struct epoll_event wanted = {.events = EPOLLIN};
    self->broker = fake_broker_start(obliging_handler, &self->obliging);
    self->client = zspool_new(fake_broker_endpoint(self->broker), NULL, NULL);
    assert_non_null(self->client);
    self->fd = zspool_fd(self->client);
    assert_true(self->fd >= 0);
    assert_int_equal(zspool_fd(self->client), self->fd);
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    assert_int_equal(epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, self->fd, &wanted), 0);
}

static void tear_down(struct fixture *self)
{
    (void)close(self->epoll_fd);
    zspool_destroy(&self->client);
    assert_null(self->client);
    fake_broker_stop(&self->broker);
}

/* Wait until it is readable; asked again it still is, since nothing was taken. */
static void assert_readable(const struct fixture *self)
{
    struct epoll_event event;
    struct pollfd fd = {.fd = self->fd, .events = POLLIN};
    assert_int_equal(poll(&fd, 1, WAIT_MS), 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(poll(&fd, 1, 0), 1);
        assert_int_equal(epoll_wait(self->epoll_fd, &event, 1, 0), 1);
    }
}

static void assert_quiet(const struct fixture *self)
{
    struct epoll_event event;
    struct pollfd fd = {.fd = self->fd, .events = POLLIN};
    assert_int_equal(poll(&fd, 1, 0), 0);
    assert_int_equal(epoll_wait(self->epoll_fd, &event, 1, 0), 0);
    assert_int_equal(zspool_dispatch(self->client, 0), 0);
}

static zspool_producer_t *producer_of(struct fixture *self, size_t max_bytes)
{
    zspool_producer_options_t options;
    zspool_producer_options_init(&options);
    options.max_bytes = max_bytes;
    options.reporting = ZSPOOL_REPORT_ALL;
    zspool_producer_t *producer = zspool_producer_new(self->client, &options, NULL);
    assert_non_null(producer);
    return producer;
}

static zspool_consumer_options_t consumer_options(void)
{
    static const char *const topics[] = {"t"};
    zspool_consumer_options_t options;
    zspool_consumer_options_init(&options);
    options.group = "g";
    options.topics = topics;
    options.topic_count = 1;
    return options;
}

static zspool_consumer_t *consumer_of(struct fixture *self)
{
    const zspool_consumer_options_t options = consumer_options();
    zspool_consumer_t *consumer = zspool_consumer_new(self->client, &options, NULL);
    assert_non_null(consumer);
    return consumer;
}

/* --- What makes it readable --------------------------------------------------------------- */

static void reports_make_it_readable_until_the_last_is_taken(void **state)
{
    (void)state;
    struct fixture f = {0};
    zspool_report_t report;
    set_up(&f);
    assert_quiet(&f);
    zspool_producer_t *producer = producer_of(&f, 0);
    for (int i = 0; i < 3; i++) {
        const zspool_out_t out = zspool_out("t", "x", 1);
        uint64_t ticket;
        assert_int_equal(zspool_send(producer, &out, &ticket, NULL), 0);
        assert_int_equal(zspool_wait(producer, ticket, WAIT_MS, NULL, NULL), 0);
    }
    for (int i = 0; i < 3; i++) {
        assert_readable(&f);
        assert_int_equal(zspool_reports(producer, &report, 1), 1);
        assert_int_equal(report.first_ticket, i + 1);
    }
    assert_quiet(&f);
    zspool_producer_destroy(&producer);
    tear_down(&f);
}

/* Send until there is no more room; the broker keeps its answers back meanwhile. */
static zspool_producer_t *full_producer(struct fixture *self, const zspool_out_t *out)
{
    zspool_producer_options_t options;
    zspool_producer_options_init(&options);
    options.max_bytes = 1000;
    zspool_producer_t *producer = zspool_producer_new(self->client, &options, NULL);
    atomic_store(&self->obliging.held, true);
    int rc = 0;
    while (rc == 0) {
        rc = zspool_send(producer, out, NULL, NULL);
    }
    assert_int_equal(rc, ZSPOOL_EAGAIN);
    assert_quiet(self);
    atomic_store(&self->obliging.held, false);
    return producer;
}

static void room_makes_it_readable_until_it_is_used(void **state)
{
    (void)state;
    struct fixture f = {0};
    const char payload[200] = "large";
    const zspool_out_t out = zspool_out("t", payload, sizeof payload);
    set_up(&f);
    zspool_producer_t *producer = full_producer(&f, &out);
    assert_readable(&f);
    assert_int_equal(zspool_send(producer, &out, NULL, NULL), 0); /* told means that it fits */
    assert_quiet(&f);
    zspool_producer_destroy(&producer);
    tear_down(&f);
}

/* A host that has nothing more to send must not turn for ever. */
static void room_is_taken_notice_of_with_the_reports(void **state)
{
    (void)state;
    struct fixture f = {0};
    const zspool_out_t out = zspool_out("t", "0123456789", 10);
    zspool_report_t report;
    set_up(&f);
    zspool_producer_t *producer = full_producer(&f, &out);
    assert_readable(&f);
    assert_int_equal(zspool_reports(producer, &report, 1), 0);
    assert_quiet(&f);
    zspool_producer_destroy(&producer);
    producer = full_producer(&f, &out);
    assert_readable(&f);
    assert_int_equal(zspool_room(producer, 0, 0, NULL), 0);
    assert_quiet(&f);
    zspool_producer_destroy(&producer);
    tear_down(&f);
}

static void messages_make_it_readable_until_the_last_is_taken(void **state)
{
    (void)state;
    struct fixture f = {.obliging = {.stock = 5, .reply_max = 2}};
    const zspool_message_t *message;
    set_up(&f);
    zspool_consumer_t *consumer = consumer_of(&f);
    for (int i = 0; i < 5; i++) {
        assert_readable(&f);
        assert_int_equal(zspool_next(consumer, &message, 0, NULL), 0);
    }
    assert_int_equal(zspool_next(consumer, &message, 0, NULL), ZSPOOL_ETIMEOUT);
    assert_quiet(&f);
    zspool_consumer_destroy(&consumer);
    tear_down(&f);
}

static void a_loss_makes_it_readable_until_it_is_taken(void **state)
{
    (void)state;
    struct fixture f = {.obliging = {.stock = 1, .lease_ms = 30}};
    const zspool_message_t *message;
    zspool_lost_t lost;
    set_up(&f);
    zspool_consumer_t *consumer = consumer_of(&f);
    assert_int_equal(zspool_next(consumer, &message, WAIT_MS, NULL), 0);
    assert_readable(&f);
    assert_int_equal(zspool_lost(consumer, &lost, 1), 1);
    assert_true(lost.held);
    assert_int_equal(lost.lease, message->lease);
    assert_quiet(&f);
    zspool_consumer_destroy(&consumer);
    tear_down(&f);
}

static void the_end_of_a_replay_is_told_once(void **state)
{
    (void)state;
    struct fixture f = {.obliging = {.log_end = 3}};
    zspool_reader_options_t options;
    const zspool_message_t *message;
    set_up(&f);
    zspool_reader_options_init(&options);
    options.topic = "t";
    zspool_reader_t *reader = zspool_reader_new(f.client, &options, NULL);
    for (int i = 0; i < 3; i++) {
        assert_readable(&f);
        assert_int_equal(zspool_read(reader, &message, 0, NULL), 0);
    }
    assert_readable(&f);
    assert_int_equal(zspool_read(reader, &message, 0, NULL), ZSPOOL_END);
    assert_quiet(&f);
    assert_int_equal(zspool_read(reader, &message, 0, NULL), ZSPOOL_END);
    zspool_reader_destroy(&reader);
    tear_down(&f);
}

/* A host whose own output is full sleeps, although messages wait. */
static void a_host_that_wants_nothing_is_not_woken(void **state)
{
    (void)state;
    struct fixture f = {.obliging = {.stock = 1, .log_end = 1}};
    zspool_reader_options_t options;
    const zspool_message_t *message;
    set_up(&f);
    zspool_consumer_t *consumer = consumer_of(&f);
    assert_readable(&f);
    zspool_consumer_want(consumer, false);
    assert_quiet(&f);
    zspool_consumer_want(consumer, true);
    assert_readable(&f);
    zspool_consumer_want(consumer, false);
    assert_int_equal(zspool_next(consumer, &message, 0, NULL), 0);
    zspool_consumer_destroy(&consumer);
    zspool_reader_options_init(&options);
    options.topic = "t";
    zspool_reader_t *reader = zspool_reader_new(f.client, &options, NULL);
    assert_readable(&f);
    zspool_reader_want(reader, false);
    assert_quiet(&f);
    zspool_reader_want(reader, true);
    assert_readable(&f);
    zspool_reader_destroy(&reader);
    tear_down(&f);
}

/* --- Dispatch ------------------------------------------------------------------------------ */

struct called {
    struct fixture *fixture;
    int times;
    zspool_consumer_t *other; /* made in the call */
};

static void count_call(zspool_consumer_t *consumer, void *arg)
{
    struct called *called = arg;
    (void)consumer;
    called->times++;
    /* Neither from here nor from another thread meanwhile. */
    assert_int_equal(zspool_dispatch(called->fixture->client, 0), ZSPOOL_EINVAL);
}

static void each_ready_object_is_called_once_a_dispatch(void **state)
{
    (void)state;
    struct fixture f = {.obliging = {.stock = 100000, .reply_max = 600}};
    zspool_consumer_t *consumers[3];
    struct called called[3] = {{0}};
    set_up(&f);
    for (int i = 0; i < 3; i++) {
        zspool_consumer_options_t options = consumer_options();
        called[i].fixture = &f;
        options.ready_fn = i < 2 ? count_call : NULL; /* the third counts and is not called */
        options.ready_arg = &called[i];
        consumers[i] = zspool_consumer_new(f.client, &options, NULL);
        assert_non_null(consumers[i]);
    }
    int visited = 0;
    for (int i = 0; i < WAIT_MS && visited < 3; i++) {
        (void)poll(NULL, 0, 1);
        visited = zspool_dispatch(f.client, 0);
    }
    assert_int_equal(visited, 3);
    const int before = called[0].times;
    assert_true(before > 0);
    assert_int_equal(zspool_dispatch(f.client, 0), 3); /* nothing was taken: all again */
    assert_int_equal(called[0].times, before + 1);
    for (int i = 0; i < 3; i++) {
        zspool_consumer_destroy(&consumers[i]);
    }
    assert_quiet(&f);
    tear_down(&f);
}

static void replace_self(zspool_consumer_t *consumer, void *arg)
{
    struct called *called = arg;
    called->times++;
    zspool_consumer_destroy(&consumer);
    called->other = consumer_of(called->fixture);
}

static void a_called_function_may_destroy_its_object_and_make_another(void **state)
{
    (void)state;
    struct fixture f = {.obliging = {.stock = 1}};
    struct called called = {.fixture = &f};
    set_up(&f);
    zspool_consumer_options_t options = consumer_options();
    options.ready_fn = replace_self;
    options.ready_arg = &called;
    assert_non_null(zspool_consumer_new(f.client, &options, NULL));
    assert_int_equal(zspool_dispatch(f.client, WAIT_MS), 1);
    assert_int_equal(called.times, 1);
    zspool_consumer_destroy(&called.other);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_make_it_readable_until_the_last_is_taken),
        cmocka_unit_test(room_makes_it_readable_until_it_is_used),
        cmocka_unit_test(room_is_taken_notice_of_with_the_reports),
        cmocka_unit_test(messages_make_it_readable_until_the_last_is_taken),
        cmocka_unit_test(a_loss_makes_it_readable_until_it_is_taken),
        cmocka_unit_test(the_end_of_a_replay_is_told_once),
        cmocka_unit_test(a_host_that_wants_nothing_is_not_woken),
        cmocka_unit_test(each_ready_object_is_called_once_a_dispatch),
        cmocka_unit_test(a_called_function_may_destroy_its_object_and_make_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
