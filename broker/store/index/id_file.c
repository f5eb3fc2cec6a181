/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/index/id_file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/assert.h"

static const struct paged_kind kind = {
    {'Z', 'S', 'P', 'D'}, ID_FILE_ENTRY_BYTES, ID_FILE_PAGE_ENTRIES, "ids"};

uint64_t id_file_bytes_max(uint64_t records)
{
    return paged_bytes(&kind, records);
}

static void put_entry(const void *list, uint32_t index, uint64_t base_offset, uint8_t *to)
{
    const struct id_entry *const entry = (const struct id_entry *)list + index;
    (void)base_offset; /* they are told less it already */
    zsp_put_u64(to, entry->print);
    zsp_put_u32(to + 8, entry->delta);
}

void id_file_encode(struct zsp_writer *out, const struct id_entry *entries, uint32_t count,
                    const struct index_facts *facts, const struct batch_place *place)
{
    const struct paged_list list = {entries, count, put_entry};
    paged_encode(out, &kind, &list, facts, place);
}

/* --- Reading -------------------------------------------------------------------------------- */

static void take_page(const uint8_t *p, uint32_t count, struct id_entry *out)
{
    for (uint32_t i = 0; i < count; i++) {
        out[i].print = zsp_get_u64(p + i * ID_FILE_ENTRY_BYTES);
        out[i].delta = zsp_get_u32(p + i * ID_FILE_ENTRY_BYTES + 8);
    }
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
    struct paged_file file;
    int rc = paged_open(&file, &kind, bytes, want, place, err);
    rc = rc == 0 ? paged_check_size(&file, bytes.len, err) : rc;
    if (rc != 0) {
        return rc;
    }
    struct id_entry *entries = calloc(file.count ? file.count : 1, sizeof *entries);
    if (!entries) {
        return zsp_err_set(err, ZSP_ENOMEM, "%" PRIu32 " ids", file.count);
    }
    for (uint32_t number = 0; number < paged_pages(&file) && rc == 0; number++) {
        const uint8_t *const page = bytes.data + paged_pos(&kind, number);
        rc = paged_check(&file, page, number, err);
        take_page(page, paged_entries(&file, number),
                  entries + (size_t)number * ID_FILE_PAGE_ENTRIES);
    }
    if (rc == 0 && !entries_valid(entries, file.count, want)) {
        rc = zsp_err_set(err, ZSP_ECORRUPT, "the ids do not rise");
    }
    if (rc != 0) {
        free(entries);
        return rc;
    }
    *ret = entries;
    *ret_count = file.count;
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
    int rc = paged_read_header(&self->paged, &kind, fs, file, want, place, err);
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
    self->page_count = 0;
    const int rc = paged_read(&self->paged, self->fs, self->file, number, self->bytes, err);
    if (rc == 0) {
        self->page_number = number;
        self->page_count = paged_entries(&self->paged, number);
        take_page(self->bytes, self->page_count, self->page);
    }
    return rc;
}

/* Read the last page whose first entry is below `print`, else the first: what has `print` begins
 * there, or with the next. Fingerprints are spread evenly, so the first guess is nearly right. */
static int seek(struct id_search *self, uint64_t print, struct zsp_err *err)
{
    uint32_t low = 0; /* the page is in [low, high) */
    uint32_t high = paged_pages(&self->paged);
    uint32_t at = (uint32_t)(((print >> 32) * self->paged.count) >> 32) / ID_FILE_PAGE_ENTRIES;
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
    if (self->paged.count == 0) {
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
        if (i == self->page_count && self->page_number + 1 < paged_pages(&self->paged)) {
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
