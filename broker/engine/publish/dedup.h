/* SPDX-License-Identifier: MPL-2.0
 *
 * Topics with `dedup_window`: a record whose id a record of its partition has, which is no older
 * than the window, is not appended again, but confirmed where that one is.
 *
 * Batches for one partition are looked at one after the other, in the order in which they came:
 *
 *   QUEUED ---> AT_WORK ---> given to the store, or settled without it
 *   -> QUEUED           dedup_add    behind those before it; batches without ids as well
 *   QUEUED -> AT_WORK   work         first: sequences are compared, then ids among themselves
 *   (waiting)           work         an id is in a batch that is not written yet: its fate decides
 *   (waiting)           is_known     the store is asked, and what it finds is read (id_lookup.h)
 *   AT_WORK -> given    decide       all records are new: as it came; some: what is new of it;
 *                                    none: nothing
 *
 * A batch belongs to its part, and goes with it when the publish is answered.
 *
 * A record that is old is confirmed when it is synced, whatever the level. What fails leaves nothing
 * behind: the store's index has only what was written.
 */
#ifndef ZSP_ENGINE_DEDUP_H
#define ZSP_ENGINE_DEDUP_H

#include "broker/engine/publish/publish.h"
#include "broker/engine/topic/id_lookup.h"
#include "broker/store/index/id_table.h"

#define DEDUP_ROWS_MAX 4096u /* rows of an answer; what is left is told as one row, without place */

struct dedup_batch;
struct transaction;
struct transaction_part;

/* Of a partition. */
struct dedup {
    struct partition *partition;
    struct dedup_batch *first, *last; /* QUEUED; the first may be AT_WORK */
    struct dedup_batch *gone;         /* whose topic went while the store was asked */
    struct id_table given;            /* ids of batches that the store has, not written yet */
    struct dedup *ready_next;         /* of the engine's list */
    bool is_ready;                    /* in it: there may be something to do */
};

/* Does the partition's next batch have to be looked at first? */
static inline bool dedup_wants(const struct partition *partition)
{
    return topic_settings_of(partition->topic)->dedup_window_ms > 0 ||
           (partition->dedup && partition->dedup->first);
}

/* May ids be looked for in the topic? Errors: ZSP_EUNSUPPORTED  names what is missing */
int dedup_require(const struct engine *engine, const struct topic *topic, struct zsp_err *err);
/* The partitions are open, or the settings have changed: tell the store. */
void dedup_partition_set(struct engine *engine, struct partition *partition);
void dedup_topic_set(struct engine *engine, struct topic *topic);

/* The part is to be appended: it goes on when it is its turn. `frame` is borrowed: records, or (`codec`)
 * the publish's own frame. Errors: ZSP_ENOMEM */
int dedup_add(struct engine *engine, struct publish_part *part, struct zsp_buf *frame,
              enum zsp_codec codec, struct zsp_err *err);
/* A part that was given to the store was written, or has failed. */
void dedup_settled(struct engine *engine, struct publish_part *part);
/* Go on where something has changed; called when all the store has told is known. */
void dedup_pump(struct engine *engine);

/* Likewise a part of a transaction: transaction_ids_known() is told for each. Those of one transaction are
 * added all at once. Errors: ZSP_ENOMEM */
int dedup_add_part(struct engine *engine, struct transaction *transaction, uint32_t index,
                   struct zsp_err *err);
/* The transaction is over, or given up: its parts leave their queues. */
void dedup_release(struct engine *engine, struct transaction *transaction);
/* Rows of such a part for [index, index + count) of a body, the next ones of it; with `out` NULL they are
 * only counted. *rows_left bounds them. */
uint32_t dedup_part_rows(struct zsp_writer *out, const struct transaction_part *part,
                         uint32_t index, uint32_t count, uint32_t *rows_left);
void dedup_part_rewind(const struct transaction_part *part);

/* Write the rows of the answer, if some record was old; false = all were new. */
bool dedup_write_rows(struct zsp_writer *out, const struct publish *publish);

/* What is queued fails; nothing of it was given to the store. */
void dedup_partition_gone(struct engine *engine, struct partition *partition,
                          const struct zsp_err *error);
/* NULL is fine. */
void dedup_batch_free(struct dedup_batch **self_p);
/* The topic's memory goes. */
void dedup_close(struct engine *engine, struct topic *topic);

#endif
