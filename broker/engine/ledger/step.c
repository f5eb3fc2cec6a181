/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/ledger/step.h"

#include <stdlib.h>

#include "broker/engine/ledger/ledger_codec.h"
#include "broker/engine/ledger/levels.h"
#include "broker/engine/ledger/step_priv.h"
#include "broker/engine/order/lanes.h"
#include "broker/engine/state.h"
#include "common/assert.h"

/* Runs that a reset puts into a map together. */
#define DEAD_TOGETHER 256u

void step_init(struct step *self, struct lease_table *leases, const struct step_hooks *hooks)
{
    *self = (struct step){.hooks = *hooks, .leases = leases};
}

void step_fini(struct step *self)
{
    free(self->undo);
    free(self->touches);
    free(self->ledgers);
    free(self->lease_notes);
    free(self->entries);
    free(self->sealed);
    zsp_writer_fini(&self->bytes);
    *self = (struct step){0};
}

void *step_grow(void *items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity) {
        return items;
    }
    const size_t wanted = *capacity > 0 ? *capacity * 2 : 16;
    if (wanted > SIZE_MAX / size) {
        return NULL;
    }
    void *grown = realloc(items, wanted * size);
    if (grown) {
        *capacity = wanted;
    }
    return grown;
}

void step_begin(struct step *self)
{
    zsp_assert(!self->open);
    self->open = true;
    self->durable = false;
    self->undo_count = self->touch_count = self->ledger_count = 0;
    self->lease_count = self->entry_count = 0;
    zsp_writer_reset(&self->bytes);
}

/* --- Notes of how it was ------------------------------------------------------------------ */

static int note_ledger(struct step *self, struct ledger *ledger)
{
    if (ledger->step_slot != 0) {
        return 0;
    }
    struct step_ledger *ledgers =
        step_grow(self->ledgers, self->ledger_count, &self->ledger_capacity, sizeof *ledgers);
    if (!ledgers) {
        return ZSP_ENOMEM;
    }
    self->ledgers = ledgers;
    ledgers[self->ledger_count++] = (struct step_ledger){
        .ledger = ledger,
        .high = ledger->high,
        .journaled = ledger->journaled,
        .water = ledger->water,
        .above = ledger->above,
        .expired = ledger_rare_of(ledger)->expired,
        .compacted = ledger_rare_of(ledger)->compacted,
    };
    ledger->step_slot = (uint32_t)self->ledger_count & LEDGER_STEP_SLOT_MAX;
    return 0;
}

static int note_lease(struct step *self, struct lease *lease)
{
    if (lease->step_slot != 0) {
        return 0;
    }
    struct step_lease *notes =
        step_grow(self->lease_notes, self->lease_count, &self->lease_capacity, sizeof *notes);
    if (!notes) {
        return ZSP_ENOMEM;
    }
    self->lease_notes = notes;
    notes[self->lease_count++] = (struct step_lease){
        .lease = lease,
        .outstanding = lease->outstanding,
        .deadline_ms = lease->deadline_ms,
    };
    lease->step_slot = (uint32_t)self->lease_count;
    return 0;
}

static int note_touch(struct step *self, const struct ledger *ledger, uint64_t first, uint64_t end)
{
    struct step_touch *touches =
        step_grow(self->touches, self->touch_count, &self->touch_capacity, sizeof *touches);
    if (!touches) {
        return ZSP_ENOMEM;
    }
    self->touches = touches;
    touches[self->touch_count++] =
        (struct step_touch){.ledger_index = ledger->step_slot - 1, .first = first, .end = end};
    self->durable = true;
    return 0;
}

/* A stretch as it was, until it is put back or forgotten; holds its reasons. */
static int note_undo(struct step *self, struct ledger *ledger, const struct run_span *span)
{
    struct step_undo *undo =
        step_grow(self->undo, self->undo_count, &self->undo_capacity, sizeof *undo);
    if (!undo) {
        return ZSP_ENOMEM;
    }
    self->undo = undo;
    undo[self->undo_count++] = (struct step_undo){.ledger = ledger, .span = *span};
    reasons_hold(ledger->runs.slab->reasons, span->run.reasons);
    return 0;
}

