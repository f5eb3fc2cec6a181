/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/reply.h"

#include <string.h>

#include "broker/engine/engine_priv.h"
#include "common/assert.h"
#include "common/limits.h"

/* What a reply's map holds beside its runs, generously. */
#define REPLY_MAP_BYTES 4096u
/* The most a run takes in a header, less the topic's name: array and string heads,
 * five numbers, and extras with six entries. */
#define REPLY_RUN_BYTES 144u

static void out_of_memory(struct engine *engine)
{
    struct zsp_err error;
    zsp_err_set(&error, ZSP_ENOMEM, "out of memory for a reply");
    engine_fail(engine, &error);
}

bool reply_wanted(const struct engine *engine, const struct reply_to *to)
{
    return pending_find(&engine->pending, to) != NULL;
}

void reply_may_apply(struct engine *engine, const struct reply_to *to)
{
    struct pending *const item = pending_find(&engine->pending, to);
    if (item) {
        item->may_apply = true;
    }
}

enum engine_room reply_room(struct engine *engine, const struct reply_to *to, uint64_t bytes)
{
    const struct engine_options *const options = &engine->options;
    if (bytes == 0) {
        engine->room_freed = true;
    }
    const uint32_t asked = bytes < ZSP_REPLY_MAX ? (uint32_t)bytes : ZSP_REPLY_MAX;
    return options->room_fn ? options->room_fn(options->room_arg, to->ticket, asked) : ENGINE_ROOM;
}

void reply_no_room(struct engine *engine, const struct reply_to *to, bool maybe)
{
    struct zsp_err error;
    zsp_err_set_about(&error, ZSP_EOVER_CREDIT, "connection",
                      "too many bytes of replies wait to be read");
    error.maybe = maybe;
    reply_error(engine, to, &error);
}

static struct zsp_writer *begin(struct engine *engine, const struct reply_to *to,
                                enum wire_status status)
{
    struct reply_draft *const draft = &engine->draft;
    zsp_assert(!draft->open);
    draft->open = true;
    draft->out_of_memory = false;
    draft->to = *to;
    draft->lease = 0;
    draft->more = status == WIRE_PART;
    draft->part_first = effects_begin(&engine->effects);
    zsp_writer_reset(&draft->header);
    wire_write_reply(&draft->header, status, true, to->id);
    return &draft->header;
}

struct zsp_writer *reply_begin(struct engine *engine, const struct reply_to *to)
{
    return begin(engine, to, WIRE_OK);
}

struct zsp_writer *reply_begin_part(struct engine *engine, const struct reply_to *to)
{
    return begin(engine, to, WIRE_PART);
}

void reply_body(struct engine *engine, const struct engine_part *part)
{
    struct reply_draft *const draft = &engine->draft;
    zsp_assert(draft->open);
    zsp_assert(part->pos <= part->buf->len && part->len <= part->buf->len - part->pos);
    if (effects_add_part(&engine->effects, draft->part_first, part)) {
        draft->out_of_memory = true;
    }
}

void reply_lease(struct engine *engine, uint64_t lease)
{
    zsp_assert(engine->draft.open);
    engine->draft.lease = lease;
}

/* Queue what the draft holds. False = out of memory. */
static bool push_draft(struct engine *engine)
{
    const struct reply_draft *const draft = &engine->draft;
    struct effect_slot slot = {
        .ticket = draft->to.ticket,
        .lease = draft->lease,
        .header = zsp_buf_copy(zsp_writer_slice(&draft->header)),
        .part_first = draft->part_first,
        .more = draft->more,
    };
    if (!slot.header) {
        return false;
    }
    if (effects_push(&engine->effects, &slot)) {
        zsp_buf_put(&slot.header);
        return false;
    }
    return true;
}

/* Replace a draft that is larger than a header may be by an error. */
static void refuse_draft(struct engine *engine)
{
    struct reply_draft *const draft = &engine->draft;
    struct zsp_err error;
    zsp_err_set_about(&error, ZSP_ETOO_LARGE, "reply",
                      "the answer takes %zu bytes, a header holds %u", draft->header.len,
                      ZSP_HEADER_MAX);
    effects_cut(&engine->effects, draft->part_first);
    draft->lease = 0;
    draft->more = false;
    zsp_writer_reset(&draft->header);
    wire_write_error(&draft->header, true, draft->to.id, &error);
}

void reply_end(struct engine *engine)
{
    struct reply_draft *const draft = &engine->draft;
    zsp_assert(draft->open);
    draft->open = false;
    if (!reply_wanted(engine, &draft->to)) {
        effects_cut(&engine->effects, draft->part_first);
        return;
    }
    if (draft->header.len > ZSP_HEADER_MAX) {
        refuse_draft(engine);
    }
    if (draft->out_of_memory || draft->header.failed || !push_draft(engine)) {
        effects_cut(&engine->effects, draft->part_first);
        out_of_memory(engine);
        return;
    }
    if (!draft->more) {
        pending_close(&engine->pending, &draft->to);
    }
}

void reply_ok(struct engine *engine, const struct reply_to *to)
{
    struct zsp_writer *const out = reply_begin(engine, to);
    wire_write_map(out, 0);
    reply_end(engine);
}

void reply_error(struct engine *engine, const struct reply_to *to, const struct zsp_err *err)
{
    zsp_assert(err->code != ZSP_OK);
    struct zsp_err told = *err;
    if (told.code <= ZSP_EINVAL) {
        told.code = ZSP_EINTERNAL;
    }
    struct zsp_writer *const out = reply_begin(engine, to);
    zsp_writer_reset(out);
    wire_write_error(out, true, to->id, &told);
    reply_end(engine);
}

uint32_t reply_runs_max(size_t name_len)
{
    const size_t runs = (ZSP_HEADER_MAX - REPLY_MAP_BYTES) / (REPLY_RUN_BYTES + name_len);
    return runs < ZSP_RUNS_MAX ? (uint32_t)runs : ZSP_RUNS_MAX;
}
