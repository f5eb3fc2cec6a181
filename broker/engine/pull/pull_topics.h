/* SPDX-License-Identifier: MPL-2.0
 *
 * The topics of a pull that named some, once all of them are its group's: the bindings, each
 * once, in the order of their names; then what its patterns match, in the order of the topics'
 * names. Pulls that wait one behind the other and named the same share them, so that many names
 * cost a waiting pull no memory.
 *
 * What patterns match changes while a pull waits: one that named a pattern, or a topic that only a
 * pattern brought, keeps its names and looks again after each change. One that named all that its
 * group has is for all topics of the group, and matches nothing itself.
 */
#ifndef ZSP_ENGINE_PULL_TOPICS_H
#define ZSP_ENGINE_PULL_TOPICS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/compiler.h"

struct binding;
struct groups;
struct pull;

struct pull_topics {
    uint32_t refs; /* pulls that have them */
    uint32_t count;
    struct binding *bindings[];
};

/* Give a parked pull its topics, instead of its names.
 * Returns 1 = done; 0 = not all are joined yet, *ret_known tells whether the group has them all;
 *         ZSP_ENOMEM */
ZSP_MUST_CHECK int pull_topics_bind(struct groups *groups, struct pull *pull, bool *ret_known);
/* Did what the pull named change since? */
bool pull_topics_are_stale(const struct pull *pull);
/* The pull needs them no more; nothing happens when it has none. */
void pull_topics_drop(struct pull *pull);

#endif
