/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/id_file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/layout.h"
#include "common/assert.h"
#include "common/hash.h"

#define VERSION 1u
#define SUM_POS 64u

static const uint8_t magic[4] = {'Z', 'S', 'P', 'D'};

static uint64_t header_sum(const uint8_t *bytes, const struct batch_place *place)
{
    return zsp_hash_seeded((struct zsp_slice){bytes, SUM_POS}, batch_segment_binding(place));
}

static uint64_t page_sum(const uint8_t *entries, uint32_t count, uint64_t sum, uint32_t number)
{
    return zsp_hash_seeded((struct zsp_slice){entries, (size_t)count * ID_FILE_ENTRY_BYTES},
                           sum + number);
}

static uint32_t pages_of(uint32_t count)
{
    return count / ID_FILE_PAGE_ENTRIES + (count % ID_FILE_PAGE_ENTRIES ? 1u : 0u);
}

/* Entries of page `number`. */
static uint32_t page_entries(uint32_t count, uint32_t number)
{
    const uint32_t left = count - number * ID_FILE_PAGE_ENTRIES;
    return left < ID_FILE_PAGE_ENTRIES ? left : ID_FILE_PAGE_ENTRIES;
}

static uint64_t file_bytes(uint32_t count)
{
    return ID_FILE_HEADER_BYTES + (uint64_t)count * ID_FILE_ENTRY_BYTES + pages_of(count) * 8ull;
}

uint64_t id_file_bytes_max(uint64_t records)
{
    return ID_FILE_HEADER_BYTES +
           (records / ID_FILE_PAGE_ENTRIES + 1) * (uint64_t)ID_FILE_PAGE_BYTES;
}

/* --- Writing ------------------------------------------------------------------------------ */

void id_file_encode(struct zsp_writer *out, const struct id_entry *entries, uint32_t count,
                    const struct index_facts *facts, const struct batch_place *place)
{
    uint8_t *p = zsp_write_room(out, (size_t)file_bytes(count));
    if (!p) {
        return;
    }
    memset(p, 0, ID_FILE_HEADER_BYTES);
    memcpy(p, magic, sizeof magic);
    p[4] = VERSION;
    zsp_put_u64(p + 8, count);
    zsp_put_u64(p + 16, facts->base_offset);
    zsp_put_u64(p + 24, facts->end_offset);
    zsp_put_u64(p + 32, facts->bytes);
    const uint64_t sum = header_sum(p, place);
    zsp_put_u64(p + SUM_POS, sum);
    p += ID_FILE_HEADER_BYTES;
    for (uint32_t page = 0; page < pages_of(count); page++) {
        const uint32_t in_page = page_entries(count, page);
        const struct id_entry *from = entries + (size_t)page * ID_FILE_PAGE_ENTRIES;
        for (uint32_t i = 0; i < in_page; i++) {
            zsp_put_u64(p + i * ID_FILE_ENTRY_BYTES, from[i].print);
            zsp_put_u32(p + i * ID_FILE_ENTRY_BYTES + 8, from[i].delta);
        }
        const uint64_t of_page = page_sum(p, in_page, sum, page);
        p += in_page * ID_FILE_ENTRY_BYTES;
        zsp_put_u64(p, of_page);
        p += 8;
    }
}

/* --- Reading -------------------------------------------------------------------------------- */

bool id_file_peek(struct zsp_slice bytes, struct index_facts *ret, uint64_t *ret_count)
{
    const uint8_t *p = bytes.data;
    if (bytes.len < ID_FILE_HEADER_BYTES || memcmp(p, magic, sizeof magic) != 0) {
        return false;
    }
    *ret = (struct index_facts){.base_offset = zsp_get_u64(p + 16),
                                .end_offset = zsp_get_u64(p + 24),
                                .bytes = zsp_get_u64(p + 32)};
    *ret_count = zsp_get_u64(p + 8);
    return true;
}

