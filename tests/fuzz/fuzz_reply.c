/* SPDX-License-Identifier: MPL-2.0
 *
 * Any bytes as a reply header, as a client sees them. An error that decodes is
 * the same after it was written and read again, and so is a run.
 */
#include <string.h>

#include "common/assert.h"
#include "common/wire.h"

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void rewrite_error(struct wire_decoder *other, const msgpack_object *map)
{
    struct zsp_err err, again;
    struct zsp_writer frame = {0};
    struct wire_reply reply;
    (void)wire_error_decode(map, &err);
    zsp_assert(zsp_utf8_valid(zsp_slice_str(err.msg)));
    wire_write_error(&frame, true, 1, &err);
    zsp_assert(wire_reply_decode(other, zsp_writer_slice(&frame), &reply, NULL) == 0);
    zsp_assert(reply.status == WIRE_ERR);
    zsp_assert(wire_error_decode(reply.map, &again) == err.code);
    zsp_assert(strcmp(again.msg, err.msg) == 0);
    zsp_assert(strcmp(again.object, err.object) == 0);
    zsp_assert(again.maybe == err.maybe);
    zsp_writer_fini(&frame);
}

static void rewrite_run(struct wire_decoder *other, const struct wire_run *run)
{
    struct zsp_writer frame = {0};
    struct wire_reply reply;
    struct wire_run again;
    wire_write_reply(&frame, WIRE_OK, true, 1);
    wire_write_map(&frame, 1);
    wire_write_text(&frame, "run");
    wire_write_run(&frame, run);
    zsp_assert(wire_reply_decode(other, zsp_writer_slice(&frame), &reply, NULL) == 0);
    zsp_assert(wire_run_decode(wire_map_find(reply.map, "run"), &again, NULL) == 0);
    zsp_assert(zsp_slice_equal(again.topic, run->topic));
    zsp_assert(again.partition == run->partition);
    zsp_assert(again.first == run->first);
    zsp_assert(again.count == run->count);
    zsp_assert(again.lease == run->lease);
    zsp_assert(again.timestamp_ms == run->timestamp_ms);
    zsp_assert(again.deliveries == run->deliveries);
    zsp_assert(again.failures == run->failures);
    zsp_assert(again.priority == run->priority);
    zsp_writer_fini(&frame);
}

/* A frame of several replies comes apart without a byte left over or read twice, and what does not
 * is refused without progress. */
static void take_apart(struct wire_decoder *decoder, struct zsp_slice frame)
{
    struct zsp_slice rest = frame, one = {0};
    while (rest.len > 0) {
        const struct zsp_slice before = rest;
        struct wire_reply reply;
        if (wire_value_next(&rest, &one, NULL) != 0) {
            zsp_assert(rest.data == before.data && rest.len == before.len);
            return;
        }
        zsp_assert(one.data == before.data && one.len > 0);
        zsp_assert(one.len + rest.len == before.len);
        zsp_assert(wire_value_check(one, NULL) == 0);
        (void)wire_reply_decode(decoder, one, &reply, NULL); /* any answer will do */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct wire_decoder *decoder, *other;
    if (!decoder) {
        decoder = wire_decoder_new();
        other = wire_decoder_new();
    }
    struct wire_reply reply;
    struct zsp_err err;
    take_apart(decoder, (struct zsp_slice){data, size});
    if (wire_reply_decode(decoder, (struct zsp_slice){data, size}, &reply, &err) != 0) {
        return 0;
    }
    rewrite_error(other, reply.map);
    const msgpack_object *runs = wire_map_find(reply.map, "runs");
    for (uint32_t i = 0; runs && runs->type == MSGPACK_OBJECT_ARRAY && i < runs->via.array.size;
         i++) {
        struct wire_run run;
        if (wire_run_decode(&runs->via.array.ptr[i], &run, &err) == 0) {
            rewrite_run(other, &run);
        }
    }
    return 0;
}
