/* SPDX-License-Identifier: MPL-2.0
 *
 * One partition: its queue of batches, the write in flight, its segments and
 * its marks.
 *
 * The happy path of a batch:
 *   - partition_append() queues it and puts the partition on the store's dirty list;
 *   - flush() calls partition_write(): all queued batches that fit get offset, pos and
 *     header, and leave in one write. Later ones queue behind it;
 *   - write_done() makes them part of the segment: STORE_APPENDED, tail buffers,
 *     index; the partition joins the unsynced ones (commit.c);
 *   - commit.c syncs, partition_synced() moves the mark: STORE_SYNCED.
 *
 * When many partitions are written to in one turn, the write goes into the journal instead, and its end
 * is that of a commit cycle: partition_recorded(), partition_record_synced().
 *
 * What can go wrong:
 *   - the write ends early: the whole batches of what was written are kept, the rest
 *     is rolled back (its offsets and positions are used again, under a higher broker
 *     epoch), and they and all queued behind them fail with maybe = true;
 *   - the segment is full: roll.c makes the next one while the queue waits;
 *   - the partition is damaged below its mark: appends are refused;
 *   - the topic is dropped: all that waits fails with ZSP_ENOT_FOUND.
 *
 *      CREATING ---> OPEN ---> DROPPED
 *   -> CREATING          partition_new      topic_create made it; files come by a task
 *   CREATING -> OPEN     partition_opened   appends leave the queue, reads are served
 *   CREATING, OPEN -> DROPPED  partition_drop   nothing new; freed when `busy` is 0
 *
 * Marks: island <= start <= mark <= end. [start, mark) is the log, and [island, start) what retention
 * left of what was before it (island.h); both can be read. [mark, end) is written and not yet synced.
 */
#ifndef ZSP_STORE_PARTITION_H
#define ZSP_STORE_PARTITION_H

#include "broker/store/file/io.h"
#include "broker/store/partition/atomic_append.h"
#include "broker/store/partition/deferred.h"
#include "broker/store/partition/roll.h"
#include "broker/store/segment/read_cache.h"
#include "broker/store/segment/segment.h"
#include "broker/store/segment/tail.h"
#include "broker/store/store.h"

/* One queued batch. Pooled. */
struct append {
    struct append *next;
    struct store_batch batch; /* holds a reference on the frame */
    uint64_t tag;
    uint64_t bytes;             /* on disk */
    struct atomic_part *atomic; /* a marker (atomic_append.h): no batch; else NULL */
};

/* The mark and all that a scan from there needs to know. */
struct mark {
    uint64_t segment;
    uint64_t pos;    /* end of what is synced there */
    uint64_t offset; /* first offset not synced */
    int64_t max_timestamp_ms;
    uint64_t epoch; /* of the last batch below */
};

/* A write in flight. Pooled, with its memory: most partitions have none. It goes to the segment, or, when
 * many partitions are written to, into the journal with the next commit cycle: then `scratch` has a
 * redo entry's value, and what it holds goes to the segment later (deferred.h). */
struct partition_write {
    struct io io;
    struct partition_write *next; /* of the pool, or of those for the next commit cycle */
    struct store_part *part;
    struct segment *segment; /* pinned */
    struct append *first;    /* in the order of their offsets */
    uint64_t batch_bytes;    /* without the zeros behind */
    uint64_t epoch;          /* of its batches */
    struct mark end;         /* through the journal: where the log ends with them */
    uint8_t *scratch;        /* headers, and bodies too small for an iovec of their own */
    size_t scratch_capacity;
    struct iovec *iov;
    size_t iov_capacity;
};

/* A stretch of the log that cannot be read. */
struct damage {
    struct store_range range;
    uint64_t resume_segment; /* where the batch at range.end_offset is, */
    uint64_t resume_pos;     /* for reads behind the damage */
};

enum part_state { PART_CREATING, PART_OPEN, PART_DROPPED };

/* In an order without holes: there are many, and most are idle. */
struct store_part {
    struct log_store *store;
    struct store_part *prev; /* all partitions */
    struct store_part *next;
    uint64_t topic_id;
    uint32_t number;
    enum part_state state;
    void *owner;

    struct segment **segments; /* by number; the last one is active */
    struct segment *only;      /* what `segments` is while there is one at most */
    uint32_t segment_count;
    uint32_t segment_capacity;
    uint64_t start_offset;
    uint64_t island_offset;   /* below it nothing is left */
    uint64_t end_offset;      /* after the last batch written */
    int64_t max_timestamp_ms; /* of all batches ever, INT64_MIN = none */
    uint64_t epoch;           /* of the last batch written */
    struct mark mark;

    struct append *queue_first;
    struct append *queue_last;
    struct store_part *dirty_next;
    struct partition_write *write; /* NULL = none is out */
    struct roll roll;
    struct atomic_part *placed_last; /* in the journal, not yet in the segment: the newest; NULL =
                                      * none, else nothing is written here */
    struct store_part *unsynced_next;
    struct deferred *deferred; /* NULL = the active segment's file has all that the segment has */
    struct tail_part tail;
    struct read_cache_part read_cache;

