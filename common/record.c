/* SPDX-License-Identifier: MPL-2.0
 *
 * One parser serves all readers of records. Its two modes differ in one thing:
 * checking looks at the UTF-8 of strings and bounds the headers, stepping over
 * records that were checked before does not. Both stay inside the bytes.
 */
#include "common/record.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/limits.h"
#include "common/token.h"

#define FIELDS_MAX 6u /* payload, key, type, id, headers, created_at_ms */

/* What is wrong with a record, and where. */
struct fault {
    const uint8_t *pos;
    const char *what;   /* the field, NULL = the record as a whole */
    const char *wanted; /* static text */
    bool has_kind;
    enum zsp_token_kind kind; /* what was found instead */
};

/* --- Parsing ---------------------------------------------------------------------- */

static const uint8_t *refuse(struct fault *fault, const uint8_t *pos, const char *what,
                             const char *wanted)
{
    *fault = (struct fault){.pos = pos, .what = what, .wanted = wanted};
    return NULL;
}

static const uint8_t *refuse_kind(struct fault *fault, const uint8_t *pos, const char *what,
                                  const char *wanted, enum zsp_token_kind kind)
{
    *fault =
        (struct fault){.pos = pos, .what = what, .wanted = wanted, .has_kind = true, .kind = kind};
    return NULL;
}

/* Bytes of one kind, or nil where the record allows it. */
static inline const uint8_t *parse_bytes(const uint8_t *pos, const uint8_t *end,
                                         enum zsp_token_kind kind, bool check, const char *what,
                                         struct zsp_slice *ret, struct fault *fault)
{
    struct zsp_token token;
    const uint8_t *next = zsp_token_read(pos, end, &token);
    if (!next) {
        return refuse(fault, pos, what, "a value that ends inside the body");
    }
    if (token.kind == ZSP_TOKEN_NIL) {
        return next;
    }
    if (token.kind != kind) {
        const char *wanted = kind == ZSP_TOKEN_BIN ? "MessagePack bin or nil" : "a string or nil";
        return refuse_kind(fault, pos, what, wanted, token.kind);
    }
    *ret = (struct zsp_slice){token.data, (size_t)token.value};
    if (check && kind == ZSP_TOKEN_STR && !zsp_utf8_valid(*ret)) {
        return refuse(fault, pos, what, "valid UTF-8");
    }
    return next;
}

/* The payload: never nil, and only bin. A string is what an old MessagePack
 * library makes of bytes, so that case gets a sentence of its own. */
static inline const uint8_t *parse_payload(const uint8_t *pos, const uint8_t *end,
                                           struct zsp_slice *ret, struct fault *fault)
{
    /* Most payloads are bin 8: one look instead of a general token. */
    if (end - pos >= 2 && pos[0] == 0xc4 && pos[1] <= end - pos - 2) {
        *ret = (struct zsp_slice){pos + 2, pos[1]};
        return pos + 2 + pos[1];
    }
    struct zsp_token token;
    const uint8_t *next = zsp_token_read(pos, end, &token);
    if (!next) {
        return refuse(fault, pos, "payload", "a value that ends inside the body");
    }
    if (token.kind != ZSP_TOKEN_BIN) {
        const char *wanted = token.kind == ZSP_TOKEN_STR
                                 ? "MessagePack bin (in many libraries: use_bin_type)"
                                 : "MessagePack bin";
        return refuse_kind(fault, pos, "payload", wanted, token.kind);
    }
    *ret = (struct zsp_slice){token.data, (size_t)token.value};
    return next;
}

/* One header: its name, and its value as text or bytes. */
static inline const uint8_t *parse_header(const uint8_t *pos, const uint8_t *end, bool check,
                                          struct zsp_token *ret_name, struct zsp_token *ret_value,
                                          struct fault *fault)
{
    const uint8_t *value_pos = zsp_token_read(pos, end, ret_name);
    if (!value_pos) {
        return refuse(fault, pos, "header name", "a value that ends inside the body");
    }
    if (ret_name->kind != ZSP_TOKEN_STR) {
        return refuse_kind(fault, pos, "header name", "a string", ret_name->kind);
    }
    const uint8_t *next = zsp_token_read(value_pos, end, ret_value);
    if (!next) {
        return refuse(fault, value_pos, "header value", "a value that ends inside the body");
    }
    if (ret_value->kind != ZSP_TOKEN_STR && ret_value->kind != ZSP_TOKEN_BIN) {
        return refuse_kind(fault, value_pos, "header value", "a string or MessagePack bin",
                           ret_value->kind);
    }
    if (check && !zsp_utf8_valid((struct zsp_slice){ret_name->data, (size_t)ret_name->value})) {
        return refuse(fault, pos, "header name", "valid UTF-8");
    }
    if (check && ret_value->kind == ZSP_TOKEN_STR &&
        !zsp_utf8_valid((struct zsp_slice){ret_value->data, (size_t)ret_value->value})) {
        return refuse(fault, value_pos, "header value", "valid UTF-8");
    }
    return next;
}

