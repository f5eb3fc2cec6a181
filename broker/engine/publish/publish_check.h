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
#include "common/limits.h"
#include "common/wire.h"

struct engine;
struct topic_waiter;

/* What is said of one body, alone or in a commit. */
struct body_args {
    struct zsp_slice topic, codec;
    struct wire_uint partition, partitions, count, raw_size;
    struct wire_uint priority, not_before_ms, expires_at_ms;
};

/* Its rows of a table of arguments; PLACE(field) tells where each lies. */
#define BODY_ARGS(PLACE)                                                              \
    {"topic", WIRE_NAME, PLACE(topic), true, 0, 0},                                   \
        {"partition", WIRE_UINT, PLACE(partition), false, 0, ZSP_PARTITIONS_MAX - 1}, \
        {"partitions", WIRE_UINT, PLACE(partitions), false, 1, ZSP_PARTITIONS_MAX},   \
        {"count", WIRE_UINT, PLACE(count), false, 1, UINT32_MAX}, BODY_TERMS(PLACE)

/* Those of them that few bodies have. */
#define BODY_TERMS(PLACE)                                                        \
    {"codec", WIRE_STR, PLACE(codec), false, 0, 0},                              \
        {"raw_size", WIRE_UINT, PLACE(raw_size), false, 1, UINT32_MAX},          \
        {"priority", WIRE_UINT, PLACE(priority), false, 0, ZSP_PRIORITY_MAX},    \
        {"not_before_ms", WIRE_UINT, PLACE(not_before_ms), false, 0, INT64_MAX}, \
    {                                                                            \
        "expires_at_ms", WIRE_UINT, PLACE(expires_at_ms), false, 1, INT64_MAX    \
    }

/* Is there a time at which its messages may be handed out? Errors: ZSP_EBAD_VALUE */
int publish_check_times(const struct body_args *args, struct zsp_err *err);

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

/* The topic of that name, which is not LIVE, is to be published to: wait until it is made, or, when there
 * is none and that is allowed, make it with as many partitions as the broker likes, if they fit `place`.
 * Errors (the waiter hears nothing): ZSP_ENOT_FOUND, those of publish_check_place() and
 *         topic_create() */
int publish_await_topic(struct engine *engine, struct zsp_slice name,
                        const struct publish_place *place, struct topic_waiter *waiter,
                        struct zsp_err *err);

#endif
