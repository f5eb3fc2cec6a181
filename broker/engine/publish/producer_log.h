/* SPDX-License-Identifier: MPL-2.0
 *
 * The sequences of one producer in one partition: what the next batch must
 * begin with, and where the last batches went. Derived from the batch headers
 * on disk; producer_image.h keeps a copy so that a start need not read them all.
 *
 * Sequences are counted in messages from 1 and go on over epochs. A batch is
 * taken in when it is given to the store, so that many can be in flight; when
 * one fails, the store fails all behind it, and the log goes back to what was
 * written.
 */
#ifndef ZSP_ENGINE_PRODUCER_LOG_H
#define ZSP_ENGINE_PRODUCER_LOG_H

#include "broker/engine/publish/producer.h"
#include "broker/engine/topic/topic.h"

/* A batch in the log. */
struct producer_batch {
    uint64_t sequence; /* of its first record */
    uint64_t offset;
    uint32_t count;
    bool is_inexact;     /* its records are not side by side there, or not only they (dedup.h) */
    uint64_t end_offset; /* the mark that covers it, and all before it */
};

#define PRODUCER_LOG_KEY_BYTES 20u

struct producer_log {
    struct producer *producer;
    struct partition *partition;
    uint8_t key[PRODUCER_LOG_KEY_BYTES]; /* producer id, topic id, partition */
    struct producer_log *next, *prev;    /* of the partition, in order of appearance */
    struct producer_log *peer_next;      /* of the producer, by topic id and partition */
    struct producer_log *peer_prev;
    struct producer_log *dirty_next;
    bool is_dirty;         /* written since the last image */
    uint64_t given_last;   /* the last sequence given to the store; 0 = none */
    uint64_t written_last; /* the last one written */
    uint64_t
        skip_last; /* up to here neither a batch nor a durable image may tell; 0 = all is told */
    uint64_t restored_last; /* as the image of a start had it: the window may not reach there */
    /* The last batches written, a ring that grows up to ZSP_PRODUCER_WINDOW. */
    struct producer_batch *window;
    uint32_t window_first, window_count, window_capacity;
};

/* The log, NULL when the producer has none there. */
struct producer_log *producer_log_find(const struct engine *engine, const struct producer *producer,
                                       const struct partition *partition);
/* The log, made when there is none. NULL: out of memory. */
struct producer_log *producer_log_open(struct engine *engine, struct producer *producer,
                                       struct partition *partition);

/* May a batch of `count` records that begins with `sequence` come now? `self` may be NULL (no
 * log yet). *ret_is_old = all of it came before.
 * Errors: ZSP_ESEQUENCE_GAP  a gap, or partly old and partly new */
int producer_log_check(const struct producer_log *self, uint64_t sequence, uint32_t count,
                       bool *ret_is_old, struct zsp_err *err);

/* A batch that was checked was given to the store; it was written at `batch->offset`; the
 * oldest one given and not yet written has failed. A batch all of which was old (dedup.h) counts as
 * written when those before it are. */
void producer_log_given(struct producer_log *self, uint64_t sequence, uint32_t count);
/* Errors: ZSP_ENOMEM  it is not in the window, all else holds */
int producer_log_written(struct producer_log *self, const struct producer_batch *batch);
void producer_log_failed(struct producer_log *self);

/* Where the records [sequence, sequence + count), all written, went. Returns false when that is not
 * remembered, or they do not follow each other there. *ret_end is in any case the end
 * of a stretch of the partition that holds them. */
bool producer_log_locate(const struct producer_log *self, uint64_t sequence, uint32_t count,
                         uint64_t *ret_first, uint64_t *ret_end);
/* The last sequence below the partition's mark. */
uint64_t producer_log_synced_last(const struct producer_log *self);
/* The window's batch `index`, 0 = the oldest. */
const struct producer_batch *producer_log_batch(const struct producer_log *self, uint32_t index);

/* A batch header read at start. Errors: ZSP_ENOMEM */
int producer_log_replay(struct engine *engine, struct partition *partition,
                        const struct store_batch *batch, struct zsp_err *err);

/* Forget one log; the producer, or the partition, goes. */
void producer_log_close(struct engine *engine, struct producer_log *self);
/* The partition's topic was deleted: forget its logs, durably. */
void producer_log_partition_gone(struct engine *engine, struct partition *partition);
/* Free all, at the end, before their producers and partitions. */
void producer_log_free_all(struct engine *engine);

#endif
