/* SPDX-License-Identifier: MPL-2.0
 *
 * What dedup.c (the order of things), dedup_commit.c (those of transactions) and dedup_batch.c (the
 * records of one batch) share. Included by these only.
 */
#ifndef ZSP_ENGINE_DEDUP_BATCH_H
#define ZSP_ENGINE_DEDUP_BATCH_H

#include "broker/engine/publish/dedup.h"

/* What becomes of a record: where it is old, or which one of the new ones it is, or is like. */
#define FATE_NEW  (1ull << 62) /* | rank among the new ones */
#define FATE_SAME (1ull << 63) /* | rank of the new one that has its id */
#define FATE_RANK ((1ull << 62) - 1)

/* A batch on its way; with its part until that is answered. */
struct dedup_batch {
    struct id_lookup lookup; /* first */
    struct dedup_batch *next;
    struct publish_part *part;       /* whose it is; or, with NULL: */
    struct transaction *transaction; /* */
    uint32_t part_index;             /* of the transaction's parts */
    bool is_held;          /* of a transaction: decided; it stands in front until that is over */
    uint32_t raw_bytes;    /* compressed: of the records */
    int64_t timestamp_ms;  /* of the batch: the window ends there */
    struct zsp_buf *frame; /* NULL = given, or not needed any more */
    enum zsp_codec codec;  /* of the frame */
    uint32_t count;        /* records */
    uint32_t new_count;
    bool is_scanned;       /* ids are known; id_count 0 = there are none */
    bool is_at_work;       /* the store was asked, */
    bool is_looked_up;     /* and has answered: */
    bool is_gone;          /* nobody waits for it any more */
    struct zsp_err error;  /* why not; code 0 = all is known */
    struct zsp_buf *raw;   /* the records, if `frame` is compressed */
    struct zsp_slice *ids; /* into the records: each once */
    uint64_t *prints;      /* of them */
    uint32_t *id_of; /* of each record: which of the ids + 1, 0 = none; NULL = no record has one */
    uint32_t id_count;
    uint64_t *fates; /* of each record; NULL = all are new, or it is not decided */
    uint32_t told;   /* records that are in the answer */
};

/* --- dedup.c --- */

/* There may be something to do. */
void dedup_make_ready(struct engine *engine, struct dedup *self);
/* At the end of the queue. NULL: out of memory. */
struct dedup_batch *dedup_enqueue(struct engine *engine, struct partition *partition,
                                  struct zsp_buf *frame, enum zsp_codec codec);
/* Out of the queue, wherever it is; freed when the store has answered. */
void dedup_discard(struct engine *engine, struct dedup *self, struct dedup_batch *batch);
/* Find its ids, and where they are: 1 = lookup.found tells, or it has none; 0 = it waits. */
int dedup_find(struct engine *engine, struct dedup *self, struct dedup_batch *batch,
               struct zsp_err *err);

/* --- dedup_commit.c --- */

/* Move on one of a transaction, which is the first but for others of the same. 1 = it is held, 0 = it
 * waits. */
int dedup_step_held(struct engine *engine, struct dedup *self, struct dedup_batch *batch,
                    struct zsp_err *err);

/* --- dedup_batch.c --- */

/* Write rows of [index, index + count) of a body, which are the next ones of the batch; with `out` NULL
 * they are only counted. Its new records begin at `first_offset`. *rows_left bounds them. */
struct dedup_place {
    uint32_t partition;
    uint64_t first_offset;
};
uint32_t dedup_batch_rows(struct zsp_writer *out, struct dedup_batch *self,
                          struct dedup_place place, uint32_t index, uint32_t count,
                          uint32_t *rows_left);
/* Find the ids in the records. Errors: ZSP_ENOMEM, those of unpack_received() */
int dedup_batch_scan(struct engine *engine, struct dedup_batch *self, struct zsp_err *err);
/* The lookup has ended: decide about each record. Errors: ZSP_ENOMEM */
int dedup_batch_judge(struct dedup_batch *self);
/* The new records alone. NULL: out of memory. */
struct zsp_buf *dedup_batch_cut(const struct dedup_batch *self);
/* Are all old, one behind the other? */
bool dedup_batch_is_one_run(const struct dedup_batch *self);
/* Do the old ones all come before the new ones? */
bool dedup_batch_begins_old(const struct dedup_batch *self);
/* Ids and bytes are needed no more; fates are. */
void dedup_batch_strip(struct dedup_batch *self);

#endif
