/* SPDX-License-Identifier: MPL-2.0
 *
 * Lanes and their chains: against plain arrays with random operations.
 */
#include "broker/engine/order/lane_table.h"

#include <stdio.h>
#include <string.h>

#include "common/err.h"
#include "tests/common/testing.h"
#include "tests/support/prng.h"

#define OFFSETS 700u
#define KEYS    9u

struct world {
    struct lane_table table;
    struct prng prng;
    enum lane_state state[OFFSETS];
    unsigned key[OFFSETS];
    char text[64];
};

static uint64_t draw(struct world *world)
{
    return prng_next(&world->prng);
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    lane_table_init(&world->table, 7);
    world->prng = (struct prng){1};
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    lane_table_fini(&world->table);
    free(world);
    return 0;
}

/* Key 0 is none; the others are short and long, and one of them is empty. */
static struct zsp_slice key_of(struct world *world, unsigned key)
{
    const int len = key == 1 ? 0
                             : snprintf(world->text, sizeof world->text, "%s%u",
                                        key % 2 == 0 ? "key " : "a key that does not fit ", key);
    return (struct zsp_slice){(const uint8_t *)world->text, (size_t)len};
}

static uint32_t lane_of(struct world *world, unsigned key)
{
    uint32_t lane = LANE_FREE;
    if (key != 0) {
        assert_int_equal(lane_table_open(&world->table, key_of(world, key), &lane), 0);
        assert_true(zsp_slice_equal(lane_key(lane_at(&world->table, lane)), key_of(world, key)));
    }
    return lane;
}

/* What is over is forgotten once nothing of its lane lies before it. */
static void tidy(struct world *world, unsigned key)
{
    const uint32_t number = lane_of(world, key);
    struct lane *lane = lane_at(&world->table, number);
    lane_advance(&world->table, number);
    for (unsigned i = 0; i < OFFSETS && (i != lane->head || world->state[i] == LANE_OVER); i++) {
        if (world->key[i] == key && world->state[i] == LANE_OVER) {
            world->state[i] = LANE_UNKNOWN;
        }
    }
    if (lane->head == LANE_NONE && lane->holds == 0) {
        lane_table_close(&world->table, number);
    }
}

static void change(struct world *world)
{
    const unsigned at = (unsigned)(draw(world) % OFFSETS);
    static const enum lane_state states[] = {LANE_WAITS, LANE_OUT, LANE_OVER, LANE_HOLDS};
    enum lane_state state = states[draw(world) % 4];
    if (world->state[at] == LANE_UNKNOWN) {
        world->key[at] = (unsigned)(draw(world) % KEYS);
        state = state == LANE_OVER || world->key[at] == 0 ? LANE_WAITS : state;
        assert_int_equal(lane_entry_add(&world->table, at, lane_of(world, world->key[at]), state),
                         0);
    } else if (world->state[at] == LANE_HOLDS && state == LANE_OVER) {
        assert_int_equal(lane_entry_set(&world->table, at, state), 0);
        state = LANE_UNKNOWN;
    } else {
        assert_int_equal(lane_entry_set(&world->table, at, state), 0);
        state = world->key[at] == 0 && state >= LANE_OVER ? LANE_UNKNOWN : state;
    }
    world->state[at] = state;
    if (world->key[at] != 0) {
        tidy(world, world->key[at]);
    }
}

static void check_lane(struct world *world, unsigned key)
{
    uint32_t counts[LANE_HOLDS + 1] = {0};
    uint64_t at = LANE_NONE;
    uint64_t held = LANE_NONE;
    const struct lane *lane = lane_at(&world->table, lane_of(world, key));
    for (unsigned i = 0; i < OFFSETS; i++) {
        if (world->key[i] != key || world->state[i] == LANE_UNKNOWN) {
            continue;
        }
        counts[world->state[i]]++;
        held = world->state[i] == LANE_HOLDS && held == LANE_NONE ? i : held;
        if (world->state[i] == LANE_WAITS || world->state[i] == LANE_OUT) {
            assert_int_equal(at == LANE_NONE ? lane->head : lane_after(&world->table, at), i);
            at = i;
        }
    }
    assert_int_equal(at == LANE_NONE ? lane->head : lane_after(&world->table, at), LANE_NONE);
    assert_int_equal(lane->waits, counts[LANE_WAITS]);
    assert_int_equal(lane->out, counts[LANE_OUT]);
    assert_int_equal(lane->holds, counts[LANE_HOLDS]);
    assert_int_equal(lane_holds_first(lane->held), held);
}

