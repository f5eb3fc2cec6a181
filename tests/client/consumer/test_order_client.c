/* SPDX-License-Identifier: MPL-2.0
 *
 * Consumers of groups with an order, and a real broker: what fails takes along its own key or
 * partition, in order, and disturbs no other.
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
#define LANES   3u    /* keys, or partitions */
#define ROUNDS  40    /* messages of each */

struct fixture {
    struct served served;
    zspool_consumer_t *consumer;
    int last[LANES]; /* acked */
    unsigned failures;
};

static int set_up(void **state)
{
    struct fixture *const f = calloc(1, sizeof *f);
    assert_non_null(f);
    served_start(&f->served);
    for (unsigned i = 0; i < LANES; i++) {
        f->last[i] = -1;
    }
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *const f = *state;
    zspool_consumer_destroy(&f->consumer);
    served_end(&f->served);
    free(f);
    return 0;
}

static void fill(struct fixture *f, bool by_key)
{
    zspool_producer_t *producer = zspool_producer_new(f->served.client, NULL, NULL);
    served_topic(f->served.client, "t", by_key ? 1 : LANES);
    for (int round = 0; round < ROUNDS; round++) {
        for (unsigned lane = 0; lane < LANES; lane++) {
            char key[4];
            char text[8];
            (void)snprintf(key, sizeof key, "%u", lane);
            const int len = snprintf(text, sizeof text, "%d", round);
            zspool_out_t out = zspool_out("t", text, (size_t)len);
            out.partition = by_key ? 0 : (int32_t)lane;
            out.key = by_key ? zspool_text(key) : (zspool_bytes_t){NULL, 0};
            assert_int_equal(zspool_send(producer, &out, NULL, NULL), 0);
        }
    }
    assert_int_equal(zspool_flush(producer, WAIT_MS, NULL), 0);
    zspool_producer_destroy(&producer);
}

static void join(struct fixture *f, const char *mode)
{
    static const char *const topics[] = {"t"};
    zspool_consumer_options_t options;
    zspool_consumer_options_init(&options);
    options.group = "g";
    options.mode = mode;
    options.topics = topics;
    options.topic_count = 1;
    options.end_when_empty = true;
    f->consumer = zspool_consumer_new(f->served.client, &options, NULL);
    assert_non_null(f->consumer);
}

static unsigned lane_of(const zspool_message_t *message)
{
    return message->key.data ? (unsigned)(*(const char *)message->key.data - '0')
                             : message->partition;
}

/* Every third message of lane 0 fails at first. */
static void handle(struct fixture *f, const zspool_message_t *message)
{
    const unsigned lane = lane_of(message);
    const int round = served_number(message);
    zspool_settle_arg_t now;
    zspool_settle_arg_init(&now);
    now.delay_ms = 0;
    assert_int_equal(round, f->last[lane] + 1);
    if (lane == 0 && round % 3 == 0 && message->failures == 0) {
        f->failures++;
        assert_int_equal(zspool_settle(f->consumer, message, ZSPOOL_RETRY, &now, NULL), 0);
        return;
    }
    if (lane > 0) { /* nobody had it before: it was not handed back for another one */
        assert_int_equal(message->deliveries, 1);
    }
    f->last[lane] = round;
    assert_int_equal(zspool_settle(f->consumer, message, ZSPOOL_ACK, NULL, NULL), 0);
}

static void drain(struct fixture *f)
{
    const zspool_message_t *message = NULL;
    int rc;
    for (bool more = true; more;) {
        more = false;
        while ((rc = zspool_next(f->consumer, &message, WAIT_MS, NULL)) == 0) {
            handle(f, message);
            more = true;
        }
        assert_int_equal(rc, ZSPOOL_END);
        assert_int_equal(zspool_settle_flush(f->consumer, WAIT_MS, NULL), 0);
        zspool_consumer_destroy(&f->consumer);
        join(f, NULL); /* what came back with the last retry */
    }
    for (unsigned lane = 0; lane < LANES; lane++) {
        assert_int_equal(f->last[lane], ROUNDS - 1);
    }
    assert_int_equal(f->failures, (ROUNDS + 2) / 3);
}

static void a_key_that_fails_disturbs_no_other(void **state)
{
    struct fixture *const f = *state;
    fill(f, true);
    join(f, "keyed");
    drain(f);
}

static void a_partition_that_fails_disturbs_no_other(void **state)
{
    struct fixture *const f = *state;
    fill(f, false);
    join(f, "ordered");
    drain(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_key_that_fails_disturbs_no_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_partition_that_fails_disturbs_no_other, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
