/* SPDX-License-Identifier: MPL-2.0
 *
 * Any bytes as the body of a journal record whose sum happens to hold, and as a
 * whole record of a damaged file.
 */
#include "broker/store/journal/journal_record.h"

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t uuid[STORE_UUID_BYTES];
    const struct zsp_slice bytes = {data, size};
    struct zsp_reader body = zsp_reader_init(bytes);
    struct store_entry entry;
    volatile uint8_t sink = 0;
    struct zsp_reader redo_data = zsp_reader_init(bytes);
    struct journal_redo redo;
    struct zsp_slice redo_bytes;
    while (journal_next_entry(&body, &entry)) {
        if (journal_read_redo(entry.value, &redo_data, &redo, &redo_bytes)) {
            (void)journal_redo_valid(&redo, redo_bytes);
        }
        for (size_t i = 0; i < entry.key.len; i++) {
            sink ^= entry.key.data[i];
        }
        if (entry.value.len > 0) {
            sink ^= entry.value.data[entry.value.len - 1];
        }
    }
    (void)sink; /* that the bytes may be read is all that matters */

    const struct journal_place place = {uuid, 1, 0};
    struct journal_header header;
    struct journal_parts parts;
    struct zsp_err err = {0};
    (void)journal_decode(bytes, &place, &header, &parts, &err);
    if (size >= BATCH_HEADER_BYTES) {
        const struct batch_place batch_place = {uuid, 1, 0, 0, 0, 0};
        struct batch_header batch;
        (void)batch_decode(data, &batch_place, &batch, &err);
    }
    return 0;
}
