/* SPDX-License-Identifier: MPL-2.0
 *
 * What group_join.c and join_find.c share: topics on their way into a group.
 *
 *   QUEUED ---> FINDING ---> ASKING ---> PUTTING ---> over
 *      |           |            |           |
 *      +-----------+------------+---fails---+-------> over
 *   -> QUEUED            group_join       another join of the group is FINDING: names come in one after
 *                                         the other
 *   -> FINDING           begin            the bindings of what its patterns match are made, some in
 *                                         each turn; no image of the group tells of them yet
 *   FINDING -> ASKING    join_find_some   all topics were looked at; without patterns that is at once
 *   ASKING -> PUTTING    go_on            all places are known: one record, with the names
 *   PUTTING -> over      join_done        it is synced: the bindings are joined
 */
#ifndef ZSP_ENGINE_JOIN_PRIV_H
#define ZSP_ENGINE_JOIN_PRIV_H

#include <sys/queue.h>

#include "broker/engine/group/group.h"

/* One partition's place, asked of the store. */
struct join_find {
    struct engine_op op; /* first: its address is the tag */
    struct join *join;
    uint64_t topic_id;
    uint32_t partition_index;
    bool ask_time, ask_id;
    uint64_t offset;
};

/* Places in topics. */
struct join_places {
    struct join_places *next;
    size_t count;
    struct join_find items[];
};

/* What the group did not have of a name before the join. */
enum join_made { JOIN_NOTHING, JOIN_MADE, JOIN_NAMED /* a pattern of the join had found it */ };

struct join {
    struct engine_op op; /* first: of the record */
    struct group *group; /* NULL = gone meanwhile */
    bool has_to;
    struct reply_to to;
    struct zsp_slice *names; /* into name_bytes */
    uint8_t *name_bytes;
    uint8_t *made; /* of each name, enum join_made */
    size_t name_count;

    bool is_finding;
    struct timer timer;   /* of the next turn */
    struct zsp_buf *last; /* the name of the last topic that was looked at; NULL = none */
    struct join_places *found;
    struct join *behind_first, *behind_last, *behind_next; /* QUEUED behind it */

    struct join_find *finds; /* of the topics that are named */
    size_t find_count;
    size_t next_find; /* behind the last that was looked for: they are looked for in order */
    size_t open_finds;
    struct zsp_err error; /* of a find */
    LIST_ENTRY(join) link;
};

/* --- group_join.c --- */

/* Where the group's start lies in each partition of a topic; `ret` has room for all of them. */
int join_resolve(struct engine *engine, struct join *join, const struct topic *topic,
                 struct join_find *ret, struct zsp_err *err);
/* Ask for the places that are times or messages; from the first call on the join must stay. */
void join_ask(struct engine *engine, struct join *join, struct join_find *finds, size_t count);
/* A turn is over: go on if nothing is missing, or end with the error. */
void join_turned(struct engine *engine, struct join *join, const struct zsp_err *error);

/* --- join_find.c --- */

/* Make the patterns that the group does not have, and look at the first topics.
 * Errors: ZSP_ENOMEM, and those of a position */
int join_find_begin(struct engine *engine, struct join *join, struct zsp_err *err);
/* In the open step: what was found stands where the group starts. Errors: ZSP_ENOMEM */
int join_find_place(struct groups *self, struct join *join);
/* From now on images of the group tell of its patterns. */
void join_find_tell(struct join *join);
/* It has failed: the patterns go, with all that they have found. */
void join_find_undo(struct engine *engine, struct join *join);
/* It is over with finding: another join may begin. */
void join_find_fini(struct engine *engine, struct join *join);

#endif
