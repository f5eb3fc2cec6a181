/* SPDX-License-Identifier: MPL-2.0
 *
 * The order of a `keyed` group in one partition: messages of one exact key are out under one lease
 * at most, and come by offset; messages of other keys, and those without one, do not wait for them.
 *
 *      0 ..... committed ................. cursor ............ committed + look_ahead
 *      done            known: READY, PARKED,      not looked at
 *                      WAITING, out
 *
 * A message is handed out only when its key is known, and those of all unfinished messages before
 * it. So a scan reads ahead of the pulls (lanes_scan.c), and puts each message into the lane of its
 * key (lane_table.h). What of a lane may go out is READY, its first message; the others are PARKED.
 * A pull takes what is READY like that of a shared group, then what follows in the same lanes
 * (lanes_follow.c). So a pull itself decides nothing by key.
 *
 * What is true of a lane between events:
 *  (1) All that is out of it is under one lease, or reserved by one pull.
 *  (2) Nothing is READY while something is out, or behind a dead message that holds (on_dead = hold).
 *  (3) At most one message is READY: the first that is unfinished.
 *  (4) What is out comes before what is not; else it is recalled (lanes_recall.c): a message that
 *      came back calls back those behind it, as in an `ordered` group.
 *
 * All of it follows from the runs of the ledger and from the log; memory only. Whoever changes runs
 * tells it by lanes_touch(). When the ledger moves (a seek, a start) it is forgotten, and read anew
 * before anything is handed out. A ledger that is idle has none.
 */
#ifndef ZSP_ENGINE_LANES_H
#define ZSP_ENGINE_LANES_H

#include "broker/engine/base/timers.h"
#include "broker/engine/engine_priv.h"
#include "broker/engine/ledger/ledger.h"
#include "broker/engine/order/lane_table.h"

struct group;
struct groups;
struct pull;

/* Messages that are kept READY ahead of the pulls. */
#define LANES_AHEAD 8192u
/* Bytes that are read for pulls that could be given more, with what is READY already, at most. */
#define LANES_FILL_MAX (4u * ZSP_MIB)
/* Bytes that keys of one ledger may take, about; beyond it the scan stops as at look_ahead. */
#define LANES_BYTES_MAX ((size_t)256 * ZSP_MIB)
/* The same for all ledgers together; one that takes little goes on. */
#define LANES_ALL_BYTES_MAX ((size_t)1024 * ZSP_MIB)
#define LANES_BYTES_LEAST   ((size_t)ZSP_MIB)

/* Numbers of lanes that wait for something. */
struct lane_list {
    uint32_t *items;
    size_t count, capacity;
};

/* In which list of the group side it is. */
enum lanes_place { LANES_NOWHERE, LANES_WANTED, LANES_READING };

struct lanes {
    struct engine_op op; /* first: of the read under way */
    struct groups *groups;
    struct ledger *ledger; /* NULL = gone while it was read */
    struct lane_table table;
    uint64_t cursor;         /* what is unfinished below is known, but for `unread` */
    uint64_t must;           /* nothing is handed out before the cursor is here */
    uint64_t reach;          /* from here on nothing was ever looked at, dead ones were passed by */
    struct run_span *unread; /* stretches below the cursor that are not known */
    size_t unread_count, unread_capacity;
    struct lane_list dirty;   /* lanes to be looked at */
    struct lane_list recalls; /* lanes of which something must come back */
    bool in_recalls;          /* of the group side */
    bool is_stalled;          /* look_ahead, or the bytes of keys, keep the scan from going on */
    enum lanes_place place;
    struct lanes *next, *prev; /* of that list */
    struct lanes *recall_next;
    uint64_t from, to;    /* of the read under way */
    bool reads_back;      /* it is of `unread` */
    struct timer retry;   /* a read that could not begin, or */
    bool awaits_room;     /* one that the keys of others had no room for */
    uint32_t rank;        /* lanes_follow.c's */
    size_t counted_bytes; /* of `table`, in groups->lanes_bytes */
};

