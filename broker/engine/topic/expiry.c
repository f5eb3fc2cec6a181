/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/topic/expiry.h"

#include <stdlib.h>

#include "broker/engine/group/group.h"
#include "broker/engine/topic/expiry_sift.h"
#include "common/assert.h"
#include "common/container.h"

/* The timer runs on broker time, which knows nothing of what happens to the clock meanwhile. */
#define LOOK_MS 30000
/* Runs that come due in one turn; the rest a millisecond later. */
#define DUE_RUNS_MAX 1024u
/* Stretches added between two passes, so that what was consumed meanwhile is forgotten. */
#define ADDS_MAX 1024u
/* What is left to live is rounded to at least this part of it. */
#define GRAINS 1024
/* After a start, so that clients come first. */
#define START_MS 1000

void expiry_init(struct engine *engine)
{
    run_slab_init(&engine->expiries.slab, NULL);
}

void expiry_fini(struct engine *engine)
{
    expiry_loads_fini(engine);
    expiry_sift_fini(engine);
    run_slab_fini(&engine->expiries.slab);
    free(engine->expiries.items);
    engine->expiries = (struct expiry_set){0};
}

struct expiry *expiry_of(const struct engine *engine, const struct partition *partition)
{
    return partition->expiry_slot != 0 ? engine->expiries.items[partition->expiry_slot - 1] : NULL;
}

static void fired(struct engine *engine, struct timer *timer);

/* A free slot, numbered from 1; 0 = out of memory. */
static uint32_t find_slot(struct expiry_set *set)
{
    for (uint32_t i = 0; set->used < set->count && i < set->count; i++) {
        if (!set->items[i]) {
            return i + 1;
        }
    }
    if (set->count == set->capacity) {
        const uint32_t wanted = set->capacity > 0 ? set->capacity * 2 : 16;
        struct expiry **grown = realloc(set->items, wanted * sizeof(struct expiry *));
        if (!grown) {
            return 0;
        }
        set->items = grown;
        set->capacity = wanted;
    }
    set->items[set->count] = NULL;
    return ++set->count;
}

int expiry_open(struct engine *engine, struct partition *partition, uint64_t from)
{
    struct expiry *const self = calloc(1, sizeof *self);
    const uint32_t slot = self ? find_slot(&engine->expiries) : 0;
    if (slot == 0) {
        free(self);
        return ZSP_ENOMEM;
    }
    runmap_init(&self->map, &engine->expiries.slab);
    self->partition = partition;
    self->from = from;
    self->to = UINT64_MAX;
    self->pass_ms = self->look_ms = self->full_ms = INT64_MAX;
    self->sift.next_ms = INT64_MAX;
    self->timer.fire_fn = fired;
    engine->expiries.items[slot - 1] = self;
    engine->expiries.used++;
    partition->expiry_slot = slot;
    return 0;
}

void expiry_close(struct engine *engine, struct partition *partition)
{
    struct expiry *const self = expiry_of(engine, partition);
    if (!self) {
        return;
    }
    engine_cancel(engine, TIMER_WAIT, &self->timer);
    expiry_load_void(engine, self);
    expiry_sift_void(self);
    runmap_fini(&self->map);
    engine->expiries.items[partition->expiry_slot - 1] = NULL;
    engine->expiries.used--;
    partition->expiry_slot = 0;
    free(self);
}

void expiry_start(struct engine *engine)
{
    for (uint32_t i = 0; i < engine->expiries.count; i++) {
        if (engine->expiries.items[i]) {
            expiry_want_pass(engine, engine->expiries.items[i], START_MS + i % START_MS);
        }
    }
}

/* --- Time ------------------------------------------------------------------------------------------ */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void expiry_arm(struct engine *engine, struct expiry *self)
{
    const int64_t now_ms = engine->clock.broker_ms;
    struct run_span span;
    int64_t wait_ms = self->is_passing ? 1 : INT64_MAX;
    if (runmap_due(&self->map, &span)) {
        wait_ms = earlier(wait_ms, earlier(span.run.due_ms - engine->now.wall_ms, LOOK_MS));
    }
    const int64_t pass_ms = earlier(self->pass_ms, earlier(self->look_ms, self->full_ms));
    if (pass_ms != INT64_MAX) {
        wait_ms = earlier(wait_ms, pass_ms - now_ms);
    }
    const int64_t read_ms = earlier(expiry_load_again_ms(self), expiry_sift_due_ms(self));
    if (read_ms != INT64_MAX) {
        wait_ms = earlier(wait_ms, read_ms - now_ms);
    }
    if (wait_ms == INT64_MAX) {
        engine_cancel(engine, TIMER_WAIT, &self->timer);
        return;
    }
    engine_arm(engine, TIMER_WAIT, &self->timer, now_ms + (wait_ms > 1 ? wait_ms : 1));
}

