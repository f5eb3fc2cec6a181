/* SPDX-License-Identifier: MPL-2.0
 *
 * Readers that go on where another one was, in each partition.
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

#define WAIT_MS    30000 /* for what takes milliseconds */
#define PARTITIONS 3
#define COUNT      30

struct fixture {
    struct served served;
    zspool_client_t *client;
    zspool_producer_t *producer;
    zspool_reader_place_t places[16];
    int place_count;
    bool seen[2 * COUNT]; /* by number */
};

static int set_up(void **state)
{
    struct fixture *const f = calloc(1, sizeof *f);
    assert_non_null(f);
    served_start(&f->served);
    f->client = f->served.client;
    served_topic(f->client, "t", PARTITIONS);
    f->producer = zspool_producer_new(f->client, NULL, NULL);
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

/* The numbers first to before end, one after the other, spread over the partitions. */
static void send_numbers(struct fixture *f, int first, int end)
{
    for (int i = first; i < end; i++) {
        served_send_number(f->producer, i);
        assert_int_equal(zspool_flush(f->producer, WAIT_MS, NULL), 0);
    }
}

/* Of the whole topic, at the places that are known. */
static zspool_reader_t *reader_at(struct fixture *f, bool follow)
{
    zspool_reader_options_t options;
    zspool_reader_options_init(&options);
    options.topic = "t";
    options.follow = follow;
    options.places = f->places;
    options.place_count = (size_t)f->place_count;
    return zspool_reader_new(f->client, &options, NULL);
}

/* Read up to so many, none for the second time. Returns what ended it. */
static int read_some(struct fixture *f, zspool_reader_t *reader, int count)
{
    int rc = 0;
    for (int i = 0; i < count && rc == 0; i++) {
        const zspool_message_t *message;
        rc = zspool_read(reader, &message, WAIT_MS, NULL);
        if (rc == 0) {
            const int number = served_number(message);
            assert_false(f->seen[number]);
            f->seen[number] = true;
        }
    }
    return rc;
}

/* Keep its places, and let it go. */
static void leave(struct fixture *f, zspool_reader_t **reader)
{
    f->place_count = zspool_reader_places(*reader, f->places, 16);
    zspool_reader_destroy(reader);
}

static int seen_count(const struct fixture *f)
{
    int count = 0;
    for (int i = 0; i < 2 * COUNT; i++) {
        count += f->seen[i];
    }
    return count;
}

/* Goal: wherever a reader stops, the next one has the rest, and nothing twice. */
static void a_reader_goes_on_where_another_one_was_in_each_partition(void **state)
{
    struct fixture *f = *state;
    send_numbers(f, 0, COUNT);
    for (int step = 1; seen_count(f) + step < COUNT; step++) {
        zspool_reader_t *reader = reader_at(f, false);
        assert_int_equal(read_some(f, reader, step), 0);
        leave(f, &reader);
        assert_int_equal(f->place_count, PARTITIONS);
    }
    zspool_reader_t *reader = reader_at(f, false);
    assert_int_equal(read_some(f, reader, COUNT), ZSPOOL_END);
    assert_int_equal(seen_count(f), COUNT);
    leave(f, &reader);
    reader = reader_at(f, false);
    assert_int_equal(read_some(f, reader, 1), ZSPOOL_END);
    zspool_reader_destroy(&reader);
}

static void a_reader_that_saw_nothing_knows_where_the_end_was(void **state)
{
    struct fixture *f = *state;
    const zspool_message_t *message;
    zspool_reader_options_t options;
    send_numbers(f, 0, 7);
    zspool_reader_options_init(&options);
    options.topic = "t";
    options.from.kind = ZSPOOL_POSITION_LATEST;
    options.follow = true;
    zspool_reader_t *reader = zspool_reader_new(f->client, &options, NULL);
    while (zspool_reader_places(reader, NULL, 0) == 0) {
        assert_int_equal(zspool_read(reader, &message, 1, NULL), ZSPOOL_ETIMEOUT);
    }
    leave(f, &reader);
    send_numbers(f, 7, COUNT);
    reader = reader_at(f, false);
    assert_int_equal(read_some(f, reader, COUNT), ZSPOOL_END);
    assert_int_equal(seen_count(f), COUNT - 7);
    zspool_reader_destroy(&reader);
}

static void a_partition_that_came_meanwhile_is_read_from_its_first_message(void **state)
{
    struct fixture *f = *state;
    send_numbers(f, 0, COUNT);
    zspool_reader_t *reader = reader_at(f, false);
    assert_int_equal(read_some(f, reader, COUNT), 0);
    leave(f, &reader);
    zspool_topic_spec_t spec;
    zspool_topic_spec_init(&spec, "t");
    spec.partitions = PARTITIONS + 2;
    assert_int_equal(zspool_topic_set(f->client, &spec, WAIT_MS, NULL), 0);
    send_numbers(f, COUNT, 2 * COUNT);
    reader = reader_at(f, true);
    assert_int_equal(read_some(f, reader, COUNT), 0);
    assert_int_equal(zspool_reader_places(reader, NULL, 0), PARTITIONS + 2);
    zspool_reader_destroy(&reader);
}

static void what_retention_took_meanwhile_is_told_once(void **state)
{
    struct fixture *f = *state;
    const zspool_message_t *message;
    zspool_purge_spec_t spec;
    zspool_purge_result_t *purged;
    zspool_error_t err = {0};
    send_numbers(f, 0, COUNT);
    zspool_purge_spec_init(&spec, "t");
    spec.partition = 1;
    spec.before = (zspool_position_t){.kind = ZSPOOL_POSITION_OFFSET, .value = 4};
    assert_int_equal(zspool_topic_purge(f->client, &spec, WAIT_MS, &purged, NULL), 0);
    zspool_free(purged);
    f->places[0] = (zspool_reader_place_t){.partition = 1, .offset = 2};
    f->place_count = 1;
    zspool_reader_options_t options;
    zspool_reader_options_init(&options);
    options.topic = "t";
    options.partition = 1;
    options.places = f->places;
    options.place_count = 1;
    zspool_reader_t *reader = zspool_reader_new(f->client, &options, NULL);
    assert_int_equal(zspool_read(reader, &message, WAIT_MS, &err), ZSPOOL_EOVERTAKEN);
    assert_string_equal(err.got, "2");
    assert_int_equal(zspool_read(reader, &message, WAIT_MS, NULL), 0);
    assert_int_equal(message->offset, 4);
    zspool_reader_destroy(&reader);
}

static void a_place_that_cannot_be_is_an_error(void **state)
{
    static const struct {
        zspool_reader_place_t place;
        int code;
        const char *wanted;
    } cases[] = {{{1, 1}, ZSPOOL_EOUT_OF_RANGE, "0..0"}, {{7, 0}, ZSPOOL_ENOT_FOUND, "0..2"}};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const zspool_message_t *message;
        zspool_error_t err = {0};
        f->places[0] = cases[i].place;
        f->place_count = 1;
        zspool_reader_t *reader = reader_at(f, false);
        for (int again = 0; again < 2; again++) {
            assert_int_equal(zspool_read(reader, &message, WAIT_MS, &err), cases[i].code);
            assert_string_equal(err.object, "topic t");
            assert_string_equal(err.wanted, cases[i].wanted);
        }
        zspool_reader_destroy(&reader);
    }
}

