/* SPDX-License-Identifier: MPL-2.0 */
#include "client/cli/json_reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/json.h"

struct json_reader json_reader_init(char *text, size_t len)
{
    return (struct json_reader){.begin = text, .pos = text, .end = text + len};
}

bool json_read_fail(struct json_reader *self, const char *format, ...)
{
    va_list args;
    const int len =
        snprintf(self->why, sizeof self->why, "byte %zu: ", (size_t)(self->pos - self->begin) + 1);
    va_start(args, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): a line above starts it */
    (void)vsnprintf(self->why + len, sizeof self->why - (size_t)len, format, args);
    va_end(args);
    for (char *p = self->why; *p; p++) { /* what is quoted is foreign, and a terminal shows it */
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            *p = '?';
        }
    }
    return false;
}

static void skip_space(struct json_reader *self)
{
    while (self->pos < self->end && *self->pos && strchr(" \t\r\n", *self->pos)) {
        self->pos++;
    }
}

/* The byte at the place, -1 at the end. */
static int peek(const struct json_reader *self)
{
    return self->pos < self->end ? (unsigned char)*self->pos : -1;
}

static bool expect(struct json_reader *self, char wanted, const char *where)
{
    skip_space(self);
    if (peek(self) != wanted) {
        return json_read_fail(self, "want %c %s", wanted, where);
    }
    self->pos++;
    return true;
}

bool json_read_end(struct json_reader *self)
{
    skip_space(self);
    return self->pos == self->end || json_read_fail(self, "want nothing behind the object");
}

/* --- Strings ----------------------------------------------------------------------------- */

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    const char *found = c ? strchr(digits, c) : NULL;
    const int value = found ? (int)(found - digits) : -1;
    return value >= 16 ? value - 6 : value;
}

/* The four digits of \uXXXX. */
static bool read_hex4(struct json_reader *self, uint32_t *ret)
{
    uint32_t code = 0;
    if (self->end - self->pos < 4) {
        return json_read_fail(self, "want four hexadecimal digits behind \\u");
    }
    for (int i = 0; i < 4; i++) {
        const int digit = hex_digit(self->pos[i]);
        if (digit < 0) {
            return json_read_fail(self, "want four hexadecimal digits behind \\u");
        }
        code = code << 4 | (uint32_t)digit;
    }
    self->pos += 4;
    *ret = code;
    return true;
}

/* A code point above the basic plane is two \uXXXX. */
static bool read_code_point(struct json_reader *self, uint32_t *ret)
{
    uint32_t low = 0;
    if (!read_hex4(self, ret)) {
        return false;
    }
    if (*ret < 0xd800 || *ret > 0xdfff) {
        return true;
    }
    if (*ret > 0xdbff || self->end - self->pos < 2 || self->pos[0] != '\\' || self->pos[1] != 'u') {
        return json_read_fail(self, "half of a surrogate pair");
    }
    self->pos += 2;
    if (!read_hex4(self, &low)) {
        return false;
    }
    if (low < 0xdc00 || low > 0xdfff) {
        return json_read_fail(self, "half of a surrogate pair");
    }
    *ret = 0x10000 + ((*ret - 0xd800) << 10) + (low - 0xdc00);
    return true;
}

/* At most four bytes, fewer than the escape had. Returns the place behind them. */
static char *write_utf8(char *to, uint32_t code)
{
    if (code < 0x80) {
        *to++ = (char)code;
        return to;
    }
    if (code < 0x800) {
        *to++ = (char)(0xc0 | code >> 6);
    } else {
        if (code < 0x10000) {
            *to++ = (char)(0xe0 | code >> 12);
        } else {
            *to++ = (char)(0xf0 | code >> 18);
            *to++ = (char)(0x80 | (code >> 12 & 0x3f));
        }
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
    }
    *to++ = (char)(0x80 | (code & 0x3f));
    return to;
}

/* Behind the backslash. */
static bool read_escape(struct json_reader *self, char **to)
{
    static const char from[] = "\"\\/bfnrt";
    static const char bytes[] = "\"\\/\b\f\n\r\t";
    uint32_t code = 0;
    const int c = peek(self);
    if (c == 'u') {
        self->pos++;
        if (!read_code_point(self, &code)) {
            return false;
        }
        *to = write_utf8(*to, code);
        return true;
    }
    const char *found = c > 0 ? strchr(from, c) : NULL;
    if (!found) {
        return json_read_fail(self, "want one of \"\\/bfnrtu behind a backslash");
    }
    *(*to)++ = bytes[found - from];
    self->pos++;
    return true;
}

