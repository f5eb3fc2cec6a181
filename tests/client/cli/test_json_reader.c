/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/cli/json_reader.h"

/* A copy on the heap, so that a read beyond its end is seen by the sanitizers. */
static char *copy_of(const char *text, size_t len)
{
    char *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);
    return copy;
}

static void strings_are_unescaped_to_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *text, *wanted;
        size_t len;
    } cases[] = {
        {"\"\"", "", 0},
        {" \t\"abc\"", "abc", 3},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8},
        {"\"\\u0041\\u00e9\\u20AC\\uD83D\\uDE00\"", "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 10},
        {"\"a\\u0000b\"", "a\0b", 3},
        {"\"\xc3\xa9\"", "\xc3\xa9", 2}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *text = copy_of(cases[i].text, strlen(cases[i].text));
        struct json_reader reader = json_reader_init(text, strlen(cases[i].text));
        struct json_value value;
        assert_true(json_read_value(&reader, &value));
        assert_int_equal(value.kind, JSON_STRING);
        assert_int_equal(value.string.len, cases[i].len);
        assert_memory_equal(value.string.data, cases[i].wanted, cases[i].len);
        assert_true(json_read_end(&reader));
        free(text);
    }
}

static void whole_numbers_keep_all_64_bits(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_uint;
        uint64_t value;
    } cases[] = {{"0", true, 0},
                 {"9007199254740993", true, 9007199254740993u},
                 {"18446744073709551615", true, UINT64_MAX},
                 {"18446744073709551616", false, 0},
                 {"-1", false, 0},
                 {"1.0", false, 0},
                 {"1e3", false, 0},
                 {"1.5E-7", false, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *text = copy_of(cases[i].text, strlen(cases[i].text));
        struct json_reader reader = json_reader_init(text, strlen(cases[i].text));
        struct json_value value;
        assert_true(json_read_value(&reader, &value));
        assert_int_equal(value.kind, JSON_NUMBER);
        assert_int_equal(value.is_uint, cases[i].is_uint);
        assert_true(!value.is_uint || value.uint == cases[i].value);
        assert_true(json_read_end(&reader));
        free(text);
    }
}

static void what_is_no_json_is_refused_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {{"", "byte 1: want a value"},
                 {"  ", "byte 3: want a value"},
                 {"nul", "byte 1: want a value"},
                 {"'a'", "byte 1: want a value"},
                 {"\"abc", "byte 5: a string does not end"},
                 {"\"ab\x01\"", "byte 4: a control character"},
                 {"\"\\q\"", "byte 3: want one of"},
                 {"\"\\", "byte 3: want one of"},
                 {"\"\\u12g4\"", "byte 4: want four"},
                 {"\"\\u12", "byte 4: want four"},
                 {"\"\\ud800\"", "half of a surrogate pair"},
                 {"\"\\ud800\\u0041\"", "half of a surrogate pair"},
                 {"\"\\udc00\"", "half of a surrogate pair"},
                 {"\"\xff\"", "not UTF-8"},
                 {"\"\xc3\"", "not UTF-8"},
                 {"\"\xed\xa0\x80\"", "not UTF-8"},
                 {"-", "byte 2: want a digit"},
                 {"01", "byte 1: a number begins with 0"},
                 {"1.", "byte 3: want a digit"},
                 {"1e", "byte 3: want a digit"},
                 {"+1", "byte 1: want a value"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *text = copy_of(cases[i].text, strlen(cases[i].text));
        struct json_reader reader = json_reader_init(text, strlen(cases[i].text));
        struct json_value value;
        assert_false(json_read_value(&reader, &value));
        if (!strstr(reader.why, cases[i].why)) {
            fail_msg("%s: %s", cases[i].text, reader.why);
        }
        free(text);
    }
}

static void members_come_one_by_one(void **state)
{
    (void)state;
    char text[] = " { \"a\" : 1 , \"b\":null} ";
    struct json_reader reader = json_reader_init(text, strlen(text));
    struct json_value value;
    zspool_bytes_t name;
    bool is_member;
    assert_true(json_read_value(&reader, &value));
    assert_int_equal(value.kind, JSON_OBJECT);
    assert_true(json_read_member(&reader, true, &is_member, &name));
    assert_true(is_member && name.len == 1 && memcmp(name.data, "a", 1) == 0);
    assert_true(json_read_value(&reader, &value));
    assert_int_equal(value.uint, 1);
    assert_true(json_read_member(&reader, false, &is_member, &name));
    assert_true(is_member && name.len == 1 && memcmp(name.data, "b", 1) == 0);
    assert_true(json_read_value(&reader, &value));
    assert_int_equal(value.kind, JSON_NULL);
    assert_true(json_read_member(&reader, false, &is_member, &name));
    assert_false(is_member);
    assert_true(json_read_end(&reader));
}

static void base64_is_decoded_and_nothing_else_taken(void **state)
{
    (void)state;
    static const struct {
        const char *text, *wanted;
        size_t len;
    } good[] = {{"", "", 0},
                {"AA==", "\0", 1},
                {"//4=", "\xff\xfe", 2},
                {"AAEC", "\0\1\2", 3},
                {"Zm9vYmE=", "fooba", 5}};
    static const char *const wrong[] = {"A",    "AA",   "AAA",  "AAA=A", "A===", "====", "=AAA",
                                        "A=AA", "AB==", "AAB=", "AA-_",  "AA A", "AA\n="};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        size_t len;
        char *text = copy_of(good[i].text, strlen(good[i].text));
        assert_true(json_decode_base64(text, strlen(good[i].text), &len));
        assert_int_equal(len, good[i].len);
        assert_memory_equal(text, good[i].wanted, len);
        free(text);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        size_t len;
        char *text = copy_of(wrong[i], strlen(wrong[i]));
        assert_false(json_decode_base64(text, strlen(wrong[i]), &len));
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_unescaped_to_utf8),
        cmocka_unit_test(whole_numbers_keep_all_64_bits),
        cmocka_unit_test(what_is_no_json_is_refused_with_its_place),
        cmocka_unit_test(members_come_one_by_one),
        cmocka_unit_test(base64_is_decoded_and_nothing_else_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
