/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/dead_keep.h"

#include "broker/engine/group.h"

/* Runs that one look goes over: those behind them are kept, until the next look. */
#define LOOKS_MAX 4096u

/* The first message that died after `since_ms`, or may have; UINT64_MAX = none did. */
static uint64_t first_since(const struct ledger *ledger, int64_t since_ms)
{
    struct run_span span = {0};
    uint32_t looks = 0;
    while (runmap_next(&ledger->runs, span.end, RUN_CLASS_DEAD, &span)) {
        if (span.run.due_ms > since_ms || ++looks > LOOKS_MAX) {
            return span.first;
        }
    }
    return UINT64_MAX;
}

void dead_keep(const struct engine *engine, const struct partition *partition,
               struct store_retain *what)
{
    for (const struct ledger *ledger = partition->ledger_first; ledger; ledger = ledger->next) {
        const struct group_settings *const settings = group_settings_of(ledger->group);
        if (settings->dead_retention_ms == 0 || ledger_dead(ledger) == 0) {
            continue;
        }
        const int64_t since_ms = engine->now.wall_ms - (int64_t)settings->dead_retention_ms;
        const uint64_t first = first_since(ledger, since_ms);
        if (first == UINT64_MAX) {
            continue;
        }
        /* Of several groups the one that keeps more decides. */
        const uint64_t bytes = settings->dead_retention_bytes;
        const bool is_first = !what->keeps;
        what->keeps = true;
        what->keep_offset = is_first || first < what->keep_offset ? first : what->keep_offset;
        if (is_first || bytes == 0 || (what->keep_bytes != 0 && bytes > what->keep_bytes)) {
            what->keep_bytes = bytes;
        }
    }
}
