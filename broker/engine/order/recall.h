/* SPDX-License-Identifier: MPL-2.0
 *
 * Recalls: messages that are out come back because one in front of them did (ledger_ordered.h).
 * They are released, uncounted (as if never handed out, while their reply has not left), a bounded
 * number in one step and turn; until all are, nothing of the partition is handed out. That something is to be
 * recalled follows from the runs, so a crash in between is made up for by the next start. Pulls that
 * have read such messages, or are about to tell of them, begin again.
 */
#ifndef ZSP_ENGINE_RECALL_H
#define ZSP_ENGINE_RECALL_H

#include "broker/engine/group/group.h"

void recall_init(struct groups *self);
/* No recall will be made any more, and keys that are being read are forgotten. */
void recall_fini(struct groups *self);
/* After a change of the ledger: is something to be recalled? Then it will be. */
void recall_look(struct groups *self, struct ledger *ledger);
/* The ledger goes. */
void recall_forget(struct groups *self, struct ledger *ledger);
/* Must a message that is out or reserved come back? */
bool recall_is_due(const struct ledger *ledger, uint64_t offset);
/* Must any of [first, end)? */
bool recall_any_due(const struct ledger *ledger, uint64_t first, uint64_t end);
/* Recall what is to be recalled; the rest in later turns. */
void recall_run(struct groups *self);
/* What becomes of a message that is out and comes back so; of keyed groups as well. */
void recall_take_back(const struct groups *self, struct run *run);

#endif
