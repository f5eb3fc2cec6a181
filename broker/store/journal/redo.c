/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/journal/redo.h"

#include <stdlib.h>
#include <string.h>

#include "broker/store/journal/fact.h"
#include "broker/store/log_store_priv.h"
#include "broker/store/partition/partition.h"
#include "common/assert.h"

#define CHECKPOINT_FILES_MAX 64u /* of one task, so that others get their turn at the executor */

/* The task that syncs files which owe it. */
struct checkpoint {
    struct io io;
    uint64_t oldest; /* record that it pays for */
    size_t count;
    struct segment *segments[CHECKPOINT_FILES_MAX]; /* pinned */
    int files[CHECKPOINT_FILES_MAX];
};

/* --- How much is owed --------------------------------------------------------------------- */

void redo_init(struct redo *self, struct redo_amount max)
{
    self->debt.max = max;
}

bool redo_reserve(struct log_store *store, struct redo_amount amount)
{
    const bool fits = redo_debt_reserve(&store->redo.debt, amount);
    store->redo.wants_room = store->redo.wants_room || !fits;
    return fits;
}

void redo_release(struct log_store *store, struct redo_amount amount)
{
    redo_debt_release(&store->redo.debt, amount);
}

/* --- Who owes ---------------------------------------------------------------------------- */

static void list_remove(struct redo *self, struct segment *segment)
{
    *(segment->redo_prev ? &segment->redo_prev->redo_next : &self->first) = segment->redo_next;
    *(segment->redo_next ? &segment->redo_next->redo_prev : &self->last) = segment->redo_prev;
    segment->redo_prev = NULL;
    segment->redo_next = NULL;
    segment->in_redo = false;
}

static void owe(struct log_store *store, struct segment *segment, uint64_t record)
{
    struct redo *self = &store->redo;
    if (segment->in_redo && segment->redo_record <= record) {
        return; /* for an older record already */
    }
    redo_paid(store, segment); /* for a younger one */
    segment_pin(store, segment);
    segment->redo_record = record;
    /* Those of a commit cycle and of an atomic append may come out of order. */
    struct segment *before = self->last;
    while (before && before->redo_record > record) {
        before = before->redo_prev;
    }
    segment->redo_prev = before;
    segment->redo_next = before ? before->redo_next : self->first;
    *(before ? &before->redo_next : &self->first) = segment;
    *(segment->redo_next ? &segment->redo_next->redo_prev : &self->last) = segment;
    segment->in_redo = true;
}

void redo_owe(struct log_store *store, struct segment *segment, uint64_t record)
{
    store->redo.since_ms = store->now.mono_ms;
    owe(store, segment, record);
}

void redo_paid(struct log_store *store, struct segment *segment)
{
    if (segment->in_redo) {
        list_remove(&store->redo, segment);
        segment_unpin(store, segment);
    }
}

uint64_t redo_oldest(const struct log_store *store)
{
    const struct redo *self = &store->redo;
    const uint64_t paying = self->checkpoint ? self->checkpoint->oldest : UINT64_MAX;
    const uint64_t first = self->first ? self->first->redo_record : UINT64_MAX;
    const uint64_t owed = paying < first ? paying : first;
    const uint64_t placed = atomics_oldest_record(store);
    const uint64_t recorded = commit_redo_record(store);
    const uint64_t coming = placed < recorded ? placed : recorded;
    return owed < coming ? owed : coming;
}

void redo_forget_all(struct log_store *store)
{
    while (store->redo.first) {
        redo_paid(store, store->redo.first);
    }
}

/* --- Paying ------------------------------------------------------------------------------ */

static void checkpoint_run(struct job *job, struct fs *fs)
{
    const struct checkpoint *self = job->owner;
    for (size_t i = 0; i < self->count; i++) {
        if (fs->ops->sync(fs->self, self->files[i], &job->error) < 0) {
            return;
        }
    }
}

void redo_put_from(struct log_store *store)
{
    const uint64_t oldest = redo_oldest(store);
    const uint64_t next = store->journal.next_record;
    const uint64_t from = oldest < next ? oldest : next;
    const struct fact fact = fact_redo_from(from);
    const struct store_entry entry = fact_entry(&fact, STORE_IMAGE);
    journal_put_own(store, &entry, 1, NULL, NULL);
    redo_debt_paid(&store->redo.debt, from);
}

