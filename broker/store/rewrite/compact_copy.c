/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/rewrite/compact_copy.h"

#include <inttypes.h>
#include <string.h>

#include "common/hash.h"
#include "common/record.h"

#define SPARSE_BYTES_MAX (1u * ZSP_MIB) /* of records that gather; a larger one is alone */
#define SPAN_MAX         (1u << 31)     /* offsets of one batch */

void compact_copy_begin(struct compact_copy *self, const struct compact_rules *rules,
                        const struct batch_place *place, uint64_t base_offset,
                        int64_t max_before_ms)
{
    self->rules = *rules;
    self->place = *place;
    self->place.pos = 0;
    zsp_writer_reset(&self->out);
    index_fini(&self->index);
    memset(&self->index, 0, sizeof self->index);
    self->index.complete = true;
    self->max_ms = max_before_ms;
    self->out_offset = base_offset;
    self->epoch = self->out_epoch = 0;
    self->open = false;
    self->tombstone_ms = 0;
    self->kept = self->removed = 0;
    self->first_kept = UINT64_MAX;
}

static int no_memory(struct zsp_err *err)
{
    return zsp_err_set(err, ZSP_ENOMEM, "compaction: out of memory");
}

/* --- Out ------------------------------------------------------------------------------------- */

/* A batch over [out_offset, end) comes out; `body` is behind the room for its header in `out`. */
static void emit(struct compact_copy *self, struct batch_header *header, size_t start)
{
    struct store_batch *batch = &header->batch;
    if (self->out.failed) {
        return;
    }
    const size_t body_pos = start + BATCH_HEADER_BYTES;
    batch->body = (struct zsp_slice){self->out.data + body_pos, self->out.len - body_pos};
    const uint64_t bytes = batch_bytes(batch->body.len);
    header->body_sum = zsp_hash(batch->body);
    index_note(&self->index,
               &(struct index_entry){batch->first_offset, self->place.pos, self->max_ms});
    batch_encode(self->out.data + start, header, &self->place);
    for (uint64_t i = BATCH_HEADER_BYTES + batch->body.len; i < bytes; i++) {
        zsp_write_u8(&self->out, 0);
    }
    if (batch->timestamp_ms > self->max_ms) {
        self->max_ms = batch->timestamp_ms;
    }
    self->place.pos += bytes;
    self->out_offset += batch->record_count;
    self->out_epoch = header->epoch;
}

/* The batch that gathers is over, and covers all below `end`. */
static void flush(struct compact_copy *self, uint64_t end)
{
    struct batch_header header = {.batch = self->meta, .epoch = self->open_epoch};
    const size_t start = self->out.len;
    const int64_t since =
        self->open_tombstone_ms == COMPACT_UNCOUNTED ? 0 : self->open_tombstone_ms;
    header.batch.first_offset = self->out_offset;
    header.batch.record_count = (uint32_t)(end - self->out_offset);
    (void)zsp_write_room(&self->out, BATCH_HEADER_BYTES);
    sparse_writer_end(&self->sparse, since, &self->out);
    emit(self, &header, start);
    self->open = false;
    if (since != 0 && (self->tombstone_ms == 0 || since < self->tombstone_ms)) {
        self->tombstone_ms = since;
    }
}

static void begin_sparse(struct compact_copy *self, const struct store_batch *meta)
{
    self->meta = (struct store_batch){
        .timestamp_ms = meta->timestamp_ms,
        .not_before_ms = meta->not_before_ms,
        .expires_at_ms = meta->expires_at_ms,
        .priority = meta->priority,
        .codec = BATCH_CODEC_SPARSE,
    };
    self->open = true;
    self->open_epoch = self->epoch;
    self->open_tombstone_ms = 0;
    sparse_writer_begin(&self->sparse, self->out_offset);
}

/* All below `end` is covered: what gathers takes it, or batches that hold nothing. */
static void cover(struct compact_copy *self, const struct store_batch *meta, uint64_t end)
{
    while (self->open || self->out_offset < end) {
        if (!self->open) {
            begin_sparse(self, meta);
        }
        const uint64_t left = end - self->out_offset;
        const uint64_t least = self->sparse.end_offset - self->out_offset;
        const uint64_t most = least > SPAN_MAX ? least : SPAN_MAX;
        flush(self, self->out_offset + (left < most ? left : most));
    }
}

static void note_kept(struct compact_copy *self, uint64_t first_offset, uint32_t count)
{
    self->first_kept = self->kept == 0 ? first_offset : self->first_kept;
    self->kept += count;
}

/* The batch as it is, but for the place. */
static void emit_whole(struct compact_copy *self, const struct batch_header *source)
{
    cover(self, &source->batch, source->batch.first_offset);
    struct batch_header header = *source;
    const size_t start = self->out.len;
    header.synced_to = 0;
    header.batch.producer_id = header.batch.sequence = 0;
    header.batch.producer_epoch = 0;
    (void)zsp_write_room(&self->out, BATCH_HEADER_BYTES);
    zsp_write_bytes(&self->out, source->batch.body);
    emit(self, &header, start);
    note_kept(self, source->batch.first_offset, source->batch.record_count);
}

