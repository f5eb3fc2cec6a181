/* SPDX-License-Identifier: MPL-2.0
 *
 * The terms of a message to publish: how urgent it is, and between which times it is handed out.
 * They are told once for a whole batch, so only messages of the same terms share one.
 */
#ifndef ZSP_CLIENT_TERMS_H
#define ZSP_CLIENT_TERMS_H

#include <zspool.h>

#include "common/bytes.h"
#include "common/err.h"

struct zsp_terms {
    int64_t not_before_ms, expires_at_ms; /* wall, 0 = none */
    bool delayed_here, expires_here;      /* by this host's clock; else by the broker's */
    uint8_t priority;
};

/* Errors: ZSP_EBAD_VALUE */
int zsp_terms_check(const zspool_out_t *message, struct zsp_err *err);
/* Those of a message that was checked. What is told from now on is rounded up, by less than one
 * part in 256 of it, so that messages sent one after the other have the same. */
struct zsp_terms zsp_terms_of(const zspool_out_t *message);

static inline bool zsp_terms_equal(const struct zsp_terms *a, const struct zsp_terms *b)
{
    return a->not_before_ms == b->not_before_ms && a->expires_at_ms == b->expires_at_ms &&
           a->priority == b->priority && a->delayed_here == b->delayed_here &&
           a->expires_here == b->expires_here;
}

/* How many arguments of PUBLISH they are. */
uint32_t zsp_terms_args(const struct zsp_terms *self);
/* Add these; the broker's clock is so far ahead of this host's. */
void zsp_terms_write(struct zsp_writer *out, const struct zsp_terms *self, int64_t clock_ahead_ms);

#endif
