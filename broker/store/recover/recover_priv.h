/* SPDX-License-Identifier: MPL-2.0
 *
 * What recover.c (facts and files) and recover_walk.c (the batches) share.
 * Included by these two only.
 */
#ifndef ZSP_STORE_RECOVER_PRIV_H
#define ZSP_STORE_RECOVER_PRIV_H

#include "broker/store/partition/partition.h"
#include "broker/store/recover/recover.h"
#include "broker/store/segment/log_walk.h"

/* A segment file in the partition's directory. */
struct file_found {
    uint64_t number;
    uint64_t bytes;
    uint32_t generation;
};

/* What is derived of a segment, or was half made of that when a crash came. */
struct side_found {
    uint64_t number;
    uint32_t generation;
    const char *suffix;
};

/* A partition being opened. */
struct recovery {
    struct log_store *store;
    struct store_part *part;
    const struct recover_wish *wish;
    struct file_found *files; /* by number */
    size_t file_count;
    struct side_found *sides;
    size_t side_count;
    bool no_memory;
    struct log_walk walk;
    bool has_mark;        /* the journal knows a mark in the active segment */
    struct mark mark;     /* where the walk of what is not proven begins */
    int64_t max_ms;       /* highest timestamp up to the scan */
    bool index_from_here; /* timestamps and entries are complete from here on */
    bool changed;         /* bytes were written: sync */
};

/* ZSP_ECORRUPT: the journal contradicts `what`. */
int recovery_contradiction(const struct recovery *self, const char *what, struct zsp_err *err);
/* Open the segment's file for the scan, and stand at its beginning. */
int recovery_scan_open(struct recovery *self, const struct segment *segment, enum fs_open_mode mode,
                       struct zsp_err *err);
/* Tell the headers of a sealed segment that hold anything to be replayed. */
int recovery_replay_sealed(struct recovery *self, const struct segment *segment,
                           struct zsp_err *err);
/* Walk the active segment to its end; the scan stands there. */
int recovery_walk_active(struct recovery *self, struct zsp_err *err);

#endif
