/* SPDX-License-Identifier: MPL-2.0
 *
 * What is over and could still be handed out is taken out of the ledgers of a partition.
 */
#include "broker/engine/group/group.h"
#include "broker/engine/ledger/agenda.h"
#include "broker/engine/ledger/levels.h"
#include "broker/engine/pull/expired.h"
#include "broker/engine/topic/expiry_sift.h"
#include "broker/engine/topic/expiry_walk.h"

/* Of one turn: stretches that are looked at, and messages that go. */
#define TURN_STRETCHES 128u
#define TURN_MESSAGES  (UINT64_C(1) << 20)

struct sweep {
    struct engine *engine;
    struct expiry *expiry;
    struct ledger *ledger;
    struct expiry_walk walk;
};

/* The next stretch that is over; what takes a look at the message is left to that. */
static bool next_over(struct sweep *self, struct run_span *ret)
{
    while (expiry_walk_next(&self->walk, UINT64_MAX, ret)) {
        if (!expiry_is_sifted(self->ledger, &ret->run)) {
            return true;
        }
        expiry_sift_want(self->engine, self->expiry, ret->first, ret->end, 0);
        self->walk.pos = ret->end;
    }
    return false;
}

/* The open step takes what is over. Errors: ZSP_ENOMEM */
static int take_over(struct sweep *self, struct run_span *span)
{
    struct ledger *const ledger = self->ledger;
    struct expiry_walk *const walk = &self->walk;
    int rc = 0;
    do {
        if (expiry_is_too_far(self->engine, ledger, span)) {
            walk->held = walk->held < span->first ? walk->held : span->first;
            walk->pos = UINT64_MAX;
            break;
        }
        if (span->run.state == RUN_NONE) {
            levels_leave(ledger, span->first, span->end);
        }
        rc = expired_leave_out(self->engine->groups, ledger, span);
        walk->messages -= span->end - span->first;
        walk->pos = span->end;
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
        runmap_next(&self->expiry->map, ledger->mark, self->walk.over, &span)) {
        agenda_tell(groups, ledger);
        group_ledger_changed(groups, ledger);
    }
    if (!next_over(self, &span)) {
        return true;
    }
    const struct expired_step step = expired_step_begin(engine, ledger);
    return expired_step_end(&step, take_over(self, &span)) == 0;
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
    struct sweep sweep = {
        .engine = engine,
        .expiry = self,
        .walk = {.expiry = self,
                 .over =
                     RUN_CLASS_READY | (self->pass == EXPIRY_DUE ? 0u : (unsigned)RUN_CLASS_DONE),
                 .is_look = self->pass == EXPIRY_LOOK,
                 .pos = self->pos,
                 .held = self->seen_to,
                 .stretches = TURN_STRETCHES,
                 .messages = TURN_MESSAGES}};
    self->turns++;
    while (self->at && sweep.walk.stretches > 0 && sweep.walk.messages > 0) {
        struct ledger *const ledger = self->at;
        sweep.ledger = ledger;
        sweep.walk.ledger = ledger;
        sweep.walk.stretches--;
        if (expiry_takes_part(ledger)) {
            if (!sweep_ledger(&sweep)) {
                pass_failed(engine, self);
                return;
            }
            self->pos = sweep.walk.pos;
            self->seen_to = sweep.walk.held;
            if (self->pos != UINT64_MAX) {
                return; /* there is more in it */
            }
            const uint64_t committed = ledger_committed(ledger);
            self->unfinished = committed < self->unfinished ? committed : self->unfinished;
        } else if (ledger->group) {
            expiry_moved(engine, ledger); /* it is on its way */
        }
        self->at = ledger->next;
        self->pos = sweep.walk.pos = 0;
    }
    if (!self->at) {
        end_pass(engine, self);
    }
}
