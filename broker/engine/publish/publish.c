/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/publish/publish.h"

#include <stdlib.h>
#include <string.h>

#include "broker/engine/ledger/agenda.h"
#include "broker/engine/publish/dedup.h"
#include "broker/engine/publish/producer.h"
#include "broker/engine/publish/producer_image.h"
#include "broker/engine/publish/producer_log.h"
#include "broker/engine/publish/publish_many.h"
#include "broker/engine/publish/publish_priv.h"
#include "broker/engine/topic/expiry.h"
#include "broker/engine/topic/topic_limit.h"
#include "common/assert.h"
#include "common/bytes.h"

/* --- the objects ------------------------------------------------------------------- */

void publish_init(struct engine *engine)
{
    pool_init(&engine->publishes, sizeof(struct publish));
    pool_init(&engine->publish_parts, sizeof(struct publish_part));
}

struct publish *publish_new(struct engine *engine)
{
    struct publish *const self = pool_get(&engine->publishes);
    if (!self) {
        return NULL;
    }
    LIST_INSERT_HEAD(&engine->publish_list, self, link);
    return self;
}

/* A part that neither a queue nor a publish holds goes back to the pool. */
static void release_part(struct engine *engine, struct publish_part *part)
{
    if (!part->is_queued && !part->publish) {
        pool_put(&engine->publish_parts, part);
    }
}

static void free_memory(struct publish *self)
{
    publish_records_fini(&self->records);
    free(self->behind_topic);
    if (self->parts != &self->only) {
        free(self->parts);
    }
}

void publish_free(struct engine *engine, struct publish *self)
{
    for (uint32_t i = 0; i < self->part_count; i++) {
        if (self->parts[i]) {
            self->parts[i]->publish = NULL;
            if (self->parts[i]->ids) {
                dedup_batch_free(&self->parts[i]->ids);
            }
            release_part(engine, self->parts[i]);
        }
    }
    free_memory(self);
    engine->sync_wait_count -= self->level == STORE_SYNCED_LEVEL ? 1u : 0u;
    LIST_REMOVE(self, link);
    pool_put(&engine->publishes, self);
}

void publish_free_all(struct engine *engine)
{
    struct publish *self = NULL;
    LIST_FOREACH (self, &engine->publish_list, link) {
        for (uint32_t i = 0; i < self->part_count; i++) {
            if (self->parts[i]) {
                dedup_batch_free(&self->parts[i]->ids);
            }
        }
        free_memory(self);
    }
    LIST_INIT(&engine->publish_list);
    publish_many_free_all(engine);
}

static void enqueue(struct publish_queue *queue, struct publish_part *part)
{
    part->queue_next = NULL;
    part->is_queued = true;
    *(queue->last ? &queue->last->queue_next : &queue->first) = part;
    queue->last = part;
}

static struct publish_part *dequeue(struct publish_queue *queue)
{
    struct publish_part *const part = queue->first;
    queue->first = part->queue_next;
    if (!queue->first) {
        queue->last = NULL;
    }
    part->queue_next = NULL;
    part->is_queued = false;
    return part;
}

/* --- the end of a part ----------------------------------------------------------------- */

/* One part has reached the level, or failed: with the last one the publish is answered. */
static void part_is_settled(struct engine *engine, struct publish *self)
{
    zsp_assert(self->open_count > 0);
    self->open_count--;
    if (self->open_count > 0) {
        return;
    }
    if (self->error.code == 0) {
        publish_confirm(engine, self);
    } else {
        self->error.maybe = self->error.maybe || self->applied;
        publish_refuse(engine, self, &self->error);
    }
    publish_free(engine, self);
}

/* One part has reached the level of its publish. */
static void settle_part(struct engine *engine, struct publish *publish)
{
    publish->applied = true;
    part_is_settled(engine, publish);
}

/* Is the part unsettled until it is synced? (At level `written` it no longer is.) */
static bool awaits_sync(const struct publish_part *part)
{
    return part->publish && part->publish->level == STORE_SYNCED_LEVEL;
}

/* The part will not be applied, or nobody knows; the part is in no queue. */
static void fail_part(struct engine *engine, struct publish_part *part, const struct zsp_err *error)
{
    struct publish *const publish = part->publish;
    zsp_assert(!part->is_queued);
    if (publish) {
        if (publish->error.code == 0) {
            publish->error = *error;
            zsp_err_wrap(&publish->error, "%s: partition %u", part->partition->topic->object,
                         part->partition->index);
        }
        publish->error.maybe = publish->error.maybe || error->maybe;
        part_is_settled(engine, publish);
    } else {
        release_part(engine, part);
    }
}

/* --- synced ------------------------------------------------------------------------------ */