/* --- Ranges ------------------------------------------------------------------------------------ */

/* The first range that ends behind `offset`; NULL = none. */
static const struct store_range *range_at(const struct compact_rules *rules, uint64_t offset)
{
    size_t first = 0;
    size_t end = rules->kept_count;
    while (first < end) {
        const size_t middle = first + (end - first) / 2;
        if (rules->kept[middle].end_offset <= offset) {
            first = middle + 1;
        } else {
            end = middle;
        }
    }
    return first < rules->kept_count ? &rules->kept[first] : NULL;
}

static bool is_in_range(const struct compact_copy *self, uint64_t offset)
{
    const struct store_range *range = range_at(&self->rules, offset);
    return range && range->first_offset <= offset;
}

static bool is_all_in_range(const struct compact_copy *self, const struct store_batch *batch)
{
    const struct store_range *range = range_at(&self->rules, batch->first_offset);
    return range && range->first_offset <= batch->first_offset &&
           range->end_offset >= batch->first_offset + batch->record_count;
}

bool compact_copy_has_kept(const struct compact_copy *self, uint64_t first, uint64_t end)
{
    const struct store_range *range = range_at(&self->rules, first);
    return range && range->first_offset < end;
}

bool compact_copy_wants(const struct compact_copy *self, const struct store_batch *batch)
{
    return !self->rules.keeps || compact_copy_has_kept(self, batch->first_offset,
                                                       batch->first_offset + batch->record_count);
}

void compact_copy_pass(struct compact_copy *self, const struct batch_header *header)
{
    self->epoch = header->epoch;
    self->removed += header->batch.record_count;
    if (!self->open) {
        self->meta.timestamp_ms = header->batch.timestamp_ms;
    }
}

/* --- Records ---------------------------------------------------------------------------------- */

enum fate { FATE_KEPT, FATE_UNCOUNTED, FATE_TOMBSTONE, FATE_REMOVED };

static enum fate fate_of(const struct compact_copy *self, uint64_t offset, struct zsp_slice record,
                         int64_t tombstone_ms)
{
    struct zsp_slice key, payload;
    if (self->rules.keeps) {
        return is_in_range(self, offset) ? FATE_KEPT : FATE_REMOVED;
    }
    if (zsp_record_key_payload(record, &key, &payload) < 0 || !key.data) {
        return FATE_KEPT;
    }
    if (compact_map_has_newer(self->rules.map, key, offset)) {
        return FATE_REMOVED;
    }
    if (payload.len > 0) {
        return FATE_KEPT;
    }
    if (offset >= self->rules.map_end) {
        return FATE_UNCOUNTED;
    }
    return tombstone_ms != 0 && tombstone_ms <= self->rules.tombstones_before_ms ? FATE_REMOVED
                                                                                 : FATE_TOMBSTONE;
}

static int walk_records(struct zsp_slice records, uint64_t first_offset, uint32_t count,
                        int64_t tombstone_ms,
                        int (*record_fn)(void *arg, uint64_t offset, struct zsp_slice record,
                                         int64_t tombstone_ms),
                        void *arg, struct zsp_err *err)
{
    struct zsp_slice record;
    uint32_t i = 0;
    for (; i < count && zsp_record_next(&records, &record) == 0; i++) {
        const int rc = record_fn(arg, first_offset + i, record, tombstone_ms);
        if (rc != 0) {
            return rc;
        }
    }
    return i == count && records.len == 0
               ? 0
               : zsp_err_set(err, ZSP_ECORRUPT, "the batch of offset %" PRIu64 ": bad records",
                             first_offset);
}

static int unpack(struct compact_copy *self, const struct store_batch *batch, struct zsp_slice *ret,
                  struct zsp_err *err)
{
    if (batch->codec == ZSP_CODEC_NONE) {
        *ret = batch->body;
        return 0;
    }
    if (batch->codec != ZSP_CODEC_ZSTD || batch->raw_bytes == 0 ||
        batch->raw_bytes > ZSP_FRAME_MAX) {
        return zsp_err_set(err, ZSP_ECORRUPT, "the batch of offset %" PRIu64 ": codec %u",
                           batch->first_offset, batch->codec);
    }
    if (!self->unpacker) {
        self->unpacker = zsp_unpacker_new();
    }
    zsp_writer_reset(&self->raw);
    uint8_t *const raw = zsp_write_room(&self->raw, batch->raw_bytes);
    if (!self->unpacker || !raw) {
        return no_memory(err);
    }
    const int rc = zsp_unpack(self->unpacker, batch->body, raw, batch->raw_bytes, err);
    *ret = (struct zsp_slice){raw, batch->raw_bytes};
    return rc < 0 ? ZSP_ECORRUPT : 0;
}

