/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/rewrite/island.h"

#include <stdlib.h>
#include <string.h>

#include "broker/store/log_store_priv.h"
#include "broker/store/partition/partition.h"
#include "broker/store/rewrite/compact.h"

#define SOURCES_MAX    256u /* copied into one */
#define SMALL_MAX      8u   /* so many small islands side by side become one */
#define CUT_BYTES      256u /* beyond what is too much, so that a message goes, not only a header */
#define GENERATION_MAX (UINT32_MAX - 1)
/* Faster than compaction: hardly anything is written, and the log grows meanwhile. */
#define RATE        (4u * ZSP_COMPACTION_RATE)
#define AT_ONCE_MAX 4u

struct island {
    struct rewriting rewriting; /* first */
    struct store_range *kept;
    size_t kept_count;
    uint64_t next_offset;   /* the next segment to be copied begins here */
    uint64_t end_offset;    /* and the last one ends here */
    uint64_t skipped_bytes; /* of the first one: over the limit */
};

static const struct rewriting_kind kind;

/* --- What is where -------------------------------------------------------------------------------- */

size_t island_count(const struct store_part *part)
{
    size_t count = 0;
    while (count < part->segment_count && part->segments[count]->is_island) {
        count++;
    }
    return count;
}

bool island_is_busy(const struct log_store *store, const struct store_part *part)
{
    return rewriting_find(&store->islands, part) != NULL;
}

bool island_may_start(const struct log_store *store, const struct store_part *part)
{
    return rewriting_may_start(&store->islands, &kind, part) && !part->island_failed &&
           !part->trimming && store->ready && !compact_is_busy(store, part);
}

bool island_may_have(const struct segment *segment)
{
    return segment->generation < GENERATION_MAX &&
           segment->end_offset - segment->base_offset <= UINT32_MAX;
}

bool island_is_told(const struct store_retain *what, const struct segment *segment)
{
    return what->keep_from <= segment->base_offset && segment->end_offset <= what->keep_to;
}

/* The first range that ends behind `offset`. */
static size_t range_at(const struct store_range *kept, size_t count, uint64_t offset)
{
    size_t first = 0;
    size_t end = count;
    while (first < end) {
        const size_t middle = first + (end - first) / 2;
        if (kept[middle].end_offset <= offset) {
            first = middle + 1;
        } else {
            end = middle;
        }
    }
    return first;
}

static bool overlaps(const struct store_range *kept, size_t count, uint64_t first, uint64_t end)
{
    const size_t at = range_at(kept, count, first);
    return at < count && kept[at].first_offset < end;
}

bool island_has_kept(const struct store_retain *what, const struct segment *segment)
{
    return overlaps(what->kept, what->kept_count, segment->base_offset, segment->end_offset);
}

/* Messages of the segment that are kept, at most. */
static uint64_t count_kept(const struct store_retain *what, const struct segment *segment)
{
    uint64_t count = 0;
    for (size_t i = range_at(what->kept, what->kept_count, segment->base_offset);
         i < what->kept_count && what->kept[i].first_offset < segment->end_offset; i++) {
        const struct store_range *range = &what->kept[i];
        const uint64_t first =
            range->first_offset > segment->base_offset ? range->first_offset : segment->base_offset;
        const uint64_t end =
            range->end_offset < segment->end_offset ? range->end_offset : segment->end_offset;
        count += end - first;
    }
    return count;
}

/* --- The end -------------------------------------------------------------------------------------- */

static struct island *self_of(struct rewriting *rewriting)
{
    return (struct island *)rewriting;
}

static void destroy(struct rewriting *rewriting)
{
    struct island *self = self_of(rewriting);
    free(self->kept);
    free(self);
}

static void failed(struct rewriting *rewriting, const struct zsp_err *err)
{
    struct store_part *part = rewriting->part;
    char name[64];
    partition_describe(part, name);
    zsp_diag(part->store->options.diag, ZSP_WARNING,
             "%s: retention could not copy what is kept for groups: %s", name, err->msg);
    part->island_failed = err->code == ZSP_ECORRUPT;
}

