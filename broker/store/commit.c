/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/commit.h"

#include <stdlib.h>
#include <string.h>

#include "broker/store/fact.h"
#include "broker/store/log_store_priv.h"
#include "broker/store/partition.h"
#include "common/assert.h"

#define MARKS_PER_RECORD 32u /* bounds the stack; a record may hold far more */

/* One partition of a cycle. */
struct commit_item {
    struct store_part *part;
    struct segment *segment;
    struct mark mark; /* what is synced when the cycle ends */
};

void commit_add(struct log_store *store, struct store_part *part)
{
    struct commit *self = &store->commit;
    if (part->unsynced) {
        return;
    }
    segment_pin(store, partition_active(part));
    part->unsynced = true;
    part->unsynced_next = NULL;
    if (self->last) {
        self->last->unsynced_next = part;
    } else {
        self->first = part;
    }
    self->last = part;
}

static int reserve(struct commit *self, size_t count)
{
    if (count <= self->capacity) {
        return 0;
    }
    size_t capacity = self->capacity ? self->capacity : 16;
    while (capacity < count) {
        capacity *= 2;
    }
    struct commit_item *items = realloc(self->items, capacity * sizeof *items);
    if (!items) {
        return ZSP_ENOMEM;
    }
    self->items = items;
    int *files = realloc(self->files, (capacity + 1) * sizeof *files);
    if (!files) {
        return ZSP_ENOMEM;
    }
    self->files = files;
    self->capacity = capacity;
    return 0;
}

/* Put the marks that moved into the journal: only written, the sync follows. */
static void put_marks(struct log_store *store)
{
    struct commit *self = &store->commit;
    struct fact facts[MARKS_PER_RECORD];
    struct store_entry entries[MARKS_PER_RECORD];
    size_t count = 0;
    for (size_t i = 0; i < self->item_count; i++) {
        const struct store_part *part = self->items[i].part;
        if (part->state == PART_OPEN) {
            facts[count] = fact_mark(part->topic_id, part->number, &part->mark);
            entries[count] = fact_entry(&facts[count], STORE_IMAGE);
            count++;
        }
        if (count == sizeof facts / sizeof *facts || (i + 1 == self->item_count && count > 0)) {
            journal_put_own(store, entries, count, NULL, NULL);
            count = 0;
        }
    }
}

/* One partition's part of the cycle is over. */
static void item_done(struct log_store *store, struct commit_item *item)
{
    struct store_part *part = item->part;
    part->unsynced = false;
    part->busy--;
    if (!store->failed) {
        partition_synced(part, &item->mark);
        if (part->end_offset > part->mark.offset) {
            commit_add(store, part);
        }
    }
    segment_unpin(store, item->segment);
    (void)roll_continue(part); /* the partition is looked at in any case */
}

static void sync_done(struct log_store *store, struct io *io)
{
    struct commit *self = &store->commit;
    self->in_flight = false;
    if (io->job.error.code != 0 && !store->failed) {
        store_fail(store, &io->job.error);
    }
    for (size_t i = 0; i < self->item_count; i++) {
        item_done(store, &self->items[i]);
    }
    if (!store->failed) {
        put_marks(store);
        store->stats.commit_cycles++;
        store->stats.synced_files += io->job.file_count;
        if (self->has_journal) {
            journal_synced(store, self->journal_record);
        }
    }
    self->item_count = 0;
}

void commit_start(struct log_store *store)
{
    struct commit *self = &store->commit;
    const bool want_journal = journal_wants_sync(store);
    if (self->in_flight || store->failed || (!self->first && !want_journal)) {
        return;
    }
    size_t count = 0;
    for (const struct store_part *part = self->first; part; part = part->unsynced_next) {
        count++;
    }
    if (reserve(self, count + 1) < 0) {
        store_fail_memory(store, "a commit");
        return;
    }
    struct store_part *part = self->first;
    for (size_t i = 0; i < count; i++) {
        struct store_part *next = part->unsynced_next;
        self->items[i] =
            (struct commit_item){part, partition_active(part), partition_written(part)};
        self->files[i] = self->items[i].segment->file;
        part->busy++;
        part->unsynced_next = NULL;
        part = next;
    }
    self->item_count = count;
    self->first = NULL;
    self->last = NULL;
    self->has_journal = want_journal;
    if (want_journal) {
        self->files[count++] = journal_sync_file(store, &self->journal_record);
    }
    self->io.job =
        (struct job){.kind = JOB_SYNC, .owner = self, .files = self->files, .file_count = count};
    self->io.done_fn = sync_done;
    self->in_flight = true;
    store_submit(store, &self->io);
}

void commit_fini(struct commit *self)
{
    free(self->items);
    free(self->files);
    memset(self, 0, sizeof *self);
}