int compact_copy_walk(struct compact_copy *self, const struct store_batch *batch,
                      int (*record_fn)(void *arg, uint64_t offset, struct zsp_slice record,
                                       int64_t tombstone_ms),
                      void *arg, struct zsp_err *err)
{
    if (batch->codec == BATCH_CODEC_LOST) {
        return 0;
    }
    if (batch->codec != BATCH_CODEC_SPARSE) {
        struct zsp_slice records = {0};
        const int rc = unpack(self, batch, &records, err);
        return rc != 0 ? rc
                       : walk_records(records, batch->first_offset, batch->record_count, 0,
                                      record_fn, arg, err);
    }
    struct sparse sparse;
    struct sparse_run run;
    int rc = sparse_open(&sparse, batch, err);
    while (rc == 0 && sparse_next(&sparse, &run)) {
        rc = walk_records(run.records, run.first_offset, run.count, sparse.tombstone_ms, record_fn,
                          arg, err);
    }
    return rc;
}

/* --- One batch -------------------------------------------------------------------------------- */

struct copying {
    struct compact_copy *copy;
    const struct store_batch *batch;
};

static bool fits(const struct compact_copy *self, const struct store_batch *meta, uint64_t offset,
                 size_t bytes, int64_t tombstone_ms)
{
    const struct store_batch *open = &self->meta;
    const size_t gathered = sparse_writer_bytes(&self->sparse);
    return open->timestamp_ms == meta->timestamp_ms && open->priority == meta->priority &&
           open->not_before_ms == meta->not_before_ms &&
           open->expires_at_ms == meta->expires_at_ms && gathered + bytes <= SPARSE_BYTES_MAX &&
           offset - self->out_offset < SPAN_MAX &&
           (tombstone_ms == 0 || self->open_tombstone_ms == 0 ||
            self->open_tombstone_ms == tombstone_ms);
}

static int copy_record(void *arg, uint64_t offset, struct zsp_slice record, int64_t tombstone_ms)
{
    const struct copying *copying = arg;
    struct compact_copy *self = copying->copy;
    const enum fate fate = fate_of(self, offset, record, tombstone_ms);
    if (fate == FATE_REMOVED) {
        self->removed++;
        return 0;
    }
    int64_t since = fate == FATE_UNCOUNTED ? COMPACT_UNCOUNTED : 0;
    if (fate == FATE_TOMBSTONE) {
        since = tombstone_ms != 0 ? tombstone_ms : self->rules.now_ms;
    }
    if (self->open && !fits(self, copying->batch, offset, record.len, since)) {
        cover(self, copying->batch, offset);
    }
    if (!self->open && offset - self->out_offset >= SPAN_MAX) {
        cover(self, copying->batch, offset);
    }
    if (!self->open) {
        begin_sparse(self, copying->batch);
    }
    self->open_epoch = self->epoch;
    self->open_tombstone_ms = since != 0 ? since : self->open_tombstone_ms;
    sparse_writer_add(&self->sparse, offset, record);
    note_kept(self, offset, 1);
    return 0;
}

/* Ends the walk with 1 at a record that does not simply stay. */
static int is_affected(void *arg, uint64_t offset, struct zsp_slice record, int64_t tombstone_ms)
{
    return fate_of(arg, offset, record, tombstone_ms) <= FATE_UNCOUNTED ? 0 : 1;
}

int compact_copy_batch(struct compact_copy *self, const struct batch_header *header,
                       struct zsp_err *err)
{
    const struct store_batch *batch = &header->batch;
    struct copying copying = {self, batch};
    self->epoch = header->epoch;
    int rc = 1;
    if (batch->codec != BATCH_CODEC_SPARSE && batch->codec != BATCH_CODEC_LOST) {
        rc = self->rules.keeps ? !is_all_in_range(self, batch)
                               : compact_copy_walk(self, batch, is_affected, self, err);
    }
    if (rc == 0) {
        emit_whole(self, header);
    } else if (rc == 1) {
        rc = compact_copy_walk(self, batch, copy_record, &copying, err);
    }
    self->meta.timestamp_ms = self->open ? self->meta.timestamp_ms : batch->timestamp_ms;
    if (self->out.failed || sparse_writer_failed(&self->sparse)) {
        return no_memory(err);
    }
    return rc;
}

int compact_copy_end(struct compact_copy *self, uint64_t end_offset, struct zsp_err *err)
{
    const struct store_batch meta = {.timestamp_ms = self->meta.timestamp_ms};
    cover(self, &meta, end_offset);
    return self->out.failed || sparse_writer_failed(&self->sparse) ? no_memory(err) : 0;
}

void compact_copy_fini(struct compact_copy *self)
{
    zsp_writer_fini(&self->out);
    zsp_writer_fini(&self->raw);
    index_fini(&self->index);
    sparse_writer_fini(&self->sparse);
    zsp_unpacker_destroy(&self->unpacker);
    memset(self, 0, sizeof *self);
}
