/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/terms_file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/layout.h"
#include "common/hash.h"

#define VERSION 1u
#define SUM_POS 64u

static const uint8_t magic[4] = {'Z', 'S', 'P', 'P'};

/* --- Lists ------------------------------------------------------------------------------- */

bool terms_continue(const struct terms_list *self, const struct store_batch *batch)
{
    const struct store_terms *last = self->count > 0 ? &self->items[self->count - 1] : NULL;
    return last && last->end_offset == batch->first_offset && last->priority == batch->priority &&
           last->not_before_ms == batch->not_before_ms;
}

static int push(struct terms_list *self, const struct store_terms *terms)
{
    if (self->count == self->capacity) {
        const uint32_t capacity = self->capacity ? self->capacity * 2 : 16;
        struct store_terms *items = realloc(self->items, capacity * sizeof *items);
        if (!items) {
            return ZSP_ENOMEM;
        }
        self->items = items;
        self->capacity = capacity;
    }
    self->items[self->count++] = *terms;
    return 0;
}

int terms_add(struct terms_list *self, const struct store_batch *batch)
{
    const uint64_t end = batch->first_offset + batch->record_count;
    if (terms_continue(self, batch)) {
        self->items[self->count - 1].end_offset = end;
        return 0;
    }
    return push(self, &(struct store_terms){.first_offset = batch->first_offset,
                                            .end_offset = end,
                                            .not_before_ms = batch->not_before_ms,
                                            .priority = batch->priority});
}

void terms_list_fini(struct terms_list *self)
{
    free(self->items);
    memset(self, 0, sizeof *self);
}

/* --- Sums and sizes ------------------------------------------------------------------------- */

static uint64_t header_sum(const uint8_t *bytes, const struct batch_place *place)
{
    return zsp_hash_seeded((struct zsp_slice){bytes, SUM_POS}, batch_segment_binding(place));
}

static uint64_t page_sum(const uint8_t *entries, uint32_t count, uint64_t sum, uint32_t number)
{
    return zsp_hash_seeded((struct zsp_slice){entries, (size_t)count * TERMS_FILE_ENTRY_BYTES},
                           sum + number);
}

static uint32_t pages_of(uint64_t count)
{
    return (uint32_t)(count / STORE_TERMS_MAX + (count % STORE_TERMS_MAX ? 1u : 0u));
}

/* Entries of page `number`. */
static uint32_t page_entries(uint32_t count, uint32_t number)
{
    const uint32_t left = count - number * STORE_TERMS_MAX;
    return left < STORE_TERMS_MAX ? left : STORE_TERMS_MAX;
}

static uint64_t page_pos(uint32_t number)
{
    return TERMS_FILE_HEADER_BYTES + (uint64_t)number * TERMS_FILE_PAGE_BYTES;
}

static uint64_t file_bytes(uint32_t count)
{
    return TERMS_FILE_HEADER_BYTES + (uint64_t)count * TERMS_FILE_ENTRY_BYTES +
           pages_of(count) * UINT64_C(8);
}

uint64_t terms_file_bytes_max(uint64_t messages)
{
    return TERMS_FILE_HEADER_BYTES + messages * TERMS_FILE_ENTRY_BYTES +
           pages_of(messages) * UINT64_C(8);
}

/* --- Writing ------------------------------------------------------------------------------------ */

static void put_entry(uint8_t *p, const struct store_terms *terms, uint64_t base_offset)
{
    memset(p, 0, TERMS_FILE_ENTRY_BYTES);
    zsp_put_u32(p, (uint32_t)(terms->first_offset - base_offset));
    zsp_put_u32(p + 4, (uint32_t)(terms->end_offset - terms->first_offset));
    zsp_put_u64(p + 8, (uint64_t)terms->not_before_ms);
    p[16] = terms->priority;
}

