/* SPDX-License-Identifier: MPL-2.0
 *
 * Ids of commits. What a transaction publishes to topics that look at ids stands in the queues of its
 * partitions like other batches, in all of them at once, so that two transactions never wait for each
 * other. Once decided it stays in front until the transaction is over: nothing gets between what was
 * found and what is appended.
 */
#include <stdlib.h>

#include "broker/engine/commit/transaction.h"
#include "broker/engine/publish/dedup_batch.h"

int dedup_add_part(struct engine *engine, struct transaction *transaction, uint32_t index,
                   struct zsp_err *err)
{
    struct transaction_part *const part = &transaction->parts[index];
    const bool is_packed = part->frame == part->publish->records.frame &&
                           part->publish->records.codec != ZSP_CODEC_NONE;
    struct dedup_batch *const batch =
        dedup_enqueue(engine, part->partition, part->frame,
                      is_packed ? part->publish->records.codec : ZSP_CODEC_NONE);
    if (!batch) {
        return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    batch->transaction = transaction;
    batch->part_index = index;
    batch->raw_bytes = part->publish->records.raw_bytes;
    batch->timestamp_ms = transaction->timestamp_ms;
    batch->count = part->count;
    part->ids = batch;
    return 0;
}

/* Has another batch of the transaction, held before it, one of its new ids? */
static int check_others(const struct dedup *self, const struct dedup_batch *batch,
                        struct zsp_err *err)
{
    struct id_table seen = {0};
    int rc = 0;
    for (const struct dedup_batch *other = self->first; other != batch && rc == 0;
         other = other->next) {
        for (uint32_t i = 0; i < other->id_count && rc == 0; i++) {
            rc = id_table_add(&seen, other->prints[i], 0);
        }
    }
    if (rc != 0) {
        (void)zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    for (uint32_t i = 0; i < batch->id_count && rc == 0; i++) {
        if (id_table_has(&seen, batch->prints[i])) {
            rc = zsp_err_set(err, ZSP_EBAD_VALUE,
                             "%s: two publishes of the commit have messages of one id",
                             self->partition->topic->object);
            zsp_err_detail(err, self->partition->topic->object, NULL, NULL);
        }
    }
    id_table_fini(&seen);
    return rc;
}

/* What is new of it takes the place of the part's frame. */
static int cut(struct engine *engine, struct dedup_batch *batch, struct zsp_err *err)
{
    struct transaction_part *const part = &batch->transaction->parts[batch->part_index];
    if (batch->id_count == 0) {
        return 0;
    }
    if (dedup_batch_judge(batch) != 0) {
        return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    engine->stats.duplicate_messages += batch->count - batch->new_count;
    if (batch->new_count == batch->count) {
        return 0;
    }
    part->count = batch->new_count;
    struct zsp_buf *frame = batch->new_count > 0 ? dedup_batch_cut(batch) : NULL;
    if (batch->new_count > 0 && !frame) {
        return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    zsp_buf_put(&part->frame);
    part->frame = frame;
    part->len = frame ? frame->len : 0;
    return 0;
}

int dedup_step_held(struct engine *engine, struct dedup *self, struct dedup_batch *batch,
                    struct zsp_err *err)
{
    const bool is_asking = batch->is_at_work && !batch->is_looked_up;
    int rc = 0;
    if (!is_asking && topic_settings_of(self->partition->topic)->dedup_window_ms == 0) {
        batch->id_count = 0; /* the setting was taken away meanwhile */
        rc = 1;
    } else {
        rc = dedup_find(engine, self, batch, err);
    }
    if (rc > 0) {
        rc = check_others(self, batch, err);
        if (rc == 0) {
            rc = cut(engine, batch, err);
        }
        batch->is_held = rc == 0;
        rc = rc == 0 ? 1 : rc;
    }
    return rc;
}

void dedup_release(struct engine *engine, struct transaction *transaction)
{
    for (uint32_t i = 0; i < transaction->part_count; i++) {
        struct transaction_part *const part = &transaction->parts[i];
        if (part->ids) {
            dedup_discard(engine, part->partition->dedup, part->ids);
            part->ids = NULL;
        }
    }
}

uint32_t dedup_part_rows(struct zsp_writer *out, const struct transaction_part *part,
                         uint32_t index, uint32_t count, uint32_t *rows_left)
{
    const struct dedup_place place = {part->partition->index, part->first_offset};
    return dedup_batch_rows(out, part->ids, place, index, count, rows_left);
}

void dedup_part_rewind(const struct transaction_part *part)
{
    part->ids->told = 0;
}
