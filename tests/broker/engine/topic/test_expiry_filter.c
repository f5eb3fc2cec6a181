/* SPDX-License-Identifier: MPL-2.0
 *
 * Messages that expire in groups with a filter, and that nobody pulls: what the filter wants is counted,
 * the rest is left out.
 */
#include <inttypes.h>
#include <string.h>

#include "broker/engine/group/group.h"
#include "broker/engine/group/group_rules.h"
#include "broker/engine/topic/expiry.h"
#include "broker/engine/topic/expiry_sift.h"
#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"

#define TTL_MS 1500
/* Rounded up to a full second, a pass, and a few reads. */
#define SWEPT_MS (TTL_MS + EXPIRY_GRAIN_MS + 100)

static void create(struct engine_fixture *f, const char *mode, const char *more)
{
    fixture_ok(f, "GROUP.CREATE",
               fixture_format("{'group': 'g', 'topics': ['t'], 'mode': '%s', "
                              "'settings': {'filter': 'key = \"k\"' %s}}",
                              mode, more),
               NULL);
}

static void publish(struct engine_fixture *f, const char *body)
{
    fixture_ok(f, "PUBLISH",
               fixture_format("{'topic': 't', 'partition': 0, 'expires_at_ms': %" PRId64 "}",
                              f->now.wall_ms + TTL_MS),
               body);
}

/* A group, and three messages that expire among others; of these it wants two. */
static void begin(struct engine_fixture *f, const char *mode, const char *more)
{
    create(f, mode, more);
    steps_publish_each(f, "t", "a b");
    publish(f, "[[b'x', b'k'], [b'y', b'l'], [b'z', b'k']]");
    steps_publish_each(f, "t", "c");
}

static void end(struct engine_fixture *f)
{
    fixture_ok(f, "GROUP.DELETE", "{'group': 'g'}", NULL);
    fixture_ok(f, "TOPIC.DELETE", "{'topic': 't'}", NULL);
}

static uint64_t expired_of(struct engine_fixture *f, const char *group)
{
    const struct answer *answer =
        fixture_ok(f, "GROUP.INFO", fixture_format("{'group': '%s'}", group), NULL);
    const msgpack_object *parts = wire_map_find(answer->map, "parts");
    return parts->via.array.ptr[0].via.array.ptr[9].via.u64;
}

static uint64_t filtered(struct engine_fixture *f)
{
    return fixture_number(fixture_ok(f, "GROUP.INFO", "{'group': 'g'}", NULL), "filtered");
}

static const struct expiry *expiry_of_t(struct engine_fixture *f)
{
    return expiry_of(f->engine, topic_find(f->engine, zsp_slice_str("t"))->partitions[0]);
}

static void what_the_filter_wants_is_counted_and_the_rest_left_out(void **state)
{
    struct engine_fixture *f = *state;
    static const char *const modes[] = {"shared", "ordered", "keyed"};
    for (size_t i = 0; i < 3; i++) {
        begin(f, modes[i], "");
        fixture_advance(f, SWEPT_MS);
        assert_string_equal(steps_part(f, "t", 0), "0 6 3 0 0 0");
        assert_int_equal(expired_of(f, "g"), 2);
        assert_int_equal(filtered(f), 1);
        fixture_restart(f, MEM_KEEP_SYNCED);
        assert_int_equal(expired_of(f, "g"), 2);
        assert_string_equal(fixture_payloads(steps_pull(f, 9)), "");
        assert_string_equal(steps_part(f, "t", 0), "6 6 0 0 0 0");
        assert_int_equal(expired_of(f, "g"), 2);
        end(f);
    }
}

static void only_what_the_filter_wants_is_dead(void **state)
{
    struct engine_fixture *f = *state;
    static const char *const modes[] = {"shared", "ordered", "keyed"};
    for (size_t i = 0; i < 3; i++) {
        begin(f, modes[i], ", 'expired': 'dead'");
        fixture_advance(f, SWEPT_MS);
        assert_string_equal(steps_part(f, "t", 0), "0 6 3 0 0 2");
        const struct answer *dead = fixture_ok(f, "DEAD.LIST", "{'group': 'g'}", NULL);
        assert_non_null(strstr(dead->text, "expired"));
        assert_int_equal(expired_of(f, "g"), 2);
        assert_int_equal(filtered(f), 1);
        end(f);
    }
}

static void none_is_counted_before_its_time(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "shared", "");
    for (int ms = 0; ms < TTL_MS - 1; ms++) {
        fixture_advance(f, 1);
        assert_int_equal(f->engine->stats.expired_messages, 0);
    }
    assert_string_equal(steps_part(f, "t", 0), "0 6 6 0 0 0");
}

