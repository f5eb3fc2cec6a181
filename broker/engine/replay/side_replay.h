/* SPDX-License-Identifier: MPL-2.0
 *
 * Side replays: groups that get a range of a topic once more, and then are finished. Each is made
 * after another group, with its mode and settings, and that one does not move: leases, retries and
 * dead letters of a replay are its own.
 *
 *      OPEN ---all is done or dead---> ENDING ---that is durable---> FINISHED
 *        ^                                |                             |
 *        +--------------------------------+---dead ones are brought back+
 *   OPEN   -> ENDING     side_replay_serve   a record is put behind the last outcome
 *   ENDING -> FINISHED   is_durable          pulls are told `finished` from now on
 *   any    -> OPEN       side_replay_look    a partition has something to do again
 *
 * A ledger of a replay has the end of its range for its mark (side_replay_mark()), so that all else
 * about it is as in any group. The group stays when it is finished, for members that ask later and for
 * its dead messages; it goes when nobody has pulled for a while.
 *
 * Durable: in the group's image, see group.h: topic u64, expires_ms u64, name of the other group (short
 * text), count u32, then for each partition first u64, end u64.
 */
#ifndef ZSP_ENGINE_SIDE_REPLAY_H
#define ZSP_ENGINE_SIDE_REPLAY_H

#include "broker/engine/group/group.h"

enum side_state { SIDE_OPEN, SIDE_ENDING, SIDE_FINISHED };

struct side_part {
    uint64_t first, end; /* first == end: nothing of this partition */
    uint64_t lost;       /* messages from where it was to begin that are gone; only told once */
    bool is_open;
};

struct side_replay {
    struct group *group;
    struct zsp_buf *of; /* the name of the group that it was made after */
    uint64_t topic_id;
    uint64_t expires_ms; /* without a pull */
    int64_t made_ms;     /* broker time, of this start */
    struct timer idle;
    enum side_state state;
    uint32_t open_count; /* partitions */
    uint32_t count;
    struct side_part parts[];
};

/* Errors: ZSP_ENOMEM (NULL) */
struct side_replay *side_replay_new(struct zsp_slice of, uint64_t topic_id, uint32_t count);
void side_replay_destroy(struct side_replay **self_p);
/* Give it to a group that has none. */
void side_replay_join(struct engine *engine, struct group *group, struct side_replay *self);
/* The group goes. */
void side_replay_drop(struct engine *engine, struct group *group);
/* The start: groups have their ledgers. */
void side_replay_start(struct engine *engine, struct group *group);

static inline bool side_replay_is_finished(const struct group *group)
{
    return group->side && group->side->state == SIDE_FINISHED;
}

/* Do its pulls wait until its end is durable? */
static inline bool side_replay_is_ending(const struct group *group)
{
    return group->side && group->side->state == SIDE_ENDING;
}

/* Where the ledger's mark is, of a partition with the mark `synced`. */
uint64_t side_replay_mark(const struct ledger *ledger, uint64_t synced);
/* What lies from there on is none of the ledger's; UINT64_MAX of any that is no replay's. */
uint64_t side_replay_end(const struct ledger *ledger);
/* Where a partition of its topic begins. */
uint64_t side_replay_first(const struct side_replay *self, uint32_t partition);
/* Does this ledger want nothing more of its partition? False of any that is no replay's. */
bool side_replay_has_all(const struct ledger *ledger);
/* The ledger has changed. */
void side_replay_look(struct groups *groups, struct ledger *ledger);
/* Before pulls are served: is all done? */
void side_replay_serve(struct engine *engine, struct group *group);
/* Has a group of that name been made by GROUP.REPLAY, which chose it? A PULL makes none of them: one
 * that comes late would get the whole topic. */
bool side_replay_is_name(struct zsp_slice name);
/* `what` it does not do. Returns ZSP_EBAD_VALUE */
int side_replay_refuse(const struct group *group, const char *what, struct zsp_err *err);
void side_replays_fini(struct groups *groups);

/* The answer to the request that made it; and the pair `replay` of GROUP.INFO. */
void side_replay_answer(struct engine *engine, const struct side_replay *self,
                        const struct reply_to *to, struct zsp_slice group);
void side_replay_write(struct zsp_writer *out, const struct engine *engine,
                       const struct side_replay *self);

void side_replay_encode(struct zsp_writer *out, const struct side_replay *self);
/* Errors: ZSP_ECORRUPT, ZSP_ENOMEM */
int side_replay_decode(struct zsp_reader *in, struct side_replay **ret);

/* --- side_replay_verb.c --- */
void side_calls_fini(struct groups *groups);

#endif
