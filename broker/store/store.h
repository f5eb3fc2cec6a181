/* SPDX-License-Identifier: MPL-2.0
 *
 * The store as the engine sees it: ordered logs of batches, one per partition,
 * and small durable state objects. The segmented log (log_store.h) is the first
 * implementation; a Kafka-protocol cluster can be another, so nothing here
 * speaks of files, and no offset is known before the store tells it.
 *
 * A store is a state machine: calls only queue work, completions come out of
 * next_completion() later, in an order that depends on nothing but the calls
 * and the outcome of the I/O. One thread owns it. A call that returns an error
 * changed nothing and yields no completion.
 *
 *   append       -> STORE_APPENDED (the offset; written), later STORE_SYNCED covers it
 *   read         -> STORE_READ     (whole batches, and the range they cover)
 *   find_time    -> STORE_FOUND
 *   find_ids     -> STORE_IDS_FOUND
 *   retain       -> STORE_TRIMMED, when anything went
 *   compact      -> STORE_COMPACTED
 *   state_put    -> STORE_STATE    (written or synced, as asked)
 *   topic_create -> STORE_TOPIC_CREATED
 *   topic_end    -> STORE_STATE, then topic_drop -> STORE_TOPIC_DROPPED
 *   atomic_begin -> STORE_ATOMIC_READY, then atomic_put -> STORE_ATOMIC_DONE
 * and at any time: STORE_IMAGE_WANTED, STORE_SPACE, STORE_FAILED, STORE_FENCED.
 */
#ifndef ZSP_STORE_STORE_H
#define ZSP_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/bytes.h"
#include "common/err.h"

/* The time of an event, given by the host; the store and the engine have no clock. */
struct instant {
    int64_t mono_ms; /* monotonic; differences only */
    int64_t wall_ms; /* Unix time; may jump */
};

/* What an implementation can do. */
enum store_capability {
    STORE_ATOMIC = 1,    /* several appends and state entries as one unit */
    STORE_DENSE = 2,     /* offsets of one partition have no gaps but recorded ones */
    STORE_EXCLUSIVE = 4, /* another owner can take the data away: STORE_FENCED */
    STORE_IDS = 8        /* messages are found by their ids: index_ids, find_ids */
};

/* Partition of the store; opaque, alive until its topic is dropped. */
struct store_part;

/* One batch: 1..n records that stay together. */
struct store_batch {
    struct zsp_buf *frame;   /* holds the body; see who owns it at each use */
    struct zsp_slice body;   /* inside `frame` */
    uint64_t first_offset;   /* told by the store; ignored by append */
    int64_t timestamp_ms;    /* the broker's wall time at append */
    int64_t not_before_ms;   /* wall, 0 = none */
    int64_t expires_at_ms;   /* wall, 0 = none */
    uint64_t producer_id;    /* 0 = none */
    uint64_t sequence;       /* of the first record, 0 = none */
    uint32_t producer_epoch; /* */
    uint32_t record_count;   /* >= 1 */
    uint32_t raw_bytes;      /* size before compression, 0 = not compressed */
    uint8_t codec;           /* 0 = none */
    uint8_t priority;        /* 0-9 */
};

/* One batch of an atomic append. */
struct store_append {
    struct store_part *part;
    const struct store_batch *batch; /* lent for the call */
};

/* An atomic append under way; opaque, see atomic_begin. */
struct store_atomic;

/* A stretch of one partition's log. */
struct store_range {
    uint64_t first_offset;
    uint64_t end_offset;
};

struct store_read {
    struct store_part *part;
    uint64_t from_offset;
    uint64_t to_offset; /* exclusive; cut at the synced mark */
    uint32_t max_bytes; /* body bytes; the first batch comes in any case */
    uint64_t tag;
};

/* Which messages have one of these ids? Told by their fingerprints: a hit is a message that has
 * the id, or, hardly ever, another one whose fingerprint is the same; who asks looks at it. */
struct store_find_ids {
    struct store_part *part;
    const uint64_t *prints; /* store_id_print() of each id; lent for the call */
    uint32_t count;         /* 1 or more */
    bool keep;        /* asked again and again: keep in memory what that needs, and forget what is
                             * before `since_ms` */
    int64_t since_ms; /* messages of batches that are older may be left out; INT64_MIN = none */
    uint64_t tag;
};

