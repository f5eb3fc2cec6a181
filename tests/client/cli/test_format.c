/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/cli/format.h"

static const zspool_message_t full = {.topic = "orders",
                                      .partition = 3,
                                      .offset = 18446744073709551614u,
                                      .timestamp_ms = 1795355913731,
                                      .payload = {"pay\0load", 8},
                                      .key = {"k", 1},
                                      .type = {"T", 1},
                                      .id = {"I", 1},
                                      .deliveries = 2,
                                      .failures = 1,
                                      .lease = 9007199254740991u};

/* Print `message` by `text`, and compare. */
static void assert_prints(const zspool_message_t *message, const char *text, const char *wanted,
                          size_t wanted_len)
{
    char why[160];
    char *bytes = NULL;
    size_t len = 0;
    struct format *format = format_new(text, why, sizeof why);
    assert_non_null(format);
    FILE *to = open_memstream(&bytes, &len);
    assert_non_null(to);
    format_write(format, message, to);
    assert_int_equal(fclose(to), 0);
    assert_int_equal(len, wanted_len);
    assert_memory_equal(bytes, wanted, len);
    free(bytes);
    format_destroy(&format);
}

static void every_directive_prints_its_part(void **state)
{
    (void)state;
    static const struct {
        const char *text, *wanted;
        size_t len;
    } cases[] = {{"%t/%p/%o@%l", "orders/3/18446744073709551614@9007199254740991", 46},
                 {"[%s]%S", "[pay\0load]8", 11},
                 {"%k %K", "k 1", 3},
                 {"%T", "1795355913731", 13},
                 {"%i%y%d%f", "IT21", 4},
                 {"100%% %%s", "100% %s", 7},
                 {"%h", "", 0},
                 {"", "", 0},
                 {"no directive", "no directive", 12}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_prints(&full, cases[i].text, cases[i].wanted, cases[i].len);
    }
}

static void escapes_stand_for_bytes(void **state)
{
    (void)state;
    assert_prints(&full, "\\n\\t\\r\\\\\\0\\x00\\x7F\\xfF%p\\n",
                  "\n\t\r\\\0\0\x7f\xff"
                  "3\n",
                  10);
}

static void absent_parts_print_nothing_and_have_length_minus_one(void **state)
{
    (void)state;
    const zspool_message_t bare = {.topic = "t", .payload = {"", 0}};
    const zspool_message_t empty_key = {.topic = "t", .payload = {"", 0}, .key = {"", 0}};
    assert_prints(&bare, "<%k%i%y%s%h>%K,%S", "<>-1,0", 6);
    assert_prints(&empty_key, "%K", "0", 1);
}

static void what_is_unknown_is_named_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *what;
    } cases[] = {{"%o %q", "no %q (byte 4"}, {"%", "no % (byte 1"},     {"ab%", "no % (byte 3"},
                 {"\\q", "no \\q (byte 1"},  {"x\\", "no \\ (byte 2"},  {"\\xg0", "no \\x (byte 1"},
                 {"\\x1", "no \\x (byte 1"}, {"\\x", "no \\x (byte 1"}, {"%%%", "no % (byte 3"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char why[160] = "";
        assert_null(format_new(cases[i].text, why, sizeof why));
        assert_non_null(strstr(why, cases[i].what));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_directive_prints_its_part),
        cmocka_unit_test(escapes_stand_for_bytes),
        cmocka_unit_test(absent_parts_print_nothing_and_have_length_minus_one),
        cmocka_unit_test(what_is_unknown_is_named_with_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
