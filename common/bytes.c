/* SPDX-License-Identifier: MPL-2.0 */
#include "common/bytes.h"

#include <stdlib.h>
#include <string.h>

#define WRITER_CAPACITY_MIN 256u

/* What an absent slice points to, so that no arithmetic is done on NULL. */
static const uint8_t nothing[1] = {0};

struct zsp_slice zsp_slice_str(const char *text)
{
    if (!text) {
        return (struct zsp_slice){NULL, 0};
    }
    return (struct zsp_slice){(const uint8_t *)text, strlen(text)};
}

bool zsp_slice_equal(struct zsp_slice a, struct zsp_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool zsp_slice_equal_str(struct zsp_slice a, const char *text)
{
    return zsp_slice_equal(a, zsp_slice_str(text));
}

/* --- Reader ----------------------------------------------------------------------- */

struct zsp_reader zsp_reader_init(struct zsp_slice bytes)
{
    const uint8_t *data = bytes.data ? bytes.data : nothing;
    return (struct zsp_reader){.pos = data, .end = data + bytes.len, .failed = false};
}

size_t zsp_reader_left(const struct zsp_reader *self)
{
    return self->failed ? 0 : (size_t)(self->end - self->pos);
}

/* The next `len` bytes, NULL (and failed) when there are fewer. */
static const uint8_t *take(struct zsp_reader *self, size_t len)
{
    if (self->failed || len > (size_t)(self->end - self->pos)) {
        self->failed = true;
        return NULL;
    }
    const uint8_t *taken = self->pos;
    self->pos += len;
    return taken;
}

uint8_t zsp_read_u8(struct zsp_reader *self)
{
    const uint8_t *p = take(self, 1);
    return p ? *p : 0;
}

uint16_t zsp_read_u16(struct zsp_reader *self)
{
    const uint8_t *p = take(self, 2);
    return p ? zsp_get_u16(p) : 0;
}

uint32_t zsp_read_u32(struct zsp_reader *self)
{
    const uint8_t *p = take(self, 4);
    return p ? zsp_get_u32(p) : 0;
}

uint64_t zsp_read_u64(struct zsp_reader *self)
{
    const uint8_t *p = take(self, 8);
    return p ? zsp_get_u64(p) : 0;
}

struct zsp_slice zsp_read_bytes(struct zsp_reader *self, size_t len)
{
    const uint8_t *p = take(self, len);
    return p ? (struct zsp_slice){p, len} : (struct zsp_slice){nothing, 0};
}

struct zsp_slice zsp_read_short(struct zsp_reader *self)
{
    const size_t len = zsp_read_u16(self);
    return zsp_read_bytes(self, len);
}

/* --- Writer ----------------------------------------------------------------------- */

void zsp_writer_reset(struct zsp_writer *self)
{
    self->len = 0;
    self->failed = false;
}

void zsp_writer_fini(struct zsp_writer *self)
{
    free(self->data);
    *self = (struct zsp_writer){.max = self->max};
}

struct zsp_slice zsp_writer_slice(const struct zsp_writer *self)
{
    return (struct zsp_slice){self->data ? self->data : nothing, self->len};
}

/* Make the memory hold `len` bytes more. */
static bool grow(struct zsp_writer *self, size_t len)
{
    if (len > SIZE_MAX / 2 - self->len || (self->max != 0 && len > self->max - self->len)) {
        return false;
    }
    const size_t needed = self->len + len;
    if (self->data && needed <= self->capacity) {
        return true;
    }
    size_t capacity = self->capacity < WRITER_CAPACITY_MIN ? WRITER_CAPACITY_MIN : self->capacity;
    while (capacity < needed) {
        capacity *= 2;
    }
    uint8_t *data = realloc(self->data, capacity);
    if (!data) {
        return false;
    }
    self->data = data;
    self->capacity = capacity;
    return true;
}

uint8_t *zsp_write_room(struct zsp_writer *self, size_t len)
{
    const bool fits = self->data && self->max == 0 && len <= self->capacity - self->len;
    if (self->failed || (!fits && !grow(self, len))) {
        self->failed = true;
        return NULL;
    }
    uint8_t *room = self->data + self->len;
    self->len += len;
    return room;
}

void zsp_write_u8(struct zsp_writer *self, uint8_t value)
{
    uint8_t *p = zsp_write_room(self, 1);
    if (p) {
        *p = value;
    }
}

void zsp_write_u16(struct zsp_writer *self, uint16_t value)
{
    uint8_t *p = zsp_write_room(self, 2);
    if (p) {
        zsp_put_u16(p, value);
    }
}

void zsp_write_u32(struct zsp_writer *self, uint32_t value)
{
    uint8_t *p = zsp_write_room(self, 4);
    if (p) {
        zsp_put_u32(p, value);
    }
}

void zsp_write_u64(struct zsp_writer *self, uint64_t value)
{
    uint8_t *p = zsp_write_room(self, 8);
    if (p) {
        zsp_put_u64(p, value);
    }
}

void zsp_write_bytes(struct zsp_writer *self, struct zsp_slice bytes)
{
    if (bytes.len == 0) {
        return;
    }
    uint8_t *p = zsp_write_room(self, bytes.len);
    if (p) {
        memcpy(p, bytes.data, bytes.len);
    }
}

void zsp_write_short(struct zsp_writer *self, struct zsp_slice bytes)
{
    if (bytes.len > UINT16_MAX) {
        self->failed = true;
        return;
    }
    zsp_write_u16(self, (uint16_t)bytes.len);
    zsp_write_bytes(self, bytes);
}

/* --- UTF-8 ------------------------------------------------------------------------ */

static bool is_tail(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

/* Length of the well-formed sequence at `p` of which `left` bytes exist; 0 when
 * it is not one. The bounds on the second byte exclude overlong forms,
 * surrogates and what lies above U+10FFFF. */
static size_t sequence_length(const uint8_t *p, size_t left)
{
    const uint8_t lead = p[0];
    if (lead < 0x80) {
        return 1;
    }
    if (lead < 0xc2) {
        return 0;
    }
    if (lead < 0xe0) {
        return left >= 2 && is_tail(p[1]) ? 2 : 0;
    }
    if (lead < 0xf0) {
        const uint8_t low = lead == 0xe0 ? 0xa0 : 0x80;
        const uint8_t high = lead == 0xed ? 0x9f : 0xbf;
        return left >= 3 && p[1] >= low && p[1] <= high && is_tail(p[2]) ? 3 : 0;
    }
    if (lead < 0xf5) {
        const uint8_t low = lead == 0xf0 ? 0x90 : 0x80;
        const uint8_t high = lead == 0xf4 ? 0x8f : 0xbf;
        return left >= 4 && p[1] >= low && p[1] <= high && is_tail(p[2]) && is_tail(p[3]) ? 4 : 0;
    }
    return 0;
}

bool zsp_utf8_valid(struct zsp_slice bytes)
{
    const uint8_t *p = bytes.data;
    size_t left = bytes.len;
    while (left > 0) {
        if (left >= 8) {
            uint64_t word;
            memcpy(&word, p, sizeof word);
            if ((word & UINT64_C(0x8080808080808080)) == 0) {
                p += 8;
                left -= 8;
                continue;
            }
        }
        const size_t len = sequence_length(p, left);
        if (len == 0) {
            return false;
        }
        p += len;
        left -= len;
    }
    return true;
}
