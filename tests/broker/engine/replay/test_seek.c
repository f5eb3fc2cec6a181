/* SPDX-License-Identifier: MPL-2.0
 *
 * SEEK: where a group goes, what that costs, and that it is one durable step.
 */
#include <inttypes.h>
#include <stdio.h>

#include "broker/engine/group/group.h"
#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"

static const char *seek(struct engine_fixture *f, const char *args)
{
    return fixture_value(fixture_ok(f, "SEEK", args, NULL), "partitions");
}

static void back_to_the_beginning(void **state)
{
    struct engine_fixture *f = *state;
    const uint64_t lease = steps_mixed(f);
    assert_string_equal(seek(f, "{'group': 'g', 'to': 'earliest'}"), "[[0, 2, 0, 1, 0]]");
    assert_string_equal(steps_part(f, "t", 0), "0 6 5 0 0 1");
    assert_string_equal(fixture_payloads(steps_pull(f, 10)), "a c d e f");
    assert_string_equal(fixture_value(steps_settle(f, 3, 1, lease, "'ack'"), "not_applied"),
                        "[[\"t\", 0, 3, 1, \"lost\"]]");
}

static void forward_skips(void **state)
{
    struct engine_fixture *f = *state;
    steps_mixed(f);
    assert_string_equal(seek(f, "{'group': 'g', 'to': ['offset', 5]}"), "[[0, 2, 5, 0, 3]]");
    assert_string_equal(steps_part(f, "t", 0), "5 6 1 0 0 1");
    assert_string_equal(fixture_payloads(steps_pull(f, 10)), "f");
}

static void a_dry_run_only_tells(void **state)
{
    struct engine_fixture *f = *state;
    const uint64_t lease = steps_mixed(f);
    const size_t records = mem_store_record_count(f->mem);
    assert_string_equal(seek(f, "{'group': 'g', 'to': 'latest', 'dry_run': true}"),
                        "[[0, 2, 6, 0, 4]]");
    assert_int_equal(mem_store_record_count(f->mem), records);
    assert_string_equal(steps_part(f, "t", 0), "2 6 2 1 1 1");
    assert_int_equal(fixture_number(steps_settle(f, 3, 1, lease, "'ack'"), "applied"), 1);
}

static void the_dead_come_back_when_asked(void **state)
{
    struct engine_fixture *f = *state;
    steps_mixed(f);
    assert_string_equal(seek(f, "{'group': 'g', 'to': 'earliest', 'dead': true}"),
                        "[[0, 2, 0, 2, 0]]");
    assert_string_equal(fixture_payloads(steps_pull(f, 10)), "a b c d e f");
}

