/* SPDX-License-Identifier: MPL-2.0
 *
 * The start of a store: the journal replayed and its end in order, then (recover.h)
 * the partitions, then what was found made durable, and this start counted.
 * Synchronous: jobs are run at once.
 */
#ifndef ZSP_STORE_LOG_START_H
#define ZSP_STORE_LOG_START_H

#include "broker/store/store.h"

struct log_store;

/* As store_ops.start. */
int log_start(struct log_store *self, const struct store_hooks *hooks, struct instant now,
              struct zsp_err *err);
/* As store_ops.ready. */
int log_start_ready(struct log_store *self, struct zsp_err *err);

#endif
