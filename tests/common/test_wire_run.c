/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/common/values.h"

#include "common/limits.h"

struct position_case {
    const char *hex;
    struct wire_position position;
};

static const struct position_case positions[] = {
    {"a8 6561726c69657374", {.kind = WIRE_POSITION_EARLIEST}},
    {"a6 6c6174657374", {.kind = WIRE_POSITION_LATEST}},
    {"92 a6 6f6666736574 07", {.kind = WIRE_POSITION_OFFSET, .value = 7}},
    {"92 a4 6c617374 cc80", {.kind = WIRE_POSITION_LAST, .value = 128}},
    {"92 a4 74696d65 cf0000018bcfe56800",
     {.kind = WIRE_POSITION_TIME, .value = UINT64_C(1700000000000)}},
    {"92 a3 61676f 00", {.kind = WIRE_POSITION_AGO, .value = 0}},
    {"92 a2 6964 a3 6f2d31", {.kind = WIRE_POSITION_ID, .id = {(const uint8_t *)"o-1", 3}}},
};

static void positions_are_encoded_byte_for_byte_and_decoded(void **state)
{
    (void)state;
    struct values values;
    struct zsp_writer out = {0}, golden = {0};
    values_init(&values);
    for (size_t i = 0; i < sizeof positions / sizeof positions[0]; i++) {
        const struct wire_position *expected = &positions[i].position;
        struct wire_position got = {.kind = WIRE_POSITION_NONE};
        assert_int_equal(
            wire_get_position(values_one(&values, positions[i].hex), "from", &got, &values.err), 0);
        assert_int_equal(got.kind, expected->kind);
        assert_true(got.value == expected->value);
        assert_true(zsp_slice_equal(got.id, expected->id));
        zsp_writer_reset(&out);
        wire_write_position(&out, expected);
        assert_true(zsp_slice_equal(zsp_writer_slice(&out), hex_bytes(&golden, positions[i].hex)));
    }
    zsp_writer_fini(&out);
    zsp_writer_fini(&golden);
    values_fini(&values);
}

struct bad_case {
    const char *hex;
    int code;
};

static const struct bad_case bad_positions[] = {
    {"00", ZSP_EBAD_TYPE},
    {"c0", ZSP_EBAD_TYPE},
    {"80", ZSP_EBAD_TYPE},
    {"90", ZSP_EBAD_TYPE},
    {"91 a3 61676f", ZSP_EBAD_TYPE},
    {"93 a3 61676f 00 00", ZSP_EBAD_TYPE},
    {"a0", ZSP_EBAD_VALUE},
    {"a6 6f6666736574", ZSP_EBAD_VALUE},       /* "offset" alone */
    {"92 a6 6c6174657374 00", ZSP_EBAD_VALUE}, /* "latest" with a number */
    {"92 a1 78 00", ZSP_EBAD_VALUE},
    {"92 00 00", ZSP_EBAD_TYPE},
    {"92 a3 61676f ff", ZSP_EBAD_VALUE},
    {"92 a3 61676f a130", ZSP_EBAD_TYPE},
    {"92 a2 6964 07", ZSP_EBAD_TYPE},
};

static void bad_positions_are_refused(void **state)
{
    (void)state;
    struct values values;
    values_init(&values);
    for (size_t i = 0; i < sizeof bad_positions / sizeof bad_positions[0]; i++) {
        struct wire_position got = {.kind = WIRE_POSITION_NONE};
        assert_int_equal(
            wire_get_position(values_one(&values, bad_positions[i].hex), "from", &got, &values.err),
            bad_positions[i].code);
        assert_int_equal(got.kind, WIRE_POSITION_NONE);
        assert_non_null(strstr(values.err.msg, "from"));
    }
    values_fini(&values);
}

static struct wire_run sample_run(void)
{
    return (struct wire_run){.topic = zsp_slice_str("orders"),
                             .partition = 3,
                             .first = 1000,
                             .count = 17,
                             .lease = UINT64_C(9007199254740991),
                             .timestamp_ms = INT64_C(1700000000000),
                             .deliveries = 1,
                             .priority = 4};
}

