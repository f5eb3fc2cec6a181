/* SPDX-License-Identifier: MPL-2.0
 *
 * Atomic appends that are decided and cannot be written to their segments for a while: they hold up
 * nobody but those behind them, for any length of time.
 */
#include <stdlib.h>

#include "broker/store/journal/fact.h"
#include "broker/store/log_store_priv.h"
#include "broker/store/partition/atomic_append_priv.h"

#define RENEW_RATE 3u /* bytes that the journal gets for one that is put anew, that one included */

void atomic_note_held(struct log_store *store, struct store_atomic *self)
{
    bool is_held = false;
    for (size_t i = 0; i < self->part_count; i++) {
        const struct atomic_part *part = &self->parts[i];
        is_held = is_held || part->retry_ms != 0 || (part->before && part->before->atomic->is_held);
    }
    if (is_held != self->is_held) {
        self->is_held = is_held;
        store->atomics.held_bytes += is_held ? self->bytes : -self->bytes;
    }
}

/* --- Any length of time ------------------------------------------------------------------------------ */

uint64_t atomics_oldest_record(const struct log_store *store)
{
    uint64_t oldest = UINT64_MAX;
    const struct store_atomic *self = store->atomics.placed_first;
    for (; self; self = self->next) { /* what was put anew is younger than some behind it */
        oldest = self->record < oldest ? self->record : oldest;
    }
    return oldest;
}

/* Put its batches into the journal once more, as they stand there. */
static void put_anew(struct log_store *store, struct store_atomic *self)
{
    const size_t most = 2 * self->part_count;
    const struct redo_amount amount = {
        self->part_count, self->bytes + (uint64_t)JOURNAL_REDO_BYTES * self->part_count};
    struct store_entry *entries = calloc(most, sizeof *entries);
    struct fact *facts = calloc(most, sizeof *facts);
    if (entries && facts && redo_reserve(store, amount)) {
        const size_t count = atomic_fill_entries(self, facts, entries);
        self->record = store->journal.next_record;
        if (count > 0) {
            journal_put_own(store, entries, count, NULL, NULL);
        }
        redo_release(store, amount);
    }
    free(entries);
    free(facts);
}

void atomics_renew(struct log_store *store, uint64_t below)
{
    struct atomics *atomics = &store->atomics;
    struct store_atomic *self = atomics->placed_first;
    /* Not when they are most of what is there themselves. */
    const bool may_be =
        atomics->held_bytes > 0 && !store->journal.blocked &&
        store->stats.journal_bytes - atomics->renewed_bytes >= RENEW_RATE * atomics->held_bytes;
    bool is_due = false;
    for (; self && may_be; self = self->next) {
        is_due = is_due || (self->is_held && self->record < below);
    }
    if (is_due) {
        atomics->renewed_bytes = store->stats.journal_bytes;
    }
    /* All of them, so that those of one partition stay in order. */
    for (self = store->atomics.placed_first; self && is_due; self = self->next) {
        if (self->is_held) {
            put_anew(store, self);
        }
    }
}

int64_t atomics_deadline_ms(const struct log_store *store)
{
    int64_t due_ms = INT64_MAX;
    const struct store_atomic *self = store->atomics.placed_first;
    for (; self && store->atomics.held_bytes > 0; self = self->next) {
        for (size_t i = 0; i < self->part_count; i++) {
            const int64_t retry_ms = self->parts[i].retry_ms; /* in the past: it is being tried */
            due_ms = retry_ms > store->now.mono_ms && retry_ms < due_ms ? retry_ms : due_ms;
        }
    }
    return due_ms;
}
