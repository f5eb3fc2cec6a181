/* SPDX-License-Identifier: MPL-2.0
 *
 * READ with a filter: what comes, how far the reader got, and what one reply looks at.
 */
#include <stdio.h>
#include <string.h>

#include "common/limits.h"
#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"
#include "tests/support/plain_body.h"

static void publish(struct engine_fixture *f, const char *letters)
{
    steps_publish_letters(f, letters, "");
}

static const struct answer *read_some(struct engine_fixture *f, const char *filter,
                                      const char *more)
{
    return fixture_ok(
        f, "READ",
        fixture_format("{'topic': 't', 'from': 'earliest', 'filter': '%s'%s}", filter, more), NULL);
}

static void assert_read(const struct answer *answer, const char *payloads, uint64_t next,
                        const char *reason)
{
    assert_string_equal(fixture_payloads(answer), payloads);
    assert_int_equal(fixture_number(answer, "next"), next);
    assert_string_equal(fixture_text(answer, "reason"), reason);
}

static void only_what_matches_comes(void **state)
{
    struct engine_fixture *f = *state;
    publish(f, "abab");
    publish(f, "bbb");
    publish(f, "ba");
    const struct answer *answer = read_some(f, "key = \"a\"", "");
    assert_read(answer, "a a a", 9, "end");
    const msgpack_object *runs = wire_map_find(answer->map, "runs");
    assert_int_equal(runs->via.array.size, 3);
    assert_int_equal(runs->via.array.ptr[2].via.array.ptr[2].via.u64, 8);
}

/* Goal: a filter that matches nothing neither hangs nor brings the reader back to where it was. */
static void the_reader_moves_on_over_what_does_not_match(void **state)
{
    struct engine_fixture *f = *state;
    publish(f, "bbbb");
    assert_read(read_some(f, "key = \"a\"", ""), "", 4, "end");
    assert_read(read_some(f, "key = \"a\"", ", 'to': ['offset', 2]"), "", 2, "end");
    publish(f, "ab");
    assert_read(fixture_ok(f, "READ",
                           "{'topic': 't', 'from': ['offset', 4], 'filter': 'key = \"a\"'}", NULL),
                "a", 6, "end");
}

static void limits_hold_for_what_matches(void **state)
{
    struct engine_fixture *f = *state;
    publish(f, "babababab");
    const struct answer *answer = read_some(f, "key = \"a\"", ", 'max_messages': 2");
    assert_read(answer, "a a", 4, "limit");
    answer = read_some(f, "key = \"a\"", ", 'max_bytes': 1");
    assert_read(answer, "a", 2, "limit");
    assert_read(read_some(f, "key = \"a\"", ", 'to': ['offset', 5]"), "a a", 5, "end");
}

/* One compressed batch of keyed messages. */
static void publish_packed(struct engine_fixture *f, const char *letters)
{
    struct zsp_writer body = {0};
    for (const char *at = letters; *at; at++) {
        const struct zsp_slice letter = {(const uint8_t *)at, 1};
        wire_write_array(&body, 2);
        wire_write_bin(&body, letter);
        wire_write_bin(&body, letter);
    }
    struct zsp_buf *packed = plain_pack(zsp_writer_slice(&body));
    const uint64_t ticket = fixture_send_bytes(
        f, "PUBLISH", fixture_format("{'topic': 't', 'codec': 'zstd', 'raw_size': %zu}", body.len),
        (struct zsp_slice){packed->data, packed->len});
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, ticket)->code, 0);
    zsp_writer_fini(&body);
    zsp_buf_put(&packed);
}

static void compressed_batches_are_looked_into(void **state)
{
    struct engine_fixture *f = *state;
    publish_packed(f, "abba");
    assert_read(read_some(f, "key = \"b\"", ""), "b b", 4, "end");
    assert_read(read_some(f, "key = \"b\"", ", 'accept': ['zstd']"), "b b", 4, "end");
    assert_read(read_some(f, "key exists", ", 'accept': ['zstd']"), "a b b a", 4, "end");
}

static void whoever_waits_is_told_of_a_match_alone(void **state)
{
    struct engine_fixture *f = *state;
    publish(f, "b");
    const char *args =
        "{'topic': 't', 'from': 'earliest', 'wait_ms': 1000, 'filter': 'key = \"a\"'}";
    uint64_t ticket = fixture_send(f, "READ", args, NULL);
    publish(f, "bb");
    assert_null(fixture_answer(f, ticket));
    publish(f, "ba");
    assert_read(fixture_answer(f, ticket), "a", 5, "end");
    ticket = fixture_send(
        f, "READ",
        "{'topic': 't', 'from': ['offset', 5], 'wait_ms': 1000, 'filter': 'key = \"a\"'}", NULL);
    publish(f, "bbb");
    fixture_advance(f, 1001);
    assert_read(fixture_answer(f, ticket), "", 8, "timeout");
}

