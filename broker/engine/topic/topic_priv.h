/* SPDX-License-Identifier: MPL-2.0
 *
 * What topic.c and topic_state.c share.
 */
#ifndef ZSP_ENGINE_TOPIC_PRIV_H
#define ZSP_ENGINE_TOPIC_PRIV_H

#include "broker/engine/topic/topic.h"

/* The settings are these now. Errors: ZSP_ENOMEM (nothing changed) */
int topic_keep(struct topic *self, const struct topic_settings *settings);
/* A topic in nobody's list. NULL: out of memory. */
struct topic *topic_new(uint64_t id, struct zsp_slice name, uint32_t partition_count,
                        const struct topic_settings *settings);
/* Free the object alone; NULL inside is fine. */
void topic_destroy(struct topic **self_p);
/* Into the catalogue, by name and id. Errors: ZSP_ENOMEM (nothing changed) */
int topic_enlist(struct engine *engine, struct topic *self);
/* May there be so many partitions more? Errors: ZSP_ELIMIT_REACHED */
int topic_check_partitions(const struct engine *engine, uint32_t more, struct zsp_err *err);
/* Out of the catalogue, disarmed, freed. */
void topic_free(struct engine *engine, struct topic *self);
/* The topic as the store is told of it; borrows the name. */
struct store_topic topic_store_topic(const struct topic *self);
/* Put the topic's image with these settings. Errors: those of state_put, ZSP_ENOMEM */
int topic_put_image(struct engine *engine, const struct topic *self,
                    const struct topic_settings *settings, enum store_level level,
                    struct engine_op *op, struct zsp_err *err);

#endif
