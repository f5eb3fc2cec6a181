/* SPDX-License-Identifier: MPL-2.0
 *
 * Several messages of one key in one reply. A pull has taken the first ones of some lanes; what
 * follows in these lanes may go with them, since all that is out of a lane is under one lease.
 * Followers come by offset, so that no lane has all the room that is left.
 */
#include <stdlib.h>

#include "broker/engine/order/lanes.h"
#include "broker/engine/pull/pull.h"

/* The next message of a lane that was taken from. */
struct follower {
    uint32_t rank; /* of its ledger: the piece that named it first */
    uint64_t offset;
};

/* A heap, the first at [0]. */
struct followers_heap {
    struct follower *items;
    size_t count, capacity;
};

static bool comes_before(const struct follower *a, const struct follower *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->offset < b->offset;
}

static int push(struct followers_heap *self, struct follower follower)
{
    struct follower *items = pull_grow(self->items, self->count, &self->capacity, sizeof *items);
    if (!items) {
        return ZSP_ENOMEM;
    }
    self->items = items;
    size_t at = self->count++;
    while (at > 0 && comes_before(&follower, &items[(at - 1) / 2])) {
        items[at] = items[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    items[at] = follower;
    return 0;
}

static struct follower pop(struct followers_heap *self)
{
    const struct follower first = self->items[0];
    const struct follower last = self->items[--self->count];
    size_t at = 0;
    for (size_t child = 1; child < self->count; child = 2 * at + 1) {
        child +=
            child + 1 < self->count && comes_before(&self->items[child + 1], &self->items[child])
                ? 1
                : 0;
        if (!comes_before(&self->items[child], &last)) {
            break;
        }
        self->items[at] = self->items[child];
        at = child;
    }
    self->items[at] = last;
    return first;
}

/* Note what comes in its lane behind a message that was taken. */
static int note_next(struct followers_heap *heap, const struct ledger *ledger, uint32_t rank,
                     uint64_t offset)
{
    struct lane_table *const table = &ledger->ways->lanes->table;
    const struct lane_entry *entry = lane_entry(table, offset);
    if (!entry || entry->lane == LANE_FREE) {
        return 0;
    }
    const uint64_t next = lane_after(table, offset);
    const bool is_held = lane_holds_first(lane_at(table, entry->lane)->held) < next;
    return next == LANE_NONE || is_held ? 0 : push(heap, (struct follower){rank, next});
}

static int note_all(const struct pull *pull, struct followers_heap *heap)
{
    int rc = 0;
    for (size_t i = 0; i < pull->take.piece_count; i++) {
        pull->take.pieces[i].ledger->ways->lanes->rank = UINT32_MAX;
    }
    for (size_t i = 0; i < pull->take.piece_count && rc == 0; i++) {
        const struct piece *piece = &pull->take.pieces[i];
        struct lanes *const lanes = piece->ledger->ways->lanes;
        lanes->rank = lanes->rank < i ? lanes->rank : (uint32_t)i;
        for (uint64_t at = piece->first; at < piece->end && rc == 0; at++) {
            rc = note_next(heap, piece->ledger, lanes->rank, at);
        }
    }
    return rc;
}

/* Reserve the message, if it may go; then the one behind it may. */
static int take_one(struct pull *pull, struct followers_heap *heap, struct follower follower,
                    uint64_t lease_max)
{
    struct ledger *const ledger = pull->take.pieces[follower.rank].ledger;
    struct take *take = &pull->take;
    struct run_span span;
    if (!runmap_next(&ledger->runs, follower.offset, RUN_CLASS_PARKED, &span) ||
        span.first > follower.offset || (span.run.limit != 0) != take->alone) {
        return 0;
    }
    if (span.run.limit != 0) {
        const uint64_t allowed = UINT64_C(1) << (span.run.limit - 1);
        if (take->taken >= (allowed < lease_max ? allowed : lease_max)) {
            return 0;
        }
    }
    span.first = follower.offset;
    span.end = follower.offset + 1;
    if (!ledger_clip(ledger, &span, take->messages)) {
        return 0;
    }
    int rc = ledger_reserve(ledger, take, &span);
    return rc == 0 ? note_next(heap, ledger, follower.rank, follower.offset) : rc;
}

/* How many messages the smallest limit of what was taken allows. */
static uint64_t lease_max_of(const struct take *take)
{
    uint64_t ret = UINT64_MAX;
    for (size_t i = 0; i < take->piece_count && take->alone; i++) {
        struct run_span span = {.end = take->pieces[i].first};
        while (span.end < take->pieces[i].end &&
               runmap_next(&take->pieces[i].ledger->runs, span.end, RUN_CLASS_RESERVED, &span) &&
               span.first < take->pieces[i].end) {
            const uint64_t allowed =
                span.run.limit != 0 ? UINT64_C(1) << (span.run.limit - 1) : UINT64_MAX;
            ret = allowed < ret ? allowed : ret;
        }
    }
    return ret;
}

/* Pieces in the order of the log, one for each stretch, so that they are read in one go. */
static int by_place(const void *a, const void *b)
{
    const struct piece *one = a;
    const struct piece *other = b;
    const uint32_t rank = one->ledger->ways->lanes->rank;
    const uint32_t other_rank = other->ledger->ways->lanes->rank;
    if (rank != other_rank) {
        return rank < other_rank ? -1 : 1;
    }
    return one->first < other->first ? -1 : 1;
}

static void sort_pieces(struct take *take)
{
    size_t count = 0;
    qsort(take->pieces, take->piece_count, sizeof *take->pieces, by_place);
    for (size_t i = 0; i < take->piece_count; i++) {
        struct piece *last = count > 0 ? &take->pieces[count - 1] : NULL;
        if (last && last->ledger == take->pieces[i].ledger && last->end == take->pieces[i].first) {
            last->end = take->pieces[i].end;
        } else {
            take->pieces[count++] = take->pieces[i];
        }
    }
    take->piece_count = count;
}

int lanes_follow(struct pull *pull, uint64_t messages)
{
    struct take *take = &pull->take;
    struct followers_heap heap = {0};
    if (take->piece_count == 0) {
        return 0;
    }
    const uint64_t lease_max = lease_max_of(take);
    int rc = note_all(pull, &heap);
    take->messages = messages;
    while (rc == 0 && heap.count > 0 && take->messages > 0 && take->piece_count < take->piece_max) {
        rc = take_one(pull, &heap, pop(&heap), lease_max);
    }
    free(heap.items);
    for (size_t i = 0; i < take->piece_count; i++) {
        struct ledger *const ledger = take->pieces[i].ledger;
        group_ledger_changed(ledger->ways->lanes->groups, ledger);
    }
    if (rc == 0 && group_work_of(pull->group)->with_levels == 0) {
        sort_pieces(take);
    }
    return rc;
}
