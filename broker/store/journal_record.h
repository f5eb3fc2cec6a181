/* SPDX-License-Identifier: MPL-2.0
 *
 * The bytes of one journal record: 1..n entries under one sum, so that all of
 * them survive a crash or none.
 *
 *    pos size  field
 *      0    4  magic "ZSPJ"
 *      4    1  version, 1
 *      5    3  zero
 *      8    4  header bytes, 64
 *     12    4  body bytes
 *     16    4  entry count, >= 1
 *     20    4  zero
 *     24    8  record number, one higher than its predecessor's, over all files
 *     32    8  broker epoch: start count << 32 | rollback count
 *     40    8  broker time, ms
 *     48    8  synced to: all records below this number were synced when it was written
 *     56    8  sum, see below
 *     64       body: the entries, back to back; then zeros up to a multiple of 8
 *
 *   entry:  kind (1: 0 image, 1 delta, 2 gone, 3 redo), key bytes (2), value bytes (4), key, value
 *
 * The sum is XXH3-64 of the body, seeded with the XXH3-64 of bytes 0..55, which
 * is seeded with the binding: the XXH3-64 of store uuid (16), file number (8),
 * pos of the record (8).
 */
#ifndef ZSP_STORE_JOURNAL_RECORD_H
#define ZSP_STORE_JOURNAL_RECORD_H

#include "broker/store/batch.h"
#include "broker/store/store.h"

#define JOURNAL_HEADER_BYTES 64u
#define JOURNAL_ENTRY_BYTES  7u /* kind and lengths of one entry */
#define JOURNAL_ALIGN        8u

struct journal_place {
    const uint8_t *uuid; /* borrowed */
    uint64_t file;
    uint64_t pos;
};

struct journal_header {
    uint32_t body_bytes;
    uint32_t entry_count;
    uint64_t number;
    uint64_t epoch;
    int64_t broker_ms;
    uint64_t synced_to;
};

/* Bytes of a record with header and padding. */
uint64_t journal_record_bytes(uint64_t body_bytes);
/* Body bytes of these entries. */
uint64_t journal_body_bytes(const struct store_entry *entries, size_t count);
/* Append the body, entry by entry. */
void journal_write_body(struct zsp_writer *out, const struct store_entry *entries, size_t count);

/* Finish a record: fill its header in front of the body, which is in place.
 * `record` has JOURNAL_HEADER_BYTES + header->body_bytes bytes. */
void journal_seal(uint8_t *record, const struct journal_header *header,
                  const struct journal_place *place);

/* Read and check the record at the beginning of `bytes`.
 *
 * Errors: ZSP_ECORRUPT  not a valid record for this place; err says what is wrong
 */
int journal_decode(struct zsp_slice bytes, const struct journal_place *place,
                   struct journal_header *ret, struct zsp_slice *ret_body, struct zsp_err *err);

/* The next entry of a valid record's body; false at the end. A body that does
 * not hold together sets body->failed. */
bool journal_next_entry(struct zsp_reader *body, struct store_entry *ret);

#endif
