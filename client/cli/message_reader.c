/* SPDX-License-Identifier: MPL-2.0 */
#include "client/cli/message_reader.h"

#include <stdio.h>
#include <string.h>

#include "client/cli/cli.h"
#include "client/cli/json_reader.h"

/* What the members of a message are to us. */
enum part {
    PART_PAYLOAD,
    PART_KEY,
    PART_TYPE,
    PART_ID,
    PART_HEADERS,
    PART_CREATED_AT,
    PART_PRIORITY,
    PART_NOT_BEFORE,
    PART_EXPIRES_AT,
    PART_PLACE /* of one place or delivery: read over */
};

static const struct member {
    const char *name;
    enum part part;
    bool is_base64;
} members[] = {
    {"payload", PART_PAYLOAD, false},
    {"payload_base64", PART_PAYLOAD, true},
    {"key", PART_KEY, false},
    {"key_base64", PART_KEY, true},
    {"type", PART_TYPE, false},
    {"id", PART_ID, false},
    {"headers", PART_HEADERS, false},
    {"created_at", PART_CREATED_AT, false},
    {"priority", PART_PRIORITY, false},
    {"topic", PART_PLACE, false},
    {"partition", PART_PLACE, false},
    {"offset", PART_PLACE, false},
    {"timestamp", PART_PLACE, false},
    {"deliveries", PART_PLACE, false},
    {"failures", PART_PLACE, false},
    {"lease", PART_PLACE, false},
    {"not_before", PART_NOT_BEFORE, false},
    {"expires_at", PART_EXPIRES_AT, false},
};
#define MEMBER_COUNT (sizeof members / sizeof members[0])

static bool is_text(zspool_bytes_t bytes, const char *text)
{
    return bytes.len == strlen(text) && memcmp(bytes.data, text, bytes.len) == 0;
}

static const struct member *find_member(zspool_bytes_t name)
{
    for (size_t i = 0; i < MEMBER_COUNT; i++) {
        if (is_text(name, members[i].name)) {
            return &members[i];
        }
    }
    return NULL;
}

/* A string, decoded; `what` is its name for messages. */
static bool read_bytes(struct json_reader *reader, const struct json_value *value, const char *what,
                       bool is_base64, zspool_bytes_t *ret)
{
    if (value->kind != JSON_STRING) {
        return json_read_fail(reader, "%.40s: want a string", what);
    }
    *ret = value->string;
    if (!is_base64) {
        return true;
    }
    /* The bytes lie in the reader's text, which may be changed. */
    char *text = reader->begin + ((const char *)ret->data - reader->begin);
    return json_decode_base64(text, ret->len, &ret->len) ||
           json_read_fail(reader, "%.40s: want base64", what);
}

static bool read_time(struct json_reader *reader, const struct json_value *value, const char *what,
                      int64_t *ret_ms)
{
    char text[64];
    if (value->kind == JSON_NUMBER && value->is_uint && value->uint <= INT64_MAX) {
        *ret_ms = (int64_t)value->uint;
        return true;
    }
    if (value->kind == JSON_STRING && value->string.len < sizeof text) {
        memcpy(text, value->string.data, value->string.len);
        text[value->string.len] = '\0';
        if (cli_read_time(text, ret_ms)) {
            return true;
        }
    }
    return json_read_fail(reader, "%s: want 2026-01-31T12:00:00.000Z, or milliseconds since 1970",
                          what);
}

/* {"base64": "..."} behind its { */
static bool read_wrapped(struct json_reader *reader, zspool_bytes_t *ret)
{
    bool is_member;
    zspool_bytes_t name;
    struct json_value value;
    if (!json_read_member(reader, true, &is_member, &name)) {
        return false;
    }
    if (!is_member || !is_text(name, "base64")) {
        return json_read_fail(reader, "a header: want text, or {\"base64\": ...}");
    }
    if (!json_read_value(reader, &value) ||
        !read_bytes(reader, &value, "base64 of a header", true, ret) ||
        !json_read_member(reader, false, &is_member, &name)) {
        return false;
    }
    return !is_member || json_read_fail(reader, "a header: want base64 alone");
}

static bool read_header(struct json_reader *reader, zspool_header_t *ret)
{
    struct json_value value;
    if (!json_read_value(reader, &value)) {
        return false;
    }
    ret->is_text = value.kind != JSON_OBJECT;
    if (!ret->is_text) {
        return read_wrapped(reader, &ret->value);
    }
    return read_bytes(reader, &value, "a header", false, &ret->value);
}

