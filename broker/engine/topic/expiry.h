/* SPDX-License-Identifier: MPL-2.0
 *
 * When the messages of a partition expire, and what becomes of those that nobody pulls: soon after
 * their time they are counted for each group that still had them before it, and are done or dead there, in
 * the same durable step as at a pull (expired.h).
 *
 *      0 .......... from ............................ to
 *      not known    WAITING until due_ms, OVER, SEEN;  not known, or
 *                   a gap does not expire              UINT64_MAX
 *
 * Times are rounded up, to a second, or to about a five hundredth of what is left to live: so a
 * stretch of messages that were published with the same time to live is one run, whatever their number,
 * and nothing has to be read when its time has come. Never early; late by at most that. Runs whose
 * time is over are OVER (RUN_READY in the map) and join.
 *
 * A pass goes over the ledgers of the partition in turns of a bounded size, and takes what is OVER
 * out of what could be handed out. What is out stays out: whoever has it may finish it. Three kinds:
 *   DUE    looks at what became OVER since the last one, which is SEEN (RUN_DONE in the map) then
 *   LOOK   about a second after a ledger changed: what came back to it, of all that is OVER or SEEN
 *   FULL   a ledger moved, or is new: all of both
 * At the end of each everything goes that lies before the first unfinished message of all ledgers. What
 * looks at the same again (LOOK, FULL, what a pull had in hand) rests 20 times as long before as the last
 * pass took, a second at least, half a minute at most.
 *
 * It is derived, in memory only. What lies before `from` is asked of the store, from the headers of
 * its batches, when a ledger has something unfinished there: after a start, a seek, or when a group
 * comes. When there are EXPIRY_RUNS_MAX runs in all partitions, what is added last is not known, and
 * read when there is room again.
 *
 * A topic of an older version may have had messages that expire without a mark (TOPIC_MARK_TOLD): its
 * partitions have this after a start, a seek, or for a new group, until it is found that nothing unfinished
 * expires.
 *
 * Wall time may jump. Ahead: what is counted then stays counted, as at a pull. Back: what was OVER
 * and still is there is not any more; so all is forgotten, and read again.
 */
#ifndef ZSP_ENGINE_EXPIRY_H
#define ZSP_ENGINE_EXPIRY_H

#include "broker/engine/base/runmap.h"
#include "broker/engine/base/timers.h"
#include "broker/engine/expiry_set.h"
#include "common/err.h"

struct engine;
struct ledger;
struct partition;

/* Runs that are known of all partitions together, about 80 bytes each. */
#define EXPIRY_RUNS_MAX (1u << 20)
/* What expires among other messages is a run of its own until those before it are finished: so many
 * of a ledger; the rest is found by pulls. */
#define EXPIRY_APART_MAX 65536u
/* Times are rounded up to a multiple of this, or of a power of two of it. */
#define EXPIRY_GRAIN_MS 1000
/* So long after a change of a ledger there is a pass, or one that looks at the same again; and so many
 * times as long as the last one, whose turns take about a millisecond each. */
#define EXPIRY_PASS_MS     1000
#define EXPIRY_RESTS       20
#define EXPIRY_REST_MAX_MS 30000

/* Of groups with a filter, see expiry_sift.h. */
struct expiry_sift {
    uint64_t from, to; /* what is noted; from = to: nothing is */
    int64_t next_ms;   /* broker time of its next turn; INT64_MAX = it has nothing to do */
    bool is_walking;   /* over */
    uint64_t first, end;
    struct ledger *at; /* in this ledger, */
    uint64_t pos;      /* at this offset */
    uint64_t held;     /* from here on something is to be looked at again; UINT64_MAX = nothing */
    uint32_t turns;    /* */
    unsigned failures; /* of reads in a row */
    struct expiry_read *read; /* under way */
};

enum expiry_pass { EXPIRY_DUE, EXPIRY_LOOK, EXPIRY_FULL };

