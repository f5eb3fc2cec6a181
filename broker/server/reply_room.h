/* SPDX-License-Identifier: MPL-2.0
 *
 * Room for replies, given before anything is read for them. A connection holds the
 * bytes of its replies that are on their way out, and of those that are being put
 * together; both together stay
 *
 *   - within limits.reply_bytes, and
 *   - within what is free of limits.all_reply_bytes, the memory for the replies of
 *     all connections
 *
 * The second bound moves with the load, as in switches that share one buffer: alone, a
 * connection gets at most half of the memory, n that do not read get a share of 1/(n+1)
 * each, and one share always stays free for who comes next.
 *
 * What is being put together is bounded besides, so that many large requests are served
 * one after the other instead of all at once.
 */
#ifndef ZSP_SERVER_REPLY_ROOM_H
#define ZSP_SERVER_REPLY_ROOM_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/engine/engine.h"
#include "broker/server/outflow.h"

/* Bytes of replies being put together at a time; one reply is always let in. */
#define REPLY_ROOM_WORK     (64u << 20) /* of all connections */
#define REPLY_ROOM_WORK_ONE (32u << 20) /* of one: leaves room beside a greedy one */

/* Bytes of unread replies with which a connection may always ask. */
#define REPLY_ROOM_SMALL (1u << 20)

/* What all connections share. */
struct reply_pool {
    uint64_t connection_max; /* limits.reply_bytes */
    uint64_t all_max;        /* limits.all_reply_bytes */
    struct outflow *outflow; /* of all; owned */
    uint64_t reserved;       /* for replies being put together */
};

/* One connection's. */
struct reply_room {
    struct outflow *outflow; /* owned */
    uint64_t reserved;
};

/* Errors: ZSP_ENOMEM */
int reply_pool_init(struct reply_pool *self, uint64_t connection_max, uint64_t all_max);
void reply_pool_fini(struct reply_pool *self);
/* Errors: ZSP_ENOMEM */
int reply_room_init(struct reply_room *self, const struct reply_pool *pool);
/* Nothing may be reserved any more. */
void reply_room_fini(struct reply_room *self);

/* Change a reply's reservation from *share to `bytes`; *share is unchanged unless the answer is
 * ENGINE_ROOM. ENGINE_ROOM_LATER: only other reservations stand in the way, and they end by
 * themselves. Less than before is always given. */
enum engine_room reply_room_reserve(struct reply_room *self, struct reply_pool *pool,
                                    uint64_t *share, uint64_t bytes);
/* A part of the reply is built: so much less is reserved for the rest. */
void reply_room_spend(struct reply_room *self, struct reply_pool *pool, uint64_t *share,
                      uint64_t bytes);
/* The reply is built, or nobody waits for it: nothing is reserved for it any more. */
void reply_room_release(struct reply_room *self, struct reply_pool *pool, uint64_t *share);

/* May the connection ask for more? Not when unread replies without a body, for which nothing is
 * reserved, have brought it beyond its bounds; REPLY_ROOM_SMALL is held by anybody. */
bool reply_room_admits(const struct reply_room *self, const struct reply_pool *pool);
/* Would a reply with a body of so many bytes fit now, without a reservation? */
bool reply_room_fits(const struct reply_room *self, const struct reply_pool *pool, uint64_t bytes);

#endif