void expiry_want_pass(struct engine *engine, struct expiry *self, int64_t wait_ms)
{
    const int64_t at_ms = engine->clock.broker_ms + wait_ms;
    if (at_ms < self->pass_ms) {
        self->pass_ms = at_ms;
        expiry_arm(engine, self);
    }
}

/* When what was looked at may be looked at again. */
static int64_t after_rest(const struct engine *engine, const struct expiry *self)
{
    const int64_t at_ms = engine->clock.broker_ms + EXPIRY_PASS_MS;
    return at_ms > self->rest_ms ? at_ms : self->rest_ms;
}

void expiry_want_full(struct engine *engine, struct expiry *self)
{
    if (self->full_ms == INT64_MAX) {
        self->full_ms = after_rest(engine, self);
        expiry_arm(engine, self);
    }
}

int64_t expiry_rest_of(uint32_t turns)
{
    const int64_t wanted_ms = (int64_t)turns * EXPIRY_RESTS;
    return earlier(wanted_ms > EXPIRY_PASS_MS ? wanted_ms : EXPIRY_PASS_MS, EXPIRY_REST_MAX_MS);
}

int64_t expiry_rest(struct engine *engine, struct expiry *self)
{
    const int64_t wait_ms = expiry_rest_of(self->turns);
    self->rest_ms = engine->clock.broker_ms + wait_ms;
    return wait_ms;
}

/* Some of what is OVER may not be, by the clock as it is now. */
static void start_over(struct engine *engine, struct expiry *self)
{
    expiry_load_void(engine, self);
    expiry_sift_void(self);
    expiry_clear(engine, self, 0, UINT64_MAX);
    self->from = self->partition->synced_offset;
    self->to = UINT64_MAX;
    self->over_ms = 0;
    self->is_passing = false;
    self->full_ms = INT64_MAX;
    self->pass_ms = engine->clock.broker_ms;
}

/* What has come due is OVER. */
static void take_due(struct engine *engine, struct expiry *self)
{
    struct run_span span;
    for (uint32_t left = DUE_RUNS_MAX;
         left > 0 && runmap_due(&self->map, &span) && span.run.due_ms <= engine->now.wall_ms;
         left--) {
        const struct run over = {.state = RUN_READY, .urgency = span.run.urgency};
        self->over_ms = self->over_ms > span.run.due_ms ? self->over_ms : span.run.due_ms;
        self->pass_ms = engine->clock.broker_ms;
        if (runmap_set(&self->map, span.first, span.end, &over) < 0) {
            group_out_of_memory(engine->groups);
            return;
        }
    }
}

/* Begin the pass whose time has come, if any. */
static void begin_pass(struct engine *engine, struct expiry *self)
{
    const int64_t now_ms = engine->clock.broker_ms;
    if (self->full_ms <= now_ms) {
        self->pass = EXPIRY_FULL;
        self->full_ms = self->pass_ms = INT64_MAX;
    } else if (self->pass_ms <= now_ms) {
        self->pass = EXPIRY_DUE;
        self->pass_ms = INT64_MAX;
    } else if (self->look_ms <= now_ms) {
        self->pass = EXPIRY_LOOK;
        self->look_ms = INT64_MAX;
    } else {
        return;
    }
    self->is_passing = true;
    self->at = self->partition->ledger_first;
    self->pos = 0;
    self->unfinished = self->partition->synced_offset;
    self->seen_to = UINT64_MAX;
    self->adds = self->turns = 0;
}

/* Was it only to find out whether a topic of an older version has times to live, and none of what is
 * unfinished has? */
static bool is_needless(const struct expiry *self)
{
    return (self->partition->topic->marks & TOPIC_MARK_EXPIRY) == 0 &&
           runmap_classes(&self->map) == 0 && self->to == UINT64_MAX && !self->load &&
           !self->is_passing && self->pass_ms == INT64_MAX && self->look_ms == INT64_MAX &&
           self->full_ms == INT64_MAX && !self->sift.is_walking && self->sift.next_ms == INT64_MAX;
}

static void fired(struct engine *engine, struct timer *timer)
{
    struct expiry *const self = CONTAINER_OF(timer, struct expiry, timer);
    const int64_t now_ms = engine->clock.broker_ms;
    if (engine->draining) {
        return;
    }
    if (engine->now.wall_ms < self->over_ms) {
        start_over(engine, self);
    }
    if (!self->is_passing) {
        take_due(engine, self);
    }
    if (expiry_load_again_ms(self) <= now_ms) {
        expiry_load_again(engine, self);
    }
    if (!self->is_passing) {
        begin_pass(engine, self);
    }
    if (self->is_passing) {
        self->in_turn = true;
        expiry_turn(engine, self);
        self->in_turn = false;
    }
    if (expiry_sift_due_ms(self) <= now_ms) {
        expiry_sift_turn(engine, self);
    }
    if (is_needless(self)) {
        expiry_close(engine, self->partition);
        return;
    }
    expiry_arm(engine, self);
}

