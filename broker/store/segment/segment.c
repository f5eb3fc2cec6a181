/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/segment/segment.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/log_store_priv.h"
#include "broker/store/partition/partition.h"
#include "broker/store/read/part_terms.h"
#include "broker/store/segment/scan.h"
#include "common/assert.h"

/* A task that opens a segment's file and finds its index. It works on copies:
 * while it runs the segment belongs to the store. */
struct load {
    struct io io;
    struct segment *segment;
    char log_path[LAYOUT_PATH_MAX];
    char index_path[LAYOUT_PATH_MAX];
    char directory[LAYOUT_PATH_MAX];
    uint8_t uuid[STORE_UUID_BYTES];
    struct batch_place place;
    struct index_facts facts;
    int64_t max_before_ms;
    bool sealed;
    bool want_index;
    int file;     /* in: the open file or -1; out: the open file */
    bool counted; /* as a file that is open: the task is to open it */
    bool opened;  /* by this task */
    bool sync_failed;
    struct seg_index index;
};

struct segment_file segment_file(const struct segment *self)
{
    return (struct segment_file){self->number, self->generation};
}

void segment_unlink(struct fs *fs, const char *directory, struct segment_file file)
{
    /* The segment first: who writes one of the others looks for it afterwards. */
    static const char *const suffixes[] = {".log", ".idx", ".ids", ".pri"};
    char path[LAYOUT_PATH_MAX];
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        layout_generation_path(path, directory, file.number, file.generation, suffixes[i]);
        (void)fs->ops->unlink(fs->self, path, NULL); /* there may be none */
    }
}

const struct segment_rewrite *segment_rewrite(const struct segment *self)
{
    static const struct segment_rewrite none = {0};
    return self->rewrite ? self->rewrite : &none;
}

struct segment_rewrite *segment_rewrite_open(struct segment *self)
{
    if (!self->rewrite) {
        self->rewrite = calloc(1, sizeof *self->rewrite);
    }
    return self->rewrite;
}

struct segment *segment_new(struct store_part *part, uint64_t number, uint64_t base_offset)
{
    struct segment *self = calloc(1, sizeof *self);
    if (self) {
        self->part = part;
        self->number = number;
        self->base_offset = base_offset;
        self->end_offset = base_offset;
        self->max_before_ms = INT64_MIN;
        self->max_timestamp_ms = INT64_MIN;
        self->fill_bytes = part->store->options.fill_bytes < SEGMENT_FILL_FIRST
                               ? part->store->options.fill_bytes
                               : SEGMENT_FILL_FIRST;
        self->file = -1;
    }
    return self;
}

void segment_destroy(struct log_store *store, struct segment **self_p)
{
    struct segment *self = *self_p;
    if (!self) {
        return;
    }
    zsp_assert(!self->in_files && !self->loading);
    if (self->file >= 0) {
        /* All that was promised is synced; a failing close loses nothing. */
        (void)store->fs->ops->close(store->fs->self, self->file, NULL);
        open_files_give(store);
    }
    index_fini(&self->index);
    segment_ids_drop(self);
    segment_terms_drop(self);
    free(self->rewrite);
    free(self->load_error);
    free(self);
    *self_p = NULL;
}

void segment_path(const struct segment *self, const char *suffix, char out[LAYOUT_PATH_MAX])
{
    layout_generation_path(out, self->part->path, self->number, self->generation, suffix);
}

struct batch_place segment_place(const struct segment *self, uint64_t pos)
{
    return (struct batch_place){
        self->part->store->uuid, self->part->topic_id, self->part->number, self->number, pos,
        self->generation};
}

struct index_facts segment_facts(const struct segment *self)
{
    return (struct index_facts){self->base_offset, self->end_offset, self->bytes,
                                self->max_timestamp_ms};
}

/* --- Users of the open file ------------------------------------------------------------ */

void segment_close(struct log_store *store, struct segment *self)
{
    zsp_assert(self->pins == 0);
    if (self->state != SEGMENT_ACTIVE) {
        index_fini(&self->index); /* loaded again with the file */
    }
    if (self->file >= 0) {
        open_files_close(store, self);
    }
}

