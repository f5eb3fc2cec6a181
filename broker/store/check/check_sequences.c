/* SPDX-License-Identifier: MPL-2.0 */
#include <stdlib.h>

#include "broker/store/check/check_priv.h"

struct check_producer {
    uint8_t key[8];
    uint64_t next_sequence;
    uint32_t epoch;
};

static struct check_producer *add(struct check_sequences *self, uint64_t id)
{
    struct check_producer *producer = calloc(1, sizeof *producer);
    if (!producer) {
        return NULL;
    }
    zsp_put_u64(producer->key, id);
    const struct zsp_slice key = {producer->key, sizeof producer->key};
    if (zsp_table_add(&self->table, key, producer) < 0) {
        free(producer);
        return NULL;
    }
    return producer;
}

int check_sequences_note(struct check_sequences *self, const struct store_batch *batch,
                         uint64_t *ret_want)
{
    if (batch->producer_id == 0 || batch->sequence == 0) {
        return 0;
    }
    uint8_t bytes[8];
    zsp_put_u64(bytes, batch->producer_id);
    struct check_producer *producer =
        zsp_table_find(&self->table, (struct zsp_slice){bytes, sizeof bytes});
    int rc = 0;
    if (!producer) { /* what came before may be gone by retention */
        if (self->table.count >= CHECK_PRODUCERS_MAX) {
            check_sequences_forget(self);
        }
        producer = add(self, batch->producer_id);
        if (!producer) {
            return ZSP_ENOMEM;
        }
    } else if (batch->sequence < producer->next_sequence ||
               batch->producer_epoch < producer->epoch) { /* a gap: ids that were there already */
        *ret_want = producer->next_sequence;
        rc = 1;
    }
    producer->next_sequence = batch->sequence + batch->record_count;
    producer->epoch = batch->producer_epoch;
    return rc;
}

void check_sequences_forget(struct check_sequences *self)
{
    size_t cursor = 0;
    struct check_producer *producer = zsp_table_next(&self->table, &cursor);
    for (; producer; producer = zsp_table_next(&self->table, &cursor)) {
        free(producer);
    }
    zsp_table_fini(&self->table);
    zsp_table_init(&self->table, 0);
}
