/* SPDX-License-Identifier: MPL-2.0
 *
 * Any bytes as a filter; one that is taken is evaluated, and its text makes the same filter again.
 */
#include "common/assert.h"
#include "common/filter.h"

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct zsp_filter *filter = NULL;
    struct zsp_err error = {0};
    const struct zsp_slice text = {data, size};
    struct zsp_writer headers = {0};
    if (zsp_filter_new(text, &filter, &error) < 0) {
        zsp_assert(error.code == ZSP_EBAD_VALUE && error.msg[0] != '\0');
        return 0;
    }
    zsp_record_write_headers_begin(&headers, 1);
    zsp_record_write_header(&headers, zsp_slice_str("a"), zsp_slice_str("b"), true);
    const struct zsp_record record = {.payload = text,
                                      .key = zsp_slice_str("k"),
                                      .type = zsp_slice_str("t"),
                                      .headers = zsp_writer_slice(&headers),
                                      .header_count = 1};
    const bool matches = zsp_filter_matches(filter, &record);
    struct zsp_filter *again = NULL;
    zsp_assert(zsp_slice_equal(zsp_filter_text(filter), text));
    zsp_assert(zsp_filter_new(zsp_filter_text(filter), &again, NULL) == 0);
    zsp_assert(zsp_filter_matches(again, &record) == matches);
    zsp_filter_destroy(&again);
    zsp_filter_destroy(&filter);
    zsp_writer_fini(&headers);
    return 0;
}
