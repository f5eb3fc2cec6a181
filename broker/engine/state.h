/* SPDX-License-Identifier: MPL-2.0
 *
 * Durable state: puts with someone who waits, the replay of entries at start,
 * and images on demand. See catalog.h for the keys.
 */
#ifndef ZSP_ENGINE_STATE_H
#define ZSP_ENGINE_STATE_H

#include "broker/engine/engine_priv.h"

/* Room that may be needed for a key of this side. */
#define STATE_KEY_MAX 32u

/* Put entries as one record. `op` hears of it when it is written or synced as
 * asked; NULL = nobody waits. Errors: those of store->ops->state_put. */
int state_put(struct engine *engine, const struct store_entry *entries, size_t count,
              enum store_level level, struct engine_op *op, struct zsp_err *err);

/* Hook of store start: one replayed entry goes to its owner. */
int state_entry(struct engine *engine, const struct store_entry *entry, struct zsp_err *err);

/* The store wants a new image of the object. An object that is no more gets a `gone`.
 * When the store has no room the key is kept and tried again every second. */
void state_image_wanted(struct engine *engine, struct zsp_slice key);

#endif
