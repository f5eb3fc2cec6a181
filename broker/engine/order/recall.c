/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/order/recall.h"

#include "broker/engine/ledger/ledger_ordered.h"
#include "broker/engine/order/hold.h"
#include "broker/engine/order/lanes.h"
#include "common/container.h"
#include "common/diag.h"

#define RUNS_PER_STEP    2000u /* with three long reasons each they stay within one record */
#define AGAIN_MS         1     /* the next part */
#define AGAIN_REFUSED_MS 1000  /* the journal had no room */

static void retry_fired(struct engine *engine, struct timer *timer)
{
    (void)timer; /* not armed any more */
    recall_run(engine->groups);
}

void recall_init(struct groups *self)
{
    self->recall_retry.fire_fn = retry_fired;
}

void recall_fini(struct groups *self)
{
    engine_cancel(self->engine, TIMER_WAIT, &self->recall_retry);
    lanes_fini(self);
    while (self->recalls) {
        recall_forget(self, self->recalls->ledger);
    }
}

static bool is_due(const struct ledger *ledger, uint64_t *ret_from)
{
    const struct group *group = ledger->group;
    return group && group->mode == GROUP_ORDERED &&
           ordered_recalls(ledger, group_holds_dead(group), ret_from);
}

void recall_look(struct groups *self, struct ledger *ledger)
{
    uint64_t from = 0;
    if ((ledger_order(ledger) && ledger->ways->order->recalls) || !is_due(ledger, &from)) {
        return;
    }
    struct ledger_order *order = ledger_order_open(ledger);
    if (!order) {
        group_out_of_memory(self);
        return;
    }
    order->recalls = true;
    order->recall_next = self->recalls;
    self->recalls = order;
    group_wake(self, ledger->group);
}

void recall_forget(struct groups *self, struct ledger *ledger)
{
    struct ledger_order *const order = ledger_order(ledger);
    if (!order || !order->recalls) {
        return;
    }
    struct ledger_order **at = &self->recalls;
    while (*at && *at != order) { /* in none, once recall_fini() was called */
        at = &(*at)->recall_next;
    }
    *at = order->recall_next;
    order->recalls = false;
    order->recall_next = NULL;
    ledger_order_close(ledger);
}

/* Nobody has been told of it yet, nor will be. */
void recall_take_back(const struct groups *self, struct run *run)
{
    const struct lease *lease = lease_find(&self->leases, run->lease);
    if (lease && !lease->is_told) {
        outcome_undelivered(run);
    } else {
        outcome_release(run);
    }
}

/* Release what is out from `from` on, up to RUNS_PER_STEP runs, in the open step. */
static int release_some(struct groups *self, struct ledger *ledger, uint64_t from)
{
    struct run_span span;
    int rc = 0;
    for (uint32_t left = RUNS_PER_STEP;
         left > 0 && rc == 0 && runmap_next(&ledger->runs, from, RUN_CLASS_LEASED, &span); left--) {
        from = span.end;
        recall_take_back(self, &span.run);
        rc = step_set(&self->step, ledger, span.first, span.end, &span.run);
    }
    return rc;
}

/* One step of it. True in *ret_more: it is not done yet. Errors: those of state_put */
static int recall(struct groups *self, struct ledger *ledger, bool *ret_more)
{
    struct zsp_err error = {0};
    uint64_t from = 0;
    if (!is_due(ledger, &from) ||
        !runmap_next(&ledger->runs, from, RUN_CLASS_LEASED, &(struct run_span){0})) {
        return 0; /* pulls put back what they have reserved, by and by */
    }
    step_begin(&self->step);
    int rc = release_some(self, ledger, from);
    if (rc < 0) {
        step_undo(&self->step);
        return rc;
    }
    rc = step_put(&self->step, self->engine, STORE_WRITTEN, NULL, &error);
    *ret_more = is_due(ledger, &from) &&
                runmap_next(&ledger->runs, from, RUN_CLASS_LEASED, &(struct run_span){0});
    return rc;
}

bool recall_is_due(const struct ledger *ledger, uint64_t offset)
{
    const struct group *group = ledger->group;
    if (ledger_lanes(ledger)) {
        return lanes_is_recalled(ledger, offset, &(uint64_t){offset + 1});
    }
    return group->mode == GROUP_ORDERED &&
           ordered_is_recalled(ledger, group_holds_dead(group), offset);
}

bool recall_any_due(const struct ledger *ledger, uint64_t first, uint64_t end)
{
    uint64_t at = end - 1; /* in order, the last comes back first */
    while (ledger_lanes(ledger) && at > first && !recall_is_due(ledger, at)) {
        at--;
    }
    return recall_is_due(ledger, at);
}

static void try_again_later(struct groups *self)
{
    engine_arm(self->engine, TIMER_WAIT, &self->recall_retry,
               self->engine->clock.broker_ms + AGAIN_REFUSED_MS);
}

void recall_run(struct groups *self)
{
    while (self->recalls && !self->engine->failed && !timer_is_armed(&self->recall_retry)) {
        struct ledger *const ledger = self->recalls->ledger;
        bool more = false;
        const int rc = recall(self, ledger, &more);
        if (rc < 0 || more) {
            engine_arm(self->engine, TIMER_WAIT, &self->recall_retry,
                       self->engine->clock.broker_ms + (rc < 0 ? AGAIN_REFUSED_MS : AGAIN_MS));
        } else {
            recall_forget(self, ledger);
        }
    }
    if (self->lanes_recalls && !lanes_recall_run(self)) {
        try_again_later(self);
    }
}
