/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/server/reply_room.h"

#include "common/assert.h"
#include "common/err.h"

int reply_pool_init(struct reply_pool *self, uint64_t connection_max, uint64_t all_max)
{
    *self = (struct reply_pool){
        .connection_max = connection_max, .all_max = all_max, .outflow = outflow_new(NULL)};
    return self->outflow ? ZSP_OK : ZSP_ENOMEM;
}

void reply_pool_fini(struct reply_pool *self)
{
    zsp_assert(self->reserved == 0);
    outflow_destroy(&self->outflow);
}

int reply_room_init(struct reply_room *self, const struct reply_pool *pool)
{
    *self = (struct reply_room){.outflow = outflow_new(pool->outflow)};
    return self->outflow ? ZSP_OK : ZSP_ENOMEM;
}

void reply_room_fini(struct reply_room *self)
{
    zsp_assert(self->reserved == 0);
    outflow_destroy(&self->outflow);
}

/* True when `more` fits beside `used`. */
static bool fits(uint64_t used, uint64_t more, uint64_t limit)
{
    return used <= limit && more <= limit - used;
}

/* Both bounds, for a connection that holds `held` while all hold `used`. */
static bool is_within(const struct reply_pool *pool, uint64_t held, uint64_t used, uint64_t bytes)
{
    return fits(held, bytes, pool->connection_max) && used <= pool->all_max &&
           fits(held, bytes, pool->all_max - used);
}

bool reply_room_fits(const struct reply_room *self, const struct reply_pool *pool, uint64_t bytes)
{
    return is_within(pool, outflow_bytes(self->outflow) + self->reserved,
                     outflow_bytes(pool->outflow) + pool->reserved, bytes);
}

bool reply_room_admits(const struct reply_room *self, const struct reply_pool *pool)
{
    const uint64_t held = outflow_bytes(self->outflow);
    return held <= REPLY_ROOM_SMALL || is_within(pool, held, outflow_bytes(pool->outflow), 0);
}

/* May so much be at work beside what already is? */
static bool may_work(uint64_t reserved, uint64_t bytes, uint64_t limit)
{
    return reserved == 0 || fits(reserved, bytes, limit);
}

enum engine_room reply_room_reserve(struct reply_room *self, struct reply_pool *pool,
                                    uint64_t *share, uint64_t bytes)
{
    const uint64_t one = self->reserved - *share;
    const uint64_t all = pool->reserved - *share;
    const uint64_t held = outflow_bytes(self->outflow);
    const uint64_t used = outflow_bytes(pool->outflow);
    if (bytes > *share) {
        if (!is_within(pool, held, used, bytes)) {
            return ENGINE_NO_ROOM;
        }
        if (!is_within(pool, held + one, used + all, bytes) ||
            !may_work(one, bytes, REPLY_ROOM_WORK_ONE) || !may_work(all, bytes, REPLY_ROOM_WORK)) {
            return ENGINE_ROOM_LATER;
        }
    }
    self->reserved = one + bytes;
    pool->reserved = all + bytes;
    *share = bytes;
    return ENGINE_ROOM;
}

void reply_room_spend(struct reply_room *self, struct reply_pool *pool, uint64_t *share,
                      uint64_t bytes)
{
    zsp_assert(bytes <= *share);
    zsp_assert(self->reserved >= bytes);
    zsp_assert(pool->reserved >= bytes);
    self->reserved -= bytes;
    pool->reserved -= bytes;
    *share -= bytes;
}

void reply_room_release(struct reply_room *self, struct reply_pool *pool, uint64_t *share)
{
    zsp_assert(self->reserved >= *share);
    zsp_assert(pool->reserved >= *share);
    self->reserved -= *share;
    pool->reserved -= *share;
    *share = 0;
}