static const uint8_t *parse_headers(const uint8_t *pos, const uint8_t *end, bool check,
                                    struct zsp_record *ret, struct fault *fault)
{
    struct zsp_token token;
    const uint8_t *next = zsp_token_read(pos, end, &token);
    if (!next) {
        return refuse(fault, pos, "headers", "a value that ends inside the body");
    }
    if (token.kind == ZSP_TOKEN_NIL) {
        return next;
    }
    if (token.kind != ZSP_TOKEN_MAP) {
        return refuse_kind(fault, pos, "headers", "a map or nil", token.kind);
    }
    if (check && token.value > ZSP_HEADERS_MAX) {
        return refuse(fault, pos, "headers", "at most 256 headers");
    }
    for (uint64_t i = 0; i < token.value; i++) {
        struct zsp_token name, value;
        next = parse_header(next, end, check, &name, &value, fault);
        if (!next) {
            return NULL;
        }
    }
    ret->headers = (struct zsp_slice){pos, (size_t)(next - pos)};
    ret->header_count = (uint32_t)token.value; /* fits: a pair takes two bytes at least */
    return next;
}

static const uint8_t *parse_created_at(const uint8_t *pos, const uint8_t *end,
                                       struct zsp_record *ret, struct fault *fault)
{
    struct zsp_token token;
    const uint8_t *next = zsp_token_read(pos, end, &token);
    if (!next) {
        return refuse(fault, pos, "created_at_ms", "a value that ends inside the body");
    }
    if (token.kind == ZSP_TOKEN_NIL) {
        return next;
    }
    if (token.kind != ZSP_TOKEN_UINT) {
        return refuse_kind(fault, pos, "created_at_ms", "a number >= 0 or nil", token.kind);
    }
    ret->has_created_at = true;
    ret->created_at_ms = token.value;
    return next;
}

/* The fields behind the payload; `count` of them are there. */
static const uint8_t *parse_optional(const uint8_t *pos, const uint8_t *end, size_t count,
                                     bool check, struct zsp_record *ret, struct fault *fault)
{
    pos = parse_bytes(pos, end, ZSP_TOKEN_BIN, check, "key", &ret->key, fault);
    if (pos && count >= 2) {
        pos = parse_bytes(pos, end, ZSP_TOKEN_STR, check, "type", &ret->type, fault);
    }
    if (pos && count >= 3) {
        pos = parse_bytes(pos, end, ZSP_TOKEN_STR, check, "id", &ret->id, fault);
    }
    if (pos && count >= 4) {
        pos = parse_headers(pos, end, check, ret, fault);
    }
    if (pos && count >= 5) {
        pos = parse_created_at(pos, end, ret, fault);
    }
    return pos;
}

/* The head of a record: how many fields follow. */
static const uint8_t *parse_head(const uint8_t *pos, const uint8_t *end, size_t *ret_count,
                                 struct fault *fault)
{
    struct zsp_token head;
    const uint8_t *next = zsp_token_read(pos, end, &head);
    if (!next) {
        return refuse(fault, pos, NULL, "an array that ends inside the body");
    }
    if (head.kind != ZSP_TOKEN_ARRAY) {
        return refuse_kind(fault, pos, NULL, "an array", head.kind);
    }
    if (head.value < 1 || head.value > FIELDS_MAX) {
        return refuse(fault, pos, NULL, "an array of 1 to 6 fields");
    }
    *ret_count = (size_t)head.value;
    return next;
}

/* Parse the record at `pos`. Returns the position behind it, or NULL and the
 * fault. */
