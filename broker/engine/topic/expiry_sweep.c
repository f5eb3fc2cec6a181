/* SPDX-License-Identifier: MPL-2.0
 *
 * What is over and could still be handed out is taken out of the ledgers of a partition.
 */
#include "broker/engine/group/group.h"
#include "broker/engine/group/group_rules.h"
#include "broker/engine/ledger/agenda.h"
#include "broker/engine/ledger/levels.h"
#include "broker/engine/pull/expired.h"
#include "broker/engine/topic/expiry.h"

/* Of one turn: stretches that are looked at, and messages that go. */
#define TURN_STRETCHES 128u
#define TURN_MESSAGES  (UINT64_C(1) << 20)

struct sweep {
    struct engine *engine;
    struct expiry *expiry;
    struct ledger *ledger;
    uint32_t stretches; /* that may be looked at in this turn */
    uint64_t messages;  /* that may go */
};

/* Does the ledger take part? What a filter does not want is done for another reason: that takes a
 * look at the message. */
static bool is_swept(const struct ledger *ledger)
{
    return ledger->group && ledger->group->state == GROUP_LIVE && ledger->binding->joined &&
           !group_filter_of(ledger->group);
}

/* Runs that could be handed out now or later. */
#define FREE_CLASSES \
    ((unsigned)RUN_CLASS_READY | RUN_CLASS_LIMITED | RUN_CLASS_WAITING | RUN_CLASS_PARKED)

/* Runs of the map that this pass looks at. */
static unsigned over_classes(const struct expiry *self)
{
    return RUN_CLASS_READY | (self->pass == EXPIRY_DUE ? 0u : (unsigned)RUN_CLASS_DONE);
}

/* What lies at the place that is looked at, or next behind it, in the stretch `over`: false = the
 * rest of that has nothing. A fresh stretch has no run. */
static bool next_in(const struct sweep *self, const struct run_span *over, struct run_span *ret)
{
    const struct ledger *ledger = self->ledger;
    const uint64_t from = self->expiry->pos;
    const bool is_fresh = from >= ledger->high && self->expiry->pass != EXPIRY_LOOK;
    const unsigned classes = is_fresh ? (unsigned)RUN_CLASS_ANY : FREE_CLASSES | RUN_CLASS_RESERVED;
    bool found = runmap_next(&ledger->runs, from, classes, ret) && ret->first < over->end;
    if (found) {
        ret->first = ret->first > from ? ret->first : from;
        ret->end = ret->end < over->end ? ret->end : over->end;
    }
    if (is_fresh && (!found || ret->first > from)) {
        *ret = (struct run_span){.first = from,
                                 .end = found ? ret->first : over->end,
                                 .run = {.urgency = over->run.urgency}};
        found = true;
    } else if (!is_fresh && self->expiry->pass != EXPIRY_LOOK && over->end > ledger->high &&
               (!found || ret->first >= ledger->high)) {
        *ret = (struct run_span){.first = ledger->high, .end = ledger->high}; /* go on from there */
        found = true;
    }
    return found;
}

/* May it be handed out, but for its time, now or when what it waits for has come? */
static bool is_free(const struct sweep *self, const struct run_span *span)
{
    switch ((enum run_state)span->run.state) {
    case RUN_NONE:
    case RUN_READY:
    case RUN_WAITING:
    case RUN_PARKED:
        return span->end > span->first;
    case RUN_RESERVED: /* a pull finds out, or puts it back */
        self->expiry->seen_to =
            self->expiry->seen_to < span->first ? self->expiry->seen_to : span->first;
        break;
    case RUN_LEASED:
    case RUN_DEAD:
    case RUN_DONE:
    case RUN_STATES:
        break;
    }
    return false;
}

/* For a LOOK: to the next run that could be handed out, so that the cost is that of these or of what is
 * over, whichever is less. False = there is none. */
static bool pass_what_is_finished(const struct sweep *self)
{
    struct run_span span;
    if (self->expiry->pass != EXPIRY_LOOK) {
        return true;
    }
    if (!runmap_next(&self->ledger->runs, self->expiry->pos, FREE_CLASSES | RUN_CLASS_RESERVED,
                     &span)) {
        return false;
    }
    self->expiry->pos = span.first > self->expiry->pos ? span.first : self->expiry->pos;
    return true;
}

/* The next stretch that is over and could be handed out; moves expiry->pos. False = there is none, then
 * pos is at the end, or this turn has looked at enough. */
static bool next_over(struct sweep *self, struct run_span *ret)
{
    struct expiry *const expiry = self->expiry;
    const uint64_t end = ledger_visible_end(self->ledger);
    struct run_span over;
    while (self->stretches > 0 && self->messages > 0) {
        self->stretches--;
        if (!pass_what_is_finished(self) || expiry->pos >= end ||
            !runmap_next(&expiry->map, expiry->pos, over_classes(expiry), &over) ||
            over.first >= end) {
            expiry->pos = UINT64_MAX;
            return false;
        }
        expiry->pos = over.first > expiry->pos ? over.first : expiry->pos;
        over.end = over.end < end ? over.end : end;
        if (!next_in(self, &over, ret)) {
            expiry->pos = over.end;
        } else if (!is_free(self, ret)) {
            expiry->pos = ret->end;
        } else {
            expiry->pos = ret->first;
            if (ret->end - ret->first > self->messages) {
                ret->end = ret->first + self->messages;
            }
            return true;
        }
    }
    return false;
}

