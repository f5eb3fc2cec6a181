/* SPDX-License-Identifier: MPL-2.0
 *
 * The check of one partition: its files against what the journal tells of them, batch
 * by batch, in one pass over each file.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/check/check_priv.h"
#include "broker/store/partition/part_facts.h"
#include "broker/store/segment/log_walk.h"

/* A segment file in the partition's directory. */
struct check_file {
    uint64_t number;
    uint64_t bytes;
    uint32_t generation;
};

struct part_check {
    struct check *check;
    char path[LAYOUT_PATH_MAX]; /* of the directory */
    uint64_t topic_id;
    uint32_t partition;
    struct part_facts facts;
    struct check_file *files;
    size_t file_count;
    bool no_memory;
    bool has_directory;
    struct check_sequences sequences;
};

/* The segment that is being walked. */
struct segment_check {
    struct part_check *part;
    const struct sealed_fact *fact; /* NULL = the active one */
    char path[LAYOUT_PATH_MAX];     /* of the .log */
    struct log_walk walk;
    struct seg_index index; /* of a sealed one, as its .idx tells it */
    size_t index_at;        /* the next entry to be met */
    bool index_bad;         /* it is told */
    int64_t max_ms;         /* highest timestamp so far */
    bool max_known;         /* false: there were higher ones in segments that are gone, maybe */
    bool damaged;
    bool codec_told;
};

/* --- Files ---------------------------------------------------------------------------- */

static int note_file(void *arg, const struct fs_entry *entry)
{
    struct part_check *self = arg;
    const size_t len = strlen(entry->name);
    uint64_t number;
    uint32_t generation;
    if (!layout_parse_segment(entry->name, ".log", &number, &generation)) {
        if (!layout_parse_segment(entry->name, ".idx", &number, &generation) &&
            !layout_parse_segment(entry->name, ".ids", &number, &generation) &&
            !layout_parse_segment(entry->name, ".pri", &number, &generation)) {
            const bool temporary = len > 4 && strcmp(entry->name + len - 4, ".tmp") == 0;
            check_tell_path(self->check, CHECK_NOTE, self->path, "%s: %s", entry->name,
                            temporary ? "left by a crash, means nothing" : "unknown file");
        }
        return 0;
    }
    struct check_file *files = realloc(self->files, (self->file_count + 1) * sizeof *files);
    if (!files) {
        self->no_memory = true;
        return 1;
    }
    self->files = files;
    files[self->file_count++] = (struct check_file){number, entry->bytes, generation};
    return 0;
}

/* Files that are none of the segments the journal tells of. */
static void check_other_files(struct part_check *self)
{
    const struct part_facts *facts = &self->facts;
    for (size_t i = 0; i < self->file_count; i++) {
        const struct check_file *file = &self->files[i];
        char path[LAYOUT_PATH_MAX];
        layout_generation_path(path, self->path, file->number, file->generation, ".log");
        if (file->number >= facts->first_segment &&
            part_facts_is_over(facts, file->number, file->generation)) {
            check_tell_path(self->check, CHECK_NOTE, path,
                            "left by a compaction, means nothing; the next start removes it");
        } else if (file->number < facts->first_segment) {
            check_tell_path(self->check, CHECK_NOTE, path,
                            "retention was done with it; the next start removes it");
        } else if (file->number > facts->active &&
                   (file->number != facts->active + 1 || file->bytes > 0)) {
            check_tell_path(self->check, CHECK_DAMAGE, path,
                            "%" PRIu64 " bytes behind the active segment %" PRIu64
                            ", where there should be nothing: the partition takes no messages",
                            file->bytes, facts->active);
        }
    }
}

/* --- One batch -------------------------------------------------------------------------- */

static void tell_at(struct segment_check *self, uint64_t pos, const char *text)
{
    const struct check_finding finding = {
        .severity = CHECK_DAMAGE,
        .path = self->path,
        .pos = pos,
        .end_pos = self->walk.scan.place.pos,
    };
    check_tell(self->part->check, &finding, "%s", text);
}

