/* SPDX-License-Identifier: MPL-2.0
 *
 * Where a READ begins and ends: what the store has to be asked for, one after the other.
 */
#include "broker/engine/replay/replay_priv.h"
#include "broker/engine/topic/id_place.h"

void reader_drop_ids(struct reader *self)
{
    zsp_buf_put(&self->from_id);
    zsp_buf_put(&self->to_id);
}

static void is_located(struct engine *engine, struct engine_op *op,
                       const struct store_completion *completion)
{
    struct reader *const self = (struct reader *)op;
    if (self->is_abandoned) {
        reader_free(engine, self);
        return;
    }
    if (completion->error.code != 0) {
        reader_fail(engine, self, &completion->error);
        return;
    }
    struct position_place *const place =
        self->from_place.ask_time ? &self->from_place : &self->to_place;
    place->ask_time = false;
    place->offset = position_clamp(self->partition, completion->offset);
    reader_locate(engine, self);
}

static void id_is_located(struct engine *engine, void *arg, uint64_t offset,
                          const struct zsp_err *error)
{
    struct reader *const self = arg;
    struct zsp_err missing = {0};
    if (self->is_abandoned) {
        reader_free(engine, self);
        return;
    }
    if (!error && offset == ID_NOT_FOUND) {
        (void)id_place_not_found(self->partition, &missing);
        error = &missing;
    }
    if (error) {
        reader_fail(engine, self, error);
        return;
    }
    struct position_place *const place =
        self->from_place.ask_id ? &self->from_place : &self->to_place;
    place->ask_id = false;
    place->offset = offset;
    reader_locate(engine, self);
}

/* Ask for the ids among `from` and `to`. False = there are none. */
static bool locate_ids(struct engine *engine, struct reader *self)
{
    const struct zsp_buf *const id = self->from_place.ask_id ? self->from_id
                                     : self->to_place.ask_id ? self->to_id
                                                             : NULL;
    if (!id) {
        return false;
    }
    struct zsp_err error = {0};
    self->state = READER_LOCATING;
    if (id_place_find(engine, self->partition, (struct zsp_slice){id->data, id->len}, id_is_located,
                      self, &error)) {
        reader_fail(engine, self, &error);
    }
    return true;
}

/* Ask the store for the ids and times among `from` and `to`, then read. */
void reader_locate(struct engine *engine, struct reader *self)
{
    if (locate_ids(engine, self)) {
        return;
    }
    const struct position_place *const place =
        self->from_place.ask_time ? &self->from_place : &self->to_place;
    if (!place->ask_time) {
        self->next_offset = self->from_place.offset;
        self->end_offset = self->to_place.offset;
        reader_begin(engine, self);
        return;
    }
    struct zsp_err error = {0};
    self->state = READER_LOCATING;
    self->op.done_fn = is_located;
    if (engine->store->ops->find_time(engine->store, self->partition->part, place->time_ms,
                                      engine_op_tag(&self->op), &error)) {
        reader_fail(engine, self, &error);
    }
}

/* `to` may lie beyond the mark: a reader that waits gets there. */
static int resolve_end(const struct engine *engine, const struct partition *partition,
                       const struct wire_position *to, struct position_place *ret,
                       struct zsp_err *err)
{
    if (to->kind == WIRE_POSITION_OFFSET) {
        ret->offset = to->value;
        return 0;
    }
    return position_resolve(engine, partition, to, ret, err);
}

/* Keep the ids that are asked for; an empty one takes a byte all the same. Errors: ZSP_ENOMEM */
static int keep_ids(struct reader *self, const struct read_args *args)
{
    if (self->from_place.ask_id) {
        self->from_id = zsp_buf_copy(args->from.id);
    }
    if (self->to_place.ask_id) {
        self->to_id = zsp_buf_copy(args->to.id);
    }
    const bool has_from = !self->from_place.ask_id || self->from_id;
    const bool has_to = !self->to_place.ask_id || self->to_id;
    return has_from && has_to ? 0 : ZSP_ENOMEM;
}

int reader_resolve(struct engine *engine, struct reader *self, const struct read_args *args,
                   struct zsp_err *err)
{
    const struct partition *const partition = self->partition;
    int rc = position_resolve(engine, partition, &args->from, &self->from_place, err);
    if (rc == 0 && args->to.kind != WIRE_POSITION_NONE) {
        rc = resolve_end(engine, partition, &args->to, &self->to_place, err);
    }
    if (rc == 0 && keep_ids(self, args) != 0) {
        rc = zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    self->from_is_offset = args->from.kind == WIRE_POSITION_OFFSET;
    self->has_end = args->to.kind != WIRE_POSITION_NONE;
    return rc;
}
