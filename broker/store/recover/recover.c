/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/recover/recover_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/log_store_priv.h"
#include "broker/store/partition/part_facts.h"
#include "broker/store/recover/torn.h"
#include "broker/store/topic_log.h"
#include "common/assert.h"

/* --- Files ------------------------------------------------------------------------------ */

/* Room for one more. NULL = out of memory, noted. */
static void *grow(struct recovery *self, void *items, size_t count, size_t size)
{
    void *const grown = realloc(items, (count + 1) * size);
    self->no_memory = self->no_memory || !grown;
    return grown;
}

/* Is it something that lies beside a segment? Then it is noted. */
static bool note_side(struct recovery *self, const char *name)
{
    static const char *const suffixes[] = {".idx",     ".ids",     ".pri",
                                           ".idx.tmp", ".ids.tmp", ".pri.tmp"};
    struct side_found side = {0};
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        if (!layout_parse_segment(name, suffixes[i], &side.number, &side.generation)) {
            continue;
        }
        struct side_found *sides = grow(self, self->sides, self->side_count, sizeof *sides);
        if (sides) {
            side.suffix = suffixes[i];
            self->sides = sides;
            sides[self->side_count++] = side;
        }
        return true;
    }
    return false;
}

static int note_file(void *arg, const struct fs_entry *entry)
{
    struct recovery *self = arg;
    const size_t len = strlen(entry->name);
    uint64_t number;
    uint32_t generation;
    if (!layout_parse_segment(entry->name, ".log", &number, &generation)) {
        if (!note_side(self, entry->name) &&
            (len < 4 || strcmp(entry->name + len - 4, ".tmp") != 0)) {
            zsp_diag(self->store->options.diag, ZSP_WARNING, "%s/%s: unknown file, left alone",
                     self->part->path, entry->name);
        }
        return self->no_memory ? 1 : 0;
    }
    struct file_found *files = grow(self, self->files, self->file_count, sizeof *files);
    if (!files) {
        return 1;
    }
    self->files = files;
    files[self->file_count++] = (struct file_found){number, entry->bytes, generation};
    return 0;
}

static const struct file_found *find_file(const struct recovery *self, uint64_t number,
                                          uint32_t generation)
{
    for (size_t i = 0; i < self->file_count; i++) {
        if (self->files[i].number == number && self->files[i].generation == generation) {
            return &self->files[i];
        }
    }
    return NULL;
}

/* What a crash left half made, and what is derived of a segment that is gone. */
static bool is_side_over(const struct part_facts *facts, const struct side_found *side)
{
    const bool is_half_made = strlen(side->suffix) > strlen(".idx");
    return is_half_made || part_facts_is_over(facts, side->number, side->generation);
}

static void remove_sides(const struct recovery *self, const struct part_facts *facts)
{
    struct fs *fs = self->store->fs;
    char path[LAYOUT_PATH_MAX];
    for (size_t i = 0; i < self->side_count; i++) {
        const struct side_found *side = &self->sides[i];
        if (is_side_over(facts, side)) {
            layout_generation_path(path, self->part->path, side->number, side->generation,
                                   side->suffix);
            (void)fs->ops->unlink(fs->self, path, NULL); /* else at the next start */
        }
    }
}

static bool has_gone(const struct recovery *self, const struct part_facts *facts)
{
    bool found = false;
    for (size_t i = 0; i < self->side_count && !found; i++) {
        found = is_side_over(facts, &self->sides[i]);
    }
    for (size_t i = 0; i < self->file_count && !found; i++) {
        found = part_facts_is_over(facts, self->files[i].number, self->files[i].generation);
    }
    return found;
}

/* Segments that the journal says are gone: the crash came before the unlink. And what a compaction has
 * made that was not put into the journal: the segments that it was made of are there. */
static int remove_gone(struct recovery *self, const struct part_facts *facts, struct zsp_err *err)
{
    struct fs *fs = self->store->fs;
    bool removed = false;
    remove_sides(self, facts);
    for (size_t i = 0; i < self->file_count; i++) {
        const struct file_found *file = &self->files[i];
        if (!part_facts_is_over(facts, file->number, file->generation)) {
            continue;
        }
        char path[LAYOUT_PATH_MAX];
        layout_generation_path(path, self->part->path, file->number, file->generation, ".log");
        const int rc = fs->ops->unlink(fs->self, path, err);
        if (rc < 0) {
            return rc;
        }
        removed = true;
    }
    return removed ? fs->ops->sync_dir(fs->self, self->part->path, err) : 0;
}

/* --- Facts --------------------------------------------------------------------------------- */

