/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/index/paged_file.h"

#include <inttypes.h>
#include <string.h>

#include "broker/store/file/layout.h"
#include "common/hash.h"

#define VERSION   1u
#define SUM_POS   64u
#define SUM_BYTES 8u

/* --- Sums and sizes ------------------------------------------------------------------------- */

static uint64_t header_sum(const uint8_t *bytes, const struct batch_place *place)
{
    return zsp_hash_seeded((struct zsp_slice){bytes, SUM_POS}, batch_segment_binding(place));
}

static uint64_t page_sum(const struct paged_file *self, const uint8_t *page, uint32_t number)
{
    const size_t bytes = (size_t)paged_entries(self, number) * self->kind->entry_bytes;
    return zsp_hash_seeded((struct zsp_slice){page, bytes}, self->sum + number);
}

static uint64_t pages_of(const struct paged_kind *kind, uint64_t count)
{
    return count / kind->page_entries + (count % kind->page_entries ? 1u : 0u);
}

uint64_t paged_bytes(const struct paged_kind *kind, uint64_t count)
{
    return PAGED_HEADER_BYTES + count * kind->entry_bytes + pages_of(kind, count) * SUM_BYTES;
}

uint32_t paged_pages(const struct paged_file *self)
{
    return (uint32_t)pages_of(self->kind, self->count);
}

uint32_t paged_entries(const struct paged_file *self, uint32_t number)
{
    const uint32_t left = self->count - number * self->kind->page_entries;
    return left < self->kind->page_entries ? left : self->kind->page_entries;
}

uint64_t paged_pos(const struct paged_kind *kind, uint32_t number)
{
    const uint64_t full = (uint64_t)kind->page_entries * kind->entry_bytes + SUM_BYTES;
    return PAGED_HEADER_BYTES + number * full;
}

size_t paged_page_bytes(const struct paged_file *self, uint32_t number)
{
    return (size_t)paged_entries(self, number) * self->kind->entry_bytes + SUM_BYTES;
}

/* --- Writing ------------------------------------------------------------------------------------ */

static void put_header(uint8_t *p, const struct paged_file *self, const struct index_facts *facts)
{
    memset(p, 0, PAGED_HEADER_BYTES);
    memcpy(p, self->kind->magic, sizeof self->kind->magic);
    p[4] = VERSION;
    zsp_put_u64(p + 8, self->count);
    zsp_put_u64(p + 16, facts->base_offset);
    zsp_put_u64(p + 24, facts->end_offset);
    zsp_put_u64(p + 32, facts->bytes);
}

void paged_encode(struct zsp_writer *out, const struct paged_kind *kind,
                  const struct paged_list *list, const struct index_facts *facts,
                  const struct batch_place *place)
{
    struct paged_file self = {.kind = kind, .count = list->count};
    uint8_t *p = zsp_write_room(out, (size_t)paged_bytes(kind, list->count));
    if (!p) {
        return;
    }
    put_header(p, &self, facts);
    self.sum = header_sum(p, place);
    zsp_put_u64(p + SUM_POS, self.sum);
    p += PAGED_HEADER_BYTES;
    uint32_t index = 0;
    for (uint32_t number = 0; number < paged_pages(&self); number++) {
        uint8_t *const page = p;
        for (uint32_t i = 0; i < paged_entries(&self, number); i++) {
            list->put_fn(list->list, index++, facts->base_offset, p);
            p += kind->entry_bytes;
        }
        zsp_put_u64(p, page_sum(&self, page, number));
        p += SUM_BYTES;
    }
}

/* --- Reading -------------------------------------------------------------------------------------- */

bool paged_peek_facts(struct zsp_slice bytes, struct index_facts *ret)
{
    if (bytes.len < PAGED_HEADER_BYTES) {
        return false;
    }
    *ret = (struct index_facts){.base_offset = zsp_get_u64(bytes.data + 16),
                                .end_offset = zsp_get_u64(bytes.data + 24),
                                .bytes = zsp_get_u64(bytes.data + 32)};
    return ret->base_offset <= ret->end_offset;
}

int paged_open(struct paged_file *ret, const struct paged_kind *kind, struct zsp_slice header,
               const struct index_facts *want, const struct batch_place *place, struct zsp_err *err)
{
    const uint8_t *const p = header.data;
    if (header.len < PAGED_HEADER_BYTES || memcmp(p, kind->magic, sizeof kind->magic) != 0 ||
        p[4] != VERSION) {
        return zsp_err_set(err, ZSP_ECORRUPT, "no %s of version %u", kind->what, VERSION);
    }
    const uint64_t sum = zsp_get_u64(p + SUM_POS);
    if (sum != header_sum(p, place)) {
        return zsp_err_set(err, ZSP_ECORRUPT, "the header of the %s is damaged", kind->what);
    }
    const uint64_t count = zsp_get_u64(p + 8);
    if (zsp_get_u64(p + 16) != want->base_offset || zsp_get_u64(p + 24) != want->end_offset ||
        zsp_get_u64(p + 32) != want->bytes || count > want->end_offset - want->base_offset ||
        count > UINT32_MAX - kind->page_entries) {
        return zsp_err_set(err, ZSP_ECORRUPT, "the %s are of another segment", kind->what);
    }
    *ret = (struct paged_file){.kind = kind, .count = (uint32_t)count, .sum = sum};
    return 0;
}

int paged_check_size(const struct paged_file *self, size_t len, struct zsp_err *err)
{
    if (len != paged_bytes(self->kind, self->count)) {
        return zsp_err_set(err, ZSP_ECORRUPT, "%zu bytes of %" PRIu32 " %s", len, self->count,
                           self->kind->what);
    }
    return 0;
}

int paged_check(const struct paged_file *self, const uint8_t *page, uint32_t number,
                struct zsp_err *err)
{
    const uint8_t *const sum = page + paged_page_bytes(self, number) - SUM_BYTES;
    if (page_sum(self, page, number) != zsp_get_u64(sum)) {
        return zsp_err_set(err, ZSP_ECORRUPT, "page %" PRIu32 " of the %s is damaged", number,
                           self->kind->what);
    }
    return 0;
}

int paged_read_header(struct paged_file *ret, const struct paged_kind *kind, struct fs *fs,
                      int file, const struct index_facts *want, const struct batch_place *place,
                      struct zsp_err *err)
{
    uint8_t header[PAGED_HEADER_BYTES];
    size_t len;
    const int rc = layout_read_at(fs, file, header, sizeof header, 0, &len, err);
    return rc != 0 ? rc : paged_open(ret, kind, (struct zsp_slice){header, len}, want, place, err);
}

int paged_peek(const struct paged_file *self, struct fs *fs, int file, uint32_t number, uint8_t *to,
               size_t len, struct zsp_err *err)
{
    size_t got;
    int rc = layout_read_at(fs, file, to, len, paged_pos(self->kind, number), &got, err);
    if (rc == 0 && got < len) {
        rc =
            zsp_err_set(err, ZSP_ECORRUPT, "the %s end in page %" PRIu32, self->kind->what, number);
    }
    return rc;
}

int paged_read(const struct paged_file *self, struct fs *fs, int file, uint32_t number, uint8_t *to,
               struct zsp_err *err)
{
    const int rc = paged_peek(self, fs, file, number, to, paged_page_bytes(self, number), err);
    return rc == 0 ? paged_check(self, to, number, err) : rc;
}
