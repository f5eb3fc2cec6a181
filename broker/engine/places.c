/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/places.h"

#include <stdlib.h>

#include "broker/engine/position.h"

static void found(struct engine *engine, struct engine_op *op,
                  const struct store_completion *completion)
{
    struct place *place = (struct place *)op;
    struct places *self = place->places;
    place->offset = completion->offset;
    if (completion->error.code != 0 && self->error.code == 0) {
        self->error = completion->error;
    }
    if (--self->open == 0) {
        self->found_fn(engine, self);
    }
}

static int resolve(struct engine *engine, struct places *self, struct topic *topic, uint32_t first,
                   uint32_t end, const struct wire_position *position, struct zsp_err *err)
{
    self->items = calloc(end - first, sizeof *self->items);
    if (!self->items) {
        return zsp_err_set(err, ZSP_ENOMEM, "positions: out of memory");
    }
    for (uint32_t i = first; i < end; i++) {
        struct position_place at;
        const int rc = position_resolve(engine, &topic->partitions[i], position, &at, err);
        if (rc < 0) {
            return rc;
        }
        self->items[self->count++] = (struct place){
            .op.done_fn = found,
            .places = self,
            .partition_index = i,
            .asked = at.ask_time,
            .time_ms = at.time_ms,
            .offset = at.offset,
        };
    }
    return 0;
}

int places_find(struct engine *engine, struct places *self, struct topic *topic, uint32_t first,
                uint32_t end, const struct wire_position *position, struct zsp_err *err)
{
    const int rc = resolve(engine, self, topic, first, end, position, err);
    for (size_t i = 0; i < self->count && rc == 0; i++) {
        struct place *place = &self->items[i];
        struct store_part *part = topic->partitions[place->partition_index].part;
        struct zsp_err error = {0};
        if (!place->asked) {
            continue;
        }
        if (engine->store->ops->find_time(engine->store, part, place->time_ms,
                                          engine_op_tag(&place->op), &error) < 0) {
            self->error = error;
        } else {
            self->open++;
        }
    }
    if (rc == 0 && self->open == 0 && self->error.code < 0) {
        *err = self->error;
        return self->error.code;
    }
    return rc;
}

void places_fini(struct places *self)
{
    free(self->items);
    *self = (struct places){0};
}
