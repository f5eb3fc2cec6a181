/* SPDX-License-Identifier: MPL-2.0
 *
 * Topics and their partitions: what the engine knows of each log, and how a
 * topic comes and goes. Files below are keyed by the id, so a re-created topic
 * is a new topic.
 *
 *     new --> CREATING ---durable---> LIVE ---delete---> DELETING ---gone---> freed
 *                |                      ^                    |
 *                +---fails---> freed    +----put refused-----+
 *   -> CREATING       topic_create   the id is taken durably, logs are made, then the topic's
 *                                    entry is put; waiters gather
 *   CREATING -> LIVE  entry_is_put   the entry is synced: waiters go on in order
 *   LIVE -> DELETING  topic_delete   the `gone` entry is on its way; the name finds nothing
 *   DELETING -> freed topic_release  the entry is synced and the store has let go of the logs
 */
#ifndef ZSP_ENGINE_TOPIC_H
#define ZSP_ENGINE_TOPIC_H

#include "broker/engine/engine_priv.h"
#include "broker/engine/ledger/ledger.h"
#include "common/limits.h"

struct dedup;        /* batches whose ids are looked at */
struct id_lookup;    /* a search for messages with certain ids */
struct producer_log; /* sequences of one producer in one partition */
struct publish_part; /* a batch on its way into one partition */
struct reader;       /* a READ that waits for messages */
struct topic;
struct topic_block;  /* partitions that it got later */
struct topic_growth; /* it is getting some */

/* What a topic has had messages of, a bit each; durable before the first one is. */
enum topic_mark {
    TOPIC_MARK_AGENDA = 1, /* not taken in their turn, see agenda.h */
    TOPIC_MARK_EXPIRY = 2, /* with a time to live, see expiry.h; or perhaps, without the next one */
    TOPIC_MARK_TOLD = 4    /* the former are told: versions before did not mark times to live */
};

enum topic_state { TOPIC_CREATING, TOPIC_LIVE, TOPIC_DELETING };

enum cleanup { CLEANUP_DELETE, CLEANUP_COMPACT };

enum when_full { WHEN_FULL_REJECT, WHEN_FULL_DROP_OLDEST };

struct topic_settings {
    uint64_t retention_time_ms; /* 0 = keep for ever */
    uint64_t retention_bytes;   /* of the whole topic, shared out evenly; 0 = no limit */
    uint64_t until_consumed;    /* 1 = what all groups have done may go */
    uint64_t max_topic_bytes;   /* 0 = no limit; beyond it, */
    uint64_t when_full;         /* enum when_full */
    uint64_t dedup_window_ms;   /* ids are looked at so far back; 0 = not at all */
    uint64_t cleanup;           /* enum cleanup; what follows is of topics that are compacted: */
    uint64_t tombstone_retention_ms; /* 0 = ZSP_TOMBSTONE_RETENTION_MS */
    uint64_t min_compaction_lag_ms;  /* younger messages stay as they are */
    uint64_t compact_ratio;          /* percent that are dirty before it is worth it; 0 =
                                      * ZSP_COMPACT_RATIO */
};

/* What only a topic has whose settings are not all at their defaults. */
struct topic_special {
    struct topic_settings settings;
    uint64_t bytes_seen;  /* with max_topic_bytes: what it held when it was measured last, */
    uint64_t bytes_since; /* what was taken since then, */
    int64_t bytes_ms;     /* and when that was; monotonic; 0 = not since the settings are these */
};

struct publish_queue {
    struct publish_part *first, *last;
};

/* One log. Lives as long as its topic; the `owner` of the store's completions. */
struct partition {
    struct topic *topic;
    uint32_t index;
    uint32_t expiry_slot; /* 0 = nothing in it expires, see expiry.h */
    struct store_part *part;
    uint64_t start_offset;  /* the oldest kept; moved by STORE_TRIMMED, and by a purge */
    uint64_t island_offset; /* below it nothing is left; see dead_keep.h */
    uint64_t island_look;   /* where the next look at islands begins */
    uint64_t purged_offset; /* what a purge has put; durable before it moves the start */
    uint64_t synced_offset; /* the mark: consumers see what is below; moved by STORE_SYNCED */

    struct agenda *agenda;                     /* NULL = all messages are taken in their turn */
    struct ledger *ledger_first, *ledger_last; /* groups that consume it; the group side's list */
    struct ledger_list listeners;              /* of these, who is told of the mark */

    struct publish_queue appending;   /* given to the store, not written yet */
    struct publish_queue syncing;     /* written, the mark is not past them yet */
    struct reader *reader_first;      /* parked at the mark, in order of arrival */
    struct reader *reader_last;       /* */
    struct producer_log *log_first;   /* producers seen here, in order of appearance */
    struct producer_log *log_last;    /* */
    struct producer_log *dirty_first; /* those that changed since their last image */
    uint64_t image_offset;            /* all sequences below are imaged */
    uint64_t image_place;             /* the store's hint for that offset */
    struct dedup *dedup;              /* NULL = there was nothing to be looked at, see dedup.h */
    struct id_lookup *lookup_first;   /* that wait for the mark */
    uint64_t image_bytes;             /* body bytes appended since the last image */
};

/* The log begins here now, and islands there, if that is further. */
void partition_set_start(struct partition *partition, uint64_t start, uint64_t island);

/* Someone who waits until it is decided whether a topic is there; embedded, in order of arrival. */
struct topic_waiter {
    struct topic_waiter *next;
    /* `error` NULL = the topic is LIVE now (again); else it is about to be freed, and its name is
     * free already. Called once. */
    void (*ready_fn)(struct engine *engine, struct topic_waiter *self, struct topic *topic,
                     const struct zsp_err *error);
};

