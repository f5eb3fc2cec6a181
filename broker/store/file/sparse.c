/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/file/sparse.h"

#include <inttypes.h>

#include "common/assert.h"

static int bad(const struct store_batch *batch, const char *what, struct zsp_err *err)
{
    return zsp_err_set(err, ZSP_ECORRUPT, "the sparse batch of offset %" PRIu64 ": %s",
                       batch->first_offset, what);
}

int sparse_open(struct sparse *self, const struct store_batch *batch, struct zsp_err *err)
{
    const struct zsp_slice body = batch->body;
    if (body.len < SPARSE_HEADER_BYTES) {
        return bad(batch, "its body is too short", err);
    }
    const uint32_t count = zsp_get_u32(body.data);
    if (count > (body.len - SPARSE_HEADER_BYTES) / SPARSE_RUN_BYTES) {
        return bad(batch, "it has more runs than bytes", err);
    }
    const uint8_t *const runs = body.data + SPARSE_HEADER_BYTES;
    size_t left = body.len - SPARSE_HEADER_BYTES - (size_t)count * SPARSE_RUN_BYTES;
    uint64_t next = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *const run = runs + (size_t)i * SPARSE_RUN_BYTES;
        const uint64_t first = zsp_get_u32(run);
        const uint64_t records = zsp_get_u32(run + 4);
        const uint32_t bytes = zsp_get_u32(run + 8);
        if (first < next || records == 0 || first + records > batch->record_count || bytes > left ||
            bytes == 0) {
            return bad(batch, "its runs do not hold together", err);
        }
        next = first + records;
        left -= bytes;
    }
    if (left != 0) {
        return bad(batch, "it has bytes behind its records", err);
    }
    *self = (struct sparse){
        .first_offset = batch->first_offset,
        .tombstone_ms = (int64_t)zsp_get_u64(body.data + 8),
        .run_count = count,
        .runs = runs,
        .records = runs + (size_t)count * SPARSE_RUN_BYTES,
    };
    return 0;
}

bool sparse_next(struct sparse *self, struct sparse_run *ret)
{
    if (self->next == self->run_count) {
        return false;
    }
    const uint8_t *const run = self->runs + (size_t)self->next * SPARSE_RUN_BYTES;
    const uint32_t bytes = zsp_get_u32(run + 8);
    *ret = (struct sparse_run){
        .first_offset = self->first_offset + zsp_get_u32(run),
        .count = zsp_get_u32(run + 4),
        .records = {self->records, bytes},
    };
    self->records += bytes;
    self->next++;
    return true;
}

struct store_batch sparse_batch(const struct store_batch *batch, const struct sparse_run *run)
{
    struct store_batch part = *batch;
    part.codec = 0;
    part.raw_bytes = 0;
    part.first_offset = run->first_offset;
    part.record_count = run->count;
    part.body = run->records;
    return part;
}

/* --- Making one ------------------------------------------------------------------------------ */

void sparse_writer_begin(struct sparse_writer *self, uint64_t first_offset)
{
    zsp_writer_reset(&self->runs);
    zsp_writer_reset(&self->records);
    self->run_count = self->run_records = 0;
    self->run_bytes = 0;
    self->first_offset = self->end_offset = first_offset;
}

static void end_run(struct sparse_writer *self)
{
    if (self->run_records == 0) {
        return;
    }
    const uint64_t first = self->end_offset - self->run_records - self->first_offset;
    zsp_assert(first <= UINT32_MAX);
    zsp_write_u32(&self->runs, (uint32_t)first);
    zsp_write_u32(&self->runs, self->run_records);
    zsp_write_u32(&self->runs, (uint32_t)self->run_bytes);
    self->run_count++;
    self->run_records = 0;
    self->run_bytes = 0;
}

void sparse_writer_add(struct sparse_writer *self, uint64_t offset, struct zsp_slice record)
{
    zsp_assert(offset >= self->end_offset);
    if (offset != self->end_offset) {
        end_run(self);
    }
    zsp_write_bytes(&self->records, record);
    self->run_records++;
    self->run_bytes += record.len;
    self->end_offset = offset + 1;
}

size_t sparse_writer_bytes(const struct sparse_writer *self)
{
    return SPARSE_HEADER_BYTES + self->runs.len + SPARSE_RUN_BYTES + self->records.len;
}

bool sparse_writer_failed(const struct sparse_writer *self)
{
    return self->runs.failed || self->records.failed;
}

void sparse_writer_end(struct sparse_writer *self, int64_t tombstone_ms, struct zsp_writer *out)
{
    end_run(self);
    zsp_write_u32(out, self->run_count);
    zsp_write_u32(out, 0);
    zsp_write_u64(out, (uint64_t)tombstone_ms);
    zsp_write_bytes(out, zsp_writer_slice(&self->runs));
    zsp_write_bytes(out, zsp_writer_slice(&self->records));
}

void sparse_writer_fini(struct sparse_writer *self)
{
    zsp_writer_fini(&self->runs);
    zsp_writer_fini(&self->records);
}
