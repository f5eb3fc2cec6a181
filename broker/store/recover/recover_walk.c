/* SPDX-License-Identifier: MPL-2.0
 *
 * The walk over a partition's batches at start-up: which are kept, which are a
 * torn tail, which are damaged. The rules are in recover.h.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "broker/store/log_store_priv.h"
#include "broker/store/recover/recover_priv.h"
#include "broker/store/recover/torn.h"

static int tell(struct recovery *self, const struct batch_header *header, struct zsp_err *err)
{
    const uint64_t end = header->batch.first_offset + header->batch.record_count;
    const struct store_hooks *hooks = &self->store->hooks;
    if (self->wish->replay_from == UINT64_MAX || end <= self->wish->replay_from ||
        !hooks->batch_fn || header->batch.codec == BATCH_CODEC_LOST ||
        header->batch.codec == BATCH_CODEC_SPARSE) {
        return 0;
    }
    return hooks->batch_fn(hooks->arg, self->wish->owner, &header->batch, err);
}

int recovery_scan_open(struct recovery *self, const struct segment *segment, enum fs_open_mode mode,
                       struct zsp_err *err)
{
    struct fs *fs = self->store->fs;
    char path[LAYOUT_PATH_MAX];
    segment_path(segment, ".log", path);
    const int file = fs->ops->open(fs->self, path, mode, err);
    if (file < 0) {
        return file;
    }
    uint64_t bytes;
    const int rc = fs->ops->size(fs->self, file, &bytes, err);
    if (rc < 0) {
        (void)fs->ops->close(fs->self, file, NULL); /* nothing was written */
        return rc;
    }
    scan_fini(&self->walk.scan);
    self->walk.scan = (struct scan){.fs = fs,
                                    .file = file,
                                    .file_bytes = bytes,
                                    .place = segment_place(segment, 0),
                                    .offset = segment->base_offset};
    return 0;
}

/* Stand where replay may begin: at the hint if a header there agrees, else stay. */
static int scan_hint(struct recovery *self, uint64_t replay_from, struct zsp_err *err)
{
    const uint64_t hint = self->wish->hint;
    struct scan *scan = &self->walk.scan;
    if (hint <= 1 || hint - 1 >= scan->file_bytes || (hint - 1) % BATCH_ALIGN != 0) {
        return 0;
    }
    struct batch_header header;
    uint64_t pos;
    const int rc = scan_find(scan, hint - 1, hint - 1 + BATCH_HEADER_BYTES, &header, &pos, err);
    if (rc == SCAN_BATCH && pos == hint - 1 && header.batch.first_offset <= replay_from) {
        scan->place.pos = pos;
        scan->offset = header.batch.first_offset;
        scan->epoch = 0;
    }
    return rc < 0 ? rc : 0;
}

int recovery_replay_sealed(struct recovery *self, const struct segment *segment,
                           struct zsp_err *err)
{
    const struct damage *known = partition_damage(self->part, segment->base_offset);
    if (known && known->range.first_offset < segment->end_offset) {
        return 0; /* the file is missing or short */
    }
    int rc = recovery_scan_open(self, segment, FS_READ, err);
    if (rc < 0) {
        return rc;
    }
    struct scan *scan = &self->walk.scan;
    scan->file_bytes = segment->bytes;
    if (self->wish->replay_from >= segment->base_offset) {
        rc = scan_hint(self, self->wish->replay_from, err);
    }
    while (rc == 0 && scan->place.pos < segment->bytes) {
        const uint64_t pos = scan->place.pos;
        const uint64_t offset = scan->offset;
        struct batch_header header;
        rc = scan_next(scan, false, &header, err);
        if (rc == SCAN_BATCH) {
            rc = tell(self, &header, err);
            continue;
        }
        if (rc < 0) {
            break;
        }
        uint64_t found = segment->bytes;
        struct damage damage = {.range = {offset, segment->end_offset},
                                .resume_segment = segment->number + 1};
        rc = scan_find(scan, pos + BATCH_ALIGN, segment->bytes, &header, &found, err);
        if (rc == SCAN_BATCH && header.batch.first_offset > offset) {
            damage.range.end_offset = header.batch.first_offset;
            damage.resume_segment = segment->number;
            damage.resume_pos = found;
        }
        scan->place.pos = rc == SCAN_BATCH ? found : segment->bytes;
        scan->offset = damage.range.end_offset;
        partition_add_damage(self->part, &damage);
        rc = rc == SCAN_END ? 0 : rc;
    }
    (void)self->store->fs->ops->close(self->store->fs->self, scan->file, NULL); /* only read */
    return rc;
}

