/* SPDX-License-Identifier: MPL-2.0
 *
 * In which list a pull is, and who counts it there.
 */
#include "broker/engine/pull/pull.h"

void pull_count_waiting(struct pull *self, uint32_t change)
{
    if (self->all_topics) {
        self->group->work->waiting_all += change;
    }
    for (size_t i = 0; self->topics && i < self->topics->count; i++) {
        binding_wait(self->topics->bindings[i], change);
    }
}

/* It is in the list of parked ones now. */
static void enter_parked(struct pull *self)
{
    self->state = PULL_PARKED;
    self->group->work->parked_count++;
    pull_count_waiting(self, 1);
}

void pull_park(struct pull *self)
{
    TAILQ_INSERT_TAIL(&self->group->work->parked, self, link);
    enter_parked(self);
}

static void leave_parked(struct pull *self)
{
    pull_count_waiting(self, UINT32_MAX); /* unsigned: minus one */
    TAILQ_REMOVE(&self->group->work->parked, self, link);
    self->group->work->parked_count--;
}

void pull_unpark(struct pull *self)
{
    leave_parked(self);
    self->state = PULL_READING;
    TAILQ_INSERT_TAIL(&self->group->work->working, self, link);
}

void pull_park_again(struct pull *self)
{
    TAILQ_REMOVE(&self->group->work->working, self, link);
    TAILQ_INSERT_HEAD(&self->group->work->parked, self, link);
    enter_parked(self);
}

void pull_lose_group(struct groups *groups, struct pull *self)
{
    TAILQ_REMOVE(&self->group->work->working, self, link);
    TAILQ_INSERT_TAIL(&groups->lost_pulls, self, link);
    group_work_leave(self->group);
    self->group = NULL;
}

void pull_leave_group(struct groups *groups, struct pull *self)
{
    if (!self->group) {
        TAILQ_REMOVE(&groups->lost_pulls, self, link);
        return;
    }
    if (self->state == PULL_PARKED) {
        leave_parked(self);
    } else {
        TAILQ_REMOVE(&self->group->work->working, self, link);
    }
    group_work_leave(self->group);
    self->group = NULL;
}
