/* SPDX-License-Identifier: MPL-2.0
 *
 * MessagePack values into a writer, through msgpack-c's packer, which chooses
 * the shortest encoding. The writer remembers a failure, so nothing is returned.
 */
#include <string.h>

#include "common/wire.h"

static int packer_write(void *out, const char *bytes, size_t len)
{
    zsp_write_bytes(out, (struct zsp_slice){(const uint8_t *)bytes, len});
    return 0;
}

static msgpack_packer packer_to(struct zsp_writer *out)
{
    return (msgpack_packer){.data = out, .callback = packer_write};
}

void wire_write_map(struct zsp_writer *out, uint32_t pairs)
{
    msgpack_packer packer = packer_to(out);
    (void)msgpack_pack_map(&packer, pairs);
}

void wire_write_array(struct zsp_writer *out, uint32_t items)
{
    msgpack_packer packer = packer_to(out);
    (void)msgpack_pack_array(&packer, items);
}

void wire_write_nil(struct zsp_writer *out)
{
    msgpack_packer packer = packer_to(out);
    (void)msgpack_pack_nil(&packer);
}

void wire_write_bool(struct zsp_writer *out, bool value)
{
    msgpack_packer packer = packer_to(out);
    if (value) {
        (void)msgpack_pack_true(&packer);
    } else {
        (void)msgpack_pack_false(&packer);
    }
}

void wire_write_uint(struct zsp_writer *out, uint64_t value)
{
    msgpack_packer packer = packer_to(out);
    (void)msgpack_pack_uint64(&packer, value);
}

void wire_write_int(struct zsp_writer *out, int64_t value)
{
    msgpack_packer packer = packer_to(out);
    (void)msgpack_pack_int64(&packer, value);
}

void wire_write_str(struct zsp_writer *out, struct zsp_slice text)
{
    if (text.len > UINT32_MAX) {
        out->failed = true;
        return;
    }
    msgpack_packer packer = packer_to(out);
    (void)msgpack_pack_str(&packer, text.len);
    zsp_write_bytes(out, text);
}

void wire_write_text(struct zsp_writer *out, const char *text)
{
    wire_write_str(out, zsp_slice_str(text));
}

void wire_write_bin(struct zsp_writer *out, struct zsp_slice bytes)
{
    if (bytes.len > UINT32_MAX) {
        out->failed = true;
        return;
    }
    msgpack_packer packer = packer_to(out);
    (void)msgpack_pack_bin(&packer, bytes.len);
    zsp_write_bytes(out, bytes);
}

void wire_write_text_uint(struct zsp_writer *out, const char *key, uint64_t value)
{
    wire_write_text(out, key);
    wire_write_uint(out, value);
}

void wire_write_text_bool(struct zsp_writer *out, const char *key, bool value)
{
    wire_write_text(out, key);
    wire_write_bool(out, value);
}

void wire_write_text_str(struct zsp_writer *out, const char *key, struct zsp_slice value)
{
    wire_write_text(out, key);
    wire_write_str(out, value);
}
