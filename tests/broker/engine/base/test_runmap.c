/* SPDX-License-Identifier: MPL-2.0
 *
 * The map of runs: against a plain array with random operations, and its cost
 * with many holes.
 */
#include "broker/engine/base/runmap.h"

#include "tests/common/testing.h"
#include "tests/support/prng.h"

#define OFFSETS 400u

struct world {
    struct reasons reasons;
    struct run_slab slab;
    struct runmap map;
    struct run model[OFFSETS];
    struct prng prng;
};

static uint64_t draw(struct world *world)
{
    return prng_next(&world->prng);
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    run_slab_init(&world->slab, &world->reasons);
    runmap_init(&world->map, &world->slab);
    world->prng = (struct prng){1};
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    runmap_fini(&world->map);
    run_slab_fini(&world->slab);
    reasons_fini(&world->reasons);
    free(world);
    return 0;
}

static struct run random_run(struct world *world)
{
    struct run run = {.state = (uint8_t)(draw(world) % RUN_STATES)};
    if (run.state == RUN_WAITING) {
        run.due_ms = (int64_t)(draw(world) % 5);
    }
    if (run.state == RUN_READY) {
        run.limit = (uint8_t)(draw(world) % 3);
    }
    run.deliveries = run.state == RUN_NONE ? 0 : (uint32_t)(draw(world) % 2);
    run.urgency = (int8_t)(run.state == RUN_NONE ? 0 : (int)(draw(world) % 10) - 4);
    return run;
}

static unsigned class_in_model(const struct run *run)
{
    static const unsigned classes[RUN_STATES] = {0,
                                                 0,
                                                 RUN_CLASS_RESERVED,
                                                 RUN_CLASS_WAITING,
                                                 RUN_CLASS_LEASED,
                                                 RUN_CLASS_DEAD,
                                                 RUN_CLASS_DONE,
                                                 RUN_CLASS_PARKED};
    if (run->state != RUN_READY) {
        return classes[run->state];
    }
    return run->limit != 0 ? RUN_CLASS_LIMITED_AT(run_priority(run))
                           : RUN_CLASS_READY_AT(run_priority(run));
}

/* Every offset, and that neighbours which are equal are one run. */
static int check_span(void *arg, const struct run_span *span)
{
    struct world *world = arg;
    for (uint64_t i = span->first; i < span->end; i++) {
        assert_true(run_equal(&span->run, &world->model[i]));
        world->model[i].started = 1; /* seen */
    }
    if (span->end < OFFSETS) {
        assert_false(run_equal(&span->run, &world->model[span->end]));
    }
    return 0;
}

static void check_all(struct world *world)
{
    uint64_t count[RUN_STATES] = {0};
    assert_int_equal(runmap_visit(&world->map, 0, OFFSETS, check_span, world), 0);
    for (size_t i = 0; i < OFFSETS; i++) {
        const bool has_run = world->model[i].state != RUN_NONE;
        assert_int_equal(world->model[i].started, has_run);
        world->model[i].started = 0;
        count[world->model[i].state] += has_run ? 1 : 0;
    }
    for (int state = 0; state < RUN_STATES; state++) {
        assert_int_equal(runmap_count(&world->map, (enum run_state)state), count[state]);
    }
}

static void check_next(struct world *world)
{
    const uint64_t from = draw(world) % OFFSETS;
    const uint64_t both = draw(world);
    const unsigned classes = (unsigned)(both & draw(world)) & RUN_CLASS_ANY;
    uint64_t expected = from;
    while (expected < OFFSETS && (class_in_model(&world->model[expected]) & classes) == 0) {
        expected++;
    }
    struct run_span span;
    const bool found = runmap_next(&world->map, from, classes, &span);
    assert_int_equal(found, expected < OFFSETS);
    if (found) {
        assert_true(span.first <= expected && expected < span.end);
    }
}

static void check_due(struct world *world)
{
    int64_t least = INT64_MAX;
    for (size_t i = 0; i < OFFSETS; i++) {
        const struct run *run = &world->model[i];
        least = run->state == RUN_WAITING && run->due_ms < least ? run->due_ms : least;
    }
    struct run_span span;
    const bool found = runmap_due(&world->map, &span);
    assert_int_equal(found, least != INT64_MAX);
    if (found) {
        assert_int_equal(span.run.due_ms, least);
        assert_int_equal(span.run.state, RUN_WAITING);
    }
}

/* Goal: the map always says what a plain array says. Method: random sets and clears. */
static void random_changes_agree_with_an_array(void **state)
{
    struct world *world = *state;
    for (int step = 0; step < 6000; step++) {
        const uint64_t first = draw(world) % OFFSETS;
        const uint64_t longest = draw(world) % 4 == 0 ? OFFSETS - first : 1 + draw(world) % 8;
        const uint64_t end = first + longest < OFFSETS ? first + longest : OFFSETS;
        const struct run run = random_run(world);
        assert_int_equal(runmap_set(&world->map, first, end, &run), 0);
        for (uint64_t i = first; i < end; i++) {
            world->model[i] = run;
        }
        check_next(world);
        check_due(world);
        if (step % 16 == 0) {
            check_all(world);
        }
    }
    check_all(world);
}

