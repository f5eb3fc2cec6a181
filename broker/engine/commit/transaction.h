/* SPDX-License-Identifier: MPL-2.0
 *
 * Transactions: publishes to any topics and changes of state that are durable together and become
 * visible together. For COMMIT, and for whatever the broker itself has to move between topics.
 *
 *   FINDING ---> HELD ---> DECIDED ---> over
 *      |          |
 *      +--fails---+--refused---> over
 *   -> FINDING           transaction_start  topics that are not there are created, if allowed
 *   FINDING -> HELD      begin              routed, cut, and queued in the partitions
 *   HELD -> DECIDED      is_ready           apply_fn made its changes; one record holds it all
 *   DECIDED -> over      is_done            durable: visible in this moment
 *
 * An error before DECIDED is definite: nothing was applied, but topics may have been created. After it
 * only a fail-stop comes, which leaves it open.
 */
#ifndef ZSP_ENGINE_TRANSACTION_H
#define ZSP_ENGINE_TRANSACTION_H

#include <sys/queue.h>

#include "broker/engine/ledger/step.h"
#include "broker/engine/publish/publish_records.h"
#include "broker/engine/route.h"
#include "broker/engine/topic/topic.h"
#include "common/codec.h"

struct transaction;

struct transaction_hooks {
    /* The offsets are known (transaction_rows()), nothing is decided: make the changes in the
     * engine's open step. They must be durable ones. A nonzero return refuses the whole. */
    int (*apply_fn)(struct engine *engine, struct transaction *self, struct step *step,
                    struct zsp_err *err);
    /* DECIDED: the changes hold in memory. */
    void (*decided_fn)(struct engine *engine, struct transaction *self);
    /* Over; `error` NULL = all of it is durable. Called once, but not after a fail-stop. The
     * transaction is the caller's again: transaction_fini() comes next. */
    void (*over_fn)(struct engine *engine, struct transaction *self, const struct zsp_err *error);
};

/* One body of records for one topic, checked. */
struct transaction_publish {
    char topic[ZSP_NAME_MAX + 1];
    struct publish_records records;
    uint32_t first_part; /* of its targets */
};

/* What of it goes to one partition. */
struct transaction_part {
    struct partition *partition;
    struct zsp_buf *frame; /* holds a reference */
    const struct transaction_publish *publish;
    struct dedup_batch
        *ids;       /* NULL = its topic does not look at ids; else in its queue until the end */
    uint32_t count; /* of what is appended: 0 = all of it was there before */
    size_t len;     /* bytes of records */
    uint64_t first_offset; /* from is_ready on */
};

/* Embedded in what waits for it. */
struct transaction {
    struct engine_op op; /* first */
    struct topic_waiter waiter;
    const struct transaction_hooks *hooks;
    LIST_ENTRY(transaction) link; /* all of the engine */
    struct transaction_publish *publishes;
    uint32_t publish_count;
    uint32_t searches; /* topics waited for */
    struct transaction_part *parts;
    uint32_t part_count;
    uint32_t row_count;
    int64_t timestamp_ms;
    uint32_t ids_open;           /* parts whose ids are looked for */
    struct store_atomic *atomic; /* HELD */
    bool is_decided;
};

/* A transaction with room for `count` publishes, which the caller fills (they are owned by it).
 * Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int transaction_init(struct transaction *self, struct engine *engine,
                                    const struct transaction_hooks *hooks, uint32_t count);
/* Begin. over_fn may be called before it returns.
 * Errors: definite, over_fn is not called then */
int transaction_start(struct engine *engine, struct transaction *self, struct zsp_err *err);
/* The ids of one part are known: what is new of it is its frame now. */
void transaction_ids_known(struct engine *engine, struct transaction *self);
/* They cannot be known, or its topic went: it is refused, unless it was HELD already. Its parts have
 * left their queues afterwards. */
void transaction_ids_failed(struct engine *engine, struct transaction *self,
                            const struct zsp_err *error);
/* Free what it holds, and forget it. Not while it is at work. */
void transaction_fini(struct transaction *self);

/* Write where the records of each publish are: an array of arrays of rows [index, count, partition,
 * first, false], as PUBLISH answers them; when these are more than
 * ZSP_COMMIT_ROWS_MAX in all, one row for each partition. */
void transaction_write_rows(struct zsp_writer *out, const struct transaction *self);

/* Bytes that transactions at work are about to append to a topic, and `batch_bytes` for each batch. */
uint64_t transaction_bytes_open(const struct engine *engine, const struct topic *topic,
                                uint64_t batch_bytes);

/* Free all memory of transactions at work, at the end. */
void transaction_free_all(struct engine *engine);

#endif
