/* SPDX-License-Identifier: MPL-2.0
 *
 * Redo entries that a journal holds: finding, ordering, and laying them over a segment. See
 * redo.h.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/file/layout.h"
#include "broker/store/journal/redo.h"
#include "common/hash.h"
#include "common/limits.h"

#define WRITE_BYTES (256u * ZSP_KIB) /* of one write to a segment, unless one entry has more */

/* Drop what does not matter, but for what is damaged. */
static void prune(struct redo_log *self, uint64_t from, uint64_t oldest_file)
{
    size_t kept = 0;
    for (size_t i = 0; i < self->count; i++) {
        struct redo_item *item = &self->items[i];
        item->paid = item->record < from || item->file < oldest_file;
        if (!item->paid || item->damaged) {
            self->items[kept++] = *item;
        }
    }
    self->count = kept;
}

int redo_log_note(struct redo_log *self, const struct redo_item *item, uint64_t from,
                  uint64_t oldest_file, struct zsp_err *err)
{
    const bool full = self->count == self->capacity;
    if (full) {
        prune(self, from, oldest_file);
    }
    const size_t max = self->max > 0 ? self->max : REDO_ITEMS_MAX;
    if (self->count >= max) {
        prune(self, from, oldest_file);
    }
    if (self->count >= max) {
        return zsp_err_set(err, ZSP_ECORRUPT,
                           "record %" PRIu64 " of journal file %" PRIu64
                           ": more than %zu redo entries that are not paid",
                           item->record, item->file, max);
    }
    if (full && self->count >= self->capacity / 4 * 3) {
        size_t capacity = self->capacity ? self->capacity / 2 * 3 : 64;
        capacity = capacity < max ? capacity : max;
        struct redo_item *items = realloc(self->items, capacity * sizeof *items);
        if (!items) {
            return zsp_err_set(err, ZSP_ENOMEM, "redo entries");
        }
        self->items = items;
        self->capacity = capacity;
    }
    self->items[self->count++] = *item;
    return 0;
}

/* By topic and partition, and among these as they were written. */
static int compare(const void *a_p, const void *b_p)
{
    const struct redo_item *const a = a_p;
    const struct redo_item *const b = b_p;
    if (a->topic_id != b->topic_id) {
        return a->topic_id < b->topic_id ? -1 : 1;
    }
    if (a->partition != b->partition) {
        return a->partition < b->partition ? -1 : 1;
    }
    if (a->record != b->record) {
        return a->record < b->record ? -1 : 1;
    }
    return a->file_pos < b->file_pos ? -1 : a->file_pos > b->file_pos;
}

void redo_log_sort(struct redo_log *self, uint64_t from, uint64_t oldest_file)
{
    prune(self, from, oldest_file);
    if (self->count > 1) {
        qsort(self->items, self->count, sizeof *self->items, compare);
    }
}

const struct redo_item *redo_log_find(const struct redo_log *self, uint64_t topic_id,
                                      uint32_t partition, size_t *ret_count)
{
    const struct redo_item key = {.topic_id = topic_id, .partition = partition};
    size_t first = 0;
    size_t end = self->count;
    while (first < end) { /* the first that is not below the key */
        const size_t middle = first + (end - first) / 2;
        if (compare(&self->items[middle], &key) < 0) {
            first = middle + 1;
        } else {
            end = middle;
        }
    }
    size_t count = 0;
    while (first + count < self->count && self->items[first + count].topic_id == topic_id &&
           self->items[first + count].partition == partition) {
        count++;
    }
    *ret_count = count;
    return count > 0 ? self->items + first : NULL;
}

void redo_log_fini(struct redo_log *self)
{
    free(self->items);
    memset(self, 0, sizeof *self);
}

/* --- The bytes ------------------------------------------------------------------------------ */

/* A journal file that is open for reading. */
struct source {
    struct fs *fs;
    uint64_t number; /* 0 = none */
    int file;
};

static void source_close(struct source *self)
{
    if (self->number != 0) {
        (void)self->fs->ops->close(self->fs->self, self->file, NULL); /* only read */
        self->number = 0;
    }
}

/* `len` bytes of the item, from its byte `skip` on. */
static int source_read(struct source *self, const struct redo_item *item, uint32_t skip,
                       uint8_t *data, size_t len, struct zsp_err *err)
{
    char path[LAYOUT_PATH_MAX];
    layout_journal_path(path, item->file);
    if (self->number != item->file) {
        source_close(self);
        self->file = self->fs->ops->open(self->fs->self, path, FS_READ, err);
        if (self->file < 0) {
            return self->file;
        }
        self->number = item->file;
    }
    size_t got = 0;
    const int rc =
        layout_read_at(self->fs, self->file, data, len, item->file_pos + skip, &got, err);
    if (rc == 0 && got < len) {
        return zsp_err_set(err, ZSP_EIO, "%s: ends at a redo entry", path);
    }
    return rc;
}

