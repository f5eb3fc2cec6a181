/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/ledger/agenda.h"

#include <inttypes.h>
#include <stdlib.h>

#include "broker/engine/group/group.h"
#include "broker/engine/ledger/levels.h"
#include "broker/engine/order/fair.h"
#include "broker/engine/order/lanes.h"
#include "broker/engine/replay/side_replay.h"
#include "common/container.h"
#include "common/diag.h"

/* The timer runs on broker time, which knows nothing of what happens to the clock meanwhile. */
#define AGENDA_LOOK_MS 30000
/* Runs that come due in one turn; the rest a millisecond later. */
#define DUE_RUNS_MAX 1024u
/* Stretches added between two looks for what is no longer needed. */
#define PRUNE_EVERY 256u
/* Stretches of a load that are put in together. */
#define LOAD_SPANS 256u
/* The wait before a load that failed is tried again, doubled each time. */
#define LOAD_AGAIN_MS     1000
#define LOAD_AGAIN_MAX_MS 60000
/* So long a load is waited for; then its groups go on with their other partitions. */
#define LOAD_PATIENCE_MS 2000
/* Nobody has pulled for a group for so long: what it needs is forgotten, and read when it comes back. */
#define GROUP_IDLE_MS 600000

/* What lies below `from` is read in stretches, upwards. */
struct agenda_load {
    struct engine_op op; /* first: its address is the tag */
    struct agenda *agenda;
    uint64_t first, next, end;
    int64_t late_ms;   /* broker time from which on it is not waited for */
    int64_t again_ms;  /* while it waits: until then */
    unsigned failures; /* in a row */
    bool waits;        /* for the timer, after a failure */
};

void agenda_init(struct engine *engine)
{
    run_slab_init(&engine->agenda_slab, NULL);
}

void agenda_fini(struct engine *engine)
{
    run_slab_fini(&engine->agenda_slab);
}

static void agenda_fired(struct engine *engine, struct timer *timer);

int agenda_open(struct engine *engine, struct partition *partition, uint64_t from)
{
    struct agenda *self = calloc(1, sizeof *self);
    if (!self) {
        return ZSP_ENOMEM;
    }
    runmap_init(&self->map, &engine->agenda_slab);
    self->partition = partition;
    self->from = from;
    self->due.fire_fn = agenda_fired;
    partition->agenda = self;
    return 0;
}

void agenda_close(struct engine *engine, struct partition *partition)
{
    struct agenda *self = partition->agenda;
    if (!self) {
        return;
    }
    engine_cancel(engine, TIMER_WAIT, &self->due);
    runmap_fini(&self->map);
    free(self->load);
    free(self);
    partition->agenda = NULL;
}

/* --- Time ------------------------------------------------------------------------------------------ */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void arm(struct engine *engine, struct agenda *self)
{
    struct run_span span;
    int64_t wait_ms = INT64_MAX;
    if (runmap_due(&self->map, &span)) {
        wait_ms = span.run.due_ms - engine->now.wall_ms;
        wait_ms = wait_ms < AGENDA_LOOK_MS ? wait_ms : AGENDA_LOOK_MS;
    }
    if (self->load && self->load->waits) {
        wait_ms = earlier(wait_ms, self->load->again_ms - engine->clock.broker_ms);
    }
    if (self->load && !self->is_late) {
        wait_ms = earlier(wait_ms, self->load->late_ms - engine->clock.broker_ms);
    }
    if (wait_ms == INT64_MAX) {
        engine_cancel(engine, TIMER_WAIT, &self->due);
        return;
    }
    engine_arm(engine, TIMER_WAIT, &self->due,
               engine->clock.broker_ms + (wait_ms > 0 ? wait_ms : 0));
}

static void tell_ledgers(struct engine *engine, const struct agenda *self,
                         const struct run_span *span)
{
    struct ledger *ledger = self->partition->ledger_first;
    for (; ledger; ledger = ledger->next) {
        if (ledger_levels(ledger) && levels_due(ledger, span) < 0) {
            group_out_of_memory(engine->groups);
            return;
        }
    }
}

static void ledgers_changed(struct engine *engine, const struct agenda *self)
{
    struct ledger *ledger = self->partition->ledger_first;
    for (; ledger; ledger = ledger->next) {
        if (ledger_levels(ledger)) {
            group_ledger_changed(engine->groups, ledger);
        }
    }
}

/* Messages whose time has come; false = there are more. */
static bool take_due(struct engine *engine, struct agenda *self)
{
    struct run_span span;
    for (uint32_t left = DUE_RUNS_MAX; left > 0; left--) {
        if (!runmap_due(&self->map, &span) || span.run.due_ms > engine->now.wall_ms) {
            return true;
        }
        const struct run run = {.state = span.run.urgency != 0 ? RUN_READY : RUN_NONE,
                                .urgency = span.run.urgency};
        if (runmap_set(&self->map, span.first, span.end, &run) < 0) {
            group_out_of_memory(engine->groups);
            return true;
        }
        tell_ledgers(engine, self, &span);
    }
    return false;
}

