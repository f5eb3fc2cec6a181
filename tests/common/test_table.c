/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/common/testing.h"

#include <stdio.h>

#include "common/table.h"

#define ITEMS 2000u

/* A value with its key inside, as the table demands. */
struct item {
    char key[16];
    bool present; /* in the model */
};

static struct zsp_slice key_of(const struct item *item)
{
    return zsp_slice_str(item->key);
}

static struct item *make_items(void)
{
    struct item *items = calloc(ITEMS, sizeof *items);
    assert_non_null(items);
    for (unsigned i = 0; i < ITEMS; i++) {
        (void)snprintf(items[i].key, sizeof items[i].key, "key-%u", i);
    }
    return items;
}

static void an_empty_table_finds_nothing(void **state)
{
    (void)state;
    struct zsp_table table;
    size_t cursor = 0;
    zsp_table_init(&table, 42);
    assert_null(zsp_table_find(&table, zsp_slice_str("x")));
    assert_null(zsp_table_remove(&table, zsp_slice_str("x")));
    assert_null(zsp_table_next(&table, &cursor));
    zsp_table_fini(&table);
}

static void the_empty_key_is_a_key(void **state)
{
    (void)state;
    struct zsp_table table;
    struct item value = {.key = ""};
    zsp_table_init(&table, 42);
    assert_int_equal(zsp_table_add(&table, key_of(&value), &value), 0);
    assert_ptr_equal(zsp_table_find(&table, zsp_slice_str("")), &value);
    assert_null(zsp_table_find(&table, zsp_slice_str("x")));
    zsp_table_fini(&table);
    assert_null(zsp_table_find(&table, zsp_slice_str("")));
}

static void removing_an_absent_key_changes_nothing(void **state)
{
    (void)state;
    struct zsp_table table;
    struct item value = {.key = "a"};
    zsp_table_init(&table, 42);
    assert_int_equal(zsp_table_add(&table, key_of(&value), &value), 0);
    assert_null(zsp_table_remove(&table, zsp_slice_str("b")));
    assert_ptr_equal(zsp_table_find(&table, zsp_slice_str("a")), &value);
    zsp_table_fini(&table);
}

static void check_against_model(const struct zsp_table *table, struct item *items)
{
    size_t present = 0, walked = 0, cursor = 0;
    for (unsigned i = 0; i < ITEMS; i++) {
        assert_ptr_equal(zsp_table_find(table, key_of(&items[i])),
                         items[i].present ? &items[i] : NULL);
        present += items[i].present ? 1 : 0;
    }
    for (const struct item *item; (item = zsp_table_next(table, &cursor));) {
        assert_true(item->present);
        walked++;
    }
    assert_int_equal(table->count, present);
    assert_int_equal(walked, present);
}

/* Random adds and removes, compared with a flag per item; many seeds, so that
 * probe runs wrap around the end of the table too. */
static void adds_and_removes_agree_with_a_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct item *items = make_items();
        struct zsp_table table;
        zsp_table_init(&table, seed);
        uint64_t random = seed * UINT64_C(0x9e3779b97f4a7c15);
        for (unsigned step = 1; step <= 6000; step++) {
            random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            struct item *item = &items[(random >> 33) % (step < 3000 ? ITEMS : 50)];
            if (item->present) {
                assert_ptr_equal(zsp_table_remove(&table, key_of(item)), item);
            } else {
                assert_int_equal(zsp_table_add(&table, key_of(item), item), 0);
            }
            item->present = !item->present;
            if (step % 1500 == 0) {
                check_against_model(&table, items);
            }
        }
        zsp_table_fini(&table);
        free(items);
    }
}

static void churn_does_not_grow_the_table(void **state)
{
    (void)state;
    struct item *items = make_items();
    struct zsp_table table;
    zsp_table_init(&table, 7);
    for (unsigned i = 0; i < ITEMS; i++) {
        assert_int_equal(zsp_table_add(&table, key_of(&items[i]), &items[i]), 0);
        if (i >= 8) {
            assert_ptr_equal(zsp_table_remove(&table, key_of(&items[i - 8])), &items[i - 8]);
        }
    }
    assert_int_equal(table.count, 8);
    assert_true(table.capacity <= 16);
    zsp_table_fini(&table);
    free(items);
}

static void an_emptied_table_gives_its_memory_back(void **state)
{
    (void)state;
    struct item *items = make_items();
    struct zsp_table table;
    zsp_table_init(&table, 7);
    for (unsigned i = 0; i < ITEMS; i++) {
        assert_int_equal(zsp_table_add(&table, key_of(&items[i]), &items[i]), 0);
    }
    for (unsigned i = 0; i < ITEMS; i++) {
        assert_ptr_equal(zsp_table_remove(&table, key_of(&items[i])), &items[i]);
    }
    assert_int_equal(table.capacity, 0);
    free(items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_table_finds_nothing),
        cmocka_unit_test(the_empty_key_is_a_key),
        cmocka_unit_test(removing_an_absent_key_changes_nothing),
        cmocka_unit_test(adds_and_removes_agree_with_a_model),
        cmocka_unit_test(churn_does_not_grow_the_table),
        cmocka_unit_test(an_emptied_table_gives_its_memory_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
