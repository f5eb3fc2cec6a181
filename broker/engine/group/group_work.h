/* SPDX-License-Identifier: MPL-2.0
 *
 * What a group, and its binding to a topic, have while there is something to be done: sums over
 * their ledgers, the ring of those with something ready, lists of pulls and leases. Most groups are idle and
 * have none of it, which reads as all zero.
 *
 * Each has users: the ledgers that have told something (struct ledger_told), and, of a group, its
 * pulls and leases. It is made with the first one and goes with the last one.
 */
#ifndef ZSP_ENGINE_GROUP_WORK_H
#define ZSP_ENGINE_GROUP_WORK_H

#include <stdint.h>
#include <sys/queue.h>

#include "common/compiler.h"

struct binding;
struct group;
struct ledger_told;
struct lease;
struct pull;

TAILQ_HEAD(pull_list, pull);

struct group_work {
    uint32_t users;
    uint64_t ready, leased, reserved; /* messages, over all ledgers */
    uint64_t waiting_messages;        /* likewise */
    uint32_t blocked, stalled;        /* ledgers that stand at damage, or at look_ahead */
    uint32_t unknown;                 /* ledgers whose partition's agenda must be read first */
    uint32_t late;                    /* ledgers that give nothing until it is */
    uint32_t with_levels;             /* ledgers with priorities, see levels.h */
    uint32_t busy_ledgers;            /* with anything ready, out or waiting */
    uint32_t claimed;                 /* bindings with something ready that parked pulls named */
    uint32_t waiting_all;             /* parked pulls that named no topics */
    uint32_t parked_count;            /* pulls */
    uint64_t scanned_messages;        /* read to learn keys, */
    uint64_t scanned_bytes;           /* and their bytes */
    struct pull_list parked;          /* in order of arrival */
    struct pull_list working;         /* reading or granting */
    struct lease *lease_first, *lease_last;
};
extern const struct group_work group_work_none;

struct binding_work {
    uint32_t users;
    uint64_t ready, leased, waiting_messages; /* of all ledgers; reserved count as leased */
    struct ledger_told *ring; /* ledgers with something ready; the next to be served */
    uint16_t blocked;         /* ledgers that stand at damage */
    uint16_t stalled;         /* ledgers that look_ahead keeps from going on */
    uint16_t busy;            /* ledgers with anything ready, out or waiting */
    uint64_t contest;         /* of the round that found a member who wants more of it, hold.c */
};
extern const struct binding_work binding_work_none;

/* One user more. NULL = out of memory, nothing changed. */
struct group_work *group_work_use(struct group *group);
struct binding_work *binding_work_use(struct binding *binding);
/* One fewer. */
void group_work_leave(struct group *group);
void binding_work_leave(struct binding *binding);

#endif
