/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/common/testing.h"

#include "broker/server/envelope.h"

/* One frame a letter; '-' is an empty one. */
static size_t frames_of(const char *letters, struct zsp_slice *ret)
{
    size_t count = 0;
    for (; letters[count] != '\0'; count++) {
        ret[count] = (struct zsp_slice){(const uint8_t *)letters + count, letters[count] != '-'};
    }
    return count;
}

static void the_first_empty_frame_among_nine_ends_the_envelope(void **state)
{
    (void)state;
    static const struct {
        const char *frames;
        size_t length;
    } cases[] = {{"", 0},           {"h", 0},          {"hb", 0},   {"-h", 1},
                 {"-hb-b", 1},      {"i-h", 2},        {"ij-h", 3}, {"abcdefgh-x", 9},
                 {"abcdefghi-", 0}, {"abcdefghij", 0}, {"-", 1},    {"--h", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct zsp_slice frames[16];
        const size_t count = frames_of(cases[i].frames, frames);
        assert_int_equal(envelope_length(frames, count), cases[i].length);
    }
}

static void a_copy_gives_the_frames_back(void **state)
{
    (void)state;
    struct zsp_slice frames[3] = {
        {(const uint8_t *)"\x01two", 4}, {(const uint8_t *)"id", 2}, {(const uint8_t *)"", 0}};
    struct envelope envelope;
    assert_int_equal(envelope_copy(&envelope, frames, 3, NULL), ZSP_OK);
    assert_int_equal(envelope.count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_true(zsp_slice_equal(envelope_frame(&envelope, i), frames[i]));
    }
    envelope_fini(&envelope);
    assert_int_equal(envelope.count, 0);
}

static void the_envelope_of_a_req_socket_needs_no_memory(void **state)
{
    (void)state;
    const struct zsp_slice empty = {(const uint8_t *)"", 0};
    struct envelope envelope;
    assert_int_equal(envelope_copy(&envelope, &empty, 1, NULL), ZSP_OK);
    assert_null(envelope.bytes);
    assert_int_equal(envelope_frame(&envelope, 0).len, 0);
    envelope_fini(&envelope);
}

static void too_many_bytes_are_refused(void **state)
{
    (void)state;
    static const uint8_t bytes[ENVELOPE_BYTES_MAX];
    const struct zsp_slice frames[3] = {{bytes, ENVELOPE_BYTES_MAX - 1}, {bytes, 2}, {bytes, 0}};
    struct envelope envelope;
    struct zsp_err err = {0};
    assert_int_equal(envelope_copy(&envelope, frames, 3, &err), ZSP_ETOO_LARGE);
    assert_int_equal(envelope.count, 0);
    envelope_fini(&envelope);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_empty_frame_among_nine_ends_the_envelope),
        cmocka_unit_test(a_copy_gives_the_frames_back),
        cmocka_unit_test(the_envelope_of_a_req_socket_needs_no_memory),
        cmocka_unit_test(too_many_bytes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
