/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/journal/journal_proof.h"

#include <inttypes.h>
#include <stdlib.h>

#include "broker/store/file/layout.h"

#define OLD_RATE 16u /* bytes hashed per byte of a file in search of old records */

/* Does a record that begins at `place` prove a mark above what is expected? A header of its own
 * sum does so alone. */
static bool proves(const struct journal_scan *self, const struct journal_place *place,
                   struct zsp_slice rest, uint64_t *hash_bytes, struct journal_header *ret)
{
    struct journal_parts parts;
    if (journal_decode_header(rest, place, ret, NULL) < 0 || ret->version < self->version ||
        ret->synced_to <= self->expected) {
        return false;
    }
    if (ret->version > 1) {
        return true;
    }
    /* Headers that pretend to be old cost a sum over their bodies, and these may overlap. What
     * cannot be told in reasonable time is not to be cut. */
    if (*hash_bytes < ret->body_bytes) {
        return true;
    }
    *hash_bytes -= ret->body_bytes;
    return journal_decode(rest, place, ret, &parts, NULL) == 0;
}

bool journal_proven_behind(struct journal_scan *self, uint64_t number, uint64_t pos)
{
    const struct zsp_slice all = zsp_writer_slice(&self->bytes);
    struct journal_place place = {self->uuid, number, pos + JOURNAL_ALIGN};
    uint64_t hash_bytes = all.len * OLD_RATE + ZSP_JOURNAL_RECORD_MAX;
    for (; place.pos < all.len; place.pos += JOURNAL_ALIGN) {
        struct journal_header header;
        const struct zsp_slice rest = {all.data + place.pos, all.len - (size_t)place.pos};
        if (proves(self, &place, rest, &hash_bytes, &header)) {
            self->mark = header.synced_to;
            return true;
        }
    }
    return false;
}

size_t journal_nonzero_end(struct zsp_slice bytes, size_t from)
{
    size_t end = bytes.len;
    while (end >= from + 8 && zsp_get_u64(bytes.data + end - 8) == 0) {
        end -= 8; /* it may be a whole file of zeros */
    }
    while (end > from && bytes.data[end - 1] == 0) {
        end--;
    }
    return end;
}

static int holds_anything(struct journal_scan *self, int file, bool *ret, struct zsp_err *err)
{
    struct fs *fs = self->fs;
    static const size_t piece = 64 * 1024;
    uint8_t *bytes = malloc(piece);
    if (!bytes) {
        return zsp_err_set(err, ZSP_ENOMEM, "journal");
    }
    size_t got = piece;
    int rc = 0;
    *ret = false;
    for (uint64_t pos = 0; rc == 0 && got == piece && !*ret; pos += got) {
        rc = layout_read_at(fs, file, bytes, piece, pos, &got, err);
        *ret = rc == 0 && journal_nonzero_end((struct zsp_slice){bytes, got}, 0) > 0;
    }
    free(bytes);
    return rc;
}

/* Does a file behind this one hold anything? Then all of this one was synced. */
static int later_file_holds(struct journal_scan *self, uint64_t number, bool *ret,
                            struct zsp_err *err)
{
    *ret = false;
    for (size_t i = 0; i < self->number_count && !*ret; i++) {
        if (self->numbers[i] <= number) {
            continue;
        }
        char path[LAYOUT_PATH_MAX];
        layout_journal_path(path, self->numbers[i]);
        const int file = self->fs->ops->open(self->fs->self, path, FS_READ, err);
        const int rc = file < 0 ? file : holds_anything(self, file, ret, err);
        if (file >= 0) {
            (void)self->fs->ops->close(self->fs->self, file, NULL); /* only read */
        }
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

/* Is the data of all redo entries as it was written? */
static bool data_holds(const struct journal_parts *parts)
{
    struct zsp_reader reader = zsp_reader_init(parts->body);
    struct zsp_reader data = zsp_reader_init(parts->data);
    struct store_entry entry;
    struct journal_redo redo;
    struct zsp_slice bytes;
    while (journal_next_entry(&reader, &entry)) {
        if (entry.kind == STORE_REDO && journal_read_redo(entry.value, &data, &redo, &bytes) &&
            !journal_redo_valid(&redo, bytes)) {
            return false;
        }
    }
    return true; /* or malformed, which is told when it is applied */
}

int journal_judge_data(struct journal_scan *self, const struct journal_place *place,
                       const struct journal_parts *parts, struct zsp_err *end, struct zsp_err *err)
{
    if (parts->data.len == 0 || data_holds(parts) || self->mark > self->expected ||
        journal_proven_behind(self, place->file, place->pos)) {
        return 1;
    }
    bool proven = false;
    const int rc = later_file_holds(self, place->file, &proven, err);
    if (rc == 0 && !proven) {
        (void)zsp_err_set(end, ZSP_ECORRUPT, "pos %" PRIu64 ": the data of a redo entry is damaged",
                          place->pos);
    }
    return rc < 0 ? rc : proven;
}