struct undo_walk {
    struct step *step;
    struct ledger *ledger;
    uint64_t lease; /* of the run that comes; 0 = none */
    uint64_t pos;   /* noted up to here */
};

static int note_gap(struct undo_walk *walk, uint64_t end)
{
    if (walk->pos == end) {
        return 0;
    }
    const struct run_span gap = {.first = walk->pos, .end = end};
    walk->pos = end;
    return note_undo(walk->step, walk->ledger, &gap);
}

/* One run that the change covers: note it, and the lease it leaves. */
static int note_run(void *arg, const struct run_span *span)
{
    struct undo_walk *walk = arg;
    int rc = note_gap(walk, span->first);
    if (rc == 0 && span->run.state == RUN_LEASED && span->run.lease != walk->lease) {
        struct lease *lease = lease_find(walk->step->leases, span->run.lease);
        rc = lease ? note_lease(walk->step, lease) : 0;
    }
    if (rc == 0) {
        rc = note_undo(walk->step, walk->ledger, span);
        walk->pos = span->end;
    }
    return rc;
}

/* Take the noted runs' messages off their leases. */
static void leave_leases(struct step *self, size_t undo_first, uint64_t lease_number)
{
    for (size_t i = undo_first; i < self->undo_count; i++) {
        const struct run_span *span = &self->undo[i].span;
        if (span->run.state != RUN_LEASED || span->run.lease == lease_number) {
            continue;
        }
        struct lease *lease = lease_find(self->leases, span->run.lease);
        if (lease) {
            zsp_assert(lease->outstanding >= span->end - span->first);
            lease->outstanding -= span->end - span->first;
        }
    }
}

/* Of the noted stretches: messages at or above `high` that had a run. */
static uint64_t count_above(const struct step *self, size_t undo_first, uint64_t high)
{
    uint64_t count = 0;
    for (size_t i = undo_first; i < self->undo_count; i++) {
        const struct run_span *span = &self->undo[i].span;
        const uint64_t first = span->first > high ? span->first : high;
        count += span->run.state != RUN_NONE && span->end > first ? span->end - first : 0;
    }
    return count;
}

static void forget_undo(struct step *self, size_t from)
{
    while (self->undo_count > from) {
        const struct step_undo *undo = &self->undo[--self->undo_count];
        reasons_drop(undo->ledger->runs.slab->reasons, undo->span.run.reasons);
    }
}

/* --- Changes -------------------------------------------------------------------------------- */

static int change(struct step *self, struct ledger *ledger, uint64_t first, uint64_t end,
                  const struct run *run)
{
    zsp_assert(self->open);
    const size_t undo_first = self->undo_count;
    struct undo_walk walk = {.step = self, .ledger = ledger, .lease = run->lease, .pos = first};
    int rc = note_ledger(self, ledger);
    if (rc == 0) {
        rc = runmap_visit(&ledger->runs, first, end, note_run, &walk);
    }
    if (rc == 0) {
        rc = note_gap(&walk, end);
    }
    /* Twice: for this change, and so that taking it back cannot fail. */
    if (rc == 0) {
        rc = run_slab_reserve(ledger->runs.slab, 2 * RUNMAP_NODES);
    }
    if (rc == 0) {
        rc = runmap_set(&ledger->runs, first, end, run);
    }
    if (rc < 0) {
        forget_undo(self, undo_first);
        return rc;
    }
    leave_leases(self, undo_first, run->lease);
    if (end > ledger->high) {
        zsp_assert(run->state != RUN_NONE); /* see step_set() */
        const uint64_t from = first > ledger->high ? first : ledger->high;
        ledger->above += end - from - count_above(self, undo_first, ledger->high);
        ledger_pass(ledger);
    }
    return 0;
}

/* Move `journaled` to `to` and over what is durable behind it; what is DONE there goes. */
static int raise_journaled(struct step *self, struct ledger *ledger, uint64_t to)
{
    const struct run none = {.state = RUN_NONE};
    uint64_t from = ledger->journaled;
    struct run_span span;
    int rc = note_touch(self, ledger, from, to); /* untouched runs become durable */
    while (to < ledger->high && runmap_next(&ledger->runs, to, RUN_CLASS_ANY, &span) &&
           !ledger_is_untouched(&span.run)) {
        to = span.end;
    }
    ledger->journaled = to;
    while (rc == 0 && from < to && runmap_next(&ledger->runs, from, RUN_CLASS_DONE, &span) &&
           span.first < to) {
        span.first = span.first > from ? span.first : from;
        from = span.end < to ? span.end : to;
        rc = note_touch(self, ledger, span.first, from);
        if (rc == 0) {
            rc = change(self, ledger, span.first, from, &none);
        }
    }
    return rc;
}

