/* SPDX-License-Identifier: MPL-2.0
 *
 * Commits of the library: messages and outcomes as one, over lost connections and a broker that
 * dies; each wrong use has its error.
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

struct fixture {
    struct served served;
    zspool_consumer_t *consumer;
    zspool_commit_t *commit;
};

static int set_up(void **state)
{
    struct fixture *const f = calloc(1, sizeof *f);
    assert_non_null(f);
    served_start(&f->served);
    served_topic(f->served.client, "out", 2);
    served_publish(f->served.client, 5);
    f->consumer = served_consumer(f->served.client, "g");
    f->commit = zspool_commit_new(f->served.client, f->consumer, NULL, NULL);
    assert_non_null(f->commit);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *const f = *state;
    zspool_commit_destroy(&f->commit);
    zspool_consumer_destroy(&f->consumer);
    served_end(&f->served);
    free(f);
    return 0;
}

static const zspool_message_t *next(struct fixture *f)
{
    const zspool_message_t *message = NULL;
    zspool_error_t err = {0};
    if (zspool_next(f->consumer, &message, WAIT_MS, &err) != 0) {
        fail_msg("next: %s", err.message);
    }
    return message;
}

static int send_to(struct fixture *f, const char *topic, const char *text)
{
    const zspool_out_t out = zspool_out(topic, text, strlen(text));
    return zspool_commit_send(f->commit, &out, NULL);
}

static void run_ok(struct fixture *f, zspool_commit_result_t *ret)
{
    zspool_error_t err = {0};
    if (zspool_commit_run(f->commit, WAIT_MS, ret, &err) != 0) {
        fail_msg("run: %s", err.message);
    }
}

/* All messages of the topic, joined by blanks, in the order of partitions. */
static void assert_topic(struct fixture *f, const char *topic, const char *wanted)
{
    zspool_reader_options_t options;
    zspool_reader_options_init(&options);
    options.topic = topic;
    zspool_reader_t *reader = zspool_reader_new(f->served.client, &options, NULL);
    assert_non_null(reader);
    char got[512] = "";
    const zspool_message_t *message;
    while (zspool_read(reader, &message, WAIT_MS, NULL) == 0) {
        (void)snprintf(got + strlen(got), sizeof got - strlen(got), "%s%.*s", got[0] ? " " : "",
                       (int)message->payload.len, (const char *)message->payload.data);
    }
    zspool_reader_destroy(&reader);
    assert_string_equal(got, wanted);
}

static uint64_t committed(struct fixture *f)
{
    zspool_group_info_t *info;
    assert_int_equal(zspool_group_info(f->served.client, "g", WAIT_MS, &info, NULL), 0);
    const uint64_t offset = info->parts[0].committed;
    zspool_free(info);
    return offset;
}

static void messages_and_outcomes_go_together(void **state)
{
    struct fixture *const f = *state;
    zspool_commit_result_t result;
    zspool_commit_result_init(&result);
    const zspool_message_t *first = next(f);
    const zspool_message_t *second = next(f);
    assert_int_equal(send_to(f, "new", "a"), 0);
    assert_int_equal(send_to(f, "new", "b"), 0);
    assert_int_equal(send_to(f, "newer", "c"), 0);
    assert_int_equal(zspool_commit_settle(f->commit, first, ZSPOOL_ACK, NULL, NULL), 0);
    assert_int_equal(zspool_commit_settle(f->commit, second, ZSPOOL_ACK, NULL, NULL), 0);
    assert_int_equal(committed(f), 0);
    run_ok(f, &result);
    assert_int_equal(result.applied, 2);
    assert_false(result.duplicate);
    assert_int_equal(committed(f), 2);
    assert_topic(f, "new", "a b");
    assert_topic(f, "newer", "c");
    assert_int_equal(zspool_settle(f->consumer, first, ZSPOOL_ACK, NULL, NULL), ZSPOOL_EINVAL);
}

static void one_after_the_other(void **state)
{
    struct fixture *const f = *state;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(zspool_commit_settle(f->commit, next(f), ZSPOOL_ACK, NULL, NULL), 0);
        assert_int_equal(send_to(f, "new", "x"), 0);
        run_ok(f, NULL);
    }
    assert_int_equal(committed(f), 5);
    assert_topic(f, "new", "x x x x x");
}

