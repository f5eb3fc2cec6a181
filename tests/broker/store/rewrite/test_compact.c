/* SPDX-License-Identifier: MPL-2.0
 *
 * Compaction over files in memory: what stays, what goes, and what a crash at any call leaves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/broker/store/rewrite/rewriting_world.h"
#include "tests/support/crash_fs.h"

#define KEYS         12
#define MESSAGES_MAX REWRITING_MESSAGES_MAX

/* What was put in at an offset, as far as it is known. */
struct put {
    bool known;
    int key; /* < 0 = none */
    bool is_tombstone;
    uint64_t serial;
};

struct world {
    struct rewriting_world base; /* first */
    struct put by_serial[MESSAGES_MAX];
    struct put at[MESSAGES_MAX]; /* by offset */
    bool tombstones_may_go;
};

static void note(struct rewriting_world *base, uint64_t offset, uint64_t serial,
                 const struct zsp_record *record)
{
    struct world *self = (struct world *)base;
    if (self->at[offset].known) { /* an offset never means another message */
        assert_int_equal(self->at[offset].serial, serial);
    }
    self->at[offset] = self->by_serial[serial];
    assert_int_equal(record->payload.len == 0, self->at[offset].is_tombstone);
}

static uint64_t draw(struct world *self, uint64_t below)
{
    return rewriting_world_draw(&self->base, below);
}

static void set_up(struct world *self, uint64_t seed)
{
    memset(self, 0, sizeof *self);
    rewriting_world_set_up(&self->base, seed);
    self->base.seen_fn = note;
}

static void tear_down(struct world *self)
{
    rewriting_world_tear_down(&self->base);
}

/* --- Publishing ---------------------------------------------------------------------------------- */

static void write_record(struct world *self, struct zsp_writer *out)
{
    char key[16];
    char value[32];
    struct put *put = &self->by_serial[self->base.serial];
    assert_true(self->base.serial < MESSAGES_MAX);
    *put = (struct put){.known = true, .serial = self->base.serial};
    put->key = draw(self, 10) == 0 ? -1 : (int)draw(self, KEYS);
    put->is_tombstone = put->key >= 0 && draw(self, 8) == 0;
    (void)snprintf(key, sizeof key, "key-%d", put->key);
    (void)snprintf(value, sizeof value, "%" PRIu64, self->base.serial);
    const struct zsp_record record = {
        .payload = zsp_slice_str(put->is_tombstone ? "" : value),
        .key = put->key >= 0 ? zsp_slice_str(key) : (struct zsp_slice){NULL, 0},
        .id = zsp_slice_str(value),
    };
    zsp_record_write(out, &record);
    self->base.serial++;
}

/* A batch of some records, sometimes compressed. */
static void publish(struct world *self)
{
    struct zsp_writer raw = {0};
    const uint32_t count = 1 + (uint32_t)draw(self, 6);
    for (uint32_t i = 0; i < count; i++) {
        write_record(self, &raw);
    }
    struct log_case *c = self->base.store;
    c->priority = (uint8_t)draw(self, 3);
    rewriting_world_append(&self->base, 0, zsp_writer_slice(&raw), count, 4);
    zsp_writer_fini(&raw);
    c->now.wall_ms += (int64_t)draw(self, 3);
}

static void publish_some(struct world *self, int count)
{
    for (int i = 0; i < count && !self->base.store->failed; i++) {
        publish(self);
    }
}

/* --- Compacting ----------------------------------------------------------------------------------- */

static void compact_to(struct world *self, uint64_t before_offset, int64_t tombstones_before_ms)
{
    struct log_case *c = self->base.store;
    const struct store_compact what = {.before_offset = before_offset,
                                       .now_ms = c->now.wall_ms,
                                       .tombstones_before_ms = tombstones_before_ms};
    (void)c->store->ops->compact(c->store, c->parts[0], &what, NULL);
    rewriting_world_wait(&self->base, 0);
}

static void compact(struct world *self)
{
    compact_to(self, UINT64_MAX, 0);
}

/* --- Looking ---------------------------------------------------------------------------------------- */

static void look(struct world *self)
{
    log_case_settle(self->base.store);
    rewriting_world_look(&self->base, 0);
}

