/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/ledger/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "broker/engine/ledger/levels.h"
#include "broker/engine/order/fair.h"
#include "broker/engine/order/lanes.h"
#include "common/assert.h"

void ledger_write_key(uint8_t key[LEDGER_KEY_LEN], uint64_t group_id, uint64_t topic_id,
                      uint32_t partition_index)
{
    zsp_put_u64(key, group_id);
    zsp_put_u64(key + 8, topic_id);
    zsp_put_u32(key + 16, partition_index);
}

void ledger_init(struct ledger *self, uint64_t group_id, uint64_t topic_id,
                 uint32_t partition_index, struct run_slab *slab)
{
    memset(self, 0, sizeof *self);
    ledger_write_key(self->key, group_id, topic_id, partition_index);
    runmap_init(&self->runs, slab);
}

const struct ledger_rare ledger_common = {.blocked = UINT64_MAX};

struct ledger_rare *ledger_rare_open(struct ledger *self)
{
    if (!self->rare) {
        self->rare = malloc(sizeof *self->rare);
        if (self->rare) {
            *self->rare = ledger_common;
        }
    }
    return self->rare;
}

void ledger_rare_forget(struct ledger *self)
{
    free(self->rare);
    self->rare = NULL;
}

struct ledger_ways *ledger_ways_open(struct ledger *self)
{
    if (!self->ways) {
        self->ways = calloc(1, sizeof *self->ways);
    }
    return self->ways;
}

void ledger_ways_close(struct ledger *self)
{
    const struct ledger_ways *const ways = self->ways;
    if (ways && !ways->fair && !ways->levels && !ways->order && !ways->lanes) {
        free(self->ways);
        self->ways = NULL;
    }
}

void ledger_fini(struct ledger *self)
{
    ledger_rare_forget(self);
    runmap_fini(&self->runs);
    block_set_fini(&self->blocks);
    levels_drop(self);
    fair_drop(self);
}

uint64_t ledger_group_id(const struct ledger *self)
{
    return zsp_get_u64(self->key);
}

uint64_t ledger_topic_id(const struct ledger *self)
{
    return zsp_get_u64(self->key + 8);
}

uint32_t ledger_partition_index(const struct ledger *self)
{
    return zsp_get_u32(self->key + 16);
}

/* --- Figures ------------------------------------------------------------------------ */

uint64_t ledger_committed_from(const struct ledger *self, uint64_t from)
{
    struct run_span span;
    if (runmap_next(&self->runs, from, RUN_CLASS_UNFINISHED, &span) && span.first < self->high) {
        return span.first > from ? span.first : from;
    }
    return self->high;
}

uint64_t ledger_committed(const struct ledger *self)
{
    return ledger_committed_from(self, 0);
}

uint64_t ledger_visible_end(const struct ledger *self)
{
    const uint64_t blocked = ledger_rare_of(self)->blocked;
    return self->mark < blocked ? self->mark : blocked;
}

/* Messages of [first, end) that have a run. */
static uint64_t count_runs(const struct ledger *self, uint64_t first, uint64_t end)
{
    uint64_t count = 0;
    if (first < end) {
        const struct run_counts counts = runmap_count_in(&self->runs, first, end);
        for (int state = RUN_NONE + 1; state < RUN_STATES; state++) {
            count += counts.of[state];
        }
    }
    return count;
}

uint64_t ledger_ready(const struct ledger *self)
{
    const uint64_t end = ledger_visible_end(self);
    uint64_t fresh = 0;
    if (!levels_are_known(self)) {
        return 0;
    }
    if (end > self->high) {
        /* Runs lie below the mark; only where damage hides the rest they must be counted. */
        const uint64_t above = end < self->mark ? count_runs(self, self->high, end) : self->above;
        const uint64_t hidden = above + levels_delayed(self, end);
        fresh = end - self->high;
        fresh -= hidden < fresh ? hidden : fresh;
    }
    return fresh + runmap_count(&self->runs, RUN_READY);
}

uint64_t ledger_leased(const struct ledger *self)
{
    return runmap_count(&self->runs, RUN_LEASED);
}

