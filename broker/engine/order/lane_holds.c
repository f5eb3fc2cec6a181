/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/order/lane_holds.h"

#include <stdlib.h>
#include <string.h>

#include "common/assert.h"
#include "common/err.h"

#define CAPACITY_MIN 4u

struct lane_holds {
    uint32_t first, end, capacity; /* those in use are [first, end) */
    uint64_t offsets[];            /* rising */
};

static struct lane_holds *resize(struct lane_holds *self, uint32_t capacity)
{
    struct lane_holds *const made =
        realloc(self, sizeof *made + capacity * sizeof made->offsets[0]);
    if (made && !self) {
        made->first = made->end = 0;
    }
    if (made) {
        made->capacity = capacity;
    }
    return made;
}

/* Room behind the last: what was removed in front is used again once that is half of it. */
static int make_room(struct lane_holds **self_p)
{
    struct lane_holds *const self = *self_p;
    if (self && self->end < self->capacity) {
        return 0;
    }
    if (self && self->first > 0 && self->first >= self->capacity / 2) {
        memmove(self->offsets, self->offsets + self->first,
                (self->end - self->first) * sizeof self->offsets[0]);
        self->end -= self->first;
        self->first = 0;
        return 0;
    }
    if (self && self->capacity > UINT32_MAX / 2) {
        return ZSP_ENOMEM;
    }
    struct lane_holds *const grown = resize(self, self ? self->capacity * 2 : CAPACITY_MIN);
    *self_p = grown ? grown : self;
    return grown ? 0 : ZSP_ENOMEM;
}

/* Where the first that is not below `offset` lies. */
static uint32_t place_of(const struct lane_holds *self, uint64_t offset)
{
    uint32_t low = self->first;
    uint32_t high = self->end;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (self->offsets[middle] < offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

int lane_holds_add(struct lane_holds **self_p, uint64_t offset)
{
    int rc = make_room(self_p);
    if (rc < 0) {
        return rc;
    }
    struct lane_holds *const self = *self_p;
    const uint32_t at = place_of(self, offset);
    zsp_assert(at == self->end || self->offsets[at] != offset);
    memmove(self->offsets + at + 1, self->offsets + at, (self->end - at) * sizeof self->offsets[0]);
    self->offsets[at] = offset;
    self->end++;
    return 0;
}

void lane_holds_remove(struct lane_holds **self_p, uint64_t offset)
{
    struct lane_holds *const self = *self_p;
    zsp_assert(self);
    const uint32_t at = place_of(self, offset);
    zsp_assert(at < self->end && self->offsets[at] == offset);
    if (at == self->first) {
        self->first++;
    } else {
        memmove(self->offsets + at, self->offsets + at + 1,
                (self->end - at - 1) * sizeof self->offsets[0]);
        self->end--;
    }
    if (self->first == self->end) {
        lane_holds_free(self_p);
    }
}

uint64_t lane_holds_first(const struct lane_holds *self)
{
    return self ? self->offsets[self->first] : UINT64_MAX;
}

void lane_holds_free(struct lane_holds **self_p)
{
    free(*self_p);
    *self_p = NULL;
}
