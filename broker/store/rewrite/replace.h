/* SPDX-License-Identifier: MPL-2.0
 *
 * One new file takes the place of neighbouring sealed segments: the file is written and synced first
 * (compact_run.h), then one record of the journal says so, and only then the old files go. A crash
 * leaves the old ones or the new one; a start removes what the journal does not name.
 */
#ifndef ZSP_STORE_REPLACE_H
#define ZSP_STORE_REPLACE_H

#include "broker/store/rewrite/compact_run.h"
#include "broker/store/segment/segment.h"

/* Zero-initialise. */
struct replacement {
    struct segment *target;   /* between replace_begin() and replace_swap() */
    struct segment_file *old; /* to be removed */
    size_t old_count;
};

/* Prepare a zeroed run over the partition's segments. */
void replace_run_init(struct compact_run *run, const struct store_part *part);
/* No segment of the partition is a source any more. */
void replace_release(struct store_part *part);
/* Segment `index` of the partition, as a job needs to know it. */
struct compact_source replace_source(const struct store_part *part, size_t index);
/* The segment that comes out of the run, whose target is complete; what only the owner knows of it is
 * filled in by the owner. Errors: ZSP_ENOMEM */
int replace_begin(struct replacement *self, struct store_part *part, const struct compact_run *run);
/* Put the record; `fn` is called when it is synced, as by journal_put_own(). Errors: ZSP_ENOMEM */
int replace_put(struct replacement *self, struct log_store *store, const struct compact_run *run,
                void (*fn)(struct log_store *store, void *arg, const struct zsp_err *err),
                void *arg);
/* The record is synced: the target takes the place of its sources. Returns the bytes of these. */
uint64_t replace_swap(struct replacement *self, struct log_store *store,
                      const struct compact_run *run);
/* For a job: remove the old files. */
void replace_remove(const struct replacement *self, struct compact_run *run, struct fs *fs,
                    struct zsp_err *err);
void replace_fini(struct replacement *self, struct log_store *store);

#endif
