/* SPDX-License-Identifier: MPL-2.0
 *
 * The durable form of a ledger says the same as memory, whatever happened,
 * whichever entries are left, and when memory runs out in between.
 */
#include "broker/engine/ledger/ledger_codec.h"

#include "broker/engine/group/outcome.h"
#include "tests/broker/engine/ledger/ledger_world.h"
#include "tests/common/testing.h"

/* NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the names are the
 * linker's (--wrap) */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

static int allocations_left = -1; /* then one fails; -1 = any number */

static bool refuses(void)
{
    if (allocations_left < 0) {
        return false;
    }
    return allocations_left-- == 0;
}

void *__wrap_malloc(size_t size)
{
    return refuses() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return refuses() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return refuses() ? NULL : __real_realloc(memory, size);
}
/* NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming) */

static void random_reason(struct world *world, struct run *run)
{
    static const char *const texts[] = {"timeout", "bad input", "no such customer"};
    struct zsp_buf *text = zsp_buf_copy(zsp_slice_str(texts[prng_below(&world->prng, 3)]));
    assert_int_equal(reasons_push(&world->reasons, run->reasons, text, &run->reasons), 0);
    zsp_buf_put(&text);
}

/* Settle a random stretch that is out, in one of all ways. */
static void settle_some(struct world *world)
{
    static const struct group_settings settings = {
        .max_failures = 3, .backoff_ms = 10, .backoff_max_ms = 100};
    struct run_span span;
    const uint64_t from = prng_below(&world->prng, world->ledger.mark + 1);
    if (!runmap_next(&world->ledger.runs, from, RUN_CLASS_LEASED, &span)) {
        return;
    }
    const uint64_t length = span.end - span.first;
    span.first += prng_below(&world->prng, length);
    span.end -= prng_below(&world->prng, span.end - span.first);
    struct run run = span.run;
    const uint32_t held = run.reasons;
    const struct lost_lease lost = {.granted = (uint32_t)(1 + prng_below(&world->prng, 9))};
    switch (prng_below(&world->prng, 6)) {
    case 0:
        outcome_retry_later(&settings, 0, 1000, &run);
        random_reason(world, &run);
        break;
    case 1:
        outcome_release(&run);
        break;
    case 2:
        outcome_reject(&settings, &run);
        random_reason(world, &run);
        break;
    case 3:
        (void)outcome_lost(&settings, &lost, &run);
        break;
    default:
        run = (struct run){.state = RUN_NONE};
        break;
    }
    assert_int_equal(step_set(&world->step, &world->ledger, span.first, span.end, &run), 0);
    if (run.reasons != held) {
        reasons_drop(&world->reasons, run.reasons);
    }
}

/* Now and then messages out of their order, as a priority would take them. */
static struct take take_ahead(struct world *world, struct piece *pieces)
{
    struct take take = {.messages = 300, .pieces = pieces, .piece_max = 64};
    for (int i = 0; i < 8; i++) {
        struct run_span span;
        const uint64_t from = prng_below(&world->prng, world->ledger.mark + 1);
        if (ledger_next_fresh(&world->ledger, from, &span) && take.messages > 0) {
            const uint64_t count = 1 + prng_below(&world->prng, take.messages);
            const uint64_t end = span.end - span.first < count ? span.end : span.first + count;
            assert_int_equal(ledger_take_fresh(&world->ledger, &take, span.first, end), 0);
        }
    }
    return take;
}

static void grant_some(struct world *world)
{
    struct piece pieces[64];
    const uint64_t wanted = 1 + prng_below(&world->prng, 20000);
    const struct take take = prng_below(&world->prng, 3) == 0
                                 ? take_ahead(world, pieces)
                                 : world_take(world, wanted, pieces, 64);
    step_begin(&world->step);
    for (size_t i = 0; i < take.piece_count; i++) {
        const uint64_t middle =
            pieces[i].first + prng_below(&world->prng, pieces[i].end - pieces[i].first + 1);
        world_lease_out(world, pieces[i].first, middle, world->next_lease);
        pieces[i].first = middle;
    }
    world->next_lease++;
    world_keep_step(world);
    for (size_t i = take.piece_count; i > 0 && prng_below(&world->prng, 8) > 0; i--) {
        assert_int_equal(ledger_untake(&world->ledger, pieces[i - 1].first, pieces[i - 1].end), 0);
    }
}

