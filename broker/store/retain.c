/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/retain.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/log_store_priv.h"
#include "broker/store/partition.h"
#include "common/assert.h"

/* A trim under way: first the journal, then the task that removes the files. */
struct trim {
    struct io io;
    struct store_part *part;
    uint64_t end_number; /* segments before this one go */
    char directory[LAYOUT_PATH_MAX];
    bool sync_failed;
    size_t count;
    struct segment_file files[];
};

/* How many of the oldest segments may go. */
static size_t count_droppable(const struct store_part *part, const struct store_retain *what)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < part->segment_count; i++) {
        bytes += part->segments[i]->bytes;
    }
    size_t count = 0;
    for (; count < part->segment_count; count++) {
        const struct segment *segment = part->segments[count];
        if (segment->state != SEGMENT_SEALED || segment->compacting) {
            break;
        }
        const bool old = what->before_ms != 0 && segment->max_timestamp_ms < what->before_ms;
        const bool over = (what->max_bytes != 0 && bytes - segment->bytes >= what->max_bytes) ||
                          (what->most_bytes != 0 && bytes > what->most_bytes);
        const bool passed = segment->end_offset <= what->before_offset;
        const bool kept = what->keeps && segment->end_offset > what->keep_offset &&
                          (what->keep_bytes == 0 || bytes <= what->keep_bytes) &&
                          (what->most_bytes == 0 || bytes <= what->most_bytes);
        if ((!old && !over && !passed) || kept) {
            break;
        }
        bytes -= segment->bytes;
    }
    return count;
}

static void remove_run(struct job *job, struct fs *fs)
{
    struct trim *self = job->owner;
    for (size_t i = 0; i < self->count; i++) {
        segment_unlink(fs, self->directory, self->files[i]);
    }
    self->sync_failed = fs->ops->sync_dir(fs->self, self->directory, &job->error) < 0;
}

static void remove_done(struct log_store *store, struct io *io)
{
    struct trim *self = (struct trim *)io;
    store->works--;
    self->part->busy--;
    self->part->trimming = false;
    if (self->sync_failed) {
        store_fail(store, &io->job.error);
    }
    retain_again(store, self->part);
    free(self);
}

/* The journal says that the segments are gone. */
static void trim_synced(struct log_store *store, void *arg, const struct zsp_err *err)
{
    struct trim *self = arg;
    struct store_part *part = self->part;
    if (err || part->state == PART_DROPPED) {
        part->busy--;
        part->trimming = false;
        store->works--;
        free(self);
        return;
    }
    while (part->segments[0]->number < self->end_number) {
        struct segment *segment = part->segments[0];
        part->segment_count--;
        memmove(part->segments, part->segments + 1, part->segment_count * sizeof(struct segment *));
        segment_retire(store, segment);
    }
    self->io.job = (struct job){.kind = JOB_TASK, .owner = self, .task_fn = remove_run};
    self->io.done_fn = remove_done;
    store_submit(store, &self->io);
}

/* One record: the segments' facts are gone, the partition begins later. */
static int put_trim(struct log_store *store, struct trim *trim, size_t dropped)
{
    const struct store_part *part = trim->part;
    struct fact *facts = calloc(dropped + 1, sizeof *facts);
    struct store_entry *entries = calloc(dropped + 1, sizeof *entries);
    if (!facts || !entries) {
        free(facts);
        free(entries);
        return ZSP_ENOMEM;
    }
    for (size_t i = 0; i < dropped; i++) {
        facts[i] = fact_sealed_key(part->topic_id, part->number, part->segments[i]->number);
        entries[i] = fact_entry(&facts[i], STORE_GONE);
    }
    const struct segment *first = part->segments[dropped];
    facts[dropped] = fact_part(part->topic_id, part->number, first->number, first->base_offset);
    entries[dropped] = fact_entry(&facts[dropped], STORE_IMAGE);
    journal_put_own(store, entries, dropped + 1, trim_synced, trim);
    free(facts);
    free(entries);
    return 0;
}

