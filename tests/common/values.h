/* SPDX-License-Identifier: MPL-2.0
 *
 * One MessagePack value out of hex text, decoded as the value of a request.
 */
#ifndef ZSP_TESTS_VALUES_H
#define ZSP_TESTS_VALUES_H

#include "common/wire.h"
#include "tests/common/hex.h"
#include "tests/common/testing.h"

struct values {
    struct wire_decoder *decoder;
    struct zsp_writer frame;
    struct zsp_err err;
};

static inline void values_init(struct values *self)
{
    memset(self, 0, sizeof *self);
    self->decoder = wire_decoder_new();
    assert_non_null(self->decoder);
}

static inline void values_fini(struct values *self)
{
    wire_decoder_destroy(&self->decoder);
    zsp_writer_fini(&self->frame);
}

static inline const msgpack_object *values_decode(struct values *self)
{
    struct wire_request request;
    const struct zsp_slice frame = zsp_writer_slice(&self->frame);
    assert_int_equal(wire_request_decode(self->decoder, frame, &request, &self->err), 0);
    return request.args;
}

/* The arguments that `hex` spells, a map; valid until the next call. */
static inline const msgpack_object *values_map(struct values *self, const char *hex)
{
    (void)hex_bytes(&self->frame, "94 01 a156 00");
    hex_append(&self->frame, hex);
    return values_decode(self);
}

/* The one value that was written into `bytes`; valid until the next call. */
static inline const msgpack_object *values_written(struct values *self, struct zsp_slice bytes)
{
    (void)hex_bytes(&self->frame, "94 01 a156 00 81 a176");
    zsp_write_bytes(&self->frame, bytes);
    return wire_map_find(values_decode(self), "v");
}

/* The one value that `hex` spells; valid until the next call. */
static inline const msgpack_object *values_one(struct values *self, const char *hex)
{
    struct zsp_writer bytes = {0};
    const msgpack_object *value = values_written(self, hex_bytes(&bytes, hex));
    zsp_writer_fini(&bytes);
    return value;
}

#endif
