/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/common/testing.h"

#include "common/limits.h"
#include "common/name.h"

static const char *const good_names[] = {"a",      "Z",   "0",   "_",      "-",
                                         "orders", "a.b", "a..", "A-1_x.y"};
static const char *const bad_names[] = {"",        ".",   "..",       ".hidden",   "a/b", "../x",
                                        "a b",     "a\n", "\xc3\xa4", "a\x7f",     "a*",  "a\\b",
                                        "caf\xe9", "a:b", "a@1",      "a\xff\xff", "a,b", "~"};

static void names_follow_one_rule(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good_names / sizeof good_names[0]; i++) {
        assert_true(zsp_name_valid(zsp_slice_str(good_names[i])));
        assert_int_equal(zsp_name_check("topic", zsp_slice_str(good_names[i]), NULL), 0);
    }
    for (size_t i = 0; i < sizeof bad_names / sizeof bad_names[0]; i++) {
        struct zsp_err err;
        assert_false(zsp_name_valid(zsp_slice_str(bad_names[i])));
        assert_int_equal(zsp_name_check("topic", zsp_slice_str(bad_names[i]), &err), ZSP_EBAD_NAME);
        assert_true(zsp_utf8_valid(zsp_slice_str(err.msg)));
    }
    assert_false(zsp_name_valid((struct zsp_slice){(const uint8_t *)"a\0b", 3}));
    assert_false(zsp_name_valid((struct zsp_slice){NULL, 0}));
}

static void names_end_at_200_bytes(void **state)
{
    (void)state;
    char name[301];
    memset(name, 'n', sizeof name);
    const uint8_t *bytes = (const uint8_t *)name;
    assert_true(zsp_name_valid((struct zsp_slice){bytes, ZSP_NAME_MAX}));
    assert_false(zsp_name_valid((struct zsp_slice){bytes, ZSP_NAME_MAX + 1}));
    struct zsp_err err;
    assert_int_equal(zsp_name_check("group", (struct zsp_slice){bytes, 300}, &err), ZSP_EBAD_NAME);
    assert_non_null(strstr(err.msg, "length 300"));
    assert_non_null(strstr(err.msg, "group"));
}

static void the_report_shows_the_place_and_escapes_the_rest(void **state)
{
    (void)state;
    struct zsp_err err;
    assert_int_equal(zsp_name_check("topic", zsp_slice_str("a\n\x01z"), &err), ZSP_EBAD_NAME);
    assert_string_equal(err.msg, "topic name \"a\\x0a\\x01z\": character 1 is not allowed");
    assert_string_equal(err.got, "a\\x0a\\x01z");
    assert_string_equal(err.object, "topic");
}

struct match_case {
    const char *pattern, *name;
    bool match;
};

static const struct match_case matches[] = {
    {"", "", true},           {"", "a", false},
    {"*", "", true},          {"*", "abc", true},
    {"a*", "abc", true},      {"*c", "abc", true},
    {"a*c", "abc", true},     {"a*b", "abc", false},
    {"?", "a", true},         {"?", "", false},
    {"??", "a", false},       {"a?c", "abc", true},
    {"a**c", "abc", true},    {"*b*", "abc", true},
    {"*bb*", "abc", false},   {"a*b*c", "aXbYbZc", true},
    {"abc", "abcd", false},   {"abcd", "abc", false},
    {"*.log", "a.log", true}, {"*?", "", false},
};

static void globs_match_whole_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof matches / sizeof matches[0]; i++) {
        assert_int_equal(
            zsp_name_match(zsp_slice_str(matches[i].pattern), zsp_slice_str(matches[i].name)),
            matches[i].match);
    }
}

static void a_pattern_is_a_name_with_wildcards(void **state)
{
    (void)state;
    static const char *const good[] = {"*", "?", "orders.*", "*.log", "a?b", "plain"};
    static const char *const bad[] = {"", ".*", "a/*", "[a]*", "a *", "\xff*"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(zsp_pattern_valid(zsp_slice_str(good[i])));
        assert_int_equal(zsp_pattern_check("topic", zsp_slice_str(good[i]), NULL), 0);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(zsp_pattern_check("topic", zsp_slice_str(bad[i]), NULL), ZSP_EBAD_NAME);
    }
    assert_true(zsp_name_is_pattern(zsp_slice_str("a?")));
    assert_false(zsp_name_is_pattern(zsp_slice_str("plain")));
    assert_false(zsp_name_valid(zsp_slice_str("a*")));
}

/* With backtracking into every star this pattern would take longer than the
 * test's time limit. */
static void a_hostile_pattern_ends_quickly(void **state)
{
    (void)state;
    char pattern[201], name[201];
    for (size_t i = 0; i < 200; i++) {
        pattern[i] = i % 2 == 0 ? '*' : 'a';
        name[i] = 'a';
    }
    pattern[199] = 'b';
    pattern[200] = name[200] = '\0';
    assert_false(zsp_name_match(zsp_slice_str(pattern), zsp_slice_str(name)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_follow_one_rule),
        cmocka_unit_test(names_end_at_200_bytes),
        cmocka_unit_test(the_report_shows_the_place_and_escapes_the_rest),
        cmocka_unit_test(a_pattern_is_a_name_with_wildcards),
        cmocka_unit_test(globs_match_whole_names),
        cmocka_unit_test(a_hostile_pattern_ends_quickly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
