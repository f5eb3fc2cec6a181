/* SPDX-License-Identifier: MPL-2.0
 *
 * Any bytes as a request header. Decoding must neither read out of bounds nor
 * allocate what a lying count asks for; printing never fails; what decodes as a
 * position or a settled run is the same after it was written and read again.
 */
#include "common/assert.h"
#include "common/wire.h"

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A field of every type that arguments have. */
struct any_args {
    struct zsp_slice group, type, session;
    const msgpack_object *topics, *runs, *settings;
    struct wire_uint max_messages, dry_run;
    struct wire_position start;
};

static const struct wire_arg ANY_ARGS[] = {
    {"group", WIRE_NAME, offsetof(struct any_args, group), true, 0, 0},
    {"type", WIRE_STR, offsetof(struct any_args, type), false, 1, 9},
    {"session", WIRE_BIN, offsetof(struct any_args, session), false, 16, 16},
    {"topics", WIRE_NAMES, offsetof(struct any_args, topics), false, 0, 1024},
    {"runs", WIRE_ARRAY, offsetof(struct any_args, runs), false, 0, 4096},
    {"settings", WIRE_MAP, offsetof(struct any_args, settings), false, 0, 0},
    {"max_messages", WIRE_UINT, offsetof(struct any_args, max_messages), false, 1, 1000000},
    {"dry_run", WIRE_BOOL, offsetof(struct any_args, dry_run), false, 0, 0},
    {"start", WIRE_POSITION, offsetof(struct any_args, start), false, 0, 0},
    {"client", WIRE_IGNORED, 0, false, 0, 0},
    {"accept", WIRE_UNSUPPORTED, 0, false, 0, 0},
};

/* The bytes as the one argument "v" of a request, decoded. */
static const msgpack_object *read_back(struct wire_decoder *decoder, struct zsp_writer *frame,
                                       const struct zsp_writer *value)
{
    struct wire_request request = {0};
    wire_write_request(frame, zsp_slice_str("V"), 0);
    wire_write_map(frame, 1);
    wire_write_text(frame, "v");
    zsp_write_bytes(frame, zsp_writer_slice(value));
    zsp_assert(wire_request_decode(decoder, zsp_writer_slice(frame), &request, NULL) == 0);
    return wire_map_find(request.args, "v");
}

static void rewrite_position(struct wire_decoder *other, const struct wire_position *position)
{
    struct zsp_writer value = {0}, frame = {0};
    struct wire_position again;
    wire_write_position(&value, position);
    zsp_assert(wire_get_position(read_back(other, &frame, &value), "v", &again, NULL) == 0);
    zsp_assert(again.kind == position->kind);
    zsp_assert(again.value == position->value);
    zsp_assert(zsp_slice_equal(again.id, position->id));
    zsp_writer_fini(&value);
    zsp_writer_fini(&frame);
}

static void rewrite_srun(struct wire_decoder *other, const struct wire_srun *run)
{
    struct zsp_writer value = {0}, frame = {0};
    struct wire_srun again;
    wire_write_srun(&value, run);
    zsp_assert(wire_srun_decode(read_back(other, &frame, &value), &again, NULL) == 0);
    zsp_assert(zsp_slice_equal(again.topic, run->topic));
    zsp_assert(again.partition == run->partition);
    zsp_assert(again.first == run->first);
    zsp_assert(again.count == run->count);
    zsp_assert(again.lease == run->lease);
    zsp_assert(again.outcome == run->outcome);
    zsp_assert(again.has_delay == run->has_delay);
    zsp_assert(again.delay_ms == run->delay_ms);
    zsp_assert(zsp_slice_equal(again.reason, run->reason));
    zsp_writer_fini(&value);
    zsp_writer_fini(&frame);
}

static void use_args(struct wire_decoder *other, const msgpack_object *map)
{
    struct any_args args = {0};
    struct zsp_err err;
    if (wire_args(map, ANY_ARGS, sizeof ANY_ARGS / sizeof ANY_ARGS[0], &args, &err) != 0) {
        zsp_assert(zsp_utf8_valid(zsp_slice_str(err.msg)));
        return;
    }
    if (args.start.kind != WIRE_POSITION_NONE) {
        rewrite_position(other, &args.start);
    }
    for (uint32_t i = 0; args.runs && i < args.runs->via.array.size; i++) {
        struct wire_srun run;
        if (wire_srun_decode(&args.runs->via.array.ptr[i], &run, &err) == 0) {
            rewrite_srun(other, &run);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct wire_decoder *decoder, *other;
    if (!decoder) {
        decoder = wire_decoder_new();
        other = wire_decoder_new();
    }
    const struct zsp_slice frame = {data, size};
    struct wire_request request;
    struct zsp_err err;
    if (wire_request_decode(decoder, frame, &request, &err) == 0) {
        zsp_assert(request.has_id);
        use_args(other, request.args);
    }
    struct zsp_writer line = {0};
    wire_print(&line, frame, 200);
    zsp_assert(line.len <= 200);
    zsp_assert(zsp_utf8_valid(zsp_writer_slice(&line)));
    zsp_writer_fini(&line);
    return 0;
}
