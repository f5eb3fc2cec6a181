/* SPDX-License-Identifier: MPL-2.0
 *
 * A pull reads what it has reserved, one stretch after the other, and cuts it at
 * its limits. Stretches that lie close together are read at once. What the read
 * covers and no batch holds is absent from the log for good: it counts as done.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "broker/engine/batch/batch_walk.h"
#include "broker/engine/group/group_rules.h"
#include "broker/engine/order/fair.h"
#include "broker/engine/order/lanes.h"
#include "broker/engine/order/recall.h"
#include "broker/engine/pull/pull.h"
#include "broker/engine/pull/pull_arrays.h"
#include "broker/engine/pull/pull_take.h"
#include "common/diag.h"

/* Bytes of a reply's header that are kept free for what is not a run. */
#define HEADER_SPARE (8u * ZSP_KIB)

static void read_next(struct engine *engine, struct pull *self);

/* --- Putting back ----------------------------------------------------------------------------- */

static void untake(struct engine *engine, struct ledger *ledger, uint64_t first, uint64_t end)
{
    if (!ledger || first >= end) {
        return;
    }
    if (ledger_untake(ledger, first, end) < 0) {
        group_out_of_memory(engine->groups);
        return;
    }
    group_ledger_changed(engine->groups, ledger);
}

static void untake_of(struct engine *engine, const struct piece *piece, uint64_t from)
{
    struct fair *const fair = piece->ledger ? ledger_fair(piece->ledger) : NULL;
    if (fair) {
        fair->tenant_back = piece->tenant;
    }
    untake(engine, piece->ledger, from, piece->end);
    if (fair && ledger_fair(piece->ledger) == fair) {
        fair->tenant_back = 0;
    }
}

/* A piece, from `from` on; what lies before stays taken. */
static void untake_piece(struct engine *engine, struct pull *self, struct piece *piece,
                         uint64_t from)
{
    struct piece rest = *piece;
    untake_of(engine, piece, from);
    rest.first = from;
    pull_take_back(self->group, &rest);
    piece->end = from;
}

/* Pieces from `next_piece`, `next_from` on, to the one before `end`; last to first, so that fresh
 * messages at the end become fresh again. */
static void untake_pieces(struct engine *engine, struct pull *self, size_t end)
{
    for (size_t i = end; i > self->next_piece && !self->is_resent; i--) {
        struct piece *piece = &self->take.pieces[i - 1];
        untake_piece(engine, self, piece,
                     i - 1 == self->next_piece ? self->next_from : piece->first);
    }
}

void pull_put_back(struct engine *engine, struct pull *self)
{
    struct take *const take = &self->take;
    untake_pieces(engine, self, take->piece_count);
    if (self->next_piece < take->piece_count && !self->is_resent &&
        take->pieces[self->next_piece].end > take->pieces[self->next_piece].first) {
        self->next_piece++; /* some of it was used */
    }
    take->piece_count = self->next_piece;
}

void pull_forget_gathered(struct pull *self)
{
    for (size_t i = 0; i < self->part_count; i++) {
        zsp_buf_put(&self->parts[i].buf);
    }
    self->part_count = self->run_count = self->absent_count = 0;
    self->messages = self->bytes = 0;
    self->wire_count = 0;
    free(self->cuts);
    self->cuts = NULL;
    self->cut_count = self->cut_capacity = 0;
    self->cut_bytes = 0;
    zsp_writer_reset(&self->wire);
}

/* Nobody waits for it any more, or it failed: everything as before. */
static void give_up(struct engine *engine, struct pull *self, const struct zsp_err *error)
{
    pull_put_back(engine, self);
    pull_take_undone(self);
    for (size_t i = self->take.piece_count; i > 0 && !self->is_resent; i--) {
        const struct piece *piece = &self->take.pieces[i - 1];
        untake_of(engine, piece, piece->first);
    }
    for (size_t i = self->run_count; i > 0 && !self->is_resent; i--) {
        const struct pull_run *run = &self->runs[i - 1];
        untake(engine, run->ledger, run->first, run->end);
    }
    for (size_t i = self->absent_count; i > 0 && !self->is_resent; i--) {
        const struct pull_run *run = &self->absent[i - 1];
        untake(engine, run->ledger, run->first, run->end);
    }
    if (error) {
        pull_tell_error(engine, self, error);
    }
    pull_free(engine, self);
}

