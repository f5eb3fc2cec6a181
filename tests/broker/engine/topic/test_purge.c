/* SPDX-License-Identifier: MPL-2.0
 *
 * TOPIC.PURGE: messages go, offsets go on, groups count what they lose.
 */
#include <inttypes.h>

#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"

#define PURGE_ALL "{'topic': 't', 'before': 'latest'}"
#define DRY_ALL   "{'topic': 't', 'before': 'latest', 'dry_run': true}"

static const char *text_of(const struct answer *answer)
{
    const char *partitions = fixture_format("%s", fixture_value(answer, "partitions"));
    return fixture_format("%s %" PRIu64 " %s", partitions, fixture_number(answer, "messages"),
                          fixture_value(answer, "groups"));
}

/* What the group lost in topic t, partition 0. */
static const char *info(struct engine_fixture *f)
{
    return fixture_value(fixture_ok(f, "GROUP.INFO", "{'group': 'g'}", NULL), "parts");
}

static void messages_go_and_offsets_go_on(void **state)
{
    struct engine_fixture *f = *state;
    const uint64_t lease = steps_mixed(f);
    fixture_ok(f, "GROUP.CREATE", "{'group': 'late', 'topics': ['t'], 'start': 'latest'}", NULL);
    const char *told = "[[0, 0, 6]] 6 [[\"g\", 4]]";
    assert_string_equal(text_of(fixture_ok(f, "TOPIC.PURGE", DRY_ALL, NULL)), told);
    assert_string_equal(info(f), "[[\"t\", 0, 2, 6, 2, 1, 1, 1, 0, 0, 0]]");
    assert_string_equal(text_of(fixture_ok(f, "TOPIC.PURGE", PURGE_ALL, NULL)), told);
    assert_string_equal(fixture_value(steps_settle(f, 3, 1, lease, "'ack'"), "not_applied"),
                        "[[\"t\", 0, 3, 1, \"done\"]]");
    for (int i = 0; i < 2; i++) {
        assert_string_equal(info(f), "[[\"t\", 0, 6, 6, 0, 0, 0, 0, 4, 0, 0]]");
        fixture_error(f, ZSP_EOUT_OF_RANGE, "READ", "{'topic': 't', 'from': ['offset', 5]}", NULL);
        assert_int_equal(
            fixture_number(fixture_ok(f, "READ", "{'topic': 't', 'from': 'earliest'}", NULL),
                           "start"),
            6);
        fixture_restart(f, MEM_KEEP_SYNCED);
    }
    assert_string_equal(text_of(fixture_ok(f, "TOPIC.PURGE", PURGE_ALL, NULL)), "[[0, 6, 6]] 0 []");
    steps_publish_each(f, "t", "g");
    assert_string_equal(fixture_payloads(steps_pull(f, 10)), "g");
    assert_string_equal(info(f), "[[\"t\", 0, 6, 7, 0, 1, 0, 0, 4, 0, 0]]");
}

/* Goal: up to a position, also inside of what the store keeps as one piece. */
static void a_position_says_up_to_where(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 't', 'partitions': 2}", NULL);
    for (int i = 0; i < 2; i++) {
        fixture_ok(f, "PUBLISH", fixture_format("{'topic': 't', 'partition': %d}", i),
                   "[[b'a'], [b'b'], [b'c']]");
    }
    fixture_leap(f, 1000);
    fixture_ok(f, "PUBLISH", "{'topic': 't', 'partition': 1}", "[[b'd']]");
    assert_string_equal(
        text_of(fixture_ok(f, "TOPIC.PURGE",
                           "{'topic': 't', 'partition': 0, 'before': ['offset', 2]}", NULL)),
        "[[0, 0, 2]] 2 []");
    const struct answer *read = fixture_ok(f, "READ", "{'topic': 't', 'from': 'earliest'}", NULL);
    assert_string_equal(fixture_payloads(read), "c");
    assert_string_equal(
        text_of(fixture_ok(f, "TOPIC.PURGE", "{'topic': 't', 'before': ['ago', 500]}", NULL)),
        "[[0, 2, 3], [1, 0, 3]] 4 []");
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(
        fixture_payloads(fixture_ok(f, "PULL", "{'group': 'new', 'topics': ['t']}", NULL)), "d");
    assert_string_equal(
        fixture_value(fixture_ok(f, "GROUP.INFO", "{'group': 'new'}", NULL), "parts"),
        "[[\"t\", 0, 3, 3, 0, 0, 0, 0, 0, 0, 0], [\"t\", 1, 3, 4, 0, 1, 0, 0, 0, 0, 0]]");
}

static void a_purge_is_durable_before_anything_goes(void **state)
{
    struct engine_fixture *f = *state;
    steps_mixed(f);
    mem_store_hold(f->mem, MEM_SYNCS);
    const uint64_t ticket = fixture_send(f, "TOPIC.PURGE", PURGE_ALL, NULL);
    fixture_pump(f);
    assert_null(fixture_answer(f, ticket));
    assert_string_equal(info(f), "[[\"t\", 0, 2, 6, 2, 1, 1, 1, 0, 0, 0]]");
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(info(f), "[[\"t\", 0, 2, 6, 2, 1, 1, 1, 0, 0, 0]]");
}

