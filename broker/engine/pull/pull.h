/* SPDX-License-Identifier: MPL-2.0
 *
 * A PULL on its way: included by the pull*.c files only.
 *
 *      PARKED ---reserved---> READING ---cut---> GRANTING ---written---> answered
 *        ^ |                     |
 *        | +---time over,        +---nothing left of it: put back, PARKED again
 *        |     wait_ms 0: answered empty
 *        +---------------------------------------------------------------------+
 *   PARKED   -> READING   pull_begin (pull_read.c)   there is room for the reply (reply_room),
 *                                                    messages are reserved, the store reads
 *   READING  -> GRANTING  pull_grant (pull_grant.c)  what did not fit is put back; the grant's
 *                                                    record is put, memory says LEASED
 *   READING  -> PARKED    pull_again                 e.g. all that was read was absent
 *   any      -> gone      pull_free                  answered, or nobody waits any more
 *
 * A PULL that brings outcomes (`outcomes`) is served like any other, and answered once they are
 * durable: it waits no longer than that for messages, and what it has ready waits for them. When its
 * wait is over before, it leaves the parked ones (pull_rest()).
 *
 * Whose client has gone while it is at work (`abandoned`) finishes its step and puts everything
 * back. A resent PULL whose lease lives reads the lease's messages again and skips GRANTING; when
 * the grant is not written yet it stays PARKED until it is, and the abandoned one leaves it the lease.
 */
#ifndef ZSP_ENGINE_PULL_H
#define ZSP_ENGINE_PULL_H

#include "broker/engine/group/group.h"
#include "broker/engine/pull/pull_topics.h"
#include "broker/engine/pull/settle.h"
#include "common/limits.h"

/* Pieces that one pull reserves, and reads that it makes, at most. */
#define PULL_PIECES_MAX 1024u
#define PULL_READS_MAX  64u
/* With a filter most of what is read may be left out: how many reads, and how small one may be. */
#define PULL_FILTERED_READS_MAX 8u
#define PULL_FILTERED_READ_MIN  (256u * ZSP_KIB)
/* Pieces closer than this are read at once, with what lies between. */
#define PULL_GAP_MAX 512u
/* Messages of one reply. */
#define PULL_MESSAGES_MAX 65536u
#define PULL_REACH_MAX    16u

/* Where a part of the answer ends. */
struct pull_cut {
    uint32_t wire_count; /* runs, */
    size_t wire_len;     /* their bytes in `wire`, */
    size_t part_count;   /* and stretches of the body, of it and of those before it */
};

enum pull_state { PULL_PARKED, PULL_READING, PULL_GRANTING };

/* Why a stretch is not handed out, and done. */
enum absent_why { ABSENT_GONE, ABSENT_EXPIRED, ABSENT_FILTERED };

/* A stretch granted, with what is told of it. */
struct pull_run {
    struct ledger *ledger; /* NULL = void meanwhile */
    uint64_t first, end;
    enum absent_why why; /* of `absent` */
};

struct pull {
    struct engine_op op;    /* first: its address is the tag */
    struct parked parked;   /* with whom to answer */
    struct group *group;    /* NULL = deleted meanwhile */
    TAILQ_ENTRY(pull) link; /* of the group's list, or free */

    /* what is asked for */
    uint64_t max_messages, max_bytes;
    const char *ending; /* why it ends empty, told from outside; NULL = look */
    enum pull_state state : 8;
    bool accepts_zstd;
    bool wants_parts;
    bool waits;        /* wait_ms > 0 and not over */
    bool is_cancelled; /* to be answered empty once its outcomes are durable */
    bool abandoned;    /* nobody waits for the answer */
    bool all_topics;   /* named none */
    bool is_resent;    /* reads a live lease again */
    bool has_outcomes; /* it brought some; an error may follow on applied ones */
    bool is_ready;     /* at work and done, but its outcomes are not durable yet */
    bool is_cut;       /* a limit left something out */
    bool fills;        /* it has waited to be given more than what was READY; */
    bool is_hurried;   /* its time is over, and it takes that */
    bool is_complete;  /* nothing more is read */
    bool lost_turn;    /* what came last was a turn, and nobody gets it: see pull_take_again() */
    bool is_stale;     /* some of what it had reserved is void */
    bool any_lost;     /* nobody gets some of what was reserved last */
    struct join *join; /* it waits for this one */
    struct zsp_slice *names;    /* one block: these, their bytes; see pull_topics.h */
    size_t name_count;          /* */
    struct pull_topics *topics; /* of the names, once all are joined */
    uint64_t topics_stamp;      /* with names: of the group's patterns when it got them */

