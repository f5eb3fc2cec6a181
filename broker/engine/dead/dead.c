/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/dead/dead.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "broker/engine/dead/letters.h"
#include "broker/engine/dead/redrive.h"
#include "common/assert.h"
#include "common/name.h"

void dead_note(const struct engine *engine, const struct ledger *ledger, struct run *run)
{
    const int64_t now_ms = engine->now.wall_ms;
    struct run_slab *const slab = ledger->runs.slab;
    zsp_assert(run->state == RUN_DEAD);
    const int64_t died_ms = now_ms > 0 ? now_ms - now_ms % 1000 : 0;
    const int64_t least_ms = redrive_end_ms(engine->groups, ledger->group);
    run->due_ms = died_ms > least_ms ? died_ms : least_ms;
    slab->died_max_ms = run->due_ms > slab->died_max_ms ? run->due_ms : slab->died_max_ms;
    run->started = letters_are_owed(ledger) ? 1 : 0;
}

/* --- The walk -------------------------------------------------------------------------------- */

void dead_walk_begin(struct dead_walk *self, const struct group *group,
                     const struct dead_filter *filter, const struct dead_place *from)
{
    *self = (struct dead_walk){.group = group, .filter = filter};
    if (!from) {
        return;
    }
    const struct zsp_slice name = zsp_slice_str(from->topic);
    const struct binding *const binding = name_index_find(&group->bindings, name);
    self->slot = name_index_after(&group->bindings, name);
    if (binding) {
        self->slot--; /* names are in order: it is the one before */
        self->partition = from->partition;
        self->offset = from->offset;
    }
}

static bool is_meant(const struct dead_walk *self, const struct ledger *ledger,
                     const struct run *run)
{
    const struct dead_filter *const filter = self->filter;
    const struct reasons *const reasons = ledger->runs.slab->reasons;
    if (run->due_ms < filter->died_from_ms ||
        (filter->died_end_ms != 0 && run->due_ms >= filter->died_end_ms)) {
        return false;
    }
    const struct zsp_slice reason = reasons_count(reasons, run->reasons) > 0
                                        ? reasons_text(reasons, run->reasons, 0)
                                        : zsp_slice_str("");
    return !filter->reason.data || zsp_name_match(filter->reason, reason);
}

/* The next run of one ledger from where the walk stands; moves behind what was looked at. */
static bool next_of(struct dead_walk *self, const struct ledger *ledger, struct run_span *ret)
{
    while (self->looks > 0 && runmap_next(&ledger->runs, self->offset, RUN_CLASS_DEAD, ret)) {
        self->looks--;
        ret->first = ret->first > self->offset ? ret->first : self->offset;
        self->offset = ret->end;
        if (is_meant(self, ledger, &ret->run)) {
            return true;
        }
    }
    return false;
}

/* May the binding have some of them? */
static bool wants_binding(const struct dead_walk *self, const struct binding *binding)
{
    const struct zsp_slice topic = self->filter->topic;
    return binding->topic && (!topic.data || zsp_slice_equal(topic, binding->followers->name));
}

static bool wants_partition(const struct dead_walk *self, const struct ledger *ledger,
                            uint32_t partition)
{
    const struct dead_filter *const filter = self->filter;
    return ledger_dead(ledger) > 0 && (!filter->has_partition || filter->partition == partition);
}

bool dead_walk_next(struct dead_walk *self, struct ledger **ret_ledger, struct run_span *ret)
{
    const struct name_index *const bindings = &self->group->bindings;
    for (; self->slot < bindings->count; self->slot++, self->partition = 0, self->offset = 0) {
        const struct binding *const binding = bindings->slots[self->slot].value;
        const bool is_wanted = wants_binding(self, binding);
        for (; is_wanted && self->partition < binding->topic->partition_count;
             self->partition++, self->offset = 0) {
            struct ledger *const ledger = binding->ledgers[self->partition];
            if (self->looks == 0) {
                return false;
            }
            if (wants_partition(self, ledger, self->partition) && next_of(self, ledger, ret)) {
                *ret_ledger = ledger;
                return true;
            }
            if (self->looks == 0) {
                return false;
            }
            self->looks--;
        }
    }
    self->is_over = true;
    return false;
}