    struct damage *damages; /* by offset */
    uint32_t damage_count;
    uint32_t busy;                    /* jobs out and records waited for that point here */
    uint32_t reads;                   /* read requests under way */
    bool dirty;                       /* on the store's dirty list */
    bool unsynced;                    /* on the commit's list */
    bool refuses;                     /* damaged: takes no appends */
    bool trimming;                    /* a retention is under way, up to trim_end */
    uint64_t trim_end;                /* segments before this one go */
    struct store_retain *retain_next; /* asked while something else was under way; NULL = nothing */
    struct store_compacted *compacted; /* NULL = it never was */
    struct terms_place *terms_place; /* where the last look at the active segment ended, or NULL */
    uint64_t segment_bytes_max;      /* of this one's segments; 0 = as the store says */
    bool has_gone : 1;               /* at a start: files that are to be removed, see recover.h */
    bool compact_failed : 1;         /* what is there cannot be read: not tried again */
    bool island_failed : 1;          /* likewise */
    bool has_ids : 1;                /* its messages are found by their ids (part_ids.h) */
    bool has_terms : 1;              /* priorities or times, perhaps (part_terms.h) */
    bool orphaned : 1;               /* its creation failed: freed when idle */
    char path[];                     /* of its directory, relative to the data directory */
};

/* Make one in state CREATING, linked into the store. `path` is copied.
 * NULL = out of memory. */
struct store_part *partition_new(struct log_store *store, uint64_t topic_id, uint32_t number,
                                 const char *path, void *owner);
void partition_destroy(struct store_part **self_p);
/* The whole store ends: nothing points to its segments any more. */
void partition_abandon(struct store_part *self);

/* Add a segment behind the last one. Errors: ZSP_ENOMEM */
int partition_add_segment(struct store_part *self, struct segment *segment);
/* How large a segment grows: the next batch that would not fit goes to the next one. */
uint64_t partition_segment_bytes(const struct store_part *self);
/* The one that takes appends; NULL while there is none. */
struct segment *partition_active(const struct store_part *self);
/* The one with these files; NULL: it is gone, or was compacted since. */
struct segment *partition_find_segment(const struct store_part *self, struct segment_file file);
/* The segment that holds `offset`, NULL if none does. */
struct segment *partition_segment(const struct store_part *self, uint64_t offset);

void partition_opened(struct store_part *self);
/* No more work comes from it or goes to it; what is in flight ends by itself. */
void partition_drop(struct store_part *self);
/* May it be freed? */
bool partition_idle(const struct store_part *self);

int partition_append(struct store_part *self, const struct store_batch *batch, uint64_t tag,
                     struct zsp_err *err);
/* Queue a marker; NULL = out of memory. Take it out again, wherever it is. */
struct append *partition_add_marker(struct store_part *self, struct atomic_part *atomic,
                                    uint64_t bytes);
void partition_remove_marker(struct store_part *self, struct append *marker);
/* A batch is in the segment now, behind its last one. */
void partition_take(struct store_part *self, struct segment *segment,
                    const struct store_batch *batch, uint64_t epoch);
/* Answer one batch with an error and give it back. */
void append_fail(struct store_part *self, struct append *append, const struct zsp_err *err);
/* Give a batch back whose frame has gone. */
void append_release(struct log_store *store, struct append *append);
/* Something changed that its queue may wait for: look at it in the next flush(). */
void partition_wake(struct store_part *self);
/* Start what can be started for the queue. False = no more files may be open now: nobody else's
 * can be opened either. */
bool partition_write(struct store_part *self);
/* The journal has written the batches of a write that went there: they are told. */
void partition_recorded(struct partition_write *write);
/* The commit cycle of such a write is over; `record` has it. */
void partition_record_synced(struct partition_write *write, uint64_t record);
/* Free the pool of writes. */
void partition_writes_fini(struct log_store *store);
/* All queued batches fail (not those in a write). */
void partition_fail_queue(struct store_part *self, const struct zsp_err *err);
/* They fail because their segment cannot be opened. */
void partition_open_failed(struct store_part *self, const struct zsp_err *err);
/* A sync has covered all up to `mark`. */
void partition_synced(struct store_part *self, const struct mark *mark);
/* Bytes of the active segment from the mark to `mark`, which is not before it. */
uint64_t partition_bytes_to(const struct store_part *self, const struct mark *mark);
/* Where the written log ends now, as a mark. */
struct mark partition_written(const struct store_part *self);

/* Remember a damaged stretch; the partition refuses appends from now on. */
void partition_add_damage(struct store_part *self, const struct damage *damage);
/* The first damage that ends above `offset`; NULL if none. */
const struct damage *partition_damage(const struct store_part *self, uint64_t offset);

/* For messages: "topic 7 partition 0". */
void partition_describe(const struct store_part *self, char out[64]);

#endif
