/* SPDX-License-Identifier: MPL-2.0
 *
 * What replay.c (READ) and replay_locate.c (where it begins and ends) share. Included by these only.
 */
#ifndef ZSP_ENGINE_REPLAY_PRIV_H
#define ZSP_ENGINE_REPLAY_PRIV_H

#include <sys/queue.h>

#include "broker/engine/batch/batch_walk.h"
#include "broker/engine/engine_priv.h"
#include "broker/engine/replay/replay.h"
#include "broker/engine/topic/position.h"
#include "common/filter.h"

/* What of one stored batch goes into the reply. */
struct reader_run {
    struct batch_piece piece; /* holds a reference on part.buf */
    int64_t timestamp_ms, expires_at_ms, not_before_ms;
    uint8_t priority;
};

enum reader_state { READER_LOCATING, READER_READING, READER_WAITING };

struct reader {
    struct engine_op op;
    struct parked parked;
    LIST_ENTRY(reader) link;              /* all of the engine */
    struct reader *wait_next, *wait_prev; /* WAITING: of the partition */
    struct reader *room_next, *room_prev; /* with wants_room: of the engine */
    struct partition *partition;
    enum reader_state state;
    bool wants_room; /* WAITING for room, not for messages */
    bool has_room;   /* for the reply */
    struct reply_to to;
    struct position_place from_place, to_place;
    struct zsp_buf *from_id, *to_id;  /* while they are to be asked for; hold references */
    bool from_is_offset;              /* named explicitly: it must exist */
    bool has_end;                     /* `to` was told */
    uint64_t next_offset, end_offset; /* the latter with has_end */
    uint64_t max_messages, max_bytes;
    uint32_t known_partitions; /* of the topic, by its client; 0 = it does not ask for more */
    bool accepts_zstd;
    bool wants_parts, has_sent; /* a part */
    bool may_wait;              /* at the mark, while there is nothing to tell */
    bool is_abandoned;          /* nobody waits for the answer */
    const char *ending;         /* the reason when it stands at the mark and may not wait */
    struct reader_run *runs;
    uint32_t run_count, run_capacity, run_max;
    uint64_t messages, bytes;  /* gathered */
    struct zsp_filter *filter; /* NULL = all is wanted */
    uint64_t looked;           /* bytes that the store brought since the last part, with a filter */
};

struct read_args {
    struct zsp_slice topic;
    struct wire_uint partition, max_messages, max_bytes, wait_ms, parts, partitions;
    struct wire_position from, to;
    const msgpack_object *accept;
    struct zsp_slice filter;
};

/* It is refused, or cannot go on; it is freed. */
void reader_fail(struct engine *engine, struct reader *self, const struct zsp_err *error);
void reader_free(struct engine *engine, struct reader *self);
/* Where it begins and ends is known: read. */
void reader_begin(struct engine *engine, struct reader *self);

/* What the arguments mean now. Errors: those of position_resolve(), ZSP_ENOMEM */
int reader_resolve(struct engine *engine, struct reader *self, const struct read_args *args,
                   struct zsp_err *err);
/* Ask the store for what it has to tell of that, then reader_begin(). */
void reader_locate(struct engine *engine, struct reader *self);
/* Forget the ids that it asks for. */
void reader_drop_ids(struct reader *self);

#endif
