/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/server/credit.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/assert.h"

/* True when `more` does not fit beside `used`. */
static bool exceeds(uint64_t used, uint64_t more, uint64_t limit)
{
    return used > limit || more > limit - used;
}

static int over(struct zsp_err *err, const char *what, uint64_t used, uint64_t limit)
{
    char wanted[40];
    char got[40];
    (void)snprintf(wanted, sizeof wanted, "at most %" PRIu64, limit);
    (void)snprintf(got, sizeof got, "%" PRIu64, used);
    const int rc = zsp_err_set(err, ZSP_EOVER_CREDIT, "%s: %" PRIu64 " of %" PRIu64 " are in use",
                               what, used, limit);
    zsp_err_detail(err, what, wanted, got);
    return rc;
}

int credit_take(struct credit *self, struct credit_pool *pool, struct credit_share share,
                struct zsp_err *err)
{
    const struct credit_limits *const limits = &pool->limits;
    if (share.bytes > limits->bytes) {
        zsp_err_set(err, ZSP_ETOO_LARGE,
                    "the request has %" PRIu64 " bytes, at most %" PRIu64 " are allowed",
                    share.bytes, limits->bytes);
        zsp_err_detail_range(err, "request", 1, limits->bytes, share.bytes);
        return ZSP_ETOO_LARGE;
    }
    if (exceeds(self->requests, 1, limits->requests)) {
        return over(err, "unanswered requests of the connection", self->requests, limits->requests);
    }
    if (exceeds(pool->requests, 1, limits->all_requests)) {
        return over(err, "unanswered requests of all connections", pool->requests,
                    limits->all_requests);
    }
    if (exceeds(self->bytes, share.bytes, limits->bytes)) {
        return over(err, "bytes of the connection's unanswered requests", self->bytes,
                    limits->bytes);
    }
    if (share.has_bodies && exceeds(pool->waiting_bytes, share.bytes, limits->waiting_bytes)) {
        return over(err, "bytes of all waiting publishes", pool->waiting_bytes,
                    limits->waiting_bytes);
    }
    self->requests++;
    pool->requests++;
    self->bytes += share.bytes;
    pool->bytes += share.bytes;
    if (share.has_bodies) {
        pool->waiting_bytes += share.bytes;
    }
    return ZSP_OK;
}

void credit_give(struct credit *self, struct credit_pool *pool, struct credit_share share)
{
    zsp_assert(self->requests > 0);
    zsp_assert(self->bytes >= share.bytes);
    self->requests--;
    zsp_assert(pool->requests > 0);
    pool->requests--;
    self->bytes -= share.bytes;
    zsp_assert(pool->bytes >= share.bytes);
    pool->bytes -= share.bytes;
    if (share.has_bodies) {
        zsp_assert(pool->waiting_bytes >= share.bytes);
        pool->waiting_bytes -= share.bytes;
    }
}
