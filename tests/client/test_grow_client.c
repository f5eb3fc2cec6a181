/* SPDX-License-Identifier: MPL-2.0
 *
 * A topic gets more partitions while clients are at work: producers route again what is not
 * confirmed, nothing is lost, doubled, or out of order for its key; consumers go on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zspool.h>

#include "tests/support/served.h"

#define WAIT_MS 30000 /* for what takes milliseconds */
#define KEYS    16
#define ROUNDS  200 /* messages of each key */

struct fixture {
    struct served served;
};

static int set_up(void **state)
{
    struct fixture *const f = calloc(1, sizeof *f);
    assert_non_null(f);
    served_start(&f->served);
    served_topic(f->served.client, "t", 2);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *const f = *state;
    served_end(&f->served);
    free(f);
    return 0;
}

static int grow(struct fixture *f, uint32_t partitions, bool force)
{
    zspool_topic_spec_t spec;
    zspool_topic_spec_init(&spec, "t");
    spec.partitions = partitions;
    spec.force = force;
    return zspool_topic_set(f->served.client, &spec, WAIT_MS, NULL);
}

static void send_round(zspool_producer_t *producer, unsigned round)
{
    for (unsigned key = 0; key < KEYS; key++) {
        char name[8];
        char text[16];
        (void)snprintf(name, sizeof name, "k%u", key);
        const int len = snprintf(text, sizeof text, "%u", round);
        zspool_out_t out = zspool_out("t", text, (size_t)len);
        out.key = zspool_text(name);
        assert_int_equal(zspool_send(producer, &out, NULL, NULL), 0);
    }
}

/* Every message of every key is there once; in a partition those of a key are in order, and all of
 * one partition come before those of the one that the key went to next. */
static void assert_each_once_and_in_order(struct fixture *f)
{
    static int8_t partition_of[KEYS][ROUNDS];
    unsigned count = 0;
    memset(partition_of, -1, sizeof partition_of);
    zspool_topic_info_t *info;
    assert_int_equal(zspool_topic_info(f->served.client, "t", WAIT_MS, &info, NULL), 0);
    for (uint32_t p = 0; p < info->partition_count; p++) {
        int last[KEYS];
        memset(last, -1, sizeof last);
        zspool_reader_options_t options;
        zspool_reader_options_init(&options);
        options.topic = "t";
        options.partition = (int32_t)p;
        zspool_reader_t *reader = zspool_reader_new(f->served.client, &options, NULL);
        const zspool_message_t *message;
        while (zspool_read(reader, &message, WAIT_MS, NULL) == 0) {
            char name[8] = "";
            memcpy(name, message->key.data, message->key.len);
            const long key = strtol(name + 1, NULL, 10);
            const int round = served_number(message);
            assert_true(round > last[key]);
            last[key] = round;
            assert_int_equal(partition_of[key][round], -1);
            partition_of[key][round] = (int8_t)p;
            count++;
        }
        zspool_reader_destroy(&reader);
    }
    zspool_free(info);
    assert_int_equal(count, KEYS * ROUNDS);
    for (unsigned key = 0; key < KEYS; key++) {
        unsigned moves = 0;
        for (unsigned round = 1; round < ROUNDS; round++) {
            moves += partition_of[key][round] != partition_of[key][round - 1] ? 1 : 0;
        }
        assert_true(moves <= 2); /* it has grown twice */
    }
}

static void a_producer_routes_again(void **state)
{
    struct fixture *const f = *state;
    zspool_producer_t *producer = zspool_producer_new(f->served.client, NULL, NULL);
    assert_non_null(producer);
    for (unsigned round = 0; round < ROUNDS; round++) {
        send_round(producer, round);
        if (round == ROUNDS / 3) {
            assert_int_equal(grow(f, 5, false), 0);
        } else if (round == 2 * ROUNDS / 3) {
            assert_int_equal(grow(f, 8, false), 0);
        }
    }
    zspool_error_t err = {0};
    if (zspool_flush(producer, WAIT_MS, &err) != 0) {
        fail_msg("flush: %s", err.message);
    }
    zspool_producer_destroy(&producer);
    assert_each_once_and_in_order(f);
}