static void settle_many(struct world *world)
{
    struct zsp_writer before = world_dump(&world->ledger);
    step_begin(&world->step);
    for (uint64_t i = prng_below(&world->prng, 20); i > 0; i--) {
        settle_some(world);
    }
    if (prng_below(&world->prng, 4) > 0) {
        world_keep_step(world);
    } else {
        step_undo(&world->step);
        struct zsp_writer after = world_dump(&world->ledger);
        assert_int_equal(before.len, after.len);
        assert_memory_equal(before.data, after.data, before.len);
        zsp_writer_fini(&after);
    }
    zsp_writer_fini(&before);
}

static void reset_some(struct world *world)
{
    const uint64_t to = prng_below(&world->prng, world->ledger.mark + 1);
    step_begin(&world->step);
    assert_int_equal(step_reset(&world->step, &world->ledger, to, prng_below(&world->prng, 2) == 0),
                     0);
    world_keep_step(world);
}

/* Goal: deltas, images and ends, in any legal order, give back what was in memory. Method: all
 * operations at random over several blocks; now and then replay everything, or everything since
 * a random moment with an image of each object behind it, as the store carries forward. */
static void any_legal_replay_gives_the_same_state(void **state)
{
    struct world *world = *state;
    for (int round = 0; round < 1500; round++) {
        world->ledger.mark += prng_below(&world->prng, 600);
        const uint64_t choice = prng_below(&world->prng, 100);
        if (choice < 45) {
            grant_some(world);
        } else if (choice < 99) {
            settle_many(world);
        } else {
            reset_some(world);
        }
        if (round % 50 == 0) {
            world_assert_replays(world, 0);
        }
        if (round % 100 == 99) {
            const size_t from = (size_t)prng_below(&world->prng, world->journal_count);
            world_image_all(world);
            world_assert_replays(world, from);
        }
    }
    assert_true(block_set_count(&world->ledger.blocks) > 2);
}

/* Every second of some thousand messages is acked, which takes nodes and notes of all kinds. */
static int ack_every_second(struct world *world)
{
    const struct run none = {.state = RUN_NONE};
    int rc = 0;
    for (uint64_t i = 60000; i < 70000 && rc == 0; i += 2) {
        rc = step_set(&world->step, &world->ledger, i, i + 1, &none);
    }
    if (rc == 0) {
        rc = step_move(&world->step, &world->ledger, world->ledger.high);
    }
    return rc;
}

/* One step that may run out of memory anywhere. */
static int step_with(struct world *world, int allocations)
{
    const struct store_entry *entries = NULL;
    size_t count = 0;
    allocations_left = allocations;
    step_begin(&world->step);
    int rc = ack_every_second(world);
    if (rc == 0) {
        rc = step_seal(&world->step, &entries, &count, NULL);
    }
    allocations_left = -1;
    if (rc < 0) {
        step_undo(&world->step);
        return rc;
    }
    for (size_t i = 0; i < count; i++) {
        world_keep_entry(world, &entries[i]);
    }
    step_keep(&world->step);
    return 0;
}

/* Goal: a step that runs out of memory has not happened. Method: let the first, the second, the
 * third ... allocation fail until none does. */
static void a_step_without_memory_changes_nothing(void **state)
{
    (void)state;
    int failed = 0;
    for (int rc = -1; rc != 0; failed++) {
        void *fresh = NULL;
        assert_int_equal(world_set_up(&fresh), 0);
        struct world *world = fresh;
        world->ledger.mark = 80000;
        world_grant(world, 80000);
        struct zsp_writer before = world_dump(&world->ledger);
        rc = step_with(world, failed);
        if (rc != 0) {
            struct zsp_writer after = world_dump(&world->ledger);
            assert_int_equal(before.len, after.len);
            assert_memory_equal(before.data, after.data, before.len);
            zsp_writer_fini(&after);
        }
        world_assert_replays(world, 0);
        zsp_writer_fini(&before);
        world_tear_down(&fresh);
    }
    assert_true(failed > 10);
}

/* References on all sets of reasons. */
static uint32_t reasons_refs(const struct world *world)
{
    uint32_t refs = 0;
    for (uint32_t i = 1; i < world->reasons.used; i++) {
        refs += world->reasons.sets[i].refs;
    }
    return refs;
}