static void assert_run_equal(const struct wire_run *a, const struct wire_run *b)
{
    assert_true(zsp_slice_equal(a->topic, b->topic));
    assert_int_equal(a->partition, b->partition);
    assert_true(a->first == b->first);
    assert_true(a->count == b->count);
    assert_true(a->lease == b->lease);
    assert_true(a->timestamp_ms == b->timestamp_ms);
    assert_int_equal(a->deliveries, b->deliveries);
    assert_int_equal(a->failures, b->failures);
    assert_int_equal(a->priority, b->priority);
    assert_int_equal(a->raw_bytes, b->raw_bytes);
    assert_int_equal(a->skip, b->skip);
}

static void a_plain_run_has_six_elements(void **state)
{
    (void)state;
    struct zsp_writer out = {0}, golden = {0};
    struct wire_run run = sample_run();
    wire_write_run(&out, &run);
    assert_true(
        zsp_slice_equal(zsp_writer_slice(&out),
                        hex_bytes(&golden, "96 a66f7264657273 03 cd03e8 11 cf001fffffffffffff"
                                           "cf0000018bcfe56800")));
    zsp_writer_fini(&out);
    zsp_writer_fini(&golden);
}

static void runs_round_trip_with_any_extras(void **state)
{
    (void)state;
    struct values values;
    struct zsp_writer out = {0};
    values_init(&values);
    for (unsigned extras = 0; extras < 64; extras++) {
        struct wire_run run = sample_run(), got;
        run.deliveries = extras & 1 ? UINT32_MAX : 1;
        run.failures = extras & 2 ? 5 : 0;
        run.priority = extras & 4 ? 9 : 4;
        run.lease = extras & 8 ? 0 : 12345;
        run.raw_bytes = extras & 16 ? ZSP_FRAME_MAX : 0;
        run.skip = (extras & 48) == 48 ? UINT32_MAX : 0;
        zsp_writer_reset(&out);
        wire_write_run(&out, &run);
        const msgpack_object *written = values_written(&values, zsp_writer_slice(&out));
        assert_int_equal(wire_run_decode(written, &got, &values.err), 0);
        assert_run_equal(&got, &run);
    }
    zsp_writer_fini(&out);
    values_fini(&values);
}

static void unknown_extras_of_a_run_are_ignored(void **state)
{
    (void)state;
    struct values values;
    struct wire_run run;
    values_init(&values);
    assert_int_equal(wire_run_decode(values_one(&values, "97 a174 00 05 01 c0 00"
                                                         "82 a178 c0 a86661696c75726573 02"),
                                     &run, &values.err),
                     0);
    assert_int_equal(run.failures, 2);
    assert_int_equal(run.deliveries, 1);
    assert_int_equal(run.lease, 0);
    assert_int_equal(wire_run_decode(values_one(&values, "97 a174 00 05 01 c0 00 c0"), &run, NULL),
                     0);
    values_fini(&values);
}

static const struct bad_case bad_runs[] = {
    {"80", ZSP_EBAD_TYPE},
    {"90", ZSP_EBAD_VALUE},
    {"95 a174 00 05 01 c0", ZSP_EBAD_VALUE},                    /* five elements */
    {"98 a174 00 05 01 c0 00 80 00", ZSP_EBAD_VALUE},           /* eight */
    {"96 07 00 05 01 c0 00", ZSP_EBAD_TYPE},                    /* the topic is a number */
    {"96 a12f 00 05 01 c0 00", ZSP_EBAD_NAME},                  /* the topic is "/" */
    {"96 a174 cd0400 05 01 c0 00", ZSP_EBAD_VALUE},             /* partition 1024 */
    {"96 a174 ff 05 01 c0 00", ZSP_EBAD_VALUE},                 /* partition -1 */
    {"96 a174 00 c0 01 c0 00", ZSP_EBAD_TYPE},                  /* first is nil */
    {"96 a174 00 05 00 c0 00", ZSP_EBAD_VALUE},                 /* count 0 */
    {"96 a174 00 cfffffffffffffffff 01 c0 00", ZSP_EBAD_VALUE}, /* the end wraps */
    {"96 a174 00 05 cfffffffffffffffff c0 00", ZSP_EBAD_VALUE}, /* the end wraps */
    {"96 a174 00 05 01 a131 00", ZSP_EBAD_TYPE},                /* the lease is text */
    {"96 a174 00 05 01 c0 ff", ZSP_EBAD_VALUE},                 /* a time before 1970 */
    {"96 a174 00 05 01 c0 cf8000000000000000", ZSP_EBAD_VALUE}, /* a time beyond int64 */
    {"97 a174 00 05 01 c0 00 90", ZSP_EBAD_TYPE},               /* extras are no map */
    {"97 a174 00 05 01 c0 00 81 aa64656c69766572696573 cf0000000100000000", ZSP_EBAD_VALUE},
    {"97 a174 00 05 01 c0 00 81 a86661696c75726573 c0", ZSP_EBAD_TYPE},
    {"97 a174 00 05 01 c0 00 81 a87072696f72697479 0a", ZSP_EBAD_VALUE}, /* priority 10 */
    /* compressed: codec lz4; no text; no raw_size; 0; beyond a frame; skip beyond 32 bits */
    {"97 a174 00 05 01 c0 00 82a5636f646563a36c7a34a87261775f73697a6505", ZSP_EUNSUPPORTED},
    {"97 a174 00 05 01 c0 00 82a5636f64656305a87261775f73697a6505", ZSP_EBAD_TYPE},
    {"97 a174 00 05 01 c0 00 81a5636f646563a47a737464", ZSP_EBAD_VALUE},
    {"97 a174 00 05 01 c0 00 82a5636f646563a47a737464a87261775f73697a6500", ZSP_EBAD_VALUE},
    {"97 a174 00 05 01 c0 00 82a5636f646563a47a737464a87261775f73697a65ce00800001", ZSP_EBAD_VALUE},
    {"97 a174 00 05 01 c0 00 "
     "83a5636f646563a47a737464a87261775f73697a6505a4736b6970cf0000000100000000",
     ZSP_EBAD_VALUE},
};

