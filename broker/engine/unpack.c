/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/unpack.h"

#include <inttypes.h>
#include <stdlib.h>

#include "broker/engine/topic/topic.h"

void unpack_fini(struct unpack *self)
{
    for (size_t i = 0; i < UNPACK_KEPT; i++) {
        zsp_buf_put(&self->kept[i].raw);
    }
    free(self->scratch);
    zsp_unpacker_destroy(&self->unpacker);
    *self = (struct unpack){0};
}

static int run(struct unpack *self, struct zsp_slice packed, uint8_t *out, size_t raw_bytes,
               struct zsp_err *err)
{
    if (!self->unpacker) {
        self->unpacker = zsp_unpacker_new();
    }
    if (!self->unpacker) {
        return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    self->done_bytes += raw_bytes;
    return zsp_unpack(self->unpacker, packed, out, raw_bytes, err);
}

int unpack_received(struct unpack *self, struct zsp_slice packed, uint32_t raw_bytes,
                    struct zsp_slice *ret, struct zsp_err *err)
{
    if (raw_bytes > self->scratch_bytes) {
        uint8_t *const grown = realloc(self->scratch, raw_bytes);
        if (!grown) {
            return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
        }
        self->scratch = grown;
        self->scratch_bytes = raw_bytes;
    }
    const int rc = run(self, packed, self->scratch, raw_bytes, err);
    if (rc == 0) {
        *ret = (struct zsp_slice){self->scratch, raw_bytes};
    }
    return rc;
}

/* --- Kept ----------------------------------------------------------------------------- */

static struct unpacked *find(struct unpack *self, const struct partition *partition,
                             uint64_t first_offset)
{
    for (size_t i = 0; i < UNPACK_KEPT; i++) {
        struct unpacked *const item = &self->kept[i];
        if (item->raw && item->first_offset == first_offset &&
            item->topic_id == partition->topic->id && item->partition == partition->index) {
            return item;
        }
    }
    return NULL;
}

static void forget_oldest(struct unpack *self)
{
    struct unpacked *oldest = NULL;
    for (size_t i = 0; i < UNPACK_KEPT; i++) {
        struct unpacked *const item = &self->kept[i];
        if (item->raw && (!oldest || item->used < oldest->used)) {
            oldest = item;
        }
    }
    if (oldest) {
        zsp_buf_put(&oldest->raw);
    }
}

/* A free place for one more; those not wanted for longest go. */
static struct unpacked *place_for(struct unpack *self, size_t raw_bytes)
{
    for (;;) {
        struct unpacked *empty = NULL;
        size_t bytes = 0;
        for (size_t i = 0; i < UNPACK_KEPT; i++) {
            struct unpacked *const item = &self->kept[i];
            bytes += item->raw ? item->raw->len : 0;
            empty = item->raw ? empty : item;
        }
        if (empty && bytes <= UNPACK_KEPT_BYTES - raw_bytes) {
            return empty;
        }
        forget_oldest(self);
    }
}

/* NULL: `err` tells. */
static struct zsp_buf *unpack(struct unpack *self, const struct store_batch *batch,
                              struct zsp_err *err)
{
    if (batch->codec != ZSP_CODEC_ZSTD) {
        zsp_err_set(err, ZSP_ECORRUPT, "codec %u is not known", batch->codec);
        return NULL;
    }
    if (batch->raw_bytes == 0 || batch->raw_bytes > ZSP_FRAME_MAX) {
        zsp_err_set(err, ZSP_ECORRUPT, "its records are %" PRIu32 " bytes, at most %u",
                    batch->raw_bytes, ZSP_FRAME_MAX);
        return NULL;
    }
    struct zsp_buf *raw = zsp_buf_new(batch->raw_bytes);
    if (!raw) {
        zsp_err_set(err, ZSP_ENOMEM, "out of memory");
        return NULL;
    }
    if (run(self, batch->body, zsp_buf_bytes(raw), raw->len, err) != 0) {
        err->code = err->code == ZSP_EBAD_RECORD ? ZSP_ECORRUPT : err->code;
        zsp_buf_put(&raw);
    }
    return raw;
}

int unpack_stored(struct unpack *self, const struct partition *partition,
                  const struct store_batch *batch, struct zsp_buf **ret, struct zsp_err *err)
{
    struct unpacked *item = find(self, partition, batch->first_offset);
    if (!item) {
        struct zsp_err why = {0};
        struct zsp_buf *const raw = unpack(self, batch, &why);
        if (!raw) {
            return zsp_err_set(
                err, why.code, "%s: partition %" PRIu32 ": the batch at offset %" PRIu64 ": %s",
                partition->topic->object, partition->index, batch->first_offset, why.msg);
        }
        item = place_for(self, raw->len);
        *item = (struct unpacked){.topic_id = partition->topic->id,
                                  .first_offset = batch->first_offset,
                                  .partition = partition->index,
                                  .raw = raw};
    }
    item->used = ++self->uses;
    *ret = zsp_buf_get(item->raw);
    return 0;
}
