/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/sim/sim_events.h"

#include <stdlib.h>

#include "common/assert.h"

static bool before(const struct event *a, const struct event *b)
{
    return a->time_ms != b->time_ms ? a->time_ms < b->time_ms : a->order < b->order;
}

static void swap(struct event *a, struct event *b)
{
    const struct event kept = *a;
    *a = *b;
    *b = kept;
}

void events_fini(struct events *self)
{
    free(self->items);
    *self = (struct events){0};
}

void events_add(struct events *self, int64_t time_ms, enum event_kind kind, uint32_t life,
                void *ptr)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity > 0 ? 2 * self->capacity : 64;
        self->items = realloc(self->items, self->capacity * sizeof *self->items);
        zsp_assert(self->items);
    }
    size_t i = self->count++;
    self->items[i] = (struct event){
        .time_ms = time_ms, .order = self->next_order++, .kind = kind, .life = life, .ptr = ptr};
    while (i > 0 && before(&self->items[i], &self->items[(i - 1) / 2])) {
        swap(&self->items[i], &self->items[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
}

int64_t events_next_ms(const struct events *self)
{
    return self->count > 0 ? self->items[0].time_ms : INT64_MAX;
}

bool events_take(struct events *self, struct event *ret)
{
    if (self->count == 0) {
        return false;
    }
    *ret = self->items[0];
    self->items[0] = self->items[--self->count];
    size_t i = 0;
    for (;;) {
        size_t least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < self->count; child++) {
            if (before(&self->items[child], &self->items[least])) {
                least = child;
            }
        }
        if (least == i) {
            return true;
        }
        swap(&self->items[i], &self->items[least]);
        i = least;
    }
}
