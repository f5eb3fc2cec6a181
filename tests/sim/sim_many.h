/* SPDX-License-Identifier: MPL-2.0
 *
 * Publishes that travel as one of many batches, see sim_many.c.
 */
#ifndef ZSP_SIM_MANY_H
#define ZSP_SIM_MANY_H

#include "tests/sim/sim_request.h"

/* Does it travel so? Known once its ticket and its id are. */
bool many_has(const struct sim_request *self);
/* The body holds its records: put the other batch beside them. */
void many_encode_body(struct sim_request *self);
/* The arguments; `raw_bytes` of records before they were compressed. */
void many_write(struct zsp_writer *out, const struct sim_request *self, size_t raw_bytes);

/* What the rows of an answer tell of the real batch; NULL = nothing. */
struct many_row {
    const msgpack_object *at, *error;
};
/* False: rows that the protocol does not know, or the real one of a batch that is none. */
bool many_read(struct sim_request *self, const msgpack_object *map, struct many_row *ret);
/* Have all batches been told of? */
bool many_is_told(const struct sim_request *self);

/* sim_request.c: the pairs that tell when messages are to be handed out. */
uint32_t order_count(const struct sim_order *order);
void write_order(struct zsp_writer *out, const struct sim_order *order);

#endif
