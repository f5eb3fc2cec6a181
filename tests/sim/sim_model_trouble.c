/* SPDX-License-Identifier: MPL-2.0
 *
 * What a crash, or a time in which the broker did not run, does to what the checker knows of groups.
 */
#include "tests/sim/sim_model.h"

typedef void slot_fn(struct model *self, struct group_slot *slot, uint64_t arg);

static void each_slot_of(struct model *self, struct group_model *group, slot_fn *fn, uint64_t arg)
{
    for (uint32_t i = 0; i < SIM_TOPICS * SIM_PARTS_MAX; i++) {
        struct ledger_model *ledger = &group->ledgers[i / SIM_PARTS_MAX][i % SIM_PARTS_MAX];
        for (size_t o = 0; o < ledger->capacity; o++) {
            fn(self, &ledger->slots[o], arg);
        }
    }
}

static void each_slot(struct model *self, slot_fn *fn, uint64_t arg)
{
    for (uint32_t g = 0; g < SIM_GROUPS; g++) {
        each_slot_of(self, &self->groups[g], fn, arg);
    }
}

static void crash_slot(struct model *self, struct group_slot *slot, uint64_t power_loss)
{
    slot->settling = NULL;
    slot->lease_end_ms =
        slot->lease_base_ms < slot->lease_end_ms ? slot->lease_base_ms : slot->lease_end_ms;
    if (power_loss && slot->grants > 0 && slot->grant_step > self->durable_step) {
        slot->lease = 0; /* the grant may be forgotten, and what ended an older one */
        slot->lease_sure = false;
        slot->uncounted = slot->grants;
    }
}

void model_groups_crash(struct model *self, bool power_loss)
{
    model_urgent_crash(self);
    each_slot(self, crash_slot, power_loss);
}

static void grace_slot(struct model *self, struct group_slot *slot, uint64_t grace_ms)
{
    const int64_t end = self->uptime_ms + (int64_t)grace_ms;
    if (model_lease_lives(self, slot) && slot->lease_end_ms < end) {
        slot->lease_end_ms = end;
        slot->lease_base_ms = end;
    }
}

void model_grace(struct model *self, int64_t stall_ms)
{
    const int64_t grace_ms = stall_ms + ZSP_STALL_GRACE_MS;
    self->stall_end_ms = self->uptime_ms + stall_ms;
    each_slot(self, grace_slot, (uint64_t)grace_ms);
    for (uint32_t g = 0; g < SIM_GROUPS; g++) {
        struct group_model *group = &self->groups[g];
        const int64_t end_ms = self->uptime_ms + grace_ms;
        if (group->unseen_until_ms > self->uptime_ms && group->unseen_until_ms < end_ms) {
            group->unseen_until_ms = end_ms;
        }
    }
}
