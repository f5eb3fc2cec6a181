/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/batch/batch_slice.h"

#include <inttypes.h>

#include "common/record.h"

static int bad_body(const struct store_batch *batch, struct zsp_err *err)
{
    return zsp_err_set(err, ZSP_ECORRUPT,
                       "the batch at offset %" PRIu64 " does not hold its %" PRIu32 " records",
                       batch->first_offset, batch->record_count);
}

/* Take records off `rest` one by one, up to `wanted`, while the limits allow. */
static int take_records(struct zsp_slice rest, uint64_t wanted, const struct batch_limits *limits,
                        struct batch_slice *slice)
{
    struct zsp_slice record = {0};
    while (slice->count < wanted) {
        if (slice->count == limits->max_messages) {
            slice->is_cut = true;
            return 0;
        }
        if (zsp_record_next(&rest, &record) != 0) {
            return ZSP_ECORRUPT;
        }
        const bool fits =
            slice->len <= limits->max_bytes && record.len <= limits->max_bytes - slice->len;
        if (!fits && !(limits->first_fits && slice->count == 0)) {
            slice->is_cut = true;
            return 0;
        }
        slice->len += record.len;
        slice->count++;
    }
    return 0;
}

int batch_slice(const struct store_batch *batch, struct store_range range,
                const struct batch_limits *limits, struct batch_slice *ret, struct zsp_err *err)
{
    const uint64_t batch_end = batch->first_offset + batch->record_count;
    const uint64_t first =
        range.first_offset > batch->first_offset ? range.first_offset : batch->first_offset;
    const uint64_t end = range.end_offset < batch_end ? range.end_offset : batch_end;
    struct batch_slice slice = {.first_offset = first};
    if (first >= end) {
        *ret = slice;
        return 0;
    }
    const uint64_t wanted = end - first;
    const size_t body_pos = (size_t)(batch->body.data - batch->frame->data);
    if (wanted == batch->record_count && wanted <= limits->max_messages &&
        batch->body.len <= limits->max_bytes) {
        slice.count = wanted;
        slice.pos = body_pos;
        slice.len = batch->body.len;
        *ret = slice;
        return 0;
    }
    size_t skipped = 0;
    if (zsp_record_position(batch->body, (uint32_t)(first - batch->first_offset), &skipped)) {
        return bad_body(batch, err);
    }
    const struct zsp_slice rest = {batch->body.data + skipped, batch->body.len - skipped};
    if (take_records(rest, wanted, limits, &slice)) {
        return bad_body(batch, err);
    }
    slice.pos = body_pos + skipped;
    slice.walked = skipped + slice.len;
    *ret = slice;
    return 0;
}
