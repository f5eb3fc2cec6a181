/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/batch/batch_walk.h"

#include <inttypes.h>

#include "common/codec.h"

#define HEADER_BYTES 64u /* a header that a filter looks at is as much work as so many bytes */

void batch_walk_begin(struct batch_walk *self, const struct store_batch *batch)
{
    *self = (struct batch_walk){.batch = batch, .left = *batch};
}

void batch_walk_end(struct batch_walk *self)
{
    zsp_buf_put(&self->raw);
    *self = (struct batch_walk){0};
}

static bool is_packed(const struct batch_walk *self)
{
    return self->batch->codec != ZSP_CODEC_NONE;
}

static uint64_t end_of(const struct store_batch *batch)
{
    return batch->first_offset + batch->record_count;
}

/* The frame as it is stored, for the records of `slice`. */
static void send_packed(const struct batch_walk *self, struct batch_piece *ret)
{
    const struct store_batch *const batch = self->batch;
    ret->part = (struct engine_part){.buf = batch->frame,
                                     .pos = (size_t)(batch->body.data - batch->frame->data),
                                     .len = batch->body.len,
                                     .is_whole = true};
    ret->raw_bytes = batch->raw_bytes;
    ret->skip = (uint32_t)(ret->slice.first_offset - batch->first_offset);
}

/* Try it without unpacking. True = *ret is filled: with all of the batch, or with nothing, for it
 * is left for the next reply. */
static bool take_packed(const struct batch_walk *self, const struct batch_reader *reader,
                        struct store_range range, const struct batch_limits *limits,
                        struct batch_piece *ret)
{
    const struct store_batch *const batch = self->batch;
    if (!reader->accepts_zstd || batch->codec != ZSP_CODEC_ZSTD ||
        range.first_offset > batch->first_offset) {
        return false;
    }
    const bool is_wanted = range.end_offset >= end_of(batch);
    const bool fits =
        batch->record_count <= limits->max_messages && batch->raw_bytes <= limits->max_bytes;
    ret->slice = (struct batch_slice){.first_offset = batch->first_offset};
    if (is_wanted && fits && batch->body.len < batch->raw_bytes) {
        ret->slice.count = batch->record_count;
        ret->slice.len = batch->raw_bytes;
        send_packed(self, ret);
        return true;
    }
    ret->slice.is_cut = true;
    return is_wanted ? !fits && !limits->first_fits : reader->may_leave;
}

static int unpack_left(struct batch_walk *self, const struct batch_reader *reader,
                       struct zsp_err *err)
{
    const int rc = unpack_stored(reader->unpack, reader->partition, self->batch, &self->raw, err);
    if (rc == 0) {
        self->left.frame = self->raw;
        self->left.body = (struct zsp_slice){self->raw->data, self->raw->len};
    }
    return rc;
}

/* What is behind a slice, so that records are walked over once. */
static void skip_slice(struct store_batch *left, const struct batch_slice *slice)
{
    const uint64_t next = slice->first_offset + slice->count;
    const uint8_t *const pos = left->frame->data + slice->pos + slice->len;
    left->record_count -= (uint32_t)(next - left->first_offset);
    left->first_offset = next;
    left->body.len -= (size_t)(pos - left->body.data);
    left->body.data = pos;
}

static bool worth_packed(const struct batch_walk *self, const struct batch_reader *reader,
                         const struct batch_slice *slice)
{
    return is_packed(self) && reader->accepts_zstd &&
           slice->len >= self->batch->raw_bytes - slice->len && self->batch->body.len <= slice->len;
}

static int is_no_record(const struct batch_walk *self, struct zsp_err *err)
{
    return zsp_err_set(err, ZSP_ECORRUPT, "batch at offset %" PRIu64 ": its body holds no records",
                       self->batch->first_offset);
}

/* What is left begins at `rest` now, with the message at `offset`. */
static void pass(struct batch_walk *self, uint64_t offset, struct zsp_slice rest)
{
    self->left.record_count -= (uint32_t)(offset - self->left.first_offset);
    self->left.first_offset = offset;
    self->left.body = rest;
}

int batch_walk_choose(struct batch_walk *self, const struct batch_reader *reader,
                      struct store_range range, const struct batch_chooser *chooser,
                      bool *ret_wanted, uint64_t *ret_end, struct zsp_err *err)
{
    int rc = is_packed(self) && !self->raw ? unpack_left(self, reader, err) : 0;
    uint64_t offset = self->left.first_offset;
    struct zsp_slice rest = self->left.body;
    struct zsp_slice skipped;
    while (rc == 0 && offset < range.first_offset) {
        rc = zsp_record_next(&rest, &skipped) == 0 ? 0 : is_no_record(self, err);
        offset++;
    }
    if (rc != 0) {
        return rc;
    }
    pass(self, offset, rest);
    const uint64_t end =
        range.end_offset < end_of(self->batch) ? range.end_offset : end_of(self->batch);
    bool wanted = false;
    uint64_t headers = 0;
    while (offset < end) {
        struct zsp_record record;
        struct zsp_slice next = rest;
        if (zsp_record_look(&next, &record) != 0) {
            return is_no_record(self, err);
        }
        const bool wants = chooser->wants_fn(chooser->arg, &record);
        headers += record.header_count;
        if (offset > range.first_offset && wants != wanted) {
            break;
        }
        wanted = wants;
        rest = next;
        offset++;
    }
    reader->unpack->walked_bytes +=
        (uint64_t)(rest.data - self->left.body.data) + headers * HEADER_BYTES;
    if (!wanted) {
        pass(self, offset, rest);
    }
    *ret_wanted = wanted;
    *ret_end = offset;
    return 0;
}

int batch_walk_take(struct batch_walk *self, const struct batch_reader *reader,
                    struct store_range range, const struct batch_limits *limits,
                    struct batch_piece *ret, struct zsp_err *err)
{
    struct batch_piece piece = {0};
    int rc = 0;
    if (is_packed(self) && !self->raw) {
        if (take_packed(self, reader, range, limits, &piece)) {
            self->left.first_offset += piece.slice.count;
            self->left.record_count -= (uint32_t)piece.slice.count;
            *ret = piece;
            return 0;
        }
        rc = unpack_left(self, reader, err);
    }
    if (rc == 0) {
        rc = batch_slice(&self->left, range, limits, &piece.slice, err);
    }
    if (rc != 0) {
        return rc;
    }
    reader->unpack->walked_bytes += piece.slice.walked;
    if (piece.slice.count > 0) {
        piece.part = (struct engine_part){
            .buf = self->left.frame, .pos = piece.slice.pos, .len = piece.slice.len};
        if (worth_packed(self, reader, &piece.slice)) {
            send_packed(self, &piece);
        }
        skip_slice(&self->left, &piece.slice);
    }
    *ret = piece;
    return 0;
}
