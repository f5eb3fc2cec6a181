/* SPDX-License-Identifier: MPL-2.0
 *
 * Bindings: which topics a group has, and what happens when they come and go.
 * All bindings to one name are in one list, found by the name: a topic that is
 * made costs what its groups cost, however many others there are.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/engine/group/group.h"
#include "broker/engine/group/group_hooks.h"
#include "broker/engine/group/mark_watch.h"
#include "broker/engine/group/pattern.h"
#include "broker/engine/ledger/agenda.h"
#include "broker/engine/pull/ready_set.h"
#include "broker/engine/topic/expiry.h"
#include "common/assert.h"

/* The list for a name, made empty when there is none. NULL = out of memory. */
static struct followers *followers_of(struct groups *self, struct zsp_slice name)
{
    struct followers *const known = zsp_table_find(&self->followers, name);
    if (known) {
        return known;
    }
    struct followers *const made = calloc(1, sizeof *made + name.len + 1);
    if (!made) {
        return NULL;
    }
    memcpy(made->name_bytes, name.data, name.len);
    made->name = (struct zsp_slice){(const uint8_t *)made->name_bytes, name.len};
    if (zsp_table_add(&self->followers, made->name, made) < 0) {
        free(made);
        return NULL;
    }
    return made;
}

/* Free a list that nobody is in. */
static void followers_release(struct groups *self, struct followers *followers)
{
    if (!followers->first) {
        (void)zsp_table_remove(&self->followers, followers->name);
        free(followers);
    }
}

static void follow(struct binding *binding, struct followers *followers)
{
    binding->followers = followers;
    binding->prev = followers->last;
    *(followers->last ? &followers->last->next : &followers->first) = binding;
    followers->last = binding;
}

static void unfollow(struct groups *self, struct binding *binding)
{
    struct followers *const followers = binding->followers;
    *(binding->prev ? &binding->prev->next : &followers->first) = binding->next;
    *(binding->next ? &binding->next->prev : &followers->last) = binding->prev;
    followers_release(self, followers);
}

int binding_new(struct groups *self, struct group *group, struct zsp_slice name,
                struct binding **ret)
{
    zsp_assert(name.len <= ZSP_NAME_MAX);
    struct binding *binding = calloc(1, sizeof *binding);
    if (!binding) {
        return ZSP_ENOMEM;
    }
    struct followers *followers = followers_of(self, name);
    if (!followers) {
        free(binding);
        return ZSP_ENOMEM;
    }
    binding->group = group;
    int rc = name_index_add(&group->bindings, followers->name, binding);
    if (rc < 0) {
        followers_release(self, followers);
        free(binding);
        return rc;
    }
    if (ready_set_grown(group) < 0) {
        (void)name_index_remove(&group->bindings, followers->name);
        followers_release(self, followers);
        free(binding);
        return ZSP_ENOMEM;
    }
    follow(binding, followers);
    *ret = binding;
    return 0;
}

static void detach(struct groups *self, struct binding *binding, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        group_ledger_drop(self, binding->ledgers[i]);
    }
    if (binding->ledgers != &binding->only) {
        free(binding->ledgers);
    }
    binding->group->attached -= binding->topic ? 1 : 0;
    binding->ledgers = NULL;
    binding->topic = NULL;
}

/* The group's ledger of a partition, where it begins. */
static int begin_ledger(struct groups *self, struct binding *binding, struct partition *partition)
{
    struct ledger *const ledger =
        group_ledger_open(self, binding->group->id, partition->topic->id, partition->index);
    if (!ledger) {
        return ZSP_ENOMEM;
    }
    binding->ledgers[partition->index] = ledger;
    ledger->group = binding->group;
    ledger->binding = binding;
    group_ledger_place(self, ledger, partition);
    agenda_tell(self, ledger);
    mark_watch_begin(ledger);
    group_ledger_begin(self, ledger);
    expiry_moved(self->engine, ledger);
    group_ledger_changed(self, ledger);
    return 0;
}

int binding_attach(struct groups *self, struct binding *binding, struct topic *topic)
{
    zsp_assert(!binding->topic);
    binding->ledgers = topic->partition_count == 1
                           ? &binding->only
                           : calloc(topic->partition_count, sizeof(struct ledger *));
    if (!binding->ledgers) {
        return ZSP_ENOMEM;
    }
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        if (begin_ledger(self, binding, topic->partitions[i]) < 0) {
            detach(self, binding, i);
            return ZSP_ENOMEM;
        }
    }
    binding->topic = topic;
    binding->group->attached++;
    return 0;
}

