/* SPDX-License-Identifier: MPL-2.0
 *
 * Why a group does not move: one reason for all of it, and one for each partition where it differs.
 * Looked up when somebody asks (GROUP.INFO); nothing is kept for it but times.
 *
 * Of a partition the first of these that is true is told:
 *   loading      what it holds is still being read, see agenda.h
 *   corrupt      what comes next is damaged
 *   what its mode says: (ordered) a dead message, a retry or a delay comes next and holds back what lies
 *                behind; another member has the partition
 *   -            something is ready: the group's reason holds, see below
 *   leased       all that is left is out
 *   retry, delay all that is left waits for a time
 *   caught_up    nothing is left
 * Of a group with something ready: nobody pulls; max_leased are out; else it moves. Of one without the
 * reason of the partition whose reason comes first above.
 */
#ifndef ZSP_ENGINE_WHY_H
#define ZSP_ENGINE_WHY_H

#include "broker/engine/group/group.h"

/* In order of what is told first of a group. */
enum why_reason {
    WHY_NO_TOPIC,
    WHY_PAUSED,
    WHY_NOBODY_PULLS,
    WHY_MAX_LEASED,
    WHY_MOVING, /* of a partition: something is ready */
    WHY_CORRUPT,
    WHY_LOADING,
    WHY_DEAD_AHEAD,
    WHY_KEY, /* a message of the key holds those behind it back */
    WHY_RETRY_AHEAD,
    WHY_DELAY_AHEAD,
    WHY_HELD,
    WHY_LEASED,
    WHY_RETRY,
    WHY_DELAY,
    WHY_CAUGHT_UP,
    WHY_REASONS
};

struct why {
    enum why_reason reason;
    const struct ledger *ledger; /* where; NULL = the whole group */
    bool has_offset;
    uint64_t offset;
    bool has_member;
    uint64_t session;     /* of the member; 0 = one without a session, or of before the start */
    int64_t since_ms;     /* wall; 0 = not known */
    int64_t at_ms;        /* wall: when it is over; 0 = not known */
    uint64_t limit;       /* of MAX_LEASED */
    struct zsp_slice key; /* lent by the mode; data NULL = none */
};

/* The group knows of all marks. */
struct why why_group(const struct engine *engine, const struct group *group);
/* A ledger of it whose topic is there. */
struct why why_ledger(const struct engine *engine, const struct ledger *ledger);

/* As a map. `holder_of` a ledger: with the member that holds it, when there is one; NULL = without. */
void why_write(struct zsp_writer *out, const struct why *self, const struct ledger *holder_of);
/* Bytes that it takes at most, beside the topic's name and a key. */
#define WHY_BYTES 160u

/* Members that are listed, those heard last, and the bytes that they take at most. */
#define WHY_MEMBERS       100u
#define WHY_MEMBERS_BYTES (WHY_MEMBERS * (ZSP_NAME_MAX + 80u))
/* Write `member_list`, `why` and `whys`, in up to `bytes` more than those of the members. */
void why_tell(const struct engine *engine, struct zsp_writer *out, const struct group *group,
              size_t bytes);
#define WHY_TOLD 3u

/* Broker time as wall time, as far as the clocks run alike. */
int64_t why_wall_ms(const struct engine *engine, int64_t broker_ms);

#endif
