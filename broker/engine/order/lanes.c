/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/order/lanes.h"

#include <stdlib.h>

#include "broker/engine/group/group.h"
#include "broker/engine/ledger/levels.h"
#include "common/assert.h"

#define PARKED_TOGETHER 256u /* runs */

/* --- Life ------------------------------------------------------------------------------------- */

static bool holds_dead(const struct lanes *self)
{
    return group_holds_dead(self->ledger->group);
}

/* Classes of runs whose keys must be known. */
static unsigned wanted_classes(const struct ledger *ledger)
{
    return RUN_CLASS_UNFINISHED | (group_holds_dead(ledger->group) ? RUN_CLASS_HOLDING : 0u);
}

int lanes_push_unread(struct lanes *self, uint64_t first, uint64_t end)
{
    struct run_span *last = self->unread_count > 0 ? &self->unread[self->unread_count - 1] : NULL;
    if (last && last->first <= first && first <= last->end) {
        last->end = last->end > end ? last->end : end;
        return 0;
    }
    if (self->unread_count == self->unread_capacity) {
        const size_t wanted = self->unread_capacity > 0 ? self->unread_capacity * 2 : 8;
        struct run_span *grown = realloc(self->unread, wanted * sizeof *grown);
        if (!grown) {
            return ZSP_ENOMEM;
        }
        self->unread = grown;
        self->unread_capacity = wanted;
    }
    zsp_assert(self->unread);
    self->unread[self->unread_count++] = (struct run_span){.first = first, .end = end};
    return 0;
}

/* READY messages from `from` on wait for the scan. */
static int park_all(struct ledger *ledger, uint64_t from)
{
    struct run_span spans[PARKED_TOGETHER];
    size_t count = 0;
    int rc = 0;
    while (rc == 0 &&
           runmap_next(&ledger->runs, from, RUN_CLASS_READY | RUN_CLASS_LIMITED, &spans[count])) {
        struct run_span *span = &spans[count++];
        span->first = span->first > from ? span->first : from;
        span->run.state = RUN_PARKED;
        from = span->end;
        if (count == PARKED_TOGETHER) {
            rc = runmap_set_all(&ledger->runs, spans, count);
            count = 0;
        }
    }
    return rc == 0 ? runmap_set_all(&ledger->runs, spans, count) : rc;
}

/* Nothing is known yet. Before anything is handed out that must change for all that is out, and for what
 * is unfinished as far as look_ahead. What came back further ahead waits until the scan may go there. */
static int begin(struct lanes *self)
{
    struct ledger *ledger = self->ledger;
    struct run_span span = {0};
    self->cursor = self->must = ledger_committed(ledger);
    while (runmap_next(&ledger->runs, span.end, RUN_CLASS_UNFINISHED, &span)) {
        self->must = span.end;
    }
    const uint64_t bound = lanes_bound(ledger);
    self->must = self->must < bound ? self->must : bound;
    span.end = self->must;
    while (runmap_next(&ledger->runs, span.end, RUN_CLASS_LEASED | RUN_CLASS_RESERVED, &span)) {
        self->must = span.end;
    }
    self->reach = self->must;
    int rc = park_all(ledger, self->must);
    span.end = 0;
    while (rc == 0 && holds_dead(self) &&
           runmap_next(&ledger->runs, span.end, RUN_CLASS_HOLDING, &span)) {
        rc = lanes_push_unread(self, span.first, span.end);
    }
    return rc;
}

static struct lanes *open_lanes(struct groups *groups, struct ledger *ledger)
{
    const struct engine_options *options = &groups->engine->options;
    struct ledger_ways *const ways = ledger_ways_open(ledger);
    struct lanes *self = ways ? calloc(1, sizeof *self) : NULL;
    if (!self) {
        ledger_ways_close(ledger);
        return NULL;
    }
    self->groups = groups;
    self->ledger = ledger;
    lane_table_init(&self->table, options->random_fn(options->random_arg));
    if (begin(self) < 0) {
        lanes_free(self);
        ledger_ways_close(ledger);
        return NULL;
    }
    ways->lanes = self;
    return self;
}

void lanes_drop(struct ledger *ledger)
{
    struct lanes *self = ledger_lanes(ledger);
    if (!self) {
        return;
    }
    lanes_recall_forget(self);
    engine_cancel(self->groups->engine, TIMER_WAIT, &self->retry);
    ledger->ways->lanes = NULL;
    ledger_ways_close(ledger);
    if (self->place == LANES_READING) {
        ledger->group->lanes_reading--;
        group_wake(self->groups, ledger->group); /* nobody waits for it any more */
        self->ledger = NULL;
        return;
    }
    lanes_list(self, LANES_NOWHERE);
    self->ledger = NULL;
    lanes_free(self);
}

