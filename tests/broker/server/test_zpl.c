/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/common/testing.h"

#include <czmq.h>

#include "broker/server/zpl.h"

/* Settings told by a walk, one a line: "line section.key=value;". */
struct heard {
    char text[1024];
};

static int hear(void *arg, const struct zpl_setting *setting, struct zsp_err *err)
{
    struct heard *const heard = arg;
    const size_t used = strlen(heard->text);
    (void)snprintf(heard->text + used, sizeof heard->text - used, "%u %s.%s=%s;", setting->line,
                   setting->section, setting->key, setting->value);
    if (strcmp(setting->key, "stop") == 0) {
        return zsp_err_set(err, ZSP_EBAD_CONFIG, "asked to stop");
    }
    return ZSP_OK;
}

static int walk(const char *text, struct heard *heard, struct zsp_err *err)
{
    heard->text[0] = '\0';
    return zpl_walk("x.cfg", zsp_slice_str(text), hear, heard, err);
}

static void settings_come_with_section_and_line(void **state)
{
    (void)state;
    struct heard heard;
    assert_int_equal(
        walk("# head\n\nnet\n    a = 1\n    b = x y   # why\ndata\n    c=\n", &heard, NULL),
        ZSP_OK);
    assert_string_equal(heard.text, "4 net.a=1;5 net.b=x y;7 data.c=;");
}

static void quotes_keep_hashes_and_blanks(void **state)
{
    (void)state;
    struct heard heard;
    assert_int_equal(walk("n\n    a = \" x # y \"  # z\n    b = 'it\"s'\n", &heard, NULL), ZSP_OK);
    assert_string_equal(heard.text, "2 n.a= x # y ;3 n.b=it\"s;");
}

static void windows_line_ends_and_a_missing_last_one_are_fine(void **state)
{
    (void)state;
    struct heard heard;
    assert_int_equal(walk("n\r\n    a = 1\r\n    b = 2", &heard, NULL), ZSP_OK);
    assert_string_equal(heard.text, "2 n.a=1;3 n.b=2;");
    assert_int_equal(walk("", &heard, NULL), ZSP_OK);
    assert_string_equal(heard.text, "");
}

/* Each bad text, and what the message must say. */
static const struct {
    const char *text;
    const char *message;
} BAD[] = {
    {"a = 1\n", "x.cfg:1: 'a' has a value but stands in no section"},
    {"n\n  a = 1\n", "x.cfg:2: indented by 2 spaces"},
    {"n\n        a = 1\n", "x.cfg:2: indented by 8 spaces"},
    {"n\n\ta = 1\n", "x.cfg:2: indent with 4 spaces, not with a tab"},
    {"    a = 1\n", "x.cfg:1: 'a' is indented but no section is open"},
    {"n\n    a\n", "x.cfg:2: 'a' needs a value"},
    {"n\n\n    a 1\n", "x.cfg:3: 'a' needs a value"},
    {"n\n    = 1\n", "x.cfg:2: a name was expected"},
    {"n m\n", "x.cfg:1: unexpected 'm'"},
    {"n\n    a = \"1\n", "x.cfg:2: the quote \" is never closed"},
    {"n\n    a = \"1\" 2\n", "x.cfg:2: unexpected '2'"},
    {"n\n    a/b = 2\n", "x.cfg:2: 'a' needs a value"},
    {"n\n    a = \xff\n", "x.cfg:2: the line is not UTF-8"},
    {"n\n    a = 1\n    stop = 1\n    b = 1\n", "x.cfg:3: asked to stop"},
};

static void every_bad_line_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        struct heard heard;
        struct zsp_err err = {0};
        assert_int_equal(walk(BAD[i].text, &heard, &err), ZSP_EBAD_CONFIG);
        if (strncmp(err.msg, BAD[i].message, strlen(BAD[i].message)) != 0) {
            fail_msg("case %zu: \"%s\" does not begin with \"%s\"", i, err.msg, BAD[i].message);
        }
    }
}

static void bytes_that_are_no_text_are_refused(void **state)
{
    (void)state;
    struct heard heard = {0};
    struct zsp_err err = {0};
    const struct zsp_slice text = {(const uint8_t *)"n\n    a = \0 1\n", 14};
    assert_int_equal(zpl_walk("x.cfg", text, hear, &heard, &err), ZSP_EBAD_CONFIG);
    assert_non_null(strstr(err.msg, "x.cfg:2"));
}

static void long_lines_names_and_texts_are_refused(void **state)
{
    (void)state;
    struct heard heard = {0};
    struct zsp_err err = {0};
    static char text[ZPL_TEXT_MAX + 2];
    memset(text, 'n', sizeof text - 1);
    assert_int_equal(walk(text, &heard, &err), ZSP_EBAD_CONFIG);
    assert_non_null(strstr(err.msg, "262145 bytes"));
    text[ZPL_LINE_MAX + 1] = '\0';
    assert_int_equal(walk(text, &heard, &err), ZSP_EBAD_CONFIG);
    assert_non_null(strstr(err.msg, "x.cfg:1: the line has 1024 bytes"));
    text[ZPL_NAME_MAX + 1] = '\0';
    assert_int_equal(walk(text, &heard, &err), ZSP_EBAD_CONFIG);
    assert_non_null(strstr(err.msg, "longer than 63 bytes"));
}

/* What passes here, czmq's own parser reads in the same way. */
static void zconfig_reads_the_same(void **state)
{
    (void)state;
    static const char text[] =
        "# c\nnet\n    a = 1   # x\n    b = \"q # r\"\n\ndata\n    c = x y\n";
    struct heard heard;
    assert_int_equal(walk(text, &heard, NULL), ZSP_OK);
    assert_string_equal(heard.text, "3 net.a=1;4 net.b=q # r;7 data.c=x y;");
    zconfig_t *tree = zconfig_str_load(text);
    assert_non_null(tree);
    assert_string_equal(zconfig_get(tree, "net/a", NULL), "1");
    assert_string_equal(zconfig_get(tree, "net/b", NULL), "q # r");
    assert_string_equal(zconfig_get(tree, "data/c", NULL), "x y");
    zconfig_destroy(&tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_come_with_section_and_line),
        cmocka_unit_test(quotes_keep_hashes_and_blanks),
        cmocka_unit_test(windows_line_ends_and_a_missing_last_one_are_fine),
        cmocka_unit_test(every_bad_line_is_named),
        cmocka_unit_test(bytes_that_are_no_text_are_refused),
        cmocka_unit_test(long_lines_names_and_texts_are_refused),
        cmocka_unit_test(zconfig_reads_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
