/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/read/id_source.h"

#include <stdlib.h>
#include <string.h>

#include "broker/store/file/sparse.h"
#include "broker/store/index/batch_ids.h"
#include "broker/store/log_store_priv.h"
#include "broker/store/partition/partition.h"
#include "broker/store/segment/scan.h"

void id_source_init(struct id_source *self, const struct segment *segment)
{
    memcpy(self->uuid, segment->part->store->uuid, sizeof self->uuid);
    self->topic_id = segment->part->topic_id;
    self->partition = segment->part->number;
    self->segment = segment_file(segment);
    self->facts = segment_facts(segment);
    self->is_sealed = segment->state == SEGMENT_SEALED;
    self->sync_failed = false;
    memcpy(self->directory, segment->part->path, strlen(segment->part->path) + 1);
}

void id_source_path(const struct id_source *self, const char *suffix, char out[LAYOUT_PATH_MAX])
{
    layout_generation_path(out, self->directory, self->segment.number, self->segment.generation,
                           suffix);
}

struct batch_place id_source_place(const struct id_source *self)
{
    return (struct batch_place){
        self->uuid, self->topic_id,          self->partition, self->segment.number,
        0,          self->segment.generation};
}

/* --- From the segment ------------------------------------------------------------------- */

struct gather {
    struct id_entry *entries;
    size_t count, capacity;
    uint64_t base_offset;
};

/* Errors: ZSP_ENOMEM */
static int take_id(void *arg, uint64_t print, uint64_t offset)
{
    struct gather *gather = arg;
    if (gather->count == gather->capacity) {
        const size_t capacity = gather->capacity ? gather->capacity * 2 : 1024;
        struct id_entry *entries = realloc(gather->entries, capacity * sizeof *entries);
        if (!entries) {
            return ZSP_ENOMEM;
        }
        gather->entries = entries;
        gather->capacity = capacity;
    }
    gather->entries[gather->count++] =
        (struct id_entry){print, (uint32_t)(offset - gather->base_offset)};
    return 0;
}

/* Of a compacted batch those that are still there. */
static int walk_records(struct batch_ids *ids, const struct store_batch *batch,
                        struct gather *gather)
{
    struct sparse sparse;
    struct sparse_run run;
    if (batch->codec != BATCH_CODEC_SPARSE) {
        return batch_ids_walk(ids, batch, take_id, gather);
    }
    int rc = sparse_open(&sparse, batch, NULL);
    while (rc == 0 && sparse_next(&sparse, &run)) {
        const struct store_batch part = sparse_batch(batch, &run);
        rc = batch_ids_walk(ids, &part, take_id, gather);
    }
    return rc;
}

/* The ids of the batch that was just passed; one that is damaged has none. */
static int walk_batch(struct scan *scan, const struct batch_header *header, struct batch_ids *ids,
                      struct gather *gather, struct zsp_err *err)
{
    const uint64_t stored = batch_bytes(header->batch.body.len);
    struct store_batch batch = header->batch;
    const int rc = scan_bytes(scan, scan->place.pos - stored + BATCH_HEADER_BYTES, batch.body.len,
                              &batch.body, err);
    if (rc < 0) {
        return rc;
    }
    if (batch.body.len < header->batch.body.len || !batch_body_valid(header, batch.body)) {
        return 0;
    }
    return walk_records(ids, &batch, gather) == ZSP_ENOMEM
               ? zsp_err_set(err, ZSP_ENOMEM, "the ids of a segment")
               : 0;
}

/* Walk all batches; damage is stepped over. */
static int walk_segment(struct scan *scan, uint64_t bytes, struct batch_ids *ids,
                        struct gather *gather, struct zsp_err *err)
{
    struct zsp_err damage = {0};
    int rc = 0;
    while (rc >= 0 && scan->place.pos < bytes) {
        const uint64_t pos = scan->place.pos;
        struct batch_header header;
        rc = scan_next(scan, false, &header, &damage);
        if (rc == SCAN_BATCH) {
            rc = walk_batch(scan, &header, ids, gather, err);
            continue;
        }
        uint64_t found = 0;
        rc = rc < 0 ? rc : scan_find(scan, pos + BATCH_ALIGN, bytes, &header, &found, &damage);
        if (rc != SCAN_BATCH) {
            break;
        }
        scan->place.pos = found;
        scan->offset = header.batch.first_offset;
        scan->epoch = 0;
    }
    if (rc < 0 && err->code == 0) {
        *err = damage;
    }
    return rc < 0 ? rc : 0;
}

