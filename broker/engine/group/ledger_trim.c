/* SPDX-License-Identifier: MPL-2.0
 *
 * What becomes of a ledger when the log goes: below the start nothing is known of a message any more
 * unless it is on an island (dead_keep.h).
 *
 * Without islands this is memory only: blocks that held nothing else go, the one in which the start
 * lies keeps its old image, which may say of messages below it that they are out under a lease that is
 * gone by then; a start trims before it looks at leases. With islands the blocks that stay are put
 * anew, behind the head: what is dead there after a restart is on the island.
 */
#include <inttypes.h>

#include "broker/engine/dead/dead_keep.h"
#include "broker/engine/group/group.h"
#include "broker/engine/ledger/agenda.h"
#include "broker/engine/ledger/ledger_codec.h"
#include "broker/engine/ledger/ledger_compare.h"
#include "broker/engine/order/lanes.h"
#include "broker/engine/replay/side_replay.h"
#include "broker/engine/state.h"
#include "broker/engine/topic/expiry.h"
#include "common/limits.h"

/* Where the log of a ledger begins, and what of it is left before that. */
struct shore {
    uint64_t start, island;
    bool replayed; /* what is dead on the island is kept, and no lease is looked at */
};

static struct shore shore_of(const struct partition *partition)
{
    return (struct shore){.start = partition->start_offset, .island = partition->island_offset};
}

static void put_head(struct groups *self, const struct ledger *ledger)
{
    uint8_t key[GROUP_KEY_ROOM];
    state_image_wanted(self->engine, ledger_head_key(ledger, key));
}

static void forget(struct groups *self, struct ledger *ledger, uint64_t first, uint64_t end,
                   bool replayed)
{
    struct run_span span;
    if (!runmap_next(&ledger->runs, first, RUN_CLASS_ANY, &span) || span.first >= end) {
        return;
    }
    if (!replayed && runmap_next(&ledger->runs, first, RUN_CLASS_LEASED, &span) &&
        span.first < end) {
        group_leave_leases(self, ledger, first, end);
    }
    if (runmap_drop(&ledger->runs, first, end) < 0) {
        group_out_of_memory(self);
    }
}

static bool is_kept(const struct groups *self, const struct ledger *ledger, const struct run *run,
                    bool replayed)
{
    return replayed ? run->state == RUN_DEAD || run->redriven != 0
                    : dead_keep_spares(self->engine, ledger, run);
}

/* The first stretch of [from, to) that is kept; at `to` when there is none. Looks at no run but those that
 * may be. */
static struct run_span next_kept(const struct groups *self, const struct ledger *ledger,
                                 uint64_t from, uint64_t to, bool replayed)
{
    struct run_span span = {.end = from};
    while (runmap_next(&ledger->runs, span.end, RUN_CLASS_DEAD | RUN_CLASS_REDRIVEN, &span) &&
           span.first < to) {
        if (is_kept(self, ledger, &span.run, replayed)) {
            span.first = span.first > from ? span.first : from;
            return span;
        }
    }
    return (struct run_span){.first = to, .end = to};
}

/* Of [from, to) only what is kept stays. */
static void forget_rest(struct groups *self, struct ledger *ledger, uint64_t from, uint64_t to,
                        bool replayed)
{
    while (from < to) {
        const struct run_span kept = next_kept(self, ledger, from, to, replayed);
        forget(self, ledger, from, kept.first, replayed);
        from = kept.end;
    }
}

/* Blocks below `start` without anything go; the others are put anew when that is asked for. */
static void put_blocks(struct groups *self, struct ledger *ledger, uint64_t start, bool puts)
{
    uint8_t key[GROUP_KEY_ROOM];
    for (size_t i = 0; i < block_set_count(&ledger->blocks);) {
        const uint64_t block = block_set_at(&ledger->blocks, i);
        const uint64_t first = block * ZSP_STATE_BLOCK;
        if (first >= start) {
            return;
        }
        if (first + ZSP_STATE_BLOCK <= start &&
            !ledger_has_durable(ledger, first, first + ZSP_STATE_BLOCK)) {
            state_put_gone(self->engine, ledger_block_key(ledger, block, key));
            block_set_remove(&ledger->blocks, block);
            continue;
        }
        if (puts) {
            state_image_wanted(self->engine, ledger_block_key(ledger, block, key));
        }
        i++;
    }
}

