/* SPDX-License-Identifier: MPL-2.0
 *
 * Conformance: durable state, broker time, and what happens after a failure.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/limits.h"
#include "tests/broker/store/conformance.h"

static void images_deltas_and_gone_are_replayed_in_order(void **state)
{
    struct conf *c = *state;
    (void)conf_put(c, "a", STORE_IMAGE, "1", STORE_SYNCED_LEVEL);
    (void)conf_put(c, "b", STORE_IMAGE, "1", STORE_SYNCED_LEVEL);
    (void)conf_put(c, "a", STORE_DELTA, "2", STORE_SYNCED_LEVEL);
    (void)conf_put(c, "c", STORE_IMAGE, "1", STORE_SYNCED_LEVEL);
    (void)conf_put(c, "b", STORE_GONE, "", STORE_SYNCED_LEVEL);
    (void)conf_put(c, "a", STORE_DELTA, "3", STORE_SYNCED_LEVEL);
    (void)conf_put(c, "c", STORE_IMAGE, "2", STORE_SYNCED_LEVEL);
    conf_drive(c);
    assert_int_equal(conf_count(c, STORE_STATE), 7);
    conf_restart(c, CONF_POWER, 1);
    conf_assert_state(c);
    assert_string_equal(conf_state_get(&c->replayed, "a"), "1,2,3");
    assert_null(conf_state_get(&c->replayed, "b"));
}

static void a_key_that_was_gone_can_come_again(void **state)
{
    struct conf *c = *state;
    (void)conf_put(c, "a", STORE_IMAGE, "old", STORE_SYNCED_LEVEL);
    (void)conf_put(c, "a", STORE_GONE, "", STORE_SYNCED_LEVEL);
    (void)conf_put(c, "a", STORE_IMAGE, "new", STORE_SYNCED_LEVEL);
    (void)conf_put(c, "a", STORE_DELTA, "er", STORE_SYNCED_LEVEL);
    conf_drive(c);
    conf_restart(c, CONF_POWER, 1);
    assert_string_equal(conf_state_get(&c->replayed, "a"), "new,er");
}

static void records_complete_in_the_order_of_the_calls(void **state)
{
    struct conf *c = *state;
    uint64_t tags[30];
    for (int i = 0; i < 30; i++) {
        tags[i] = conf_put(c, "a", STORE_IMAGE, "x", STORE_SYNCED_LEVEL);
        if (i % 4 == 0) {
            (void)conf_turn(c);
        }
    }
    conf_drive(c);
    int seen = 0;
    for (size_t i = 0; i < c->event_count; i++) {
        if (c->events[i].kind == STORE_STATE) {
            assert_int_equal(c->events[i].tag, tags[seen++]);
        }
    }
    assert_int_equal(seen, 30);
}

static void nothing_is_confirmed_before_the_flush(void **state)
{
    struct conf *c = *state;
    (void)conf_put(c, "a", STORE_IMAGE, "x", STORE_WRITTEN);
    struct store_completion done;
    assert_false(c->store->ops->next_completion(c->store, &done));
    assert_true(c->store->ops->busy(c->store));
}

static void synced_state_survives_a_power_cut(void **state)
{
    struct conf *c = *state;
    for (uint64_t seed = 0; seed < 30; seed++) {
        char value[16];
        (void)snprintf(value, sizeof value, "%d", (int)seed);
        const uint64_t tag = conf_put(c, "a", STORE_IMAGE, value, STORE_SYNCED_LEVEL);
        assert_int_equal(conf_wait(c, tag)->code, 0);
        conf_restart(c, CONF_POWER, seed);
        conf_assert_state(c);
    }
}

static void written_state_survives_a_crash_of_the_process(void **state)
{
    struct conf *c = *state;
    for (uint64_t seed = 0; seed < 10; seed++) {
        char value[16];
        (void)snprintf(value, sizeof value, "%d", (int)seed);
        const uint64_t tag = conf_put(c, "a", STORE_IMAGE, value, STORE_WRITTEN);
        assert_int_equal(conf_wait(c, tag)->code, 0);
        conf_restart(c, CONF_PROCESS, seed);
        conf_assert_state(c);
    }
}

/* Goal: what a process crash left and a start read is durable from then on: a
 * power cut right after the start takes nothing away. */
