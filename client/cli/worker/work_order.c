/* SPDX-License-Identifier: MPL-2.0
 *
 * Groups that keep an order: what has to come after a message that a command has in hand waits
 * here for its turn, leased as the others.
 */
#include <string.h>

#include "client/cli/worker/work.h"

/* Asked when two commands would run for the first time: the group is there then. */
static void learn_order(struct work *self)
{
    zspool_error_t err = {0};
    zspool_group_info_t *info = NULL;
    if (self->order != WORK_ORDER_UNKNOWN) {
        return;
    }
    self->order = WORK_ORDER_PARTITION; /* as long as it is not known: never wrong */
    if (zspool_group_info(self->client, self->group, cli_timeout(), &info, &err) == 0) {
        self->order = strcmp(info->mode, "ordered") == 0 ? WORK_ORDER_PARTITION
                      : strcmp(info->mode, "keyed") == 0 ? WORK_ORDER_KEY
                                                         : WORK_ORDER_NONE;
        zspool_free(info);
    }
}

/* Must one of them come after the other? */
static bool meets(const struct work *self, const zspool_message_t *a, const zspool_message_t *b)
{
    if (self->order == WORK_ORDER_NONE || strcmp(a->topic, b->topic) != 0) {
        return false;
    }
    if (self->order == WORK_ORDER_PARTITION) {
        return a->partition == b->partition;
    }
    return a->key.data && b->key.data && a->key.len == b->key.len &&
           memcmp(a->key.data, b->key.data, a->key.len) == 0;
}

/* Does it meet one that runs, or one of the first `count` that wait? */
static bool has_to_wait(const struct work *self, const zspool_message_t *message, size_t count)
{
    for (size_t i = 0; i < self->jobs; i++) {
        const struct slot *const slot = &self->slots[i];
        if (slot->child.pid != 0 && meets(self, slot->message, message)) {
            return true;
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (meets(self, self->waiting[i], message)) {
            return true;
        }
    }
    return false;
}

bool work_wait_in_order(struct work *self, const zspool_message_t *message)
{
    if (self->running + self->waiting_count == 0) {
        return false;
    }
    learn_order(self);
    if (!has_to_wait(self, message, self->waiting_count)) {
        return false;
    }
    self->waiting[self->waiting_count++] = message;
    return true;
}

/* Take out the i-th. */
static const zspool_message_t *take(struct work *self, size_t i)
{
    const zspool_message_t *const message = self->waiting[i];
    self->waiting_count--;
    memmove(self->waiting + i, self->waiting + i + 1,
            (self->waiting_count - i) * sizeof(const zspool_message_t *));
    return message;
}

const zspool_message_t *work_next_in_order(struct work *self)
{
    for (size_t i = 0; i < self->waiting_count; i++) {
        if (!has_to_wait(self, self->waiting[i], i)) {
            return take(self, i);
        }
    }
    return NULL;
}

static void give_back(struct work *self, size_t i)
{
    zspool_error_t err = {0};
    if (zspool_settle(self->consumer, take(self, i), ZSPOOL_RELEASE, NULL, &err) != 0) {
        work_fail(self, cli_fail(&err));
    }
}

void work_order_broken(struct work *self, const zspool_message_t *message)
{
    for (size_t i = self->waiting_count; i-- > 0;) {
        if (i < self->waiting_count && meets(self, self->waiting[i], message)) {
            give_back(self, i);
        }
    }
}

void work_order_lost(struct work *self, const zspool_lost_t *lost)
{
    for (size_t i = self->waiting_count; i-- > 0;) {
        if (i < self->waiting_count && work_is_about(lost, self->waiting[i])) {
            give_back(self, i);
        }
    }
}

void work_order_end(struct work *self)
{
    while (self->waiting_count > 0) {
        give_back(self, self->waiting_count - 1);
    }
}
