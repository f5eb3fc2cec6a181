/* SPDX-License-Identifier: MPL-2.0 */
#include "client/cli/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/cli.h"

/* The length of the UTF-8 sequence at `p`, 0 when it is none: no surrogates, no overlong forms. */
static size_t utf8_sequence(const uint8_t *p, size_t len)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const size_t wanted = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (wanted <= 1) {
        return wanted;
    }
    if (wanted > len || p[0] > 0xf4) {
        return 0;
    }
    uint32_t code = p[0] & (0x7fu >> wanted);
    for (size_t i = 1; i < wanted; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
        code = code << 6 | (p[i] & 0x3fu);
    }
    const bool surrogate = code >= 0xd800 && code <= 0xdfff;
    return code < least[wanted] || code > 0x10ffff || surrogate ? 0 : wanted;
}

bool json_is_utf8(const void *bytes, size_t len)
{
    for (size_t i = 0; i < len;) {
        const size_t step = utf8_sequence((const uint8_t *)bytes + i, len - i);
        if (step == 0) {
            return false;
        }
        i += step;
    }
    return true;
}

static void write_escaped(FILE *to, const uint8_t *text, size_t len)
{
    static const char *const short_forms[] = {
        ['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f", ['\r'] = "\\r"};
    size_t plain = 0; /* where the stretch that needs no escape begins */
    putc('"', to);
    for (size_t i = 0; i < len; i++) {
        const uint8_t c = text[i];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) {
            continue;
        }
        (void)fwrite(text + plain, 1, i - plain, to); /* cli_flush() tells */
        plain = i + 1;
        if (c == '"' || c == '\\') {
            putc('\\', to);
            putc(c, to);
        } else if (c < sizeof short_forms / sizeof short_forms[0] && short_forms[c]) {
            fputs(short_forms[c], to);
        } else {
            fprintf(to, "\\u%04x", c);
        }
    }
    (void)fwrite(text + plain, 1, len - plain, to);
    putc('"', to);
}

static void write_string(FILE *to, const char *text)
{
    write_escaped(to, (const uint8_t *)text, strlen(text));
}

static void write_base64(FILE *to, const uint8_t *bytes, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    putc('"', to);
    for (size_t i = 0; i < len; i += 3) {
        const uint32_t b1 = i + 1 < len ? bytes[i + 1] : 0;
        const uint32_t b2 = i + 2 < len ? bytes[i + 2] : 0;
        const uint32_t group = (uint32_t)bytes[i] << 16 | b1 << 8 | b2;
        putc(digits[group >> 18], to);
        putc(digits[group >> 12 & 63], to);
        putc(i + 1 < len ? digits[group >> 6 & 63] : '=', to);
        putc(i + 2 < len ? digits[group & 63] : '=', to);
    }
    putc('"', to);
}

static void begin_value(struct json *self)
{
    if (self->comma) {
        putc(',', self->to);
    }
    self->comma = true;
}

static void write_key(struct json *self, const char *key)
{
    begin_value(self);
    write_string(self->to, key);
    putc(':', self->to);
}

struct json json_begin_on(FILE *to)
{
    putc('{', to);
    return (struct json){.to = to};
}

struct json json_begin(void)
{
    return json_begin_on(stdout);
}

void json_end(struct json *self)
{
    fputs("}\n", self->to);
    self->comma = false;
}

void json_text(struct json *self, const char *key, const char *value)
{
    write_key(self, key);
    write_string(self->to, value);
}

void json_bytes(struct json *self, const char *key, zspool_bytes_t value)
{
    if (!value.data) {
        json_null(self, key);
    } else if (json_is_utf8(value.data, value.len)) {
        write_key(self, key);
        write_escaped(self->to, value.data, value.len);
    } else {
        char name[64];
        (void)snprintf(name, sizeof name, "%s_base64", key);
        write_key(self, name);
        write_base64(self->to, value.data, value.len);
    }
}

void json_uint(struct json *self, const char *key, uint64_t value)
{
    write_key(self, key);
    fprintf(self->to, "%" PRIu64, value);
}

void json_int(struct json *self, const char *key, int64_t value)
{
    write_key(self, key);
    fprintf(self->to, "%" PRId64, value);
}

void json_real(struct json *self, const char *key, double value, int digits)
{
    write_key(self, key);
    fprintf(self->to, "%.*f", digits, value);
}

void json_bool(struct json *self, const char *key, bool value)
{
    write_key(self, key);
    fputs(value ? "true" : "false", self->to);
}

void json_null(struct json *self, const char *key)
{
    write_key(self, key);
    fputs("null", self->to);
}

void json_time(struct json *self, const char *key, int64_t ms)
{
    char text[32];
    if (ms > CLI_TIME_MAX_MS) { /* a producer's own time may be anything */
        json_int(self, key, ms);
        return;
    }
    cli_write_time(ms, text);
    json_text(self, key, text);
}

void json_figure(struct json *self, const zspool_figure_t *figure)
{
    if (figure->is_unset) {
        json_null(self, figure->name);
    } else if (figure->is_text) {
        json_text(self, figure->name, figure->text);
    } else {
        json_int(self, figure->name, figure->value);
    }
}

void json_open_object(struct json *self, const char *key)
{
    write_key(self, key);
    putc('{', self->to);
    self->comma = false;
}

void json_close_object(struct json *self)
{
    putc('}', self->to);
    self->comma = true;
}

void json_open_array(struct json *self, const char *key)
{
    write_key(self, key);
    putc('[', self->to);
    self->comma = false;
}

void json_close_array(struct json *self)
{
    putc(']', self->to);
    self->comma = true;
}

void json_item_text(struct json *self, const char *value)
{
    begin_value(self);
    write_string(self->to, value);
}

void json_open_item(struct json *self)
{
    begin_value(self);
    putc('{', self->to);
    self->comma = false;
}

/* Text as text; bytes as {"base64": ...}, also when they happen to be UTF-8, so that nothing is
 * lost. */
static void write_headers(struct json *self, const zspool_message_t *message)
{
    json_open_object(self, "headers");
    for (size_t i = 0; i < message->header_count; i++) {
        zspool_header_t header;
        if (zspool_message_header(message, i, &header) != 0) {
            break;
        }
        begin_value(self);
        write_escaped(self->to, header.name.data, header.name.len);
        putc(':', self->to);
        if (header.is_text) {
            write_escaped(self->to, header.value.data, header.value.len);
        } else {
            fputs("{\"base64\":", self->to);
            write_base64(self->to, header.value.data, header.value.len);
            putc('}', self->to);
        }
    }
    json_close_object(self);
}

struct json json_message_begin(FILE *to, const zspool_message_t *message)
{
    struct json json = json_begin_on(to);
    json_text(&json, "topic", message->topic);
    json_uint(&json, "partition", message->partition);
    json_uint(&json, "offset", message->offset);
    json_time(&json, "timestamp", message->timestamp_ms);
    json_bytes(&json, "key", message->key);
    json_bytes(&json, "type", message->type);
    json_bytes(&json, "id", message->id);
    json_uint(&json, "priority", message->priority);
    write_headers(&json, message);
    if (message->created_at_ms > 0) {
        json_time(&json, "created_at", message->created_at_ms);
    }
    if (message->not_before_ms > 0) {
        json_time(&json, "not_before", message->not_before_ms);
    }
    if (message->expires_at_ms > 0) {
        json_time(&json, "expires_at", message->expires_at_ms);
    }
    json_bytes(&json, "payload", message->payload);
    return json;
}

void json_dead(struct json *self, int64_t died_ms, const char *const *reasons, size_t count)
{
    if (died_ms > 0) {
        json_time(self, "died", died_ms);
    } else {
        json_null(self, "died");
    }
    json_open_array(self, "reasons");
    for (size_t i = 0; i < count; i++) {
        begin_value(self);
        write_escaped(self->to, (const uint8_t *)reasons[i], strlen(reasons[i]));
    }
    json_close_array(self);
}

void json_message(FILE *to, const zspool_message_t *message)
{
    struct json json = json_message_begin(to, message);
    if (message->lease != 0) {
        json_uint(&json, "deliveries", message->deliveries);
        json_uint(&json, "failures", message->failures);
        json_uint(&json, "lease", message->lease);
    }
    json_end(&json);
}
