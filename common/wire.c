/* SPDX-License-Identifier: MPL-2.0
 *
 * Decoding of whole headers. Foreign bytes are first walked without building
 * anything; msgpack-c sees them only when the walk found every count covered by
 * bytes, the nesting bounded, every string UTF-8 and nothing left over. From
 * then on its memory is at most 24 bytes per byte of a header of bounded size.
 */
#include "common/wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/assert.h"
#include "common/limits.h"
#include "common/token.h"

#define ZONE_BYTES      8192u /* one chunk of a decoder's memory; small headers need one */
#define HEADER_ELEMENTS 4u

struct wire_decoder {
    msgpack_zone zone;   /* arrays and maps of the last header */
    msgpack_object root; /* the last header */
};

struct wire_decoder *wire_decoder_new(void)
{
    struct wire_decoder *self = calloc(1, sizeof *self);
    if (!self) {
        return NULL;
    }
    if (!msgpack_zone_init(&self->zone, ZONE_BYTES)) {
        free(self);
        return NULL;
    }
    return self;
}

void wire_decoder_destroy(struct wire_decoder **self_p)
{
    struct wire_decoder *self = *self_p;
    if (!self) {
        return;
    }
    *self_p = NULL;
    msgpack_zone_destroy(&self->zone);
    free(self);
}

/* --- The walk --------------------------------------------------------------------- */

/* Look at one token's own rules; `pos` is for the report. */
static int check_token(const struct zsp_token *token, size_t pos, size_t depth, struct zsp_err *err)
{
    const bool nests = token->kind == ZSP_TOKEN_ARRAY || token->kind == ZSP_TOKEN_MAP;
    if (nests && depth == ZSP_DEPTH_MAX) {
        return zsp_err_set_about(err, ZSP_EBAD_REQUEST, "header", "pos %zu: nested deeper than %u",
                                 pos, ZSP_DEPTH_MAX);
    }
    if (token->kind == ZSP_TOKEN_EXT) {
        return zsp_err_set_about(err, ZSP_EBAD_REQUEST, "header",
                                 "pos %zu: extension types are not used", pos);
    }
    if (token->kind == ZSP_TOKEN_STR &&
        !zsp_utf8_valid((struct zsp_slice){token->data, (size_t)token->value})) {
        return zsp_err_set_about(err, ZSP_EBAD_REQUEST, "header",
                                 "pos %zu: a string is not valid UTF-8", pos);
    }
    return 0;
}

/* Walk over the first value. */
static int walk(struct zsp_slice bytes, size_t *ret_len, struct zsp_err *err)
{
    if (bytes.len == 0) {
        return zsp_err_set_about(err, ZSP_EBAD_REQUEST, "header",
                                 "an empty frame is no MessagePack value");
    }
    const uint8_t *pos = bytes.data;
    const uint8_t *const end = bytes.data + bytes.len;
    uint64_t left[ZSP_DEPTH_MAX]; /* values still to come, per open array or map */
    size_t depth = 0;
    do {
        struct zsp_token token;
        const size_t at = (size_t)(pos - bytes.data);
        pos = zsp_token_read(pos, end, &token);
        if (!pos) {
            return zsp_err_set_about(err, ZSP_EBAD_REQUEST, "header",
                                     "pos %zu: not MessagePack, or longer than the frame", at);
        }
        const int rc = check_token(&token, at, depth, err);
        if (rc != 0) {
            return rc;
        }
        const bool nests = token.kind == ZSP_TOKEN_ARRAY || token.kind == ZSP_TOKEN_MAP;
        if (nests && token.value > 0) {
            left[depth++] = token.kind == ZSP_TOKEN_MAP ? 2 * token.value : token.value;
            continue;
        }
        while (depth > 0 && --left[depth - 1] == 0) {
            depth--;
        }
    } while (depth > 0);
    *ret_len = (size_t)(pos - bytes.data);
    return 0;
}

