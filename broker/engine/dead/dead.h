/* SPDX-License-Identifier: MPL-2.0
 *
 * Dead letters: messages that a group has given up. To be dead is a state of the message in its
 * group, a run like any other (RUN_DEAD, with what it failed of); the message itself stays where it
 * is. They are found by a walk over the runs, in order of topic, partition and offset, which looks at
 * a bounded number of them at a time and tells where it goes on.
 *
 *      READY <---redrive--- DEAD ---drop---> done
 *
 * Every change of a dead message by request goes through dead_change(); what it means for those
 * behind it (on_dead = hold, the order of `ordered`) follows from the runs, see
 * group_ledger_changed().
 */
#ifndef ZSP_ENGINE_DEAD_H
#define ZSP_ENGINE_DEAD_H

#include "broker/engine/group/group.h"

/* A run of the ledger became dead now: it remembers since when, as wall time in full seconds, so that
 * neighbours which die together stay one run; and whether a copy of it is owed (letters.h). While a
 * redrive of the group is under way that is no earlier than of all that were dead when it began. */
void dead_note(const struct engine *engine, const struct ledger *ledger, struct run *run);

/* A place in a group. */
struct dead_place {
    char topic[ZSP_NAME_MAX + 1];
    uint32_t partition;
    uint64_t offset;
};

/* Which dead messages are meant. Zero = all. */
struct dead_filter {
    struct zsp_slice topic; /* data NULL = of all topics */
    bool has_partition;
    uint32_t partition;
    struct zsp_slice reason;           /* a glob for the last reason; data NULL = any */
    int64_t died_from_ms, died_end_ms; /* wall, [from, end); 0 = from ever, until now */
};

struct dead_walk {
    const struct group *group;
    const struct dead_filter *filter;
    uint32_t looks; /* runs and partitions that may still be looked at */
    bool is_over;   /* there is nothing more */
    size_t slot;    /* of the binding it stands at, among the group's */
    uint32_t partition;
    uint64_t offset;
};

/* Stand at the first message at or behind `from` (NULL = at the first). `filter` is borrowed as long
 * as the walk is used. Nothing of the group's runs may change in front of it but through the caller. */
void dead_walk_begin(struct dead_walk *self, const struct group *group,
                     const struct dead_filter *filter, const struct dead_place *from);
/* The next run of dead messages that are meant, from where it stands. False = there is none, or it
 * has looked at enough: is_over tells which. */
bool dead_walk_next(struct dead_walk *self, struct ledger **ret_ledger, struct run_span *ret);
/* Stand behind only so much of the run returned last. */
void dead_walk_cut(struct dead_walk *self, const struct ledger *ledger, uint64_t end);
/* Where it stands. Not once it is over. */
void dead_walk_place(const struct dead_walk *self, struct dead_place *ret);

/* Is what comes of it the same for whoever lists them? */
bool dead_are_alike(const struct reasons *reasons, const struct run *a, const struct run *b);

enum dead_fate { DEAD_REDRIVEN, DEAD_REDRIVEN_COUNTED /* keeps its counts */, DEAD_DROPPED };

/* In the open step: the dead messages of the span become ready again, as if never handed out or with
 * what is known of them, or done. Errors: ZSP_ENOMEM (the step must be undone) */
ZSP_MUST_CHECK int dead_change(struct groups *self, struct ledger *ledger,
                               const struct run_span *span, enum dead_fate fate);

/* What of [first, end) is dead, all of it: call `fn` for each run in order; a nonzero return ends
 * that. Errors: ZSP_ENOT_FOUND (some of it is not dead; names the first such stretch) */
int dead_visit(struct ledger *ledger, uint64_t first, uint64_t end,
               int (*fn)(void *arg, struct ledger *ledger, const struct run_span *span), void *arg,
               struct zsp_err *err);

/* Forget the requests of dead_verbs.c and dead_read.c that are under way, at the end. */
void dead_fini(struct groups *self);
void dead_reads_fini(struct groups *self);

#endif
