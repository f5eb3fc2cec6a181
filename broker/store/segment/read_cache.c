/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/segment/read_cache.h"

#include <stdlib.h>
#include <string.h>

#include "common/assert.h"

#define PART_CAPACITY_MIN 4u

struct cached_read {
    struct cached_read *newer, *older;
    struct read_cache_part *part;
    uint64_t bytes;
    uint64_t end_offset;
    uint32_t count;
    struct store_batch batches[];
};

static uint64_t first_offset(const struct cached_read *read)
{
    return read->batches[0].first_offset;
}

static uint64_t end_of(const struct store_batch *batch)
{
    return batch->first_offset + batch->record_count;
}

/* --- The order of use ------------------------------------------------------------------- */

static void unlink_read(struct read_cache *self, struct cached_read *read)
{
    *(read->newer ? &read->newer->older : &self->newest) = read->older;
    *(read->older ? &read->older->newer : &self->oldest) = read->newer;
}

static void link_newest(struct read_cache *self, struct cached_read *read)
{
    read->newer = NULL;
    read->older = self->newest;
    *(read->older ? &read->older->newer : &self->oldest) = read;
    self->newest = read;
}

/* --- Those of one partition ------------------------------------------------------------- */

/* How many of them begin at or before `offset`. */
static size_t count_until(const struct read_cache_part *part, uint64_t offset)
{
    size_t first = 0;
    size_t end = part->count;
    while (first < end) {
        const size_t middle = first + (end - first) / 2;
        if (first_offset(part->items[middle]) <= offset) {
            first = middle + 1;
        } else {
            end = middle;
        }
    }
    return first;
}

static int grow(struct read_cache_part *part)
{
    const uint32_t capacity = part->capacity ? part->capacity * 2 : PART_CAPACITY_MIN;
    struct cached_read **items = realloc(part->items, capacity * sizeof(struct cached_read *));
    if (!items) {
        return ZSP_ENOMEM;
    }
    part->items = items;
    part->capacity = capacity;
    return 0;
}

static void forget(struct read_cache *self, struct cached_read *read)
{
    struct read_cache_part *part = read->part;
    const size_t index = count_until(part, first_offset(read)) - 1;
    zsp_assert(part->items[index] == read);
    part->count--;
    memmove(part->items + index, part->items + index + 1,
            (part->count - index) * sizeof(struct cached_read *));
    if (part->count == 0) { /* an idle partition keeps no memory */
        free(part->items);
        *part = (struct read_cache_part){0};
    }
    unlink_read(self, read);
    self->bytes -= read->bytes;
    for (uint32_t i = 0; i < read->count; i++) {
        zsp_buf_put(&read->batches[i].frame);
    }
    free(read);
}

/* --- What others ask for ---------------------------------------------------------------- */

static struct cached_read *read_new(struct read_cache_part *part, const struct store_batch *batches,
                                    uint32_t count, uint64_t bytes)
{
    struct cached_read *read = malloc(sizeof *read + count * sizeof *batches);
    if (!read) {
        return NULL;
    }
    *read = (struct cached_read){
        .part = part, .bytes = bytes, .end_offset = end_of(&batches[count - 1]), .count = count};
    for (uint32_t i = 0; i < count; i++) {
        zsp_assert(batches[i].frame == batches[0].frame);
        zsp_assert(i == 0 || batches[i].first_offset == end_of(&batches[i - 1]));
        read->batches[i] = batches[i];
        (void)zsp_buf_get(read->batches[i].frame);
    }
    return read;
}

void read_cache_add(struct read_cache *self, struct read_cache_part *part,
                    const struct store_batch *batches, uint32_t count)
{
    if (count == 0) {
        return;
    }
    const uint64_t bytes =
        sizeof(struct cached_read) + count * sizeof *batches + batches[0].frame->len;
    if (bytes > self->bytes_max) {
        return;
    }
    size_t index = count_until(part, batches[0].first_offset);
    struct cached_read *same = index > 0 ? part->items[index - 1] : NULL;
    if (same && same->end_offset >= end_of(&batches[count - 1])) {
        return;
    }
    if (same && first_offset(same) == batches[0].first_offset) { /* shorter */
        forget(self, same);
    }
    while (self->bytes_max - self->bytes < bytes) {
        forget(self, self->oldest);
    }
    struct cached_read *read = read_new(part, batches, count, bytes);
    if (!read) {
        return;
    }
    if (part->count == part->capacity && grow(part) < 0) {
        for (uint32_t i = 0; i < count; i++) {
            zsp_buf_put(&read->batches[i].frame);
        }
        free(read);
        return;
    }
    index = count_until(part, batches[0].first_offset); /* some have gone */
    memmove(part->items + index + 1, part->items + index,
            (part->count - index) * sizeof(struct cached_read *));
    part->items[index] = read;
    part->count++;
    link_newest(self, read);
    self->bytes += bytes;
}

size_t read_cache_find(struct read_cache *self, const struct read_cache_part *part,
                       const struct store_range *range, uint32_t max_bytes,
                       const struct store_batch **ret_batches)
{
    const size_t index = count_until(part, range->first_offset);
    struct cached_read *read = index > 0 ? part->items[index - 1] : NULL;
    if (!read || read->end_offset <= range->first_offset) {
        return 0;
    }
    uint32_t first = 0;
    while (end_of(&read->batches[first]) <= range->first_offset) {
        first++;
    }
    size_t count = 0;
    uint64_t bytes = 0;
    for (uint32_t i = first; i < read->count; i++) {
        const struct store_batch *batch = &read->batches[i];
        if (batch->first_offset >= range->end_offset ||
            (count > 0 && bytes + batch->body.len > max_bytes)) {
            break;
        }
        bytes += batch->body.len;
        count++;
    }
    unlink_read(self, read);
    link_newest(self, read);
    *ret_batches = &read->batches[first];
    return count;
}

void read_cache_drop(struct read_cache *self, struct read_cache_part *part)
{
    while (part->count > 0) {
        forget(self, part->items[part->count - 1]);
    }
}