bool redo_covers(const struct redo_item *items, size_t count, uint64_t segment, uint64_t end)
{
    uint64_t pos = 0;
    for (size_t i = 0; i < count; i++) {
        const struct redo_item *const item = &items[i];
        if (item->segment == segment && !item->damaged && item->pos <= pos &&
            item->pos + item->len > pos) {
            pos = item->pos + item->len;
        }
    }
    return end > 0 && pos >= end;
}

int redo_overlay(struct fs *fs, const struct redo_item *items, size_t count, uint64_t segment,
                 uint64_t pos, uint8_t *data, size_t len, struct zsp_err *err)
{
    struct source source = {.fs = fs};
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++) {
        const struct redo_item *const item = &items[i];
        const uint64_t from = item->pos > pos ? item->pos : pos;
        const uint64_t item_end = item->pos + item->len;
        const uint64_t end = item_end < pos + len ? item_end : pos + len;
        if (item->segment == segment && !item->damaged && from < end) {
            rc = source_read(&source, item, (uint32_t)(from - item->pos), data + (from - pos),
                             (size_t)(end - from), err);
        }
    }
    source_close(&source);
    return rc;
}

/* The item's bytes, from the journal or, if they are damaged there, from the segment itself. */
static int good_bytes(struct source *source, const struct redo_item *item, int file, uint8_t *data,
                      struct zsp_err *err)
{
    struct fs *fs = source->fs;
    size_t got = item->len;
    const int rc = item->damaged ? layout_read_at(fs, file, data, item->len, item->pos, &got, err)
                                 : source_read(source, item, 0, data, item->len, err);
    if (rc == 0 && (got < item->len || zsp_hash((struct zsp_slice){data, got}) != item->sum)) {
        return zsp_err_set(err, ZSP_ECORRUPT,
                           "journal file %" PRIu64 " at pos %" PRIu32
                           ": bytes that segment %" PRIu64 " wants at pos %" PRIu64 " are damaged",
                           item->file, item->file_pos, item->segment, item->pos);
    }
    return rc;
}

/* Bytes on their way to the segment: what follows each other goes in one write. */
struct pending {
    struct fs *fs;
    int file;
    uint64_t pos;
    size_t len;
    uint8_t *data;
    size_t capacity;
};

static int pending_write(struct pending *self, struct zsp_err *err)
{
    const struct zsp_slice bytes = {self->data, self->len};
    self->len = 0;
    return bytes.len > 0 ? layout_write_at(self->fs, self->file, bytes, self->pos, err) : 0;
}

/* Room for the bytes of an item; what was pending is written if they do not fit behind it. */
static int pending_room(struct pending *self, const struct redo_item *item, struct zsp_err *err)
{
    int rc = 0;
    if (self->pos + self->len != item->pos || self->capacity - self->len < item->len) {
        rc = pending_write(self, err);
        self->pos = item->pos;
    }
    if (rc == 0 && self->capacity - self->len < item->len) {
        free(self->data);
        self->capacity = item->len < WRITE_BYTES ? WRITE_BYTES : item->len;
        self->data = malloc(self->capacity);
        if (!self->data) {
            self->capacity = 0;
            return zsp_err_set(err, ZSP_ENOMEM, "redo of %" PRIu32 " bytes", item->len);
        }
    }
    return rc;
}

int redo_apply(struct fs *fs, const struct redo_item *items, size_t count, uint64_t segment,
               int file, uint64_t *ret_end, struct zsp_err *err)
{
    struct source source = {.fs = fs};
    struct pending pending = {.fs = fs, .file = file};
    bool any = false;
    int rc = 0;
    *ret_end = 0;
    for (size_t i = 0; i < count && rc == 0; i++) {
        const struct redo_item *const item = &items[i];
        if (item->segment != segment) {
            continue;
        }
        rc = pending_room(&pending, item, err);
        if (rc == 0) {
            rc = good_bytes(&source, item, file, pending.data + pending.len, err);
        }
        if (rc == 0) {
            pending.len += item->len;
        }
        const uint64_t end = item->pos + item->len;
        *ret_end = end > *ret_end ? end : *ret_end;
        any = true;
    }
    if (rc == 0) {
        rc = pending_write(&pending, err);
    }
    free(pending.data);
    source_close(&source);
    return rc < 0 ? rc : any;
}
