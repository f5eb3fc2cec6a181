/* SPDX-License-Identifier: MPL-2.0 */
#include "client/cli/verb/dump_messages.h"

#include <inttypes.h>
#include <stdio.h>

#include "client/cli/cli.h"
#include "client/cli/json.h"
#include "common/codec.h"
#include "common/limits.h"
#include "common/record.h"

static zspool_bytes_t as_bytes(struct zsp_slice slice)
{
    return (zspool_bytes_t){slice.data, slice.len};
}

static void print_word(const char *name, struct zsp_slice value)
{
    if (!value.data) {
        return;
    }
    printf(" %s=", name);
    for (size_t i = 0; i < value.len; i++) {
        const int c = value.data[i];
        if (c >= 0x20 && c < 0x7f && c != '\\') {
            putchar(c);
        } else {
            printf("\\x%02x", (unsigned)c);
        }
    }
}

static void print_words(uint64_t offset, const struct zsp_record *record)
{
    printf("  offset %" PRIu64 ":", offset);
    print_word("key", record->key);
    print_word("type", record->type);
    print_word("id", record->id);
    if (record->header_count > 0) {
        printf(" headers=%" PRIu32, record->header_count);
    }
    print_word("payload", record->payload);
    putchar('\n');
}

static void print_json(const struct dump_messages *self, uint64_t offset,
                       const struct zsp_record *record)
{
    const zspool_message_t message = {
        .topic = self->topic,
        .partition = self->partition,
        .offset = offset,
        .timestamp_ms = self->timestamp_ms,
        .payload = as_bytes(record->payload),
        .key = as_bytes(record->key),
        .type = as_bytes(record->type),
        .id = as_bytes(record->id),
        .header_count = record->header_count,
        .headers = as_bytes(record->headers),
        .created_at_ms = record->has_created_at ? (int64_t)record->created_at_ms : 0,
        .priority = self->priority,
    };
    json_message(stdout, &message);
}

static int print_all(const struct dump_messages *self, struct zsp_slice rest, struct zsp_err *err)
{
    uint32_t count = 0;
    int rc = zsp_record_check(rest, ZSP_RECORD_MAX, &count, err);
    uint64_t offset = self->first_offset;
    struct zsp_slice bytes;
    while (rc == 0 && zsp_record_next(&rest, &bytes) == 0) {
        struct zsp_record record;
        rc = zsp_record_decode(bytes, &record, err);
        if (rc == 0 && cli_common.json) {
            print_json(self, offset, &record);
        } else if (rc == 0) {
            print_words(offset, &record);
        }
        offset++;
    }
    return rc;
}

static int print_packed(const struct dump_messages *self, struct zsp_err *err)
{
    if (self->raw_bytes == 0 || self->raw_bytes > ZSP_FRAME_MAX) {
        return zsp_err_set(err, ZSP_EBAD_RECORD, "%" PRIu32 " bytes before compression",
                           self->raw_bytes);
    }
    struct zsp_writer raw = {0};
    struct zsp_unpacker *unpacker = zsp_unpacker_new();
    uint8_t *room = zsp_write_room(&raw, self->raw_bytes);
    int rc = unpacker && room ? zsp_unpack(unpacker, self->body, room, self->raw_bytes, err)
                              : zsp_err_set(err, ZSP_ENOMEM, "unpack a batch");
    if (rc == 0) {
        rc = print_all(self, zsp_writer_slice(&raw), err);
    }
    zsp_unpacker_destroy(&unpacker);
    zsp_writer_fini(&raw);
    return rc;
}

int dump_messages_print(const struct dump_messages *self, struct zsp_err *err)
{
    switch (self->codec) {
    case ZSP_CODEC_NONE:
        return print_all(self, self->body, err);
    case ZSP_CODEC_ZSTD:
        return print_packed(self, err);
    default:
        return 1;
    }
}
