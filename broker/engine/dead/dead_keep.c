/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/dead/dead_keep.h"

#include <stdlib.h>

#include "broker/engine/topic/retention.h"
#include "common/wire.h"

/* Stretches that are told at a time: of more, neighbours are told as one, with what is between. */
#define RANGES_MAX 32768u
/* Runs of islands that one round looks at; the next one goes on behind. */
#define LOOKS_MAX 65536u

struct kept {
    struct store_range *ranges;
    size_t count, capacity;
};

bool dead_keep_spares(const struct engine *engine, const struct ledger *ledger,
                      const struct run *run)
{
    const uint64_t kept_ms =
        ledger->group ? group_settings_of(ledger->group)->dead_retention_ms : 0;
    return run->redriven != 0 || (run->state == RUN_DEAD && kept_ms > 0 &&
                                  run->due_ms > engine->now.wall_ms - (int64_t)kept_ms);
}

uint64_t dead_keep_redriven(const struct ledger *ledger, uint64_t first, uint64_t end)
{
    struct run_span span = {.end = first};
    uint64_t count = 0;
    while (runmap_next(&ledger->runs, span.end, RUN_CLASS_REDRIVEN, &span) && span.first < end) {
        span.first = span.first > first ? span.first : first;
        count += (span.end < end ? span.end : end) - span.first;
    }
    return count;
}

static bool may_keep(const struct ledger *ledger)
{
    return (group_settings_of(ledger->group)->dead_retention_ms > 0 && ledger_dead(ledger) > 0) ||
           (runmap_classes(&ledger->runs) & RUN_CLASS_REDRIVEN) != 0;
}

bool dead_keep_is_on(const struct partition *partition)
{
    bool is_on = partition->island_offset < partition->start_offset;
    for (const struct ledger *at = partition->ledger_first; at && !is_on; at = at->next) {
        is_on = may_keep(at);
    }
    return is_on;
}

/* --- What is kept ----------------------------------------------------------------------------------- */

/* Half of the room is free again: each two of them become one. */
static void thin_out(struct kept *self)
{
    size_t left = 0;
    for (size_t i = 0; i < self->count; i += 2) {
        struct store_range range = self->ranges[i];
        range.end_offset = i + 1 < self->count ? self->ranges[i + 1].end_offset : range.end_offset;
        self->ranges[left++] = range;
    }
    self->count = left;
}

static int compare(const void *a, const void *b)
{
    const struct store_range *const left = a;
    const struct store_range *const right = b;
    return (left->first_offset > right->first_offset) - (left->first_offset < right->first_offset);
}

/* In order, apart from each other, and not too many. */
static void tidy(struct kept *self)
{
    size_t left = 0;
    if (self->count > 0) {
        qsort(self->ranges, self->count, sizeof *self->ranges, compare);
    }
    for (size_t i = 0; i < self->count; i++) {
        const struct store_range range = self->ranges[i];
        struct store_range *const last = left > 0 ? &self->ranges[left - 1] : NULL;
        if (!last || range.first_offset > last->end_offset) {
            self->ranges[left++] = range;
        } else if (range.end_offset > last->end_offset) {
            last->end_offset = range.end_offset;
        }
    }
    self->count = left;
    if (left > RANGES_MAX / 2) {
        thin_out(self);
    }
}

/* Errors: ZSP_ENOMEM */
static int add(struct kept *self, uint64_t first, uint64_t end)
{
    if (self->count == RANGES_MAX) {
        tidy(self);
    }
    if (self->count == self->capacity) {
        const size_t capacity = self->capacity > 0 ? self->capacity * 2 : 64;
        struct store_range *const ranges = realloc(self->ranges, capacity * sizeof *ranges);
        if (!ranges) {
            return ZSP_ENOMEM;
        }
        self->ranges = ranges;
        self->capacity = capacity;
    }
    self->ranges[self->count++] = (struct store_range){first, end};
    return 0;
}

/* The stretches of [from, *to) that the ledger wants; it ends earlier when `looks` runs were looked at.
 * Errors: ZSP_ENOMEM */
