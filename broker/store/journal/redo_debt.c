/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/journal/redo_debt.h"

#include "common/assert.h"

static struct redo_span *span_at(struct redo_debt *self, size_t index)
{
    return &self->spans[(self->first + index) % REDO_SPANS];
}

static const struct redo_span *const_span_at(const struct redo_debt *self, size_t index)
{
    return &self->spans[(self->first + index) % REDO_SPANS];
}

static bool fits(uint64_t used, uint64_t more, uint64_t max)
{
    return used <= max && more <= max - used;
}

bool redo_debt_reserve(struct redo_debt *self, struct redo_amount amount)
{
    const struct redo_amount used = {self->recorded.entries + self->reserved.entries,
                                     self->recorded.bytes + self->reserved.bytes};
    if (used.entries > 0 && (!fits(used.entries, amount.entries, self->max.entries) ||
                             !fits(used.bytes, amount.bytes, self->max.bytes))) {
        return false;
    }
    self->reserved.entries += amount.entries;
    self->reserved.bytes += amount.bytes;
    return true;
}

void redo_debt_release(struct redo_debt *self, struct redo_amount amount)
{
    zsp_assert(amount.entries <= self->reserved.entries && amount.bytes <= self->reserved.bytes);
    self->reserved.entries -= amount.entries;
    self->reserved.bytes -= amount.bytes;
}

/* Half of all spans hold what may be owed, so that the ring is long enough when they are cut a
 * little late; the last one takes what comes beyond that. */
static bool is_full(const struct redo_debt *self, const struct redo_span *span)
{
    return span->amount.entries >= self->max.entries / (REDO_SPANS / 2) ||
           span->amount.bytes >= self->max.bytes / (REDO_SPANS / 2);
}

void redo_debt_add(struct redo_debt *self, uint64_t record, uint64_t bytes)
{
    struct redo_span *span = self->count > 0 ? span_at(self, self->count - 1) : NULL;
    zsp_assert(!span || record >= span->last_record);
    if (!span || (self->count < REDO_SPANS && record > span->last_record && is_full(self, span))) {
        self->count++;
        span = span_at(self, self->count - 1);
        *span = (struct redo_span){0};
    }
    span->last_record = record;
    span->amount.entries++;
    span->amount.bytes += bytes;
    self->recorded.entries++;
    self->recorded.bytes += bytes;
}

void redo_debt_paid(struct redo_debt *self, uint64_t record)
{
    while (redo_debt_shrinks(self, record)) {
        const struct redo_amount amount = span_at(self, 0)->amount;
        self->recorded.entries -= amount.entries;
        self->recorded.bytes -= amount.bytes;
        self->first = (self->first + 1) % REDO_SPANS;
        self->count--;
    }
}

uint64_t redo_debt_due_below(const struct redo_debt *self)
{
    struct redo_amount left = self->recorded;
    uint64_t below = 0;
    for (size_t i = 0; i < self->count &&
                       (left.entries > self->max.entries / 2 || left.bytes > self->max.bytes / 2);
         i++) {
        const struct redo_span *span = const_span_at(self, i);
        left.entries -= span->amount.entries;
        left.bytes -= span->amount.bytes;
        below = span->last_record + 1;
    }
    return below;
}

bool redo_debt_shrinks(const struct redo_debt *self, uint64_t record)
{
    return self->count > 0 && const_span_at(self, 0)->last_record < record;
}
