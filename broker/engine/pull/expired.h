/* SPDX-License-Identifier: MPL-2.0
 *
 * Messages whose time to live is over, found by a pull or by a look at what nobody pulls (expiry.h):
 * each is counted in its ledger, durably, and is done or dead, as the group likes.
 */
#ifndef ZSP_ENGINE_EXPIRED_H
#define ZSP_ENGINE_EXPIRED_H

#include "broker/engine/group/group.h"

/* Prepare, and free, what is remembered of why they are dead. Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int expired_init(struct groups *self);
void expired_fini(struct groups *self);

/* Leave a stretch that was reserved out, in the open step. Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int expired_leave_out(struct groups *self, struct ledger *ledger,
                                     const struct run_span *span);

/* Count so many messages that are taken out as done, in the open step. Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int expired_count(struct groups *self, struct ledger *ledger, uint64_t count);

/* The figures that these change, for a step that is taken back. */
struct expired_stats {
    uint64_t expired, dead;
};
struct expired_stats expired_stats(const struct engine *engine);
void expired_stats_restore(struct engine *engine, const struct expired_stats *stats);

/* A step of one ledger that takes such messages out without a pull. */
struct expired_step {
    struct engine *engine;
    struct ledger *ledger;
    struct expired_stats stats; /* before it; */
    uint64_t apart;             /* likewise */
};
struct expired_step expired_step_begin(struct engine *engine, struct ledger *ledger);
/* Put it; with rc < 0, or when it cannot be put, nothing has changed. Returns rc, or what step_put()
 * does. */
int expired_step_end(const struct expired_step *self, int rc);

#endif