/* A few stretches in a row, far apart or close together; `gap` = room between two, at most. */
static size_t random_spans(struct world *world, uint64_t gap, struct run_span *spans, size_t most)
{
    uint64_t at = draw(world) % (OFFSETS / 2);
    size_t count = 0;
    while (count < most) {
        const uint64_t first = at + draw(world) % (gap + 1);
        const uint64_t end = first + 1 + draw(world) % 3;
        if (end > OFFSETS) {
            break;
        }
        spans[count++] = (struct run_span){.first = first, .end = end, .run = random_run(world)};
        at = end;
    }
    return count;
}

/* Goal: many stretches at once are what they are one by one. Method: some of them with much between
 * them, some with nothing, among runs that single changes leave. */
static void many_at_once_agree_with_an_array(void **state)
{
    struct world *world = *state;
    struct run_span spans[100];
    for (int step = 0; step < 3000; step++) {
        const uint64_t gap = draw(world) % 3 == 0 ? 60 : draw(world) % 3;
        const size_t count = random_spans(world, gap, spans, 1 + draw(world) % 100);
        assert_int_equal(runmap_set_all(&world->map, spans, count), 0);
        for (size_t i = 0; i < count; i++) {
            for (uint64_t k = spans[i].first; k < spans[i].end; k++) {
                world->model[k] = spans[i].run;
            }
        }
        const uint64_t at = draw(world) % OFFSETS;
        world->model[at] = random_run(world);
        assert_int_equal(runmap_set(&world->map, at, at + 1, &world->model[at]), 0);
        check_next(world);
        check_due(world);
        if (step % 8 == 0) {
            check_all(world);
        }
    }
    check_all(world);
}

/* Goal: a start that puts a million runs in place pays for each run, not for finding its place: two
 * nodes are put together anew a run, where one by one they are dozens. */
static void runs_that_come_together_cost_little_each(void **state)
{
    enum { BLOCK = 512, BLOCKS = 200 };
    static struct run_span spans[BLOCK];
    struct world *world = *state;
    for (uint64_t block = 0; block < BLOCKS; block++) {
        for (uint64_t i = 0; i < BLOCK; i++) {
            const uint64_t first = 2 * (block * BLOCK + i);
            spans[i] = (struct run_span){first, first + 1, {.state = RUN_DEAD}};
        }
        assert_int_equal(runmap_set_all(&world->map, spans, BLOCK), 0);
    }
    assert_int_equal(runmap_count(&world->map, RUN_DEAD), BLOCK * BLOCKS);
    assert_true(world->slab.work < 3ull * BLOCK * BLOCKS);
    /* A few of many are put among them without looking at all. */
    const uint64_t before = world->slab.work;
    for (uint64_t i = 0; i < 4; i++) {
        const uint64_t first = 1 + i * BLOCK * BLOCKS / 2;
        spans[i] = (struct run_span){first, first + 1, {.state = RUN_READY}};
    }
    assert_int_equal(runmap_set_all(&world->map, spans, 4), 0);
    assert_true(world->slab.work - before < 4ull * 400);
}

/* Goal: what is equal is one node, and nodes are given back. */
static void equal_neighbours_are_one_node(void **state)
{
    struct world *world = *state;
    const struct run leased = {.state = RUN_LEASED, .lease = 7};
    const struct run none = {.state = RUN_NONE};
    for (uint64_t i = 0; i < 1000; i++) {
        assert_int_equal(runmap_set(&world->map, i, i + 1, &leased), 0);
    }
    assert_int_equal(world->slab.used, 3); /* none, the head, a run */
    assert_int_equal(runmap_set(&world->map, 500, 501, &none), 0);
    assert_int_equal(world->slab.used, 4);
    assert_int_equal(runmap_set(&world->map, 500, 501, &leased), 0);
    assert_int_equal(world->slab.used, 3);
    assert_int_equal(runmap_set(&world->map, 0, 1000, &none), 0);
    assert_int_equal(world->slab.used, 1);
}

/* Goal: a run keeps its reasons as long as any part of it lives, and no longer. */
static void runs_hold_their_reasons(void **state)
{
    struct world *world = *state;
    struct zsp_buf *text = zsp_buf_copy(zsp_slice_str("why"));
    struct run dead = {.state = RUN_DEAD};
    assert_int_equal(reasons_push(&world->reasons, 0, text, &dead.reasons), 0);
    assert_int_equal(runmap_set(&world->map, 10, 20, &dead), 0);
    reasons_drop(&world->reasons, dead.reasons);
    const struct run none = {.state = RUN_NONE};
    assert_int_equal(runmap_set(&world->map, 12, 15, &none), 0);
    assert_int_equal(world->reasons.sets[dead.reasons].refs, 2);
    assert_int_equal(runmap_set(&world->map, 10, 20, &dead), 0);
    assert_int_equal(world->reasons.sets[dead.reasons].refs, 1);
    assert_int_equal(runmap_set(&world->map, 10, 20, &none), 0);
    assert_int_equal(world->reasons.sets[dead.reasons].refs, 0);
    zsp_buf_put(&text);
}

