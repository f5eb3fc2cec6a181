/* SPDX-License-Identifier: MPL-2.0
 *
 * Conformance: topics, appends, marks, reads, searches by time, retention.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "tests/broker/store/conformance.h"

#define ALL UINT32_MAX /* no limit by bytes */

static void an_append_is_told_its_offset_and_then_its_mark(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    conf_forget_events(c);
    const uint64_t tag = conf_append(c, topic->parts[0], "one", 3, 1000);
    conf_drive(c);
    assert_true(c->event_count >= 2);
    assert_int_equal(c->events[0].kind, STORE_APPENDED);
    assert_int_equal(c->events[0].tag, tag);
    assert_int_equal(c->events[0].offset, 0);
    const struct conf_event *last = &c->events[c->event_count - 1];
    assert_int_equal(last->kind, STORE_SYNCED);
    assert_ptr_equal(last->owner, &topic->owners[0]);
    assert_int_equal(last->offset, 3);
}

static void nothing_is_told_before_the_flush(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    (void)conf_append(c, topic->parts[0], "one", 1, 1000);
    struct store_completion done;
    assert_false(c->store->ops->next_completion(c->store, &done));
    assert_true(c->store->ops->busy(c->store));
}

static void offsets_are_dense_and_in_the_order_of_the_calls(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    conf_forget_events(c);
    uint64_t tags[20];
    for (uint32_t i = 0; i < 20; i++) {
        tags[i] = conf_append(c, topic->parts[0], "body", i % 4 + 1, 1000);
    }
    conf_drive(c);
    uint64_t offset = 0;
    uint32_t seen = 0;
    for (size_t i = 0; i < c->event_count; i++) {
        if (c->events[i].kind == STORE_APPENDED) {
            assert_int_equal(c->events[i].tag, tags[seen]);
            assert_int_equal(c->events[i].offset, offset);
            offset += seen % 4 + 1;
            seen++;
        }
    }
    assert_int_equal(seen, 20);
}

static void partitions_and_topics_count_on_their_own(void **state)
{
    struct conf *c = *state;
    struct conf_topic *orders = conf_topic(c, 1, "orders", 2);
    struct conf_topic *bills = conf_topic(c, 2, "bills", 1);
    (void)conf_append(c, orders->parts[0], "a", 5, 1000);
    (void)conf_append(c, orders->parts[1], "b", 6, 1000);
    (void)conf_append(c, bills->parts[0], "c", 7, 1000);
    conf_drive(c);
    assert_int_equal(conf_info(c, orders->parts[0]).synced_offset, 5);
    assert_int_equal(conf_info(c, orders->parts[1]).synced_offset, 6);
    assert_int_equal(conf_info(c, bills->parts[0]).synced_offset, 7);
}

/* Goal: marks only grow, none passes what was appended, the last reaches the end. */
static void marks_grow_and_never_pass_what_was_appended(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    conf_forget_events(c);
    conf_fill(c, topic->parts[0], "m", 100);
    uint64_t appended = 0;
    uint64_t mark = 0;
    for (size_t i = 0; i < c->event_count; i++) {
        if (c->events[i].kind == STORE_APPENDED) {
            appended = c->events[i].offset + 1;
        }
        if (c->events[i].kind == STORE_SYNCED) {
            assert_true(c->events[i].offset > mark);
            mark = c->events[i].offset;
            assert_true(mark <= appended);
        }
    }
    assert_int_equal(mark, 100);
    assert_false(c->store->ops->busy(c->store));
}

static void a_read_sees_nothing_above_the_mark(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    for (int i = 0; i < 30; i++) {
        conf_forget_events(c);
        const uint64_t mark = conf_info(c, topic->parts[0]).synced_offset;
        (void)conf_append(c, topic->parts[0], "body", 2, 1000);
        assert_int_equal(conf_read(c, topic->parts[0], mark, UINT64_MAX, ALL), 0);
        uint64_t told = mark;
        for (size_t e = 0; e < c->event_count && c->events[e].kind != STORE_READ; e++) {
            told = c->events[e].kind == STORE_SYNCED ? c->events[e].offset : told;
        }
        assert_true(c->read.covered.end_offset <= told);
    }
}

