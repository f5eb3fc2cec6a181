/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/check/repair.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/file/layout.h"
#include "broker/store/segment/segment.h"
#include "common/assert.h"
#include "common/hash.h"

#define FILL_BYTES_MAX (BATCH_HEADER_BYTES + (uint64_t)ZSP_FRAME_MAX) /* of one batch */
#define FILL_BYTES_MIN (BATCH_HEADER_BYTES + BATCH_ALIGN)
#define COPIES_MAX     1000u /* of one place, by repairs that were interrupted */

static struct batch_place place_of(const struct check_remedy *remedy, const uint8_t *uuid)
{
    return (struct batch_place){uuid, remedy->topic_id,  remedy->partition, remedy->segment,
                                0,    remedy->generation};
}

/* The directory of "<directory>/<name>". */
static void directory_of(const char *path, char out[LAYOUT_PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    zsp_assert(slash && (size_t)(slash - path) < LAYOUT_PATH_MAX);
    memcpy(out, path, (size_t)(slash - path));
    out[slash - path] = '\0';
}

/* --- An index --------------------------------------------------------------------------- */

static int build(struct fs *fs, const char *directory, const struct check_remedy *remedy,
                 const struct batch_place *place, struct seg_index *index, struct zsp_err *err)
{
    char log_path[LAYOUT_PATH_MAX];
    layout_generation_path(log_path, directory, remedy->segment, remedy->generation, ".log");
    const int file = fs->ops->open(fs->self, log_path, FS_READ, err);
    if (file < 0) {
        return file;
    }
    const struct index_facts before = {remedy->offsets.first_offset, remedy->offsets.end_offset,
                                       remedy->end_pos, remedy->max_before_ms};
    const int rc = segment_build_index(fs, file, place, &before, index, err);
    (void)fs->ops->close(fs->self, file, NULL); /* only read */
    return rc;
}

int repair_index(struct fs *fs, const uint8_t *uuid, const char *path,
                 const struct check_remedy *remedy, struct zsp_err *err)
{
    char directory[LAYOUT_PATH_MAX];
    directory_of(path, directory);
    const struct batch_place place = place_of(remedy, uuid);
    struct seg_index index = {0};
    struct zsp_writer bytes = {0};
    int rc = build(fs, directory, remedy, &place, &index, err);
    if (rc == 0) {
        const struct index_facts facts = {remedy->offsets.first_offset, remedy->offsets.end_offset,
                                          remedy->end_pos, remedy->max_timestamp_ms};
        bool sync_failed;
        index_encode(&bytes, &index, &facts, &place);
        rc = bytes.failed ? zsp_err_set(err, ZSP_ENOMEM, "%s", path)
                          : layout_write_file(fs, directory, path, zsp_writer_slice(&bytes),
                                              &sync_failed, err);
    }
    zsp_writer_fini(&bytes);
    index_fini(&index);
    return rc;
}

int repair_ids(struct fs *fs, const char *path, struct zsp_err *err)
{
    char directory[LAYOUT_PATH_MAX];
    directory_of(path, directory);
    const int rc = fs->ops->unlink(fs->self, path, err);
    return rc < 0 ? rc : fs->ops->sync_dir(fs->self, directory, err);
}

/* --- The copy --------------------------------------------------------------------------- */

/* Up to `len` bytes at `pos`: fewer at the end of the file. */
static int read_bytes(struct fs *fs, int file, uint64_t pos, size_t len, struct zsp_writer *out,
                      struct zsp_err *err)
{
    uint8_t *data = zsp_write_room(out, len);
    if (!data) {
        return zsp_err_set(err, ZSP_ENOMEM, "copy %zu bytes", len);
    }
    size_t done = 0;
    size_t got = 1;
    while (done < len && got > 0) {
        const int rc =
            fs->ops->read(fs->self, file, data + done, len - done, pos + done, &got, err);
        if (rc < 0) {
            return rc;
        }
        done += got;
    }
    out->len -= len - done;
    return 0;
}

/* A name in quarantine/ that is free. */
static int free_name(struct fs *fs, const struct check_remedy *remedy, char out[LAYOUT_PATH_MAX],
                     struct zsp_err *err)
{
    for (unsigned i = 1; i <= COPIES_MAX; i++) {
        const int len = snprintf(
            out, LAYOUT_PATH_MAX,
            "quarantine/topic-%" PRIu64 "-%" PRIu32 "-segment-%" PRIu64 "-%" PRIu64 "-repair-%u",
            remedy->topic_id, remedy->partition, remedy->segment, remedy->pos, i);
        zsp_assert(len > 0 && (size_t)len < LAYOUT_PATH_MAX);
        const int file = fs->ops->open(fs->self, out, FS_READ, NULL);
        if (file == ZSP_ENOT_FOUND) {
            return 0;
        }
        if (file >= 0) {
            (void)fs->ops->close(fs->self, file, NULL); /* only looked at */
        }
    }
    return zsp_err_set(err, ZSP_EEXISTS, "%s and all before it are taken", out);
}

/* Copy what is in the hole to quarantine/, with the reason beside it. */
static int set_aside(struct fs *fs, int file, const struct check_remedy *remedy, const char *why,
                     struct zsp_err *err)
{
    char path[LAYOUT_PATH_MAX];
    char text_path[LAYOUT_PATH_MAX + 8];
    struct zsp_writer bytes = {0};
    bool sync_failed;
    int rc = fs->ops->mkdir(fs->self, "quarantine", err);
    if (rc >= 0) {
        rc = free_name(fs, remedy, path, err);
    }
    if (rc >= 0) {
        rc =
            read_bytes(fs, file, remedy->pos, (size_t)(remedy->end_pos - remedy->pos), &bytes, err);
    }
    if (rc >= 0) {
        const int len = snprintf(text_path, sizeof text_path, "%s.txt", path);
        zsp_assert(len > 0 && (size_t)len < LAYOUT_PATH_MAX);
        rc = layout_write_file(fs, "quarantine", text_path, zsp_slice_str(why), &sync_failed, err);
    }
    if (rc >= 0) {
        rc = layout_write_file(fs, "quarantine", path, zsp_writer_slice(&bytes), &sync_failed, err);
    }
    zsp_writer_fini(&bytes);
    return rc < 0 ? rc : 0;
}

/* --- The hole ------------------------------------------------------------------------------ */

/* One batch of `bytes` on disk that stands for the offsets. */
static int fill_one(struct fs *fs, int file, const struct batch_place *place,
                    const struct batch_header *like, uint64_t bytes, struct zsp_err *err)
{
    uint8_t *data = calloc(1, (size_t)bytes);
    if (!data) {
        return zsp_err_set(err, ZSP_ENOMEM, "fill %" PRIu64 " bytes", bytes);
    }
    struct batch_header header = *like;
    header.batch.body =
        (struct zsp_slice){data + BATCH_HEADER_BYTES, (size_t)bytes - BATCH_HEADER_BYTES};
    header.body_sum = zsp_hash(header.batch.body);
    batch_encode(data, &header, place);
    const int rc =
        layout_write_at(fs, file, (struct zsp_slice){data, (size_t)bytes}, place->pos, err);
    free(data);
    return rc;
}

/* As few batches as there must be, one record each, the last one all that is left. */
static int fill(struct fs *fs, int file, const uint8_t *uuid, const struct check_remedy *remedy,
                struct zsp_err *err)
{
    struct batch_place place = place_of(remedy, uuid);
    uint64_t offset = remedy->offsets.first_offset;
    int rc = 0;
    for (place.pos = remedy->pos; place.pos < remedy->end_pos && rc == 0;) {
        const uint64_t left = remedy->end_pos - place.pos;
        /* What remains behind a full one must have room for a batch. */
        const uint64_t bytes = left <= FILL_BYTES_MAX                    ? left
                               : left - FILL_BYTES_MAX >= FILL_BYTES_MIN ? FILL_BYTES_MAX
                                                                         : left - FILL_BYTES_MIN;
        const bool last = bytes == left;
        const struct batch_header header = {
            .batch = {.first_offset = offset,
                      .record_count = last ? (uint32_t)(remedy->offsets.end_offset - offset) : 1u,
                      .timestamp_ms = remedy->max_before_ms > 0 ? remedy->max_before_ms : 0,
                      .codec = BATCH_CODEC_LOST},
            .epoch = remedy->epoch,
        };
        rc = fill_one(fs, file, &place, &header, bytes, err);
        offset += header.batch.record_count;
        place.pos += bytes;
    }
    return rc;
}

/* Can the bytes of the hole stand for its offsets? */
static int check_hole(const struct check_remedy *remedy, struct zsp_err *err)
{
    const uint64_t bytes = remedy->end_pos - remedy->pos;
    const uint64_t count = remedy->offsets.end_offset - remedy->offsets.first_offset;
    const uint64_t batches = bytes / FILL_BYTES_MAX + 1;
    if (remedy->kind != CHECK_FILL || remedy->end_pos < remedy->pos ||
        remedy->pos % BATCH_ALIGN != 0 || bytes % BATCH_ALIGN != 0 ||
        (bytes == 0) != (count == 0) ||
        (bytes > 0 && (bytes < FILL_BYTES_MIN || count < batches || count > UINT32_MAX))) {
        return zsp_err_set(err, ZSP_ECORRUPT,
                           "%" PRIu64 " bytes at pos %" PRIu64 " cannot stand for %" PRIu64
                           " messages",
                           bytes, remedy->pos, count);
    }
    return 0;
}

/* An index, ids or priorities that lead into the hole must not outlive it. */
static int drop_index(struct fs *fs, const char *directory, const struct check_remedy *remedy,
                      struct zsp_err *err)
{
    static const char *const suffixes[] = {".idx", ".ids", ".pri"};
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        char path[LAYOUT_PATH_MAX];
        layout_generation_path(path, directory, remedy->segment, remedy->generation, suffixes[i]);
        const int rc = fs->ops->unlink(fs->self, path, err);
        if (rc < 0 && rc != ZSP_ENOT_FOUND) {
            return rc;
        }
    }
    return fs->ops->sync_dir(fs->self, directory, err);
}