int wire_value_check(struct zsp_slice bytes, struct zsp_err *err)
{
    size_t len = 0;
    const int rc = walk(bytes, &len, err);
    if (rc == 0 && len < bytes.len) {
        return zsp_err_set_about(err, ZSP_EBAD_REQUEST, "header",
                                 "pos %zu: %zu bytes follow the header", len, bytes.len - len);
    }
    return rc;
}

int wire_value_next(struct zsp_slice *rest, struct zsp_slice *ret, struct zsp_err *err)
{
    size_t len = 0;
    const int rc = walk(*rest, &len, err);
    if (rc == 0) {
        *ret = (struct zsp_slice){rest->data, len};
        *rest = (struct zsp_slice){rest->data + len, rest->len - len};
    }
    return rc;
}

/* --- Headers ---------------------------------------------------------------------- */

/* What the first three elements say, read before anything is checked, so that
 * an ERR reply can carry the id of a header that is wrong further on. */
struct front {
    bool has_version;
    uint64_t version;
    bool has_id;
    uint64_t id;
};

static struct front read_front(struct zsp_slice frame)
{
    struct front front = {0};
    if (frame.len == 0) {
        return front;
    }
    const uint8_t *const end = frame.data + frame.len;
    struct zsp_token token;
    const uint8_t *pos = zsp_token_read(frame.data, end, &token);
    if (!pos || token.kind != ZSP_TOKEN_ARRAY || token.value < 1) {
        return front;
    }
    const uint64_t elements = token.value;
    pos = zsp_token_read(pos, end, &token);
    if (!pos || token.kind != ZSP_TOKEN_UINT) {
        return front;
    }
    front.has_version = true;
    front.version = token.value;
    if (elements < 3) {
        return front;
    }
    pos = zsp_token_read(pos, end, &token);
    if (!pos || token.kind != ZSP_TOKEN_STR) {
        return front;
    }
    pos = zsp_token_read(pos, end, &token);
    if (pos && token.kind == ZSP_TOKEN_UINT) {
        front.has_id = true;
        front.id = token.value;
    }
    return front;
}

static int unpack(struct wire_decoder *decoder, struct zsp_slice frame, struct zsp_err *err)
{
    msgpack_zone_clear(&decoder->zone);
    size_t consumed = 0;
    const msgpack_unpack_return rc = msgpack_unpack((const char *)frame.data, frame.len, &consumed,
                                                    &decoder->zone, &decoder->root);
    if (rc == MSGPACK_UNPACK_NOMEM_ERROR) {
        return zsp_err_set(err, ZSP_ENOMEM, "no memory to decode a header of %zu bytes", frame.len);
    }
    if (rc != MSGPACK_UNPACK_SUCCESS) {
        return zsp_err_set_about(err, ZSP_EBAD_REQUEST, "header", "not MessagePack");
    }
    return 0;
}

/* The part that requests and replies share: [1, string, ?, map]. On success the
 * decoder's root is such an array. */
static int decode_header(struct wire_decoder *decoder, struct zsp_slice frame,
                         const struct front *front, struct zsp_err *err)
{
    if (frame.len > ZSP_HEADER_MAX) {
        return zsp_err_set(err, ZSP_ETOO_LARGE, "a header of %zu bytes is more than %u", frame.len,
                           ZSP_HEADER_MAX);
    }
    if (front->has_version && front->version != ZSP_PROTOCOL_VERSION) {
        (void)zsp_err_set(err, ZSP_EVERSION_MISMATCH, "protocol version %" PRIu64 " is not %u",
                          front->version, ZSP_PROTOCOL_VERSION);
        char got[24];
        (void)snprintf(got, sizeof got, "%" PRIu64, front->version); /* fits */
        zsp_err_detail(err, "version", "1", got);
        return ZSP_EVERSION_MISMATCH;
    }
    int rc = wire_value_check(frame, err);
    if (rc == 0) {
        rc = unpack(decoder, frame, err);
    }
    if (rc != 0) {
        return rc;
    }
    const msgpack_object *root = &decoder->root;
    if (root->type != MSGPACK_OBJECT_ARRAY || root->via.array.size != HEADER_ELEMENTS) {
        return zsp_err_set_about(err, ZSP_EBAD_REQUEST, "header",
                                 "the header is not an array of 4 elements");
    }
    if (!front->has_version) {
        return zsp_err_set_about(err, ZSP_EBAD_REQUEST, "header", "the version is not a number");
    }
    if (root->via.array.ptr[1].type != MSGPACK_OBJECT_STR) {
        return zsp_err_set_about(err, ZSP_EBAD_REQUEST, "header",
                                 "element 1 (verb or status) is not a string");
    }
    if (root->via.array.ptr[3].type != MSGPACK_OBJECT_MAP) {
        return zsp_err_set_about(err, ZSP_EBAD_REQUEST, "header",
                                 "element 3 (arguments) is not a map");
    }
    return 0;
}