    /* at work; the arrays are lent by the group side meanwhile, see pull_arrays.h */
    struct take take;
    size_t piece_capacity;
    uint64_t most;       /* messages that it may be given; it may have reserved more */
    size_t next_piece;   /* pieces before it are done with */
    uint64_t next_from;  /* in next_piece: read up to here */
    uint32_t read_count; /* */
    uint32_t tries;      /* times it came back with nothing */
    uint32_t reach;      /* it reserves 2^reach times as much, while it meets what is absent */
    uint64_t scanned_messages, scanned_bytes; /* `fills`: those of its group when that began */
    uint64_t lease;                           /* the number drawn for it; 0 = told */
    struct pull_run *runs;                    /* as granted, adjoining ones together */
    size_t run_count, run_capacity;
    struct pull_run *absent; /* not in the log, or expired: done */
    size_t absent_count, absent_capacity;
    struct engine_part *parts;
    size_t part_count, part_capacity;
    struct settle_guest outcomes;
    struct zsp_writer wire; /* the runs as the reply will tell them */
    uint32_t wire_count;
    struct pull_cut *cuts; /* wants_parts: where parts end; the last one is the rest */
    size_t cut_count, cut_capacity;
    uint64_t cut_bytes; /* of records before the last cut */
    uint64_t messages, bytes;
};

/* The topics of a pull: those it named, or all of the group. */
static inline size_t pull_binding_count(const struct pull *self)
{
    return self->all_topics ? self->group->bindings.count : self->topics->count;
}

static inline struct binding *pull_binding_at(const struct pull *self, size_t index)
{
    return self->all_topics ? self->group->bindings.slots[index].value
                            : self->topics->bindings[index];
}

/* Does it begin with another topic each time? Named topics come in the order of their names. */
static inline bool pull_takes_turns(const struct pull *self)
{
    return self->all_topics || self->names;
}

/* Is its group there, durably, with all the topics that it named? */
static inline bool pull_is_bound(const struct pull *self)
{
    return self->group->state == GROUP_LIVE && (self->all_topics || self->topics);
}

/* --- pull_reason.c --- */
/* Why it got less than it asked for; NULL = it did not. */
const char *pull_reason(const struct engine *engine, const struct pull *self);
/* With the reason look_ahead: a ledger that may not be looked at any further; else NULL. */
const struct ledger *pull_stalled(const struct pull *self);

/* --- pull_lists.c --- */
/* Put it at the end of the parked ones; it is a user of the group's work already. */
void pull_park(struct pull *self);
/* From the parked ones to those at work. */
void pull_unpark(struct pull *self);
/* From those at work to the front of the parked ones. */
void pull_park_again(struct pull *self);
/* From those at work to those whose group went. */
void pull_lose_group(struct groups *groups, struct pull *self);
/* Out of its list. */
void pull_leave_group(struct groups *groups, struct pull *self);
/* One more, or UINT32_MAX: one fewer, waits for each of its topics. */
void pull_count_waiting(struct pull *self, uint32_t change);

/* --- pull.c --- */
/* A pull that has done nothing yet, in no list. NULL = out of memory. */
struct pull *pull_new(struct groups *groups);
/* Give it back, in no list. */
void pull_give(struct groups *groups, struct pull *self);
/* The lease that its request got earlier, if that lives; else NULL. */
struct lease *pull_lease_lives(const struct engine *engine, const struct pull *self);
/* The same request sent once more, which waits for this one's grant; NULL = none. */
struct pull *pull_sent_again(const struct engine *engine, const struct pull *self);
/* Free it; nothing of it is reserved, in no store's hand. */
void pull_free(struct engine *engine, struct pull *self);
void pull_fail(struct engine *engine, struct pull *self, const struct zsp_err *error);
/* Tell an error; `maybe` when its outcomes were applied. */
void pull_tell_error(struct engine *engine, const struct pull *self, const struct zsp_err *error);
/* It is there for its outcomes alone, until they are durable (pull_hand_over()): no share of what is
 * ready is kept for it meanwhile, which may be long when the disk is full. */
void pull_rest(struct pull *self);
/* Answer with what was gathered, or empty; later, when its outcomes are not durable yet. */
void pull_answer(struct engine *engine, struct pull *self);
/* Tell that there is nothing; the pull goes on to its end unheard. */
void pull_answer_empty(struct engine *engine, const struct pull *self, const char *reason);
/* Did it wait to be given more than what is ready? Then it does so no longer. */
bool pull_hurry(struct pull *self);
/* It came back with nothing: first in line again, or answered when it may not wait for more. */
void pull_again(struct engine *engine, struct pull *self);
/* Room for one more item of an array of the pull. */
void *pull_grow(void *items, size_t count, size_t *capacity, size_t size);

/* --- pull_read.c --- */
/* Messages are in take.pieces: read them. */
void pull_begin(struct engine *engine, struct pull *self);
/* The messages of a live lease, again. */
void pull_begin_again(struct engine *engine, struct pull *self, const struct lease *lease);
/* Put back what is still reserved, from `next_piece`, `next_from` on. */
void pull_put_back(struct engine *engine, struct pull *self);
/* Drop what was gathered. */
void pull_forget_gathered(struct pull *self);

/* --- pull_grant.c --- */
/* The grant is written and the outcomes are durable: answer, if there is still somebody. */
void pull_hand_over(struct engine *engine, struct pull *self);
/* Everything is read and cut: make it durable and answer. */
void pull_grant(struct engine *engine, struct pull *self);

#endif
