/* SPDX-License-Identifier: MPL-2.0
 *
 * One MessagePack token read from foreign bytes: a scalar, the bytes of a string
 * or binary, or the head of an array or map. Nothing is allocated and nothing
 * beyond `end` is read; a count is believed only as far as the bytes that remain
 * could hold it. Inline, because the check of every published record is made of
 * these.
 */
#ifndef ZSP_TOKEN_H
#define ZSP_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum zsp_token_kind {
    ZSP_TOKEN_NIL,
    ZSP_TOKEN_BOOL,     /* value 0 or 1 */
    ZSP_TOKEN_UINT,     /* value; any encoding of a number >= 0 */
    ZSP_TOKEN_NEGATIVE, /* value is the two's complement of the number */
    ZSP_TOKEN_FLOAT,    /* value is not set */
    ZSP_TOKEN_STR,      /* value bytes at data, not checked for UTF-8 */
    ZSP_TOKEN_BIN,      /* value bytes at data */
    ZSP_TOKEN_ARRAY,    /* value items follow */
    ZSP_TOKEN_MAP,      /* value pairs follow */
    ZSP_TOKEN_EXT       /* value bytes at data */
};

struct zsp_token {
    enum zsp_token_kind kind;
    uint64_t value;
    const uint8_t *data;
};

/* `width` bytes (1, 2, 4 or 8) at `p`, most significant first: MessagePack's
 * byte order. */
static inline uint64_t zsp_token_number(const uint8_t *p, size_t width)
{
    if (width == 1) {
        return p[0];
    }
    uint64_t value = (uint64_t)p[0] << 8 | p[1];
    for (size_t i = 2; i < width; i++) {
        value = value << 8 | p[i];
    }
    return value;
}

/* The rest of a token whose length or count is known: bytes must all be there,
 * an item takes one byte at least, a pair two. */
static inline const uint8_t *zsp_token_sized(const uint8_t *pos, const uint8_t *end,
                                             enum zsp_token_kind kind, uint64_t value,
                                             struct zsp_token *ret)
{
    const uint64_t left = (uint64_t)(end - pos);
    const uint64_t most = kind == ZSP_TOKEN_MAP ? left / 2 : left;
    if (value > most) {
        return NULL;
    }
    ret->kind = kind;
    ret->value = value;
    ret->data = pos;
    return kind == ZSP_TOKEN_ARRAY || kind == ZSP_TOKEN_MAP ? pos : pos + value;
}

/* As zsp_token_sized() with the size still to be read: `width` bytes at `pos`. */
static inline const uint8_t *zsp_token_lengthed(const uint8_t *pos, const uint8_t *end,
                                                enum zsp_token_kind kind, size_t width,
                                                struct zsp_token *ret)
{
    if (width > (size_t)(end - pos)) {
        return NULL;
    }
    return zsp_token_sized(pos + width, end, kind, zsp_token_number(pos, width), ret);
}

/* A signed number of `width` bytes at `pos`. */
static inline const uint8_t *zsp_token_signed(const uint8_t *pos, const uint8_t *end, size_t width,
                                              struct zsp_token *ret)
{
    if (width > (size_t)(end - pos)) {
        return NULL;
    }
    uint64_t value = zsp_token_number(pos, width);
    const bool negative = (pos[0] & 0x80) != 0;
    if (negative && width < 8) {
        value |= UINT64_MAX << (8 * width);
    }
    *ret = (struct zsp_token){negative ? ZSP_TOKEN_NEGATIVE : ZSP_TOKEN_UINT, value, NULL};
    return pos + width;
}

/* A number that is its own `width` bytes at `pos`. */
static inline const uint8_t *zsp_token_fixed(const uint8_t *pos, const uint8_t *end,
                                             enum zsp_token_kind kind, size_t width,
                                             struct zsp_token *ret)
{
    if (width > (size_t)(end - pos)) {
        return NULL;
    }
    *ret = (struct zsp_token){kind, zsp_token_number(pos, width), NULL};
    return pos + width;
}

