/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/store.h"

#include <stdlib.h>
#include <string.h>

#include "broker/store/index/id_table.h"

uint64_t store_id_print(struct zsp_slice id)
{
    return id_fingerprint(id);
}

void store_completion_release(struct store_completion *self)
{
    for (uint32_t i = 0; i < self->batch_count; i++) {
        zsp_buf_put(&self->batches[i].frame);
    }
    free(self->batches);
    free(self->hits);
    free(self->terms);
    zsp_buf_put(&self->key_buf);
    memset(self, 0, sizeof *self);
}
