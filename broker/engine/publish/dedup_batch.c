/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/publish/dedup_batch.h"

#include <stdlib.h>
#include <string.h>

#include "common/assert.h"
#include "common/record.h"

/* --- Ids --------------------------------------------------------------------------------- */

static struct zsp_slice records_of(const struct dedup_batch *self)
{
    const struct zsp_buf *const buf = self->raw ? self->raw : self->frame;
    return (struct zsp_slice){buf->data, buf->len};
}

static int unpack(struct engine *engine, struct dedup_batch *self, struct zsp_err *err)
{
    const struct zsp_slice packed = {self->frame->data, self->frame->len};
    struct zsp_slice body;
    if (self->codec == ZSP_CODEC_NONE) {
        return 0;
    }
    const int rc = unpack_received(&engine->unpack, packed, self->raw_bytes, &body, err);
    if (rc == 0) {
        self->raw = zsp_buf_copy(body);
    }
    return rc != 0 || self->raw ? rc : zsp_err_set(err, ZSP_ENOMEM, "out of memory");
}

/* How many records have an id? */
static uint32_t count_ids(struct zsp_slice rest)
{
    struct zsp_slice record, id;
    uint32_t count = 0;
    while (zsp_record_next_id(&rest, &record, &id) == 0) {
        count += id.data ? 1u : 0u;
    }
    return count;
}

/* The id + 1 of those before it that is the same; 0 = none. */
static uint32_t find_same(const struct dedup_batch *self, const struct id_table *seen,
                          uint64_t print, struct zsp_slice id)
{
    uint32_t values[ID_SAME_MAX];
    const size_t count = id_table_find(seen, print, values);
    for (size_t i = 0; i < count; i++) {
        if (zsp_slice_equal(self->ids[values[i]], id)) {
            return values[i] + 1;
        }
    }
    return 0;
}

/* Errors: ZSP_ENOMEM */
static int note_ids(struct dedup_batch *self, struct id_table *seen)
{
    struct zsp_slice rest = records_of(self);
    struct zsp_slice record, id;
    for (uint32_t i = 0; zsp_record_next_id(&rest, &record, &id) == 0; i++) {
        if (!id.data) {
            continue;
        }
        const uint64_t print = id_fingerprint(id);
        self->id_of[i] = find_same(self, seen, print, id);
        if (self->id_of[i] != 0) {
            continue;
        }
        if (id_table_add(seen, print, self->id_count) != 0) {
            return ZSP_ENOMEM;
        }
        self->ids[self->id_count] = id;
        self->prints[self->id_count++] = print;
        self->id_of[i] = self->id_count;
    }
    return 0;
}

