/* SPDX-License-Identifier: MPL-2.0
 *
 * Every third publish of a session travels as one of two batches: the other one is no record, and is
 * refused at once, so its row often leaves in a PART, long before that of the real one.
 */
#include <stdio.h>
#include <string.h>

#include "common/assert.h"
#include "tests/sim/sim_many.h"

#define JUNK "\x07"

bool many_has(const struct sim_request *self)
{
    return self->verb == SIM_PUBLISH && self->id > 0 && self->ticket % 3 == 1;
}

/* The place of the real batch: 0 or 1. */
static uint32_t real_row(const struct sim_request *self)
{
    return self->ticket % 2 == 0 ? 0 : 1;
}

void many_encode_body(struct sim_request *self)
{
    struct zsp_buf *const both = zsp_buf_new(self->body->len + 1);
    zsp_assert(both);
    const size_t at = real_row(self) == 0 ? 0 : 1;
    memcpy(zsp_buf_bytes(both) + at, self->body->data, self->body->len);
    memcpy(zsp_buf_bytes(both) + (at == 0 ? self->body->len : 0), JUNK, 1);
    zsp_buf_put(&self->body);
    self->body = both;
}

static void write_optional(struct zsp_writer *out, bool is_told, uint64_t value)
{
    if (is_told) {
        wire_write_uint(out, value);
    } else {
        wire_write_nil(out);
    }
}

static void write_real(struct zsp_writer *out, const struct sim_request *self, size_t raw_bytes)
{
    wire_write_array(out, 7);
    wire_write_text(out, sim_topic_name(self->topic));
    wire_write_uint(out, self->body->len - 1);
    write_optional(out, self->partition >= 0, (uint64_t)self->partition);
    wire_write_uint(out, self->message_count);
    write_optional(out, self->producer > 0, self->sequence);
    wire_write_nil(out);
    wire_write_map(out, order_count(&self->order) + (self->is_packed ? 2u : 0u));
    write_order(out, &self->order);
    if (self->is_packed) {
        wire_write_text(out, "codec");
        wire_write_text(out, "zstd");
        wire_write_text_uint(out, "raw_size", raw_bytes);
    }
}

static void write_junk(struct zsp_writer *out, const struct sim_request *self)
{
    wire_write_array(out, 2);
    wire_write_text(out, sim_topic_name(self->topic));
    wire_write_uint(out, 1);
}

void many_write(struct zsp_writer *out, const struct sim_request *self, size_t raw_bytes)
{
    char producer[16];
    (void)snprintf(producer, sizeof producer, "producer-%u", self->producer);
    wire_write_map(out, 2u + (self->producer > 0 ? 2u : 0u));
    wire_write_text(out, "level");
    wire_write_text(out, self->is_synced ? "synced" : "written");
    if (self->producer > 0) {
        wire_write_text(out, "producer");
        wire_write_text(out, producer);
        wire_write_text_uint(out, "epoch", self->epoch);
    }
    wire_write_text(out, "batches");
    wire_write_array(out, 2);
    for (uint32_t i = 0; i < 2; i++) {
        if (i == real_row(self)) {
            write_real(out, self, raw_bytes);
        } else {
            write_junk(out, self);
        }
    }
}

bool many_read(struct sim_request *self, const msgpack_object *map, struct many_row *ret)
{
    const msgpack_object *const rows = wire_map_find(map, "rows");
    *ret = (struct many_row){NULL, NULL};
    if (!rows || rows->type != MSGPACK_OBJECT_ARRAY) {
        return false;
    }
    for (uint32_t i = 0; i < rows->via.array.size; i++) {
        const msgpack_object *const row = &rows->via.array.ptr[i];
        uint64_t index = 0;
        if (row->type != MSGPACK_OBJECT_ARRAY || row->via.array.size < 2 ||
            wire_get_uint(&row->via.array.ptr[0], "batch", 1, &index, NULL) != 0 ||
            self->rows_told[index]) {
            return false;
        }
        self->rows_told[index] = true;
        const bool is_refused = row->via.array.ptr[1].type == MSGPACK_OBJECT_NIL &&
                                row->via.array.size == 3 &&
                                row->via.array.ptr[2].type == MSGPACK_OBJECT_MAP;
        if (index != real_row(self) && !is_refused) {
            return false;
        }
        if (index == real_row(self) && is_refused) {
            ret->error = &row->via.array.ptr[2];
        } else if (index == real_row(self)) {
            ret->at = &row->via.array.ptr[1];
        }
    }
    return true;
}

bool many_is_told(const struct sim_request *self)
{
    return self->rows_told[0] && self->rows_told[1];
}
