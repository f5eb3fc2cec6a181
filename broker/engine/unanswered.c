/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/unanswered.h"

#include <stdlib.h>
#include <string.h>

#include "common/assert.h"

void pending_init(struct pending_set *self)
{
    memset(self, 0, sizeof *self);
    self->first = self->last = self->free_first = PENDING_NONE;
}

void pending_fini(struct pending_set *self)
{
    free(self->slots);
    pending_init(self);
}

static int grow(struct pending_set *self)
{
    const uint32_t capacity = self->capacity > 0 ? self->capacity * 2 : 64;
    struct pending *const slots = realloc(self->slots, capacity * sizeof *slots);
    if (!slots) {
        return ZSP_ENOMEM;
    }
    for (uint32_t i = capacity; i-- > self->capacity;) {
        slots[i] = (struct pending){.next = self->free_first};
        self->free_first = i;
    }
    self->slots = slots;
    self->capacity = capacity;
    return 0;
}

int pending_open(struct pending_set *self, struct reply_to *to)
{
    if (self->free_first == PENDING_NONE && grow(self)) {
        return ZSP_ENOMEM;
    }
    const uint32_t slot = self->free_first;
    struct pending *const item = &self->slots[slot];
    self->free_first = item->next;
    to->slot = slot;
    *item = (struct pending){
        .ticket = to->ticket,
        .used = true,
        .next = PENDING_NONE,
        .prev = self->last,
        .to = *to,
    };
    if (self->last == PENDING_NONE) {
        self->first = slot;
    } else {
        self->slots[self->last].next = slot;
    }
    self->last = slot;
    self->count++;
    return 0;
}

struct pending *pending_find(const struct pending_set *self, const struct reply_to *to)
{
    if (to->slot >= self->capacity) {
        return NULL;
    }
    struct pending *const item = &self->slots[to->slot];
    return item->used && item->ticket == to->ticket ? item : NULL;
}

void pending_close(struct pending_set *self, const struct reply_to *to)
{
    struct pending *const item = pending_find(self, to);
    if (!item) {
        return;
    }
    if (item->prev == PENDING_NONE) {
        self->first = item->next;
    } else {
        self->slots[item->prev].next = item->next;
    }
    if (item->next == PENDING_NONE) {
        self->last = item->prev;
    } else {
        self->slots[item->next].prev = item->prev;
    }
    item->used = false;
    item->next = self->free_first;
    self->free_first = to->slot;
    zsp_assert(self->count > 0);
    self->count--;
}

const struct reply_to *pending_oldest(const struct pending_set *self)
{
    return self->first == PENDING_NONE ? NULL : &self->slots[self->first].to;
}
