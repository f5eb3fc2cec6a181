/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/ledger_compare.h"

/* What a message is, as far as it matters here. */
enum fate { FATE_OVER, FATE_DEAD, FATE_TO_DO };

static enum fate fate_of(const struct run *run)
{
    if (run->state == RUN_DEAD) {
        return FATE_DEAD;
    }
    return run->state == RUN_DONE ? FATE_OVER : FATE_TO_DO;
}

/* The stretch of equal messages that begins at `at`: its fate, and where it ends. */
static enum fate stretch_at(const struct ledger *self, uint64_t at, uint64_t *ret_end)
{
    struct run_span span;
    const bool is_fresh = at >= self->high;
    *ret_end = is_fresh ? UINT64_MAX : self->high;
    if (runmap_next(&self->runs, at, RUN_CLASS_ANY, &span)) {
        if (span.first <= at) {
            *ret_end = span.end;
            return fate_of(&span.run);
        }
        *ret_end = span.first < *ret_end ? span.first : *ret_end;
    }
    return is_fresh ? FATE_TO_DO : FATE_OVER;
}

struct ledger_difference ledger_compare(const struct ledger *now, const struct ledger *then,
                                        uint64_t from)
{
    struct ledger_difference ret = {0};
    while (from < UINT64_MAX) {
        uint64_t end_now = 0;
        uint64_t end_then = 0;
        const enum fate fate_now = stretch_at(now, from, &end_now);
        const enum fate fate_then = stretch_at(then, from, &end_then);
        const uint64_t end = end_now < end_then ? end_now : end_then;
        if (fate_now != FATE_TO_DO && fate_then == FATE_TO_DO) {
            ret.redelivered += end - from;
        } else if (fate_now == FATE_TO_DO && fate_then != FATE_TO_DO) {
            ret.skipped += end - from;
        }
        from = end;
    }
    return ret;
}

uint64_t ledger_count_unfinished(const struct ledger *self, uint64_t first, uint64_t end)
{
    uint64_t count = 0;
    while (first < end) {
        uint64_t stretch_end = 0;
        const enum fate fate = stretch_at(self, first, &stretch_end);
        stretch_end = stretch_end < end ? stretch_end : end;
        count += fate == FATE_TO_DO ? stretch_end - first : 0;
        first = stretch_end;
    }
    return count;
}
