/* SPDX-License-Identifier: MPL-2.0
 *
 * Looking at one segment or journal file as it is, damage and all: every batch or record
 * that can be made out, and what lies between. For people who look at the disk; what is
 * proven, and what a start would do, is none of its business (see check.h). It only reads,
 * and may look at files that a broker is writing to.
 *
 * The sum of a header binds it to its place in its store. Of a lone file, taken out of its
 * store, the place is not known: then headers are believed whose fields hold
 * together and whose body sum holds.
 */
#ifndef ZSP_STORE_INSPECT_H
#define ZSP_STORE_INSPECT_H

#include "broker/store/journal/fact.h"
#include "broker/store/journal/journal_record.h"
#include "broker/store/segment/scan.h"

enum inspect_found {
    INSPECT_ITEM,   /* a batch, or a record */
    INSPECT_ZEROS,  /* [pos, end_pos) is zero */
    INSPECT_DAMAGE, /* [pos, end_pos) is nothing that can be made out; `what` says why */
    INSPECT_END
};

struct inspect_item {
    uint64_t pos;
    uint64_t end_pos;
    struct batch_header header; /* segment: batch.body lent until the next call */
    bool body_good;             /* segment: its sum holds */
    struct journal_header record;
    struct journal_parts parts; /* journal: lent until the fini */
    struct zsp_err what;        /* DAMAGE; and of an item that does not follow its predecessor */
};

/* --- A segment ------------------------------------------------------------------------ */

struct inspect_segment {
    struct scan scan;
    bool bound; /* place.uuid, topic_id, partition and segment are known */
    bool any;   /* scan.offset and scan.epoch are those after an item */
};

/* `path` below `fs`; `place.uuid` NULL = the place is not known.
 * Errors: ZSP_ENOT_FOUND, ZSP_EIO */
int inspect_segment_open(struct inspect_segment *self, struct fs *fs, const char *path,
                         const struct batch_place *place, struct zsp_err *err);
/* Returns an enum inspect_found. Errors: ZSP_EIO, ZSP_ENOMEM */
int inspect_segment_next(struct inspect_segment *self, struct inspect_item *ret,
                         struct zsp_err *err);
void inspect_segment_close(struct inspect_segment *self);

/* --- A journal file --------------------------------------------------------------------- */

struct inspect_journal {
    struct zsp_writer bytes; /* the whole file */
    struct journal_place place;
    bool any;
    uint64_t next_number;
    uint64_t epoch;
    uint64_t searched; /* bytes that what pretends to be a record of version 1 made to be summed */
};

/* Errors: ZSP_ENOT_FOUND, ZSP_ETOO_LARGE, ZSP_EIO, ZSP_ENOMEM */
int inspect_journal_open(struct inspect_journal *self, struct fs *fs, const char *path,
                         const struct journal_place *place, struct zsp_err *err);
/* Returns an enum inspect_found; cannot fail. */
enum inspect_found inspect_journal_next(struct inspect_journal *self, struct inspect_item *ret);
void inspect_journal_close(struct inspect_journal *self);

#endif
