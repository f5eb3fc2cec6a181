/* SPDX-License-Identifier: MPL-2.0
 *
 * What is asked of messages that are to be published, alone or in a commit, before anything
 * happens: all records of a body are good, and the topic has the partitions that the client thinks
 * it has.
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

struct topic;

/* Has every record the key that a compacted topic wants? Asked once the topic is there; `body` is as it
 * came. Errors: ZSP_EKEY_REQUIRED, ZSP_ENOMEM */
int publish_check_keys(struct engine *engine, const struct topic *topic, struct zsp_slice body,
                       uint32_t raw_bytes, struct zsp_err *err);

/* Where the client wants it. */
struct publish_place {
    bool is_given;       /* in the partition `index`; else it is routed */
    uint64_t index;      /* */
    uint64_t partitions; /* what the client hashed with, 0 = not told */
};

/* Is there such a place in a topic of `partition_count`? `object` names it in errors.
 * Errors: ZSP_ENOT_FOUND, ZSP_EWOULD_REORDER */
int publish_check_place(const struct publish_place *place, uint32_t partition_count,
                        const char *object, struct zsp_err *err);

#endif
