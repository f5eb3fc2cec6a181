/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/compact.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/compact_run.h"
#include "broker/store/island.h"
#include "broker/store/log_store_priv.h"
#include "broker/store/partition.h"
#include "broker/store/replace.h"
#include "common/assert.h"

#define GROUP_SEGMENTS_MAX 256u /* copied into one */
#define GENERATION_MAX     (UINT32_MAX - 1)

enum compact_phase { COMPACT_MAPPING, COMPACT_COPYING, COMPACT_COMMITTING };

struct compaction {
    struct io io;
    struct store_part *part;
    struct store_compact what;
    enum compact_phase phase;
    struct compact_run run;
    bool job_out;
    bool dropping;        /* the job that is out removes files */
    bool only_tombstones; /* nothing is dirty: only segments with tombstones that may go */
    uint64_t copy_next;   /* the next segment to be copied begins here or behind it */
    struct replacement replacement;
    int64_t due_ms;
    uint64_t removed, freed; /* messages and bytes so far */
};

/* --- What is where ------------------------------------------------------------------------------ */

static bool is_clean(const struct segment *segment)
{
    return segment->is_island || (segment->generation > 0 &&
                                  segment_rewrite(segment)->clean_offset >= segment->end_offset);
}

static size_t count_clean(const struct store_part *part)
{
    size_t count = 0;
    while (count < part->segment_count && is_clean(part->segments[count])) {
        count++;
    }
    return count;
}

static bool has_due_tombstone(const struct segment *segment, const struct store_compact *what)
{
    const int64_t since_ms = segment_rewrite(segment)->tombstone_ms;
    return since_ms != 0 && since_ms <= what->tombstones_before_ms;
}

bool compact_is_busy(const struct log_store *store, const struct store_part *part)
{
    return store->compaction && store->compaction->part == part;
}

void compact_info(const struct store_part *part, struct store_part_info *ret)
{
    const size_t clean = count_clean(part);
    const struct segment *active = partition_active(part);
    for (size_t i = 0; i < part->segment_count; i++) {
        const struct segment *segment = part->segments[i];
        const int64_t since = segment_rewrite(segment)->tombstone_ms;
        ret->compacted_bytes += i < clean ? segment->bytes : 0;
        if (since != 0 && (ret->tombstone_ms == 0 || since < ret->tombstone_ms)) {
            ret->tombstone_ms = since;
        }
    }
    ret->active_bytes = active ? active->bytes : 0;
    ret->newest_ms = part->max_timestamp_ms;
    ret->is_compacting = compact_is_busy(part->store, part);
    if (part->compacted) {
        ret->compacted = *part->compacted;
    }
}

/* --- The end ------------------------------------------------------------------------------------ */

static void finish(struct log_store *store, struct compaction *self)
{
    struct store_part *part = self->part;
    replace_release(self->part);
    compact_run_fini(&self->run, store->fs);
    replace_fini(&self->replacement, store);
    free(self);
    store->compaction = NULL;
    part->busy--;
    partition_wake(part);
}

static void tell_end(struct log_store *store, struct compaction *self)
{
    struct store_part *part = self->part;
    if (!part->compacted) {
        part->compacted = calloc(1, sizeof *part->compacted);
    }
    if (part->compacted) {
        part->compacted->runs++;
        part->compacted->messages += self->removed;
        part->compacted->bytes += self->freed;
        part->compacted->last_ms = store->now.wall_ms;
    }
    const struct completion completion = {
        .kind = STORE_COMPACTED, .owner = part->owner, .offset = self->run.map_end};
    store_complete(store, &completion, NULL);
}

static void give_up(struct log_store *store, struct compaction *self, const struct zsp_err *err)
{
    char name[64];
    partition_describe(self->part, name);
    zsp_diag(store->options.diag, ZSP_WARNING, "%s: it was not compacted: %s", name, err->msg);
    finish(store, self);
}

/* --- Jobs ----------------------------------------------------------------------------------------- */

static void job_done(struct log_store *store, struct io *io);

static void submit(struct log_store *store, struct compaction *self,
                   void (*task_fn)(struct job *job, struct fs *fs))
{
    self->io.job = (struct job){.kind = JOB_TASK, .owner = self, .task_fn = task_fn};
    self->io.done_fn = job_done;
    self->job_out = true;
    store_submit(store, &self->io);
}