/* Goal: a commit that is refused leaves nothing, and its messages are still to be settled. */
static void a_lost_lease_refuses_the_whole(void **state)
{
    struct fixture *const f = *state;
    const zspool_message_t *message = next(f);
    zspool_settle_run_t taken = {.topic = "t",
                                 .partition = message->partition,
                                 .first_offset = message->offset,
                                 .count = 1,
                                 .lease = message->lease,
                                 .outcome = ZSPOOL_RELEASE};
    zspool_settle_arg_init(&taken.arg);
    assert_int_equal(zspool_settle_at(f->served.client, "g", &taken, 1, WAIT_MS, NULL), 0);
    assert_int_equal(send_to(f, "new", "x"), 0);
    assert_int_equal(zspool_commit_settle(f->commit, message, ZSPOOL_ACK, NULL, NULL), 0);
    zspool_error_t err = {0};
    assert_int_equal(zspool_commit_run(f->commit, WAIT_MS, NULL, &err), ZSPOOL_ENOT_LEASED);
    assert_int_equal(zspool_commit_run(f->commit, WAIT_MS, NULL, &err), ZSPOOL_EINVAL); /* empty */
    assert_int_equal(zspool_settle(f->consumer, message, ZSPOOL_RELEASE, NULL, NULL), 0);
    assert_int_equal(send_to(f, "new", "y"), 0); /* and it can be used again */
    run_ok(f, NULL);
    assert_topic(f, "new", "y");
}

static void a_message_in_a_commit_is_settled_by_it_alone(void **state)
{
    struct fixture *const f = *state;
    const zspool_message_t *message = next(f);
    zspool_settle_arg_t arg;
    zspool_settle_arg_init(&arg);
    arg.extend_ms = 60000;
    assert_int_equal(zspool_commit_settle(f->commit, message, ZSPOOL_EXTEND, &arg, NULL),
                     ZSPOOL_EINVAL);
    assert_int_equal(zspool_commit_settle(f->commit, message, ZSPOOL_ACK, NULL, NULL), 0);
    assert_int_equal(zspool_commit_settle(f->commit, message, ZSPOOL_ACK, NULL, NULL),
                     ZSPOOL_EINVAL);
    assert_int_equal(zspool_settle(f->consumer, message, ZSPOOL_ACK, NULL, NULL), ZSPOOL_EINVAL);
    assert_int_equal(zspool_settle(f->consumer, message, ZSPOOL_EXTEND, &arg, NULL), 0);
    zspool_commit_clear(f->commit);
    assert_int_equal(zspool_settle(f->consumer, message, ZSPOOL_ACK, NULL, NULL), 0);
    assert_int_equal(zspool_settle_flush(f->consumer, WAIT_MS, NULL), 0);
    assert_int_equal(committed(f), 1);
}

/* Goal: what was fetched ahead is not seen before the message that comes again. */
static void in_an_ordered_group_a_retry_takes_along_what_is_behind_it(void **state)
{
    struct fixture *const f = *state;
    static const char *const topics[] = {"t"};
    zspool_consumer_options_t options;
    zspool_consumer_options_init(&options);
    options.group = "in-order";
    options.mode = "ordered";
    options.topics = topics;
    options.topic_count = 1;
    zspool_consumer_t *const consumer = zspool_consumer_new(f->served.client, &options, NULL);
    zspool_commit_t *commit = zspool_commit_new(f->served.client, consumer, NULL, NULL);
    zspool_settle_arg_t now;
    zspool_settle_arg_init(&now);
    now.delay_ms = 0;
    const zspool_message_t *message = NULL;
    assert_int_equal(zspool_next(consumer, &message, WAIT_MS, NULL), 0);
    assert_int_equal(zspool_commit_settle(commit, message, ZSPOOL_RETRY, &now, NULL), 0);
    assert_int_equal(zspool_commit_run(commit, WAIT_MS, NULL, NULL), 0);
    for (uint64_t offset = 0; offset < 5; offset++) {
        assert_int_equal(zspool_next(consumer, &message, WAIT_MS, NULL), 0);
        assert_int_equal(message->offset, offset);
        assert_int_equal(zspool_settle(consumer, message, ZSPOOL_ACK, NULL, NULL), 0);
    }
    assert_int_equal(zspool_settle_flush(consumer, WAIT_MS, NULL), 0);
    zspool_lost_t lost;
    assert_int_equal(zspool_lost(consumer, &lost, 1), 0);
    zspool_commit_destroy(&commit);
    zspool_consumer_t *gone = consumer;
    zspool_consumer_destroy(&gone);
}