/* --- Gathering -------------------------------------------------------------------------------- */

static int add_stretch(struct pull_run **list, size_t *count, size_t *capacity,
                       const struct pull_run *stretch)
{
    struct pull_run *last = *count > 0 ? &(*list)[*count - 1] : NULL;
    if (last && last->ledger == stretch->ledger && last->end == stretch->first &&
        last->why == stretch->why) {
        last->end = stretch->end;
        return 0;
    }
    struct pull_run *grown = pull_grow(*list, *count, capacity, sizeof *grown);
    if (!grown) {
        return ZSP_ENOMEM;
    }
    *list = grown;
    grown[(*count)++] = *stretch;
    return 0;
}

static int add_absent(struct pull *self, struct ledger *ledger, uint64_t first, uint64_t end,
                      enum absent_why why)
{
    const struct pull_run stretch = {ledger, first, end, why};
    self->take.pieces[self->next_piece].left_out += (uint32_t)(end - first);
    self->any_lost = true;
    return add_stretch(&self->absent, &self->absent_count, &self->absent_capacity, &stretch);
}

static int add_part(struct pull *self, const struct engine_part *part)
{
    const size_t cut = self->cut_count > 0 ? self->cuts[self->cut_count - 1].part_count : 0;
    struct engine_part *last = self->part_count > cut ? &self->parts[self->part_count - 1] : NULL;
    if (last && !last->is_whole && !part->is_whole && last->buf == part->buf &&
        last->pos + last->len == part->pos) {
        last->len += part->len;
        return 0;
    }
    struct engine_part *parts =
        pull_grow(self->parts, self->part_count, &self->part_capacity, sizeof *parts);
    if (!parts) {
        return ZSP_ENOMEM;
    }
    self->parts = parts;
    (void)zsp_buf_get(part->buf);
    parts[self->part_count++] = *part;
    return 0;
}

/* With `parts`: end one here, when it has its bytes. */
static int cut_part(struct engine *engine, struct pull *self)
{
    if (!self->wants_parts || self->bytes - self->cut_bytes < engine->options.part_bytes) {
        return 0;
    }
    struct pull_cut *cuts =
        pull_grow(self->cuts, self->cut_count, &self->cut_capacity, sizeof *cuts);
    if (!cuts) {
        return ZSP_ENOMEM;
    }
    self->cuts = cuts;
    cuts[self->cut_count++] = (struct pull_cut){
        .wire_count = self->wire_count, .wire_len = self->wire.len, .part_count = self->part_count};
    self->cut_bytes = self->bytes;
    return 0;
}

/* Note a run: for the grant, for the reply's header and for its body. */
static int add_run(struct engine *engine, struct pull *self, struct ledger *ledger,
                   const struct store_batch *batch, const struct batch_piece *piece,
                   const struct run *run)
{
    const struct batch_slice *slice = &piece->slice;
    const struct pull_run stretch = {ledger, slice->first_offset,
                                     slice->first_offset + slice->count, ABSENT_GONE};
    const struct wire_run told = {
        .topic = ledger->binding->followers->name,
        .partition = ledger_partition_index(ledger),
        .first = slice->first_offset,
        .count = slice->count,
        .lease = self->lease,
        .timestamp_ms = batch->timestamp_ms,
        .deliveries = run->deliveries + (self->is_resent ? 0 : 1),
        .failures = run->failures,
        .priority = batch->priority,
        .expires_at_ms = batch->expires_at_ms,
        .raw_bytes = piece->raw_bytes,
        .skip = piece->skip,
    };
    int rc = cut_part(engine, self);
    if (rc == 0) {
        rc = add_part(self, &piece->part);
    }
    if (rc == 0) {
        rc = add_stretch(&self->runs, &self->run_count, &self->run_capacity, &stretch);
    }
    wire_write_run(&self->wire, &told);
    self->wire_count++;
    self->messages += slice->count;
    self->bytes += slice->len;
    return self->wire.failed ? ZSP_ENOMEM : rc;
}

