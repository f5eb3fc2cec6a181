/* SPDX-License-Identifier: MPL-2.0
 *
 * The answer to a PUBLISH: where its records are. A batch of many tells it in a row.
 */
#include "broker/engine/publish/dedup.h"
#include "broker/engine/publish/publish_many.h"
#include "broker/engine/publish/publish_priv.h"

static void write_row(struct zsp_writer *out, uint32_t index, struct publish_part *part,
                      uint32_t count)
{
    wire_write_array(out, 5);
    wire_write_uint(out, index);
    wire_write_uint(out, count);
    wire_write_uint(out, part->partition->index);
    if (part->has_first) {
        wire_write_uint(out, part->first_offset + part->told);
    } else {
        wire_write_nil(out);
    }
    wire_write_bool(out, part->is_echo);
    part->told += count;
}

/* Where the records are: the value of `at`. */
static void write_at(struct zsp_writer *out, const struct publish *self)
{
    if (dedup_write_rows(out, self)) {
        return;
    }
    if (self->records.stretches) {
        wire_write_array(out, self->records.stretch_count);
        for (uint32_t i = 0; i < self->records.stretch_count; i++) {
            const struct stretch *const stretch = &self->records.stretches[i];
            write_row(out, stretch->index, self->parts[stretch->target], stretch->count);
        }
    } else {
        wire_write_array(out, 1);
        write_row(out, 0, self->only, self->records.count);
    }
}

void publish_confirm(struct engine *engine, struct publish *self)
{
    if (self->many) {
        struct zsp_writer *const row = publish_many_row(self->many, self->row);
        wire_write_array(row, 2);
        wire_write_uint(row, self->row);
        write_at(row, self);
        publish_many_row_end(engine, self->many);
        return;
    }
    struct zsp_writer *const out = reply_begin(engine, &self->to);
    wire_write_map(out, 3);
    wire_write_text(out, "at");
    write_at(out, self);
    wire_write_text(out, "timestamp_ms");
    wire_write_int(out, self->timestamp_ms);
    wire_write_text(out, "level");
    wire_write_text(out, self->level == STORE_WRITTEN ? "written" : "synced");
    reply_end(engine);
}

void publish_refuse(struct engine *engine, struct publish *self, const struct zsp_err *error)
{
    if (self->many) {
        publish_many_refuse(engine, self->many, self->row, error);
    } else {
        reply_error(engine, &self->to, error);
    }
}
