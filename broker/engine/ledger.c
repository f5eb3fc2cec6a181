/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/ledger.h"

#include <inttypes.h>
#include <string.h>

#include "common/assert.h"

void ledger_init(struct ledger *self, uint64_t group_id, uint64_t topic_id,
                 uint32_t partition_index, struct run_slab *slab)
{
    memset(self, 0, sizeof *self);
    zsp_put_u64(self->key, group_id);
    zsp_put_u64(self->key + 8, topic_id);
    zsp_put_u32(self->key + 16, partition_index);
    runmap_init(&self->runs, slab);
    self->blocked = UINT64_MAX;
}

void ledger_fini(struct ledger *self)
{
    runmap_fini(&self->runs);
    block_set_fini(&self->blocks);
}

uint64_t ledger_group_id(const struct ledger *self)
{
    return zsp_get_u64(self->key);
}

uint64_t ledger_topic_id(const struct ledger *self)
{
    return zsp_get_u64(self->key + 8);
}

uint32_t ledger_partition_index(const struct ledger *self)
{
    return zsp_get_u32(self->key + 16);
}

/* --- Figures ------------------------------------------------------------------------ */

uint64_t ledger_committed(const struct ledger *self)
{
    struct run_span span;
    if (runmap_next(&self->runs, 0, RUN_CLASS_UNFINISHED, &span) && span.first < self->high) {
        return span.first;
    }
    return self->high;
}

/* The end of what may be handed out. */
static uint64_t visible_end(const struct ledger *self)
{
    return self->mark < self->blocked ? self->mark : self->blocked;
}

uint64_t ledger_ready(const struct ledger *self)
{
    const uint64_t end = visible_end(self);
    uint64_t fresh = end > self->high ? end - self->high : 0;
    fresh -= fresh < self->dead_above ? fresh : self->dead_above;
    return fresh + self->runs.count[RUN_READY];
}

uint64_t ledger_leased(const struct ledger *self)
{
    return self->runs.count[RUN_LEASED];
}

uint64_t ledger_waiting(const struct ledger *self)
{
    return self->runs.count[RUN_WAITING];
}

uint64_t ledger_dead(const struct ledger *self)
{
    return self->runs.count[RUN_DEAD];
}

bool ledger_is_blocked(const struct ledger *self)
{
    return self->blocked < self->mark && self->high >= self->blocked;
}

/* --- Reserving ------------------------------------------------------------------------ */

/* Reserve [first, end), which is READY as `run` or fresh, and note it. */
static int take_span(struct ledger *self, struct take *take, uint64_t first, uint64_t end,
                     const struct run *run)
{
    struct run reserved = *run;
    reserved.state = RUN_RESERVED;
    int rc = runmap_set(&self->runs, first, end, &reserved);
    if (rc < 0) {
        return rc;
    }
    struct piece *last = take->piece_count > 0 ? &take->pieces[take->piece_count - 1] : NULL;
    if (last && last->ledger == self && last->end == first) {
        last->end = end;
    } else {
        zsp_assert(take->pieces);
        zsp_assert(take->piece_count < take->piece_max);
        take->pieces[take->piece_count++] =
            (struct piece){.ledger = self, .first = first, .end = end};
    }
    take->messages -= end - first;
    take->taken += end - first;
    return 0;
}

/* A span cut to what may be handed out and to `messages`; false when nothing is left. */
static bool clip(const struct ledger *self, struct run_span *span, uint64_t messages)
{
    if (span->first >= self->blocked || messages == 0) {
        return false;
    }
    span->end = span->end < self->blocked ? span->end : self->blocked;
    if (span->end - span->first > messages) {
        span->end = span->first + messages;
    }
    return true;
}