static void a_consumer_that_waits_gets_what_comes_to_the_new_ones(void **state)
{
    struct fixture *const f = *state;
    zspool_consumer_t *consumer = served_consumer(f->served.client, "g");
    const zspool_message_t *message = NULL;
    assert_int_equal(zspool_next(consumer, &message, 50, NULL), ZSPOOL_ETIMEOUT);
    assert_int_equal(grow(f, 4, false), 0);
    zspool_producer_t *producer = zspool_producer_new(f->served.client, NULL, NULL);
    zspool_out_t out = zspool_out("t", "x", 1);
    out.partition = 3;
    assert_int_equal(zspool_send(producer, &out, NULL, NULL), 0);
    assert_int_equal(zspool_flush(producer, WAIT_MS, NULL), 0);
    assert_int_equal(zspool_next(consumer, &message, WAIT_MS, NULL), 0);
    assert_int_equal(message->partition, 3);
    assert_int_equal(zspool_settle(consumer, message, ZSPOOL_ACK, NULL, NULL), 0);
    assert_int_equal(zspool_settle_flush(consumer, WAIT_MS, NULL), 0);
    zspool_producer_destroy(&producer);
    zspool_consumer_destroy(&consumer);
}

static void publish_to(zspool_producer_t *producer, int32_t partition, const char *text)
{
    zspool_out_t out = zspool_out("t", text, strlen(text));
    out.partition = partition;
    assert_int_equal(zspool_send(producer, &out, NULL, NULL), 0);
}

static zspool_reader_t *follower(struct fixture *f, zspool_position_kind_t from_kind)
{
    zspool_reader_options_t options;
    zspool_reader_options_init(&options);
    options.topic = "t";
    options.from.kind = from_kind;
    options.follow = true;
    zspool_reader_t *reader = zspool_reader_new(f->served.client, &options, NULL);
    assert_non_null(reader);
    return reader;
}

static void assert_reads(zspool_reader_t *reader, uint32_t partition, int number)
{
    const zspool_message_t *message = NULL;
    zspool_error_t err = {0};
    if (zspool_read(reader, &message, WAIT_MS, &err) != 0) {
        fail_msg("%u wanted of partition %u: %s", (unsigned)number, partition, err.message);
    }
    assert_int_equal(message->partition, partition);
    assert_int_equal(served_number(message), number);
}

static void assert_nothing_to_read(zspool_reader_t *reader)
{
    const zspool_message_t *message = NULL;
    assert_int_equal(zspool_read(reader, &message, 50, NULL), ZSPOOL_ETIMEOUT);
}

/* All in a partition in order, from its first message on, of those that are there when it is found, too. */
static void a_reader_that_follows_reads_the_new_ones(void **state)
{
    struct fixture *const f = *state;
    zspool_producer_t *producer = zspool_producer_new(f->served.client, NULL, NULL);
    zspool_reader_t *first = follower(f, ZSPOOL_POSITION_EARLIEST);
    zspool_reader_t *last = follower(f, ZSPOOL_POSITION_LATEST);
    assert_nothing_to_read(first);
    assert_nothing_to_read(last);
    for (uint32_t count = 3; count <= 5; count++) {
        assert_int_equal(grow(f, count, false), 0);
        publish_to(producer, (int32_t)count - 1, "1");
        assert_int_equal(zspool_flush(producer, WAIT_MS, NULL), 0);
        publish_to(producer, (int32_t)count - 1, "2");
        assert_int_equal(zspool_flush(producer, WAIT_MS, NULL), 0);
        for (int number = 1; number <= 2; number++) {
            assert_reads(first, count - 1, number);
            assert_reads(last, count - 1, number);
        }
    }
    publish_to(producer, 0, "3");
    assert_int_equal(zspool_flush(producer, WAIT_MS, NULL), 0);
    assert_reads(first, 0, 3);
    assert_reads(last, 0, 3);
    assert_nothing_to_read(first);
    zspool_reader_destroy(&first);
    zspool_reader_destroy(&last);
    zspool_producer_destroy(&producer);
}

