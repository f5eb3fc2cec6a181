/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/common/testing.h"

#include "common/token.h"
#include "tests/common/hex.h"

struct token_case {
    const char *hex;
    enum zsp_token_kind kind;
    uint64_t value;
    size_t used; /* bytes the token takes, without the items of an array or map */
};

/* One line per format of the MessagePack specification, at its bounds. */
static const struct token_case formats[] = {
    {"00", ZSP_TOKEN_UINT, 0, 1},
    {"7f", ZSP_TOKEN_UINT, 127, 1},
    {"80", ZSP_TOKEN_MAP, 0, 1},
    {"81 01 02", ZSP_TOKEN_MAP, 1, 1},
    {"90", ZSP_TOKEN_ARRAY, 0, 1},
    {"92 01 02", ZSP_TOKEN_ARRAY, 2, 1},
    {"a0", ZSP_TOKEN_STR, 0, 1},
    {"a2 61 62", ZSP_TOKEN_STR, 2, 3},
    {"c0", ZSP_TOKEN_NIL, 0, 1},
    {"c2", ZSP_TOKEN_BOOL, 0, 1},
    {"c3", ZSP_TOKEN_BOOL, 1, 1},
    {"c4 01 ff", ZSP_TOKEN_BIN, 1, 3},
    {"c5 0001 ff", ZSP_TOKEN_BIN, 1, 4},
    {"c6 00000001 ff", ZSP_TOKEN_BIN, 1, 6},
    {"c7 01 05 ff", ZSP_TOKEN_EXT, 1, 4},
    {"c8 0001 05 ff", ZSP_TOKEN_EXT, 1, 5},
    {"c9 00000001 05 ff", ZSP_TOKEN_EXT, 1, 7},
    {"ca 3f800000", ZSP_TOKEN_FLOAT, 0x3f800000, 5},
    {"cb 3ff0000000000000", ZSP_TOKEN_FLOAT, UINT64_C(0x3ff0000000000000), 9},
    {"cc ff", ZSP_TOKEN_UINT, 255, 2},
    {"cd ffff", ZSP_TOKEN_UINT, 65535, 3},
    {"ce ffffffff", ZSP_TOKEN_UINT, UINT32_MAX, 5},
    {"cf ffffffffffffffff", ZSP_TOKEN_UINT, UINT64_MAX, 9},
    {"d0 7f", ZSP_TOKEN_UINT, 127, 2},
    {"d0 80", ZSP_TOKEN_NEGATIVE, UINT64_MAX - 127, 2},
    {"d1 8000", ZSP_TOKEN_NEGATIVE, UINT64_MAX - 32767, 3},
    {"d2 80000000", ZSP_TOKEN_NEGATIVE, UINT64_MAX - INT32_MAX, 5},
    {"d3 7fffffffffffffff", ZSP_TOKEN_UINT, INT64_MAX, 9},
    {"d3 8000000000000000", ZSP_TOKEN_NEGATIVE, UINT64_C(1) << 63, 9},
    {"d4 05 ff", ZSP_TOKEN_EXT, 1, 3},
    {"d5 05 ffff", ZSP_TOKEN_EXT, 2, 4},
    {"d6 05 ffffffff", ZSP_TOKEN_EXT, 4, 6},
    {"d7 05 ffffffffffffffff", ZSP_TOKEN_EXT, 8, 10},
    {"d8 05 ffffffffffffffff ffffffffffffffff", ZSP_TOKEN_EXT, 16, 18},
    {"d9 01 61", ZSP_TOKEN_STR, 1, 3},
    {"da 0001 61", ZSP_TOKEN_STR, 1, 4},
    {"db 00000001 61", ZSP_TOKEN_STR, 1, 6},
    {"dc 0001 00", ZSP_TOKEN_ARRAY, 1, 3},
    {"dd 00000001 00", ZSP_TOKEN_ARRAY, 1, 5},
    {"de 0001 00 00", ZSP_TOKEN_MAP, 1, 3},
    {"df 00000001 00 00", ZSP_TOKEN_MAP, 1, 5},
    {"e0", ZSP_TOKEN_NEGATIVE, UINT64_MAX - 31, 1},
    {"ff", ZSP_TOKEN_NEGATIVE, UINT64_MAX, 1},
};

/* An exact heap copy, so that the address sanitizer sees a read past the end. */
static uint8_t *exact_copy(struct zsp_slice bytes)
{
    uint8_t *copy = malloc(bytes.len > 0 ? bytes.len : 1);
    assert_non_null(copy);
    memcpy(copy, bytes.data, bytes.len);
    return copy;
}

static void every_format_is_read(void **state)
{
    (void)state;
    struct zsp_writer out = {0};
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        const struct token_case *expected = &formats[i];
        const struct zsp_slice bytes = hex_bytes(&out, expected->hex);
        struct zsp_token token;
        const uint8_t *next = zsp_token_read(bytes.data, bytes.data + bytes.len, &token);
        assert_non_null(next);
        assert_int_equal(next - bytes.data, expected->used);
        assert_int_equal(token.kind, expected->kind);
        assert_true(token.value == expected->value);
        assert_string_not_equal(zsp_token_kind_name(token.kind), "nothing");
    }
    zsp_writer_fini(&out);
}

static void every_format_is_refused_when_cut(void **state)
{
    (void)state;
    struct zsp_writer out = {0};
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        const struct zsp_slice bytes = hex_bytes(&out, formats[i].hex);
        for (size_t len = 0; len < bytes.len; len++) {
            uint8_t *copy = exact_copy((struct zsp_slice){bytes.data, len});
            struct zsp_token token;
            assert_null(zsp_token_read(copy, copy + len, &token));
            free(copy);
        }
    }
    zsp_writer_fini(&out);
}

static const char *const lies[] = {
    "c1",                /* no format at all */
    "c6 ffffffff 00",    /* 4 GiB of binary in a byte */
    "db ffffffff 00",    /* 4 GiB of string */
    "dd ffffffff 00",    /* 4 billion items in a byte */
    "df 7fffffff 0000",  /* 2 billion pairs in two bytes */
    "de 0002 00 00 00",  /* two pairs in three bytes */
    "c9 ffffffff 05 00", /* 4 GiB of extension */
    "9f 00 00",          /* 15 items in two bytes */
    "8f 00 00",          /* 15 pairs in two bytes */
};

static void sizes_that_the_bytes_cannot_hold_are_refused(void **state)
{
    (void)state;
    struct zsp_writer out = {0};
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        const struct zsp_slice bytes = hex_bytes(&out, lies[i]);
        struct zsp_token token;
        assert_null(zsp_token_read(bytes.data, bytes.data + bytes.len, &token));
    }
    zsp_writer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_is_read),
        cmocka_unit_test(every_format_is_refused_when_cut),
        cmocka_unit_test(sizes_that_the_bytes_cannot_hold_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
