/* SPDX-License-Identifier: MPL-2.0
 *
 * PUBLISH: from a checked body to the confirm.
 *
 *   verb_publish       check everything that can be checked without the topic
 *   begin              (topic LIVE) route, cut, give each part to the store
 *   appending queue    one per partition; the store answers in the same order
 *   syncing queue      written parts, until the partition's mark has passed them
 *   settle             when every part has reached the asked level: the answer
 *
 * A repeated sequenced batch becomes an `echo`: a part that is not given to the
 * store but stands in the queues behind its original, so that it is confirmed
 * when the original is durable and fails when that fails.
 */
#ifndef ZSP_ENGINE_PUBLISH_H
#define ZSP_ENGINE_PUBLISH_H

#include <sys/queue.h>

#include "broker/engine/publish/publish_records.h"
#include "broker/engine/topic/topic.h"

struct publish;
struct publish_many;

/* A PUBLISH that is not answered yet, or one batch of a PUBLISH that brings many. */
struct publish {
    struct topic_waiter waiter; /* while its topic is being created */
    LIST_ENTRY(publish) link;   /* all of the engine */
    struct reply_to to;
    struct publish_many *many;      /* the batch is the row `row` of this; NULL = it is alone */
    uint32_t row;                   /* */
    struct publish_records records; /* the frame until the parts are made */
    enum store_level level;         /* at which it is confirmed */
    uint64_t producer_id;           /* 0 = not sequenced */
    uint64_t epoch, sequence;
    int64_t timestamp_ms;
    struct publish_part **parts; /* NULL entries were never made */
    struct publish_part *only;   /* the usual case: parts = &only */
    uint32_t part_count;
    uint32_t open_count;         /* parts that have not reached the level yet */
    bool applied;                /* some part may be in the log */
    struct zsp_err error;        /* the first failure of a part; code 0 = none */
    struct publish *behind_next; /* of those behind a COMMIT, see commit_call.h; */
    char *behind_topic;          /* the topic's name meanwhile; else NULL */
};

/* The part of a publish that goes to one partition. Held by a queue, by its publish, or by
 * both; given back when neither has it. */
struct publish_part {
    struct engine_op op;     /* STORE_APPENDED */
    struct publish *publish; /* NULL = answered already */
    struct partition *partition;
    struct publish_part *queue_next; /* in appending or syncing */
    bool is_queued;
    bool is_echo;             /* given to nobody: */
    bool is_skip;             /* an echo that repeats no sequence, but ids (dedup.h) */
    bool is_inexact;          /* sequences and offsets do not run side by side */
    bool is_urgent;           /* has a priority or a time, */
    uint8_t priority;         /* these */
    int64_t not_before_ms;    /* */
    int64_t expires_at_ms;    /* 0 = they do not expire */
    bool is_counted;          /* among its producer's batches in flight */
    bool has_first;           /* first_offset is known; an old echo may never know it */
    uint32_t count;           /* records */
    uint32_t told;            /* records whose offset is in the answer already */
    size_t len;               /* bytes of the records */
    size_t stored;            /* the same as they are stored */
    uint64_t first_offset;    /* once written */
    uint64_t end_offset;      /* the mark that covers it; once written */
    struct dedup_batch *ids;  /* NULL = its topic does not look at ids; goes with the publish */
    struct producer_log *log; /* NULL = not sequenced, or the partition is gone */
    uint64_t sequence;        /* of the first record */
};

/* Prepare the memory of publishes. */
void publish_init(struct engine *engine);
/* STORE_SYNCED: the partition's mark has moved; confirm what it covers. */
void publish_advanced(struct engine *engine, struct partition *partition);
/* The partition goes away: what was written but not yet synced is answered with `error`, what
 * is not written yet will be failed by the store. Sequences are forgotten. */
void publish_partition_gone(struct engine *engine, struct partition *partition,
                            const struct zsp_err *error);
/* Drop all publishes at work, at the end. */
void publish_free_all(struct engine *engine);

/* The COMMIT that it was behind is queued: go on. */
void publish_go_on(struct engine *engine, struct publish *self);

#endif
