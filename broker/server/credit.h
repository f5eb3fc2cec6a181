/* SPDX-License-Identifier: MPL-2.0
 *
 * Credit: how much a connection may have unanswered, in requests and in bytes,
 * how many requests are unanswered in all, and how many bytes of those with bodies. It bounds the broker's
 * memory where ZeroMQ's high-water marks do not. Taken when a request is
 * accepted, given back when its reply has left.
 */
#ifndef ZSP_SERVER_CREDIT_H
#define ZSP_SERVER_CREDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct credit_limits {
    uint64_t requests;      /* of one connection */
    uint64_t all_requests;  /* of all */
    uint64_t bytes;         /* of one connection */
    uint64_t waiting_bytes; /* of all requests with bodies */
};

/* What all connections share. */
struct credit_pool {
    struct credit_limits limits;
    uint64_t requests;
    uint64_t bytes;
    uint64_t waiting_bytes;
};

/* One connection's; zero-initialised = nothing outstanding. */
struct credit {
    uint64_t requests;
    uint64_t bytes;
};

/* What one request holds. */
struct credit_share {
    uint64_t bytes;  /* of all its frames */
    bool has_bodies; /* counts in the pool */
};

/* Take the share, or nothing.
 *
 * Errors: ZSP_ETOO_LARGE    would not fit were nothing else outstanding
 *         ZSP_EOVER_CREDIT  the connection's requests, its bytes, or the pool
 */
int credit_take(struct credit *self, struct credit_pool *pool, struct credit_share share,
                struct zsp_err *err);
/* Give back what credit_take() took. */
void credit_give(struct credit *self, struct credit_pool *pool, struct credit_share share);

#endif
