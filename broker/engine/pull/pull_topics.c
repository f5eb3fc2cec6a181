/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/pull/pull_topics.h"

#include <stdlib.h>
#include <string.h>

#include "broker/engine/group/pattern.h"
#include "broker/engine/pull/pull.h"
#include "common/assert.h"
#include "common/name.h"

static bool is_equal(const struct pull_topics *a, const struct pull_topics *b)
{
    return a->count == b->count &&
           memcmp(a->bindings, b->bindings, a->count * sizeof(struct binding *)) == 0;
}

/* What the names of a pull come to. */
struct named {
    struct pull_topics *topics;
    uint64_t stamp;  /* a topic named twice counts once */
    size_t distinct; /* of the group's names and patterns */
    bool has_pattern;
    bool all_known, all_joined;
    bool any_found; /* bindings that go with their topics */
};

static void add_binding(struct named *self, struct binding *binding)
{
    if (binding->bind_stamp != self->stamp) {
        binding->bind_stamp = self->stamp;
        self->topics->bindings[self->topics->count++] = binding;
        self->distinct += binding->is_found ? 0 : 1;
        self->any_found = self->any_found || binding->is_found;
    }
}

static void add_name(struct named *self, const struct group *group, struct zsp_slice name)
{
    struct pattern *pattern = pattern_find(group, name);
    struct binding *binding = pattern ? NULL : name_index_find(&group->bindings, name);
    self->has_pattern = self->has_pattern || zsp_name_is_pattern(name);
    self->all_known = self->all_known && (pattern || binding);
    self->all_joined = self->all_joined && (pattern ? pattern->joined : binding && binding->joined);
    if (binding) {
        add_binding(self, binding);
    } else if (pattern && pattern->bind_stamp != self->stamp) {
        pattern->bind_stamp = self->stamp;
        self->distinct++;
    }
}

/* Topics of the group that patterns of the pull match. */
static void add_matching(struct named *self, const struct pull *pull)
{
    const struct name_index *bindings = &pull->group->bindings;
    for (size_t i = 0; i < pull->name_count; i++) {
        for (size_t k = 0; zsp_name_is_pattern(pull->names[i]) && k < bindings->count; k++) {
            struct binding *binding = bindings->slots[k].value;
            if (binding->joined && zsp_name_match(pull->names[i], binding->followers->name)) {
                add_binding(self, binding);
            }
        }
    }
    self->any_found = true; /* more may be found */
}

static void give_topics(struct pull *pull, struct pull_topics *made)
{
    const struct pull *const before = TAILQ_PREV(pull, pull_list, link);
    if (before && before->topics && is_equal(before->topics, made)) {
        free(made);
        made = before->topics;
        made->refs++;
    }
    pull->topics = made;
}

int pull_topics_bind(struct groups *groups, struct pull *pull, bool *ret_known)
{
    const struct group *const group = pull->group;
    const size_t room = pull->name_count + (group->patterns ? group->bindings.count : 0);
    struct named named = {.topics = malloc(sizeof *named.topics + room * sizeof(struct binding *)),
                          .stamp = ++groups->bind_stamp,
                          .all_known = true,
                          .all_joined = true};
    if (!named.topics) {
        return ZSP_ENOMEM;
    }
    named.topics->refs = 1;
    named.topics->count = 0;
    for (size_t i = 0; i < pull->name_count; i++) {
        add_name(&named, group, pull->names[i]);
    }
    zsp_assert(group->patterns || !named.has_pattern || !named.all_joined);
    const bool names_all = named.has_pattern && named.distinct == pattern_name_count(group);
    if (!named.all_joined || names_all) {
        free(named.topics);
        *ret_known = named.all_known;
        pull->all_topics = named.all_joined;
        pull->topics_stamp = named.all_joined ? group->patterns->names_stamp : 0;
        return named.all_joined ? 1 : 0;
    }
    if (named.has_pattern) {
        add_matching(&named, pull);
    }
    give_topics(pull, named.topics);
    if (named.any_found) {
        zsp_assert(group->patterns);
        pull->topics_stamp = group->patterns->topics_stamp;
    } else {
        free(pull->names);
        pull->names = NULL;
        pull->name_count = 0;
    }
    return 1;
}

bool pull_topics_are_stale(const struct pull *pull)
{
    const struct group_patterns *patterns = pull->group->patterns;
    if (!pull->names || !(pull->all_topics || pull->topics)) {
        return false;
    }
    return pull->topics_stamp !=
           (pull->all_topics ? patterns->names_stamp : patterns->topics_stamp);
}

void pull_topics_drop(struct pull *pull)
{
    struct pull_topics *const topics = pull->topics;
    if (topics && --topics->refs == 0) {
        free(topics);
    }
    pull->topics = NULL;
}
