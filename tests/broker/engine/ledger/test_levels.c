/* SPDX-License-Identifier: MPL-2.0
 *
 * How many messages of a group wait for their time: by what the agenda of the partition says, less what the
 * group has done or has out, whichever of the two is long.
 */
#include "broker/engine/ledger/levels.h"

#include "broker/engine/ledger/agenda.h"
#include "tests/broker/engine/ledger/ledger_world.h"
#include "tests/common/testing.h"

struct scene {
    struct world *world;
    struct run_slab slab; /* of the agenda */
    struct agenda agenda;
};

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    void *world = NULL;
    assert_non_null(scene);
    assert_int_equal(world_set_up(&world), 0);
    scene->world = world;
    run_slab_init(&scene->slab, NULL);
    runmap_init(&scene->agenda.map, &scene->slab);
    *state = scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    void *world = scene->world;
    world_tear_down(&world);
    run_slab_fini(&scene->slab);
    free(scene);
    return 0;
}

static void delay(struct scene *scene, uint64_t first, uint64_t end, int64_t due_ms)
{
    const struct run run = {.state = RUN_WAITING, .due_ms = due_ms};
    assert_int_equal(runmap_set(&scene->agenda.map, first, end, &run), 0);
}

/* Hand [first, end) out, whatever is before it. */
static void take_ahead(struct scene *scene, uint64_t first, uint64_t end)
{
    struct piece piece;
    struct take take = {.messages = end - first, .pieces = &piece, .piece_max = 1};
    assert_int_equal(ledger_take_fresh(&scene->world->ledger, &take, first, end), 0);
}

/* One by one. */
static uint64_t count_by_hand(const struct scene *scene)
{
    const struct ledger *ledger = &scene->world->ledger;
    uint64_t count = 0;
    for (uint64_t i = ledger->high; i < ledger->mark; i++) {
        struct run_span span;
        const bool waits =
            runmap_next(&scene->agenda.map, i, RUN_CLASS_WAITING, &span) && span.first <= i;
        const bool has_run = runmap_next(&ledger->runs, i, RUN_CLASS_ANY, &span) && span.first <= i;
        count += waits && !has_run ? 1 : 0;
    }
    return count;
}

static void what_waits_is_counted_as_one_by_one(void **state)
{
    struct scene *scene = *state;
    struct ledger *ledger = &scene->world->ledger;
    struct prng *prng = &scene->world->prng;
    ledger->mark = 3000;
    assert_int_equal(levels_make(ledger, &scene->agenda), 0);
    for (int round = 0; round < 400; round++) {
        const uint64_t at = prng_below(prng, 2990);
        struct run_span fresh;
        delay(scene, at, at + 1 + prng_below(prng, 10), (int64_t)(1 + prng_below(prng, 3)));
        if (round % 2 == 0 && ledger_next_fresh(ledger, at, &fresh)) {
            const uint64_t count = 1 + prng_below(prng, 20);
            take_ahead(scene, fresh.first,
                       fresh.end - fresh.first < count ? fresh.end : fresh.first + count);
        }
        levels_restart(ledger);
        assert_int_equal(levels_delayed(ledger, ledger->mark), count_by_hand(scene));
    }
    assert_true(count_by_hand(scene) > 100);
}

/* Goal: the first pull of a group does not look at all that is delayed. */
static void many_that_wait_are_not_looked_at(void **state)
{
    enum { MANY = 50000 };
    struct scene *scene = *state;
    struct ledger *ledger = &scene->world->ledger;
    for (uint64_t i = 0; i < MANY; i++) {
        delay(scene, 2 * i, 2 * i + 1, (int64_t)i + 1);
    }
    ledger->mark = 2 * MANY;
    take_ahead(scene, 100, 110);
    take_ahead(scene, 200, 201);
    const uint64_t before = scene->slab.work;
    assert_int_equal(levels_make(ledger, &scene->agenda), 0);
    assert_true(scene->slab.work - before < 6000);
    assert_int_equal(levels_delayed(ledger, ledger->mark), MANY - 5 - 1);
    const uint64_t again = scene->slab.work;
    levels_mark(ledger, 2 * MANY + 1000);
    assert_true(scene->slab.work - again < 100);
}

/* Goal: and it is right where the group has more runs than the agenda. */
static void a_group_with_many_runs_counts_what_waits(void **state)
{
    struct scene *scene = *state;
    struct ledger *ledger = &scene->world->ledger;
    ledger->mark = 40000;
    for (uint64_t i = 1; i < 10000; i++) {
        take_ahead(scene, 3 * i, 3 * i + 1);
    }
    delay(scene, 3000, 3010, 1); /* four of them are out */
    delay(scene, 35000, 35007, 1);
    assert_int_equal(levels_make(ledger, &scene->agenda), 0);
    assert_int_equal(levels_delayed(ledger, ledger->mark), 6 + 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_waits_is_counted_as_one_by_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_that_wait_are_not_looked_at, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_group_with_many_runs_counts_what_waits, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
