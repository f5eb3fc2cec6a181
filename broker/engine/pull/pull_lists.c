/* SPDX-License-Identifier: MPL-2.0
 *
 * In which list a pull is, and who counts it there.
 */
#include "broker/engine/pull/pull.h"

static void list_add(struct pull_list *list, struct pull *pull, bool at_front)
{
    pull->next = at_front ? list->first : NULL;
    pull->prev = at_front ? NULL : list->last;
    *(pull->prev ? &pull->prev->next : &list->first) = pull;
    *(pull->next ? &pull->next->prev : &list->last) = pull;
}

static void list_remove(struct pull_list *list, struct pull *pull)
{
    *(pull->prev ? &pull->prev->next : &list->first) = pull->next;
    *(pull->next ? &pull->next->prev : &list->last) = pull->prev;
    pull->next = pull->prev = NULL;
}

void pull_count_waiting(struct pull *self, uint32_t change)
{
    if (self->all_topics) {
        self->group->work->waiting_all += change;
    }
    for (size_t i = 0; self->topics && i < self->topics->count; i++) {
        binding_wait(self->topics->bindings[i], change);
    }
}

static void park(struct pull *self, bool at_front)
{
    self->state = PULL_PARKED;
    list_add(&self->group->work->parked, self, at_front);
    self->group->work->parked_count++;
    pull_count_waiting(self, 1);
}

void pull_park(struct pull *self)
{
    park(self, false);
}

static void leave_parked(struct pull *self)
{
    pull_count_waiting(self, UINT32_MAX); /* unsigned: minus one */
    list_remove(&self->group->work->parked, self);
    self->group->work->parked_count--;
}

void pull_unpark(struct pull *self)
{
    leave_parked(self);
    self->state = PULL_READING;
    list_add(&self->group->work->working, self, false);
}

void pull_park_again(struct pull *self)
{
    list_remove(&self->group->work->working, self);
    park(self, true);
}

void pull_lose_group(struct groups *groups, struct pull *self)
{
    list_remove(&self->group->work->working, self);
    list_add(&groups->lost_pulls, self, false);
    group_work_leave(self->group);
    self->group = NULL;
}

void pull_leave_group(struct groups *groups, struct pull *self)
{
    if (!self->group) {
        list_remove(&groups->lost_pulls, self);
        return;
    }
    if (self->state == PULL_PARKED) {
        leave_parked(self);
    } else {
        list_remove(&self->group->work->working, self);
    }
    group_work_leave(self->group);
    self->group = NULL;
}
