/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/index/id_filter.h"

#include <stdlib.h>
#include <string.h>

#include "common/assert.h"
#include "common/err.h"

#define BUCKET_IDS   8u  /* of a bucket, about */
#define START_STEP   16u /* buckets that share a start */
#define SORT_BY_HAND 32u /* so few entries are sorted by insertion */

static uint32_t buckets_for(uint32_t count)
{
    return count / BUCKET_IDS + 1;
}

static uint32_t bucket_of(uint64_t print, uint32_t bucket_count)
{
    return (uint32_t)(((print >> 32) * bucket_count) >> 32);
}

/* --- Sorting: by bucket first, since fingerprints are spread evenly ----------------------- */

static bool comes_before(const struct id_entry *a, const struct id_entry *b)
{
    return a->print != b->print ? a->print < b->print : a->delta < b->delta;
}

static int compare(const void *a, const void *b)
{
    const struct id_entry *const left = a;
    const struct id_entry *const right = b;
    return comes_before(left, right) ? -1 : (comes_before(right, left) ? 1 : 0);
}

static void sort_few(struct id_entry *entries, size_t count)
{
    if (count > SORT_BY_HAND) {
        qsort(entries, count, sizeof *entries, compare);
        return;
    }
    for (size_t i = 1; i < count; i++) {
        const struct id_entry entry = entries[i];
        size_t at = i;
        for (; at > 0 && comes_before(&entry, &entries[at - 1]); at--) {
            entries[at] = entries[at - 1];
        }
        entries[at] = entry;
    }
}

/* Put the entries into the order of their buckets; ends[i] is where bucket i ends then. */
static void scatter(const struct id_entry *from, struct id_entry *to, uint32_t count,
                    uint32_t *ends, uint32_t bucket_count)
{
    for (uint32_t i = 0; i < count; i++) {
        ends[bucket_of(from[i].print, bucket_count)]++;
    }
    uint32_t start = 0;
    for (uint32_t i = 0; i < bucket_count; i++) {
        const uint32_t size = ends[i];
        ends[i] = start;
        start += size;
    }
    for (uint32_t i = 0; i < count; i++) {
        to[ends[bucket_of(from[i].print, bucket_count)]++] = from[i];
    }
}

/* Keep the highest of each fingerprint. */
static uint32_t thin_out(struct id_entry *entries, uint32_t count)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        const bool is_old =
            count - i > ID_SAME_MAX && entries[i + ID_SAME_MAX].print == entries[i].print;
        if (!is_old) {
            entries[kept++] = entries[i];
        }
    }
    return kept;
}

int id_entries_sort(struct id_entry *entries, uint32_t *count)
{
    const uint32_t bucket_count = buckets_for(*count);
    uint32_t *ends = calloc(bucket_count, sizeof *ends);
    struct id_entry *sorted = calloc(*count ? *count : 1, sizeof *sorted);
    int rc = ZSP_ENOMEM;
    if (ends && sorted) {
        scatter(entries, sorted, *count, ends, bucket_count);
        for (uint32_t i = 0; i < bucket_count; i++) {
            const uint32_t first = i > 0 ? ends[i - 1] : 0;
            sort_few(sorted + first, ends[i] - first);
        }
        *count = thin_out(sorted, *count);
        for (uint32_t i = 0; i < *count; i++) {
            entries[i] = sorted[i];
        }
        rc = 0;
    }
    free(ends);
    free(sorted);
    return rc;
}

/* --- The filter ------------------------------------------------------------------------------ */

int id_filter_init(struct id_filter *self, const struct id_entry *entries, uint32_t count)
{
    struct id_filter filter = {.count = count, .bucket_count = buckets_for(count)};
    filter.rests = calloc(count ? count : 1, sizeof *filter.rests);
    filter.sizes = calloc(filter.bucket_count, sizeof *filter.sizes);
    filter.starts = calloc(filter.bucket_count / START_STEP + 1, sizeof *filter.starts);
    if (!filter.rests || !filter.sizes || !filter.starts) {
        id_filter_fini(&filter);
        return ZSP_ENOMEM;
    }
    uint32_t started = 0; /* bucket groups whose start is known */
    for (uint32_t i = 0; i < count; i++) {
        zsp_assert(i == 0 || entries[i - 1].print <= entries[i].print);
        const uint32_t bucket = bucket_of(entries[i].print, filter.bucket_count);
        for (; started <= bucket / START_STEP; started++) {
            filter.starts[started] = i;
        }
        filter.rests[i] = (uint16_t)entries[i].print;
        filter.is_blind = filter.is_blind || filter.sizes[bucket] == UINT8_MAX;
        filter.sizes[bucket]++;
    }
    *self = filter;
    return 0;
}

bool id_filter_may_have(const struct id_filter *self, uint64_t print)
{
    if (self->is_blind) {
        return true;
    }
    const uint32_t bucket = bucket_of(print, self->bucket_count);
    const uint32_t first = bucket / START_STEP * START_STEP;
    uint32_t at = self->starts[bucket / START_STEP];
    for (uint32_t i = first; i < bucket; i++) {
        at += self->sizes[i];
    }
    for (uint32_t i = 0; i < self->sizes[bucket]; i++) {
        if (self->rests[at + i] == (uint16_t)print) {
            return true;
        }
    }
    return false;
}

size_t id_filter_bytes(const struct id_filter *self)
{
    return self->count * sizeof *self->rests + self->bucket_count * sizeof *self->sizes +
           (self->bucket_count / START_STEP + 1) * sizeof *self->starts;
}

void id_filter_fini(struct id_filter *self)
{
    free(self->rests);
    free(self->sizes);
    free(self->starts);
    memset(self, 0, sizeof *self);
}