void terms_file_encode(struct zsp_writer *out, const struct terms_list *list,
                       const struct index_facts *facts, const struct batch_place *place)
{
    uint8_t *p = zsp_write_room(out, (size_t)file_bytes(list->count));
    if (!p) {
        return;
    }
    memset(p, 0, TERMS_FILE_HEADER_BYTES);
    memcpy(p, magic, sizeof magic);
    p[4] = VERSION;
    zsp_put_u64(p + 8, list->count);
    zsp_put_u64(p + 16, facts->base_offset);
    zsp_put_u64(p + 24, facts->end_offset);
    zsp_put_u64(p + 32, facts->bytes);
    const uint64_t sum = header_sum(p, place);
    zsp_put_u64(p + SUM_POS, sum);
    p += TERMS_FILE_HEADER_BYTES;
    for (uint32_t page = 0; page < pages_of(list->count); page++) {
        const uint32_t count = page_entries(list->count, page);
        for (uint32_t i = 0; i < count; i++) {
            put_entry(p + i * TERMS_FILE_ENTRY_BYTES,
                      &list->items[(size_t)page * STORE_TERMS_MAX + i], facts->base_offset);
        }
        const uint64_t of_page = page_sum(p, count, sum, page);
        p += count * TERMS_FILE_ENTRY_BYTES;
        zsp_put_u64(p, of_page);
        p += 8;
    }
}

/* --- Reading -------------------------------------------------------------------------------------- */

static int check_header(const uint8_t *p, size_t len, const struct index_facts *want,
                        const struct batch_place *place, uint32_t *ret_count, uint64_t *ret_sum,
                        struct zsp_err *err)
{
    if (len < TERMS_FILE_HEADER_BYTES || memcmp(p, magic, sizeof magic) != 0 || p[4] != VERSION) {
        return zsp_err_set(err, ZSP_ECORRUPT, "no priorities of version %u", VERSION);
    }
    const uint64_t sum = zsp_get_u64(p + SUM_POS);
    if (sum != header_sum(p, place)) {
        return zsp_err_set(err, ZSP_ECORRUPT, "the header of the priorities is damaged");
    }
    const uint64_t count = zsp_get_u64(p + 8);
    if (zsp_get_u64(p + 16) != want->base_offset || zsp_get_u64(p + 24) != want->end_offset ||
        zsp_get_u64(p + 32) != want->bytes || count > want->end_offset - want->base_offset ||
        count > UINT32_MAX - STORE_TERMS_MAX) {
        return zsp_err_set(err, ZSP_ECORRUPT, "the priorities are of another segment");
    }
    *ret_count = (uint32_t)count;
    *ret_sum = sum;
    return 0;
}

/* An entry, which must begin at or behind *end; that moves behind it. */
static int take_entry(const uint8_t *p, const struct index_facts *facts, uint64_t *end,
                      struct store_terms *ret, struct zsp_err *err)
{
    const uint64_t first = facts->base_offset + zsp_get_u32(p);
    *ret = (struct store_terms){.first_offset = first,
                                .end_offset = first + zsp_get_u32(p + 4),
                                .not_before_ms = (int64_t)zsp_get_u64(p + 8),
                                .priority = p[16]};
    if (first < *end || ret->end_offset <= first || ret->end_offset > facts->end_offset ||
        ret->priority > ZSP_PRIORITY_MAX || ret->not_before_ms < 0 ||
        (ret->priority == ZSP_PRIORITY && ret->not_before_ms == 0)) {
        return zsp_err_set(err, ZSP_ECORRUPT, "the priorities do not rise");
    }
    *end = ret->end_offset;
    return 0;
}

/* The entries of a page whose sum holds; `list` NULL = only check. */
static int take_page(const uint8_t *p, uint32_t count, uint64_t sum, uint32_t number,
                     const struct index_facts *facts, uint64_t *end, struct terms_list *list,
                     struct zsp_err *err)
{
    if (page_sum(p, count, sum, number) !=
        zsp_get_u64(p + (size_t)count * TERMS_FILE_ENTRY_BYTES)) {
        return zsp_err_set(err, ZSP_ECORRUPT, "page %" PRIu32 " of the priorities is damaged",
                           number);
    }
    int rc = 0;
    for (uint32_t i = 0; i < count && rc == 0; i++) {
        struct store_terms terms;
        rc = take_entry(p + i * TERMS_FILE_ENTRY_BYTES, facts, end, &terms, err);
        if (rc == 0 && list && push(list, &terms) < 0) {
            rc = zsp_err_set(err, ZSP_ENOMEM, "the priorities of a segment");
        }
    }
    return rc;
}

