/* SPDX-License-Identifier: MPL-2.0
 *
 * Answers in several PARTs: end to end they are the whole.
 */
#include <stdio.h>

#include "common/limits.h"
#include "common/record.h"
#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"

/* A batch here is 100 records of 250 bytes; record `n` of the topic says so. */
#define BATCH_RECORDS 100u
#define RECORD_BYTES  250u
#define BATCH_BYTES   (BATCH_RECORDS * RECORD_BYTES)

static void add_record(struct zsp_writer *out, unsigned number)
{
    char payload[RECORD_BYTES];
    memset(payload, '.', sizeof payload);
    (void)snprintf(payload, sizeof payload, "%u", number);
    const struct zsp_record record = {.payload = {(const uint8_t *)payload, RECORD_BYTES - 3}};
    zsp_record_write(out, &record);
}

static void publish_batches(struct engine_fixture *f, unsigned count)
{
    for (unsigned b = 0; b < count; b++) {
        struct zsp_writer body = {0};
        for (unsigned i = 0; i < BATCH_RECORDS; i++) {
            add_record(&body, b * BATCH_RECORDS + i);
        }
        assert_int_equal(body.len, BATCH_BYTES);
        const uint64_t ticket =
            fixture_send_bytes(f, "PUBLISH", "{'topic': 't'}", zsp_writer_slice(&body));
        fixture_pump(f);
        assert_int_equal(fixture_answer(f, ticket)->code, 0);
        zsp_writer_fini(&body);
    }
}

/* Are these the records from `first` on? */
static void assert_records(const struct answer *answer, unsigned first, unsigned count)
{
    struct zsp_writer wanted = {0};
    for (unsigned i = 0; i < count; i++) {
        add_record(&wanted, first + i);
    }
    assert_int_equal(answer->body.len, wanted.len);
    assert_memory_equal(answer->body.data, wanted.data, wanted.len);
    zsp_writer_fini(&wanted);
}

static const struct answer *read_parts(struct engine_fixture *f, unsigned from, const char *more)
{
    return fixture_ok(
        f, "READ",
        fixture_format("{'topic': 't', 'from': ['offset', %u], 'parts': true%s}", from, more),
        NULL);
}

#define ALL ", 'max_bytes': 268435456, 'max_messages': 100000"

static void a_replay_comes_in_parts(void **state)
{
    struct engine_fixture *f = *state;
    publish_batches(f, 45);
    const struct answer *answer = read_parts(f, 7, ALL);
    assert_records(answer, 7, 4493);
    assert_int_equal(answer->more_count, 4); /* of ten batches each, the last five come with OK */
    assert_int_equal(fixture_number(answer, "next"), 4500);
    assert_string_equal(fixture_text(answer, "reason"), "end");
}

static void what_is_small_comes_at_once(void **state)
{
    struct engine_fixture *f = *state;
    publish_batches(f, 3);
    const struct answer *answer = read_parts(f, 0, "");
    assert_records(answer, 0, 300);
    assert_int_equal(answer->more_count, 0);
}

static void limits_hold_for_all_parts_together(void **state)
{
    struct engine_fixture *f = *state;
    publish_batches(f, 45);
    const struct {
        const char *more;
        unsigned count;
    } cases[] = {
        {", 'max_bytes': 625249, 'max_messages': 100000", 2500},
        {", 'max_bytes': 268435456, 'max_messages': 3333", 3333},
        {", 'max_bytes': 249", 1}, /* the first message always fits */
        {", 'to': ['offset', 2222]" ALL, 2222},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct answer *answer = read_parts(f, 0, cases[i].more);
        assert_records(answer, 0, cases[i].count);
        assert_int_equal(fixture_number(answer, "next"), cases[i].count);
    }
}

static void more_than_a_reply_only_with_parts(void **state)
{
    struct engine_fixture *f = *state;
    publish_batches(f, 1);
    fixture_error(f, ZSP_EBAD_VALUE, "READ",
                  "{'topic': 't', 'from': 'earliest', 'max_bytes': 16777217}", NULL);
    fixture_error(f, ZSP_EBAD_VALUE, "READ",
                  "{'topic': 't', 'from': 'earliest', 'max_bytes': 268435457, 'parts': true}",
                  NULL);
    fixture_error(f, ZSP_EBAD_VALUE, "PULL",
                  "{'group': 'g', 'topics': ['t'], 'max_bytes': 16777217, 'parts': true}", NULL);
    assert_records(read_parts(f, 0, ALL), 0, 100);
}

