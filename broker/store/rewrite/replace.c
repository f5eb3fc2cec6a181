/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/rewrite/replace.h"

#include <stdlib.h>
#include <string.h>

#include "broker/store/journal/fact.h"
#include "broker/store/log_store_priv.h"
#include "broker/store/partition/partition.h"
#include "common/assert.h"

void replace_run_init(struct compact_run *run, const struct store_part *part)
{
    run->file = -1;
    run->topic_id = part->topic_id;
    run->partition = part->number;
    run->job_bytes = ZSP_COMPACTION_JOB_BYTES;
    memcpy(run->directory, part->path, strlen(part->path) + 1);
    memcpy(run->uuid, part->store->uuid, sizeof run->uuid);
}

void replace_release(struct store_part *part)
{
    for (size_t i = 0; i < part->segment_count; i++) {
        part->segments[i]->compacting = false;
    }
}

struct compact_source replace_source(const struct store_part *part, size_t index)
{
    const struct segment *segment = part->segments[index];
    return (struct compact_source){
        .number = segment->number,
        .last_number = segment->rewrite ? segment->rewrite->last_number : segment->number,
        .generation = segment->generation,
        .base_offset = segment->base_offset,
        .from_offset = segment->base_offset,
        .end_offset = segment->end_offset,
        .bytes = segment->bytes,
        .epoch_before = index > 0 ? part->segments[index - 1]->epoch : 0,
        .max_before_ms = segment->max_before_ms,
        .max_timestamp_ms = segment->max_timestamp_ms,
    };
}

int replace_begin(struct replacement *self, struct store_part *part, const struct compact_run *run)
{
    const struct compact_source *target = &run->target;
    free(self->old);
    self->old = calloc(run->source_count, sizeof *self->old);
    self->old_count = 0;
    self->target = segment_new(part, target->number, target->base_offset);
    struct segment *segment = self->target;
    if (!self->old || !segment || !segment_rewrite_open(segment)) {
        return ZSP_ENOMEM;
    }
    segment->state = SEGMENT_SEALED;
    segment->rewrite->last_number = target->last_number;
    segment->generation = target->generation;
    segment->end_offset = target->end_offset;
    segment->bytes = segment->file_bytes = target->bytes;
    segment->max_before_ms = target->max_before_ms;
    segment->max_timestamp_ms = target->max_timestamp_ms;
    segment->epoch = run->copy.out_epoch;
    segment->rewrite->tombstone_ms = run->copy.tombstone_ms;
    return 0;
}

int replace_put(struct replacement *self, struct log_store *store, const struct compact_run *run,
                void (*fn)(struct log_store *store, void *arg, const struct zsp_err *err),
                void *arg)
{
    const struct store_part *part = self->target->part;
    const size_t count = run->source_count;
    struct fact *facts = calloc(count, sizeof *facts);
    struct store_entry *entries = calloc(count, sizeof *entries);
    const bool has_memory = facts && entries;
    for (size_t i = 1; i < count && has_memory; i++) {
        facts[i] = fact_sealed_key(part->topic_id, part->number, run->sources[i].number);
        entries[i] = fact_entry(&facts[i], STORE_GONE);
    }
    if (has_memory) {
        facts[0] = fact_sealed(self->target);
        entries[0] = fact_entry(&facts[0], STORE_IMAGE);
        journal_put_own(store, entries, count, fn, arg);
    }
    free(facts);
    free(entries);
    return has_memory ? 0 : ZSP_ENOMEM;
}

static size_t find_source(const struct store_part *part, uint64_t number)
{
    size_t at = 0;
    while (part->segments[at]->number != number) {
        at++;
        zsp_assert(at < part->segment_count); /* nobody else takes what is being copied */
    }
    return at;
}

uint64_t replace_swap(struct replacement *self, struct log_store *store,
                      const struct compact_run *run)
{
    struct store_part *part = self->target->part;
    const size_t count = run->source_count;
    const size_t first = find_source(part, run->sources[0].number);
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        struct segment *segment = part->segments[first + i];
        self->old[i] = segment_file(segment);
        bytes += segment->bytes;
        segment_retire(store, segment);
    }
    self->old_count = count;
    part->segments[first] = self->target;
    self->target = NULL;
    part->segment_count -= (uint32_t)(count - 1);
    memmove(part->segments + first + 1, part->segments + first + count,
            (part->segment_count - first - 1) * sizeof(struct segment *));
    read_cache_drop(&store->read_cache, &part->read_cache);
    tail_drop_below(&store->tail, &part->tail, run->target.end_offset);
    return bytes;
}

void replace_remove(const struct replacement *self, struct compact_run *run, struct fs *fs,
                    struct zsp_err *err)
{
    for (size_t i = 0; i < self->old_count; i++) {
        segment_unlink(fs, run->directory, self->old[i]);
    }
    run->sync_failed = fs->ops->sync_dir(fs->self, run->directory, err) < 0;
}

void replace_fini(struct replacement *self, struct log_store *store)
{
    segment_destroy(store, &self->target);
    free(self->old);
    self->old = NULL;
}