/* The content of a body whose sum holds. */
static int check_content(struct segment_check *self, uint64_t pos, const struct store_batch *batch,
                         struct zsp_err *err)
{
    const struct check_options *options = self->part->check->options;
    if (!options->body_fn || batch->codec == BATCH_CODEC_LOST) {
        return 0;
    }
    struct store_batch whole = *batch;
    int rc =
        scan_bytes(&self->walk.scan, pos + BATCH_HEADER_BYTES, batch->body.len, &whole.body, err);
    if (rc < 0) {
        return rc;
    }
    struct zsp_err why = {0};
    rc = options->body_fn(options->arg, &whole, &why);
    if (rc < 0) {
        tell_at(self, pos, why.msg);
    } else if (rc > 0 && !self->codec_told) {
        self->codec_told = true;
        check_tell_path(self->part->check, CHECK_NOTE, self->path,
                        "holds batches of codec %u; what is in them was not looked into",
                        batch->codec);
    }
    return 0;
}

/* What must hold between a batch and its place in the partition. */
static int check_order(struct segment_check *self, uint64_t pos, const struct batch_header *header)
{
    const struct store_batch *batch = &header->batch;
    const struct part_facts *facts = &self->part->facts;
    const uint64_t start_count = self->part->check->summary.start_count;
    char text[256];
    if (header->synced_to > batch->first_offset) {
        (void)snprintf(text, sizeof text,
                       "offset %" PRIu64 " was written when all below %" PRIu64 " was synced",
                       batch->first_offset, header->synced_to);
        tell_at(self, pos, text);
    }
    if (header->epoch >> 32 > start_count) {
        (void)snprintf(text, sizeof text,
                       "written by start %" PRIu64 ", but the journal knows of %" PRIu64
                       " only: the journal's end was lost",
                       header->epoch >> 32, start_count);
        tell_at(self, pos, text);
        self->part->check->summary.journal_damaged = true; /* nothing may be given up by it */
    }
    const bool at_mark = batch->first_offset == facts->mark.offset;
    if (facts->has_mark && self->walk.scan.place.segment == facts->active &&
        at_mark != (pos == facts->mark.pos)) {
        (void)snprintf(text, sizeof text,
                       "offset %" PRIu64 " is here, but the journal's mark has offset %" PRIu64
                       " at pos %" PRIu64,
                       batch->first_offset, facts->mark.offset, facts->mark.pos);
        tell_at(self, pos, text);
    }
    if (!self->part->check->options->sequences) {
        return 0;
    }
    uint64_t want;
    const int rc = check_sequences_note(&self->part->sequences, batch, &want);
    if (rc == 1) {
        (void)snprintf(text, sizeof text,
                       "producer %" PRIu64 " epoch %" PRIu32 ": sequence %" PRIu64 " where %" PRIu64
                       " was due",
                       batch->producer_id, batch->producer_epoch, batch->sequence, want);
        tell_at(self, pos, text);
    }
    return rc < 0 ? rc : 0;
}

static struct check_remedy index_remedy(const struct part_check *part,
                                        const struct sealed_fact *fact)
{
    return (struct check_remedy){.kind = CHECK_REBUILD_INDEX,
                                 .topic_id = part->topic_id,
                                 .partition = part->partition,
                                 .segment = fact->number,
                                 .generation = fact->generation,
                                 .offsets = {fact->base_offset, fact->end_offset},
                                 .end_pos = fact->bytes,
                                 .max_before_ms = fact->max_before_ms,
                                 .max_timestamp_ms = fact->max_timestamp_ms};
}

static void tell_bad_index(struct segment_check *self, const char *why)
{
    if (self->index_bad) {
        return;
    }
    self->index_bad = true;
    char path[LAYOUT_PATH_MAX];
    const struct batch_place *place = &self->walk.scan.place;
    layout_generation_path(path, self->part->path, place->segment, place->generation, ".idx");
    const struct check_finding finding = {
        .severity = CHECK_DAMAGE,
        .path = path,
        .pos = CHECK_NO_POS,
        .end_pos = CHECK_NO_POS,
        .remedy = index_remedy(self->part, self->fact),
    };
    check_tell(self->part->check, &finding, "%s", why);
}

/* Can this be the highest timestamp up to here? */
static bool is_max(const struct segment_check *self, int64_t max_ms)
{
    return self->max_known && !self->damaged ? max_ms == self->max_ms : max_ms >= self->max_ms;
}

/* Does the index entry that should lead here, if any, do so? */
static void check_index_entry(struct segment_check *self, uint64_t pos, uint64_t first_offset)
{
    if (self->index_at >= self->index.count) {
        return;
    }
    const struct index_entry *entry = &self->index.entries[self->index_at];
    if (entry->pos > pos) {
        return;
    }
    self->index_at++;
    if (entry->pos != pos || entry->offset != first_offset || !is_max(self, entry->max_before_ms)) {
        char text[256];
        (void)snprintf(text, sizeof text,
                       "entry %zu leads to offset %" PRIu64 " at pos %" PRIu64
                       " behind timestamp %" PRId64 "; there is offset %" PRIu64 " at pos %" PRIu64
                       " behind %" PRId64,
                       self->index_at - 1, entry->offset, entry->pos, entry->max_before_ms,
                       first_offset, pos, self->max_ms);
        tell_bad_index(self, text);
    }
}

