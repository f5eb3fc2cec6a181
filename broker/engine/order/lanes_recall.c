/* SPDX-License-Identifier: MPL-2.0
 *
 * Recalls of a `keyed` group: a message came back, and what is out of its lane behind it comes back
 * as well; see recall.h. What a lease has whose time is over comes back anyway, and is left to it.
 */
#include <stdlib.h>

#include "broker/engine/group/group.h"
#include "broker/engine/order/lanes.h"
#include "broker/engine/order/recall.h"

#define RUNS_PER_STEP 2000u /* with three long reasons each they stay within one record */

/* --- Notes ---------------------------------------------------------------------------------------- */

static int list_add(struct lane_list *list, uint32_t number)
{
    if (list->count == list->capacity) {
        const size_t wanted = list->capacity > 0 ? list->capacity * 2 : 16;
        uint32_t *grown = realloc(list->items, wanted * sizeof *grown);
        if (!grown) {
            return ZSP_ENOMEM;
        }
        list->items = grown;
        list->capacity = wanted;
    }
    list->items[list->count++] = number;
    return 0;
}

void lanes_recall_later(struct lanes *self, uint32_t number, uint64_t offset)
{
    struct lane *const lane = lane_at(&self->table, number);
    lane->back = lane->back < offset ? lane->back : offset;
    if (lane->recalls) {
        return;
    }
    if (list_add(&self->recalls, number) < 0) {
        group_out_of_memory(self->groups);
        return;
    }
    lane->recalls = true;
    if (!self->in_recalls) {
        self->in_recalls = true;
        self->recall_next = self->groups->lanes_recalls;
        self->groups->lanes_recalls = self;
    }
    group_wake(self->groups, self->ledger->group);
}

void lanes_recall_forget(struct lanes *self)
{
    struct lanes **at = &self->groups->lanes_recalls;
    while (self->in_recalls && *at != self) {
        at = &(*at)->recall_next;
    }
    if (self->in_recalls) {
        *at = self->recall_next;
        self->in_recalls = false;
    }
}

/* The lane of a message that is known to be in one; NULL = it is in none. */
static struct lane *lane_of(const struct ledger *ledger, uint64_t offset)
{
    const struct lane_entry *entry = lane_entry(&ledger->ways->lanes->table, offset);
    return entry && entry->lane != LANE_FREE ? lane_at(&ledger->ways->lanes->table, entry->lane)
                                             : NULL;
}

void lanes_note_back(struct ledger *ledger, uint64_t first, uint64_t end)
{
    for (uint64_t at = first; ledger_lanes(ledger) && at < end; at++) {
        struct lane *const lane = lane_of(ledger, at);
        if (lane && at < lane->back) {
            lane->back = at;
        }
    }
}

static bool is_recalled(const struct ledger *ledger, uint64_t offset)
{
    const struct lane *const lane = lane_of(ledger, offset);
    return lane && lane->back < offset;
}

bool lanes_is_recalled(const struct ledger *ledger, uint64_t first, uint64_t *end)
{
    const bool ret = ledger_lanes(ledger) && is_recalled(ledger, first);
    for (uint64_t at = first + 1; ledger_lanes(ledger) && at < *end; at++) {
        if (is_recalled(ledger, at) != ret) {
            *end = at;
        }
    }
    return ret;
}

/* --- Recalling ------------------------------------------------------------------------------------ */

/* Release what is out of the lane behind `back`, in the open step; *left runs more may be in it. */
static int release(struct lanes *self, struct lane *lane, uint32_t *left)
{
    struct ledger *const ledger = self->ledger;
    struct groups *const groups = self->groups;
    uint32_t out = lane->out;
    int rc = 0;
    for (uint64_t at = lane->head; at != LANE_NONE && out > 0 && *left > 0 && rc == 0;
         at = lane_after(&self->table, at)) {
        struct run_span span;
        if (lane_entry(&self->table, at)->state != LANE_OUT) {
            continue;
        }
        out--;
        if (at <= lane->back) {
            continue;
        }
        if (!runmap_next(&ledger->runs, at, RUN_CLASS_LEASED, &span) || span.first > at) {
            lane->keeps_back = true; /* its pull puts it back, by and by */
            continue;
        }
        const struct lease *lease = lease_find(&groups->leases, span.run.lease);
        if (lease && lease->ending == LEASE_LIVES) {
            recall_take_back(groups, &span.run);
            rc = step_set(&groups->step, ledger, at, at + 1, &span.run);
            (*left)--;
        }
    }
    return rc;
}

/* Lanes from the end of the list, as many as one step holds. False = the journal has no room. */
static bool recall_some(struct lanes *self)
{
    struct groups *const groups = self->groups;
    struct zsp_err error = {0};
    uint32_t left = RUNS_PER_STEP;
    size_t count = self->recalls.count;
    int rc = 0;
    step_begin(&groups->step);
    while (count > 0 && left > 0 && rc == 0) {
        struct lane *lane = lane_at(&self->table, self->recalls.items[count - 1]);
        rc = lane->recalls ? release(self, lane, &left) : 0;
        count -= left > 0 ? 1 : 0;
    }
    if (rc < 0) {
        step_undo(&groups->step);
        return false;
    }
    if (step_put(&groups->step, groups->engine, STORE_WRITTEN, NULL, &error) < 0) {
        return false;
    }
    if (ledger_lanes(self->ledger) != self) {
        return true;
    }
    while (self->recalls.count > count) { /* none came meanwhile: what came back was noted */
        const uint32_t number = self->recalls.items[--self->recalls.count];
        struct lane *const lane = lane_at(&self->table, number);
        lane->recalls = false;
        lane->back = lane->keeps_back && lane->out > 0 ? lane->back : LANE_NONE;
    }
    return true;
}

bool lanes_recall_run(struct groups *groups)
{
    while (groups->lanes_recalls && !groups->engine->failed) {
        struct lanes *const self = groups->lanes_recalls;
        if (self->recalls.count == 0) {
            lanes_recall_forget(self);
        } else if (!recall_some(self)) {
            return false;
        }
    }
    return true;
}
