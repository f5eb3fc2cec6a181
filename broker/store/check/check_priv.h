/* SPDX-License-Identifier: MPL-2.0
 *
 * What check.c (the directory and the journal), check_partition.c (segments) and
 * check_ids.c (ids), check_sequences.c (producers) share. Included by these only.
 */
#ifndef ZSP_STORE_CHECK_PRIV_H
#define ZSP_STORE_CHECK_PRIV_H

#include "broker/store/check/check.h"
#include "broker/store/file/layout.h"
#include "broker/store/journal/carry.h"
#include "broker/store/journal/redo.h"
#include "common/compiler.h"

struct check {
    const struct check_options *options;
    struct fs *fs;
    uint8_t uuid[STORE_UUID_BYTES];
    struct carry carry;
    struct redo_log redo;
    struct layout_topics topics;
    struct check_summary summary;
    uint64_t total_bytes; /* of all files that will be read */
    uint64_t told_bytes;  /* read when progress was told last */
};

/* Tell of a finding and count it; `text` of `finding` is made from the format. */
void check_tell(struct check *self, const struct check_finding *finding, const char *format, ...)
    ZSP_PRINTF(3, 4);
/* A finding about a whole file or directory. */
void check_tell_path(struct check *self, enum check_severity severity, const char *path,
                     const char *format, ...) ZSP_PRINTF(4, 5);
/* A file could not be read: damage, unless memory is what is missing. Returns 0 or ZSP_ENOMEM. */
int check_unreadable(struct check *self, const char *path, const struct zsp_err *why,
                     struct zsp_err *err);
/* Bytes were read. Errors: ZSP_EINTERRUPTED */
int check_progress(struct check *self, uint64_t bytes, struct zsp_err *err);

/* Check one partition that the journal knows. `topic_path` NULL: its topic has no directory.
 * Errors: ZSP_EINTERRUPTED, ZSP_ENOMEM */
int check_partition(struct check *self, const char *topic_path, uint64_t topic_id,
                    uint32_t partition, struct zsp_err *err);

struct batch_place;
struct sealed_fact;
/* Check the file of ids of a sealed segment, if it has one; `place` is that of its pos 0.
 * Errors: ZSP_ENOMEM */
int check_ids(struct check *self, const char *directory, const struct batch_place *place,
              const struct sealed_fact *fact, struct zsp_err *err);
/* The same for the file of priorities. */
int check_terms(struct check *self, const char *directory, const struct batch_place *place,
                const struct sealed_fact *fact, struct zsp_err *err);

/* --- Producers ---------------------------------------------------------------------- */

#define CHECK_PRODUCERS_MAX (1u << 20) /* remembered in one partition; then it begins anew */

/* What each producer's next batch in a partition must begin with. Zero-initialise. */
struct check_sequences {
    struct zsp_table table;
};

/* A batch: 0 = it follows, perhaps behind a gap: records whose ids were there before are not stored,
 * and have sequences all the same; 1 = it does not, `*ret_want` was due. Errors: ZSP_ENOMEM */
int check_sequences_note(struct check_sequences *self, const struct store_batch *batch,
                         uint64_t *ret_want);
/* Batches are missing, or the partition is over: what was known says nothing. */
void check_sequences_forget(struct check_sequences *self);

#endif
