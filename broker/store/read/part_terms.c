/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/read/part_terms.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/log_store_priv.h"
#include "broker/store/partition/partition.h"
#include "broker/store/segment/scan.h"

/* A question under way. */
struct terms_read {
    struct io io;            /* the task */
    struct terms_read *next; /* of those that wait */
    struct store_part *part;
    uint64_t tag;
    uint64_t from, to;
    int64_t grain_ms;        /* of times to live; 0 = it is for priorities and delays */
    struct id_source source; /* the segment that is looked into */
    uint64_t walk_pos;       /* where to begin in it; where a walk ended */
    uint64_t walk_offset;    /* the batch there */
    struct terms_list found;
    uint64_t end; /* all up to here was found */
};

/* --- Appends and sealing --------------------------------------------------------------------- */

void segment_terms_drop(struct segment *segment)
{
    if (segment->terms) {
        terms_list_fini(segment->terms);
        free(segment->terms);
        segment->terms = NULL;
    }
}

void part_terms_take(struct store_part *part, struct segment *segment,
                     const struct store_batch *batch)
{
    part->has_terms = true;
    if (segment->bytes == 0 || segment->knows_terms) {
        if (!segment->terms) {
            segment->terms = calloc(1, sizeof *segment->terms);
        }
        if (!segment->terms || terms_add(segment->terms, batch) < 0) {
            store_fail_memory(part->store, "priorities of messages");
        }
    }
}

void terms_seal_init(struct terms_seal *self, const struct segment *segment)
{
    static const struct terms_list none = {0};
    id_source_init(&self->source, segment);
    self->list = NULL;
    if (segment->part->has_terms && segment->knows_terms) {
        self->list = segment->terms ? segment->terms : &none;
    }
}

static int write_file(struct id_source *source, struct fs *fs, const struct terms_list *list)
{
    char path[LAYOUT_PATH_MAX];
    char log_path[LAYOUT_PATH_MAX];
    id_source_path(source, ".pri", path);
    id_source_path(source, ".log", log_path);
    const struct batch_place place = id_source_place(source);
    struct zsp_writer bytes = {0};
    terms_file_encode(&bytes, list, &source->facts, &place);
    const int rc = bytes.failed
                       ? ZSP_ENOMEM
                       : layout_write_derived(fs, source->directory, path, log_path,
                                              zsp_writer_slice(&bytes), &source->sync_failed, NULL);
    zsp_writer_fini(&bytes);
    return rc;
}

void terms_seal_run(struct terms_seal *self, struct fs *fs)
{
    const bool written = self->list && write_file(&self->source, fs, self->list) == 0;
    if (!written && !self->source.sync_failed) {
        /* A seal that a crash ended may have left one, of less than the segment is now. */
        char path[LAYOUT_PATH_MAX];
        id_source_path(&self->source, ".pri", path);
        if (fs->ops->unlink(fs->self, path, NULL) == 0) {
            self->source.sync_failed =
                fs->ops->sync_dir(fs->self, self->source.directory, NULL) < 0;
        } /* else: what stays is found to be bad */
    }
}

void terms_seal_done(struct segment *segment)
{
    segment_terms_drop(segment);
    segment->knows_terms = false;
}

/* --- From the headers -------------------------------------------------------------------------- */

/* Walk on over damage: nothing there can be handed out. SCAN_BATCH = it stands at a header again. */
static int step_over(struct scan *scan, uint64_t bytes, struct zsp_err *err)
{
    struct batch_header header;
    uint64_t found = 0;
    const int rc = scan_find(scan, scan->place.pos + BATCH_ALIGN, bytes, &header, &found, err);
    if (rc == SCAN_BATCH) {
        scan->place.pos = found;
        scan->offset = header.batch.first_offset;
        scan->epoch = 0;
    }
    return rc;
}

/* A batch as it is to be noted; false = there is nothing to note. */
static bool is_wanted(const struct terms_read *self, const struct store_batch *batch,
                      struct store_batch *ret)
{
    const int64_t grain_ms = self->grain_ms;
    *ret = *batch;
    if (batch->codec == BATCH_CODEC_LOST) {
        return false;
    }
    if (grain_ms == 0) {
        return terms_any(batch);
    }
    const int64_t over_ms = batch->expires_at_ms % grain_ms;
    ret->not_before_ms = batch->expires_at_ms + (over_ms > 0 ? grain_ms - over_ms : 0);
    return batch->expires_at_ms > 0 && batch->expires_at_ms <= INT64_MAX - grain_ms;
}

/* Note the stretches of [walk_pos, end of the segment), or, with `limited`, up to about
 * STORE_TERMS_MAX of them. */