void expiry_clock_jumped(struct engine *engine)
{
    for (uint32_t i = 0; i < engine->expiries.count; i++) {
        struct expiry *const self = engine->expiries.items[i];
        if (self && engine->now.wall_ms < self->over_ms) {
            start_over(engine, self);
        }
        if (self) {
            expiry_arm(engine, self);
        }
    }
}

/* --- Coming in, going out ----------------------------------------------------------------------- */

bool expiry_is_full(const struct engine *engine)
{
    return engine->expiries.slab.used >= engine->options.expiry_runs_max;
}

void expiry_clear(struct engine *engine, struct expiry *self, uint64_t first, uint64_t end)
{
    const struct run none = {.state = RUN_NONE};
    struct run_span span;
    if (!runmap_next(&self->map, first, RUN_CLASS_ANY, &span) || span.first >= end) {
        return;
    }
    if (runmap_set(&self->map, first, end, &none) < 0) {
        group_out_of_memory(engine->groups);
    }
}

int expiry_note(struct engine *engine, struct expiry *self, const struct run_span *span,
                int64_t expires_at_ms)
{
    const int64_t left_ms = expires_at_ms - engine->now.wall_ms;
    int64_t grain_ms = EXPIRY_GRAIN_MS;
    while (grain_ms < left_ms / GRAINS) {
        grain_ms *= 2;
    }
    if (expires_at_ms > INT64_MAX - grain_ms) {
        return 0; /* it never comes */
    }
    const int64_t over_ms = expires_at_ms % grain_ms;
    struct run run = span->run;
    run.state = RUN_WAITING;
    run.due_ms = expires_at_ms + (over_ms > 0 ? grain_ms - over_ms : 0);
    return runmap_set(&self->map, span->first, span->end, &run);
}

void expiry_add(struct engine *engine, struct partition *partition, uint64_t first, uint64_t end,
                unsigned priority, int64_t expires_at_ms)
{
    if (partition->expiry_slot == 0 && expiry_open(engine, partition, first) < 0) {
        group_out_of_memory(engine->groups);
        return;
    }
    struct expiry *const self = expiry_of(engine, partition);
    const struct run_span span = {.first = first,
                                  .end = end,
                                  .run = {.urgency = (int8_t)((int)priority - (int)ZSP_PRIORITY)}};
    if (!partition->ledger_first) { /* nobody is to be told; what comes will read it */
        expiry_clear(engine, self, 0, UINT64_MAX);
        expiry_load_void(engine, self);
        self->from = end;
        self->to = UINT64_MAX;
        return;
    }
    if (self->to != UINT64_MAX) {
        return;
    }
    if (expiry_is_full(engine)) {
        self->to = first;
        expiry_want_pass(engine, self, LOOK_MS);
        return;
    }
    if (expiry_note(engine, self, &span, expires_at_ms) < 0) {
        group_out_of_memory(engine->groups);
        return;
    }
    if (++self->adds == ADDS_MAX) {
        expiry_want_pass(engine, self, 0);
    }
    expiry_arm(engine, self);
}

/* Has something come back to the ledger that may be over? Or is something of it not known? */
static bool wants_look(const struct expiry *self, const struct ledger *ledger)
{
    return ((runmap_classes(&self->map) & (RUN_CLASS_READY | RUN_CLASS_DONE)) != 0 &&
            (runmap_classes(&ledger->runs) &
             (RUN_CLASS_READY | RUN_CLASS_LIMITED | RUN_CLASS_WAITING | RUN_CLASS_PARKED)) != 0) ||
           ledger_committed(ledger) < self->from;
}

void expiry_look(struct engine *engine, const struct ledger *ledger)
{
    struct expiry *const self = expiry_of(engine, ledger->partition);
    zsp_assert(self);
    if (!self->in_turn && self->look_ms == INT64_MAX && wants_look(self, ledger)) {
        self->look_ms = after_rest(engine, self);
        expiry_arm(engine, self);
    }
}

void expiry_moved(struct engine *engine, const struct ledger *ledger)
{
    struct partition *const partition = ledger->partition;
    const bool was_told = (partition->topic->marks & TOPIC_MARK_TOLD) != 0;
    if (partition->expiry_slot == 0 && engine->started && !was_told &&
        expiry_open(engine, partition, partition->synced_offset) < 0) {
        group_out_of_memory(engine->groups);
        return;
    }
    struct expiry *const self = expiry_of(engine, partition);
    if (self) {
        expiry_want_full(engine, self);
    }
}

void expiry_ledger_goes(struct engine *engine, const struct ledger *ledger)
{
    struct expiry *const self = expiry_of(engine, ledger->partition);
    zsp_assert(self);
    if (self->at == ledger) {
        self->at = ledger->next;
        self->pos = 0;
    }
    expiry_sift_leaves(self, ledger);
}
