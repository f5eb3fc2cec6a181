/* SPDX-License-Identifier: MPL-2.0
 *
 * Headers changed at random, the same ones in every run: decoders refuse or
 * accept, and never read outside the frame.
 */
#include "tests/common/testing.h"

#include "common/wire.h"

#define ROUNDS 60000

struct args {
    struct zsp_slice group;
    const msgpack_object *topics, *runs;
    struct wire_uint max;
    struct wire_position from;
};

static const struct wire_arg arg_table[] = {
    {"group", WIRE_NAME, offsetof(struct args, group), true, 0, 0},
    {"topics", WIRE_NAMES, offsetof(struct args, topics), false, 0, 5},
    {"runs", WIRE_ARRAY, offsetof(struct args, runs), false, 0, 5},
    {"max", WIRE_UINT, offsetof(struct args, max), false, 0, 5},
    {"from", WIRE_POSITION, offsetof(struct args, from), false, 0, 0},
};

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

static void write_sample(struct zsp_writer *out, bool request)
{
    const struct zsp_slice topic = zsp_slice_str("orders");
    if (request) {
        wire_write_request(out, zsp_slice_str("PULL"), 70000);
    } else {
        wire_write_reply(out, WIRE_ERR, true, 70000);
    }
    wire_write_map(out, 5);
    wire_write_text_str(out, "group", zsp_slice_str("billing"));
    wire_write_text(out, "topics");
    wire_write_array(out, 1);
    wire_write_str(out, topic);
    wire_write_text(out, "runs");
    wire_write_array(out, 2);
    wire_write_srun(out, &(struct wire_srun){.topic = topic,
                                             .first = 5,
                                             .count = 6,
                                             .lease = 7,
                                             .outcome = WIRE_RETRY,
                                             .has_delay = true,
                                             .reason = topic});
    wire_write_run(out, &(struct wire_run){.topic = topic, .first = 300, .count = 70000});
    wire_write_text_uint(out, "max", 5);
    wire_write_text(out, "from");
    wire_write_position(out, &(struct wire_position){.kind = WIRE_POSITION_LAST, .value = 9});
}

/* Read everything that a decoded request offers. */
static void use_request(const struct wire_request *request)
{
    struct args args = {0};
    struct zsp_err err;
    if (wire_args(request->args, arg_table, sizeof arg_table / sizeof arg_table[0], &args, &err) !=
        0) {
        assert_true(zsp_utf8_valid(zsp_slice_str(err.msg)));
        return;
    }
    for (uint32_t i = 0; args.runs && i < args.runs->via.array.size; i++) {
        struct wire_srun srun;
        struct wire_run run;
        (void)wire_srun_decode(&args.runs->via.array.ptr[i], &srun, &err);
        (void)wire_run_decode(&args.runs->via.array.ptr[i], &run, &err);
    }
}

/* A copy of `sample` with up to four bytes changed, perhaps cut. */
static struct zsp_slice change(struct zsp_slice sample, uint8_t *room, uint64_t *random)
{
    size_t len = sample.len;
    if (next_random(random) % 4 == 0) {
        len = 1 + next_random(random) % sample.len;
    }
    uint8_t *bytes = room + (sample.len - len); /* ends where the room ends */
    memcpy(bytes, sample.data, len);
    for (uint64_t changes = next_random(random) % 5; changes > 0; changes--) {
        bytes[next_random(random) % len] = (uint8_t)next_random(random);
    }
    return (struct zsp_slice){bytes, len};
}

static void decode_changed(struct wire_decoder *decoder, struct zsp_slice frame,
                           struct zsp_writer *line)
{
    struct wire_request request;
    struct wire_reply reply;
    struct zsp_err err;
    if (wire_request_decode(decoder, frame, &request, &err) == 0) {
        use_request(&request);
    }
    if (wire_reply_decode(decoder, frame, &reply, &err) == 0) {
        (void)wire_error_decode(reply.map, &err);
    }
    zsp_writer_reset(line);
    wire_print(line, frame, 60);
    assert_true(zsp_utf8_valid(zsp_writer_slice(line)));
}

static void random_changes_never_break_a_decoder(void **state)
{
    (void)state;
    struct wire_decoder *decoder = wire_decoder_new();
    struct zsp_writer line = {0};
    uint64_t random = 2026;
    for (int request = 0; request < 2; request++) {
        struct zsp_writer sample = {0};
        write_sample(&sample, request == 1);
        uint8_t *room = malloc(sample.len); /* exact, for the address sanitizer */
        assert_non_null(room);
        for (int i = 0; i < ROUNDS / 2; i++) {
            decode_changed(decoder, change(zsp_writer_slice(&sample), room, &random), &line);
        }
        free(room);
        zsp_writer_fini(&sample);
    }
    zsp_writer_fini(&line);
    wire_decoder_destroy(&decoder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_changes_never_break_a_decoder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