static inline const uint8_t *parse_record(const uint8_t *pos, const uint8_t *end, bool check,
                                          struct zsp_record *ret, struct fault *fault)
{
    *ret = (struct zsp_record){0};
    size_t count;
    const uint8_t *next = parse_head(pos, end, &count, fault);
    if (next) {
        next = parse_payload(next, end, &ret->payload, fault);
    }
    if (next && count > 1) {
        next = parse_optional(next, end, count - 1, check, ret, fault);
    }
    return next;
}

/* --- Reports ---------------------------------------------------------------------- */

static int report_fault(const struct fault *fault, const uint8_t *start, uint64_t index,
                        struct zsp_err *err)
{
    if (!err) {
        return ZSP_EBAD_RECORD;
    }
    const size_t pos = (size_t)(fault->pos - start);
    const char *what = fault->what ? fault->what : "record";
    if (fault->has_kind) {
        const char *got = zsp_token_kind_name(fault->kind);
        (void)zsp_err_set(err, ZSP_EBAD_RECORD,
                          "record %" PRIu64 ": pos %zu: %s must be %s, not %s", index, pos, what,
                          fault->wanted, got);
        zsp_err_detail(err, NULL, NULL, got);
    } else {
        (void)zsp_err_set(err, ZSP_EBAD_RECORD, "record %" PRIu64 ": pos %zu: %s must be %s", index,
                          pos, what, fault->wanted);
    }
    char object[sizeof err->object];
    (void)snprintf(object, sizeof object, "record %" PRIu64, index); /* fits */
    zsp_err_detail(err, object, fault->wanted, NULL);
    return ZSP_EBAD_RECORD;
}

static int report_size(uint64_t index, size_t size, size_t record_max, struct zsp_err *err)
{
    (void)zsp_err_set(err, ZSP_ETOO_LARGE, "record %" PRIu64 ": %zu bytes are more than %zu", index,
                      size, record_max);
    char object[32], wanted[32], got[32];
    (void)snprintf(object, sizeof object, "record %" PRIu64, index); /* these fit */
    (void)snprintf(wanted, sizeof wanted, "%zu", record_max);
    (void)snprintf(got, sizeof got, "%zu", size);
    zsp_err_detail(err, object, wanted, got);
    return ZSP_ETOO_LARGE;
}

/* --- Reading ---------------------------------------------------------------------- */

int zsp_record_check(struct zsp_slice body, size_t record_max, uint32_t *ret_count,
                     struct zsp_err *err)
{
    if (body.len == 0) {
        return zsp_err_set_about(err, ZSP_EBAD_RECORD, "body", "the body is empty");
    }
    if (body.len > UINT32_MAX) {
        return zsp_err_set_about(err, ZSP_ETOO_LARGE, "body", "the body has %zu bytes", body.len);
    }
    const uint8_t *pos = body.data;
    const uint8_t *const end = body.data + body.len;
    uint32_t count = 0; /* fits: a record takes three bytes at least */
    while (pos < end) {
        struct zsp_record record;
        struct fault fault;
        const uint8_t *next =
            zsp_record_plain((struct zsp_slice){pos, (size_t)(end - pos)}, &record.payload);
        if (!next) {
            next = parse_record(pos, end, true, &record, &fault);
        }
        if (!next) {
            return report_fault(&fault, body.data, count, err);
        }
        if ((size_t)(next - pos) > record_max) {
            return report_size(count, (size_t)(next - pos), record_max, err);
        }
        pos = next;
        count++;
    }
    *ret_count = count;
    return 0;
}

int zsp_record_next_id(struct zsp_slice *rest, struct zsp_slice *ret_record,
                       struct zsp_slice *ret_id)
{
    if (rest->len == 0) {
        return 1;
    }
    struct zsp_record record = {0};
    struct fault fault;
    const uint8_t *const end = rest->data + rest->len;
    const uint8_t *next = zsp_record_plain(*rest, &record.payload);
    if (!next) {
        next = parse_record(rest->data, end, false, &record, &fault);
    }
    if (!next) {
        return ZSP_EBAD_RECORD;
    }
    const size_t len = (size_t)(next - rest->data);
    *ret_record = (struct zsp_slice){rest->data, len};
    *ret_id = record.id;
    *rest = (struct zsp_slice){next, rest->len - len};
    return 0;
}

int zsp_record_next(struct zsp_slice *rest, struct zsp_slice *ret_record)
{
    struct zsp_slice id;
    return zsp_record_next_id(rest, ret_record, &id);
}

