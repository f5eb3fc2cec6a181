/* SPDX-License-Identifier: MPL-2.0
 *
 * Durable state: puts with someone who waits, the replay of entries at start,
 * and images on demand. See catalog.h for the keys.
 */
#ifndef ZSP_ENGINE_STATE_H
#define ZSP_ENGINE_STATE_H

#include "broker/engine/engine_priv.h"

struct step;

/* A key of the core's own kinds; a plain value. */
struct state_key {
    uint8_t bytes[24];
    size_t len;
};

/* kind, id */
struct state_key state_key_object(char kind, uint64_t id);
/* kind, topic id, partition */
struct state_key state_key_partition(char kind, uint64_t topic_id, uint32_t partition);
/* kind, topic id, partition, producer id */
struct state_key state_key_producer(char kind, uint64_t topic_id, uint32_t partition,
                                    uint64_t producer_id);
/* The bytes; valid as long as `key` stays where it is. */
struct zsp_slice state_key_slice(const struct state_key *key);

/* Put entries as one record. `op` hears of it when it is written or synced as
 * asked; NULL = nobody waits. Errors: those of store->ops->state_put. */
int state_put(struct engine *engine, const struct store_entry *entries, size_t count,
              enum store_level level, struct engine_op *op, struct zsp_err *err);

/* Put a `gone` for one key, at WRITTEN, heard by nobody. When the store has no room now it is
 * put later, as an image that is owed. */
void state_put_gone(struct engine *engine, struct zsp_slice key);

/* Put broker time; `op` hears when that, and with it every record put before, is synced.
 * Errors: those of state_put */
int state_put_time(struct engine *engine, struct engine_op *op);

/* The same as an entry of an open step. Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int state_step_time(const struct engine *engine, struct step *step);

/* One replayed entry goes to its owner. Errors: ZSP_ECORRUPT, ZSP_ENOMEM */
int state_entry(struct engine *engine, const struct store_entry *entry, struct zsp_err *err);

/* The store wants a new image of the object. An object that is no more gets a `gone`.
 * When the store has no room the key is kept and tried again every second. */
void state_image_wanted(struct engine *engine, struct zsp_slice key);

/* Prepare the timers of this file. */
void state_init(struct engine *engine);

#endif
