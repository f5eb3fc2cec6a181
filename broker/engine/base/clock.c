/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/base/clock.h"

#include "common/limits.h"

void clock_start(struct clock *self, struct instant now, int64_t resume_ms)
{
    self->broker_ms = resume_ms;
    self->last_mono_ms = now.mono_ms;
    self->grace_until_ms = resume_ms + (int64_t)ZSP_STALL_GRACE_MS;
}

void clock_advance(struct clock *self, struct instant now, bool watched)
{
    const int64_t gap_ms = now.mono_ms - self->last_mono_ms;
    if (gap_ms <= 0) {
        return;
    }
    self->last_mono_ms = now.mono_ms;
    self->broker_ms += gap_ms;
    if (watched && gap_ms > (int64_t)ZSP_STALL_MS) {
        self->grace_until_ms = self->broker_ms + (int64_t)ZSP_STALL_GRACE_MS;
    }
}

int64_t clock_to_mono_ms(const struct clock *self, int64_t broker_ms)
{
    if (broker_ms == INT64_MAX) {
        return INT64_MAX;
    }
    return self->last_mono_ms + (broker_ms - self->broker_ms);
}