int terms_file_check(struct zsp_slice bytes, const struct index_facts *want,
                     const struct batch_place *place, struct zsp_err *err)
{
    uint32_t count;
    uint64_t sum;
    uint64_t end = want->base_offset;
    int rc = check_header(bytes.data, bytes.len, want, place, &count, &sum, err);
    if (rc == 0 && bytes.len != file_bytes(count)) {
        rc =
            zsp_err_set(err, ZSP_ECORRUPT, "%zu bytes of %" PRIu32 " priorities", bytes.len, count);
    }
    for (uint32_t page = 0; rc == 0 && page < pages_of(count); page++) {
        rc = take_page(bytes.data + page_pos(page), page_entries(count, page), sum, page, want,
                       &end, NULL, err);
    }
    return rc;
}

/* Where page `number` begins. */
static int first_of(struct fs *fs, int file, uint32_t number, uint64_t base_offset, uint64_t *ret,
                    struct zsp_err *err)
{
    uint8_t bytes[4];
    size_t len;
    int rc = layout_read_at(fs, file, bytes, sizeof bytes, page_pos(number), &len, err);
    if (rc == 0 && len < sizeof bytes) {
        rc = zsp_err_set(err, ZSP_ECORRUPT, "the priorities end in page %" PRIu32, number);
    }
    *ret = rc == 0 ? base_offset + zsp_get_u32(bytes) : 0;
    return rc;
}

/* The last page that begins at or below `from`, else the first. */
static int find_page(struct fs *fs, int file, uint32_t count, uint64_t base_offset, uint64_t from,
                     uint32_t *ret, struct zsp_err *err)
{
    uint32_t low = 0;
    uint32_t high = pages_of(count);
    int rc = 0;
    while (rc == 0 && low + 1 < high) {
        const uint32_t middle = low + (high - low) / 2;
        uint64_t first;
        rc = first_of(fs, file, middle, base_offset, &first, err);
        if (first <= from) {
            low = middle;
        } else {
            high = middle;
        }
    }
    *ret = low;
    return rc;
}

static int read_page(struct fs *fs, int file, uint32_t number, uint32_t count, uint64_t sum,
                     const struct index_facts *facts, struct terms_list *ret, struct zsp_err *err)
{
    const uint32_t in_page = page_entries(count, number);
    const size_t wanted = (size_t)in_page * TERMS_FILE_ENTRY_BYTES + 8;
    uint8_t *bytes = malloc(wanted);
    if (!bytes) {
        return zsp_err_set(err, ZSP_ENOMEM, "the priorities of a segment");
    }
    size_t len;
    uint64_t end = facts->base_offset;
    int rc = layout_read_at(fs, file, bytes, wanted, page_pos(number), &len, err);
    if (rc == 0 && len < wanted) {
        rc = zsp_err_set(err, ZSP_ECORRUPT, "the priorities end in page %" PRIu32, number);
    }
    rc = rc == 0 ? take_page(bytes, in_page, sum, number, facts, &end, ret, err) : rc;
    free(bytes);
    return rc;
}

int terms_file_read(struct fs *fs, int file, const struct index_facts *want,
                    const struct batch_place *place, uint64_t from, struct terms_list *ret,
                    uint64_t *ret_end, struct zsp_err *err)
{
    uint8_t header[TERMS_FILE_HEADER_BYTES];
    size_t len;
    uint32_t count = 0;
    uint64_t sum = 0;
    uint32_t page = 0;
    int rc = layout_read_at(fs, file, header, sizeof header, 0, &len, err);
    rc = rc == 0 ? check_header(header, len, want, place, &count, &sum, err) : rc;
    if (rc != 0 || count == 0) {
        *ret_end = want->end_offset;
        return rc;
    }
    rc = find_page(fs, file, count, want->base_offset, from, &page, err);
    rc = rc == 0 ? read_page(fs, file, page, count, sum, want, ret, err) : rc;
    *ret_end = want->end_offset;
    if (rc == 0 && page + 1 < pages_of(count)) {
        rc = first_of(fs, file, page + 1, want->base_offset, ret_end, err);
        if (rc == 0 && *ret_end <= from) {
            rc = zsp_err_set(err, ZSP_ECORRUPT, "the priorities do not rise");
        }
    }
    return rc;
}
