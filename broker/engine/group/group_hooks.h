/* SPDX-License-Identifier: MPL-2.0
 *
 * What the engine's core asks of the group side, in the order of a life. The
 * group side implements these (group.c and its neighbours) next to the verbs
 * PULL, SETTLE, SEEK and GROUP.* of verb.h. None of them may reply between
 * reply_begin and reply_end of somebody else, and all may put durable state,
 * arm timers and answer requests.
 */
#ifndef ZSP_ENGINE_GROUP_HOOKS_H
#define ZSP_ENGINE_GROUP_HOOKS_H

#include "broker/engine/engine_priv.h"
#include "broker/engine/topic/topic.h"

/* Make engine->groups. Errors: ZSP_ENOMEM */
int group_init(struct engine *engine, struct zsp_err *err);
/* Free everything; engine->groups becomes NULL. Topics still exist. NULL is fine. */
void group_fini(struct engine *engine);

/* --- start --- */
/* A replayed entry whose key begins with 'a'..'z'. Topics it names may not be known yet: keep,
 * and bring together in group_start. Errors: ZSP_ECORRUPT, ZSP_ENOMEM */
int group_entry(struct engine *engine, const struct store_entry *entry, struct zsp_err *err);
/* The session is called so, see session_names.h. */
void group_session_name(struct engine *engine, uint64_t session, struct zsp_slice name);
/* All entries are in, all partitions are open, marks are known, broker time runs. */
int group_start(struct engine *engine, struct zsp_err *err);

/* --- topics --- */
/* The topic is LIVE (created now, not at start). */
void group_topic_created(struct engine *engine, struct topic *topic);
/* The topic is about to have so many partitions; those behind partition_count are made. After an error
 * the engine has failed. Errors: ZSP_ENOMEM */
int group_topic_grows(struct engine *engine, struct topic *topic, uint32_t count);
/* The first group that keeps an order of the topic's messages which more partitions would break;
 * NULL = none. A replay gets no message that comes later. For errors: its object. */
const char *group_that_orders(const struct engine *engine, const struct topic *topic);
/* The topic is durably gone. Its partitions stay until the store has let go of them: reads under
 * way complete with ZSP_ENOT_FOUND before that. */
void group_topic_deleted(struct engine *engine, struct topic *topic);
/* partition->synced_offset has moved up. */
void group_partition_advanced(struct engine *engine, struct partition *partition);
/* partition->start_offset has moved up: what was below is gone. */
void group_partition_trimmed(struct engine *engine, struct partition *partition);

/* --- clients --- (parked pulls were ended through their end_fn before) */
/* The session is over; its leases are, too, when it went silent. */
void group_session_end(struct engine *engine, uint64_t session, enum engine_session_end why);
/* A reply that granted `lease` could not be delivered. */
void group_undelivered(struct engine *engine, uint64_t lease);

/* --- driving --- */
/* Once a turn, after completions and timers, before the store is flushed: serve pulls, put what
 * has gathered. */
void group_pump(struct engine *engine);
/* Room for replies may be there again: group_pump() looks at pulls that wait for it. */
void pull_room_again(struct engine *engine);
/* Write the current image of the object, or a `gone` when there is no such object (kinds
 * 'a'..'z'). Errors: those of state_put; the core tries again later. */
int group_image(struct engine *engine, struct zsp_slice key, struct zsp_err *err);
/* Fill group_count, lease_count and whatever of the group side is not counted in
 * engine->stats as it happens. */
void group_stats(const struct engine *engine, struct engine_stats *ret);
/* Give back some of what large groups have left behind; true = there is more. */
bool group_sweep(struct engine *engine);
/* Its part of engine_run_bytes(). */
size_t group_run_bytes(const struct engine *engine);

#endif
