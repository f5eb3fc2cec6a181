/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/partition/roll.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/file/new_file.h"
#include "broker/store/journal/fact.h"
#include "broker/store/log_store_priv.h"
#include "broker/store/partition/partition.h"
#include "broker/store/retain.h"
#include "common/assert.h"

/* The task that makes the file of the next segment. */
struct make {
    struct new_file made;
    struct store_part *part;
    uint64_t number;
};

/* The task that seals a segment. It works on copies and on the index, which
 * nobody changes any more. */
struct seal {
    struct io io;
    struct segment *segment; /* pinned */
    int file;
    uint8_t uuid[STORE_UUID_BYTES];
    struct batch_place place;
    struct index_facts facts;
    int64_t max_before_ms;
    const struct seg_index *index; /* NULL = build it */
    char index_path[LAYOUT_PATH_MAX];
    char directory[LAYOUT_PATH_MAX];
    struct id_seal ids;
    struct terms_seal terms;
    bool sync_failed;
};

static void set_state(struct store_part *part, enum roll_state state)
{
    const enum roll_state from = part->roll.state;
    zsp_assert((from == ROLL_IDLE && state == ROLL_WAITING) ||
               (from == ROLL_WAITING && (state == ROLL_SEALING || state == ROLL_IDLE)) ||
               (from == ROLL_SEALING && state == ROLL_JOURNAL) ||
               (from == ROLL_JOURNAL && state == ROLL_IDLE));
    part->roll.state = state;
}

bool roll_busy(const struct store_part *part)
{
    return part->roll.state != ROLL_IDLE;
}

/* --- The next file --------------------------------------------------------------------- */

static void make_failed(struct store_part *part, const struct make *make)
{
    part->roll.ahead_failed = true;
    if (make->made.sync_failed) {
        store_fail(part->store, &make->made.io.job.error);
        return;
    }
    if (part->roll.state == ROLL_WAITING) {
        set_state(part, ROLL_IDLE);
        partition_fail_queue(part, &make->made.io.job.error);
    }
}

static void make_done(struct log_store *store, struct io *io)
{
    struct make *make = (struct make *)io;
    struct store_part *part = make->part;
    part->roll.making = false;
    part->busy--;
    store->works--;
    if (io->job.error.code != 0) {
        open_files_give(store);
        make_failed(part, make);
        free(make);
        return;
    }
    struct segment *next = segment_new(part, make->number, 0);
    if (!next) {
        (void)store->fs->ops->close(store->fs->self, make->made.file, NULL); /* empty */
        open_files_give(store);
        free(make);
        store_fail_memory(store, "a segment");
        return;
    }
    next->file = make->made.file;
    next->pins = 1;
    part->roll.next = next;
    segment_unpin(store, next);
    free(make);
    (void)roll_continue(part); /* the partition is looked at in any case */
}

/* False = no more files may be open now. */
static bool make_start(struct store_part *part)
{
    struct log_store *store = part->store;
    if (part->roll.next || part->roll.making || store->failed || part->state != PART_OPEN) {
        return true;
    }
    if (!open_files_take(store)) {
        return false;
    }
    struct make *make = calloc(1, sizeof *make);
    if (!make) {
        open_files_give(store);
        store_fail_memory(store, "a segment");
        return true;
    }
    make->part = part;
    make->number = partition_active(part)->number + 1;
    new_file_init(&make->made, make_done);
    layout_segment_path(make->made.path, part->path, make->number, ".log");
    memcpy(make->made.directory, part->path, strlen(part->path) + 1);
    part->roll.making = true;
    part->busy++;
    store->works++;
    store_submit(store, &make->made.io);
    return true;
}

void roll_ahead(struct store_part *part)
{
    const struct segment *active = partition_active(part);
    if (!part->roll.ahead_failed && active->bytes >= partition_segment_bytes(part) / 2) {
        (void)make_start(part); /* tried again with the next write */
    }
}

bool roll_start(struct store_part *part)
{
    set_state(part, ROLL_WAITING);
    return roll_continue(part);
}

/* --- Sealing ------------------------------------------------------------------------------ */

/* False = there is none: it is rebuilt when it is needed. Only a failed sync matters. */
static bool write_index(struct seal *self, struct fs *fs)
{
    struct seg_index built = {0};
    const struct seg_index *index = self->index;
    if (!index) {
        struct index_facts facts = self->facts;
        facts.max_timestamp_ms = self->max_before_ms;
        if (segment_build_index(fs, self->file, &self->place, &facts, &built, NULL) < 0) {
            index_fini(&built);
            return false;
        }
        index = &built;
    }
    struct zsp_writer bytes = {0};
    index_encode(&bytes, index, &self->facts, &self->place);
    const bool written =
        !bytes.failed && layout_write_file(fs, self->directory, self->index_path,
                                           zsp_writer_slice(&bytes), &self->sync_failed, NULL) == 0;
    zsp_writer_fini(&bytes);
    index_fini(&built);
    return written;
}