static void put_skip(struct engine *engine, struct publish_part *part);

/* The batch has come to its end: its producer has one less in flight. */
static void uncount(struct engine *engine, struct publish_part *part)
{
    if (part->is_counted) {
        zsp_assert(part->log);
        part->is_counted = false;
        producer_batch_ends(engine, part->log->producer);
    }
}

void publish_advanced(struct engine *engine, struct partition *partition)
{
    struct publish_queue *const queue = &partition->syncing;
    while (queue->first && queue->first->end_offset <= partition->synced_offset) {
        struct publish_part *const part = dequeue(queue);
        uncount(engine, part);
        if (part->is_urgent) {
            agenda_add(engine, partition, part->first_offset, part->end_offset, part->priority,
                       part->not_before_ms);
        }
        if (part->expires_at_ms != 0) {
            expiry_add(engine, partition, part->first_offset, part->end_offset, part->priority,
                       part->expires_at_ms);
        }
        if (part->is_skip && awaits_sync(part) && part->log) {
            put_skip(engine, part);
        } else if (awaits_sync(part)) {
            settle_part(engine, part->publish);
        } else {
            release_part(engine, part);
        }
    }
}

/* A written part waits for the mark; `written` is confirmed before that. */
static void await_sync(struct engine *engine, struct publish_part *part)
{
    struct partition *const partition = part->partition;
    enqueue(&partition->syncing, part);
    if (part->publish && !awaits_sync(part)) {
        settle_part(engine, part->publish);
    }
    publish_advanced(engine, partition);
}

/* --- written -------------------------------------------------------------------------------- */

static void echo_is_ready(struct engine *engine, struct publish_part *part)
{
    engine->stats.duplicate_messages += part->count;
    part->has_first = producer_log_locate(part->log, part->sequence, part->count,
                                          &part->first_offset, &part->end_offset);
    /* The image for the first one is on its way, or failed. */
    part->is_skip = part->is_skip || part->sequence <= part->log->skip_last;
    await_sync(engine, part);
}

/* Whether it was put or not, the batch before which it stands was not lost: sequences are told by the
 * next image, or by the headers of later batches. */
static void skip_is_put(struct engine *engine, struct engine_op *op,
                        const struct store_completion *completion)
{
    struct publish_part *const part = (struct publish_part *)op;
    if (completion->error.code == 0) {
        if (part->log && part->log->skip_last <= part->sequence + part->count - 1) {
            part->log->skip_last = 0;
        }
        settle_part(engine, part->publish);
    } else {
        fail_part(engine, part, &completion->error);
    }
}

/* No batch tells that its sequences are over: an image has to, before that is confirmed. */
static void put_skip(struct engine *engine, struct publish_part *part)
{
    struct zsp_err error = {0};
    part->op.done_fn = skip_is_put;
    if (producer_image_put_log(engine, part->log, &part->op, &error) != 0) {
        error.maybe = true;
        fail_part(engine, part, &error);
    }
}

static void skip_is_ready(struct engine *engine, struct publish_part *part)
{
    const struct publish_queue *const syncing = &part->partition->syncing;
    const struct producer_batch batch = {
        .sequence = part->sequence,
        .offset = part->first_offset,
        .count = part->count,
        .is_inexact = part->is_inexact,
        .end_offset = syncing->last ? syncing->last->end_offset : part->partition->synced_offset,
    };
    if (producer_log_written(part->log, &batch)) {
        struct zsp_err error;
        zsp_err_set(&error, ZSP_ENOMEM, "out of memory for sequences");
        engine_fail(engine, &error);
    }
    part->log->skip_last = part->sequence + part->count - 1;
    part->end_offset = batch.end_offset;
    await_sync(engine, part);
}

/* Echoes whose originals have been written, or have failed, move on. */
static void move_echoes(struct engine *engine, struct partition *partition,
                        const struct zsp_err *error)
{
    struct publish_queue *const queue = &partition->appending;
    while (queue->first && queue->first->is_echo) {
        struct publish_part *const part = dequeue(queue);
        const bool is_written =
            part->log && part->sequence + part->count - 1 <= part->log->written_last;
        if (part->is_skip && part->log && part->sequence == part->log->written_last + 1) {
            skip_is_ready(engine, part);
        } else if (is_written) {
            echo_is_ready(engine, part);
        } else {
            uncount(engine, part);
            fail_part(engine, part, error);
        }
    }
}

