/* SPDX-License-Identifier: MPL-2.0
 *
 * Outcomes that were applied and are told of when their record is synced, in the order of their
 * records. Of settle.c and settle_wait.c alone.
 */
#ifndef ZSP_ENGINE_SETTLE_WAIT_H
#define ZSP_ENGINE_SETTLE_WAIT_H

#include "broker/engine/pull/settle.h"

/* For outcomes of the request `to`; is_guest: another request than SETTLE, which answers by itself.
 * NULL = out of memory. */
struct settle *settle_wait_new(struct groups *groups, const struct reply_to *to, bool is_guest);
/* There is no record to wait for. NULL is fine. */
void settle_wait_drop(struct groups *groups, struct settle *self);
/* What the sync of the record is told to. */
struct engine_op *settle_wait_op(struct settle *self);
/* The record is on its way. A guest (else NULL) is told then; without one `told` is, which this
 * takes. */
void settle_wait_begin(struct engine *engine, struct settle *self, struct settle_guest *guest,
                       struct settle_told *told);
/* Does anything wait? */
bool settle_wait_any(const struct groups *groups);

/* Answer a SETTLE. */
void settle_answer(struct engine *engine, const struct reply_to *to,
                   const struct settle_told *told);

#endif
