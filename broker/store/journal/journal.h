/* SPDX-License-Identifier: MPL-2.0
 *
 * The journal: a log of objects in files that follow each other. All durable
 * state that is not a message. Records are numbered without a gap over all
 * files; a file is dropped when every live object has a newer image (carry.h).
 *
 * The happy path of a record:
 *   - journal_put() gathers it;
 *   - journal_flush() sends all that was gathered in one write, one write at a time;
 *   - write_done() confirms those that asked for WRITTEN;
 *   - the next commit cycle, or one within ZSP_JOURNAL_SYNC_MS, syncs the file and
 *     journal_synced() confirms the rest.
 *
 * What can go wrong:
 *   - no room: the write is repeated, the same bytes at the same place, every
 *     JOURNAL_RETRY_MS; meanwhile `blocked`, and journal_put() refuses. Zero-filled space is
 *     kept ahead, so this comes late;
 *   - any other failed write, any failed sync: fail-stop.
 *
 * Files: the next one is made by a task (zero-filled start, synced, directory synced)
 * when the current one is half full. Nothing is written to it before all of the
 * current one is synced:
 *
 *   WRITING ---> ENDING ---> WRITING (next file)
 *   WRITING -> ENDING   journal_flush  the file has its size, the next one is made
 *   ENDING -> WRITING   journal_flush  all of it is synced: switch
 */
#ifndef ZSP_STORE_JOURNAL_H
#define ZSP_STORE_JOURNAL_H

#include "broker/store/file/io.h"
#include "broker/store/journal/carry.h"
#include "broker/store/journal/journal_record.h"
#include "broker/store/store.h"

#define JOURNAL_RETRY_MS 100u /* after a write that found the disk full */

/* Called when a record of the store itself is synced; `err` is NULL, or why it never will be. */
typedef void journal_fn(struct log_store *store, void *arg, const struct zsp_err *err);

/* Someone waits for a record. */
struct journal_wait {
    uint64_t record; /* its number */
    uint64_t tag;
    journal_fn *fn; /* NULL = the engine's: STORE_STATE with `tag` */
    void *arg;
};

/* First in, first out; a ring. */
struct journal_waits {
    struct journal_wait *items;
    size_t first;
    size_t count;
    size_t capacity;
};

struct journal_file {
    uint64_t number;
    uint64_t first_record; /* number of its first record */
    uint64_t bytes;        /* of records */
};

struct journal {
    struct journal_file *files; /* oldest first; the last one is written to */
    size_t file_count;
    size_t file_capacity;
    int file;              /* of the last one */
    uint64_t filled_bytes; /* zero-filled end of it */
    int next_file;         /* made ahead, < 0 = none */
    bool making;           /* the task that makes it is out */
    int64_t make_retry_ms; /* not again before this */
    bool ending;

    uint64_t next_record;    /* number of the next record put */
    uint64_t written_record; /* all below are written */
    uint64_t synced_record;  /* all below are synced */
    int64_t unsynced_ms;     /* since when something is written and not synced */
    int64_t broker_ms;       /* broker time, set by the engine */

    struct zsp_writer gather;  /* records put, headers unfinished */
    struct zsp_writer writing; /* records in the write, or to be written again */
    struct io write_io;
    struct iovec *iov; /* of the write */
    bool write_out;
    bool blocked; /* the disk is full */
    bool no_fill; /* the last fill did not fit */
    int64_t retry_ms;

    struct journal_waits written_waits;
    struct journal_waits synced_waits;
    struct carry carry;
};

int journal_init(struct journal *self, uint64_t seed);
void journal_fini(struct log_store *store);

/* Read all files, bring them in order, tell every entry that matters to
 * hooks->entry_fn, and leave the journal ready to be written to. Synchronous.
 * Errors: ZSP_ECORRUPT (names file and pos), ZSP_EIO, ZSP_ENO_SPACE, ZSP_ENOMEM */
int journal_replay(struct log_store *store, struct zsp_err *err);

/* Add a record of the engine, whose last `own_count` entries are the store's. `wait` (its record is
 * filled in) hears of it at the level. Errors: as store_ops.state_put */
int journal_put(struct log_store *store, const struct store_entry *entries, size_t count,
                size_t own_count, enum store_level level, const struct journal_wait *wait,
                struct zsp_err *err);
/* Add a record of the store itself; never refused (a failed store calls `fn` with
 * the failure). `fn` NULL: nobody waits, level WRITTEN. */
void journal_put_own(struct log_store *store, const struct store_entry *entries, size_t count,
                     journal_fn *fn, void *arg);

/* Start a write of what was gathered, if none is out. */
void journal_flush(struct log_store *store);
/* Shall a commit cycle include the journal now? */
bool journal_wants_sync(const struct log_store *store);
/* The file to sync, and the number below which all records are written in it. */
int journal_sync_file(struct log_store *store, uint64_t *ret_record);
/* A sync that was submitted when all records below `record` were written is over. */
void journal_synced(struct log_store *store, uint64_t record);
/* When something has to be done by time, INT64_MAX = never. */
int64_t journal_deadline_ms(const struct log_store *store);
/* Is anything gathered, in flight, unsynced? */
bool journal_busy(const struct log_store *store);
/* The store has failed: everybody who waits is told. */
void journal_fail(struct log_store *store);
/* Bytes of records in all files. */
uint64_t journal_bytes(const struct journal *self);
/* The file that is written to. */
struct journal_file *journal_last_file(struct journal *self);
/* Begin to make the next file, if it is time for it. */
void journal_make_next(struct log_store *store);
/* All of the current file is synced and the next one is there: go on in it. */
void journal_switch_file(struct log_store *store);
/* The oldest file is not needed any more and the journal says so: remove it. */
void journal_remove_oldest(struct log_store *store);

#endif
