/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/ledger/levels.h"

#include <stdlib.h>

#include "broker/engine/order/fair.h"
#include "broker/engine/order/lanes.h"
#include "common/assert.h"

/* --- Counting ---------------------------------------------------------------------------------- */

/* Runs of a ledger that are looked at to know whether there are few. */
#define FEW_RUNS 4096u

/* Of a stretch: messages that wait for their time, and all that have a run here. */
struct delayed_walk {
    const struct ledger *ledger;
    uint64_t count;
    uint64_t left; /* runs that may be looked at */
};

/* A stretch that waits for its time: what has no run. */
static int add_delayed(void *arg, const struct run_span *span)
{
    struct delayed_walk *walk = arg;
    struct run_span fresh;
    uint64_t from = span->first;
    while (span->run.state == RUN_WAITING && from < span->end &&
           ledger_next_fresh(walk->ledger, from, &fresh) && fresh.first < span->end) {
        from = fresh.end < span->end ? fresh.end : span->end;
        walk->count += from - fresh.first;
    }
    return 0;
}

/* A run of the ledger: what waits for its time of it. */
static int add_covered(void *arg, const struct run_span *span)
{
    struct delayed_walk *walk = arg;
    const struct runmap *map = &walk->ledger->ways->levels->agenda->map;
    walk->count += runmap_count_in(map, span->first, span->end).of[RUN_WAITING];
    return --walk->left == 0;
}

/* Messages of [first, end) that wait for their time and have no run. Mostly few above `high` have one, and
 * many wait: they are counted together, and what has a run is taken off. */
static uint64_t count_delayed(const struct ledger *ledger, uint64_t first, uint64_t end)
{
    const struct runmap *map = &ledger->ways->levels->agenda->map;
    struct delayed_walk walk = {.ledger = ledger, .left = FEW_RUNS};
    const uint64_t from = first > ledger->high ? first : ledger->high;
    const uint64_t visible = ledger_visible_end(ledger);
    end = end < visible ? end : visible;
    if (from >= end || (runmap_classes(map) & RUN_CLASS_WAITING) == 0) {
        return 0;
    }
    if (runmap_visit(&ledger->runs, from, end, add_covered, &walk) == 0) {
        return runmap_count_in(map, from, end).of[RUN_WAITING] - walk.count;
    }
    walk.count = 0;
    (void)runmap_visit(map, from, end, add_delayed, &walk);
    return walk.count;
}

uint64_t levels_delayed(const struct ledger *ledger, uint64_t end)
{
    const struct levels *levels = ledger_levels(ledger);
    if (!levels) {
        return 0;
    }
    return end < ledger->mark ? count_delayed(ledger, ledger->high, end) : levels->delayed;
}

bool levels_next_delayed(const struct ledger *ledger, uint64_t from, struct run_span *ret)
{
    return ledger_levels(ledger) &&
           runmap_next(&ledger->ways->levels->agenda->map, from, RUN_CLASS_WAITING, ret);
}

/* --- Life ------------------------------------------------------------------------------------------ */

int levels_make(struct ledger *ledger, const struct agenda *agenda)
{
    zsp_assert(!ledger_levels(ledger));
    struct ledger_ways *const ways = ledger_ways_open(ledger);
    struct levels *const self = ways ? calloc(1, sizeof *self) : NULL;
    if (!self) {
        ledger_ways_close(ledger);
        return ZSP_ENOMEM;
    }
    self->agenda = agenda;
    ways->levels = self;
    levels_restart(ledger);
    return 0;
}

void levels_drop(struct ledger *ledger)
{
    if (ledger->ways) {
        free(ledger->ways->levels);
        ledger->ways->levels = NULL;
        ledger_ways_close(ledger);
    }
}

bool levels_are_known(const struct ledger *ledger)
{
    return !ledger_levels(ledger) || ledger->journaled >= ledger->ways->levels->agenda->from;
}

bool levels_are_awaited(const struct ledger *ledger)
{
    return !levels_are_known(ledger) && !ledger->ways->levels->agenda->is_late;
}

bool levels_are_late(const struct ledger *ledger)
{
    return !levels_are_known(ledger) && ledger->ways->levels->agenda->is_late;
}

void levels_restart(struct ledger *ledger)
{
    struct levels *levels = ledger_levels(ledger);
    if (!levels) {
        return;
    }
    for (unsigned i = 0; i <= ZSP_PRIORITY_MAX; i++) {
        levels->next[i] = 0;
    }
    levels->delayed = count_delayed(ledger, ledger->high, ledger->mark);
}

void levels_back(struct ledger *ledger, uint64_t first, unsigned priority)
{
    struct levels *levels = ledger_levels(ledger);
    if (levels && levels->next[priority] > first) {
        levels->next[priority] = first;
    }
}

void levels_leave(struct ledger *ledger, uint64_t first, uint64_t end)
{
    struct levels *levels = ledger_levels(ledger);
    if (levels) {
        levels->delayed -= count_delayed(ledger, first, end);
    }
}

