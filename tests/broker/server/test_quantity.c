/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/common/testing.h"

#include "broker/server/quantity.h"

static void sizes_and_times_carry_a_unit(void **state)
{
    (void)state;
    uint64_t value = 0;
    assert_int_equal(quantity_parse_bytes("64MiB", &value, NULL), ZSP_OK);
    assert_int_equal(value, UINT64_C(64) << 20);
    assert_int_equal(quantity_parse_bytes("3 GiB", &value, NULL), ZSP_OK);
    assert_int_equal(value, UINT64_C(3) << 30);
    assert_int_equal(quantity_parse_ms("2m", &value, NULL), ZSP_OK);
    assert_int_equal(value, 120000);
    assert_int_equal(quantity_parse_ms("1500ms", &value, NULL), ZSP_OK);
    assert_int_equal(value, 1500);
    assert_int_equal(quantity_parse_count("7", &value, NULL), ZSP_OK);
    assert_int_equal(value, 7);
}

static void anything_else_is_refused_and_nothing_written(void **state)
{
    (void)state;
    static const char *const bad_bytes[] = {"",
                                            "64",
                                            "MiB",
                                            "-1B",
                                            "1.5MiB",
                                            "64MB",
                                            "64mib",
                                            "1s",
                                            "1MiBx",
                                            "0x10B",
                                            "18446744073709551616B",
                                            "18446744073709551615KiB"};
    uint64_t value = 99;
    for (size_t i = 0; i < sizeof bad_bytes / sizeof bad_bytes[0]; i++) {
        struct zsp_err err = {0};
        assert_int_equal(quantity_parse_bytes(bad_bytes[i], &value, &err), ZSP_EBAD_VALUE);
        assert_int_not_equal(err.msg[0], '\0');
    }
    static const char *const bad_times[] = {"", "30", "30sec", "1w", "s", "99999999999999999999s"};
    for (size_t i = 0; i < sizeof bad_times / sizeof bad_times[0]; i++) {
        assert_int_equal(quantity_parse_ms(bad_times[i], &value, NULL), ZSP_EBAD_VALUE);
    }
    assert_int_equal(quantity_parse_count("7s", &value, NULL), ZSP_EBAD_VALUE);
    assert_int_equal(value, 99);
}

static void a_missing_unit_is_said(void **state)
{
    (void)state;
    uint64_t value = 0;
    struct zsp_err err = {0};
    assert_int_equal(quantity_parse_ms("30", &value, &err), ZSP_EBAD_VALUE);
    assert_string_equal(err.msg, "'30' has no unit, wanted ms, s, m, h or d, as in 30s");
}

static void printed_forms_are_short_and_read_back(void **state)
{
    (void)state;
    static const struct {
        uint64_t number;
        const char *bytes, *ms;
    } cases[] = {{0, "0B", "0ms"},          {1, "1B", "1ms"},
                 {1536, "1536B", "1536ms"}, {2048, "2KiB", "2048ms"},
                 {60000, "60000B", "1m"},   {UINT64_C(86400000), "84375KiB", "1d"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[QUANTITY_TEXT_MAX];
        uint64_t value = 0;
        quantity_print_bytes(text, cases[i].number);
        assert_string_equal(text, cases[i].bytes);
        assert_int_equal(quantity_parse_bytes(text, &value, NULL), ZSP_OK);
        assert_int_equal(value, cases[i].number);
        quantity_print_ms(text, cases[i].number);
        assert_string_equal(text, cases[i].ms);
        assert_int_equal(quantity_parse_ms(text, &value, NULL), ZSP_OK);
        assert_int_equal(value, cases[i].number);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_and_times_carry_a_unit),
        cmocka_unit_test(anything_else_is_refused_and_nothing_written),
        cmocka_unit_test(a_missing_unit_is_said),
        cmocka_unit_test(printed_forms_are_short_and_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
