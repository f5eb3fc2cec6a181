/* SPDX-License-Identifier: MPL-2.0
 *
 * Settings of a group at work: what it keeps of them, and what two of their texts are made into, a filter
 * that looks at messages, and what a group that shares fairly knows of turns. Most groups have nothing of that.
 *
 * What the filter leaves out is done for the group as it is met.
 */
#ifndef ZSP_ENGINE_GROUP_RULES_H
#define ZSP_ENGINE_GROUP_RULES_H

#include "broker/engine/group_settings.h"
#include "common/filter.h"

struct group;
struct group_fair;
struct pull;

struct group_filter {
    struct zsp_filter *program;
    uint64_t filtered; /* messages that it left out, since it was set or the broker started */
    unsigned reach;    /* a pull looks at 2^reach times as many messages as it wants */
};

/* What a group has, or is to have, by its settings. */
struct group_rules {
    struct group_settings *settings; /* see group_settings_of() */
    struct group_filter *filter;
    struct group_fair *fair;
    bool has_filter, has_fair; /* they take the place of what the group has */
};

/* What the group is to have by these settings; a text that it had already is not made into anything again.
 * Errors: ZSP_ENOMEM */
int group_rules_make(const struct group *group, const struct group_settings *settings,
                     struct group_rules *ret, struct zsp_err *err);
/* Give them to the group, and take what it had: twice is as if nothing had been. */
void group_rules_swap(struct group *group, struct group_rules *rules);
void group_rules_fini(struct group_rules *self);
/* The group goes. */
void group_rules_drop(struct group *group);

/* --- filters at work --- */
/* So many messages are to be looked at for a pull that wants `wanted`. */
uint64_t group_filter_reach(const struct group *group, uint64_t wanted);
/* A pull of a group with a filter has put its step: what it left out is done. */
void group_filter_counted(struct pull *pull);

#endif
