/* SPDX-License-Identifier: MPL-2.0
 *
 * A topic gets more partitions; they never become fewer. One growth of a topic at a time:
 *
 *      -> MAKING ---> PUTTING ---> over
 *            |           |
 *            +--fails----+--refused---> over
 *   -> MAKING            topic_grow        the store makes the logs of the new ones
 *   MAKING -> PUTTING    logs_are_made     the topic's image with their number is put
 *   PUTTING -> over      image_is_synced   they are there, in one moment: for publishes, for
 *                                          readers, for all groups, which begin with the earliest
 *
 * Logs that were made for a growth that failed afterwards are kept for the next one, in memory as
 * over a restart: they are empty. The topic is not deleted meanwhile: who wants that waits.
 */
#ifndef ZSP_ENGINE_TOPIC_GROW_H
#define ZSP_ENGINE_TOPIC_GROW_H

#include "broker/engine/topic/topic.h"

/* Begin. The topic is LIVE, is not growing, and has fewer than `count` partitions. `waiter` hears
 * the outcome.
 * Errors (then it hears nothing): ZSP_ELIMIT_REACHED (partitions in all), ZSP_ENOMEM, those of the
 * store's topic_create and of state_put */
int topic_grow(struct engine *engine, struct topic *self, uint32_t count,
               struct topic_waiter *waiter, struct zsp_err *err);
/* While topic->growth is set: hear, with error NULL, when it is over, however it ended. */
void topic_grow_wait(struct topic *self, struct topic_waiter *waiter);
/* How many partitions count towards the limit of all: those that are made, and those that are being. */
uint32_t topic_partitions_counted(const struct topic *self);
/* How many partitions the topic's image has to name. */
uint32_t topic_partitions_put(const struct topic *self);

/* At a start, or where nobody sees it: room for `count` partitions, all of which are the
 * topic's. Errors: ZSP_ENOMEM (nothing changed) */
int topic_set_partitions(struct topic *self, uint32_t count);
/* Free what grew. */
void topic_grow_fini(struct topic *self);

#endif
