/* SPDX-License-Identifier: MPL-2.0
 *
 * Conformance: several batches and entries that survive together and become visible together.
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

#define ALL       UINT32_MAX /* no limit by bytes */
#define MANY      20
#define TURNS_MAX 20000

/* An atomic append under test. */
struct atomic {
    struct store_atomic *handle;
    uint64_t tag;
};

static struct zsp_buf *frame_of(const char *text)
{
    struct zsp_buf *frame = zsp_buf_copy(zsp_slice_str(text));
    assert_non_null(frame);
    return frame;
}

/* One batch of one record for each part, all with this text. */
static struct atomic begin(struct conf *c, struct store_part *const *parts, size_t count,
                           const char *text)
{
    struct zsp_buf *frame = frame_of(text);
    const struct store_batch batch = {.frame = frame,
                                      .body = {frame->data, frame->len},
                                      .record_count = 1,
                                      .timestamp_ms = 1000,
                                      .priority = 4};
    struct store_append appends[CONF_PARTS_MAX];
    for (size_t i = 0; i < count; i++) {
        appends[i] = (struct store_append){parts[i], &batch};
    }
    struct atomic atomic = {.tag = ++c->next_tag};
    struct zsp_err err = {0};
    const int rc =
        c->store->ops->atomic_begin(c->store, appends, count, atomic.tag, &atomic.handle, &err);
    if (rc != 0) {
        fail_msg("atomic_begin: %s", err.msg);
    }
    zsp_buf_put(&frame);
    return atomic;
}

static const struct conf_event *find(const struct conf *c, uint64_t tag,
                                     enum store_completion_kind kind)
{
    for (size_t i = 0; i < c->event_count; i++) {
        if (c->events[i].tag == tag && c->events[i].kind == kind) {
            return &c->events[i];
        }
    }
    return NULL;
}

static const struct conf_event *wait_for(struct conf *c, uint64_t tag,
                                         enum store_completion_kind kind)
{
    for (int i = 0; i < TURNS_MAX; i++) {
        const struct conf_event *event = find(c, tag, kind);
        if (event) {
            return event;
        }
        if (!conf_turn(c)) {
            c->now.mono_ms++;
        }
    }
    fail_msg("it never came");
    return NULL;
}

static void wait_ready(struct conf *c, const struct atomic *atomic)
{
    assert_int_equal(wait_for(c, atomic->tag, STORE_ATOMIC_READY)->code, 0);
}

/* Put it with one entry; the code of the call. */
static int put(struct conf *c, const struct atomic *atomic, const char *key, const char *value)
{
    const struct store_entry entry = {
        .key = zsp_slice_str(key), .kind = STORE_IMAGE, .value = zsp_slice_str(value)};
    const int rc = c->store->ops->atomic_put(c->store, atomic->handle, &entry, 1, NULL);
    if (rc == 0) {
        conf_state_apply(&c->wanted, key, STORE_IMAGE, value);
    }
    return rc;
}

static void commit(struct conf *c, struct store_part *const *parts, size_t count, const char *text)
{
    const struct atomic atomic = begin(c, parts, count, text);
    wait_ready(c, &atomic);
    assert_int_equal(put(c, &atomic, "k", text), 0);
}

static void assert_one(struct conf *c, struct store_part *part, uint64_t offset, const char *text)
{
    assert_int_equal(conf_read(c, part, offset, UINT64_MAX, 1), 0);
    conf_assert_body(c, 0, text);
}

static void offsets_are_known_before_it_is_put(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 2);
    conf_fill(c, topic->parts[1], "m", 3);
    const struct atomic atomic = begin(c, topic->parts, 2, "both");
    wait_ready(c, &atomic);
    assert_int_equal(c->store->ops->atomic_offsets(atomic.handle)[0], 0);
    assert_int_equal(c->store->ops->atomic_offsets(atomic.handle)[1], 3);
    assert_int_equal(conf_info(c, topic->parts[1]).synced_offset, 3);
    assert_int_equal(put(c, &atomic, "k", "v"), 0);
    assert_int_equal(wait_for(c, atomic.tag, STORE_ATOMIC_DONE)->code, 0);
    assert_one(c, topic->parts[0], 0, "both");
    assert_one(c, topic->parts[1], 3, "both");
    conf_restart(c, CONF_POWER, 1);
    conf_assert_state(c);
    assert_one(c, topic->parts[0], 0, "both");
    assert_one(c, topic->parts[1], 3, "both");
}