/* Formats 0xc0 to 0xdf: one head byte, `pos` is behind it. */
static inline const uint8_t *zsp_token_wide(uint8_t head, const uint8_t *pos, const uint8_t *end,
                                            struct zsp_token *ret)
{
    if (head >= 0xc4 && head <= 0xc6) { /* bin 8, 16, 32 */
        return zsp_token_lengthed(pos, end, ZSP_TOKEN_BIN, (size_t)1 << (head - 0xc4), ret);
    }
    if (head >= 0xd9 && head <= 0xdb) { /* str 8, 16, 32 */
        return zsp_token_lengthed(pos, end, ZSP_TOKEN_STR, (size_t)1 << (head - 0xd9), ret);
    }
    if (head >= 0xcc && head <= 0xcf) { /* uint 8 to 64 */
        return zsp_token_fixed(pos, end, ZSP_TOKEN_UINT, (size_t)1 << (head - 0xcc), ret);
    }
    if (head >= 0xd0 && head <= 0xd3) { /* int 8 to 64 */
        return zsp_token_signed(pos, end, (size_t)1 << (head - 0xd0), ret);
    }
    if (head == 0xdc || head == 0xdd) { /* array 16, 32 */
        return zsp_token_lengthed(pos, end, ZSP_TOKEN_ARRAY, (size_t)2 << (head - 0xdc), ret);
    }
    if (head == 0xde || head == 0xdf) { /* map 16, 32 */
        return zsp_token_lengthed(pos, end, ZSP_TOKEN_MAP, (size_t)2 << (head - 0xde), ret);
    }
    if (head == 0xca || head == 0xcb) { /* float 32, 64 */
        return zsp_token_fixed(pos, end, ZSP_TOKEN_FLOAT, (size_t)4 << (head - 0xca), ret);
    }
    if (head == 0xc2 || head == 0xc3) {
        *ret = (struct zsp_token){ZSP_TOKEN_BOOL, head & 1u, NULL};
        return pos;
    }
    if (head == 0xc0) {
        *ret = (struct zsp_token){ZSP_TOKEN_NIL, 0, NULL};
        return pos;
    }
    if (head >= 0xc7 && head <= 0xc9) { /* ext 8, 16, 32: length, type, bytes */
        const size_t width = (size_t)1 << (head - 0xc7);
        if (width >= (size_t)(end - pos)) {
            return NULL;
        }
        const uint64_t len = zsp_token_number(pos, width);
        return zsp_token_sized(pos + width + 1, end, ZSP_TOKEN_EXT, len, ret);
    }
    if (head >= 0xd4 && head <= 0xd8) { /* fixext 1 to 16: type, bytes */
        if (pos == end) {
            return NULL;
        }
        return zsp_token_sized(pos + 1, end, ZSP_TOKEN_EXT, UINT64_C(1) << (head - 0xd4), ret);
    }
    return NULL; /* 0xc1 is no format */
}

/* Read the token at `pos`. Returns the position behind it (behind the bytes of a
 * string, before the items of an array), NULL when it is cut off, lies about its
 * size or is no MessagePack; *ret is then undefined. */
static inline const uint8_t *zsp_token_read(const uint8_t *pos, const uint8_t *end,
                                            struct zsp_token *ret)
{
    if (pos == end) {
        return NULL;
    }
    const uint8_t head = *pos++;
    if (head >= 0xc0 && head < 0xe0) {
        return zsp_token_wide(head, pos, end, ret);
    }
    if (head < 0x80) {
        *ret = (struct zsp_token){ZSP_TOKEN_UINT, head, NULL};
        return pos;
    }
    if (head >= 0xe0) {
        *ret = (struct zsp_token){ZSP_TOKEN_NEGATIVE, UINT64_MAX << 8 | head, NULL};
        return pos;
    }
    if (head >= 0xa0) {
        return zsp_token_sized(pos, end, ZSP_TOKEN_STR, head & 0x1fu, ret);
    }
    const enum zsp_token_kind kind = head >= 0x90 ? ZSP_TOKEN_ARRAY : ZSP_TOKEN_MAP;
    return zsp_token_sized(pos, end, kind, head & 0x0fu, ret);
}

/* "a string", "a map", ...: the kind for people. */
static inline const char *zsp_token_kind_name(enum zsp_token_kind kind)
{
    switch (kind) {
    case ZSP_TOKEN_NIL:
        return "nil";
    case ZSP_TOKEN_BOOL:
        return "a boolean";
    case ZSP_TOKEN_UINT:
        return "a number";
    case ZSP_TOKEN_NEGATIVE:
        return "a negative number";
    case ZSP_TOKEN_FLOAT:
        return "a float";
    case ZSP_TOKEN_STR:
        return "a string";
    case ZSP_TOKEN_BIN:
        return "binary";
    case ZSP_TOKEN_ARRAY:
        return "an array";
    case ZSP_TOKEN_MAP:
        return "a map";
    case ZSP_TOKEN_EXT:
        return "an extension type";
    }
    return "nothing";
}

#endif