static void check(struct world *world)
{
    for (unsigned i = 0; i < OFFSETS; i++) {
        const struct lane_entry *entry = lane_entry(&world->table, i);
        assert_int_equal(entry ? entry->state : LANE_UNKNOWN, world->state[i]);
        assert_true(!entry || lane_entry_skip(&world->table, i, OFFSETS) == i);
    }
    for (uint32_t i = lane_table_next(&world->table, 0); i != 0;
         i = lane_table_next(&world->table, i)) {
        struct lane *lane = lane_at(&world->table, i);
        for (unsigned key = 1; key < KEYS; key++) {
            if (zsp_slice_equal(lane_key(lane), key_of(world, key))) {
                check_lane(world, key);
            }
        }
    }
}

/* Lanes of a list are those with so many that wait; every lane where some do is in one. */
static void check_figures(const struct world *world)
{
    const struct lane_table *table = &world->table;
    uint64_t held = 0;
    uint32_t warm = 0;
    uint32_t listed = 0;
    for (uint32_t i = lane_table_next(table, 0); i != 0; i = lane_table_next(table, i)) {
        const struct lane *lane = lane_at(table, i);
        held += lane_is_held(lane) ? lane->waits : 0;
        warm += lane_waiting(lane) > 0 ? 1 : 0;
    }
    for (unsigned heat = 0; heat < LANE_HEATS; heat++) {
        for (uint32_t i = table->heats[heat].first; i != 0; i = lane_at(table, i)->heat_next) {
            const uint32_t waiting = lane_waiting(lane_at(table, i));
            assert_true(heat > 0 && waiting >= 1u << (heat - 1));
            assert_true(heat == 32 || waiting < 1u << heat);
            listed++;
        }
    }
    assert_int_equal(table->held_waits, held);
    assert_int_equal(listed, warm);
}

static void random_changes_keep_chains_and_counts(void **state)
{
    struct world *world = *state;
    for (unsigned i = 0; i < 30000; i++) {
        change(world);
        if (i % 100 == 0) {
            check(world);
        }
        if (i % 10 == 0) {
            check_figures(world);
        }
    }
}

static void a_table_whose_messages_are_over_is_empty(void **state)
{
    struct world *world = *state;
    for (unsigned i = 0; i < 5000; i++) {
        change(world);
    }
    for (unsigned i = 0; i < OFFSETS; i++) {
        if (world->state[i] == LANE_WAITS || world->state[i] == LANE_OUT ||
            world->state[i] == LANE_HOLDS) {
            assert_int_equal(lane_entry_set(&world->table, i, LANE_OVER), 0);
            world->state[i] =
                world->state[i] == LANE_HOLDS || world->key[i] == 0 ? LANE_UNKNOWN : LANE_OVER;
        }
    }
    for (unsigned key = 1; key < KEYS; key++) {
        tidy(world, key);
    }
    check(world);
    assert_true(lane_table_is_empty(&world->table));
    assert_int_equal(lane_entry_skip(&world->table, 0, OFFSETS), OFFSETS);
}

static void lanes_are_used_again(void **state)
{
    struct world *world = *state;
    char text[40];
    for (unsigned i = 0; i < 20000; i++) {
        uint32_t lane = 0;
        (void)snprintf(text, sizeof text, "one of a great many keys, number %u", i);
        assert_int_equal(lane_table_open(&world->table, zsp_slice_str(text), &lane), 0);
        assert_int_equal(lane_entry_add(&world->table, i, lane, LANE_WAITS), 0);
        if (i >= 100) {
            const uint32_t old = lane_entry(&world->table, i - 100)->lane;
            assert_int_equal(lane_entry_set(&world->table, i - 100, LANE_OVER), 0);
            lane_advance(&world->table, old);
            lane_table_close(&world->table, old);
        }
    }
    assert_int_equal(world->table.count, 100);
    assert_in_range(world->table.used, 100, 110);
    assert_true(lane_table_bytes(&world->table) < 100 * 1000);
}

/* Goal: who has had very many lanes may go on when they are gone, and soon takes no room for them. */
static void lanes_that_are_gone_do_not_count(void **state)
{
    struct world *world = *state;
    char text[40];
    for (unsigned i = 0; i < 20000; i++) {
        uint32_t lane = 0;
        (void)snprintf(text, sizeof text, "key %u", i);
        assert_int_equal(lane_table_open(&world->table, zsp_slice_str(text), &lane), 0);
    }
    assert_true(lane_table_bytes(&world->table) > (size_t)20000 * sizeof(struct lane));
    for (uint32_t lane = 1; lane < 20000; lane++) {
        lane_table_close(&world->table, lane);
    }
    assert_in_range(lane_table_bytes(&world->table), sizeof(struct lane), 1000);
    lane_table_trim(&world->table); /* there is one */
    assert_true(world->table.block_count > 20000 / 256);
    lane_table_close(&world->table, 20000);
    lane_table_trim(&world->table);
    assert_int_equal(world->table.block_count, 0);
    assert_int_equal(lane_of(world, 2), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(random_changes_keep_chains_and_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_table_whose_messages_are_over_is_empty, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(lanes_are_used_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lanes_that_are_gone_do_not_count, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("engine.lane_table", tests, NULL, NULL);
}
