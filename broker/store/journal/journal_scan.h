/* SPDX-License-Identifier: MPL-2.0
 *
 * Reading all journal files from the first record to the last, and judging where they end. It
 * only reads: a start (journal_replay.c) brings the end in order afterwards, a check
 * of the files (check.h) tells what it saw.
 *
 *   - Files are read in the order of their numbers; records are numbered without a
 *     gap; each is checked against its place and its predecessor's epoch.
 *   - The proven mark is the highest `synced to` of any record. Where a check fails
 *     below it, or before a later file that holds anything, the journal is damaged:
 *     ZSP_ECORRUPT, with `damage` filled.
 *   - Otherwise the rest is a torn tail: `torn_file`, `torn_end`, `torn`.
 *   - So is a record whose redo data is damaged. But below the proven mark it is read on: what such
 *     damage means is decided when all is known (redo_damage.h).
 *   - The last file may be all zero: it was made ahead.
 *   - A delta whose base went with a dropped file is skipped; an image or a `gone` of
 *     its object must follow, else the journal is damaged.
 */
#ifndef ZSP_STORE_JOURNAL_SCAN_H
#define ZSP_STORE_JOURNAL_SCAN_H

#include "broker/store/file/fs.h"
#include "broker/store/journal/carry.h"
#include "broker/store/journal/journal_record.h"
#include "broker/store/journal/redo.h"

#define JOURNAL_FILE_BYTES_MAX (1024ull * ZSP_MIB) /* no file of ours comes near */

struct journal_orphan;

/* A file with records, or the first one. */
struct journal_scan_file {
    uint64_t number;
    uint64_t first_record; /* number of its first record */
    uint64_t bytes;        /* of records */
};

struct journal_scan {
    /* Set by the caller; lent. */
    struct fs *fs;
    const uint8_t *uuid;
    struct carry *carry;   /* every live object is noted in it */
    struct redo_log *redo; /* likewise every redo entry; NULL = not wanted */
    /* Every entry of the engine that matters, oldest first; NULL = none wanted. */
    int (*entry_fn)(void *arg, const struct store_entry *entry, struct zsp_err *err);
    void *entry_arg;
    /* A name in journal/ that is none of ours; NULL = ignored. */
    void (*foreign_fn)(void *arg, const char *name);
    void *foreign_arg;

    /* What was found. */
    uint64_t *numbers; /* of the files, rising */
    size_t number_count;
    struct journal_scan_file *files; /* those that were read; not the one made ahead */
    size_t file_count;
    bool any; /* a record was read */
    uint64_t record_count;
    uint64_t expected; /* number of the next record */
    uint64_t epoch;    /* of the last record */
    uint32_t version;  /* likewise: none below follows */
    uint64_t mark;     /* highest `synced to` */
    int64_t broker_ms; /* highest broker time */
    uint64_t end_pos;  /* of the records of the last file with any */
    uint64_t bytes_read;
    uint64_t torn_file; /* number of the file with a torn tail, 0 = none */
    uint64_t torn_end;  /* after its last nonzero byte */
    struct zsp_err torn;
    uint64_t damage_file; /* ZSP_ECORRUPT: where; 0 = no single place */
    uint64_t damage_pos;
    struct zsp_err damage; /* what is wrong there */

    /* Its own. */
    bool no_memory;
    struct zsp_writer bytes; /* of the file being read */
    struct zsp_table orphans;
    struct journal_orphan *orphan_first;
};

/* Read everything. Call once, on a struct with the caller's fields set and the rest zero; then
 * journal_scan_fini(), also after an error.
 * Errors: ZSP_ECORRUPT (names file and pos), those of entry_fn, ZSP_EIO, ZSP_ENOMEM */
int journal_scan(struct journal_scan *self, struct zsp_err *err);

/* The oldest file that matters, as the journal says; 1 when it says nothing.
 * Errors: ZSP_ECORRUPT */
int journal_scan_oldest(const struct journal_scan *self, uint64_t *ret, struct zsp_err *err);

/* All is read: keep of `redo` what a start has to do, in order; and what is damaged.
 * Errors: ZSP_ECORRUPT */
int journal_scan_redo(const struct journal_scan *self, struct zsp_err *err);

void journal_scan_fini(struct journal_scan *self);

#endif
