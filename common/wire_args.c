/* SPDX-License-Identifier: MPL-2.0
 *
 * Typed values out of decoded maps and arrays: the arguments of a verb against
 * its table, and single values.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/assert.h"
#include "common/codec.h"
#include "common/limits.h"
#include "common/name.h"
#include "common/wire.h"

#define SHOWN_BYTES 40u /* of a foreign key in a message */

static const char *type_name(const msgpack_object *object)
{
    switch (object->type) {
    case MSGPACK_OBJECT_NIL:
        return "nil";
    case MSGPACK_OBJECT_BOOLEAN:
        return "a boolean";
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        return "a number";
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        return "a negative number";
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        return "a float";
    case MSGPACK_OBJECT_STR:
        return "a string";
    case MSGPACK_OBJECT_BIN:
        return "binary";
    case MSGPACK_OBJECT_ARRAY:
        return "an array";
    case MSGPACK_OBJECT_MAP:
        return "a map";
    case MSGPACK_OBJECT_EXT:
        return "an extension type";
    }
    return "an unknown type";
}

/* --- Reports ---------------------------------------------------------------------- */

static int report_type(const char *what, const char *wanted, const msgpack_object *object,
                       struct zsp_err *err)
{
    (void)zsp_err_set(err, ZSP_EBAD_TYPE, "%s must be %s, not %s", what, wanted, type_name(object));
    zsp_err_detail(err, what, wanted, type_name(object));
    return ZSP_EBAD_TYPE;
}

/* A number, or the length `unit` ("bytes", "items"; "" for a number itself),
 * outside of min..max. `sign` is "-" for a negative number. */
static int report_range(const char *what, const char *number, uint64_t min, uint64_t max,
                        const char *unit, struct zsp_err *err)
{
    char wanted[sizeof err->wanted];
    if (max == UINT64_MAX) {
        (void)snprintf(wanted, sizeof wanted, ">= %" PRIu64 "%s", min, unit); /* fits */
    } else {
        (void)snprintf(wanted, sizeof wanted, "%" PRIu64 "..%" PRIu64 "%s", min, max, unit);
    }
    (void)zsp_err_set(err, ZSP_EBAD_VALUE, "%s must be %s, not %s", what, wanted, number);
    zsp_err_detail(err, what, wanted, number);
    return ZSP_EBAD_VALUE;
}

static int check_range(const char *what, uint64_t value, uint64_t min, uint64_t max,
                       const char *unit, struct zsp_err *err)
{
    if (value >= min && value <= max) {
        return 0;
    }
    char number[24];
    (void)snprintf(number, sizeof number, "%" PRIu64, value); /* fits */
    return report_range(what, number, min, max, unit, err);
}

/* --- Single values ---------------------------------------------------------------- */

int wire_get_ranged(const msgpack_object *object, const char *what, uint64_t min, uint64_t max,
                    uint64_t *ret, struct zsp_err *err)
{
    if (object->type == MSGPACK_OBJECT_NEGATIVE_INTEGER) {
        char number[24];
        (void)snprintf(number, sizeof number, "%" PRId64, object->via.i64); /* fits */
        return report_range(what, number, min, max, "", err);
    }
    if (object->type != MSGPACK_OBJECT_POSITIVE_INTEGER) {
        return report_type(what, "a number", object, err);
    }
    const int rc = check_range(what, object->via.u64, min, max, "", err);
    if (rc == 0) {
        *ret = object->via.u64;
    }
    return rc;
}

int wire_get_uint(const msgpack_object *object, const char *what, uint64_t max, uint64_t *ret,
                  struct zsp_err *err)
{
    return wire_get_ranged(object, what, 0, max, ret, err);
}

int wire_get_str(const msgpack_object *object, const char *what, struct zsp_slice *ret,
                 struct zsp_err *err)
{
    if (object->type != MSGPACK_OBJECT_STR) {
        return report_type(what, "a string", object, err);
    }
    *ret = (struct zsp_slice){(const uint8_t *)object->via.str.ptr, object->via.str.size};
    return 0;
}

/* --- Arguments -------------------------------------------------------------------- */

/* The bounds of a row: 0, 0 = any; a lone minimum has no maximum. */
static uint64_t row_max(const struct wire_arg *row)
{
    return row->max == 0 ? UINT64_MAX : row->max;
}