/* Every message is there, or went for a newer one with its key that is. */
static void assert_newest(struct world *self)
{
    look(self);
    int64_t newest[KEYS];
    memset(newest, 0xff, sizeof newest);
    for (uint64_t offset = self->base.end; offset-- > 0;) {
        const struct put *put = &self->at[offset];
        assert_true(put->known);
        const bool is_newest = put->key < 0 || newest[put->key] < 0;
        if (put->key >= 0 && is_newest) {
            newest[put->key] = (int64_t)offset;
        }
        if (is_newest && !self->base.is_there[offset] &&
            !(put->is_tombstone && self->tombstones_may_go)) {
            fail_msg("offset %" PRIu64 " is the newest of key %d, and is gone", offset, put->key);
        }
    }
}

/* How many messages with a key are there below `end` that have a newer one there. */
static unsigned count_stale(const struct world *self, uint64_t end)
{
    bool seen[KEYS] = {false};
    unsigned count = 0;
    for (uint64_t offset = end; offset-- > 0;) {
        const int key = self->at[offset].key;
        if (key < 0) {
            continue;
        }
        count += self->base.is_there[offset] && seen[key] ? 1 : 0;
        seen[key] = true;
    }
    return count;
}

/* --- Tests ----------------------------------------------------------------------------------------------- */

static void the_newest_message_of_each_key_stays(void **state)
{
    (void)state;
    static struct world world;
    set_up(&world, 1);
    publish_some(&world, 150);
    look(&world);
    const struct store_part_info before = log_case_info(world.base.store, 0);
    assert_true(before.segment_count > 3);
    compact(&world);
    assert_newest(&world);
    const struct store_part_info after = log_case_info(world.base.store, 0);
    assert_true(after.bytes < before.bytes / 2);
    assert_true(after.segment_count * 2 < before.segment_count);
    assert_int_equal(after.compacted.runs, 1);
    assert_true(after.compacted.messages > 200);
    log_case_assert_no_leftovers(world.base.store);
    assert_int_equal(count_stale(&world, world.base.end - 150), 0);
    compact(&world); /* nothing is dirty */
    assert_int_equal(log_case_info(world.base.store, 0).compacted.runs, 1);
    log_case_reopen(world.base.store);
    assert_newest(&world);
    assert_int_equal(world.base.store->warnings, 0);
    log_case_close(world.base.store);
    log_case_assert_clean(world.base.store);
    tear_down(&world);
}

static void it_goes_on_where_it_was_and_merges(void **state)
{
    (void)state;
    static struct world world;
    set_up(&world, 2);
    for (int round = 0; round < 12; round++) {
        publish_some(&world, 60);
        look(&world);
        compact(&world);
        assert_newest(&world);
        if (round % 4 == 3) {
            log_case_reopen(world.base.store);
        }
    }
    const struct store_part_info info = log_case_info(world.base.store, 0);
    assert_true(info.bytes / info.segment_count > 2048); /* small ones were put together */
    log_case_assert_no_leftovers(world.base.store);
    log_case_close(world.base.store);
    log_case_assert_clean(world.base.store);
    tear_down(&world);
}

/* Goal: with room for few keys a compaction does a part, and the next ones go on. */
static void memory_is_bounded(void **state)
{
    (void)state;
    static struct world world;
    set_up(&world, 3);
    world.base.store->options.compaction_keys_max = 8;
    log_case_reopen(world.base.store);
    publish_some(&world, 150);
    look(&world);
    for (int i = 0; i < 400; i++) {
        compact(&world);
        assert_newest(&world);
    }
    assert_int_equal(count_stale(&world, world.base.end - 150), 0);
    tear_down(&world);
}

static unsigned count_tombstones(struct world *self)
{
    unsigned count = 0;
    look(self);
    for (uint64_t i = 0; i < self->base.end; i++) {
        count += self->base.is_there[i] && self->at[i].is_tombstone ? 1 : 0;
    }
    return count;
}

