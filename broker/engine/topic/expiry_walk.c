/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/topic/expiry_walk.h"

#include "broker/engine/group/group.h"

/* Runs that could be handed out now or later. */
#define FREE ((unsigned)RUN_CLASS_READY | RUN_CLASS_LIMITED | RUN_CLASS_WAITING | RUN_CLASS_PARKED)

/* What lies at the place that is looked at, or next behind it, in the stretch `over`: false = the
 * rest of that has nothing. A fresh stretch has no run. */
static bool next_in(const struct expiry_walk *self, const struct run_span *over,
                    struct run_span *ret)
{
    const struct ledger *ledger = self->ledger;
    const uint64_t from = self->pos;
    const bool is_fresh = from >= ledger->high && !self->is_look;
    const unsigned classes = is_fresh ? (unsigned)RUN_CLASS_ANY : FREE | RUN_CLASS_RESERVED;
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
    } else if (!is_fresh && !self->is_look && over->end > ledger->high &&
               (!found || ret->first >= ledger->high)) {
        *ret = (struct run_span){.first = ledger->high, .end = ledger->high}; /* go on from there */
        found = true;
    }
    return found;
}

/* May it be handed out, but for its time, now or when what it waits for has come? */
static bool is_free(struct expiry_walk *self, const struct run_span *span)
{
    switch ((enum run_state)span->run.state) {
    case RUN_NONE:
    case RUN_READY:
    case RUN_WAITING:
    case RUN_PARKED:
        return span->end > span->first;
    case RUN_RESERVED: /* a pull finds out, or puts it back */
        self->held = self->held < span->first ? self->held : span->first;
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
static bool pass_what_is_finished(struct expiry_walk *self)
{
    struct run_span span;
    if (!self->is_look) {
        return true;
    }
    if (!runmap_next(&self->ledger->runs, self->pos, FREE | RUN_CLASS_RESERVED, &span)) {
        return false;
    }
    self->pos = span.first > self->pos ? span.first : self->pos;
    return true;
}

bool expiry_walk_next(struct expiry_walk *self, uint64_t end, struct run_span *ret)
{
    const uint64_t visible_end = ledger_visible_end(self->ledger);
    struct run_span over;
    end = end < visible_end ? end : visible_end;
    while (self->stretches > 0 && self->messages > 0) {
        self->stretches--;
        if (!pass_what_is_finished(self) || self->pos >= end ||
            !runmap_next(&self->expiry->map, self->pos, self->over, &over) || over.first >= end) {
            self->pos = UINT64_MAX;
            return false;
        }
        self->pos = over.first > self->pos ? over.first : self->pos;
        over.end = over.end < end ? over.end : end;
        if (!next_in(self, &over, ret)) {
            self->pos = over.end;
        } else if (!is_free(self, ret)) {
            self->pos = ret->end;
        } else {
            self->pos = ret->first;
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

bool expiry_takes_part(const struct ledger *ledger)
{
    return ledger->group && ledger->group->state == GROUP_LIVE && ledger->binding->joined;
}

bool expiry_has_room(const struct engine *engine, const struct ledger *ledger,
                     const struct run_span *span)
{
    return span->run.state != RUN_NONE || span->first == ledger->high || ledger->above == 0 ||
           ledger_rare_of(ledger)->apart < engine->options.expiry_apart_max ||
           joins(ledger, span->first, span->end);
}

bool expiry_is_too_far(const struct engine *engine, struct ledger *ledger,
                       const struct run_span *span)
{
    if (!expiry_has_room(engine, ledger, span)) {
        return true;
    }
    if (span->run.state != RUN_NONE || span->first == ledger->high) {
        return false;
    }
    struct ledger_rare *const rare = ledger_rare_open(ledger);
    if (!rare) {
        return true;
    }
    rare->apart = ledger->above > 0 ? rare->apart : 0;
    rare->apart += joins(ledger, span->first, span->end) ? 0 : 1;
    return false;
}