/* One piece of memory with its partitions and its name; those that it got later are in pieces of
 * their own. */
struct topic {
    uint64_t id;
    struct zsp_slice name;                           /* into object */
    int64_t created_ms;                              /* wall */
    struct topic_special *special;                   /* NULL = all settings are at their defaults */
    struct topic_waiter *waiter_first, *waiter_last; /* CREATING, DELETING */
    struct topic_waiter *marking_first, *marking_last; /* while marks are on their way */
    enum topic_state state : 8;
    uint8_t marks;     /* of enum topic_mark, durable */
    uint8_t marking;   /* those on their way; publishes wait for them */
    bool is_gone;      /* DELETING, and that is durable: nothing more is asked of its partitions */
    bool is_consuming; /* a round of `until_consumed` is under way, see retention.c */
    uint32_t next_partition; /* for the next batch of keyless records */
    uint32_t next_retained;  /* partition that retention looks at first, see retention_nth() */
    uint32_t island_count;   /* partitions that have some */
    uint32_t partition_count;
    uint32_t made_count;           /* those behind partition_count are empty, see topic_grow.h */
    struct partition **partitions; /* so many; they stay where they are until the topic goes */
    struct store_part **parts;     /* those of the partitions, as the store wants them */
    void *arrays;                  /* what these two are in, NULL = in the topic itself */
    struct topic_block *blocks;
    struct topic_growth *growth; /* NULL = none */
    const char *object;          /* "topic <name>", for errors */
    struct partition first[];    /* behind them partitions, parts and object */
};

extern const struct topic_settings topic_settings_default;

static inline const struct topic_settings *topic_settings_of(const struct topic *self)
{
    return self->special ? &self->special->settings : &topic_settings_default;
}

/* Prepare the memory of topics. */
void topic_init(struct engine *engine);
/* The LIVE topic of that name. Errors: ZSP_ENOT_FOUND (none, not yet, or not any more) */
int topic_require(const struct engine *engine, struct zsp_slice name, struct topic **ret,
                  struct zsp_err *err);
/* The LIVE topic of that name, or NULL. */
struct topic *topic_find(const struct engine *engine, struct zsp_slice name);
/* The topic of that name in whatever state, NULL = none. */
struct topic *topic_by_name(const struct engine *engine, struct zsp_slice name);
/* The topic with that id, whatever its state, NULL = none. */
struct topic *topic_by_id(const struct engine *engine, uint64_t id);
/* There is no such partition of the topic `object`, which has `count`: ZSP_ENOT_FOUND */
int topic_refuse_partition(const char *object, uint64_t index, uint32_t count, struct zsp_err *err);
/* A partition of the topic. Errors: ZSP_ENOT_FOUND */
int topic_partition(struct topic *self, uint64_t index, struct partition **ret,
                    struct zsp_err *err);

/* Begin to make a topic; `waiter` (may be NULL) hears the outcome. The name is legal.
 * Errors (then the waiter hears nothing): ZSP_EEXISTS, ZSP_ELIMIT_REACHED, ZSP_ENOMEM; and those
 *         that a waiter may hear: ZSP_ENO_SPACE, ZSP_ESTORAGE_FAILED, ZSP_EINTERNAL for
 *         whatever else the store says */
int topic_create(struct engine *engine, struct zsp_slice name, uint32_t partition_count,
                 const struct topic_settings *settings, struct topic_waiter *waiter,
                 struct zsp_err *err);
/* Add one more waiter to a topic that is CREATING or DELETING. */
void topic_wait(struct topic *self, struct topic_waiter *waiter);

/* Are such messages not to be taken in their turn (agenda.h)? */
bool topic_is_urgent(unsigned priority, int64_t not_before_ms);
/* May messages in it have a time to live? */
static inline bool topic_may_expire(const struct topic *self)
{
    return (self->marks & TOPIC_MARK_EXPIRY) != 0 || (self->marks & TOPIC_MARK_TOLD) == 0;
}

/* Must a publish of messages that need these marks, or none, wait for topic_mark()? */
bool topic_must_mark(const struct topic *self, unsigned marks);
/* A publish waits until the topic may have such messages, or behind such a one. Then it asks again.
 * Errors: those of state_put (nothing changed, the waiter hears nothing) */
int topic_mark(struct engine *engine, struct topic *self, unsigned marks,
               struct topic_waiter *waiter, struct zsp_err *err);

/* Change the settings durably; `op` hears when they are synced. They apply at once.
 * Errors: those of state_put (nothing changed) */
int topic_set(struct engine *engine, struct topic *self, const struct topic_settings *settings,
              struct engine_op *op, struct zsp_err *err);

/* Put the topic's image with its partitions' purged offsets as they are now; `op` hears when that is
 * synced. Errors: those of state_put */
int topic_put_purge(struct engine *engine, struct topic *self, struct engine_op *op,
                    struct zsp_err *err);

/* Begin to delete a LIVE topic that is not growing; `waiter` hears with error NULL when that is durable, right
 * before the topic goes. Errors: those of state_put (nothing changed) */
int topic_delete(struct engine *engine, struct topic *self, struct topic_waiter *waiter,
                 struct zsp_err *err);

/* --- start-up and durable state --- */

/* A replayed 'T' entry. Errors: ZSP_ECORRUPT, ZSP_ENOMEM */
int topic_entry(struct engine *engine, const struct store_entry *entry, struct zsp_err *err);
/* Open the partitions of all topics, in order of names. Errors: those of part_open. */
int topic_open_all(struct engine *engine, struct zsp_err *err);
/* Put the current image of topic `id`, or a `gone`. Errors: those of state_put */
int topic_image(struct engine *engine, uint64_t id, struct zsp_err *err);
/* Free all topics, at the end. */
void topic_free_all(struct engine *engine);

#endif