/* A repair stood here before: the timestamps and sequences of these messages are not known. */
static void take_given_up(struct segment_check *self, uint64_t pos, const struct store_batch *batch)
{
    self->max_known = false;
    check_sequences_forget(&self->part->sequences);
    self->part->check->summary.given_up += batch->record_count;
    const struct check_finding finding = {
        .severity = CHECK_NOTE,
        .path = self->path,
        .pos = pos,
        .end_pos = self->walk.scan.place.pos,
    };
    check_tell(self->part->check, &finding,
               "%" PRIu32 " messages from offset %" PRIu64 " were given up by a repair",
               batch->record_count, batch->first_offset);
}

static int take_batch(struct segment_check *self, uint64_t pos, const struct batch_header *header,
                      struct zsp_err *err)
{
    const struct store_batch *batch = &header->batch;
    struct check_summary *summary = &self->part->check->summary;
    if (batch->codec == BATCH_CODEC_LOST) {
        take_given_up(self, pos, batch);
    } else {
        summary->batches++;
        summary->messages += batch->record_count;
    }
    summary->log_bytes += batch_bytes(batch->body.len);
    check_index_entry(self, pos, batch->first_offset);
    if (batch->timestamp_ms > self->max_ms) {
        self->max_ms = batch->timestamp_ms;
    }
    int rc = check_content(self, pos, batch, err);
    if (rc == 0) {
        rc = check_order(self, pos, header);
        if (rc < 0) {
            return zsp_err_set(err, rc, "sequences of a partition");
        }
    }
    return rc < 0 ? rc : check_progress(self->part->check, batch_bytes(batch->body.len), err);
}

/* What stands in the place of the hole must end where something good begins, or where the
 * log is known to end. */
static struct check_remedy fill_remedy(const struct segment_check *self, const struct walk_gap *gap,
                                       uint64_t epoch_before)
{
    const struct part_facts *facts = &self->part->facts;
    struct check_remedy remedy = {.kind = CHECK_FILL,
                                  .topic_id = self->part->topic_id,
                                  .partition = self->part->partition,
                                  .segment = self->walk.scan.place.segment,
                                  .generation = self->walk.scan.place.generation,
                                  .offsets = {gap->first_offset, gap->end_offset},
                                  .pos = gap->pos,
                                  .end_pos = gap->end_pos,
                                  .epoch = epoch_before,
                                  .max_before_ms = self->max_ms};
    if (gap->resumed) {
        return remedy;
    }
    if (self->fact) {
        remedy.end_pos = self->fact->bytes;
        remedy.epoch = self->fact->epoch;
    } else if (facts->has_mark && gap->end_offset == facts->mark.offset) {
        remedy.end_pos = facts->mark.pos;
        remedy.epoch = facts->mark.epoch;
    } else {
        remedy.kind = CHECK_NO_REMEDY;
    }
    return remedy;
}

static void take_damage(struct segment_check *self, const struct walk_gap *gap,
                        uint64_t epoch_before)
{
    self->damaged = true;
    check_sequences_forget(&self->part->sequences);
    while (self->index_at < self->index.count &&
           self->index.entries[self->index_at].pos < gap->end_pos) {
        self->index_at++; /* whether they were right cannot be told */
    }
    const struct check_finding finding = {
        .severity = CHECK_DAMAGE,
        .path = self->path,
        .pos = gap->pos,
        .end_pos = gap->end_pos,
        .offsets = {gap->first_offset, gap->end_offset},
        .remedy = fill_remedy(self, gap, epoch_before),
    };
    check_tell(self->part->check, &finding, "%s",
               gap->what.msg[0] ? scan_without_pos(gap->what.msg) : "zeros where a batch was");
}

static void take_torn(struct segment_check *self, const struct walk_gap *gap)
{
    const uint64_t bytes = gap->end_pos - gap->pos;
    self->part->check->summary.torn_bytes += bytes;
    const struct check_finding finding = {
        .severity = CHECK_NOTE,
        .path = self->path,
        .pos = gap->pos,
        .end_pos = gap->end_pos,
    };
    check_tell(self->part->check, &finding,
               "torn tail of %" PRIu64 " bytes, never confirmed; the next start moves it to cut/",
               bytes);
}

