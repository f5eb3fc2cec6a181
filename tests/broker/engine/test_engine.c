/* SPDX-License-Identifier: MPL-2.0
 *
 * The frame of the engine: dispatch, statistics, options, and that the same
 * inputs give the same outputs.
 */
#include "broker/engine/engine_priv.h"
#include "common/limits.h"
#include "tests/broker/engine/engine_fixture.h"
#include "tests/common/testing.h"

static void unknown_verbs_are_refused(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_error(f, ZSP_EUNKNOWN_VERB, "publish", "{}", NULL);
    fixture_error(f, ZSP_EUNKNOWN_VERB, "", "{}", NULL);
    fixture_error(f, ZSP_EUNKNOWN_VERB,
                  "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4", "{}",
                  NULL);
    assert_false(engine_has_verb(zsp_slice_str("NOPE")));
}

static void options_out_of_range_make_no_engine(void **state)
{
    struct engine_fixture *const f = *state;
    struct engine_options options = f->options;
    struct zsp_err error = {0};
    options.default_partitions = 0;
    assert_null(engine_new(&options, &error));
    assert_int_equal(error.code, ZSP_EINVAL);
    options.default_partitions = ZSP_PARTITIONS_MAX + 1;
    assert_null(engine_new(&options, &error));
    options = f->options;
    options.store = NULL;
    assert_null(engine_new(&options, &error));
}

static void statistics_count_what_happened(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'two', 'partitions': 2}", NULL);
    fixture_ok(f, "PUBLISH", "{'topic': 'orders'}", "[[b'a'], [b'b']]");
    fixture_ok(f, "PRODUCER.OPEN", "{'producer': 'p'}", NULL);
    fixture_send(f, "READ", "{'topic': 'orders', 'from': 'latest', 'wait_ms': 1000}", NULL);
    const struct answer *const a = fixture_ok(f, "STATS", "{}", NULL);
    assert_int_equal(fixture_number(a, "published_messages"), 2);
    assert_int_equal(fixture_number(a, "topic_count"), 2);
    assert_int_equal(fixture_number(a, "partition_count"), 3);
    assert_int_equal(fixture_number(a, "producer_count"), 1);
    assert_int_equal(fixture_number(a, "parked_count"), 1);
    assert_true(fixture_number(a, "journal_records") > 0);
}

/* The answer about the widest topic fits a header. */
static void the_widest_topic_can_be_described(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'wide', 'partitions': 1024}", NULL);
    const struct answer *const a = fixture_ok(f, "TOPIC.INFO", "{'topic': 'wide'}", NULL);
    assert_true(a->header.len < ZSP_HEADER_MAX);
}

/* An answer that does not fit a header is an error, not a broken frame. */
static void an_answer_that_does_not_fit_is_told(void **state)
{
    struct engine_fixture *const f = *state;
    struct reply_to to = {.ticket = 77, .id = 5};
    assert_int_equal(pending_open(&f->engine->pending, &to), 0);
    struct zsp_writer *const out = reply_begin(f->engine, &to);
    uint8_t *const bytes = calloc(1, ZSP_HEADER_MAX);
    wire_write_map(out, 1);
    wire_write_text_str(out, "x", (struct zsp_slice){bytes, ZSP_HEADER_MAX});
    reply_end(f->engine);
    free(bytes);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, 77)->code, ZSP_ETOO_LARGE);
}

/* A second answer to one request, or one after it was given up, goes nowhere. */
static void an_answer_that_nobody_waits_for_is_dropped(void **state)
{
    struct engine_fixture *const f = *state;
    struct reply_to to = {.ticket = 77, .id = 5};
    assert_int_equal(pending_open(&f->engine->pending, &to), 0);
    assert_true(reply_wanted(f->engine, &to));
    reply_ok(f->engine, &to);
    assert_false(reply_wanted(f->engine, &to));
    reply_ok(f->engine, &to);
    const size_t before = f->answer_count;
    fixture_pump(f);
    assert_int_equal(f->answer_count, before + 1);
}

/* What only this process knows is told as internal. */
static void local_errors_are_told_as_internal(void **state)
{
    struct engine_fixture *const f = *state;
    struct reply_to to = {.ticket = 77, .id = 5};
    assert_int_equal(pending_open(&f->engine->pending, &to), 0);
    struct zsp_err error;
    zsp_err_set(&error, ZSP_ENOMEM, "out of memory");
    reply_error(f->engine, &to, &error);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, 77)->code, ZSP_EINTERNAL);
}

