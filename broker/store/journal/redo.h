/* SPDX-License-Identifier: MPL-2.0
 *
 * Redo: how a commit over many files costs one sync instead of one for each.
 *
 * Every batch is written to its segment. When the unsynced ones lie in few files, a commit
 * cycle syncs those files. When they lie in many, the cycle copies their bytes, as they stand
 * in the segments, into the journal (REDO entries), and syncs the journal alone: from then
 * on they are durable, for a start that finds them missing in a segment writes them there again.
 * The segment's file still owes a sync, which nobody waits for. It is paid
 *
 *   - by a checkpoint: a task that syncs many such files, when half of what may be owed is, when the
 *     journal is to let its oldest file go, when others need an open file, or REDO_IDLE_MS after the
 *     last;
 *   - by a commit cycle that syncs the file itself, or by the seal of the segment.
 *
 * A file that owes is pinned, so it stays open until then: a failure to write it back cannot be
 * missed. It is fail-stop, like any failed sync.
 *
 * A record with REDO entries holds the new marks of their partitions as well, so the mark is
 * never ahead of what a start can find. A redo entry is no object: it is not carried forward, and
 * goes with its file when nobody owes for it. The fact 'R' tells a start which ones are paid.
 *
 * No more is owed than options.redo_entries_max and .redo_bytes_max say (redo_debt.h), so that a start
 * knows what it may cost: what would be more is written to its segment, which is synced, or, as an
 * atomic append, waits for a checkpoint.
 *
 * At a start: redo_apply() writes the entries that matter to the active segment, before its tail is
 * looked at. A sealed segment was synced before its fact; what was dropped is gone. Only where the
 * bytes are is kept in memory meanwhile. What their damage means is said in redo_damage.h.
 */
#ifndef ZSP_STORE_REDO_H
#define ZSP_STORE_REDO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/store/journal/redo_debt.h"
#include "common/bytes.h"
#include "common/err.h"
#include "common/limits.h"

struct fs;
struct log_store;
struct segment;

#define REDO_FILES_STANDARD 4u    /* files that a cycle syncs one by one */
#define REDO_IDLE_MS        1000u /* owed for so long without any more: paid */

/* --- While the store runs ------------------------------------------------------------- */

struct checkpoint;

struct redo {
    struct segment *first; /* whose files owe a sync, by record */
    struct segment *last;
    int64_t since_ms;              /* when the last one came */
    struct checkpoint *checkpoint; /* under way */
    struct redo_debt debt;
    bool wants_room; /* something did not fit: all is to be paid */
};

/* Zero-initialised otherwise. */
void redo_init(struct redo *self, struct redo_amount max);
/* Redo entries are to be put into the journal. False = too much would be owed: not now, and what is
 * owed is paid. True = they are released when they are there, or come to nothing. */
bool redo_reserve(struct log_store *store, struct redo_amount amount);
void redo_release(struct log_store *store, struct redo_amount amount);

/* Batches of the segment are durable in the journal from record `record` on, and not yet in its
 * file, which is open. */
void redo_owe(struct log_store *store, struct segment *segment, uint64_t record);
/* The file was synced whole, or does not matter any more. */
void redo_paid(struct log_store *store, struct segment *segment);
/* Start a checkpoint, if there is reason to and none is under way. */
void redo_step(struct log_store *store);
/* The oldest record that somebody owes for, or will; UINT64_MAX = none. */
uint64_t redo_oldest(const struct log_store *store);
/* Put the fact 'R': what is owed now is all that a start has to redo. */
void redo_put_from(struct log_store *store);
/* When redo_step() wants to be called by time, INT64_MAX = never. */
int64_t redo_deadline_ms(const struct log_store *store);
/* The store ends: what is owed stays in the journal. */
void redo_forget_all(struct log_store *store);

/* --- What the journal holds ------------------------------------------------------------- */

/* One entry: where the bytes are, and where they belong. */
struct redo_item {
    uint64_t topic_id;
    uint64_t segment;
    uint64_t pos;
    uint64_t record;
    uint64_t file; /* of the journal, */
    uint64_t sum;  /* XXH3-64 of the bytes */
    uint32_t file_pos;
    uint32_t len;
    uint32_t partition;
    bool damaged; /* the journal's bytes do not have this sum */
    bool paid;    /* redo_log_sort(): it does not matter any more */
};

_Static_assert(sizeof(struct redo_item) <= 64, "a full journal may hold a million");

/* Unpaid at once. A store of ours has no more than ZSP_REDO_ENTRIES_MAX; versions without that bound
 * left more. */
#define REDO_ITEMS_MAX (4u << 20)

_Static_assert(ZSP_REDO_ENTRIES_MAX <= REDO_ITEMS_MAX, "a start reads what a store leaves");

/* All that were found, sorted by redo_log_sort(). Zero-initialise. */
struct redo_log {
    struct redo_item *items;
    size_t count;
    size_t capacity;
    size_t max; /* of those that matter; 0 = REDO_ITEMS_MAX */
};

/* Note an entry. When there is no room, those that do not matter (see redo_log_sort()) go first,
 * so that no more memory is taken than a start that comes to its end has use for, twice.
 * Errors: ZSP_ENOMEM; ZSP_ECORRUPT  more than any store of ours leaves unpaid */
int redo_log_note(struct redo_log *self, const struct redo_item *item, uint64_t from,
                  uint64_t oldest_file, struct zsp_err *err);
/* All are noted: bring them in order. Those of records below `from`, which are paid, and of journal
 * files below `oldest_file` go; if they are damaged they stay, and are marked as paid. */
void redo_log_sort(struct redo_log *self, uint64_t from, uint64_t oldest_file);
/* The entries of one partition, oldest first; *ret_count may be 0. */
const struct redo_item *redo_log_find(const struct redo_log *self, uint64_t topic_id,
                                      uint32_t partition, size_t *ret_count);
void redo_log_fini(struct redo_log *self);

/* Do the items hold segment `segment` from its beginning to `end`, which is not 0? */
bool redo_covers(const struct redo_item *items, size_t count, uint64_t segment, uint64_t end);
/* Lay what the items say of segment `segment` over `data`, which are the segment's bytes from `pos`
 * on. In the place of damaged ones they stay. Errors: those of the file system */
int redo_overlay(struct fs *fs, const struct redo_item *items, size_t count, uint64_t segment,
                 uint64_t pos, uint8_t *data, size_t len, struct zsp_err *err);
/* Write what the items say of segment `segment` to its open file; in the place of damaged ones,
 * what it holds itself. Returns 1 = something was written, 0 = nothing. *ret_end = the end of it
 * all. Errors: those of the file system, ZSP_ENOMEM; ZSP_ECORRUPT  bytes do not have their sum */
int redo_apply(struct fs *fs, const struct redo_item *items, size_t count, uint64_t segment,
               int file, uint64_t *ret_end, struct zsp_err *err);

#endif