/* Goal: whoever hears of one mark finds all of it there. */
static void done_comes_first_and_all_marks_have_moved_then(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 3);
    conf_drive(c);
    conf_forget_events(c);
    const struct atomic atomic = begin(c, topic->parts, 3, "all");
    wait_ready(c, &atomic);
    assert_int_equal(put(c, &atomic, "k", "v"), 0);
    for (int i = 0; i < TURNS_MAX && !find(c, atomic.tag, STORE_ATOMIC_DONE); i++) {
        for (int p = 0; p < 3; p++) {
            assert_int_equal(conf_info(c, topic->parts[p]).synced_offset, 0);
        }
        (void)conf_turn(c);
    }
    conf_drive(c);
    size_t synced = 0;
    for (const struct conf_event *e = find(c, atomic.tag, STORE_ATOMIC_DONE);
         e < c->events + c->event_count; e++) {
        synced += e->kind == STORE_SYNCED;
    }
    assert_int_equal(synced, 3);
    assert_int_equal(conf_count(c, STORE_SYNCED), 3);
    for (int p = 0; p < 3; p++) {
        assert_int_equal(conf_info(c, topic->parts[p]).synced_offset, 1);
    }
}

static void it_keeps_its_place_among_other_appends(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 2);
    (void)conf_append(c, topic->parts[0], "before", 1, 1000);
    const struct atomic atomic = begin(c, topic->parts, 2, "atomic");
    const uint64_t after = conf_append(c, topic->parts[0], "after", 1, 1000);
    wait_ready(c, &atomic);
    for (int i = 0; i < 50; i++) { /* the one behind it waits */
        (void)conf_turn(c);
    }
    assert_null(conf_find(c, after));
    assert_int_equal(put(c, &atomic, "k", "v"), 0);
    assert_int_equal(conf_wait(c, after)->code, 0);
    conf_drive(c);
    assert_one(c, topic->parts[0], 0, "before");
    assert_one(c, topic->parts[0], 1, "atomic");
    assert_one(c, topic->parts[0], 2, "after");
    conf_restart(c, CONF_POWER, 1);
    assert_one(c, topic->parts[0], 1, "atomic");
    assert_one(c, topic->parts[0], 2, "after");
}

static void what_is_cancelled_never_was(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 2);
    const struct atomic atomic = begin(c, topic->parts, 2, "cancelled");
    const uint64_t after = conf_append(c, topic->parts[1], "after", 1, 1000);
    wait_ready(c, &atomic);
    c->store->ops->atomic_cancel(c->store, atomic.handle);
    assert_int_equal(conf_wait(c, after)->offset, 0);
    conf_drive(c);
    assert_int_equal(conf_info(c, topic->parts[0]).end_offset, 0);
    assert_one(c, topic->parts[1], 0, "after");
}

static void a_refused_entry_refuses_the_whole(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 2);
    uint8_t *big = calloc(1, ZSP_STATE_RECORD_MAX + 1);
    assert_non_null(big);
    const struct store_entry entry = {
        .key = zsp_slice_str("a"), .kind = STORE_IMAGE, .value = {big, ZSP_STATE_RECORD_MAX + 1}};
    const struct atomic atomic = begin(c, topic->parts, 2, "refused");
    wait_ready(c, &atomic);
    assert_int_equal(c->store->ops->atomic_put(c->store, atomic.handle, &entry, 1, NULL),
                     ZSP_ETOO_LARGE);
    free(big);
    commit(c, topic->parts, 2, "kept");
    conf_drive(c);
    assert_one(c, topic->parts[0], 0, "kept");
    assert_one(c, topic->parts[1], 0, "kept");
}

static void what_is_too_large_is_refused_at_once(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    struct zsp_buf *frame = zsp_buf_new(ZSP_ATOMIC_BYTES_MAX + 1);
    assert_non_null(frame);
    memset(zsp_buf_bytes(frame), 'x', frame->len);
    const struct store_batch batch = {
        .frame = frame, .body = {frame->data, frame->len}, .record_count = 1};
    const struct store_append append = {topic->parts[0], &batch};
    struct store_atomic *handle = NULL;
    assert_int_equal(c->store->ops->atomic_begin(c->store, &append, 1, 9000, &handle, NULL),
                     ZSP_ETOO_LARGE);
    zsp_buf_put(&frame);
    conf_drive(c);
}

static void many_in_a_row_keep_their_order(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 3);
    struct atomic atomics[MANY];
    char texts[MANY][16];
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "m%d", i);
        atomics[i] = begin(c, topic->parts, 3, texts[i]);
    }
    for (int i = 0; i < MANY; i++) { /* not waited for: they follow each other closely */
        wait_ready(c, &atomics[i]);
        assert_int_equal(put(c, &atomics[i], "k", texts[i]), 0);
    }
    conf_drive(c);
    for (int p = 0; p < 3; p++) {
        conf_assert_filled(c, topic->parts[p], "m", 0, MANY);
    }
    conf_restart(c, CONF_POWER, 1);
    conf_assert_state(c);
    for (int p = 0; p < 3; p++) {
        conf_assert_filled(c, topic->parts[p], "m", 0, MANY);
    }
}

