/* SPDX-License-Identifier: MPL-2.0
 *
 * Messages whose time to live is over: counted, and done or dead, as the group likes.
 */
#include <inttypes.h>

#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"

/* A pull comes before the sweep, which rounds up to full seconds. */
#define TTL_MS 1001

/* A group, three messages that expire after TTL_MS with others around; their time is over. */
static void begin(struct engine_fixture *f, const char *mode, const char *settings)
{
    fixture_ok(f, "GROUP.CREATE",
               fixture_format("{'group': 'g', 'topics': ['t'], 'mode': '%s', 'settings': %s}", mode,
                              settings),
               NULL);
    steps_publish_each(f, "t", "a b");
    fixture_ok(f, "PUBLISH",
               fixture_format("{'topic': 't', 'partition': 0, 'expires_at_ms': %" PRId64 "}",
                              f->now.wall_ms + TTL_MS),
               "[[b'x'], [b'y'], [b'z']]");
    steps_publish_each(f, "t", "c");
}

static uint64_t expired_of(struct engine_fixture *f)
{
    const struct answer *answer = fixture_ok(f, "GROUP.INFO", "{'group': 'g'}", NULL);
    const msgpack_object *parts = wire_map_find(answer->map, "parts");
    assert_int_equal(parts->via.array.ptr[0].via.array.size, 11);
    return parts->via.array.ptr[0].via.array.ptr[9].via.u64;
}

static void assert_pulled(struct engine_fixture *f, const char *payloads)
{
    assert_string_equal(fixture_payloads(steps_pull(f, 9)), payloads);
}

static void they_are_counted_for_the_group(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "shared", "{}");
    assert_int_equal(expired_of(f), 0);
    fixture_advance(f, TTL_MS);
    assert_string_equal(steps_part(f, "t", 0), "0 6 6 0 0 0"); /* nobody has looked yet */
    assert_pulled(f, "a b c");
    assert_int_equal(expired_of(f), 3);
    assert_string_equal(steps_part(f, "t", 0), "0 6 0 3 0 0");
    for (int i = 0; i < 2; i++) {
        fixture_restart(f, MEM_KEEP_SYNCED);
        assert_int_equal(expired_of(f), 3);
    }
}

static void they_are_counted_where_nothing_else_was_pulled(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "shared", "{}");
    assert_string_equal(fixture_payloads(steps_pull(f, 2)), "a b");
    fixture_advance(f, TTL_MS);
    assert_string_equal(fixture_payloads(steps_pull(f, 1)), "c");
    assert_int_equal(expired_of(f), 3);
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_int_equal(expired_of(f), 3);
}

static void a_full_journal_counts_nothing(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "shared", "{'expired': 'dead'}");
    fixture_advance(f, TTL_MS);
    mem_store_fail_next_state(f->mem, ZSP_ENO_SPACE);
    fixture_error(f, ZSP_ENO_SPACE, "PULL", "{'group': 'g', 'topics': ['t']}", NULL);
    assert_int_equal(expired_of(f), 0);
    assert_int_equal(fixture_number(fixture_ok(f, "STATS", "{}", NULL), "expired_messages"), 0);
    assert_int_equal(fixture_number(fixture_ok(f, "STATS", "{}", NULL), "dead_messages"), 0);
    assert_pulled(f, "a b c");
    assert_int_equal(expired_of(f), 3);
}

static void they_are_dead_where_the_group_wants_it(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "shared", "{'expired': 'dead'}");
    fixture_advance(f, TTL_MS);
    assert_pulled(f, "a b c");
    assert_string_equal(steps_part(f, "t", 0), "0 6 0 3 0 3");
    assert_int_equal(fixture_number(fixture_ok(f, "STATS", "{}", NULL), "dead_messages"), 3);
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(steps_part(f, "t", 0), "0 6 0 3 0 3");
    assert_int_equal(expired_of(f), 3);
}

static void one_that_failed_before_is_dead_with_its_counts(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "shared", "{'expired': 'dead'}");
    const uint64_t lease = steps_pull(f, 9)->lease;
    steps_settle(f, 2, 1, lease, "'retry', {'delay_ms': 0, 'reason': 'no'}");
    steps_settle(f, 3, 3, lease, "'ack'");
    fixture_advance(f, TTL_MS);
    assert_pulled(f, "");
    assert_string_equal(steps_part(f, "t", 0), "0 6 0 2 0 1");
    assert_int_equal(expired_of(f), 1);
}

static void dead_ones_that_come_back_expire_again(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "shared", "{'expired': 'dead'}");
    fixture_advance(f, TTL_MS);
    assert_pulled(f, "a b c");
    fixture_ok(f, "SEEK", "{'group': 'g', 'to': 'earliest', 'dead': true}", NULL);
    assert_pulled(f, "a b c");
    assert_int_equal(expired_of(f), 6);
    assert_string_equal(steps_part(f, "t", 0), "0 6 0 3 0 3");
}

static void in_order_they_may_hold_what_is_behind(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "ordered", "{'expired': 'dead', 'on_dead': 'hold'}");
    fixture_advance(f, TTL_MS);
    const struct answer *answer = steps_pull(f, 9);
    const uint64_t lease = answer->lease;
    assert_string_equal(fixture_payloads(answer), "a b");
    assert_int_equal(fixture_number(steps_settle(f, 0, 2, lease, "'ack'"), "applied"), 2);
    assert_string_equal(fixture_text(steps_pull(f, 9), "reason"), "held");
    fixture_ok(f, "GROUP.SET", "{'group': 'g', 'settings': {'on_dead': 'skip'}}", NULL);
    assert_pulled(f, "c");
}

static void in_order_they_are_passed(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "ordered", "{}");
    fixture_advance(f, TTL_MS);
    assert_pulled(f, "a b c");
    assert_int_equal(expired_of(f), 3);
}

static void only_what_is_known_can_be_wished(void **state)
{
    struct engine_fixture *f = *state;
    fixture_error(f, ZSP_EBAD_VALUE, "GROUP.CREATE",
                  "{'group': 's', 'topics': [], 'settings': {'expired': 'keep'}}", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
        TEST(they_are_counted_for_the_group),
        TEST(they_are_counted_where_nothing_else_was_pulled),
        TEST(a_full_journal_counts_nothing),
        TEST(they_are_dead_where_the_group_wants_it),
        TEST(one_that_failed_before_is_dead_with_its_counts),
        TEST(dead_ones_that_come_back_expire_again),
        TEST(in_order_they_may_hold_what_is_behind),
        TEST(in_order_they_are_passed),
        TEST(only_what_is_known_can_be_wished),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