static void a_read_gives_batches_as_they_were_appended(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    struct zsp_buf *frame = zsp_buf_copy(zsp_slice_str("..payload.."));
    const struct store_batch batch = {.frame = frame,
                                      .body = {frame->data + 2, 7},
                                      .record_count = 3,
                                      .timestamp_ms = 1234567890123,
                                      .producer_id = 77,
                                      .producer_epoch = 5,
                                      .sequence = 1000001,
                                      .priority = 9};
    assert_int_equal(c->store->ops->append(c->store, topic->parts[0], &batch, 1000, NULL), 0);
    zsp_buf_put(&frame);
    conf_drive(c);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(conf_read(c, topic->parts[0], 0, UINT64_MAX, ALL), 0);
        assert_int_equal(c->read.batch_count, 1);
        conf_assert_body(c, 0, "payload");
        const struct store_batch *got = &c->read.batches[0];
        assert_int_equal(got->first_offset, 0);
        assert_int_equal(got->record_count, 3);
        assert_int_equal(got->timestamp_ms, 1234567890123);
        assert_int_equal(got->producer_id, 77);
        assert_int_equal(got->producer_epoch, 5);
        assert_int_equal(got->sequence, 1000001);
        assert_int_equal(got->priority, 9);
        conf_restart(c, CONF_POWER, 1); /* once more, from what was stored */
    }
}

static void a_read_inside_a_batch_gives_the_whole_batch(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    (void)conf_append(c, topic->parts[0], "first", 10, 1000);
    (void)conf_append(c, topic->parts[0], "second", 10, 1000);
    conf_drive(c);
    assert_int_equal(conf_read(c, topic->parts[0], 15, UINT64_MAX, ALL), 0);
    assert_int_equal(c->read.batch_count, 1);
    conf_assert_body(c, 0, "second");
    assert_int_equal(c->read.batches[0].first_offset, 10);
    assert_int_equal(c->read.covered.end_offset, 20);
}

static void a_read_ends_at_max_bytes_but_gives_the_first_batch(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    conf_fill(c, topic->parts[0], "12345678", 9); /* nine bytes each */
    assert_int_equal(conf_read(c, topic->parts[0], 0, UINT64_MAX, 30), 0);
    assert_int_equal(c->read.batch_count, 3);
    assert_int_equal(c->read.covered.end_offset, 3);
    assert_int_equal(conf_read(c, topic->parts[0], 0, UINT64_MAX, 1), 0);
    assert_int_equal(c->read.batch_count, 1);
    assert_int_equal(c->read.covered.end_offset, 1);
}

static void a_read_ends_at_its_end_offset(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    conf_fill(c, topic->parts[0], "m", 10);
    assert_int_equal(conf_read(c, topic->parts[0], 2, 5, ALL), 0);
    assert_int_equal(c->read.batch_count, 3);
    conf_assert_body(c, 0, "m2");
    conf_assert_body(c, 2, "m4");
    assert_int_equal(c->read.covered.first_offset, 2);
    assert_int_equal(c->read.covered.end_offset, 5);
}

static void a_read_at_the_mark_is_empty_and_above_it_out_of_range(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    conf_fill(c, topic->parts[0], "m", 10);
    assert_int_equal(conf_read(c, topic->parts[0], 10, UINT64_MAX, ALL), 0);
    assert_int_equal(c->read.batch_count, 0);
    assert_int_equal(c->read.covered.end_offset, 10);
    assert_int_equal(conf_read(c, topic->parts[0], 11, UINT64_MAX, ALL), ZSP_EOUT_OF_RANGE);
    assert_int_equal(conf_read(c, topic->parts[0], UINT64_MAX, UINT64_MAX, ALL), ZSP_EOUT_OF_RANGE);
}

/* Goal: everything is read back over rolled segments, hot and after a power cut. */
static void many_batches_are_read_back_in_steps(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    topic->replay_from = UINT64_MAX;
    char prefix[200];
    memset(prefix, 'p', sizeof prefix - 1);
    prefix[sizeof prefix - 1] = '\0';
    conf_fill(c, topic->parts[0], prefix, 1000);
    conf_assert_filled(c, topic->parts[0], prefix, 0, 1000);
    for (uint64_t seed = 1; seed <= 3; seed++) {
        conf_restart(c, CONF_POWER, seed);
        assert_int_equal(conf_info(c, topic->parts[0]).synced_offset, 1000);
        conf_assert_filled(c, topic->parts[0], prefix, 0, 1000);
    }
}

