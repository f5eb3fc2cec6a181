/* SPDX-License-Identifier: MPL-2.0
 *
 * Islands over files in memory: retention passes over messages that are kept, what of them can be read
 * then, and what a crash at any call leaves.
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

#define MESSAGES_MAX REWRITING_MESSAGES_MAX

#define PAYLOAD                                                                                    \
    "a payload that is long enough to weigh more than the headers of the batches that it is in: a" \
    " sparse one for each that was published, since the time of publishing differs, with 128 "     \
    "bytes"

struct world {
    struct rewriting_world base;      /* first */
    uint64_t serial_at[MESSAGES_MAX]; /* by offset, once it was seen; + 1 */
    bool is_wanted[MESSAGES_MAX];     /* by offset: to be kept when the log goes */
    uint64_t keep_bytes;
};

static void note(struct rewriting_world *base, uint64_t offset, uint64_t serial,
                 const struct zsp_record *record)
{
    struct world *self = (struct world *)base;
    (void)record;
    if (self->serial_at[offset] != 0) { /* an offset never means another message */
        assert_int_equal(self->serial_at[offset], serial + 1);
    }
    self->serial_at[offset] = serial + 1;
}

static void set_up(struct world *self, uint64_t seed, uint64_t one_of)
{
    memset(self, 0, sizeof *self);
    rewriting_world_set_up(&self->base, seed);
    self->base.seen_fn = note;
    for (size_t i = 0; i < MESSAGES_MAX; i++) {
        self->is_wanted[i] = rewriting_world_draw(&self->base, one_of) == 0;
    }
}

static void tear_down(struct world *self)
{
    rewriting_world_tear_down(&self->base);
}

/* A batch of some records, sometimes compressed. */
static void publish(struct world *self)
{
    struct zsp_writer raw = {0};
    const uint32_t count = 1 + (uint32_t)rewriting_world_draw(&self->base, 8);
    for (uint32_t i = 0; i < count; i++) {
        char id[32];
        (void)snprintf(id, sizeof id, "%" PRIu64, self->base.serial++);
        const struct zsp_record record = {.payload = zsp_slice_str(PAYLOAD),
                                          .id = zsp_slice_str(id)};
        zsp_record_write(&raw, &record);
    }
    self->base.store->now.wall_ms++;
    rewriting_world_append(&self->base, 0, zsp_writer_slice(&raw), count, 3);
    zsp_writer_fini(&raw);
}

static void publish_some(struct world *self, int count)
{
    for (int i = 0; i < count && !self->base.store->failed; i++) {
        publish(self);
    }
}

/* --- Retention -------------------------------------------------------------------------------------- */

/* What is wanted of [from, to), as the engine would tell it. */
static size_t gather(const struct world *self, uint64_t from, uint64_t to, struct store_range *kept)
{
    size_t count = 0;
    for (uint64_t i = from; i < to && i < MESSAGES_MAX; i++) {
        if (self->is_wanted[i] && count > 0 && kept[count - 1].end_offset == i) {
            kept[count - 1].end_offset++;
        } else if (self->is_wanted[i]) {
            kept[count++] = (struct store_range){i, i + 1};
        }
    }
    return count;
}

/* Ask once, and do what follows of it. */
static void ask(struct world *self, uint64_t max_bytes, uint64_t most_bytes)
{
    static struct store_range kept[MESSAGES_MAX];
    struct log_case *c = self->base.store;
    struct store_part_info info = log_case_info(c, 0);
    struct store_retain what = {.max_bytes = max_bytes,
                                .most_bytes = most_bytes,
                                .keeps = true,
                                .kept = kept,
                                .keep_bytes = self->keep_bytes,
                                .imaged_before = UINT64_MAX};
    what.keep_from = info.island_end;
    what.keep_to = c->store->ops->retain_reach(c->store, c->parts[0], &what);
    if (what.keep_to == info.island_end) {
        what.keep_from = 0;
    }
    what.kept_count = gather(self, what.keep_from, what.keep_to, kept);
    (void)c->store->ops->retain(c->store, c->parts[0], &what, NULL);
    memset(kept, 0xee, sizeof kept);
    rewriting_world_wait(&self->base, 0);
}

/* Until nothing more comes of it. */
static void retain(struct world *self, uint64_t max_bytes)
{
    uint64_t before = UINT64_MAX;
    for (int i = 0; i < 50 && !self->base.store->failed; i++) {
        ask(self, max_bytes, 0);
        const struct store_part_info info = log_case_info(self->base.store, 0);
        const uint64_t now = info.island_end + info.island_offset + info.bytes;
        if (now == before) {
            return;
        }
        before = now;
    }
}

