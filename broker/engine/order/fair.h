/* SPDX-License-Identifier: MPL-2.0
 *
 * Fair sharing: of a group that asks for it (`fair_by`), fresh messages of a partition are not taken by
 * offset but from tenants in turn. A tenant is a key, a producer, or a value of a header.
 *
 * A window runs ahead of what is taken: its records are read, and stretches of one tenant and priority,
 * which are behind each other, are entries of that tenant's lane. The window is bounded by entries, not by
 * messages: a million messages in a row of one tenant are one entry. What lies behind it comes
 * into it by offset.
 *
 *     lanes of a priority:   back    had one for which a reply had no room
 *                            fresh   are new in this round                         each list
 *                            now     have their turn in this round                 in order of arrival
 *                            later   had it
 *                            idle    had it, and have nothing more
 *
 * First come those that are back; then fresh and now alternately, a message each. When `now` is empty a round
 * begins: of those that are fresh, then of those that are in `later`; who is idle is forgotten. So no tenant
 * has two turns in a round, whatever comes in, one that waits inside the window waits for at most two messages of
 * each other one, and one that is new for less. Priorities stand above this, and so do messages that
 * were out before. Memory only: it follows from the runs and from the log. A ledger has it while a pull of
 * such a group has looked at it.
 *
 * Before pulls have their turn there is a look at what is new, so that it has its own; not a second one, so that
 * who publishes all the time keeps nobody from taking.
 *
 * A message that is fresh and below `next` is in an entry, or waits for its time (then it gets
 * a run when that comes). An entry may hold messages that are not fresh any more.
 */
#ifndef ZSP_ENGINE_FAIR_H
#define ZSP_ENGINE_FAIR_H

#include "broker/engine/base/pool.h"
#include "broker/engine/ledger/ledger.h"
#include "common/limits.h"
#include "common/record.h"
#include "common/table.h"

#define FAIR_ENTRIES_MAX 16384u /* of one window */
#define FAIR_OWED_MAX    2u
#define FAIR_KEY_LEN     9u
/* Of a piece's order; no pull has more pieces. */
#define FAIR_STRETCH_BITS 24u

struct engine;
struct fair_read;
struct group;
struct group_fair;
struct groups;
struct store_batch;

struct fair_entry {
    struct fair_entry *next;
    uint64_t first, end;
};

struct fair_list;

struct fair_lane {
    uint8_t key[FAIR_KEY_LEN]; /* tenant u64, priority u8 */
    struct fair_list *list;    /* NULL = it has its turn */
    struct fair_lane *next, *prev;
    struct fair_entry *first, *last;
    uint64_t tenant; /* a hash; 0 = not known */
    uint32_t owed;   /* turns that came to nothing: it has them before the others have theirs */
};

struct fair_list {
    struct fair_lane *first, *last;
};

struct fair_lists {
    struct fair_list back, fresh, now, later, idle;
};

struct fair {
    struct groups *groups;
    struct ledger *ledger;
    struct fair_read *read; /* under way */
    uint64_t next;          /* from here on nothing was looked at */
    uint64_t tenant_back;   /* whose messages are being put back */
    uint32_t entry_count;
    uint64_t looked;     /* 1 + the turn of the group's pulls after its last look */
    bool is_turn_of_now; /* not of one that is fresh */
    bool is_behind;      /* in the group's list of those that have something to look at */
    struct fair *behind_next;
    struct zsp_table lanes;
    struct fair_lists lists[ZSP_PRIORITY_MAX + 1];
};

/* After any change of a ledger whose group shares fairly, or did: make the window, or drop it.
 * Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int fair_look(struct groups *self, struct ledger *ledger);
/* NULL is fine. */
void fair_drop(struct ledger *ledger);
/* The runs changed otherwise than by taking. */
void fair_restart(struct ledger *ledger);
/* Does it know what is next? Also true of a ledger without a window. */
bool fair_is_known(const struct ledger *ledger);
/* Are fresh messages to be taken from the window? Not at damage, which is met by offset. */
bool fair_is_used(const struct ledger *ledger);
/* Of one that is used: priorities at which there is something, a bit each. */
unsigned fair_priorities(const struct ledger *ledger);
/* Reserve fresh messages of one priority for `take`, as ledger_take(). Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int fair_take_fresh(struct ledger *ledger, struct take *take, unsigned priority);
/* [first, end) is fresh again: of tenant_back, which has the next turn. Memory that runs out stops the broker. */
void fair_back(struct ledger *ledger, uint64_t first, uint64_t end, unsigned priority);
/* Of a tenant's turns `count` messages came to nothing: it has as many more, at most
 * FAIR_OWED_MAX. */
void fair_turn_back(struct ledger *ledger, uint64_t tenant, unsigned priority, uint32_t count);
/* What a pull has reserved, so that its limits cut off the last turns. */
void fair_sort(struct take *take);

/* At the end of the window: a stretch of one tenant. Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int fair_add(struct fair *self, uint64_t tenant, unsigned priority, uint64_t first,
                            uint64_t end);

/* --- fair_read.c --- */
/* What a setting asks for: "key", "producer", "header.NAME". Errors: ZSP_EBAD_VALUE */
int group_fair_check(struct zsp_slice text, struct zsp_err *err);
/* Of one that is good. NULL = out of memory. */
struct group_fair *group_fair_new(struct zsp_slice text);
void group_fair_destroy(struct group_fair **self_p);
/* Something of the ledger is to be looked at. */
void fair_behind(struct group_fair *self, struct fair *fair);
void fair_not_behind(struct group_fair *self, struct fair *fair);
/* Look at what is behind; reads are asked for. */
void fair_want(struct engine *engine, struct group *group);
/* Of `messages` that were reserved, a reply had room for so many only (`cut`), or for all of them: so many
 * are reserved at a time, lest most of it is put back, and comes out of turn. */
void group_fair_fit(struct group_fair *self, uint64_t messages, bool cut);
uint64_t group_fair_fits(const struct group_fair *self);
/* The group's pulls have had a turn; how many they had. */
void group_fair_served(struct group_fair *self);
uint64_t group_fair_turns(const struct group_fair *self);
/* A read that is under way finds nobody. */
void fair_forget_read(struct fair *self);
void fair_fini(struct groups *self);

#endif