/* Has the ledger nothing that needs an order? */
static bool is_idle(const struct ledger *ledger)
{
    return ledger_visible_end(ledger) <= ledger->high &&
           (runmap_classes(&ledger->runs) & wanted_classes(ledger)) == 0;
}

void lanes_look(struct groups *groups, struct ledger *ledger)
{
    struct lanes *self = ledger_lanes(ledger);
    if (is_idle(ledger)) {
        if (self && lane_table_is_empty(&self->table) && self->place != LANES_READING) {
            lanes_drop(ledger);
        }
        return;
    }
    if (!self) {
        self = open_lanes(groups, ledger);
        if (!self) {
            group_out_of_memory(groups);
            return;
        }
    }
    if (self->place != LANES_READING) {
        lanes_list(self, lanes_wants(self) ? LANES_WANTED : LANES_NOWHERE);
    }
}

static bool is_loaded(const struct lanes *self)
{
    return self->cursor >= self->must && self->unread_count == 0 && !self->reads_back;
}

uint64_t lanes_ready(const struct ledger *ledger)
{
    const struct lanes *self = ledger_lanes(ledger);
    return self && is_loaded(self) ? runmap_count(&ledger->runs, RUN_READY) : 0;
}

uint64_t lanes_known(const struct ledger *ledger)
{
    return ledger_lanes(ledger) ? ledger->ways->lanes->cursor : 0;
}

/* --- Runs --------------------------------------------------------------------------------------- */

int lanes_set_state(struct ledger *ledger, uint64_t first, uint64_t end, enum run_state state)
{
    struct run_span span;
    int rc = 0;
    while (rc == 0 && first < end && runmap_next(&ledger->runs, first, RUN_CLASS_ANY, &span) &&
           span.first < end) {
        span.first = span.first > first ? span.first : first;
        span.end = span.end < end ? span.end : end;
        first = span.end;
        if ((span.run.state == RUN_READY || span.run.state == RUN_PARKED) &&
            span.run.state != state) {
            span.run.state = (uint8_t)state;
            rc = runmap_set(&ledger->runs, span.first, span.end, &span.run);
        }
    }
    return rc;
}

static enum run_state state_at(const struct ledger *ledger, uint64_t offset)
{
    struct run_span span;
    const bool found = runmap_next(&ledger->runs, offset, RUN_CLASS_ANY, &span);
    return found && span.first <= offset ? (enum run_state)span.run.state : RUN_NONE;
}

/* What the run of a message means for its lane. */
static enum lane_state meaning(const struct lanes *self, const struct run *run, uint64_t offset)
{
    switch ((enum run_state)run->state) {
    case RUN_READY:
    case RUN_PARKED:
    case RUN_WAITING:
        return LANE_WAITS;
    case RUN_RESERVED:
    case RUN_LEASED:
        return LANE_OUT;
    case RUN_DEAD:
        return run->limit != 0 && holds_dead(self) ? LANE_HOLDS : LANE_OVER;
    case RUN_NONE: /* fresh, while it waits for its time */
        return offset >= self->ledger->journaled ? LANE_WAITS : LANE_OVER;
    case RUN_DONE:
    case RUN_STATES:
        break;
    }
    return LANE_OVER;
}

/* --- Lanes -------------------------------------------------------------------------------------- */

static int make_dirty(struct lanes *self, uint32_t number)
{
    struct lane *lane = lane_at(&self->table, number);
    struct lane_list *list = &self->dirty;
    if (lane->is_dirty) {
        return 0;
    }
    if (list->count == list->capacity) {
        const size_t wanted = list->capacity > 0 ? list->capacity * 2 : 64;
        uint32_t *grown = realloc(list->items, wanted * sizeof *grown);
        if (!grown) {
            return ZSP_ENOMEM;
        }
        list->items = grown;
        list->capacity = wanted;
    }
    list->items[list->count++] = number;
    lane->is_dirty = true;
    return 0;
}

/* The message of the lane that may be handed out; LANE_NONE = none. */
static uint64_t first_of(struct lanes *self, const struct lane *lane)
{
    if (lane->out > 0 || lane->head == LANE_NONE || lane_is_held(lane)) {
        return LANE_NONE;
    }
    const enum run_state state = state_at(self->ledger, lane->head);
    return state == RUN_READY || state == RUN_PARKED ? lane->head : LANE_NONE;
}

