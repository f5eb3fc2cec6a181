/* SPDX-License-Identifier: MPL-2.0
 *
 * Group commit: one sync job at a time over all files with written but unsynced
 * bytes. While it runs the next batches gather, so that the commits grow with
 * the load and nobody lingers when there is none.
 *
 * The happy path of a cycle:
 *   - commit_start() notes for each unsynced partition where its written log ends now,
 *     and for the journal how many records are written, and submits one sync job;
 *   - sync_done() moves those marks (STORE_SYNCED), confirms journal records, and puts
 *     one record with all moved marks into the journal, before anything that
 *     names the new offsets can be put there.
 *
 * A failed sync is fail-stop: what the pages hold afterwards is unknown.
 */
#ifndef ZSP_STORE_COMMIT_H
#define ZSP_STORE_COMMIT_H

#include "broker/store/io.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store_part;
struct commit_item;

/* Zero-initialise. */
struct commit {
    struct io io;
    bool in_flight;
    struct store_part *first; /* unsynced, in the order of their first unsynced write */
    struct store_part *last;
    struct commit_item *items; /* of the cycle in flight */
    size_t item_count;
    int *files;
    size_t capacity; /* of items; files has one more, for the journal */
    bool has_journal;
    uint64_t journal_record; /* all records below are written when the cycle began */
};

/* The partition has unsynced bytes; its active segment is pinned until they are synced. */
void commit_add(struct log_store *store, struct store_part *part);
/* Submit a cycle if there is something to sync and none is in flight. */
void commit_start(struct log_store *store);
void commit_fini(struct commit *self);

#endif