/* Behind the opening quote. */
static bool read_string(struct json_reader *self, zspool_bytes_t *ret)
{
    char *const begin = self->pos;
    char *to = begin;
    for (;;) {
        const int c = peek(self);
        if (c < 0x20) {
            return c < 0 ? json_read_fail(self, "a string does not end")
                         : json_read_fail(self, "a control character in a string");
        }
        self->pos++;
        if (c == '"') {
            break;
        }
        if (c != '\\') {
            *to++ = (char)c;
        } else if (!read_escape(self, &to)) {
            return false;
        }
    }
    ret->data = begin;
    ret->len = (size_t)(to - begin);
    return json_is_utf8(begin, ret->len) || json_read_fail(self, "a string is not UTF-8");
}

/* --- Other values ---------------------------------------------------------------------------- */

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static bool skip_digits(struct json_reader *self)
{
    if (!is_digit(peek(self))) {
        return json_read_fail(self, "want a digit");
    }
    while (is_digit(peek(self))) {
        self->pos++;
    }
    return true;
}

static bool read_number(struct json_reader *self, struct json_value *ret)
{
    const char *begin = self->pos;
    char digits[24] = "";
    if (peek(self) == '-') {
        self->pos++;
    }
    if (peek(self) == '0' && self->end - self->pos > 1 && is_digit((unsigned char)self->pos[1])) {
        return json_read_fail(self, "a number begins with 0");
    }
    if (!skip_digits(self)) {
        return false;
    }
    const size_t len = (size_t)(self->pos - begin);
    bool is_whole = true;
    if (peek(self) == '.') {
        is_whole = false;
        self->pos++;
        if (!skip_digits(self)) {
            return false;
        }
    }
    if (peek(self) == 'e' || peek(self) == 'E') {
        is_whole = false;
        self->pos++;
        if (peek(self) == '+' || peek(self) == '-') {
            self->pos++;
        }
        if (!skip_digits(self)) {
            return false;
        }
    }
    if (is_whole && len < sizeof digits) {
        memcpy(digits, begin, len);
        ret->is_uint = cli_read_number(digits, UINT64_MAX, &ret->uint);
    }
    return true;
}

static bool read_word(struct json_reader *self, const char *word)
{
    const size_t len = strlen(word);
    if ((size_t)(self->end - self->pos) < len || memcmp(self->pos, word, len) != 0) {
        return json_read_fail(self, "want a value");
    }
    self->pos += len;
    return true;
}

bool json_read_value(struct json_reader *self, struct json_value *ret)
{
    skip_space(self);
    const int c = peek(self);
    *ret = (struct json_value){.kind = JSON_NULL};
    switch (c) {
    case 'n':
        return read_word(self, "null");
    case 't':
        ret->kind = JSON_BOOL;
        return read_word(self, "true");
    case 'f':
        ret->kind = JSON_BOOL;
        return read_word(self, "false");
    case '"':
        ret->kind = JSON_STRING;
        self->pos++;
        return read_string(self, &ret->string);
    case '{':
    case '[':
        ret->kind = c == '{' ? JSON_OBJECT : JSON_ARRAY;
        self->pos++;
        return true;
    default:
        ret->kind = JSON_NUMBER;
        if (c != '-' && !is_digit(c)) {
            return json_read_fail(self, "want a value");
        }
        return read_number(self, ret);
    }
}

bool json_read_member(struct json_reader *self, bool first, bool *ret_is_member,
                      zspool_bytes_t *ret_name)
{
    skip_space(self);
    *ret_is_member = peek(self) != '}';
    if (!*ret_is_member) {
        self->pos++;
        return true;
    }
    if (!first && !expect(self, ',', "or } behind a member")) {
        return false;
    }
    return expect(self, '"', "before the name of a member") && read_string(self, ret_name) &&
           expect(self, ':', "behind the name of a member");
}

/* --- Base64 ------------------------------------------------------------------------------------ */

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (is_digit(c)) {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Right padding, digits elsewhere, and no bits that would be lost. */
static bool is_base64(const char *text, size_t len, size_t *ret_padding)
{
    const size_t padding = len < 4 || text[len - 1] != '=' ? 0 : text[len - 2] != '=' ? 1 : 2;
    for (size_t i = 0; i < len - padding; i++) {
        if (base64_digit(text[i]) < 0) {
            return false;
        }
    }
    *ret_padding = padding;
    if (len % 4 != 0) {
        return false;
    }
    const int lost_bits = padding == 1 ? 3 : padding == 2 ? 15 : 0;
    return padding == 0 || (base64_digit(text[len - padding - 1]) & lost_bits) == 0;
}

bool json_decode_base64(char *text, size_t len, size_t *ret_len)
{
    size_t padding;
    if (!is_base64(text, len, &padding)) {
        return false;
    }
    char *to = text;
    for (size_t i = 0; i < len; i += 4) {
        uint32_t group = 0;
        for (size_t j = i; j < i + 4; j++) {
            group = group << 6 | (uint32_t)(text[j] == '=' ? 0 : base64_digit(text[j]));
        }
        *to++ = (char)(group >> 16);
        *to++ = (char)(group >> 8 & 0xff);
        *to++ = (char)(group & 0xff);
    }
    *ret_len = (size_t)(to - text) - padding;
    return true;
}
