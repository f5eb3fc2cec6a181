/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/common/document.h"

#include <stdio.h>

#include "tests/common/hex.h"
#include "tests/common/testing.h"

void document_init(struct document *self, const char *path)
{
    *self = (struct document){.text = {.max = 1024u * 1024u}};
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char part[4096];
    size_t len = 0;
    while ((len = fread(part, 1, sizeof part, file)) > 0) {
        zsp_write_bytes(&self->text, (struct zsp_slice){(const uint8_t *)part, len});
    }
    assert_int_equal(ferror(file), 0);
    assert_int_equal(fclose(file), 0);
    assert_false(self->text.failed);
}

void document_fini(struct document *self)
{
    zsp_writer_fini(&self->text);
}

bool document_line(struct zsp_slice *rest, struct zsp_slice *ret_line)
{
    if (rest->len == 0) {
        return false;
    }
    size_t len = 0;
    while (len < rest->len && rest->data[len] != '\n') {
        len++;
    }
    const size_t used = len < rest->len ? len + 1 : len;
    *ret_line = (struct zsp_slice){rest->data, len};
    *rest = (struct zsp_slice){rest->data + used, rest->len - used};
    return true;
}

/* If the line begins with `prefix`: what follows it. */
static bool after_prefix(struct zsp_slice line, const char *prefix, struct zsp_slice *ret)
{
    const size_t len = strlen(prefix);
    if (line.len < len || memcmp(line.data, prefix, len) != 0) {
        return false;
    }
    *ret = (struct zsp_slice){line.data + len, line.len - len};
    return true;
}

static void append_hex(struct zsp_writer *out, struct zsp_slice text)
{
    char digits[200];
    assert_true(text.len < sizeof digits);
    assert_int_equal(text.len % 2, 0);
    for (size_t i = 0; i < text.len; i++) {
        digits[i] = (char)text.data[i];
        assert_true(hex_digit(digits[i]) >= 0);
    }
    digits[text.len] = '\0';
    hex_append(out, digits);
}

/* One line of a block: a field, or a continuation of `hex`. */
static void take_line(struct vector *vector, struct zsp_slice line)
{
    struct zsp_slice value;
    if (after_prefix(line, "hex: ", &value) || after_prefix(line, "     ", &value)) {
        append_hex(&vector->bytes, value);
    } else if (after_prefix(line, "text: ", &value)) {
        assert_true(vector->text_count < VECTOR_TEXTS_MAX);
        vector->texts[vector->text_count++] = value;
    } else if (after_prefix(line, "name: ", &value)) {
        vector->name = value;
    } else if (after_prefix(line, "kind: ", &value)) {
        vector->kind = value;
    } else if (after_prefix(line, "error: ", &value)) {
        vector->error = value;
    } else {
        print_error("not a line of a vector: %.*s\n", (int)line.len, (const char *)line.data);
        fail();
    }
}

bool document_next_vector(const struct document *self, size_t *pos, struct vector *ret)
{
    const struct zsp_slice whole = zsp_writer_slice(&self->text);
    struct zsp_slice rest = {whole.data + *pos, whole.len - *pos}, line;
    while (document_line(&rest, &line)) {
        if (!zsp_slice_equal_str(line, "```vector")) {
            continue;
        }
        *ret = (struct vector){.text_count = 0};
        while (document_line(&rest, &line) && !zsp_slice_equal_str(line, "```")) {
            take_line(ret, line);
        }
        assert_non_null(ret->name.data);
        assert_non_null(ret->kind.data);
        *pos = whole.len - rest.len;
        return true;
    }
    return false;
}

void vector_fini(struct vector *self)
{
    zsp_writer_fini(&self->bytes);
}

struct zsp_slice document_section(const struct document *self, const char *name)
{
    char begin[80], end[80];
    (void)snprintf(begin, sizeof begin, "<!-- %s -->", name);
    (void)snprintf(end, sizeof end, "<!-- /%s -->", name);
    struct zsp_slice rest = zsp_writer_slice(&self->text), line;
    const uint8_t *start = NULL;
    while (document_line(&rest, &line)) {
        if (zsp_slice_equal_str(line, begin)) {
            start = rest.data;
        } else if (start && zsp_slice_equal_str(line, end)) {
            return (struct zsp_slice){start, (size_t)(line.data - start)};
        }
    }
    print_error("no section %s\n", name);
    fail();
    return rest;
}

static bool is_padding(uint8_t byte)
{
    return byte == ' ' || byte == '`';
}

bool document_cell(struct zsp_slice row, size_t index, struct zsp_slice *ret)
{
    size_t pos = 0;
    for (size_t bars = 0; bars <= index; pos++) {
        if (pos == row.len) {
            return false;
        }
        bars += row.data[pos] == '|' ? 1 : 0;
    }
    size_t end = pos;
    while (end < row.len && row.data[end] != '|') {
        end++;
    }
    if (end == row.len) {
        return false;
    }
    while (pos < end && is_padding(row.data[pos])) {
        pos++;
    }
    while (end > pos && is_padding(row.data[end - 1])) {
        end--;
    }
    *ret = (struct zsp_slice){row.data + pos, end - pos};
    return true;
}