int recovery_contradiction(const struct recovery *self, const char *what, struct zsp_err *err)
{
    return zsp_err_set(err, ZSP_ECORRUPT,
                       "topic %" PRIu64 " partition %" PRIu32 ": the journal contradicts %s",
                       self->part->topic_id, self->part->number, what);
}

/* NULL = out of memory, told in `err`. */
static struct segment *add_segment(struct recovery *self, uint64_t number, uint64_t base_offset,
                                   struct zsp_err *err)
{
    struct segment *segment = segment_new(self->part, number, base_offset);
    if (!segment || partition_add_segment(self->part, segment) < 0) {
        segment_destroy(self->store, &segment);
        (void)zsp_err_set(err, ZSP_ENOMEM, "open a partition");
        return NULL;
    }
    return segment;
}

static void damage_segment(struct recovery *self, const struct segment *segment)
{
    const struct damage damage = {.range = {segment->base_offset, segment->end_offset},
                                  .resume_segment = segment->number + 1};
    partition_add_damage(self->part, &damage);
}

static int add_sealed(struct recovery *self, const struct sealed_fact *fact, struct zsp_err *err)
{
    struct segment *segment = add_segment(self, fact->number, fact->base_offset, err);
    if (!segment) {
        return ZSP_ENOMEM;
    }
    segment->state = SEGMENT_SEALED;
    segment->end_offset = fact->end_offset;
    segment->bytes = fact->bytes;
    segment->file_bytes = fact->bytes;
    segment->max_before_ms = fact->max_before_ms;
    segment->max_timestamp_ms = fact->max_timestamp_ms;
    segment->epoch = fact->epoch;
    segment->generation = fact->generation;
    segment->is_island = fact->is_island;
    if (fact->generation > 0) {
        if (!segment_rewrite_open(segment)) {
            return zsp_err_set(err, ZSP_ENOMEM, "a segment of a partition");
        }
        *segment->rewrite = (struct segment_rewrite){.last_number = fact->last_number,
                                                     .clean_offset = fact->clean_offset,
                                                     .tombstone_ms = fact->tombstone_ms,
                                                     .island_from = fact->island_from,
                                                     .island_records = fact->island_records};
    }
    const struct file_found *file = find_file(self, fact->number, fact->generation);
    if (!file || file->bytes < fact->bytes) {
        damage_segment(self, segment);
    }
    return 0;
}

/* Sealed segments, as the journal tells them, and the active one behind them. */
static int add_segments(struct recovery *self, const struct part_facts *facts, struct zsp_err *err)
{
    struct store_part *part = self->part;
    int rc = 0;
    for (size_t i = 0; i < facts->sealed_count && rc == 0; i++) {
        rc = add_sealed(self, &facts->sealed[i], err);
    }
    if (rc < 0) {
        return rc;
    }
    struct segment *segment = add_segment(self, facts->active, facts->base_offset, err);
    if (!segment) {
        return ZSP_ENOMEM;
    }
    segment->max_before_ms = facts->max_before_ms;
    segment->max_timestamp_ms = facts->max_before_ms;
    segment->epoch = facts->epoch_before;
    part->start_offset = facts->start_offset;
    part->island_offset = facts->island_offset;
    part->end_offset = facts->base_offset;
    self->mark = facts->mark;
    self->has_mark = facts->has_mark;
    self->walk.proven = facts->mark.offset;
    if (self->wish->replay_from != UINT64_MAX && self->wish->replay_from > self->walk.proven) {
        self->walk.proven = self->wish->replay_from;
    }
    return 0;
}

/* --- The whole ----------------------------------------------------------------------------------- */

/* What the walk found becomes the partition; what is kept becomes durable. */
static int settle_active(struct recovery *self, struct zsp_err *err)
{
    struct store_part *part = self->part;
    struct segment *segment = partition_active(part);
    struct scan *scan = &self->walk.scan;
    struct fs *fs = self->store->fs;
    int rc = 0;
    if (scan->place.pos > self->mark.pos) {
        rc = torn_rewrite(fs, scan->file, self->mark.pos, scan->place.pos, err);
        self->changed = true;
    }
    if (rc == 0 && self->changed) {
        rc = fs->ops->sync(fs->self, scan->file, err);
        if (rc >= 0) {
            rc = fs->ops->sync_dir(fs->self, part->path, err);
        }
    }
    if (rc < 0) {
        return rc;
    }
    const uint64_t end = self->walk.proven > scan->offset ? self->walk.proven : scan->offset;
    segment->bytes = scan->place.pos;
    segment->file_bytes = scan->file_bytes;
    segment->end_offset = end;
    segment->max_timestamp_ms = self->max_ms;
    segment->epoch = scan->epoch;
    if (open_files_keep(self->store)) { /* else the caller closes it; it is opened when needed */
        segment->file = scan->file;
        scan->file = -1;
        open_files_idle(self->store, segment);
    }
    part->end_offset = end;
    part->max_timestamp_ms = self->max_ms;
    part->epoch = scan->epoch;
    part->mark = partition_written(part);
    const bool moved = !self->has_mark || self->mark.offset != part->mark.offset;
    if (moved && !part->refuses) {
        const struct fact fact = fact_mark(part->topic_id, part->number, &part->mark);
        const struct store_entry entry = fact_entry(&fact, STORE_IMAGE);
        journal_put_own(self->store, &entry, 1, NULL, NULL);
    }
    return 0;
}

