/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/index/batch_ids.h"

#include <stdlib.h>
#include <string.h>

#include "broker/store/index/id_table.h"
#include "common/codec.h"
#include "common/limits.h"
#include "common/record.h"

/* Returns 0 with the records, 1 when there are none to be seen. Errors: ZSP_ENOMEM */
static int unpack(struct batch_ids *self, const struct store_batch *batch, struct zsp_slice *ret)
{
    if (batch->codec == ZSP_CODEC_NONE) {
        *ret = batch->body;
        return 0;
    }
    if (batch->codec != ZSP_CODEC_ZSTD || batch->raw_bytes == 0 ||
        batch->raw_bytes > ZSP_FRAME_MAX) {
        return 1;
    }
    if (!self->unpacker) {
        self->unpacker = zsp_unpacker_new();
    }
    if (self->raw_capacity < batch->raw_bytes) {
        free(self->raw);
        self->raw = malloc(batch->raw_bytes);
        self->raw_capacity = self->raw ? batch->raw_bytes : 0;
    }
    if (!self->unpacker || !self->raw) {
        return ZSP_ENOMEM;
    }
    *ret = (struct zsp_slice){self->raw, batch->raw_bytes};
    return zsp_unpack(self->unpacker, batch->body, self->raw, batch->raw_bytes, NULL) == 0 ? 0 : 1;
}

int batch_ids_walk(struct batch_ids *self, const struct store_batch *batch,
                   int (*id_fn)(void *arg, uint64_t print, uint64_t offset), void *arg)
{
    struct zsp_slice rest;
    int rc = unpack(self, batch, &rest);
    if (rc != 0) {
        return rc > 0 ? 0 : rc;
    }
    struct zsp_slice record, id;
    for (uint32_t i = 0; i < batch->record_count && rc == 0; i++) {
        if (zsp_record_next_id(&rest, &record, &id) != 0) {
            break;
        }
        if (id.data) {
            rc = id_fn(arg, id_fingerprint(id), batch->first_offset + i);
        }
    }
    return rc;
}

void batch_ids_fini(struct batch_ids *self)
{
    zsp_unpacker_destroy(&self->unpacker);
    free(self->raw);
    memset(self, 0, sizeof *self);
}
