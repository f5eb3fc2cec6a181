/* SPDX-License-Identifier: MPL-2.0
 *
 * What publish_verb.c and publish.c share.
 */
#ifndef ZSP_ENGINE_PUBLISH_PRIV_H
#define ZSP_ENGINE_PUBLISH_PRIV_H

#include "broker/engine/publish.h"

/* An empty publish in the engine's list. NULL: out of memory. */
struct publish *publish_new(struct engine *engine);
/* Out of the list, freed. Parts that are in queues stay there. */
void publish_free(struct engine *engine, struct publish *self);

/* Do the partition and the number of partitions that the client told fit a topic with
 * `partition_count`? Errors: ZSP_ENOT_FOUND, ZSP_EWOULD_REORDER */
/* Is it not to be taken in its turn (agenda.h)? */
bool publish_is_urgent(const struct publish *self);
int publish_check_partitions(const struct publish *self, uint32_t partition_count,
                             const char *object, struct zsp_err *err);

/* Route, cut and append to a LIVE topic. 0 = the answer comes later or was given.
 * Errors: definite, nothing was appended; the publish is still the caller's. */
int publish_begin(struct engine *engine, struct publish *self, struct topic *topic,
                  struct zsp_err *err);

#endif