/* The active segment's file is missing. */
static void missing_active(struct recovery *self)
{
    struct store_part *part = self->part;
    struct segment *segment = partition_active(part);
    zsp_diag(self->store->options.diag, ZSP_ERROR, "%s: segment file %" PRIu64 " is missing",
             part->path, segment->number);
    segment->bytes = self->mark.pos;
    segment->end_offset = self->walk.proven;
    part->end_offset = self->walk.proven;
    part->max_timestamp_ms = self->mark.max_timestamp_ms;
    part->epoch = self->mark.epoch;
    part->mark = partition_written(part);
    damage_segment(self, segment);
}

/* Is the file of the next segment, made ahead, still unused? */
static int check_ahead(struct recovery *self, uint64_t number, struct zsp_err *err)
{
    struct store_part *part = self->part;
    for (size_t i = 0; i < self->file_count; i++) {
        const struct file_found *file = &self->files[i];
        if (file->number <= number || (file->number == number + 1 && file->bytes == 0)) {
            continue;
        }
        /* Never written by us before the one below is sealed: something foreign. */
        zsp_diag(self->store->options.diag, ZSP_ERROR,
                 "%s: segment file %" PRIu64 " should be empty or absent; no messages are taken",
                 part->path, file->number);
        part->refuses = true;
    }
    (void)err;
    return 0;
}

/* Does the journal hold all of the active segment, up to the mark? */
static bool journal_holds_active(const struct recovery *self)
{
    size_t count;
    const struct redo_item *items =
        redo_log_find(&self->store->redo_log, self->part->topic_id, self->part->number, &count);
    return redo_covers(items, count, partition_active(self->part)->number, self->mark.pos);
}

/* What the journal holds of the active segment is written to it before it is walked. */
static int redo(struct recovery *self, struct zsp_err *err)
{
    struct log_store *store = self->store;
    struct scan *scan = &self->walk.scan;
    size_t count;
    const struct redo_item *items =
        redo_log_find(&store->redo_log, self->part->topic_id, self->part->number, &count);
    if (count > 0 && items[count - 1].segment > scan->place.segment) {
        return recovery_contradiction(self, "itself: it holds batches of a later segment", err);
    }
    uint64_t end;
    const int rc = redo_apply(store->fs, items, count, scan->place.segment, scan->file, &end, err);
    if (rc > 0) {
        self->changed = true;
        scan->file_bytes = end > scan->file_bytes ? end : scan->file_bytes;
    }
    return rc < 0 ? rc : 0;
}

static int open_known(struct recovery *self, const struct part_facts *facts, struct zsp_err *err)
{
    struct store_part *part = self->part;
    struct fs *fs = self->store->fs;
    enum fs_open_mode mode = FS_WRITE;
    int rc = fs->ops->list(fs->self, part->path, note_file, self, err);
    if (self->no_memory) {
        return zsp_err_set(err, ZSP_ENOMEM, "open a partition");
    }
    const bool has_directory = rc != ZSP_ENOT_FOUND;
    if (rc < 0 && rc != ZSP_ENOT_FOUND) { /* without directory all its files are missing */
        return rc;
    }
    part->has_gone = has_gone(self, facts);
    rc = add_segments(self, facts, err);
    if (rc >= 0) {
        rc = check_ahead(self, partition_active(part)->number, err);
    }
    for (size_t i = 0; i + 1 < part->segment_count && rc >= 0; i++) {
        if (part->segments[i]->end_offset > self->wish->replay_from) {
            rc = recovery_replay_sealed(self, part->segments[i], err);
        }
    }
    if (rc < 0) {
        return rc;
    }
    if (!find_file(self, partition_active(part)->number, 0)) {
        if (!has_directory || !journal_holds_active(self)) {
            missing_active(self);
            return 0;
        }
        zsp_diag(self->store->options.diag, ZSP_WARNING,
                 "%s: segment file %" PRIu64 " is missing; the journal holds it, it is made anew",
                 part->path, partition_active(part)->number);
        mode = FS_CREATE;
    }
    rc = recovery_scan_open(self, partition_active(part), mode, err);
    if (rc == 0) {
        rc = redo(self, err);
        if (rc == 0) {
            rc = recovery_walk_active(self, err);
        }
        if (rc == 0) {
            rc = settle_active(self, err);
        }
        if (self->walk.scan.file >= 0) {
            (void)fs->ops->close(fs->self, self->walk.scan.file, NULL); /* given up */
        }
    }
    return rc;
}

