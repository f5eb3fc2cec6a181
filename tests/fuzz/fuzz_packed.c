/* SPDX-License-Identifier: MPL-2.0
 *
 * Any bytes as a compressed body: two bytes of size, then the frame. Nothing is written
 * beyond that size, and what unpacks and passes the check splits into its records.
 */
#include "common/assert.h"
#include "common/codec.h"
#include "common/limits.h"
#include "common/record.h"

#define SIZE_BYTES 2u
#define GUARD      0x5Au

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct zsp_unpacker *unpacker; /* one for all, as the broker has it */
    static uint8_t raw[UINT16_MAX + 2u];
    if (!unpacker) {
        unpacker = zsp_unpacker_new();
        zsp_assert(unpacker);
    }
    if (size < SIZE_BYTES) {
        return 0;
    }
    const size_t raw_bytes = 1u + zsp_get_u16(data);
    raw[raw_bytes] = GUARD;
    const struct zsp_slice packed = {data + SIZE_BYTES, size - SIZE_BYTES};
    struct zsp_err err = {0};
    const int rc = zsp_unpack(unpacker, packed, raw, raw_bytes, &err);
    zsp_assert(raw[raw_bytes] == GUARD);
    zsp_assert(rc == 0 || rc == ZSP_EBAD_RECORD);
    uint32_t count = 0;
    struct zsp_slice rest = {raw, raw_bytes};
    if (rc != 0 || zsp_record_check(rest, ZSP_RECORD_MAX, &count, &err) != 0) {
        return 0;
    }
    struct zsp_slice record;
    while (zsp_record_next(&rest, &record) == 0) {
        zsp_assert(count > 0);
        count--;
    }
    zsp_assert(count == 0);
    return 0;
}
