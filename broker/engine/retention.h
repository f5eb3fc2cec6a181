/* SPDX-License-Identifier: MPL-2.0
 *
 * Retention: while any topic has a limit, a timer for all of them asks the store now and
 * then to drop whole sealed segments. Nothing here looks at messages.
 */
#ifndef ZSP_ENGINE_RETENTION_H
#define ZSP_ENGINE_RETENTION_H

#include "broker/engine/topic.h"

/* The topic may have a limit from now on: arm the timer if it has. Once no topic has one, the
 * timer fires once more and finds nothing. */
void retention_arm(struct engine *engine, const struct topic *topic);

#endif