/* Goal: while the broker is away a commit waits, unchanged, and then happens once. */
static void it_outlives_the_broker(void **state)
{
    struct fixture *const f = *state;
    const zspool_message_t *message = next(f);
    broker_process_kill(&f->served.broker);
    assert_int_equal(send_to(f, "new", "x"), 0);
    assert_int_equal(zspool_commit_settle(f->commit, message, ZSPOOL_ACK, NULL, NULL), 0);
    assert_int_equal(zspool_commit_run(f->commit, 0, NULL, NULL), ZSPOOL_ETIMEOUT);
    broker_process_start(&f->served.broker, NULL);
    int rc;
    do {
        rc = zspool_commit_run(f->commit, WAIT_MS, NULL, NULL);
    } while (rc == ZSPOOL_ETIMEOUT);
    assert_int_equal(rc, 0);
    assert_int_equal(committed(f), 1);
    assert_topic(f, "new", "x");
}

static void it_needs_no_consumer(void **state)
{
    struct fixture *const f = *state;
    zspool_commit_options_t options;
    zspool_commit_options_init(&options);
    options.name = "importer";
    zspool_commit_t *alone = zspool_commit_new(f->served.client, NULL, &options, NULL);
    assert_non_null(alone);
    const zspool_out_t out = zspool_out("new", "x", 1);
    assert_int_equal(zspool_commit_send(alone, &out, NULL), 0);
    assert_int_equal(zspool_commit_settle(alone, next(f), ZSPOOL_ACK, NULL, NULL), ZSPOOL_EINVAL);
    assert_int_equal(zspool_commit_run(alone, WAIT_MS, NULL, NULL), 0);
    zspool_commit_t *second = zspool_commit_new(f->served.client, NULL, &options, NULL);
    assert_int_equal(zspool_commit_send(second, &out, NULL), 0);
    assert_int_equal(zspool_commit_run(second, WAIT_MS, NULL, NULL), 0);
    assert_int_equal(zspool_commit_send(alone, &out, NULL), 0);
    assert_int_equal(zspool_commit_run(alone, WAIT_MS, NULL, NULL), ZSPOOL_EFENCED_PRODUCER);
    zspool_commit_destroy(&alone);
    zspool_commit_destroy(&second);
    assert_topic(f, "new", "x x");
}

static void each_wrong_use_has_its_error(void **state)
{
    struct fixture *const f = *state;
    zspool_error_t err = {0};
    assert_int_equal(zspool_commit_run(f->commit, WAIT_MS, NULL, &err), ZSPOOL_EINVAL);
    assert_int_equal(zspool_commit_run(NULL, WAIT_MS, NULL, &err), ZSPOOL_EINVAL);
    assert_int_equal(send_to(f, ".bad", "x"), ZSPOOL_EBAD_NAME);
    assert_null(zspool_commit_new(NULL, f->consumer, NULL, &err));
    zspool_commit_options_t options;
    zspool_commit_options_init(&options);
    options.name = "a/b";
    assert_null(zspool_commit_new(f->served.client, f->consumer, &options, &err));
    assert_int_equal(err.code, ZSPOOL_EBAD_NAME);
    char topic[16];
    for (int i = 0; i < 32; i++) {
        (void)snprintf(topic, sizeof topic, "t%d", i);
        assert_int_equal(send_to(f, topic, "x"), 0);
    }
    assert_int_equal(send_to(f, "one-more", "x"), ZSPOOL_ETOO_LARGE);
    assert_int_equal(send_to(f, "t31", "y"), 0);
    run_ok(f, NULL);
    assert_topic(f, "t31", "x y");
}

static void too_much_is_refused_before_it_is_sent(void **state)
{
    struct fixture *const f = *state;
    static char megabyte[1 << 20];
    const zspool_out_t out = zspool_out("new", megabyte, sizeof megabyte);
    for (int i = 0; i < 7; i++) {
        assert_int_equal(zspool_commit_send(f->commit, &out, NULL), 0);
    }
    assert_int_equal(zspool_commit_send(f->commit, &out, NULL), ZSPOOL_ETOO_LARGE);
    run_ok(f, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(messages_and_outcomes_go_together),
        TEST(one_after_the_other),
        TEST(a_lost_lease_refuses_the_whole),
        TEST(a_message_in_a_commit_is_settled_by_it_alone),
        TEST(in_an_ordered_group_a_retry_takes_along_what_is_behind_it),
        TEST(it_outlives_the_broker),
        TEST(it_needs_no_consumer),
        TEST(each_wrong_use_has_its_error),
        TEST(too_much_is_refused_before_it_is_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