static void map_task(struct job *job, struct fs *fs)
{
    struct compaction *self = job->owner;
    (void)compact_run_map(&self->run, fs, &job->error);
}

static void copy_task(struct job *job, struct fs *fs)
{
    struct compaction *self = job->owner;
    (void)compact_run_copy(&self->run, fs, &job->error);
}

static void remove_task(struct job *job, struct fs *fs)
{
    struct compaction *self = job->owner;
    replace_remove(&self->replacement, &self->run, fs, &job->error);
}

/* --- The next segments ------------------------------------------------------------------------------ */

/* Is retention about to drop it? Its record is on its way to the journal. */
static bool is_going(const struct store_part *part, const struct segment *segment)
{
    return part->trimming && segment->number < part->trim_end;
}

static bool is_wanted(const struct compaction *self, const struct segment *segment)
{
    return segment->base_offset >= self->copy_next && !is_going(self->part, segment) &&
           !segment->is_island &&
           (!self->only_tombstones || has_due_tombstone(segment, &self->what));
}

/* One more source for the target. Errors: ZSP_ENOMEM */
static int add_source(struct compaction *self, size_t index)
{
    struct store_part *part = self->part;
    struct compact_run *run = &self->run;
    const struct compact_source source = replace_source(part, index);
    if (compact_run_add(run, &source) < 0) {
        return ZSP_ENOMEM;
    }
    part->segments[index]->compacting = true;
    self->copy_next = source.end_offset;
    run->target.last_number = source.last_number;
    run->target.end_offset = source.end_offset;
    run->target.max_timestamp_ms = source.max_timestamp_ms;
    return 0;
}

static bool may_be_copied(const struct compaction *self, const struct segment *segment)
{
    return segment->state == SEGMENT_SEALED && segment->base_offset < self->run.map_end &&
           segment->generation < GENERATION_MAX;
}

/* Take the next segment in hand. Returns 1 = there is none. Errors: ZSP_ENOMEM */
static int next_target(struct log_store *store, struct compaction *self)
{
    struct store_part *part = self->part;
    struct compact_run *run = &self->run;
    size_t first = 0;
    while (first < part->segment_count && !is_wanted(self, part->segments[first])) {
        first++;
    }
    if (first == part->segment_count || !may_be_copied(self, part->segments[first])) {
        return 1;
    }
    compact_run_reset(run, store->fs);
    run->target = replace_source(part, first);
    run->target.generation++; /* no file has this name: only the first source has its number */
    if (add_source(self, first) < 0) {
        return ZSP_ENOMEM;
    }
    const struct compact_rules rules = {.map = &run->map,
                                        .map_end = run->map_end,
                                        .now_ms = self->what.now_ms,
                                        .tombstones_before_ms = self->what.tombstones_before_ms};
    const struct batch_place place = {
        run->uuid, run->topic_id, run->partition, run->target.number, 0, run->target.generation};
    compact_copy_begin(&run->copy, &rules, &place, run->target.base_offset,
                       run->target.max_before_ms);
    return 0;
}

/* All sources are copied. While the target is less than half full the next segment goes there, too, so
 * that it gets half as large again as others at most. */
static void extend_target(struct compaction *self)
{
    const struct store_part *part = self->part;
    struct compact_run *run = &self->run;
    const uint64_t most = partition_segment_bytes(part);
    size_t next = 0;
    while (next < part->segment_count && part->segments[next]->base_offset < self->copy_next) {
        next++;
    }
    run->wants_more = false;
    run->closes = self->only_tombstones || run->source_count >= GROUP_SEGMENTS_MAX ||
                  next == part->segment_count || !may_be_copied(self, part->segments[next]) ||
                  part->segments[next]->end_offset - run->target.base_offset > UINT32_MAX ||
                  run->written > most / 2 || part->segments[next]->bytes > most ||
                  add_source(self, next) < 0;
}

static void go_on_copying(struct log_store *store, struct compaction *self)
{
    self->phase = COMPACT_COPYING;
    replace_release(self->part);
    const int rc = next_target(store, self);
    if (rc == 0) {
        return; /* when it is due */
    }
    if (rc == 1) {
        tell_end(store, self);
    }
    finish(store, self);
}

/* --- Committing ------------------------------------------------------------------------------------- */

