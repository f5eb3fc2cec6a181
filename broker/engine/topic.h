/* SPDX-License-Identifier: MPL-2.0
 *
 * Topics and their partitions: what the engine knows of each log, and how a
 * topic comes and goes. Files below are keyed by the id, so a re-created topic
 * is a new topic.
 *
 *     new --> CREATING ---durable---> LIVE ---delete---> DELETING ---dropped---> gone
 *                |                      ^                    |
 *                +---fails---> gone     +----put refused-----+
 *   -> CREATING       topic_create        logs are being made, then the topic's entry is put;
 *                                         publishes wait in `waiters`
 *   CREATING -> LIVE  topic_created       the entry is synced: waiters go on in order
 *   LIVE -> DELETING  topic_delete        the `gone` entry is on its way; nothing new is taken
 *   DELETING -> gone  topic_dropped       not found by name from the moment the entry is synced;
 *                                         freed when the store has let go of its logs
 */
#ifndef ZSP_ENGINE_TOPIC_H
#define ZSP_ENGINE_TOPIC_H

#include "broker/engine/engine_priv.h"
#include "broker/engine/timers.h"
#include "common/limits.h"

struct ledger;       /* state of one group for one partition: the group side's */
struct producer_log; /* sequences of one producer in one partition */
struct publish_part; /* a batch on its way into one partition */
struct reader;       /* a READ that waits for messages */
struct topic;

enum topic_state { TOPIC_CREATING, TOPIC_LIVE, TOPIC_DELETING };

struct topic_settings {
    uint64_t retention_time_ms; /* 0 = keep for ever */
    uint64_t retention_bytes;   /* of the whole topic, shared out evenly; 0 = no limit */
};

struct publish_queue {
    struct publish_part *first, *last;
};

/* One log. Lives as long as its topic; the `owner` of the store's completions. */
struct partition {
    struct topic *topic;
    uint32_t index;
    struct store_part *part;
    uint64_t start_offset;  /* the oldest kept; moved by STORE_TRIMMED */
    uint64_t synced_offset; /* the mark: consumers see what is below; moved by STORE_SYNCED */

    struct ledger *ledger_first, *ledger_last; /* groups that consume it; the group side's list */

    struct publish_queue appending; /* given to the store, not written yet */
    struct publish_queue syncing;   /* written, the mark is not past them yet */
    struct reader *reader_first;    /* parked at the mark, in order of arrival */
    struct reader *reader_last;     /* */
    struct producer_log *log_first; /* producers seen here, in order of appearance */
    struct producer_log *log_last;  /* */
    uint64_t image_offset;          /* producer state is durable as of here */
    uint64_t image_place;           /* the store's hint for that offset */
    uint64_t image_bytes;           /* body bytes appended since */
};

/* Someone who waits until a topic is there; embedded, in order of arrival. */
struct topic_waiter {
    struct topic_waiter *next;
    /* `error` NULL = the topic is LIVE now. Called once. */
    void (*ready_fn)(struct engine *engine, struct topic_waiter *self, struct topic *topic,
                     const struct zsp_err *error);
};

struct topic {
    uint64_t id;
    struct zsp_slice name; /* its bytes follow this struct's in name_bytes */
    char name_bytes[ZSP_NAME_MAX + 1];
    char object[ZSP_NAME_MAX + 8]; /* "topic <name>", for errors */
    enum topic_state state;
    int64_t created_ms; /* wall */
    uint32_t partition_count;
    struct partition *partitions;
    struct topic_settings settings;
    uint32_t next_partition;                         /* for the next batch of keyless records */
    struct topic_waiter *waiter_first, *waiter_last; /* CREATING */
    struct timer retention;                          /* armed while a limit is set */
    struct topic_job *job;                           /* the creation or deletion under way */
};

/* The LIVE topic of that name; NULL = none, or not yet, or not any more. */
struct topic *topic_find(const struct engine *engine, struct zsp_slice name);
/* The same as an error. Errors: ZSP_ENOT_FOUND */
int topic_require(const struct engine *engine, struct zsp_slice name, struct topic **ret,
                  struct zsp_err *err);
/* The topic with that id in any state, NULL = none. */
struct topic *topic_by_id(const struct engine *engine, uint64_t id);

/* A partition of the topic. Errors: ZSP_ENOT_FOUND */
int topic_partition(struct topic *self, uint64_t index, struct partition **ret,
                    struct zsp_err *err);

/* Begin to make a topic; `waiter` (may be NULL) hears the outcome. The name is legal.
 * Errors: ZSP_EEXISTS, ZSP_ELIMIT_REACHED, ZSP_ENO_SPACE, ZSP_ENOMEM, ZSP_ESTORAGE_FAILED */
int topic_create(struct engine *engine, struct zsp_slice name, uint32_t partition_count,
                 const struct topic_settings *settings, struct topic_waiter *waiter,
                 struct zsp_err *err);
/* Add one more waiter to a topic that is CREATING. */
void topic_wait(struct topic *self, struct topic_waiter *waiter);


#endif