void levels_mark(struct ledger *ledger, uint64_t mark)
{
    const uint64_t before = ledger->mark;
    ledger->mark = mark;
    if (ledger_levels(ledger)) {
        ledger->ways->levels->delayed += count_delayed(ledger, before, mark);
    }
}

/* --- Taking ---------------------------------------------------------------------------------------- */

unsigned levels_priorities(const struct ledger *ledger)
{
    const struct levels *levels = ledger_levels(ledger);
    const uint64_t end = ledger_visible_end(ledger);
    unsigned ret = 1u << ZSP_PRIORITY;
    for (unsigned i = 0; levels && i <= ZSP_PRIORITY_MAX; i++) {
        if (levels->next[i] < end && ledger->high < end) {
            ret |= runmap_classes(&levels->agenda->map) & RUN_CLASS_READY_AT(i);
        }
    }
    return ret;
}

/* The next stretch of the priority from `from` on, taken or not. */
static bool next_of(const struct agenda *agenda, uint64_t from, unsigned priority, uint64_t end,
                    struct run_span *ret)
{
    if (priority != ZSP_PRIORITY) {
        return runmap_next(&agenda->map, from, RUN_CLASS_READY_AT(priority), ret) &&
               ret->first < end;
    }
    *ret = (struct run_span){0};
    return runmap_next_gap(&agenda->map, from, end, &ret->first, &ret->end);
}

/* Take from [first, end) of the priority what is fresh, and how far that went. */
static int take_stretch(struct ledger *ledger, struct take *take, unsigned priority,
                        const struct run_span *stretch)
{
    uint64_t *next = &ledger->ways->levels->next[priority];
    struct run_span fresh;
    if (!ledger_next_fresh(ledger, *next, &fresh) || fresh.first >= stretch->end) {
        *next = stretch->end;
        return 0;
    }
    fresh.end = fresh.end < stretch->end ? fresh.end : stretch->end;
    if (fresh.end - fresh.first > take->messages) {
        fresh.end = fresh.first + take->messages;
    }
    fresh.run.urgency = (int8_t)((int)priority - (int)ZSP_PRIORITY);
    int rc = ledger_take_urgent(ledger, take, &fresh);
    if (rc == 0) {
        *next = fresh.end;
    }
    return rc;
}

int levels_take_fresh(struct ledger *ledger, struct take *take, unsigned priority)
{
    struct levels *levels = ledger_levels(ledger);
    const uint64_t end = ledger_visible_end(ledger);
    uint64_t *next = &levels->next[priority];
    struct run_span stretch;
    int rc = 0;
    while (rc == 0 && take->messages > 0 && take->piece_count < take->piece_max) {
        *next = *next > ledger->high ? *next : ledger->high;
        if (!next_of(levels->agenda, *next, priority, end, &stretch)) {
            *next = *next > end ? *next : end;
            break;
        }
        *next = *next > stretch.first ? *next : stretch.first;
        rc = take_stretch(ledger, take, priority, &stretch);
    }
    return rc;
}

bool levels_has_fresh(struct ledger *ledger, unsigned priority)
{
    const uint64_t end = ledger_visible_end(ledger);
    uint64_t *next = &ledger->ways->levels->next[priority];
    struct run_span stretch;
    struct run_span fresh;
    *next = *next > ledger->high ? *next : ledger->high;
    while (next_of(ledger->ways->levels->agenda, *next, priority, end, &stretch)) {
        *next = *next > stretch.first ? *next : stretch.first;
        if (ledger_next_fresh(ledger, *next, &fresh) && fresh.first < stretch.end) {
            *next = *next > fresh.first ? *next : fresh.first;
            return true;
        }
        *next = stretch.end;
    }
    *next = *next > end ? *next : end;
    return false;
}

/* --- Due ------------------------------------------------------------------------------------------- */

int levels_due(struct ledger *ledger, const struct run_span *span)
{
    struct levels *levels = ledger_levels(ledger);
    const unsigned priority = run_priority(&span->run);
    const uint64_t end = span->end < ledger->mark ? span->end : ledger->mark;
    struct run ready = {.state = RUN_READY, .urgency = span->run.urgency};
    struct run_span fresh;
    uint64_t from = span->first;
    while (from < end && ledger_next_fresh(ledger, from, &fresh) && fresh.first < end) {
        const uint64_t known = lanes_known(ledger); /* those are met no more */
        from = fresh.end < end ? fresh.end : end;
        from = fresh.first < known && from > known ? known : from;
        levels->delayed -= from - fresh.first;
        const uint64_t next =
            ledger_fair(ledger) ? ledger->ways->fair->next : levels->next[priority];
        if (next <= fresh.first && fresh.first >= known) {
            continue; /* it is met as usual */
        }
        int rc = runmap_set(&ledger->runs, fresh.first, from, &ready);
        if (rc < 0) {
            return rc;
        }
        ledger->above += from - fresh.first;
        ledger_pass(ledger);
        lanes_touch(ledger, fresh.first, from);
    }
    return 0;
}