static void forget_below(struct groups *self, struct ledger *ledger, const struct shore *shore)
{
    const uint64_t start = shore->start;
    const bool has_island = shore->island < start;
    /* What is redriven is counted when it goes, and must not come back to be counted again. */
    const bool puts = has_island || dead_keep_redriven(ledger, 0, start) > 0;
    lanes_drop(ledger); /* some of it was not finished, or dead */
    forget(self, ledger, 0, shore->island, shore->replayed);
    if (has_island) {
        forget_rest(self, ledger, shore->island, start, shore->replayed);
    }
    if (ledger->rare && ledger->rare->blocked < start) {
        ledger->rare->blocked = UINT64_MAX; /* the damage is gone with the rest */
    }
    if (ledger->high < start) {
        ledger->high = start;
    }
    if (ledger->journaled < start) {
        ledger->journaled = start;
        ledger->water = ledger->water > start ? ledger->water : start;
    }
    if (puts && !shore->replayed) {
        put_head(self, ledger);
    }
    put_blocks(self, ledger, start, puts && !shore->replayed);
    if (ledger_recount(ledger) < 0) {
        group_out_of_memory(self);
    }
}

static bool is_above(const struct ledger *ledger, uint64_t start)
{
    return start == 0 ||
           (start <= ledger->high && start <= ledger_committed(ledger) && ledger_dead(ledger) == 0);
}

/* Count what goes with the messages below the start and was still to be done; true = any. A crash
 * before that is durable is no harm: the start counts again, from where it was counted to. What is
 * redriven is counted only when its island goes. */
static bool count_lost(struct groups *self, struct ledger *ledger, const struct shore *shore)
{
    const uint64_t from = ledger_rare_of(ledger)->lost_to;
    const uint64_t start = shore->start;
    const uint64_t first = from > shore->island ? from : shore->island;
    const uint64_t wanted_end = side_replay_end(ledger);
    const uint64_t end = start < wanted_end ? start : wanted_end;
    uint64_t lost = 0;
    if (from < end) {
        lost = ledger_count_unfinished(ledger, from, end) - dead_keep_redriven(ledger, first, end);
    }
    lost += dead_keep_redriven(ledger, 0, shore->island < from ? shore->island : from);
    struct ledger_rare *const rare = lost > 0 ? ledger_rare_open(ledger) : NULL;
    if (rare) {
        rare->lost += lost;
        rare->lost_to = start > from ? start : from;
    } else if (lost > 0) {
        group_out_of_memory(self);
    }
    return rare != NULL;
}

bool group_ledger_trim(struct groups *self, struct ledger *ledger)
{
    const struct shore shore = shore_of(ledger->partition);
    if (is_above(ledger, shore.start)) {
        return false;
    }
    agenda_tell(self, ledger); /* the mark is never below `high`, see mark_watch.h */
    const bool any_lost = count_lost(self, ledger, &shore);
    forget_below(self, ledger, &shore);
    group_ledger_changed(self, ledger);
    if (any_lost) {
        put_head(self, ledger);
    }
    return any_lost;
}

void group_ledger_trim_replayed(struct groups *self, struct ledger *ledger,
                                const struct partition *partition)
{
    struct shore shore = shore_of(partition);
    if (is_above(ledger, shore.start)) {
        return;
    }
    shore.replayed = true;
    const bool any_lost = count_lost(self, ledger, &shore);
    forget_below(self, ledger, &shore);
    if (any_lost) {
        put_head(self, ledger);
    }
}

void group_ledger_begin(struct groups *self, struct ledger *ledger)
{
    struct shore shore = shore_of(ledger->partition);
    shore.replayed = true;
    if (!is_above(ledger, shore.start)) {
        forget_below(self, ledger, &shore);
    }
    expiry_moved(self->engine, ledger);
}

void group_ledger_forget_old(struct groups *self, struct ledger *ledger, uint64_t from, uint64_t to)
{
    const struct shore shore = shore_of(ledger->partition);
    from = from > shore.island ? from : shore.island;
    to = to < shore.start ? to : shore.start;
    struct run_span span = {.end = from};
    bool any = false;
    while (!any && runmap_next(&ledger->runs, span.end, RUN_CLASS_ANY, &span) && span.first < to) {
        any = !is_kept(self, ledger, &span.run, false);
    }
    if (!any) {
        return;
    }
    lanes_drop(ledger); /* a dead one may have held its key */
    forget_rest(self, ledger, span.first > from ? span.first : from, to, false);
    put_blocks(self, ledger, shore.start, true);
    group_ledger_changed(self, ledger);
}