/* --- Looking ------------------------------------------------------------------------------------------ */

static void look(struct world *self)
{
    log_case_settle(self->base.store);
    rewriting_world_look(&self->base, log_case_info(self->base.store, 0).island_offset);
}

/* All of the log is there, and of what was before it what is wanted. */
static void assert_kept(struct world *self)
{
    look(self);
    const struct store_part_info info = log_case_info(self->base.store, 0);
    assert_true(info.island_offset <= info.start_offset);
    for (uint64_t i = 0; i < self->base.end; i++) {
        if (!self->base.is_there[i] && (i >= info.start_offset || self->is_wanted[i])) {
            fail_msg("offset %" PRIu64 " is gone; islands from %" PRIu64 ", start %" PRIu64, i,
                     info.island_offset, info.start_offset);
        }
    }
    if (info.island_offset > 0) {
        assert_int_equal(log_case_read(self->base.store, 0, info.island_offset - 1),
                         ZSP_EOUT_OF_RANGE);
    }
}

static unsigned count_there(struct world *self, uint64_t end)
{
    unsigned count = 0;
    look(self);
    for (uint64_t i = 0; i < end; i++) {
        count += self->base.is_there[i] ? 1 : 0;
    }
    return count;
}

/* --- Tests -------------------------------------------------------------------------------------------- */

static void retention_leaves_what_is_kept(void **state)
{
    (void)state;
    static struct world world;
    set_up(&world, 1, 20);
    publish_some(&world, 200);
    look(&world);
    const struct store_part_info before = log_case_info(world.base.store, 0);
    retain(&world, 6000);
    assert_kept(&world);
    const struct store_part_info after = log_case_info(world.base.store, 0);
    assert_true(after.start_offset > world.base.end / 2);
    assert_true(after.island_offset < 100);
    assert_true(world.is_wanted[after.island_offset]);
    assert_true(after.bytes < before.bytes / 2);
    assert_true(after.segment_count < before.segment_count / 2);
    assert_true(count_there(&world, after.start_offset) < after.start_offset / 10);
    log_case_assert_no_leftovers(world.base.store);
    log_case_reopen(world.base.store);
    assert_int_equal(log_case_info(world.base.store, 0).start_offset, after.start_offset);
    assert_int_equal(log_case_info(world.base.store, 0).island_offset, after.island_offset);
    assert_kept(&world);
    assert_int_equal(world.base.store->warnings, 0);
    log_case_close(world.base.store);
    log_case_assert_clean(world.base.store);
    tear_down(&world);
}

static void it_goes_on_and_islands_become_one(void **state)
{
    (void)state;
    static struct world world;
    set_up(&world, 2, 30);
    for (int round = 0; round < 40; round++) {
        publish_some(&world, 20);
        look(&world);
        retain(&world, 4000);
        assert_kept(&world);
        if (round % 8 == 7) {
            log_case_reopen(world.base.store);
        }
    }
    const struct store_part_info info = log_case_info(world.base.store, 0);
    assert_true(info.segment_count < 30);
    assert_true(count_there(&world, info.start_offset) < info.start_offset / 12);
    log_case_assert_no_leftovers(world.base.store);
    log_case_close(world.base.store);
    log_case_assert_clean(world.base.store);
    tear_down(&world);
}

/* Goal: what is wanted no more leaves the disk, and in the end there is no island. */
static void what_is_not_kept_any_more_goes(void **state)
{
    (void)state;
    static struct world world;
    set_up(&world, 3, 4);
    publish_some(&world, 200);
    look(&world);
    retain(&world, 4000);
    const struct store_part_info first = log_case_info(world.base.store, 0);
    for (uint64_t i = 0; i < first.start_offset; i++) {
        world.is_wanted[i] = world.is_wanted[i] && i % 3 == 0;
    }
    retain(&world, 4000);
    assert_kept(&world);
    const struct store_part_info second = log_case_info(world.base.store, 0);
    assert_true(second.island_bytes < first.island_bytes / 2);
    log_case_reopen(world.base.store);
    memset(world.is_wanted, 0, sizeof world.is_wanted);
    retain(&world, 4000);
    assert_kept(&world);
    const struct store_part_info third = log_case_info(world.base.store, 0);
    assert_int_equal(third.island_bytes, 0);
    assert_int_equal(third.island_offset, third.start_offset);
    log_case_assert_no_leftovers(world.base.store);
    tear_down(&world);
}

