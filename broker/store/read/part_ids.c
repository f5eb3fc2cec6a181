/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/read/part_ids.h"

#include <stdlib.h>
#include <string.h>

#include "broker/store/log_store_priv.h"
#include "broker/store/partition/partition.h"
#include "common/assert.h"

/* --- A segment --------------------------------------------------------------------------- */

void segment_ids_drop(struct segment *segment)
{
    if (segment->ids) {
        id_table_fini(&segment->ids->recent);
        id_filter_fini(&segment->ids->filter);
        free(segment->ids);
        segment->ids = NULL;
    }
}

bool part_ids_full(const struct segment *segment)
{
    return segment->ids &&
           segment->ids->recent.count >= segment->part->store->options.segment_ids_max;
}

/* --- On and off ------------------------------------------------------------------------------ */

void part_ids_index(struct store_part *part, bool is_wanted)
{
    part->has_ids = is_wanted;
    for (uint32_t i = 0; i < part->segment_count && !is_wanted; i++) {
        struct segment *segment = part->segments[i];
        const bool is_lent = part->roll.state == ROLL_SEALING && segment == partition_active(part);
        if (!is_lent) { /* else seal_done() forgets it */
            segment_ids_drop(segment);
        }
    }
}

/* --- Appends ----------------------------------------------------------------------------------- */

static int take_id(void *arg, uint64_t print, uint64_t offset)
{
    struct segment *segment = arg;
    return id_table_add(&segment->ids->recent, print, (uint32_t)(offset - segment->base_offset));
}

void part_ids_take(struct store_part *part, struct segment *segment,
                   const struct store_batch *batch)
{
    struct log_store *store = part->store;
    if (!segment->ids) {
        segment->ids = calloc(1, sizeof *segment->ids);
        if (!segment->ids) {
            store_fail_memory(store, "the ids of messages");
            return;
        }
        segment->ids->is_complete = segment->bytes == 0;
    }
    if (batch_ids_walk(&store->id_finds.walker, batch, take_id, segment) != 0) {
        store_fail_memory(store, "the ids of messages");
    }
}

/* --- Sealing -------------------------------------------------------------------------------------- */

void id_seal_init(struct id_seal *self, const struct segment *segment)
{
    id_source_init(&self->source, segment);
    const struct segment_ids *ids = segment->ids;
    self->recent =
        segment->part->has_ids && ids && ids->is_complete && !ids->loading ? &ids->recent : NULL;
    memset(&self->filter, 0, sizeof self->filter);
    self->is_done = false;
}

static struct id_entry *entries_of(const struct id_table *table, uint32_t *ret_count)
{
    struct id_entry *entries = calloc(table->count ? table->count : 1, sizeof *entries);
    uint32_t count = 0;
    for (uint32_t i = 0; i < table->capacity && entries; i++) {
        if (table->prints[i] != 0) {
            entries[count++] = (struct id_entry){table->prints[i], table->values[i]};
        }
    }
    *ret_count = count;
    return entries;
}

/* A seal that a crash ended before its fact may have left one, of less than the segment is now. */
static void remove_file(const struct id_source *source, struct fs *fs)
{
    char path[LAYOUT_PATH_MAX];
    id_source_path(source, ".ids", path);
    (void)fs->ops->unlink(fs->self, path, NULL); /* what stays is found to be bad */
}

void id_seal_run(struct id_seal *self, struct fs *fs)
{
    if (!self->recent) {
        remove_file(&self->source, fs);
        return;
    }
    uint32_t count = 0;
    struct id_entry *entries = entries_of(self->recent, &count);
    if (entries && id_entries_sort(entries, &count) == 0 &&
        id_filter_init(&self->filter, entries, count) == 0) {
        self->is_done = true;
        if (id_source_write(&self->source, fs, entries, count, NULL) != 0 &&
            !self->source.sync_failed) {
            remove_file(&self->source, fs);
        }
    }
    free(entries);
}

void id_seal_done(struct id_seal *self, struct segment *segment)
{
    struct segment_ids *ids = segment->ids;
    if (!segment->part->has_ids) {
        segment_ids_drop(segment);
    } else if (self->is_done && ids) {
        id_table_fini(&ids->recent);
        ids->is_complete = false;
        ids->filter = self->filter;
        ids->has_filter = true;
        return;
    }
    id_filter_fini(&self->filter);
}