static void committed(struct log_store *store, void *arg, const struct zsp_err *err)
{
    struct compaction *self = arg;
    store->works--;
    if (err || self->part->state != PART_OPEN) {
        finish(store, self);
        return;
    }
    self->removed += self->run.copy.removed;
    const uint64_t bytes = replace_swap(&self->replacement, store, &self->run);
    const uint64_t left = self->run.target.bytes;
    self->freed += bytes > left ? bytes - left : 0;
    self->dropping = true;
    submit(store, self, remove_task);
}

/* Errors: ZSP_ENOMEM */
static int commit_target(struct log_store *store, struct compaction *self)
{
    struct compact_run *run = &self->run;
    int rc = replace_begin(&self->replacement, self->part, run);
    if (rc < 0) {
        return rc;
    }
    self->replacement.target->rewrite->clean_offset =
        run->map_end < run->target.end_offset ? run->map_end : run->target.end_offset;
    self->phase = COMPACT_COMMITTING;
    store->works++;
    rc = replace_put(&self->replacement, store, run, committed, self);
    store->works -= rc < 0 ? 1 : 0;
    return rc;
}

/* Is the copy better than what it was made of? */
static bool has_changed(const struct compaction *self)
{
    const struct compact_run *run = &self->run;
    const struct segment_file name = {run->sources[0].number, run->sources[0].generation};
    const struct segment *only = partition_find_segment(self->part, name);
    const uint64_t clean = segment_rewrite(only)->clean_offset;
    return run->copy.removed > 0 || run->source_count > 1 || only->generation == 0 ||
           (clean < only->end_offset && run->map_end > clean);
}

static void drop_task(struct job *job, struct fs *fs)
{
    struct compaction *self = job->owner;
    compact_run_drop_target(&self->run, fs);
    self->run.sync_failed = fs->ops->sync_dir(fs->self, self->run.directory, &job->error) < 0;
}

static void copied(struct log_store *store, struct compaction *self)
{
    if (!has_changed(self)) {
        self->dropping = true;
        submit(store, self, drop_task);
    } else if (commit_target(store, self) < 0) {
        finish(store, self); /* the next start removes the copy, or the next try overwrites it */
    }
}

/* --- Going on ------------------------------------------------------------------------------------ */

static void job_done(struct log_store *store, struct io *io)
{
    struct compaction *self = (struct compaction *)io;
    self->job_out = false;
    if (self->run.sync_failed) {
        struct zsp_err err = io->job.error;
        (void)zsp_err_wrap(&err, "compaction: sync");
        store_fail(store, &err);
    }
    if (store->failed || self->part->state != PART_OPEN) {
        finish(store, self);
        return;
    }
    if (io->job.error.code != 0 && !self->dropping) {
        self->part->compact_failed = io->job.error.code == ZSP_ECORRUPT;
        give_up(store, self, &io->job.error);
        return;
    }
    const int64_t pause_ms = (int64_t)(self->run.worked * 1000 / ZSP_COMPACTION_RATE) + 1;
    self->due_ms = store->now.mono_ms + pause_ms;
    if (self->dropping) {
        self->dropping = false;
        go_on_copying(store, self);
    } else if (self->run.at_end && self->phase == COMPACT_MAPPING) {
        go_on_copying(store, self);
    } else if (self->run.at_end) {
        copied(store, self);
    } else if (self->run.wants_more) {
        extend_target(self);
    }
}

void compact_step(struct log_store *store)
{
    struct compaction *self = store->compaction;
    if (!self || self->job_out || self->phase == COMPACT_COMMITTING) {
        return;
    }
    if (self->part->state != PART_OPEN) {
        finish(store, self);
    } else if (store->now.mono_ms >= self->due_ms) {
        submit(store, self, self->phase == COMPACT_MAPPING ? map_task : copy_task);
    }
}

int64_t compact_deadline_ms(const struct log_store *store)
{
    const struct compaction *self = store->compaction;
    return self && !self->job_out && self->phase != COMPACT_COMMITTING ? self->due_ms : INT64_MAX;
}

void compact_fini(struct log_store *store)
{
    if (store->compaction) {
        finish(store, store->compaction);
    }
}

/* --- The beginning --------------------------------------------------------------------------------- */

static bool may_go_in(const struct segment *segment, const struct store_compact *what)
{
    return segment->state == SEGMENT_SEALED && segment->end_offset <= what->before_offset &&
           (what->before_ms == 0 || segment->max_timestamp_ms < what->before_ms);
}

