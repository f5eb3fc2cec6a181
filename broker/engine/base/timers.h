/* SPDX-License-Identifier: MPL-2.0
 *
 * Timers: a pairing heap of nodes that live inside whatever waits, so that
 * arming never allocates and never fails. Arm is O(1), cancel and expiry are
 * O(log n) amortised; nothing is ever scanned. Timers of one instant fire in
 * the order in which they were armed. All times are broker time (clock.h).
 */
#ifndef ZSP_ENGINE_TIMERS_H
#define ZSP_ENGINE_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct engine;

/* Zero-initialise; fill fire_fn before the first arm. */
struct timer {
    /* Called once per arming, with the timer no longer armed; may arm it anew,
     * arm and cancel others, and free the timer. */
    void (*fire_fn)(struct engine *engine, struct timer *self);
    int64_t due_ms;            /* broker time; set by timers_arm */
    uint64_t order;            /* of arming; breaks ties; 0 = not armed */
    struct timer *child;       /* first child; its due time is not before ours */
    struct timer *next, *prev; /* siblings; prev of a first child is the parent */
};

/* Zero-initialise. */
struct timers {
    struct timer *root;
    size_t count;
    uint64_t last_order;
};

static inline bool timer_is_armed(const struct timer *self)
{
    return self->order != 0;
}

/* Arm `timer` for `due_ms`; an armed one is moved. */
void timers_arm(struct timers *self, struct timer *timer, int64_t due_ms);
/* Disarm; nothing happens when it is not armed. */
void timers_cancel(struct timers *self, struct timer *timer);
/* When the first timer is due, INT64_MAX = none is armed. */
int64_t timers_next_ms(const struct timers *self);
/* Take the first timer due at or before `now_ms` off the heap, NULL = none. The
 * caller calls its fire_fn. */
struct timer *timers_pop(struct timers *self, int64_t now_ms);

#endif
