/* SPDX-License-Identifier: MPL-2.0
 *
 * What is over in a ledger and could still be handed out, now or when what it waits for has come:
 * stretch by stretch, in bounded turns.
 */
#ifndef ZSP_ENGINE_EXPIRY_WALK_H
#define ZSP_ENGINE_EXPIRY_WALK_H

#include "broker/engine/topic/expiry.h"

struct expiry_walk {
    const struct expiry *expiry;
    const struct ledger *ledger;
    unsigned over;      /* runs of the map that are looked at: RUN_CLASS_READY, and perhaps _DONE */
    bool is_look;       /* fresh messages are not */
    uint64_t pos;       /* where it stands; UINT64_MAX = there is nothing behind it */
    uint64_t held;      /* the first that a pull has in hand, which finds out, or puts it back;
                         * UINT64_MAX = none so far */
    uint32_t stretches; /* that may still be looked at, */
    uint64_t messages;  /* and be used: whoever does takes them off */
};

/* The next stretch before `end`, and pos at its first message, or behind what was looked at. False = there is
 * none, then pos is UINT64_MAX, or enough was looked at. */
bool expiry_walk_next(struct expiry_walk *self, uint64_t end, struct run_span *ret);

/* Is it a ledger from which anything is taken? Its group is there, and has the topic. */
bool expiry_takes_part(const struct ledger *ledger);

/* May the stretch, done or dead, be a run of its own among others, or is it none? */
bool expiry_has_room(const struct engine *engine, const struct ledger *ledger,
                     const struct run_span *span);
/* Is that one too many? Else it is counted. Memory that runs out is too many. */
bool expiry_is_too_far(const struct engine *engine, struct ledger *ledger,
                       const struct run_span *span);

#endif
