/* SPDX-License-Identifier: MPL-2.0
 *
 * The body of a reply as a client reads it: plain runs lie end to end over any
 * frames, a compressed run is one whole frame of which the first `skip` records, and those
 * behind its count, are not meant. Strict: what does not fit exactly is told.
 */
#ifndef ZSP_TESTS_PLAIN_BODY_H
#define ZSP_TESTS_PLAIN_BODY_H

#include <msgpack.h>
#include <stdbool.h>

#include "broker/engine/engine.h"
#include "common/bytes.h"

/* Why a body is not what its runs tell. */
struct plain_complaint {
    char text[160];
};

/* Append the records that the runs mean. `packed` counts compressed runs. */
bool plain_body(const msgpack_object *runs, const struct engine_part *parts, size_t part_count,
                struct zsp_writer *out, size_t *ret_packed, struct plain_complaint *ret);

/* One zstd frame of `raw`, to be freed with zsp_buf_put(). */
struct zsp_buf *plain_pack(struct zsp_slice raw);

#endif