/* The journal knows nothing of it: its creation did not end. */
static int open_new(struct recovery *self, const char *topic_path, struct zsp_err *err)
{
    struct store_part *part = self->part;
    struct segment *segment = add_segment(self, 0, 0, err);
    if (!segment) {
        return ZSP_ENOMEM;
    }
    segment->index.complete = true;
    part->mark = partition_written(part);
    bool sync_failed;
    struct zsp_err local = {0};
    const int rc = topic_log_make_files(self->store->fs, topic_path, part->number, part->number + 1,
                                        &sync_failed, &local);
    if (rc == ZSP_EEXISTS) {
        zsp_diag(self->store->options.diag, ZSP_ERROR, "%s, but the journal does not know it",
                 local.msg);
        part->refuses = true;
        return 0;
    }
    if (rc < 0) {
        if (err) {
            *err = local;
        }
        return rc;
    }
    const struct fact fact = fact_part(part->topic_id, part->number, 0, 0);
    const struct store_entry entry = fact_entry(&fact, STORE_IMAGE);
    journal_put_own(self->store, &entry, 1, NULL, NULL);
    return 0;
}

/* Somebody asked for what the journal knows of this partition. */
static void mark_asked(const struct recovery *self)
{
    const struct fact key = fact_part(self->part->topic_id, self->part->number, 0, 0);
    struct carry_object *object = carry_find(&self->store->journal.carry, fact_key(&key));
    if (object) {
        object->asked = true;
    }
}

int recover_partition(struct log_store *store, const struct recover_wish *wish,
                      struct store_part **ret, struct zsp_err *err)
{
    char topic_path[LAYOUT_PATH_MAX];
    char path[LAYOUT_PATH_MAX];
    struct layout_topic *known = layout_find_topic(&store->topics, wish->topic->id);
    if (known) {
        known->asked = true;
        memcpy(topic_path, known->path, strlen(known->path) + 1);
    } else {
        layout_topic_path(topic_path, wish->topic->id, wish->topic->name);
    }
    layout_part_path(path, topic_path, wish->partition);
    struct store_part *part =
        partition_new(store, wish->topic->id, wish->partition, path, wish->owner);
    if (!part) {
        return zsp_err_set(err, ZSP_ENOMEM, "open a partition");
    }
    struct recovery self = {
        .store = store,
        .part = part,
        .wish = wish,
        .walk = {.scan = {.file = -1},
                 .search_bytes = store->options.unsynced_bytes_max + ZSP_FRAME_MAX}};
    struct part_facts facts = {0};
    int rc = part_facts_read(&store->journal.carry, part->topic_id, part->number, &facts, err);
    if (rc == 0) {
        rc = open_known(&self, &facts, err);
    } else if (rc == 1) {
        rc = open_new(&self, topic_path, err);
    }
    mark_asked(&self);
    part_facts_fini(&facts);
    scan_fini(&self.walk.scan);
    free(self.files);
    free(self.sides);
    if (rc != 0) {
        partition_destroy(&part);
        if (err) {
            (void)zsp_err_wrap(err, "%s", path);
        }
        return rc;
    }
    partition_opened(part);
    *ret = part;
    return 0;
}

/* As remove_gone(), of a partition that is open. */
static int remove_of(struct store_part *part, struct zsp_err *err)
{
    struct log_store *store = part->store;
    struct recovery self = {.store = store, .part = part};
    struct part_facts facts = {0};
    int rc = part_facts_read(&store->journal.carry, part->topic_id, part->number, &facts, err);
    if (rc == 0) {
        rc = store->fs->ops->list(store->fs->self, part->path, note_file, &self, err);
        if (self.no_memory) {
            rc = zsp_err_set(err, ZSP_ENOMEM, "look at %s", part->path);
        }
    }
    if (rc == 0) {
        rc = remove_gone(&self, &facts, err);
    }
    part_facts_fini(&facts);
    free(self.files);
    free(self.sides);
    return rc;
}

int recover_remove_gone(struct log_store *store, struct zsp_err *err)
{
    int rc = 0;
    for (struct store_part *part = store->parts_first; part && rc >= 0; part = part->next) {
        if (part->has_gone) {
            part->has_gone = false;
            rc = remove_of(part, err);
        }
    }
    return rc < 0 ? rc : 0;
}
