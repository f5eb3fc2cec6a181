/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/partition/commit.h"

#include <stdlib.h>
#include <string.h>

#include "broker/store/journal/fact.h"
#include "broker/store/log_store_priv.h"
#include "broker/store/partition/partition.h"
#include "common/assert.h"

#define MARKS_PER_RECORD  32u                /* bounds the stack; a record may hold far more */
#define REDO_PER_RECORD   64u                /* likewise */
#define REDO_RANGE_MAX    COMMIT_PLACE_BYTES /* a file with more unsynced bytes is synced itself */
#define REDO_RECORD_BYTES (1u * ZSP_MIB)     /* of one record, the last range aside */
#define REDO_CYCLE_BYTES  (16u * ZSP_MIB)    /* of one cycle; files beyond are synced themselves */
#define REDO_JOURNAL_RATE 2u /* a journal so many times its fine size takes no more */

_Static_assert(REDO_RECORD_BYTES + REDO_RANGE_MAX + REDO_PER_RECORD * 256u < ZSP_JOURNAL_RECORD_MAX,
               "a record of redo entries fits");

/* One partition of a cycle. */
struct commit_item {
    struct store_part *part;
    struct segment *segment;
    struct mark mark; /* what is synced when the cycle ends */
    uint8_t *redo;    /* the redo entry's value, its bytes behind it; NULL = the file is synced */
    size_t redo_bytes;
    struct partition_write *write; /* that has them; NULL = they are in the segment, too */
};

/* --- Who is unsynced ------------------------------------------------------------------- */

static void list_append(struct commit *self, struct store_part *part)
{
    part->unsynced_next = NULL;
    *(self->last ? &self->last->unsynced_next : &self->first) = part;
    self->last = part;
}

void commit_add(struct log_store *store, struct store_part *part)
{
    struct commit *self = &store->commit;
    if (part->unsynced) {
        return;
    }
    segment_pin(store, partition_active(part));
    part->unsynced = true;
    list_append(self, part);
}

void commit_place(struct log_store *store, struct partition_write *write)
{
    struct commit *self = &store->commit;
    write->next = NULL;
    *(self->placed_last ? &self->placed_last->next : &self->placed_first) = write;
    self->placed_last = write;
}

bool commit_may_place(const struct log_store *store)
{
    return !store->journal.blocked &&
           journal_bytes(&store->journal) <= carry_fine_bytes(store) * REDO_JOURNAL_RATE;
}

uint64_t commit_redo_record(const struct log_store *store)
{
    const struct commit *self = &store->commit;
    const bool recorded = self->phase == COMMIT_RECORDING || self->phase == COMMIT_SYNCING;
    return recorded && self->end_record > 0 ? self->first_record : UINT64_MAX;
}

bool commit_busy(const struct log_store *store)
{
    return store->commit.phase != COMMIT_IDLE;
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
    self->items = items ? items : self->items;
    int *files = realloc(self->files, (capacity + 1) * sizeof *files);
    self->files = files ? files : self->files;
    struct job_range *ranges = realloc(self->ranges, capacity * sizeof *ranges);
    self->ranges = ranges ? ranges : self->ranges;
    if (!items || !files || !ranges) {
        return ZSP_ENOMEM;
    }
    self->capacity = capacity;
    return 0;
}

/* --- The end of a cycle ------------------------------------------------------------------ */

/* Put the marks that moved into the journal: only written, the sync follows. Those of redo
 * entries are there already. */
static void put_marks(struct log_store *store)
{
    struct commit *self = &store->commit;
    struct fact facts[MARKS_PER_RECORD];
    struct store_entry entries[MARKS_PER_RECORD];
    size_t count = 0;
    for (size_t i = 0; i < self->item_count; i++) {
        const struct store_part *part = self->items[i].part;
        if (part->state == PART_OPEN && !self->items[i].redo) {
            facts[count] = fact_mark(part->topic_id, part->number, &part->mark);
            entries[count] = fact_entry(&facts[count], STORE_IMAGE);
            count++;
        }
        if (count == MARKS_PER_RECORD || (i + 1 == self->item_count && count > 0)) {
            journal_put_own(store, entries, count, NULL, NULL);
            count = 0;
        }
    }
}

