/* SPDX-License-Identifier: MPL-2.0
 *
 * Files beside a sealed segment that tell something of its messages: entries of one size, in pages.
 * One page can be read and checked without the others. Derived: whatever is missing or bad is
 * made again.
 *
 * Header of 72 bytes, then full pages, the last one with fewer entries.
 *      0    4  magic                4  1  version, 1           5  3  zero
 *      8    8  entry count         16  8  base offset of the segment
 *     24    8  end offset          32  8  bytes of batches in the segment
 *     40   24  zero
 *     64    8  sum: XXH3-64 of bytes 0..63, seeded with the binding
 *   page: its entries, then 8 bytes: XXH3-64 of them, seeded with the header's sum + page number
 * The binding is that of a batch at pos 0 of the segment (batch.h).
 */
#ifndef ZSP_STORE_PAGED_FILE_H
#define ZSP_STORE_PAGED_FILE_H

#include "broker/store/file/batch.h"
#include "broker/store/file/fs.h"
#include "broker/store/index/index.h"

#define PAGED_HEADER_BYTES 72u

struct paged_kind {
    uint8_t magic[4];
    uint32_t entry_bytes;
    uint32_t page_entries; /* of a full page */
    const char *what;      /* for errors: "ids" */
};

/* A file whose header is good. */
struct paged_file {
    const struct paged_kind *kind;
    uint32_t count; /* entries */
    uint64_t sum;   /* the header's */
};

/* The bytes of a file of so many entries. */
uint64_t paged_bytes(const struct paged_kind *kind, uint64_t count);
uint32_t paged_pages(const struct paged_file *self);
/* Entries of page `number`, where it begins, and its bytes with the sum. */
uint32_t paged_entries(const struct paged_file *self, uint32_t number);
uint64_t paged_pos(const struct paged_kind *kind, uint32_t number);
size_t paged_page_bytes(const struct paged_file *self, uint32_t number);

/* The bytes of a file; `put_fn` writes entry `index` of `list`. A failed writer tells of missing memory. */
struct paged_list {
    const void *list;
    uint32_t count;
    void (*put_fn)(const void *list, uint32_t index, uint64_t base_offset, uint8_t *to);
};
void paged_encode(struct zsp_writer *out, const struct paged_kind *kind,
                  const struct paged_list *list, const struct index_facts *facts,
                  const struct batch_place *place);

/* What a file says of its segment, before anything is checked; false = it is too short. */
bool paged_peek_facts(struct zsp_slice bytes, struct index_facts *ret);
/* Look at a header, of `len` bytes if the file is shorter.
 * Errors: ZSP_ECORRUPT  not of a segment with these facts, or damaged */
int paged_open(struct paged_file *ret, const struct paged_kind *kind, struct zsp_slice header,
               const struct index_facts *want, const struct batch_place *place,
               struct zsp_err *err);
/* Has the file, of which this is all, the size that its header says? Errors: ZSP_ECORRUPT */
int paged_check_size(const struct paged_file *self, size_t len, struct zsp_err *err);
/* Does the sum of a page hold? Errors: ZSP_ECORRUPT */
int paged_check(const struct paged_file *self, const uint8_t *page, uint32_t number,
                struct zsp_err *err);
/* The same with an open file. Reading the header: PAGED_HEADER_BYTES, a page: paged_page_bytes() to
 * `to`. Errors: ZSP_ECORRUPT, ZSP_EIO */
int paged_read_header(struct paged_file *ret, const struct paged_kind *kind, struct fs *fs,
                      int file, const struct index_facts *want, const struct batch_place *place,
                      struct zsp_err *err);
int paged_read(const struct paged_file *self, struct fs *fs, int file, uint32_t number, uint8_t *to,
               struct zsp_err *err);
/* The first `len` bytes of a page, which are not checked. */
int paged_peek(const struct paged_file *self, struct fs *fs, int file, uint32_t number, uint8_t *to,
               size_t len, struct zsp_err *err);

#endif
