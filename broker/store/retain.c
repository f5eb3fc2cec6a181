/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/retain.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/log_store_priv.h"
#include "broker/store/partition/partition.h"
#include "broker/store/rewrite/island.h"
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

/* What of the segments is to go: the first ones simply do; of what is behind them, up to `reach`, some
 * messages are kept. */
struct plan {
    size_t front, reach;
};

static uint64_t bytes_of(const struct store_part *part, bool with_islands)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < part->segment_count; i++) {
        const struct segment *segment = part->segments[i];
        bytes += with_islands || !segment->is_island ? segment->bytes : 0;
    }
    return bytes;
}

static bool may_go(const struct store_part *part, const struct store_retain *what, size_t index)
{
    return index < part->segment_count && part->segments[index]->state == SEGMENT_SEALED &&
           !part->segments[index]->compacting &&
           part->segments[index]->end_offset <= what->imaged_before;
}

/* How many of the oldest go, whatever is in them, because the partition is too large even without
 * `spare_bytes`. */
static size_t count_forced(const struct store_part *part, const struct store_retain *what,
                           uint64_t spare_bytes)
{
    uint64_t bytes = bytes_of(part, true) - spare_bytes;
    size_t count = 0;
    while (what->most_bytes != 0 && bytes > what->most_bytes && may_go(part, what, count)) {
        bytes -= part->segments[count]->bytes < bytes ? part->segments[count]->bytes : bytes;
        count++;
    }
    return count;
}

/* How many are over a limit, of which islands are not counted. */
static size_t count_over(const struct store_part *part, const struct store_retain *what)
{
    uint64_t bytes = bytes_of(part, false);
    size_t count = 0;
    for (; may_go(part, what, count); count++) {
        const struct segment *segment = part->segments[count];
        if (segment->is_island && (what->keeps || segment->end_offset <= what->before_offset)) {
            continue;
        }
        if (segment->is_island) {
            break;
        }
        const bool old = what->before_ms != 0 && segment->max_timestamp_ms < what->before_ms;
        const bool over = what->max_bytes != 0 && bytes - segment->bytes >= what->max_bytes;
        const bool passed = segment->end_offset <= what->before_offset ||
                            (what->keeps && segment->end_offset <= part->start_offset);
        if (!old && !over && !passed) {
            break;
        }
        bytes -= segment->bytes;
    }
    return count;
}

/* Can what is kept of the segment be copied, and is it known what that is? */
static bool may_be_island(const struct store_part *part, const struct store_retain *what,
                          const struct segment *segment)
{
    const struct damage *damage = partition_damage(part, segment->base_offset);
    return island_is_told(what, segment) && island_may_have(segment) &&
           (!damage || damage->range.first_offset >= segment->end_offset);
}

/* Segments that simply go, from `first` on. */
static size_t count_empty(const struct store_part *part, const struct store_retain *what,
                          size_t first, size_t end)
{
    uint64_t excess = island_excess(part, what);
    size_t count = first;
    for (; count < end; count++) {
        const struct segment *segment = part->segments[count];
        const bool is_over = segment->is_island && (segment_rewrite(segment)->island_records == 0 ||
                                                    segment->bytes <= excess);
        const bool is_empty = island_is_told(what, segment) && !island_has_kept(what, segment);
        if (!is_over && !is_empty) {
            break;
        }
        excess -= segment->bytes < excess ? segment->bytes : excess;
    }
    return count;
}

static struct plan make_plan(const struct store_part *part, const struct store_retain *what)
{
    const size_t over = count_over(part, what);
    if (!what->keeps) {
        const size_t forced = count_forced(part, what, 0);
        const size_t count = over > forced ? over : forced;
        return (struct plan){count, count};
    }
    uint64_t spare_bytes = 0; /* what islands take instead will be known when they are made */
    size_t reach = island_count(part);
    for (; reach < over && may_be_island(part, what, part->segments[reach]); reach++) {
        spare_bytes += part->segments[reach]->bytes;
    }
    spare_bytes = island_may_start(part->store, part) ? spare_bytes : 0;
    const size_t forced = count_forced(part, what, spare_bytes);
    const size_t front = count_empty(part, what, forced, over > forced ? over : forced);
    return (struct plan){front, reach > front ? reach : front};
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
    io_task(&self->io, remove_run, remove_done, self);
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
           (what->max_bytes != 0 && bytes_of(part, false) > what->max_bytes) ||
           (what->most_bytes != 0 && bytes_of(part, true) > what->most_bytes);
}

uint64_t retain_reach(const struct store_part *part, const struct store_retain *what)
{
    struct store_retain any = *what;
    any.imaged_before = UINT64_MAX;
    if (part->state != PART_OPEN) {
        return part->start_offset;
    }
    if (!what->keeps && wants_seal(part, what)) {
        return part->end_offset;
    }
    const size_t over = count_over(part, &any);
    const size_t forced = count_forced(part, &any, 0);
    const size_t count = over > forced ? over : forced;
    const uint64_t end = count > 0 ? part->segments[count - 1]->end_offset : 0;
    return end > part->start_offset ? end : part->start_offset;
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
    if (!what->seal_alone && !what->keeps) { /* else what is kept may be more by then */
        do_later(part, what, UINT64_MAX);    /* once is enough */
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

/* From now on this is the first segment. */
static void move_start(struct log_store *store, struct store_part *part,
                       const struct segment *first)
{
    part->island_offset =
        first->is_island ? segment_rewrite(first)->island_from : first->base_offset;
    if (part->start_offset < part->island_offset) {
        part->start_offset = part->island_offset;
    }
    const struct completion completion = {
        .kind = STORE_TRIMMED, .owner = part->owner, .offset = part->start_offset};
    store_complete(store, &completion, NULL);
}

/* Errors: ZSP_ENOMEM */
static int drop(struct log_store *store, struct store_part *part, size_t dropped,
                struct zsp_err *err)
{
    const size_t most = ZSP_STATE_RECORD_MAX / 64; /* facts of one record */
    if (dropped > most) {
        dropped = most; /* the rest goes with the next call */
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
    move_start(store, part, part->segments[dropped]);
    return 0;
}

/* Nothing simply goes: what is over a limit becomes islands, else these are looked at.
 * Errors: ZSP_ENOMEM */
static int keep(struct log_store *store, struct store_part *part, const struct store_retain *what,
                const struct plan *plan, struct zsp_err *err)
{
    const size_t islands = island_count(part);
    if (plan->reach == islands) {
        return island_tidy(store, part, what, err);
    }
    const uint64_t end = part->segments[plan->reach - 1]->end_offset;
    const int rc = island_start(store, part, what, islands, plan->reach, err);
    if (rc == 0 && part->start_offset < end) {
        part->start_offset = end;
        const struct completion completion = {
            .kind = STORE_TRIMMED, .owner = part->owner, .offset = end};
        store_complete(store, &completion, NULL);
    }
    return rc;
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
    const bool is_busy = part->trimming || island_is_busy(store, part);
    if (what->before_offset != 0 && !what->seal_alone && !what->keeps && (seals || is_busy)) {
        do_later(part, what, what->seal_bytes);
    }
    if (is_busy) {
        return 0;
    }
    const struct plan plan = make_plan(part, what);
    if (plan.front > 0) {
        return drop(store, part, plan.front, err);
    }
    return what->keeps && island_may_start(store, part) ? keep(store, part, what, &plan, err) : 0;
}
