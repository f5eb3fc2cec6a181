/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/cli/cli.h"

static void times_are_read_and_written_back(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {{"1970-01-01T00:00:00.000Z", 0},
                 {"2000-02-29T12:34:56.789Z", 951827696789},
                 {"2026-11-22T13:58:33.731Z", 1795355913731},
                 {"2100-03-01T00:00:00.000Z", 4107542400000}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t ms = -1;
        char text[32];
        assert_true(cli_read_time(cases[i].text, &ms));
        assert_int_equal(ms, cases[i].ms);
        cli_write_time(ms, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void zones_and_fractions_are_understood(void **state)
{
    (void)state;
    int64_t ms;
    assert_true(cli_read_time("1970-01-01T02:00:00+02:00", &ms));
    assert_int_equal(ms, 0);
    assert_true(cli_read_time("1970-01-01 00:00:01.5Z", &ms));
    assert_int_equal(ms, 1500);
    assert_true(cli_read_time("1970-01-01T00:00:00.1239Z", &ms));
    assert_int_equal(ms, 123);
}

static void what_is_no_position_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "x",
                                        "-",
                                        "-x",
                                        "@",
                                        "10",
                                        "10x",
                                        "2026-11-22",
                                        "5 m",
                                        "2026-13-01T00:00:00Z",
                                        "1h30m",
                                        "99999999999999999999",
                                        "@99999999999999999999",
                                        "2026-11-22T13:58:33"};
    zspool_position_t position;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(cli_read_position(wrong[i], &position), strcmp(wrong[i], "10") == 0);
    }
}

static void positions_have_their_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        zspool_position_kind_t kind;
        uint64_t value;
    } cases[] = {{"earliest", ZSPOOL_POSITION_EARLIEST, 0},
                 {"latest", ZSPOOL_POSITION_LATEST, 0},
                 {"17", ZSPOOL_POSITION_OFFSET, 17},
                 {"-17", ZSPOOL_POSITION_LAST, 17},
                 {"10m", ZSPOOL_POSITION_AGO, 600000},
                 {"2d", ZSPOOL_POSITION_AGO, 172800000},
                 {"@5", ZSPOOL_POSITION_TIME, 5000},
                 {"1970-01-01T00:00:05Z", ZSPOOL_POSITION_TIME, 5000}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        zspool_position_t position = {.kind = ZSPOOL_POSITION_NONE, .value = 0};
        assert_true(cli_read_position(cases[i].text, &position));
        assert_int_equal(position.kind, cases[i].kind);
        assert_int_equal(position.value, cases[i].value);
    }
}

static void sizes_and_durations_have_units_and_bounds(void **state)
{
    (void)state;
    uint64_t bytes;
    int64_t ms;
    assert_true(cli_read_bytes("64KiB", &bytes));
    assert_int_equal(bytes, 65536);
    assert_true(cli_read_bytes("4096", &bytes));
    assert_false(cli_read_bytes("9223372036854775807GiB", &bytes));
    assert_false(cli_read_bytes("5KB", &bytes));
    assert_true(cli_read_duration("0", &ms));
    assert_true(cli_read_duration("250ms", &ms));
    assert_int_equal(ms, 250);
    assert_true(cli_read_seconds("12", &bytes) && bytes == 12000);
    assert_true(cli_read_seconds("0.25", &bytes) && bytes == 250);
    assert_false(cli_read_seconds("0.2500", &bytes) || cli_read_seconds("0.0", &bytes));
    assert_false(cli_read_duration("5", &ms));
    assert_false(cli_read_duration("9223372036854775807d", &ms));
}

static void positions_are_written_as_they_are_read(void **state)
{
    (void)state;
    static const char *const texts[] = {"earliest",
                                        "latest",
                                        "0",
                                        "18446744073709551615",
                                        "-17",
                                        "1500ms",
                                        "2026-11-22T13:58:33.731Z"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        zspool_position_t position = {.kind = ZSPOOL_POSITION_OFFSET, .value = UINT64_MAX};
        char text[32];
        assert_true(i == 3 ||
                    cli_read_position(texts[i], &position)); /* offsets are read below 2^63 */
        cli_write_position(&position, text);
        assert_string_equal(text, texts[i]);
    }
}

static void each_kind_of_error_has_its_exit_code(void **state)
{
    (void)state;
    assert_int_equal(cli_exit_of(ZSPOOL_OK), 0);
    assert_int_equal(cli_exit_of(ZSPOOL_EINTERNAL), 1);
    assert_int_equal(cli_exit_of(ZSPOOL_ECLOSED), 1);
    assert_int_equal(cli_exit_of(ZSPOOL_EINVAL), 2);
    assert_int_equal(cli_exit_of(ZSPOOL_EBAD_NAME), 2);
    assert_int_equal(cli_exit_of(ZSPOOL_ETIMEOUT), 3);
    assert_int_equal(cli_exit_of(ZSPOOL_ENOT_FOUND), 4);
    assert_int_equal(cli_exit_of(ZSPOOL_EDENIED), 5);
}

static void a_slip_finds_the_nearest_word(void **state)
{
    (void)state;
    static const char *const names[] = {"pub", "pull", "topic", "partition"};
    assert_string_equal(cli_nearest("pbu", names, 4), "pub");
    assert_string_equal(cli_nearest("pul", names, 4), "pub"); /* the first of the nearest */
    assert_string_equal(cli_nearest("topics", names, 4), "topic");
    assert_string_equal(cli_nearest("partitoin=3", names, 4), "partition");
    assert_null(cli_nearest("read", names, 4));
    assert_null(cli_nearest("", names, 4));
    assert_null(cli_nearest("partitionpartitionpartitionpartition", names, 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_read_and_written_back),
        cmocka_unit_test(zones_and_fractions_are_understood),
        cmocka_unit_test(what_is_no_position_is_refused),
        cmocka_unit_test(positions_have_their_kinds),
        cmocka_unit_test(sizes_and_durations_have_units_and_bounds),
        cmocka_unit_test(positions_are_written_as_they_are_read),
        cmocka_unit_test(each_kind_of_error_has_its_exit_code),
        cmocka_unit_test(a_slip_finds_the_nearest_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