static void tell_end(struct rewriting *rewriting)
{
    const struct store_part *part = rewriting->part;
    const struct completion completion = {
        .kind = STORE_TRIMMED, .owner = part->owner, .offset = part->start_offset};
    store_complete(part->store, &completion, NULL);
}

/* --- The next segments ----------------------------------------------------------------------------- */

/* The segment that is copied next; segment_count = none is left. */
static size_t next_index(const struct island *self)
{
    const struct store_part *part = self->rewriting.part;
    size_t at = 0;
    while (at < part->segment_count && part->segments[at]->base_offset < self->next_offset) {
        at++;
    }
    return at < part->segment_count && part->segments[at]->end_offset <= self->end_offset
               ? at
               : part->segment_count;
}

/* It is read from the first batch on that has something which is kept, as far as that is known. */
static void begin_at_kept(const struct island *self, const struct segment *segment,
                          struct compact_source *source)
{
    const size_t at = range_at(self->kept, self->kept_count, source->base_offset);
    if (at == self->kept_count || self->kept[at].first_offset >= source->end_offset) {
        source->bytes = 0; /* nothing of it is read */
        return;
    }
    const struct index_entry *entry =
        index_find_offset(&segment->index, self->kept[at].first_offset);
    if (entry) {
        source->from_pos = entry->pos;
        source->from_offset = entry->offset;
    }
}

/* One more source for the target. Errors: ZSP_ENOMEM */
static int add_source(struct island *self, size_t index)
{
    const struct store_part *part = self->rewriting.part;
    struct compact_source source = replace_source(part, index);
    const bool is_first = self->rewriting.run.source_count == 0;
    source.skipped_bytes = is_first ? self->skipped_bytes : 0;
    begin_at_kept(self, part->segments[index], &source);
    self->skipped_bytes = 0;
    const int rc = rewriting_add(&self->rewriting, index, &source);
    self->next_offset = rc == 0 ? source.end_offset : self->next_offset;
    return rc;
}

static int next_target(struct rewriting *rewriting)
{
    struct island *self = self_of(rewriting);
    const size_t index = next_index(self);
    if (index == rewriting->part->segment_count) {
        return 1;
    }
    rewriting_begin(rewriting, index);
    if (add_source(self, index) < 0) {
        return ZSP_ENOMEM;
    }
    const struct compact_rules rules = {
        .keeps = true, .kept = self->kept, .kept_count = self->kept_count};
    rewriting_copy(rewriting, &rules);
    /* Where nothing is read this is what is known. */
    rewriting->run.copy.epoch = rewriting->run.target.epoch_before;
    return 0;
}

/* All sources are copied. While the target is less than half full the next segment goes there, too. */
static void extend_target(struct rewriting *rewriting)
{
    struct island *self = self_of(rewriting);
    const struct store_part *part = rewriting->part;
    struct compact_run *run = &rewriting->run;
    const size_t next = next_index(self);
    run->wants_more = false;
    run->closes = run->source_count >= SOURCES_MAX || next == part->segment_count ||
                  part->segments[next]->end_offset - run->target.base_offset > UINT32_MAX ||
                  run->written > partition_segment_bytes(part) / 2 || add_source(self, next) < 0;
}

/* --- What comes out ------------------------------------------------------------------------------- */

static void set_offsets(struct store_part *part)
{
    const struct segment *first = part->segments[0];
    if (first->is_island) {
        part->island_offset = segment_rewrite(first)->island_from;
    }
    const size_t count = island_count(part);
    const uint64_t end = count > 0 ? part->segments[count - 1]->end_offset : 0;
    part->start_offset = part->start_offset > end ? part->start_offset : end;
}

static void swapped(struct rewriting *rewriting, uint64_t bytes)
{
    (void)bytes;
    set_offsets(rewriting->part);
}

static void describe(const struct rewriting *rewriting, struct segment *target)
{
    const struct compact_copy *copy = &rewriting->run.copy;
    target->is_island = true;
    target->rewrite->island_records = copy->kept;
    target->rewrite->island_from = copy->kept > 0 ? copy->first_kept : target->end_offset;
    target->rewrite->clean_offset = target->end_offset;
    target->rewrite->tombstone_ms = 0;
}

