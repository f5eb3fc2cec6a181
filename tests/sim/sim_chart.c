/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/sim/sim_chart.h"

#include "common/assert.h"
#include "tests/sim/sim_message.h"

#define TIME_LOST_MS 11000 /* of broker time, by a crash: it is recorded every 10 s */

struct chart_slot *chart_slot(struct chart *self, uint32_t partition, uint64_t offset)
{
    zsp_assert(partition < CHART_PARTS && offset < CHART_MAX);
    for (; self->counts[partition] <= offset; self->counts[partition]++) {
        struct chart_slot *slot = &self->slots[partition][self->counts[partition]];
        slot->may = CHART_ANY; /* until it is known which it is */
        slot->old = CHART_ANY;
        slot->touched_step = slot->changed_step = self->model->step;
        slot->failures_max = slot->deliveries_max = UINT32_MAX / 2;
        slot->deaths = UINT32_MAX / 2;
        slot->left_out_max = 1 + self->returns;
    }
    return &self->slots[partition][offset];
}

bool chart_learn(struct chart *self, uint32_t partition, uint64_t offset, uint32_t message)
{
    struct chart_slot *slot = chart_slot(self, partition, offset);
    if (slot->message != 0 && slot->message != message + 1) {
        return model_fail(self->model, "clinic/%u/%u: message %u was there, and is %u", partition,
                          (unsigned)offset, slot->message - 1, message);
    }
    slot->message = message + 1;
    return true;
}