int dedup_batch_scan(struct engine *engine, struct dedup_batch *self, struct zsp_err *err)
{
    int rc = unpack(engine, self, err);
    const uint32_t count = rc == 0 ? count_ids(records_of(self)) : 0;
    if (count == 0) {
        zsp_buf_put(&self->raw);
        return rc;
    }
    struct id_table seen = {0};
    self->ids = calloc(count, sizeof *self->ids);
    self->prints = malloc(count * sizeof *self->prints);
    self->id_of = calloc(self->count, sizeof *self->id_of);
    if (!self->ids || !self->prints || !self->id_of || note_ids(self, &seen) != 0) {
        rc = zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    id_table_fini(&seen);
    return rc;
}

/* --- Fates ---------------------------------------------------------------------------------- */

int dedup_batch_judge(struct dedup_batch *self)
{
    /* Of each id: the rank of the new record that has it + 1. */
    uint32_t *const ranks = calloc(self->id_count, sizeof *ranks);
    self->fates = malloc(self->count * sizeof *self->fates);
    if (!ranks || !self->fates) {
        free(ranks);
        return ZSP_ENOMEM;
    }
    self->new_count = 0;
    for (uint32_t i = 0; i < self->count; i++) {
        const uint32_t id = self->id_of[i];
        const uint64_t old = id > 0 ? self->lookup.found[id - 1] : ID_NOT_FOUND;
        if (old != ID_NOT_FOUND) {
            self->fates[i] = old;
        } else if (id > 0 && ranks[id - 1] > 0) {
            self->fates[i] = FATE_SAME | (ranks[id - 1] - 1);
        } else {
            self->fates[i] = FATE_NEW | self->new_count++;
            if (id > 0) {
                ranks[id - 1] = self->new_count;
            }
        }
    }
    free(ranks);
    return 0;
}

static bool is_new(uint64_t fate)
{
    return (fate & (FATE_NEW | FATE_SAME)) == FATE_NEW;
}

struct zsp_buf *dedup_batch_cut(const struct dedup_batch *self)
{
    size_t len = 0;
    struct zsp_slice record;
    struct zsp_slice rest = records_of(self);
    for (uint32_t i = 0; zsp_record_next(&rest, &record) == 0; i++) {
        len += is_new(self->fates[i]) ? record.len : 0;
    }
    struct zsp_buf *const frame = zsp_buf_new(len);
    if (!frame) {
        return NULL;
    }
    size_t pos = 0;
    rest = records_of(self);
    for (uint32_t i = 0; zsp_record_next(&rest, &record) == 0; i++) {
        if (is_new(self->fates[i])) {
            memcpy(zsp_buf_bytes(frame) + pos, record.data, record.len);
            pos += record.len;
        }
    }
    zsp_assert(pos == len);
    return frame;
}

bool dedup_batch_is_one_run(const struct dedup_batch *self)
{
    for (uint32_t i = 0; i < self->count; i++) {
        if (self->fates[i] != self->fates[0] + i) {
            return false;
        }
    }
    return true;
}

bool dedup_batch_begins_old(const struct dedup_batch *self)
{
    for (uint32_t i = self->count - self->new_count; i < self->count; i++) {
        if (!is_new(self->fates[i])) {
            return false;
        }
    }
    return true;
}

void dedup_batch_strip(struct dedup_batch *self)
{
    id_lookup_fini(&self->lookup);
    zsp_buf_put(&self->frame);
    zsp_buf_put(&self->raw);
    free(self->ids);
    free(self->id_of);
    self->ids = NULL;
    self->id_of = NULL;
}

void dedup_batch_free(struct dedup_batch **self_p)
{
    struct dedup_batch *const self = *self_p;
    if (self) {
        dedup_batch_strip(self);
        free(self->prints);
        free(self->fates);
        free(self);
        *self_p = NULL;
    }
}

/* --- The answer ------------------------------------------------------------------------------ */

/* Where a record is. */
static uint64_t offset_of(struct dedup_place place, uint64_t fate)
{
    const bool is_old = (fate & (FATE_NEW | FATE_SAME)) == 0;
    return is_old ? fate : place.first_offset + (fate & FATE_RANK);
}

static void write_row(struct zsp_writer *out, struct dedup_place place, uint32_t index,
                      uint32_t count, uint64_t first, bool is_old)
{
    wire_write_array(out, 5);
    wire_write_uint(out, index);
    wire_write_uint(out, count);
    wire_write_uint(out, place.partition);
    if (first != ID_NOT_FOUND) {
        wire_write_uint(out, first);
    } else {
        wire_write_nil(out);
    }
    wire_write_bool(out, is_old);
}

/* The records from `at` on that are one row: of one kind, one behind the other. */
static uint32_t row_from(struct dedup_place place, const struct dedup_batch *self, uint32_t at,
                         uint32_t end)
{
    const uint64_t fate = self->fates[at];
    uint32_t count = 1;
    while (at + count < end && is_new(self->fates[at + count]) == is_new(fate) &&
           offset_of(place, self->fates[at + count]) == offset_of(place, fate) + count) {
        count++;
    }
    return count;
}

uint32_t dedup_batch_rows(struct zsp_writer *out, struct dedup_batch *self,
                          struct dedup_place place, uint32_t index, uint32_t count,
                          uint32_t *rows_left)
{
    const uint32_t end = self->told + count;
    uint32_t rows = 0;
    for (; self->told < end; rows++) {
        const bool is_last = *rows_left == 0;
        const uint32_t at = self->told;
        const uint64_t fate = self->fates ? self->fates[at] : FATE_NEW | at;
        uint32_t in_row = end - at;
        if (self->fates && !is_last) {
            in_row = row_from(place, self, at, end);
        }
        const bool is_unknown = is_last && self->fates;
        if (out) {
            write_row(out, place, index, in_row, is_unknown ? ID_NOT_FOUND : offset_of(place, fate),
                      is_unknown || !is_new(fate));
        }
        self->told += in_row;
        index += in_row;
        *rows_left -= is_last ? 0 : 1;
    }
    return rows;
}

static struct dedup_place place_of(const struct publish_part *part)
{
    return (struct dedup_place){part->partition->index, part->first_offset};
}

static uint32_t all_rows(struct zsp_writer *out, const struct publish *publish)
{
    uint32_t rows = 0;
    uint32_t rows_left = DEDUP_ROWS_MAX;
    for (uint32_t i = 0; i < publish->part_count; i++) {
        publish->parts[i]->ids->told = 0;
    }
    for (uint32_t i = 0; i < publish->records.stretch_count; i++) {
        const struct stretch *const stretch = &publish->records.stretches[i];
        const struct publish_part *const part = publish->parts[stretch->target];
        rows += dedup_batch_rows(out, part->ids, place_of(part), stretch->index, stretch->count,
                                 &rows_left);
    }
    if (!publish->records.stretches) {
        rows += dedup_batch_rows(out, publish->only->ids, place_of(publish->only), 0,
                                 publish->records.count, &rows_left);
    }
    return rows;
}

bool dedup_write_rows(struct zsp_writer *out, const struct publish *publish)
{
    bool has_old = false;
    for (uint32_t i = 0; i < publish->part_count; i++) {
        const struct dedup_batch *const batch = publish->parts[i]->ids;
        if (!batch) {
            return false;
        }
        has_old = has_old || batch->fates;
    }
    if (has_old) {
        wire_write_array(out, all_rows(NULL, publish));
        (void)all_rows(out, publish);
    }
    return has_old;
}