/* It is what was asked for, whatever it has. */
static bool is_better(const struct rewriting *rewriting)
{
    (void)rewriting;
    return true;
}

static const struct rewriting_kind kind = {
    .name = "islands",
    .rate = RATE,
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

/* --- The beginning ------------------------------------------------------------------------------------ */

static int no_memory(struct zsp_err *err)
{
    return zsp_err_set(err, ZSP_ENOMEM, "islands: out of memory");
}

/* Takes the kept ranges of `self`. */
static int start(struct log_store *store, struct store_part *part, struct island *self,
                 size_t first, size_t end, struct zsp_err *err)
{
    self->rewriting.kind = &kind;
    self->next_offset = part->segments[first]->base_offset;
    self->end_offset = part->segments[end - 1]->end_offset;
    rewriting_start(&store->islands, &self->rewriting, part, REWRITING_COPYING);
    if (next_target(&self->rewriting) != 0) {
        rewriting_finish(&self->rewriting);
        return no_memory(err);
    }
    return 0;
}

/* With room for so many ranges. NULL = out of memory. */
static struct island *new_island(size_t kept_count)
{
    struct island *self = calloc(1, sizeof *self);
    struct store_range *kept = malloc((kept_count + 1) * sizeof *kept);
    if (!self || !kept) {
        free(self);
        free(kept);
        return NULL;
    }
    self->kept = kept;
    return self;
}

int island_start(struct log_store *store, struct store_part *part, const struct store_retain *what,
                 size_t first, size_t end, struct zsp_err *err)
{
    struct island *self = new_island(what->kept_count);
    if (!self) {
        return no_memory(err);
    }
    for (size_t i = 0; i < what->kept_count; i++) {
        self->kept[i] = what->kept[i];
    }
    self->kept_count = what->kept_count;
    return start(store, part, self, first, end, err);
}

/* There are more bytes of islands than may be: the beginning of the oldest goes. */
static int cut(struct log_store *store, struct store_part *part, uint64_t bytes,
               struct zsp_err *err)
{
    struct island *self = new_island(1);
    if (!self) {
        return no_memory(err);
    }
    self->kept[0] = (struct store_range){0, UINT64_MAX};
    self->kept_count = 1;
    self->skipped_bytes = bytes;
    return start(store, part, self, 0, 1, err);
}

/* Is no more than half of it wanted? */
static bool is_thin(const struct store_retain *what, const struct segment *segment)
{
    const uint64_t records = segment_rewrite(segment)->island_records;
    return records > 0 && count_kept(what, segment) <= records / 2;
}

/* How many small islands are side by side from `first` on. */
static size_t count_small(const struct store_part *part, const struct store_retain *what,
                          size_t first, size_t count)
{
    size_t end = first;
    while (end < count && end - first < SOURCES_MAX && island_is_told(what, part->segments[end]) &&
           part->segments[end]->bytes <= partition_segment_bytes(part) / 2) {
        end++;
    }
    return end - first;
}

uint64_t island_excess(const struct store_part *part, const struct store_retain *what)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < part->segment_count && part->segments[i]->is_island; i++) {
        bytes += part->segments[i]->bytes;
    }
    return what->keeps && what->keep_bytes > 0 && bytes > what->keep_bytes
               ? bytes - what->keep_bytes
               : 0;
}

int island_tidy(struct log_store *store, struct store_part *part, const struct store_retain *what,
                struct zsp_err *err)
{
    const size_t count = island_count(part);
    const uint64_t excess = island_excess(part, what);
    if (excess > 0) {
        return cut(store, part, excess + what->keep_bytes / 8 + CUT_BYTES, err);
    }
    for (size_t i = 0; i < count; i++) {
        if (!island_is_told(what, part->segments[i])) {
            continue;
        }
        const size_t small = count_small(part, what, i, count);
        if (small >= SMALL_MAX) {
            return island_start(store, part, what, i, i + small, err);
        }
        if (is_thin(what, part->segments[i])) {
            return island_start(store, part, what, i, i + 1, err);
        }
    }
    return 0;
}
