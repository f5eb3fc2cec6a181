/* SPDX-License-Identifier: MPL-2.0
 *
 * Groups with `priority = weighted`: the less urgent have one turn of 16.
 */
#include <inttypes.h>
#include <stdio.h>

#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"

static void publish_until(struct engine_fixture *f, unsigned priority, unsigned count,
                          int64_t expires_at_ms)
{
    char records[8192] = "";
    size_t len = 0;
    for (unsigned i = 0; i < count; i++) {
        len += (size_t)snprintf(records + len, sizeof records - len, "%s[b'p%u']", i ? "," : "[",
                                priority);
    }
    (void)snprintf(records + len, sizeof records - len, "]");
    fixture_ok(f, "PUBLISH",
               fixture_format("{'topic': 't', 'partition': 0, 'priority': %u%s}", priority,
                              expires_at_ms > 0
                                  ? fixture_format(", 'expires_at_ms': %" PRId64, expires_at_ms)
                                  : ""),
               records);
}

static void publish_at(struct engine_fixture *f, unsigned priority, unsigned count)
{
    publish_until(f, priority, count, 0);
}

static void begin(struct engine_fixture *f)
{
    fixture_ok(f, "GROUP.CREATE",
               "{'group': 'g', 'topics': ['t'], 'settings': {'priority': 'weighted'}}", NULL);
}

/* Pull `count` messages, `max` at a time: which priorities came, a digit each. */
static const char *pulled(struct engine_fixture *f, unsigned count, unsigned max)
{
    static char digits[1024];
    size_t len = 0;
    while (len < count) {
        const char *payloads =
            fixture_payloads(steps_pull(f, max < count - len ? max : count - (unsigned)len));
        const size_t before = len;
        for (const char *at = payloads; (at = strchr(at, 'p')); at++) {
            digits[len++] = at[1];
        }
        assert_true(len > before);
    }
    digits[len] = '\0';
    return digits;
}

static unsigned digits_of(const char *digits, char digit)
{
    unsigned count = 0;
    for (; *digits; digits++) {
        count += *digits == digit;
    }
    return count;
}

/* Goal: a turn comes also when each pull reserves all that is there, and its reply is full before. With
 * a filter a pull asks for more than there is. */
static void small_replies_of_large_pulls_have_turns(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "GROUP.CREATE",
               "{'group': 'g', 'topics': ['t'], 'settings': {'priority': 'weighted', 'filter': "
               "'not type = \"no\"'}}",
               NULL);
    for (int i = 0; i < 8; i++) { /* so it asks for more from now on */
        fixture_ok(
            f, "PUBLISH", "{'topic': 't', 'partition': 0}",
            "[[b'x', null, 'no'], [b'x', null, 'no'], [b'x', null, 'no'], [b'x', null, 'no']]");
    }
    (void)steps_pull(f, 1);
    publish_at(f, 4, 3);
    publish_at(f, 9, 40);
    char digits[64];
    size_t len = 0;
    while (len < 20) {
        const struct answer *a =
            fixture_ok(f, "PULL", "{'group': 'g', 'max_messages': 100, 'max_bytes': 26}", NULL);
        assert_in_range(steps_count(a), 1, 8);
        for (const char *at = fixture_payloads(a); (at = strchr(at, 'p')); at++) {
            digits[len++] = at[1];
        }
    }
    digits[16] = '\0';
    assert_string_equal(digits, "9999999999999994");
}

static void one_of_sixteen_is_of_the_less_urgent(void **state)
{
    struct engine_fixture *f = *state;
    begin(f);
    publish_at(f, 4, 10);
    publish_at(f, 9, 100);
    assert_string_equal(pulled(f, 40, 40), "9999999999999994999999999999999499999999");
    assert_string_equal(pulled(f, 16, 16), "9999999499999999");
}

static void pulls_of_one_have_turns_as_well(void **state)
{
    struct engine_fixture *f = *state;
    begin(f);
    publish_at(f, 4, 10);
    publish_at(f, 9, 100);
    assert_string_equal(pulled(f, 40, 1), "9999999999999994999999999999999499999999");
}