/* Goal: reading takes long or fails, and the others are counted in their time. */
static void no_other_group_waits_for_the_reads(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "shared", "");
    fixture_ok(f, "GROUP.CREATE", "{'group': 'other', 'topics': ['t']}", NULL);
    mem_store_hold(f->mem, MEM_READS);
    fixture_advance(f, SWEPT_MS);
    publish(f, "[[b'x', b'k']]");
    fixture_advance(f, SWEPT_MS);
    assert_int_equal(expired_of(f, "other"), 4);
    assert_int_equal(expired_of(f, "g"), 0);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    fixture_advance(f, 100);
    assert_int_equal(expired_of(f, "g"), 3);
}

/* Goal: a turn reads no more than it may, so that everybody else has theirs. */
static void a_turn_reads_a_bounded_part(void **state)
{
    struct engine_fixture *f = *state;
    create(f, "shared", "");
    char body[3020] = "[[b'";
    memset(body + 4, 'x', 3000);
    memcpy(body + 3004, "', b'k']]", 10);
    for (int i = 0; i < 300; i++) {
        publish(f, body);
    }
    uint64_t before = 0;
    for (int ms = 0; ms < SWEPT_MS && before < 300; ms++) {
        fixture_advance(f, 1);
        assert_true(f->engine->stats.expired_messages - before <= EXPIRY_SIFT_BYTES / 3000);
        before = f->engine->stats.expired_messages;
    }
    assert_int_equal(before, 300);
    fixture_advance(f, 10);
    assert_false(expiry_of_t(f)->sift.is_walking);
}

static void a_read_that_fails_is_tried_again(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "shared", "");
    mem_store_fail_reads(f->mem, 1, 0, ZSP_EIO);
    fixture_advance(f, SWEPT_MS);
    assert_int_equal(expired_of(f, "g"), 0);
    mem_store_fail_reads(f->mem, 1, 0, 0);
    fixture_advance(f, 4000);
    assert_int_equal(expired_of(f, "g"), 2);
}

static void a_full_journal_counts_nothing_until_there_is_room(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "shared", ", 'expired': 'dead'");
    mem_store_fail_next_state(f->mem, ZSP_ENO_SPACE);
    fixture_advance(f, TTL_MS + 510);
    assert_int_equal(f->engine->stats.expired_messages, 0);
    assert_int_equal(f->engine->stats.dead_messages, 0);
    assert_int_equal(filtered(f), 0);
    assert_string_equal(steps_part(f, "t", 0), "0 6 6 0 0 0");
    fixture_advance(f, 1100);
    assert_string_equal(steps_part(f, "t", 0), "0 6 3 0 0 2");
}

/* The read is under way, held. */
static void hold_the_read(struct engine_fixture *f)
{
    begin(f, "shared", "");
    mem_store_hold(f->mem, MEM_READS);
    fixture_advance(f, SWEPT_MS);
    assert_non_null(expiry_of_t(f)->sift.read);
}

static void let_it_come(struct engine_fixture *f)
{
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    fixture_advance(f, 3 * EXPIRY_PASS_MS);
    assert_int_equal(f->engine->expiries.reads, 0);
}

static void its_group_may_go_while_it_is_read(void **state)
{
    struct engine_fixture *f = *state;
    hold_the_read(f);
    fixture_ok(f, "GROUP.DELETE", "{'group': 'g'}", NULL);
    let_it_come(f);
    assert_int_equal(f->engine->stats.expired_messages, 0);
}

static void its_topic_may_go_while_it_is_read(void **state)
{
    struct engine_fixture *f = *state;
    hold_the_read(f);
    fixture_ok(f, "TOPIC.DELETE", "{'topic': 't'}", NULL);
    let_it_come(f);
    assert_int_equal(f->engine->stats.expired_messages, 0);
}

static void the_broker_may_end_while_it_is_read(void **state)
{
    struct engine_fixture *f = *state;
    hold_the_read(f);
    fixture_restart(f, MEM_KEEP_SYNCED);
    fixture_advance(f, 3 * EXPIRY_PASS_MS);
    assert_int_equal(expired_of(f, "g"), 2);
}

static void its_filter_may_change_while_it_is_read(void **state)
{
    struct engine_fixture *f = *state;
    hold_the_read(f);
    fixture_ok(f, "GROUP.SET", "{'group': 'g', 'settings': {'filter': 'key = \"l\"'}}", NULL);
    let_it_come(f);
    assert_int_equal(expired_of(f, "g"), 1);
    assert_int_equal(filtered(f), 2);
}

static void its_filter_may_go_while_it_is_read(void **state)
{
    struct engine_fixture *f = *state;
    hold_the_read(f);
    fixture_ok(f, "GROUP.SET", "{'group': 'g', 'settings': {'filter': null}}", NULL);
    let_it_come(f);
    assert_int_equal(expired_of(f, "g"), 3);
    assert_string_equal(steps_part(f, "t", 0), "0 6 3 0 0 0");
}