/* A dead message every second one, each with a reason of two; the journal has one image of them. */
static void let_many_die(struct world *world)
{
    world->ledger.mark = 40000;
    world_grant(world, 40000);
    step_begin(&world->step);
    for (uint64_t i = 0; i < 2000; i++) {
        struct run run = {.state = RUN_DEAD, .deliveries = 1, .failures = 1};
        random_reason(world, &run);
        assert_int_equal(step_set(&world->step, &world->ledger, 2 * i, 2 * i + 1, &run), 0);
        reasons_drop(&world->reasons, run.reasons);
    }
    world_keep_step(world);
    world_image_all(world);
}

/* Goal: no run keeps its reasons longer than it lives, also when memory ends while it is replayed. */
static void a_replay_without_memory_gives_everything_back(void **state)
{
    struct world *world = *state;
    let_many_die(world);
    const struct kept_entry *image = &world->journal[world->journal_count - 1];
    assert_int_equal(image->key->data[0], LEDGER_KEY_BLOCK);
    const uint32_t refs = reasons_refs(world);
    int rc = -1;
    int failed = 0;
    for (; rc != 0; failed++) {
        struct ledger made;
        ledger_init(&made, 1, 2, 0, &world->slab);
        run_slab_trim(&world->slab);
        allocations_left = failed;
        rc = ledger_replay_block(&made, 0, image->kind,
                                 (struct zsp_slice){image->value->data, image->value->len}, NULL);
        allocations_left = -1;
        assert_true(rc == 0 || rc == ZSP_ENOMEM);
        assert_true(rc != 0 || runmap_count(&made.runs, RUN_DEAD) == 2000);
        ledger_fini(&made);
        while (run_slab_sweep(&world->slab)) {
        }
        assert_int_equal(reasons_refs(world), refs);
    }
    assert_true(failed > 3);
}

/* Goal: an entry that says of a message twice what it is means the last. */
static void runs_out_of_order_are_put_one_after_the_other(void **state)
{
    struct world *world = *state;
    static const uint8_t value[] = {1, 5, 0, 9, 0, 5, 0, /* 5..14 done */
                                    0, 0, 3, 0, 5, 0,    /* 0..3 done */
                                    6, 0, 0, 0, 4, 0,    /* 6 dead */
                                    3, 0, 3, 0, 4, 0};   /* 3..6 dead */
    struct zsp_err err = {0};
    assert_int_equal(ledger_replay_block(&world->ledger, 0, STORE_IMAGE,
                                         (struct zsp_slice){value, sizeof value}, &err),
                     0);
    assert_int_equal(runmap_count(&world->ledger.runs, RUN_DEAD), 4);
    assert_int_equal(runmap_count(&world->ledger.runs, RUN_DONE), 3 + 8);
}

static void damaged_entries_are_refused(void **state)
{
    struct world *world = *state;
    static const uint8_t bad[][12] = {
        {2},                                   /* version */
        {1, 0},                                /* cut off */
        {1, 0, 0, 0, 0, 9, 0},                 /* no such state */
        {1, 0, 0, 0, 0, 5, 8},                 /* done, and yet something to be remembered */
        {1, 255, 255, 1, 0, 1, 0},             /* leaves the block */
        {1, 0, 0, 0, 0, 3, 0},                 /* leased under no lease */
        {1, 0, 0, 0, 0, 2, 0},                 /* waits for no time */
        {1, 0, 0, 0, 0, 4, 32, 9},             /* nine reasons */
        {1, 0, 0, 0, 0, 4, 32, 1, 200, 0, 65}, /* a reason cut off */
    };
    const size_t lengths[] = {1, 2, 7, 7, 7, 7, 7, 8, 11};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct zsp_err err = {0};
        const struct zsp_slice value = {bad[i], lengths[i]};
        assert_int_equal(ledger_replay_block(&world->ledger, 0, STORE_IMAGE, value, &err),
                         ZSP_ECORRUPT);
        assert_true(err.msg[0] != '\0');
    }
    assert_int_equal(ledger_read_head(&world->ledger, (struct zsp_slice){bad[0], 12}, NULL),
                     ZSP_ECORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(any_legal_replay_gives_the_same_state, world_set_up,
                                        world_tear_down),
        cmocka_unit_test(a_step_without_memory_changes_nothing),
        cmocka_unit_test_setup_teardown(a_replay_without_memory_gives_everything_back, world_set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(runs_out_of_order_are_put_one_after_the_other, world_set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(damaged_entries_are_refused, world_set_up, world_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