int step_set(struct step *self, struct ledger *ledger, uint64_t first, uint64_t end,
             const struct run *run)
{
    static const struct run done = {.state = RUN_DONE};
    const bool is_above = first >= ledger->high;
    zsp_assert(is_above || end <= ledger->high);
    int rc = note_ledger(self, ledger);
    if (rc == 0 && (is_above || first < ledger->journaled)) { /* else raising notes it */
        rc = note_touch(self, ledger, first, end);
    }
    if (rc == 0) {
        rc = change(self, ledger, first, end, is_above && run->state == RUN_NONE ? &done : run);
    }
    if (rc == 0 && end > ledger->journaled && end <= ledger->high) {
        rc = raise_journaled(self, ledger, end);
    }
    ledger->water = ledger->water > end ? ledger->water : end;
    return rc;
}

int step_count_expired(struct step *self, struct ledger *ledger, uint64_t count)
{
    int rc = note_ledger(self, ledger);
    struct ledger_rare *const rare = rc == 0 ? ledger_rare_open(ledger) : NULL;
    if (!rare) {
        return ZSP_ENOMEM;
    }
    rare->expired += count;
    self->durable = true;
    return 0;
}

int step_count_compacted(struct step *self, struct ledger *ledger, uint64_t count)
{
    int rc = note_ledger(self, ledger);
    struct ledger_rare *const rare = rc == 0 ? ledger_rare_open(ledger) : NULL;
    if (!rare) {
        return ZSP_ENOMEM;
    }
    rare->compacted += count;
    self->durable = true;
    return 0;
}

int step_mark(struct step *self, struct ledger *ledger, uint64_t first, uint64_t end,
              const struct run *run)
{
    return change(self, ledger, first, end, run);
}

int step_move(struct step *self, struct ledger *ledger, uint64_t to)
{
    int rc = note_ledger(self, ledger);
    if (rc < 0) {
        return rc;
    }
    self->ledgers[ledger->step_slot - 1].moved = true;
    lanes_drop(ledger);
    ledger->high = ledger->journaled = to;
    ledger->water = ledger->water > to ? ledger->water : to;
    rc = ledger_recount(ledger);
    zsp_assert(rc == 0); /* none is DONE: no run goes, so that there is nothing to note either */
    ledger->journaled = ledger->high;
    ledger->water = ledger->water > ledger->high ? ledger->water : ledger->high;
    self->durable = true;
    return 0;
}

/* What stays of runs at a reset: put in together. */
static int copy_dead(struct runmap *to_map, const struct runmap *from_map, uint64_t to,
                     bool keeps_dead)
{
    struct run_span spans[DEAD_TOGETHER];
    size_t count = 0;
    uint64_t from = 0;
    int rc = 0;
    while (rc == 0 && runmap_next(from_map, from, RUN_CLASS_DEAD, &spans[count])) {
        struct run_span *span = &spans[count];
        from = span->end;
        span->run.limit = 0; /* it holds nothing back any more */
        if (!keeps_dead && span->end > to) {
            span->end = to;
        }
        count += span->first < span->end ? 1 : 0;
        if (count == DEAD_TOGETHER) {
            rc = runmap_set_all(to_map, spans, count);
            count = 0;
        }
    }
    return rc == 0 ? runmap_set_all(to_map, spans, count) : rc;
}

/* Is there nothing but dead runs, all of which stay as they are? */
static bool stays(const struct runmap *runs, uint64_t to, bool keeps_dead)
{
    struct run_span span;
    return (runmap_classes(runs) & ~(unsigned)(RUN_CLASS_DEAD | RUN_CLASS_OWING)) == 0 &&
           (keeps_dead || !runmap_next(runs, to, RUN_CLASS_DEAD, &span));
}

