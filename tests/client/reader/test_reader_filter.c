/* SPDX-License-Identifier: MPL-2.0
 *
 * Readers with a filter, of all partitions of a topic.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <zspool.h>

#include "tests/support/served.h"

#define WAIT_MS 30000 /* for what takes milliseconds */

struct fixture {
    struct served served;
    zspool_client_t *client;
    zspool_producer_t *producer;
};

static int set_up(void **state)
{
    struct fixture *const f = calloc(1, sizeof *f);
    assert_non_null(f);
    served_start(&f->served);
    f->client = f->served.client;
    served_topic(f->client, "t", 3);
    f->producer = zspool_producer_new(f->client, NULL, NULL);
    assert_non_null(f->producer);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *const f = *state;
    zspool_producer_destroy(&f->producer);
    served_end(&f->served);
    free(f);
    return 0;
}

/* One message for each letter, of that type. */
static void send_types(struct fixture *f, const char *letters)
{
    for (const char *at = letters; *at; at++) {
        zspool_out_t out = zspool_out("t", at, 1);
        out.type = (zspool_bytes_t){at, 1};
        assert_int_equal(zspool_send(f->producer, &out, NULL, NULL), 0);
        assert_int_equal(zspool_flush(f->producer, WAIT_MS, NULL), 0); /* so they are spread */
    }
}

static zspool_reader_t *reader_of(struct fixture *f, const char *filter, bool follow)
{
    zspool_reader_options_t options;
    zspool_reader_options_init(&options);
    options.topic = "t";
    options.filter = filter;
    options.follow = follow;
    return zspool_reader_new(f->client, &options, NULL);
}

static void a_reader_gets_what_its_filter_wants(void **state)
{
    struct fixture *f = *state;
    send_types(f, "abcabcabc");
    char filter[] = "type = \"b\"";
    zspool_reader_t *reader = reader_of(f, filter, false);
    memset(filter, 'x', sizeof filter - 1); /* it has its own */
    const zspool_message_t *message;
    int count = 0;
    int rc;
    while ((rc = zspool_read(reader, &message, WAIT_MS, NULL)) == 0) {
        assert_memory_equal(message->payload.data, "b", 1);
        count++;
    }
    assert_int_equal(rc, ZSPOOL_END);
    assert_int_equal(count, 3);
    zspool_reader_destroy(&reader);
    reader = reader_of(f, "type = \"no\"", false);
    assert_int_equal(zspool_read(reader, &message, WAIT_MS, NULL), ZSPOOL_END);
    zspool_reader_destroy(&reader);
}

static void who_follows_is_told_of_a_match_alone(void **state)
{
    struct fixture *f = *state;
    send_types(f, "aaa");
    zspool_reader_t *reader = reader_of(f, "type = \"b\"", true);
    const zspool_message_t *message;
    assert_int_equal(zspool_read(reader, &message, 50, NULL), ZSPOOL_ETIMEOUT);
    send_types(f, "aba");
    assert_int_equal(zspool_read(reader, &message, WAIT_MS, NULL), 0);
    assert_memory_equal(message->payload.data, "b", 1);
    zspool_reader_destroy(&reader);
}

static void a_filter_that_makes_no_sense_is_told(void **state)
{
    struct fixture *f = *state;
    send_types(f, "a");
    zspool_reader_t *reader = reader_of(f, "size > 3", false);
    const zspool_message_t *message;
    assert_int_equal(zspool_read(reader, &message, WAIT_MS, NULL), ZSPOOL_EBAD_VALUE);
    zspool_reader_destroy(&reader);
    char *const huge = calloc(1, 10000);
    assert_non_null(huge);
    memset(huge, 'x', 9999);
    assert_null(reader_of(f, huge, false));
    free(huge);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_reader_gets_what_its_filter_wants),
        TEST(who_follows_is_told_of_a_match_alone),
        TEST(a_filter_that_makes_no_sense_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
