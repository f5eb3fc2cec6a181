/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/publish/dedup.h"

#include <stdlib.h>

#include "broker/engine/arrivals.h"
#include "broker/engine/commit/transaction.h"
#include "broker/engine/publish/dedup_batch.h"
#include "broker/engine/publish/producer_log.h"
#include "broker/engine/publish/publish_priv.h"
#include "broker/engine/topic/topic_limit.h"
#include "common/assert.h"

/* --- The setting ------------------------------------------------------------------------- */

int dedup_require(const struct engine *engine, const struct topic *topic, struct zsp_err *err)
{
    if ((engine->store->ops->capabilities & STORE_IDS) == 0) {
        return zsp_err_set(err, ZSP_EUNSUPPORTED, "this broker's storage does not look for ids");
    }
    if (topic_settings_of(topic)->dedup_window_ms == 0) {
        zsp_err_set(err, ZSP_EUNSUPPORTED,
                    "%s: messages are found by their ids only with the setting dedup_window_ms",
                    topic->object);
        zsp_err_detail(err, topic->object, "dedup_window_ms", NULL);
        return ZSP_EUNSUPPORTED;
    }
    return 0;
}

void dedup_partition_set(struct engine *engine, struct partition *partition)
{
    if ((engine->store->ops->capabilities & STORE_IDS) != 0) {
        engine->store->ops->index_ids(engine->store, partition->part,
                                      topic_settings_of(partition->topic)->dedup_window_ms > 0);
    }
}

void dedup_topic_set(struct engine *engine, struct topic *topic)
{
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        dedup_partition_set(engine, topic->partitions[i]);
    }
}

/* --- The queue ------------------------------------------------------------------------------ */

void dedup_make_ready(struct engine *engine, struct dedup *self)
{
    if (!self->is_ready) {
        self->is_ready = true;
        self->ready_next = NULL;
        *(engine->dedup_last ? &engine->dedup_last->ready_next : &engine->dedup_first) = self;
        engine->dedup_last = self;
    }
}

static struct dedup *dedup_of(struct partition *partition)
{
    if (!partition->dedup) {
        partition->dedup = calloc(1, sizeof *partition->dedup);
        if (partition->dedup) {
            partition->dedup->partition = partition;
        }
    }
    return partition->dedup;
}

struct dedup_batch *dedup_enqueue(struct engine *engine, struct partition *partition,
                                  struct zsp_buf *frame, enum zsp_codec codec)
{
    struct dedup *const self = dedup_of(partition);
    struct dedup_batch *const batch = self ? calloc(1, sizeof *batch) : NULL;
    if (batch) {
        batch->frame = zsp_buf_get(frame);
        batch->codec = codec;
        *(self->last ? &self->last->next : &self->first) = batch;
        self->last = batch;
        dedup_make_ready(engine, self);
    }
    return batch;
}

