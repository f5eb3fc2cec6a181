/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/file/batch.h"

#include <inttypes.h>
#include <string.h>

#include "common/assert.h"
#include "common/hash.h"

#define BATCH_VERSION 1u
#define BINDING_BYTES 48u

static const uint8_t magic[4] = {'Z', 'S', 'P', 'B'};

uint64_t batch_bytes(uint64_t body_bytes)
{
    const uint64_t bytes = BATCH_HEADER_BYTES + body_bytes;
    return (bytes + BATCH_ALIGN - 1) / BATCH_ALIGN * BATCH_ALIGN;
}

static uint64_t binding(const struct batch_place *place)
{
    uint8_t bytes[BINDING_BYTES];
    memcpy(bytes, place->uuid, STORE_UUID_BYTES);
    zsp_put_u64(bytes + 16, place->topic_id);
    zsp_put_u32(bytes + 24, place->partition);
    zsp_put_u32(bytes + 28, place->generation);
    zsp_put_u64(bytes + 32, place->segment);
    zsp_put_u64(bytes + 40, place->pos);
    return zsp_hash((struct zsp_slice){bytes, sizeof bytes});
}

uint64_t batch_segment_binding(const struct batch_place *place)
{
    struct batch_place first = *place;
    first.pos = 0;
    return binding(&first);
}

static uint64_t header_sum(const uint8_t *bytes, const struct batch_place *place)
{
    return zsp_hash_seeded((struct zsp_slice){bytes, BATCH_HEADER_BYTES - 8}, binding(place));
}

void batch_encode(uint8_t out[BATCH_HEADER_BYTES], const struct batch_header *header,
                  const struct batch_place *place)
{
    const struct store_batch *batch = &header->batch;
    zsp_assert(batch->body.len > 0 && batch->body.len <= ZSP_FRAME_MAX);
    zsp_assert(batch->record_count > 0);
    memcpy(out, magic, sizeof magic);
    out[4] = BATCH_VERSION;
    out[5] = batch->codec;
    out[6] = batch->priority;
    out[7] = 0;
    zsp_put_u32(out + 8, BATCH_HEADER_BYTES);
    zsp_put_u32(out + 12, (uint32_t)batch->body.len);
    zsp_put_u32(out + 16, batch->record_count);
    zsp_put_u32(out + 20, batch->raw_bytes);
    zsp_put_u64(out + 24, batch->first_offset);
    zsp_put_u64(out + 32, (uint64_t)batch->timestamp_ms);
    zsp_put_u64(out + 40, batch->producer_id);
    zsp_put_u32(out + 48, batch->producer_epoch);
    zsp_put_u32(out + 52, 0);
    zsp_put_u64(out + 56, batch->sequence);
    zsp_put_u64(out + 64, (uint64_t)batch->not_before_ms);
    zsp_put_u64(out + 72, (uint64_t)batch->expires_at_ms);
    zsp_put_u64(out + 80, header->synced_to);
    zsp_put_u64(out + 88, header->epoch);
    zsp_put_u64(out + 96, header->body_sum);
    zsp_put_u64(out + 104, header_sum(out, place));
}

bool batch_has_magic(const uint8_t *bytes)
{
    return memcmp(bytes, magic, sizeof magic) == 0;
}

bool batch_body_valid(const struct batch_header *header, struct zsp_slice body)
{
    return body.len == header->batch.body.len && zsp_hash(body) == header->body_sum;
}

static void read_fields(const uint8_t *bytes, struct batch_header *header)
{
    memset(header, 0, sizeof *header);
    struct store_batch *batch = &header->batch;
    batch->codec = bytes[5];
    batch->priority = bytes[6];
    batch->body.len = zsp_get_u32(bytes + 12);
    batch->record_count = zsp_get_u32(bytes + 16);
    batch->raw_bytes = zsp_get_u32(bytes + 20);
    batch->first_offset = zsp_get_u64(bytes + 24);
    batch->timestamp_ms = (int64_t)zsp_get_u64(bytes + 32);
    batch->producer_id = zsp_get_u64(bytes + 40);
    batch->producer_epoch = zsp_get_u32(bytes + 48);
    batch->sequence = zsp_get_u64(bytes + 56);
    batch->not_before_ms = (int64_t)zsp_get_u64(bytes + 64);
    batch->expires_at_ms = (int64_t)zsp_get_u64(bytes + 72);
    header->synced_to = zsp_get_u64(bytes + 80);
    header->epoch = zsp_get_u64(bytes + 88);
    header->body_sum = zsp_get_u64(bytes + 96);
}

/* Everything but the magic and the sum. */
static int decode_fields(const uint8_t bytes[BATCH_HEADER_BYTES], uint64_t pos,
                         struct batch_header *ret, struct zsp_err *err)
{
    if (bytes[4] != BATCH_VERSION || zsp_get_u32(bytes + 8) != BATCH_HEADER_BYTES) {
        return zsp_err_set(err, ZSP_ECORRUPT, "pos %" PRIu64 ": batch of version %u", pos,
                           bytes[4]);
    }
    struct batch_header header;
    read_fields(bytes, &header);
    const struct store_batch *batch = &header.batch;
    if (batch->body.len == 0 || batch->body.len > ZSP_FRAME_MAX || batch->record_count == 0 ||
        batch->first_offset > UINT64_MAX - batch->record_count) {
        return zsp_err_set(err, ZSP_ECORRUPT,
                           "pos %" PRIu64 ": %zu body bytes, %" PRIu32
                           " records from offset %" PRIu64,
                           pos, batch->body.len, batch->record_count, batch->first_offset);
    }
    *ret = header;
    return 0;
}

int batch_decode(const uint8_t bytes[BATCH_HEADER_BYTES], const struct batch_place *place,
                 struct batch_header *ret, struct zsp_err *err)
{
    if (!batch_has_magic(bytes)) {
        return zsp_err_set(err, ZSP_ECORRUPT, "pos %" PRIu64 ": no batch begins here", place->pos);
    }
    const uint64_t sum = header_sum(bytes, place);
    if (sum != zsp_get_u64(bytes + 104)) {
        return zsp_err_set(err, ZSP_ECORRUPT,
                           "pos %" PRIu64 ": header sum 0x%" PRIx64 " != 0x%" PRIx64, place->pos,
                           sum, zsp_get_u64(bytes + 104));
    }
    return decode_fields(bytes, place->pos, ret, err);
}

int batch_decode_unbound(const uint8_t bytes[BATCH_HEADER_BYTES], struct batch_header *ret,
                         struct zsp_err *err)
{
    if (!batch_has_magic(bytes)) {
        return zsp_err_set(err, ZSP_ECORRUPT, "no batch begins here");
    }
    return decode_fields(bytes, 0, ret, err);
}
