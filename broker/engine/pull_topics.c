/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/pull_topics.h"

#include <stdlib.h>
#include <string.h>

#include "broker/engine/pull.h"

static bool is_equal(const struct pull_topics *a, const struct pull_topics *b)
{
    return a->count == b->count &&
           memcmp(a->bindings, b->bindings, a->count * sizeof(struct binding *)) == 0;
}

int pull_topics_bind(struct groups *groups, struct pull *pull, bool *ret_known)
{
    struct pull_topics *made = malloc(sizeof *made + pull->name_count * sizeof(struct binding *));
    if (!made) {
        return ZSP_ENOMEM;
    }
    made->refs = 1;
    made->count = 0;
    bool all_known = true;
    bool all_joined = true;
    const uint64_t stamp = ++groups->bind_stamp; /* a topic named twice counts once */
    for (size_t i = 0; i < pull->name_count; i++) {
        struct binding *binding = name_index_find(&pull->group->bindings, pull->names[i]);
        all_known = all_known && binding;
        all_joined = all_joined && binding && binding->joined;
        if (binding && binding->bind_stamp != stamp) {
            binding->bind_stamp = stamp;
            made->bindings[made->count++] = binding;
        }
    }
    if (!all_joined) {
        free(made);
        *ret_known = all_known;
        return 0;
    }
    struct pull_topics *const before = pull->prev ? pull->prev->topics : NULL;
    if (before && is_equal(before, made)) {
        free(made);
        made = before;
        made->refs++;
    }
    pull->topics = made;
    free(pull->names);
    pull->names = NULL;
    pull->name_count = 0;
    return 1;
}

void pull_topics_drop(struct pull *pull)
{
    struct pull_topics *const topics = pull->topics;
    if (topics && --topics->refs == 0) {
        free(topics);
    }
    pull->topics = NULL;
}
