/* SPDX-License-Identifier: MPL-2.0
 *
 * Which messages lie behind one that was given back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/src/recalled.h"

static const char *const topic = "t";

static struct zsp_place place(uint32_t partition, uint64_t offset, struct zsp_slice key)
{
    return (struct zsp_place){.topic = topic, .partition = partition, .offset = offset, .key = key};
}

static bool has(const struct zsp_recalled *self, uint32_t partition, uint64_t offset,
                struct zsp_slice key)
{
    const struct zsp_place at = place(partition, offset, key);
    return zsp_recalled_has(self, &at);
}

static void add(struct zsp_recalled **self, uint32_t partition, uint64_t offset,
                struct zsp_slice key)
{
    const struct zsp_place at = place(partition, offset, key);
    assert_int_equal(zsp_recalled_add(self, &at, 1), 0);
}

static void what_lies_behind_is_recalled(void **state)
{
    (void)state;
    const struct zsp_slice any = {NULL, 0};
    struct zsp_recalled *self = NULL;
    assert_false(has(self, 0, 0, any));
    add(&self, 1, 10, any);
    assert_false(has(self, 1, 10, any));
    assert_true(has(self, 1, 11, any));
    assert_false(has(self, 0, 11, any));
    add(&self, 0, 5, any);
    add(&self, 1, 12, any); /* the earlier one stays */
    assert_true(has(self, 0, 6, any));
    assert_true(has(self, 1, 11, any));
    add(&self, 1, 3, any);
    assert_true(has(self, 1, 4, any));
    zsp_recalled_destroy(&self);
    assert_null(self);
    zsp_recalled_destroy(&self);
}

static void keys_are_told_apart(void **state)
{
    (void)state;
    struct zsp_recalled *self = NULL;
    char long_keys[3][1000];
    for (unsigned i = 0; i < 3; i++) {
        memset(long_keys[i], 'k', sizeof long_keys[i]);
        long_keys[i][sizeof long_keys[i] - 1] = (char)('a' + i); /* they differ at the very end */
    }
    const struct zsp_slice a = {(const uint8_t *)long_keys[0], sizeof long_keys[0]};
    const struct zsp_slice b = {(const uint8_t *)long_keys[1], sizeof long_keys[1]};
    const struct zsp_slice c = {(const uint8_t *)long_keys[2], sizeof long_keys[2]};
    const struct zsp_slice shorter = {a.data, a.len - 1};
    add(&self, 0, 1, a);
    add(&self, 0, 5, b);
    add(&self, 0, 7, zsp_slice_str(""));
    assert_true(has(self, 0, 2, a));
    assert_false(has(self, 0, 2, b));
    assert_true(has(self, 0, 6, b));
    assert_false(has(self, 0, 9, c));
    assert_false(has(self, 0, 9, shorter));
    assert_false(has(self, 1, 2, a));
    assert_true(has(self, 0, 8, zsp_slice_str("")));
    assert_false(has(self, 0, 8, zsp_slice_str("x")));
    zsp_recalled_destroy(&self);
}

static void a_thousand_keys_are_found(void **state)
{
    (void)state;
    struct zsp_recalled *self = NULL;
    for (uint32_t i = 0; i < 1000; i++) {
        add(&self, i % 3, i, (struct zsp_slice){(const uint8_t *)&i, sizeof i});
    }
    for (uint32_t i = 0; i < 1000; i++) {
        const struct zsp_slice key = {(const uint8_t *)&i, sizeof i};
        assert_true(has(self, i % 3, i + 1, key));
        assert_false(has(self, i % 3, i, key));
        assert_false(has(self, (i + 1) % 3, i + 1, key));
    }
    zsp_recalled_destroy(&self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_lies_behind_is_recalled),
        cmocka_unit_test(keys_are_told_apart),
        cmocka_unit_test(a_thousand_keys_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
