/* SPDX-License-Identifier: MPL-2.0
 *
 * The bytes of one journal record: 1..n entries under one sum, so that all of
 * them survive a crash or none; and behind them the data of its redo entries, under a sum each, so
 * that damage of one that is not needed any more can be told from damage of the record.
 *
 *    pos size  field
 *      0    4  magic "ZSPJ"
 *      4    1  version, 2
 *      5    3  zero
 *      8    4  header bytes, 72
 *     12    4  body bytes
 *     16    4  entry count, >= 1
 *     20    4  data bytes
 *     24    8  record number, one higher than its predecessor's, over all files
 *     32    8  broker epoch: start count << 32 | rollback count
 *     40    8  broker time, ms
 *     48    8  synced to: all records below this number were synced when it was written
 *     56    8  body sum: XXH3-64 of the body
 *     64    8  header sum: XXH3-64 of bytes 0..63, seeded with the binding
 *     72       body: the entries, back to back; data; then zeros up to a multiple of 8
 *
 *   entry:  kind (1: 0 image, 1 delta, 2 gone, 3 redo), key bytes (2), value bytes (4), key, value
 *   value of a redo entry:  segment (8), pos (8), data bytes (4), XXH3-64 of its data (8)
 *
 * The data of redo entries lie back to back, in the order of the entries. The binding is the
 * XXH3-64 of store uuid (16), file number (8), pos of the record (8).
 *
 * Version 1 is read as well: no data (pos 20 is zero), a header of 64 bytes, one sum at pos 56: the
 * XXH3-64 of the body, seeded with the XXH3-64 of bytes 0..55, which is seeded with the binding.
 */
#ifndef ZSP_STORE_JOURNAL_RECORD_H
#define ZSP_STORE_JOURNAL_RECORD_H

#include "broker/store/file/batch.h"
#include "broker/store/store.h"

#define JOURNAL_HEADER_BYTES 72u
#define JOURNAL_ENTRY_BYTES  7u  /* kind and lengths of one entry */
#define JOURNAL_REDO_BYTES   28u /* value of a redo entry, without its data */
#define JOURNAL_ALIGN        8u

struct journal_place {
    const uint8_t *uuid; /* borrowed */
    uint64_t file;
    uint64_t pos;
};

struct journal_header {
    uint32_t version; /* as read; 0 = the one that is written */
    uint32_t body_bytes;
    uint32_t data_bytes;
    uint32_t entry_count;
    uint64_t number;
    uint64_t epoch;
    int64_t broker_ms;
    uint64_t synced_to;
};

/* A record that was read; lent as its bytes are. */
struct journal_parts {
    struct zsp_slice body; /* for journal_next_entry() */
    struct zsp_slice data; /* of its redo entries, not checked */
};

/* The value of a redo entry. */
struct journal_redo {
    uint64_t segment;
    uint64_t pos;
    uint32_t bytes; /* of its data */
    uint64_t sum;   /* of its data */
};

/* --- Writing ---------------------------------------------------------------------------- */

/* The value of a redo entry that is to be written is JOURNAL_REDO_BYTES, and its data behind. This
 * fills in the former; the data is in place. */
void journal_put_redo(uint8_t *value, size_t value_bytes, uint64_t segment, uint64_t pos);

/* Body and data bytes of these entries. */
uint64_t journal_body_bytes(const struct store_entry *entries, size_t count);
uint64_t journal_data_bytes(const struct store_entry *entries, size_t count);
/* Append the body, entry by entry, and the data. */
void journal_write_entries(struct zsp_writer *out, const struct store_entry *entries, size_t count);

/* Fill in a header without its sums. `record` has JOURNAL_HEADER_BYTES. */
void journal_put_header(uint8_t *record, const struct journal_header *header);
/* Finish a record: fill its header in front of the body, which is in place with the data behind
 * it: JOURNAL_HEADER_BYTES + body_bytes + data_bytes. */
void journal_seal(uint8_t *record, const struct journal_header *header,
                  const struct journal_place *place);

/* --- Reading ---------------------------------------------------------------------------- */

/* Bytes of a record with header and padding. */
uint64_t journal_record_bytes(const struct journal_header *header);
/* The header of a record that is known to be good, or to have been filled in. */
struct journal_header journal_read_header(const uint8_t *record);

/* Read and check the header at the beginning of `bytes`, which may end right behind it. That of
 * version 1 has no sum of its own: nothing but its fields is checked.
 * Errors: ZSP_ECORRUPT  none that is valid for this place; err says what is wrong */
int journal_decode_header(struct zsp_slice bytes, const struct journal_place *place,
                          struct journal_header *ret, struct zsp_err *err);

/* Read and check the record at the beginning of `bytes`, but for its data.
 *
 * Errors: ZSP_ECORRUPT  not a valid record for this place; err says what is wrong
 */
int journal_decode(struct zsp_slice bytes, const struct journal_place *place,
                   struct journal_header *ret, struct journal_parts *ret_parts,
                   struct zsp_err *err);

/* The next entry of a valid record's body; false at the end. A body that does
 * not hold together sets body->failed. */
bool journal_next_entry(struct zsp_reader *body, struct store_entry *ret);

/* The value of a redo entry, and its data, which is taken off `data`. False = they do not hold
 * together. */
bool journal_read_redo(struct zsp_slice value, struct zsp_reader *data, struct journal_redo *ret,
                       struct zsp_slice *ret_data);
/* Does the sum of the data hold? */
bool journal_redo_valid(const struct journal_redo *redo, struct zsp_slice data);

#endif
