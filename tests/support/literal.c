/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/literal.h"

#include "common/wire.h"
#include "tests/common/testing.h"

static const char *write_value(struct zsp_writer *out, const char *text);

static const char *skip_blanks(const char *text)
{
    return text + strspn(text, " \n\t,:");
}

/* Items up to `end`, behind a header whose count is filled in afterwards. */
static const char *write_items(struct zsp_writer *out, const char *text, char end)
{
    const size_t place = out->len + 1;
    zsp_write_u8(out, end == ']' ? 0xdd : 0xdf);
    zsp_write_u32(out, 0);
    uint32_t items = 0;
    text = skip_blanks(text);
    while (*text != end) {
        text = skip_blanks(write_value(out, text));
        items++;
    }
    items = end == ']' ? items : items / 2;
    assert_false(out->failed);
    for (size_t i = 0; i < 4; i++) {
        out->data[place + i] = (uint8_t)(items >> (24 - 8 * i)); /* MessagePack is big-endian */
    }
    return text + 1;
}

static const char *write_quoted(struct zsp_writer *out, const char *text, bool binary)
{
    const char *const end = strchr(text, '\'');
    assert_non_null(end);
    const struct zsp_slice bytes = {(const uint8_t *)text, (size_t)(end - text)};
    if (binary) {
        wire_write_bin(out, bytes);
    } else {
        wire_write_str(out, bytes);
    }
    return end + 1;
}

static const char *write_number(struct zsp_writer *out, const char *text)
{
    char *end = NULL;
    if (*text == '-') {
        wire_write_int(out, strtoll(text, &end, 10));
    } else {
        wire_write_uint(out, strtoull(text, &end, 10));
    }
    if (end == text) {
        fail_msg("no literal: %s", text);
    }
    return end;
}

static const char *write_value(struct zsp_writer *out, const char *text)
{
    if (*text == '{' || *text == '[') {
        return write_items(out, text + 1, *text == '[' ? ']' : '}');
    }
    if (*text == '\'') {
        return write_quoted(out, text + 1, false);
    }
    if (strncmp(text, "b'", 2) == 0) {
        return write_quoted(out, text + 2, true);
    }
    if (strncmp(text, "null", 4) == 0) {
        wire_write_nil(out);
        return text + 4;
    }
    if (strncmp(text, "true", 4) == 0) {
        wire_write_bool(out, true);
        return text + 4;
    }
    if (strncmp(text, "false", 5) == 0) {
        wire_write_bool(out, false);
        return text + 5;
    }
    return write_number(out, text);
}

void literal_write(struct zsp_writer *out, const char *text)
{
    const char *const rest = skip_blanks(write_value(out, skip_blanks(text)));
    if (*rest != '\0') {
        fail_msg("behind a literal: %s", rest);
    }
}