static bool header_is_full(const struct pull *self)
{
    const struct zsp_buf *const told = self->outcomes.told.not_applied;
    const size_t taken = HEADER_SPARE + (told ? told->len : 0);
    return self->wire_count >= ZSP_RUNS_MAX || self->wire.len > ZSP_HEADER_MAX - taken;
}

/* Is the time over in which the batch is to be handed out? */
static bool is_expired(const struct engine *engine, const struct store_batch *batch)
{
    return batch->expires_at_ms != 0 && batch->expires_at_ms <= engine->now.wall_ms;
}

static bool wants_record(const void *arg, const struct zsp_record *record)
{
    return zsp_filter_matches(arg, record);
}

/* Messages that the group's filter does not want are done: *ret_end becomes the end of those at the
 * front that it does. What was out before was wanted then, and is now. False in *ret_any = none. */
static int choose(struct pull *self, struct ledger *ledger, struct batch_walk *walk,
                  const struct batch_reader *reader, uint64_t *ret_end, bool *ret_any,
                  struct zsp_err *err)
{
    const struct batch_chooser chooser = {wants_record, self->group->rules->filter->program};
    const struct store_range range = {self->next_from, *ret_end};
    const uint64_t first = self->next_from;
    int rc = batch_walk_choose(walk, reader, range, &chooser, ret_any, ret_end, err);
    if (rc == 0 && !*ret_any) {
        self->next_from = *ret_end;
        rc = add_absent(self, ledger, first, *ret_end, ABSENT_FILTERED);
    }
    return rc;
}

static bool is_filtered(const struct pull *self, const struct run *run)
{
    return group_filter_of(self->group) && run->deliveries == 0 && !self->is_resent;
}

/* Messages that it may have, all in all. */
static uint64_t most_of(const struct pull *self)
{
    return self->is_resent ? self->max_messages : self->most;
}

/* Hand over what fits of [next_from, last); moves next_from. */
static int take_some(struct engine *engine, struct pull *self, struct ledger *ledger,
                     struct batch_walk *walk, const struct batch_reader *reader,
                     const struct run_span *span, struct zsp_err *err)
{
    const uint64_t most = most_of(self);
    const struct batch_limits limits = {
        .max_messages = header_is_full(self) || most < self->messages ? 0 : most - self->messages,
        .max_bytes = self->max_bytes > self->bytes ? self->max_bytes - self->bytes : 0,
        .first_fits = self->messages == 0,
    };
    const struct store_range range = {self->next_from, span->end};
    struct batch_piece piece;
    int rc = batch_walk_take(walk, reader, range, &limits, &piece, err);
    if (rc == 0 && piece.slice.count > 0) {
        rc = add_run(engine, self, ledger, walk->batch, &piece, &span->run);
        self->next_from = piece.slice.first_offset + piece.slice.count;
    }
    if (rc < 0 || piece.slice.is_cut || piece.slice.count == 0) {
        self->is_cut = self->is_complete = true;
    }
    return rc;
}

/* Take what is ours and fits of [first, end), which lies in the batch. Moves next_from; sets
 * is_complete at a limit. */
