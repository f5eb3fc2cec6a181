/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/common/values.h"

struct args {
    struct wire_uint number, flag;
    struct zsp_slice text, bytes, name;
    const msgpack_object *names, *array, *map;
    struct wire_position position;
};

#define ROW(key, type, field)                                \
    {                                                        \
        key, type, offsetof(struct args, field), false, 0, 0 \
    }

static const struct wire_arg arg_table[] = {
    {"n", WIRE_UINT, offsetof(struct args, number), false, 1, 10},
    {"t", WIRE_STR, offsetof(struct args, text), false, 1, 3},
    {"b", WIRE_BIN, offsetof(struct args, bytes), false, 0, 2},
    {"N", WIRE_NAMES, offsetof(struct args, names), false, 1, 2},
    {"a", WIRE_ARRAY, offsetof(struct args, array), false, 0, 1},
    ROW("f", WIRE_BOOL, flag),
    ROW("m", WIRE_MAP, map),
    ROW("name", WIRE_NAME, name),
    ROW("p", WIRE_POSITION, position),
    {"i", WIRE_IGNORED, 0, false, 0, 0},
    {"u", WIRE_UNSUPPORTED, 0, false, 0, 0},
};
#define ROWS (sizeof arg_table / sizeof arg_table[0])

static int fill(struct values *values, const char *hex, struct args *ret)
{
    memset(ret, 0, sizeof *ret);
    return wire_args(values_map(values, hex), arg_table, ROWS, ret, &values->err);
}

static void every_type_reaches_its_field(void **state)
{
    (void)state;
    struct values values;
    struct args args;
    values_init(&values);
    assert_int_equal(fill(&values,
                          "8a a16e 0a a174 a3616263 a162 c4020102 a14e 92 a178 a179"
                          "a161 91 c0 a166 c3 a16d 80 a46e616d65 a178 a170 a66c6174657374"
                          "a169 cb0000000000000000",
                          &args),
                     0);
    assert_true(args.number.set);
    assert_int_equal(args.number.value, 10);
    expect_slice(args.text, "abc");
    assert_int_equal(args.bytes.len, 2);
    assert_int_equal(args.names->via.array.size, 2);
    assert_int_equal(args.array->via.array.size, 1);
    assert_true(args.flag.set);
    assert_int_equal(args.flag.value, 1);
    assert_int_equal(args.map->via.map.size, 0);
    expect_slice(args.name, "x");
    assert_int_equal(args.position.kind, WIRE_POSITION_LATEST);
    values_fini(&values);
}

static void absent_arguments_leave_their_fields_alone(void **state)
{
    (void)state;
    struct values values;
    struct args args;
    values_init(&values);
    assert_int_equal(fill(&values, "81 a166 c2", &args), 0);
    assert_true(args.flag.set);
    assert_int_equal(args.flag.value, 0);
    assert_false(args.number.set);
    assert_null(args.text.data);
    assert_null(args.names);
    assert_int_equal(args.position.kind, WIRE_POSITION_NONE);
    values_fini(&values);
}

struct bad_case {
    const char *hex;
    int code;
    const char *object;
    const char *message;
};

static const struct bad_case bad_cases[] = {
    {"81 a178 00", ZSP_EUNKNOWN_ARGUMENT, "x", "no argument is called \"x\""},
    {"81 a3610a62 00", ZSP_EUNKNOWN_ARGUMENT, "a?b", "no argument is called \"a?b\""},
    {"81 01 00", ZSP_EBAD_TYPE, "a key of the arguments",
     "a key of the arguments must be a string, not a number"},
    {"81 c4016e 00", ZSP_EBAD_TYPE, "a key of the arguments",
     "a key of the arguments must be a string, not binary"},
    {"81 a175 c0", ZSP_EUNSUPPORTED, "u", "argument u is not supported by this broker"},
    {"82 a16e 01 a16e 01", ZSP_EBAD_VALUE, "n", "n is given twice"},
    {"81 a16e 00", ZSP_EBAD_VALUE, "n", "n must be 1..10, not 0"},
    {"81 a16e 0b", ZSP_EBAD_VALUE, "n", "n must be 1..10, not 11"},
    {"81 a16e ff", ZSP_EBAD_VALUE, "n", "n must be 1..10, not -1"},
    {"81 a16e a131", ZSP_EBAD_TYPE, "n", "n must be a number, not a string"},
    {"81 a16e c0", ZSP_EBAD_TYPE, "n", "n must be a number, not nil"},
    {"81 a16e cb3ff0000000000000", ZSP_EBAD_TYPE, "n", "n must be a number, not a float"},
    {"81 a16e ca3f800000", ZSP_EBAD_TYPE, "n", "n must be a number, not a float"},
    {"81 a166 01", ZSP_EBAD_TYPE, "f", "f must be a boolean, not a number"},
    {"81 a174 c40161", ZSP_EBAD_TYPE, "t", "t must be a string, not binary"},
    {"81 a174 a0", ZSP_EBAD_VALUE, "t", "t must be 1..3 bytes, not 0"},
    {"81 a174 a461626364", ZSP_EBAD_VALUE, "t", "t must be 1..3 bytes, not 4"},
    {"81 a162 a161", ZSP_EBAD_TYPE, "b", "b must be binary, not a string"},
    {"81 a162 c403000000", ZSP_EBAD_VALUE, "b", "b must be 0..2 bytes, not 3"},
    {"81 a14e 90", ZSP_EBAD_VALUE, "N", "N must be 1..2 items, not 0"},
    {"81 a14e 93 a161 a161 a161", ZSP_EBAD_VALUE, "N", "N must be 1..2 items, not 3"},
    {"81 a14e 91 07", ZSP_EBAD_TYPE, "N", "N must be a string, not a number"},
    {"81 a14e 92 a161 a12f", ZSP_EBAD_NAME, "N", "N name \"/\": character 0 is not allowed"},
    {"81 a14e a161", ZSP_EBAD_TYPE, "N", "N must be an array, not a string"},
    {"81 a161 80", ZSP_EBAD_TYPE, "a", "a must be an array, not a map"},
    {"81 a161 92 00 00", ZSP_EBAD_VALUE, "a", "a must be 0..1 items, not 2"},
    {"81 a16d 90", ZSP_EBAD_TYPE, "m", "m must be a map, not an array"},
    {"81 a46e616d65 a0", ZSP_EBAD_NAME, "name", "name name \"\": length 0 is not 1..200"},
    {"81 a46e616d65 07", ZSP_EBAD_TYPE, "name", "name must be a string, not a number"},
    {"81 a170 07", ZSP_EBAD_TYPE, "p",
     "p must be one of earliest, latest, [offset|last|time|ago, number], [id, text]"},
};

