/* SPDX-License-Identifier: MPL-2.0
 *
 * The order of an `ordered` group in one partition: what may be handed out, and what must come
 * back first. All of it follows from the runs of the ledger; nothing else is kept.
 *
 *      0 .... committed .... out .......... next ................ mark
 *      done      LEASED, in order      READY, WAITING, fresh
 *                to one member
 *
 * `next` is the first message that is neither finished nor out. It is what the next lease begins
 * with; while it waits for a retry, or its partition is held by a dead message (on_dead = hold),
 * nothing is handed out. Finished messages may lie anywhere.
 *
 * When a message that was out becomes `next` again (retried, released, its lease lost), what was
 * handed out behind it comes back as well: it is *recalled*. Until that is done nothing is handed
 * out, and an ack of a recalled message is told "lost". So what is out always lies before `next`,
 * and nobody gets a message before the one in front of it is finished or his own.
 */
#ifndef ZSP_ENGINE_LEDGER_ORDERED_H
#define ZSP_ENGINE_LEDGER_ORDERED_H

#include "broker/engine/ledger/ledger.h"

/* How many messages could be handed out now, to whom the partition is held by: 0, or all that is
 * ready and fresh. O(log n). `holds_dead`: on_dead is hold. */
uint64_t ordered_ready(const struct ledger *self, bool holds_dead);
/* Reserve for `take` from `next` on, without a gap but for finished messages. A message whose lease
 * is limited goes alone, as ledger_take() tells.
 * Errors: ZSP_ENOMEM (what was taken so far stays reserved and is in `take`) */
ZSP_MUST_CHECK int ordered_take(struct ledger *self, bool holds_dead, struct take *take);

/* The message that comes next and was out before, or (dead, or waiting) holds back what lies behind
 * it; false = what comes next is fresh. */
bool ordered_next(const struct ledger *self, bool holds_dead, struct run_span *ret);
/* Is what comes next held back by a dead message? */
bool ordered_is_held(const struct ledger *self);
/* Is something out or reserved that must come back? What lies from *ret_from on. */
bool ordered_recalls(const struct ledger *self, bool holds_dead, uint64_t *ret_from);
/* Is a message that is out recalled? */
bool ordered_is_recalled(const struct ledger *self, bool holds_dead, uint64_t offset);

#endif