static int take_batch(struct engine *engine, struct pull *self, struct ledger *ledger,
                      struct batch_walk *walk, uint64_t end, struct zsp_err *err)
{
    const unsigned wanted = self->is_resent ? RUN_CLASS_LEASED : RUN_CLASS_RESERVED;
    const bool expired = is_expired(engine, walk->batch) && !self->is_resent;
    struct run_span span;
    int rc = 0;
    while (rc == 0 && !self->is_complete && self->next_from < end &&
           runmap_next(&ledger->runs, self->next_from, wanted, &span) && span.first < end) {
        self->next_from = span.first > self->next_from ? span.first : self->next_from;
        span.end = span.end < end ? span.end : end;
        if (self->is_resent && ledger_lanes(ledger)) {
            (void)lanes_is_recalled(ledger, self->next_from,
                                    &span.end); /* cut where that changes */
        }
        if (self->is_resent &&
            (span.run.lease != self->lease || recall_is_due(ledger, self->next_from))) {
            self->next_from = span.end;
            continue;
        }
        const struct batch_reader reader = {
            .unpack = &engine->unpack,
            .partition = ledger->partition,
            .accepts_zstd = self->accepts_zstd,
            .may_leave = !self->is_resent && self->messages > 0 && span.end == end &&
                         self->next_piece + 1 == self->take.piece_count,
        };
        bool any = true;
        if (is_filtered(self, &span.run)) {
            if (self->messages >= self->most) {
                self->is_cut = self->is_complete = true;
                break;
            }
            rc = choose(self, ledger, walk, &reader, &span.end, &any, err);
        }
        if (rc == 0 && any && expired) {
            rc = add_absent(self, ledger, self->next_from, span.end, ABSENT_EXPIRED);
            self->next_from = span.end;
        } else if (rc == 0 && any) {
            rc = take_some(engine, self, ledger, walk, &reader, &span, err);
        }
    }
    self->next_from = rc < 0 || self->is_complete ? self->next_from : end;
    return rc;
}

static void next_piece(struct pull *self)
{
    const struct piece *piece = &self->take.pieces[self->next_piece];
    self->lost_turn = piece->kind == TAKE_TURN && piece->left_out == piece->end - piece->first;
    self->next_piece++;
    if (self->next_piece < self->take.piece_count) {
        self->next_from = self->take.pieces[self->next_piece].first;
    }
}

/* One stretch of a piece: of a batch (`walk` NULL = none), or before it and absent. */
static int gather_some(struct engine *engine, struct pull *self, struct ledger *ledger,
                       struct batch_walk *walk, uint64_t end, struct zsp_err *err)
{
    const struct store_batch *batch = walk ? walk->batch : NULL;
    if (batch && batch->first_offset < end && batch->first_offset <= self->next_from) {
        const uint64_t batch_end = batch->first_offset + batch->record_count;
        const uint64_t to = end < batch_end ? end : batch_end;
        if (!is_expired(engine, batch) || self->is_resent || group_filter_of(self->group)) {
            return take_batch(engine, self, ledger, walk, to, err);
        }
        const uint64_t first = self->next_from;
        self->next_from = to;
        return add_absent(self, ledger, first, to, ABSENT_EXPIRED);
    }
    const uint64_t absent_end = batch && batch->first_offset < end ? batch->first_offset : end;
    const uint64_t from = self->next_from;
    self->next_from = absent_end;
    return self->is_resent ? 0 : add_absent(self, ledger, from, absent_end, ABSENT_GONE);
}

/* All that the completed read brings for the pieces of its ledger, as long as they rise: what lies
 * before the one at hand has been passed, and is read for itself. */
static int gather(struct engine *engine, struct pull *self, struct ledger *ledger,
                  const struct store_completion *completion, struct zsp_err *err)
{
    const uint64_t covered_end = completion->covered.end_offset;
    uint64_t passed = completion->covered.first_offset;
    uint32_t index = 0;
    struct batch_walk walk = {0}; /* over batches[index] */
    int rc = 0;
    while (self->next_piece < self->take.piece_count && !self->is_complete && !self->lost_turn &&
           rc == 0) {
        const struct piece *piece = &self->take.pieces[self->next_piece];
        if (piece->ledger != ledger || self->next_from >= covered_end || self->next_from < passed) {
            break;
        }
        passed = self->next_from;
        while (index < completion->batch_count &&
               completion->batches[index].first_offset + completion->batches[index].record_count <=
                   self->next_from) {
            batch_walk_end(&walk);
            index++;
        }
        const bool has_batch = index < completion->batch_count;
        if (has_batch && !walk.batch) {
            batch_walk_begin(&walk, &completion->batches[index]);
        }
        const uint64_t end = piece->end < covered_end ? piece->end : covered_end;
        rc = gather_some(engine, self, ledger, has_batch ? &walk : NULL, end, err);
        if (rc == 0 && self->next_from >= piece->end) {
            next_piece(self);
        }
    }
    batch_walk_end(&walk);
    return rc;
}

