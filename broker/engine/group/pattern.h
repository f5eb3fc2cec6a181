/* SPDX-License-Identifier: MPL-2.0
 *
 * Patterns: names with `*` and `?` among those that a group was asked for. One stands for all topics
 * that match it. Each gets a binding of its own in the group, which is `found`: it is not
 * stored, and goes with its topic.
 *
 * All patterns of the same text are in one list, by that text, so that a topic that is made is
 * compared with each text once, whatever groups there are; and a pull is compared with nothing: one
 * that names all that its group has waits for all of its topics, see pull_topics.h.
 */
#ifndef ZSP_ENGINE_PATTERN_H
#define ZSP_ENGINE_PATTERN_H

#include "broker/engine/base/name_index.h"

struct binding;
struct engine;
struct group;
struct groups;
struct join;
struct pattern;
struct topic;

/* The patterns of one text. */
struct pattern_text {
    struct pattern *first, *last; /* in the order in which they were made; at least one */
    struct zsp_slice name;        /* into name_bytes */
    char name_bytes[];            /* ends with a NUL */
};

/* A pattern of a group. */
struct pattern {
    struct group *group;
    struct pattern_text *text;
    struct pattern *prev, *next; /* of the text */
    uint64_t bind_stamp;         /* of the pull that counted it last */
    bool is_told;                /* the group's image has it; else it is still finding its topics */
    bool joined;                 /* durable: may be pulled from */
};

/* What a group has that has had patterns. */
struct group_patterns {
    struct name_index index; /* struct pattern */
    uint32_t found;          /* bindings that are */
    uint64_t names_stamp;    /* moves when a name or a pattern comes, */
    uint64_t topics_stamp;   /* and also when a found binding comes or goes */
    struct join *finding;    /* patterns come in; NULL = none do. join_priv.h */
};

/* NULL = the group has none of this text. */
struct pattern *pattern_find(const struct group *group, struct zsp_slice text);
/* Names and patterns that the group was asked for. */
size_t pattern_name_count(const struct group *group);
/* The same without those that its image does not have yet. */
size_t pattern_told_count(const struct group *group);
/* A found binding is named as well, or no more. */
void pattern_set_found(struct binding *binding, bool is_found);
/* Add one that the group does not have; nothing is found yet. Errors: ZSP_ENOMEM */
int pattern_new(struct groups *self, struct group *group, struct zsp_slice text,
                struct pattern **ret);
/* Take it out of its group, with what only it has found. */
void pattern_destroy(struct groups *self, struct pattern *pattern);
/* All of a group that goes; its bindings went before. */
void pattern_destroy_all(struct groups *self, struct group *group);
/* A name came into the group: pulls look at their names again. */
void pattern_names_changed(struct group *group);

/* Is the topic one that the pattern may find? */
bool pattern_matches(const struct pattern *pattern, const struct topic *topic);
/* Give the group a binding for a topic that matches. Returns 1 = made, 0 = it had one, ZSP_ENOMEM */
int pattern_follow(struct groups *self, struct pattern *pattern, struct topic *topic,
                   struct binding **ret);
/* It is durable: what it has found may be pulled from. */
void pattern_joined(struct pattern *pattern);
/* A found binding goes. */
void pattern_lost(struct binding *binding);

/* The topic is there: made now, or found at start. Errors: ZSP_ENOMEM */
int pattern_topic(struct engine *engine, struct topic *topic);

#endif
