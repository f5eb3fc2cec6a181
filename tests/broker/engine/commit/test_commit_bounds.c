/* SPDX-License-Identifier: MPL-2.0
 *
 * What commits may bring and what they make the broker keep has bounds, each with its error.
 */
#include <inttypes.h>

#include "broker/engine/engine_priv.h"
#include "common/limits.h"
#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"

#define A    "{'topic': 'a'}"
#define BODY "[[b'x']]"

static int set_up(void **state)
{
    struct engine_fixture *const f = fixture_new(FIXTURE_MEM);
    *state = f;
    fixture_ok(f, "PRODUCER.OPEN", "{'producer': 'p'}", NULL);
    fixture_ok(f, "TOPIC.CREATE", A, NULL);
    return 0;
}

static const char *commit(unsigned seq, const char *publish)
{
    return fixture_format("{'producer': 'p', 'epoch': 1, 'seq': %u, 'publish': [%s]}", seq,
                          publish);
}

/* An ack of one message of topic t for group g, and nothing else. */
static const char *outcome_alone(unsigned seq, uint64_t offset, uint64_t lease)
{
    return fixture_format("{'producer': 'p', 'epoch': 1, 'seq': %u, 'settle': {'group': 'g', "
                          "'runs': [['t', 0, %" PRIu64 ", 1, %" PRIu64 ", 'ack']]}}",
                          seq, offset, lease);
}

static void its_limits_are_told(void **state)
{
    struct engine_fixture *const f = *state;
    char publish[1024] = "";
    char bodies[1024] = "";
    for (unsigned i = 0; i <= ZSP_COMMIT_PUBLISHES_MAX; i++) {
        (void)snprintf(publish + strlen(publish), sizeof publish - strlen(publish), "%s%s",
                       i > 0 ? ", " : "", A);
        (void)snprintf(bodies + strlen(bodies), sizeof bodies - strlen(bodies), "%s%s",
                       i > 0 ? "|" : "", BODY);
    }
    fixture_error(f, ZSP_EBAD_VALUE, "COMMIT", commit(1, publish), bodies);
    fixture_ok(f, "COMMIT", commit(1, A), BODY);
}

static void too_many_bytes_are_refused(void **state)
{
    struct engine_fixture *const f = *state;
    struct zsp_writer body = {0};
    wire_write_array(&body, 1);
    uint8_t *const payload = calloc(1, ZSP_COMMIT_BYTES_MAX);
    assert_non_null(payload);
    wire_write_bin(&body, (struct zsp_slice){payload, ZSP_COMMIT_BYTES_MAX});
    free(payload);
    const uint64_t ticket = fixture_send_bytes(f, "COMMIT", commit(1, A), zsp_writer_slice(&body));
    zsp_writer_fini(&body);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, ticket)->code, ZSP_ETOO_LARGE);
}

/* Goal: what is small only while it is packed is refused before it is unpacked. */
static void too_many_bytes_unpacked_are_refused(void **state)
{
    struct engine_fixture *const f = *state;
    const char *const packed = "{'topic': 'a', 'codec': 'zstd', 'raw_size': 8388608}";
    const struct answer *a =
        fixture_error(f, ZSP_ETOO_LARGE, "COMMIT", commit(1, fixture_format("%s, %s", A, packed)),
                      "[[b'x']]|[[b'no zstd frame']]");
    assert_string_equal(a->error.wanted, "8388608");
    assert_string_equal(a->error.got, "8388616");
    assert_string_equal(a->error.object, "commit");
    fixture_ok(f, "COMMIT", commit(1, A), BODY);
}

/* A commit of as many outcomes as there may be. */
static char *many_outcomes(unsigned seq)
{
    struct zsp_writer text = {0};
    const char *const head = fixture_format(
        "{'producer': 'p', 'epoch': 1, 'seq': %u, 'settle': {'group': 'g', 'runs': [", seq);
    zsp_write_bytes(&text, zsp_slice_str(head));
    for (unsigned i = 0; i < ZSP_RUNS_MAX; i++) {
        zsp_write_bytes(&text, zsp_slice_str(i > 0 ? ", ['t', 0, 0, 1, 7, 'ack']"
                                                   : "['t', 0, 0, 1, 7, 'ack']"));
    }
    zsp_write_bytes(&text, (struct zsp_slice){(const uint8_t *)"]}}", sizeof "]}}"});
    assert_false(text.failed);
    return (char *)text.data;
}

/* Goal: outcomes take more memory here than in the request, and commits wait: that has an end, and
 * comes back. */
static void outcomes_of_commits_that_wait_are_bounded(void **state)
{
    struct engine_fixture *const f = *state;
    steps_publish(f, "t", ZSP_COMMIT_WINDOW);
    const uint64_t lease = steps_pull(f, ZSP_COMMIT_WINDOW)->lease;
    unsigned seq = 1;
    mem_store_hold(f->mem, MEM_SYNCS);
    for (; seq <= ZSP_COMMIT_WINDOW; seq++) {
        fixture_send(f, "COMMIT", outcome_alone(seq, seq - 1, lease), NULL);
    }
    const struct answer *refusal = NULL;
    for (; !refusal && seq < 1000; seq++) {
        char *const args = many_outcomes(seq);
        const uint64_t ticket = fixture_send(f, "COMMIT", args, NULL);
        free(args);
        fixture_pump(f);
        refusal = fixture_answer(f, ticket);
    }
    assert_int_equal(refusal ? refusal->code : 0, ZSP_ELIMIT_REACHED);
    assert_in_range(seq, 50, 500);
    assert_true(f->engine->commit_run_bytes <= ZSP_COMMIT_RUNS_BYTES);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_int_equal(f->engine->commit_run_bytes, 0);
    fixture_ok(f, "COMMIT", commit(ZSP_COMMIT_WINDOW + 1, A), BODY);
}

/* Goal: what is remembered of all producers' commits is bounded: first only the last of each is, then
 * no more are taken. */
static void answers_that_are_remembered_are_bounded(void **state)
{
    struct engine_fixture *const f = *state;
    for (unsigned seq = 1; seq <= 3; seq++) {
        fixture_ok(f, "COMMIT", commit(seq, A), BODY);
    }
    f->engine->commit_answer_bytes += ZSP_COMMIT_FEW_BYTES;
    fixture_ok(f, "COMMIT", commit(4, A), BODY);
    const struct answer *a = fixture_ok(f, "COMMIT", commit(3, A), BODY);
    assert_string_equal(fixture_value(a, "at"), "nil");
    a = fixture_ok(f, "COMMIT", commit(4, A), BODY);
    assert_string_equal(fixture_value(a, "at"), "[[[0, 1, 0, 3, false]]]");
    f->engine->commit_answer_bytes += ZSP_COMMIT_ANSWERS_BYTES;
    fixture_error(f, ZSP_ELIMIT_REACHED, "COMMIT", commit(5, A), BODY);
    a = fixture_ok(f, "COMMIT", commit(4, A), BODY); /* a repetition needs no room */
    assert_string_equal(fixture_value(a, "duplicate"), "true");
    f->engine->commit_answer_bytes -= ZSP_COMMIT_ANSWERS_BYTES + ZSP_COMMIT_FEW_BYTES;
    fixture_ok(f, "COMMIT", commit(5, A), BODY);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(its_limits_are_told),
        TEST(too_many_bytes_are_refused),
        TEST(too_many_bytes_unpacked_are_refused),
        TEST(outcomes_of_commits_that_wait_are_bounded),
        TEST(answers_that_are_remembered_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