void segment_retire(struct log_store *store, struct segment *self)
{
    redo_paid(store, self);
    self->state = SEGMENT_GONE;
    if (self->pins == 0 && !self->loading) {
        segment_close(store, self);
        segment_destroy(store, &self);
    }
}

void segment_pin(struct log_store *store, struct segment *self)
{
    zsp_assert(self->file >= 0);
    open_files_busy(store, self);
    self->pins++;
}

void segment_unpin(struct log_store *store, struct segment *self)
{
    zsp_assert(self->pins > 0);
    if (--self->pins > 0) {
        return;
    }
    if (self->state == SEGMENT_GONE) {
        segment_retire(store, self);
        return;
    }
    open_files_idle(store, self);
}

/* --- Loading ------------------------------------------------------------------------- */

int segment_build_index(struct fs *fs, int file, const struct batch_place *place,
                        const struct index_facts *facts, struct seg_index *index,
                        struct zsp_err *err)
{
    struct scan scan = {.fs = fs,
                        .file = file,
                        .file_bytes = facts->bytes,
                        .place = *place,
                        .offset = facts->base_offset};
    scan.place.pos = 0;
    int64_t max_ms = facts->max_timestamp_ms; /* here: the highest before the segment */
    struct zsp_err local = {0};               /* damage is no error here */
    int rc = 0;
    while (scan.place.pos < facts->bytes) {
        const uint64_t pos = scan.place.pos;
        struct batch_header header;
        rc = scan_next(&scan, false, &header, &local);
        if (rc < 0) {
            break;
        }
        if (rc != SCAN_BATCH) { /* step over damage to the next header that goes on */
            uint64_t found;
            rc = scan_find(&scan, pos + BATCH_ALIGN, facts->bytes, &header, &found, &local);
            if (rc != SCAN_BATCH) {
                break;
            }
            scan.place.pos = found;
            if (header.batch.first_offset >= scan.offset) {
                scan.offset = header.batch.first_offset;
                scan.epoch = header.epoch;
            }
            continue;
        }
        index_note(index, &(struct index_entry){header.batch.first_offset, pos, max_ms});
        if (header.batch.timestamp_ms > max_ms) {
            max_ms = header.batch.timestamp_ms;
        }
    }
    scan_fini(&scan);
    index->complete = rc >= 0;
    if (rc < 0 && err) {
        *err = local;
    }
    return rc < 0 ? rc : 0;
}

/* Take .idx if it is good, else build the index and write .idx anew. */
static int load_index(struct load *self, struct fs *fs, struct zsp_err *err)
{
    struct zsp_writer bytes = {0};
    const uint64_t max =
        INDEX_HEADER_BYTES + (self->facts.bytes / INDEX_STEP + 2) * (uint64_t)INDEX_ENTRY_BYTES;
    int rc = -1;
    if (self->sealed && layout_read_file(fs, self->index_path, max, &bytes, NULL) == 0) {
        rc = index_decode(zsp_writer_slice(&bytes), &self->facts, &self->place, &self->index, NULL);
    }
    if (rc != 0) {
        struct index_facts facts = self->facts;
        facts.max_timestamp_ms = self->max_before_ms;
        rc = segment_build_index(fs, self->file, &self->place, &facts, &self->index, err);
        if (rc == 0 && self->sealed) {
            zsp_writer_reset(&bytes);
            bytes.failed = false;
            index_encode(&bytes, &self->index, &self->facts, &self->place);
            if (!bytes.failed) {
                /* Derived and in memory already: a full disk must not fail the read. */
                (void)layout_write_derived(fs, self->directory, self->index_path, self->log_path,
                                           zsp_writer_slice(&bytes), &self->sync_failed, NULL);
            }
        }
    }
    zsp_writer_fini(&bytes);
    return rc;
}