static void several_batches_of_one_partition_follow_each_other(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 2);
    struct store_part *const parts[] = {topic->parts[0], topic->parts[1], topic->parts[0]};
    const struct atomic atomic = begin(c, parts, 3, "twice");
    wait_ready(c, &atomic);
    assert_int_equal(c->store->ops->atomic_offsets(atomic.handle)[0], 0);
    assert_int_equal(c->store->ops->atomic_offsets(atomic.handle)[1], 0);
    assert_int_equal(c->store->ops->atomic_offsets(atomic.handle)[2], 1);
    assert_int_equal(put(c, &atomic, "k", "v"), 0);
    conf_drive(c);
    assert_one(c, topic->parts[0], 0, "twice");
    assert_one(c, topic->parts[0], 1, "twice");
    assert_one(c, topic->parts[1], 0, "twice");
}

static void it_fills_segments_beside_other_appends(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 2);
    topic->replay_from = UINT64_MAX;
    char text[200];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (int i = 0; i < 60; i++) {
        const struct atomic atomic = begin(c, topic->parts, 2, text);
        (void)conf_append(c, topic->parts[i % 2], text, 1, 1000);
        wait_ready(c, &atomic);
        assert_int_equal(put(c, &atomic, "k", "v"), 0);
    }
    conf_drive(c);
    for (int p = 0; p < 2; p++) {
        assert_int_equal(conf_info(c, topic->parts[p]).synced_offset, 90);
        assert_one(c, topic->parts[p], 89, text);
    }
    conf_restart(c, CONF_POWER, 3);
    assert_one(c, topic->parts[0], 0, text);
    assert_one(c, topic->parts[1], 89, text);
}

/* Goal: whenever what is before it is asked to go, it stays where it was told to be. */
static void what_is_asked_to_go_does_not_move_it(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 2);
    for (uint64_t turns = 0; turns < 20; turns++) {
        const uint64_t end = 2 * turns;
        const struct store_retain all = {
            .before_offset = end, .seal_bytes = 1, .imaged_before = UINT64_MAX};
        const struct atomic atomic = begin(c, topic->parts, 2, "atomic");
        wait_ready(c, &atomic);
        assert_int_equal(c->store->ops->retain(c->store, topic->parts[0], &all, NULL), 0);
        for (uint64_t i = 0; i < turns; i++) {
            (void)conf_turn(c);
        }
        assert_int_equal(put(c, &atomic, "k", "v"), 0);
        assert_int_equal(c->store->ops->retain(c->store, topic->parts[0], &all, NULL), 0);
        (void)conf_append(c, topic->parts[0], "behind", 1, 1000);
        conf_drive(c);
        assert_one(c, topic->parts[0], end, "atomic");
        assert_one(c, topic->parts[0], end + 1, "behind");
        topic->replay_from = UINT64_MAX;
        conf_restart(c, CONF_POWER, turns);
        assert_one(c, topic->parts[0], end, "atomic");
        assert_one(c, topic->parts[0], end + 1, "behind");
    }
}

static void it_may_hold_entries_alone(void **state)
{
    struct conf *c = *state;
    const struct atomic atomic = begin(c, NULL, 0, "none");
    wait_ready(c, &atomic);
    assert_int_equal(put(c, &atomic, "k", "v"), 0);
    assert_int_equal(wait_for(c, atomic.tag, STORE_ATOMIC_DONE)->code, 0);
    conf_restart(c, CONF_POWER, 1);
    conf_assert_state(c);
}

/* Goal: whenever the crash comes, both partitions and the entry agree. */
static void a_crash_leaves_all_of_it_or_nothing(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 2);
    topic->replay_from = UINT64_MAX;
    uint64_t end = 0;
    for (int turns = 0; turns < 60; turns++) {
        char text[16];
        (void)snprintf(text, sizeof text, "t%d", turns);
        const struct conf_state before = c->wanted;
        commit(c, topic->parts, 2, text);
        const uint64_t tag = c->next_tag;
        for (int i = 0; i < turns % 12; i++) {
            (void)conf_turn(c);
        }
        const bool was_done = find(c, tag, STORE_ATOMIC_DONE) != NULL;
        conf_restart(c, turns % 3 == 0 ? CONF_PROCESS : CONF_POWER, (uint64_t)turns);
        const uint64_t ends[] = {conf_info(c, topic->parts[0]).synced_offset,
                                 conf_info(c, topic->parts[1]).synced_offset};
        assert_int_equal(ends[0], ends[1]);
        assert_in_range(ends[0], was_done ? end + 1 : end, end + 1);
        if (ends[0] == end) {
            c->wanted = before;
        } else {
            assert_one(c, topic->parts[0], end, text);
            assert_one(c, topic->parts[1], end, text);
        }
        conf_assert_state(c);
        end = ends[0];
    }
    assert_true(end > 0);
}

