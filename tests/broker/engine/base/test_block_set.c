/* SPDX-License-Identifier: MPL-2.0
 *
 * The set of blocks: sorted, each once.
 */
#include "broker/engine/base/block_set.h"

#include "tests/common/testing.h"

static void blocks_are_sorted_and_single(void **state)
{
    (void)state;
    struct block_set set = {0};
    const uint64_t added[] = {5, 9, 2, 5, 7, UINT64_MAX, 2};
    const uint64_t expected[] = {2, 5, 7, 9, UINT64_MAX};
    for (size_t i = 0; i < 7; i++) {
        assert_int_equal(block_set_reserve(&set, 1), 0);
        block_set_add(&set, added[i]);
    }
    assert_int_equal(block_set_count(&set), 5);
    assert_memory_equal(set.array->blocks, expected, sizeof expected);
    assert_true(block_set_has(&set, 7));
    assert_false(block_set_has(&set, 8));
    block_set_remove(&set, 7);
    block_set_remove(&set, 8);
    assert_false(block_set_has(&set, 7));
    assert_int_equal(block_set_count(&set), 4);
    block_set_fini(&set);
}

static void an_emptied_set_gives_its_memory_back(void **state)
{
    (void)state;
    struct block_set set = {0};
    assert_int_equal(block_set_reserve(&set, 1), 0);
    block_set_add(&set, 3);
    block_set_trim(&set);
    assert_true(block_set_has(&set, 3));
    block_set_remove(&set, 3);
    block_set_trim(&set);
    assert_null(set.array);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_sorted_and_single),
        cmocka_unit_test(an_emptied_set_gives_its_memory_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
