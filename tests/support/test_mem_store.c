/* SPDX-License-Identifier: MPL-2.0
 *
 * What mem_store adds to a store: holds, failures on demand, restart. That it
 * is a store at all is the conformance suite's business.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/mem_store.h"

struct fixture {
    struct mem_store *mem;
    struct store *store;
    struct store_part *part;
    int owner;
    size_t entries_seen;
    size_t batches_seen;
};

static const struct instant NOW = {.mono_ms = 1, .wall_ms = 1};
static const struct store_topic TOPIC = {
    .id = 7, .name = {(const uint8_t *)"orders", 6}, .partition_count = 1};

static int count_entry(void *arg, const struct store_entry *entry, struct zsp_err *err)
{
    (void)entry;
    (void)err;
    ((struct fixture *)arg)->entries_seen++;
    return 0;
}

static int count_batch(void *arg, void *owner, const struct store_batch *batch, struct zsp_err *err)
{
    (void)owner;
    (void)err;
    assert_null(batch->frame);
    ((struct fixture *)arg)->batches_seen++;
    return 0;
}

/* Takes the next completion, which must be of `kind`, and its code. */
static int next_code(struct fixture *f, enum store_completion_kind kind)
{
    struct store_completion done;
    assert_true(f->store->ops->next_completion(f->store, &done));
    assert_int_equal(done.kind, kind);
    const int code = done.error.code;
    store_completion_release(&done);
    return code;
}

static void assert_quiet(struct fixture *f)
{
    struct store_completion done;
    assert_false(f->store->ops->next_completion(f->store, &done));
}

static void start(struct fixture *f)
{
    const struct store_hooks hooks = {.arg = f, .entry_fn = count_entry, .batch_fn = count_batch};
    f->entries_seen = 0;
    f->batches_seen = 0;
    assert_int_equal(f->store->ops->start(f->store, &hooks, NOW, NULL), 0);
}

static int set_up(void **state)
{
    static struct fixture f;
    memset(&f, 0, sizeof f);
    f.mem = mem_store_new();
    f.store = mem_store_base(f.mem);
    start(&f);
    assert_int_equal(f.store->ops->ready(f.store, NULL), 0);
    void *owner = &f.owner;
    assert_int_equal(f.store->ops->topic_create(f.store, &TOPIC, 0, &owner, &f.part, 1, NULL), 0);
    f.store->ops->flush(f.store, NOW);
    assert_int_equal(next_code(&f, STORE_TOPIC_CREATED), 0);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    f->store->ops->destroy(f->store);
    return 0;
}

static void append(struct fixture *f, uint64_t tag)
{
    struct zsp_buf *frame = zsp_buf_copy(zsp_slice_str("body"));
    const struct store_batch batch = {
        .frame = frame, .body = {frame->data, frame->len}, .record_count = 1, .timestamp_ms = 5};
    assert_int_equal(f->store->ops->append(f->store, f->part, &batch, tag, NULL), 0);
    zsp_buf_put(&frame);
}

static int put(struct fixture *f, enum store_level level)
{
    const struct store_entry entry = {
        .key = zsp_slice_str("key"), .kind = STORE_IMAGE, .value = zsp_slice_str("value")};
    return f->store->ops->state_put(f->store, &entry, 1, level, 9, NULL);
}

/* Goal: each stage waits for its own release. */
static void held_works_wait_for_their_release(void **state)
{
    struct fixture *f = *state;
    mem_store_hold(f->mem, MEM_WRITES | MEM_SYNCS);
    append(f, 2);
    assert_int_equal(put(f, STORE_SYNCED_LEVEL), 0);
    f->store->ops->flush(f->store, NOW);
    assert_quiet(f);
    mem_store_write_all(f->mem);
    assert_int_equal(next_code(f, STORE_APPENDED), 0);
    assert_quiet(f);
    mem_store_sync_all(f->mem);
    assert_int_equal(next_code(f, STORE_SYNCED), 0);
    assert_int_equal(next_code(f, STORE_STATE), 0);
    assert_false(f->store->ops->busy(f->store));
}

static void a_failed_append_fails_those_behind_it(void **state)
{
    struct fixture *f = *state;
    mem_store_fail_next_append(f->mem, ZSP_EIO, true);
    append(f, 2);
    append(f, 3);
    f->store->ops->flush(f->store, NOW);
    assert_int_equal(next_code(f, STORE_APPENDED), ZSP_EIO);
    assert_int_equal(next_code(f, STORE_APPENDED), ZSP_EIO);
    append(f, 4);
    f->store->ops->flush(f->store, NOW);
    assert_int_equal(next_code(f, STORE_APPENDED), 0);
    assert_int_equal(next_code(f, STORE_SYNCED), 0);
}