static void tombstones_stay_for_their_time(void **state)
{
    (void)state;
    static struct world world;
    set_up(&world, 4);
    publish_some(&world, 200);
    look(&world);
    compact(&world);
    assert_newest(&world);
    const unsigned before = count_tombstones(&world);
    assert_true(before > 0);
    const int64_t since = log_case_info(world.base.store, 0).tombstone_ms;
    assert_int_equal(since, world.base.store->now.wall_ms);
    log_case_reopen(world.base.store);
    assert_int_equal(log_case_info(world.base.store, 0).tombstone_ms, since);
    compact_to(&world, UINT64_MAX, since - 1);
    assert_int_equal(count_tombstones(&world), before);
    world.tombstones_may_go = true;
    compact_to(&world, UINT64_MAX, since);
    assert_true(count_tombstones(&world) < before);
    assert_newest(&world);
    assert_int_equal(log_case_info(world.base.store, 0).tombstone_ms, 0);
    log_case_close(world.base.store);
    log_case_assert_clean(world.base.store);
    tear_down(&world);
}

/* Of a key whose newest message is a tombstone that went, nothing older is left. */
static void assert_nothing_comes_back(const struct world *self)
{
    bool known[KEYS] = {false};
    bool is_over[KEYS] = {false};
    for (uint64_t offset = self->base.end; offset-- > 0;) {
        const struct put *put = &self->at[offset];
        if (put->key < 0) {
            continue;
        }
        if (is_over[put->key] && self->base.is_there[offset]) {
            fail_msg("offset %" PRIu64 " of key %d is there, and the tombstone behind it is gone",
                     offset, put->key);
        }
        is_over[put->key] = known[put->key] ? is_over[put->key] : !self->base.is_there[offset];
        known[put->key] = true;
    }
}

/* Goal: a tombstone of which a compaction has not got the key, for want of room, is as if it had never
 * been looked at. */
static void a_tombstone_stays_while_older_values_may_be_there(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        static struct world world;
        set_up(&world, seed + 200);
        world.base.store->options.compaction_keys_max = 8;
        log_case_reopen(world.base.store);
        publish_some(&world, 150);
        look(&world);
        world.tombstones_may_go = true;
        for (int i = 0; i < 40; i++) {
            world.base.store->now.wall_ms += 10;
            compact_to(&world, UINT64_MAX, world.base.store->now.wall_ms);
            assert_newest(&world);
            assert_nothing_comes_back(&world);
        }
        tear_down(&world);
    }
}

static void what_is_not_to_go_in_stays_as_it_is(void **state)
{
    (void)state;
    static struct world world;
    set_up(&world, 5);
    publish_some(&world, 150);
    look(&world);
    compact_to(&world, 0, 0);
    look(&world);
    for (uint64_t i = 0; i < world.base.end; i++) {
        assert_true(world.base.is_there[i]);
    }
    tear_down(&world);
}

/* Goal: retention, a removal of the topic, a damaged partition do not meet a compaction badly. */
static void others_may_come_in_between(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++) {
        static struct world world;
        set_up(&world, seed + 100);
        publish_some(&world, 150);
        look(&world);
        struct log_case *c = world.base.store;
        const struct store_compact what = {.before_offset = UINT64_MAX, .now_ms = 1};
        assert_int_equal(c->store->ops->compact(c->store, c->parts[0], &what, NULL), 0);
        const struct store_retain retain = {
            .before_offset = 200, .seal_bytes = 1, .imaged_before = UINT64_MAX};
        for (uint64_t i = 0; i < seed; i++) {
            log_case_run(c);
            c->now.mono_ms += (int64_t)draw(&world, 3);
            if (i == seed / 2) {
                assert_int_equal(c->store->ops->retain(c->store, c->parts[0], &retain, NULL), 0);
            }
        }
        if (seed % 3 == 0) {
            struct store_part *parts[CASE_PARTS] = {c->parts[0], c->parts[1]};
            const struct store_topic topic = {CASE_TOPIC, zsp_slice_str("orders"), CASE_PARTS};
            assert_int_equal(c->store->ops->topic_drop(c->store, &topic, parts, 9, NULL), 0);
            log_case_settle(c);
            assert_true(c->dropped);
        } else if (seed % 3 == 1) {
            log_case_kill(c);
            log_case_assert_clean(world.base.store);
        }
        tear_down(&world);
    }
}

