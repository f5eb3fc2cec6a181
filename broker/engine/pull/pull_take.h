/* SPDX-License-Identifier: MPL-2.0
 *
 * What a pull of a group without an order takes, and in which order: as it comes, where no message
 * has a priority; else the most urgent first, over all its topics and partitions.
 *
 * In a group with `priority = weighted` the less urgent have turns: while any of them wait, each
 * TURN_EVERY-th message is one of theirs. Whose turn it is goes round, from the more urgent
 * priorities to the less urgent ones. A pull of very many messages has at most TURNS_MAX turns of
 * several messages. A turn that came to nothing, because the reply was full, is made up for by the
 * next pull, whose first message it is. One whose messages have expired, or are not wanted, is made up
 * for in the same pull, before what lies behind it.
 */
#ifndef ZSP_ENGINE_PULL_TAKE_H
#define ZSP_ENGINE_PULL_TAKE_H

#include "broker/engine/pull/pull.h"

#define TURN_EVERY 16u
#define TURNS_MAX  8u

/* Reserve for self->take; the topics in turn, beginning with number `first`. Errors: ZSP_ENOMEM (what
 * was taken so far stays reserved) */
ZSP_MUST_CHECK int pull_take(struct groups *groups, struct pull *self, size_t first);
/* A part of what was taken is put back: a turn of it is still due. */
void pull_take_back(struct group *group, const struct piece *piece);
/* All of it is. */
void pull_take_undone(const struct pull *self);
/* Nobody gets some of what was taken: the turns that it had are still due, a tenant's as well. */
void pull_take_left_out(struct pull *self);
/* In a group with turns: nobody gets some of what was taken, and what lay behind it is put back: reserve
 * once more, what the pull may still have. Errors: ZSP_ENOMEM (what was taken so far stays reserved) */
ZSP_MUST_CHECK int pull_take_again(struct groups *groups, struct pull *self);

#endif
