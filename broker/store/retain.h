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
/* As store_ops.retain_reach. */
uint64_t retain_reach(const struct store_part *part, const struct store_retain *what);
/* A roll or a trim is over, or the partition is idle: what was asked for when it could not be done may
 * be done now. */
void retain_again(struct log_store *store, struct store_part *part);

#endif
