/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/common/testing.h"

#include <xxhash.h>

#include "common/hash.h"

/* Values that are on disk and, for keys, agreed with clients: they may never
 * change. */
static void sums_are_the_published_xxh3(void **state)
{
    (void)state;
    assert_true(zsp_hash(zsp_slice_str("")) == UINT64_C(0x2d06800538d394c2));
    assert_true(zsp_hash((struct zsp_slice){NULL, 0}) == UINT64_C(0x2d06800538d394c2));
    assert_true(zsp_hash(zsp_slice_str("zspool")) == UINT64_C(0xcd813bd9281ac565));
    assert_true(zsp_hash_seeded(zsp_slice_str("zspool"), 1) == UINT64_C(0xdc2ab17a33bda7a9));
}

static void a_seed_changes_the_sum_and_zero_is_plain(void **state)
{
    (void)state;
    const struct zsp_slice bytes = zsp_slice_str("some bytes");
    assert_true(zsp_hash_seeded(bytes, 0) == zsp_hash(bytes));
    assert_true(zsp_hash_seeded(bytes, 1) != zsp_hash_seeded(bytes, 2));
    assert_true(zsp_hash_seeded((struct zsp_slice){NULL, 0}, 1) !=
                zsp_hash_seeded((struct zsp_slice){NULL, 0}, 2));
}

/* Long inputs may take another way, which must not show. */
static void sums_of_every_length_are_those_of_libxxhash(void **state)
{
    (void)state;
    static uint8_t bytes[4096];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 131 + i / 7);
    }
    for (size_t len = 0; len <= sizeof bytes; len += len < 64 ? 1 : 61) {
        const struct zsp_slice slice = {bytes, len};
        assert_true(zsp_hash(slice) == XXH3_64bits(bytes, len));
        assert_true(zsp_hash_seeded(slice, len) == XXH3_64bits_withSeed(bytes, len, len));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_the_published_xxh3),
        cmocka_unit_test(a_seed_changes_the_sum_and_zero_is_plain),
        cmocka_unit_test(sums_of_every_length_are_those_of_libxxhash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
