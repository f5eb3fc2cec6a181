/* SPDX-License-Identifier: MPL-2.0
 *
 * Which ledgers hear of a partition's mark. A ledger keeps a copy of it, and sums hang on that:
 * what is ready in its binding and its group. With 10,000 groups on one topic that is too much
 * to do for each publish; so only those are told for which somebody waits.
 *
 *   LISTENING: in the list of its partition; its mark is the partition's
 *   STALE:     in the list of its group; its mark is one that the partition had
 *
 *   -> LISTENING or STALE    mark_watch_begin    by whether a pull is parked
 *   LISTENING -> STALE       group_partition_advanced   no pull of the group is parked
 *   STALE -> LISTENING       mark_watch_refresh  before pulls are served, and before figures of
 *                                                the group are told or changed by a seek
 *
 * So a publish costs what waits for it, and once more each ledger that was looked at since the
 * publish before. While a pull is parked and the group was served, nothing of it is STALE.
 */
#ifndef ZSP_ENGINE_MARK_WATCH_H
#define ZSP_ENGINE_MARK_WATCH_H

struct group;
struct groups;
struct ledger;

/* The ledger is new, and its mark is its partition's. */
void mark_watch_begin(struct ledger *ledger);
/* It goes. Nothing happens when it is in no list. */
void mark_watch_end(struct ledger *ledger);
/* Bring the marks and sums of a group up to date; all its ledgers listen then. */
void mark_watch_refresh(struct groups *groups, struct group *group);

#endif
