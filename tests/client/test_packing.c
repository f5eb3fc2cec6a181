/* SPDX-License-Identifier: MPL-2.0
 *
 * The library against a real zspoold, with compressed batches.
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

#define WAIT_MS 30000 /* for what takes milliseconds */

static zspool_producer_t *packing_producer(struct served *self, size_t batch_bytes)
{
    zspool_producer_options_t options;
    zspool_producer_options_init(&options);
    options.codec = ZSPOOL_CODEC_ZSTD;
    options.batch_bytes = batch_bytes;
    zspool_producer_t *producer = zspool_producer_new(self->client, &options, NULL);
    assert_non_null(producer);
    return producer;
}

#define EVENT_BYTES 200

/* What a program might log: its number first. */
static void event_text(char text[EVENT_BYTES], int number)
{
    (void)snprintf(
        text, EVENT_BYTES,
        "%d {\"level\": \"info\", \"service\": \"checkout\", \"event\": \"order.placed\", "
        "\"customer\": %d, \"items\": [%d, %d]}",
        number, number * 7919 % 1000, number % 13, number % 17);
}

static void publish_events(zspool_producer_t *producer, int first, int last)
{
    for (int i = first; i <= last; i++) {
        char text[EVENT_BYTES];
        event_text(text, i);
        const zspool_out_t out = zspool_out("t", text, strlen(text));
        assert_int_equal(zspool_send(producer, &out, NULL, NULL), 0);
    }
    assert_int_equal(zspool_flush(producer, WAIT_MS, NULL), 0);
    zspool_producer_destroy(&producer);
}

static void assert_event(const zspool_message_t *message, int number)
{
    char text[EVENT_BYTES];
    event_text(text, number);
    assert_int_equal(message->payload.len, strlen(text));
    assert_memory_equal(message->payload.data, text, message->payload.len);
}

/* Goal: consumers and readers see no difference. Method: batches of several sizes, some plain, taken
 * in pieces of several sizes, many in hand at once. */
static void compressed_messages_come_as_they_were_sent(void **state)
{
    (void)state;
    struct served f;
    static const zspool_message_t *held[6000];
    served_start(&f);
    publish_events(packing_producer(&f, 0), 0, 2999);
    publish_events(zspool_producer_new(f.client, NULL, NULL), 3000, 3099);
    publish_events(packing_producer(&f, 4000), 3100, 5999);
    assert_true(served_figure(f.client, "stored_bytes") <
                served_figure(f.client, "published_bytes") / 2);
    static const char *const topics[] = {"t"};
    const uint32_t prefetches[] = {1, 37, 1000};
    for (size_t i = 0; i < sizeof prefetches / sizeof prefetches[0]; i++) {
        zspool_consumer_options_t options;
        zspool_consumer_options_init(&options);
        char group[8];
        (void)snprintf(group, sizeof group, "g%zu", i);
        options.group = group;
        options.topics = topics;
        options.topic_count = 1;
        options.prefetch_messages = prefetches[i];
        options.end_when_empty = true;
        zspool_consumer_t *consumer = zspool_consumer_new(f.client, &options, NULL);
        const int count = prefetches[i] == 1 ? 300 : 6000;
        for (int k = 0; k < count; k++) {
            assert_int_equal(zspool_next(consumer, &held[k], WAIT_MS, NULL), 0);
        }
        for (int k = 0; k < count; k++) {
            assert_event(held[k], k); /* views stay as they were until they are settled */
            assert_int_equal(zspool_settle(consumer, held[k], ZSPOOL_ACK, NULL, NULL), 0);
        }
        zspool_consumer_destroy(&consumer);
    }
    const size_t reads[] = {1, 5000, 0};
    for (size_t i = 0; i < sizeof reads / sizeof reads[0]; i++) {
        zspool_reader_options_t options;
        zspool_reader_options_init(&options);
        options.topic = "t";
        options.prefetch_bytes = reads[i];
        options.from = (zspool_position_t){.kind = ZSPOOL_POSITION_OFFSET, .value = 17};
        zspool_reader_t *reader = zspool_reader_new(f.client, &options, NULL);
        for (int k = 17; k < 6000; k++) {
            const zspool_message_t *message;
            assert_int_equal(zspool_read(reader, &message, WAIT_MS, NULL), 0);
            assert_event(message, k);
        }
        zspool_reader_destroy(&reader);
    }
    served_end(&f);
}

/* Goal: the work that runs unlocked does not outlive its producer. */
static void a_producer_that_compresses_can_go_at_any_time(void **state)
{
    (void)state;
    struct served f;
    served_start(&f);
    for (int round = 0; round < 50; round++) {
        zspool_producer_t *producer = packing_producer(&f, 64 * 1024);
        for (int i = 0; i < 40 * round; i++) {
            char text[EVENT_BYTES];
            event_text(text, i);
            const zspool_out_t out = zspool_out("t", text, strlen(text));
            assert_int_equal(zspool_send(producer, &out, NULL, NULL), 0);
        }
        zspool_producer_destroy(&producer);
    }
    served_end(&f);
}

static void a_codec_that_does_not_exist_is_refused(void **state)
{
    (void)state;
    struct served f;
    zspool_producer_options_t options;
    served_start(&f);
    zspool_producer_options_init(&options);
    options.codec = ZSPOOL_CODEC_ZSTD;
    const int levels[] = {-1, 20};
    for (size_t i = 0; i < 2; i++) {
        options.codec_level = levels[i];
        assert_null(zspool_producer_new(f.client, &options, NULL));
    }
    options.codec_level = 19;
    options.codec = (zspool_codec_t)2;
    assert_null(zspool_producer_new(f.client, &options, NULL));
    served_end(&f);
}

static void nothing_is_lost_or_doubled_while_the_broker_is_killed(void **state)
{
    (void)state;
    struct served f;
    zspool_reader_options_t options;
    served_start(&f);
    zspool_producer_t *producer = packing_producer(&f, 8 * 1024);
    for (int i = 0; i < 6000; i++) {
        char text[EVENT_BYTES];
        event_text(text, i);
        const zspool_out_t out = zspool_out("t", text, strlen(text));
        assert_int_equal(zspool_send(producer, &out, NULL, NULL), 0);
        if (i % 2000 == 1999) {
            broker_process_kill(&f.broker);
            broker_process_start(&f.broker, NULL);
        }
    }
    assert_int_equal(zspool_flush(producer, WAIT_MS, NULL), 0);
    zspool_producer_destroy(&producer);
    zspool_reader_options_init(&options);
    options.topic = "t";
    zspool_reader_t *reader = zspool_reader_new(f.client, &options, NULL);
    const zspool_message_t *message;
    for (int i = 0; i < 6000; i++) {
        assert_int_equal(zspool_read(reader, &message, WAIT_MS, NULL), 0);
        assert_event(message, i);
    }
    assert_int_equal(zspool_read(reader, &message, WAIT_MS, NULL), ZSPOOL_END);
    zspool_reader_destroy(&reader);
    served_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compressed_messages_come_as_they_were_sent),
        cmocka_unit_test(a_producer_that_compresses_can_go_at_any_time),
        cmocka_unit_test(a_codec_that_does_not_exist_is_refused),
        cmocka_unit_test(nothing_is_lost_or_doubled_while_the_broker_is_killed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