/* Goal: after a restart offsets go on where they ended. */
static void appends_go_on_after_a_restart(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    for (int i = 0; i < 6; i++) {
        const uint64_t tag = conf_append(c, topic->parts[0], "body", 3, 1000 + i);
        assert_int_equal(conf_wait(c, tag)->offset, 3 * i);
        conf_drive(c);
        conf_restart(c, i % 2 == 0 ? CONF_POWER : CONF_CLEAN, (uint64_t)i);
    }
    assert_int_equal(conf_info(c, topic->parts[0]).synced_offset, 18);
}

static void appended_batches_survive_a_crash_of_the_process(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    for (int i = 1; i <= 10; i++) {
        const uint64_t tag = conf_append(c, topic->parts[0], "body", 1, 1000);
        assert_int_equal(conf_wait(c, tag)->code, 0);
        conf_restart(c, CONF_PROCESS, (uint64_t)i);
        assert_int_equal(conf_info(c, topic->parts[0]).synced_offset, i);
    }
}

/* Goal: whatever a power cut does to unsynced batches, a whole prefix is left
 * that holds all that was synced, and it stays. */
static void a_power_cut_leaves_a_prefix_with_all_that_was_synced(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    uint64_t synced = 0;
    int appended = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        conf_forget_events(c);
        for (uint64_t i = 0; i < 1 + seed % 5; i++) {
            const uint64_t tag = conf_append(c, topic->parts[0], "body", 1, 1000);
            if (seed % 3 != 0) {
                (void)conf_wait(c, tag);
            }
            appended++;
        }
        for (size_t i = 0; i < c->event_count; i++) {
            if (c->events[i].kind == STORE_SYNCED) {
                synced = c->events[i].offset;
            }
        }
        conf_restart(c, CONF_POWER, seed);
        const struct store_part_info info = conf_info(c, topic->parts[0]);
        assert_true(info.synced_offset >= synced);
        assert_true(info.synced_offset <= (uint64_t)appended);
        assert_int_equal(info.synced_offset, info.end_offset);
        synced = info.synced_offset;
        appended = (int)synced;
    }
}

/* Goal: a start tells the headers from the wanted offset on, and only those. */
static void a_start_tells_headers_from_the_wanted_offset_on(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    conf_fill(c, topic->parts[0], "m", 20);
    topic->replay_from = 15;
    conf_restart(c, CONF_CLEAN, 0);
    assert_int_equal(c->told_count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(c->told[i].first_offset, 15 + i);
        assert_int_equal(c->told[i].record_count, 1);
        assert_null(c->told[i].frame);
    }
    topic->replay_from = UINT64_MAX;
    conf_restart(c, CONF_CLEAN, 0);
    assert_int_equal(c->told_count, 0);
}

/* Goal: times are found by their running maximum: a clock set back hides nothing. */
static void a_time_is_found_at_the_first_batch_at_or_after_it(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    struct store_part *part = topic->parts[0];
    assert_int_equal(conf_find_time(c, part, 5), 0);
    const int64_t times[] = {100, 300, 200, 300, 400};
    for (size_t i = 0; i < 5; i++) {
        (void)conf_append(c, part, "body", 2, times[i]);
    }
    conf_drive(c);
    assert_int_equal(conf_find_time(c, part, 0), 0);
    assert_int_equal(conf_find_time(c, part, 100), 0);
    assert_int_equal(conf_find_time(c, part, 101), 2);
    assert_int_equal(conf_find_time(c, part, 250), 2);
    assert_int_equal(conf_find_time(c, part, 301), 8);
    assert_int_equal(conf_find_time(c, part, 401), 10);
    conf_restart(c, CONF_POWER, 2);
    assert_int_equal(conf_find_time(c, topic->parts[0], 250), 2);
    assert_int_equal(conf_find_time(c, topic->parts[0], 401), 10);
}

static void retain(struct conf *c, struct store_part *part, int64_t before_ms, uint64_t max_bytes)
{
    const struct store_retain wanted = {
        .before_ms = before_ms, .max_bytes = max_bytes, .imaged_before = UINT64_MAX};
    assert_int_equal(c->store->ops->retain(c->store, part, &wanted, NULL), 0);
    conf_drive(c);
}

/* A prefix long enough that a hundred batches fill several segments. */
static const char *long_prefix(void)
{
    static char text[200];
    memset(text, 'r', sizeof text - 1);
    return text;
}

/* Goal: what is to be kept can be read, whatever else goes, and over a restart; until it is asked for
 * no more. */
