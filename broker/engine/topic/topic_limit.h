/* SPDX-License-Identifier: MPL-2.0
 *
 * max_topic_bytes: may a topic take more? What it holds is measured in the store, and counted on from
 * there, so that a publish costs nothing but a comparison until the limit comes near.
 */
#ifndef ZSP_ENGINE_TOPIC_LIMIT_H
#define ZSP_ENGINE_TOPIC_LIMIT_H

#include "broker/engine/topic/topic.h"

/* Count `bytes` of records that are about to be appended. Also asks retention to make room when
 * there is none. Errors (nothing is counted): ZSP_ETOPIC_FULL, ZSP_ETOO_LARGE
 * (more than the topic may ever hold, and nothing is dropped for it) */
int topic_limit_admit(struct engine *engine, struct topic *topic, size_t bytes,
                      struct zsp_err *err);

#endif
