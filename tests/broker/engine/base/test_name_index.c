/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/base/name_index.h"

#include "common/err.h"
#include "tests/common/testing.h"

static struct zsp_slice name(const char *text)
{
    return zsp_slice_str(text);
}

/* Whatever the order in which they come, names are kept in byte order. */
static void names_are_kept_in_byte_order(void **state)
{
    (void)state;
    static const char *const names[] = {"b", "a", "ba", "B", "aa", "c-", "c", "c."};
    static const char *const sorted[] = {"B", "a", "aa", "b", "ba", "c", "c-", "c."};
    int values[8] = {0};
    struct name_index index = {0};
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(name_index_add(&index, name(names[i]), &values[i]), 0);
    }
    for (size_t i = 0; i < 8; i++) {
        expect_slice(index.slots[i].name, sorted[i]);
        assert_ptr_equal(name_index_find(&index, name(names[i])), &values[i]);
    }
    assert_null(name_index_find(&index, name("d")));
    assert_null(name_index_find(&index, name("")));
    name_index_fini(&index);
}

static void after_finds_the_next_name(void **state)
{
    (void)state;
    int value = 0;
    struct name_index index = {0};
    assert_int_equal(name_index_add(&index, name("b"), &value), 0);
    assert_int_equal(name_index_add(&index, name("d"), &value), 0);
    assert_int_equal(name_index_after(&index, name("")), 0);
    assert_int_equal(name_index_after(&index, name("a")), 0);
    assert_int_equal(name_index_after(&index, name("b")), 1);
    assert_int_equal(name_index_after(&index, name("c")), 1);
    assert_int_equal(name_index_after(&index, name("d")), 2);
    name_index_fini(&index);
}

static void a_removed_name_is_gone(void **state)
{
    (void)state;
    int value = 0;
    struct name_index index = {0};
    assert_int_equal(name_index_add(&index, name("a"), &value), 0);
    assert_int_equal(name_index_add(&index, name("b"), &value), 0);
    assert_ptr_equal(name_index_remove(&index, name("a")), &value);
    assert_null(name_index_remove(&index, name("a")));
    assert_int_equal(index.count, 1);
    expect_slice(index.slots[0].name, "b");
    name_index_fini(&index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_kept_in_byte_order),
        cmocka_unit_test(after_finds_the_next_name),
        cmocka_unit_test(a_removed_name_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