/* Goal: a wait is for a first message; what follows does not wait again. */
static void a_read_that_waited_ends_at_the_end(void **state)
{
    struct engine_fixture *f = *state;
    publish_batches(f, 1);
    const uint64_t ticket = fixture_send(
        f, "READ", "{'topic': 't', 'from': 'latest', 'wait_ms': 5000, 'parts': true" ALL "}", NULL);
    fixture_pump(f);
    mem_store_hold(f->mem, MEM_SYNCS);
    for (unsigned i = 0; i < 30; i++) {
        struct zsp_writer body = {0};
        for (unsigned k = 0; k < BATCH_RECORDS; k++) {
            add_record(&body, i * BATCH_RECORDS + k);
        }
        (void)fixture_send_bytes(f, "PUBLISH", "{'topic': 't'}", zsp_writer_slice(&body));
        zsp_writer_fini(&body);
    }
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    const struct answer *answer = fixture_answer(f, ticket);
    assert_non_null(answer);
    assert_records(answer, 0, 3000);
    assert_string_equal(fixture_text(answer, "reason"), "end");
}

static void a_pull_in_parts_is_one_lease(void **state)
{
    struct engine_fixture *f = *state;
    publish_batches(f, 45);
    const char *args =
        "{'group': 'g', 'topics': ['t'], 'max_messages': 4321, 'max_bytes': 16777216, "
        "'parts': true}";
    f->session = 7;
    const struct answer *answer = fixture_ok(f, "PULL", args, NULL);
    assert_records(answer, 0, 4321);
    assert_int_equal(answer->more_count, 3); /* of eleven batches each */
    assert_true(answer->lease > 0);
    f->session = 0;
    assert_string_equal(steps_part(f, "t", 0), "0 4500 179 4321 0 0");
    const char *settle = fixture_format("{'group': 'g', 'runs': [['t', 0, 0, 4321, %llu, 'ack']]}",
                                        (unsigned long long)answer->lease);
    assert_int_equal(fixture_number(fixture_ok(f, "SETTLE", settle, NULL), "applied"), 4321);
}

static void a_small_pull_comes_at_once(void **state)
{
    struct engine_fixture *f = *state;
    publish_batches(f, 5);
    const struct answer *answer =
        fixture_ok(f, "PULL", "{'group': 'g', 'topics': ['t'], 'parts': true}", NULL);
    assert_records(answer, 0, 500);
    assert_int_equal(answer->more_count, 0);
}

/* --- Room -------------------------------------------------------------------------------- */

/* Says yes so many times. */
static int rooms;

static enum engine_room room(void *arg, uint64_t ticket, uint32_t bytes)
{
    (void)arg;
    (void)ticket;
    if (bytes == 0) {
        return ENGINE_ROOM;
    }
    assert_true(bytes <= ZSP_FRAME_MAX);
    return rooms-- > 0 ? ENGINE_ROOM : ENGINE_NO_ROOM;
}

static void ask_for_room(struct engine_fixture *f, int times)
{
    f->options.room_fn = room;
    fixture_restart(f, MEM_KEEP_SYNCED);
    rooms = times;
}

/* Goal: a client that reads slowly is not sent more than it may have; it goes on from `next`. */
static void without_room_a_replay_ends_early(void **state)
{
    struct engine_fixture *f = *state;
    publish_batches(f, 45);
    ask_for_room(f, 2);
    const struct answer *answer = read_parts(f, 0, ALL);
    assert_records(answer, 0, 2000);
    assert_int_equal(fixture_number(answer, "next"), 2000);
    assert_string_equal(fixture_text(answer, "reason"), "limit");
    rooms = 100;
    assert_records(read_parts(f, 2000, ALL), 2000, 2500);
    rooms = 0;
    fixture_error(f, ZSP_EOVER_CREDIT, "READ", "{'topic': 't', 'from': 'earliest', 'parts': true}",
                  NULL);
}

/* Goal: one part is under way at a time. Method: take effects by hand. */
static void a_part_is_read_when_the_one_before_has_left(void **state)
{
    struct engine_fixture *f = *state;
    publish_batches(f, 45);
    const uint64_t ticket =
        fixture_send(f, "READ", "{'topic': 't', 'from': 'earliest', 'parts': true" ALL "}", NULL);
    for (int part = 0; part < 3; part++) {
        struct engine_effect effect = {0};
        engine_pump(f->engine, f->now);
        assert_true(engine_next_effect(f->engine, &effect));
        assert_true(effect.more);
        assert_int_equal(effect.ticket, ticket);
        engine_effect_release(&effect);
        assert_false(engine_next_effect(f->engine, &effect));
        assert_true(engine_deadline_ms(f->engine) <= f->now.mono_ms);
    }
    engine_abandon(f->engine, f->now, ticket);
    fixture_pump(f);
    assert_null(fixture_answer(f, ticket));
}