/* Goal: islands are held to a limit of bytes: the oldest messages go, and the newest stay. */
static void islands_have_a_limit_of_bytes(void **state)
{
    (void)state;
    static struct world world;
    set_up(&world, 4, 2);
    world.keep_bytes = 3000;
    publish_some(&world, 250);
    look(&world);
    retain(&world, 4000);
    const struct store_part_info info = log_case_info(world.base.store, 0);
    assert_in_range(info.island_bytes, 1000, 3000);
    for (uint64_t i = 0; i < info.island_offset; i++) {
        world.is_wanted[i] = false;
    }
    assert_kept(&world);
    log_case_reopen(world.base.store);
    assert_int_equal(log_case_info(world.base.store, 0).island_offset, info.island_offset);
    assert_kept(&world);
    tear_down(&world);
}

/* Goal: what a partition may take at most holds for islands, too; they are the first to go. */
static void islands_give_way_to_the_limit_of_all(void **state)
{
    (void)state;
    static struct world world;
    set_up(&world, 5, 3);
    publish_some(&world, 200);
    look(&world);
    retain(&world, 8000);
    const struct store_part_info before = log_case_info(world.base.store, 0);
    ask(&world, 8000, before.bytes - before.island_bytes);
    log_case_settle(world.base.store);
    const struct store_part_info after = log_case_info(world.base.store, 0);
    assert_int_equal(after.island_bytes, 0);
    assert_int_equal(after.start_offset, before.start_offset);
    assert_int_equal(after.island_offset, after.start_offset);
    tear_down(&world);
}

/* Goal: a purge takes the islands with it, and one that comes while they are written waits for that. */
static void a_purge_takes_islands_along(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 30; seed++) {
        static struct world world;
        static struct store_range kept[MESSAGES_MAX];
        set_up(&world, seed + 50, 10);
        publish_some(&world, 150);
        look(&world);
        struct log_case *c = world.base.store;
        struct store_retain what = {
            .max_bytes = 4000, .keeps = true, .kept = kept, .imaged_before = UINT64_MAX};
        what.keep_to = c->store->ops->retain_reach(c->store, c->parts[0], &what);
        what.kept_count = gather(&world, 0, what.keep_to, kept);
        (void)c->store->ops->retain(c->store, c->parts[0], &what, NULL);
        for (uint64_t i = 0; i < seed; i++) {
            log_case_run(c);
            c->now.mono_ms++;
        }
        const uint64_t start = log_case_info(c, 0).start_offset;
        const struct store_retain all = {
            .before_offset = start, .seal_bytes = 1, .imaged_before = UINT64_MAX};
        (void)c->store->ops->retain(c->store, c->parts[0], &all, NULL);
        for (int i = 0; i < 300; i++) {
            log_case_run(c);
            c->now.mono_ms += 20;
        }
        assert_int_equal(log_case_info(c, 0).island_offset, log_case_info(c, 0).start_offset);
        memset(world.is_wanted, 0, sizeof world.is_wanted);
        assert_kept(&world);
        if (seed % 2 == 0) {
            log_case_kill(c);
            log_case_assert_clean(world.base.store);
        }
        tear_down(&world);
    }
}

/* Goal: what is damaged is left where it is, until it is repaired. */
static void what_is_damaged_is_not_passed(void **state)
{
    (void)state;
    static struct world world;
    set_up(&world, 6, 5);
    publish_some(&world, 100);
    look(&world);
    log_case_close(world.base.store);
    log_case_file_spoil(world.base.store, CASE_SEGMENT, 120, 160);
    assert_int_equal(log_case_open(world.base.store), 0);
    const struct store_part_info before = log_case_info(world.base.store, 0);
    ask(&world, 4000, 0);
    ask(&world, 4000, 0);
    const struct store_part_info after = log_case_info(world.base.store, 0);
    assert_int_equal(after.island_offset, 0);
    assert_int_equal(after.segment_count, before.segment_count);
    assert_true(world.base.store->warnings > 0);
    ask(&world, 4000, 4000); /* but it gives way to what is a promise about the disk */
    log_case_settle(world.base.store);
    assert_true(log_case_info(world.base.store, 0).bytes <= 4000);
    tear_down(&world);
}