int step_reset(struct step *self, struct ledger *ledger, uint64_t to, bool keeps_dead)
{
    if (stays(&ledger->runs, to, keeps_dead)) {
        return step_move(self, ledger, to);
    }
    struct runmap dead;
    runmap_init(&dead, ledger->runs.slab);
    int rc = note_ledger(self, ledger);
    if (rc == 0) {
        rc = copy_dead(&dead, &ledger->runs, to, keeps_dead);
    }
    if (rc < 0) {
        runmap_fini(&dead);
        return rc;
    }
    struct step_ledger *note = &self->ledgers[ledger->step_slot - 1];
    zsp_assert(!note->replaced);
    note->replaced = true;
    note->runs = ledger->runs;
    ledger->runs = dead;
    return step_move(self, ledger, to);
}

int step_replace(struct step *self, struct ledger *ledger, struct ledger *made)
{
    int rc = note_ledger(self, ledger);
    if (rc < 0) {
        return rc;
    }
    struct step_ledger *note = &self->ledgers[ledger->step_slot - 1];
    zsp_assert(!note->replaced);
    note->replaced = true;
    note->runs = ledger->runs;
    lanes_drop(ledger);
    ledger->runs = made->runs;
    runmap_init(&made->runs, ledger->runs.slab);
    ledger->high = made->high;
    ledger->journaled = made->journaled;
    ledger->above = made->above;
    ledger->water = ledger->water > made->high ? ledger->water : made->high;
    levels_restart(ledger);
    self->durable = true;
    return 0;
}

/* The note of a ledger that was reset or replaced in this step; NULL = it was not. */
static const struct step_ledger *replaced_note(const struct step *self, const struct ledger *ledger)
{
    const struct step_ledger *note =
        ledger && ledger->step_slot != 0 ? &self->ledgers[ledger->step_slot - 1] : NULL;
    return note && note->replaced ? note : NULL;
}

/* What the lease loses; it has at least one of the ledgers. */
static uint64_t lost_of(const struct step *self, const struct lease *lease)
{
    uint64_t lost = 0;
    for (size_t i = 0; i < lease->span_count; i++) {
        const struct ledger *ledger = lease->spans[i].ledger;
        if (ledger && !replaced_note(self, ledger)) {
            for (size_t k = 0; k < self->ledger_count; k++) {
                const struct step_ledger *note = &self->ledgers[k];
                lost += note->replaced
                            ? lease_out_in(lease, note->ledger, &note->runs, 0, UINT64_MAX)
                            : 0;
            }
            return lost;
        }
    }
    return lease->outstanding;
}

int step_lose_leases(struct step *self, struct lease *first)
{
    for (struct lease *lease = first; lease; lease = lease->next) {
        bool any = false;
        for (size_t i = 0; i < lease->span_count && !any; i++) {
            any = replaced_note(self, lease->spans[i].ledger) != NULL;
        }
        const int rc = any ? note_lease(self, lease) : 0;
        if (rc < 0) {
            return rc;
        }
        const uint64_t lost = any ? lost_of(self, lease) : 0;
        zsp_assert(lost <= lease->outstanding);
        lease->outstanding -= lost;
    }
    return 0;
}

int step_lease(struct step *self, struct lease *lease)
{
    int rc = note_lease(self, lease);
    if (rc == 0) {
        self->lease_notes[lease->step_slot - 1].write = true;
        self->durable = true;
    }
    return rc;
}

bool step_is_durable(const struct step *self)
{
    return self->durable;
}

/* --- The end -------------------------------------------------------------------------------- */

/* Tell lanes what has changed. */
static void tell_lanes(const struct step *self)
{
    for (size_t i = 0; i < self->undo_count; i++) {
        const struct step_undo *undo = &self->undo[i];
        if (ledger_lanes(undo->ledger)) {
            lanes_touch(undo->ledger, undo->span.first, undo->span.end);
        }
    }
}

static void close_step(struct step *self)
{
    tell_lanes(self);
    forget_undo(self, 0);
    self->open = false;
    for (size_t i = 0; i < self->lease_count; i++) {
        self->lease_notes[i].lease->step_slot = 0;
    }
    for (size_t i = 0; i < self->ledger_count; i++) {
        self->ledgers[i].ledger->step_slot = 0;
    }
    for (size_t i = 0; i < self->ledger_count; i++) {
        self->hooks.changed_fn(self->hooks.arg, self->ledgers[i].ledger);
    }
}

