/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/cli/input.h"

struct fixture {
    int ends[2];
    struct input input;
};

static void begin(struct fixture *self, const char *delimiter, size_t delimiter_len,
                  size_t piece_max)
{
    assert_int_equal(pipe(self->ends), 0);
    input_init(&self->input, (struct input_cut){delimiter, delimiter_len, piece_max}, self->ends[0],
               "the test");
}

static void end(struct fixture *self)
{
    input_fini(&self->input);
    (void)close(self->ends[0]);
}

static void give(struct fixture *self, const char *bytes, size_t len)
{
    assert_int_equal(write(self->ends[1], bytes, len), len);
    assert_true(input_fill(&self->input));
}

static void give_end(struct fixture *self)
{
    assert_int_equal(close(self->ends[1]), 0);
    assert_true(input_fill(&self->input));
}

static void assert_piece(struct fixture *self, const char *wanted, size_t wanted_len)
{
    char *bytes;
    size_t len;
    assert_int_equal(input_next(&self->input, &bytes, &len), INPUT_PIECE);
    assert_int_equal(len, wanted_len);
    assert_memory_equal(bytes, wanted, len);
}

static void assert_state(struct fixture *self, enum input_state wanted)
{
    char *bytes;
    size_t len;
    assert_int_equal(input_next(&self->input, &bytes, &len), wanted);
}

static void lines_are_cut_however_they_arrive(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture, "\n", 1, 100);
    assert_state(&fixture, INPUT_MORE);
    give(&fixture, "on", 2);
    assert_state(&fixture, INPUT_MORE);
    give(&fixture, "e\n\ntw", 5);
    assert_piece(&fixture, "one", 3);
    assert_piece(&fixture, "", 0);
    assert_state(&fixture, INPUT_MORE);
    give(&fixture, "o", 1);
    give_end(&fixture);
    assert_piece(&fixture, "two", 3);
    assert_int_equal(fixture.input.number, 3);
    assert_state(&fixture, INPUT_END);
    end(&fixture);
}

static void a_delimiter_may_arrive_in_halves_and_hold_nul(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture, "\0\0x", 3, 100);
    give(&fixture, "a\0", 2);
    assert_state(&fixture, INPUT_MORE);
    give(&fixture, "\0", 1);
    assert_state(&fixture, INPUT_MORE);
    give(&fixture, "xb\0\0\0x", 6);
    assert_piece(&fixture, "a", 1);
    assert_piece(&fixture, "b\0", 2);
    give_end(&fixture);
    assert_state(&fixture, INPUT_END);
    end(&fixture);
}

static void without_a_delimiter_all_of_it_is_one_piece(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture, "", 0, 100);
    give(&fixture, "a\nb", 3);
    assert_state(&fixture, INPUT_MORE);
    give(&fixture, "\n", 1);
    give_end(&fixture);
    assert_piece(&fixture, "a\nb\n", 4);
    assert_state(&fixture, INPUT_END);
    end(&fixture);
}

static void a_piece_may_be_as_long_as_allowed_and_no_longer(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture, "\r\n", 2, 4);
    give(&fixture, "1234\r\n12345", 11);
    assert_piece(&fixture, "1234", 4);
    assert_state(&fixture, INPUT_MORE); /* may still be the end of four */
    give(&fixture, "67", 2);
    assert_state(&fixture, INPUT_FAILED);
    assert_int_equal(fixture.input.number, 2);
    (void)close(fixture.ends[1]);
    end(&fixture);
    begin(&fixture, "\n", 1, 4);
    give(&fixture, "12345\n", 6);
    assert_state(&fixture, INPUT_FAILED);
    (void)close(fixture.ends[1]);
    end(&fixture);
}

static void what_cannot_be_read_is_told(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture, "\n", 1, 4);
    (void)close(fixture.ends[1]);
    fixture.input.fd = -1;
    assert_false(input_fill(&fixture.input));
    end(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_cut_however_they_arrive),
        cmocka_unit_test(a_delimiter_may_arrive_in_halves_and_hold_nul),
        cmocka_unit_test(without_a_delimiter_all_of_it_is_one_piece),
        cmocka_unit_test(a_piece_may_be_as_long_as_allowed_and_no_longer),
        cmocka_unit_test(what_cannot_be_read_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
