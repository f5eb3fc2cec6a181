/* SPDX-License-Identifier: MPL-2.0
 *
 * The timer heap, against a plain sorted list.
 */
#include "broker/engine/base/timers.h"

#include "tests/common/testing.h"
#include "tests/support/prng.h"

static void never(struct engine *engine, struct timer *self)
{
    (void)engine;
    (void)self;
}

static void make(struct timer *timers, size_t count)
{
    memset(timers, 0, count * sizeof *timers);
    for (size_t i = 0; i < count; i++) {
        timers[i].fire_fn = never;
    }
}

/* Times come out in order, whatever the order in which they went in. */
static void timers_fire_in_order_of_time(void **state)
{
    (void)state;
    struct timers heap = {0};
    struct timer timers[5];
    const int64_t due[5] = {30, 10, 50, 20, 40};
    make(timers, 5);
    for (size_t i = 0; i < 5; i++) {
        timers_arm(&heap, &timers[i], due[i]);
    }
    assert_int_equal(timers_next_ms(&heap), 10);
    for (int64_t expected = 10; expected <= 50; expected += 10) {
        assert_int_equal(timers_pop(&heap, 100)->due_ms, expected);
    }
    assert_null(timers_pop(&heap, 100));
    assert_int_equal(timers_next_ms(&heap), INT64_MAX);
}

/* Equal times keep the order of arming; arming again puts a timer last. */
static void timers_of_one_instant_fire_in_the_order_of_arming(void **state)
{
    (void)state;
    struct timers heap = {0};
    struct timer timers[4];
    make(timers, 4);
    for (size_t i = 0; i < 4; i++) {
        timers_arm(&heap, &timers[i], 7);
    }
    timers_arm(&heap, &timers[1], 7);
    assert_ptr_equal(timers_pop(&heap, 7), &timers[0]);
    assert_ptr_equal(timers_pop(&heap, 7), &timers[2]);
    assert_ptr_equal(timers_pop(&heap, 7), &timers[3]);
    assert_ptr_equal(timers_pop(&heap, 7), &timers[1]);
}

/* What is not due stays; what was cancelled never comes. */
static void only_due_timers_come_out(void **state)
{
    (void)state;
    struct timers heap = {0};
    struct timer timers[3];
    make(timers, 3);
    timers_arm(&heap, &timers[0], 5);
    timers_arm(&heap, &timers[1], 6);
    timers_arm(&heap, &timers[2], 7);
    timers_cancel(&heap, &timers[1]);
    timers_cancel(&heap, &timers[1]);
    assert_null(timers_pop(&heap, 4));
    assert_ptr_equal(timers_pop(&heap, 6), &timers[0]);
    assert_null(timers_pop(&heap, 6));
    assert_int_equal(heap.count, 1);
    assert_true(timer_is_armed(&timers[2]));
}

/* The earliest armed timer of a plain array, by (due, order). */
static struct timer *earliest(struct timer *timers, size_t count)
{
    struct timer *best = NULL;
    for (size_t i = 0; i < count; i++) {
        struct timer *const timer = &timers[i];
        if (timer_is_armed(timer) &&
            (!best || timer->due_ms < best->due_ms ||
             (timer->due_ms == best->due_ms && timer->order < best->order))) {
            best = timer;
        }
    }
    return best;
}

/* Random arms, moves, cancels and pops agree with a scan of all timers. */
static void random_use_agrees_with_a_scan(void **state)
{
    (void)state;
    struct prng prng = {.state = 4711};
    struct timers heap = {0};
    static struct timer timers[200];
    make(timers, 200);
    for (int step = 0; step < 20000; step++) {
        struct timer *const timer = &timers[prng_below(&prng, 200)];
        const uint64_t what = prng_below(&prng, 10);
        if (what < 5) {
            timers_arm(&heap, timer, (int64_t)prng_below(&prng, 50));
        } else if (what < 7) {
            timers_cancel(&heap, timer);
        } else {
            struct timer *const expected = earliest(timers, 200);
            assert_ptr_equal(timers_pop(&heap, 1000), expected);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_in_order_of_time),
        cmocka_unit_test(timers_of_one_instant_fire_in_the_order_of_arming),
        cmocka_unit_test(only_due_timers_come_out),
        cmocka_unit_test(random_use_agrees_with_a_scan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
