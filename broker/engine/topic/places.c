/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/topic/places.h"

#include <stdio.h>
#include <stdlib.h>

#include "broker/engine/topic/id_place.h"
#include "broker/engine/topic/position.h"

/* Of all partitions only the one that has the message is meant. */
static void keep_found(struct places *self)
{
    size_t count = 0;
    struct place kept = {0};
    for (size_t i = 0; i < self->count; i++) {
        if (self->items[i].offset != ID_NOT_FOUND) {
            kept = self->items[i];
            count++;
        }
    }
    if (count == 1) {
        self->items[0] = kept;
        self->count = 1;
    } else if (count == 0) {
        (void)zsp_err_set_about(&self->error, ZSP_ENOT_FOUND, self->object,
                                "%s: no message has this id", self->object);
    } else {
        (void)zsp_err_set(&self->error, ZSP_EBAD_VALUE,
                          "messages of %zu partitions have this id: name a partition", count);
        zsp_err_detail(&self->error, "partition", "the number of one partition", NULL);
    }
}

static void one_found(struct engine *engine, struct place *place, uint64_t offset,
                      const struct zsp_err *error)
{
    struct places *self = place->places;
    place->offset = offset;
    if (error && self->error.code == 0) {
        self->error = *error;
    }
    if (--self->open > 0) {
        return;
    }
    if (self->by_id && self->error.code == 0) {
        keep_found(self);
    }
    self->found_fn(engine, self);
}

static void found(struct engine *engine, struct engine_op *op,
                  const struct store_completion *completion)
{
    const bool has_failed = completion->error.code != 0;
    one_found(engine, (struct place *)op, completion->offset,
              has_failed ? &completion->error : NULL);
}

static void found_id(struct engine *engine, void *arg, uint64_t offset, const struct zsp_err *error)
{
    one_found(engine, arg, offset, error);
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
        const int rc = position_resolve(engine, topic->partitions[i], position, &at, err);
        if (rc < 0) {
            return rc;
        }
        self->items[self->count++] = (struct place){
            .op.done_fn = found,
            .places = self,
            .partition_index = i,
            .asked = at.ask_time || at.ask_id,
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
    self->by_id = position->kind == WIRE_POSITION_ID;
    (void)snprintf(self->object, sizeof self->object, "%s", topic->object);
    for (size_t i = 0; i < self->count && rc == 0; i++) {
        struct place *place = &self->items[i];
        struct partition *partition = topic->partitions[place->partition_index];
        struct zsp_err error = {0};
        if (!place->asked) {
            continue;
        }
        const int asked =
            self->by_id
                ? id_place_find(engine, partition, position->id, found_id, place, &error)
                : engine->store->ops->find_time(engine->store, partition->part, place->time_ms,
                                                engine_op_tag(&place->op), &error);
        if (asked < 0) {
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
