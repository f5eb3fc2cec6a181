/* SPDX-License-Identifier: MPL-2.0
 *
 * Writes to segments that are put off. When many partitions are written to at once, their batches
 * go into the journal alone (partition_write.c, commit.c), and each segment gets what has gathered
 * for it in one write, later. The journal's records are synced before anything is put off, so a
 * start finds all of it there (redo.h); the segment owes a sync from the first of them on.
 *
 *   - Bytes of a partition are kept in memory, in the order of the log, without a gap: from `pos` of the
 *     active segment to its end. Who keeps up with the log reads the tail buffers, and knows nothing of it.
 *   - They are written when there are many, of one partition or of all, and before anybody looks into
 *     the file: a reader, the next segment, a batch that does not go through the journal, the
 *     checkpoint that syncs it.
 *   - While a write is out more may be put off.
 *
 * What can go wrong: no room on the disk, then the write is repeated every JOURNAL_RETRY_MS; any other
 * failure is fail-stop, and the next start writes what the journal holds.
 */
#ifndef ZSP_STORE_DEFERRED_H
#define ZSP_STORE_DEFERRED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/store/file/io.h"

struct log_store;
struct segment;
struct store_part;

#define DEFERRED_PART_BYTES (64u << 10) /* of one partition: written then */
#define DEFERRED_BYTES      (16u << 20) /* of all: the oldest are written then */

/* What is put off for one partition. It is there while anything is. */
struct deferred {
    struct io io; /* of the write */
    struct store_part *part;
    struct segment *segment;
    struct deferred *prev; /* in the list, */
    struct deferred *next;
    struct deferred_list *list; /* this one */
    uint64_t pos;               /* in the file, of what is put off and not being written */
    uint64_t record;            /* the journal's, of the first of it */
    uint8_t *bytes;
    size_t len;
    size_t capacity;
    uint8_t *out; /* what is being written, up to `pos`; NULL = nothing */
    size_t out_len;
    struct iovec iov;
    bool is_out;      /* the job is */
    int64_t retry_ms; /* the disk was full: not again before */
};

/* Oldest first. */
struct deferred_list {
    struct deferred *first;
    struct deferred *last;
};

/* Zero-initialise. */
struct deferreds {
    struct deferred_list idle;    /* nothing of them is being written */
    struct deferred_list writing; /* or waits for room */
    uint64_t idle_bytes;
    bool full; /* one of them found no room on the disk */
};

/* Put off the next bytes of the partition's active segment, which are durable in the journal from
 * record `record` on. */
void deferred_add(struct store_part *part, const uint8_t *bytes, size_t len, uint64_t record);
/* Have all of it written. True = not everything is in the file yet: the partition, reads and searches
 * are looked at again when it is. */
bool deferred_flush(struct store_part *part);
/* Up to where the active segment's file has what the segment has. */
uint64_t deferred_written(const struct store_part *part);
/* Repeat what found no room. */
void deferred_step(struct log_store *store);
/* When deferred_step() wants to be called by time, INT64_MAX = never. */
int64_t deferred_deadline_ms(const struct log_store *store);
/* The partition is dropped, or the store ends: what is put off is not needed, or stays in the
 * journal. */
void deferred_drop(struct store_part *part);

#endif
