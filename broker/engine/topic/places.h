/* SPDX-License-Identifier: MPL-2.0
 *
 * One position in several partitions of a topic: an offset each, of which those by time are asked
 * of the store; by id only the partition that has the message is left. For verbs that go to a position everywhere.
 */
#ifndef ZSP_ENGINE_PLACES_H
#define ZSP_ENGINE_PLACES_H

#include "broker/engine/engine_priv.h"
#include "broker/engine/topic/topic.h"

struct places;

struct place {
    struct engine_op op; /* first: its address is the tag */
    struct places *places;
    uint32_t partition_index;
    bool asked; /* for a time, or an id */
    int64_t time_ms;
    uint64_t offset;
};

/* Zero-initialise. Stays where it is until it has been found. */
struct places {
    struct place *items;
    size_t count;
    bool by_id;
    size_t open;                   /* the store was asked and has not answered */
    struct zsp_err error;          /* the first */
    char object[ZSP_NAME_MAX + 8]; /* of the topic, which may go meanwhile */
    /* All are known, or error.code tells why not: called once, if `open` was not 0. */
    void (*found_fn)(struct engine *engine, struct places *self);
};

/* Find partitions [first, end) of the topic. When `open` is 0 afterwards, all are known.
 * Errors: ZSP_ENOMEM, ZSP_EOUT_OF_RANGE, ZSP_EUNSUPPORTED, those of find_time; found_fn is not
 *         called then, unless `open` is not 0 */
int places_find(struct engine *engine, struct places *self, struct topic *topic, uint32_t first,
                uint32_t end, const struct wire_position *position, struct zsp_err *err);
void places_fini(struct places *self);

#endif
