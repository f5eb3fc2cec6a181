/* SPDX-License-Identifier: MPL-2.0
 *
 * Retention: a timer per topic that has a limit asks the store now and then to
 * drop whole sealed segments. Nothing here looks at messages.
 */
#ifndef ZSP_ENGINE_RETENTION_H
#define ZSP_ENGINE_RETENTION_H

#include "broker/engine/topic.h"

/* The topic's limits may have changed, or it is LIVE now: arm or disarm its timer. */
void retention_arm(struct engine *engine, struct topic *topic);

#endif
