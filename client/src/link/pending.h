/* SPDX-License-Identifier: MPL-2.0
 *
 * Requests that were sent and await their reply: found by id, ordered by
 * deadline, bounded by what a broker allows one connection. The requests belong
 * to whoever asked; this only links them. Owned by the link's thread.
 */
#ifndef ZSP_CLIENT_PENDING_H
#define ZSP_CLIENT_PENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/src/base/client_request.h"
#include "common/limits.h"

#define ZSP_PENDING_BUCKETS 1024u

_Static_assert(ZSP_PENDING_BUCKETS >= ZSP_REQUESTS_MAX, "chains stay short");

struct zsp_pending {
    struct zsp_request *heap[ZSP_REQUESTS_MAX]; /* earliest deadline first */
    size_t count;
    struct zsp_request *buckets[ZSP_PENDING_BUCKETS]; /* chains through hash_next */
};

void zsp_pending_init(struct zsp_pending *self);

/* Add a request whose id and deadline_ms are set; the id must be new. There must
 * be room: count < ZSP_REQUESTS_MAX. */
void zsp_pending_add(struct zsp_pending *self, struct zsp_request *request);

/* The request with this id; NULL if there is none. */
struct zsp_request *zsp_pending_find(const struct zsp_pending *self, uint64_t id);
/* Take the request with this id out; NULL if there is none. */
struct zsp_request *zsp_pending_take(struct zsp_pending *self, uint64_t id);

/* Take the request with the smallest id out, NULL when there is none: so that
 * requests of a lost connection come back in the order they were sent. */
struct zsp_request *zsp_pending_take_oldest(struct zsp_pending *self);

/* The earliest deadline; INT64_MAX when nothing is pending. */
int64_t zsp_pending_deadline_ms(const struct zsp_pending *self);

#endif