/* One partition's part of the cycle is over. */
static void item_done(struct log_store *store, const struct commit_item *item)
{
    struct store_part *part = item->part;
    if (item->write) {
        partition_record_synced(item->write, store->commit.first_record);
        return;
    }
    part->unsynced = false;
    part->busy--;
    item->segment->own_syncing = false;
    if (!store->failed) {
        if (!item->redo) {
            redo_paid(store, item->segment);
        } else if (part->state == PART_OPEN) {
            redo_owe(store, item->segment, store->commit.first_record);
        }
        partition_synced(part, &item->mark);
        if (part->end_offset > part->mark.offset) {
            commit_add(store, part);
        }
    }
    segment_unpin(store, item->segment);
    (void)roll_continue(part); /* the partition is looked at in any case */
}

static void end_cycle(struct log_store *store)
{
    struct commit *self = &store->commit;
    self->phase = COMMIT_IDLE;
    for (size_t i = 0; i < self->item_count; i++) {
        item_done(store, &self->items[i]);
    }
    if (!store->failed) {
        put_marks(store);
        store->stats.commit_cycles++;
    }
    self->item_count = 0;
}

void commit_fail(struct log_store *store)
{
    struct commit *self = &store->commit;
    while (self->placed_first) {
        struct partition_write *write = self->placed_first;
        self->placed_first = write->next;
        partition_record_synced(write, 0);
    }
    self->placed_last = NULL;
    if (self->phase == COMMIT_RECORDING) {
        end_cycle(store);
    }
}

/* --- Syncing ------------------------------------------------------------------------------- */

static void sync_done(struct log_store *store, struct io *io)
{
    struct commit *self = &store->commit;
    const bool recorded = !self->has_journal || self->journal_record >= self->end_record;
    if (io->job.error.code != 0 && !store->failed) {
        store_fail(store, &io->job.error);
    }
    store->stats.synced_files += store->failed ? 0 : io->job.file_count;
    if (recorded || store->failed) {
        end_cycle(store);
    } else {
        self->phase = COMMIT_RECORDING; /* it was a full file of the journal */
    }
    if (self->has_journal && !store->failed) {
        journal_synced(store, self->journal_record);
    }
}

/* Sync the files of the cycle (not when it is still to be recorded), and the journal if asked. */
static void submit_sync(struct log_store *store, bool with_items, bool with_journal)
{
    struct commit *self = &store->commit;
    size_t count = 0;
    for (size_t i = 0; with_items && i < self->item_count; i++) {
        if (!self->items[i].redo) {
            self->files[count++] = self->items[i].segment->file;
        }
    }
    self->has_journal = with_journal;
    if (with_journal) {
        self->files[count++] = journal_sync_file(store, &self->journal_record);
    }
    self->io.job =
        (struct job){.kind = JOB_SYNC, .owner = self, .files = self->files, .file_count = count};
    self->io.done_fn = sync_done;
    self->phase = COMMIT_SYNCING;
    store_submit(store, &self->io);
}

/* --- Through the journal ---------------------------------------------------------------------- */