static struct zsp_slice str_slice(const msgpack_object *object)
{
    return (struct zsp_slice){(const uint8_t *)object->via.str.ptr, object->via.str.size};
}

int wire_request_decode(struct wire_decoder *decoder, struct zsp_slice frame,
                        struct wire_request *ret, struct zsp_err *err)
{
    const struct front front = read_front(frame);
    *ret = (struct wire_request){.has_id = front.has_id, .id = front.id};
    const int rc = decode_header(decoder, frame, &front, err);
    if (rc != 0) {
        return rc;
    }
    if (!front.has_id) {
        return zsp_err_set_about(err, ZSP_EBAD_REQUEST, "header",
                                 "element 2 (request id) is not a number >= 0");
    }
    const msgpack_object *elements = decoder->root.via.array.ptr;
    ret->verb = str_slice(&elements[1]);
    ret->args = &elements[3];
    return 0;
}

static const char *const status_names[] = {
    [WIRE_OK] = "OK", [WIRE_PART] = "PART", [WIRE_ERR] = "ERR", [WIRE_BEAT] = "BEAT"};

static bool status_of(struct zsp_slice name, enum wire_status *ret)
{
    for (size_t i = 0; i < sizeof status_names / sizeof status_names[0]; i++) {
        if (zsp_slice_equal_str(name, status_names[i])) {
            *ret = (enum wire_status)i;
            return true;
        }
    }
    return false;
}

int wire_reply_decode(struct wire_decoder *decoder, struct zsp_slice frame, struct wire_reply *ret,
                      struct zsp_err *err)
{
    const struct front front = read_front(frame);
    *ret = (struct wire_reply){.has_id = front.has_id, .id = front.id};
    const int rc = decode_header(decoder, frame, &front, err);
    if (rc != 0) {
        return rc;
    }
    const msgpack_object *elements = decoder->root.via.array.ptr;
    if (!status_of(str_slice(&elements[1]), &ret->status)) {
        return zsp_err_set(err, ZSP_EBAD_REQUEST, "the status is not OK, PART, ERR or BEAT");
    }
    if (!front.has_id && elements[2].type != MSGPACK_OBJECT_NIL) {
        return zsp_err_set(err, ZSP_EBAD_REQUEST, "the id is neither a number nor nil");
    }
    ret->map = &elements[3];
    return 0;
}

const msgpack_object *wire_map_find(const msgpack_object *map, const char *key)
{
    if (map->type != MSGPACK_OBJECT_MAP) {
        return NULL;
    }
    for (uint32_t i = 0; i < map->via.map.size; i++) {
        const msgpack_object_kv *pair = &map->via.map.ptr[i];
        if (pair->key.type == MSGPACK_OBJECT_STR &&
            zsp_slice_equal_str(str_slice(&pair->key), key)) {
            return &pair->val;
        }
    }
    return NULL;
}

/* --- Errors ----------------------------------------------------------------------- */

/* The text of a string value, cut to fit; "" when it is absent or no string. */
static void copy_text(const msgpack_object *map, const char *key, char *text, size_t capacity)
{
    const msgpack_object *value = wire_map_find(map, key);
    text[0] = '\0';
    if (value && value->type == MSGPACK_OBJECT_STR) {
        const size_t len = value->via.str.size < capacity ? value->via.str.size : capacity - 1;
        memcpy(text, value->via.str.ptr, len);
        text[len] = '\0';
    }
}

