/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/set_aside.h"

#include <stdlib.h>

#define CAPACITY_MIN 16u

void set_aside_fini(struct set_aside *self)
{
    struct store_completion completion;
    while (set_aside_next(self, &completion)) {
        store_completion_release(&completion);
    }
    free(self->items);
    *self = (struct set_aside){0};
}

static int grow(struct set_aside *self)
{
    const size_t capacity = self->capacity > 0 ? self->capacity * 2 : CAPACITY_MIN;
    struct store_completion *const items = calloc(capacity, sizeof *items);
    if (!items) {
        return ZSP_ENOMEM;
    }
    for (size_t i = 0; i < self->count; i++) {
        items[i] = self->items[(self->first + i) & (self->capacity - 1)];
    }
    free(self->items);
    self->items = items;
    self->first = 0;
    self->capacity = capacity;
    return 0;
}

int set_aside_add(struct set_aside *self, struct store_completion *completion)
{
    if (self->count == self->capacity && grow(self) < 0) {
        return ZSP_ENOMEM;
    }
    self->items[(self->first + self->count) & (self->capacity - 1)] = *completion;
    self->count++;
    *completion = (struct store_completion){0};
    return 0;
}

bool set_aside_next(struct set_aside *self, struct store_completion *ret)
{
    if (self->count == 0) {
        return false;
    }
    *ret = self->items[self->first];
    self->first = (self->first + 1) & (self->capacity - 1);
    self->count--;
    return true;
}
