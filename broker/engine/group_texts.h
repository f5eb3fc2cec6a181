/* SPDX-License-Identifier: MPL-2.0
 *
 * Settings of a group that are texts: they are made into something when they are set, and most groups
 * have none.
 *
 *   filter   which messages the group takes, see filter.h; the others are done for it as they are met
 *   fair_by  who takes turns, see fair.h
 *
 * Durable: in the group's image, see group.h.
 */
#ifndef ZSP_ENGINE_GROUP_TEXTS_H
#define ZSP_ENGINE_GROUP_TEXTS_H

#include "broker/engine/group_mode.h"
#include "common/filter.h"
#include "common/wire.h"

struct group;
struct group_fair;
struct pull;

/* The filter of a group that has one. */
struct group_filter {
    struct zsp_filter *program;
    uint64_t filtered; /* messages that it left out, since it was set or the broker started */
    unsigned reach;    /* a pull looks at 2^reach times as many messages as it wants */
};

/* What the settings of a request make of the texts; zero-initialise. */
struct group_texts {
    bool has_filter, has_fair; /* it was named */
    struct group_filter *filter;
    struct group_fair *fair;
};

/* Is it the name of such a setting? */
bool group_texts_has(struct zsp_slice name);
/* Those of a map of settings (NULL = none). Errors: ZSP_EBAD_TYPE, ZSP_EBAD_VALUE, ZSP_ENOMEM */
int group_texts_read(const msgpack_object *settings, struct group_texts *ret, struct zsp_err *err);
/* Do they fit the mode? Errors: ZSP_EBAD_VALUE */
int group_texts_fit(const struct group_texts *self, enum group_mode mode, struct zsp_err *err);
/* Give the group what was named, and take what it had: twice is as if nothing had been. */
void group_texts_swap(struct group *group, struct group_texts *texts);
void group_texts_fini(struct group_texts *self);
/* The group goes. */
void group_texts_drop(struct group *group);

/* As settings are told: how many the group has, and these. */
uint32_t group_texts_count(const struct group *group);
void group_texts_write(struct zsp_writer *out, const struct group *group);
/* The durable form: how many (u8), then each as what it is (u8, 1 filter, 2 fair_by) and a short text. Errors: ZSP_ECORRUPT, ZSP_ENOMEM */
void group_texts_encode(struct zsp_writer *out, const struct group *group);
int group_texts_decode(struct zsp_reader *in, struct group *group);

/* --- filters at work --- */
/* So many messages are to be looked at for a pull that wants `wanted`. */
uint64_t group_filter_reach(const struct group *group, uint64_t wanted);
/* A pull of a group with a filter has put its step: what it left out is done. */
void group_filter_counted(struct pull *pull);

#endif
