/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/common/testing.h"

#include "common/wire.h"
#include "tests/common/hex.h"

struct print_case {
    const char *hex;
    const char *line;
};

static const struct print_case lines[] = {
    {"94 01 a450554c4c 05 81 a567726f7570 a162", "[1, \"PULL\", 5, {\"group\": \"b\"}]"},
    {"94 c0 c2 c3 ff", "[nil, false, true, -1]"},
    {"92 90 80", "[[], {}]"},
    {"92 92 01 02 03", "[[1, 2], 3]"},
    {"82 01 81 02 03 04 05", "{1: {2: 3}, 4: 5}"},
    {"c40461 00 ff 22", "b\"a\\x00\\xff\\\"\""},
    {"a5 c3a4 0a 22 5c", "\"\xc3\xa4\\x0a\\\"\\\\\""},
    {"cb 3ff8000000000000", "1.5"},
    {"ca 3fc00000", "1.5"},
    {"d3 8000000000000000", "-9223372036854775808"},
    {"cf ffffffffffffffff", "18446744073709551615"},
    {"", "not a header:"},
    {"94 01", "not a header: 94 01"},
    {"d40500", "not a header: d4 05 00"},
};

static void headers_print_as_one_line(void **state)
{
    (void)state;
    struct zsp_writer frame = {0}, out = {0};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        zsp_writer_reset(&out);
        wire_print(&out, hex_bytes(&frame, lines[i].hex), 200);
        expect_slice(zsp_writer_slice(&out), lines[i].line);
    }
    zsp_writer_fini(&frame);
    zsp_writer_fini(&out);
}

/* Whatever the limit, the line keeps it, says that it was cut, and is UTF-8. */
static void lines_are_cut_at_any_limit(void **state)
{
    (void)state;
    struct zsp_writer frame = {0}, out = {0};
    const struct zsp_slice bytes =
        hex_bytes(&frame, "93 ac c3a4c3b6c3bcc3a4c3b6c3bc 81 a161 c4021234 a9 e282ace282ace282ac");
    wire_print(&out, bytes, 1000);
    const size_t whole = out.len;
    for (size_t max = 0; max <= whole + 1; max++) {
        zsp_writer_reset(&out);
        zsp_write_bytes(&out, zsp_slice_str("> "));
        wire_print(&out, bytes, max);
        assert_true(out.len - 2 <= max);
        assert_true(max >= whole ? out.len - 2 == whole
                                 : max < 3 || memcmp(out.data + out.len - 3, "...", 3) == 0);
        assert_true(zsp_utf8_valid(zsp_writer_slice(&out)));
        assert_memory_equal(out.data, "> ", 2);
    }
    zsp_writer_fini(&frame);
    zsp_writer_fini(&out);
}

static void a_long_frame_costs_only_its_line(void **state)
{
    (void)state;
    struct zsp_writer frame = {0}, out = {.max = 500};
    (void)hex_bytes(&frame, "dd 00030000");
    for (size_t i = 0; i < 0x30000; i++) {
        zsp_write_u8(&frame, 0x7f);
    }
    wire_print(&out, zsp_writer_slice(&frame), 100);
    assert_false(out.failed);
    assert_int_equal(out.len, 100);
    zsp_writer_fini(&frame);
    zsp_writer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_print_as_one_line),
        cmocka_unit_test(lines_are_cut_at_any_limit),
        cmocka_unit_test(a_long_frame_costs_only_its_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