/* --- The runs (lanes.c) --- */
/* The runs of [first, end) have changed: put lanes right. Memory that runs out stops the broker.
 * Nothing happens for a ledger without lanes. */
void lanes_touch(struct ledger *ledger, uint64_t first, uint64_t end);
/* Forget all of it: the ledger moves, or goes. */
void lanes_drop(struct ledger *ledger);
/* After a change of the ledger: is there something to read? */
void lanes_look(struct groups *groups, struct ledger *ledger);
/* Messages that may be handed out. */
uint64_t lanes_ready(const struct ledger *ledger);
/* May what is fresh below this offset be handed out only as a run? */
uint64_t lanes_known(const struct ledger *ledger);
/* For lanes_scan.c: a message becomes known, which has this run (NONE: it is fresh; WAITING: or that,
 * and waits for its time); *ret_fresh = what its run must be. Then, for all of a stretch:
 * lanes_learned(). Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int lanes_learn(struct lanes *self, uint64_t offset, uint32_t lane,
                               const struct run *run, enum run_state *ret_fresh);
ZSP_MUST_CHECK int lanes_learned(struct lanes *self, uint64_t first, uint64_t end);

/* A stretch below the cursor is to be read. Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int lanes_push_unread(struct lanes *self, uint64_t first, uint64_t end);
/* A stretch of READY or PARKED messages becomes that. Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int lanes_set_state(struct ledger *ledger, uint64_t first, uint64_t end,
                                   enum run_state state);

/* --- Reading (lanes_scan.c) --- */
/* The end of what look_ahead lets a scan look at. */
uint64_t lanes_bound(const struct ledger *ledger);
/* Begin what the group's ledgers want to have read. */
void lanes_serve(struct engine *engine, struct group *group);
/* Is something not known that a pull may have to wait for? */
bool lanes_wants(struct lanes *self);
/* In or out of the group's list. */
void lanes_list(struct lanes *self, enum lanes_place place);
void lanes_free(struct lanes *self);
/* Forget reads under way. */
void lanes_fini(struct groups *groups);

/* --- Telling (lanes_tell.c) --- */
/* Does all that waits in the ledger wait behind dead messages? */
bool lanes_all_held(const struct ledger *ledger);
/* What keeps a scan from going on: [topic, partition, offset, key], the first unfinished message and
 * its key (nil = it has none). */
void lanes_write_stalled(struct zsp_writer *out, const struct ledger *ledger);
/* The keys of the group of which most messages wait, most first, up to LANES_HOT of them that fit
 * `bytes`; each: [topic, partition, key, waiting, offset, state], of the message that they wait for.
 * The cost is that of all lanes. */
#define LANES_HOT 10u
void lanes_write_hot(struct zsp_writer *out, const struct group *group, size_t bytes);
/* What keeps back most messages of the ledger: the number of its lane, 0 = nothing does. */
uint32_t lanes_hottest(const struct ledger *ledger, uint64_t *ret_offset, const char **ret_state);

/* --- Taking (lanes_follow.c) --- */
/* Reserve up to `messages` more for a pull: what follows in the lanes of which it took something.
 * Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int lanes_follow(struct pull *pull, uint64_t messages);

/* --- What comes back (lanes_recall.c) --- */
/* Something out of the lane, behind `offset`, must come back. */
void lanes_recall_later(struct lanes *self, uint32_t number, uint64_t offset);
/* Recall what is to be recalled. False = the journal has no room. */
bool lanes_recall_run(struct groups *groups);
/* The lanes go. */
void lanes_recall_forget(struct lanes *self);
/* Messages of [first, end) come back in the step that is open. */
void lanes_note_back(struct ledger *ledger, uint64_t first, uint64_t end);
/* Is the message, which is out, recalled? *end moves to where that changes. */
bool lanes_is_recalled(const struct ledger *ledger, uint64_t first, uint64_t *end);

#endif