/* Goal: a crash between a purge and the removal of its files leaves none of them for ever. */
static void a_purge_that_was_cut_off_is_finished_by_the_next_start(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a b c");
    mem_store_hold(f->mem, MEM_READS);
    fixture_ok(f, "TOPIC.PURGE", PURGE_ALL, NULL);
    fixture_restart(f, MEM_KEEP_SYNCED);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_string_equal(
        fixture_value(fixture_ok(f, "TOPIC.INFO", "{'topic': 't'}", NULL), "partitions"),
        "[[0, 3, 3, 0]]");
}

#define NTH "{'topic': 't', 'partition': 0, 'producer': 'p', 'epoch': 1, 'seq': %d, 'count': 1}"

/* Goal: the batch that told of a sequence is gone after a purge; what it told is not. */
static void a_producer_knows_where_it_stopped(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 't'}", NULL);
    fixture_ok(f, "PRODUCER.OPEN", "{'producer': 'p'}", NULL);
    fixture_ok(f, "PUBLISH", fixture_format(NTH, 1), "[[b'a']]");
    fixture_ok(f, "TOPIC.PURGE", PURGE_ALL, NULL);
    fixture_restart(f, MEM_KEEP_SYNCED);
    const struct answer *a = fixture_ok(f, "PUBLISH", fixture_format(NTH, 1), "[[b'a']]");
    assert_string_equal(fixture_value(a, "at"), "[[0, 1, 0, 0, true]]");
    fixture_error(f, ZSP_ESEQUENCE_GAP, "PUBLISH", fixture_format(NTH, 3), "[[b'c']]");
    a = fixture_ok(f, "PUBLISH", fixture_format(NTH, 2), "[[b'b']]");
    assert_string_equal(fixture_value(a, "at"), "[[0, 1, 0, 1, false]]");
}

static void a_refused_purge_changes_nothing(void **state)
{
    struct engine_fixture *f = *state;
    steps_mixed(f);
    mem_store_fail_next_state(f->mem, ZSP_ENO_SPACE);
    fixture_error(f, ZSP_ENO_SPACE, "TOPIC.PURGE", PURGE_ALL, NULL);
    /* Another image of the topic does not carry it. */
    fixture_ok(f, "TOPIC.SET", "{'topic': 't', 'settings': {'retention_bytes': 1000000}}", NULL);
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(info(f), "[[\"t\", 0, 2, 6, 2, 1, 1, 1, 0, 0, 0]]");
}

/* Goal: an image that is written after a purge was put says the same of it. */
static void settings_do_not_bring_messages_back(void **state)
{
    struct engine_fixture *f = *state;
    steps_mixed(f);
    fixture_send(f, "TOPIC.PURGE", PURGE_ALL, NULL);
    fixture_send(f, "TOPIC.SET", "{'topic': 't', 'settings': {'retention_bytes': 1000000}}", NULL);
    fixture_pump(f);
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(info(f), "[[\"t\", 0, 6, 6, 0, 0, 0, 0, 4, 0, 0]]");
}

/* Goal: what a pull is reading when its messages go is not handed out. */
static void a_pull_at_work_does_not_outlive_a_purge(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a b");
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['t']}", NULL);
    mem_store_hold(f->mem, MEM_READS);
    const uint64_t ticket = steps_wait(f, 10, 0);
    fixture_pump(f);
    fixture_ok(f, "TOPIC.PURGE", PURGE_ALL, NULL);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_int_equal(steps_count(fixture_answer(f, ticket)), 0);
    assert_string_equal(info(f), "[[\"t\", 0, 2, 2, 0, 0, 0, 0, 2, 0, 0]]");
}

static void bad_requests_are_refused(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a");
    const struct {
        int code;
        const char *args;
    } cases[] = {
        {ZSP_ENOT_FOUND, "{'topic': 'u', 'before': 'latest'}"},
        {ZSP_ENOT_FOUND, "{'topic': 't', 'partition': 1, 'before': 'latest'}"},
        {ZSP_EOUT_OF_RANGE, "{'topic': 't', 'before': ['offset', 2]}"},
        {ZSP_EBAD_VALUE, "{'topic': 't'}"},
        {ZSP_EUNSUPPORTED, "{'topic': 't', 'before': ['id', 'x']}"},
        {ZSP_EUNKNOWN_ARGUMENT, "{'topic': 't', 'before': 'latest', 'x': 1}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture_error(f, cases[i].code, "TOPIC.PURGE", cases[i].args, NULL);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(messages_go_and_offsets_go_on),
        TEST(a_position_says_up_to_where),
        TEST(a_purge_is_durable_before_anything_goes),
        TEST(a_purge_that_was_cut_off_is_finished_by_the_next_start),
        TEST(a_producer_knows_where_it_stopped),
        TEST(a_refused_purge_changes_nothing),
        TEST(settings_do_not_bring_messages_back),
        TEST(a_pull_at_work_does_not_outlive_a_purge),
        TEST(bad_requests_are_refused),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
