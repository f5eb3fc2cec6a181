/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/index/terms_file.h"

#include <stdlib.h>
#include <string.h>

#include "broker/store/index/paged_file.h"

#define ENTRY_BYTES 20u

static const struct paged_kind kind = {
    {'Z', 'S', 'P', 'P'}, ENTRY_BYTES, STORE_TERMS_MAX, "priorities"};

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

/* --- The file ------------------------------------------------------------------------------------ */

uint64_t terms_file_bytes_max(uint64_t messages)
{
    return paged_bytes(&kind, messages);
}

static void put_entry(const void *list, uint32_t index, uint64_t base_offset, uint8_t *to)
{
    const struct store_terms *const terms = &((const struct terms_list *)list)->items[index];
    memset(to, 0, ENTRY_BYTES);
    zsp_put_u32(to, (uint32_t)(terms->first_offset - base_offset));
    zsp_put_u32(to + 4, (uint32_t)(terms->end_offset - terms->first_offset));
    zsp_put_u64(to + 8, (uint64_t)terms->not_before_ms);
    to[16] = terms->priority;
}

void terms_file_encode(struct zsp_writer *out, const struct terms_list *list,
                       const struct index_facts *facts, const struct batch_place *place)
{
    const struct paged_list entries = {list, list->count, put_entry};
    paged_encode(out, &kind, &entries, facts, place);
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
static int take_page(const uint8_t *p, uint32_t count, const struct index_facts *facts,
                     uint64_t *end, struct terms_list *list, struct zsp_err *err)
{
    int rc = 0;
    for (uint32_t i = 0; i < count && rc == 0; i++) {
        struct store_terms terms;
        rc = take_entry(p + i * ENTRY_BYTES, facts, end, &terms, err);
        if (rc == 0 && list && push(list, &terms) < 0) {
            rc = zsp_err_set(err, ZSP_ENOMEM, "the priorities of a segment");
        }
    }
    return rc;
}

int terms_file_decode(struct zsp_slice bytes, const struct index_facts *want,
                      const struct batch_place *place, struct terms_list *ret, struct zsp_err *err)
{
    struct paged_file file;
    uint64_t end = want->base_offset;
    int rc = paged_open(&file, &kind, bytes, want, place, err);
    rc = rc == 0 ? paged_check_size(&file, bytes.len, err) : rc;
    for (uint32_t number = 0; rc == 0 && number < paged_pages(&file); number++) {
        const uint8_t *const page = bytes.data + paged_pos(&kind, number);
        rc = paged_check(&file, page, number, err);
        rc = rc == 0 ? take_page(page, paged_entries(&file, number), want, &end, ret, err) : rc;
    }
    return rc;
}

/* An open file. */
struct terms_reader {
    struct paged_file paged;
    struct fs *fs;
    int file;
    const struct index_facts *facts;
};

/* The offset with which page `number` begins. */
static int first_of(const struct terms_reader *self, uint32_t number, uint64_t *ret,
                    struct zsp_err *err)
{
    uint8_t bytes[4];
    const int rc = paged_peek(&self->paged, self->fs, self->file, number, bytes, sizeof bytes, err);
    *ret = rc == 0 ? self->facts->base_offset + zsp_get_u32(bytes) : 0;
    return rc;
}

/* The last page that begins at or below `from`, else the first. */
static int find_page(const struct terms_reader *self, uint64_t from, uint32_t *ret,
                     struct zsp_err *err)
{
    uint32_t low = 0;
    uint32_t high = paged_pages(&self->paged);
    int rc = 0;
    while (rc == 0 && low + 1 < high) {
        const uint32_t middle = low + (high - low) / 2;
        uint64_t first;
        rc = first_of(self, middle, &first, err);
        if (first <= from) {
            low = middle;
        } else {
            high = middle;
        }
    }
    *ret = low;
    return rc;
}

static int read_page(const struct terms_reader *self, uint32_t number, struct terms_list *ret,
                     struct zsp_err *err)
{
    uint8_t *bytes = malloc(paged_page_bytes(&self->paged, number));
    if (!bytes) {
        return zsp_err_set(err, ZSP_ENOMEM, "the priorities of a segment");
    }
    uint64_t end = self->facts->base_offset;
    int rc = paged_read(&self->paged, self->fs, self->file, number, bytes, err);
    if (rc == 0) {
        rc = take_page(bytes, paged_entries(&self->paged, number), self->facts, &end, ret, err);
    }
    free(bytes);
    return rc;
}

int terms_file_read(struct fs *fs, int file, const struct index_facts *want,
                    const struct batch_place *place, uint64_t from, struct terms_list *ret,
                    uint64_t *ret_end, struct zsp_err *err)
{
    struct terms_reader self = {.fs = fs, .file = file, .facts = want};
    uint32_t page = 0;
    int rc = paged_read_header(&self.paged, &kind, fs, file, want, place, err);
    if (rc != 0 || self.paged.count == 0) {
        *ret_end = want->end_offset;
        return rc;
    }
    rc = find_page(&self, from, &page, err);
    rc = rc == 0 ? read_page(&self, page, ret, err) : rc;
    *ret_end = want->end_offset;
    if (rc == 0 && page + 1 < paged_pages(&self.paged)) {
        rc = first_of(&self, page + 1, ret_end, err);
        if (rc == 0 && *ret_end <= from) {
            rc = zsp_err_set(err, ZSP_ECORRUPT, "the priorities do not rise");
        }
    }
    return rc;
}
