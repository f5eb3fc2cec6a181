/* SPDX-License-Identifier: MPL-2.0
 *
 * Headers for people. Works on bytes, not on decoded objects, so that it needs
 * no memory but the line itself and can show what the decoder refuses.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/limits.h"
#include "common/token.h"
#include "common/wire.h"

/* A line that is being written. */
struct line {
    struct zsp_writer *out;
    size_t start; /* where in `out` the line begins */
    size_t max;   /* bytes it may have */
};

static bool is_full(const struct line *line)
{
    return line->out->failed || line->out->len - line->start > line->max;
}

static void put_text(struct line *line, const char *text)
{
    zsp_write_bytes(line->out, zsp_slice_str(text));
}

/* Bytes in quotes. Text keeps its UTF-8; of binary only ASCII is shown as it is. */
static void put_quoted(struct line *line, struct zsp_slice bytes, bool is_text)
{
    put_text(line, is_text ? "\"" : "b\"");
    for (size_t i = 0; i < bytes.len && !is_full(line); i++) {
        const uint8_t byte = bytes.data[i];
        char escaped[5];
        if (byte == '"' || byte == '\\') {
            (void)snprintf(escaped, sizeof escaped, "\\%c", byte); /* these fit */
            put_text(line, escaped);
        } else if (byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !is_text)) {
            (void)snprintf(escaped, sizeof escaped, "\\x%02x", byte);
            put_text(line, escaped);
        } else {
            zsp_write_u8(line->out, byte);
        }
    }
    put_text(line, "\"");
}

/* A big-endian IEEE 754 number that was read as an integer of its width. */
static double float_of(uint64_t bits, size_t width)
{
    if (width == 4) {
        const uint32_t narrow = (uint32_t)bits;
        float value;
        memcpy(&value, &narrow, sizeof value);
        return (double)value;
    }
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void put_scalar(struct line *line, const struct zsp_token *token, size_t token_bytes)
{
    char number[40];
    number[0] = '\0';
    switch (token->kind) {
    case ZSP_TOKEN_NIL:
        put_text(line, "nil");
        break;
    case ZSP_TOKEN_BOOL:
        put_text(line, token->value ? "true" : "false");
        break;
    case ZSP_TOKEN_UINT:
        (void)snprintf(number, sizeof number, "%" PRIu64, token->value); /* these fit */
        break;
    case ZSP_TOKEN_NEGATIVE:
        (void)snprintf(number, sizeof number, "-%" PRIu64, UINT64_C(0) - token->value);
        break;
    case ZSP_TOKEN_FLOAT:
        (void)snprintf(number, sizeof number, "%g", float_of(token->value, token_bytes - 1));
        break;
    case ZSP_TOKEN_STR:
    case ZSP_TOKEN_BIN:
        put_quoted(line, (struct zsp_slice){token->data, (size_t)token->value},
                   token->kind == ZSP_TOKEN_STR);
        break;
    case ZSP_TOKEN_ARRAY:
    case ZSP_TOKEN_MAP:
    case ZSP_TOKEN_EXT:
        break; /* not scalars; a checked value has no EXT */
    }
    put_text(line, number);
}

/* Print the values of a checked header one by one. `left` and `is_map` are a
 * stack of the open arrays and maps. */
static void put_values(struct line *line, struct zsp_slice frame)
{
    const uint8_t *pos = frame.data;
    const uint8_t *const end = frame.data + frame.len;
    uint64_t left[ZSP_DEPTH_MAX];
    bool is_map[ZSP_DEPTH_MAX];
    size_t depth = 0;
    do {
        struct zsp_token token;
        const uint8_t *next = zsp_token_read(pos, end, &token);
        if (!next) {
            return; /* cannot happen: the bytes were checked */
        }
        const bool nests = token.kind == ZSP_TOKEN_ARRAY || token.kind == ZSP_TOKEN_MAP;
        const bool map = token.kind == ZSP_TOKEN_MAP;
        if (nests && token.value > 0) {
            put_text(line, map ? "{" : "[");
            is_map[depth] = map;
            left[depth++] = map ? 2 * token.value : token.value;
            pos = next;
            continue;
        }
        if (nests) {
            put_text(line, map ? "{}" : "[]");
        }
        put_scalar(line, &token, (size_t)(next - pos));
        pos = next;
        while (depth > 0 && --left[depth - 1] == 0) {
            put_text(line, is_map[--depth] ? "}" : "]");
        }
        if (depth > 0) {
            const bool after_key = is_map[depth - 1] && left[depth - 1] % 2 == 1;
            put_text(line, after_key ? ": " : ", ");
        }
    } while (depth > 0 && !is_full(line));
}

static void put_hex(struct line *line, struct zsp_slice frame)
{
    put_text(line, "not a header:");
    for (size_t i = 0; i < frame.len && !is_full(line); i++) {
        char hex[4];
        (void)snprintf(hex, sizeof hex, " %02x", frame.data[i]); /* fits */
        put_text(line, hex);
    }
}

/* Shorten a line that grew past its end; never inside a UTF-8 sequence. */
static void cut(const struct line *line)
{
    if (!is_full(line) || line->out->failed) {
        return;
    }
    const size_t dots = line->max < 3 ? line->max : 3;
    size_t len = line->max - dots;
    while (len > 0 && (line->out->data[line->start + len] & 0xc0) == 0x80) {
        len--;
    }
    memcpy(line->out->data + line->start + len, "...", dots); /* there are max + 1 bytes or more */
    line->out->len = line->start + len + dots;
}

void wire_print(struct zsp_writer *out, struct zsp_slice frame, size_t max)
{
    struct line line = {.out = out, .start = out->len, .max = max};
    if (wire_value_check(frame, NULL) == 0) {
        put_values(&line, frame);
    } else {
        put_hex(&line, frame);
    }
    cut(&line);
}