static void bad_runs_are_refused(void **state)
{
    (void)state;
    struct values values;
    values_init(&values);
    for (size_t i = 0; i < sizeof bad_runs / sizeof bad_runs[0]; i++) {
        struct wire_run run;
        assert_int_equal(wire_run_decode(values_one(&values, bad_runs[i].hex), &run, NULL),
                         bad_runs[i].code);
    }
    values_fini(&values);
}

struct outcome_case {
    const char *hex; /* the sixth and seventh element */
    enum wire_outcome outcome;
    bool has_delay;
    uint64_t delay_ms;
    const char *reason;
};

static const struct outcome_case outcomes[] = {
    {"a3 61636b", WIRE_ACK, false, 0, NULL},
    {"a5 7265747279", WIRE_RETRY, false, 0, NULL},
    {"a5 7265747279 81 a864656c61795f6d73 00", WIRE_RETRY, true, 0, NULL},
    {"a5 7265747279 81 a6726561736f6e a27878", WIRE_RETRY, false, 0, "xx"},
    {"a5 7265747279 82 a864656c61795f6d73 cd1388 a6726561736f6e a0", WIRE_RETRY, true, 5000, ""},
    {"a7 72656c65617365", WIRE_RELEASE, false, 0, NULL},
    {"a6 72656a656374 81 a6726561736f6e a178", WIRE_REJECT, false, 0, "x"},
    {"a6 657874656e64 81 a26d73 ce000f4240", WIRE_EXTEND, true, 1000000, NULL},
    {"a7 73746172746564", WIRE_STARTED, false, 0, NULL},
};

static void outcomes_are_encoded_byte_for_byte_and_decoded(void **state)
{
    (void)state;
    struct values values;
    struct zsp_writer out = {0}, golden = {0};
    values_init(&values);
    for (size_t i = 0; i < sizeof outcomes / sizeof outcomes[0]; i++) {
        const struct outcome_case *expected = &outcomes[i];
        const bool has_args = expected->has_delay || expected->reason;
        (void)hex_bytes(&golden, has_args ? "97 a174 02 05 01 09" : "96 a174 02 05 01 09");
        hex_append(&golden, expected->hex);
        struct wire_srun run;
        const msgpack_object *value = values_written(&values, zsp_writer_slice(&golden));
        assert_int_equal(wire_srun_decode(value, &run, &values.err), 0);
        assert_int_equal(run.outcome, expected->outcome);
        assert_int_equal(run.has_delay, expected->has_delay);
        assert_true(run.delay_ms == expected->delay_ms);
        assert_int_equal(run.reason.data != NULL, expected->reason != NULL);
        assert_true(zsp_slice_equal_str(run.reason, expected->reason));
        assert_int_equal(run.lease, 9);
        assert_int_equal(run.partition, 2);
        zsp_writer_reset(&out);
        wire_write_srun(&out, &run);
        assert_true(zsp_slice_equal(zsp_writer_slice(&out), zsp_writer_slice(&golden)));
    }
    zsp_writer_fini(&out);
    zsp_writer_fini(&golden);
    values_fini(&values);
}

