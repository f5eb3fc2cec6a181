/* SPDX-License-Identifier: MPL-2.0
 *
 * What a compaction does in its jobs: reads, copies, writes. Between compact_run_begin() and the job's
 * end all of it belongs to the job; it knows no partition, only copies of what it needs of one.
 */
#ifndef ZSP_STORE_COMPACT_RUN_H
#define ZSP_STORE_COMPACT_RUN_H

#include "broker/store/file/layout.h"
#include "broker/store/rewrite/compact_copy.h"
#include "broker/store/segment/scan.h"

/* A segment that is read. */
struct compact_source {
    uint64_t number;
    uint64_t last_number;
    uint32_t generation;
    uint64_t base_offset;
    uint64_t end_offset;
    uint64_t bytes;
    uint64_t from_pos, from_offset; /* it is read from this batch on: nothing before it stays */
    uint64_t skipped_bytes;         /* of the beginning: nothing there stays */
    uint64_t epoch_before;
    int64_t max_before_ms;
    int64_t max_timestamp_ms;
};

struct compact_run {
    char directory[LAYOUT_PATH_MAX];
    uint8_t uuid[STORE_UUID_BYTES];
    uint64_t topic_id;
    uint32_t partition;
    uint64_t job_bytes; /* about how much one job reads and writes */

    struct compact_source *sources; /* one after the other */
    size_t source_count, source_capacity;
    size_t at; /* the one that is read */
    struct scan scan;
    bool scanning;
    bool at_end; /* all of them are read, or the map is full */

    /* Mapping */
    struct compact_map map;
    uint64_t map_from; /* what is below is compacted already */
    uint64_t map_end;  /* all below is in the map; moved by compact_run_map() */

    /* Copying */
    struct compact_copy copy;
    struct compact_source target; /* what comes out, as far as it is known */
    int file;                     /* of the target, < 0 = not made yet */
    uint64_t written;             /* bytes of it that are in the file */
    bool wants_more;              /* all sources are copied; one more may be added, or */
    bool closes;                  /* set by the owner: the target ends here */
    bool sync_failed;
    uint64_t worked; /* bytes of the last job */
};

/* Forget the sources, to begin with others. */
void compact_run_reset(struct compact_run *self, struct fs *fs);
/* Errors: ZSP_ENOMEM */
int compact_run_add(struct compact_run *self, const struct compact_source *source);

/* For jobs: a piece of the work; `at_end` tells when all of it is done.
 * Errors: those of the file system, ZSP_ENOMEM, ZSP_ECORRUPT (a source is damaged) */
int compact_run_map(struct compact_run *self, struct fs *fs, struct zsp_err *err);
/* `wants_more` says that the owner is to decide; with `closes` the target is synced, name and index as
 * well, and it is at its end. What fails closes the target and removes it, unless a sync failed. */
int compact_run_copy(struct compact_run *self, struct fs *fs, struct zsp_err *err);
/* Remove the target. */
void compact_run_drop_target(const struct compact_run *self, struct fs *fs);
/* Close what is open. */
void compact_run_close(struct compact_run *self, struct fs *fs);
void compact_run_fini(struct compact_run *self, struct fs *fs);

#endif