static int settle_lane(struct lanes *self, uint32_t number)
{
    struct lane *lane = lane_at(&self->table, number);
    struct ledger *ledger = self->ledger;
    int rc = 0;
    lane->is_dirty = false;
    lane_advance(&self->table, number);
    if (lane->head == LANE_NONE && lane->holds == 0) {
        lane_table_close(&self->table, number);
        return 0;
    }
    const uint64_t first = first_of(self, lane);
    if (lane->ready != LANE_NONE && lane->ready != first) {
        rc = lanes_set_state(ledger, lane->ready, lane->ready + 1, RUN_PARKED);
    }
    if (rc == 0 && first != LANE_NONE) {
        rc = lanes_set_state(ledger, first, first + 1, RUN_READY);
    }
    lane->ready = first;
    lane->keeps_back = lane->keeps_back && lane->out > 0;
    lane->back = lane->recalls || lane->keeps_back ? lane->back : LANE_NONE;
    return rc;
}

static int settle_lanes(struct lanes *self)
{
    int rc = 0;
    for (size_t i = 0; i < self->dirty.count && rc == 0; i++) {
        rc = settle_lane(self, self->dirty.items[i]);
    }
    self->dirty.count = 0;
    return rc;
}

/* The first message before `end` that is neither finished nor out; LANE_NONE = there is none. */
static uint64_t first_waiting(struct lanes *self, const struct lane *lane, uint64_t end)
{
    uint64_t at = lane->head;
    while (at < end && lane_entry(&self->table, at)->state != LANE_WAITS) {
        at = lane_after(&self->table, at);
    }
    return at < end ? at : LANE_NONE;
}

/* A message that is out, or holds, is found: does it lie behind one that is not out? Then it, or what
 * is out behind it, must come back; what lies before that stays out. */
static void find_recalls(struct lanes *self, uint64_t offset, uint32_t number,
                         enum lane_state state)
{
    const struct lane *lane = lane_at(&self->table, number);
    const uint64_t next = state == LANE_WAITS ? lane_after(&self->table, offset) : LANE_NONE;
    const bool is_recalled = lane->recalls && lane->back < offset;
    const uint64_t first = state == LANE_OUT && lane->waits > 0 && !is_recalled
                               ? first_waiting(self, lane, offset)
                               : LANE_NONE;
    if (first != LANE_NONE) {
        lanes_recall_later(self, number, first);
    } else if ((state == LANE_HOLDS && lane->out > 0) ||
               (next != LANE_NONE && lane_entry(&self->table, next)->state == LANE_OUT)) {
        lanes_recall_later(self, number, offset);
    }
}

int lanes_learn(struct lanes *self, uint64_t offset, uint32_t number, const struct run *run,
                enum run_state *ret_fresh)
{
    const enum lane_state state = meaning(self, run, offset);
    *ret_fresh = number == LANE_FREE ? RUN_READY : RUN_PARKED;
    if (state == LANE_OVER || (number == LANE_FREE && state == LANE_HOLDS)) {
        return number == LANE_FREE ? 0 : make_dirty(self, number); /* it may be a new lane */
    }
    int rc = lane_entry_add(&self->table, offset, number, state);
    if (rc < 0 || number == LANE_FREE) {
        return rc;
    }
    struct lane *lane = lane_at(&self->table, number);
    if (run->state == RUN_NONE && lane->tail == offset) {
        const bool is_first = lane->head == offset && lane->out == 0 && !lane_is_held(lane);
        lane->ready = is_first ? offset : lane->ready;
        *ret_fresh = is_first ? RUN_READY : RUN_PARKED;
        return 0;
    }
    find_recalls(self, offset, number, state);
    return make_dirty(self, number);
}

/* --- Changes ------------------------------------------------------------------------------------ */

/* A message of a lane that stands otherwise from now on. */
static int change(struct lanes *self, uint64_t offset, enum lane_state state)
{
    const struct lane_entry *entry = lane_entry(&self->table, offset);
    const uint32_t number = entry->lane;
    if (number == LANE_FREE) {
        return lane_entry_set(&self->table, offset, state);
    }
    const enum lane_state was = (enum lane_state)entry->state;
    const bool comes_back = (state == LANE_WAITS || state == LANE_HOLDS) && was != LANE_WAITS;
    if (was == state && state != LANE_WAITS && lane_at(&self->table, number)->back == LANE_NONE) {
        return 0;
    }
    /* One that holds, or held, is not in the chain. */
    uint64_t next = comes_back && was != LANE_HOLDS ? lane_after(&self->table, offset) : LANE_NONE;
    if (lane_entry_set(&self->table, offset, state) < 0) {
        return ZSP_ENOMEM;
    }
    if (was == LANE_HOLDS && state == LANE_WAITS) {
        next = lane_after(&self->table, offset);
    }
    if (next != LANE_NONE && lane_entry(&self->table, next)->state == LANE_OUT) {
        lanes_recall_later(self, number, offset);
    }
    return make_dirty(self, number);
}

