/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/cli/cli.h"
#include "client/cli/terminal.h"

static void sizes_have_three_digits_and_a_unit(void **state)
{
    (void)state;
    char text[TERMINAL_FIGURE_SIZE];
    assert_string_equal(terminal_human_bytes(0, text), "0 B");
    assert_string_equal(terminal_human_bytes(1023, text), "1023 B");
    assert_string_equal(terminal_human_bytes(1024, text), "1.00 KiB");
    assert_string_equal(terminal_human_bytes(10 * 1024, text), "10.0 KiB");
    assert_string_equal(terminal_human_bytes((uint64_t)300 << 30, text), "300 GiB");
    assert_string_equal(terminal_human_bytes(UINT64_MAX, text), "16384 PiB");
}

static void counts_have_three_digits_and_a_unit(void **state)
{
    (void)state;
    char text[TERMINAL_FIGURE_SIZE];
    assert_string_equal(terminal_human_count(0, text), "0");
    assert_string_equal(terminal_human_count(999, text), "999");
    assert_string_equal(terminal_human_count(1234, text), "1.23k");
    assert_string_equal(terminal_human_count(56789, text), "56.8k");
    assert_string_equal(terminal_human_count(2.5e6, text), "2.50M");
}

static void times_lose_nothing(void **state)
{
    (void)state;
    char text[TERMINAL_FIGURE_SIZE];
    assert_string_equal(terminal_human_ms(0, text), "0s");
    assert_string_equal(terminal_human_ms(1500, text), "1500ms");
    assert_string_equal(terminal_human_ms(30000, text), "30s");
    assert_string_equal(terminal_human_ms(90000, text), "90s");
    assert_string_equal(terminal_human_ms(7200000, text), "2h");
    assert_string_equal(terminal_human_ms(604800000, text), "7d");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_have_three_digits_and_a_unit),
        cmocka_unit_test(counts_have_three_digits_and_a_unit),
        cmocka_unit_test(times_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
