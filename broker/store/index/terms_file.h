/* SPDX-License-Identifier: MPL-2.0
 *
 * `.pri`: which messages of a sealed segment have a priority, or a time before which they are not to
 * be handed out. Made when the segment is sealed if its partition has such messages, made again from
 * the headers when it is needed and missing or bad.
 *
 * A paged file (paged_file.h): magic "ZSPP", pages of 2,048 entries.
 *   entry: first offset less the base offset (4), messages (4), not before, wall ms, 0 = none (8),
 *          priority, 0-9 (1), zero (3)
 * Entries rise and do not overlap; none has priority 4 and no time. Neighbours that are alike are
 * one entry.
 */
#ifndef ZSP_STORE_TERMS_FILE_H
#define ZSP_STORE_TERMS_FILE_H

#include "broker/store/file/batch.h"
#include "broker/store/file/fs.h"
#include "broker/store/index/index.h"
#include "broker/store/store.h"

/* Stretches that rise. Zero-initialise. */
struct terms_list {
    struct store_terms *items;
    uint32_t count, capacity;
};

/* A batch in a segment that takes appends. */
struct terms_place {
    uint64_t segment, offset, pos;
};

/* Has a batch terms? Those without are in no list. */
static inline bool terms_any(const struct store_batch *batch)
{
    return batch->priority != ZSP_PRIORITY || batch->not_before_ms != 0;
}
/* Does a batch go on with the last stretch? */
bool terms_continue(const struct terms_list *self, const struct store_batch *batch);
/* Add a batch with terms, behind all others. Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int terms_add(struct terms_list *self, const struct store_batch *batch);
void terms_list_fini(struct terms_list *self);

/* No file of a segment with so many messages is larger. */
uint64_t terms_file_bytes_max(uint64_t messages);
/* The bytes of `.pri`. A failed writer tells of missing memory. */
void terms_file_encode(struct zsp_writer *out, const struct terms_list *list,
                       const struct index_facts *facts, const struct batch_place *place);
/* All entries of a whole file are appended to `ret`; NULL = it is only checked.
 * Errors: ZSP_ECORRUPT  not a valid file of a segment with these facts; ZSP_ENOMEM */
int terms_file_decode(struct zsp_slice bytes, const struct index_facts *want,
                      const struct batch_place *place, struct terms_list *ret, struct zsp_err *err);
/* Of an open file: the page with the stretches from `from` on, which may begin below; *ret_end =
 * where the next page begins, or the end of the segment. Appends to the list.
 * Errors: ZSP_ECORRUPT, ZSP_EIO, ZSP_ENOMEM */
int terms_file_read(struct fs *fs, int file, const struct index_facts *want,
                    const struct batch_place *place, uint64_t from, struct terms_list *ret,
                    uint64_t *ret_end, struct zsp_err *err);

#endif
