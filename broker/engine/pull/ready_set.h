/* SPDX-License-Identifier: MPL-2.0
 *
 * Which topics of a group have something for a pull, so that a pull of all of ten thousand looks at
 * these alone. Only groups of many topics have such a set; with a few, all of them are looked at.
 */
#ifndef ZSP_ENGINE_READY_SET_H
#define ZSP_ENGINE_READY_SET_H

#include "broker/engine/group/group.h"

/* A group of more topics than this has a set from then on. */
#define READY_SET_FROM 16u

/* The binding is new, its group's index has it. Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int ready_set_grown(struct group *group);
/* binding->ring has become empty, or is not any more. */
void ready_set_changed(struct binding *binding);
void ready_set_fini(struct group *group);

struct pull;

/* The topics of a pull, one after the other, beginning with another one for each `first`: of all of its group
 * those that have something, else all of them. What is taken of one may take it out of the set. */
struct binding_walk {
    const struct pull *pull;
    uint64_t stamp; /* of those that were met */
    size_t at, left;
};

void binding_walk_begin(struct binding_walk *self, struct groups *groups, const struct pull *pull,
                        size_t first);
/* NULL = that was all. */
struct binding *binding_walk_next(struct binding_walk *self);

#endif