static int read_segment(const struct id_source *self, struct fs *fs, struct gather *gather,
                        struct zsp_err *err)
{
    char path[LAYOUT_PATH_MAX];
    id_source_path(self, ".log", path);
    const int file = fs->ops->open(fs->self, path, FS_READ, err);
    if (file < 0) {
        return zsp_err_wrap(err, "%s", path);
    }
    struct scan scan = {.fs = fs,
                        .file = file,
                        .file_bytes = self->facts.bytes,
                        .place = id_source_place(self),
                        .offset = self->facts.base_offset};
    struct batch_ids ids = {0};
    const int rc = walk_segment(&scan, self->facts.bytes, &ids, gather, err);
    batch_ids_fini(&ids);
    scan_fini(&scan);
    (void)fs->ops->close(fs->self, file, NULL); /* only read */
    return rc < 0 ? zsp_err_wrap(err, "%s", path) : 0;
}

static int build(const struct id_source *self, struct fs *fs, struct id_entry **ret,
                 uint32_t *ret_count, struct zsp_err *err)
{
    struct gather gather = {.base_offset = self->facts.base_offset};
    int rc = read_segment(self, fs, &gather, err);
    uint32_t count = (uint32_t)gather.count;
    if (rc == 0 && !gather.entries) {
        gather.entries = calloc(1, sizeof *gather.entries);
    }
    if (rc == 0 && (!gather.entries || id_entries_sort(gather.entries, &count) != 0)) {
        rc = zsp_err_set(err, ZSP_ENOMEM, "the ids of a segment");
    }
    if (rc != 0) {
        free(gather.entries);
        return rc;
    }
    *ret = gather.entries;
    *ret_count = count;
    return 0;
}

/* --- The file -------------------------------------------------------------------------------- */

int id_source_write(struct id_source *self, struct fs *fs, const struct id_entry *entries,
                    uint32_t count, struct zsp_err *err)
{
    char path[LAYOUT_PATH_MAX];
    char log_path[LAYOUT_PATH_MAX];
    id_source_path(self, ".ids", path);
    id_source_path(self, ".log", log_path);
    const struct batch_place place = id_source_place(self);
    struct zsp_writer bytes = {0};
    id_file_encode(&bytes, entries, count, &self->facts, &place);
    const int rc = bytes.failed
                       ? zsp_err_set(err, ZSP_ENOMEM, "%s", path)
                       : layout_write_derived(fs, self->directory, path, log_path,
                                              zsp_writer_slice(&bytes), &self->sync_failed, err);
    zsp_writer_fini(&bytes);
    return rc;
}

static int read_file(const struct id_source *self, struct fs *fs, struct id_entry **ret,
                     uint32_t *ret_count)
{
    char path[LAYOUT_PATH_MAX];
    id_source_path(self, ".ids", path);
    const struct batch_place place = id_source_place(self);
    const uint64_t records = self->facts.end_offset - self->facts.base_offset;
    struct zsp_writer bytes = {0};
    int rc = layout_read_file(fs, path, id_file_bytes_max(records), &bytes, NULL);
    if (rc == 0) {
        rc = id_file_decode(zsp_writer_slice(&bytes), &self->facts, &place, ret, ret_count, NULL);
    }
    zsp_writer_fini(&bytes);
    return rc;
}

int id_source_entries(struct id_source *self, struct fs *fs, struct id_entry **ret,
                      uint32_t *ret_count, struct zsp_err *err)
{
    if (self->is_sealed && read_file(self, fs, ret, ret_count) == 0) {
        return 0;
    }
    const int rc = build(self, fs, ret, ret_count, err);
    if (rc == 0 && self->is_sealed) {
        (void)id_source_write(self, fs, *ret, *ret_count, NULL); /* derived: built again */
    }
    return rc;
}

static int open_file(const struct id_source *self, struct fs *fs, struct id_search *search,
                     struct zsp_err *err)
{
    char path[LAYOUT_PATH_MAX];
    id_source_path(self, ".ids", path);
    const struct batch_place place = id_source_place(self);
    const int file = fs->ops->open(fs->self, path, FS_READ, err);
    if (file < 0) {
        return file;
    }
    const int rc = id_search_begin(search, fs, file, &self->facts, &place, err);
    if (rc != 0) {
        id_search_end(search);
        (void)fs->ops->close(fs->self, file, NULL); /* only read */
    }
    return rc;
}

int id_source_search(struct id_source *self, struct fs *fs, struct id_search *search,
                     struct zsp_err *err)
{
    struct zsp_err local = {0};
    int rc = open_file(self, fs, search, &local);
    if (rc == ZSP_ENOT_FOUND || rc == ZSP_ECORRUPT) {
        struct id_entry *entries;
        uint32_t count;
        local = (struct zsp_err){0};
        rc = build(self, fs, &entries, &count, &local);
        if (rc == 0) {
            rc = id_source_write(self, fs, entries, count, &local);
            free(entries);
        }
        rc = rc == 0 ? open_file(self, fs, search, &local) : rc;
    }
    if (rc < 0 && err) {
        *err = local;
    }
    return rc;
}
