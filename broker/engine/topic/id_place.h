/* SPDX-License-Identifier: MPL-2.0
 *
 * A position that is the message with a certain id, in one partition.
 */
#ifndef ZSP_ENGINE_ID_PLACE_H
#define ZSP_ENGINE_ID_PLACE_H

#include "broker/engine/topic/id_lookup.h"

struct id_place;

/* Look for the newest message with that id; the id is copied. `found_fn` is called once, with `error`
 * NULL and its offset, or ID_NOT_FOUND; not after a fail-stop.
 * Errors: ZSP_EUNSUPPORTED  the topic does not look at ids; ZSP_ENOMEM, those of find_ids */
int id_place_find(struct engine *engine, struct partition *partition, struct zsp_slice id,
                  void (*found_fn)(struct engine *engine, void *arg, uint64_t offset,
                                   const struct zsp_err *error),
                  void *arg, struct zsp_err *err);
/* The error of a position that is not there. */
int id_place_not_found(const struct partition *partition, struct zsp_err *err);
/* Free all that are at work, at the end. */
void id_place_free_all(struct engine *engine);

#endif