/* Put the gathered bytes and the marks to be into the journal. */
static void put_redo(struct log_store *store)
{
    struct commit *self = &store->commit;
    struct fact facts[2 * REDO_PER_RECORD];
    struct store_entry entries[2 * REDO_PER_RECORD];
    size_t count = 0;
    size_t bytes = 0;
    self->first_record = store->journal.next_record;
    for (size_t i = 0; i < self->item_count; i++) {
        const struct commit_item *item = &self->items[i];
        const struct store_part *part = item->part;
        if (item->redo) {
            redo_release(store, (struct redo_amount){1, item->redo_bytes});
        }
        if (item->redo && part->state == PART_OPEN) {
            journal_put_redo(item->redo, item->redo_bytes, item->mark.segment,
                             item->mark.pos - (item->redo_bytes - JOURNAL_REDO_BYTES));
            facts[count] = fact_redo_key(part->topic_id, part->number);
            entries[count] = (struct store_entry){
                fact_key(&facts[count]), STORE_REDO, {item->redo, item->redo_bytes}};
            facts[count + 1] = fact_mark(part->topic_id, part->number, &item->mark);
            entries[count + 1] = fact_entry(&facts[count + 1], STORE_IMAGE);
            count += 2;
            bytes += item->redo_bytes;
        }
        const bool full = count == 2 * REDO_PER_RECORD || bytes >= REDO_RECORD_BYTES;
        if (count > 0 && (full || i + 1 == self->item_count)) {
            journal_put_own(store, entries, count, NULL, NULL);
            count = 0;
            bytes = 0;
        }
    }
    self->end_record = store->journal.next_record;
}

static void gather_done(struct log_store *store, struct io *io)
{
    struct commit *self = &store->commit;
    if (io->job.error.code == 0 && io->job.done < io->job.len) {
        (void)zsp_err_set(&io->job.error, ZSP_EIO, "what was just written cannot be read back");
    }
    if (io->job.error.code != 0 && !store->failed) {
        store_fail(store, &io->job.error);
    }
    if (!store->failed) {
        put_redo(store);
    }
    if (store->failed) {
        end_cycle(store);
        return;
    }
    self->phase = COMMIT_RECORDING;
}

static int reserve_bytes(struct commit *self, size_t count)
{
    if (count > self->bytes_capacity) {
        free(self->bytes);
        self->bytes = malloc(count * 2);
        self->bytes_capacity = self->bytes ? count * 2 : 0;
    }
    return self->bytes ? 0 : ZSP_ENOMEM;
}

/* Read the unsynced bytes of all chosen items, each behind room for the entry's value. */
static void submit_gather(struct log_store *store)
{
    struct commit *self = &store->commit;
    uint8_t *p = self->bytes;
    size_t count = 0;
    size_t len = 0;
    for (size_t i = 0; i < self->item_count; i++) {
        struct commit_item *item = &self->items[i];
        if (item->redo_bytes == 0 || item->write) {
            continue;
        }
        const size_t bytes = item->redo_bytes - JOURNAL_REDO_BYTES;
        item->redo = p;
        self->ranges[count++] = (struct job_range){item->segment->file, item->mark.pos - bytes,
                                                   bytes, p + JOURNAL_REDO_BYTES};
        p += item->redo_bytes;
        len += bytes;
    }
    self->io.job = (struct job){.kind = JOB_GATHER,
                                .owner = self,
                                .len = len,
                                .ranges = self->ranges,
                                .range_count = count};
    self->io.done_fn = gather_done;
    self->phase = COMMIT_GATHERING;
    store_submit(store, &self->io);
}

/* --- The beginning ------------------------------------------------------------------------------- */

/* Take what goes there in any case, at most about REDO_CYCLE_BYTES. */
static void take_placed(struct log_store *store)
{
    struct commit *self = &store->commit;
    size_t bytes = 0;
    while (self->placed_first && bytes < REDO_CYCLE_BYTES && self->item_count < self->capacity) {
        struct partition_write *write = self->placed_first;
        self->placed_first = write->next;
        self->items[self->item_count++] = (struct commit_item){
            .part = write->part,
            .segment = write->segment,
            .mark = write->end,
            .redo = write->scratch,
            .redo_bytes = JOURNAL_REDO_BYTES + (size_t)write->batch_bytes,
            .write = write,
        };
        bytes += (size_t)write->batch_bytes;
    }
    if (!self->placed_first) {
        self->placed_last = NULL;
    }
}

/* Shall a cycle over so many files go through the journal? While a checkpoint runs it does in any
 * case, for it may not sync what that syncs. */
static bool journal_takes(const struct log_store *store, size_t count)
{
    return (count > store->options.sync_files_max || store->redo.checkpoint) &&
           commit_may_place(store);
}

