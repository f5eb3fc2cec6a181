/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/common/notation.h"

#include "common/wire.h"
#include "tests/common/hex.h"
#include "tests/common/testing.h"

/* A cursor over the text; all functions end the test at bad text. */
struct scan {
    const uint8_t *pos, *end;
};

static void write_value(struct scan *scan, struct zsp_writer *out, unsigned depth);

static bool at(struct scan *scan, char c)
{
    return scan->pos < scan->end && *scan->pos == (uint8_t)c;
}

static bool take_text(struct scan *scan, const char *text)
{
    const size_t len = strlen(text);
    if ((size_t)(scan->end - scan->pos) < len || memcmp(scan->pos, text, len) != 0) {
        return false;
    }
    scan->pos += len;
    return true;
}

static uint8_t take(struct scan *scan)
{
    assert_true(scan->pos < scan->end);
    return *scan->pos++;
}

/* What stands between quotes; the first one is behind. */
static void read_quoted(struct scan *scan, struct zsp_writer *bytes)
{
    while (!at(scan, '"')) {
        uint8_t byte = take(scan);
        if (byte == '\\' && take_text(scan, "x")) {
            const char digits[3] = {(char)take(scan), (char)take(scan), '\0'};
            struct zsp_writer one = {0};
            const struct zsp_slice spelled = hex_bytes(&one, digits);
            assert_int_equal(spelled.len, 1);
            byte = spelled.data[0];
            zsp_writer_fini(&one);
        } else if (byte == '\\') {
            byte = take(scan);
        }
        zsp_write_u8(bytes, byte);
    }
    (void)take(scan);
}

static void write_quoted(struct scan *scan, struct zsp_writer *out, bool is_text)
{
    struct zsp_writer bytes = {0};
    read_quoted(scan, &bytes);
    if (is_text) {
        wire_write_str(out, zsp_writer_slice(&bytes));
    } else {
        wire_write_bin(out, zsp_writer_slice(&bytes));
    }
    zsp_writer_fini(&bytes);
}

static void write_number(struct scan *scan, struct zsp_writer *out)
{
    const bool negative = take_text(scan, "-");
    uint64_t value = 0;
    assert_true(scan->pos < scan->end && *scan->pos >= '0' && *scan->pos <= '9');
    while (scan->pos < scan->end && *scan->pos >= '0' && *scan->pos <= '9') {
        value = value * 10 + (uint64_t)(take(scan) - '0');
    }
    if (negative) {
        /* The lowest number has no positive counterpart. */
        wire_write_int(out, value == 0 ? 0 : -(int64_t)(value - 1) - 1);
    } else {
        wire_write_uint(out, value);
    }
}

/* Items or pairs up to `close`; the count goes before what they write. */
static void write_nested(struct scan *scan, struct zsp_writer *out, char close, unsigned depth)
{
    struct zsp_writer inner = {0};
    uint32_t count = 0;
    assert_true(depth < 16);
    while (!at(scan, close)) {
        assert_true(count == 0 || take_text(scan, ", "));
        write_value(scan, &inner, depth + 1);
        if (close == '}') {
            assert_true(take_text(scan, ": "));
            write_value(scan, &inner, depth + 1);
        }
        count++;
    }
    (void)take(scan);
    if (close == '}') {
        wire_write_map(out, count);
    } else {
        wire_write_array(out, count);
    }
    zsp_write_bytes(out, zsp_writer_slice(&inner));
    zsp_writer_fini(&inner);
}

static void write_value(struct scan *scan, struct zsp_writer *out, unsigned depth)
{
    if (take_text(scan, "nil")) {
        wire_write_nil(out);
    } else if (take_text(scan, "true")) {
        wire_write_bool(out, true);
    } else if (take_text(scan, "false")) {
        wire_write_bool(out, false);
    } else if (take_text(scan, "b\"")) {
        write_quoted(scan, out, false);
    } else if (take_text(scan, "\"")) {
        write_quoted(scan, out, true);
    } else if (take_text(scan, "[")) {
        write_nested(scan, out, ']', depth);
    } else if (take_text(scan, "{")) {
        write_nested(scan, out, '}', depth);
    } else {
        write_number(scan, out);
    }
}

void notation_write(struct zsp_writer *out, struct zsp_slice text)
{
    struct scan scan = {text.data, text.data + text.len};
    write_value(&scan, out, 0);
    assert_ptr_equal(scan.pos, scan.end);
}