/* Goal: a reply looks at a bounded part of the log, whoever asks for how little. */
static void a_reply_looks_at_a_bounded_part_of_the_log(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "PRODUCER.OPEN", "{'producer': 'p'}", NULL);
    for (unsigned i = 1; i <= 300; i++) {
        fixture_send_large(f, 64 * 1024, i);
        fixture_pump(f);
    }
    uint64_t next = 0;
    unsigned replies = 0;
    const struct answer *answer = NULL;
    do {
        answer = fixture_ok(f, "READ",
                            fixture_format("{'topic': 'orders', 'from': ['offset', %llu], "
                                           "'max_messages': 1, 'filter': 'key = \"no\"'}",
                                           (unsigned long long)next),
                            NULL);
        assert_true(fixture_number(answer, "next") > next);
        next = fixture_number(answer, "next");
        replies++;
    } while (strcmp(fixture_text(answer, "reason"), "limit") == 0);
    assert_int_equal(next, 300);
    assert_int_equal(replies, 2);
}

#define HEADERS    200u
#define PUMP_BYTES (16u * ZSP_MIB) /* the limit of a pump, see engine.c */

/* A hundred messages of as many headers as make them costly to look at. */
static void publish_headers(struct engine_fixture *f)
{
    struct zsp_writer body = {0};
    for (unsigned i = 0; i < 100; i++) {
        wire_write_array(&body, 5);
        wire_write_bin(&body, zsp_slice_str("x"));
        wire_write_nil(&body);
        wire_write_nil(&body);
        wire_write_nil(&body);
        wire_write_map(&body, HEADERS);
        for (unsigned k = 0; k < HEADERS; k++) {
            wire_write_text(&body, "h");
            wire_write_text(&body, "");
        }
    }
    (void)fixture_send_bytes(f, "PUBLISH", "{'topic': 't'}", zsp_writer_slice(&body));
    fixture_pump(f);
    zsp_writer_fini(&body);
}

/* Goal: others come in between filters that have much to look at. */
static void messages_with_many_headers_are_looked_at_in_turns(void **state)
{
    struct engine_fixture *f = *state;
    uint64_t tickets[12];
    for (unsigned i = 0; i < 5; i++) {
        publish_headers(f);
    }
    for (unsigned i = 0; i < 12; i++) {
        tickets[i] = fixture_send(
            f, "READ", "{'topic': 't', 'from': 'earliest', 'filter': 'header.no exists'}", NULL);
    }
    const uint64_t before = engine_work_bytes(f->engine);
    engine_pump(f->engine, f->now);
    assert_in_range(engine_work_bytes(f->engine) - before, PUMP_BYTES, 2u * PUMP_BYTES);
    fixture_pump(f);
    for (unsigned i = 0; i < 12; i++) {
        assert_read(fixture_answer(f, tickets[i]), "", 500, "end");
    }
}

static void parts_bring_only_what_matches(void **state)
{
    struct engine_fixture *f = *state;
    for (int i = 0; i < 50; i++) {
        publish(f, "ab");
    }
    const struct answer *answer =
        read_some(f, "key = \"b\"", ", 'parts': true, 'max_messages': 30");
    assert_int_equal(strlen(fixture_payloads(answer)), 59);
    assert_null(strchr(fixture_payloads(answer), 'a'));
    assert_int_equal(fixture_number(answer, "next"), 60);
}

static void a_bad_filter_is_refused(void **state)
{
    struct engine_fixture *f = *state;
    publish(f, "a");
    const struct answer *answer =
        fixture_error(f, ZSP_EBAD_VALUE, "READ",
                      "{'topic': 't', 'from': 'earliest', 'filter': 'size > 3'}", NULL);
    assert_non_null(strstr(answer->error.msg, "filter"));
    fixture_error(f, ZSP_EBAD_TYPE, "READ", "{'topic': 't', 'from': 'earliest', 'filter': 3}",
                  NULL);
    fixture_send(f, "READ",
                 "{'topic': 't', 'from': 'latest', 'wait_ms': 1000, 'filter': 'key exists'}", NULL);
    fixture_pump(f); /* it is freed with the engine */
}

#define OVER_MEM(test) cmocka_unit_test_setup_teardown(test, fixture_set_up, fixture_tear_down)
#define OVER_LOG(test) cmocka_unit_test_setup_teardown(test, fixture_set_up_log, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OVER_MEM(only_what_matches_comes),
        OVER_MEM(the_reader_moves_on_over_what_does_not_match),
        OVER_MEM(limits_hold_for_what_matches),
        OVER_LOG(compressed_batches_are_looked_into),
        OVER_MEM(whoever_waits_is_told_of_a_match_alone),
        OVER_MEM(a_reply_looks_at_a_bounded_part_of_the_log),
        OVER_MEM(messages_with_many_headers_are_looked_at_in_turns),
        OVER_MEM(parts_bring_only_what_matches),
        OVER_MEM(a_bad_filter_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