static void retention_leaves_what_is_kept(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    topic->replay_from = UINT64_MAX;
    conf_fill(c, topic->parts[0], long_prefix(), 1000);
    const struct store_range kept = {300, 302};
    struct store_retain wanted = {.max_bytes = 1,
                                  .keeps = true,
                                  .kept = &kept,
                                  .kept_count = 1,
                                  .keep_to = UINT64_MAX,
                                  .imaged_before = UINT64_MAX};
    for (int i = 0; i < 3; i++) { /* what is before it goes by itself */
        assert_int_equal(c->store->ops->retain(c->store, topic->parts[0], &wanted, NULL), 0);
        conf_drive(c);
        while (conf_info(c, topic->parts[0]).is_island_busy) {
            c->now.mono_ms++;
            conf_drive(c);
        }
    }
    const uint64_t start = conf_info(c, topic->parts[0]).start_offset;
    assert_in_range(start, 302, 1000);
    assert_in_range(conf_info(c, topic->parts[0]).island_offset, 200, 300);
    conf_restart(c, CONF_POWER, 7);
    assert_int_equal(conf_info(c, topic->parts[0]).start_offset, start);
    for (uint64_t offset = kept.first_offset; offset < kept.end_offset; offset++) {
        char text[CONF_TEXT_MAX];
        assert_int_equal(conf_read(c, topic->parts[0], offset, offset + 1, ALL), 0);
        (void)snprintf(text, sizeof text, "%s%d", long_prefix(), (int)offset);
        assert_int_equal(c->read.batch_count, 1);
        conf_assert_body(c, 0, text);
    }
    wanted.kept_count = 0;
    assert_int_equal(c->store->ops->retain(c->store, topic->parts[0], &wanted, NULL), 0);
    conf_drive(c);
    assert_int_equal(conf_info(c, topic->parts[0]).island_offset,
                     conf_info(c, topic->parts[0]).start_offset);
    assert_int_equal(conf_read(c, topic->parts[0], 300, UINT64_MAX, ALL), ZSP_EOUT_OF_RANGE);
}

static void retention_drops_the_oldest_and_tells_the_new_start(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    topic->replay_from = UINT64_MAX;
    conf_fill(c, topic->parts[0], long_prefix(), 1000);
    conf_forget_events(c);
    retain(c, topic->parts[0], 0, 100000);
    assert_int_equal(conf_count(c, STORE_TRIMMED), 1);
    const uint64_t start = conf_info(c, topic->parts[0]).start_offset;
    assert_true(start > 0);
    assert_true(start < 1000);
    assert_int_equal(conf_read(c, topic->parts[0], start - 1, UINT64_MAX, ALL), ZSP_EOUT_OF_RANGE);
    conf_assert_filled(c, topic->parts[0], long_prefix(), (int)start, 1000 - (int)start);
    conf_restart(c, CONF_POWER, 7);
    assert_int_equal(conf_info(c, topic->parts[0]).start_offset, start);
    conf_assert_filled(c, topic->parts[0], long_prefix(), (int)start, 1000 - (int)start);
}

static void retention_by_time_keeps_what_is_young_enough(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    conf_fill(c, topic->parts[0], long_prefix(), 1000); /* at 1000, 1001, ... */
    conf_forget_events(c);
    retain(c, topic->parts[0], 1000, 0);
    assert_int_equal(conf_count(c, STORE_TRIMMED), 0);
    retain(c, topic->parts[0], 1700, 0);
    assert_int_equal(conf_count(c, STORE_TRIMMED), 1);
    const uint64_t start = conf_info(c, topic->parts[0]).start_offset;
    assert_in_range(start, 1, 700);
}

/* Goal: nothing is left of what is asked for, the last segment included, and offsets go on. */
static void all_below_an_offset_goes_when_the_end_is_sealed(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    topic->replay_from = UINT64_MAX;
    conf_fill(c, topic->parts[0], "old", 10);
    conf_forget_events(c);
    struct store_retain wanted = {.before_offset = 10, .imaged_before = UINT64_MAX};
    assert_int_equal(c->store->ops->retain(c->store, topic->parts[0], &wanted, NULL), 0);
    conf_drive(c);
    assert_true(conf_info(c, topic->parts[0]).start_offset < 10);
    wanted.seal_bytes = 1;
    assert_int_equal(c->store->ops->retain(c->store, topic->parts[0], &wanted, NULL), 0);
    conf_drive(c);
    assert_int_equal(conf_info(c, topic->parts[0]).start_offset, 10);
    assert_int_equal(conf_info(c, topic->parts[0]).bytes, 0);
    (void)conf_append(c, topic->parts[0], "new", 1, 5000);
    conf_drive(c);
    conf_restart(c, CONF_POWER, 7);
    assert_int_equal(conf_info(c, topic->parts[0]).start_offset, 10);
    assert_int_equal(conf_info(c, topic->parts[0]).synced_offset, 11);
}

