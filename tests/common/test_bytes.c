/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/common/testing.h"

static void slices_compare_by_bytes(void **state)
{
    (void)state;
    const struct zsp_slice absent = zsp_slice_str(NULL);
    assert_null(absent.data);
    assert_true(zsp_slice_equal(absent, zsp_slice_str("")));
    assert_true(zsp_slice_equal_str(zsp_slice_str("abc"), "abc"));
    assert_false(zsp_slice_equal_str(zsp_slice_str("abc"), "abd"));
    assert_false(zsp_slice_equal_str(zsp_slice_str("abc"), "ab"));
}

static void numbers_are_little_endian_at_any_alignment(void **state)
{
    (void)state;
    uint8_t bytes[16] = {0};
    zsp_put_u16(bytes + 1, 0x0102);
    assert_memory_equal(bytes + 1, "\x02\x01", 2);
    zsp_put_u32(bytes + 3, 0x01020304u);
    assert_memory_equal(bytes + 3, "\x04\x03\x02\x01", 4);
    zsp_put_u64(bytes + 7, UINT64_C(0xf102030405060708));
    assert_memory_equal(bytes + 7, "\x08\x07\x06\x05\x04\x03\x02\xf1", 8);
    assert_int_equal(zsp_get_u16(bytes + 1), 0x0102);
    assert_int_equal(zsp_get_u32(bytes + 3), 0x01020304u);
    assert_true(zsp_get_u64(bytes + 7) == UINT64_C(0xf102030405060708));
    zsp_put_u32(bytes, UINT32_MAX);
    assert_true(zsp_get_u32(bytes) == UINT32_MAX);
}

static void what_a_writer_wrote_a_reader_reads(void **state)
{
    (void)state;
    struct zsp_writer out = {0};
    zsp_write_u8(&out, 1);
    zsp_write_u16(&out, 2);
    zsp_write_u32(&out, 3);
    zsp_write_u64(&out, 4);
    zsp_write_short(&out, zsp_slice_str("five"));
    zsp_write_bytes(&out, zsp_slice_str("six"));
    assert_false(out.failed);

    struct zsp_reader in = zsp_reader_init(zsp_writer_slice(&out));
    assert_int_equal(zsp_read_u8(&in), 1);
    assert_int_equal(zsp_read_u16(&in), 2);
    assert_int_equal(zsp_read_u32(&in), 3);
    assert_int_equal(zsp_read_u64(&in), 4);
    expect_slice(zsp_read_short(&in), "five");
    assert_int_equal(zsp_reader_left(&in), 3);
    expect_slice(zsp_read_bytes(&in, 3), "six");
    assert_int_equal(zsp_reader_left(&in), 0);
    assert_false(in.failed);
    zsp_writer_fini(&out);
}

static void a_read_past_the_end_fails_all_later_ones(void **state)
{
    (void)state;
    const uint8_t bytes[] = {1, 2, 3};
    struct zsp_reader in = zsp_reader_init((struct zsp_slice){bytes, sizeof bytes});
    assert_int_equal(zsp_read_u32(&in), 0);
    assert_true(in.failed);
    assert_int_equal(zsp_reader_left(&in), 0);
    assert_int_equal(zsp_read_u8(&in), 0);
    assert_int_equal(zsp_read_bytes(&in, 1).len, 0);
    assert_non_null(zsp_read_short(&in).data);
}

static void huge_and_lying_lengths_fail(void **state)
{
    (void)state;
    const uint8_t bytes[] = {0xff, 0xff, 3};
    struct zsp_reader in = zsp_reader_init((struct zsp_slice){bytes, sizeof bytes});
    assert_int_equal(zsp_read_short(&in).len, 0);
    assert_true(in.failed);
    in = zsp_reader_init((struct zsp_slice){bytes, sizeof bytes});
    assert_int_equal(zsp_read_bytes(&in, SIZE_MAX).len, 0);
    assert_true(in.failed);
    in = zsp_reader_init((struct zsp_slice){NULL, 0});
    assert_int_equal(zsp_read_u64(&in), 0);
    assert_true(in.failed);
}

static void a_writer_stops_at_its_limit(void **state)
{
    (void)state;
    struct zsp_writer out = {.max = 4};
    zsp_write_u32(&out, 7);
    assert_false(out.failed);
    zsp_write_u8(&out, 1);
    assert_true(out.failed);
    assert_int_equal(out.len, 4);
    zsp_writer_reset(&out);
    zsp_write_u8(&out, 1);
    assert_false(out.failed);
    zsp_writer_fini(&out);
    assert_int_equal(out.max, 4);
}

