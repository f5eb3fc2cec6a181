/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/effects.h"

#include <stdlib.h>
#include <string.h>

#include "common/assert.h"

/* Make room for one more item of `bytes` in an array that doubles. */
static void *grow(void *items, size_t count, size_t *capacity, size_t bytes)
{
    if (count < *capacity) {
        return items;
    }
    const size_t wanted = *capacity > 0 ? *capacity * 2 : 64;
    void *const grown = realloc(items, wanted * bytes);
    if (grown) {
        *capacity = wanted;
    }
    return grown;
}

void effects_fini(struct effect_queue *self)
{
    for (size_t i = self->head; i < self->count; i++) {
        zsp_buf_put(&self->slots[i].header);
        for (size_t j = 0; j < self->slots[i].part_count; j++) {
            zsp_buf_put(&self->parts[self->slots[i].part_first + j].buf);
        }
    }
    free(self->slots);
    free(self->parts);
    memset(self, 0, sizeof *self);
}

size_t effects_begin(struct effect_queue *self)
{
    if (self->head == self->count) {
        /* The host has given back all parts lent before. */
        self->head = self->count = 0;
        self->part_count = 0;
    }
    return self->part_count;
}

int effects_add_part(struct effect_queue *self, size_t part_first, const struct engine_part *part)
{
    if (self->part_count > part_first && !part->is_whole) {
        struct engine_part *const last = &self->parts[self->part_count - 1];
        if (!last->is_whole && last->buf == part->buf && last->pos + last->len == part->pos) {
            last->len += part->len;
            return 0;
        }
    }
    struct engine_part *const parts =
        grow(self->parts, self->part_count, &self->part_capacity, sizeof *parts);
    if (!parts) {
        return ZSP_ENOMEM;
    }
    self->parts = parts;
    parts[self->part_count] = *part;
    (void)zsp_buf_get(part->buf);
    self->part_count++;
    return 0;
}

void effects_cut(struct effect_queue *self, size_t part_first)
{
    while (self->part_count > part_first) {
        zsp_buf_put(&self->parts[--self->part_count].buf);
    }
}

int effects_push(struct effect_queue *self, const struct effect_slot *slot)
{
    struct effect_slot *const slots =
        grow(self->slots, self->count, &self->capacity, sizeof *slots);
    if (!slots) {
        return ZSP_ENOMEM;
    }
    self->slots = slots;
    slots[self->count] = *slot;
    slots[self->count].part_count = self->part_count - slot->part_first;
    self->count++;
    return 0;
}

bool effects_next(struct effect_queue *self, struct engine_effect *ret)
{
    memset(ret, 0, sizeof *ret);
    if (self->head < self->count) {
        const struct effect_slot *const slot = &self->slots[self->head++];
        ret->kind = EFFECT_REPLY;
        ret->ticket = slot->ticket;
        ret->lease = slot->lease;
        ret->header = slot->header;
        ret->parts = slot->part_count > 0 ? self->parts + slot->part_first : NULL;
        ret->part_count = slot->part_count;
        ret->more = slot->more;
        return true;
    }
    if (self->fail_stop && !self->fail_stop_told) {
        self->fail_stop_told = true;
        ret->kind = EFFECT_FAIL_STOP;
        ret->error = self->error;
        return true;
    }
    return false;
}

void engine_effect_release(struct engine_effect *self)
{
    zsp_buf_put(&self->header);
    for (size_t i = 0; i < self->part_count; i++) {
        zsp_buf_put(&self->parts[i].buf);
    }
    memset(self, 0, sizeof *self);
}
