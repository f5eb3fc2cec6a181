/* SPDX-License-Identifier: MPL-2.0
 *
 * The histogram against sorted values.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "client/cli/histogram.h"
#include "tests/support/prng.h"

#define VALUES 20000u

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void an_empty_one_has_no_values(void **state)
{
    (void)state;
    static struct histogram histogram;
    assert_int_equal(histogram.count, 0);
    assert_int_equal(histogram_value_at(&histogram, 500), 0);
    assert_int_equal(histogram_value_at(&histogram, 1000), 0);
}

/* Below 128 every value has a bucket of its own. */
static void small_values_are_exact(void **state)
{
    (void)state;
    static struct histogram histogram;
    for (uint64_t value = 0; value < 100; value++) {
        histogram_add(&histogram, value);
    }
    assert_int_equal(histogram_value_at(&histogram, 0), 0);
    assert_int_equal(histogram_value_at(&histogram, 10), 0);
    assert_int_equal(histogram_value_at(&histogram, 500), 49);
    assert_int_equal(histogram_value_at(&histogram, 990), 98);
    assert_int_equal(histogram_value_at(&histogram, 999), 99);
    assert_int_equal(histogram_value_at(&histogram, 1000), 99);
}

/* Of every size: never less than the true value, and by at most 1/64 more. */
static void large_values_are_known_to_a_64th(void **state)
{
    (void)state;
    static struct histogram histogram;
    static uint64_t values[VALUES];
    struct prng prng = {7};
    for (size_t i = 0; i < VALUES; i++) {
        values[i] = prng_next(&prng) >> (22 + prng_next(&prng) % 40);
        histogram_add(&histogram, values[i]);
    }
    qsort(values, VALUES, sizeof values[0], compare);
    for (unsigned permille = 1; permille <= 1000; permille++) {
        const uint64_t want = values[(VALUES * permille + 999) / 1000 - 1];
        const uint64_t got = histogram_value_at(&histogram, permille);
        assert_true(got >= want);
        assert_true(got - want <= want / 64);
    }
    assert_int_equal(histogram.max, values[VALUES - 1]);
}

static void values_beyond_the_range_count_as_the_largest(void **state)
{
    (void)state;
    static struct histogram histogram;
    const uint64_t largest = ((uint64_t)1 << HISTOGRAM_MAX_BITS) - 1;
    histogram_add(&histogram, 5);
    histogram_add(&histogram, UINT64_MAX);
    histogram_add(&histogram, largest);
    assert_int_equal(histogram_value_at(&histogram, 1000), largest);
    assert_int_equal(histogram_value_at(&histogram, 300), 5);
    assert_int_equal(histogram.buckets[HISTOGRAM_BUCKETS - 1], 2);
}

static void merging_is_adding_all_values(void **state)
{
    (void)state;
    static struct histogram both;
    static struct histogram one;
    static struct histogram other;
    for (uint64_t i = 0; i < 1000; i++) {
        histogram_add(i % 3 ? &one : &other, i * i);
        histogram_add(&both, i * i);
    }
    histogram_merge(&one, &other);
    assert_memory_equal(&one, &both, sizeof one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_one_has_no_values),
        cmocka_unit_test(small_values_are_exact),
        cmocka_unit_test(large_values_are_known_to_a_64th),
        cmocka_unit_test(values_beyond_the_range_count_as_the_largest),
        cmocka_unit_test(merging_is_adding_all_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
