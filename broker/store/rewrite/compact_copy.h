/* SPDX-License-Identifier: MPL-2.0
 *
 * What compaction leaves of a stretch of the log: batches go in, in order; the bytes of those that take
 * their place come out. Does no I/O.
 *
 * A batch that keeps all its records, and has no tombstone, stays as it is. A tombstone behind the
 * end of the map simply stays, and its time does not run: older messages of its key may still be there. What is left of others
 * gathers in sparse batches (sparse.h), which also take the offsets behind them that are gone, so that
 * no offset is without a batch. Timestamps, priorities and times of delivery stay those of each
 * record; so do broker epochs, for a batch must not have a lower one than its predecessor. Producers
 * and sequences do not: only what the engine has an image of is compacted (store.h).
 */
#ifndef ZSP_STORE_COMPACT_COPY_H
#define ZSP_STORE_COMPACT_COPY_H

#include "broker/store/file/batch.h"
#include "broker/store/file/sparse.h"
#include "broker/store/index/index.h"
#include "broker/store/rewrite/compact_map.h"
#include "common/codec.h"

/* With `keeps` these messages stay, and all others go; else what the keys say. */
struct compact_rules {
    const struct compact_map *map; /* lent */
    uint64_t map_end;              /* keys of messages from here on may have older ones left */
    bool keeps;
    const struct store_range *kept; /* lent; they rise and do not overlap */
    size_t kept_count;
    int64_t now_ms;               /* wall: what a new tombstone is counted from */
    int64_t tombstones_before_ms; /* wall: one that was compacted first at or before this goes */
};

/* As the time of a tombstone: that does not run yet. 0 = it is none. */
#define COMPACT_UNCOUNTED INT64_MIN

/* Zero-initialise, then compact_copy_begin(). */
struct compact_copy {
    struct compact_rules rules;
    struct batch_place place; /* pos = behind all bytes that came out */
    struct zsp_writer out;    /* bytes of batches, to be taken by the caller, who resets it */
    struct seg_index index;   /* of what came out */
    int64_t max_ms;           /* highest timestamp before what comes next */
    uint64_t out_offset;      /* all below is covered by what came out */
    uint64_t epoch;           /* of the batch that went in last */
    uint64_t out_epoch;       /* of the one that came out last */

    bool open;               /* a sparse batch gathers */
    struct store_batch meta; /* what its records have in common */
    uint64_t open_epoch;
    int64_t open_tombstone_ms; /* of its tombstones, COMPACT_UNCOUNTED = of those behind map_end */
    struct sparse_writer sparse;

    struct zsp_unpacker *unpacker;
    struct zsp_writer raw; /* of a compressed body */

    int64_t tombstone_ms;   /* of the oldest tombstone that came out, 0 = none */
    uint64_t kept, removed; /* messages */
    uint64_t first_kept;    /* offset of the first of them, UINT64_MAX = none */
};

/* Begin a segment at `place` (its uuid is lent) whose offsets begin here; memory is used again. */
void compact_copy_begin(struct compact_copy *self, const struct compact_rules *rules,
                        const struct batch_place *place, uint64_t base_offset,
                        int64_t max_before_ms);
/* The next batch, with its body. Errors: ZSP_ENOMEM, ZSP_ECORRUPT (what is in it cannot be read) */
int compact_copy_batch(struct compact_copy *self, const struct batch_header *header,
                       struct zsp_err *err);
/* With ranges: is anything of [first, end) kept? */
bool compact_copy_has_kept(const struct compact_copy *self, uint64_t first, uint64_t end);
/* Does anything of it stay? Else its body is not needed: pass it by. */
bool compact_copy_wants(const struct compact_copy *self, const struct store_batch *batch);
void compact_copy_pass(struct compact_copy *self, const struct batch_header *header);
/* The segment ends here. Errors: ZSP_ENOMEM */
int compact_copy_end(struct compact_copy *self, uint64_t end_offset, struct zsp_err *err);
void compact_copy_fini(struct compact_copy *self);

/* The records of a batch, uncompressed: those of a sparse one run by run. For each `record_fn` is called
 * with its offset, and since when it is compacted; a nonzero return ends the walk.
 * Errors: ZSP_ENOMEM, ZSP_ECORRUPT */
int compact_copy_walk(struct compact_copy *self, const struct store_batch *batch,
                      int (*record_fn)(void *arg, uint64_t offset, struct zsp_slice record,
                                       int64_t tombstone_ms),
                      void *arg, struct zsp_err *err);

#endif
