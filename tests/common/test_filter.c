/* SPDX-License-Identifier: MPL-2.0
 *
 * Filters: the language, what is true of which message, and what is told of a wrong one.
 */
#include <stdio.h>
#include <string.h>

#include "common/filter.h"
#include "tests/common/testing.h"

/* A record of type "order.created" and key "k1", with headers region = eu, empty = "". */
static struct zsp_record some_record(struct zsp_writer *headers)
{
    zsp_record_write_headers_begin(headers, 2);
    zsp_record_write_header(headers, zsp_slice_str("region"), zsp_slice_str("eu"), true);
    zsp_record_write_header(headers, zsp_slice_str("empty"), zsp_slice_str(""), false);
    return (struct zsp_record){.payload = zsp_slice_str("p"),
                               .key = zsp_slice_str("k1"),
                               .type = zsp_slice_str("order.created"),
                               .headers = zsp_writer_slice(headers),
                               .header_count = 2};
}

static bool is_true(const char *text, const struct zsp_record *record)
{
    struct zsp_filter *filter = NULL;
    struct zsp_err error = {0};
    if (zsp_filter_new(zsp_slice_str(text), &filter, &error) < 0) {
        fail_msg("%s: %s", text, error.msg);
    }
    assert_true(zsp_slice_equal_str(zsp_filter_text(filter), text));
    const bool matches = zsp_filter_matches(filter, record);
    zsp_filter_destroy(&filter);
    assert_null(filter);
    return matches;
}

static const struct {
    const char *text;
    bool with_fields, with_none; /* true of a record with them, of one with a payload alone */
} cases[] = {
    {"type = \"order.created\"", true, false},
    {"type = \"order\"", false, false},
    {"type != \"order\"", true, true},
    {"type ^= \"order.\"", true, false},
    {"type ^= \"order.created.at\"", false, false},
    {"type ^= \"\"", true, false},
    {"type exists", true, false},
    {"not type exists", false, true},
    {"key = \"k1\"", true, false},
    {"key=\"k1\"", true, false},
    {"key in (\"a\", \"k1\", \"b\")", true, false},
    {"key in (\"a\")", false, false},
    {"key = \"k\\x31\"", true, false},
    {"key ^= \"k\"", true, false},
    {"header.region = \"eu\"", true, false},
    {"header.\"region\" = \"eu\"", true, false},
    {"header.other exists", false, false},
    {"header.empty exists", true, false},
    {"header.empty = \"\"", true, false},
    {"header.empty != \"\"", false, true},
    {"header.region in (\"eu\", \"us\") and not header.test exists", true, false},
    {"type = \"no\" or key = \"k1\"", true, false},
    {"type = \"no\" or key = \"no\" or header.region = \"eu\"", true, false},
    {"type exists and key = \"no\" or header.region exists", true, false},
    {"type exists and (key = \"no\" or header.other exists)", false, false},
    {"not (type exists and key exists)", false, true},
    {"not not type exists", true, false},
    {" ( ( type\texists ) )\n", true, false},
};

static void each_case_is_as_true_as_it_should_be(void **state)
{
    (void)state;
    struct zsp_writer headers = {0};
    const struct zsp_record record = some_record(&headers);
    const struct zsp_record bare = {.payload = zsp_slice_str("p")};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (is_true(cases[i].text, &record) != cases[i].with_fields ||
            is_true(cases[i].text, &bare) != cases[i].with_none) {
            fail_msg("%s", cases[i].text);
        }
    }
    zsp_writer_fini(&headers);
}

/* Goal: each of many headers is found, whatever their order; of two with one name the first counts. */
static void many_headers_are_told_apart(void **state)
{
    (void)state;
    struct zsp_writer headers = {0};
    char name[16], text[ZSP_FILTER_MAX] = "not header.h100 exists and header.h7 != \"x\"";
    zsp_record_write_headers_begin(&headers, 101);
    for (unsigned i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof name, "h%u", i * 37 % 100);
        zsp_record_write_header(&headers, zsp_slice_str(name), zsp_slice_str(name), true);
    }
    zsp_record_write_header(&headers, zsp_slice_str("h7"), zsp_slice_str("x"), true);
    const struct zsp_record record = {.headers = zsp_writer_slice(&headers), .header_count = 101};
    for (unsigned i = 0; i < 60; i++) {
        const size_t len = strlen(text);
        (void)snprintf(text + len, sizeof text - len, " and header.h%u = \"h%u\"", i, i);
    }
    assert_true(is_true(text, &record));
    assert_false(is_true("header.h7 = \"x\" or header.h exists", &record));
    zsp_writer_fini(&headers);
}

/* A word of the language is no literal, and the other way round. */
static void literals_may_hold_anything(void **state)
{
    (void)state;
    const struct zsp_record record = {.payload = zsp_slice_str("p"),
                                      .key = zsp_slice_str("a\"b\\c\n\t) or (")};
    assert_true(is_true("key = \"a\\\"b\\\\c\\n\\t) or (\"", &record));
}