/* --- One segment ------------------------------------------------------------------------ */

/* Walk to the end. Every batch is looked at whole. */
static int walk_segment(struct segment_check *self, struct zsp_err *err)
{
    for (;;) {
        const uint64_t pos = self->walk.scan.place.pos;
        const uint64_t epoch = self->walk.scan.epoch;
        struct batch_header header;
        struct walk_gap gap;
        int rc = log_walk_next(&self->walk, true, &header, &gap, err);
        switch (rc) {
        case WALK_BATCH:
            rc = take_batch(self, pos, &header, err);
            break;
        case WALK_DAMAGE:
            take_damage(self, &gap, epoch);
            if (!gap.resumed) {
                return 0;
            }
            rc = 0;
            break;
        case WALK_TORN:
            take_torn(self, &gap);
            return 0;
        case WALK_END:
            return 0;
        default:
            return rc;
        }
        if (rc < 0) {
            return rc;
        }
    }
}

/* Stand at the beginning of its file; `file` < 0: it is missing. */
static void begin_walk(struct segment_check *self, struct segment_file name, int file,
                       uint64_t bytes)
{
    const struct part_check *part = self->part;
    const uint64_t window = part->check->options->unsynced_bytes_max;
    self->walk = (struct log_walk){
        .scan = {.fs = part->check->fs,
                 .file = file,
                 .file_bytes = bytes,
                 .place = {part->check->uuid, part->topic_id, part->partition, name.number, 0,
                           name.generation}},
        .search_bytes = (window ? window : ZSP_UNSYNCED_BYTES_MAX) + ZSP_FRAME_MAX,
    };
}

static int open_segment(struct segment_check *self, struct segment_file name, struct zsp_err *err)
{
    const struct part_check *part = self->part;
    struct fs *fs = part->check->fs;
    const int file = fs->ops->open(fs->self, self->path, FS_READ, err);
    if (file < 0) {
        return file;
    }
    uint64_t bytes = 0;
    const int rc = fs->ops->size(fs->self, file, &bytes, err);
    if (rc < 0) {
        (void)fs->ops->close(fs->self, file, NULL); /* nothing was written */
        return rc;
    }
    begin_walk(self, name, file, bytes);
    return 0;
}

static void close_segment(struct segment_check *self)
{
    struct fs *fs = self->part->check->fs;
    if (self->walk.scan.file >= 0) {
        (void)fs->ops->close(fs->self, self->walk.scan.file, NULL); /* only read */
    }
    scan_fini(&self->walk.scan);
    index_fini(&self->index);
}

/* The file of a segment is missing; `remedy` tells which and what it held. */
static void tell_missing(struct part_check *self, const char *path,
                         const struct check_remedy *remedy)
{
    check_sequences_forget(&self->sequences);
    struct check_finding finding = {
        .severity = CHECK_DAMAGE,
        .path = path,
        .pos = CHECK_NO_POS,
        .end_pos = CHECK_NO_POS,
        .offsets = remedy->offsets,
        .remedy = *remedy,
    };
    finding.remedy.kind = CHECK_FILL;
    finding.remedy.topic_id = self->topic_id;
    finding.remedy.partition = self->partition;
    check_tell(self->check, &finding, "the segment file is missing");
}

/* The .idx of a sealed segment, into self->index. A missing one is no damage. */
static int load_index(struct segment_check *self, const struct sealed_fact *fact,
                      struct zsp_err *err)
{
    struct check *check = self->part->check;
    char path[LAYOUT_PATH_MAX];
    layout_generation_path(path, self->part->path, fact->number, fact->generation, ".idx");
    const uint64_t max =
        INDEX_HEADER_BYTES + (fact->bytes / INDEX_STEP + 2) * (uint64_t)INDEX_ENTRY_BYTES;
    const struct index_facts want = {fact->base_offset, fact->end_offset, fact->bytes,
                                     fact->max_timestamp_ms};
    struct zsp_writer bytes = {0};
    struct zsp_err why = {0};
    int rc = layout_read_file(check->fs, path, max, &bytes, &why);
    if (rc == 0) {
        check->summary.indexes++;
        check->summary.read_bytes += bytes.len;
        rc = index_decode(zsp_writer_slice(&bytes), &want, &self->walk.scan.place, &self->index,
                          &why);
    }
    zsp_writer_fini(&bytes);
    if (rc == ZSP_ENOT_FOUND) {
        const struct check_finding finding = {.severity = CHECK_NOTE,
                                              .path = path,
                                              .pos = CHECK_NO_POS,
                                              .end_pos = CHECK_NO_POS,
                                              .remedy = index_remedy(self->part, fact)};
        check_tell(check, &finding, "missing; it is rebuilt when it is needed");
    } else if (rc == ZSP_ENOMEM) {
        return zsp_err_set(err, rc, "%s", path);
    } else if (rc < 0) {
        tell_bad_index(self, why.msg);
    }
    return 0;
}