void dead_walk_cut(struct dead_walk *self, const struct ledger *ledger, uint64_t end)
{
    zsp_assert(ledger_partition_index(ledger) == self->partition);
    zsp_assert(end <= self->offset);
    self->offset = end;
}

void dead_walk_place(const struct dead_walk *self, struct dead_place *ret)
{
    zsp_assert(self->slot < self->group->bindings.count);
    const struct zsp_slice name = self->group->bindings.slots[self->slot].name;
    *ret = (struct dead_place){.partition = self->partition, .offset = self->offset};
    memcpy(ret->topic, name.data, name.len);
}

bool dead_are_alike(const struct reasons *reasons, const struct run *a, const struct run *b)
{
    const uint32_t count = reasons_count(reasons, a->reasons);
    if (a->due_ms != b->due_ms || a->deliveries != b->deliveries || a->failures != b->failures ||
        count != reasons_count(reasons, b->reasons)) {
        return false;
    }
    bool alike = true;
    for (uint32_t i = 0; i < count && a->reasons != b->reasons && alike; i++) {
        alike = zsp_slice_equal(reasons_text(reasons, a->reasons, i),
                                reasons_text(reasons, b->reasons, i));
    }
    return alike;
}

/* --- Changes ---------------------------------------------------------------------------------- */

int dead_change(struct groups *self, struct ledger *ledger, const struct run_span *span,
                enum dead_fate fate)
{
    struct run run = span->run;
    const unsigned redriven = group_settings_of(ledger->group)->dead_retention_ms > 0 ? 1 : 0;
    zsp_assert(run.state == RUN_DEAD);
    switch (fate) {
    case DEAD_REDRIVEN:
        run = (struct run){
            .state = RUN_READY, .urgency = span->run.urgency, .redriven = redriven & 1u};
        break;
    case DEAD_REDRIVEN_COUNTED:
        run.state = RUN_READY;
        run.limit = 0;
        run.started = 0;
        run.due_ms = 0;
        run.redriven = redriven & 1u;
        break;
    case DEAD_DROPPED:
        run = (struct run){.state = RUN_NONE};
        break;
    }
    return step_set(&self->step, ledger, span->first, span->end, &run);
}

static int refuse(const struct ledger *ledger, uint64_t first, uint64_t end, struct zsp_err *err)
{
    const struct zsp_slice topic = ledger->binding->followers->name;
    char object[ZSP_NAME_MAX + 64];
    const int len = snprintf(object, sizeof object, "%.*s/%" PRIu32 "/%" PRIu64, (int)topic.len,
                             (const char *)topic.data, ledger_partition_index(ledger), first);
    if (end - first > 1) {
        (void)snprintf(object + len, sizeof object - (size_t)len, "..%" PRIu64, end - 1);
    }
    (void)zsp_err_set(err, ZSP_ENOT_FOUND, "%s: not dead in %s", object, ledger->group->object);
    zsp_err_detail(err, object, NULL, NULL);
    return ZSP_ENOT_FOUND;
}

int dead_visit(struct ledger *ledger, uint64_t first, uint64_t end,
               int (*fn)(void *arg, struct ledger *ledger, const struct run_span *span), void *arg,
               struct zsp_err *err)
{
    int rc = 0;
    while (first < end && rc == 0) {
        struct run_span span;
        const bool found = runmap_next(&ledger->runs, first, RUN_CLASS_DEAD, &span);
        if (!found || span.first > first) {
            return refuse(ledger, first, found && span.first < end ? span.first : end, err);
        }
        span.first = first;
        span.end = span.end < end ? span.end : end;
        first = span.end;
        rc = fn(arg, ledger, &span);
    }
    return rc;
}