static void the_turns_go_round(void **state)
{
    struct engine_fixture *f = *state;
    begin(f);
    for (unsigned priority = 0; priority <= 9; priority++) {
        publish_at(f, priority, priority == 9 ? 300 : 3);
    }
    const char *digits = pulled(f, 16 * 12, 16);
    char turns[13] = "";
    for (unsigned i = 0; i < 12; i++) {
        turns[i] = digits[16 * i + 15];
    }
    assert_string_equal(turns, "876543210876");
    assert_int_equal(digits_of(digits, '9'), 15 * 12);
}

static void without_others_there_are_no_turns(void **state)
{
    struct engine_fixture *f = *state;
    begin(f);
    publish_at(f, 9, 40);
    assert_int_equal(digits_of(pulled(f, 30, 30), '9'), 30);
    publish_at(f, 4, 40);
    const char *digits = pulled(f, 20, 20);
    assert_int_equal(digits_of(digits, '9'), 10);
    assert_string_equal(digits + 11, "444444444"); /* at most one came before */
}

/* What was more urgent has come and gone: the turns are those of what is less urgent now. */
static void urgent_ones_that_are_gone_take_no_turns(void **state)
{
    struct engine_fixture *f = *state;
    begin(f);
    publish_at(f, 3, 2); /* what lies behind it is not forgotten before it is taken */
    for (unsigned priority = 5; priority <= 9; priority++) {
        publish_at(f, priority, 1);
    }
    assert_string_equal(pulled(f, 5, 5), "98765");
    publish_at(f, 4, 20);
    assert_string_equal(pulled(f, 10, 10), "4444444444");
    publish_at(f, 4, 20); /* there may be more urgent ones among them: there are none */
    assert_string_equal(pulled(f, 17, 17), "34444444444444443");
}

static void a_strict_group_lets_them_wait(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['t']}", NULL);
    publish_at(f, 4, 10);
    publish_at(f, 9, 100);
    assert_int_equal(digits_of(pulled(f, 100, 10), '9'), 100);
}

static void a_large_pull_has_turns_of_several(void **state)
{
    struct engine_fixture *f = *state;
    begin(f);
    publish_at(f, 4, 100);
    for (unsigned i = 0; i < 10; i++) {
        publish_at(f, 9, 100);
    }
    const char *digits = pulled(f, 500, 500);
    assert_in_range(digits_of(digits, '4'), 500 / 16 - 5, 500 / 16 + 5);
}

/* Goal: a reply that always ends before the turn does not starve the others. */
static void a_turn_that_does_not_fit_is_made_up_for(void **state)
{
    struct engine_fixture *f = *state;
    begin(f);
    publish_at(f, 4, 10);
    publish_at(f, 9, 200);
    unsigned fours = 0;
    for (unsigned i = 0; i < 20; i++) {
        const struct answer *answer =
            fixture_ok(f, "PULL", "{'group': 'g', 'max_messages': 100, 'max_bytes': 40}", NULL);
        const uint64_t count = steps_count(answer);
        assert_in_range(count, 3, 10);
        const char *payloads = fixture_payloads(answer);
        for (const char *at = payloads; (at = strchr(at, 'p')); at++) {
            fours += at[1] == '4';
        }
    }
    assert_in_range(fours, 60 / 16, 200 / 16);
}

static void one_that_came_back_has_its_turn(void **state)
{
    struct engine_fixture *f = *state;
    begin(f);
    publish_at(f, 4, 1);
    const uint64_t lease = steps_pull(f, 1)->lease;
    publish_at(f, 9, 100);
    steps_settle(f, 0, 1, lease, "'retry', {'delay_ms': 0}");
    assert_string_equal(pulled(f, 20, 20), "99999999999999949999");
}

static void the_mode_can_be_changed_and_holds_over_a_restart(void **state)
{
    struct engine_fixture *f = *state;
    begin(f);
    publish_at(f, 4, 10);
    publish_at(f, 9, 100);
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_int_equal(digits_of(pulled(f, 32, 8), '4'), 2);
    fixture_ok(f, "GROUP.SET", "{'group': 'g', 'settings': {'priority': null}}", NULL);
    assert_int_equal(digits_of(pulled(f, 60, 8), '4'), 0);
}

/* Goal: a turn is given back when nobody gets its message. */
static void what_has_expired_takes_no_turns(void **state)
{
    struct engine_fixture *f = *state;
    begin(f);
    publish_until(f, 4, 40, f->now.wall_ms + 10);
    publish_at(f, 4, 10);
    publish_at(f, 9, 100);
    fixture_advance(f, 10);
    assert_string_equal(pulled(f, 40, 40), "9999999999999994999999999999999499999999");
    assert_string_equal(pulled(f, 8, 1), "99999994");
}

