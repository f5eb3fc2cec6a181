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

/* Is it not to be taken in its turn (agenda.h)? */
bool publish_is_urgent(const struct publish *self);

/* Route, cut and append to a LIVE topic. 0 = the answer comes later or was given.
 * Errors: definite, nothing was appended; the publish is still the caller's. */
int publish_begin(struct engine *engine, struct publish *self, struct topic *topic,
                  struct zsp_err *err);

#endif