/* --- Reading ----------------------------------------------------------------------------------- */

/* Leave out what is left of this ledger; go on with the next one. */
static void skip_ledger(struct engine *engine, struct pull *self, const struct ledger *ledger)
{
    size_t end = self->next_piece;
    while (end < self->take.piece_count && self->take.pieces[end].ledger == ledger) {
        end++;
    }
    untake_pieces(engine, self, end);
    self->next_piece = end;
    if (end < self->take.piece_count) {
        self->next_from = self->take.pieces[end].first;
    }
}

/* False = the pull is over. */
static bool read_failed(struct engine *engine, struct pull *self, struct ledger *ledger,
                        const struct store_completion *completion)
{
    switch (completion->error.code) {
    case ZSP_ECORRUPT:
        if (completion->covered.first_offset < ledger_rare_of(ledger)->blocked) {
            const uint64_t first = completion->covered.first_offset;
            group_ledger_block(engine->groups, ledger,
                               first > self->next_from ? first : self->next_from);
        }
        skip_ledger(engine, self, ledger);
        return true;
    case ZSP_EOUT_OF_RANGE: /* retention was faster */
    case ZSP_ENOT_FOUND:    /* the topic is going */
        skip_ledger(engine, self, ledger);
        return true;
    default:
        give_up(engine, self, &completion->error);
        return false;
    }
}

static void read_done(struct engine *engine, struct engine_op *op,
                      const struct store_completion *completion)
{
    struct pull *self = (struct pull *)op;
    if (self->abandoned || !self->group) {
        struct zsp_err gone;
        (void)catalog_went_meanwhile(&gone, "group", "the group");
        give_up(engine, self, self->abandoned ? NULL : &gone);
        return;
    }
    struct ledger *ledger = self->take.pieces[self->next_piece].ledger;
    if (ledger && completion->error.code != 0) {
        if (read_failed(engine, self, ledger, completion)) {
            read_next(engine, self);
        }
        return;
    }
    struct zsp_err error = {0};
    if (ledger && completion->covered.end_offset <= self->next_from) {
        (void)zsp_err_set(&error, ZSP_EINTERNAL,
                          "topic %s partition %" PRIu32 ": the store read nothing at %" PRIu64,
                          ledger->binding->followers->name_bytes, ledger_partition_index(ledger),
                          self->next_from);
        give_up(engine, self, &error);
        return;
    }
    if (ledger && gather(engine, self, ledger, completion, &error) < 0) {
        if (error.code == 0) {
            (void)zsp_err_set(&error, ZSP_ENOMEM, "pull: out of memory");
        }
        give_up(engine, self, &error);
        return;
    }
    read_next(engine, self);
}

/* Everything is read. */
static void finish(struct engine *engine, struct pull *self)
{
    if (group_fair_of(self->group) && !self->is_resent) {
        group_fair_fit(group_fair_of(self->group), self->messages,
                       self->next_piece < self->take.piece_count && self->messages < self->most);
    }
    pull_put_back(engine, self);
    if (!self->is_resent) {
        pull_take_left_out(self);
        pull_grant(engine, self);
    } else if (self->messages > 0) {
        pull_hand_over(engine, self);
    } else {
        /* The lease ended while it was read: then this is a pull like any other. */
        self->is_resent = false;
        pull_again(engine, self);
    }
}

/* The end of what one read brings: pieces of one ledger that lie close together. */
static uint64_t window_end(const struct pull *self)
{
    const struct piece *piece = &self->take.pieces[self->next_piece];
    uint64_t end = piece->end;
    for (size_t i = self->next_piece + 1; i < self->take.piece_count; i++) {
        const struct piece *next = &self->take.pieces[i];
        if (next->ledger != piece->ledger || next->first < end ||
            next->first - end > PULL_GAP_MAX) {
            break;
        }
        end = next->end;
    }
    return end;
}