static void what_a_start_has_told_survives_a_power_cut(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    for (uint64_t seed = 0; seed < 30; seed++) {
        char value[16];
        (void)snprintf(value, sizeof value, "%d", (int)seed);
        const uint64_t put = conf_put(c, "a", STORE_IMAGE, value, STORE_WRITTEN);
        const uint64_t append = conf_append(c, topic->parts[0], value, 1, 1000);
        assert_int_equal(conf_wait(c, put)->code, 0);
        assert_int_equal(conf_wait(c, append)->code, 0);
        conf_restart(c, CONF_PROCESS, seed);
        conf_assert_state(c);
        conf_restart(c, CONF_POWER, seed);
        conf_assert_state(c);
        assert_int_equal(conf_info(c, topic->parts[0]).synced_offset, seed + 1);
    }
}

/* Goal: the time comes without a flush of the host's own: an unsynced record is
 * synced by the deadline that the store names. */
static void written_state_is_synced_by_the_stores_deadline(void **state)
{
    struct conf *c = *state;
    const uint64_t tag = conf_put(c, "a", STORE_IMAGE, "x", STORE_WRITTEN);
    (void)conf_wait(c, tag);
    const int64_t begin = c->now.mono_ms;
    conf_drive(c);
    assert_true(c->now.mono_ms - begin <= 2 * (int64_t)ZSP_JOURNAL_SYNC_MS);
    conf_restart(c, CONF_POWER, 3);
    conf_assert_state(c);
}

static uint64_t put_pair(struct conf *c, const char *value, enum store_level level)
{
    const struct store_entry entries[] = {
        {.key = zsp_slice_str("left"), .kind = STORE_IMAGE, .value = zsp_slice_str(value)},
        {.key = zsp_slice_str("right"), .kind = STORE_IMAGE, .value = zsp_slice_str(value)}};
    const uint64_t tag = ++c->next_tag;
    assert_int_equal(c->store->ops->state_put(c->store, entries, 2, level, tag, NULL), 0);
    return tag;
}

/* Goal: entries of one record live or die together, and no later record lives
 * without an earlier one. */
static void the_entries_of_a_record_survive_together(void **state)
{
    struct conf *c = *state;
    c->answers_images = false;
    int kept = 0;
    for (uint64_t seed = 0; seed < 60; seed++) {
        for (int i = 0; i < 5; i++) {
            char value[16];
            (void)snprintf(value, sizeof value, "%d", kept + i + 1);
            (void)put_pair(c, value, STORE_WRITTEN);
            (void)conf_turn(c);
        }
        conf_restart(c, CONF_POWER, seed);
        const char *left = conf_state_get(&c->replayed, "left");
        const char *right = conf_state_get(&c->replayed, "right");
        assert_int_equal(left == NULL, right == NULL);
        if (left) {
            assert_string_equal(left, right);
            const int now = (int)strtol(left, NULL, 10);
            assert_in_range(now, kept, kept + 5);
            kept = now;
        }
    }
}

/* Goal: with images put when they are wanted, any number of records leaves the
 * state complete, over small journal files and crashes. */
static void wanted_images_carry_the_state_forward(void **state)
{
    struct conf *c = *state;
    const char *keys[] = {"never-again", "k0", "k1", "k2", "k3"};
    for (size_t i = 0; i < 5; i++) {
        (void)conf_put(c, keys[i], STORE_IMAGE, "first", STORE_SYNCED_LEVEL);
    }
    char value[200];
    for (int i = 0; i < 3000; i++) {
        (void)snprintf(value, sizeof value, "%0150d", i);
        (void)conf_put(c, keys[1 + i % 4], STORE_IMAGE, value, STORE_WRITTEN);
        if (i % 10 == 0) {
            (void)conf_turn(c);
        }
        if (i % 700 == 699) {
            conf_drive(c);
            conf_restart(c, CONF_POWER, (uint64_t)i);
            conf_assert_state(c);
        }
    }
    conf_drive(c);
    assert_true(!c->subject->wants_images || c->images_wanted > 0);
    conf_restart(c, CONF_POWER, 1);
    conf_assert_state(c);
}

static void broker_time_is_kept_with_the_records(void **state)
{
    struct conf *c = *state;
    c->store->ops->set_broker_time(c->store, 123456);
    (void)conf_put(c, "a", STORE_IMAGE, "x", STORE_SYNCED_LEVEL);
    conf_drive(c);
    conf_restart(c, CONF_POWER, 1);
    assert_int_equal(c->store->ops->broker_time(c->store), 123456);
    c->store->ops->set_broker_time(c->store, 123460);
    (void)conf_put(c, "a", STORE_IMAGE, "y", STORE_WRITTEN);
    conf_drive(c);
    conf_restart(c, CONF_PROCESS, 1);
    assert_int_equal(c->store->ops->broker_time(c->store), 123460);
}

