/* SPDX-License-Identifier: MPL-2.0
 *
 * Messages whose time to live was over when they were to be handed out: each is counted in its
 * ledger, durably, and is done or dead, as the group likes. A message that nobody pulls is not
 * looked at, so that it stays as it was.
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

#endif
