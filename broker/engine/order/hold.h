/* SPDX-License-Identifier: MPL-2.0
 *
 * Who has which partition of an `ordered` group. A member (a session) *holds* a partition from the
 * first message that it gets of it, and nobody else gets any while it does. Memory only: it says who
 * comes next, never what was done.
 *
 *          free ---hold_take---> HELD ---asked---> LEAVING ---nothing out---> free
 *           ^                     |
 *           +---hold_drop---------+
 *   free    -> HELD     hold_take     a pull of a member took messages of it, whether or not they have room
 *                                     in its reply
 *   HELD    -> LEAVING  hold_balance  another member has two less with work: nothing more is
 *                                     handed out of it
 *   HELD    -> free     hold_member_left  BYE, the end of the session
 *   HELD    -> free     lapsed        nothing is out, and its member has not pulled for a lease time
 *   HELD    -> free     end_holds     a lease of its messages ends by time, or cannot end at once
 *   LEAVING -> free     hold_look     the last message that was out is settled, or its lease ended
 *
 * A partition that is free while messages of it are out (its member left; the pull had no session;
 * the broker was started anew) gives nothing until these are settled or their leases ended.
 *
 * Balance: what counts is how many partitions with work a member has, of all topics. Rivals of a pull are
 * the members that pull any of its topics, or hold something of them. A member takes free partitions up to
 * its share: what its rivals have and what is free in its topics, by their number, rounded up; and
 * beyond it of a topic that no other one waits for who has less than that. So of those that could have a free
 * partition the one with the least always may. Partitions without work are kept, and count for nothing.
 */
#ifndef ZSP_ENGINE_HOLD_H
#define ZSP_ENGINE_HOLD_H

#include "broker/engine/group/group.h"

struct pull;

/* What a ledger of an ordered group has beside its runs; NULL while it has nothing of it. */
struct ledger_order {
    struct ledger *ledger;
    struct member *holder;            /* NULL = free */
    int64_t since_ms;                 /* broker time from which on it has it */
    struct ledger_order *next, *prev; /* of the holder, longest not served first */
    bool leaves;                      /* LEAVING */
    bool lapsed;                      /* its member fell silent while something was out */
    bool recalls;                     /* in groups->recalls, see recall.h */
    struct ledger_order *recall_next; /* */
};

/* What a member holds: one partition at least. */
struct member_holds {
    struct member *member;
    struct ledger_order *first, *last;
    struct timer lapse;
};

/* The first of them, NULL = it holds none. */
static inline struct ledger_order *hold_first(const struct member *member)
{
    return member->holds ? member->holds->first : NULL;
}

/* The ledger's, made when there is none. NULL = out of memory. */
struct ledger_order *ledger_order_open(struct ledger *ledger);
/* Free it if nothing is in it. */
void ledger_order_close(struct ledger *ledger);

/* May somebody else than its holder get messages of it, as far as it is ready? */
static inline bool hold_is_free(const struct ledger *ledger)
{
    return !ledger_order(ledger) || !ledger_order(ledger)->holder;
}

/* What of the ledger is ready for who may have it. */
uint64_t hold_ready(const struct ledger *ledger);
/* After a change of the ledger: one that leaves is let go. */
void hold_look(struct groups *self, struct ledger *ledger);
/* The ledger is free from now on. Nothing happens when it is. */
void hold_drop(struct groups *self, struct ledger *ledger);
/* The member goes: all it has is free. */
void hold_member_left(struct groups *self, struct member *member);

/* Could the pull get something now? */
bool hold_may_take(struct groups *self, const struct pull *pull);
/* Ask a member that has more for a partition. */
void hold_balance(struct groups *self, struct pull *pull);
/* Reserve for a pull: from free partitions, up to its share, then from its own, in turn.
 * Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int hold_reserve(struct groups *self, struct pull *pull);

#endif
