/* SPDX-License-Identifier: MPL-2.0
 *
 * What a read has brought for a group with a filter: of what is over, what is wanted is counted, and the
 * rest left out.
 */
#include "broker/engine/batch/batch_walk.h"
#include "broker/engine/group/group.h"
#include "broker/engine/group/group_rules.h"
#include "broker/engine/ledger/levels.h"
#include "broker/engine/pull/expired.h"
#include "broker/engine/pull/pull.h"
#include "broker/engine/topic/expiry_sift.h"

/* Of a read: stretches that are looked at, */
#define READ_STRETCHES 8192u
/* and pieces of its step: messages in a row that are all wanted, or all not. */
#define PIECES_MAX 1024u

struct sifting {
    struct engine *engine;
    struct ledger *ledger;
    const struct zsp_filter *program; /* NULL = all are wanted */
    const struct store_completion *completion;
    uint32_t index; /* of the batch at hand, */
    struct batch_walk batch;
    const struct run *run; /* of the stretch at hand */
    uint32_t pieces;       /* that were found */
    uint64_t filtered;
    bool is_too_far; /* the rest is one run too many */
    /* What is to be done, not dead; of that are expired, and not in the log any more: */
    uint64_t first, end, expired, gone;
};

static bool wants_record(const void *arg, const struct zsp_record *record)
{
    return zsp_filter_matches(arg, record);
}

/* [first, end) of the stretch goes. */
static void leave(struct sifting *self, uint64_t first, uint64_t end)
{
    if (self->run->state == RUN_NONE) {
        levels_leave(self->ledger, first, end);
    }
}

/* What was gathered is done. Errors: ZSP_ENOMEM */
static int flush(struct sifting *self)
{
    const struct run none = {.state = RUN_NONE};
    struct groups *const groups = self->engine->groups;
    int rc = 0;
    if (self->end > self->first) {
        self->filtered += self->end - self->first - self->expired - self->gone;
        leave(self, self->first, self->end);
        rc = step_set(&groups->step, self->ledger, self->first, self->end, &none);
    }
    if (rc == 0 && self->expired > 0) {
        rc = expired_count(groups, self->ledger, self->expired);
    }
    if (rc == 0 && self->gone > 0) {
        rc = step_count_compacted(&groups->step, self->ledger, self->gone);
    }
    self->first = self->end;
    self->expired = self->gone = 0;
    return rc;
}

/* A piece of the stretch, behind what was gathered of it. Errors: ZSP_ENOMEM */
static int add(struct sifting *self, uint64_t end, enum absent_why why)
{
    const uint64_t count = end - self->end;
    self->pieces++;
    if (why == ABSENT_EXPIRED && group_settings_of(self->ledger->group)->expired == EXPIRED_DEAD) {
        const int rc = flush(self);
        const struct run_span dead = {.first = self->end, .end = end, .run = *self->run};
        self->first = self->end = end;
        leave(self, dead.first, dead.end);
        return rc == 0 ? expired_leave_out(self->engine->groups, self->ledger, &dead) : rc;
    }
    self->expired += why == ABSENT_EXPIRED ? count : 0;
    self->gone += why == ABSENT_GONE ? count : 0;
    self->end = end;
    return 0;
}

/* The batch that has the message, or the next one; NULL = there is none. */
static const struct store_batch *find_batch(struct sifting *self, uint64_t offset)
{
    const struct store_completion *const read = self->completion;
    for (; self->index < read->batch_count; self->index++) {
        const struct store_batch *const batch = &read->batches[self->index];
        if (batch->first_offset + batch->record_count > offset) {
            return batch;
        }
        batch_walk_end(&self->batch);
    }
    return NULL;
}

/* The next piece of a stretch that ends at `end`. Errors: ZSP_ENOMEM, ZSP_ECORRUPT */
static int add_next(struct sifting *self, uint64_t end)
{
    const struct store_batch *const batch = find_batch(self, self->end);
    if (!batch || batch->first_offset > self->end) {
        const bool is_last = !batch || batch->first_offset > end;
        return add(self, is_last ? end : batch->first_offset, ABSENT_GONE);
    }
    if (!self->program || self->run->deliveries > 0) {
        const uint64_t batch_end = batch->first_offset + batch->record_count;
        return add(self, batch_end < end ? batch_end : end, ABSENT_EXPIRED);
    }
    if (!self->batch.batch) {
        batch_walk_begin(&self->batch, batch);
    }
    const struct batch_reader reader = {.unpack = &self->engine->unpack,
                                        .partition = self->ledger->partition};
    const struct batch_chooser chooser = {wants_record, self->program};
    const struct store_range range = {self->end, end};
    uint64_t piece_end = end;
    bool wanted = false;
    const int rc =
        batch_walk_choose(&self->batch, &reader, range, &chooser, &wanted, &piece_end, NULL);
    return rc == 0 ? add(self, piece_end, wanted ? ABSENT_EXPIRED : ABSENT_FILTERED) : rc;
}

/* A stretch that is over: *ret_end = up to there it was looked at. Errors: ZSP_ENOMEM */
static int sift_stretch(struct sifting *self, const struct run_span *span, uint64_t *ret_end)
{
    int rc = 0;
    self->run = &span->run;
    self->first = self->end = span->first;
    while (rc == 0 && self->end < span->end && self->pieces < PIECES_MAX) {
        rc = add_next(self, span->end);
    }
    *ret_end = self->end;
    if (rc == ZSP_ECORRUPT) { /* a pull tells; what lies behind it goes on */
        const struct store_batch *const batch = &self->completion->batches[self->index];
        const uint64_t batch_end = batch->first_offset + batch->record_count;
        *ret_end = batch_end < span->end ? batch_end : span->end;
        rc = 0;
    }
    return rc == 0 ? flush(self) : rc;
}

/* What is over of what was read, in the open step. Errors: ZSP_ENOMEM */
static int sift_all(struct sifting *self, struct expiry_walk *walk, uint64_t end)
{
    struct run_span span;
    int rc = 0;
    while (rc == 0 && self->pieces < PIECES_MAX && expiry_sift_next(walk, end, &span)) {
        if (expiry_is_too_far(self->engine, self->ledger, &span)) {
            walk->held = walk->held < span.first ? walk->held : span.first;
            self->is_too_far = true;
            break;
        }
        rc = sift_stretch(self, &span, &walk->pos);
    }
    batch_walk_end(&self->batch);
    return rc;
}

bool expiry_sift_take(struct engine *engine, struct expiry *self, struct ledger *ledger,
                      const struct store_completion *completion)
{
    struct group_filter *const filter = group_filter_of(ledger->group);
    struct expiry_sift *const sift = &self->sift;
    struct sifting sifting = {.engine = engine,
                              .ledger = ledger,
                              .program = filter ? filter->program : NULL,
                              .completion = completion};
    struct expiry_walk walk = expiry_sift_walk(self, ledger, sift->pos, READ_STRETCHES);
    const uint64_t covered_end = completion->covered.end_offset;
    const uint64_t end = covered_end < sift->end ? covered_end : sift->end;
    self->in_turn = true;
    const struct expired_step step = expired_step_begin(engine, ledger);
    const int rc = expired_step_end(&step, sift_all(&sifting, &walk, end));
    self->in_turn = false;
    if (rc < 0) {
        return false;
    }
    if (filter) {
        filter->filtered += sifting.filtered;
    }
    sift->held = sift->held < walk.held ? sift->held : walk.held;
    sift->pos = walk.pos < end ? walk.pos : end;
    sift->pos = sifting.is_too_far ? UINT64_MAX : sift->pos;
    return true;
}