/* Which messages of a stretch are not to be taken in their turn? Or: which have a time to live? */
struct store_read_terms {
    struct store_part *part;
    uint64_t from_offset;
    uint64_t to_offset; /* exclusive; cut at the synced mark */
    int64_t
        expiry_grain_ms; /* 0 = the former; else the latter, times rounded up to a multiple of it */
    uint64_t tag;
};

#define STORE_TERMS_MAX 2048u /* stretches in one answer */

/* Messages of another priority than 4, or that are not to be handed out before a time; or with a time
 * to live. */
struct store_terms {
    uint64_t first_offset, end_offset;
    int64_t not_before_ms; /* wall, 0 = none; or when they expire */
    uint8_t priority;
};

#define STORE_ID_HITS_MAX 8u /* of one fingerprint: the newest */

struct store_id_hit {
    uint32_t index;  /* of the fingerprint */
    uint64_t offset; /* written; maybe not synced yet, maybe absent meanwhile */
};

/* What of a partition retention may drop: whole sealed segments only. */
struct store_retain {
    uint64_t imaged_before; /* nothing goes that ends behind this offset, as its producers are not
                             * imaged, see store_compact; UINT64_MAX = anything may */
    int64_t before_ms;      /* all batches older than this wall time, 0 = no limit by time */
    uint64_t max_bytes;     /* keep at least this much, 0 = no limit by bytes */
    uint64_t most_bytes;    /* and, whatever that says, not more than this; 0 = no such limit */
    uint64_t before_offset; /* all that ends at or before this offset, 0 = no limit by it */
    /* With `keeps` some messages of what goes stay for a while, as islands below the start, which no
     * limit counts but `most_bytes`. They are given for [keep_from, keep_to): nothing outside of it
     * changes but what is over a limit of islands. */
    bool keeps;
    const struct store_range *kept; /* they rise and do not overlap; lent for the call */
    size_t kept_count;
    uint64_t keep_from, keep_to;
    uint64_t keep_bytes; /* of islands: beyond it the oldest go; 0 = no such limit */
    /* First seal the one that takes appends, when it holds so many bytes (0 = never) and some of it
     * is below `before_offset`, or all of it older than `before_ms`, or there is more than
     * `max_bytes` or `most_bytes`; what is asked for then goes once that is done, */
    uint64_t seal_bytes;
    bool seal_alone; /* or, with this, not before it is asked for again */
    /* From now on a segment takes no more than this; 0 = as before, UINT64_MAX = as any. */
    uint64_t segment_bytes;
};

/* What of a partition may be compacted by key. The producers of all below `before_offset` are imaged:
 * compacted batches name none, and those that are gone tell of none. */
struct store_compact {
    uint64_t before_offset; /* only sealed segments that end at or before this */
    int64_t before_ms;      /* and whose batches are older than this wall time, 0 = any */
    int64_t now_ms;         /* wall */
    int64_t
        tombstones_before_ms; /* a message with a key and an empty payload goes once it was compacted
                                   * at or before this wall time */
    uint32_t dirty_percent;   /* only when so much of what may go in and what is compacted is dirty;
                                   * tombstones that may go are always a reason */
    /* The segment that takes appends is sealed, to go in the next time, when it holds so many bytes
     * (0 = never), or anything and nothing newer than this wall time. */
    uint64_t seal_bytes;
    int64_t idle_before_ms;
};

/* What compaction has done for a partition since the start. */
struct store_compacted {
    uint64_t runs, messages, bytes; /* the latter that are gone */
    int64_t last_ms;                /* wall, when the last one ended; 0 = none */
};

enum store_level { STORE_WRITTEN, STORE_SYNCED_LEVEL };

enum store_entry_kind {
    STORE_IMAGE,
    STORE_DELTA,
    STORE_GONE,
    STORE_REDO /* the store's own: batches on their way to a segment (redo.h) */
};

/* One change of one durable object. An image replaces whatever was known of the
 * key, a delta adds to it, gone removes it. Keys and values are the engine's. */
struct store_entry {
    struct zsp_slice key; /* 1..ZSP_STATE_KEY_MAX bytes */
    enum store_entry_kind kind;
    struct zsp_slice value;
};