static int set_uint(const struct wire_arg *row, const msgpack_object *value, struct wire_uint *ret,
                    struct zsp_err *err)
{
    const int rc = wire_get_ranged(value, row->name, row->min, row_max(row), &ret->value, err);
    ret->set = rc == 0;
    return rc;
}

static int set_bool(const struct wire_arg *row, const msgpack_object *value, struct wire_uint *ret,
                    struct zsp_err *err)
{
    if (value->type != MSGPACK_OBJECT_BOOLEAN) {
        return report_type(row->name, "a boolean", value, err);
    }
    *ret = (struct wire_uint){.set = true, .value = value->via.boolean ? 1 : 0};
    return 0;
}

static int set_str(const struct wire_arg *row, const msgpack_object *value, struct zsp_slice *ret,
                   struct zsp_err *err)
{
    struct zsp_slice text;
    int rc = wire_get_str(value, row->name, &text, err);
    if (rc == 0) {
        rc = check_range(row->name, text.len, row->min, row_max(row), " bytes", err);
    }
    if (rc == 0) {
        *ret = text;
    }
    return rc;
}

static int set_bin(const struct wire_arg *row, const msgpack_object *value, struct zsp_slice *ret,
                   struct zsp_err *err)
{
    if (value->type != MSGPACK_OBJECT_BIN) {
        return report_type(row->name, "binary", value, err);
    }
    const int rc =
        check_range(row->name, value->via.bin.size, row->min, row_max(row), " bytes", err);
    if (rc == 0) {
        *ret = (struct zsp_slice){(const uint8_t *)value->via.bin.ptr, value->via.bin.size};
    }
    return rc;
}

static int set_name(const struct wire_arg *row, const msgpack_object *value, struct zsp_slice *ret,
                    struct zsp_err *err)
{
    struct zsp_slice name;
    int rc = wire_get_str(value, row->name, &name, err);
    if (rc == 0) {
        rc = zsp_name_check(row->name, name, err);
    }
    if (rc == 0) {
        *ret = name;
    }
    return rc;
}

static int set_array(const struct wire_arg *row, const msgpack_object *value,
                     const msgpack_object **ret, struct zsp_err *err)
{
    if (value->type != MSGPACK_OBJECT_ARRAY) {
        return report_type(row->name, "an array", value, err);
    }
    const int rc =
        check_range(row->name, value->via.array.size, row->min, row_max(row), " items", err);
    if (rc == 0) {
        *ret = value;
    }
    return rc;
}

static int set_names(const struct wire_arg *row, const msgpack_object *value,
                     const msgpack_object **ret, struct zsp_err *err)
{
    const msgpack_object *names = NULL;
    int rc = set_array(row, value, &names, err);
    for (uint32_t i = 0; rc == 0 && i < value->via.array.size; i++) {
        struct zsp_slice name;
        rc = wire_get_str(&value->via.array.ptr[i], row->name, &name, err);
        if (rc == 0) {
            rc = row->type == WIRE_PATTERNS ? zsp_pattern_check(row->name, name, err)
                                            : zsp_name_check(row->name, name, err);
        }
    }
    if (rc == 0) {
        *ret = names;
    }
    return rc;
}

static int set_map(const struct wire_arg *row, const msgpack_object *value,
                   const msgpack_object **ret, struct zsp_err *err)
{
    if (value->type != MSGPACK_OBJECT_MAP) {
        return report_type(row->name, "a map", value, err);
    }
    *ret = value;
    return 0;
}

static int set_arg(const struct wire_arg *row, const msgpack_object *value, void *ret,
                   struct zsp_err *err)
{
    void *field = (unsigned char *)ret + row->place;
    switch (row->type) {
    case WIRE_UINT:
        return set_uint(row, value, field, err);
    case WIRE_BOOL:
        return set_bool(row, value, field, err);
    case WIRE_STR:
        return set_str(row, value, field, err);
    case WIRE_BIN:
        return set_bin(row, value, field, err);
    case WIRE_NAME:
        return set_name(row, value, field, err);
    case WIRE_NAMES:
    case WIRE_PATTERNS:
        return set_names(row, value, field, err);
    case WIRE_ARRAY:
        return set_array(row, value, field, err);
    case WIRE_MAP:
        return set_map(row, value, field, err);
    case WIRE_POSITION:
        return wire_get_position(value, row->name, field, err);
    case WIRE_IGNORED:
        return 0;
    case WIRE_UNSUPPORTED:
        (void)zsp_err_set(err, ZSP_EUNSUPPORTED, "argument %s is not supported by this broker",
                          row->name);
        zsp_err_detail(err, row->name, NULL, NULL);
        return ZSP_EUNSUPPORTED;
    }
    return zsp_err_set(err, ZSP_EINTERNAL, "argument %s has no type", row->name);
}

