/* SPDX-License-Identifier: MPL-2.0
 *
 * Any bytes as a body. What the check lets pass must split into as many records
 * as it counted, each of which decodes, and nothing is left over.
 */
#include "common/assert.h"
#include "common/limits.h"
#include "common/record.h"

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk_headers(const struct zsp_record *record)
{
    struct zsp_slice rest = zsp_record_headers(record);
    struct zsp_slice name;
    struct zsp_slice value;
    bool is_text;
    uint32_t count = 0;
    while (zsp_record_header_next(&rest, &name, &value, &is_text) == 0) {
        count++;
    }
    zsp_assert(count == record->header_count);
}

/* To take a record is to split it off and decode it. */
static void take_one(struct zsp_slice body)
{
    struct zsp_slice taken_rest = body, rest = body, one;
    struct zsp_record taken, record;
    struct zsp_err err = {0};
    const int rc = zsp_record_take(&taken_rest, &taken);
    if (zsp_record_next(&rest, &one) != 0 || zsp_record_decode(one, &record, &err) != 0) {
        zsp_assert(rc != 0);
        zsp_assert(taken_rest.data == body.data && taken_rest.len == body.len);
        zsp_assert(!zsp_record_plain(body, &one));
        return;
    }
    zsp_assert(rc == 0);
    zsp_assert(taken_rest.data == rest.data && taken_rest.len == rest.len);
    zsp_assert(taken.payload.data == record.payload.data);
    zsp_assert(taken.payload.len == record.payload.len);
    zsp_assert(taken.key.data == record.key.data && taken.key.len == record.key.len);
    zsp_assert(taken.headers.data == record.headers.data);
    zsp_assert(taken.header_count == record.header_count);
    zsp_assert(taken.has_created_at == record.has_created_at);
    zsp_assert(taken.created_at_ms == record.created_at_ms);
    struct zsp_slice payload;
    const uint8_t *const plain = zsp_record_plain(body, &payload);
    if (plain) {
        zsp_assert(plain == rest.data);
        zsp_assert(payload.data == record.payload.data && payload.len == record.payload.len);
        zsp_assert(!record.key.data && !record.type.data && !record.id.data);
        zsp_assert(!record.headers.data && !record.has_created_at);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct zsp_slice body = {data, size};
    struct zsp_record record;
    struct zsp_err err = {0};
    (void)zsp_record_decode(body, &record, &err); /* unchecked bytes must not hurt it either */
    take_one(body);

    uint32_t count = 0;
    if (zsp_record_check(body, ZSP_RECORD_MAX, &count, &err) != 0) {
        return 0;
    }
    struct zsp_slice rest = body;
    struct zsp_slice one;
    uint32_t seen = 0;
    while (rest.len > 0) {
        take_one(rest);
        zsp_assert(zsp_record_next(&rest, &one) == 0);
        size_t pos;
        zsp_assert(zsp_record_position(body, seen, &pos) == 0);
        zsp_assert(pos == (size_t)(one.data - data));
        zsp_assert(zsp_record_decode(one, &record, &err) == 0);
        walk_headers(&record);
        seen++;
    }
    zsp_assert(seen == count);
    zsp_assert(rest.len == 0);
    return 0;
}
