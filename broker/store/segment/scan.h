/* SPDX-License-Identifier: MPL-2.0
 *
 * A walk over the batches of one segment file, by their headers: for recovery,
 * for rebuilding an index. Synchronous; one thread; the file is lent.
 */
#ifndef ZSP_STORE_SCAN_H
#define ZSP_STORE_SCAN_H

#include "broker/store/file/batch.h"
#include "broker/store/file/fs.h"
#include "broker/store/journal/redo.h"

struct scan {
    struct fs *fs;
    int file;                 /* < 0 = missing: all of it is laid over, see scan_lay_over() */
    uint64_t file_bytes;      /* nothing is read beyond */
    struct batch_place place; /* pos = where the next header is expected */
    uint64_t offset;          /* the first offset the next batch must have */
    uint64_t epoch;           /* the lowest broker epoch it may have */
    uint8_t *data;            /* file bytes [data_pos, data_pos + data_len) */
    uint64_t data_pos;
    size_t data_len;
    size_t capacity;
    const struct redo_item *redo; /* lent: what the journal lays over the file, see redo.h */
    size_t redo_count;
};

/* What lies at scan.place.pos. */
enum scan_found {
    SCAN_BATCH,  /* a valid batch; the scan stands behind it */
    SCAN_END,    /* the file ends, or the bytes of a header are zero */
    SCAN_INVALID /* anything else; `err` says what; the scan stands still */
};

/* The journal holds these of the segment: they are seen as if they had been written to the
 * file. Before the first call. */
void scan_lay_over(struct scan *self, const struct redo_item *items, size_t count);

/* Look at the next batch. With `body` the body's sum is checked as well.
 * Returns an enum scan_found, or an error of the file system, ZSP_ENOMEM. */
int scan_next(struct scan *self, bool body, struct batch_header *ret, struct zsp_err *err);

/* Search [from, to) for a valid header of this segment (any offset, any epoch):
 * SCAN_BATCH with *ret and *ret_pos, or SCAN_END. The scan does not move. */
int scan_find(struct scan *self, uint64_t from, uint64_t to, struct batch_header *ret,
              uint64_t *ret_pos, struct zsp_err *err);

/* One after the last nonzero byte at or after `from`; `from` if all are zero. */
int scan_nonzero_end(struct scan *self, uint64_t from, uint64_t *ret, struct zsp_err *err);

/* The bytes [pos, pos + len), less at the end of the file; lent until the next
 * call. `len` is at most a stored batch. */
int scan_bytes(struct scan *self, uint64_t pos, size_t len, struct zsp_slice *ret,
               struct zsp_err *err);

void scan_fini(struct scan *self);

/* A message about a place without its "pos N: ", for who tells the place apart. Lent as
 * `message` is. */
const char *scan_without_pos(const char *message);

#endif