struct expiry {
    struct runmap map;
    uint64_t from, to; /* what is known; to = UINT64_MAX: to the end */
    int64_t over_ms;   /* the highest time of what is OVER or SEEN, wall */
    int64_t pass_ms;   /* broker time of the next DUE pass; INT64_MAX = none is wanted */
    int64_t look_ms;   /* of the next LOOK, */
    int64_t full_ms;   /* and FULL */
    int64_t rest_ms;   /* until then nothing is looked at again */
    uint32_t turns;    /* of the pass */
    bool in_turn;
    bool is_passing; /* and stands so: */
    enum expiry_pass pass;
    struct ledger *at;   /* the ledger, */
    uint64_t pos;        /* the offset in it, */
    uint64_t unfinished; /* the first unfinished offset of those before it, */
    uint64_t seen_to;    /* from here on something is to be looked at again, */
    uint32_t adds;       /* since the last pass */
    struct partition *partition;
    struct timer timer;
    struct expiry_sift sift;
    struct expiry_load *load; /* under way, or waiting after a failure; NULL = none */
};

void expiry_init(struct engine *engine);
void expiry_fini(struct engine *engine);

/* The partition is opened, and its topic has had messages that expire: nothing is known of what lies
 * below `from`. Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int expiry_open(struct engine *engine, struct partition *partition, uint64_t from);
/* The partition goes. */
void expiry_close(struct engine *engine, struct partition *partition);
/* Broker time runs, groups have their ledgers: look at all that is there. */
void expiry_start(struct engine *engine);

/* Messages at [first, end) are visible from now on. Memory that runs out stops the broker. */
void expiry_add(struct engine *engine, struct partition *partition, uint64_t first, uint64_t end,
                unsigned priority, int64_t expires_at_ms);
/* A ledger of a partition with an expiry_slot has changed; it moved, or is new; it goes. */
void expiry_look(struct engine *engine, const struct ledger *ledger);
void expiry_moved(struct engine *engine, const struct ledger *ledger);
void expiry_ledger_goes(struct engine *engine, const struct ledger *ledger);
/* Wall time has jumped. */
void expiry_clock_jumped(struct engine *engine);

/* --- For expiry*.c --- */
struct expiry *expiry_of(const struct engine *engine, const struct partition *partition);
/* Note a stretch. Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int expiry_note(struct engine *engine, struct expiry *self,
                               const struct run_span *span, int64_t expires_at_ms);
/* Forget what is known of [first, end). */
void expiry_clear(struct engine *engine, struct expiry *self, uint64_t first, uint64_t end);
bool expiry_is_full(const struct engine *engine);
/* There is to be a DUE pass in so many milliseconds. */
void expiry_want_pass(struct engine *engine, struct expiry *self, int64_t wait_ms);
/* There is to be a FULL pass, after a rest. */
void expiry_want_full(struct engine *engine, struct expiry *self);
/* How long the rest is after so many turns; and from now on, for the pass has ended. */
int64_t expiry_rest_of(uint32_t turns);
int64_t expiry_rest(struct engine *engine, struct expiry *self);
/* Set the timer to whatever comes first. */
void expiry_arm(struct engine *engine, struct expiry *self);

/* --- expiry_sweep.c --- */
/* One turn of the pass. */
void expiry_turn(struct engine *engine, struct expiry *self);

/* --- expiry_load.c --- */
/* Read what is unfinished from `first` on and not known; or what lies behind `to`, when there is room. */
void expiry_want_load(struct engine *engine, struct expiry *self, uint64_t first);
/* Go on with one that failed, when its time has come. */
void expiry_load_again(struct engine *engine, struct expiry *self);
/* When that is, broker time; INT64_MAX = none waits. */
int64_t expiry_load_again_ms(const struct expiry *self);
/* What it finds is of no use any more. */
void expiry_load_void(struct engine *engine, struct expiry *self);
/* Free those that the store will not answer. */
void expiry_loads_fini(struct engine *engine);

#endif
