/* SPDX-License-Identifier: MPL-2.0
 *
 * A check of a whole data directory that nobody has open: FORMAT, the journal, every
 * batch of every segment, the indexes, and what lies beside them. It only reads, with the
 * readers of the store itself, and judges as a start would: what a crash may leave is no
 * damage. Synchronous; one thread.
 *
 * What is checked, besides the sums and bindings of every record and batch:
 *   - the journal's records follow each other; its objects hold together; the facts
 *     of each partition agree with each other;
 *   - offsets of a partition follow each other through all segments; a sealed segment
 *     has the end, the bytes, the highest timestamp and the epoch that its fact tells;
 *   - nothing below a proven mark is missing; no batch is of a start that the journal
 *     does not know;
 *   - the records of each body hold together and are as many as the header says, if
 *     body_fn looks at them;
 *   - the sequences of each producer in a partition rise, if asked for;
 *   - an index file is of its segment, and each entry leads to a batch; a file of ids is of its
 *     segment.
 *
 * When the journal is damaged, partitions are judged by its records up to the damage.
 */
#ifndef ZSP_STORE_CHECK_H
#define ZSP_STORE_CHECK_H

#include "broker/store/store.h"

struct fs;

enum check_severity {
    CHECK_NOTE, /* worth knowing: a torn tail, bytes behind the end of a sealed segment, a directory
                    of no topic, a file set aside */
    CHECK_DAMAGE /* bytes are not what they were, or not there */
};

#define CHECK_NO_POS UINT64_MAX

/* What can be done about a finding without guessing; see repair.h. */
enum check_remedy_kind {
    CHECK_NO_REMEDY,
    CHECK_REBUILD_INDEX, /* derived: made anew from the segment */
    CHECK_REMOVE_IDS,    /* likewise, when they are needed; so are priorities */
    CHECK_FILL           /* messages are lost: say so in their place, and the partition goes on */
};

struct check_remedy {
    enum check_remedy_kind kind;
    uint64_t topic_id;
    uint32_t partition;
    uint64_t segment;
    uint32_t generation;        /* of its file */
    struct store_range offsets; /* INDEX: of the segment; FILL: those that are lost */
    uint64_t pos;               /* FILL: [pos, end_pos) of the segment */
    uint64_t end_pos;           /* INDEX: bytes of the segment's batches */
    uint64_t epoch;             /* FILL: one that fits between its neighbours */
    int64_t max_before_ms;      /* highest timestamp before the segment, or the hole */
    int64_t max_timestamp_ms;   /* INDEX: highest up to the segment's end */
};

struct check_finding {
    enum check_severity severity;
    const char *path;           /* relative to the data directory */
    uint64_t pos;               /* where in the file, CHECK_NO_POS = in no single place */
    uint64_t end_pos;           /* where it is good again; CHECK_NO_POS when pos is */
    struct store_range offsets; /* messages that cannot be read because of it; often empty */
    struct check_remedy remedy;
    const char *text; /* one line; does not repeat path and pos */
};

struct check_summary {
    uint64_t journal_files, journal_records, journal_bytes;
    uint64_t topics, partitions, segments, indexes, batches, messages;
    uint64_t log_bytes;  /* of batches that are good */
    uint64_t read_bytes; /* of all files */
    uint64_t torn_bytes; /* torn tails, the journal's included */
    uint64_t set_aside;  /* entries of cut/, quarantine/ and trash/ */
    uint64_t start_count;
    uint64_t notes, damages;
    uint64_t lost_messages; /* offsets that cannot be read */
    uint64_t given_up;      /* messages that an earlier repair told to be lost */
    bool journal_damaged;
    uint64_t journal_damage_file; /* 0 = in no single place */
    uint64_t journal_damage_pos;
};

struct check_options {
    struct fs *fs;
    uint64_t unsynced_bytes_max; /* the broker's setting, 0 = ZSP_UNSYNCED_BYTES_MAX */
    /* Look into a body whose sum holds: 0 = it is good, 1 = it cannot be looked into, < 0 = it is
     * not what it should be, and `why` says so. check_body() is one; NULL = bodies are not
     * looked into. */
    int (*body_fn)(void *arg, const struct store_batch *batch, struct zsp_err *why);
    bool sequences; /* the sequences of a producer follow each other, as the engine has it */
    void (*finding_fn)(void *arg, const struct check_finding *finding); /* lent for the call */
    /* Now and then; false = stop. NULL = not wanted. */
    bool (*progress_fn)(void *arg, uint64_t done_bytes, uint64_t total_bytes);
    void *arg;
};

/* A check_options.body_fn: a body is records (record.h), compressed or not. `batch->body` holds the
 * bytes. */
int check_body(void *arg, const struct store_batch *batch, struct zsp_err *why);

/* Returns 0 when all was looked at, damage or not; see ret->damages.
 * Errors: ZSP_ENOT_FOUND   there is no store here
 *         ZSP_EFORMAT      a store of a newer version
 *         ZSP_EINTERRUPTED progress_fn said stop
 *         ZSP_EIO, ZSP_ENOMEM */
int check_store(const struct check_options *options, struct check_summary *ret,
                struct zsp_err *err);

#endif