/* As many runs as reply_runs_max() tells do fit, with the longest names. */
static void runs_that_are_allowed_fit_a_header(void **state)
{
    struct engine_fixture *const f = *state;
    uint8_t name[ZSP_NAME_MAX];
    memset(name, 'x', sizeof name);
    const struct wire_run run = {.topic = {name, sizeof name},
                                 .partition = UINT32_MAX,
                                 .first = UINT64_MAX,
                                 .count = UINT64_MAX,
                                 .lease = UINT64_MAX,
                                 .timestamp_ms = INT64_MAX,
                                 .deliveries = UINT32_MAX,
                                 .failures = UINT32_MAX,
                                 .priority = 9,
                                 .raw_bytes = UINT32_MAX,
                                 .skip = UINT32_MAX};
    struct reply_to to = {.ticket = 77, .id = UINT64_MAX};
    assert_int_equal(pending_open(&f->engine->pending, &to), 0);
    struct zsp_writer *const out = reply_begin(f->engine, &to);
    const uint32_t count = reply_runs_max(sizeof name);
    wire_write_map(out, 1);
    wire_write_text(out, "longest"); /* not read as runs: no body could hold so many */
    wire_write_array(out, count);
    for (uint32_t i = 0; i < count; i++) {
        wire_write_run(out, &run);
    }
    reply_end(f->engine);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, 77)->code, ZSP_OK);
    assert_int_equal(reply_runs_max(1), (ZSP_HEADER_MAX - 4096) / 145);
}

/* A start of a broker that was busy knows all its topics, in any number. */
static void many_topics_survive_a_restart(void **state)
{
    struct engine_fixture *const f = *state;
    for (unsigned i = 0; i < 100; i++) {
        fixture_send(f, "PUBLISH", fixture_format("{'topic': 't%u'}", i), "[[b'a']]");
    }
    fixture_pump(f);
    fixture_restart(f, MEM_KEEP_SYNCED);
    struct engine_stats stats;
    engine_stats(f->engine, &stats);
    assert_int_equal(stats.topic_count, 100);
}

static void do_some_work(struct engine_fixture *f)
{
    for (unsigned i = 0; i < 40; i++) {
        fixture_send(f, "PUBLISH", fixture_format("{'topic': 't%u'}", i % 7), "[[b'a'], [b'b']]");
        fixture_send(f, "PRODUCER.OPEN", fixture_format("{'producer': 'p%u'}", i % 5), NULL);
        fixture_send(f, "READ",
                     fixture_format("{'topic': 't%u', 'from': 'latest', 'wait_ms': 50}", i % 7),
                     NULL);
        if (i % 3 == 0) {
            fixture_advance(f, 20);
        }
        if (i % 13 == 12) {
            fixture_send(f, "TOPIC.DELETE", fixture_format("{'topic': 't%u'}", i % 7), NULL);
        }
    }
    fixture_advance(f, 1000);
    fixture_send(f, "TOPIC.LIST", "{}", NULL);
    fixture_pump(f);
}

/* Two engines that see the same do the same, byte for byte, in the same order. */
static void the_same_inputs_give_the_same_outputs(void **state)
{
    struct engine_fixture *const f = *state;
    struct engine_fixture *const g = fixture_new(FIXTURE_MEM);
    g->random_state = 99; /* other hash seeds must not show */
    fixture_restart(g, MEM_KEEP_SYNCED);
    fixture_restart(f, MEM_KEEP_SYNCED);
    do_some_work(f);
    do_some_work(g);
    assert_int_equal(f->answer_count, g->answer_count);
    for (size_t i = 0; i < f->answer_count; i++) {
        assert_int_equal(f->answers[i]->ticket, g->answers[i]->ticket);
        assert_string_equal(f->answers[i]->text, g->answers[i]->text);
    }
    fixture_destroy(g);
}

/* An idle engine asks for nothing. */
static void an_idle_engine_does_not_want_to_be_called(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "PUBLISH", "{'topic': 'orders'}", "[[b'a']]");
    fixture_advance(f, 1000);
    assert_true(engine_deadline_ms(f->engine) > f->now.mono_ms + 3600 * 1000);
    fixture_send(f, "READ", "{'topic': 'orders', 'from': 'latest', 'wait_ms': 700}", NULL);
    fixture_pump(f);
    assert_int_equal(engine_deadline_ms(f->engine), f->now.mono_ms + 700);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(unknown_verbs_are_refused),
        TEST(options_out_of_range_make_no_engine),
        TEST(statistics_count_what_happened),
        TEST(the_widest_topic_can_be_described),
        TEST(an_answer_that_does_not_fit_is_told),
        TEST(an_answer_that_nobody_waits_for_is_dropped),
        TEST(local_errors_are_told_as_internal),
        TEST(runs_that_are_allowed_fit_a_header),
        TEST(many_topics_survive_a_restart),
        TEST(the_same_inputs_give_the_same_outputs),
        TEST(an_idle_engine_does_not_want_to_be_called),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