static void bad_arguments_are_refused_by_name(void **state)
{
    (void)state;
    struct values values;
    values_init(&values);
    for (size_t i = 0; i < sizeof bad_cases / sizeof bad_cases[0]; i++) {
        struct args args;
        assert_int_equal(fill(&values, bad_cases[i].hex, &args), bad_cases[i].code);
        assert_string_equal(values.err.msg, bad_cases[i].message);
        assert_string_equal(values.err.object, bad_cases[i].object);
    }
    values_fini(&values);
}

static void a_missing_required_argument_is_named(void **state)
{
    (void)state;
    static const struct wire_arg table[] = {
        {"group", WIRE_NAME, offsetof(struct args, name), true, 0, 0}};
    struct values values;
    struct args args = {0};
    values_init(&values);
    assert_int_equal(wire_args(values_map(&values, "80"), table, 1, &args, &values.err),
                     ZSP_EBAD_VALUE);
    assert_string_equal(values.err.msg, "group is missing");
    assert_int_equal(wire_args(values_map(&values, "80"), table, 1, &args, NULL), ZSP_EBAD_VALUE);
    values_fini(&values);
}

static void arguments_must_be_a_map(void **state)
{
    (void)state;
    struct values values;
    struct args args = {0};
    values_init(&values);
    assert_int_equal(wire_args(values_one(&values, "90"), arg_table, ROWS, &args, &values.err),
                     ZSP_EBAD_TYPE);
    values_fini(&values);
}

static void a_row_without_bounds_takes_any_number(void **state)
{
    (void)state;
    static const struct wire_arg table[] = {
        {"n", WIRE_UINT, offsetof(struct args, number), false, 0, 0},
        {"t", WIRE_UINT, offsetof(struct args, flag), false, 5, 0},
    };
    struct values values;
    struct args args = {0};
    values_init(&values);
    assert_int_equal(wire_args(values_map(&values, "82 a16e cfffffffffffffffff a174 05"), table, 2,
                               &args, &values.err),
                     0);
    assert_true(args.number.value == UINT64_MAX);
    assert_int_equal(wire_args(values_map(&values, "81 a174 04"), table, 2, &args, &values.err),
                     ZSP_EBAD_VALUE);
    assert_string_equal(values.err.msg, "t must be >= 5, not 4");
    values_fini(&values);
}

static void single_values_are_checked(void **state)
{
    (void)state;
    struct values values;
    uint64_t number = 77;
    struct zsp_slice text;
    values_init(&values);
    assert_int_equal(wire_get_uint(values_one(&values, "05"), "seq", 5, &number, NULL), 0);
    assert_int_equal(number, 5);
    assert_int_equal(wire_get_uint(values_one(&values, "06"), "seq", 5, &number, &values.err),
                     ZSP_EBAD_VALUE);
    assert_int_equal(number, 5);
    assert_string_equal(values.err.msg, "seq must be 0..5, not 6");
    assert_int_equal(
        wire_get_uint(values_one(&values, "d3 8000000000000000"), "seq", 5, &number, &values.err),
        ZSP_EBAD_VALUE);
    assert_string_equal(values.err.got, "-9223372036854775808");
    assert_int_equal(wire_get_str(values_one(&values, "a178"), "t", &text, NULL), 0);
    expect_slice(text, "x");
    assert_int_equal(wire_get_str(values_one(&values, "c2"), "t", &text, NULL), ZSP_EBAD_TYPE);
    values_fini(&values);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_reaches_its_field),
        cmocka_unit_test(absent_arguments_leave_their_fields_alone),
        cmocka_unit_test(bad_arguments_are_refused_by_name),
        cmocka_unit_test(a_missing_required_argument_is_named),
        cmocka_unit_test(arguments_must_be_a_map),
        cmocka_unit_test(a_row_without_bounds_takes_any_number),
        cmocka_unit_test(single_values_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
