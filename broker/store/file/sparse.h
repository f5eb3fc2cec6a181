/* SPDX-License-Identifier: MPL-2.0
 *
 * The body of a batch that compaction made (BATCH_CODEC_SPARSE): the offsets that its header covers,
 * and the records of those that are still there, in runs. All other offsets are absent for good.
 *
 *    pos size  field
 *      0    4  run count; 0 = nothing of it is there
 *      4    4  zero
 *      8    8  wall ms since when it is compacted, if it holds a tombstone; else 0
 *     16   12  each run: offsets from the first one of the batch (4), records (4), their bytes (4)
 *              records of all runs, back to back, not compressed
 *
 * Runs rise and do not overlap. So offsets go on from batch to batch as in any segment, and what is
 * absent costs nothing.
 */
#ifndef ZSP_STORE_SPARSE_H
#define ZSP_STORE_SPARSE_H

#include "broker/store/store.h"

#define SPARSE_HEADER_BYTES 16u
#define SPARSE_RUN_BYTES    12u

struct sparse_run {
    uint64_t first_offset;
    uint32_t count;
    struct zsp_slice records;
};

/* A body that was checked. */
struct sparse {
    uint64_t first_offset; /* of the batch */
    int64_t tombstone_ms;
    uint32_t run_count;
    uint32_t next; /* the run that comes next */
    const uint8_t *runs;
    const uint8_t *records; /* of that run */
};

/* Look at the body of a batch, whose sum holds; it is lent. The runs come one after the other.
 * Errors: ZSP_ECORRUPT  its parts do not hold together */
int sparse_open(struct sparse *self, const struct store_batch *batch, struct zsp_err *err);
/* The next run; false = there is none. */
bool sparse_next(struct sparse *self, struct sparse_run *ret);
/* The run as a batch of its own: everything else is that of the sparse one. The frame is not held. */
struct store_batch sparse_batch(const struct store_batch *batch, const struct sparse_run *run);

/* --- making one --- */

struct sparse_writer {
    struct zsp_writer runs;
    struct zsp_writer records;
    uint32_t run_count;
    uint32_t run_records; /* of the last run */
    size_t run_bytes;     /* */
    uint64_t first_offset;
    uint64_t end_offset; /* behind the last record that was added */
};

/* Begin one whose offsets begin here; memory is used again. */
void sparse_writer_begin(struct sparse_writer *self, uint64_t first_offset);
/* Add a record; offsets rise. Missing memory is told by sparse_writer_failed(). */
void sparse_writer_add(struct sparse_writer *self, uint64_t offset, struct zsp_slice record);
/* Bytes of the body. */
size_t sparse_writer_bytes(const struct sparse_writer *self);
bool sparse_writer_failed(const struct sparse_writer *self);
/* Append the body to `out`. */
void sparse_writer_end(struct sparse_writer *self, int64_t tombstone_ms, struct zsp_writer *out);
void sparse_writer_fini(struct sparse_writer *self);

#endif