static void all_positions_are_understood(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_over_time(f);
    steps_settle(f, 0, 4, steps_pull(f, 4)->lease, "'ack'");
    const struct {
        const char *to, *expected;
    } cases[] = {
        {"'earliest'", "[[0, 4, 0, 4, 0]]"},    {"'latest'", "[[0, 4, 4, 0, 0]]"},
        {"['offset', 1]", "[[0, 4, 1, 3, 0]]"}, {"['last', 3]", "[[0, 4, 1, 3, 0]]"},
        {"['last', 99]", "[[0, 4, 0, 4, 0]]"},  {"['time', 1700000001000]", "[[0, 4, 2, 2, 0]]"},
        {"['ago', 1000]", "[[0, 4, 2, 2, 0]]"}, {"['time', 1800000000000]", "[[0, 4, 4, 0, 0]]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *args = fixture_format("{'group': 'g', 'dry_run': true, 'to': %s}", cases[i].to);
        assert_string_equal(seek(f, args), cases[i].expected);
    }
}

static void bad_requests_are_refused(void **state)
{
    struct engine_fixture *f = *state;
    steps_mixed(f);
    const struct {
        int code;
        const char *args;
    } cases[] = {
        {ZSP_EOUT_OF_RANGE, "{'group': 'g', 'to': ['offset', 7]}"},
        {ZSP_EUNSUPPORTED, "{'group': 'g', 'to': ['id', 'x']}"},
        {ZSP_ENOT_FOUND, "{'group': 'h', 'to': 'latest'}"},
        {ZSP_ENOT_FOUND, "{'group': 'g', 'topic': 'u', 'to': 'latest'}"},
        {ZSP_ENOT_FOUND, "{'group': 'g', 'partition': 1, 'to': 'latest'}"},
        {ZSP_EBAD_VALUE, "{'group': 'g'}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture_error(f, cases[i].code, "SEEK", cases[i].args, NULL);
    }
    fixture_ok(f, "PULL", "{'group': 'g', 'topics': ['u']}", NULL);
    fixture_error(f, ZSP_EBAD_VALUE, "SEEK", "{'group': 'g', 'to': 'latest'}", NULL);
    assert_string_equal(steps_part(f, "t", 0), "2 6 2 1 1 1");
}

static void all_partitions_go_in_one_record(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 't', 'partitions': 3}", NULL);
    for (int i = 0; i < 3; i++) {
        fixture_ok(f, "PUBLISH", fixture_format("{'topic': 't', 'partition': %d}", i),
                   "[[b'x'], [b'y']]");
    }
    steps_pull(f, 10);
    const size_t records = mem_store_record_count(f->mem);
    assert_string_equal(seek(f, "{'group': 'g', 'to': 'latest'}"),
                        "[[0, 0, 2, 0, 2], [1, 0, 2, 0, 2], [2, 0, 2, 0, 2]]");
    assert_int_equal(mem_store_record_count(f->mem), records + 1);
    assert_string_equal(seek(f, "{'group': 'g', 'partition': 1, 'to': 'earliest'}"),
                        "[[1, 2, 0, 2, 0]]");
    assert_int_equal(steps_count(steps_pull(f, 10)), 2);
}

static void a_seek_waits_for_its_sync_and_stays(void **state)
{
    struct engine_fixture *f = *state;
    steps_mixed(f);
    mem_store_hold(f->mem, MEM_SYNCS);
    const uint64_t ticket = fixture_send(f, "SEEK", "{'group': 'g', 'to': 'earliest'}", NULL);
    fixture_pump(f);
    assert_null(fixture_answer(f, ticket));
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_non_null(fixture_answer(f, ticket));
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(steps_part(f, "t", 0), "0 6 5 0 0 1");
    assert_string_equal(fixture_payloads(steps_pull(f, 10)), "a c d e f");
}

static void a_refused_seek_changes_nothing(void **state)
{
    struct engine_fixture *f = *state;
    const uint64_t lease = steps_mixed(f);
    mem_store_fail_next_state(f->mem, ZSP_ENO_SPACE);
    fixture_error(f, ZSP_ENO_SPACE, "SEEK", "{'group': 'g', 'to': 'latest'}", NULL);
    assert_string_equal(steps_part(f, "t", 0), "2 6 2 1 1 1");
    assert_int_equal(fixture_number(steps_settle(f, 3, 1, lease, "'ack'"), "applied"), 1);
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(steps_part(f, "t", 0), "2 6 2 0 1 1");
}

/* Goal: a pull that reads while the group is moved hands nothing out of the old place. */
static void a_pull_at_work_does_not_outlive_a_seek(void **state)
{
    struct engine_fixture *f = *state;
    steps_pull(f, 1);
    steps_publish_each(f, "t", "a b c");
    mem_store_hold(f->mem, MEM_READS);
    const uint64_t ticket = steps_wait(f, 2, 60000);
    fixture_pump(f);
    fixture_ok(f, "SEEK", "{'group': 'g', 'to': ['offset', 2]}", NULL);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_string_equal(fixture_payloads(fixture_answer(f, ticket)), "c");
    assert_string_equal(steps_part(f, "t", 0), "2 3 0 1 0 0");
}

static void leases_of_other_topics_live_on(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a");
    steps_publish_each(f, "u", "b");
    const uint64_t lease =
        fixture_ok(f, "PULL", "{'group': 'g', 'topics': ['t', 'u']}", NULL)->lease;
    seek(f, "{'group': 'g', 'topic': 'u', 'to': 'earliest'}");
    assert_int_equal(fixture_number(steps_settle(f, 0, 1, lease, "'ack'"), "applied"), 1);
    assert_string_equal(steps_part(f, "u", 0), "0 1 1 0 0 0");
}

static uint64_t lease_count(struct engine_fixture *f)
{
    struct engine_stats stats;
    engine_stats(f->engine, &stats);
    return stats.lease_count;
}

/* Goal: a lease over several partitions loses what is out of those that move, no more, and ends with
 * the last. */
static void a_lease_keeps_what_is_out_of_other_partitions(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 't', 'partitions': 3}", NULL);
    for (unsigned i = 0; i < 3; i++) {
        fixture_ok(f, "PUBLISH", fixture_format("{'topic': 't', 'partition': %u}", i),
                   "[[b'a'], [b'b'], [b'c']]");
    }
    const uint64_t lease = steps_pull(f, 9)->lease;
    steps_settle(f, 1, 1, lease, "'ack'");
    seek(f, "{'group': 'g', 'topic': 't', 'partition': 0, 'to': 'latest'}");
    assert_int_equal(lease_count(f), 1);
    assert_string_equal(steps_part(f, "t", 1), "0 3 0 3 0 0");
    seek(f, "{'group': 'g', 'topic': 't', 'partition': 2, 'to': 'earliest'}");
    assert_int_equal(lease_count(f), 1);
    const char *rest =
        fixture_format("{'group': 'g', 'runs': [['t', 1, 0, 3, %" PRIu64 ", 'ack']]}", lease);
    assert_int_equal(fixture_number(fixture_ok(f, "SETTLE", rest, NULL), "applied"), 3);
    assert_int_equal(lease_count(f), 0);
    steps_pull(f, 9);
    seek(f, "{'group': 'g', 'to': 'latest'}");
    assert_int_equal(lease_count(f), 0);
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_int_equal(lease_count(f), 0);
    assert_string_equal(steps_part(f, "t", 2), "3 3 0 0 0 0");
}

