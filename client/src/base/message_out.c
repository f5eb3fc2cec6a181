/* SPDX-License-Identifier: MPL-2.0 */
#include "client/src/base/message_out.h"

#include "client/src/base/range_check.h"
#include "client/src/base/terms.h"
#include "common/limits.h"
#include "common/record.h"

static struct zsp_slice slice_of(zspool_bytes_t bytes)
{
    return (struct zsp_slice){bytes.data, bytes.len};
}

static int check_text(const char *what, zspool_bytes_t text, struct zsp_err *err)
{
    if (text.data && !zsp_utf8_valid(slice_of(text))) {
        return zsp_err_set_about(err, ZSP_EBAD_VALUE, what, "the %s is not UTF-8", what);
    }
    return 0;
}

static int check_headers(const zspool_out_t *message, struct zsp_err *err)
{
    int rc = zsp_list_check(ZSP_EBAD_VALUE, "header_count", message->headers, message->header_count,
                            ZSP_HEADERS_MAX, err);
    for (size_t i = 0; i < message->header_count && rc == 0; i++) {
        const zspool_header_t *header = &message->headers[i];
        if (!header->name.data || !header->value.data) {
            return zsp_err_set_about(err, ZSP_EBAD_VALUE, "headers",
                                     "header %zu has no name or no value", i);
        }
        rc = check_text("header's name", header->name, err);
        if (rc == 0 && header->is_text) {
            rc = check_text("header's text", header->value, err);
        }
    }
    return rc;
}

size_t zsp_message_bytes(const zspool_out_t *message)
{
    size_t bytes = message->payload.len;
    const size_t others[] = {message->key.len, message->type.len, message->id.len, 64};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        bytes = bytes > SIZE_MAX - others[i] ? SIZE_MAX : bytes + others[i];
    }
    for (size_t i = 0; i < message->header_count; i++) {
        const zspool_header_t *header = &message->headers[i];
        const size_t more = header->name.len > SIZE_MAX / 4 || header->value.len > SIZE_MAX / 4
                                ? SIZE_MAX
                                : header->name.len + header->value.len + 10;
        bytes = bytes > SIZE_MAX - more ? SIZE_MAX : bytes + more;
    }
    return bytes;
}

int zsp_message_check(const zspool_out_t *message, struct zsp_err *err)
{
    if (!message->topic) {
        return zsp_err_set_about(err, ZSP_EBAD_NAME, "topic", "no topic given");
    }
    if (!message->payload.data) {
        return zsp_err_set_about(err, ZSP_EBAD_VALUE, "payload", "topic %s: no payload given",
                                 message->topic);
    }
    if (message->partition < ZSPOOL_PARTITION_ANY ||
        message->partition >= (int32_t)ZSP_PARTITIONS_MAX) {
        return zsp_range_check(ZSP_EBAD_VALUE, "partition", message->partition,
                               ZSPOOL_PARTITION_ANY, ZSP_PARTITIONS_MAX - 1, err);
    }
    if (message->created_at_ms < 0) {
        return zsp_range_check(ZSP_EBAD_VALUE, "created_at_ms", message->created_at_ms, 0,
                               INT64_MAX, err);
    }
    int rc = check_text("type", message->type, err);
    if (rc == 0) {
        rc = check_text("id", message->id, err);
    }
    if (rc == 0 && message->header_count > 0) {
        rc = check_headers(message, err);
    }
    return rc == 0 ? zsp_terms_check(message, err) : rc;
}

void zsp_message_write(struct zsp_writer *out, const zspool_out_t *message,
                       struct zsp_writer *scratch)
{
    struct zsp_record record = {.payload = slice_of(message->payload),
                                .key = slice_of(message->key),
                                .type = slice_of(message->type),
                                .id = slice_of(message->id),
                                .has_created_at = message->created_at_ms > 0,
                                .created_at_ms = (uint64_t)message->created_at_ms};
    if (message->header_count > 0) {
        zsp_writer_reset(scratch);
        zsp_record_write_headers_begin(scratch, (uint32_t)message->header_count);
        for (size_t i = 0; i < message->header_count; i++) {
            const zspool_header_t *header = &message->headers[i];
            zsp_record_write_header(scratch, slice_of(header->name), slice_of(header->value),
                                    header->is_text);
        }
        record.headers = zsp_writer_slice(scratch);
        record.header_count = (uint32_t)message->header_count;
    }
    zsp_record_write(out, &record);
}
