/* SPDX-License-Identifier: MPL-2.0
 *
 * Conformance: priorities and times of messages, and when they expire, are told, stretch by stretch.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "tests/broker/store/conformance.h"
#include "tests/support/prng.h"

#define MESSAGES 600u
#define GRAIN_MS 1000

/* What was appended, message by message. */
struct book {
    uint8_t priority[MESSAGES + 8];
    int64_t not_before_ms[MESSAGES + 8];
    int64_t expires_ms[MESSAGES + 8]; /* rounded up */
    bool asks_expiry;                 /* which of it is asked for */
    uint64_t end;
};

static void append_terms(struct conf *c, struct store_part *part, struct book *book,
                         struct prng *prng)
{
    const bool is_plain = prng_chance(prng, 400);
    struct zsp_buf *frame = zsp_buf_copy(zsp_slice_str("some payload of messages"));
    const struct store_batch batch = {
        .frame = frame,
        .body = {frame->data, frame->len},
        .record_count = (uint32_t)prng_between(prng, 1, 4),
        .timestamp_ms = 1000,
        .priority = is_plain ? 4 : (uint8_t)prng_between(prng, 3, 5),
        .not_before_ms = is_plain || prng_chance(prng, 500) ? 0 : (int64_t)prng_below(prng, 2) + 7,
        .expires_at_ms = prng_chance(prng, 400) ? 0 : (int64_t)prng_below(prng, 3000) + 1,
    };
    assert_int_equal(c->store->ops->append(c->store, part, &batch, ++c->next_tag, NULL), 0);
    zsp_buf_put(&frame);
    for (uint32_t i = 0; i < batch.record_count; i++) {
        book->priority[book->end] = batch.priority;
        book->expires_ms[book->end] = (batch.expires_at_ms + GRAIN_MS - 1) / GRAIN_MS * GRAIN_MS;
        book->not_before_ms[book->end++] = batch.not_before_ms;
    }
}

static void fill(struct conf *c, struct store_part *part, struct book *book, uint64_t seed)
{
    struct prng prng = {seed};
    *book = (struct book){.end = 0};
    while (book->end < MESSAGES) {
        append_terms(c, part, book, &prng);
        if (prng_chance(&prng, 300)) {
            conf_drive(c);
        }
    }
    conf_drive(c);
}

static int ask_for(struct conf *c, struct store_part *part, uint64_t from, uint64_t to,
                   int64_t grain_ms)
{
    const struct store_read_terms read = {.part = part,
                                          .from_offset = from,
                                          .to_offset = to,
                                          .expiry_grain_ms = grain_ms,
                                          .tag = ++c->next_tag};
    assert_int_equal(c->store->ops->read_terms(c->store, &read, NULL), 0);
    const struct conf_event *event = conf_wait(c, read.tag);
    assert_int_equal(event->kind, STORE_TERMS_READ);
    return event->code;
}

static int ask(struct conf *c, struct store_part *part, uint64_t from, uint64_t to)
{
    return ask_for(c, part, from, to, 0);
}

/* A message that is in no stretch. */
static void check_plain(const struct book *book, uint64_t at)
{
    if (book->asks_expiry) {
        assert_int_equal(book->expires_ms[at], 0);
        return;
    }
    assert_int_equal(book->priority[at], 4);
    assert_int_equal(book->not_before_ms[at], 0);
}

/* The last answer tells the terms of all that it covers. */
static void check_answer(const struct conf *c, const struct book *book)
{
    uint64_t at = c->terms.covered.first_offset;
    uint64_t before = 0;
    for (uint32_t i = 0; i < c->terms.terms_count; i++) {
        const struct store_terms *terms = &c->terms.terms[i];
        assert_true(terms->first_offset >= before && terms->first_offset < terms->end_offset);
        before = terms->end_offset;
        for (; at < terms->first_offset && at < c->terms.covered.end_offset; at++) {
            check_plain(book, at);
        }
        for (; at < terms->end_offset && at < c->terms.covered.end_offset; at++) {
            assert_int_equal(book->priority[at], terms->priority);
            assert_int_equal(book->asks_expiry ? book->expires_ms[at] : book->not_before_ms[at],
                             terms->not_before_ms);
        }
    }
    for (; at < c->terms.covered.end_offset; at++) {
        check_plain(book, at);
    }
}

