/* SPDX-License-Identifier: MPL-2.0
 *
 * One message as bytes: record = [payload:b, key:b|nil, type:s|nil, id:s|nil,
 * headers:{s: b|s}|nil, created_at_ms:u|nil], a MessagePack array whose
 * trailing nils may be left out. A body frame is one or more records, back to
 * back. The same bytes go over the wire and to disk.
 *
 * The broker checks a whole batch with record_check(), which walks the bytes
 * without building objects; after that the cheap record_next() may be trusted.
 */
#ifndef ZSP_RECORD_H
#define ZSP_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/err.h"

/* A decoded record; slices point into the record's bytes. */
struct zsp_record {
    struct zsp_slice payload;
    struct zsp_slice key;     /* data NULL = no key; empty is a key of its own */
    struct zsp_slice type;    /* data NULL = none, valid UTF-8 */
    struct zsp_slice id;      /* data NULL = none, valid UTF-8 */
    struct zsp_slice headers; /* the encoded map, data NULL = none */
    uint32_t header_count;
    bool has_created_at;
    uint64_t created_at_ms; /* wall time of the producer */
};

/* Check a body completely: at least one record, each within `record_max` bytes,
 * right types and arity, valid UTF-8 in every string, header count and bytes
 * within bounds, nothing left over. *ret_count = number of records.
 *
 * Errors: ZSP_EBAD_RECORD  names the record's index and byte position
 *         ZSP_ETOO_LARGE   one record is larger than `record_max`
 */
int zsp_record_check(struct zsp_slice body, size_t record_max, uint32_t *ret_count,
                     struct zsp_err *err);

/* Split the first record off `*rest`, which must hold checked records.
 * Returns 0 with *ret_record, 1 when `*rest` is empty, ZSP_EBAD_RECORD when the
 * bytes are not a record after all (`*rest` is then unchanged). */
int zsp_record_next(struct zsp_slice *rest, struct zsp_slice *ret_record);

/* The same, and the record's id; data NULL = none. */
int zsp_record_next_id(struct zsp_slice *rest, struct zsp_slice *ret_record,
                       struct zsp_slice *ret_id);

/* Byte position of record `index` of a checked body; body.len when `index` is
 * the number of records; ZSP_EBAD_RECORD beyond. */
int zsp_record_position(struct zsp_slice body, uint32_t index, size_t *ret_pos);

/* The key of one checked record without decoding the rest; data NULL = none. */
int zsp_record_key(struct zsp_slice record, struct zsp_slice *ret_key);

/* The same, and its payload. */
int zsp_record_key_payload(struct zsp_slice record, struct zsp_slice *ret_key,
                           struct zsp_slice *ret_payload);

/* Decode one record from any source; checks as zsp_record_check() does. */
int zsp_record_decode(struct zsp_slice record, struct zsp_record *ret, struct zsp_err *err);

/* Split the first record off `*rest` and decode it, in one walk, from any source: checks as
 * zsp_record_check() does, but for the size. Returns 0 with *ret, 1 when `*rest` is empty,
 * ZSP_EBAD_RECORD when it does not begin with a whole record; zsp_record_decode() tells why
 * (`*rest` is then unchanged). */
int zsp_record_take(struct zsp_slice *rest, struct zsp_record *ret);

/* The same for checked records: strings are not looked into again. */
int zsp_record_look(struct zsp_slice *rest, struct zsp_record *ret);

/* The same for what most records are, a payload alone, of bin 8 or bin 16; inline, since all who
 * walk over many try it first. Returns the position behind it, or NULL: `rest` begins with
 * something else. */
static inline const uint8_t *zsp_record_plain(struct zsp_slice rest, struct zsp_slice *ret_payload)
{
    const uint8_t array_of_one = 0x91, bin_8 = 0xc4, bin_16 = 0xc5;
    const uint8_t *const pos = rest.data;
    if (rest.len < 4 || pos[0] != array_of_one || (pos[1] != bin_8 && pos[1] != bin_16)) {
        return NULL;
    }
    const bool is_wide = pos[1] == bin_16;
    const size_t head = is_wide ? 4 : 3;
    const size_t len = is_wide ? (size_t)pos[2] << 8 | pos[3] : pos[2];
    if (len > rest.len - head) {
        return NULL;
    }
    *ret_payload = (struct zsp_slice){pos + head, len};
    return pos + head + len;
}

/* Walk `record.headers`: start with *rest = record.headers-body as set by
 * zsp_record_headers(); returns 0 with name and value, 1 at the end. */
struct zsp_slice zsp_record_headers(const struct zsp_record *record);
int zsp_record_header_next(struct zsp_slice *rest, struct zsp_slice *ret_name,
                           struct zsp_slice *ret_value, bool *ret_is_text);

/* Append the encoding of `record` (record->headers is copied as it is; make it
 * with zsp_record_write_headers_begin / zsp_record_write_header). */
void zsp_record_write(struct zsp_writer *out, const struct zsp_record *record);
/* Begin an encoded headers map of exactly `count` entries, then write each. */
void zsp_record_write_headers_begin(struct zsp_writer *out, uint32_t count);
void zsp_record_write_header(struct zsp_writer *out, struct zsp_slice name, struct zsp_slice value,
                             bool is_text);

#endif