/* Does a run like that which the stretch will get lie at its side? */
static bool joins(const struct ledger *ledger, uint64_t first, uint64_t end)
{
    struct run_span left;
    struct run_span right;
    return (runmap_next(&ledger->runs, first - 1, RUN_CLASS_DONE, &left) && left.first < first) ||
           (runmap_next(&ledger->runs, end, RUN_CLASS_DONE, &right) && right.first == end);
}

/* Is it a run of its own, and one too many? */
static bool is_too_far(const struct sweep *self, const struct run_span *span)
{
    struct ledger *const ledger = self->ledger;
    if (span->run.state != RUN_NONE || span->first == ledger->high) {
        return false;
    }
    struct ledger_rare *const rare = ledger_rare_open(ledger);
    if (rare && ledger->above == 0) {
        rare->apart = 0;
    }
    if (!rare || (rare->apart >= self->engine->expiries.apart_max &&
                  !joins(ledger, span->first, span->end))) {
        return true;
    }
    rare->apart += joins(ledger, span->first, span->end) ? 0 : 1;
    return false;
}

/* The open step takes what is over. Errors: ZSP_ENOMEM */
static int take_over(struct sweep *self, struct run_span *span)
{
    struct ledger *const ledger = self->ledger;
    int rc = 0;
    do {
        if (is_too_far(self, span)) {
            self->expiry->seen_to =
                self->expiry->seen_to < span->first ? self->expiry->seen_to : span->first;
            self->expiry->pos = UINT64_MAX;
            break;
        }
        if (span->run.state == RUN_NONE) {
            levels_leave(ledger, span->first, span->end);
        }
        rc = expired_leave_out(self->engine->groups, ledger, span);
        self->messages -= span->end - span->first;
        self->expiry->pos = span->end;
    } while (rc == 0 && next_over(self, span));
    return rc;
}

/* What of one ledger fits in this turn. False = it is to be tried again. */
static bool sweep_ledger(struct sweep *self)
{
    struct engine *const engine = self->engine;
    struct groups *const groups = engine->groups;
    struct ledger *const ledger = self->ledger;
    struct run_span span;
    if (ledger->mark < self->expiry->partition->synced_offset &&
        runmap_next(&self->expiry->map, ledger->mark, over_classes(self->expiry), &span)) {
        agenda_tell(groups, ledger);
        group_ledger_changed(groups, ledger);
    }
    if (!next_over(self, &span)) {
        return true;
    }
    const struct expired_stats stats = expired_stats(engine);
    const uint64_t apart = ledger_rare_of(ledger)->apart;
    const uint64_t pos = self->expiry->pos;
    step_begin(&groups->step);
    int rc = take_over(self, &span);
    if (rc < 0) {
        step_undo(&groups->step);
    } else {
        rc = step_put(&groups->step, engine, STORE_WRITTEN, NULL, NULL);
    }
    if (rc < 0) {
        expired_stats_restore(engine, &stats);
        levels_restart(ledger);
        self->expiry->pos = pos;
        if (ledger->rare) {
            ledger->rare->apart = apart;
        }
    }
    return rc == 0;
}

/* What all ledgers were looked at for is SEEN. */
static void note_seen(struct engine *engine, struct expiry *self)
{
    struct run_span span;
    while (self->pass != EXPIRY_LOOK && runmap_next(&self->map, 0, RUN_CLASS_READY, &span) &&
           span.first < self->seen_to) {
        const uint64_t end = span.end < self->seen_to ? span.end : self->seen_to;
        const struct run seen = {.state = RUN_DONE, .urgency = span.run.urgency};
        if (runmap_set(&self->map, span.first, end, &seen) < 0) {
            group_out_of_memory(engine->groups);
            return;
        }
    }
}

/* All ledgers were looked at: forget what nobody needs, read what somebody does. */
static void end_pass(struct engine *engine, struct expiry *self)
{
    const int64_t rest_ms = expiry_rest(engine, self);
    self->is_passing = false;
    note_seen(engine, self);
    if (!self->load && self->unfinished > self->from) {
        expiry_clear(engine, self, self->from, self->unfinished);
        self->from = self->unfinished;
    }
    if (self->seen_to != UINT64_MAX && self->seen_to >= self->from) {
        expiry_want_pass(engine, self, rest_ms);
    }
    expiry_want_load(engine, self, self->unfinished);
}

/* The journal has no room, or there is no memory: all of it once more, later. */
static void pass_failed(struct engine *engine, struct expiry *self)
{
    const int64_t rest_ms = expiry_rest(engine, self);
    self->is_passing = false;
    if (self->pass == EXPIRY_DUE) {
        expiry_want_pass(engine, self, rest_ms);
    } else {
        expiry_want_full(engine, self);
    }
}

void expiry_turn(struct engine *engine, struct expiry *self)
{
    self->turns++;
    struct sweep sweep = {
        .engine = engine, .expiry = self, .stretches = TURN_STRETCHES, .messages = TURN_MESSAGES};
    while (self->at && sweep.stretches > 0 && sweep.messages > 0) {
        struct ledger *const ledger = self->at;
        sweep.ledger = ledger;
        sweep.stretches--;
        if (is_swept(ledger)) {
            if (!sweep_ledger(&sweep)) {
                pass_failed(engine, self);
                return;
            }
            if (self->pos != UINT64_MAX) {
                return; /* there is more in it */
            }
            const uint64_t committed = ledger_committed(ledger);
            self->unfinished = committed < self->unfinished ? committed : self->unfinished;
        }
        if (ledger->group && (ledger->group->state != GROUP_LIVE || !ledger->binding->joined)) {
            expiry_moved(engine, ledger); /* it is on its way */
        }
        self->at = ledger->next;
        self->pos = 0;
    }
    if (!self->at) {
        end_pass(engine, self);
    }
}
