/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/index/index.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/assert.h"
#include "common/hash.h"

#define INDEX_VERSION 1u
#define SUM_POS       64u
#define CAPACITY_MIN  1u /* most segments are small */

static const uint8_t magic[4] = {'Z', 'S', 'P', 'I'};

void index_note(struct seg_index *self, const struct index_entry *entry)
{
    if (self->count > 0) {
        const struct index_entry *last = &self->entries[self->count - 1];
        zsp_assert(entry->offset > last->offset && entry->pos > last->pos);
        if (entry->pos - last->pos < INDEX_STEP) {
            return;
        }
    }
    if (self->count == self->capacity) {
        const uint32_t capacity = self->capacity ? self->capacity * 2 : CAPACITY_MIN;
        struct index_entry *entries = realloc(self->entries, capacity * sizeof *entries);
        if (!entries) {
            return;
        }
        self->entries = entries;
        self->capacity = capacity;
    }
    self->entries[self->count++] = *entry;
}

const struct index_entry *index_find_offset(const struct seg_index *self, uint64_t offset)
{
    size_t first = 0;
    size_t end = self->count; /* the answer is the one before the first above `offset` */
    while (first < end) {
        const size_t middle = first + (end - first) / 2;
        if (self->entries[middle].offset <= offset) {
            first = middle + 1;
        } else {
            end = middle;
        }
    }
    return first > 0 ? &self->entries[first - 1] : NULL;
}

const struct index_entry *index_find_time(const struct seg_index *self, int64_t time_ms)
{
    size_t first = 0;
    size_t end = self->count;
    while (first < end) {
        const size_t middle = first + (end - first) / 2;
        if (self->entries[middle].max_before_ms < time_ms) {
            first = middle + 1;
        } else {
            end = middle;
        }
    }
    return first > 0 ? &self->entries[first - 1] : NULL;
}

int index_prepend(struct seg_index *self, struct seg_index *older)
{
    const uint32_t count = self->count + older->count;
    struct index_entry *entries = calloc(count ? count : 1, sizeof *entries);
    if (!entries) {
        return ZSP_ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        entries[i] = i < older->count ? older->entries[i] : self->entries[i - older->count];
    }
    free(self->entries);
    self->entries = entries;
    self->count = count;
    self->capacity = count ? count : 1;
    self->complete = older->complete;
    index_fini(older);
    return 0;
}

void index_fini(struct seg_index *self)
{
    free(self->entries);
    memset(self, 0, sizeof *self);
}

/* --- The file ---------------------------------------------------------------------- */

static uint64_t index_sum(const uint8_t *bytes, size_t entry_bytes, const struct batch_place *place)
{
    const uint64_t seed = batch_segment_binding(place);
    const uint64_t header = zsp_hash_seeded((struct zsp_slice){bytes, SUM_POS}, seed);
    return zsp_hash_seeded((struct zsp_slice){bytes + INDEX_HEADER_BYTES, entry_bytes}, header);
}

void index_encode(struct zsp_writer *out, const struct seg_index *self,
                  const struct index_facts *facts, const struct batch_place *place)
{
    const size_t entry_bytes = self->count * INDEX_ENTRY_BYTES;
    uint8_t *p = zsp_write_room(out, INDEX_HEADER_BYTES + entry_bytes);
    if (!p) {
        return;
    }
    memset(p, 0, INDEX_HEADER_BYTES);
    memcpy(p, magic, sizeof magic);
    p[4] = INDEX_VERSION;
    zsp_put_u64(p + 8, self->count);
    zsp_put_u64(p + 16, facts->base_offset);
    zsp_put_u64(p + 24, facts->end_offset);
    zsp_put_u64(p + 32, facts->bytes);
    zsp_put_u64(p + 40, (uint64_t)facts->max_timestamp_ms);
    for (size_t i = 0; i < self->count; i++) {
        uint8_t *entry = p + INDEX_HEADER_BYTES + i * INDEX_ENTRY_BYTES;
        zsp_put_u64(entry, self->entries[i].offset);
        zsp_put_u64(entry + 8, self->entries[i].pos);
        zsp_put_u64(entry + 16, (uint64_t)self->entries[i].max_before_ms);
    }
    zsp_put_u64(p + SUM_POS, index_sum(p, entry_bytes, place));
}

/* Do the entries rise, within the segment, from its beginning? */
static bool entries_valid(const struct seg_index *self, const struct index_facts *facts)
{
    for (size_t i = 0; i < self->count; i++) {
        const struct index_entry *entry = &self->entries[i];
        if (entry->offset < facts->base_offset || entry->offset >= facts->end_offset ||
            entry->pos >= facts->bytes || entry->pos % BATCH_ALIGN != 0) {
            return false;
        }
        if (i > 0 && (entry->offset <= entry[-1].offset || entry->pos <= entry[-1].pos ||
                      entry->max_before_ms < entry[-1].max_before_ms)) {
            return false;
        }
    }
    return self->count == 0 || self->entries[0].pos == 0;
}

bool index_peek(struct zsp_slice bytes, struct index_facts *ret)
{
    const uint8_t *p = bytes.data;
    if (bytes.len < INDEX_HEADER_BYTES || memcmp(p, magic, sizeof magic) != 0) {
        return false;
    }
    *ret = (struct index_facts){zsp_get_u64(p + 16), zsp_get_u64(p + 24), zsp_get_u64(p + 32),
                                (int64_t)zsp_get_u64(p + 40)};
    return true;
}

int index_decode(struct zsp_slice bytes, const struct index_facts *want,
                 const struct batch_place *place, struct seg_index *ret, struct zsp_err *err)
{
    const uint8_t *p = bytes.data;
    if (bytes.len < INDEX_HEADER_BYTES || memcmp(p, magic, sizeof magic) != 0 ||
        p[4] != INDEX_VERSION) {
        return zsp_err_set(err, ZSP_ECORRUPT, "no index of version %u", INDEX_VERSION);
    }
    const size_t entry_bytes = bytes.len - INDEX_HEADER_BYTES;
    const uint64_t count = zsp_get_u64(p + 8);
    if (entry_bytes % INDEX_ENTRY_BYTES != 0 || count != entry_bytes / INDEX_ENTRY_BYTES ||
        count > UINT32_MAX || index_sum(p, entry_bytes, place) != zsp_get_u64(p + SUM_POS)) {
        return zsp_err_set(err, ZSP_ECORRUPT, "the index is damaged");
    }
    if (zsp_get_u64(p + 16) != want->base_offset || zsp_get_u64(p + 24) != want->end_offset ||
        zsp_get_u64(p + 32) != want->bytes) {
        return zsp_err_set(err, ZSP_ECORRUPT, "the index is of another segment");
    }
    struct seg_index index = {
        .count = (uint32_t)count, .capacity = (uint32_t)count, .complete = true};
    index.entries = calloc(count ? (size_t)count : 1, sizeof *index.entries);
    if (!index.entries) {
        return zsp_err_set(err, ZSP_ENOMEM, "index of %" PRIu64 " entries", count);
    }
    for (size_t i = 0; i < index.count; i++) {
        const uint8_t *entry = p + INDEX_HEADER_BYTES + i * INDEX_ENTRY_BYTES;
        index.entries[i] = (struct index_entry){zsp_get_u64(entry), zsp_get_u64(entry + 8),
                                                (int64_t)zsp_get_u64(entry + 16)};
    }
    if (!entries_valid(&index, want)) {
        index_fini(&index);
        return zsp_err_set(err, ZSP_ECORRUPT, "the index does not rise");
    }
    *ret = index;
    return 0;
}