static int gather_of(const struct engine *engine, const struct ledger *ledger, uint64_t from,
                     uint64_t *to, uint32_t looks, struct kept *ret)
{
    struct run_span span = {.end = from};
    int rc = 0;
    while (rc == 0 &&
           runmap_next(&ledger->runs, span.end, RUN_CLASS_DEAD | RUN_CLASS_REDRIVEN, &span) &&
           span.first < *to) {
        if (dead_keep_spares(engine, ledger, &span.run)) {
            rc = add(ret, span.first > from ? span.first : from, span.end < *to ? span.end : *to);
        }
        if (--looks == 0 && span.end < *to) {
            *to = span.end;
        }
    }
    return rc;
}

/* The same for all groups. */
static int gather(const struct engine *engine, const struct partition *partition, uint64_t from,
                  uint64_t *to, uint32_t looks, struct kept *ret)
{
    int rc = 0;
    for (const struct ledger *at = partition->ledger_first; at && rc == 0; at = at->next) {
        rc = may_keep(at) ? gather_of(engine, at, from, to, looks, ret) : 0;
    }
    tidy(ret);
    return rc;
}

/* Of several groups the one that keeps most decides; 0 = no limit. */
static uint64_t bytes_max(const struct partition *partition)
{
    uint64_t most = 0;
    bool has_limit = true;
    for (const struct ledger *at = partition->ledger_first; at; at = at->next) {
        const struct group_settings *const settings = group_settings_of(at->group);
        if (settings->dead_retention_ms > 0) {
            has_limit = has_limit && settings->dead_retention_bytes > 0;
            most = settings->dead_retention_bytes > most ? settings->dead_retention_bytes : most;
        }
    }
    return has_limit ? most : 0;
}

/* --- Asking ----------------------------------------------------------------------------------------- */

/* What is over its time in [from, to) is dead no more: it is gone. */
static void forget_old(struct engine *engine, struct partition *partition, uint64_t from,
                       uint64_t to)
{
    for (struct ledger *at = partition->ledger_first; at; at = at->next) {
        group_ledger_forget_old(engine->groups, at, from, to);
    }
}

/* Nothing more of the log goes: a part of the islands is looked at, each round the next one. */
static int look_at_islands(struct engine *engine, struct partition *partition,
                           struct store_retain *what, struct kept *kept)
{
    const uint64_t start = what->keep_to;
    const bool is_inside =
        partition->island_look > partition->island_offset && partition->island_look < start;
    what->keep_from = is_inside ? partition->island_look : 0;
    const int rc = gather(engine, partition, what->keep_from, &what->keep_to, LOOKS_MAX, kept);
    forget_old(engine, partition, what->keep_from, what->keep_to);
    /* With an overlap, for the store looks at nothing that is not told as a whole. */
    partition->island_look =
        what->keep_to < start ? what->keep_from + (what->keep_to - what->keep_from) / 2 : 0;
    return rc;
}

void dead_keep_retain(struct engine *engine, struct partition *partition,
                      const struct store_retain *limits)
{
    struct store *const store = engine->store;
    struct store_retain what = *limits;
    struct store_part_info info;
    struct kept kept = {0};
    store->ops->part_info(store, partition->part, &info);
    if (info.is_island_busy) {
        return;
    }
    what.keeps = true;
    what.keep_from = info.island_end;
    what.keep_to = store->ops->retain_reach(store, partition->part, &what);
    what.keep_bytes = bytes_max(partition);
    int rc = 0;
    if (what.keep_to > what.keep_from) {
        rc = gather(engine, partition, what.keep_from, &what.keep_to, UINT32_MAX, &kept);
    } else if (info.island_offset < info.island_end) {
        rc = look_at_islands(engine, partition, &what, &kept);
    }
    what.kept = kept.ranges;
    what.kept_count = kept.count;
    if (rc == 0) {
        retention_ask(engine, partition, &what);
    }
    free(kept.ranges);
}

void dead_keep_write_info(struct zsp_writer *out, const struct engine *engine,
                          const struct topic *topic)
{
    wire_write_array(out, topic->island_count);
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        const struct partition *const partition = topic->partitions[i];
        if (partition->island_offset < partition->start_offset) {
            struct store_part_info info;
            engine->store->ops->part_info(engine->store, partition->part, &info);
            wire_write_array(out, 3);
            wire_write_uint(out, i);
            wire_write_uint(out, partition->island_offset);
            wire_write_uint(out, info.island_bytes);
        }
    }
}