/* Ack every other one of `count` messages that are out, by as many requests as that needs. */
static void ack_every_other(struct engine_fixture *f, unsigned count, uint64_t lease)
{
    static char args[64 * 500 + 64];
    for (unsigned from = 0; from < count; from += 1000) {
        int len = snprintf(args, sizeof args, "{'group': 'g', 'runs': [");
        for (unsigned i = from; i < from + 1000 && i < count; i += 2) {
            len +=
                snprintf(args + len, sizeof args - (size_t)len,
                         "%s['t', 0, %u, 1, %" PRIu64 ", 'ack']", i > from ? ", " : "", i, lease);
        }
        (void)snprintf(args + len, sizeof args - (size_t)len, "]}");
        fixture_ok(f, "SETTLE", args, NULL);
    }
}

/* Goal: what a seek tells is right where only one side of it is looked at. */
static void many_holes_are_counted_on_the_shorter_side(void **state)
{
    struct engine_fixture *f = *state;
    const struct {
        unsigned to;
        const char *expected;
    } cases[] = {{0, "[[0, 1, 0, 15000, 0]]"},           {9, "[[0, 1, 9, 14995, 4]]"},
                 {15000, "[[0, 1, 15000, 7500, 7500]]"}, {29990, "[[0, 1, 29990, 5, 14995]]"},
                 {30000, "[[0, 1, 30000, 0, 15000]]"},   {30003, "[[0, 1, 30003, 0, 15003]]"}};
    steps_publish(f, "t", 30000);
    ack_every_other(f, 30000, steps_pull(f, 30000)->lease);
    steps_publish_each(f, "t", "a b c d");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *args =
            fixture_format("{'group': 'g', 'dry_run': true, 'to': ['offset', %u]}", cases[i].to);
        assert_string_equal(seek(f, args), cases[i].expected);
    }
    const uint64_t before = f->engine->groups->slab.work;
    seek(f, "{'group': 'g', 'dry_run': true, 'to': 'latest'}");
    assert_true(f->engine->groups->slab.work - before < 5000);
    seek(f,
         "{'group': 'g', 'dry_run': true, 'to': ['offset', 15000]}"); /* one side tells the other */
    assert_true(f->engine->groups->slab.work - before < 5000 + 7500 + 10000);
}

/* Goal: a purge of many holes, of all that there is or but for the end, does not look at them. */
static void many_holes_go_with_their_messages(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish(f, "t", 30000);
    steps_publish(f, "t", 10);
    const uint64_t lease = steps_pull(f, 30010)->lease;
    ack_every_other(f, 30010, lease);
    const uint64_t before = f->engine->groups->slab.work;
    (void)fixture_send(f, "TOPIC.PURGE", "{'topic': 't', 'before': ['offset', 30000]}", NULL);
    assert_true(f->engine->groups->slab.work - before < 15000);
    fixture_pump(f);
    assert_string_equal(steps_part(f, "t", 0), "30001 30010 0 5 0 0");
    const char *info = fixture_format("{'group': 'g'}");
    assert_int_equal(lease_count(f), 1);
    assert_non_null(strstr(fixture_ok(f, "GROUP.INFO", info, NULL)->text, "15000"));
    fixture_ok(f, "TOPIC.PURGE", "{'topic': 't', 'before': 'latest'}", NULL);
    assert_int_equal(lease_count(f), 0);
    assert_int_equal(f->engine->groups->slab.used, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(back_to_the_beginning),
        TEST(forward_skips),
        TEST(a_dry_run_only_tells),
        TEST(the_dead_come_back_when_asked),
        TEST(all_positions_are_understood),
        TEST(bad_requests_are_refused),
        TEST(all_partitions_go_in_one_record),
        TEST(a_seek_waits_for_its_sync_and_stays),
        TEST(a_refused_seek_changes_nothing),
        TEST(a_pull_at_work_does_not_outlive_a_seek),
        TEST(leases_of_other_topics_live_on),
        TEST(a_lease_keeps_what_is_out_of_other_partitions),
        TEST(many_holes_are_counted_on_the_shorter_side),
        TEST(many_holes_go_with_their_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