static int take_ready(struct ledger *self, struct take *take)
{
    struct run_span span;
    while (take->piece_count < take->piece_max &&
           runmap_next(&self->runs, 0, RUN_CLASS_READY, &span) &&
           clip(self, &span, take->messages)) {
        int rc = take_span(self, take, span.first, span.end, &span.run);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

static int take_limited(struct ledger *self, struct take *take)
{
    struct run_span span;
    uint64_t lease_max = UINT64_MAX;
    while (take->piece_count < take->piece_max &&
           runmap_next(&self->runs, 0, RUN_CLASS_LIMITED, &span)) {
        const uint64_t allowed = UINT64_C(1) << (span.run.limit - 1);
        lease_max = allowed < lease_max ? allowed : lease_max;
        const uint64_t room = lease_max > take->taken ? lease_max - take->taken : 0;
        if (!clip(self, &span, room < take->messages ? room : take->messages)) {
            break;
        }
        take->alone = true;
        int rc = take_span(self, take, span.first, span.end, &span.run);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

void ledger_pass_dead(struct ledger *self)
{
    struct run_span span;
    while (runmap_next(&self->runs, self->high, RUN_CLASS_ANY, &span) && span.first <= self->high) {
        zsp_assert(span.run.state == RUN_DEAD);
        self->dead_above -= span.end - self->high;
        self->high = span.end;
    }
}

/* The next fresh stretch. */
static bool next_fresh(const struct ledger *self, struct run_span *ret)
{
    const uint64_t limit = visible_end(self);
    struct run_span span;
    if (self->high >= limit) {
        return false;
    }
    *ret = (struct run_span){.first = self->high, .end = limit};
    if (runmap_next(&self->runs, self->high, RUN_CLASS_ANY, &span) && span.first < limit) {
        ret->end = span.first;
    }
    return true;
}

static int take_fresh(struct ledger *self, struct take *take)
{
    struct run_span span;
    while (take->messages > 0 && take->piece_count < take->piece_max && next_fresh(self, &span)) {
        if (span.end - span.first > take->messages) {
            span.end = span.first + take->messages;
        }
        int rc = take_span(self, take, span.first, span.end, &span.run);
        if (rc < 0) {
            return rc;
        }
        self->high = span.end;
        ledger_pass_dead(self);
    }
    return 0;
}

int ledger_take(struct ledger *self, struct take *take)
{
    struct run_span span;
    if (take->taken == 0 &&
        runmap_next(&self->runs, 0, RUN_CLASS_READY | RUN_CLASS_LIMITED, &span) &&
        span.run.limit != 0) {
        return take_limited(self, take);
    }
    int rc = take_ready(self, take);
    return rc < 0 ? rc : take_fresh(self, take);
}

/* Was it never handed out, so that without its run it is fresh again? */
static bool is_untouched(const struct run *run)
{
    const struct run fresh = {.state = RUN_RESERVED};
    return run_equal(run, &fresh);
}

int ledger_untake(struct ledger *self, uint64_t first, uint64_t end)
{
    struct run_span span;
    while (first < end && runmap_next(&self->runs, first, RUN_CLASS_RESERVED, &span) &&
           span.first < end) {
        span.first = span.first > first ? span.first : first;
        span.end = span.end < end ? span.end : end;
        first = span.end;
        const bool rolls_back =
            span.end == self->high && span.first >= self->journaled && is_untouched(&span.run);
        span.run.state = rolls_back ? RUN_NONE : RUN_READY;
        int rc = runmap_set(&self->runs, span.first, span.end, &span.run);
        if (rc < 0) {
            return rc;
        }
        if (rolls_back) {
            self->high = span.first;
        }
    }
    return 0;
}

/* --- Retries ---------------------------------------------------------------------------- */

int ledger_wake(struct ledger *self, int64_t now_ms, size_t runs_max, bool *ret_all)
{
    struct run_span span;
    *ret_all = true;
    while (runmap_due(&self->runs, &span) && span.run.due_ms <= now_ms) {
        if (runs_max-- == 0) {
            *ret_all = false;
            return 0;
        }
        span.run.state = RUN_READY;
        span.run.due_ms = 0;
        int rc = runmap_set(&self->runs, span.first, span.end, &span.run);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

int64_t ledger_due_ms(const struct ledger *self)
{
    struct run_span span;
    return runmap_due(&self->runs, &span) ? span.run.due_ms : INT64_MAX;
}

/* --- Start ------------------------------------------------------------------------------- */

static int count_dead(void *arg, const struct run_span *span)
{
    if (span->run.state != RUN_DEAD) {
        return 1;
    }
    *(uint64_t *)arg += span->end - span->first;
    return 0;
}

int ledger_check(struct ledger *self, struct zsp_err *err)
{
    self->dead_above = 0;
    if (runmap_visit(&self->runs, self->high, UINT64_MAX, count_dead, &self->dead_above) != 0) {
        return zsp_err_set(err, ZSP_ECORRUPT,
                           "group state: an unfinished message lies at or above offset %" PRIu64
                           ", up to where messages were handed out",
                           self->high);
    }
    ledger_pass_dead(self);
    return 0;
}
