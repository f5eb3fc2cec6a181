/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/rewrite/compact_run.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"
#include "common/record.h"

#define WRITE_BYTES (1u * ZSP_MIB) /* that gather before they are written */

void compact_run_close(struct compact_run *self, struct fs *fs)
{
    if (self->scanning) {
        (void)fs->ops->close(fs->self, self->scan.file, NULL); /* only read */
        self->scanning = false;
    }
    if (self->file >= 0) {
        (void)fs->ops->close(fs->self, self->file, NULL); /* synced, or of no worth */
        self->file = -1;
    }
}

void compact_run_reset(struct compact_run *self, struct fs *fs)
{
    compact_run_close(self, fs);
    self->source_count = self->at = 0;
    self->at_end = self->wants_more = self->closes = false;
    self->written = 0;
}

int compact_run_add(struct compact_run *self, const struct compact_source *source)
{
    if (self->source_count == self->source_capacity) {
        const size_t capacity = self->source_capacity > 0 ? self->source_capacity * 2 : 16;
        struct compact_source *const sources = realloc(self->sources, capacity * sizeof *sources);
        if (!sources) {
            return ZSP_ENOMEM;
        }
        self->sources = sources;
        self->source_capacity = capacity;
    }
    self->sources[self->source_count++] = *source;
    return 0;
}

void compact_run_fini(struct compact_run *self, struct fs *fs)
{
    compact_run_close(self, fs);
    scan_fini(&self->scan);
    compact_map_fini(&self->map);
    compact_copy_fini(&self->copy);
    free(self->sources);
    self->sources = NULL;
}

/* --- Reading ------------------------------------------------------------------------------------ */

static struct batch_place place_of(const struct compact_run *self,
                                   const struct compact_source *source)
{
    return (struct batch_place){self->uuid, self->topic_id,    self->partition, source->number,
                                0,          source->generation};
}

static int open_source(struct compact_run *self, struct fs *fs, struct zsp_err *err)
{
    const struct compact_source *source = &self->sources[self->at];
    char path[LAYOUT_PATH_MAX];
    layout_generation_path(path, self->directory, source->number, source->generation, ".log");
    const int file = fs->ops->open(fs->self, path, FS_READ, err);
    if (file < 0) {
        return zsp_err_wrap(err, "%s", path);
    }
    scan_fini(&self->scan);
    self->scan = (struct scan){.fs = fs,
                               .file = file,
                               .file_bytes = source->bytes,
                               .place = place_of(self, source),
                               .offset = source->from_offset,
                               .epoch = source->epoch_before};
    self->scan.place.pos = source->from_pos;
    self->scanning = true;
    return 0;
}

static int read_body(struct compact_run *self, uint64_t pos, struct batch_header *header,
                     struct zsp_err *err)
{
    struct zsp_slice *const body = &header->batch.body;
    return scan_bytes(&self->scan, pos + BATCH_HEADER_BYTES, body->len, body, err);
}

/* Is the source read to its end, or is nothing of the rest wanted? */
static bool is_through(const struct compact_run *self)
{
    const struct compact_source *source = &self->sources[self->at];
    return self->scan.place.pos >= self->scan.file_bytes ||
           (self->copy.rules.keeps &&
            !compact_copy_has_kept(&self->copy, self->scan.offset, source->end_offset));
}

/* The next batch of the sources, whole; without its body when only some ranges are kept. Returns 0,
 * 1 = there is none. */
static int next_batch(struct compact_run *self, struct fs *fs, struct batch_header *ret,
                      struct zsp_err *err)
{
    for (;;) {
        if (self->at == self->source_count) {
            return 1;
        }
        if (self->sources[self->at].bytes == 0) {
            self->at++;
            continue;
        }
        if (!self->scanning) {
            const int opened = open_source(self, fs, err);
            if (opened < 0) {
                return opened;
            }
        }
        if (!is_through(self)) {
            break;
        }
        (void)fs->ops->close(fs->self, self->scan.file, NULL); /* only read */
        self->scanning = false;
        self->at++;
    }
    const uint64_t pos = self->scan.place.pos;
    int rc = scan_next(&self->scan, !self->copy.rules.keeps, ret, err);
    if (rc == SCAN_BATCH) {
        self->worked += self->scan.place.pos - pos;
        return self->copy.rules.keeps ? 0 : read_body(self, pos, ret, err);
    }
    if (rc == SCAN_END) {
        (void)zsp_err_set(err, ZSP_ECORRUPT, "pos %" PRIu64 ": zeros where a batch was due", pos);
    }
    return rc < 0 ? rc : ZSP_ECORRUPT;
}

/* --- Mapping ------------------------------------------------------------------------------------ */

static int map_record(void *arg, uint64_t offset, struct zsp_slice record, int64_t tombstone_ms)
{
    struct compact_run *self = arg;
    struct zsp_slice key;
    (void)tombstone_ms;
    if (offset < self->map_from || zsp_record_key(record, &key) < 0 || !key.data) {
        return 0;
    }
    return compact_map_put(&self->map, key, offset);
}

int compact_run_map(struct compact_run *self, struct fs *fs, struct zsp_err *err)
{
    int rc = 0;
    self->worked = 0;
    while (rc == 0 && self->worked < self->job_bytes) {
        struct batch_header header;
        rc = next_batch(self, fs, &header, err);
        if (rc != 0) {
            break;
        }
        /* A full map ends before this batch; those of its keys that are in it are right all the same. */
        rc = compact_copy_walk(&self->copy, &header.batch, map_record, self, err);
        if (rc == 0) {
            self->map_end = header.batch.first_offset + header.batch.record_count;
        }
    }
    self->at_end = rc == 1;
    if (rc == ZSP_ENOMEM) {
        return zsp_err_set(err, rc, "compaction: out of memory");
    }
    return rc < 0 ? rc : 0;
}