int zsp_record_position(struct zsp_slice body, uint32_t index, size_t *ret_pos)
{
    struct zsp_slice rest = body;
    for (uint32_t i = 0; i < index; i++) {
        struct zsp_slice record;
        if (zsp_record_next(&rest, &record) != 0) {
            return ZSP_EBAD_RECORD;
        }
    }
    *ret_pos = body.len - rest.len;
    return 0;
}

int zsp_record_key_payload(struct zsp_slice record, struct zsp_slice *ret_key,
                           struct zsp_slice *ret_payload)
{
    if (record.len == 0) {
        return ZSP_EBAD_RECORD;
    }
    const uint8_t *const end = record.data + record.len;
    struct zsp_token head;
    struct zsp_slice payload, key = {NULL, 0};
    struct fault fault;
    const uint8_t *pos = zsp_token_read(record.data, end, &head);
    if (!pos || head.kind != ZSP_TOKEN_ARRAY || head.value < 1) {
        return ZSP_EBAD_RECORD;
    }
    pos = parse_payload(pos, end, &payload, &fault);
    if (pos && head.value > 1) {
        pos = parse_bytes(pos, end, ZSP_TOKEN_BIN, false, "key", &key, &fault);
    }
    if (!pos) {
        return ZSP_EBAD_RECORD;
    }
    *ret_key = key;
    *ret_payload = payload;
    return 0;
}

int zsp_record_key(struct zsp_slice record, struct zsp_slice *ret_key)
{
    struct zsp_slice payload;
    return zsp_record_key_payload(record, ret_key, &payload);
}

int zsp_record_decode(struct zsp_slice record, struct zsp_record *ret, struct zsp_err *err)
{
    if (record.len == 0) {
        return zsp_err_set_about(err, ZSP_EBAD_RECORD, "record", "the record is empty");
    }
    struct zsp_record decoded;
    struct fault fault;
    const uint8_t *const end = record.data + record.len;
    const uint8_t *next = parse_record(record.data, end, true, &decoded, &fault);
    if (!next) {
        return report_fault(&fault, record.data, 0, err);
    }
    if (next != end) {
        return zsp_err_set_about(err, ZSP_EBAD_RECORD, "record",
                                 "pos %zu: %zu bytes follow the record",
                                 (size_t)(next - record.data), (size_t)(end - next));
    }
    *ret = decoded;
    return 0;
}

static inline int take(struct zsp_slice *rest, bool check, struct zsp_record *ret)
{
    if (rest->len == 0) {
        return 1;
    }
    struct fault fault;
    const uint8_t *const end = rest->data + rest->len;
    const uint8_t *next = parse_record(rest->data, end, check, ret, &fault);
    if (!next) {
        return ZSP_EBAD_RECORD;
    }
    *rest = (struct zsp_slice){next, (size_t)(end - next)};
    return 0;
}

int zsp_record_take(struct zsp_slice *rest, struct zsp_record *ret)
{
    return take(rest, true, ret);
}

int zsp_record_look(struct zsp_slice *rest, struct zsp_record *ret)
{
    return take(rest, false, ret);
}

struct zsp_slice zsp_record_headers(const struct zsp_record *record)
{
    const struct zsp_slice map = record->headers;
    struct zsp_token head;
    if (map.len == 0) {
        return (struct zsp_slice){NULL, 0};
    }
    const uint8_t *pos = zsp_token_read(map.data, map.data + map.len, &head);
    if (!pos || head.kind != ZSP_TOKEN_MAP) {
        return (struct zsp_slice){NULL, 0};
    }
    return (struct zsp_slice){pos, map.len - (size_t)(pos - map.data)};
}

int zsp_record_header_next(struct zsp_slice *rest, struct zsp_slice *ret_name,
                           struct zsp_slice *ret_value, bool *ret_is_text)
{
    if (rest->len == 0) {
        return 1;
    }
    struct zsp_token name, value;
    struct fault fault;
    const uint8_t *next =
        parse_header(rest->data, rest->data + rest->len, false, &name, &value, &fault);
    if (!next) {
        return ZSP_EBAD_RECORD;
    }
    *ret_name = (struct zsp_slice){name.data, (size_t)name.value};
    *ret_value = (struct zsp_slice){value.data, (size_t)value.value};
    *ret_is_text = value.kind == ZSP_TOKEN_STR;
    *rest = (struct zsp_slice){next, rest->len - (size_t)(next - rest->data)};
    return 0;
}
