/* SPDX-License-Identifier: MPL-2.0
 *
 * Group commit: one cycle at a time makes durable all that is written and unsynced. While it
 * runs the next batches gather, so that the commits grow with the load and nobody lingers when
 * there is none.
 *
 * The happy path of a cycle:
 *   - commit_start() notes for each unsynced partition where its written log ends now,
 *     and for the journal how many records are written;
 *   - if these are few files, one job syncs them. If they are many, their unsynced bytes are
 *     read back, put into the journal with the marks to be, and the job syncs the journal (redo.h);
 *   - what partitions have written for the journal alone (commit_place()) is put there with them;
 *   - sync_done() moves the marks (STORE_SYNCED), confirms journal records, and puts the marks of
 *     the files that were synced themselves into the journal, before anything that
 *     names the new offsets can be put there.
 *
 *   IDLE ---> SYNCING ---> IDLE
 *   IDLE ---> GATHERING ---> RECORDING ---> SYNCING ---> IDLE
 *   -> GATHERING              begin          many files: a job reads their unsynced bytes
 *   GATHERING -> RECORDING    gather_done    they are put into the journal
 *   RECORDING -> SYNCING      commit_start   the journal has written them
 *   RECORDING -> RECORDING    commit_start   the journal must sync a full file before
 *
 * A failed sync is fail-stop: what the pages hold afterwards is unknown.
 */
#ifndef ZSP_STORE_COMMIT_H
#define ZSP_STORE_COMMIT_H

#include "broker/store/file/io.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store_part;
struct commit_item;

enum commit_phase { COMMIT_IDLE, COMMIT_GATHERING, COMMIT_RECORDING, COMMIT_SYNCING };

/* Zero-initialise. */
struct commit {
    struct io io; /* of the gather or the sync */
    enum commit_phase phase;
    struct store_part *first; /* unsynced, in the order of their first unsynced write */
    struct store_part *last;
    struct partition_write *placed_first; /* for the journal: of the next cycle */
    struct partition_write *placed_last;
    struct commit_item *items; /* of the cycle under way */
    size_t item_count;
    size_t capacity; /* of items, files and ranges; files has one more, for the journal */
    int *files;
    struct job_range *ranges;
    uint8_t *bytes; /* of the gather */
    size_t bytes_capacity;
    uint64_t first_record; /* RECORDING: the first with bytes of this cycle, */
    uint64_t end_record;   /* and one behind the last */
    bool has_journal;
    uint64_t journal_record; /* SYNCING: all records below are written */
};

/* The partition has unsynced bytes; its active segment is pinned until they are synced. */
void commit_add(struct log_store *store, struct store_part *part);
/* The write, whose redo entry is reserved, goes into the journal with the next cycle. */
void commit_place(struct log_store *store, struct partition_write *write);
/* Does the journal take such writes now? */
bool commit_may_place(const struct log_store *store);
/* At most so many bytes in one. */
#define COMMIT_PLACE_BYTES (256u << 10)
/* Begin a cycle if there is something to sync and none is under way, or go on with it. */
void commit_start(struct log_store *store);
/* The oldest redo record that nobody owes for yet, because its cycle is under way; UINT64_MAX =
 * none. */
uint64_t commit_redo_record(const struct log_store *store);
/* Is a cycle under way? */
bool commit_busy(const struct log_store *store);
/* Nothing has gone through the journal for a while: give its memory back. */
void commit_trim(struct log_store *store);
/* The store has failed: end the writes that nothing else brings to an end. */
void commit_fail(struct log_store *store);
void commit_fini(struct commit *self);

#endif
