/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/base/timers.h"

#include "common/assert.h"

static bool is_before(const struct timer *a, const struct timer *b)
{
    if (a->due_ms != b->due_ms) {
        return a->due_ms < b->due_ms;
    }
    return a->order < b->order;
}

/* Make one heap of two: the later root becomes the first child of the other. */
static struct timer *meld(struct timer *a, struct timer *b)
{
    if (!a) {
        return b;
    }
    if (!b) {
        return a;
    }
    struct timer *const top = is_before(a, b) ? a : b;
    struct timer *const below = top == a ? b : a;
    below->next = top->child;
    if (below->next) {
        below->next->prev = below;
    }
    below->prev = top;
    top->child = below;
    return top;
}

/* Make one heap of a list of siblings: pairs from left to right, then all pairs
 * from right to left, which is what keeps the heap shallow. */
static struct timer *meld_siblings(struct timer *first)
{
    struct timer *pairs = NULL;
    while (first) {
        struct timer *const a = first;
        struct timer *const b = a->next;
        first = b ? b->next : NULL;
        a->next = a->prev = NULL;
        if (b) {
            b->next = b->prev = NULL;
        }
        struct timer *const pair = meld(a, b);
        pair->next = pairs;
        pairs = pair;
    }
    struct timer *root = NULL;
    while (pairs) {
        struct timer *const pair = pairs;
        pairs = pair->next;
        pair->next = NULL;
        root = meld(root, pair);
    }
    return root;
}

static void take_out(struct timers *self, struct timer *timer)
{
    struct timer *const rest = meld_siblings(timer->child);
    if (timer == self->root) {
        self->root = rest;
    } else {
        if (timer->prev->child == timer) {
            timer->prev->child = timer->next;
        } else {
            timer->prev->next = timer->next;
        }
        if (timer->next) {
            timer->next->prev = timer->prev;
        }
        self->root = meld(self->root, rest);
    }
    timer->child = timer->next = timer->prev = NULL;
    timer->order = 0;
    self->count--;
}

void timers_arm(struct timers *self, struct timer *timer, int64_t due_ms)
{
    zsp_assert(timer->fire_fn);
    if (timer_is_armed(timer)) {
        take_out(self, timer);
    }
    timer->due_ms = due_ms;
    timer->order = ++self->last_order;
    timer->child = timer->next = timer->prev = NULL;
    self->root = meld(self->root, timer);
    self->count++;
}

void timers_cancel(struct timers *self, struct timer *timer)
{
    if (timer_is_armed(timer)) {
        take_out(self, timer);
    }
}

int64_t timers_next_ms(const struct timers *self)
{
    return self->root ? self->root->due_ms : INT64_MAX;
}

struct timer *timers_pop(struct timers *self, int64_t now_ms)
{
    struct timer *const first = self->root;
    if (!first || first->due_ms > now_ms) {
        return NULL;
    }
    take_out(self, first);
    return first;
}
