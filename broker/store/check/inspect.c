/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/check/inspect.h"

#include <inttypes.h>
#include <string.h>

#include "broker/store/file/layout.h"
#include "broker/store/journal/journal_scan.h"

/* How often a file is summed, at most, to find where a record can be made out again. */
#define SEARCH_TIMES 16u

static bool all_zero(struct zsp_slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.data[i] != 0) {
            return false;
        }
    }
    return true;
}

/* --- A segment ------------------------------------------------------------------------ */

int inspect_segment_open(struct inspect_segment *self, struct fs *fs, const char *path,
                         const struct batch_place *place, struct zsp_err *err)
{
    memset(self, 0, sizeof *self);
    const int file = fs->ops->open(fs->self, path, FS_READ, err);
    if (file < 0) {
        return zsp_err_wrap(err, "%s", path);
    }
    uint64_t bytes = 0;
    const int rc = fs->ops->size(fs->self, file, &bytes, err);
    if (rc < 0) {
        (void)fs->ops->close(fs->self, file, NULL); /* only read */
        return zsp_err_wrap(err, "%s", path);
    }
    self->scan = (struct scan){.fs = fs, .file = file, .file_bytes = bytes, .place = *place};
    self->bound = place->uuid != NULL;
    return 0;
}

void inspect_segment_close(struct inspect_segment *self)
{
    struct fs *fs = self->scan.fs;
    if (fs) {
        (void)fs->ops->close(fs->self, self->scan.file, NULL); /* only read */
    }
    scan_fini(&self->scan);
    self->scan.fs = NULL;
}

/* The header at `pos`, checked as far as can be. Returns 0, 1 = none, or an error. */
static int header_at(struct inspect_segment *self, uint64_t pos, struct batch_header *ret,
                     struct zsp_err *what, struct zsp_err *err)
{
    struct scan *scan = &self->scan;
    struct zsp_slice bytes;
    const int rc = scan_bytes(scan, pos, BATCH_HEADER_BYTES, &bytes, err);
    if (rc < 0) {
        return rc;
    }
    if (bytes.len < BATCH_HEADER_BYTES) {
        (void)zsp_err_set(what, ZSP_ECORRUPT, "the file ends inside a header");
        return 1;
    }
    struct batch_place place = scan->place;
    place.pos = pos;
    const int bad = self->bound ? batch_decode(bytes.data, &place, ret, what)
                                : batch_decode_unbound(bytes.data, ret, what);
    if (bad == 0 && batch_bytes(ret->batch.body.len) > scan->file_bytes - pos) {
        (void)zsp_err_set(what, ZSP_ECORRUPT, "the file ends inside a batch of %" PRIu64 " bytes",
                          batch_bytes(ret->batch.body.len));
        return 1;
    }
    return bad < 0 ? 1 : 0;
}

/* The body behind a header; *ret_good = its sum holds. */
static int body_at(struct inspect_segment *self, uint64_t pos, struct batch_header *header,
                   bool *ret_good, struct zsp_err *err)
{
    struct zsp_slice body;
    const int rc =
        scan_bytes(&self->scan, pos + BATCH_HEADER_BYTES, header->batch.body.len, &body, err);
    if (rc < 0) {
        return rc;
    }
    *ret_good = batch_body_valid(header, body);
    header->batch.body = body;
    return 0;
}

/* Where something can be made out again behind `pos`; the end of the file if nowhere. */
static int find_next(struct inspect_segment *self, uint64_t pos, uint64_t *ret, struct zsp_err *err)
{
    struct scan *scan = &self->scan;
    struct batch_header header;
    for (pos += BATCH_ALIGN; pos < scan->file_bytes; pos += BATCH_ALIGN) {
        struct zsp_slice bytes;
        int rc = scan_bytes(scan, pos, 4, &bytes, err);
        if (rc < 0) {
            return rc;
        }
        if (bytes.len < 4 || !batch_has_magic(bytes.data)) {
            continue;
        }
        bool good = true;
        rc = header_at(self, pos, &header, NULL, err);
        if (rc == 0 && !self->bound) {
            rc = body_at(self, pos, &header, &good, err);
        }
        if (rc < 0) {
            return rc;
        }
        if (rc == 0 && good) {
            *ret = pos;
            return 0;
        }
    }
    *ret = scan->file_bytes;
    return 0;
}

/* The end of the zeros that begin at `pos`, a multiple of BATCH_ALIGN; `pos` if there are none. */
static int zeros_end(struct inspect_segment *self, uint64_t pos, uint64_t *ret, struct zsp_err *err)
{
    const struct scan *scan = &self->scan;
    while (pos < scan->file_bytes) {
        struct zsp_slice bytes;
        const int rc = scan_bytes(&self->scan, pos, 64 * ZSP_KIB, &bytes, err);
        if (rc < 0) {
            return rc;
        }
        size_t i = 0;
        while (i < bytes.len && bytes.data[i] == 0) {
            i++;
        }
        if (i < bytes.len || bytes.len == 0) {
            *ret = pos + i - i % BATCH_ALIGN;
            return 0;
        }
        pos += bytes.len;
    }
    *ret = scan->file_bytes;
    return 0;
}

/* Does the item follow its predecessor? item->what says so if not. */
static void compare_order(struct inspect_segment *self, struct inspect_item *item)
{
    struct scan *scan = &self->scan;
    const struct batch_header *header = &item->header;
    if (self->any && header->batch.first_offset != scan->offset) {
        (void)zsp_err_set(&item->what, ZSP_ECORRUPT, "offset %" PRIu64 " was due", scan->offset);
    } else if (self->any && header->epoch < scan->epoch) {
        (void)zsp_err_set(&item->what, ZSP_ECORRUPT, "stale: an epoch of 0x%" PRIx64 " was before",
                          scan->epoch);
    }
    self->any = true;
    scan->offset = header->batch.first_offset + header->batch.record_count;
    scan->epoch = header->epoch;
}

