/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/segment/scan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/file/layout.h"
#include "common/assert.h"

#define SCAN_READ_BYTES (256u * ZSP_KIB) /* one read of the file; grows for a large batch */

static bool all_zero(struct zsp_slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.data[i] != 0) {
            return false;
        }
    }
    return true;
}

/* Fill the buffer from `pos` with at least `len` bytes, as far as there are any. */
static int load(struct scan *self, uint64_t pos, size_t len, struct zsp_err *err)
{
    size_t want = len > SCAN_READ_BYTES ? len : SCAN_READ_BYTES;
    if (want > self->capacity) {
        uint8_t *data = realloc(self->data, want);
        if (!data) {
            return zsp_err_set(err, ZSP_ENOMEM, "read %zu bytes", want);
        }
        self->data = data;
        self->capacity = want;
    }
    if (want > self->file_bytes - pos) {
        want = (size_t)(self->file_bytes - pos);
    }
    self->data_pos = pos;
    self->data_len = 0;
    if (self->file >= 0) {
        const int rc =
            layout_read_at(self->fs, self->file, self->data, want, pos, &self->data_len, err);
        if (rc < 0) {
            return rc;
        }
    }
    if (self->redo_count == 0) {
        return 0;
    }
    memset(self->data + self->data_len, 0, want - self->data_len); /* the file may be shorter */
    self->data_len = want;
    return redo_overlay(self->fs, self->redo, self->redo_count, self->place.segment, pos,
                        self->data, want, err);
}

void scan_lay_over(struct scan *self, const struct redo_item *items, size_t count)
{
    self->redo = items;
    self->redo_count = count;
    for (size_t i = 0; i < count; i++) {
        const uint64_t end = items[i].pos + items[i].len;
        if (items[i].segment == self->place.segment && end > self->file_bytes) {
            self->file_bytes = end;
        }
    }
}

int scan_bytes(struct scan *self, uint64_t pos, size_t len, struct zsp_slice *ret,
               struct zsp_err *err)
{
    if (pos >= self->file_bytes) {
        *ret = (struct zsp_slice){(const uint8_t *)"", 0};
        return 0;
    }
    if (len > self->file_bytes - pos) {
        len = (size_t)(self->file_bytes - pos);
    }
    const bool inside = pos >= self->data_pos && pos - self->data_pos <= self->data_len &&
                        len <= self->data_len - (size_t)(pos - self->data_pos);
    if (!inside) {
        const int rc = load(self, pos, len, err);
        if (rc < 0) {
            return rc;
        }
    }
    const size_t skip = (size_t)(pos - self->data_pos);
    const size_t left = self->data_len - skip;
    *ret = (struct zsp_slice){self->data + skip, left < len ? left : len};
    return 0;
}

/* The header at the scan's place: is it the one that must come? */
static int check_header(struct scan *self, struct zsp_slice bytes, struct batch_header *ret,
                        struct zsp_err *err)
{
    if (bytes.len < BATCH_HEADER_BYTES) {
        if (all_zero(bytes)) {
            return SCAN_END;
        }
        (void)zsp_err_set(err, ZSP_ECORRUPT, "pos %" PRIu64 ": the file ends inside a header",
                          self->place.pos);
        return SCAN_INVALID;
    }
    if (batch_decode(bytes.data, &self->place, ret, err) < 0) {
        return all_zero((struct zsp_slice){bytes.data, BATCH_HEADER_BYTES}) ? SCAN_END
                                                                            : SCAN_INVALID;
    }
    if (ret->epoch < self->epoch) {
        (void)zsp_err_set(err, ZSP_ECORRUPT,
                          "pos %" PRIu64 ": stale batch of epoch 0x%" PRIx64 " after 0x%" PRIx64,
                          self->place.pos, ret->epoch, self->epoch);
        return SCAN_INVALID;
    }
    if (ret->batch.first_offset != self->offset) {
        (void)zsp_err_set(err, ZSP_ECORRUPT,
                          "pos %" PRIu64 ": batch of offset %" PRIu64 ", wanted %" PRIu64,
                          self->place.pos, ret->batch.first_offset, self->offset);
        return SCAN_INVALID;
    }
    return SCAN_BATCH;
}

int scan_next(struct scan *self, bool body, struct batch_header *ret, struct zsp_err *err)
{
    struct zsp_slice bytes;
    int rc = scan_bytes(self, self->place.pos, BATCH_HEADER_BYTES, &bytes, err);
    if (rc == 0) {
        rc = check_header(self, bytes, ret, err);
    }
    if (rc != SCAN_BATCH) {
        return rc;
    }
    const uint64_t stored = batch_bytes(ret->batch.body.len);
    if (stored > self->file_bytes - self->place.pos) {
        (void)zsp_err_set(err, ZSP_ECORRUPT, "pos %" PRIu64 ": the file ends inside a batch",
                          self->place.pos);
        return SCAN_INVALID;
    }
    if (body) {
        const size_t len = ret->batch.body.len;
        rc = scan_bytes(self, self->place.pos + BATCH_HEADER_BYTES, len, &bytes, err);
        if (rc < 0) {
            return rc;
        }
        if (!batch_body_valid(ret, bytes)) {
            (void)zsp_err_set(err, ZSP_ECORRUPT, "pos %" PRIu64 ": body sum does not hold",
                              self->place.pos);
            return SCAN_INVALID;
        }
    }
    self->place.pos += stored;
    self->offset += ret->batch.record_count;
    self->epoch = ret->epoch;
    return SCAN_BATCH;
}

int scan_find(struct scan *self, uint64_t from, uint64_t to, struct batch_header *ret,
              uint64_t *ret_pos, struct zsp_err *err)
{
    zsp_assert(from % BATCH_ALIGN == 0);
    if (to > self->file_bytes) {
        to = self->file_bytes;
    }
    for (uint64_t pos = from; pos < to && to - pos >= BATCH_HEADER_BYTES; pos += BATCH_ALIGN) {
        struct zsp_slice bytes;
        const int rc = scan_bytes(self, pos, BATCH_HEADER_BYTES, &bytes, err);
        if (rc < 0) {
            return rc;
        }
        struct batch_place place = self->place;
        place.pos = pos;
        if (bytes.len == BATCH_HEADER_BYTES && batch_has_magic(bytes.data) &&
            batch_decode(bytes.data, &place, ret, NULL) == 0) {
            *ret_pos = pos;
            return SCAN_BATCH;
        }
    }
    return SCAN_END;
}

int scan_nonzero_end(struct scan *self, uint64_t from, uint64_t *ret, struct zsp_err *err)
{
    *ret = from;
    for (uint64_t pos = from; pos < self->file_bytes;) {
        struct zsp_slice bytes;
        const int rc = scan_bytes(self, pos, SCAN_READ_BYTES, &bytes, err);
        if (rc < 0) {
            return rc;
        }
        if (bytes.len == 0) {
            break;
        }
        for (size_t i = bytes.len; i > 0; i--) {
            if (bytes.data[i - 1] != 0) {
                *ret = pos + i;
                break;
            }
        }
        pos += bytes.len;
    }
    return 0;
}

void scan_fini(struct scan *self)
{
    free(self->data);
    self->data = NULL;
    self->capacity = 0;
    self->data_len = 0;
}

const char *scan_without_pos(const char *message)
{
    const char *end = strncmp(message, "pos ", 4) == 0 ? strstr(message, ": ") : NULL;
    return end ? end + 2 : message;
}
