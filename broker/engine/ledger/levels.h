/* SPDX-License-Identifier: MPL-2.0
 *
 * What a ledger knows of messages that are not taken in their turn: how far it has got in each
 * priority, and how many fresh messages wait for their time. Memory only: it follows from the
 * runs and from the partition's agenda. A ledger has it once its partition has an agenda.
 *
 * What is true of one whose messages are known:
 *  (1) below next[p] no fresh message of priority p is left, but those that wait for their time.
 *      One that comes due there gets a run, READY.
 *  (2) delayed = fresh messages below `mark` that the agenda says wait for their time
 */
#ifndef ZSP_ENGINE_LEVELS_H
#define ZSP_ENGINE_LEVELS_H

#include "broker/engine/ledger/agenda.h"
#include "broker/engine/ledger/ledger.h"

struct levels {
    const struct agenda *agenda; /* of the partition */
    uint64_t next[ZSP_PRIORITY_MAX + 1];
    uint64_t delayed;
};

/* Give the ledger its levels. Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int levels_make(struct ledger *ledger, const struct agenda *agenda);
void levels_drop(struct ledger *ledger);
/* Of a ledger that may have none: */
/* Does the agenda know all that the ledger may hand out? */
bool levels_are_known(const struct ledger *ledger);
/* It does not, and is waited for; or is not waited for. */
bool levels_are_awaited(const struct ledger *ledger);
bool levels_are_late(const struct ledger *ledger);
/* Fresh messages below `end` that wait for their time. */
uint64_t levels_delayed(const struct ledger *ledger, uint64_t end);
/* The first stretch from `from` on that waits for its time, by the agenda; false = none. */
bool levels_next_delayed(const struct ledger *ledger, uint64_t from, struct run_span *ret);
/* Priorities at which there may be fresh messages, a bit each. */
unsigned levels_priorities(const struct ledger *ledger);
/* The runs, or what is known of the partition, changed otherwise than by taking. */
void levels_restart(struct ledger *ledger);
/* A message at `first` is fresh again. */
void levels_back(struct ledger *ledger, uint64_t first, unsigned priority);

/* Reserve fresh messages of one priority for `take`, as ledger_take(). Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int levels_take_fresh(struct ledger *ledger, struct take *take, unsigned priority);
/* Is there any? Amortised as cheap as taking them. */
bool levels_has_fresh(struct ledger *ledger, unsigned priority);
/* Fresh messages of [first, end) go otherwise than by taking, whether they wait for their time or not;
 * called before. */
void levels_leave(struct ledger *ledger, uint64_t first, uint64_t end);
/* The mark is `mark` now, and the agenda knows what lies below it. */
void levels_mark(struct ledger *ledger, uint64_t mark);
/* Messages of the agenda have come due; the agenda knows that already.
 * Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int levels_due(struct ledger *ledger, const struct run_span *span);

#endif
