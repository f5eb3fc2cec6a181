/* SPDX-License-Identifier: MPL-2.0
 *
 * Any bytes as a header, from either side. Decoding must neither read out of
 * bounds nor allocate what a lying count asks for; printing never fails.
 */
#include "common/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct pull_like {
    struct zsp_slice group;
    const msgpack_object *topics;
    struct wire_uint max_messages;
    struct wire_position start;
    const msgpack_object *runs;
};

static const struct wire_arg pull_args[] = {
    {"group", WIRE_NAME, offsetof(struct pull_like, group), true, 0, 0},
    {"topics", WIRE_NAMES, offsetof(struct pull_like, topics), false, 0, 1024},
    {"max_messages", WIRE_UINT, offsetof(struct pull_like, max_messages), false, 1, 1000000},
    {"start", WIRE_POSITION, offsetof(struct pull_like, start), false, 0, 0},
    {"runs", WIRE_ARRAY, offsetof(struct pull_like, runs), false, 0, 4096},
    {"accept", WIRE_UNSUPPORTED, 0, false, 0, 0},
};

static void decode_runs(const msgpack_object *array)
{
    struct wire_run run;
    struct wire_srun srun;
    struct zsp_err err = {0};
    for (uint32_t i = 0; array && i < array->via.array.size; i++) {
        (void)wire_run_decode(&array->via.array.ptr[i], &run, &err);
        (void)wire_srun_decode(&array->via.array.ptr[i], &srun, &err);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct wire_decoder *decoder;
    if (!decoder) {
        decoder = wire_decoder_new();
    }
    const struct zsp_slice frame = {data, size};
    struct zsp_err err = {0};
    struct wire_request request = {0};
    if (wire_request_decode(decoder, frame, &request, &err) == 0) {
        struct pull_like args = {0};
        const size_t rows = sizeof pull_args / sizeof pull_args[0];
        if (wire_args(request.args, pull_args, rows, &args, &err) == 0) {
            decode_runs(args.runs);
        }
    }
    struct wire_reply reply = {0};
    if (wire_reply_decode(decoder, frame, &reply, &err) == 0 && reply.status == WIRE_ERR) {
        struct zsp_err told = {0};
        (void)wire_error_decode(reply.map, &told);
    }
    struct zsp_writer text = {0};
    wire_print(&text, frame, 200);
    zsp_writer_fini(&text);
    return 0;
}