static void note_written(struct engine *engine, struct publish_part *part)
{
    part->partition->image_bytes += part->stored;
    engine->stats.published_messages += part->count;
    engine->stats.published_bytes += part->len;
    engine->stats.stored_bytes += part->stored;
    if (!part->log) {
        return;
    }
    const struct producer_batch batch = {
        .sequence = part->sequence,
        .offset = part->first_offset,
        .count = part->count,
        .is_inexact = part->is_inexact,
        .end_offset = part->end_offset,
    };
    if (producer_log_written(part->log, &batch)) {
        struct zsp_err error;
        zsp_err_set(&error, ZSP_ENOMEM, "out of memory for sequences");
        engine_fail(engine, &error);
    }
}

static void is_appended(struct engine *engine, struct engine_op *op,
                        const struct store_completion *completion)
{
    struct publish_part *const part = (struct publish_part *)op;
    struct partition *const partition = part->partition;
    zsp_assert(partition->appending.first == part);
    (void)dequeue(&partition->appending);
    if (part->ids) {
        dedup_settled(engine, part);
    }
    if (completion->error.code == 0) {
        part->first_offset = completion->offset;
        part->end_offset = completion->offset + part->count;
        part->has_first = true;
        note_written(engine, part);
        await_sync(engine, part);
    } else {
        if (part->log) {
            producer_log_failed(part->log);
        }
        uncount(engine, part);
        fail_part(engine, part, &completion->error);
    }
    move_echoes(engine, partition, &completion->error);
}

/* --- gone ------------------------------------------------------------------------------------- */

void publish_partition_gone(struct engine *engine, struct partition *partition,
                            const struct zsp_err *error)
{
    struct zsp_err told = *error;
    dedup_partition_gone(engine, partition, error);
    told.maybe = true;
    for (struct publish_part *part = partition->appending.first; part; part = part->queue_next) {
        uncount(engine, part);
        part->log = NULL;
    }
    while (partition->syncing.first) {
        struct publish_part *const part = dequeue(&partition->syncing);
        uncount(engine, part);
        part->log = NULL;
        if (awaits_sync(part)) {
            fail_part(engine, part, &told);
        } else {
            release_part(engine, part);
        }
    }
    move_echoes(engine, partition, &told);
}

/* --- beginning --------------------------------------------------------------------------------- */

/* Give one part to the store. `frame` is borrowed: records, or (`codec`) the publish's own frame.
 * Errors: definite */
int publish_append(struct engine *engine, struct publish_part *part, struct zsp_buf *frame,
                   enum zsp_codec codec, struct zsp_err *err)
{
    const struct publish *const publish = part->publish;
    const bool is_packed = codec != ZSP_CODEC_NONE;
    struct store_batch batch = publish_records_batch(&publish->records, frame, codec, part->count);
    batch.timestamp_ms = publish->timestamp_ms;
    batch.producer_id = publish->producer_id;
    batch.producer_epoch = (uint32_t)publish->epoch;
    batch.sequence = part->sequence;
    part->len = is_packed ? publish->records.raw_bytes : frame->len;
    part->stored = frame->len;
    part->is_urgent = publish_records_are_urgent(&publish->records);
    part->priority = publish->records.priority;
    part->not_before_ms = publish->records.not_before_ms;
    part->expires_at_ms = publish->records.expires_at_ms;
    part->op.done_fn = is_appended;
    const int rc = engine->store->ops->append(engine->store, part->partition->part, &batch,
                                              engine_op_tag(&part->op), err);
    if (rc == 0) {
        enqueue(&part->partition->appending, part);
        reply_may_apply(engine, &publish->to);
    }
    return rc;
}

struct publish_part *publish_part_new(struct engine *engine, struct publish *self,
                                      struct partition *partition, uint32_t count)
{
    struct publish_part *const part = pool_get(&engine->publish_parts);
    if (part) {
        part->publish = self;
        part->partition = partition;
        part->count = count;
    }
    return part;
}

void publish_echo(struct engine *engine, struct publish *self)
{
    struct publish_part *const part = self->only;
    self->open_count = 1;
    part->is_echo = true;
    reply_may_apply(engine, &self->to);
    zsp_buf_put(&self->records.frame);
    if (part->partition->appending.first) {
        enqueue(&part->partition->appending, part);
    } else {
        echo_is_ready(engine, part);
    }
}

void publish_skip(struct engine *engine, struct publish_part *part)
{
    part->is_echo = part->is_skip = true;
    reply_may_apply(engine, &part->publish->to);
    publish_given(engine, part, part->count);
    if (part->partition->appending.first) {
        enqueue(&part->partition->appending, part);
    } else {
        skip_is_ready(engine, part);
    }
}

void publish_part_settled(struct engine *engine, struct publish_part *part)
{
    settle_part(engine, part->publish);
}

void publish_part_failed(struct engine *engine, struct publish_part *part,
                         const struct zsp_err *error)
{
    fail_part(engine, part, error);
}