/* Goal: no cliff. Method: a million runs of one message each, between as many holes; then a
 * thousand searches, which would take minutes if one of them looked at all. */
static void a_million_holes_do_not_slow_it_down(void **state)
{
    struct world *world = *state;
    const uint64_t count = 1000000;
    for (uint64_t i = 0; i < count; i++) {
        const struct run waiting = {.state = RUN_WAITING, .due_ms = (int64_t)(count - i)};
        assert_int_equal(runmap_set(&world->map, 2 * i, 2 * i + 1, &waiting), 0);
    }
    assert_int_equal(runmap_count(&world->map, RUN_WAITING), count);
    struct run_span span;
    for (uint64_t i = 0; i < 1000; i++) {
        assert_true(runmap_due(&world->map, &span));
        assert_int_equal(span.first, 2 * (count - 1 - i));
        assert_false(runmap_next(&world->map, i * 1000, RUN_CLASS_READY, &span));
        assert_true(runmap_due(&world->map, &span));
        span.run = (struct run){.state = RUN_NONE};
        assert_int_equal(runmap_set(&world->map, span.first, span.end, &span.run), 0);
    }
}

/* Goal: what a peak took is given back, whatever else is still there. */
static void chunks_without_nodes_are_given_back(void **state)
{
    struct world *world = *state;
    const struct run none = {.state = RUN_NONE};
    for (uint64_t i = 0; i < 50000; i++) {
        const struct run dead = {.state = RUN_DEAD};
        assert_int_equal(runmap_set(&world->map, 2 * i, 2 * i + 1, &dead), 0);
    }
    const uint32_t most = world->slab.chunk_count;
    assert_true(most > 40);
    run_slab_trim(&world->slab);
    assert_int_equal(world->slab.chunk_count, most);
    assert_int_equal(runmap_set(&world->map, 1000, 99000, &none), 0);
    run_slab_trim(&world->slab);
    assert_true(world->slab.chunk_count < 5);
    for (uint64_t i = 0; i < 50000; i++) { /* their slots are used again */
        const struct run waiting = {.state = RUN_WAITING, .due_ms = (int64_t)i};
        assert_int_equal(runmap_set(&world->map, 2 * i, 2 * i + 1, &waiting), 0);
    }
    assert_true(world->slab.slot_count <= most + 1);
    assert_int_equal(runmap_set(&world->map, 0, 100000, &none), 0);
    run_slab_trim(&world->slab);
    assert_int_equal(world->slab.chunk_count, 1);
    assert_int_equal(world->slab.used, 1);
    random_changes_agree_with_an_array(state);
}

/* Goal: what is not few is counted where there is less of it. Method: the runs that are looked at. */
static void a_large_stretch_is_counted_by_what_lies_outside(void **state)
{
    enum { RUNS = 100000, FEW = 9000 };
    struct world *world = *state;
    const struct {
        uint64_t first, end, most;
    } cases[] = {{0, 3 * RUNS / 2, RUNS / 4},
                 {RUNS / 2, 2 * RUNS, RUNS / 4},
                 {RUNS / 4, UINT64_MAX, RUNS / 8},
                 {RUNS / 4, RUNS, 3 * RUNS / 8}};
    for (uint64_t i = 0; i < RUNS; i++) {
        const struct run run = {.state = i % 2 == 0 ? RUN_LEASED : RUN_READY};
        assert_int_equal(runmap_set(&world->map, 2 * i, 2 * i + 1, &run), 0);
    }
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const uint64_t before = world->slab.work;
        const struct run_counts counts = runmap_count_in(&world->map, cases[i].first, cases[i].end);
        const uint64_t end = cases[i].end < 2 * RUNS ? cases[i].end : 2 * RUNS;
        assert_true(world->slab.work - before < cases[i].most + FEW);
        assert_int_equal(counts.of[RUN_LEASED], (end - cases[i].first) / 4);
        assert_int_equal(counts.of[RUN_READY], (end - cases[i].first) / 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(random_changes_agree_with_an_array, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_at_once_agree_with_an_array, set_up, tear_down),
        cmocka_unit_test_setup_teardown(runs_that_come_together_cost_little_each, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(equal_neighbours_are_one_node, set_up, tear_down),
        cmocka_unit_test_setup_teardown(runs_hold_their_reasons, set_up, tear_down),
        cmocka_unit_test_setup_teardown(chunks_without_nodes_are_given_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_million_holes_do_not_slow_it_down, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_large_stretch_is_counted_by_what_lies_outside, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