/* A seal that a crash ended before its fact may have left an index, of less than the segment
 * is now. If it cannot be removed a reader still finds it bad, and so does a check. */
static void remove_index(struct seal *self, struct fs *fs)
{
    if (fs->ops->unlink(fs->self, self->index_path, NULL) == 0) {
        self->sync_failed = fs->ops->sync_dir(fs->self, self->directory, NULL) < 0;
    }
}

static void seal_run(struct job *job, struct fs *fs)
{
    struct seal *self = job->owner;
    /* A longer file is legal, so a truncate that fails costs only room. */
    (void)fs->ops->truncate(fs->self, self->file, self->facts.bytes, NULL);
    if (fs->ops->sync(fs->self, self->file, &job->error) < 0) {
        self->sync_failed = true;
        (void)zsp_err_wrap(&job->error, "seal %s", self->index_path);
        return;
    }
    if (!write_index(self, fs) && !self->sync_failed) {
        remove_index(self, fs);
    }
    id_seal_run(&self->ids, fs);
    terms_seal_run(&self->terms, fs);
    self->sync_failed =
        self->sync_failed || self->ids.source.sync_failed || self->terms.source.sync_failed;
    if (self->sync_failed) {
        (void)zsp_err_set(&job->error, ZSP_EIO, "%s: sync failed", self->index_path);
    }
}

/* The sealed segment's fact is durable: the next one takes over. */
static void fact_synced(struct log_store *store, void *arg, const struct zsp_err *err)
{
    struct store_part *part = arg;
    part->busy--;
    if (err || part->state != PART_OPEN) {
        return;
    }
    struct segment *sealed = partition_active(part);
    struct segment *next = part->roll.next;
    next->base_offset = sealed->end_offset;
    next->end_offset = sealed->end_offset;
    next->max_before_ms = sealed->max_timestamp_ms;
    next->max_timestamp_ms = sealed->max_timestamp_ms;
    next->epoch = sealed->epoch;
    if (partition_add_segment(part, next) < 0) {
        store_fail_memory(store, "a segment");
        return;
    }
    sealed->state = SEGMENT_SEALED;
    part->roll.next = NULL;
    part->roll.ahead_failed = false;
    set_state(part, ROLL_IDLE);
    partition_wake(part);
    retain_again(store, part);
}

static void seal_done(struct log_store *store, struct io *io)
{
    struct seal *seal = (struct seal *)io;
    struct segment *segment = seal->segment;
    struct store_part *part = segment->part;
    part->busy--;
    store->works--;
    segment->own_syncing = false;
    id_seal_done(&seal->ids, segment);
    terms_seal_done(segment);
    segment_unpin(store, segment);
    if (seal->sync_failed) {
        store_fail(store, &io->job.error);
    } else if (!store->failed && part->state == PART_OPEN) {
        redo_paid(store, segment);
        segment->file_bytes = segment->bytes;
        set_state(part, ROLL_JOURNAL);
        const struct fact fact = fact_sealed(segment);
        const struct store_entry entry = fact_entry(&fact, STORE_IMAGE);
        part->busy++;
        journal_put_own(store, &entry, 1, fact_synced, part);
    }
    free(seal);
}

static void seal_start(struct store_part *part, struct segment *segment)
{
    struct log_store *store = part->store;
    struct seal *seal = calloc(1, sizeof *seal);
    if (!seal) {
        store_fail_memory(store, "sealing a segment");
        return;
    }
    seal->segment = segment;
    seal->file = segment->file;
    memcpy(seal->uuid, store->uuid, sizeof seal->uuid);
    seal->place = segment_place(segment, 0);
    seal->place.uuid = seal->uuid;
    seal->facts = segment_facts(segment);
    seal->max_before_ms = segment->max_before_ms;
    seal->index = segment->index.complete ? &segment->index : NULL;
    id_seal_init(&seal->ids, segment);
    terms_seal_init(&seal->terms, segment);
    segment_path(segment, ".idx", seal->index_path);
    memcpy(seal->directory, part->path, strlen(part->path) + 1);
    io_task(&seal->io, seal_run, seal_done, seal);
    segment_pin(store, segment);
    segment->own_syncing = true;
    set_state(part, ROLL_SEALING);
    part->busy++;
    store->works++;
    store_submit(store, &seal->io);
}

bool roll_continue(struct store_part *part)
{
    struct log_store *store = part->store;
    if (part->roll.state != ROLL_WAITING || store->failed || part->state != PART_OPEN) {
        return true;
    }
    if (!part->roll.next) {
        return make_start(part);
    }
    struct segment *segment = partition_active(part);
    if (part->unsynced || part->mark.offset != part->end_offset || segment->redo_syncing ||
        deferred_flush(part)) {
        return true;
    }
    struct zsp_err err = {0};
    const int ready = segment_ready(store, segment, false, &err);
    if (ready < 0) {
        set_state(part, ROLL_IDLE);
        partition_fail_queue(part, &err);
    } else if (ready == 1) {
        seal_start(part, segment);
    }
    return ready != 0 || segment->loading;
}