int wire_error_decode(const msgpack_object *map, struct zsp_err *err)
{
    zsp_assert(err != NULL);
    const msgpack_object *code = wire_map_find(map, "code");
    int number = ZSP_EINTERNAL;
    if (code && code->type == MSGPACK_OBJECT_STR) {
        number = zsp_err_from_wire(code->via.str.ptr, code->via.str.size);
    }
    /* One byte longer than the fields, so that zsp_err_* does the cutting. */
    char message[sizeof err->msg + 1], object[sizeof err->object + 1];
    char wanted[sizeof err->wanted + 1], got[sizeof err->got + 1];
    copy_text(map, "message", message, sizeof message);
    copy_text(map, "object", object, sizeof object);
    copy_text(map, "wanted", wanted, sizeof wanted);
    copy_text(map, "got", got, sizeof got);
    (void)zsp_err_set(err, number, "%s", message[0] ? message : zsp_strerror(number));
    zsp_err_detail(err, object, wanted, got);
    const msgpack_object *maybe = wire_map_find(map, "maybe");
    err->maybe = maybe && maybe->type == MSGPACK_OBJECT_BOOLEAN && maybe->via.boolean;
    return number;
}

static void write_foreign_text(struct zsp_writer *out, const char *text)
{
    const struct zsp_slice bytes = zsp_slice_str(text);
    if (zsp_utf8_valid(bytes)) {
        wire_write_str(out, bytes);
        return;
    }
    /* A message quotes what somebody sent; the header stays readable anyway. */
    char clean[sizeof((struct zsp_err *)0)->msg];
    (void)snprintf(clean, sizeof clean, "%s", text); /* no field is longer than msg */
    for (char *p = clean; *p; p++) {
        if ((unsigned char)*p >= 0x80) {
            *p = '?';
        }
    }
    wire_write_text(out, clean);
}

static void write_error_text(struct zsp_writer *out, const char *key, const char *text)
{
    if (text[0]) {
        wire_write_text(out, key);
        write_foreign_text(out, text);
    }
}

void wire_write_error_map(struct zsp_writer *out, const struct zsp_err *err)
{
    /* Codes of one process mean nothing to another one. */
    const char *name = zsp_err_wire_name(err->code);
    const int code = zsp_err_from_wire(name, strlen(name));
    const uint32_t pairs = 3u + (err->maybe ? 1u : 0u) + (err->object[0] ? 1u : 0u) +
                           (err->wanted[0] ? 1u : 0u) + (err->got[0] ? 1u : 0u);
    wire_write_map(out, pairs);
    wire_write_text(out, "code");
    wire_write_text(out, zsp_err_wire_name(code));
    wire_write_text(out, "message");
    write_foreign_text(out, err->msg[0] ? err->msg : zsp_strerror(err->code));
    wire_write_text_bool(out, "retriable", zsp_err_retriable(code));
    if (err->maybe) {
        wire_write_text_bool(out, "maybe", true);
    }
    write_error_text(out, "object", err->object);
    write_error_text(out, "wanted", err->wanted);
    write_error_text(out, "got", err->got);
}

void wire_write_error(struct zsp_writer *out, bool has_id, uint64_t id, const struct zsp_err *err)
{
    wire_write_reply(out, WIRE_ERR, has_id, id);
    wire_write_error_map(out, err);
}

void wire_write_reply(struct zsp_writer *out, enum wire_status status, bool has_id, uint64_t id)
{
    wire_write_array(out, HEADER_ELEMENTS);
    wire_write_uint(out, ZSP_PROTOCOL_VERSION);
    wire_write_text(out, status_names[status]);
    if (has_id) {
        wire_write_uint(out, id);
    } else {
        wire_write_nil(out);
    }
}

void wire_write_request(struct zsp_writer *out, struct zsp_slice verb, uint64_t id)
{
    wire_write_array(out, HEADER_ELEMENTS);
    wire_write_uint(out, ZSP_PROTOCOL_VERSION);
    wire_write_str(out, verb);
    wire_write_uint(out, id);
}