static const struct bad_case bad_sruns[] = {
    {"c0", ZSP_EBAD_TYPE},
    {"95 a174 00 05 01 09", ZSP_EBAD_VALUE},            /* no outcome */
    {"96 a174 00 05 01 c0 a361636b", ZSP_EBAD_VALUE},   /* no lease */
    {"96 a174 00 05 01 00 a361636b", ZSP_EBAD_VALUE},   /* lease 0 */
    {"96 a174 00 05 00 09 a361636b", ZSP_EBAD_VALUE},   /* count 0 */
    {"96 a174 00 05 01 09 a341434b", ZSP_EBAD_VALUE},   /* "ACK" */
    {"96 a174 00 05 01 09 00", ZSP_EBAD_TYPE},          /* a number */
    {"97 a174 00 05 01 09 a361636b 90", ZSP_EBAD_TYPE}, /* arguments no map */
    {"97 a174 00 05 01 09 a361636b 81 a6726561736f6e a0", ZSP_EUNKNOWN_ARGUMENT},
    {"97 a174 00 05 01 09 a772656c65617365 81 a178 00", ZSP_EUNKNOWN_ARGUMENT},
    {"97 a174 00 05 01 09 a57265747279 81 a26d73 01", ZSP_EUNKNOWN_ARGUMENT},
    {"97 a174 00 05 01 09 a57265747279 81 a864656c61795f6d73 cf0000000757b12c01", ZSP_EBAD_VALUE},
    {"97 a174 00 05 01 09 a57265747279 81 a6726561736f6e 05", ZSP_EBAD_TYPE},
    {"96 a174 00 05 01 09 a6657874656e64", ZSP_EBAD_VALUE},              /* extend by what? */
    {"97 a174 00 05 01 09 a6657874656e64 81 a26d73 00", ZSP_EBAD_VALUE}, /* by nothing */
    {"97 a174 00 05 01 09 a6657874656e64 81 a26d73 ce05265c01", ZSP_EBAD_VALUE}, /* > a day */
};

static void bad_settled_runs_are_refused(void **state)
{
    (void)state;
    struct values values;
    values_init(&values);
    for (size_t i = 0; i < sizeof bad_sruns / sizeof bad_sruns[0]; i++) {
        struct wire_srun run;
        assert_int_equal(wire_srun_decode(values_one(&values, bad_sruns[i].hex), &run, NULL),
                         bad_sruns[i].code);
    }
    values_fini(&values);
}

static void an_outcome_without_arguments_takes_nil_and_an_empty_map(void **state)
{
    (void)state;
    struct values values;
    struct wire_srun run;
    values_init(&values);
    assert_int_equal(
        wire_srun_decode(values_one(&values, "97 a174 00 05 01 09 a361636b c0"), &run, NULL), 0);
    assert_int_equal(
        wire_srun_decode(values_one(&values, "97 a174 00 05 01 09 a361636b 80"), &run, NULL), 0);
    assert_int_equal(run.outcome, WIRE_ACK);
    values_fini(&values);
}

static void a_bad_outcome_argument_names_its_outcome(void **state)
{
    (void)state;
    struct values values;
    struct wire_srun run;
    values_init(&values);
    assert_int_equal(wire_srun_decode(values_one(&values, "96 a174 00 05 01 09 a6657874656e64"),
                                      &run, &values.err),
                     ZSP_EBAD_VALUE);
    assert_string_equal(values.err.msg, "extend: ms is missing");
    values_fini(&values);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(positions_are_encoded_byte_for_byte_and_decoded),
        cmocka_unit_test(bad_positions_are_refused),
        cmocka_unit_test(a_plain_run_has_six_elements),
        cmocka_unit_test(runs_round_trip_with_any_extras),
        cmocka_unit_test(unknown_extras_of_a_run_are_ignored),
        cmocka_unit_test(bad_runs_are_refused),
        cmocka_unit_test(outcomes_are_encoded_byte_for_byte_and_decoded),
        cmocka_unit_test(bad_settled_runs_are_refused),
        cmocka_unit_test(an_outcome_without_arguments_takes_nil_and_an_empty_map),
        cmocka_unit_test(a_bad_outcome_argument_names_its_outcome),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