enum store_completion_kind {
    STORE_APPENDED,
    STORE_SYNCED,
    STORE_READ,
    STORE_FOUND,
    STORE_IDS_FOUND,
    STORE_TERMS_READ,
    STORE_TRIMMED,
    STORE_COMPACTED, /* a compaction is over; all below `offset` went in */
    STORE_STATE,
    STORE_TOPIC_CREATED,
    STORE_TOPIC_DROPPED,
    STORE_ATOMIC_READY, /* its partitions stand still for it; or an error: it is over */
    STORE_ATOMIC_DONE,  /* durable and visible, all of it */
    STORE_IMAGE_WANTED, /* the object's last image is about to go: put a new one */
    STORE_SPACE,        /* `refuses` changed: too little room for appends, or room again */
    STORE_FAILED,       /* fail-stop: nothing will be confirmed any more */
    STORE_FENCED        /* another owner took over (STORE_EXCLUSIVE) */
};

struct store_completion {
    enum store_completion_kind kind;
    struct zsp_err error;        /* code 0 = it worked */
    uint64_t tag;                /* of the call */
    void *owner;                 /* of the partition, as given to part_open */
    uint64_t offset;             /* APPENDED: first offset; SYNCED: the new mark (exclusive); FOUND:
                                 * the offset; TRIMMED: the new start, or only islands have
                                 * changed: part_info() knows */
    struct store_range covered;  /* READ: what the batches stand for; an offset inside that no
                                 * batch holds is absent for good. ZSP_ECORRUPT: the damaged
                                 * range, at least one offset */
    struct store_batch *batches; /* READ: each holds a reference on its frame; all are released by
                                 * store_completion_release() */
    uint32_t batch_count;
    struct zsp_slice key;      /* IMAGE_WANTED; valid until the release */
    struct zsp_buf *key_buf;   /* holds the key's bytes, may be NULL; released with the rest */
    struct store_id_hit *hits; /* IDS_FOUND: by index, then newest first; released likewise */
    uint32_t hit_count;
    struct store_terms *terms; /* TERMS_READ: all of `covered`, by offset; some may reach beyond it.
                                * What is damaged has none. Released likewise */
    uint32_t terms_count;
    bool refuses; /* SPACE */
};

/* Figures of one partition. */
struct store_part_info {
    uint64_t start_offset;  /* the oldest kept, but for islands */
    uint64_t island_offset; /* the oldest that an island may have; without any it is the start */
    uint64_t island_end;    /* behind the last island; what lies between it and the start will be
                             * one, unless a crash brings it back */
    uint64_t island_bytes;
    bool is_island_busy;    /* islands are being written */
    uint64_t synced_offset; /* end of what consumers may see */
    uint64_t end_offset;    /* end of what was assigned */
    uint64_t bytes;         /* on disk */
    uint32_t segment_count;
    bool refuses_appends;       /* damaged at the mark: no publishes until repaired */
    struct store_range corrupt; /* the first known damage, empty when none */
    /* For compaction: */
    uint64_t compacted_bytes; /* of those that are compacted, from the oldest on */
    uint64_t active_bytes;    /* of the segment that takes appends */
    int64_t newest_ms;        /* highest timestamp, INT64_MIN = none */
    int64_t tombstone_ms; /* the oldest tombstone was compacted first at this wall time, 0 = none */
    bool is_compacting;
    struct store_compacted compacted;
};

/* Figures of the whole store. */
struct store_stats {
    uint64_t appended_batches, appended_bytes, commit_cycles, synced_files;
    uint64_t read_requests, tail_reads, shared_reads, cold_reads;
    uint64_t journal_records, journal_bytes, journal_file_count;
    uint64_t unsynced_bytes, waiting_bytes, tail_bytes, read_cache_bytes;
    uint64_t open_file_count; /* of logs */
    uint64_t free_bytes;
    uint64_t cut_bytes; /* torn tails set aside at the last start */
};

struct store_hooks {
    void *arg;
    /* start(): every durable entry that still matters, oldest first. Images that were
     * carried forward come late: an object may come before another one that it
     * speaks of. A nonzero return ends the start with that code. */
    int (*entry_fn)(void *arg, const struct store_entry *entry, struct zsp_err *err);
    /* part_open(): the header of every batch from `replay_from` on (frame and body are absent). */
    int (*batch_fn)(void *arg, void *owner, const struct store_batch *batch, struct zsp_err *err);
};

