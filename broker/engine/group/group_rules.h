/* SPDX-License-Identifier: MPL-2.0
 *
 * The settings of a group, and what two of their texts are made into: a filter that looks at
 * messages, and what a group that shares fairly knows of turns. Most groups leave all at its
 * default, and have nothing of this.
 *
 * What the filter leaves out is done for the group as it is met.
 */
#ifndef ZSP_ENGINE_GROUP_RULES_H
#define ZSP_ENGINE_GROUP_RULES_H

#include "broker/engine/group/group_settings.h"
#include "common/filter.h"

struct group;
struct group_fair;
struct pull;

struct group_filter {
    struct zsp_filter *program;
    uint64_t filtered; /* messages that it left out, since it was set or the broker started */
    unsigned reach;    /* a pull looks at 2^reach times as many messages as it wants */
};

struct group_rules {
    struct group_settings settings; /* holds references of the texts */
    struct group_filter *filter;    /* NULL = it takes all */
    struct group_fair *fair;        /* NULL = nothing is shared fairly; fair.h */
};

/* What the group is to have by these settings: NULL in *ret when all are at their defaults. A text that
 * it has already is made into nothing new.
 * Errors: ZSP_ENOMEM */
int group_rules_make(const struct group *group, const struct group_settings *settings,
                     struct group_rules **ret, struct zsp_err *err);
/* Give them to the group, and take what it had: twice is as if nothing had been. */
void group_rules_swap(struct group *group, struct group_rules **rules);
/* NULL inside is fine. */
void group_rules_destroy(struct group_rules **self_p);

/* --- filters at work --- */
/* So many messages are to be looked at for a pull that wants `wanted`. */
uint64_t group_filter_reach(const struct group *group, uint64_t wanted);
/* A pull of a group with a filter has put its step: what it left out is done. */
void group_filter_counted(struct pull *pull);

#endif
