/* SPDX-License-Identifier: MPL-2.0
 *
 * The queue of effects between engine and host: replies in the order in which
 * they were made, and, after all of them, the fail-stop, once.
 */
#ifndef ZSP_ENGINE_EFFECTS_H
#define ZSP_ENGINE_EFFECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/engine/engine.h"

/* A queued reply; its body is parts[part_first .. + part_count) of the queue. */
struct effect_slot {
    uint64_t ticket;
    uint64_t lease;
    struct zsp_buf *header; /* holds a reference */
    size_t part_first, part_count;
    bool more;
};

/* Zero-initialise. */
struct effect_queue {
    struct effect_slot *slots;
    size_t head, count, capacity; /* slots[head .. count) wait */
    struct engine_part *parts;    /* of waiting replies and of the draft; each holds a reference */
    size_t part_count, part_capacity;
    bool fail_stop;       /* to be told after all replies */
    bool fail_stop_told;  /* */
    struct zsp_err error; /* why */
};

/* Drops all that waits. */
void effects_fini(struct effect_queue *self);

/* Begin a reply: returns where its parts begin. Parts are added behind it until
 * effects_push() or effects_cut(). */
size_t effects_begin(struct effect_queue *self);
/* Add a stretch; takes its own reference. Errors: ZSP_ENOMEM */
int effects_add_part(struct effect_queue *self, size_t part_first, const struct engine_part *part);
/* Drop all parts from `part_first` on. */
void effects_cut(struct effect_queue *self, size_t part_first);
/* Queue a reply; takes the reference on `header`. Its part_count is filled here.
 * Errors: ZSP_ENOMEM (nothing was taken) */
int effects_push(struct effect_queue *self, const struct effect_slot *slot);

/* The next effect, see engine_next_effect(). */
bool effects_next(struct effect_queue *self, struct engine_effect *ret);

#endif