static void a_wrong_filter_says_where_what_was_wanted_and_what_is_there(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } wrong[] = {
        {"", "position 0: wanted type, key, header.NAME, not or (, got the end"},
        {"colour = \"red\"", "position 0: wanted type, key, header.NAME, not or (, got colour"},
        {"type", "position 4: wanted =, !=, ^=, in or exists, got the end"},
        {"type == \"a\"", "position 6: wanted a text in double quotes, got ="},
        {"type = a", "position 7: wanted a text in double quotes, got a"},
        {"type = 'a'", "position 7: wanted a text in double quotes, got '"},
        {"type = \"a", "position 9: wanted a closing \", got the end"},
        {"type = \"a\\q\"",
         "position 9: wanted \\\", \\\\, \\n, \\t or \\x and two hex digits, got \\q\""},
        {"type in \"a\"", "position 8: wanted (, got \"a\""},
        {"type in ()", "position 9: wanted a text in double quotes, got )"},
        {"type in (\"a\" \"b\")", "position 13: wanted , or ), got \"b\")"},
        {"(type exists", "position 12: wanted and, or, or ), got the end"},
        {"type exists)", "position 11: wanted and, or, or the end, got )"},
        {"type exists key exists", "position 12: wanted and, or, or the end, got key"},
        {"header. exists", "position 8: wanted the name of a header, got exists"},
        {"header exists", "position 0: wanted type, key, header.NAME, not or (, got header"},
        {"type = \"a\" and", "position 14: wanted type, key, header.NAME, not or (, got the end"},
        {"\xff", "position 0: wanted type, key, header.NAME, not or (, got ?"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct zsp_filter *filter = NULL;
        struct zsp_err error = {0};
        assert_int_equal(zsp_filter_new(zsp_slice_str(wrong[i].text), &filter, &error),
                         ZSP_EBAD_VALUE);
        assert_null(filter);
        char wanted[256];
        (void)snprintf(wanted, sizeof wanted, "filter: %s", wrong[i].message);
        assert_string_equal(error.msg, wanted);
        assert_string_equal(error.object, "filter");
    }
}

/* `count` times `text`, joined by `joint`, between `before` and `after`. */
static int make(const char *before, const char *text, const char *joint, unsigned count,
                const char *after)
{
    static char all[16384];
    size_t len = (size_t)snprintf(all, sizeof all, "%s", before);
    for (unsigned i = 0; i < count; i++) {
        len += (size_t)snprintf(all + len, sizeof all - len, "%s%s", i > 0 ? joint : "", text);
    }
    len += (size_t)snprintf(all + len, sizeof all - len, "%s", after);
    assert_true(len < sizeof all);
    struct zsp_filter *filter = NULL;
    const int rc = zsp_filter_new(zsp_slice_str(all), &filter, NULL);
    zsp_filter_destroy(&filter);
    return rc;
}

static void everything_is_bounded(void **state)
{
    (void)state;
    assert_int_equal(make("", "key exists", " or ", ZSP_FILTER_TERMS_MAX, ""), 0);
    assert_int_equal(make("", "key exists", " or ", ZSP_FILTER_TERMS_MAX + 1, ""), ZSP_EBAD_VALUE);
    assert_int_equal(make("key in (", "\"\"", ",", ZSP_FILTER_TEXTS_MAX, ")"), 0);
    assert_int_equal(make("key in (", "\"\"", ",", ZSP_FILTER_TEXTS_MAX + 1, ")"), ZSP_EBAD_VALUE);
    assert_int_equal(make("", "not ", "", ZSP_FILTER_DEPTH_MAX, "key exists"), 0);
    assert_int_equal(make("", "not ", "", ZSP_FILTER_DEPTH_MAX + 1, "key exists"), ZSP_EBAD_VALUE);
    assert_int_equal(make("", "(", "", 4000, ""), ZSP_EBAD_VALUE);
    assert_int_equal(make("", "not not not not key exists", " and ", 64, ""), ZSP_EBAD_VALUE);
    assert_int_equal(make("key = \"", "x", "", ZSP_FILTER_MAX - 8, "\""), 0);
    assert_int_equal(make("key = \"", "x", "", ZSP_FILTER_MAX - 7, "\""), ZSP_EBAD_VALUE);
}

/* A short text is no reason to read on: each beginning of a filter is one, or is refused. */
static void every_beginning_is_read_inside_its_bytes(void **state)
{
    (void)state;
    static const char text[] =
        "type = \"a\\x41\" or (header.\"r s\" in (\"eu\", \"us\") and not key ^= \"\\\\\")";
    for (size_t len = 0; len < sizeof text; len++) {
        char *copy = test_malloc(len + 1); /* so that a read behind it is found */
        memcpy(copy, text, len);
        struct zsp_filter *filter = NULL;
        const struct zsp_slice slice = {(const uint8_t *)copy, len};
        const int rc = zsp_filter_new(slice, &filter, NULL);
        assert_true(rc == ZSP_EBAD_VALUE || rc == 0);
        zsp_filter_destroy(&filter);
        test_free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_case_is_as_true_as_it_should_be),
        cmocka_unit_test(literals_may_hold_anything),
        cmocka_unit_test(many_headers_are_told_apart),
        cmocka_unit_test(a_wrong_filter_says_where_what_was_wanted_and_what_is_there),
        cmocka_unit_test(everything_is_bounded),
        cmocka_unit_test(every_beginning_is_read_inside_its_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