/* Where the walk ended: is that what the fact says? */
static void compare_end(struct segment_check *self, const struct sealed_fact *fact)
{
    const struct scan *scan = &self->walk.scan;
    char text[256];
    if (self->damaged) {
        return;
    }
    if (scan->place.pos != fact->bytes || scan->offset != fact->end_offset) {
        (void)snprintf(text, sizeof text,
                       "ends with offset %" PRIu64 " at pos %" PRIu64
                       ", the journal says offset %" PRIu64 " at pos %" PRIu64,
                       scan->offset, scan->place.pos, fact->end_offset, fact->bytes);
        tell_at(self, scan->place.pos, text);
    } else if (!is_max(self, fact->max_timestamp_ms) || scan->epoch != fact->epoch) {
        (void)snprintf(text, sizeof text,
                       "highest timestamp %" PRId64 ", epoch 0x%" PRIx64
                       "; the journal says %" PRId64 " and 0x%" PRIx64,
                       self->max_ms, scan->epoch, fact->max_timestamp_ms, fact->epoch);
        tell_at(self, scan->place.pos, text);
    } else if (self->index_at < self->index.count) {
        tell_bad_index(self, "it has entries behind the last batch");
    }
}

/* Nobody reads what lies behind the end of a sealed segment. Zeros were written ahead; anything else
 * is worth a look. */
static int note_rest(struct segment_check *self, uint64_t file_bytes, struct zsp_err *err)
{
    struct scan *scan = &self->walk.scan;
    struct check_finding finding = {
        .severity = CHECK_NOTE,
        .path = self->path,
        .pos = self->fact->bytes,
    };
    scan->file_bytes = file_bytes;
    const int rc = scan_nonzero_end(scan, finding.pos, &finding.end_pos, err);
    if (rc == 0 && finding.end_pos > finding.pos) {
        check_tell(self->part->check, &finding,
                   "%" PRIu64 " bytes behind the end of the sealed segment, which mean nothing",
                   finding.end_pos - finding.pos);
    }
    return rc;
}

static int check_sealed(struct part_check *part, const struct sealed_fact *fact,
                        struct zsp_err *err)
{
    struct segment_check self = {.part = part,
                                 .fact = fact,
                                 .max_ms = fact->max_before_ms,
                                 .max_known =
                                     fact->generation == 0 &&
                                     (fact->number == 0 || fact->max_before_ms > INT64_MIN)};
    layout_generation_path(self.path, part->path, fact->number, fact->generation, ".log");
    struct zsp_err why = {0};
    int rc = open_segment(&self, (struct segment_file){fact->number, fact->generation}, &why);
    if (rc == ZSP_ENOT_FOUND) {
        const struct check_remedy remedy = {.segment = fact->number,
                                            .generation = fact->generation,
                                            .offsets = {fact->base_offset, fact->end_offset},
                                            .end_pos = fact->bytes,
                                            .epoch = fact->epoch,
                                            .max_before_ms = fact->max_timestamp_ms};
        tell_missing(part, self.path, &remedy);
        return 0;
    }
    if (rc < 0) {
        return check_unreadable(part->check, self.path, &why, err);
    }
    struct scan *scan = &self.walk.scan;
    scan->offset = fact->base_offset;
    scan->epoch = fact->epoch_before;
    const uint64_t file_bytes = scan->file_bytes;
    if (file_bytes > fact->bytes) {
        scan->file_bytes = fact->bytes; /* more behind is legal and ignored */
    }
    self.walk.proven = fact->end_offset;
    part->check->summary.segments++;
    rc = load_index(&self, fact, err);
    rc = rc == 0 ? check_ids(part->check, part->path, &scan->place, fact, err) : rc;
    rc = rc == 0 ? check_terms(part->check, part->path, &scan->place, fact, err) : rc;
    if (rc == 0) {
        rc = walk_segment(&self, &why);
        if (rc == 0) {
            compare_end(&self, fact);
            rc = note_rest(&self, file_bytes, &why);
        }
        if (rc == ZSP_EINTERRUPTED) {
            (void)zsp_err_set(err, rc, "stopped");
        } else if (rc < 0) {
            rc = check_unreadable(part->check, self.path, &why, err);
        }
    }
    close_segment(&self);
    return rc;
}