static void load_read(struct engine *engine, struct agenda_load *load);

static void agenda_fired(struct engine *engine, struct timer *timer)
{
    struct agenda *self = CONTAINER_OF(timer, struct agenda, due);
    const int64_t now_ms = engine->clock.broker_ms;
    const bool all = take_due(engine, self);
    self->is_late = self->is_late || (self->load && self->load->late_ms <= now_ms);
    ledgers_changed(engine, self);
    if (self->load && self->load->waits && self->load->again_ms <= now_ms) {
        load_read(engine, self->load);
    }
    if (all) {
        arm(engine, self);
    } else {
        engine_arm(engine, TIMER_WAIT, timer, engine->clock.broker_ms + 1);
    }
}

void agenda_clock_jumped(struct engine *engine)
{
    for (size_t i = 0; i < engine->catalog.topics.count; i++) {
        struct topic *topic = engine->catalog.topics.slots[i].value;
        for (uint32_t k = 0; (topic->marks & TOPIC_MARK_AGENDA) != 0 && k < topic->partition_count;
             k++) {
            if (topic->partitions[k]->agenda) {
                arm(engine, topic->partitions[k]->agenda);
            }
        }
    }
}

/* --- Coming in, going out ----------------------------------------------------------------------- */

/* Does nobody pull for the group any more? */
static bool is_abandoned(const struct engine *engine, const struct group *group)
{
    return !group_is_awaited(group) && !group_first_working(group) &&
           engine->clock.broker_ms - group->pulled_ms > GROUP_IDLE_MS;
}

/* Forget what no group can hand out any more. Ledgers without levels have not been served since the
 * start: for them, and for groups that nobody pulls for, it is read again. */
static void prune(struct engine *engine, struct agenda *self)
{
    const struct run none = {.state = RUN_NONE};
    uint64_t needed = self->partition->synced_offset;
    bool forgets = false;
    const struct ledger *ledger = self->partition->ledger_first;
    for (; ledger; ledger = ledger->next) {
        if (!ledger_levels(ledger) || ledger->journaled >= needed || !levels_are_known(ledger)) {
            continue;
        }
        if (is_abandoned(engine, ledger->group)) {
            forgets = true;
        } else {
            needed = ledger->journaled;
        }
    }
    self->adds = 0;
    if (self->load || needed <= self->from) {
        return;
    }
    if (runmap_set(&self->map, self->from, needed, &none) < 0) {
        group_out_of_memory(engine->groups);
        return;
    }
    self->from = needed;
    if (forgets) {
        ledgers_changed(engine, self); /* they are not known any more */
    }
}

/* What is known of a stretch that has come; false = nothing is. */
static bool is_noted(const struct engine *engine, struct run_span *span)
{
    const bool waits = span->run.due_ms > engine->now.wall_ms;
    span->run.state = waits ? RUN_WAITING : RUN_READY;
    span->run.due_ms = waits ? span->run.due_ms : 0;
    return waits || span->run.urgency != 0;
}

static struct run_span stretch(uint64_t first, uint64_t end, unsigned priority,
                               int64_t not_before_ms)
{
    return (struct run_span){
        .first = first,
        .end = end,
        .run = {.due_ms = not_before_ms, .urgency = (int8_t)((int)priority - (int)ZSP_PRIORITY)}};
}

void agenda_add(struct engine *engine, struct partition *partition, uint64_t first, uint64_t end,
                unsigned priority, int64_t not_before_ms)
{
    struct run_span span = stretch(first, end, priority, not_before_ms);
    if (!partition->agenda && agenda_open(engine, partition, 0) < 0) {
        group_out_of_memory(engine->groups);
        return;
    }
    struct agenda *self = partition->agenda;
    if (is_noted(engine, &span) && runmap_set(&self->map, span.first, span.end, &span.run) < 0) {
        group_out_of_memory(engine->groups);
        return;
    }
    if (++self->adds >= PRUNE_EVERY) {
        prune(engine, self);
    }
    arm(engine, self);
}

void agenda_tell(struct groups *groups, struct ledger *ledger)
{
    const struct partition *partition = ledger->partition;
    if (partition->agenda && !ledger_levels(ledger) && levels_make(ledger, partition->agenda) < 0) {
        group_out_of_memory(groups);
        return;
    }
    levels_mark(ledger, ledger->group->side ? side_replay_mark(ledger, partition->synced_offset)
                                            : partition->synced_offset);
}

/* --- Loading --------------------------------------------------------------------------------------- */

