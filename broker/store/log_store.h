/* SPDX-License-Identifier: MPL-2.0
 *
 * The segmented log: the store of one machine. A store (store.h) whose I/O
 * leaves as jobs, so that it has no threads and no clock of its own and runs
 * unchanged in the simulator. docs/LOG_FORMAT.md describes the bytes.
 *
 * The host drives it:
 *     calls on the store ... store->ops->flush()
 *     while ((job = log_store_next_job())) run it, inline or elsewhere
 *     log_store_job_done(job)
 *     while (store->ops->next_completion()) ...
 */
#ifndef ZSP_STORE_LOG_STORE_H
#define ZSP_STORE_LOG_STORE_H

#include "broker/store/file/fs.h"
#include "broker/store/file/job.h"
#include "broker/store/store.h"
#include "common/diag.h"

struct log_store;

struct log_store_options {
    struct fs *fs;                    /* lent until destroy */
    const struct zsp_diag *diag;      /* lent; NULL = silent */
    uint64_t (*random_fn)(void *arg); /* for a new store's uuid and the table's seed */
    void *random_arg;
    uint64_t segment_bytes;       /* 0 = ZSP_SEGMENT_BYTES */
    uint64_t journal_file_bytes;  /* 0 = ZSP_JOURNAL_FILE_BYTES */
    uint64_t journal_bytes_min;   /* 0 = ZSP_JOURNAL_BYTES_MIN */
    uint64_t unsynced_bytes_max;  /* 0 = ZSP_UNSYNCED_BYTES_MAX */
    uint64_t tail_bytes;          /* 0 = ZSP_TAIL_BYTES; what was read lately comes on top,
                                  * by ZSP_READ_CACHE_SHARE */
    uint64_t min_free_bytes;      /* below it appends get ZSP_ENO_SPACE; 0 = only when truly full */
    uint64_t redo_bytes_max;      /* 0 = ZSP_REDO_BYTES_MAX */
    uint64_t redo_entries_max;    /* 0 = ZSP_REDO_ENTRIES_MAX */
    uint32_t fill_bytes;          /* zero-filled space ahead, 0 = none */
    uint32_t sync_files_max;      /* files a commit syncs one by one; with more it goes through the
                                  * journal (redo.h). 0 = REDO_FILES_STANDARD */
    uint32_t segment_ids_max;     /* ids of a segment at which it is sealed, when they are looked
                                   * for; 0 = ZSP_SEGMENT_IDS_MAX */
    uint32_t open_files_max;      /* segment files open at once, 0 = OPEN_FILES_STANDARD */
    uint64_t compaction_keys_max; /* keys that one compaction keeps in mind, 0 =
                                   * ZSP_COMPACTION_KEYS_MAX */
    bool create;                  /* make a new store in an empty directory; without it a missing
                                   * store is ZSP_ENOT_FOUND */
};

/* Lock the directory and check its format; nothing is read or changed beyond
 * that, see store->ops->start().
 *
 * Errors: ZSP_ELOCKED, ZSP_EFORMAT (newer version), ZSP_ENOT_FOUND, ZSP_ECORRUPT (FORMAT
 *         unreadable, or files of a store without FORMAT), ZSP_EIO, ZSP_ENOMEM
 */
struct log_store *log_store_open(const struct log_store_options *options, struct zsp_err *err);

/* The store interface of it; destroyed with store->ops->destroy(), which needs
 * that no job is out. */
struct store *log_store_base(struct log_store *self);

/* The next job, NULL when there is none now. Jobs may be run in any order and
 * at the same time; the store never has two out that must not be. (It may have a
 * sync, a write and reads of one file out at once.) With nothing queued this
 * also makes the jobs that finished ones made possible, and starts a commit cycle
 * once no write is out; so a host that takes jobs until there are none, runs
 * them and gives them back has driven the store as far as it goes. */
struct job *log_store_next_job(struct log_store *self);
/* Does an answer wait for a record of state that is not synced yet? */
bool log_store_awaits_sync(const struct log_store *self);
/* A job that has run. The store takes it back. */
void log_store_job_done(struct log_store *self, struct job *job);

#endif