/* The segments that are mapped. Errors: ZSP_ENOMEM */
static int add_dirty(struct compaction *self, size_t clean)
{
    struct store_part *part = self->part;
    struct compact_run *run = &self->run;
    const struct segment *first = part->segments[clean];
    run->map_from =
        first->generation > 0 ? segment_rewrite(first)->clean_offset : first->base_offset;
    run->map_end = run->map_from;
    for (size_t i = clean; i < part->segment_count && may_go_in(part->segments[i], &self->what);
         i++) {
        const struct compact_source source = replace_source(part, i);
        if (compact_run_add(run, &source) < 0) {
            return ZSP_ENOMEM;
        }
        part->segments[i]->compacting = true;
    }
    self->only_tombstones = run->source_count == 0;
    return 0;
}

/* Shall what is in the segment that takes appends go in? */
static bool is_full(const struct segment *active, const struct store_compact *what)
{
    const bool is_old = what->before_ms == 0 || active->max_timestamp_ms < what->before_ms;
    return what->seal_bytes != 0 && active->bytes > 0 && is_old &&
           (active->bytes >= what->seal_bytes || active->max_timestamp_ms < what->idle_before_ms);
}

/* What there is to do; `may_seal` when it includes the segment that takes appends. */
static bool is_worth_it(const struct store_part *part, const struct store_compact *what,
                        bool *ret_may_seal)
{
    const size_t clean = count_clean(part);
    const struct segment *active = partition_active(part);
    uint64_t clean_bytes = 0;
    uint64_t dirty_bytes = is_full(active, what) ? active->bytes : 0;
    bool is_due = false;
    for (size_t i = 0; i < clean; i++) {
        clean_bytes += part->segments[i]->bytes;
        is_due = is_due || has_due_tombstone(part->segments[i], what);
    }
    for (size_t i = clean; i < part->segment_count && may_go_in(part->segments[i], what); i++) {
        dirty_bytes += part->segments[i]->bytes;
    }
    const double most = (double)(clean_bytes + dirty_bytes) * what->dirty_percent;
    const bool is_dirty = dirty_bytes > 0 && (double)dirty_bytes * 100 >= most;
    *ret_may_seal = is_dirty && is_full(active, what);
    return is_due || is_dirty;
}

static void seal_active(struct store_part *part)
{
    if (!part->write && !part->refuses && !roll_busy(part) && !atomic_holds(part)) {
        (void)roll_start(part);
        partition_wake(part);
    }
}

/* Is anything there that can go in now? */
static bool has_work(const struct store_part *part, const struct store_compact *what)
{
    const size_t clean = count_clean(part);
    bool is_due = may_go_in(part->segments[clean], what);
    for (size_t i = 0; i < clean && !is_due; i++) {
        is_due = has_due_tombstone(part->segments[i], what);
    }
    return is_due;
}

int compact_start(struct log_store *store, struct store_part *part,
                  const struct store_compact *what, struct zsp_err *err)
{
    bool may_seal = false;
    if (store->compaction || part->state != PART_OPEN || part->trimming || part->refuses ||
        island_is_busy(store, part) || part->damage_count > 0 || part->compact_failed ||
        !store->ready || store->space.refuses || !is_worth_it(part, what, &may_seal)) {
        return 0;
    }
    if (may_seal) {
        seal_active(part);
    }
    if (!has_work(part, what)) {
        return may_seal ? 1 : 0;
    }
    struct compaction *self = calloc(1, sizeof *self);
    if (!self) {
        return zsp_err_set(err, ZSP_ENOMEM, "compaction: out of memory");
    }
    const struct log_store_options *options = &store->options;
    const uint64_t seeds[2] = {options->random_fn(options->random_arg),
                               options->random_fn(options->random_arg)};
    self->part = part;
    self->what = *what;
    replace_run_init(&self->run, part);
    const uint64_t keys_max = options->compaction_keys_max;
    compact_map_init(&self->run.map, (size_t)keys_max, seeds);
    part->busy++;
    store->compaction = self;
    if (add_dirty(self, count_clean(part)) < 0) {
        finish(store, self);
        return zsp_err_set(err, ZSP_ENOMEM, "compaction: out of memory");
    }
    if (self->only_tombstones) {
        go_on_copying(store, self);
    }
    return 0;
}