int dedup_add(struct engine *engine, struct publish_part *part, struct zsp_buf *frame,
              enum zsp_codec codec, struct zsp_err *err)
{
    struct dedup_batch *const batch = dedup_enqueue(engine, part->partition, frame, codec);
    if (!batch) {
        return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    batch->part = part;
    batch->raw_bytes = part->publish->records.raw_bytes;
    batch->timestamp_ms = part->publish->timestamp_ms;
    batch->count = part->count;
    part->ids = batch;
    return 0;
}

void dedup_discard(struct engine *engine, struct dedup *self, struct dedup_batch *batch)
{
    struct dedup_batch *before = NULL;
    for (struct dedup_batch *at = self->first; at != batch; at = at->next) {
        before = at;
    }
    *(before ? &before->next : &self->first) = batch->next;
    self->last = self->last == batch ? before : self->last;
    if (batch->is_at_work && !batch->is_looked_up) {
        batch->is_gone = true; /* the store will answer */
        batch->next = self->gone;
        self->gone = batch;
    } else {
        dedup_batch_free(&batch);
    }
    if (self->first) {
        dedup_make_ready(engine, self);
    }
}

static struct dedup_batch *take_first(struct dedup *self)
{
    struct dedup_batch *const batch = self->first;
    self->first = batch->next;
    self->last = self->first ? self->last : NULL;
    batch->next = NULL;
    return batch;
}

/* The first one is refused; nothing of it was appended. */
static void refuse_first(struct engine *engine, struct dedup *self, const struct zsp_err *error)
{
    struct dedup_batch *const batch = take_first(self);
    publish_part_failed(engine, batch->part, error); /* which frees the batch */
}

/* --- Ids on their way ------------------------------------------------------------------------- */

/* Is an id of the batch in one that is not written yet? */
static bool is_on_its_way(const struct dedup *self, const struct dedup_batch *batch)
{
    for (uint32_t i = 0; i < batch->id_count && self->given.count > 0; i++) {
        if (id_table_has(&self->given, batch->prints[i])) {
            return true;
        }
    }
    return false;
}

static void forget_given(struct dedup *self, struct dedup_batch *batch)
{
    for (uint32_t i = 0; i < batch->id_count; i++) {
        if (batch->prints[i] != 0) {
            id_table_remove(&self->given, batch->prints[i], 0);
        }
    }
    free(batch->prints);
    batch->prints = NULL;
    batch->id_count = 0;
}

/* Its new ids are on their way from now on. Errors: ZSP_ENOMEM */
static int note_given(struct dedup *self, struct dedup_batch *batch)
{
    int rc = 0;
    for (uint32_t i = 0; i < batch->id_count; i++) {
        if (rc != 0 || batch->lookup.found[i] != ID_NOT_FOUND) {
            batch->prints[i] = 0;
            continue;
        }
        rc = id_table_add(&self->given, batch->prints[i], 0);
        batch->prints[i] = rc == 0 ? batch->prints[i] : 0;
    }
    return rc;
}

void dedup_settled(struct engine *engine, struct publish_part *part)
{
    struct dedup *const self = part->partition->dedup;
    forget_given(self, part->ids);
    if (self->first) {
        dedup_make_ready(engine, self);
    }
}

/* --- Work --------------------------------------------------------------------------------------- */

/* What its sequence says: 1 = it goes on, 0 = it is a repetition, and settled. */
static int compare_sequence(struct engine *engine, struct dedup *self, struct dedup_batch *batch,
                            struct zsp_err *err)
{
    bool is_old = false;
    struct publish *const publish = batch->part->publish;
    if (publish->producer_id == 0) {
        return 1;
    }
    const int rc = publish_check_sequence(engine, batch->part, batch->count, &is_old, err);
    if (rc == 0 && is_old) {
        (void)take_first(self);
        dedup_batch_strip(batch);
        publish_echo(engine, publish);
        return 0;
    }
    return rc == 0 ? 1 : rc;
}

/* Give the first one to the store: `frame` is all that is new of it. */
static int give(struct engine *engine, struct dedup *self, struct zsp_buf *frame,
                enum zsp_codec codec, struct zsp_err *err)
{
    struct dedup_batch *const batch = self->first;
    struct publish_part *const part = batch->part;
    const bool is_sequenced = part->publish->producer_id > 0;
    part->count = batch->new_count;
    if (is_sequenced) {
        part->sequence = part->publish->sequence + (batch->count - batch->new_count);
        part->is_inexact = batch->fates && !dedup_batch_begins_old(batch);
    }
    int rc = topic_limit_admit(engine, self->partition->topic, frame->len, err);
    if (rc == 0 && batch->id_count > 0 && note_given(self, batch) != 0) {
        rc = zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    if (rc == 0) {
        rc = publish_append(engine, part, frame, codec, err);
    }
    if (rc != 0) {
        forget_given(self, batch);
        return rc;
    }
    if (is_sequenced) {
        publish_given(engine, part, batch->count);
    }
    (void)take_first(self);
    dedup_batch_strip(batch);
    return 0;
}

/* None of its records is new. */
static void pass_over(struct engine *engine, struct dedup *self)
{
    struct dedup_batch *const batch = take_first(self);
    struct publish_part *const part = batch->part;
    dedup_batch_strip(batch);
    forget_given(self, batch);
    if (part->publish->producer_id == 0) {
        publish_part_settled(engine, part);
        return;
    }
    part->sequence = part->publish->sequence;
    part->count = batch->count;
    part->is_inexact = !dedup_batch_is_one_run(batch);
    part->first_offset = part->is_inexact ? 0 : batch->fates[0];
    publish_skip(engine, part);
}

static int decide(struct engine *engine, struct dedup *self, struct zsp_err *err)
{
    struct dedup_batch *const batch = self->first;
    if (dedup_batch_judge(batch) != 0) {
        return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    engine->stats.duplicate_messages += batch->count - batch->new_count;
    if (batch->new_count == 0) {
        pass_over(engine, self);
        return 0;
    }
    if (batch->new_count == batch->count) {
        free(batch->fates);
        batch->fates = NULL;
        return give(engine, self, batch->frame, batch->codec, err);
    }
    struct zsp_buf *frame = dedup_batch_cut(batch);
    if (!frame) {
        return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    const int rc = give(engine, self, frame, ZSP_CODEC_NONE, err);
    zsp_buf_put(&frame);
    return rc;
}

static void is_known(struct engine *engine, struct id_lookup *lookup, const struct zsp_err *error);

static int look_up(struct engine *engine, struct dedup *self, struct dedup_batch *batch,
                   struct zsp_err *err)
{
    const int64_t window_ms = (int64_t)topic_settings_of(self->partition->topic)->dedup_window_ms;
    batch->lookup.partition = self->partition;
    batch->lookup.ids = batch->ids;
    batch->lookup.count = batch->id_count;
    batch->lookup.keep = true;
    batch->lookup.since_ms = batch->timestamp_ms - window_ms;
    batch->lookup.done_fn = is_known;
    batch->is_at_work = true;
    return id_lookup_start(engine, &batch->lookup, err);
}

/* The setting was taken away meanwhile: it is a batch like all others. */
static int give_as_it_is(struct engine *engine, struct dedup *self, struct zsp_err *err)
{
    struct dedup_batch *const batch = self->first;
    free(batch->prints);
    batch->prints = NULL;
    batch->id_count = 0;
    batch->new_count = batch->count;
    return give(engine, self, batch->frame, batch->codec, err);
}

int dedup_find(struct engine *engine, struct dedup *self, struct dedup_batch *batch,
               struct zsp_err *err)
{
    if (batch->is_at_work && !batch->is_looked_up) {
        return 0;
    }
    if (batch->is_looked_up) {
        *err = batch->error;
        return err->code != 0 ? err->code : 1;
    }
    if (!batch->is_scanned) {
        batch->is_scanned = true;
        batch->new_count = batch->count;
        const int rc = dedup_batch_scan(engine, batch, err);
        if (rc < 0) {
            return rc;
        }
    }
    if (batch->id_count == 0) {
        return 1;
    }
    if (is_on_its_way(self, batch)) {
        return 0; /* dedup_settled() */
    }
    return look_up(engine, self, batch, err);
}

/* Move the first one on: 1 = there is a next one now, 0 = it waits. */
static int step(struct engine *engine, struct dedup *self, struct zsp_err *err)
{
    struct dedup_batch *const batch = self->first;
    if (batch->is_at_work && !batch->is_looked_up) {
        return 0;
    }
    int rc = compare_sequence(engine, self, batch, err);
    if (rc <= 0) {
        return rc < 0 ? rc : 1;
    }
    if (topic_settings_of(self->partition->topic)->dedup_window_ms == 0) {
        rc = give_as_it_is(engine, self, err);
        return rc < 0 ? rc : 1;
    }
    rc = dedup_find(engine, self, batch, err);
    if (rc > 0) {
        rc = batch->id_count == 0 ? give(engine, self, batch->frame, batch->codec, err)
                                  : decide(engine, self, err);
        rc = rc == 0 ? 1 : rc;
    }
    return rc;
}

/* The one to be moved on: the first, or, behind others of the same transaction, which are held, the next
 * of that. NULL = there is none. */
static struct dedup_batch *next_of(const struct dedup *self)
{
    struct dedup_batch *batch = self->first;
    while (batch && batch->is_held) {
        batch = batch->next;
    }
    const bool may_move = batch == self->first || (batch && batch->transaction &&
                                                   batch->transaction == self->first->transaction);
    return may_move ? batch : NULL;
}

static void work(struct engine *engine, struct dedup *self)
{
    struct dedup_batch *batch;
    while (!engine->failed && (batch = next_of(self))) {
        struct zsp_err refusal = {0};
        struct transaction *const transaction = batch->transaction;
        const int rc = transaction ? dedup_step_held(engine, self, batch, &refusal)
                                   : step(engine, self, &refusal);
        if (rc == 0) {
            return;
        }
        if (rc < 0 && transaction) {
            transaction_ids_failed(engine, transaction, &refusal);
        } else if (rc < 0) {
            refuse_first(engine, self, &refusal);
        } else if (transaction) {
            transaction_ids_known(engine, transaction);
        }
    }
}

void dedup_pump(struct engine *engine)
{
    while (engine->dedup_first && !engine->failed) {
        /* What the store has failed must be known before more is given to it. */
        (void)arrivals_take(engine, true);
        struct dedup *const self = engine->dedup_first;
        if (!self || engine->failed) {
            return;
        }
        engine->dedup_first = self->ready_next;
        engine->dedup_last = engine->dedup_first ? engine->dedup_last : NULL;
        self->is_ready = false;
        work(engine, self);
    }
}

/* The lookup of the first one has ended, or of one that is gone. */
static void is_known(struct engine *engine, struct id_lookup *lookup, const struct zsp_err *error)
{
    struct dedup_batch *batch = (struct dedup_batch *)lookup;
    struct dedup *const self = lookup->partition->dedup;
    if (batch->is_gone) {
        struct dedup_batch **at = &self->gone;
        while (*at != batch) {
            at = &(*at)->next;
        }
        *at = batch->next;
        dedup_batch_free(&batch);
        return;
    }
    batch->is_looked_up = true;
    if (error) {
        batch->error = *error;
    }
    dedup_make_ready(engine, self);
}

/* --- Going ------------------------------------------------------------------------------------- */

void dedup_partition_gone(struct engine *engine, struct partition *partition,
                          const struct zsp_err *error)
{
    struct dedup *const self = partition->dedup;
    while (self && self->first) {
        struct transaction *const transaction = self->first->transaction;
        if (transaction) { /* all its batches leave their queues */
            transaction_ids_failed(engine, transaction, error);
            continue;
        }
        struct dedup_batch *const batch = take_first(self);
        struct publish_part *const part = batch->part;
        if (batch->is_at_work && !batch->is_looked_up) {
            batch->is_gone = true; /* the store will answer */
            batch->next = self->gone;
            self->gone = batch;
            part->ids = NULL;
        }
        publish_part_failed(engine, part, error);
    }
}

static void unlist(struct engine *engine, struct dedup *self)
{
    struct dedup *before = NULL;
    for (struct dedup *at = engine->dedup_first; at != self; at = at->ready_next) {
        before = at;
    }
    *(before ? &before->ready_next : &engine->dedup_first) = self->ready_next;
    if (engine->dedup_last == self) {
        engine->dedup_last = before;
    }
}

void dedup_close(struct engine *engine, struct topic *topic)
{
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        struct dedup *const self = topic->partitions[i]->dedup;
        if (!self) {
            continue;
        }
        if (self->is_ready) {
            unlist(engine, self);
        }
        while (self->gone) {
            struct dedup_batch *batch = self->gone;
            self->gone = batch->next;
            dedup_batch_free(&batch);
        }
        id_table_fini(&self->given);
        free(self);
        topic->partitions[i]->dedup = NULL;
    }
}
