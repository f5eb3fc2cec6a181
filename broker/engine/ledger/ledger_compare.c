/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/ledger/ledger_compare.h"

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
        uint64_t end = 0;
        const enum fate fate = stretch_at(then, from, &end);
        const uint64_t to_do = ledger_count_unfinished(now, from, end);
        if (fate == FATE_TO_DO) {
            ret.redelivered += end - from - to_do;
        } else {
            ret.skipped += to_do;
        }
        from = end;
    }
    return ret;
}

uint64_t ledger_count_unfinished(const struct ledger *self, uint64_t first, uint64_t end)
{
    const uint64_t fresh_from = first > self->high ? first : self->high;
    uint64_t count = 0;
    if (first < end && first < fresh_from) {
        const uint64_t to = end < fresh_from ? end : fresh_from;
        const struct run_counts counts = runmap_count_in(&self->runs, first, to);
        for (int state = RUN_NONE + 1; state < RUN_STATES; state++) {
            count += state != RUN_DEAD && state != RUN_DONE ? counts.of[state] : 0;
        }
    }
    if (fresh_from < end) { /* all but what is over */
        const struct run_counts counts = runmap_count_in(&self->runs, fresh_from, end);
        count += end - fresh_from - counts.of[RUN_DEAD] - counts.of[RUN_DONE];
    }
    return count;
}