uint64_t ledger_waiting(const struct ledger *self)
{
    return runmap_count(&self->runs, RUN_WAITING) + runmap_count(&self->runs, RUN_PARKED) +
           levels_delayed(self, self->mark);
}

uint64_t ledger_dead(const struct ledger *self)
{
    return runmap_count(&self->runs, RUN_DEAD);
}

bool ledger_is_blocked(const struct ledger *self)
{
    const uint64_t blocked = ledger_rare_of(self)->blocked;
    return blocked < self->mark && self->high >= blocked;
}

/* The runs of [first, end) have changed. */
static void lanes_told(struct ledger *self, uint64_t first, uint64_t end)
{
    if (ledger_lanes(self)) {
        lanes_touch(self, first, end);
    }
}

/* --- Reserving ------------------------------------------------------------------------ */

/* Reserve [first, end), which is READY as `run` or fresh, and note it. */
static int take_span(struct ledger *self, struct take *take, uint64_t first, uint64_t end,
                     const struct run *run)
{
    struct run reserved = *run;
    reserved.state = RUN_RESERVED;
    int rc = runmap_set(&self->runs, first, end, &reserved);
    if (rc < 0) {
        return rc;
    }
    struct piece *last =
        take->piece_count > take->piece_fixed ? &take->pieces[take->piece_count - 1] : NULL;
    if (last && last->ledger == self && last->end == first && last->kind == take->kind &&
        last->tenant == take->tenant && last->priority == run_priority(run)) {
        last->end = end;
    } else {
        zsp_assert(take->pieces);
        zsp_assert(take->piece_count < take->piece_max);
        take->pieces[take->piece_count++] = (struct piece){.ledger = self,
                                                           .first = first,
                                                           .end = end,
                                                           .tenant = take->tenant,
                                                           .priority = (uint8_t)run_priority(run),
                                                           .kind = take->kind};
    }
    take->messages -= end - first;
    take->taken += end - first;
    lanes_told(self, first, end);
    return 0;
}

/* A span cut to what may be handed out and to `messages`; false when nothing is left. */
bool ledger_clip(const struct ledger *self, struct run_span *span, uint64_t messages)
{
    const uint64_t blocked = ledger_rare_of(self)->blocked;
    if (span->first >= blocked || messages == 0) {
        return false;
    }
    span->end = span->end < blocked ? span->end : blocked;
    if (span->end - span->first > messages) {
        span->end = span->first + messages;
    }
    return true;
}

