/* SPDX-License-Identifier: MPL-2.0
 *
 * What is over and could still be handed out is taken out of the ledgers of a partition.
 */
#include "broker/engine/agenda.h"
#include "broker/engine/expired.h"
#include "broker/engine/expiry.h"
#include "broker/engine/group.h"
#include "broker/engine/group_rules.h"
#include "broker/engine/levels.h"

/* Of one turn: stretches that are looked at, and messages that go. */
#define TURN_STRETCHES 256u
#define TURN_MESSAGES  (UINT64_C(1) << 20)
/* What expires among other messages is a run of its own until those before it are finished: so many
 * of a ledger; the rest is found by pulls. */
#define APART_MAX 65536u
/* The journal had no room, or there was no memory. */
#define AGAIN_MS 1000

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

/* Runs that could be handed out. Those that wait for another one of their key are not looked at
 * where they would become dead: a dead one may keep back what is behind it. */
static unsigned classes_of(const struct ledger *ledger)
{
    return RUN_CLASS_READY | RUN_CLASS_LIMITED |
           (group_settings_of(ledger->group)->expired == EXPIRED_DEAD ? 0u : RUN_CLASS_PARKED);
}

/* The first stretch from `from` on that could be handed out; false = none. */
static bool next_free(const struct ledger *ledger, uint64_t from, struct run_span *ret)
{
    const uint64_t end = ledger_visible_end(ledger);
    struct run_span fresh;
    bool found = runmap_next(&ledger->runs, from, classes_of(ledger), ret) && ret->first < end;
    if (ledger_next_fresh(ledger, from, &fresh) && (!found || fresh.first < ret->first)) {
        *ret = fresh;
        found = true;
    }
    if (found) {
        ret->first = ret->first > from ? ret->first : from;
        ret->end = ret->end < end ? ret->end : end;
    }
    return found;
}

/* The next stretch that is over and could be handed out; moves expiry->pos. False = there is none, then
 * pos is at the end, or this turn has looked at enough. */
static bool next_over(struct sweep *self, struct run_span *ret)
{
    struct expiry *const expiry = self->expiry;
    struct run_span over;
    while (self->stretches > 0 && self->messages > 0) {
        self->stretches--;
        if (!runmap_next(&expiry->map, expiry->pos, RUN_CLASS_READY, &over)) {
            break;
        }
        expiry->pos = over.first > expiry->pos ? over.first : expiry->pos;
        if (!next_free(self->ledger, expiry->pos, ret)) {
            break;
        }
        expiry->pos = ret->first;
        if (ret->first >= over.end) {
            continue;
        }
        ret->end = ret->end < over.end ? ret->end : over.end;
        if (ret->end - ret->first > self->messages) {
            ret->end = ret->first + self->messages;
        }
        if (ret->run.state == RUN_NONE) {
            ret->run.urgency = over.run.urgency;
        }
        return true;
    }
    if (self->stretches > 0 && self->messages > 0) {
        expiry->pos = UINT64_MAX;
    }
    return false;
}

/* Is it a run of its own, and one too many? */
static bool is_too_far(struct ledger *ledger, const struct run_span *span)
{
    if (span->run.state != RUN_NONE || span->first == ledger->high) {
        return false;
    }
    struct ledger_rare *const rare = ledger_rare_open(ledger);
    if (rare && ledger->above == 0) {
        rare->apart = 0;
    }
    return !rare || rare->apart++ >= APART_MAX;
}

/* The open step takes what is over. Errors: ZSP_ENOMEM */
static int take_over(struct sweep *self, struct run_span *span)
{
    struct ledger *const ledger = self->ledger;
    int rc = 0;
    do {
        if (is_too_far(ledger, span)) {
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
        runmap_next(&self->expiry->map, ledger->mark, RUN_CLASS_READY, &span)) {
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

/* All ledgers were looked at: forget what nobody needs, read what somebody does. */
static void end_pass(struct engine *engine, struct expiry *self)
{
    self->is_passing = false;
    if (!self->load && self->unfinished > self->from) {
        expiry_clear(engine, self, self->from, self->unfinished);
        self->from = self->unfinished;
    }
    expiry_want_load(engine, self, self->unfinished);
}

void expiry_turn(struct engine *engine, struct expiry *self)
{
    struct sweep sweep = {
        .engine = engine, .expiry = self, .stretches = TURN_STRETCHES, .messages = TURN_MESSAGES};
    while (self->at && sweep.stretches > 0 && sweep.messages > 0) {
        struct ledger *const ledger = self->at;
        sweep.ledger = ledger;
        sweep.stretches--;
        if (is_swept(ledger)) {
            if (!sweep_ledger(&sweep)) {
                self->is_passing = false;
                expiry_want_pass(engine, self, AGAIN_MS);
                return;
            }
            if (self->pos != UINT64_MAX) {
                return; /* there is more in it */
            }
            const uint64_t committed = ledger_committed(ledger);
            self->unfinished = committed < self->unfinished ? committed : self->unfinished;
        }
        self->at = ledger->next;
        self->pos = 0;
    }
    if (!self->at) {
        end_pass(engine, self);
    }
}