static int check_header(const uint8_t *p, size_t len, const struct index_facts *want,
                        const struct batch_place *place, uint32_t *ret_count, uint64_t *ret_sum,
                        struct zsp_err *err)
{
    if (len < ID_FILE_HEADER_BYTES || memcmp(p, magic, sizeof magic) != 0 || p[4] != VERSION) {
        return zsp_err_set(err, ZSP_ECORRUPT, "no ids of version %u", VERSION);
    }
    const uint64_t sum = zsp_get_u64(p + SUM_POS);
    if (sum != header_sum(p, place)) {
        return zsp_err_set(err, ZSP_ECORRUPT, "the header of the ids is damaged");
    }
    const uint64_t count = zsp_get_u64(p + 8);
    if (zsp_get_u64(p + 16) != want->base_offset || zsp_get_u64(p + 24) != want->end_offset ||
        zsp_get_u64(p + 32) != want->bytes || count > want->end_offset - want->base_offset ||
        count > UINT32_MAX - ID_FILE_PAGE_ENTRIES) {
        return zsp_err_set(err, ZSP_ECORRUPT, "the ids are of another segment");
    }
    *ret_count = (uint32_t)count;
    *ret_sum = sum;
    return 0;
}

/* Take the entries of a page whose sum holds. */
static int take_page(const uint8_t *p, uint32_t count, uint64_t sum, uint32_t number,
                     struct id_entry *out, struct zsp_err *err)
{
    if (page_sum(p, count, sum, number) != zsp_get_u64(p + (size_t)count * ID_FILE_ENTRY_BYTES)) {
        return zsp_err_set(err, ZSP_ECORRUPT, "page %" PRIu32 " of the ids is damaged", number);
    }
    for (uint32_t i = 0; i < count; i++) {
        out[i].print = zsp_get_u64(p + i * ID_FILE_ENTRY_BYTES);
        out[i].delta = zsp_get_u32(p + i * ID_FILE_ENTRY_BYTES + 8);
    }
    return 0;
}

/* Do the entries rise, within the segment? */
static bool entries_valid(const struct id_entry *entries, uint32_t count,
                          const struct index_facts *facts)
{
    for (uint32_t i = 0; i < count; i++) {
        const bool rises =
            i == 0 || entries[i - 1].print < entries[i].print ||
            (entries[i - 1].print == entries[i].print && entries[i - 1].delta < entries[i].delta);
        if (!rises || entries[i].print == 0 ||
            entries[i].delta >= facts->end_offset - facts->base_offset) {
            return false;
        }
    }
    return true;
}

int id_file_decode(struct zsp_slice bytes, const struct index_facts *want,
                   const struct batch_place *place, struct id_entry **ret, uint32_t *ret_count,
                   struct zsp_err *err)
{
    uint32_t count;
    uint64_t sum;
    int rc = check_header(bytes.data, bytes.len, want, place, &count, &sum, err);
    if (rc != 0) {
        return rc;
    }
    if (bytes.len != file_bytes(count)) {
        return zsp_err_set(err, ZSP_ECORRUPT, "%zu bytes of %" PRIu32 " ids", bytes.len, count);
    }
    struct id_entry *entries = calloc(count ? count : 1, sizeof *entries);
    if (!entries) {
        return zsp_err_set(err, ZSP_ENOMEM, "%" PRIu32 " ids", count);
    }
    const uint8_t *p = bytes.data + ID_FILE_HEADER_BYTES;
    for (uint32_t page = 0; page < pages_of(count) && rc == 0; page++) {
        const uint32_t in_page = page_entries(count, page);
        rc = take_page(p, in_page, sum, page, entries + (size_t)page * ID_FILE_PAGE_ENTRIES, err);
        p += in_page * ID_FILE_ENTRY_BYTES + 8;
    }
    if (rc == 0 && !entries_valid(entries, count, want)) {
        rc = zsp_err_set(err, ZSP_ECORRUPT, "the ids do not rise");
    }
    if (rc != 0) {
        free(entries);
        return rc;
    }
    *ret = entries;
    *ret_count = count;
    return 0;
}

