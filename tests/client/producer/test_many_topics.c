/* SPDX-License-Identifier: MPL-2.0
 *
 * One producer and many topics, against a real zspoold that is killed meanwhile.
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

#define WAIT_MS  30000 /* for what takes milliseconds */
#define TOPICS   60
#define MESSAGES 12000

static void topic_name(char name[16], int index)
{
    (void)snprintf(name, 16, "t%d", index);
}

static void send_number(zspool_producer_t *producer, int number)
{
    char topic[16];
    char text[16];
    topic_name(topic, number % TOPICS);
    const int len = snprintf(text, sizeof text, "%d", number);
    const zspool_out_t out = zspool_out(topic, text, (size_t)len);
    assert_int_equal(zspool_send(producer, &out, NULL, NULL), 0);
}

/* Each topic holds its numbers once, in order. */
static void assert_whole(zspool_client_t *client, int count)
{
    for (int i = 0; i < TOPICS; i++) {
        char topic[16];
        zspool_reader_options_t options;
        zspool_reader_options_init(&options);
        topic_name(topic, i);
        options.topic = topic;
        zspool_reader_t *reader = zspool_reader_new(client, &options, NULL);
        const zspool_message_t *message;
        assert_non_null(reader);
        for (int number = i; number < count; number += TOPICS) {
            assert_int_equal(zspool_read(reader, &message, WAIT_MS, NULL), 0);
            assert_int_equal(served_number(message), number);
        }
        assert_int_equal(zspool_read(reader, &message, WAIT_MS, NULL), ZSPOOL_END);
        zspool_reader_destroy(&reader);
    }
}

/* Topics that the first messages make, in the middle of bundles too; the broker dies twice. */
static void nothing_is_lost_or_doubled_while_the_broker_is_killed(void **state)
{
    (void)state;
    struct served f;
    served_start(&f);
    zspool_producer_t *producer = zspool_producer_new(f.client, NULL, NULL);
    assert_non_null(producer);
    for (int i = 0; i < MESSAGES; i++) {
        send_number(producer, i);
        if (i == MESSAGES / 3 || i == 2 * MESSAGES / 3) {
            broker_process_kill(&f.broker);
            broker_process_start(&f.broker, NULL);
        }
    }
    assert_int_equal(zspool_flush(producer, WAIT_MS, NULL), 0);
    zspool_producer_destroy(&producer);
    assert_whole(f.client, MESSAGES);
    served_end(&f);
}

/* A topic that must be made while others are written to: the answer may come in parts. */
static void topics_are_made_while_others_are_written_to(void **state)
{
    (void)state;
    struct served f;
    served_start(&f);
    zspool_producer_t *producer = zspool_producer_new(f.client, NULL, NULL);
    assert_non_null(producer);
    for (int i = 0; i < TOPICS / 2; i++) {
        char topic[16];
        topic_name(topic, i);
        served_topic(f.client, topic, 1);
    }
    for (int i = 0; i < 10 * TOPICS; i++) {
        char topic[16];
        char text[16];
        topic_name(topic, i % TOPICS);
        const int len = snprintf(text, sizeof text, "%d", i);
        zspool_out_t out = zspool_out(topic, text, (size_t)len);
        out.partition = 0; /* not asked for first */
        assert_int_equal(zspool_send(producer, &out, NULL, NULL), 0);
    }
    assert_int_equal(zspool_flush(producer, WAIT_MS, NULL), 0);
    zspool_producer_destroy(&producer);
    assert_whole(f.client, 10 * TOPICS);
    served_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_or_doubled_while_the_broker_is_killed),
        cmocka_unit_test(topics_are_made_while_others_are_written_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
