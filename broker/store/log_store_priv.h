/* SPDX-License-Identifier: MPL-2.0
 *
 * What the files of the segmented log share: the store object, the way a piece
 * of I/O leaves and comes back, and how the store fails. Included by
 * broker/store/ only.
 *
 * Who does what in one turn:
 *   flush()        partition.c starts writes, journal.c starts its write, space.c,
 *                  carry.c and commit.c look whether they want something
 *   next_job()     hands the jobs out; with nothing else to do commit.c syncs
 *   job_done()     the io's done_fn moves the state on and adds completions
 */
#ifndef ZSP_STORE_LOG_STORE_PRIV_H
#define ZSP_STORE_LOG_STORE_PRIV_H

#include "broker/store/file/completions.h"
#include "broker/store/file/layout.h"
#include "broker/store/journal/journal.h"
#include "broker/store/journal/redo.h"
#include "broker/store/log_store.h"
#include "broker/store/partition/atomic_append.h"
#include "broker/store/partition/commit.h"
#include "broker/store/partition/deferred.h"
#include "broker/store/read/part_ids.h"
#include "broker/store/read/part_terms.h"
#include "broker/store/read/read.h"
#include "broker/store/rewrite/rewriting.h"
#include "broker/store/segment/open_files.h"
#include "broker/store/segment/read_cache.h"
#include "broker/store/segment/segment.h"
#include "broker/store/segment/tail.h"
#include "broker/store/space.h"

struct append;
struct drop;
struct partition_write;
struct terms_read;

struct log_store {
    struct store base; /* first */
    struct log_store_options options;
    struct fs *fs;
    uint8_t uuid[STORE_UUID_BYTES];
    int lock_file;
    uint64_t epoch;     /* start count << 32 | rollback count */
    struct instant now; /* of the last start() or flush() */
    bool starting;      /* between start() and ready(): jobs are run at once */
    bool ready;
    bool closing; /* being destroyed: files are closed at once */
    bool failed;  /* fail-stop, see store_fail() */
    struct zsp_err failure;
    struct store_hooks hooks;
    struct layout_topics topics; /* directories found at the start */

    struct job *jobs_first; /* made, not handed out */
    struct job *jobs_last;
    size_t jobs_out;    /* handed out, not back */
    size_t writes_live; /* WRITE jobs made and not back */

    struct store_part *parts_first; /* all, in the order they were made */
    struct store_part *parts_last;
    struct store_part *dirty_first; /* with queued appends, in the order of the first */
    struct store_part *dirty_last;
    bool many_write; /* in this turn more than options.sync_files_max */
    struct append *append_pool;
    struct partition_write *write_pool;
    size_t write_pool_bytes; /* of their memory */
    struct drop *drops;      /* removals that wait until nothing points to their partitions */
    size_t orphans;          /* partitions whose creation failed, not yet freed */
    size_t works;            /* topic creations, drops, retentions and tasks under way */

    struct completions completions;
    struct journal journal;
    struct commit commit;
    struct redo redo;
    struct atomics atomics;
    struct deferreds deferreds;
    struct redo_log redo_log; /* what the journal held at the start; empty when ready */
    struct tail tail;
    struct read_cache read_cache;
    struct reads reads;
    struct id_finds id_finds;
    size_t terms_reads;               /* not answered */
    struct terms_read *terms_waiting; /* of these, for what is put off */
    bool terms_woken;
    struct open_files files;
    struct space space;
    struct rewritings compactions;
    struct rewritings islands;
    struct store_stats stats;
};

/* Queue the io's job; `done_fn` is called from log_store_job_done(). */
void store_submit(struct log_store *self, struct io *io);

/* Queue a completion; without memory for it the store fails. */
void store_complete(struct log_store *self, const struct completion *completion,
                    const struct zsp_err *err);

/* Fail-stop: nothing is confirmed any more. All that waits completes with
 * ZSP_ESTORAGE_FAILED and maybe, STORE_FAILED is told once, later calls are refused.
 * Jobs that are out still come back. */
void store_fail(struct log_store *self, const struct zsp_err *err);
/* The same for lack of memory where no call can be refused any more. */
void store_fail_memory(struct log_store *self, const char *what);

/* ZSP_ESTORAGE_FAILED with the reason, if the store has failed, else 0. */
int store_check(const struct log_store *self, struct zsp_err *err);

/* Run all jobs at once until none is left; for start-up only. */
void store_run_inline(struct log_store *self);

#endif