/* --- Crashes ---------------------------------------------------------------------------------------------- */

static bool crash_at(uint64_t n, bool power)
{
    static struct world world;
    set_up(&world, n + 7);
    struct log_case *c = world.base.store;
    publish_some(&world, 70);
    look(&world);
    if (n % 2 == 1) {
        compact(&world);
        publish_some(&world, 50);
    }
    look(&world);
    world.tombstones_may_go = true;
    crash_fs_freeze_at(c->fs, n);
    compact_to(&world, UINT64_MAX, n % 3 == 0 ? c->now.wall_ms : 0);
    publish_some(&world, 5);
    const bool crashed = rewriting_world_crash(&world.base, power, n);
    assert_newest(&world);
    log_case_assert_no_leftovers(world.base.store);
    compact(&world);
    publish_some(&world, 3);
    assert_newest(&world);
    log_case_close(c);
    log_case_assert_clean(world.base.store);
    tear_down(&world);
    return crashed;
}

static void a_power_cut_at_any_call_leaves_the_old_or_the_new(void **state)
{
    (void)state;
    rewriting_crash_everywhere(crash_at, true);
}

static void a_dying_process_at_any_call_leaves_the_old_or_the_new(void **state)
{
    (void)state;
    rewriting_crash_everywhere(crash_at, false);
}

/* Goal: a full disk ends a compaction, and nothing else. */
static void without_room_nothing_has_happened(void **state)
{
    (void)state;
    static struct world world;
    set_up(&world, 9);
    publish_some(&world, 150);
    look(&world);
    crash_fs_set_limit(world.base.store->fs, crash_fs_used(world.base.store->fs));
    compact(&world);
    assert_false(world.base.store->failed);
    assert_newest(&world);
    assert_int_equal(log_case_info(world.base.store, 0).compacted.runs, 0);
    crash_fs_set_limit(world.base.store->fs, UINT64_MAX);
    world.base.store->now.mono_ms += 5000;
    log_case_settle(world.base.store);
    compact(&world);
    assert_int_equal(log_case_info(world.base.store, 0).compacted.runs, 1);
    assert_newest(&world);
    tear_down(&world);
}

/* Goal: who reads an old file while a new one takes its place gets what was there, and nobody else does,
 * who asks later. */
static void a_slow_read_tells_nobody_else_what_went(void **state)
{
    (void)state;
    static struct world world;
    set_up(&world, 3);
    publish_some(&world, 150);
    look(&world);
    struct log_case *c = world.base.store;
    log_case_reopen(c); /* the tail buffers are empty: reads go to files */
    const struct store_read read = {
        .part = c->parts[0], .to_offset = UINT64_MAX, .max_bytes = 100000, .tag = 8};
    assert_int_equal(c->store->ops->read(c->store, &read, NULL), 0);
    c->store->ops->flush(c->store, c->now);
    struct job *slow = log_store_next_job(c->log);
    while (slow && slow->kind != JOB_READ) {
        job_run(slow, c->options.fs);
        log_store_job_done(c->log, slow);
        slow = log_store_next_job(c->log);
    }
    assert_non_null(slow);
    job_run(slow, c->options.fs);
    compact(&world);
    assert_int_equal(log_case_info(c, 0).compacted.runs, 1);
    log_store_job_done(c->log, slow);
    log_case_run(c);
    assert_int_equal(c->read.tag, 8);
    assert_newest(&world);
    assert_int_equal(count_stale(&world, world.base.end - 150), 0);
    tear_down(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_message_of_each_key_stays),
        cmocka_unit_test(it_goes_on_where_it_was_and_merges),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(tombstones_stay_for_their_time),
        cmocka_unit_test(a_tombstone_stays_while_older_values_may_be_there),
        cmocka_unit_test(what_is_not_to_go_in_stays_as_it_is),
        cmocka_unit_test(others_may_come_in_between),
        cmocka_unit_test(a_slow_read_tells_nobody_else_what_went),
        cmocka_unit_test(a_power_cut_at_any_call_leaves_the_old_or_the_new),
        cmocka_unit_test(a_dying_process_at_any_call_leaves_the_old_or_the_new),
        cmocka_unit_test(without_room_nothing_has_happened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