void binding_destroy(struct groups *self, struct binding *binding)
{
    if (binding->topic) {
        detach(self, binding, binding->topic->partition_count);
    }
    (void)name_index_remove(&binding->group->bindings, binding->followers->name);
    if (binding->is_found) {
        pattern_lost(binding);
    }
    unfollow(self, binding);
    zsp_assert(!binding->work); /* no ledgers */
    free(binding);
}

struct ledger *group_ledger(const struct group *group, struct zsp_slice topic, uint64_t partition)
{
    const struct binding *binding = name_index_find(&group->bindings, topic);
    if (!binding || !binding->topic || partition >= binding->topic->partition_count) {
        return NULL;
    }
    return binding->ledgers[partition];
}

int group_find_binding(const struct group *group, struct zsp_slice topic,
                       const struct wire_uint *partition, struct binding **ret, struct zsp_err *err)
{
    struct binding *binding = NULL;
    if (topic.data) {
        binding = name_index_find(&group->bindings, topic);
    } else if (group->bindings.count == 1) {
        binding = group->bindings.slots[0].value;
    } else {
        (void)zsp_err_set(err, ZSP_EBAD_VALUE, "topic: %s has %" PRIu32 " topics, name one",
                          group->object, group->bindings.count);
        zsp_err_detail(err, "topic", "the name of one topic", NULL);
        return ZSP_EBAD_VALUE;
    }
    if (!binding || !binding->topic) {
        const struct zsp_slice name = topic.data ? topic : group->bindings.slots[0].name;
        (void)zsp_err_set(err, ZSP_ENOT_FOUND, "%s has no topic %.*s", group->object, (int)name.len,
                          (const char *)name.data);
        zsp_err_detail(err, group->object, NULL, NULL);
        return ZSP_ENOT_FOUND;
    }
    if (partition->set && partition->value >= binding->topic->partition_count) {
        return topic_refuse_partition(binding->topic->object, partition->value,
                                      binding->topic->partition_count, err);
    }
    *ret = binding;
    return 0;
}

/* --- Hooks of the core ------------------------------------------------------------------------- */

void group_topic_created(struct engine *engine, struct topic *topic)
{
    struct groups *const self = engine->groups;
    const struct followers *const followers = zsp_table_find(&self->followers, topic->name);
    struct binding *binding = followers ? followers->first : NULL;
    for (; binding; binding = binding->next) {
        if (!binding->topic && binding_attach(self, binding, topic) < 0) {
            group_out_of_memory(self);
            return;
        }
    }
    if (self->patterns.count > 0 && pattern_topic(engine, topic) < 0) {
        group_out_of_memory(self);
    }
}

/* More ledgers, for partitions that nobody sees yet. */
static int grow_binding(struct groups *self, struct binding *binding, uint32_t count)
{
    struct topic *const topic = binding->topic;
    const uint32_t old_count = topic->partition_count;
    struct ledger **const ledgers = calloc(count, sizeof(struct ledger *));
    if (!ledgers) {
        return ZSP_ENOMEM;
    }
    memcpy(ledgers, binding->ledgers, old_count * sizeof(struct ledger *));
    if (binding->ledgers != &binding->only) {
        free(binding->ledgers);
    }
    binding->ledgers = ledgers;
    for (uint32_t i = old_count; i < count; i++) {
        if (begin_ledger(self, binding, topic->partitions[i]) < 0) {
            return ZSP_ENOMEM;
        }
    }
    return 0;
}

int group_topic_grows(struct engine *engine, struct topic *topic, uint32_t count)
{
    struct groups *const self = engine->groups;
    const struct followers *const followers = zsp_table_find(&self->followers, topic->name);
    struct binding *binding = followers ? followers->first : NULL;
    for (; binding; binding = binding->next) {
        if (binding->topic == topic && grow_binding(self, binding, count) < 0) {
            group_out_of_memory(self);
            return ZSP_ENOMEM;
        }
    }
    return 0;
}

const char *group_that_orders(const struct engine *engine, const struct topic *topic)
{
    const struct followers *const followers =
        zsp_table_find(&engine->groups->followers, topic->name);
    const struct binding *binding = followers ? followers->first : NULL;
    while (binding && (binding->group->mode == GROUP_SHARED || binding->group->side)) {
        binding = binding->next;
    }
    return binding ? binding->group->object : NULL;
}

void group_topic_deleted(struct engine *engine, struct topic *topic)
{
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        struct partition *partition = topic->partitions[i];
        while (partition->ledger_first) {
            struct binding *binding = partition->ledger_first->binding;
            zsp_assert(binding->ledgers);
            for (uint32_t k = 0; k < topic->partition_count; k++) {
                group_ledger_put_gone(engine, binding->ledgers[k]);
            }
            detach(engine->groups, binding, topic->partition_count);
            if (binding->is_found) {
                binding_destroy(engine->groups, binding);
            }
        }
    }
}