/* Take the unsynced partitions into the cycle. What has to be synced itself while a checkpoint
 * does so is left for the next one. *ret_redo = bytes that go through the journal.
 * Errors: ZSP_ENOMEM */
static int take_items(struct log_store *store, size_t *ret_redo)
{
    struct commit *self = &store->commit;
    size_t count = 0;
    for (const struct store_part *part = self->first; part; part = part->unsynced_next) {
        count++;
    }
    const size_t unsynced_count = count;
    for (const struct partition_write *write = self->placed_first; write; write = write->next) {
        count++;
    }
    if (reserve(self, count + 1) < 0) {
        return ZSP_ENOMEM;
    }
    const bool through_journal = journal_takes(store, unsynced_count);
    struct store_part *part = self->first;
    struct store_part *next = NULL;
    self->first = NULL;
    self->last = NULL;
    *ret_redo = 0;
    for (; part; part = next) {
        next = part->unsynced_next;
        part->unsynced_next = NULL;
        struct commit_item *item = &self->items[self->item_count];
        *item = (struct commit_item){
            .part = part, .segment = partition_active(part), .mark = partition_written(part)};
        const uint64_t unsynced = partition_bytes_to(part, &item->mark);
        const size_t redo_bytes = JOURNAL_REDO_BYTES + (size_t)unsynced;
        if (through_journal && unsynced <= REDO_RANGE_MAX &&
            *ret_redo + unsynced <= REDO_CYCLE_BYTES &&
            redo_reserve(store, (struct redo_amount){1, redo_bytes})) {
            item->redo_bytes = redo_bytes;
            *ret_redo += item->redo_bytes;
        } else if (item->segment->redo_syncing) {
            list_append(self, part);
            continue;
        } else {
            item->segment->own_syncing = true;
        }
        part->busy++;
        self->item_count++;
    }
    return 0;
}

static void begin(struct log_store *store)
{
    struct commit *self = &store->commit;
    const bool want_journal = journal_wants_sync(store);
    size_t redo = 0;
    if (!self->first && !self->placed_first && !want_journal) {
        return;
    }
    if (take_items(store, &redo) < 0) {
        store_fail_memory(store, "a commit");
        return;
    }
    const size_t unplaced = self->item_count;
    take_placed(store);
    const bool has_placed = self->item_count > unplaced;
    if (self->item_count == 0 && !want_journal) {
        return; /* a checkpoint has to end before */
    }
    self->end_record = 0;
    if (redo == 0 && !has_placed) {
        submit_sync(store, true, want_journal);
    } else if (redo == 0) {
        put_redo(store);
        self->phase = COMMIT_RECORDING;
    } else if (reserve_bytes(self, redo) == 0) {
        submit_gather(store);
    } else {
        store_fail_memory(store, "a commit");
        end_cycle(store);
    }
}

static void tell_recorded(struct log_store *store)
{
    const struct commit *self = &store->commit;
    for (size_t i = 0; i < self->item_count; i++) {
        if (self->items[i].write) {
            partition_recorded(self->items[i].write);
        }
    }
}

void commit_start(struct log_store *store)
{
    const struct commit *self = &store->commit;
    if (store->failed) {
        return;
    }
    if (self->phase == COMMIT_IDLE) {
        begin(store);
    } else if (self->phase == COMMIT_RECORDING) {
        if (store->journal.written_record >= self->end_record) {
            tell_recorded(store);
            submit_sync(store, true, true);
        } else if (journal_wants_sync(store)) {
            submit_sync(store, false, true);
        }
    }
}

void commit_trim(struct log_store *store)
{
    struct commit *self = &store->commit;
    if (self->phase == COMMIT_IDLE || self->phase == COMMIT_SYNCING) {
        free(self->bytes);
        self->bytes = NULL;
        self->bytes_capacity = 0;
    }
}

void commit_fini(struct commit *self)
{
    free(self->items);
    free(self->files);
    free(self->ranges);
    free(self->bytes);
    memset(self, 0, sizeof *self);
}