/* Was the scan not there yet, or did it pass by what lies there, all of it over, and was not to look at more? */
static bool is_beyond(const struct lanes *self, uint64_t offset)
{
    return offset >= self->cursor || offset >= self->reach;
}

/* A dead message that holds is known wherever it lies. One that comes back beyond the cursor is
 * forgotten until the scan is there: nobody knows yet what of its key lies before it. */
static int forget_beyond(struct lanes *self, uint64_t offset, enum lane_state state)
{
    const struct lane_entry *entry = lane_entry(&self->table, offset);
    const bool held = entry && entry->state == LANE_HOLDS;
    return held && state != LANE_HOLDS && is_beyond(self, offset) ? change(self, offset, LANE_OVER)
                                                                  : 0;
}

/* [first, end), of which all is equal. */
static int touch_span(struct lanes *self, uint64_t first, uint64_t end, const struct run *run)
{
    struct ledger *ledger = self->ledger;
    const bool is_wanted = run->state != RUN_NONE && meaning(self, run, first) != LANE_OVER;
    int rc = 0;
    while (rc == 0 && first < end) {
        const uint64_t from = is_wanted ? first : lane_entry_skip(&self->table, first, end);
        if (from == end) {
            break;
        }
        first = from + 1;
        rc = forget_beyond(self, from, meaning(self, run, from));
        if (rc == 0 && lane_entry(&self->table, from)) {
            rc = change(self, from, meaning(self, run, from));
        } else if (rc == 0 && is_wanted) {
            rc = run->state == RUN_READY ? lanes_set_state(ledger, from, first, RUN_PARKED) : 0;
            /* The scan passes what is dead, and yet that holds its key. */
            const bool is_passed = !is_beyond(self, from) || run->state == RUN_DEAD;
            if (!is_passed && from < self->cursor) {
                self->cursor = from;
            }
            rc = rc == 0 && is_passed ? lanes_push_unread(self, from, first) : rc;
        }
    }
    return rc;
}

/* READY messages that are not the first of their lane are PARKED. */
static int park(struct lanes *self, uint64_t first, uint64_t end)
{
    struct ledger *ledger = self->ledger;
    struct run_span span;
    int rc = 0;
    while (rc == 0 && first < end &&
           runmap_next(&ledger->runs, first, RUN_CLASS_READY | RUN_CLASS_LIMITED, &span) &&
           span.first < end) {
        uint64_t at = span.first > first ? span.first : first;
        const uint64_t last = span.end < end ? span.end : end;
        for (first = last; at < last && rc == 0; at++) {
            const struct lane_entry *entry = lane_entry(&self->table, at);
            if (entry && entry->lane != LANE_FREE &&
                lane_at(&self->table, entry->lane)->ready != at) {
                rc = lanes_set_state(ledger, at, at + 1, RUN_PARKED);
            }
        }
    }
    return rc;
}

int lanes_learned(struct lanes *self, uint64_t first, uint64_t end)
{
    int rc = settle_lanes(self);
    return rc == 0 ? park(self, first, end) : rc;
}

static int touch(struct lanes *self, uint64_t first, uint64_t end)
{
    const struct run none = {.state = RUN_NONE};
    struct ledger *ledger = self->ledger;
    struct run_span span;
    uint64_t pos = first;
    int rc = 0;
    while (rc == 0 && pos < end) {
        const bool found = runmap_next(&ledger->runs, pos, RUN_CLASS_ANY, &span);
        if (found && span.first <= pos) {
            const uint64_t next = span.end < end ? span.end : end;
            rc = touch_span(self, pos, next, &span.run);
            pos = next;
        } else {
            const uint64_t next = found && span.first < end ? span.first : end;
            rc = touch_span(self, pos, next, &none);
            pos = next;
        }
    }
    return rc == 0 ? lanes_learned(self, first, end) : rc;
}

void lanes_touch(struct ledger *ledger, uint64_t first, uint64_t end)
{
    if (ledger_lanes(ledger) && touch(ledger_lanes(ledger), first, end) < 0) {
        group_out_of_memory(ledger->ways->lanes->groups);
    }
}