static int walk(struct terms_read *self, struct scan *scan, bool limited, struct zsp_err *err)
{
    const uint64_t bytes = self->source.facts.bytes;
    struct zsp_err damage = {0};
    int rc = 0;
    self->end = self->source.facts.end_offset;
    while (rc >= 0 && scan->place.pos < bytes) {
        struct batch_header header;
        rc = scan_next(scan, false, &header, &damage);
        if (rc != SCAN_BATCH) {
            rc = rc < 0 ? rc : step_over(scan, bytes, &damage);
            if (rc != SCAN_BATCH) {
                break;
            }
            continue;
        }
        struct store_batch batch;
        if (!is_wanted(self, &header.batch, &batch) ||
            (limited && batch.first_offset + batch.record_count <= self->from)) {
            continue;
        }
        if (limited && self->found.count >= STORE_TERMS_MAX &&
            !terms_continue(&self->found, &batch)) {
            self->end = batch.first_offset;
            self->walk_offset = batch.first_offset;
            self->walk_pos = scan->place.pos - batch_bytes(batch.body.len);
            return 0;
        }
        if (terms_add(&self->found, &batch) < 0) {
            return zsp_err_set(err, ZSP_ENOMEM, "the priorities of a segment");
        }
    }
    if (rc < 0) {
        *err = damage;
    }
    return rc < 0 ? rc : 0;
}

static int walk_file(struct terms_read *self, struct fs *fs, bool limited, struct zsp_err *err)
{
    char path[LAYOUT_PATH_MAX];
    id_source_path(&self->source, ".log", path);
    const int file = fs->ops->open(fs->self, path, FS_READ, err);
    if (file < 0) {
        return zsp_err_wrap(err, "%s", path);
    }
    struct scan scan = {.fs = fs,
                        .file = file,
                        .file_bytes = self->source.facts.bytes,
                        .place = id_source_place(&self->source),
                        .offset = limited ? self->walk_offset : self->source.facts.base_offset};
    scan.place.pos = limited ? self->walk_pos : 0;
    const int rc = walk(self, &scan, limited, err);
    scan_fini(&scan);
    (void)fs->ops->close(fs->self, file, NULL); /* only read */
    return rc < 0 ? zsp_err_wrap(err, "%s", path) : 0;
}

/* --- From the file ------------------------------------------------------------------------------- */

static int read_file(struct terms_read *self, struct fs *fs, struct zsp_err *err)
{
    char path[LAYOUT_PATH_MAX];
    id_source_path(&self->source, ".pri", path);
    const int file = fs->ops->open(fs->self, path, FS_READ, err);
    if (file < 0) {
        return file;
    }
    const struct batch_place place = id_source_place(&self->source);
    const int rc = terms_file_read(fs, file, &self->source.facts, &place, self->from, &self->found,
                                   &self->end, err);
    (void)fs->ops->close(fs->self, file, NULL); /* only read */
    return rc;
}

/* Keep of a whole list what a page of its file would hold. */
static void cut_page(struct terms_read *self)
{
    struct terms_list *list = &self->found;
    uint32_t first = 0;
    while (first < list->count && list->items[first].end_offset <= self->from) {
        first++;
    }
    list->count -= first;
    memmove(list->items, list->items + first, list->count * sizeof *list->items);
    if (list->count > STORE_TERMS_MAX) {
        self->end = list->items[STORE_TERMS_MAX].first_offset;
        list->count = STORE_TERMS_MAX;
    }
}

/* The sealed segment's file is made anew. */
static int make_file(struct terms_read *self, struct fs *fs, struct zsp_err *err)
{
    self->found.count = 0;
    const int rc = walk_file(self, fs, false, err);
    if (rc == 0) {
        (void)write_file(&self->source, fs, &self->found); /* derived: made again another time */
        if (self->found.count > 0) {
            cut_page(self);
        }
    }
    return rc;
}

static void read_run(struct job *job, struct fs *fs)
{
    struct terms_read *self = job->owner;
    if (!self->source.is_sealed || self->grain_ms > 0) {
        (void)walk_file(self, fs, true, &job->error);
        return;
    }
    const int rc = read_file(self, fs, &job->error);
    if (rc == ZSP_ENOT_FOUND || rc == ZSP_ECORRUPT) {
        job->error = (struct zsp_err){0};
        (void)make_file(self, fs, &job->error);
    }
}

/* --- Questions --------------------------------------------------------------------------------------- */

static void look(struct log_store *store, struct terms_read *self);

/* Answer and free. */
static void answer(struct log_store *store, struct terms_read *self, const struct zsp_err *err)
{
    struct completion completion = {
        .kind = STORE_TERMS_READ, .tag = self->tag, .owner = self->part->owner};
    if (!err) {
        completion.covered = (struct store_range){self->from, self->end};
        completion.terms = self->found.items;
        completion.terms_count = self->found.count;
        self->found = (struct terms_list){0};
    }
    self->part->reads--;
    store->terms_reads--;
    terms_list_fini(&self->found);
    store_complete(store, &completion, err);
    free(self);
}

static void fail(struct log_store *store, struct terms_read *self, int code, const char *what)
{
    struct zsp_err err = {0};
    (void)zsp_err_set(&err, code, "topic %" PRIu64 " partition %" PRIu32 ": %s",
                      self->part->topic_id, self->part->number, what);
    answer(store, self, &err);
}