static int report_unknown(const msgpack_object *key, struct zsp_err *err)
{
    if (key->type != MSGPACK_OBJECT_STR) {
        return report_type("a key of the arguments", "a string", key, err);
    }
    char shown[SHOWN_BYTES + 1];
    const size_t len = key->via.str.size < SHOWN_BYTES ? key->via.str.size : SHOWN_BYTES;
    for (size_t i = 0; i < len; i++) {
        const unsigned char byte = (unsigned char)key->via.str.ptr[i];
        shown[i] = (char)(byte >= 0x20 && byte < 0x7f ? byte : '?');
    }
    shown[len] = '\0';
    (void)zsp_err_set(err, ZSP_EUNKNOWN_ARGUMENT, "no argument is called \"%s\"", shown);
    zsp_err_detail(err, shown, NULL, NULL);
    return ZSP_EUNKNOWN_ARGUMENT;
}

/* The row of a key; `count` when there is none. Most peers give their arguments in the order of the
 * table, so rows are looked at from `first` on. */
static size_t row_of(const struct wire_arg *table, size_t count, size_t first,
                     const msgpack_object *key)
{
    if (key->type != MSGPACK_OBJECT_STR || key->via.str.size == 0) {
        return count;
    }
    const struct zsp_slice name = {(const uint8_t *)key->via.str.ptr, key->via.str.size};
    for (size_t n = 0; n < count; n++) {
        const size_t i = first + n < count ? first + n : first + n - count;
        if (table[i].name[0] == key->via.str.ptr[0] && zsp_slice_equal_str(name, table[i].name)) {
            return i;
        }
    }
    return count;
}

int wire_args(const msgpack_object *map, const struct wire_arg *table, size_t count, void *ret,
              struct zsp_err *err)
{
    zsp_assert(count <= 64);
    uint64_t seen = 0; /* bit i = row i was given; bounds the loop, for a repeat ends it */
    if (map->type != MSGPACK_OBJECT_MAP) {
        return report_type("the arguments", "a map", map, err);
    }
    size_t next = 0;
    for (uint32_t i = 0; i < map->via.map.size; i++) {
        const msgpack_object_kv *pair = &map->via.map.ptr[i];
        const size_t row = row_of(table, count, next, &pair->key);
        if (row == count) {
            return report_unknown(&pair->key, err);
        }
        if (seen >> row & 1) {
            (void)zsp_err_set(err, ZSP_EBAD_VALUE, "%s is given twice", table[row].name);
            zsp_err_detail(err, table[row].name, "once", "twice");
            return ZSP_EBAD_VALUE;
        }
        seen |= UINT64_C(1) << row;
        next = row + 1;
        const int rc = set_arg(&table[row], &pair->val, ret, err);
        if (rc != 0) {
            return rc;
        }
    }
    for (size_t row = 0; row < count; row++) {
        if (table[row].required && !(seen >> row & 1)) {
            (void)zsp_err_set(err, ZSP_EBAD_VALUE, "%s is missing", table[row].name);
            zsp_err_detail(err, table[row].name, NULL, "nothing");
            return ZSP_EBAD_VALUE;
        }
    }
    return 0;
}

int wire_get_accept(const msgpack_object *object, const char *what, bool *ret_zstd,
                    struct zsp_err *err)
{
    bool zstd = false;
    if (object->type != MSGPACK_OBJECT_ARRAY) {
        return zsp_err_set_about(err, ZSP_EBAD_TYPE, what, "%s must be an array", what);
    }
    for (uint32_t i = 0; i < object->via.array.size; i++) {
        struct zsp_slice name;
        const int rc = wire_get_str(&object->via.array.ptr[i], what, &name, err);
        if (rc != 0) {
            return rc;
        }
        zstd = zstd || zsp_slice_equal_str(name, ZSP_CODEC_ZSTD_NAME);
    }
    *ret_zstd = zstd;
    return 0;
}