/* --- Searching -------------------------------------------------------------------------------- */

int id_search_begin(struct id_search *self, struct fs *fs, int file, const struct index_facts *want,
                    const struct batch_place *place, struct zsp_err *err)
{
    self->fs = fs;
    self->file = file;
    self->page_count = 0;
    self->page = NULL;
    size_t len;
    int rc = layout_read_at(fs, file, self->bytes, ID_FILE_HEADER_BYTES, 0, &len, err);
    if (rc == 0) {
        rc = check_header(self->bytes, len, want, place, &self->count, &self->sum, err);
    }
    if (rc == 0) {
        self->page = calloc(ID_FILE_PAGE_ENTRIES, sizeof *self->page);
        rc = self->page ? 0 : zsp_err_set(err, ZSP_ENOMEM, "a page of ids");
    }
    return rc;
}

static int read_page(struct id_search *self, uint32_t number, struct zsp_err *err)
{
    if (self->page_count > 0 && self->page_number == number) {
        return 0;
    }
    const uint32_t count = page_entries(self->count, number);
    const size_t wanted = (size_t)count * ID_FILE_ENTRY_BYTES + 8;
    self->page_count = 0;
    size_t len;
    int rc =
        layout_read_at(self->fs, self->file, self->bytes, wanted,
                       ID_FILE_HEADER_BYTES + (uint64_t)number * ID_FILE_PAGE_BYTES, &len, err);
    if (rc == 0 && len < wanted) {
        rc = zsp_err_set(err, ZSP_ECORRUPT, "the ids end in page %" PRIu32, number);
    }
    if (rc == 0) {
        rc = take_page(self->bytes, count, self->sum, number, self->page, err);
    }
    if (rc == 0) {
        self->page_number = number;
        self->page_count = count;
    }
    return rc;
}

/* Read the last page whose first entry is below `print`, else the first: what has `print` begins
 * there, or with the next. Fingerprints are spread evenly, so the first guess is nearly right. */
static int seek(struct id_search *self, uint64_t print, struct zsp_err *err)
{
    uint32_t low = 0; /* the page is in [low, high) */
    uint32_t high = pages_of(self->count);
    uint32_t at = (uint32_t)(((print >> 32) * self->count) >> 32) / ID_FILE_PAGE_ENTRIES;
    for (uint32_t step = 1; low + 1 < high; step *= 2) {
        const int rc = read_page(self, at, err);
        if (rc != 0) {
            return rc;
        }
        if (self->page[0].print >= print) {
            high = at;
            at = high > step && high - step > low ? high - step : low;
            continue;
        }
        low = at;
        if (self->page[self->page_count - 1].print >= print) {
            return 0;
        }
        at = step < high - 1 - low ? low + step : high - 1;
    }
    return read_page(self, low, err);
}

int id_search_find(struct id_search *self, uint64_t print, uint32_t out[ID_SAME_MAX],
                   struct zsp_err *err)
{
    if (self->count == 0) {
        return 0;
    }
    int rc = seek(self, print, err);
    if (rc != 0) {
        return rc;
    }
    uint32_t found = 0;
    uint32_t i = 0;
    while (i < self->page_count && self->page[i].print <= print) {
        if (self->page[i].print == print && found < ID_SAME_MAX) {
            memmove(out + 1, out, found * sizeof *out);
            out[0] = self->page[i].delta;
            found++;
        }
        i++;
        if (i == self->page_count && self->page_number + 1 < pages_of(self->count)) {
            rc = read_page(self, self->page_number + 1, err);
            if (rc != 0) {
                return rc;
            }
            i = 0;
        }
    }
    return (int)found;
}

void id_search_end(struct id_search *self)
{
    free(self->page);
    self->page = NULL;
}
