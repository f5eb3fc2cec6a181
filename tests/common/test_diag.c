/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/common/testing.h"

#include "common/diag.h"

struct heard {
    int count;
    enum zsp_level level;
    char line[2000];
};

static void hear(void *arg, enum zsp_level level, const char *line)
{
    struct heard *heard = arg;
    heard->count++;
    heard->level = level;
    assert_true(strlen(line) < sizeof heard->line);
    memcpy(heard->line, line, strlen(line) + 1);
}

static void lines_reach_the_sink_from_the_least_level_on(void **state)
{
    (void)state;
    struct heard heard = {0};
    const struct zsp_diag diag = {.sink_fn = hear, .arg = &heard, .least = ZSP_WARNING};
    zsp_diag(&diag, ZSP_INFO, "no");
    assert_int_equal(heard.count, 0);
    zsp_diag(&diag, ZSP_WARNING, "disk %d%%", 91);
    zsp_diag(NULL, ZSP_ERROR, "nobody listens");
    zsp_diag(&(struct zsp_diag){0}, ZSP_ERROR, "nobody listens");
    assert_int_equal(heard.count, 1);
    assert_int_equal(heard.level, ZSP_WARNING);
    assert_string_equal(heard.line, "disk 91%");
}

static void foreign_text_cannot_forge_a_line(void **state)
{
    (void)state;
    struct heard heard = {0};
    const struct zsp_diag diag = {.sink_fn = hear, .arg = &heard, .least = ZSP_DEBUG};
    zsp_diag(&diag, ZSP_ERROR, "name %s", "x\nforged\x1b[31m\x7f");
    assert_string_equal(heard.line, "name x?forged?[31m?");
}

static void long_lines_are_cut(void **state)
{
    (void)state;
    struct heard heard = {0};
    const struct zsp_diag diag = {.sink_fn = hear, .arg = &heard, .least = ZSP_DEBUG};
    char text[5000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    zsp_diag(&diag, ZSP_DEBUG, "%s", text);
    assert_int_equal(strlen(heard.line), 1023);
}

static void levels_have_names(void **state)
{
    (void)state;
    assert_string_equal(zsp_level_name(ZSP_DEBUG), "debug");
    assert_string_equal(zsp_level_name(ZSP_INFO), "info");
    assert_string_equal(zsp_level_name(ZSP_WARNING), "warning");
    assert_string_equal(zsp_level_name(ZSP_ERROR), "error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_reach_the_sink_from_the_least_level_on),
        cmocka_unit_test(foreign_text_cannot_forge_a_line),
        cmocka_unit_test(long_lines_are_cut),
        cmocka_unit_test(levels_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
