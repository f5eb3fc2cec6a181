/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/common/testing.h"

#include <errno.h>

#include "common/err.h"

static void set_returns_the_code_and_formats_the_message(void **state)
{
    (void)state;
    struct zsp_err err = {.sys_errno = 7, .maybe = true};
    assert_int_equal(zsp_err_set(&err, ZSP_EIO, "write %d bytes", 5), ZSP_EIO);
    assert_int_equal(err.code, ZSP_EIO);
    assert_string_equal(err.msg, "write 5 bytes");
    assert_int_equal(err.sys_errno, 0);
    assert_false(err.maybe);
}

static void every_function_accepts_no_report(void **state)
{
    (void)state;
    assert_int_equal(zsp_err_set(NULL, ZSP_EIO, "x"), ZSP_EIO);
    assert_int_equal(zsp_err_set_errno(NULL, ZSP_EIO, ENOSPC, "x"), ZSP_EIO);
    assert_int_equal(zsp_err_wrap(NULL, "x"), ZSP_OK);
    zsp_err_detail(NULL, "a", "b", "c");
}

static void set_errno_appends_the_reason_and_keeps_the_number(void **state)
{
    (void)state;
    struct zsp_err err;
    assert_int_equal(zsp_err_set_errno(&err, ZSP_EIO, ENOSPC, "write %s", "x.log"), ZSP_EIO);
    assert_int_equal(err.sys_errno, ENOSPC);
    assert_string_equal(err.msg, "write x.log: No space left on device");
}

static void an_unknown_errno_is_told_as_a_number(void **state)
{
    (void)state;
    struct zsp_err err;
    zsp_err_set_errno(&err, ZSP_EIO, 99999, "write");
    assert_string_equal(err.msg, "write: errno 99999");
}

static void wrap_prepends_where_it_was(void **state)
{
    (void)state;
    struct zsp_err err;
    zsp_err_set(&err, ZSP_ECORRUPT, "sum differs");
    zsp_err_wrap(&err, "pos %d", 48);
    assert_int_equal(zsp_err_wrap(&err, "topic %s", "orders"), ZSP_ECORRUPT);
    assert_string_equal(err.msg, "topic orders: pos 48: sum differs");
}

static void long_messages_are_cut_between_characters(void **state)
{
    (void)state;
    char text[3 * 120 + 1] = "";
    for (size_t i = 0; i < 120; i++) {
        memcpy(text + 3 * i, "\xe2\x82\xac", 4); /* a euro sign and a NUL */
    }
    for (int shift = 0; shift < 3; shift++) {
        struct zsp_err err;
        zsp_err_set(&err, ZSP_EIO, "%.*s%s", shift, "ab", text);
        assert_true(strlen(err.msg) >= sizeof err.msg - 3);
        assert_true(zsp_utf8_valid(zsp_slice_str(err.msg)));
        zsp_err_wrap(&err, "%s", text);
        assert_true(zsp_utf8_valid(zsp_slice_str(err.msg)));
        assert_int_equal(err.code, ZSP_EIO);
    }
}

static void two_byte_characters_are_not_cut_either(void **state)
{
    (void)state;
    struct zsp_err err;
    zsp_err_set(&err, ZSP_EBAD_VALUE, "x");
    for (size_t xs = 60; xs < 64; xs++) {
        char text[70];
        memset(text, 'x', sizeof text);
        memcpy(text + xs, "\xc3\xa4", 3); /* an umlaut and a NUL */
        zsp_err_detail(&err, NULL, NULL, text);
        assert_true(zsp_utf8_valid(zsp_slice_str(err.got)));
        assert_int_equal(strlen(err.got), xs + 2 < sizeof err.got ? xs + 2 : xs);
    }
}

static void an_errno_text_never_overflows_a_full_message(void **state)
{
    (void)state;
    char text[300];
    memset(text, 'x', sizeof text);
    for (size_t len = 240; len < 280; len++) {
        struct zsp_err err;
        zsp_err_set_errno(&err, ZSP_EIO, EIO, "%.*s", (int)len, text);
        assert_true(strlen(err.msg) < sizeof err.msg);
    }
}

static void detail_fills_only_what_is_given_and_cuts(void **state)
{
    (void)state;
    struct zsp_err err;
    char text[200];
    memset(text, 'y', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    zsp_err_set(&err, ZSP_EBAD_VALUE, "x");
    zsp_err_detail(&err, "topic orders", NULL, NULL);
    zsp_err_detail(&err, NULL, "1..5", text);
    assert_string_equal(err.object, "topic orders");
    assert_string_equal(err.wanted, "1..5");
    assert_int_equal(strlen(err.got), sizeof err.got - 1);
}

static void names_and_codes_map_both_ways(void **state)
{
    (void)state;
#define CHECK_ROW(name, value, wire, retriable, sentence)   \
    assert_string_equal(zsp_err_wire_name(value), wire);    \
    assert_string_equal(zsp_strerror(value), sentence);     \
    assert_int_equal(zsp_err_retriable(value), retriable);  \
    assert_int_equal(zsp_err_from_wire(wire, strlen(wire)), \
                     (value) > -101 ? (int)(value) : ZSP_EINTERNAL);
    ZSP_ERR_TABLE(CHECK_ROW)
#undef CHECK_ROW
}

static void unknown_codes_and_names_have_an_answer(void **state)
{
    (void)state;
    assert_string_equal(zsp_strerror(-9999), "unknown error");
    assert_string_equal(zsp_strerror(0), "no error");
    assert_string_equal(zsp_err_wire_name(-9999), "internal");
    assert_int_equal(zsp_err_from_wire("not_foun", 8), ZSP_EINTERNAL);
    assert_int_equal(zsp_err_from_wire("not_foundx", 9), ZSP_ENOT_FOUND);
    assert_int_equal(zsp_err_from_wire("", 0), ZSP_EINTERNAL);
    assert_false(zsp_err_retriable(-9999));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_returns_the_code_and_formats_the_message),
        cmocka_unit_test(every_function_accepts_no_report),
        cmocka_unit_test(set_errno_appends_the_reason_and_keeps_the_number),
        cmocka_unit_test(an_unknown_errno_is_told_as_a_number),
        cmocka_unit_test(wrap_prepends_where_it_was),
        cmocka_unit_test(long_messages_are_cut_between_characters),
        cmocka_unit_test(two_byte_characters_are_not_cut_either),
        cmocka_unit_test(an_errno_text_never_overflows_a_full_message),
        cmocka_unit_test(detail_fills_only_what_is_given_and_cuts),
        cmocka_unit_test(names_and_codes_map_both_ways),
        cmocka_unit_test(unknown_codes_and_names_have_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
