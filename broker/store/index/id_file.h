/* SPDX-License-Identifier: MPL-2.0
 *
 * `.ids`: which messages of a sealed segment have which ids, sorted by fingerprint. Made when the
 * segment is sealed if its topic looks for ids, made again from the segment when it is missing or
 * bad.
 *
 * A paged file (paged_file.h): magic "ZSPD", pages of 340 entries.
 *   entry: fingerprint (8), offset less the base offset (4)
 * The fingerprint of an id is the XXH3-64 of its bytes, and 1 if that is 0. Entries rise by
 * fingerprint, then offset; of those of one fingerprint the last 4 are kept.
 */
#ifndef ZSP_STORE_ID_FILE_H
#define ZSP_STORE_ID_FILE_H

#include "broker/store/file/batch.h"
#include "broker/store/file/fs.h"
#include "broker/store/index/id_filter.h"
#include "broker/store/index/index.h"
#include "broker/store/index/paged_file.h"

#define ID_FILE_ENTRY_BYTES  12u
#define ID_FILE_PAGE_ENTRIES 340u
#define ID_FILE_PAGE_BYTES   (ID_FILE_PAGE_ENTRIES * ID_FILE_ENTRY_BYTES + 8u)

/* No file of a segment with so many records is larger. */
uint64_t id_file_bytes_max(uint64_t records);

/* The bytes of `.ids`; the entries are sorted. A failed writer tells of missing memory. */
void id_file_encode(struct zsp_writer *out, const struct id_entry *entries, uint32_t count,
                    const struct index_facts *facts, const struct batch_place *place);

/* All entries of a whole file. `*ret` is the caller's to free.
 * Errors: ZSP_ECORRUPT  not a valid file of a segment with these facts; ZSP_ENOMEM */
int id_file_decode(struct zsp_slice bytes, const struct index_facts *want,
                   const struct batch_place *place, struct id_entry **ret, uint32_t *ret_count,
                   struct zsp_err *err);

/* A file that is open for searches. */
struct id_search {
    struct fs *fs;
    int file;
    struct paged_file paged;
    uint32_t page_number;
    uint32_t page_count;   /* entries of the page; 0 = none was read */
    struct id_entry *page; /* ID_FILE_PAGE_ENTRIES of them */
    uint8_t bytes[ID_FILE_PAGE_BYTES];
};

/* Begin: read the header of the open file, which is lent.
 * Errors: ZSP_ECORRUPT  not of this segment, or damaged; ZSP_EIO, ZSP_ENOMEM */
int id_search_begin(struct id_search *self, struct fs *fs, int file, const struct index_facts *want,
                    const struct batch_place *place, struct zsp_err *err);
/* The deltas that `print` has, highest first. Quick if it is near the last one asked for.
 * Returns how many. Errors: ZSP_ECORRUPT, ZSP_EIO */
int id_search_find(struct id_search *self, uint64_t print, uint32_t out[ID_SAME_MAX],
                   struct zsp_err *err);
void id_search_end(struct id_search *self);

#endif
