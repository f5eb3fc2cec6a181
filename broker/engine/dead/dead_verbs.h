/* SPDX-License-Identifier: MPL-2.0
 *
 * What the requests that choose dead messages have in common: their arguments.
 */
#ifndef ZSP_ENGINE_DEAD_VERBS_H
#define ZSP_ENGINE_DEAD_VERBS_H

#include "broker/engine/dead/dead.h"
#include "broker/engine/verb.h"
#include "common/wire.h"

struct dead_args {
    struct zsp_slice group, topic, reason;
    struct wire_uint partition, older_than_ms, newer_than_ms, limit;
    struct wire_uint all, dry_run, keep_counts, rate, stop;
    struct wire_uint max_messages, max_bytes;
    const msgpack_object *from, *runs, *accept;
};

/* Rows that choose by what is known of them. */
#define DEAD_ARG(field) offsetof(struct dead_args, field)
#define DEAD_FILTER_ARGS                                                                  \
    {"group", WIRE_NAME, DEAD_ARG(group), true, 0, 0},                                    \
        {"topic", WIRE_NAME, DEAD_ARG(topic), false, 0, 0},                               \
        {"partition", WIRE_UINT, DEAD_ARG(partition), false, 0, ZSP_PARTITIONS_MAX - 1},  \
        {"reason", WIRE_STR, DEAD_ARG(reason), false, 1, ZSP_REASON_MAX},                 \
        {"older_than_ms", WIRE_UINT, DEAD_ARG(older_than_ms), false, 0, DEAD_AGE_MAX_MS}, \
        {"newer_than_ms", WIRE_UINT, DEAD_ARG(newer_than_ms), false, 0, DEAD_AGE_MAX_MS}, \
    {                                                                                     \
        "from", WIRE_ARRAY, DEAD_ARG(from), false, 3, 3                                   \
    }

/* The longest age that can be told: more than any clock has seen. */
#define DEAD_AGE_MAX_MS 100000000000000u

/* The group that is meant, and the filter, whose texts are the request's.
 * Errors: ZSP_ENOT_FOUND, ZSP_EBAD_VALUE */
int dead_read_filter(const struct engine *engine, const struct dead_args *args,
                     struct group **ret_group, struct dead_filter *ret, struct zsp_err *err);
/* Where a walk begins; `args->from` is there. Errors: ZSP_EBAD_TYPE, ZSP_EBAD_VALUE, ZSP_EBAD_NAME */
int dead_read_place(const struct dead_args *args, struct dead_place *ret, struct zsp_err *err);
/* Call `fn` for all messages of `args->runs`, which must be dead; a nonzero return ends that.
 * Errors: ZSP_ENOT_FOUND, and of what is not such a run ZSP_EBAD_TYPE, ZSP_EBAD_VALUE, ZSP_EBAD_NAME */
int dead_read_runs(const struct group *group, const struct dead_args *args,
                   int (*fn)(void *arg, struct ledger *ledger, const struct run_span *span),
                   void *arg, struct zsp_err *err);
/* Write a place as `next`. */
void dead_write_next(struct zsp_writer *out, const struct dead_place *place);

#endif
