/* SPDX-License-Identifier: MPL-2.0
 *
 * The broker dies and its data is served at another endpoint of the list, under
 * load: publishes arrive once and in order, pulls go on, outcomes are sent again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zspool.h>

#include "tests/support/served.h"

#define WAIT_MS   30000 /* for what takes milliseconds */
#define MESSAGES  3000
#define TAKEOVERS 3

/* One data directory, two places where it may be served. */
struct fixture {
    struct served served;
    char endpoints[2][256];
};

static void set_up(struct fixture *self)
{
    char list[600];
    broker_process_init(&self->served.broker);
    for (int i = 0; i < 2; i++) {
        char path[200];
        (void)test_dir_path(&self->served.broker.dir, i == 0 ? "a" : "b", path, (int)sizeof path);
        (void)snprintf(self->endpoints[i], sizeof self->endpoints[i], "ipc://%s", path);
    }
    memcpy(self->served.broker.endpoint, self->endpoints[0], sizeof self->served.broker.endpoint);
    broker_process_start(&self->served.broker, NULL);
    (void)snprintf(list, sizeof list, "%s,%s", self->endpoints[0], self->endpoints[1]);
    self->served.client = zspool_new(list, NULL, NULL);
    assert_non_null(self->served.client);
}

static void take_over(struct fixture *self, int number)
{
    broker_process_kill(&self->served.broker);
    memcpy(self->served.broker.endpoint, self->endpoints[(number + 1) % 2],
           sizeof self->served.broker.endpoint);
    broker_process_start(&self->served.broker, NULL);
}

/* Its leases are short: a reply to PULL that dies with the broker leaves messages leased. */
static zspool_consumer_t *consumer_of(struct fixture *self)
{
    served_group(self->served.client, "g", 3000);
    return served_consumer(self->served.client, "g");
}

/* --- Tests ----------------------------------------------------------------------------------- */

static void outstanding_publishes_arrive_once_and_in_order(void **state)
{
    (void)state;
    struct fixture f;
    zspool_reader_options_t options;
    const zspool_message_t *message;
    zspool_info_t info;
    set_up(&f);
    zspool_producer_t *producer = zspool_producer_new(f.served.client, NULL, NULL);
    for (int i = 0; i < MESSAGES; i++) {
        served_send_number(producer, i);
        if (i % (MESSAGES / TAKEOVERS) == MESSAGES / TAKEOVERS / 2) {
            take_over(&f, i / (MESSAGES / TAKEOVERS));
        }
    }
    assert_int_equal(zspool_flush(producer, WAIT_MS, NULL), 0);
    zspool_info_init(&info);
    assert_int_equal(zspool_connect(f.served.client, WAIT_MS, &info, NULL), 0);
    assert_string_equal(info.endpoint, f.served.broker.endpoint);
    zspool_producer_destroy(&producer);
    zspool_reader_options_init(&options);
    options.topic = "t";
    zspool_reader_t *reader = zspool_reader_new(f.served.client, &options, NULL);
    for (int i = 0; i < MESSAGES; i++) {
        assert_int_equal(zspool_read(reader, &message, WAIT_MS, NULL), 0);
        assert_int_equal(served_number(message), i);
    }
    assert_int_equal(zspool_read(reader, &message, WAIT_MS, NULL), ZSPOOL_END);
    zspool_reader_destroy(&reader);
    served_end(&f.served);
}

/* Whatever was acked before, between or after the takeovers: each message is done in the end, and
 * nobody had to be told twice. */
static void pulls_go_on_and_outcomes_are_sent_again(void **state)
{
    (void)state;
    struct fixture f;
    zspool_group_info_t *info;
    static unsigned char seen[MESSAGES];
    memset(seen, 0, sizeof seen);
    set_up(&f);
    zspool_producer_t *producer = zspool_producer_new(f.served.client, NULL, NULL);
    zspool_consumer_t *consumer = consumer_of(&f);
    int distinct = 0;
    for (int round = 0; round < TAKEOVERS; round++) {
        const int count = MESSAGES / TAKEOVERS;
        for (int i = 0; i < count; i++) {
            served_send_number(producer, round * count + i);
        }
        while (distinct < round * count + count / 2) {
            const zspool_message_t *message;
            assert_int_equal(zspool_next(consumer, &message, WAIT_MS, NULL), 0);
            distinct += seen[served_number(message)]++ == 0;
            assert_int_equal(zspool_settle(consumer, message, ZSPOOL_ACK, NULL, NULL), 0);
        }
        take_over(&f, round); /* with outcomes on their way, and messages waiting here */
    }
    while (distinct < MESSAGES) {
        const zspool_message_t *message;
        assert_int_equal(zspool_next(consumer, &message, WAIT_MS, NULL), 0);
        distinct += seen[served_number(message)]++ == 0;
        assert_int_equal(zspool_settle(consumer, message, ZSPOOL_ACK, NULL, NULL), 0);
    }
    assert_int_equal(zspool_settle_flush(consumer, WAIT_MS, NULL), 0);
    assert_int_equal(zspool_group_info(f.served.client, "g", WAIT_MS, &info, NULL), 0);
    assert_int_equal(info->parts[0].committed, MESSAGES);
    zspool_free(info);
    zspool_consumer_destroy(&consumer);
    zspool_producer_destroy(&producer);
    served_end(&f.served);
}

/* A lease is a number: what was in hand when the broker died is settled at its successor. */
static void a_message_in_hand_is_settled_at_the_next_broker(void **state)
{
    (void)state;
    struct fixture f;
    const zspool_message_t *message;
    zspool_group_info_t *info;
    set_up(&f);
    zspool_producer_t *producer = zspool_producer_new(f.served.client, NULL, NULL);
    zspool_consumer_t *consumer = consumer_of(&f);
    served_send_number(producer, 7);
    assert_int_equal(zspool_next(consumer, &message, WAIT_MS, NULL), 0);
    take_over(&f, 0);
    assert_int_equal(zspool_settle(consumer, message, ZSPOOL_ACK, NULL, NULL), 0);
    assert_int_equal(zspool_settle_flush(consumer, WAIT_MS, NULL), 0);
    assert_int_equal(zspool_lost(consumer, NULL, 0), 0);
    assert_int_equal(zspool_group_info(f.served.client, "g", WAIT_MS, &info, NULL), 0);
    assert_int_equal(info->parts[0].committed, 1);
    zspool_free(info);
    zspool_consumer_destroy(&consumer);
    zspool_producer_destroy(&producer);
    served_end(&f.served);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outstanding_publishes_arrive_once_and_in_order),
        cmocka_unit_test(pulls_go_on_and_outcomes_are_sent_again),
        cmocka_unit_test(a_message_in_hand_is_settled_at_the_next_broker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