/* The producer may have been fenced, or have expired, while the publish waited for its topic. */
static int require_producer(const struct engine *engine, const struct publish *self,
                            struct producer **ret, struct zsp_err *err)
{
    struct producer *const producer = producer_by_id(engine, self->producer_id);
    if (!producer) {
        return zsp_err_set_about(err, ZSP_ENOT_FOUND, "producer", "the producer expired: open it");
    }
    return producer_check(engine, producer->name, self->epoch, ret, err);
}

/* Errors: ZSP_ELIMIT_REACHED, ZSP_ENOMEM */
static int open_log(struct engine *engine, struct producer *producer, struct publish_part *part,
                    struct zsp_err *err)
{
    part->log = producer_log_find(engine, producer, part->partition);
    if (part->log) {
        return 0;
    }
    if (engine->producer_log_keys.count >= ZSP_PRODUCER_LOGS_MAX) {
        return zsp_err_set_about(
            err, ZSP_ELIMIT_REACHED, "producers",
            "producers have sequences in %u partitions, no more are allowed until "
            "some expire",
            ZSP_PRODUCER_LOGS_MAX);
    }
    part->log = producer_log_open(engine, producer, part->partition);
    return part->log ? 0 : zsp_err_set(err, ZSP_ENOMEM, "out of memory");
}

int publish_check_sequence(struct engine *engine, struct publish_part *part, uint32_t count,
                           bool *ret_is_old, struct zsp_err *err)
{
    const struct publish *const self = part->publish;
    struct producer *producer = NULL;
    int rc = require_producer(engine, self, &producer, err);
    if (rc != 0) {
        return rc;
    }
    producer_touch(engine, producer);
    rc = producer_log_check(producer_log_find(engine, producer, part->partition), self->sequence,
                            count, ret_is_old, err);
    if (rc != 0) {
        zsp_err_wrap(err, "%s: partition %u: %s", part->partition->topic->object,
                     part->partition->index, producer->object);
        zsp_err_detail(err, producer->object, NULL, NULL);
        return rc;
    }
    part->sequence = self->sequence;
    return open_log(engine, producer, part, err);
}

void publish_given(struct engine *engine, struct publish_part *part, uint32_t count)
{
    (void)engine;
    producer_log_given(part->log, part->publish->sequence, count);
    producer_batch_begins(part->log->producer);
    part->is_counted = true;
}

static int begin_sequenced(struct engine *engine, struct publish *self, struct zsp_err *err)
{
    struct publish_part *const part = self->only;
    bool is_old = false;
    int rc = publish_check_sequence(engine, part, part->count, &is_old, err);
    if (rc == 0 && is_old) {
        publish_echo(engine, self);
        return 0;
    }
    if (rc == 0) {
        rc = publish_records_check_keys(engine, &self->records, part->partition->topic, err);
    }
    if (rc == 0) {
        rc = topic_limit_admit(engine, part->partition->topic, self->records.frame->len, err);
    }
    if (rc == 0) {
        rc = publish_append(engine, part, self->records.frame, self->records.codec, err);
    }
    if (rc == 0) {
        publish_given(engine, part, part->count);
        zsp_buf_put(&self->records.frame);
    }
    return rc;
}

/* The part's ids are looked at before it is appended. */
static int begin_dedup(struct engine *engine, struct publish *self, struct zsp_err *err)
{
    int rc = publish_records_check_keys(engine, &self->records, self->only->partition->topic, err);
    if (rc == 0) {
        rc = dedup_add(engine, self->only, self->records.frame, self->records.codec, err);
    }
    if (rc == 0) {
        zsp_buf_put(&self->records.frame);
    }
    return rc;
}

/* All records go to one partition: the frame is appended as it is. */
int publish_whole(struct engine *engine, struct publish *self, struct partition *partition,
                  struct zsp_err *err)
{
    self->only = publish_part_new(engine, self, partition, self->records.count);
    if (!self->only) {
        return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    self->parts = &self->only;
    self->part_count = 1;
    self->open_count = 1;
    if (dedup_wants(partition)) {
        return begin_dedup(engine, self, err);
    }
    if (self->producer_id > 0) {
        return begin_sequenced(engine, self, err);
    }
    int rc = publish_records_check_keys(engine, &self->records, partition->topic, err);
    if (rc == 0) {
        rc = topic_limit_admit(engine, partition->topic, self->records.frame->len, err);
    }
    if (rc == 0) {
        rc = publish_append(engine, self->only, self->records.frame, self->records.codec, err);
    }
    if (rc == 0) {
        zsp_buf_put(&self->records.frame);
    }
    return rc;
}