/* --- Copying ------------------------------------------------------------------------------------ */

/* A batch that came without its body. */
static int copy_wanted(struct compact_run *self, struct batch_header *header, struct zsp_err *err)
{
    const uint64_t pos = self->scan.place.pos - batch_bytes(header->batch.body.len);
    if (pos < self->sources[self->at].skipped_bytes ||
        !compact_copy_wants(&self->copy, &header->batch)) {
        compact_copy_pass(&self->copy, header);
        return 0;
    }
    const int rc = read_body(self, pos, header, err);
    if (rc < 0) {
        return rc;
    }
    if (zsp_hash(header->batch.body) != header->body_sum) {
        return zsp_err_set(err, ZSP_ECORRUPT, "pos %" PRIu64 ": damaged body", pos);
    }
    return compact_copy_batch(&self->copy, header, err);
}

static void target_path(const struct compact_run *self, const char *suffix,
                        char out[LAYOUT_PATH_MAX])
{
    layout_generation_path(out, self->directory, self->target.number, self->target.generation,
                           suffix);
}

static int begin_target(struct compact_run *self, struct fs *fs, struct zsp_err *err)
{
    char path[LAYOUT_PATH_MAX];
    target_path(self, ".log", path);
    self->file = layout_open_empty(fs, path, err); /* a try that failed may have left one */
    return self->file < 0 ? zsp_err_wrap(err, "%s", path) : 0;
}

static int write_out(struct compact_run *self, struct fs *fs, struct zsp_err *err)
{
    const struct zsp_slice bytes = zsp_writer_slice(&self->copy.out);
    const int rc = layout_write_at(fs, self->file, bytes, self->written, err);
    if (rc == 0) {
        self->written += bytes.len;
        self->worked += bytes.len;
        zsp_writer_reset(&self->copy.out);
    }
    return rc;
}

static int sync_target(struct compact_run *self, struct fs *fs, struct zsp_err *err)
{
    const int rc = fs->ops->sync(fs->self, self->file, err);
    self->sync_failed = rc < 0;
    return rc;
}

/* Derived: without room for it the index is built when it is needed. */
static void write_index(struct compact_run *self, struct fs *fs)
{
    char path[LAYOUT_PATH_MAX];
    const struct compact_source *target = &self->target;
    const struct index_facts facts = {target->base_offset, target->end_offset, target->bytes,
                                      target->max_timestamp_ms};
    const struct batch_place place = place_of(self, target);
    struct zsp_writer bytes = {0};
    target_path(self, ".idx", path);
    index_encode(&bytes, &self->copy.index, &facts, &place);
    if (!bytes.failed) {
        (void)layout_write_file(fs, self->directory, path, zsp_writer_slice(&bytes),
                                &self->sync_failed, NULL);
    }
    zsp_writer_fini(&bytes);
}

static int end_target(struct compact_run *self, struct fs *fs, struct zsp_err *err)
{
    int rc = compact_copy_end(&self->copy, self->target.end_offset, err);
    if (rc == 0) {
        rc = write_out(self, fs, err);
    }
    if (rc < 0) {
        return rc;
    }
    self->target.bytes = self->written;
    rc = sync_target(self, fs, err);
    if (rc >= 0) {
        write_index(self, fs);
        rc = fs->ops->sync_dir(fs->self, self->directory, err);
        self->sync_failed = self->sync_failed || rc < 0;
    }
    compact_run_close(self, fs);
    self->at_end = true;
    return rc < 0 ? rc : 0;
}

static int copy_some(struct compact_run *self, struct fs *fs, struct zsp_err *err)
{
    int rc = self->file < 0 ? begin_target(self, fs, err) : 0;
    self->worked = 0;
    while (rc == 0 && self->worked < self->job_bytes) {
        struct batch_header header;
        rc = next_batch(self, fs, &header, err);
        if (rc == 0) {
            rc = self->copy.rules.keeps ? copy_wanted(self, &header, err)
                                        : compact_copy_batch(&self->copy, &header, err);
        }
        if (rc == 0 && self->copy.out.len >= WRITE_BYTES) {
            rc = write_out(self, fs, err);
        }
    }
    if (rc == 1 && self->closes) {
        return end_target(self, fs, err);
    }
    self->wants_more = rc == 1;
    if (rc == 1 || rc == 0) {
        rc = write_out(self, fs, err);
    }
    return rc < 0 ? rc : sync_target(self, fs, err);
}

void compact_run_drop_target(const struct compact_run *self, struct fs *fs)
{
    char path[LAYOUT_PATH_MAX];
    target_path(self, ".idx", path);
    (void)fs->ops->unlink(fs->self, path, NULL); /* the next start removes what is left */
    target_path(self, ".log", path);
    (void)fs->ops->unlink(fs->self, path, NULL);
}

int compact_run_copy(struct compact_run *self, struct fs *fs, struct zsp_err *err)
{
    const int rc = copy_some(self, fs, err);
    if (rc < 0 && !self->sync_failed) {
        compact_run_close(self, fs);
        compact_run_drop_target(self, fs);
    }
    return rc;
}
