/* SPDX-License-Identifier: MPL-2.0
 *
 * The ledger: what is handed out when, and what a seek leaves.
 */
#include "broker/engine/ledger/ledger.h"

#include "tests/broker/engine/ledger/ledger_world.h"
#include "tests/common/testing.h"

/* Goal: the common case costs a map's head, one node and two small records. */
static void a_pull_and_its_ack_leave_nothing_behind(void **state)
{
    struct world *world = *state;
    world->ledger.mark = 5000;
    world_grant(world, 1000);
    assert_int_equal(world->slab.used, 3);     /* number 0 is none */
    assert_int_equal(world->journal_count, 2); /* head, block */
    world_ack(world, 0, 1000);
    assert_int_equal(world->slab.used, 1);
    assert_int_equal(world->journal_count, 3);
    assert_int_equal(world->journal[2].kind, STORE_GONE);
    assert_int_equal(ledger_committed(&world->ledger), 1000);
    assert_int_equal(ledger_ready(&world->ledger), 4000);
    size_t bytes = 0;
    for (size_t i = 0; i < world->journal_count; i++) {
        bytes += world->journal[i].key->len + world->journal[i].value->len;
    }
    assert_true(bytes < 200);
    world_assert_replays(world, 0);
}

static void committed_stands_at_the_first_unfinished(void **state)
{
    struct world *world = *state;
    world->ledger.mark = 100;
    world_grant(world, 100);
    world_ack(world, 50, 100);
    assert_int_equal(ledger_committed(&world->ledger), 0);
    world_ack(world, 0, 20);
    assert_int_equal(ledger_committed(&world->ledger), 20);
    world_ack(world, 20, 50);
    assert_int_equal(ledger_committed(&world->ledger), 100);
}

static void committed_passes_the_dead(void **state)
{
    struct world *world = *state;
    world->ledger.mark = 10;
    world_grant(world, 10);
    const struct run dead = {.state = RUN_DEAD, .deliveries = 1, .failures = 5};
    world_put(world, 0, 4, &dead);
    assert_int_equal(ledger_committed(&world->ledger), 4);
    world_ack(world, 4, 10);
    assert_int_equal(ledger_committed(&world->ledger), 10);
    assert_int_equal(ledger_dead(&world->ledger), 4);
    world_assert_replays(world, 0);
}

static void what_was_released_comes_before_what_is_fresh(void **state)
{
    struct world *world = *state;
    struct piece pieces[4];
    world->ledger.mark = 100;
    world_grant(world, 50);
    world_retry(world, 30, 31, 0);
    world_retry(world, 7, 8, 0);
    const struct take take = world_take(world, 4, pieces, 4);
    assert_int_equal(take.piece_count, 3);
    assert_int_equal(pieces[0].first, 7);
    assert_int_equal(pieces[1].first, 30);
    assert_int_equal(pieces[2].first, 50);
    assert_int_equal(pieces[2].end, 52);
}

static void a_retry_comes_when_it_is_due(void **state)
{
    struct world *world = *state;
    bool all = false;
    world->ledger.mark = 10;
    world_grant(world, 10);
    world_retry(world, 2, 4, 1000);
    assert_int_equal(ledger_due_ms(&world->ledger), 1000);
    assert_int_equal(ledger_ready(&world->ledger), 0);
    assert_int_equal(ledger_wake(&world->ledger, 999, 10, &all), 0);
    assert_int_equal(ledger_ready(&world->ledger), 0);
    assert_int_equal(ledger_wake(&world->ledger, 1000, 10, &all), 0);
    assert_true(all);
    assert_int_equal(ledger_ready(&world->ledger), 2);
    assert_int_equal(ledger_due_ms(&world->ledger), INT64_MAX);
}

