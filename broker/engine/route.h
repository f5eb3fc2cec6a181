/* SPDX-License-Identifier: MPL-2.0
 *
 * Routing: which partition each record of a batch belongs to. A record with a
 * key goes to xxh3_64(key) % partitions; the keyless records of a batch stay
 * together in one partition, which turns from batch to batch; but where ids are looked at, a
 * keyless record that has one goes to xxh3_64(id) % partitions, where a repetition will meet it.
 */
#ifndef ZSP_ENGINE_ROUTE_H
#define ZSP_ENGINE_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/err.h"
#include "common/limits.h"

/* Records that follow each other in a body and go to one partition. */
struct stretch {
    uint32_t index; /* of the first record, in the body */
    uint32_t count;
    uint32_t partition;
    uint32_t target; /* number of the partition among those met, in order of appearance */
    size_t pos, len; /* bytes of the body */
};

/* Zero-initialise; memory is reused from batch to batch. */
struct route {
    struct stretch *stretches; /* in order of the body; neighbours differ in partition */
    uint32_t count;
    uint32_t capacity;
    bool by_id;            /* set by the caller: keyless records with an id go by it */
    bool took_turn;        /* a keyless record was placed at `turn` */
    uint32_t target_count; /* partitions met */
    uint32_t target_of[ZSP_PARTITIONS_MAX]; /* target + 1 of each partition, 0 = not met */
};

void route_fini(struct route *self);

/* Route a checked body over `partition_count` partitions; keyless records go to `turn`.
 * Errors: ZSP_ETOO_LARGE  more than ZSP_RUNS_MAX stretches; ZSP_ENOMEM */
int route_body(struct route *self, struct zsp_slice body, uint32_t partition_count, uint32_t turn,
               struct zsp_err *err);

#endif