/* Has a turn come to nothing, which is made up for before what was to come behind it, or was less reserved
 * than the pull may have, lest there are too many turns? */
static bool is_to_take_again(const struct pull *self)
{
    return self->any_lost && (self->lost_turn || self->next_piece == self->take.piece_count) &&
           !self->is_complete && !self->is_stale &&
           group_settings_of(self->group)->priority == PRIORITY_WEIGHTED;
}

static int take_again(struct engine *engine, struct pull *self)
{
    pull_put_back(engine, self);
    int rc = pull_take_again(engine->groups, self);
    if (self->next_piece < self->take.piece_count) {
        self->next_from = self->take.pieces[self->next_piece].first;
    }
    return rc;
}

static void read_next(struct engine *engine, struct pull *self)
{
    while (self->next_piece < self->take.piece_count &&
           !self->take.pieces[self->next_piece].ledger) {
        next_piece(self);
    }
    if (self->messages >= most_of(self) || (self->messages > 0 && self->bytes >= self->max_bytes)) {
        self->is_complete = true;
    }
    if (is_to_take_again(self) && take_again(engine, self) < 0) {
        group_out_of_memory(engine->groups);
        return;
    }
    if (self->is_complete || self->next_piece == self->take.piece_count) {
        finish(engine, self);
        return;
    }
    const bool filters = group_filter_of(self->group) != NULL;
    if (self->read_count++ == (filters ? PULL_FILTERED_READS_MAX : PULL_READS_MAX)) {
        self->is_cut = true;
        finish(engine, self);
        return;
    }
    const struct ledger *ledger = self->take.pieces[self->next_piece].ledger;
    const uint64_t least = filters ? PULL_FILTERED_READ_MIN : 1;
    const uint64_t left =
        self->max_bytes > self->bytes + least ? self->max_bytes - self->bytes : least;
    const struct store_read read = {
        .part = ledger->partition->part,
        .from_offset = self->next_from,
        .to_offset = window_end(self),
        .max_bytes = (uint32_t)(left < ZSP_REPLY_MAX ? left : ZSP_REPLY_MAX),
        .tag = engine_op_tag(&self->op),
    };
    struct zsp_err error = {0};
    self->op.done_fn = read_done;
    if (engine->store->ops->read(engine->store, &read, &error) < 0) {
        give_up(engine, self, &error);
    }
}

static void begin(struct engine *engine, struct pull *self)
{
    pull_forget_gathered(self);
    self->next_piece = 0;
    self->next_from = self->take.piece_count > 0 ? self->take.pieces[0].first : 0;
    self->read_count = 0;
    self->is_complete = self->lost_turn = self->any_lost = self->is_stale = false;
    read_next(engine, self);
}

void pull_begin(struct engine *engine, struct pull *self)
{
    self->lease = lease_draw(&engine->groups->leases);
    begin(engine, self);
}

static void fail_memory(struct engine *engine, struct pull *self)
{
    struct zsp_err error;
    (void)zsp_err_set(&error, ZSP_ENOMEM, "pull: out of memory");
    pull_fail(engine, self, &error);
}

void pull_begin_again(struct engine *engine, struct pull *self, const struct lease *lease)
{
    self->lease = lease->number;
    if (pull_arrays_take(engine->groups, self) < 0) {
        fail_memory(engine, self);
        return;
    }
    self->take.piece_count = 0;
    for (size_t i = 0; i < lease->span_count; i++) {
        const struct lease_span *span = &lease->spans[i];
        struct piece *pieces = pull_grow(self->take.pieces, self->take.piece_count,
                                         &self->piece_capacity, sizeof *pieces);
        if (!pieces) {
            fail_memory(engine, self);
            return;
        }
        self->take.pieces = pieces;
        pieces[self->take.piece_count++] =
            (struct piece){.ledger = span->ledger, .first = span->first, .end = span->end};
    }
    begin(engine, self);
}