static int take_ready(struct ledger *self, struct take *take, unsigned classes)
{
    struct run_span span;
    while (take->piece_count < take->piece_max && runmap_next(&self->runs, 0, classes, &span) &&
           ledger_clip(self, &span, take->messages)) {
        int rc = take_span(self, take, span.first, span.end, &span.run);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

static int take_limited(struct ledger *self, struct take *take, unsigned classes)
{
    struct run_span span;
    uint64_t lease_max = UINT64_MAX;
    while (take->piece_count < take->piece_max && runmap_next(&self->runs, 0, classes, &span)) {
        const uint64_t allowed = UINT64_C(1) << (span.run.limit - 1);
        lease_max = allowed < lease_max ? allowed : lease_max;
        const uint64_t room = lease_max > take->taken ? lease_max - take->taken : 0;
        if (!ledger_clip(self, &span, room < take->messages ? room : take->messages)) {
            break;
        }
        take->alone = true;
        int rc = take_span(self, take, span.first, span.end, &span.run);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

void ledger_pass(struct ledger *self)
{
    struct run_span span;
    while (self->above > 0 && runmap_next(&self->runs, self->high, RUN_CLASS_ANY, &span) &&
           span.first <= self->high) {
        self->above -= span.end - self->high;
        self->high = span.end;
    }
}

bool ledger_next_fresh(const struct ledger *self, uint64_t from, struct run_span *ret)
{
    *ret = (struct run_span){0};
    return runmap_next_gap(&self->runs, from > self->high ? from : self->high,
                           ledger_visible_end(self), &ret->first, &ret->end);
}

int ledger_take_fresh(struct ledger *self, struct take *take, uint64_t first, uint64_t end)
{
    const struct run_span span = {.first = first, .end = end};
    return ledger_take_urgent(self, take, &span);
}

int ledger_take_urgent(struct ledger *self, struct take *take, const struct run_span *span)
{
    zsp_assert(span->first >= self->high);
    zsp_assert(span->run.state == RUN_NONE);
    int rc = take_span(self, take, span->first, span->end, &span->run);
    if (rc == 0) {
        self->above += span->end - span->first;
        ledger_pass(self);
    }
    return rc;
}

static int take_fresh(struct ledger *self, struct take *take)
{
    struct run_span span;
    while (take->messages > 0 && take->piece_count < take->piece_max &&
           ledger_next_fresh(self, self->high, &span)) {
        if (span.end - span.first > take->messages) {
            span.end = span.first + take->messages;
        }
        int rc = ledger_take_fresh(self, take, span.first, span.end);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

int ledger_reserve(struct ledger *self, struct take *take, const struct run_span *span)
{
    return span->run.state == RUN_NONE ? ledger_take_fresh(self, take, span->first, span->end)
                                       : take_span(self, take, span->first, span->end, &span->run);
}

/* What was out before, of the classes: with limits alone, or without any. True in *ret_alone: fresh
 * messages do not come with it. */
static int take_again(struct ledger *self, struct take *take, unsigned ready, unsigned limited,
                      bool *ret_alone)
{
    struct run_span span;
    *ret_alone = take->taken == 0 && runmap_next(&self->runs, 0, ready | limited, &span) &&
                 span.run.limit != 0;
    return *ret_alone ? take_limited(self, take, limited) : take_ready(self, take, ready);
}

static int take_in_turn(struct ledger *self, struct take *take)
{
    bool alone = false;
    int rc = take_again(self, take, RUN_CLASS_READY, RUN_CLASS_LIMITED, &alone);
    if (rc < 0 || alone || ledger_lanes(self)) {
        return rc;
    }
    return fair_is_used(self) ? fair_take_fresh(self, take, ZSP_PRIORITY) : take_fresh(self, take);
}

int ledger_take_priority(struct ledger *self, struct take *take, unsigned priority)
{
    bool alone = false;
    if (!levels_are_known(self)) {
        return 0;
    }
    int rc = take_again(self, take, RUN_CLASS_READY_AT(priority), RUN_CLASS_LIMITED_AT(priority),
                        &alone);
    if (rc < 0 || alone || ledger_lanes(self)) {
        return rc;
    }
    if (fair_is_used(self)) {
        rc = fair_take_fresh(self, take, priority);
        if (rc < 0 || !ledger_levels(self) || self->ways->fair->next >= self->mark) {
            return rc;
        } /* else what lies behind the window comes before what is less urgent */
    }
    if (ledger_levels(self)) {
        return levels_take_fresh(self, take, priority);
    }
    return priority == ZSP_PRIORITY ? take_fresh(self, take) : 0;
}

unsigned ledger_priorities(const struct ledger *self)
{
    const unsigned classes = runmap_classes(&self->runs);
    return (classes & RUN_CLASS_READY) | (classes & RUN_CLASS_LIMITED) >> 10 |
           (fair_is_used(self) ? fair_priorities(self) : 0u) | levels_priorities(self);
}

unsigned ledger_priorities_ready(struct ledger *self)
{
    const unsigned classes = runmap_classes(&self->runs);
    unsigned ret = (classes & RUN_CLASS_READY) | (classes & RUN_CLASS_LIMITED) >> 10;
    struct run_span fresh;
    if (!levels_are_known(self)) {
        return 0;
    }
    if (ledger_lanes(self)) {
        return ret;
    }
    if (fair_is_used(self)) {
        ret |= fair_priorities(self);
        if (self->ways->fair->next >= self->mark) {
            return ret;
        }
    }
    if (!ledger_levels(self)) {
        return ret | (ledger_next_fresh(self, self->high, &fresh) ? 1u << ZSP_PRIORITY : 0u);
    }
    const unsigned perhaps = levels_priorities(self) & ~ret;
    for (unsigned i = 0; i <= ZSP_PRIORITY_MAX; i++) {
        ret |= (perhaps >> i & 1u) != 0 && levels_has_fresh(self, i) ? 1u << i : 0;
    }
    return ret;
}

int ledger_take(struct ledger *self, struct take *take)
{
    if (!ledger_levels(self)) {
        return take_in_turn(self, take);
    }
    const unsigned priorities = ledger_priorities(self);
    int rc = 0;
    for (unsigned left = ZSP_PRIORITY_MAX + 1; left > 0 && rc == 0 && !take->alone; left--) {
        if ((priorities >> (left - 1) & 1u) != 0) {
            rc = ledger_take_priority(self, take, left - 1);
        }
    }
    return rc;
}

bool ledger_is_untouched(const struct run *run)
{
    const struct run fresh = {.state = run->state, .urgency = run->urgency};
    return (run->state == RUN_RESERVED || run->state == RUN_READY || run->state == RUN_PARKED) &&
           run_equal(run, &fresh);
}

/* [first, end), which had a run, is fresh again. */
static void make_fresh(struct ledger *self, uint64_t first, uint64_t end, unsigned priority)
{
    levels_back(self, first, priority);
    if (first >= self->high) {
        self->above -= end - first;
    } else {
        self->above += count_runs(self, end, self->high);
        self->high = first;
    }
    if (ledger_fair(self)) {
        fair_back(self, first, end, priority);
    }
}

int ledger_untake(struct ledger *self, uint64_t first, uint64_t end)
{
    struct run_span span;
    while (first < end && runmap_next(&self->runs, first, RUN_CLASS_RESERVED, &span) &&
           span.first < end) {
        span.first = span.first > first ? span.first : first;
        span.end = span.end < end ? span.end : end;
        if (span.first < self->journaled && span.end > self->journaled) {
            span.end =
                self->journaled; /* what was fresh is fresh again, also next to a READY one */
        }
        first = span.end;
        const bool is_fresh =
            !ledger_lanes(self) && span.first >= self->journaled && ledger_is_untouched(&span.run);
        span.run.state = is_fresh ? RUN_NONE : RUN_READY;
        int rc = runmap_set(&self->runs, span.first, span.end, &span.run);
        if (rc < 0) {
            return rc;
        }
        if (is_fresh) {
            make_fresh(self, span.first, span.end, run_priority(&span.run));
        }
        lanes_told(self, span.first, span.end);
    }
    return 0;
}

/* --- Retries ---------------------------------------------------------------------------- */

int ledger_wake(struct ledger *self, int64_t now_ms, size_t runs_max, bool *ret_all)
{
    struct run_span span;
    *ret_all = true;
    while (runmap_due(&self->runs, &span) && span.run.due_ms <= now_ms) {
        if (runs_max-- == 0) {
            *ret_all = false;
            return 0;
        }
        span.run.state = RUN_READY;
        span.run.due_ms = 0;
        int rc = runmap_set(&self->runs, span.first, span.end, &span.run);
        if (rc < 0) {
            return rc;
        }
        lanes_told(self, span.first, span.end);
    }
    return 0;
}

int64_t ledger_due_ms(const struct ledger *self)
{
    struct run_span span;
    return runmap_due(&self->runs, &span) ? span.run.due_ms : INT64_MAX;
}

/* --- Start ------------------------------------------------------------------------------- */

int ledger_recount(struct ledger *self)
{
    const struct run none = {.state = RUN_NONE};
    struct run_span span;
    while (runmap_next(&self->runs, 0, RUN_CLASS_DONE, &span) && span.first < self->journaled) {
        span.end = span.end < self->journaled ? span.end : self->journaled;
        int rc = runmap_set(&self->runs, span.first, span.end, &none);
        if (rc < 0) {
            return rc;
        }
    }
    self->above = count_runs(self, self->high, UINT64_MAX);
    ledger_pass(self);
    levels_restart(self);
    return 0;
}