void step_undo(struct step *self)
{
    zsp_assert(self->open);
    for (size_t i = self->undo_count; i > 0; i--) {
        const struct step_undo *undo = &self->undo[i - 1];
        int rc = runmap_set(&undo->ledger->runs, undo->span.first, undo->span.end, &undo->span.run);
        zsp_assert(rc == 0); /* the nodes are in reserve, see change() */
    }
    for (size_t i = 0; i < self->ledger_count; i++) {
        const struct step_ledger *note = &self->ledgers[i];
        if (note->replaced) {
            runmap_fini(&note->ledger->runs);
            note->ledger->runs = note->runs;
        }
        note->ledger->high = note->high;
        note->ledger->journaled = note->journaled;
        note->ledger->water = note->water;
        note->ledger->above = note->above;
        if (note->ledger->rare) {
            note->ledger->rare->expired = note->expired;
            note->ledger->rare->compacted = note->compacted;
        }
        if (note->replaced || note->moved) {
            levels_restart(note->ledger);
        }
    }
    for (size_t i = 0; i < self->lease_count; i++) {
        const struct step_lease *note = &self->lease_notes[i];
        note->lease->outstanding = note->outstanding;
        note->lease->deadline_ms = note->deadline_ms;
    }
    close_step(self);
}

static void keep_blocks(struct step *self)
{
    for (size_t i = 0; i < self->touch_count; i++) {
        const struct step_touch *touch = &self->touches[i];
        struct ledger *ledger = self->ledgers[touch->ledger_index].ledger;
        const uint64_t last = (touch->end - 1) / ZSP_STATE_BLOCK;
        for (uint64_t block = touch->first / ZSP_STATE_BLOCK; block <= last; block++) {
            const uint64_t base = block * ZSP_STATE_BLOCK;
            if (ledger_has_durable(ledger, base, base + ZSP_STATE_BLOCK)) {
                block_set_add(&ledger->blocks, block);
            } else {
                block_set_remove(&ledger->blocks, block);
            }
        }
    }
}

static void keep_resets(struct step *self)
{
    for (size_t i = 0; i < self->ledger_count; i++) {
        struct step_ledger *note = &self->ledgers[i];
        struct block_set *blocks = &note->ledger->blocks;
        if (!note->replaced) {
            continue;
        }
        runmap_fini(&note->runs);
        for (size_t k = block_set_count(blocks); k > 0; k--) {
            const uint64_t block = block_set_at(blocks, k - 1);
            const uint64_t base = block * ZSP_STATE_BLOCK;
            if (!ledger_has_durable(note->ledger, base, base + ZSP_STATE_BLOCK)) {
                block_set_remove(blocks, block);
            }
        }
        for (uint64_t block = 0; ledger_next_block(note->ledger, &block); block++) {
            block_set_add(blocks, block); /* room was made when it was sealed */
        }
    }
}

void step_keep(struct step *self)
{
    zsp_assert(self->open);
    keep_resets(self);
    keep_blocks(self);
    for (size_t i = 0; i < self->ledger_count; i++) {
        struct ledger *ledger = self->ledgers[i].ledger;
        block_set_trim(&ledger->blocks);
        run_slab_trim(ledger->runs.slab);
    }
    close_step(self);
    for (size_t i = 0; i < self->lease_count; i++) {
        struct lease *lease = self->lease_notes[i].lease;
        if (lease->outstanding == 0) {
            self->hooks.lease_over_fn(self->hooks.arg, lease);
        }
    }
}

int step_put(struct step *self, struct engine *engine, enum store_level level, struct engine_op *op,
             struct zsp_err *err)
{
    if (!self->durable) {
        step_keep(self);
        return 0;
    }
    const struct store_entry *entries = NULL;
    size_t count = 0;
    int rc = step_seal(self, &entries, &count, err);
    if (rc == 0 && count > 0) {
        rc = state_put(engine, entries, count, level, op, err);
    }
    if (rc < 0) {
        step_undo(self);
        return rc;
    }
    step_keep(self);
    return 0;
}
