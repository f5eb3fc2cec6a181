/* SPDX-License-Identifier: MPL-2.0
 *
 * What a consumer and a reader ask for ahead of their host: how much, when, and
 * what becomes of it when it cannot be used.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <poll.h>
#include <zspool.h>

#include "tests/support/obliging_broker.h"

#define WAIT_MS 30000 /* for what takes milliseconds */

struct fixture {
    struct obliging_broker obliging;
    struct fake_broker *broker;
    zspool_client_t *client;
    zspool_consumer_t *consumer;
};

static void set_up(struct fixture *self, zspool_consumer_options_t *options)
{
    static const char *const topics[] = {"t"};
    self->broker = fake_broker_start(obliging_handler, &self->obliging);
    self->client = zspool_new(fake_broker_endpoint(self->broker), NULL, NULL);
    if (options) {
        options->group = "g";
        options->topics = topics;
        options->topic_count = 1;
        self->consumer = zspool_consumer_new(self->client, options, NULL);
        assert_non_null(self->consumer);
    }
}

static void tear_down(struct fixture *self)
{
    zspool_consumer_destroy(&self->consumer);
    zspool_destroy(&self->client);
    fake_broker_stop(&self->broker);
}

/* Take `count` messages, the first of them with this offset. */
static void take(struct fixture *self, uint64_t first, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        const zspool_message_t *message;
        assert_int_equal(zspool_next(self->consumer, &message, WAIT_MS, NULL), 0);
        assert_int_equal(message->offset, first + i);
    }
}

static void await_pulls(struct fixture *self, unsigned count)
{
    for (int i = 0; i < WAIT_MS && atomic_load(&self->obliging.pulls) < count; i++) {
        (void)poll(NULL, 0, 1);
    }
    assert_int_equal(atomic_load(&self->obliging.pulls), count);
}

/* Whatever the library has to say is said: a ping goes behind it. */
static void assert_pulls(struct fixture *self, unsigned count)
{
    assert_int_equal(zspool_ping(self->client, WAIT_MS, NULL, NULL), 0);
    assert_int_equal(atomic_load(&self->obliging.pulls), count);
}

/* --- Consumers ----------------------------------------------------------------------------- */

/* Ten ahead; a new pull when half of them are taken, for exactly what is missing. */
static void no_more_messages_are_pulled_than_wanted(void **state)
{
    (void)state;
    struct fixture f = {.obliging = {.stock = 1000}};
    zspool_consumer_options_t options;
    zspool_consumer_options_init(&options);
    options.prefetch_messages = 10;
    set_up(&f, &options);
    await_pulls(&f, 1);
    assert_int_equal(atomic_load(&f.obliging.max_messages), 10);
    take(&f, 0, 4);
    assert_pulls(&f, 1);
    take(&f, 4, 1);
    await_pulls(&f, 2);
    assert_int_equal(atomic_load(&f.obliging.max_messages), 5);
    take(&f, 5, 10);
    tear_down(&f);
}

static void no_more_bytes_are_pulled_than_wanted(void **state)
{
    (void)state;
    struct fixture f = {.obliging = {.stock = 1000, .reply_max = 2}};
    zspool_consumer_options_t options;
    zspool_consumer_options_init(&options);
    options.prefetch_bytes = 24; /* a record here has 6 bytes: "m N" and three of its own */
    set_up(&f, &options);
    await_pulls(&f, 2);
    assert_int_equal(atomic_load(&f.obliging.max_bytes), 12);
    assert_pulls(&f, 2); /* 24 are here */
    take(&f, 0, 1);
    assert_pulls(&f, 2); /* 18: more than half */
    take(&f, 1, 1);
    await_pulls(&f, 3);
    assert_int_equal(atomic_load(&f.obliging.max_bytes), 12);
    tear_down(&f);
}

static void one_ahead_is_the_least(void **state)
{
    (void)state;
    struct fixture f = {.obliging = {.stock = 1000}};
    zspool_consumer_options_t options;
    zspool_consumer_options_init(&options);
    options.prefetch_messages = 1;
    options.prefetch_bytes = 1;
    set_up(&f, &options);
    await_pulls(&f, 1);
    for (unsigned i = 0; i < 5; i++) {
        take(&f, i, 1);
        await_pulls(&f, i + 2);
        assert_int_equal(atomic_load(&f.obliging.max_messages), 1);
    }
    tear_down(&f);
}

/* A broker that gives more than it was asked for does not make us ask for ever more. */
static void too_much_given_is_not_too_little_left(void **state)
{
    (void)state;
    struct fixture f = {.obliging = {.stock = 1000, .excess = 7}};
    zspool_consumer_options_t options;
    const zspool_message_t *message;
    zspool_consumer_options_init(&options);
    options.message_limit = 3;
    set_up(&f, &options);
    take(&f, 0, 10);
    assert_int_equal(zspool_next(f.consumer, &message, WAIT_MS, NULL), ZSPOOL_END);
    assert_pulls(&f, 1);
    tear_down(&f);
}

