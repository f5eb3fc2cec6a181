/* SPDX-License-Identifier: MPL-2.0
 *
 * Retention: whole sealed segments go, oldest first. The journal says so first
 * (facts gone, new start of the partition, synced), then the start moves
 * (STORE_TRIMMED) and a task removes the files. A start removes files that the
 * journal says are gone; it never removes one because the journal is silent.
 */
#ifndef ZSP_STORE_RETAIN_H
#define ZSP_STORE_RETAIN_H

#include "broker/store/store.h"

struct log_store;

/* As store_ops.retain. One at a time a partition: while one is under way a further
 * call does nothing. Errors: ZSP_ENOMEM */
int retain_start(struct log_store *store, struct store_part *part, const struct store_retain *what,
                 struct zsp_err *err);
/* A roll is over: what was asked for when it began may go now. */
void retain_rolled(struct log_store *store, struct store_part *part);

#endif