static void waking_is_bounded(void **state)
{
    struct world *world = *state;
    bool all = true;
    world->ledger.mark = 10;
    world_grant(world, 10);
    for (uint64_t i = 0; i < 10; i += 2) {
        world_retry(world, i, i + 1, 5);
    }
    assert_int_equal(ledger_wake(&world->ledger, 5, 3, &all), 0);
    assert_false(all);
    assert_int_equal(ledger_ready(&world->ledger), 3);
    assert_int_equal(ledger_wake(&world->ledger, 5, 3, &all), 0);
    assert_true(all);
}

static void fresh_messages_put_back_are_fresh_again(void **state)
{
    struct world *world = *state;
    struct piece pieces[4];
    world->ledger.mark = 1000;
    world_take(world, 1000, pieces, 4);
    assert_int_equal(ledger_ready(&world->ledger), 0);
    assert_int_equal(ledger_untake(&world->ledger, 100, 1000), 0);
    assert_int_equal(world->ledger.high, 100);
    assert_int_equal(ledger_ready(&world->ledger), 900);
    assert_int_equal(world->slab.used, 3);
}

/* Goal: what another pull still reads must not count as done after a crash. */
static void a_grant_behind_a_reservation_keeps_what_is_before_it(void **state)
{
    struct world *world = *state;
    struct piece first[4];
    struct ledger replayed;
    world->ledger.mark = 200;
    world_take(world, 100, first, 4);
    world_grant(world, 100);
    assert_int_equal(world->ledger.journaled, 200);
    world_replay(world, 0, &replayed);
    replayed.mark = 200;
    assert_int_equal(ledger_committed(&replayed), 0);
    assert_int_equal(ledger_ready(&replayed), 100);
    assert_int_equal(ledger_leased(&replayed), 100);
    ledger_fini(&replayed);
}

static void limited_messages_go_out_alone_and_few(void **state)
{
    struct world *world = *state;
    struct piece pieces[8];
    world->ledger.mark = 100;
    world_grant(world, 20);
    const struct run limited = {.state = RUN_READY, .limit = 3, .deliveries = 1};
    world_put(world, 0, 10, &limited);
    const struct run tighter = {.state = RUN_READY, .limit = 2, .deliveries = 1};
    world_put(world, 2, 3, &tighter);
    const struct take take = world_take(world, 50, pieces, 8);
    assert_true(take.alone);
    assert_int_equal(take.taken, 2);
}

static void unlimited_messages_do_not_wait_for_limited_ones(void **state)
{
    struct world *world = *state;
    struct piece pieces[8];
    world->ledger.mark = 100;
    world_grant(world, 20);
    const struct run limited = {.state = RUN_READY, .limit = 1, .deliveries = 1};
    world_put(world, 5, 10, &limited);
    world_retry(world, 2, 3, 0);
    const struct take take = world_take(world, 50, pieces, 8);
    assert_false(take.alone);
    assert_int_equal(take.taken, 50);
    assert_int_equal(pieces[0].first, 2);
    assert_int_equal(pieces[1].first, 20);
}

static void nothing_passes_a_damaged_range(void **state)
{
    struct world *world = *state;
    struct piece pieces[8];
    world->ledger.mark = 100;
    ledger_rare_open(&world->ledger)->blocked = 30;
    const struct take take = world_take(world, 100, pieces, 8);
    assert_int_equal(take.taken, 30);
    assert_int_equal(ledger_ready(&world->ledger), 0);
}

static void a_reset_keeps_the_dead_and_hands_out_the_rest(void **state)
{
    struct world *world = *state;
    struct piece pieces[8];
    const struct run dead = {.state = RUN_DEAD, .deliveries = 1, .failures = 1};
    world->ledger.mark = 100;
    world_grant(world, 60);
    world_put(world, 10, 12, &dead);
    world_ack(world, 12, 60);
    step_begin(&world->step);
    assert_int_equal(step_reset(&world->step, &world->ledger, 5, true), 0);
    world_keep_step(world);
    assert_int_equal(ledger_committed(&world->ledger), 5);
    assert_int_equal(ledger_ready(&world->ledger), 93);
    world_assert_replays(world, 0);
    const struct take take = world_take(world, 100, pieces, 8);
    assert_int_equal(take.taken, 93);
    assert_int_equal(pieces[0].end, 10);
    assert_int_equal(pieces[1].first, 12);
    assert_int_equal(ledger_ready(&world->ledger), 0);
}

