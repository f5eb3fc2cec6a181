/* SPDX-License-Identifier: MPL-2.0
 *
 * What is over in the ledgers of groups with a filter: only what the filter wants has expired for
 * them, the rest is left out as at a pull. To know which, the messages are read. So a pass (expiry_sweep.c)
 * only notes where such a ledger has something, and goes on; what it has noted is read here, in a walk
 * of its own, so that no other group waits for it:
 *
 *      noted --turn--> walking --a stretch is found--> reading --its step is put--+
 *                         ^                                                       |
 *                         +-------------------a millisecond later-----------------+
 *
 * One read at a time for a partition, of EXPIRY_SIFT_BYTES and all that is over in them; a few for all. Nothing is
 * reserved meanwhile: what a read brings is held against what the ledger, its group and its filter are then.
 * What was out before was wanted then, and takes no look.
 *
 * The same for all groups of a topic that is compacted: what that took did not expire for them, and only the
 * log tells which that is.
 */
#ifndef ZSP_ENGINE_EXPIRY_SIFT_H
#define ZSP_ENGINE_EXPIRY_SIFT_H

#include "broker/engine/topic/expiry_walk.h"

struct store_completion;

/* Of one read. */
#define EXPIRY_SIFT_BYTES (256u * ZSP_KIB)

/* Does it take a look at the messages of the run? */
bool expiry_is_sifted(const struct ledger *ledger, const struct run *run);
/* Some ledger has something of [first, end) to be looked at, in so many milliseconds. */
void expiry_sift_want(struct engine *engine, struct expiry *self, uint64_t first, uint64_t end,
                      int64_t wait_ms);
/* When its next turn is, broker time; INT64_MAX = there is none, or a read is under way. */
int64_t expiry_sift_due_ms(const struct expiry *self);
void expiry_sift_turn(struct engine *engine, struct expiry *self);
/* A ledger goes. */
void expiry_sift_leaves(struct expiry *self, const struct ledger *ledger);
/* Nothing of it is wanted any more. */
void expiry_sift_void(struct expiry *self);
/* Free the reads that the store will not answer. */
void expiry_sift_fini(struct engine *engine);

/* --- For expiry_sift*.c --- */
/* A walk over what is over in the ledger, and its next stretch that takes a look. */
struct expiry_walk expiry_sift_walk(const struct expiry *self, const struct ledger *ledger,
                                    uint64_t pos, uint32_t stretches);
bool expiry_sift_next(struct expiry_walk *walk, uint64_t end, struct run_span *ret);
/* All that a read has brought, in one durable step; moves sift.pos. False = there was no memory, or the
 * journal had no room: nothing has happened. */
bool expiry_sift_take(struct engine *engine, struct expiry *self, struct ledger *ledger,
                      const struct store_completion *completion);

#endif