static void checkpoint_done(struct log_store *store, struct io *io)
{
    struct checkpoint *self = (struct checkpoint *)io;
    store->redo.checkpoint = NULL;
    store->works--;
    if (io->job.error.code != 0) {
        store_fail(store, &io->job.error);
    }
    for (size_t i = 0; i < self->count; i++) {
        struct segment *segment = self->segments[i];
        struct store_part *part = segment->part;
        segment->redo_syncing = false;
        part->busy--;
        segment_unpin(store, segment);
        partition_wake(part); /* a roll may have waited */
    }
    if (!store->failed) {
        redo_put_from(store);
    }
    if (!store->redo.first) {
        commit_trim(store);
    }
    free(self);
}

/* What is put off for the segment; NULL = nothing. */
static const struct deferred *deferred_of(const struct segment *segment)
{
    const struct deferred *deferred = segment->part->deferred;
    return deferred && deferred->segment == segment ? deferred : NULL;
}

/* Too much is owed for records below this number, by what the store may owe or the journal may hold; 0 =
 * for none. */
static uint64_t too_old(const struct log_store *store)
{
    const uint64_t due = redo_debt_due_below(&store->redo.debt);
    uint64_t end;
    return carry_wants_room(store, &end) && end > due ? end : due;
}

/* Records below this number are to be paid without delay; 0 = none. */
static uint64_t due_below(const struct log_store *store)
{
    const struct redo *self = &store->redo;
    if (store->files.wanted || self->wants_room ||
        store->now.mono_ms - self->since_ms >= (int64_t)REDO_IDLE_MS) {
        return UINT64_MAX;
    }
    return too_old(store);
}

/* Commit cycles and seals have paid as well: the journal is told when too much seems to be owed. */
static void tell_paid(struct log_store *store)
{
    struct redo *self = &store->redo;
    if ((self->wants_room || redo_debt_due_below(&self->debt) > 0) &&
        redo_debt_shrinks(&self->debt, redo_oldest(store))) {
        redo_put_from(store);
    }
    self->wants_room = self->wants_room && self->first;
}

void redo_step(struct log_store *store)
{
    struct redo *self = &store->redo;
    if (store->failed) {
        return;
    }
    atomics_renew(store, too_old(store));
    tell_paid(store);
    if (!self->first || self->checkpoint || self->first->redo_record >= due_below(store)) {
        return;
    }
    struct checkpoint *checkpoint = calloc(1, sizeof *checkpoint);
    if (!checkpoint) {
        return; /* tried again in the next turn */
    }
    checkpoint->oldest = self->first->redo_record;
    /* One that a commit cycle or its seal syncs is left to it; what was put off is written first. */
    struct segment *next = NULL;
    struct segment *const last = self->last;
    size_t flushed = 0;
    bool is_last = false;
    for (struct segment *segment = self->first;
         !is_last && checkpoint->count + flushed < CHECKPOINT_FILES_MAX; segment = next) {
        next = segment->redo_next;
        is_last = segment == last;
        if (segment->own_syncing) {
            continue;
        }
        const struct deferred *rest = deferred_of(segment);
        if (rest && (rest->out || rest->record <= segment->redo_record)) {
            (void)deferred_flush(segment->part);
            flushed++;
            continue;
        }
        segment_pin(store, segment);
        redo_paid(store, segment);
        if (rest) {
            owe(store, segment, rest->record); /* for that it goes on owing */
        }
        segment->redo_syncing = true;
        segment->part->busy++;
        checkpoint->files[checkpoint->count] = segment->file;
        checkpoint->segments[checkpoint->count++] = segment;
    }
    if (checkpoint->count == 0) {
        free(checkpoint);
        return;
    }
    io_task(&checkpoint->io, checkpoint_run, checkpoint_done, checkpoint);
    self->checkpoint = checkpoint;
    self->wants_room = false; /* who still does asks again */
    store->works++;
    store_submit(store, &checkpoint->io);
}

static bool is_being_written(const struct segment *segment)
{
    const struct deferred *deferred = deferred_of(segment);
    return deferred && deferred->out;
}

int64_t redo_deadline_ms(const struct log_store *store)
{
    const struct redo *self = &store->redo;
    const struct segment *segment = self->first;
    while (segment && (segment->own_syncing || is_being_written(segment))) {
        segment = segment->redo_next; /* whose end brings the next turn */
    }
    return segment && !self->checkpoint ? self->since_ms + (int64_t)REDO_IDLE_MS : INT64_MAX;
}