static void places_that_are_none_are_refused(void **state)
{
    struct fixture *f = *state;
    const zspool_reader_place_t twice[] = {{1, 0}, {1, 2}};
    const zspool_reader_place_t far = {1024, 0};
    zspool_reader_options_t options;
    zspool_reader_options_init(&options);
    options.topic = "t";
    options.places = twice;
    options.place_count = 2;
    assert_null(zspool_reader_new(f->client, &options, NULL));
    options.place_count = 1;
    options.partition = 2;
    assert_null(zspool_reader_new(f->client, &options, NULL));
    options.partition = ZSPOOL_PARTITION_ALL;
    options.from = (zspool_position_t){.kind = ZSPOOL_POSITION_ID, .id = "x"};
    assert_null(zspool_reader_new(f->client, &options, NULL));
    options.from.kind = ZSPOOL_POSITION_NONE;
    options.places = &far;
    assert_null(zspool_reader_new(f->client, &options, NULL));
    options.places = NULL;
    assert_null(zspool_reader_new(f->client, &options, NULL));
    assert_int_equal(zspool_reader_places(NULL, NULL, 0), ZSPOOL_EINVAL);
}

static void a_filter_moves_the_place_over_what_it_leaves_out(void **state)
{
    struct fixture *f = *state;
    zspool_reader_options_t options;
    send_numbers(f, 0, COUNT);
    zspool_reader_options_init(&options);
    options.topic = "t";
    options.filter = "type exists";
    zspool_reader_t *reader = zspool_reader_new(f->client, &options, NULL);
    assert_int_equal(read_some(f, reader, 1), ZSPOOL_END);
    leave(f, &reader);
    reader = reader_at(f, false);
    assert_int_equal(read_some(f, reader, 1), ZSPOOL_END);
    zspool_reader_destroy(&reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(a_reader_goes_on_where_another_one_was_in_each_partition),
        TEST(a_reader_that_saw_nothing_knows_where_the_end_was),
        TEST(a_partition_that_came_meanwhile_is_read_from_its_first_message),
        TEST(what_retention_took_meanwhile_is_told_once),
        TEST(a_place_that_cannot_be_is_an_error),
        TEST(places_that_are_none_are_refused),
        TEST(a_filter_moves_the_place_over_what_it_leaves_out),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