static int check_active(struct part_check *part, struct zsp_err *err)
{
    const struct part_facts *facts = &part->facts;
    struct segment_check self = {.part = part, .max_ms = facts->max_before_ms};
    layout_segment_path(self.path, part->path, facts->active, ".log");
    struct zsp_err why = {0};
    size_t redo_count;
    const struct redo_item *redo =
        redo_log_find(&part->check->redo, part->topic_id, part->partition, &redo_count);
    int rc = open_segment(&self, (struct segment_file){facts->active, 0}, &why);
    if (rc == ZSP_ENOT_FOUND && part->has_directory &&
        redo_covers(redo, redo_count, facts->active, facts->mark.pos)) {
        check_tell_path(part->check, CHECK_NOTE, self.path,
                        "missing, but the journal holds all of it; the next start makes it anew");
        begin_walk(&self, (struct segment_file){facts->active, 0}, -1, 0);
        rc = 0;
    }
    if (rc == ZSP_ENOT_FOUND) {
        const struct check_remedy remedy = {.segment = facts->active,
                                            .offsets = {facts->base_offset, facts->mark.offset},
                                            .end_pos = facts->mark.pos,
                                            .epoch = facts->mark.epoch,
                                            .max_before_ms = facts->mark.max_timestamp_ms};
        tell_missing(part, self.path, &remedy);
        return 0;
    }
    if (rc < 0) {
        return check_unreadable(part->check, self.path, &why, err);
    }
    scan_lay_over(&self.walk.scan, redo, redo_count);
    self.walk.scan.offset = facts->base_offset;
    self.walk.scan.epoch = facts->epoch_before;
    self.walk.proven = facts->mark.offset;
    part->check->summary.segments++;
    rc = walk_segment(&self, &why);
    if (rc == ZSP_EINTERRUPTED) {
        (void)zsp_err_set(err, rc, "stopped");
    } else if (rc < 0) {
        rc = check_unreadable(part->check, self.path, &why, err);
    }
    close_segment(&self);
    return rc;
}

/* --- The whole ---------------------------------------------------------------------------- */

static int check_files(struct part_check *self, struct zsp_err *err)
{
    struct fs *fs = self->check->fs;
    struct zsp_err why = {0};
    int rc = fs->ops->list(fs->self, self->path, note_file, self, &why);
    if (self->no_memory) {
        return zsp_err_set(err, ZSP_ENOMEM, "%s", self->path);
    }
    if (rc == ZSP_ENOT_FOUND) {
        check_tell_path(self->check, CHECK_DAMAGE, self->path, "the directory is missing");
    } else if (rc < 0) {
        return check_unreadable(self->check, self->path, &why, err);
    }
    self->has_directory = rc >= 0;
    check_other_files(self);
    rc = 0;
    for (size_t i = 0; i < self->facts.sealed_count && rc == 0; i++) {
        rc = check_sealed(self, &self->facts.sealed[i], err);
    }
    return rc == 0 ? check_active(self, err) : rc;
}

int check_partition(struct check *self, const char *topic_path, uint64_t topic_id,
                    uint32_t partition, struct zsp_err *err)
{
    struct part_check part = {.check = self, .topic_id = topic_id, .partition = partition};
    char no_directory[LAYOUT_PATH_MAX];
    if (!topic_path) {
        layout_topic_path(no_directory, topic_id, zsp_slice_str("?"));
        topic_path = no_directory;
    }
    layout_part_path(part.path, topic_path, partition);
    zsp_table_init(&part.sequences.table, 0);
    self->summary.partitions++;
    struct zsp_err why = {0};
    int rc = part_facts_read(&self->carry, topic_id, partition, &part.facts, &why);
    if (rc == 0) {
        rc = check_files(&part, err);
    } else if (rc == ZSP_ENOMEM) {
        rc = zsp_err_set(err, rc, "%s", part.path);
    } else if (rc < 0) {
        check_tell_path(self, CHECK_DAMAGE, part.path, "%s", why.msg);
        rc = 0;
    }
    check_sequences_forget(&part.sequences);
    zsp_table_fini(&part.sequences.table);
    part_facts_fini(&part.facts);
    free(part.files);
    return rc < 0 ? rc : 0;
}