/* Goal: a replay can be taken back in the middle, also when the time of its wait has gone by. */
static void a_stream_can_be_cancelled(void **state)
{
    struct engine_fixture *f = *state;
    struct engine_effect effect = {0};
    publish_batches(f, 45);
    f->session = 7;
    const uint64_t ticket = fixture_send(
        f, "READ", "{'topic': 't', 'from': 'earliest', 'parts': true, 'wait_ms': 10" ALL "}", NULL);
    engine_pump(f->engine, f->now);
    assert_true(engine_next_effect(f->engine, &effect));
    assert_true(effect.more);
    engine_effect_release(&effect);
    f->now.mono_ms += 20;
    engine_pump(f->engine, f->now);
    const uint64_t cancel = fixture_send(
        f, "CANCEL", fixture_format("{'request': %llu}", (unsigned long long)ticket), NULL);
    fixture_pump(f);
    assert_non_null(strstr(fixture_answer(f, cancel)->text, "true"));
    const struct answer *answer = fixture_answer(f, ticket);
    assert_string_equal(fixture_text(answer, "reason"), "cancelled");
    assert_true(fixture_number(answer, "next") < 4500);
}

/* Part one of a replay from the start has left, and the next one is due, when retention takes what
 * is behind them. */
static uint64_t replay_overtaken_by_retention(struct engine_fixture *f)
{
    struct engine_effect effect = {0};
    f->session = 7;
    publish_batches(f, 45);
    fixture_ok(f, "TOPIC.SET", "{'topic': 't', 'settings': {'retention_time_ms': 9000}}", NULL);
    fixture_advance(f, 9900);
    const uint64_t ticket =
        fixture_send(f, "READ", "{'topic': 't', 'from': 'earliest', 'parts': true" ALL "}", NULL);
    engine_pump(f->engine, f->now);
    assert_true(engine_next_effect(f->engine, &effect));
    assert_true(effect.more);
    engine_effect_release(&effect);
    f->now.mono_ms += 200;
    f->now.wall_ms += 200;
    mem_store_hold(f->mem, MEM_READS); /* of the next part, and the retain behind it */
    engine_pump(f->engine, f->now);
    mem_store_hold(f->mem, 0);
    engine_pump(f->engine, f->now);
    return ticket;
}

static void a_stream_passes_over_what_retention_took(void **state)
{
    struct engine_fixture *f = *state;
    const uint64_t ticket = replay_overtaken_by_retention(f);
    fixture_pump(f);
    const struct answer *answer = fixture_answer(f, ticket);
    assert_string_equal(fixture_text(answer, "reason"), "end");
    assert_in_range(fixture_number(answer, "start"), 4000, 4499);
    assert_int_equal(fixture_number(answer, "next"), 4500);
}

static void a_cancelled_stream_goes_on_at_what_is_kept(void **state)
{
    struct engine_fixture *f = *state;
    const uint64_t ticket = replay_overtaken_by_retention(f);
    (void)fixture_send(f, "CANCEL", fixture_format("{'request': %llu}", (unsigned long long)ticket),
                       NULL);
    fixture_pump(f);
    const struct answer *answer = fixture_answer(f, ticket);
    assert_string_equal(fixture_text(answer, "reason"), "cancelled");
    assert_in_range(fixture_number(answer, "start"), 4000, 4499);
    assert_int_equal(fixture_number(answer, "next"), fixture_number(answer, "start"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_replay_comes_in_parts),
        TEST(what_is_small_comes_at_once),
        TEST(limits_hold_for_all_parts_together),
        TEST(more_than_a_reply_only_with_parts),
        TEST(a_read_that_waited_ends_at_the_end),
        TEST(a_pull_in_parts_is_one_lease),
        TEST(a_small_pull_comes_at_once),
        TEST(without_room_a_replay_ends_early),
        TEST(a_stream_can_be_cancelled),
        TEST(a_stream_passes_over_what_retention_took),
        TEST(a_cancelled_stream_goes_on_at_what_is_kept),
        TEST(a_part_is_read_when_the_one_before_has_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
