/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/pull/ready_set.h"

#include <stdlib.h>

#include "broker/engine/pull/pull.h"
#include "common/assert.h"

struct ready_set {
    uint32_t count, capacity; /* there is room for all bindings of the group */
    struct binding *items[];
};

static void add(struct ready_set *self, struct binding *binding)
{
    zsp_assert(self->count < self->capacity);
    self->items[self->count++] = binding;
    binding->ready_place = self->count;
}

int ready_set_grown(struct group *group)
{
    const struct name_index *const bindings = &group->bindings;
    const bool is_new = !group->ready_set;
    const uint32_t known = is_new ? 0 : group->ready_set->capacity;
    if (bindings->count <= READY_SET_FROM || bindings->count <= known) {
        return 0;
    }
    const uint32_t capacity = bindings->count * 2;
    struct ready_set *const made =
        realloc(group->ready_set, sizeof *made + capacity * sizeof(struct binding *));
    if (!made) {
        return ZSP_ENOMEM;
    }
    made->count = is_new ? 0 : made->count;
    made->capacity = capacity;
    group->ready_set = made;
    for (size_t i = 0; is_new && i < bindings->count; i++) {
        struct binding *binding = bindings->slots[i].value;
        if (binding_ring(binding)) {
            add(made, binding);
        }
    }
    return 0;
}

void ready_set_changed(struct binding *binding)
{
    struct ready_set *const self = binding->group->ready_set;
    if (!self || (binding_ring(binding) != NULL) == (binding->ready_place != 0)) {
        return;
    }
    if (binding_ring(binding)) {
        add(self, binding);
        return;
    }
    struct binding *const last = self->items[--self->count];
    self->items[binding->ready_place - 1] = last;
    last->ready_place = binding->ready_place;
    binding->ready_place = 0;
}

void ready_set_fini(struct group *group)
{
    free(group->ready_set);
    group->ready_set = NULL;
}

/* --- A walk ---------------------------------------------------------------------------------------- */

static bool uses_set(const struct pull *pull)
{
    return pull->all_topics && pull->group->ready_set;
}

void binding_walk_begin(struct binding_walk *self, struct groups *groups, const struct pull *pull,
                        size_t first)
{
    const bool by_set = uses_set(pull);
    const size_t count = by_set ? pull->group->ready_set->count : pull_binding_count(pull);
    *self = (struct binding_walk){
        .pull = pull,
        .stamp = by_set ? ++groups->bind_stamp : 0,
        .at = count > 0 ? first % count : 0,
        .left = by_set ? 2 * count : count, /* each may be met, and passed */
    };
}

/* The place of one that left the set has another one, which was met when its place was passed. */
static struct binding *next_of_set(struct binding_walk *self)
{
    const struct ready_set *const set = self->pull->group->ready_set;
    while (self->left > 0 && set->count > 0) {
        struct binding *const binding = set->items[self->at % set->count];
        self->left--;
        if (binding->bind_stamp != self->stamp) {
            binding->bind_stamp = self->stamp;
            return binding;
        }
        self->at = self->at % set->count + 1;
    }
    return NULL;
}

struct binding *binding_walk_next(struct binding_walk *self)
{
    if (uses_set(self->pull)) {
        return next_of_set(self);
    }
    if (self->left == 0) {
        return NULL;
    }
    self->left--;
    return pull_binding_at(self->pull, self->at++ % pull_binding_count(self->pull));
}