static void its_group_may_move_while_it_is_read(void **state)
{
    struct engine_fixture *f = *state;
    hold_the_read(f);
    fixture_send(f, "SEEK", "{'group': 'g', 'to': ['offset', 4]}", NULL);
    let_it_come(f);
    assert_int_equal(expired_of(f, "g"), 1);
    assert_string_equal(steps_part(f, "t", 0), "5 6 1 0 0 0");
}

/* Goal: a clock that is set back between the question and its answer counts nothing too early. */
static void the_clock_may_go_back_while_it_is_read(void **state)
{
    struct engine_fixture *f = *state;
    hold_the_read(f);
    f->now.wall_ms -= 60000;
    let_it_come(f);
    assert_int_equal(expired_of(f, "g"), 0);
    fixture_advance(f, 60000);
    assert_int_equal(expired_of(f, "g"), 2);
}

/* Goal: a filter looks at what was not out yet; what was, it wanted. */
static void what_was_out_is_counted_without_a_look(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "shared", "");
    const uint64_t lease = steps_pull(f, 1)->lease;
    fixture_ok(f, "GROUP.SET", "{'group': 'g', 'settings': {'filter': 'key = \"m\"'}}", NULL);
    steps_settle(f, 2, 1, lease, "'release'");
    mem_store_fail_reads(f->mem, 1, 0, ZSP_EIO);
    fixture_advance(f, SWEPT_MS);
    assert_int_equal(expired_of(f, "g"), 1);
    mem_store_fail_reads(f->mem, 1, 0, 0);
    fixture_advance(f, 4000);
    assert_int_equal(expired_of(f, "g"), 1);
    assert_string_equal(steps_part(f, "t", 0), "5 6 1 0 0 0");
}

static void what_a_pull_puts_back_is_read_again(void **state)
{
    struct engine_fixture *f = *state;
    create(f, "shared", "");
    publish(f, "[[b'x', b'k'], [b'y', b'l'], [b'z', b'k']]");
    mem_store_hold(f->mem, MEM_READS);
    f->session = 7;
    fixture_send(f, "PULL", "{'group': 'g'}", NULL);
    fixture_advance(f, SWEPT_MS);
    fixture_send(f, "BYE", "{}", NULL);
    f->session = 0;
    let_it_come(f);
    assert_int_equal(expired_of(f, "g"), 2);
    assert_string_equal(steps_part(f, "t", 0), "3 3 0 0 0 0");
}

/* Goal: what lies scattered is read with what is around it, not each for itself. */
static void scattered_ones_are_read_together(void **state)
{
    struct engine_fixture *f = *state;
    create(f, "shared", "");
    for (int i = 0; i < 300; i++) {
        steps_publish_each(f, "t", "a");
        publish(f, "[[b'x', b'k'], [b'y', b'l']]");
    }
    fixture_advance(f, SWEPT_MS);
    assert_int_equal(expired_of(f, "g"), 300);
    assert_int_equal(filtered(f), 300);
    assert_in_range(expiry_of_t(f)->sift.turns, 1, 5);
}

static void what_is_too_scattered_is_left_to_pulls(void **state)
{
    struct engine_fixture *f = *state;
    f->engine->options.expiry_apart_max = 10;
    create(f, "shared", "");
    for (int i = 0; i < 40; i++) {
        steps_publish_each(f, "t", "a");
        publish(f, "[[b'x', b'k']]");
    }
    fixture_advance(f, SWEPT_MS);
    assert_int_equal(expired_of(f, "g"), 10);
    mem_store_hold(f->mem, MEM_READS);
    fixture_advance(f, 5000);
    assert_null(expiry_of_t(f)->sift.read); /* in vain */
    mem_store_hold(f->mem, 0);
    for (int i = 0; i < 4; i++) { /* what lies before it is finished */
        assert_string_equal(fixture_payloads(steps_pull(f, 9)), "");
    }
    assert_string_equal(steps_part(f, "t", 0), "80 80 0 0 0 0");
    assert_int_equal(expired_of(f, "g"), 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
        TEST(what_the_filter_wants_is_counted_and_the_rest_left_out),
        TEST(only_what_the_filter_wants_is_dead),
        TEST(none_is_counted_before_its_time),
        TEST(no_other_group_waits_for_the_reads),
        TEST(a_turn_reads_a_bounded_part),
        TEST(a_read_that_fails_is_tried_again),
        TEST(a_full_journal_counts_nothing_until_there_is_room),
        TEST(its_group_may_go_while_it_is_read),
        TEST(its_topic_may_go_while_it_is_read),
        TEST(the_broker_may_end_while_it_is_read),
        TEST(its_filter_may_change_while_it_is_read),
        TEST(its_filter_may_go_while_it_is_read),
        TEST(its_group_may_move_while_it_is_read),
        TEST(the_clock_may_go_back_while_it_is_read),
        TEST(what_was_out_is_counted_without_a_look),
        TEST(what_a_pull_puts_back_is_read_again),
        TEST(scattered_ones_are_read_together),
        TEST(what_is_too_scattered_is_left_to_pulls),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
