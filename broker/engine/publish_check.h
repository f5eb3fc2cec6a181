/* SPDX-License-Identifier: MPL-2.0
 *
 * The check of a body that is to be published, alone or in a commit: all of its records are good,
 * or it is refused before anything happens.
 */
#ifndef ZSP_ENGINE_PUBLISH_CHECK_H
#define ZSP_ENGINE_PUBLISH_CHECK_H

#include "common/buf.h"
#include "common/err.h"
#include "common/wire.h"

struct engine;

/* A body, and what the client says of it. */
struct publish_body {
    const struct zsp_buf *frame;
    struct zsp_slice codec; /* data NULL = not told */
    struct wire_uint raw_size, count;
};

/* Errors: ZSP_ETOO_LARGE, ZSP_EBAD_VALUE, ZSP_EUNSUPPORTED, ZSP_EBAD_RECORD,
 *         ZSP_ECOUNT_MISMATCH, ZSP_ENOMEM */
int publish_check_body(struct engine *engine, const struct publish_body *args, uint32_t *ret_count,
                       struct zsp_err *err);

#endif
