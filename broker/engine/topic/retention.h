/* SPDX-License-Identifier: MPL-2.0
 *
 * Retention: while any topic has a limit, a timer for all of them asks the store now and
 * then to drop whole sealed segments. Nothing here looks at messages.
 *
 * A round looks at all of them, some in each turn. What is rewritten (islands, compaction) is bounded,
 * and the first to ask get it; so a round begins behind the topic that got it last, and with the partition
 * behind that one: who comes late in the order has its turn as well.
 *
 * `until_consumed` goes by what is durable: first it is noted up to where all groups have done a
 * partition, then a record is put and synced, behind which nothing can be undone by a crash; only
 * then the store is asked. Where nothing of that can go no record is put.
 */
#ifndef ZSP_ENGINE_RETENTION_H
#define ZSP_ENGINE_RETENTION_H

#include "broker/engine/topic/topic.h"

/* The topic is there, or its settings have changed: its limits hold from now on. Once no topic has one,
 * the timer of all of them fires once more and finds nothing. */
void retention_apply(struct engine *engine, struct topic *topic);
/* The same for all topics, at the start. */
void retention_start(struct engine *engine);

/* Ask the store to drop what may go of a partition. What producers have there is imaged before. */
void retention_ask(struct engine *engine, struct partition *partition,
                   const struct store_retain *limits);
/* The store rewrites something of this partition: now it is the turn of those behind it. */
void retention_had_turn(struct engine *engine, const struct partition *partition);
/* The n-th partition to be looked at, when partition `first` (of any number) is the first. */
struct partition *retention_nth(const struct topic *topic, uint32_t first, uint32_t n);
/* The store has moved the start of a partition, or its islands. */
void retention_trimmed(struct engine *engine, struct partition *partition);
/* They are here now, if that is further. */
void retention_moved(struct engine *engine, struct partition *partition, uint64_t start,
                     uint64_t island);

/* A topic is full: look at all of them soon. */
void retention_hurry(struct engine *engine);
/* Free the rounds under way, at the end. */
void retention_fini(struct engine *engine);

#endif