/* Goal: also when the dead lie where nothing was handed out since the seek. */
static void committed_passes_the_dead_after_a_seek(void **state)
{
    struct world *world = *state;
    const struct run dead = {.state = RUN_DEAD, .deliveries = 1, .failures = 1};
    world->ledger.mark = 20;
    world_grant(world, 20);
    world_put(world, 0, 2, &dead);
    world_put(world, 4, 6, &dead);
    step_begin(&world->step);
    assert_int_equal(step_reset(&world->step, &world->ledger, 0, true), 0);
    world_keep_step(world);
    assert_int_equal(ledger_committed(&world->ledger), 2);
    world_grant(world, 2);
    assert_int_equal(ledger_committed(&world->ledger), 2);
    world_ack(world, 2, 4);
    assert_int_equal(ledger_committed(&world->ledger), 6);
    world_assert_replays(world, 0);
}

static void a_reset_may_bring_the_dead_back(void **state)
{
    struct world *world = *state;
    const struct run dead = {.state = RUN_DEAD, .deliveries = 1, .failures = 1};
    world->ledger.mark = 20;
    world_grant(world, 20);
    world_put(world, 2, 4, &dead);
    world_put(world, 10, 12, &dead);
    step_begin(&world->step);
    assert_int_equal(step_reset(&world->step, &world->ledger, 3, false), 0);
    world_keep_step(world);
    assert_int_equal(ledger_dead(&world->ledger), 1); /* the one before the position */
    assert_int_equal(ledger_ready(&world->ledger), 17);
    world_assert_replays(world, 0);
}

/* Every other one of 2 * `count` messages is out. */
static void open_holes(struct world *world, uint64_t count)
{
    world->ledger.mark = 2 * count;
    world_grant(world, 2 * count);
    step_begin(&world->step);
    for (uint64_t i = 0; i < count; i++) {
        const struct run none = {.state = RUN_NONE};
        assert_int_equal(step_set(&world->step, &world->ledger, 2 * i + 1, 2 * i + 2, &none), 0);
    }
    step_keep(&world->step);
}

/* Goal: nobody waits for ten million runs that are forgotten. Method: count nodes that are touched:
 * few in the step, and so many in each turn afterwards, until all are given back. */
static void what_a_reset_forgets_is_given_back_in_turns(void **state)
{
    enum { HOLES = 50000, IN_A_TURN = 20000 };
    struct world *world = *state;
    open_holes(world, HOLES);
    uint64_t before = world->slab.work;
    step_begin(&world->step);
    assert_int_equal(step_reset(&world->step, &world->ledger, 2 * HOLES, true), 0);
    step_keep(&world->step);
    assert_true(world->slab.work - before < 2000);
    assert_int_equal(ledger_leased(&world->ledger), 0);
    int turns = 0;
    for (bool more = true; more; turns++) {
        before = world->slab.work;
        more = run_slab_sweep(&world->slab);
        assert_true(world->slab.work - before < IN_A_TURN);
    }
    assert_true(turns > 2);
    assert_int_equal(world->slab.used, 1);
    assert_int_equal(world->slab.chunk_count, 1);
}

/* Goal: a group of which nothing is left but dead messages goes anywhere, however many they are: they stay, are
 * not looked at, and are not written again. */
