/* SPDX-License-Identifier: MPL-2.0
 *
 * JSON, one object a line. A writer for exactly what the command prints: it
 * cannot produce anything but valid JSON. The stream keeps write errors.
 */
#ifndef ZSP_CLI_JSON_H
#define ZSP_CLI_JSON_H

#include <stdio.h>
#include <zspool.h>

/* An object on its way. */
struct json {
    FILE *to;   /* borrowed */
    bool comma; /* one is due before the next value */
};

/* Open an object on stdout, or on any stream. */
struct json json_begin(void);
struct json json_begin_on(FILE *to);
/* Close the object and end the line. */
void json_end(struct json *self);

void json_text(struct json *self, const char *key, const char *value);
/* The bytes as text when they are UTF-8, else KEY_base64; null when absent. */
void json_bytes(struct json *self, const char *key, zspool_bytes_t value);
void json_uint(struct json *self, const char *key, uint64_t value);
void json_int(struct json *self, const char *key, int64_t value);
void json_real(struct json *self, const char *key, double value, int digits);
void json_bool(struct json *self, const char *key, bool value);
void json_null(struct json *self, const char *key);
/* Milliseconds since 1970 as RFC 3339; as a number beyond the year 9999. */
void json_time(struct json *self, const char *key, int64_t ms);
/* A number, a text or null. */
void json_figure(struct json *self, const zspool_figure_t *figure);

/* Open and close a value that holds others. */
void json_open_object(struct json *self, const char *key);
void json_close_object(struct json *self);
void json_open_array(struct json *self, const char *key);
void json_close_array(struct json *self);
/* A text, an object inside an array. */
void json_item_text(struct json *self, const char *value);
void json_open_item(struct json *self);

/* Are these bytes text: UTF-8, without surrogates and overlong forms? */
bool json_is_utf8(const void *bytes, size_t len);

/* A whole message, as `pull` and `read` print it and `pub --from-json` reads it. */
void json_message(FILE *to, const zspool_message_t *message);
/* The same without its end, so that more can be told. */
struct json json_message_begin(FILE *to, const zspool_message_t *message);
/* Since when something is dead, and why. */
void json_dead(struct json *self, int64_t died_ms, const char *const *reasons, size_t count);

#endif
