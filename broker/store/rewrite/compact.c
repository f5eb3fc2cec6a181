/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/rewrite/compact.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/log_store_priv.h"
#include "broker/store/partition/partition.h"
#include "broker/store/rewrite/island.h"

#define GROUP_SEGMENTS_MAX 256u /* copied into one */
#define GENERATION_MAX     (UINT32_MAX - 1)
#define AT_ONCE_MAX        2u /* each has its keys in memory */

struct compaction {
    struct rewriting rewriting; /* first */
    struct store_compact what;
    bool only_tombstones;    /* nothing is dirty: only segments with tombstones that may go */
    uint64_t copy_next;      /* the next segment to be copied begins here or behind it */
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
    return rewriting_find(&store->compactions, part) != NULL;
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

static struct compaction *self_of(struct rewriting *rewriting)
{
    return (struct compaction *)rewriting;
}

static const struct compaction *const_self_of(const struct rewriting *rewriting)
{
    return (const struct compaction *)rewriting;
}

static void destroy(struct rewriting *rewriting)
{
    free(self_of(rewriting));
}

static void tell_end(struct rewriting *rewriting)
{
    const struct compaction *self = const_self_of(rewriting);
    struct store_part *part = rewriting->part;
    struct log_store *store = part->store;
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
        .kind = STORE_COMPACTED, .owner = part->owner, .offset = rewriting->run.map_end};
    store_complete(store, &completion, NULL);
}

static void failed(struct rewriting *rewriting, const struct zsp_err *err)
{
    struct store_part *part = rewriting->part;
    char name[64];
    partition_describe(part, name);
    part->compact_failed = err->code == ZSP_ECORRUPT;
    zsp_diag(part->store->options.diag, ZSP_WARNING, "%s: it was not compacted: %s", name,
             err->msg);
}

/* --- The next segments ------------------------------------------------------------------------------ */

/* Is retention about to drop it? Its record is on its way to the journal. */
static bool is_going(const struct store_part *part, const struct segment *segment)
{
    return part->trimming && segment->number < part->trim_end;
}

static bool is_wanted(const struct compaction *self, const struct segment *segment)
{
    return segment->base_offset >= self->copy_next && !is_going(self->rewriting.part, segment) &&
           !segment->is_island &&
           (!self->only_tombstones || has_due_tombstone(segment, &self->what));
}

/* One more source for the target. Errors: ZSP_ENOMEM */
static int add_source(struct compaction *self, size_t index)
{
    const struct compact_source source = replace_source(self->rewriting.part, index);
    const int rc = rewriting_add(&self->rewriting, index, &source);
    self->copy_next = rc == 0 ? source.end_offset : self->copy_next;
    return rc;
}

static bool may_be_copied(const struct compaction *self, const struct segment *segment)
{
    return segment->state == SEGMENT_SEALED && segment->base_offset < self->rewriting.run.map_end &&
           segment->generation < GENERATION_MAX;
}

static int next_target(struct rewriting *rewriting)
{
    struct compaction *self = self_of(rewriting);
    const struct store_part *part = rewriting->part;
    const struct compact_run *run = &rewriting->run;
    size_t first = 0;
    while (first < part->segment_count && !is_wanted(self, part->segments[first])) {
        first++;
    }
    if (first == part->segment_count || !may_be_copied(self, part->segments[first])) {
        return 1;
    }
    rewriting_begin(rewriting, first);
    if (add_source(self, first) < 0) {
        return ZSP_ENOMEM;
    }
    const struct compact_rules rules = {.map = &run->map,
                                        .map_end = run->map_end,
                                        .now_ms = self->what.now_ms,
                                        .tombstones_before_ms = self->what.tombstones_before_ms};
    rewriting_copy(rewriting, &rules);
    return 0;
}

/* All sources are copied. While the target is less than half full the next segment goes there, too, so
 * that it gets half as large again as others at most. */
static void extend_target(struct rewriting *rewriting)
{
    struct compaction *self = self_of(rewriting);
    const struct store_part *part = rewriting->part;
    struct compact_run *run = &rewriting->run;
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

/* --- What comes out ------------------------------------------------------------------------------- */

static void swapped(struct rewriting *rewriting, uint64_t bytes)
{
    struct compaction *self = self_of(rewriting);
    const uint64_t left = rewriting->run.target.bytes;
    self->removed += rewriting->run.copy.removed;
    self->freed += bytes > left ? bytes - left : 0;
}

static void describe(const struct rewriting *rewriting, struct segment *target)
{
    const struct compact_run *run = &rewriting->run;
    target->rewrite->clean_offset =
        run->map_end < run->target.end_offset ? run->map_end : run->target.end_offset;
}

static bool is_better(const struct rewriting *rewriting)
{
    const struct compact_run *run = &rewriting->run;
    const struct segment_file name = {run->sources[0].number, run->sources[0].generation};
    const struct segment *only = partition_find_segment(rewriting->part, name);
    const uint64_t clean = segment_rewrite(only)->clean_offset;
    return run->copy.removed > 0 || run->source_count > 1 || only->generation == 0 ||
           (clean < only->end_offset && run->map_end > clean);
}

static const struct rewriting_kind kind = {
    .name = "compaction",
    .rate = ZSP_COMPACTION_RATE,
    .at_once_max = AT_ONCE_MAX,
    .next = next_target,
    .extend = extend_target,
    .is_better = is_better,
    .describe = describe,
    .swapped = swapped,
    .done = tell_end,
    .failed = failed,
    .destroy = destroy,
};

/* --- The beginning --------------------------------------------------------------------------------- */

static bool may_go_in(const struct segment *segment, const struct store_compact *what)
{
    return segment->state == SEGMENT_SEALED && segment->end_offset <= what->before_offset &&
           (what->before_ms == 0 || segment->max_timestamp_ms < what->before_ms);
}

/* The segments that are mapped. Errors: ZSP_ENOMEM */
static int add_dirty(struct compaction *self, size_t clean)
{
    struct store_part *part = self->rewriting.part;
    struct compact_run *run = &self->rewriting.run;
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
    if (!rewriting_may_start(&store->compactions, &kind, part) || part->state != PART_OPEN ||
        part->trimming || part->refuses || island_is_busy(store, part) || part->damage_count > 0 ||
        part->compact_failed || !store->ready || store->space.refuses ||
        !is_worth_it(part, what, &may_seal)) {
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
    self->rewriting.kind = &kind;
    self->what = *what;
    rewriting_start(&store->compactions, &self->rewriting, part, REWRITING_MAPPING);
    compact_map_init(&self->rewriting.run.map, (size_t)options->compaction_keys_max, seeds);
    if (add_dirty(self, count_clean(part)) < 0) {
        rewriting_finish(&self->rewriting);
        return zsp_err_set(err, ZSP_ENOMEM, "compaction: out of memory");
    }
    if (self->only_tombstones) {
        rewriting_next(&self->rewriting);
    }
    return 0;
}
