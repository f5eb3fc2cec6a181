/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/server/zpl.h"

#include <stdbool.h>
#include <string.h>

#define INDENT 4u

/* Where the walk stands. */
struct walk {
    zpl_setting_fn setting_fn;
    void *arg;
    unsigned line;
    char section[ZPL_NAME_MAX + 1]; /* "" before the first section */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
}

static char *skip_blanks(char *text)
{
    while (is_blank(*text)) {
        text++;
    }
    return text;
}

static void trim_end(char *text)
{
    size_t len = strlen(text);
    while (len > 0 && is_blank(text[len - 1])) {
        text[--len] = '\0';
    }
}

/* Nothing but blanks or a comment may follow. */
static int check_rest(char *text, struct zsp_err *err)
{
    text = skip_blanks(text);
    if (*text == '\0' || *text == '#') {
        return ZSP_OK;
    }
    return zsp_err_set(err, ZSP_EBAD_CONFIG, "unexpected '%.40s'", text);
}

/* Copy the name at *text and move behind it. */
static int take_name(char **text, char *ret_name, struct zsp_err *err)
{
    size_t len = 0;
    while (is_name_char((*text)[len])) {
        len++;
    }
    if (len == 0) {
        return zsp_err_set(err, ZSP_EBAD_CONFIG, "a name was expected, found '%.40s'", *text);
    }
    if (len > ZPL_NAME_MAX) {
        return zsp_err_set(err, ZSP_EBAD_CONFIG, "the name '%.40s...' is longer than %u bytes",
                           *text, ZPL_NAME_MAX);
    }
    memcpy(ret_name, *text, len);
    ret_name[len] = '\0';
    *text += len;
    return ZSP_OK;
}

/* The value behind '=': quoted up to the same quote, else up to a comment. */
static int take_value(char *text, const char **ret_value, struct zsp_err *err)
{
    text = skip_blanks(text);
    if (*text == '"' || *text == '\'') {
        char *const end = strchr(text + 1, *text);
        if (!end) {
            return zsp_err_set(err, ZSP_EBAD_CONFIG, "the quote %c is never closed", *text);
        }
        const int rc = check_rest(end + 1, err);
        *end = '\0';
        *ret_value = text + 1;
        return rc;
    }
    char *const comment = strchr(text, '#');
    if (comment) {
        *comment = '\0';
    }
    trim_end(text);
    *ret_value = text;
    return ZSP_OK;
}

/* A line at the left margin: opens a section. */
static int open_section(struct walk *self, char *text, struct zsp_err *err)
{
    char name[ZPL_NAME_MAX + 1];
    int rc = take_name(&text, name, err);
    if (rc < 0) {
        return rc;
    }
    text = skip_blanks(text);
    if (*text == '=') {
        return zsp_err_set(err, ZSP_EBAD_CONFIG,
                           "'%s' has a value but stands in no section (settings are indented by "
                           "%u spaces)",
                           name, INDENT);
    }
    rc = check_rest(text, err);
    if (rc < 0) {
        return rc;
    }
    memcpy(self->section, name, sizeof name);
    return ZSP_OK;
}

/* An indented line: one setting. */
static int tell_setting(struct walk *self, char *text, struct zsp_err *err)
{
    char key[ZPL_NAME_MAX + 1];
    int rc = take_name(&text, key, err);
    if (rc < 0) {
        return rc;
    }
    if (self->section[0] == '\0') {
        return zsp_err_set(err, ZSP_EBAD_CONFIG, "'%s' is indented but no section is open", key);
    }
    text = skip_blanks(text);
    if (*text != '=') {
        return zsp_err_set(err, ZSP_EBAD_CONFIG, "'%s' needs a value: %s = VALUE", key, key);
    }
    const char *value = NULL;
    rc = take_value(text + 1, &value, err);
    if (rc < 0) {
        return rc;
    }
    const struct zpl_setting setting = {
        .section = self->section, .key = key, .value = value, .line = self->line};
    return self->setting_fn(self->arg, &setting, err);
}

static int walk_line(struct walk *self, char *line, struct zsp_err *err)
{
    trim_end(line);
    char *text = line;
    while (*text == ' ') {
        text++;
    }
    const size_t indent = (size_t)(text - line);
    if (*text == '\0' || *text == '#') {
        return ZSP_OK;
    }
    if (*text == '\t') {
        return zsp_err_set(err, ZSP_EBAD_CONFIG, "indent with %u spaces, not with a tab", INDENT);
    }
    if (indent == 0) {
        return open_section(self, text, err);
    }
    if (indent == INDENT) {
        return tell_setting(self, text, err);
    }
    return zsp_err_set(err, ZSP_EBAD_CONFIG, "indented by %zu spaces: only 0 and %u are used",
                       indent, INDENT);
}

/* Copy one line into `line` after checking that it is text. */
static int copy_line(struct zsp_slice bytes, char line[ZPL_LINE_MAX + 1], struct zsp_err *err)
{
    if (bytes.len > ZPL_LINE_MAX) {
        return zsp_err_set(err, ZSP_EBAD_CONFIG, "the line has %zu bytes, at most %u are read",
                           bytes.len, ZPL_LINE_MAX);
    }
    if (memchr(bytes.data, '\0', bytes.len) || !zsp_utf8_valid(bytes)) {
        return zsp_err_set(err, ZSP_EBAD_CONFIG, "the line is not UTF-8 text");
    }
    memcpy(line, bytes.data, bytes.len);
    line[bytes.len] = '\0';
    return ZSP_OK;
}

int zpl_walk(const char *file, struct zsp_slice text, zpl_setting_fn setting_fn, void *arg,
             struct zsp_err *err)
{
    if (text.len > ZPL_TEXT_MAX) {
        return zsp_err_set(err, ZSP_EBAD_CONFIG, "%s: %zu bytes, at most %u are read", file,
                           text.len, ZPL_TEXT_MAX);
    }
    struct walk walk = {.setting_fn = setting_fn, .arg = arg};
    size_t pos = 0;
    while (pos < text.len) {
        const uint8_t *const start = text.data + pos;
        const uint8_t *const newline = memchr(start, '\n', text.len - pos);
        const size_t len = newline ? (size_t)(newline - start) : text.len - pos;
        pos += newline ? len + 1 : len;
        walk.line++;

        char line[ZPL_LINE_MAX + 1] = "";
        int rc = copy_line((struct zsp_slice){start, len}, line, err);
        if (rc == ZSP_OK) {
            rc = walk_line(&walk, line, err);
        }
        if (rc != ZSP_OK) {
            (void)zsp_err_wrap(err, "%s:%u", file, walk.line);
            return rc;
        }
    }
    return ZSP_OK;
}
