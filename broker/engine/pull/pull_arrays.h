/* SPDX-License-Identifier: MPL-2.0
 *
 * The arrays of a pull at work: what it reserved, what it was granted, the parts of its reply.
 * They are far larger than a pull that waits, and few pulls are at work at once; so they are
 * lent to a pull for that time, and a few sets are kept for the next ones.
 */
#ifndef ZSP_ENGINE_PULL_ARRAYS_H
#define ZSP_ENGINE_PULL_ARRAYS_H

#include "common/compiler.h"

struct groups;
struct pull;

/* Room for PULL_PIECES_MAX pieces at least, all counts 0, unless it has its arrays already.
 * Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int pull_arrays_take(struct groups *groups, struct pull *pull);
/* What was gathered is dropped, the arrays go back; nothing happens when it has none. */
void pull_arrays_give(struct groups *groups, struct pull *pull);
/* The same, and the memory goes. */
void pull_arrays_free(struct pull *pull);
/* Free those that are kept. */
void pull_arrays_fini(struct groups *groups);

#endif
