/* SPDX-License-Identifier: MPL-2.0
 *
 * A publish is told to the ledgers for which somebody waits; the others find out
 * when they are looked at, and then know it all.
 */
#include <stdio.h>

#include "broker/engine/group/group.h"
#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"

#define GROUPS 50

static const struct partition *partition_of(const struct engine_fixture *f)
{
    const struct topic *const topic = topic_find(f->engine, zsp_slice_str("t"));
    assert_non_null(topic);
    return topic->partitions[0];
}

/* How many ledgers the next publish is told to. */
static unsigned listeners(const struct engine_fixture *f)
{
    unsigned count = 0;
    const struct ledger *ledger = partition_of(f)->listeners.first;
    for (; ledger; ledger = ledger->watch_next) {
        count++;
    }
    return count;
}

static const struct answer *pull_of(struct engine_fixture *f, unsigned group, unsigned wait_ms)
{
    char args[128];
    (void)snprintf(args, sizeof args, "{'group': 'g%u', 'topics': ['t'], 'wait_ms': %u}", group,
                   wait_ms);
    if (wait_ms == 0) {
        return fixture_ok(f, "PULL", args, NULL);
    }
    (void)fixture_send(f, "PULL", args, NULL);
    fixture_pump(f);
    return NULL;
}

static void a_publish_that_nobody_waits_for_touches_no_group(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a");
    for (unsigned i = 0; i < GROUPS; i++) {
        assert_int_equal(steps_count(pull_of(f, i, 0)), 1);
    }
    steps_publish_each(f, "t", "b"); /* told to all that were looked at since the last one */
    assert_int_equal(listeners(f), 0);
    steps_publish_each(f, "t", "c");
    assert_string_equal(fixture_payloads(pull_of(f, 7, 0)), "b c");
    assert_int_equal(listeners(f), 1);
}

static void only_groups_that_wait_are_told(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a");
    for (unsigned i = 0; i < GROUPS; i++) {
        assert_int_equal(steps_count(pull_of(f, i, 0)), 1);
    }
    for (unsigned i = 0; i < 3; i++) {
        (void)pull_of(f, i, 1000);
    }
    const uint64_t delivered = f->engine->stats.delivered_messages;
    steps_publish_each(f, "t", "b");
    assert_int_equal(f->engine->stats.delivered_messages, delivered + 3);
    steps_publish_each(f, "t", "c"); /* their pulls were answered: nobody waits */
    assert_int_equal(listeners(f), 0);
}

/* Figures and positions are those of all that was published, told or not. */
static void who_looks_sees_everything(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a b");
    assert_int_equal(steps_count(steps_pull(f, 1)), 1);
    steps_publish_each(f, "t", "c");
    steps_publish_each(f, "t", "d e");
    assert_int_equal(listeners(f), 0);
    assert_string_equal(steps_part(f, "t", 0), "0 5 4 1 0 0");
    steps_publish_each(f, "t", "f");
    steps_publish_each(f, "t", "g");
    fixture_ok(f, "SEEK", "{'group': 'g', 'topic': 't', 'to': 'latest'}", NULL);
    assert_string_equal(steps_part(f, "t", 0), "7 7 0 0 0 0");
    steps_publish_each(f, "t", "h");
    assert_string_equal(fixture_payloads(steps_pull(f, 10)), "h");
}

/* A group that is deleted, and a topic, leave the lists in order. */
static void what_goes_is_told_no_more(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a");
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(steps_count(pull_of(f, i, 0)), 1);
    }
    (void)pull_of(f, 2, 1000);
    fixture_ok(f, "GROUP.DELETE", "{'group': 'g1'}", NULL);
    fixture_ok(f, "GROUP.DELETE", "{'group': 'g2'}", NULL);
    assert_int_equal(listeners(f), 2);
    steps_publish_each(f, "t", "b");
    assert_int_equal(listeners(f), 0);
    fixture_ok(f, "GROUP.DELETE", "{'group': 'g3'}", NULL);
    fixture_ok(f, "TOPIC.DELETE", "{'topic': 't'}", NULL);
    steps_publish_each(f, "t", "again");
    assert_string_equal(fixture_payloads(pull_of(f, 0, 0)), "again");
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_publish_that_nobody_waits_for_touches_no_group),
        CASE(only_groups_that_wait_are_told),
        CASE(who_looks_sees_everything),
        CASE(what_goes_is_told_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