/* All that was pulled waited too long: dropped, and pulled anew for a host that waits. */
static void what_expired_here_makes_room_for_a_new_pull(void **state)
{
    (void)state;
    struct fixture f = {.obliging = {.stock = 4, .lease_ms = 20}};
    zspool_consumer_options_t options;
    zspool_consumer_options_init(&options);
    options.prefetch_messages = 2;
    set_up(&f, &options);
    struct pollfd fd = {.fd = zspool_fd(f.client), .events = POLLIN};
    assert_int_equal(poll(&fd, 1, WAIT_MS), 1);
    (void)poll(NULL, 0, 40); /* the lease of 0 and 1 ends */
    atomic_store(&f.obliging.lease_ms, 30000);
    take(&f, 2, 2);
    await_pulls(&f, 3); /* the third is parked */
    assert_pulls(&f, 3);
    tear_down(&f);
}

/* --- Readers -------------------------------------------------------------------------------- */

static zspool_reader_t *reader_from(const struct fixture *f, zspool_position_t from)
{
    zspool_reader_options_t options;
    zspool_reader_options_init(&options);
    options.topic = "t";
    options.from = from;
    return zspool_reader_new(f->client, &options, NULL);
}

/* A reply that cannot be read is told, and nothing behind it is skipped. */
static void a_reader_asks_again_for_what_could_not_be_read(void **state)
{
    (void)state;
    struct fixture f = {.obliging = {.log_end = 9, .reply_max = 3, .broken_at = 2}};
    const zspool_message_t *message;
    zspool_error_t err = {0};
    set_up(&f, NULL);
    zspool_reader_t *reader = reader_from(&f, (zspool_position_t){0});
    for (uint64_t i = 0; i < 9; i++) {
        int code = zspool_read(reader, &message, WAIT_MS, &err);
        if (i == 3) {
            assert_int_equal(code, ZSPOOL_EBAD_RECORD);
            assert_string_not_equal(err.message, "");
            code = zspool_read(reader, &message, WAIT_MS, NULL);
        }
        assert_int_equal(code, 0);
        assert_int_equal(message->offset, i);
    }
    assert_int_equal(zspool_read(reader, &message, WAIT_MS, NULL), ZSPOOL_END);
    zspool_reader_destroy(&reader);
    tear_down(&f);
}

static void assert_reads(zspool_reader_t *reader, uint64_t first, uint64_t end)
{
    const zspool_message_t *message;
    for (uint64_t i = first; i < end; i++) {
        assert_int_equal(zspool_read(reader, &message, WAIT_MS, NULL), 0);
        assert_int_equal(message->offset, i);
    }
}

/* Retention takes 4 to 6 while 0 to 3 are read: told once, and what is kept comes. */
static void a_reader_that_was_overtaken_is_told_once_and_goes_on(void **state)
{
    (void)state;
    struct fixture f = {.obliging = {.log_end = 9, .reply_max = 2, .reads_let = 2}};
    const zspool_message_t *message;
    zspool_error_t err = {0};
    set_up(&f, NULL);
    zspool_reader_t *reader = reader_from(&f, (zspool_position_t){0});
    assert_reads(reader, 0, 1);
    for (int i = 0; i < WAIT_MS && atomic_load(&f.obliging.reads) < 3; i++) {
        (void)poll(NULL, 0, 1);
    }
    atomic_store(&f.obliging.log_start, 7);
    atomic_store(&f.obliging.reads_let, 0);
    assert_reads(reader, 1, 4);
    assert_int_equal(zspool_read(reader, &message, WAIT_MS, &err), ZSPOOL_EOVERTAKEN);
    assert_string_equal(err.object, "topic t");
    assert_reads(reader, 7, 9);
    assert_int_equal(zspool_read(reader, &message, WAIT_MS, NULL), ZSPOOL_END);
    zspool_reader_destroy(&reader);
    tear_down(&f);
}

/* An explicit offset that is not in the log is no such case: it stays an error. */
static void a_reader_that_began_below_the_log_stays_there(void **state)
{
    (void)state;
    struct fixture f = {.obliging = {.log_end = 9}};
    const zspool_message_t *message;
    atomic_store(&f.obliging.log_start, 5);
    set_up(&f, NULL);
    zspool_reader_t *reader =
        reader_from(&f, (zspool_position_t){.kind = ZSPOOL_POSITION_OFFSET, .value = 4});
    for (int i = 0; i < 3; i++) {
        assert_int_equal(zspool_read(reader, &message, WAIT_MS, NULL), ZSPOOL_EOUT_OF_RANGE);
    }
    zspool_reader_destroy(&reader);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_more_messages_are_pulled_than_wanted),
        cmocka_unit_test(no_more_bytes_are_pulled_than_wanted),
        cmocka_unit_test(one_ahead_is_the_least),
        cmocka_unit_test(too_much_given_is_not_too_little_left),
        cmocka_unit_test(what_expired_here_makes_room_for_a_new_pull),
        cmocka_unit_test(a_reader_asks_again_for_what_could_not_be_read),
        cmocka_unit_test(a_reader_that_was_overtaken_is_told_once_and_goes_on),
        cmocka_unit_test(a_reader_that_began_below_the_log_stays_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
