/* SPDX-License-Identifier: MPL-2.0
 *
 * Who takes part in a group: the sessions that pulled lately. A member is a
 * session seen within the last lease time; sessionless clients cannot be told
 * apart, so they count while they wait (see group_verbs.c). The members of all
 * groups are in one table: most groups have few, and a table of its own would be most of such a
 * group's memory.
 */
#ifndef ZSP_ENGINE_MEMBERS_H
#define ZSP_ENGINE_MEMBERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/compiler.h"
#include "common/table.h"

struct ledger_order;
struct member_holds;
struct session_note;

struct member {
    uint64_t session; /* these two are its key */
    struct members *members;
    int64_t seen_ms;                 /* broker time of the last pull */
    bool uses_started;               /* has ever sent `started` */
    TAILQ_ENTRY(member) link;        /* in order of seen_ms */
    struct session_note *note;       /* of the session, see session_note.h */
    LIST_ENTRY(member) session_link; /* of the note */
    uint64_t stamp;                  /* of the round that counted it last, hold.c */
    struct member_holds *holds;      /* of an ordered group, hold.h; NULL = it holds none */
};

/* Of one group. `table` is that of all groups' members, by session and group. */
struct members {
    TAILQ_HEAD(member_list, member) list; /* longest silent first */
};

void members_init(struct members *self);
void members_fini(struct members *self, struct zsp_table *table);
/* The session was heard at `now_ms`; those silent since before `forget_ms` are forgotten.
 * NULL = out of memory. */
struct member *members_seen(struct members *self, struct zsp_table *table, uint64_t session,
                            int64_t now_ms, int64_t forget_ms);
/* NULL = not known. */
struct member *members_find(struct members *self, const struct zsp_table *table, uint64_t session);
void members_forget(struct member *member, struct zsp_table *table);
/* Sessions heard at or after `since_ms`. */
uint64_t members_count(const struct members *self, int64_t since_ms);

#endif