struct store_topic {
    uint64_t id;           /* never used again */
    struct zsp_slice name; /* for people who look at the disk */
    uint32_t partition_count;
};

struct store;

struct store_ops {
    uint32_t capabilities; /* of enum store_capability */

    /* --- start-up, synchronous, before any other call, in this order --- */
    int (*start)(struct store *self, const struct store_hooks *hooks, struct instant now,
                 struct zsp_err *err);
    /* Open a partition of a topic that an entry spoke of. `replay_from`: batch
     * headers from this offset on are told to hooks->batch_fn, UINT64_MAX = none;
     * `hint` = what place() said for that offset, 0 = unknown. A damaged partition
     * opens all the same and says so in its info. */
    int (*part_open)(struct store *self, const struct store_topic *topic, uint32_t partition,
                     void *owner, uint64_t replay_from, uint64_t hint, struct store_part **ret,
                     struct zsp_err *err);
    /* All partitions are open. Reports (never deletes) what nobody asked for. */
    int (*ready)(struct store *self, struct zsp_err *err);

    /* --- topics --- */
    /* Make the logs of partitions [first, topic->partition_count) durable.
     * `ret_parts[i]` and owners[i] are partition first + i. Appends and reads may be
     * queued at once. When it completes with an error the handles are dead. */
    int (*topic_create)(struct store *self, const struct store_topic *topic, uint32_t first,
                        void *const *owners, struct store_part **ret_parts, uint64_t tag,
                        struct zsp_err *err);
    /* state_put() of an entry that ends a topic, at STORE_SYNCED_LEVEL. Once it is told the topic
     * goes, whatever happens: topic_drop() is the next call for it, or a crash comes before that,
     * and the next start removes what nobody asks for any more. */
    int (*topic_end)(struct store *self, uint64_t topic_id, const struct store_entry *entry,
                     uint64_t tag, struct zsp_err *err);
    /* Drop all partitions of a topic that has ended, or that nobody was told of. Queued
     * appends and reads fail with ZSP_ENOT_FOUND; the handles are dead at once. */
    int (*topic_drop)(struct store *self, const struct store_topic *topic,
                      struct store_part *const *parts, uint64_t tag, struct zsp_err *err);

    /* --- log --- */
    /* Queue a batch. The store takes its own reference on batch->frame. Batches of
     * one partition complete in the order of the calls; when one fails, all queued
     * behind it in its partition fail too (error.maybe tells whether bytes may
     * have reached the disk).
     * Errors (definite, before any write): ZSP_ENO_SPACE, ZSP_ECORRUPT,
     *         ZSP_ESTORAGE_FAILED */
    int (*append)(struct store *self, struct store_part *part, const struct store_batch *batch,
                  uint64_t tag, struct zsp_err *err);
    /* Queue a read. Completes with ZSP_EOUT_OF_RANGE when from_offset is below the
     * start, and below all islands, or above the synced mark. */
    int (*read)(struct store *self, const struct store_read *read, struct zsp_err *err);
    /* Offset of the first batch at or after wall time `time_ms` (by the running
     * maximum of timestamps); the synced mark when there is none. */
    int (*find_time)(struct store *self, struct store_part *part, int64_t time_ms, uint64_t tag,
                     struct zsp_err *err);
    /* With STORE_IDS: from now on the partition's messages are found by their ids, or no more. Ids of
     * messages that came before are read from the log when they are first searched. A partition that
     * is opened or made begins without. */
    void (*index_ids)(struct store *self, struct store_part *part, bool is_wanted);
    /* Of all that is written when the answer comes. Completes with ZSP_EUNSUPPORTED when the partition
     * has no such index. */
    int (*find_ids)(struct store *self, const struct store_find_ids *find, struct zsp_err *err);
    /* Priorities and times of the messages of a stretch, or of its first part: `covered` tells which.
     * Completes with ZSP_EOUT_OF_RANGE as a read does. */
    int (*read_terms)(struct store *self, const struct store_read_terms *read, struct zsp_err *err);
    /* What goes is decided at once, and part_info() knows the new start: nobody can come back to what
     * is below. A crash soon afterwards may bring it back all the same. */
    int (*retain)(struct store *self, struct store_part *part, const struct store_retain *retain,
                  struct zsp_err *err);
    /* Up to where retain() with these limits would drop if nothing was kept and all was imaged, with
     * what it seals for that; not below the start. */
    uint64_t (*retain_reach)(const struct store *self, const struct store_part *part,
                             const struct store_retain *retain);
    /* Of all messages with one key keep the newest, in the background; STORE_COMPACTED tells of the
     * end. Messages without a key stay. Does nothing while as many as may be are under way, or when
     * there is nothing to do. Returns 0; 1 = a segment is being sealed for it: ask again soon.
     * NULL = the store cannot. Errors: ZSP_ENOMEM */
    int (*compact)(struct store *self, struct store_part *part, const struct store_compact *what,
                   struct zsp_err *err);
    void (*part_info)(const struct store *self, const struct store_part *part,
                      struct store_part_info *ret);
    /* An opaque place from which a scan for `offset` may begin, see part_open. */
    uint64_t (*place)(const struct store *self, const struct store_part *part, uint64_t offset);

