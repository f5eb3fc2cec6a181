/* SPDX-License-Identifier: MPL-2.0
 *
 * Priorities, delays and times to live of the library: what is sent with them, and what comes of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zspool.h>

#include "tests/support/served.h"

#define WAIT_MS 30000 /* for what takes milliseconds */
#define HOUR_MS 3600000

struct fixture {
    struct served served;
    zspool_producer_t *producer;
};

static int set_up(void **state)
{
    struct fixture *const f = calloc(1, sizeof *f);
    assert_non_null(f);
    served_start(&f->served);
    served_topic(f->served.client, "t", 1);
    f->producer = zspool_producer_new(f->served.client, NULL, NULL);
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

static int64_t wall_ms(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static zspool_out_t text_out(const char *text)
{
    return zspool_out("t", text, strlen(text));
}

static void send_one(struct fixture *f, const zspool_out_t *out)
{
    zspool_error_t err = {0};
    if (zspool_send(f->producer, out, NULL, &err) != 0) {
        fail_msg("send: %s", err.message);
    }
}

static void send_at(struct fixture *f, const char *text, unsigned priority)
{
    zspool_out_t out = text_out(text);
    zspool_out_set_priority(&out, priority);
    send_one(f, &out);
}

/* All that group "g" gets now, joined by blanks. */
static void assert_pulled(struct fixture *f, const char *wanted)
{
    zspool_consumer_options_t options;
    zspool_consumer_options_init(&options);
    const char *topics[] = {"t"};
    options.group = "g";
    options.topics = topics;
    options.topic_count = 1;
    options.end_when_empty = true;
    zspool_consumer_t *consumer = zspool_consumer_new(f->served.client, &options, NULL);
    assert_non_null(consumer);
    char got[512] = "";
    const zspool_message_t *message;
    while (zspool_next(consumer, &message, WAIT_MS, NULL) == 0) {
        (void)snprintf(got + strlen(got), sizeof got - strlen(got), "%s%.*s", got[0] ? " " : "",
                       (int)message->payload.len, (const char *)message->payload.data);
        assert_int_equal(zspool_settle(consumer, message, ZSPOOL_ACK, NULL, NULL), 0);
    }
    zspool_consumer_destroy(&consumer);
    assert_string_equal(got, wanted);
}

/* What a reader is told of the one message. */
static zspool_message_t read_one(struct fixture *f)
{
    zspool_reader_options_t options;
    zspool_reader_options_init(&options);
    options.topic = "t";
    zspool_reader_t *reader = zspool_reader_new(f->served.client, &options, NULL);
    const zspool_message_t *message;
    assert_non_null(reader);
    assert_int_equal(zspool_read(reader, &message, WAIT_MS, NULL), 0);
    const zspool_message_t ret = *message; /* its numbers */
    zspool_reader_destroy(&reader);
    return ret;
}

static void flush(struct fixture *f)
{
    assert_int_equal(zspool_flush(f->producer, WAIT_MS, NULL), 0);
}

static void the_urgent_overtake_those_sent_before(void **state)
{
    struct fixture *const f = *state;
    static const struct {
        const char *text;
        unsigned priority;
    } sent[] = {{"a", 4}, {"b", 9}, {"c", 9}, {"d", 0}, {"e", 4}, {"f", 9}, {"g", 5}, {"h", 0}};
    for (size_t i = 0; i < sizeof sent / sizeof sent[0]; i++) {
        send_at(f, sent[i].text, sent[i].priority);
    }
    flush(f);
    assert_pulled(f, "b c f g a e d h");
}

static void messages_of_one_priority_share_a_batch(void **state)
{
    struct fixture *const f = *state;
    for (int i = 0; i < 1000; i++) {
        send_at(f, "x", i < 500 ? 9 : 2);
    }
    flush(f);
    assert_true(served_figure(f->served.client, "published_messages") == 1000);
    assert_true(served_figure(f->served.client, "appended_batches") < 100);
}

static void a_delayed_message_waits_and_one_without_does_not(void **state)
{
    struct fixture *const f = *state;
    zspool_out_t out = text_out("late");
    out.delay_ms = HOUR_MS;
    send_one(f, &out);
    out = text_out("now");
    send_one(f, &out);
    out = text_out("past");
    out.not_before_ms = 1;
    send_one(f, &out);
    flush(f);
    assert_pulled(f, "now past");
}

static void what_expired_is_not_handed_out(void **state)
{
    struct fixture *const f = *state;
    zspool_out_t out = text_out("gone");
    out.expires_at_ms = 1;
    send_one(f, &out);
    out = text_out("fresh");
    out.ttl_ms = HOUR_MS;
    send_one(f, &out);
    flush(f);
    assert_pulled(f, "fresh");
}

static void a_reader_is_told_the_terms(void **state)
{
    struct fixture *const f = *state;
    zspool_out_t out = text_out("x");
    zspool_out_set_priority(&out, 0);
    out.not_before_ms = 5;
    out.expires_at_ms = ZSPOOL_TIME_MAX_MS;
    send_one(f, &out);
    flush(f);
    const zspool_message_t got = read_one(f);
    assert_int_equal(got.priority, 0);
    assert_int_equal(got.not_before_ms, 5);
    assert_int_equal(got.expires_at_ms, ZSPOOL_TIME_MAX_MS);
}

static void times_from_now_are_rounded_up_a_little(void **state)
{
    struct fixture *const f = *state;
    const int64_t before_ms = wall_ms();
    zspool_out_t out = text_out("x");
    out.delay_ms = HOUR_MS;
    out.ttl_ms = INT64_C(10) * HOUR_MS;
    send_one(f, &out);
    flush(f);
    const int64_t spent_ms = wall_ms() - before_ms + 1000; /* the clocks are compared to 1 s */
    const zspool_message_t got = read_one(f);
    assert_in_range(got.not_before_ms, before_ms + HOUR_MS - 1000,
                    before_ms + spent_ms + HOUR_MS + HOUR_MS / 256);
    assert_in_range(got.expires_at_ms, before_ms + INT64_C(10) * HOUR_MS - 1000,
                    before_ms + spent_ms + INT64_C(10) * HOUR_MS + HOUR_MS / 25);
}

/* Goal: what rounding makes one time is no reason for a refusal. */
static void a_delay_is_over_before_the_end_of_the_time_to_live(void **state)
{
    struct fixture *const f = *state;
    for (int i = 0; i < 4; i++) {
        zspool_out_t out = text_out("x");
        out.delay_ms = HOUR_MS;
        out.ttl_ms = HOUR_MS + 1;
        send_one(f, &out);
    }
    flush(f);
    const zspool_message_t got = read_one(f);
    assert_true(got.expires_at_ms > got.not_before_ms);
}

static void one_made_for_an_older_library_has_the_usual_terms(void **state)
{
    struct fixture *const f = *state;
    zspool_out_t out = text_out("x");
    zspool_out_set_priority(&out, 9);
    out.delay_ms = HOUR_MS;
    out.size = offsetof(zspool_out_t, has_priority);
    send_one(f, &out);
    flush(f);
    assert_int_equal(read_one(f).priority, ZSPOOL_PRIORITY);
    assert_pulled(f, "x");
}

static void terms_that_cannot_be_are_refused(void **state)
{
    struct fixture *const f = *state;
    static const struct {
        int has_priority;
        uint8_t priority;
        int64_t not_before_ms, delay_ms, expires_at_ms, ttl_ms;
        const char *why;
    } wrong[] = {
        {1, 10, 0, 0, 0, 0, "priority is 10, want 0..9"},
        {0, 9, 0, 0, 0, 0, "a priority is given without has_priority"},
        {0, 0, -1, 0, 0, 0, "the delay is -1, want 0..253402300799999"},
        {0, 0, 0, -1, 0, 0, "the delay is -1, want 0..253402300799999"},
        {0, 0, 0, INT64_MAX, 0, 0, "the delay is 9223372036854775807, want 0..253402300799999"},
        {0, 0, 0, 0, INT64_MAX, 0,
         "the time to live is 9223372036854775807, want 0..253402300799999"},
        {0, 0, 0, 0, 0, -1, "the time to live is -1, want 0..253402300799999"},
        {0, 0, 1, 1, 0, 0, "the delay is given twice, as a time and from now on"},
        {0, 0, 0, 0, 1, 1, "the time to live is given twice, as a time and from now on"},
        {0, 0, 5, 0, 5, 0, "the message expires before its delay is over"},
        {0, 0, 0, 5, 0, 4, "the message expires before its delay is over"},
        {0, 0, 0, 1000, 5, 0, "the message expires before its delay is over"},
        {0, 0, ZSPOOL_TIME_MAX_MS, 0, 0, 5, "the message expires before its delay is over"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        zspool_error_t err = {0};
        zspool_out_t out = text_out("x");
        out.has_priority = wrong[i].has_priority != 0;
        out.priority = wrong[i].priority;
        out.not_before_ms = wrong[i].not_before_ms;
        out.delay_ms = wrong[i].delay_ms;
        out.expires_at_ms = wrong[i].expires_at_ms;
        out.ttl_ms = wrong[i].ttl_ms;
        assert_int_equal(zspool_send(f->producer, &out, NULL, &err), ZSPOOL_EBAD_VALUE);
        assert_string_equal(err.message, wrong[i].why);
    }
}

static void a_commit_keeps_terms_too(void **state)
{
    struct fixture *const f = *state;
    zspool_commit_t *commit = zspool_commit_new(f->served.client, NULL, NULL, NULL);
    assert_non_null(commit);
    for (unsigned i = 0; i < 6; i++) {
        const char text[] = {(char)('a' + (int)i)};
        zspool_out_t out = zspool_out("t", text, 1);
        zspool_out_set_priority(&out, 4 + i % 3);
        out.delay_ms = i == 5 ? HOUR_MS : 0;
        assert_int_equal(zspool_commit_send(commit, &out, NULL), 0);
    }
    assert_int_equal(zspool_commit_run(commit, WAIT_MS, NULL, NULL), 0);
    zspool_commit_destroy(&commit);
    assert_pulled(f, "c b e a d");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_urgent_overtake_those_sent_before),
        TEST(messages_of_one_priority_share_a_batch),
        TEST(a_delayed_message_waits_and_one_without_does_not),
        TEST(what_expired_is_not_handed_out),
        TEST(a_reader_is_told_the_terms),
        TEST(times_from_now_are_rounded_up_a_little),
        TEST(a_delay_is_over_before_the_end_of_the_time_to_live),
        TEST(one_made_for_an_older_library_has_the_usual_terms),
        TEST(terms_that_cannot_be_are_refused),
        TEST(a_commit_keeps_terms_too),
    };
    return cmocka_run_group_tests_name("client.terms", tests, NULL, NULL);
}