int inspect_segment_next(struct inspect_segment *self, struct inspect_item *ret,
                         struct zsp_err *err)
{
    struct scan *scan = &self->scan;
    const uint64_t pos = scan->place.pos;
    *ret = (struct inspect_item){.pos = pos, .end_pos = pos};
    if (pos >= scan->file_bytes) {
        return INSPECT_END;
    }
    int rc = zeros_end(self, pos, &ret->end_pos, err);
    if (rc < 0 || ret->end_pos > pos) {
        scan->place.pos = ret->end_pos;
        return rc < 0 ? rc : INSPECT_ZEROS;
    }
    rc = header_at(self, pos, &ret->header, &ret->what, err);
    if (rc == 0) {
        rc = body_at(self, pos, &ret->header, &ret->body_good, err);
    }
    if (rc < 0) {
        return rc;
    }
    if (rc == 0 && (self->bound || ret->body_good)) {
        ret->end_pos = pos + batch_bytes(ret->header.batch.body.len);
        scan->place.pos = ret->end_pos;
        compare_order(self, ret);
        return INSPECT_ITEM;
    }
    if (rc == 0) {
        (void)zsp_err_set(&ret->what, ZSP_ECORRUPT, "body sum does not hold");
    }
    rc = find_next(self, pos, &ret->end_pos, err);
    scan->place.pos = ret->end_pos;
    self->any = false;
    return rc < 0 ? rc : INSPECT_DAMAGE;
}

/* --- A journal file --------------------------------------------------------------------- */

int inspect_journal_open(struct inspect_journal *self, struct fs *fs, const char *path,
                         const struct journal_place *place, struct zsp_err *err)
{
    memset(self, 0, sizeof *self);
    self->place = *place;
    return layout_read_file(fs, path, JOURNAL_FILE_BYTES_MAX, &self->bytes, err);
}

void inspect_journal_close(struct inspect_journal *self)
{
    zsp_writer_fini(&self->bytes);
}

static struct zsp_slice rest_from(const struct inspect_journal *self, uint64_t pos)
{
    return (struct zsp_slice){self->bytes.data + pos, self->bytes.len - (size_t)pos};
}

static bool record_at(const struct inspect_journal *self, uint64_t pos, struct inspect_item *item,
                      struct zsp_err *what)
{
    struct journal_place place = self->place;
    place.pos = pos;
    return journal_decode(rest_from(self, pos), &place, &item->record, &item->parts, what) == 0;
}

/* May one more place be looked at? A header of version 1 has no sum of its own, so that its whole body
 * is summed: many that pretend to be one would take for ever. */
static bool may_search(struct inspect_journal *self, uint64_t pos)
{
    const uint8_t *const bytes = self->bytes.data + pos;
    const uint64_t left = self->bytes.len - pos;
    if (left < 16 || memcmp(bytes, "ZSPJ", 4) != 0 || bytes[4] != 1) {
        return true;
    }
    const uint64_t body = zsp_get_u32(bytes + 12);
    self->searched += body < left ? body : left;
    return self->searched <= SEARCH_TIMES * self->bytes.len;
}

enum inspect_found inspect_journal_next(struct inspect_journal *self, struct inspect_item *ret)
{
    const uint64_t pos = self->place.pos;
    const uint64_t len = self->bytes.len;
    *ret = (struct inspect_item){.pos = pos, .end_pos = len};
    if (pos >= len) {
        return INSPECT_END;
    }
    if (record_at(self, pos, ret, &ret->what)) {
        ret->end_pos = pos + journal_record_bytes(&ret->record);
        ret->end_pos = ret->end_pos < len ? ret->end_pos : len;
        if (self->any && ret->record.number != self->next_number) {
            (void)zsp_err_set(&ret->what, ZSP_ECORRUPT, "record %" PRIu64 " was due",
                              self->next_number);
        } else if (self->any && ret->record.epoch < self->epoch) {
            (void)zsp_err_set(&ret->what, ZSP_ECORRUPT,
                              "stale: an epoch of 0x%" PRIx64 " was before", self->epoch);
        }
        self->any = true;
        self->next_number = ret->record.number + 1;
        self->epoch = ret->record.epoch;
        self->place.pos = ret->end_pos;
        return INSPECT_ITEM;
    }
    const bool zeros = all_zero((struct zsp_slice){
        self->bytes.data + pos, len - pos < JOURNAL_ALIGN ? (size_t)(len - pos) : JOURNAL_ALIGN});
    struct inspect_item next;
    for (uint64_t at = pos + JOURNAL_ALIGN; at < len; at += JOURNAL_ALIGN) {
        const size_t word = len - at < JOURNAL_ALIGN ? (size_t)(len - at) : JOURNAL_ALIGN;
        const bool zero = all_zero((struct zsp_slice){self->bytes.data + at, word});
        if (!zeros && !zero && !may_search(self, at)) {
            break;
        }
        if ((zeros && !zero) || (!zeros && !zero && record_at(self, at, &next, NULL))) {
            ret->end_pos = at;
            break;
        }
    }
    self->place.pos = ret->end_pos;
    self->any = self->any && zeros;
    return zeros ? INSPECT_ZEROS : INSPECT_DAMAGE;
}