static void a_record_that_is_too_large_is_refused(void **state)
{
    struct conf *c = *state;
    uint8_t *big = calloc(1, ZSP_STATE_RECORD_MAX + 1);
    assert_non_null(big);
    const struct store_entry entry = {
        .key = zsp_slice_str("a"), .kind = STORE_IMAGE, .value = {big, ZSP_STATE_RECORD_MAX + 1}};
    assert_int_equal(c->store->ops->state_put(c->store, &entry, 1, STORE_WRITTEN, 9000, NULL),
                     ZSP_ETOO_LARGE);
    free(big);
    conf_drive(c);
    assert_null(conf_find(c, 9000));
}

/* Goal: a failed sync confirms nothing, is told once, and later calls are refused. */
static void a_failed_sync_is_the_end(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    conf_drive(c);
    conf_forget_events(c);
    c->subject->fail_sync_fn(c->self);
    (void)conf_append(c, topic->parts[0], "body", 1, 1000);
    const uint64_t put = conf_put(c, "a", STORE_IMAGE, "x", STORE_SYNCED_LEVEL);
    const struct conf_event *event = conf_wait(c, put);
    assert_int_equal(event->code, ZSP_ESTORAGE_FAILED);
    assert_true(event->maybe);
    for (int i = 0; i < 50; i++) {
        (void)conf_turn(c);
    }
    assert_int_equal(conf_count(c, STORE_FAILED), 1);
    assert_int_equal(conf_count(c, STORE_SYNCED), 0);
    const struct store_entry entry = {.key = zsp_slice_str("a"), .kind = STORE_GONE};
    assert_int_equal(c->store->ops->state_put(c->store, &entry, 1, STORE_WRITTEN, 9000, NULL),
                     ZSP_ESTORAGE_FAILED);
    const struct store_batch batch = {.record_count = 1};
    assert_int_equal(c->store->ops->append(c->store, topic->parts[0], &batch, 9001, NULL),
                     ZSP_ESTORAGE_FAILED);
}

static void a_failed_store_starts_again_with_what_was_synced(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    (void)conf_append(c, topic->parts[0], "kept", 1, 1000);
    (void)conf_put(c, "a", STORE_IMAGE, "kept", STORE_SYNCED_LEVEL);
    conf_drive(c);
    c->subject->fail_sync_fn(c->self);
    (void)conf_append(c, topic->parts[0], "maybe", 1, 1000);
    for (int i = 0; i < 50 && conf_count(c, STORE_FAILED) == 0; i++) {
        (void)conf_turn(c);
    }
    conf_restart(c, CONF_POWER, 1);
    conf_assert_state(c);
    assert_in_range(conf_info(c, topic->parts[0]).synced_offset, 1, 2);
    const uint64_t tag = conf_append(c, topic->parts[0], "again", 1, 1000);
    assert_int_equal(conf_wait(c, tag)->code, 0);
}

static void a_quiet_store_is_not_busy_and_waits_for_nothing(void **state)
{
    struct conf *c = *state;
    (void)conf_topic(c, 1, "orders", 1);
    conf_drive(c);
    assert_false(c->store->ops->busy(c->store));
    assert_int_equal(c->store->ops->deadline_ms(c->store), INT64_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, conf_set_up, conf_tear_down)

int conformance_state_run(void)
{
    const struct CMUnitTest tests[] = {
        TEST(images_deltas_and_gone_are_replayed_in_order),
        TEST(a_key_that_was_gone_can_come_again),
        TEST(records_complete_in_the_order_of_the_calls),
        TEST(nothing_is_confirmed_before_the_flush),
        TEST(synced_state_survives_a_power_cut),
        TEST(written_state_survives_a_crash_of_the_process),
        TEST(what_a_start_has_told_survives_a_power_cut),
        TEST(written_state_is_synced_by_the_stores_deadline),
        TEST(the_entries_of_a_record_survive_together),
        TEST(wanted_images_carry_the_state_forward),
        TEST(broker_time_is_kept_with_the_records),
        TEST(a_record_that_is_too_large_is_refused),
        TEST(a_failed_sync_is_the_end),
        TEST(a_failed_store_starts_again_with_what_was_synced),
        TEST(a_quiet_store_is_not_busy_and_waits_for_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
