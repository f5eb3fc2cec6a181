/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/group/pattern.h"

#include <stdlib.h>
#include <string.h>

#include "broker/engine/group/group.h"
#include "common/assert.h"
#include "common/name.h"

/* --- The list of a text ------------------------------------------------------------------------- */

static struct pattern_text *text_of(struct groups *self, struct zsp_slice name)
{
    struct pattern_text *const known = name_index_find(&self->patterns, name);
    if (known) {
        return known;
    }
    struct pattern_text *const made = calloc(1, sizeof *made + name.len + 1);
    if (!made) {
        return NULL;
    }
    memcpy(made->name_bytes, name.data, name.len);
    made->name = (struct zsp_slice){(const uint8_t *)made->name_bytes, name.len};
    if (name_index_add(&self->patterns, made->name, made) < 0) {
        free(made);
        return NULL;
    }
    return made;
}

static void text_release(struct groups *self, struct pattern_text *text)
{
    if (!text->first) {
        (void)name_index_remove(&self->patterns, text->name);
        free(text);
    }
}

static void text_leave(struct groups *self, struct pattern *pattern)
{
    struct pattern_text *const text = pattern->text;
    *(pattern->prev ? &pattern->prev->next : &text->first) = pattern->next;
    *(pattern->next ? &pattern->next->prev : &text->last) = pattern->prev;
    text_release(self, text);
}

/* --- Patterns of a group -------------------------------------------------------------------------- */

struct pattern *pattern_find(const struct group *group, struct zsp_slice text)
{
    return group->patterns ? name_index_find(&group->patterns->index, text) : NULL;
}

size_t pattern_name_count(const struct group *group)
{
    const struct group_patterns *patterns = group->patterns;
    return patterns ? group->bindings.count - patterns->found + patterns->index.count
                    : group->bindings.count;
}

size_t pattern_told_count(const struct group *group)
{
    size_t count = pattern_name_count(group);
    for (size_t i = 0; group->patterns && i < group->patterns->index.count; i++) {
        const struct pattern *pattern = group->patterns->index.slots[i].value;
        count -= pattern->is_told ? 0 : 1;
    }
    return count;
}

void pattern_set_found(struct binding *binding, bool is_found)
{
    struct group_patterns *const patterns = binding->group->patterns;
    patterns->found += (is_found ? 1u : 0u) - (binding->is_found ? 1u : 0u);
    binding->is_found = is_found;
}

void pattern_names_changed(struct group *group)
{
    if (group->patterns) {
        group->patterns->names_stamp++;
        group->patterns->topics_stamp++;
    }
}

int pattern_new(struct groups *self, struct group *group, struct zsp_slice text,
                struct pattern **ret)
{
    struct pattern *made = calloc(1, sizeof *made);
    if (made && !group->patterns) {
        group->patterns = calloc(1, sizeof *group->patterns);
    }
    struct pattern_text *list = made && group->patterns ? text_of(self, text) : NULL;
    if (!list) {
        free(made);
        return ZSP_ENOMEM;
    }
    if (name_index_add(&group->patterns->index, list->name, made) < 0) {
        text_release(self, list);
        free(made);
        return ZSP_ENOMEM;
    }
    made->group = group;
    made->text = list;
    made->prev = list->last;
    *(list->last ? &list->last->next : &list->first) = made;
    list->last = made;
    pattern_names_changed(group);
    *ret = made;
    return 0;
}

static bool is_matched(const struct group *group, struct zsp_slice topic)
{
    const struct name_index *index = &group->patterns->index;
    for (size_t i = 0; i < index->count; i++) {
        const struct pattern *pattern = index->slots[i].value;
        if (zsp_name_match(pattern->text->name, topic)) {
            return true;
        }
    }
    return false;
}

void pattern_destroy(struct groups *self, struct pattern *pattern)
{
    struct group *const group = pattern->group;
    (void)name_index_remove(&group->patterns->index, pattern->text->name);
    for (size_t i = group->bindings.count; i > 0; i--) {
        struct binding *binding = group->bindings.slots[i - 1].value;
        if (binding->is_found && !is_matched(group, binding->followers->name)) {
            binding_destroy(self, binding);
        }
    }
    text_leave(self, pattern);
    free(pattern);
    pattern_names_changed(group);
}

void pattern_destroy_all(struct groups *self, struct group *group)
{
    struct group_patterns *const patterns = group->patterns;
    if (!patterns) {
        return;
    }
    zsp_assert(patterns->found == 0);
    for (size_t i = 0; i < patterns->index.count; i++) {
        struct pattern *pattern = patterns->index.slots[i].value;
        text_leave(self, pattern);
        free(pattern);
    }
    name_index_fini(&patterns->index);
    free(patterns);
    group->patterns = NULL;
}

/* --- Topics ------------------------------------------------------------------------------------- */

bool pattern_matches(const struct pattern *pattern, const struct topic *topic)
{
    return topic->state == TOPIC_LIVE && zsp_name_match(pattern->text->name, topic->name);
}

int pattern_follow(struct groups *self, struct pattern *pattern, struct topic *topic,
                   struct binding **ret)
{
    struct group *const group = pattern->group;
    struct binding *binding = name_index_find(&group->bindings, topic->name);
    if (binding) {
        binding->joined = binding->joined || (binding->is_found && pattern->joined);
        *ret = binding;
        return 0;
    }
    int rc = binding_new(self, group, topic->name, &binding);
    if (rc < 0) {
        return rc;
    }
    binding->is_found = true;
    binding->joined = pattern->joined;
    group->patterns->found++;
    group->patterns->topics_stamp++;
    rc = binding_attach(self, binding, topic);
    if (rc < 0) {
        binding_destroy(self, binding);
        return rc;
    }
    *ret = binding;
    return 1;
}

void pattern_joined(struct pattern *pattern)
{
    const struct group *group = pattern->group;
    pattern->joined = true;
    for (size_t i = 0; i < group->bindings.count; i++) {
        struct binding *binding = group->bindings.slots[i].value;
        if (binding->is_found && !binding->joined &&
            zsp_name_match(pattern->text->name, binding->followers->name)) {
            binding->joined = true;
        }
    }
    group->patterns->topics_stamp++;
}

void pattern_lost(struct binding *binding)
{
    struct group *const group = binding->group;
    group->patterns->found--;
    group->patterns->topics_stamp++;
    pull_forget_topics(group);
}

int pattern_topic(struct engine *engine, struct topic *topic)
{
    struct groups *const self = engine->groups;
    for (size_t i = 0; i < self->patterns.count; i++) {
        const struct pattern_text *text = self->patterns.slots[i].value;
        if (!zsp_name_match(text->name, topic->name)) {
            continue;
        }
        for (struct pattern *pattern = text->first; pattern; pattern = pattern->next) {
            struct binding *binding = NULL;
            const int rc = pattern_follow(self, pattern, topic, &binding);
            if (rc < 0) {
                return rc;
            }
        }
    }
    return 0;
}