static void drop(struct conf *c, const struct conf_topic *topic, uint64_t tag)
{
    const struct store_topic gone = {topic->id, zsp_slice_str(topic->name), topic->partition_count};
    assert_int_equal(c->store->ops->topic_drop(c->store, &gone, topic->parts, tag, NULL), 0);
}

static void a_topic_that_goes_takes_what_waits_for_it_along(void **state)
{
    struct conf *c = *state;
    struct conf_topic *orders = conf_topic(c, 1, "orders", 1);
    struct conf_topic *bills = conf_topic(c, 2, "bills", 1);
    struct store_part *const parts[] = {orders->parts[0], bills->parts[0]};
    const struct atomic ready = begin(c, parts, 2, "ready");
    const struct atomic waiting = begin(c, parts, 2, "waiting");
    wait_ready(c, &ready);
    const uint64_t dropped = ++c->next_tag;
    drop(c, bills, dropped);
    assert_int_equal(put(c, &ready, "k", "v"), ZSP_ENOT_FOUND);
    assert_int_equal(wait_for(c, waiting.tag, STORE_ATOMIC_READY)->code, ZSP_ENOT_FOUND);
    assert_false(wait_for(c, waiting.tag, STORE_ATOMIC_READY)->maybe);
    (void)conf_append(c, orders->parts[0], "alone", 1, 1000);
    assert_int_equal(conf_wait(c, dropped)->code, 0);
    conf_drive(c);
    assert_one(c, orders->parts[0], 0, "alone");
    c->topic_count--; /* not to be opened again */
}

static void a_topic_that_goes_after_it_was_put_harms_nobody(void **state)
{
    struct conf *c = *state;
    struct conf_topic *orders = conf_topic(c, 1, "orders", 1);
    struct conf_topic *bills = conf_topic(c, 2, "bills", 1);
    struct store_part *const parts[] = {orders->parts[0], bills->parts[0]};
    commit(c, parts, 2, "both");
    const uint64_t tag = c->next_tag;
    const uint64_t dropped = ++c->next_tag;
    drop(c, bills, dropped);
    assert_int_equal(wait_for(c, tag, STORE_ATOMIC_DONE)->code, 0);
    assert_int_equal(conf_wait(c, dropped)->code, 0);
    conf_drive(c);
    c->topic_count--;
    assert_one(c, orders->parts[0], 0, "both");
    conf_restart(c, CONF_POWER, 1);
    assert_one(c, orders->parts[0], 0, "both");
    conf_assert_state(c);
}

static void a_failed_sync_leaves_it_in_doubt(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 2);
    conf_drive(c);
    const struct conf_state before = c->wanted;
    const struct atomic atomic = begin(c, topic->parts, 2, "doubt");
    wait_ready(c, &atomic);
    c->subject->fail_sync_fn(c->self);
    assert_int_equal(put(c, &atomic, "k", "doubt"), 0);
    const struct conf_event *event = wait_for(c, atomic.tag, STORE_ATOMIC_DONE);
    assert_int_equal(event->code, ZSP_ESTORAGE_FAILED);
    assert_true(event->maybe);
    conf_restart(c, CONF_POWER, 5);
    const uint64_t end = conf_info(c, topic->parts[0]).synced_offset;
    assert_int_equal(conf_info(c, topic->parts[1]).synced_offset, end);
    c->wanted = end == 0 ? before : c->wanted;
    conf_assert_state(c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, conf_set_up, conf_tear_down)

int conformance_atomic_run(void)
{
    const struct CMUnitTest tests[] = {
        TEST(offsets_are_known_before_it_is_put),
        TEST(done_comes_first_and_all_marks_have_moved_then),
        TEST(it_keeps_its_place_among_other_appends),
        TEST(what_is_cancelled_never_was),
        TEST(a_refused_entry_refuses_the_whole),
        TEST(what_is_too_large_is_refused_at_once),
        TEST(many_in_a_row_keep_their_order),
        TEST(several_batches_of_one_partition_follow_each_other),
        TEST(it_fills_segments_beside_other_appends),
        TEST(what_is_asked_to_go_does_not_move_it),
        TEST(it_may_hold_entries_alone),
        TEST(a_crash_leaves_all_of_it_or_nothing),
        TEST(a_topic_that_goes_takes_what_waits_for_it_along),
        TEST(a_topic_that_goes_after_it_was_put_harms_nobody),
        TEST(a_failed_sync_leaves_it_in_doubt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