    /* --- durable state --- */
    /* All entries or none survive a crash. They must name no offset above the
     * synced mark. Bytes are copied. Records become durable in the order of the
     * calls; WRITTEN survives a crash of the process only, its sync follows with
     * the next commit or within ZSP_JOURNAL_SYNC_MS.
     * Errors: ZSP_EINVAL           a delta of an object that has no image; a bad key
     *         ZSP_ENO_SPACE        the journal waits for room; put nothing more
     *         ZSP_ETOO_LARGE       more than ZSP_STATE_RECORD_MAX
     *         ZSP_ESTORAGE_FAILED */
    int (*state_put)(struct store *self, const struct store_entry *entries, size_t count,
                     enum store_level level, uint64_t tag, struct zsp_err *err);
    /* Broker time: kept with every record, the highest is known after start(). */
    void (*set_broker_time)(struct store *self, int64_t broker_ms);
    int64_t (*broker_time)(const struct store *self);

    /* --- several batches and entries as one, with STORE_ATOMIC --- */
    /* Queue batches of any partitions, behind what their queues hold. The store takes its own
     * references on the frames. READY comes when nothing else is under way in any of these partitions
     * and all before it is synced: from then on the offsets are known, and the partitions stand still
     * until atomic_put() or atomic_cancel(). Nothing is written before. An error in READY is
     * definite, and the handle is dead then.
     * Errors: ZSP_ETOO_LARGE      more than ZSP_ATOMIC_BYTES_MAX in all
     *         ZSP_ENO_SPACE, ZSP_ECORRUPT, ZSP_ENOMEM, ZSP_ESTORAGE_FAILED */
    int (*atomic_begin)(struct store *self, const struct store_append *appends, size_t count,
                        uint64_t tag, struct store_atomic **ret, struct zsp_err *err);
    /* READY: the first offset of each batch; lent until put or cancel. */
    const uint64_t *(*atomic_offsets)(const struct store_atomic *atomic);
    /* READY: all batches and all entries survive a crash, or none of them. Entries as for state_put();
     * they may name the offsets of the batches. Afterwards the handle is dead. DONE comes before
     * the STORE_SYNCED of its partitions, when the marks of all of them have moved.
     * Errors (nothing has happened): those of state_put, ZSP_ENOT_FOUND a partition is gone */
    int (*atomic_put)(struct store *self, struct store_atomic *atomic,
                      const struct store_entry *entries, size_t count, struct zsp_err *err);
    /* READY: give it up. */
    void (*atomic_cancel)(struct store *self, struct store_atomic *atomic);

    /* --- driving --- */
    /* End of a turn: what was queued may go out now, batches of one partition in
     * one write. */
    void (*flush)(struct store *self, struct instant now);
    /* The next completion; false when there is none. */
    bool (*next_completion)(struct store *self, struct store_completion *ret);
    /* When flush() wants to be called at the latest, INT64_MAX = never. */
    int64_t (*deadline_ms)(const struct store *self);
    void (*stats)(const struct store *self, struct store_stats *ret);
    /* Is anything queued, in flight or unsynced? For a clean stop. */
    bool (*busy)(const struct store *self);
    void (*destroy)(struct store *self);
};

/* The base of every implementation: its first member. */
struct store {
    const struct store_ops *ops;
};

/* The fingerprint of a message's id. */
uint64_t store_id_print(struct zsp_slice id);

/* Drop the frames of a completion; the struct is empty afterwards. */
void store_completion_release(struct store_completion *self);

#endif
