/* SPDX-License-Identifier: MPL-2.0
 *
 * What a position (docs/PROTOCOL.md) means in one partition now. Names and
 * times clamp to what is there; an explicit offset outside is an error.
 */
#ifndef ZSP_ENGINE_POSITION_H
#define ZSP_ENGINE_POSITION_H

#include "broker/engine/topic/topic.h"
#include "common/wire.h"

/* Where a position is. */
struct position_place {
    bool ask_time;   /* the store must be asked: find_time(time_ms), then position_clamp() */
    int64_t time_ms; /* wall; only with ask_time */
    bool ask_id;     /* likewise: id_place_find(), for the message with this id */
    uint64_t offset; /* only without these */
};

/* Errors: ZSP_EOUT_OF_RANGE  an explicit offset below the start or above the mark
 *         ZSP_EUNSUPPORTED   a message id, and the topic does not look at ids */
int position_resolve(const struct engine *engine, const struct partition *partition,
                     const struct wire_position *position, struct position_place *ret,
                     struct zsp_err *err);

/* `offset` moved into [start, mark]. */
uint64_t position_clamp(const struct partition *partition, uint64_t offset);

#endif
