/* SPDX-License-Identifier: MPL-2.0
 *
 * Encoding of records, in the order of the fields; record.c reads them.
 */
#include <msgpack.h>

#include "common/record.h"

static int packer_write(void *out, const char *bytes, size_t len)
{
    zsp_write_bytes(out, (struct zsp_slice){(const uint8_t *)bytes, len});
    return 0; /* the writer remembers a failure */
}

static msgpack_packer packer_to(struct zsp_writer *out)
{
    return (msgpack_packer){.data = out, .callback = packer_write};
}

/* Lengths above 32 bits cannot be encoded; the writer fails instead. */
static void pack_bin(msgpack_packer *packer, struct zsp_writer *out, struct zsp_slice bytes)
{
    if (bytes.len > UINT32_MAX) {
        out->failed = true;
        return;
    }
    (void)msgpack_pack_bin(packer, bytes.len);
    zsp_write_bytes(out, bytes);
}

static void pack_str(msgpack_packer *packer, struct zsp_writer *out, struct zsp_slice text)
{
    if (text.len > UINT32_MAX) {
        out->failed = true;
        return;
    }
    (void)msgpack_pack_str(packer, text.len);
    zsp_write_bytes(out, text);
}

static void pack_str_or_nil(msgpack_packer *packer, struct zsp_writer *out, struct zsp_slice text)
{
    if (text.data) {
        pack_str(packer, out, text);
    } else {
        (void)msgpack_pack_nil(packer);
    }
}

/* How many fields are written: trailing nils are left out. */
static size_t field_count(const struct zsp_record *record)
{
    if (record->has_created_at) {
        return 6;
    }
    if (record->headers.data) {
        return 5;
    }
    if (record->id.data) {
        return 4;
    }
    if (record->type.data) {
        return 3;
    }
    return record->key.data ? 2 : 1;
}

void zsp_record_write(struct zsp_writer *out, const struct zsp_record *record)
{
    msgpack_packer packer = packer_to(out);
    const size_t fields = field_count(record);
    (void)msgpack_pack_array(&packer, fields);
    pack_bin(&packer, out, record->payload);
    if (fields >= 2) {
        if (record->key.data) {
            pack_bin(&packer, out, record->key);
        } else {
            (void)msgpack_pack_nil(&packer);
        }
    }
    if (fields >= 3) {
        pack_str_or_nil(&packer, out, record->type);
    }
    if (fields >= 4) {
        pack_str_or_nil(&packer, out, record->id);
    }
    if (fields >= 5) {
        if (record->headers.data) {
            zsp_write_bytes(out, record->headers);
        } else {
            (void)msgpack_pack_nil(&packer);
        }
    }
    if (fields >= 6) {
        (void)msgpack_pack_uint64(&packer, record->created_at_ms);
    }
}

void zsp_record_write_headers_begin(struct zsp_writer *out, uint32_t count)
{
    msgpack_packer packer = packer_to(out);
    (void)msgpack_pack_map(&packer, count);
}

void zsp_record_write_header(struct zsp_writer *out, struct zsp_slice name, struct zsp_slice value,
                             bool is_text)
{
    msgpack_packer packer = packer_to(out);
    pack_str(&packer, out, name);
    if (is_text) {
        pack_str(&packer, out, value);
    } else {
        pack_bin(&packer, out, value);
    }
}