static uint32_t greater(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* `may` is about to change: what it was may be what is on disk. */
static void note_old(struct chart *self, struct chart_slot *slot)
{
    const bool is_durable = slot->changed_step <= self->durable_step;
    slot->old = is_durable ? slot->may : slot->old | slot->may;
    slot->old_failures_max = greater(slot->failures_max, is_durable ? 0 : slot->old_failures_max);
    slot->old_deliveries_max =
        greater(slot->deliveries_max, is_durable ? 0 : slot->old_deliveries_max);
    slot->most_failures = greater(slot->failures_max, slot->most_failures);
    slot->most_deliveries = greater(slot->deliveries_max, slot->most_deliveries);
    slot->changed_step = self->model->step;
}

void chart_may(struct chart *self, struct chart_slot *slot, unsigned states)
{
    if ((states & ~(unsigned)slot->may) == 0) {
        return;
    }
    note_old(self, slot);
    slot->alive_step =
        (states & ~(unsigned)slot->may & CHART_ALIVE) != 0 ? self->model->step : slot->alive_step;
    slot->may |= (uint8_t)states;
}

void chart_is(struct chart *self, struct chart_slot *slot, unsigned states)
{
    note_old(self, slot);
    for (unsigned i = 0; i < 4; i++) {
        slot->until[i] = (slot->may & ~states & 1u << i) != 0 ? self->model->step : slot->until[i];
    }
    if ((states & ~(unsigned)slot->may & CHART_ALIVE) != 0) {
        slot->alive_step = self->model->step;
    }
    slot->may = (uint8_t)states;
    slot->lost_of = 0;
    slot->due_ms = slot->late_ms = 0;
    slot->came_back = false;
    slot->left_out = false;
    slot->lapsed = false;
    slot->only_told = false;
}

void chart_forget(struct chart *self, struct chart_slot *slot)
{
    chart_may(self, slot, CHART_ANY);
    slot->failures_min = slot->failures_durable = slot->deliveries_min = 0;
    slot->failures_max = slot->deliveries_max = UINT32_MAX / 2;
    slot->is_limited = true;
}

bool chart_was(const struct chart_slot *slot, unsigned states, uint64_t step)
{
    for (unsigned i = 0; i < 4; i++) {
        if ((states & 1u << i) != 0 && slot->until[i] >= step && slot->until[i] > 0) {
            return true;
        }
    }
    return (slot->may & states) != 0;
}

bool chart_stays(const struct chart_slot *slot, unsigned states, uint64_t step)
{
    return (slot->may & ~states) == 0 && slot->open == 0 && slot->touched_step < step &&
           slot->changed_step < step;
}

void chart_may_fail(struct chart *self, struct chart_slot *slot)
{
    const uint32_t max = self->rules.max_failures;
    slot->failures_max++;
    if (max > 0 && slot->failures_max >= max) {
        chart_may(self, slot, CHART_DEAD);
        slot->deaths++;
    }
}

void chart_reset_counts(struct chart_slot *slot, bool surely)
{
    slot->failures_min = slot->deliveries_min = slot->failures_durable = 0;
    if (surely) {
        slot->failures_max = slot->deliveries_max = 0;
        slot->is_limited = false;
    }
}

const struct sim_order *chart_order_of(const struct chart *self, const struct chart_slot *slot)
{
    static const struct sim_order usual = {.priority = ZSP_PRIORITY};
    return slot->message > 0 ? &self->model->messages[slot->message - 1].order : &usual;
}

/* --- Order ------------------------------------------------------------------------------------ */

bool chart_binds(const struct chart *self, const struct chart_slot *one,
                 const struct chart_slot *other, bool unknown)
{
    if (self->rules.order != CHART_BY_KEY) {
        return self->rules.order == CHART_BY_PARTITION;
    }
    if (one->message == 0 || other->message == 0) {
        return unknown;
    }
    const int key = message_key(one->message - 1);
    return key >= 0 && key == message_key(other->message - 1);
}

void chart_doubt(struct chart *self, uint32_t partition, uint64_t offset)
{
    struct chart_slot *slots = self->slots[partition];
    for (uint64_t o = offset + 1; o < self->counts[partition]; o++) {
        if ((slots[o].may & CHART_OUT) != 0 && chart_binds(self, &slots[offset], &slots[o], true)) {
            chart_may(self, &slots[o], CHART_ALIVE);
            slots[o].touched_step = self->model->step;
        }
    }
}

/* --- Time ---------------------------------------------------------------------------------------- */

static void lapse(struct chart *self, uint32_t partition, uint64_t offset)
{
    struct chart_slot *slot = &self->slots[partition][offset];
    const bool is_lost = slot->may == CHART_OUT && slot->open == 0 && slot->lease != 0;
    slot->lapsed = true;
    slot->is_limited = true;
    chart_may(self, slot, CHART_ALIVE);
    chart_may_fail(self, slot);
    slot->lost_of = is_lost ? slot->granted : 0;
    slot->lost_step = self->model->step;
    chart_doubt(self, partition, offset);
}

static void leave_out(struct chart *self, struct chart_slot *slot)
{
    slot->left_out = true;
    slot->left_out_max++;
    slot->deaths += self->rules.expired_dies ? 1 : 0;
    chart_may(self, slot, self->rules.expired_dies ? CHART_DEAD : CHART_DONE);
}

/* Of one that nobody has seen yet, nobody knows. */
static bool may_be_expired(const struct chart *self, const struct chart_slot *slot)
{
    return slot->message > 0 ? model_may_be_expired(self->model, slot->message - 1)
                             : self->model->any_expires;
}

void chart_refresh(struct chart *self)
{
    for (uint32_t p = 0; p < CHART_PARTS; p++) {
        for (uint64_t o = 0; o < self->counts[p]; o++) {
            struct chart_slot *slot = &self->slots[p][o];
            if ((slot->may & CHART_OUT) != 0 && !slot->lapsed &&
                slot->lease_end_ms <= self->model->uptime_ms) {
                lapse(self, p, o);
            }
            if ((slot->may & CHART_ALIVE) != 0 && !slot->left_out && may_be_expired(self, slot)) {
                leave_out(self, slot);
            }
        }
    }
}

void chart_grace(struct chart *self, int64_t grace_ms)
{
    const int64_t end_ms = self->model->uptime_ms + grace_ms;
    chart_refresh(self);
    for (uint32_t p = 0; p < CHART_PARTS; p++) {
        for (uint64_t o = 0; o < self->counts[p]; o++) {
            struct chart_slot *slot = &self->slots[p][o];
            if (!slot->lapsed && slot->lease_end_ms < end_ms) {
                slot->lease_end_ms = slot->lease_base_ms = end_ms;
            }
        }
    }
}

static void crash_slot(struct chart *self, struct chart_slot *slot, bool power_loss)
{
    slot->open = 0;
    slot->last = NULL;
    slot->session = 0;
    slot->is_rated = false;
    slot->late_ms += slot->late_ms > 0 ? TIME_LOST_MS : 0;
    slot->touched_step = self->model->step;
    if (slot->lease_base_ms < slot->lease_end_ms) {
        slot->lease_end_ms = slot->lease_base_ms;
    }
    if ((!power_loss && !slot->only_told) || slot->changed_step <= self->durable_step) {
        return;
    }
    slot->due_ms = 0;
    slot->granted = slot->lost_of = 0;
    slot->came_back = false;
    slot->holds = false;
    slot->deliveries_min = 0;
    slot->failures_min = slot->failures_durable;
    slot->failures_max = greater(slot->failures_max, slot->old_failures_max);
    slot->deliveries_max = greater(slot->deliveries_max, slot->old_deliveries_max);
    if (slot->grant_step > self->durable_step) {
        slot->lease = 0; /* it may be out under an older one */
    }
    chart_may(self, slot, slot->old);
    if ((slot->old & CHART_OUT) != 0 && slot->lease == 0) {
        slot->lapsed = false;
        slot->lease_end_ms = slot->lease_base_ms = self->model->uptime_ms;
    }
}

void chart_crash(struct chart *self, bool power_loss)
{
    chart_refresh(self);
    for (uint32_t p = 0; p < CHART_PARTS; p++) {
        for (uint64_t o = 0; o < self->counts[p]; o++) {
            crash_slot(self, &self->slots[p][o], power_loss);
        }
        for (uint64_t o = 0; o < self->counts[p] && power_loss; o++) {
            if ((self->slots[p][o].may & CHART_ALIVE) != 0) {
                chart_doubt(self, p, o);
            }
        }
    }
}