/* Goal: a topic that is compacted by key as well: neither takes what the other has in hand. */
static void compaction_goes_on_beside_islands(void **state)
{
    (void)state;
    static struct world world;
    set_up(&world, 11, 12);
    struct log_case *c = world.base.store;
    for (int round = 0; round < 24; round++) {
        publish_some(&world, 25);
        look(&world);
        const struct store_compact what = {.before_offset = UINT64_MAX, .now_ms = 1};
        assert_int_equal(c->store->ops->compact(c->store, c->parts[0], &what, NULL), 0);
        for (int i = 0; i < round; i++) { /* some of the time it is in the middle of it */
            log_case_run(c);
            c->now.mono_ms++;
        }
        ask(&world, 9000, 0);
        assert_kept(&world);
        while (log_case_info(c, 0).is_compacting) {
            log_case_run(c);
            c->now.mono_ms++;
        }
        retain(&world, 9000);
        assert_kept(&world);
        if (round % 5 == 4) {
            log_case_reopen(c);
        }
    }
    assert_true(log_case_info(c, 0).start_offset > world.base.end / 2);
    log_case_assert_no_leftovers(world.base.store);
    log_case_close(c);
    log_case_assert_clean(world.base.store);
    tear_down(&world);
}

/* --- Crashes ------------------------------------------------------------------------------------------ */

static bool crash_at(uint64_t n, bool power)
{
    static struct world world;
    set_up(&world, n + 7, 15);
    struct log_case *c = world.base.store;
    publish_some(&world, 60);
    look(&world);
    retain(&world, 3000);
    publish_some(&world, 40);
    look(&world);
    crash_fs_freeze_at(c->fs, n);
    retain(&world, 2000);
    publish_some(&world, 5);
    const bool crashed = rewriting_world_crash(&world.base, power, n);
    assert_kept(&world);
    log_case_assert_no_leftovers(world.base.store);
    retain(&world, 2000);
    publish_some(&world, 3);
    assert_kept(&world);
    log_case_close(c);
    log_case_assert_clean(world.base.store);
    tear_down(&world);
    return crashed;
}

static void a_power_cut_at_any_call_loses_nothing_that_is_kept(void **state)
{
    (void)state;
    rewriting_crash_everywhere(crash_at, true);
}

static void a_dying_process_at_any_call_loses_nothing_that_is_kept(void **state)
{
    (void)state;
    rewriting_crash_everywhere(crash_at, false);
}

static bool fail_sync_at(uint64_t n)
{
    static struct world world;
    set_up(&world, n + 70, 15);
    struct log_case *c = world.base.store;
    publish_some(&world, 60);
    look(&world);
    retain(&world, 3000);
    publish_some(&world, 40);
    look(&world);
    crash_fs_fail_sync(c->fs, n, n);
    retain(&world, 2000);
    log_case_run(c);
    const bool failed = c->failed;
    log_case_kill(c);
    crash_fs_power_loss(c->fs, n);
    log_case_assert_clean(world.base.store);
    log_case_reopen(c);
    assert_kept(&world);
    retain(&world, 2000);
    assert_kept(&world);
    log_case_assert_no_leftovers(world.base.store);
    tear_down(&world);
    return failed;
}

/* Goal: nothing is believed of a copy whose sync failed. */
static void a_failed_sync_ends_the_store_and_loses_nothing(void **state)
{
    (void)state;
    uint64_t n = 0;
    while (fail_sync_at(n)) {
        n++;
    }
    assert_true(n > 3);
}

/* Goal: a full disk leaves everything where it is; later it goes on. */
static void without_room_nothing_is_lost(void **state)
{
    (void)state;
    static struct world world;
    set_up(&world, 9, 15);
    publish_some(&world, 150);
    look(&world);
    crash_fs_set_limit(world.base.store->fs, crash_fs_used(world.base.store->fs));
    ask(&world, 4000, 0);
    assert_false(world.base.store->failed);
    assert_kept(&world);
    crash_fs_set_limit(world.base.store->fs, UINT64_MAX);
    world.base.store->now.mono_ms += 5000;
    log_case_settle(world.base.store);
    retain(&world, 4000);
    assert_kept(&world);
    assert_true(log_case_info(world.base.store, 0).island_bytes > 0);
    log_case_assert_no_leftovers(world.base.store);
    tear_down(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(retention_leaves_what_is_kept),
        cmocka_unit_test(it_goes_on_and_islands_become_one),
        cmocka_unit_test(what_is_not_kept_any_more_goes),
        cmocka_unit_test(islands_have_a_limit_of_bytes),
        cmocka_unit_test(islands_give_way_to_the_limit_of_all),
        cmocka_unit_test(a_purge_takes_islands_along),
        cmocka_unit_test(what_is_damaged_is_not_passed),
        cmocka_unit_test(compaction_goes_on_beside_islands),
        cmocka_unit_test(a_power_cut_at_any_call_loses_nothing_that_is_kept),
        cmocka_unit_test(a_dying_process_at_any_call_loses_nothing_that_is_kept),
        cmocka_unit_test(a_failed_sync_ends_the_store_and_loses_nothing),
        cmocka_unit_test(without_room_nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