static void a_priority_that_has_expired_keeps_no_other_from_its_turn(void **state)
{
    struct engine_fixture *f = *state;
    begin(f);
    publish_until(f, 4, 200, f->now.wall_ms + 10);
    publish_at(f, 3, 10);
    publish_at(f, 9, 100);
    fixture_advance(f, 10);
    assert_string_equal(pulled(f, 17, 4), "99999999999999939");
}

static void what_is_not_wanted_takes_no_turns(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "GROUP.CREATE",
               "{'group': 'g', 'topics': ['t'], 'settings': {'priority': 'weighted', 'filter': "
               "'type = \"w\"'}}",
               NULL);
    publish_at(f, 4, 20);
    fixture_ok(f, "PUBLISH", "{'topic': 't', 'partition': 0}",
               "[[b'p4', null, 'w'], [b'p4', null, 'w'], [b'p4', null, 'w']]");
    for (unsigned i = 0; i < 60; i++) {
        fixture_ok(f, "PUBLISH", "{'topic': 't', 'partition': 0, 'priority': 9}",
                   "[[b'p9', null, 'w']]");
    }
    assert_string_equal(pulled(f, 20, 1), "99999999999999949999");
    assert_string_equal(pulled(f, 12, 4), "999999999994");
}

/* Goal: what a seek takes back while a pull reads is not told twice in one reply. */
static void a_seek_meanwhile_is_no_lost_turn(void **state)
{
    struct engine_fixture *f = *state;
    bool told[700] = {0};
    begin(f);
    publish_until(f, 9, 2, f->now.wall_ms + 10);
    publish_at(f, 9, 10);
    publish_at(f, 4, 300);
    publish_at(f, 4, 300); /* what lies behind them is read for itself */
    publish_at(f, 9, 10);
    fixture_advance(f, 10);
    mem_store_hold(f->mem, MEM_READS);
    const uint64_t ticket = fixture_send(f, "PULL", "{'group': 'g', 'max_messages': 60}", NULL);
    fixture_pump(f);
    mem_store_read_all(f->mem);
    fixture_pump(f);
    fixture_ok(f, "SEEK", "{'group': 'g', 'to': 'earliest'}", NULL);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    const msgpack_object *runs = wire_map_find(fixture_answer(f, ticket)->map, "runs");
    for (uint32_t i = 0; i < runs->via.array.size; i++) {
        struct wire_run run;
        assert_int_equal(wire_run_decode(&runs->via.array.ptr[i], &run, NULL), 0);
        for (uint64_t k = run.first; k < run.first + run.count; k++) {
            assert_false(told[k]);
            told[k] = true;
        }
    }
}

static void an_order_heeds_no_priority(void **state)
{
    struct engine_fixture *f = *state;
    fixture_error(
        f, ZSP_EBAD_VALUE, "GROUP.CREATE",
        "{'group': 'o', 'topics': [], 'mode': 'ordered', 'settings': {'priority': 'weighted'}}",
        NULL);
    fixture_error(f, ZSP_EBAD_VALUE, "GROUP.CREATE",
                  "{'group': 'o', 'topics': [], 'settings': {'priority': 'fair'}}", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
        TEST(one_of_sixteen_is_of_the_less_urgent),
        TEST(pulls_of_one_have_turns_as_well),
        TEST(the_turns_go_round),
        TEST(without_others_there_are_no_turns),
        TEST(urgent_ones_that_are_gone_take_no_turns),
        TEST(a_strict_group_lets_them_wait),
        TEST(a_large_pull_has_turns_of_several),
        TEST(a_turn_that_does_not_fit_is_made_up_for),
        TEST(one_that_came_back_has_its_turn),
        TEST(the_mode_can_be_changed_and_holds_over_a_restart),
        TEST(what_has_expired_takes_no_turns),
        TEST(a_priority_that_has_expired_keeps_no_other_from_its_turn),
        TEST(what_is_not_wanted_takes_no_turns),
        TEST(a_seek_meanwhile_is_no_lost_turn),
        TEST(small_replies_of_large_pulls_have_turns),
        TEST(an_order_heeds_no_priority),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
