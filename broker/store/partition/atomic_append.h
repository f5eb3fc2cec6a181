/* SPDX-License-Identifier: MPL-2.0
 *
 * Atomic appends: batches of several partitions and entries of state that survive a crash together
 * or not at all. The journal comes first, the segments after it.
 *
 * The happy path:
 *   - atomic_begin() puts a marker into the queue of each partition, so that the order of calls
 *     holds. A marker at the head of its queue waits until all before it is synced, and for the next
 *     segment if the active one has too little room;
 *   - when all markers have come so far the offsets are known: STORE_ATOMIC_READY;
 *   - atomic_put() makes one journal record: the entries, for each partition its batches as they will
 *     stand in the segment (a REDO entry, see redo.h) and the mark that will hold then;
 *   - the record is synced: the batches are written to their segments, which owe a sync for them;
 *   - all are written: the marks move, STORE_ATOMIC_DONE.
 * In between nothing else is written to these partitions, but the next atomic append may be put: it
 * stands behind the one before it. Those of one partition are written and told in the order of their
 * records; one that has none in common with an older one may be over before it.
 *
 *      -> WAITING ---> READY ---> PLACED ---> WRITING ---> over
 *            |           |                       |
 *            +-fails-----+-cancelled-------------+--the store fails---> over
 *   -> WAITING         atomic_begin
 *   WAITING -> READY   atomic_at_head   every partition stands still
 *   READY -> PLACED    atomic_put       the record is in the journal, not synced yet
 *   PLACED -> WRITING  record_synced    from here on it will be, whatever happens
 *   WRITING -> over    finish           when nothing stands before it in its partitions
 *
 * What can go wrong:
 *   - what the journal holds and segments owe would be too much (redo_debt.h): it waits for a
 *     checkpoint;
 *   - a queue fails (a write before it, no next segment, a segment that cannot be opened, the topic is
 *     dropped): the whole fails, definite, for nothing was written. One that is READY is told so by
 *     atomic_put();
 *   - the segment's file system is full, or its file was closed meanwhile and cannot be opened: that is
 *     repeated every JOURNAL_RETRY_MS, and holds up nobody but those behind it in its partitions, where
 *     no more are put meanwhile. When the journal wants their record to go they are put anew, so that
 *     this may take any time. A failed write there is fail-stop: the next start writes what the
 *     journal holds;
 *   - the topic is dropped after the record: its part of it goes with it.
 */
#ifndef ZSP_STORE_ATOMIC_APPEND_H
#define ZSP_STORE_ATOMIC_APPEND_H

#include "broker/store/file/io.h"
#include "broker/store/store.h"

struct atomic_part;
struct log_store;

/* Zero-initialise. */
struct atomics {
    struct store_atomic *first;        /* all that are WAITING or READY */
    struct store_atomic *placed_first; /* PLACED or WRITING, in the order of their records */
    struct store_atomic *placed_last;
    uint64_t placed_bytes;  /* of these, */
    uint64_t held_bytes;    /* and of those of them that cannot go on */
    uint64_t renewed_bytes; /* stats.journal_bytes when these were put anew last */
};

/* As store_ops.atomic_begin, .atomic_offsets, .atomic_put and .atomic_cancel. */
int atomic_begin(struct log_store *store, const struct store_append *appends, size_t count,
                 uint64_t tag, struct store_atomic **ret, struct zsp_err *err);
const uint64_t *atomic_offsets(const struct store_atomic *self);
int atomic_put(struct log_store *store, struct store_atomic *self,
               const struct store_entry *entries, size_t count, struct zsp_err *err);
void atomic_cancel(struct log_store *store, struct store_atomic *self);

/* A marker is at the head of its partition's queue, no write is out there and no roll under way: go
 * on with it as far as it goes. False = no more files may be open now. */
bool atomic_at_head(struct atomic_part *part);
/* Does an atomic append stand in its place, or come next? Then its segment is not to be sealed. */
bool atomic_holds(const struct store_part *part);
/* The queue that the marker was taken out of fails, and so does the whole. */
void atomic_queue_fails(struct atomic_part *part, const struct zsp_err *err);
/* Start the writes that can be started. */
void atomics_step(struct log_store *store);
/* Records of those that cannot be written for a while, and are below this one, keep too much of the
 * journal: they are put anew. */
void atomics_renew(struct log_store *store, uint64_t below);
/* The oldest record whose batches are not in their segments yet; UINT64_MAX = none. */
uint64_t atomics_oldest_record(const struct log_store *store);
/* When atomics_step() wants to be called by time, INT64_MAX = never. */
int64_t atomics_deadline_ms(const struct log_store *store);
bool atomics_busy(const struct log_store *store);
/* The store has failed: everybody who waits is told. Those that are READY stay until put or
 * cancel. */
void atomics_fail(struct log_store *store);
/* The store ends; no job is out. */
void atomics_fini(struct log_store *store);

#endif
