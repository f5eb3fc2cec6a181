/* SPDX-License-Identifier: MPL-2.0
 *
 * What lies between two states of a ledger: the one that it has and one that it is to have. For dry
 * runs and for answers; nothing is changed. The cost is that of the runs of both.
 */
#ifndef ZSP_ENGINE_LEDGER_COMPARE_H
#define ZSP_ENGINE_LEDGER_COMPARE_H

#include "broker/engine/ledger/ledger.h"

struct ledger_difference {
    uint64_t redelivered; /* done or dead now, to be handed out (again) then */
    uint64_t skipped;     /* still to be done now, and not then */
};

/* Messages from `from` on. */
struct ledger_difference ledger_compare(const struct ledger *now, const struct ledger *then,
                                        uint64_t from);

/* Messages of [first, end) that are neither done nor dead: fresh ones, and those with a run. */
uint64_t ledger_count_unfinished(const struct ledger *self, uint64_t first, uint64_t end);

#endif