static void a_grown_topic_keeps_its_old_partitions(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    (void)conf_append(c, topic->parts[0], "old", 1, 1000);
    conf_drive(c);
    const struct store_topic grown = {
        .id = 1, .name = zsp_slice_str("orders"), .partition_count = 3};
    void *owners[] = {&topic->owners[1], &topic->owners[2]};
    assert_int_equal(
        c->store->ops->topic_create(c->store, &grown, 1, owners, &topic->parts[1], 5000, NULL), 0);
    assert_int_equal(conf_wait(c, 5000)->code, 0);
    topic->partition_count = 3;
    (void)conf_append(c, topic->parts[2], "new", 1, 1000);
    conf_drive(c);
    conf_restart(c, CONF_POWER, 3);
    assert_int_equal(conf_info(c, topic->parts[0]).synced_offset, 1);
    assert_int_equal(conf_info(c, topic->parts[1]).synced_offset, 0);
    assert_int_equal(conf_info(c, topic->parts[2]).synced_offset, 1);
}

/* Goal: what is queued for a dropped topic is answered, and a topic of the same
 * name and another id starts empty. */
static void a_dropped_topic_answers_what_was_queued_and_is_gone(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    conf_fill(c, topic->parts[0], "m", 10);
    const uint64_t append = conf_append(c, topic->parts[0], "late", 1, 1000);
    const struct store_read read = {
        .part = topic->parts[0], .to_offset = UINT64_MAX, .max_bytes = 10, .tag = 5001};
    assert_int_equal(c->store->ops->read(c->store, &read, NULL), 0);
    const struct store_topic dropped = {
        .id = 1, .name = zsp_slice_str("orders"), .partition_count = 1};
    assert_int_equal(c->store->ops->topic_drop(c->store, &dropped, topic->parts, 5002, NULL), 0);
    c->topic_count = 0;
    assert_int_equal(conf_wait(c, append)->code, ZSP_ENOT_FOUND);
    assert_int_equal(conf_wait(c, 5001)->code, ZSP_ENOT_FOUND);
    assert_int_equal(conf_wait(c, 5002)->kind, STORE_TOPIC_DROPPED);
    topic = conf_topic(c, 2, "orders", 1);
    assert_int_equal(conf_info(c, topic->parts[0]).synced_offset, 0);
    conf_restart(c, CONF_POWER, 4);
    assert_int_equal(conf_info(c, topic->parts[0]).synced_offset, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, conf_set_up, conf_tear_down)

int conformance_log_run(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_append_is_told_its_offset_and_then_its_mark),
        TEST(nothing_is_told_before_the_flush),
        TEST(offsets_are_dense_and_in_the_order_of_the_calls),
        TEST(partitions_and_topics_count_on_their_own),
        TEST(marks_grow_and_never_pass_what_was_appended),
        TEST(a_read_sees_nothing_above_the_mark),
        TEST(a_read_gives_batches_as_they_were_appended),
        TEST(a_read_inside_a_batch_gives_the_whole_batch),
        TEST(a_read_ends_at_max_bytes_but_gives_the_first_batch),
        TEST(a_read_ends_at_its_end_offset),
        TEST(a_read_at_the_mark_is_empty_and_above_it_out_of_range),
        TEST(many_batches_are_read_back_in_steps),
        TEST(appends_go_on_after_a_restart),
        TEST(appended_batches_survive_a_crash_of_the_process),
        TEST(a_power_cut_leaves_a_prefix_with_all_that_was_synced),
        TEST(a_start_tells_headers_from_the_wanted_offset_on),
        TEST(a_time_is_found_at_the_first_batch_at_or_after_it),
        TEST(retention_leaves_what_is_kept),
        TEST(retention_drops_the_oldest_and_tells_the_new_start),
        TEST(retention_by_time_keeps_what_is_young_enough),
        TEST(all_below_an_offset_goes_when_the_end_is_sealed),
        TEST(a_grown_topic_keeps_its_old_partitions),
        TEST(a_dropped_topic_answers_what_was_queued_and_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
