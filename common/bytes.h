/* SPDX-License-Identifier: MPL-2.0
 *
 * Bytes: borrowed slices, little-endian numbers, a bounded reader and a
 * growing writer. The only place where numbers are read out of foreign bytes or
 * put into them; no struct is ever copied to disk or wire.
 */
#ifndef ZSP_BYTES_H
#define ZSP_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/compiler.h"

/* Borrowed bytes; who lends them says until when. {NULL, 0} = absent where
 * that is a case of its own; an empty slice has a non-NULL pointer. */
struct zsp_slice {
    const uint8_t *data;
    size_t len;
};

/* The slice of a NUL-terminated string, without the NUL; {NULL, 0} for NULL. */
struct zsp_slice zsp_slice_str(const char *text);
/* Same length and same bytes; NULL-ness is not compared. */
bool zsp_slice_equal(struct zsp_slice a, struct zsp_slice b);
bool zsp_slice_equal_str(struct zsp_slice a, const char *text);

/* Fixed-width little-endian numbers at `p`, no alignment needed. Written out byte by byte: of that
 * a compiler makes one instruction, of a loop it does not. */
static inline void zsp_put_u16(uint8_t *p, uint16_t value)
{
    p[0] = (uint8_t)value;
    p[1] = (uint8_t)(value >> 8);
}

static inline void zsp_put_u32(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)value;
    p[1] = (uint8_t)(value >> 8);
    p[2] = (uint8_t)(value >> 16);
    p[3] = (uint8_t)(value >> 24);
}

static inline void zsp_put_u64(uint8_t *p, uint64_t value)
{
    p[0] = (uint8_t)value;
    p[1] = (uint8_t)(value >> 8);
    p[2] = (uint8_t)(value >> 16);
    p[3] = (uint8_t)(value >> 24);
    p[4] = (uint8_t)(value >> 32);
    p[5] = (uint8_t)(value >> 40);
    p[6] = (uint8_t)(value >> 48);
    p[7] = (uint8_t)(value >> 56);
}

static inline uint16_t zsp_get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t zsp_get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t zsp_get_u64(const uint8_t *p)
{
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
           (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 |
           (uint64_t)p[7] << 56;
}

/* A bounded reader. Once a read went past the end `failed` is set, every later
 * read returns 0 or an empty slice, and nothing is ever read out of bounds, so
 * a decoder may read all its fields and test `failed` once. */
struct zsp_reader {
    const uint8_t *pos;
    const uint8_t *end;
    bool failed;
};
struct zsp_reader zsp_reader_init(struct zsp_slice bytes);
size_t zsp_reader_left(const struct zsp_reader *self);
uint8_t zsp_read_u8(struct zsp_reader *self);
uint16_t zsp_read_u16(struct zsp_reader *self);
uint32_t zsp_read_u32(struct zsp_reader *self);
uint64_t zsp_read_u64(struct zsp_reader *self);
struct zsp_slice zsp_read_bytes(struct zsp_reader *self, size_t len);
/* u16 length, then that many bytes (zsp_write_short's counterpart). */
struct zsp_slice zsp_read_short(struct zsp_reader *self);

/* A growing writer that owns its bytes. Zero-initialised = empty, no limit. A
 * failed allocation, or growth beyond a nonzero `max`, sets `failed` and drops
 * the write; the caller tests `failed` once at the end. */
struct zsp_writer {
    uint8_t *data;
    size_t len;
    size_t capacity;
    size_t max; /* 0 = none */
    bool failed;
};
/* Forget the content, keep the memory. */
void zsp_writer_reset(struct zsp_writer *self);
/* Free the memory; the writer is empty and usable again. */
void zsp_writer_fini(struct zsp_writer *self);
/* The content; valid until the next write. */
struct zsp_slice zsp_writer_slice(const struct zsp_writer *self);
/* Room for `len` more bytes, to be filled by the caller; NULL (and failed) when
 * there is none. Valid until the next write. */
uint8_t *zsp_write_room(struct zsp_writer *self, size_t len);
void zsp_write_u8(struct zsp_writer *self, uint8_t value);
void zsp_write_u16(struct zsp_writer *self, uint16_t value);
void zsp_write_u32(struct zsp_writer *self, uint32_t value);
void zsp_write_u64(struct zsp_writer *self, uint64_t value);
void zsp_write_bytes(struct zsp_writer *self, struct zsp_slice bytes);
/* u16 length and the bytes; longer than 65,535 sets failed. */
void zsp_write_short(struct zsp_writer *self, struct zsp_slice bytes);

/* True when the bytes are valid UTF-8 (no surrogates, no overlong forms). */
bool zsp_utf8_valid(struct zsp_slice bytes);

#endif