/* The end of a replay is where it was at its beginning. */
static void a_reader_with_an_end_reads_what_was_there(void **state)
{
    struct fixture *const f = *state;
    zspool_producer_t *producer = zspool_producer_new(f->served.client, NULL, NULL);
    publish_to(producer, 1, "1");
    assert_int_equal(zspool_flush(producer, WAIT_MS, NULL), 0);
    zspool_reader_options_t options;
    zspool_reader_options_init(&options);
    options.topic = "t";
    zspool_reader_t *reader = zspool_reader_new(f->served.client, &options, NULL);
    assert_reads(reader, 1, 1);
    assert_int_equal(grow(f, 4, false), 0);
    publish_to(producer, 3, "2");
    assert_int_equal(zspool_flush(producer, WAIT_MS, NULL), 0);
    const zspool_message_t *message = NULL;
    assert_int_equal(zspool_read(reader, &message, WAIT_MS, NULL), ZSPOOL_END);
    zspool_reader_destroy(&reader);
    zspool_producer_destroy(&producer);
}

static void a_commit_goes_to_the_new_ones(void **state)
{
    struct fixture *const f = *state;
    zspool_commit_t *commit = zspool_commit_new(f->served.client, NULL, NULL, NULL);
    for (int32_t partition = 1; partition < 6; partition++) {
        zspool_out_t out = zspool_out("t", "x", 1);
        out.partition = partition;
        assert_int_equal(zspool_commit_send(commit, &out, NULL), 0);
    }
    assert_int_equal(zspool_commit_run(commit, WAIT_MS, NULL, NULL), ZSPOOL_ENOT_FOUND);
    assert_int_equal(grow(f, 6, false), 0);
    for (int32_t partition = 1; partition < 6; partition++) {
        zspool_out_t out = zspool_out("t", "x", 1);
        out.partition = partition;
        assert_int_equal(zspool_commit_send(commit, &out, NULL), 0);
    }
    assert_int_equal(zspool_commit_run(commit, WAIT_MS, NULL, NULL), 0);
    zspool_commit_destroy(&commit);
}

static void each_wrong_use_has_its_error(void **state)
{
    struct fixture *const f = *state;
    assert_int_equal(grow(f, 1, false), ZSPOOL_EBAD_VALUE);
    assert_int_equal(grow(f, 1025, false), ZSPOOL_EINVAL);
    assert_int_equal(grow(f, 2, false), 0);
    static const char *const topics[] = {"t"};
    zspool_group_spec_t spec;
    zspool_group_spec_init(&spec, "in-order");
    spec.mode = "ordered";
    spec.topics = topics;
    spec.topic_count = 1;
    assert_int_equal(zspool_group_create(f->served.client, &spec, WAIT_MS, NULL), 0);
    assert_int_equal(grow(f, 4, false), ZSPOOL_EWOULD_REORDER);
    assert_int_equal(grow(f, 4, true), 0);
}

/* A broker that gives more than one partition to topics which it makes by themselves. */
static void a_first_message_makes_a_topic_of_many_partitions(void **state)
{
    (void)state;
    struct served served;
    zspool_topic_info_t *info;
    uint64_t messages = 0;
    assert_int_equal(setenv("ZSPOOL_TOPICS_PARTITIONS", "5", 1), 0);
    served_start(&served);
    assert_int_equal(unsetenv("ZSPOOL_TOPICS_PARTITIONS"), 0);
    served_publish(served.client, 100);
    assert_int_equal(zspool_topic_info(served.client, "t", WAIT_MS, &info, NULL), 0);
    assert_int_equal(info->partition_count, 5);
    for (size_t i = 0; i < info->partition_count; i++) {
        messages += info->partitions[i].end_offset - info->partitions[i].start_offset;
    }
    assert_int_equal(messages, 100);
    zspool_free(info);
    served_end(&served);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_producer_routes_again),
        TEST(a_consumer_that_waits_gets_what_comes_to_the_new_ones),
        TEST(a_reader_that_follows_reads_the_new_ones),
        TEST(a_reader_with_an_end_reads_what_was_there),
        TEST(a_commit_goes_to_the_new_ones),
        cmocka_unit_test(a_first_message_makes_a_topic_of_many_partitions),
        TEST(each_wrong_use_has_its_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
