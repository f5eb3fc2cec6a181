/* SPDX-License-Identifier: MPL-2.0
 *
 * The sparse index of one segment: from an offset, or a wall time, to a place
 * in the file from which a walk over headers finds it. One entry per INDEX_STEP
 * bytes. It is derived: in memory while the segment is active, written to .idx
 * when it is sealed, rebuilt from the segment when that file is missing or bad.
 *
 * .idx: header of 72 bytes, then the entries of 24.
 *      0    4  magic "ZSPI"         4  1  version, 1     5  3  zero
 *      8    8  entry count         16  8  base offset of the segment
 *     24    8  end offset          32  8  bytes of batches in the segment
 *     40    8  highest timestamp   48 16  zero
 *     64    8  sum: XXH3-64 of bytes 0..63 and the entries, seeded with the binding
 *   entry: offset (8), pos (8), highest timestamp of the partition before it (8)
 * The binding is that of a batch at pos 0 of the segment (batch.h). The sum is
 * XXH3-64(entries, seed = XXH3-64(bytes 0..63, seed = binding)).
 */
#ifndef ZSP_STORE_INDEX_H
#define ZSP_STORE_INDEX_H

#include "broker/store/file/batch.h"

#define INDEX_STEP         (32u * ZSP_KIB)
#define INDEX_HEADER_BYTES 72u
#define INDEX_ENTRY_BYTES  24u

struct index_entry {
    uint64_t offset;       /* of the batch at pos */
    uint64_t pos;          /* of its header */
    int64_t max_before_ms; /* highest timestamp of all batches before it, INT64_MIN = none */
};

/* Zero-initialise. Entries rise in offset, pos and max_before_ms. */
struct seg_index {
    struct index_entry *entries;
    uint32_t count;
    uint32_t capacity;
    bool complete; /* it reaches down to the segment's first batch */
};

/* What an index says of its whole segment. */
struct index_facts {
    uint64_t base_offset;
    uint64_t end_offset;
    uint64_t bytes;
    int64_t max_timestamp_ms;
};

/* Tell of a batch that follows all told before; kept if it is the first or
 * INDEX_STEP bytes after the last entry. Out of memory only makes it sparser. */
void index_note(struct seg_index *self, const struct index_entry *entry);
/* The last entry at or below `offset`; NULL if there is none. */
const struct index_entry *index_find_offset(const struct seg_index *self, uint64_t offset);
/* The last entry before which every timestamp is below `time_ms`; NULL if there is none. */
const struct index_entry *index_find_time(const struct seg_index *self, int64_t time_ms);
/* Put the entries of `older` in front; `older` is empty afterwards.
 * Errors: ZSP_ENOMEM, nothing changed */
int index_prepend(struct seg_index *self, struct seg_index *older);
void index_fini(struct seg_index *self);

/* The bytes of .idx; `place` is that of the segment's pos 0. A failed writer tells
 * of missing memory. */
void index_encode(struct zsp_writer *out, const struct seg_index *self,
                  const struct index_facts *facts, const struct batch_place *place);
/* What an index file says of its segment, before anything is checked; false = it is too short or
 * begins like none. */
bool index_peek(struct zsp_slice bytes, struct index_facts *ret);
/* Errors: ZSP_ECORRUPT  not a valid index of a segment with these facts; ZSP_ENOMEM */
int index_decode(struct zsp_slice bytes, const struct index_facts *want,
                 const struct batch_place *place, struct seg_index *ret, struct zsp_err *err);

#endif
