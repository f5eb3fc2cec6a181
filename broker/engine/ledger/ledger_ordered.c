/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/ledger/ledger_ordered.h"

#include "broker/engine/ledger/levels.h"

#define CLASS_NEXT (RUN_CLASS_READY | RUN_CLASS_LIMITED | RUN_CLASS_WAITING)
#define CLASS_OUT  (RUN_CLASS_LEASED | RUN_CLASS_RESERVED)

/* Runs that keep back what lies behind them. */
static unsigned next_classes(bool holds_dead)
{
    return CLASS_NEXT | (holds_dead ? RUN_CLASS_HOLDING : 0u);
}

/* The first such run from `from` on, unless a fresh message comes before it: after a seek back dead
 * messages, and what was redriven of them, lie behind what is fresh again. */
static bool next_run(const struct ledger *self, bool holds_dead, uint64_t from,
                     struct run_span *ret)
{
    struct run_span fresh;
    return runmap_next(&self->runs, from, next_classes(holds_dead), ret) &&
           !(self->above > 0 && ledger_next_fresh(self, from, &fresh) && fresh.first < ret->first);
}

bool ordered_next(const struct ledger *self, bool holds_dead, struct run_span *ret)
{
    return next_run(self, holds_dead, 0, ret);
}

bool ordered_is_held(const struct ledger *self)
{
    struct run_span next;
    return ordered_next(self, true, &next) && next.run.state == RUN_DEAD && ledger_ready(self) > 0;
}

bool ordered_recalls(const struct ledger *self, bool holds_dead, uint64_t *ret_from)
{
    struct run_span next;
    struct run_span out;
    if (!ordered_next(self, holds_dead, &next) ||
        !runmap_next(&self->runs, next.end, CLASS_OUT, &out)) {
        return false;
    }
    *ret_from = next.end;
    return true;
}

bool ordered_is_recalled(const struct ledger *self, bool holds_dead, uint64_t offset)
{
    struct run_span next;
    return ordered_next(self, holds_dead, &next) && next.first < offset;
}

/* Fresh messages that come next; one that waits for its time keeps back those behind it. */
static bool next_fresh(const struct ledger *self, uint64_t from, struct run_span *ret)
{
    struct run_span delayed;
    if (!ledger_next_fresh(self, from, ret)) {
        return false;
    }
    if (levels_next_delayed(self, ret->first, &delayed) && delayed.first < ret->end) {
        ret->end = delayed.first;
    }
    return ret->end > ret->first;
}

/* May anything be handed out? Where it begins. */
static bool may_take(const struct ledger *self, bool holds_dead, uint64_t *ret_first)
{
    struct run_span next;
    uint64_t from = 0;
    if (runmap_count(&self->runs, RUN_RESERVED) > 0 || ordered_recalls(self, holds_dead, &from)) {
        return false;
    }
    if (!ordered_next(self, holds_dead, &next)) {
        *ret_first = self->high;
        return next_fresh(self, self->high, &next);
    }
    *ret_first = next.first;
    return next.run.state == RUN_READY;
}

uint64_t ordered_ready(const struct ledger *self, bool holds_dead)
{
    uint64_t first = 0;
    return may_take(self, holds_dead, &first) && first < ledger_visible_end(self)
               ? ledger_ready(self)
               : 0;
}

/* The stretch that is next at or behind `from`: ready or fresh; false = it is neither. */
static bool next_stretch(const struct ledger *self, bool holds_dead, uint64_t from,
                         struct run_span *ret)
{
    const bool found = next_run(self, holds_dead, from, ret);
    if (found && ret->run.state == RUN_READY) {
        ret->first = ret->first > from ? ret->first : from;
        return true;
    }
    return !found && next_fresh(self, from, ret);
}

int ordered_take(struct ledger *self, bool holds_dead, struct take *take)
{
    struct run_span span;
    uint64_t from = 0;
    uint64_t lease_max = UINT64_MAX;
    if (!may_take(self, holds_dead, &from)) {
        return 0;
    }
    while (take->piece_count < take->piece_max && next_stretch(self, holds_dead, from, &span)) {
        const bool is_limited = span.run.limit != 0;
        if (is_limited != take->alone && take->taken > 0) {
            break;
        }
        if (is_limited) {
            const uint64_t allowed = UINT64_C(1) << (span.run.limit - 1);
            lease_max = allowed < lease_max ? allowed : lease_max;
        }
        const uint64_t room = lease_max > take->taken ? lease_max - take->taken : 0;
        if (!ledger_clip(self, &span, room < take->messages ? room : take->messages)) {
            break;
        }
        take->alone = is_limited;
        int rc = ledger_reserve(self, take, &span);
        if (rc < 0) {
            return rc;
        }
        from = span.end;
    }
    return 0;
}