static void load_ends(struct engine *engine, struct agenda *self)
{
    struct ledger *ledger = self->partition->ledger_first;
    for (; ledger; ledger = ledger->next) {
        levels_restart(ledger);
        if (!levels_are_known(ledger)) { /* what was left out may be due by what is known now */
            fair_restart(ledger);
            lanes_drop(ledger);
        }
    }
    self->from = self->load->first;
    self->is_late = false;
    free(self->load);
    self->load = NULL;
    ledgers_changed(engine, self);
    arm(engine, self);
    agenda_want(engine, self->partition); /* somebody else may need more */
}

/* What was found, put in together: it is in order. */
static int load_terms(struct engine *engine, struct agenda_load *load,
                      const struct store_completion *completion)
{
    struct run_span spans[LOAD_SPANS];
    size_t count = 0;
    int rc = 0;
    for (uint32_t i = 0; i < completion->terms_count && rc == 0; i++) {
        const struct store_terms *terms = &completion->terms[i];
        struct run_span *span = &spans[count];
        *span =
            stretch(terms->first_offset, terms->end_offset, terms->priority, terms->not_before_ms);
        span->first = span->first > load->next ? span->first : load->next;
        span->end = span->end < load->end ? span->end : load->end;
        count += span->first < span->end && is_noted(engine, span) ? 1 : 0;
        if (count == LOAD_SPANS) {
            rc = runmap_set_all(&load->agenda->map, spans, count);
            count = 0;
        }
    }
    return rc == 0 ? runmap_set_all(&load->agenda->map, spans, count) : rc;
}

/* It is tried again later; meanwhile its groups go on without this partition. */
static void load_failed(struct engine *engine, struct agenda_load *load,
                        const struct zsp_err *error)
{
    struct agenda *self = load->agenda;
    const unsigned doubled = load->failures < 6 ? load->failures : 6;
    const int64_t wait_ms = earlier((int64_t)LOAD_AGAIN_MS << doubled, LOAD_AGAIN_MAX_MS);
    zsp_diag(engine->diag, ZSP_WARNING,
             "%s: partition %" PRIu32 ": priorities and delays of what it holds cannot be read, "
             "again in %" PRId64 " ms: %s",
             self->partition->topic->object, self->partition->index, wait_ms,
             error->code != 0 ? error->msg : "the store read nothing");
    load->failures++;
    load->waits = true;
    load->again_ms = engine->clock.broker_ms + wait_ms;
    self->is_late = true;
    ledgers_changed(engine, self);
    arm(engine, self);
}

static void load_done(struct engine *engine, struct engine_op *op,
                      const struct store_completion *completion)
{
    struct agenda_load *load = (struct agenda_load *)op;
    struct agenda *self = load->agenda;
    const uint64_t before = load->next;
    switch (completion->error.code) {
    case 0:
        if (load_terms(engine, load, completion) < 0) {
            group_out_of_memory(engine->groups);
            return;
        }
        load->next = completion->covered.end_offset;
        break;
    case ZSP_EOUT_OF_RANGE: /* retention was faster */
        load->next = self->partition->start_offset;
        break;
    case ZSP_ENOT_FOUND:
        return; /* the topic is going, and this with it */
    default:
        break;
    }
    if (load->next >= load->end) {
        load_ends(engine, self);
    } else if (load->next > before) {
        load->failures = 0;
        load_read(engine, load);
    } else {
        load->next = before;
        load_failed(engine, load, &completion->error);
    }
}

static void load_read(struct engine *engine, struct agenda_load *load)
{
    const struct store_read_terms read = {
        .part = load->agenda->partition->part,
        .from_offset = load->next,
        .to_offset = load->end,
        .tag = engine_op_tag(&load->op),
    };
    struct zsp_err error = {0};
    load->waits = false;
    if (engine->store->ops->read_terms(engine->store, &read, &error) < 0) {
        load_failed(engine, load, &error);
    }
}

void agenda_want(struct engine *engine, struct partition *partition)
{
    struct agenda *self = partition->agenda;
    uint64_t first = self ? self->from : 0;
    const struct ledger *ledger = partition->ledger_first;
    for (; self && !self->load && ledger; ledger = ledger->next) {
        if (ledger_levels(ledger) && group_is_awaited(ledger->group) && ledger->journaled < first) {
            first = ledger->journaled;
        }
    }
    if (!self || self->load || first >= self->from) {
        return;
    }
    struct agenda_load *load = calloc(1, sizeof *load);
    if (!load) {
        group_out_of_memory(engine->groups);
        return;
    }
    const uint64_t start = partition->start_offset;
    load->op.done_fn = load_done;
    load->agenda = self;
    load->first = first;
    load->next = first > start ? first : start;
    load->end = self->from;
    load->late_ms = engine->clock.broker_ms + LOAD_PATIENCE_MS;
    self->load = load;
    if (load->next >= load->end) {
        load_ends(engine, self);
        return;
    }
    load_read(engine, load);
    arm(engine, self);
}
