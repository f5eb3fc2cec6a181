/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/plain_body.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/assert.h"
#include "common/codec.h"
#include "common/record.h"
#include "common/wire.h"

/* Where the reading is. */
struct cursor {
    const struct engine_part *parts;
    size_t count, index; /* parts before index are joined or used up */
    struct zsp_writer joined;
    size_t pos; /* in joined */
};

static bool complain(struct plain_complaint *ret, const char *format, ...) ZSP_PRINTF(2, 3);

static bool complain(struct plain_complaint *ret, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): the line above starts it */
    (void)vsnprintf(ret->text, sizeof ret->text, format, args);
    va_end(args);
    return false;
}

static struct zsp_slice bytes_of(const struct engine_part *part)
{
    return (struct zsp_slice){part->buf->data + part->pos, part->len};
}

/* Copy `count` records of `body` behind the first `skip`; what is behind them to *ret_rest. */
static bool copy_records(struct zsp_slice body, uint64_t skip, uint64_t count,
                         struct zsp_writer *out, struct zsp_slice *ret_rest)
{
    struct zsp_slice record;
    for (uint64_t i = 0; i < skip + count; i++) {
        if (zsp_record_next(&body, &record) != 0) {
            return false;
        }
        if (i >= skip) {
            zsp_write_bytes(out, record);
        }
    }
    *ret_rest = body;
    return true;
}

static bool read_packed(struct cursor *self, const struct wire_run *run, struct zsp_writer *out,
                        struct plain_complaint *why)
{
    if (self->pos < self->joined.len) {
        return complain(why, "%zu bytes before a compressed run", self->joined.len - self->pos);
    }
    if (self->index == self->count || !self->parts[self->index].is_whole) {
        return complain(why, "no frame of its own for a compressed run");
    }
    struct zsp_unpacker *unpacker = zsp_unpacker_new();
    uint8_t *raw = malloc(run->raw_bytes);
    struct zsp_err err = {0};
    struct zsp_slice rest;
    zsp_assert(unpacker && raw);
    bool good =
        zsp_unpack(unpacker, bytes_of(&self->parts[self->index++]), raw, run->raw_bytes, &err) == 0;
    if (!good) {
        (void)complain(why, "a compressed run: %s", err.msg);
    } else if (!copy_records((struct zsp_slice){raw, run->raw_bytes}, run->skip, run->count, out,
                             &rest)) {
        good = complain(why, "a compressed run holds too few records");
    }
    free(raw);
    zsp_unpacker_destroy(&unpacker);
    return good;
}

static bool read_plain(struct cursor *self, const struct wire_run *run, struct zsp_writer *out,
                       struct plain_complaint *why)
{
    while (self->index < self->count && !self->parts[self->index].is_whole) {
        zsp_write_bytes(&self->joined, bytes_of(&self->parts[self->index++]));
    }
    const struct zsp_slice body = {self->joined.data ? self->joined.data + self->pos : NULL,
                                   self->joined.len - self->pos};
    struct zsp_slice rest;
    if (run->skip != 0 || !copy_records(body, 0, run->count, out, &rest)) {
        return complain(why, "a run of %llu records finds fewer", (unsigned long long)run->count);
    }
    self->pos = self->joined.len - rest.len;
    return true;
}

bool plain_body(const msgpack_object *runs, const struct engine_part *parts, size_t part_count,
                struct zsp_writer *out, size_t *ret_packed, struct plain_complaint *ret)
{
    struct cursor cursor = {.parts = parts, .count = part_count};
    bool good = true;
    *ret_packed = 0;
    for (uint32_t i = 0; i < runs->via.array.size && good; i++) {
        struct wire_run run;
        struct zsp_err err = {0};
        if (wire_run_decode(&runs->via.array.ptr[i], &run, &err) != 0) {
            good = complain(ret, "run %u: %.100s", i, err.msg);
        } else if (run.raw_bytes > 0) {
            good = read_packed(&cursor, &run, out, ret);
            *ret_packed += 1;
        } else {
            good = read_plain(&cursor, &run, out, ret);
        }
    }
    if (good && (cursor.pos < cursor.joined.len || cursor.index < part_count)) {
        good = complain(ret, "bytes behind the last run");
    }
    zsp_writer_fini(&cursor.joined);
    return good;
}

struct zsp_buf *plain_pack(struct zsp_slice raw)
{
    struct zsp_packer *packer = zsp_packer_new(ZSP_CODEC_LEVEL_DEFAULT);
    const size_t capacity = raw.len + 1024;
    uint8_t *bytes = malloc(capacity);
    zsp_assert(packer && bytes);
    const int64_t len = zsp_pack(packer, raw, bytes, capacity);
    zsp_assert(len > 0);
    struct zsp_buf *packed = zsp_buf_copy((struct zsp_slice){bytes, (size_t)len});
    zsp_assert(packed);
    free(bytes);
    zsp_packer_destroy(&packer);
    return packed;
}
