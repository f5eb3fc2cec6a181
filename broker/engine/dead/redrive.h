/* SPDX-License-Identifier: MPL-2.0
 *
 * Redrives with a rate: dead messages of a group become ready again, so many a second, while the group
 * goes on. One a group. Memory only: a restart of the broker ends it, what was redriven stays so, the
 * rest stays dead. It meets those that were dead when it began, each once, and ends behind the last.
 */
#ifndef ZSP_ENGINE_REDRIVE_H
#define ZSP_ENGINE_REDRIVE_H

#include "broker/engine/dead/dead.h"

#define REDRIVE_RATE_MAX 1000000u /* messages a second; beyond it one might as well not wait */

struct redrive;

/* Begin one; `filter` and `from` (may be NULL) are copied.
 * Errors: ZSP_EEXISTS (the group has one already), ZSP_ENOMEM */
int redrive_begin(struct groups *self, const struct group *group, const struct dead_filter *filter,
                  const struct dead_place *from, enum dead_fate fate, uint64_t rate,
                  struct zsp_err *err);
/* The group's, NULL = it has none. */
struct redrive *redrive_find(const struct groups *self, const struct group *group);
/* What was dead when the group's redrive began died before this time, what dies now must not seem
 * to have; 0 = it has none. */
int64_t redrive_end_ms(const struct groups *self, const struct group *group);
uint64_t redrive_rate(const struct redrive *self);
/* Messages redriven up to now. */
uint64_t redrive_messages(const struct redrive *self);
/* End it where it stands. */
void redrive_stop(struct groups *groups, struct redrive *self);
/* Forget all of them, at the end. */
void redrive_fini(struct groups *self);

#endif