static void a_reset_leaves_the_dead_where_they_are(void **state)
{
    enum { DEAD = 10000 };
    struct world *world = *state;
    const struct run dead = {.state = RUN_DEAD, .deliveries = 1, .failures = 1};
    const struct run none = {.state = RUN_NONE};
    world->ledger.mark = 2 * DEAD;
    world_grant(world, 2 * DEAD);
    step_begin(&world->step);
    for (uint64_t i = 0; i < 2 * DEAD; i++) {
        const struct run *run = i % 2 == 0 ? &none : &dead;
        assert_int_equal(step_set(&world->step, &world->ledger, i, i + 1, run), 0);
    }
    world_keep_step(world);
    const uint64_t before = world->slab.work;
    step_begin(&world->step);
    assert_int_equal(step_reset(&world->step, &world->ledger, 0, true), 0);
    world_keep_step(world);
    assert_true(world->slab.work - before < 6000);
    assert_int_equal(world->journal[world->journal_count - 1].key->data[0], LEDGER_KEY_HEAD);
    assert_int_equal(ledger_ready(&world->ledger), DEAD);
    assert_int_equal(ledger_dead(&world->ledger), DEAD);
    world_assert_replays(world, 0);
    step_begin(&world->step);
    assert_int_equal(step_reset(&world->step, &world->ledger, 2 * DEAD, false), 0);
    step_undo(&world->step);
    assert_int_equal(ledger_ready(&world->ledger), DEAD);
    step_begin(&world->step);
    assert_int_equal(step_reset(&world->step, &world->ledger, DEAD, false), 0); /* half of them */
    world_keep_step(world);
    assert_int_equal(ledger_dead(&world->ledger), DEAD / 2);
    assert_int_equal(ledger_ready(&world->ledger), DEAD);
    world_assert_replays(world, 0);
}

/* Goal: a step that is taken back finds its runs where they were. */
static void a_reset_of_many_that_is_undone_forgets_nothing(void **state)
{
    struct world *world = *state;
    open_holes(world, 5000);
    step_begin(&world->step);
    assert_int_equal(step_reset(&world->step, &world->ledger, 0, true), 0);
    step_undo(&world->step);
    assert_false(run_slab_sweep(&world->slab));
    assert_int_equal(ledger_leased(&world->ledger), 5000);
}

static void a_refused_reset_changes_nothing(void **state)
{
    struct world *world = *state;
    const struct run dead = {.state = RUN_DEAD, .deliveries = 1, .failures = 1};
    world->ledger.mark = 70000;
    world_grant(world, 70000);
    world_put(world, 2, 4, &dead);
    struct zsp_writer before = world_dump(&world->ledger);
    step_begin(&world->step);
    assert_int_equal(step_reset(&world->step, &world->ledger, 66000, true), 0);
    step_undo(&world->step);
    struct zsp_writer after = world_dump(&world->ledger);
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.data, after.data, before.len);
    assert_int_equal(world->ledger.high, 70000);
    zsp_writer_fini(&before);
    zsp_writer_fini(&after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_pull_and_its_ack_leave_nothing_behind, world_set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(committed_stands_at_the_first_unfinished, world_set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(committed_passes_the_dead, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(what_was_released_comes_before_what_is_fresh, world_set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(a_retry_comes_when_it_is_due, world_set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(waking_is_bounded, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(fresh_messages_put_back_are_fresh_again, world_set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(a_grant_behind_a_reservation_keeps_what_is_before_it,
                                        world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(limited_messages_go_out_alone_and_few, world_set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(unlimited_messages_do_not_wait_for_limited_ones,
                                        world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(nothing_passes_a_damaged_range, world_set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(a_reset_keeps_the_dead_and_hands_out_the_rest, world_set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(committed_passes_the_dead_after_a_seek, world_set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(a_reset_may_bring_the_dead_back, world_set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(what_a_reset_forgets_is_given_back_in_turns, world_set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(a_reset_leaves_the_dead_where_they_are, world_set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(a_reset_of_many_that_is_undone_forgets_nothing,
                                        world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(a_refused_reset_changes_nothing, world_set_up,
                                        world_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
