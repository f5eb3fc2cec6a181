/* SPDX-License-Identifier: MPL-2.0
 *
 * SETTLE: outcomes over runs of offsets. All of a request is one durable step:
 *   - each run is looked at piece by piece, as the messages stand now; what the lease owns is
 *     applied, for everything else the reply says why not
 *         done     finished already, or this very outcome was applied before
 *         lost     the lease does not own it (any more)
 *         unknown  never handed out, or no such topic
 *   - the reply leaves when the record is synced; also when all was done before by a request
 *     whose record is still on its way. `extend` and `started` alone are not waited for
 *   - when the journal refuses, nothing has happened
 */
#ifndef ZSP_ENGINE_SETTLE_H
#define ZSP_ENGINE_SETTLE_H

#include "broker/engine/group.h"

void settle_init(struct groups *self);
void settle_fini(struct groups *self);

#endif