static struct segment *find_segment(const struct store_part *part, uint64_t offset)
{
    for (size_t i = part->segment_count; i > 0; i--) {
        struct segment *segment = part->segments[i - 1];
        if (segment->base_offset <= offset) {
            return segment;
        }
    }
    return NULL;
}

/* Is the file that was to be looked into not the segment's any more? */
static bool is_replaced(const struct terms_read *self)
{
    const struct segment *segment = find_segment(self->part, self->from);
    return !segment || segment->number != self->source.segment.number ||
           segment->generation != self->source.segment.generation;
}

/* Where the walk over a segment has ended. Without memory the next one begins
 * earlier. */
static void remember_place(const struct terms_read *self)
{
    struct store_part *part = self->part;
    if (!part->terms_place) {
        part->terms_place = calloc(1, sizeof *part->terms_place);
    }
    if (part->terms_place) {
        *part->terms_place =
            (struct terms_place){self->source.segment.number, self->walk_offset, self->walk_pos};
    }
}

static void read_done(struct log_store *store, struct io *io)
{
    struct terms_read *self = (struct terms_read *)io;
    struct store_part *part = self->part;
    store->works--;
    part->busy--;
    if (self->source.sync_failed) {
        struct zsp_err err = {0};
        (void)zsp_err_set(&err, ZSP_ESTORAGE_FAILED, "%s: sync of priorities failed", part->path);
        store_fail(store, &err);
    }
    if (store->failed) {
        answer(store, self, &store->failure);
    } else if (part->state != PART_OPEN || self->from < part->start_offset ||
               (io->job.error.code == ZSP_ENOT_FOUND && is_replaced(self))) {
        io->job.error = (struct zsp_err){0};
        terms_list_fini(&self->found);
        look(store, self);
    } else if (io->job.error.code != 0) {
        answer(store, self, &io->job.error);
    } else {
        if ((!self->source.is_sealed || self->grain_ms > 0) &&
            self->end < self->to) { /* the next question begins there */
            remember_place(self);
        }
        self->end = self->end < self->to ? self->end : self->to;
        answer(store, self, NULL);
    }
}

/* Where a walk over the segment's headers begins: as near below `from` as is known. */
static void choose_begin(struct terms_read *self, const struct segment *segment)
{
    const struct terms_place *place = self->part->terms_place;
    const struct index_entry *entry = index_find_offset(&segment->index, self->from);
    self->walk_pos = entry ? entry->pos : 0;
    self->walk_offset = entry ? entry->offset : segment->base_offset;
    if (place && place->segment == segment->number && place->offset <= self->from &&
        place->offset > self->walk_offset) {
        self->walk_pos = place->pos;
        self->walk_offset = place->offset;
    }
}

/* Look into the segment that has `from`. */
static void look(struct log_store *store, struct terms_read *self)
{
    struct store_part *part = self->part;
    struct segment *segment = part->state == PART_OPEN ? find_segment(part, self->from) : NULL;
    self->to = self->to < part->mark.offset ? self->to : part->mark.offset;
    if (part->state == PART_DROPPED) {
        fail(store, self, ZSP_ENOT_FOUND, "the topic was deleted");
        return;
    }
    if (!segment || self->from < part->start_offset || self->from > part->mark.offset) {
        fail(store, self, ZSP_EOUT_OF_RANGE, "there is no such offset");
        return;
    }
    if (self->from >= self->to || self->from >= segment->end_offset) {
        self->end = self->from;
        answer(store, self, NULL);
        return;
    }
    if (segment->state == SEGMENT_ACTIVE && deferred_flush(part)) { /* the file is looked into */
        self->next = store->terms_waiting;
        store->terms_waiting = self;
        return;
    }
    id_source_init(&self->source, segment);
    choose_begin(self, segment);
    io_task(&self->io, read_run, read_done, self);
    part->has_terms = part->has_terms || self->grain_ms == 0;
    part->busy++;
    store->works++;
    store_submit(store, &self->io);
}

void part_terms_wake(struct log_store *store)
{
    store->terms_woken = true;
}

void part_terms_step(struct log_store *store)
{
    if (!store->terms_woken) {
        return;
    }
    store->terms_woken = false;
    struct terms_read *self = store->terms_waiting;
    store->terms_waiting = NULL;
    while (self) {
        struct terms_read *next = self->next;
        look(store, self);
        self = next;
    }
}

void part_terms_fail(struct log_store *store)
{
    while (store->terms_waiting) {
        struct terms_read *self = store->terms_waiting;
        store->terms_waiting = self->next;
        answer(store, self, &store->failure);
    }
}

int part_terms_read(struct log_store *store, const struct store_read_terms *read,
                    struct zsp_err *err)
{
    struct terms_read *self = calloc(1, sizeof *self);
    if (!self) {
        return zsp_err_set(err, ZSP_ENOMEM, "a look for priorities");
    }
    self->part = read->part;
    self->tag = read->tag;
    self->from = read->from_offset;
    self->to = read->to_offset;
    self->grain_ms = read->expiry_grain_ms;
    self->part->reads++;
    store->terms_reads++;
    look(store, self);
    return 0;
}