static int fill_file(struct fs *fs, int file, const uint8_t *uuid,
                     const struct check_remedy *remedy, const char *why, struct zsp_err *err)
{
    int rc = set_aside(fs, file, remedy, why, err);
    if (rc == 0) {
        rc = fill(fs, file, uuid, remedy, err);
    }
    return rc < 0 ? rc : fs->ops->sync(fs->self, file, err);
}

int repair_fill(struct fs *fs, const uint8_t *uuid, const char *path,
                const struct check_remedy *remedy, const char *why, struct zsp_err *err)
{
    struct zsp_err local = {0};
    err = err ? err : &local;
    int rc = check_hole(remedy, err);
    if (rc < 0) {
        return rc;
    }
    int file = fs->ops->open(fs->self, path, FS_WRITE, err);
    if (file == ZSP_ENOT_FOUND) {
        file = fs->ops->open(fs->self, path, FS_CREATE, err);
    }
    if (file < 0) {
        return zsp_err_wrap(err, "%s", path);
    }
    char directory[LAYOUT_PATH_MAX];
    directory_of(path, directory);
    rc = drop_index(fs, directory, remedy, err);
    if (rc >= 0) {
        rc = fill_file(fs, file, uuid, remedy, why, err);
    }
    /* Synced, or given up. */
    (void)fs->ops->close(fs->self, file, NULL);
    if (rc >= 0) {
        rc = fs->ops->sync_dir(fs->self, directory, err);
    }
    return rc < 0 ? zsp_err_wrap(err, "%s", path) : 0;
}
