/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/segment/tail.h"

#include <stdlib.h>
#include <string.h>

#include "common/assert.h"

#define PART_CAPACITY_MIN  1u /* most partitions are idle */
#define ORDER_CAPACITY_MIN 16u

static uint64_t cost(const struct store_batch *batch)
{
    return batch->body.len + sizeof *batch;
}

const struct store_batch *tail_get(const struct tail_part *part, size_t index)
{
    return &part->items[(part->first + index) & (part->capacity - 1)];
}

static int grow_part(struct tail_part *part)
{
    const uint32_t capacity = part->capacity ? part->capacity * 2 : PART_CAPACITY_MIN;
    struct store_batch *items = calloc(capacity, sizeof *items);
    if (!items) {
        return ZSP_ENOMEM;
    }
    for (size_t i = 0; i < part->count; i++) {
        items[i] = *tail_get(part, i);
    }
    free(part->items);
    part->items = items;
    part->first = 0;
    part->capacity = capacity;
    return 0;
}

static int grow_order(struct tail *self)
{
    const size_t capacity = self->capacity ? self->capacity * 2 : ORDER_CAPACITY_MIN;
    struct tail_part **order = calloc(capacity, sizeof(struct tail_part *));
    if (!order) {
        return ZSP_ENOMEM;
    }
    for (size_t i = 0; i < self->count; i++) {
        order[i] = self->order[(self->first + i) & (self->capacity - 1)];
    }
    free(self->order);
    self->order = order;
    self->first = 0;
    self->capacity = capacity;
    return 0;
}

static void pop_part(struct tail *self, struct tail_part *part)
{
    struct store_batch *batch = &part->items[part->first];
    self->bytes -= cost(batch);
    zsp_buf_put(&batch->frame);
    part->first = (part->first + 1) & (part->capacity - 1);
    part->count--;
    if (part->count == 0) { /* an idle partition keeps no memory */
        free(part->items);
        memset(part, 0, sizeof *part);
    }
}

static void pop_oldest(struct tail *self)
{
    struct tail_part *part = self->order[self->first];
    self->first = (self->first + 1) & (self->capacity - 1);
    self->count--;
    if (part) {
        pop_part(self, part);
    }
}

static bool begins_below(const struct tail_part *part, uint64_t offset)
{
    if (part->count == 0) {
        return false;
    }
    const struct store_batch *batch = tail_get(part, 0);
    return batch->first_offset + batch->record_count <= offset;
}

void tail_drop_below(struct tail *self, struct tail_part *part, uint64_t offset)
{
    for (size_t i = 0; i < self->count && begins_below(part, offset); i++) {
        struct tail_part **slot = &self->order[(self->first + i) & (self->capacity - 1)];
        if (*slot == part) {
            *slot = NULL;
            pop_part(self, part);
        }
    }
}

void tail_drop(struct tail *self, struct tail_part *part)
{
    if (part->count > 0) {
        for (size_t i = 0; i < self->count; i++) {
            struct tail_part **slot = &self->order[(self->first + i) & (self->capacity - 1)];
            if (*slot == part) {
                *slot = NULL;
            }
        }
    }
    while (part->count > 0) {
        pop_part(self, part);
    }
}

void tail_add(struct tail *self, struct tail_part *part, const struct store_batch *batch)
{
    if (cost(batch) > self->bytes_max) {
        tail_drop(self, part);
        return;
    }
    while (self->bytes_max - self->bytes < cost(batch)) {
        pop_oldest(self);
    }
    if ((part->count == part->capacity && grow_part(part) < 0) ||
        (self->count == self->capacity && grow_order(self) < 0)) {
        tail_drop(self, part);
        return;
    }
    if (part->count > 0) {
        const struct store_batch *last = tail_get(part, part->count - 1);
        zsp_assert(batch->first_offset == last->first_offset + last->record_count);
    }
    struct store_batch *item = &part->items[(part->first + part->count) & (part->capacity - 1)];
    *item = *batch;
    (void)zsp_buf_get(item->frame);
    part->count++;
    self->order[(self->first + self->count) & (self->capacity - 1)] = part;
    self->count++;
    self->bytes += cost(batch);
}

size_t tail_find(const struct tail_part *part, const struct store_range *range, uint32_t max_bytes,
                 size_t *ret_index)
{
    if (part->count == 0 || range->first_offset < tail_get(part, 0)->first_offset) {
        return 0;
    }
    size_t first = 0; /* the last batch that begins at or before the offset */
    size_t end = part->count;
    while (end - first > 1) {
        const size_t middle = first + (end - first) / 2;
        if (tail_get(part, middle)->first_offset <= range->first_offset) {
            first = middle;
        } else {
            end = middle;
        }
    }
    const struct store_batch *batch = tail_get(part, first);
    if (range->first_offset - batch->first_offset >= batch->record_count) {
        return 0;
    }
    size_t count = 0;
    uint64_t bytes = 0;
    for (size_t i = first; i < part->count; i++) {
        batch = tail_get(part, i);
        if (batch->first_offset >= range->end_offset ||
            (count > 0 && bytes + batch->body.len > max_bytes)) {
            break;
        }
        bytes += batch->body.len;
        count++;
    }
    *ret_index = first;
    return count;
}

void tail_fini(struct tail *self)
{
    while (self->count > 0) {
        pop_oldest(self);
    }
    free(self->order);
    self->order = NULL;
    self->capacity = 0;
}