static bool read_headers(struct json_reader *reader, const struct json_value *value,
                         struct message_text *self)
{
    if (value->kind != JSON_OBJECT) {
        return json_read_fail(reader, "headers: want an object");
    }
    for (;;) {
        bool is_member;
        zspool_header_t header = {.is_text = true};
        if (!json_read_member(reader, self->out.header_count == 0, &is_member, &header.name)) {
            return false;
        }
        if (!is_member) {
            return true;
        }
        if (self->out.header_count == ZSPOOL_HEADERS_MAX) {
            return json_read_fail(reader, "headers: more than %u", ZSPOOL_HEADERS_MAX);
        }
        if (!read_header(reader, &header)) {
            return false;
        }
        self->headers[self->out.header_count++] = header;
    }
}

static bool read_part(struct json_reader *reader, const struct member *member,
                      struct message_text *self)
{
    struct json_value value;
    if (!json_read_value(reader, &value)) {
        return false;
    }
    if (value.kind == JSON_NULL && member->part != PART_PAYLOAD) {
        return true; /* absent */
    }
    switch (member->part) {
    case PART_PAYLOAD:
        return read_bytes(reader, &value, member->name, member->is_base64, &self->out.payload);
    case PART_KEY:
        return read_bytes(reader, &value, member->name, member->is_base64, &self->out.key);
    case PART_TYPE:
        return read_bytes(reader, &value, member->name, false, &self->out.type);
    case PART_ID:
        return read_bytes(reader, &value, member->name, false, &self->out.id);
    case PART_HEADERS:
        return read_headers(reader, &value, self);
    case PART_CREATED_AT:
        return read_time(reader, &value, member->name, &self->out.created_at_ms);
    case PART_NOT_BEFORE:
        return read_time(reader, &value, member->name, &self->out.not_before_ms);
    case PART_EXPIRES_AT:
        return read_time(reader, &value, member->name, &self->out.expires_at_ms);
    case PART_PRIORITY:
        if (!value.is_uint || value.uint > ZSPOOL_PRIORITY_MAX) {
            return json_read_fail(reader, "priority: want 0 to 9");
        }
        zspool_out_set_priority(&self->out, (unsigned)value.uint);
        return true;
    case PART_PLACE:
        return (value.kind != JSON_OBJECT && value.kind != JSON_ARRAY) ||
               json_read_fail(reader, "%s: want a number or a string", member->name);
    }
    return false;
}

static bool read_all(struct json_reader *reader, struct message_text *self)
{
    struct json_value value;
    uint32_t seen = 0;  /* one bit a member */
    uint32_t parts = 0; /* one bit a part that was given */
    if (!json_read_value(reader, &value)) {
        return false;
    }
    if (value.kind != JSON_OBJECT) {
        return json_read_fail(reader, "want an object, one a line");
    }
    for (;;) {
        bool is_member;
        zspool_bytes_t name;
        if (!json_read_member(reader, seen == 0, &is_member, &name)) {
            return false;
        }
        if (!is_member) {
            break;
        }
        const struct member *member = find_member(name);
        if (!member) {
            return json_read_fail(reader, "there is no member \"%.*s\" of a message",
                                  (int)(name.len < 40 ? name.len : 40), (const char *)name.data);
        }
        const uint32_t part = member->part == PART_PLACE ? 0 : 1u << member->part;
        const uint32_t bit = 1u << (member - members);
        if ((seen & bit) != 0 || (parts & part) != 0) {
            return json_read_fail(reader, "%s is there twice", member->name);
        }
        seen |= bit;
        parts |= part;
        if (!read_part(reader, member, self)) {
            return false;
        }
    }
    if ((parts & 1u << PART_PAYLOAD) == 0) {
        return json_read_fail(reader, "want payload or payload_base64");
    }
    return json_read_end(reader);
}

bool message_read(struct message_text *self, char *text, size_t len)
{
    struct json_reader reader = json_reader_init(text, len);
    self->out = zspool_out(NULL, NULL, 0);
    if (!read_all(&reader, self)) {
        (void)snprintf(self->why, sizeof self->why, "%s", reader.why);
        return false;
    }
    self->out.headers = self->headers;
    return true;
}