static void load_run(struct job *job, struct fs *fs)
{
    struct load *self = job->owner;
    if (self->file < 0) {
        self->file =
            fs->ops->open(fs->self, self->log_path, self->sealed ? FS_READ : FS_WRITE, &job->error);
        if (self->file < 0) {
            (void)zsp_err_wrap(&job->error, "%s", self->log_path);
            return;
        }
        self->opened = true;
    }
    if (self->want_index && load_index(self, fs, &job->error) < 0) {
        (void)zsp_err_wrap(&job->error, "%s", self->log_path);
    }
}

static void load_done(struct log_store *store, struct io *io)
{
    struct load *load = (struct load *)io;
    struct segment *segment = load->segment;
    store->works--;
    segment->loading = false;
    if (load->opened && load->file >= 0) {
        segment->file = load->file;
        segment->pins++; /* as load_start() does with an open file */
    } else if (load->counted) {
        open_files_give(store);
    }
    if (io->job.error.code != 0) {
        free(segment->load_error);
        segment->load_error = malloc(sizeof *segment->load_error);
        if (segment->load_error) {
            *segment->load_error = io->job.error;
        }
    } else if (load->want_index && !segment->index.complete &&
               index_prepend(&segment->index, &load->index) < 0) {
        store_fail_memory(store, "an index");
    }
    index_fini(&load->index);
    if (load->sync_failed) {
        struct zsp_err err;
        (void)zsp_err_set(&err, ZSP_ESTORAGE_FAILED, "%s: sync failed", load->index_path);
        store_fail(store, &err);
    }
    struct store_part *part = segment->part;
    part->busy--;
    partition_wake(part);
    reads_wake(store);
    if (segment->file >= 0) {
        open_files_fresh(store, segment);
    } else if (segment->state == SEGMENT_GONE) {
        segment_retire(store, segment);
    }
    free(load);
}

/* The stretch of an active segment that its index does not cover begins at pos 0
 * and ends at the first entry. */
static void load_limit(const struct segment *segment, struct index_facts *facts)
{
    if (segment->state == SEGMENT_ACTIVE && segment->index.count > 0) {
        facts->bytes = segment->index.entries[0].pos;
        facts->end_offset = segment->index.entries[0].offset;
    }
}

/* 0 = a task is out, or there is no room for one more open file. Errors: ZSP_ENOMEM */
static int load_start(struct log_store *store, struct segment *self, bool need_index)
{
    if (self->file < 0 && !open_files_take(store)) {
        return 0;
    }
    struct load *load = calloc(1, sizeof *load);
    if (!load) {
        if (self->file < 0) {
            open_files_give(store);
        }
        return ZSP_ENOMEM;
    }
    load->counted = self->file < 0;
    io_task(&load->io, load_run, load_done, load);
    load->segment = self;
    segment_path(self, ".log", load->log_path);
    segment_path(self, ".idx", load->index_path);
    memcpy(load->directory, self->part->path, strlen(self->part->path) + 1);
    memcpy(load->uuid, store->uuid, sizeof load->uuid);
    load->place = segment_place(self, 0);
    load->place.uuid = load->uuid;
    load->facts = segment_facts(self);
    load_limit(self, &load->facts);
    load->max_before_ms = self->max_before_ms;
    load->sealed = self->state == SEGMENT_SEALED;
    load->want_index = need_index && !self->index.complete;
    load->file = self->file;
    self->loading = true;
    self->part->busy++;
    if (self->file >= 0) {
        segment_pin(store, self); /* not closed while the task reads it */
    }
    store->works++;
    store_submit(store, &load->io);
    return 0;
}

int segment_ready(struct log_store *store, struct segment *self, bool need_index,
                  struct zsp_err *err)
{
    if (self->loading) {
        return 0;
    }
    if (self->load_error) {
        struct zsp_err local;
        err = err ? err : &local;
        *err = *self->load_error;
        free(self->load_error);
        self->load_error = NULL;
        return err->code;
    }
    if (self->file >= 0 && (!need_index || self->index.complete)) {
        return 1;
    }
    if (load_start(store, self, need_index) < 0) {
        return zsp_err_set(err, ZSP_ENOMEM, "open a segment");
    }
    return 0;
}