static void check_all(struct conf *c, struct store_part *part, const struct book *book,
                      uint64_t from, uint64_t to)
{
    for (uint64_t next = from; next < to;) {
        assert_int_equal(ask_for(c, part, next, to, book->asks_expiry ? GRAIN_MS : 0), 0);
        assert_int_equal(c->terms.covered.first_offset, next);
        assert_true(c->terms.covered.end_offset > next && c->terms.covered.end_offset <= to);
        check_answer(c, book);
        next = c->terms.covered.end_offset;
    }
}

static void all_terms_are_told(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    struct book book;
    fill(c, topic->parts[0], &book, 1);
    check_all(c, topic->parts[0], &book, 0, book.end);
    for (uint64_t from = 0; from < book.end; from += 37) {
        check_all(c, topic->parts[0], &book, from, from + 50 < book.end ? from + 50 : book.end);
    }
}

static void they_are_told_after_every_start(void **state)
{
    static const enum conf_crash crashes[] = {CONF_CLEAN, CONF_PROCESS, CONF_POWER};
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    struct book book;
    topic->replay_from = UINT64_MAX;
    fill(c, topic->parts[0], &book, 2);
    for (size_t i = 0; i < sizeof crashes / sizeof crashes[0]; i++) {
        conf_restart(c, crashes[i], i);
        check_all(c, topic->parts[0], &book, 0, book.end);
    }
}

static void when_they_expire_is_told_as_well(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    struct book book;
    topic->replay_from = UINT64_MAX;
    fill(c, topic->parts[0], &book, 5);
    for (int i = 0; i < 2; i++) {
        book.asks_expiry = true;
        check_all(c, topic->parts[0], &book, 0, book.end);
        check_all(c, topic->parts[0], &book, book.end / 3, book.end / 2);
        book.asks_expiry = false;
        check_all(c, topic->parts[0], &book, 0, book.end);
        conf_restart(c, CONF_PROCESS, 6);
    }
}

static void only_what_is_there_can_be_asked_for(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    struct store_part *part = topic->parts[0];
    struct book book;
    fill(c, part, &book, 3);
    assert_int_equal(ask(c, part, book.end + 1, UINT64_MAX), ZSP_EOUT_OF_RANGE);
    assert_int_equal(ask(c, part, book.end, UINT64_MAX), 0);
    assert_true(c->terms.covered.end_offset == book.end);
    const struct store_retain retain = {.before_offset = book.end / 2, .imaged_before = UINT64_MAX};
    assert_int_equal(c->store->ops->retain(c->store, part, &retain, NULL), 0);
    conf_drive(c);
    const uint64_t start = conf_info(c, part).start_offset;
    assert_true(start > 0);
    assert_int_equal(ask(c, part, start - 1, UINT64_MAX), ZSP_EOUT_OF_RANGE);
    check_all(c, part, &book, start, book.end);
}

static void a_question_is_always_answered(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    struct book book;
    fill(c, topic->parts[0], &book, 4);
    const struct store_read_terms read = {
        .part = topic->parts[0], .from_offset = 0, .to_offset = UINT64_MAX, .tag = 77};
    c->next_tag = 10000;
    conf_forget_events(c);
    assert_int_equal(c->store->ops->read_terms(c->store, &read, NULL), 0);
    conf_answered_without_topic(c, 77);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, conf_set_up, conf_tear_down)

int conformance_terms_run(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_terms_are_told),
        TEST(they_are_told_after_every_start),
        TEST(when_they_expire_is_told_as_well),
        TEST(only_what_is_there_can_be_asked_for),
        TEST(a_question_is_always_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