/* A batch of the active segment is good. */
static int take_batch(struct recovery *self, uint64_t pos, const struct batch_header *header,
                      struct zsp_err *err)
{
    struct store_part *part = self->part;
    struct segment *segment = partition_active(part);
    if (header->epoch >= self->store->epoch) {
        return recovery_contradiction(
            self, "the messages: it is older than they are, its end was lost", err);
    }
    if (pos >= self->mark.pos) {
        self->index_from_here = true;
    }
    if (self->index_from_here) {
        index_note(&segment->index,
                   &(struct index_entry){header->batch.first_offset, pos, self->max_ms});
    }
    if (header->batch.timestamp_ms > self->max_ms) {
        self->max_ms = header->batch.timestamp_ms;
    }
    return tell(self, header, err);
}

static void note_damage(struct recovery *self, const struct walk_gap *gap)
{
    const struct segment *segment = partition_active(self->part);
    const struct damage damage = {.range = {gap->first_offset, gap->end_offset},
                                  .resume_segment = segment->number,
                                  .resume_pos = gap->resumed ? gap->end_pos : 0};
    partition_add_damage(self->part, &damage);
}

static int cut_tail(struct recovery *self, const struct walk_gap *gap, struct zsp_err *err)
{
    struct log_store *store = self->store;
    const struct store_part *part = self->part;
    const struct scan *scan = &self->walk.scan;
    char name[128];
    char why[400];
    (void)snprintf(name, sizeof name,
                   "topic-%" PRIu64 "-%" PRIu32 "-segment-%" PRIu64 "-%" PRIu64 "-start-%" PRIu64,
                   part->topic_id, part->number, scan->place.segment, gap->pos, store->epoch >> 32);
    (void)snprintf(why, sizeof why,
                   "topic %" PRIu64 " partition %" PRIu32 " segment %" PRIu64 ": %.250s",
                   part->topic_id, part->number, scan->place.segment,
                   gap->what.msg[0] ? gap->what.msg : "bytes behind the end");
    int rc = torn_set_aside(store, name, scan->file, gap->pos, gap->end_pos, why, err);
    if (rc == 0) {
        rc = torn_zero(store->fs, scan->file, gap->pos, gap->end_pos, err);
        self->changed = true;
    }
    return rc;
}

/* Stand where the walk of the active segment begins. */
static int begin_active(struct recovery *self, struct zsp_err *err)
{
    const struct segment *segment = partition_active(self->part);
    struct scan *scan = &self->walk.scan;
    const uint64_t replay_from = self->wish->replay_from;
    self->max_ms = segment->max_before_ms;
    self->index_from_here = true;
    scan->epoch = segment->epoch;
    if (self->mark.pos > scan->file_bytes || self->mark.pos == 0) {
        return 0; /* the file is shorter than it was: find out from its beginning what is left */
    }
    if (replay_from < self->mark.offset) {
        const int rc = scan_hint(self, replay_from, err);
        self->index_from_here = scan->place.pos == 0;
        return rc;
    }
    scan->place.pos = self->mark.pos;
    scan->offset = self->mark.offset;
    scan->epoch = self->mark.epoch;
    self->max_ms = self->mark.max_timestamp_ms;
    return 0;
}

int recovery_walk_active(struct recovery *self, struct zsp_err *err)
{
    struct scan *scan = &self->walk.scan;
    int rc = begin_active(self, err);
    partition_active(self->part)->index.complete = rc == 0 && scan->place.pos == 0;
    bool more = rc == 0;
    while (more && rc >= 0) {
        const uint64_t pos = scan->place.pos;
        if (pos == self->mark.pos && self->has_mark) { /* from here on it is known */
            scan->epoch = self->mark.epoch;
            self->max_ms = self->mark.max_timestamp_ms;
        }
        struct batch_header header;
        struct walk_gap gap;
        rc = log_walk_next(&self->walk, pos >= self->mark.pos, &header, &gap, err);
        if (rc == WALK_BATCH) {
            rc = take_batch(self, pos, &header, err);
            if (rc > 0) {
                rc = ZSP_EINTERNAL; /* a hook may only return 0 or an error */
            }
        } else if (rc == WALK_DAMAGE) {
            note_damage(self, &gap);
            more = gap.resumed;
        } else if (rc >= 0) {
            more = false;
            rc = rc == WALK_TORN ? cut_tail(self, &gap, err) : 0;
        }
    }
    return rc < 0 ? rc : 0;
}