static uint64_t bytes_of(const struct store_part *part)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < part->segment_count; i++) {
        bytes += part->segments[i]->bytes;
    }
    return bytes;
}

/* Is something in the active segment asked for, that can go only when that is sealed? */
static bool wants_seal(const struct store_part *part, const struct store_retain *what)
{
    const struct segment *active = partition_active(part);
    if (what->seal_bytes == 0 || active->bytes < what->seal_bytes || part->refuses) {
        return false;
    }
    const bool is_old =
        what->before_ms != 0 && active->bytes > 0 && active->max_timestamp_ms < what->before_ms;
    return is_old || what->before_offset > active->base_offset ||
           (what->max_bytes != 0 && bytes_of(part) > what->max_bytes) ||
           (what->most_bytes != 0 && bytes_of(part) > what->most_bytes);
}

static void forget_next(struct store_part *part)
{
    free(part->retain_next);
    part->retain_next = NULL;
}

/* Once it can be done; without memory the next call does it. */
static void do_later(struct store_part *part, const struct store_retain *what, uint64_t seal_bytes)
{
    forget_next(part);
    part->retain_next = seal_bytes != 0 ? malloc(sizeof *part->retain_next) : NULL;
    if (part->retain_next) {
        *part->retain_next = *what;
        part->retain_next->seal_bytes = seal_bytes;
    }
}

static void seal(struct store_part *part, const struct store_retain *what)
{
    forget_next(part);
    if (!what->seal_alone) {
        do_later(part, what, UINT64_MAX); /* once is enough */
    }
    (void)roll_start(part);
    partition_wake(part);
}

void retain_again(struct log_store *store, struct store_part *part)
{
    if (part->retain_next && !store->failed) {
        const struct store_retain what = *part->retain_next;
        forget_next(part);
        (void)retain_start(store, part, &what, NULL); /* no memory: the next call does it */
    }
}

int retain_start(struct log_store *store, struct store_part *part, const struct store_retain *what,
                 struct zsp_err *err)
{
    if (what->segment_bytes != 0) {
        part->segment_bytes_max = what->segment_bytes;
    }
    if (part->state != PART_OPEN) {
        return 0;
    }
    const bool seals = wants_seal(part, what);
    if (seals && !part->trimming && !part->write && !roll_busy(part) && !atomic_holds(part)) {
        seal(part, what);
        return 0;
    }
    if (what->before_offset != 0 && !what->seal_alone && (seals || part->trimming)) {
        do_later(part, what, what->seal_bytes);
    }
    if (part->trimming) {
        return 0;
    }
    size_t dropped = count_droppable(part, what);
    const size_t most = ZSP_STATE_RECORD_MAX / 64; /* facts of one record */
    if (dropped > most) {
        dropped = most; /* the rest goes with the next call */
    }
    if (dropped == 0) {
        return 0;
    }
    struct trim *trim = calloc(1, sizeof *trim + dropped * sizeof trim->files[0]);
    if (!trim) {
        return zsp_err_set(err, ZSP_ENOMEM, "drop segments");
    }
    trim->part = part;
    trim->count = dropped;
    for (size_t i = 0; i < dropped; i++) {
        trim->files[i] = segment_file(part->segments[i]);
    }
    trim->end_number = part->segments[dropped]->number;
    memcpy(trim->directory, part->path, strlen(part->path) + 1);
    part->trimming = true;
    part->trim_end = trim->end_number;
    part->busy++;
    store->works++;
    if (put_trim(store, trim, dropped) < 0) {
        part->trimming = false;
        part->busy--;
        store->works--;
        free(trim);
        return zsp_err_set(err, ZSP_ENOMEM, "drop segments");
    }
    part->start_offset = part->segments[dropped]->base_offset;
    const struct completion completion = {
        .kind = STORE_TRIMMED, .owner = part->owner, .offset = part->start_offset};
    store_complete(store, &completion, NULL);
    return 0;
}