static void a_failed_writer_takes_nothing_more(void **state)
{
    (void)state;
    struct zsp_writer out = {.max = 4};
    zsp_write_u64(&out, 7);
    zsp_write_u8(&out, 1);
    assert_true(out.failed);
    assert_int_equal(out.len, 0);
    assert_null(zsp_write_room(&out, 1));
    zsp_writer_fini(&out);
}

static void impossible_sizes_fail_without_allocating(void **state)
{
    (void)state;
    struct zsp_writer out = {0};
    assert_null(zsp_write_room(&out, SIZE_MAX));
    zsp_writer_reset(&out);
    zsp_write_u8(&out, 1);
    assert_null(zsp_write_room(&out, SIZE_MAX - 1));
    assert_int_equal(out.len, 1);
    zsp_writer_reset(&out);
    zsp_write_short(&out, (struct zsp_slice){out.data, 65536});
    assert_true(out.failed);
    zsp_writer_fini(&out);
}

static void a_writer_grows_and_keeps_its_content(void **state)
{
    (void)state;
    struct zsp_writer out = {0};
    for (uint32_t i = 0; i < 10000; i++) {
        zsp_write_u32(&out, i);
    }
    struct zsp_reader in = zsp_reader_init(zsp_writer_slice(&out));
    for (uint32_t i = 0; i < 10000; i++) {
        assert_int_equal(zsp_read_u32(&in), i);
    }
    assert_false(in.failed);
    zsp_writer_fini(&out);
    assert_int_equal(zsp_writer_slice(&out).len, 0);
    assert_non_null(zsp_write_room(&out, 0));
    zsp_writer_fini(&out);
}

struct utf8_case {
    const char *bytes;
    bool valid;
};

static const struct utf8_case utf8_cases[] = {
    {"", true},
    {"plain ASCII, longer than a word", true},
    {"\x7f", true},
    {"\xc2\x80", true},
    {"\xdf\xbf", true},
    {"\xe0\xa0\x80", true},
    {"\xed\x9f\xbf", true},
    {"\xee\x80\x80", true},
    {"\xef\xbf\xbf", true},
    {"\xf0\x90\x80\x80", true},
    {"\xf4\x8f\xbf\xbf", true},
    {"\x80", false},                      /* a tail without a head */
    {"\xc0\x80", false},                  /* overlong NUL */
    {"\xc1\xbf", false},                  /* overlong */
    {"\xe0\x9f\xbf", false},              /* overlong */
    {"\xf0\x8f\xbf\xbf", false},          /* overlong */
    {"\xed\xa0\x80", false},              /* a surrogate */
    {"\xf4\x90\x80\x80", false},          /* above U+10FFFF */
    {"\xf5\x80\x80\x80", false},          /* no such head */
    {"\xff", false},                      /* no such byte */
    {"\xe2\x82", false},                  /* cut */
    {"\xf0\x9f\x98", false},              /* cut */
    {"\xc2", false},                      /* cut */
    {"\xc2 ", false},                     /* no tail */
    {"\xe2\x82 ", false},                 /* no second tail */
    {"\xf0\x9f\x98 ", false},             /* no third tail */
    {"seven..\xc3", false},               /* cut right behind the first word */
    {"1234567\xc3\xa4", true},            /* across a word */
    {"12345678\x80 and more text", false} /* in the second word */
};

static void utf8_is_checked_strictly(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof utf8_cases / sizeof utf8_cases[0]; i++) {
        assert_int_equal(zsp_utf8_valid(zsp_slice_str(utf8_cases[i].bytes)), utf8_cases[i].valid);
    }
    assert_true(zsp_utf8_valid((struct zsp_slice){(const uint8_t *)"a\0b", 3}));
    assert_true(zsp_utf8_valid((struct zsp_slice){NULL, 0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_compare_by_bytes),
        cmocka_unit_test(numbers_are_little_endian_at_any_alignment),
        cmocka_unit_test(what_a_writer_wrote_a_reader_reads),
        cmocka_unit_test(a_read_past_the_end_fails_all_later_ones),
        cmocka_unit_test(huge_and_lying_lengths_fail),
        cmocka_unit_test(a_writer_stops_at_its_limit),
        cmocka_unit_test(a_failed_writer_takes_nothing_more),
        cmocka_unit_test(impossible_sizes_fail_without_allocating),
        cmocka_unit_test(a_writer_grows_and_keeps_its_content),
        cmocka_unit_test(utf8_is_checked_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