static void a_failed_state_put_changes_nothing(void **state)
{
    struct fixture *f = *state;
    mem_store_fail_next_state(f->mem, ZSP_ENO_SPACE);
    assert_int_equal(put(f, STORE_WRITTEN), ZSP_ENO_SPACE);
    assert_int_equal(mem_store_record_count(f->mem), 0);
    assert_int_equal(put(f, STORE_WRITTEN), 0);
    assert_int_equal(mem_store_record(f->mem, 0)->level, STORE_WRITTEN);
}

static void a_failed_sync_is_fail_stop(void **state)
{
    struct fixture *f = *state;
    mem_store_fail_next_sync(f->mem);
    assert_int_equal(put(f, STORE_SYNCED_LEVEL), 0);
    f->store->ops->flush(f->store, NOW);
    assert_int_equal(next_code(f, STORE_STATE), ZSP_ESTORAGE_FAILED);
    assert_int_equal(next_code(f, STORE_FAILED), ZSP_ESTORAGE_FAILED);
    assert_int_equal(put(f, STORE_WRITTEN), ZSP_ESTORAGE_FAILED);
}

/* Restart with `keep` after one synced and one written batch and record;
 * returns the batches that were told again. */
static size_t batches_after_restart(struct fixture *f, enum mem_store_keep keep)
{
    append(f, 2);
    assert_int_equal(put(f, STORE_WRITTEN), 0);
    f->store->ops->flush(f->store, NOW);
    mem_store_hold(f->mem, MEM_SYNCS);
    append(f, 3);
    f->store->ops->flush(f->store, NOW);
    mem_store_restart(f->mem, keep);
    start(f);
    assert_int_equal(f->entries_seen, 1);
    assert_int_equal(f->store->ops->part_open(f->store, &TOPIC, 0, &f->owner, 0, 0, &f->part, NULL),
                     0);
    return f->batches_seen;
}

static void a_power_cut_keeps_what_was_synced(void **state)
{
    assert_int_equal(batches_after_restart(*state, MEM_KEEP_SYNCED), 1);
}

static void a_crash_of_the_process_keeps_what_was_written(void **state)
{
    assert_int_equal(batches_after_restart(*state, MEM_KEEP_WRITTEN), 2);
}

static void appends_are_refused_while_room_is_short(void **state)
{
    struct fixture *f = *state;
    mem_store_refuse_appends(f->mem, true);
    struct store_completion done;
    assert_true(f->store->ops->next_completion(f->store, &done));
    assert_int_equal(done.kind, STORE_SPACE);
    assert_true(done.refuses);
    const struct store_batch batch = {.record_count = 1};
    assert_int_equal(f->store->ops->append(f->store, f->part, &batch, 2, NULL), ZSP_ENO_SPACE);
}

static void a_damaged_range_is_told_and_closes_the_partition(void **state)
{
    struct fixture *f = *state;
    append(f, 2);
    f->store->ops->flush(f->store, NOW);
    assert_int_equal(next_code(f, STORE_APPENDED), 0);
    assert_int_equal(next_code(f, STORE_SYNCED), 0);
    mem_store_damage(f->mem, TOPIC.id, 0, (struct store_range){0, 1});
    const struct store_read read = {.part = f->part, .to_offset = UINT64_MAX, .max_bytes = 99};
    assert_int_equal(f->store->ops->read(f->store, &read, NULL), 0);
    f->store->ops->flush(f->store, NOW);
    assert_int_equal(next_code(f, STORE_READ), ZSP_ECORRUPT);
    const struct store_batch batch = {.record_count = 1};
    assert_int_equal(f->store->ops->append(f->store, f->part, &batch, 3, NULL), ZSP_ECORRUPT);
}

static void a_wanted_image_names_its_key(void **state)
{
    struct fixture *f = *state;
    mem_store_want_image(f->mem, zsp_slice_str("group:7"));
    struct store_completion done;
    assert_true(f->store->ops->next_completion(f->store, &done));
    assert_int_equal(done.kind, STORE_IMAGE_WANTED);
    assert_true(zsp_slice_equal_str(done.key, "group:7"));
    store_completion_release(&done);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(held_works_wait_for_their_release, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failed_append_fails_those_behind_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failed_state_put_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failed_sync_is_fail_stop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_power_cut_keeps_what_was_synced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_crash_of_the_process_keeps_what_was_written, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(appends_are_refused_while_room_is_short, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_range_is_told_and_closes_the_partition, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_wanted_image_names_its_key, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
